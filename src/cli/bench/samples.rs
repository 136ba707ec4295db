//! What is measured: the pickles that a repository keeps, else values of the shape that its code reads from what it loads, else
//! values of common shapes.
//!
//! Invariant: it is said which of them, and what was not measured.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value as Json, json};

use crate::cli::STACK;
use crate::cli::args::Common;
use crate::cli::schedule::Place;
use crate::cli::target::{Reading, read};
use crate::journal::Target;
use crate::pack::Model;
use crate::pickle::{Converted, run, to_json, unwrap};
use crate::prove::generated;
use crate::trace::trace;

/// Bytes of one file that are read.
const LARGEST: u64 = 64 << 20;
/// Samples that are measured.
const SAMPLES: usize = 50;
/// Rows of lists in generated values: what one request sends, and what a store keeps.
const FEW: usize = 3;
const MANY: usize = 1000;

/// Values to measure with.
#[derive(Debug)]
pub(super) struct Samples {
    /// Each with its `name`, and itself as text of `json`.
    pub all: Vec<Json>,
    pub notes: Vec<String>,
    /// Whether all that was asked for is among them.
    pub whole: bool,
}

impl Samples {
    /// What there is of `paths`.
    pub(super) fn of(paths: &[String]) -> anyhow::Result<Samples> {
        let mut samples = Samples {
            all: Vec::new(),
            notes: Vec::new(),
            whole: true,
        };
        for path in paths {
            match Path::new(path).is_dir() || path.ends_with(".py") {
                true => {
                    pickles(path).iter().for_each(|file| samples.stored(file));
                    samples.inferred(path)?;
                }
                false => samples.stored(path),
            }
        }
        if samples.all.is_empty() {
            samples.notes.push("no pickle of plain data was given or found, and no load whose shape is seen: values of common shapes were measured, not the project's own".to_owned());
            samples.all = common();
        }
        if samples.all.len() > SAMPLES {
            samples.notes.push(format!(
                "only the first {SAMPLES} of {} values were measured",
                samples.all.len()
            ));
            samples.all.truncate(SAMPLES);
        }
        Ok(samples)
    }

    fn add(&mut self, name: &str, json: &str) {
        self.all.push(json!({"name": name, "json": json}));
    }

    /// The first value of the pickles in a file.
    fn stored(&mut self, path: &str) {
        if self.all.len() > SAMPLES {
            return;
        }
        match sample(path) {
            Ok(sample) => {
                if !sample.lost.is_empty() {
                    let lost: Vec<&str> = sample.lost.keys().copied().collect();
                    self.notes.push(format!(
                        "{path}: measured as JSON says it: {}",
                        lost.join(", ")
                    ));
                }
                self.add(path, &sample.json);
            }
            Err(error) => {
                self.whole = false;
                self.notes.push(format!("{path}: not measured: {error:#}"));
            }
        }
    }

    /// Values of the shapes that the code at `path` reads from its loads.
    fn inferred(&mut self, path: &str) -> anyhow::Result<()> {
        let common = Common::default().resolved()?;
        let place = Place {
            path: PathBuf::from(path),
            base: None,
            cloned: None,
        };
        let opened = read(&Target::new(path), &place, &common, Reading::WorkTree);
        let project = opened.map_err(|error| anyhow::anyhow!("{path}: {error}"))?;
        let project = &project.project;
        let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build()?;
        let model = Model::builtin()?;
        pool.install(|| {
            let mut unseen = Vec::new();
            for finding in trace(project, &model).findings {
                if finding.test || self.all.len() > SAMPLES {
                    continue;
                }
                let source = project.source(finding.place.file);
                let line = source.position(finding.place.span.start).line;
                let name = format!("{}:{line}", source.path());
                let Some(few) = generated(project, &finding, FEW) else {
                    unseen.push(name);
                    continue;
                };
                self.add(&name, &few.to_string());
                match generated(project, &finding, MANY) {
                    Some(many) if many != few => {
                        self.add(&format!("{name}, lists of {MANY}"), &many.to_string());
                    }
                    _ => {}
                }
                self.notes.push(format!("{name}: a value of the shape that the code reads from this load; where it shows no type, a number"));
            }
            if !unseen.is_empty() {
                self.notes.push(format!(
                    "not measured, for the code does not show the shape of what is loaded: {}",
                    unseen.join(", ")
                ));
            }
        });
        Ok(())
    }
}

/// The pickles in the folder `path`, by their names.
fn pickles(path: &str) -> Vec<String> {
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
fn common() -> Vec<Json> {
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
