//! One load rewritten: the call itself, and the guard around it where its own function answers.

use super::attempt::{Attempt, attempt};
use super::callers::{Answering, in_function, not_a_generator};
use super::guard::answer;
use super::names::{Fresh, spell};
use super::position::position;
use super::uses::uses;
use super::wrap::{Guarded, statement_of, wrap};
use super::{Draft, Planner, Reason};
use crate::pack::{Arrives, Rewrite, Sink};
use crate::project::FileId;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr};
use crate::python::{SourceFile, span};
use crate::text::{Edit, Span};
use crate::trace::{Finding, Form};

/// The load as it stands and as it will stand.
struct Load {
    /// The whole expression: `pickle.loads(data)`, `pickle.Unpickler(f).load()`.
    whole: Span,
    /// Its one argument.
    argument: Span,
    /// The old function's name.
    callee: Span,
    /// Everything but the new function's name and the argument stays.
    plain: bool,
    /// The new function's name.
    becomes: String,
}

impl Load {
    fn text(&self, file: &SourceFile, argument: Option<&str>) -> String {
        let argument = argument.unwrap_or_else(|| file.slice(self.argument));
        format!("{}({argument})", self.becomes)
    }

    fn in_place(&self, file: &SourceFile, argument: Option<&str>) -> Vec<Edit> {
        if !self.plain {
            return vec![Edit::replace(self.whole, self.text(file, argument))];
        }
        let mut edits = vec![Edit::replace(self.callee, self.becomes.clone())];
        edits.extend(argument.map(|name| Edit::replace(self.argument, name)));
        edits
    }
}

impl<'p> Planner<'p> {
    pub(super) fn rewrite(&mut self, finding: &Finding) -> Result<Draft, Reason> {
        let (transform, sink) = self
            .model
            .sink_row(finding.sink)
            .ok_or(Reason::CheckFailed)?;
        let rewrite = transform.rewrite.as_ref().ok_or(Reason::NoRewrite)?;
        let id = finding.place.file;
        let file = self.project.source(id);
        let mut draft = Draft::default();

        let load = self.load(file, finding, sink, rewrite, &mut draft)?;
        if sink.arrives == Arrives::Stream {
            one_load_a_file(file, &load, self.findings, id)?;
        }
        let nested = self.findings.iter().any(|other| {
            let inside = other.place.span;
            other.place.file == id
                && inside != finding.place.span
                && (load.whole.contains(inside) || inside.contains(load.whole))
        });
        if nested {
            return Err(Reason::NestedLoads);
        }
        uses(file, load.whole, rewrite)?;
        draft.gone.push((id, load.callee));

        let (statement, deferred) = statement_of(file, load.whole).ok_or(Reason::NoHandler)?;
        let hoisted = self.argument_to_hoist(file, load.argument);
        let region = if hoisted { load.callee } else { load.whole };
        let catch = self.catch(file, finding, None, region, id, sink, rewrite);

        if !deferred {
            match attempt(file, statement, &catch, rewrite) {
                Attempt::Caught => {
                    draft.edit(id, load.in_place(file, None));
                    return Ok(draft);
                }
                Attempt::Amend(edit) => {
                    draft.gone.push((id, edit.span));
                    draft.edit(id, load.in_place(file, None));
                    draft.edit(id, [edit]);
                    return Ok(draft);
                }
                Attempt::Open => {}
            }
        }

        let message = self.order.message.as_deref().unwrap_or(&rewrite.message);
        let (framework, in_handler) = match self.answering(finding)? {
            Answering::Handler(handler) => (self.framework(handler)?, true),
            Answering::Request(id) => {
                let found = self.model.frameworks.iter().find(|f| f.id == id);
                (found.ok_or(Reason::NoHandler)?, false)
            }
            Answering::Callers(callers) => {
                if deferred {
                    return Err(Reason::InLambda);
                }
                in_function(file, statement)?;
                not_a_generator(file, load.whole)?;
                self.rises_to_the_handler(finding)?;
                draft.edit(id, load.in_place(file, None));
                for (handler, call) in callers {
                    self.guard_call(&mut draft, finding, handler, call, sink, rewrite, message)?;
                }
                return Ok(draft);
            }
        };
        if in_handler {
            not_a_generator(file, load.whole)?;
        }
        let position = position(file, load.whole, &self.moving(id))?;
        in_function(file, statement)?;
        let answer = answer(file, position.statement(), framework, in_handler, message)?;
        let fresh = self.fresh.entry(id).or_insert_with(|| Fresh::of(file));
        let payload = hoisted.then(|| fresh.take("payload"));
        let before = payload
            .as_ref()
            .map(|name| format!("{name} = {}", file.slice(load.argument)));
        let guarded = Guarded {
            position,
            target: load.whole,
            text: load.text(file, payload.as_deref()),
            in_place: load.in_place(file, payload.as_deref()),
            before,
            catch: &catch,
            answer: &answer.code,
        };
        draft.edit(id, wrap(file, guarded, rewrite, fresh));
        draft.need(id, answer.needs);
        Ok(draft)
    }

