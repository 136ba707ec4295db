//! Loaded values that are handed to functions which run elsewhere: tasks of a queue, receivers of a signal. What those do with
//! them is a use of the value as any other.
//!
//! Invariant: only uses are noted; the functions are come to by their own ways as well.

use std::collections::BTreeSet;

use super::machine::{Machine, Owner};
use super::uses::loads;
use super::value::{Arguments, Atom, Container, Def, FunctionId, Value};
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{dotted, span};

/// Who is handed something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    /// A function of the project, as a task.
    Task(FunctionId),
    /// The functions that are connected to what is so called.
    Connected(Name),
}

/// Arguments on their way.
#[derive(Debug)]
pub(super) struct Dispatch {
    to: To,
    arguments: Arguments,
}

impl<'a> Machine<'a> {
    /// `task.delay(value)`, `signal.send(sender, value=value)`.
    pub(super) fn note_dispatch(
        &mut self,
        attribute: &ast::ExprAttribute,
        owner: &Value,
        arguments: &Arguments,
    ) {
        if !self.model.hands_over(&attribute.attr) || !arguments.all().any(holds_a_load) {
            return;
        }
        let tasks = owner.atoms().iter().filter_map(|atom| match atom {
            Atom::Function(id, _) => Some(To::Task(*id)),
            _ => None,
        });
        let mut to: Vec<To> = tasks.collect();
        if to.is_empty() {
            let name = dotted(&attribute.value).and_then(|mut parts| parts.pop());
            to.extend(name.map(|name| To::Connected(Name::new(name))));
        }
        for to in to {
            let arguments = match to {
                To::Task(_) => given(arguments),
                To::Connected(_) => arguments.clone(),
            };
            self.dispatched.push(Dispatch { to, arguments });
        }
    }

    /// Enters the functions that were handed loaded values.
    pub(super) fn enter_dispatched(&mut self) {
        for Dispatch { to, arguments } in std::mem::take(&mut self.dispatched) {
            match to {
                To::Task(id) => {
                    let mut arguments = arguments;
                    if self.function(id).is_some_and(|function| {
                        let first = function.parameters().and_then(|p| p.iter().next());
                        !function.takes_self() && first.is_some_and(|p| p.name().as_str() == "self")
                    }) {
                        // A task that is given itself.
                        arguments.positional.insert(0, Value::unknown());
                    }
                    self.enter_with(id, &arguments);
                }
                To::Connected(name) => {
                    let own = Owner::Store("signal".into());
                    for file in self.where_read(&own, &name) {
                        for def in self.connected(file, &name) {
                            if let Some(id) = self.by_def.get(&def).copied() {
                                self.enter_with(id, &arguments);
                            }
                        }
                    }
                }
            }
        }
    }

    fn enter_with(&mut self, id: FunctionId, arguments: &Arguments) {
        self.grant();
        self.enter(id, None, arguments);
        self.take_reached();
    }

    /// Functions of `file` that are connected to what is called `name`.
    fn connected(&mut self, file: FileId, name: &str) -> Vec<Def> {
        let source = self.project.source(file);
        let mut found = Connected {
            name,
            functions: Vec::new(),
            named: BTreeSet::new(),
        };
        found.visit_body(&source.module().body);
        let Connected {
            functions, named, ..
        } = found;
        let is = |(function, decorated): &(&ast::StmtFunctionDef, bool)| {
            *decorated || named.contains(function.name.as_str())
        };
        let defs = functions
            .iter()
            .filter(|row| is(row))
            .map(|(function, _)| Def {
                file,
                start: span(*function).start,
            });
        let defs: Vec<Def> = defs.collect();
        if defs.iter().any(|def| !self.by_def.contains_key(def)) {
            self.whole_module(file);
            self.take_reached();
        }
        defs
    }
}

/// Whether a loaded value is, or is in, `value`.
fn holds_a_load(value: &Value) -> bool {
    value.any_atom(&|atom| loads(&atom.clone().into()).next().is_some())
}

/// What a task is called with: `apply_async(args=(value,), kwargs={"value": value})` says it in parts.
fn given(arguments: &Arguments) -> Arguments {
    let parts = |n: usize, name: &str| match arguments.get(n, name).map(Value::atoms) {
        Some([Atom::Container(container)]) => Some(container.clone()),
        _ => None,
    };
    let by_name = arguments.named("args").is_some() || arguments.named("kwargs").is_some();
    let by_place = arguments.positional.len() <= 2 && arguments.named.is_empty();
    let listed = parts(0, "args").and_then(|args| args.in_order());
    let named = parts(1, "kwargs");
    match (by_name || by_place && listed.is_some(), listed, named) {
        (true, listed, named) => Arguments {
            positional: listed.unwrap_or_default(),
            named: named.map(|named| of_mapping(&named)).unwrap_or_default(),
            spread: Value::unknown(),
        },
        _ => arguments.clone(),
    }
}

fn of_mapping(container: &Container) -> Vec<(Name, Value)> {
    let texts = container.items.iter().filter_map(|(key, value)| match key {
        super::value::Const::Str(name) => Some((Name::new(name), value.clone())),
        _ => None,
    });
    texts.collect()
}

/// Finds the functions that a file connects to a name.
struct Connected<'n, 's> {
    name: &'n str,
    /// With whether a decorator mentions the name.
    functions: Vec<(&'s ast::StmtFunctionDef, bool)>,
    /// Names of functions that are passed to a method of it.
    named: BTreeSet<&'s str>,
}

impl Connected<'_, '_> {
    fn is(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Name(node) => node.id == *self.name,
            Expr::Attribute(node) => node.attr == *self.name || self.is(&node.value),
            Expr::List(node) => node.elts.iter().any(|expr| self.is(expr)),
            Expr::Tuple(node) => node.elts.iter().any(|expr| self.is(expr)),
            Expr::Call(call) => {
                self.is(&call.func) || call.arguments.args.iter().any(|expr| self.is(expr))
            }
            _ => false,
        }
    }
}

impl<'s> Visitor<'s> for Connected<'_, 's> {
    fn visit_stmt(&mut self, stmt: &'s Stmt) {
        if let Stmt::FunctionDef(node) = stmt {
            let decorated = node.decorator_list.iter().any(|d| self.is(&d.expression));
            self.functions.push((node, decorated));
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'s Expr) {
        if let Expr::Call(call) = expr
            && let Expr::Attribute(method) = &*call.func
            && self.is(&method.value)
        {
            let names = call.arguments.args.iter().filter_map(Expr::as_name_expr);
            self.named.extend(names.map(|name| name.id.as_str()));
        }
        visitor::walk_expr(self, expr);
    }
}
