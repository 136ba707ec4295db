//! Bytes to opcodes with arguments, as `pickletools.genops` gives them.
//!
//! Invariant: reads each byte at most twice, borrows what it can, and ends with an error or at the first STOP. No size
//! that the bytes claim is believed before the bytes are there.

use std::borrow::Cow;

use super::opcodes::{Kind, opcode};

/// Digits that Python turns into an integer and back before it refuses (`sys.set_int_max_str_digits`).
pub(super) const DIGITS: usize = 4300;

/// An integer as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Integer<'a> {
    /// One that fits.
    Small(i64),
    /// Two's complement, little end first.
    Long(&'a [u8]),
    /// Eight bytes without a sign.
    Unsigned(u64),
    /// Decimal digits with an optional sign, zeros and underscores as they were written.
    Digits(&'a str),
}

/// The argument of an opcode.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg<'a> {
    /// There is none.
    Nothing,
    /// The texts `00` and `01` of protocol 0.
    Bool(bool),
    /// Every kind of integer.
    Int(Integer<'a>),
    /// Both kinds of float.
    Float(f64),
    /// Text as UTF-8 in which lone surrogates may stand.
    Text(Cow<'a, [u8]>),
    /// The strings of Python 2, whose encoding nobody knows.
    Str(Cow<'a, [u8]>),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Two lines: module and name.
    Pair(&'a [u8], &'a [u8]),
}

/// One opcode.
#[derive(Debug, Clone, PartialEq)]
pub struct Op<'a> {
    /// Offset of its first byte.
    pub at: usize,
    /// Name in `pickletools`.
    pub name: &'static str,
    /// What follows it.
    pub arg: Arg<'a>,
}

/// Why reading ends before STOP.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub struct Malformed {
    /// Offset of the opcode.
    pub at: usize,
    /// What is wrong.
    pub what: String,
}

/// Reads the opcodes of one pickle.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    done: bool,
    /// Where the frame ends; something before it when there is none.
    frame: usize,
    /// Whether an argument that crosses the end of its frame begins behind that.
    jump: bool,
    /// Whether there was one.
    pub(super) crossed: bool,
}

impl<'a> Reader<'a> {
    /// Reads from offset `at` of `bytes`.
    pub fn new(bytes: &'a [u8], at: usize) -> Reader<'a> {
        Reader {
            bytes,
            at,
            done: false,
            frame: 0,
            jump: false,
            crossed: false,
        }
    }

    /// Reads as CPython's reader in C does from a file that cannot peek: where an argument crosses the end of its frame, what
    /// is left of the frame is lost. No pickler writes that.
    pub(super) fn jumping(mut self) -> Reader<'a> {
        self.jump = true;
        self
    }

    /// Before `size` bytes are taken.
    fn cross(&mut self, size: usize) {
        if self.at < self.frame && self.frame - self.at < size {
            self.crossed = true;
            if self.jump {
                self.at = self.frame;
            }
        }
    }

    /// Offset of the first byte not yet read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Passes over bytes that are no opcodes.
    pub(super) fn pass_over(&mut self, size: usize) {
        self.at = self.at.saturating_add(size).min(self.bytes.len());
    }

