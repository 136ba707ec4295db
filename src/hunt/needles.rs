//! What a log is searched for: what pickles begin with or contain, in every way in which logs and requests write bytes.
//!
//! Invariant: whatever `readings` and `search` can find has a needle in its line, so that other lines are never looked at.

use std::collections::BTreeMap;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, Input, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::believe::{begins, inflate};
use super::readings::{Coding, is_base64, is_hex};

/// How many of [`HEADS`] are those of pickles.
pub(super) const PICKLED: usize = 4;
/// How many are those of pickles and of compressed data.
pub(super) const PACKED: usize = 8;

/// What pickles of protocol 2 and later begin with, and then what compressed data does.
pub(super) const HEADS: [&[u8]; PACKED] = [
    b"\x80\x02",
    b"\x80\x03",
    b"\x80\x04",
    b"\x80\x05",
    b"x\x01",
    b"x\x9c",
    b"x\xda",
    b"\x1f\x8b\x08",
];

/// The same with the byte after it, where base64 begins before the pickle does.
const LONG_HEADS: [&[u8]; 10] = [
    b"\x80\x04\x95",
    b"\x80\x05\x95",
    b"\x80\x02c",
    b"\x80\x02}",
    b"\x80\x02]",
    b"\x80\x02(",
    b"\x80\x03c",
    b"\x80\x03}",
    b"\x80\x03]",
    b"\x80\x03(",
];

/// What stands in pickles of protocols 0 and 1, which have no head: memo, arguments, calls, containers, and modules.
pub(super) const INNER: [&[u8]; 41] = [
    b"\np0\n",
    b"\np1\n",
    b"\nq\x00",
    b"\nq\x01",
    b"\n(S",
    b"\n(V",
    b"\n(X",
    b"\n(U",
    b"\n(I",
    b"\n(K",
    b"\n)R",
    b"\nS'",
    b"tR.",
    b")R.",
    b"\x85R.",
    b"\x86R.",
    b"(S'",
    b"(dp0\n",
    b"(dp1\n",
    b"(lp0\n",
    b"(lp1\n",
    b"}q\x00",
    b"}q\x01",
    b"]q\x00",
    b"]q\x01",
    b"cos\n",
    b"ios\n",
    b"posix\n",
    b"cnt\n",
    b"subprocess\n",
    b"builtins\n",
    b"__builtin__\n",
    b"csys\n",
    b"commands\n",
    b"importlib\n",
    b"runpy\n",
    b"cpty\n",
    b"copy_reg\n",
    b"copyreg\n",
    b"platform\n",
    b"ctypes\n",
];

/// Parts that are searched side by side.
const LANES: usize = 4;

/// What is known of a needle.
#[derive(Debug, Clone, Copy)]
struct Needle {
    /// How the bytes around it are written; absent for escapes, and for words.
    coding: Option<Coding>,
    /// It is short, and so common that what follows must be looked at first.
    common: bool,
}

/// All needles as one automaton.
#[derive(Debug)]
pub(super) struct Needles {
    automaton: DFA,
    needles: Vec<Needle>,
    longest: usize,
}

