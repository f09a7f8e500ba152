//! `mue info`: what a model folder holds.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use mue_engine::{Calibration, ExitRules, ModelSettings, TaskCalibration};
use mue_model::weights::Checkpoint;
use mue_model::{Grid, MacModel, OfaConfig};
use serde::Serialize;

use crate::error::user_error;
use crate::model_files::{SETTINGS, read_calibration, read_settings};

/// Say what a model folder holds
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Model folder, as `mue import` writes it
    model: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Info {
    parameters: usize,
    bytes: u64,
    d_model: usize,
    encoder_layers: usize,
    decoder_layers: usize,
    vocab_size: usize,
    image_tokens: usize,
    macs: Macs,
    settings: ModelSettings,
    calibration: Calibration,
}

/// Multiply-accumulates of a model's parts for one picture of its size.
#[derive(Debug, Serialize)]
struct Macs {
    stem: u64,
    image_layer: u64,
    cross_keys_values_layer: u64,
    decoder_layer_token: u64,
    head_token: u64,
}

/// Reads the folder and prints what it holds.
pub(crate) fn run(args: &InfoArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let info = read(args).map_err(|error| {
        let what = format!("cannot read the model {}", args.model.display());
        user_error(error.context(what), "give the folder that `mue import` wrote")
    })?;
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&info)?)?,
        false => print(out, args, &info)?,
    }
    Ok(())
}

fn read(args: &InfoArgs) -> anyhow::Result<Info> {
    let path = args.model.join("config.json");
    let config = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let config = OfaConfig::from_json(&config)?;
    let settings = read_settings(&args.model.join(SETTINGS))?;
    let calibration = read_calibration(&args.model)?.unwrap_or_default();
    let file = args.model.join("model.safetensors");
    let weights = Checkpoint::open(&file)?.into_canonical()?;
    let macs = MacModel::new(&config)?;
    let grid = Grid::of_pixels(settings.image_size, settings.image_size);
    let source = grid.tokens();
    Ok(Info {
        parameters: weights.tensors.values().map(|tensor| tensor.element_count()).sum(),
        bytes: std::fs::metadata(&file)?.len(),
        d_model: config.d_model,
        encoder_layers: config.encoder_layers,
        decoder_layers: config.decoder_layers,
        vocab_size: config.vocab_size,
        image_tokens: source,
        macs: Macs {
            stem: macs.stem(grid),
            image_layer: macs.encoder_layer(source),
            cross_keys_values_layer: macs.cross_keys_values(source),
            decoder_layer_token: macs.decoder_layer(1, source) + macs.self_keys_values(1),
            head_token: macs.head(),
        },
        settings,
        calibration,
    })
}

fn print(out: &mut dyn Write, args: &InfoArgs, info: &Info) -> anyhow::Result<()> {
    let mega = |macs: u64| macs as f64 / 1e6;
    let Info { settings, calibration, macs, .. } = info;
    writeln!(out, "{}", args.model.display())?;
    writeln!(
        out,
        "  {:.1} M parameters, {:.1} MB; width {}, {} + {} layers, {} token ids",
        info.parameters as f64 / 1e6,
        info.bytes as f64 / 1e6,
        info.d_model,
        info.encoder_layers,
        info.decoder_layers,
        info.vocab_size
    )?;
    writeln!(
        out,
        "  images {0} x {0} pixels, {1} tokens; {2} encoding",
        settings.image_size,
        info.image_tokens,
        format!("{:?}", settings.encoding).to_lowercase()
    )?;
    writeln!(
        out,
        "  MMAC: stem {:.2}, image layer {:.2}, cross-attention keys and values {:.2} per decoder \
         layer, decoder layer {:.2} per token, LM head {:.2} per token",
        mega(macs.stem),
        mega(macs.image_layer),
        mega(macs.cross_keys_values_layer),
        mega(macs.decoder_layer_token),
        mega(macs.head_token)
    )?;
    for (task, stated, found) in [
        ("caption", &settings.exits.caption, &calibration.caption),
        ("entailment", &settings.exits.entailment, &calibration.entailment),
    ] {
        writeln!(out, "  {task} exits: {}", exits(stated.as_ref(), found)?)?;
    }
    Ok(())
}

/// What `auto` means, and what is promised of it.
fn exits(stated: Option<&ExitRules>, found: &TaskCalibration) -> anyhow::Result<String> {
    let Some(rules) = found.default_rules(stated) else {
        let why = match found.points.is_empty() {
            true => "not calibrated",
            false => "none keep what was to be promised",
        };
        return Ok(format!("full depth ({why})"));
    };
    let promise = found
        .point_of(rules)
        .map(|point| format!(" ({:.1}% promised)", 100.0 * point.retention_low));
    Ok(serde_json::to_string(rules)? + &promise.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use mue_engine::{BranchRule, OperatingPoint};

    use super::*;

    #[test]
    fn exits_are_told_with_what_is_promised_of_them() {
        let rules = ExitRules { image: BranchRule::Fixed(2), ..ExitRules::default() };
        let point = OperatingPoint {
            exits: rules.clone(),
            retention: 0.99,
            retention_low: 0.978,
            confidence: 0.95,
            fresh: 1000,
            macs: 1.0,
            macs_full: 2.0,
            layers: [2.0, 6.0, 6.0],
            data: "scenes".into(),
            samples: 10,
        };
        let mut found = TaskCalibration::default();
        let said = |found: &TaskCalibration| exits(None, found).unwrap();
        assert_eq!(said(&found), "full depth (not calibrated)");
        found.points.push(point);
        assert_eq!(said(&found), "full depth (none keep what was to be promised)");
        found.auto = Some(rules.clone());
        assert!(said(&found).ends_with(" (97.8% promised)"), "{}", said(&found));
        let stated = ExitRules { image: BranchRule::Fixed(1), ..ExitRules::default() };
        assert_eq!(exits(Some(&stated), &found).unwrap(), serde_json::to_string(&stated).unwrap());
    }
}
