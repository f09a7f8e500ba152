//! `mue info`: what a model folder holds.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use mue_engine::{ExitRules, ModelSettings};
use mue_model::weights::Checkpoint;
use mue_model::{Grid, MacModel, OfaConfig};
use serde::Serialize;

use crate::error::user_error;
use crate::model_files::{SETTINGS, read_settings};

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
    })
}

fn print(out: &mut dyn Write, args: &InfoArgs, info: &Info) -> anyhow::Result<()> {
    let giga = |macs: u64| macs as f64 / 1e9;
    let Info { settings, macs, .. } = info;
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
        "  images {0} x {0} pixels, {1} tokens; {2:?} encoding",
        settings.image_size, info.image_tokens, settings.encoding
    )?;
    writeln!(
        out,
        "  GMAC: stem {:.3}, image layer {:.3}, cross-attention keys and values {:.3} per decoder \
         layer, decoder layer {:.4} per token, LM head {:.4} per token",
        giga(macs.stem),
        giga(macs.image_layer),
        giga(macs.cross_keys_values_layer),
        giga(macs.decoder_layer_token),
        giga(macs.head_token)
    )?;
    writeln!(out, "  caption exits: {}", exits(settings.exits.caption.as_ref())?)?;
    writeln!(out, "  entailment exits: {}", exits(settings.exits.entailment.as_ref())?)?;
    Ok(())
}

fn exits(rules: Option<&ExitRules>) -> anyhow::Result<String> {
    Ok(match rules {
        Some(rules) => serde_json::to_string(rules)?,
        None => "as calibrated, else off".into(),
    })
}
