//! The model of a run, from its checkpoint alone.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use mue_model::weights::{RawTensor, initial_tensors};
use mue_model::{Network, OfaConfig};

use crate::checkpoint::{Checkpoints, ResumeError, saved_recipe};
use crate::error::TrainError;
use crate::network::TrainNetwork;
use crate::parameters::Parameters;

/// The averaged weights of a run.
pub struct SavedWeights {
    /// Steps done.
    pub step: u64,
    /// The weights in the Hugging Face layout.
    pub tensors: BTreeMap<String, RawTensor>,
}

/// The weights of the newest readable checkpoint in a run's folder; none if there is no checkpoint.
/// Neither what the run learned from nor what it started from is needed: only the model's
/// configuration, and the classes of each attribute that its grounding heads read.
///
/// `report` sees why a newer checkpoint is passed over.
///
/// # Errors
///
/// If no checkpoint can be read, or it is of another model.
pub fn saved_weights(
    folder: &Path,
    (model, cell_classes): (&OfaConfig, &[usize]),
    device: &Device,
    report: &mut dyn FnMut(ResumeError),
) -> Result<Option<SavedWeights>, TrainError> {
    let Some(recipe) = saved_recipe(folder)? else { return Ok(None) };
    // Weights for the checkpoint's to take the place of.
    let weights = initial_tensors(model, recipe.seed, device)?;
    let (network, names) = Network::load(&weights, model, device)?;
    let template = TrainNetwork::new(network, &recipe.loss, cell_classes, recipe.seed);
    let mut parameters = Parameters::of(&template);
    let state = Checkpoints::of_run(folder).load(&mut parameters, &recipe, report)?;
    let Some(state) = state else { return Ok(None) };
    let tensors = names.export(&parameters.fill_average(template, device).model)?;
    Ok(Some(SavedWeights { step: state.step, tensors }))
}
