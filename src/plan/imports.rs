//! Imports added where they belong, and dropped when nothing else uses them.

use std::collections::BTreeSet;

use super::names::Need;
use crate::project::{FileId, Project};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{Bound, Import, SourceFile, span};
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
}

/// What is known of modules.
pub(super) struct Known {
    /// Modules that may be dropped.
    pub old: Vec<String>,
    /// Modules of Python itself, which stand in a block of their own.
    pub stdlib: Vec<String>,
}

/// Edits that bring `needs` into `file` and drop imports of `old` modules that only `gone` used.
pub(super) fn imports<'p>(
    project: &'p Project,
    id: FileId,
    needs: &BTreeSet<Need>,
    gone: &[Span],
    known: &'p Known,
) -> Vec<Edit> {
    let file = project.source(id);
    let mut imports = Imports {
        project,
        known,
        id,
        file,
        newline: file.style().newline,
        edits: Vec::new(),
        modules: needs
            .iter()
            .filter(|need| need.name.is_none())
            .map(|need| need.module.clone())
            .collect(),
    };
    let unused = imports.unused(gone);
    imports.drop(&unused);
    for module in std::mem::take(&mut imports.modules) {
        imports.add_module(&module);
    }
    for need in needs {
        if let Some(name) = &need.name {
            imports.add_name(&need.module, name);
        }
    }
    imports.edits
}

impl<'p> Imports<'p> {
    /// Imports of `old` modules whose every use is in `gone`.
    fn unused(&self, gone: &[Span]) -> Vec<Import> {
        let scopes = self.file.scopes();
        let mut unused = Vec::new();
        let candidates = scopes.imports().filter(|import| {
            let top = import.target.split('.').next().unwrap_or_default();
            self.known.old.iter().any(|module| module == top)
        });
        for import in candidates {
            let home = scopes.at(import.stmt.start);
            let local = scopes
                .names_in(home)
                .find(|(_, bound)| bound.contains(&Bound::Import(import.clone())));
            let Some((local, bound)) = local else {
                continue;
            };
            let only_imports = bound.iter().all(|b| matches!(b, Bound::Import(_)));
            let used = scopes.chains().iter().any(|chain| {
                chain.parts.first().map(String::as_str) == Some(local)
                    && scopes
                        .lookup(chain.scope, local)
                        .is_some_and(|(s, _)| s == home)
                    && !gone.iter().any(|g| g.contains(chain.span))
            });
            // Nothing was taken away: an import that was unused before is not ours to touch.
            let was_used = scopes.chains().iter().any(|chain| {
                chain.parts.first().map(String::as_str) == Some(local)
                    && gone.iter().any(|g| g.contains(chain.span))
            });
            if only_imports && was_used && !used && local != "*" && !self.exported(home, local) {
                unused.push(import.clone());
            }
        }
        unused
    }

    /// Whether other code may reach the import called `local` through this module.
    fn exported(&self, home: usize, local: &str) -> bool {
        if home != 0 {
            return false;
        }
        let listed = self.file.module().body.iter().any(|stmt| {
            let target = match stmt {
                Stmt::Assign(node) => node.targets.first(),
                Stmt::AugAssign(node) => Some(&*node.target),
                Stmt::AnnAssign(node) => Some(&*node.target),
                _ => None,
            };
            let is_all = matches!(target, Some(Expr::Name(name)) if name.id == "__all__");
            let text = self.file.slice(span(stmt));
            is_all
                && ['"', '\'']
                    .iter()
                    .any(|q| text.contains(&format!("{q}{local}{q}")))
        });
        if listed {
            return true;
        }
        let path = self.project.path(self.id);
        let stem = path
            .strip_suffix("/__init__.py")
            .or(path.strip_suffix(".py"));
        let module = stem.unwrap_or(path).rsplit('/').next().unwrap_or(path);
        let dotted = format!("{module}.{local}");
        self.project
            .ids()
            .filter(|other| *other != self.id)
            .any(|other| {
                let bytes = self.project.bytes(other);
                let has = |word: &str| {
                    let word = word.as_bytes();
                    bytes.windows(word.len()).any(|window| window == word)
                };
                if !has(local) || !has(module) {
                    return false;
                }
                has(&dotted)
                    || self.project.source(other).scopes().imports().any(|import| {
                        let (home, name) = import.target.rsplit_once('.').unwrap_or(("", ""));
                        let home = if home.is_empty() { "." } else { home };
                        (name == local || name == "*")
                            && self.project.module(other, home) == Some(self.id)
                    })
            })
    }

