//! Where rows leave, and what exits off and fixed depths are.

use std::sync::Arc;

use mue_model::{BranchPolicy, ExitPolicy, Ofa, SimilarityRule};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::answers::ANSWERS;
use crate::encodings::RUNS;
use crate::model::{LAYERS, model};
use crate::requests::{Request, first_exit, first_sure, pixels, requests, undecided};
use crate::same;

fn with_policy(requests: &[Request], policy: &ExitPolicy) -> Vec<Request> {
    requests.iter().map(|request| Request { policy: policy.clone(), ..request.clone() }).collect()
}

/// That a policy is full depth, bit for bit.
fn assert_full_depth(
    model: &Ofa,
    requests: &[Request],
    policy: &ExitPolicy,
) -> Result<(), TestCaseError> {
    let (found, full) = (with_policy(requests, policy), with_policy(requests, &ExitPolicy::full()));
    for (run, encoding) in RUNS {
        let full = run(model, &full, encoding);
        for (found, full) in run(model, &found, encoding).into_iter().zip(full) {
            prop_assert_eq!(found.ids, full.ids);
            prop_assert_eq!(found.layers, full.layers);
            prop_assert_eq!(found.log_probs, full.log_probs);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn thresholds_above_one_are_full_depth_bit_for_bit((seed, requests) in requests(3)) {
        let model = model(seed);
        assert_full_depth(&model, &requests, &ExitPolicy::similarity(1.01, 1.01, 1.01))?;
    }

    #[test]
    fn fixed_at_full_depth_is_full_depth_bit_for_bit((seed, requests) in requests(3)) {
        let model = model(seed);
        let layers = model.config().encoder_layers;
        let fixed = ExitPolicy::fixed(layers, layers, model.config().decoder_layers);
        assert_full_depth(&model, &requests, &fixed)?;
    }

    #[test]
    fn a_picture_that_goes_on_is_as_if_it_had_not_left(
        (seed, requests) in requests(3),
        (left, depth) in (1usize..LAYERS).prop_flat_map(|left| (Just(left), left + 1..=LAYERS)),
    ) {
        let model = model(seed);
        let pictures = |layers: usize| {
            let policies = vec![BranchPolicy::Fixed { layers }; requests.len()];
            model.encode_all(model.begin_images(pixels(&requests, model.device()), policies))
        };
        let early: Vec<_> = pictures(left).into_iter().map(Arc::new).collect();
        let early: Vec<_> = early.into_iter().map(|image| (image, depth)).collect();
        let run = model.resume_images(&early);
        let (further, straight) = (model.encode_all(run), pictures(depth));
        prop_assert_eq!(further.len(), straight.len());
        for (further, straight) in further.iter().zip(straight) {
            prop_assert_eq!(further.exit(), straight.exit());
            let difference = (further.states() - straight.states()).abs().max();
            prop_assert!(difference.into_scalar::<f32>() < 1e-6);
        }
    }

    /// What is told of a picture that has gone on is by what it left first.
    #[test]
    fn a_picture_that_goes_on_keeps_its_similarities((seed, requests) in requests(2)) {
        let model = model(seed);
        let at_once = BranchPolicy::Similarity(SimilarityRule::constant(-2.0));
        let policies = vec![at_once; requests.len()];
        let run = model.begin_images(pixels(&requests, model.device()), policies);
        let early: Vec<_> = model.encode_all(run).into_iter().map(|it| (Arc::new(it), LAYERS)).collect();
        for (further, (early, _)) in model.encode_all(model.resume_images(&early)).iter().zip(&early) {
            prop_assert_eq!((early.exit().layer, early.exit().similarities.len()), (1, 1));
            prop_assert_eq!(further.exit().layer, LAYERS);
            prop_assert_eq!(&further.exit().similarities, &early.exit().similarities);
        }
    }

    #[test]
    fn fixed_depth_is_the_depth((seed, requests) in requests(3), depth in 1usize..4) {
        let model = model(seed);
        let fixed = with_policy(&requests, &ExitPolicy::fixed(depth, depth, depth));
        for (run, encoding) in RUNS {
            for outcome in run(&model, &fixed, encoding) {
                prop_assert!(outcome.layers.iter().all(|layer| *layer == depth));
            }
        }
    }

    /// Per-layer thresholds and a schedule: the row leaves where a reading of the
    /// noted similarities says.
    #[test]
    fn rows_leave_where_their_similarities_say((seed, requests) in requests(4)) {
        let model = model(seed);
        let layers = model.config().encoder_layers;
        for (run, encoding) in RUNS {
            let outcomes = run(&model, &requests, encoding);
            prop_assume!(!undecided(&outcomes, &requests));
            for (outcome, request) in outcomes.iter().zip(&requests) {
                let policies = outcome.policies(&request.policy);
                let noted = outcome.layers.iter().zip(&outcome.similarities);
                for (place, ((layer, noted), policy)) in noted.zip(policies).enumerate() {
                    let BranchPolicy::Similarity(rule) = policy else { continue };
                    prop_assert_eq!(noted.len(), *layer);
                    let first = first_exit(rule, noted, (outcome.step(place), layers));
                    prop_assert_eq!(*layer, first);
                }
            }
        }
    }

    /// Exits by the answer: a row leaves where a reading of the noted answers says.
    #[test]
    fn rows_leave_where_their_answers_say((seed, requests) in requests(4)) {
        let model = model(seed);
        let layers = model.config().decoder_layers;
        for (run, encoding) in RUNS {
            for (outcome, request) in run(&model, &requests, encoding).iter().zip(&requests) {
                let policy = &request.policy.decoder;
                // With several beams the best one's token does not tell whether all agree.
                let is_patient = matches!(policy, BranchPolicy::Patience { .. });
                if !policy.needs_prediction(1) || is_patient && request.beam_size > 1 {
                    continue;
                }
                let asked = outcome.layers.iter().zip(&outcome.predictions);
                for (layer, answers) in asked.skip(outcome.branches) {
                    let noted: Vec<usize> = answers.iter().map(|answer| answer.layer).collect();
                    prop_assert_eq!(noted, (1..=*layer).collect::<Vec<_>>());
                    prop_assert_eq!(*layer, first_sure(policy, answers, layers));
                }
            }
        }
    }

    /// Who asks every layer for its answer and leaves at one pays for a head at each before it, and
    /// has the last of them already.
    #[test]
    fn a_head_that_was_asked_is_paid_once((seed, requests) in requests(3)) {
        let model = model(seed);
        let requests: Vec<Request> =
            requests.into_iter().map(|it| Request { beam_size: 1, ..it }).collect();
        let decoder = |decoder| with_policy(&requests, &ExitPolicy { decoder, ..ExitPolicy::full() });
        let heads = [model.macs().head(), model.macs().head_of(ANSWERS.len())];
        for layers in 1..=model.config().decoder_layers {
            // More probable than the first is none of a random model, than the last each.
            let mut thresholds = vec![0.999_999; layers];
            thresholds[layers - 1] = -1.0;
            let asking = decoder(BranchPolicy::TopProbability { thresholds });
            let fixed = decoder(BranchPolicy::Fixed { layers });
            for ((run, encoding), head) in RUNS.into_iter().zip(heads.into_iter().cycle()) {
                let asking = run(&model, &asking, encoding);
                for (asking, fixed) in asking.iter().zip(run(&model, &fixed, encoding)) {
                    prop_assert_eq!(&asking.ids, &fixed.ids);
                    prop_assert_eq!(&asking.layers, &fixed.layers);
                    let asked = (fixed.layers.len() - fixed.branches) * (layers - 1);
                    prop_assert_eq!(asking.macs[0], fixed.macs[0] + asked as u64 * head);
                    prop_assert_eq!(asking.macs[1], fixed.macs[1]);
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
        let heads = [model.macs().head(), model.macs().head_of(ANSWERS.len())];
        for ((run, encoding), head) in RUNS.into_iter().zip(heads.into_iter().cycle()) {
            let skipped_heads = model.config().decoder_layers as u64 - 1;
            let (watched, full) = (run(&model, &watched, encoding), run(&model, &full, encoding));
            same(&watched, &full)?;
            for (watched, full) in watched.iter().zip(&full) {
                let steps = (full.layers.len() - full.branches) as u64;
                prop_assert_eq!(watched.macs[0], full.macs[0] + steps * skipped_heads * head);
                prop_assert_eq!(watched.macs[1], full.macs[1]);
            }
        }
    }
}
