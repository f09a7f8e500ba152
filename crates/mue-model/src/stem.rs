//! The image stem: three stages of a bottleneck ResNet, stride 16 (OFA, section 3.2).

mod entry;
mod narrow;
mod planes;
mod training;
mod winograd;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Slice, Tensor, TensorData};
use rayon::prelude::*;

use crate::buckets::Grid;
use crate::config::OfaConfig;
use crate::host::{both, in_host_memory};
use crate::rows::to_host;
use crate::weights::Loader;

/// Pixels to image features. BatchNorm is in inference form and folded into the convolutions.
#[derive(Module, Debug)]
pub struct Stem {
    conv: Conv2d,
    pool: MaxPool2d,
    /// The three stages; stage `s` has `4 * stem_width * 2^s` output channels.
    stages: Vec<Vec<Bottleneck>>,
}

impl Stem {
    /// Loads the stem from the keys under `encoder.embed_images`.
    pub(crate) fn load(loader: &mut Loader<'_>, config: &OfaConfig, blocks: [usize; 3]) -> Self {
        let root = "encoder.embed_images";
        let width = config.stem_width;
        let shape = ConvShape { channels: [3, width], kernel: 7, stride: 2 };
        let conv = shape.load(loader, &format!("{root}.conv1"), &format!("{root}.bn1"));
        let pool = MaxPool2dConfig::new([3, 3])
            .with_strides([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init();
        let mut channels_in = width;
        let stages = (0..3)
            .map(|stage| {
                let width = width << stage;
                (0..blocks[stage])
                    .map(|block| {
                        let name = format!("{root}.layer{}.{block}", stage + 1);
                        let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                        let bottleneck =
                            Bottleneck::load(loader, &name, [channels_in, width], stride);
                        channels_in = 4 * width;
                        bottleneck
                    })
                    .collect()
            })
            .collect();
        Self { conv, pool, stages }
    }

    /// The kernels that inference is faster with, where the stem's weights are; of these weights.
    pub fn kernels(&self) -> StemKernels {
        if !in_host_memory(&self.conv.weight.device()) {
            return StemKernels::default();
        }
        let blocks = self.stages.iter().flatten();
        StemKernels {
            entry: entry::Entry::new(&self.conv),
            spatial: blocks.map(|block| winograd_kernel(&block.spatial)).collect(),
            narrow: narrow::Narrow::new(self),
        }
    }

    /// Features of every sixteenth pixel.
    ///
    /// # Shapes
    ///
    /// - pixels: `[batch, 3, height, width]`, normalised to -1..1
    /// - output: `[batch, 16 * stem_width, height / 16, width / 16]`, sizes rounded up
    pub fn forward(&self, pixels: Tensor<4>, kernels: &StemKernels) -> Tensor<4> {
        self.forward_stages(pixels, kernels).pop().expect("the list starts with one element")
    }

    /// Features of every sixteenth pixel as tokens, row by row.
    ///
    /// # Shapes
    ///
    /// `[batch, 3, height, width]` to `[batch, image tokens, 16 * stem_width]` and their grid
    pub fn tokens(&self, pixels: Tensor<4>, kernels: &StemKernels) -> (Tensor<3>, Grid) {
        if self.conv.weight.device().is_autodiff() {
            return self.forward_channels_last(pixels);
        }
        if let (Some(entry), Some(narrow)) = (&kernels.entry, &kernels.narrow) {
            return narrow_tokens((entry, narrow), pixels);
        }
        let features = match in_host_memory(&pixels.device()) {
            true => self.forward_apart(pixels, kernels),
            false => self.forward(pixels, kernels),
        };
        let [batch, channels, height, width] = features.dims();
        let tokens = features
            .reshape([batch, channels, height * width]) // [batch, channels, tokens]
            .swap_dims(1, 2); // [batch, tokens, channels]
        (tokens, Grid { height, width })
    }

    /// Picture by picture, so that one's features stay in a core's cache from layer to layer.
    fn forward_apart(&self, pixels: Tensor<4>, kernels: &StemKernels) -> Tensor<4> {
        let pictures = pixels.split(1, 0).into_par_iter();
        Tensor::cat(pictures.map(|picture| self.forward(picture, kernels)).collect(), 0)
    }

    /// What the stem computes step by step: after pooling, then after each stage.
    pub fn forward_stages(&self, pixels: Tensor<4>, kernels: &StemKernels) -> Vec<Tensor<4>> {
        let mut spatial = kernels.spatial.iter();
        let mut outputs = vec![match &kernels.entry {
            Some(entry) => entry.forward(pixels),
            None => self.pool.forward(relu(self.conv.forward(pixels))),
        }];
        for stage in &self.stages {
            let features = outputs.last().expect("the list starts with one element").clone();
            let forward = |features, block: &Bottleneck| {
                block.forward(features, spatial.next().and_then(Option::as_ref))
            };
            outputs.push(stage.iter().fold(features, forward));
        }
        outputs
    }
}

/// The tokens of pictures, each computed on one thread where there are many.
fn narrow_tokens(
    (entry, narrow): (&entry::Entry, &narrow::Narrow),
    pixels: Tensor<4>,
) -> (Tensor<3>, Grid) {
    let ([batch, inputs, height, width], device) = (pixels.dims(), pixels.device());
    let pixels = to_host(pixels);
    let pictures: Vec<(Vec<f32>, [usize; 2])> = pixels
        .par_chunks_exact(inputs * height * width)
        .map(|pixels| {
            let (pooled, size) = entry.pooled(pixels, [1, height, width]);
            narrow.forward(&pooled, size)
        })
        .collect();
    let [height, width] = pictures.first().map_or([0, 0], |(_, size)| *size);
    let grid = Grid { height, width };
    let tokens = pictures.iter().map(|(tokens, _)| tokens.as_slice()).collect::<Vec<_>>().concat();
    let channels = tokens.len() / (batch * grid.tokens()).max(1);
    let tokens = TensorData::new(tokens, [batch, grid.tokens(), channels]);
    (Tensor::from_data(tokens, &device), grid)
}

/// What is made of a stem's weights once, for inference in the host's memory; elsewhere nothing.
#[derive(Clone, Debug, Default)]
pub struct StemKernels {
    /// The first convolution's, with what follows it.
    entry: Option<entry::Entry>,
    /// The 3x3 convolutions' in the blocks' order, where they are faster so.
    spatial: Vec<Option<winograd::Kernel>>,
    /// What follows the first convolution, if all of it is narrow.
    narrow: Option<narrow::Narrow>,
}

fn winograd_kernel(conv: &Conv2d) -> Option<winograd::Kernel> {
    let bias = conv.bias.as_ref()?;
    (conv.stride == [1, 1]).then(|| winograd::Kernel::new(conv.weight.val(), bias.val()))
}

/// A residual block: 1x1, 3x3 (with the block's stride), 1x1 with four times the channels.
#[derive(Module, Debug)]
struct Bottleneck {
    reduce: Conv2d,
    spatial: Conv2d,
    expand: Conv2d,
    shortcut: Option<Conv2d>,
}

impl Bottleneck {
    fn load(loader: &mut Loader<'_>, name: &str, channels: [usize; 2], stride: usize) -> Self {
        let [channels_in, width] = channels;
        let mut conv = |index: usize, channels: [usize; 2], kernel: usize, stride: usize| {
            ConvShape { channels, kernel, stride }.load(
                loader,
                &format!("{name}.conv{index}"),
                &format!("{name}.bn{index}"),
            )
        };
        let reduce = conv(1, [channels_in, width], 1, 1);
        let spatial = conv(2, [width, width], 3, stride);
        let expand = conv(3, [width, 4 * width], 1, 1);
        let shortcut = (stride != 1 || channels_in != 4 * width).then(|| {
            let shape = ConvShape { channels: [channels_in, 4 * width], kernel: 1, stride };
            shape.load(loader, &format!("{name}.downsample.0"), &format!("{name}.downsample.1"))
        });
        Self { reduce, spatial, expand, shortcut }
    }

    fn forward(&self, features: Tensor<4>, spatial: Option<&winograd::Kernel>) -> Tensor<4> {
        let through = || {
            let hidden = relu(self.reduce.forward(features.clone()));
            let hidden = match spatial {
                Some(kernel) => kernel.convolve_relu(hidden),
                None => relu(self.spatial.forward(hidden)),
            };
            self.expand.forward(hidden)
        };
        let Some(shortcut) = &self.shortcut else {
            return relu(through() + features.clone());
        };
        let past = || pointwise(shortcut, features.clone());
        let (past, through) = both(&features.device(), past, through);
        relu(through + past)
    }
}

/// A 1x1 convolution. What its stride leaves out is taken out first: backends take a 1x1
/// convolution without a stride for the matrix product that it is.
fn pointwise(conv: &Conv2d, features: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = features.dims();
    let step = |size: usize, stride: usize| Slice::new(0, Some(size as isize), stride as isize);
    let [down, right] = conv.stride;
    let features = match conv.stride {
        [1, 1] => features,
        _ => features.slice([Slice::full(), Slice::full(), step(height, down), step(width, right)]),
    };
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    conv2d(features, conv.weight.val(), conv.bias.as_ref().map(|bias| bias.val()), options)
}

/// A convolution of odd kernel that keeps the size but for its stride.
struct ConvShape {
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
}

impl ConvShape {
    fn load(&self, loader: &mut Loader<'_>, conv: &str, norm: &str) -> Conv2d {
        let [channels_in, channels_out] = self.channels;
        let shape = [channels_out, channels_in, self.kernel, self.kernel];
        let (weight, bias) = loader.folded_conv(conv, norm, shape);
        let padding = self.kernel / 2;
        let mut module = Conv2dConfig::new(self.channels, [self.kernel, self.kernel])
            .with_stride([self.stride, self.stride])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .init(loader.device());
        module.weight = weight;
        module.bias = Some(bias);
        module
    }
}
