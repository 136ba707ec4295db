//! The pickles within a file: compressed, encoded, in archives and arrays, one after the other.
//!
//! Invariant: a work list, no recursion; [`LAYERS`] deep, [`PARTS`] wide, and [`UNPACKED`] bytes in all.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bzip2::read::MultiBzDecoder;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use lzma_rust2::{LzmaReader, XzReader};

use super::machine::run;

/// Wrappings within each other that are taken off.
const LAYERS: usize = 6;
/// Parts of one file that are looked at.
const PARTS: usize = 10_000;
/// Bytes that are unpacked from one file in all.
pub const UNPACKED: usize = 1 << 30;

/// KiB that unpacking of xz and lzma may take: what their own programs write is below that.
const WINDOW: u32 = 128 << 10;

/// Bytes that hold pickles from `start` on.
#[derive(Debug)]
pub struct Part<'a> {
    /// The way there: `zip:data.pkl`, `base64`, `zlib`; empty for the file itself.
    pub way: Vec<String>,
    /// The bytes.
    pub bytes: Cow<'a, [u8]>,
    /// Where the first pickle begins.
    pub start: usize,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Unwrapped<'a> {
    /// Parts with pickles.
    pub parts: Vec<Part<'a>>,
    /// What was not looked at, and why.
    pub notes: Vec<String>,
}

/// Finds the pickles in `bytes`.
pub fn unwrap(bytes: &[u8]) -> Unwrapped<'_> {
    unwrap_within(bytes, UNPACKED)
}

/// As [`unwrap`], with at most `left` bytes unpacked.
pub fn unwrap_within(bytes: &[u8], mut left: usize) -> Unwrapped<'_> {
    let mut found = Unwrapped::default();
    let mut work = vec![(Vec::new(), Cow::Borrowed(bytes))];
    let mut seen = 0;
    while let Some((way, bytes)) = work.pop() {
        seen += 1;
        if seen > PARTS {
            found
                .notes
                .push(format!("only the first {PARTS} parts were looked at"));
            break;
        }
        if way.len() > LAYERS {
            let place = way.join(" > ");
            found.notes.push(format!(
                "{place}: more than {LAYERS} wrappings within each other"
            ));
            continue;
        }
        if let Some(start) = pickle_at(&bytes) {
            found.parts.push(Part { way, bytes, start });
            continue;
        }
        let inner = peel(&bytes, &way, &mut left, &mut found.notes);
        work.extend(inner.into_iter().flatten().rev().map(|(name, bytes)| {
            let mut way = way.clone();
            way.push(name);
            (way, Cow::Owned(bytes))
        }));
    }
    found
}

