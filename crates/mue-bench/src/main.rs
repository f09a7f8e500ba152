//! `ofa-speed`: OFA at full depth, stage by stage, beside PyTorch's on the same machine in one run.
//!
//! Weights are random; the arithmetic does not depend on them. With `--peer` the PyTorch script
//! runs between our own rounds, so that a change of the machine's speed meets both.

mod opening;
mod peer;
mod pieces;
mod rounds;
mod stages;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use mue_engine::DeviceChoice;
use mue_model::{Ofa, Preset, weights::initial_tensors};

use crate::peer::Peer;
use crate::rounds::Rounds;
use crate::stages::Workload;

/// As the product's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times OFA's stages at full depth, beside PyTorch if told where it is.
#[derive(Debug, Parser)]
struct Args {
    /// tiny, medium, base, large or huge
    #[arg(long, default_value = "base")]
    size: String,
    /// Height and width of the picture
    #[arg(long, default_value_t = 480)]
    pixels: usize,
    /// Decoder steps of a caption
    #[arg(long, default_value_t = 12)]
    tokens: usize,
    /// Timed runs of each stage per round, after one that is not
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Rounds; the peer runs after each
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Device: auto, flex, ndarray or wgpu
    #[arg(long, default_value = "flex")]
    device: DeviceChoice,
    /// Threads of PyTorch; ours are set by RAYON_NUM_THREADS
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Python with PyTorch and modelscope's needs; the peer is left out without it
    #[arg(long, value_name = "PYTHON")]
    peer: Option<PathBuf>,
    /// The script that times PyTorch's OFA
    #[arg(long, value_name = "FILE", default_value = "tools/peer/torch_ofa_bench.py")]
    peer_script: PathBuf,
    /// Unpacked modelscope package
    #[arg(long, value_name = "DIR")]
    modelscope: Option<PathBuf>,
    /// Open this folder's weights, say how that went, and leave: what the program starts itself for
    #[arg(long, value_name = "DIR", hide = true)]
    open: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    if let Some(folder) = &args.open {
        return opening::open(&mut out, folder, args.device);
    }
    let device = args.device.open()?;
    let config = preset(&args.size)?.config();
    let tensors = initial_tensors(&config, 0, &device.device)?;
    opening::print(&mut out, &tensors, &config, args.device)?;
    let model = Ofa::from_tensors(&tensors, config, &device.device)?;
    drop(tensors);
    let workload = Workload::new(&model, args.pixels, args.tokens);
    let peer = args.peer.as_ref().map(|python| Peer::new(python, &args));
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    for round in 0..args.rounds {
        workload.time(args.runs, &mut ours);
        if let Some(peer) = &peer {
            peer.time(&mut theirs).with_context(|| format!("the peer failed in round {round}"))?;
        }
    }
    writeln!(
        out,
        "OFA-{}, {} px, {} decoder steps, batch 1, f32, {}; median ms (minimum)\n",
        args.size, args.pixels, args.tokens, device.choice
    )?;
    table(&mut out, &ours, &theirs)?;
    writeln!(out, "\nWhere the time goes, against this machine's matrix product:\n")?;
    pieces::print(&mut out, &model, args.pixels, &device.device)?;
    Ok(())
}

fn preset(name: &str) -> anyhow::Result<Preset> {
    Ok(match name {
        "tiny" => Preset::Tiny,
        "medium" => Preset::Medium,
        "base" => Preset::Base,
        "large" => Preset::Large,
        "huge" => Preset::Huge,
        other => anyhow::bail!("no size is called {other}"),
    })
}

fn table(out: &mut impl Write, ours: &Rounds, theirs: &Rounds) -> anyhow::Result<()> {
    writeln!(out, "| stage | mue | PyTorch | mue / PyTorch |\n|---|---|---|---|")?;
    for stage in ours.stages() {
        let Some(mine) = ours.summary(stage) else { continue };
        let (peer, ratio) = match theirs.summary(stage) {
            Some(peer) => (peer.to_string(), format!("{:.2}", mine.median / peer.median)),
            None => (String::from("-"), String::from("-")),
        };
        writeln!(out, "| {stage} | {mine} | {peer} | {ratio} |")?;
    }
    Ok(())
}
