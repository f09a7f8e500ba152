//! `mue pull`: fetches a model folder from a Hugging Face hub.

mod checksum;
mod client;
mod download;
mod error;
mod folder;
mod hub;
mod progress;
mod retry;
mod select;

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::HumanBytes;

use self::client::{Client, Endpoint, Token};
use self::download::Source;
use self::error::PullError;
use self::folder::{PartialFolder, Target};
use self::hub::{Hub, RemoteFile, RepoName};
use self::progress::Progress;

const HUGGING_FACE: &str = "https://huggingface.co";

const LONG_ABOUT: &str = "\
Fetch a model folder from a Hugging Face hub.

Fetched are config.json, mue.json, calibration.json, tokenizer.json, vocab.json and
merges.txt, encoder.json, vocab.bpe and dict.txt, where the repository has them, and
the weights: model.safetensors, else all shards *.safetensors with their index, else
pytorch_model.bin, else its shards with their index, else the only .pt or .pth file.
With --all, every file.

All files come from one commit, and each is checked against the hub's checksum. The
folder appears when all are complete; until then the downloads are in DIR.partial,
from where the same command goes on after an interruption.";

const EXAMPLES: &str = "\
Examples:
  mue pull OFA-Sys/ofa-base-caption                     into ./ofa-base-caption
  mue pull OFA-Sys/ofa-base --revision 1a2b3c --out m   one commit, into ./m
  HF_TOKEN=hf_... mue pull me/private-ofa               a private repository
  mue pull OFA-Sys/ofa-base --endpoint https://hub.example.org";

/// Fetch a model folder from a Hugging Face hub
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct PullArgs {
    /// Repository on the hub, as OWNER/NAME
    repo: RepoName,
    /// Branch, tag or commit
    #[arg(long, default_value = "main")]
    revision: String,
    /// Folder to make [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the folder if it exists
    #[arg(long)]
    force: bool,
    /// Fetch every file of the repository
    #[arg(long)]
    all: bool,
    /// Address of the hub; MUE_HUB_ENDPOINT or else HF_ENDPOINT changes the default
    #[arg(long, value_name = "URL", default_value = default_endpoint())]
    endpoint: Endpoint,
    /// Access token; better given by the environment, where other users cannot see it
    #[arg(long, env = "HF_TOKEN", hide_env_values = true)]
    token: Option<Token>,
}

fn default_endpoint() -> String {
    ["MUE_HUB_ENDPOINT", "HF_ENDPOINT"]
        .into_iter()
        .filter_map(|name| env::var(name).ok())
        .find(|address| !address.is_empty())
        .unwrap_or_else(|| HUGGING_FACE.to_owned())
}

/// Fetches the repository and says on `out` what came.
pub(crate) fn run(args: &PullArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from(args.repo.last_part()));
    let pulled = pull(args, &folder).map_err(PullError::explain)?;
    let count = match pulled.files.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    let bytes = HumanBytes(pulled.files.iter().map(|file| file.size).sum());
    writeln!(
        out,
        "pulled {} at commit {} into {}: {count}, {bytes}",
        args.repo,
        pulled.commit,
        folder.display()
    )?;
    Ok(())
}

struct Pulled {
    commit: String,
    files: Vec<RemoteFile>,
}

fn pull(args: &PullArgs, folder: &Path) -> Result<Pulled, PullError> {
    let target = Target::new(folder, args.force)?;
    let client = Client::new(args.endpoint.clone(), args.token.clone());
    let hub = Hub { client, repo: args.repo.clone() };
    let progress = Progress::new();

    let pulled = describe(args, &hub, &progress)?;
    let partial = PartialFolder::open(target)?;
    progress.begin(pulled.files.iter().map(|file| file.size).sum());
    let source = Source { hub: &hub, commit: &pulled.commit, progress: &progress };
    for file in &pulled.files {
        download::fetch(&source, file, &partial.download_path(file))?;
    }
    partial.publish(&pulled.files)?;
    Ok(pulled)
}

/// Chooses the files and asks for their sizes and checksums, before anything is written.
fn describe(args: &PullArgs, hub: &Hub, progress: &Progress) -> Result<Pulled, PullError> {
    let snapshot = retry::retrying(progress, || hub.snapshot(&args.revision))?;
    let names = if args.all { snapshot.names } else { select::needed(&snapshot.names) };
    if names.is_empty() {
        return Err(PullError::NoWeights(args.repo.to_string()));
    }
    if let Some(name) = names.iter().find(|name| select::relative_path(name).is_none()) {
        return Err(PullError::UnsafeName(name.clone()));
    }
    let files = names
        .iter()
        .map(|name| retry::retrying(progress, || hub.describe(&snapshot.commit, name)))
        .collect::<Result<_, _>>()?;
    Ok(Pulled { commit: snapshot.commit, files })
}
