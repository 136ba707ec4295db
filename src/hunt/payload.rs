//! Pickles in text of a log: found, read by `pickle`, and only then believed.
//!
//! Invariant: nothing counts that `pickle` does not read to its end, or to something that it imports by a proper name, or
//! into a frame; and work on one line is bounded.

use std::borrow::Cow;
use std::io::Read;

use aho_corasick::AhoCorasick;
use serde::Serialize;

use super::needles::{INNER, Needles, PACKED, PICKLED};
use super::readings::{Coding, Way, readings};
use crate::pickle::{Import, Machine, Verdict, is_opcode, run};

/// Bytes of pickles that are read in one line at most, false starts included.
const WORK: usize = 8 << 20;
/// Bytes that are unpacked at one place at most.
const UNPACKED: usize = 1 << 20;
/// Imports and calls that are kept of one pickle.
const KEPT: usize = 20;
/// Characters that are kept of one call.
const CALL: usize = 500;
/// Bytes before a name in which a pickle without a head may begin.
const BEFORE: usize = 256;
/// Longest name in a pickle without a head.
const NAME: usize = 100;

/// Modules that pickles of attacks name, by the first part of their name.
const KNOWN: [&str; 36] = [
    "os",
    "posix",
    "nt",
    "subprocess",
    "builtins",
    "__builtin__",
    "sys",
    "commands",
    "pty",
    "platform",
    "runpy",
    "importlib",
    "imp",
    "ctypes",
    "socket",
    "shutil",
    "code",
    "codeop",
    "timeit",
    "bdb",
    "pdb",
    "pip",
    "webbrowser",
    "operator",
    "_operator",
    "functools",
    "types",
    "marshal",
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "copy_reg",
    "copyreg",
    "urllib",
];

/// Containers with their first place in the memo, which pickles of plain values without a head begin with.
const CONTAINERS: [&[u8]; 8] = [
    b"(dp0\n", b"(dp1\n", b"(lp0\n", b"(lp1\n", b"}q\x00", b"}q\x01", b"]q\x00", b"]q\x01",
];

/// What a pickle in a log would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// It calls what it imports.
    RunsCode,
    /// It imports modules.
    Imports,
    /// The log does not have its end, nor anything imported before.
    CutOff,
    /// It makes plain values.
    DataOnly,
}

/// A pickle in a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Payload {
    /// What it would have done.
    pub does: Does,
    /// Highest protocol announced.
    pub protocol: u8,
    /// Whether it is all there.
    pub whole: bool,
    /// What was taken off to read it, outermost first: `percent`, `base64`, `zlib`.
    pub within: Vec<&'static str>,
    /// The part of the line that holds it: `query`, `referer`, `message`, a key of JSON.
    pub place: String,
    /// The name that stands before it: of a parameter, cookie or header.
    pub key: String,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it calls, with its arguments.
    pub calls: Vec<String>,
    /// Its bytes, to know it again in another reading.
    #[serde(skip)]
    bytes: Vec<u8>,
}

/// Looks for pickles in one line.
pub(super) struct Search<'h> {
    raw: &'h AhoCorasick,
    needles: &'h Needles,
    work: usize,
    found: Vec<Payload>,
}

/// Where a piece of text stands.
#[derive(Clone, Copy)]
struct Spot<'t> {
    place: &'t str,
    way: &'t Way,
    /// The text before it; none where the bytes are that text themselves.
    before: Option<&'t [u8]>,
}

/// A pickle, and from where to where it was read.
type At = (Payload, usize, usize);

