//! Runs the stack of a pickle over symbols: what is imported and called is noted, never done.
//!
//! Invariant: work and memory are linear in the bytes read. Values are numbered, and refer to each other by number, so
//! nothing here follows them; who does must bound it (`json`).

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::reader::{Arg, Integer, Malformed, Op, Reader};

/// Number of a value.
pub type Id = u32;

/// A value as far as it is known without running anything.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Int(Integer<'a>),
    /// A float.
    Float(f64),
    /// Text, as UTF-8 in which lone surrogates may stand.
    Text(Cow<'a, [u8]>),
    /// A string of Python 2.
    Str(Cow<'a, [u8]>),
    /// `bytes`.
    Bytes,
    /// `bytearray`.
    ByteArray,
    /// A list.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A dictionary, in the order of its entries; a key may come again.
    Dict(Vec<(Id, Id)>),
    /// A set or a frozen set.
    Set,
    /// Something imported: its dotted name.
    Global(String),
    /// What a call gives: its number among the calls.
    Called(usize),
    /// An object that the reading program finds by an id of its own.
    Persistent,
    /// Something registered under a number, imported by it.
    Extension,
    /// A buffer that is handed over beside the pickle.
    Buffer,
}

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

/// What a pickle does to who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It makes values of Python's own, and nothing else.
    DataOnly,
    /// It imports modules, which runs what stands in them.
    Imports,
    /// It calls what it imports.
    RunsCode,
}

/// One pickle, run over symbols.
#[derive(Debug)]
pub struct Machine<'a> {
    /// All values, by number.
    pub values: Vec<Value<'a>>,
    /// The value that loading gives; none if it fails.
    pub result: Option<Id>,
    /// Everything imported, in order.
    pub imports: Vec<Import>,
    /// Everything called, in order.
    pub calls: Vec<Call>,
    /// Persistent ids, buffers, and steps whose value is not followed.
    pub outside: usize,
    /// Highest protocol announced.
    pub protocol: u8,
    /// Opcodes read.
    pub ops: usize,
    /// Why loading fails, if it does.
    pub error: Option<Malformed>,
    /// Offset after the last byte read.
    pub end: usize,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: FxHashMap<i64, Id>,
}

/// Bytes of a module's or member's name that are kept.
const NAME: usize = 200;

type Step<T> = Result<T, &'static str>;

/// Runs the pickle at `start` of `bytes`.
pub fn run(bytes: &[u8], start: usize) -> Machine<'_> {
    let mut machine = Machine {
        values: Vec::new(),
        result: None,
        imports: Vec::new(),
        calls: Vec::new(),
        outside: 0,
        protocol: 0,
        ops: 0,
        error: None,
        end: start,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: FxHashMap::default(),
    };
    let mut reader = Reader::new(bytes, start);
    while let Some(op) = reader.next() {
        let left = bytes.len() - reader.position().min(bytes.len());
        let step = op.and_then(|op| {
            machine.ops += 1;
            let at = op.at;
            let step = machine.step(op, left);
            step.map_err(|what| Malformed {
                at,
                what: what.to_owned(),
            })
        });
        if let Err(error) = step {
            machine.error = Some(error);
            break;
        }
    }
    machine.end = reader.position();
    machine
}

impl<'a> Machine<'a> {
    /// The worst that was seen, also where loading fails later: by then it has happened.
    pub fn verdict(&self) -> Verdict {
        match (self.calls.is_empty(), self.imports.is_empty()) {
            (false, _) => Verdict::RunsCode,
            (true, false) => Verdict::Imports,
            (true, true) => Verdict::DataOnly,
        }
    }

