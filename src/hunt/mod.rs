//! Signs of attacks with pickles in logs: pickles themselves, however they are written there, errors of reading them, and
//! requests that were refused. Pure: bytes come in, signs go out.
//!
//! Invariant: one search over the bytes for all needles at once decides which lines are looked at; only those are parsed.
//! A line is bounded, and so is the work on it; what was not looked at is told.

mod believe;
mod group;
mod line;
mod moment;
mod needles;
mod payload;
mod queries;
mod readings;
mod search;
mod show;

use aho_corasick::AhoCorasick;
use rayon::prelude::*;
use serde::Serialize;

pub use group::{Groups, Place};
pub use line::Context;
pub use payload::{Does, Payload};
pub use queries::{Watched, queries};
pub use show::{Source, json, text};

use needles::Needles;
use search::Search;

/// Bytes of one line that are looked at, before and after a needle each.
pub const LINE: usize = 1 << 20;
/// Bytes after a line in which a pickle with raw ends of lines may go on.
pub const AFTER: usize = 64 << 10;
/// Bytes before a line in which it may begin.
const BEFORE: usize = 4 << 10;
/// Bytes before a line in which its time may be told: the first line of a traceback, the start of an entry of the journal.
const CONTEXT: usize = 64 << 10;

/// What Python says when it cannot read a pickle; the more telling first.
const ERRORS: [&str; 22] = [
    "could not find MARK",
    "unexpected MARK found",
    "invalid load key",
    "unpickling stack underflow",
    "pickle data was truncated",
    "pickle exhausted before end of frame",
    "frame exhausted before",
    "unsupported pickle protocol",
    "Memo value not found at index",
    "Ran out of input",
    "the STRING opcode argument must be quoted",
    "odd number of items for",
    "persistent IDs in protocol 0 must be ASCII",
    "A load persistent id instruction was encountered",
    "unregistered extension code",
    "NEWOBJ class argument",
    "NEWOBJ_EX class argument",
    "LONG pickle has negative byte count",
    "EXT specifies code",
    "Can't get attribute",
    "' is forbidden",
    "UnpicklingError",
];

/// What says less on its own, and with what beside it it counts.
const BESIDE: [(&str, &str); 3] = [
    ("Can't get attribute", "AttributeError"),
    ("Ran out of input", "EOFError"),
    ("' is forbidden", "Unpickl"),
];

/// Something that tells of an attack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Sign {
    /// A pickle.
    Payload(Payload),
    /// An error of reading one.
    Error {
        /// What Python said.
        message: String,
        /// Where in the code, by the traceback.
        at: Option<String>,
    },
    /// A request that rewritten code refused, by its `--log-rejects`.
    Refused {
        /// What it logs.
        message: String,
    },
}

/// Words for signs, the worst first.
pub const WORDS: [&str; 6] = [
    "runs-code",
    "imports",
    "cut-off",
    "data-only",
    "error",
    "refused",
];

impl Sign {
    /// One of [`WORDS`].
    pub fn word(&self) -> &'static str {
        match self {
            Sign::Payload(payload) => match payload.does {
                Does::RunsCode => "runs-code",
                Does::Imports => "imports",
                Does::CutOff => "cut-off",
                Does::DataOnly => "data-only",
            },
            Sign::Error { .. } => "error",
            Sign::Refused { .. } => "refused",
        }
    }
}

/// A line with signs.
#[derive(Debug)]
pub struct Hit {
    /// Where it begins; or the pickle in it, if that begins on a line before.
    pub at: usize,
    /// Where what was looked at ends.
    pub end: usize,
    /// When, who, where.
    pub context: Context,
    /// What.
    pub signs: Vec<Sign>,
    /// The line was longer than is looked at, or held more than is read.
    pub cut: bool,
}

/// What logs are searched for.
#[derive(Debug)]
pub struct Hunter {
    needles: Needles,
    raw: AhoCorasick,
    refusals: Vec<String>,
}

impl Hunter {
    /// Searches for pickles, for errors, and for `refusals`, which are the texts that rewritten code logs; nothing if the
    /// automaton cannot be built.
    pub fn new(refusals: Vec<String>) -> Option<Hunter> {
        let words = ERRORS
            .iter()
            .copied()
            .chain(refusals.iter().map(String::as_str));
        Some(Hunter {
            needles: Needles::new(words.map(str::as_bytes))?,
            raw: search::raw()?,
            refusals,
        })
    }
}

/// The lines with signs that begin in `buffer` between `from` and `to`; what stands around is looked at where it belongs to
/// them. Works on all threads.
pub fn hunt(hunter: &Hunter, buffer: &[u8], from: usize, to: usize) -> Vec<Hit> {
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    let size = (to - from) / (rayon::current_num_threads() * 2) + (256 << 10);
    let mut at = from;
    while at < to {
        let end = to.min(at + size);
        let line = buffer
            .get(end..to)
            .and_then(|rest| memchr::memchr(b'\n', rest));
        let end = line.map_or(to, |line| end + line + 1);
        pieces.push((at, end));
        at = end;
    }
    let found = pieces
        .into_par_iter()
        .flat_map_iter(|(from, to)| hunter.piece(buffer, from, to));
    let mut hits: Vec<Hit> = Vec::new();
    // A pickle may go on into the next piece.
    for hit in found.collect::<Vec<Hit>>() {
        if hits.last().is_none_or(|last| hit.at >= last.end) {
            hits.push(hit);
        }
    }
    hits
}

