//! `mue scenes`: the demo model's pictures and sentences as files.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use mue_data::datasets::write_scenes;
use mue_data::scenes::{SceneSet, Split};
use mue_model::weights::OutputFolder;

use crate::error::user_error;

const LONG_ABOUT: &str = "\
Write scenes as files: pictures of coloured shapes with captions and hypotheses.

DIR holds images/NUMBER.png, captions_SPLIT.json as COCO has it and snli_ve_SPLIT.jsonl
as SNLI-VE has it, and appears when it is complete. Seed, split and number decide a
scene: it is the same on every machine, and `--data scenes:seed=S,count=N,split=SPLIT`
names the same samples without any file. Splits share no scene.";

const EXAMPLES: &str = "\
Examples:
  mue scenes --out scenes --count 100
  mue scenes --out dev --count 5000 --seed 7 --split dev";

/// Write the demo model's pictures and sentences as files
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct ScenesArgs {
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of scenes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Which scenes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// What they are for: train, dev or test
    #[arg(long, value_name = "SPLIT", default_value_t = Split::Test)]
    split: Split,
    /// Replace the folder if it exists
    #[arg(long)]
    force: bool,
}

/// Writes the scenes.
pub(crate) fn run(args: &ScenesArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = OutputFolder::create(&args.out, args.force)
        .map_err(|error| user_error(error, "name another folder, or add --force"))?;
    let set = SceneSet::new(args.seed, args.split);
    write_scenes(folder.path(), set, args.count as usize)?;
    folder.commit()?;
    writeln!(out, "wrote {} scenes ({}) into {}", args.count, args.split, args.out.display())?;
    Ok(())
}
