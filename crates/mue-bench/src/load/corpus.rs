//! The pictures and sentences that requests are about.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use mue_data::RgbImage;
use mue_data::datasets::DataSpec;
use mue_data::scenes::SceneSet;
use serde::Serialize;

use super::exits::ExitSetting;
use super::request::Ask;
use super::share::is_of_share;

/// Names of files that are sent, by their ends.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// Pictures in the order in which they are asked about, and the tasks they are asked for.
///
/// No picture comes twice before each has come once. They are made or read before a load begins, and
/// kept.
#[derive(Debug)]
pub struct Corpus {
    source: Source,
    hypotheses: Vec<Arc<str>>,
    captions: f64,
    /// Made so far, in their order.
    pictures: Vec<Arc<Picture>>,
    /// Requests made so far.
    made: usize,
    /// Entailments among them.
    judged: usize,
}

/// Requests that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// All of them.
    #[serde(rename = "requests")]
    pub sent: usize,
    /// Those about a picture that had been sent before.
    pub repeats: usize,
}

/// A picture ready to be sent.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) base64: Bytes,
    /// What a scene itself gives to be judged; empty for a file.
    hypothesis: Arc<str>,
    /// Requests about it that were sent.
    sent: AtomicUsize,
}

impl Picture {
    fn new(base64: impl Into<Bytes>, hypothesis: impl Into<Arc<str>>) -> Self {
        let (base64, hypothesis) = (base64.into(), hypothesis.into());
        Self { base64, hypothesis, sent: AtomicUsize::new(0) }
    }

    /// Counts a request about it that is sent now.
    pub(super) fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }
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
    /// captions and the rest judges hypotheses in turn, which without any given are the scenes' own.
    ///
    /// # Errors
    ///
    /// If a folder or a picture in it cannot be read, or the folder is empty, or has no hypothesis
    /// and needs one.
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
        let hypotheses = hypotheses.into_iter().map(Arc::from).collect();
        Ok(Self { source, hypotheses, captions, pictures: Vec::new(), made: 0, judged: 0 })
    }

    /// Pictures that there are.
    pub fn pictures(&self) -> usize {
        match &self.source {
            Source::Scenes { count, .. } => *count,
            Source::Files(paths) => paths.len(),
        }
    }

    /// Requests sent so far. Of those made, a closed loop leaves what it had no time for, and an open
    /// one what was due while too many were under way.
    pub fn asked(&self) -> Requests {
        let sent = self.pictures.iter().map(|picture| picture.sent.load(Ordering::Relaxed));
        sent.fold(Requests::default(), |sum, sent| Requests {
            sent: sum.sent + sent,
            repeats: sum.repeats + sent.saturating_sub(1),
        })
    }

    /// The next requests. Past the last picture, the first comes again.
    ///
    /// # Errors
    ///
    /// If a picture cannot be read.
    pub fn asks(&mut self, count: usize, exit: &ExitSetting) -> Result<Vec<Ask>, CorpusError> {
        let needed = self.pictures().min(self.made.saturating_add(count));
        for index in self.pictures.len()..needed {
            let picture = self.make(index)?;
            self.pictures.push(Arc::new(picture));
        }
        let exit = Arc::new(exit.clone());
        Ok((0..count).map(|_| self.ask(&exit)).collect())
    }

    /// About the next picture. Each pass over the pictures begins one task later, so that a picture
    /// is not always asked about in the same way.
    fn ask(&mut self, exit: &Arc<ExitSetting>) -> Ask {
        let (pass, index) = (self.made / self.pictures(), self.made % self.pictures());
        let picture = Arc::clone(&self.pictures[index]);
        let hypothesis = (!is_of_share(index + pass, self.captions)).then(|| {
            let given = self.hypotheses.get(self.judged % self.hypotheses.len().max(1));
            self.judged += 1;
            Arc::clone(given.unwrap_or(&picture.hypothesis))
        });
        self.made += 1;
        Ask { picture, hypothesis, exit: Arc::clone(exit) }
    }

    fn make(&self, index: usize) -> Result<Picture, CorpusError> {
        match &self.source {
            Source::Scenes { set, .. } => {
                let scene = set.scene(index as u64);
                let own = scene.hypotheses(1).pop().map(|own| own.text).unwrap_or_default();
                Ok(Picture::new(BASE64_STANDARD.encode(png(&scene.image())?), own))
            }
            Source::Files(paths) => {
                let path = &paths[index];
                let bytes = fs::read(path).map_err(unreadable(path))?;
                Ok(Picture::new(BASE64_STANDARD.encode(bytes), ""))
            }
        }
    }
}

