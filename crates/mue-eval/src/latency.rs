//! Wall-clock of one request at a time, by way to exit.

use std::time::Instant;

use crate::answers::Way;
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
    way.engine.answer_all([request])?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
