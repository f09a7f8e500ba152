//! What a scene is called.

use super::layout::{Group, Layout, Placed};
use super::object::Object;

/// Words of the cells, in reading order.
const PLACES: [&str; 9] = [
    "top left",
    "top centre",
    "top right",
    "middle left",
    "centre",
    "middle right",
    "bottom left",
    "bottom centre",
    "bottom right",
];

/// The words of two to five.
pub(super) const NUMBERS: [&str; 4] = ["two", "three", "four", "five"];

/// Words of captions that are in no other list.
pub(super) const CAPTION_WORDS: [&str; 21] = [
    ",", "a", "above", "and", "are", "below", "bottom", "box", "centre", "image", "in", "is",
    "left", "middle", "of", "right", "shows", "the", "there", "top", "with",
];

/// Five captions of a layout, the canonical one first.
pub(super) fn captions(layout: &Layout) -> [String; 5] {
    let groups = layout.groups();
    let verb = |count: Option<&Group>| match count {
        Some(Group { count: 1, .. }) => "is",
        _ => "are",
    };
    let suffix = if layout.box_cell.is_some() { " with a box" } else { "" };
    let (canonical, reversed) = match groups[..] {
        [Group { first, count: 1 }] => place(first),
        [Group { first, count: 1 }, Group { first: second, count: 1 }] => relation(first, second),
        _ => (list(groups.iter()), list(groups.iter().rev())),
    };
    [
        format!("{canonical}{suffix}"),
        format!("there {} {canonical}{suffix}", verb(groups.first())),
        format!("{reversed}{suffix}"),
        format!("the image shows {canonical}{suffix}"),
        format!("there {} {reversed}{suffix}", verb(groups.last())),
    ]
}

/// "large red circle".
pub(super) fn words(object: Object) -> String {
    format!("{} {} {}", object.size.word(), object.colour.word(), object.shape.word())
}

/// The number word of 2 to 5.
pub(super) fn number(count: usize) -> &'static str {
    NUMBERS[count - 2]
}

fn place(placed: Placed) -> (String, String) {
    let (object, place) = (words(placed.object), PLACES[placed.cell]);
    (format!("a {object} in the {place}"), format!("in the {place} , a {object}"))
}

fn relation(first: Placed, second: Placed) -> (String, String) {
    let (there, back) = match first.row() == second.row() {
        true => ("left of", "right of"),
        false => ("above", "below"),
    };
    let (first, second) = (words(first.object), words(second.object));
    (format!("a {first} {there} a {second}"), format!("a {second} {back} a {first}"))
}

/// "two small green rings , a large blue cross and a large red cross".
fn list<'a>(groups: impl Iterator<Item = &'a Group>) -> String {
    let phrases: Vec<String> = groups.map(phrase).collect();
    match &phrases[..] {
        [] => String::new(),
        [only] => only.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(" , ")),
    }
}

fn phrase(group: &Group) -> String {
    let object = group.first.object;
    match group.count {
        1 => format!("a {}", words(object)),
        count => format!(
            "{} {} {} {}",
            number(count),
            object.size.word(),
            object.colour.word(),
            object.shape.plural()
        ),
    }
}
