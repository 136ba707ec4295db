//! Expressions: what each can evaluate to.

use std::rc::Rc;

use super::machine::{Code, Env, Function, Machine, Owner};
use super::value::{Atom, Const, Container, Def, Hop, HopKind, Taint, Value};
use crate::pack::{Shape, Trust};
use crate::project::FileId;
use crate::python::ast::{self, Expr, Number};
use crate::python::{Ranged, span};

/// Ends the name of a verifying method whose key stands in the code.
pub(super) const LITERAL_KEY: &str = " with a literal key";

impl<'a> Machine<'a> {
    /// What `expr` evaluates to.
    pub(super) fn value(&mut self, expr: &'a Expr, env: &mut Env) -> Value {
        let raw = self.read(expr, env);
        self.sourced(raw, expr)
    }

    /// Outside names that are sources become the untrusted values they stand for.
    fn sourced(&mut self, raw: Value, expr: &'a Expr) -> Value {
        let is_source =
            |atom: &Atom| matches!(atom, Atom::External(name) if self.model.source(name).is_some());
        if !raw.atoms().iter().any(is_source) {
            return raw;
        }
        let mut out = Value::unknown();
        for atom in raw.atoms() {
            match atom {
                Atom::External(name) => out = out.join(&self.source_value(name, expr, atom)),
                other => out.add(other.clone()),
            }
        }
        out
    }

    fn source_value(&self, name: &str, at: &impl Ranged, otherwise: &Atom) -> Value {
        let Some(source) = self.model.source(name) else {
            return otherwise.clone().into();
        };
        if let Some(object) = &source.is {
            return Atom::Object(object.as_str().into()).into();
        }
        let trust = source.trust.unwrap_or(Trust::Unknown);
        let note = format!("{} ({name})", self.snippet(at));
        let note = if self.snippet(at) == name {
            name.to_owned()
        } else {
            note
        };
        self.entering(trust, &source.channel, source.shape, self.place(at), note)
    }

