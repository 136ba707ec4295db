//! What makes the value that a name holds: what is bound to it, and what is put into that by whatever name.
//!
//! Invariant: who may change it and is not understood is told.

use super::content::Judge;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};

/// Names in a target.
pub(super) fn names_in(target: &Expr) -> Vec<&str> {
    match target {
        Expr::Name(name) => vec![&name.id],
        Expr::Tuple(node) => node.elts.iter().flat_map(names_in).collect(),
        Expr::List(node) => node.elts.iter().flat_map(names_in).collect(),
        Expr::Starred(node) => names_in(&node.value),
        _ => Vec::new(),
    }
}

/// What makes the value of a name.
#[derive(Clone, Copy)]
pub(super) enum Maker<'f> {
    /// It is bound to it, or it is put into it.
    Value(&'f Expr),
    /// It is a key of it.
    Key(&'f Expr),
    /// It is put into it by another name, or into what a method gives of it.
    Put(&'f Expr),
    /// Something that is not understood.
    Unknown,
    /// What was given it may change it.
    Changed,
}

/// What is bound to one name, or put into what it holds.
pub(super) struct Makers<'j, 'f> {
    judge: &'j Judge<'f>,
    name: &'j str,
    /// Names that stand for it, or for a part of it.
    others: Vec<&'f str>,
    pub found: Vec<Maker<'f>>,
    pub bound: bool,
    pub everywhere: bool,
    /// In a function within, whose names are its own.
    within: bool,
}

impl<'j, 'f> Makers<'j, 'f> {
    pub fn of(judge: &'j Judge<'f>, name: &'j str) -> Makers<'j, 'f> {
        Makers {
            judge,
            name,
            others: Vec::new(),
            found: Vec::new(),
            bound: false,
            everywhere: false,
            within: false,
        }
    }

    fn is_name(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Name(name) if *name.id == *self.name)
    }

    /// The name itself, or one that stands for it.
    fn stands(&self, expr: &Expr) -> bool {
        let other = |name: &ast::ExprName| self.others.contains(&name.id.as_str());
        self.is_name(expr) || expr.as_name_expr().is_some_and(other)
    }

    /// Whether `target` binds the name in a way that is not understood.
    fn unpacks(&self, target: &Expr) -> bool {
        match target {
            Expr::Tuple(node) => node.elts.iter().any(|t| self.is_name(t) || self.unpacks(t)),
            Expr::List(node) => node.elts.iter().any(|t| self.is_name(t) || self.unpacks(t)),
            Expr::Starred(node) => self.is_name(&node.value),
            _ => false,
        }
    }

    /// The root of `name[...]...` is the name itself, or what stands for it.
    fn holds(&self, target: &Expr) -> bool {
        match target {
            Expr::Subscript(node) => self.stands(&node.value) || self.holds(&node.value),
            Expr::Call(call) => match &*call.func {
                Expr::Attribute(node) => {
                    let gives = matches!(&*node.attr, "setdefault" | "get" | "values" | "items");
                    gives && (self.stands(&node.value) || self.holds(&node.value))
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the root of `name[...]...` is the name itself, by elements alone.
    fn is_own(&self, target: &Expr) -> bool {
        match target {
            Expr::Subscript(node) => self.is_own(&node.value),
            other => self.is_name(other),
        }
    }

    fn target(&mut self, target: &'f Expr, value: Maker<'f>) {
        if self.is_name(target) {
            self.bound |= !self.within;
            self.found.push(value);
        } else if self.unpacks(target) {
            self.bound |= !self.within;
            self.found.push(Maker::Unknown);
        } else if self.holds(target) {
            self.found.push(match value {
                Maker::Value(value) if !self.is_own(target) => Maker::Put(value),
                value => value,
            });
            if let Expr::Subscript(node) = target
                && self.stands(&node.value)
            {
                self.found.push(Maker::Key(&node.slice));
            }
        }
    }

    /// Names in `target` stand for `value`, if that is the name's or a part of it.
    fn alias(&mut self, target: &'f Expr, value: &Expr) {
        if self.stands(value) || self.holds(value) {
            let new = names_in(target).into_iter();
            let new = new.filter(|other| *other != self.name);
            self.others.extend(new);
        }
    }
}

/// Methods that only read what they are given, or keep it.
const READING: [&str; 29] = [
    "append",
    "add",
    "extend",
    "insert",
    "update",
    "put",
    "put_nowait",
    "set",
    "setex",
    "get",
    "push",
    "lpush",
    "rpush",
    "send",
    "sendall",
    "write",
    "publish",
    "emit",
    "debug",
    "info",
    "warning",
    "error",
    "exception",
    "log",
    "join",
    "format",
    "dumps",
    "dump",
    "set_cookie",
];

impl<'f> Visitor<'f> for Makers<'_, 'f> {
    fn visit_stmt(&mut self, stmt: &'f Stmt) {
        match stmt {
            Stmt::Assign(node) => {
                for target in &node.targets {
                    self.target(target, Maker::Value(&node.value));
                    self.alias(target, &node.value);
                }
            }
            Stmt::AnnAssign(node) => {
                if let Some(value) = &node.value {
                    self.target(&node.target, Maker::Value(value));
                    self.alias(&node.target, value);
                }
            }
            Stmt::AugAssign(node) => self.target(&node.target, Maker::Value(&node.value)),
            Stmt::For(node) => {
                self.target(&node.target, Maker::Unknown);
                self.alias(&node.target, &node.iter);
            }
            Stmt::With(node) => {
                for target in node.items.iter().filter_map(|i| i.optional_vars.as_deref()) {
                    self.target(target, Maker::Unknown);
                }
            }
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) if !self.everywhere => {
                let within = std::mem::replace(&mut self.within, true);
                visitor::walk_stmt(self, stmt);
                self.within = within;
                return;
            }
            Stmt::Global(node) if node.names.iter().any(|n| *n == *self.name) => {
                self.bound = true;
                self.found.push(Maker::Unknown);
            }
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'f Expr) {
        match expr {
            Expr::Named(node) => self.target(&node.target, Maker::Value(&node.value)),
            Expr::Call(call) => {
                if let Expr::Attribute(attribute) = &*call.func
                    && (self.stands(&attribute.value) || self.holds(&attribute.value))
                {
                    let values = call.arguments.args.iter();
                    let put = match self.is_own(&attribute.value) {
                        true => Maker::Value,
                        false => Maker::Put,
                    };
                    let methods = &self.judge.rewrite.value_methods;
                    match attribute.attr.as_str() {
                        // The first of each pair is a key.
                        "update" if call.arguments.args.first().is_some_and(is_display) => {
                            self.found.push(Maker::Changed);
                        }
                        other if !methods.iter().any(|method| method == other) => {
                            self.found.push(Maker::Changed);
                        }
                        "append" | "add" | "extend" | "insert" | "update" | "setdefault" => {
                            self.found.extend(values.map(put));
                            let named = call.arguments.keywords.iter();
                            self.found.extend(named.map(|keyword| put(&keyword.value)));
                        }
                        _ => {}
                    }
                }
                // Who is given the object may change it: only what is known to read does not.
                let names = self.judge.file.names(self.judge.scope(expr), &call.func);
                // By name things are given to templates, too, which only read.
                let own = call.func.as_name_expr().is_some_and(|name| {
                    let mut body = self.judge.file.module().body.iter();
                    body.any(|stmt| matches!(stmt, Stmt::FunctionDef(f) if f.name == *name.id))
                });
                let named = call.arguments.keywords.iter();
                let named = named.filter(|_| names.is_empty() || own);
                let named = named.map(|keyword| &keyword.value);
                let mut given = call.arguments.args.iter().chain(named);
                let passed = given.any(|arg| {
                    let parts = match arg {
                        Expr::List(node) => node.elts.as_slice(),
                        Expr::Tuple(node) => node.elts.as_slice(),
                        _ => std::slice::from_ref(arg),
                    };
                    parts.iter().any(|part| self.stands(part))
                });
                let reads = |name: &String| {
                    let called_back = matches!(&**name, "builtins.map" | "builtins.filter");
                    name.starts_with("builtins.") && !called_back
                        || name.contains("dumps")
                        || name.contains("dump")
                };
                let reads = names.iter().any(reads)
                    || match &*call.func {
                        Expr::Attribute(method) => READING.contains(&&*method.attr),
                        _ => false,
                    };
                if passed && !reads {
                    self.found.push(Maker::Changed);
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// Whether `expr` is a list, a tuple or the like that is written out.
fn is_display(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::List(_) | Expr::Tuple(_) | Expr::ListComp(_) | Expr::Generator(_)
    )
}
