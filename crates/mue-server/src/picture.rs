//! Pictures of a request: base64 to pixels, a bounded number at a time, off the async threads.

mod text;

use axum::body::Bytes;
use mue_data::{ImageLimits, Orientation, decode_image, preprocess};
use mue_engine::Image;
use tokio::task::JoinHandle;

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
    /// Bytes of all pictures that are fetched for a request.
    fetched_bytes_max: usize,
}

impl Preprocessor {
    /// For pictures of `side` x `side` pixels.
    pub(crate) fn new(config: &Config, side: usize) -> Self {
        let (pool, limits) = (Pool::new(config.preprocess_max), config.image_limits());
        let (fetcher, fetched_bytes_max) = (Fetcher::new(config), config.body_bytes_max);
        Self { pool, limits, side, fetcher, fetched_bytes_max }
    }

    /// Where it works.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Fetches, decodes and resizes the pictures of one request, as places are free.
    ///
    /// # Errors
    ///
    /// If one of them is no picture, or too large.
    pub(crate) async fn prepare(&self, pictures: Vec<Picture>) -> Result<Vec<Image>, Problem> {
        let mut tasks = Vec::with_capacity(pictures.len());
        for picture in self.fetch(pictures).await? {
            tasks.push(self.start(picture).await);
        }
        let mut images = Vec::with_capacity(tasks.len());
        for (place, task) in tasks.into_iter().enumerate() {
            let image = task.await.map_err(|_| internal())?;
            images.push(image.map_err(|problem| problem.about(&format!("image {place}")))?);
        }
        Ok(images)
    }

    /// Fetches those that are elsewhere, one after the other and together no more than a body may
    /// hold.
    async fn fetch(&self, mut pictures: Vec<Picture>) -> Result<Vec<Picture>, Problem> {
        let mut left = self.fetched_bytes_max;
        for (place, picture) in pictures.iter_mut().enumerate() {
            let Picture::Url(url) = picture else { continue };
            let fetched = self.fetcher.fetch(std::mem::take(url), left.min(self.limits.bytes_max));
            let about = |problem: Problem| problem.about(&format!("image {place}"));
            let bytes = fetched.await.map_err(about)?;
            left -= bytes.len();
            *picture = Picture::File(bytes);
        }
        Ok(pictures)
    }

    async fn start(&self, picture: Picture) -> JoinHandle<Result<Image, Problem>> {
        let (limits, side) = (self.limits, self.side);
        let decode = move || {
            let picture = match picture {
                Picture::Text(text) => {
                    decode_image(&text::bytes(&text)?, limits, Orientation::Apply)
                }
                Picture::File(bytes) => decode_image(&bytes, limits, Orientation::Apply),
                // Fetched before.
                Picture::Url(_) => return Err(internal()),
            }?;
            Ok(Image::new(preprocess(&picture, side, side)))
        };
        self.pool.start(decode).await
    }
}

fn internal() -> Problem {
    Problem::new(Code::Internal, "preprocessing failed")
}
