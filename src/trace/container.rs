//! Containers: lists, tuples, sets, dictionaries, queues, buffers, as far as it is known which element is where.
//!
//! Invariant: what stands under a known key is that and nothing else; `rest` is what stands under all other keys.

use std::collections::BTreeMap;

use super::fold;
use super::value::{Atom, Const, DEEPEST, Value};

/// More pieces of a buffer than this are not told apart.
const MOST_PIECES: usize = 8;
/// Elements, those of its elements included, of which a container keeps apart no more.
pub(super) const MOST_PARTS: usize = 2_000;

/// What kind of container it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Kind {
    /// Elements by position; how many, where that is known. Otherwise negative positions count from the end.
    Sequence(Option<usize>),
    /// Elements by key.
    Mapping,
    /// Elements in no order: a set, or what nothing is known of.
    #[default]
    Bag,
}

/// How a container is used: what its methods put in and take out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Role {
    /// As its kind says.
    #[default]
    Plain,
    /// Never changed in place.
    Tuple,
    /// A queue: first in, first out.
    Queue,
    /// A queue: last in, first out.
    Stack,
    /// What `next` takes one element after the other from.
    Iterator,
    /// A deque that keeps so many of the last elements.
    Bounded(usize),
    /// A `bytearray`: its elements are pieces of its content.
    Array,
    /// A stream in memory: its elements are pieces of its content.
    Stream(Position),
    /// A `SimpleNamespace`: attributes that can be assigned.
    Namespace,
    /// A match of a regular expression by number and name of groups; whether the whole is without control characters.
    Match(bool),
    /// A `ConfigParser`, which puts options into others.
    Options,
}

/// Where a stream is read and written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Position {
    Start,
    End,
    Somewhere,
}

/// A container's elements: by constant key where known, the rest together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Container {
    pub kind: Kind,
    pub role: Role,
    /// Elements under known keys or positions.
    pub items: BTreeMap<Const, Value>,
    /// All other elements.
    pub rest: Value,
    /// Keys of a mapping that are not constant; what a generator returns.
    pub keys: Value,
}

