//! Sentences that a scene supports, contradicts or leaves open.
//!
//! A box may hide one object of any kind. A label is what holds however that turns out: yes or no
//! if it is the same with nothing and with any one object behind the box, else maybe. "The red
//! circle" means one that is seen.

mod count;
mod mention;
mod presence;
mod relation;
mod two_hop;

use super::layout::Layout;
use super::random::Random;

pub(super) use mention::OBJECT_WORDS;
pub(super) use presence::ATTRIBUTES;

/// What a hypothesis is about. Labels are even inside each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// "the small red circle is heavy": open, or false if there is none.
    Attribute,
    /// "there is a small red circle".
    Exists,
    /// "there is no small red circle".
    Negation,
    /// "the red circle is left of the blue ring".
    Relation,
    /// "there are three red circles".
    Count,
    /// "the ring left of the cross is small": which ring is meant has to be found first.
    TwoHop,
    /// "there are more circles than squares".
    Comparison,
}

/// Whether a scene supports a hypothesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SceneLabel {
    /// It does.
    Yes,
    /// It contradicts it.
    No,
    /// It does not tell.
    Maybe,
}

/// A sentence about a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hypothesis {
    /// What it is about.
    pub family: Family,
    /// The sentence: lower case, without a full stop.
    pub text: String,
    /// Whether the scene supports it.
    pub label: SceneLabel,
}

impl SceneLabel {
    /// Every label.
    pub const ALL: [Self; 3] = [Self::Yes, Self::No, Self::Maybe];

    /// The answer's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Maybe => "maybe",
        }
    }

    fn certain(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 7] = [
        Self::Attribute,
        Self::Exists,
        Self::Negation,
        Self::Relation,
        Self::Count,
        Self::TwoHop,
        Self::Comparison,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attribute => "attribute",
            Self::Exists => "exists",
            Self::Negation => "negation",
            Self::Relation => "relation",
            Self::Count => "count",
            Self::TwoHop => "two-hop",
            Self::Comparison => "comparison",
        }
    }

    /// The family of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// A sentence of the family with its label, if the scene has what it takes. That it has not
    /// is found before the label is drawn, or labels would not be even.
    fn statement(self, layout: &Layout, random: &mut Random) -> Option<(String, SceneLabel)> {
        match self {
            Self::Attribute => Some(presence::attribute(layout, random)),
            Self::Exists => Some(presence::exists(layout, random)),
            Self::Negation => Some(presence::negation(layout, random)),
            Self::Relation => relation::statement(layout, random),
            Self::Count => count::statement(layout, random),
            Self::TwoHop => two_hop::statement(layout, random),
            Self::Comparison => count::comparison(layout, random),
        }
    }
}

/// Odds of the families, in the order of [`Family::ALL`], in a scene without a box. Most scenes
/// lack what the later ones take, which is why their odds are higher than their shares.
const WITHOUT_BOX: [f32; 7] = [0.27, 0.21, 0.07, 0.45, 0.45, 1.0, 0.56];

/// The same in a scene with a box, where what is absent, and how many there are, is not certain.
const WITH_BOX: [f32; 7] = [0.0, 0.49, 0.18, 1.15, 0.0, 1.15, 0.0];

/// A hypothesis about the scene.
pub(super) fn draw(layout: &Layout, random: &mut Random) -> Hypothesis {
    let odds = if layout.box_cell.is_some() { WITH_BOX } else { WITHOUT_BOX };
    // Ends, since every scene has what "exists" takes.
    loop {
        let family = Family::ALL[random.weighted(odds)];
        if let Some((text, label)) = family.statement(layout, random) {
            return Hypothesis { family, text, label };
        }
    }
}
