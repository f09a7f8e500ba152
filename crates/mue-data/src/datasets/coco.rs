//! Captions in COCO's own annotation files and in Karpathy's split.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::DataError;
use super::json::{Object, skip_byte_order_mark};
use super::problem::{Problem, Problems};

/// A picture with its reference captions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CaptionEntry {
    pub(super) id: u64,
    /// File name, with a folder where the annotations have one.
    pub(super) name: String,
    pub(super) captions: Vec<String>,
}

/// The pictures of a file.
#[derive(Debug)]
pub(super) struct CaptionFile {
    pub(super) entries: Vec<CaptionEntry>,
    /// Splits that were taken; none of a file that does not tell them apart.
    pub(super) splits: Vec<String>,
}

/// COCO's own files have `annotations`; in Karpathy's, pictures have `sentences`.
#[derive(Deserialize)]
struct AnnotationFile {
    images: Vec<Entry<Image>>,
    annotations: Option<Vec<Entry<Object<Caption>>>>,
}

/// An entry, or something that is none: one bad entry should not cost the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry<T> {
    Good(T),
    Bad(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Image {
    Official(Object<OfficialImage>),
    Karpathy(Object<KarpathyImage>),
}

#[derive(Deserialize)]
struct OfficialImage {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct KarpathyImage {
    filename: String,
    #[serde(default)]
    filepath: String,
    cocoid: Option<u64>,
    imgid: Option<u64>,
    split: String,
    sentences: Vec<Object<Sentence>>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: String,
}

#[derive(Deserialize)]
struct Caption {
    image_id: u64,
    caption: String,
}

/// Reads the file whole: captions of a picture are scattered over it.
pub(super) fn read(
    path: &Path,
    splits: &[String],
    problems: &mut Problems,
) -> Result<CaptionFile, DataError> {
    let mut file = BufReader::new(File::open(path).map_err(DataError::read(path))?);
    skip_byte_order_mark(&mut file).map_err(DataError::read(path))?;
    let Object(file): Object<AnnotationFile> = serde_json::from_reader(file)
        .map_err(|source| DataError::Annotations { path: path.to_owned(), source })?;
    let is_official = matches!(file.images.first(), Some(Entry::Good(Image::Official(_))));
    let mut reader = Reader { path, problems };
    match file.annotations {
        Some(captions) => reader.official(file.images, captions),
        None if is_official => Err(DataError::NoCaptions { path: path.to_owned() }),
        None => reader.karpathy(file.images, splits),
    }
}

struct Reader<'a> {
    path: &'a Path,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn official(
        &mut self,
        images: Vec<Entry<Image>>,
        captions: Vec<Entry<Object<Caption>>>,
    ) -> Result<CaptionFile, DataError> {
        let mut entries = Vec::with_capacity(images.len());
        let mut places = HashMap::with_capacity(images.len());
        for (index, image) in images.into_iter().enumerate() {
            match image {
                Entry::Good(Image::Official(Object(OfficialImage { id, file_name: name }))) => {
                    if places.contains_key(&id) {
                        self.problem("images", index, format!("id {id} is there twice"))?;
                        continue;
                    }
                    places.insert(id, entries.len());
                    entries.push((index, CaptionEntry { id, name, captions: Vec::new() }));
                }
                _ => self.problem("images", index, "expected an id and a file_name")?,
            }
        }
        for (index, caption) in captions.into_iter().enumerate() {
            let Entry::Good(Object(Caption { image_id, caption })) = caption else {
                self.problem("annotations", index, "expected an image_id and a caption")?;
                continue;
            };
            match places.get(&image_id) {
                _ if caption.trim().is_empty() => {
                    self.problem("annotations", index, "the caption is empty")?;
                }
                Some(place) => entries[*place].1.captions.push(caption),
                None => {
                    self.problem("annotations", index, format!("there is no image {image_id}"))?
                }
            }
        }
        Ok(CaptionFile { entries: self.with_captions(entries)?, splits: Vec::new() })
    }

    fn karpathy(
        &mut self,
        images: Vec<Entry<Image>>,
        splits: &[String],
    ) -> Result<CaptionFile, DataError> {
        let mut entries = Vec::new();
        let (mut found, mut ids) = (BTreeSet::new(), HashSet::new());
        for (index, image) in images.into_iter().enumerate() {
            let Entry::Good(Image::Karpathy(Object(image))) = image else {
                let expected = "expected a filename, a split and sentences";
                self.problem("images", index, expected)?;
                continue;
            };
            let wanted = splits.is_empty() || splits.contains(&image.split);
            found.insert(image.split);
            if wanted {
                let id = image.cocoid.or(image.imgid).unwrap_or(index as u64);
                if !ids.insert(id) {
                    self.problem("images", index, format!("id {id} is there twice"))?;
                    continue;
                }
                let captions = image.sentences.into_iter().map(|Object(sentence)| sentence.raw);
                let name = match &image.filepath[..] {
                    "" => image.filename,
                    folder => format!("{folder}/{}", image.filename),
                };
                let entry = CaptionEntry {
                    id,
                    name,
                    captions: captions.filter(|caption| !caption.trim().is_empty()).collect(),
                };
                entries.push((index, entry));
            }
        }
        let known = splits.iter().all(|split| found.contains(split));
        let taken =
            if splits.is_empty() { found.iter().cloned().collect() } else { splits.to_vec() };
        if !known || (splits.is_empty() && found.len() > 1) {
            let splits = found.into_iter().collect();
            return Err(DataError::Splits { path: self.path.to_owned(), splits });
        }
        Ok(CaptionFile { entries: self.with_captions(entries)?, splits: taken })
    }

    fn with_captions(
        &mut self,
        entries: Vec<(usize, CaptionEntry)>,
    ) -> Result<Vec<CaptionEntry>, DataError> {
        let mut kept = Vec::with_capacity(entries.len());
        for (index, entry) in entries {
            match entry.captions.is_empty() {
                true => self.problem("images", index, format!("{} has no caption", entry.name))?,
                false => kept.push(entry),
            }
        }
        Ok(kept)
    }

    fn problem(
        &mut self,
        list: &str,
        index: usize,
        message: impl Into<String>,
    ) -> Result<(), DataError> {
        let place = format!("{}: {list}[{index}]", self.path.display());
        self.problems.record(Problem::new(place, message))
    }
}