    /// Once more the opcode at `at`, which was refused: as the most lenient of Python's readers may take it, or more. Those
    /// in C end a number at a NUL, read it by other bases, and take the last line without its end. Its value is not known.
    pub(super) fn lenient(&mut self, at: usize) -> Option<Op<'a>> {
        let (name, _) = opcode(*self.bytes.get(at)?)?;
        self.at = at + 1;
        let arg = match name {
            "INT" | "LONG" => self.line().map(|_| Arg::Int(Integer::Digits("0"))),
            "FLOAT" => self.line().map(|_| Arg::Float(f64::NAN)),
            "STRING" => self.line().map(|_| Arg::Str((&[]).into())),
            "UNICODE" => self.line().map(|_| Arg::Text((&[]).into())),
            "GET" | "PUT" => self.line().and_then(|line| {
                let digits = line.split(|b| *b == 0).next().unwrap_or_default();
                decimal(digits).map(Arg::Int)
            }),
            "GLOBAL" | "INST" => match (self.cut_line(), self.cut_line()) {
                (&[], _) => return None,
                (module, member) => Ok(Arg::Pair(module, member)),
            },
            _ => return None,
        };
        self.done = false;
        arg.ok().map(|arg| Op { at, name, arg })
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, size: u64) -> Result<&'a [u8], String> {
        self.cross(usize::try_from(size).unwrap_or(usize::MAX));
        let rest = self.rest();
        let taken = usize::try_from(size).ok().and_then(|size| rest.get(..size));
        let taken =
            taken.ok_or_else(|| format!("{size} bytes should follow, {} do", rest.len()))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn number(&mut self, size: u64) -> Result<u64, String> {
        let bytes = self.take(size)?;
        Ok(bytes.iter().rev().fold(0, |n, b| (n << 8) | u64::from(*b)))
    }

    fn line(&mut self) -> Result<&'a [u8], String> {
        let end = memchr::memchr(b'\n', self.rest());
        self.cross(end.map_or(usize::MAX, |end| end + 1));
        let rest = self.rest();
        let end = memchr::memchr(b'\n', rest).ok_or("a line should end here")?;
        self.at += end + 1;
        Ok(rest.get(..end).unwrap_or_default())
    }

    /// A line; of the last, where its end is missing, all but one byte, as Python's readers cut it.
    fn cut_line(&mut self) -> &'a [u8] {
        let rest = self.rest();
        self.line().unwrap_or_else(|_| {
            self.at = self.bytes.len();
            rest.split_last().map_or(&[], |(_, line)| line)
        })
    }

    fn sized(&mut self, size: u64) -> Result<&'a [u8], String> {
        let length = self.number(size)?;
        self.take(length)
    }

    fn arg(&mut self, kind: Kind) -> Result<Arg<'a>, String> {
        let small = |n: u64| Arg::Int(Integer::Small(i64::try_from(n).unwrap_or(i64::MAX)));
        // A length with its sign: what is negative is an error, not a huge length.
        let signed = |n: u64| match n < 1 << 31 {
            true => Ok(n),
            false => Err("a negative length".to_owned()),
        };
        Ok(match kind {
            Kind::Nothing => Arg::Nothing,
            Kind::Uint1 => small(self.number(1)?),
            Kind::Uint2 => small(self.number(2)?),
            Kind::Uint4 => small(self.number(4)?),
            Kind::Uint8 => match self.number(8)? {
                long if i64::try_from(long).is_err() => Arg::Int(Integer::Unsigned(long)),
                long => small(long),
            },
            Kind::Int4 => Arg::Int(long_integer(self.take(4)?)),
            Kind::Long1 => Arg::Int(long_integer(self.sized(1)?)),
            Kind::Long4 => {
                let size = signed(self.number(4)?)?;
                Arg::Int(long_integer(self.take(size)?))
            }
            Kind::DecimalnlShort => match self.line()? {
                b"00" => Arg::Bool(false),
                b"01" => Arg::Bool(true),
                line => Arg::Int(decimal(line)?),
            },
            Kind::DecimalnlLong => {
                let line = self.line()?;
                Arg::Int(decimal(line.strip_suffix(b"L").unwrap_or(line))?)
            }
            Kind::Float8 => {
                let bytes = self.take(8)?.try_into();
                Arg::Float(f64::from_be_bytes(bytes.unwrap_or_default()))
            }
            Kind::Floatnl => Arg::Float(float(self.line()?).ok_or("no float")?),
            Kind::Bytes1 => Arg::Bytes(self.sized(1)?),
            Kind::Bytes4 => Arg::Bytes(self.sized(4)?),
            Kind::Bytes8 | Kind::Bytearray8 => Arg::Bytes(self.sized(8)?),
            Kind::String1 => Arg::Str(self.sized(1)?.into()),
            Kind::String4 => {
                let size = signed(self.number(4)?)?;
                Arg::Str(self.take(size)?.into())
            }
            Kind::Unicodestring1 => Arg::Text(utf8(self.sized(1)?)?.into()),
            Kind::Unicodestring4 => Arg::Text(utf8(self.sized(4)?)?.into()),
            Kind::Unicodestring8 => Arg::Text(utf8(self.sized(8)?)?.into()),
            Kind::Unicodestringnl => Arg::Text(raw_unicode(self.line()?)?.into()),
            Kind::Stringnl => {
                let line = self.line()?;
                let quote = line.first().filter(|b| matches!(b, b'"' | b'\''));
                let inner = match quote {
                    Some(_) if line.last() != quote => {
                        return Err("a quote that nothing closes".to_owned());
                    }
                    // A single quote closes itself for `pickletools`.
                    Some(_) => line.get(1..line.len() - 1).unwrap_or_default(),
                    None => return Err("a string without quotes".to_owned()),
                };
                Arg::Str(escaped(inner)?)
            }
            Kind::StringnlNoescape => Arg::Str(self.line()?.into()),
            Kind::StringnlNoescapePair => Arg::Pair(self.line()?, self.line()?),
        })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Op<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let at = self.at;
        let read = match self.number(1) {
            Err(_) => Err("it ends before STOP".to_owned()),
            Ok(code) => match opcode(code as u8) {
                None => Err(format!("no opcode is 0x{code:02x}")),
                Some((name, kind)) => self.arg(kind).map(|arg| Op { at, name, arg }),
            },
        };
        if let Ok(Op {
            name: "FRAME",
            arg: Arg::Int(Integer::Small(size)),
            ..
        }) = &read
        {
            let size = usize::try_from(*size).unwrap_or(0);
            self.cross(size);
            self.frame = self.frame.max(self.at.saturating_add(size));
        }
        self.done = !matches!(&read, Ok(op) if op.name != "STOP");
        Some(read.map_err(|what| Malformed { at, what }))
    }
}

