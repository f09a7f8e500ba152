//! Endless scenes, by number.

use std::fmt;
use std::str::FromStr;

use super::caption::captions;
use super::hypothesis::{Hypothesis, draw};
use super::layout::{CELLS, Layout, Placed};
use super::object::Object;
use super::picture::paint;
use super::random::{Purpose, Random};
use crate::picture::RgbImage;

/// What scenes are for. No scene of one split is drawn from the random numbers of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Split {
    /// To learn from.
    Train = 0,
    /// To choose settings and thresholds by.
    Dev = 1,
    /// To report figures on.
    Test = 2,
}

/// Not the name of a split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a split; there are train, dev and test")]
pub struct UnknownSplit(pub String);

impl Split {
    /// Every split.
    pub const ALL: [Self; 3] = [Self::Train, Self::Dev, Self::Test];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(name: &str) -> Result<Self, UnknownSplit> {
        let split = Self::ALL.into_iter().find(|split| split.name() == name);
        split.ok_or_else(|| UnknownSplit(name.to_owned()))
    }
}

/// The scenes of a seed and a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SceneSet {
    pub(super) seed: u64,
    pub(super) split: Split,
}

impl SceneSet {
    /// Scenes by seed and split; as many as a `u64` counts.
    pub fn new(seed: u64, split: Split) -> Self {
        Self { seed, split }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The split.
    pub fn split(&self) -> Split {
        self.split
    }

    /// One of them. Costs about a microsecond; pictures and texts are made when asked for.
    pub fn scene(&self, index: u64) -> Scene {
        let layout = Layout::draw(&mut Random::new(*self, Purpose::Layout, index));
        Scene { set: *self, index, layout }
    }
}

/// A picture and what is true of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    set: SceneSet,
    index: u64,
    layout: Layout,
}

impl Scene {
    /// Height and width of the picture in pixels.
    pub const SIDE: usize = super::picture::SIDE;

    /// Its number.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The picture, [`Scene::SIDE`] pixels square.
    pub fn image(&self) -> RgbImage {
        paint(&self.layout, &mut Random::new(self.set, Purpose::Pixels, self.index))
    }

    /// Five captions; the first is the canonical one, which a model learns to say.
    pub fn captions(&self) -> [String; 5] {
        captions(&self.layout)
    }

    /// The first hypotheses of an endless sequence: more of them begin with the same.
    ///
    /// Each draws its family first and then, with even odds, whether it holds, so that neither
    /// the family nor the words tell the label. The same hypothesis may come twice.
    pub fn hypotheses(&self, count: usize) -> Vec<Hypothesis> {
        let mut random = Random::new(self.set, Purpose::Hypotheses, self.index);
        (0..count).map(|_| draw(&self.layout, &mut random)).collect()
    }

    /// What is seen in each cell of the 3x3 grid, in reading order.
    pub fn cells(&self) -> [Option<Object>; CELLS] {
        self.layout.cells
    }

    /// The objects seen, in reading order.
    pub fn objects(&self) -> Vec<Placed> {
        self.layout.placed()
    }

    /// The cell of the box that may hide one more object, if there is a box.
    pub fn box_cell(&self) -> Option<usize> {
        self.layout.box_cell
    }

    /// How hard the picture is to read, from 0 to 1.
    pub fn difficulty(&self) -> f32 {
        self.layout.difficulty
    }
}
