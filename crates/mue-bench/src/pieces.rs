//! The stem, an encoder layer and its pieces, alone, against the rate of the machine's matrix
//! product.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use burn::tensor::Distribution;
use mue_model::{Device, Grid, KeysValues, Ofa, Tensor};

/// Times a piece: the least of several runs, in milliseconds.
fn least<const D: usize>(run: impl Fn() -> Tensor<D>) -> f64 {
    let timed = || {
        let start = Instant::now();
        black_box(run().slice(0..1).into_data());
        start.elapsed().as_secs_f64() * 1e3
    };
    timed();
    (0..5).map(|_| timed()).fold(f64::INFINITY, f64::min)
}

/// Prints a table of pieces.
pub(crate) fn print(
    out: &mut impl Write,
    model: &Ofa,
    pixels: usize,
    device: &Device,
) -> anyhow::Result<()> {
    let config = model.config();
    let grid = Grid::of_pixels(pixels, pixels);
    let (n, d, f) = (grid.tokens(), config.d_model, config.encoder_ffn_dim);
    let (heads, head_dim) = (config.encoder_attention_heads, config.encoder_head_dim());
    let noise = Distribution::Uniform(-1.0, 1.0);
    let matrix = |rows, columns| Tensor::<2>::random([rows, columns], noise, device);
    let (x, wide) = (matrix(n, d), matrix(n, f));
    let (expand, contract, square) = (matrix(d, f), matrix(f, d), matrix(d, d));
    let product = least(|| x.clone().matmul(expand.clone()));
    let rate = (n * d * f) as f64 / product / 1e6;
    writeln!(out, "matrix product {n} x {d} x {f}: {rate:.0} GMAC/s\n")?;
    let split = || Tensor::<4>::random([1, heads, n, head_dim], noise, device);
    let (queries, source) = (split(), KeysValues { keys: split(), values: split() });
    let bias = Tensor::<4>::random([1, heads, n, n], noise, device);
    let layer = &model.network().encoder.layers[0];
    let pixels = Tensor::<4>::random([1, 3, pixels, pixels], noise, device);
    let macs = model.macs();
    let pieces = [
        ("stem", least(|| model.stem_stages(pixels.clone()).remove(3)), macs.stem(grid)),
        (
            "encoder layer",
            least(|| layer.forward(x.clone().unsqueeze(), bias.clone())),
            macs.encoder_layer(n),
        ),
        (
            "of it: attention over keys and values",
            least(|| layer.attention().attend(queries.clone(), &source, bias.clone())),
            (2 * n * n * d) as u64,
        ),
        ("of it: product, width to inner", product, (n * d * f) as u64),
        (
            "of it: product, inner to width",
            least(|| wide.clone().matmul(contract.clone())),
            (n * d * f) as u64,
        ),
        (
            "of it: each of four products, width to width",
            least(|| x.clone().matmul(square.clone())),
            (n * d * d) as u64,
        ),
    ];
    writeln!(out, "| piece | ms | of which at the rate above |\n|---|---|---|")?;
    for (name, ms, macs) in pieces {
        writeln!(out, "| {name} | {ms:.2} | {:.2} |", macs as f64 / rate / 1e6)?;
    }
    let all = macs.stem(grid) + config.encoder_layers as u64 * macs.encoder_layer(n);
    writeln!(out, "\nencoder at that rate: {:.0} ms", all as f64 / rate / 1e6)?;
    Ok(())
}