fn position(n: usize) -> Const {
    Const::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn is_from_end(key: &Const) -> bool {
    matches!(key, Const::Int(n) if *n < 0)
}

impl Container {
    /// A container of elements of unknown place.
    pub fn of(rest: Value) -> Container {
        Container {
            rest,
            ..Container::default()
        }
    }

    /// A sequence of elements of unknown place.
    pub fn some(rest: Value) -> Container {
        Container {
            kind: Kind::Sequence(None),
            ..Container::of(rest)
        }
    }

    /// A mapping without elements.
    pub fn mapping() -> Container {
        Container {
            kind: Kind::Mapping,
            ..Container::default()
        }
    }

    /// A container of elements in their order.
    pub fn sequence(items: impl IntoIterator<Item = Value>) -> Container {
        let items: BTreeMap<Const, Value> = items
            .into_iter()
            .enumerate()
            .map(|(n, value)| (position(n), value))
            .collect();
        Container {
            kind: Kind::Sequence(Some(items.len())),
            items,
            ..Container::default()
        }
    }

    /// The same where it is small enough to be looked through, however often; otherwise all that is in it, in no
    /// order. A list that holds itself twice, again and again, is not walked for ever.
    pub fn bounded(self) -> Container {
        let mut left = MOST_PARTS;
        if self.fits(DEEPEST, &mut left) {
            return self;
        }
        let mut all = Value::unknown();
        self.leaves(&mut all);
        let keys = match self.items.is_empty() {
            true => self.keys,
            false => self.keys.join(&Value::clean()),
        };
        Container {
            kind: match self.kind {
                Kind::Sequence(_) => Kind::Sequence(None),
                kind => kind,
            },
            role: self.role,
            rest: all,
            keys,
            ..Container::default()
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Value> {
        self.items.values().chain([&self.rest, &self.keys])
    }

    fn fits(&self, depth: usize, left: &mut usize) -> bool {
        self.parts().flat_map(Value::atoms).all(|atom| {
            *left = left.saturating_sub(1);
            *left > 0
                && match atom {
                    Atom::Container(inner) => depth > 1 && inner.fits(depth - 1, left),
                    Atom::Pickled(_, of) => of.atoms().iter().all(|atom| match atom {
                        Atom::Container(inner) => depth > 1 && inner.fits(depth - 1, left),
                        atom => !matches!(atom, Atom::Pickled(..)),
                    }),
                    _ => true,
                }
        })
    }

    fn leaves(&self, all: &mut Value) {
        for atom in self.parts().flat_map(Value::atoms) {
            match atom {
                Atom::Container(inner) => inner.leaves(all),
                Atom::Pickled(place, _) => all.add(Atom::Pickled(*place, Value::unknown())),
                other => all.add(other.clone()),
            }
        }
    }

    /// The same, used so.
    pub fn with(self, role: Role) -> Container {
        Container { role, ..self }
    }

    /// Its elements are now these.
    pub fn refill(&mut self, items: impl IntoIterator<Item = Value>) {
        let keys = std::mem::take(&mut self.keys);
        *self = Container {
            role: self.role,
            keys,
            ..Container::sequence(items)
        };
    }

    /// Whether its elements are pieces of a content.
    pub fn is_buffer(&self) -> bool {
        matches!(self.role, Role::Array | Role::Stream(_))
    }

    /// Any of its elements.
    pub fn any(&self) -> Value {
        self.items
            .values()
            .fold(self.rest.clone(), |all, value| all.join(value))
    }

    /// Its elements in their order, when all are known.
    pub fn in_order(&self) -> Option<Vec<Value>> {
        match self.kind {
            Kind::Sequence(Some(length)) if self.rest.is_empty() && !self.is_buffer() => (0
                ..length)
                .map(|n| self.items.get(&position(n)).cloned())
                .collect(),
            _ => None,
        }
    }

    /// The element under `key`: that one, or any when nothing is said of `key`.
    pub fn at(&self, key: Option<&Const>) -> Value {
        let key = match (key, self.kind) {
            (Some(Const::Int(n)), Kind::Sequence(Some(length))) if *n < 0 => {
                let from_end = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
                &position(length.saturating_sub(from_end))
            }
            (Some(key @ Const::Int(n)), Kind::Sequence(None)) => {
                return match self.items.get(key) {
                    Some(value) => value.clone(),
                    None if *n < 0 => self.any(),
                    None => self.joined(is_from_end),
                };
            }
            (Some(key), _) if *key != Const::Other => key,
            _ => return self.any(),
        };
        self.items.get(key).unwrap_or(&self.rest).clone()
    }

    /// The rest, and the elements of which `is` holds.
    fn joined(&self, is: impl Fn(&Const) -> bool) -> Value {
        let chosen = self.items.iter().filter(|(key, _)| is(key));
        chosen.fold(self.rest.clone(), |all, (_, value)| all.join(value))
    }

    /// What iterating over it gives: keys of a mapping, elements of others.
    pub fn iterated(&self) -> Value {
        match self.kind {
            Kind::Mapping => {
                let keys = self.items.keys().map(|key| Atom::Const(key.clone()));
                self.keys.clone().join(&keys.collect())
            }
            _ => self.any(),
        }
    }

    /// Puts `value` under `key`, in place of what was there.
    pub fn set(&mut self, key: Option<&Const>, value: Value) {
        match key {
            Some(Const::Int(n)) if *n < 0 => match self.kind {
                Kind::Sequence(Some(length)) => {
                    let from_end = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
                    self.items
                        .insert(position(length.saturating_sub(from_end)), value);
                }
                _ => self.anywhere(&value),
            },
            Some(key) if *key != Const::Other => {
                self.items.insert(key.clone(), value);
            }
            _ => self.anywhere(&value),
        }
    }

    /// Puts `value` under one of the keys for which `fits` holds, or under another one that is not known.
    pub fn set_some(&mut self, fits: impl Fn(&Const) -> bool, value: &Value) {
        for (key, known) in &mut self.items {
            if fits(key) {
                *known = std::mem::take(known).join(value);
            }
        }
        self.rest = std::mem::take(&mut self.rest).join(value);
    }

    /// Puts `value` under `key`, of which not everything need be known.
    pub fn put(&mut self, key: &Value, value: Value) {
        if let Some(key) = key.constant() {
            return self.set(Some(key), value);
        }
        if self.kind == Kind::Mapping {
            self.keys = std::mem::take(&mut self.keys).join(key);
        }
        match self.kind {
            Kind::Mapping => {
                let text = fold::key_text(key);
                self.set_some(|known| fold::fits(&text, known), &value);
            }
            _ => self.anywhere(&value),
        }
    }

    /// Puts `value` under any key.
    fn anywhere(&mut self, value: &Value) {
        let length = self.kind;
        let rest = self.rest.clone();
        self.set_some(|_| true, value);
        if matches!(length, Kind::Sequence(Some(n)) if n == self.items.len()) {
            // No place but the known ones.
            self.rest = rest;
        }
    }

    /// Puts in what `later` holds, in place of what was there under the same keys.
    pub fn merge(&mut self, later: &Container) {
        if !later.rest.is_empty() {
            self.set_some(|key| !later.items.contains_key(key), &later.rest);
        }
        for (key, value) in &later.items {
            self.items.insert(key.clone(), value.clone());
        }
        self.keys = std::mem::take(&mut self.keys).join(&later.keys);
    }

    /// Whether it is a dictionary, used as one.
    pub fn is_plain_mapping(&self) -> bool {
        self.kind == Kind::Mapping && self.role == Role::Plain
    }

    /// A mapping that may be this or `other`: under each key what either has there.
    pub fn either(&self, other: &Container) -> Container {
        let keys = self.items.keys().chain(other.items.keys());
        let items = keys.map(|key| {
            let (mine, theirs) = (self.at(Some(key)), other.at(Some(key)));
            (key.clone(), mine.join(&theirs))
        });
        Container {
            items: items.collect(),
            rest: self.rest.clone().join(&other.rest),
            // Which of the keys are there is not known any more.
            keys: self.keys.clone().join(&other.keys).join(&Value::clean()),
            ..self.clone()
        }
    }

    /// Adds `value` at the end, at the beginning, or anywhere.
    pub fn insert(&mut self, at: Option<usize>, value: Value) {
        if let Some(mut items) = self.in_order() {
            match at {
                Some(at) if at <= items.len() => items.insert(at, value),
                _ => items.push(value),
            }
            if let Role::Bounded(most) = self.role {
                let extra = items.len().saturating_sub(most);
                match at {
                    None => items.drain(..extra).for_each(drop),
                    Some(_) => items.truncate(most),
                }
            }
            return self.refill(items);
        }
        match (self.kind, at, self.role) {
            (_, _, Role::Bounded(_)) => self.blur(&value),
            (Kind::Sequence(None), None, _) => {
                self.rest = self.joined(is_from_end);
                self.items.retain(|key, _| !is_from_end(key));
                self.items.insert(Const::Int(-1), value);
            }
            (Kind::Sequence(None), Some(0), _) => {
                let items = std::mem::take(&mut self.items).into_iter();
                self.items = items
                    .map(|(key, value)| match key {
                        Const::Int(n) if n >= 0 => (Const::Int(n.saturating_add(1)), value),
                        key => (key, value),
                    })
                    .collect();
                self.items.insert(Const::Int(0), value);
            }
            _ => self.blur(&value),
        }
    }

    /// Adds elements of unknown number at the end.
    pub fn extend(&mut self, more: &Value) {
        if let Kind::Sequence(_) = self.kind
            && !matches!(self.role, Role::Bounded(_))
        {
            self.rest = self.joined(is_from_end).join(more);
            self.items.retain(|key, _| !is_from_end(key));
            self.kind = Kind::Sequence(None);
        } else {
            self.blur(more);
        }
    }

    /// Takes out and gives the element at `at`, counted from the end when negative.
    pub fn remove(&mut self, at: i64) -> Value {
        let Some(mut items) = self.in_order() else {
            let value = self.at(Some(&Const::Int(at)));
            let known = self.items.remove(&Const::Int(at)).is_some();
            match at {
                0 if known => {
                    let items = std::mem::take(&mut self.items).into_iter();
                    self.items = items
                        .map(|(key, value)| match key {
                            Const::Int(n) if n > 0 => (Const::Int(n - 1), value),
                            key => (key, value),
                        })
                        .collect();
                }
                -1 if known => self.items.retain(|key, _| !is_from_end(key)),
                _ => {
                    self.rest = self.any().join(&value);
                    self.items.clear();
                }
            }
            return value;
        };
        let length = i64::try_from(items.len()).unwrap_or(0);
        let at = usize::try_from(if at < 0 { at + length } else { at }).unwrap_or(usize::MAX);
        if at >= items.len() {
            return Value::unknown();
        }
        let value = items.remove(at);
        self.refill(items);
        value
    }

    /// Forgets which element is where, and adds `value`.
    pub fn blur(&mut self, value: &Value) {
        self.rest = self.any().join(value);
        self.items.clear();
        self.kind = match self.kind {
            Kind::Sequence(_) => Kind::Sequence(None),
            kind => kind,
        };
    }

    /// The same where it is not known how often elements were put in and taken out before.
    pub fn unordered(&self) -> Option<Container> {
        match self.role {
            Role::Queue | Role::Stack | Role::Iterator => {
                let mut blurred = self.clone();
                blurred.blur(&Value::unknown());
                Some(blurred)
            }
            Role::Stream(Position::Start | Position::End) => {
                Some(self.clone().with(Role::Stream(Position::Somewhere)))
            }
            _ => None,
        }
    }

    /// The pieces of a buffer.
    pub fn pieces(&self) -> Vec<Value> {
        let rest = [&self.rest].into_iter().filter(|rest| !rest.is_empty());
        self.items.values().chain(rest).cloned().collect()
    }

    /// Adds a piece at the end of a buffer.
    pub fn write(&mut self, piece: Value) {
        let mut pieces = self.pieces();
        pieces.push(piece);
        if pieces.len() > MOST_PIECES {
            let all = pieces.iter().fold(Value::unknown(), |all, p| all.join(p));
            pieces = vec![all];
        }
        self.refill(pieces);
    }
}
