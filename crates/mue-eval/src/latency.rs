//! Wall-clock of one request at a time, by way to exit.

use std::time::Instant;

use crate::answers::{Way, reply};
use crate::search::Progress;
use crate::{EvalData, EvalError, EvalSample};

/// Rounds before the clock counts: the first requests build tables and caches.
const WARM_UP: usize = 3;

/// By way to exit: milliseconds of each of the first `samples` usable requests, one at a time.
///
/// All ways take turns on each sample, and every sample begins with the next of them, so that drift
/// of the machine meets all alike. An engine for this has no image cache.
///
/// # Errors
///
/// If a sample cannot be read, asked or answered.
pub(crate) fn measure(
    ways: &[Way<'_>],
    (data, samples): (&EvalData, usize),
    progress: Progress<'_>,
) -> Result<Vec<Vec<f64>>, EvalError> {
    let mut clocks = vec![Vec::new(); ways.len()];
    let Some(first) = ways.first() else { return Ok(clocks) };
    let samples: Vec<EvalSample> =
        data.samples(first.engine, 0..data.len())?.take(samples).collect::<Result<_, _>>()?;
    for sample in samples.iter().take(WARM_UP) {
        for way in ways {
            answer_ms(way, sample)?;
        }
    }
    for (place, sample) in samples.iter().enumerate() {
        for turn in 0..ways.len() {
            let way = (place + turn) % ways.len();
            clocks[way].push(answer_ms(&ways[way], sample)?);
        }
        progress(place + 1, samples.len());
    }
    Ok(clocks)
}

fn answer_ms(way: &Way<'_>, sample: &EvalSample) -> Result<f64, EvalError> {
    let request = sample.request(way.engine, &way.exit)?;
    let start = Instant::now();
    let outcomes = way.engine.answer_all([request])?;
    let elapsed_ms = start.elapsed().as_secs_f64() * 1e3;
    // What has failed may have been quick.
    outcomes.into_iter().try_for_each(|outcome| reply(sample, outcome).map(drop))?;
    Ok(elapsed_ms)
}

#[cfg(test)]
mod tests {
    use mue_data::datasets::{DatasetOptions, Task};
    use mue_engine::{Encoding, ExitChoice};
    use mue_model::weights::{DType, RawTensor};

    use super::*;
    use crate::folder::Folder;
    use crate::testing::engine;

    #[test]
    fn a_request_that_fails_is_not_timed() {
        let folder = Folder::new(2, Encoding::Decomposed);
        folder.put_weights(2, |name, tensor| match name {
            "decoder.layer_norm.weight" => {
                let bytes = f32::NAN.to_le_bytes().repeat(tensor.element_count());
                RawTensor::new(DType::F32, tensor.shape().to_vec(), bytes.into()).unwrap()
            }
            _ => tensor,
        });
        let engine = engine(&folder);
        let spec = "scenes:seed=3,count=2".parse().unwrap();
        let data = EvalData::open(&spec, Task::Entailment, &DatasetOptions::default()).unwrap();
        let ways = [Way { engine: &engine, exit: ExitChoice::Off }];
        let error = measure(&ways, (&data, 2), &|_, _| ()).unwrap_err();
        assert!(matches!(error, EvalError::Answer { .. }), "{error}");
    }
}
