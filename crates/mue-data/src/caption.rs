//! What is done to a caption after decoding.

/// A caption for people: outer white space goes, inner runs of it become one space.
pub fn trim_caption(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A caption as OFA's evaluation scores it: ASCII punctuation is removed, then outer white space.
pub fn caption_for_scoring(text: &str) -> String {
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
    fn scorers_see_no_punctuation() {
        assert_eq!(caption_for_scoring(" a man's hat, red-ish. "), "a mans hat redish");
    }
}
