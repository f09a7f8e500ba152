//! What must hold for every model, request and batch, on random tiny models.
//!
//! An exit decision can flip between two ways of computing the same number where a similarity is
//! within rounding of its threshold; such requests are discarded and drawn anew.

#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions

mod answers;
mod cancel;
mod captions;
mod compute;
mod encodings;
mod exits;
mod model;
mod requests;

use mue_model::{DecoderState, Execution, GatherCost, Ofa, RunOptions};
use proptest::prelude::*;

use captions::{caption_all, greedy_by_hand};
use encodings::{Encoding, RUNS};
use model::{model, with_options};
use requests::{Outcome, Request, decoder_state, requests, undecided};

/// Rows that have left are computed on, and the results thrown away.
fn masked() -> RunOptions {
    RunOptions { execution: Execution::Masked, ..RunOptions::default() }
}

/// Rows are gathered only where many have left at once.
fn rarely_gathered() -> RunOptions {
    let gather = GatherCost { call_ns: 60_000.0, ..GatherCost::FREE };
    RunOptions { gather, ..RunOptions::default() }
}

/// A model with one of the decoder states.
fn keeping(seed: u64, decoder_state: DecoderState) -> Ofa {
    with_options(seed, RunOptions { decoder_state, ..RunOptions::default() })
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn compacted_is_masked((seed, requests) in requests(4), decoder_state in decoder_state()) {
        let model = keeping(seed, decoder_state);
        let others = [masked(), rarely_gathered()];
        let others =
            others.map(|options| with_options(seed, RunOptions { decoder_state, ..options }));
        for (run, encoding) in RUNS {
            let compacted = run(&model, &requests, encoding);
            prop_assume!(!undecided(&compacted, &requests));
            for other in &others {
                same(&compacted, &run(other, &requests, encoding))?;
            }
        }
    }

    #[test]
    fn a_batch_is_its_rows_one_by_one(
        (seed, requests) in requests(5),
        decoder_state in decoder_state(),
    ) {
        let model = keeping(seed, decoder_state);
        for (run, encoding) in RUNS {
            let together = run(&model, &requests, encoding);
            prop_assume!(!undecided(&together, &requests));
            same(&together, &one_by_one(&requests, |one| run(&model, one, encoding)))?;
        }
    }

    #[test]
    fn permuting_rows_permutes_answers(
        (seed, requests) in requests(4),
        decoder_state in decoder_state(),
        order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let model = keeping(seed, decoder_state);
        let order: Vec<usize> = order.into_iter().filter(|row| *row < requests.len()).collect();
        let shuffled: Vec<Request> = order.iter().map(|row| requests[*row].clone()).collect();
        for (run, encoding) in RUNS {
            let straight = run(&model, &requests, encoding);
            prop_assume!(!undecided(&straight, &requests));
            let expected: Vec<Outcome> = order.iter().map(|row| straight[*row].clone()).collect();
            same(&expected, &run(&model, &shuffled, encoding))?;
        }
    }

    /// A row's own padding, behind its text or before its first token, and that of its
    /// neighbours: the longest text and the oldest row decide how much there is.
    #[test]
    fn padding_never_matters(
        (seed, mut requests) in requests(2),
        decoder_state in decoder_state(),
        extra in 1usize..12,
    ) {
        prop_assume!(requests.len() == 2);
        let model = keeping(seed, decoder_state);
        let mut alone = requests.remove(0);
        alone.joins_after = 0;
        for (run, encoding) in RUNS {
            let expected = run(&model, std::slice::from_ref(&alone), encoding);
            prop_assume!(!undecided(&expected, std::slice::from_ref(&alone)));
            let longer = alone.text.len() + extra;
            let mut neighbour = requests[0].clone();
            neighbour.text = (0..longer).map(|place| 4 + place as u32 % 20).collect();
            let mut late = alone.clone();
            late.joins_after = extra % 4;
            let found = run(&model, &[neighbour, late], encoding);
            same(&expected, &found[1..])?;
        }
    }

    #[test]
    fn a_beam_of_one_is_greedy((seed, requests) in requests(1)) {
        let model = model(seed);
        let request = Request { beam_size: 1, ..requests[0].clone() };
        let found = caption_all(&model, std::slice::from_ref(&request), Encoding::Apart).remove(0);
        prop_assert_eq!(found.ids, greedy_by_hand(&model, &request));
    }
}
