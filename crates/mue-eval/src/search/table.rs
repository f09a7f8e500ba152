//! Entailment: every static branch depth is run once, and all rules are read off that table.

use mue_data::datasets::SampleText;
use mue_engine::{
    BranchDepth, BranchPolicy, BranchRule, Deferral, ExitChoice, ExitRules, InvalidRequest, Label,
    Reply,
};

use super::rules::fixed;
use super::watched::leaves;
use super::{Candidates, Depths, Ground, Trial};
use crate::answers::{Way, ask};
use crate::measure::{macs, mean};
use crate::{Answers, EvalError};

/// What the samples were answered at each depth of the branches.
pub(crate) struct Table {
    depths: Depths,
    /// By image depth and text depth: watched in the decoder.
    cells: Vec<Vec<Vec<Reply>>>,
    /// Watched in all branches.
    watched: Vec<Reply>,
    /// By sample: multiply-accumulates of one decoder layer.
    layer_macs: Vec<f64>,
    /// Multiply-accumulates of one reading of the answer.
    head_macs: f64,
    /// By sample, if answers can be deferred: those of a decoder layer that are not taken again.
    kept_macs: Vec<f64>,
    /// By sample: the right answer.
    labels: Vec<Option<Label>>,
    /// Full depth's accuracy.
    pub(super) baseline: f64,
}

/// What a decoder rule makes of one sample in one cell.
#[derive(Clone, Copy)]
struct Decided {
    is_right: bool,
    probability: f32,
    /// Decoder layers.
    layer: usize,
    macs: f64,
    /// The decoder's part of them.
    decoder_macs: f64,
}

impl Table {
    pub(super) fn build(ground: Ground<'_>, depths: Depths) -> Result<Self, EvalError> {
        let Ground { engine, data, samples, progress } = ground;
        let texts = if depths.text { fixed(depths.encoder) } else { vec![BranchRule::Full] };
        let watch = BranchRule::Watch;
        let mut ways = vec![
            ExitRules {
                image: watch.clone(),
                text: watch.clone(),
                decoder: watch.clone(),
                deferral: None,
            },
            ExitRules { decoder: BranchRule::Fixed(1), ..ExitRules::default() },
        ];
        for image in fixed(depths.encoder) {
            let rules = |text: &BranchRule| ExitRules {
                image: image.clone(),
                text: text.clone(),
                decoder: watch.clone(),
                deferral: None,
            };
            ways.extend(texts.iter().map(rules));
        }
        if depths.can_defer() {
            // Two images, between which an answer of one decoder layer is deferred.
            let always = Deferral { below: f32::MAX, image: 2 };
            ways.extend([(2, None), (1, Some(always))].map(|(image, deferral)| ExitRules {
                image: BranchRule::Fixed(image),
                text: BranchRule::Full,
                decoder: BranchRule::Fixed(1),
                deferral,
            }));
        }
        let way = |rules| Way { engine, exit: ExitChoice::Rules(rules) };
        let ways: Vec<Way<'_>> = ways.into_iter().map(way).collect();
        let Answers { truths, replies, .. } = ask(&ways, (data, 0..samples), progress)?;
        let mut replies = replies.into_iter();
        let [watched, shallow] = [(); 2].map(|()| replies.next().unwrap_or_default());
        let cells: Vec<Vec<Reply>> = replies.by_ref().take(depths.encoder * texts.len()).collect();
        let [further, deferred] = [(); 2].map(|()| replies.next().unwrap_or_default());
        let cells = cells.chunks(texts.len()).map(<[Vec<Reply>]>::to_vec).collect();
        let head_macs = (Label::ALL.len() * engine.model().config().d_model) as f64;
        // A pass costs the same at every layer; watching reads the answer of each as well.
        let others = (depths.decoder.max(2) - 1) as f64;
        let layer_macs = watched.iter().zip(&shallow);
        let layer_macs: Vec<f64> = layer_macs
            .map(|(deep, shallow)| (macs(deep) - macs(shallow)) / others - head_macs)
            .collect();
        // A deferred answer is that of the further image and another reading, but for what is kept.
        let both = further.iter().zip(&deferred).zip(&layer_macs);
        let kept_macs = both
            .map(|((further, deferred), layer)| macs(further) + layer + head_macs - macs(deferred))
            .collect();
        let labels: Vec<Option<Label>> = truths.iter().map(label).collect();
        let right = |(reply, label): (&Reply, &Option<Label>)| match reply {
            Reply::Entailment(found) => f64::from(u8::from(Some(found.label) == *label)),
            Reply::Caption(_) => 0.0,
        };
        let baseline = mean(watched.iter().zip(&labels).map(right)).max(f64::MIN_POSITIVE);
        Ok(Self { depths, cells, watched, layer_macs, head_macs, kept_macs, labels, baseline })
    }

