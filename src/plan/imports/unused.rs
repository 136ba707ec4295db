//! Imports dropped when nothing else uses them.

use std::collections::BTreeSet;

use memchr::memmem;

use super::Imports;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{Bound, Import, span};
use crate::text::{Edit, Span};

impl Imports<'_> {
    /// Imports of `old` modules whose every use is in `gone`, and that new text does not use (`kept`).
    pub(super) fn unused(&self, gone: &[Span], kept: &BTreeSet<&str>) -> Vec<Import> {
        let scopes = self.file.scopes();
        let mut unused = Vec::new();
        let candidates = scopes.imports().filter(|import| {
            let top = import.target.split('.').next().unwrap_or_default();
            self.known.old.iter().any(|module| module == top)
        });
        for import in candidates {
            let home = scopes.at(import.stmt.start);
            let local = scopes.names_in(home).find(|(_, bound)| {
                bound
                    .iter()
                    .any(|b| matches!(b, Bound::Import(i) if **i == *import))
            });
            let Some((local, bound)) = local else {
                continue;
            };
            let only_imports = bound.iter().all(|b| matches!(b, Bound::Import(_)));
            let used = scopes.chains().iter().any(|chain| {
                chain.parts.first().is_some_and(|head| head == local)
                    && scopes
                        .lookup(chain.scope, local)
                        .is_some_and(|(s, _)| s == home)
                    && !gone.iter().any(|g| g.contains(chain.span))
            });
            // Nothing was taken away: an import that was unused before is not ours to touch.
            let was_used = scopes.chains().iter().any(|chain| {
                chain.parts.first().is_some_and(|head| head == local)
                    && gone.iter().any(|g| g.contains(chain.span))
            });
            let used = used || kept.contains(local) || self.annotated(local);
            if only_imports && was_used && !used && local != "*" && !self.exported(home, local) {
                unused.push(import.clone());
            }
        }
        unused
    }

    /// Whether an annotation that is written as text names `local`.
    fn annotated(&self, local: &str) -> bool {
        struct Texts<'n> {
            local: &'n str,
            found: bool,
        }
        impl<'a> Visitor<'a> for Texts<'_> {
            fn visit_annotation(&mut self, expr: &'a Expr) {
                let mut inner = Inner {
                    local: self.local,
                    found: false,
                };
                inner.visit_expr(expr);
                self.found |= inner.found;
            }
        }
        struct Inner<'n> {
            local: &'n str,
            found: bool,
        }
        impl<'a> Visitor<'a> for Inner<'_> {
            fn visit_expr(&mut self, expr: &'a Expr) {
                if let Expr::StringLiteral(text) = expr {
                    let words = text
                        .value
                        .to_str()
                        .split(|c: char| !(c.is_alphanumeric() || c == '_'));
                    self.found |= words.into_iter().any(|word| word == self.local);
                }
                visitor::walk_expr(self, expr);
            }
        }
        let mut texts = Texts {
            local,
            found: false,
        };
        texts.visit_body(&self.file.module().body);
        texts.found
    }

    /// Whether other code may reach the import called `local` through this module.
    pub(super) fn exported(&self, home: usize, local: &str) -> bool {
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
        if listed || self.file.magic_says(local) {
            return true;
        }
        let path = self.project.path(self.id);
        let stem = path
            .strip_suffix("/__init__.py")
            .or(path.strip_suffix(".py"));
        let module = stem.unwrap_or(path).rsplit('/').next().unwrap_or(path);
        let dotted = format!("{module}.{local}");
        // Made once for all files.
        let words = [local, module, &dotted].map(memmem::Finder::new);
        let [local_word, module_word, dotted_word] = &words;
        self.project
            .ids()
            .filter(|other| *other != self.id)
            .any(|other| {
                let bytes = self.project.bytes(other);
                let has = |word: &memmem::Finder<'_>| word.find(bytes).is_some();
                if !has(local_word) || !has(module_word) {
                    return false;
                }
                has(dotted_word)
                    || self.project.source(other).scopes().imports().any(|import| {
                        let (home, name) = import.target.rsplit_once('.').unwrap_or(("", ""));
                        let home = if home.is_empty() { "." } else { home };
                        (name == local || name == "*")
                            && self.project.module(other, home) == Some(self.id)
                    })
            })
    }

    /// Removes the imports `unused`; a needed module takes the place of the first that can give it one.
    pub(super) fn drop(&mut self, unused: &[Import]) {
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

    /// Whether an import of `module` may stand where the import at `extent` stands: in a section of its own kind.
    fn same_section(&self, extent: Span, module: &str) -> bool {
        let entries = self.entries();
        let own = self.is_own(module);
        let Some(old) = entries.iter().find(|(s, _)| *s == extent) else {
            return true;
        };
        if self.is_own(&old.1) == own {
            return true;
        }
        let index = self.file.index();
        let line = index.line_start(extent.start);
        let next = index.next_line(self.file.text(), extent.end);
        let others = || entries.iter().filter(|(s, _)| *s != extent);
        let beside = others().any(|(s, _)| {
            index.line_start(s.start) == next || index.next_line(self.file.text(), s.end) == line
        });
        let elsewhere = others().any(|(_, name)| self.is_own(name) == own);
        !beside && !elsewhere
    }

    /// Removes a whole import statement, or puts the needed `import` in its place.
    pub(super) fn replace_statement(&mut self, extent: Span, sole: bool, top: bool) {
        let index = self.file.index();
        let text = self.file.text();
        if top && let Some(module) = self.modules.first().cloned() {
            let block = self.block_around(extent);
            let others: Vec<&(Span, String)> = block.iter().filter(|(s, _)| *s != extent).collect();
            let sorted = block.windows(2).all(|w| matches!(w, [a, b] if a.1 <= b.1));
            let fits = others
                .iter()
                .all(|(s, name)| (name < &module) == (*s < extent));
            if (others.is_empty() || !sorted || fits) && self.same_section(extent, &module) {
                self.modules.remove(0);
                self.edits
                    .push(Edit::replace(extent, format!("import {module}")));
                self.retaken.push((extent, module));
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
        let all = start == 0 || opens_a_block;
        let mut gap = start;
        // A block of its own goes with the blank lines between it and the next, but for those that were above.
        while blank(end) && (all || (gap > 0 && blank(index.line_start(gap - 1)))) {
            gap = index.line_start(gap.saturating_sub(1));
            end = index.next_line(text, end);
        }
        let start = match text.get(start..extent.start) {
            Some(margin) if margin.starts_with('\u{feff}') => start + '\u{feff}'.len_utf8(),
            _ => start,
        };
        self.edits.push(Edit::replace(Span::new(start, end), ""));
    }

    pub(super) fn alone_on_lines(&self, extent: Span) -> bool {
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

    pub(super) fn drop_aliases(
        &mut self,
        names: &[ast::Alias],
        dropped: &[bool],
        replaceable: bool,
    ) {
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
