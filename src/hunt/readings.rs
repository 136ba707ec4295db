//! Text of a log as the bytes it stands for: without the escapes of loggers, servers and URLs, and out of base64, hex and
//! lists of numbers.
//!
//! Invariant: every reading is at most as long as the text, and each is made by at most two steps.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Names of the steps that lead to some bytes, outermost first.
pub(super) type Way = Vec<&'static str>;

/// Takes one layer of escapes off; nothing if there is none.
type Step = fn(&[u8]) -> Option<Vec<u8>>;

const ESCAPES: (&str, Step) = ("escapes", escapes);
const PERCENT: (&str, Step) = ("percent", percent);

/// Ways in which text may have been escaped.
const READINGS: [&[(&str, Step)]; 7] = [
    &[ESCAPES],
    &[PERCENT],
    &[ESCAPES, ESCAPES],
    &[PERCENT, PERCENT],
    &[ESCAPES, PERCENT],
    &[PERCENT, ESCAPES],
    &[("escapes", hashes)],
];

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// `text` as it is, and in each way in which it may have been escaped.
pub(super) fn readings(text: &[u8]) -> Vec<(Way, Cow<'_, [u8]>)> {
    let mut all: Vec<(Way, Cow<'_, [u8]>)> = vec![(Vec::new(), Cow::Borrowed(text))];
    for steps in READINGS {
        let mut read = Cow::Borrowed(text);
        let taken = steps.iter().all(|(_, step)| match step(&read) {
            Some(next) => {
                read = Cow::Owned(next);
                true
            }
            None => false,
        });
        if taken && all.iter().all(|(_, have)| *have != read) {
            all.push((steps.iter().map(|(name, _)| *name).collect(), read));
        }
    }
    let folded = all.iter().filter_map(|(way, text)| {
        let mut way = way.clone();
        way.push("latin-1");
        Some((way, Cow::Owned(latin1(text)?)))
    });
    let folded: Vec<(Way, Cow<'_, [u8]>)> = folded.collect();
    all.extend(folded);
    all
}

pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

pub(super) fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// The value of so many digits at the start of `text`.
fn digits(text: &[u8], count: usize, base: u32) -> Option<u32> {
    let mut digits = text.get(..count)?.iter();
    digits.try_fold(0, |n, b| Some(n * base + char::from(*b).to_digit(base)?))
}

/// Appends the character `code`: a byte, if it is one in Latin-1.
fn character(code: u32, out: &mut Vec<u8>) {
    match (u8::try_from(code), char::from_u32(code)) {
        (Ok(byte), _) => out.push(byte),
        (_, Some(c)) => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        _ => out.push(b'?'),
    }
}

/// `\x80`, `\u0080`, `\200`, `\n` and the like.
fn escapes(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let Some((second, after)) = after.split_first().filter(|_| *first == b'\\') else {
            out.push(*first);
            continue;
        };
        let octal = match second {
            b'0'..=b'3' => (1..=3).rev().find_map(|n| Some((n, digits(rest, n, 8)?))),
            _ => None,
        };
        let (used, code) = match second {
            b'x' => (3, digits(after, 2, 16)),
            b'u' => (5, digits(after, 4, 16)),
            b'n' => (1, Some(10)),
            b'r' => (1, Some(13)),
            b't' => (1, Some(9)),
            b'a' => (1, Some(7)),
            b'b' => (1, Some(8)),
            b'v' => (1, Some(11)),
            b'f' => (1, Some(12)),
            b'\\' | b'/' | b'"' | b'\'' => (1, Some(u32::from(*second))),
            _ => octal.map_or((0, None), |(used, code)| (used, Some(code))),
        };
        match code {
            Some(code) => {
                character(code, &mut out);
                rest = rest.get(used..).unwrap_or_default();
            }
            None => out.push(b'\\'),
        }
    }
    Some(out)
}

/// `%80`.
fn percent(text: &[u8]) -> Option<Vec<u8>> {
    coded(text, b'%', 2, 16)
}

/// `#200`.
fn hashes(text: &[u8]) -> Option<Vec<u8>> {
    coded(text, b'#', 3, 8)
}

fn coded(text: &[u8], sign: u8, count: usize, base: u32) -> Option<Vec<u8>> {
    memchr::memchr(sign, text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let code = match *first == sign {
            true => digits(after, count, base).and_then(|code| u8::try_from(code).ok()),
            false => None,
        };
        out.push(code.unwrap_or(*first));
        let used = if code.is_some() { count } else { 0 };
        rest = after.get(used..).unwrap_or_default();
    }
    Some(out)
}

/// Characters of Latin-1 that stand in UTF-8 as the bytes they were made of.
fn latin1(text: &[u8]) -> Option<Vec<u8>> {
    let wide = |pair: &[u8]| matches!(pair, [0xc2 | 0xc3, 0x80..=0xbf]);
    text.windows(2).position(wide)?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after.first()) {
            (0xc2 | 0xc3, Some(low @ 0x80..=0xbf)) => {
                out.push((first << 6) | (low & 0x3f));
                rest = after.get(1..).unwrap_or_default();
            }
            _ => out.push(*first),
        }
    }
    Some(out)
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Coding {
    /// Either alphabet.
    Base64,
    /// Either case.
    Hex,
    /// `128,4,149`.
    Numbers,
}

