//! The training pass computes what the inference path computes.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use burn::module::Module;
use mue_model::weights::initial_tensors;
use mue_model::{
    AnswerRequest, BranchDepths, BranchEncoding, BranchPolicy, DecoderSequence, Device, Network,
    Ofa, OfaConfig, SearchSettings, Tensor, TensorData, TrainEncoding, TrainInput, TrainOutput,
};

fn config() -> OfaConfig {
    let mut config = OfaConfig::default();
    config.vocab_size = 23;
    config.d_model = 16;
    (config.encoder_layers, config.decoder_layers) = (3, 3);
    (config.encoder_attention_heads, config.decoder_attention_heads) = (2, 2);
    (config.encoder_ffn_dim, config.decoder_ffn_dim) = (24, 24);
    config.resnet_layers = Some([1, 2, 1]);
    config.stem_width = 4;
    config.max_position_embeddings = 30;
    config.token_bucket_size = 8;
    config.image_bucket_size = 4;
    config
}

/// A model whose norms, biases and tables are not at their starting values, which hide mistakes.
fn network(config: &OfaConfig, device: &Device) -> Network {
    struct Shake(u32);
    impl burn::module::ModuleMapper for Shake {
        fn map_float<const D: usize>(
            &mut self,
            param: burn::module::Param<Tensor<D>>,
        ) -> burn::module::Param<Tensor<D>> {
            self.0 += 1;
            let phase = self.0 as f32;
            param.map(|tensor| {
                let shape = tensor.dims();
                let count = shape.iter().product::<usize>();
                let noise: Vec<f32> =
                    (0..count).map(|i| 0.1 * (i as f32 * 1.7 + phase).sin()).collect();
                let device = tensor.device();
                tensor + Tensor::from_data(TensorData::new(noise, shape), &device)
            })
        }
    }
    let tensors = initial_tensors(config, 5, device).unwrap();
    let (network, _) = Network::load(&tensors, config, device).unwrap();
    network.map(&mut Shake(0))
}

const SIDE: usize = 48;

fn pixels(device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..2 * 3 * SIDE * SIDE).map(|i| (i as f32 * 0.013).sin()).collect();
    Tensor::from_data(TensorData::new(values, [2, 3, SIDE, SIDE]), device)
}

fn input(device: &Device, encoding: TrainEncoding) -> TrainInput {
    let sequence =
        |picture, text, tokens: &[u32]| DecoderSequence { picture, text, tokens: tokens.to_vec() };
    TrainInput {
        pixels: pixels(device),
        texts: vec![vec![0, 5, 6, 2], vec![0, 7, 8, 9, 10, 2], vec![0, 11, 2]],
        sequences: vec![
            sequence(0, 0, &[0, 4, 5, 6]),
            sequence(1, 0, &[0, 9]),
            sequence(1, 1, &[0, 7, 8, 9, 10]),
            sequence(0, 2, &[0, 11]),
        ],
        encoding,
    }
}

fn full_depth(config: &OfaConfig) -> BranchDepths {
    BranchDepths { image: config.encoder_layers, text: config.encoder_layers }
}

fn forward(config: &OfaConfig, device: &Device, encoding: TrainEncoding) -> (Network, TrainOutput) {
    let network = network(config, device).train();
    let output = network.forward(config, &input(device, encoding));
    (network, output)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().unwrap()
}

fn assert_close(expected: &[f32], found: &[f32], what: &str) {
    assert_eq!(expected.len(), found.len(), "{what}");
    for (e, f) in expected.iter().zip(found) {
        assert!((e - f).abs() <= 1e-4 * (1.0 + e.abs()), "{what}: expected {e}, found {f}");
    }
}

/// What each sequence attends to, encoded as for answers.
fn encodings(model: &Ofa, input: &TrainInput) -> Vec<Vec<Arc<BranchEncoding>>> {
    let policies = |layers: usize, rows: usize| vec![BranchPolicy::Fixed { layers }; rows];
    let encoded = |run| -> Vec<Arc<BranchEncoding>> {
        model.encode_all(run).into_iter().map(Arc::new).collect()
    };
    match input.encoding {
        TrainEncoding::Decomposed(BranchDepths { image, text }) => {
            let images = encoded(model.begin_images(input.pixels.clone(), policies(image, 2)));
            let texts = encoded(model.begin_texts(&input.texts, policies(text, input.texts.len())));
            let parts = |it: &DecoderSequence| {
                vec![Arc::clone(&images[it.picture]), Arc::clone(&texts[it.text])]
            };
            input.sequences.iter().map(parts).collect()
        }
        TrainEncoding::Joint { layers } => {
            let joint = |it: &DecoderSequence| {
                let pixels = input.pixels.clone().narrow(0, it.picture, 1);
                let text = input.texts[it.text].clone();
                encoded(model.begin_joint(Some(pixels), &[text], policies(layers, 1)))
            };
            input.sequences.iter().map(joint).collect()
        }
    }
}

