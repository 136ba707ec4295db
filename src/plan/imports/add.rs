//! Imports added where they belong, in the order the file keeps.

use super::{Imports, is_head};
use crate::plan::lines::too_wide;
use crate::python::ast::{self, Stmt};
use crate::python::span;
use crate::text::{Edit, Span};

impl<'p> Imports<'p> {
    /// Adds `import module`, the `last` of several or not, at its place in the block that holds an old import, or in the last block, or at the top.
    pub(super) fn add_module(&mut self, module: &str, last: bool) {
        let old = &self.known.old;
        let line = format!("import {module}{}", self.newline);
        let own = self.is_own(module);
        let mut blocks = self.blocks();
        // Python's own modules stand in a section of their own.
        blocks.retain(|block| block.iter().any(|(_, name)| self.is_own(name) == own));
        let holding = blocks
            .iter()
            .find(|b| b.iter().any(|(_, name)| old.iter().any(|o| o == name)))
            .or(blocks.iter().rfind(|b| self.in_head(b)));
        if let Some(block) = holding {
            // As it will stand.
            let now = |(stmt, old): &(Span, String)| {
                let mut retaken = self.retaken.iter();
                let taken = retaken.find(|(other, _)| other == stmt);
                (*stmt, taken.map_or(old, |(_, name)| name).clone())
            };
            let block: Vec<(Span, String)> = block.iter().map(now).collect();
            let sorted = block.windows(2).all(|w| matches!(w, [a, b] if a.1 <= b.1));
            let next = match sorted {
                true => block.iter().find(|(_, name)| name.as_str() > module),
                false => block.iter().find(|(_, name)| old.iter().any(|o| o == name)),
            };
            let offset = match (next, block.last()) {
                (Some((next, _)), _) => self.after_mark(self.file.index().line_start(next.start)),
                (None, Some((last, _))) => {
                    return self.insert_after(*last, &format!("import {module}"));
                }
                (None, None) => return,
            };
            self.edits.push(Edit::insert(offset, self.nth(-1000), line));
            return;
        }
        match self.entries().first() {
            Some((first, name)) => {
                let start = self.file.index().line_start(first.start);
                let same = self.is_own(name) == own;
                let gap = if same || !last { "" } else { self.newline };
                self.edits.push(Edit::insert(
                    self.after_mark(start),
                    self.nth(-1000),
                    format!("{line}{gap}"),
                ));
            }
            None => self.at_head(&format!("import {module}")),
        }
    }

    /// Adds `from module import names`, into a statement that takes from that module already where there is one.
    pub(super) fn add_names(&mut self, module: &str, names: &[&str]) {
        let taking = self.taking(module);
        let single = |node: &&ast::StmtImportFrom| node.names.len() == 1;
        if taking.len() > 1 && taking.iter().all(single) {
            for name in names {
                self.add_single(module, name, &taking);
            }
            return;
        }
        match taking.first() {
            Some(node) if self.add_broken(node, module, names) => {}
            Some(node) => names.iter().for_each(|name| self.add_name(node, name)),
            None => self.add_from(module, &names.join(", ")),
        }
    }

