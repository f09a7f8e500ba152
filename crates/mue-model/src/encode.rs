//! The encoder run: a cohort of rows goes through the layers of one branch, and each leaves when
//! its state saturates.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::exit::{BranchPolicy, LayerSignal};
use crate::macs::Computed;
use crate::model::{Execution, Ofa};
use crate::rows::{RowIndex, SelectRows, token_ids, write_rows};
use crate::similarity::Products;
use crate::source::{Branch, BranchEncoding, BranchExit, padding_bias};
use crate::tables::BranchTables;

/// A cohort of rows of one branch, resumable layer by layer.
#[derive(Debug)]
pub struct BranchRun {
    branch: Branch,
    tables: Arc<BranchTables>,
    execution: Execution,
    /// Layers run so far.
    layer: usize,
    /// Residual stream: of the active rows if compacted, of all rows if masked.
    hidden: Tensor<3>,
    /// Cohort rows that still run, in the order of `hidden` if compacted.
    active: Vec<usize>,
    rows: Vec<Row>,
    computed: Computed,
}

#[derive(Debug)]
struct Row {
    /// Valid tokens.
    tokens: usize,
    policy: BranchPolicy,
    similarities: Vec<f32>,
}

/// What one encoder layer did.
#[derive(Debug)]
pub struct LayerReport {
    /// The layer that ran, counted from 1.
    pub layer: usize,
    /// Rows that it computed.
    pub rows: usize,
    /// Cohort rows that left after it, with their encodings.
    pub exited: Vec<(usize, BranchEncoding)>,
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

    /// The residual stream, `[rows, tokens, d_model]`.
    pub fn hidden(&self) -> Tensor<3> {
        self.hidden.clone()
    }

    /// What was computed so far.
    pub fn computed(&self) -> &Computed {
        &self.computed
    }

    /// Drops rows whose answer nobody waits for any more.
    pub fn cancel_rows(&mut self, cancelled: impl Fn(usize) -> bool) {
        let kept: Vec<usize> =
            (0..self.active.len()).filter(|place| !cancelled(self.active[*place])).collect();
        self.keep_active(&kept);
    }

    /// Keeps the active rows at these places.
    fn keep_active(&mut self, places: &[usize]) {
        if self.execution == Execution::Compacted && !places.is_empty() {
            let device = self.hidden.device();
            let index = RowIndex::new(places.to_vec(), self.active.len(), &device);
            self.hidden = self.hidden.clone().select_rows(&index);
        }
        self.active = places.iter().map(|place| self.active[*place]).collect();
    }

    /// Rows of `hidden`, as cohort rows.
    fn computed_rows(&self) -> Vec<usize> {
        match self.execution {
            Execution::Compacted => self.active.clone(),
            Execution::Masked => (0..self.rows.len()).collect(),
        }
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

    /// Position bias of the next layer with the computed rows' padding masked,
    /// `[rows or 1, heads, tokens, tokens]`.
    pub fn attention_bias(&self) -> Tensor<4> {
        let bias = self.position_bias();
        let rows = self.computed_rows();
        let lengths: Vec<usize> = rows.iter().map(|row| self.rows[*row].tokens).collect();
        match padding_bias(&lengths, self.hidden.dims()[1], &self.hidden.device()) {
            Some(padding) => bias + padding,
            None => bias,
        }
    }
}

impl Ofa {
    /// Starts the image branch of a cohort of pictures of one size.
    ///
    /// # Shapes
    ///
    /// - pixels: `[rows, 3, height, width]`, one policy per row
    pub fn begin_images(&self, pixels: Tensor<4>, policies: Vec<BranchPolicy>) -> BranchRun {
        let (hidden, grid) = self.encoder().embed_image(pixels);
        let layers = self.encoder().layers.len();
        let tables = self.tables().image(self.encoder().positions(), layers, grid);
        let lengths = vec![grid.tokens(); policies.len()];
        let rows = rows_of(lengths, policies);
        let mut run = self.begin_branch(Branch::Image(grid), tables, hidden, rows);
        run.computed.macs += run.rows.len() as u64 * self.macs().stem(grid);
        run
    }

    /// Starts the text branch of a cohort of token sequences (with BOS and EOS) of any lengths.
    pub fn begin_texts(&self, tokens: &[Vec<u32>], policies: Vec<BranchPolicy>) -> BranchRun {
        let (hidden, lengths) = self.embed_texts(tokens);
        let layers = self.encoder().layers.len();
        let tables = self.tables().text(self.encoder().positions(), layers, hidden.dims()[1]);
        self.begin_branch(Branch::Text, tables, hidden, rows_of(lengths, policies))
    }