impl<'h> Search<'h> {
    pub(super) fn new(raw: &'h AhoCorasick, needles: &'h Needles) -> Search<'h> {
        Search {
            raw,
            needles,
            work: WORK,
            found: Vec::new(),
        }
    }

    /// What was found; how it was told apart is not needed any more.
    pub(super) fn take(&mut self) -> Vec<Payload> {
        let mut found = std::mem::take(&mut self.found);
        found
            .iter_mut()
            .for_each(|payload| payload.bytes = Vec::new());
        found
    }

    /// Whether anything was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether the bound on work was met.
    pub(super) fn is_cut(&self) -> bool {
        self.work == 0
    }

    /// Looks through `text`, which is the part `place` of a line, in every way in which it may be written.
    pub(super) fn field(&mut self, place: &str, text: &[u8]) {
        for (way, text) in readings(text) {
            self.bytes(
                &text,
                Spot {
                    place,
                    way: &way,
                    before: None,
                },
            );
            let mut done = 0;
            for (coding, at) in self.needles.coded(&text) {
                if at >= done && self.work > 0 {
                    done = self.coded(&text, coding, at, place, &way);
                }
            }
        }
    }

    /// Looks through `window`, which is raw, for a pickle that is not over before `line`, of which only the first is taken:
    /// from where to where it stands.
    pub(super) fn window(
        &mut self,
        window: &[u8],
        line: (usize, usize),
        from: usize,
    ) -> Option<(usize, usize)> {
        let spot = Spot {
            place: "message",
            way: &Vec::new(),
            before: None,
        };
        let all = self.all(window, line.1, spot);
        let mut touching = all
            .into_iter()
            .filter(|(_, start, end)| *start >= from && *start < line.1 && *end > line.0);
        let (payload, start, end) = touching.next()?;
        self.keep(payload);
        Some((start, end))
    }

    /// Decodes what is written in `coding` around `at`; where that ends.
    fn coded(&mut self, text: &[u8], coding: Coding, at: usize, place: &str, way: &Way) -> usize {
        let (start, end) = coding.run(text, at);
        let whole = text.get(start..end).unwrap_or_default();
        let mut way = way.clone();
        way.push(coding.name());
        let spot = Spot {
            place,
            way: &way,
            before: text.get(..start),
        };
        for skip in coding.skips(text, start, at) {
            let decoded = coding.decode(whole, skip);
            if decoded.is_some_and(|bytes| self.bytes(&bytes, spot)) {
                return end;
            }
        }
        // Another line may have been taken for the rest of it.
        let first = whole
            .iter()
            .position(|b| *b == b'\n')
            .filter(|_| coding == Coding::Base64);
        if let Some(first) = first.and_then(|end| whole.get(..end)) {
            let decoded = coding.decode(first, 0);
            if let Some(bytes) = decoded {
                self.bytes(&bytes, spot);
            }
        }
        end
    }

    /// Keeps the pickles in `bytes`; whether there are any.
    fn bytes(&mut self, bytes: &[u8], spot: Spot<'_>) -> bool {
        let all = self.all(bytes, bytes.len(), spot);
        let any = !all.is_empty();
        all.into_iter().for_each(|(payload, ..)| self.keep(payload));
        any
    }

    /// The pickles in `bytes` that begin before `until`, in order.
    fn all(&mut self, bytes: &[u8], until: usize, spot: Spot<'_>) -> Vec<At> {
        let mut all: Vec<At> = Vec::new();
        let mut inner: Vec<usize> = Vec::new();
        let raw = self.raw;
        let mut done = 0;
        let near = |more: usize| {
            bytes
                .get(..bytes.len().min(until.saturating_add(more)))
                .unwrap_or_default()
        };
        for found in raw.find_overlapping_iter(near(16)) {
            let (id, at) = (found.pattern().as_usize(), found.start());
            if at < done || at >= until || self.work == 0 {
                continue;
            }
            let pickle = match id {
                id if id < PICKLED => self.headed(bytes, at, spot),
                id if id < PACKED => self.packed(bytes, at, spot),
                _ => {
                    inner.push(at);
                    None
                }
            };
            if let Some(pickle) = pickle {
                done = pickle.2;
                all.push(pickle);
            }
        }
        let covered = |all: &[At], at: usize| {
            all.iter()
                .any(|(_, start, end)| (*start..*end).contains(&at))
        };
        if inner.iter().all(|at| covered(&all, *at)) {
            return all;
        }
        for line in memchr::memchr_iter(b'\n', near(NAME)) {
            for name in names(bytes, line) {
                if !covered(&all, name) && self.work > 0 {
                    all.extend(self.named(bytes, name, spot));
                }
            }
        }
        for at in inner {
            if !covered(&all, at) && self.work > 0 {
                all.extend(self.plain(bytes, at, spot));
            }
        }
        all.sort_by_key(|(_, start, _)| *start);
        all
    }

    /// Reads a pickle at `at`, if there is still work to be done.
    fn run<'b>(&mut self, bytes: &'b [u8], at: usize) -> Option<Machine<'b>> {
        if self.work == 0 {
            return None;
        }
        let machine = run(bytes, at);
        self.work = self.work.saturating_sub(machine.end - at + 16);
        Some(machine)
    }

    /// A pickle with a head.
    fn headed(&mut self, bytes: &[u8], at: usize, spot: Spot<'_>) -> Option<At> {
        let rest = bytes.get(at..)?;
        if !is_opcode(*rest.get(2)?) {
            return None;
        }
        let mut machine = self.run(bytes, at)?;
        let whole = machine.error.is_none();
        // A frame that a log cut off still tells what is in it.
        let framed = rest.get(2) == Some(&0x95) && rest.get(7..11) == Some(&[0; 4]);
        if framed && !whole {
            machine = self.run(bytes, at + 11)?;
            machine.protocol = machine.protocol.max(*rest.get(1)?);
        }
        let named = machine.imports.iter().any(|import| is_name(&import.name));
        let decoded = spot.before.is_some();
        let alone = edge(bytes, at, machine.end, decoded);
        let believed = match (whole, machine.imports.is_empty()) {
            _ if named || framed => true,
            (true, true) => machine.ops >= 10 || alone && machine.ops >= 3,
            _ => false,
        };
        believed.then(|| self.told(&machine, bytes, at, whole, spot))
    }

    /// What is compressed at `at`, if a pickle comes out.
    fn packed(&mut self, bytes: &[u8], at: usize, spot: Spot<'_>) -> Option<At> {
        let packed = bytes.get(at..)?;
        let (name, unpacked) = inflate(packed, UNPACKED)?;
        self.work = self.work.saturating_sub(unpacked.len() + 1024);
        let mut way = spot.way.clone();
        way.push(name);
        let before = spot.before.or(bytes.get(..at));
        if way.len() > 6 {
            return None;
        }
        let inner = self.all(
            &unpacked,
            unpacked.len(),
            Spot {
                way: &way,
                before,
                ..spot
            },
        );
        let (payload, ..) = inner.into_iter().next()?;
        Some((payload, at, bytes.len()))
    }

    /// A pickle without a head that imports the name at `at`.
    fn named(&mut self, bytes: &[u8], at: usize, spot: Spot<'_>) -> Option<At> {
        let first = self.run(bytes, at)?;
        let proper = first.imports.first().is_some_and(|i| is_name(&i.name));
        // A class that is made of what a mark begins fails without it; after any other name an opcode must come.
        if !proper || first.ops < 2 && bytes.get(at) == Some(&b'c') {
            return None;
        }
        let told = calls(&first) || known(&first);
        if first.error.is_none() && told {
            return Some(self.told(&first, bytes, at, true, spot));
        }
        let marked = bytes.get(at.wrapping_sub(1)) == Some(&b'(') || bytes.get(at) == Some(&b'i');
        if !told && !marked {
            return None;
        }
        // It may stand in a container, or behind its arguments.
        let starts = (at.saturating_sub(BEFORE)..at).rev();
        for start in starts.filter(|start| bytes.get(*start).is_some_and(|b| b"(]}c".contains(b))) {
            let machine = self.run(bytes, start)?;
            let proper = |i: &Import| i.at == at && is_name(&i.name);
            if machine.error.is_none()
                && machine.imports.iter().any(proper)
                && (calls(&machine) || known(&machine))
            {
                return Some(self.told(&machine, bytes, start, true, spot));
            }
        }
        // Of what is cut off only a known name is proof: any two lines of text may be read as one.
        let believed = known(&first) && first.ops >= 2;
        believed.then(|| self.told(&first, bytes, at, false, spot))
    }

    /// A container of plain values without a head, at `at`.
    fn plain(&mut self, bytes: &[u8], at: usize, spot: Spot<'_>) -> Option<At> {
        let rest = bytes.get(at..)?;
        let begins = CONTAINERS.iter().find(|begins| rest.starts_with(begins))?;
        let machine = self.run(bytes, at)?;
        let plain = machine.error.is_none() && machine.imports.is_empty();
        let alone = edge(bytes, at, machine.end, spot.before.is_some());
        let believed = begins.len() > 3 || machine.ops >= 10 || alone;
        (plain && believed).then(|| self.told(&machine, bytes, at, true, spot))
    }

    fn told(
        &self,
        machine: &Machine<'_>,
        bytes: &[u8],
        at: usize,
        whole: bool,
        spot: Spot<'_>,
    ) -> At {
        let does = match (machine.verdict(), whole) {
            (Verdict::RunsCode, _) => Does::RunsCode,
            (Verdict::Imports, _) => Does::Imports,
            (Verdict::DataOnly, true) => Does::DataOnly,
            (Verdict::DataOnly, false) => Does::CutOff,
        };
        let mut imports: Vec<String> = Vec::new();
        for import in machine
            .imports
            .iter()
            .filter(|import| is_name(&import.name))
        {
            if imports.len() < KEPT && !imports.contains(&import.name) {
                imports.push(import.name.clone());
            }
        }
        let calls = machine.calls.iter().take(KEPT);
        let before = spot.before.or(bytes.get(..at)).unwrap_or_default();
        let payload = Payload {
            does,
            protocol: machine.protocol,
            whole,
            within: spot.way.clone(),
            place: spot.place.to_owned(),
            key: key(before),
            imports,
            calls: calls
                .map(|call| shortened(&format!("{}({})", call.callable, call.arguments)))
                .collect(),
            bytes: bytes.get(at..machine.end).unwrap_or_default().to_vec(),
        };
        (payload, at, machine.end)
    }

    /// Keeps `payload`, unless it is one that was read in another way already; then the better of them.
    fn keep(&mut self, payload: Payload) {
        match self.found.iter_mut().find(|have| same(have, &payload)) {
            None => self.found.push(payload),
            Some(have) => {
                let rank = |p: &Payload| (p.whole, p.bytes.len());
                if rank(&payload) > rank(have) {
                    *have = payload;
                }
            }
        }
    }
}

