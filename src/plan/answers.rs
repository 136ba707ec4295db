//! Answers that the program gives, away from the load, to errors that the new call never raises: a framework's error handler,
//! a wrapper around the handler, a helper between them.
//!
//! Invariant: what is caught where a load of its own stands is no such answer.

use super::Planner;
use super::attempt::misses;
use super::wrap::statement_of;
use crate::pack::Rewrite;
use crate::python::ast::{self, AnyNodeRef, Expr};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, is_test};

impl Planner<'_> {
    /// Whether an `except` around a call between the handler and the load of `finding` would not see its errors any more.
    pub(super) fn missed_between(&self, finding: &Finding, rewrite: &Rewrite) -> bool {
        let between = finding.routes.iter().flat_map(|route| {
            let guarded = usize::from(route.handler.is_some());
            route.chain.iter().skip(guarded)
        });
        let mut places = between.map(|call| call.place);
        places.any(|place| {
            let file = self.project.source(place.file);
            let statement = statement_of(file, place.span);
            statement.is_some_and(|(statement, _)| misses(file, statement, rewrite))
        })
    }

    /// Whether what the old call raised, and the new one does not, is answered by somebody who is told its name.
    pub(super) fn answered_elsewhere(&self, rewrite: &Rewrite) -> bool {
        let errors = || rewrite.errors.iter().chain(&rewrite.lost_errors);
        let mut known = self.once.answered.borrow_mut();
        let key: String = errors().map(String::as_str).collect();
        let look = || {
            let mut last: Vec<&str> = errors().filter_map(|e| e.rsplit('.').next()).collect();
            last.sort_unstable();
            last.dedup();
            self.project.ids().any(|id| {
                let bytes = self.project.bytes(id);
                let said = last
                    .iter()
                    .any(|name| memchr::memmem::find(bytes, name.as_bytes()).is_some());
                said && !is_test(self.project.path(id)) && {
                    let file = self.project.source(id);
                    let chains = file.scopes().chains().iter();
                    let mut named = chains.filter_map(|chain| {
                        let names = file.scopes().resolve(chain.scope, &chain.parts);
                        let is =
                            |errors: &[String]| errors.iter().any(|error| names.contains(error));
                        let own = is(&rewrite.errors);
                        (own || is(&rewrite.lost_errors)).then_some((chain.span, own))
                    });
                    named.any(|(name, own)| answers(file, name, own))
                }
            })
        };
        *known.entry(key).or_insert_with(look)
    }
}

/// Whether the error at `name` is told to somebody who answers to it: `@app.errorhandler(E)`, `{E: answer}`,
/// `isinstance(error, E)`; or caught around what a function was given to call.
fn answers(file: &SourceFile, name: Span, own: bool) -> bool {
    let nodes = file.ancestors(name);
    for node in nodes.iter().rev() {
        match node {
            AnyNodeRef::ExceptHandlerExceptHandler(handler) => {
                let kind = handler.type_.as_deref();
                return kind.is_some_and(|kind| span(kind).contains(name))
                    && around_given(file, span(*handler));
            }
            AnyNodeRef::ExprCall(call) => {
                let given = |expr: &Expr| span(expr).contains(name);
                let keywords = call.arguments.keywords.iter().map(|k| &k.value);
                let told = call.arguments.args.iter().chain(keywords).any(given);
                return told && listens(file, call, own) && !is_raised(&nodes, span(*call));
            }
            AnyNodeRef::ExprDict(node) => {
                return node
                    .items
                    .iter()
                    .any(|item| item.key.as_ref().is_some_and(|key| span(key) == name));
            }
            AnyNodeRef::ExprTuple(_)
            | AnyNodeRef::ExprList(_)
            | AnyNodeRef::ExprAttribute(_)
            | AnyNodeRef::ExprName(_)
            | AnyNodeRef::Keyword(_)
            | AnyNodeRef::Arguments(_) => {}
            _ => return false,
        }
    }
    false
}

/// Whether `call` is told of an error to answer to it. Of errors that others raise as well, and not only the old library
/// (`own`), its name has to say so.
fn listens(file: &SourceFile, call: &ast::ExprCall, own: bool) -> bool {
    let names = file.names(file.scopes().at(span(call).start), &call.func);
    let last = match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(node) => node.attr.as_str(),
        _ => "",
    };
    let says_so = last.contains("error") || last.contains("exception");
    (own || says_so) && !names.iter().any(|name| name == "contextlib.suppress")
}

/// Whether the call at `call` is what is raised: `raise CartError(UnpicklingError)`.
fn is_raised(nodes: &[AnyNodeRef<'_>], call: Span) -> bool {
    nodes.iter().any(|node| match node {
        AnyNodeRef::StmtRaise(node) => node.exc.as_deref().is_some_and(|exc| span(exc) == call),
        _ => false,
    })
}

/// Whether the `try` of `handler` stands around a call of what its function, or one around it, was given: `view(*args)`,
/// `await call_next(request)`, `self.get_response(request)`, `super().dispatch(request)`.
fn around_given(file: &SourceFile, handler: Span) -> bool {
    let nodes = file.ancestors(handler);
    let attempt = nodes.iter().rev().find_map(|node| match node {
        AnyNodeRef::StmtTry(node) => Some(*node),
        _ => None,
    });
    let parameters = nodes.iter().filter_map(|node| match node {
        AnyNodeRef::StmtFunctionDef(node) => Some(&node.parameters),
        _ => None,
    });
    let given: Vec<&str> = parameters
        .flat_map(|p| p.iter())
        .map(|p| p.name().as_str())
        .collect();
    let class = nodes.iter().rev().find_map(|node| match node {
        AnyNodeRef::StmtClassDef(node) => Some(file.slice(span(*node))),
        _ => None,
    });
    let kept = |name: &str| class.is_some_and(|text| text.contains(&format!("self.{name} = ")));
    let is_given = |callee: &Expr| match callee {
        Expr::Name(name) => given.contains(&name.id.as_str()),
        Expr::Attribute(node) => match &*node.value {
            Expr::Name(owner) => owner.id == "self" && kept(&node.attr),
            Expr::Call(call) => call
                .func
                .as_name_expr()
                .is_some_and(|name| name.id == "super"),
            _ => false,
        },
        _ => false,
    };
    let body = attempt.map_or(&[][..], |attempt| &attempt.body);
    super::attempt::calls_in(body)
        .iter()
        .any(|call| is_given(&call.func))
}
