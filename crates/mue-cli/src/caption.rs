//! `mue caption`: pictures in words.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use mue_engine::batcher::Timing;
use mue_engine::{Caption, CaptionSearch, Engine, Reply};
use serde::Serialize;

use crate::error::{failure, user_error};
use crate::model::{ModelArgs, read_image};
use crate::trace::{ComputeJson, ExitJson, TimingJson, coloured, print_summary, print_tokens};

const EXAMPLES: &str = "\
Examples:
  mue caption photo.jpg --model ofa-base
  mue caption *.png --model ofa-base --exit image=0.95,decoder=0.9 --json
  mue caption photo.jpg --model ofa-base --beam-size 1 --exit off";

/// Pictures that are read before their captions are printed.
const BATCH: usize = 32;

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

/// Captions the images and prints the answers.
pub(crate) fn run(args: &CaptionArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let engine = args.model.open()?;
    let search = search(args, &engine);
    let mut results = Vec::new();
    for paths in args.images.chunks(BATCH) {
        for (path, (caption, timing)) in paths.iter().zip(caption(args, &engine, &search, paths)?) {
            match args.model.json {
                true => results.push(json(path, caption, timing)),
                false => print(out, path, &caption)?,
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

/// Captions some pictures, all together.
fn caption(
    args: &CaptionArgs,
    engine: &Engine,
    search: &CaptionSearch,
    paths: &[PathBuf],
) -> anyhow::Result<Vec<(Caption, Timing)>> {
    let request = |path| {
        let image = read_image(path, engine)?;
        let request = engine.model().caption(image, args.model.exit(), search);
        request.map_err(|error| user_error(error, "`mue help caption` says what can be asked"))
    };
    let requests = paths.iter().map(request).collect::<Result<Vec<_>, _>>()?;
    let outcomes = engine.answer_all(requests)?;
    paths
        .iter()
        .zip(outcomes)
        .map(|(path, outcome)| {
            let answer = outcome.map_err(|error| {
                let what = format!("cannot caption {}", path.display());
                failure(anyhow::Error::new(error).context(what), "check the model's weights")
            })?;
            match answer.output {
                Reply::Caption(caption) => Ok((caption, answer.timing)),
                Reply::Entailment(_) => anyhow::bail!("a caption request was answered otherwise"),
            }
        })
        .collect()
}

fn search(args: &CaptionArgs, engine: &Engine) -> CaptionSearch {
    let mut search = engine.model().settings().search.clone();
    search.beam_size = args.beam_size.unwrap_or(search.beam_size);
    search.tokens_max = args.max_tokens.unwrap_or(search.tokens_max);
    search
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
