//! Hostile programs (`benches/hostile.py`, in sizes that a debug build can bear): every load is in the ledger once, and is
//! reached or said to be incomplete. And the whole output is the same whatever the order of files and the threads.
#![expect(clippy::disallowed_methods, reason = "writes and reads programs")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use depickle::pack::{Model, Trust};
use depickle::plan::Order;
use depickle::project::Project;
use depickle::trace::{Finding, trace, trace_within};

/// Files of a program, by path.
type Files = BTreeMap<String, Vec<u8>>;

/// Programs that are only deep: their loads are found, and all ways to them are followed.
const DEEP: [&str; 10] = [
    "callbacks_handed_down",
    "deep_across_files",
    "deep_decorators",
    "deep_enough",
    "deep_methods",
    "deep_modules",
    "deep_properties",
    "deep_wrappers",
    "nested_lambdas",
    "objects_handed_down",
];

/// Programs whose deepest calls are within deep code: with all that may take stack.
const DEEPEST: [&str; 9] = [
    "deep_and_nested",
    "deep_comprehensions",
    "deep_in_blocks",
    "deep_in_long_sums",
    "deep_in_matches",
    "deep_in_negations",
    "deep_in_tries",
    "generators_in_a_circle",
    "many_re_exports",
];

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

/// The programs of `benches/hostile.py` with these names, or all of them in small.
fn hostile(names: &[&str]) -> BTreeMap<String, Files> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("python3")
        .arg(root.join("benches/hostile.py"))
        .args(["--small"].iter().filter(|_| names.is_empty()))
        .arg("--write")
        .arg(folder.path())
        .args(names)
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
    let starts = |(name, bytes): (&String, &Vec<u8>)| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let calls = text.match_indices("pickle.loads(").map(|(at, _)| at);
        // Not those in texts that are run.
        let calls = calls.filter(|at| !text[..*at].ends_with(['\'', '"']));
        let calls: Vec<_> = calls.map(|at| (name.clone(), at)).collect();
        calls
    };
    let loads: BTreeSet<(String, usize)> = files.iter().flat_map(starts).collect();
    let project = Project::new(files.clone(), Vec::new());
    let traced = trace(&project, model);
    let unparsed = project
        .ids()
        .any(|file| project.source(file).unparsed().is_some());
    let mut found = BTreeSet::new();
    for finding in &traced.findings {
        let source = project.source(finding.place.file);
        let start = finding.place.span.start;
        if !found.insert((source.path().to_owned(), start)) {
            return Err(format!("two findings at {start}"));
        }
    }
    if !loads.is_subset(&found) && !unparsed {
        return Err(format!("loads {loads:?}, findings {found:?}"));
    }
    let reached = |finding: &Finding| finding.trust == Trust::Http || !finding.complete;
    match traced.findings.iter().all(reached) || unparsed {
        true => Ok(()),
        false => Err("not reached, and said to be complete".to_owned()),
    }
}

