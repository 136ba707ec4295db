//! A [`Run`] to bytes: one file per format, each a function of the run alone, so that formats cannot disagree.
//!
//! Invariant: nothing from a scanned repository reaches a terminal raw; see [`crate::text::printable`].

mod diff;
mod json;
mod markdown;
mod text;
mod verified;

use serde::Serialize;

use crate::check::{ChangedFile, Checked};
use crate::pack::{Model, Trust};
use crate::plan::{Decision, Note, OtherCaller, other_callers};
use crate::project::Project;
use crate::trace::{Finding, Form, Place, enclosing, is_settled};

pub use diff::{diff, unified};
pub use json::json;
pub use markdown::markdown;
pub use text::{Look, text};
pub use verified::{NewLoad, Verified, VerifiedFinding, VerifiedRow};

/// The outcome of many projects under one id. Its serde form is the JSON format.
#[derive(Debug, Serialize)]
pub struct Run {
    /// `depickle/1`.
    pub schema: &'static str,
    /// Id of the run: UTC time and a digest of its input.
    pub run: String,
    /// Which program made it.
    pub tool: Tool,
    /// One row for each project that was asked for, failed ones too.
    pub projects: Vec<ProjectRow>,
    /// Levels that count towards the exit code.
    #[serde(skip)]
    pub trust: Vec<Trust>,
    /// Test code and examples count too.
    #[serde(skip)]
    pub tests: bool,
}

/// Name and version of this program.
#[derive(Debug, Serialize)]
pub struct Tool {
    /// `depickle`.
    pub name: &'static str,
    /// Cargo's version.
    pub version: &'static str,
}

/// One project of a run.
#[derive(Debug, Default, Serialize)]
pub struct ProjectRow {
    /// Its path, as it was asked for.
    pub root: String,
    /// The commit that was read; absent for a work tree.
    pub commit: Option<String>,
    /// `ok`, `incomplete` or `failed`.
    pub status: &'static str,
    /// What happened and what to do next, for `failed`.
    pub error: Option<String>,
    /// What became of each file.
    pub files: Files,
    /// Every load.
    pub findings: Vec<FindingRow>,
    /// The branch that was staged.
    pub branch: Option<String>,
    /// The patch, in `git apply` form.
    pub patch: Option<String>,
    /// What is suggested besides, in the same form, to be applied after `patch`. It is not staged unless it is asked for.
    pub suggestions: Option<String>,
    /// Things a person should know: files `stage` did not see, bounds that were met.
    pub notes: Vec<String>,
    /// What could not be read is in the baseline that it was held against: no reason for exit code 3.
    pub known: bool,
    /// The analysis met its bound on work.
    #[serde(skip)]
    pub exhausted: bool,
    /// The changed files, for formats that draw the patch themselves.
    #[serde(skip)]
    pub changes: Vec<ChangedFile>,
}

/// What became of the Python files of a project.
#[derive(Debug, Default, Serialize)]
pub struct Files {
    /// Python files seen, skipped ones too.
    pub seen: usize,
    /// Read and understood; those that name no sink by a search of their bytes.
    pub analysed: usize,
    /// Not read as Python 3.
    pub unparsed: Vec<UnparsedRow>,
    /// Not read at all.
    pub skipped: Vec<SkippedRow>,
}

/// A file that does not parse.
#[derive(Debug, Serialize)]
pub struct UnparsedRow {
    /// Path relative to the project.
    pub file: String,
    /// Code.
    pub reason: String,
    /// In words, with the line.
    pub message: String,
}

/// A file that was not read.
#[derive(Debug, Serialize)]
pub struct SkippedRow {
    /// Path relative to the project.
    pub file: String,
    /// Code.
    pub reason: String,
}

/// One load.
#[derive(Debug, Serialize)]
pub struct FindingRow {
    /// Survives unrelated line moves.
    pub fingerprint: String,
    /// See [`Finding::alike`].
    #[serde(skip)]
    pub alike: String,
    /// Id of the transform.
    pub transform: String,
    /// Qualified name of the sink.
    pub sink: String,
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// 1-based.
    pub end_line: usize,
    /// 1-based, after the last character.
    pub end_column: usize,
    /// See [`Trust`].
    pub trust: &'static str,
    /// See [`Decision::word`].
    pub status: &'static str,
    /// Code of the [`crate::plan::Reason`].
    pub reason: Option<&'static str>,
    /// In words.
    pub message: String,
    /// From the source to the sink; empty when nothing untrusted arrives.
    pub path: Vec<HopRow>,
    /// What to do next.
    pub next: Option<&'static str>,
    /// What else is to be said.
    pub notes: Vec<NoteRow>,
    /// In test code, an example or documentation: not counted unless asked for.
    pub test: bool,
    /// In the baseline that it was held against: not counted.
    pub known: bool,
    /// The handlers it is reached from.
    pub entries: Vec<EntryRow>,
    /// Ways that untrusted data comes besides `path`.
    pub other_paths: usize,
    /// Code that no framework calls, and that calls down to this load.
    pub callers: Vec<CallerRow>,
}

