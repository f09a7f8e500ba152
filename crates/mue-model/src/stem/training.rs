//! The stem as training runs it: channels last, every convolution a matrix product.
//!
//! A convolution's gradients are again convolutions, of shapes (kernels as large as the picture)
//! that CPU backends are slow at. A matrix product's are matrix products, and with channels last
//! the 1x1 convolutions, most of a bottleneck stem, are nothing else.

use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::module::linear;
use burn::tensor::ops::{PadMode, UnfoldOptions};
use burn::tensor::{Tensor, module::unfold4d};

use super::{Bottleneck, Stem};
use crate::buckets::Grid;
use crate::rows::index;

/// Positions of a batch of feature maps, row by row, each a row of channels.
#[derive(Clone)]
struct Features {
    /// `[batch * height * width, channels]`
    rows: Tensor<2>,
    batch: usize,
    grid: Grid,
}

impl Stem {
    /// The same function as [`forward`](Self::forward), differentiated faster.
    ///
    /// # Shapes
    ///
    /// `[batch, 3, height, width]` to `[batch, image tokens, 16 * stem_width]` and their grid
    pub(super) fn forward_channels_last(&self, pixels: Tensor<4>) -> (Tensor<3>, Grid) {
        let features = self
            .stages
            .iter()
            .flatten()
            .fold(self.pooled_pixels(pixels), |features, block| block.forward_rows(features));
        let Features { rows, batch, grid } = features;
        let channels = rows.dims()[1];
        (rows.reshape([batch, grid.tokens(), channels]), grid)
    }

    /// First convolution and pooling. The bias is added and negative values are cut off behind
    /// the pooling, where a quarter of the values is left: the maximum does not mind.
    fn pooled_pixels(&self, pixels: Tensor<4>) -> Features {
        let [batch, _, height, width] = pixels.dims();
        let weight = self.conv.weight.val();
        let [channels, inputs, kernel, _] = weight.dims();
        let (stride, padding) = (2, kernel / 2);
        let size = |pixels: usize| (pixels + 2 * padding - kernel) / stride + 1;
        // Pixels need no gradient: their patches are made outside the graph.
        let padded = pixels
            .without_autodiff()
            .pad((padding, padding, padding, padding), PadMode::Constant(0.0));
        let options = UnfoldOptions::new([stride; 2], [0; 2], [1; 2]);
        let patches = unfold4d(padded, [kernel; 2], options);
        let weight = weight.reshape([1, channels, inputs * kernel * kernel]);
        let convolved = weight
            .matmul(patches) // [batch, channels, positions]
            .reshape([batch, channels, size(height), size(width)]);
        let pooled = self.pool.forward(convolved);
        let [_, _, height, width] = pooled.dims();
        let rows = pooled
            .permute([0, 2, 3, 1]) // [batch, height, width, channels]
            .reshape([batch * height * width, channels]);
        let rows = match &self.conv.bias {
            Some(bias) => rows + bias.val().unsqueeze(),
            None => rows,
        };
        Features { rows: relu(rows), batch, grid: Grid { height, width } }
    }
}

impl Bottleneck {
    fn forward_rows(&self, features: Features) -> Features {
        let shortcut = match &self.shortcut {
            Some(conv) => pointwise(conv, features.clone()).rows,
            None => features.rows.clone(),
        };
        let Features { rows, batch, grid } = features;
        let rows = relu(linear(rows, kernel_matrix(&self.reduce), bias(&self.reduce)));
        let hidden = spatial(&self.spatial, Features { rows, batch, grid });
        let hidden = pointwise(&self.expand, Features { rows: relu(hidden.rows), ..hidden });
        Features { rows: relu(hidden.rows + shortcut), ..hidden }
    }
}

/// A 1x1 convolution, possibly of every second position only.
fn pointwise(conv: &Conv2d, features: Features) -> Features {
    let Features { rows, batch, grid } = features;
    let (rows, grid) = match conv.stride[0] {
        1 => (rows, grid),
        stride => {
            let (places, grid) = neighbourhoods(batch, grid, [1, stride]);
            let places = index(&places, &rows.device());
            (rows.select(0, places), grid)
        }
    };
    Features { rows: linear(rows, kernel_matrix(conv), bias(conv)), batch, grid }
}

/// A square convolution: each position's neighbourhood becomes one row.
fn spatial(conv: &Conv2d, features: Features) -> Features {
    let Features { rows, batch, grid } = features;
    let [_, inputs, kernel, _] = conv.weight.dims();
    let device = rows.device();
    let (places, grid) = neighbourhoods(batch, grid, [kernel, conv.stride[0]]);
    let outside = Tensor::zeros([1, inputs], &device);
    let rows = Tensor::cat(vec![rows, outside], 0)
        .select(0, index(&places, &device)) // [positions * kernel^2, channels]
        .reshape([batch * grid.tokens(), kernel * kernel * inputs]);
    Features { rows: linear(rows, kernel_matrix(conv), bias(conv)), batch, grid }
}

/// A kernel `[out, in, height, width]` as a matrix `[height * width * in, out]`.
fn kernel_matrix(conv: &Conv2d) -> Tensor<2> {
    let weight = conv.weight.val();
    let [outputs, inputs, height, width] = weight.dims();
    if height == 1 {
        return weight.reshape([outputs, inputs]).transpose();
    }
    weight
        .permute([2, 3, 1, 0]) // [height, width, in, out]
        .reshape([height * width * inputs, outputs])
}

fn bias(conv: &Conv2d) -> Option<Tensor<1>> {
    conv.bias.as_ref().map(|bias| bias.val())
}

/// For each output position, the input rows under the kernel; the row behind the last stands for
/// everything outside. Also the grid of output positions.
fn neighbourhoods(batch: usize, grid: Grid, [kernel, stride]: [usize; 2]) -> (Vec<usize>, Grid) {
    let output = Grid { height: grid.height.div_ceil(stride), width: grid.width.div_ceil(stride) };
    let outside = batch * grid.tokens();
    let padding = kernel / 2;
    let mut places = Vec::with_capacity(batch * output.tokens() * kernel * kernel);
    for picture in 0..batch {
        for y in 0..output.height {
            for x in 0..output.width {
                for (down, right) in (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x))) {
                    let (row, column) = (y * stride + down, x * stride + right);
                    let inside = (padding..grid.height + padding).contains(&row)
                        && (padding..grid.width + padding).contains(&column);
                    places.push(match inside {
                        true => {
                            picture * grid.tokens()
                                + (row - padding) * grid.width
                                + (column - padding)
                        }
                        false => outside,
                    });
                }
            }
        }
    }
    (places, output)
}
