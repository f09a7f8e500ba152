//! The demo model, in the binary: it captions scenes, so that nothing has to be fetched first.

/// The files of `models/demo`: what `mue train` made by the recipe `config/train/scenes.toml`, and
/// `calibration.json`, which `mue calibrate` made.
const FILES: [(&str, &[u8]); 5] = [
    ("model.safetensors", include_bytes!("../../../models/demo/model.safetensors")),
    ("config.json", include_bytes!("../../../models/demo/config.json")),
    ("tokenizer.json", include_bytes!("../../../models/demo/tokenizer.json")),
    ("mue.json", include_bytes!("../../../models/demo/mue.json")),
    ("calibration.json", include_bytes!("../../../models/demo/calibration.json")),
];

/// The bytes of one of them.
pub(crate) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(other, _)| *other == name).map(|(_, bytes)| *bytes)
}