/// A call that leads to a load from code that no framework calls.
#[derive(Debug, Serialize)]
pub struct CallerRow {
    /// Dotted name of the function that calls; empty at module level.
    pub function: String,
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// What it would see that it did not see before, and does not catch.
    pub new_errors: Vec<String>,
}

/// A handler from which a load is reached.
#[derive(Debug, Serialize)]
pub struct EntryRow {
    /// Dotted name of the function.
    pub handler: String,
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// Its route, where that is a literal.
    pub route: Option<String>,
    /// HTTP methods it answers, where they are known.
    pub methods: Vec<String>,
    /// The decorator that lets only known users through. It never makes data harmless.
    pub auth: Option<String>,
}

impl EntryRow {
    /// `POST /cart, behind login_required`; empty when nothing of it is known.
    pub fn describe(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        if !self.methods.is_empty() {
            words.push(self.methods.join("/"));
        }
        words.extend(self.route.clone());
        let mut text = words.join(" ");
        if let Some(auth) = &self.auth {
            text.push_str(if text.is_empty() {
                "behind "
            } else {
                ", behind "
            });
            text.push_str(auth);
        }
        text
    }
}

/// Something to say of a finding beside its decision.
#[derive(Debug, Serialize)]
pub struct NoteRow {
    /// What it is about: `writer-moves`, `writer-elsewhere`, or a reason's code.
    pub code: &'static str,
    /// In words.
    pub message: String,
    /// Where to look, relative to the project.
    pub file: Option<String>,
    /// 1-based.
    pub line: Option<usize>,
}

/// One station of a path.
#[derive(Debug, Serialize)]
pub struct HopRow {
    /// Path relative to the project.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// `source`, `step`, `call`, `return` or `sink`.
    pub kind: &'static str,
    /// In words.
    pub note: String,
}

impl Run {
    /// An empty run.
    pub fn new(id: String, trust: Vec<Trust>) -> Run {
        Run {
            schema: "depickle/1",
            run: id,
            tool: Tool {
                name: "depickle",
                version: env!("CARGO_PKG_VERSION"),
            },
            projects: Vec::new(),
            trust,
            tests: false,
        }
    }

    /// Whether a finding counts towards the exit code: open, of a level that was asked for, and in no baseline.
    pub fn counts(&self, finding: &FindingRow) -> bool {
        !finding.known && self.concerns(finding)
    }

    /// Whether a finding would count without a baseline.
    pub fn concerns(&self, finding: &FindingRow) -> bool {
        finding.is_open()
            && (self.tests || !finding.test)
            && self.trust.iter().any(|trust| trust.word() == finding.trust)
    }
}

impl FindingRow {
    /// Whether something is owed for it.
    pub fn is_open(&self) -> bool {
        matches!(self.status, "rewrite" | "suggest" | "refuse")
    }
}

impl ProjectRow {
    /// A project that could not be read.
    pub fn failed(root: &str, error: String) -> ProjectRow {
        ProjectRow {
            root: root.to_owned(),
            status: "failed",
            error: Some(error),
            ..ProjectRow::default()
        }
    }