impl Hunter {
    fn piece(&self, buffer: &[u8], from: usize, to: usize) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut at = from;
        for start in self.needles.find(buffer, from, to) {
            if start < at {
                continue;
            }
            let start = start + usize::from(buffer.get(start) == Some(&b'\n'));
            let low = start.saturating_sub(LINE);
            let begin = buffer
                .get(low..start)
                .and_then(|b| memchr::memrchr(b'\n', b));
            let high = buffer.len().min(start + LINE);
            let end = buffer
                .get(start..high)
                .and_then(|b| memchr::memchr(b'\n', b));
            let cut = begin.is_none() && low > 0 || end.is_none() && high < buffer.len();
            let line = (
                begin.map_or(low, |b| low + b + 1),
                end.map_or(high, |e| start + e),
            );
            let mut hit = self.line(buffer, line, at);
            at = hit.end.max(line.1).max(start + 1);
            if !hit.signs.is_empty() || hit.cut || cut {
                hit.cut |= cut;
                hits.push(hit);
            }
        }
        hits
    }

    /// Looks at one line; nothing before `done` is looked at again.
    fn line(&self, buffer: &[u8], line: (usize, usize), done: usize) -> Hit {
        let text = buffer.get(line.0..line.1).unwrap_or_default();
        let (mut context, fields) = line::line(text);
        let mut search = Search::new(&self.raw, &self.needles);
        let (mut at, mut end) = line;
        // Raw bytes may go over the ends of lines.
        let touch = buffer
            .get(line.0.saturating_sub(1)..buffer.len().min(line.1 + 1))
            .unwrap_or_default();
        if self.raw.is_match(touch) {
            let low = line.0.saturating_sub(BEFORE);
            let window = buffer
                .get(low..buffer.len().min(line.1 + AFTER))
                .unwrap_or_default();
            let inside = (line.0 - low, line.1 - low);
            if let Some((start, stop)) = search.window(window, inside, done.saturating_sub(low)) {
                at = at.min(low + start);
                end = end.max(low + stop);
            }
        }
        // The line as a whole is for what its parts do not show.
        let (parts, whole): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| name != "line");
        for (name, text) in parts.into_iter().chain(whole) {
            if name != "line" || search.is_empty() {
                search.field(name, text);
            }
        }
        let cut = search.is_cut();
        let mut signs: Vec<Sign> = search.take().into_iter().map(Sign::Payload).collect();
        let spelled = || fields.iter().find_map(|(_, text)| error(text));
        if let Some(message) = error(text).or_else(spelled) {
            signs.push(Sign::Error {
                message: message.to_owned(),
                at: traced(buffer, line, &fields, message),
            });
        }
        let refused = self
            .refusals
            .iter()
            .find(|text_of| memchr::memmem::find(text, text_of.as_bytes()).is_some());
        signs.extend(refused.map(|message| Sign::Refused {
            message: message.clone(),
        }));
        if !signs.is_empty() && context.time.is_none() {
            let around = buffer
                .get(at.saturating_sub(CONTEXT)..at)
                .unwrap_or_default();
            let after = buffer
                .get(line.1..buffer.len().min(line.1 + CONTEXT))
                .unwrap_or_default();
            context.fill(above(around, after));
        }
        Hit {
            at,
            end,
            context,
            signs,
            cut,
        }
    }
}

/// What Python says in `text` of a pickle that it cannot read.
fn error(text: &[u8]) -> Option<&'static str> {
    let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
    let counts = |word: &&str| {
        let beside = BESIDE.iter().find(|(weak, _)| weak == word);
        beside.is_none_or(|(_, beside)| has(beside))
    };
    ERRORS.into_iter().find(|word| has(word) && counts(word))
}

/// The frame of the traceback that `message` ends, in its part of the line or in the lines above.
fn traced(
    buffer: &[u8],
    line: (usize, usize),
    fields: &[line::Field<'_>],
    message: &str,
) -> Option<String> {
    let within = fields.iter().find_map(|(_, text)| {
        let at = memchr::memmem::find(text, message.as_bytes())?;
        line::frame(text.get(..at)?)
    });
    let above = || {
        let text = buffer.get(line.0.saturating_sub(BEFORE)..line.0)?;
        let start = memchr::memmem::rfind(text, b"Traceback (most recent call last)")?;
        line::frame(text.get(start..)?)
    };
    within.or_else(above)
}

/// What the entry of a journal says around one of its fields, or the last line above that has a time.
fn above(before: &[u8], after: &[u8]) -> Context {
    let stamp = b"__REALTIME_TIMESTAMP=";
    let entry = memchr::memmem::rfind(before, b"\n\n")
        .map_or(before, |at| before.get(at..).unwrap_or_default());
    let rest = after.get(..memchr::memmem::find(after, b"\n\n").unwrap_or(after.len()));
    let mut context = Context::default();
    for part in [entry, rest.unwrap_or_default()] {
        if let Some(at) = memchr::memmem::find(part, stamp) {
            let digits = part.get(at + stamp.len()..).unwrap_or_default();
            let digits = digits.iter().take_while(|b| b.is_ascii_digit());
            let digits: String = digits.map(|b| char::from(*b)).collect();
            context.time = moment::clock(&digits);
            return context;
        }
    }
    let lines = before.split(|b| *b == b'\n').rev().take(300);
    let told = lines
        .map(|text| line::line(text).0)
        .find(|context| context.time.is_some());
    told.unwrap_or_default()
}