fn shortened(text: &str) -> String {
    let mut out: String = text.chars().take(CALL).collect();
    if out.len() < text.len() {
        out.push_str("...");
    }
    out
}

/// Whether two are one that was read in two ways, of which one may be wrong.
fn same(a: &Payload, b: &Payload) -> bool {
    let both = a.whole && b.whole;
    // A head and the frame that follows.
    let most = if both { usize::MAX } else { 11 };
    let common = a.bytes.len().min(b.bytes.len()).min(most);
    if a.bytes.get(..common) == b.bytes.get(..common) {
        return true;
    }
    if a.within == b.within || a.place != b.place {
        return false;
    }
    let part = |a: &Payload, b: &Payload| {
        !a.imports.is_empty() && a.imports.iter().all(|name| b.imports.contains(name))
    };
    let told = |p: &Payload| (p.does, p.protocol, p.imports.clone(), p.calls.len());
    match (both, a.whole) {
        (true, _) => told(a) == told(b),
        (_, true) => part(b, a),
        _ => part(a, b),
    }
}

/// The automaton of what is searched for in bytes themselves.
pub(super) fn raw() -> Option<AhoCorasick> {
    let heads = super::needles::HEADS.iter();
    AhoCorasick::new(heads.chain(&INNER)).ok()
}

