//! One optimiser step: groups of pictures on several threads, gradients added up, one update.

use burn::tensor::Device;
use mue_model::{BranchDepths, OfaConfig, TrainEncoding};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::batch::Batch;
use crate::config::{Encoding, TrainConfig};
use crate::loss::{LossReport, loss};
use crate::network::TrainNetwork;
use crate::parameters::{GradientVectors, Parameters};
use crate::random::Random;

/// What stays the same over a run.
#[derive(Debug)]
pub(crate) struct Workers {
    /// One pool of a single thread per worker. burn's CPU backends spread large matrix products
    /// over the pool they run in and compute everything else on one thread, so whole groups
    /// side by side keep the cores busy where products alone would not.
    pools: Vec<ThreadPool>,
    model: OfaConfig,
    recipe: TrainConfig,
    /// Where gradients are computed.
    device: Device,
}

/// One group of pictures and the depths that its branches stop at.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) batch: Batch,
    pub(crate) depths: BranchDepths,
}

/// Gradients of one group, and what its loss was made of.
pub(crate) type GroupResult = (GradientVectors, LossReport);

impl Workers {
    /// As many workers as the recipe says (0 is one per core), that differentiate on `device`.
    pub(crate) fn new(
        recipe: &TrainConfig,
        model: &OfaConfig,
        device: &Device,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if recipe.run.threads == 0 { cores() } else { recipe.run.threads };
        let pools = (0..threads)
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<Result<_, _>>()?;
        let (model, recipe) = (model.clone(), recipe.clone());
        Ok(Self { pools, model, recipe, device: device.clone().autodiff() })
    }

    /// Gradients of each group at these parameters, in the groups' order.
    pub(crate) fn gradients(
        &self,
        template: &TrainNetwork,
        parameters: &Parameters,
        groups: Vec<Group>,
    ) -> Vec<GroupResult> {
        let mut shares: Vec<Vec<(usize, Group)>> = self.pools.iter().map(|_| Vec::new()).collect();
        for (number, group) in groups.into_iter().enumerate() {
            shares[number % self.pools.len()].push((number, group));
        }
        let mut results: Vec<(usize, GroupResult)> = std::thread::scope(|scope| {
            let running: Vec<_> = self
                .pools
                .iter()
                .zip(shares)
                .map(|(pool, share)| {
                    let template = template.clone();
                    scope.spawn(|| pool.install(|| self.share(template, parameters, share)))
                })
                .collect();
            running.into_iter().flat_map(join).collect()
        });
        results.sort_by_key(|(number, _)| *number);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn share(
        &self,
        template: TrainNetwork,
        parameters: &Parameters,
        share: Vec<(usize, Group)>,
    ) -> Vec<(usize, GroupResult)> {
        if share.is_empty() {
            return Vec::new();
        }
        let network = parameters.fill(template, &self.device);
        share.into_iter().map(|(number, group)| (number, self.group(&network, &group))).collect()
    }

    fn group(&self, network: &TrainNetwork, group: &Group) -> GroupResult {
        let plain = self.device.clone().inner();
        let encoding = match self.recipe.model.encoding {
            Encoding::Decomposed => TrainEncoding::Decomposed(group.depths),
            Encoding::Joint => TrainEncoding::Joint { layers: group.depths.image },
        };
        let input = group.batch.input(encoding, self.model.bos_token_id, &plain);
        let output = network.model.forward(&self.model, &input);
        let (total, report) = loss(network, &output, &group.batch, &self.recipe.loss);
        (Parameters::gradients(network, total.backward()), report)
    }
}

/// A worker's results; its panic goes on in the caller.
fn join<T>(running: std::thread::ScopedJoinHandle<'_, T>) -> T {
    running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The depths of a group: full, or with the given probability random for each branch.
pub(crate) fn depths(layers: usize, probability: f32, random: &mut Random) -> BranchDepths {
    let mut depth = || {
        let (chance, drawn) = (random.unit(), random.below(layers.max(1)) + 1);
        if chance < probability { drawn } else { layers }
    };
    BranchDepths { image: depth(), text: depth() }
}
