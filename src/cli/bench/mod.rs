//! `bench`: what the change from pickle to JSON costs, in time and bytes, on values like the repository's own.
//!
//! Invariant: no pickle is loaded and nothing of a repository is run: samples become JSON here, and only the script beside
//! runs, in the Python that is named.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use serde_json::{Value as Json, json};

use super::Exit;
use crate::pickle::{Converted, run, to_json, unwrap};
use crate::text::printable;

const SCRIPT: &str = include_str!("measure.py");
/// Bytes of one file that are read.
const LARGEST: u64 = 64 << 20;
/// Samples that are measured.
const SAMPLES: usize = 50;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pickles of plain data to measure with, or folders in which `.pkl` and `.pickle` files are looked for; values of common
    /// shapes when none is given or found
    #[arg(value_name = "FILE|PATH")]
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
    let mut notes = Vec::new();
    let mut samples = Vec::new();
    let mut exit = Exit::Done;
    for path in args.paths.iter().flat_map(|path| files(path)) {
        if samples.len() == SAMPLES {
            notes.push(format!("only the first {SAMPLES} pickles were measured"));
            break;
        }
        match sample(&path) {
            Ok(sample) => {
                if !sample.lost.is_empty() {
                    let lost: Vec<&str> = sample.lost.keys().copied().collect();
                    notes.push(format!(
                        "{path}: measured as JSON says it: {}",
                        lost.join(", ")
                    ));
                }
                samples.push(json!({"name": path, "json": sample.json}));
            }
            Err(error) => {
                exit = Exit::Incomplete;
                notes.push(format!("{path}: not measured: {error:#}"));
            }
        }
    }
    if samples.is_empty() {
        notes.push("no pickle of plain data was given or found: values of common shapes were measured, not the project's own".to_owned());
        samples = shapes();
    }
    notes.push(format!(
        "ran depickle's own script in {} -I; no file of the project was loaded or run",
        args.python
    ));
    let measured = measure(&args.python, &Json::from(samples))?;
    let document = json!({
        "schema": "depickle-bench/1", "python": measured["python"], "rows": measured["rows"], "notes": notes,
    });
    match args.format {
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(&document)?),
        Format::Markdown => anstream::print!("{}", table(&document, true)),
        Format::Text => anstream::print!("{}", table(&document, false)),
    }
    Ok(exit)
}

/// The pickles that `path` names.
fn files(path: &str) -> Vec<String> {
    if !Path::new(path).is_dir() {
        return vec![path.to_owned()];
    }
    let found = ignore::WalkBuilder::new(path)
        .sort_by_file_name(Ord::cmp)
        .build()
        .flatten();
    let pickles = found.filter(|entry| {
        let extension = entry
            .path()
            .extension()
            .and_then(|extension| extension.to_str());
        entry.file_type().is_some_and(|kind| kind.is_file())
            && matches!(extension, Some("pkl" | "pickle"))
    });
    pickles
        .map(|entry| entry.path().to_string_lossy().into_owned())
        .collect()
}

/// The first value of a file of pickles, as JSON.
fn sample(path: &str) -> anyhow::Result<Converted> {
    if std::fs::metadata(path)?.len() > LARGEST {
        anyhow::bail!("it is larger than 64 MiB");
    }
    let bytes = std::fs::read(path)?;
    let found = unwrap(&bytes);
    let part = found.parts.first().context("it holds no pickle")?;
    let machine = run(&part.bytes, part.start);
    to_json(&machine).map_err(anyhow::Error::msg)
}

/// Values of the shapes that web applications keep: a session, a cart, rows, numbers, text.
fn shapes() -> Vec<Json> {
    let row = |n: usize| json!({"id": n, "name": format!("item {n}"), "price": n as f64 + 0.25, "tags": ["new", "red"], "open": n.is_multiple_of(2), "note": null});
    let rows = |count: usize| (0..count).map(row).collect::<Json>();
    let all = [
        (
            "a session (4 keys)",
            json!({"user": 1234, "name": "Ada", "theme": "dark", "expires": 1795640727}),
        ),
        ("a cart (3 rows)", json!({"cart": rows(3), "total": 12.5})),
        ("100 rows", rows(100)),
        (
            "10,000 numbers",
            (0..10_000).map(|n| f64::from(n) * 0.37).collect::<Json>(),
        ),
        (
            "text of 10,000 characters",
            json!("Grüße, world. ".repeat(715)),
        ),
    ];
    all.map(|(name, value)| json!({"name": name, "json": value.to_string()}))
        .to_vec()
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
