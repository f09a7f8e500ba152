//! The learning rate of each step.

use crate::config::{Decay, OptimizerConfig};

/// Rate of a step, counted from 0, of a run of `steps`.
pub(crate) fn learning_rate(config: &OptimizerConfig, step: u64, steps: u64) -> f32 {
    let warmup = config.warmup_steps;
    if step < warmup {
        return config.learning_rate * (step + 1) as f32 / warmup as f32;
    }
    let progress = step as f32 / steps.max(1) as f32;
    let warm = warmup as f32 / steps.max(1) as f32;
    let factor = match config.decay {
        Decay::Linear => {
            let start = config.constant_share.max(warm);
            if progress < start { 1.0 } else { (1.0 - progress) / (1.0 - start).max(f32::EPSILON) }
        }
        Decay::Cosine => {
            let share = (progress - warm) / (1.0 - warm).max(f32::EPSILON);
            0.5 + 0.5 * (std::f32::consts::PI * share.min(1.0)).cos()
        }
    };
    config.learning_rate * factor.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_stays_and_falls_to_zero() {
        let config = OptimizerConfig { warmup_steps: 10, ..OptimizerConfig::default() };
        let rate = |step| learning_rate(&config, step, 100) / config.learning_rate;
        assert_eq!((rate(0), rate(9), rate(59)), (0.1, 1.0, 1.0));
        assert!((rate(80) - 0.5).abs() < 1e-3 && rate(99) < 0.03);
    }

    #[test]
    fn the_rate_does_not_jump_where_the_warm_up_is_long() {
        let config = OptimizerConfig { warmup_steps: 75, ..OptimizerConfig::default() };
        let rate = |step| learning_rate(&config, step, 100) / config.learning_rate;
        assert_eq!((rate(74), rate(75)), (1.0, 1.0));
        assert!((rate(80) - 0.8).abs() < 1e-3 && rate(99) < 0.05);
    }

    #[test]
    fn the_cosine_starts_at_the_warmups_end() {
        let config = OptimizerConfig {
            warmup_steps: 10,
            decay: Decay::Cosine,
            ..OptimizerConfig::default()
        };
        let rate = |step| learning_rate(&config, step, 100) / config.learning_rate;
        assert!((rate(10) - 1.0).abs() < 1e-4 && (rate(55) - 0.5).abs() < 1e-3 && rate(99) < 0.01);
    }
}