    /// The statements that take names from `module`, one by one.
    fn taking(&self, module: &str) -> Vec<&'p ast::StmtImportFrom> {
        let body = self.file.module().body.iter();
        let takes = |stmt: &'p Stmt| match stmt {
            Stmt::ImportFrom(node)
                if node.level == 0
                    && node.module.as_ref().is_some_and(|m| m == module)
                    && node.names.iter().all(|a| a.name.as_str() != "*") =>
            {
                Some(node)
            }
            _ => None,
        };
        body.filter_map(takes).collect()
    }

    /// Adds `name` to the names that `node` takes.
    fn add_name(&mut self, node: &ast::StmtImportFrom, name: &str) {
        let names: Vec<&str> = node.names.iter().map(|alias| alias.name.as_str()).collect();
        let next = next_in_order(&names, name).and_then(|n| node.names.get(n));
        match (next, node.names.last()) {
            (Some(next), _) => {
                let start = span(next).start;
                let margin = Span::new(self.file.index().line_start(start), start);
                let margin = self.file.slice(margin);
                let text = match margin.trim().is_empty() && !margin.is_empty() {
                    true => format!("{name},{}{margin}", self.newline),
                    false => format!("{name}, "),
                };
                self.edits.push(Edit::insert(start, self.nth(0), text));
            }
            (None, Some(last)) => {
                let Span { start, end } = span(last);
                let margin = Span::new(self.file.index().line_start(start), start);
                let margin = self.file.slice(margin);
                let text = match margin.trim().is_empty() && !margin.is_empty() {
                    true => format!(",{}{margin}{name}", self.newline),
                    false => format!(", {name}"),
                };
                self.edits.push(Edit::insert(end, self.nth(0), text));
            }
            (None, None) => {}
        }
    }

    /// Adds `from module import names` where it belongs among those of its section, or behind the last import at the
    /// head.
    fn add_from(&mut self, module: &str, names: &str) {
        let line = format!("from {module} import {names}");
        if let Some(next) = self.next_from(module) {
            let start = self.file.index().line_start(next.start);
            let text = format!("{line}{}", self.newline);
            let edit = Edit::insert(self.after_mark(start), self.nth(-500), text);
            return self.edits.push(edit);
        }
        let head = self
            .file
            .module()
            .body
            .iter()
            .take_while(|stmt| is_head(stmt));
        let imports: Vec<&Stmt> = head
            .filter(|stmt| matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_)))
            .collect();
        // Python's own modules stand in a block of their own.
        let beside = imports.iter().rfind(|stmt| {
            let gone = |e: &Edit| e.text.is_empty() && e.span.contains(span(**stmt));
            self.is_own(module) && self.takes_stdlib(stmt) && !self.edits.iter().any(gone)
        });
        match beside.or(imports.last()).copied() {
            Some(stmt) => self.insert_after(span(stmt), &line),
            None => self.at_head(&line),
        }
    }

    /// Whether `stmt` imports modules of Python itself, or names of one.
    fn takes_stdlib(&self, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::Import(node) => node.names.iter().all(|a| self.is_own(&a.name)),
            Stmt::ImportFrom(node) => {
                let module = node.module.as_ref().filter(|_| node.level == 0);
                module.is_some_and(|module| module != "__future__" && self.is_own(module))
            }
            _ => false,
        }
    }

    /// The `from` statement at the head before which that of `module` belongs, when those of its section are in order.
    fn next_from(&self, module: &str) -> Option<Span> {
        let own = self.is_own(module);
        let body = self.file.module().body.iter();
        let section: Vec<(Span, String)> = body
            .take_while(|stmt| is_head(stmt))
            .filter_map(|stmt| match stmt {
                Stmt::ImportFrom(node) if node.level == 0 => {
                    Some((span(node), node.module.as_ref()?.to_lowercase()))
                }
                _ => None,
            })
            .filter(|(_, name)| name != "__future__" && self.is_own(name) == own)
            .collect();
        let sorted = section
            .windows(2)
            .all(|w| matches!(w, [a, b] if a.1 <= b.1));
        let module = module.to_lowercase();
        let mut after = section.into_iter().filter(|(_, name)| *name > module);
        after.next().filter(|_| sorted).map(|(span, _)| span)
    }

    /// Adds `from module import name` among `existing`, each of which takes one name.
    fn add_single(&mut self, module: &str, name: &str, existing: &[&ast::StmtImportFrom]) {
        let line = format!("from {module} import {name}");
        let taken = |node: &&ast::StmtImportFrom| {
            let first = node.names.first();
            first.map_or(String::new(), |alias| alias.name.to_lowercase())
        };
        let next = existing
            .iter()
            .find(|node| taken(node) > name.to_lowercase());
        match (next, existing.last()) {
            (Some(next), _) => {
                let start = self.file.index().line_start(span(*next).start);
                let text = format!("{line}{}", self.newline);
                self.edits
                    .push(Edit::insert(self.after_mark(start), self.nth(0), text));
            }
            (None, Some(last)) => self.insert_after(span(*last), &line),
            (None, None) => {}
        }
    }

    /// Adds `names` to `node`, one name a line, if that is longer than formatters leave a line; says whether it did.
    fn add_broken(&mut self, node: &ast::StmtImportFrom, module: &str, names: &[&str]) -> bool {
        let extent = span(node);
        let text = self.file.slice(extent);
        let plain = node.names.iter().all(|alias| alias.asname.is_none());
        let line = format!("{text}, {}", names.join(", "));
        let touched = self.edits.iter().any(|edit| extent.contains(edit.span));
        if !plain || touched || text.contains(['(', '\n', '\r', '\\']) || !too_wide(&line) {
            return false;
        }
        let mut all: Vec<&str> = node.names.iter().map(|alias| alias.name.as_str()).collect();
        for name in names {
            let place = next_in_order(&all, name).unwrap_or(all.len());
            all.insert(place, name);
        }
        let indent = &self.file.style().indent;
        let newline = self.newline;
        let lines: String = all
            .iter()
            .map(|name| format!("{indent}{name},{newline}"))
            .collect();
        let text = format!("from {module} import ({newline}{lines})");
        self.edits.push(Edit::replace(extent, text));
        true
    }

    /// `order` for the next edit: what is added at one place stays in the order in which it was added.
    fn nth(&self, order: i32) -> i32 {
        order.saturating_add(i32::try_from(self.edits.len()).unwrap_or(i32::MAX))
    }

    /// Puts `line` on a line of its own below the statement at `extent`.
    pub(super) fn insert_after(&mut self, extent: Span, line: &str) {
        let text = self.file.text();
        let end = self.file.index().line_end(text, extent.end);
        self.edits.push(Edit::insert(
            end,
            self.nth(10),
            format!("{}{line}", self.newline),
        ));
    }

    /// Puts `line` below the docstring and `__future__` imports, or at the very top below comments.
    pub(super) fn at_head(&mut self, line: &str) {
        let body = &self.file.module().body;
        let is_doc =
            |stmt: &&Stmt| matches!(stmt, Stmt::Expr(e) if e.value.is_string_literal_expr());
        let future = body.iter().rfind(|stmt| match stmt {
            Stmt::ImportFrom(node) => node.module.as_ref().is_some_and(|m| m == "__future__"),
            _ => false,
        });
        let anchor = future.or(body.first().filter(is_doc));
        if let Some(stmt) = anchor {
            return self.insert_after(span(stmt), &format!("{}{line}", self.newline));
        }
        let offset = body.first().map_or(self.file.text().len(), |stmt| {
            self.file.index().line_start(span(stmt).start)
        });
        let text = format!("{line}{}{}", self.newline, self.newline);
        self.edits
            .push(Edit::insert(self.after_mark(offset), self.nth(-1000), text));
    }
}

/// Before which of `names` `name` belongs, in whichever order they are: isort's, by bytes, or without regard to case.
pub(super) fn next_in_order(names: &[&str], name: &str) -> Option<usize> {
    fn kind(name: &str) -> u8 {
        match name {
            _ if name.len() > 1 && name.chars().all(|c| !c.is_lowercase()) => 0,
            _ if name.starts_with(char::is_uppercase) => 1,
            _ => 2,
        }
    }
    type Key = fn(&str) -> (u8, String);
    let orders: [Key; 3] = [
        |name| (kind(name), name.to_lowercase()),
        |name| (0, name.to_owned()),
        |name| (0, name.to_lowercase()),
    ];
    let sorted = |key: &&Key| {
        names
            .windows(2)
            .all(|w| matches!(w, [a, b] if key(a) <= key(b)))
    };
    let key = orders.iter().find(sorted)?;
    names.iter().position(|other| key(other) > key(name))
}