/// At most `most` bytes of what is compressed.
pub(super) fn inflate(packed: &[u8], most: usize) -> Option<(&'static str, Vec<u8>)> {
    let (name, mut reader): (_, Box<dyn Read + '_>) = match packed {
        [0x1f, ..] => ("gzip", Box::new(flate2::read::GzDecoder::new(packed))),
        _ => ("zlib", Box::new(flate2::read::ZlibDecoder::new(packed))),
    };
    let mut out = Vec::new();
    // What a log cut off still gives its beginning.
    let _ = reader.by_ref().take(most as u64).read_to_end(&mut out);
    (!out.is_empty()).then_some((name, out))
}

/// Whether bytes that begin so are worth a look: a pickle, by its first opcodes.
pub(super) fn begins(bytes: &[u8]) -> bool {
    match bytes {
        [0x80, 2..=5, next, ..] => {
            // An argument may be longer than what is here.
            let long = b"cXVSTUB\x8c\x8d\x95".contains(next);
            is_opcode(*next) && (long || run(bytes, 0).ops >= 3)
        }
        [b'c' | b'(' | b']' | b'}' | b'V' | b'S', ..] => true,
        _ => false,
    }
}

/// Whether a pickle has nothing around it that would be part of the same word.
fn edge(bytes: &[u8], start: usize, end: usize, decoded: bool) -> bool {
    let before = bytes.get(..start).and_then(<[u8]>::last);
    let after = bytes.get(end..).unwrap_or_default();
    match decoded {
        true => before.is_none() && after.iter().all(u8::is_ascii_whitespace),
        false => {
            let part = |b: &u8| !b.is_ascii() || b.is_ascii_alphanumeric() || b.is_ascii_control();
            !before.is_some_and(part) && !after.first().is_some_and(part)
        }
    }
}

