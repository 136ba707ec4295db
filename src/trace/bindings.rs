//! What a name is bound to, read off the function around it.

use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{SourceFile, span};

/// The call whose outcome is all that `name` is bound to in its function, by `with` or an assignment.
pub(super) fn entered_as<'a>(
    source: &'a SourceFile,
    name: &'a ast::ExprName,
) -> Option<&'a ast::ExprCall> {
    let function = source.innermost_function(span(name));
    let mut bindings = Bindings {
        name: &name.id,
        values: Vec::new(),
        entered: true,
    };
    bindings.visit_body(function.map_or(&source.module().body, |function| &function.body));
    let mut calls = bindings.values.iter().map(|value| value.as_call_expr());
    // Each of several is asked by its own uses.
    let first = calls.next()??;
    calls
        .all(|call| call.is_some_and(|call| source.slice(span(call)) == source.slice(span(first))))
        .then_some(first)
}

/// What a name is bound to, as far as it says of what kind that is.
pub(super) enum Bound<'a> {
    /// What this call gives.
    Call(&'a ast::ExprCall),
    /// What this annotation says.
    Annotated(&'a Expr),
}

/// What `name` is bound to in the function around it, or else in the module, if all of that is of one kind.
pub(super) fn bound_to<'a>(source: &'a SourceFile, name: &'a ast::ExprName) -> Option<Bound<'a>> {
    let function = source.innermost_function(span(name));
    let mut bindings = Bindings {
        name: &name.id,
        values: Vec::new(),
        entered: false,
    };
    if let Some(function) = function {
        let parameter = function.parameters.iter().find(|p| p.name().id == name.id);
        if let Some(parameter) = parameter {
            return parameter.annotation().map(Bound::Annotated);
        }
        bindings.visit_body(&function.body);
    }
    if bindings.values.is_empty() {
        let body = source.module().body.iter();
        let own = body.filter(|stmt| matches!(stmt, Stmt::Assign(_) | Stmt::AnnAssign(_)));
        own.for_each(|stmt| bindings.visit_stmt(stmt));
    }
    match bindings.values.as_slice() {
        [Expr::Call(call)] => Some(Bound::Call(call)),
        _ => None,
    }
}

/// Finds what is bound to a name.
struct Bindings<'n, 'a> {
    name: &'n str,
    values: Vec<&'a Expr>,
    /// What `with` binds counts too.
    entered: bool,
}

impl<'a> Visitor<'a> for Bindings<'_, 'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let is_name = |target: &Expr| matches!(target, Expr::Name(node) if *node.id == *self.name);
        match stmt {
            Stmt::Assign(node) if node.targets.iter().any(is_name) => self.values.push(&node.value),
            Stmt::AnnAssign(node) if is_name(&node.target) => {
                self.values.extend(node.value.as_deref())
            }
            Stmt::For(node) if is_name(&node.target) => self.values.push(&node.target),
            Stmt::With(node) if self.entered => {
                let bound = node
                    .items
                    .iter()
                    .filter(|i| i.optional_vars.as_deref().is_some_and(is_name));
                self.values.extend(bound.map(|item| &item.context_expr));
            }
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }
}
