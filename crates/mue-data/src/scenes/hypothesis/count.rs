//! Hypotheses about how many there are, in scenes without a box.

use super::super::caption::number;
use super::super::layout::{Layout, Placed};
use super::super::object::{Colour, Shape, Size};
use super::super::random::Random;
use super::SceneLabel;
use super::mention::Mention;

/// How often a true count of two, three, four and five is asked about. What is asked about then
/// has these counts in the ratio 1 : 2 : 2 : 1, and so has a neighbour of it: a false statement
/// names every number as often as a true one does, and the number does not tell the label.
const ASKED: [f32; 4] = [0.068, 0.457, 1.0, 0.6];

/// "there are three red circles".
pub(super) fn statement(layout: &Layout, random: &mut Random) -> Option<(String, SceneLabel)> {
    let objects = layout.placed();
    let facts: Vec<(Mention, usize)> = objects
        .iter()
        .flat_map(|placed| {
            let both = Mention::coloured(placed.object);
            let coloured = Mention { shape: None, ..both };
            [Mention::default(), coloured, Mention { colour: None, ..both }, both]
        })
        .map(|mention| (mention, mention.count(&objects)))
        .filter(|(_, count)| *count >= 2)
        .collect();
    let (mention, count) = random.choose(&facts)?;
    if !random.chance(ASKED[count - 2]) {
        return None;
    }
    let holds = random.chance(0.5);
    let said = match (holds, count) {
        (true, count) => count,
        (false, 2) => 3,
        (false, 5) => 4,
        (false, count) => random.pick([count - 1, count + 1]),
    };
    let text = format!("there are {} {}", number(said), mention.plural());
    Some((text, SceneLabel::certain(holds)))
}

/// "there are more circles than squares".
///
/// A comparison of two kinds that are both seen is preferred; with a kind that is not seen it
/// asks little more than whether there is any.
pub(super) fn comparison(layout: &Layout, random: &mut Random) -> Option<(String, SceneLabel)> {
    const EASY: f32 = 0.2;
    let objects = layout.placed();
    if objects.len() < 2 {
        return None;
    }
    let kinds = [shapes(), colours(), sizes()].map(|kinds| Kinds::new(&kinds, &objects));
    let hard: Vec<usize> = (0..3).filter(|i| !kinds[*i].uneven(1).is_empty()).collect();
    let (kinds, fewest) = match random.choose(&hard) {
        Some(hard) => (&kinds[hard], 1),
        None if random.chance(EASY) => (&kinds[random.below(3)], 0),
        None => return None,
    };
    let (more, fewer) = random.choose(&kinds.uneven(fewest))?;
    let holds = random.chance(0.5);
    let (first, second) = match (holds, random.chance(0.5)) {
        (true, _) => (more, fewer),
        (false, true) => (fewer, more),
        (false, false) => random.choose(&kinds.even()).unwrap_or((fewer, more)),
    };
    let text = format!("there are more {} than {}", first.plural(), second.plural());
    Some((text, SceneLabel::certain(holds)))
}

/// Kinds of one attribute, each with how many objects are of it.
struct Kinds(Vec<(Mention, usize)>);

impl Kinds {
    fn new(kinds: &[Mention], objects: &[Placed]) -> Self {
        Self(kinds.iter().map(|kind| (*kind, kind.count(objects))).collect())
    }

    /// Pairs of which the first has more objects and the second at least `fewest`.
    fn uneven(&self, fewest: usize) -> Vec<(Mention, Mention)> {
        self.pairs(|one, other| one > other && other >= fewest)
    }

    /// Pairs of kinds that are seen equally often.
    fn even(&self) -> Vec<(Mention, Mention)> {
        self.pairs(|one, other| one == other && one > 0)
    }

    fn pairs(&self, fits: impl Fn(usize, usize) -> bool) -> Vec<(Mention, Mention)> {
        let pairs = self.0.iter().flat_map(|one| self.0.iter().map(move |other| (one, other)));
        pairs
            .filter(|(one, other)| one.0 != other.0 && fits(one.1, other.1))
            .map(|(one, other)| (one.0, other.0))
            .collect()
    }
}

fn shapes() -> Vec<Mention> {
    Shape::ALL.map(|shape| Mention { shape: Some(shape), ..Mention::default() }).to_vec()
}

fn colours() -> Vec<Mention> {
    Colour::ALL.map(|colour| Mention { colour: Some(colour), ..Mention::default() }).to_vec()
}

fn sizes() -> Vec<Mention> {
    Size::ALL.map(|size| Mention { size: Some(size), ..Mention::default() }).to_vec()
}
