//! Wall-clock of one request at a time, with exits and without.

use std::time::Instant;

use mue_engine::{Engine, ExitChoice};

use crate::{EvalData, EvalError, EvalSample, Pair};

/// Requests of each kind before the clock counts: the first ones build tables and caches.
const WARM_UP: usize = 3;

/// Milliseconds of each of the first `samples` requests with exits (`value`) and at full depth
/// (`baseline`), one at a time.
///
/// The two take turns, and which is first alternates, so that drift of the machine meets both. An
/// engine for this has no image cache.
///
/// # Errors
///
/// If a sample cannot be read, asked or answered.
pub(crate) fn measure(
    engine: &Engine,
    (data, samples): (&EvalData, usize),
    exit: &ExitChoice,
) -> Result<Vec<Pair>, EvalError> {
    let samples: Vec<EvalSample> = data.samples(engine, 0..samples)?.collect::<Result<_, _>>()?;
    for sample in samples.iter().take(WARM_UP) {
        answer_ms(engine, sample, &ExitChoice::Off)?;
        answer_ms(engine, sample, exit)?;
    }
    let mut pairs = Vec::with_capacity(samples.len());
    for (place, sample) in samples.iter().enumerate() {
        pairs.push(match place % 2 {
            0 => {
                let baseline = answer_ms(engine, sample, &ExitChoice::Off)?;
                Pair { value: answer_ms(engine, sample, exit)?, baseline }
            }
            _ => {
                let value = answer_ms(engine, sample, exit)?;
                Pair { value, baseline: answer_ms(engine, sample, &ExitChoice::Off)? }
            }
        });
    }
    Ok(pairs)
}

fn answer_ms(engine: &Engine, sample: &EvalSample, exit: &ExitChoice) -> Result<f64, EvalError> {
    let request = sample.request(engine, exit)?;
    let start = Instant::now();
    engine.answer_all([request])?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
