//! Buffers: streams in memory and byte arrays, as pieces of content and a position.

use super::at::At;
use super::env::Env;
use super::fold;
use super::machine::Machine;
use super::taint::Taint;
use super::value::{Arguments, Atom, Const, Container, Position, Role, Value};

impl<'a> Machine<'a> {
    /// What calling `name` gives, where that makes a buffer.
    pub(super) fn buffer(
        &mut self,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Option<Value> {
        let role = match name {
            "io.BytesIO" | "io.StringIO" => Role::Stream(Position::Start),
            "builtins.bytearray" => Role::Array,
            _ => return None,
        };
        let pieces = match arguments.first() {
            Some(given) => {
                let given = self.whole(given.clone(), at);
                let step = self.model.step(name)?;
                let mut piece = self.stepped(&given, Some(name), step.shape, step.quiet, at.place);
                match given.atoms() {
                    [Atom::Const(Const::Str(_) | Const::Bytes(_))] => piece = given.clone(),
                    // What is known of the text is known of what is in the buffer.
                    [Atom::Untrusted(before)] if before.text.is_some() => {
                        piece = piece.map_taints(&|taint| Taint {
                            text: before.text.clone(),
                            ..taint.clone()
                        });
                    }
                    _ => {}
                }
                vec![piece]
            }
            None if arguments.spread.is_empty() => Vec::new(),
            None => return None,
        };
        Some(Container::sequence(pieces).with(role).into())
    }

    /// A file that starts with what `value` is, of this program alone.
    pub(super) fn scratch_file(value: Value) -> Value {
        let file = Container::sequence([value]);
        file.with(Role::Stream(Position::End)).into()
    }

    /// `value` with the content of buffers in their place.
    pub(super) fn flat(&self, value: &Value) -> Value {
        let is_buffer = |atom: &Atom| matches!(atom, Atom::Container(c) if c.is_buffer());
        if !value.atoms().iter().any(is_buffer) {
            return value.clone();
        }
        let mut out = Value::unknown();
        for atom in value.atoms() {
            match atom {
                Atom::Container(container) if container.is_buffer() => {
                    out = out.join(&content(container));
                }
                other => out.add(other.clone()),
            }
        }
        out
    }

    /// The same with what is still to be read of streams.
    pub(super) fn remaining(&self, value: &Value) -> Value {
        let at_end = |atom: &Atom| matches!(atom, Atom::Container(c) if c.role == Role::Stream(Position::End));
        let left = value.filter(|atom| !at_end(atom));
        let out = self.flat(&left);
        match value.atoms().iter().any(at_end) {
            true => out.join(&Value::clean()),
            false => out,
        }
    }

    /// A method of a buffer; changes it as Python does.
    pub(super) fn buffer_method(
        &mut self,
        buffer: &mut Container,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let first = arguments.positional.first().cloned().unwrap_or_default();
        let is_zero = |value: &Value| value.constant() == Some(&Const::Int(0));
        match name {
            "write" | "extend" | "append" | "writelines" | "insert" => {
                let piece = match name {
                    "insert" => arguments.positional.get(1).cloned().unwrap_or_default(),
                    "writelines" => self.iterated(&first, at.place),
                    _ => self.flat(&first),
                };
                let after = match buffer.role {
                    Role::Stream(Position::Start | Position::Somewhere)
                        if !buffer.items.is_empty() =>
                    {
                        Position::Somewhere
                    }
                    _ => Position::End,
                };
                buffer.write(piece);
                if let Role::Stream(_) = buffer.role {
                    buffer.role = Role::Stream(after);
                    if after == Position::Somewhere {
                        // It may have replaced some of what was there.
                        let all = textless(&buffer.any());
                        buffer.refill([all]);
                    }
                }
                Value::clean()
            }
            "seek" => {
                let to_end = arguments.positional.get(1).is_some_and(|whence| {
                    let name = |a: &Atom| matches!(a, Atom::External(n) if n.ends_with("SEEK_END"));
                    whence.constant() == Some(&Const::Int(2)) || whence.any_atom(&name)
                });
                buffer.role = Role::Stream(match arguments.positional.len() {
                    1 if is_zero(&first) => Position::Start,
                    2 if to_end && is_zero(&first) => Position::End,
                    _ => Position::Somewhere,
                });
                Value::clean()
            }
            "truncate" => {
                let from_start = buffer.role == Role::Stream(Position::Start);
                if is_zero(&first) || (arguments.positional.is_empty() && from_start) {
                    buffer.refill([]);
                }
                Value::clean()
            }
            "clear" => {
                buffer.refill([]);
                Value::clean()
            }
            "close" | "flush" | "tell" | "seekable" | "readable" | "writable" | "isatty"
            | "fileno" | "find" | "count" | "index" | "startswith" | "endswith" => Value::clean(),
            "pop" => Value::clean(),
            "read" | "readline" | "readlines" | "read1" | "readall" => {
                let value: Value = Atom::Container(buffer.clone().into()).into();
                let left = self.remaining(&value);
                let line = match (name, buffer.role) {
                    ("readline", Role::Stream(Position::Start)) => first_line(&left),
                    _ => None,
                };
                let to_end = arguments.positional.is_empty() && name != "readline";
                buffer.role = match buffer.role {
                    Role::Stream(_) if to_end => Role::Stream(Position::End),
                    Role::Stream(_) => Role::Stream(Position::Somewhere),
                    role => role,
                };
                match line {
                    Some(line) => line.into(),
                    None => self.content_method(&left, name, arguments, at, env),
                }
            }
            _ => self.content_method(&content(buffer), name, arguments, at, env),
        }
    }

    /// A method of what is in a buffer.
    fn content_method(
        &mut self,
        content: &Value,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let mut out = Value::unknown();
        for atom in content.atoms() {
            let one = match atom {
                Atom::Untrusted(taint) => self.call_member(taint, name, arguments, at, env),
                Atom::Const(_) | Atom::Pattern(_)
                    if matches!(name, "getvalue" | "getbuffer" | "read" | "copy") =>
                {
                    atom.clone().into()
                }
                Atom::Const(Const::Str(text) | Const::Bytes(text)) => {
                    self.text_method(text, name, arguments, at)
                }
                Atom::Const(_) | Atom::Pattern(_) => self.text_method("\0", name, arguments, at),
                other => other.clone().into(),
            };
            out = out.join(&one);
        }
        out
    }

    /// Buffers that are passed to something that nothing is known of may be filled there.
    pub(super) fn filled(&mut self, at: At<'a>, env: &mut Env) {
        for name in at.names() {
            let is_buffer = |atom: &Atom| matches!(atom, Atom::Container(c) if c.is_buffer());
            let Some(value) = env.get(name).cloned() else {
                continue;
            };
            if !value.atoms().iter().any(is_buffer) {
                continue;
            }
            let each = value.atoms().iter().map(|atom| match atom {
                Atom::Container(buffer) if buffer.is_buffer() => {
                    let mut buffer = (**buffer).clone();
                    buffer.write(Value::unknown());
                    Atom::Container(buffer.into())
                }
                other => other.clone(),
            });
            let after: Value = each.collect();
            env.change(name, &after.unordered());
        }
    }

    /// Streams and iterators that are passed on may be read there.
    pub(super) fn moved_on(&mut self, at: At<'a>, env: &mut Env) {
        for name in at.names() {
            if let Some(value) = env.get(name) {
                let after = value.unordered();
                if !after.same(value) {
                    env.change(name, &after);
                }
            }
        }
    }
}

/// What is in a buffer.
pub(super) fn content(buffer: &Container) -> Value {
    let pieces = buffer.pieces();
    match pieces.as_slice() {
        [] => return Const::Bytes("".into()).into(),
        [one] => return one.clone(),
        _ => {}
    }
    let known = fold::pattern(&pieces);
    let text = match &known {
        Some(Atom::Pattern(text)) => Some(text.clone()),
        _ => None,
    };
    let mut out = Value::unknown();
    for atom in pieces.iter().flat_map(Value::atoms) {
        match atom {
            Atom::Untrusted(taint) => out.add(Atom::Untrusted(Taint {
                exact: false,
                text: text.clone(),
                ..taint.clone()
            })),
            Atom::Const(_) | Atom::Pattern(_) => {}
            other => out.add(other.clone()),
        }
    }
    if out.is_empty() && !pieces.iter().any(Value::is_empty) {
        return known.map_or_else(Value::clean, Value::from);
    }
    out
}

/// The first line of `content`, where it is known.
fn first_line(content: &Value) -> Option<Const> {
    let text = match content.atoms() {
        [Atom::Untrusted(taint)] => taint.text.clone()?,
        [Atom::Const(Const::Str(text))] => text.clone(),
        _ => return None,
    };
    let (line, _) = text.split_once('\n')?;
    (!line.contains('\0')).then(|| Const::Str(format!("{line}\n").into()))
}

/// `value` of which it is not known any more how it is put together.
fn textless(value: &Value) -> Value {
    let plain = value.map_taints(&|taint| Taint {
        text: None,
        exact: false,
        ..taint.clone()
    });
    let known = |atom: &Atom| matches!(atom, Atom::Const(_) | Atom::Pattern(_));
    match value.atoms().iter().any(known) {
        true => plain.filter(|atom| !known(atom)).join(&Value::clean()),
        false => plain,
    }
}
