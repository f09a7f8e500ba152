//! How a failed command speaks to its user: what went wrong, why, and how to mend it.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

/// Exit code when the user has to change something: an argument, a file, a setting.
const USER_ERROR: u8 = 2;
const FAILURE: u8 = 1;

/// An error together with its remedy and the exit code it deserves.
#[derive(Debug)]
struct Explained {
    error: anyhow::Error,
    remedy: String,
    exit_code: u8,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// An error that the user can mend: a bad file, a bad argument, a missing device.
pub(crate) fn user_error(
    error: impl Into<anyhow::Error>,
    remedy: impl Into<String>,
) -> anyhow::Error {
    let (error, remedy) = (error.into(), remedy.into());
    Explained { error, remedy, exit_code: USER_ERROR }.into()
}

/// An error that is not the user's, but that the user can do something about.
pub(crate) fn failure(error: impl Into<anyhow::Error>, remedy: impl Into<String>) -> anyhow::Error {
    let (error, remedy) = (error.into(), remedy.into());
    Explained { error, remedy, exit_code: FAILURE }.into()
}

/// Prints `error` as one line on standard error.
///
/// Returns the exit code of the process.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // Nobody is left to be told when standard error is closed too.
    let _ = writeln!(io::stderr().lock(), "error: {}", line(error));
    ExitCode::from(exit_code(error))
}

/// The exit code that an error deserves.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Explained>().map_or(FAILURE, |known| known.exit_code)
}

/// Prints what is wrong with the arguments as one line, or the help that they ask for.
///
/// Returns the exit code of the process.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // A command line that names no command asks for help too.
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_help || !error.use_stderr() {
        error.exit();
    }
    let _ = writeln!(io::stderr().lock(), "{}", usage_line(&error.to_string()));
    ExitCode::from(USER_ERROR)
}

/// What clap says in several paragraphs, without its last ones on how the command is used.
fn usage_line(text: &str) -> String {
    let is_told = |part: &&str| !["Usage:", "For more"].iter().any(|start| part.starts_with(start));
    let joined = |part: &str| part.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let parts: Vec<String> = text.trim().split("\n\n").filter(is_told).map(joined).collect();
    format!("{}; `--help` says what can be given", parts.join("; ")).replace(char::is_control, " ")
}

/// `what went wrong: cause; how to mend it`, free of line breaks and terminal escapes, since
/// parts of it may come from a server or a file.
fn line(error: &anyhow::Error) -> String {
    let mut line = format!("{error:#}");
    if let Some(known) = error.downcast_ref::<Explained>() {
        line.push_str("; ");
        line.push_str(&known.remedy);
    }
    line.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_arguments_is_one_line() {
        let text = "error: invalid value 'up' for '--to <HOW>'\n  [possible values: off, on]\n\n  \
                    tip: a similar value exists: 'on'\n\nUsage: mue [OPTIONS]\n\nFor more \
                    information, try '--help'.\n";
        assert_eq!(
            usage_line(text),
            "error: invalid value 'up' for '--to <HOW>' [possible values: off, on]; tip: a similar \
             value exists: 'on'; `--help` says what can be given"
        );
    }

    #[test]
    fn the_line_names_error_cause_and_remedy() {
        let cause = io::Error::other("bad\nmagic \u{1b}[31mnumber");
        let error = anyhow::Error::new(cause).context("cannot read cat.png");
        let error = user_error(error, "convert the image to PNG").context("cannot caption");
        assert_eq!(
            line(&error),
            "cannot caption: cannot read cat.png: bad magic  [31mnumber; convert the image to PNG"
        );
    }
}
