//! Entailment: every static branch depth is run once, and all rules are read off that table.

use mue_data::datasets::SampleText;
use mue_engine::{BranchRule, Engine, ExitChoice, ExitRules, InvalidRequest, Label, Reply};

use super::rules::{fixed, halves, leaves, single_thresholds, step_similarities, steps, sure};
use super::{Depths, Found, Trial};
use crate::evaluation::{macs, mean};
use crate::{Answers, EvalData, EvalError, answer};

/// What the samples were answered at each depth of the branches.
struct Table {
    depths: Depths,
    /// By image depth and text depth: watched in the decoder.
    cells: Vec<Vec<Vec<Reply>>>,
    /// Watched in all branches.
    watched: Vec<Reply>,
    /// By sample: multiply-accumulates of one decoder layer.
    layer_macs: Vec<f64>,
    /// Multiply-accumulates of one reading of the answer.
    head_macs: f64,
    /// By sample: the right answer.
    labels: Vec<Option<Label>>,
    accuracy_full: f64,
}

/// Searches rules on the first samples.
pub(super) fn search(
    engine: &Engine,
    (data, samples): (&EvalData, usize),
    depths: Depths,
) -> Result<Found, EvalError> {
    let table = Table::build(engine, (data, samples), depths)?;
    let branch = |side: fn(&Reply) -> &Vec<f32>| -> Vec<Vec<f32>> {
        table.watched.iter().map(|reply| side(reply).clone()).collect()
    };
    let image = branch(|reply| &reply.exit().similarities.image);
    let text = branch(|reply| &reply.exit().similarities.text);
    let decoder = step_similarities(&table.watched);
    let of_text = |rules: Vec<BranchRule>| if depths.text { rules } else { vec![BranchRule::Full] };
    let any = table.trials(
        &[fixed(depths.encoder), halves(&image, depths.encoder)].concat(),
        &of_text([fixed(depths.encoder), halves(&text, depths.encoder)].concat()),
        &[fixed(depths.decoder), sure(&steps(&table.watched), depths.decoder)].concat(),
    );
    let mue = table.trials(
        &single_thresholds(&image, depths.encoder),
        &of_text(single_thresholds(&text, depths.encoder)),
        &single_thresholds(&decoder, depths.decoder),
    );
    let all = |trials: Result<Vec<Trial>, InvalidRequest>| {
        trials.map_err(|source| EvalError::Request { sample: "of the search".into(), source })
    };
    Ok(Found { any: all(any)?, mue: all(mue)? })
}

impl Table {
    fn build(
        engine: &Engine,
        (data, samples): (&EvalData, usize),
        depths: Depths,
    ) -> Result<Self, EvalError> {
        let texts = if depths.text { fixed(depths.encoder) } else { vec![BranchRule::Full] };
        let watch = BranchRule::Watch;
        let mut ways = vec![
            ExitRules { image: watch.clone(), text: watch.clone(), decoder: watch.clone() },
            ExitRules { decoder: BranchRule::Fixed(1), ..ExitRules::default() },
        ];
        for image in fixed(depths.encoder) {
            let rules = |text: &BranchRule| ExitRules {
                image: image.clone(),
                text: text.clone(),
                decoder: watch.clone(),
            };
            ways.extend(texts.iter().map(rules));
        }
        let ways: Vec<ExitChoice> = ways.into_iter().map(ExitChoice::Rules).collect();
        let Answers { truths, replies, .. } = answer(engine, (data, 0..samples), &ways)?;
        let mut replies = replies.into_iter();
        let (watched, shallow) =
            (replies.next().unwrap_or_default(), replies.next().unwrap_or_default());
        let replies: Vec<Vec<Reply>> = replies.collect();
        let cells = replies.chunks(texts.len()).map(<[Vec<Reply>]>::to_vec).collect();
        let head_macs = (Label::ALL.len() * engine.model().config().d_model) as f64;
        // A pass costs the same at every layer; watching reads the answer of each as well.
        let others = (depths.decoder.max(2) - 1) as f64;
        let layer_macs = watched.iter().zip(&shallow);
        let layer_macs = layer_macs
            .map(|(deep, shallow)| (macs(deep) - macs(shallow)) / others - head_macs)
            .collect();
        let labels: Vec<Option<Label>> = truths.iter().map(label).collect();
        let right = |(reply, label): (&Reply, &Option<Label>)| match reply {
            Reply::Entailment(found) => f64::from(u8::from(Some(found.label) == *label)),
            Reply::Caption(_) => 0.0,
        };
        let accuracy_full = mean(watched.iter().zip(&labels).map(right));
        Ok(Self { depths, cells, watched, layer_macs, head_macs, labels, accuracy_full })
    }

    /// Every combination of rules for the branches.
    fn trials(
        &self,
        images: &[BranchRule],
        texts: &[BranchRule],
        decoders: &[BranchRule],
    ) -> Result<Vec<Trial>, InvalidRequest> {
        let mut trials = Vec::with_capacity(images.len() * texts.len() * decoders.len());
        for image in images {
            for text in texts {
                for decoder in decoders {
                    trials.push(self.trial(ExitRules {
                        image: image.clone(),
                        text: text.clone(),
                        decoder: decoder.clone(),
                    })?);
                }
            }
        }
        Ok(trials)
    }

