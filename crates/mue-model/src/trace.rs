//! What one request cost, as if it had run alone.

use crate::macs::MacModel;
use crate::source::Source;

/// The decoder's cost of one request, and what full depth would have cost for the same tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecoderCost {
    /// Multiply-accumulates.
    pub macs: u64,
    /// The same with every layer of every step.
    pub macs_full: u64,
    /// By layer: tokens whose self-attention keys and values are there.
    filled: Vec<usize>,
    /// By layer: whether the cross-attention keys and values are there.
    reached: Vec<bool>,
    full_started: bool,
}

impl DecoderCost {
    pub(crate) fn new(layers: usize) -> Self {
        Self {
            macs: 0,
            macs_full: 0,
            filled: vec![0; layers],
            reached: vec![false; layers],
            full_started: false,
        }
    }

    /// Layers that the decoder has.
    pub fn layers(&self) -> usize {
        self.filled.len()
    }

    /// Books an earlier reading that its request was not content with; full depth has no such. At a
    /// layer that both reached, `shared` is what they both count, though it was computed once.
    pub fn read_before(&mut self, earlier: &Self, shared: u64) {
        let both =
            self.reached.iter().zip(&earlier.reached).filter(|(ours, theirs)| **ours && **theirs);
        self.macs += earlier.macs - both.count() as u64 * shared;
    }

    /// Books one layer of one step of `rows` beams.
    ///
    /// With a cache `tokens` is 1, and keys and values that earlier tokens skipped are made up
    /// for; without one, `tokens` is the whole prefix.
    pub(crate) fn layer(
        &mut self,
        macs: &MacModel,
        source: &Source,
        (step, rows): (usize, usize),
        (layer, tokens): (usize, usize),
    ) {
        let cross = macs.cross_keys_values(source.own_tokens());
        let token = macs.decoder_layer(step + 1, source.tokens()) * tokens as u64;
        if layer == 0 {
            let layers = self.filled.len() as u64;
            self.macs_full += layers * rows as u64 * (token + macs.self_keys_values(tokens));
            if !self.full_started {
                self.macs_full += layers * cross;
                self.full_started = true;
            }
        }
        if !self.reached[layer] {
            self.reached[layer] = true;
            self.macs += cross;
        }
        let fresh = if tokens > 1 { tokens } else { step + 1 - self.filled[layer] };
        self.filled[layer] = step + 1;
        self.macs += rows as u64 * (token + macs.self_keys_values(fresh));
    }

    /// Books a run of the LM head that a policy asked for.
    pub(crate) fn asked(&mut self, head: u64) {
        self.macs += head;
    }

    /// Books the answer's LM head, which is not computed again if the exit layer was asked.
    pub(crate) fn answered(&mut self, head: u64, was_asked: bool) {
        self.macs += if was_asked { 0 } else { head };
        self.macs_full += head;
    }
}
