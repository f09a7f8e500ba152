//! What can go wrong in a pull, and what the user can do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::client::RequestError;
use crate::error::{failure, user_error};

/// A pull that did not reach its end. Nothing has been put at the target.
#[derive(Debug, thiserror::Error)]
pub(super) enum PullError {
    #[error("{} already exists", .0.display())]
    TargetExists(PathBuf),
    #[error("{} cannot be replaced", .0.display())]
    TargetNotFolder(PathBuf),
    #[error("another pull is writing to {}", .0.display())]
    Busy(PathBuf),
    #[error("cannot get {what}")]
    Hub { what: String, source: RequestError },
    #[error("cannot understand the hub's description of {repo}")]
    Listing { repo: String, source: serde_json::Error },
    #[error("cannot understand the hub's description of {0}: it names no commit")]
    Commit(String),
    #[error("{0} has no weights that mue can read, or several")]
    NoWeights(String),
    #[error("the repository has a file with the unsafe name {0:?}")]
    UnsafeName(String),
    #[error("the hub gives no checksum and size for {0}")]
    NoChecksum(String),
    #[error("the connection broke {received} bytes into {name}")]
    Interrupted { name: String, received: u64, source: Option<io::Error> },
    #[error("{name} arrived damaged: its checksum is {actual}, not {expected}")]
    Damaged { name: String, expected: String, actual: String },
    #[error("cannot {action} {}", path.display())]
    Disk { action: &'static str, path: PathBuf, source: io::Error },
}

impl PullError {
    /// For `map_err` on a file operation.
    pub(super) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { action, path, source }
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Interrupted { .. } => true,
            Self::Hub { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// Adds the remedy and the exit code.
    pub(super) fn explain(self) -> anyhow::Error {
        match self {
            Self::TargetExists(_) => user_error(self, "choose another --out or pass --force"),
            Self::TargetNotFolder(_) => user_error(self, "choose another --out"),
            Self::Busy(_) => user_error(self, "wait until it ends or choose another --out"),
            Self::NoWeights(_) => {
                let remedy = "choose a repository with model.safetensors, pytorch_model.bin or one \
                              .pt file, or fetch every file (--all) and name one to `mue import`";
                user_error(self, remedy)
            }
            Self::Hub { ref source, .. } => {
                let remedy = source.remedy();
                if source.is_transient() { failure(self, remedy) } else { user_error(self, remedy) }
            }
            Self::Listing { .. } | Self::Commit(_) | Self::NoChecksum(_) => {
                user_error(self, "check that --endpoint is the address of a Hugging Face hub")
            }
            Self::UnsafeName(_) => user_error(self, "do not trust this repository"),
            Self::Interrupted { .. } => {
                failure(self, "run the same command again to go on from there")
            }
            Self::Damaged { .. } => failure(self, "run the same command again to fetch it anew"),
            Self::Disk { .. } => user_error(self, "check the folder's permissions and free space"),
        }
    }
}
