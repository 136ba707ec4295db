//! A value of the form that the code around a load reads from what it gives.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::delivery::{node_at, place};
use crate::project::{FileId, Project};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{AnyNodeRef, Expr, Stmt};
use crate::python::span;
use crate::text::Span;
use crate::trace::{Finding, Place, Route};

/// Expressions that are looked at for one value, and values within values.
const MOST: usize = 200;
const DEEPEST: usize = 6;
/// Items of a list in a list.
const WITHIN: usize = 3;

/// What is known of a value.
#[derive(Debug, Default)]
struct Form {
    keys: BTreeMap<String, Form>,
    items: Option<Box<Form>>,
    mapping: bool,
    number: bool,
    text: bool,
}

impl Form {
    fn is_seen(&self) -> bool {
        self.mapping || !self.keys.is_empty() || self.items.is_some() || self.number || self.text
    }

    /// A value of this form with lists of so many items; `n` is the place of the value in its list.
    fn value(&self, items: usize, n: usize) -> Value {
        if self.mapping && self.keys.is_empty() {
            let keys = (1..items).map(|n| (format!("key {n}"), json!(n)));
            return Value::Object(keys.collect());
        }
        if !self.keys.is_empty() {
            let keys = self
                .keys
                .iter()
                .map(|(key, form)| (key.clone(), form.value(items, n)));
            return Value::Object(keys.collect());
        }
        if let Some(form) = &self.items {
            // Lists in lists are short, or there would be no end of them.
            let all = (0..items).map(|n| form.value(items.min(WITHIN), n));
            return all.collect();
        }
        match (self.text, n) {
            (true, 0) => json!("tea"),
            (true, n) => json!(format!("tea {n}")),
            (false, n) => json!(n + 1),
        }
    }

    fn item(&mut self) -> &mut Form {
        self.items.get_or_insert_default()
    }
}

/// A value that the load of `finding` may give where it is reached by `route`.
pub(super) fn sample(project: &Project, finding: &Finding, route: &Route) -> Value {
    let mut form = Form::default();
    read(project, finding, Some(route), &mut form);
    match form.keys.is_empty() && form.items.is_none() && !form.number && !form.text {
        true => json!({ "items": [1] }),
        false => form.value(1, 0),
    }
}

/// A value of the form that the code reads from what the load of `finding` gives, by whichever route, with lists of so many
/// items; nothing if no code shows it.
pub fn generated(project: &Project, finding: &Finding, items: usize) -> Option<Value> {
    let mut form = Form::default();
    read(project, finding, None, &mut form);
    for route in &finding.routes {
        read(project, finding, Some(route), &mut form);
    }
    form.is_seen().then(|| form.value(items, 0))
}

fn read(project: &Project, finding: &Finding, route: Option<&Route>, form: &mut Form) {
    let chain = route.map_or(Default::default(), |route| route.chain.as_slice());
    let mut reader = Reader {
        project,
        left: MOST,
        returned_to: chain.iter().rev().map(|call| call.place).collect(),
    };
    reader.read(finding.place, form, 0);
}

struct Reader<'p> {
    project: &'p Project,
    left: usize,
    /// The calls by which a helper that loads is called, innermost first.
    returned_to: Vec<Place>,
}

