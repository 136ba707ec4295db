//! What a pickle imports and calls: noted in words, never done.
//!
//! Invariant: what is kept is bounded: [`KEPT`] imports and calls, each in few words, however often one opcode names them.

use super::machine::{Id, KEPT, Machine, Step, Value};
use super::plain::{self, Made};
use super::reader::{Arg, Integer};

/// Bytes of a module's or member's name that are kept.
const NAME: usize = 200;
/// Bytes of the arguments of a call that are shown, and what the last of them has more.
const ARGUMENTS: usize = 1000;

/// One import.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Import {
    /// Offset of the opcode.
    pub at: usize,
    /// Opcode.
    pub opcode: &'static str,
    /// Module and name, joined by a dot.
    pub name: String,
}

/// One call that reading makes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Call {
    /// Offset of the opcode.
    pub at: usize,
    /// Opcode.
    pub opcode: &'static str,
    /// What is called.
    pub callable: String,
    /// Its arguments, shortened.
    pub arguments: String,
}

impl<'a> Machine<'a> {
    /// Notes an import; gives its number.
    fn import(&mut self, at: usize, opcode: &'static str, name: String) -> usize {
        if self.unknown_import.is_none() && !plain::NAMES.contains(&name.as_str()) {
            self.unknown_import = Some(name.clone());
        }
        if self.imports.len() < KEPT {
            self.imports.push(Import { at, opcode, name });
        }
        self.import_count += 1;
        self.import_count - 1
    }

    /// Notes a call; gives its number.
    fn call(&mut self, at: usize, opcode: &'static str, callable: String, args: &[Id]) -> usize {
        self.unknown_call.get_or_insert_with(|| callable.clone());
        self.known_call(at, opcode, callable, args)
    }

    fn known_call(
        &mut self,
        at: usize,
        opcode: &'static str,
        callable: String,
        args: &[Id],
    ) -> usize {
        self.call_count += 1;
        if self.calls.len() >= KEPT {
            return self.call_count - 1;
        }
        let mut arguments = String::new();
        for arg in args.iter().take(8) {
            if !arguments.is_empty() {
                arguments.push_str(", ");
            }
            self.describe(*arg, &mut arguments, true);
            if arguments.len() > ARGUMENTS {
                break;
            }
        }
        if args.len() > 8 {
            arguments.push_str(", ...");
        }
        self.calls.push(Call {
            at,
            opcode,
            callable,
            arguments,
        });
        self.call_count - 1
    }

