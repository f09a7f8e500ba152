//! A picture's tiles, transformed and transformed back in the host's memory.

use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::PLACES;
use crate::host::vectorised;

/// How a picture is cut: tiles of outputs, of which the last may stick out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
}

impl Tiles {
    pub(super) fn of(height: usize, width: usize) -> Self {
        Self { height, width, rows: height.div_ceil(2), columns: width.div_ceil(2) }
    }

    pub(super) fn count(self) -> usize {
        self.rows * self.columns
    }

    /// `B^T d B` of every tile, `[batch, channels, height, width]` to
    /// `[channels, 16, batch * tiles]`.
    pub(super) fn transform_inputs(
        self,
        features: &[f32],
        [batch, channels]: [usize; 2],
    ) -> Vec<f32> {
        let (pixels, tiles) = (self.height * self.width, self.count());
        let mut places = vec![0.0; channels * PLACES * batch * tiles];
        places.par_chunks_mut(PLACES * batch * tiles).enumerate().for_each_init(
            || Padded::new(self),
            |padded, (channel, places)| {
                for picture in 0..batch {
                    let plane = &features[(picture * channels + channel) * pixels..][..pixels];
                    vectorised(InputPass { padded, plane, places, picture, batch });
                }
            },
        );
        places
    }

    /// `A^T m A` of every tile with bias, negative values cut off, `[16, channels, batch * tiles]`
    /// to `[batch, channels, height, width]`.
    pub(super) fn outputs(self, products: &[f32], batch: usize, bias: &[f32]) -> Vec<f32> {
        let (channels, pixels) = (bias.len(), self.height * self.width);
        let mut features = vec![0.0; batch * channels * pixels];
        features.par_chunks_mut(pixels).enumerate().for_each_init(
            || vec![0.0; 4 * self.columns],
            |sums, (plane, features)| {
                let of = [plane / channels, plane % channels];
                vectorised(OutputPass { tiles: self, products, batch, bias, of, sums, features });
            },
        );
        features
    }

    /// One channel of one picture; `place` gives a place of each of its tiles.
    #[inline(always)]
    fn output_plane<'a>(
        self,
        place: impl Fn(usize) -> &'a [f32],
        bias: f32,
        sums: &mut [f32],
        plane: &mut [f32],
    ) {
        for (y, line) in plane.chunks_exact_mut(self.width).enumerate() {
            let tiles = y / 2 * self.columns..(y / 2 + 1) * self.columns;
            // The upper line adds the tile's first three rows, the lower one takes the last two
            // from the second.
            let (first, sign) = if y % 2 == 0 { (0, 1.0) } else { (1, -1.0) };
            for (x, sums) in sums.chunks_exact_mut(self.columns).enumerate() {
                let row = |y: usize| place(4 * (first + y) + x)[tiles.clone()].iter();
                for (((sum, a), b), c) in sums.iter_mut().zip(row(0)).zip(row(1)).zip(row(2)) {
                    *sum = a + sign * (b + c);
                }
            }
            let (left, right) = sums.split_at(2 * self.columns);
            let ((a, b), (c, d)) = (left.split_at(self.columns), right.split_at(self.columns));
            let columns = a.iter().zip(b).zip(c).zip(d);
            let mut pairs = line.chunks_exact_mut(2);
            for (pair, (((a, b), c), d)) in pairs.by_ref().zip(columns) {
                pair[0] = rectified(a + b + c + bias);
                pair[1] = rectified(b - c - d + bias);
            }
            if let ([end], [.., a], [.., b], [.., c]) = (pairs.into_remainder(), a, b, c) {
                *end = rectified(a + b + c + bias);
            }
        }
    }
}

/// A channel of one picture on its way into the products.
struct InputPass<'a> {
    padded: &'a mut Padded,
    plane: &'a [f32],
    places: &'a mut [f32],
    picture: usize,
    batch: usize,
}