#[cfg(test)]
impl Picture {
    pub(super) fn made_up(base64: &'static str) -> Self {
        Self::new(base64, "")
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

/// The pictures of a folder by name; one file is itself. All can be opened.
fn pictures_in(path: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    if path.is_file() {
        File::open(path).map_err(unreadable(path))?;
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(unreadable(path))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(unreadable(path))?;
    paths.retain(|path| {
        let ending = path.extension().and_then(OsStr::to_str).map(str::to_lowercase);
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && path.is_file()
    });
    paths.sort();
    for path in &paths {
        File::open(path).map_err(unreadable(path))?;
    }
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
        assert_eq!((corpus.pictures(), corpus.asked()), (3, Requests::default()), "none was sent");
        let bytes = BASE64_STANDARD.decode(pictures[0]).unwrap();
        assert!(decode_image(&bytes, ImageLimits::default(), Orientation::Apply).is_ok());
    }

    #[test]
    fn a_picture_comes_again_when_it_is_sent_again() {
        let mut corpus = scenes(3, 0.5);
        let asks = corpus.asks(6, &off()).unwrap();
        // The first picture twice, the second once, the third never.
        for place in [0, 1, 3] {
            asks[place].picture.count_sent();
        }
        assert_eq!(corpus.asked(), Requests { sent: 3, repeats: 1 });
    }

    #[test]
    fn tasks_are_mixed_as_asked() {
        for (captions, expected) in [(0.0, 0), (0.25, 2), (1.0, 8)] {
            let asks = scenes(2, captions).asks(8, &off()).unwrap();
            let found = asks.iter().filter(|ask| ask.hypothesis.is_none()).count();
            assert_eq!(found, expected, "{captions}");
        }
    }

    #[test]
    fn every_hypothesis_is_judged_whatever_the_mix() {
        let given = ["a dog", "a cat"].map(str::to_owned).to_vec();
        let mut corpus =
            Corpus::open(&"scenes:seed=1,count=4".parse().unwrap(), given, 0.5).unwrap();
        let asks = corpus.asks(8, &off()).unwrap();
        let judged: Vec<_> = asks.iter().filter_map(|ask| ask.hypothesis.as_deref()).collect();
        assert_eq!(judged, ["a dog", "a cat", "a dog", "a cat"]);
    }

    #[test]
    fn a_picture_that_comes_again_is_asked_about_in_another_way() {
        for count in [3, 4] {
            let asks = scenes(count, 0.5).asks(2 * count, &off()).unwrap();
            for (first, second) in asks[..count].iter().zip(&asks[count..]) {
                assert!(Arc::ptr_eq(&first.picture, &second.picture));
                assert_ne!(first.hypothesis.is_some(), second.hypothesis.is_some(), "{count}");
            }
        }
    }

    #[test]
    fn a_folder_gives_its_pictures_and_needs_hypotheses() {
        let folder = tempfile::tempdir().unwrap();
        let spec = DataSpec::Path(folder.path().to_owned());
        fs::write(folder.path().join("notes.txt"), "not sent").unwrap();
        fs::create_dir(folder.path().join("folder.png")).unwrap();
        assert!(matches!(Corpus::open(&spec, Vec::new(), 1.0), Err(CorpusError::Empty(_))));
        fs::write(folder.path().join("b.PNG"), "b").unwrap();
        fs::write(folder.path().join("a.jpg"), "a").unwrap();
        assert!(matches!(Corpus::open(&spec, Vec::new(), 0.5), Err(CorpusError::NoHypothesis)));
        let mut corpus = Corpus::open(&spec, vec!["a dog".to_owned()], 0.5).unwrap();
        let asks = corpus.asks(2, &off()).unwrap();
        let pictures: Vec<_> = asks.iter().map(|ask| &ask.picture.base64).collect();
        assert_eq!(pictures, [&BASE64_STANDARD.encode("a"), &BASE64_STANDARD.encode("b")]);
        assert_eq!(asks[0].hypothesis.as_deref(), Some("a dog"));
    }
}
