//! The log of a run: one JSON object per line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::evaluate::Evaluation;
use crate::loss::LossReport;

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// Training went on for some steps.
    Train(TrainLine),
    /// The averaged weights were evaluated.
    Evaluation(EvaluationLine),
    /// A run was resumed at this step.
    Resumed(u64),
    /// A sample could not be used; another stands in for it.
    Problem(ProblemLine),
}

/// Means over the steps since the last such line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TrainLine {
    /// Steps done.
    pub step: u64,
    /// Everything that is minimised together.
    pub loss: f32,
    /// Captions' cross-entropy per token, by decoder layer; empty where they are not learned.
    pub caption: Vec<f32>,
    /// Answers' cross-entropy, by decoder layer; empty where they are not learned.
    pub entailment: Vec<f32>,
    /// Grounding heads' cross-entropy, by image depth from 0, where that depth was run.
    pub grounding: Vec<f32>,
    /// Saturation loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturation: Option<f32>,
    /// Reward of sampled captions, in CIDEr-D.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<f32>,
    /// Reward of greedy captions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greedy_reward: Option<f32>,
    /// Norm of all gradients together, before clipping.
    pub gradient_norm: f32,
    /// Learning rate.
    pub learning_rate: f32,
    /// Milliseconds per step.
    pub step_ms: f64,
    /// Pictures per second.
    pub pictures_per_s: f64,
    /// Seconds spent so far, over all sittings.
    pub seconds: f64,
    /// Seconds that the rest will take at this pace.
    pub left_s: f64,
}

/// A quick evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluationLine {
    /// Steps done.
    pub step: u64,
    /// What came out.
    #[serde(flatten)]
    pub scores: Evaluation,
}

/// Something that could not be used.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemLine {
    /// How many there were since the run was begun or resumed, this one included.
    pub count: u64,
    /// Where it is.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// Appends lines to a file.
#[derive(Debug)]
pub(crate) struct Log(File);

impl Log {
    /// Opens the log, at its end; a line that a kill has cut short is ended.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        if file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(Self(file))
    }

    /// Writes a line at once.
    pub(crate) fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut json = serde_json::to_vec(line)?;
        json.push(b'\n');
        self.0.write_all(&json)
    }
}

/// Adds up reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Means {
    total: Mean,
    caption: Vec<Mean>,
    entailment: Vec<Mean>,
    grounding: Vec<Mean>,
    saturation: Mean,
    /// Of samples and of greedy captions.
    rewards: [Mean; 2],
    norm: Mean,
    pub(crate) steps: u64,
    /// That the steps took, without what was saved and evaluated between them.
    pub(crate) seconds: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    #[serde(deserialize_with = "null_is_nan")]
    sum: f64,
    count: u32,
}

/// JSON has no other word for what is no number.
fn null_is_nan<'de, D: Deserializer<'de>>(json: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(json)?.unwrap_or(f64::NAN))
}

impl Mean {
    fn add(&mut self, value: f32) {
        self.sum += f64::from(value);
        self.count += 1;
    }

    fn value(self) -> f32 {
        (self.sum / f64::from(self.count.max(1))) as f32
    }
}

impl Means {
    /// Adds a step.
    pub(crate) fn add(&mut self, reports: &[LossReport], norm: f32) {
        self.steps += 1;
        self.norm.add(norm);
        for report in reports {
            self.total.add(report.total);
            let lists = [
                (&mut self.caption, &report.caption),
                (&mut self.entailment, &report.entailment),
                (&mut self.grounding, &report.grounding),
            ];
            for (means, values) in lists {
                means.resize(means.len().max(values.len()), Mean::default());
                means.iter_mut().zip(values).for_each(|(mean, value)| mean.add(*value));
            }
            if let Some(saturation) = report.saturation {
                self.saturation.add(saturation);
            }
            for (mean, reward) in self.rewards.iter_mut().zip(report.rewards.iter().flatten()) {
                mean.add(*reward);
            }
        }
    }

    /// The means so far.
    pub(crate) fn line(&self) -> TrainLine {
        let values = |means: &[Mean]| means.iter().map(|mean| mean.value()).collect();
        let known = |mean: Mean| (mean.count > 0).then(|| mean.value());
        let [reward, greedy_reward] = self.rewards.map(known);
        TrainLine {
            loss: self.total.value(),
            caption: values(&self.caption),
            entailment: values(&self.entailment),
            grounding: values(&self.grounding),
            saturation: known(self.saturation),
            reward,
            greedy_reward,
            gradient_norm: self.norm.value(),
            ..TrainLine::default()
        }
    }
}
