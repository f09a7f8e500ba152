//! Whether gathering the survivors of an exit costs less than computing the others on, and how long
//! gathering took.

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use crate::buckets::Grid;
use crate::model::Ofa;
use crate::rows::{RowIndex, SelectRows, write_rows};

/// What gathering rows costs on a device, and what computing them does.
///
/// With [`FREE`](Self::FREE), the default, a layer computes active rows only. A measured cost lets
/// rows that have left be computed on, and thrown away, where a gather would take longer: with few
/// rows of a small model on a device where every call is dear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GatherCost {
    /// One gather, however small, in nanoseconds.
    pub call_ns: f64,
    /// Each element gathered.
    pub element_ns: f64,
    /// Each multiply-accumulate of a further row in a layer.
    pub mac_ns: f64,
}

impl GatherCost {
    /// Gathering always pays.
    pub const FREE: Self = Self { call_ns: 0.0, element_ns: 0.0, mac_ns: 1.0 };

    /// What two sizes tell. Where the larger layer took no longer, nothing is known of what a row
    /// costs, and gathering is taken to be free: then exits save at least what they should.
    fn between(few: &Sample, many: &Sample) -> Self {
        let macs = (many.macs - few.macs).max(1) as f64;
        let mac_ns = (many.layer_ns - few.layer_ns) / macs;
        if mac_ns <= 0.0 {
            return Self::FREE;
        }
        let elements = (many.elements - few.elements).max(1) as f64;
        let element_ns = ((many.gather_ns - few.gather_ns) / elements).max(0.0);
        let call_ns = (few.gather_ns - element_ns * few.elements as f64).max(0.0);
        Self { call_ns, element_ns, mac_ns }
    }

    /// Whether gathering so many elements costs less than the next layer's work on the others.
    pub fn pays(&self, elements: usize, saved_macs: u64) -> bool {
        let gather = self.call_ns + self.element_ns * elements as f64;
        saved_macs > 0 && gather < self.mac_ns * saved_macs as f64
    }
}

impl Default for GatherCost {
    fn default() -> Self {
        Self::FREE
    }
}

/// Rows that were moved so that a layer computes active rows only, or that finished ones make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gathering {
    /// Tensors, or pairs of keys and values, whose rows were moved.
    pub moves: u64,
    /// How long that took; on a device that computes asynchronously, how long giving the order took.
    pub duration: Duration,
}

impl Gathering {
    /// Selects rows; what keeps every row in its place is no move.
    pub(crate) fn select<T: SelectRows>(&mut self, state: T, rows: &RowIndex) -> T {
        if rows.is_identity() { state } else { self.time(|| state.select_rows(rows)) }
    }

    /// Puts `update`'s rows into `state` at the rows they were selected from.
    pub(crate) fn put(
        &mut self,
        state: Tensor<3>,
        update: Tensor<3>,
        rows: &RowIndex,
    ) -> Tensor<3> {
        if rows.is_identity() { update } else { self.time(|| write_rows(state, update, rows)) }
    }

    fn time<T>(&mut self, gather: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let gathered = gather();
        self.moves += 1;
        self.duration += start.elapsed();
        gathered
    }
}

/// Rows of the two sizes that are compared.
const ROWS: [usize; 2] = [2, 6];

/// Timed runs of each; the least counts, since noise only adds.
const RUNS: usize = 4;

impl Ofa {
    /// Measures on the model's device, with pictures of `side` pixels: some encoder layers and some
    /// gathers.
    pub fn measure_gather(&self, side: usize) -> GatherCost {
        let [few, many] = ROWS.map(|rows| self.time_layer(rows, side));
        GatherCost::between(&few, &many)
    }

    fn time_layer(&self, rows: usize, side: usize) -> Sample {
        let grid = Grid::of_pixels(side, side);
        let (tokens, width) = (grid.tokens(), self.config().d_model);
        let hidden = Tensor::<3>::zeros([rows, tokens, width], self.device());
        // Not the model's own tables: one that never asks for these would keep them.
        let heads = self.config().encoder_attention_heads;
        let bias = Tensor::<4>::zeros([1, heads, tokens, tokens], self.device());
        let layer = &self.encoder().layers[0];
        // Reversed, so that no gather can be skipped.
        let order = RowIndex::new((0..rows).rev().collect(), rows, self.device());
        Sample {
            macs: rows as u64 * self.macs().encoder_layer(tokens),
            elements: rows * tokens * width,
            layer_ns: least(|| layer.forward(hidden.clone(), bias.clone())),
            gather_ns: least(|| hidden.clone().select_rows(&order)),
        }
    }
}

struct Sample {
    macs: u64,
    elements: usize,
    layer_ns: f64,
    gather_ns: f64,
}

/// The least time of some runs, the first of which only warms up.
fn least(run: impl Fn() -> Tensor<3>) -> f64 {
    let timed = || {
        let start = Instant::now();
        // Reading one number waits for a device that computes asynchronously.
        black_box(run().slice([0..1, 0..1, 0..1]).into_data());
        start.elapsed().as_nanos() as f64
    };
    timed();
    (0..RUNS).map(|_| timed()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_gather_pays_if_it_saves_anything() {
        assert!(GatherCost::FREE.pays(1 << 30, 1));
        assert!(!GatherCost::FREE.pays(0, 0));
    }

    #[test]
    fn two_sizes_tell_what_a_call_and_an_element_and_a_mac_cost() {
        let few = Sample { macs: 2_000, elements: 200, layer_ns: 5_000.0, gather_ns: 400.0 };
        let many = Sample { macs: 6_000, elements: 600, layer_ns: 7_000.0, gather_ns: 600.0 };
        let cost = GatherCost::between(&few, &many);
        assert_eq!(cost, GatherCost { call_ns: 300.0, element_ns: 0.5, mac_ns: 0.5 });
    }

    #[test]
    fn a_layer_that_takes_no_longer_for_more_rows_makes_gathering_free() {
        let sample = |rows: usize, layer_ns| {
            let (macs, elements) = (1_000 * rows as u64, 100 * rows);
            Sample { macs, elements, layer_ns, gather_ns: 400.0 }
        };
        for many_ns in [5_000.0, 4_900.0] {
            let cost = GatherCost::between(&sample(2, 5_000.0), &sample(6, many_ns));
            assert!(cost.pays(1_000, 1), "else nothing would ever be gathered");
        }
    }

    #[test]
    fn a_dear_gather_pays_only_for_much_work() {
        let cost = GatherCost { call_ns: 50_000.0, element_ns: 0.5, mac_ns: 0.01 };
        assert!(!cost.pays(1000, 1_000_000), "50.5 us for 10 us");
        assert!(cost.pays(1000, 10_000_000), "50.5 us for 100 us");
        assert!(!cost.pays(1_000_000, 10_000_000), "550 us for 100 us");
    }
}
