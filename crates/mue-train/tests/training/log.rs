//! What the log says of the steps since its last line.

use mue_train::{Line, TrainConfig, TrainLine};

use crate::toy::{config, resumed, run, take_back, trainer};

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

#[test]
fn a_line_of_a_resumed_run_is_of_the_steps_before_it_was_stopped_too() {
    let mut recipe = config(6);
    (recipe.run.log_every, recipe.run.checkpoint_every) = (3, 2);
    let folder = tempfile::tempdir().unwrap();
    let whole = run(&mut trainer(recipe.clone()), folder.path());
    take_back(folder.path(), 4);
    assert_eq!(run(&mut resumed(recipe.clone(), folder.path()), folder.path()), whole[1..]);

    // Checkpoints of before know nothing of such steps.
    take_back(folder.path(), 4);
    let state = folder.path().join("checkpoints/step-00000004/state.json");
    let mut saved: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    assert!(saved.as_object_mut().unwrap().remove("means").is_some());
    std::fs::write(&state, saved.to_string()).unwrap();
    let steps = run(&mut resumed(recipe, folder.path()), folder.path());
    assert_eq!(steps.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [6]);
}

#[test]
fn every_evaluation_comes_before_its_checkpoint_and_the_last_one_at_the_end() {
    let evaluated = |evaluate_every| {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = config(5);
        recipe.run.evaluate_every = evaluate_every;
        let mut steps = Vec::new();
        let mut see = |line: &Line| {
            if let Line::Evaluation(line) = line {
                let saved = format!("checkpoints/step-{:08}", line.step);
                assert!(!folder.path().join(saved).exists(), "step {} is saved", line.step);
                steps.push(line.step);
            }
        };
        trainer(recipe).run(folder.path(), &mut see).unwrap();
        steps
    };
    assert_eq!([evaluated(3), evaluated(5), evaluated(0)], [vec![3, 5], vec![5], vec![]]);
}

#[test]
fn a_line_that_a_kill_has_cut_short_is_ended_first() {
    let folder = tempfile::tempdir().unwrap();
    let (path, torn) = (folder.path().join("log.jsonl"), "{\"train\":{\"st");
    std::fs::write(&path, torn).unwrap();
    run(&mut trainer(config(1)), folder.path());
    run(&mut resumed(config(1), folder.path()), folder.path());
    let log = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0] == torn && lines[1].starts_with("{\"train\":{\"step\":1,"), "{log}");
    assert_eq!(lines[2..], ["{\"resumed\":1}"], "what is whole is left as it is");
}
