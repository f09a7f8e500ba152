//! What is to be judged, and in the light of what.

use std::sync::Arc;
use std::time::Instant;

use mue_engine::{ExitChoice, Image, InvalidRequest, ModelFolder, Question, Request};

use crate::config::Config;
use crate::options::{in_time, out_of_range};
use crate::problem::{Code, Problem};
use crate::serving::Serving;

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
        let is_long = |text: &String| text.len() > config.text_bytes_max;
        let detail = format!("the text has more than {} bytes", config.text_bytes_max);
        if self.premise.as_ref().is_some_and(is_long) {
            return Err(Problem::invalid(detail).about("premise"));
        }
        match self.hypotheses.iter().position(is_long) {
            Some(place) => Err(self.about_one(place, Problem::invalid(detail))),
            None => Ok(self),
        }
    }

    /// A problem of one of several hypotheses says of which, counted from 0.
    fn about_one(&self, place: usize, problem: Problem) -> Problem {
        match self.hypotheses.len() {
            1 => problem,
            _ => problem.about(&format!("hypothesis {place}")),
        }
    }

    /// Bytes that are tokenized for them: the premise with each hypothesis.
    fn bytes(&self) -> usize {
        let premise = self.premise.as_ref().map_or(0, String::len);
        self.hypotheses.iter().map(|hypothesis| premise + hypothesis.len()).sum()
    }

    fn questions(&self, model: &ModelFolder, exit: &ExitChoice) -> Result<Vec<Question>, Problem> {
        let premise = self.premise.as_deref();
        let ask = |(place, text): (usize, &String)| {
            let question = model.entailment_question(exit.clone(), (premise, text));
            question.map_err(|error| self.about_one(place, error.into()))
        };
        self.hypotheses.iter().enumerate().map(ask).collect()
    }
}

/// One question per hypothesis, by the deadline. Many long ones are tokenized where pictures are
/// decoded.
///
/// # Errors
///
/// If the model cannot be asked one of them, or the deadline passes first.
pub(super) async fn questions(
    sentences: &Arc<Sentences>,
    exit: ExitChoice,
    (deadline, app): (Instant, &Serving),
) -> Result<Vec<Question>, Problem> {
    let preparing = app.metrics.preparing(sentences.hypotheses.len());
    let (asked, serving) = (Arc::clone(sentences), app.clone());
    let tokenize = move || asked.questions(serving.engine.model(), &exit);
    let questions = app.preprocessor.pool().run(sentences.bytes(), tokenize);
    let questions =
        async { questions.await.map_err(|_| Problem::new(Code::Internal, "tokenizing failed")) };
    let questions = app.drain.refuse_late(in_time(deadline, "preprocess", questions)).await;
    preparing.ended(questions.as_ref().err());
    questions?
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
