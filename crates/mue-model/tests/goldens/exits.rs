//! Exits in both encoder branches and in the decoder, greedy decoding.

use std::sync::Arc;

use mue_model::{
    BranchPolicy, DecoderState, Device, Execution, LayerSignal, Ofa, RunOptions, Schedule,
    SearchSettings, SimilarityRule, Source, Tensor,
};

use crate::case::{Case, POSITIONS, Report, host};
use crate::mue::watched;

pub(crate) fn run(case: &Case, device: &Device, report: &mut Report<'_>) {
    for (variant, relative) in [("paper", true), ("released", false)] {
        let model = case.model_with(device, RunOptions::default(), relative);
        full_depth(case, &model, variant, report);
        let sources = with_exits(case, &model);
        encoder_output(&model, &sources, &format!("{variant}.enc_output"), report);
        let exits = |part: usize| -> Vec<i64> {
            sources.iter().map(|source| source.parts()[part].exit().layer as i64).collect()
        };
        report.ints(&format!("{variant}.image_exit_layer"), &exits(0));
        report.ints("text_exit_layer", &exits(1));
    }
    let states = [
        ("propagate", DecoderState::Propagate),
        ("recompute_token", DecoderState::Recompute),
        ("recompute", DecoderState::RecomputePrefix),
    ];
    for (name, decoder_state) in states {
        for execution in [Execution::Compacted, Execution::Masked] {
            let options = RunOptions { execution, decoder_state, ..RunOptions::default() };
            let model = case.model(device, options);
            for (suffix, policy) in policies(case) {
                let prefix = format!("{name}{suffix}.");
                if report.has(&format!("{prefix}tokens")) {
                    decode(case, &model, &prefix, &policy, report);
                }
            }
        }
    }
}

