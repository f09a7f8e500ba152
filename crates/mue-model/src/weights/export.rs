//! From a network's parameters back to a checkpoint's tensors.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use super::{CheckpointError, RawTensor};
use crate::model::Network;
use crate::rows::to_host;

/// How a parameter is stored in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamLayout {
    /// As it is.
    AsStored,
    /// A linear layer's matrix: `[out, in]` in the checkpoint, `[in, out]` in the module.
    Transposed,
    /// The bias of a convolution that a BatchNorm was folded into.
    FoldedNorm,
}

/// Where a parameter came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamOrigin {
    /// The tensor's name in the Hugging Face layout; of a folded BatchNorm, the module's.
    pub name: String,
    /// How it is stored there.
    pub layout: ParamLayout,
}

/// The origins of a network's parameters, which [`Network::load`] notes.
#[derive(Clone, Debug)]
pub struct ParamNames {
    origins: HashMap<ParamId, ParamOrigin>,
    batch_norm_epsilon: f64,
}

impl ParamNames {
    pub(crate) fn new(batch_norm_epsilon: f64) -> Self {
        Self { origins: HashMap::new(), batch_norm_epsilon }
    }

    pub(crate) fn insert(&mut self, id: ParamId, origin: ParamOrigin) {
        self.origins.insert(id, origin);
    }

    /// Where a parameter came from.
    pub fn origin(&self, id: ParamId) -> Option<&ParamOrigin> {
        self.origins.get(&id)
    }

    /// The network's parameters under the names and in the layout of a checkpoint.
    ///
    /// Convolutions keep the BatchNorm that was folded into them: what is written for it is one
    /// that adds the bias and changes nothing else.
    ///
    /// # Errors
    ///
    /// None for a network that [`Network::load`] made; the tensors are checked as those of a file.
    pub fn export(
        &self,
        network: &Network,
    ) -> Result<BTreeMap<String, RawTensor>, CheckpointError> {
        let mut exporter = Exporter { names: self, tensors: BTreeMap::new(), error: None };
        network.visit(&mut exporter);
        match exporter.error {
            Some(error) => Err(error),
            None => Ok(exporter.tensors),
        }
    }
}

struct Exporter<'a> {
    names: &'a ParamNames,
    tensors: BTreeMap<String, RawTensor>,
    error: Option<CheckpointError>,
}

impl Exporter<'_> {
    fn put(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        match RawTensor::from_f32(shape, values) {
            Ok(tensor) => {
                self.tensors.insert(name, tensor);
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// A BatchNorm whose scale is exactly one.
    fn put_norm(&mut self, name: &str, bias: &[f32]) {
        let channels = bias.len();
        let variance = (1.0 - self.names.batch_norm_epsilon) as f32;
        self.put(format!("{name}.weight"), vec![channels], &vec![1.0; channels]);
        self.put(format!("{name}.bias"), vec![channels], bias);
        self.put(format!("{name}.running_mean"), vec![channels], &vec![0.0; channels]);
        self.put(format!("{name}.running_var"), vec![channels], &vec![variance; channels]);
    }
}

impl ModuleVisitor for Exporter<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(origin) = self.names.origin(param.id).cloned() else { return };
        let value = match origin.layout {
            ParamLayout::Transposed => param.val().swap_dims(0, 1),
            ParamLayout::AsStored | ParamLayout::FoldedNorm => param.val(),
        };
        let shape = value.dims().to_vec();
        let values = to_host(value);
        match origin.layout {
            ParamLayout::FoldedNorm => self.put_norm(&origin.name, &values),
            _ => self.put(origin.name, shape, &values),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::config::OfaConfig;
    use crate::weights::initial_tensors;

    #[test]
    fn what_was_loaded_is_exported_and_loads_again() {
        let config = OfaConfig {
            vocab_size: 11,
            d_model: 8,
            encoder_layers: 1,
            decoder_layers: 1,
            encoder_attention_heads: 2,
            decoder_attention_heads: 2,
            encoder_ffn_dim: 12,
            decoder_ffn_dim: 12,
            resnet_layers: Some([1, 1, 1]),
            stem_width: 2,
            max_position_embeddings: 9,
            token_bucket_size: 4,
            image_bucket_size: 3,
            ..OfaConfig::default()
        };
        let device = Device::flex();
        let initial = initial_tensors(&config, 1, &device).unwrap();
        let (network, names) = Network::load(&initial, &config, &device).unwrap();
        let exported = names.export(&network).unwrap();
        assert_eq!(exported.keys().collect::<Vec<_>>(), initial.keys().collect::<Vec<_>>());
        let same = |name: &str| {
            let bytes = |tensors: &BTreeMap<String, RawTensor>| tensors[name].bytes().unwrap();
            bytes(&exported) == bytes(&initial)
        };
        assert!(same("encoder.layers.0.fc1.weight") && same("encoder.embed_tokens.weight"));

        // The stem's norms are folded in by now; folding the exported ones changes nothing more.
        let (again, names) = Network::load(&exported, &config, &device).unwrap();
        let twice = names.export(&again).unwrap();
        for (name, tensor) in &exported {
            assert_eq!(tensor.bytes().unwrap(), twice[name].bytes().unwrap(), "{name}");
        }
    }
}