/// Where the first pickle begins, if these bytes are pickles.
fn pickle_at(bytes: &[u8]) -> Option<usize> {
    if let Some(after) = bytes.strip_prefix(b"\x93NUMPY") {
        let (size, from): (usize, usize) = match after {
            [1, _, low, high, ..] => (usize::from(u16::from_le_bytes([*low, *high])), 10),
            [_, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
            _ => return None,
        };
        let start = from.checked_add(size)?;
        let header = String::from_utf8_lossy(bytes.get(from..start)?);
        // Objects stand as `O` in the type of the array, and only they are pickled.
        let kind = header
            .split("'descr':")
            .nth(1)?
            .split("'fortran_order'")
            .next()?;
        return kind.contains('O').then_some(start);
    }
    let begins = matches!(bytes, [0x80, 0..=5, ..]);
    let machine = (!begins).then(|| run(bytes, 0));
    let whole = machine.is_some_and(|m| match m.error {
        None => m.end == bytes.len() || m.ops > 3 || run(bytes, m.end).error.is_none(),
        Some(_) => !m.imports.is_empty(),
    });
    (begins || whole).then_some(0)
}

/// Takes one wrapping off; nothing if there is none.
fn peel(
    bytes: &[u8],
    way: &[String],
    left: &mut usize,
    notes: &mut Vec<String>,
) -> Option<Vec<(String, Vec<u8>)>> {
    let mut note = |what: &str| {
        let place = way.join(" > ");
        notes.push(if place.is_empty() {
            what.to_owned()
        } else {
            format!("{place}: {what}")
        });
    };
    let unpacked = match bytes {
        [b'P', b'K', 3, 4, ..] => {
            let mut archive = match zip::ZipArchive::new(std::io::Cursor::new(bytes)) {
                Ok(archive) => archive,
                Err(error) => {
                    note(&format!("the zip archive cannot be read: {error}"));
                    return Some(Vec::new());
                }
            };
            let mut inner = Vec::new();
            for index in 0..archive.len().min(PARTS) {
                match archive.by_index(index) {
                    Ok(entry) => {
                        let name = format!("zip:{}", entry.name());
                        match inflated(entry, left) {
                            Ok(bytes) => inner.push((name, bytes)),
                            Err(what) => note(&format!("{name}: {what}")),
                        }
                    }
                    Err(error) => note(&format!("entry {index} of the zip archive: {error}")),
                }
            }
            return Some(inner);
        }
        [0x1f, 0x8b, ..] => Some(("gzip", inflated(MultiGzDecoder::new(bytes), left))),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => {
            Some(("bz2", inflated(MultiBzDecoder::new(bytes), left)))
        }
        // What joblib wrote until 2016: the size, then zlib.
        [b'Z', b'F', b'0', b'x', ..] => {
            let packed = bytes.get(21..).unwrap_or_default();
            Some(("joblib's zlib", inflated(ZlibDecoder::new(packed), left)))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let unpacked = XzReader::new_mem_limit(bytes, true, WINDOW);
            Some(("xz", inflated(unpacked, left)))
        }
        [0x5d, 0, 0, ..] => {
            let unpacked = LzmaReader::new_mem_limit(bytes, WINDOW, None);
            let unpacked = unpacked.map_err(|error| error.to_string());
            Some(("lzma", unpacked.and_then(|from| inflated(from, left))))
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => {
            note("lz4 is not unpacked; unpack it and inspect what comes out");
            return Some(Vec::new());
        }
        [0x78, flags, ..] if (0x7800 + u16::from(*flags)) % 31 == 0 => {
            let inner = inflated(ZlibDecoder::new(bytes), left);
            inner.is_ok().then_some(("zlib", inner))
        }
        _ => None,
    };
    match unpacked {
        Some((name, Ok(inner))) => return Some(vec![(name.to_owned(), inner)]),
        Some((name, Err(what))) => {
            note(&format!("{name}: {what}"));
            return Some(Vec::new());
        }
        None => {}
    }
    let (name, inner) = decoded(bytes)?;
    *left = left.checked_sub(inner.len())?;
    Some(vec![(name.to_owned(), inner)])
}

/// Reads all of `packed`, but never more than may still be unpacked.
fn inflated(packed: impl Read, left: &mut usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let read = packed.take(*left as u64 + 1).read_to_end(&mut out);
    read.map_err(|error| error.to_string())?;
    match left.checked_sub(out.len()) {
        Some(rest) => *left = rest,
        None => return Err("it unpacks to more than may be".to_owned()),
    }
    Ok(out)
}

/// Text that stands for bytes: hex, then the two alphabets of base64, with or without padding.
fn decoded(bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let start = bytes.get(..4096.min(bytes.len()))?;
    if start.len() < 4 || !start.is_ascii() {
        return None;
    }
    let text: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    if text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit) {
        let digit = |b: &u8| char::from(*b).to_digit(16).map(|d| d as u8);
        let pairs = text.chunks_exact(2);
        let bytes = pairs.map(|pair| Some((digit(pair.first()?)? << 4) | digit(pair.get(1)?)?));
        return Some(("hex", bytes.collect::<Option<_>>()?));
    }
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let standard = GeneralPurpose::new(&alphabet::STANDARD, config);
    let urlsafe = GeneralPurpose::new(&alphabet::URL_SAFE, config);
    if let Ok(bytes) = standard.decode(&text) {
        return Some(("base64", bytes));
    }
    Some(("urlsafe base64", urlsafe.decode(&text).ok()?))
}
