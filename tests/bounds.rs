//! Hostile programs (`benches/hostile.py`, in sizes that a debug build can bear): every load is in the ledger once, and is
//! reached or said to be incomplete. And the whole output is the same whatever the order of files and the threads.
#![expect(clippy::disallowed_methods, reason = "writes and reads programs")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use depickle::pack::{Model, Trust};
use depickle::plan::Order;
use depickle::project::Project;
use depickle::trace::trace;

/// Files of a program, by path.
type Files = BTreeMap<String, Vec<u8>>;

/// Known gaps: callers further up than the search for them goes, which is not said.
const SILENT: [&str; 1] = ["same_names_everywhere"];

/// What the command gives its threads, without which deep syntax overflows a test's stack.
const STACK: usize = depickle::cli::STACK;

fn read(root: &Path) -> Files {
    let mut files = Files::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "py") {
                let name = path.strip_prefix(root).unwrap();
                let name = name.to_string_lossy().replace('\\', "/");
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The programs of `benches/hostile.py`.
fn hostile() -> BTreeMap<String, Files> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("python3")
        .arg(root.join("benches/hostile.py"))
        .args(["--small", "--write"])
        .arg(folder.path())
        .status();
    assert!(status.unwrap().success());
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let programs = entries.map(|entry| entry.unwrap().path());
    programs
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, read(&path))
        })
        .collect()
}

fn with_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run);
    thread.unwrap().join().unwrap()
}

/// What is wrong with what is said of `files`.
fn judged(files: &Files, model: &Model) -> Result<(), String> {
    let loads: BTreeSet<(String, usize)> = files
        .iter()
        .flat_map(|(name, bytes)| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let lines: Vec<usize> = text
                .lines()
                .enumerate()
                .filter(|(_, line)| line.contains("pickle.loads"))
                .map(|(n, _)| n + 1)
                .collect();
            lines.into_iter().map(|line| (name.clone(), line))
        })
        .collect();
    let project = Project::new(files.clone(), Vec::new());
    let traced = trace(&project, model);
    let unparsed = project
        .ids()
        .any(|file| project.source(file).unparsed().is_some());
    let mut found = BTreeSet::new();
    for finding in &traced.findings {
        let source = project.source(finding.place.file);
        let line = source.position(finding.place.span.start).line;
        if !found.insert((source.path().to_owned(), line)) {
            return Err(format!("two findings in line {line}"));
        }
    }
    if found != loads && !unparsed {
        return Err(format!("loads {loads:?}, findings {found:?}"));
    }
    let reached = traced.findings.iter().all(|f| f.trust == Trust::Http);
    match reached || traced.exhausted || unparsed {
        true => Ok(()),
        false => Err("not reached, and said to be complete".to_owned()),
    }
}

#[test]
fn what_is_hostile_is_reached_or_said_to_be_incomplete() {
    let failed = with_stack(|| {
        let model = Model::builtin().unwrap();
        let judge = |(name, files): (String, Files)| match (
            judged(&files, &model),
            SILENT.contains(&name.as_str()),
        ) {
            (Err(why), false) => Some(format!("{name}: {why}")),
            (Ok(()), true) => Some(format!("{name}: no gap any more")),
            _ => None,
        };
        hostile().into_iter().filter_map(judge).collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Programs of the corpus, each in a folder of its own, as one project.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = std::fs::read_dir(root).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut files = Vec::new();
    let mut program = 0;
    for path in paths {
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            program += usize::from(line.starts_with("## "));
            let Some(name) = line.strip_prefix("```python") else {
                continue;
            };
            let name = match name.trim() {
                "" => "app.py",
                name => name,
            };
            let block = lines.by_ref().take_while(|line| *line != "```");
            let text: String = block.map(|line| format!("{line}\n")).collect();
            if program % 3 == 0 {
                files.push((format!("p{program}/{name}"), text.into_bytes()));
            }
        }
    }
    files
}

/// Everything that is said of `files`, and the change, with so many threads.
fn said(files: Vec<(String, Vec<u8>)>, threads: usize) -> String {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK)
        .build();
    pool.unwrap().install(|| {
        let model = Model::builtin().unwrap();
        let project = Project::new(files, Vec::new());
        let checked = depickle::migrate(&project, &model, &Order::default(), None);
        format!("{checked:#?}")
    })
}

#[test]
fn threads_and_the_order_of_files_change_nothing() {
    let files = corpus();
    assert!(files.len() > 300, "{} files", files.len());
    let mut backwards = files.clone();
    backwards.reverse();
    let mut shuffled = Vec::new();
    let (left, right) = files.split_at(files.len() / 3);
    for n in 0..right.len() {
        shuffled.extend(left.get(n).cloned());
        shuffled.push(right[right.len() - 1 - n].clone());
    }
    let first = said(files, 1);
    for (threads, files) in [(2, backwards), (4, shuffled)] {
        let other = said(files, threads);
        let differs = first.lines().zip(other.lines()).position(|(a, b)| a != b);
        let around = |text: &str| {
            let from = differs.unwrap_or_default().saturating_sub(4);
            let lines: Vec<&str> = text.lines().skip(from).take(8).collect();
            lines.join("\n")
        };
        assert!(
            first == other,
            "{}\n---\n{}",
            around(&first),
            around(&other)
        );
    }
}
