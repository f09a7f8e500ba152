//! Pictures with captions or hypotheses, from annotation files or made on the spot.
//!
//! A [`DataSpec`] names a data set and opens it as a [`Dataset`], whose [`Sample`]s are all alike
//! wherever they come from; a [`Loader`] decodes their pictures ahead of use. What cannot be read
//! is a [`Problem`] with its place: it is counted, and past a stated number it is an error.

mod coco;
mod dataset;
mod error;
mod find;
mod json;
mod loader;
mod order;
mod problem;
mod sample;
mod scene_files;
mod snli_ve;
mod spec;

pub use dataset::{Dataset, DatasetOptions};
pub use error::DataError;
pub use loader::{Loaded, Loader, LoaderConfig};
pub use order::shuffled;
pub use problem::{Problem, Problems};
pub use sample::{EntailmentLabel, PictureError, PictureSource, Sample, SampleText, Task};
pub use scene_files::{WriteScenesError, write_scenes};
pub use spec::{DataSpec, SpecError};