#[test]
fn answers_are_those_of_the_answer_run() {
    let (config, device) = (config(), Device::flex());
    let answers: Vec<u32> = (0..config.vocab_size as u32).collect();
    for encoding in [
        TrainEncoding::Decomposed(full_depth(&config)),
        TrainEncoding::Decomposed(BranchDepths { image: 1, text: 2 }),
        TrainEncoding::Joint { layers: config.encoder_layers },
        TrainEncoding::Joint { layers: 1 },
    ] {
        let (trained, output) = forward(&config, &device, encoding);
        let input = input(&device, encoding);
        let rows: Vec<usize> = input
            .sequences
            .iter()
            .enumerate()
            .map(|(number, sequence)| output.place(number, sequence.tokens.len() - 1))
            .collect();
        let logits = host(trained.layer_logits(&output.decoder_states[1..], &rows));

        let model = Ofa::new(network(&config, &device), config.clone(), &device).unwrap();
        let encodings = encodings(&model, &input);
        for layer in 1..=config.decoder_layers {
            let requests = input.sequences.iter().zip(&encodings).map(|(sequence, parts)| {
                let source = model.source(parts.clone(), sequence.tokens.len());
                let prefix = sequence.tokens.clone();
                AnswerRequest { source, prefix, policy: BranchPolicy::Fixed { layers: layer } }
            });
            let scored = model.answer(requests.collect(), &answers);
            let expected: Vec<f32> =
                scored.into_iter().flat_map(|scored| scored.unwrap().logits).collect();
            let found = &logits[(layer - 1) * expected.len()..layer * expected.len()];
            assert_close(&expected, found, &format!("{encoding:?}, layer {layer}"));
        }
    }
}

#[test]
fn captions_are_those_of_the_decoder_run() {
    let (config, device) = (config(), Device::flex());
    let encoding = TrainEncoding::Decomposed(full_depth(&config));
    let model = Ofa::new(network(&config, &device), config.clone(), &device).unwrap();
    let parts = encodings(&model, &input(&device, encoding)).remove(1);
    let mut run = model.begin_decode();
    let settings = SearchSettings {
        beam_size: 1,
        tokens_max: 6,
        tokens_min: 6,
        no_repeat_ngram_size: 0,
        length_penalty: 1.0,
    };
    let source = model.source(parts, 8);
    model.join_decode(&mut run, source, BranchPolicy::Full, settings);
    let mut expected = Vec::new();
    let mut tokens = Vec::new();
    while !run.is_finished() {
        let report = model.decode_token(&mut run);
        expected.extend(report.logits);
        tokens.clone_from(&report.requests[0].tokens);
    }
    let fed: Vec<u32> = [0].into_iter().chain(tokens).take(expected.len() / 23).collect();

    let trained = network(&config, &device).train();
    let mut input = input(&device, encoding);
    input.sequences[1].tokens.clone_from(&fed);
    let output = trained.forward(&config, &input);
    let rows: Vec<usize> = (0..fed.len()).map(|token| output.place(1, token)).collect();
    let last = &output.decoder_states[config.decoder_layers..];
    assert_close(&expected, &host(trained.layer_logits(last, &rows)), "logits");
}

#[test]
fn every_parameter_but_unused_ones_gets_a_gradient() {
    let (config, device) = (config(), Device::flex());
    struct Count<'a>(&'a burn::tensor::Gradients, Vec<bool>);
    impl burn::module::ModuleVisitor for Count<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            let gradient = param.val().grad(self.0);
            let largest = gradient.map(|gradient| gradient.abs().max().into_scalar::<f32>());
            self.1.push(largest.is_some_and(|largest| largest > 0.0));
        }
    }
    for encoding in [
        TrainEncoding::Decomposed(full_depth(&config)),
        TrainEncoding::Joint { layers: config.encoder_layers },
    ] {
        let (trained, output) = forward(&config, &device, encoding);
        let rows: Vec<usize> = (0..4).map(|sequence| output.place(sequence, 1)).collect();
        let logits = trained.layer_logits(&output.decoder_states[1..], &rows);
        let gradients = logits.powf_scalar(2.0).sum().backward();
        let mut count = Count(&gradients, Vec::new());
        trained.visit(&mut count);
        assert!(count.1.iter().all(|found| *found), "{encoding:?}: {:?}", count.1);
    }
}

#[test]
fn the_stem_for_training_is_the_stem() {
    let (config, device) = (config(), Device::flex());
    for side in [48, 50] {
        let values: Vec<f32> = (0..3 * side * side).map(|i| (i as f32 * 0.31).sin()).collect();
        let pixels = Tensor::<4>::from_data(TensorData::new(values, [1, 3, side, side]), &device);
        let plain = network(&config, &device);
        let kernels = plain.encoder.stem().kernels();
        let (expected, grid) = plain.encoder.stem().tokens(pixels.clone(), &kernels);
        let (found, same_grid) = plain.train().encoder.stem().tokens(pixels, &kernels);
        assert_eq!(grid, same_grid);
        assert_close(&host(expected), &host(found), "features");
    }
}
