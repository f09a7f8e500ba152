//! Costs of replies, and how they compare with full depth's.

use std::collections::HashMap;

use mue_data::datasets::Task;
use mue_engine::{Encoding, Reply};
use serde::Serialize;

use crate::{Bootstrap, BootstrapError, Interval, Pair};

/// How many rows left each branch after each of its layers; every decoder step is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExitLayers {
    /// Of the image branch, from layer 1 on.
    pub image: Vec<u64>,
    /// Of the text branch; in joint encoding it leaves with the image.
    pub text: Vec<u64>,
    /// Of the decoder.
    pub decoder: Vec<u64>,
    /// Decoder layers of readings whose answers were deferred, which are no exits.
    pub deferred_layers: u64,
}

impl ExitLayers {
    pub(crate) fn of(replies: &[Reply]) -> Self {
        let mut counts = Self::default();
        for exit in replies.iter().map(Reply::exit) {
            count(&mut counts.image, (exit.image.layer, exit.image.layers));
            count(&mut counts.text, (exit.text.layer, exit.text.layers));
            for layer in &exit.decoder {
                count(&mut counts.decoder, (*layer, exit.decoder_layers));
            }
            counts.deferred_layers += exit.deferred.map_or(0, |first| first.decoder as u64);
        }
        counts
    }

    /// By branch, with its name.
    pub fn branches(&self) -> [(&'static str, &[u64]); 3] {
        [("image", &self.image), ("text", &self.text), ("decoder", &self.decoder)]
    }

    /// The share of all layers that was not run, which is how the paper counts.
    pub(crate) fn saved(&self, task: Task, encoding: Encoding) -> f64 {
        let branches = self.branches().into_iter().zip(self.mean_layers());
        let counted = branches.filter(|((name, _), _)| is_counted(task, encoding, name));
        let (run, all) = counted.fold((0.0, 0.0), |(run, all), ((_, counts), mean)| {
            (run + mean, all + counts.len() as f64)
        });
        if all > 0.0 { 1.0 - run / all } else { 0.0 }
    }

    /// Mean layers run of image, text and decoder, in the last those of deferred answers too.
    fn mean_layers(&self) -> [f64; 3] {
        let means = [(&self.image, 0), (&self.text, 0), (&self.decoder, self.deferred_layers)];
        means.map(|(counts, others)| mean_layer(counts, others))
    }
}

/// Whether requests of a task run the layers of a branch. A caption's prompt is the same for all and
/// encoded once for each model; in joint encoding a text's layers are its picture's.
pub(crate) fn is_counted(task: Task, encoding: Encoding, branch: &str) -> bool {
    let is_apart = encoding == Encoding::Decomposed && task == Task::Entailment;
    branch != "text" || is_apart
}

fn count(counts: &mut Vec<u64>, (layer, layers): (usize, usize)) {
    counts.resize(counts.len().max(layers), 0);
    if let Some(count) = layer.checked_sub(1).and_then(|place| counts.get_mut(place)) {
        *count += 1;
    }
}

fn mean_layer(counts: &[u64], others: u64) -> f64 {
    let rows: u64 = counts.iter().sum();
    let layers = counts.iter().enumerate().map(|(place, rows)| (place as u64 + 1) * rows);
    (layers.sum::<u64>() + others) as f64 / rows.max(1) as f64
}

/// Multiply-accumulates of a reply.
pub(crate) fn macs(reply: &Reply) -> f64 {
    reply.compute().macs as f64
}

/// Mean layers of image, text and decoder; every decoder step counts.
pub(crate) fn layers(replies: &[Reply]) -> [f64; 3] {
    ExitLayers::of(replies).mean_layers()
}

/// What is compared beside what it is compared with, sample by sample.
pub(crate) fn pairs(
    values: impl IntoIterator<Item = f64>,
    baselines: impl IntoIterator<Item = f64>,
) -> Vec<Pair> {
    let both = values.into_iter().zip(baselines);
    both.map(|(value, baseline)| Pair { value, baseline }).collect()
}

/// The samples of each picture: they are not independent, so that they are drawn together (a cluster
/// bootstrap: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8).
pub(crate) fn by_picture(pictures: &[String], pairs: Vec<Pair>) -> Vec<Vec<Pair>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<Pair>> = Vec::new();
    for (picture, pair) in pictures.iter().zip(pairs) {
        let place = *places.entry(picture).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(pair),
            None => groups.push(vec![pair]),
        }
    }
    groups
}

