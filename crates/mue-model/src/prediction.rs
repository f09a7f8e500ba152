//! What a row would answer from a layer, and how sure it is of it.

/// An answer read off one layer, by the final norm and the LM head (the model has no other heads).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The layer, counted from 1.
    pub layer: usize,
    /// The most probable answer: a token id, or the place among the answers that were given; of
    /// several beams, the best one's.
    pub token: u32,
    /// Its probability; of several beams, the least.
    pub probability: f32,
    /// Entropy of the distribution in nats (DeeBERT, equation 5); of several beams, the largest.
    pub entropy: f32,
    /// Layers asked directly before that gave the same answer, of every beam (PABEE's counter).
    pub unchanged: usize,
}

/// The logits of a request's rows after a layer, kept in case the request leaves there.
#[derive(Clone, Debug)]
pub(crate) struct LayerAnswer {
    pub(crate) prediction: Prediction,
    /// `[rows, width]`, row-major.
    pub(crate) logits: Vec<f32>,
    /// The most probable answer of each row.
    tokens: Vec<u32>,
}

impl LayerAnswer {
    /// Reads the logits of a request's rows, `width` each.
    pub(crate) fn new(layer: usize, logits: Vec<f32>, width: usize, before: Option<&Self>) -> Self {
        let rows: Vec<Row> = logits.chunks_exact(width).map(Row::read).collect();
        let tokens: Vec<u32> = rows.iter().map(|row| row.token).collect();
        let agreeing = before.filter(|before| before.tokens == tokens);
        let prediction = Prediction {
            layer,
            token: tokens.first().copied().unwrap_or_default(),
            probability: rows.iter().map(|row| row.probability).fold(1.0, least),
            entropy: rows.iter().map(|row| row.entropy).fold(0.0, largest),
            unchanged: agreeing.map_or(0, |before| before.prediction.unchanged + 1),
        };
        Self { prediction, logits, tokens }
    }
}

/// NaN if either is: a row that is no number is never sure.
fn least(a: f32, b: f32) -> f32 {
    if a.is_nan() || a < b { a } else { b }
}

fn largest(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

struct Row {
    token: u32,
    probability: f32,
    entropy: f32,
}

impl Row {
    fn read(logits: &[f32]) -> Self {
        let best = |best: usize, next: usize| if logits[next] > logits[best] { next } else { best };
        let best = (0..logits.len()).fold(0, best);
        let shifted = logits.iter().map(|logit| f64::from(logit - logits[best]));
        let (mut sum, mut weighted) = (0.0, 0.0);
        for logit in shifted {
            let odds = logit.exp();
            sum += odds;
            // A logit of minus infinity has no share, and infinity times zero is no number.
            weighted += if odds > 0.0 { odds * logit } else { odds };
        }
        let entropy = (sum.ln() - weighted / sum) as f32;
        Self { token: best as u32, probability: (1.0 / sum) as f32, entropy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_sure_as_its_distribution() {
        let logits = [0.5f32.ln(), 0.25f32.ln(), 0.25f32.ln()];
        let answer = LayerAnswer::new(2, logits.to_vec(), 3, None).prediction;
        assert_eq!((answer.layer, answer.token, answer.unchanged), (2, 0, 0));
        assert!((answer.probability - 0.5).abs() < 1e-6);
        assert!((answer.entropy - 1.5 * 2.0f32.ln()).abs() < 1e-6);
        let certain = LayerAnswer::new(1, vec![0.0, f32::NEG_INFINITY], 2, None).prediction;
        assert_eq!((certain.probability, certain.entropy), (1.0, 0.0));
    }

    #[test]
    fn beams_are_as_sure_as_the_least_sure_of_them() {
        let first = LayerAnswer::new(1, vec![9.0, 0.0, 0.0, 0.1], 2, None);
        assert_eq!(first.prediction.token, 0);
        assert!(first.prediction.probability < 0.53 && first.prediction.entropy > 0.69);
        let same = LayerAnswer::new(2, vec![1.0, 0.0, 0.0, 1.0], 2, Some(&first));
        let still = LayerAnswer::new(3, vec![1.0, 0.0, 0.0, 1.0], 2, Some(&same));
        assert_eq!((same.prediction.unchanged, still.prediction.unchanged), (1, 2));
        let changed = LayerAnswer::new(4, vec![1.0, 0.0, 1.0, 0.0], 2, Some(&still));
        assert_eq!(changed.prediction.unchanged, 0, "the second beam says something else");
    }

    #[test]
    fn what_is_no_number_is_not_sure() {
        let broken = LayerAnswer::new(1, vec![1.0, 0.0, f32::NAN, f32::NAN], 2, None).prediction;
        assert!(broken.probability.is_nan() && broken.entropy.is_nan());
    }
}
