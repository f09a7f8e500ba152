//! Which files of a repository a model folder needs, and whether their names are safe to write.

use std::path::PathBuf;

/// Configuration, calibration and tokenizer; whichever of them the repository has.
const SIDE_FILES: [&str; 9] = [
    "config.json",
    "mue.json",
    "calibration.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "encoder.json",
    "vocab.bpe",
    "dict.txt",
];

/// The files that a model folder needs, in the order in which to fetch them.
///
/// Only the top folder counts. Of the weights, one form is taken: `model.safetensors`, else
/// every other `*.safetensors` shard with its index, else `pytorch_model.bin`, else its shards with
/// their index, else the only `.pt` or `.pth` file. The list is empty when the repository has no
/// weights in any of these forms.
pub(super) fn needed(names: &[String]) -> Vec<String> {
    let weights = weights(names);
    if weights.is_empty() {
        return weights;
    }
    let side = names.iter().filter(|name| SIDE_FILES.contains(&name.as_str())).cloned();
    side.chain(weights).collect()
}

fn weights(names: &[String]) -> Vec<String> {
    let top = |is_part: fn(&str) -> bool| -> Vec<String> {
        names.iter().filter(|name| !name.contains('/') && is_part(name)).cloned().collect()
    };
    let torch_index = top(|name| name == "pytorch_model.bin.index.json");
    let torch_files = top(|name| name.ends_with(".pt") || name.ends_with(".pth"));
    let has_shards = names.iter().any(|name| is_torch_shard(name));
    let forms = [
        top(|name| name == "model.safetensors"),
        with_index(
            top(|name| name.ends_with(".safetensors")),
            top(|name| name.ends_with(".safetensors.index.json")),
        ),
        top(|name| name == "pytorch_model.bin"),
        match torch_index.is_empty() {
            true => Vec::new(),
            false => with_index(top(is_torch_shard), torch_index),
        },
        // Of several, nobody can tell which; beside shards it is something else.
        if torch_files.len() == 1 && !has_shards { torch_files } else { Vec::new() },
    ];
    forms.into_iter().find(|files| !files.is_empty()).unwrap_or_default()
}

/// Shards and then their index; nothing where there is an index alone.
fn with_index(shards: Vec<String>, index: Vec<String>) -> Vec<String> {
    if shards.is_empty() { shards } else { [shards, index].concat() }
}

fn is_torch_shard(name: &str) -> bool {
    name.starts_with("pytorch_model-") && name.ends_with(".bin")
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
    fn takes_what_pytorch_wrote_where_there_are_no_safetensors() {
        let shards = ["pytorch_model-1-of-2.bin", "pytorch_model-2-of-2.bin"];
        let index = ["pytorch_model.bin.index.json"];
        let sharded = [&index[..], &shards, &["optimizer.pt", "training_args.bin"]].concat();
        assert_eq!(needed_of(&sharded), [&shards[..], &index].concat());
        let whole = [&sharded[..], &["pytorch_model.bin"]].concat();
        assert_eq!(needed_of(&whole), ["pytorch_model.bin"]);
        assert!(needed_of(&shards).is_empty(), "nothing says what is where");
        let beside = [&shards[..], &["optimizer.pt"]].concat();
        assert!(needed_of(&beside).is_empty(), "these are no weights");

        let fairseq = ["README.md", "caption_base_best.pt", "dict.txt", "old/caption.pt"];
        assert_eq!(needed_of(&fairseq), ["dict.txt", "caption_base_best.pt"]);
        let several = [&fairseq[..], &["last.pth"]].concat();
        assert!(needed_of(&several).is_empty());
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
