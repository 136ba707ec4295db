//! Whether a loaded value is used in ways that JSON values allow.
//!
//! Invariant: errs towards refusing. A use that is not known to suit plain data is an obstacle.

use std::collections::HashSet;

use super::Reason;
use crate::pack::Rewrite;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{AnyNodeRef, Expr, Stmt};
use crate::python::{ScopeId, SourceFile, span};
use crate::text::Span;

/// Whether what `load` gives, in `file`, is used in its function as the new call's values can be; where nothing is
/// known of those, nothing is asked.
pub(super) fn uses(file: &SourceFile, load: Span, rewrite: &Rewrite) -> Result<(), Reason> {
    if rewrite.value_methods.is_empty() {
        return Ok(());
    }
    let ancestors = file.ancestors(load);
    let mut nodes = ancestors.iter().rev().filter(|node| span(*node) != load);
    match nodes.next() {
        Some(AnyNodeRef::ExprAttribute(node)) => allowed(&node.attr, rewrite)?,
        Some(AnyNodeRef::ExprCall(node)) if span(&*node.func) == load => {
            return Err(Reason::ValueIsCalled);
        }
        Some(AnyNodeRef::ExprAwait(_)) => return Err(Reason::ValueIsCalled),
        Some(AnyNodeRef::WithItem(_)) => return Err(Reason::ValueHasAttributes),
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
    match watch.obstacle {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
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
    obstacle: Option<Reason>,
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

    fn note(&mut self, reason: Reason) {
        self.obstacle.get_or_insert(reason);
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
                        self.note(Reason::ValueHasAttributes);
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
                    self.note(reason);
                }
            }
            Expr::Call(node) if self.is_value(&node.func) => self.note(Reason::ValueIsCalled),
            Expr::Await(node) if self.is_value(&node.value) => self.note(Reason::ValueIsCalled),
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
                        self.note(Reason::ValueHasType);
                    }
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}
