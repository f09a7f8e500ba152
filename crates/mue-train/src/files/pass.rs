//! Usable samples in order: of one pass over a data set, and of pass after pass.

use std::sync::Arc;

use mue_data::datasets::{DataError, Dataset, Loaded, Loader, LoaderConfig, Problem, shuffled};

use super::Files;
use super::example::{Example, Reader};

/// One pass over a data set, or over a part of it.
#[derive(Debug)]
pub(super) struct Pass {
    loader: Loader<Vec<f32>>,
    samples: usize,
    reader: Reader,
    /// Position in the run of the pass's first sample.
    first: u64,
}

impl Pass {
    /// Starts to load samples in this order.
    pub(super) fn begin(
        dataset: &Arc<Dataset>,
        (order, first): (Vec<usize>, u64),
        reader: &Reader,
        problems_max: usize,
    ) -> Result<Self, DataError> {
        let interface = Arc::clone(&reader.interface);
        let samples = order.len();
        let config = LoaderConfig { problems_max, ..LoaderConfig::default() };
        let loader = Loader::start(dataset, order, config, move |it| interface.pixels(&it))?;
        Ok(Self { loader, samples, reader: reader.clone(), first })
    }

    /// The next usable sample with its position in the run; none at the end.
    pub(super) fn next(
        &mut self,
        report: &mut dyn FnMut(&Problem),
    ) -> Result<Option<(u64, Example)>, DataError> {
        let Self { loader, reader, first, .. } = self;
        let example = |Loaded { position, sample, picture: pixels }: Loaded<Vec<f32>>| {
            let position = *first + position as u64;
            let text = reader.text(sample, position)?;
            Ok((position, Example { pixels, text }))
        };
        loader.next_usable(report, example).transpose()
    }
}

/// A data set passed over again and again.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    files: &'a Files,
    dataset: &'a Arc<Dataset>,
    pass: Option<Pass>,
    /// Whether the present pass had anything usable yet.
    found: bool,
    /// The next usable sample, with its position.
    waiting: Option<(u64, Example)>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(files: &'a Files, dataset: &'a Arc<Dataset>) -> Self {
        Self { files, dataset, pass: None, found: false, waiting: None }
    }

    /// The first usable sample at or behind a position of the run, which must not lie before one
    /// asked for earlier.
    pub(super) fn at(
        &mut self,
        position: u64,
        report: &mut dyn FnMut(&Problem),
    ) -> Result<Example, DataError> {
        loop {
            match &self.waiting {
                Some((found, _)) if *found < position => self.waiting = None,
                // It stands in for this position and will be asked for again.
                Some((found, example)) if *found > position => return Ok(example.clone()),
                Some(_) => {
                    let example = self.waiting.take();
                    return Ok(example.expect("a sample is waiting").1);
                }
                None => self.waiting = Some(self.next(position, report)?),
            }
        }
    }

    fn next(
        &mut self,
        position: u64,
        report: &mut dyn FnMut(&Problem),
    ) -> Result<(u64, Example), DataError> {
        let samples = self.dataset.len() as u64;
        loop {
            let mut pass = match self.pass.take() {
                Some(pass) => pass,
                None => self.begin(position)?,
            };
            match pass.next(report)? {
                Some(found) => {
                    self.found = true;
                    self.pass = Some(pass);
                    return Ok(found);
                }
                None if self.found || !pass.first.is_multiple_of(samples) => {
                    self.found = false;
                    let first = pass.first + pass.samples as u64;
                    self.pass = Some(self.begin(first)?);
                }
                None => {
                    let message = "neither this sample nor any other can be used".to_owned();
                    return Err(DataError::Sample(Problem {
                        place: self.dataset.place(0),
                        message,
                    }));
                }
            }
        }
    }

    /// The rest, from a position of the run on, of the pass that it lies in.
    fn begin(&self, position: u64) -> Result<Pass, DataError> {
        let samples = self.dataset.len();
        let (epoch, skipped) = (position / samples as u64, position % samples as u64);
        let order = shuffled(samples, self.files.seed, epoch).split_off(skipped as usize);
        let Files { reader, problems_max, .. } = self.files;
        Pass::begin(self.dataset, (order, position), reader, *problems_max)
    }
}
