//! A request gets the same answer and leaves at the same layers whoever its neighbours are.

use std::cell::Cell;
use std::sync::Arc;

use mue_data::preprocess;
use mue_data::scenes::{SceneSet, Split};
use mue_engine::batcher::NoObserver;
use mue_engine::{
    BranchPolicy, CaptionSearch, Deferral, Encoding, Engine, ExitChoice, ExitPolicy, ExitRules,
    ExitTrace, Image, LayerSignal, ModelSource, Prediction, Reply, Request, TaskCalibration,
    Thresholds,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::folder::{Folder, picture};
use crate::{open, replies, settings};

/// Similarities this close to their threshold may fall on either side.
const UNDECIDED: f32 = 1e-5;

#[derive(Clone, Debug)]
struct Ask {
    picture: u64,
    exit: ExitRules,
    task: Task,
}

#[derive(Clone, Debug)]
enum Task {
    Caption { beam_size: usize, tokens_max: usize },
    Entailment { text: &'static str, deferral: Option<Deferral> },
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let threshold = || proptest::option::of(0.6f32..1.0);
    let thresholds = (threshold(), threshold(), threshold())
        .prop_map(|(image, text, decoder)| ExitRules::from(Thresholds { image, text, decoder }));
    let exit = prop_oneof![1 => Just(ExitRules::default()), 4 => thresholds];
    let texts = ["there is a red circle", "there are two rings", "the cross is left of the ring"];
    // Of three answers one is at least as sure as a third.
    let deferral = (0.3f32..0.5, 1usize..4).prop_map(|(below, image)| Deferral { below, image });
    let task = prop_oneof![
        (1usize..4, 1usize..6)
            .prop_map(|(beam_size, tokens_max)| Task::Caption { beam_size, tokens_max }),
        (proptest::sample::select(texts.to_vec()), proptest::option::of(deferral))
            .prop_map(|(text, deferral)| Task::Entailment { text, deferral }),
    ];
    let ask = (0u64..6, exit, task).prop_map(|(picture, exit, task)| Ask { picture, exit, task });
    vec(ask, 2..12)
}

fn request(engine: &Engine, ask: &Ask) -> Request {
    let (image, exit) = (picture(ask.picture), ask.exit.clone());
    match ask.task {
        Task::Caption { beam_size, tokens_max } => {
            let exit = ExitChoice::Rules(exit);
            let search = CaptionSearch { beam_size, tokens_max, ..CaptionSearch::default() };
            engine.model().caption(image, exit, &search).unwrap()
        }
        Task::Entailment { text, deferral } => {
            let is_apart = engine.model().settings().encoding == Encoding::Decomposed;
            let deferral = deferral.filter(|_| is_apart);
            let exit = ExitChoice::Rules(ExitRules { deferral, ..exit });
            engine.model().entailment(image, exit, (None, text)).unwrap()
        }
    }
}

/// Whether some exit hung on the last digits of what it was decided by.
fn undecided(exit: &ExitTrace, policy: &ExitPolicy) -> bool {
    let hangs = |policy: &BranchPolicy, signal: &dyn Fn(f32) -> LayerSignal| {
        policy.exits(signal(UNDECIDED)) != policy.exits(signal(-UNDECIDED))
    };
    let similar = |policy: &BranchPolicy, noted: &[f32], layers: usize, step: usize| {
        noted.iter().zip(1..).any(|(similarity, layer)| {
            hangs(policy, &|by| {
                let similarity = Some(similarity + by);
                LayerSignal { layer, layers, step, similarity, prediction: None }
            })
        })
    };
    let sure = |noted: &[Prediction], step: usize| {
        noted.iter().any(|noted| {
            hangs(&policy.decoder, &|by| {
                let (probability, entropy) = (noted.probability + by, noted.entropy - by);
                let prediction = Some(Prediction { probability, entropy, ..*noted });
                let (layer, layers) = (noted.layer, exit.decoder_layers);
                LayerSignal { layer, layers, step, similarity: None, prediction }
            })
        })
    };
    let (noted, layers) = (&exit.similarities, exit.decoder_layers);
    similar(&policy.image, &noted.image, exit.image.layers, 0)
        || similar(&policy.text, &noted.text, exit.text.layers, 0)
        || noted
            .decoder
            .iter()
            .zip(0..)
            .any(|(it, step)| similar(&policy.decoder, it, layers, step))
        || exit.predictions.iter().zip(0..).any(|(it, step)| sure(it, step))
}

/// Whether it hung on rounding that an answer was deferred, or where it was first read: of a first
/// reading no signals are noted.
fn deferred_apart(replies: [&Reply; 2], exit: &ExitRules) -> bool {
    let hangs = |reply: &Reply| match (reply, exit.deferral) {
        (Reply::Entailment(given), Some(Deferral { below, .. })) => {
            let probability = given.scores.iter().copied().fold(0.0, f32::max);
            (probability - below).abs() < UNDECIDED
        }
        _ => false,
    };
    match replies.map(|reply| reply.exit().deferred) {
        [Some(one), Some(other)] => one != other,
        [Some(_), None] => hangs(replies[1]),
        [None, Some(_)] => hangs(replies[0]),
        [None, None] => false,
    }
}

pub(crate) fn same(alone: &Reply, together: &Reply) -> Result<(), TestCaseError> {
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

/// Answers that were given together beside those given alone; how many differ because an exit hung
/// on rounding.
fn flips(
    single: &Engine,
    asked: impl Iterator<Item = (Request, ExitRules)>,
    together: &[Reply],
) -> Result<usize, TestCaseError> {
    let mut flips = 0;
    for ((request, exit), together) in asked.zip(together) {
        let alone = replies(single, vec![request]).remove(0);
        let (verdict, policy) = (same(&alone, together), exit.policy().unwrap());
        let hangs = undecided(alone.exit(), &policy)
            || undecided(together.exit(), &policy)
            || deferred_apart([&alone, together], &exit);
        match hangs {
            true => flips += usize::from(verdict.is_err()),
            false => verdict?,
        }
    }
    Ok(flips)
}

fn invariant(encoding: Encoding) {
    let folder = Folder::new(11, encoding);
    let (crowd, single) = (open(&folder), open(&folder));
    let found = Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    let result = runner.run(&asks(), |asks| {
        let together = replies(&crowd, asks.iter().map(|ask| request(&crowd, ask)).collect());
        let asked = asks.iter().map(|ask| (request(&single, ask), ask.exit.clone()));
        found.set(found.get() + flips(&single, asked, &together)?);
        Ok(())
    });
    result.unwrap();
    assert!(found.get() <= 2, "{} exits hung on rounding", found.get());
}

#[test]
fn mixed_requests_together_are_as_one_by_one() {
    invariant(Encoding::Decomposed);
}

#[test]
fn so_they_are_in_joint_encoding() {
    invariant(Encoding::Joint);
}

/// Scenes asked of the demo model, with every kind of exit that it was calibrated for.
fn scenes(engine: &Engine, count: usize) -> Vec<(Request, ExitRules)> {
    let model = engine.model();
    let (settings, calibration) = (model.settings(), model.calibration());
    let side = settings.image_size;
    let rules = |calibration: &TaskCalibration, place: usize| {
        let points = calibration.points.iter().chain(&calibration.mue);
        let all = points.map(|point| point.exits.clone()).chain([ExitRules::default()]);
        let all: Vec<ExitRules> = all.collect();
        all[place % all.len()].clone()
    };
    let set = SceneSet::new(5, Split::Test);
    let ask = |place: usize| {
        // Every picture is asked about twice.
        let scene = set.scene(place as u64 / 2);
        let image = Image::new(preprocess(&scene.image(), side, side));
        match scene.hypotheses(1).first().filter(|_| !place.is_multiple_of(3)) {
            Some(hypothesis) => {
                let exit = rules(&calibration.entailment, place);
                let (choice, text) = (ExitChoice::Rules(exit.clone()), hypothesis.text.as_str());
                (model.entailment(image, choice, (None, text)).unwrap(), exit)
            }
            None => {
                let exit = rules(&calibration.caption, place);
                let choice = ExitChoice::Rules(exit.clone());
                (model.caption(image, choice, &settings.search).unwrap(), exit)
            }
        }
    };
    (0..count).map(ask).collect()
}

#[test]
fn the_demo_model_answers_a_crowd_as_it_answers_each() {
    let open = || Engine::open(ModelSource::Demo, settings(), Arc::new(NoObserver)).unwrap();
    let (crowd, single) = (open(), open());
    let asked = scenes(&crowd, 120);
    let together = replies(&crowd, asked.iter().map(|(request, _)| request.clone()).collect());
    let found = flips(&single, asked.into_iter(), &together).unwrap();
    assert!(found <= 2, "{found} exits hung on rounding");
}