    /// A value in a few words; `deep` shows the first elements of a container.
    fn describe(&self, id: Id, out: &mut String, deep: bool) {
        let short = |bytes: &[u8]| {
            let start = bytes.get(..200.min(bytes.len())).unwrap_or_default();
            let text = format!("{:?}", String::from_utf8_lossy(start));
            text + if bytes.len() > 200 { "..." } else { "" }
        };
        let text = match self.value(id) {
            Value::None => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Int(Integer::Small(number)) => number.to_string(),
            Value::Int(_) => "a long integer".to_owned(),
            Value::Float(number) => super::json::float(*number),
            Value::Text(text) | Value::Str(text) => short(text),
            Value::Bytes(_) => "bytes".to_owned(),
            Value::ByteArray(_) => "bytearray".to_owned(),
            Value::Dict(_) => "{...}".to_owned(),
            Value::Set(_) | Value::Made(Made::Set(_), _) => "a set".to_owned(),
            Value::Made(Made::Bytes, _) => "bytes".to_owned(),
            Value::Global(import) => match self.imports.get(*import) {
                Some(import) => import.name.clone(),
                None => "something imported".to_owned(),
            },
            Value::Called(call) => match self.calls.get(*call) {
                Some(call) => format!("{}(...)", call.callable),
                None => "(...)".to_owned(),
            },
            Value::Persistent => "a persistent id".to_owned(),
            Value::Extension => "an extension".to_owned(),
            Value::Buffer => "a buffer".to_owned(),
            Value::List(items) | Value::Tuple(items) if deep => {
                out.push('[');
                for (at, item) in items.iter().take(8).enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    self.describe(*item, out, false);
                    if out.len() > ARGUMENTS {
                        break;
                    }
                }
                out.push_str(if items.len() > 8 { ", ...]" } else { "]" });
                return;
            }
            Value::List(_) | Value::Tuple(_) => "[...]".to_owned(),
        };
        out.push_str(&text);
    }

    fn named(&self, id: Id) -> String {
        let mut out = String::new();
        self.describe(id, &mut out, false);
        out.chars().take(300).collect()
    }

    /// The elements of an argument tuple; the value itself if it is none.
    fn arguments(&self, id: Id) -> Vec<Id> {
        match self.value(id) {
            // Only the first are shown; a long tuple may be passed again and again.
            Value::Tuple(items) => items.iter().take(9).copied().collect(),
            _ => vec![id],
        }
    }

    /// The opcodes that import and call.
    pub(super) fn code(
        &mut self,
        at: usize,
        name: &'static str,
        key: i64,
        arg: &Arg<'a>,
    ) -> Step<()> {
        // A name may be long, and named again and again from the memo.
        let line = |bytes: &[u8]| {
            let start = bytes.get(..NAME.min(bytes.len())).unwrap_or_default();
            String::from_utf8_lossy(start).into_owned()
        };
        match name {
            "GLOBAL" | "INST" => {
                let Arg::Pair(module, member) = arg else {
                    return Err("a name should follow");
                };
                let path = format!("{}.{}", line(module), line(member));
                let import = self.import(at, name, path.clone());
                if name == "INST" {
                    let items = self.since_mark()?;
                    let call = self.call(at, name, path, &items);
                    return self.push(Value::Called(call));
                }
                self.push(Value::Global(import))
            }
            "STACK_GLOBAL" => {
                let (member, module) = (self.pop()?, self.pop()?);
                let text = |id| match self.value(id) {
                    Value::Text(text) | Value::Str(text) => line(text),
                    _ => "?".to_owned(),
                };
                let path = format!("{}.{}", text(module), text(member));
                let import = self.import(at, name, path);
                self.push(Value::Global(import))
            }
            "EXT1" | "EXT2" | "EXT4" => {
                self.import(at, name, format!("extension {key}"));
                self.push(Value::Extension)
            }
            "REDUCE" | "NEWOBJ" => {
                let (args, callable) = (self.pop()?, self.pop()?);
                let plain = match name {
                    "REDUCE" => self.plain(callable, args),
                    _ => None,
                };
                let (callable, args) = (self.named(callable), self.arguments(args));
                if let Some(plain) = plain {
                    self.known_call(at, name, callable, &args);
                    return self.push(plain);
                }
                let call = self.call(at, name, callable, &args);
                self.push(Value::Called(call))
            }
            "NEWOBJ_EX" => {
                let (keywords, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                let (class, mut args) = (self.named(class), self.arguments(args));
                args.push(keywords);
                let call = self.call(at, name, class, &args);
                self.push(Value::Called(call))
            }
            "OBJ" => {
                let items = self.since_mark()?;
                let (class, args) = items.split_first().ok_or("no class stands here")?;
                let class = self.named(*class);
                let call = self.call(at, name, class, args);
                self.push(Value::Called(call))
            }
            "BUILD" => {
                let state = self.pop()?;
                let object = self.top()?;
                if matches!(self.value(object), Value::Called(_)) {
                    self.states.insert(object, state);
                }
                let object = self.named(object);
                self.call(at, name, format!("{object}.__setstate__"), &[state]);
                Ok(())
            }
            "BINPERSID" => {
                self.pop()?;
                self.outside += 1;
                self.push(Value::Persistent)
            }
            _ => Err("an argument that this opcode cannot have"),
        }
    }
}