impl NullaryFnOnce for InputPass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { padded, plane, places, picture, batch } = self;
        let tiles = padded.tiles.count();
        padded.transform(plane, places, |number| (number * batch + picture) * tiles);
    }
}

/// A channel of one picture on its way out of the products.
struct OutputPass<'a> {
    tiles: Tiles,
    products: &'a [f32],
    batch: usize,
    bias: &'a [f32],
    /// Picture and channel.
    of: [usize; 2],
    sums: &'a mut [f32],
    features: &'a mut [f32],
}

impl NullaryFnOnce for OutputPass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { tiles, products, batch, bias, of: [picture, channel], sums, features } = self;
        let place = |number: usize| {
            let first = ((number * bias.len() + channel) * batch + picture) * tiles.count();
            &products[first..first + tiles.count()]
        };
        tiles.output_plane(place, bias[channel], sums, features);
    }
}

#[inline(always)]
fn rectified(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// A plane with a border of zeros, its even and its odd columns apart, so that neighbouring tiles
/// are neighbours in memory.
struct Padded {
    tiles: Tiles,
    /// Columns 0, 2, ... of the padded lines, one more than there are columns of tiles.
    even: Vec<f32>,
    /// Columns 1, 3, ...
    odd: Vec<f32>,
    /// A row of tiles on its way: even and odd columns.
    sums: [Vec<f32>; 2],
}

impl Padded {
    fn new(tiles: Tiles) -> Self {
        let columns = tiles.columns + 1;
        let zeros = vec![0.0; (2 * tiles.rows + 2) * columns];
        Self {
            tiles,
            even: zeros.clone(),
            odd: zeros,
            sums: [vec![0.0; columns], vec![0.0; columns]],
        }
    }

    /// `B^T d B` of the plane's tiles; `start` says where each place of theirs begins.
    #[inline(always)]
    fn transform(&mut self, plane: &[f32], places: &mut [f32], start: impl Fn(usize) -> usize) {
        self.fill(plane);
        let columns = self.tiles.columns;
        for row in 0..self.tiles.rows {
            for (y, (line, sign, other)) in
                [(0, -1.0, 2), (1, 1.0, 2), (2, -1.0, 1), (1, -1.0, 3)].into_iter().enumerate()
            {
                for (sums, half) in self.sums.iter_mut().zip([&self.even, &self.odd]) {
                    let at = |line| half[(2 * row + line) * (columns + 1)..].iter();
                    for ((sum, a), b) in sums.iter_mut().zip(at(line)).zip(at(other)) {
                        *sum = a + sign * b;
                    }
                }
                let [even, odd] = &self.sums;
                let mut write = |x: usize, sign: f32, a: &[f32], b: &[f32]| {
                    let first = start(4 * y + x) + row * columns;
                    let tiles = places[first..first + columns].iter_mut();
                    for ((value, a), b) in tiles.zip(a).zip(b) {
                        *value = a + sign * b;
                    }
                };
                write(0, -1.0, even, &even[1..]);
                write(1, 1.0, odd, &even[1..]);
                write(2, -1.0, &even[1..], odd);
                write(3, -1.0, odd, &odd[1..]);
            }
        }
    }

    /// Puts a plane inside the border, which stays.
    #[inline(always)]
    fn fill(&mut self, plane: &[f32]) {
        let columns = self.tiles.columns + 1;
        let lines = self.even.chunks_exact_mut(columns).zip(self.odd.chunks_exact_mut(columns));
        for ((even, odd), line) in lines.skip(1).zip(plane.chunks_exact(self.tiles.width)) {
            let pairs = line.chunks_exact(2);
            if let ([end], Some(place)) = (pairs.remainder(), odd.get_mut(columns - 2)) {
                *place = *end;
            }
            for ((even, odd), pair) in even[1..].iter_mut().zip(odd).zip(pairs) {
                (*odd, *even) = (pair[0], pair[1]);
            }
        }
    }
}
