//! What the log says of the steps since its last line.

use mue_train::{Line, TrainConfig, TrainLine};

use crate::toy::{config, trainer};

pub(crate) fn lines(config: TrainConfig) -> Vec<TrainLine> {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    let mut see = |line: &Line| {
        if let Line::Train(line) = line {
            lines.push(line.clone());
        }
    };
    trainer(config).run(folder.path(), &mut see).unwrap();
    lines
}

#[test]
fn a_line_is_of_every_step_since_the_last_one_whatever_was_saved_and_evaluated_between() {
    let mut recipe = config(8);
    recipe.run.checkpoint_every = 3;
    recipe.run.evaluate_every = 2;
    let each = lines(recipe.clone());
    recipe.run.log_every = 4;
    let means = lines(recipe);
    assert_eq!((each.len(), means.len()), (8, 2));
    for (steps, line) in each.chunks(4).zip(&means) {
        let loss = steps.iter().map(|line| line.loss).sum::<f32>() / 4.0;
        assert!((line.loss - loss).abs() < 1e-4, "step {}: {} not {loss}", line.step, line.loss);
        assert!(line.step_ms > 0.0);
    }
}

#[test]
fn the_last_steps_have_a_line_too() {
    let mut recipe = config(5);
    recipe.run.log_every = 3;
    let steps: Vec<u64> = lines(recipe).iter().map(|line| line.step).collect();
    assert_eq!(steps, [3, 5]);
}