impl Needles {
    /// The needles of pickles, and `words` of other kinds.
    pub(super) fn new<'w>(words: impl Iterator<Item = &'w [u8]>) -> Option<Needles> {
        let mut all: BTreeMap<Vec<u8>, Needle> = BTreeMap::new();
        let mut add = |needles: &mut dyn Iterator<Item = Vec<u8>>, coding, common| {
            all.extend(needles.map(|text| (text, Needle { coding, common })));
        };
        let base64 = Some(Coding::Base64);
        for head in HEADS {
            add(&mut written(head), None, false);
            add(&mut in_numbers(head), Some(Coding::Numbers), false);
            add(&mut in_hex(head), Some(Coding::Hex), true);
            for needle in in_base64(head, 0) {
                add(&mut percents(&needle, |_| true), None, false);
                add(&mut std::iter::once(needle), base64, true);
            }
        }
        for head in LONG_HEADS {
            add(
                &mut in_base64(head, 1).chain(in_base64(head, 2)),
                base64,
                false,
            );
        }
        for inner in INNER {
            add(&mut written(inner), None, false);
            add(&mut in_numbers(inner), Some(Coding::Numbers), false);
            add(&mut in_hex(inner), Some(Coding::Hex), false);
            add(
                &mut (0..3).flat_map(|align| in_base64(inner, align)),
                base64,
                false,
            );
        }
        // The journal writes a whole message in numbers for one colour in it.
        let spelled = HEADS.into_iter().flat_map(spelled);
        let words: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
        for text in spelled.chain(words.clone()) {
            add(&mut in_numbers(&text).take(1), None, false);
        }
        add(&mut words.into_iter(), None, false);
        let built = DFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(all.keys());
        Some(Needles {
            automaton: built.ok()?,
            longest: all.keys().map(Vec::len).max().unwrap_or(0),
            needles: all.into_values().collect(),
        })
    }

    /// Where needles begin in `bytes` between `from` and `to`, the first of each line.
    ///
    /// A step of the automaton waits for the one before, so that several go side by side, each over a part of its own.
    pub(super) fn find(&self, bytes: &[u8], from: usize, to: usize) -> Vec<usize> {
        let Ok(start) = self.automaton.start_state(Anchored::No) else {
            return Vec::new();
        };
        let size = (to - from) / LANES;
        let mut lanes = [(start, from); LANES];
        for (at, lane) in lanes.iter_mut().enumerate() {
            lane.1 += at * size;
        }
        let mut found: [Vec<usize>; LANES] = Default::default();
        let parts = lanes.map(|(_, at)| bytes.get(at..at + size).unwrap_or_default());
        let [a, b, c, d] = parts;
        let all = a.iter().zip(b).zip(c).zip(d).enumerate();
        for (at, (((a, b), c), d)) in all {
            let mut special = false;
            for ((state, _), byte) in lanes.iter_mut().zip([a, b, c, d]) {
                *state = self.automaton.next_state(Anchored::No, *state, *byte);
                special |= self.automaton.is_special(*state);
            }
            if special {
                for ((state, lane), found) in lanes.iter().zip(&mut found) {
                    self.note(bytes, *state, lane + at + 1, *lane, found);
                }
            }
        }
        // What begins in one part may end in the next; the last part has the remainder.
        for (at, ((mut state, lane), found)) in lanes.into_iter().zip(&mut found).enumerate() {
            let last = at + 1 == LANES;
            let over = if last { to } else { lane + size };
            let end = bytes.len().min(over + self.longest);
            for (at, byte) in bytes.iter().enumerate().take(end).skip(lane + size) {
                state = self.automaton.next_state(Anchored::No, state, *byte);
                if self.automaton.is_special(state) {
                    self.note(bytes, state, at + 1, lane, found);
                }
            }
            found.retain(|start| *start < over);
        }
        found.concat()
    }

    /// Notes the needle that ends at `end`, if `state` says that one does and it is worth a look.
    fn note(&self, bytes: &[u8], state: StateID, end: usize, lane: usize, found: &mut Vec<usize>) {
        if !self.automaton.is_match(state) {
            return;
        }
        for index in 0..self.automaton.match_len(state) {
            let pattern = self.automaton.match_pattern(state, index);
            let start = end - self.automaton.pattern_len(pattern);
            let needle = self.needles.get(pattern.as_usize());
            let rest = bytes.get(start..).unwrap_or_default();
            let worth = match needle {
                Some(Needle {
                    coding: Some(coding),
                    common: true,
                }) => goes_on(*coding, rest),
                _ => true,
            };
            let last = found.last().copied().unwrap_or(lane);
            let between = bytes.get(last..start.max(last)).unwrap_or_default();
            let same_line = !found.is_empty() && memchr::memchr(b'\n', between).is_none();
            if worth && !same_line {
                found.push(start);
                return;
            }
        }
    }

    /// Where in `text` needles of coded bytes are.
    pub(super) fn coded(&self, text: &[u8]) -> Vec<(Coding, usize)> {
        let input = Input::new(text);
        let found = self
            .automaton
            .try_find_overlapping_iter(input)
            .into_iter()
            .flatten();
        let coded = found.filter_map(|found| {
            let needle = self.needles.get(found.pattern().as_usize())?;
            let rest = text.get(found.start()..).unwrap_or_default();
            let coding = needle.coding?;
            (!needle.common || goes_on(coding, rest)).then_some((coding, found.start()))
        });
        coded.collect()
    }
}

