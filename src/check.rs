//! Proof that a change does what was promised, before anybody can write it.
//!
//! Invariant: a [`Changeset`] is built only here, and only from changes that parse, encode, remove exactly the loads
//! they were made for, add none that is not safe in itself, and change nothing when made again.

mod ignore;
mod parts;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use memchr::memmem;

use crate::defect::{blamed, caught, strike};
use crate::pack::Model;
use crate::plan::{Changes, DUAL_READ, Decision, Note, Order, Plan, Reason, plan};
use crate::project::{FileId, Project};
use crate::python::{SourceFile, is_notebook};
use crate::trace::{Finding, Form, Place, Traced, again, enclosing, is_settled, trace};

pub use ignore::ignored;

pub use parts::{Part, parts};

/// One file's old and new bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Path relative to the project.
    pub path: String,
    /// Bytes before.
    pub before: Vec<u8>,
    /// Bytes after.
    pub after: Vec<u8>,
    /// There was none before.
    pub new: bool,
}

/// `changeset` with the new Python file `path`; none when it does not parse, or another file has its name.
pub fn with_file(mut changeset: Changeset, path: &str, text: &str) -> Option<Changeset> {
    let source = SourceFile::read(path, text.as_bytes());
    let taken = changeset.files.iter().any(|file| file.path == path);
    if path.is_empty() || taken || source.unparsed().is_some() {
        return None;
    }
    changeset.files.push(ChangedFile {
        path: path.to_owned(),
        before: Vec::new(),
        after: text.as_bytes().to_vec(),
        new: true,
    });
    changeset.files.sort_by(|a, b| a.path.cmp(&b.path));
    Some(changeset)
}

/// A finding that the change settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// See [`Finding::fingerprint`].
    pub fingerprint: String,
    /// Id of the transform.
    pub transform: String,
    /// Qualified name of the sink.
    pub sink: String,
    /// Path of the file, relative to the project.
    pub file: String,
    /// 1-based line of the load, before the change.
    pub line: usize,
    /// Who else writes what it reads, and what becomes of them.
    pub notes: Vec<String>,
}

/// A change that passed every check. There is no other way to make one than [`check`].
#[derive(Debug, Clone, Default)]
pub struct Changeset {
    base: Option<String>,
    files: Vec<ChangedFile>,
    findings: Vec<Finished>,
}

impl Changeset {
    /// The commit it was made for, in hex; absent for a work tree.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Changed files in the order of their paths.
    pub fn files(&self) -> &[ChangedFile] {
        &self.files
    }

    /// Findings that it settles.
    pub fn findings(&self) -> &[Finished] {
        &self.findings
    }

    /// A changeset that passed no check, to test what comes after.
    #[cfg(test)]
    pub(crate) fn for_tests(
        base: Option<String>,
        files: Vec<ChangedFile>,
        findings: Vec<Finished>,
    ) -> Changeset {
        Changeset {
            base,
            files,
            findings,
        }
    }
}

/// Findings with their final decisions, and the change.
#[derive(Debug, Default)]
pub struct Checked {
    /// Every load of the project.
    pub findings: Vec<Finding>,
    /// Parallel to `findings`.
    pub decisions: Vec<Decision>,
    /// Ids of the transforms that decided, parallel to `findings`.
    pub by: Vec<String>,
    /// Parallel to `findings`: what else is to be said of them.
    pub notes: Vec<Vec<Note>>,
    /// Parallel to `findings`: equal for those that move together or not at all.
    pub together: Vec<usize>,
    /// What may be written.
    pub changeset: Changeset,
    /// What is suggested besides, each file as the changeset leaves it and as the suggestions would; it may not be written.
    pub suggestions: Vec<ChangedFile>,
    /// Comments that say `depickle: ignore` and leave no load alone.
    pub unused: Vec<Place>,
    /// Whether the analysis met its bound on work.
    pub exhausted: bool,
}

