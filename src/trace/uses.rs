//! What is done with the values that loads give, wherever they go: what `plan` judges the new call's values by.
//!
//! Invariant: only the value itself and its parts count, never what was made of them: `Cart(pickle.loads(x))` is a cart.

use super::at::At;
use super::machine::Machine;
use super::taint::{Place, Taint};
use super::value::{Arguments, Atom, Const, Role, Value};
use crate::python::ast::{self, Expr};

/// What the part of a value ends with that a load gives as a whole.
pub(super) const LOADED: &str = "()";

/// Something done with a loaded value, or with a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doing {
    /// An attribute or method so called is used.
    Attribute(String),
    /// It is called.
    Called,
    /// It is tested for one of these classes, by qualified name; a class of the project has none.
    Tested(Vec<String>),
    /// It is added to, or compared with, what this is or gives.
    Beside(String),
    /// It is multiplied with, or divided by, what this gives.
    Times(String),
    /// It is looked up under a key of this kind.
    Key(String),
    /// It is passed to a function outside of the project, so called.
    Given(String),
    /// It is a key, or an element of a set: a list, which JSON has for a tuple, is not.
    Hashed,
    /// It is put in order, or its keys are: numbers, which JSON has as text, have another.
    Ordered,
}

/// Something done with a loaded value, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Use {
    /// Where.
    pub at: Place,
    /// What.
    pub doing: Doing,
}

/// Where what `value` can be was loaded.
pub(super) fn loads(value: &Value) -> impl Iterator<Item = Place> {
    value.atoms().iter().filter_map(|atom| match atom {
        Atom::Untrusted(taint) => taint.loaded,
        _ => None,
    })
}

