//! PyTorch's OFA, timed by its own script.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::{Args, Times};

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

    /// Runs the script and adds each stage's median.
    pub(crate) fn time(&self, times: &mut Times) -> anyhow::Result<()> {
        let output = Command::new(&self.python)
            .args(&self.arguments)
            .output()
            .with_context(|| format!("cannot start {}", self.python))?;
        let text = String::from_utf8_lossy(&output.stdout);
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let record: Value = serde_json::from_str(line)?;
            let stage = record["stage"].as_str().context("a record without a stage")?;
            let median = record["median_ms"].as_f64().context("a record without a time")?;
            times.entry(stage.to_owned()).or_default().push(median);
        }
        Ok(())
    }
}
