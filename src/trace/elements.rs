//! Elements: subscripts, slices, and what iterating gives.

use std::rc::Rc;

use super::at::At;
use super::buffers::content;
use super::env::Env;
use super::fold;
use super::machine::{Machine, Owner};
use super::queues::made_for;
use super::taint::{Hop, HopKind, Place, Taint};
use super::value::{Arguments, Atom, Const, Container, Value};
use crate::pack::{Shape, Trust};
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};

/// So many characters of a digest cannot be met by trying.
const LEAST_OF_DIGEST: i64 = 16;

impl<'a> Machine<'a> {
    pub(super) fn subscript(&mut self, node: &'a ast::ExprSubscript, env: &mut Env) -> Value {
        let value = self.value(&node.value, env);
        let value = self.flat(&value);
        let place = self.place(node);
        if let Expr::Slice(slice) = &*node.slice {
            return self.sliced(&value, slice, place, env);
        }
        let key = self.value(&node.slice, env);
        self.note_key(&value, &key, place);
        self.note_element(&value, node);
        self.note_looked_up(&value, &key, node);
        if let Some(known) = element_path(node, &key).and_then(|path| env.path(&path)) {
            return known.clone();
        }
        let model = self.model;
        let mut out = Value::unknown();
        let mut rest = Value::unknown();
        for atom in value.atoms() {
            match atom {
                Atom::External(name) => match model.store_subscript(name) {
                    Some(store) => {
                        let kept = self.stored(store, &key, At::place(place));
                        let missing: [Rc<str>; 1] = ["KeyError".into()];
                        let raising = |taint: &Taint| taint.clone().raising(&missing);
                        out = out.join(&kept.map_taints(&raising));
                    }
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
                Atom::Untrusted(taint) if kept_by_key(taint) => {
                    // What this program itself put there.
                    let key = fold::key_text(&key);
                    let at = At::place(place);
                    let own = self.read_store(&taint.channel, &key, Shape::Any, at);
                    out = out.join(&own);
                    rest.add(atom.clone());
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

    pub(super) fn sliced(
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
        if matches!(exact, Some((None | Some(0), Some(0)))) {
            // Nothing of it.
            return Value::str("");
        }
        let mut out = Value::unknown();
        for atom in value.atoms() {
            match (atom, exact) {
                // All of it.
                (Atom::Untrusted(_), Some((None | Some(0), None))) => out.add(atom.clone()),
                // Half of a digest proves as much.
                (Atom::Digest(_), Some((None | Some(0), upper)))
                    if upper.is_none_or(|n| n >= LEAST_OF_DIGEST) =>
                {
                    out.add(atom.clone());
                }
                (Atom::Const(Const::Str(text)), Some((lower, upper))) => {
                    out.add(Atom::Const(fold::cut(text, lower, upper)));
                }
                (Atom::Container(container), Some((lower, upper))) => {
                    let part = fold::part(container, lower, upper);
                    out.add(Atom::Container(Rc::new(part)));
                }
                (Atom::Container(container), None) => {
                    out.add(Atom::Container(Rc::new(Container::some(container.any()))));
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
                    part = part.part_of(taint);
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

    /// What iterating over `items` gives.
    pub(super) fn iterated(&mut self, items: &Value, at: Place) -> Value {
        let mut out = Value::unknown();
        for atom in items.atoms() {
            let one = match atom {
                Atom::Container(container) if container.is_buffer() => {
                    self.item(&content(container), None, at)
                }
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
                // Nothing is in it; what it stands beside may be anything.
                Atom::Const(Const::None) => {}
                Atom::Const(_) => out.add(Atom::Const(Const::Other)),
                Atom::Verified | Atom::Pickled(..) => out.add(atom.clone()),
                Atom::Object(ty) | Atom::External(ty) if model.object(ty).is_some() => {
                    out = out.join(&self.element_of(ty, at));
                }
                Atom::Made(made) if model.object(&made.name).is_some() => {
                    let element = self.element_of(&made.name, at);
                    out = out.join(&match made_for(made) {
                        Some(queue) => self.coming_by(element, &queue),
                        None => element,
                    });
                }
                _ => {}
            }
        }
        out
    }

    pub(super) fn element_of(&mut self, ty: &str, at: Place) -> Value {
        let member = self.object_member(ty, "[]", at);
        match member.atoms() {
            [Atom::External(_)] => Value::unknown(),
            _ => member,
        }
    }

    /// The part of `taint` under `key`.
    pub(super) fn projected(&self, taint: &Taint, key: Option<&Const>, place: Place) -> Taint {
        // A key that is there has a value.
        let shape = match taint.shape {
            Shape::Files => Shape::Stream,
            Shape::Mapping => Shape::Bytes,
            _ => Shape::Any,
        };
        let note = || self.snippet(place);
        let part = match taint.widen(place, note, shape) {
            Some(wider) => wider,
            None => taint
                .then(Hop::new(place, HopKind::Step, note(), shape, true))
                .part_of(taint),
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

/// `doc["a"]` as one name, of a name and a constant key.
pub(super) fn element_path(node: &ast::ExprSubscript, key: &Value) -> Option<Name> {
    let Expr::Name(name) = &*node.value else {
        return None;
    };
    let key = key.constant().filter(|key| **key != Const::Other)?;
    Some(Name::new(format!("{}[{key:?}]", name.id)))
}

/// Whether `taint` is a mapping that is kept outside of the program, as a `dbm` file is.
pub(super) fn kept_by_key(taint: &Taint) -> bool {
    taint.shape == Shape::Mapping && matches!(taint.trust, Trust::Stored | Trust::File)
}

fn found_nothing(value: &Value) -> bool {
    value.is_empty()
}
