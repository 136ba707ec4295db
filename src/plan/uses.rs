//! Whether a loaded value is used in ways that JSON values allow.
//!
//! Invariant: errs towards refusing. A use that is not known to suit plain data is an obstacle.

use std::collections::HashSet;

use super::call::whole;
use super::content::snippet;
use super::groups::Note;
use super::{Planner, Reason};
use crate::pack::Rewrite;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{AnyNodeRef, Expr, Stmt};
use crate::python::{ScopeId, SourceFile, span};
use crate::text::Span;
use crate::trace::{Doing, Finding, Place};

/// Whether what `load`, the call of `finding`, gives is used as the new call's values can be, in its own function and
/// wherever else it goes; where nothing is known of those, nothing is asked.
pub(super) fn uses(
    file: &SourceFile,
    finding: &Finding,
    load: Span,
    rewrite: &Rewrite,
) -> Result<(), Reason> {
    match obstacle(file, finding, load, rewrite) {
        Some((reason, _)) => Err(reason),
        None => Ok(()),
    }
}

/// The use that speaks against the new call.
fn obstacle(
    file: &SourceFile,
    finding: &Finding,
    load: Span,
    rewrite: &Rewrite,
) -> Option<(Reason, Place)> {
    if rewrite.value_methods.is_empty() {
        return None;
    }
    let here = nearby(file, load, rewrite).map(|(reason, span)| {
        let file = finding.place.file;
        (reason, Place { file, span })
    });
    let mut anywhere = finding.uses.iter();
    here.or_else(|| anywhere.find_map(|used| Some((speaks(&used.doing, rewrite)?, used.at))))
}

impl Planner<'_> {
    /// Which use of what `finding` loads is the reason for leaving it.
    pub(super) fn decisive_use(&self, finding: &Finding, why: Option<Reason>) -> Option<Note> {
        let by_use = [
            Reason::ValueHasAttributes,
            Reason::ValueIsCalled,
            Reason::ValueHasType,
        ];
        if !why.is_some_and(|why| by_use.contains(&why)) {
            return None;
        }
        let (transform, sink) = self.model.sink_row(finding.sink)?;
        let file = self.project.source(finding.place.file);
        if file.unparsed().is_some() {
            return None;
        }
        let load = whole(file, finding, sink).ok()?;
        let rewrite = transform.rewrite.as_ref()?;
        let (reason, at) = obstacle(file, finding, load, rewrite)?;
        (why == Some(reason)).then(|| Note {
            code: reason.code(),
            text: format!(
                "{}: a use of the loaded value",
                snippet(self.project.source(at.file), at.span)
            ),
            at: Some(at),
        })
    }
}

/// Why values of the new call cannot be used so, if they cannot.
fn speaks(doing: &Doing, rewrite: &Rewrite) -> Option<Reason> {
    let listed = |rows: &[String], name: &String| {
        rows.iter().any(|row| match row.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => row == name,
        })
    };
    // `datetime.now().isoformat()` is text.
    let made = |rows: &[String], name: &String| {
        let last = name.rsplit('.').next().unwrap_or(name);
        listed(rows, name) && !rewrite.plain_methods.iter().any(|method| method == last)
    };
    let against = match doing {
        Doing::Attribute(name) => return allowed(name, rewrite).err(),
        Doing::Called => return Some(Reason::ValueIsCalled),
        // `isinstance(x, (dict, Cart))` still works for one of them.
        Doing::Tested(names) => !names.iter().any(|name| rewrite.value_types.contains(name)),
        Doing::Beside(what) => {
            made(&rewrite.foreign_terms, what) || made(&rewrite.foreign_factors, what)
        }
        Doing::Times(what) => made(&rewrite.foreign_factors, what),
        Doing::Key(what) => listed(&rewrite.foreign_keys, what),
        Doing::Given(name) => listed(&rewrite.foreign_arguments, name),
    };
    against.then_some(Reason::ValueHasType)
}