impl Reader<'_> {
    /// Notes in `form` what is done with the expression at `at`.
    fn read(&mut self, at: Place, form: &mut Form, depth: usize) {
        if self.left == 0 || depth > DEEPEST {
            return;
        }
        self.left -= 1;
        let file = self.project.source(at.file);
        if node_at(file, at.span).is_none() {
            return;
        }
        let nodes = file.ancestors(at.span);
        let outside = nodes.iter().rev().find(|node| span(*node) != at.span);
        let Some(outside) = outside else { return };
        let is = |expr: &Expr| span(expr) == at.span;
        let next = Place {
            file: at.file,
            span: span(outside),
        };
        match *outside {
            AnyNodeRef::StmtAssign(stmt) if is(&stmt.value) => {
                for target in &stmt.targets {
                    self.bound(at.file, target, &nodes, form, depth);
                }
            }
            AnyNodeRef::StmtAnnAssign(stmt) => {
                self.bound(at.file, &stmt.target, &nodes, form, depth)
            }
            AnyNodeRef::ExprNamed(node) if is(&node.value) => {
                self.bound(at.file, &node.target, &nodes, form, depth);
                self.read(next, form, depth);
            }
            AnyNodeRef::ExprAwait(_) => self.read(next, form, depth),
            AnyNodeRef::StmtReturn(_) if !self.returned_to.is_empty() => {
                let call = self.returned_to.remove(0);
                self.read(call, form, depth);
            }
            AnyNodeRef::ExprSubscript(node) if is(&node.value) => match &*node.slice {
                Expr::StringLiteral(key) => {
                    let within = form.keys.entry(key.value.to_str().to_owned()).or_default();
                    self.read(next, within, depth + 1);
                }
                _ => self.read(next, form.item(), depth + 1),
            },
            AnyNodeRef::ExprCompare(node) if !is(&node.left) => {
                if let Expr::StringLiteral(key) = &*node.left {
                    form.keys.entry(key.value.to_str().to_owned()).or_default();
                }
            }
            AnyNodeRef::ExprBinOp(_) => form.number = true,
            AnyNodeRef::StmtFor(stmt) if is(&stmt.iter) => {
                self.bound(at.file, &stmt.target, &nodes, form.item(), depth + 1);
            }
            AnyNodeRef::Comprehension(node) if is(&node.iter) => {
                self.bound(at.file, &node.target, &nodes, form.item(), depth + 1);
            }
            // `f(value)`.
            AnyNodeRef::Arguments(_) | AnyNodeRef::ExprCall(_) => {
                let call = nodes.iter().rev().find_map(|node| match node {
                    AnyNodeRef::ExprCall(call) if span(*call) != at.span => Some(*call),
                    _ => None,
                });
                match call
                    .and_then(|call| call.func.as_name_expr())
                    .map(|f| f.id.as_str())
                {
                    Some(
                        "len" | "sum" | "sorted" | "list" | "set" | "min" | "max" | "enumerate",
                    ) => {
                        form.item();
                    }
                    Some("dict") => form.mapping = true,
                    Some("int" | "float" | "round" | "abs") => form.number = true,
                    _ => {}
                }
            }
            AnyNodeRef::ExprAttribute(node) => {
                self.method(at.file, node.attr.as_str(), &nodes, form, depth)
            }
            _ => {}
        }
    }

    /// `value.name(...)`.
    fn method(
        &mut self,
        file: FileId,
        name: &str,
        nodes: &[AnyNodeRef<'_>],
        form: &mut Form,
        depth: usize,
    ) {
        let calls = nodes.iter().rev().filter_map(|node| match node {
            AnyNodeRef::ExprCall(call) => Some(*call),
            _ => None,
        });
        let of = |call: &&crate::python::ast::ExprCall| {
            let func = call.func.as_attribute_expr();
            func.is_some_and(|func| func.attr == *name)
        };
        let Some(call) = calls.into_iter().find(of) else {
            return;
        };
        let key = call
            .arguments
            .args
            .first()
            .and_then(|key| key.as_string_literal_expr());
        match (name, key) {
            ("get" | "pop" | "setdefault", Some(key)) => {
                let within = form.keys.entry(key.value.to_str().to_owned()).or_default();
                self.read(place(file, call), within, depth + 1);
            }
            ("items" | "keys" | "values" | "update", _) => form.mapping = true,
            ("append" | "extend" | "sort" | "insert", _) => {
                form.item();
            }
            ("lower" | "upper" | "strip" | "split" | "startswith" | "encode", _) => {
                form.text = true
            }
            // What a reader gives.
            ("load", None) => self.read(place(file, call), form, depth),
            _ => {}
        }
    }

    /// The value is bound to `target`, in the function around `nodes`.
    fn bound(
        &mut self,
        file: FileId,
        target: &Expr,
        nodes: &[AnyNodeRef<'_>],
        form: &mut Form,
        depth: usize,
    ) {
        let Some(name) = target.as_name_expr() else {
            return;
        };
        let body: &[Stmt] = match nodes.iter().rev().find_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(function) => Some(function),
            _ => None,
        }) {
            Some(function) => &function.body,
            None => &self.project.source(file).module().body,
        };
        let mut readings = Readings {
            name: name.id.as_str(),
            at: Vec::new(),
        };
        readings.visit_body(body);
        for at in readings.at {
            self.read(Place { file, span: at }, form, depth);
        }
    }
}

/// Where a name is read.
struct Readings<'n> {
    name: &'n str,
    at: Vec<Span>,
}

impl<'a> Visitor<'a> for Readings<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Name(name) = expr
            && name.id == *self.name
            && name.ctx.is_load()
        {
            self.at.push(span(name));
        }
        visitor::walk_expr(self, expr);
    }
}
