//! Regular expressions: what a match says of the value that was matched, and what its groups are.

use super::at::At;
use super::machine::Machine;
use super::taint::Taint;
use super::value::{Arguments, Atom, Const, Container, Role, Value};
use crate::pack::Shape;

impl<'a> Machine<'a> {
    /// A regular expression matched against a value: what its groups are, and what it says of the value.
    pub(super) fn matched(
        &mut self,
        name: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Option<Value> {
        let (owner, how) = name.rsplit_once('.')?;
        if !matches!(how, "fullmatch" | "match" | "search") {
            return None;
        }
        let (pattern, subject) = match owner {
            "re" | "regex" => (
                arguments.positional.first()?.text(),
                arguments.positional.get(1)?,
            ),
            "re.compile" | "regex.compile" => (compiled(receiver), arguments.positional.first()?),
            _ => return None,
        };
        let found = self.stepped(subject, Some(name), Shape::Any, false, at.place);
        let Some(pattern) = pattern else {
            return Some(found);
        };
        let exact = subject.taints().into_iter().filter(|t| t.exact);
        let identities: Vec<_> = exact.map(Taint::identity).collect();
        let is_tame = admits_only_harmless(&pattern, how);
        let groups = groups(&pattern);
        if !is_tame && !groups.iter().any(|group| is_harmless(group.body)) {
            let mut out = found;
            if how == "search" && is_any_but_harmless(&pattern) {
                identities.into_iter().for_each(|i| out.add(Atom::Wild(i)));
            }
            return Some(out);
        }
        let tamed = found.map_taints(&|taint| Taint {
            tame: true,
            ..taint.clone()
        });
        let whole = if is_tame { &tamed } else { &found };
        let mut container = Container::of(whole.clone()).with(Role::Match(is_tame));
        container.items.insert(Const::Int(0), whole.clone());
        for (n, group) in groups.iter().enumerate() {
            let value = match is_tame || is_harmless(group.body) {
                true => tamed.clone(),
                false => found.clone(),
            };
            let number = Const::Int(i64::try_from(n + 1).unwrap_or(i64::MAX));
            container.items.insert(number, value.clone());
            if let Some(name) = group.name {
                container.items.insert(Const::Str(name.into()), value);
            }
        }
        let mut out: Value = container.into();
        out.add(Atom::Const(Const::None));
        if is_tame {
            identities.into_iter().for_each(|i| out.add(Atom::Tame(i)));
        }
        Some(out)
    }

    /// Whether a call of `re.sub` is one that [`Machine::substituted`] understands.
    pub(super) fn substitutes_all(&self, arguments: &Arguments) -> bool {
        let pattern = arguments.positional.first().and_then(Value::text);
        pattern.is_some_and(|pattern| is_any_but_harmless(&pattern))
    }

    /// `re.sub` that leaves nothing but harmless characters: what it gives.
    pub(super) fn substituted(
        &mut self,
        name: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Option<Value> {
        let (pattern, skip) = match name {
            "re.sub" => (arguments.positional.first()?.text()?, 1),
            "re.compile.sub" => (compiled(receiver)?, 0),
            _ => return None,
        };
        let replacement = arguments.positional.get(skip)?.text()?;
        let subject = arguments.positional.get(skip + 1)?;
        let plain = !replacement.chars().any(|c| c.is_control() || c == '\\');
        if !plain || !is_any_but_harmless(&pattern) || arguments.positional.len() > skip + 2 {
            return None;
        }
        let out = self.stepped(subject, Some(name), Shape::Bytes, false, at.place);
        Some(out.map_taints(&|taint| Taint {
            tame: true,
            ..taint.clone()
        }))
    }
}

/// The pattern that a compiled expression was made with.
fn compiled(receiver: &Value) -> Option<std::rc::Rc<str>> {
    receiver.atoms().iter().find_map(|atom| match atom {
        Atom::Made(made) => made.arguments.positional.first()?.text(),
        _ => None,
    })
}

/// Whether every text that `pattern` matches as a whole is free of control characters.
fn admits_only_harmless(pattern: &str, how: &str) -> bool {
    let mut body = pattern;
    let starts = ["^", "\\A"];
    let ends = ["$", "\\Z", "\\z"];
    let from_start = starts.iter().any(|s| body.starts_with(s));
    let to_end = ends.iter().any(|e| body.ends_with(e)) && !body.ends_with("\\$");
    let anchored = match how {
        "fullmatch" => true,
        "match" => to_end && !body.contains('|'),
        _ => from_start && to_end && !body.contains('|'),
    };
    if !anchored {
        return false;
    }
    for start in starts {
        body = body.strip_prefix(start).unwrap_or(body);
    }
    for end in ends {
        body = body.strip_suffix(end).unwrap_or(body);
    }
    is_harmless(body)
}

/// Whether what `body`, a part of a pattern, matches is free of control characters.
fn is_harmless(body: &str) -> bool {
    let mut chars = body.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('w' | 'd' | '.' | '-' | '_' | '/' | '+' | '=' | '@' | ':') => {}
                _ => return false,
            },
            '[' if !in_class => {
                in_class = true;
                if chars.peek() == Some(&'^') {
                    return false;
                }
            }
            ']' => in_class = false,
            '.' if !in_class => return false,
            c if c.is_control() => return false,
            _ => {}
        }
    }
    true
}

/// Whether `pattern` is one character, or several, of all but some harmless ones: `[^a-z0-9]+`.
fn is_any_but_harmless(pattern: &str) -> bool {
    let body = pattern.strip_suffix('+').unwrap_or(pattern);
    let class = body.strip_prefix("[^").and_then(|b| b.strip_suffix(']'));
    class.is_some_and(|class| {
        let ends_inside = class.replace("\\]", "").contains(']') || class.ends_with('\\');
        !class.is_empty() && !ends_inside && is_harmless(&format!("[{class}]"))
    })
}

struct Group<'p> {
    name: Option<&'p str>,
    body: &'p str,
}

/// The groups of `pattern` in the order of their numbers.
fn groups(pattern: &str) -> Vec<Group<'_>> {
    let mut found: Vec<(usize, Option<&str>)> = Vec::new();
    let mut ends: Vec<usize> = Vec::new();
    // Open parentheses: the number of the group, if it is one.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut in_class = false;
    let mut chars = pattern.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => {
                let after = pattern.get(at + 1..).unwrap_or_default();
                let named = after.strip_prefix("?P<").and_then(|a| a.split_once('>'));
                let start = match (named, after.starts_with('?')) {
                    (Some((name, _)), _) => Some((at + 1 + "?P<>".len() + name.len(), Some(name))),
                    (None, true) => None,
                    (None, false) => Some((at + 1, None)),
                };
                open.push(start.map(|start| {
                    found.push(start);
                    ends.push(pattern.len());
                    found.len() - 1
                }));
            }
            ')' if !in_class => {
                if let Some(Some(n)) = open.pop()
                    && let Some(end) = ends.get_mut(n)
                {
                    *end = at;
                }
            }
            _ => {}
        }
    }
    let both = found.into_iter().zip(ends);
    both.map(|((start, name), end)| Group {
        name,
        body: pattern.get(start..end).unwrap_or("."),
    })
    .collect()
}
