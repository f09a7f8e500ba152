//! The encoder run: a cohort of rows goes through the layers of one branch, and each leaves when
//! its state saturates.

mod run;

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::buckets::Grid;
use crate::computed::Computed;
use crate::exit::{BranchPolicy, LayerSignal};
use crate::gather::Gathering;
use crate::model::Ofa;
use crate::rows::{copied, token_ids};
use crate::similarity::Products;
use crate::source::{Branch, BranchEncoding, BranchExit};
use crate::tables::BranchTables;
pub use run::BranchRun;
use run::Row;

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

/// Pictures behind the stem, before the first layer.
#[derive(Clone, Debug)]
pub struct EmbeddedImages {
    /// `[rows, tokens, d_model]`.
    hidden: Tensor<3>,
    grid: Grid,
}

impl EmbeddedImages {
    /// Pictures of one size, one after the other; `None` of none.
    ///
    /// # Panics
    ///
    /// If their sizes differ.
    pub fn stack(mut parts: Vec<Self>) -> Option<Self> {
        if parts.len() <= 1 {
            return parts.pop();
        }
        let grid = parts.first()?.grid;
        assert!(parts.iter().all(|part| part.grid == grid), "pictures of one size");
        let hidden = Tensor::cat(parts.into_iter().map(|part| part.hidden).collect(), 0);
        Some(Self { hidden, grid })
    }

    /// Each picture on its own.
    pub fn split(self) -> Vec<Self> {
        let grid = self.grid;
        self.hidden.split(1, 0).into_iter().map(|hidden| Self { hidden, grid }).collect()
    }
}

impl Ofa {
    /// Starts the image branch of a cohort of pictures of one size.
    ///
    /// # Shapes
    ///
    /// - pixels: `[rows, 3, height, width]`, one policy per row
    ///
    /// # Panics
    ///
    /// If there are not as many policies as rows.
    pub fn begin_images(&self, pixels: Tensor<4>, policies: Vec<BranchPolicy>) -> BranchRun {
        self.begin_embedded(self.embed_images(pixels), policies)
    }

    /// The same of pictures behind the stem, one policy per picture.
    ///
    /// # Panics
    ///
    /// If there are not as many policies as pictures.
    pub fn begin_embedded(&self, images: EmbeddedImages, policies: Vec<BranchPolicy>) -> BranchRun {
        let stem = self.macs().stem(images.grid);
        let mut run = self.begin_image_branch(images, policies);
        run.computed.outside_macs += run.rows.len() as u64 * stem;
        run
    }

    /// Starts the text branch of a cohort of token sequences (with BOS and EOS) of any lengths that the
    /// model has positions for.
    ///
    /// # Panics
    ///
    /// If there are not as many policies as sequences, or, when a layer runs, if one is too long.
    pub fn begin_texts(&self, tokens: &[Vec<u32>], policies: Vec<BranchPolicy>) -> BranchRun {
        let (hidden, lengths) = self.embed_texts(tokens);
        let layers = self.encoder().layers.len();
        let tables = self.tables().text(self.encoder().positions(), layers, hidden.dims()[1]);
        let rows = self.rows_of_branch(lengths, policies);
        self.begin_branch(Branch::Text, tables, hidden, rows)
    }

    /// Runs the stem on pictures of one size, `[rows, 3, height, width]`, and makes them what the
    /// encoder's first layer begins with.
    pub fn embed_images(&self, pixels: Tensor<4>) -> EmbeddedImages {
        let (hidden, grid) = self.embed_image(pixels);
        EmbeddedImages { hidden, grid }
    }

    /// Starts plain OFA's joint encoding: each row is a picture, if any, followed by its text.
    ///
    /// # Shapes
    ///
    /// - pixels: `[rows, 3, height, width]`, one token sequence and one policy per row
    ///
    /// # Panics
    ///
    /// As [`begin_texts`](Self::begin_texts).
    pub fn begin_joint(
        &self,
        pixels: Option<Tensor<4>>,
        tokens: &[Vec<u32>],
        policies: Vec<BranchPolicy>,
    ) -> BranchRun {
        self.begin_joint_embedded(pixels.map(|pixels| self.embed_images(pixels)), tokens, policies)
    }

    /// The same of pictures behind the stem, one token sequence and one policy per picture.
    ///
    /// # Panics
    ///
    /// As [`begin_texts`](Self::begin_texts).
    pub fn begin_joint_embedded(
        &self,
        images: Option<EmbeddedImages>,
        tokens: &[Vec<u32>],
        policies: Vec<BranchPolicy>,
    ) -> BranchRun {
        let (text, mut lengths) = self.embed_texts(tokens);
        let text_tokens = text.dims()[1];
        let grid = images.as_ref().map(|images| images.grid);
        let hidden = match images {
            Some(EmbeddedImages { hidden, grid }) => {
                lengths.iter_mut().for_each(|length| *length += grid.tokens());
                Tensor::cat(vec![hidden, text], 1)
            }
            None => text,
        };
        let layers = self.encoder().layers.len();
        let tables = self.tables().joint(self.encoder().positions(), layers, (grid, text_tokens));
        let rows = self.rows_of_branch(lengths, policies);
        let mut run = self.begin_branch(Branch::Joint(grid), tables, hidden, rows);
        let stem = grid.map_or(0, |grid| self.macs().stem(grid));
        run.computed.outside_macs += run.rows.len() as u64 * stem;
        run
    }

