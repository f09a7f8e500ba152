//! A second, naive reading of hypotheses: parse the sentence, look at the objects, and try
//! everything that might be behind the box.

use std::collections::BTreeSet;

use mue_data::scenes::{Colour, Object, Placed, Scene, SceneLabel, SceneSet, Shape, Size, Split};

/// Whether a word fits an object, by its own idea of words.
fn fits(word: &str, object: Object) -> bool {
    let name = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let (size, colour, shape) = (name(&object.size), name(&object.colour), name(&object.shape));
    let plurals = [format!("{shape}s"), format!("{shape}es")];
    ["object", "objects"].contains(&word)
        || [size, colour, shape].iter().any(|name| name == word)
        || plurals.iter().any(|plural| plural == word)
}

fn all_fit(phrase: &[&str], object: Object) -> bool {
    !phrase.is_empty() && phrase.iter().all(|word| fits(word, object))
}

fn named(phrase: &[&str], objects: &[Placed]) -> Vec<Placed> {
    objects.iter().copied().filter(|placed| all_fit(phrase, placed.object)).collect()
}

fn the_only(phrase: &[&str], objects: &[Placed]) -> Placed {
    match named(phrase, objects)[..] {
        [only] => only,
        ref found => panic!("{phrase:?} names {found:?}"),
    }
}

fn lies(direction: &[&str], a: Placed, b: Placed) -> bool {
    match direction {
        ["left", "of"] => a.cell % 3 < b.cell % 3,
        ["right", "of"] => a.cell % 3 > b.cell % 3,
        ["above"] => a.cell / 3 < b.cell / 3,
        ["below"] => a.cell / 3 > b.cell / 3,
        other => panic!("{other:?} is no direction"),
    }
}

/// Splits a phrase before its direction and behind it.
fn around_direction<'a>(
    words: &'a [&'a str],
) -> Option<(&'a [&'a str], &'a [&'a str], &'a [&'a str])> {
    let at = words.iter().position(|word| ["left", "right", "above", "below"].contains(word))?;
    let length = if words.get(at + 1) == Some(&"of") { 2 } else { 1 };
    Some((&words[..at], &words[at..at + length], &words[at + length..]))
}

/// What a sentence about something definite says; these never speak of what is hidden.
fn definite(words: &[&str], seen: &[Placed]) -> Vec<bool> {
    let is = words.iter().position(|word| *word == "is").expect("a verb");
    let (subject, predicate) = (&words[..is], &words[is + 1..]);
    if let Some((noun, direction, ["the", landmark @ ..])) = around_direction(subject) {
        let landmark = the_only(landmark, seen);
        let there: Vec<Placed> = named(noun, seen)
            .into_iter()
            .filter(|placed| *placed != landmark && lies(direction, *placed, landmark))
            .collect();
        let [meant] = there[..] else { panic!("{words:?} may mean {there:?}") };
        return vec![all_fit(predicate, meant.object)];
    }
    if let Some(([], direction, ["the", other @ ..])) = around_direction(predicate) {
        return vec![lies(direction, the_only(subject, seen), the_only(other, seen))];
    }
    match named(subject, seen).is_empty() {
        true => vec![false],
        false => vec![true, false], // heavy or not: no picture tells
    }
}

/// What may be true of a sentence if these are all the objects there are.
fn truths(text: &str, seen: &[Placed], hidden: Option<Object>) -> Vec<bool> {
    let words: Vec<&str> = text.split(' ').collect();
    let count = |phrase: &[&str]| {
        let behind = hidden.is_some_and(|object| all_fit(phrase, object));
        named(phrase, seen).len() + usize::from(behind)
    };
    match &words[..] {
        ["there", "is", "a", phrase @ ..] => vec![count(phrase) > 0],
        ["there", "is", "no", phrase @ ..] => vec![count(phrase) == 0],
        ["there", "are", "more", rest @ ..] => {
            let than = rest.iter().position(|word| *word == "than").expect("a comparison");
            vec![count(&rest[..than]) > count(&rest[than + 1..])]
        }
        ["there", "are", number, phrase @ ..] => {
            let numbers = ["zero", "one", "two", "three", "four", "five"];
            vec![numbers.get(count(phrase)) == Some(number)]
        }
        ["the", rest @ ..] => definite(rest, seen),
        other => panic!("{other:?} is not a hypothesis"),
    }
}

fn label(text: &str, scene: &Scene) -> SceneLabel {
    let mut hidden = vec![None];
    if scene.box_cell().is_some() {
        for (shape, colour) in Shape::ALL.iter().flat_map(|s| Colour::ALL.map(|c| (*s, c))) {
            hidden.extend(Size::ALL.map(|size| Some(Object { shape, colour, size })));
        }
    }
    let seen = scene.objects();
    let truths: BTreeSet<bool> =
        hidden.into_iter().flat_map(|hidden| truths(text, &seen, hidden)).collect();
    match (truths.contains(&true), truths.contains(&false)) {
        (true, false) => SceneLabel::Yes,
        (false, true) => SceneLabel::No,
        _ => SceneLabel::Maybe,
    }
}

#[test]
fn every_label_is_what_a_second_reading_finds() {
    let set = SceneSet::new(11, Split::Dev);
    for index in 0..6000 {
        let scene = set.scene(index);
        for hypothesis in scene.hypotheses(4) {
            let expected = label(&hypothesis.text, &scene);
            assert_eq!(hypothesis.label, expected, "{hypothesis:?} of {scene:?}");
        }
    }
}

#[test]
fn a_landmark_question_has_a_wrong_answer_to_give() {
    // Whichever way a two-hop statement is decided, the other answer would fit another object.
    let set = SceneSet::new(12, Split::Dev);
    let asked = (0..6000).flat_map(|index| {
        let scene = set.scene(index);
        scene.hypotheses(2).into_iter().map(move |hypothesis| (scene.clone(), hypothesis))
    });
    let mut found = 0;
    for (scene, hypothesis) in asked {
        let words: Vec<&str> = hypothesis.text.split(' ').collect();
        let ["the", .., "is", predicate] = words[..] else { continue };
        if around_direction(&words).is_none() {
            continue;
        }
        found += 1;
        let values: BTreeSet<bool> =
            scene.objects().iter().map(|placed| fits(predicate, placed.object)).collect();
        assert_eq!(values.len(), 2, "{hypothesis:?} of {scene:?}");
    }
    assert!(found > 500, "{found}");
}
