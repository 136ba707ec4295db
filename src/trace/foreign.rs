//! What loaded values are put beside: operands, comparisons, annotations, and the kinds of values that tell that the
//! loaded one is of a kind, too, which the new format may not have.
//!
//! Invariant: a kind is said only of what is certainly of it.

use std::rc::Rc;

use super::at::At;
use super::bindings::{Bound, bound_to};
use super::doubts::has_number_keys;
use super::env::Env;
use super::iterators::in_order;
use super::keys::is_float;
use super::machine::Machine;
use super::taint::Place;
use super::uses::{Doing, is_date, loads};
use super::value::{Arguments, Atom, Const, Kind, Role, Value};
use crate::python::ast::{self, CmpOp, Expr, Operator};
use crate::python::{SourceFile, span};

impl<'a> Machine<'a> {
    /// `left op right`.
    pub(super) fn note_operands(
        &mut self,
        op: Operator,
        (left, left_expr): (&Value, &'a Expr),
        (right, right_expr): (&Value, &'a Expr),
        at: Place,
    ) {
        let is_set = matches!(
            op,
            Operator::BitOr | Operator::BitAnd | Operator::BitXor | Operator::Sub
        );
        self.note_number(left, left_expr, right_expr);
        self.note_number(right, right_expr, left_expr);
        // Text is added to, filled and repeated, and nothing else.
        let of_numbers = matches!(
            op,
            Operator::Sub | Operator::Mult | Operator::Div | Operator::FloorDiv | Operator::Pow
        );
        for (value, expr) in [(left, left_expr), (right, right_expr)] {
            if of_numbers && loads(value).next().is_some() && self.is_key(expr) {
                self.note_use(value, at, || Doing::Key("a number".to_owned()));
            }
        }
        for (value, other, expr) in [(left, right, right_expr), (right, left, left_expr)] {
            if loads(value).next().is_none() {
                continue;
            }
            if is_set && has_number_keys(other) {
                self.note_use(value, at, || Doing::Key("a number".to_owned()));
            }
            match op {
                Operator::Add | Operator::Sub => {
                    if let Some(kind) = self.foreign(other, expr, is_set) {
                        self.note_use(value, at, || Doing::Beside(kind.clone()));
                    }
                }
                Operator::Mult | Operator::Div | Operator::FloorDiv | Operator::Pow => {
                    if let Some(made) = self.given_by(other, expr) {
                        self.note_use(value, at, || Doing::Times(made.clone()));
                    }
                }
                Operator::MatMult => {
                    self.note_use(value, at, || Doing::Attribute("__matmul__".to_owned()));
                }
                _ if is_set => {
                    if let Some("a set") = self.foreign(other, expr, true).as_deref() {
                        self.note_use(value, at, || Doing::Beside("a set".to_owned()));
                    }
                }
                _ => {}
            }
        }
        // `cart.folder / "receipt"`.
        if op == Operator::Div && (right.text().is_some() || right_expr.is_f_string_expr()) {
            self.note_use(left, at, || Doing::Attribute("__truediv__".to_owned()));
        }
        let is_bytes = matches!(left.atoms(), [Atom::Const(Const::Bytes(_))]);
        if op == Operator::Mod && is_bytes {
            self.note_use(right, at, || Doing::Beside("bytes".to_owned()));
        }
        // `"%s: %s" % pair`.
        let places = left.text().map(|text| {
            let plain = text.replace("%%", "");
            plain.matches('%').count() - plain.matches("%(").count()
        });
        if op == Operator::Mod && places.is_some_and(|n| n > 1) {
            self.note_use(right, at, || Doing::Beside("a tuple".to_owned()));
        }
    }

    /// `left op right`, of a comparison.
    pub(super) fn note_comparison(
        &mut self,
        op: CmpOp,
        (left, left_expr): (&Value, &'a Expr),
        (right, right_expr): (&Value, &'a Expr),
    ) {
        let is_in = matches!(op, CmpOp::In | CmpOp::NotIn);
        let is_same = matches!(op, CmpOp::Is | CmpOp::IsNot);
        self.note_among(op, (left, left_expr), (right, right_expr));
        if !is_in {
            self.note_number(left, left_expr, right_expr);
            self.note_number(right, right_expr, left_expr);
        }
        if is_in && loads(left).next().is_some() {
            for kind in self.kinds_in(right, right_expr) {
                self.note_use(left, self.place(left_expr), || Doing::Beside(kind.clone()));
            }
        }
        let pairs = [(left, right, right_expr), (right, left, left_expr)];
        for (value, other, expr) in pairs.into_iter().skip(usize::from(is_in)) {
            if loads(value).next().is_none() {
                continue;
            }
            if !is_in && has_number_keys(other) {
                let at = self.place(expr);
                self.note_use(value, at, || Doing::Key("a number".to_owned()));
            }
            let kind = match self.is_member(expr, is_same) {
                true => Some("a member of an enumeration".to_owned()),
                false => self.foreign(other, expr, !is_in),
            };
            // Two lists are never the same one, and were not before.
            if let Some(kind) =
                kind.filter(|kind| !is_same || kind.starts_with("a member") || kind == "a class")
            {
                self.note_use(value, self.place(expr), || Doing::Beside(kind.clone()));
            }
        }
    }

    /// `type(value) is Cart`.
    pub(super) fn note_type(&mut self, expr: &'a Expr, class: &'a Expr, env: &mut Env) {
        let Some(call) = expr.as_call_expr() else {
            return;
        };
        let is_type = call
            .func
            .as_name_expr()
            .is_some_and(|name| name.id == "type");
        if let ([value], true) = (&*call.arguments.args, is_type) {
            let value = self.value(value, env);
            let class = self.value(class, env);
            let classes = in_order(&class).unwrap_or_else(|| vec![class]);
            self.note_test(&value, &classes, self.place(expr));
        }
    }

    /// What `other` is, if it is of a kind that is told apart.
    pub(super) fn foreign(&self, other: &Value, expr: &'a Expr, sets: bool) -> Option<String> {
        let written = match expr {
            Expr::BytesLiteral(_) => Some("bytes"),
            Expr::Tuple(_) => Some("a tuple"),
            Expr::Set(_) | Expr::SetComp(_) if sets => Some("a set"),
            _ => None,
        };
        let kind = written.or(match other.atoms() {
            [Atom::Const(Const::Bytes(_))] => Some("bytes"),
            [Atom::Container(container)] => match (container.role, container.kind) {
                (Role::Tuple, _) => Some("a tuple"),
                (Role::Plain, Kind::Bag) if sets => Some("a set"),
                _ => None,
            },
            [Atom::Class(_)] => Some("a class"),
            [Atom::Instance(_)] => Some("an object"),
            _ => None,
        });
        kind.map(str::to_owned)
            .or_else(|| self.given_by(other, expr))
    }

    /// The function outside of the project that gave `other`.
    pub(super) fn given_by(&self, other: &Value, expr: &'a Expr) -> Option<String> {
        if let [Atom::Made(made)] = other.atoms() {
            return Some(made.name.to_string());
        }
        let source = self.source();
        let scope = source.scopes().at(span(expr).start);
        let call = match expr {
            Expr::Name(name) => match bound_to(source, name)? {
                Bound::Call(call) => call,
                Bound::Annotated(class) => return source.names(scope, class).into_iter().next(),
            },
            _ => expr.as_call_expr()?,
        };
        source.names(scope, &call.func).into_iter().next()
    }

    /// Whether `expr` is made a whole number: `int(text)`, or a parameter or name of which that is said.
    pub(super) fn is_number(&self, expr: &'a Expr) -> bool {
        let made = self.given_by(&Value::unknown(), expr);
        let numbers = ["builtins.int", "builtins.len"];
        made.is_some_and(|name| numbers.contains(&&*name)) || self.is_numbered(expr)
    }

    /// Whether `expr` is a parameter that a route says is a number: `/<int:page>`, `/{page:int}`.
    fn is_numbered(&self, expr: &'a Expr) -> bool {
        let Expr::Name(name) = expr else {
            return false;
        };
        let source = self.source();
        let Some(function) = source.innermost_function(span(name)) else {
            return false;
        };
        let is_given = function.parameters.iter().any(|p| p.name().id == name.id);
        let said = [format!("int:{}>", name.id), format!("{{{}:int}}", name.id)];
        is_given
            && function.decorator_list.iter().any(|decorator| {
                let text = source.slice(span(decorator));
                said.iter().any(|said| text.contains(&**said))
            })
    }

    /// Whether `expr` is a member of an enumeration of the project; of one whose members are no numbers or texts as
    /// well, if it is not `same`.
    fn is_member(&mut self, expr: &'a Expr, same: bool) -> bool {
        let Expr::Attribute(node) = expr else {
            return false;
        };
        let Some(file) = self.frames.last().map(|frame| frame.file) else {
            return false;
        };
        let classes = self.annotated(file, &node.value);
        classes.atoms().iter().any(|atom| match atom {
            Atom::Instance(instance) => {
                let bases = self.outside_bases(instance.class);
                let is = |names: &[&str]| bases.iter().any(|base| names.contains(&&**base));
                let plain = is(&["builtins.str", "builtins.int", "builtins.float"]);
                is(&["enum.Enum", "enum.Flag"]) && (same || !plain)
                    || same && bases.iter().any(|base| base.starts_with("enum."))
            }
            _ => false,
        })
    }

    /// Of what kinds that are told apart all is that `container` holds.
    pub(super) fn kinds_in(&mut self, container: &Value, expr: &'a Expr) -> Vec<String> {
        let elts = match expr {
            Expr::Tuple(node) => node.elts.as_slice(),
            Expr::List(node) => node.elts.as_slice(),
            Expr::Set(node) => node.elts.as_slice(),
            _ => &[],
        };
        let mut kinds = Vec::new();
        for elt in elts {
            match self.is_member(elt, false) {
                true => kinds.push("a member of an enumeration".to_owned()),
                false => kinds.extend(self.foreign(&Value::unknown(), elt, false)),
            }
        }
        if let ([Atom::Container(container)], []) = (container.atoms(), elts) {
            let any = container.any();
            let is_tuple =
                |atom: &Atom| matches!(atom, Atom::Container(c) if c.role == Role::Tuple);
            let is_bytes = |atom: &Atom| matches!(atom, Atom::Const(Const::Bytes(_)));
            if !any.is_empty()
                && any.atoms().iter().all(is_tuple)
                && container.kind != Kind::Mapping
            {
                kinds.push("a tuple".to_owned());
            }
            if !any.is_empty()
                && any.atoms().iter().all(is_bytes)
                && container.kind != Kind::Mapping
            {
                kinds.push("bytes".to_owned());
            }
        }
        kinds
    }

    /// `max(value, datetime.now())`, `sum(prices, Decimal(0))`, `str(value, "utf-8")`, `cast(Cart, value)`.
    pub(super) fn note_joined(&mut self, name: &str, arguments: &Arguments, at: At<'a>) {
        self.note_numbers(name, arguments, at);
        self.note_media(arguments, at.place);
        let Some(call) = at.call else {
            return;
        };
        match (name, arguments.positional.as_slice(), &*call.arguments.args) {
            ("builtins.max" | "builtins.min" | "builtins.sum", values, exprs)
                if values.len() == exprs.len() && values.len() > 1 =>
            {
                for (value, _) in values.iter().zip(exprs) {
                    let loaded: Value = value
                        .taints()
                        .into_iter()
                        .filter(|taint| taint.loaded.is_some())
                        .map(|taint| Atom::Untrusted(taint.clone()))
                        .collect();
                    for (other, expr) in values.iter().zip(exprs) {
                        let kind = match other.is_untrusted() {
                            true => None,
                            false => self.foreign(other, expr, false),
                        };
                        if let Some(kind) = kind {
                            self.note_use(&loaded, at.place, || Doing::Beside(kind.clone()));
                        }
                    }
                }
            }
            ("builtins.isinstance", [value, class], [expr, _]) if self.is_key(expr) => {
                let numbers = ["builtins.int", "builtins.float"];
                let is_number =
                    |a: &Atom| matches!(a, Atom::External(n) if numbers.contains(&&**n));
                if class.any_atom(&is_number) {
                    self.note_use(value, at.place, || Doing::Key("a number".to_owned()));
                }
            }
            ("builtins.isinstance" | "builtins.issubclass", [_, value], _) => {
                self.note_use(value, at.place, || Doing::Beside("a class".to_owned()));
            }
            ("builtins.bytes" | "builtins.bytearray", [value], _) => {
                self.note_use(value, at.place, || Doing::Beside("bytes".to_owned()));
            }
            ("hmac.compare_digest" | "secrets.compare_digest", [left, right], [one, other]) => {
                for (value, other, expr) in [(left, right, other), (right, left, one)] {
                    if let Some(kind) = self.foreign(other, expr, false) {
                        self.note_use(value, at.place, || Doing::Beside(kind.clone()));
                    }
                }
            }
            ("builtins.str", [value, _], _) => {
                self.note_use(value, at.place, || Doing::Beside("bytes".to_owned()));
            }
            ("builtins.hasattr", [value, name], _) => {
                if let Some(name) = name.text() {
                    self.note_use(value, at.place, || Doing::Attribute(name.to_string()));
                }
            }
            ("builtins.format", [value, spec], _)
                if spec.text().is_some_and(|spec| is_date(&spec)) =>
            {
                let doing = || Doing::Attribute("strftime".to_owned());
                self.note_use(value, at.place, doing);
            }
            ("typing.cast", [_, value], [class, _]) => {
                let value = value.clone();
                self.note_annotated(&value, class, at.place);
            }
            _ => {}
        }
    }

    /// `value`, of which `annotation` says what it is.
    pub(super) fn note_annotated(&mut self, value: &Value, annotation: &'a Expr, at: Place) {
        let Some(file) = self.frames.last().map(|frame| frame.file) else {
            return;
        };
        if loads(value).next().is_none() {
            return;
        }
        let classes = self.annotated(file, annotation);
        let is_object = |atom: &Atom| match atom {
            Atom::Instance(instance) => {
                let bases = self.outside_bases(instance.class);
                let structural =
                    |base: &Rc<str>| base.ends_with(".TypedDict") || base.ends_with(".Protocol");
                !bases.iter().any(structural)
            }
            _ => false,
        };
        if classes.atoms().iter().any(is_object) {
            self.note_use(value, at, || Doing::Tested(vec![String::new()]));
        }
        let mut said = Vec::new();
        said_by(self.project.source(file), annotation, &mut said);
        for doing in said {
            self.note_use(value, at, || doing.clone());
        }
    }

    /// `async for x in value`, `for (row, column), price in value.items()`.
    pub(super) fn note_iterated(
        &mut self,
        items: &Value,
        iter: &'a Expr,
        (target, is_async): (&'a Expr, bool),
        env: &mut Env,
    ) {
        if is_async && iter.is_name_expr() {
            self.note_use(items, self.place(iter), || {
                Doing::Attribute("__aiter__".to_owned())
            });
        }
        let items = iter
            .as_call_expr()
            .and_then(|call| call.func.as_attribute_expr())
            .filter(|method| {
                matches!(&*method.attr, "items" | "keys") && method.value.is_name_expr()
            });
        let key = match items.is_some_and(|method| method.attr == *"keys") {
            true => Some(target),
            false => target.as_tuple_expr().and_then(|pair| pair.elts.first()),
        };
        if let (Some(method), Some(Expr::Tuple(_))) = (items, key) {
            let value = self.value(&method.value, env);
            self.note_use(&value, self.place(target), || {
                Doing::Key("a tuple".to_owned())
            });
        }
    }

    /// `value[key]`, as it is written: `table[table["n"] > 3]`, `value[int(n)] = ...`.
    pub(super) fn note_element(&mut self, value: &Value, node: &'a ast::ExprSubscript) {
        if loads(value).next().is_none() {
            return;
        }
        let at = self.place(node);
        if node.slice.is_compare_expr() {
            self.note_use(value, at, || Doing::Attribute("__getitem__".to_owned()));
        }
        if self.is_member(&node.slice, true) {
            self.note_use(value, at, || Doing::Key("an object".to_owned()));
        }
        // A list is not filled so.
        if node.ctx.is_store() && self.is_number(&node.slice) || is_float(&node.slice) {
            self.note_use(value, at, || Doing::Key("a number".to_owned()));
        }
    }
}

/// What `annotation` says of a value and of its parts: of `dict[int, datetime]` that a key is a number, and a part a date.
/// Of several kinds it may be another.
fn said_by(source: &SourceFile, annotation: &Expr, said: &mut Vec<Doing>) {
    let names = |expr: &Expr| {
        let scope = source.scopes().at(span(expr).start);
        source.names(scope, expr)
    };
    let last = |expr: &Expr| {
        let name = names(expr).into_iter().next().unwrap_or_default();
        name.rsplit('.').next().unwrap_or_default().to_owned()
    };
    match annotation {
        Expr::BinOp(node) => match (&*node.left, &*node.right) {
            (one, Expr::NoneLiteral(_)) | (Expr::NoneLiteral(_), one) => said_by(source, one, said),
            _ => {}
        },
        Expr::Subscript(node) => {
            let parts = match &*node.slice {
                Expr::Tuple(tuple) => tuple.elts.as_slice(),
                one => std::slice::from_ref(one),
            };
            let (kind, first) = (last(&node.value), parts.first());
            match kind.as_str() {
                "Union" | "Literal" | "Callable" | "Type" | "type" => {}
                "Optional" | "Annotated" | "Final" => {
                    first
                        .into_iter()
                        .for_each(|part| said_by(source, part, said));
                }
                _ => {
                    said_by(source, &node.value, said);
                    let of_two = parts.len() == 2 && kind.to_lowercase() != "tuple";
                    let key = first.filter(|_| of_two).map(last);
                    if matches!(key.as_deref(), Some("int" | "float" | "bool")) {
                        said.push(Doing::Key("a number".to_owned()));
                    }
                    parts.iter().for_each(|part| said_by(source, part, said));
                }
            }
        }
        _ => said.extend(names(annotation).into_iter().next().map(Doing::Beside)),
    }
}
