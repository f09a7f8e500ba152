//! Pictures of a request: base64 to pixels, a bounded number at a time, off the async threads.

mod text;

use std::sync::Arc;

use axum::body::Bytes;
use mue_data::{ImageLimits, Orientation, decode_image, preprocess};
use mue_engine::Image;

use crate::bodies::HeldBytes;
use crate::config::Config;
use crate::fetch::{Fetcher, is_url};
use crate::pool::Pool;
use crate::problem::{Code, Problem};

pub(crate) use self::text::{PATTERN, is_uri};

/// A picture as it was sent.
pub(crate) enum Picture {
    /// In base64 or as a data URI.
    Text(String),
    /// Where to fetch it.
    Url(String),
    /// As a file.
    File(Bytes),
}

impl From<String> for Picture {
    fn from(text: String) -> Self {
        match text.trim_ascii() {
            url if is_url(url) => Self::Url(url.to_owned()),
            _ => Self::Text(text),
        }
    }
}

/// The pictures of a request, which come in one of three ways.
///
/// # Errors
///
/// If they come in none, or in several.
pub(crate) fn pictures(
    image: Option<String>,
    images: Option<Vec<String>>,
    parts: Vec<Picture>,
) -> Result<Vec<Picture>, Problem> {
    match (image, images, parts.as_slice()) {
        (Some(image), None, []) => Ok(vec![image.into()]),
        (None, Some(images), []) => Ok(images.into_iter().map(Into::into).collect()),
        (None, None, [_, ..]) => Ok(parts),
        (None, None, []) => Err(Problem::invalid("there is no picture; send it as image")),
        _ => Err(Problem::invalid("send either image or images")),
    }
}

/// Makes pictures what the model takes.
pub(crate) struct Preprocessor {
    pool: Pool,
    limits: ImageLimits,
    /// Height and width of the model's pictures.
    side: usize,
    fetcher: Fetcher,
}

impl Preprocessor {
    /// For pictures of `side` x `side` pixels.
    pub(crate) fn new(config: &Config, side: usize) -> Self {
        let (pool, limits) = (Pool::new(config.preprocess_max), config.image_limits());
        Self { pool, limits, side, fetcher: Fetcher::new(config) }
    }

    /// Where it works.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Fetches those pictures of a request that are elsewhere.
    ///
    /// # Errors
    ///
    /// If one of them cannot be fetched, or they are too large.
    pub(crate) async fn fetch(
        &self,
        mut pictures: Vec<Picture>,
        held: &Arc<HeldBytes>,
    ) -> Result<Vec<Picture>, Problem> {
        let mut urls = Vec::new();
        for (place, picture) in pictures.iter_mut().enumerate() {
            if let Picture::Url(url) = picture {
                urls.push((place, std::mem::take(url)));
            }
        }
        for (place, bytes) in self.fetcher.fetch(urls, held).await? {
            pictures[place] = Picture::File(bytes);
        }
        Ok(pictures)
    }

    /// Decodes and resizes the pictures of a request, as places are free.
    ///
    /// # Errors
    ///
    /// If one of them is no picture, or too large.
    pub(crate) async fn decode(
        &self,
        pictures: Vec<Picture>,
        held: &Arc<HeldBytes>,
    ) -> Result<Vec<Image>, Problem> {
        let (limits, side) = (self.limits, self.side);
        let work = |(place, picture): (usize, Picture)| {
            let held = Arc::clone(held);
            move || {
                // To the end, though nobody may wait for it any more.
                let _held = held;
                let about = |problem: Problem| problem.about(&format!("image {place}"));
                image(picture, limits, side).map_err(about)
            }
        };
        let works = pictures.into_iter().enumerate().map(work).collect();
        self.pool.all(works).await.map_err(|_| internal())?
    }
}

/// A picture as a model takes it that is for pictures of `side` x `side` pixels.
fn image(picture: Picture, limits: ImageLimits, side: usize) -> Result<Image, Problem> {
    let picture = match picture {
        Picture::Text(text) => decode_image(&text::bytes(&text)?, limits, Orientation::Apply),
        Picture::File(bytes) => decode_image(&bytes, limits, Orientation::Apply),
        // Fetched before.
        Picture::Url(_) => return Err(internal()),
    }?;
    Ok(Image::new(preprocess(&picture, side, side)))
}

fn internal() -> Problem {
    Problem::new(Code::Internal, "preprocessing failed")
}
