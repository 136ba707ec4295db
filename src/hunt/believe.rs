//! What is believed to be a pickle: it is read by `pickle` first.
//!
//! Invariant: nothing counts that is not read to its end, or to something that it imports by a proper name, or into a frame.

use std::io::Read;

use super::payload::Payload;
use super::search::{At, NAME, Search, Spot};
use crate::pickle::{Import, Machine, is_opcode, run};

/// Bytes that are unpacked at one place at most.
const UNPACKED: usize = 1 << 20;
/// Bytes before a name in which a pickle without a head may begin.
const BEFORE: usize = 256;

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

impl Search<'_> {
    /// A pickle with a head.
    pub(super) fn headed(&mut self, bytes: &[u8], at: usize, spot: Spot<'_>) -> Option<At> {
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
        believed.then(|| Payload::told(&machine, bytes, at, whole, spot))
    }

    /// What is compressed at `at`, if a pickle comes out.
    pub(super) fn packed(&mut self, bytes: &[u8], at: usize, spot: Spot<'_>) -> Option<At> {
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
            0,
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
    pub(super) fn named(&mut self, bytes: &[u8], at: usize, spot: Spot<'_>) -> Option<At> {
        let first = self.run(bytes, at)?;
        let proper = first.imports.first().is_some_and(|i| is_name(&i.name));
        // A class that is made of what a mark begins fails without it; after any other name an opcode must come.
        if !proper || first.ops < 2 && bytes.get(at) == Some(&b'c') {
            return None;
        }
        let told = calls(&first) || known(&first);
        if first.error.is_none() && told {
            return Some(Payload::told(&first, bytes, at, true, spot));
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
                return Some(Payload::told(&machine, bytes, start, true, spot));
            }
        }
        // Of what is cut off only a known name is proof: any two lines of text may be read as one.
        let believed = known(&first) && first.ops >= 2;
        believed.then(|| Payload::told(&first, bytes, at, false, spot))
    }

    /// A container of plain values without a head, at `at`.
    pub(super) fn plain(&mut self, bytes: &[u8], at: usize, spot: Spot<'_>) -> Option<At> {
        let rest = bytes.get(at..)?;
        let begins = CONTAINERS.iter().find(|begins| rest.starts_with(begins))?;
        let machine = self.run(bytes, at)?;
        let plain = machine.error.is_none() && machine.imports.is_empty();
        let alone = edge(bytes, at, machine.end, spot.before.is_some());
        let believed = begins.len() > 3 || machine.ops >= 10 || alone;
        (plain && believed).then(|| Payload::told(&machine, bytes, at, true, spot))
    }
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
pub(super) fn is_name(name: &str) -> bool {
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
pub(super) fn names(bytes: &[u8], line: usize) -> Vec<usize> {
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
    // What cannot be the next opcode is most of text.
    let next = after.get(member + 1..).unwrap_or_default();
    let goes_on = match next {
        [b'p' | b'g', byte, ..] => byte.is_ascii_digit(),
        [b'S', byte, ..] => matches!(byte, b'\'' | b'"'),
        [byte, ..] => is_opcode(*byte),
        [] => true,
    };
    if !goes_on {
        return Vec::new();
    }
    let opcode = |at: &usize| {
        let begins = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
        matches!(bytes.get(*at), Some(b'c' | b'i')) && bytes.get(at + 1).is_some_and(begins)
    };
    (line - module..line - 1).filter(opcode).collect()
}
