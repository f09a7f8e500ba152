//! Captions of a batch whose rows join at their own time.

use std::collections::BTreeMap;
use std::sync::Arc;

use mue_model::{BranchEncoding, DecodedAnswer, Ofa, RequestId};

use crate::encodings::{Encoding, encode};
use crate::requests::{Outcome, Request};

pub(crate) fn caption_all(model: &Ofa, requests: &[Request], encoding: Encoding) -> Vec<Outcome> {
    let rows: Vec<usize> = (0..requests.len()).collect();
    caption_some(model, requests, encoding, (&rows, usize::MAX))
}

/// Captions a batch, and cancels the rows that are not `kept` after some steps.
pub(crate) fn caption_some(
    model: &Ofa,
    requests: &[Request],
    encoding: Encoding,
    (kept, cancelled_after): (&[usize], usize),
) -> Vec<Outcome> {
    let encoded = encode(model, requests, encoding);
    let mut run = model.begin_decode();
    let mut rows: BTreeMap<RequestId, usize> = BTreeMap::new();
    let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
    let mut step = 0;
    loop {
        for (row, request) in requests.iter().enumerate() {
            let cancelled = step > cancelled_after && !kept.contains(&row);
            if request.joins_after == step && !cancelled {
                let parts = encoded[row].clone();
                let source = model.source(parts, request.tokens_max + 1);
                let policy = request.policy.decoder.clone();
                rows.insert(model.join_decode(&mut run, source, policy, request.settings()), row);
            }
        }
        if step == cancelled_after {
            run.cancel(|id| !kept.contains(&rows[&id]));
        }
        if !run.is_finished() {
            for report in model.decode_token(&mut run).requests {
                if let Some(answer) = report.finished {
                    let row = rows[&report.id];
                    outcomes.insert(row, outcome(&encoded[row], answer.unwrap()));
                }
            }
        }
        step += 1;
        let waiting = requests.iter().any(|request| request.joins_after >= step);
        if run.is_finished() && !waiting {
            break;
        }
    }
    kept.iter().map(|row| outcomes[row].clone()).collect()
}

fn outcome(encoded: &[Arc<BranchEncoding>], answer: DecodedAnswer) -> Outcome {
    let mut layers: Vec<usize> = encoded.iter().map(|part| part.exit().layer).collect();
    let mut similarities: Vec<Vec<f32>> =
        encoded.iter().map(|part| part.exit().similarities.clone()).collect();
    let mut predictions = vec![Vec::new(); encoded.len()];
    for exit in answer.exits {
        layers.push(exit.layer);
        similarities.push(exit.similarities);
        predictions.push(exit.predictions);
    }
    let macs = [answer.cost.macs, answer.cost.macs_full];
    let best = answer.hypotheses.into_iter().next().unwrap();
    let (ids, log_probs, branches) = (best.tokens, best.log_probs, encoded.len());
    Outcome { ids, log_probs, branches, layers, similarities, predictions, macs }
}

/// The most probable token at every step, chosen here from the model's logits.
pub(crate) fn greedy_by_hand(model: &Ofa, request: &Request) -> Vec<u32> {
    let special = model.special_tokens();
    let parts = encode(model, std::slice::from_ref(request), Encoding::Apart).remove(0);
    let mut run = model.begin_decode();
    let source = model.source(parts, request.tokens_max + 1);
    let settings = request.settings();
    model.join_decode(&mut run, source, request.policy.decoder.clone(), settings);
    let mut tokens: Vec<u32> = Vec::new();
    loop {
        let logits = model.decode_token(&mut run).logits;
        let allowed = |token: u32| {
            let last = tokens.len() == request.tokens_max;
            // The start token is part of the history.
            let history = [&[special.bos], &tokens[..]].concat();
            let repeats = history.len() >= 2 && {
                let gram = [history[history.len() - 2], history[history.len() - 1], token];
                history.windows(3).any(|window| window == gram)
            };
            token != special.pad
                && !(token == special.eos && tokens.is_empty())
                && (token == special.eos || (!last && !repeats))
        };
        let best = (0..logits.len() as u32)
            .filter(|token| allowed(*token))
            .max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize]))
            .unwrap();
        tokens.push(best);
        if best == special.eos {
            return tokens;
        }
    }
}
