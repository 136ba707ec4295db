//! Writing what a window needs above the first load that reads through it.

use std::collections::{BTreeSet, HashMap};

use super::{MARK, Names};
use crate::pack::{DualRead, Model};
use crate::plan::choice::{above, dressed};
use crate::plan::imports::{Known, imports};
use crate::plan::log::logger;
use crate::plan::names::{Need, fill};
use crate::project::{FileId, Project};
use crate::python::ast::Stmt;
use crate::python::{SourceFile, span};
use crate::text::{Edit, EditSet, Span};

/// `edits` of the file `id`, whose text then uses `names`, with the parts of `dual` that this needs; nothing if they
/// cannot be said there.
pub(in crate::plan) fn opened(
    project: &Project,
    model: &Model,
    id: FileId,
    edits: &EditSet,
    (dual, names): (&DualRead, &Names),
    known: &Known,
) -> Option<EditSet> {
    let source = project.source(id);
    let Ok(bytes) = source.rewritten(edits) else {
        // Said by the checks.
        return Some(edits.clone());
    };
    let between = project.with(&HashMap::from([(id, bytes)]));
    let file = between.source(id);
    if file.unparsed().is_some() {
        return Some(edits.clone());
    }
    let Some((first, wanted)) = wanted(file, dual, names) else {
        return Some(edits.clone());
    };
    let (text, at, needs, kept) = written(file, model, first, &wanted, (dual, names))?;
    let kept = kept.iter().map(String::as_str).collect();
    let mut more = imports(&between, id, &needs, &[], &kept, known);
    more.push(Edit::insert(at, -5, text));
    let more = EditSet::new(more).ok()?;
    Some(edits.then(source.text(), &more))
}

/// The first use of a part, and the positions of the parts that are used and not there yet.
fn wanted(file: &SourceFile, dual: &DualRead, names: &Names) -> Option<(Span, BTreeSet<usize>)> {
    let mut first: Option<Span> = None;
    let mut wanted = BTreeSet::new();
    let rows = || names.names.iter().enumerate();
    for (n, (name, there)) in rows() {
        let chains = file.scopes().chains().iter();
        let mut uses = chains.filter(|chain| chain.parts.first().is_some_and(|head| head == name));
        if let (Some(used), false) = (uses.next(), there) {
            first = Some(first.map_or(used.span, |first| first.min(used.span)));
            wanted.insert(n);
        }
    }
    // What they use themselves; a part never uses a later one.
    for n in (0..names.names.len()).rev() {
        if let (true, Some(part)) = (wanted.contains(&n), dual.parts.get(n)) {
            let used = rows().filter(|(m, (_, there))| {
                let name = dual.parts.get(*m).map(|part| &part.name);
                !there && name.is_some_and(|name| part.uses.contains(name))
            });
            wanted.extend(used.map(|(m, _)| m));
        }
    }
    Some((first?, wanted))
}

type Written = (String, usize, BTreeSet<Need>, Vec<String>);

/// The text of the `wanted` parts, where it goes, and what it needs and keeps.
fn written(
    file: &SourceFile,
    model: &Model,
    first: Span,
    wanted: &BTreeSet<usize>,
    (dual, names): (&DualRead, &Names),
) -> Option<Written> {
    let newline = file.style().newline;
    let at = above(file, first)?;
    let mut body = file.module().body.iter();
    let around = body.find(|stmt| span(*stmt).contains(first))?;
    let statement = span(around);
    // As many blank lines after each as stand before the first: closing the window leaves those.
    let before = file.text().get(..at)?;
    let blank = before.get(before.trim_end().len()..)?;
    let blank = blank.matches(newline).count().saturating_sub(1);
    let defines = matches!(around, Stmt::FunctionDef(_) | Stmt::ClassDef(_));
    if blank < 2 && !defines {
        // Formatters want more between a function and other statements.
        return None;
    }
    let mut text = String::new();
    let mut needs = BTreeSet::new();
    let mut kept = Vec::new();
    for n in wanted {
        let part = dual.parts.get(*n)?;
        let log = match part.code.contains("{log}") {
            true => Some(logger(model, file, statement).ok()?),
            false => None,
        };
        let hole = |hole: &str| match &log {
            Some(log) if hole == "log" => log.text.clone(),
            _ => {
                let rows = dual.parts.iter().zip(&names.names);
                let mut own = rows.filter(|(part, _)| part.name == hole);
                own.next()
                    .map_or(String::new(), |(_, (name, _))| name.clone())
            }
        };
        let filled = fill(file, at, part.code.trim_start(), true, hole).ok()?;
        let mark = format!("{MARK} {}", part.stands_for);
        let code = filled
            .text
            .replacen(":\n", &format!(":  {}\n", mark.trim_end()), 1);
        if !text.is_empty() {
            text.push_str(&newline.repeat(blank.clamp(1, 2)));
        }
        text.push_str(&dressed(file, &code));
        needs.extend(filled.needs);
        kept.extend(filled.kept);
        if let Some(log) = log {
            needs.extend(log.needs);
            kept.extend(log.kept);
        }
    }
    text.push_str(&newline.repeat(blank));
    Some((text, at, needs, kept))
}
