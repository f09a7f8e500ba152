//! Words that keep their full stop.

use super::characters::{is_digit, is_space};
use super::scan::{Found, Text};

/// Abbreviations in any case that may end a sentence.
const ENDING: &[&str] = &[
    "al", "ala", "apr", "ariz", "assn", "aug", "bancorp", "bhd", "bldg", "blvd", "bros", "calif",
    "co", "colo", "conn", "corp", "cos", "ct", "dak", "dec", "ed.d", "esq", "est", "etc", "ext",
    "feb", "fla", "fri", "ga", "inc", "ind", "intl", "jan", "jr", "jul", "jun", "kan", "kans",
    "ky", "ltd", "mar", "md", "mich", "minn", "mo", "mon", "mont", "neb", "nev", "nov", "oct",
    "okla", "penn", "ph.d", "plc", "ppty", "pte", "pty", "rd", "rt", "sep", "sept", "seq", "sq",
    "sr", "sys", "tel", "tenn", "thu", "thurs", "tue", "tues", "univ", "va", "vt", "wed", "wis",
    "wisc", "wyo",
];

/// Abbreviations in any case that stand before a name or number, as titles do.
const LEADING: &[&str] = &[
    "adj", "adm", "adv", "alex", "assoc", "asst", "atty", "attys", "ave", "brig", "capt", "cf",
    "cie", "cmdr", "col", "comdr", "cpl", "dept", "det", "dr", "drs", "elec", "ens", "ft", "gen",
    "gov", "govs", "hon", "insp", "invt", "jos", "lieut", "lt", "maj", "messrs", "mfg", "mlle",
    "mme", "mr", "mrs", "ms", "msgr", "mt", "mtg", "natl", "pfc", "ph", "pres", "prof", "profs",
    "pvt", "rep", "reps", "rev", "sen", "sens", "sfc", "sgt", "spc", "st", "ste", "supt", "supts",
    "treas", "vs", "wm",
];

/// Abbreviations with a capital only: in lower case they are words. They may end a sentence.
const CAPITALISED: &[&str] =
    &["Ark", "Az", "Del", "Ill", "La", "Mass", "Miss", "Ore", "Pa", "Tex", "Wash"];

/// Abbreviations before a number only.
const BEFORE_NUMBER: &[&str] = &["art", "ca", "fig", "figs", "no", "nos", "op", "pp", "prop"];

/// Words that begin a sentence: a single letter with a full stop before one of them is a letter and
/// a full stop, not an initial.
const BEGINNINGS: &[&str] = &[
    "A",
    "About",
    "According",
    "Additionally",
    "After",
    "An",
    "As",
    "At",
    "But",
    "Earlier",
    "He",
    "Her",
    "Here",
    "However",
    "If",
    "In",
    "It",
    "Last",
    "Many",
    "More",
    "Mr.",
    "Ms.",
    "Now",
    "Once",
    "One",
    "Other",
    "Our",
    "She",
    "Since",
    "So",
    "Some",
    "Such",
    "That",
    "The",
    "Their",
    "Then",
    "There",
    "These",
    "They",
    "This",
    "We",
    "When",
    "While",
    "What",
    "Yet",
    "You",
];

/// The letters (and inner full stops) at a place, where a full stop follows them.
fn before_stop(text: &Text, start: usize) -> Option<(String, usize)> {
    let mut end = text.run(start, |c| c.is_ascii_alphabetic());
    // The full stop of `Ph.D.`
    if text.at(end) == '.' && text.at(end + 1).eq_ignore_ascii_case(&'d') && text.at(end + 2) == '.'
    {
        end += 2;
    }
    (end > start && text.at(end) == '.').then(|| (text.slice(start, end), end + 1))
}

/// `mr.`, `st.`, `etc.` One that may end a sentence sees two characters of the next, so that it wins
/// over a word of one letter after the full stop (`etc.a`).
pub(super) fn abbreviation(text: &Text, start: usize) -> Option<Found> {
    let (word, end) = before_stop(text, start)?;
    let lower = word.to_ascii_lowercase();
    let is_ending = ENDING.contains(&lower.as_str())
        || CAPITALISED.iter().any(|known| word == *known || word == known.to_ascii_uppercase());
    let seen = if is_ending { end + 2 } else { end };
    (is_ending || LEADING.contains(&lower.as_str())).then_some(Found { end, seen })
}

/// `no. 5`, `fig.2`
pub(super) fn before_number(text: &Text, start: usize) -> Option<Found> {
    let (word, end) = before_stop(text, start)?;
    let digit = end + usize::from(is_space(text.at(end)));
    let is_known = BEFORE_NUMBER.contains(&word.to_ascii_lowercase().as_str());
    (is_known && is_digit(text.at(digit))).then_some(Found { end, seen: digit + 1 })
}

/// Letters with a full stop after each: `u.s.`, `a.m.`, `j.`
pub(super) fn acronym(text: &Text, start: usize) -> Option<Found> {
    let mut end = start;
    while text.at(end).is_ascii_alphabetic() && text.at(end + 1) == '.' {
        end += 2;
    }
    if end == start {
        return None;
    }
    let is_letter_alone = end == start + 2 && is_sentence_next(text, end);
    Some(Found { end: if is_letter_alone { start + 1 } else { end }, seen: end })
}

/// Whether a new sentence begins after white space. The end of the caption counts as one.
fn is_sentence_next(text: &Text, stop: usize) -> bool {
    let next = text.run(stop, is_space);
    if text.at(next) == '\n' {
        return true;
    }
    let end = text.run(next, |c| !is_space(c));
    next > stop && BEGINNINGS.contains(&text.slice(next, end).as_str())
}
