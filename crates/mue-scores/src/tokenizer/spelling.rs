//! How a token is written in the evaluation, and which are dropped.

use super::characters::{is_quotation_mark, is_symbol, is_word_part};

/// The word that a token is counted as; none for punctuation and for what only separates.
pub(super) fn spell(token: &str) -> Option<String> {
    let mut characters = token.chars();
    match (characters.next()?, characters.next()) {
        (single, None) => spell_sign(single),
        (first, Some(second)) => spell_longer(token, first, second),
    }
}

/// Tokens of one character.
fn spell_sign(sign: char) -> Option<String> {
    let written = match sign {
        '(' => "-lrb-",
        ')' => "-rrb-",
        '{' => "-lcb-",
        '}' => "-rcb-",
        '[' => "-lsb-",
        ']' => "-rsb-",
        '¢' => "cents",
        '£' => "#",
        '¤' | '€' | '\u{20a0}' => "$",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '⅓' => "1/3",
        '⅔' => "2/3",
        '.' | '?' | '!' | ',' | ':' | ';' | '-' | '"' | '\'' | '`' | '\u{ad}' => return None,
        other if other.is_ascii_graphic() || is_word_part(other) || is_symbol(other) => {
            return Some(other.to_lowercase().to_string());
        }
        _ => return None,
    };
    Some(written.to_owned())
}

/// Tokens of several characters.
fn spell_longer(token: &str, first: char, second: char) -> Option<String> {
    let is_all = |is_kind: fn(char) -> bool| token.chars().all(is_kind);
    let is_dash = is_all(|c| c == '-') && token.len() <= 4;
    if is_dash || is_all(|c| c == '.') {
        return None;
    }
    if is_all(|c| c == '\'' || is_quotation_mark(c)) {
        return spell_quotes(token);
    }
    if first == '&' && second.is_ascii_alphabetic() {
        return spell_entity(token);
    }
    let plain = straightened(&token.to_lowercase());
    if matches!(plain.as_str(), "'s" | "'d" | "'m" | "'re" | "'ve" | "'ll" | "n't" | "n`t") {
        return Some(plain);
    }
    // Words that are no contractions keep the apostrophe they have.
    let written = token.to_lowercase().chars().fold(String::new(), |mut written, c| {
        match c {
            '\u{ad}' => {}
            '(' => written.push_str("-lrb-"),
            ')' => written.push_str("-rrb-"),
            // A word holds no space: readers split at them.
            ' ' => written.push('\u{a0}'),
            other => written.push(other),
        }
        written
    });
    Some(written)
}

/// A token with its quotation marks and apostrophes in ASCII. The low ones have no such spelling.
fn straightened(token: &str) -> String {
    token.chars().fold(String::new(), |mut written, c| {
        match c {
            '`' | '\u{91}' | '\u{2018}' | '\u{201b}' | '\u{2039}' => written.push('`'),
            '\'' | '\u{92}' | '\u{2019}' | '\u{203a}' => written.push('\''),
            '\u{93}' | '\u{201c}' | '«' => written.push_str("``"),
            '\u{94}' | '\u{201d}' | '»' => written.push_str("''"),
            other => written.push(other),
        }
        written
    })
}

/// Two quotation marks. They are punctuation where they make up a double one, and else a word.
fn spell_quotes(token: &str) -> Option<String> {
    let written = straightened(token);
    (written != "''" && written != "``").then_some(written)
}

/// A character entity that the tokenizer knows. In capitals quotation marks are words.
fn spell_entity(token: &str) -> Option<String> {
    let lower = token.to_ascii_lowercase();
    match lower.as_str() {
        "&amp;" => Some("&".to_owned()),
        "&lt;" => Some("<".to_owned()),
        "&gt;" => Some(">".to_owned()),
        "&nbsp;" => None,
        _ => (lower != token).then_some(lower),
    }
}
