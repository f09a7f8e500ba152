//! What decoder sequences attend to, and attention of packed tokens.

use burn::tensor::{Device, Tensor};

use super::packing::Packing;
use crate::attention::{Attention, KeysValues};
use crate::buckets::Grid;
use crate::rows::index;
use crate::score_bias::ScoreBias;

/// What decoder sequences attend to: image tokens, then text tokens.
pub(super) struct TrainSource {
    /// Normed position embeddings of both, `[1, tokens, d_model]` each.
    pub(super) positions: [Tensor<3>; 2],
    /// A layer's keys and values of every sequence, `[sequences, heads, source, head_dim]`.
    pub(super) keys_values: Box<dyn Fn(&Attention) -> KeysValues>,
    /// As [`TrainOutput`](super::TrainOutput) has them.
    pub(super) image_states: Vec<Tensor<3>>,
    pub(super) image_rows: Vec<usize>,
    pub(super) grid: Grid,
}

/// What chooses among rows that are one piece each.
///
/// # Shapes
///
/// `[rows, tokens, width]` to `[chosen, tokens, width]`
pub(super) fn picture_rows(
    chosen: &[usize],
    device: &Device,
) -> impl Fn(Tensor<3>) -> Tensor<3> + use<> {
    let places = index(chosen, device);
    let count = chosen.len();
    move |rows| {
        let [batch, tokens, width] = rows.dims();
        rows.reshape([batch, tokens * width])
            .select(0, places.clone())
            .reshape([count, tokens, width])
    }
}

/// Self-attention of packed tokens, which is the only thing that puts them into rows.
pub(super) fn attend_packed(
    packing: &Packing,
    bias: ScoreBias,
) -> impl FnOnce(&Attention, Tensor<3>) -> Tensor<3> + use<> {
    let (to_rows, to_tokens) = (packing.rows(), packing.tokens());
    move |attention, normed| {
        let source = attention.keys_values_at(normed.clone(), &to_rows);
        let queries = attention.queries_at(normed, &to_rows);
        attention.project_from(attention.attend(queries, &source, bias), to_tokens)
    }
}
