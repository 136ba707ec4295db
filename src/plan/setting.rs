//! A setting that chooses pickle, by a literal or a name, made to choose what is plain.

use super::names::{Need, fill};
use super::{Draft, Planner, Reason};
use crate::pack::Setting;
use crate::python::ast::{AnyNodeRef, Expr};
use crate::python::{Bound, SourceFile, span};
use crate::text::{Edit, Span};
use crate::trace::Finding;

impl Planner<'_> {
    /// The swap of `setting`'s value at `finding`: a suggestion, since nothing shows which values go that way.
    pub(super) fn setting(
        &mut self,
        finding: &Finding,
        setting: &Setting,
    ) -> Result<Draft, Reason> {
        let id = finding.place.file;
        let file = self.project.source(id);
        let value = finding.place.span;
        let mut draft = Draft {
            suggest: Some(Reason::FormatOfAll),
            ..Draft::default()
        };
        let text = match file.slice(value) {
            literal if literal.ends_with(['"', '\'']) => {
                // `"pickle"` keeps its quotes; a prefix or several parts are no plain literal.
                let quote = literal.chars().next().filter(|c| matches!(c, '"' | '\''));
                let quote = quote.ok_or(Reason::NoRewrite)?;
                format!("{quote}{}{quote}", setting.becomes)
            }
            _ => match setting.name.as_deref() {
                None => return Err(Reason::NoRewrite),
                Some(name) if !name.contains('.') => {
                    draft.need(id, module(file, value.start, name)?);
                    name.to_owned()
                }
                Some(name) => {
                    let (name, call) = name.strip_suffix("()").map_or((name, ""), |n| (n, "()"));
                    let code = format!("{{{name}}}{call}");
                    let filled = fill(file, value.start, &code, false, str::to_owned)?;
                    draft.take(id, filled)
                }
            },
        };
        draft.gone.push((id, value));
        draft.edit(id, [swap(file, value, &text)]);
        Ok(draft)
    }
}

/// The import that the module `name` needs at `offset`, if it is not there.
fn module(file: &SourceFile, offset: usize, name: &str) -> Result<Option<Need>, Reason> {
    let scopes = file.scopes();
    match scopes.lookup(scopes.at(offset), name) {
        None => Ok(Some(Need {
            module: name.to_owned(),
            name: None,
        })),
        Some((_, [Bound::Import(import)])) if import.target == name => Ok(None),
        Some(_) => Err(Reason::NameTaken),
    }
}

/// Puts `text` where `value` stands; in a list that has it already, `value` goes.
fn swap(file: &SourceFile, value: Span, text: &str) -> Edit {
    let parent = file
        .ancestors(value)
        .into_iter()
        .rev()
        .find(|node| span(node) != value);
    let elements: &[Expr] = match &parent {
        Some(AnyNodeRef::ExprList(node)) => &node.elts,
        Some(AnyNodeRef::ExprTuple(node)) => &node.elts,
        Some(AnyNodeRef::ExprSet(node)) => &node.elts,
        _ => &[],
    };
    let plain = |text: &str| text.trim_matches(['"', '\'']).to_owned();
    let there = elements
        .iter()
        .any(|other| span(other) != value && plain(file.slice(span(other))) == plain(text));
    let at = elements.iter().position(|other| span(other) == value);
    let (Some(at), true) = (at, there) else {
        return Edit::replace(value, text);
    };
    let before = at.checked_sub(1).and_then(|n| elements.get(n)).map(span);
    let after = elements.get(at + 1).map(span);
    match (before, after) {
        (_, Some(after)) => Edit::replace(Span::new(value.start, after.start), ""),
        (Some(before), None) => Edit::replace(Span::new(before.end, value.end), ""),
        (None, None) => Edit::replace(value, text),
    }
}
