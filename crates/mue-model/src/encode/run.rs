//! A cohort of rows between two layers.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::computed::Computed;
use crate::exit::BranchPolicy;
use crate::gather::Gathering;
use crate::model::{Execution, RunOptions};
use crate::rows::RowIndex;
use crate::score_bias::{ScoreBias, padding_bias};
use crate::source::Branch;
use crate::tables::BranchTables;

/// A cohort of rows of one branch, resumable layer by layer.
#[derive(Debug)]
pub struct BranchRun {
    pub(super) branch: Branch,
    pub(super) tables: Arc<BranchTables>,
    pub(super) options: RunOptions,
    /// Layers run so far.
    pub(super) layer: usize,
    /// Residual stream of the present rows.
    pub(super) hidden: Tensor<3>,
    /// Cohort rows that the next layer would compute: those that still run, and those that have
    /// left since rows were gathered last. If masked, all.
    pub(super) present: Vec<usize>,
    /// Cohort rows that still run, in order.
    pub(super) active: Vec<usize>,
    pub(super) rows: Vec<Row>,
    pub(super) computed: Computed,
    pub(super) gathering: Gathering,
}

/// A row of a cohort.
#[derive(Debug)]
pub(super) struct Row {
    /// Valid tokens.
    pub(super) tokens: usize,
    /// What one layer costs.
    pub(super) layer_macs: u64,
    pub(super) policy: BranchPolicy,
    pub(super) similarities: Vec<f32>,
}

impl BranchRun {
    /// Whether every row has left.
    pub fn is_finished(&self) -> bool {
        self.active.is_empty()
    }

    /// Cohort rows that still run.
    pub fn active_rows(&self) -> &[usize] {
        &self.active
    }

    /// The residual stream of the rows that the last layer computed, `[rows, tokens, d_model]`.
    pub fn hidden(&self) -> Tensor<3> {
        self.hidden.clone()
    }

    /// What was computed so far.
    pub fn computed(&self) -> &Computed {
        &self.computed
    }

    /// What was gathered since this was last asked.
    pub fn take_gathering(&mut self) -> Gathering {
        std::mem::take(&mut self.gathering)
    }

    /// Drops rows whose answer nobody waits for any more.
    pub fn cancel_rows(&mut self, cancelled: impl Fn(usize) -> bool) {
        self.active.retain(|row| !cancelled(*row));
    }

    /// Gathers the rows that still run, if that pays.
    pub(super) fn gather(&mut self) {
        let [_, tokens, width] = self.hidden.dims();
        let left = self.present.iter().filter(|row| !self.active.contains(row));
        let saved = left.map(|row| self.rows[*row].layer_macs).sum();
        let pays = self.options.gather.pays(self.active.len() * tokens * width, saved);
        if self.options.execution == Execution::Masked || !pays {
            return;
        }
        let total = self.present.len();
        let places = self.active.iter().map(|row| self.place(*row)).collect();
        let places = RowIndex::new(places, total, &self.hidden.device());
        self.hidden = self.gathering.select(self.hidden.clone(), &places);
        self.present.clone_from(&self.active);
    }

    /// Where a row is in `hidden`.
    pub(super) fn place(&self, row: usize) -> usize {
        let place = self.present.iter().position(|other| *other == row);
        place.expect("a row that runs is present")
    }

    /// Which tokens the run works on.
    pub fn branch(&self) -> Branch {
        self.branch
    }

    /// Position bias of the next layer, `[1, heads, tokens, tokens]`.
    ///
    /// # Panics
    ///
    /// If every layer has run.
    pub fn position_bias(&self) -> Tensor<4> {
        let bias = self.tables.biases[self.layer].clone();
        let [_, heads, length, _] = bias.dims();
        let tokens = self.hidden.dims()[1];
        match length == tokens {
            true => bias,
            false => bias.slice([0..1, 0..heads, 0..tokens, 0..tokens]),
        }
    }

    /// Position bias of the next layer, and the padding of the rows that it computes.
    ///
    /// # Panics
    ///
    /// If every layer has run.
    pub fn attention_bias(&self) -> ScoreBias {
        let lengths: Vec<usize> = self.present.iter().map(|row| self.rows[*row].tokens).collect();
        let padding = padding_bias(&lengths, self.hidden.dims()[1], &self.hidden.device());
        ScoreBias::padded(self.position_bias(), padding)
    }
}

#[cfg(test)]
mod tests {
    use crate::BranchPolicy;
    use crate::tiny_model::model;

    #[test]
    fn padding_does_not_copy_the_position_bias_for_every_row() {
        let texts = [vec![0, 5, 2], vec![0, 5, 6, 7, 2]];
        let model = model();
        let run = model.begin_texts(&texts, vec![BranchPolicy::Full; 2]);
        let shapes: Vec<_> = run.attention_bias().terms().map(|term| term.dims()).collect();
        assert_eq!(shapes, [[1, 2, 5, 5], [2, 1, 1, 5]]);
    }
}
