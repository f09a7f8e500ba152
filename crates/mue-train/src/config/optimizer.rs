//! AdamW and its schedule: `[optimizer]`.

use serde::{Deserialize, Serialize};

use super::RecipeError;
use super::bounds::{not_negative, shares};

/// AdamW and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Learning rate after the warm-up.
    pub learning_rate: f32,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// How the rate falls afterwards.
    pub decay: Decay,
    /// Share of the run before the linear decay begins.
    pub constant_share: f32,
    /// Decay rates of the two moments.
    pub betas: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Weight decay of matrices and kernels; vectors have none.
    pub weight_decay: f32,
    /// Largest norm of all gradients together; 0 is no limit.
    pub clip_norm: f32,
    /// Decay rate of the averaged weights, which are what is evaluated and exported; 0 is none.
    pub ema_decay: f32,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Constant for `constant_share` of the run, then linearly to zero.
    Linear,
    /// Half a cosine to zero.
    Cosine,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            warmup_steps: 300,
            decay: Decay::Linear,
            constant_share: 0.6,
            betas: [0.9, 0.98],
            epsilon: 1e-8,
            weight_decay: 0.02,
            clip_norm: 1.0,
            ema_decay: 0.999,
        }
    }
}

impl OptimizerConfig {
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        not_negative(&[
            ("optimizer.learning_rate", self.learning_rate),
            ("optimizer.epsilon", self.epsilon),
            ("optimizer.weight_decay", self.weight_decay),
            ("optimizer.clip_norm", self.clip_norm),
        ])?;
        shares(&[
            ("optimizer.constant_share", self.constant_share),
            ("optimizer.ema_decay", self.ema_decay),
        ])?;
        if self.epsilon == 0.0 {
            let what = "optimizer.epsilon must not be 0, by which a gradient of 0 is divided";
            return Err(RecipeError::Value(what.into()));
        }
        match self.betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
            Some(beta) => Err(RecipeError::Value(format!(
                "optimizer.betas has {beta}, not at least 0 and less than 1"
            ))),
            None => Ok(()),
        }
    }
}
