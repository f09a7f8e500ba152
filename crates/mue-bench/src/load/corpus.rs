//! The pictures and sentences that requests are about.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use mue_data::RgbImage;
use mue_data::datasets::DataSpec;
use mue_data::scenes::SceneSet;

use super::exits::ExitSetting;
use super::request::{Ask, Task};

/// Names of files that are sent, by their ends.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// Pictures in the order in which they are asked about, and the tasks they are asked for.
///
/// No picture comes twice before each has come once. They are made or read before a load begins, and
/// kept.
#[derive(Debug)]
pub struct Corpus {
    source: Source,
    hypotheses: Vec<String>,
    captions: f64,
    /// Made so far, in their order.
    pictures: Vec<Arc<Picture>>,
    asked: usize,
}

/// A picture ready to be sent, and what is judged about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) base64: Bytes,
    /// Empty if only captions are asked for.
    pub(super) hypothesis: String,
}

#[derive(Debug)]
enum Source {
    Scenes { set: SceneSet, count: usize },
    Files(Vec<PathBuf>),
}

/// Why there is no corpus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds nothing to send.
    #[error("{0} holds no picture (png, jpg, webp, gif, bmp, tif)")]
    Empty(PathBuf),
    /// Files have no sentences.
    #[error("pictures of a folder need a hypothesis to be judged")]
    NoHypothesis,
    /// A scene cannot be encoded.
    #[error("cannot encode a picture")]
    Encode(#[from] image::ImageError),
}

impl Corpus {
    /// Scenes, or the pictures of a folder; of the requests, a share of `captions` (0 to 1) asks for
    /// captions and the rest judges hypotheses, which without any given are the scenes' own.
    ///
    /// # Errors
    ///
    /// If a folder cannot be read or is empty, or has no hypothesis and needs one.
    pub fn open(
        data: &DataSpec,
        hypotheses: Vec<String>,
        captions: f64,
    ) -> Result<Self, CorpusError> {
        let source = match data {
            DataSpec::Scenes { set, count } => Source::Scenes { set: *set, count: *count },
            DataSpec::Path(path) => Source::Files(pictures_in(path)?),
        };
        if matches!(source, Source::Files(_)) && hypotheses.is_empty() && captions < 1.0 {
            return Err(CorpusError::NoHypothesis);
        }
        Ok(Self { source, hypotheses, captions, pictures: Vec::new(), asked: 0 })
    }

    /// Pictures that there are.
    pub fn pictures(&self) -> usize {
        match &self.source {
            Source::Scenes { count, .. } => *count,
            Source::Files(paths) => paths.len(),
        }
    }

    /// Requests made so far.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// The next requests. Past the last picture, the first comes again.
    ///
    /// # Errors
    ///
    /// If a picture cannot be read.
    pub fn asks(&mut self, count: usize, exit: &ExitSetting) -> Result<Vec<Ask>, CorpusError> {
        let needed = self.pictures().min(self.asked.saturating_add(count));
        for index in self.pictures.len()..needed {
            let picture = self.make(index)?;
            self.pictures.push(Arc::new(picture));
        }
        let asks = (self.asked..self.asked + count).map(|place| Ask {
            task: self.task(place),
            picture: Arc::clone(&self.pictures[place % self.pictures.len()]),
            exit: exit.clone(),
        });
        let asks = asks.collect();
        self.asked += count;
        Ok(asks)
    }

    /// Spread evenly: a request asks for a caption when their share passes a whole.
    fn task(&self, place: usize) -> Task {
        let captions = |requests: usize| (requests as f64 * self.captions).floor();
        match captions(place + 1) > captions(place) {
            true => Task::Caption,
            false => Task::Entailment,
        }
    }