/// Whether `spec` formats a date: `%d.%m.%Y`.
pub(super) fn is_date(spec: &str) -> bool {
    let mut after = spec.split('%').skip(1);
    after.any(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

impl<'a> Machine<'a> {
    /// `value`, which the load at `place` gives.
    pub(super) fn loaded(&self, value: &Value, place: Place) -> Value {
        value.map_taints(&|taint| Taint {
            loaded: Some(place),
            part: format!("{}{LOADED}", taint.part).into(),
            ..taint.clone()
        })
    }

    /// Notes what is done with `value`, if a load gave it.
    pub(super) fn note_use(&mut self, value: &Value, at: Place, doing: impl Fn() -> Doing) {
        for load in loads(value) {
            let doing = doing();
            self.uses_of_loads
                .entry(load)
                .or_default()
                .insert(Use { at, doing });
        }
    }

    /// Whether `taint` is what a call made that only gives a reader, and `method` the method of it that loads.
    pub(super) fn is_reader(&self, taint: &Taint, method: &str) -> bool {
        let sink = taint.loaded.and_then(|place| self.sink_at(place));
        let row = sink.and_then(|sink| self.model.sink_row(sink));
        row.is_some_and(|(_, sink)| sink.method.as_deref() == Some(method))
    }

    /// What is done with the value that the load at `place` gives.
    pub(super) fn uses_of(&self, place: Place) -> Vec<Use> {
        let uses = self.uses_of_loads.get(&place);
        uses.into_iter().flatten().cloned().collect()
    }

    /// `isinstance(value, classes)`.
    pub(super) fn note_test(&mut self, value: &Value, classes: &[Value], at: Place) {
        let atoms = classes.iter().flat_map(Value::atoms);
        let names: Option<Vec<String>> = atoms
            .map(|atom| match atom {
                Atom::External(name) => Some(name.to_string()),
                Atom::Class(_) | Atom::Record(_) => Some(String::new()),
                _ => None,
            })
            .collect();
        if let Some(names) = names.filter(|names| !names.is_empty()) {
            self.note_use(value, at, || Doing::Tested(names.clone()));
        }
    }

    /// `value[key]`.
    pub(super) fn note_key(&mut self, value: &Value, key: &Value, at: Place) {
        let kind = match key.atoms() {
            [Atom::Const(Const::Bytes(_))] => "bytes",
            [Atom::Container(container)] if container.role == Role::Tuple => "a tuple",
            [Atom::Class(_)] => "an object",
            [Atom::External(name)] if name.starts_with("builtins.") => "an object",
            // A list has no such element.
            [Atom::Const(Const::Bool(_) | Const::None)] => "a number",
            _ => return,
        };
        self.note_use(value, at, || Doing::Key(kind.to_owned()));
    }

    /// `value.name(...)`.
    pub(super) fn note_method(
        &mut self,
        value: &Value,
        attribute: &ast::ExprAttribute,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
    ) {
        let by_reader = |atom: &Atom| matches!(atom, Atom::Untrusted(t) if self.is_reader(t, name));
        if loads(value).next().is_none() || value.any_atom(&by_reader) {
            return;
        }
        self.note_use(value, self.place(attribute), || {
            Doing::Attribute(name.to_owned())
        });
        // Texts are replaced by place, parts of dates by name.
        if name == "replace" && !arguments.named.is_empty() {
            let at = self.place(attribute);
            self.note_use(value, at, || {
                Doing::Attribute("replace(...=...)".to_owned())
            });
        }
        self.note_joining(value, name, arguments, at);
        let Some(key) = arguments.positional.first() else {
            return;
        };
        if matches!(key.atoms(), [Atom::Const(Const::Bytes(_))]) {
            self.note_use(value, at.place, || Doing::Beside("bytes".to_owned()));
        }
        if matches!(name, "get" | "pop" | "setdefault") {
            self.note_key(value, key, at.place);
        }
        let has_default = arguments.positional.len() > 1;
        if matches!(name, "get" | "setdefault") || name == "pop" && has_default {
            let made = at.call.and_then(|call| call.arguments.args.first());
            let is_int =
                made.is_some_and(|expr| self.is_number(expr) || super::keys::is_float(expr));
            let number = |atom: &Atom| {
                matches!(
                    atom,
                    Atom::Const(Const::Int(_) | Const::Bool(_)) | Atom::Number(_)
                )
            };
            let all = !key.is_empty() && key.atoms().iter().all(number);
            if all || is_int {
                self.note_use(value, at.place, || Doing::Key("a number".to_owned()));
            }
        }
    }

    /// A call of `name`, outside of the project.
    pub(super) fn note_given(&mut self, name: &str, arguments: &Arguments, at: At<'a>) {
        for value in arguments.all() {
            self.note_use(value, at.place, || Doing::Given(name.to_owned()));
        }
        self.note_joined(name, arguments, at);
        self.note_doubtful(name, arguments, at);
    }

    /// `b"".join(value)`: a method of bytes.
    pub(super) fn note_bytes(&mut self, arguments: &Arguments, at: Place) {
        for value in arguments.all() {
            self.note_use(value, at, || Doing::Beside("bytes".to_owned()));
        }
    }

    /// `await value`, `with value`, where it is a parameter: what a call gives may be a coroutine, or a generator's.
    pub(super) fn note_entered(&mut self, value: &Value, expr: &'a Expr, method: &str) {
        let rebound = self.frames.last().map(|frame| &frame.rebound);
        let is_parameter = match (expr, rebound) {
            (Expr::Name(name), Some(rebound)) => !rebound.contains(&name.id),
            _ => false,
        };
        if is_parameter {
            let at = self.place(expr);
            self.note_use(value, at, || Doing::Attribute(method.to_owned()));
        }
    }

    /// `"{cart.total}".format(cart=value)`.
    pub(super) fn note_format(&mut self, text: &str, arguments: &Arguments, at: Place) {
        for (n, field) in text.split('{').skip(1).enumerate() {
            let (field, spec) = field
                .split('}')
                .next()
                .and_then(|field| field.split_once(':'))
                .unwrap_or((field, ""));
            let field = field.split(['}', '!']).next().unwrap_or_default();
            let (name, rest) = match field.split_once('.') {
                Some(parts) => parts,
                None if is_date(spec) => (field, "strftime"),
                None => continue,
            };
            let value = match name.parse::<usize>() {
                Ok(position) => arguments.positional.get(position),
                Err(_) if name.is_empty() => arguments.positional.get(n),
                Err(_) => arguments.named(name),
            };
            let attribute = rest.split(['.', '[']).next().unwrap_or_default();
            if let Some(value) = value.cloned() {
                self.note_use(&value, at, || Doing::Attribute(attribute.to_owned()));
            }
        }
    }

    /// `f"{value:%d.%m.%Y}"`, which is `value.strftime`.
    pub(super) fn note_shown(&mut self, value: &Value, part: &'a ast::InterpolatedElement) {
        let Some(spec) = &part.format_spec else {
            return;
        };
        let is_number = |text: &str| text.ends_with(['d', 'f', 'x', 'e', 'g']);
        let number = spec.elements.iter().any(|element| match element {
            ast::InterpolatedStringElement::Literal(text) => is_number(&text.value),
            ast::InterpolatedStringElement::Interpolation(_) => false,
        });
        if number && self.is_key(&part.expression) {
            let at = self.place(part);
            self.note_use(value, at, || Doing::Key("a number".to_owned()));
        }
        let is_date = spec.elements.iter().any(|element| match element {
            ast::InterpolatedStringElement::Literal(text) => is_date(&text.value),
            ast::InterpolatedStringElement::Interpolation(_) => false,
        });
        if is_date {
            let at = self.place(part);
            self.note_use(value, at, || Doing::Attribute("strftime".to_owned()));
        }
    }
}
