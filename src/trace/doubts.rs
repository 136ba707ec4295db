//! Uses of loaded values that need what JSON may give back as something else: hashing of what may be a tuple, the order of
//! keys that may be numbers, lists that are given tuples.
//!
//! Invariant: what is certain is a use like any other; what only may be is told apart, for a person to decide.

use super::at::At;
use super::functions::{Code, Function};
use super::keys::{is_of_items, keys_of};
use super::machine::Machine;
use super::taint::Place;
use super::uses::{Doing, LOADED, loads};
use super::value::{Arguments, Atom, Const, Kind, Role, Value};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{SourceFile, span};

/// Functions that hash every element of what they are given.
const HASHING: [&str; 4] = [
    "builtins.set",
    "builtins.frozenset",
    "builtins.dict.fromkeys",
    "collections.Counter",
];

/// Functions that put in order what they are given.
const ORDERING: [&str; 3] = ["builtins.sorted", "builtins.min", "builtins.max"];

impl<'a> Machine<'a> {
    /// `seen.add(item)`, `table.get(item)`, of `owner`.
    pub(super) fn note_hashed_by(
        &mut self,
        owner: &Value,
        attribute: &'a ast::ExprAttribute,
        arguments: &Arguments,
        at: At<'a>,
    ) {
        let Some(call) = at.call else { return };
        let (Some(first), Some(expr)) = (arguments.positional.first(), call.arguments.args.first())
        else {
            return;
        };
        if loads(first).next().is_none() {
            return;
        }
        let of_set = matches!(&*attribute.attr, "add" | "discard" | "remove");
        let of_mapping = matches!(&*attribute.attr, "get" | "setdefault" | "pop");
        let each = matches!(
            &*attribute.attr,
            "update"
                | "union"
                | "intersection"
                | "difference"
                | "symmetric_difference"
                | "issubset"
                | "issuperset"
                | "isdisjoint"
                | "difference_update"
                | "intersection_update"
        );
        let hashes = (of_set || of_mapping || each) && self.hashes(owner, &attribute.value);
        match hashes {
            true if each => self.note_doubt(first, at.place, Doing::Hashed),
            true => self.note_hashed(first, expr),
            false => {}
        }
    }

    /// `list.append((1, 2))`: one of a kind among others of it.
    pub(super) fn note_joining(
        &mut self,
        value: &Value,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
    ) {
        let Some(call) = at.call else { return };
        let takes_one = matches!(name, "append" | "insert" | "index" | "count" | "remove");
        for (given, expr) in arguments.positional.iter().zip(&call.arguments.args) {
            let kind = match name {
                _ if takes_one => self.foreign(given, expr, false),
                // A counter, or a set: a mapping takes pairs.
                "update" if is_of_scalars(given, expr) => Some("a set".to_owned()),
                "update" | "extend" => self.kinds_in(given, expr).into_iter().next(),
                _ => return,
            };
            if let Some(kind) = kind {
                self.note_use(value, at.place, || Doing::Beside(kind.clone()));
            }
            if name == "update" && has_number_keys(given) {
                self.note_use(value, at.place, || Doing::Key("a number".to_owned()));
            }
        }
        // Only one that keeps its order takes it.
        if name == "popitem" && !call.arguments.is_empty() {
            self.note_use(value, at.place, || {
                Doing::Attribute("popitem(last=...)".to_owned())
            });
        }
    }

    /// `value`, which `expr` gives, is hashed: a key, an element of a set.
    pub(super) fn note_hashed(&mut self, value: &Value, expr: &'a Expr) {
        if loads(value).next().is_none() {
            return;
        }
        let at = self.place(expr);
        if is_unpacked(self.source(), expr) {
            self.note_use(value, at, || Doing::Beside("a tuple".to_owned()));
        }
        self.note_doubt(value, at, Doing::Hashed);
    }

