//! Keys of a loaded mapping that are used as numbers: as text, which JSON makes of them, they would not do.
//!
//! Invariant: a key is said only of what certainly is one. `for k in table` may go over a list.

use super::at::At;
use super::machine::Machine;
use super::uses::{Doing, loads};
use super::value::{Arguments, Value};
use crate::python::ast::{self, AnyNodeRef, CmpOp, Expr};
use crate::python::span;

/// Functions that take numbers, or what holds them, and no text.
const OF_NUMBERS: [&str; 9] = [
    "builtins.range",
    "builtins.abs",
    "builtins.round",
    "builtins.divmod",
    "builtins.chr",
    "builtins.hex",
    "builtins.bin",
    "builtins.pow",
    "builtins.sum",
];

impl<'a> Machine<'a> {
    /// `number > 3`, `number + 1`, of a key.
    pub(super) fn note_number(&mut self, value: &Value, expr: &'a Expr, other: &'a Expr) {
        if loads(value).next().is_some()
            && (is_number(other) || self.is_number(other))
            && self.is_key(expr)
        {
            let at = self.place(expr);
            self.note_use(value, at, || Doing::Key("a number".to_owned()));
        }
    }

    /// `key in (1, 2, 3)`; `number in table`, where `table[number]` is asked for.
    pub(super) fn note_among(
        &mut self,
        op: CmpOp,
        (value, expr): (&Value, &'a Expr),
        (table, others): (&Value, &'a Expr),
    ) {
        if matches!(op, CmpOp::In | CmpOp::NotIn) {
            self.note_member((value, expr), (table, others));
        }
        if matches!(op, CmpOp::In | CmpOp::NotIn)
            && self.is_number(expr)
            && self.is_looked_up(expr, others)
        {
            let at = self.place(expr);
            self.note_use(table, at, || Doing::Key("a number".to_owned()));
        }
        let elts = match others {
            Expr::Tuple(node) => node.elts.as_slice(),
            Expr::List(node) => node.elts.as_slice(),
            Expr::Set(node) => node.elts.as_slice(),
            _ => &[],
        };
        if let (CmpOp::In | CmpOp::NotIn, Some(first)) = (op, elts.first()) {
            self.note_number(value, expr, first);
        }
    }

    /// `range(number)`, `sum(table.keys())`.
    pub(super) fn note_numbers(&mut self, name: &str, arguments: &Arguments, at: At<'a>) {
        let Some(call) = at.call.filter(|_| !at.handed && OF_NUMBERS.contains(&name)) else {
            return;
        };
        for (value, expr) in arguments.positional.iter().zip(&call.arguments.args) {
            if self.is_key(expr) || keys_of(expr).is_some() {
                self.note_use(value, at.place, || Doing::Key("a number".to_owned()));
            }
        }
    }

    /// Whether the function around asks `table` for its element `key`.
    fn is_looked_up(&self, key: &'a Expr, table: &'a Expr) -> bool {
        let source = self.source();
        let function = source.innermost_function(span(key)).map(span);
        let wanted = format!("{}[{}]", source.slice(span(table)), source.slice(span(key)));
        function.is_some_and(|function| source.slice(function).contains(&wanted))
    }

    /// Whether `expr` is a key of a mapping: a name that a loop over `.items()` or `.keys()` binds.
    pub(super) fn is_key(&self, expr: &'a Expr) -> bool {
        match expr {
            Expr::Name(name) => {
                let around = self.source().ancestors(span(expr));
                around.iter().rev().any(|node| match node {
                    AnyNodeRef::StmtFor(node) => binds_key(&node.target, &node.iter, name),
                    AnyNodeRef::ExprListComp(node) => of_generators(&node.generators, name),
                    AnyNodeRef::ExprSetComp(node) => of_generators(&node.generators, name),
                    AnyNodeRef::ExprGenerator(node) => of_generators(&node.generators, name),
                    AnyNodeRef::ExprDictComp(node) => of_generators(&node.generators, name),
                    _ => false,
                })
            }
            _ => false,
        }
    }
}

fn of_generators(generators: &[ast::Comprehension], name: &ast::ExprName) -> bool {
    generators
        .iter()
        .any(|generator| binds_key(&generator.target, &generator.iter, name))
}

/// Whether a loop over `iter` binds `name`, in `target`, to keys.
fn binds_key(target: &Expr, iter: &Expr, name: &ast::ExprName) -> bool {
    let is = |expr: &Expr| expr.as_name_expr().is_some_and(|node| node.id == name.id);
    let (target, iter) = match (target, called(iter, &["enumerate"])) {
        (Expr::Tuple(pair), Some(inner)) => match pair.elts.get(1) {
            Some(second) => (second, inner),
            None => return false,
        },
        _ => (target, iter),
    };
    let pair = target.as_tuple_expr().and_then(|pair| pair.elts.first());
    is(target) && keys_of(iter).is_some()
        || pair.is_some_and(is) && method_of(iter, "items").is_some()
}

/// What `table.keys()`, perhaps sorted, are the keys of.
pub(super) fn keys_of(expr: &Expr) -> Option<&Expr> {
    method_of(expr, "keys")
}

/// `table`, of `table.items()` or `sorted(table.items())`.
fn method_of<'e>(expr: &'e Expr, method: &str) -> Option<&'e Expr> {
    let expr = called(
        expr,
        &["sorted", "list", "tuple", "reversed", "iter", "set"],
    )
    .unwrap_or(expr);
    let call = expr.as_call_expr()?;
    let attribute = call.func.as_attribute_expr()?;
    (attribute.attr == *method && call.arguments.is_empty()).then_some(&*attribute.value)
}

/// The first argument of a call of one of `names`.
fn called<'e>(expr: &'e Expr, names: &[&str]) -> Option<&'e Expr> {
    let call = expr.as_call_expr()?;
    let name = call.func.as_name_expr()?;
    names
        .contains(&name.id.as_str())
        .then(|| call.arguments.args.first())?
}

/// Whether `expr` is `table.items()`.
pub(super) fn is_of_items(expr: &Expr) -> bool {
    method_of(expr, "items").is_some()
}

/// `0.5`: no list has such an element.
pub(super) fn is_float(expr: &Expr) -> bool {
    let number = expr.as_number_literal_expr();
    number.is_some_and(|number| matches!(number.value, ast::Number::Float(_)))
}

/// `3`, `-3`.
fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) => true,
        Expr::UnaryOp(node) => is_number(&node.operand),
        _ => false,
    }
}
