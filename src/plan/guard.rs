//! A framework's answer, as it is written in one file: the way the file answers already, if it does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::decorators::Passage;
use super::likeness::{Likeness, Pattern, likenesses};
use super::names::Filled;
use super::template::filled;
use super::{Reason, attempt};
use crate::pack::{Framework, Model, Reply, ReplyStyle};
use crate::python::ast::AnyNodeRef;
use crate::python::ast::Stmt;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::{SourceFile, ast, span};
use crate::text::Span;

/// Where an answer is needed, and what it has to say.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub model: &'a Model,
    pub seen: &'a Seen,
    pub file: &'a SourceFile,
    /// What is guarded.
    pub statement: Span,
    pub framework: &'a Framework,
    /// Whether it is the handler itself, whose parameters are at hand.
    pub in_handler: bool,
    /// Whether what is returned there is an answer.
    pub may_return: bool,
    /// What the handler's decorators make of its answers.
    pub passage: Passage,
    pub message: &'a str,
    /// What is logged before it, if anything.
    pub log: Option<&'a str>,
}

/// The reply that can stand where it is asked for: in the file's own way, else the framework's first.
pub(super) fn answer(asked: Asked<'_>) -> Result<Filled, Reason> {
    let mut obstacle = Reason::NoHandler;
    for (reply, copy) in preferred(asked) {
        let returns = reply.style == ReplyStyle::Return;
        if reply.style == ReplyStyle::Drop
            || (returns && !asked.may_return)
            || (reply.code.names_parameters() && !asked.in_handler)
        {
            continue;
        }
        if reply.style == ReplyStyle::Raise
            && let Err(reason) = attempt::swallowed(asked.file, asked.statement)
        {
            obstacle = reason;
            continue;
        }
        if begun(asked, reply) {
            obstacle = Reason::AnswerBegun;
            continue;
        }
        if let Some(copy) =
            copy.filter(|copy| asked.passage.allows(returns, is_object(copy)).is_ok())
        {
            let words = copy.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            return Ok(Filled {
                kept: words.map(str::to_owned).collect(),
                text: copy,
                needs: Vec::new(),
            });
        }
        let filled = filled(asked.file, asked.statement, &reply.code, asked.message);
        let passes = filled.and_then(|filled| {
            asked.passage.allows(returns, is_object(&filled.text))?;
            Ok(filled)
        });
        match passes {
            Ok(filled) => return Ok(filled),
            Err(reason) => obstacle = reason,
        }
    }
    Err(obstacle)
}

/// Whether `text` returns what a call gives, and nothing beside it.
fn is_object(text: &str) -> bool {
    let returned = text
        .trim()
        .rsplit_once("return ")
        .map_or("", |(_, value)| value);
    returned.starts_with(|c: char| c.is_alphabetic()) && returned.ends_with(')')
}

/// What was seen of files already: a file may hold thousands of loads, and each asks how the others answer.
#[derive(Default)]
pub(super) struct Seen {
    alike: RefCell<HashMap<Alike, Rc<Vec<Likeness>>>>,
    beside: RefCell<HashMap<(String, Span, usize), bool>>,
}

/// What the answers that are like a reply depend on: the file, the reply by its address, the message, and the parameters
/// that stand in it.
type Alike = (String, usize, String, Vec<Option<String>>);

impl Seen {
    /// Where the file answers as `reply` does.
    fn alike(&self, asked: Asked<'_>, reply: &Reply) -> Rc<Vec<Likeness>> {
        let Asked {
            file, statement, ..
        } = asked;
        let templates = reply.like.iter();
        let parameters = templates.flat_map(|t| Pattern::parameters(t, file, statement));
        let key = (
            file.path().to_owned(),
            std::ptr::from_ref(reply).addr(),
            asked.message.to_owned(),
            parameters.collect(),
        );
        if let Some(known) = self.alike.borrow().get(&key) {
            return Rc::clone(known);
        }
        let frameworks = asked.model.frameworks.iter();
        let constants: Vec<String> = frameworks.flat_map(|f| f.bad_request.clone()).collect();
        let own = reply.code.names();
        let patterns = reply.like.iter();
        let alike = patterns
            .map(|template| Pattern::of(template, file, statement))
            .flat_map(|pattern| likenesses(file, &pattern, asked.message, &constants, &own));
        let alike = Rc::new(alike.collect());
        let mut all = self.alike.borrow_mut();
        Rc::clone(all.entry(key).or_insert(alike))
    }

