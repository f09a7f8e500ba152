//! One golden case: its files, its model, and the comparison of tensors with tolerances.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mue_model::weights::{DType, RawTensor};
use mue_model::{Device, Ofa, OfaConfig, RunOptions, Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::recipe;

/// Decoder positions that sources are made for: more than any case decodes.
pub(crate) const POSITIONS: usize = 128;

/// A tensor of a case's file.
#[derive(Clone, Debug)]
pub(crate) struct Golden {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
}

#[derive(Clone, Debug)]
pub(crate) enum Values {
    Float(Vec<f32>),
    Int(Vec<i64>),
}

impl Golden {
    pub(crate) fn floats(&self) -> &[f32] {
        match &self.values {
            Values::Float(values) => values,
            Values::Int(_) => panic!("expected a float tensor"),
        }
    }

    pub(crate) fn ints(&self) -> &[i64] {
        match &self.values {
            Values::Int(values) => values,
            Values::Float(_) => panic!("expected an integer tensor"),
        }
    }

    pub(crate) fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        let data = TensorData::new(self.floats().to_vec(), self.shape.clone());
        Tensor::from_data(data, device)
    }
}

pub(crate) struct Case {
    pub(crate) path: PathBuf,
    pub(crate) config: Value,
    pub(crate) inputs: BTreeMap<String, Golden>,
    pub(crate) expected: BTreeMap<String, Golden>,
    tolerances: BTreeMap<String, Tolerance>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    absolute: f32,
    relative: f32,
}

impl Case {
    pub(crate) fn open(path: &Path) -> Self {
        let config = std::fs::read_to_string(path.join("config.json")).unwrap();
        let readme = std::fs::read_to_string(path.join("README.md")).unwrap_or_default();
        Self {
            path: path.to_owned(),
            config: serde_json::from_str(&config).unwrap(),
            inputs: read_tensors(&path.join("inputs.safetensors")),
            expected: read_tensors(&path.join("expected.safetensors")),
            tolerances: readme.lines().filter_map(stated_tolerance).collect(),
        }
    }

    pub(crate) fn golden(&self, key: &str) -> &Value {
        &self.config["golden"][key]
    }

    pub(crate) fn threshold(&self, branch: &str) -> f32 {
        self.golden("thresholds")[branch].as_f64().unwrap() as f32
    }

    /// The case's model.
    pub(crate) fn model(&self, device: &Device, options: RunOptions) -> Ofa {
        self.model_with(device, options, true)
    }

    /// The case's model, with or without the image branch's relative bias.
    pub(crate) fn model_with(
        &self,
        device: &Device,
        options: RunOptions,
        image_relative_bias: bool,
    ) -> Ofa {
        let mut config = OfaConfig::from_json(&self.config.to_string()).unwrap();
        config.image_relative_bias = image_relative_bias;
        let tensors = match self.golden("weights_file").as_str() {
            Some(file) => recipe::from_file(&self.path.join(file)),
            None => recipe::tensors(&config, self.golden("seed"), self.golden("eos_pull")),
        };
        Ofa::from_tensors(&tensors, config, device).unwrap().with_options(options)
    }

    /// Valid source tokens of each sample, with BOS and EOS.
    pub(crate) fn sources(&self) -> Vec<Vec<u32>> {
        unpadded(&self.inputs["input_ids"])
    }

    /// Pixels of one sample, `[1, 3, height, width]`.
    pub(crate) fn pixels(&self, sample: usize, device: &Device) -> Tensor<4> {
        self.inputs["patch_images"].tensor::<4>(device).narrow(0, sample, 1)
    }

    fn tolerance(&self, name: &str) -> Tolerance {
        let rule = |absolute, relative| Tolerance { absolute, relative };
        self.tolerances.get(name).copied().unwrap_or_else(|| match name {
            _ if name.contains("stem_features") => rule(5e-4, 2e-4),
            _ if name.contains("_probs_") => rule(1e-4, 0.0),
            _ if name.ends_with("logits") || name.ends_with("positional_scores") => rule(1e-3, 0.0),
            _ if name.ends_with("logprobs") || name.ends_with("scores") => rule(5e-4, 0.0),
            _ if name.contains("similarit") => rule(2e-5, 0.0),
            _ => rule(2e-4, 1e-4),
        })
    }
}

/// The tolerance in a line of a case's table: `| `name` | ... tolerance: abs 2e-4 + rel 1e-4 |`.
fn stated_tolerance(line: &str) -> Option<(String, Tolerance)> {
    let name = line.strip_prefix("| `")?.split('`').next()?;
    let stated = line.split("tolerance:").nth(1)?;
    let number = |kind: &str| -> Option<f32> {
        let rest = stated.split(kind).nth(1)?.trim_start();
        rest.split(|c: char| c.is_whitespace() || c == '|').next()?.parse().ok()
    };
    let absolute = number("abs ")?;
    Some((name.to_owned(), Tolerance { absolute, relative: number("rel ").unwrap_or(0.0) }))
}

