//! Scenes: pictures of a few coloured shapes with captions and hypotheses about them.
//!
//! A scene is a function of a seed, a split and an index and nothing else: it is the same on every
//! machine and needs no file. It shows one to five objects in a 3x3 grid and perhaps a box, which
//! may hide one more object; captions name what is seen, hypotheses are certainly true, certainly
//! false, or not to be decided from the picture.
//!
//! Shares of the hypotheses' families, and the labels that are even inside each:
//!
//! | family | without a box | with a box | labels |
//! |---|---|---|---|
//! | attribute | .27 | - | maybe; no |
//! | exists | .21 | .49 | yes; no, or maybe with a box |
//! | negation | .07 | .18 | no; yes, or maybe with a box |
//! | relation | .12 | .22 | yes; no |
//! | count | .09 | - | yes; no |
//! | two-hop | .10 | .11 | yes; no |
//! | comparison | .16 | - | yes; no |

mod caption;
mod hypothesis;
mod layout;
mod object;
mod picture;
mod random;
mod scene;
mod vocabulary;

pub use hypothesis::{Family, Hypothesis, SceneLabel};
pub use layout::Placed;
pub use object::{Colour, Object, Shape, Size};
pub use scene::{Scene, SceneSet, Split, UnknownSplit};
pub use vocabulary::{scenes_prompts, scenes_tokenizer, scenes_tokenizer_json, vocabulary};
