//! Imports added where they belong, and dropped when nothing else uses them.

mod add;
mod exchange;
mod unused;

use std::collections::{BTreeMap, BTreeSet};

use super::names::Need;
use crate::project::{FileId, Project};
use crate::python::ast::Stmt;
use crate::python::{SourceFile, span};
use crate::text::{Edit, Span};

/// What changes in the imports of one file.
pub(super) struct Imports<'p> {
    project: &'p Project,
    known: &'p Known,
    id: FileId,
    file: &'p SourceFile,
    newline: &'static str,
    edits: Vec<Edit>,
    /// `import x` statements still to be placed.
    modules: Vec<String>,
    /// Statements that another module has taken, and which.
    retaken: Vec<(Span, String)>,
}

/// What is known of modules.
pub(super) struct Known {
    /// Modules that may be dropped.
    pub old: Vec<String>,
    /// Modules of Python itself, which stand in a block of their own.
    pub stdlib: Vec<String>,
}

/// Edits that bring `needs` into `file` and drop imports of `old` modules that only `gone` used, but for the names `kept`.
pub(super) fn imports<'p>(
    project: &'p Project,
    id: FileId,
    needs: &BTreeSet<Need>,
    gone: &[Span],
    kept: &BTreeSet<&str>,
    known: &'p Known,
) -> Vec<Edit> {
    let mut imports = Imports::of(project, id, known);
    let modules = needs.iter().filter(|need| need.name.is_none());
    imports.modules = modules.map(|need| need.module.clone()).collect();
    let unused = imports.unused(gone, kept);
    let (needs, unused) = imports.exchange(needs, unused);
    imports.drop(&unused);
    let modules = std::mem::take(&mut imports.modules);
    for (n, module) in modules.iter().enumerate() {
        imports.add_module(module, n + 1 == modules.len());
    }
    let mut taken: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for need in &needs {
        if let Some(name) = &need.name {
            taken.entry(&need.module).or_default().push(name);
        }
    }
    for (module, names) in taken {
        imports.add_names(module, &names);
    }
    imports.edits
}

/// Whether other code may reach what the module `id` calls `local`.
pub(super) fn exported(project: &Project, id: FileId, local: &str) -> bool {
    let known = Known {
        old: Vec::new(),
        stdlib: Vec::new(),
    };
    Imports::of(project, id, &known).exported(0, local)
}

impl<'p> Imports<'p> {
    /// No change yet.
    fn of(project: &'p Project, id: FileId, known: &'p Known) -> Imports<'p> {
        let file = project.source(id);
        Imports {
            project,
            known,
            id,
            file,
            newline: file.style().newline,
            edits: Vec::new(),
            modules: Vec::new(),
            retaken: Vec::new(),
        }
    }

    /// The run of `import x` lines around the top-level statement at `extent`, with the module each names first.
    fn block_around(&self, extent: Span) -> Vec<(Span, String)> {
        let blocks = self.blocks();
        let holding = blocks
            .into_iter()
            .find(|b| b.iter().any(|(s, _)| *s == extent));
        holding.unwrap_or_default()
    }

    /// Runs of top-level `import x` statements on consecutive lines.
    fn blocks(&self) -> Vec<Vec<(Span, String)>> {
        let mut blocks: Vec<Vec<(Span, String)>> = Vec::new();
        let mut end = None;
        for stmt in &self.file.module().body {
            let Stmt::Import(node) = stmt else {
                continue;
            };
            let here = span(node);
            let name = node
                .names
                .first()
                .map_or("", |a| a.name.as_str())
                .to_owned();
            let start = self.file.index().line_start(here.start);
            match blocks.last_mut().filter(|_| end == Some(start)) {
                Some(block) => block.push((here, name)),
                None => blocks.push(vec![(here, name)]),
            }
            end = Some(self.file.index().next_line(self.file.text(), here.end));
        }
        blocks
    }

    /// `offset`, or behind the byte-order mark that stands there.
    fn after_mark(&self, offset: usize) -> usize {
        match self.file.text().get(offset..) {
            Some(rest) if rest.starts_with('\u{feff}') => offset + '\u{feff}'.len_utf8(),
            _ => offset,
        }
    }

    /// Whether `module` is one of Python's own.
    fn is_own(&self, module: &str) -> bool {
        let top = module.split('.').next().unwrap_or(module);
        self.known.stdlib.iter().any(|name| name == top)
    }

    /// The imports at top level, but for those from `__future__`, with the module each names first.
    fn entries(&self) -> Vec<(Span, String)> {
        let body = self.file.module().body.iter();
        let module = |stmt: &Stmt| match stmt {
            Stmt::Import(node) => node.names.first().map(|a| a.name.to_string()),
            Stmt::ImportFrom(node) => {
                let dots = ".".repeat(usize::try_from(node.level).unwrap_or(1));
                let name = node.module.as_ref().map_or("", |m| m.as_str());
                Some(format!("{dots}{name}"))
            }
            _ => None,
        };
        let all = body.filter_map(|stmt| Some((span(stmt), module(stmt)?)));
        all.filter(|(_, module)| module != "__future__").collect()
    }

    fn in_head(&self, block: &[(Span, String)]) -> bool {
        let mut head = self
            .file
            .module()
            .body
            .iter()
            .take_while(|stmt| is_head(stmt));
        block
            .first()
            .is_some_and(|(first, _)| head.any(|stmt| span(stmt) == *first))
    }
}

/// Statements that may stand before or among the imports at the head of a file.
fn is_head(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Import(_) | Stmt::ImportFrom(_) | Stmt::Try(_) => true,
        Stmt::Expr(node) => node.value.is_string_literal_expr(),
        _ => false,
    }
}
