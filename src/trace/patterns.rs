//! Regular expressions: what a match says of the value that was matched.

use super::calls::At;
use super::machine::Machine;
use super::value::{Arguments, Atom, Value};
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
        let (pattern, subject, how) = match name {
            "re.fullmatch" | "re.match" | "re.search" | "regex.fullmatch" => {
                let how = name.rsplit('.').next().unwrap_or(name);
                (
                    arguments.positional.first()?.text(),
                    arguments.positional.get(1)?,
                    how,
                )
            }
            "re.compile.fullmatch" | "re.compile.match" | "re.compile.search" => {
                let pattern = receiver.atoms().iter().find_map(|atom| match atom {
                    Atom::Made(made) => made.arguments.positional.first()?.text(),
                    _ => None,
                });
                let how = name.rsplit('.').next().unwrap_or(name);
                (pattern, arguments.positional.first()?, how)
            }
            _ => return None,
        };
        let mut out = self.stepped(subject, Some(name), Shape::Any, false, at.place);
        if pattern.is_some_and(|pattern| admits_only_harmless(&pattern, how)) {
            // What it captures is as harmless as the whole.
            out = Value::clean();
            for taint in subject.taints().into_iter().filter(|t| t.exact) {
                out.add(Atom::Tame(taint.identity()));
            }
        }
        Some(out)
    }
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
