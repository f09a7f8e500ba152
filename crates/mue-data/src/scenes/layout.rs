//! What a scene shows, and where.

use super::object::Object;
use super::random::Random;

/// Cells of the 3x3 grid, in reading order.
pub(super) const CELLS: usize = 9;

/// What decides a scene's texts: what lies in each cell, and what cannot be seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) cells: [Option<Object>; CELLS],
    /// The cell of the box, which holds no visible object.
    pub(super) box_cell: Option<usize>,
    /// From 0 to 1.
    pub(super) difficulty: f32,
}

/// An object in its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What it is.
    pub object: Object,
    /// Its cell, in reading order.
    pub cell: usize,
}

impl Placed {
    /// Row of the cell, from the top.
    pub fn row(self) -> usize {
        self.cell / 3
    }

    /// Column of the cell, from the left.
    pub fn column(self) -> usize {
        self.cell % 3
    }
}

/// Identical objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The first of them in reading order.
    pub(super) first: Placed,
    pub(super) count: usize,
}

impl Layout {
    pub(super) fn draw(random: &mut Random) -> Self {
        const BOX: f32 = 0.45;
        let objects = draw_objects(random);
        let order = random.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let mut cells = [None; CELLS];
        for (object, cell) in objects.iter().zip(order) {
            cells[cell] = Some(*object);
        }
        let box_cell = random.chance(BOX).then_some(order[objects.len()]);
        Self { cells, box_cell, difficulty: random.unit() }
    }

    /// Objects in reading order.
    pub(super) fn placed(&self) -> Vec<Placed> {
        let cells = self.cells.iter().enumerate();
        cells.filter_map(|(cell, object)| Some(Placed { object: (*object)?, cell })).collect()
    }

    /// Groups of identical objects: the largest first, among equals the first in reading order.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for placed in self.placed() {
            match groups.iter_mut().find(|group| group.first.object == placed.object) {
                Some(group) => group.count += 1,
                None => groups.push(Group { first: placed, count: 1 }),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

/// One object; two different; some identical; some identical and another; three different.
fn draw_objects(random: &mut Random) -> Vec<Object> {
    let first = Object::random(random);
    match random.weighted([0.15, 0.35, 0.15, 0.17, 0.18]) {
        0 => vec![first],
        1 => vec![first, first.other(random)],
        2 => vec![first; 2 + random.below(4)],
        3 => {
            let mut objects = vec![first; 2 + random.below(3)];
            objects.push(first.other(random));
            objects
        }
        _ => {
            let second = first.other(random);
            let model = random.pick([first, second]);
            let third = loop {
                let third = model.other(random);
                if third != first && third != second {
                    break third;
                }
            };
            vec![first, second, third]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Purpose;
    use super::super::{SceneSet, Split};
    use super::*;

    #[test]
    fn layouts_have_the_stated_shares() {
        const SCENES: u64 = 20_000;
        let mut kinds = [0.0; 5];
        let mut boxes = 0.0;
        for index in 0..SCENES {
            let set = SceneSet::new(5, Split::Train);
            let layout = Layout::draw(&mut Random::new(set, Purpose::Layout, index));
            let counts: Vec<usize> = layout.groups().iter().map(|group| group.count).collect();
            let kind = match counts[..] {
                [1] => 0,
                [1, 1] => 1,
                [2..=5] => 2,
                [2..=4, 1] => 3,
                [1, 1, 1] => 4,
                _ => panic!("{counts:?}"),
            };
            kinds[kind] += 1.0 / SCENES as f64;
            if let Some(cell) = layout.box_cell {
                assert_eq!(layout.cells[cell], None);
                boxes += 1.0 / SCENES as f64;
            }
        }
        for (found, expected) in kinds.iter().zip([0.15, 0.35, 0.15, 0.17, 0.18]) {
            assert!((found - expected).abs() < 0.01, "{kinds:?}");
        }
        assert!((boxes - 0.45).abs() < 0.012, "{boxes}");
    }
}
