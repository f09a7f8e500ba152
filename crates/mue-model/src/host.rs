//! Element by element in the host's memory: what CPU backends do on one thread, one element at a
//! time.
//!
//! Taking a tensor's data and giving it back copies nothing there, unless it is shared.

use std::f32::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};
use std::sync::{Mutex, PoisonError};

use burn::tensor::{DType, Device, Tensor, activation};
use rayon::prelude::*;

/// Elements that are worth a thread.
pub(crate) const CHUNK: usize = 1 << 14;

/// Whether a device computes in the host's memory: one with memory of its own has a pool of it.
///
/// Each device is asked once, since a GPU answers with a report of its memory.
pub(crate) fn in_host_memory(device: &Device) -> bool {
    static ASKED: Mutex<Vec<(Device, bool)>> = Mutex::new(Vec::new());
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, answer)) = asked.iter().find(|(known, _)| known == device) {
        return *answer;
    }
    let answer = device.memory_pool_usage().is_none();
    asked.push((device.clone(), answer));
    answer
}

/// Computes two things at the same time, if they are computed in the host's memory.
pub(crate) fn both<A: Send, B: Send>(
    device: &Device,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if in_host_memory(device) { rayon::join(one, other) } else { (one(), other()) }
}

/// Runs a loop as wide as this processor's vectors are.
///
/// What is not inlined is compiled for the least processor, and the body of a closure that is not
/// small is not: such a loop is a type whose `call` is marked `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorised<T>(run: impl pulp::NullaryFnOnce<Output = T>) -> T {
    pulp::Arch::new().dispatch(run)
}

/// GELU with the error function.
pub(crate) fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    let device = input.device();
    if input.dtype() != DType::F32 || !in_host_memory(&device) {
        return activation::gelu(input);
    }
    let mut data = input.into_data();
    if let Ok(values) = data.as_mut_slice::<f32>() {
        values.par_chunks_mut(CHUNK).for_each(|values| {
            vectorised(|| {
                values.iter_mut().for_each(|x| *x *= 0.5 + 0.5 * erf(*x * FRAC_1_SQRT_2));
            });
        });
    }
    Tensor::from_data(data, &device)
}

/// The softmax of every row, `[.., .., rows, columns]`, of a tensor in the host's memory.
pub(crate) fn softmax(scores: Tensor<4>) -> Tensor<4> {
    let (device, [_, _, _, columns]) = (scores.device(), scores.dims());
    let mut data = scores.into_data();
    if let Ok(values) = data.as_mut_slice::<f32>() {
        let rows = CHUNK.div_ceil(columns.max(1));
        values.par_chunks_mut(rows * columns.max(1)).for_each(|values| {
            vectorised(|| values.chunks_exact_mut(columns).for_each(softmax_row));
        });
    }
    Tensor::from_data(data, &device)
}

/// Inner products of two states for each of their vectors of `width`: of both, of the first with
/// itself, and of the second with itself.
pub(crate) fn inner_products(before: &[f32], after: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; 3 * (before.len() / width)];
    let vectors = CHUNK.div_ceil(width);
    let parts = before.par_chunks(vectors * width).zip(after.par_chunks(vectors * width));
    sums.par_chunks_mut(3 * vectors).zip(parts).for_each(|(sums, (before, after))| {
        vectorised(|| inner_products_into(sums, before, after, width));
    });
    sums
}

#[inline(always)]
fn inner_products_into(sums: &mut [f32], before: &[f32], after: &[f32], width: usize) {
    let pairs = before.chunks_exact(width).zip(after.chunks_exact(width));
    for (sums, (a, b)) in sums.chunks_exact_mut(3).zip(pairs) {
        sums.copy_from_slice(&[inner_product(a, b), inner_product(a, a), inner_product(b, b)]);
    }
}

#[inline(always)]
fn inner_product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 32];
    let (a_parts, b_parts) = (a.chunks_exact(sums.len()), b.chunks_exact(sums.len()));
    let rest = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(a, b)| a * b).sum::<f32>();
    for (a, b) in a_parts.zip(b_parts) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    rest + sums.into_iter().sum::<f32>()
}

/// The largest of a row, numbers that are none left out; of none, minus infinity.
pub(crate) fn max(row: &[f32]) -> f32 {
    vectorised(|| largest(row))
}

/// The sum of the exponentials of a row's distances below `max`, its largest.
pub(crate) fn sum_exp(row: &[f32], max: f32) -> f64 {
    vectorised(|| sum_exp_of(row, max))
}