    pub(super) fn watched(&self) -> &[Reply] {
        &self.watched
    }

    /// What every combination of rules would have answered, and at what cost.
    pub(super) fn trials(&self, candidates: &Candidates) -> Result<Vec<Trial>, InvalidRequest> {
        let images = self.branch(&candidates.images, Side::Image)?;
        let texts = self.branch(&candidates.texts, Side::Text)?;
        let mut trials = Vec::new();
        for decoder in &candidates.decoders {
            let rules = ExitRules { decoder: decoder.clone(), ..ExitRules::default() };
            let decided = self.decide(&rules.policy()?.decoder);
            for deferral in &candidates.deferrals {
                for (image, image_depths) in &images {
                    for (text, text_depths) in &texts {
                        let depths = (image_depths.as_slice(), text_depths.as_slice());
                        let Some((retention, macs)) = self.sum(&decided, depths, *deferral) else {
                            continue;
                        };
                        let (image, text, decoder) = (image.clone(), text.clone(), decoder.clone());
                        let rules = ExitRules { image, text, decoder, deferral: *deferral };
                        trials.push(Trial { rules, retention, macs });
                    }
                }
            }
        }
        Ok(trials)
    }

    /// What a decoder rule and a deferral keep, and what they cost, at each sample's depths. Of a
    /// deferral by which nothing is deferred there is nothing to say.
    fn sum(
        &self,
        decided: &[Vec<Vec<Decided>>],
        (images, texts): (&[usize], &[usize]),
        deferral: Option<Deferral>,
    ) -> Option<(f64, f64)> {
        let layers = self.depths.encoder;
        let (mut sums, mut is_idle) = ((0.0, 0.0), deferral.is_some());
        for (sample, (layer, text)) in images.iter().zip(texts).enumerate() {
            let at = |image: usize| decided[image - 1][text - 1][sample];
            let (first, depth) = (at(*layer), BranchDepth { layer: *layer, layers });
            let defers = |deferral: &Deferral| deferral.defers(first.probability, depth);
            let (is_right, macs) = match deferral.filter(defers) {
                None => (first.is_right, first.macs),
                // The image goes on, and the decoder begins anew.
                Some(deferral) => {
                    is_idle = false;
                    let again = at(deferral.image.min(layers));
                    let kept = first.layer.min(again.layer) as f64 * self.kept_macs[sample];
                    (again.is_right, again.macs + first.decoder_macs - kept)
                }
            };
            sums = (sums.0 + f64::from(u8::from(is_right)), sums.1 + macs);
        }
        let samples = self.watched.len().max(1) as f64;
        (!is_idle).then(|| (sums.0 / samples / self.baseline, sums.1 / samples))
    }

    /// By rule of an encoder branch: the depth at which each sample leaves.
    fn branch(
        &self,
        rules: &[BranchRule],
        side: Side,
    ) -> Result<Vec<(BranchRule, Vec<usize>)>, InvalidRequest> {
        let depths = |rule: &BranchRule| {
            let policy = side.policy(rule)?;
            let depth = |reply: &Reply| match side {
                Side::Text if !self.depths.text => 1,
                _ => leaves(&policy, (side.similarities(reply), &[]), self.depths.encoder),
            };
            Ok((rule.clone(), self.watched.iter().map(depth).collect()))
        };
        rules.iter().map(depths).collect()
    }

    /// By cell and sample: what a decoder rule makes of it.
    fn decide(&self, policy: &BranchPolicy) -> Vec<Vec<Vec<Decided>>> {
        let cell = |cell: &Vec<Reply>| -> Vec<Decided> {
            let samples = cell.iter().enumerate();
            samples.map(|(sample, reply)| self.decided(policy, sample, reply)).collect()
        };
        self.cells.iter().map(|row| row.iter().map(cell).collect()).collect()
    }

    fn decided(&self, policy: &BranchPolicy, sample: usize, reply: &Reply) -> Decided {
        let answers = only(&reply.exit().predictions);
        let similarities = only(&reply.exit().similarities.decoder);
        let layers = self.depths.decoder;
        let layer = leaves(policy, (similarities, answers), layers);
        let answered = answers.get(layer - 1);
        let answer = answered.and_then(|it| Label::ALL.get(it.token as usize));
        let asked = |layer: &usize| *layer < layers && policy.needs_prediction(*layer);
        let readings = (1..=layer).filter(asked).count() + usize::from(!asked(&layer));
        let cost = |layers: usize, readings: usize| {
            layers as f64 * self.layer_macs[sample] + readings as f64 * self.head_macs
        };
        Decided {
            is_right: answer.is_some() && answer == self.labels[sample].as_ref(),
            probability: answered.map_or(0.0, |answered| answered.probability),
            layer,
            macs: macs(reply) - cost(layers - layer, layers - readings),
            decoder_macs: cost(layer, readings),
        }
    }
}