    /// The value `id`.
    pub fn value(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        let id = Id::try_from(self.values.len()).map_err(|_| "more than 2^32 values")?;
        self.values.push(value);
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("the stack is empty here");
        }
        self.stack.pop().ok_or("the stack is empty here")
    }

    fn top(&self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(<[Id]>::last);
        top.copied().ok_or("the stack is empty here")
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("no MARK was set")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn import(&mut self, at: usize, opcode: &'static str, name: String) {
        self.imports.push(Import { at, opcode, name });
    }

    fn call(&mut self, at: usize, opcode: &'static str, callable: String, args: &[Id]) -> usize {
        let mut arguments = String::new();
        for arg in args.iter().take(8) {
            if !arguments.is_empty() {
                arguments.push_str(", ");
            }
            self.describe(*arg, &mut arguments, true);
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
        self.calls.len() - 1
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
            Value::Bytes => "bytes".to_owned(),
            Value::ByteArray => "bytearray".to_owned(),
            Value::Dict(_) => "{...}".to_owned(),
            Value::Set => "a set".to_owned(),
            Value::Global(name) => name.clone(),
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

    fn extend(&mut self, list: Id, items: Vec<Id>) {
        // Of other types it may still be that loading goes on: what follows must be seen.
        match self.values.get_mut(list as usize) {
            Some(Value::List(have)) => have.extend(items),
            _ => self.outside += 1,
        }
    }

    fn set_items(&mut self, dict: Id, items: &[Id]) -> Step<()> {
        if !items.len().is_multiple_of(2) {
            return Err("a key without a value");
        }
        match self.values.get_mut(dict as usize) {
            Some(Value::Dict(have)) => {
                let pairs = items.chunks_exact(2);
                have.extend(pairs.filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))));
            }
            _ => self.outside += 1,
        }
        Ok(())
    }

    fn memoize(&mut self, key: i64) -> Step<()> {
        let top = self.top()?;
        if key < 0 {
            return Err("a negative place in the memo");
        }
        self.memo.insert(key, top);
        Ok(())
    }

    fn step(&mut self, op: Op<'a>, left: usize) -> Step<()> {
        let Op { at, name, arg } = op;
        let key = match &arg {
            Arg::Int(Integer::Small(number)) => *number,
            Arg::Bool(truth) => i64::from(*truth),
            Arg::Int(long) => long.decimal().and_then(|n| n.parse().ok()).unwrap_or(-1),
            _ => -1,
        };
        match (name, arg) {
            ("PROTO", _) => {
                self.protocol = self.protocol.max(u8::try_from(key).unwrap_or(u8::MAX));
                if key > 5 {
                    return Err("a protocol above 5");
                }
            }
            ("FRAME", _) if usize::try_from(key).map_or(true, |size| size > left) => {
                return Err("a frame that is longer than what follows");
            }
            ("FRAME", _) => {}
            ("NONE", _) => self.push(Value::None)?,
            ("NEWTRUE", _) => self.push(Value::Bool(true))?,
            ("NEWFALSE", _) => self.push(Value::Bool(false))?,
            ("INT", Arg::Bool(truth)) => self.push(Value::Bool(truth))?,
            (
                "INT" | "LONG" | "LONG1" | "LONG4" | "BININT" | "BININT1" | "BININT2",
                Arg::Int(n),
            ) => {
                // Leading zeros: octal for one of CPython's two readers, an error for the other.
                if matches!(n, Integer::Digits(d) if d.trim_start_matches('-').starts_with('0')) {
                    self.outside += 1;
                }
                self.push(Value::Int(n))?;
            }
            (_, Arg::Float(number)) => self.push(Value::Float(number))?,
            (_, Arg::Text(text)) => self.push(Value::Text(text))?,
            ("PERSID", _) => {
                self.outside += 1;
                self.push(Value::Persistent)?;
            }
            (_, Arg::Str(text)) => self.push(Value::Str(text))?,
            ("BYTEARRAY8", _) => self.push(Value::ByteArray)?,
            (_, Arg::Bytes(_)) => self.push(Value::Bytes)?,
            ("NEXT_BUFFER", _) => {
                self.outside += 1;
                self.push(Value::Buffer)?;
            }
            ("READONLY_BUFFER", _) => {
                self.top()?;
            }
            ("EMPTY_LIST", _) => self.push(Value::List(Vec::new()))?,
            ("EMPTY_TUPLE", _) => self.push(Value::Tuple(Vec::new()))?,
            ("EMPTY_DICT", _) => self.push(Value::Dict(Vec::new()))?,
            ("EMPTY_SET", _) => self.push(Value::Set)?,
            ("MARK", _) => self.marks.push(self.stack.len()),
            ("LIST", _) => {
                let items = self.since_mark()?;
                self.push(Value::List(items))?;
            }
            ("TUPLE", _) => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items))?;
            }
            ("TUPLE1" | "TUPLE2" | "TUPLE3", _) => {
                let size = match name {
                    "TUPLE1" => 1,
                    "TUPLE2" => 2,
                    _ => 3,
                };
                let mut items = Vec::with_capacity(size);
                for _ in 0..size {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Value::Tuple(items))?;
            }
            ("DICT", _) => {
                let items = self.since_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                let dict = self.top()?;
                self.set_items(dict, &items)?;
            }
            ("FROZENSET", _) => {
                self.since_mark()?;
                self.push(Value::Set)?;
            }
            ("APPEND", _) => {
                let item = self.pop()?;
                let list = self.top()?;
                self.extend(list, vec![item]);
            }
            ("APPENDS", _) => {
                let items = self.since_mark()?;
                let list = self.top()?;
                self.extend(list, items);
            }
            ("SETITEM", _) => {
                let (value, key) = (self.pop()?, self.pop()?);
                let dict = self.top()?;
                self.set_items(dict, &[key, value])?;
            }
            ("SETITEMS", _) => {
                let items = self.since_mark()?;
                let dict = self.top()?;
                self.set_items(dict, &items)?;
            }
            ("ADDITEMS", _) => {
                self.since_mark()?;
                self.top()?;
            }
            ("POP", _) => {
                // A mark on top is what POP takes then.
                match self.marks.last() {
                    Some(mark) if *mark == self.stack.len() => drop(self.marks.pop()),
                    _ => drop(self.pop()?),
                }
            }
            ("POP_MARK", _) => drop(self.since_mark()?),
            ("DUP", _) => {
                let top = self.top()?;
                self.stack.push(top);
            }
            ("GET" | "BINGET" | "LONG_BINGET", _) => {
                let id = *self
                    .memo
                    .get(&key)
                    .ok_or("nothing is at this place of the memo")?;
                self.stack.push(id);
            }
            ("PUT" | "BINPUT" | "LONG_BINPUT", _) => self.memoize(key)?,
            ("MEMOIZE", _) => self.memoize(self.memo.len() as i64)?,
            ("STOP", _) => self.result = Some(self.pop()?),
            (name, arg) => return self.code(at, name, key, &arg),
        }
        Ok(())
    }

    /// The opcodes that import and call.
    fn code(&mut self, at: usize, name: &'static str, key: i64, arg: &Arg<'a>) -> Step<()> {
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
                self.import(at, name, path.clone());
                if name == "INST" {
                    let items = self.since_mark()?;
                    let call = self.call(at, name, path, &items);
                    return self.push(Value::Called(call));
                }
                self.push(Value::Global(path))
            }
            "STACK_GLOBAL" => {
                let (member, module) = (self.pop()?, self.pop()?);
                let text = |id| match self.value(id) {
                    Value::Text(text) | Value::Str(text) => line(text),
                    _ => "?".to_owned(),
                };
                let path = format!("{}.{}", text(module), text(member));
                self.import(at, name, path.clone());
                self.push(Value::Global(path))
            }
            "EXT1" | "EXT2" | "EXT4" => {
                self.import(at, name, format!("extension {key}"));
                self.push(Value::Extension)
            }
            "REDUCE" | "NEWOBJ" => {
                let (args, callable) = (self.pop()?, self.pop()?);
                let (callable, args) = (self.named(callable), self.arguments(args));
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
