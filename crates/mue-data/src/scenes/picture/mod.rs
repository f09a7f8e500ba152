//! Painting a layout.
//!
//! Only exact `f32` arithmetic (`+ - * /`, square roots, comparisons) and the functions of `libm`
//! reach pixels: a platform's own sine may differ in the last bit, and then its scenes would.

mod background;
mod canvas;
mod noise;
mod outline;

use super::layout::{CELLS, Layout};
use super::object::Object;
use super::random::Random;
use crate::picture::RgbImage;
use canvas::Canvas;

/// Height and width of a scene in pixels.
pub(super) const SIDE: usize = 96;

/// Height and width of a cell in pixels.
const CELL: f32 = 32.0;

/// Paints what a layout says; the random numbers decide everything that words do not tell.
pub(super) fn paint(layout: &Layout, random: &mut Random) -> RgbImage {
    let difficulty = layout.difficulty;
    let ground = background::tone(random);
    let mut canvas = Canvas::new(SIDE);
    background::paint(&mut canvas, ground, random);
    background::specks(&mut canvas, difficulty, random);
    let mut outlines = Vec::new();
    for cell in 0..CELLS {
        if let Some(object) = layout.cells[cell] {
            outlines.push(object_in(&mut canvas, (object, cell), difficulty, random));
        }
    }
    if random.chance(0.35 * difficulty)
        && let Some(outline) = random.choose(&outlines)
    {
        outline::bar(&mut canvas, outline, ground, random);
    }
    if let Some(cell) = layout.box_cell {
        outline::hatched_box(&mut canvas, centre(cell), random);
    }
    noise::add(&mut canvas, 3.0 + 22.0 * difficulty, random);
    canvas.into_image()
}

/// Middle of a cell as `(x, y)` in pixels.
fn centre(cell: usize) -> (f32, f32) {
    (((cell % 3) as f32 + 0.5) * CELL, ((cell / 3) as f32 + 0.5) * CELL)
}

fn object_in(
    canvas: &mut Canvas,
    (object, cell): (Object, usize),
    difficulty: f32,
    random: &mut Random,
) -> outline::Outline {
    const COLOUR_JITTER: f32 = 18.0;
    let (least, greatest) = object.size.radii();
    let radius = random.uniform(least, greatest);
    let jitter = (14.5 - radius).max(0.0);
    let (x, y) = centre(cell);
    let outline = outline::Outline {
        shape: object.shape,
        x: x + random.uniform(-jitter, jitter),
        y: y + random.uniform(-jitter, jitter),
        radius,
    };
    let brightness = random.uniform(1.0 - 0.25 * difficulty, 1.0);
    let colour = object
        .colour
        .rgb()
        .map(|channel| (channel + random.uniform(-COLOUR_JITTER, COLOUR_JITTER)) * brightness);
    outline.fill(canvas, colour);
    outline
}
