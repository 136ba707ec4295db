//! The labelled corpus: every section of every file below `tests/corpus/` is a program, and every load in it says who
//! reaches it. One trial per program; `tests/corpus/README.md` explains the labels.
#![expect(clippy::disallowed_methods, reason = "reads the corpus")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use depickle::pack::{Model, Trust};
use depickle::project::Project;
use depickle::trace::{Finding, Form, trace};
use libtest_mimic::{Arguments, Failed, Trial};

/// Known gaps and known excesses together are at most this share of all labels, in percent.
const MOST_WRONG: usize = 3;
/// At least so many labels of each kind.
const LEAST: usize = 300;

/// What the marker of a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Label {
    /// `# reached: http`: data of that level arrives.
    Reached(String),
    /// `# silent`: nothing of a client, a peer or a store arrives.
    Silent,
    /// `# missed: http`: a known gap; fails once it is found.
    Missed(String),
    /// `# false-alarm`: a known excess; fails once it is gone.
    FalseAlarm,
}

#[derive(Debug, Clone)]
struct Program {
    name: String,
    files: BTreeMap<String, String>,
    labels: BTreeMap<(String, usize), Label>,
}

fn main() {
    let arguments = Arguments::from_args();
    let programs = programs();
    let model = Arc::new(Model::builtin());
    let count = programs.clone();
    let mut trials: Vec<Trial> = programs
        .into_iter()
        .map(|program| {
            let model = Arc::clone(&model);
            Trial::test(program.name.clone(), move || judged(program, &model))
        })
        .collect();
    trials.push(Trial::test("enough_labels_and_few_gaps", move || {
        Ok(counted(&count)?)
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Reads all programs.
fn programs() -> Vec<Program> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = std::fs::read_dir(&root).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let is_topic = |path: &&std::path::PathBuf| {
        path.extension().is_some_and(|e| e == "md") && !path.ends_with("README.md")
    };
    let mut programs = Vec::new();
    for path in paths.iter().filter(is_topic) {
        let topic = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(title) = line.strip_prefix("## ") {
                programs.push(Program {
                    name: format!("{topic}/{title}"),
                    files: BTreeMap::new(),
                    labels: BTreeMap::new(),
                });
            }
            let (Some(info), Some(program)) = (line.strip_prefix("```python"), programs.last_mut())
            else {
                continue;
            };
            let file = match info.trim() {
                "" => "app.py",
                file => file,
            };
            let block = lines.by_ref().take_while(|line| *line != "```");
            program.add(file, block);
        }
    }
    programs
}

impl Program {
    fn add<'t>(&mut self, file: &str, block: impl Iterator<Item = &'t str>) {
        let mut text = String::new();
        for (row, line) in block.enumerate() {
            let (code, label) = unlabelled(line);
            text.push_str(code);
            text.push('\n');
            if let Some(label) = label {
                self.labels.insert((file.to_owned(), row + 1), label);
            }
        }
        self.files.insert(file.to_owned(), text);
    }
}

/// A line without its label, and the label.
fn unlabelled(line: &str) -> (&str, Option<Label>) {
    let Some((code, comment)) = line.rsplit_once("  # ") else {
        return (line, None);
    };
    let (word, level) = comment.split_once(": ").unwrap_or((comment, ""));
    let label = match word {
        "reached" => Label::Reached(level.to_owned()),
        "missed" => Label::Missed(level.to_owned()),
        "silent" => Label::Silent,
        "false-alarm" => Label::FalseAlarm,
        _ => return (line, None),
    };
    (code, Some(label))
}

fn judged(
    program: Program,
    model: &Arc<Result<Model, depickle::pack::PackError>>,
) -> Result<(), Failed> {
    let model = Arc::clone(model);
    // Analysis of nested code costs stack, here as in the program.
    let worker = std::thread::Builder::new().stack_size(depickle::cli::STACK);
    let worker = worker
        .spawn(move || match &*model {
            Ok(model) => held(&program, model),
            Err(error) => Err(error.to_string()),
        })
        .map_err(|e| e.to_string())?;
    match worker.join() {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err("panicked".into()),
    }
}

fn held(program: &Program, model: &Model) -> Result<(), String> {
    let files = program
        .files
        .iter()
        .map(|(path, text)| (path.clone(), text.clone().into_bytes()));
    let project = Project::new(files, Vec::new());
    for id in project.ids() {
        if let Some(why) = project.source(id).unparsed() {
            return Err(format!("{}: {}", project.path(id), why.message()));
        }
    }
    let traced = trace(&project, model);
    if let Some((_, said)) = project.defects().pop_first() {
        return Err(said);
    }
    let mut at: BTreeMap<(String, usize), Vec<&Finding>> = BTreeMap::new();
    for finding in traced.findings.iter().filter(|f| f.form != Form::Base) {
        let source = project.source(finding.place.file);
        let line = source.position(finding.place.span.start).line;
        at.entry((source.path().to_owned(), line))
            .or_default()
            .push(finding);
    }
    let mut wrong = Vec::new();
    let places: BTreeSet<_> = program.labels.keys().chain(at.keys()).cloned().collect();
    for place in places {
        let found = at.get(&place).map_or(&[][..], Vec::as_slice);
        let levels: BTreeSet<&str> = found.iter().map(|f| f.trust.word()).collect();
        let exposed = found.iter().any(|f| f.trust <= Trust::Stored);
        let seen = || match found.is_empty() {
            true => "nothing".to_owned(),
            false => levels.iter().copied().collect::<Vec<_>>().join(", "),
        };
        let (file, line) = &place;
        match program.labels.get(&place) {
            Some(Label::Reached(level)) if !levels.contains(level.as_str()) => {
                wrong.push(format!(
                    "{file}:{line}: reached: {level}, but found {}",
                    seen()
                ));
            }
            Some(Label::Silent) if exposed => {
                wrong.push(format!("{file}:{line}: silent, but found {}", seen()));
            }
            Some(Label::Missed(level)) if levels.contains(level.as_str()) => {
                wrong.push(format!(
                    "{file}:{line}: is found now; write `# reached: {level}`"
                ));
            }
            Some(Label::FalseAlarm) if !exposed => {
                wrong.push(format!("{file}:{line}: is silent now; write `# silent`"));
            }
            Some(_) => {}
            // A function that is handed on is no load yet.
            None if found.iter().all(|f| f.form == Form::Reference) && !exposed => {}
            None => wrong.push(format!("{file}:{line}: has no label; found {}", seen())),
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

fn counted(programs: &[Program]) -> Result<(), String> {
    let labels: Vec<&Label> = programs.iter().flat_map(|p| p.labels.values()).collect();
    let count = |is: fn(&Label) -> bool| labels.iter().filter(|label| is(label)).count();
    let reached = count(|l| matches!(l, Label::Reached(_) | Label::Missed(_)));
    let silent = count(|l| matches!(l, Label::Silent | Label::FalseAlarm));
    let missed = count(|l| matches!(l, Label::Missed(_)));
    let excess = count(|l| matches!(l, Label::FalseAlarm));
    if reached < LEAST || silent < LEAST {
        return Err(format!("{reached} reached and {silent} silent are too few"));
    }
    let all = labels.len();
    if (missed + excess) * 100 > MOST_WRONG * all {
        return Err(format!(
            "{missed} missed and {excess} false alarms of {all} labels are too many"
        ));
    }
    Ok(())
}
