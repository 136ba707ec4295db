//! Stored pickles as one document: JSON for one value, JSON Lines for several, an object for a shelf.
//!
//! Invariant: all of it or nothing. No value is left out, none is cut, and no bytes are passed over.

use super::json::{BOUND, Lost, to_json_within};
use super::machine::run;
use super::reader::Reader;
use super::shelf::shelf;
use super::unwrap::unwrap;

/// Stored pickles as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The text, with a line end.
    pub text: String,
    /// Whether each line is a value.
    pub lines: bool,
    /// How many values there are.
    pub values: usize,
    /// What is lost, and how many times.
    pub lost: Lost,
    /// What the pickles were wrapped in.
    pub way: Vec<String>,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is something else; or, if it is a pickle of protocol 0 or 1 after all, this is wrong with it.
    NoPickle(String),
    /// It is not looked into.
    Unread(String),
    /// It holds pickles, and they cannot be said in JSON.
    Refused(String),
}

/// Databases that hold shelves, too: how their files begin, and where; and what they are.
const DATABASES: &[(usize, &[u8], &str)] = &[
    (0, b"SQLite format 3\0", "SQLite"),
    (0, b"\xcd\x9a\x57\x13", "dbm.gnu"),
    (0, b"\xce\x9a\x57\x13", "dbm.gnu"),
    (0, b"\xcf\x9a\x57\x13", "dbm.gnu"),
    (0, b"\x13\x57\x9a\xcd", "dbm.gnu"),
    (0, b"\x13\x57\x9a\xce", "dbm.gnu"),
    (0, b"\x13\x57\x9a\xcf", "dbm.gnu"),
    (12, b"\x61\x15\x06\x00", "dbm.ndbm (Berkeley DB)"),
    (12, b"\x00\x06\x15\x61", "dbm.ndbm (Berkeley DB)"),
    (0, b"\x61\x15\x06\x00", "dbm.ndbm (Berkeley DB)"),
    (0, b"\x00\x06\x15\x61", "dbm.ndbm (Berkeley DB)"),
];

/// The database that `bytes` begin as, if it is one that is not read.
pub fn database(bytes: &[u8]) -> Option<&'static str> {
    let begins = |(at, magic, _): &&(usize, &[u8], &str)| {
        bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic))
    };
    DATABASES.iter().find(begins).map(|(_, _, name)| *name)
}

/// Whether a file that begins with `start` may hold pickles: what is worth reading whole.
pub fn may_hold(start: &[u8]) -> bool {
    let packed: &[&[u8]] = &[
        b"PK\x03\x04",
        b"\x1f\x8b",
        b"BZh",
        b"ZF0x",
        b"\x93NUMPY",
        b"\xfd7zXZ",
        b"\x04\x22\x4d\x18",
    ];
    let text = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(byte);
    matches!(start, [0x80, 0..=5, ..] | [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] | [0x5d, 0, 0, ..])
        || packed.iter().any(|magic| start.starts_with(magic))
        || database(start).is_some()
        || start.iter().all(text)
        // Protocols 0 and 1 begin with anything: these with what is an opcode several times.
        || Reader::new(start, 0).take(3).all(|op| op.is_ok())
}

/// The pickles in `bytes`, one after the other.
pub fn document(bytes: &[u8]) -> Result<Document, Obstacle> {
    let refused = |what: &str| Err(Obstacle::Refused(what.to_owned()));
    if let Some(name) = database(bytes) {
        return Err(Obstacle::Unread(format!("a database of {name}")));
    }
    let found = unwrap(bytes);
    if let Some(note) = found.notes.first() {
        return Err(Obstacle::Unread(note.clone()));
    }
    let part = match found.parts.as_slice() {
        [] => return Err(Obstacle::NoPickle("it holds no pickle".to_owned())),
        [part] if !part.way.iter().any(|step| step.starts_with("zip:")) => part,
        _ => return refused("it is an archive; unpack it and convert what is in it"),
    };
    if part.start > 0 {
        return refused("it is an array of NumPy; numpy.load and tolist() give its values");
    }
    let bytes = part.bytes.as_ref();
    let begins = bytes.first() == Some(&0x80);
    let mut document = Document {
        text: String::new(),
        lines: false,
        values: 0,
        lost: Lost::new(),
        way: part.way.clone(),
    };
    let mut at = 0;
    while at < bytes.len() {
        let machine = run(bytes, at);
        let left = BOUND.saturating_sub(document.text.len());
        let done = match document.values > 0 && machine.ops == 0 {
            true => Err(format!("{} bytes after it are no pickle", bytes.len() - at)),
            false => to_json_within(&machine, left),
        };
        let done = done.map_err(|what| {
            let what = match document.values {
                0 => what,
                n => format!("pickle {}: {what}", n + 1),
            };
            // Words may begin as a pickle of the first protocols does; none goes on as one for long.
            match machine.error.is_some() && !begins {
                true => Obstacle::NoPickle(what),
                false => Obstacle::Refused(what),
            }
        })?;
        document.text.push_str(&done.json);
        document.text.push('\n');
        document.values += 1;
        for (what, times) in done.lost {
            *document.lost.entry(what).or_default() += times;
        }
        at = machine.end;
    }
    document.lines = document.values > 1;
    Ok(document)
}

/// A shelf of `dbm.dumb` as one object: `index` is its `.dir`, `data` its `.dat`.
pub fn shelf_document(index: &[u8], data: &[u8]) -> Result<Document, Obstacle> {
    let entries = shelf(index).map_err(Obstacle::Refused)?;
    let mut document = Document {
        text: String::from("{"),
        lines: false,
        values: 0,
        lost: Lost::new(),
        way: Vec::new(),
    };
    for entry in entries {
        let name = String::from_utf8_lossy(&entry.key).into_owned();
        let wrong = |what: String| Obstacle::Refused(format!("entry {name:?}: {what}"));
        let key = std::str::from_utf8(&entry.key);
        let key = key.map_err(|_| wrong("its key is no UTF-8".to_owned()))?;
        let end = entry.at.checked_add(entry.size);
        let bytes = end.and_then(|end| data.get(entry.at..end));
        let bytes = bytes.ok_or_else(|| wrong("its value is not in the data file".to_owned()))?;
        let machine = run(bytes, 0);
        let left = BOUND.saturating_sub(document.text.len());
        let done = to_json_within(&machine, left).map_err(wrong)?;
        if machine.end != bytes.len() {
            let left = bytes.len() - machine.end;
            return Err(wrong(format!("{left} bytes after its pickle")));
        }
        if document.values > 0 {
            document.text.push_str(", ");
        }
        super::json::quoted(key, &mut document.text);
        document.text.push_str(": ");
        document.text.push_str(&done.json);
        document.values += 1;
        for (what, times) in done.lost {
            *document.lost.entry(what).or_default() += times;
        }
    }
    document.text.push_str("}\n");
    Ok(document)
}
