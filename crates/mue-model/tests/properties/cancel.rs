//! Rows that nobody waits for any more change nothing for the others.

use mue_model::RunOptions;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::captions::{caption_all, caption_some};
use crate::encodings::{BRANCHES, Encoding};
use crate::model::with_options;
use crate::requests::{Outcome, decoder_state, hangs_on_rounding, requests, undecided};
use crate::{keeping, masked, same};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cancelled_rows_leave_the_others_alone(
        (seed, requests) in requests(4),
        decoder_state in decoder_state(),
        kept in subsequence(vec![0usize, 1, 2, 3], 0..=4),
        after in 0usize..3,
    ) {
        let model = keeping(seed, decoder_state);
        let kept: Vec<usize> = kept.into_iter().filter(|row| *row < requests.len()).collect();
        for encoding in [Encoding::Apart, Encoding::Joint] {
            let all = caption_all(&model, &requests, encoding);
            prop_assume!(!undecided(&all, &requests));
            let found = caption_some(&model, &requests, encoding, (&kept, after));
            let expected: Vec<Outcome> = kept.iter().map(|row| all[*row].clone()).collect();
            same(&expected, &found)?;
        }
    }

    /// The same of an encoder branch, cancelled after its first layer: gathered out or masked.
    #[test]
    fn cancelled_rows_of_a_branch_leave_the_others_alone(
        (seed, requests) in requests(4),
        kept in subsequence(vec![0usize, 1, 2, 3], 0..=4),
        is_masked in any::<bool>(),
    ) {
        let options = if is_masked { masked() } else { RunOptions::default() };
        let model = with_options(seed, options);
        for (begin, policy) in BRANCHES {
            let all = model.encode_all(begin(&model, &requests));
            let hangs = all.iter().zip(&requests).any(|(encoding, request)| {
                hangs_on_rounding(policy(request), &encoding.exit().similarities, 0)
            });
            prop_assume!(!hangs);
            let mut run = begin(&model, &requests);
            let mut exited = model.encode_layer(&mut run).exited;
            run.cancel_rows(|row| !kept.contains(&row));
            while !run.is_finished() {
                exited.extend(model.encode_layer(&mut run).exited);
            }
            for (row, expected) in all.iter().enumerate().filter(|(row, _)| kept.contains(row)) {
                let found = exited.iter().find(|(place, _)| *place == row);
                prop_assert!(found.is_some(), "row {} never left", row);
                let found = &found.unwrap().1;
                prop_assert_eq!(found.exit().layer, expected.exit().layer);
                let difference = (found.states() - expected.states()).abs().max();
                prop_assert!(difference.into_scalar::<f32>() < 1e-4);
            }
            let deeper = run.computed().layers.iter().skip(1);
            let most = if is_masked { requests.len() } else { kept.len() };
            prop_assert!(deeper.map(|layer| layer.rows).all(|rows| rows <= most as u64));
        }
    }
}
