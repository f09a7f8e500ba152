//! `mue entail`: does the picture support the sentence?

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use mue_engine::batcher::Timing;
use mue_engine::{Engine, Entailment, Label, Reply};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{failure, user_error};
use crate::model::{ModelArgs, read_image};
use crate::trace::{ComputeJson, ExitJson, TimingJson, coloured, print_summary};

const EXAMPLES: &str = "\
Examples:
  mue entail photo.jpg --model ofa-ve --hypothesis \"a dog is running\"
  mue entail photo.jpg --model ofa-ve --hypothesis \"a dog\" --hypothesis \"a cat\" --json
  mue entail photo.jpg --model ofa-ve --premise \"two dogs play\" --hypothesis \"a dog sleeps\"";

/// Judge whether an image supports sentences
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EntailArgs {
    /// Image file: PNG, JPEG, WebP, GIF, BMP or TIFF
    image: PathBuf,
    /// Sentence to judge; may be given several times
    #[arg(long = "hypothesis", value_name = "TEXT", required = true)]
    hypotheses: Vec<String>,
    /// What is known of the image in words
    #[arg(long, value_name = "TEXT")]
    premise: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Serialize)]
struct Results<'a> {
    model: String,
    device: String,
    results: Vec<EntailmentJson<'a>>,
}

#[derive(Debug, Serialize)]
struct EntailmentJson<'a> {
    image: &'a Path,
    hypothesis: &'a str,
    label: &'static str,
    scores: Map<String, Value>,
    exit: ExitJson,
    compute: ComputeJson,
    timing_ms: TimingJson,
}

/// Judges the hypotheses and prints the verdicts.
pub(crate) fn run(args: &EntailArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let engine = args.model.open()?;
    let mut results = Vec::new();
    for (hypothesis, (verdict, timing)) in args.hypotheses.iter().zip(judge(args, &engine)?) {
        match args.model.json {
            true => results.push(json((&args.image, hypothesis), verdict, timing)),
            false => print(out, hypothesis, &verdict)?,
        }
    }
    if args.model.json {
        let device = engine.device().to_string();
        let all = Results { model: args.model.source().to_string(), device, results };
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    }
    Ok(())
}

/// Judges all hypotheses together; the picture is encoded once for all of them.
fn judge(args: &EntailArgs, engine: &Engine) -> anyhow::Result<Vec<(Entailment, Timing)>> {
    let image = read_image(&args.image, engine)?;
    let premise = args.premise.as_deref();
    let request = |hypothesis: &String| {
        let texts = (premise, hypothesis.as_str());
        let request = engine.model().entailment(image.clone(), args.model.exit(), texts);
        request.map_err(|error| user_error(error, "give a sentence of some words"))
    };
    let requests = args.hypotheses.iter().map(request).collect::<Result<Vec<_>, _>>()?;
    let outcomes = engine.answer_all(requests)?;
    args.hypotheses
        .iter()
        .zip(outcomes)
        .map(|(hypothesis, outcome)| {
            let answer = outcome.map_err(|error| {
                let what = format!("cannot judge {hypothesis:?}");
                failure(anyhow::Error::new(error).context(what), "check the model's weights")
            })?;
            match answer.output {
                Reply::Entailment(verdict) => Ok((verdict, answer.timing)),
                Reply::Caption(_) => anyhow::bail!("an entailment request was answered otherwise"),
            }
        })
        .collect()
}

fn json<'a>(
    (image, hypothesis): (&'a Path, &'a str),
    verdict: Entailment,
    timing: Timing,
) -> EntailmentJson<'a> {
    let scores = Label::ALL.iter().zip(verdict.scores);
    EntailmentJson {
        image,
        hypothesis,
        label: verdict.label.name(),
        scores: scores.map(|(label, score)| (label.name().to_owned(), json!(score))).collect(),
        exit: ExitJson::new(&verdict.exit, &verdict.tokens),
        compute: verdict.compute.into(),
        timing_ms: timing.into(),
    }
}

fn print(out: &mut dyn Write, hypothesis: &str, verdict: &Entailment) -> anyhow::Result<()> {
    let scores: Vec<String> = Label::ALL
        .iter()
        .zip(verdict.scores)
        .map(|(label, score)| format!("{} {score:.3}", label.name()))
        .collect();
    writeln!(out, "{hypothesis}: {} ({})", verdict.label.name(), scores.join(", "))?;
    print_summary(out, &verdict.exit, verdict.compute, coloured())?;
    Ok(())
}
