//! Whether a text nests deeper than the parser's stack holds: seen before it is parsed.
//!
//! Invariant: errs towards yes. A stack that overflows would end the whole program.

/// What is open at some place of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Bracket,
    /// A string that holds fields: its quote, and whether it stands three times.
    Text(u8, bool),
    /// A field of one.
    Field,
    /// What comes after the colon in a field.
    Spec,
}

/// Whether `text` nests more than `brackets` brackets or `indents` indentation levels. Errs towards yes:
/// brackets in f-strings count, those in other strings and comments do not.
pub(super) fn too_deep(text: &str, brackets: usize, indents: usize) -> bool {
    let bytes = text.as_bytes();
    let at = |i: usize| bytes.get(i).copied();
    let mut open: Vec<Open> = Vec::new();
    let mut columns: Vec<usize> = vec![0];
    let mut i = 0;
    let mut line_head = true;
    while let Some(byte) = at(i) {
        if line_head && open.is_empty() {
            let width = bytes
                .iter()
                .skip(i)
                .take_while(|b| matches!(b, b' ' | b'\t'))
                .count();
            i += width;
            line_head = false;
            if !matches!(at(i), None | Some(b'\n' | b'\r' | b'#')) {
                columns.retain(|column| *column < width);
                columns.push(width);
                if columns.len() > indents {
                    return true;
                }
            }
            continue;
        }
        line_head = byte == b'\n';
        let inner = open.last().copied();
        match (byte, inner) {
            (_, Some(Open::Text(quote, triple))) => {
                i += in_text(bytes, i, (quote, triple), &mut open);
                continue;
            }
            (b'{', Some(Open::Spec)) => open.push(Open::Field),
            (b'}', Some(Open::Spec | Open::Field)) => {
                open.pop();
            }
            (_, Some(Open::Spec)) => {
                // What ends the string around ends this.
                let around = open.iter().rev().find_map(|one| match one {
                    Open::Text(quote, triple) => Some((*quote, *triple)),
                    _ => None,
                });
                let ends = |(quote, triple): (u8, bool)| byte == quote || byte == b'\n' && !triple;
                if around.is_some_and(ends) {
                    while !matches!(open.pop(), Some(Open::Text(..)) | None) {}
                }
            }
            (b':', Some(Open::Field)) => {
                open.pop();
                open.push(Open::Spec);
            }
            (b'(' | b'[' | b'{', _) => open.push(Open::Bracket),
            (b')' | b']' | b'}', Some(Open::Bracket)) => {
                open.pop();
            }
            (b'#', _) => {
                i += rest(bytes, i, |rest| memchr::memchr(b'\n', rest));
                continue;
            }
            (b'\'' | b'"', _) if is_formatted(bytes, i) => {
                let triple = is_triple(bytes, i, byte);
                open.push(Open::Text(byte, triple));
                i += if triple { 3 } else { 1 };
                continue;
            }
            (b'\'' | b'"', _) => {
                i = string_end(bytes, i, byte);
                continue;
            }
            _ => {}
        }
        // Of strings only the fields nest.
        let nests = |one: &&Open| !matches!(one, Open::Text(..));
        if open.len() > brackets && open.iter().filter(nests).count() > brackets {
            return true;
        }
        i += 1;
        if !line_head && matches!(open.last(), None | Some(Open::Bracket)) {
            i += plain(bytes, i, &NESTS);
        }
    }
    false
}

/// How far to go on from `i`, in a string with fields that is the last of `open`.
fn in_text(bytes: &[u8], i: usize, (quote, triple): (u8, bool), open: &mut Vec<Open>) -> usize {
    let byte = bytes.get(i).copied().unwrap_or_default();
    let next = bytes.get(i + 1).copied();
    match byte {
        b'{' | b'}' if next == Some(byte) => 2,
        b'{' => {
            open.push(Open::Field);
            1
        }
        b'\\' if !matches!(next, Some(b'{' | b'}')) => 2,
        b'\n' if !triple => {
            open.pop();
            1
        }
        _ if byte == quote && (!triple || is_triple(bytes, i, quote)) => {
            open.pop();
            if triple { 3 } else { 1 }
        }
        _ => 1,
    }
}

fn is_triple(bytes: &[u8], i: usize, quote: u8) -> bool {
    bytes.get(i..i + 3) == Some(&[quote; 3])
}

/// Whether the string that opens at `start` has a prefix by which it holds fields: `f`, `rf`, `t`.
fn is_formatted(bytes: &[u8], start: usize) -> bool {
    let before = bytes
        .get(start.saturating_sub(3)..start)
        .unwrap_or_default();
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_' || !byte.is_ascii();
    let prefix = before.iter().rev().take_while(is_word);
    let prefix: Vec<u8> = prefix.map(u8::to_ascii_lowercase).collect();
    matches!(
        prefix.as_slice(),
        b"f" | b"t" | b"rf" | b"fr" | b"rt" | b"tr"
    )
}

