//! Expressions: what each can evaluate to.

use super::at::At;
use super::container::MOST_PARTS;
use super::env::Env;
use super::fold;
use super::functions::{Binding, Code, Function};
use super::iterators::in_order;
use super::machine::Machine;
use super::uses::Doing;
use super::value::{Atom, Const, Container, Def, Kind, Role, Value};
use crate::pack::Trust;
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Number};
use crate::python::{Ranged, span};

/// Ends the name of a verifying method whose key stands in the code.
pub(super) const LITERAL_KEY: &str = " with a literal key";

impl<'a> Machine<'a> {
    /// What `expr` evaluates to.
    pub(super) fn value(&mut self, expr: &'a Expr, env: &mut Env) -> Value {
        let raw = self.read(expr, env);
        if let [Atom::External(name)] = raw.atoms()
            && **name == *"typing.TYPE_CHECKING"
        {
            return Value::bool(false);
        }
        self.sourced(raw, expr)
    }

    /// Outside names that are sources become the untrusted values they stand for.
    pub(super) fn sourced(&mut self, raw: Value, expr: &impl Ranged) -> Value {
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
            return Value::object(object);
        }
        let trust = source.trust.unwrap_or(Trust::Unknown);
        let place = self.place(at);
        let snippet = self.snippet(place);
        let note = match snippet == name {
            true => snippet,
            false => format!("{snippet} ({name})"),
        };
        self.entering(trust, &source.channel, source.shape, place, note)
    }

    /// What `expr` evaluates to, sources still by name: a callee.
    pub(super) fn read(&mut self, expr: &'a Expr, env: &mut Env) -> Value {
        self.dive(|machine| machine.read_inside(expr, env))
    }

    fn read_inside(&mut self, expr: &'a Expr, env: &mut Env) -> Value {
        match expr {
            Expr::Name(name) => {
                let value = self.variable(name.id.as_str(), env);
                let waits = |atom: &Atom| matches!(atom, Atom::Deferred(_));
                if !value.atoms().iter().any(waits) {
                    return value;
                }
                let value = self.forced(&value, env);
                if env.get(&name.id).is_some() {
                    env.set(name.id.clone(), value.clone());
                }
                value
            }
            Expr::Attribute(node) => {
                if let Some(path) = attribute_path(expr, env) {
                    return path;
                }
                if self.stays_deferred(&node.value, &node.attr, env) {
                    return Value::unknown();
                }
                let owner = self.value(&node.value, env);
                let at = At::place(self.place(expr));
                let name = self.mangled(&node.attr.id);
                self.attribute(&owner, &name, at, env)
            }
            Expr::Call(node) => self.call_expression(node, false, env),
            Expr::Subscript(node) => self.subscript(node, env),
            Expr::Await(node) => {
                let value = self.value(&node.value, env);
                self.note_entered(&value, &node.value, "__await__");
                self.widened(&value, self.place(expr))
            }
            Expr::Named(node) => {
                let value = self.value(&node.value, env);
                self.assign(&node.target, value.clone(), env);
                value
            }
            Expr::If(node) => {
                let truth = self.value(&node.test, env).truth();
                let mut yes = env.clone();
                self.refine(&node.test, true, &mut yes);
                let mut no = env.clone();
                self.refine(&node.test, false, &mut no);
                match truth {
                    Some(true) => self.value(&node.body, &mut yes),
                    Some(false) => self.value(&node.orelse, &mut no),
                    None => {
                        let body = self.value(&node.body, &mut yes);
                        let body = self.settled(&body, &yes);
                        let orelse = self.value(&node.orelse, &mut no);
                        body.join(&self.settled(&orelse, &no))
                    }
                }
            }
            Expr::BoolOp(node) => self.bool_op(node, env),
            Expr::UnaryOp(node) => {
                let operand = self.value(&node.operand, env);
                if node.op == ast::UnaryOp::Invert {
                    let doing = || Doing::Attribute("__invert__".to_owned());
                    self.note_use(&operand, self.place(expr), doing);
                }
                match (node.op, operand.constant()) {
                    (ast::UnaryOp::Not, _) => match operand.truth() {
                        Some(truth) => Value::bool(!truth),
                        None => Value::clean(),
                    },
                    (ast::UnaryOp::USub, Some(Const::Int(n))) => match n.checked_neg() {
                        Some(n) => Const::Int(n).into(),
                        None => Value::clean(),
                    },
                    _ => operand,
                }
            }
            Expr::BinOp(node) => {
                let left = self.value(&node.left, env);
                let right = self.value(&node.right, env);
                let (one, other) = ((&left, &*node.left), (&right, &*node.right));
                self.note_operands(node.op, one, other, self.place(expr));
                self.binary(node.op, &left, &right, self.place(expr))
            }
            Expr::Compare(node) => self.compare(node, env),
            Expr::Tuple(node) => self.sequence(&node.elts, env).with(Role::Tuple).into(),
            Expr::List(node) => self.sequence(&node.elts, env).into(),
            Expr::Set(node) => {
                let all = self.sequence(&node.elts, env);
                for (n, elt) in node.elts.iter().enumerate() {
                    let value = all.at(i64::try_from(n).ok().map(Const::Int).as_ref());
                    self.note_hashed(&value, elt);
                }
                Container::of(all.any()).into()
            }
            Expr::Dict(node) => self.dict(node, env),
            Expr::ListComp(ast::ExprListComp {
                elt, generators, ..
            })
            | Expr::SetComp(ast::ExprSetComp {
                elt, generators, ..
            })
            | Expr::Generator(ast::ExprGenerator {
                elt, generators, ..
            }) => {
                let mut inside = env.clone();
                let mut items: Vec<Value> = Vec::new();
                let ordered = self.comprehend(generators, &mut inside, &mut |this, env| {
                    let value = this.value(elt, env);
                    if expr.is_set_comp_expr() {
                        this.note_hashed(&value, elt);
                    }
                    items.push(this.settled(&value, env));
                });
                self.keep_walrus(expr, &inside, env);
                let container = match ordered && !expr.is_set_comp_expr() {
                    true => Container::sequence(items),
                    false => {
                        let any = items.iter().fold(Value::unknown(), |all, v| all.join(v));
                        Container::some(any)
                    }
                };
                match expr {
                    Expr::Generator(_) => container.with(Role::Iterator),
                    _ => container,
                }
                .into()
            }
            Expr::DictComp(node) => {
                let mut inside = env.clone();
                let mut container = Container::mapping();
                self.comprehend(&node.generators, &mut inside, &mut |this, env| {
                    let key = this.value(&node.key, env);
                    this.note_hashed(&key, &node.key);
                    let value = this.value(&node.value, env);
                    container.put(&key, this.settled(&value, env));
                });
                self.keep_walrus(expr, &inside, env);
                container.into()
            }
            Expr::Lambda(node) => {
                let def = Def {
                    file: self.file(),
                    start: span(node).start,
                };
                let scope = self.scope_for_inner(env);
                let defaults = match &node.parameters {
                    Some(parameters) => self.defaults(parameters, env),
                    None => Default::default(),
                };
                let id = self.function_id(Function {
                    def,
                    defaults,
                    code: Code::Lambda(node),
                    class: None,
                    scope,
                    binding: Binding::Static,
                    context_manager: false,
                });
                Atom::Function(id, None).into()
            }
            Expr::Yield(node) => {
                let value = match &node.value {
                    Some(value) => self.value(value, env),
                    None => Value::clean(),
                };
                self.yielded(&value);
                Value::unknown()
            }
            Expr::YieldFrom(node) => {
                let value = self.value(&node.value, env);
                let items = in_order(&value);
                let any = self.iterated(&value, self.place(expr));
                match items {
                    Some(items) => items.iter().for_each(|item| self.yielded(item)),
                    None => {
                        self.yielded(&any);
                        if let Some(frame) = self.frames.last_mut() {
                            frame.yields = None;
                        }
                    }
                }
                // What the inner generator returns.
                let returned = value.atoms().iter().map(|atom| match atom {
                    Atom::Container(container) if container.role == Role::Iterator => {
                        container.keys.clone()
                    }
                    _ => Value::unknown(),
                });
                returned.fold(Value::unknown(), |all, one| all.join(&one))
            }
            Expr::FString(node) => {
                let mut parts = Vec::new();
                for part in node.value.iter() {
                    match part {
                        ast::FStringPart::Literal(text) => parts.push(Value::str(&text.value)),
                        ast::FStringPart::FString(inner) => {
                            for element in &inner.elements {
                                match element {
                                    ast::InterpolatedStringElement::Literal(text) => {
                                        parts.push(Value::str(&text.value));
                                    }
                                    ast::InterpolatedStringElement::Interpolation(part) => {
                                        let value = self.value(&part.expression, env);
                                        self.note_shown(&value, part);
                                        let shown = value.constant().and_then(fold::shown);
                                        parts.push(shown.map_or(value, |text| Value::str(&text)));
                                    }
                                }
                            }
                        }
                    }
                }
                self.combined(&parts)
            }
            Expr::StringLiteral(node) => Value::str(node.value.to_str()),
            Expr::NumberLiteral(node) => match &node.value {
                Number::Int(n) => match n.as_i64() {
                    Some(n) => Const::Int(n).into(),
                    None => Value::clean(),
                },
                _ => Value::clean(),
            },
            Expr::BooleanLiteral(node) => Value::bool(node.value),
            Expr::NoneLiteral(_) => Const::None.into(),
            Expr::BytesLiteral(node) => {
                // One character for each byte.
                let text: String = node.value.bytes().map(char::from).collect();
                match text.len() < 200 {
                    true => Const::Bytes(text.into()).into(),
                    false => Value::clean(),
                }
            }
            Expr::EllipsisLiteral(_) | Expr::TString(_) => Value::clean(),
            Expr::Starred(node) => self.value(&node.value, env),
            Expr::Slice(_) | Expr::IpyEscapeCommand(_) => Value::unknown(),
        }
    }

    fn sequence(&mut self, elts: &'a [Expr], env: &mut Env) -> Container {
        let mut items = Vec::new();
        let table = elts.len() > MOST_PARTS;
        let mut rest = table.then(Value::unknown);
        for elt in elts {
            if table && is_literal(elt) {
                rest = rest.map(|rest| rest.join(&Value::clean()));
                continue;
            }
            let Expr::Starred(star) = elt else {
                let value = self.value(elt, env);
                match &mut rest {
                    Some(rest) => *rest = std::mem::take(rest).join(&value),
                    None => items.push(value),
                }
                continue;
            };
            let value = self.value(&star.value, env);
            let known = match value.atoms() {
                [Atom::Container(container)] => container.in_order(),
                _ => None,
            };
            match (known, &mut rest) {
                (Some(more), None) => items.extend(more),
                _ => {
                    let any = self.iterated(&value, self.place(elt));
                    let before = rest.take().unwrap_or_default();
                    rest = Some(before.join(&any));
                }
            }
        }
        let mut container = Container::sequence(items);
        if let Some(rest) = rest {
            container.rest = rest;
            container.kind = Kind::Sequence(None);
        }
        container
    }

    fn dict(&mut self, node: &'a ast::ExprDict, env: &mut Env) -> Value {
        let mut container = Container::mapping();
        let table = node.items.len() > MOST_PARTS;
        let mut rows = false;
        for item in &node.items {
            if table && is_literal(&item.value) && item.key.as_ref().is_some_and(is_literal) {
                rows = true;
                continue;
            }
            if self.exhausted() {
                break;
            }
            let value = self.value(&item.value, env);
            let Some(key) = &item.key else {
                for atom in value.atoms() {
                    match atom {
                        Atom::Container(other) => container.merge(other),
                        other => {
                            let any = self.item(&other.clone().into(), None, self.place(node));
                            container.set(None, any);
                        }
                    }
                }
                continue;
            };
            let given = self.value(key, env);
            self.note_hashed(&given, key);
            container.put(&given, value);
        }
        if rows {
            container.put(&Value::clean(), Value::clean());
        }
        container.into()
    }

    fn yielded(&mut self, value: &Value) {
        if let Some(frame) = self.frames.last_mut() {
            let before = frame.yielded.take().unwrap_or_default();
            frame.yielded = Some(before.join(value));
            if let Some(yields) = &mut frame.yields {
                yields.push(value.clone());
            }
        }
    }

    /// `(x := f()) for ...` binds outside of the comprehension.
    fn keep_walrus(&self, comprehension: &Expr, inside: &Env, env: &mut Env) {
        struct Walrus(Vec<Name>);
        impl<'b> Visitor<'b> for Walrus {
            fn visit_expr(&mut self, expr: &'b Expr) {
                if let Expr::Named(node) = expr
                    && let Expr::Name(name) = &*node.target
                {
                    self.0.push(name.id.clone());
                }
                visitor::walk_expr(self, expr);
            }
        }
        let mut walrus = Walrus(Vec::new());
        walrus.visit_expr(comprehension);
        for name in walrus.0 {
            if let Some(value) = inside.get(&name) {
                env.set(name, value.clone());
            }
        }
    }

    /// Whether the function that runs binds `name` only further on: reading it raises.
    fn is_unbound_local(&self, name: &str) -> bool {
        let Some(frame) = self.frames.last() else {
            return false;
        };
        let Some(def) = frame.def else {
            return false;
        };
        if frame.nonlocals.contains(name) || frame.globals.contains(name) {
            return false;
        }
        // Lambdas bind parameters alone.
        let Some(Code::Def(node)) = self.function_at(def).map(|function| function.code) else {
            return false;
        };
        let scopes = self.project.scopes_at(frame.file, def.start);
        let scope = scopes.at(def.start);
        if scope == 0 || scopes.bound_in(scope, name).is_empty() {
            return false;
        }
        // The variable of a comprehension is its own.
        let mut targets = Targets(Vec::new());
        let body = self.project.code(frame.file, node).iter();
        body.for_each(|stmt| targets.visit_stmt(stmt));
        !targets.0.iter().any(|target| target == name)
    }

    fn variable(&mut self, name: &str, env: &Env) -> Value {
        if let Some(value) = env.get(name) {
            return self.resolved(value.clone());
        }
        if self.is_unbound_local(name) {
            return Value::unknown();
        }
        let outer = self.frames.last().and_then(|f| f.outer.clone());
        if let Some(value) = outer.and_then(|scope| scope.get(name)) {
            return self.resolved(value);
        }
        let file = self.file();
        if let Some(value) = self.global(file, name) {
            return value;
        }
        // A name this file binds, on a way that was not taken, is not the builtin.
        let scopes = self.project.outer_scopes(file);
        match scopes.bound_in(0, name).is_empty() {
            true => self.unbound(file, name),
            false => Value::unknown(),
        }
    }
}

/// The variables of comprehensions.
struct Targets(Vec<Name>);

impl<'b> Visitor<'b> for Targets {
    fn visit_comprehension(&mut self, comprehension: &'b ast::Comprehension) {
        super::modules::roots(&comprehension.target, &mut self.0);
        visitor::walk_comprehension(self, comprehension);
    }
}

/// What was assigned to the dotted path `expr` in this function, if it was.
fn attribute_path(expr: &Expr, env: &Env) -> Option<Value> {
    let path = dotted_path(expr)?;
    env.path(&path).cloned()
}

/// `self.data` as one name, of names and attributes alone.
pub(super) fn dotted_path(expr: &Expr) -> Option<Name> {
    let parts = crate::python::dotted(expr)?;
    Some(Name::new(parts.join(".")))
}

/// Whether `expr` is written out: rows of a table, however long it is, are no work.
fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::UnaryOp(node) => is_literal(&node.operand),
        Expr::Tuple(node) => node.elts.iter().all(is_literal),
        Expr::List(node) => node.elts.iter().all(is_literal),
        expr => expr.is_literal_expr(),
    }
}