    /// Has image branches go on that have left after the same layer, each to a depth of its own: as if
    /// they had not left.
    ///
    /// # Panics
    ///
    /// If there are none, one is no image's or is behind its last layer, or they left after different
    /// layers.
    pub fn resume_images(&self, images: &[(Arc<BranchEncoding>, usize)]) -> BranchRun {
        let (first, _) = images.first().expect("somebody goes on");
        let (branch, layer) = (first.branch(), first.exit().layer);
        let goes_on = |(image, _): &(Arc<BranchEncoding>, usize)| {
            assert_eq!((image.branch(), image.exit().layer), (branch, layer), "one cohort");
            image.hidden().expect("only an image that left early goes on")
        };
        let hidden = Tensor::cat(images.iter().map(goes_on).collect(), 0);
        let grid = match branch {
            Branch::Image(grid) => Some(grid),
            Branch::Text | Branch::Joint(_) => None,
        };
        let grid = grid.expect("only an image goes on");
        let policies = images.iter().map(|(_, layers)| BranchPolicy::Fixed { layers: *layers });
        let mut run = self.begin_image_branch(EmbeddedImages { hidden, grid }, policies.collect());
        run.layer = layer;
        for (row, (image, _)) in run.rows.iter_mut().zip(images) {
            row.similarities.clone_from(&image.exit().similarities);
        }
        run
    }

    /// Runs one layer on the rows that are still active.
    ///
    /// # Panics
    ///
    /// If the run is finished.
    pub fn encode_layer(&self, run: &mut BranchRun) -> LayerReport {
        assert!(!run.is_finished(), "every row of the run has left");
        run.gather();
        let bias = run.attention_bias();
        let before = run.hidden.clone();
        run.hidden = self.encoder().layers[run.layer].forward(before.clone(), bias);
        run.layer += 1;
        let rows = run.present.len();
        let macs = run.present.iter().map(|row| run.rows[*row].layer_macs).sum();
        run.computed.layer(run.layer - 1, rows, macs);
        self.note_similarities(run, before);
        let exited = self.leave(run);
        LayerReport { layer: run.layer, rows, exited }
    }

    fn note_similarities(&self, run: &mut BranchRun, before: Tensor<3>) {
        let asked = |row: &usize| run.rows[*row].policy.needs_similarity();
        if !run.active.iter().any(asked) {
            return;
        }
        let products = Products::of(before, run.hidden.clone());
        for (place, row) in run.present.iter().enumerate() {
            let Row { policy, tokens, similarities, .. } = &mut run.rows[*row];
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
        for row in &run.active {
            let Row { policy, similarities, tokens, .. } = &run.rows[*row];
            let similarity = similarities.last().copied();
            let signal =
                LayerSignal { layer: run.layer, layers, step: 0, similarity, prediction: None };
            if !policy.exits(signal) {
                kept.push(*row);
                continue;
            }
            let place = run.place(*row);
            let states = run.hidden.clone().narrow(0, place, 1).narrow(1, 0, *tokens);
            let exit = BranchExit { layer: run.layer, layers, similarities: similarities.clone() };
            // A copy of its own, which does not hold the whole cohort's.
            let can_go_on = run.layer < layers && matches!(run.branch, Branch::Image(_));
            let hidden = can_go_on.then(|| copied(states.clone()));
            let states = self.encoder().normalise(states);
            let encoding =
                BranchEncoding::new(run.branch, exit, states, self.decoder().layers.len());
            exited.push((*row, encoding.with_hidden(hidden)));
        }
        run.active = kept;
        exited
    }

    fn begin_image_branch(
        &self,
        EmbeddedImages { hidden, grid }: EmbeddedImages,
        policies: Vec<BranchPolicy>,
    ) -> BranchRun {
        let layers = self.encoder().layers.len();
        let tables = self.tables().image(self.encoder().positions(), layers, grid);
        let rows = self.rows_of_branch(vec![grid.tokens(); policies.len()], policies);
        self.begin_branch(Branch::Image(grid), tables, hidden, rows)
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
            options: self.options(),
            layer: 0,
            hidden,
            present: (0..rows.len()).collect(),
            active: (0..rows.len()).collect(),
            rows,
            computed: Computed::default(),
            gathering: Gathering::default(),
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

    fn rows_of_branch(&self, lengths: Vec<usize>, policies: Vec<BranchPolicy>) -> Vec<Row> {
        assert_eq!(lengths.len(), policies.len(), "one policy per row");
        lengths
            .into_iter()
            .zip(policies)
            .map(|(tokens, policy)| {
                let layer_macs = self.macs().encoder_layer(tokens);
                Row { tokens, layer_macs, policy, similarities: Vec::new() }
            })
            .collect()
    }
}
