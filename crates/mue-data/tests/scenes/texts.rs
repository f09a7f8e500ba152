//! Captions say what is there, and nothing else.

use mue_data::scenes::{Scene, SceneSet, Shape, Split};

/// Objects that a caption names, sorted, each as "size colour shape".
fn named(caption: &str) -> Vec<String> {
    let words: Vec<&str> = caption.split(' ').collect();
    let mut objects = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(shape) = Shape::ALL.iter().find(|s| [s.word(), s.plural()].contains(word)) else {
            continue;
        };
        let count = match (words[at - 3], *word == shape.plural()) {
            ("a", false) => 1,
            ("two", true) => 2,
            ("three", true) => 3,
            ("four", true) => 4,
            ("five", true) => 5,
            other => panic!("{other:?} in {caption:?}"),
        };
        let object = format!("{} {} {}", words[at - 2], words[at - 1], shape.word());
        objects.extend(vec![object; count]);
    }
    objects.sort();
    objects
}

fn seen(scene: &Scene) -> Vec<String> {
    let mut objects: Vec<String> = scene
        .objects()
        .iter()
        .map(|placed| placed.object)
        .map(|object| {
            format!("{} {} {}", object.size.word(), object.colour.word(), object.shape.word())
        })
        .collect();
    objects.sort();
    objects
}

#[test]
fn captions_name_every_object_and_the_box() {
    let set = SceneSet::new(21, Split::Test);
    for scene in (0..3000).map(|index| set.scene(index)) {
        for caption in scene.captions() {
            assert_eq!(named(&caption), seen(&scene), "{caption}");
            let boxed = caption.ends_with(" with a box");
            assert_eq!(boxed, scene.box_cell().is_some(), "{caption}");
        }
    }
}

#[test]
fn places_and_relations_are_where_they_are_said_to_be() {
    let set = SceneSet::new(22, Split::Test);
    let rows = ["top", "middle", "bottom"];
    let columns = ["left", "centre", "right"];
    for scene in (0..3000).map(|index| set.scene(index)) {
        let [canonical, _, reversed, ..] = scene.captions();
        let objects = scene.objects();
        if let [only] = objects[..] {
            let place = match only.cell {
                4 => "centre".to_owned(),
                cell => format!("{} {}", rows[cell / 3], columns[cell % 3]),
            };
            assert!(canonical.contains(&format!("in the {place}")), "{canonical} {only:?}");
            assert!(reversed.starts_with(&format!("in the {place} , a ")), "{reversed}");
        }
        if let [first, second] = objects[..]
            && first.object != second.object
        {
            let (there, back) = match first.row() == second.row() {
                true => (" left of ", " right of "),
                false => (" above ", " below "),
            };
            let (a, b) = canonical.split_once(there).expect("a relation");
            assert!(
                a.contains(first.object.shape.word()) && b.contains(second.object.shape.word())
            );
            assert!(reversed.contains(back), "{reversed}");
        }
    }
}

#[test]
fn captions_read_as_specified() {
    let set = SceneSet::new(0, Split::Test);
    let captions = |starts: &str| {
        let captions = (0..4000).map(|index| set.scene(index).captions());
        captions.into_iter().find(|captions| captions[0].starts_with(starts)).expect("one of them")
    };
    let [canonical, there, reversed, image, there_reversed] = captions("two small green rings and");
    let (first, second) = canonical.split_once(" and ").expect("two groups");
    let (second, suffix) = match second.strip_suffix(" with a box") {
        Some(second) => (second, " with a box"),
        None => (second, ""),
    };
    assert_eq!(there, format!("there are {canonical}"));
    assert_eq!(reversed, format!("{second} and {first}{suffix}"));
    assert_eq!(image, format!("the image shows {canonical}"));
    assert_eq!(there_reversed, format!("there is {reversed}"));
}
