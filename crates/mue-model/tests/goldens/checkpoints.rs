//! The same weights in three file layouts give one and the same model.

use std::path::Path;

use mue_model::weights::Checkpoint;
use mue_model::{BranchPolicy, Device, Ofa, OfaConfig};

use crate::case::host;

pub(crate) fn run(folder: &Path) {
    let checkpoints = folder.join("checkpoints");
    let config = std::fs::read_to_string(checkpoints.join("config.json")).unwrap();
    let weights = folder.join("micro-joint/weights.safetensors");
    let files = [checkpoints.join("pytorch_model.bin"), checkpoints.join("fairseq.pt"), weights];
    let mut outputs = Vec::new();
    for file in files.iter().filter(|file| file.exists()) {
        let weights = Checkpoint::open(file).unwrap().into_canonical().unwrap();
        let config = OfaConfig::from_json(&config).unwrap();
        let model = Ofa::from_tensors(&weights.tensors, config, &Device::flex()).unwrap();
        outputs.push((file, some_output(&model)));
    }
    assert!(outputs.len() >= 2, "{}: fewer than two layouts", checkpoints.display());
    for pair in outputs.windows(2) {
        assert!(pair[0].1 == pair[1].1, "{:?} and {:?} differ", pair[0].0, pair[1].0);
    }
    println!("{} checkpoint layouts agree bit for bit", outputs.len());
}

/// Text encoded by every layer, with the head: touches most kinds of weights.
fn some_output(model: &Ofa) -> Vec<u32> {
    let run = model.begin_joint(None, &[vec![0, 5, 6, 7, 2]], vec![BranchPolicy::Full]);
    let states = model.encode_all(run).remove(0).states();
    let flat = states.squeeze_dim::<2>(0);
    let logits = model.network().decoder.logits(flat, model.network().encoder.token_table());
    host(logits).into_iter().map(f32::to_bits).collect()
}
