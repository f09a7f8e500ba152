//! How long a checkpoint takes to open, and how much memory, in a process of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use mue_bench::load::peak_bytes;
use mue_engine::DeviceChoice;
use mue_model::weights::{Checkpoint, FloatStorage, RawTensor, write_safetensors};
use mue_model::{Ofa, OfaConfig};
use serde::{Deserialize, Serialize};

/// What opening took.
#[derive(Debug, Serialize, Deserialize)]
struct Opening {
    seconds: f64,
    /// Most memory that the process ever had, mapped files included; none where the system does
    /// not tell.
    peak_bytes: Option<u64>,
}

/// Writes the weights into a file, has another process open it, and prints what that took.
pub(crate) fn print(
    out: &mut impl Write,
    tensors: &BTreeMap<String, RawTensor>,
    config: &OfaConfig,
    device: DeviceChoice,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let weights = folder.path().join("model.safetensors");
    write_safetensors(&weights, tensors, FloatStorage::Float32)?;
    std::fs::write(folder.path().join("config.json"), config.to_json())?;
    let program = std::env::current_exe()?;
    let output = Command::new(program)
        .arg("--open")
        .arg(folder.path())
        .arg(format!("--device={device}"))
        .output()
        .context("cannot start a process that opens the weights")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let opening: Opening = serde_json::from_slice(&output.stdout)?;
    let file = std::fs::metadata(&weights)?.len();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    write!(out, "opening {:.0} MB: {:.2} s", megabytes(file), opening.seconds)?;
    match opening.peak_bytes {
        Some(peak) => writeln!(
            out,
            ", {:.0} MB of memory at most, {:.2} times the file\n",
            megabytes(peak),
            peak as f64 / file as f64
        )?,
        None => writeln!(out, "\n")?,
    }
    Ok(())
}

/// Opens the weights of a folder and prints what that took.
pub(crate) fn open(
    out: &mut impl Write,
    folder: &Path,
    device: DeviceChoice,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let device = device.open()?;
    let config = OfaConfig::from_json(&std::fs::read_to_string(folder.join("config.json"))?)?;
    let weights = Checkpoint::open(&folder.join("model.safetensors"))?.into_canonical()?;
    let model = Ofa::from_tensors(&weights.tensors, config, &device.device)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(model);
    serde_json::to_writer(out, &Opening { seconds, peak_bytes: peak_bytes() })?;
    Ok(())
}
