//! Beam search, plain and with exits.

use std::sync::Arc;

use mue_model::{
    BranchPolicy, DecodedAnswer, DecoderState, Device, Ofa, RunOptions, SearchSettings, Source,
};
use serde_json::Value;

use crate::case::{Case, POSITIONS, Report};
use crate::exits::{policies, with_exits};

pub(crate) fn run_plain(case: &Case, device: &Device, report: &mut Report<'_>) {
    let model = case.model(device, RunOptions::default());
    let sources = case.sources();
    let pixels = case.inputs["patch_images"].tensor::<4>(device);
    let policies = vec![BranchPolicy::Full; sources.len()];
    let joint = model.encode_all(model.begin_joint(Some(pixels), &sources, policies));
    let sources: Vec<Source> = joint
        .into_iter()
        .map(|encoding| model.source(vec![Arc::new(encoding)], POSITIONS))
        .collect();
    for (index, run) in case.golden("runs").as_array().unwrap().iter().enumerate() {
        let prefix = format!("run{index}.");
        let answers = search(&model, &sources, &BranchPolicy::Full, &settings(run));
        hypotheses(&answers, &prefix, report);
        if report.has(&format!("{prefix}positional_scores")) {
            let width = report.expected(&format!("{prefix}tokens")).shape[2];
            let found = padded(&answers, width, 0.0, |best| best.log_probs.clone());
            report.floats(&format!("{prefix}positional_scores"), &found);
        }
    }
}

pub(crate) fn run_exits(case: &Case, device: &Device, report: &mut Report<'_>) {
    let states =
        [("propagate", DecoderState::Propagate), ("recompute_token", DecoderState::Recompute)];
    for (name, decoder_state) in states {
        let model = case.model(device, RunOptions { decoder_state, ..RunOptions::default() });
        let sources = with_exits(case, &model);
        let exits: Vec<i64> = sources
            .iter()
            .flat_map(|source| source.parts().iter().map(|part| part.exit().layer as i64))
            .collect();
        report.ints("encoder_exit_layers", &exits);
        for (suffix, policy) in policies(case) {
            let prefix = format!("{name}{suffix}.");
            if report.has(&format!("{prefix}tokens")) {
                let settings = settings(&case.golden("runs")[0]);
                let answers = search(&model, &sources, &policy, &settings);
                hypotheses(&answers, &prefix, report);
                exit_layers(&model, &answers, &prefix, report);
            }
        }
    }
}

fn settings(run: &Value) -> SearchSettings {
    let number = |key: &str| run[key].as_u64().unwrap() as usize;
    SearchSettings {
        beam_size: number("beam_size"),
        tokens_max: number("max_len_b"),
        tokens_min: number("min_len"),
        no_repeat_ngram_size: number("no_repeat_ngram_size"),
        length_penalty: run["len_penalty"].as_f64().unwrap() as f32,
    }
}

/// All requests in one decoding set.
fn search(
    model: &Ofa,
    sources: &[Source],
    policy: &BranchPolicy,
    settings: &SearchSettings,
) -> Vec<DecodedAnswer> {
    let mut run = model.begin_decode();
    for source in sources {
        model.join_decode(&mut run, source.clone(), policy.clone(), settings.clone());
    }
    let mut answers = Vec::new();
    while !run.is_finished() {
        for request in model.decode_token(&mut run).requests {
            if let Some(answer) = request.finished {
                answers.push((request.id, answer.unwrap()));
            }
        }
    }
    answers.sort_by_key(|(id, _)| *id);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// A value per token of every hypothesis, padded to `width`.
fn padded<T: Copy>(
    answers: &[DecodedAnswer],
    width: usize,
    padding: T,
    values: impl Fn(&mue_model::Hypothesis) -> Vec<T>,
) -> Vec<T> {
    let hypotheses = answers.iter().flat_map(|answer| &answer.hypotheses);
    hypotheses
        .flat_map(|hypothesis| {
            let mut row = values(hypothesis);
            row.resize(width, padding);
            row
        })
        .collect()
}

fn hypotheses(answers: &[DecodedAnswer], prefix: &str, report: &mut Report<'_>) {
    let width = report.expected(&format!("{prefix}tokens")).shape[2];
    let tokens = padded(answers, width, 1, |hypothesis| {
        hypothesis.tokens.iter().map(|id| i64::from(*id)).collect()
    });
    let all = || answers.iter().flat_map(|answer| &answer.hypotheses);
    let lengths: Vec<i64> = all().map(|hypothesis| hypothesis.tokens.len() as i64).collect();
    let scores: Vec<f32> = all().map(|hypothesis| hypothesis.score).collect();
    report.ints(&format!("{prefix}tokens"), &tokens);
    report.ints(&format!("{prefix}lengths"), &lengths);
    report.floats(&format!("{prefix}scores"), &scores);
}

fn exit_layers(model: &Ofa, answers: &[DecodedAnswer], prefix: &str, report: &mut Report<'_>) {
    let width = report.expected(&format!("{prefix}exit_layers")).shape[1];
    let layers = model.config().decoder_layers;
    let mut exits = vec![0; answers.len() * width];
    let mut similarities = vec![-2.0; answers.len() * width * layers];
    for (row, answer) in answers.iter().enumerate() {
        for (step, exit) in answer.exits.iter().enumerate() {
            let at = row * width + step;
            exits[at] = exit.layer as i64;
            similarities[at * layers..][..exit.similarities.len()]
                .copy_from_slice(&exit.similarities);
        }
    }
    let steps: Vec<i64> = answers.iter().map(|answer| answer.exits.len() as i64).collect();
    report.ints(&format!("{prefix}steps"), &steps);
    report.ints(&format!("{prefix}exit_layers"), &exits);
    report.floats(&format!("{prefix}similarities"), &similarities);
}
