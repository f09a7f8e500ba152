//! OFA's vocabulary files to one `tokenizer.json`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::tokenizer::TokenizerError;

/// Names of the first four ids in every OFA vocabulary.
pub(crate) const SPECIAL: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];

/// Image codes that follow the mask token.
const CODES: usize = 8192;

/// Coordinate bins that follow the image codes.
const BINS: usize = 1000;

/// Builds the bytes of a `tokenizer.json` from a folder's vocabulary.
///
/// Taken is, in this order: `tokenizer.json` as it is; `vocab.json` and `merges.txt` (Hugging
/// Face); `encoder.json`, `vocab.bpe` and `dict.txt` (fairseq, the order of ids being the
/// dictionary's).
///
/// # Errors
///
/// If no such set is there or a file is not as expected.
pub fn build_tokenizer(folder: &Path) -> Result<Vec<u8>, TokenizerError> {
    let has = |names: &[&str]| names.iter().all(|name| folder.join(name).is_file());
    if has(&["tokenizer.json"]) {
        let bytes = read(&folder.join("tokenizer.json"))?.into_bytes();
        crate::tokenizer::Tokenizer::from_json(&bytes)?;
        return Ok(bytes);
    }
    let (vocabulary, merges) = if has(&["vocab.json", "merges.txt"]) {
        (hugging_face_vocabulary(&folder.join("vocab.json"))?, folder.join("merges.txt"))
    } else if has(&["encoder.json", "vocab.bpe", "dict.txt"]) {
        (fairseq_vocabulary(folder)?, folder.join("vocab.bpe"))
    } else {
        return Err(TokenizerError::Missing(folder.to_owned()));
    };
    let merges = read_merges(&merges)?;
    let json = tokenizer_json(&vocabulary, &merges).to_string().into_bytes();
    crate::tokenizer::Tokenizer::from_json(&json)?;
    Ok(json)
}

fn hugging_face_vocabulary(path: &Path) -> Result<Map<String, Value>, TokenizerError> {
    serde_json::from_str(&read(path)?).map_err(|error| content(path, error))
}

/// Ids by token: four special ones, then the dictionary's rows, the mask, codes and bins.
fn fairseq_vocabulary(folder: &Path) -> Result<Map<String, Value>, TokenizerError> {
    let path = folder.join("encoder.json");
    let encoder: HashMap<String, u32> =
        serde_json::from_str(&read(&path)?).map_err(|error| content(&path, error))?;
    let by_number: HashMap<u32, String> =
        encoder.into_iter().map(|(token, number)| (number, token)).collect();
    let mut tokens: Vec<String> = SPECIAL.iter().map(|name| (*name).to_owned()).collect();
    let path = folder.join("dict.txt");
    for (line, row) in read(&path)?.lines().enumerate() {
        let (symbol, _count) = row
            .rsplit_once(' ')
            .ok_or_else(|| content(&path, format!("line {}: no count", line + 1)))?;
        let token = match symbol.parse() {
            Ok(number) => by_number.get(&number).cloned().ok_or_else(|| {
                content(&path, format!("line {}: {symbol} is not in encoder.json", line + 1))
            })?,
            Err(_) => symbol.to_owned(),
        };
        tokens.push(token);
    }
    tokens.push("<mask>".into());
    tokens.extend((0..CODES).map(|code| format!("<code_{code}>")));
    tokens.extend((0..BINS).map(|bin| format!("<bin_{bin}>")));
    Ok(tokens.into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect())
}

fn read_merges(path: &Path) -> Result<Vec<(String, String)>, TokenizerError> {
    read(path)?
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.trim().is_empty())
        .map(|line| match line.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(content(path, format!("{line:?} is no merge"))),
        })
        .collect()
}

fn tokenizer_json(vocabulary: &Map<String, Value>, merges: &[(String, String)]) -> Value {
    let special = SPECIAL.iter().chain(&["<mask>"]);
    let added: Vec<Value> = special
        .filter_map(|name| {
            let id = vocabulary.get(*name)?;
            Some(json!({
                "id": id, "content": name, "single_word": false, "lstrip": *name == "<mask>",
                "rstrip": false, "normalized": false, "special": true,
            }))
        })
        .collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges,
        },
    })
}

fn read(path: &Path) -> Result<String, TokenizerError> {
    std::fs::read_to_string(path)
        .map_err(|source| TokenizerError::Read { path: path.to_owned(), source })
}

fn content(path: &Path, message: impl ToString) -> TokenizerError {
    TokenizerError::Content { path: path.to_owned(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Tokenizer;

    /// A byte-level vocabulary of a few letters, in fairseq's three files.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tokens = ["a", "b", "Ġ", "s", "<", ">", "ab", "Ġab", "Ã", "©"];
        let encoder: Map<String, Value> =
            tokens.iter().enumerate().map(|(id, token)| ((*token).into(), json!(id))).collect();
        // The dictionary orders by frequency, not by number.
        let dict: String = (0..tokens.len()).rev().map(|id| format!("{id} 7\n")).collect();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("encoder.json", &Value::Object(encoder).to_string());
        write("vocab.bpe", "#version: 0.2\na b\nĠ ab\n");
        write("dict.txt", &dict);
        folder
    }

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_json(&build_tokenizer(folder().path()).unwrap()).unwrap()
    }

    #[test]
    fn ids_are_those_of_the_dictionary() {
        let tokenizer = tokenizer();
        assert_eq!(tokenizer.encode("ab ab"), [4 + 3, 4 + 2]);
        assert_eq!(tokenizer.sequence("b"), [0, 4 + 8, 2]);
        assert_eq!(tokenizer.decode(&[0, 7, 6, 2]), "ab ab");
        assert_eq!(tokenizer.vocab_size(), 4 + 10 + 1 + 8192 + 1000);
    }

    #[test]
    fn text_is_never_a_special_token() {
        let tokenizer = tokenizer();
        assert_eq!(tokenizer.encode("<s>").len(), 3);
        assert_eq!(tokenizer.decode(&tokenizer.encode("<s>")), "<s>");
    }

    #[test]
    fn a_word_of_one_token_has_an_id() {
        let tokenizer = tokenizer();
        assert_eq!(tokenizer.token_id(" ab"), Some(6));
        assert_eq!(tokenizer.token_id("ba"), None);
    }

    #[test]
    fn a_split_character_comes_with_its_last_byte() {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode("aéb");
        assert_eq!(ids.len(), 4);
        assert_eq!(tokenizer.pieces(&ids), ["a", "", "é", "b"]);
        assert_eq!(tokenizer.pieces(&ids[..2]), ["a", "\u{fffd}"]);
    }

    #[test]
    fn an_existing_tokenizer_is_taken_as_it_is() {
        let made = build_tokenizer(folder().path()).unwrap();
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("tokenizer.json"), &made).unwrap();
        assert_eq!(build_tokenizer(other.path()).unwrap(), made);
    }

    #[test]
    fn what_is_missing_or_broken_is_said() {
        let empty = tempfile::tempdir().unwrap();
        let error = build_tokenizer(empty.path()).unwrap_err().to_string();
        assert!(error.contains("dict.txt"), "{error}");
        let broken = folder();
        std::fs::write(broken.path().join("dict.txt"), "99 1\n").unwrap();
        let error = build_tokenizer(broken.path()).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
