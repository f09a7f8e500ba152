//! What a server says when it has started.

use std::io::Write;
use std::net::SocketAddr;

use mue_engine::{BranchRule, Engine, ExitRules};

use crate::output::reader_left;

/// The line that says what is served where.
pub(super) fn welcome(address: SocketAddr, engine: &Engine, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let (name, device) = (engine.model().name(), engine.device());
    let threads = mue_engine::threads();
    let (settings, calibration) = (&engine.model().settings().exits, engine.model().calibration());
    let caption = exits(calibration.caption.default_rules(settings.caption.as_ref()));
    let entailment = exits(calibration.entailment.default_rules(settings.entailment.as_ref()));
    format!(
        "listening on {scheme}://{address}, model {name}, device {device}, threads {threads}, \
         caption exits {caption}; entailment exits {entailment}"
    )
}

/// Prints that line, or logs it where whoever started the server has left: others come to ask.
pub(super) fn greet(welcome: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let greeted = writeln!(out, "{welcome}").and_then(|()| out.flush());
    match greeted.map_err(anyhow::Error::new) {
        Err(error) if reader_left(&error) => {
            tracing::warn!(welcome, "nobody reads standard output");
            Ok(())
        }
        greeted => greeted,
    }
}

/// The branches that do not run at full depth, and what they leave by.
fn exits(rules: Option<&ExitRules>) -> String {
    let Some(ExitRules { image, text, decoder, deferral }) = rules else { return "off".into() };
    let rules = [("image", image), ("text", text), ("decoder", decoder)];
    let named = rules.into_iter().filter_map(|(branch, rule)| {
        let by = match rule {
            BranchRule::Full | BranchRule::Watch => return None,
            BranchRule::Fixed(layers) => format!("fixed at {layers}"),
            BranchRule::Similarity(_) => "similarity".into(),
            BranchRule::Decay { .. } => "a similarity that falls by token".into(),
            BranchRule::Probability(_) => "probability".into(),
            BranchRule::Entropy(_) => "entropy".into(),
            BranchRule::Patience(layers) => format!("patience of {layers}"),
        };
        Some(format!("{branch} by {by}"))
    });
    let deferred = deferral.map(|deferral| format!("unsure answers to image {}", deferral.image));
    match named.chain(deferred).collect::<Vec<_>>().as_slice() {
        [] => "off".into(),
        named => named.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use mue_engine::Deferral;

    use super::*;

    #[test]
    fn exits_are_shown_by_branch() {
        assert_eq!(exits(None), "off");
        let rules = ExitRules {
            image: BranchRule::Similarity(vec![0.9]),
            text: BranchRule::Full,
            decoder: BranchRule::Patience(2),
            deferral: None,
        };
        assert_eq!(exits(Some(&rules)), "image by similarity, decoder by patience of 2");
        let deferral = Some(Deferral { below: 0.8, image: 5 });
        let rules = ExitRules { deferral, decoder: BranchRule::Full, ..rules };
        assert_eq!(exits(Some(&rules)), "image by similarity, unsure answers to image 5");
    }
}