    /// What `expr` evaluates to, sources still by name: a callee.
    pub(super) fn read(&mut self, expr: &'a Expr, env: &mut Env) -> Value {
        if !self.spend() {
            return Value::unknown();
        }
        match expr {
            Expr::Name(name) => self.variable(name.id.as_str(), env),
            Expr::Attribute(node) => {
                let owner = self.value(&node.value, env);
                self.attribute(&owner, node)
            }
            Expr::Call(node) => self.call_expression(node, env),
            Expr::Subscript(node) => {
                let value = self.value(&node.value, env);
                if let Expr::Slice(slice) = &*node.slice {
                    for part in [&slice.lower, &slice.upper, &slice.step]
                        .into_iter()
                        .flatten()
                    {
                        self.value(part, env);
                    }
                    return self.stepped(&value, None, Shape::Bytes, true, expr);
                }
                let key = self.value(&node.slice, env);
                self.item(&value, key.constant(), expr)
            }
            Expr::Await(node) => {
                let value = self.value(&node.value, env);
                self.widened(value, expr)
            }
            Expr::Named(node) => {
                let value = self.value(&node.value, env);
                self.assign(&node.target, value.clone(), env);
                value
            }
            Expr::If(node) => {
                let truth = self
                    .value(&node.test, env)
                    .constant()
                    .and_then(Const::truth);
                match truth {
                    Some(true) => self.value(&node.body, env),
                    Some(false) => self.value(&node.orelse, env),
                    None => {
                        let body = self.value(&node.body, env);
                        body.join(&self.value(&node.orelse, env))
                    }
                }
            }
            Expr::BoolOp(node) => {
                let mut out = Value::unknown();
                for part in &node.values {
                    out = out.join(&self.value(part, env));
                }
                out
            }
            Expr::UnaryOp(node) => {
                let operand = self.value(&node.operand, env);
                match (node.op, operand.constant()) {
                    (ast::UnaryOp::Not, Some(constant)) => match constant.truth() {
                        Some(truth) => Atom::Const(Const::Bool(!truth)).into(),
                        None => Value::clean(),
                    },
                    (ast::UnaryOp::Not, None) => Value::clean(),
                    _ => operand,
                }
            }
            Expr::BinOp(node) => {
                let left = self.value(&node.left, env);
                let right = self.value(&node.right, env);
                self.combined(&[left, right])
            }
            Expr::Compare(node) => {
                self.value(&node.left, env);
                for part in &node.comparators {
                    self.value(part, env);
                }
                Value::clean()
            }
            Expr::Tuple(ast::ExprTuple { elts, .. })
            | Expr::List(ast::ExprList { elts, .. })
            | Expr::Set(ast::ExprSet { elts, .. }) => {
                if elts.iter().any(Expr::is_starred_expr) {
                    let all = self.all(elts, env);
                    return Container::of(all).into();
                }
                let items: Vec<Value> = elts.iter().map(|e| self.value(e, env)).collect();
                Container::sequence(items).into()
            }
            Expr::Starred(node) => {
                let value = self.value(&node.value, env);
                self.element(&value, expr)
            }
            Expr::Dict(node) => {
                let mut container = Container::default();
                for item in &node.items {
                    let value = self.value(&item.value, env);
                    let key = item.key.as_ref().map(|key| self.value(key, env));
                    match key.as_ref().and_then(Value::constant) {
                        Some(key) => {
                            container.items.insert(key.clone(), value);
                        }
                        None if item.key.is_none() => {
                            let spread = self.element(&value, expr);
                            container.rest = container.rest.join(&spread);
                        }
                        None => container.rest = container.rest.join(&value),
                    }
                }
                container.into()
            }
            Expr::ListComp(ast::ExprListComp {
                elt, generators, ..
            })
            | Expr::SetComp(ast::ExprSetComp {
                elt, generators, ..
            })
            | Expr::Generator(ast::ExprGenerator {
                elt, generators, ..
            }) => {
                self.generators(generators, env);
                Container::of(self.value(elt, env)).into()
            }
            Expr::DictComp(node) => {
                self.generators(&node.generators, env);
                self.value(&node.key, env);
                Container::of(self.value(&node.value, env)).into()
            }
            Expr::Lambda(node) => {
                let def = Def {
                    file: self.file(),
                    start: span(node).start,
                };
                let mut vars = match self.frames.last().and_then(|f| f.closure.clone()) {
                    Some(closure) => closure.borrow().clone(),
                    None => Default::default(),
                };
                vars.extend(env.vars.clone());
                let defaults = match &node.parameters {
                    Some(parameters) => self.defaults(parameters, env),
                    None => Default::default(),
                };
                let function = Function {
                    def,
                    defaults,
                    code: Code::Lambda(node),
                    class: None,
                    closure: Some(Rc::new(std::cell::RefCell::new(vars))),
                };
                self.functions.insert(def, Rc::new(function));
                Atom::Function(def, None).into()
            }
            Expr::Yield(node) => {
                let value = match &node.value {
                    Some(value) => self.value(value, env),
                    None => Value::clean(),
                };
                self.yielded(value);
                Value::unknown()
            }
            Expr::YieldFrom(node) => {
                let value = self.value(&node.value, env);
                let value = self.element(&value, expr);
                self.yielded(value);
                Value::unknown()
            }
            Expr::FString(node) => {
                let mut parts = Vec::new();
                for element in node.value.elements() {
                    if let ast::InterpolatedStringElement::Interpolation(part) = element {
                        parts.push(self.value(&part.expression, env));
                    }
                }
                match parts.is_empty() {
                    true => Value::clean(),
                    false => self.combined(&parts),
                }
            }
            Expr::StringLiteral(node) => Atom::Const(Const::Str(node.value.to_str().into())).into(),
            Expr::NumberLiteral(node) => match &node.value {
                Number::Int(n) => match n.as_i64() {
                    Some(n) => Atom::Const(Const::Int(n)).into(),
                    None => Value::clean(),
                },
                _ => Value::clean(),
            },
            Expr::BooleanLiteral(node) => Atom::Const(Const::Bool(node.value)).into(),
            Expr::NoneLiteral(_) => Atom::Const(Const::None).into(),
            Expr::BytesLiteral(_) | Expr::EllipsisLiteral(_) | Expr::TString(_) => Value::clean(),
            Expr::Slice(_) | Expr::IpyEscapeCommand(_) => Value::unknown(),
        }
    }

    fn all(&mut self, exprs: &'a [Expr], env: &mut Env) -> Value {
        let mut out = Value::unknown();
        for expr in exprs {
            out = out.join(&self.value(expr, env));
        }
        out
    }

    fn yielded(&mut self, value: Value) {
        self.returned(value);
        if let Some(frame) = self.frames.last_mut() {
            frame.yields = true;
        }
    }

