//! `mue`: OFA image captioning and visual entailment with MuE early exits, from the command line.
//!
//! One file or folder per command; [`output`] is what they print through and [`error`] how a
//! failure reaches the user. Only this crate reads arguments, environment and files.

mod bench;
mod calibrate;
mod caption;
mod data;
mod engine_error;
mod entail;
mod error;
mod eval;
mod folder;
mod health;
mod import;
mod info;
mod model;
mod model_files;
mod output;
mod pull;
mod runtime;
mod scenes;
mod serve;
mod trace;
mod train;
mod verify;
mod whole_file;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::Output;

/// Activations are large and short-lived: the system's allocator gives their pages back to the
/// kernel after each, which clears them again for the next.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "\
Examples:
  mue pull OFA-Sys/ofa-base-caption     fetch a checkpoint into ./ofa-base-caption
  mue import ofa-base-caption --out ofa make a model folder of it
  mue caption photo.jpg --model ofa     caption an image
  mue serve --model ofa                 answer over HTTP
  mue bench                             load the service and report what it does
  mue help pull                         what a command does and takes

Exit code: 0 done; 2 the arguments or the files given are at fault; 1 anything else.";

/// Captions images and judges visual entailment with OFA models that exit early (MuE).
#[derive(Debug, Parser)]
#[command(name = "mue", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::BenchArgs),
    Calibrate(calibrate::CalibrateArgs),
    Caption(caption::CaptionArgs),
    Entail(entail::EntailArgs),
    Eval(eval::EvalArgs),
    Health(health::HealthArgs),
    Import(import::ImportArgs),
    Info(info::InfoArgs),
    Pull(pull::PullArgs),
    Scenes(scenes::ScenesArgs),
    Serve(serve::ServeArgs),
    Train(train::TrainArgs),
    Verify(verify::VerifyArgs),
}

impl Command {
    fn run(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self {
            Self::Bench(args) => bench::run(args, out),
            Self::Calibrate(args) => calibrate::run(args, out),
            Self::Caption(args) => caption::run(args, out),
            Self::Entail(args) => entail::run(args, out),
            Self::Eval(args) => eval::run(args, out),
            Self::Health(args) => health::run(args, out),
            Self::Import(args) => import::run(args, out),
            Self::Info(args) => info::run(args, out),
            Self::Pull(args) => pull::run(args, out),
            Self::Scenes(args) => scenes::run(args, out),
            Self::Serve(args) => serve::run(args, out),
            Self::Train(args) => train::run(args, out),
            Self::Verify(args) => verify::run(args, out),
        }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return error::usage(&error),
    };
    let mut out = Output::stdout();
    match cli.command.run(&mut out).and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whatever else a command does or tells, it does not leave to a reader: see `conclude`.
        Err(error) if output::reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => error::report(&error),
    }
}
