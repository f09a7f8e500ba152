//! A model at full depth and with exits, in one run.

use mue_data::datasets::SampleText;
use mue_engine::{Engine, ExitChoice, Reply};

use crate::report::{Intervals, Side, TaskReport};
use crate::{
    Answers, Bootstrap, BootstrapError, CaptionSample, EvalData, EvalError, Interval, Pair, Scored,
    answer, latency, score,
};

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How to exit, against full depth.
    pub exit: ExitChoice,
    /// Samples that are timed one at a time, the first of the data.
    pub timed: usize,
    /// How the intervals are made.
    pub bootstrap: Bootstrap,
}

/// What an evaluation found.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Scores, costs and what the exits keep and save.
    pub report: TaskReport,
    answers: Answers,
}

/// Answers a data set at full depth and with exits, and compares the two.
///
/// # Errors
///
/// If a sample cannot be read, asked or answered.
pub fn evaluate(engine: &Engine, data: &EvalData, plan: &Plan) -> Result<Evaluation, EvalError> {
    let ways = [ExitChoice::Off, plan.exit.clone()];
    let answers = answer(engine, (data, 0..data.len()), &ways)?;
    let scored = score(&answers.truths, &answers.replies)?;
    let timed = latency::measure(engine, (data, plan.timed), &plan.exit)?;
    let side = |way: usize, clock: fn(&Pair) -> f64| Side {
        quality: scored[way].quality.clone(),
        macs: mean(answers.replies[way].iter().map(macs)),
        layers: layers(&answers.replies[way]),
        wall_ms_p50: median(timed.iter().map(clock)),
        samples_per_s: answers.ids.len() as f64 / answers.durations[way].as_secs_f64(),
    };
    let (full, exit) = (side(0, |pair| pair.baseline), side(1, |pair| pair.value));
    let intervals = Intervals {
        retention: known(plan.bootstrap.ratio(&pairs(&scored)))?,
        macs_saved: saved(plan.bootstrap.ratio(&mac_pairs(&answers.replies))?),
        wall_saved: saved(plan.bootstrap.median_ratio(&timed)?),
    };
    let (samples, timed) = (answers.ids.len(), timed.len());
    let report = TaskReport::new((full, exit), intervals, (samples, timed));
    Ok(Evaluation { report, answers })
}

/// Quality with exits relative to full depth; none if full depth has no quality at all.
///
/// # Errors
///
/// If a sample cannot be read, asked or answered.
pub fn retention(
    engine: &Engine,
    data: &EvalData,
    exit: &ExitChoice,
) -> Result<Option<f64>, EvalError> {
    let answers = answer(engine, (data, 0..data.len()), &[ExitChoice::Off, exit.clone()])?;
    let pairs = pairs(&score(&answers.truths, &answers.replies)?);
    let full = mean(pairs.iter().map(|pair| pair.baseline));
    Ok((full > 0.0).then(|| mean(pairs.iter().map(|pair| pair.value)) / full))
}

impl Evaluation {
    /// The captions with exits, for the official tools; empty if the task is another, or the
    /// samples have no numbers.
    pub fn captions(&self) -> Vec<CaptionSample<'_>> {
        let exits = self.answers.replies.last().into_iter().flatten();
        let samples = self.answers.ids.iter().zip(&self.answers.truths).zip(exits);
        samples
            .filter_map(|((id, truth), reply)| match (id.parse(), truth, reply) {
                (Ok(id), SampleText::Captions(references), Reply::Caption(caption)) => {
                    Some(CaptionSample { id, candidate: &caption.text, references })
                }
                _ => None,
            })
            .collect()
    }
}

/// Each sample's score with exits and at full depth.
fn pairs(scored: &[Scored]) -> Vec<Pair> {
    let [full, exit] = scored else { return Vec::new() };
    let both = exit.samples.iter().zip(&full.samples);
    both.map(|(value, baseline)| Pair { value: *value, baseline: *baseline }).collect()
}

fn mac_pairs(replies: &[Vec<Reply>]) -> Vec<Pair> {
    let [full, exit] = replies else { return Vec::new() };
    let both = exit.iter().zip(full);
    both.map(|(exit, full)| Pair { value: macs(exit), baseline: macs(full) }).collect()
}

/// A model without a single right answer has nothing to keep.
fn known(interval: Result<Interval, BootstrapError>) -> Result<Option<Interval>, BootstrapError> {
    match interval {
        Err(BootstrapError::NoBaseline) => Ok(None),
        interval => interval.map(Some),
    }
}

/// The share that is saved where a ratio is left.
fn saved(ratio: Interval) -> Interval {
    Interval { estimate: 1.0 - ratio.estimate, low: 1.0 - ratio.high, high: 1.0 - ratio.low }
}

/// Multiply-accumulates of a reply.
pub(crate) fn macs(reply: &Reply) -> f64 {
    reply.compute().macs as f64
}

/// Mean layers of image, text and decoder; every decoder step counts.
pub(crate) fn layers(replies: &[Reply]) -> [f64; 3] {
    let steps = replies.iter().flat_map(|reply| &reply.exit().decoder);
    [
        mean(replies.iter().map(|reply| reply.exit().image.layer as f64)),
        mean(replies.iter().map(|reply| reply.exit().text.layer as f64)),
        mean(steps.map(|layer| *layer as f64)),
    ]
}

/// The mean; 0 of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    if count > 0.0 { sum / count } else { 0.0 }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    crate::bootstrap::median(&mut values)
}