    /// Starts plain OFA's joint encoding: each row is a picture, if any, followed by its text.
    ///
    /// # Shapes
    ///
    /// - pixels: `[rows, 3, height, width]`, one token sequence and one policy per row
    pub fn begin_joint(
        &self,
        pixels: Option<Tensor<4>>,
        tokens: &[Vec<u32>],
        policies: Vec<BranchPolicy>,
    ) -> BranchRun {
        let (text, mut lengths) = self.embed_texts(tokens);
        let text_tokens = text.dims()[1];
        let image = pixels.map(|pixels| self.encoder().embed_image(pixels));
        let grid = image.as_ref().map(|(_, grid)| *grid);
        let hidden = match image {
            Some((image, grid)) => {
                lengths.iter_mut().for_each(|length| *length += grid.tokens());
                Tensor::cat(vec![image, text], 1)
            }
            None => text,
        };
        let layers = self.encoder().layers.len();
        let tables = self.tables().joint(self.encoder().positions(), layers, (grid, text_tokens));
        let rows = rows_of(lengths, policies);
        let mut run = self.begin_branch(Branch::Joint(grid), tables, hidden, rows);
        let stem = grid.map_or(0, |grid| self.macs().stem(grid));
        run.computed.macs += run.rows.len() as u64 * stem;
        run
    }

    /// Runs one layer on the rows that are still active.
    ///
    /// # Panics
    ///
    /// If the run is finished.
    pub fn encode_layer(&self, run: &mut BranchRun) -> LayerReport {
        assert!(!run.is_finished(), "every row of the run has left");
        let rows = run.computed_rows();
        let bias = run.attention_bias();
        let before = run.hidden.clone();
        let after = self.encoder().layers[run.layer].forward(before.clone(), bias);
        run.layer += 1;
        let macs = rows.iter().map(|row| self.macs().encoder_layer(run.rows[*row].tokens)).sum();
        run.computed.layer(run.layer - 1, rows.len(), macs);
        self.note_similarities(run, &rows, before.clone(), after.clone());
        run.hidden = match run.execution {
            Execution::Compacted => after,
            Execution::Masked => {
                let active = RowIndex::new(run.active.clone(), rows.len(), &after.device());
                write_rows(before, after.select_rows(&active), &active)
            }
        };
        let exited = self.leave(run);
        LayerReport { layer: run.layer, rows: rows.len(), exited }
    }

    fn note_similarities(
        &self,
        run: &mut BranchRun,
        rows: &[usize],
        before: Tensor<3>,
        after: Tensor<3>,
    ) {
        let asked = |row: &usize| run.rows[*row].policy.needs_similarity();
        if !run.active.iter().any(asked) {
            return;
        }
        let products = Products::of(before, after);
        for (place, row) in rows.iter().enumerate() {
            let Row { policy, tokens, similarities } = &mut run.rows[*row];
            if run.active.contains(row) && policy.needs_similarity() {
                similarities.push(products.cosine(place..place + 1, 0..*tokens));
            }
        }
    }

    /// Takes the rows that exit after the layer just run out of the run.
    fn leave(&self, run: &mut BranchRun) -> Vec<(usize, BranchEncoding)> {
        let layers = self.encoder().layers.len();
        let mut kept = Vec::new();
        let mut exited = Vec::new();
        for (place, row) in run.active.iter().enumerate() {
            let Row { policy, similarities, tokens } = &run.rows[*row];
            let similarity = similarities.last().copied();
            let signal = LayerSignal { layer: run.layer, layers, step: 0, similarity };
            if !policy.exits(signal) {
                kept.push(place);
                continue;
            }
            let place = if run.execution == Execution::Compacted { place } else { *row };
            let states = run.hidden.clone().narrow(0, place, 1).narrow(1, 0, *tokens);
            let exit = BranchExit { layer: run.layer, layers, similarities: similarities.clone() };
            let states = self.encoder().normalise(states);
            let decoder_layers = self.decoder().layers.len();
            exited.push((*row, BranchEncoding::new(run.branch, exit, states, decoder_layers)));
        }
        run.keep_active(&kept);
        exited
    }

    fn begin_branch(
        &self,
        branch: Branch,
        tables: Arc<BranchTables>,
        hidden: Tensor<3>,
        rows: Vec<Row>,
    ) -> BranchRun {
        BranchRun {
            branch,
            tables,
            execution: self.execution(),
            layer: 0,
            hidden,
            active: (0..rows.len()).collect(),
            rows,
            computed: Computed::default(),
        }
    }

    fn embed_texts(&self, tokens: &[Vec<u32>]) -> (Tensor<3>, Vec<usize>) {
        let lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let padded: Vec<Vec<u32>> = tokens
            .iter()
            .map(|row| {
                let mut row = row.clone();
                row.resize(longest, self.config().pad_token_id);
                row
            })
            .collect();
        (self.encoder().embed_text(token_ids(&padded, self.device())), lengths)
    }
}

fn rows_of(lengths: Vec<usize>, policies: Vec<BranchPolicy>) -> Vec<Row> {
    assert_eq!(lengths.len(), policies.len(), "one policy per row");
    lengths
        .into_iter()
        .zip(policies)
        .map(|(tokens, policy)| Row { tokens, policy, similarities: Vec::new() })
        .collect()
}
