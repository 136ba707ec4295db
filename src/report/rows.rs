//! What the pipeline gave, as rows: places become lines and columns, reasons become words.

use super::{
    CallerRow, CellRow, EntryRow, Files, FindingRow, HopRow, NoteRow, ProjectRow, SkippedRow,
    UnparsedRow, unified,
};
use crate::check::{ChangedFile, Checked};
use crate::pack::{Model, Trust};
use crate::plan::{Decision, Note, OtherCaller, Reason, other_callers};
use crate::project::Project;
use crate::python::SourceFile;
use crate::text::Span;
use crate::trace::{Finding, Form, Place, enclosing, is_settled};

/// Lines longer than this, in bytes, are not shown.
const LONGEST_LINE: usize = 300;

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
        // A defect is told with its file.
        if checked.exhausted && project.defects().is_empty() {
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
            prefix: prefix.to_owned(),
            changes,
        }
    }
}

impl ProjectRow {
    /// Takes `files` into the change.
    pub fn add(&mut self, files: Vec<ChangedFile>) {
        self.changes.extend(files);
        self.changes.sort_by(|a, b| a.path.cmp(&b.path));
        self.patch = patch(&self.changes);
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
    let defects = project.defects();
    for id in project.ids() {
        seen += 1;
        if let Some(said) = defects.get(&id) {
            unparsed.push(UnparsedRow {
                file: project.path(id).to_owned(),
                reason: Reason::AnalysisFailed.code().to_owned(),
                message: format!(
                    "depickle failed on it ({said}); please report this. What it may lead to is left as it is"
                ),
            });
            continue;
        }
        if !project.is_parsed(id) && !project.is_no_notebook(id) {
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
        excluded: 0,
        stubs: 0,
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
    let cell = cell_row(source, finding.place.span);
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
        cell,
        code: line_at(source, finding.place.span.start),
        trust: finding.trust.word(),
        status: decision.word(),
        reason: reason.map(|r| r.code()),
        message: message(finding, decision, result) + &CellRow::words(cell),
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
    let cell = cell_row(source, place.span);
    HopRow {
        file: source.path().to_owned(),
        line: at.line,
        column: at.column,
        cell,
        kind,
        note: format!("{note}{}", CellRow::words(cell)),
        code: line_at(source, place.span.start),
    }
}

/// Where `span` is in a cell of a notebook.
fn cell_row(source: &SourceFile, span: Span) -> Option<CellRow> {
    let (number, start) = source.cell(span.start)?;
    let (_, end) = source.cell(span.end)?;
    Some(CellRow {
        number,
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
    })
}

/// The line of code around `offset`, without its end; empty when nobody could read it.
fn line_at(source: &SourceFile, offset: usize) -> String {
    let (before, after) = source.text().split_at(offset);
    let ends = ['\n', '\r'];
    let start = before.rfind(ends).map_or(0, |at| at + 1);
    let end = offset + after.find(ends).unwrap_or(after.len());
    match end - start {
        0..=LONGEST_LINE => source.text()[start..end].to_owned(),
        _ => String::new(),
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
