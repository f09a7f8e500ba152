//! Upper bounds of a risk that hold at a stated confidence, for any number of samples.
//!
//! A calibrated threshold promises that a loss stays below a level. As in "Learn then test"
//! (Angelopoulos et al., 2021) and CALM (Schuster et al., 2022), a threshold may be used once its
//! p-value for "the risk is above the level" is small enough. To test several thresholds, order
//! them from the safest on and stop at the first that fails, or divide the error rate among them.

/// How many of a number of independent trials failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// The failures.
    pub count: u64,
    /// All trials.
    pub trials: u64,
}

impl Failures {
    /// The one-sided upper Clopper-Pearson bound of the failure rate (Biometrika 26, 1934): the
    /// largest rate at which this few failures have at least probability `1 - confidence`.
    ///
    /// Exact for losses that are 0 or 1. 1 if there are no trials.
    pub fn upper_bound(self, confidence: f64) -> f64 {
        if self.count >= self.trials {
            return 1.0;
        }
        let error = 1.0 - confidence;
        largest(0.0, |rate| self.probability_of_as_few(rate) >= error)
    }

    /// The probability of this many failures or fewer, if each trial fails at `rate`.
    pub fn probability_of_as_few(self, rate: f64) -> f64 {
        if self.count >= self.trials || rate <= 0.0 {
            return 1.0;
        }
        if rate >= 1.0 {
            return 0.0;
        }
        // Summing away from the mode keeps terms falling: no overflow, no cancellation.
        if self.count as f64 <= self.trials as f64 * rate {
            tail(self, rate)
        } else {
            let successes = Self { count: self.trials - self.count - 1, trials: self.trials };
            1.0 - tail(successes, 1.0 - rate)
        }
    }
}

/// The binomial probability of `count` or fewer, which is not above the mean.
fn tail(failures: Failures, rate: f64) -> f64 {
    let (count, trials) = (failures.count, failures.trials as f64);
    let ways: f64 = (1..=count).map(|i| ((trials - count as f64 + i as f64) / i as f64).ln()).sum();
    let last = ways + count as f64 * rate.ln() + (trials - count as f64) * (-rate).ln_1p();
    let odds = (1.0 - rate) / rate;
    let (mut sum, mut term) = (1.0, 1.0);
    for i in (1..=count).rev() {
        term *= i as f64 / (trials - i as f64 + 1.0) * odds;
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
    }
    (last.exp() * sum).min(1.0)
}

/// The mean of independent losses between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanLoss {
    /// Of the samples.
    pub mean: f64,
    /// How many samples there are.
    pub samples: u64,
}

impl MeanLoss {
    /// The Hoeffding-Bentkus p-value (Bates et al., "Distribution-free, risk-controlling prediction
    /// sets", 2021, proposition 5) of the hypothesis that the risk is above `level`:
    ///
    /// ```text
    /// min( exp(-n * h(min(mean, level), level)),  e * P(Binomial(n, level) <= ceil(n * mean)) )
    /// h(a, b) = a ln(a / b) + (1 - a) ln((1 - a) / (1 - b))
    /// ```
    pub fn p_value(self, level: f64) -> f64 {
        let samples = self.samples as f64;
        let hoeffding = (-samples * divergence(self.mean.min(level), level)).exp();
        // A whole number of losses must not become the next one through rounding.
        let losses = (samples * self.mean - 1e-9).ceil().max(0.0);
        let failures = Failures { count: losses as u64, trials: self.samples };
        let bentkus = std::f64::consts::E * failures.probability_of_as_few(level);
        hoeffding.min(bentkus).min(1.0)
    }

    /// The level that the risk stays below, at a confidence: the largest whose p-value is at least
    /// `1 - confidence`. 1 if there are no samples.
    pub fn upper_bound(self, confidence: f64) -> f64 {
        if self.samples == 0 || self.mean >= 1.0 {
            return 1.0;
        }
        let error = 1.0 - confidence;
        largest(self.mean.max(0.0), |level| self.p_value(level) >= error)
    }
}

/// Relative entropy of two coins, in nats.
fn divergence(left: f64, right: f64) -> f64 {
    let part = |a: f64, b: f64| if a > 0.0 { a * (a / b).ln() } else { 0.0 };
    part(left, right) + part(1.0 - left, 1.0 - right)
}

/// The largest level from `from` to 1 that is still plausible, where all below it are.
fn largest(from: f64, is_plausible: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (from, 1.0);
    // Each step halves the gap: after 60 it is below what a number near 1 can tell.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if is_plausible(middle) { low = middle } else { high = middle }
    }
    high
}
