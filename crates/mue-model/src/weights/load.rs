//! From named tensors to burn modules, with one report of everything that does not fit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use burn::module::Param;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{AllocationProperty, Bytes, DType, Device, Tensor, TensorData};
use rayon::prelude::*;

use super::{CheckpointError, ParamLayout, ParamNames, ParamOrigin, RawTensor};

/// A checkpoint that is not the model its configuration describes.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint does not match config.json:{}", list(.0))]
pub struct MismatchError(pub Vec<Mismatch>);

/// One tensor that is missing, left over, of another shape or of another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The tensor's name in the Hugging Face layout.
    pub name: String,
    /// The shape that the configuration asks for; `None` if no such tensor is known.
    pub expected: Option<Vec<usize>>,
    /// What the checkpoint holds under that name, in words; `None` if nothing.
    pub found: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.as_deref().unwrap_or("missing");
        match &self.expected {
            Some(expected) => write!(f, "{}: expected {expected:?}, found {found}", self.name),
            None => write!(f, "{}: not part of this model, found {found}", self.name),
        }
    }
}

fn list(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(|mismatch| format!("\n  {mismatch}")).collect()
}

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or folder could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The configuration is not one of this crate's models.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Names or shapes differ.
    #[error(transparent)]
    Mismatch(#[from] MismatchError),
}

/// Hands out a checkpoint's tensors as parameters and remembers what did not fit.
///
/// A tensor that does not fit is replaced by zeros, so that one pass finds every mismatch;
/// [`finish`](Loader::finish) then refuses the model.
pub(crate) struct Loader<'a> {
    tensors: &'a BTreeMap<String, RawTensor>,
    device: Device,
    epsilons: Epsilons,
    used: BTreeSet<String>,
    mismatches: Vec<Mismatch>,
    names: ParamNames,
}

