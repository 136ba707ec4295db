//! Comments that say that a load is to be left alone: depickle's own, and those that Bandit, Ruff, Flake8 and Semgrep heed.
//!
//! Invariant: what a comment leaves alone is told, with the comment's place.

use std::collections::BTreeSet;

use super::Planner;
use super::groups::Note;
use crate::pack::{Model, OWN, Transform};
use crate::project::Project;
use crate::python::SourceFile;
use crate::python::ast::StmtRef;
use crate::text::Span;
use crate::trace::{Finding, Place, Traced};

impl Planner<'_> {
    /// The comment that leaves `finding` alone.
    pub(super) fn suppressed(&self, finding: &Finding) -> Option<Note> {
        let at = comment_for(self.project, self.model, finding).filter(|_| !self.order.every)?;
        let text = self.project.source(at.file).slice(at.span).to_owned();
        let (code, at) = ("suppressed", Some(at));
        Some(Note { code, text, at })
    }
}

/// Comments of depickle's own that leave no load alone.
pub(super) fn unused(project: &Project, model: &Model, traced: &Traced) -> Vec<Place> {
    let mut unused = Vec::new();
    let mut used: Option<BTreeSet<Place>> = None;
    for file in traced.spoken_to.iter().copied() {
        let source = project.source(file);
        for (at, _) in source.text().match_indices(OWN) {
            let Some(span) = source.comment(at).filter(|span| span.start <= at) else {
                continue;
            };
            let place = Place { file, span };
            let used = used.get_or_insert_with(|| {
                let each = traced.findings.iter();
                each.filter_map(|f| comment_for(project, model, f))
                    .collect()
            });
            if is_own(source.slice(span)) && !used.contains(&place) && !unused.contains(&place) {
                unused.push(place);
            }
        }
    }
    unused
}

/// Where a new comment for what stands at `span` goes: the start of a line.
pub(crate) fn line_above(source: &SourceFile, span: Span) -> usize {
    source.index().line_start(beside(source, span).start)
}

/// The comment that is about `finding`: on its lines, on those of its statement, or on lines of comments right above.
fn comment_for(project: &Project, model: &Model, finding: &Finding) -> Option<Place> {
    let (own, _) = model.sink_row(finding.sink)?;
    let file = finding.place.file;
    let source = project.source(file);
    let load = finding.place.span;
    let statement = beside(source, load);
    let index = source.index();
    let inside = [load.start, statement.start].into_iter();
    let inside =
        inside.chain(index.lines_inside(Span::new(statement.start, statement.end.max(load.end))));
    let mut lines: Vec<usize> = inside.collect();
    for start in [load.start, statement.start] {
        let mut at = index.line_start(start);
        while let Some(before) = at.checked_sub(1).map(|end| index.line_start(end)) {
            let line = source.slice(Span::new(before, at)).trim_start();
            if !line.starts_with('#') {
                break;
            }
            lines.push(before);
            at = before;
        }
    }
    let about = |span: &Span| is_about(source.slice(*span), own, model);
    let mut comments = lines.into_iter().filter_map(|line| source.comment(line));
    comments.find(about).map(|span| Place { file, span })
}

/// The statement around `load`, if it has no statements within; else the load alone.
fn beside(source: &SourceFile, load: Span) -> Span {
    let mut around = source.ancestors(load).into_iter().rev();
    let statement = around.find_map(|node| node.as_stmt_ref());
    match statement {
        None
        | Some(
            StmtRef::FunctionDef(_)
            | StmtRef::ClassDef(_)
            | StmtRef::If(_)
            | StmtRef::For(_)
            | StmtRef::While(_)
            | StmtRef::With(_)
            | StmtRef::Match(_)
            | StmtRef::Try(_),
        ) => load,
        Some(simple) => crate::python::span(&simple),
    }
}

/// Whether `comment` leaves loads of `own` alone.
fn is_about(comment: &str, own: &Transform, model: &Model) -> bool {
    let code = |code: &str| {
        own.suppressed_by
            .iter()
            .any(|c| c.eq_ignore_ascii_case(code))
    };
    let id = |id: &str| {
        let named = model.transforms.iter().find(|t| t.id == id);
        named.is_some_and(|t| t.id == own.id || t.instead_of.as_ref() == Some(&own.id))
    };
    parts(comment).any(|part| {
        if let Some(rest) = ignores(part) {
            let ids = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            return match ids {
                Some((ids, _)) => ids.split(',').any(|one| id(one.trim())),
                None => !rest.starts_with('['),
            };
        }
        if let Some(rest) = after(part, &["nosec"]) {
            // Other words are a reason, for Bandit as well.
            let mut codes = words(rest).filter(|word| is_code(word)).peekable();
            return codes.peek().is_none() || codes.any(code);
        }
        if let Some(rest) = after(part, &["nosemgrep", "nosem"]) {
            let Some(rules) = rest.trim_start().strip_prefix(':') else {
                return true;
            };
            return words(rules).any(|rule| code(rule.rsplit('.').next().unwrap_or(rule)));
        }
        // Without codes it is mostly meant for the length of the line.
        let codes = after(part, &["noqa"]).and_then(|rest| rest.trim_start().strip_prefix(':'));
        codes.is_some_and(|codes| words(codes).take_while(|word| is_code(word)).any(code))
    })
}

fn is_own(comment: &str) -> bool {
    parts(comment).any(|part| ignores(part).is_some())
}

/// What each `#` of a comment begins.
fn parts(comment: &str) -> impl Iterator<Item = &str> {
    comment.split('#').map(str::trim)
}

/// What follows `depickle: ignore`.
fn ignores(part: &str) -> Option<&str> {
    let rest = part.strip_prefix(OWN)?.trim_start();
    after(rest, &["ignore"])
}

/// What follows one of `names` as a whole word, in whatever case.
fn after<'t>(part: &'t str, names: &[&str]) -> Option<&'t str> {
    names.iter().find_map(|name| {
        let (head, rest) = part.split_at_checked(name.len())?;
        let whole = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        (head.eq_ignore_ascii_case(name) && whole).then_some(rest)
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let of_word = |c: char| c.is_alphanumeric() || "._-".contains(c);
    text.split(move |c| !of_word(c))
        .filter(|word| !word.is_empty())
}

/// Letters and then digits: `B301`.
fn is_code(word: &str) -> bool {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    digits.len() < word.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}
