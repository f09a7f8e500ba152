//! The words that the COCO caption evaluation counts.
//!
//! `pycocoevalcap` runs every caption through Stanford's Penn Treebank tokenizer (`CoreNLP` 3.4.1,
//! `PTBTokenizer -preserveLines -lowerCase`) and drops a list of punctuation tokens. That tokenizer
//! is a scanner: at each place the rule that sees furthest wins, the earlier rule on a tie, and
//! some rules look at characters beyond the token they cut. The rules here are a scanner of our own,
//! written from what a later public specification of that tokenizer says and from what version
//! 3.4.1 does, and pinned by the latter (`mue-scores/tests/fixtures/tokenizer.json`).
//!
//! # What it does
//!
//! * Contractions come apart: `isn't` is `is` `n't`, `dog's` is `dog` `'s`, `cannot` is `can` `not`,
//!   `gonna` is `gon` `na`.
//! * Hyphenated words, words with one or two slashes, decimals, clock times and dates stay whole.
//! * Quotation marks, full stops, commas, colons, semicolons, short dashes, single `?` and `!` are
//!   dropped. `?!`, `!!`, `%`, `&`, `#`, `$`, `/` and other symbols are words.
//! * Two curly quotation marks in a row are one token, and a word unless they make up a double one:
//!   `“‘stop’”` is ```` ``` ````, `stop`, `'''`. A curly apostrophe never opens a quotation: `’dog’` is
//!   `'d` `og`.
//! * Brackets are words: `(` is `-lrb-`. The evaluation means to drop them, but its list has the
//!   upper-case spelling and the words are lower-case by then; scores follow what it does.
//! * Abbreviations (`mr.`, `st.`, `u.s.`) keep their full stop, others (`sat.`) do not.
//! * `½` is `1/2`, `£` is `#`, `€` is `$`, `¢` is `cents`. Letters of other scripts are letters;
//!   characters outside the Basic Multilingual Plane, such as emoji, only separate.
//!
//! # Where it differs
//!
//! Web and e-mail addresses, telephone numbers, file names, faces such as `^_^`, masked swear words
//! and character entities other than `&amp;` and its like have rules of their own in the original
//! and none here; `&apos;` is a quotation mark here and an apostrophe, too, in the original
//! (`dog&apos;s`). Which letters and signs of rarer scripts count is approximate, and so is what soft
//! hyphens and invisible spaces part. A few rare abbreviations (`MFG.`, `MTG.`, `PTE.`, `PTY.`,
//! `PPTY.`) keep their full stop here in any case, in the original not in capitals; a letter alone
//! loses it in the original before a markup tag (`a. <b>`). The original lets an abbreviation at the
//! end of a caption depend on the first word of the *next* caption in the file; here every caption
//! is followed by one that starts with "A".

mod abbreviations;
mod apostrophes;
mod characters;
mod compounds;
mod numbers;
mod scan;
mod signs;
mod spelling;
mod words;

use scan::Scanner;

/// The words of a caption: lower case, without punctuation, as the COCO caption evaluation has them.
///
/// Line breaks count as spaces. A word holds no space; a mixed fraction such as `1 1/2` is one word
/// with a no-break space (U+00A0) inside.
///
/// ```
/// assert_eq!(mue_scores::tokenize("It isn't a man's T-shirt."), ["it", "is", "n't", "a", "man", "'s", "t-shirt"]);
/// ```
pub fn tokenize(caption: &str) -> Vec<String> {
    Scanner::new(caption).filter_map(|token| spelling::spell(&token)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_words() {
        assert_eq!(tokenize(""), Vec::<String>::new());
        assert_eq!(tokenize(" \n . , "), Vec::<String>::new());
    }

    #[test]
    fn emoji_only_separate() {
        assert_eq!(tokenize("a👍🏽b"), ["a", "b"]);
    }

    #[test]
    fn a_line_break_is_a_space() {
        assert_eq!(tokenize("a dog\nruns"), ["a", "dog", "runs"]);
    }

    proptest! {
        #[test]
        fn any_text_has_words_without_spaces(text in ".{0,40}") {
            for word in tokenize(&text) {
                prop_assert!(!word.is_empty() && !word.contains(' '));
            }
        }

        #[test]
        fn plain_words_are_themselves(words in prop::collection::vec("[b-f]{3,6}", 0..8)) {
            prop_assert_eq!(tokenize(&words.join(" ")), words);
        }
    }
}
