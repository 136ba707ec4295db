//! The calls with which older protocols write bytes and sets: what comes of them is known without making them.
//!
//! Invariant: they are imports and calls like all others for whoever loads the pickle. Nothing is copied: a value made of
//! another refers to it, and to no more of it than was there.

use super::machine::{Id, Machine, Value};

/// What is imported for that.
pub(super) const NAMES: &[&str] = &[
    "_codecs.encode",
    "__builtin__.bytes",
    "__builtin__.bytearray",
    "__builtin__.set",
    "__builtin__.frozenset",
    "builtins.bytes",
    "builtins.bytearray",
    "builtins.set",
    "builtins.frozenset",
];

/// What is made of another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Bytes from text of Latin-1, or from bytes.
    Bytes,
    /// A set from the first so many elements.
    Set(usize),
}

impl Machine<'_> {
    /// What calling `callable` with the tuple `args` gives, if that is known.
    pub(super) fn plain(&self, callable: Id, args: Id) -> Option<Value<'static>> {
        let (Value::Global(import), Value::Tuple(args)) = (self.value(callable), self.value(args))
        else {
            return None;
        };
        let name = self.imports.get(*import)?.name.as_str();
        let value = |id: &Id| self.value(*id);
        let latin = |text: &Id, codec: &Id| {
            let named = matches!(value(codec), Value::Text(c) | Value::Str(c) if matches!(&**c, b"latin1" | b"latin-1"));
            let Value::Text(text) = value(text) else {
                return false;
            };
            named && std::str::from_utf8(text).is_ok_and(|t| t.chars().all(|c| c <= '\u{ff}'))
        };
        match (name, args.as_slice()) {
            ("_codecs.encode", [text, codec]) if latin(text, codec) => {
                Some(Value::Made(Made::Bytes, *text))
            }
            ("__builtin__.bytes" | "builtins.bytes", []) => Some(Value::Bytes(&[])),
            ("__builtin__.bytearray" | "builtins.bytearray", []) => Some(Value::ByteArray(&[])),
            ("__builtin__.bytearray" | "builtins.bytearray", [bytes]) => match value(bytes) {
                Value::Bytes(_) => Some(Value::Made(Made::Bytes, *bytes)),
                Value::Made(Made::Bytes, of) => Some(Value::Made(Made::Bytes, *of)),
                _ => None,
            },
            ("__builtin__.bytearray" | "builtins.bytearray", [text, codec])
                if latin(text, codec) =>
            {
                Some(Value::Made(Made::Bytes, *text))
            }
            (
                "__builtin__.set" | "builtins.set" | "__builtin__.frozenset" | "builtins.frozenset",
                [items],
            ) => match value(items) {
                Value::List(list) | Value::Tuple(list) => {
                    Some(Value::Made(Made::Set(list.len()), *items))
                }
                _ => None,
            },
            _ => None,
        }
    }
}
