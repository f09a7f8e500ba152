//! Sequences of different lengths without their padding.

use burn::tensor::{Device, Tensor};

use crate::rows::index;

/// Which tokens of padded rows there are.
///
/// All that is done token by token, which is most of a layer, is done on the tokens alone, one
/// behind the other; only attention needs them in rows.
#[derive(Clone, Debug)]
pub(super) struct Packing {
    /// Place of each row's first token.
    starts: Vec<usize>,
    /// Tokens of each row.
    lengths: Vec<usize>,
    /// Length of a padded row.
    longest: usize,
    device: Device,
}

impl Packing {
    pub(super) fn new(lengths: Vec<usize>, device: &Device) -> Self {
        let mut end = 0;
        let starts = lengths
            .iter()
            .map(|length| {
                end += length;
                end - length
            })
            .collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        Self { starts, lengths, longest, device: device.clone() }
    }

    /// Tokens of each row.
    pub(super) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Length of a padded row.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Place of each row's first token.
    pub(super) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// What puts tokens into rows. Padding holds the first token:
    /// any finite value does, for it is masked or never read.
    ///
    /// # Shapes
    ///
    /// `[1, tokens, width]` to `[rows, longest, width]`
    pub(super) fn rows(&self) -> impl Fn(Tensor<3>) -> Tensor<3> + use<> {
        self.chosen_rows(&(0..self.lengths.len()).collect::<Vec<_>>())
    }

    /// The same for chosen rows in any order.
    pub(super) fn chosen_rows(&self, rows: &[usize]) -> impl Fn(Tensor<3>) -> Tensor<3> + use<> {
        let longest = self.longest;
        let places: Vec<usize> = rows
            .iter()
            .flat_map(|row| {
                let row = *row;
                let (start, length) = (self.starts[row], self.lengths[row]);
                (0..longest).map(move |token| if token < length { start + token } else { 0 })
            })
            .collect();
        let rows = places.len() / longest.max(1);
        let places = index(&places, &self.device);
        move |tokens| {
            let width = tokens.dims()[2];
            tokens.squeeze_dim::<2>(0).select(0, places.clone()).reshape([rows, longest, width])
        }
    }

    /// What takes the tokens out of rows.
    ///
    /// # Shapes
    ///
    /// `[rows, longest, width]` to `[1, tokens, width]`
    pub(super) fn tokens(&self) -> impl Fn(Tensor<3>) -> Tensor<3> + use<> {
        let longest = self.longest;
        let places: Vec<usize> = self
            .lengths
            .iter()
            .enumerate()
            .flat_map(|(row, length)| row * longest..row * longest + length)
            .collect();
        let places = index(&places, &self.device);
        move |padded| {
            let [rows, longest, width] = padded.dims();
            padded.reshape([rows * longest, width]).select(0, places.clone()).unsqueeze()
        }
    }
}
