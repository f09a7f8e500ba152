//! A request gets the same answer and leaves at the same layers whoever its neighbours are.

use std::cell::Cell;

use mue_engine::{
    CaptionSearch, Encoding, Engine, ExitChoice, ExitTrace, Reply, Request, Thresholds,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::folder::{Folder, picture};
use crate::{open, replies};

/// Similarities this close to their threshold may fall on either side.
const UNDECIDED: f32 = 1e-5;

#[derive(Clone, Debug)]
struct Ask {
    picture: u64,
    exit: ExitChoice,
    task: Task,
}

#[derive(Clone, Debug)]
enum Task {
    Caption { beam_size: usize, tokens_max: usize },
    Entailment { text: &'static str },
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let threshold = || proptest::option::of(0.6f32..1.0);
    let thresholds = (threshold(), threshold(), threshold()).prop_map(|(image, text, decoder)| {
        ExitChoice::Thresholds(Thresholds { image, text, decoder })
    });
    let exit = prop_oneof![1 => Just(ExitChoice::Off), 4 => thresholds];
    let texts = ["there is a red circle", "there are two rings", "the cross is left of the ring"];
    let task = prop_oneof![
        (1usize..4, 1usize..6)
            .prop_map(|(beam_size, tokens_max)| Task::Caption { beam_size, tokens_max }),
        proptest::sample::select(texts.to_vec()).prop_map(|text| Task::Entailment { text }),
    ];
    let ask = (0u64..6, exit, task).prop_map(|(picture, exit, task)| Ask { picture, exit, task });
    vec(ask, 2..12)
}

fn request(engine: &Engine, ask: &Ask) -> Request {
    let image = picture(ask.picture);
    match ask.task {
        Task::Caption { beam_size, tokens_max } => {
            let search = CaptionSearch { beam_size, tokens_max, ..CaptionSearch::default() };
            engine.model().caption(image, ask.exit.clone(), &search).unwrap()
        }
        Task::Entailment { text } => {
            engine.model().entailment(image, ask.exit.clone(), (None, text)).unwrap()
        }
    }
}

fn undecided(exit: &ExitTrace, choice: &ExitChoice) -> bool {
    let ExitChoice::Thresholds(thresholds) = choice else { return false };
    let near = |noted: &[f32], threshold: Option<f32>| {
        threshold.is_some_and(|theta| noted.iter().any(|s| (s - theta).abs() < UNDECIDED))
    };
    let noted = &exit.similarities;
    near(&noted.image, thresholds.image)
        || near(&noted.text, thresholds.text)
        || noted.decoder.iter().any(|step| near(step, thresholds.decoder))
}

fn same(alone: &Reply, together: &Reply) -> Result<(), TestCaseError> {
    let layers = |reply: &Reply| {
        let exit = reply.exit();
        (exit.image, exit.text, exit.decoder.clone(), reply.compute())
    };
    prop_assert_eq!(layers(alone), layers(together));
    match (alone, together) {
        (Reply::Caption(alone), Reply::Caption(together)) => {
            prop_assert_eq!(&alone.text, &together.text);
            prop_assert!((alone.score - together.score).abs() < 1e-4);
        }
        (Reply::Entailment(alone), Reply::Entailment(together)) => {
            prop_assert_eq!(alone.label, together.label);
            for (one, other) in alone.scores.iter().zip(together.scores) {
                prop_assert!((one - other).abs() < 1e-4);
            }
        }
        _ => prop_assert!(false, "answers of different tasks"),
    }
    Ok(())
}

fn invariant(encoding: Encoding) {
    let folder = Folder::new(11, encoding);
    let (crowd, single) = (open(&folder), open(&folder));
    let flips = Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    let result = runner.run(&asks(), |asks| {
        let requests = asks.iter().map(|ask| request(&crowd, ask)).collect();
        let together = replies(&crowd, requests);
        for (ask, together) in asks.iter().zip(&together) {
            let alone = replies(&single, vec![request(&single, ask)]).remove(0);
            let verdict = same(&alone, together);
            match undecided(alone.exit(), &ask.exit) || undecided(together.exit(), &ask.exit) {
                true => flips.set(flips.get() + usize::from(verdict.is_err())),
                false => verdict?,
            }
        }
        Ok(())
    });
    result.unwrap();
    assert!(flips.get() <= 2, "{} exits hung on rounding", flips.get());
}

#[test]
fn mixed_requests_together_are_as_one_by_one() {
    invariant(Encoding::Decomposed);
}

#[test]
fn so_they_are_in_joint_encoding() {
    invariant(Encoding::Joint);
}
