//! A load that already stands in a `try`, or under `contextlib.suppress`: whether that catches what JSON raises, or can be
//! made to.

use super::Reason;
use super::raised::{Catch, Raised, qualified};
use crate::pack::Rewrite;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, ExceptHandler, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::{Edit, Span};

/// What the `try` statements around a load mean for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// A handler catches everything that is needed: it stays.
    Caught,
    /// The load is all the `try` does, and this edit makes its handler catch what is needed.
    Amend(Edit),
    /// A handler answers to an error that the new call never raises, and to nothing that it does raise.
    Lost,
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
    let around = around(file, statement);
    if around
        .iter()
        .any(|c| c.loses(file, statement, catch, rewrite))
    {
        return Attempt::Lost;
    }
    for catcher in around {
        let names = catcher.caught(file);
        let alone = matches!(catcher.body(), [only] if span(only) == statement);
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
                let edit = catcher.amend(file, n, &catch.all, rewrite);
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
    around(file, statement).into_iter().any(|catcher| {
        let names: Vec<String> = catcher.caught(file).concat();
        let errors = errors.iter().map(|error| Raised {
            text: error.clone(),
            name: error.clone(),
        });
        errors.into_iter().all(|error| error.caught_by(&names))
    })
}

/// Whether an exception raised at `statement` could be caught before the framework sees it.
pub(super) fn swallowed(file: &SourceFile, statement: Span) -> Result<(), Reason> {
    for catcher in around(file, statement) {
        let Catcher::Handlers(_) = catcher else {
            return Err(Reason::ReplySwallowed);
        };
        for names in catcher.caught(file) {
            let foreign = names.is_empty() || names.iter().any(|n| !n.starts_with("builtins."));
            if foreign {
                return Err(Reason::ReplySwallowed);
            }
        }
    }
    Ok(())
}

/// Whether `statement` runs in a handler of `except*`: nothing may be returned there, and what is raised is put into a
/// group.
pub(super) fn in_a_group(file: &SourceFile, statement: Span) -> bool {
    let mut nodes = function_ancestors(file, statement).into_iter();
    nodes.any(|node| match node {
        AnyNodeRef::StmtTry(node) if node.is_star => {
            node.handlers.iter().any(|h| span(h).contains(statement))
        }
        _ => false,
    })
}

/// Whether something around `statement`, in its function, catches errors of the old call and not those of the new one.
pub(super) fn misses(file: &SourceFile, statement: Span, rewrite: &Rewrite) -> bool {
    let of_old =
        |name: &String| rewrite.errors.contains(name) || rewrite.lost_errors.contains(name);
    let catchers = around(file, statement).into_iter();
    let mut handlers = catchers.flat_map(|catcher| catcher.caught(file));
    handlers.any(|names| {
        let mut new = rewrite.catch.iter().map(|name| Raised {
            text: name.clone(),
            name: name.clone(),
        });
        names.iter().any(of_old) && !new.all(|error| error.caught_by(&names))
    })
}

/// Whether a handler around `statement` reads by the new call what the old one refused: there would be nobody left to answer.
pub(super) fn reads_instead(file: &SourceFile, statement: Span, becomes: &str) -> bool {
    let handlers = around(file, statement)
        .into_iter()
        .flat_map(|catcher| match catcher {
            Catcher::Handlers(node) => node.handlers.as_slice(),
            Catcher::Suppress(..) => &[],
        });
    let mut calls =
        handlers.flat_map(|ExceptHandler::ExceptHandler(handler)| calls_in(&handler.body));
    calls.any(|call| {
        let names = file.names(file.scopes().at(span(call).start), &call.func);
        names.iter().any(|name| name == becomes)
    })
}

/// The calls in `body`, but for those in functions that it defines.
pub(super) fn calls_in(body: &[Stmt]) -> Vec<&ast::ExprCall> {
    struct Calls<'a>(Vec<&'a ast::ExprCall>);
    impl<'a> Visitor<'a> for Calls<'a> {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                visitor::walk_stmt(self, stmt);
            }
        }
        fn visit_expr(&mut self, expr: &'a Expr) {
            if let Expr::Call(call) = expr {
                self.0.push(call);
            }
            visitor::walk_expr(self, expr);
        }
    }
    let mut calls = Calls(Vec::new());
    calls.visit_body(body);
    calls.0
}

/// What catches exceptions of the statements in it.
enum Catcher<'f> {
    Handlers(&'f ast::StmtTry),
    /// `with contextlib.suppress(...)`.
    Suppress(&'f ast::StmtWith, &'f ast::ExprCall),
}