/// Checks `plan` for `project`; takes back what fails, with [`Reason::CheckFailed`], until the rest passes.
pub fn check(
    project: &Project,
    model: &Model,
    traced: Traced,
    mut now: Plan,
    order: &Order,
    base: Option<String>,
) -> Checked {
    let mut order = order.clone();
    let (files, suggestions) = loop {
        let written = verify(project, model, &traced, &now, &order);
        let both = written.and_then(|files| match now.suggested.is_empty() {
            true => Ok((files, Vec::new())),
            false => {
                let all = everything(&now);
                let order = Order {
                    suggestions: true,
                    ..order.clone()
                };
                let suggested = verify(project, model, &traced, &all, &order)?;
                let suggestions = besides(suggested, &files);
                Ok((files, suggestions))
            }
        });
        match both {
            Ok(both) => break both,
            Err(failed) => {
                for (finding, reason) in failed {
                    order.taken_back.insert(finding.fingerprint.clone(), reason);
                }
                now = plan(project, model, &traced, &order);
            }
        }
    };
    let finished = parts::settled(project, &traced, &now);
    let findings = traced.findings;
    Checked {
        changeset: Changeset {
            base,
            files,
            findings: finished,
        },
        suggestions,
        findings,
        decisions: now.decisions,
        by: now.by,
        notes: now.notes,
        together: now.together,
        unused: now.unused,
        exhausted: traced.exhausted,
    }
}

/// `plan` as if its suggestions were rewrites.
fn everything(plan: &Plan) -> Plan {
    let decisions = plan.decisions.iter().map(|decision| match decision {
        Decision::Suggest(changes, _) => Decision::Rewrite(changes.clone()),
        other => other.clone(),
    });
    Plan {
        decisions: decisions.collect(),
        by: plan.by.clone(),
        notes: plan.notes.clone(),
        together: plan.together.clone(),
        unused: plan.unused.clone(),
        changes: plan.suggested.clone(),
        suggested: crate::plan::Changes::new(),
    }
}

/// What `all` changes besides `written`.
fn besides(all: Vec<ChangedFile>, written: &[ChangedFile]) -> Vec<ChangedFile> {
    let after = |file: ChangedFile| {
        let before = written.iter().find(|w| w.path == file.path);
        ChangedFile {
            before: before.map_or(file.before, |w| w.after.clone()),
            ..file
        }
    };
    let files = all.into_iter().map(after);
    files.filter(|file| file.before != file.after).collect()
}

fn finished(project: &Project, finding: &Finding, by: &str, notes: &[Note]) -> Finished {
    let file = finding.place.file;
    let said = notes.iter().map(|note| match note.at {
        Some(at) => {
            let line = project.source(at.file).position(at.span.start).line;
            format!("{}:{line} {}", project.path(at.file), note.text)
        }
        None => note.text.clone(),
    });
    Finished {
        fingerprint: finding.fingerprint.clone(),
        transform: by.to_owned(),
        sink: finding.name.clone(),
        file: project.path(file).to_owned(),
        line: project.source(file).position(finding.place.span.start).line,
        notes: said.collect(),
    }
}