/// Whether `name` is a module and what is in it.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    name.contains('.') && name.split('.').all(part)
}

/// Whether something that is imported by a proper name is called.
fn calls(machine: &Machine<'_>) -> bool {
    let imported = |name: &str| machine.imports.iter().any(|import| import.name == name);
    let mut calls = machine.calls.iter();
    calls.any(|call| is_name(&call.callable) && imported(&call.callable))
}

/// Whether something is imported that attacks import.
fn known(machine: &Machine<'_>) -> bool {
    let root = |name: &str| {
        let root = name.split('.').next();
        is_name(name) && root.is_some_and(|root| KNOWN.contains(&root))
    };
    machine.imports.iter().any(|import| root(&import.name))
}

/// Where a name may be imported by two lines, of which the first ends at `line`.
fn names(bytes: &[u8], line: usize) -> Vec<usize> {
    let word = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    let first = bytes
        .get(line.saturating_sub(NAME)..line)
        .unwrap_or_default();
    let module = first.iter().rev().take_while(word).count();
    let after = bytes.get(line + 1..).unwrap_or_default();
    let member = after.iter().take(NAME).take_while(word).count();
    if module < 2 || member == 0 || after.get(member) != Some(&b'\n') {
        return Vec::new();
    }
    let opcode = |at: &usize| {
        let begins = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
        matches!(bytes.get(*at), Some(b'c' | b'i')) && bytes.get(at + 1).is_some_and(begins)
    };
    (line - module..line - 1).filter(opcode).collect()
}

/// The name before a value: `cart=`, `"cart": b'`.
fn key(before: &[u8]) -> String {
    let tail = before
        .get(before.len().saturating_sub(100)..)
        .unwrap_or_default();
    let tail: Cow<'_, str> = String::from_utf8_lossy(tail);
    let tail = tail.trim_end_matches(['"', '\'', '\\', ' ', '[', '(']);
    let tail = tail
        .strip_suffix(['b', 'B'])
        .filter(|t| t.ends_with(['=', ':', ' ']))
        .unwrap_or(tail)
        .trim_end();
    let Some(tail) = tail.strip_suffix(['=', ':']) else {
        return String::new();
    };
    let tail = tail.trim_end_matches(['"', '\'', '\\', ' ']);
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start = tail.rfind(|c| !word(c)).map_or(0, |at| at + 1);
    // A character may be longer than a byte.
    tail.get(start..).unwrap_or_default().to_owned()
}
