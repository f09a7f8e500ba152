//! When the tokens of a caption are told, and what they say.

use mue_data::{PieceDecoder, Tokenizer};
use mue_model::RequestStep;

use crate::answer::{Caption, TokenExit};

/// When a caption's tokens are told. All together they are those that the answer lists.
pub(super) enum Telling {
    /// Nobody listens.
    Never,
    /// As steps decide them.
    EachStep(TokenStream),
    /// When the caption is complete: among several beams, only the last step decides all.
    AtEnd,
}

impl Telling {
    pub(super) fn new(streams: bool, beam_size: usize) -> Self {
        match (streams, beam_size) {
            (false, _) => Self::Never,
            (true, 1) => Self::EachStep(TokenStream::default()),
            (true, _) => Self::AtEnd,
        }
    }

    /// What to tell of a step that did not complete the caption.
    pub(super) fn newest(&mut self, tokenizer: &Tokenizer, step: &RequestStep) -> Vec<TokenExit> {
        match (self, step.tokens.last()) {
            (Self::EachStep(stream), Some(token)) => stream.push(tokenizer, *token, step.layer),
            (Self::EachStep(_) | Self::Never | Self::AtEnd, _) => Vec::new(),
        }
    }

    /// What to tell of the step that completed it, whose own token is the end.
    pub(super) fn last(self, tokenizer: &Tokenizer, caption: &Caption) -> Vec<TokenExit> {
        match self {
            Self::Never => Vec::new(),
            Self::EachStep(stream) => stream.end(tokenizer),
            Self::AtEnd => caption.tokens.clone(),
        }
    }
}

/// The tokens of a caption of which every step decides one.
///
/// One that ends within a character is held back until the character is complete or the answer over,
/// since only then it is known what it says.
#[derive(Default)]
pub(super) struct TokenStream {
    pieces: PieceDecoder,
    held_back: Vec<TokenExit>,
}

impl TokenStream {
    /// The tokens that can be told when a step has decided one.
    fn push(&mut self, tokenizer: &Tokenizer, id: u32, layer: usize) -> Vec<TokenExit> {
        let text = self.pieces.push(tokenizer, id);
        let is_complete = !text.is_empty();
        self.held_back.push(TokenExit { text, layer });
        if is_complete { std::mem::take(&mut self.held_back) } else { Vec::new() }
    }

    /// The tokens left when the answer is complete.
    fn end(mut self, tokenizer: &Tokenizer) -> Vec<TokenExit> {
        if let Some(last) = self.held_back.last_mut() {
            last.text.push_str(&self.pieces.rest(tokenizer));
        }
        self.held_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of `aé€`, one a token, behind the four special tokens.
    fn tokenizer() -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "vocab.json",
            r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3,
                "a": 4, "Ã": 5, "©": 6, "â": 7, "Ĥ": 8, "¬": 9}"#,
        );
        write("merges.txt", "");
        Tokenizer::from_json(&mue_data::build_tokenizer(folder.path()).unwrap()).unwrap()
    }

    /// What each token tells, and what the end does.
    fn told(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<Vec<TokenExit>> {
        let mut stream = TokenStream::default();
        let mut told: Vec<_> =
            ids.iter().zip(1..).map(|(id, layer)| stream.push(tokenizer, *id, layer)).collect();
        told.push(stream.end(tokenizer));
        told
    }

    #[test]
    fn a_character_of_several_tokens_is_told_with_its_last() {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode("aé€");
        assert_eq!(ids, [4, 5, 6, 7, 8, 9]);
        let told = told(&tokenizer, &ids);
        let counts: Vec<usize> = told.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 0, 2, 0, 0, 3, 0]);
        let told: Vec<TokenExit> = told.into_iter().flatten().collect();
        let texts: Vec<&str> = told.iter().map(|token| &*token.text).collect();
        assert_eq!(texts, ["a", "", "é", "", "", "€"]);
        assert!(told.iter().map(|token| token.layer).eq(1..=6));
    }

    #[test]
    fn whatever_the_tokens_are_they_are_told_as_the_answer_lists_them() {
        let tokenizer = tokenizer();
        // Also bytes that are no characters, in the middle and at the end.
        for ids in [&[4, 5][..], &[5], &[], &[5, 4, 6], &[7, 8, 5, 6, 7], &[9, 9, 7, 8, 9]] {
            let texts: Vec<String> =
                told(&tokenizer, ids).into_iter().flatten().map(|token| token.text).collect();
            assert_eq!(texts, tokenizer.pieces(ids), "{ids:?}");
            assert_eq!(texts.concat(), tokenizer.decode(ids), "{ids:?}");
        }
    }
}