/// The changed files of `plan`, or the findings whose changes fail, never none: when the check panics, or fails where no change
/// is, those with which it does so without the others.
fn verify<'f>(
    project: &Project,
    model: &Model,
    traced: &'f Traced,
    plan: &Plan,
    order: &Order,
) -> Result<Vec<ChangedFile>, Vec<(&'f Finding, Reason)>> {
    let held = |plan: &Plan, order: &Order| {
        caught(|| {
            plan.changes
                .keys()
                .for_each(|file| strike("check", project.path(*file)));
            held(project, model, traced, plan, order)
        })
    };
    let said = match held(plan, order) {
        Ok(Err(nobody)) if nobody.is_empty() => None,
        Ok(done) => return done,
        Err(said) => Some(said),
    };
    let rows = traced.findings.iter().zip(&plan.decisions);
    let mut groups: BTreeMap<usize, Vec<(&Finding, &Changes)>> = BTreeMap::new();
    for ((finding, decision), group) in rows.zip(&plan.together) {
        if let Decision::Rewrite(changes) = decision {
            groups.entry(*group).or_default().push((finding, changes));
        }
    }
    let groups: Vec<_> = groups.into_values().collect();
    let failed = blamed(0..groups.len(), |some| {
        let others = groups.iter().enumerate().filter(|(n, _)| !some.contains(n));
        let others = others.flat_map(|(_, group)| group.iter().map(|(finding, _)| *finding));
        let order = order.without(others);
        let tried = held(&self::plan(project, model, traced, &order), &order);
        !matches!(tried, Ok(Ok(_)))
    });
    let failed = failed.into_iter().filter_map(|n| groups.get(n)).flatten();
    Err(failed
        .map(|(finding, changes)| match &said {
            Some(said) => {
                let files = changes.keys();
                files.for_each(|file| project.failed(*file, said.clone()));
                (*finding, Reason::AnalysisFailed)
            }
            None => (*finding, Reason::CheckFailed),
        })
        .collect())
}

