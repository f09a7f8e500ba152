//! What the user sees of a long comparison on standard error: a bar on a terminal, now and then a
//! line elsewhere.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Parts of the work on one task, one after the other.
pub(super) struct Progress {
    task: &'static str,
    bar: ProgressBar,
    part: RefCell<String>,
    last_line: Cell<Option<Instant>>,
}

/// Between lines about the same part.
const PAUSE: Duration = Duration::from_secs(20);

impl Progress {
    pub(super) fn new(task: &'static str) -> Self {
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}");
        let style = style.expect("the template is valid");
        let bar = ProgressBar::new(0).with_style(style);
        Self { task, bar, part: RefCell::default(), last_line: Cell::default() }
    }

    /// So many samples of a part are done.
    pub(super) fn at(&self, part: &str, (done, total): (usize, usize)) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        let is_new = *self.part.borrow() != part;
        if is_new {
            part.clone_into(&mut self.part.borrow_mut());
            self.bar.set_message(format!("{}: {part}", self.task));
            self.bar.reset_eta();
        }
        let is_due = self.last_line.get().is_none_or(|last| last.elapsed() >= PAUSE);
        if self.bar.is_hidden() && (is_new || is_due) {
            self.last_line.set(Some(Instant::now()));
            // A closed standard error must not end the work.
            let _ = writeln!(io::stderr(), "{}: {part}, {done} of {total}", self.task);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
