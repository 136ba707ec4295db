//! Who answers when a load fails, and the guards around the calls by which handlers come to a load in a helper.

use super::attempt::{Attempt, attempt, catches, function_ancestors, in_a_group};
use super::call::call_at;
use super::guard::{Asked, answer};
use super::load::Placed;
use super::log::logged;
use super::names::Filled;
use super::raised::Cause;
use super::wrap::statement_of;
use super::{Draft, Planner, Reason};
use crate::pack::{Answers, Framework, Model};
use crate::project::Project;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, Handler, Place, Route};

/// Who answers when the load fails.
pub(super) enum Answering<'r> {
    /// The handler that holds the load.
    Handler(&'r Handler),
    /// The function that holds the load, by raising: it reads the framework's request itself.
    Request(&'r str),
    /// The handlers that call down to the load; and whether other code does, too.
    Callers(Vec<(&'r Handler, Place)>, bool),
}

impl<'p> Planner<'p> {
    /// The framework that answers for `handler`, and whether what the handler returns is an answer.
    pub(super) fn framework(&self, handler: &Handler) -> Result<(&'p Framework, bool), Reason> {
        let framework = self.model.framework(handler.framework);
        let answers = handler.described(self.model).map(|row| row.answers);
        match (framework, answers.unwrap_or_default()) {
            (Some(framework), Answers::Any) => Ok((framework, true)),
            (Some(framework), Answers::Raise) => Ok((framework, false)),
            (None, _) | (_, Answers::None) => Err(Reason::NoHandler),
        }
    }

    /// Who answers for `finding`.
    pub(super) fn answering<'f>(&self, finding: &'f Finding) -> Result<Answering<'f>, Reason>
    where
        'p: 'f,
    {
        let routes = &finding.routes;
        let direct = routes.iter().find_map(|route| match &route.handler {
            Some(handler) if route.chain.is_empty() => Some(handler),
            _ => None,
        });
        if let Some(handler) = direct {
            let only = |route: &Route| {
                route.chain.is_empty()
                    && route.handler.as_ref().is_some_and(|h| h.def == handler.def)
            };
            return match routes.iter().all(only) {
                true => Ok(Answering::Handler(handler)),
                false => Err(Reason::HandlerIsCalled),
            };
        }
        if let Some(framework) = self.reads_request(finding) {
            return Ok(Answering::Request(framework));
        }
        let mut callers = Vec::new();
        let mut shared = false;
        for route in routes {
            match (&route.handler, route.chain.first()) {
                (Some(handler), Some(call)) if call.caller == Some(handler.def) => {
                    callers.push((handler, call.place));
                }
                _ => shared = true,
            }
        }
        callers.sort_by_key(|(_, place)| *place);
        callers.dedup_by_key(|(_, place)| *place);
        match callers.is_empty() {
            true => Err(Reason::NoHandler),
            false => Ok(Answering::Callers(callers, shared)),
        }
    }

    /// The framework whose global request the function that holds the load reads itself: raising answers there.
    pub(super) fn reads_request(&self, finding: &Finding) -> Option<&'p str> {
        let source = finding.path.as_ref()?.hops().first()?.place;
        let file = self.project.source(source.file);
        let same_function = source.file == finding.place.file
            && file.innermost_function(source.span) == file.innermost_function(finding.place.span)
            && file.innermost_function(source.span).is_some();
        let read = same_function.then(|| {
            file.scopes().chains().iter().find_map(|chain| {
                let inside = source.span.contains(chain.span) || chain.span.contains(source.span);
                if !inside {
                    return None;
                }
                // `request.data` and `flask.request.data` alike.
                (1..=chain.parts.len()).find_map(|n| {
                    let names = file.scopes().resolve(chain.scope, chain.parts.get(..n)?);
                    names.iter().find_map(|name| self.model.source(name))
                })
            })
        })??;
        let framework = self.model.frameworks.iter().find(|framework| {
            let own = || framework.sources.iter().any(|row| row.names == read.names);
            match &read.is {
                Some(object) => framework.objects.iter().any(|o| o.name == *object),
                None => read.of_request && own(),
            }
        })?;
        Some(framework.id.as_str())
    }

    /// Whether an error of the load rises through every call above it, up to the handler, at that very call.
    pub(super) fn rises_to_the_handler(&self, finding: &Finding) -> Result<(), Reason> {
        for route in &finding.routes {
            let callers = route.chain.iter().skip(1).map(|call| call.caller);
            let callees = callers.chain([route.holder]);
            for (call, callee) in route.chain.iter().zip(callees) {
                let file = self.project.source(call.place.file);
                let (_, deferred) = statement_of(file, call.place.span).ok_or(Reason::NoHandler)?;
                if deferred {
                    return Err(Reason::InLambda);
                }
                let Some(callee) = callee else { continue };
                let home = self.project.source(callee.file);
                let definition = home.innermost_function(Span::new(callee.start, callee.start + 1));
                if let Some(definition) = definition {
                    if definition.is_async && awaited(file, call.place.span).is_none() {
                        return Err(Reason::NotAwaited);
                    }
                    if let Some(first) = definition.body.first() {
                        not_a_generator(home, span(first))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Guards the call of `cause`, by which `handler` comes to a load in a helper.
    pub(super) fn guard_call(
        &mut self,
        draft: &mut Draft,
        cause: &Cause<'_>,
        handler: &Handler,
        message: &str,
    ) -> Result<(), Reason> {
        let Cause {
            file: id,
            rewrite,
            by: Some(call),
            ..
        } = *cause
        else {
            return Err(Reason::NoHandler);
        };
        let file = self.project.source(id);
        if file.unparsed().is_some() {
            return Err(Reason::FileNotParsed);
        }
        let node = call_at(file, call.span).ok_or(Reason::IndirectCall)?;
        let target = awaited(file, call.span).unwrap_or(call.span);
        let (statement, deferred) = statement_of(file, target).ok_or(Reason::NoHandler)?;
        if !deferred {
            let catch = self.catch(cause, call.span)?;
            match attempt(file, statement, &catch, rewrite) {
                Attempt::Caught => return Ok(()),
                Attempt::Amend(edit) => {
                    draft.gone.push((id, edit.span));
                    draft.edit(id, [edit]);
                    draft.need(id, catch.needs);
                    draft.keep(id, catch.kept);
                    return Ok(());
                }
                Attempt::Lost => return Err(Reason::AnswerLost),
                Attempt::Open => {}
            }
        }
        // Nobody else's ValueError may be taken for bad input.
        let arguments = node
            .arguments
            .args
            .iter()
            .chain(node.arguments.keywords.iter().map(|k| &k.value));
        for argument in arguments {
            if self.argument_to_hoist(file, span(argument)) {
                return Err(Reason::EvaluationOrder);
            }
        }
        not_a_generator(file, target)?;
        let (framework, may_return) = self.framework(handler)?;
        let (position, catch) = self.position(cause, target, call.span, false)?;
        let answer = answer_at(Asked {
            model: self.model,
            seen: &self.seen,
            file,
            statement: position.statement,
            framework,
            in_handler: true,
            may_return,
            passage: self.passage(call.file, position.statement),
            message,
            log: self.order.log_rejects.then_some(rewrite.log.as_str()),
        })?;
        let placed = Placed {
            position,
            catch,
            answer,
        };
        self.put(draft, cause, placed, None)
    }
}

/// A call that leads to a load from code that no framework calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherCaller {
    /// The call of the helper that holds the load, or of one that calls it.
    pub place: Place,
    /// Nothing on this way catches what the new call raises on bad input.
    pub uncaught: bool,
}

/// Who else calls down to `finding`, besides handlers.
pub fn other_callers(project: &Project, model: &Model, finding: &Finding) -> Vec<OtherCaller> {
    let transform = model.sink_row(finding.sink).map(|(t, _)| t);
    let Some(rewrite) = transform.and_then(|t| t.rewrite.as_ref()) else {
        return Vec::new();
    };
    let mut callers: Vec<OtherCaller> = Vec::new();
    let outside = |route: &&Route| route.handler.is_none();
    for route in finding.routes.iter().filter(outside) {
        let Some(call) = route.chain.last() else {
            continue;
        };
        let caught = route.chain.iter().any(|call| {
            let file = project.source(call.place.file);
            catches(file, call.place.span, &rewrite.catch)
        });
        let own = catches(
            project.source(finding.place.file),
            finding.place.span,
            &rewrite.catch,
        );
        let uncaught = !caught && !own && !rewrite.same_format;
        match callers.iter_mut().find(|other| other.place == call.place) {
            Some(other) => other.uncaught |= uncaught,
            None => callers.push(OtherCaller {
                place: call.place,
                uncaught,
            }),
        }
    }
    callers.sort_by_key(|caller| caller.place);
    callers
}

/// The `await` around the call at `inner`.
fn awaited(file: &SourceFile, inner: Span) -> Option<Span> {
    file.ancestors(inner)
        .into_iter()
        .rev()
        .find_map(|node| match node {
            AnyNodeRef::ExprAwait(node) if span(&*node.value) == inner => Some(span(node)),
            _ => None,
        })
}

/// The answer that is asked for, if nothing there stops it.
pub(super) fn answer_at(asked: Asked<'_>) -> Result<Filled, Reason> {
    if in_a_group(asked.file, asked.statement) {
        return Err(Reason::ReplySwallowed);
    }
    let mut in_finally = false;
    for node in function_ancestors(asked.file, asked.statement) {
        let AnyNodeRef::StmtTry(node) = node else {
            continue;
        };
        let holds = |s: &Stmt| span(s).contains(asked.statement);
        if node.finalbody.iter().any(holds) {
            in_finally = true;
        } else if leaves(&node.finalbody) {
            return Err(Reason::ReplySwallowed);
        }
    }
    // A return there would silence the error in flight.
    let answer = answer(Asked {
        may_return: asked.may_return && !in_finally,
        ..asked
    });
    let answer = answer.map_err(|reason| {
        if in_finally {
            Reason::InFinally
        } else {
            reason
        }
    })?;
    match asked.log {
        Some(says) => Ok(logged(asked, says)?.then(answer)),
        None => Ok(answer),
    }
}

/// Whether `body`, which ends a `try`, may leave it by itself, whatever was answered before.
fn leaves(body: &[Stmt]) -> bool {
    struct Leaves(bool);
    impl<'a> Visitor<'a> for Leaves {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            self.0 |= matches!(stmt, Stmt::Return(_) | Stmt::Break(_) | Stmt::Continue(_));
            if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                visitor::walk_stmt(self, stmt);
            }
        }
    }
    let mut leaves = Leaves(false);
    leaves.visit_body(body);
    leaves.0
}

/// A statement that an answer can leave: one of a function, not of a class body or the module.
pub(super) fn in_function(file: &SourceFile, statement: Span) -> Result<(), Reason> {
    for node in file.ancestors(statement).into_iter().rev() {
        match node {
            AnyNodeRef::StmtFunctionDef(_) => return Ok(()),
            AnyNodeRef::StmtClassDef(_) => return Err(Reason::InDefinition),
            _ => {}
        }
    }
    Err(Reason::NoHandler)
}

pub(super) fn not_a_generator(file: &SourceFile, place: Span) -> Result<(), Reason> {
    struct Yields(bool);
    impl<'a> Visitor<'a> for Yields {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                visitor::walk_stmt(self, stmt);
            }
        }
        fn visit_expr(&mut self, expr: &'a Expr) {
            self.0 |= matches!(expr, Expr::Yield(_) | Expr::YieldFrom(_));
            if !expr.is_lambda_expr() {
                visitor::walk_expr(self, expr);
            }
        }
    }
    let Some(function) = file.innermost_function(place) else {
        return Ok(());
    };
    // It may have thousands of loads, and is walked for each.
    if !file.slice(span(function)).contains("yield") {
        return Ok(());
    }
    let mut yields = Yields(false);
    yields.visit_body(&function.body);
    match yields.0 {
        true => Err(Reason::InGenerator),
        false => Ok(()),
    }
}
