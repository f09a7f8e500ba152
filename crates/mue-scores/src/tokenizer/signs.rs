//! Punctuation, quotation marks and other signs.

use super::characters::{
    is_apostrophe, is_letter, is_loose_apostrophe, is_quotation_mark, is_space, is_word_part,
};
use super::scan::{Found, Text};

/// A pair of straight single quotation marks is a double one.
pub(super) fn double_quote(text: &Text, start: usize) -> Option<Found> {
    let is_pair = text.at(start) == '\'' && text.at(start + 1) == '\'';
    let end = if is_pair { start + 2 } else { start + 1 };
    if !is_pair && text.at(start) != '"' {
        return None;
    }
    let is_opening = is_word_part(text.at(end)) || text.at(end) == '$';
    Some(Found { end, seen: end + usize::from(is_opening) })
}

/// Two quotation marks in a row, straight ones aside, are one sign: the end of `“a ‘b’”`.
pub(super) fn quote_pair(text: &Text, start: usize) -> Option<Found> {
    let is_pair = is_quotation_mark(text.at(start)) && is_quotation_mark(text.at(start + 1));
    is_pair.then(|| Found::plain(start + 2))
}

/// A single quotation mark. It sees two characters of a word that it opens, so that it wins over
/// shortened words. Of the two apostrophes only the straight one opens words.
pub(super) fn quote(text: &Text, start: usize) -> Option<Found> {
    if !is_loose_apostrophe(text.at(start)) {
        return None;
    }
    let is_closing = text.at(start) != '\'' && is_apostrophe(text.at(start));
    let is_opening = !is_closing && is_letter(text.at(start + 1)) && !is_space(text.at(start + 2));
    Some(Found { end: start + 1, seen: start + if is_opening { 3 } else { 1 } })
}

/// Repeated `?` and `!`, dots, dashes, stars, `#`, `@`, `_`, `<` and `>` are one sign.
pub(super) fn run(text: &Text, start: usize) -> Option<Found> {
    let sign = text.at(start);
    let same = text.run(start, |c| c == sign);
    let end = match sign {
        '?' | '!' => text.run(start, |c| matches!(c, '?' | '!')),
        '-' | '*' | '#' | '@' | '_' => same,
        '.' if same >= start + 3 => same.min(start + 5),
        '<' | '>' => same.min(start + 2),
        _ => return None,
    };
    Some(Found::plain(end))
}

/// `US$`: capitals before a dollar sign belong to it.
pub(super) fn dollar(text: &Text, start: usize) -> Option<Found> {
    let end = text.run(start, |c| c.is_ascii_uppercase());
    (text.at(end) == '$').then_some(Found::plain(end + 1))
}

/// `@name`, `#topic`.
pub(super) fn mention(text: &Text, start: usize) -> Option<Found> {
    let is_name_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let end = match text.at(start) {
        '#' => text.run(start + 1, is_letter),
        '@' if is_name_start(text.at(start + 1)) => {
            text.run(start + 1, |c| is_name_start(c) || c.is_ascii_digit())
        }
        _ => start,
    };
    (end > start + 1).then_some(Found::plain(end))
}

/// Faces such as `:)` and `;-D`, before anything but a letter or digit.
pub(super) fn face(text: &Text, start: usize) -> Option<Found> {
    let eyes = start + usize::from(matches!(text.at(start), '<' | '>'));
    if !matches!(text.at(eyes), ':' | ';' | '=') {
        return None;
    }
    let mouth = eyes + 1 + usize::from(matches!(text.at(eyes + 1), '-' | 'o' | '*' | '\''));
    let is_mouth = matches!(
        text.at(mouth),
        '(' | ')' | 'D' | 'P' | 'd' | 'p' | 'O' | '\\' | '{' | '@' | '|' | '[' | ']'
    );
    let is_alone = !text.at(mouth + 1).is_ascii_alphanumeric();
    (is_mouth && is_alone).then_some(Found { end: mouth + 1, seen: mouth + 2 })
}

/// `c++`, `C#`, `f#`.
pub(super) fn language(text: &Text, start: usize) -> Option<Found> {
    ["c++", "c#", "f#"].iter().find_map(|name| text.spelled(start, name)).map(Found::plain)
}

/// The character entities that the tokenizer knows as signs.
pub(super) fn entity(text: &Text, start: usize) -> Option<Found> {
    ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&nbsp;"]
        .iter()
        .find_map(|entity| text.spelled(start, entity))
        .map(Found::plain)
}

/// A markup tag: `<unk>`, `</b>`, `<a href="x">`, `<!-- x -->`.
pub(super) fn tag(text: &Text, start: usize) -> Option<Found> {
    if text.at(start) != '<' {
        return None;
    }
    let end = match text.at(start + 1) {
        '!' | '?' => text.run(start + 2, |c| !matches!(c, '>' | '\n' | '\r')),
        '/' => attributes_end(text, name_end(text, start + 2)?),
        _ => attributes_end(text, name_end(text, start + 1)?),
    };
    (text.at(end) == '>').then_some(Found::plain(end + 1))
}

fn name_end(text: &Text, start: usize) -> Option<usize> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    text.at(start).is_ascii_alphabetic().then(|| text.run(start, is_name))
}

/// Where names, with a quoted value or none, and a closing slash end.
fn attributes_end(text: &Text, start: usize) -> usize {
    let mut end = start;
    loop {
        let next = text.run(end, |c| c == ' ');
        let Some(name) = name_end(text, next).filter(|_| next > end) else {
            return next + usize::from(text.at(next) == '/');
        };
        end = quoted_end(text, name).unwrap_or(name);
    }
}

fn quoted_end(text: &Text, start: usize) -> Option<usize> {
    let mark = text.at(start + 1);
    if text.at(start) != '=' || !matches!(mark, '"' | '\'') {
        return None;
    }
    let end = text.run(start + 2, |c| c != mark && c != '\n');
    (text.at(end) == mark).then_some(end + 1)
}
