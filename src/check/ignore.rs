//! Comments for loads that are to stay as they are, in the place of rewrites: what `--add-ignore` writes.
//!
//! Invariant: nothing but whole lines of comments is added, and each was seen to do what it is for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{ChangedFile, Changeset, Checked};
use crate::pack::Model;
use crate::plan::{Decision, Ignore, Note, Order, line_above, plan};
use crate::project::{FileId, Project};
use crate::text::{Edit, EditSet};
use crate::trace::{Finding, Traced, again, trace};

/// The findings of `project` that count under `order`, with a comment above each instead of a rewrite.
pub fn ignored(
    project: &Project,
    model: &Model,
    order: &Order,
    asked: &Ignore,
    base: Option<String>,
) -> Checked {
    let traced = trace(project, model);
    let mut now = plan(project, model, &traced, order);
    let chosen = |finding: &Finding| {
        let named = |id: &String| finding.fingerprint.starts_with(id.as_str());
        asked.only.is_empty() || asked.only.iter().any(named)
    };
    let open = traced.findings.iter().zip(&now.decisions);
    let open = open.filter(|(finding, decision)| {
        use Decision::{Refuse, Rewrite, Suggest};
        matches!(decision, Rewrite(_) | Suggest(..) | Refuse(_))
            && order.trust.contains(&finding.trust)
            && (order.tests || !finding.test)
            && chosen(finding)
    });
    let asked_for: Vec<&Finding> = open.map(|(finding, _)| finding).collect();
    let mut wanted = asked_for.clone();
    // A line of a string, or after a backslash, has no room for a comment above it: its file then stays as it is.
    wanted.retain(|finding| {
        let source = project.source(finding.place.file);
        !source.in_string(line_above(source, finding.place.span))
    });
    let files = loop {
        let Some(after) = commented(project, model, &wanted, &asked.reason) else {
            break HashMap::new();
        };
        match failing((project, &traced), model, order, &wanted, &after) {
            None => break after,
            Some(file) => wanted.retain(|finding| finding.place.file != file),
        }
    };
    let done: BTreeSet<&str> = wanted.iter().map(|f| f.fingerprint.as_str()).collect();
    let every_id: BTreeSet<&str> = asked_for.iter().map(|f| f.fingerprint.as_str()).collect();
    let rows = now.decisions.iter_mut().zip(&mut now.notes);
    for (finding, (decision, notes)) in traced.findings.iter().zip(rows) {
        let id = finding.fingerprint.as_str();
        if done.contains(id) {
            *decision = Decision::Suppressed;
        } else if every_id.contains(id) {
            notes.push(Note {
                code: "no-room",
                text: "no comment can be put above it; write one at the end of its line".to_owned(),
                at: None,
            });
        }
    }
    let changed = files.into_iter().map(|(file, after)| ChangedFile {
        path: project.path(file).to_owned(),
        before: project.stored(file).to_vec(),
        after,
        new: false,
    });
    let mut files: Vec<ChangedFile> = changed.collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Checked {
        changeset: Changeset {
            base,
            files,
            findings: Vec::new(),
        },
        suggestions: Vec::new(),
        decisions: now.decisions,
        by: now.by,
        notes: now.notes,
        together: now.together,
        unused: now.unused,
        exhausted: traced.exhausted,
        findings: traced.findings,
    }
}

/// The files of `wanted` with their comments; nothing when there is none. What cannot be encoded stays as it is.
fn commented(
    project: &Project,
    model: &Model,
    wanted: &[&Finding],
    reason: &str,
) -> Option<HashMap<FileId, Vec<u8>>> {
    let mut lines: BTreeMap<(FileId, usize), BTreeSet<&str>> = BTreeMap::new();
    for finding in wanted {
        let file = finding.place.file;
        let at = line_above(project.source(file), finding.place.span);
        let (transform, _) = model.sink_row(finding.sink)?;
        lines.entry((file, at)).or_default().insert(&transform.id);
    }
    let mut edits: HashMap<FileId, Vec<Edit>> = HashMap::new();
    for ((file, at), ids) in lines {
        let source = project.source(file);
        let text = source.text().get(at..).unwrap_or_default();
        let code = text.trim_start_matches([' ', '\t', '\u{c}', '\u{feff}']);
        let margin = text.get(..text.len() - code.len()).unwrap_or_default();
        let ids: Vec<&str> = ids.into_iter().collect();
        let end = source.style().newline;
        let margin = margin.trim_start_matches('\u{feff}');
        let line = format!(
            "{margin}# depickle: ignore[{}] {reason}{end}",
            ids.join(", ")
        );
        let mark = usize::from(text.starts_with('\u{feff}')) * '\u{feff}'.len_utf8();
        edits
            .entry(file)
            .or_default()
            .push(Edit::insert(at + mark, 0, line));
    }
    let bytes = edits.into_iter().map(|(file, edits)| {
        let source = project.source(file);
        let written = EditSet::new(edits).ok();
        let written = written.and_then(|edits| source.rewritten(&edits).ok());
        (
            file,
            written.unwrap_or_else(|| project.stored(file).to_vec()),
        )
    });
    let files: HashMap<FileId, Vec<u8>> = bytes.collect();
    (!files.is_empty()).then_some(files)
}

/// A file in which the comments of `after` do not do what they are for, or anything else.
fn failing(
    (project, traced): (&Project, &Traced),
    model: &Model,
    order: &Order,
    wanted: &[&Finding],
    after: &HashMap<FileId, Vec<u8>>,
) -> Option<FileId> {
    let changed = project.with(after);
    let again = again(&changed, model, traced, after.keys().copied());
    let decided = plan(&changed, model, &again, order).decisions;
    let rows = again.findings.iter().zip(&decided);
    let suppressed = rows.filter(|(_, decision)| **decision == Decision::Suppressed);
    let suppressed: BTreeSet<&str> = suppressed.map(|(f, _)| f.fingerprint.as_str()).collect();
    let left = wanted
        .iter()
        .find(|f| !suppressed.contains(f.fingerprint.as_str()));
    left.map(|finding| finding.place.file).or_else(|| {
        let mut files = after.keys().copied();
        files.find(|file| changed.source(*file).unparsed().is_some())
    })
}
