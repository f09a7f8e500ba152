//! How many multiply-accumulates a run costs.
//!
//! Counted are the matrix products and convolutions, per row and at their real sizes (no padding):
//! the stem, projections, attention scores and weighted sums, feed-forward blocks and the LM head.
//! Not counted are element-wise work, norms, softmax, and what is computed once per model and
//! shared by every request: position biases and the constant caption prompt.
//! OFA-base at 480 pixels: stem 32.1 G, an image layer 7.6 G, cross-attention keys and values
//! 1.07 G per decoder layer, a decoder layer 9.7 M per token, the LM head 45.7 M per token.

use crate::buckets::Grid;
use crate::config::{ConfigError, OfaConfig};

/// The costs of one model's parts, in multiply-accumulates.
#[derive(Clone, Debug)]
pub struct MacModel {
    d_model: u64,
    encoder_ffn: u64,
    decoder_ffn: u64,
    vocabulary: u64,
    stem_width: u64,
    stem_blocks: [usize; 3],
}

impl MacModel {
    /// The costs of a configuration's model.
    ///
    /// # Errors
    ///
    /// If the stem is not known.
    pub fn new(config: &OfaConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            d_model: config.d_model as u64,
            encoder_ffn: config.encoder_ffn_dim as u64,
            decoder_ffn: config.decoder_ffn_dim as u64,
            vocabulary: config.vocab_size as u64,
            stem_width: config.stem_width as u64,
            stem_blocks: config.stem_blocks()?,
        })
    }

    /// Stem and projection of one picture of `grid` tokens, 16 pixels a side each; a size in between
    /// counts as the next one.
    pub fn stem(&self, grid: Grid) -> u64 {
        let pixels = |stride: u64| {
            let scale = 16 / stride;
            grid.height as u64 * scale * grid.width as u64 * scale
        };
        let width = self.stem_width;
        let mut macs = pixels(2) * 7 * 7 * 3 * width;
        let mut channels_in = width;
        for (stage, blocks) in self.stem_blocks.into_iter().enumerate() {
            let (width, out) = (width << stage, 4 * (width << stage));
            let (stride_in, stride_out) = (4 << stage.saturating_sub(1), 4 << stage);
            let (before, after) = (pixels(stride_in), pixels(stride_out));
            let first = before * channels_in * width
                + after * (9 * width * width + width * out + channels_in * out);
            let others = after * (2 * out * width + 9 * width * width);
            macs += first + others * (blocks as u64).saturating_sub(1);
            channels_in = out;
        }
        macs + grid.tokens() as u64 * channels_in * self.d_model
    }

    /// One encoder layer on one row of so many tokens.
    pub fn encoder_layer(&self, tokens: usize) -> u64 {
        let (n, d) = (tokens as u64, self.d_model);
        n * (4 * d * d + 2 * d * self.encoder_ffn) + 2 * n * n * d
    }

    /// Cross-attention keys and values of one decoder layer over so many encoder tokens.
    pub fn cross_keys_values(&self, source: usize) -> u64 {
        2 * source as u64 * self.d_model * self.d_model
    }

    /// Self-attention keys and values of one decoder layer for so many tokens.
    pub fn self_keys_values(&self, tokens: usize) -> u64 {
        2 * tokens as u64 * self.d_model * self.d_model
    }

    /// The rest of one decoder layer for one token that attends to `cached` tokens and `source`
    /// encoder tokens.
    pub fn decoder_layer(&self, cached: usize, source: usize) -> u64 {
        let d = self.d_model;
        4 * d * d + 2 * d * self.decoder_ffn + 2 * d * (cached + source) as u64
    }

    /// The LM head for one row over the whole vocabulary.
    pub fn head(&self) -> u64 {
        self.vocabulary * self.d_model
    }

    /// The LM head for one row over some tokens of the vocabulary.
    pub fn head_of(&self, tokens: usize) -> u64 {
        tokens as u64 * self.d_model
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    /// Counted by hand for OFA-base at 480 pixels: 900 image tokens and 8 prompt tokens.
    #[test]
    fn ofa_base_costs_what_a_count_by_hand_says() {
        let macs = MacModel::new(&Preset::Base.config()).unwrap();
        let grid = Grid::of_pixels(480, 480);
        let projection = 900 * 1024 * 768;
        assert_eq!(macs.stem(grid) - projection, stem_by_hand());
        assert_eq!(macs.encoder_layer(900), 2_123_366_400 + 1_244_160_000 + 4_246_732_800);
        assert_eq!(macs.encoder_layer(8), 56_721_408);
        assert_eq!(macs.cross_keys_values(908), 1_071_120_384);
        let token = macs.decoder_layer(8, 908) + macs.self_keys_values(1);
        assert_eq!(token, 8_257_536 + 12_288 + 1_394_688);
        assert_eq!(macs.head(), 45_662_976);
        assert_eq!(macs.head_of(3), 2_304);
    }

    /// ResNet-101's first three stages, convolution by convolution.
    fn stem_by_hand() -> u64 {
        let conv = |side: u64, kernel: u64, from: u64, to: u64| side * side * kernel * from * to;
        let block = |side, wide, narrow| {
            conv(side, 1, wide, narrow)
                + conv(side, 9, narrow, narrow)
                + conv(side, 1, narrow, wide)
        };
        let first = conv(240, 49, 3, 64);
        let stage1 = conv(120, 1, 64, 64)
            + conv(120, 9, 64, 64)
            + conv(120, 1, 64, 256)
            + conv(120, 1, 64, 256)
            + 2 * block(120, 256, 64);
        let stage2 = conv(120, 1, 256, 128)
            + conv(60, 9, 128, 128)
            + conv(60, 1, 128, 512)
            + conv(60, 1, 256, 512)
            + 3 * block(60, 512, 128);
        let stage3 = conv(60, 1, 512, 256)
            + conv(30, 9, 256, 256)
            + conv(30, 1, 256, 1024)
            + conv(30, 1, 512, 1024)
            + 22 * block(30, 1024, 256);
        let sum = first + stage1 + stage2 + stage3;
        assert_eq!((sum + 50_000_000) / 100_000_000, 321, "32.1 GMAC");
        sum
    }
}
