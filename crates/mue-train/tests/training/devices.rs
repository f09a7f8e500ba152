//! Training on other devices than the host.
//!
//! `MUE_TRAIN_DEVICES` lists the devices (default `ndarray`). `default` is the device that the
//! build's features put first: `wgpu`, if it has that.

use mue_model::Device;

use crate::toy::{config, run, trainer_on};

#[test]
fn every_device_has_the_losses_of_the_host() {
    let losses = |device: &Device| {
        let folder = tempfile::tempdir().unwrap();
        let losses = run(&mut trainer_on(config(4), device), folder.path());
        losses.into_iter().map(|(_, bits)| f32::from_bits(bits)).collect::<Vec<f32>>()
    };
    let expected = losses(&Device::flex());
    let names = std::env::var("MUE_TRAIN_DEVICES").unwrap_or_else(|_| "ndarray".into());
    for name in names.split(',') {
        #[allow(deprecated)] // the older CPU backend is served, so it is tested
        let device = match name {
            "ndarray" => Device::ndarray(),
            "default" => Device::default(),
            other => panic!("MUE_TRAIN_DEVICES: no device is called {other}"),
        };
        let found = losses(&device);
        assert_eq!(found.len(), 4);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-3 * expected, "{name}: {found} for {expected}");
        }
    }
}