    /// Removes the imports `unused`; a needed module takes the place of the first that can give it one.
    fn drop(&mut self, unused: &[Import]) {
        let mut done: Vec<Span> = Vec::new();
        for stmt in all_statements(&self.file.module().body) {
            let extent = span(stmt.0);
            if done.iter().any(|d| d.contains(extent)) {
                continue;
            }
            if let Stmt::Try(node) = stmt.0
                && only_imports(node, unused)
            {
                let sole = stmt.1 == 1;
                done.push(extent);
                self.replace_statement(extent, sole, stmt.2);
                continue;
            }
            let names = match stmt.0 {
                Stmt::Import(node) => &node.names,
                Stmt::ImportFrom(node) => &node.names,
                _ => continue,
            };
            let dropped: Vec<bool> = names
                .iter()
                .map(|alias| unused.iter().any(|i| i.alias == span(alias)))
                .collect();
            if dropped.iter().all(|d| *d) && self.alone_on_lines(extent) {
                self.replace_statement(extent, stmt.1 == 1, stmt.2);
            } else if dropped.iter().any(|d| *d) && !dropped.iter().all(|d| *d) {
                self.drop_aliases(names, &dropped, matches!(stmt.0, Stmt::Import(_)) && stmt.2);
            }
        }
    }

    /// Removes a whole import statement, or puts the needed `import` in its place.
    fn replace_statement(&mut self, extent: Span, sole: bool, top: bool) {
        let index = self.file.index();
        let text = self.file.text();
        if top && let Some(module) = self.modules.first().cloned() {
            let block = self.block_around(extent);
            let others: Vec<&(Span, String)> = block.iter().filter(|(s, _)| *s != extent).collect();
            let sorted = block.windows(2).all(|w| matches!(w, [a, b] if a.1 <= b.1));
            let fits = others
                .iter()
                .all(|(s, name)| (name < &module) == (*s < extent));
            if others.is_empty() || !sorted || fits {
                self.modules.remove(0);
                self.edits
                    .push(Edit::replace(extent, format!("import {module}")));
                return;
            }
        }
        if sole {
            self.edits.push(Edit::replace(extent, "pass"));
            return;
        }
        let start = index.line_start(extent.start);
        let mut end = index.next_line(text, extent.end);
        let blank = |from: usize| {
            let to = index.next_line(text, from);
            from < to && self.file.slice(Span::new(from, to)).trim().is_empty()
        };
        let above = index.line_start(start.saturating_sub(1));
        let opens_a_block = text
            .get(above..start)
            .is_some_and(|line| line.trim_end().ends_with(':'));
        let head = start == 0 || blank(above) || opens_a_block;
        // A block of its own goes with the blank line after it.
        while head && blank(end) {
            end = index.next_line(text, end);
        }
        let start = match text.get(start..extent.start) {
            Some(margin) if margin.starts_with('\u{feff}') => start + '\u{feff}'.len_utf8(),
            _ => start,
        };
        self.edits.push(Edit::replace(Span::new(start, end), ""));
    }

    fn alone_on_lines(&self, extent: Span) -> bool {
        let index = self.file.index();
        let before = Span::new(index.line_start(extent.start), extent.start);
        let after = Span::new(extent.end, index.line_end(self.file.text(), extent.end));
        let before = self
            .file
            .slice(before)
            .trim_start_matches('\u{feff}')
            .trim();
        let after = self.file.slice(after).trim();
        before.is_empty() && (after.is_empty() || after.starts_with('#'))
    }