/// The same, in the function around `load` alone, by names.
fn nearby(file: &SourceFile, load: Span, rewrite: &Rewrite) -> Option<(Reason, Span)> {
    let ancestors = file.ancestors(load);
    let mut nodes = ancestors.iter().rev().filter(|node| span(*node) != load);
    match nodes.next() {
        Some(AnyNodeRef::ExprAttribute(node)) => {
            if let Err(reason) = allowed(&node.attr, rewrite) {
                return Some((reason, span(*node)));
            }
        }
        Some(AnyNodeRef::ExprCall(node)) if span(&*node.func) == load => {
            return Some((Reason::ValueIsCalled, span(*node)));
        }
        Some(AnyNodeRef::ExprAwait(node)) => return Some((Reason::ValueIsCalled, span(*node))),
        Some(AnyNodeRef::WithItem(node)) => {
            return Some((Reason::ValueHasAttributes, span(*node)));
        }
        _ => {}
    }
    let body = ancestors.iter().rev().find_map(|node| match node {
        AnyNodeRef::StmtFunctionDef(node) => Some(node.body.as_slice()),
        _ => None,
    });
    let body = body.unwrap_or(&file.module().body);
    let mut watch = Watch {
        file,
        rewrite,
        scope: file.scopes().at(load.start),
        load,
        names: HashSet::new(),
        obstacle: None,
    };
    // Names that hold the value or a part of it; parts of parts need another round.
    for _ in 0..3 {
        let before = watch.names.len();
        watch.visit_body(body);
        if watch.names.len() == before {
            break;
        }
    }
    watch.obstacle
}

fn allowed(attribute: &str, rewrite: &Rewrite) -> Result<(), Reason> {
    match rewrite
        .value_methods
        .iter()
        .any(|method| method == attribute)
    {
        true => Ok(()),
        false => Err(Reason::ValueHasAttributes),
    }
}

struct Watch<'f> {
    file: &'f SourceFile,
    rewrite: &'f Rewrite,
    scope: ScopeId,
    load: Span,
    names: HashSet<String>,
    obstacle: Option<(Reason, Span)>,
}

impl Watch<'_> {
    /// Whether `expr` is the loaded value or a part of it.
    fn is_value(&self, expr: &Expr) -> bool {
        if span(expr) == self.load {
            return true;
        }
        match expr {
            Expr::Name(name) => {
                span(expr).start > self.load.end && self.names.contains(name.id.as_str())
            }
            Expr::Subscript(node) => self.is_value(&node.value),
            Expr::Named(node) => self.is_value(&node.value),
            Expr::Call(node) => match &*node.func {
                Expr::Attribute(attribute) => {
                    matches!(
                        attribute.attr.as_str(),
                        "get" | "pop" | "items" | "values" | "copy" | "setdefault"
                    ) && self.is_value(&attribute.value)
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn hold(&mut self, target: &Expr) {
        match target {
            Expr::Name(name) => {
                self.names.insert(name.id.to_string());
            }
            Expr::Tuple(tuple) => {
                for part in &tuple.elts {
                    self.hold(part);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, reason: Reason, at: Span) {
        self.obstacle.get_or_insert((reason, at));
    }
}

impl<'a> Visitor<'a> for Watch<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Assign(node) if self.is_value(&node.value) => {
                for target in &node.targets {
                    self.hold(target);
                }
            }
            Stmt::AnnAssign(node) if node.value.as_deref().is_some_and(|v| self.is_value(v)) => {
                self.hold(&node.target);
            }
            Stmt::For(node) if self.is_value(&node.iter) => self.hold(&node.target),
            Stmt::With(node) => {
                for item in &node.items {
                    if self.is_value(&item.context_expr) {
                        self.note(Reason::ValueHasAttributes, span(item));
                    }
                }
            }
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_comprehension(&mut self, comprehension: &'a crate::python::ast::Comprehension) {
        if self.is_value(&comprehension.iter) {
            self.hold(&comprehension.target);
        }
        visitor::walk_comprehension(self, comprehension);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Attribute(node) if self.is_value(&node.value) => {
                if let Err(reason) = allowed(&node.attr, self.rewrite) {
                    self.note(reason, span(expr));
                }
            }
            Expr::Call(node) if self.is_value(&node.func) => {
                self.note(Reason::ValueIsCalled, span(expr));
            }
            Expr::Await(node) if self.is_value(&node.value) => {
                self.note(Reason::ValueIsCalled, span(expr));
            }
            Expr::Named(node) if self.is_value(&node.value) => self.hold(&node.target),
            Expr::Call(node) => {
                let tested = node
                    .arguments
                    .args
                    .first()
                    .is_some_and(|arg| self.is_value(arg));
                let names = || self.file.names(self.scope, &node.func);
                if tested && names().iter().any(|n| n == "builtins.isinstance") {
                    let kinds = match node.arguments.args.get(1) {
                        Some(Expr::Tuple(tuple)) => tuple.elts.as_slice(),
                        Some(one) => std::slice::from_ref(one),
                        None => &[],
                    };
                    let plain = |kind: &Expr| {
                        let names = self.file.names(self.scope, kind);
                        names.iter().any(|n| self.rewrite.value_types.contains(n))
                    };
                    // `isinstance(x, (dict, Cart))` still works for one of them.
                    if !kinds.iter().any(plain) {
                        self.note(Reason::ValueHasType, span(expr));
                    }
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}
