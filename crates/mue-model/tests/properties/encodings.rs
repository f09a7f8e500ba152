//! Encoded batches: pictures and texts apart, or joint.

use std::sync::Arc;

use mue_model::{BranchEncoding, BranchPolicy, BranchRun, Ofa};

use crate::answers::answer_all;
use crate::captions::caption_all;
use crate::requests::{Outcome, Request, pixels};

/// Whether pictures and texts see each other in the encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Encoding {
    Apart,
    Joint,
}

/// Answers a batch, encoded in one way or the other.
pub(crate) type Run = fn(&Ofa, &[Request], Encoding) -> Vec<Outcome>;

/// Everything that can be done with a batch.
pub(crate) const RUNS: [(Run, Encoding); 4] = [
    (caption_all, Encoding::Apart),
    (answer_all, Encoding::Apart),
    (caption_all, Encoding::Joint),
    (answer_all, Encoding::Joint),
];

/// Starts a branch of a batch; with it, whose policy it follows.
pub(crate) type Begin = fn(&Ofa, &[Request]) -> BranchRun;
pub(crate) type Policy = fn(&Request) -> &BranchPolicy;

/// Every branch that an encoder may run.
pub(crate) const BRANCHES: [(Begin, Policy); 3] =
    [(images, image_policy), (texts, text_policy), (joint, image_policy)];

/// Encodes a batch, one cohort a branch.
pub(crate) fn encode(
    model: &Ofa,
    requests: &[Request],
    encoding: Encoding,
) -> Vec<Vec<Arc<BranchEncoding>>> {
    let branches: &[Begin] = match encoding {
        Encoding::Apart => &[images, texts],
        Encoding::Joint => &[joint],
    };
    let mut encoded = vec![Vec::new(); requests.len()];
    for begin in branches {
        for (parts, part) in encoded.iter_mut().zip(model.encode_all(begin(model, requests))) {
            parts.push(Arc::new(part));
        }
    }
    encoded
}

fn image_policy(request: &Request) -> &BranchPolicy {
    &request.policy.image
}

fn text_policy(request: &Request) -> &BranchPolicy {
    &request.policy.text
}

fn images(model: &Ofa, requests: &[Request]) -> BranchRun {
    model.begin_images(pixels(requests, model.device()), policies(requests, image_policy))
}

fn texts(model: &Ofa, requests: &[Request]) -> BranchRun {
    model.begin_texts(&tokens(requests), policies(requests, text_policy))
}

fn joint(model: &Ofa, requests: &[Request]) -> BranchRun {
    let pixels = pixels(requests, model.device());
    model.begin_joint(Some(pixels), &tokens(requests), policies(requests, image_policy))
}

fn policies(requests: &[Request], policy: Policy) -> Vec<BranchPolicy> {
    requests.iter().map(|request| policy(request).clone()).collect()
}

fn tokens(requests: &[Request]) -> Vec<Vec<u32>> {
    requests.iter().map(|request| request.text.clone()).collect()
}