/// Two's complement, little end first.
fn long_integer(bytes: &[u8]) -> Integer<'_> {
    if bytes.len() > 8 {
        return Integer::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|b| *b >= 0x80);
    let start = if negative { -1 } else { 0 };
    let number = bytes.iter().rev();
    Integer::Small(number.fold(start, |n: i64, b| (n << 8) | i64::from(*b)))
}

/// Decimal digits as Python's `int` reads them.
fn decimal(line: &[u8]) -> Result<Integer<'_>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "no integer")?;
    let text = text.trim_matches(SPACE);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let padded = digits.len() > 1 && digits.starts_with('0');
    if let (false, Ok(small)) = (padded, text.parse()) {
        return Ok(Integer::Small(small));
    }
    let parts = || digits.split('_');
    let plain = parts().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if !plain || parts().map(str::len).sum::<usize>() > DIGITS {
        return Err("no integer that Python reads".to_owned());
    }
    Ok(Integer::Digits(text))
}

/// A float as Python's `float` reads it.
fn float(line: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(line).ok()?.trim_matches(SPACE);
    // Underscores stand between digits.
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let parts: Vec<&str> = text.split('_').collect();
    let between = parts.windows(2).all(|two| match two {
        [left, right] => digit(left.chars().last()) && digit(right.chars().next()),
        _ => true,
    });
    between.then(|| parts.concat().parse().ok())?
}

/// What Python takes for white space in bytes.
const SPACE: [char; 6] = [' ', '\t', '\n', '\r', '\x0b', '\x0c'];

/// UTF-8 in which surrogates may stand, as Python's `surrogatepass` reads it.
fn utf8(bytes: &[u8]) -> Result<&[u8], String> {
    let mut rest = bytes;
    while let Err(error) = std::str::from_utf8(rest) {
        let bad = rest.get(error.valid_up_to()..).unwrap_or_default();
        match bad {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => rest = after,
            _ => return Err("a text that is no UTF-8".to_owned()),
        }
    }
    Ok(bytes)
}

/// Appends the code point `code`, which may be a surrogate.
fn push(out: &mut Vec<u8>, code: u32) -> Result<(), String> {
    match char::from_u32(code) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None if (0xd800..0xe000).contains(&code) => {
            let byte = |shift: u32| 0x80 | ((code >> shift) & 0x3f) as u8;
            out.extend_from_slice(&[0xed, byte(6), byte(0)]);
        }
        None => return Err("a character beyond Unicode".to_owned()),
    }
    Ok(())
}