/// The decoder policies of a case's runs.
pub(crate) fn policies(case: &Case) -> [(&'static str, BranchPolicy); 3] {
    let constant = SimilarityRule::constant(case.threshold("decoder"));
    let decay = SimilarityRule { schedule: schedule(case, &constant), ..constant.clone() };
    [
        ("", BranchPolicy::Similarity(constant)),
        (".decay", BranchPolicy::Similarity(decay)),
        (".off", watched()),
    ]
}

/// How a case's threshold falls: by the decay that it names, which has to be its schedule, else by
/// the schedule as it is.
fn schedule(case: &Case, constant: &SimilarityRule) -> Schedule {
    let steps = case.inputs["decoder_threshold_schedule"].floats().to_vec();
    let stated = |key: &str| case.golden("decay")[key].as_f64().map(|value| value as f32);
    let (Some(beta), Some(tau), Some(tokens_max)) =
        (stated("beta"), stated("tau"), case.golden("max_len").as_u64())
    else {
        return Schedule::PerStep(steps);
    };
    let schedule = Schedule::Decay { beta, tau, tokens_max: tokens_max as usize };
    let rule = SimilarityRule { schedule, ..constant.clone() };
    for (step, expected) in steps.into_iter().enumerate() {
        let signal = LayerSignal { layer: 1, layers: 1, step, similarity: None, prediction: None };
        let found = rule.threshold(signal);
        assert!((found - expected).abs() < 1e-6, "step {step}: expected {expected}, found {found}");
    }
    rule.schedule
}

/// Similarities of every layer, whatever the exit.
fn full_depth(case: &Case, model: &Ofa, variant: &str, report: &mut Report<'_>) {
    let sources = case.sources();
    let rows = sources.len();
    let similarities = |encodings: Vec<mue_model::BranchEncoding>| -> Vec<f32> {
        encodings.into_iter().flat_map(|encoding| encoding.exit().similarities.clone()).collect()
    };
    let text = model.encode_all(model.begin_texts(&sources, vec![watched(); rows]));
    report.floats("text_similarity", &similarities(text));
    let pixels = case.inputs["patch_images"].tensor::<4>(model.device());
    let image = model.encode_all(model.begin_images(pixels, vec![watched(); rows]));
    report.floats(&format!("{variant}.image_similarity"), &similarities(image));
}

/// All samples of a case in one cohort per branch, with the case's thresholds.
pub(crate) fn with_exits(case: &Case, model: &Ofa) -> Vec<Source> {
    let sources = case.sources();
    let rows = sources.len();
    let policy = |branch| {
        let rule = SimilarityRule::constant(case.threshold(branch));
        vec![BranchPolicy::Similarity(rule); rows]
    };
    let pixels = case.inputs["patch_images"].tensor::<4>(model.device());
    let image = model.encode_all(model.begin_images(pixels, policy("image")));
    let text = model.encode_all(model.begin_texts(&sources, policy("text")));
    image
        .into_iter()
        .zip(text)
        .map(|(image, text)| model.source(vec![Arc::new(image), Arc::new(text)], POSITIONS))
        .collect()
}

fn encoder_output(model: &Ofa, sources: &[Source], name: &str, report: &mut Report<'_>) {
    let width = report.expected(name).shape[1] * model.config().d_model;
    let values: Vec<f32> = sources
        .iter()
        .flat_map(|source| {
            let parts = source.parts().iter().map(|part| part.states()).collect();
            let mut row = host(Tensor::cat(parts, 1));
            row.resize(width, 0.0);
            row
        })
        .collect();
    report.floats(name, &values);
}

/// Greedy decoding of all samples in one set; they finish at different steps.
fn decode(case: &Case, model: &Ofa, prefix: &str, policy: &BranchPolicy, report: &mut Report<'_>) {
    let tokens_max = case.golden("max_len").as_u64().unwrap() as usize;
    let settings = SearchSettings {
        beam_size: 1,
        tokens_max,
        tokens_min: case.golden("min_len").as_u64().unwrap() as usize,
        no_repeat_ngram_size: 0,
        length_penalty: 1.0,
    };
    let layers = model.config().decoder_layers;
    let vocabulary = model.config().vocab_size;
    let steps = tokens_max + 1;
    let sources = with_exits(case, model);
    let rows = sources.len();
    let mut run = model.begin_decode();
    let ids: Vec<_> = sources
        .into_iter()
        .map(|source| model.join_decode(&mut run, source, policy.clone(), settings.clone()))
        .collect();
    let mut tokens = vec![1; rows * steps];
    let mut lengths = vec![0; rows];
    let mut exits = vec![0; rows * steps];
    let mut scores = vec![0.0; rows * steps];
    let mut similarities = vec![-2.0; rows * steps * layers];
    let mut logits = vec![0.0; rows * steps * vocabulary];
    let mut step = 0;
    while !run.is_finished() {
        let token = model.decode_token(&mut run);
        for (place, request) in token.requests.iter().enumerate() {
            let row = ids.iter().position(|id| *id == request.id).unwrap();
            let at = row * steps + step;
            logits[at * vocabulary..][..vocabulary]
                .copy_from_slice(&token.logits[place * vocabulary..][..vocabulary]);
            exits[at] = request.layer as i64;
            let Some(answer) = &request.finished else { continue };
            let answer = answer.as_ref().unwrap();
            let best = &answer.hypotheses[0];
            lengths[row] = best.tokens.len() as i64;
            for (step, exit) in answer.exits.iter().enumerate() {
                let at = row * steps + step;
                tokens[at] = i64::from(best.tokens[step]);
                scores[at] = best.log_probs[step];
                similarities[at * layers..][..exit.similarities.len()]
                    .copy_from_slice(&exit.similarities);
            }
        }
        step += 1;
    }
    report.ints(&format!("{prefix}tokens"), &tokens);
    report.ints(&format!("{prefix}lengths"), &lengths);
    report.ints(&format!("{prefix}exit_layers"), &exits);
    report.floats(&format!("{prefix}step_scores"), &scores);
    report.floats(&format!("{prefix}similarities"), &similarities);
    report.floats(&format!("{prefix}logits"), &logits);
}