/// The changed files of `plan`, or the findings whose changes fail; none where that is not seen.
fn held<'f>(
    project: &Project,
    model: &Model,
    traced: &'f Traced,
    plan: &Plan,
    order: &Order,
) -> Result<Vec<ChangedFile>, Vec<(&'f Finding, Reason)>> {
    let findings = &traced.findings;
    let rewritten: Vec<(&Finding, &crate::plan::Changes)> = findings
        .iter()
        .zip(&plan.decisions)
        .filter_map(|(finding, decision)| match decision {
            Decision::Rewrite(changes) => Some((finding, changes)),
            _ => None,
        })
        .collect();
    if rewritten.is_empty() {
        return Ok(Vec::new());
    }
    let touching = |file: FileId, reason: Reason| -> Vec<(&'f Finding, Reason)> {
        let touches = rewritten
            .iter()
            .filter(|(_, changes)| changes.contains_key(&file));
        touches.map(|(finding, _)| (*finding, reason)).collect()
    };
    let mut changes = HashMap::new();
    for (file, edits) in &plan.changes {
        let source = project.source(*file);
        match source.rewritten(edits) {
            Ok(bytes) => changes.insert(*file, bytes),
            Err(_) if is_notebook(source.path()) => {
                return Err(touching(*file, Reason::LineMagic));
            }
            Err(_) => return Err(touching(*file, Reason::NotEncodable)),
        };
    }
    let after = project.with(&changes);
    let mut broken = plan
        .changes
        .keys()
        .filter(|file| after.source(**file).unparsed().is_some());
    if let Some(file) = broken.next() {
        return Err(touching(*file, Reason::CheckFailed));
    }
    let again = again(&after, model, traced, changes.keys().copied());
    let gone: Vec<&Finding> = rewritten.iter().map(|(finding, _)| *finding).collect();
    // What only the flow of values shows to be a load may be beyond a bound now that was within it before.
    let partly = again.exhausted;
    let by_flow = findings
        .iter()
        .filter(|finding| finding.form == Form::Indirect);
    let by_flow = count(project, by_flow, &[]);
    let expected = count(project, findings.iter(), &gone);
    let found = count(&after, again.findings.iter(), &[]);
    // A call made safe by its arguments or its class is new, and nothing is owed for it.
    let settled = again.findings.iter().filter(|finding| is_settled(finding));
    let settled = count(&after, settled, &[]);
    let number = |count: &BTreeMap<Key, usize>, key: &Key| count.get(key).copied().unwrap_or(0);
    let differs = |key: &&Key| {
        let (before, now) = (number(&expected, key), number(&found, key));
        let missing = now < before && !(partly && by_flow.contains_key(key));
        missing || now > before + number(&settled, key)
    };
    let blamed = |file: FileId, reason: Reason| {
        let touching = touching(file, reason);
        match touching.is_empty() {
            true => gone.iter().map(|finding| (*finding, reason)).collect(),
            false => touching,
        }
    };
    if let Some((file, ..)) = expected.keys().chain(found.keys()).find(differs) {
        return Err(touching(*file, Reason::CheckFailed));
    }
    let second = crate::plan::plan(
        &after,
        model,
        &again,
        &still_skipping(order, findings, &again.findings),
    );
    if let Some(file) = second.changes.keys().next() {
        return Err(touching(*file, Reason::CheckFailed));
    }
    let mut defects = after.defects().into_iter();
    let known = project.defects();
    if let Some((file, said)) = defects.find(|(file, _)| !known.contains_key(file)) {
        project.failed(file, said);
        return Err(blamed(file, Reason::AnalysisFailed));
    }
    if order.dual_read {
        let plain = Order {
            dual_read: false,
            ..order.clone()
        };
        let plain = with_changes(
            project,
            &crate::plan::plan(project, model, traced, &plain).changes,
        );
        let closed = closed(&after, model, &again, order);
        let plain = match plain.ids().any(|id| has_a_window(&plain, id)) {
            // One that was there before goes as well.
            true => self::closed(&plain, model, &trace(&plain, model), order),
            false => plain,
        };
        let differs = |id: &FileId| plain.bytes(*id) != closed.bytes(*id);
        if let Some(file) = project.ids().find(differs) {
            return Err(blamed(file, Reason::DualReadLeavesTraces));
        }
    }
    let mut files: Vec<ChangedFile> = changes
        .into_iter()
        .map(|(file, after)| ChangedFile {
            path: project.path(file).to_owned(),
            before: project.stored(file).to_vec(),
            after,
            new: false,
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// `order` for what `now` is left of the loads `before`: of several equal ones in a function another may have been skipped.
fn still_skipping<'o>(order: &'o Order, before: &[Finding], now: &[Finding]) -> Cow<'o, Order> {
    if order.skipped.is_empty() {
        return Cow::Borrowed(order);
    }
    let skipped = |finding: &&Finding| order.skipped.contains(&finding.fingerprint);
    let alike: HashSet<&str> = before
        .iter()
        .filter(skipped)
        .map(|f| f.alike.as_str())
        .collect();
    let mut order = order.clone();
    let same = now
        .iter()
        .filter(|finding| alike.contains(finding.alike.as_str()));
    order
        .skipped
        .extend(same.map(|finding| finding.fingerprint.clone()));
    Cow::Owned(order)
}

fn has_a_window(project: &Project, file: FileId) -> bool {
    memmem::find(project.bytes(file), DUAL_READ.as_bytes()).is_some()
}

/// `project` without the windows of `--dual-read`.
fn closed(project: &Project, model: &Model, traced: &Traced, order: &Order) -> Project {
    let order = Order {
        dual_read: false,
        finish_dual_read: true,
        taken_back: HashMap::new(),
        ..order.clone()
    };
    with_changes(project, &plan(project, model, traced, &order).changes)
}

/// `project` as `changes` leave it; a file that cannot hold them stays.
fn with_changes(project: &Project, changes: &Changes) -> Project {
    let bytes = changes.iter().filter_map(|(file, edits)| {
        let source = project.source(*file);
        Some((*file, source.rewritten(edits).ok()?))
    });
    project.with(&bytes.collect())
}

/// What makes two loads the same before and after a change elsewhere: file, function, text.
type Key = (FileId, String, String);

fn count<'f>(
    project: &Project,
    findings: impl Iterator<Item = &'f Finding>,
    without: &[&Finding],
) -> BTreeMap<Key, usize> {
    let mut count = BTreeMap::new();
    let without: HashSet<&str> = without.iter().map(|gone| &*gone.fingerprint).collect();
    for finding in findings {
        if without.contains(&*finding.fingerprint) {
            continue;
        }
        let file = finding.place.file;
        let text = project.source(file).slice(finding.place.span).to_owned();
        let key = (file, enclosing(project, file, finding.place.span), text);
        *count.entry(key).or_insert(0) += 1;
    }
    count
}
