//! The training loop.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use burn::tensor::Device;
use mue_data::datasets::{DataError, Problem};
use mue_model::weights::{ParamNames, RawTensor};
use mue_model::{Network, Ofa, OfaConfig};

use crate::batch::{Batch, BatchSource, Supplied};
use crate::checkpoint::{Checkpoints, ResumeError};
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::evaluate::{DevSet, Evaluation, evaluate};
use crate::log::{EvaluationLine, Line, Log, Means, ProblemLine};
use crate::network::TrainNetwork;
use crate::optimizer::{mean_gradients, update};
use crate::parameters::Parameters;
use crate::random::Random;
use crate::schedule::learning_rate;
use crate::self_critical::CaptionReward;
use crate::step::{Group, Workers, depths};

/// What a run starts from and learns from.
pub struct Setup {
    /// The model's configuration.
    pub model: OfaConfig,
    /// Its first weights, in the Hugging Face layout.
    pub weights: BTreeMap<String, RawTensor>,
    /// What to learn from.
    pub source: Arc<dyn BatchSource>,
    /// Classes of each attribute that the grounding heads read; empty without such labels.
    pub cell_classes: Vec<usize>,
    /// What captions are rewarded for, where the recipe has a self-critical part.
    pub reward: Option<CaptionReward>,
    /// What to be evaluated on; without examples, runs are not evaluated.
    pub dev: DevSet,
}

/// A run: parameters, optimiser state, and how far it is.
pub struct Trainer {
    config: TrainConfig,
    model: OfaConfig,
    names: ParamNames,
    /// The module whose values are replaced by the parameters'.
    template: TrainNetwork,
    parameters: Parameters,
    workers: Workers,
    source: Arc<dyn BatchSource>,
    dev: DevSet,
    device: Device,
    step: u64,
    /// Seconds spent, over all sittings.
    seconds: f64,
    /// Of the steps since the log's last line.
    means: Means,
}

/// Groups that are made in advance.
const GROUPS_AHEAD: usize = 8;

