//! ROUGE-L, as the COCO caption evaluation computes it.
//!
//! Lin, "ROUGE: a package for automatic evaluation of summaries" (2004), with beta 1.2. With LCS
//! the length of the longest common subsequence of words,
//!
//! ```text
//! P = max over references of LCS / candidate words     R = max over references of LCS / reference words
//! ROUGE-L = (1 + beta^2) * P * R / (R + beta^2 * P)
//! ```
//!
//! P and R may come from different references. The corpus score is the mean over samples.

const BETA: f64 = 1.2;

/// The score of one candidate.
///
/// A sentence without words counts as one empty word, as in `pycocoevalcap`: it scores 1 against a
/// reference without words and 0 against others.
pub(crate) fn rouge_l(candidate: &[String], references: &[Vec<String>]) -> f64 {
    let empty = [String::new()];
    let or_empty = |words| if <[String]>::is_empty(words) { &empty[..] } else { words };
    let candidate = or_empty(candidate);
    let (mut precision, mut recall) = (0.0_f64, 0.0_f64);
    for reference in references {
        let reference = or_empty(reference);
        let common = common_subsequence(candidate, reference) as f64;
        precision = precision.max(common / candidate.len() as f64);
        recall = recall.max(common / reference.len() as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    let weight = BETA * BETA;
    (1.0 + weight) * precision * recall / (recall + weight * precision)
}

/// The length of the longest common subsequence.
fn common_subsequence(left: &[String], right: &[String]) -> usize {
    let mut lengths = vec![0; right.len() + 1];
    for word in left {
        let mut diagonal = 0;
        for (place, other) in right.iter().enumerate() {
            let above = lengths[place + 1];
            lengths[place + 1] =
                if word == other { diagonal + 1 } else { above.max(lengths[place]) };
            diagonal = above;
        }
    }
    lengths[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_need_not_be_neighbours() {
        assert_eq!(common_subsequence(&words("a b c d"), &words("a x c y d")), 3);
    }

    #[test]
    fn the_same_sentence_scores_one() {
        assert!((rouge_l(&words("a b"), &[words("c"), words("a b")]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_matches_only_nothing() {
        assert!((rouge_l(&[], &[vec![]]) - 1.0).abs() < 1e-12);
        assert!(rouge_l(&[], &[words("a")]).abs() < 1e-12);
    }
}