#[inline(always)]
fn sum_exp_of(row: &[f32], max: f32) -> f64 {
    /// Numbers that are added up in single precision.
    const TOGETHER: usize = 1 << 8;
    let mut odds = [0.0; TOGETHER];
    let mut sum = 0.0;
    for row in row.chunks(TOGETHER) {
        odds.iter_mut().zip(row).for_each(|(odds, x)| *odds = exp(*x - max));
        sum += f64::from(lanes(&odds[..row.len()], 0.0, |a, b| a + b));
    }
    sum
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    lanes(row, f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

#[inline(always)]
fn softmax_row(row: &mut [f32]) {
    let max = largest(row);
    row.iter_mut().for_each(|x| *x = exp(*x - max));
    let share = 1.0 / lanes(row, 0.0, |a, b| a + b);
    row.iter_mut().for_each(|x| *x *= share);
}

/// Folds a row in several lanes at once, which is another order.
#[inline(always)]
fn lanes(row: &[f32], start: f32, fold: impl Fn(f32, f32) -> f32) -> f32 {
    let mut folded = [start; 32];
    let chunks = row.chunks_exact(folded.len());
    let rest = chunks.remainder().iter().fold(start, |a, b| fold(a, *b));
    for chunk in chunks {
        for (a, b) in folded.iter_mut().zip(chunk) {
            *a = fold(*a, *b);
        }
    }
    folded.into_iter().fold(rest, fold)
}

/// The error function to about 5e-7, without a branch, so that compilers vectorise it: Abramowitz
/// and Stegun, "Handbook of Mathematical Functions", formula 7.1.26.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let series = 1.421_413_8 + t * (-1.453_152 + t * 1.061_405_4);
    let series = t * (0.254_829_6 + t * (-0.284_496_72 + t * series));
    (1.0 - series * exp(-a * a)).copysign(x)
}

/// The exponential function from -87, below which it is taken for what it is there, to 0.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// A small number added to this is rounded to a whole one, in the lowest bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x }; // what is not a number stays so
    let rounded = x * LOG2_E + ROUND;
    let rest = x - (rounded - ROUND) * LN_2; // at most half of ln 2 off 0
    let series = 1.0 / 24.0 + rest * (1.0 / 120.0 + rest * (1.0 / 720.0));
    let series = 1.0 + rest * (1.0 + rest * (0.5 + rest * (1.0 / 6.0 + rest * series)));
    let power = (rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits()); // of two
    series * f32::from_bits(power)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, TensorData};

    use super::*;

    fn numbers(count: usize) -> Tensor<2> {
        let values: Vec<f32> = (0..count).map(|i| (i as f32 / count as f32 - 0.5) * 24.0).collect();
        Tensor::from_data(TensorData::new(values, [count, 1]), &Device::flex())
    }

    fn furthest(a: Tensor<2>, b: Tensor<2>) -> f32 {
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn gelu_is_burns() {
        let input = numbers(3 * CHUNK + 5);
        assert!(furthest(gelu(input.clone()), activation::gelu(input)) < 2e-6);
    }

    #[test]
    fn softmax_is_burns() {
        let noise = Distribution::Normal(0.0, 30.0);
        for columns in [2, 7, 32, 900] {
            let scores = Tensor::<4>::random([2, 3, 25, columns], noise, &Device::flex());
            let masked = scores.clone().narrow(3, 0, columns / 2) - 1e9;
            let scores = Tensor::cat(vec![masked, scores], 3);
            let expected = activation::softmax(scores.clone(), 3);
            let difference = (softmax(scores) - expected).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-6, "{columns}: {difference}");
        }
    }

    #[test]
    fn the_exponential_is_one() {
        for i in 0..=8_700 {
            let x = -(i as f32) / 100.0;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 1e-5, "{x}");
        }
        assert!(exp(-1e30) < 1e-37);
    }

    #[test]
    fn a_row_has_its_largest_and_its_sum() {
        for count in [1, 31, 63, 1024, 59_457] {
            let row: Vec<f32> = (0..count).map(|i| ((i * 37) % 101) as f32 / 4.0 - 9.0).collect();
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&row), most);
            let expected: f64 = row.iter().map(|x| f64::from(x - most).exp()).sum();
            assert!((sum_exp(&row, most) / expected - 1.0).abs() < 1e-5, "{count}");
        }
        assert!(sum_exp(&[0.0, f32::NAN], 0.0).is_nan());
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let nan = Tensor::<1>::from_floats([f32::NAN, 1.0], &Device::flex());
        assert!(gelu(nan.clone()).into_data().try_to_vec::<f32>().unwrap()[0].is_nan());
        let row = softmax(nan.unsqueeze()).into_data().try_to_vec::<f32>().unwrap();
        assert!(row.iter().all(|x| x.is_nan()), "{row:?}");
    }
}
