//! The window of `--dual-read`: functions of the module that read the new format, and stored data in the old one through
//! an allow-list. `open` writes them, `close` takes them out again.
//!
//! Invariant: closing a window gives byte for byte what there would be without it; `check` holds every window to that.
//! What clients or peers send never gets one.

mod close;
mod open;

use std::collections::BTreeMap;

use crate::pack::{DualRead, Trust};
use crate::project::FileId;
use crate::python::ast::Stmt;
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::Finding;

pub(super) use close::imported;
pub(super) use open::opened;

/// The comment by which a window is found again, behind the header of each of its definitions; the qualified name of the
/// call that a function stands for follows.
pub const MARK: &str = "# depickle: dual-read";

/// A definition that belongs to a window.
pub(super) struct Part<'f> {
    /// Its name.
    pub name: &'f str,
    /// The call that it stands for, if any.
    pub stands_for: Option<&'f str>,
    /// All of it.
    pub extent: Span,
}

/// The definitions in `file` that are marked.
pub(super) fn parts(file: &SourceFile) -> Vec<Part<'_>> {
    if !file.text().contains(MARK) {
        return Vec::new();
    }
    let body = file.module().body.iter();
    let marked = body.filter_map(|stmt| {
        let (name, first) = match stmt {
            Stmt::FunctionDef(node) => (&node.name, node.body.first()?),
            Stmt::ClassDef(node) => (&node.name, node.body.first()?),
            _ => return None,
        };
        let extent = span(stmt);
        let header = file.slice(Span::new(extent.start, span(first).start));
        let mut marks = header.lines().filter_map(|line| line.split_once(MARK));
        let (_, stands_for) = marks.next()?;
        Some(Part {
            name: name.as_str(),
            stands_for: Some(stands_for.trim()).filter(|name| name.contains('.')),
            extent,
        })
    });
    marked.collect()
}

/// Whether `finding` stands in a window.
pub(super) fn in_a_window(file: &SourceFile, finding: &Finding) -> bool {
    let place = finding.place.span;
    parts(file).iter().any(|part| part.extent.contains(place))
}

/// Whether what `finding` reads is kept by the program: nothing that a client or a peer sends gets there.
pub(super) fn is_kept(finding: &Finding) -> bool {
    let kept = |trust: &Trust| matches!(trust, Trust::Stored | Trust::File);
    let mut levels = finding.levels.iter();
    kept(&finding.trust) && levels.all(|level| kept(level) || *level == Trust::Trusted)
}

/// What the parts of a pack's window are called in one file.
#[derive(Debug)]
pub(super) struct Names {
    /// Parallel to its parts: the name, and whether the file has it already.
    names: Vec<(String, bool)>,
}

impl Names {
    /// For a window of `dual` in `file`: the names of one that is open there, else `fresh` ones.
    pub fn of(file: &SourceFile, dual: &DualRead, mut fresh: impl FnMut(&str) -> String) -> Names {
        let there = parts(file);
        let name = |part: &crate::pack::DualPart| {
            let same = there.iter().find(|other| {
                let stands_for = other.stands_for.unwrap_or_default();
                stands_for == part.stands_for && (!stands_for.is_empty() || other.name == part.name)
            });
            match same {
                Some(same) => (same.name.to_owned(), true),
                None => (fresh(&part.name), false),
            }
        };
        Names {
            names: dual.parts.iter().map(name).collect(),
        }
    }

    /// What stands for `call`.
    pub fn for_call(&self, dual: &DualRead, call: &str) -> Option<&str> {
        let n = dual.parts.iter().position(|part| part.stands_for == call)?;
        self.names.get(n).map(|(name, _)| name.as_str())
    }
}

/// Names by file and transform.
pub(super) type Windows = BTreeMap<(FileId, String), Names>;
