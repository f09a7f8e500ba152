//! What the user sees of a pull on standard error: a bar on a terminal, plain lines elsewhere.

use std::cell::Cell;
use std::io::{self, Write};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{wide_msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// Bytes fetched, over all files of one pull.
pub(super) struct Progress {
    bar: ProgressBar,
    file_start: Cell<u64>,
    file_size: Cell<u64>,
}

impl Progress {
    /// A bar that stays empty until [`begin`](Self::begin).
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is valid");
        let bar = ProgressBar::new(0).with_style(style);
        Self { bar, file_start: Cell::new(0), file_size: Cell::new(0) }
    }

    /// Sets the size of all files together, in bytes.
    pub(super) fn begin(&self, total: u64) {
        self.bar.set_length(total);
    }

    /// Goes on to the next file.
    pub(super) fn start_file(&self, name: &str, size: u64) {
        self.file_start.set(self.file_start.get() + self.file_size.replace(size));
        self.bar.set_message(name.to_owned());
        self.at(0);
        if self.bar.is_hidden() {
            self.note(&format!("fetching {name} ({})", HumanBytes(size)));
        }
    }

    /// The current file goes on from byte `received`, which was fetched earlier.
    pub(super) fn resume_at(&self, received: u64) {
        self.at(received);
        // Bytes from an earlier run say nothing about how fast the rest will come.
        self.bar.reset_eta();
    }

    /// The current file has arrived up to byte `received`.
    pub(super) fn at(&self, received: u64) {
        self.bar.set_position(self.file_start.get() + received);
    }

    /// Prints a line beside the bar.
    pub(super) fn note(&self, text: &str) {
        let line = text.replace(char::is_control, " ");
        // A pull goes on even when nobody watches it.
        let _ = self.bar.suspend(|| writeln!(io::stderr().lock(), "{line}"));
    }
}

impl Drop for Progress {
    /// Takes the bar off the screen, to leave the line to what is printed next.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
