//! What a run on files is evaluated on.

use std::sync::Arc;

use mue_data::datasets::{DataError, Problem, Task};

use super::example::{ExampleText, Reader};
use super::open::{FilesError, open, options};
use super::pass::Pass;
use crate::config::{DataConfig, Reference};
use crate::evaluate::{DevExample, DevHypothesis, DevSet};
use crate::interface::Interface;

/// The first samples of the data sets that `config.dev` names, for each of the tasks.
///
/// `report` sees what cannot be used.
///
/// # Errors
///
/// If one cannot be opened or read, or they do not serve the tasks.
pub fn dev_files(
    config: &DataConfig,
    tasks: &[Task],
    interface: &Arc<Interface>,
    report: &mut dyn FnMut(&Problem),
) -> Result<DevSet, FilesError> {
    let reader = Reader::new(interface, config.punctuation, Reference::First, 0);
    let mut set = DevSet::new(interface);
    for (_, dataset) in open(&config.dev, tasks, &options(config, &config.dev_splits))? {
        dataset.problems().first().iter().for_each(&mut *report);
        let order = (0..dataset.len().min(config.dev_pictures)).collect();
        let failed = |source: DataError| FilesError::Data { name: config.dev.join(", "), source };
        let dataset = Arc::new(dataset);
        let mut pass =
            Pass::begin(&dataset, (order, 0), &reader, config.problems_max).map_err(failed)?;
        while let Some((_, example)) = pass.next(report).map_err(failed)? {
            set.examples.push(dev_example(example.pixels, example.text, &reader));
        }
    }
    Ok(set)
}

fn dev_example(pixels: Vec<f32>, text: ExampleText, reader: &Reader) -> DevExample {
    let mut example = DevExample { pixels, captions: Vec::new(), hypotheses: Vec::new() };
    match text {
        ExampleText::Caption { references, .. } => {
            // A reference that cannot be written is none to be matched.
            let captions = references.iter().filter_map(|caption| reader.caption(caption).ok());
            example.captions.extend(captions);
        }
        ExampleText::Hypothesis { prompt, answer, family } => {
            let family = family.unwrap_or_else(|| "all".to_owned());
            example.hypotheses.push(DevHypothesis { family, prompt, answer });
        }
    }
    example
}
