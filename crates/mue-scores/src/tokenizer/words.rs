//! Words, and the contractions that come apart.

use super::characters::{is_apostrophe, is_letter, is_loose_apostrophe, is_space, is_word_part};
use super::scan::{Found, Text};

/// Spellings of two words in one, with the length of the first.
const ASSIMILATIONS: [(&str, usize); 8] = [
    ("cannot", 3),
    ("'twas", 2),
    ("'tis", 2),
    ("gonna", 3),
    ("gotta", 3),
    ("lemme", 3),
    ("gimme", 3),
    ("wanna", 3),
];

/// What may follow the apostrophe of a contraction.
const CLITICS: [&str; 6] = ["re", "ve", "ll", "s", "d", "m"];

/// `cannot`, `gonna`: the first half.
pub(super) fn assimilation(text: &Text, start: usize) -> Option<Found> {
    ASSIMILATIONS.iter().find_map(|(spelling, first)| {
        let seen = text.spelled(start, spelling)?;
        Some(Found { end: start + first, seen })
    })
}

/// Where a word ends: letters and digits from a letter on, with `.`, `!` or `?` between letters.
pub(super) fn word_end(text: &Text, start: usize) -> Option<usize> {
    if !is_letter(text.at(start)) {
        return None;
    }
    let mut end = text.run(start, is_word_part);
    while matches!(text.at(end), '.' | '!' | '?') && is_letter(text.at(end + 1)) {
        end = text.run(end + 1, is_word_part);
    }
    Some(end)
}

/// A word.
pub(super) fn word(text: &Text, start: usize) -> Option<Found> {
    word_end(text, start).map(Found::plain)
}

/// Where `'s`, `'ll` and their like end.
fn clitic_end(text: &Text, start: usize) -> Option<usize> {
    if !is_apostrophe(text.at(start)) {
        return None;
    }
    CLITICS.iter().find_map(|clitic| text.spelled(start + 1, clitic))
}

/// The word before `'s`, `'ll` and their like.
pub(super) fn before_clitic(text: &Text, start: usize) -> Option<Found> {
    let end = word_end(text, start)?;
    Some(Found { end, seen: clitic_end(text, end)? })
}

/// `'s` and its like. After the straight apostrophe only where no letter follows: it may open a
/// quotation, which the curly one never does (`’dog’` begins with `’d`).
pub(super) fn clitic(text: &Text, start: usize) -> Option<Found> {
    let end = clitic_end(text, start)?;
    if text.at(start) != '\'' {
        return Some(Found::plain(end));
    }
    (!text.at(end).is_ascii_alphabetic()).then_some(Found { end, seen: end + 1 })
}

/// Where `n't` ends.
fn not_end(text: &Text, start: usize) -> Option<usize> {
    let is_there = text.spelled(start, "n").is_some() && is_loose_apostrophe(text.at(start + 1));
    if is_there { text.spelled(start + 2, "t") } else { None }
}

/// The word before `n't`. It does not end in `n`.
pub(super) fn before_not(text: &Text, start: usize) -> Option<Found> {
    let letters_end = text.run(start, |c| c.is_ascii_alphabetic());
    let end = letters_end.checked_sub(1).filter(|end| *end > start)?;
    if text.at(end - 1).eq_ignore_ascii_case(&'n') {
        return None;
    }
    Some(Found { end, seen: not_end(text, end)? })
}

/// `n't`, where no letter follows.
pub(super) fn not_alone(text: &Text, start: usize) -> Option<Found> {
    let end = not_end(text, start)?;
    (!text.at(end).is_ascii_alphabetic()).then_some(Found { end, seen: end + 1 })
}

/// A word, number or compound keeps a full stop that stands before `,`, `;` or `:`.
pub(super) fn before_mark(text: &Text, start: usize) -> Option<Found> {
    let stop = [super::compounds::dotted_end, super::compounds::hyphenated_end, word_end]
        .iter()
        .filter_map(|end_of| end_of(text, start))
        .max()?;
    let is_kept = text.at(stop) == '.' && matches!(text.at(stop + 1), ',' | ';' | ':' | '\u{3001}');
    is_kept.then_some(Found { end: stop + 1, seen: stop + 2 })
}

/// Whether a place is the end of a line, a space or another blank.
pub(super) fn is_blank(text: &Text, place: usize) -> bool {
    is_space(text.at(place))
}
