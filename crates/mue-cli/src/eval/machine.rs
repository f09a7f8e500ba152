//! Where, when and how something was measured.

use std::time::SystemTime;

/// The processor, if it says its name, and the threads that compute.
pub(super) fn in_words() -> String {
    let threads = mue_engine::threads();
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| processor(&info));
    let processor = processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    match threads {
        1 => format!("1 thread of {processor}"),
        threads => format!("{threads} threads of {processor}"),
    }
}

/// The name in Linux's description of the first processor.
fn processor(info: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The day, in UTC, such as "24 Nov 2026".
pub(super) fn today() -> String {
    day(SystemTime::now())
}

fn day(time: SystemTime) -> String {
    // "Tue, 24 Nov 2026 15:10:58 GMT"
    let words = httpdate::fmt_http_date(time);
    words.split(' ').skip(1).take(3).collect::<Vec<_>>().join(" ")
}

/// What was typed, as a shell would take it again.
pub(super) fn command_line() -> String {
    let args = std::env::args().skip(1).map(|arg| quoted(&arg));
    ["mue".to_owned()].into_iter().chain(args).collect::<Vec<_>>().join(" ")
}

fn quoted(arg: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@%+".contains(c);
    match !arg.is_empty() && arg.chars().all(is_plain) {
        true => arg.to_owned(),
        false => format!("'{}'", arg.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_day_has_no_clock() {
        assert_eq!(day(SystemTime::UNIX_EPOCH), "01 Jan 1970");
        let leap = SystemTime::UNIX_EPOCH + Duration::from_secs(68_169_600);
        assert_eq!(day(leap), "29 Feb 1972");
    }

    #[test]
    fn a_command_can_be_typed_again() {
        let data = "scenes:seed=2,count=1000,split=dev";
        assert_eq!(quoted(data), data);
        assert_eq!(quoted("no exits=a/b"), "'no exits=a/b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_processor_says_its_name() {
        let info = "processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n";
        assert_eq!(processor(info).as_deref(), Some("AMD EPYC"));
        assert_eq!(processor("processor: 0"), None);
    }
}
