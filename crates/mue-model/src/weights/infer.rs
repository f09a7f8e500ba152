//! The model's sizes, told from names and shapes.

use std::collections::BTreeMap;

use super::error::CheckpointError;
use super::tensor::RawTensor;

/// The sizes of an OFA model, for checkpoints that come without a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferredDimensions {
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the hidden state.
    pub d_model: usize,
    /// Encoder layers.
    pub encoder_layers: usize,
    /// Decoder layers.
    pub decoder_layers: usize,
    /// Attention heads in the encoder.
    pub encoder_attention_heads: usize,
    /// Attention heads in the decoder.
    pub decoder_attention_heads: usize,
    /// Inner width of the encoder's feed-forward layers.
    pub encoder_ffn_dim: usize,
    /// Inner width of the decoder's feed-forward layers.
    pub decoder_ffn_dim: usize,
    /// Bottleneck blocks of each ResNet stage.
    pub resnet_layers: Vec<usize>,
    /// Output channels of the ResNet's first convolution.
    pub stem_width: usize,
    /// Text positions the encoder has embeddings for.
    pub encoder_max_positions: usize,
    /// Text positions the decoder has embeddings for.
    pub decoder_max_positions: usize,
    /// Buckets of relative token positions, per direction.
    pub token_bucket_size: usize,
    /// Buckets of absolute image positions, per axis.
    pub image_bucket_size: usize,
}

impl InferredDimensions {
    /// Rows of a position embedding that stand for no position (fairseq's padding offset).
    const UNUSED_POSITIONS: usize = 2;
    /// Rows of an image position table for pairs with a token that is no image patch.
    const NON_IMAGE_ROWS: usize = 3;

    /// Tells the sizes from `tensors` under their HF-style names.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::CannotInfer`] with everything that is missing or contradictory.
    pub fn infer(tensors: &BTreeMap<String, RawTensor>) -> Result<Self, CheckpointError> {
        let mut survey = Survey { tensors, problems: Vec::new() };
        let [vocab_size, d_model] = survey.shape("encoder.embed_tokens.weight");
        let [encoder_attention_heads] = survey.shape("encoder.layers.0.self_attn.c_attn");
        let [decoder_attention_heads] = survey.shape("decoder.layers.0.self_attn.c_attn");
        let [encoder_ffn_dim, _] = survey.shape("encoder.layers.0.fc1.weight");
        let [decoder_ffn_dim, _] = survey.shape("decoder.layers.0.fc1.weight");
        let [stem_width, _, _, _] = survey.shape("encoder.embed_images.conv1.weight");
        let inferred = Self {
            vocab_size,
            d_model,
            encoder_layers: survey.count("encoder.layers."),
            decoder_layers: survey.count("decoder.layers."),
            encoder_attention_heads,
            decoder_attention_heads,
            encoder_ffn_dim,
            decoder_ffn_dim,
            resnet_layers: survey.resnet_layers(),
            stem_width,
            encoder_max_positions: survey.rows("encoder.embed_positions.weight", |rows| {
                rows.checked_sub(Self::UNUSED_POSITIONS)
            }),
            decoder_max_positions: survey.rows("decoder.embed_positions.weight", |rows| {
                rows.checked_sub(Self::UNUSED_POSITIONS)
            }),
            token_bucket_size: survey
                .rows("encoder.token_rel_pos_table_list.0.weight", buckets_of_span),
            image_bucket_size: survey.rows("encoder.image_rel_pos_table_list.0.weight", |rows| {
                let area = rows.checked_sub(Self::NON_IMAGE_ROWS)?;
                let span = area.isqrt();
                if span * span == area { buckets_of_span(span) } else { None }
            }),
        };
        survey.finish(inferred)
    }
}

/// `b` buckets have `2b - 1` distances between them.
fn buckets_of_span(span: usize) -> Option<usize> {
    (span % 2 == 1).then_some(span.div_ceil(2))
}

/// Looks up shapes and collects what is wrong, to be told all at once.
struct Survey<'a> {
    tensors: &'a BTreeMap<String, RawTensor>,
    problems: Vec<String>,
}