    /// The row of a project that was read; `prefix` is its path inside the repository.
    pub fn of(
        root: &str,
        prefix: &str,
        project: &Project,
        model: &Model,
        checked: Checked,
    ) -> ProjectRow {
        let files = files(project);
        let incomplete =
            !files.unparsed.is_empty() || !files.skipped.is_empty() || checked.exhausted;
        let decided = checked.decisions.iter().zip(&checked.by);
        let rows = checked.findings.iter().zip(decided).zip(&checked.notes);
        let findings = rows
            .map(|((f, (d, by)), notes)| finding_row(project, model, f, d, by, notes))
            .collect();
        let mut notes = Vec::new();
        if checked.exhausted {
            notes.push("the analysis met its bound on work; loads it did not get to are listed as not-reached".to_owned());
        }
        for place in &checked.unused {
            let source = project.source(place.file);
            notes.push(format!(
                "{}:{} `{}` leaves no load alone; take it out, or correct its id",
                source.path(),
                source.position(place.span.start).line,
                source.slice(place.span)
            ));
        }
        let in_repository = |file: &ChangedFile| ChangedFile {
            path: format!("{prefix}{}", file.path),
            ..file.clone()
        };
        let changes: Vec<ChangedFile> = checked
            .changeset
            .files()
            .iter()
            .map(in_repository)
            .collect();
        let suggested: Vec<ChangedFile> = checked.suggestions.iter().map(in_repository).collect();
        ProjectRow {
            root: root.to_owned(),
            commit: checked.changeset.base().map(str::to_owned),
            status: if incomplete { "incomplete" } else { "ok" },
            error: None,
            files,
            findings,
            branch: None,
            patch: patch(&changes),
            suggestions: patch(&suggested),
            notes,
            known: false,
            exhausted: checked.exhausted,
            changes,
        }
    }
}

/// The patch of all `files`, if there are any.
fn patch(files: &[ChangedFile]) -> Option<String> {
    let patch: Vec<u8> = files.iter().flat_map(unified).collect();
    (!patch.is_empty()).then(|| String::from_utf8_lossy(&patch).into_owned())
}

fn files(project: &Project) -> Files {
    let mut unparsed = Vec::new();
    let mut seen = project.skipped().len();
    for id in project.ids() {
        seen += 1;
        if !project.is_parsed(id) {
            continue;
        }
        if let Some(why) = project.source(id).unparsed() {
            unparsed.push(UnparsedRow {
                file: project.path(id).to_owned(),
                reason: why.code().to_owned(),
                message: why.message(),
            });
        }
    }
    let skipped: Vec<SkippedRow> = project
        .skipped()
        .iter()
        .map(|skipped| SkippedRow {
            file: skipped.file.clone(),
            reason: skipped.reason.clone(),
        })
        .collect();
    Files {
        seen,
        analysed: seen - unparsed.len() - skipped.len(),
        unparsed,
        skipped,
    }
}

fn finding_row(
    project: &Project,
    model: &Model,
    finding: &Finding,
    decision: &Decision,
    by: &str,
    notes: &[Note],
) -> FindingRow {
    let source = project.source(finding.place.file);
    let start = source.position(finding.place.span.start);
    let end = source.position(finding.place.span.end);
    let rewrite = model.transforms.iter().find(|t| t.id == by);
    let rewrite = rewrite.and_then(|t| t.rewrite.as_ref());
    let setting = model.sink_row(finding.sink);
    let setting = setting.and_then(|(_, sink)| sink.setting.as_ref());
    let result = rewrite.map_or("another", |rewrite| rewrite.result.as_str());
    let result = setting.map_or(result, |setting| match setting.becomes.as_str() {
        "" => setting.name.as_deref().unwrap_or(result),
        becomes => becomes,
    });
    let hops = finding.path.iter().flat_map(|path| path.hops());
    let path = hops
        .filter(|hop| !hop.quiet)
        .map(|hop| hop_row(project, hop.place, hop.kind.word(), &hop.note))
        .collect();
    let reason = decision.reason();
    FindingRow {
        fingerprint: finding.fingerprint.clone(),
        alike: finding.alike.clone(),
        transform: by.to_owned(),
        sink: finding.name.clone(),
        file: source.path().to_owned(),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        trust: finding.trust.word(),
        status: decision.word(),
        reason: reason.map(|r| r.code()),
        message: message(finding, decision, result),
        path,
        next: reason.map(|r| r.next_step()),
        notes: notes.iter().map(|note| note_row(project, note)).collect(),
        test: finding.test,
        known: false,
        entries: entries(project, finding),
        other_paths: finding
            .routes
            .iter()
            .map(|route| route.paths.len())
            .sum::<usize>()
            .saturating_sub(1),
        callers: callers(project, model, finding),
    }
}

/// Who calls down to `finding` without being a handler.
fn callers(project: &Project, model: &Model, finding: &Finding) -> Vec<CallerRow> {
    let transform = model.sink_row(finding.sink).map(|(t, _)| t);
    let rewrite = transform.and_then(|t| t.rewrite.as_ref());
    let errors = rewrite.map_or(&[][..], |rewrite| &rewrite.catch);
    let row = |caller: OtherCaller| {
        let source = project.source(caller.place.file);
        CallerRow {
            function: enclosing(project, caller.place.file, caller.place.span),
            file: source.path().to_owned(),
            line: source.position(caller.place.span.start).line,
            new_errors: match caller.uncaught {
                true => errors.to_vec(),
                false => Vec::new(),
            },
        }
    };
    let callers = other_callers(project, model, finding);
    callers.into_iter().map(row).collect()
}