    /// The load of `finding`, if its form is one that can be rewritten.
    fn load(
        &self,
        file: &SourceFile,
        finding: &Finding,
        sink: &Sink,
        rewrite: &Rewrite,
        draft: &mut Draft,
    ) -> Result<Load, Reason> {
        let place = finding.place;
        let call = call_at(file, place.span).ok_or(Reason::IndirectCall)?;
        let whole = match &sink.method {
            None => place.span,
            Some(method) => {
                method_call(file, place.span, method).ok_or(Reason::UnpicklerInAVariable)?
            }
        };
        let (argument, extra) = match (
            call.arguments.args.as_ref(),
            call.arguments.keywords.as_ref(),
        ) {
            ([Expr::Starred(_), ..], _) | ([], []) => return Err(Reason::ExtraArguments),
            ([argument], keywords) => (argument, keywords),
            ([], [first, rest @ ..]) if first.arg.is_some() => (&first.value, rest),
            _ => return Err(Reason::ExtraArguments),
        };
        let droppable = |k: &ast::Keyword| {
            let name = k.arg.as_ref().map(|name| name.to_string());
            name.is_some_and(|name| rewrite.droppable.contains(&name)) && k.value.is_literal_expr()
        };
        if !extra.iter().all(droppable) {
            return Err(Reason::ExtraArguments);
        }
        let (module, name) = sink.becomes.rsplit_once('.').ok_or(Reason::CheckFailed)?;
        let spelled = spell(file, place.span.start, module, name, true)?;
        draft.need(place.file, spelled.need);
        let plain = sink.method.is_none() && extra.is_empty() && !call.arguments.args.is_empty();
        Ok(Load {
            whole,
            argument: span(argument),
            callee: span(&*call.func),
            plain,
            becomes: spelled.text,
        })
    }

    /// Loads and guarded calls of `file` that move out of their statements as well.
    pub(super) fn moving(&self, file: FileId) -> Vec<Span> {
        let loads = self
            .findings
            .iter()
            .filter(|f| f.place.file == file && f.form == Form::Call);
        let mut moving: Vec<Span> = loads
            .filter(|f| self.order.trust.contains(&f.trust))
            .map(|f| f.place.span)
            .collect();
        for route in self.findings.iter().flat_map(|f| &f.routes) {
            moving.extend(
                route
                    .chain
                    .first()
                    .filter(|c| c.place.file == file)
                    .map(|c| c.place.span),
            );
        }
        moving
    }
}

/// The call expression at `place`.
pub(super) fn call_at(file: &SourceFile, place: Span) -> Option<&ast::ExprCall> {
    file.ancestors(place)
        .into_iter()
        .rev()
        .find_map(|node| match node {
            AnyNodeRef::ExprCall(call) if span(call) == place => Some(call),
            _ => None,
        })
}

/// The call `<inner>.method()` around `inner`.
fn method_call(file: &SourceFile, inner: Span, method: &str) -> Option<Span> {
    let mut is_method = false;
    for node in file.ancestors(inner).into_iter().rev() {
        match node {
            AnyNodeRef::ExprAttribute(node) if span(&*node.value) == inner => {
                is_method = node.attr == *method;
            }
            AnyNodeRef::ExprCall(node) if is_method && node.arguments.is_empty() => {
                return Some(span(node));
            }
            _ if span(&node) == inner => {}
            _ => return None,
        }
    }
    None
}

/// The innermost function that holds `place`.
pub(super) fn function_of(file: &SourceFile, place: Span) -> Option<&ast::StmtFunctionDef> {
    file.ancestors(place)
        .into_iter()
        .rev()
        .find_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(node) => Some(node),
            _ => None,
        })
}

/// JSON reads a file to its end: several loads from one file object cannot become several JSON loads.
fn one_load_a_file(
    file: &SourceFile,
    load: &Load,
    findings: &[Finding],
    id: FileId,
) -> Result<(), Reason> {
    let text = file.slice(load.argument);
    let function = function_of(file, load.whole).map(span);
    let twin = findings.iter().any(|other| {
        other.place.file == id
            && !load.whole.contains(other.place.span)
            && function_of(file, other.place.span).map(span) == function
            && call_at(file, other.place.span)
                .and_then(|call| call.arguments.args.first())
                .is_some_and(|argument| file.slice(span(argument)) == text)
    });
    let mut looped = false;
    for node in file.ancestors(load.whole).into_iter().rev() {
        match node {
            AnyNodeRef::StmtFunctionDef(_) | AnyNodeRef::ExprLambda(_) => break,
            AnyNodeRef::StmtWhile(_)
            | AnyNodeRef::StmtFor(_)
            | AnyNodeRef::ExprListComp(_)
            | AnyNodeRef::ExprGenerator(_) => {
                // A file opened in the same turn of the loop is read once.
                let opened = bound_inside(file, span(&node), load);
                looped |= !opened && !iterated(node, load);
            }
            _ => {}
        }
    }
    match twin || looped {
        true => Err(Reason::ReadsAStream),
        false => Ok(()),
    }
}

/// Whether the load is what the loop goes over, which is evaluated once.
fn iterated(node: AnyNodeRef<'_>, load: &Load) -> bool {
    match node {
        AnyNodeRef::StmtFor(node) => span(&*node.iter).contains(load.whole),
        _ => false,
    }
}

/// Whether the name that the load reads is bound within `extent`, or the argument is not a name at all.
fn bound_inside(file: &SourceFile, extent: Span, load: &Load) -> bool {
    let text = file.slice(load.argument);
    let head = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()
        .unwrap_or(text);
    struct Stores<'n> {
        name: &'n str,
        extent: Span,
        found: bool,
    }
    impl<'a> Visitor<'a> for Stores<'_> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            if let Expr::Name(name) = expr {
                let stored = name.ctx == ast::ExprContext::Store && name.id == *self.name;
                self.found |= stored && self.extent.contains(span(expr));
            }
            visitor::walk_expr(self, expr);
        }
    }
    let mut stores = Stores {
        name: head,
        extent,
        found: false,
    };
    stores.visit_body(&file.module().body);
    stores.found
}
