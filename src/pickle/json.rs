//! A value as JSON, byte for byte as `json.dumps` writes it, with what is lost on the way; or why it cannot be.
//!
//! Invariant: no recursion, and no more than [`BOUND`] bytes: values may refer to each other many times.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustc_hash::FxHashSet;

use super::machine::{Id, Machine, Value};
use super::plain::Made;
use crate::text::json_character;

/// Bytes of JSON written for one pickle at most.
pub const BOUND: usize = 256 << 20;

/// Entries of dictionaries that may be overwritten.
const SLACK: usize = 1 << 20;

/// Nesting that `json.loads` still reads deep in a program's own calls.
const DEPTH: usize = 500;

/// JSON, and what it does not say any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The document.
    pub json: String,
    /// What is lost, and how many times.
    pub lost: Lost,
}

/// What JSON does not say as Python does, and how many times.
pub type Lost = BTreeMap<&'static str, usize>;

/// What stands on the work list.
enum Work {
    Value(Id),
    Key(Id),
    Text(&'static str),
    Leave(Id),
}

/// The result of `machine` as JSON; else why not. Where nothing is lost that `json.dumps` refuses (bytes, sets), or writes as
/// no JSON (NaN), it is what that gives.
pub fn to_json(machine: &Machine) -> Result<Converted, String> {
    to_json_within(machine, BOUND)
}

/// As [`to_json`], in at most `bound` bytes.
pub fn to_json_within(machine: &Machine, bound: usize) -> Result<Converted, String> {
    if let Some(error) = &machine.error {
        return Err(format!("it cannot be loaded: {error}"));
    }
    if let Some(name) = &machine.unknown_call {
        return Err(format!("loading it calls {name}"));
    }
    if let Some(name) = &machine.unknown_import {
        return Err(format!("loading it imports {name}"));
    }
    if machine.outside > 0 {
        return Err("a part of it is not in the pickle, or no pickler writes it so".to_owned());
    }
    let result = machine.result.ok_or("it holds no value")?;
    let mut out = String::new();
    let mut lost = Lost::new();
    let mut open: Vec<Id> = Vec::new();
    let mut within = FxHashSet::default();
    let mut seen = FxHashSet::default();
    let mut work = vec![Work::Value(result)];
    let mut steps = 0;
    while let Some(next) = work.pop() {
        // Entries that overwrite each other, again and again, are work and leave no byte.
        if out.len() > bound || steps > out.len() + work.len() + SLACK {
            return Err(format!("it is longer than {bound} bytes as JSON"));
        }
        let id = match next {
            Work::Text(text) => {
                out.push_str(text);
                continue;
            }
            Work::Leave(id) => {
                open.pop();
                within.remove(&id);
                continue;
            }
            Work::Key(id) => {
                key(machine, id, &mut out, &mut lost)?;
                continue;
            }
            Work::Value(id) => id,
        };
        let value = machine.value(id);
        let size = match value {
            Value::List(items) | Value::Tuple(items) | Value::Set(items) => Some(items.len()),
            Value::Dict(items) => Some(items.len()),
            Value::Made(Made::Set(size), _) => Some(*size),
            _ => None,
        };
        if let Some(size) = size {
            steps += size;
            if !within.insert(id) {
                return Err("it contains itself".to_owned());
            }
            open.push(id);
            if open.len() > DEPTH {
                return Err(format!("it is nested deeper than {DEPTH} levels"));
            }
            if !seen.insert(id) && !matches!(value, Value::Tuple(_)) {
                lose(&mut lost, "shared references become copies");
            }
        }
        match value {
            Value::List(_) | Value::Tuple(_) | Value::Set(_) | Value::Made(Made::Set(_), _) => {
                let items = elements(machine, value);
                match value {
                    Value::Tuple(_) => lose(&mut lost, "tuples become lists"),
                    Value::Set(_) | Value::Made(..) => lose(&mut lost, "sets become lists"),
                    _ => {}
                }
                work.extend([Work::Leave(id), Work::Text("]")]);
                for (at, item) in items.iter().enumerate().rev() {
                    work.push(Work::Value(*item));
                    work.extend((at > 0).then_some(Work::Text(", ")));
                }
                work.push(Work::Text("["));
            }
            Value::Dict(items) => {
                let items = entries(machine, items)?;
                work.extend([Work::Leave(id), Work::Text("}")]);
                for (at, (key, value)) in items.iter().enumerate().rev() {
                    work.extend([Work::Value(*value), Work::Text(": "), Work::Key(*key)]);
                    work.extend((at > 0).then_some(Work::Text(", ")));
                }
                work.push(Work::Text("{"));
            }
            Value::Text(text) | Value::Str(text) => {
                plain(value)?;
                quote(text, &mut out, &mut lost);
            }
            Value::Bytes(_) | Value::ByteArray(_) | Value::Made(Made::Bytes, _) => {
                lose(&mut lost, "bytes become base64");
                out.push('"');
                STANDARD.encode_string(bytes(machine, value), &mut out);
                out.push('"');
            }
            Value::Float(number) if !number.is_finite() => {
                lose(&mut lost, "NaN and infinity become null");
                out.push_str("null");
            }
            _ => out.push_str(&scalar(value)?),
        }
    }
    Ok(Converted { json: out, lost })
}

/// The elements of a list, tuple or set.
fn elements<'m>(machine: &'m Machine, value: &'m Value) -> &'m [Id] {
    let (value, size) = match value {
        Value::Made(Made::Set(size), of) => (machine.value(*of), *size),
        _ => (value, usize::MAX),
    };
    match value {
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            items.get(..size).unwrap_or(items)
        }
        _ => &[],
    }
}

