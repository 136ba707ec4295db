//! Whether what formatters accepted before a change they accept after it: the real ones, over all cases at once.
#![expect(clippy::disallowed_methods, reason = "runs the real formatters")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::case::Case;
use crate::venv::python;

/// Module and arguments of each check, the word on its lines that complain, and whether one is enough of those with the
/// same name: no file is sorted as every profile has it.
const CHECKS: [(&str, &[&str], &str); 6] = [
    ("black", &["black", "--check"], "would reformat"),
    (
        "ruff",
        &["ruff", "format", "--check", "--isolated", "--no-cache"],
        "Would reformat",
    ),
    (
        "ruff's import order",
        &[
            "ruff",
            "check",
            "--isolated",
            "--no-cache",
            "--select=I",
            "--output-format=concise",
        ],
        ": I",
    ),
    ("isort", &["isort", "--check", "--profile=black"], "ERROR"),
    ("isort", &["isort", "--check", "--profile=google"], "ERROR"),
    ("isort", &["isort", "--check", "--profile=pycharm"], "ERROR"),
];

/// Both sides of every file of `cases` that changes; gives what is no longer laid out as it was.
pub fn spoiled(cases: &[Case]) -> Result<Vec<String>, String> {
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut pairs = Vec::new();
    for case in cases {
        for (side, texts) in [("after", &case.after), ("suggested", &case.suggested)] {
            for (file, after) in texts.iter().filter(|(file, _)| file.ends_with(".py")) {
                let before = case.before.get(file).filter(|before| *before != after);
                let Some(before) = before else { continue };
                let n = pairs.len();
                let write = |side: &str, text: &str| {
                    let path = home.path().join(format!("f{n}_{side}.py"));
                    std::fs::write(path, text).map_err(|error| error.to_string())
                };
                write("before", before)?;
                write("after", after)?;
                pairs.push(format!("{} {file} ({side})", case.name));
            }
        }
    }
    let mut wrong = Vec::new();
    let mut passed = vec![0_usize; pairs.len()];
    let mut sorted: Vec<(bool, bool)> = vec![(false, false); pairs.len()];
    for (name, args, word) in CHECKS {
        let complaints = complaints(home.path(), args, word)?;
        for (n, pair) in pairs.iter().enumerate() {
            let passes = |side: &str| !complaints.contains(&format!("f{n}_{side}.py"));
            let (before, after) = (passes("before"), passes("after"));
            if let Some(count) = passed.get_mut(n) {
                *count += usize::from(before);
            }
            match sorted.get_mut(n) {
                Some(seen) if name == "isort" => {
                    seen.0 |= before;
                    seen.1 |= before && after;
                }
                _ if before && !after => wrong.push(format!("{name}: {pair}")),
                _ => {}
            }
        }
    }
    for (pair, (before, after)) in pairs.iter().zip(&sorted) {
        if *before && !after {
            wrong.push(format!("isort: {pair}"));
        }
    }
    // A check that accepts nothing before could not fail.
    match passed.iter().filter(|count| **count > 3).count() * 2 > pairs.len() {
        true => Ok(wrong),
        false => Err("too few cases are laid out as formatters have it".into()),
    }
}

/// Names of the files in `folder` that the check complains of.
fn complaints(folder: &Path, args: &[&str], word: &str) -> Result<BTreeSet<String>, String> {
    let output = Command::new(python())
        .arg("-m")
        .args(args)
        .arg(".")
        .current_dir(folder)
        .output()
        .map_err(|error| error.to_string())?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let mut found = BTreeSet::new();
    for line in said.lines().filter(|line| line.contains(word)) {
        let words = line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.')));
        let name = words.into_iter().find(|word| word.ends_with(".py"));
        found.extend(name.map(str::to_owned));
    }
    match output.status.code() {
        Some(0 | 1) => Ok(found),
        _ => Err(format!("{args:?}: {said}")),
    }
}