impl Trainer {
    /// A run at its start.
    ///
    /// # Errors
    ///
    /// If the weights are not the model's, a reward is missing or threads cannot be started.
    pub fn new(config: TrainConfig, setup: Setup, device: &Device) -> Result<Self, TrainError> {
        let (network, names) = Network::load(&setup.weights, &setup.model, device)?;
        let template = TrainNetwork::new(network, &config.loss, &setup.cell_classes, config.seed);
        let reward = match config.self_critical.weight > 0.0 {
            true => Some(Arc::new(setup.reward.ok_or(TrainError::NoReward)?)),
            false => None,
        };
        Ok(Self {
            parameters: Parameters::of(&template),
            workers: Workers::new(&config, (&setup.model, reward), device)?,
            template,
            names,
            model: setup.model,
            source: setup.source,
            dev: setup.dev,
            device: device.clone(),
            step: 0,
            seconds: 0.0,
            means: Means::default(),
            config,
        })
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Takes up the newest checkpoint in a run's folder, or if that is damaged the one before;
    /// false if there is none. After an error the run is of no use.
    ///
    /// `report` sees why a newer checkpoint is passed over.
    ///
    /// # Errors
    ///
    /// If no checkpoint can be read, or if it is of another model or was made by another recipe:
    /// one that differs in more than `[run]`.
    pub fn resume(
        &mut self,
        folder: &Path,
        report: &mut dyn FnMut(ResumeError),
    ) -> Result<bool, TrainError> {
        let checkpoints = Checkpoints::of_run(folder);
        match checkpoints.load(&mut self.parameters, &self.config, report)? {
            Some(state) => {
                (self.step, self.seconds, self.means) = (state.step, state.seconds, state.means);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Trains to the last step, writing log and checkpoints into a folder that exists. What is due
    /// every so many steps is due at the last one too.
    ///
    /// `progress` sees every line of the log.
    ///
    /// # Errors
    ///
    /// If a file cannot be written or the loss is not finite.
    pub fn run(
        &mut self,
        folder: &Path,
        progress: &mut dyn FnMut(&Line),
    ) -> Result<(), TrainError> {
        let mut log = Log::open(&folder.join("log.jsonl"))?;
        let mut write = |line: Line| {
            progress(&line);
            log.write(&line)
        };
        if self.step > 0 {
            write(Line::Resumed(self.step))?;
        }
        let mut batches = Batches { supplied: self.prefetch(), problems: 0 };
        let (started, before) = (Instant::now(), self.seconds);
        while self.step < self.config.steps {
            let begun = Instant::now();
            let batches = batches.take(self.config.data.accumulation, &mut write)?;
            self.train_step(batches.ok_or(TrainError::DataEnded(self.step))?)?;
            self.means.seconds += begun.elapsed().as_secs_f64();
            self.seconds = before + started.elapsed().as_secs_f64();
            if self.is_due(self.config.run.log_every) {
                write(self.line())?;
                self.means = Means::default();
            }
            // What is saved has been evaluated: a run that is killed meanwhile comes back to it.
            if self.is_due(self.config.run.evaluate_every) && !self.dev.examples.is_empty() {
                let scores = self.evaluate()?;
                write(Line::Evaluation(EvaluationLine { step: self.step, scores }))?;
            }
            if self.is_due(self.config.run.checkpoint_every) {
                let place = (self.step, self.seconds, &self.means);
                Checkpoints::of_run(folder).save(&self.parameters, place, &self.config)?;
            }
        }
        Ok(())
    }

    /// Whether what happens every so many steps, or never for 0, happens after this one.
    fn is_due(&self, every: u64) -> bool {
        every > 0 && (self.step.is_multiple_of(every) || self.step == self.config.steps)
    }

    /// One optimiser step.
    fn train_step(&mut self, batches: Vec<Batch>) -> Result<(), TrainError> {
        let mut random = Random::new(self.config.seed, "depths", self.step);
        let layers = self.model.encoder_layers;
        let groups = batches
            .into_iter()
            .zip(self.first_batch()..)
            .map(|(batch, number)| Group {
                number,
                batch,
                depths: depths(layers, self.config.loss.random_depth, &mut random),
            })
            .collect();
        let results = self.workers.gradients(&self.template, &self.parameters, groups)?;
        let (gradients, reports): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let gradients = mean_gradients(gradients);
        if !reports.iter().all(|report| report.total.is_finite()) {
            return Err(TrainError::NotFinite(self.step));
        }
        let optimizer = &self.config.optimizer;
        let rate = learning_rate(optimizer, self.step, self.config.steps);
        let norm = update(&mut self.parameters, &gradients, optimizer, (rate, self.step));
        if !norm.is_finite() {
            return Err(TrainError::NotFinite(self.step));
        }
        self.means.add(&reports, norm);
        self.step += 1;
        Ok(())
    }

    /// Number of the next step's first batch.
    fn first_batch(&self) -> u64 {
        self.step * self.config.data.accumulation as u64
    }

    /// Makes batches on a background thread, from the next step's on.
    fn prefetch(&self) -> Receiver<Result<Supplied, DataError>> {
        let (sender, receiver) = sync_channel(GROUPS_AHEAD);
        let source = Arc::clone(&self.source);
        let first = self.first_batch();
        std::thread::spawn(move || {
            // Ends when the receiver is gone.
            source.supply(first).any(|supplied| sender.send(supplied).is_err())
        });
        receiver
    }

    /// What the log says of the steps since its last line.
    fn line(&self) -> Line {
        let step_s = self.means.seconds / self.means.steps.max(1) as f64;
        let pictures = self.config.data.pictures * self.config.data.accumulation;
        let mut line = self.means.line();
        line.step = self.step;
        line.learning_rate =
            learning_rate(&self.config.optimizer, self.step - 1, self.config.steps);
        line.step_ms = step_s * 1e3;
        line.pictures_per_s = pictures as f64 / step_s;
        line.seconds = self.seconds;
        line.left_s = (self.config.steps - self.step) as f64 * step_s;
        Line::Train(line)
    }

    /// The quick evaluation of the averaged weights.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be run.
    pub fn evaluate(&self) -> Result<Evaluation, TrainError> {
        let model = Ofa::new(self.averaged(), self.model.clone(), &self.device)?;
        Ok(evaluate(&model, &self.dev, self.config.model.encoding))
    }

    /// The averaged weights in the Hugging Face layout.
    ///
    /// # Errors
    ///
    /// None that a run could cause.
    pub fn export(&self) -> Result<BTreeMap<String, RawTensor>, TrainError> {
        Ok(self.names.export(&self.averaged())?)
    }

    fn averaged(&self) -> Network {
        self.parameters.fill_average(self.template.clone(), &self.device).model
    }
}

/// Batches made in advance.
struct Batches {
    supplied: Receiver<Result<Supplied, DataError>>,
    /// Problems so far.
    problems: u64,
}

impl Batches {
    /// The next batches; none if there are not so many. Problems go to the log.
    fn take(
        &mut self,
        count: usize,
        write: &mut dyn FnMut(Line) -> std::io::Result<()>,
    ) -> Result<Option<Vec<Batch>>, TrainError> {
        let mut batches = Vec::with_capacity(count);
        while batches.len() < count {
            match self.supplied.recv() {
                Ok(Ok(Supplied::Batch(batch))) => batches.push(batch),
                Ok(Ok(Supplied::Problem(Problem { place, message }))) => {
                    self.problems += 1;
                    write(Line::Problem(ProblemLine { count: self.problems, place, message }))?;
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(batches))
    }
}
