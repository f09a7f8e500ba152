//! Scratch: times a training step on scenes, or trains.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use mue_model::weights::initial_tensors;
use mue_model::{BranchDepths, DecoderSequence, Network, TrainInput};
use mue_train::{BatchSource, CELL_CLASSES, Line, Scenes, Setup, TrainConfig, Trainer};

fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e6
}

fn time<T>(name: &str, mut f: impl FnMut() -> T) {
    std::hint::black_box(f());
    let mut best = f64::MAX;
    for _ in 0..6 {
        let start = cpu_ms();
        std::hint::black_box(f());
        best = best.min(cpu_ms() - start);
    }
    println!("{name}: {best:.2} ms");
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "train" {
        return train(&args[2], &args[3]);
    }
    let threads: usize = args[1].parse().unwrap();
    let pictures: usize = args[2].parse().unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| run(pictures));
}

fn train(recipe: &str, out: &str) {
    let config = TrainConfig::from_toml(&std::fs::read_to_string(recipe).unwrap()).unwrap();
    let device = Device::flex();
    let scenes = Scenes::new(config.seed, &config.data).unwrap();
    let model = config.model.ofa(scenes.vocab_size());
    let weights = initial_tensors(&model, config.seed, &device).unwrap();
    let dev = scenes.dev_set(config.data.dev_pictures);
    let setup = Setup {
        model,
        weights,
        source: Arc::new(scenes),
        cell_classes: CELL_CLASSES.to_vec(),
        dev,
    };
    let mut trainer = Trainer::new(config, setup, &device).unwrap();
    std::fs::create_dir_all(out).unwrap();
    trainer.resume(Path::new(out)).unwrap();
    trainer
        .run(Path::new(out), &mut |line| {
            if let Line::Evaluation(line) = line {
                println!("{line:?}");
            }
        })
        .unwrap();
    println!("{:?}", trainer.evaluate().unwrap());
}

fn run(pictures: usize) {
    let config = TrainConfig::default().model.ofa(80);
    let plain = Device::flex();
    let tensors = initial_tensors(&config, 1, &plain).unwrap();
    let (network, _) = Network::load(&tensors, &config, &plain).unwrap();
    println!("{} parameters", network.num_params());
    let network = network.train();
    let mut data = TrainConfig::default().data;
    data.pictures = pictures;
    let scenes = Scenes::new(1, &data).unwrap();
    time("batch of scenes", || scenes.batch(0));
    let pixels = Tensor::<4>::from_data(
        TensorData::new(
            (0..pictures * 3 * 96 * 96).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>(),
            [pictures, 3, 96, 96],
        ),
        &plain,
    );
    let text = |n: usize| (0..n).map(|i| 4 + (i as u32 * 7) % 70).collect::<Vec<_>>();
    let texts: Vec<_> =
        std::iter::once(text(8)).chain((0..2 * pictures).map(|i| text(12 + i % 5))).collect();
    let mut sequences: Vec<_> = (0..pictures)
        .map(|p| DecoderSequence { picture: p, text: 0, tokens: text(8 + p % 8) })
        .collect();
    sequences.extend((0..2 * pictures).map(|i| DecoderSequence {
        picture: i / 2,
        text: i + 1,
        tokens: texts[i + 1][..texts[i + 1].len() - 1].to_vec(),
    }));
    let input = |image: usize, text: usize, n: usize| TrainInput {
        pixels: pixels.clone(),
        texts: texts.clone(),
        sequences: sequences[..n].to_vec(),
        depths: BranchDepths { image, text },
    };
    time("stem conv2d forward autodiff", || {
        network.encoder.stem().forward(pixels.clone()).sum().into_scalar::<f32>()
    });
    time("stem conv2d fwd+bwd", || network.encoder.stem().forward(pixels.clone()).sum().backward());
    time("stem rows forward", || {
        network.encoder.stem().tokens(pixels.clone()).0.sum().into_scalar::<f32>()
    });
    time("stem rows fwd+bwd", || network.encoder.stem().tokens(pixels.clone()).0.sum().backward());
    micro(&plain, pictures);
    for (image, text) in [(1, 1), (6, 1), (1, 6), (6, 6)] {
        let input = input(image, text, sequences.len());
        time(&format!("forward image {image} text {text}"), || {
            network.forward(&config, &input).decoder_states[6].clone().sum().into_scalar::<f32>()
        });
        time(&format!("fwd+bwd image {image} text {text}"), || {
            network.forward(&config, &input).decoder_states[6].clone().sum().backward()
        });
    }
}

fn micro(plain: &Device, pictures: usize) {
    use burn::tensor::activation::{gelu, softmax};
    let device = plain.clone().autodiff();
    let tokens = pictures * 36;
    let x = |d: usize| {
        Tensor::<3>::random([pictures, 36, d], burn::tensor::Distribution::Default, &device)
            .require_grad()
    };
    let (a, b) = (x(128), x(512));
    let norm = |d: usize| burn::nn::LayerNormConfig::new(d).init(&device);
    let (n128, n512) = (norm(128), norm(512));
    let linear = |i: usize, o: usize| burn::nn::LinearConfig::new(i, o).init(&device);
    let (l1, l2, l3) = (linear(128, 128), linear(128, 512), linear(512, 128));
    println!("tokens {tokens}");
    time("add fwd", || a.clone() + a.clone());
    time("add inner", || a.clone().inner() + a.clone().inner());
    time("ln128 fwd", || n128.forward(a.clone()));
    time("ln128 fwd+bwd", || n128.forward(a.clone()).sum().backward());
    time("ln512 fwd", || n512.forward(b.clone()));
    time("ln512 fwd+bwd", || n512.forward(b.clone()).sum().backward());
    time("gelu512 fwd", || gelu(b.clone()));
    time("gelu512 fwd+bwd", || gelu(b.clone()).sum().backward());
    time("linear 128x128 fwd", || l1.forward(a.clone()));
    time("linear 128x128 fwd+bwd", || l1.forward(a.clone()).sum().backward());
    time("linear 128x512 fwd", || l2.forward(a.clone()));
    time("linear 128x512 fwd+bwd", || l2.forward(a.clone()).sum().backward());
    time("linear 512x128 fwd+bwd", || l3.forward(b.clone()).sum().backward());
    let q = || {
        Tensor::<4>::random([pictures, 4, 36, 32], burn::tensor::Distribution::Default, &device)
            .require_grad()
    };
    let (q, k, v) = (q(), q(), q());
    let bias = Tensor::<4>::random([1, 4, 36, 36], burn::tensor::Distribution::Default, &device)
        .require_grad();
    time("qk fwd", || q.clone().matmul(k.clone().swap_dims(2, 3)));
    let s = q.clone().matmul(k.clone().swap_dims(2, 3)).detach().require_grad();
    time("softmax fwd", || softmax(s.clone(), 3));
    time("softmax fwd+bwd", || softmax(s.clone(), 3).sum().backward());
    time("bias fwd+bwd", || (s.clone() + bias.clone()).sum().backward());
    time("attention fwd+bwd", || {
        softmax((q.clone() * 0.1).matmul(k.clone().swap_dims(2, 3)) + bias.clone(), 3)
            .matmul(v.clone())
            .sum()
            .backward()
    });
    time("sum fwd+bwd", || a.clone().sum().backward());
}