impl Coding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Base64 => "base64",
            Coding::Hex => "hex",
            Coding::Numbers => "numbers",
        }
    }

    fn holds(self, byte: u8) -> bool {
        match self {
            Coding::Base64 => is_base64(byte),
            Coding::Hex => is_hex(byte),
            Coding::Numbers => byte.is_ascii_digit() || matches!(byte, b',' | b' '),
        }
    }

    /// From where to where the text around `at` is written so; MIME breaks the lines of base64.
    pub(super) fn run(self, text: &[u8], at: usize) -> (usize, usize) {
        let before = text.get(..at).unwrap_or_default().iter().rev();
        let start = at - before.take_while(|b| self.holds(**b)).count();
        let mut end = at;
        while let Some(byte) = text.get(end) {
            let broken = self == Coding::Base64
                && matches!(byte, b'\r' | b'\n')
                && text
                    .get(end + 1)
                    .is_some_and(|b| self.holds(*b) || *b == b'\n');
            if !self.holds(*byte) && !broken {
                break;
            }
            end += 1;
        }
        (start, end)
    }

    /// What `text`, which is written so, stands for if it begins `skip` characters late.
    pub(super) fn decode(self, text: &[u8], skip: usize) -> Option<Vec<u8>> {
        let text = text.get(skip..)?;
        match self {
            Coding::Base64 => {
                let mut plain: Vec<u8> = text
                    .iter()
                    .filter(|b| !b.is_ascii_whitespace())
                    .copied()
                    .collect();
                for byte in &mut plain {
                    *byte = match *byte {
                        b'-' => b'+',
                        b'_' => b'/',
                        byte => byte,
                    };
                }
                if plain.len() % 4 == 1 {
                    plain.pop();
                }
                ENGINE.decode(plain).ok()
            }
            Coding::Hex => {
                let pairs = text.chunks_exact(2);
                pairs
                    .map(|pair| u8::try_from(digits(pair, 2, 16)?).ok())
                    .collect()
            }
            Coding::Numbers => {
                let numbers = text.split(|b| *b == b',').map(<[u8]>::trim_ascii);
                let read = |n: &[u8]| std::str::from_utf8(n).ok()?.parse::<u8>().ok();
                Some(numbers.map_while(read).collect())
            }
        }
    }

    /// How many characters late a pickle may begin in what is written so from `start` on, if a needle is at `at`.
    pub(super) fn skips(self, text: &[u8], start: usize, at: usize) -> Vec<usize> {
        let here = at - start;
        let mut skips = match self {
            Coding::Base64 => vec![0, 1, 2, 3, here],
            Coding::Hex => vec![0, 1],
            // A number that was begun before the list.
            Coding::Numbers => {
                let before = text.get(start..at).unwrap_or_default();
                vec![
                    before.iter().take_while(|b| !b.is_ascii_digit()).count(),
                    here,
                ]
            }
        };
        skips.dedup();
        skips
    }
}