/// Whether text that begins with a short needle goes on as coded pickles, or compressed ones, do.
fn goes_on(coding: Coding, rest: &[u8]) -> bool {
    let holds = match coding {
        Coding::Hex => is_hex,
        _ => is_base64,
    };
    let length = rest.iter().take(96).take_while(|b| holds(**b)).count();
    let run = rest.get(..length).unwrap_or_default();
    if length < 4 {
        return false;
    }
    // The rest of it is escaped.
    let escaped = matches!(rest.get(length), Some(b'%' | b'\\'));
    match coding.decode(run, 0) {
        Some(bytes) if bytes.starts_with(&[0x80]) => begins(&bytes),
        Some(_) if escaped => true,
        Some(bytes) => inflate(&bytes, 64).is_some_and(|(_, inner)| begins(&inner)),
        None => false,
    }
}

/// `bytes` as text that escapes what is no text, in the styles of languages, servers and loggers.
fn written(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut all = vec![bytes.to_vec()];
    // Bytes that were read as Latin-1 and written as UTF-8.
    let wide: Vec<u8> = bytes
        .iter()
        .flat_map(|b| char::from(*b).to_string().into_bytes())
        .collect();
    let mut forms = vec![bytes.to_vec()];
    if wide != bytes {
        all.push(wide.clone());
        forms.push(wide);
    }
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"_.-~".contains(&b);
    for form in &forms {
        for style in [
            Style::X {
                upper: false,
                line: "\\n",
            },
            Style::X {
                upper: true,
                line: "\\n",
            },
            Style::X {
                upper: false,
                line: "\\x0a",
            },
            Style::X {
                upper: true,
                line: "\\x0A",
            },
            Style::U {
                upper: false,
                all: true,
            },
            Style::U {
                upper: true,
                all: true,
            },
            Style::U {
                upper: false,
                all: false,
            },
            Style::Octal { line: "\\n" },
            Style::Octal { line: "\\012" },
        ] {
            let once = style.write(form);
            all.extend(percents(&once, |b| !unreserved(b)));
            // Whoever writes on what was written so escapes its backslashes.
            for backslash in BACKSLASHES {
                all.push(replaced(&once, b'\\', backslash.as_bytes()));
            }
        }
        all.push(Style::Hash { all: true }.write(form));
        all.push(Style::Hash { all: false }.write(form));
        all.extend(percents(form, |b| !matches!(b, b' '..=b'~')));
        all.extend(percents(form, |b| !unreserved(b) && !b"!*'()".contains(&b)));
        all.extend(percents(form, |b| !unreserved(b)));
        all.extend(percents(form, |_| true));
        let twice = percents(form, |b| !unreserved(b));
        all.extend(twice.map(|once| replaced(&once, b'%', b"%25")));
    }
    all.into_iter()
}

/// `bytes` as most logs and requests spell them.
fn spelled(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
    let escaped = [false, true].map(|upper| Style::X { upper, line: "\\n" }.write(bytes));
    let percent = percents(bytes, |b| !matches!(b, b' '..=b'~'));
    let base64 = in_base64(bytes, 0).chain(in_hex(bytes));
    base64
        .chain(escaped)
        .chain(percent)
        .collect::<Vec<_>>()
        .into_iter()
}

/// A backslash, as others escape it.
const BACKSLASHES: [&str; 7] = ["\\", "\\\\", "\\\\\\\\", "\\x5C", "\\x5c", "%5C", "%5c"];

fn replaced(text: &[u8], old: u8, new: &[u8]) -> Vec<u8> {
    let one = |b: &u8| if *b == old { new.to_vec() } else { vec![*b] };
    text.iter().flat_map(one).collect()
}