    /// What rules would have answered, and at what cost.
    fn trial(&self, rules: ExitRules) -> Result<Trial, InvalidRequest> {
        let policy = rules.policy()?;
        let (mut right, mut cost) = (0.0, 0.0);
        for (sample, watched) in self.watched.iter().enumerate() {
            let noted = &watched.exit().similarities;
            let depth = |policy, noted: &[f32]| leaves(policy, (noted, &[]), self.depths.encoder);
            let image = depth(&policy.image, &noted.image);
            let text = if self.depths.text { depth(&policy.text, &noted.text) } else { 1 };
            let cell = &self.cells[image - 1][text - 1][sample];
            let answers = only(&cell.exit().predictions);
            let similarities = only(&cell.exit().similarities.decoder);
            let layers = self.depths.decoder;
            let layer = leaves(&policy.decoder, (similarities, answers), layers);
            let answer = answers.get(layer - 1).and_then(|it| Label::ALL.get(it.token as usize));
            let is_right = answer.is_some() && answer == self.labels[sample].as_ref();
            right += f64::from(u8::from(is_right));
            let asked = |layer: &usize| *layer < layers && policy.decoder.needs_prediction(*layer);
            let readings = (1..=layer).filter(asked).count() + usize::from(!asked(&layer));
            let saved = (layers - layer) as f64 * self.layer_macs[sample];
            cost += macs(cell) - saved - (layers - readings) as f64 * self.head_macs;
        }
        let samples = self.watched.len().max(1) as f64;
        let retention = right / samples / self.accuracy_full.max(f64::MIN_POSITIVE);
        Ok(Trial { rules, retention, macs: cost / samples })
    }
}

/// An entailment has one decoder step.
fn only<T>(steps: &[Vec<T>]) -> &[T] {
    steps.first().map_or(&[], Vec::as_slice)
}

fn label(truth: &SampleText) -> Option<Label> {
    match truth {
        SampleText::Hypothesis { label, .. } => Some((*label).into()),
        SampleText::Captions(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mue_data::datasets::Task;
    use mue_engine::batcher::NoObserver;
    use mue_engine::{DeviceChoice, Encoding, EngineSettings};

    use super::*;
    use crate::folder::Folder;
    use crate::score;

    /// Rules of every kind, at thresholds that a random model's rows fall on both sides of.
    fn some_rules(table: &Table) -> Vec<ExitRules> {
        let similarities: Vec<Vec<f32>> =
            table.watched.iter().map(|reply| reply.exit().similarities.image.clone()).collect();
        let image = halves(&similarities, table.depths.encoder);
        let probability = BranchRule::Probability(vec![0.4, 1.0]);
        let decoders = [
            BranchRule::Fixed(2),
            BranchRule::Similarity(vec![0.9]),
            probability,
            BranchRule::Entropy(vec![0.0, 1.05]),
            BranchRule::Patience(1),
        ];
        let text = [BranchRule::Fixed(1), BranchRule::Similarity(vec![0.95]), BranchRule::Full];
        let places = decoders.iter().enumerate();
        let rules = places.map(|(place, decoder)| ExitRules {
            image: image[place % image.len()].clone(),
            text: text[place % text.len()].clone(),
            decoder: decoder.clone(),
        });
        rules.collect()
    }

    #[test]
    fn what_is_read_off_the_table_is_what_a_run_gives() {
        let folder = Folder::new(2, Encoding::Decomposed);
        let settings =
            EngineSettings { device: DeviceChoice::Flex, warm_up: false, ..Default::default() };
        let engine = Engine::open(folder.path(), settings, Arc::new(NoObserver)).unwrap();
        let data = EvalData::open(&"scenes:seed=3,count=24".parse().unwrap(), Task::Entailment);
        let data = data.unwrap();
        let config = engine.model().config();
        let (encoder, decoder) = (config.encoder_layers, config.decoder_layers);
        let depths = Depths { encoder, decoder, text: true };
        let table = Table::build(&engine, (&data, data.len()), depths).unwrap();
        assert!(table.accuracy_full > 0.0);

        let rules = some_rules(&table);
        let ways: Vec<ExitChoice> = rules.iter().cloned().map(ExitChoice::Rules).collect();
        let answers = answer(&engine, (&data, 0..data.len()), &ways).unwrap();
        let scored = score(&answers.truths, &answers.replies).unwrap();
        for ((rules, scored), replies) in rules.into_iter().zip(scored).zip(answers.replies) {
            let trial = table.trial(rules).unwrap();
            let retention = scored.quality.main() / table.accuracy_full;
            assert!((trial.retention - retention).abs() < 1e-9, "{trial:?}: {retention}");
            let cost = mean(replies.iter().map(macs));
            assert!((trial.macs / cost - 1.0).abs() < 1e-9, "{trial:?}: {cost}");
        }
    }
}
