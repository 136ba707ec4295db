//! Runs the stack of a pickle over symbols: what is imported and called is noted, never done.
//!
//! Invariant: work and memory are linear in the bytes read. Values are numbered, and refer to each other by number, so
//! nothing here follows them; who does must bound it (`json`).

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::arrays::Behind;
use super::calls::{Call, Import};
use super::plain::Made;
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
    Bytes(&'a [u8]),
    /// `bytearray`.
    ByteArray(&'a [u8]),
    /// A list.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A dictionary, in the order of its entries; a key may come again.
    Dict(Vec<(Id, Id)>),
    /// A set or a frozen set; an element may come again.
    Set(Vec<Id>),
    /// Bytes or a set that a known call makes of another value.
    Made(Made, Id),
    /// Something imported: its number among the imports.
    Global(usize),
    /// What a call gives: its number among the calls.
    Called(usize),
    /// An object that the reading program finds by an id of its own.
    Persistent,
    /// Something registered under a number, imported by it.
    Extension,
    /// A buffer that is handed over beside the pickle.
    Buffer,
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
    /// The first imports, in order; at most [`KEPT`].
    pub imports: Vec<Import>,
    /// How many there are.
    pub import_count: usize,
    /// The first calls, in order; at most [`KEPT`].
    pub calls: Vec<Call>,
    /// How many there are.
    pub call_count: usize,
    /// The first call, else import, whose result is not known.
    pub unknown_call: Option<String>,
    /// The first import of something else than makers of bytes and sets.
    pub unknown_import: Option<String>,
    /// Arrays that joblib's reader takes out of the file between two opcodes: offset and bytes.
    pub arrays: Vec<(usize, usize)>,
    /// Persistent ids, buffers, and steps whose value is not followed.
    pub outside: usize,
    /// Highest protocol announced.
    pub protocol: u8,
    /// Opcodes read.
    pub ops: usize,
    /// Why loading fails, in one of Python's readers at least; what another may still read was read on.
    pub error: Option<Malformed>,
    /// Offset after the last byte read.
    pub end: usize,
    pub(super) stack: Vec<Id>,
    marks: Vec<usize>,
    memo: FxHashMap<i64, Id>,
    /// What was given to objects that calls made, by BUILD.
    pub(super) states: FxHashMap<Id, Id>,
}

/// Opcodes of one pickle that are read: some gigabytes of memory at the very most.
const OPCODES: usize = 1 << 25;
/// Imports and calls of one pickle that are kept; all are counted.
pub const KEPT: usize = 10_000;

pub(super) type Step<T> = Result<T, &'static str>;

/// Runs the pickle at `start` of `bytes`.
pub fn run(bytes: &[u8], start: usize) -> Machine<'_> {
    run_seen(bytes, start, &mut |_| {})
}

