//! One request's stages, as the peer script divides them.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use mue_model::{
    AnswerRequest, BranchEncoding, BranchPolicy, ExitPolicy, Ofa, SearchSettings, Source, Tensor,
};

use crate::rounds::{Rounds, Summary};

/// A model with the inputs of a caption and of an entailment.
pub(crate) struct Workload<'a> {
    model: &'a Ofa,
    pixels: Tensor<4>,
    prompt: Vec<u32>,
    hypothesis: Vec<u32>,
    tokens: usize,
}

impl<'a> Workload<'a> {
    pub(crate) fn new(model: &'a Ofa, pixels: usize, tokens: usize) -> Self {
        let shape = [1, 3, pixels, pixels];
        let noise = burn::tensor::Distribution::Uniform(-1.0, 1.0);
        let ids = |count: u32| (0..count).map(|id| 4 + 37 * id).collect();
        Self {
            pixels: Tensor::random(shape, noise, model.device()),
            prompt: ids(8),
            hypothesis: ids(24),
            tokens,
            model,
        }
    }

    /// Times a round of every stage, each once unrecorded and then `runs` times.
    pub(crate) fn time(&self, runs: usize, rounds: &mut Rounds) {
        let caption = self.encode(true);
        self.stage("stem", runs, rounds, || {
            self.wait(self.model.stem_stages(self.pixels.clone()).remove(3));
        });
        self.stage("encode", runs, rounds, || {
            let encoded = self.encode(true);
            self.wait(encoded[0].states());
        });
        self.stage("decode_greedy", runs, rounds, || self.decode(caption.clone(), 1));
        self.stage("decode_beam5", runs, rounds, || self.decode(caption.clone(), 5));
        self.stage("caption_greedy", runs, rounds, || self.decode(self.encode(true), 1));
        self.stage("entailment", runs, rounds, || self.answer(self.encode(false)));
    }

    fn stage(&self, name: &str, runs: usize, rounds: &mut Rounds, run: impl Fn()) {
        let timed_ms = || {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        };
        run();
        let times_ms = (0..runs).map(|_| timed_ms()).collect();
        if let Some(round) = Summary::of(times_ms) {
            rounds.add(name, round);
        }
    }

    /// Reads one number back, which waits for a device that computes asynchronously.
    fn wait<const D: usize>(&self, tensor: Tensor<D>) {
        black_box(tensor.slice(0..1).max().into_data());
    }

    /// Image and text, decomposed, at full depth; a caption's prompt is the model's constant.
    fn encode(&self, caption: bool) -> Vec<Arc<BranchEncoding>> {
        let full = ExitPolicy::full();
        if !caption {
            return self.model.encode_pair(self.pixels.clone(), &self.hypothesis, &full);
        }
        let run = self.model.begin_images(self.pixels.clone(), vec![full.image]);
        let image = self.model.encode_all(run).remove(0);
        vec![Arc::new(image), self.model.constant_text(&self.prompt, &BranchPolicy::Full)]
    }

    /// A source whose keys and values are not projected yet.
    fn source(&self, parts: &[Arc<BranchEncoding>], positions: usize) -> Source {
        let fresh = parts.iter().map(|part| part.unprojected()).collect();
        self.model.source(fresh, positions)
    }

    fn decode(&self, parts: Vec<Arc<BranchEncoding>>, beam_size: usize) {
        let settings = SearchSettings {
            beam_size,
            tokens_max: self.tokens - 1,
            tokens_min: self.tokens - 1,
            no_repeat_ngram_size: 0,
            length_penalty: 1.0,
        };
        let mut run = self.model.begin_decode();
        let source = self.source(&parts, self.tokens);
        self.model.join_decode(&mut run, source, BranchPolicy::Full, settings);
        while !run.is_finished() {
            black_box(self.model.decode_token(&mut run));
        }
    }

    fn answer(&self, parts: Vec<Arc<BranchEncoding>>) {
        let prefix = self.hypothesis[..self.hypothesis.len() - 1].to_vec();
        let source = self.source(&parts, prefix.len());
        let request = AnswerRequest { source, prefix, policy: BranchPolicy::Full };
        black_box(self.model.answer(vec![request], &[5, 6, 7]).len());
    }
}
