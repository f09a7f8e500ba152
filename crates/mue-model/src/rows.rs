//! Choosing rows of batched state: the one verb for shrinking, growing and reordering a batch.

use std::sync::OnceLock;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::attention::KeysValues;

/// Row `i` of the result is row `rows[i]` of the input; rows may be dropped, repeated, reordered.
pub trait SelectRows {
    /// Keeps exactly these rows, in this order.
    fn select_rows(self, rows: &RowIndex) -> Self;
}

/// Row numbers, on the host and (once needed) on the device.
#[derive(Clone, Debug)]
pub struct RowIndex {
    rows: Vec<usize>,
    device: Device,
    index: OnceLock<Tensor<1, Int>>,
    identity: bool,
}

impl RowIndex {
    /// The choice `rows` out of `total`.
    pub fn new(rows: Vec<usize>, total: usize, device: &Device) -> Self {
        let identity = rows.len() == total && rows.iter().enumerate().all(|(i, row)| i == *row);
        Self { rows, device: device.clone(), index: OnceLock::new(), identity }
    }

    /// The row numbers.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Whether nothing changes.
    pub fn is_identity(&self) -> bool {
        self.identity
    }

    fn index(&self) -> Tensor<1, Int> {
        self.index.get_or_init(|| index(&self.rows, &self.device)).clone()
    }
}

impl<const D: usize> SelectRows for Tensor<D> {
    fn select_rows(self, rows: &RowIndex) -> Self {
        if rows.identity { self } else { select(self, rows.index()) }
    }
}

impl SelectRows for KeysValues {
    fn select_rows(self, rows: &RowIndex) -> Self {
        self.map(|tensor| tensor.select_rows(rows))
    }
}

/// Puts `update`'s rows into `state` at the rows they were selected from.
pub(crate) fn write_rows(state: Tensor<3>, update: Tensor<3>, rows: &RowIndex) -> Tensor<3> {
    if rows.identity {
        return update;
    }
    let total = state.dims()[0];
    let mut source: Vec<usize> = (0..total).collect();
    for (position, row) in rows.rows.iter().enumerate() {
        source[*row] = total + position;
    }
    let source = index(&source, &state.device());
    select(Tensor::cat(vec![state, update], 0), source)
}

/// Rows of a tensor as rows of a matrix, which the CPU's backend selects on all threads.
fn select<const D: usize>(tensor: Tensor<D>, rows: Tensor<1, Int>) -> Tensor<D> {
    let mut shape = tensor.dims();
    let width: usize = shape[1..].iter().product();
    let matrix = tensor.reshape([shape[0], width]);
    shape[0] = rows.dims()[0];
    matrix.select(0, rows).reshape(shape)
}

/// An index tensor.
pub(crate) fn index(ids: &[usize], device: &Device) -> Tensor<1, Int> {
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let length = ids.len();
    Tensor::from_data(TensorData::new(ids, [length]), device)
}

/// A batch of token ids of one length, `[rows, tokens]`.
pub(crate) fn token_ids(rows: &[Vec<u32>], device: &Device) -> Tensor<2, Int> {
    let shape = [rows.len(), rows.first().map_or(0, Vec::len)];
    let ids: Vec<i32> = rows.iter().flatten().map(|id| *id as i32).collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}

/// Reads a float tensor to the host.
pub(crate) fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("activations are f32")
}

/// The same values in memory of their own, where the tensor is a part of a larger one.
pub(crate) fn copied(tensor: Tensor<3>) -> Tensor<3> {
    tensor + 0.0
}

/// A row-major copy, where the tensor is a permuted view; cached tensors are stored so, because
/// kernels would otherwise copy them at every use.
pub(crate) fn contiguous(tensor: Tensor<4>) -> Tensor<4> {
    let shape = tensor.dims();
    let elements = shape.iter().product::<usize>();
    tensor.reshape([elements]).reshape(shape)
}
