//! Log lines on standard error, for people or for programs.

use anyhow::{Context, anyhow};
use mue_server::{Config, LogFormat};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::error::user_error;
use crate::serve::spans::Exporter;

/// What hears of spans and events.
pub(super) type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Which lines are written.
///
/// # Errors
///
/// If `log_level` is neither a level nor a list of levels by module.
pub(super) fn filter(config: &Config) -> anyhow::Result<Targets> {
    let levels = &config.log_level;
    let wrong = |cause: String| {
        let error = anyhow!("log_level {levels:?}: {cause}");
        user_error(error, "it is such as `info` or `warn,mue_server=debug`")
    };
    // A word alone would be read as a module of which all is written, and of the others nothing.
    let mut words = levels.split(',').filter(|part| !part.contains('='));
    if let Some(word) = words.find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(wrong(format!("{word:?} is no level")));
    }
    levels.parse::<Targets>().map_err(|error| wrong(error.to_string()))
}

/// Writes them, and exports spans, from now on.
///
/// # Errors
///
/// If this process does so already.
pub(super) fn start(
    format: LogFormat,
    filter: Targets,
    exporter: Option<&Exporter>,
) -> anyhow::Result<()> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: BoxedLayer = match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_span_list(false);
            lines.with_filter(filter).boxed()
        }
    };
    let layers: Vec<_> = [lines].into_iter().chain(exporter.map(Exporter::layer)).collect();
    Registry::default().with(layers).try_init().context("cannot write log lines")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_may_be_by_module() {
        let filter = |level: &str| {
            filter(&Config { log_level: level.into(), ..Config::default() }).map(drop)
        };
        for level in ["info", "WARN", "off", "warn,mue_server=debug"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["mue_server=loud", "loud", "inof", "warn,mue_server"] {
            let error = filter(level).unwrap_err().to_string();
            assert!(error.contains("log_level"), "{level}: {error}");
        }
    }
}
