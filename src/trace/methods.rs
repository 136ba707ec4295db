//! Methods of texts and containers, whose values are known or carry no payload.

use std::rc::Rc;

use super::at::At;
use super::fold;
use super::iterators::in_order;
use super::machine::Machine;
use super::taint::Taint;
use super::value::{Arguments, Atom, Const, Container, Kind, Role, Value};
use crate::pack::Shape;

impl<'a> Machine<'a> {
    /// `text.method(...)` of a text that is a constant, or carries no payload.
    pub(super) fn text_method(
        &mut self,
        text: &str,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Value {
        if !text.contains('\0')
            && let Some(value) = fold::method(text, name, arguments)
        {
            return value;
        }
        if let ("replace", Some(sought)) = (name, arguments.positional.first())
            && let Some(Const::Str(sought) | Const::Bytes(sought)) = sought.constant()
            && !text.contains('\0')
            && !text.contains(&**sought)
        {
            return Value::str(text);
        }
        if let ("format", Some(parts)) = (name, format_parts(text, arguments)) {
            return self.combined(&parts);
        }
        let given = match name {
            // Neither says anything of what comes out.
            "startswith" | "endswith" | "split" | "rsplit" | "strip" | "lstrip" | "rstrip"
            | "removeprefix" | "removesuffix" | "partition" | "rpartition" | "find" | "index"
            | "count" | "encode" | "decode" => Value::unknown(),
            "replace" => arguments.positional.get(1).cloned().unwrap_or_default(),
            _ => arguments.any(),
        };
        let out = self.stepped(&given, None, Shape::Bytes, true, at.place);
        match out.is_untrusted() || out.is_pickled() {
            true => out.filter(|atom| !matches!(atom, Atom::Const(_))),
            false if matches!(name, "split" | "rsplit" | "partition" | "splitlines") => {
                Container::of(Value::clean()).into()
            }
            false => Value::clean(),
        }
    }

    /// A method of a list, tuple, set or dictionary; changes the container as Python does.
    pub(super) fn container_method(
        &mut self,
        container: &mut Container,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Value {
        let first = arguments.positional.first().cloned().unwrap_or_default();
        let second = arguments.positional.get(1).cloned();
        let index = |value: &Value| match value.constant() {
            Some(Const::Int(n)) => Some(*n),
            _ => None,
        };
        match name {
            "append" | "add" | "put" | "put_nowait" | "push" => {
                match container.kind {
                    Kind::Sequence(_) => container.insert(None, first),
                    _ => container.blur(&first),
                }
                Const::None.into()
            }
            "get" | "get_nowait" if container.role == Role::Queue => container.remove(0),
            "get" | "get_nowait" if container.role == Role::Stack => container.remove(-1),
            "task_done" | "join" | "qsize" | "empty" | "full"
                if matches!(container.role, Role::Queue | Role::Stack) =>
            {
                Value::clean()
            }
            "appendleft" => {
                container.insert(Some(0), first);
                Const::None.into()
            }
            "insert" => {
                let at = index(&first).and_then(|n| usize::try_from(n).ok());
                match (at, second) {
                    (Some(at), Some(value)) => container.insert(Some(at), value),
                    (_, value) => container.blur(&value.unwrap_or_default()),
                }
                Const::None.into()
            }
            "extend" | "extendleft" => {
                match (in_order(&first), name) {
                    (Some(more), "extend") => {
                        more.into_iter().for_each(|one| container.insert(None, one));
                    }
                    (_, "extend") => container.extend(&self.iterated(&first, at.place)),
                    _ => container.blur(&self.iterated(&first, at.place)),
                }
                Const::None.into()
            }
            "pop" | "popleft" if container.kind != Kind::Mapping => {
                if let Kind::Sequence(_) = container.kind {
                    let at = match name {
                        "popleft" => Some(0),
                        _ if arguments.positional.is_empty() => Some(-1),
                        _ => index(&first),
                    };
                    match at {
                        Some(at) => return container.remove(at),
                        None => {
                            let any = container.any();
                            container.blur(&Value::unknown());
                            return any;
                        }
                    }
                }
                container.any()
            }
            "remove" | "clear" | "discard" | "reverse" | "sort" => {
                match name {
                    "clear" => {
                        let kind = container.kind;
                        *container = Container {
                            kind: match kind {
                                Kind::Sequence(_) => Kind::Sequence(Some(0)),
                                kind => kind,
                            },
                            role: container.role,
                            ..Container::default()
                        };
                    }
                    "remove" => {
                        let position = container.in_order().and_then(|items| {
                            let constant = first.constant()?;
                            let all = items.iter().all(|v| v.constant().is_some());
                            let found = items.iter().position(|v| v.constant() == Some(constant));
                            // Without it another element may be equal to what is removed.
                            found.filter(|n| {
                                all || items.iter().take(*n).all(|v| v.constant().is_some())
                            })
                        });
                        match position.and_then(|n| i64::try_from(n).ok()) {
                            Some(at) => {
                                container.remove(at);
                            }
                            None => container.blur(&Value::unknown()),
                        }
                    }
                    "reverse" => {
                        if let Some(mut items) = container.in_order() {
                            items.reverse();
                            container.refill(items);
                        } else {
                            container.blur(&Value::unknown());
                        }
                    }
                    _ => container.blur(&Value::unknown()),
                }
                Const::None.into()
            }
            "set" if arguments.positional.len() == 3 => {
                let section = first.constant().cloned();
                let option = second.clone().unwrap_or_default();
                let value = arguments.positional.get(2).cloned().unwrap_or_default();
                let mut inner = match container.at(section.as_ref()).atoms() {
                    [Atom::Container(inner)] => (**inner).clone(),
                    _ => Container::mapping().with(container.role),
                };
                inner.set(option.constant(), value);
                container.set(section.as_ref(), inner.into());
                Const::None.into()
            }
            "read" | "read_file" | "read_string" if container.kind == Kind::Mapping => {
                let read = match name {
                    "read" => self.opened(&first, Shape::Mapping, at),
                    _ => self.stepped(&first, None, Shape::Mapping, false, at.place),
                };
                container.set(None, read);
                Value::clean()
            }
            "read_dict" if container.kind == Kind::Mapping => {
                for atom in first.atoms() {
                    match atom {
                        Atom::Container(sections) => container.merge(sections),
                        other => {
                            let any = self.item(&other.clone().into(), None, at.place);
                            container.set(None, any);
                        }
                    }
                }
                Value::clean()
            }
            "add_section" => {
                let inner = Container::mapping();
                container.set(first.constant(), inner.into());
                Const::None.into()
            }
            "get" | "getint" | "getfloat" | "getboolean"
                if second.is_some()
                    && container
                        .at(first.constant())
                        .any_atom(&|a| matches!(a, Atom::Container(_))) =>
            {
                let option = second.unwrap_or_default();
                let found = self.item(&container.at(first.constant()), option.constant(), at.place);
                match name {
                    "get" => {
                        let found = match container.role {
                            Role::Options => interpolated(&container.at(first.constant()), found),
                            _ => found,
                        };
                        let fallback = arguments.named("fallback").cloned();
                        match found.is_empty() {
                            true => fallback.unwrap_or_default(),
                            false => found,
                        }
                    }
                    _ => Value::clean(),
                }
            }
            "get" | "pop" | "setdefault" | "getlist" => {
                let key = first.constant().cloned();
                let there = key
                    .as_ref()
                    .is_some_and(|k| container.items.contains_key(k));
                let found = container.at(key.as_ref());
                let default = match (second, name) {
                    (Some(default), _) => default,
                    (None, "get") => Const::None.into(),
                    (None, _) => Value::unknown(),
                };
                let value = match there {
                    true => found,
                    false => found.join(&default),
                };
                match (name, key) {
                    ("pop", Some(key)) => {
                        container.items.remove(&key);
                    }
                    ("setdefault", key) if !there => container.set(key.as_ref(), value.clone()),
                    _ => {}
                }
                value
            }
            "update" => {
                for atom in first.atoms() {
                    match atom {
                        Atom::Container(other) if other.kind == Kind::Mapping => {
                            container.merge(other);
                        }
                        other => {
                            let any = self.item(&other.clone().into(), None, at.place);
                            container.set(None, any);
                        }
                    }
                }
                for (name, value) in &arguments.named {
                    let key = Const::Str(name.as_str().into());
                    container.items.insert(key, value.clone());
                }
                Const::None.into()
            }
            "keys" => {
                let keys = Value::from(Atom::Container(Rc::new(container.clone())));
                Container::of(self.iterated(&keys, at.place)).into()
            }
            // A match of a regular expression.
            "group" if matches!(container.role, Role::Match(_)) => {
                match arguments.positional.as_slice() {
                    [] => container.at(Some(&Const::Int(0))),
                    [one] => container.at(one.constant()),
                    several => {
                        let groups = several.iter().map(|key| container.at(key.constant()));
                        Container::sequence(groups.collect::<Vec<_>>()).into()
                    }
                }
            }
            "groups" if matches!(container.role, Role::Match(_)) => {
                let count = container
                    .items
                    .keys()
                    .filter(|k| matches!(k, Const::Int(_)));
                let groups = (1..count.count())
                    .map(|n| container.at(Some(&Const::Int(i64::try_from(n).unwrap_or(i64::MAX)))));
                Container::sequence(groups.collect::<Vec<_>>()).into()
            }
            "groupdict" if matches!(container.role, Role::Match(_)) => {
                let mut named = container.clone();
                named.kind = Kind::Mapping;
                named.role = Role::Plain;
                named.items.retain(|key, _| matches!(key, Const::Str(_)));
                named.into()
            }
            "values" => match container.kind {
                Kind::Mapping => Container::of(container.any()).into(),
                _ => container.any(),
            },
            "items" => {
                let mut pairs: Vec<Value> = Vec::new();
                for (key, value) in &container.items {
                    let key = Atom::Const(key.clone()).into();
                    pairs.push(Container::sequence([key, value.clone()]).into());
                }
                if !container.rest.is_empty() || !container.keys.is_empty() {
                    let pair = [container.keys.clone(), container.rest.clone()];
                    pairs.push(Container::sequence(pair).into());
                }
                let any = pairs.iter().fold(Value::unknown(), |all, p| all.join(p));
                Container::of(any).into()
            }
            "popitem" => {
                let any = container.any();
                Container::sequence([Value::clean(), any]).into()
            }
            "intersection" if arguments.positional.len() == 1 => {
                let (a, b) = (container.any(), self.iterated(&first, at.place));
                Container::of(if a.is_untrusted() { b } else { a }).into()
            }
            "difference" => container.clone().into(),
            "copy" | "union" | "intersection" => {
                let mut out = container.clone();
                for value in &arguments.positional {
                    out.blur(&self.iterated(value, at.place));
                }
                out.into()
            }
            "index" => match (container.in_order(), first.constant()) {
                (Some(items), Some(wanted)) => {
                    let found = items.iter().position(|v| v.constant() == Some(wanted));
                    let found =
                        found.filter(|n| items.iter().take(*n).all(|v| v.constant().is_some()));
                    match found.and_then(|n| i64::try_from(n).ok()) {
                        Some(n) => Const::Int(n).into(),
                        None => Value::clean(),
                    }
                }
                _ => Value::clean(),
            },
            "count" | "issubset" | "issuperset" | "isdisjoint" => Value::clean(),
            "_replace" | "_asdict" => {
                let mut out = container.clone();
                for (name, value) in &arguments.named {
                    let key = Const::Str(name.as_str().into());
                    out.items.insert(key, value.clone());
                }
                out.into()
            }
            // A named tuple's function field, a list's `join` of something else.
            _ => {
                let any = container.any().join(&arguments.any());
                self.stepped(&any, None, Shape::Any, false, at.place)
            }
        }
    }
}

/// The pieces of a text that is split, some of which are constant.
pub(super) fn split_pieces(taint: &Taint, name: &str, arguments: &Arguments) -> Option<Value> {
    let text = taint.text.as_deref()?;
    let separator = arguments.positional.first()?.text()?;
    let (first, last) = fold::known_pieces(text, &separator);
    if first.is_none() && last.is_none() {
        return None;
    }
    let rest: Value = Atom::Untrusted(Taint {
        text: None,
        ..taint.clone()
    })
    .into();
    let piece = |known: Option<Const>| known.map_or(rest.clone(), Value::from);
    Some(match name {
        "split" | "rsplit" => {
            let mut container = Container::of(rest.clone());
            container.kind = Kind::Sequence(None);
            let ends = [(0, first), (-1, last)];
            for (at, known) in ends {
                if let Some(known) = known {
                    container.items.insert(Const::Int(at), known.into());
                }
            }
            container.into()
        }
        "partition" => Container::sequence([piece(first), Value::clean(), rest.clone()]).into(),
        "rpartition" => Container::sequence([rest.clone(), Value::clean(), piece(last)]).into(),
        _ => return None,
    })
}

/// An option that `ConfigParser` gives: with others of its section in place of `%(name)s`.
fn interpolated(section: &Value, option: Value) -> Value {
    let refers = |atom: &Atom| match atom {
        Atom::Const(Const::Str(text)) | Atom::Pattern(text) => text.contains("%("),
        _ => false,
    };
    if !option.atoms().iter().any(refers) {
        return option;
    }
    let others = section.atoms().iter().map(|atom| match atom {
        Atom::Container(container) => container.any(),
        _ => Value::unknown(),
    });
    others.fold(option, |all, one| all.join(&one))
}

/// Whether a method so called puts its arguments into its receiver.
pub(super) fn is_mutator(name: &str) -> bool {
    matches!(
        name,
        "append"
            | "appendleft"
            | "add"
            | "insert"
            | "extend"
            | "extendleft"
            | "update"
            | "write"
            | "writelines"
            | "put"
            | "put_nowait"
            | "push"
    )
}

/// What `"...{}...".format(...)` is made of.
fn format_parts(text: &str, arguments: &Arguments) -> Option<Vec<Value>> {
    if text.contains('\0') || !arguments.spread.is_empty() {
        return None;
    }
    let mut parts: Vec<Value> = Vec::new();
    let mut rest = text;
    let mut next = 0;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}')?;
        parts.push(Value::str(before));
        let value = match (field, field.parse::<usize>()) {
            ("", _) => {
                next += 1;
                arguments.positional.get(next - 1)
            }
            (_, Ok(n)) => arguments.positional.get(n),
            (name, _) => arguments.named(name),
        };
        let value = value.cloned().unwrap_or_default();
        let shown = value.constant().and_then(fold::shown);
        parts.push(shown.map_or(value, |text| Value::str(&text)));
        rest = after;
    }
    parts.push(Value::str(rest));
    Some(parts)
}
