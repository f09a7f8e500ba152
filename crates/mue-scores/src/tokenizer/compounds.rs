//! Words joined by hyphens, slashes and ampersands.

use super::characters::{is_hyphen, is_loose_apostrophe, is_word_part};
use super::scan::{Found, Text};

/// Where `d'Avignon`, `o'clock` or plain letters and digits end.
fn part_end(text: &Text, start: usize) -> Option<usize> {
    let is_prefixed = matches!(text.at(start).to_ascii_lowercase(), 'd' | 'o' | 'l')
        && is_loose_apostrophe(text.at(start + 1))
        && is_word_part(text.at(start + 2))
        && is_word_part(text.at(start + 3));
    let from = if is_prefixed { start + 2 } else { start };
    let end = text.run(from, is_word_part);
    (end > from).then_some(end)
}

/// Where parts that are joined by single hyphens or underscores end.
pub(super) fn hyphenated_end(text: &Text, start: usize) -> Option<usize> {
    let mut end = part_end(text, start)?;
    while is_hyphen(text.at(end)) {
        let Some(next) = part_end(text, end + 1) else { break };
        end = next;
    }
    Some(end)
}

/// `black-and-white`, `3-year-old`, `o'clock`, `2nd`.
pub(super) fn hyphenated(text: &Text, start: usize) -> Option<Found> {
    hyphenated_end(text, start).map(Found::plain)
}

/// Where initials with full stops (`u.s.`, at least two) end.
fn initials_end(text: &Text, start: usize) -> Option<usize> {
    let mut end = start;
    while text.at(end).is_ascii_alphabetic() && text.at(end + 1) == '.' {
        end += 2;
    }
    (end >= start + 4).then_some(end)
}

/// Where a hyphenated word whose first part may hold full stops and commas ends.
pub(super) fn dotted_end(text: &Text, start: usize) -> Option<usize> {
    if !text.at(start).is_ascii_alphanumeric() {
        return None;
    }
    let first = text.run(start, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | ','));
    let mut end = first;
    while text.at(end) == '-' {
        let plain = text.run(end + 1, |c| c.is_ascii_alphanumeric());
        let next = initials_end(text, end + 1).unwrap_or(plain).max(plain);
        if next == end + 1 {
            break;
        }
        end = next;
    }
    (end > first).then_some(end)
}

/// `10.5-foot`, `u.s.-based`, `pre-u.s.`.
pub(super) fn dotted(text: &Text, start: usize) -> Option<Found> {
    let treebank = || text.spelled(start, "pro-").or_else(|| text.spelled(start, "anti-"));
    dotted_end(text, start).max(treebank()).map(Found::plain)
}

/// `and/or`, `black-and-white/colour`: one or two slashes, at most two hyphens in each part.
pub(super) fn slashed(text: &Text, start: usize) -> Option<Found> {
    let part = |from: usize| {
        let mut end = text.run(from, |c| c.is_ascii_alphanumeric());
        if end == from {
            return None;
        }
        for _ in 0..2 {
            let next = text.run(end + 1, |c| c.is_ascii_alphabetic());
            if text.at(end) == '-' && next > end + 1 {
                end = next;
            }
        }
        Some(end)
    };
    let first = part(start)?;
    let mut end = first;
    for _ in 0..2 {
        if text.at(end) == '/' {
            end = part(end + 1).unwrap_or(end);
        }
    }
    (end > first).then_some(Found::plain(end))
}

/// `AT&T`, `A+B`: capitals only.
pub(super) fn anded(text: &Text, start: usize) -> Option<Found> {
    let first = text.run(start, |c| c.is_ascii_uppercase());
    let mut end = first;
    while first > start && matches!(text.at(end), '&' | '+') {
        let next = text.run(end + 1, |c| c.is_ascii_uppercase());
        if next == end + 1 {
            break;
        }
        end = next;
    }
    (end > first).then_some(Found::plain(end))
}
