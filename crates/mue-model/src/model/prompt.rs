//! Constant texts, encoded once per model.

use std::sync::Arc;

use super::Ofa;
use crate::exit::{BranchPolicy, LayerSignal};
use crate::source::{Branch, BranchEncoding, BranchExit};
use crate::tables::{HeldBytes, RecentLimits};

/// A constant text, encoded at full depth once, so that any policy can choose its layer.
#[derive(Debug)]
pub(super) struct Prompt {
    similarities: Vec<f32>,
    /// One encoding per layer.
    encodings: Vec<Arc<BranchEncoding>>,
}

/// Constant prompts that are kept; a model has one or two tasks.
pub(super) const PROMPTS: RecentLimits = RecentLimits { entries_max: 4, bytes_max: 1 << 27 };

impl HeldBytes for Prompt {
    fn bytes(&self) -> usize {
        self.encodings.iter().map(|encoding| encoding.bytes_max()).sum()
    }
}

impl Ofa {
    /// The text branch of a constant text, encoded once per model: its layers, and the
    /// cross-attention keys and values of each, cost later requests nothing.
    pub fn constant_text(&self, tokens: &[u32], policy: &BranchPolicy) -> Arc<BranchEncoding> {
        let prompt = self.prompt(tokens);
        let layers = prompt.encodings.len();
        let exit = (1..=layers).find(|layer| {
            let similarity = Some(prompt.similarities[layer - 1]);
            policy.exits(LayerSignal {
                layer: *layer,
                layers,
                step: 0,
                similarity,
                prediction: None,
            })
        });
        Arc::clone(&prompt.encodings[exit.unwrap_or(layers) - 1])
    }

    fn prompt(&self, tokens: &[u32]) -> Arc<Prompt> {
        self.prompts.get_or_insert_with(tokens.to_vec(), || self.encode_prompt(tokens))
    }

    fn encode_prompt(&self, tokens: &[u32]) -> Prompt {
        let mut run = self.begin_texts(&[tokens.to_vec()], vec![BranchPolicy::Watch]);
        let mut hidden = Vec::new();
        let mut similarities = Vec::new();
        while !run.is_finished() {
            let report = self.encode_layer(&mut run);
            hidden.push(run.hidden());
            if let Some((_, encoding)) = report.exited.into_iter().next() {
                similarities.clone_from(&encoding.exit().similarities);
            }
        }
        let (layers, decoder_layers) = (hidden.len(), self.decoder().layers.len());
        let encodings = hidden
            .into_iter()
            .enumerate()
            .map(|(index, hidden)| {
                let similarities = similarities[..=index].to_vec();
                let exit = BranchExit { layer: index + 1, layers, similarities };
                let states = self.encoder().normalise(hidden);
                let encoding = BranchEncoding::new(Branch::Text, exit, states, decoder_layers);
                Arc::new(encoding.into_constant())
            })
            .collect();
        Prompt { similarities, encodings }
    }
}
