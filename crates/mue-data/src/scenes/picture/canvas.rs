//! A picture that is being painted.

use crate::picture::RgbImage;

/// A square of RGB values, row by row; 0 to 255 once they are rounded.
pub(super) struct Canvas {
    side: usize,
    pub(super) pixels: Vec<[f32; 3]>,
}

impl Canvas {
    pub(super) fn new(side: usize) -> Self {
        Self { side, pixels: vec![[0.0; 3]; side * side] }
    }

    /// Height and width.
    pub(super) fn side(&self) -> usize {
        self.side
    }

    /// Sets every pixel by its row and column.
    pub(super) fn set(&mut self, colour: impl Fn(usize, usize) -> [f32; 3]) {
        for (place, pixel) in self.pixels.iter_mut().enumerate() {
            *pixel = colour(place / self.side, place % self.side);
        }
    }

    /// Blends a colour over a square around a point; `cover` says how much of it, from 0 to 1,
    /// at an offset `(x, y)` from the point.
    pub(super) fn blend(
        &mut self,
        (x, y): (f32, f32),
        reach: f32,
        colour: [f32; 3],
        cover: impl Fn(f32, f32) -> f32,
    ) {
        let last = self.side as f32;
        let range = |middle: f32| {
            let (from, to) = (middle - reach - 1.0, middle + reach + 1.0);
            from.clamp(0.0, last) as usize..to.clamp(0.0, last) as usize
        };
        for row in range(y) {
            for column in range(x) {
                let pixel = &mut self.pixels[row * self.side + column];
                let share = cover(column as f32 + 0.5 - x, row as f32 + 0.5 - y);
                for (value, colour) in pixel.iter_mut().zip(colour) {
                    *value += (colour - *value) * share;
                }
            }
        }
    }

    /// Rounds to the nearest of 0 to 255.
    pub(super) fn into_image(self) -> RgbImage {
        let round = |value: &f32| (value.clamp(0.0, 255.0) + 0.5) as u8;
        RgbImage {
            height: self.side,
            width: self.side,
            samples: self.pixels.as_flattened().iter().map(round).collect(),
        }
    }
}