/// Token ids of each row up to the first padding.
pub(crate) fn unpadded(ids: &Golden) -> Vec<Vec<u32>> {
    ids.ints()
        .chunks_exact(ids.shape[1])
        .map(|row| row.iter().take_while(|id| **id != 1).map(|id| *id as u32).collect())
        .collect()
}

pub(crate) fn tensor_names(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(str::to_owned).collect()
}

pub(crate) fn read_tensors(path: &Path) -> BTreeMap<String, Golden> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let golden = |view: &safetensors::tensor::TensorView<'_>| {
        let bytes = view.data();
        let values = match view.dtype() {
            safetensors::Dtype::F32 => Values::Float(
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
            ),
            safetensors::Dtype::I64 => Values::Int(
                bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect(),
            ),
            safetensors::Dtype::U8 => Values::Int(bytes.iter().map(|b| i64::from(*b)).collect()),
            other => panic!("{}: type {other:?}", path.display()),
        };
        Golden { shape: view.shape().to_vec(), values }
    };
    file.tensors().iter().map(|(name, view)| (name.clone(), golden(view))).collect()
}

pub(crate) fn raw_f32(shape: Vec<usize>, values: &[f32]) -> RawTensor {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    RawTensor::new(DType::F32, shape, bytes.into()).unwrap()
}

/// Collects comparisons of one case on one device; every expected tensor must be compared.
pub(crate) struct Report<'a> {
    case: &'a Case,
    slack: f32,
    compared: BTreeSet<String>,
    failures: Vec<String>,
    worst: (f32, String),
}

impl<'a> Report<'a> {
    pub(crate) fn new(case: &'a Case, slack: f32) -> Self {
        let worst = (0.0, String::from("nothing"));
        Self { case, slack, compared: BTreeSet::new(), failures: Vec::new(), worst }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.case.expected.contains_key(name)
    }

    /// What the case expects, not compared yet.
    pub(crate) fn expected(&self, name: &str) -> &'a Golden {
        &self.case.expected[name]
    }

    /// Marks a tensor that describes the case rather than a result.
    pub(crate) fn uses(&mut self, name: &str) -> Golden {
        self.compared.insert(name.to_owned());
        self.case.expected[name].clone()
    }

    /// Compares all elements.
    pub(crate) fn floats(&mut self, name: &str, found: &[f32]) {
        self.floats_where(name, found, |_| true);
    }

    pub(crate) fn tensor<const D: usize>(&mut self, name: &str, found: Tensor<D>) {
        let shape = found.dims();
        let found = host(found);
        if self.has(name) {
            assert_eq!(self.case.expected[name].shape, shape, "shape of {name}");
        }
        self.floats(name, &found);
    }

    /// Compares `[rows, tokens, ...]` where the mask `[rows, tokens]` says so.
    pub(crate) fn tokens<const D: usize>(&mut self, name: &str, found: Tensor<D>, valid: &[bool]) {
        let inner = found.dims()[2..].iter().product::<usize>();
        let found = host(found);
        self.floats_where(name, &found, |index| valid[index / inner]);
    }

    pub(crate) fn floats_where(
        &mut self,
        name: &str,
        found: &[f32],
        valid: impl Fn(usize) -> bool,
    ) {
        if !self.has(name) {
            return;
        }
        let expected = self.uses(name);
        let expected = expected.floats();
        assert_eq!(expected.len(), found.len(), "size of {name}");
        let Tolerance { absolute, relative } = self.case.tolerance(name);
        let mut worst = (0.0f32, 0);
        for (index, (e, f)) in expected.iter().zip(found).enumerate() {
            if valid(index) {
                let allowed = self.slack * (absolute + relative * e.abs());
                let share = (e - f).abs() / allowed;
                // What is no number is infinitely wrong.
                let share = if share.is_nan() { f32::INFINITY } else { share };
                if share > worst.0 {
                    worst = (share, index);
                }
            }
        }
        let (share, index) = worst;
        if share > 1.0 {
            let (e, f) = (expected[index], found[index]);
            self.failures.push(format!("{name}[{index}]: expected {e}, found {f} ({share:.1}x)"));
        }
        if share > self.worst.0 {
            self.worst = (share, name.to_owned());
        }
    }

    /// Compares integers exactly.
    pub(crate) fn ints(&mut self, name: &str, found: &[i64]) {
        if !self.has(name) {
            return;
        }
        let expected = self.uses(name);
        if expected.ints() != found {
            self.failures.push(format!("{name}: expected {:?}, found {found:?}", expected.ints()));
        }
    }

    pub(crate) fn finish(mut self, device: &str) {
        let case = self.case.path.file_name().unwrap().to_string_lossy();
        for name in self.case.expected.keys().filter(|name| !self.compared.contains(*name)) {
            self.failures.push(format!("{name}: this runner does not know what it is"));
        }
        let (share, name) = self.worst;
        println!(
            "{case} on {device}: {} tensors, worst {share:.3} of the tolerance ({name})",
            self.compared.len()
        );
        assert!(self.failures.is_empty(), "{case} on {device}:\n{}", self.failures.join("\n"));
    }
}

pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().unwrap()
}