    /// `key in table`, where `table` hashes.
    pub(super) fn note_member(
        &mut self,
        (value, expr): (&Value, &'a Expr),
        (table, others): (&Value, &'a Expr),
    ) {
        if loads(value).next().is_some() && self.hashes(table, others) {
            self.note_hashed(value, expr);
        }
    }

    /// `table[key]`, where `table` is no loaded value.
    pub(super) fn note_looked_up(
        &mut self,
        table: &Value,
        key: &Value,
        node: &'a ast::ExprSubscript,
    ) {
        if loads(key).next().is_none() || loads(table).next().is_some() {
            return;
        }
        let sequence = |atom: &Atom| match atom {
            Atom::Container(container) => container.kind != Kind::Mapping,
            Atom::Const(_) => true,
            _ => false,
        };
        let is_listed = !table.is_empty() && table.atoms().iter().all(sequence);
        if self.is_key(&node.slice) && (is_listed || has_number_keys(table)) {
            let at = self.place(node);
            self.note_use(key, at, || Doing::Key("a number".to_owned()));
        }
        if !is_listed {
            self.note_hashed(key, &node.slice);
        }
    }

    /// `set(rows)`, `sorted(table)`, `heappush(heap, (1, 2))`.
    pub(super) fn note_doubtful(&mut self, name: &str, arguments: &Arguments, at: At<'a>) {
        let (Some(first), Some(call)) = (arguments.positional.first().cloned(), at.call) else {
            return;
        };
        let Some(expr) = call.arguments.args.first() else {
            return;
        };
        if HASHING.contains(&name) {
            self.note_doubt(&first, at.place, Doing::Hashed);
        }
        let alone = arguments.positional.len() == 1 && arguments.named("key").is_none();
        if ORDERING.contains(&name) && alone && loads(&first).next().is_some() {
            match keys_of(expr).is_some() || is_of_items(expr) {
                true => self.note_use(&first, at.place, || Doing::Ordered),
                false => self.note_doubt(&first, at.place, Doing::Ordered),
            }
        }
        let added = match (
            name,
            arguments.positional.get(1),
            call.arguments.args.get(1),
        ) {
            (
                "heapq.heappush" | "heapq.heappushpop" | "heapq.heapreplace",
                Some(other),
                Some(expr),
            )
            | (
                "bisect.insort"
                | "bisect.insort_left"
                | "bisect.insort_right"
                | "bisect.bisect"
                | "bisect.bisect_left"
                | "bisect.bisect_right",
                Some(other),
                Some(expr),
            ) => self.foreign(other, expr, false),
            _ => None,
        };
        if let Some(kind) = added {
            self.note_use(&first, at.place, || Doing::Beside(kind.clone()));
        }
    }

    /// Arguments of a function that keeps its results by them are hashed.
    pub(super) fn note_kept(&mut self, function: &Function<'a>, arguments: &Arguments, at: Place) {
        let Code::Def(node) = function.code else {
            return;
        };
        let source = self.project.source(function.def.file);
        let keeps = |decorator: &ast::Decorator| {
            let callee = match &decorator.expression {
                Expr::Call(call) => &*call.func,
                other => other,
            };
            let names = source.names(0, callee);
            let mut names = names.iter();
            names.any(|name| matches!(&**name, "functools.lru_cache" | "functools.cache"))
        };
        if node.decorator_list.iter().any(keeps) {
            for value in arguments.all() {
                self.note_doubt(value, at, Doing::Hashed);
            }
        }
    }

    /// Whole values, and elements of whole values, are doubted: a part that a text names is what it seems.
    pub(super) fn note_doubt(&mut self, value: &Value, at: Place, doing: Doing) {
        let whole = value
            .filter(|atom| matches!(atom, Atom::Untrusted(taint) if taint.part.ends_with(LOADED)));
        self.note_use(&whole, at, || doing.clone());
    }

    /// Whether `value` is a set or a mapping.
    fn hashes(&self, value: &Value, expr: &'a Expr) -> bool {
        let is = |atom: &Atom| match atom {
            Atom::Container(container) => match container.kind {
                Kind::Mapping => true,
                Kind::Bag => container.role == Role::Plain,
                Kind::Sequence(_) => false,
            },
            _ => false,
        };
        if expr.is_set_expr() || expr.is_dict_expr() || value.any_atom(&is) {
            return true;
        }
        let made = self.given_by(&Value::unknown(), expr);
        made.is_some_and(|name| HASHING.contains(&&*name) || name == "builtins.dict")
    }
}

/// Whether all keys of `value` are known, and numbers.
pub(super) fn has_number_keys(value: &Value) -> bool {
    let [Atom::Container(container)] = value.atoms() else {
        return false;
    };
    let is_number = |key: &Const| matches!(key, Const::Int(_) | Const::Bool(_));
    container.kind == Kind::Mapping
        && !container.items.is_empty()
        && container.items.keys().all(is_number)
}

/// Whether `value` is a list of texts or numbers, or a set.
fn is_of_scalars(value: &Value, expr: &Expr) -> bool {
    let elts = match expr {
        Expr::List(node) => node.elts.as_slice(),
        Expr::Tuple(node) => node.elts.as_slice(),
        Expr::Set(_) | Expr::SetComp(_) => return true,
        _ => &[],
    };
    let scalar = |elt: &Expr| elt.is_literal_expr();
    let is_set = |atom: &Atom| matches!(atom, Atom::Container(c) if c.kind == Kind::Bag && c.role == Role::Plain);
    !elts.is_empty() && elts.iter().all(scalar)
        || !value.is_empty() && value.atoms().iter().all(is_set) && !expr.is_generator_expr()
}

/// Whether the function around `expr` takes apart what it gives: `x, y = cell`.
fn is_unpacked(source: &SourceFile, expr: &Expr) -> bool {
    struct Unpacks<'s> {
        source: &'s SourceFile,
        text: &'s str,
        found: bool,
    }
    impl<'a> Visitor<'a> for Unpacks<'_> {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            if let Stmt::Assign(node) = stmt {
                let several = node.targets.iter().any(Expr::is_tuple_expr);
                self.found |= several && self.source.slice(span(&*node.value)) == self.text;
            }
            visitor::walk_stmt(self, stmt);
        }
    }
    let Some(function) = source.innermost_function(span(expr)) else {
        return false;
    };
    let mut unpacks = Unpacks {
        source,
        text: source.slice(span(expr)),
        found: false,
    };
    unpacks.visit_body(&function.body);
    unpacks.found
}
