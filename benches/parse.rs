//! Reads and parses the files whose names come on standard input, a line each, on as many threads as `RAYON_NUM_THREADS` says: what an
//! analysis of just these files costs at least. `benches/speed.py` times it as a whole.
#![expect(clippy::disallowed_methods, reason = "reads files")]

use std::io::BufRead as _;

use rayon::prelude::*;
use rustpython_parser::{Mode, ParseOptions, parse_unchecked};

fn main() -> std::io::Result<()> {
    let names: Vec<String> = std::io::stdin().lock().lines().collect::<Result<_, _>>()?;
    let parsed = names.par_iter().filter(|name| {
        let text = std::fs::read(name.as_str()).map(String::from_utf8);
        let Ok(Ok(text)) = text else { return false };
        parse_unchecked(&text, ParseOptions::from(Mode::Module)).has_valid_syntax()
    });
    println!("{} of {} parse", parsed.count(), names.len());
    Ok(())
}