impl<'f> Catcher<'f> {
    fn body(&self) -> &'f [Stmt] {
        match self {
            Catcher::Handlers(node) => &node.body,
            Catcher::Suppress(node, _) => &node.body,
        }
    }

    /// Qualified names of what is caught, by handler.
    fn caught(&self, file: &SourceFile) -> Vec<Vec<String>> {
        match self {
            Catcher::Handlers(node) => node.handlers.iter().map(|h| caught(file, h)).collect(),
            Catcher::Suppress(_, call) => {
                let errors = call.arguments.args.iter();
                vec![errors.map(|error| name_of(file, error)).collect()]
            }
        }
    }

    /// Whether an answer of a handler's own would never be given again: to empty input, say, which raises something else now.
    fn loses(&self, file: &SourceFile, statement: Span, catch: &Catch, rewrite: &Rewrite) -> bool {
        let alone = matches!(self.body(), [only] if span(only) == statement);
        let handlers = self.caught(file);
        let stays = |names: &Vec<String>| {
            let old = names.iter().any(|name| rewrite.errors.contains(name));
            let is = |error: &Raised| error.caught_by(names);
            alone && (old || catch.all.iter().any(is)) || catch.refusal.iter().all(is)
        };
        let raised = |name: &String| catch.all.iter().any(|error| qualified(error) == *name);
        let lost = |names: &Vec<String>| {
            let mut of_old = rewrite.lost_errors.iter().chain(&rewrite.errors);
            of_old.any(|name| names.contains(name) && !raised(name)) && !stays(names)
        };
        handlers.iter().enumerate().any(|(n, names)| {
            let says = self.answer(file, n);
            let mut others = handlers.iter().enumerate();
            lost(names)
                && !others.any(|(m, names)| m != n && stays(names) && self.answer(file, m) == says)
        })
    }

    /// What the `n`th handler does, as it is written.
    fn answer(&self, file: &'f SourceFile, n: usize) -> &'f str {
        match self {
            Catcher::Handlers(node) => match node.handlers.get(n) {
                Some(ExceptHandler::ExceptHandler(handler)) => {
                    let (first, last) = (handler.body.first(), handler.body.last());
                    let extent = first.zip(last);
                    extent.map_or("", |(first, last)| {
                        file.slice(Span::new(span(first).start, span(last).end))
                    })
                }
                None => "",
            },
            Catcher::Suppress(..) => "",
        }
    }

    /// The edit that makes the `n`th handler catch `needed`.
    fn amend(
        &self,
        file: &SourceFile,
        n: usize,
        needed: &[Raised],
        rewrite: &Rewrite,
    ) -> Option<Edit> {
        match self {
            Catcher::Handlers(node) => {
                let ExceptHandler::ExceptHandler(handler) = node.handlers.get(n)?;
                let kind = handler.type_.as_deref()?;
                let parts = match kind {
                    Expr::Tuple(tuple) => tuple.elts.as_slice(),
                    one => std::slice::from_ref(one),
                };
                let text = match amended(file, parts, needed, rewrite).as_slice() {
                    [one] => one.clone(),
                    many => format!("({})", many.join(", ")),
                };
                changed(file, span(kind), text)
            }
            Catcher::Suppress(_, call) => {
                let errors = &*call.arguments.args;
                let extent = Span::new(span(errors.first()?).start, span(errors.last()?).end);
                let text = amended(file, errors, needed, rewrite).join(", ");
                changed(file, extent, text)
            }
        }
    }
}

/// What catches exceptions of `statement`, innermost first, up to its function.
fn around(file: &SourceFile, statement: Span) -> Vec<Catcher<'_>> {
    let holds = |body: &[Stmt]| body.iter().any(|s| span(s).contains(statement));
    let mut found = Vec::new();
    for node in function_ancestors(file, statement) {
        match node {
            AnyNodeRef::StmtTry(node) if holds(&node.body) => found.push(Catcher::Handlers(node)),
            AnyNodeRef::StmtWith(node) if holds(&node.body) => {
                let calls = node.items.iter().rev();
                let calls = calls.filter_map(|item| item.context_expr.as_call_expr());
                let suppress = calls.filter(|call| suppresses(file, call));
                found.extend(suppress.map(|call| Catcher::Suppress(node, call)));
            }
            _ => {}
        }
    }
    found
}

fn suppresses(file: &SourceFile, call: &ast::ExprCall) -> bool {
    let scope = file.scopes().at(span(call).start);
    let names = file.names(scope, &call.func);
    names.iter().any(|name| name == "contextlib.suppress")
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
    match handler.type_.as_deref() {
        None => vec!["builtins.BaseException".to_owned()],
        Some(Expr::Tuple(tuple)) => tuple.elts.iter().map(|e| name_of(file, e)).collect(),
        Some(expr) => vec![name_of(file, expr)],
    }
}

/// The qualified name of an exception, empty when it is not known.
fn name_of(file: &SourceFile, error: &Expr) -> String {
    let scope = file.scopes().at(span(error).start);
    let mut names = file.names(scope, error);
    names.sort();
    names.into_iter().next().unwrap_or_default()
}

/// `parts`, which are caught, with `needed` and without what only the old library raised.
fn amended(file: &SourceFile, parts: &[Expr], needed: &[Raised], rewrite: &Rewrite) -> Vec<String> {
    let old = |expr: &Expr| rewrite.errors.contains(&name_of(file, expr));
    let mut texts: Vec<String> = parts
        .iter()
        .filter(|part| !old(part))
        .map(|part: &Expr| file.slice(span(part)).to_owned())
        .filter(|text| !needed.iter().any(|error| error.text == *text))
        .collect();
    texts.extend(needed.iter().map(|error| error.text.clone()));
    texts
}

fn changed(file: &SourceFile, extent: Span, text: String) -> Option<Edit> {
    (file.slice(extent) != text).then(|| Edit::replace(extent, text))
}
