//! Names of one module that take the place of others: `from yaml import load` becomes `from yaml import safe_load`.

use std::collections::BTreeSet;

use super::Imports;
use super::add::next_in_order;
use crate::plan::names::Need;
use crate::python::ast::{self, Stmt};
use crate::python::{Import, span};
use crate::text::{Edit, Span};

impl Imports<'_> {
    /// Writes `needs` where `unused` names of the same module stand; gives what is left of both.
    pub(super) fn exchange(
        &mut self,
        needs: &BTreeSet<Need>,
        unused: Vec<Import>,
    ) -> (BTreeSet<Need>, Vec<Import>) {
        let (mut needs, mut unused) = (needs.clone(), unused);
        for stmt in &self.file.module().body {
            let Stmt::ImportFrom(node) = stmt else {
                continue;
            };
            let Some(module) = node.module.as_ref().filter(|_| node.level == 0) else {
                continue;
            };
            let goes = |alias: &ast::Alias| unused.iter().any(|i| i.alias == span(alias));
            let wanted: Vec<Need> = needs
                .iter()
                .filter(|need| need.module == module.as_str() && need.name.is_some())
                .cloned()
                .collect();
            if wanted.is_empty() || !node.names.iter().any(goes) {
                continue;
            }
            let names: Vec<&str> = wanted.iter().filter_map(|n| n.name.as_deref()).collect();
            self.edits
                .extend(self.exchanged(&node.names, &goes, &names));
            let here = span(node);
            unused.retain(|import| !here.contains(import.alias));
            needs.retain(|need| !wanted.contains(need));
        }
        (needs, unused)
    }

    /// The edits that put `names` among `aliases` in place of those that go.
    fn exchanged(
        &self,
        aliases: &[ast::Alias],
        goes: &dyn Fn(&ast::Alias) -> bool,
        names: &[&str],
    ) -> Vec<Edit> {
        let (Some(first), Some(last)) = (aliases.first(), aliases.last()) else {
            return Vec::new();
        };
        let extent = Span::new(span(first).start, span(last).end);
        let kept: Vec<&ast::Alias> = aliases.iter().filter(|alias| !goes(alias)).collect();
        let mut all: Vec<&str> = kept.iter().map(|alias| alias.name.as_str()).collect();
        let mut texts: Vec<&str> = kept.iter().map(|a| self.file.slice(span(*a))).collect();
        for name in names {
            let at = next_in_order(&all, name).unwrap_or(all.len());
            all.insert(at, name);
            texts.insert(at, name);
        }
        let lines = self.file.slice(extent);
        if !lines.contains(['\n', '\r', '#', '\\']) {
            return vec![Edit::replace(extent, texts.join(", "))];
        }
        // One name a line: as they stand, with what separates them.
        let mut separator = self.newline.to_owned();
        let line = self.file.index().line_start(span(last).start);
        separator.push_str(self.file.slice(Span::new(line, span(last).start)));
        vec![Edit::replace(extent, texts.join(&format!(",{separator}")))]
    }
}
