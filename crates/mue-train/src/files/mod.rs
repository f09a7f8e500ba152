//! Data sets to learn from and to be evaluated on: annotation files, or a set number of scenes.

mod dev;
mod example;
mod open;
mod pass;

use std::collections::VecDeque;
use std::sync::Arc;

use mue_data::datasets::{DataError, Dataset, Problem, Problems, Task};

use self::example::{Example, ExampleText, Reader, references};
use self::open::{open, options};
use self::pass::Stream;
use crate::batch::{Batch, BatchSource, CaptionExample, HypothesisExample, Supplied, Supply};
use crate::config::DataConfig;
use crate::interface::Interface;

pub use self::dev::dev_files;
pub use self::open::FilesError;

/// Data sets for one task or both, of which each batch has its share.
///
/// Each data set is passed over again and again, in a new order each time. Where a sample cannot
/// be used, the next usable one stands in for it.
#[derive(Debug)]
pub struct Files {
    parts: Vec<Part>,
    reader: Reader,
    seed: u64,
    problems_max: usize,
}

/// A data set, and how many pictures of each batch are its.
#[derive(Debug)]
struct Part {
    task: Task,
    dataset: Arc<Dataset>,
    pictures: usize,
}

impl Files {
    /// Opens the data sets that `config.train` names, for the tasks that are learned.
    ///
    /// # Errors
    ///
    /// If one cannot be opened, or they do not serve the tasks.
    pub fn open(
        config: &DataConfig,
        (tasks, seed): (&[Task], u64),
        interface: &Arc<Interface>,
    ) -> Result<Self, FilesError> {
        let datasets = open(&config.train, tasks, &options(config, &config.splits))?;
        let pictures = config.pictures;
        let captions = (pictures as f32 * config.caption_share).round() as usize;
        let shares = match datasets.len() {
            1 => vec![pictures],
            _ => vec![captions, pictures.saturating_sub(captions)],
        };
        if shares.contains(&0) {
            return Err(FilesError::Share { pictures });
        }
        let parts = datasets.into_iter().zip(shares).map(|((task, dataset), pictures)| Part {
            task,
            dataset: Arc::new(dataset),
            pictures,
        });
        let reader = Reader::new(interface, config.punctuation, config.reference, seed);
        Ok(Self { parts: parts.collect(), reader, seed, problems_max: config.problems_max })
    }

    /// What could not be used when the data sets were opened, by data set.
    pub fn problems(&self) -> impl Iterator<Item = &Problems> {
        self.parts.iter().map(|part| part.dataset.problems())
    }

    /// The references of the first pictures with captions, in the files' order.
    ///
    /// # Errors
    ///
    /// If a file has changed since it was opened.
    pub fn references(&self, pictures: usize) -> Result<Vec<Vec<String>>, DataError> {
        let captions = self.parts.iter().find(|part| part.task == Task::Caption);
        let Some(Part { dataset, .. }) = captions else { return Ok(Vec::new()) };
        (0..dataset.len().min(pictures))
            .map(|index| Ok(references(dataset.sample(index)?.text)))
            .collect()
    }

    fn empty_batch(&self) -> Batch {
        let interface = &self.reader.interface;
        Batch {
            image_size: [interface.image_size; 2],
            pixels: Vec::new(),
            eos: mue_data::Tokenizer::EOS,
            caption_prompt: interface.caption_prompt(),
            captions: Vec::new(),
            hypotheses: Vec::new(),
            cells: None,
            cell_classes: Vec::new(),
        }
    }
}

impl BatchSource for Files {
    fn supply(&self, first: u64) -> Supply<'_> {
        let streams = self.parts.iter().map(|part| Stream::new(self, &part.dataset));
        Box::new(FileSupply {
            files: self,
            streams: streams.collect(),
            number: first,
            ready: VecDeque::new(),
            failed: false,
        })
    }
}

/// Batches from one number on.
struct FileSupply<'a> {
    files: &'a Files,
    /// One per data set.
    streams: Vec<Stream<'a>>,
    /// Of the next batch.
    number: u64,
    /// The problems of a batch, then the batch, or why there is none.
    ready: VecDeque<Result<Supplied, DataError>>,
    failed: bool,
}

impl Iterator for FileSupply<'_> {
    type Item = Result<Supplied, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !self.failed {
            let batch = self.batch();
            self.failed = batch.is_err();
            self.ready.push_back(batch.map(Supplied::Batch));
        }
        self.ready.pop_front()
    }
}

impl FileSupply<'_> {
    fn batch(&mut self) -> Result<Batch, DataError> {
        let mut batch = self.files.empty_batch();
        for (part, stream) in self.files.parts.iter().zip(&mut self.streams) {
            let first = self.number * part.pictures as u64;
            for position in first..first + part.pictures as u64 {
                let ready = &mut self.ready;
                let report = &mut |problem: &Problem| {
                    ready.push_back(Ok(Supplied::Problem(problem.clone())));
                };
                add(&mut batch, stream.at(position, report)?);
            }
        }
        self.number += 1;
        Ok(batch)
    }
}

fn add(batch: &mut Batch, example: Example) {
    let picture = batch.pictures();
    batch.pixels.extend(example.pixels);
    match example.text {
        ExampleText::Caption { tokens, references } => {
            batch.captions.push(CaptionExample { picture, tokens, references });
        }
        ExampleText::Hypothesis { prompt, answer, .. } => {
            batch.hypotheses.push(HypothesisExample { picture, prompt, answer });
        }
    }
}
