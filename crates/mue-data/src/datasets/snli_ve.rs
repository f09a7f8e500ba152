//! Hypotheses in SNLI-VE's files: a JSON object per line.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::error::DataError;
use super::json::{Object, skip_byte_order_mark};
use super::problem::{Problem, Problems};
use super::sample::{EntailmentLabel, SampleText};

/// A line of an SNLI-VE file, as far as it is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// The picture; releases spell the key in different ways.
    #[serde(
        rename = "Flickr30K_ID",
        alias = "Flickr30k_ID",
        alias = "Flickr30kID",
        alias = "Flickr30KID",
        alias = "Flikr30K_ID",
        alias = "Flikr30kID",
        alias = "Flikr30KID"
    )]
    pub(super) picture: String,
    #[serde(rename = "pairID", skip_serializing_if = "Option::is_none")]
    pub(super) pair: Option<String>,
    /// The premise.
    #[serde(rename = "sentence1", skip_serializing_if = "Option::is_none")]
    pub(super) premise: Option<String>,
    /// The hypothesis.
    #[serde(rename = "sentence2")]
    pub(super) hypothesis: String,
    #[serde(rename = "gold_label")]
    pub(super) label: Label,
    /// Ours: the kind of hypothesis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) family: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Label {
    Agreed(EntailmentLabel),
    /// The annotators did not agree.
    Disputed(Dash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Dash {
    #[serde(rename = "-")]
    Dash,
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let found = Value::deserialize(json)?;
        match (found.as_str(), EntailmentLabel::deserialize(&found)) {
            (Some("-"), _) => Ok(Self::Disputed(Dash::Dash)),
            (Some(_), Ok(label)) => Ok(Self::Agreed(label)),
            _ => {
                let known = "entailment, neutral, contradiction or -";
                Err(D::Error::custom(format!("gold_label is {found}, not {known}")))
            }
        }
    }
}

/// Where each usable line of a file starts. Lines themselves are read when they are wanted.
#[derive(Debug)]
pub(super) struct LineIndex {
    path: PathBuf,
    file: Mutex<BufReader<File>>,
    lines: Vec<LinePlace>,
    /// Lines without an agreed label.
    pub(super) disputed: usize,
}

#[derive(Clone, Copy, Debug)]
struct LinePlace {
    offset: u64,
    /// From 1.
    number: usize,
}

impl LineIndex {
    /// Reads every line once.
    pub(super) fn build(path: &Path, problems: &mut Problems) -> Result<Self, DataError> {
        let mut file = BufReader::new(File::open(path).map_err(DataError::read(path))?);
        let mark = skip_byte_order_mark(&mut file).map_err(DataError::read(path))?;
        let mut index = Self {
            path: path.to_owned(),
            file: Mutex::new(open(path)?),
            lines: vec![],
            disputed: 0,
        };
        let mut bytes = Vec::new();
        let mut place = LinePlace { offset: mark as u64, number: 1 };
        loop {
            bytes.clear();
            let length = file.read_until(b'\n', &mut bytes).map_err(DataError::read(path))?;
            if length == 0 {
                return Ok(index);
            }
            if !bytes.trim_ascii().is_empty() {
                match index.parse(&bytes, place) {
                    Ok(Line { label: Label::Disputed(_), .. }) => index.disputed += 1,
                    Ok(_) => index.lines.push(place),
                    Err(problem) => problems.record(problem)?,
                }
            }
            place = LinePlace { offset: place.offset + length as u64, number: place.number + 1 };
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// `file:line` of a sample.
    pub(super) fn place(&self, index: usize) -> String {
        format!("{}:{}", self.path.display(), self.lines[index].number)
    }

    /// A usable line: its name, its picture and its text.
    pub(super) fn read(&self, index: usize) -> Result<(String, String, SampleText), DataError> {
        let place = self.lines[index];
        let mut bytes = Vec::new();
        {
            // A panic elsewhere leaves nothing half done here: every read seeks first.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(place.offset)).map_err(DataError::read(&self.path))?;
            file.read_until(b'\n', &mut bytes).map_err(DataError::read(&self.path))?;
        }
        let line = self.parse(&bytes, place).map_err(DataError::Sample)?;
        let Label::Agreed(label) = line.label else {
            let changed = "the line has changed since the file was opened";
            return Err(DataError::Sample(Problem::new(self.place(index), changed)));
        };
        let id = line.pair.unwrap_or_else(|| place.number.to_string());
        let text = SampleText::Hypothesis {
            hypothesis: line.hypothesis,
            premise: line.premise.filter(|premise| !premise.trim().is_empty()),
            label,
            family: line.family,
        };
        Ok((id, picture_name(line.picture), text))
    }

    fn parse(&self, bytes: &[u8], place: LinePlace) -> Result<Line, Problem> {
        let at = || format!("{}:{}", self.path.display(), place.number);
        let Object(line): Object<Line> =
            serde_json::from_slice(bytes).map_err(|error| Problem::of_error(at(), &error))?;
        match line.hypothesis.trim().is_empty() {
            true => Err(Problem::new(at(), "sentence2 is empty")),
            false => Ok(line),
        }
    }
}

fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    // A buffer of one line or so: what follows a line is rarely wanted next.
    Ok(BufReader::with_capacity(1 << 10, File::open(path).map_err(DataError::read(path))?))
}

/// Flickr30k's pictures are named by number alone, and are JPEGs.
fn picture_name(id: String) -> String {
    match Path::new(&id).extension() {
        Some(_) => id,
        None => format!("{id}.jpg"),
    }
}
