//! Prints the tokens of each caption on standard input, one caption a line.

use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for caption in io::stdin().lock().lines() {
        writeln!(out, "{}", mue_scores::tokenize(&caption?).join(" "))?;
    }
    Ok(())
}
