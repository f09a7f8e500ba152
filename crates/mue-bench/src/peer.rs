//! PyTorch's OFA, timed by its own script.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;

use crate::Args;
use crate::rounds::{Rounds, Summary};

/// A line of the script's: what a stage took.
#[derive(Debug, Deserialize)]
struct Record {
    stage: String,
    median_ms: f64,
    min_ms: f64,
}

/// How the script is called.
pub(crate) struct Peer {
    python: String,
    arguments: Vec<String>,
}

impl Peer {
    pub(crate) fn new(python: &Path, args: &Args) -> Self {
        let modelscope = args.modelscope.as_deref().unwrap_or(Path::new(".peer/modelscope"));
        let arguments = [
            args.peer_script.display().to_string(),
            format!("--modelscope={}", modelscope.display()),
            format!("--size={}", args.size),
            format!("--pixels={}", args.pixels),
            format!("--tokens={}", args.tokens),
            format!("--threads={}", args.threads),
            format!("--runs={}", args.runs),
            "--dtypes=float32".to_owned(),
        ];
        Self { python: python.display().to_string(), arguments: arguments.to_vec() }
    }

    /// Runs the script and adds a round of every stage.
    pub(crate) fn time(&self, rounds: &mut Rounds) -> anyhow::Result<()> {
        let output = Command::new(&self.python)
            .args(&self.arguments)
            .output()
            .with_context(|| format!("cannot start {}", self.python))?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        add(&String::from_utf8_lossy(&output.stdout), rounds)
    }
}

/// Adds what a run of the script printed.
fn add(printed: &str, rounds: &mut Rounds) -> anyhow::Result<()> {
    for line in printed.lines().filter(|line| line.starts_with('{')) {
        let Record { stage, median_ms: median, min_ms: least } = serde_json::from_str(line)
            .with_context(|| format!("the peer's line is no record of a stage: {line}"))?;
        rounds.add(&stage, Summary { median, least });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_minimum_is_that_of_its_runs() {
        let mut rounds = Rounds::default();
        for times in [r#""min_ms": 3.5, "median_ms": 5.0"#, r#""min_ms": 4, "median_ms": 4.5"#] {
            let record = format!(r#"{{"peer": "pytorch", "batch": 1, "stage": "stem", {times}}}"#);
            add(&format!("a warning\n{record}\n"), &mut rounds).unwrap();
        }
        assert_eq!(rounds.summary("stem"), Some(Summary { median: 4.5, least: 3.5 }));
        assert!(add(r#"{"stage": "stem", "median_ms": 5.0}"#, &mut rounds).is_err());
    }
}
