//! Expressions: what each can evaluate to.

use std::rc::Rc;

use super::calls::At;
use super::env::Env;
use super::fold;
use super::functions::{Binding, Code, Function};
use super::known::{compared_digests, key_sham};
use super::machine::{Machine, Owner};
use super::taint::{Hop, HopKind, Place, Taint};
use super::value::{Arguments, Atom, Const, Container, Def, Kind, Value};
use crate::pack::{Shape, Trust};
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, CmpOp, Expr, Number, Operator};
use crate::python::span;

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

    fn source_value(&self, name: &str, at: &'a Expr, otherwise: &Atom) -> Value {
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
        if !self.spend() {
            return Value::unknown();
        }
        match expr {
            Expr::Name(name) => self.variable(name.id.as_str(), env),
            Expr::Attribute(node) => {
                if let Some(path) = attribute_path(expr, env) {
                    return path;
                }
                let owner = self.value(&node.value, env);
                let at = At::place(self.place(expr));
                self.attribute(&owner, node.attr.as_str(), at, env)
            }
            Expr::Call(node) => self.call_expression(node, env),
            Expr::Subscript(node) => self.subscript(node, env),
            Expr::Await(node) => {
                let value = self.value(&node.value, env);
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
                match (node.op, operand.constant()) {
                    (ast::UnaryOp::Not, _) => match operand.truth() {
                        Some(truth) => Value::bool(!truth),
                        None => Value::clean(),
                    },
                    (ast::UnaryOp::USub, Some(Const::Int(n))) => Const::Int(-n).into(),
                    _ => operand,
                }
            }
            Expr::BinOp(node) => {
                let left = self.value(&node.left, env);
                let right = self.value(&node.right, env);
                self.binary(node.op, &left, &right, self.place(expr))
            }
            Expr::Compare(node) => self.compare(node, env),
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                self.sequence(elts, env)
            }
            Expr::Set(node) => {
                let all = self.sequence(&node.elts, env);
                let mut container = Container::of(self.iterated(&all, self.place(expr)));
                container.kind = Kind::Bag;
                container.into()
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
                self.generators(generators, &mut inside);
                let value = self.value(elt, &mut inside);
                self.keep_walrus(expr, &inside, env);
                let mut container = Container::of(value);
                container.kind = Kind::Sequence(None);
                container.into()
            }
            Expr::DictComp(node) => {
                let mut inside = env.clone();
                self.generators(&node.generators, &mut inside);
                let keys = self.value(&node.key, &mut inside);
                let rest = self.value(&node.value, &mut inside);
                Container {
                    kind: Kind::Mapping,
                    rest,
                    keys,
                    ..Container::default()
                }
                .into()
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
                let value = self.iterated(&value, self.place(expr));
                self.yielded(&value);
                Value::unknown()
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
                let bytes: Vec<u8> = node.value.bytes().collect();
                match String::from_utf8(bytes) {
                    Ok(text) if text.len() < 200 => Const::Bytes(text.into()).into(),
                    _ => Value::clean(),
                }
            }
            Expr::EllipsisLiteral(_) | Expr::TString(_) => Value::clean(),
            Expr::Starred(node) => self.value(&node.value, env),
            Expr::Slice(_) | Expr::IpyEscapeCommand(_) => Value::unknown(),
        }
    }

    fn subscript(&mut self, node: &'a ast::ExprSubscript, env: &mut Env) -> Value {
        let value = self.value(&node.value, env);
        let place = self.place(node);
        if let Expr::Slice(slice) = &*node.slice {
            return self.sliced(&value, slice, place, env);
        }
        let key = self.value(&node.slice, env);
        let model = self.model;
        let mut out = Value::unknown();
        let mut rest = Value::unknown();
        for atom in value.atoms() {
            match atom {
                Atom::External(name) => match model.store_subscript(name) {
                    Some(store) => out = out.join(&self.stored(store, &key, At::place(place))),
                    None if **name == *"sys.modules" => {
                        if let Some(target) = key.text() {
                            out = out.join(&self.named_module(&target));
                        }
                    }
                    None => {
                        let key = fold::key_text(&key);
                        let full = format!("{name}.{key}");
                        if model.sink(&full).is_some() {
                            // `vars(pickle)["loads"]`.
                            out.add(Atom::External(full.into()));
                        }
                        let owner = Owner::External(Rc::clone(name));
                        let found = self.field(&owner, &format!("[{key}]"));
                        out = out.join(&found.unwrap_or_default());
                        if found_nothing(&out) {
                            // `collections.deque[int]()`.
                            out.add(atom.clone());
                        }
                    }
                },
                Atom::Instance(instance) => {
                    let at = At::place(place);
                    let method = self.member(*instance, "__getitem__", at, env);
                    let given = Arguments::one(key.clone());
                    if let Some(value) =
                        self.call_value(&method, &atom.clone().into(), &given, at, env)
                    {
                        out = out.join(&value);
                    }
                }
                Atom::Class(_) => out.add(atom.clone()),
                Atom::Module(file) => {
                    // `globals()[name]`.
                    let at = At::place(place);
                    let names = match key.text() {
                        Some(name) => vec![Name::new(name)],
                        None => self.leading_names(*file),
                    };
                    for name in names {
                        let found = self.attribute(&atom.clone().into(), &name, at, env);
                        out = out.join(&found);
                    }
                }
                other => rest.add(other.clone()),
            }
        }
        // Several constant keys are each looked up.
        match key.constants() {
            Some(keys) if keys.len() > 1 => {
                for key in keys {
                    out = out.join(&self.item(&rest, Some(key), place));
                }
                out
            }
            _ => out.join(&self.item(&rest, key.constant(), place)),
        }
    }

    fn sliced(
        &mut self,
        value: &Value,
        slice: &'a ast::ExprSlice,
        place: Place,
        env: &mut Env,
    ) -> Value {
        let mut bound = |part: &'a Option<Box<Expr>>| match part {
            None => Some(None),
            Some(part) => match self.value(part, env).constant() {
                Some(Const::Int(n)) => Some(Some(*n)),
                Some(Const::None) => Some(None),
                _ => None,
            },
        };
        let (lower, upper, step) = (bound(&slice.lower), bound(&slice.upper), bound(&slice.step));
        if let (Some(None), Some(None), Some(Some(-1)), [Atom::Container(container)]) =
            (lower, upper, step, value.atoms())
            && let Some(mut items) = container.in_order()
        {
            items.reverse();
            return Container::sequence(items).into();
        }
        let exact = match (lower, upper, step) {
            (Some(lower), Some(upper), Some(None)) => Some((lower, upper)),
            _ => None,
        };
        let mut out = Value::unknown();
        for atom in value.atoms() {
            match (atom, exact) {
                (Atom::Const(Const::Str(text)), Some((lower, upper))) => {
                    out.add(Atom::Const(fold::cut(text, lower, upper)));
                }
                (Atom::Container(container), Some((lower, upper))) => {
                    let part = fold::part(container, lower, upper);
                    out.add(Atom::Container(Rc::new(part)));
                }
                (Atom::Container(container), None) => {
                    let mut any = Container::of(container.any());
                    any.kind = Kind::Sequence(None);
                    out.add(Atom::Container(Rc::new(any)));
                }
                // Only what stands before the untrusted part, or after it.
                (Atom::Untrusted(taint), Some((lower, upper)))
                    if fold::known_part(taint.text.as_deref(), lower, upper).is_some() =>
                {
                    let known = fold::known_part(taint.text.as_deref(), lower, upper);
                    out.add(Atom::Const(known.unwrap_or(Const::Other)));
                }
                (Atom::Untrusted(taint), _) => {
                    let mut part = taint.then(Hop::new(
                        place,
                        HopKind::Step,
                        self.snippet(place),
                        Shape::Bytes,
                        true,
                    ));
                    part.text = None;
                    part.exact = false;
                    // What is known of the whole is known of the part, not the other way round.
                    let bounds = match exact {
                        Some((lower, upper)) => format!("[{lower:?}:{upper:?}]"),
                        None => format!("[:{}]", self.snippet(place)),
                    };
                    part.part = format!("{}{bounds}", part.part).into();
                    out.add(Atom::Untrusted(part));
                }
                (atom, _) => {
                    let step = self.stepped(&atom.clone().into(), None, Shape::Bytes, true, place);
                    out = out.join(&step);
                }
            }
        }
        out
    }

    fn bool_op(&mut self, node: &'a ast::ExprBoolOp, env: &mut Env) -> Value {
        let mut out = Value::unknown();
        let stops_on = node.op == ast::BoolOp::Or;
        let mut inside = env.clone();
        let count = node.values.len();
        for (n, part) in node.values.iter().enumerate() {
            let value = self.value(part, &mut inside);
            match value.truth() {
                Some(truth) if truth == stops_on => return out.join(&value),
                // Passed over: the next one is the value.
                Some(_) if n + 1 < count => {}
                _ => out = out.join(&value),
            }
            // The next part is evaluated only if this one did not decide.
            self.refine(part, !stops_on, &mut inside);
        }
        for (name, value) in inside.vars().iter() {
            if env.get(name).is_none() {
                env.set(name.clone(), value.clone());
            }
        }
        out
    }

    fn binary(&mut self, op: Operator, left: &Value, right: &Value, place: Place) -> Value {
        if let (Some(a), Some(b)) = (left.constant(), right.constant())
            && let Some(constant) = fold::binary(op, a, b)
        {
            return constant.into();
        }
        match (op, left.atoms(), right.atoms()) {
            (Operator::Mod, [Atom::Const(Const::Str(format))], _) => {
                let values: Option<Vec<Const>> = match right.atoms() {
                    [Atom::Container(container)] => container
                        .in_order()
                        .and_then(|all| all.iter().map(|v| v.constant().cloned()).collect()),
                    _ => None,
                };
                if let Some(text) = values.and_then(|values| fold::percent(format, &values)) {
                    return text.into();
                }
                self.formatted(format, right)
            }
            // `b"%d" % n` takes numbers alone.
            (Operator::Mod, [Atom::Const(Const::Bytes(format))], _)
                if format.contains("%d") && !format.contains("%s") && !format.contains("%b") =>
            {
                Value::clean()
            }
            (Operator::Add, [Atom::Container(a)], [Atom::Container(b)]) => {
                match (a.in_order(), b.in_order()) {
                    (Some(mut items), Some(more)) => {
                        items.extend(more);
                        Container::sequence(items).into()
                    }
                    _ => {
                        let mut any = Container::of(a.any().join(&b.any()));
                        any.kind = Kind::Sequence(None);
                        any.into()
                    }
                }
            }
            (Operator::BitOr, [Atom::Container(a)], [Atom::Container(b)]) => {
                let mut merged = (**a).clone();
                for (key, value) in &b.items {
                    merged.items.insert(key.clone(), value.clone());
                }
                merged.rest = merged.rest.join(&b.rest);
                merged.keys = merged.keys.join(&b.keys);
                merged.into()
            }
            // Paths.
            (Operator::Div, _, _) => {
                let receiver = left.filter(|a| matches!(a, Atom::Made(_)));
                let taints = self.combined(&[left.clone(), right.clone()]);
                let taints = taints.filter(|a| matches!(a, Atom::Untrusted(_)));
                match (receiver.is_empty(), fold::joined_path([left, right])) {
                    (false, Some(path)) => {
                        let made = super::value::Made {
                            name: "pathlib.Path".into(),
                            arguments: Arguments::one(path.into()),
                        };
                        taints.join(&Atom::Made(Rc::new(made)).into())
                    }
                    _ => taints,
                }
            }
            (Operator::Add, _, _) => self.combined(&[left.clone(), right.clone()]),
            _ => {
                let both = left.clone().join(right);
                let out = self.stepped(&both, None, Shape::Bytes, true, place);
                out.join(&both.filter(|a| matches!(a, Atom::Container(_) | Atom::Digest(_))))
            }
        }
    }

    /// `format % value`.
    fn formatted(&mut self, format: &str, value: &Value) -> Value {
        if let ([Atom::Container(fields)], true) = (value.atoms(), format.contains("%(")) {
            let mut parts = Vec::new();
            for text in format.split("%(") {
                match text.split_once(")s") {
                    Some((name, rest)) if !parts.is_empty() => {
                        parts.push(fields.at(Some(&Const::Str(name.into()))));
                        parts.push(Value::str(rest));
                    }
                    _ => parts.push(Value::str(text)),
                }
            }
            return self.combined(&parts);
        }
        let values = match value.atoms() {
            [Atom::Container(container)] => container.in_order(),
            _ => Some(vec![value.clone()]),
        };
        let mut parts = Vec::new();
        let mut values = values.unwrap_or_else(|| vec![value.clone()]).into_iter();
        let mut texts = format.split("%s");
        if let Some(first) = texts.next() {
            parts.push(Value::str(first));
        }
        for text in texts {
            parts.push(values.next().unwrap_or_default());
            parts.push(Value::str(text));
        }
        for rest in values {
            parts.push(rest);
        }
        self.combined(&parts)
    }

    fn compare(&mut self, node: &'a ast::ExprCompare, env: &mut Env) -> Value {
        let mut left = self.value(&node.left, env);
        let mut truth = Some(true);
        let mut out = Value::clean();
        for (op, right) in node.ops.iter().zip(&node.comparators) {
            let right = self.value(right, env);
            let one = match (left.constant(), right.constant(), op) {
                (Some(a), Some(b), _) => fold::compare(*op, a, b),
                (Some(constant), None, CmpOp::In | CmpOp::NotIn) => {
                    contains(&right, constant).map(|is_in| is_in == (*op == CmpOp::In))
                }
                _ => None,
            };
            truth = match (truth, one) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            if node.ops.len() == 1 {
                let is_one = matches!(op, CmpOp::Eq | CmpOp::In);
                if is_one {
                    out = out.join(&harmless(*op, &left, &right));
                }
                // `digest == given` is a check too, if a slow one; so is `digest in known`.
                if matches!(op, CmpOp::Eq) {
                    out = out.join(&compared_digests(&left, &right));
                }
            }
            left = right;
        }
        match truth {
            Some(truth) => Value::bool(truth),
            None => out,
        }
    }

    fn sequence(&mut self, elts: &'a [Expr], env: &mut Env) -> Value {
        let mut items = Vec::new();
        let mut rest: Option<Value> = None;
        for elt in elts {
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
        container.into()
    }

    fn dict(&mut self, node: &'a ast::ExprDict, env: &mut Env) -> Value {
        let mut container = Container {
            kind: Kind::Mapping,
            ..Container::default()
        };
        for item in &node.items {
            let value = self.value(&item.value, env);
            let Some(key) = &item.key else {
                for atom in value.atoms() {
                    match atom {
                        Atom::Container(other) => {
                            for (key, value) in &other.items {
                                container.items.insert(key.clone(), value.clone());
                            }
                            container.rest = container.rest.join(&other.rest);
                        }
                        other => {
                            let any = self.item(&other.clone().into(), None, self.place(node));
                            container.rest = container.rest.join(&any);
                        }
                    }
                }
                continue;
            };
            let key = self.value(key, env);
            match key.constant() {
                Some(key) => {
                    container.items.insert(key.clone(), value);
                }
                None => {
                    container.rest = container.rest.join(&value);
                    container.keys = container.keys.join(&key);
                }
            }
        }
        container.into()
    }

    fn yielded(&mut self, value: &Value) {
        if let Some(frame) = self.frames.last_mut() {
            let before = frame.yielded.take().unwrap_or_default();
            frame.yielded = Some(before.join(value));
        }
    }

    fn generators(&mut self, generators: &'a [ast::Comprehension], env: &mut Env) {
        for generator in generators {
            let items = self.value(&generator.iter, env);
            let item = self.iterated(&items, self.place(&generator.iter));
            self.assign(&generator.target, item, env);
            for test in &generator.ifs {
                self.value(test, env);
                self.refine(test, true, env);
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

    fn variable(&mut self, name: &str, env: &Env) -> Value {
        if let Some(value) = env.get(name) {
            return self.resolved(value.clone());
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
        match self.source().scopes().bound_in(0, name).is_empty() {
            true => self.unbound(file, name),
            false => Value::unknown(),
        }
    }

    /// The attribute `name` of each thing that `owner` can be.
    pub(super) fn attribute(
        &mut self,
        owner: &Value,
        name: &str,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let mut out = Value::unknown();
        for atom in owner.atoms() {
            let found = match atom {
                Atom::Untrusted(taint) => self.untrusted_member(taint, name, at),
                Atom::Object(ty) => self.field_of_outside(ty, name, at),
                Atom::External(base) => self.external_attribute(base, name),
                Atom::Made(made) => self.made_attribute(&made.clone(), name, at),
                Atom::Module(file) => self.module_attribute(*file, name),
                Atom::Class(class) => self.class_member(*class, name, at),
                Atom::Instance(instance) => self.instance_attribute(*instance, name, at, env),
                Atom::Super(home, instance) => self.super_member(*home, *instance, name, at, env),
                // A field of a named tuple.
                Atom::Container(container) => container.at(Some(&Const::Str(name.into()))),
                Atom::Verified | Atom::Pickled(_) => atom.clone().into(),
                _ => Value::unknown(),
            };
            out = out.join(&found);
        }
        if owner.is_empty()
            && let Some(value) = self.open_source_value(name, at)
        {
            return value;
        }
        out
    }

    /// The same, for a call: what an open source says holds of methods too.
    pub(super) fn attribute_called(
        &mut self,
        owner: &Value,
        name: &str,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        self.attribute(owner, name, at, env)
    }

    fn instance_attribute(
        &mut self,
        instance: super::value::Instance,
        name: &str,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let found = self.member(instance, name, at, env);
        if found.is_empty() && instance.made.is_none() {
            let custom = self.member(instance, "__getattr__", at, env);
            if !custom.is_empty() {
                let given = Arguments::one(Value::str(name));
                let none = Value::unknown();
                return self
                    .call_value(&custom, &none, &given, At::place(at.place), env)
                    .unwrap_or_default();
            }
        }
        found
    }

    /// A member of untrusted data.
    fn untrusted_member(&mut self, taint: &Taint, name: &str, at: At<'a>) -> Value {
        if name == "name"
            && *taint.channel == *super::stores::LOCAL_FILE
            && let Some(key) = &taint.key
        {
            return Value::str(key);
        }
        if let Some((_, source)) = self.open_source(name)
            && source.trust.is_some_and(|trust| trust < taint.trust)
        {
            return self.open_source_value(name, at).unwrap_or_default();
        }
        // `upload.file`, `upload.stream` are streams as the upload is; all else is known only when called.
        let wider = taint.widen(at.place, || self.snippet(at.place), taint.shape);
        let mut part = wider.unwrap_or_else(|| taint.clone());
        // What is known of the member is not known of the whole.
        part.part = format!("{}.{name}", part.part).into();
        Atom::Untrusted(part).into()
    }

    fn field_of_outside(&mut self, ty: &Rc<str>, name: &str, at: At<'a>) -> Value {
        let stored = self.field(&Owner::External(Rc::clone(ty)), name);
        self.object_member(ty, name, at.place)
            .join(&stored.unwrap_or_default())
    }

    fn external_attribute(&mut self, base: &Rc<str>, name: &str) -> Value {
        let stored = self.field(&Owner::External(Rc::clone(base)), name);
        let full = format!("{base}.{name}");
        let value = match self.project.module(self.file(), &full) {
            Some(file) => Atom::Module(file).into(),
            None => Value::external(&full),
        };
        stored.unwrap_or_default().join(&value)
    }

    fn made_attribute(&mut self, made: &super::value::Made, name: &str, at: At<'a>) -> Value {
        let full = format!("{}.{name}", made.name);
        if self.model.verifies(&full) {
            let sham = made.arguments.positional.first().and_then(key_sham);
            return match sham.is_some() {
                true => Value::external(&format!("{full}{LITERAL_KEY}")),
                false => Value::external(&full),
            };
        }
        if self.model.object(&made.name).is_some() {
            let value = self.field_of_outside(&made.name, name, at);
            let is_file = |taint: &&Taint| *taint.channel == *super::stores::LOCAL_FILE;
            if value.taints().iter().any(is_file)
                && let Some(path) = made.arguments.first()
            {
                let shape = value.taints().first().map_or(Shape::Any, |t| t.shape);
                return self.opened(path, shape, at);
            }
            return value;
        }
        if name == "args" && made.name.starts_with("builtins.") {
            return Container::sequence(made.arguments.positional.iter().cloned()).into();
        }
        self.external_attribute(&made.name, name)
    }

    /// Names of functions and classes of `file` that may lead to loads.
    pub(super) fn leading_names(&mut self, file: FileId) -> Vec<Name> {
        let body = &self.project.source(file).module().body;
        let names = body.iter().filter_map(|stmt| match stmt {
            ast::Stmt::FunctionDef(node) => Some(node.name.id.clone()),
            ast::Stmt::ClassDef(node) => Some(node.name.id.clone()),
            _ => None,
        });
        names.take(64).collect()
    }

    /// Several texts made into one: concatenated, formatted.
    pub(super) fn combined(&mut self, parts: &[Value]) -> Value {
        let mut out = Value::unknown();
        let text = match fold::pattern(parts) {
            Some(Atom::Pattern(text)) => Some(text),
            _ => None,
        };
        for part in parts {
            for taint in part.taints() {
                out.add(Atom::Untrusted(Taint {
                    shape: Shape::Bytes,
                    exact: false,
                    text: text.clone(),
                    ..taint.clone()
                }));
            }
        }
        let known = fold::pattern(parts);
        if out.is_empty() && parts.iter().all(Value::is_literal) {
            return match known {
                Some(known) => known.into(),
                None => Value::clean(),
            };
        }
        if let Some(known @ Atom::Pattern(_)) = known
            && out.is_empty()
        {
            out.add(known);
        }
        for part in parts {
            for atom in part.atoms() {
                if matches!(
                    atom,
                    Atom::Container(_) | Atom::Digest(_) | Atom::Pickled(_) | Atom::Verified
                ) {
                    out.add(atom.clone());
                }
            }
        }
        out
    }

    /// What iterating over `items` gives.
    pub(super) fn iterated(&mut self, items: &Value, at: Place) -> Value {
        let mut out = Value::unknown();
        for atom in items.atoms() {
            let one = match atom {
                Atom::Container(container) => container.iterated(),
                Atom::Const(Const::Str(text)) if text.len() <= 8 && !text.is_empty() => text
                    .chars()
                    .map(|c| Atom::Const(Const::Str(c.to_string().into())))
                    .collect(),
                Atom::Instance(instance) => {
                    let mut env = Env::default();
                    let at = At::place(at);
                    let mut got = Value::unknown();
                    for name in ["__iter__", "__aiter__", "__next__", "__anext__"] {
                        let method = self.member(*instance, name, at, &mut env);
                        let own: Value = atom.clone().into();
                        let none = Arguments::default();
                        if let Some(value) = self.call_value(&method, &own, &none, at, &mut env) {
                            let is_own = value.atoms().contains(atom);
                            got = match (is_own, name) {
                                (true, _) => continue,
                                (false, "__iter__" | "__aiter__") => {
                                    self.iterated(&value, at.place)
                                }
                                _ => value,
                            };
                            break;
                        }
                    }
                    got
                }
                other => self.item(&other.clone().into(), None, at),
            };
            out = out.join(&one);
        }
        out
    }

    /// The element of `value` under `key`.
    pub(super) fn item(&mut self, value: &Value, key: Option<&Const>, at: Place) -> Value {
        let model = self.model;
        let mut out = Value::unknown();
        for atom in value.atoms() {
            match atom {
                Atom::Container(container) => out = out.join(&container.at(key)),
                Atom::Untrusted(taint) => {
                    out.add(Atom::Untrusted(self.projected(taint, key, at)));
                }
                Atom::Const(Const::Str(text)) => {
                    let character = match key {
                        Some(Const::Int(n)) => fold::character(text, *n),
                        _ => None,
                    };
                    out.add(Atom::Const(character.unwrap_or(Const::Other)));
                }
                Atom::Const(_) => out.add(Atom::Const(Const::Other)),
                Atom::Verified | Atom::Pickled(_) => out.add(atom.clone()),
                Atom::Object(ty) | Atom::External(ty) if model.object(ty).is_some() => {
                    out = out.join(&self.element_of(ty, at));
                }
                Atom::Made(made) if model.object(&made.name).is_some() => {
                    out = out.join(&self.element_of(&made.name.clone(), at));
                }
                _ => {}
            }
        }
        out
    }

    fn element_of(&mut self, ty: &str, at: Place) -> Value {
        let member = self.object_member(ty, "[]", at);
        match member.atoms() {
            [Atom::External(_)] => Value::unknown(),
            _ => member,
        }
    }

    /// The part of `taint` under `key`.
    fn projected(&self, taint: &Taint, key: Option<&Const>, place: Place) -> Taint {
        // A key that is there has a value.
        let shape = match taint.shape {
            Shape::Files => Shape::Stream,
            Shape::Mapping => Shape::Bytes,
            _ => Shape::Any,
        };
        let note = || self.snippet(place);
        let part = match taint.widen(place, note, shape) {
            Some(wider) => wider,
            None => taint.then(Hop::new(place, HopKind::Step, note(), shape, true)),
        };
        let raises: Vec<Rc<str>> = part.on_missing.iter().cloned().collect();
        let mut part = Taint {
            on_missing: None,
            ..part
        };
        part = part.raising(&raises);
        part.text = None;
        if let Some(key) = key {
            if let (Const::Str(name), None) = (key, &part.key) {
                part.key = Some(Rc::clone(name));
            }
            part.part = format!("{}{key:?}", part.part).into();
        }
        part
    }
}

fn found_nothing(value: &Value) -> bool {
    value.is_empty()
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

/// Whether `constant` is in `container`, where that is known.
fn contains(container: &Value, constant: &Const) -> Option<bool> {
    let [Atom::Container(container)] = container.atoms() else {
        return None;
    };
    match container.kind {
        Kind::Mapping if container.rest.is_empty() && container.keys.is_empty() => {
            Some(container.items.contains_key(constant))
        }
        _ => {
            let items = container.in_order()?;
            let constants: Option<Vec<&Const>> = items.iter().map(Value::constant).collect();
            Some(constants?.contains(&constant))
        }
    }
}

/// What `left op right` says of untrusted data when it holds: it is one of some constants.
fn harmless(op: CmpOp, left: &Value, right: &Value) -> Value {
    let (data, known) = match (left.is_untrusted(), right.is_untrusted(), op) {
        (true, false, _) => (left, right),
        (false, true, CmpOp::Eq) => (right, left),
        _ => return Value::unknown(),
    };
    if !all_constant(op, known) {
        return Value::unknown();
    }
    let exact = data.taints().into_iter().filter(|t| t.exact);
    exact.map(|t| Atom::Harmless(t.identity())).collect()
}

/// Whether being equal to `known`, or in it, leaves only constants.
pub(super) fn all_constant(op: CmpOp, known: &Value) -> bool {
    let constant = |value: &Value| {
        !value.is_empty() && value.atoms().iter().all(|a| matches!(a, Atom::Const(_)))
    };
    match op {
        CmpOp::Eq | CmpOp::NotEq => constant(known),
        _ => {
            !known.is_empty()
                && known.atoms().iter().all(|atom| match atom {
                    Atom::Container(container) => match container.kind {
                        Kind::Mapping => container.keys.is_empty() || constant(&container.keys),
                        _ => {
                            let any = container.any();
                            constant(&any)
                        }
                    },
                    _ => false,
                })
        }
    }
}
