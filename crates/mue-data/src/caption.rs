//! What is done to captions: after decoding, and before learning.

/// A caption for people: outer white space goes, inner runs of it become one space.
pub fn trim_caption(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A caption as OFA is fine-tuned on it (`data/mm_data/caption_dataset`): ASCII punctuation is removed,
/// then outer white space.
pub fn without_punctuation(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_ascii_punctuation()).collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_single_spaces() {
        assert_eq!(trim_caption("  a dog ,  running\n"), "a dog , running");
    }

    #[test]
    fn punctuation_goes_without_leaving_a_space() {
        assert_eq!(without_punctuation(" a man's hat, red-ish. "), "a mans hat redish");
    }
}
