//! One load rewritten: the call, the guard around it, or the guards around the calls that lead to it.

use super::attempt::{Attempt, attempt};
use super::guard::{Guarded, answer, guard, statement_of};
use super::names::{Fresh, spell};
use super::position::position;
use super::uses::uses;
use super::{Draft, Planner, Reason};
use crate::pack::{Arrives, Framework, Rewrite, Shape, Sink};
use crate::project::FileId;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::{Edit, Span};
use crate::trace::{Finding, Form, Handler, HopKind, Place, Route, TaintPath};

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

/// Who answers when the load fails.
enum Answering<'r> {
    /// The handler that holds the load.
    Handler(&'r Handler),
    /// The function that holds the load, by raising: it reads the framework's request itself.
    Request(&'r str),
    /// The handlers that call down to the load.
    Callers(Vec<(&'r Handler, Place)>),
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
        draft.edit(id, guard(file, guarded, rewrite, fresh));
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

    fn framework(&self, handler: &Handler) -> Result<&'p Framework, Reason> {
        self.model
            .framework(handler.framework)
            .ok_or(Reason::NoHandler)
    }

    /// Who answers for `finding`.
    fn answering<'f>(&self, finding: &'f Finding) -> Result<Answering<'f>, Reason>
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
        match (callers.is_empty(), shared) {
            (true, _) => Err(Reason::NoHandler),
            (false, true) => Err(Reason::SharedHelper),
            (false, false) => Ok(Answering::Callers(callers)),
        }
    }

    /// The framework whose global request the function that holds the load reads itself: raising answers there.
    fn reads_request(&self, finding: &Finding) -> Option<&'p str> {
        let source = finding.path.as_ref()?.hops().first()?.place;
        let file = self.project.source(source.file);
        let same_function = source.file == finding.place.file
            && function_of(file, source.span) == function_of(file, finding.place.span)
            && function_of(file, source.span).is_some();
        let object = same_function.then(|| {
            file.scopes().chains().iter().find_map(|chain| {
                let inside = source.span.contains(chain.span) || chain.span.contains(source.span);
                // `request.data` and `flask.request.data` alike.
                let source = (1..=chain.parts.len()).find_map(|n| {
                    let names = file.scopes().resolve(chain.scope, chain.parts.get(..n)?);
                    names.iter().find_map(|name| self.model.source(name))
                })?;
                inside.then_some(source.is.as_deref()).flatten()
            })
        })??;
        let framework = self
            .model
            .frameworks
            .iter()
            .find(|framework| framework.objects.iter().any(|o| o.name == object))?;
        Some(framework.id.as_str())
    }

    /// Whether an error of the load rises through every call above it, up to the handler, at that very call.
    fn rises_to_the_handler(&self, finding: &Finding) -> Result<(), Reason> {
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
                let definition = function_of(home, Span::new(callee.start, callee.start + 1));
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

    /// Guards `call`, by which `handler` comes to a load in a helper.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is one finding's context"
    )]
    fn guard_call(
        &mut self,
        draft: &mut Draft,
        finding: &Finding,
        handler: &Handler,
        call: Place,
        sink: &Sink,
        rewrite: &Rewrite,
        message: &str,
    ) -> Result<(), Reason> {
        let id = call.file;
        let file = self.project.source(id);
        if file.unparsed().is_some() {
            return Err(Reason::FileNotParsed);
        }
        let node = call_at(file, call.span).ok_or(Reason::IndirectCall)?;
        let target = awaited(file, call.span).unwrap_or(call.span);
        uses(file, target, rewrite)?;
        let (statement, deferred) = statement_of(file, target).ok_or(Reason::NoHandler)?;
        let catch = self.catch(file, finding, Some(call), call.span, id, sink, rewrite);
        if !deferred {
            match attempt(file, statement, &catch, rewrite) {
                Attempt::Caught => return Ok(()),
                Attempt::Amend(edit) => {
                    draft.gone.push((id, edit.span));
                    draft.edit(id, [edit]);
                    return Ok(());
                }
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
        let framework = self.framework(handler)?;
        let position = position(file, target, &self.moving(id))?;
        let answer = answer(file, position.statement(), framework, true, message)?;
        let fresh = self.fresh.entry(id).or_insert_with(|| Fresh::of(file));
        let guarded = Guarded {
            position,
            target,
            text: file.slice(target).to_owned(),
            in_place: Vec::new(),
            before: None,
            catch: &catch,
            answer: &answer.code,
        };
        draft.edit(id, guard(file, guarded, rewrite, fresh));
        draft.need(id, answer.needs);
        Ok(())
    }

    /// What the guarded `region` of `file` can raise on bad input; with `by`, on the ways through that call alone.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is one finding's context"
    )]
    fn catch(
        &self,
        file: &SourceFile,
        finding: &Finding,
        by: Option<Place>,
        region: Span,
        id: FileId,
        sink: &Sink,
        rewrite: &Rewrite,
    ) -> Vec<String> {
        let region_place = Place {
            file: id,
            span: region,
        };
        let taken = |route: &&Route| {
            by.is_none_or(|by| route.chain.first().is_some_and(|call| call.place == by))
        };
        let mut paths = finding
            .routes
            .iter()
            .filter(taken)
            .flat_map(|route| &route.paths);
        let missing = finding.maybe_none || paths.any(|path| may_be_missing(path, region_place));
        let mut catch = self.raised_by_steps(file, region);
        let taken = finding.routes.iter().filter(taken);
        for hop in taken
            .flat_map(|route| &route.paths)
            .flat_map(|path| path.hops())
        {
            let inside = hop.place.file == id && region.contains(hop.place.span);
            for error in hop.raises.iter().filter(|_| inside) {
                if !catch.iter().any(|caught| **caught == **error) {
                    catch.push(error.to_string());
                }
            }
        }
        if missing {
            let missing = sink
                .catch_missing
                .as_ref()
                .unwrap_or(&rewrite.catch_missing);
            if !catch.contains(missing) {
                catch.push(missing.clone());
            }
        }
        catch.extend(rewrite.catch.iter().cloned());
        catch
    }

    /// Exceptions that decoding steps inside `region` raise and that are no `ValueError`, as the file can name them.
    fn raised_by_steps(&self, file: &SourceFile, region: Span) -> Vec<String> {
        let scopes = file.scopes();
        let mut raised = Vec::new();
        for chain in scopes.chains().iter().filter(|c| region.contains(c.span)) {
            for name in scopes.resolve(chain.scope, &chain.parts) {
                let error = self.model.step(&name).and_then(|step| step.raises.as_ref());
                let Some((module, error)) = error.and_then(|e| e.rsplit_once('.')) else {
                    continue;
                };
                let spelled = spell(file, region.start, module, error, true);
                if let Ok(spelled) = spelled
                    && spelled.need.is_none()
                    && !raised.contains(&spelled.text)
                {
                    raised.push(spelled.text);
                }
            }
        }
        raised
    }

    /// Whether `argument` holds calls that are not known to only read and decode.
    fn argument_to_hoist(&self, file: &SourceFile, argument: Span) -> bool {
        struct Calls<'c> {
            argument: Span,
            known: &'c dyn Fn(&ast::ExprCall) -> bool,
            found: bool,
        }
        impl<'a> Visitor<'a> for Calls<'_> {
            fn visit_expr(&mut self, expr: &'a Expr) {
                let here = span(expr);
                if self.argument.contains(here)
                    && let Expr::Call(call) = expr
                {
                    self.found |= !(self.known)(call);
                }
                visitor::walk_expr(self, expr);
            }
        }
        let model = self.model;
        let known = |call: &ast::ExprCall| {
            let scope = file.scopes().at(argument.start);
            let names = file.names(scope, &call.func);
            let named = names
                .iter()
                .any(|name| model.step(name).is_some() || model.source(name).is_some());
            let method = call.func.as_attribute_expr().is_some_and(|attribute| {
                let attr = attribute.attr.as_str();
                let listed = model.frameworks.iter().any(|framework| {
                    framework
                        .objects
                        .iter()
                        .any(|o| o.members.contains_key(attr))
                });
                model.method_step(attr).is_some() || listed
            });
            named || method
        };
        let mut calls = Calls {
            argument,
            known: &known,
            found: false,
        };
        for stmt in &file.module().body {
            if span(stmt).contains(argument) {
                calls.visit_stmt(stmt);
            }
        }
        calls.found
    }

    /// Loads and guarded calls of `file` that move out of their statements as well.
    fn moving(&self, file: FileId) -> Vec<Span> {
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

/// Whether a value on `path` can be `None` where `region` reads or decodes it.
fn may_be_missing(path: &TaintPath, region: Place) -> bool {
    let inside = |place: Place| place.file == region.file && region.span.contains(place.span);
    // The form in which the value enters the region, unless it has its source there.
    let mut entering = None;
    for hop in path.hops().iter().filter(|hop| hop.kind != HopKind::Sink) {
        if !inside(hop.place) {
            entering = Some(hop.shape);
        } else {
            // A value that enters is read by the first step inside.
            if hop.shape == Shape::Any || entering.take() == Some(Shape::Any) {
                return true;
            }
        }
    }
    entering == Some(Shape::Any)
}

/// The call expression at `place`.
fn call_at(file: &SourceFile, place: Span) -> Option<&ast::ExprCall> {
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

/// The innermost function that holds `place`.
fn function_of(file: &SourceFile, place: Span) -> Option<&ast::StmtFunctionDef> {
    file.ancestors(place)
        .into_iter()
        .rev()
        .find_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(node) => Some(node),
            _ => None,
        })
}

/// A statement that an answer can leave: one of a function, not of a class body or the module.
fn in_function(file: &SourceFile, statement: Span) -> Result<(), Reason> {
    for node in file.ancestors(statement).into_iter().rev() {
        match node {
            AnyNodeRef::StmtFunctionDef(_) => return Ok(()),
            AnyNodeRef::StmtClassDef(_) => return Err(Reason::InClassBody),
            _ => {}
        }
    }
    Err(Reason::NoHandler)
}

fn not_a_generator(file: &SourceFile, place: Span) -> Result<(), Reason> {
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
    let Some(function) = function_of(file, place) else {
        return Ok(());
    };
    let mut yields = Yields(false);
    yields.visit_body(&function.body);
    match yields.0 {
        true => Err(Reason::InGenerator),
        false => Ok(()),
    }
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
