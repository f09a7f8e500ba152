//! Visual entailment: several hypotheses about one picture, one decoder pass.

use std::time::Instant;

use mue_data::PixelTensor;
use mue_model::{AnswerRequest, ScoredAnswer};

use crate::answer::{Compute, Entailment, ExitTrace, Label, Timing};
use crate::engine::{Engine, EngineError, Texts};
use crate::settings::ExitChoice;

impl Engine {
    /// Whether a picture supports each hypothesis, given the premise if there is one.
    ///
    /// In decomposed encoding the picture is encoded once for all of them.
    ///
    /// # Errors
    ///
    /// If a text is too long for the model; the answer of each hypothesis may fail alone.
    pub fn entail(
        &self,
        image: &PixelTensor,
        premise: Option<&str>,
        hypotheses: &[String],
        exit: ExitChoice,
    ) -> Result<Vec<Result<Entailment, EngineError>>, EngineError> {
        let texts = hypotheses
            .iter()
            .map(|hypothesis| self.entailment_prompt(premise, hypothesis))
            .collect::<Result<Vec<_>, _>>()?;
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let policy = exit.policy(self.settings.exits.entailment);
        let start = Instant::now();
        let images = std::slice::from_ref(image);
        let encoded =
            self.encode(images, Texts::OfOneImage(&texts), (&policy.image, &policy.text));
        let encode = start.elapsed();
        let start = Instant::now();
        let traces: Vec<_> = encoded.iter().map(|parts| self.encoder_trace(parts)).collect();
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        let requests = encoded
            .into_iter()
            .zip(texts)
            .map(|(parts, mut prefix)| {
                prefix.pop(); // the decoder is fed the prompt without EOS
                let source = self.model.source(parts, longest);
                AnswerRequest { source, prefix, policy: policy.decoder.clone() }
            })
            .collect();
        let answers = self.model.answer(requests, &self.answer_ids);
        let timing = Timing { encode, decode: start.elapsed() };
        Ok(answers
            .into_iter()
            .zip(traces)
            .map(|(answer, trace)| Ok(self.entailment_of(answer?, trace, timing)))
            .collect())
    }

    fn entailment_prompt(
        &self,
        premise: Option<&str>,
        hypothesis: &str,
    ) -> Result<Vec<u32>, EngineError> {
        let tokens_max = self.model.config().max_position_embeddings;
        let prompts = &self.settings.prompts;
        Ok(prompts.entailment_ids(&self.tokenizer, premise, hypothesis, tokens_max)?)
    }

    fn entailment_of(
        &self,
        answer: ScoredAnswer,
        (mut compute, exit): (Compute, ExitTrace),
        timing: Timing,
    ) -> Entailment {
        compute.add_decoder(&answer.cost);
        let mut scores = [0.0; 3];
        for (score, log_prob) in scores.iter_mut().zip(&answer.log_probs) {
            *score = log_prob.exp();
        }
        let best = |best: usize, next: usize| if scores[next] > scores[best] { next } else { best };
        let label = Label::ALL[(0..3).fold(0, best)];
        let exit = ExitTrace { decoder: vec![answer.exit.layer], ..exit };
        Entailment { label, scores, exit, compute, timing }
    }
}
