//! What is to be judged, and in the light of what.

use mue_engine::{ExitChoice, Image, InvalidRequest, ModelFolder, Question, Request};

use crate::config::Config;
use crate::options::out_of_range;
use crate::problem::Problem;

/// The sentences of a request.
pub(super) struct Sentences {
    pub(super) hypotheses: Vec<String>,
    premise: Option<String>,
}

impl Sentences {
    /// One hypothesis or several.
    ///
    /// # Errors
    ///
    /// If there is neither, or both.
    pub(super) fn new(
        hypothesis: Option<String>,
        hypotheses: Option<Vec<String>>,
        premise: Option<String>,
    ) -> Result<Self, Problem> {
        let hypotheses = match (hypothesis, hypotheses) {
            (Some(hypothesis), None) => vec![hypothesis],
            (None, Some(hypotheses)) => hypotheses,
            _ => return Err(Problem::invalid("send either hypothesis or hypotheses")),
        };
        Ok(Self { hypotheses, premise })
    }

    /// These, if the server takes so many and such long ones.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub(super) fn within(self, config: &Config) -> Result<Self, Problem> {
        if !(1..=config.hypotheses_max).contains(&self.hypotheses.len()) {
            return Err(out_of_range("the number of hypotheses", (1, config.hypotheses_max)));
        }
        let mut texts = self.hypotheses.iter().chain(&self.premise);
        match texts.any(|text| text.len() > config.text_bytes_max) {
            true => {
                let detail = format!("a text has more than {} bytes", config.text_bytes_max);
                Err(Problem::invalid(detail))
            }
            false => Ok(self),
        }
    }

    /// One question per hypothesis.
    ///
    /// # Errors
    ///
    /// If the model cannot be asked one of them.
    pub(super) fn questions(
        &self,
        model: &ModelFolder,
        exit: &ExitChoice,
    ) -> Result<Vec<Question>, InvalidRequest> {
        let texts = self.hypotheses.iter().map(|hypothesis| (self.premise.as_deref(), hypothesis));
        texts
            .map(|(premise, text)| model.entailment_question(exit.clone(), (premise, text)))
            .collect()
    }
}

/// One request per picture and question.
pub(super) fn about(
    questions: &[Question],
    images: &[Image],
) -> Result<Vec<Request>, InvalidRequest> {
    let pairs =
        images.iter().flat_map(|image| questions.iter().map(move |question| (image, question)));
    pairs.map(|(image, question)| question.about(image.clone())).collect()
}
