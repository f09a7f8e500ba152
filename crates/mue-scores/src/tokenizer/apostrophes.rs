//! Words that hold, begin or end with an apostrophe.

use super::characters::{is_apostrophe, is_letter, is_loose_apostrophe};
use super::scan::{Found, Text};
use super::words::{is_blank, word_end};

/// Words that keep a straight apostrophe and that no other rule keeps whole.
const LISTED: [&str; 7] = ["c'mon", "e'er", "nor'easter", "s'mores", "ev'ry", "li'l", "nat'l"];

/// Words that keep the apostrophe they end with, curly or not.
const CLIPPED: [&str; 2] = ["ol'", "dunkin'"];

/// What an apostrophe may stand before to begin a word. `n` may have a second one.
const SHORTENED: [&str; 6] = ["n'", "n", "em", "till", "til", "cause"];

/// `O'Neil`, `D'Avignon`: a capital (but I or Y) or n, an apostrophe and at least two letters.
pub(super) fn name(text: &Text, start: usize) -> Option<Found> {
    let is_initial = matches!(text.at(start), 'A'..='H' | 'J'..='X' | 'Z' | 'n');
    if !is_initial || !is_loose_apostrophe(text.at(start + 1)) {
        return None;
    }
    let end = text.run(start + 2, is_letter);
    (end >= start + 4).then_some(Found::plain(end))
}

/// `ma'am`, `go'in`: at least two letters of which the last is a vowel, then a vowel or a capital.
pub(super) fn between_vowels(text: &Text, start: usize) -> Option<Found> {
    let stem_end = text.run(start, is_letter);
    if stem_end < start + 2 || !is_loose_apostrophe(text.at(stem_end)) {
        return None;
    }
    let is_vowel =
        matches!(text.at(stem_end - 1).to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
    let is_next = matches!(text.at(stem_end + 1), 'a' | 'e' | 'i' | 'o' | 'u' | 'A'..='Z');
    (is_vowel && is_next).then(|| Found::plain(text.run(stem_end + 1, is_letter)))
}

/// Listed words, `'em` and its like, `o'o`, and the `l'` and `d'` of French and Italian.
pub(super) fn listed(text: &Text, start: usize) -> Option<Found> {
    let shortened = || {
        let is_shortened = is_apostrophe(text.at(start));
        let decade = matches!(text.at(start + 1), '2'..='9')
            .then(|| text.spelled(start + 2, "0s"))
            .flatten();
        let ends = SHORTENED.iter().filter_map(|rest| spelled_loosely(text, start + 1, rest));
        if is_shortened { ends.chain(decade).max() } else { None }
    };
    let elided = || {
        let is_there = matches!(text.at(start).to_ascii_lowercase(), 'l' | 'd' | 'j');
        (is_there && is_apostrophe(text.at(start + 1))).then_some(start + 2)
    };
    let doubled = || {
        let middle = text.spelled(start, "o").filter(|at| is_loose_apostrophe(text.at(*at)))?;
        text.spelled(middle + 1, "o")
    };
    let whole = LISTED.iter().filter_map(|word| text.spelled(start, word));
    let clipped = CLIPPED.iter().filter_map(|word| spelled_loosely(text, start, word));
    let longest = whole.chain(clipped).max().max(shortened()).max(elided()).max(doubled());
    longest.map(Found::plain)
}

/// Where a fixed spelling ends, if it is there in any case and with any apostrophes.
fn spelled_loosely(text: &Text, start: usize, lower: &str) -> Option<usize> {
    let is_there = lower.chars().zip(start..).all(|(expected, place)| {
        let found = text.at(place);
        found.to_ascii_lowercase() == expected || (expected == '\'' && is_apostrophe(found))
    });
    is_there.then(|| start + lower.chars().count())
}

/// The `y'` of `y'all`.
pub(super) fn before_word(text: &Text, start: usize) -> Option<Found> {
    let is_there = text.spelled(start, "y").is_some() && is_apostrophe(text.at(start + 1));
    let seen = if is_there { word_end(text, start + 2)? } else { return None };
    Some(Found { end: start + 2, seen })
}

/// `'99` before white space.
pub(super) fn year(text: &Text, start: usize) -> Option<Found> {
    let is_year = is_apostrophe(text.at(start))
        && text.at(start + 1).is_ascii_digit()
        && text.at(start + 2).is_ascii_digit()
        && is_blank(text, start + 3);
    is_year.then_some(Found { end: start + 3, seen: start + 4 })
}
