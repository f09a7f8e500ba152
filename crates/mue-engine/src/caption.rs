//! Captions: a cohort of pictures is encoded together and decodes as one set.

use std::time::Instant;

use mue_data::{PixelTensor, trim_caption};
use mue_model::DecodedAnswer;

use crate::answer::{Caption, Compute, ExitTrace, Timing, TokenExit};
use crate::engine::{Engine, EngineError, Texts};
use crate::settings::{CaptionSearch, ExitChoice};

impl Engine {
    /// Captions pictures of one size, all at once.
    ///
    /// Each picture succeeds or fails alone.
    pub fn caption(
        &self,
        images: &[PixelTensor],
        exit: ExitChoice,
        search: &CaptionSearch,
    ) -> Vec<Result<Caption, EngineError>> {
        if images.is_empty() {
            return Vec::new();
        }
        let policy = exit.policy(self.settings.exits.caption);
        let search = search.settings();
        let start = Instant::now();
        let texts = Texts::Constant(&self.caption_prompt);
        let encoded = self.encode(images, texts, (&policy.image, &policy.text));
        let encode = start.elapsed();
        let start = Instant::now();
        let traces: Vec<_> = encoded.iter().map(|parts| self.encoder_trace(parts)).collect();
        let mut run = self.model.begin_decode();
        for parts in encoded {
            let source = self.model.source(parts, search.tokens_max + 1);
            self.model.join_decode(&mut run, source, policy.decoder.clone(), search.clone());
        }
        let mut finished = Vec::with_capacity(images.len());
        while !run.is_finished() {
            for request in self.model.decode_token(&mut run).requests {
                if let Some(answer) = request.finished {
                    finished.push((request.id, answer));
                }
            }
        }
        finished.sort_by_key(|(id, _)| *id);
        let timing = Timing { encode, decode: start.elapsed() };
        finished
            .into_iter()
            .zip(traces)
            .map(|((_, answer), trace)| Ok(self.caption_of(answer?, trace, timing)))
            .collect()
    }

    fn caption_of(
        &self,
        answer: DecodedAnswer,
        (mut compute, exit): (Compute, ExitTrace),
        timing: Timing,
    ) -> Caption {
        compute.add_decoder(&answer.cost);
        let layers: Vec<usize> = answer.exits.iter().map(|exit| exit.layer).collect();
        let best = answer.hypotheses.into_iter().next();
        let (ids, score) = best.map_or((Vec::new(), 0.0), |best| (best.tokens, best.score));
        let special = self.model.special_tokens();
        let words: Vec<u32> = ids.into_iter().filter(|id| *id != special.eos).collect();
        let tokens = self
            .tokenizer
            .pieces(&words)
            .into_iter()
            .zip(&layers)
            .map(|(text, layer)| TokenExit { text, layer: *layer })
            .collect();
        Caption {
            text: trim_caption(&self.tokenizer.decode(&words)),
            score,
            tokens,
            exit: ExitTrace { decoder: layers, ..exit },
            compute,
            timing,
        }
    }
}
