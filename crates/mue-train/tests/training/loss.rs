//! What is minimised: MuE's sum over all decoder layers, and the options beside it.

use mue_train::{LossConfig, LossLayers, TrainLine};

use crate::log::lines;
use crate::toy::config;

const TASKS: LossConfig = LossConfig {
    layers: LossLayers::All,
    caption: 2.0,
    entailment: 3.0,
    label_smoothing: 0.0,
    random_depth: 0.0,
    grounding: 0.0,
    distillation: 0.0,
    saturation: 0.0,
};

fn first_line(loss: LossConfig) -> TrainLine {
    let mut recipe = config(1);
    recipe.loss = loss;
    lines(recipe).remove(0)
}

fn tasks(line: &TrainLine) -> f32 {
    2.0 * line.caption.iter().sum::<f32>() + 3.0 * line.entailment.iter().sum::<f32>()
}

fn assert_is(line: &TrainLine, expected: f32) {
    assert!((line.loss - expected).abs() < 1e-3 * expected, "{line:?} for {expected}");
}

#[test]
fn losses_are_summed_over_every_decoder_layer_or_of_the_last_alone() {
    let all = first_line(TASKS);
    assert_eq!((all.caption.len(), all.entailment.len()), (3, 3), "three decoder layers");
    assert_is(&all, tasks(&all));
    let last = first_line(LossConfig { layers: LossLayers::Last, ..TASKS });
    assert_eq!((last.caption.len(), last.entailment.len()), (1, 1));
    assert_is(&last, tasks(&last));
    // The first weights are the same; products of other shapes round otherwise.
    assert!((last.caption[0] - all.caption[2]).abs() < 1e-5, "{last:?} {all:?}");
}

#[test]
fn a_task_without_weight_is_not_computed_and_the_other_is_as_it_was() {
    let both = first_line(TASKS);
    let captions = first_line(LossConfig { entailment: 0.0, ..TASKS });
    let answers = first_line(LossConfig { caption: 0.0, ..TASKS });
    assert!(captions.entailment.is_empty() && answers.caption.is_empty());
    assert_is(&captions, tasks(&captions));
    assert_is(&answers, tasks(&answers));
    let found = captions.caption.iter().chain(&answers.entailment);
    let expected = both.caption.iter().chain(&both.entailment);
    assert_eq!(found.clone().count(), expected.clone().count());
    for (found, expected) in found.zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
    }
    // The saturation loss asks the places of both.
    let saturated = first_line(LossConfig { entailment: 0.0, saturation: 5.0, ..TASKS });
    assert_eq!((saturated.caption.len(), saturated.entailment.len()), (3, 3));
}

#[test]
fn options_add_what_they_weigh() {
    let grounded = first_line(LossConfig { grounding: 4.0, ..TASKS });
    let depths = grounded.grounding.len() as f32;
    assert!(depths > 1.0);
    let by_depth = grounded.grounding.iter().sum::<f32>() / depths;
    assert_is(&grounded, tasks(&grounded) + 4.0 * by_depth);
    let saturated = first_line(LossConfig { saturation: 5.0, ..TASKS });
    assert_is(&saturated, tasks(&saturated) + 5.0 * saturated.saturation.unwrap());
    let distilled = first_line(LossConfig { distillation: 0.5, ..TASKS });
    assert!(distilled.loss > tasks(&distilled), "{distilled:?}");
}
