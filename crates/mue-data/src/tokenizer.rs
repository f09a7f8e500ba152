//! Texts to token ids and back.

use std::fmt;

/// A tokenizer read from a `tokenizer.json` of the `tokenizers` library.
///
/// Ids 0 to 3 are BOS, padding, EOS and unknown, as in every OFA vocabulary. Text is never taken
/// for a special token: `<s>` in a sentence is three characters.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish()
    }
}

/// Why a tokenizer cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The JSON is not a tokenizer.
    #[error("the tokenizer cannot be read: {0}")]
    Json(String),
    /// A file of the folder is missing or unreadable.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No known set of files is there.
    #[error(
        "{0} has no tokenizer: expected tokenizer.json, or vocab.json and merges.txt, or \
         encoder.json, vocab.bpe and dict.txt"
    )]
    Missing(std::path::PathBuf),
    /// A file's content is not as expected.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl Tokenizer {
    /// Beginning of sequence.
    pub const BOS: u32 = 0;
    /// End of sequence.
    pub const EOS: u32 = 2;

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// If the bytes are not one.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenizerError> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| TokenizerError::Json(error.to_string()))?;
        inner.set_encode_special_tokens(true);
        Ok(Self { inner })
    }

    /// Number of ids.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Ids of a text, without BOS and EOS.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        // Encoding fails only in post-processors and truncation, of which OFA has none; a
        // tokenizer that has them and fails on a text cannot say anything about it.
        let encoding = self.inner.encode_fast(text, false);
        encoding.map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default()
    }

    /// Ids of a text between BOS and EOS.
    pub fn sequence(&self, text: &str) -> Vec<u32> {
        let mut ids = vec![Self::BOS];
        ids.extend(self.encode(text));
        ids.push(Self::EOS);
        ids
    }

    /// The text of ids; BOS and EOS are dropped, other special ids keep their names, and bytes
    /// that are no UTF-8 become replacement characters.
    pub fn decode(&self, ids: &[u32]) -> String {
        let kept: Vec<u32> =
            ids.iter().copied().filter(|id| ![Self::BOS, Self::EOS].contains(id)).collect();
        self.inner.decode(&kept, false).unwrap_or_default()
    }

    /// The id of a word, if the tokenizer has exactly one for it.
    pub fn token_id(&self, word: &str) -> Option<u32> {
        match self.encode(word)[..] {
            [id] => Some(id),
            _ => None,
        }
    }

    /// The text that each id adds.
    pub fn pieces(&self, ids: &[u32]) -> Vec<String> {
        let mut decoder = PieceDecoder::default();
        let mut pieces: Vec<String> = ids.iter().map(|id| decoder.push(self, *id)).collect();
        if let Some(last) = pieces.last_mut() {
            last.push_str(&decoder.rest(self));
        }
        pieces
    }
}

/// Gives out the text of an answer token by token as it grows; a character whose bytes are split
/// over several tokens comes with the last of them. It belongs to one answer, and is given the same
/// tokenizer each time.
#[derive(Debug, Default)]
pub struct PieceDecoder {
    ids: Vec<u32>,
    /// Bytes of text given out.
    shown: usize,
}

impl PieceDecoder {
    /// The text that this id completes, perhaps none.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        self.ids.push(id);
        let text = tokenizer.decode(&self.ids);
        match text.ends_with(char::REPLACEMENT_CHARACTER) {
            true => String::new(),
            false => self.show(text),
        }
    }

    /// What was held back, if the answer ends within a character.
    pub fn rest(&mut self, tokenizer: &Tokenizer) -> String {
        let text = tokenizer.decode(&self.ids);
        self.show(text)
    }

    fn show(&mut self, text: String) -> String {
        let piece = text.get(self.shown..).unwrap_or_default().to_owned();
        self.shown = text.len().max(self.shown);
        piece
    }
}
