//! What does not happen at once: generators, coroutines, threads. The call that makes one runs nothing; using it does.
//!
//! Only what is put into a local variable waits; whoever reads that variable, but to look at it or to close it, lets it
//! run. So nothing is lost that may run.

use super::at::At;
use super::env::Env;
use super::functions::{Code, Function};
use super::machine::Machine;
use super::value::{Arguments, Atom, FunctionId, Instance, Value};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};

/// Builtins that look at a value and neither call, keep nor iterate it.
pub(super) const LOOKS: [&str; 8] = [
    "print",
    "repr",
    "str",
    "type",
    "id",
    "callable",
    "hash",
    "isinstance",
];

/// Something that waits.
#[derive(Debug, Clone)]
pub(super) enum Deferred<'a> {
    /// A call of a generator function or of a coroutine.
    Call(FunctionId, Option<Instance>, Arguments, At<'a>),
    /// A generator expression.
    Generator(&'a Expr),
    /// A thread or process that calls a function when it is started.
    Start(Value, Arguments, At<'a>),
}

/// Whether, and how, a function yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Yields {
    /// It does not.
    Never,
    /// Every `yield` stands in a statement of its body that runs exactly once.
    InOrder,
    /// Who knows when.
    Anywhere,
}

impl<'a> Machine<'a> {
    /// What `expr` evaluates to, to be put into a local variable.
    pub(super) fn value_for_name(&mut self, target: &Expr, expr: &'a Expr, env: &mut Env) -> Value {
        let is_local = match (target, self.frames.last()) {
            (Expr::Name(name), Some(frame)) => {
                frame.def.is_some()
                    && !frame.globals.contains(&name.id)
                    && !frame.nonlocals.contains(&name.id)
            }
            _ => false,
        };
        match expr {
            Expr::Call(call) if is_local => self.call_for_name(call, env),
            Expr::Generator(_) if is_local => self.defer(Deferred::Generator(expr)),
            _ => self.value(expr, env),
        }
    }

    /// It waits.
    pub(super) fn defer(&mut self, deferred: Deferred<'a>) -> Value {
        self.deferred.push(deferred);
        Atom::Deferred(self.deferred.len() - 1).into()
    }

    /// Whether calling `function` runs nothing yet.
    pub(super) fn is_lazy(&mut self, function: &Function<'a>) -> bool {
        let Code::Def(node) = function.code else {
            return false;
        };
        node.decorator_list.is_empty()
            && (node.is_async || self.yielding(function) != Yields::Never)
    }

    /// `value`, where what waited has run.
    pub(super) fn forced(&mut self, value: &Value, env: &mut Env) -> Value {
        let mut out = Value::unknown();
        for atom in value.atoms() {
            let Atom::Deferred(n) = atom else {
                out.add(atom.clone());
                continue;
            };
            let Some(deferred) = self.deferred.get(*n).cloned() else {
                continue;
            };
            out = out.join(&match deferred {
                Deferred::Call(id, bound, arguments, at) => {
                    self.call(id, bound, &arguments, at.place, env).0
                }
                Deferred::Generator(expr) => self.value(expr, env),
                Deferred::Start(function, arguments, at) => {
                    self.apply(&function, &arguments, at, env)
                }
            });
        }
        out
    }

    /// Whether reading the attribute `name` of `expr` leaves what waits in it waiting.
    pub(super) fn stays_deferred(&self, expr: &Expr, name: &str, env: &Env) -> bool {
        let Expr::Name(variable) = expr else {
            return false;
        };
        let Some(value) = env.get(&variable.id) else {
            return false;
        };
        let stays = |atom: &Atom| match atom {
            Atom::Deferred(n) => match self.deferred.get(*n) {
                Some(Deferred::Start(..)) => !matches!(name, "start" | "run"),
                _ => name == "close",
            },
            _ => false,
        };
        !value.is_empty() && value.atoms().iter().all(stays)
    }

    /// How `function` yields.
    pub(super) fn yielding(&mut self, function: &Function<'a>) -> Yields {
        if let Some(known) = self.yielding.get(&function.def) {
            return *known;
        }
        let yields = match function.code {
            Code::Def(node) => yields(self.project.code(function.def.file, node)),
            Code::Lambda(_) => Yields::Never,
        };
        self.yielding.insert(function.def, yields);
        yields
    }
}

fn yields(body: &[Stmt]) -> Yields {
    struct Found(bool);
    impl<'b> Visitor<'b> for Found {
        fn visit_stmt(&mut self, stmt: &'b Stmt) {
            if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                visitor::walk_stmt(self, stmt);
            }
        }
        fn visit_expr(&mut self, expr: &'b Expr) {
            self.0 |= matches!(expr, Expr::Yield(_) | Expr::YieldFrom(_));
            if !expr.is_lambda_expr() {
                visitor::walk_expr(self, expr);
            }
        }
    }
    let mut found = Yields::Never;
    for stmt in body {
        let expr = match stmt {
            Stmt::Expr(node) => Some(&*node.value),
            Stmt::Assign(ast::StmtAssign { value, .. }) => Some(&**value),
            _ => None,
        };
        if let Some(Expr::Yield(_) | Expr::YieldFrom(_)) = expr {
            found = match found {
                Yields::Never => Yields::InOrder,
                found => found,
            };
            continue;
        }
        let mut inside = Found(false);
        inside.visit_stmt(stmt);
        if inside.0 {
            return Yields::Anywhere;
        }
    }
    found
}