/// The two epsilons that a configuration states.
pub(crate) struct Epsilons {
    pub(crate) layer_norm: f64,
    pub(crate) batch_norm: f64,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        tensors: &'a BTreeMap<String, RawTensor>,
        device: &Device,
        epsilons: Epsilons,
    ) -> Self {
        let device = device.clone();
        let names = ParamNames::new(epsilons.batch_norm);
        let (used, mismatches) = (BTreeSet::new(), Vec::new());
        Self { tensors, device, epsilons, used, mismatches, names }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// A tensor of the given shape, shared with the mapped file where the device allows it.
    pub(crate) fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let data = self.data(name, &shape);
        Tensor::from_data(data.unwrap_or_else(|| TensorData::zeros::<f32, _>(shape)), &self.device)
    }

    pub(crate) fn param<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        let tensor = self.tensor(name, shape);
        self.named(tensor, name, ParamLayout::AsStored)
    }

    /// A parameter, with note taken of where it came from.
    fn named<const D: usize>(
        &mut self,
        value: Tensor<D>,
        name: &str,
        layout: ParamLayout,
    ) -> Param<Tensor<D>> {
        let param = Param::from_tensor(value);
        self.names.insert(param.id, ParamOrigin { name: name.to_owned(), layout });
        param
    }

    /// A linear layer. PyTorch's `[out, in]` matrix is copied to `[in, out]`: as a transposed view,
    /// every product would gather its columns anew, which takes longer than the product of few
    /// rows.
    pub(crate) fn linear(&mut self, name: &str, [d_in, d_out]: [usize; 2]) -> Linear {
        let key = format!("{name}.weight");
        let stored = match self.data(&key, &[d_out, d_in]) {
            Some(data) => transposed(data.as_slice().expect("loaded tensors are f32"), d_in),
            None => vec![0.0; d_in * d_out],
        };
        self.release(&key);
        let weight = Tensor::from_data(TensorData::new(stored, [d_in, d_out]), &self.device);
        let mut linear = LinearConfig::new(d_in, d_out).init(&self.device);
        linear.weight = self.named(weight, &key, ParamLayout::Transposed);
        linear.bias = Some(self.param(&format!("{name}.bias"), [d_out]));
        linear
    }

    pub(crate) fn layer_norm(&mut self, name: &str, width: usize) -> LayerNorm {
        let config = LayerNormConfig::new(width).with_epsilon(self.epsilons.layer_norm);
        let mut norm = config.init(&self.device);
        norm.gamma = self.param(&format!("{name}.weight"), [width]);
        norm.beta = Some(self.param(&format!("{name}.bias"), [width]));
        norm
    }

    pub(crate) fn embedding(&mut self, name: &str, [rows, width]: [usize; 2]) -> Embedding {
        let mut embedding = EmbeddingConfig::new(rows, width).init(&self.device);
        embedding.weight = self.param(&format!("{name}.weight"), [rows, width]);
        embedding
    }

    /// A bias-free convolution with the BatchNorm that follows it folded in:
    /// `w * g / sqrt(var + eps)` and `b - mean * g / sqrt(var + eps)`.
    pub(crate) fn folded_conv(
        &mut self,
        conv: &str,
        norm: &str,
        shape: [usize; 4],
    ) -> (Param<Tensor<4>>, Param<Tensor<1>>) {
        let channels = shape[0];
        let mut norm_values = |part: &str| {
            let data = self.data(&format!("{norm}.{part}"), &[channels]);
            data.map_or_else(|| vec![1.0; channels], values)
        };
        let (gamma, beta) = (norm_values("weight"), norm_values("bias"));
        let (mean, variance) = (norm_values("running_mean"), norm_values("running_var"));
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| {
                (f64::from(*g) / (f64::from(*v) + self.epsilons.batch_norm).sqrt()) as f32
            })
            .collect();
        let bias: Vec<f32> =
            beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        let kernel = shape.iter().skip(1).product::<usize>();
        let key = format!("{conv}.weight");
        let mut weight = match self.data(&key, &shape) {
            Some(data) => values(data),
            None => vec![0.0; channels * kernel],
        };
        self.release(&key);
        for (row, scale) in weight.chunks_exact_mut(kernel).zip(&scale) {
            row.iter_mut().for_each(|w| *w *= scale);
        }
        let weight = Tensor::from_data(TensorData::new(weight, shape), &self.device);
        let bias = Tensor::from_data(TensorData::new(bias, [channels]), &self.device);
        (
            self.named(weight, &key, ParamLayout::AsStored),
            self.named(bias, norm, ParamLayout::FoldedNorm),
        )
    }

    /// Takes note of a tensor that the model does not use; absent is fine, another shape is not.
    pub(crate) fn accept(&mut self, name: &str, shape: &[usize]) {
        self.used.insert(name.to_owned());
        if let Some(tensor) = self.tensors.get(name).filter(|tensor| tensor.shape() != shape) {
            let found = Some(format!("{:?}", tensor.shape()));
            let expected = Some(shape.to_vec());
            self.mismatches.push(Mismatch { name: name.to_owned(), expected, found });
        }
    }

    /// Refuses the model if anything was missing, left over, of another shape or no floats.
    pub(crate) fn finish(mut self) -> Result<ParamNames, MismatchError> {
        let left_over = self.tensors.iter().filter(|(name, _)| !self.used.contains(*name));
        self.mismatches.extend(left_over.map(|(name, tensor)| Mismatch {
            name: name.clone(),
            expected: None,
            found: Some(format!("{:?}", tensor.shape())),
        }));
        self.mismatches.sort_by(|a, b| a.name.cmp(&b.name));
        match self.mismatches.is_empty() {
            true => Ok(self.names),
            false => Err(MismatchError(self.mismatches)),
        }
    }

    /// What was copied need not stay in memory.
    fn release(&self, name: &str) {
        if let Some(tensor) = self.tensors.get(name) {
            tensor.release();
        }
    }

    fn data(&mut self, name: &str, shape: &[usize]) -> Option<TensorData> {
        self.used.insert(name.to_owned());
        let found = match self.tensors.get(name) {
            None => None,
            Some(tensor) if tensor.shape() != shape => Some(format!("{:?}", tensor.shape())),
            Some(tensor) if tensor.float32_dtype() != pytorch_reader::DType::F32 => {
                Some(format!("{:?} of {:?}", tensor.shape(), tensor.float32_dtype()))
            }
            Some(tensor) => match tensor.float32_bytes() {
                Ok(bytes) => {
                    let bytes = Bytes::from_shared(bytes, AllocationProperty::Other);
                    return Some(TensorData::from_bytes(bytes, shape.to_vec(), DType::F32));
                }
                Err(error) => Some(error.to_string()),
            },
        };
        let expected = Some(shape.to_vec());
        self.mismatches.push(Mismatch { name: name.to_owned(), expected, found });
        None
    }
}

/// The transpose of a matrix of `columns`, row by row.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    /// Columns that are gathered together: what is read of a row fills a cache line.
    const TOGETHER: usize = 16;
    let rows = matrix.len() / columns;
    let mut transpose = vec![0.0; matrix.len()];
    transpose.par_chunks_mut(TOGETHER * rows).enumerate().for_each(|(chunk, gathered)| {
        for (place, row) in matrix.chunks_exact(columns).enumerate() {
            let line = &row[chunk * TOGETHER..];
            for (column, value) in gathered.chunks_exact_mut(rows).zip(line) {
                column[place] = *value;
            }
        }
    });
    transpose
}

fn values(data: TensorData) -> Vec<f32> {
    data.try_into_vec::<f32>().expect("loaded tensors are f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_has_columns_for_rows() {
        for (rows, columns) in [(1, 1), (3, 40), (40, 3), (16, 32)] {
            let matrix: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let transpose = transposed(&matrix, columns);
            for (i, value) in transpose.iter().enumerate() {
                let (column, row) = (i / rows, i % rows);
                assert_eq!(*value, (row * columns + column) as f32, "{rows} x {columns}");
            }
        }
    }
}