impl Survey<'_> {
    /// The shape of `name`, or zeros and a problem.
    fn shape<const RANK: usize>(&mut self, name: &str) -> [usize; RANK] {
        let problem = match self.tensors.get(name).map(RawTensor::shape) {
            None => format!("`{name}` is missing"),
            Some(shape) => match <[usize; RANK]>::try_from(shape) {
                Ok(shape) if !shape.contains(&0) => return shape,
                _ => format!("`{name}` has shape {shape:?} where {RANK} extents are expected"),
            },
        };
        self.problems.push(problem);
        [0; RANK]
    }

    /// What `meaning` makes of the number of rows of `name`.
    fn rows(&mut self, name: &str, meaning: impl Fn(usize) -> Option<usize>) -> usize {
        let [rows, _] = self.shape(name);
        if rows == 0 {
            return 0; // already a problem
        }
        meaning(rows).unwrap_or_else(|| {
            self.problems.push(format!("`{name}` has {rows} rows, which fits no size"));
            0
        })
    }

    /// How many modules `prefix0`, `prefix1`, ... there are.
    fn count(&mut self, prefix: &str) -> usize {
        let count = self.present(prefix);
        if count == 0 {
            self.problems.push(format!("`{prefix}0` is missing"));
        }
        count
    }

    fn present(&mut self, prefix: &str) -> usize {
        let mut indices: Vec<usize> = self
            .tensors
            .range(prefix.to_owned()..)
            .map_while(|(name, _)| name.strip_prefix(prefix))
            .filter_map(|rest| rest.split('.').next()?.parse().ok())
            .collect();
        indices.sort_unstable();
        indices.dedup();
        if let Some((gap, _)) = indices.iter().enumerate().find(|&(i, &index)| i != index) {
            self.problems.push(format!("`{prefix}{gap}` is missing between others"));
        }
        indices.len()
    }

    fn resnet_layers(&mut self) -> Vec<usize> {
        let mut stages = vec![self.count("encoder.embed_images.layer1.")];
        loop {
            let stage = stages.len() + 1;
            match self.present(&format!("encoder.embed_images.layer{stage}.")) {
                0 => return stages,
                blocks => stages.push(blocks),
            }
        }
    }

    fn finish<T>(self, inferred: T) -> Result<T, CheckpointError> {
        if self.problems.is_empty() {
            Ok(inferred)
        } else {
            Err(CheckpointError::CannotInfer { problems: self.problems.join("; ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tensor::DType;
    use super::*;

    const BASE_SHAPES: [(&str, &[usize]); 10] = [
        ("encoder.embed_tokens.weight", &[594, 76]),
        ("encoder.layers.0.self_attn.c_attn", &[12]),
        ("decoder.layers.0.self_attn.c_attn", &[6]),
        ("encoder.layers.0.fc1.weight", &[30, 76]),
        ("decoder.layers.0.fc1.weight", &[20, 76]),
        ("encoder.embed_images.conv1.weight", &[64, 3, 7, 7]),
        ("encoder.embed_positions.weight", &[1026, 2]),
        ("decoder.embed_positions.weight", &[514, 2]),
        ("encoder.token_rel_pos_table_list.0.weight", &[511, 12]),
        ("encoder.image_rel_pos_table_list.0.weight", &[6892, 12]),
    ];

    fn tensor(shape: &[usize]) -> RawTensor {
        let bytes = vec![0; shape.iter().product()];
        RawTensor::new(DType::U8, shape.to_vec(), bytes.into()).unwrap()
    }

    fn weights() -> BTreeMap<String, RawTensor> {
        let mut weights: BTreeMap<_, _> =
            BASE_SHAPES.iter().map(|&(name, shape)| (name.to_owned(), tensor(shape))).collect();
        for (module, count) in [
            ("encoder.layers", 12),
            ("decoder.layers", 2),
            ("encoder.embed_images.layer1", 3),
            ("encoder.embed_images.layer2", 4),
            ("encoder.embed_images.layer3", 23),
        ] {
            for i in 0..count {
                weights.insert(format!("{module}.{i}.x"), tensor(&[1]));
            }
        }
        weights
    }

    #[test]
    fn sizes_are_told_from_shapes() {
        let expected = InferredDimensions {
            vocab_size: 594,
            d_model: 76,
            encoder_layers: 12,
            decoder_layers: 2,
            encoder_attention_heads: 12,
            decoder_attention_heads: 6,
            encoder_ffn_dim: 30,
            decoder_ffn_dim: 20,
            resnet_layers: vec![3, 4, 23],
            stem_width: 64,
            encoder_max_positions: 1024,
            decoder_max_positions: 512,
            token_bucket_size: 256,
            image_bucket_size: 42,
        };
        assert_eq!(InferredDimensions::infer(&weights()).unwrap(), expected);
    }

    #[test]
    fn everything_that_is_missing_is_listed() {
        let message = InferredDimensions::infer(&BTreeMap::new()).unwrap_err().to_string();
        for (name, _) in BASE_SHAPES {
            assert!(message.contains(name), "{name} not in: {message}");
        }
        assert!(message.contains("encoder.embed_images.layer1.0"), "{message}");
        assert!(message.contains("`decoder.layers.0` is missing"), "{message}");
    }

    #[test]
    fn a_gap_between_layers_is_found() {
        let mut weights = weights();
        weights.retain(|name, _| !name.starts_with("encoder.layers.7."));
        let message = InferredDimensions::infer(&weights).unwrap_err().to_string();
        assert!(message.contains("`encoder.layers.7` is missing"), "{message}");
    }

    #[test]
    fn tables_that_fit_no_bucket_size_are_named() {
        for (name, rows) in [
            ("encoder.token_rel_pos_table_list.0.weight", 510),
            ("encoder.image_rel_pos_table_list.0.weight", 6893),
            ("encoder.image_rel_pos_table_list.0.weight", 2),
            ("decoder.embed_positions.weight", 1),
        ] {
            let mut weights = weights();
            weights.insert(name.to_owned(), tensor(&[rows, 1]));
            let message = InferredDimensions::infer(&weights).unwrap_err().to_string();
            assert!(message.contains(&format!("`{name}` has {rows} rows")), "{message}");
        }
    }

    #[test]
    fn a_wrong_rank_is_named() {
        let mut weights = weights();
        weights.insert("encoder.layers.0.fc1.weight".to_owned(), tensor(&[30]));
        let message = InferredDimensions::infer(&weights).unwrap_err().to_string();
        assert!(message.contains("has shape [30] where 2 extents"), "{message}");
    }
}
