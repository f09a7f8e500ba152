//! Relative-position buckets: which row of a learned table a pair of positions reads.

/// Longest distance that OFA's logarithmic text buckets were laid out for, in every size.
const POSITIONS_MAX: f32 = 1024.0;

/// Row of a token relative-position table for the distance `query - key`.
///
/// Distances below half of `bucket_size` have a row each; farther ones share logarithmically
/// spaced rows (OFA's `make_token_bucket_position`, in the same single precision).
pub fn token_bucket(distance: i64, bucket_size: usize) -> usize {
    let middle = (bucket_size / 2) as i64;
    let bucket = if distance.abs() <= middle {
        distance
    } else {
        let middle = middle as f32;
        let ratio = f64::from((POSITIONS_MAX - 1.0) / middle).ln() as f32;
        let position = (distance.unsigned_abs() as f32 / middle).ln() / ratio * (middle - 1.0);
        (position.ceil() as i64 + middle as i64) * distance.signum()
    };
    let last = 2 * bucket_size as i64 - 2;
    (bucket + bucket_size as i64 - 1).clamp(0, last) as usize
}

/// The grid of image tokens: stem features, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grid {
    /// Rows of tokens.
    pub height: usize,
    /// Columns of tokens.
    pub width: usize,
}

impl Grid {
    /// The grid of a picture of so many pixels: one token per 16 x 16, rounded up.
    pub fn of_pixels(height: usize, width: usize) -> Self {
        Self { height: height.div_ceil(16), width: width.div_ceil(16) }
    }

    /// Number of image tokens.
    pub fn tokens(self) -> usize {
        self.height * self.width
    }

    /// Row of the absolute image-position table for each token; row 0 is no position.
    pub fn position_ids(self, bucket_size: usize) -> Vec<usize> {
        self.coordinates().map(|(y, x)| y * bucket_size + x + 1).collect()
    }

    /// Row of the image relative-position table for each pair (query-major).
    ///
    /// The last three rows of the table belong to the unused position 0 and never occur.
    pub fn relative_ids(self, bucket_size: usize) -> Vec<usize> {
        let side = 2 * bucket_size - 1;
        let offset = |a: usize, b: usize| a + bucket_size - 1 - b;
        self.coordinates()
            .flat_map(|query| self.coordinates().map(move |key| (query, key)))
            .map(|(query, key)| offset(query.0, key.0) * side + offset(query.1, key.1))
            .collect()
    }

    fn coordinates(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.height).flat_map(move |y| (0..self.width).map(move |x| (y, x)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_tokens_have_a_row_each_and_far_ones_share() {
        assert_eq!(token_bucket(0, 256), 255);
        assert_eq!(token_bucket(5, 256), 260);
        assert_eq!(token_bucket(-5, 256), 250);
        assert_eq!(token_bucket(128, 256), 255 + 128);
        assert_eq!(token_bucket(900, 256), token_bucket(901, 256));
        assert!(token_bucket(1023, 256) <= 510);
        assert_eq!(token_bucket(-1023, 256), 510 - token_bucket(1023, 256));
    }

    #[test]
    fn a_grid_reads_the_tables_as_ofa_numbers_them() {
        let grid = Grid::of_pixels(17, 48);
        assert_eq!(grid, Grid { height: 2, width: 3 });
        assert_eq!(grid.position_ids(42), [1, 2, 3, 43, 44, 45]);
        let relative = grid.relative_ids(42);
        assert_eq!(relative[0], 41 * 83 + 41, "a token to itself");
        assert_eq!(relative[1], 41 * 83 + 40, "a token to its right neighbour");
        assert_eq!(relative[3], 40 * 83 + 41, "a token to the one below");
    }
}
