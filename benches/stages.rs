//! What each stage of the pipeline does in a second, in bytes of source: `cargo bench --bench stages`, or with `-- trace` one of them.
//!
//! The sources are the Python of `tests/corpus`, many times. Seconds of one machine: only ratios of one run say something.
#![expect(
    clippy::disallowed_methods,
    reason = "reads the corpus and the command line"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use depickle::check::check;
use depickle::pack::Model;
use depickle::plan::{Order, plan};
use depickle::project::Project;
use depickle::python::SourceFile;
use depickle::trace::trace;

/// So long each stage is repeated.
const ENOUGH: Duration = Duration::from_secs(2);

/// The files of all Python blocks in the Markdown below `folder`.
fn sources(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "md") {
            let text = std::fs::read_to_string(&path)?;
            for block in text.split("\n```python").skip(1) {
                let body = block.split_once('\n').map_or("", |(_, rest)| rest);
                let body = body.split("\n```").next().unwrap_or_default();
                files.push((format!("p{}/app.py", files.len()), body.into()));
            }
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"),
        &mut files,
    )?;
    let model = Model::builtin()?;
    let project = || Project::new(files.iter().cloned(), Vec::new());
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    let stage = |name: &str, size: usize, work: &dyn Fn() -> usize| {
        if !wanted.is_empty() && !wanted.iter().any(|one| name.contains(one.as_str())) {
            return;
        }
        black_box(work());
        let (begun, mut turns) = (Instant::now(), 0_u32);
        while begun.elapsed() < ENOUGH {
            black_box(work());
            turns += 1;
        }
        let each = begun.elapsed() / turns.max(1);
        let speed = size as f64 / each.as_secs_f64() / 1e6;
        println!(
            "{name:7} {speed:9.2} MB/s   {:9.2} ms",
            each.as_secs_f64() * 1e3
        );
    };

    // No file names a sink, so nothing is parsed.
    let harmless =
        b"import os\n\n\ndef size(path):\n    return os.stat(path).st_size\n\n\n".repeat(400);
    let many = (0..400).map(|n| (format!("p{n}/app.py"), harmless.clone()));
    let quiet = Project::new(many, Vec::new());
    stage("search", harmless.len() * 400, &|| {
        trace(&quiet, &model).findings.len()
    });
    stage("parse", bytes, &|| {
        let read = files
            .iter()
            .map(|(path, text)| SourceFile::read(path, text));
        read.filter(|file| file.unparsed().is_none()).count()
    });
    let whole = project();
    let order = Order::default();
    stage("trace", bytes, &|| trace(&whole, &model).findings.len());
    let traced = trace(&whole, &model);
    stage("plan", bytes, &|| {
        plan(&whole, &model, &traced, &order).decisions.len()
    });
    stage("edit", bytes, &|| {
        let traced = trace(&whole, &model);
        let planned = plan(&whole, &model, &traced, &order);
        let checked = check(&whole, &model, traced, planned, &order, None);
        checked.changeset.files().len()
    });
    Ok(())
}
