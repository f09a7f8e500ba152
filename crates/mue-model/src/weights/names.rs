//! From the names people's files use to HF-style names.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::error::CheckpointError;
use super::tensor::RawTensor;
use super::tied::merge_tied;

/// The weights of a checkpoint under HF-style names.
///
/// Buffers that follow from the configuration are gone, and the tied embedding is there once,
/// as `encoder.embed_tokens.weight`. Names this module does not know are kept.
#[derive(Clone, Debug)]
pub struct CanonicalWeights {
    /// Tensors by HF-style name.
    pub tensors: BTreeMap<String, RawTensor>,
    /// The naming the file used.
    pub naming: Naming,
    /// Names of the file that were dropped as buffers, in order.
    pub ignored: Vec<String>,
}

/// Whose names a checkpoint uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The names of the Hugging Face port of OFA, which are the canonical ones.
    HuggingFace,
    /// The names of OFA's own code, built on fairseq.
    Fairseq,
}

impl Naming {
    /// Tells the naming by the modules that only fairseq calls so.
    fn of<'a>(mut names: impl Iterator<Item = &'a String>) -> Self {
        const FAIRSEQ_ONLY: [&str; 3] = ["encoder_attn", "attn_ln", "ffn_layernorm"];
        if names.any(|name| FAIRSEQ_ONLY.iter().any(|module| name.contains(module))) {
            Self::Fairseq
        } else {
            Self::HuggingFace
        }
    }
}

/// Prefixes of wrapper modules: `DataParallel` and most training loops.
const WRAPPERS: [&str; 2] = ["module.", "model."];

/// Ends of names of what is computed from the configuration or counts training steps.
const IGNORED: [&str; 5] = [
    ".version",
    "token_rp_bucket",
    "image_rp_bucket",
    ".image_position_idx",
    "num_batches_tracked",
];

/// Modules of an `encoder.layers.N` or `decoder.layers.N` by fairseq and HF-style name.
const FAIRSEQ_MODULES: [(&str, &str); 6] = [
    ("attn_ln", "self_attn_mid_layer_norm"),
    ("self_attn_ln", "self_attn_mid_layer_norm"),
    ("cross_attn_ln", "cross_attn_mid_layer_norm"),
    ("encoder_attn", "cross_attn"),
    ("encoder_attn_layer_norm", "cross_attn_layer_norm"),
    ("ffn_layernorm", "ffn_layer_norm"),
];

/// Renames all tensors, drops buffers and merges tied tensors.
pub(super) fn canonicalize(
    tensors: BTreeMap<String, RawTensor>,
) -> Result<CanonicalWeights, CheckpointError> {
    let naming = Naming::of(tensors.keys());
    let mut ignored = Vec::new();
    let mut renamed = BTreeMap::new();
    let mut original_names = BTreeMap::<String, String>::new();
    for (original, tensor) in tensors {
        let Some(name) = canonical_name(&original, naming) else {
            ignored.push(original);
            continue;
        };
        match original_names.entry(name.clone()) {
            Entry::Vacant(entry) => entry.insert(original),
            Entry::Occupied(entry) => {
                let (first, second) = (entry.get().clone(), original);
                return Err(CheckpointError::DuplicateTensor { name, first, second });
            }
        };
        renamed.insert(name, tensor);
    }
    merge_tied(&mut renamed)?;
    Ok(CanonicalWeights { tensors: renamed, naming, ignored })
}

/// The HF-style name, or `None` for a buffer to be ignored.
fn canonical_name(original: &str, naming: Naming) -> Option<String> {
    let mut name = original;
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = inner;
    }
    if IGNORED.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    Some(match naming {
        Naming::HuggingFace => name.to_owned(),
        Naming::Fairseq => from_fairseq(name),
    })
}

fn from_fairseq(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    if let ["encoder" | "decoder", "layers", _, module, ..] = parts.as_mut_slice()
        && let Some((_, hf)) = FAIRSEQ_MODULES.iter().find(|(fairseq, _)| fairseq == module)
    {
        *module = hf;
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::super::tensor::DType;
    use super::*;

    fn weights(names: &[&str]) -> BTreeMap<String, RawTensor> {
        names
            .iter()
            .map(|&name| {
                let bytes = vec![1, 2].into();
                (name.to_owned(), RawTensor::new(DType::U8, vec![2], bytes).unwrap())
            })
            .collect()
    }

    fn canonical(names: &[&str]) -> CanonicalWeights {
        canonicalize(weights(names)).unwrap()
    }

    fn names(canonical: &CanonicalWeights) -> Vec<&str> {
        canonical.tensors.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_naming_is_told_by_content() {
        for name in [
            "decoder.layers.0.encoder_attn.c_attn",
            "module.encoder.layers.3.attn_ln.bias",
            "decoder.layers.0.ffn_layernorm.weight",
        ] {
            assert_eq!(canonical(&[name, "x"]).naming, Naming::Fairseq, "{name}");
        }
        let hf = canonical(&["encoder.layers.0.self_attn_mid_layer_norm.weight"]);
        assert_eq!(hf.naming, Naming::HuggingFace);
    }

    #[test]
    fn only_modules_of_layers_are_renamed() {
        let kept = "decoder.extra.attn_ln.weight";
        let result = canonical(&[kept, "encoder.layers.10.attn_ln.weight"]);
        let renamed = "encoder.layers.10.self_attn_mid_layer_norm.weight";
        assert_eq!(names(&result), [kept, renamed]);
    }

    #[test]
    fn wrappers_are_stripped_and_unknown_names_kept() {
        let result = canonical(&["module.model.encoder.layer_norm.bias", "model.adapter.x"]);
        assert_eq!(names(&result), ["adapter.x", "encoder.layer_norm.bias"]);
    }

    #[test]
    fn buffers_are_reported_as_ignored() {
        let buffers = [
            "decoder.image_position_idx",
            "encoder.embed_images.bn1.num_batches_tracked",
            "encoder.image_rp_bucket",
            "encoder.token_rp_bucket",
            "encoder.version",
        ];
        let result = canonical(&buffers);
        assert_eq!(result.ignored, buffers);
        assert!(result.tensors.is_empty());
    }

    #[test]
    fn two_spellings_of_one_name_are_an_error() {
        let both = ["encoder.layer_norm.bias", "module.encoder.layer_norm.bias"];
        let error = canonicalize(weights(&both)).unwrap_err().to_string();
        assert!(both.iter().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn the_three_embeddings_become_one() {
        let result = canonical(&[
            "decoder.embed_tokens.weight",
            "decoder.output_projection.weight",
            "encoder.embed_tokens.weight",
            "shared.weight",
        ]);
        assert_eq!(names(&result), ["encoder.embed_tokens.weight"]);
    }
}
