//! How sentences name objects.

use super::super::layout::Placed;
use super::super::object::{Colour, Object, Shape, Size};
use super::super::random::Random;

/// Said when the shape is not.
pub(crate) const OBJECT_WORDS: [&str; 2] = ["object", "objects"];

/// The attributes that are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) size: Option<Size>,
    pub(super) colour: Option<Colour>,
    pub(super) shape: Option<Shape>,
}

impl Mention {
    /// By shape alone.
    pub(super) fn shape(object: Object) -> Self {
        Self { shape: Some(object.shape), ..Self::default() }
    }

    /// By colour and shape.
    pub(super) fn coloured(object: Object) -> Self {
        Self { colour: Some(object.colour), shape: Some(object.shape), size: None }
    }

    /// Whether an object is what it names.
    pub(super) fn matches(self, object: Object) -> bool {
        self.size.is_none_or(|size| size == object.size)
            && self.colour.is_none_or(|colour| colour == object.colour)
            && self.shape.is_none_or(|shape| shape == object.shape)
    }

    /// How many of the objects it names.
    pub(super) fn count(self, objects: &[Placed]) -> usize {
        objects.iter().filter(|placed| self.matches(placed.object)).count()
    }

    /// "small red circle", "red object".
    pub(super) fn singular(self) -> String {
        self.phrase(self.shape.map_or(OBJECT_WORDS[0], Shape::word))
    }

    /// "small red circles", "red objects".
    pub(super) fn plural(self) -> String {
        self.phrase(self.shape.map_or(OBJECT_WORDS[1], Shape::plural))
    }

    fn phrase(self, noun: &'static str) -> String {
        let adjectives = [self.size.map(Size::word), self.colour.map(Colour::word)];
        let words: Vec<&str> = adjectives.into_iter().flatten().chain([noun]).collect();
        words.join(" ")
    }
}

/// Which attributes a query names besides the shape.
#[derive(Clone, Copy)]
pub(super) struct Pattern {
    size: bool,
    colour: bool,
}

impl Pattern {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self { size: random.chance(0.5), colour: random.chance(0.85) }
    }

    /// Names something that is seen.
    pub(super) fn present(self, objects: &[Placed], random: &mut Random) -> Mention {
        self.name(seen(objects, random))
    }

    /// Names something that is not seen, mostly a near miss of something that is.
    pub(super) fn absent(self, objects: &[Placed], random: &mut Random) -> Mention {
        const NEAR_MISS: f32 = 0.7;
        // Ends, since no scene has all shapes.
        loop {
            let object = match random.chance(NEAR_MISS) {
                true => self.change(seen(objects, random), random),
                false => Object::random(random),
            };
            let mention = self.name(object);
            if mention.count(objects) == 0 {
                return mention;
            }
        }
    }

    /// Changes one attribute of those that are named: shape and colour twice as often as size.
    fn change(self, object: Object, random: &mut Random) -> Object {
        let odds = |named: bool, odds: f32| if named { odds } else { 0.0 };
        let drawn = Object::random(random);
        match random.weighted([2.0, odds(self.colour, 2.0), odds(self.size, 1.0)]) {
            0 => Object { shape: drawn.shape, ..object },
            1 => Object { colour: drawn.colour, ..object },
            _ => Object { size: drawn.size, ..object },
        }
    }

    fn name(self, object: Object) -> Mention {
        Mention {
            size: self.size.then_some(object.size),
            colour: self.colour.then_some(object.colour),
            shape: Some(object.shape),
        }
    }
}

fn seen(objects: &[Placed], random: &mut Random) -> Object {
    random.choose(objects).expect("every scene has an object").object
}
