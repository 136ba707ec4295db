//! Containers: lists, tuples, sets, dictionaries, as far as it is known which element is where.

use std::collections::BTreeMap;

use super::value::{Atom, Const, Value};

/// What kind of container it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Kind {
    /// Elements by position; how many, where that is known.
    Sequence(Option<usize>),
    /// Elements by key.
    Mapping,
    /// Elements in no order: a set, or what nothing is known of.
    #[default]
    Bag,
}

/// A container's elements: by constant key where known, the rest together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Container {
    pub kind: Kind,
    /// Elements under known keys or positions.
    pub items: BTreeMap<Const, Value>,
    /// All other elements.
    pub rest: Value,
    /// Keys of a mapping that are not constant.
    pub keys: Value,
}

fn position(n: usize) -> Const {
    Const::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

impl Container {
    /// A container of elements of unknown place.
    pub fn of(rest: Value) -> Container {
        Container {
            rest,
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

    /// Any of its elements.
    pub fn any(&self) -> Value {
        self.items
            .values()
            .fold(self.rest.clone(), |all, value| all.join(value))
    }

    /// Its elements in their order, when all are known.
    pub fn in_order(&self) -> Option<Vec<Value>> {
        match self.kind {
            Kind::Sequence(Some(length)) if self.rest.is_empty() => (0..length)
                .map(|n| self.items.get(&position(n)).cloned())
                .collect(),
            _ => None,
        }
    }

    /// The element under `key`: that one and those of unknown place, or any when nothing is said of `key`.
    pub fn at(&self, key: Option<&Const>) -> Value {
        let key = match (key, self.kind) {
            (Some(Const::Int(n)), Kind::Sequence(Some(length))) if *n < 0 => {
                let from_end = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
                &position(length.saturating_sub(from_end))
            }
            (Some(key @ Const::Int(n)), Kind::Sequence(None)) if *n < 0 => {
                return self.items.get(key).cloned().unwrap_or_else(|| self.any());
            }
            (Some(key @ Const::Int(0)), Kind::Sequence(None)) if self.items.contains_key(key) => {
                return self.items.get(key).cloned().unwrap_or_default();
            }
            (Some(key), _) if *key != Const::Other => key,
            _ => return self.any(),
        };
        match self.items.get(key) {
            Some(value) => value.clone().join(&self.rest),
            None => self.rest.clone(),
        }
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
                _ => self.rest = std::mem::take(&mut self.rest).join(&value),
            },
            Some(key) if *key != Const::Other => {
                self.items.insert(key.clone(), value);
            }
            _ => self.rest = std::mem::take(&mut self.rest).join(&value),
        }
    }

    /// Adds `value` at the end, at the beginning, or anywhere.
    pub fn insert(&mut self, at: Option<usize>, value: Value) {
        let Some(mut items) = self.in_order() else {
            return self.blur(&value);
        };
        match at {
            Some(at) if at <= items.len() => items.insert(at, value),
            _ => items.push(value),
        }
        *self = Container::sequence(items);
    }

    /// Takes out and gives the element at `at`, counted from the end when negative.
    pub fn remove(&mut self, at: i64) -> Value {
        let Some(mut items) = self.in_order() else {
            return self.any();
        };
        let length = i64::try_from(items.len()).unwrap_or(0);
        let at = usize::try_from(if at < 0 { at + length } else { at }).unwrap_or(usize::MAX);
        if at >= items.len() {
            return Value::unknown();
        }
        let value = items.remove(at);
        *self = Container::sequence(items);
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
}
