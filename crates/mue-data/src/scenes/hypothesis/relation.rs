//! Hypotheses about where two objects lie.

use super::super::layout::{Layout, Placed};
use super::super::random::Random;
use super::SceneLabel;
use super::mention::Mention;

/// Where one cell lies from another: by column or by row, whatever the other of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    LeftOf,
    RightOf,
    Above,
    Below,
}

impl Direction {
    pub(super) const ALL: [Self; 4] = [Self::LeftOf, Self::RightOf, Self::Above, Self::Below];

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::LeftOf => "left of",
            Self::RightOf => "right of",
            Self::Above => "above",
            Self::Below => "below",
        }
    }

    /// Whether `a` lies in this direction from `b`.
    pub(super) fn holds(self, a: Placed, b: Placed) -> bool {
        match self {
            Self::LeftOf => a.column() < b.column(),
            Self::RightOf => a.column() > b.column(),
            Self::Above => a.row() < b.row(),
            Self::Below => a.row() > b.row(),
        }
    }

    fn inverse(self) -> Self {
        match self {
            Self::LeftOf => Self::RightOf,
            Self::RightOf => Self::LeftOf,
            Self::Above => Self::Below,
            Self::Below => Self::Above,
        }
    }
}

/// "the red circle is left of the blue ring", both being the only ones of their kind.
pub(super) fn statement(layout: &Layout, random: &mut Random) -> Option<(String, SceneLabel)> {
    let objects = layout.placed();
    let unique: Vec<Placed> = objects
        .iter()
        .copied()
        .filter(|placed| Mention::coloured(placed.object).count(&objects) == 1)
        .collect();
    let first = random.choose(&unique)?;
    let others: Vec<Placed> = unique.into_iter().filter(|other| *other != first).collect();
    let second = random.choose(&others)?;
    let directions: Vec<Direction> =
        Direction::ALL.into_iter().filter(|direction| direction.holds(first, second)).collect();
    let direction = random.choose(&directions)?;
    let holds = random.chance(0.5);
    let direction = if holds { direction } else { direction.inverse() };
    let [first, second] = [first, second].map(|placed| Mention::coloured(placed.object).singular());
    let text = format!("the {first} is {} the {second}", direction.words());
    Some((text, SceneLabel::certain(holds)))
}
