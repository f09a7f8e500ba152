//! One-token answers of a batch of prefixes.

use mue_model::{AnswerRequest, Ofa};

use crate::encodings::{Encoding, encode};
use crate::requests::{Outcome, Request};

/// Tokens that count as answers.
pub(crate) const ANSWERS: [u32; 3] = [7, 5, 11];

pub(crate) fn answer_all(model: &Ofa, requests: &[Request], encoding: Encoding) -> Vec<Outcome> {
    let encoded = encode(model, requests, encoding);
    let longest = requests.iter().map(|request| request.text.len()).max().unwrap();
    let prefixes = encoded
        .iter()
        .zip(requests)
        .map(|(parts, request)| AnswerRequest {
            source: model.source(parts.clone(), longest),
            prefix: request.text[..request.text.len() - 1].to_vec(),
            policy: request.policy.decoder.clone(),
        })
        .collect();
    let answers = model.answer(prefixes, &ANSWERS);
    encoded
        .iter()
        .zip(answers)
        .map(|(parts, answer)| {
            let answer = answer.unwrap();
            let mut layers: Vec<usize> = parts.iter().map(|part| part.exit().layer).collect();
            let mut similarities: Vec<Vec<f32>> =
                parts.iter().map(|part| part.exit().similarities.clone()).collect();
            layers.push(answer.exit.layer);
            similarities.push(answer.exit.similarities);
            let mut predictions = vec![Vec::new(); parts.len()];
            predictions.push(answer.exit.predictions);
            let macs = [answer.cost.macs, answer.cost.macs_full];
            let log_probs = answer.log_probs;
            let most = (0..ANSWERS.len() as u32)
                .max_by(|a, b| log_probs[*a as usize].total_cmp(&log_probs[*b as usize]));
            let (ids, branches) = (Vec::from_iter(most), parts.len());
            Outcome { ids, log_probs, branches, layers, similarities, predictions, macs }
        })
        .collect()
}
