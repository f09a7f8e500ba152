//! Naming a data set on a command line or in a configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::dataset::{Dataset, DatasetOptions};
use super::error::DataError;
use super::sample::Task;
use crate::scenes::{SceneSet, Split, UnknownSplit};

/// `scenes:seed=S,count=N[,split=train|dev|test]`, or the path of a file or folder.
///
/// ```
/// use mue_data::datasets::{DataSpec, Task};
///
/// let spec: DataSpec = "scenes:seed=7,count=100,split=dev".parse()?;
/// let dataset = spec.open(Task::Caption, &Default::default())?;
/// assert_eq!(dataset.len(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSpec {
    /// Scenes; without a split, those to test on.
    Scenes {
        /// Which scenes.
        set: SceneSet,
        /// How many, from the first.
        count: usize,
    },
    /// An annotation file, or a folder with one.
    Path(PathBuf),
}

/// Why a text names no data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// There is no text.
    #[error("no data set is named; expected a path or {FORM}")]
    Empty,
    /// Not `key=value`.
    #[error("{0:?} is not KEY=VALUE; expected {FORM}")]
    NoValue(String),
    /// The key means nothing.
    #[error("scenes have no {0:?}; expected {FORM}")]
    UnknownKey(String),
    /// The key comes twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// The key has to be there.
    #[error("{0} is not given; expected {FORM}")]
    Missing(&'static str),
    /// The value is none.
    #[error("{key} is a number from {least} to {most}, not {value:?}")]
    Number {
        /// The key.
        key: &'static str,
        /// Least value.
        least: u64,
        /// Greatest value.
        most: u64,
        /// What was given.
        value: String,
    },
    /// The split is none.
    #[error(transparent)]
    Split(#[from] UnknownSplit),
}

const FORM: &str = "scenes:seed=S,count=N[,split=train|dev|test]";

const SCENES: &str = "scenes:";

/// More scenes than anybody waits for; the numbers of all of them fit into memory.
const COUNT_MAX: u64 = 100_000_000;

impl DataSpec {
    /// Opens what is named.
    ///
    /// # Errors
    ///
    /// As [`Dataset::open`]; scenes cannot fail.
    pub fn open(&self, task: Task, options: &DatasetOptions) -> Result<Dataset, DataError> {
        match self {
            Self::Scenes { set, count } => Ok(Dataset::scenes(*set, *count, task)),
            Self::Path(path) => Dataset::open(path, task, options),
        }
    }
}

impl fmt::Display for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenes { set, count } => {
                write!(f, "{SCENES}seed={},count={count},split={}", set.seed(), set.split())
            }
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl FromStr for DataSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match text.strip_prefix(SCENES) {
            Some(settings) => scenes(settings),
            None if text.trim().is_empty() => Err(SpecError::Empty),
            None => Ok(Self::Path(text.into())),
        }
    }
}

fn scenes(settings: &str) -> Result<DataSpec, SpecError> {
    let mut values = BTreeMap::new();
    for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| SpecError::NoValue(setting.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        if !["seed", "count", "split"].contains(&key) {
            return Err(SpecError::UnknownKey(key.to_owned()));
        }
        if values.insert(key, value).is_some() {
            return Err(SpecError::Twice(key.to_owned()));
        }
    }
    let number = |key: &'static str, (least, most): (u64, u64)| {
        let value = *values.get(key).ok_or(SpecError::Missing(key))?;
        let number = value.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| SpecError::Number { key, least, most, value: value.to_owned() })
    };
    let (seed, count) = (number("seed", (0, u64::MAX))?, number("count", (1, COUNT_MAX))?);
    let split = values.get("split").map_or(Ok(Split::Test), |split| split.parse())?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    Ok(DataSpec::Scenes { set: SceneSet::new(seed, split), count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        text.parse::<DataSpec>().unwrap_err().to_string()
    }

    #[test]
    fn scenes_are_named_by_seed_count_and_split() {
        let spec: DataSpec = "scenes:count=10, seed=3, split=dev".parse().unwrap();
        let set = SceneSet::new(3, Split::Dev);
        assert_eq!(spec, DataSpec::Scenes { set, count: 10 });
        assert_eq!(spec.to_string().parse::<DataSpec>().unwrap(), spec);
        let spec: DataSpec = "scenes:seed=3,count=10".parse().unwrap();
        assert_eq!(spec, DataSpec::Scenes { set: SceneSet::new(3, Split::Test), count: 10 });
    }

    #[test]
    fn anything_else_is_a_path() {
        for path in ["captions.json", "./scenes", "a=b,c"] {
            assert_eq!(path.parse::<DataSpec>().unwrap(), DataSpec::Path(path.into()));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("", "no data set"),
            ("scenes:", "seed is not given"),
            ("scenes:seed=1", "count is not given"),
            ("scenes:seed=1,count=0", "count is a number from 1 to 100000000, not \"0\""),
            ("scenes:seed=1,count=100000001", "to 100000000, not"),
            ("scenes:seed=-1,count=5", "seed is a number from 0 to 18446744073709551615, not"),
            ("scenes:seed=1,count=5,split=val", "\"val\" is not a split"),
            ("scenes:seed=1,count=5,sead=2", "scenes have no \"sead\""),
            ("scenes:seed=1,seed=2,count=5", "seed is given twice"),
            ("scenes:seed=1,count", "\"count\" is not KEY=VALUE"),
        ] {
            assert!(message(text).contains(expected), "{text}: {}", message(text));
        }
    }
}
