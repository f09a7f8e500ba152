//! Hypotheses about whether something is there.

use super::super::layout::Layout;
use super::super::random::Random;
use super::SceneLabel;
use super::mention::{Mention, Pattern};

/// What no picture tells of an object.
pub(crate) const ATTRIBUTES: [&str; 5] = ["cheap", "heavy", "hot", "new", "soft"];

/// "the small red circle is heavy", about a scene without a box.
pub(super) fn attribute(layout: &Layout, random: &mut Random) -> (String, SceneLabel) {
    let (mention, seen) = query(layout, random);
    let text = format!("the {} is {}", mention.singular(), random.pick(ATTRIBUTES));
    (text, if seen { SceneLabel::Maybe } else { SceneLabel::No })
}

/// "there is a small red circle".
pub(super) fn exists(layout: &Layout, random: &mut Random) -> (String, SceneLabel) {
    let (mention, seen) = query(layout, random);
    (format!("there is a {}", mention.singular()), label(layout, seen, SceneLabel::Yes))
}

/// "there is no small red circle".
pub(super) fn negation(layout: &Layout, random: &mut Random) -> (String, SceneLabel) {
    let (mention, seen) = query(layout, random);
    (format!("there is no {}", mention.singular()), label(layout, seen, SceneLabel::No))
}

/// Names something that is seen, or with even odds something that is not.
fn query(layout: &Layout, random: &mut Random) -> (Mention, bool) {
    let objects = layout.placed();
    let pattern = Pattern::draw(random);
    let seen = random.chance(0.5);
    let mention = match seen {
        true => pattern.present(&objects, random),
        false => pattern.absent(&objects, random),
    };
    (mention, seen)
}

fn label(layout: &Layout, seen: bool, if_seen: SceneLabel) -> SceneLabel {
    match (seen, layout.box_cell) {
        (true, _) => if_seen,
        (false, Some(_)) => SceneLabel::Maybe,
        (false, None) => SceneLabel::certain(if_seen == SceneLabel::No),
    }
}
