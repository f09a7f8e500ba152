//! The model: parameters, what is computed once from them, and the constant prompt.

mod prompt;
mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::buckets::Grid;
use crate::config::{ConfigError, OfaConfig};
use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::exit::ExitPolicy;
use crate::gather::GatherCost;
use crate::host::{both, in_host_memory};
use crate::macs::MacModel;
use crate::search::SpecialTokens;
use crate::source::BranchEncoding;
use crate::stem::StemKernels;
use crate::tables::{Recent, Tables};
use crate::weights::{Epsilons, LoadError, Loader, ParamNames, RawTensor};
use prompt::{PROMPTS, Prompt};

/// The parameters of an OFA model; MuE adds none.
#[derive(Module, Debug)]
pub struct Network {
    /// Image and text to encoder states.
    pub encoder: Encoder,
    /// Encoder states and a prefix to the next token.
    pub decoder: Decoder,
}

impl Network {
    /// Builds the parameters from tensors named as in the Hugging Face layout, and says which
    /// parameter came from which tensor.
    ///
    /// # Errors
    ///
    /// As [`Ofa::from_tensors`].
    pub fn load(
        tensors: &BTreeMap<String, RawTensor>,
        config: &OfaConfig,
        device: &Device,
    ) -> Result<(Self, ParamNames), LoadError> {
        let epsilons =
            Epsilons { layer_norm: config.layer_norm_eps, batch_norm: config.batch_norm_eps };
        let mut loader = Loader::new(tensors, device, epsilons);
        let network = Self {
            encoder: Encoder::load(&mut loader, config)?,
            decoder: Decoder::load(&mut loader, config),
        };
        Ok((network, loader.finish()?))
    }
}

/// How rows that have exited are kept from being computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Execution {
    /// They are gathered out, where that pays: a layer computes active rows only.
    #[default]
    Compacted,
    /// They are computed and the result is thrown away: the reference for the other.
    Masked,
}

/// What a decoder layer attends to for tokens that left before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DecoderState {
    /// The layer's own projections of the exit state, cached.
    #[default]
    Propagate,
    /// Nothing is cached: the whole prefix runs at this step's depth, which the newest position
    /// decides.
    Recompute,
    /// As `Recompute`, and the whole prefix decides (the rule of the paper's released code).
    RecomputePrefix,
}

/// How a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct RunOptions {
    /// Gathering or masking.
    pub execution: Execution,
    /// Caching or recomputing.
    pub decoder_state: DecoderState,
    /// When gathering pays; free by default.
    pub gather: GatherCost,
}

/// A loaded model, ready to run.
#[derive(Debug)]
pub struct Ofa {
    config: OfaConfig,
    network: Network,
    device: Device,
    options: RunOptions,
    macs: MacModel,
    tables: Tables,
    stem_kernels: StemKernels,
    /// By their tokens.
    prompts: Recent<Vec<u32>, Prompt>,
}

impl Ofa {
    /// Builds a model from tensors named as in the Hugging Face layout.
    ///
    /// # Errors
    ///
    /// If the configuration is impossible, or tensors are missing, left over or of other shapes:
    /// then every one is listed.
    pub fn from_tensors(
        tensors: &BTreeMap<String, RawTensor>,
        config: OfaConfig,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let (network, _) = Network::load(tensors, &config, device)?;
        Ok(Self::new(network, config, device)?)
    }

    /// A model of these parameters.
    ///
    /// # Errors
    ///
    /// If the configuration is impossible.
    pub fn new(network: Network, config: OfaConfig, device: &Device) -> Result<Self, ConfigError> {
        Ok(Self {
            macs: MacModel::new(&config)?,
            tables: Tables::new(config.image_relative_bias),
            device: device.clone(),
            options: RunOptions::default(),
            stem_kernels: network.encoder.stem().kernels(),
            prompts: Recent::new(PROMPTS),
            network,
            config,
        })
    }

    /// The same model with other run options.
    pub fn with_options(mut self, options: RunOptions) -> Self {
        self.options = options;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &OfaConfig {
        &self.config
    }

    /// The parameters.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What its parts cost.
    pub fn macs(&self) -> &MacModel {
        &self.macs
    }

    /// The ids with a meaning to the search.
    pub fn special_tokens(&self) -> SpecialTokens {
        SpecialTokens {
            bos: self.config.bos_token_id,
            pad: self.config.pad_token_id,
            eos: self.config.eos_token_id,
        }
    }

    pub(crate) fn encoder(&self) -> &Encoder {
        &self.network.encoder
    }

    /// What the stem makes of pictures, `[batch, 3, height, width]`, as [`Stem::forward_stages`].
    ///
    /// [`Stem::forward_stages`]: crate::Stem::forward_stages
    pub fn stem_stages(&self, pixels: Tensor<4>) -> Vec<Tensor<4>> {
        self.encoder().stem().forward_stages(pixels, &self.stem_kernels)
    }

    /// The image branch's input.
    pub(crate) fn embed_image(&self, pixels: Tensor<4>) -> (Tensor<3>, Grid) {
        self.encoder().embed_image(pixels, &self.stem_kernels)
    }

    pub(crate) fn decoder(&self) -> &Decoder {
        &self.network.decoder
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Whether it computes in the host's memory, on the CPU.
    pub fn is_on_host(&self) -> bool {
        in_host_memory(self.device())
    }

    /// Does two things that do not touch each other: on the CPU at the same time, on the threads
    /// that compute; a GPU is fed one after the other.
    pub fn both<A: Send, B: Send>(
        &self,
        one: impl FnOnce() -> A + Send,
        other: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        both(self.device(), one, other)
    }

    /// How it runs.
    pub fn options(&self) -> RunOptions {
        self.options
    }

    pub(crate) fn decoder_state(&self) -> DecoderState {
        self.options.decoder_state
    }

    /// Encodes one picture and one text at once, decomposed, at the policy's depths.
    ///
    /// # Shapes
    ///
    /// - pixels: `[1, 3, height, width]`
    pub fn encode_pair(
        &self,
        pixels: Tensor<4>,
        tokens: &[u32],
        policy: &ExitPolicy,
    ) -> Vec<Arc<BranchEncoding>> {
        let image = self.begin_images(pixels, vec![policy.image.clone()]);
        let text = self.begin_texts(&[tokens.to_vec()], vec![policy.text.clone()]);
        [image, text].into_iter().flat_map(|run| self.encode_all(run)).map(Arc::new).collect()
    }

    /// Runs a branch to its end; the encodings are in cohort order.
    pub fn encode_all(&self, mut run: crate::encode::BranchRun) -> Vec<BranchEncoding> {
        let mut exited = Vec::new();
        while !run.is_finished() {
            exited.extend(self.encode_layer(&mut run).exited);
        }
        exited.sort_by_key(|(row, _)| *row);
        exited.into_iter().map(|(_, encoding)| encoding).collect()
    }
}