    fn generators(&mut self, generators: &'a [ast::Comprehension], env: &mut Env) {
        for generator in generators {
            let items = self.value(&generator.iter, env);
            let item = self.element(&items, &generator.iter);
            self.assign(&generator.target, item, env);
            for test in &generator.ifs {
                self.value(test, env);
            }
        }
    }

    fn variable(&mut self, name: &str, env: &Env) -> Value {
        if let Some(value) = env.vars.get(name) {
            return value.clone();
        }
        let closure = self.frames.last().and_then(|f| f.closure.clone());
        if let Some(value) = closure.and_then(|c| c.borrow().get(name).cloned()) {
            return value;
        }
        let file = self.file();
        if let Some(value) = self.global(file, name) {
            return value;
        }
        // A name this file binds, on a way that was not taken, is not the builtin.
        match self.source().scopes().bound_in(0, name).is_empty() {
            true => self.unbound(name),
            false => Value::unknown(),
        }
    }

    /// A name that nothing binds: a builtin, or brought by a star import from outside.
    fn unbound(&self, name: &str) -> Value {
        let names = self.source().scopes().resolve(0, &[name.to_owned()]);
        names
            .iter()
            .map(|name| Atom::External(name.as_str().into()))
            .collect()
    }

    pub(super) fn attribute(&mut self, owner: &Value, node: &'a ast::ExprAttribute) -> Value {
        let name = node.attr.as_str();
        let mut out = Value::unknown();
        for atom in owner.atoms() {
            let found = match atom {
                Atom::Untrusted(taint) => Atom::Untrusted(self.member(taint, name, node)).into(),
                Atom::Object(ty) => self.object_member(ty, name, node),
                Atom::External(base) => self.external_attribute(base, name),
                Atom::Made(base, literal) => self.made_attribute(base, *literal, name),
                Atom::Module(file) => self.module_attribute(*file, name),
                Atom::Class(class) => self.class_member(*class, None, name),
                Atom::Instance(class) => self.class_member(*class, Some(*class), name),
                _ => Value::unknown(),
            };
            out = out.join(&found);
        }
        out
    }

    /// A member of untrusted data.
    fn member(&self, taint: &Taint, name: &str, node: &ast::ExprAttribute) -> Taint {
        // `upload.file`, `upload.stream` are streams as the upload is; all else is known only when called.
        let shape = match taint.shape {
            Shape::Stream if matches!(name, "file" | "stream" | "buffer") => Shape::Stream,
            shape => shape,
        };
        let place = self.place(node);
        match taint.widen(place, self.snippet(node), shape) {
            Some(wider) => wider,
            None => Taint {
                shape,
                ..taint.clone()
            },
        }
    }

    fn object_member(&self, ty: &str, name: &str, node: &ast::ExprAttribute) -> Value {
        let Some(object) = self.model.object(ty) else {
            return Value::unknown();
        };
        match object.members.get(name) {
            Some(member) => {
                let note = self.snippet(node);
                let place = self.place(node);
                let taint = Taint::enter(object.trust, &member.channel, member.shape, place, note);
                Atom::Untrusted(Taint {
                    known_as: Some(format!("{}.{name}", object.name).into()),
                    on_missing: member.on_missing.as_deref().map(Rc::from),
                    ..taint
                })
                .into()
            }
            None => Value::external(&format!("{}.{name}", object.name)),
        }
    }

    fn external_attribute(&mut self, base: &Rc<str>, name: &str) -> Value {
        let key = (Owner::External(Rc::clone(base)), name.to_owned());
        let stored = self.fields.get(&key).cloned().unwrap_or_default();
        let full = format!("{base}.{name}");
        let value = match self.project.module(self.file(), &full) {
            Some(file) => Atom::Module(file).into(),
            None => Value::external(&full),
        };
        stored.join(&value)
    }

    fn made_attribute(&mut self, base: &Rc<str>, literal: bool, name: &str) -> Value {
        let full = format!("{base}.{name}");
        if self.model.verifies(&full) && literal {
            return Value::external(&format!("{full}{LITERAL_KEY}"));
        }
        self.external_attribute(base, name)
    }

    fn module_attribute(&mut self, file: FileId, name: &str) -> Value {
        if let Some(value) = self.global(file, name) {
            return value;
        }
        let path = self.project.path(file);
        match path.strip_suffix("__init__.py") {
            Some(folder) => {
                let inner = [
                    format!("{folder}{name}.py"),
                    format!("{folder}{name}/__init__.py"),
                ];
                match inner.iter().find_map(|path| self.project.by_path(path)) {
                    Some(file) => Atom::Module(file).into(),
                    None => Value::unknown(),
                }
            }
            None => Value::unknown(),
        }
    }

