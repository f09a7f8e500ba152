//! `mue caption`: pictures in words.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use mue_engine::batcher::Timing;
use mue_engine::{Caption, Engine, Outcome, Question, Reply, Request};
use serde::Serialize;

use crate::engine_error::not_taken;
use crate::error::{self, failure, user_error};
use crate::model::{ModelArgs, read_image};
use crate::output::conclude;
use crate::trace::{ComputeJson, ExitJson, TimingJson, coloured, print_summary, print_tokens};

const EXAMPLES: &str = "\
Examples:
  mue caption photo.jpg --model ofa-base
  mue caption *.png --model ofa-base --exit image=0.95,decoder=0.9 --json
  mue caption photo.jpg --model ofa-base --beam-size 1 --exit off";

/// Pictures that are read before their captions are printed.
const BATCH: usize = 32;

const REMEDY: &str = "`mue help caption` says what can be asked";

/// Caption images
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CaptionArgs {
    /// Image files: PNG, JPEG, WebP, GIF, BMP or TIFF
    #[arg(required = true)]
    images: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Hypotheses kept at each step [default: the model's]
    #[arg(long, value_name = "N")]
    beam_size: Option<usize>,
    /// Most tokens of a caption [default: the model's]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Results<'a> {
    model: String,
    device: String,
    results: Vec<CaptionJson<'a>>,
}

#[derive(Debug, Serialize)]
struct CaptionJson<'a> {
    image: &'a Path,
    caption: String,
    score: f32,
    exit: ExitJson,
    compute: ComputeJson,
    timing_ms: TimingJson,
}

/// Captions the images and prints the answers. An image without one is told of, and costs no other.
pub(crate) fn run(args: &CaptionArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let engine = args.model.open()?;
    let question = question(args, &engine)?;
    let mut failed = None;
    let printed = caption_all(args, (&engine, &question), &mut failed, out);
    conclude(printed, failed.map_or(Ok(()), Err))
}

/// Leaves the last failure in `failed`, to end with, and tells of those before it.
fn caption_all(
    args: &CaptionArgs,
    (engine, question): (&Engine, &Question),
    failed: &mut Option<anyhow::Error>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut results = Vec::new();
    for paths in args.images.chunks(BATCH) {
        for (path, captioned) in paths.iter().zip(caption(engine, question, paths)?) {
            match captioned {
                Ok((caption, timing)) if args.model.json => {
                    results.push(json(path, caption, timing));
                }
                Ok((caption, _)) => print(out, path, &caption)?,
                Err(error) => {
                    if let Some(former) = failed.replace(error) {
                        let _ = error::report(&former);
                    }
                }
            }
        }
    }
    if args.model.json {
        let device = engine.device().to_string();
        let all = Results { model: args.model.source().to_string(), device, results };
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    }
    Ok(())
}

/// Captions some pictures, all together; each may fail alone.
fn caption(
    engine: &Engine,
    question: &Question,
    paths: &[PathBuf],
) -> anyhow::Result<Vec<anyhow::Result<(Caption, Timing)>>> {
    let request = |path| -> anyhow::Result<Request> {
        let image = read_image(path, engine)?;
        question.about(image).map_err(|error| user_error(error, REMEDY))
    };
    let requests: Vec<anyhow::Result<Request>> = paths.iter().map(request).collect();
    let outcomes = engine.answer_all(requests.iter().flatten().cloned());
    let outcomes = outcomes.map_err(|error| not_taken(error, "lower --beam-size"))?;
    let mut outcomes = outcomes.into_iter();
    let answers = paths.iter().zip(requests).map(|(path, request)| {
        let outcome = request.map(|_| outcomes.next().expect("every request has an outcome"));
        outcome.and_then(|outcome| answer(path, outcome))
    });
    Ok(answers.collect())
}

fn answer(path: &Path, outcome: Outcome) -> anyhow::Result<(Caption, Timing)> {
    let answer = outcome.map_err(|error| {
        let what = format!("cannot caption {}", path.display());
        failure(anyhow::Error::new(error).context(what), "check the model's weights")
    })?;
    match answer.output {
        Reply::Caption(caption) => Ok((caption, answer.timing)),
        Reply::Entailment(_) => anyhow::bail!("a caption request was answered otherwise"),
    }
}

/// What is asked about every picture.
fn question(args: &CaptionArgs, engine: &Engine) -> anyhow::Result<Question> {
    let mut search = engine.model().settings().search.clone();
    search.beam_size = args.beam_size.unwrap_or(search.beam_size);
    search.tokens_max = args.max_tokens.unwrap_or(search.tokens_max);
    let question = engine.model().caption_question(args.model.exit(), &search);
    question.map_err(|error| user_error(error, REMEDY))
}

fn json(image: &Path, caption: Caption, timing: Timing) -> CaptionJson<'_> {
    CaptionJson {
        image,
        exit: ExitJson::new(&caption.exit, &caption.tokens),
        caption: caption.text,
        score: caption.score,
        compute: caption.compute.into(),
        timing_ms: timing.into(),
    }
}

fn print(out: &mut dyn Write, path: &Path, caption: &Caption) -> anyhow::Result<()> {
    let coloured = coloured();
    writeln!(out, "{}: {}", path.display(), caption.text)?;
    print_summary(out, &caption.exit, caption.compute, coloured)?;
    print_tokens(out, &caption.tokens, caption.exit.decoder_layers, coloured)?;
    Ok(())
}