/// An encoder branch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Image,
    Text,
}

impl Side {
    fn policy(self, rule: &BranchRule) -> Result<BranchPolicy, InvalidRequest> {
        let rule = rule.clone();
        Ok(match self {
            Self::Image => ExitRules { image: rule, ..ExitRules::default() }.policy()?.image,
            Self::Text => ExitRules { text: rule, ..ExitRules::default() }.policy()?.text,
        })
    }

    fn similarities(self, reply: &Reply) -> &[f32] {
        let noted = &reply.exit().similarities;
        match self {
            Self::Image => &noted.image,
            Self::Text => &noted.text,
        }
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
    use mue_data::datasets::{DatasetOptions, Task};
    use mue_engine::Encoding;

    use super::*;
    use crate::folder::Folder;
    use crate::search::{Sureness, Watched};
    use crate::testing::engine;
    use crate::{EvalData, answer, score};

    /// Rules of every family, at thresholds that a random model's rows fall on both sides of.
    fn some_rules(table: &Table) -> Vec<ExitRules> {
        let (watched, depths) = (Watched::of(&table.watched), table.depths);
        let mut families = vec![
            Candidates::fixed(depths),
            Candidates::mue(&watched, depths, Task::Entailment),
            Candidates::similarity(&watched, depths, Task::Entailment),
            Candidates::any(&watched, depths, Task::Entailment),
        ];
        families.push(Candidates::deferring(&watched, depths, Task::Entailment));
        let by = [Sureness::Probability, Sureness::Entropy, Sureness::Patience];
        families.extend(by.map(|by| Candidates::sure(&watched, depths, by, Task::Entailment)));
        // Where answers cannot be deferred, that family is empty.
        families.retain(|family| !family.images.is_empty());
        let halfway = |rules: &[BranchRule], place: usize| {
            rules[(place + rules.len() / 2) % rules.len()].clone()
        };
        let rules = families.iter().flat_map(|family| {
            (0..3).map(move |place| ExitRules {
                image: halfway(&family.images, place),
                text: halfway(&family.texts, 2 * place),
                decoder: halfway(&family.decoders, 3 * place),
                deferral: family.deferrals[7 * place % family.deferrals.len()],
            })
        });
        rules.collect()
    }

    fn check(encoding: Encoding) {
        let folder = Folder::new(2, encoding);
        let engine = engine(&folder);
        let data = EvalData::open(
            &"scenes:seed=3,count=24".parse().unwrap(),
            Task::Entailment,
            &DatasetOptions::default(),
        );
        let data = data.unwrap();
        let depths = Depths::of(&engine, Task::Entailment);
        assert_eq!(depths.text, encoding == Encoding::Decomposed);
        let ground =
            Ground { engine: &engine, data: &data, samples: data.len(), progress: &|_, _| () };
        let table = Table::build(ground, depths).unwrap();
        assert!(table.baseline > 0.0);

        let rules = some_rules(&table);
        let ways: Vec<ExitChoice> = rules.iter().cloned().map(ExitChoice::Rules).collect();
        let answers = answer(&engine, (&data, 0..data.len()), &ways).unwrap();
        let scored = score(&answers.truths, &answers.replies).unwrap();
        let (mut depths_seen, mut deferred) = (std::collections::BTreeSet::new(), 0);
        for ((rules, scored), replies) in rules.into_iter().zip(scored).zip(answers.replies) {
            let ExitRules { image, text, decoder, deferral } = rules;
            let candidates = Candidates {
                images: vec![image],
                texts: vec![text],
                decoders: vec![decoder],
                deferrals: vec![deferral],
            };
            let Some(trial) = table.trials(&candidates).unwrap().pop() else {
                assert!(deferral.is_some());
                assert!(replies.iter().all(|reply| reply.exit().deferred.is_none()));
                continue;
            };
            let retention = scored.quality.main() / table.baseline;
            assert!((trial.retention - retention).abs() < 1e-9, "{trial:?}: {retention}");
            let cost = mean(replies.iter().map(macs));
            assert!((trial.macs / cost - 1.0).abs() < 1e-9, "{trial:?}: {cost}");
            depths_seen.extend(replies.iter().flat_map(|reply| reply.exit().decoder.clone()));
            deferred += replies.iter().filter(|reply| reply.exit().deferred.is_some()).count();
        }
        assert_eq!(deferred > 0, depths.text, "answers of a decomposed model are deferred");
        assert_eq!(depths_seen.len(), depths.decoder, "rules of little use: {depths_seen:?}");
    }

    #[test]
    fn what_is_read_off_the_table_is_what_a_run_gives() {
        check(Encoding::Decomposed);
    }

    #[test]
    fn a_joint_encoder_has_one_branch_to_read_off() {
        check(Encoding::Joint);
    }
}
