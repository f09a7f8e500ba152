//! What requests need: their tasks, and the layers at which they leave.

use std::ops::RangeInclusive;

use clap::ValueEnum;

use crate::random::{Purpose, Random};

/// How layer exits are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Distribution {
    /// Half of all exits after the first layer, half of the others after the second, and so on.
    Early,
    /// The same, counted from the last layer.
    Late,
    /// Half of the requests are early in every branch and short, the others late and long.
    Bimodal,
    /// Every layer, always: what there is to gain without exits.
    Full,
}

impl Distribution {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Late => "late",
            Self::Bimodal => "bimodal",
            Self::Full => "full",
        }
    }
}

/// How deep one request goes.
#[derive(Clone, Copy, Debug)]
enum Depth {
    Early,
    Late,
    Full,
}

/// Tokens of a caption, the end of sequence included.
const TOKENS: RangeInclusive<usize> = 6..=14;
/// Tokens of an early request's caption in the bimodal distribution.
const TOKENS_SHORT: RangeInclusive<usize> = 4..=7;
/// Tokens of a late request's caption there.
const TOKENS_LONG: RangeInclusive<usize> = 13..=20;

/// What one request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// Encoder layers of its picture.
    pub(crate) image_layers: usize,
    /// And the rest.
    pub(crate) task: Task,
}

/// What one request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Decoded token by token. Its prompt is a constant, which nobody encodes.
    Caption {
        /// Decoder layers of each token.
        token_layers: Vec<usize>,
        /// Rows that it decodes.
        beam_size: usize,
    },
    /// Decoded in one pass.
    Entailment {
        /// Encoder layers of its text.
        text_layers: usize,
        /// Decoder layers of its prefix.
        decoder_layers: usize,
    },
}

/// The requests of a simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mix {
    /// Where they exit.
    pub(crate) distribution: Distribution,
    /// Share of entailments, 0 to 1.
    pub(crate) entailments: f64,
    /// Rows that each caption decodes.
    pub(crate) beam_size: usize,
    /// Layers of the encoder, and of the decoder.
    pub(crate) layers: usize,
}

impl Mix {
    /// The request of this number; the same for every policy and load.
    pub(crate) fn job(&self, seed: u64, number: usize) -> Job {
        let mut random = Random::new(seed, Purpose::Jobs, number);
        let is_entailment = random.chance(self.entailments);
        let (depth, tokens) = match self.distribution {
            Distribution::Early => (Depth::Early, TOKENS),
            Distribution::Late => (Depth::Late, TOKENS),
            Distribution::Full => (Depth::Full, TOKENS),
            Distribution::Bimodal if random.chance(0.5) => (Depth::Early, TOKENS_SHORT),
            Distribution::Bimodal => (Depth::Late, TOKENS_LONG),
        };
        let image_layers = self.exit(depth, &mut random);
        let task = if is_entailment {
            Task::Entailment {
                text_layers: self.exit(depth, &mut random),
                decoder_layers: self.exit(depth, &mut random),
            }
        } else {
            let tokens = random.among(tokens);
            let token_layers = (0..tokens).map(|_| self.exit(depth, &mut random)).collect();
            Task::Caption { token_layers, beam_size: self.beam_size }
        };
        Job { image_layers, task }
    }

    /// A layer to leave after, counted from 1.
    fn exit(&self, depth: Depth, random: &mut Random) -> usize {
        let mut early = || (1..self.layers).find(|_| random.chance(0.5)).unwrap_or(self.layers);
        match depth {
            Depth::Early => early(),
            Depth::Late => self.layers + 1 - early(),
            Depth::Full => self.layers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(distribution: Distribution) -> Mix {
        Mix { distribution, entailments: 0.25, beam_size: 2, layers: 6 }
    }

    fn image_layers_mean(distribution: Distribution) -> f64 {
        let jobs = (0..4000).map(|number| mix(distribution).job(7, number).image_layers);
        jobs.sum::<usize>() as f64 / 4000.0
    }

    #[test]
    fn each_distribution_has_its_mean_depth() {
        // The mean of a halving distribution cut at 6: the sum over i < 6 of 2^-i.
        let early = 1.968_75;
        for (distribution, mean) in [
            (Distribution::Early, early),
            (Distribution::Late, 7.0 - early),
            (Distribution::Bimodal, 3.5),
            (Distribution::Full, 6.0),
        ] {
            let measured = image_layers_mean(distribution);
            assert!((measured - mean).abs() < 0.1, "{distribution:?}: {measured}");
        }
    }

    #[test]
    fn a_bimodal_request_is_short_and_shallow_or_long_and_deep() {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        for number in 0..1000 {
            let Task::Caption { token_layers, .. } = mix(Distribution::Bimodal).job(7, number).task
            else {
                continue;
            };
            match token_layers.len() {
                4..=7 => short.extend(token_layers),
                13..=20 => long.extend(token_layers),
                tokens => panic!("{tokens} tokens"),
            }
        }
        let mean = |layers: &[usize]| layers.iter().sum::<usize>() as f64 / layers.len() as f64;
        assert!(mean(&short) < 2.1 && mean(&long) > 4.9, "{} {}", mean(&short), mean(&long));
    }

    #[test]
    fn the_share_of_entailments_is_kept() {
        let is_entailment = |number: &usize| {
            matches!(mix(Distribution::Full).job(7, *number).task, Task::Entailment { .. })
        };
        let share = (0..4000).filter(is_entailment).count() as f64 / 4000.0;
        assert!((share - 0.25).abs() < 0.03, "{share}");
    }
}
