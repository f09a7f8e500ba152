//! A model at full depth and with exits, in one run.

use mue_data::datasets::SampleText;
use mue_engine::{Engine, ExitChoice, OperatingPoint, Reply};

use crate::answers::Way;
use crate::measure::{
    ExitLayers, by_picture, layers, macs, mean, median, pairs, saved, sums_by_picture,
};
use crate::promise::promised;
use crate::quality::canonical_cider_d;
use crate::report::{Counts, Intervals, Side, TaskReport};
use crate::{
    Answers, Bootstrap, CaptionSample, EvalData, EvalError, answer, latency, measure, score,
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
    let ways = ways.map(|exit| Way { engine, exit });
    let clocks = latency::measure(&ways, (data, plan.timed), &|_, _| ())?;
    let side = |way: usize| Side {
        quality: scored[way].quality.clone(),
        macs: mean(answers.replies[way].iter().map(macs)),
        layers: layers(&answers.replies[way]),
        exit_layers: ExitLayers::of(&answers.replies[way]),
        wall_ms_p50: median(&clocks[way]),
        samples_per_s: answers.ids.len() as f64 / answers.durations[way].as_secs_f64(),
    };
    let samples = |way: usize| scored[way].samples.iter().copied();
    let costs = |way: usize| answers.replies[way].iter().map(macs);
    let clock = |way: usize| clocks[way].iter().copied();
    let of_pictures = |pairs| sums_by_picture(&answers.pictures, pairs);
    let timed = by_picture(&answers.pictures, pairs(clock(1), clock(0)));
    let bootstrap = &plan.bootstrap;
    let intervals = Intervals {
        retention: measure::retention(
            bootstrap,
            &of_pictures(pairs(samples(1), samples(0))),
            plan.exit == ExitChoice::Off,
        )?,
        macs_saved: saved(bootstrap.ratio(&of_pictures(pairs(costs(1), costs(0))))?),
        wall_saved: saved(bootstrap.median_ratio(&timed)?),
    };
    let exit = side(1);
    let encoding = engine.model().settings().encoding;
    let layers_saved = exit.exit_layers.saved(data.task(), encoding);
    let counts = Counts {
        samples: answers.ids.len(),
        timed_samples: clocks[0].len(),
        left_out: data.left_out(),
        disputed: data.dataset().disputed(),
    };
    let canonical = match data.dataset().is_scenes() {
        true => canonical_cider_d(&answers.truths)?,
        false => None,
    };
    let promised = promised(engine, data.task(), &plan.exit).map(OperatingPoint::promise);
    let sides = (side(0), exit);
    let report = TaskReport::new(sides, (intervals, layers_saved), (counts, encoding), canonical);
    Ok(Evaluation { report: TaskReport { promised, ..report }, answers })
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
    let scored = score(&answers.truths, &answers.replies)?;
    let mean = |way: usize| mean(scored[way].samples.iter().copied());
    Ok((mean(0) > 0.0).then(|| mean(1) / mean(0)))
}

impl Evaluation {
    /// The captions with exits, for the official tools; empty if the task is another, or the
    /// samples have no numbers.
    pub fn captions(&self) -> Vec<CaptionSample<'_>> {
        let exits = self.answers.replies.last().into_iter().flatten();
        let samples = self.answers.ids.iter().zip(&self.answers.truths).zip(exits);
        samples
            .filter_map(|((id, truth), reply): ((&String, _), &Reply)| {
                match (id.parse(), truth, reply) {
                    (Ok(id), SampleText::Captions(references), Reply::Caption(caption)) => {
                        Some(CaptionSample { id, candidate: &caption.text, references })
                    }
                    _ => None,
                }
            })
            .collect()
    }
}
