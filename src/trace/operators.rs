//! Operators: what they make of values, and what a comparison says of them.

use std::rc::Rc;

use super::env::Env;
use super::fold;
use super::iterators::in_order;
use super::layouts::{carried, numbers};
use super::machine::Machine;
use super::taint::{Place, Taint};
use super::value::{Arguments, Atom, Const, Container, Kind, Value};
use crate::pack::Shape;
use crate::python::ast::{self, CmpOp, Operator};

/// Python 3.8 is the oldest that is still met.
const OLDEST_MINOR: i64 = 8;

impl<'a> Machine<'a> {
    pub(super) fn bool_op(&mut self, node: &'a ast::ExprBoolOp, env: &mut Env) -> Value {
        let mut out = Value::unknown();
        let stops_on = node.op == ast::BoolOp::Or;
        let mut inside = env.clone();
        let count = node.values.len();
        for (n, part) in node.values.iter().enumerate() {
            let value = self.value(part, &mut inside);
            if n == 0 {
                *env = inside.clone();
            }
            match self.truth(&value) {
                Some(truth) if truth == stops_on => {
                    out = out.join(&value);
                    break;
                }
                // Passed over: the next one is the value.
                Some(_) if n + 1 < count => {}
                None if n + 1 < count => out = out.join(&decided(&value, stops_on)),
                _ => out = out.join(&value),
            }
            // The next part is evaluated only if this one did not decide.
            self.refine(part, !stops_on, &mut inside);
        }
        // What a later part assigns may have been assigned.
        *env = std::mem::take(env).join(&inside);
        out
    }

    /// Whether Python takes `value` as true, functions of libraries included.
    pub(super) fn truth(&self, value: &Value) -> Option<bool> {
        let is_function = |atom: &Atom| match atom {
            Atom::External(name) => {
                self.model.sink(name).is_some() || self.model.step(name).is_some()
            }
            _ => false,
        };
        match !value.is_empty() && value.atoms().iter().all(is_function) {
            true => Some(true),
            false => value.truth(),
        }
    }

    pub(super) fn binary(
        &mut self,
        op: Operator,
        left: &Value,
        right: &Value,
        place: Place,
    ) -> Value {
        let (left, right) = (&self.flat(left), &self.flat(right));
        if let (Some(a), Some(b)) = (left.constant(), right.constant())
            && let Some(constant) = fold::binary(op, a, b)
        {
            return constant.into();
        }
        let is_number = |atom: &Atom| {
            matches!(
                atom,
                Atom::Number(_) | Atom::Const(Const::Int(_) | Const::Bool(_) | Const::Other)
            )
        };
        let both = left.clone().join(right);
        if both.atoms().iter().all(is_number) && !carried(&both).is_empty() {
            return numbers(&both);
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
                    _ => Container::some(a.any().join(&b.any())).into(),
                }
            }
            (Operator::BitOr, [Atom::Container(a)], [Atom::Container(b)]) => {
                let mut merged = (**a).clone();
                merged.merge(b);
                merged.into()
            }
            // What is in both is in either.
            (Operator::BitAnd, [Atom::Container(a)], [Atom::Container(b)]) => {
                let (a, b) = (a.any(), b.any());
                let least = if a.is_untrusted() { b } else { a };
                Container::of(least).into()
            }
            (Operator::BitOr, [Atom::Untrusted(_)], [Atom::Container(b)])
                if b.kind == Kind::Mapping =>
            {
                let mut merged = Container::mapping();
                merged.set(None, self.item(left, None, place));
                merged.merge(b);
                merged.into()
            }
            (Operator::BitOr, [Atom::Container(a)], [Atom::Untrusted(_)])
                if a.kind == Kind::Mapping =>
            {
                let mut merged = (**a).clone();
                merged.set(None, self.item(right, None, place));
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
    pub(super) fn formatted(&mut self, format: &str, value: &Value) -> Value {
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

    pub(super) fn compare(&mut self, node: &'a ast::ExprCompare, env: &mut Env) -> Value {
        let mut left = self.value(&node.left, env);
        let mut left_expr = &*node.left;
        if let ([CmpOp::Is | CmpOp::IsNot | CmpOp::Eq | CmpOp::NotEq | CmpOp::In], [class]) =
            (&*node.ops, &*node.comparators)
        {
            self.note_type(left_expr, class, env);
        }
        let mut truth = Some(true);
        let mut out = Value::clean();
        for (op, right_expr) in node.ops.iter().zip(&node.comparators) {
            let right = self.value(right_expr, env);
            self.note_comparison(*op, (&left, left_expr), (&right, right_expr));
            let one = match (left.constant(), right.constant(), op) {
                (None, None, _) if !matches!(op, CmpOp::In | CmpOp::NotIn) => {
                    compared(*op, &left, &right)
                }
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
                    out = out.join(&self.compared(&left, &right));
                }
            }
            left = right;
            left_expr = right_expr;
        }
        match truth {
            Some(truth) => Value::bool(truth),
            None => out,
        }
    }

    /// Several texts made into one: concatenated, formatted.
    pub(super) fn combined(&mut self, parts: &[Value]) -> Value {
        let shown = |part: &Value| match carried(part).is_empty() {
            true => self.flat(part),
            // A number is shown as digits.
            false => part
                .filter(|atom| !matches!(atom, Atom::Number(_)))
                .join(&Value::clean()),
        };
        let parts: &[Value] = &parts.iter().map(shown).collect::<Vec<_>>();
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
                    loaded: None,
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
                    Atom::Container(_) | Atom::Digest(_) | Atom::Pickled(..) | Atom::Verified
                ) {
                    out.add(atom.clone());
                }
            }
        }
        out
    }
}