/// A way of escaping.
enum Style {
    /// `\x80`, and a way to write the end of a line.
    X { upper: bool, line: &'static str },
    /// `\u0080`; where not `all`, for what is ASCII alone.
    U { upper: bool, all: bool },
    /// `\200`.
    Octal { line: &'static str },
    /// `#200`, as rsyslog writes; where not `all`, for what is ASCII alone.
    Hash { all: bool },
}

impl Style {
    fn write(&self, bytes: &[u8]) -> Vec<u8> {
        let one = |b: u8| match (self, b) {
            (_, b' '..=b'~') => vec![b],
            (Style::U { all: false, .. } | Style::Hash { all: false }, 0x80..) => vec![b],
            (Style::X { line, .. } | Style::Octal { line }, b'\n') => line.as_bytes().to_vec(),
            (Style::X { upper: false, .. }, _) => format!("\\x{b:02x}").into_bytes(),
            (Style::X { .. }, _) => format!("\\x{b:02X}").into_bytes(),
            (Style::U { .. }, b'\n') => b"\\n".to_vec(),
            (Style::U { upper: false, .. }, _) => format!("\\u{b:04x}").into_bytes(),
            (Style::U { .. }, _) => format!("\\u{b:04X}").into_bytes(),
            (Style::Octal { .. }, _) => format!("\\{b:03o}").into_bytes(),
            (Style::Hash { .. }, _) => format!("#{b:03o}").into_bytes(),
        };
        bytes.iter().flat_map(|b| one(*b)).collect()
    }
}

/// `bytes` with `%80` for what `escapes` says, in both cases.
fn percents(bytes: &[u8], escapes: impl Fn(u8) -> bool) -> impl Iterator<Item = Vec<u8>> {
    let write = |upper: bool| {
        let one = |b: &u8| match (escapes(*b), upper) {
            (false, _) => vec![*b],
            (true, false) => format!("%{b:02x}").into_bytes(),
            (true, true) => format!("%{b:02X}").into_bytes(),
        };
        bytes.iter().flat_map(one).collect::<Vec<u8>>()
    };
    [write(false), write(true)].into_iter()
}

fn in_numbers(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let separators = [
        (",", ","),
        (", ", ","),
        ("%2C", "%2"),
        ("%2c", "%2"),
        ("%2C%20", "%2"),
        ("%2C+", "%2"),
    ];
    separators
        .map(|(separator, end)| (numbers.join(separator) + end).into_bytes())
        .into_iter()
}

fn in_hex(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let lower: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    [lower.to_uppercase().into_bytes(), lower.into_bytes()].into_iter()
}

/// What base64 holds wherever it holds `bytes` at a place that leaves `align` when divided by three: the characters that
/// only depend on them; where those are fewer than three, the next one in all its forms.
fn in_base64(bytes: &[u8], align: usize) -> impl Iterator<Item = Vec<u8>> + use<> {
    let whole = |fill: u8| {
        let mut padded = vec![0; align];
        padded.extend(bytes);
        padded.resize(padded.len() + 2, fill);
        STANDARD.encode(padded).into_bytes()
    };
    // In bits: where the bytes begin and end.
    let (from, to) = (align * 8, (align + bytes.len()) * 8);
    let (first, after) = (from.div_ceil(6), to / 6);
    let short = after - first < 3;
    let mut all = Vec::new();
    for fill in (0..=255).step_by(if short { 16 } else { 256 }) {
        let text = whole(fill);
        let needle = text
            .get(first..after + usize::from(short))
            .unwrap_or_default();
        let safe: Vec<u8> = needle
            .iter()
            .map(|b| match b {
                b'+' => b'-',
                b'/' => b'_',
                b => *b,
            })
            .collect();
        if safe != needle {
            all.extend(percents(needle, |b| b == b'+' || b == b'/'));
            all.push(replaced(needle, b'/', b"\\/"));
        }
        all.push(safe);
        all.push(needle.to_vec());
    }
    all.sort();
    all.dedup();
    all.into_iter()
}
