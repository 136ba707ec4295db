//! What holds for any input: the one text of it, for the property tests and for the fuzz targets. Each function panics when
//! something does not hold.
#![expect(clippy::disallowed_methods, reason = "keeps a journal to read")]

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use depickle::journal::{Entry, Journal};
use depickle::pack::Model;
use depickle::plan::Order;
use depickle::project::{FileId, Project};

/// Bytes read as a program, traced, rewritten and checked: what is rewritten parses, and is not rewritten again.
pub fn program(bytes: &[u8]) {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let model = MODEL.get_or_init(|| Model::builtin().expect("packs"));
    rewritten_once(bytes, model);
}

fn rewritten_once(bytes: &[u8], model: &Model) {
    let rewrite = || {
        let project = Project::new([("app.py".to_owned(), bytes.to_vec())], Vec::new());
        let order = Order::default();
        let checked = depickle::migrate(&project, model, &order, None);
        assert_eq!(
            checked.findings.len(),
            checked.decisions.len(),
            "a decision for each finding"
        );
        assert!(project.defects().is_empty(), "{:?}", project.defects());
        let files = checked.changeset.files().iter();
        let changes: HashMap<FileId, Vec<u8>> =
            files.map(|file| (FileId(0), file.after.clone())).collect();
        if changes.is_empty() {
            return;
        }
        let after = project.with(&changes);
        let unparsed = after.source(FileId(0)).unparsed().is_some();
        assert!(!unparsed, "what is rewritten parses");
        let again = depickle::migrate(&after, model, &order, None);
        let nothing = again.changeset.files().is_empty();
        assert!(nothing, "rewriting again changes nothing");
    };
    // Analysis costs stack, here as in the program.
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(depickle::cli::STACK);
        let worker = worker.spawn_scoped(scope, rewrite).expect("a thread");
        worker.join().expect("no panic");
    });
}

/// The packs that a changed one is read with.
pub const PACKS: [(&str, &str); 2] = [
    (
        "pickle-to-json/transform.toml",
        include_str!("../../transforms/pickle-to-json/transform.toml"),
    ),
    (
        "frameworks/flask/model.toml",
        include_str!("../../transforms/frameworks/flask/model.toml"),
    ),
];

/// Text read as a pack, beside another: a model, with which a program is rewritten as well as with any; or an error with a line.
pub fn pack(text: &str, which: usize) {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in PACKS {
        files.insert(path.to_owned(), text.to_owned());
    }
    let (path, _) = PACKS[which % PACKS.len()];
    files.insert(path.to_owned(), text.to_owned());
    match Model::from_files(&files) {
        Ok(model) => rewritten_once(PROGRAM.as_bytes(), &model),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

const PROGRAM: &str = "import pickle\nfrom flask import Flask, request\napp = Flask(__name__)\n\n\n\
     @app.route('/')\ndef f():\n    x = pickle.loads(request.data)\n    return x['a']\n";

/// Text read as `depickle.toml`: a configuration, or an error in one line.
pub fn configuration(text: &str) {
    if let Err(error) = depickle::cli::configured(text) {
        assert!(!error.is_empty());
    }
}

/// Bytes read as the journal of a run: its record, or an error with a line; what is appended then is there after it.
pub fn journal(bytes: &[u8]) {
    const RUN: &str = "20261123T150212-4663";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("runs/{RUN}.jsonl"));
    std::fs::create_dir_all(folder.path().join("runs")).expect("a folder");
    std::fs::write(&path, bytes).expect("a file");
    let journal = Journal::open(folder.path().to_owned()).expect("a journal");
    let before = journal.run(RUN);
    let whole = bytes.iter().rposition(|byte| *byte == b'\n');
    let (read, last) = (journal.runs().is_ok(), journal.last().is_ok());
    // Only a journal without any whole line is none.
    assert_eq!(before.is_ok(), read && whole.is_some());
    assert_eq!(read, last);
    let failed = 7_000_000;
    let entry = Entry::RunFinished { staged: 0, failed };
    journal.append(RUN, entry).expect("appended");
    let after = std::fs::read(&path).expect("a file");
    let kept = bytes
        .get(..whole.map_or(0, |at| at + 1))
        .unwrap_or_default();
    assert!(after.starts_with(kept), "what was whole stays");
    assert_eq!(journal.run(RUN).is_ok(), read, "a torn line is no error");
    if let Ok(record) = journal.run(RUN) {
        assert!(record.finished);
    }
}
