//! What is trained: the model, and heads that exist during training only.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use mue_model::{Grid, Network};

use crate::config::LossConfig;
use crate::random::Random;

/// The parameters of a run.
#[derive(Module, Debug)]
pub(crate) struct TrainNetwork {
    /// The model.
    pub(crate) model: Network,
    /// Reads what is in each cell of a picture from the image tokens.
    pub(crate) grounding: Option<Linear>,
    /// By decoder layer: how a similarity becomes the log-odds of saturation.
    pub(crate) saturation: Option<SaturationScale>,
}

/// Log-odds that a layer's prediction is final: `scale * (similarity - offset)`.
#[derive(Module, Debug)]
pub(crate) struct SaturationScale {
    /// `[layers]`
    pub(crate) scale: Param<Tensor<1>>,
    /// `[layers]`
    pub(crate) offset: Param<Tensor<1>>,
}

/// How steep the log-odds start out, and where they are even: about the levels that similarities
/// of neighbouring layers have.
const SATURATION_START: [f32; 2] = [10.0, 0.9];

impl TrainNetwork {
    /// Adds the heads that the loss asks for; `classes` are those of each attribute of a cell.
    pub(crate) fn new(model: Network, loss: &LossConfig, classes: &[usize], seed: u64) -> Self {
        let table = model.encoder.token_table();
        let (device, d_model) = (table.device(), table.dims()[1]);
        let layers = model.decoder.layers.len();
        let outputs: usize = classes.iter().sum();
        let grounding = (loss.grounding > 0.0 && outputs > 0)
            .then(|| new_linear([d_model, outputs], seed, &device));
        let saturation = (loss.saturation > 0.0).then(|| {
            let [scale, offset] = SATURATION_START
                .map(|value| Param::from_tensor(Tensor::<1>::full([layers], value, &device)));
            SaturationScale { scale, offset }
        });
        Self { model, grounding, saturation }
    }

    /// Log-odds of each attribute of each cell, from the image tokens of several depths.
    ///
    /// # Shapes
    ///
    /// - states: `[pictures, image tokens, d_model]` per depth, before the final LayerNorm
    /// - output: `[depths * pictures * cells, classes of all attributes]`; none without the head
    pub(crate) fn read_cells(
        &self,
        states: &[Tensor<3>],
        grid: Grid,
        side: usize,
    ) -> Option<Tensor<2>> {
        let head = self.grounding.as_ref()?;
        let states = self.model.encoder.normalise(Tensor::cat(states.to_vec(), 0));
        let [rows, _, width] = states.dims();
        let pool = cell_means(grid, side, &states.device()); // [1, cells, image tokens]
        let cells = pool.matmul(states).reshape([rows * side * side, width]);
        Some(head.forward(cells))
    }
}

/// A linear layer with Xavier-uniform weights that depend on the seed alone.
fn new_linear([inputs, outputs]: [usize; 2], seed: u64, device: &Device) -> Linear {
    let bound = (6.0 / (inputs + outputs) as f32).sqrt();
    let mut random = Random::new(seed, "grounding", 0);
    let values: Vec<f32> =
        (0..inputs * outputs).map(|_| bound * (2.0 * random.unit() - 1.0)).collect();
    let data = burn::tensor::TensorData::new(values, [inputs, outputs]);
    let mut linear = LinearConfig::new(inputs, outputs).init(device);
    linear.weight = Param::from_tensor(Tensor::from_data(data, device));
    linear.bias = Some(Param::from_tensor(Tensor::zeros([outputs], device)));
    linear
}

/// Averages the tokens that lie in each cell, `[1, cells, image tokens]`.
fn cell_means(grid: Grid, side: usize, device: &Device) -> Tensor<3> {
    let cell = |token: usize| {
        let (row, column) = (token / grid.width, token % grid.width);
        row * side / grid.height * side + column * side / grid.width
    };
    let mut values = vec![0.0f32; side * side * grid.tokens()];
    for token in 0..grid.tokens() {
        values[cell(token) * grid.tokens() + token] = 1.0;
    }
    for row in values.chunks_exact_mut(grid.tokens()) {
        let tokens: f32 = row.iter().sum();
        row.iter_mut().for_each(|value| *value /= tokens.max(1.0));
    }
    let data = burn::tensor::TensorData::new(values, [1, side * side, grid.tokens()]);
    Tensor::from_data(data, device)
}
