//! Entailment: one pass over the prompt, three answer tokens.

use std::sync::Arc;

use mue_model::{
    AnswerRequest, BranchPolicy, Device, Execution, Ofa, RunOptions, ScoredAnswer, SimilarityRule,
    Source,
};

use crate::case::{Case, POSITIONS, Report};
use crate::exits::with_exits;

pub(crate) fn run(case: &Case, device: &Device, report: &mut Report<'_>) {
    let model = case.model(device, RunOptions::default());
    let answers: Vec<u32> = case.inputs["answer_ids"].ints().iter().map(|id| *id as u32).collect();
    let joint = joint_sources(case, &model);
    let everything: Vec<u32> = (0..model.config().vocab_size as u32).collect();
    let all = score(case, &model, &joint, &BranchPolicy::Full, &everything);
    let logits: Vec<f32> = all.iter().flat_map(|answer| answer.logits.clone()).collect();
    report.floats("joint.logits", &logits);
    let scored = score(case, &model, &joint, &BranchPolicy::Full, &answers);
    compare("joint", &scored, report);

    let decomposed = decomposed_sources(case, &model);
    let scored = score(case, &model, &decomposed, &BranchPolicy::Full, &answers);
    compare("mue", &scored, report);

    let policy = BranchPolicy::Similarity(SimilarityRule::constant(case.threshold("decoder")));
    for execution in [Execution::Compacted, Execution::Masked] {
        let model = case.model(device, RunOptions { execution, ..RunOptions::default() });
        let sources = with_exits(case, &model);
        let scored = score(case, &model, &sources, &policy, &answers);
        compare("mue_exit", &scored, report);
        let exits: Vec<i64> = sources
            .iter()
            .zip(&scored)
            .flat_map(|(source, answer)| {
                let encoder = source.parts().iter().map(|part| part.exit().layer as i64);
                encoder.chain([answer.exit.layer as i64]).collect::<Vec<_>>()
            })
            .collect();
        report.ints("mue_exit.exit_layers", &exits);
    }
}

fn joint_sources(case: &Case, model: &Ofa) -> Vec<Source> {
    let sources = case.sources();
    let pixels = case.inputs["patch_images"].tensor::<4>(model.device());
    let policies = vec![BranchPolicy::Full; sources.len()];
    let joint = model.encode_all(model.begin_joint(Some(pixels), &sources, policies));
    joint.into_iter().map(|encoding| model.source(vec![Arc::new(encoding)], POSITIONS)).collect()
}

/// Each sample encoded alone, at full depth.
fn decomposed_sources(case: &Case, model: &Ofa) -> Vec<Source> {
    let full = mue_model::ExitPolicy::full();
    let sources = case.sources();
    sources
        .iter()
        .enumerate()
        .map(|(sample, tokens)| {
            let pixels = case.pixels(sample, model.device());
            model.source(model.encode_pair(pixels, tokens, &full), POSITIONS)
        })
        .collect()
}

fn score(
    case: &Case,
    model: &Ofa,
    sources: &[Source],
    policy: &BranchPolicy,
    answers: &[u32],
) -> Vec<ScoredAnswer> {
    let requests = sources
        .iter()
        .zip(case.sources())
        .map(|(source, mut prefix)| {
            assert_eq!(prefix.pop(), Some(2), "a source ends with EOS");
            AnswerRequest { source: source.clone(), prefix, policy: policy.clone() }
        })
        .collect();
    model.answer(requests, answers).into_iter().map(Result::unwrap).collect()
}

fn compare(prefix: &str, scored: &[ScoredAnswer], report: &mut Report<'_>) {
    let flat = |values: fn(&ScoredAnswer) -> &Vec<f32>| -> Vec<f32> {
        scored.iter().flat_map(|answer| values(answer).clone()).collect()
    };
    report.floats(&format!("{prefix}.answer_logits"), &flat(|answer| &answer.logits));
    report.floats(&format!("{prefix}.answer_logprobs"), &flat(|answer| &answer.log_probs));
    let best = |answer: &ScoredAnswer| {
        let largest = answer.logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        answer.logits.iter().position(|logit| *logit == largest).unwrap() as i64
    };
    let best: Vec<i64> = scored.iter().map(best).collect();
    report.ints(&format!("{prefix}.answer"), &best);
}
