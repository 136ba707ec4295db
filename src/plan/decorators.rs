//! What decorators of the project make of an answer: one that takes a handler's result apart would take an answer apart,
//! and one that catches every error would catch it.
//!
//! Invariant: what is not understood of a decorator's use of a result counts as taking it apart.

use super::{Planner, Reason};
use crate::pack::Model;
use crate::project::FileId;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::Span;

/// What becomes of a handler's answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passage {
    /// What is returned is used as another value.
    pub taken_apart: bool,
    /// What is returned is used as a response: by its attributes and headers.
    pub is_object: bool,
    /// What is raised is caught.
    pub caught: bool,
}

impl Planner<'_> {
    /// What decorators of the project do with the answers of the function around `statement`.
    pub(super) fn passage(&self, id: FileId, statement: Span) -> Passage {
        let file = self.project.source(id);
        let mut all = Passage::default();
        let Some(function) = file.innermost_function(statement) else {
            return all;
        };
        for decorator in &function.decorator_list {
            let callee = match &decorator.expression {
                Expr::Call(call) => &*call.func,
                other => other,
            };
            if let Some((home, node)) = self.defined(id, callee) {
                let passage = passage(self.model, self.project.source(home), node);
                all.taken_apart |= passage.taken_apart;
                all.is_object |= passage.is_object;
                all.caught |= passage.caught;
            }
        }
        all
    }

    /// The function of a module of the project that `callee` names.
    fn defined(&self, id: FileId, callee: &Expr) -> Option<(FileId, &ast::StmtFunctionDef)> {
        let file = self.project.source(id);
        let names = file.names(file.scopes().at(span(callee).start), callee);
        let imported = names.iter().find_map(|name| {
            let (module, name) = name.rsplit_once('.')?;
            Some((self.project.module(id, module)?, name.to_owned()))
        });
        let own = || Some((id, callee.as_name_expr()?.id.to_string()));
        let (home, name) = imported.or_else(own)?;
        let body = self.project.source(home).module().body.iter();
        let found = body.rev().find_map(|stmt| match stmt {
            Stmt::FunctionDef(node) if node.name == *name => Some(node),
            _ => None,
        });
        found.map(|node| (home, node))
    }
}

impl Passage {
    /// Why an answer that is returned, as an object or not, or else raised, does not arrive.
    pub fn allows(self, returned: bool, as_object: bool) -> Result<(), Reason> {
        match returned {
            true if self.taken_apart || self.is_object && !as_object => {
                Err(Reason::HandlerIsCalled)
            }
            false if self.caught => Err(Reason::ReplySwallowed),
            _ => Ok(()),
        }
    }
}

/// What the decorator `node` does with what the functions give that it is given.
fn passage(model: &Model, file: &SourceFile, node: &ast::StmtFunctionDef) -> Passage {
    let mut given = Vec::new();
    let mut calls = Calls {
        given: &mut given,
        depth: 0,
        found: Vec::new(),
    };
    calls.function(node);
    let found = calls.found;
    let mut passage = Passage::default();
    for call in found {
        let around = file.ancestors(span(call));
        let mut outer = around.iter().rev();
        let mut inner = span(call);
        for node in outer.by_ref() {
            let transparent = match node {
                AnyNodeRef::ExprAwait(_) => true,
                AnyNodeRef::ExprCall(other) => {
                    span(*other) == span(call) || makes_answer(model, file, other)
                }
                _ => false,
            };
            if span(node) == inner || transparent {
                inner = span(node);
                continue;
            }
            match node {
                AnyNodeRef::StmtReturn(_) => {}
                AnyNodeRef::StmtAssign(assign) => match assign.targets.as_slice() {
                    [Expr::Name(name)] => {
                        let loads = Loads::of(model, file, inner, &name.id);
                        passage.taken_apart |= loads.others;
                        passage.is_object |= loads.parts;
                    }
                    _ => passage.taken_apart = true,
                },
                _ => passage.taken_apart = true,
            }
            break;
        }
        passage.caught |= around.iter().any(|node| match node {
            AnyNodeRef::StmtTry(node) => {
                let inside = node.body.iter().any(|stmt| span(stmt).contains(span(call)));
                inside
                    && node
                        .handlers
                        .iter()
                        .any(|handler| catches_all(file, handler))
            }
            _ => false,
        });
    }
    passage
}

/// Whether `call` makes an answer of whatever a handler may return.
fn makes_answer(model: &Model, file: &SourceFile, call: &ast::ExprCall) -> bool {
    let names = file.names(file.scopes().at(span(call).start), &call.func);
    let mut rows = names.iter().filter_map(|name| model.returns(name));
    rows.any(|row| row.of_answers)
}

/// Whether `handler` catches every error and goes on.
fn catches_all(file: &SourceFile, handler: &ast::ExceptHandler) -> bool {
    let ast::ExceptHandler::ExceptHandler(node) = handler;
    let broad = match &node.type_ {
        None => true,
        Some(types) => {
            let text = file.slice(span(&**types));
            let mut words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            words.any(|word| matches!(word, "Exception" | "BaseException"))
        }
    };
    let rises = matches!(node.body.last(), Some(Stmt::Raise(node)) if node.exc.is_none());
    broad && !rises
}

/// What is done with a name that holds an answer, beside returning it and making a response of it.
struct Loads<'f> {
    model: &'f Model,
    file: &'f SourceFile,
    name: &'f str,
    /// Its attributes and elements are used.
    parts: bool,
    others: bool,
}

impl<'f> Loads<'f> {
    /// What the function around `at` does with `name`.
    fn of(model: &'f Model, file: &'f SourceFile, at: Span, name: &'f str) -> Loads<'f> {
        let mut loads = Loads {
            model,
            file,
            name,
            parts: false,
            others: false,
        };
        if let Some(function) = file.innermost_function(at) {
            loads.visit_body(&function.body);
        }
        loads
    }

    fn is_name(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Name(node) if *node.id == *self.name)
    }
}

impl<'a> Visitor<'a> for Loads<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Return(node) if node.value.as_deref().is_some_and(|v| self.is_name(v)) => {}
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) if makes_answer(self.model, self.file, call) => {}
            Expr::Attribute(node) if self.is_name(&node.value) => self.parts = true,
            Expr::Subscript(node) if self.is_name(&node.value) => {
                // `response["X-Frame-Options"]`, and `body[0]` of a pair.
                self.parts |= node.slice.is_string_literal_expr();
                self.others |= !node.slice.is_string_literal_expr();
            }
            Expr::Name(node) if node.ctx == ast::ExprContext::Load => {
                self.others |= self.is_name(expr);
            }
            _ => visitor::walk_expr(self, expr),
        }
    }
}

/// Calls, in a decorator's inner functions, of what it and they are given.
struct Calls<'g, 'a> {
    given: &'g mut Vec<&'a str>,
    depth: usize,
    found: Vec<&'a ast::ExprCall>,
}

impl<'a> Calls<'_, 'a> {
    fn function(&mut self, node: &'a ast::StmtFunctionDef) {
        let before = self.given.len();
        self.given
            .extend(node.parameters.args.iter().map(|p| p.name().as_str()));
        self.depth += 1;
        self.visit_body(&node.body);
        self.depth -= 1;
        self.given.truncate(before);
    }
}

impl<'a> Visitor<'a> for Calls<'_, 'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(node) => self.function(node),
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr
            && let Expr::Name(name) = &*call.func
            && self.depth > 1
            && self.given.contains(&name.id.as_str())
        {
            self.found.push(call);
        }
        visitor::walk_expr(self, expr);
    }
}
