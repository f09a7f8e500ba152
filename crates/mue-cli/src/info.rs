//! `mue info`: what a model holds.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use mue_engine::{
    Calibration, ExitRules, ModelFolder, ModelSettings, ModelSource, TaskCalibration,
};
use mue_model::{Grid, MacModel};
use serde::Serialize;

use crate::error::user_error;

/// Say what a model holds
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Model folder, as `mue import` writes it [default: the demo model in this binary]
    model: Option<PathBuf>,
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

/// Opens the model and prints what it holds.
pub(crate) fn run(args: &InfoArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let source = args.model.clone().map_or(ModelSource::Demo, ModelSource::Folder);
    let info = read(&source).map_err(|error| {
        let error = error.context(format!("cannot read the model {source}"));
        user_error(error, "give the folder that `mue import` wrote")
    })?;
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&info)?)?,
        false => print(out, &source, &info)?,
    }
    Ok(())
}

fn read(source: &ModelSource) -> anyhow::Result<Info> {
    let folder = ModelFolder::open(source.clone())?;
    let (config, settings) = (folder.config(), folder.settings().clone());
    let macs = MacModel::new(config)?;
    let grid = Grid::of_pixels(settings.image_size, settings.image_size);
    let source = grid.tokens();
    let weights = folder.weights().values();
    let (parameters, bytes) = weights.fold((0, 0), |(parameters, bytes), tensor| {
        (
            parameters + tensor.element_count(),
            bytes + (tensor.element_count() * tensor.dtype().size()) as u64,
        )
    });
    Ok(Info {
        parameters,
        bytes,
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
        calibration: folder.calibration().clone(),
    })
}

fn print(out: &mut dyn Write, source: &ModelSource, info: &Info) -> anyhow::Result<()> {
    let mega = |macs: u64| macs as f64 / 1e6;
    let Info { settings, calibration, macs, .. } = info;
    writeln!(out, "{source}")?;
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
    let promise =
        found.point_of(rules).map(|point| format!(" ({:.2}% promised)", 100.0 * point.promise()));
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
        assert!(said(&found).ends_with(" (97.80% promised)"), "{}", said(&found));
        let stated = ExitRules { image: BranchRule::Fixed(1), ..ExitRules::default() };
        assert_eq!(exits(Some(&stated), &found).unwrap(), serde_json::to_string(&stated).unwrap());
    }
}