/// Python's `raw-unicode-escape`: Latin-1 with `\u` and `\U`, but not after an even number of backslashes.
fn raw_unicode(line: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let digits = match (first, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            (b'\\', Some(second)) => {
                out.push(b'\\');
                push(&mut out, u32::from(*second))?;
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            _ => {
                push(&mut out, u32::from(*first))?;
                continue;
            }
        };
        let code = after.get(1..=digits).and_then(hex_number);
        push(&mut out, code.ok_or("a \\u without its digits")?)?;
        rest = after.get(1 + digits..).unwrap_or_default();
    }
    Ok(out)
}

fn hex_number(digits: &[u8]) -> Option<u32> {
    let digits = digits.iter().map(|b| char::from(*b).to_digit(16));
    digits.reduce(|n, d| Some((n? << 4) | d?)).flatten()
}

/// Python's `codecs.escape_decode`.
fn escaped(inner: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if !inner.contains(&b'\\') {
        return Ok(inner.into());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (second, after) = after.split_first().ok_or("a backslash at the end")?;
        rest = after;
        match second {
            b'\\' | b'\'' | b'"' => out.push(*second),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b't' => out.push(b'\t'),
            b'n' => out.push(b'\n'),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'r' => out.push(b'\r'),
            b'x' => {
                let code = after.get(..2).and_then(hex_number);
                out.push(code.ok_or("an \\x without its digits")? as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            b'0'..=b'7' => {
                let more = after.iter().take(2);
                let more = more.take_while(|b| matches!(b, b'0'..=b'7')).count();
                let digits = after.get(..more).unwrap_or_default();
                let code = digits
                    .iter()
                    .fold(u32::from(second - b'0'), |n, b| n * 8 + u32::from(b - b'0'));
                out.push(code as u8);
                rest = after.get(more..).unwrap_or_default();
            }
            other => out.extend_from_slice(&[b'\\', *other]),
        }
    }
    Ok(out.into())
}

impl Integer<'_> {
    /// In decimal; none if it has more digits than Python writes.
    pub fn decimal(&self) -> Option<String> {
        let bytes = match self {
            Integer::Small(small) => return Some(small.to_string()),
            Integer::Unsigned(number) => return Some(number.to_string()),
            Integer::Digits(digits) => {
                let (sign, digits) = match digits.strip_prefix('-') {
                    Some(digits) => ("-", digits),
                    None => ("", digits.trim_start_matches('+')),
                };
                let digits = digits.replace('_', "");
                let digits = digits.trim_start_matches('0');
                return Some(match digits {
                    "" => "0".to_owned(),
                    digits => format!("{sign}{digits}"),
                });
            }
            Integer::Long(bytes) => bytes,
        };
        let negative = bytes.last().is_some_and(|b| *b >= 0x80);
        let fill = if negative { 0xff } else { 0 };
        let end = bytes
            .iter()
            .rposition(|b| *b != fill)
            .map_or(0, |at| at + 1);
        // 4300 digits are 1786 bytes; beyond them nothing is worked out.
        let bytes = bytes.get(..end).filter(|bytes| bytes.len() <= 1786)?;
        let mut words: Vec<u32> = Vec::new();
        for byte in bytes.iter().rev() {
            // The magnitude of a negative number is its complement and one.
            let mut carry = u64::from(if negative { !byte } else { *byte });
            for word in &mut words {
                let next = (u64::from(*word) << 8) | carry;
                (*word, carry) = ((next % 1_000_000_000) as u32, next / 1_000_000_000);
            }
            if carry > 0 {
                words.push(carry as u32);
            }
        }
        if negative {
            let nines = words
                .iter()
                .take_while(|word| **word == 999_999_999)
                .count();
            words.iter_mut().take(nines).for_each(|word| *word = 0);
            match words.get_mut(nines) {
                Some(word) => *word += 1,
                None => words.push(1),
            }
        }
        let mut out = String::from(if negative { "-" } else { "" });
        match words.split_last() {
            None => out.push('0'),
            Some((first, rest)) => {
                out.push_str(&first.to_string());
                out.extend(rest.iter().rev().map(|word| format!("{word:09}")));
            }
        }
        let digits = out.trim_start_matches('-').len();
        Some(out).filter(|_| digits <= DIGITS)
    }
}