/// The bytes of a value that is some.
fn bytes<'m>(machine: &'m Machine, value: &'m Value) -> Cow<'m, [u8]> {
    let value = match value {
        Value::Made(Made::Bytes, of) => machine.value(*of),
        _ => value,
    };
    match value {
        Value::Bytes(bytes) | Value::ByteArray(bytes) => Cow::Borrowed(bytes),
        // Text of Latin-1, where each character is a byte.
        Value::Text(text) => String::from_utf8_lossy(text)
            .chars()
            .map(|c| c as u8)
            .collect(),
        _ => Cow::Borrowed(&[]),
    }
}

fn lose(lost: &mut Lost, what: &'static str) {
    *lost.entry(what).or_default() += 1;
}

/// The entries as a dictionary keeps them: the first key of those that are equal, with the last value.
fn entries(machine: &Machine, items: &[(Id, Id)]) -> Result<Vec<(Id, Id)>, String> {
    let mut places = rustc_hash::FxHashMap::default();
    let mut kept: Vec<(Id, Id)> = Vec::new();
    let mut written = FxHashSet::default();
    for (key, value) in items {
        let (same, text) = identity(machine.value(*key))?;
        match places.get(&same).and_then(|at: &usize| kept.get_mut(*at)) {
            Some(have) => have.1 = *value,
            None => {
                places.insert(same, kept.len());
                kept.push((*key, *value));
                if !written.insert(text) {
                    return Err("two keys are the same text in JSON".to_owned());
                }
            }
        }
    }
    Ok(kept)
}

/// Whether a key is text, and what makes it equal to others of its kind.
type Same<'v> = (bool, Cow<'v, [u8]>);

/// What makes keys equal in Python, and the text that the key is in JSON.
fn identity<'v>(value: &'v Value) -> Result<(Same<'v>, Cow<'v, [u8]>), String> {
    let text = match value {
        Value::Text(text) | Value::Str(text) => {
            plain(value)?;
            return Ok(((true, text.as_ref().into()), text.as_ref().into()));
        }
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => scalar(value)?,
        _ => return Err("a key is neither text nor number".to_owned()),
    };
    let same = match value {
        Value::Bool(truth) => i32::from(*truth).to_string(),
        Value::Float(number) if number.fract() == 0.0 => format!("{number:.0}").replace("-0", "0"),
        _ => text.clone(),
    };
    Ok(((false, same.into_bytes().into()), text.into_bytes().into()))
}

fn key(machine: &Machine, id: Id, out: &mut String, lost: &mut Lost) -> Result<(), String> {
    match machine.value(id) {
        Value::Text(text) | Value::Str(text) => quote(text, out, lost),
        value => {
            lose(lost, "keys that are no text become text");
            let _ = write!(out, "\"{}\"", scalar(value)?);
        }
    }
    Ok(())
}

/// Refuses the strings of Python 2 that `pickle.loads` does not read as text.
fn plain(value: &Value) -> Result<(), String> {
    match value {
        Value::Str(text) if !text.is_ascii() => {
            Err("a string of Python 2 is no ASCII, and its encoding is not known".to_owned())
        }
        _ => Ok(()),
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    let refused = |what: &str| Err(format!("JSON has no {what}"));
    match value {
        Value::None => Ok("null".to_owned()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Int(number) => number
            .decimal()
            .ok_or_else(|| "an integer has more than 4300 digits".to_owned()),
        Value::Float(number) if number.is_finite() => Ok(float(*number)),
        Value::Float(_) => refused("NaN or infinity as a key"),
        _ => refused("objects"),
    }
}

/// A float as Python's `repr` writes it.
pub fn float(number: f64) -> String {
    if !number.is_finite() {
        return match (number.is_nan(), number > 0.0) {
            (true, _) => "nan".to_owned(),
            (_, true) => "inf".to_owned(),
            _ => "-inf".to_owned(),
        };
    }
    // The shortest digits that read back to the same number; where two are as near, Python takes the even one, as
    // formatting to that many digits does.
    let shortest = format!("{number:e}");
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let count = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let even = format!("{number:.*e}", count.saturating_sub(1));
    let chosen = match even.parse() == Ok(number) {
        true => even,
        false => shortest,
    };
    let (digits, exponent) = chosen.split_once('e').unwrap_or((&chosen, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let sign = if digits.starts_with('-') { "-" } else { "" };
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    let digits = format!("{digits:0<width$}", width = whole + 1);
    let (whole, fraction) = digits.split_at(whole);
    format!("{sign}{whole}.{fraction}")
}

/// Text as `json.dumps` writes it.
pub(super) fn quoted(text: &str, out: &mut String) {
    quote(text.as_bytes(), out, &mut Lost::new());
}

/// Text as `json.dumps` writes it: ASCII, in UTF-16 units.
fn quote(text: &[u8], out: &mut String, lost: &mut Lost) {
    out.push('"');
    let mut rest = text;
    while !rest.is_empty() {
        let valid = match std::str::from_utf8(rest) {
            Ok(_) => rest.len(),
            Err(error) => error.valid_up_to(),
        };
        let (good, bad) = rest.split_at(valid);
        let good = std::str::from_utf8(good).unwrap_or_default();
        good.chars().for_each(|c| json_character(c, true, out));
        // What the reader lets through beside UTF-8 are surrogates, three bytes each.
        rest = match bad {
            [0xed, high, low, after @ ..] => {
                lose(lost, "lone surrogates are no text for most readers");
                let code = 0xd000 | (u32::from(high & 0x3f) << 6) | u32::from(low & 0x3f);
                let _ = write!(out, "\\u{code:04x}");
                after
            }
            _ => &[],
        };
    }
    out.push('"');
}
