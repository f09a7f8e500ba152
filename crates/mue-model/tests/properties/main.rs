//! What must hold for every model, request and batch, on random tiny models.
//!
//! An exit decision can flip between two ways of computing the same number where a similarity is
//! within rounding of its threshold; such requests are discarded and drawn anew.

#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions

mod answers;
mod captions;
mod model;
mod requests;

use mue_model::{BranchPolicy, Execution, ExitPolicy, GatherCost, RunOptions};
use proptest::prelude::*;
use proptest::sample::subsequence;

use answers::answer_all;
use captions::{caption_all, greedy_by_hand};
use model::{model, with_options};
use requests::{Outcome, Request, requests, undecided};

/// Rows that have left are computed on, and the results thrown away.
fn masked() -> RunOptions {
    RunOptions { execution: Execution::Masked, ..RunOptions::default() }
}

/// Rows are gathered only where many have left at once.
fn rarely_gathered() -> RunOptions {
    let gather = GatherCost { call_ns: 60_000.0, ..GatherCost::FREE };
    RunOptions { gather, ..RunOptions::default() }
}

/// Both are the same up to rounding.
fn same(a: &[Outcome], b: &[Outcome]) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        prop_assert_eq!(&a.ids, &b.ids);
        prop_assert_eq!(&a.layers, &b.layers);
        for (a, b) in a.log_probs.iter().zip(&b.log_probs) {
            prop_assert!((a - b).abs() < 1e-4, "{} and {}", a, b);
        }
    }
    Ok(())
}

fn one_by_one(requests: &[Request], run: impl Fn(&[Request]) -> Vec<Outcome>) -> Vec<Outcome> {
    requests.iter().flat_map(|request| run(std::slice::from_ref(request))).collect()
}

