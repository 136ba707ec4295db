//! Where in a line pickles are looked for: in all its parts, in every way in which they may be written.
//!
//! Invariant: work on one line is bounded, and what was looked at with one line is not looked at again with the next.

use aho_corasick::{AhoCorasick, Input};

use super::believe::names;
use super::needles::{HEADS, INNER, Needles, PACKED, PICKLED};
use super::payload::{Payload, same};
use super::readings::{Coding, Way, readings};
use crate::pickle::{Machine, run};

/// Bytes of pickles that are read in one line at most, false starts included.
const WORK: usize = 8 << 20;
/// Longest name in a pickle without a head.
pub(super) const NAME: usize = 100;

/// Looks for pickles in one line.
pub(super) struct Search<'h> {
    raw: &'h AhoCorasick,
    needles: &'h Needles,
    pub(super) work: usize,
    found: Vec<Payload>,
}

/// Where a piece of text stands.
#[derive(Clone, Copy)]
pub(super) struct Spot<'t> {
    pub(super) place: &'t str,
    pub(super) way: &'t Way,
    /// The text before it; none where the bytes are that text themselves.
    pub(super) before: Option<&'t [u8]>,
}

/// A pickle, and from where to where it was read.
pub(super) type At = (Payload, usize, usize);

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
        found.iter_mut().for_each(Payload::forget);
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

    /// Looks through `window`, which is raw, for a pickle that begins from `from` on and is not over before `line`, of which
    /// only the first is taken: from where to where it stands.
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
        let all = self.all(window, from, line.1, spot);
        let mut touching = all.into_iter().filter(|(.., end)| *end > line.0);
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
        let all = self.all(bytes, 0, bytes.len(), spot);
        let any = !all.is_empty();
        all.into_iter().for_each(|(payload, ..)| self.keep(payload));
        any
    }

    /// The pickles in `bytes` that begin from `from` on and before `until`, in order.
    pub(super) fn all(
        &mut self,
        bytes: &[u8],
        from: usize,
        until: usize,
        spot: Spot<'_>,
    ) -> Vec<At> {
        let mut all: Vec<At> = Vec::new();
        let mut inner: Vec<usize> = Vec::new();
        let raw = self.raw;
        let mut done = 0;
        let near = |more: usize| {
            bytes
                .get(..bytes.len().min(until.saturating_add(more)))
                .unwrap_or_default()
        };
        if from >= until {
            return all;
        }
        for found in raw.find_overlapping_iter(Input::new(near(16)).range(from..)) {
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
        let lines = near(NAME).get(from..).unwrap_or_default();
        for line in memchr::memchr_iter(b'\n', lines) {
            for name in names(bytes, from + line) {
                if name >= from && !covered(&all, name) && self.work > 0 {
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
    pub(super) fn run<'b>(&mut self, bytes: &'b [u8], at: usize) -> Option<Machine<'b>> {
        if self.work == 0 {
            return None;
        }
        let machine = run(bytes, at);
        self.work = self.work.saturating_sub(machine.end - at + 16);
        Some(machine)
    }

    /// Keeps `payload`, unless it is one that was read in another way already; then the better of them.
    fn keep(&mut self, payload: Payload) {
        match self.found.iter_mut().find(|have| same(have, &payload)) {
            None => self.found.push(payload),
            Some(have) if payload.is_better(have) => *have = payload,
            Some(_) => {}
        }
    }
}

/// The automaton of what is searched for in bytes themselves.
pub(super) fn raw() -> Option<AhoCorasick> {
    let heads = HEADS.iter();
    AhoCorasick::new(heads.chain(&INNER)).ok()
}