    /// A member of a class, or of an instance of it.
    pub(super) fn class_member(&mut self, class: Def, instance: Option<Def>, name: &str) -> Value {
        let mut out = Value::unknown();
        if let Some(value) = self.fields.get(&(Owner::Class(class), name.to_owned())) {
            out = value.clone();
        }
        if let Some(field) = self.handler_field(class, name) {
            return out.join(&field);
        }
        for line in self.lineage(class) {
            if line != class
                && let Some(value) = self.fields.get(&(Owner::Class(line), name.to_owned()))
            {
                out = out.join(value);
            }
            let Some(info) = self.classes.get(&line).cloned() else {
                continue;
            };
            if let Some(value) = info.attributes.get(name) {
                let bound = value.atoms().iter().map(|atom| match (atom, instance) {
                    (Atom::Function(def, None), Some(instance)) => {
                        Atom::Function(*def, Some(instance))
                    }
                    _ => atom.clone(),
                });
                return out.join(&bound.collect());
            }
        }
        if out.atoms().is_empty() {
            for base in self.outside_bases(class) {
                out.add(Atom::External(format!("{base}.{name}").into()));
            }
        }
        out
    }

    /// `class` and its bases in the project, nearest first.
    pub(super) fn lineage(&self, class: Def) -> Vec<Def> {
        let mut line = vec![class];
        let mut n = 0;
        while let Some(class) = line.get(n).copied() {
            n += 1;
            let Some(info) = self.classes.get(&class) else {
                continue;
            };
            for atom in info.bases.iter().flat_map(Value::atoms) {
                if let Atom::Class(base) = atom
                    && !line.contains(base)
                {
                    line.push(*base);
                }
            }
        }
        line
    }

    /// Bases outside the project of `class` and of its bases.
    pub(super) fn outside_bases(&self, class: Def) -> Vec<Rc<str>> {
        let mut bases = Vec::new();
        for class in self.lineage(class) {
            let Some(info) = self.classes.get(&class) else {
                continue;
            };
            for atom in info.bases.iter().flat_map(Value::atoms) {
                if let Atom::External(name) = atom {
                    bases.push(Rc::clone(name));
                }
            }
        }
        bases
    }

    /// Several values made into one: concatenated, formatted.
    pub(super) fn combined(&self, parts: &[Value]) -> Value {
        let mut out = Value::unknown();
        for part in parts {
            for taint in part.taints() {
                out.add(Atom::Untrusted(Taint {
                    shape: Shape::Bytes,
                    ..taint.clone()
                }));
            }
        }
        let known = |value: &Value| {
            !value.atoms().is_empty() && value.atoms().iter().all(|a| matches!(a, Atom::Const(_)))
        };
        if out.atoms().is_empty() && parts.iter().all(known) {
            return Value::clean();
        }
        for part in parts {
            for atom in part.atoms() {
                if matches!(atom, Atom::Container(_) | Atom::Digest(_)) {
                    out.add(atom.clone());
                }
            }
        }
        out
    }

    /// The untrusted parts of `value` after a step at `at`.
    pub(super) fn stepped(
        &self,
        value: &Value,
        name: Option<&str>,
        shape: Shape,
        quiet: bool,
        at: &impl Ranged,
    ) -> Value {
        let place = self.place(at);
        let note = name.map_or_else(|| self.snippet(at), str::to_owned);
        let mut out = Value::unknown();
        for taint in value.taints() {
            out.add(Atom::Untrusted(taint.then(Hop::new(
                place,
                HopKind::Step,
                note.clone(),
                shape,
                quiet,
            ))));
        }
        for atom in value.atoms() {
            match atom {
                Atom::Const(_) => out.add(Atom::Const(Const::Other)),
                Atom::Pickled(_) | Atom::Verified => out.add(atom.clone()),
                _ => {}
            }
        }
        out
    }

    /// The same value, read by the wider expression `at`: `request.get_data` and its call, `await` and its operand.
    pub(super) fn widened(&self, value: Value, at: &impl Ranged) -> Value {
        let place = self.place(at);
        value.map_taints(&|taint| {
            taint
                .widen(place, self.snippet(at), taint.shape)
                .unwrap_or_else(|| taint.clone())
        })
    }
}
