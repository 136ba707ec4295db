//! The index of `dbm.dumb`, in which `shelve` keeps pickles by key: which bytes of the data file are whose.
//!
//! Invariant: as Python reads it, literal by literal, and nothing is evaluated.

use std::collections::HashMap;

/// One entry of a shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key as it was encoded.
    pub key: Vec<u8>,
    /// Where its value begins in the data file.
    pub at: usize,
    /// How long that is.
    pub size: usize,
}

/// The entries of an index, in their order; of those with one key the last counts. Else what is wrong with it.
pub fn shelf(index: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for (n, line) in index.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        let read = entry(line).ok_or_else(|| format!("line {} of the index is none", n + 1))?;
        match places.get(&read.key).and_then(|at| entries.get_mut(*at)) {
            Some(known) => *known = read,
            None => {
                places.insert(read.key.clone(), entries.len());
                entries.push(read);
            }
        }
    }
    Ok(entries)
}

/// `'key', (0, 25)`.
fn entry(line: &[u8]) -> Option<Entry> {
    let (quote, mut rest) = line.split_first()?;
    if !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let mut key = Vec::new();
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'\\' => {
                let (escape, after) = rest.split_first()?;
                rest = after;
                key.push(match escape {
                    b'\\' | b'\'' | b'"' => *escape,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'x' => {
                        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                        rest = rest.get(2..)?;
                        u8::from_str_radix(digits, 16).ok()?
                    }
                    _ => return None,
                });
            }
            byte if byte == quote => break,
            byte => key.push(*byte),
        }
    }
    let numbers = std::str::from_utf8(rest).ok()?;
    let numbers = numbers.strip_prefix(", (")?.strip_suffix(')')?;
    let (at, size) = numbers.split_once(", ")?;
    Some(Entry {
        key,
        at: at.parse().ok()?,
        size: size.parse().ok()?,
    })
}