#[test]
fn what_is_hostile_is_reached_or_said_to_be_incomplete() {
    let failed = with_stack(|| {
        let model = Model::builtin().unwrap();
        let programs = hostile(&[]).into_iter();
        let judge = |(name, files)| Some(format!("{name}: {}", judged(&files, &model).err()?));
        programs.filter_map(judge).collect::<Vec<String>>()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_is_only_deep_is_found() {
    let failed = with_stack(|| {
        let model = Model::builtin().unwrap();
        let judge = |(name, files): (String, Files)| {
            let project = Project::new(files, Vec::new());
            let findings = trace(&project, &model).findings;
            let found = |f: &Finding| f.trust == Trust::Http && f.complete;
            (!findings.iter().all(found)).then_some(name)
        };
        let programs = hostile(&DEEP).into_iter();
        programs.filter_map(judge).collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn the_deepest_calls_in_the_deepest_code_stay_within_the_stack() {
    // Half of what the program gives: a change that doubles what a call takes is noticed before it hurts.
    let run = || {
        let model = Model::builtin().unwrap();
        let failed = hostile(&DEEPEST)
            .into_iter()
            .filter_map(|(name, files)| Some(format!("{name}: {}", judged(&files, &model).err()?)));
        failed.collect::<Vec<_>>()
    };
    let thread = std::thread::Builder::new().stack_size(STACK / 2).spawn(run);
    let failed = thread.unwrap().join().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Files of the programs of the corpus that `takes` says by number, each program in a folder of its own.
fn corpus(takes: impl Fn(usize) -> bool) -> Vec<(String, Vec<u8>)> {
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
            if takes(program) {
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
    let files = corpus(|program| program % 3 == 0);
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

/// Programs of the corpus that make one project.
const TOGETHER: usize = 12;

/// The ways to a load, and the levels that arrive.
fn ways(finding: &Finding) -> BTreeSet<String> {
    let routes = finding.routes.iter();
    let routes = routes.map(|route| {
        let handler = route.handler.as_ref().map(|handler| handler.def);
        format!("{handler:?} {:?} {:?}", route.chain, route.holder)
    });
    let levels = finding.levels.iter().map(|level| format!("{level:?}"));
    routes.chain(levels).collect()
}

#[test]
fn what_is_told_to_be_complete_does_not_depend_on_the_bound() {
    let (failed, spared) = with_stack(|| {
        let model = Model::builtin().unwrap();
        let mut projects: BTreeMap<usize, Files> = BTreeMap::new();
        for (path, text) in corpus(|_| true) {
            let number = path.split_once('/').unwrap().0.trim_start_matches('p');
            let project = number.parse::<usize>().unwrap() / TOGETHER;
            projects.entry(project).or_default().insert(path, text);
        }
        let mut failed = Vec::new();
        let mut spared = 0;
        for files in projects.into_values() {
            let project = Project::new(files, Vec::new());
            let whole = trace(&project, &model);
            for most in [30, 70, 150] {
                let traced = trace_within(&project, &model, most);
                let complete = traced.findings.iter().filter(|f| f.complete);
                for finding in complete.filter(|_| traced.exhausted) {
                    spared += 1;
                    let same = |other: &&Finding| other.place == finding.place;
                    let wanted = whole.findings.iter().find(same).map(ways);
                    let missing = &wanted.unwrap_or_default() - &ways(finding);
                    if !missing.is_empty() {
                        let path = project.path(finding.place.file);
                        failed.push(format!("{path}, bound {most}: without {missing:#?}"));
                    }
                }
            }
        }
        (failed, spared)
    });
    let (count, text) = (failed.len(), failed.join("\n"));
    assert!(failed.is_empty(), "{count} of {spared}: {text}");
    assert!(spared > 300, "{spared}");
}

/// A view whose load is told to be complete or not, in `app.py`, and a function that meets its bound on work.
fn beside_too_much(view: &str) -> bool {
    let app = format!(
        "import pickle\nfrom flask import Flask, request\nimport busy\n\napp = Flask(__name__)\n\n\
         {view}\n"
    );
    let busy = "import pickle\n\n\nclass Box:\n    data = b''\n\n\nbox = Box()\n\n\n\
                def fill(path):\n    count = 0\n    TURNS\n    box.data = open(path, 'rb').read()\n    return pickle.loads(box.data)\n";
    let busy = busy.replace("TURNS", &"count = count + 1\n    ".repeat(200));
    let files = [("app.py", app), ("busy.py", busy)];
    let files = files.map(|(path, text)| (path.to_owned(), text.into_bytes()));
    let project = Project::new(files.to_vec(), Vec::new());
    let traced = trace_within(&project, &Model::builtin().unwrap(), 300);
    assert!(traced.exhausted);
    let mut findings = traced.findings.iter();
    let finding = findings.find(|f| project.path(f.place.file) == "app.py");
    finding.unwrap().complete
}

#[test]
fn a_bound_elsewhere_leaves_a_load_complete_unless_it_reads_what_may_be_written_there() {
    let by_itself = "@app.route('/')\ndef view():\n    return pickle.loads(request.data)";
    let by_state =
        "@app.route('/')\ndef view():\n    return pickle.loads(busy.box.data or request.data)";
    let called =
        "@app.route('/')\ndef view():\n    busy.fill('x')\n    return pickle.loads(request.data)";
    assert!(with_stack(move || beside_too_much(by_itself)));
    assert!(!with_stack(move || beside_too_much(by_state)));
    assert!(!with_stack(move || beside_too_much(called)));
}
