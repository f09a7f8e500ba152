//! What is added to attention scores before the softmax: positions and padding.

use burn::tensor::{Device, Tensor, TensorData};

use crate::tables::MASKED;

/// What is added to attention scores.
///
/// The bias of positions is one for all rows, and padding the same for all heads and queries. They
/// stay apart as long as possible: their sum is as large as the scores of all rows together
/// (OFA-base, joint at 480 pixels: 41 MB per row and layer).
#[derive(Clone, Debug)]
pub struct ScoreBias {
    positions: Tensor<4>,
    padding: Option<Tensor<4>>,
}

impl ScoreBias {
    /// # Shapes
    ///
    /// - positions: `[batch or 1, heads or 1, target or 1, source]`, very negative where masked
    /// - padding: `[batch, 1, 1, source]`
    pub(crate) fn padded(positions: Tensor<4>, padding: Option<Tensor<4>>) -> Self {
        Self { positions, padding }
    }

    /// The summands, of the shapes above.
    pub(crate) fn terms(&self) -> impl Iterator<Item = &Tensor<4>> {
        std::iter::once(&self.positions).chain(&self.padding)
    }

    /// The sum, `[batch or 1, heads or 1, target or 1, source]`.
    pub(crate) fn sum(self) -> Tensor<4> {
        match self.padding {
            Some(padding) => self.positions + padding,
            None => self.positions,
        }
    }
}

impl From<Tensor<4>> for ScoreBias {
    fn from(positions: Tensor<4>) -> Self {
        Self { positions, padding: None }
    }
}

/// Key-padding bias of rows of different lengths, `[rows, 1, 1, tokens]`; none if all are full.
pub(crate) fn padding_bias(lengths: &[usize], tokens: usize, device: &Device) -> Option<Tensor<4>> {
    if lengths.iter().all(|length| *length == tokens) {
        return None;
    }
    let values: Vec<f32> = lengths
        .iter()
        .flat_map(|length| (0..tokens).map(move |token| if token < *length { 0.0 } else { MASKED }))
        .collect();
    let data = TensorData::new(values, [lengths.len(), 1, 1, tokens]);
    Some(Tensor::from_data(data, device))
}
