//! One load rewritten: the call itself, and the guard around it where its own function answers.

use super::attempt::{Attempt, attempt};
use super::call::{Load, Own, call_at, load, whole};
use super::callers::{Answering, answer_at, in_function, not_a_generator};
use super::guard::Asked;
use super::magic::asks_for_a_pickle;
use super::names::{Filled, Fresh};
use super::position::{Position, Standing, position, shows_its_text};
use super::raised::{Catch, Cause};
use super::uses::uses;
use super::wrap::{Guarded, statement_of, wrap};
use super::{Draft, Planner, Reason};
use crate::pack::{Arrives, Rewrite, Sink};
use crate::project::FileId;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, Form, HopKind};

/// Where something goes into a `try`, what is caught there, and the answer.
pub(super) struct Placed {
    pub position: Position,
    pub catch: Catch,
    pub answer: Filled,
}

impl<'p> Planner<'p> {
    /// Whether what arrives may be a `memoryview`: a binary column, just as a driver gives it that the project uses.
    fn is_buffer(&self, finding: &Finding) -> bool {
        let mut paths = finding.routes.iter().flat_map(|route| &route.paths);
        let as_given = paths.any(|path| {
            let hops = path.hops();
            !hops
                .iter()
                .any(|hop| hop.kind == HopKind::Step && !hop.quiet)
        });
        if finding.channel != "database" || !as_given {
            return false;
        }
        let packages = self.model.frameworks.iter().flat_map(|f| &f.buffers);
        let imports = packages.flat_map(|name| [format!("import {name}"), format!("from {name}")]);
        let imports: Vec<String> = imports.collect();
        let mut files = self.project.ids().map(|file| self.project.bytes(file));
        files.any(|bytes| {
            let mut imports = imports.iter();
            imports.any(|import| memchr::memmem::find(bytes, import.as_bytes()).is_some())
        })
    }

