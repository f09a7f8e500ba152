//! Plain OFA: joint encoding, teacher-forced decoding, every intermediate state.

use std::sync::Arc;

use mue_model::{
    AnswerRequest, Branch, BranchPolicy, BranchRun, Device, Grid, Ofa, RunOptions, Source, Tensor,
    token_bucket,
};

use crate::case::{Case, POSITIONS, Report, host, unpadded};

pub(crate) fn run(case: &Case, device: &Device, report: &mut Report<'_>) {
    let model = case.model(device, RunOptions::default());
    buckets(case, &model, report);
    stem(case, &model, report);
    let sources = case.sources();
    let pixels = case.inputs["patch_images"].tensor::<4>(device);
    let run = begin(&model, Some(pixels), &sources);
    let padding = report.uses("padding_mask");
    let valid: Vec<bool> = padding.ints().iter().map(|padded| *padded == 0).collect();
    encoder_inputs(&model, &run, &valid, report);
    let encoded = encode(&model, run, |layer, hidden| {
        report.tokens(&format!("enc_layer_{layer}"), hidden, &valid);
    });
    compare_encoded(&encoded, "enc_output", &valid, report);
    let sources = sources_of(&model, encoded);
    decoder(case, &model, &sources, "", report);
    text_only(case, &model, report);
}

fn begin(model: &Ofa, pixels: Option<Tensor<4>>, tokens: &[Vec<u32>]) -> BranchRun {
    model.begin_joint(pixels, tokens, vec![BranchPolicy::Full; tokens.len()])
}

/// Runs a branch to its end, showing each layer's output.
pub(crate) fn encode(
    model: &Ofa,
    mut run: BranchRun,
    mut show: impl FnMut(usize, Tensor<3>),
) -> Vec<mue_model::BranchEncoding> {
    let mut exited = Vec::new();
    while !run.is_finished() {
        let report = model.encode_layer(&mut run);
        show(report.layer, run.hidden());
        exited.extend(report.exited);
    }
    exited.sort_by_key(|(row, _)| *row);
    exited.into_iter().map(|(_, encoding)| encoding).collect()
}

fn sources_of(model: &Ofa, encoded: Vec<mue_model::BranchEncoding>) -> Vec<Source> {
    encoded.into_iter().map(|encoding| model.source(vec![Arc::new(encoding)], POSITIONS)).collect()
}

/// Compares encodings of different lengths, each against the valid tokens of its row.
fn compare_encoded(
    encoded: &[mue_model::BranchEncoding],
    name: &str,
    valid: &[bool],
    report: &mut Report<'_>,
) {
    let tokens = valid.len() / encoded.len();
    let width = encoded[0].states().dims()[2];
    let mut values = vec![0.0; valid.len() * width];
    for (row, encoding) in encoded.iter().enumerate() {
        let states = host(encoding.states());
        values[row * tokens * width..][..states.len()].copy_from_slice(&states);
    }
    report.floats_where(name, &values, |index| valid[index / width]);
}

fn buckets(case: &Case, model: &Ofa, report: &mut Report<'_>) {
    let config = model.config();
    let distances = case.expected["token_bucket_of_distance"].shape[0] as i64 / 2;
    let found: Vec<i64> = (-distances..=distances)
        .map(|distance| token_bucket(distance, config.token_bucket_size) as i64)
        .collect();
    report.ints("token_bucket_of_distance", &found);
    let grid = grid(case);
    let ids = |ids: Vec<usize>| ids.into_iter().map(|id| id as i64).collect::<Vec<_>>();
    report.ints("image_position_ids", &ids(grid.position_ids(config.image_bucket_size)));
    report.ints("image_rp_bucket", &ids(grid.relative_ids(config.image_bucket_size)));
}

fn grid(case: &Case) -> Grid {
    let shape = &case.inputs["patch_images"].shape;
    Grid::of_pixels(shape[2], shape[3])
}

fn stem(case: &Case, model: &Ofa, report: &mut Report<'_>) {
    let pixels = case.inputs["patch_images"].tensor::<4>(model.device());
    let stages = model.stem_stages(pixels);
    let names = ["stem_pool", "stem_layer1", "stem_layer2", "stem_features"];
    for (name, stage) in names.into_iter().zip(stages) {
        let rows = case.expected.get(name).map_or(0, |golden| golden.shape[0]);
        if rows > 0 {
            report.tensor(name, stage.narrow(0, 0, rows));
        }
    }
}

/// Embedding output, position embedding, biases and attention of the first layer.
fn encoder_inputs(model: &Ofa, run: &BranchRun, valid: &[bool], report: &mut Report<'_>) {
    let hidden = run.hidden();
    let [rows, tokens, _] = hidden.dims();
    let encoder = &model.network().encoder;
    let positions = encoder.positions();
    let Branch::Joint(Some(grid)) = run.branch() else { panic!("a joint case has an image") };
    let text = tokens - grid.tokens();
    let embedding =
        Tensor::cat(vec![positions.image_embedding(grid), positions.text_embedding(text)], 1);
    let absolute = positions.absolute_bias(embedding.clone());
    report.tokens("enc_embedding", hidden.clone(), valid);
    report.tokens("position_embedding", embedding.repeat_dim(0, rows), valid);
    report.tensor("enc_abs_pos_bias", absolute.repeat_dim(0, rows));
    report.tensor("enc_self_attn_bias_layer1", run.position_bias().repeat_dim(0, rows));
    let probabilities = encoder.layers[0].probabilities(hidden, run.attention_bias());
    attention_rows("enc_attn_probs_layer1", probabilities, valid, report);
}