/// The sums over the samples of each picture.
pub(crate) fn sums_by_picture(pictures: &[String], pairs: Vec<Pair>) -> Vec<Pair> {
    let sum = |group: &[Pair]| Pair {
        value: group.iter().map(|pair| pair.value).sum(),
        baseline: group.iter().map(|pair| pair.baseline).sum(),
    };
    by_picture(pictures, pairs).iter().map(|group| sum(group)).collect()
}

/// What is kept, of the sums over pictures; none by a model without a single right answer.
///
/// Where exits hardly ever change an answer, few draws hold such a picture, and an interval of the
/// samples alone would be too narrow, of data without a change a point. So the low end is that with one
/// picture more on which all is lost, the high end with one more that exits alone have right. What is
/// compared with itself keeps all, and there is no doubt.
pub(crate) fn retention(
    bootstrap: &Bootstrap,
    pictures: &[Pair],
    is_itself: bool,
) -> Result<Option<Interval>, BootstrapError> {
    let with = |[value, baseline]: [f64; 2]| {
        let one_more = [pictures, &[Pair { value, baseline }]].concat();
        bootstrap.ratio(&one_more)
    };
    let typical = mean(pictures.iter().map(|picture| picture.baseline));
    match bootstrap.ratio(pictures) {
        Err(BootstrapError::NoBaseline) => Ok(None),
        found if is_itself => found.map(Some),
        found => {
            let low = with([0.0, typical])?.low;
            let high = with([typical, 0.0])?.high;
            Ok(Some(Interval { low, high, ..found? }))
        }
    }
}

/// The share that is saved where a ratio is left.
pub(crate) fn saved(ratio: Interval) -> Interval {
    Interval { estimate: 1.0 - ratio.estimate, low: 1.0 - ratio.high, high: 1.0 - ratio.low }
}

/// The mean; 0 of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    crate::bootstrap::median(&mut values.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_counted_as_the_paper_does_where_requests_run_them() {
        let (image, text, decoder) = (vec![1, 0, 1], vec![0, 2, 0], vec![4, 0, 0]);
        let layers = ExitLayers { image, text, decoder, deferred_layers: 0 };
        let saved = layers.saved(Task::Entailment, Encoding::Decomposed);
        assert!((saved - (1.0 - 5.0 / 9.0)).abs() < 1e-12, "2, 2 and 1 of 3 each: {saved}");
        let deferring = ExitLayers { deferred_layers: 2, ..layers.clone() };
        let saved = deferring.saved(Task::Entailment, Encoding::Decomposed);
        assert!((saved - (1.0 - 5.5 / 9.0)).abs() < 1e-12, "one of four ran 2 more: {saved}");
        let saved = layers.saved(Task::Caption, Encoding::Decomposed);
        assert!((saved - 0.5).abs() < 1e-12, "the prompt's branch is not run: {saved}");
    }

    #[test]
    fn layers_that_text_and_image_run_together_are_counted_once() {
        let (image, text, decoder) = (vec![2, 0, 0], vec![2, 0, 0], vec![0, 0, 2]);
        let layers = ExitLayers { image, text, decoder, deferred_layers: 0 };
        for task in [Task::Entailment, Task::Caption] {
            let saved = layers.saved(task, Encoding::Joint);
            assert!((saved - (1.0 - 4.0 / 6.0)).abs() < 1e-12, "1 and 3 of 3 each: {saved}");
        }
    }

    #[test]
    fn data_without_a_change_does_not_say_that_there_is_none() {
        let bootstrap = Bootstrap { draws: 1_000, confidence: 0.95, seed: 1 };
        let of = |pictures: &[Pair]| retention(&bootstrap, pictures, false).unwrap();
        let same = vec![Pair { value: 1.0, baseline: 1.0 }; 1_000];
        let Interval { estimate, low, high } = of(&same).unwrap();
        assert_eq!(estimate, 1.0);
        // Of 1,000 samples, up to three of the one that was added are drawn in 97.5% of the cases.
        assert!((0.996..0.998).contains(&low) && (1.002..1.004).contains(&high), "{low} {high}");
        let fewer = of(&same[..100]).unwrap();
        assert!(fewer.low < 0.98 && fewer.high > 1.02, "{fewer:?}");
        let all = Some(Interval { estimate: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(retention(&bootstrap, &same, true), Ok(all));
        assert_eq!(of(&[Pair { value: 1.0, baseline: 0.0 }]), None, "nothing to keep");
    }

    #[test]
    fn rows_are_counted_at_their_layer() {
        let mut counts = Vec::new();
        [(2, 3), (2, 3), (3, 3)].into_iter().for_each(|row| count(&mut counts, row));
        assert_eq!(counts, [0, 2, 1]);
        assert!((mean_layer(&counts, 0) - 7.0 / 3.0).abs() < 1e-12);
    }
}
