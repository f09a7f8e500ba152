//! Objects, bars and the box, by signed distance: positive inside, in pixels.

use super::super::object::Shape;
use super::super::random::Random;
use super::canvas::Canvas;

/// Half the square root of three: the sine of 60 degrees.
const SINE_60: f32 = 0.866_025_4;

/// Brown, and the darker brown of the hatching.
const BROWN: [f32; 3] = [134.0, 90.0, 48.0];
const HATCHING: [f32; 3] = [82.0, 52.0, 26.0];

/// Where an object's edge runs.
#[derive(Clone, Copy)]
pub(super) struct Outline {
    pub(super) shape: Shape,
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) radius: f32,
}

impl Outline {
    /// Paints the object with smooth edges.
    pub(super) fn fill(self, canvas: &mut Canvas, colour: [f32; 3]) {
        let reach = 1.3 * self.radius;
        canvas.blend((self.x, self.y), reach, colour, |x, y| cover(self.distance(x, y)));
    }

    /// Distance of an offset from the middle to the edge.
    fn distance(self, x: f32, y: f32) -> f32 {
        let r = self.radius;
        let bar = |along: f32, across: f32| (r - along.abs()).min(0.34 * r - across.abs());
        match self.shape {
            Shape::Circle => r - length(x, y),
            Shape::Ring => (r - length(x, y)).min(length(x, y) - 0.55 * r),
            Shape::Square => 0.86 * r - x.abs().max(y.abs()),
            Shape::Cross => bar(x, y).max(bar(y, x)),
            Shape::Triangle => {
                // Its middle lies lower than the point around which it turns.
                let y = y - 0.15 * r;
                let inradius = 1.12 * r / 2.0;
                inradius - y.max(SINE_60 * x.abs() - 0.5 * y)
            }
        }
    }
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// How much of a pixel lies inside, if its middle is this far from the edge.
fn cover(distance: f32) -> f32 {
    (distance + 0.5).clamp(0.0, 1.0)
}

/// Paints a stripe of background, 2 to 3 pixels wide, across an object.
pub(super) fn bar(canvas: &mut Canvas, over: Outline, ground: [f32; 3], random: &mut Random) {
    let (sine, cosine) = libm::sincosf(random.uniform(0.0, std::f32::consts::TAU));
    let half_width = random.uniform(1.0, 1.5);
    let aside = random.uniform(-0.5, 0.5) * over.radius;
    let reach = 1.3 * over.radius;
    canvas.blend((over.x, over.y), reach, ground, |x, y| {
        let across = x * cosine + y * sine - aside;
        let along = y * cosine - x * sine;
        cover((half_width - across.abs()).min(reach - along.abs()))
    });
}

/// Paints the box that may hide something.
pub(super) fn hatched_box(canvas: &mut Canvas, (x, y): (f32, f32), random: &mut Random) {
    const PERIOD: f32 = 6.0;
    let half = random.uniform(20.0, 26.0) / 2.0;
    let jitter = 14.5 - half;
    let middle = (x + random.uniform(-jitter, jitter), y + random.uniform(-jitter, jitter));
    let edge = |x: f32, y: f32| half - x.abs().max(y.abs());
    canvas.blend(middle, half, BROWN, |x, y| cover(edge(x, y)));
    canvas.blend(middle, half, HATCHING, |x, y| {
        let diagonal = (x + y) / PERIOD;
        let from_line =
            (diagonal - diagonal.floor() - 0.5).abs() * PERIOD / std::f32::consts::SQRT_2;
        cover(edge(x, y)) * cover(0.6 - from_line).max(cover(1.2 - edge(x, y)))
    });
}
