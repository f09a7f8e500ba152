//! How an answer's exits are shown: as bars for people, as JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use mue_engine::batcher::Timing;
use mue_engine::{BranchDepth, Compute, ExitTrace, FirstReading, TokenExit};
use serde::Serialize;

/// Whether bars are coloured: on a terminal, unless `NO_COLOR` is set.
pub(crate) fn coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A bar of `layers` cells, filled up to the layer at which a token or branch left.
pub(crate) fn bar(depth: BranchDepth, coloured: bool) -> String {
    let BranchDepth { layer, layers } = depth;
    let cells = format!("{}{}", "█".repeat(layer), "░".repeat(layers.saturating_sub(layer)));
    let colour = match 3 * layer {
        early if early <= layers => AnsiColor::Green,
        middle if middle <= 2 * layers => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    let style = Style::new().fg_color(Some(colour.into()));
    match coloured {
        true => format!("{style}{cells}{style:#}"),
        false => cells,
    }
}

/// Prints where the branches left, and what that saved.
pub(crate) fn print_summary(
    out: &mut dyn Write,
    exit: &ExitTrace,
    compute: Compute,
    coloured: bool,
) -> io::Result<()> {
    let depth = |name: &str, depth: BranchDepth| {
        format!("{name} {} {}/{}", bar(depth, coloured), depth.layer, depth.layers)
    };
    let deferred = exit.deferred.map(|first| format!(" (deferred at {})", first.image));
    let deferred = deferred.unwrap_or_default();
    writeln!(
        out,
        "  {}{deferred}  {}  decoder {:.1}/{}  {:.2} of {:.2} GMAC, {:.0}% saved",
        depth("image", exit.image),
        depth("text", exit.text),
        exit.mean_layer(),
        exit.decoder_layers,
        compute.macs as f64 / 1e9,
        compute.macs_full as f64 / 1e9,
        100.0 * compute.saved(),
    )
}

/// Prints one bar per token.
pub(crate) fn print_tokens(
    out: &mut dyn Write,
    tokens: &[TokenExit],
    layers: usize,
    coloured: bool,
) -> io::Result<()> {
    let width = tokens.iter().map(|token| token.text.trim().chars().count()).max().unwrap_or(0);
    for TokenExit { text, layer } in tokens {
        let bar = bar(BranchDepth { layer: *layer, layers }, coloured);
        writeln!(out, "  {:width$}  {bar} {layer}", text.trim())?;
    }
    Ok(())
}

/// Where a request left, in the layout of the HTTP interface.
#[derive(Debug, Serialize)]
pub(crate) struct ExitJson {
    image: DepthJson,
    text: DepthJson,
    decoder: DecoderJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    deferred: Option<FirstReadingJson>,
}

#[derive(Debug, Serialize)]
struct DepthJson {
    layer: usize,
    layers: usize,
}

#[derive(Debug, Serialize)]
struct FirstReadingJson {
    image: usize,
    decoder: usize,
}

#[derive(Debug, Serialize)]
struct DecoderJson {
    mean_layer: f64,
    layers: usize,
    tokens: Vec<TokenJson>,
}

#[derive(Debug, Serialize)]
struct TokenJson {
    text: String,
    layer: usize,
}

/// What a request cost, in multiply-accumulates.
#[derive(Debug, Serialize)]
pub(crate) struct ComputeJson {
    macs: u64,
    macs_full: u64,
    saved: f64,
}

/// Milliseconds by stage.
#[derive(Debug, Serialize)]
pub(crate) struct TimingJson {
    queue: f64,
    encode: f64,
    decode: f64,
}

impl ExitJson {
    pub(crate) fn new(exit: &ExitTrace, tokens: &[TokenExit]) -> Self {
        let depth = |depth: BranchDepth| DepthJson { layer: depth.layer, layers: depth.layers };
        let tokens = tokens
            .iter()
            .map(|token| TokenJson { text: token.text.clone(), layer: token.layer })
            .collect();
        Self {
            image: depth(exit.image),
            text: depth(exit.text),
            decoder: DecoderJson {
                mean_layer: exit.mean_layer(),
                layers: exit.decoder_layers,
                tokens,
            },
            deferred: exit
                .deferred
                .map(|FirstReading { image, decoder }| FirstReadingJson { image, decoder }),
        }
    }
}

impl From<Compute> for ComputeJson {
    fn from(compute: Compute) -> Self {
        Self { macs: compute.macs, macs_full: compute.macs_full, saved: compute.saved() }
    }
}

impl From<Timing> for TimingJson {
    fn from(timing: Timing) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Self { queue: ms(timing.queue), encode: ms(timing.encode), decode: ms(timing.decode) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_filled_up_to_the_layer() {
        assert_eq!(bar(BranchDepth { layer: 2, layers: 6 }, false), "██░░░░");
        let coloured = bar(BranchDepth { layer: 6, layers: 6 }, true);
        assert!(coloured.starts_with("\u{1b}[31m██████\u{1b}["), "{coloured:?}");
    }
}
