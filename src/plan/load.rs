//! One load rewritten: the call itself, and the guard around it where its own function answers.

use super::attempt::{Attempt, attempt, reads_instead};
use super::call::{Load, Own, load, whole};
use super::callers::{Answering, answer_at, in_function, not_a_generator};
use super::guard::Asked;
use super::names::{Filled, Fresh};
use super::once::within;
use super::position::{Position, Standing, position, shows_its_text};
use super::raised::{Catch, Cause};
use super::streams::reads_again;
use super::wrap::{Guarded, statement_of, wrap};
use super::{Draft, Planner, Reason};
use crate::pack::{Arrives, Rewrite, Sink};
use crate::project::FileId;
use crate::python::ast::{self, AnyNodeRef};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, HopKind};

/// How buffers are made, as the standard library and others name them.
const BUFFERS: [&str; 6] = [
    "memoryview(",
    ".getbuffer(",
    ".buf",
    ".buffer",
    "mmap.mmap(",
    "array.array(",
];

/// Where something goes into a `try`, what is caught there, and the answer.
pub(super) struct Placed {
    pub position: Position,
    pub catch: Catch,
    pub answer: Filled,
}

impl<'p> Planner<'p> {
    /// Whether what arrives may be a buffer, which not every call reads: a `memoryview`, or a binary column, just as a driver
    /// gives it that the project uses.
    fn is_buffer(&self, finding: &Finding) -> bool {
        let paths = || finding.routes.iter().flat_map(|route| &route.paths);
        let as_given = paths().any(|path| {
            let hops = path.hops();
            !hops
                .iter()
                .any(|hop| hop.kind == HopKind::Step && !hop.quiet)
        });
        let viewed = paths().any(|path| {
            let texts = path.hops().iter().map(|hop| {
                let file = self.project.source(hop.place.file);
                let text = file.slice(hop.place.span);
                let bytes = text.starts_with("bytes(") || text.ends_with(".tobytes()");
                (!bytes).then(|| BUFFERS.iter().any(|made| text.contains(made)))
            });
            // Made bytes again, it is one no more.
            texts.fold(false, |viewed, made| {
                made.is_some_and(|made| made || viewed)
            })
        });
        viewed
            || finding.channel == "database"
                && as_given
                && *self.once.buffers.get_or_init(|| {
                    let packages = self.model.frameworks.iter().flat_map(|f| &f.buffers);
                    let imports = packages
                        .flat_map(|name| [format!("import {name}"), format!("from {name}")]);
                    let imports: Vec<String> = imports.collect();
                    let mut files = self.project.ids().map(|file| self.project.bytes(file));
                    files.any(|bytes| {
                        let mut imports = imports.iter();
                        imports
                            .any(|import| memchr::memmem::find(bytes, import.as_bytes()).is_some())
                    })
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
            self.one_load_a_file(id, &load)?;
            // A connection has no end before its peer closes it, and a pickle has.
            let open_ended = matches!(finding.channel.as_str(), "socket" | "pipe");
            if open_ended || reads_again(self.project, finding) {
                return Err(Reason::ReadsAStream);
            }
        }
        let nested = self.loads_in(id).iter().any(|other| {
            *other != finding.place.span
                && (load.whole.contains(*other) || other.contains(load.whole))
        });
        if nested {
            return Err(Reason::NestedLoads);
        }
        self.uses(finding, load.whole, rewrite)?;
        if !rewrite.same_format && self.asks_for_a_pickle(finding) {
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
            if reads_instead(file, statement, &sink.becomes) {
                return Err(Reason::AnswerLost);
            }
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
                Attempt::Lost => return Err(Reason::AnswerLost),
                Attempt::Open => {}
            }
        }

        if self.missed_between(finding, rewrite) || self.answered_elsewhere(rewrite) {
            return Err(Reason::AnswerLost);
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
            passage: self.passage(id, statement),
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
        let moving = self.moving(file);
        let inside = within(&moving, statement).iter();
        inside.filter(|place| statement.contains(**place)).count() < 2
    }
}

/// The innermost function around `statement`, which may be a function itself.
pub(super) fn function_around(file: &SourceFile, statement: Span) -> Option<Span> {
    let mut outer = file.ancestors(statement).into_iter().rev();
    outer.find_map(|node| match node {
        AnyNodeRef::StmtFunctionDef(_) if span(&node) != statement => Some(span(&node)),
        _ => None,
    })
}
