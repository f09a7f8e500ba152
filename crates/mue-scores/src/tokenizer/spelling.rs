//! How a token is written in the evaluation, and which are dropped.

use super::characters::{is_apostrophe, is_loose_apostrophe, is_symbol, is_word_part};

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
    if is_dash || is_all(|c| c == '.') || is_all(is_loose_apostrophe) {
        return None;
    }
    if first == '&' && second.is_ascii_lowercase() {
        return spell_entity(token);
    }
    // Contractions are written with the straight apostrophe, other words as they are.
    let is_straight = is_clitic(token);
    let written = token.to_lowercase().chars().fold(String::new(), |mut written, c| {
        match c {
            '\u{ad}' => {}
            '(' => written.push_str("-lrb-"),
            ')' => written.push_str("-rrb-"),
            // A word holds no space: readers split at them.
            ' ' => written.push('\u{a0}'),
            '\u{2019}' if is_straight => written.push('\''),
            other => written.push(other),
        }
        written
    });
    Some(written)
}

/// `'s` and `n't` with any apostrophe.
fn is_clitic(token: &str) -> bool {
    let plain: String = token.chars().map(|c| if is_apostrophe(c) { '\'' } else { c }).collect();
    let lower = plain.to_ascii_lowercase();
    matches!(lower.as_str(), "'s" | "'d" | "'m" | "'re" | "'ve" | "'ll" | "n't")
}

fn spell_entity(token: &str) -> Option<String> {
    match token {
        "&amp;" => Some("&".to_owned()),
        "&lt;" => Some("<".to_owned()),
        "&gt;" => Some(">".to_owned()),
        _ => None,
    }
}
