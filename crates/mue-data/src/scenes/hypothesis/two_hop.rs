//! Hypotheses whose object has to be found by way of another.

use super::super::layout::{Layout, Placed};
use super::super::object::Object;
use super::super::random::Random;
use super::SceneLabel;
use super::mention::Mention;
use super::relation::Direction;

/// Something to be said of the object that lies in a direction from a landmark.
#[derive(Clone, Copy)]
struct Question {
    noun: Mention,
    direction: Direction,
    landmark: Mention,
    property: Property,
    meant: Object,
    /// What it could be mistaken for; has another value of the property.
    mistaken: Object,
    /// The mistake takes an object that the noun names too, not just the landmark.
    hard: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Property {
    Size,
    Colour,
}

impl Property {
    fn word(self, object: Object) -> &'static str {
        match self {
            Self::Size => object.size.word(),
            Self::Colour => object.colour.word(),
        }
    }
}

/// "the ring left of the cross is small", or with the property of an object it is mistaken for.
///
/// Questions that a single look at all rings answers are not asked: some object of the scene
/// has the other property, and a ring that lies elsewhere wherever the scene has one.
pub(super) fn statement(layout: &Layout, random: &mut Random) -> Option<(String, SceneLabel)> {
    const EASY: f32 = 0.4;
    let questions = questions(&layout.placed());
    let hard: Vec<Question> = questions.iter().copied().filter(|asked| asked.hard).collect();
    let asked = match random.choose(&hard) {
        Some(question) => question,
        None if random.chance(EASY) => random.choose(&questions)?,
        None => return None,
    };
    let holds = random.chance(0.5);
    let text = format!(
        "the {} {} the {} is {}",
        asked.noun.singular(),
        asked.direction.words(),
        asked.landmark.singular(),
        asked.property.word(if holds { asked.meant } else { asked.mistaken }),
    );
    Some((text, SceneLabel::certain(holds)))
}

/// Every question that the scene answers.
fn questions(objects: &[Placed]) -> Vec<Question> {
    let mut questions = Vec::new();
    for landmark in objects {
        let by_shape = Mention::shape(landmark.object);
        let coloured = Mention::coloured(landmark.object);
        // A landmark's colour would give a question about colours away.
        let namings =
            [(Property::Colour, by_shape), (Property::Size, by_shape), (Property::Size, coloured)];
        for (property, naming) in namings {
            if naming.count(objects) == 1 {
                ask(objects, *landmark, (property, naming), &mut questions);
            }
        }
    }
    questions
}

/// Adds the questions about what lies around a landmark.
fn ask(
    objects: &[Placed],
    landmark: Placed,
    (property, naming): (Property, Mention),
    questions: &mut Vec<Question>,
) {
    for direction in Direction::ALL {
        for meant in objects.iter().filter(|meant| direction.holds(**meant, landmark)) {
            for noun in [Mention::default(), Mention::shape(meant.object)] {
                let named = |other: &&Placed| noun.matches(other.object) && **other != landmark;
                let rivals = objects.iter().filter(named);
                if rivals.filter(|rival| direction.holds(**rival, landmark)).count() != 1 {
                    continue;
                }
                for other in objects.iter().filter(|other| noun.matches(other.object)) {
                    if property.word(other.object) != property.word(meant.object) {
                        questions.push(Question {
                            noun,
                            direction,
                            landmark: naming,
                            property,
                            meant: meant.object,
                            mistaken: other.object,
                            hard: *other != landmark,
                        });
                    }
                }
            }
        }
    }
}
