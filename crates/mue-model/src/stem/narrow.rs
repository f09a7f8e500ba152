//! The stem of a narrow model in the host's memory, from the first pooling on.
//!
//! With few channels a convolution is a small matrix product, and bringing features into a
//! product's form takes as long as the product. So each is computed where it stands ([`planes`]), and
//! features stay planes from block to block.
//!
//! [`planes`]: super::planes

use super::planes::{Convolution, Layout};
use super::{Bottleneck, Stem};

/// Channels after the first convolution that are few; the published models have 64.
const CHANNELS_MAX: usize = 32;

/// The bottleneck blocks, one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Narrow {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    reduce: Convolution,
    spatial: Convolution,
    expand: Convolution,
    shortcut: Option<Convolution>,
    is_halving: bool,
}

impl Narrow {
    /// Of a stem that is narrow.
    pub(super) fn new(stem: &Stem) -> Option<Self> {
        let blocks = || stem.stages.iter().flatten().map(Block::new).collect::<Option<_>>();
        (stem.conv.weight.dims()[0] <= CHANNELS_MAX).then(blocks)?.map(|blocks| Self { blocks })
    }

    /// One picture's features `[channels, height, width]` to those at the end, `[height * width,
    /// channels]`, with their height and width.
    pub(super) fn forward(
        &self,
        pooled: &[f32],
        [height, width]: [usize; 2],
    ) -> (Vec<f32>, [usize; 2]) {
        let layout = Layout { height, width };
        let start = (layout.spread(pooled), layout);
        let (planes, layout) =
            self.blocks.iter().fold(start, |(planes, layout), block| block.forward(planes, layout));
        (layout.gather(&planes), [layout.height, layout.width])
    }
}

impl Block {
    fn new(block: &Bottleneck) -> Option<Self> {
        let shortcut = match &block.shortcut {
            Some(conv) => Some(Convolution::new(conv)?),
            None => None,
        };
        let is_halving = block.spatial.stride == [2, 2];
        let [reduce, spatial, expand] =
            [&block.reduce, &block.spatial, &block.expand].map(Convolution::new);
        Some(Self { reduce: reduce?, spatial: spatial?, expand: expand?, shortcut, is_halving })
    }

    fn forward(&self, planes: Vec<f32>, layout: Layout) -> (Vec<f32>, Layout) {
        let hidden = self.reduce.forward(&planes, layout, (None, true));
        let (hidden, past, layout) = match self.is_halving {
            true => {
                let phases = layout.phases(&hidden, self.spatial.phases());
                (phases, layout.phases(&planes, 1), layout.halved())
            }
            false => (hidden, planes, layout),
        };
        let hidden = self.spatial.forward(&hidden, layout, (None, true));
        let past = match &self.shortcut {
            Some(conv) => conv.forward(&past, layout, (None, false)),
            None => past,
        };
        (self.expand.forward(&hidden, layout, (Some(&past), true)), layout)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::pool::MaxPool2dConfig;
    use burn::tensor::{Device, Distribution, Tensor};

    use super::*;

    fn conv(channels: [usize; 2], kernel: usize, stride: usize) -> Conv2d {
        let half = kernel / 2;
        let padding = PaddingConfig2d::Explicit(half, half, half, half);
        let config = Conv2dConfig::new(channels, [kernel; 2]).with_stride([stride; 2]);
        config.with_padding(padding).init(&Device::flex())
    }

    /// One block that keeps the size, two that halve it, and one with nothing on its shortcut.
    fn stem(width: usize) -> Stem {
        let block = |inputs: usize, width: usize, stride: usize| Bottleneck {
            reduce: conv([inputs, width], 1, 1),
            spatial: conv([width, width], 3, stride),
            expand: conv([width, 4 * width], 1, 1),
            shortcut: (inputs != 4 * width).then(|| conv([inputs, 4 * width], 1, stride)),
        };
        let stages = vec![
            vec![block(width, width, 1)],
            vec![block(4 * width, 2 * width, 2), block(8 * width, 2 * width, 1)],
            vec![block(8 * width, 4 * width, 2)],
        ];
        let pool = MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).init();
        Stem { conv: conv([3, width], 7, 2), pool, stages }
    }

    #[test]
    fn it_is_the_stem() {
        let noise = Distribution::Uniform(-1.0, 1.0);
        for (width, size) in [(8, [96, 96]), (16, [33, 70]), (8, [16, 1]), (8, [5, 47])] {
            let stem = stem(width);
            let kernels = stem.kernels();
            assert!(kernels.narrow.is_some());
            let pixels = Tensor::random([2, 3, size[0], size[1]], noise, &Device::flex());
            let (found, grid) = stem.tokens(pixels.clone(), &kernels);
            let expected = stem.forward(pixels, &kernels);
            let [batch, channels, height, columns] = expected.dims();
            assert_eq!([grid.height, grid.width], [height, columns]);
            let expected = expected.reshape([batch, channels, height * columns]).swap_dims(1, 2);
            let difference = (expected - found).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "{width} channels of {size:?}: {difference}");
        }
    }

    #[test]
    fn a_wide_stem_is_none() {
        assert!(stem(40).kernels().narrow.is_none());
        assert!(stem(12).kernels().narrow.is_none(), "no whole blocks of channels");
    }
}
