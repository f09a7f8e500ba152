//! What a run has computed, whoever it was for.

/// What a run has computed so far, as [`MacModel`](crate::MacModel) counts.
///
/// A run works on one branch, so these are the counts of a branch by layer. What several requests
/// share is counted once; rows that have left count where they were computed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Computed {
    /// By layer; index 0 is layer 1.
    pub layers: Vec<LayerWork>,
    /// Multiply-accumulates before and behind the layers: an image's stem, the decoder's LM head.
    pub outside_macs: u64,
}

/// What a run has computed at one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerWork {
    /// Rows; a decoder row counts once per step.
    pub rows: u64,
    /// Multiply-accumulates, keys and values included, padding not.
    pub macs: u64,
}

impl Computed {
    /// Multiply-accumulates of all of it.
    pub fn macs(&self) -> u64 {
        self.outside_macs + self.layers.iter().map(|layer| layer.macs).sum::<u64>()
    }

    /// Books a layer (index 0 is layer 1) on some rows.
    pub(crate) fn layer(&mut self, layer: usize, rows: usize, macs: u64) {
        let work = self.at(layer);
        work.rows += rows as u64;
        work.macs += macs;
    }

    /// Books keys and values that a layer attends to.
    pub(crate) fn keys_values(&mut self, layer: usize, macs: u64) {
        self.at(layer).macs += macs;
    }

    fn at(&mut self, layer: usize) -> &mut LayerWork {
        if self.layers.len() <= layer {
            self.layers.resize(layer + 1, LayerWork::default());
        }
        &mut self.layers[layer]
    }
}