/// Compares `[rows, heads, target, source]` at valid targets.
fn attention_rows(name: &str, found: Tensor<4>, valid: &[bool], report: &mut Report<'_>) {
    let [_, heads, target, source] = found.dims();
    report.floats_where(name, &host(found), |index| {
        let row = index / (heads * target * source);
        valid[row * target + index / source % target]
    });
}

/// Teacher-forced decoding: every layer, attention of the first, logits.
pub(crate) fn decoder(
    case: &Case,
    model: &Ofa,
    sources: &[Source],
    prefix: &str,
    report: &mut Report<'_>,
) -> Vec<Tensor<3>> {
    let prefixes = unpadded(&case.inputs["decoder_input_ids"]);
    let width = case.inputs["decoder_input_ids"].shape[1];
    let valid: Vec<bool> =
        prefixes.iter().flat_map(|row| (0..width).map(|token| token < row.len())).collect();
    if report.has("dec_valid") {
        let marks: Vec<i64> = valid.iter().map(|valid| i64::from(*valid)).collect();
        report.ints("dec_valid", &marks);
    }
    let requests = sources.iter().zip(&prefixes).map(|(source, prefix)| AnswerRequest {
        source: source.clone(),
        prefix: prefix.clone(),
        policy: BranchPolicy::Full,
    });
    let mut run = model.begin_answers(requests.collect(), &[0, 1, 2]);
    let name = |part: &str| format!("{prefix}{part}");
    report.tokens(&name("dec_embedding"), run.hidden(), &valid);
    report.tokens(&name("dec_layer_0"), run.hidden(), &valid);
    if report.has(&name("dec_self_attn_probs_layer1")) {
        first_attention(model, sources, run.hidden(), &valid, report);
    }
    let mut states = vec![run.hidden()];
    while !run.is_finished() {
        model.answer_layer(&mut run);
        report.tokens(&name(&format!("dec_layer_{}", states.len())), run.hidden(), &valid);
        states.push(run.hidden());
    }
    let [rows, tokens, d_model] = run.hidden().dims();
    let table = model.network().encoder.token_table();
    let flat = run.hidden().reshape([rows * tokens, d_model]);
    let logits =
        model.network().decoder.logits(flat, table).reshape([rows as i32, tokens as i32, -1]);
    report.tokens::<3>(&name("logits"), logits, &valid);
    states
}

/// Self- and cross-attention probabilities of the first decoder layer.
fn first_attention(
    model: &Ofa,
    sources: &[Source],
    hidden: Tensor<3>,
    valid: &[bool],
    report: &mut Report<'_>,
) {
    let layer = &model.network().decoder.layers[0];
    let [_, target, _] = hidden.dims();
    let bias = model.causal_bias(0, target);
    let found = layer.self_probabilities(hidden.clone(), bias.clone());
    attention_rows("dec_self_attn_probs_layer1", found, valid, report);
    let cached = layer.self_keys_values(hidden.clone());
    let positions: Vec<usize> = (0..target).collect();
    let width = report.expected("dec_cross_attn_probs_layer1").shape[3];
    let mut found = Vec::new();
    let _ = layer.forward(hidden, &cached, bias, |attention, queries| {
        for (row, source) in sources.iter().enumerate() {
            let states = Tensor::cat(source.parts().iter().map(|part| part.states()).collect(), 1);
            let probabilities = attention.probabilities(
                queries.clone().narrow(0, row, 1),
                &layer.cross_keys_values(states),
                source.position_bias(&positions),
            );
            let [_, heads, _, tokens] = probabilities.dims();
            let padding =
                Tensor::zeros([1, heads, target, width - tokens], &probabilities.device());
            found.push(Tensor::cat(vec![probabilities, padding], 3));
        }
        queries
    });
    attention_rows("dec_cross_attn_probs_layer1", Tensor::cat(found, 0), valid, report);
}

/// The same model on text alone, and on a text long enough for the logarithmic buckets.
fn text_only(case: &Case, model: &Ofa, report: &mut Report<'_>) {
    for prefix in ["textonly.", "longtext."] {
        let Some(expected) = case.expected.get(&format!("{prefix}enc_output")) else { continue };
        let tokens = expected.shape[1];
        let own = case.inputs.get(&format!("{prefix}input_ids"));
        let sources = unpadded(own.unwrap_or(&case.inputs["input_ids"]));
        let valid: Vec<bool> =
            sources.iter().flat_map(|row| (0..tokens).map(|token| token < row.len())).collect();
        let encoded = encode(model, begin(model, None, &sources), |_, _| {});
        compare_encoded(&encoded, &format!("{prefix}enc_output"), &valid, report);
        if report.has(&format!("{prefix}logits")) {
            decoder(case, model, &sources_of(model, encoded), prefix, report);
        }
    }
}
