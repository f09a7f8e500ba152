//! Numbers, dates and fractions.

use super::characters::is_digit;
use super::scan::{Found, Text};

/// Digits with `.`, `,` or `:` before or between them, and a sign before them.
pub(super) fn number(text: &Text, start: usize) -> Option<Found> {
    let first = start + usize::from(matches!(text.at(start), '+' | '-'));
    let mut end = text.run(first, is_digit);
    while matches!(text.at(end), '.' | ',' | ':' | '\u{ad}' | '\u{66b}' | '\u{66c}')
        && is_digit(text.at(end + 1))
    {
        end = text.run(end + 1, is_digit);
    }
    (end > first).then_some(Found::plain(end))
}

/// Where a run of at most `longest` digits ends. Empty runs are none.
fn digits(text: &Text, start: usize, longest: usize) -> Option<usize> {
    let end = text.run(start, is_digit).min(start + longest);
    (end > start).then_some(end)
}

/// `12/25/2014`, `12-25-14`.
pub(super) fn date(text: &Text, start: usize) -> Option<Found> {
    let part = |from: usize, longest: usize| {
        let is_parted = matches!(text.at(from), '-' | '/');
        if is_parted { digits(text, from + 1, longest) } else { None }
    };
    let first = digits(text, start, 2)?;
    let second = part(first, 2)?;
    let third = part(second, 4)?;
    (third - second > 2).then_some(Found::plain(third))
}

/// `1/2`, or `1 1/2` and `1-1/2` with the whole number before it.
pub(super) fn fraction(text: &Text, start: usize) -> Option<Found> {
    let simple = |from: usize| {
        let above = digits(text, from, 4)?;
        let is_fraction = matches!(text.at(above), '/' | '\u{2044}');
        if is_fraction { digits(text, above + 1, 4) } else { None }
    };
    let mixed = || {
        let whole = digits(text, start, 4)?;
        if matches!(text.at(whole), '-' | ' ' | '\u{a0}') { simple(whole + 1) } else { None }
    };
    mixed().max(simple(start)).map(Found::plain)
}

/// A run of raised or lowered digits.
pub(super) fn raised(text: &Text, start: usize) -> Option<Found> {
    let end = text.run(start, |c| {
        matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}')
    });
    (end > start).then_some(Found::plain(end))
}
