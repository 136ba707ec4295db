//! What holds for any program and any pack: the one text of it, for the property tests and for the fuzz targets. Each function
//! panics when something does not hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use depickle::check::{Checked, check};
use depickle::pack::Model;
use depickle::plan::{Order, plan};
use depickle::project::{FileId, Project};
use depickle::python::ast::comparable::ComparableStmt;
use depickle::python::ast::visitor::{Visitor, walk_body, walk_stmt};
use depickle::python::ast::{ModModule, Stmt};
use depickle::python::span;
use depickle::text::EditSet;
use depickle::trace::{STACK, trace};

/// Bytes read as a program, traced, rewritten and checked: what is rewritten parses, is the same outside the edits, and is not
/// rewritten again.
pub fn program(bytes: &[u8]) {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let model = MODEL.get_or_init(|| Model::builtin().expect("packs"));
    rewritten_once(bytes, model);
}

fn rewritten_once(bytes: &[u8], model: &Model) {
    /// Analysis costs stack, here as in the program. One thread for all inputs: the same input then takes the same way.
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
        pool.stack_size(STACK).build().expect("a thread")
    });
    pool.install(|| {
        let project = Project::new([("app.py".to_owned(), bytes.to_vec())], Vec::new());
        let (checked, planned) = migrated(&project, model);
        let (findings, decisions) = (checked.findings.len(), checked.decisions.len());
        assert_eq!(findings, decisions, "a decision for each finding");
        assert!(project.defects().is_empty(), "{:?}", project.defects());
        let [file] = checked.changeset.files() else {
            return;
        };
        let after = project.with(&HashMap::from([(FileId(0), file.after.clone())]));
        let unparsed = after.source(FileId(0)).unparsed().is_some();
        assert!(!unparsed, "what is rewritten parses");
        let source = project.source(FileId(0));
        if source
            .rewritten(&planned)
            .is_ok_and(|text| text == file.after)
        {
            let same = Outside {
                edits: &planned,
                after: Starts::of(after.source(FileId(0)).module()).0,
            };
            same.hold(source.module());
        }
        let (again, _) = migrated(&after, model);
        let nothing = again.changeset.files().is_empty();
        assert!(nothing, "rewriting again changes nothing");
    });
}

/// What passed all checks, and what was planned at first.
fn migrated(project: &Project, model: &Model) -> (Checked, EditSet) {
    let order = Order::default();
    let traced = trace(project, model);
    let plan = plan(project, model, &traced, &order);
    let planned = plan.changes.get(&FileId(0)).cloned().unwrap_or_default();
    (check(project, model, traced, plan, &order, None), planned)
}

/// Statements by where they start.
#[derive(Default)]
struct Starts<'a>(HashMap<usize, Vec<&'a Stmt>>);

impl<'a> Starts<'a> {
    fn of(module: &'a ModModule) -> Starts<'a> {
        let mut starts = Starts::default();
        walk_body(&mut starts, &module.body);
        starts
    }
}

impl<'a> Visitor<'a> for Starts<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.0.entry(span(stmt).start).or_default().push(stmt);
        walk_stmt(self, stmt);
    }
}

/// Statements that no edit touches are there after it.
struct Outside<'a> {
    edits: &'a EditSet,
    after: HashMap<usize, Vec<&'a Stmt>>,
}

impl<'a> Outside<'a> {
    fn hold(mut self, module: &'a ModModule) {
        walk_body(&mut self, &module.body);
    }
}

impl<'a> Visitor<'a> for Outside<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let at = span(stmt);
        let edits = self.edits.edits();
        // What is put in at its end may belong to it.
        if edits
            .iter()
            .any(|edit| edit.span.start <= at.end && at.start <= edit.span.end)
        {
            walk_stmt(self, stmt);
            return;
        }
        let before = edits.iter().filter(|edit| edit.span.end <= at.start);
        let start = before.fold(at.start, |start, edit| {
            start + edit.text.len() - (edit.span.end - edit.span.start)
        });
        let there = self.after.get(&start).into_iter().flatten();
        let mut same = there.map(|other| ComparableStmt::from(*other));
        let wanted = ComparableStmt::from(stmt);
        assert!(
            same.any(|other| other == wanted),
            "what no edit touches stays: {at:?}"
        );
    }
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
