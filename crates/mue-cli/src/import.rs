//! `mue import`: from the checkpoints people have to one model folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use mue_data::{Tokenizer, build_tokenizer};
use mue_engine::{DeviceChoice, Encoding, ModelFolder, ModelSettings, OpenError};
use mue_model::weights::{
    CanonicalWeights, Checkpoint, FloatStorage, InferredDimensions, OutputFolder,
};
use mue_model::{Ofa, OfaConfig};

use crate::data::say;
use crate::error::user_error;
use crate::model_files::{ModelFiles, NOT_CALIBRATED, SETTINGS, read_settings};

const LONG_ABOUT: &str = "\
Convert an OFA or MuE checkpoint into a model folder.

SOURCE is a Hugging Face style folder (config.json with model.safetensors or
pytorch_model.bin, sharded or not), a fairseq .pt file, or a folder that holds one.
The tokenizer is built from tokenizer.json, from vocab.json and merges.txt, or from
fairseq's encoder.json, vocab.bpe and dict.txt; --tokenizer says where they are if not
beside the weights. Without a config.json the dimensions are read off the weights.

The folder holds model.safetensors, config.json, tokenizer.json and mue.json, and
appears when it is complete.";

const EXAMPLES: &str = "\
Examples:
  mue import ./ofa-base-caption --out ofa-base
  mue import caption_base_best.pt --tokenizer OFA/utils/BPE --out ofa-base
  mue import mue_caption.pt --tokenizer OFA/utils/BPE --encoding decomposed \\
    --no-image-relative-bias --out mue-base";

/// Convert an OFA or MuE checkpoint into a model folder
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct ImportArgs {
    /// Checkpoint file or folder
    source: PathBuf,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder with the tokenizer's files [default: beside the weights]
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Configuration [default: config.json beside the weights, else read off them]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Height and width of the pictures in pixels, as the model was trained: published OFA captioning and
    /// SNLI-VE models take 480, the pretrained ofa-base 384, ofa-tiny 256 [default: as mue.json beside the
    /// weights says, else 480]
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<usize>,
    /// How image and text are encoded [default: as mue.json beside the weights says, else joint]
    #[arg(long, value_enum)]
    encoding: Option<EncodingArg>,
    /// Leave the image branch's relative bias out, as the MuE authors' released code does
    #[arg(long)]
    no_image_relative_bias: bool,
    /// Keep 16-bit weights as they are
    #[arg(long)]
    keep_half: bool,
    /// Replace the folder if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EncodingArg {
    /// Together, as plain OFA is trained
    Joint,
    /// Apart, as MuE trains
    Decomposed,
}

/// Reads the checkpoint, checks that it is a model, and writes the folder.
pub(crate) fn run(args: &ImportArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let imported = import(args).map_err(|error| {
        let error = error.context(format!("cannot import {}", args.source.display()));
        user_error(error, "`mue help import` says what is read")
    })?;
    writeln!(
        out,
        "imported {} tensors ({:.1} M parameters) into {}",
        imported.tensors,
        imported.parameters as f64 / 1e6,
        args.out.display()
    )?;
    Ok(())
}

struct Imported {
    tensors: usize,
    parameters: usize,
}

fn import(args: &ImportArgs) -> anyhow::Result<Imported> {
    let folder = OutputFolder::create(&args.out, args.force)?;
    let weights = Checkpoint::open(&args.source)?.into_canonical()?;
    let config = config(args, &weights)?;
    let vocabulary = args.tokenizer.as_deref().unwrap_or(beside(&args.source));
    let tokenizer = build_tokenizer(vocabulary)
        .context("its tokenizer is needed too; --tokenizer says where it is")?;
    let ids = Tokenizer::from_json(&tokenizer)?.vocab_size();
    anyhow::ensure!(
        ids <= config.vocab_size,
        "the tokenizer has {ids} ids and the model embeds {}",
        config.vocab_size
    );
    check_loads(&weights, &config)?;
    let storage = if args.keep_half { FloatStorage::KeepHalf } else { FloatStorage::Float32 };
    let files = ModelFiles { config, tokenizer, settings: settings(args)? };
    let outdated = files.write(&folder, (&weights.tensors, storage), beside(&args.source))?;
    check_opens(folder.path())?;
    folder.commit()?;
    if outdated {
        say("left out: calibration.json", NOT_CALIBRATED);
    }
    let parameters = weights.tensors.values().map(|tensor| tensor.element_count()).sum();
    Ok(Imported { tensors: weights.tensors.len(), parameters })
}

/// The folder that a checkpoint's other files are in.
fn beside(source: &Path) -> &Path {
    match source.is_dir() {
        true => source,
        false => match source.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        },
    }
}

fn config(args: &ImportArgs, weights: &CanonicalWeights) -> anyhow::Result<OfaConfig> {
    let read = |file: &Path| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    };
    let own = beside(&args.source).join("config.json");
    let text = match &args.config {
        Some(file) => Some(read(file)?),
        None if own.is_file() => Some(read(&own)?).filter(|text| is_of_ofa(text)),
        None => None,
    };
    let mut config = match text {
        Some(text) => OfaConfig::from_json(&text)?,
        None => OfaConfig::from_dimensions(&InferredDimensions::infer(&weights.tensors)?)?,
    };
    config.image_relative_bias &= !args.no_image_relative_bias;
    Ok(config)
}

/// Whether a `config.json` is about OFA: others lie beside checkpoints too.
fn is_of_ofa(text: &str) -> bool {
    // What cannot be read is left to whoever reads it.
    serde_json::from_str(text).map_or(true, |config: serde_json::Value| {
        config.get("d_model").is_some() || config.get("model_type").is_some_and(|it| it == "ofa")
    })
}

/// Builds the model once, so that weights of another model are refused before they are written.
fn check_loads(weights: &CanonicalWeights, config: &OfaConfig) -> anyhow::Result<()> {
    let device = DeviceChoice::Flex.open().or_else(|_| DeviceChoice::Auto.open())?;
    Ofa::from_tensors(&weights.tensors, config.clone(), &device.device)?;
    Ok(())
}

/// Opens what was written, as every command will.
fn check_opens(folder: &Path) -> anyhow::Result<()> {
    match ModelFolder::open(folder) {
        Ok(_) => Ok(()),
        Err(OpenError::Setting { what: "image_size", found, most }) => Err(anyhow::anyhow!(
            "pictures of {found} pixels do not fit the model, which takes 1 to {most}: name \
             another --image-size"
        )),
        Err(error) => Err(anyhow::Error::new(error).context("no command could open the folder")),
    }
}

fn settings(args: &ImportArgs) -> anyhow::Result<ModelSettings> {
    let own = beside(&args.source).join(SETTINGS);
    let mut settings = match own.is_file() {
        true => read_settings(&own)?,
        false => {
            ModelSettings { image_size: 480, encoding: Encoding::Joint, ..ModelSettings::default() }
        }
    };
    if let Some(image_size) = args.image_size {
        settings.image_size = image_size;
    }
    match args.encoding {
        Some(EncodingArg::Joint) => settings.encoding = Encoding::Joint,
        Some(EncodingArg::Decomposed) => settings.encoding = Encoding::Decomposed,
        None => {}
    }
    Ok(settings)
}
