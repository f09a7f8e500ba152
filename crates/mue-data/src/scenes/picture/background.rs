//! What objects lie on: a nearly grey ground, with a pattern and specks.

use super::super::random::Random;
use super::canvas::Canvas;

/// Greatest deviation of a pattern from the tone.
const AMPLITUDE: (f32, f32) = (6.0, 24.0);

/// The ground's mean colour.
pub(super) fn tone(random: &mut Random) -> [f32; 3] {
    let grey = random.uniform(25.0, 95.0);
    [(); 3].map(|()| grey + random.uniform(-12.0, 12.0))
}

/// Covers the canvas: flat, with a gradient, with sine stripes or with blocks.
pub(super) fn paint(canvas: &mut Canvas, tone: [f32; 3], random: &mut Random) {
    let amplitude = random.uniform(AMPLITUDE.0, AMPLITUDE.1);
    match random.below(4) {
        0 => canvas.set(|_, _| tone),
        1 => gradient(canvas, tone, amplitude, random),
        2 => stripes(canvas, tone, amplitude, random),
        _ => blocks(canvas, tone, amplitude, random),
    }
}

fn brighter(tone: [f32; 3], by: f32) -> [f32; 3] {
    tone.map(|channel| channel + by)
}

fn gradient(canvas: &mut Canvas, tone: [f32; 3], amplitude: f32, random: &mut Random) {
    let (down, across) = (random.uniform(-1.0, 1.0), random.uniform(-1.0, 1.0));
    let middle = canvas.side() as f32 / 2.0;
    canvas.set(|row, column| {
        let (y, x) = (row as f32 / middle - 1.0, column as f32 / middle - 1.0);
        brighter(tone, amplitude * (down * y + across * x) / 2.0)
    });
}

fn stripes(canvas: &mut Canvas, tone: [f32; 3], amplitude: f32, random: &mut Random) {
    const TURN: f32 = std::f32::consts::TAU;
    let (sine, cosine) = libm::sincosf(random.uniform(0.0, TURN));
    let frequency = TURN / random.uniform(9.0, 26.0);
    let phase = random.uniform(0.0, TURN);
    // sin(a + b) = sin a cos b + cos a sin b: a sine per row and column instead of per pixel.
    let waves = |step: f32, start: f32| -> Vec<(f32, f32)> {
        (0..canvas.side()).map(|i| libm::sincosf(start + step * i as f32)).collect()
    };
    let (rows, columns) = (waves(frequency * sine, phase), waves(frequency * cosine, 0.0));
    canvas.set(|row, column| {
        let ((sine_y, cosine_y), (sine_x, cosine_x)) = (rows[row], columns[column]);
        brighter(tone, amplitude / 2.0 * (sine_y * cosine_x + cosine_y * sine_x))
    });
}

fn blocks(canvas: &mut Canvas, tone: [f32; 3], amplitude: f32, random: &mut Random) {
    const BLOCK: usize = 8;
    let across = canvas.side().div_ceil(BLOCK);
    let steps: Vec<f32> =
        (0..across * across).map(|_| random.uniform(-amplitude, amplitude) / 2.0).collect();
    canvas.set(|row, column| brighter(tone, steps[row / BLOCK * across + column / BLOCK]));
}

/// Small bright or dark dots, none in an easy scene and 13 in the hardest.
pub(super) fn specks(canvas: &mut Canvas, difficulty: f32, random: &mut Random) {
    let side = canvas.side() as f32;
    for _ in 0..(14.0 * difficulty) as usize {
        let place = (random.uniform(0.0, side), random.uniform(0.0, side));
        let radius = random.uniform(0.7, 1.6);
        let colour = [(); 3].map(|()| random.uniform(0.0, 255.0));
        canvas.blend(place, radius, colour, |x, y| {
            (radius - (x * x + y * y).sqrt() + 0.5).clamp(0.0, 1.0)
        });
    }
}
