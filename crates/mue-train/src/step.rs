//! One optimiser step: groups of pictures on several threads, gradients added up, one update.

use std::sync::Arc;

use burn::tensor::Device;
use mue_model::{BranchDepths, ConfigError, Ofa, OfaConfig, TrainEncoding};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::batch::Batch;
use crate::config::{Encoding, TrainConfig};
use crate::loss::{LossReport, loss};
use crate::network::TrainNetwork;
use crate::parameters::{GradientVectors, Parameters};
use crate::random::Random;
use crate::self_critical::{CaptionReward, Samples, Sampling};

/// What stays the same over a run.
#[derive(Debug)]
pub(crate) struct Workers {
    /// One pool of a single thread per worker. burn's CPU backends spread large matrix products
    /// over the pool they run in and compute everything else on one thread, so whole groups
    /// side by side keep the cores busy where products alone would not.
    pools: Vec<ThreadPool>,
    model: OfaConfig,
    recipe: TrainConfig,
    reward: Option<Arc<CaptionReward>>,
    /// Where gradients are computed.
    device: Device,
}

/// One group of pictures and the depths that its branches stop at.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Which of the run.
    pub(crate) number: u64,
    pub(crate) batch: Batch,
    pub(crate) depths: BranchDepths,
}

/// Results of groups with the groups' places in the step.
type Numbered = Vec<(usize, GroupResult)>;

/// Gradients of one group, and what its loss was made of.
pub(crate) type GroupResult = (GradientVectors, LossReport);

impl Workers {
    /// As many workers as the recipe says, that differentiate on `device`.
    pub(crate) fn new(
        recipe: &TrainConfig,
        (model, reward): (&OfaConfig, Option<Arc<CaptionReward>>),
        device: &Device,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let has_own_memory = device.memory_pool_usage().is_some();
        let pools = (0..worker_count(recipe.run.threads, has_own_memory))
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<Result<_, _>>()?;
        let (model, recipe) = (model.clone(), recipe.clone());
        Ok(Self { pools, model, recipe, reward, device: device.clone().autodiff() })
    }

    /// Gradients of each group at these parameters, in the groups' order.
    pub(crate) fn gradients(
        &self,
        template: &TrainNetwork,
        parameters: &Parameters,
        groups: Vec<Group>,
    ) -> Result<Vec<GroupResult>, ConfigError> {
        let mut shares: Vec<Vec<(usize, Group)>> = self.pools.iter().map(|_| Vec::new()).collect();
        for (number, group) in groups.into_iter().enumerate() {
            shares[number % self.pools.len()].push((number, group));
        }
        let shares: Vec<Result<Numbered, ConfigError>> = std::thread::scope(|scope| {
            let running: Vec<_> = self
                .pools
                .iter()
                .zip(shares)
                .map(|(pool, share)| {
                    let template = template.clone();
                    scope.spawn(|| pool.install(|| self.share(template, parameters, share)))
                })
                .collect();
            running.into_iter().map(join).collect()
        });
        let mut results = Vec::new();
        for share in shares {
            results.extend(share?);
        }
        results.sort_by_key(|(number, _)| *number);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    fn share(
        &self,
        template: TrainNetwork,
        parameters: &Parameters,
        share: Vec<(usize, Group)>,
    ) -> Result<Numbered, ConfigError> {
        if share.is_empty() {
            return Ok(Vec::new());
        }
        let writer = match &self.reward {
            Some(reward) => {
                let plain = self.device.clone().inner();
                let network = parameters.fill(template.clone(), &plain).model;
                Some((Ofa::new(network, self.model.clone(), &plain)?, reward))
            }
            None => None,
        };
        let network = parameters.fill(template, &self.device);
        let result = |(place, mut group): (usize, Group)| {
            let samples = writer.as_ref().map(|(model, reward)| self.sample(model, reward, &group));
            group.batch.leave_out(&self.recipe);
            (place, self.group(&network, &group, samples))
        };
        Ok(share.into_iter().map(result).collect())
    }

    /// What the model writes about a group's pictures.
    fn sample(&self, model: &Ofa, reward: &CaptionReward, group: &Group) -> Samples {
        let sampling = Sampling {
            samples: self.recipe.self_critical.samples,
            encoding: self.recipe.model.encoding,
        };
        let mut random = Random::new(self.recipe.seed, "samples", group.number);
        reward.sample(model, &group.batch, sampling, &mut random)
    }

    fn group(
        &self,
        network: &TrainNetwork,
        group: &Group,
        samples: Option<Samples>,
    ) -> GroupResult {
        let plain = self.device.clone().inner();
        let encoding = match self.recipe.model.encoding {
            Encoding::Decomposed => TrainEncoding::Decomposed(group.depths),
            Encoding::Joint => TrainEncoding::Joint { layers: group.depths.image },
        };
        let sampled = samples.as_ref().map_or(&[][..], |samples| &samples.captions);
        let input = group.batch.input(sampled, (encoding, self.model.bos_token_id), &plain);
        let output = network.model.forward(&self.model, &input);
        let learned = (&group.batch, samples.as_ref());
        let (total, report) = loss(network, &output, learned, &self.recipe);
        (Parameters::gradients(network, total.backward()), report)
    }
}

/// Workers for so many threads of a recipe, where 0 leaves it open: as many as compute in this process.
/// On a device with memory of its own one keeps the device busy, and each holds all parameters and its
/// group's graph there.
fn worker_count(threads: usize, has_own_memory: bool) -> usize {
    match threads {
        0 if has_own_memory => 1,
        0 => rayon::current_num_threads(),
        threads => threads,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_the_say_about_threads_where_the_recipe_has_none() {
        let process = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let workers = |threads| {
            let mut recipe = TrainConfig::default();
            recipe.run.threads = threads;
            let new = || Workers::new(&recipe, (&OfaConfig::default(), None), &Device::flex());
            process.install(new).unwrap().pools.len()
        };
        assert_eq!([workers(0), workers(2)], [3, 2]);
    }

    #[test]
    fn a_device_with_memory_of_its_own_has_one_worker_unless_the_recipe_says_more() {
        let process = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let workers = |threads| process.install(|| worker_count(threads, true));
        assert_eq!([workers(0), workers(2)], [1, 2]);
    }
}
