//! Decomposed encoding at full depth, with both readings of the image branch's bias.

use std::sync::Arc;

use mue_model::{BranchPolicy, Device, Ofa, RunOptions, SimilarityRule, Source, Tensor};

use crate::case::{Case, POSITIONS, Report, host, unpadded};
use crate::joint::{decoder, encode};

/// A threshold that no cosine exceeds: every layer runs, and every similarity is computed.
pub(crate) fn watched() -> BranchPolicy {
    BranchPolicy::Similarity(SimilarityRule::constant(2.0))
}

pub(crate) fn run(case: &Case, device: &Device, report: &mut Report<'_>) {
    for (variant, relative) in [("paper", true), ("released", false)] {
        let model = case.model_with(device, RunOptions::default(), relative);
        run_variant(case, &model, variant, report);
    }
    report.uses("source_padding_mask");
}

fn run_variant(case: &Case, model: &Ofa, variant: &str, report: &mut Report<'_>) {
    let sources = case.sources();
    let rows = sources.len();
    let text_valid: Vec<bool> =
        report.uses("text_valid").ints().iter().map(|valid| *valid == 1).collect();
    let text = model.begin_texts(&sources, vec![watched(); rows]);
    report.tokens("text_layer_0", text.hidden(), &text_valid);
    let text = encode(model, text, |layer, hidden| {
        report.tokens(&format!("text_layer_{layer}"), hidden, &text_valid);
    });
    let pixels = case.inputs["patch_images"].tensor::<4>(model.device());
    let image = model.begin_images(pixels, vec![watched(); rows]);
    report.tensor(&format!("{variant}.image_layer_0"), image.hidden());
    let image = encode(model, image, |layer, hidden| {
        report.tensor(&format!("{variant}.image_layer_{layer}"), hidden);
    });
    let similarities = |branch: &[mue_model::BranchEncoding]| -> Vec<f32> {
        branch.iter().flat_map(|encoding| encoding.exit().similarities.clone()).collect()
    };
    report.floats("text_similarity", &similarities(&text));
    report.floats(&format!("{variant}.image_similarity"), &similarities(&image));
    let sources: Vec<Source> = image
        .into_iter()
        .zip(text)
        .map(|(image, text)| model.source(vec![Arc::new(image), Arc::new(text)], POSITIONS))
        .collect();
    encoder_output(model, &sources, variant, report);
    let states = decoder(case, model, &sources, &format!("{variant}."), report);
    decoder_similarities(case, &states, variant, report);
}

/// Encoder output and position embedding, padded as the case stores them.
fn encoder_output(model: &Ofa, sources: &[Source], variant: &str, report: &mut Report<'_>) {
    let name = format!("{variant}.enc_output");
    let width = report.expected(&name).shape[1];
    let d_model = model.config().d_model;
    let mut values = Vec::new();
    let mut valid = Vec::new();
    for source in sources {
        let parts = source.parts().iter().map(|part| part.states()).collect();
        let mut row = host(Tensor::cat(parts, 1));
        row.resize(width * d_model, 0.0);
        values.extend(row);
        valid.extend((0..width).map(|token| token < source.tokens()));
    }
    report.floats_where(&name, &values, |index| valid[index / d_model]);
    let positions = model.network().encoder.positions();
    let mue_model::Branch::Image(grid) = sources[0].parts()[0].branch() else {
        panic!("the image is the first part")
    };
    let embedding = Tensor::cat(
        vec![positions.image_embedding(grid), positions.text_embedding(width - grid.tokens())],
        1,
    );
    report.tokens("position_embedding", embedding.repeat_dim(0, sources.len()), &valid);
}

/// Similarities between the decoder's layers, of whole prefixes and of single positions, computed
/// here in double precision from the states.
fn decoder_similarities(case: &Case, states: &[Tensor<3>], variant: &str, report: &mut Report<'_>) {
    let prefixes = unpadded(&case.inputs["decoder_input_ids"]);
    let [_, tokens, d_model] = states[0].dims();
    let states: Vec<Vec<f32>> = states.iter().map(|state| host(state.clone())).collect();
    let mut whole = Vec::new();
    let mut single = Vec::new();
    for (row, prefix) in prefixes.iter().enumerate() {
        let range =
            |from: usize, to: usize| (row * tokens + from) * d_model..(row * tokens + to) * d_model;
        for pair in states.windows(2) {
            let range = range(0, prefix.len());
            whole.push(cosine(&pair[0][range.clone()], &pair[1][range]));
        }
        for token in 0..tokens {
            for pair in states.windows(2) {
                let range = range(token, token + 1);
                single.push(match token < prefix.len() {
                    true => cosine(&pair[0][range.clone()], &pair[1][range]),
                    false => -2.0,
                });
            }
        }
    }
    report.floats(&format!("{variant}.dec_similarity"), &whole);
    report.floats(&format!("{variant}.dec_token_similarity"), &single);
}

fn cosine(x: &[f32], y: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    (dot(x, y) / (dot(x, x).sqrt() * dot(y, y).sqrt())) as f32
}
