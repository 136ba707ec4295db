//! Iterators: the functions of Python and of `itertools` that go from one series of values to another.

use super::at::At;
use super::env::Env;
use super::machine::Machine;
use super::value::{Arguments, Atom, Const, Container, Role, Value};
use crate::python::ast;

/// Functions are applied one by one to no more elements than this.
const MOST_APPLIED: usize = 4;
/// A series that never ends is written out so far.
const MOST_TURNS: usize = 12;
/// Products of series are not written out beyond so many elements.
const MOST_ALTERNATIVES: usize = 6;

impl<'a> Machine<'a> {
    /// What a function that gives an iterator, or takes from one, gives.
    pub(super) fn call_iterator(
        &mut self,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Option<Value> {
        let argument = |n: usize| arguments.positional.get(n);
        let number = |n: usize| match arguments.positional.get(n)?.constant()? {
            Const::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        let first = argument(0);
        Some(match name {
            "builtins.iter" | "builtins.aiter" => match (argument(1), in_order(first?)) {
                (Some(_), _) => {
                    let none = Arguments::default();
                    let value = self.apply(first?, &none, at.of_function(), env);
                    Container::some(value).with(Role::Iterator).into()
                }
                (None, Some(items)) => iterator(items),
                (None, None) => first?.clone(),
            },
            "builtins.next" | "builtins.anext" => {
                let next = self.taken(first?, at, env);
                let default = argument(1).cloned().unwrap_or_default();
                next.join(&default)
            }
            "builtins.enumerate" => {
                let start = match argument(1).or_else(|| arguments.named("start")) {
                    None => Some(0),
                    Some(_) => number(1),
                };
                match (in_order(first?), start) {
                    (Some(items), Some(start)) => {
                        let pair = |(n, item): (usize, Value)| {
                            let n = i64::try_from(n + start).unwrap_or(i64::MAX);
                            Container::sequence([Const::Int(n).into(), item]).into()
                        };
                        iterator(items.into_iter().enumerate().map(pair))
                    }
                    _ => {
                        let item = self.iterated(first?, at.place);
                        let pair = Container::sequence([Value::clean(), item]);
                        Container::some(pair.into()).with(Role::Iterator).into()
                    }
                }
            }
            "builtins.zip" | "itertools.zip_longest" => self.zipped(name, arguments, at),
            "builtins.map" => {
                let (function, series) = arguments.positional.split_first()?;
                let at = at.of_function();
                if let [one] = series
                    && let Some(items) = in_order(one).filter(|i| i.len() <= MOST_APPLIED)
                {
                    let results: Vec<Value> = items
                        .into_iter()
                        .map(|item| self.apply(function, &Arguments::one(item), at, env))
                        .collect();
                    return Some(iterator(results));
                }
                let given = Arguments {
                    positional: series.iter().map(|v| self.iterated(v, at.place)).collect(),
                    ..Arguments::default()
                };
                let out = self.apply(function, &given, at, env);
                Container::some(out).with(Role::Iterator).into()
            }
            "builtins.reversed" => {
                let Some(mut items) = in_order(first?) else {
                    return Some(self.iterator_of(first?, at));
                };
                items.reverse();
                iterator(items)
            }
            "itertools.islice" => {
                let bounds = match arguments.positional.len() {
                    2 => (Some(0), number(1)),
                    3 => (number(1), number(2).or(Some(usize::MAX))),
                    _ => (None, None),
                };
                let open = argument(2).is_none_or(|v| v.constant() == Some(&Const::None));
                let known = open || number(2).is_some();
                match (in_order(first?), bounds) {
                    (Some(items), (Some(from), Some(to))) if known => {
                        let items = items.into_iter().enumerate();
                        iterator(
                            items
                                .filter(|(n, _)| (from..to).contains(n))
                                .map(|(_, v)| v),
                        )
                    }
                    _ => self.iterator_of(first?, at),
                }
            }
            "itertools.chain" => self.chained(&arguments.positional, &arguments.spread, at),
            "itertools.chain.from_iterable" => match in_order(first?) {
                Some(series) => self.chained(&series, &Value::unknown(), at),
                None => {
                    let series = self.iterated(first?, at.place);
                    self.iterator_of(&series, at)
                }
            },
            "itertools.cycle" => match in_order(first?) {
                Some(items) if !items.is_empty() => {
                    let rest = items.iter().fold(Value::unknown(), |all, v| all.join(v));
                    let turns = items.iter().cycle().take(MOST_TURNS).cloned();
                    let mut container = Container::sequence(turns);
                    container.kind = super::value::Kind::Sequence(None);
                    container.rest = rest;
                    container.with(Role::Iterator).into()
                }
                _ => self.iterator_of(first?, at),
            },
            "itertools.repeat" => Container::some(first?.clone()).with(Role::Iterator).into(),
            "itertools.compress" => match (in_order(first?), in_order(argument(1)?)) {
                (Some(items), Some(tests)) => {
                    let truths: Option<Vec<bool>> = tests.iter().map(Value::truth).collect();
                    match truths {
                        Some(truths) => {
                            let both = items.into_iter().zip(truths);
                            iterator(both.filter(|(_, is)| *is).map(|(item, _)| item))
                        }
                        None => self.iterator_of(first?, at),
                    }
                }
                _ => self.iterator_of(first?, at),
            },
            "itertools.product" | "itertools.pairwise" => {
                let series: Vec<Value> = match name {
                    "itertools.product" => arguments.positional.clone(),
                    _ => vec![first?.clone(), first?.clone()],
                };
                let items = series.iter().map(|v| self.iterated(v, at.place));
                let tuple = Container::sequence(items.collect::<Vec<_>>()).with(Role::Tuple);
                Container::some(tuple.into()).with(Role::Iterator).into()
            }
            _ => return None,
        })
    }

    /// The next element of an iterator, which is then one shorter.
    fn taken(&mut self, iterator: &Value, at: At<'a>, env: &mut Env) -> Value {
        let is_iterator =
            |atom: &Atom| matches!(atom, Atom::Container(c) if c.role == Role::Iterator);
        if !iterator.atoms().iter().any(is_iterator) {
            return self.iterated(iterator, at.place);
        }
        let mut out = Value::unknown();
        let mut after = Value::unknown();
        for atom in iterator.atoms() {
            match atom {
                Atom::Container(container) if container.role == Role::Iterator => {
                    let mut container = (**container).clone();
                    out = out.join(&container.remove(0));
                    after.add(Atom::Container(container.into()));
                }
                other => {
                    let one: Value = other.clone().into();
                    out = out.join(&self.iterated(&one, at.place));
                    after.add(other.clone());
                }
            }
        }
        let expr = at.call.filter(|_| !at.handed);
        if let Some(expr) = expr.and_then(|call| call.arguments.args.first()) {
            self.store_into(expr, after, env);
        }
        out
    }

    fn iterator_of(&mut self, items: &Value, at: At<'a>) -> Value {
        let item = self.iterated(items, at.place);
        Container::some(item).with(Role::Iterator).into()
    }

    fn chained(&mut self, series: &[Value], spread: &Value, at: At<'a>) -> Value {
        let known: Option<Vec<Vec<Value>>> = series.iter().map(in_order).collect();
        if let (Some(known), true) = (known, spread.is_empty()) {
            return iterator(known.into_iter().flatten());
        }
        let mut any = Value::unknown();
        for one in series.iter().chain([spread]) {
            any = any.join(&self.iterated(one, at.place));
        }
        Container::some(any).with(Role::Iterator).into()
    }

    /// `zip(...)`, `zip_longest(...)`.
    fn zipped(&mut self, name: &str, arguments: &Arguments, at: At<'a>) -> Value {
        let is_longest = name.ends_with("longest");
        let fill = match arguments.named("fillvalue") {
            Some(fill) => fill.clone(),
            None => Const::None.into(),
        };
        let known: Option<Vec<Vec<Value>>> = arguments.positional.iter().map(in_order).collect();
        // `zip(it, it)` takes from one iterator by turns.
        let is_iterator = |v: &&Value| {
            v.any_atom(&|a| matches!(a, Atom::Container(c) if c.role == Role::Iterator))
        };
        let shared = arguments.positional.iter().filter(is_iterator).count() > 1;
        if let (Some(known), true) = (known, arguments.spread.is_empty() && !shared) {
            let lengths = known.iter().map(Vec::len);
            let length = match is_longest {
                true => lengths.max(),
                false => lengths.min(),
            };
            let tuple = |n: usize| {
                let parts = known.iter().map(|v| v.get(n).unwrap_or(&fill).clone());
                Container::sequence(parts).with(Role::Tuple).into()
            };
            return iterator((0..length.unwrap_or(0)).map(tuple));
        }
        let mut items: Vec<Value> = Vec::new();
        for series in &arguments.positional {
            let mut item = self.iterated(series, at.place);
            if is_longest {
                item = item.join(&fill);
            }
            items.push(item);
        }
        let tuple = Container::sequence(items).with(Role::Tuple);
        Container::some(tuple.into()).with(Role::Iterator).into()
    }

    /// Runs what stands behind the `for ... if ...` of a comprehension for each element, or once for any of them.
    /// Whether it ran exactly once for each element, in their order.
    pub(super) fn comprehend(
        &mut self,
        generators: &'a [ast::Comprehension],
        env: &mut Env,
        each: &mut dyn FnMut(&mut Self, &mut Env),
    ) -> bool {
        let Some((generator, inner)) = generators.split_first() else {
            each(self, env);
            return true;
        };
        let items = self.value(&generator.iter, env);
        let target = (&generator.target, generator.is_async);
        self.note_iterated(&items, &generator.iter, target, env);
        let place = self.place(&generator.iter);
        let mut ordered = true;
        let turns = match in_order(&items) {
            Some(items) if items.len() <= MOST_ALTERNATIVES => items,
            _ => {
                ordered = false;
                alternatives(self.iterated(&items, place))
            }
        };
        let mut after: Option<Env> = None;
        for item in turns {
            let mut inside = env.clone();
            self.assign(&generator.target, item, &mut inside);
            let mut skipped = false;
            for test in &generator.ifs {
                match self.value(test, &mut inside).truth() {
                    Some(false) => {
                        skipped = true;
                        break;
                    }
                    Some(true) => {}
                    None => ordered = false,
                }
                self.refine(test, true, &mut inside);
            }
            if !skipped {
                ordered &= self.comprehend(inner, &mut inside, each);
            }
            after = Some(match after {
                Some(before) => before.join(&inside),
                None => inside,
            });
        }
        if let Some(after) = after {
            *env = after;
        }
        ordered
    }
}

/// The elements of `value` in their order, when all are known.
pub(super) fn in_order(value: &Value) -> Option<Vec<Value>> {
    match value.atoms() {
        [Atom::Container(container)] => container.in_order(),
        _ => None,
    }
}

/// What `next` takes `items` from.
pub(super) fn iterator(items: impl IntoIterator<Item = Value>) -> Value {
    Container::sequence(items).with(Role::Iterator).into()
}

/// One element that is one of several tuples: each of them, so that its parts belong together.
pub(super) fn alternatives(item: Value) -> Vec<Value> {
    let is_tuple = |atom: &Atom| matches!(atom, Atom::Container(c) if c.in_order().is_some());
    let count = item.atoms().len();
    match (2..=MOST_ALTERNATIVES).contains(&count) && item.atoms().iter().all(is_tuple) {
        true => item.atoms().iter().cloned().map(Value::from).collect(),
        false => vec![item],
    }
}
