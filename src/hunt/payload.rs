//! What is told of a pickle in a log, and when two of them are one.

use std::borrow::Cow;

use serde::Serialize;

use super::believe::is_name;
use super::search::{At, Spot};
use crate::pickle::{Machine, Verdict};

/// Imports and calls that are kept of one pickle.
const KEPT: usize = 20;
/// Characters that are kept of one call.
const CALL: usize = 500;

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

impl Payload {
    /// The pickle that was read from `at` in `bytes`, which stand at `spot`.
    pub(super) fn told(
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

    /// Lets its bytes go, when it need not be told apart any more.
    pub(super) fn forget(&mut self) {
        self.bytes = Vec::new();
    }

    /// Whether more of the same pickle was read than of `other`.
    pub(super) fn is_better(&self, other: &Payload) -> bool {
        let rank = |p: &Payload| (p.whole, p.bytes.len());
        rank(self) > rank(other)
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
pub(super) fn same(a: &Payload, b: &Payload) -> bool {
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