/// As [`run`], and shows each opcode to `see`.
pub fn run_seen<'a>(bytes: &'a [u8], start: usize, see: &mut dyn FnMut(&Op<'a>)) -> Machine<'a> {
    let mut machine = Machine::new(start);
    let crossed = machine.read(Reader::new(bytes, start), bytes, see, true);
    if let Some(at) = crossed {
        let what = "an argument crosses the end of its frame: Python's readers go on differently";
        machine.doubt(at, what.to_owned());
        // What the other way does is told as well.
        let mut other = Machine::new(start);
        other.read(
            Reader::new(bytes, start).jumping(),
            bytes,
            &mut |_| {},
            true,
        );
        machine.join(other);
    }
    machine
}

impl<'a> Machine<'a> {
    fn new(start: usize) -> Machine<'a> {
        Machine {
            values: Vec::new(),
            result: None,
            imports: Vec::new(),
            import_count: 0,
            calls: Vec::new(),
            call_count: 0,
            unknown_call: None,
            unknown_import: None,
            arrays: Vec::new(),
            outside: 0,
            protocol: 0,
            ops: 0,
            error: None,
            end: start,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: FxHashMap::default(),
            states: FxHashMap::default(),
        }
    }

    /// Takes in what `other` imports and calls.
    fn join(&mut self, other: Machine<'a>) {
        let room = KEPT.saturating_sub(self.imports.len());
        self.imports.extend(other.imports.into_iter().take(room));
        self.import_count += other.import_count;
        let room = KEPT.saturating_sub(self.calls.len());
        self.calls.extend(other.calls.into_iter().take(room));
        self.call_count += other.call_count;
    }

    /// Reads to the end; with the `arrays` that joblib writes between opcodes. Gives where an argument crossed its frame.
    fn read(
        &mut self,
        mut reader: Reader<'a>,
        bytes: &'a [u8],
        see: &mut dyn FnMut(&Op<'a>),
        arrays: bool,
    ) -> Option<usize> {
        let mut crossed = None;
        while let Some(op) = reader.next() {
            let op = match op {
                Ok(op) => Some(op),
                Err(error) => {
                    // What one of Python's readers refuses another reads: what follows must be seen.
                    let lenient = reader.lenient(error.at);
                    self.doubt(error.at, error.what);
                    lenient
                }
            };
            let Some(op) = op else { break };
            if reader.crossed {
                crossed.get_or_insert(op.at);
            }
            see(&op);
            self.ops += 1;
            let (at, built) = (op.at, op.name == "BUILD");
            let left = bytes.len() - reader.position().min(bytes.len());
            let step = match self.ops > OPCODES {
                true => Err("more than 33 million opcodes"),
                false => self.step(op, left),
            };
            if let Err(what) = step {
                self.doubt(at, what.to_owned());
                break;
            }
            if built && arrays {
                let after = bytes.get(reader.position()..).unwrap_or_default();
                match super::arrays::behind(self, after) {
                    None => {}
                    Some(Behind::Raw(size)) => {
                        self.arrays.push((reader.position(), size));
                        reader.pass_over(size);
                    }
                    Some(Behind::Pickle) => {
                        self.end = reader.position();
                        self.inner(bytes, see);
                        reader.pass_over(self.end - reader.position());
                    }
                }
            }
        }
        self.end = reader.position();
        crossed.or(reader.crossed.then_some(self.end))
    }

    /// A pickle within this one, with a stack and a memo of its own.
    fn inner(&mut self, bytes: &'a [u8], see: &mut dyn FnMut(&Op<'a>)) {
        let stack = std::mem::take(&mut self.stack);
        let marks = std::mem::take(&mut self.marks);
        let memo = std::mem::take(&mut self.memo);
        self.read(Reader::new(bytes, self.end), bytes, see, false);
        (self.stack, self.marks, self.memo) = (stack, marks, memo);
        self.result = None;
    }

    /// Notes that loading fails here, if it does not before.
    fn doubt(&mut self, at: usize, what: String) {
        self.error.get_or_insert(Malformed { at, what });
    }

    /// The worst that was seen, also where loading fails later: by then it has happened.
    pub fn verdict(&self) -> Verdict {
        match (self.call_count, self.import_count) {
            (1.., _) => Verdict::RunsCode,
            (0, 1..) => Verdict::Imports,
            (0, 0) => Verdict::DataOnly,
        }
    }

    /// The value `id`.
    pub fn value(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Step<()> {
        let id = Id::try_from(self.values.len()).map_err(|_| "more than 2^32 values")?;
        self.values.push(value);
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("the stack is empty here");
        }
        self.stack.pop().ok_or("the stack is empty here")
    }

    pub(super) fn top(&self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(<[Id]>::last);
        top.copied().ok_or("the stack is empty here")
    }

    pub(super) fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("no MARK was set")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn extend(&mut self, list: Id, items: Vec<Id>) {
        // Of other types it may still be that loading goes on: what follows must be seen.
        match self.values.get_mut(list as usize) {
            Some(Value::List(have) | Value::Set(have)) => have.extend(items),
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
                    self.doubt(at, "a protocol above 5".to_owned());
                }
            }
            // Python's reader that is written in Python does not mind.
            ("FRAME", _) if usize::try_from(key).map_or(true, |size| size > left) => {
                self.doubt(at, "a frame that is longer than what follows".to_owned());
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
                if matches!(n, Integer::Digits(d) if d.trim_start_matches(['-', '+']).starts_with('0'))
                {
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
            ("BYTEARRAY8", Arg::Bytes(bytes)) => self.push(Value::ByteArray(bytes))?,
            (_, Arg::Bytes(bytes)) => self.push(Value::Bytes(bytes))?,
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
            ("EMPTY_SET", _) => self.push(Value::Set(Vec::new()))?,
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
                let items = self.since_mark()?;
                self.push(Value::Set(items))?;
            }
            ("APPEND", _) => {
                let item = self.pop()?;
                let list = self.top()?;
                self.extend(list, vec![item]);
            }
            ("APPENDS" | "ADDITEMS", _) => {
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
}
