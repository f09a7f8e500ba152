//! Answers to a data set in several ways to exit, in one pass over its pictures.

use std::collections::HashSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use mue_data::datasets::SampleText;
use mue_engine::{Engine, ExitChoice, Outcome, Reply};

use crate::search::Progress;
use crate::{EvalData, EvalError, EvalSample};

/// Samples whose pictures are in memory at a time.
const CHUNK: usize = 128;

/// What the samples of a data set were answered.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Names of the samples.
    pub ids: Vec<String>,
    /// Names of their pictures.
    pub pictures: Vec<String>,
    /// What is true of them.
    pub truths: Vec<SampleText>,
    /// By way to exit: one reply per sample.
    pub replies: Vec<Vec<Reply>>,
    /// By way to exit: how long it took, batched as the engine does.
    pub durations: Vec<Duration>,
}

impl Answers {
    /// Leaves out the samples of some pictures.
    pub(crate) fn leave_out(&mut self, pictures: &HashSet<String>) {
        let kept: Vec<bool> =
            self.pictures.iter().map(|picture| !pictures.contains(picture)).collect();
        retain(&mut self.ids, &kept);
        retain(&mut self.pictures, &kept);
        retain(&mut self.truths, &kept);
        self.replies.iter_mut().for_each(|replies| retain(replies, &kept));
    }
}

/// Keeps the items whose place says so.
fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next().is_none_or(|kept| *kept));
}

/// A model, and how it exits.
#[derive(Clone)]
pub(crate) struct Way<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) exit: ExitChoice,
}

/// Answers samples once for every way to exit.
///
/// All ways take turns on the same few samples, each time in the opposite order, so that a machine
/// that slows down does not favour one of them; an engine with an image cache encodes a picture
/// once for all that leave the image branch alike.
///
/// # Errors
///
/// If a sample cannot be read, asked or answered.
pub fn answer(
    engine: &Engine,
    (data, range): (&EvalData, Range<usize>),
    exits: &[ExitChoice],
) -> Result<Answers, EvalError> {
    let ways: Vec<Way<'_>> = exits.iter().map(|exit| Way { engine, exit: exit.clone() }).collect();
    ask(&ways, (data, range), &|_, _| ())
}

/// As [`answer`], by any models that take pictures of one size; tells how many samples are done.
pub(crate) fn ask(
    ways: &[Way<'_>],
    (data, range): (&EvalData, Range<usize>),
    progress: Progress<'_>,
) -> Result<Answers, EvalError> {
    let mut answers = Answers {
        replies: vec![Vec::new(); ways.len()],
        durations: vec![Duration::ZERO; ways.len()],
        ..Answers::default()
    };
    let Some(first) = ways.first() else { return Ok(answers) };
    let total = range.len();
    let mut samples = data.samples(first.engine, range)?;
    let mut is_reversed = false;
    loop {
        let chunk: Vec<EvalSample> = samples.by_ref().take(CHUNK).collect::<Result<_, _>>()?;
        if chunk.is_empty() {
            return Ok(answers);
        }
        let mut order: Vec<usize> = (0..ways.len()).collect();
        if is_reversed {
            order.reverse();
        }
        is_reversed = !is_reversed;
        for way in order {
            let Way { engine, exit } = &ways[way];
            let (replies, duration) = answer_chunk(engine, &chunk, exit)?;
            answers.replies[way].extend(replies);
            answers.durations[way] += duration;
        }
        for sample in chunk {
            answers.ids.push(sample.id);
            answers.pictures.push(sample.picture);
            answers.truths.push(sample.text);
        }
        progress(answers.ids.len(), total);
    }
}

fn answer_chunk(
    engine: &Engine,
    chunk: &[EvalSample],
    exit: &ExitChoice,
) -> Result<(Vec<Reply>, Duration), EvalError> {
    let requests =
        chunk.iter().map(|sample| sample.request(engine, exit)).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let outcomes = engine.answer_all(requests)?;
    let duration = start.elapsed();
    let replies = chunk.iter().zip(outcomes).map(|(sample, outcome)| reply(sample, outcome));
    Ok((replies.collect::<Result<_, _>>()?, duration))
}

/// The reply to a sample, if the model had one.
pub(crate) fn reply(sample: &EvalSample, outcome: Outcome) -> Result<Reply, EvalError> {
    let failed = |reason| EvalError::Answer { sample: sample.id.clone(), reason };
    outcome.map(|answer| answer.output).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_a_picture_are_left_out_wherever_they_stand() {
        let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
        let mut answers = Answers {
            ids: names(["1", "2", "3"]),
            pictures: names(["a", "b", "a"]),
            truths: names(["one", "two", "three"])
                .into_iter()
                .map(|caption| SampleText::Captions(vec![caption]))
                .collect(),
            ..Answers::default()
        };
        answers.leave_out(&HashSet::from(["a".to_owned()]));
        assert_eq!((answers.ids, answers.pictures), (vec!["2".to_owned()], vec!["b".to_owned()]));
        assert_eq!(answers.truths, [SampleText::Captions(vec!["two".into()])]);
    }
}
