//! The scanner: which rule cuts the next token.

use super::characters::is_space;
use super::{abbreviations, apostrophes, compounds, numbers, signs, words};

/// The characters of one caption. Beyond the last one lies an endless line break.
pub(super) struct Text {
    characters: Vec<char>,
}

impl Text {
    /// The character at a place.
    pub(super) fn at(&self, place: usize) -> char {
        self.characters.get(place).copied().unwrap_or('\n')
    }

    /// Where a run of characters of one kind that starts at `start` ends.
    pub(super) fn run(&self, start: usize, is_kind: impl Fn(char) -> bool) -> usize {
        let rest = self.characters.get(start..).unwrap_or_default();
        start + rest.iter().take_while(|c| is_kind(**c)).count()
    }

    /// Where a fixed lower-case spelling that starts at `start` ends, if it is there in any case.
    pub(super) fn spelled(&self, start: usize, lower: &str) -> Option<usize> {
        let mut place = start;
        for expected in lower.chars() {
            if self.at(place).to_ascii_lowercase() != expected {
                return None;
            }
            place += 1;
        }
        Some(place)
    }

    /// The characters from one place up to another.
    pub(super) fn slice(&self, start: usize, end: usize) -> String {
        self.characters.get(start..end).unwrap_or_default().iter().collect()
    }

    fn len(&self) -> usize {
        self.characters.len()
    }
}

/// What a rule found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where the token ends.
    pub(super) end: usize,
    /// Where the last character that the rule looked at ends. The furthest wins.
    pub(super) seen: usize,
}

impl Found {
    /// A token that was cut without looking beyond it.
    pub(super) fn plain(end: usize) -> Self {
        Self { end, seen: end }
    }
}

/// A rule: given a place, the token that starts there.
pub(super) type Rule = fn(&Text, usize) -> Option<Found>;

/// All rules. Where two see equally far, the earlier one wins.
const RULES: &[Rule] = &[
    words::assimilation,
    signs::tag,
    signs::entity,
    signs::language,
    words::before_clitic,
    words::before_not,
    words::word,
    apostrophes::name,
    apostrophes::listed,
    apostrophes::between_vowels,
    apostrophes::before_word,
    words::clitic,
    words::not_alone,
    signs::mention,
    numbers::date,
    numbers::number,
    numbers::raised,
    numbers::fraction,
    compounds::slashed,
    signs::dollar,
    abbreviations::abbreviation,
    abbreviations::before_number,
    abbreviations::acronym,
    words::before_mark,
    apostrophes::year,
    signs::double_quote,
    signs::quote_pair,
    signs::face,
    signs::run,
    compounds::dotted,
    compounds::hyphenated,
    compounds::anded,
    signs::quote,
];

/// Cuts a caption into the tokens of the Penn Treebank tokenizer, as they are spelled in it.
pub(super) struct Scanner {
    text: Text,
    place: usize,
}

impl Scanner {
    pub(super) fn new(caption: &str) -> Self {
        Self { text: Text { characters: caption.chars().collect() }, place: 0 }
    }

    fn cut(&self) -> Found {
        let mut best = Found::plain(self.place + 1);
        let mut is_any = false;
        for rule in RULES {
            if let Some(found) = rule(&self.text, self.place)
                && (!is_any || found.seen > best.seen)
            {
                best = found;
                is_any = true;
            }
        }
        // A rule may look at the line break after the caption but never cut it.
        Found { end: best.end.clamp(self.place + 1, self.text.len()), ..best }
    }
}

impl Iterator for Scanner {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.place = self.text.run(self.place, is_space);
        if self.place >= self.text.len() {
            return None;
        }
        let start = self.place;
        self.place = self.cut().end;
        Some(self.text.slice(start, self.place))
    }
}
