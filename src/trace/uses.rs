//! What is done with the values that loads give, wherever they go: what `plan` judges the new call's values by.
//!
//! Invariant: only the value itself and its parts count, never what was made of them: `Cart(pickle.loads(x))` is a cart.

use std::collections::BTreeSet;

use memchr::memmem::Finder;
use rayon::prelude::*;

use super::at::At;
use super::imports::Word;
use super::is_test;
use super::machine::{Machine, Owner};
use super::relevant::stem;
use super::taint::{Place, Taint};
use super::value::{Arguments, Atom, Const, Def, Instance, Role, Value};
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::span;

/// Values that readers keep or return are followed to their own readers so often.
const MOST_ROUNDS: usize = 3;
/// Files that are looked through for one name under which a loaded value is kept.
const MOST_FILES: usize = 50;
/// Functions that are entered to see what they do with kept values.
const MOST_FUNCTIONS: usize = 200;

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

    /// Enters the functions that read what loaded values are kept under, and that nothing led to: fields, variables of
    /// modules, stores, and functions that give them.
    pub(super) fn enter_readers(&mut self) {
        self.enter_dispatched();
        let mut known: BTreeSet<String> = BTreeSet::new();
        let mut given: Vec<(Owner, Name)> = Vec::new();
        let mut entered = 0;
        // What they keep in turn is read elsewhere again.
        for _ in 0..MOST_ROUNDS {
            let mut kept = self.kept_loads();
            kept.append(&mut given);
            for (owner, name) in kept {
                if !known.insert(format!("{owner:?} {name}")) {
                    continue;
                }
                for file in self.where_read(&owner, &name) {
                    for def in self.readers(file, &owner, &name) {
                        if entered == MOST_FUNCTIONS {
                            return;
                        }
                        let Some(id) = self.by_def.get(&def).copied() else {
                            continue;
                        };
                        entered += 1;
                        let handler = self.all_handlers.get(&def).cloned();
                        let value = self.guard(def.file, Some(def), |machine| {
                            let (bound, arguments) = match handler {
                                Some(handler) => {
                                    (handler.instance(), machine.handler_arguments(&handler))
                                }
                                None => (None, machine.outside_arguments(id)),
                            };
                            machine.grant();
                            machine.enter(id, bound, &arguments)
                        });
                        self.take_reached();
                        let value = value.unwrap_or_default();
                        let is_loaded = |atom: &Atom| matches!(atom, Atom::Untrusted(taint) if taint.loaded.is_some());
                        if let (true, Some(function)) =
                            (value.any_atom(&is_loaded), self.function(id))
                        {
                            given.push((Owner::Module(def.file), Name::new(function.name())));
                        }
                    }
                }
            }
        }
    }

    /// Files that may read the field `name` of `owner`.
    pub(super) fn where_read(&self, owner: &Owner, name: &str) -> Vec<FileId> {
        /// So many are searched at once.
        const AT_ONCE: usize = 4096;
        let name = name.trim_matches(['[', ']']);
        let mut files: BTreeSet<FileId> = self.modules.keys().copied().collect();
        match owner {
            Owner::Instance(Instance { class, .. }) => {
                files.insert(class.file);
            }
            Owner::Module(home) => {
                let stem = stem(self.project.path(*home));
                let words = [stem.as_bytes(), name.as_bytes()].map(Word::of);
                let imports = self.imports.iter().enumerate();
                let imports = imports.filter(|(_, imported)| {
                    imported.dynamic || imported.star || words.iter().any(|w| imported.contains(*w))
                });
                files.extend(imports.map(|(n, _)| FileId(n)));
            }
            Owner::External(_) | Owner::Store(_) => files.extend(self.project.ids()),
        }
        let finder = Finder::new(name.as_bytes());
        let (project, finder) = (self.project, &finder);
        let spoken = |file: &&FileId| {
            !is_test(project.path(**file)) && finder.find(project.bytes(**file)).is_some()
        };
        let files: Vec<FileId> = files.into_iter().collect();
        let found = files.chunks(AT_ONCE).flat_map(|files| {
            let found = files.par_iter().with_min_len(64).filter(spoken).copied();
            found.collect::<Vec<FileId>>()
        });
        found.take(MOST_FILES).collect()
    }

    /// Functions of `file` that read the field `name` of an `owner` and were not interpreted.
    fn readers(&mut self, file: FileId, owner: &Owner, name: &str) -> Vec<Def> {
        let source = self.project.source(file);
        let mut readers = Readers {
            file,
            name: name.trim_matches(['[', ']']),
            // `app.config["user"]` is kept under `[user]`.
            is_text: matches!(owner, Owner::Store(_)) || name.starts_with('['),
            is_global: matches!(owner, Owner::Module(_)),
            around: Vec::new(),
            found: BTreeSet::new(),
        };
        readers.visit_body(&source.module().body);
        let new: Vec<Def> = readers
            .found
            .into_iter()
            .filter(|def| !self.visited.contains(def))
            .collect();
        if new.iter().any(|def| !self.by_def.contains_key(def)) {
            self.guard(file, None, |machine| machine.whole_module(file));
            self.take_reached();
        }
        new
    }
}

/// Finds functions that read a name.
struct Readers<'n> {
    file: FileId,
    name: &'n str,
    /// The name is a text.
    is_text: bool,
    /// The name is a variable of a module.
    is_global: bool,
    around: Vec<Def>,
    found: BTreeSet<Def>,
}

impl<'s> Visitor<'s> for Readers<'_> {
    fn visit_stmt(&mut self, stmt: &'s Stmt) {
        let Stmt::FunctionDef(node) = stmt else {
            return visitor::walk_stmt(self, stmt);
        };
        self.around.push(Def {
            file: self.file,
            start: span(node).start,
        });
        visitor::walk_stmt(self, stmt);
        self.around.pop();
    }

    fn visit_expr(&mut self, expr: &'s Expr) {
        let reads = match expr {
            Expr::Attribute(node) => !self.is_text && node.attr == *self.name,
            Expr::Name(node) => self.is_global && node.id == *self.name,
            Expr::StringLiteral(node) => self.is_text && node.value == *self.name,
            _ => false,
        };
        if reads {
            // A function within another is defined only when that runs.
            self.found.extend(self.around.first());
        }
        visitor::walk_expr(self, expr);
    }
}