    /// Whether the function at `home` uses what goes with `reply`.
    fn beside(&self, file: &SourceFile, home: Option<Span>, reply: &Reply) -> bool {
        let Some(home) = home.filter(|_| !reply.beside.is_empty()) else {
            return false;
        };
        let uses = || {
            let mut chains = file.scopes().chains().iter();
            chains.any(|chain| {
                let names = || file.scopes().resolve(chain.scope, &chain.parts);
                home.contains(chain.span) && names().iter().any(|name| reply.beside.contains(name))
            })
        };
        let key = (
            file.path().to_owned(),
            home,
            std::ptr::from_ref(reply).addr(),
        );
        *self.beside.borrow_mut().entry(key).or_insert_with(uses)
    }
}

/// The framework's replies, those first that the file uses already; and how it writes them, where that can be copied.
fn preferred(asked: Asked<'_>) -> Vec<(&Reply, Option<String>)> {
    let file = asked.file;
    let home = file.innermost_function(asked.statement).map(span);
    let scope = file.scopes().at(asked.statement.start);
    let replies = asked.framework.replies.iter();
    let mut rows: Vec<_> = replies
        .map(|reply| {
            let alike = asked.seen.alike(asked, reply);
            let is_near = |found: &&Likeness| home.is_some() && found.home == home;
            let near = alike.iter().filter(is_near);
            let far = alike.iter().filter(|found| !is_near(found));
            let mut all = near.clone().chain(far);
            let copy = all.find_map(|found| found.copy(file, scope));
            let rank = (
                near.count().min(1),
                alike.len(),
                copy.is_some(),
                asked.seen.beside(file, home, reply),
            );
            (rank, reply, copy.map(str::to_owned))
        })
        .collect();
    rows.sort_by_key(|(rank, ..)| std::cmp::Reverse(*rank));
    rows.into_iter()
        .map(|(_, reply, copy)| (reply, copy))
        .collect()
}

/// Whether another answer was begun before the load, or may have been in an earlier turn of a loop.
fn begun(asked: Asked<'_>, reply: &Reply) -> bool {
    let file = asked.file;
    let patterns: Vec<Pattern> = reply
        .unless
        .iter()
        .map(|template| Pattern::of(template, file, asked.statement))
        .collect();
    let Some(function) = file
        .innermost_function(asked.statement)
        .filter(|_| !patterns.is_empty())
    else {
        return false;
    };
    let home = span(function);
    let looped = file.ancestors(asked.statement).into_iter().any(|node| {
        let is_loop = matches!(node, AnyNodeRef::StmtFor(_) | AnyNodeRef::StmtWhile(_));
        is_loop && home.contains(span(&node))
    });
    let mut calls = Calls(Vec::new());
    calls.visit_body(&function.body);
    calls.0.into_iter().any(|call| {
        let scope = file.scopes().at(span(call).start);
        let earlier = looped || span(call).start < asked.statement.start;
        earlier
            && goes_on(file, span(call), asked.statement)
            && patterns.iter().any(|pattern| pattern.is(file, scope, call))
    })
}

/// Whether what runs at `from` can go on to `to`: no block that holds `from` alone ends by leaving the function.
fn goes_on(file: &SourceFile, from: Span, to: Span) -> bool {
    let leaves = |body: &[Stmt]| {
        let inside = body.iter().any(|stmt| span(stmt).contains(from));
        let left = matches!(body.last(), Some(Stmt::Return(_) | Stmt::Raise(_)));
        inside && left && !body.iter().any(|stmt| span(stmt).contains(to))
    };
    !file.ancestors(from).into_iter().any(|node| match node {
        AnyNodeRef::StmtIf(node) => leaves(&node.body),
        AnyNodeRef::ElifElseClause(node) => leaves(&node.body),
        AnyNodeRef::ExceptHandlerExceptHandler(node) => leaves(&node.body),
        AnyNodeRef::StmtWith(node) => leaves(&node.body),
        AnyNodeRef::StmtFor(node) => leaves(&node.body),
        AnyNodeRef::StmtWhile(node) => leaves(&node.body),
        AnyNodeRef::MatchCase(node) => leaves(&node.body),
        _ => false,
    })
}

/// All calls of a body.
struct Calls<'a>(Vec<&'a ast::Expr>);

impl<'a> Visitor<'a> for Calls<'a> {
    fn visit_expr(&mut self, expr: &'a ast::Expr) {
        if expr.is_call_expr() {
            self.0.push(expr);
        }
        visitor::walk_expr(self, expr);
    }
}