fn with_policy(requests: &[Request], policy: &ExitPolicy) -> Vec<Request> {
    requests.iter().map(|request| Request { policy: policy.clone(), ..request.clone() }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn compacted_is_masked((seed, requests) in requests(4)) {
        for run in [caption_all, answer_all] {
            let compacted = run(&model(seed), &requests);
            prop_assume!(!undecided(&compacted, &requests));
            for options in [masked(), rarely_gathered()] {
                same(&compacted, &run(&with_options(seed, options), &requests))?;
            }
        }
    }

    #[test]
    fn a_batch_is_its_rows_one_by_one((seed, requests) in requests(5)) {
        let model = model(seed);
        let captions = caption_all(&model, &requests);
        prop_assume!(!undecided(&captions, &requests));
        same(&captions, &one_by_one(&requests, |one| caption_all(&model, one)))?;
        let answers = answer_all(&model, &requests);
        prop_assume!(!undecided(&answers, &requests));
        same(&answers, &one_by_one(&requests, |one| answer_all(&model, one)))?;
    }

    #[test]
    fn permuting_rows_permutes_answers(
        (seed, requests) in requests(4),
        order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let model = model(seed);
        let order: Vec<usize> = order.into_iter().filter(|row| *row < requests.len()).collect();
        let shuffled: Vec<Request> = order.iter().map(|row| requests[*row].clone()).collect();
        for run in [caption_all, answer_all] {
            let straight = run(&model, &requests);
            prop_assume!(!undecided(&straight, &requests));
            let expected: Vec<Outcome> = order.iter().map(|row| straight[*row].clone()).collect();
            same(&expected, &run(&model, &shuffled))?;
        }
    }

    #[test]
    fn thresholds_above_one_are_full_depth_bit_for_bit((seed, requests) in requests(3)) {
        let model = model(seed);
        let never = with_policy(&requests, &ExitPolicy::similarity(1.01, 1.01, 1.01));
        let full = with_policy(&requests, &ExitPolicy::full());
        for run in [caption_all, answer_all] {
            for (never, full) in run(&model, &never).into_iter().zip(run(&model, &full)) {
                prop_assert_eq!(never.ids, full.ids);
                prop_assert_eq!(never.layers, full.layers);
                prop_assert_eq!(never.log_probs, full.log_probs);
            }
        }
    }

    #[test]
    fn fixed_at_full_depth_is_full_depth_bit_for_bit((seed, requests) in requests(3)) {
        let model = model(seed);
        let layers = model.config().encoder_layers;
        let fixed = ExitPolicy::fixed(layers, layers, model.config().decoder_layers);
        let (fixed, full) =
            (with_policy(&requests, &fixed), with_policy(&requests, &ExitPolicy::full()));
        for run in [caption_all, answer_all] {
            for (fixed, full) in run(&model, &fixed).into_iter().zip(run(&model, &full)) {
                prop_assert_eq!(fixed.ids, full.ids);
                prop_assert_eq!(fixed.layers, full.layers);
                prop_assert_eq!(fixed.log_probs, full.log_probs);
            }
        }
    }

    #[test]
    fn fixed_depth_is_the_depth((seed, requests) in requests(3), depth in 1usize..4) {
        let model = model(seed);
        let fixed = with_policy(&requests, &ExitPolicy::fixed(depth, depth, depth));
        for run in [caption_all, answer_all] {
            for outcome in run(&model, &fixed) {
                prop_assert!(outcome.layers.iter().all(|layer| *layer == depth));
            }
        }
    }

    #[test]
    fn a_beam_of_one_is_greedy((seed, requests) in requests(1)) {
        let model = model(seed);
        let request = Request { beam_size: 1, ..requests[0].clone() };
        let found = caption_all(&model, std::slice::from_ref(&request)).remove(0);
        prop_assert_eq!(found.ids, greedy_by_hand(&model, &request));
    }

    /// A row's own padding, behind its text or before its first token, and that of its
    /// neighbours: the longest text and the oldest row decide how much there is.
    #[test]
    fn padding_never_matters((seed, mut requests) in requests(2), extra in 1usize..12) {
        prop_assume!(requests.len() == 2);
        let model = model(seed);
        let mut alone = requests.remove(0);
        alone.joins_after = 0;
        for run in [caption_all, answer_all] {
            let expected = run(&model, std::slice::from_ref(&alone));
            prop_assume!(!undecided(&expected, std::slice::from_ref(&alone)));
            let longer = alone.text.len() + extra;
            let mut neighbour = requests[0].clone();
            neighbour.text = (0..longer).map(|place| 4 + place as u32 % 20).collect();
            let mut late = alone.clone();
            late.joins_after = extra % 4;
            let found = run(&model, &[neighbour, late]);
            same(&expected, &found[1..])?;
        }
    }

    /// Rows that nobody waits for any more change nothing for the others.
    #[test]
    fn cancelled_rows_leave_the_others_alone(
        (seed, requests) in requests(4),
        kept in subsequence(vec![0usize, 1, 2, 3], 0..=4),
        after in 0usize..3,
    ) {
        let model = model(seed);
        let kept: Vec<usize> = kept.into_iter().filter(|row| *row < requests.len()).collect();
        let all = caption_all(&model, &requests);
        prop_assume!(!undecided(&all, &requests));
        let found = captions::caption_some(&model, &requests, &kept, after);
        let expected: Vec<Outcome> = kept.iter().map(|row| all[*row].clone()).collect();
        same(&expected, &found)?;
    }

    /// Per-layer thresholds, a schedule and a least depth: the row leaves where a reading of the
    /// noted similarities says.
    #[test]
    fn rows_leave_where_their_similarities_say((seed, requests) in requests(4)) {
        let model = model(seed);
        for outcome in caption_all(&model, &requests).iter().zip(&requests) {
            let (outcome, request) = outcome;
            let policies = outcome.policies(&request.policy);
            for ((layer, noted), policy) in outcome.layers.iter().zip(&outcome.similarities).zip(policies)
            {
                let BranchPolicy::Similarity(rule) = policy else { continue };
                prop_assert_eq!(noted.len(), *layer);
                let first = requests::first_exit(rule, noted, model.config().encoder_layers);
                prop_assert_eq!(*layer, first);
            }
        }
    }

    /// Exits by the answer: a row leaves where a reading of the noted answers says, and what the
    /// layers were asked for is counted.
    #[test]
    fn rows_leave_where_their_answers_say((seed, requests) in requests(4)) {
        let model = model(seed);
        let layers = model.config().decoder_layers;
        for run in [caption_all, answer_all] {
            for (outcome, request) in run(&model, &requests).iter().zip(&requests) {
                let policy = &request.policy.decoder;
                // With several beams the best one's token does not tell whether all agree.
                let is_patient = matches!(policy, BranchPolicy::Patience { .. });
                if !policy.needs_prediction(1) || is_patient && request.beam_size > 1 {
                    continue;
                }
                for (layer, answers) in outcome.layers.iter().zip(&outcome.predictions).skip(2) {
                    let noted: Vec<usize> = answers.iter().map(|answer| answer.layer).collect();
                    prop_assert_eq!(noted, (1..=*layer).collect::<Vec<_>>());
                    prop_assert_eq!(*layer, requests::first_sure(policy, answers, layers));
                }
            }
        }
    }

    /// Watching changes no answer, and costs the heads that full depth does without.
    #[test]
    fn watching_is_full_depth((seed, requests) in requests(3)) {
        let model = model(seed);
        let requests: Vec<Request> =
            requests.into_iter().map(|it| Request { beam_size: 1, ..it }).collect();
        let watch = |policy: ExitPolicy| ExitPolicy { decoder: BranchPolicy::Watch, ..policy };
        let watched = with_policy(&requests, &watch(ExitPolicy::full()));
        let full = with_policy(&requests, &ExitPolicy::full());
        let heads = [model.macs().head(), model.macs().head_of(answers::ANSWERS.len())];
        for (run, head) in [caption_all, answer_all].into_iter().zip(heads) {
            let skipped_heads = model.config().decoder_layers as u64 - 1;
            let (watched, full) = (run(&model, &watched), run(&model, &full));
            same(&watched, &full)?;
            for (watched, full) in watched.iter().zip(&full) {
                let steps = full.layers.len() as u64 - 2;
                prop_assert_eq!(watched.macs[0], full.macs[0] + steps * skipped_heads * head);
                prop_assert_eq!(watched.macs[1], full.macs[1]);
            }
        }
    }
}
