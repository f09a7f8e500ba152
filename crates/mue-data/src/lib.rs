//! What goes into a model and what comes out: pictures, texts and prompts.
//!
//! Pictures are decoded ([`decode_image`]) within limits that are checked before any pixel is,
//! and resized as OFA's published results were made ([`preprocess`]). Texts become token ids and
//! back by [`Tokenizer`]; [`Prompts`] holds what a model is asked. [`scenes`] makes the pictures and
//! sentences that the demo model learns from, and [`datasets`] reads those of others.

mod caption;
pub mod datasets;
mod picture;
mod prompt;
mod resize;
pub mod scenes;
mod tokenizer;
mod tokenizer_files;

pub use caption::{trim_caption, without_punctuation};
pub use picture::{ImageError, ImageLimits, Orientation, RgbImage, decode_image};
pub use prompt::{PromptError, Prompts, clean_sentence};
pub use resize::{PixelTensor, preprocess, resize};
pub use tokenizer::{PieceDecoder, Tokenizer, TokenizerError};
pub use tokenizer_files::build_tokenizer;