    fn make(&self, index: usize) -> Result<Picture, CorpusError> {
        let given = self.hypotheses.get(index % self.hypotheses.len().max(1)).cloned();
        match &self.source {
            Source::Scenes { set, .. } => {
                let scene = set.scene(index as u64);
                let own = || scene.hypotheses(1).pop().map(|own| own.text).unwrap_or_default();
                let base64 = BASE64_STANDARD.encode(png(&scene.image())?).into();
                Ok(Picture { base64, hypothesis: given.unwrap_or_else(own) })
            }
            Source::Files(paths) => {
                let path = &paths[index];
                let bytes = fs::read(path).map_err(unreadable(path))?;
                let base64 = BASE64_STANDARD.encode(bytes).into();
                Ok(Picture { base64, hypothesis: given.unwrap_or_default() })
            }
        }
    }
}

fn png(picture: &RgbImage) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Vec::new();
    let (width, height) = (picture.width as u32, picture.height as u32);
    PngEncoder::new(&mut bytes).write_image(
        &picture.samples,
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

/// The pictures of a folder by name; one file is itself.
fn pictures_in(path: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(unreadable(path))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(unreadable(path))?;
    paths.retain(|path| {
        let ending = path.extension().and_then(OsStr::to_str).map(str::to_lowercase);
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
    });
    paths.sort();
    match paths.is_empty() {
        true => Err(CorpusError::Empty(path.to_owned())),
        false => Ok(paths),
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> CorpusError {
    move |source| CorpusError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use mue_data::{ImageLimits, Orientation, decode_image};

    use super::*;

    fn scenes(count: usize, captions: f64) -> Corpus {
        let spec = format!("scenes:seed=1,count={count}").parse().unwrap();
        Corpus::open(&spec, Vec::new(), captions).unwrap()
    }

    fn off() -> ExitSetting {
        "off".parse().unwrap()
    }

    #[test]
    fn pictures_are_distinct_until_all_have_come() {
        let mut corpus = scenes(3, 0.5);
        let mut asks = corpus.asks(2, &off()).unwrap();
        asks.extend(corpus.asks(2, &off()).unwrap());
        let pictures: Vec<_> = asks.iter().map(|ask| &ask.picture.base64).collect();
        assert!(pictures[0] != pictures[1] && pictures[1] != pictures[2]);
        assert_eq!(pictures[0], pictures[3]);
        assert_eq!((corpus.pictures(), corpus.asked()), (3, 4));
        let bytes = BASE64_STANDARD.decode(pictures[0]).unwrap();
        assert!(decode_image(&bytes, ImageLimits::default(), Orientation::Apply).is_ok());
    }

    #[test]
    fn tasks_are_mixed_as_asked() {
        for (captions, expected) in [(0.0, 0), (0.25, 2), (1.0, 8)] {
            let asks = scenes(2, captions).asks(8, &off()).unwrap();
            let found = asks.iter().filter(|ask| ask.task == Task::Caption).count();
            assert_eq!(found, expected, "{captions}");
        }
    }

    #[test]
    fn a_folder_gives_its_pictures_and_needs_hypotheses() {
        let folder = tempfile::tempdir().unwrap();
        let spec = DataSpec::Path(folder.path().to_owned());
        fs::write(folder.path().join("notes.txt"), "not sent").unwrap();
        assert!(matches!(Corpus::open(&spec, Vec::new(), 1.0), Err(CorpusError::Empty(_))));
        fs::write(folder.path().join("b.PNG"), "b").unwrap();
        fs::write(folder.path().join("a.jpg"), "a").unwrap();
        assert!(matches!(Corpus::open(&spec, Vec::new(), 0.5), Err(CorpusError::NoHypothesis)));
        let mut corpus = Corpus::open(&spec, vec!["a dog".to_owned()], 0.5).unwrap();
        let asks = corpus.asks(2, &off()).unwrap();
        let of = |ask: &Ask| (ask.picture.base64.clone(), ask.picture.hypothesis.clone());
        assert_eq!(of(&asks[0]), (BASE64_STANDARD.encode("a").into(), "a dog".to_owned()));
        assert_eq!(of(&asks[1]).0, BASE64_STANDARD.encode("b"));
    }
}
