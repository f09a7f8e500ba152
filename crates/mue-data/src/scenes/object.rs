//! What scenes are made of.

use super::random::Random;

/// The outline of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// A filled disc.
    Circle,
    /// A filled, upright square.
    Square,
    /// A filled equilateral triangle, pointing up.
    Triangle,
    /// A plus sign.
    Cross,
    /// A circle with a hole.
    Ring,
}

/// The colour of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // they are colours
pub enum Colour {
    Red,
    Green,
    Blue,
    Yellow,
    Purple,
    White,
}

/// The size of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// A radius of 6.2 to 7.5 pixels.
    Small,
    /// A radius of 11.2 to 13 pixels.
    Large,
}

/// An object as words tell it: two objects with the same three attributes are identical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Its outline.
    pub shape: Shape,
    /// Its colour.
    pub colour: Colour,
    /// Its size.
    pub size: Size,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 5] =
        [Self::Circle, Self::Square, Self::Triangle, Self::Cross, Self::Ring];

    /// The word for one.
    pub fn word(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Cross => "cross",
            Self::Ring => "ring",
        }
    }

    /// The word for several.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Circle => "circles",
            Self::Square => "squares",
            Self::Triangle => "triangles",
            Self::Cross => "crosses",
            Self::Ring => "rings",
        }
    }
}

impl Colour {
    /// Every colour.
    pub const ALL: [Self; 6] =
        [Self::Red, Self::Green, Self::Blue, Self::Yellow, Self::Purple, Self::White];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Yellow => "yellow",
            Self::Purple => "purple",
            Self::White => "white",
        }
    }

    /// What it is painted with before difficulty changes it.
    pub(super) fn rgb(self) -> [f32; 3] {
        match self {
            Self::Red => [220.0, 45.0, 45.0],
            Self::Green => [45.0, 170.0, 65.0],
            Self::Blue => [55.0, 85.0, 225.0],
            Self::Yellow => [230.0, 210.0, 55.0],
            Self::Purple => [155.0, 65.0, 185.0],
            Self::White => [235.0, 235.0, 235.0],
        }
    }
}

impl Size {
    /// Every size.
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    /// Least and greatest radius in pixels.
    pub(super) fn radii(self) -> (f32, f32) {
        match self {
            Self::Small => (6.2, 7.5),
            Self::Large => (11.2, 13.0),
        }
    }
}

impl Object {
    pub(super) fn random(random: &mut Random) -> Self {
        Self {
            shape: random.pick(Shape::ALL),
            colour: random.pick(Colour::ALL),
            size: random.pick(Size::ALL),
        }
    }

    /// An object that differs from this one, in a single attribute more often than not: what
    /// differs a lot is told apart too easily.
    pub(super) fn other(self, random: &mut Random) -> Self {
        const NEAR_MISS: f32 = 0.6;
        let near = random.chance(NEAR_MISS);
        let attribute = random.below(3);
        loop {
            let drawn = Self::random(random);
            let other = match (near, attribute) {
                (false, _) => drawn,
                (true, 0) => Self { shape: drawn.shape, ..self },
                (true, 1) => Self { colour: drawn.colour, ..self },
                (true, _) => Self { size: drawn.size, ..self },
            };
            if other != self {
                return other;
            }
        }
    }
}
