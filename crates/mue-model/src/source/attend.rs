//! Cross-attention of a batch in which every request has its own source.

use burn::tensor::Tensor;

use super::Source;
use crate::attention::{Attention, KeysValues};

/// One request's rows in a decoder pass.
pub(crate) struct Attending<'a> {
    pub(crate) source: &'a Source,
    /// Rows (beams), adjacent in the batch.
    pub(crate) rows: usize,
    /// Decoder position of each query column.
    pub(crate) positions: Vec<usize>,
}

/// Cross-attention of a batch in which every request has its own source.
///
/// # Shapes
///
/// queries and output: `[rows of all requests, heads, target, head_dim]`
pub(crate) fn cross_attend(
    attention: &Attention,
    queries: Tensor<4>,
    requests: &[Attending<'_>],
    layer: usize,
) -> Tensor<4> {
    let mut outputs = Vec::with_capacity(requests.len());
    let mut first_row = 0;
    let mut rest = requests;
    while let Some(request) = rest.first() {
        let (group, others) = rest.split_at(stackable(rest));
        let rows = group.len() * request.rows;
        let group_queries = queries.clone().narrow(0, first_row, rows);
        outputs.push(attend_group(attention, group_queries, group, layer));
        first_row += rows;
        rest = others;
    }
    match outputs.len() {
        1 => outputs.remove(0),
        _ => Tensor::cat(outputs, 0),
    }
}

/// How many requests at the front can attend in one call.
fn stackable(requests: &[Attending<'_>]) -> usize {
    let shape =
        |request: &Attending<'_>| (request.source.tokens, request.rows, request.positions.len());
    let Some(first) = requests.first() else { return 0 };
    if !first.source.is_stackable() {
        return 1;
    }
    requests.iter().take_while(|request| shape(request) == shape(first)).count()
}

fn attend_group(
    attention: &Attention,
    queries: Tensor<4>,
    group: &[Attending<'_>],
    layer: usize,
) -> Tensor<4> {
    let [rows, heads, target, head_dim] = queries.dims();
    let beams = rows / group.len();
    let held = |request: &Attending<'_>| {
        request.source.keys_values[layer].clone().expect("the layer was prepared")
    };
    let source = match group {
        [one] => held(one),
        several => vec![KeysValues::stack(several.iter().flat_map(held).collect())],
    };
    let biases =
        group.iter().map(|request| request.source.position_bias(&request.positions)).collect();
    let bias = Tensor::cat(biases, 0); // [requests, heads, target, source]
    if beams == 1 {
        return attention.attend_parts(queries, &source, bias);
    }
    // The beams of a request share its source: they attend as further queries of one row.
    let queries = queries
        .reshape([group.len(), beams, heads, target, head_dim])
        .swap_dims(1, 2) // [requests, heads, beams, target, head_dim]
        .reshape([group.len(), heads, beams * target, head_dim]);
    let bias = bias.repeat_dim(2, beams); // [requests, heads, beams * target, source]
    attention
        .attend_parts(queries, &source, bias)
        .reshape([group.len(), heads, beams, target, head_dim])
        .swap_dims(1, 2)
        .reshape([rows, heads, target, head_dim])
}
