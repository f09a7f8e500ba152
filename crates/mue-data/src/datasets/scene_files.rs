//! Scenes as files, for those who want to look at them or to use them elsewhere.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::Serialize;

use super::sample::{Sample, SampleText, Task};
use super::snli_ve::{Label, Line};
use super::{DataError, Dataset};
use crate::picture::RgbImage;
use crate::scenes::{Scene, SceneSet};

/// Why scenes cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteScenesError {
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A sample cannot be had.
    #[error(transparent)]
    Sample(#[from] DataError),
}

/// COCO's caption annotations.
#[derive(Serialize)]
struct CocoFile {
    info: Info,
    licenses: [(); 0],
    images: Vec<CocoImage>,
    annotations: Vec<CocoCaption>,
}

#[derive(Serialize)]
struct Info {
    description: String,
}

#[derive(Serialize)]
struct CocoImage {
    id: usize,
    file_name: String,
    height: usize,
    width: usize,
}

#[derive(Serialize)]
struct CocoCaption {
    id: usize,
    image_id: usize,
    caption: String,
}

/// Writes the first scenes of a set into an empty folder: `images/NUMBER.png`, COCO's
/// `captions_SPLIT.json` and SNLI-VE's `snli_ve_SPLIT.jsonl`, the latter with each hypothesis's
/// family besides. Read back, they are the samples of [`Dataset::scenes`].
///
/// # Errors
///
/// If something cannot be written.
pub fn write_scenes(folder: &Path, set: SceneSet, count: usize) -> Result<(), WriteScenesError> {
    let images = folder.join("images");
    fs::create_dir(&images).map_err(failed(&images))?;
    for index in 0..count {
        let path = images.join(file_name(index));
        write_file(&path, |file| write_png(file, &set.scene(index as u64).image()))?;
    }
    let captions = captions(set, count)?;
    write_file(&folder.join(format!("captions_{}.json", set.split())), |file| {
        Ok(serde_json::to_writer(file, &captions)?)
    })?;
    let hypotheses = hypotheses(set, count)?;
    write_file(&folder.join(format!("snli_ve_{}.jsonl", set.split())), |file| {
        for line in &hypotheses {
            serde_json::to_writer(&mut *file, line)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
}

fn captions(set: SceneSet, count: usize) -> Result<CocoFile, DataError> {
    let mut file = CocoFile {
        info: Info { description: format!("scenes, seed {}, split {}", set.seed(), set.split()) },
        licenses: [],
        images: Vec::with_capacity(count),
        annotations: Vec::new(),
    };
    let dataset = Dataset::scenes(set, count, Task::Caption);
    for index in 0..count {
        let image = CocoImage {
            id: index,
            file_name: file_name(index),
            height: Scene::SIDE,
            width: Scene::SIDE,
        };
        file.images.push(image);
        if let SampleText::Captions(captions) = dataset.sample(index)?.text {
            for caption in captions {
                let id = file.annotations.len();
                file.annotations.push(CocoCaption { id, image_id: index, caption });
            }
        }
    }
    Ok(file)
}

fn hypotheses(set: SceneSet, count: usize) -> Result<Vec<Line>, DataError> {
    let dataset = Dataset::scenes(set, count, Task::Entailment);
    let mut lines = Vec::with_capacity(count);
    for index in 0..count {
        let Sample { id, text, .. } = dataset.sample(index)?;
        if let SampleText::Hypothesis { hypothesis, premise, label, family } = text {
            let label = Label::Agreed(label);
            let (picture, pair) = (file_name(index), Some(id));
            lines.push(Line { picture, pair, premise, hypothesis, label, family });
        }
    }
    Ok(lines)
}

fn file_name(index: usize) -> String {
    format!("{index:06}.png")
}

fn write_png(file: &mut BufWriter<File>, image: &RgbImage) -> io::Result<()> {
    let (width, height) = (image.width as u32, image.height as u32);
    PngEncoder::new(file)
        .write_image(&image.samples, width, height, ExtendedColorType::Rgb8)
        .map_err(io::Error::other)
}

fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), WriteScenesError> {
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush()
    });
    written.map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> WriteScenesError {
    move |source| WriteScenesError::Write { path: path.to_owned(), source }
}
