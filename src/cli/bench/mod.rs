//! `bench`: what the change from pickle to JSON costs, in time and bytes, on values like the repository's own.
//!
//! Invariant: no pickle is loaded and nothing of a repository is run: samples become JSON here, and only the script beside
//! runs, in the Python that is named.

mod samples;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::Context;
use serde_json::{Value as Json, json};

use super::Exit;
use super::progress::Busy;
use crate::text::printable;
use samples::Samples;

const SCRIPT: &str = include_str!("measure.py");

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pickles of plain data to measure with; or projects, the current folder by default: with the pickles in them
    /// (`.pkl`, `.pickle`), and with values of the shape that their code reads from what it loads
    #[arg(value_name = "FILE|PATH", default_value = ".")]
    paths: Vec<String>,
    /// The Python to measure in; what it has of orjson, msgspec and protobuf is measured too
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: String,
    /// How to print; markdown is for the text of a pull request
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Markdown,
    Json,
}

pub(super) fn bench(args: &Args) -> anyhow::Result<Exit> {
    let Samples {
        all,
        mut notes,
        whole,
    } = Samples::of(&args.paths)?;
    notes.push(format!(
        "ran depickle's own script in {} -I; no file of the project was loaded or run",
        args.python
    ));
    let busy = Busy::on("measuring");
    let measured = measure(&args.python, &Json::from(all))?;
    drop(busy);
    let document = json!({
        "schema": "depickle-bench/1", "python": measured["python"], "rows": measured["rows"], "notes": notes,
    });
    match args.format {
        Format::Json => outln!("{}", crate::report::json_text(&document)?),
        Format::Markdown => out!("{}", table(&document, true)),
        Format::Text => out!("{}", table(&document, false)),
    }
    Ok(if whole { Exit::Done } else { Exit::Incomplete })
}

fn measure(python: &str, samples: &Json) -> anyhow::Result<Json> {
    let mut child = Command::new(python)
        .args(["-I", "-c", SCRIPT])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{python}: cannot be run; name a Python with --python"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // The script reads all before it writes.
        stdin.write_all(samples.to_string().as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        anyhow::bail!("{python}: the measuring script failed ({})", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The rows, with how each compares with pickle.
fn table(document: &Json, markdown: bool) -> String {
    let word = |value: &Json| match value {
        Json::String(text) => printable(text),
        other => other.to_string(),
    };
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let mut rows = vec![["sample", "codec", "write µs", "read µs", "bytes"].map(str::to_owned)];
    for row in list(&document["rows"]) {
        let name = format!("{} {}", word(&row["codec"]), word(&row["version"]));
        let number = |key: &str| {
            row[key]
                .as_f64()
                .map_or(String::new(), |n| format!("{n:.1}"))
        };
        let error = row["error"]
            .as_str()
            .map(|error| format!("not written: {}", printable(error)));
        rows.push([
            word(&row["sample"]),
            name.trim_end().to_owned(),
            error.unwrap_or_else(|| number("write")),
            number("read"),
            row["bytes"]
                .as_u64()
                .map_or(String::new(), |n| n.to_string()),
        ]);
    }
    let mut out = String::new();
    if markdown {
        for (at, row) in rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
            if at == 0 {
                out.push_str("|---|---|---:|---:|---:|\n");
            }
        }
        out.push('\n');
    } else {
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..5).map(width).collect();
        for row in &rows {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(at, (cell, width))| match at {
                    0 | 1 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                });
            let _ = writeln!(
                out,
                "{}",
                cells.collect::<Vec<String>>().join("  ").trim_end()
            );
        }
    }
    let _ = writeln!(out, "Python {}; best of 3", word(&document["python"]));
    for note in list(&document["notes"]) {
        let _ = writeln!(
            out,
            "{}{}",
            if markdown { "- " } else { "note: " },
            word(&note)
        );
    }
    out
}
