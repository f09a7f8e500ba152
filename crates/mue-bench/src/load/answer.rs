//! What is read from an answer of the service.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// An answer to a caption or an entailment request; fields that are not read are left out.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    pub(super) results: Vec<ResultJson>,
    pub(super) timing_ms: TimingJson,
    pub(super) batch: BatchJson,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ResultJson {
    /// Only what judges one has it.
    pub(super) hypothesis: Option<IgnoredAny>,
    pub(super) exit: ExitJson,
    pub(super) compute: ComputeJson,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ExitJson {
    pub(super) image: DepthJson,
    pub(super) text: DepthJson,
    pub(super) decoder: DecoderJson,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct DepthJson {
    pub(super) layer: usize,
    pub(super) layers: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct DecoderJson {
    pub(super) layers: usize,
    pub(super) tokens: Vec<TokenJson>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct TokenJson {
    pub(super) layer: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct ComputeJson {
    pub(super) macs: u64,
    pub(super) macs_full: u64,
}

/// Milliseconds by stage.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct TimingJson {
    pub(super) queue: f64,
    pub(super) preprocess: f64,
    pub(super) encode: f64,
    pub(super) decode: f64,
    pub(super) total: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct BatchJson {
    pub(super) decode_rows_mean: f64,
}

impl TimingJson {
    /// The engine's own time: making pixels of a picture, and the model.
    pub(super) fn engine_ms(self) -> f64 {
        self.preprocess + self.encode + self.decode
    }
}

/// Made-up answers for tests.
#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A caption that left the image and the text branch at a layer of 3, and whose tokens left at
    /// others; every layer is worth 10 of 90 MACs.
    pub(in crate::load) fn answer(encoder_layer: usize, tokens: &[usize]) -> Answer {
        let depth = serde_json::json!({"layer": encoder_layer, "layers": 3});
        let tokens: Vec<_> =
            tokens.iter().map(|layer| serde_json::json!({"text": " a", "layer": layer})).collect();
        serde_json::from_value(serde_json::json!({
            "id": "1", "model": "made up",
            "results": [{
                "caption": "a", "score": -0.5,
                "exit": {"image": depth, "text": depth,
                         "decoder": {"mean_layer": 2.0, "layers": 3, "tokens": tokens}},
                "compute": {"macs": 30 * encoder_layer, "macs_full": 90, "saved": 0.5},
            }],
            "timing_ms": {"queue": 1.0, "preprocess": 2.0, "encode": 3.0, "decode": 4.0, "total": 11.0},
            "batch": {"cohort_rows": 1, "decode_steps": 2, "decode_rows_mean": 2.0},
        }))
        .expect("the answer is of the service's form")
    }

    /// The same of an entailment, which has one token.
    pub(in crate::load) fn verdict(encoder_layer: usize, token: usize) -> Answer {
        let mut answer = answer(encoder_layer, &[token]);
        answer.results.iter_mut().for_each(|result| result.hypothesis = Some(IgnoredAny));
        answer
    }

    #[test]
    fn a_hypothesis_tells_a_verdict_from_a_caption() {
        let depth = r#"{"layer": 1, "layers": 3}"#;
        let rest = format!(
            r#""exit": {{"image": {depth}, "text": {depth}, "decoder": {{"layers": 3, "tokens": []}}}},
               "compute": {{"macs": 1, "macs_full": 2}}}}"#
        );
        let is_verdict = |head: &str| {
            let result: ResultJson = serde_json::from_str(&format!("{{{head}{rest}")).unwrap();
            result.hypothesis.is_some()
        };
        assert!(is_verdict(r#""hypothesis": "a dog","#) && !is_verdict(r#""caption": "a dog","#));
    }

    #[test]
    fn the_engines_time_is_without_the_queue() {
        assert_eq!(answer(1, &[2]).timing_ms.engine_ms(), 9.0);
    }
}