/// What `value`, which decides an `and` or `or`, can be: an empty one, or one that is not.
fn decided(value: &Value, truth: bool) -> Value {
    let atoms = value.atoms().iter().filter_map(|atom| match (atom, truth) {
        (Atom::Const(constant), _) if constant.truth() == Some(!truth) => None,
        (Atom::Untrusted(_), false) => Some(Atom::Const(Const::Other)),
        _ => Some(atom.clone()),
    });
    atoms.collect()
}

/// `left op right` of two tuples or lists; of `sys.version_info` and a tuple.
fn compared(op: CmpOp, left: &Value, right: &Value) -> Option<bool> {
    let is_version = |value: &Value| matches!(value.atoms(), [Atom::External(name)] if **name == *"sys.version_info");
    let (a, b) = match (is_version(left), is_version(right)) {
        (true, false) => (version(&in_order(right)?), in_order(right)?),
        (false, true) => (in_order(left)?, version(&in_order(left)?)),
        _ => (in_order(left)?, in_order(right)?),
    };
    for (a, b) in a.iter().zip(&b) {
        let (a, b) = (a.constant()?, b.constant()?);
        if fold::compare(CmpOp::Eq, a, b)? {
            continue;
        }
        return match op {
            CmpOp::Eq => Some(false),
            CmpOp::NotEq => Some(true),
            CmpOp::Is | CmpOp::IsNot => None,
            op => fold::compare(op, a, b),
        };
    }
    let (a, b) = (a.len(), b.len());
    match op {
        CmpOp::Eq => Some(a == b),
        CmpOp::NotEq => Some(a != b),
        CmpOp::Lt => Some(a < b),
        CmpOp::LtE => Some(a <= b),
        CmpOp::Gt => Some(a > b),
        CmpOp::GtE => Some(a >= b),
        _ => None,
    }
}

/// `sys.version_info` as far as comparing it with `other` needs it: Python 3, of a version that is still in use.
fn version(other: &[Value]) -> Vec<Value> {
    let minor = match other.get(1).and_then(Value::constant) {
        Some(Const::Int(n)) if *n < OLDEST_MINOR => Const::Int(OLDEST_MINOR).into(),
        _ => Value::clean(),
    };
    vec![Const::Int(3).into(), minor, Value::clean(), Value::clean()]
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
