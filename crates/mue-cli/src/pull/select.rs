//! Which files of a repository a model folder needs, and whether their names are safe to write.

use std::path::PathBuf;

/// Configuration, calibration and tokenizer; whichever of them the repository has.
const SIDE_FILES: [&str; 6] =
    ["config.json", "mue.json", "calibration.json", "tokenizer.json", "vocab.json", "merges.txt"];

/// The files that a model folder needs, in the order in which to fetch them.
///
/// Only the top folder counts. Of the weights, one form is taken: `model.safetensors`, else
/// every other `*.safetensors` shard with its index, else `pytorch_model.bin`. The list is
/// empty when the repository has no weights in any of these forms.
pub(super) fn needed(names: &[String]) -> Vec<String> {
    let weights = weights(names);
    if weights.is_empty() {
        return weights;
    }
    let side = names.iter().filter(|name| SIDE_FILES.contains(&name.as_str())).cloned();
    side.chain(weights).collect()
}

fn weights(names: &[String]) -> Vec<String> {
    let only = |wanted: &str| names.iter().filter(|name| *name == wanted).cloned().collect();
    let single: Vec<String> = only("model.safetensors");
    if !single.is_empty() {
        return single;
    }
    let top = || names.iter().filter(|name| !name.contains('/'));
    if top().any(|name| name.ends_with(".safetensors")) {
        let part = |name: &&String| {
            name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")
        };
        return top().filter(part).cloned().collect();
    }
    only("pytorch_model.bin")
}

/// The path below the model folder at which to keep the file that the hub calls `name`.
///
/// `None` when the name could lead out of the folder, or means something else to another
/// operating system: a server is not trusted with paths.
pub(super) fn relative_path(name: &str) -> Option<PathBuf> {
    name.split('/').all(is_plain).then(|| name.split('/').collect())
}

/// Windows reads `\` as a separator and `:` as a drive or stream, and drops a final dot or
/// space, which also covers `.` and `..`.
fn is_plain(component: &str) -> bool {
    !component.is_empty()
        && !component.ends_with(['.', ' '])
        && !component.contains(|c: char| c.is_control() || matches!(c, '\\' | ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed_of(names: &[&str]) -> Vec<String> {
        needed(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn takes_one_form_of_the_weights() {
        let rest = ["README.md", "config.json", "onnx/model.safetensors", "pytorch_model.bin"];
        let shards =
            ["a-1-of-2.safetensors", "a-2-of-2.safetensors", "model.safetensors.index.json"];

        assert_eq!(needed_of(&rest), ["config.json", "pytorch_model.bin"]);
        let sharded = [&rest[..], &shards].concat();
        assert_eq!(needed_of(&sharded), [&["config.json"], &shards[..]].concat());
        let whole = [&sharded[..], &["model.safetensors"]].concat();
        assert_eq!(needed_of(&whole), ["config.json", "model.safetensors"]);
        assert!(needed_of(&["config.json", "flax_model.msgpack"]).is_empty());
    }

    #[test]
    fn refuses_names_that_lead_elsewhere() {
        let hostile = [
            "", "..", ".", "../a", "a/../b", "a/..", "/a", "a//b", "a/", "./a", "\\a", "..\\a",
            "C:a", "a:stream", "a\0b", "a\nb", "a/.. ", "a/...", "nul.",
        ];
        for name in hostile {
            assert_eq!(relative_path(name), None, "{name:?}");
        }
        assert_eq!(
            relative_path("a/.b/c..d.json"),
            Some(["a", ".b", "c..d.json"].iter().collect())
        );
    }
}
