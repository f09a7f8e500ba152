//! The settings under comparison, as written on the command line.

use std::str::FromStr;

use anyhow::Context;
use mue_batcher::{Config, Policy};

/// A batcher's settings under the name that tables show.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// As typed.
    pub name: String,
    /// As meant.
    pub config: Config,
    /// Whether rows that have left a branch are gathered out; else they are computed on until the
    /// slowest of their batch leaves.
    pub shrinks: bool,
}

impl FromStr for Setup {
    type Err = anyhow::Error;

    /// Reads `continuous`, `static` or `padded`, and behind a colon the knobs that differ from the
    /// defaults, such as `continuous:rows_max=32,refill_rows_min=8`. Padded batches are static, and
    /// their layers do not shrink either.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (policy, knobs) = text.split_once(':').unwrap_or((text, ""));
        let (policy, shrinks) = match policy {
            "continuous" => (Policy::default(), true),
            "static" => (Policy::Static, true),
            "padded" => (Policy::Static, false),
            other => anyhow::bail!("no policy is called {other}: continuous, static or padded"),
        };
        let mut config = Config { policy, ..Config::default() };
        for knob in knobs.split(',').filter(|knob| !knob.is_empty()) {
            let (key, value) = knob.split_once('=').context("a knob is KEY=VALUE")?;
            set(&mut config, key, value.parse().with_context(|| format!("{knob} is no number"))?)?;
        }
        config.validate()?;
        Ok(Self { name: text.to_owned(), config, shrinks })
    }
}

fn set(config: &mut Config, key: &str, value: u32) -> anyhow::Result<()> {
    let rows = value as usize;
    match (key, &mut config.policy) {
        ("queue_rows_max", _) => config.queue_rows_max = rows,
        ("rows_max", _) => config.rows_max = rows,
        ("cohort_rows_max", _) => config.cohort_rows_max = rows,
        ("wait_ms_max", _) => config.wait_max = std::time::Duration::from_millis(value.into()),
        ("encode_steps_max", Policy::Continuous { encode_steps_max, .. }) => {
            *encode_steps_max = value;
        }
        ("decode_steps_max", Policy::Continuous { decode_steps_max, .. }) => {
            *decode_steps_max = value;
        }
        ("refill_rows_min", Policy::Continuous { refill_rows_min, .. }) => *refill_rows_min = rows,
        (key, _) => anyhow::bail!("this policy has no knob {key}"),
    }
    Ok(())
}

/// Values of one knob to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    key: String,
    values: Vec<u32>,
}

impl FromStr for Axis {
    type Err = anyhow::Error;

    /// Reads `KEY=VALUE,VALUE`.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (key, values) = text.split_once('=').context("expected KEY=VALUE,VALUE")?;
        let values = values.split(',').map(str::parse).collect::<Result<_, _>>();
        Ok(Self { key: key.to_owned(), values: values.context("the values must be numbers")? })
    }
}

/// Continuous batching with every combination of the values.
///
/// # Errors
///
/// If a knob does not exist or a value makes no sense.
pub fn combinations(axes: &[Axis]) -> anyhow::Result<Vec<Setup>> {
    let mut lists = vec![String::new()];
    for Axis { key, values } in axes {
        let longer = |list: &String| {
            let separator = if list.is_empty() { "" } else { "," };
            let list = list.clone();
            values.iter().map(move |value| format!("{list}{separator}{key}={value}"))
        };
        lists = lists.iter().flat_map(longer).collect();
    }
    lists.iter().map(|list| format!("continuous:{list}").parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setup_says_only_what_differs() {
        let setup: Setup = "continuous:rows_max=32,refill_rows_min=9".parse().unwrap();
        let policy =
            Policy::Continuous { encode_steps_max: 1, decode_steps_max: 4, refill_rows_min: 9 };
        assert_eq!(setup.config, Config { rows_max: 32, policy, ..Config::default() });
        assert!(setup.shrinks);
    }

    #[test]
    fn padded_batches_are_static_and_do_not_shrink() {
        let of = |text: &str| text.parse::<Setup>().unwrap();
        let (padded, still) = (of("padded:rows_max=8"), of("static:rows_max=8"));
        assert_eq!(padded.config, still.config);
        assert!(still.shrinks && !padded.shrinks);
    }

    #[test]
    fn what_no_policy_knows_is_refused() {
        for text in ["dynamic", "static:refill_rows_min=1", "static:rows_max", "static:rows_max=0"]
        {
            assert!(text.parse::<Setup>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_combination_is_made_once() {
        let axes: Vec<Axis> =
            ["rows_max=8,16", "encode_steps_max=1,2,3"].map(|axis| axis.parse().unwrap()).to_vec();
        let names: Vec<String> =
            combinations(&axes).unwrap().into_iter().map(|setup| setup.name).collect();
        assert_eq!(names.len(), 6);
        assert_eq!(names[5], "continuous:rows_max=16,encode_steps_max=3");
    }
}