    /// The change that makes `sink`'s call of `finding` safe; `reader` is a function that takes the new call's place.
    pub(super) fn rewrite(
        &mut self,
        finding: &Finding,
        sink: &Sink,
        rewrite: &Rewrite,
        reader: Option<&str>,
    ) -> Result<Draft, Reason> {
        let id = finding.place.file;
        let file = self.project.source(id);
        let mut draft = Draft::default();

        let mut around = file.ancestors(finding.place.span).into_iter().rev();
        let inside = around
            .by_ref()
            .take_while(|node| node.as_stmt_ref().is_none());
        if inside.into_iter().any(shows_its_text) {
            return Err(Reason::InDebugText);
        }
        let whole = whole(file, finding, sink)?;
        let class = self.class(finding, file, whole, rewrite, &mut draft)?;
        let class = class.unwrap_or_default();
        let names = Own {
            class: &class,
            reader,
        };
        let mut load = load(file, finding, sink, rewrite, names, &mut draft)?;
        if sink.arrives == Arrives::Bytes && !rewrite.same_format && self.is_buffer(finding) {
            load = load.of_bytes(file)?;
        }
        if sink.arrives == Arrives::Stream && !rewrite.same_format {
            one_load_a_file(file, &load, self.findings, id)?;
            // A connection has no end before its peer closes it, and a pickle has.
            if matches!(finding.channel.as_str(), "socket" | "pipe") {
                return Err(Reason::ReadsAStream);
            }
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
        uses(file, finding, load.whole, rewrite)?;
        if !rewrite.same_format && asks_for_a_pickle(self.project, finding) {
            return Err(Reason::AsksForAPickle);
        }

        let (statement, deferred) = statement_of(file, load.whole).ok_or(Reason::NoHandler)?;
        let hoisted = self.argument_to_hoist(file, load.argument);
        let region = if hoisted { load.callee } else { load.whole };
        let cause = Cause {
            file: id,
            finding,
            by: None,
            sink,
            rewrite,
        };

        if !deferred {
            let catch = self.catch(&cause, region)?;
            match attempt(file, statement, &catch, rewrite) {
                Attempt::Caught => {
                    draft.edit(id, load.in_place(file, None));
                    return Ok(draft);
                }
                Attempt::Amend(edit) => {
                    draft.gone.push((id, edit.span));
                    draft.edit(id, load.in_place(file, None));
                    draft.edit(id, [edit]);
                    draft.need(id, catch.needs);
                    draft.keep(id, catch.kept);
                    return Ok(draft);
                }
                Attempt::Open => {}
            }
        }

        let message = self.order.message.as_deref().unwrap_or(&rewrite.message);
        let answering = match self.answering(finding) {
            // Nobody answers, and nobody has to: the same errors rise as before.
            Err(Reason::NoHandler) if rewrite.same_format => {
                draft.edit(id, load.in_place(file, None));
                return Ok(draft);
            }
            Err(Reason::NoHandler) => return self.suggest(draft, &cause, &load, None),
            answering => answering?,
        };
        let ((framework, may_return), in_handler) = match answering {
            Answering::Handler(handler) => match self.framework(handler) {
                Err(_) => return self.suggest(draft, &cause, &load, None),
                answering => (answering?, true),
            },
            Answering::Request(id) => {
                let found = self.model.frameworks.iter().find(|f| f.id == id);
                ((found.ok_or(Reason::NoHandler)?, false), false)
            }
            Answering::Callers(callers, shared) => {
                if deferred {
                    return Err(Reason::InLambda);
                }
                in_function(file, statement)?;
                not_a_generator(file, load.whole)?;
                self.rises_to_the_handler(finding)?;
                draft.edit(id, load.in_place(file, None));
                for (handler, call) in callers {
                    let cause = Cause {
                        by: Some(call),
                        file: call.file,
                        ..cause
                    };
                    match self.guard_call(&mut draft, &cause, handler, message) {
                        // Its framework has no answer: the error rises out of the handler.
                        Err(Reason::NoHandler) if !rewrite.same_format => {
                            draft.suggest = Some(Reason::NoHandler);
                        }
                        outcome => outcome?,
                    }
                }
                if shared && !rewrite.same_format {
                    draft.suggest = Some(Reason::SharedHelper);
                }
                return Ok(draft);
            }
        };
        not_a_generator(file, load.whole)?;
        let (position, catch) = self.position(&cause, load.whole, region, hoisted)?;
        in_function(file, statement)?;
        let asked = Asked {
            model: self.model,
            seen: &self.seen,
            file,
            statement: position.statement,
            framework,
            in_handler,
            may_return,
            message,
            log: self.order.log_rejects.then_some(rewrite.log.as_str()),
        };
        let answer = match answer_at(asked) {
            Err(Reason::NoHandler) => return self.suggest(draft, &cause, &load, Some(framework)),
            answer => answer?,
        };
        let placed = Placed {
            position,
            catch,
            answer,
        };
        self.put(&mut draft, &cause, placed, Some((&load, hoisted)))?;
        Ok(draft)
    }

    /// Puts into a `try` what stands as `placed` says: a call that leads to a load, or a `load`, whose argument is
    /// evaluated before where it stirs.
    pub(super) fn put(
        &mut self,
        draft: &mut Draft,
        cause: &Cause<'_>,
        placed: Placed,
        load: Option<(&Load, bool)>,
    ) -> Result<(), Reason> {
        let Placed {
            position,
            catch,
            answer,
        } = placed;
        let id = cause.file;
        let file = self.project.source(id);
        let alone = self.alone(id, position.statement);
        let fresh = self.fresh.entry(id).or_insert_with(|| Fresh::of(file));
        let stirring = load.filter(|(_, stirs)| *stirs);
        let home = function_around(file, position.statement);
        let payload = stirring.map(|(load, _)| (fresh.take("payload", home), load.argument));
        let name = payload.as_ref().map(|(name, _)| name.as_str());
        let guarded = Guarded {
            position,
            alone,
            in_place: load.map_or_else(Vec::new, |(load, _)| load.in_place(file, name)),
            before: payload
                .as_ref()
                .map(|(name, argument)| format!("{name} = {}", file.slice(*argument))),
            catch: &catch.all,
            answer: &answer.text,
        };
        let edits = wrap(file, guarded, cause.rewrite, fresh).ok_or(Reason::NestedLoads)?;
        draft.edit(id, edits);
        draft.take(id, answer);
        draft.need(id, catch.needs);
        draft.keep(id, catch.kept);
        Ok(())
    }

    /// Where `load` can be guarded, and what has to be caught there; `region` is what runs in the `try` of it alone.
    pub(super) fn position(
        &self,
        cause: &Cause<'_>,
        load: Span,
        region: Span,
        stirs: bool,
    ) -> Result<(Position, Catch), Reason> {
        let file = self.project.source(cause.file);
        let moving = self.moving(cause.file);
        let reads = |call: &ast::ExprCall| self.reads_only(file, call);
        let mut catch = self.catch(cause, region)?;
        loop {
            let standing = Standing {
                load,
                stirs,
                moving: &moving,
                catch: &catch.all,
                reads: &reads,
            };
            let position = position(file, &standing)?;
            if position.target == load {
                return Ok((position, catch));
            }
            // More is guarded than the load, and more can be raised.
            let wider = self.catch(cause, position.target)?;
            if wider.all.len() <= catch.all.len() {
                return Ok((position, catch));
            }
            catch = wider;
        }
    }

    /// Whether at most one load moves out of `statement`.
    pub(super) fn alone(&self, file: FileId, statement: Span) -> bool {
        let mut inside = self.moving(file);
        inside.retain(|place| statement.contains(*place));
        inside.sort();
        inside.dedup();
        inside.len() < 2
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

/// The innermost function around `statement`, which may be a function itself.
pub(super) fn function_around(file: &SourceFile, statement: Span) -> Option<Span> {
    let mut outer = file.ancestors(statement).into_iter().rev();
    outer.find_map(|node| match node {
        AnyNodeRef::StmtFunctionDef(_) if span(&node) != statement => Some(span(&node)),
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
    match twin || looped || read_on(file, load) {
        true => Err(Reason::ReadsAStream),
        false => Ok(()),
    }
}

/// Whether the function reads on behind the pickle: `pickle.load(f)`, then `f.read()`.
fn read_on(file: &SourceFile, load: &Load) -> bool {
    struct Later<'n> {
        file: &'n SourceFile,
        load: &'n Load,
        found: bool,
    }
    impl<'a> Visitor<'a> for Later<'_> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            let stream = self.file.slice(self.load.argument);
            let is_stream = |expr: &Expr| {
                let later = span(expr).start >= self.load.whole.end;
                later && self.file.slice(span(expr)) == stream
            };
            let reads = match expr {
                Expr::Attribute(node) if is_stream(&node.value) => {
                    node.attr.starts_with("read") || matches!(&*node.attr, "peek" | "tell")
                }
                Expr::Call(node) => node.arguments.args.iter().any(is_stream),
                _ => false,
            };
            self.found |= reads;
            visitor::walk_expr(self, expr);
        }
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            if let Stmt::For(node) = stmt {
                let later = span(&*node.iter).start >= self.load.whole.end;
                let text = self.file.slice(span(&*node.iter));
                self.found |= later && text == self.file.slice(self.load.argument);
            }
            visitor::walk_stmt(self, stmt);
        }
    }
    let mut later = Later {
        file,
        load,
        found: false,
    };
    let body = function_of(file, load.whole).map_or(&file.module().body, |f| &f.body);
    later.visit_body(body);
    later.found
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