/// Whether one expression of `text` has more than `most` operators, members, calls and words in a row, which nest although no
/// bracket shows it: `a + a + ...`, `a.b.c...`, `not not ...`. Errs towards yes.
pub(super) fn too_long(text: &str, most: usize) -> bool {
    let bytes = text.as_bytes();
    // So many are in no shorter text.
    if bytes.len() < most {
        return false;
    }
    let at = |i: usize| bytes.get(i).copied();
    // By bracket, the innermost last, and all together.
    let mut counts: Vec<usize> = Vec::new();
    let (mut here, mut total) = (0, 0);
    let mut i = 0;
    while let Some(byte) = at(i) {
        match byte {
            b'#' => {
                i += rest(bytes, i, |rest| memchr::memchr(b'\n', rest));
                continue;
            }
            b'\'' | b'"' => {
                i = string_end(bytes, i, byte);
                continue;
            }
            b'\n' if counts.is_empty() && !is_continued(bytes, i) => {
                total -= here;
                here = 0;
            }
            b',' | b';' => {
                total -= here;
                here = 0;
            }
            b'(' | b'[' | b'{' => {
                counts.push(here + 1);
                total += 1;
                here = 0;
            }
            b')' | b']' | b'}' => {
                if let Some(outer) = counts.pop() {
                    total -= here;
                    here = outer;
                }
            }
            b' ' | b'\t' | b'\n' => {
                let is_word = at(i + 1).is_some_and(|b| b.is_ascii_alphabetic());
                let is_string = (2..4).any(|n| matches!(at(i + n), Some(b'\'' | b'"')));
                if is_word && !is_string {
                    here += 1;
                    total += 1;
                }
            }
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'@' | b'&' | b'|' | b'^' | b'~' | b'<'
            | b'>' | b'=' | b':' | b'!' => {
                here += 1;
                total += 1;
            }
            _ => {}
        }
        if total > most {
            return true;
        }
        i += 1;
        i += plain(bytes, i, &COUNTS);
    }
    false
}

/// Offset after the string literal that opens at `start` with `quote`.
pub(super) fn string_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let triple = bytes.get(start..start + 3) == Some(&[quote; 3]);
    let mut i = start + if triple { 3 } else { 1 };
    loop {
        i += rest(bytes, i, |rest| match triple {
            true => memchr::memchr2(quote, b'\\', rest),
            false => memchr::memchr3(quote, b'\\', b'\n', rest),
        });
        match bytes.get(i) {
            None => return bytes.len(),
            Some(b'\\') => i += 1,
            Some(b'\n') if !triple => return i,
            Some(_) if !triple => return i + 1,
            Some(_) if bytes.get(i..i + 3) == Some(&[quote; 3]) => return i + 3,
            Some(_) => {}
        }
        i += 1;
    }
}

/// How far `find` finds something from `start` on; to the end when it does not.
fn rest(bytes: &[u8], start: usize, find: impl Fn(&[u8]) -> Option<usize>) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    find(rest).unwrap_or(rest.len())
}

/// Whether the line that ends at `end` goes on in the next one.
fn is_continued(bytes: &[u8], end: usize) -> bool {
    let line = bytes.get(..end).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line).ends_with(b"\\")
}

/// Bytes that matter, by their value: most do not, and are passed over.
type Table = [bool; 256];

/// Those that open or close something, or end a line.
static NESTS: Table = table(b"()[]{}#'\"\n");
/// Those, and all that stands between operands.
static COUNTS: Table = table(b"()[]{}#'\"\n,; \t.+-*/%@&|^~<>=:!");

const fn table(matter: &[u8]) -> Table {
    let mut table = [false; 256];
    let mut n = 0;
    while n < matter.len() {
        table[matter[n] as usize] = true;
        n += 1;
    }
    table
}

/// How many bytes from `start` on do not matter.
fn plain(bytes: &[u8], start: usize, table: &Table) -> usize {
    rest(bytes, start, |rest| {
        let matters = |b: &u8| table.get(usize::from(*b)).copied().unwrap_or_default();
        rest.iter().position(matters)
    })
}

#[cfg(test)]
mod tests {
    use super::{too_deep, too_long};

    #[test]
    fn brackets_and_indents_are_counted_where_they_nest() {
        let deep = |text: &str| too_deep(text, 3, 3);
        assert!(deep("x = ((((1))))"));
        assert!(deep("x = f'{((((1))))}'"));
        assert!(deep("x = f'{a:{b:{c:{d}}}}'"));
        // Nothing of a line is left open on the next one.
        let lines = [
            "x = get(\"a\")\n",
            "print(f\"{x}\", not'')\n",
            "print(f\"{x[\"a\"]}\", rf'\\{x}')\n",
            "print(f'{x:\">10}', f\"{{\", f'''{x}\n''', \"\")\n",
        ];
        for line in lines {
            assert!(!deep(&line.repeat(9)), "{line}");
        }
        assert!(deep("x = [{(\n  [1])}]"));
        assert!(deep("x = f\"{((( 1 )))}\""));
        assert!(deep("if a:\n if b:\n  if c:\n   d"));
        for flat in [
            "x = (((1)))\ny = (((2)))",
            "x = \"((((\" + '((((' + \"\"\"\n((((\"\"\"",
            "x = 1  # ((((\ny = (2)",
            "x = \"\\\"((((\"",
            "if a:\n if b:\n  c\nif d:\n e",
        ] {
            assert!(!deep(flat), "{flat}");
        }
    }

    #[test]
    fn a_row_goes_on_as_far_as_its_line() {
        let long = |text: &str| too_long(text, 20);
        assert!(long(&"a + ".repeat(21)));
        assert!(long(&"a + \\\n".repeat(21)));
        assert!(long(&"a + \\\r\n".repeat(21)));
        assert!(long(&format!("({})", "a +\n".repeat(21))));
        assert!(long(&"a.b(1)".repeat(21)));
        for short in [
            "a + b\n".repeat(21),
            "a + b\r\n".repeat(21),
            format!("[{}]", "a + b,\n".repeat(21)),
            format!("x = '{}'", "a + ".repeat(21)),
            format!("x = 1  # {}", "a + ".repeat(21)),
        ] {
            assert!(!long(&short), "{short}");
        }
    }
}
