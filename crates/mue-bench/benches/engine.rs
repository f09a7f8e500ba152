//! What exits and batching cost and save, on a random model of the demo's size (criterion).
//!
//! `transformer/*`: the image branch of 16 rows, without the stem, at full and at half depth; half
//! the layers should cost little more than half the time. `gather/*`: the same where half the rows
//! leave at every layer, compacted and masked. As in the engine, rows are gathered where that was
//! measured to pay.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mue_model::weights::initial_tensors;
use mue_model::{BranchPolicy, BranchRun, Device, Execution, Ofa, OfaConfig, RunOptions, Tensor};
use serde_json::json;

/// As the product's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 16;
const LAYERS: usize = 6;

/// Of the pictures, in pixels.
const SIDE: usize = 96;

fn model(execution: Execution) -> Ofa {
    let config = json!({
        "vocab_size": 65, "d_model": 128, "encoder_layers": LAYERS, "decoder_layers": LAYERS,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 512,
        "decoder_ffn_dim": 512, "resnet_layers": [1, 1, 1], "stem_width": 16,
        "max_position_embeddings": 64, "token_bucket_size": 32, "image_bucket_size": 6,
    });
    let device = Device::flex();
    let config = OfaConfig::from_json(&config.to_string()).expect("a possible configuration");
    let tensors = initial_tensors(&config, 0, &device).expect("every tensor can be made");
    let model = Ofa::from_tensors(&tensors, config, &device).expect("the tensors fit");
    let gather = model.measure_gather(SIDE);
    model.with_options(RunOptions { execution, gather, ..RunOptions::default() })
}

/// A cohort behind its stem.
fn begin(model: &Ofa, depth: impl Fn(usize) -> usize) -> BranchRun {
    let pixels = Tensor::zeros([ROWS, 3, SIDE, SIDE], model.device());
    let policies = (0..ROWS).map(|row| BranchPolicy::Fixed { layers: depth(row) }).collect();
    model.begin_images(pixels, policies)
}

fn transformer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transformer");
    let model = model(Execution::Compacted);
    for (name, layers) in [("full", LAYERS), ("half", LAYERS / 2)] {
        let setup = || begin(&model, |_| layers);
        let run = |run| model.encode_all(run).len();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(setup, run, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn gather(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gather");
    for (name, execution) in [("compacted", Execution::Compacted), ("masked", Execution::Masked)] {
        let model = model(execution);
        // Row 0 stays longest: 8 rows leave after layer 1, 4 after layer 2, and so on.
        let depth = |row: usize| (row.max(1).ilog2() as usize).abs_diff(4).min(LAYERS);
        let setup = || begin(&model, depth);
        let run = |run| model.encode_all(run).len();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(setup, run, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, transformer, gather);
criterion_main!(benches);
