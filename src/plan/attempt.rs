//! A load that already stands in a `try`: whether a handler there catches what JSON raises, or can be made to.

use super::Reason;
use super::raised::{Catch, Raised};
use crate::pack::Rewrite;
use crate::python::ast::{self, AnyNodeRef, ExceptHandler, Expr};
use crate::python::{SourceFile, span};
use crate::text::{Edit, Span};

/// What the `try` statements around a load mean for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// A handler catches everything that is needed: it stays.
    Caught,
    /// The load is all the `try` does, and this edit makes its handler catch what is needed.
    Amend(Edit),
    /// Nothing around the load catches it.
    Open,
}

/// How the `try` statements around `statement` treat the exceptions of `catch`.
pub(super) fn attempt(
    file: &SourceFile,
    statement: Span,
    catch: &Catch,
    rewrite: &Rewrite,
) -> Attempt {
    for node in around(file, statement) {
        let names: Vec<Vec<String>> = node
            .handlers
            .iter()
            .map(|handler| caught(file, handler))
            .collect();
        let alone = matches!(node.body.as_slice(), [only] if span(only) == statement);
        let all: Vec<String> = names.iter().flatten().cloned().collect();
        let amendable = names.iter().position(|names| {
            let old = names.iter().any(|name| rewrite.errors.contains(name));
            let partly = catch.all.iter().any(|error| error.caught_by(names));
            (old || partly) && !names.iter().any(|name| name.is_empty())
        });
        let everything = catch.refusal.iter().all(|error| error.caught_by(&all));
        let old_named = all.iter().any(|name| rewrite.errors.contains(name));
        match amendable {
            Some(n) if alone && (old_named || !everything) => {
                let handler = node.handlers.get(n);
                let edit = handler.and_then(|h| amend(file, h, &catch.all, rewrite));
                match edit {
                    Some(edit) => return Attempt::Amend(edit),
                    None if everything => return Attempt::Caught,
                    None => {}
                }
            }
            _ if everything => return Attempt::Caught,
            _ => {}
        }
    }
    Attempt::Open
}

/// Whether a `try` around `place`, in its function, catches all of `errors`.
pub(super) fn catches(file: &SourceFile, place: Span, errors: &[String]) -> bool {
    let statement = super::wrap::statement_of(file, place).map_or(place, |(span, _)| span);
    around(file, statement).into_iter().any(|node| {
        let names: Vec<String> = node
            .handlers
            .iter()
            .flat_map(|handler| caught(file, handler))
            .collect();
        let errors = errors.iter().map(|error| Raised {
            text: error.clone(),
            name: error.clone(),
        });
        errors.into_iter().all(|error| error.caught_by(&names))
    })
}

/// Whether an exception raised at `statement` could be caught before the framework sees it.
pub(super) fn swallowed(file: &SourceFile, statement: Span) -> Result<(), Reason> {
    for node in around(file, statement) {
        for handler in &node.handlers {
            let names = caught(file, handler);
            let foreign = names.is_empty() || names.iter().any(|n| !n.starts_with("builtins."));
            if foreign {
                return Err(Reason::ReplySwallowed);
            }
        }
    }
    let suppressed = function_ancestors(file, statement)
        .into_iter()
        .any(|node| match node {
            AnyNodeRef::StmtWith(node) => node.items.iter().any(|item| {
                let scope = file.scopes().at(statement.start);
                let call = item.context_expr.as_call_expr();
                call.is_some_and(|call| {
                    let names = file.names(scope, &call.func);
                    names.iter().any(|name| name == "contextlib.suppress")
                })
            }),
            _ => false,
        });
    match suppressed {
        true => Err(Reason::ReplySwallowed),
        false => Ok(()),
    }
}

/// `try` statements in whose body `statement` stands, innermost first, up to its function.
fn around(file: &SourceFile, statement: Span) -> Vec<&ast::StmtTry> {
    let in_body = |node: &ast::StmtTry| node.body.iter().any(|s| span(s).contains(statement));
    function_ancestors(file, statement)
        .into_iter()
        .filter_map(|node| match node {
            AnyNodeRef::StmtTry(node) if in_body(node) => Some(node),
            _ => None,
        })
        .collect()
}

/// Nodes around `statement`, innermost first, up to its function.
pub(super) fn function_ancestors(file: &SourceFile, statement: Span) -> Vec<AnyNodeRef<'_>> {
    let nodes = file.ancestors(statement).into_iter().rev();
    nodes
        .take_while(|node| {
            !matches!(
                node,
                AnyNodeRef::StmtFunctionDef(_) | AnyNodeRef::StmtClassDef(_)
            )
        })
        .collect()
}

/// Qualified names of what `handler` catches; everything, for a bare `except`, is `BaseException`.
fn caught(file: &SourceFile, handler: &ExceptHandler) -> Vec<String> {
    let ExceptHandler::ExceptHandler(handler) = handler;
    let scope = file.scopes().at(span(handler).start);
    let name = |expr: &Expr| {
        let mut names = file.names(scope, expr);
        names.sort();
        names.into_iter().next().unwrap_or_default()
    };
    match handler.type_.as_deref() {
        None => vec!["builtins.BaseException".to_owned()],
        Some(Expr::Tuple(tuple)) => tuple.elts.iter().map(name).collect(),
        Some(expr) => vec![name(expr)],
    }
}

/// The edit that makes `handler` catch `needed` and no longer what only the old library raised.
fn amend(
    file: &SourceFile,
    handler: &ExceptHandler,
    needed: &[Raised],
    rewrite: &Rewrite,
) -> Option<Edit> {
    let ExceptHandler::ExceptHandler(handler) = handler;
    let kind = handler.type_.as_deref()?;
    let parts = match kind {
        Expr::Tuple(tuple) => tuple.elts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let scope = file.scopes().at(span(handler).start);
    let old = |expr: &Expr| {
        file.names(scope, expr)
            .iter()
            .any(|n| rewrite.errors.contains(n))
    };
    let mut texts: Vec<String> = parts
        .iter()
        .filter(|part| !old(part))
        .map(|part: &Expr| file.slice(span(part)).to_owned())
        .filter(|text| !needed.iter().any(|error| error.text == *text))
        .collect();
    texts.extend(needed.iter().map(|error| error.text.clone()));
    let text = match texts.as_slice() {
        [one] => one.clone(),
        many => format!("({})", many.join(", ")),
    };
    let extent = span(kind);
    (file.slice(extent) != text).then(|| Edit::replace(extent, text))
}