    fn drop_aliases(&mut self, names: &[ast::Alias], dropped: &[bool], replaceable: bool) {
        let last_kept = dropped.iter().rposition(|d| !d).unwrap_or(0);
        for (n, alias) in names.iter().enumerate() {
            if !dropped.get(n).copied().unwrap_or(false) {
                continue;
            }
            let here = span(alias);
            if replaceable && let Some(module) = self.modules.first().cloned() {
                self.modules.remove(0);
                self.edits.push(Edit::replace(here, module));
                continue;
            }
            let cut = match (
                names.get(n + 1),
                n.checked_sub(1).and_then(|m| names.get(m)),
            ) {
                (Some(next), _) if n < last_kept => Span::new(here.start, span(next).start),
                (_, Some(previous)) => Span::new(span(previous).end, here.end),
                _ => here,
            };
            self.edits.push(Edit::replace(cut, ""));
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

    /// Adds `import module` at its place in the block that holds an old import, or in the last block, or at the top.
    fn add_module(&mut self, module: &str) {
        let old = &self.known.old;
        let line = format!("import {module}{}", self.newline);
        let blocks = self.blocks();
        let holding = blocks
            .iter()
            .find(|b| b.iter().any(|(_, name)| old.iter().any(|o| o == name)))
            .or(blocks.iter().rfind(|b| self.in_head(b)));
        if let Some(block) = holding {
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
            self.edits.push(Edit::insert(offset, -10, line));
            return;
        }
        let from = self.file.module().body.iter().find(|stmt| match stmt {
            Stmt::ImportFrom(node) => node.module.as_ref().is_none_or(|m| m != "__future__"),
            _ => false,
        });
        match from {
            Some(stmt) => {
                let start = self.file.index().line_start(span(stmt).start);
                // Python's own modules stand in a block of their own.
                let top = match stmt {
                    Stmt::ImportFrom(node) if node.level == 0 => {
                        node.module.as_ref().map(|m| m.as_str())
                    }
                    _ => None,
                };
                let top = top.and_then(|name| name.split('.').next());
                let own = top.is_some_and(|top| self.known.stdlib.iter().any(|name| name == top));
                let gap = if own { "" } else { self.newline };
                self.edits.push(Edit::insert(
                    self.after_mark(start),
                    -10,
                    format!("{line}{gap}"),
                ));
            }
            None => self.at_head(&format!("import {module}")),
        }
    }

    /// Adds `from module import name`, into a statement that takes from that module already where there is one.
    fn add_name(&mut self, module: &str, name: &str) {
        let existing = self.file.module().body.iter().find_map(|stmt| match stmt {
            Stmt::ImportFrom(node)
                if node.level == 0
                    && node.module.as_ref().is_some_and(|m| m == module)
                    && node.names.iter().all(|a| a.name.as_str() != "*") =>
            {
                Some(node)
            }
            _ => None,
        });
        if let Some(node) = existing {
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
                    self.edits.push(Edit::insert(start, 0, text));
                }
                (None, Some(last)) => {
                    let end = span(last).end;
                    self.edits.push(Edit::insert(end, 0, format!(", {name}")));
                }
                (None, None) => {}
            }
            return;
        }
        let line = format!("from {module} import {name}");
        let head = self
            .file
            .module()
            .body
            .iter()
            .take_while(|stmt| is_head(stmt));
        let last = head
            .filter(|stmt| matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_)))
            .last();
        match last {
            Some(stmt) => self.insert_after(span(stmt), &line),
            None => self.at_head(&line),
        }
    }

    /// Puts `line` on a line of its own below the statement at `extent`.
    fn insert_after(&mut self, extent: Span, line: &str) {
        let text = self.file.text();
        let end = self.file.index().line_end(text, extent.end);
        self.edits
            .push(Edit::insert(end, 10, format!("{}{line}", self.newline)));
    }

    /// Puts `line` below the docstring and `__future__` imports, or at the very top below comments.
    fn at_head(&mut self, line: &str) {
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
            .push(Edit::insert(self.after_mark(offset), -10, text));
    }

    /// `offset`, or behind the byte-order mark that stands there.
    fn after_mark(&self, offset: usize) -> usize {
        match self.file.text().get(offset..) {
            Some(rest) if rest.starts_with('\u{feff}') => offset + '\u{feff}'.len_utf8(),
            _ => offset,
        }
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

/// Before which of `names` `name` belongs, in whichever order they are: isort's, by bytes, or without regard to case.
fn next_in_order(names: &[&str], name: &str) -> Option<usize> {
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

/// Statements that may stand before or among the imports at the head of a file.
fn is_head(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Import(_) | Stmt::ImportFrom(_) | Stmt::Try(_) => true,
        Stmt::Expr(node) => node.value.is_string_literal_expr(),
        _ => false,
    }
}

/// Whether a `try` does nothing but import what is in `unused`.
fn only_imports(node: &ast::StmtTry, unused: &[Import]) -> bool {
    let handlers = node.handlers.iter().flat_map(|handler| {
        let ast::ExceptHandler::ExceptHandler(handler) = handler;
        &handler.body
    });
    let mut leaves = node
        .body
        .iter()
        .chain(handlers)
        .chain(&node.orelse)
        .chain(&node.finalbody);
    leaves.all(|stmt| {
        let names = match stmt {
            Stmt::Import(node) => &node.names,
            Stmt::ImportFrom(node) => &node.names,
            Stmt::Pass(_) => return true,
            _ => return false,
        };
        names
            .iter()
            .all(|alias| unused.iter().any(|i| i.alias == span(alias)))
    })
}

/// All statements, outer before inner, each with the number of statements in its block and whether it is top level.
fn all_statements(body: &[Stmt]) -> Vec<(&Stmt, usize, bool)> {
    struct All<'a>(Vec<(&'a Stmt, usize, bool)>, usize);
    impl<'a> ast::visitor::Visitor<'a> for All<'a> {
        fn visit_body(&mut self, body: &'a [Stmt]) {
            for stmt in body {
                self.0.push((stmt, body.len(), self.1 == 0));
                self.1 += 1;
                self.visit_stmt(stmt);
                self.1 -= 1;
            }
        }
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            ast::visitor::walk_stmt(self, stmt);
        }
        fn visit_expr(&mut self, _: &'a Expr) {}
    }
    let mut all = All(Vec::new(), 0);
    ast::visitor::Visitor::visit_body(&mut all, body);
    all.0
}
