//! Which characters are letters, digits, apostrophes, spaces and symbols.

use std::ops::RangeInclusive;

/// Marks and format characters that the tokenizer counts as part of a word.
const WORD_MARKS: &[RangeInclusive<u32>] =
    &[0xad..=0xad, 0x300..=0x36f, 0x483..=0x487, 0x591..=0x5bd, 0x64b..=0x65e, 0x93c..=0x94e];

/// Number-like and circled letters that Unicode calls alphabetic and the tokenizer does not.
const NO_LETTERS: &[RangeInclusive<u32>] = &[0x2160..=0x2188, 0x24b6..=0x24e9];

/// Symbols that are words by themselves. What is in no list only separates.
const SYMBOLS: &[RangeInclusive<u32>] = &[
    0xa1..=0xa9,
    0xac..=0xac,
    0xae..=0xb4,
    0xb6..=0xb9,
    0xbc..=0xbf,
    0xd7..=0xd7,
    0xf7..=0xf7,
    0x37e..=0x37e,
    0x387..=0x387,
    0x589..=0x589,
    0x5be..=0x5be,
    0x60c..=0x60c,
    0x61b..=0x61b,
    0x61e..=0x61f,
    0x66a..=0x66a,
    0x66d..=0x66d,
    0x6d4..=0x6d4,
    0x964..=0x965,
    0xe3f..=0xe3f,
    0x2016..=0x2017,
    0x201a..=0x201a,
    0x201e..=0x2023,
    0x2030..=0x2038,
    0x203b..=0x203b,
    0x203e..=0x2042,
    0x2044..=0x2044,
    0x2070..=0x2070,
    0x2074..=0x207e,
    0x2080..=0x208e,
    0x20a0..=0x20a0,
    0x20a4..=0x20a4,
    0x20ac..=0x20ac,
    0x2100..=0x2101,
    0x2103..=0x2106,
    0x2108..=0x2109,
    0x2114..=0x2114,
    0x2116..=0x2118,
    0x211e..=0x2123,
    0x2125..=0x2125,
    0x2127..=0x2127,
    0x2129..=0x2129,
    0x212e..=0x212e,
    0x213a..=0x213b,
    0x2140..=0x2144,
    0x214a..=0x214d,
    0x214f..=0x214f,
    0x2153..=0x215e,
    0x2190..=0x2bff,
    0x3001..=0x3002,
    0x3012..=0x3012,
    0x30fb..=0x30fb,
    0xff01..=0xff0f,
    0xff1a..=0xff20,
    0xff3b..=0xff40,
    0xff5b..=0xff65,
    0xffe0..=0xffe1,
    0xffe5..=0xffe6,
];

fn is_in(ranges: &[RangeInclusive<u32>], character: char) -> bool {
    ranges.iter().any(|range| range.contains(&u32::from(character)))
}

/// White space, and the invisible characters that count as it.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

/// Letters of every script in the Basic Multilingual Plane, with their marks.
pub(super) fn is_letter(character: char) -> bool {
    character < '\u{10000}'
        && (character.is_alphabetic() || is_in(WORD_MARKS, character))
        && !is_in(NO_LETTERS, character)
}

/// Decimal digits of the scripts that are met in captions.
pub(super) fn is_digit(character: char) -> bool {
    matches!(character,
        '0'..='9' | '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' | '\u{966}'..='\u{96f}' | '\u{ff10}'..='\u{ff19}')
}

/// Letters and digits.
pub(super) fn is_word_part(character: char) -> bool {
    is_letter(character) || is_digit(character)
}

/// The apostrophes of contractions: the straight one, the curly one, and the curly one as a text in
/// Windows' character set has it when it is read as Latin-1.
pub(super) fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '\u{2019}' | '\u{92}')
}

/// What stands for an apostrophe inside a name.
pub(super) fn is_loose_apostrophe(character: char) -> bool {
    is_apostrophe(character) || matches!(character, '`' | '\u{2018}' | '\u{201b}' | '\u{91}')
}

/// Quotation marks, the straight ones aside, that are one sign in pairs.
pub(super) fn is_quotation_mark(character: char) -> bool {
    matches!(character,
        '`' | '\u{91}'..='\u{94}' | '\u{2018}'..='\u{201f}' | '\u{2039}' | '\u{203a}' | '«' | '»')
}

/// What joins words.
pub(super) fn is_hyphen(character: char) -> bool {
    matches!(character, '-' | '_' | '\u{58a}' | '\u{2010}' | '\u{2011}')
}

/// Symbols outside ASCII that are words.
pub(super) fn is_symbol(character: char) -> bool {
    is_in(SYMBOLS, character)
}