/// Handlers from which untrusted data reaches `finding`, each once.
fn entries(project: &Project, finding: &Finding) -> Vec<EntryRow> {
    let mut rows: Vec<EntryRow> = Vec::new();
    for route in finding
        .routes
        .iter()
        .filter(|route| !route.paths.is_empty())
    {
        let Some(handler) = &route.handler else {
            continue;
        };
        let def = handler.def;
        let source = project.source(def.file);
        let inside = crate::text::Span::new(def.start, def.start + 1);
        let row = EntryRow {
            handler: enclosing(project, def.file, inside),
            file: source.path().to_owned(),
            line: source.position(def.start).line,
            route: handler.route.clone(),
            methods: handler.verbs.clone(),
            auth: handler.auth.clone(),
        };
        let same = |other: &EntryRow| (&other.file, other.line) == (&row.file, row.line);
        if !rows.iter().any(same) {
            rows.push(row);
        }
    }
    rows
}

fn note_row(project: &Project, note: &Note) -> NoteRow {
    let source = note.at.map(|at| (project.source(at.file), at.span));
    NoteRow {
        code: note.code,
        message: note.text.clone(),
        file: source.map(|(source, _)| source.path().to_owned()),
        line: source.map(|(source, span)| source.position(span.start).line),
    }
}

fn hop_row(project: &Project, place: Place, kind: &'static str, note: &str) -> HopRow {
    let source = project.source(place.file);
    let at = source.position(place.span.start);
    HopRow {
        file: source.path().to_owned(),
        line: at.line,
        column: at.column,
        kind,
        note: note.to_owned(),
    }
}

/// One sentence: who reaches the load, and what becomes of it.
fn message(finding: &Finding, decision: &Decision, result: &str) -> String {
    let who = match (finding.trust, finding.path.is_some()) {
        (Trust::Http, _) => "any web client reaches",
        (Trust::Network, _) => "any network peer reaches",
        (Trust::Stored, _) => "whoever can write to the store reaches",
        (Trust::File, _) => "whoever can write the file or set the environment reaches",
        (Trust::Unknown, true) => "nothing in the project calls the function around",
        (Trust::Unknown, false) => "it is not known who reaches",
        (Trust::Trusted, _) => "no attacker reaches",
    };
    let name = match finding.form {
        Form::Setting => format!("what {} has unpickled", finding.name),
        _ => finding.name.clone(),
    };
    let sham = match finding.sham {
        Some("literal-key") => {
            "; the signature that is checked first has its key in the code, so anybody can sign"
        }
        Some("unverified") => "; the check before it may be turned off by its options",
        Some("key-of-the-client") => {
            "; the signature that is checked first is made with a key that the client sends"
        }
        Some("default-key") => {
            "; the signature that is checked first has a default key in the code: where no other is set, anybody can sign"
        }
        Some("compared-with-itself") => {
            "; the signature that is checked first is compared with itself"
        }
        Some("check-without-effect") => {
            "; its signature is checked, but the load does not depend on what comes out: it runs before, or all the same"
        }
        Some("check-of-other-data") => "; the signature that is checked beside it is of other data",
        Some("digest-without-key") => {
            "; the digest that is compared has no key, so anybody can make it"
        }
        Some("no-find-class") => {
            "; its Unpickler subclass has no find_class, so it refuses nothing"
        }
        Some("forwards-anything") => {
            "; the find_class of its Unpickler subclass forwards what is not on a list of allowed names"
        }
        Some("allows-too-much") => {
            "; the find_class of its Unpickler subclass allows names that run code"
        }
        _ => "",
    };
    match decision {
        // Nothing is owed for it: it is a window of `--dual-read`.
        Decision::Rewrite(_) if is_settled(finding) => {
            format!("{name} goes: what was pickled before is not read any more")
        }
        Decision::Rewrite(_) => {
            format!("{who} {name}{sham}; it becomes {result}")
        }
        Decision::Suppressed => format!("{who} {name}; suppressed in the code"),
        Decision::Suggest(_, reason)
        | Decision::Refuse(reason)
        | Decision::Guarded(reason)
        | Decision::Trusted(reason) => format!("{who} {name}{sham}: {}", reason.sentence()),
    }
}
