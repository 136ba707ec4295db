//! What IPython reads in a cell and Python does not: magics, shell commands, help. Each is masked by Python of the same
//! length, so that no offset moves.
//!
//! Invariant: a line with a mask is named, so that nobody edits what is not there.

use super::nesting::string_end;
use crate::text::Span;

/// Cell magics whose body is run as the rest of the notebook is.
const PLAIN: [&str; 3] = ["time", "capture", "debug"];

/// Cell magics that run their body, in a function of their own or many times over: loads are found, nothing is rewritten.
const WRAPPED: [&str; 7] = [
    "timeit",
    "prun",
    "memit",
    "mprun",
    "lprun",
    "snakeviz",
    "pyinstrument",
];

/// Line magics that run the Python after them.
const RUNS: [&str; 8] = [
    "time", "timeit", "prun", "memit", "mprun", "lprun", "debug", "snakeviz",
];

/// A cell as Python alone would read it.
pub(super) struct Masked {
    /// As long as the cell.
    pub text: String,
    /// Lines with a mask, and all of them in a cell that is not run as the others are.
    pub lines: Vec<Span>,
    /// Up to here nothing may be put into the cell: its magic comes first, and what it holds may be no Python.
    pub barred: usize,
}

/// `cell`, masked.
pub(super) fn masked(cell: &str) -> Masked {
    let mut masked = Masked {
        text: String::with_capacity(cell.len()),
        lines: Vec::new(),
        barred: 0,
    };
    let blank = cell.len() - cell.trim_start_matches([' ', '\t', '\n', '\r']).len();
    let head = cell.get(blank..).unwrap_or_default();
    let mut from = 0;
    if let Some(magic) = head.strip_prefix("%%") {
        let name: &str = magic
            .split(|c: char| !is_word(c))
            .next()
            .unwrap_or_default();
        let end = head.find('\n').map_or(cell.len(), |at| blank + at);
        if !PLAIN.contains(&name) && !WRAPPED.contains(&name) {
            masked.text = blanked(cell);
            // Also the end of its last line.
            masked.barred = cell.len() + 2;
            return masked;
        }
        masked.text.push_str(&blanked(&cell[..end]));
        from = end;
        let until = match PLAIN.contains(&name) {
            true => end,
            false => cell.len(),
        };
        masked.lines.push(Span::new(0, until));
        masked.barred = end + 1;
    }
    let mut state = State::default();
    let mut at = from;
    // A line that goes on after a backslash goes on as what it was.
    let mut hidden = false;
    for line in cell.get(from..).unwrap_or_default().split_inclusive('\n') {
        let span = Span::new(at, at + line.len());
        at = span.end;
        if hidden {
            masked.text.push_str(&blanked(line));
            masked.lines.push(span);
            hidden = goes_on(line);
            continue;
        }
        match state
            .is_open()
            .then_some(())
            .map_or_else(|| mask(line), |()| None)
        {
            Some((text, runs)) => {
                // What a magic runs may go on in brackets; what it hides, after a backslash.
                if runs {
                    state.read(&text);
                } else {
                    hidden = goes_on(line);
                }
                masked.text.push_str(&text);
                masked.lines.push(span);
            }
            None => {
                state.read(line);
                masked.text.push_str(line);
            }
        }
    }
    masked
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn goes_on(line: &str) -> bool {
    line.trim_end_matches(['\n', '\r']).ends_with('\\')
}

/// `text` with nothing in it but its line ends.
pub(super) fn blanked(text: &str) -> String {
    let blank = text.bytes().map(|byte| match byte {
        b'\n' | b'\r' => char::from(byte),
        _ => ' ',
    });
    blank.collect()
}

/// `first`, and spaces to the length of `text`.
fn padded(first: &str, text: &str) -> String {
    let kept = text.trim_end_matches(['\n', '\r']);
    let mut out = first.to_owned();
    out.extend(std::iter::repeat_n(
        ' ',
        kept.len().saturating_sub(first.len()),
    ));
    out.push_str(&text[kept.len()..]);
    out
}

/// A line that begins a statement, masked, and whether Python follows the mask; none when it is Python.
fn mask(line: &str) -> Option<(String, bool)> {
    let code = line.trim_start_matches([' ', '\t']);
    let (margin, code) = line.split_at(line.len() - code.len());
    let whole = |code: &str| (format!("{margin}{}", padded("0", code)), false);
    let kept = code.trim_end();
    if let Some(magic) = code.strip_prefix('%').filter(|rest| !rest.starts_with('%')) {
        let name: &str = magic
            .split(|c: char| !is_word(c))
            .next()
            .unwrap_or_default();
        if !RUNS.contains(&name) {
            return Some(whole(code));
        }
        let body = 1 + name.len() + options(&magic[name.len()..]);
        let (magic, body) = code.split_at(body);
        return Some(match body.trim().is_empty() || magic.len() < 2 {
            true => whole(code),
            false => (format!("{margin}0{}{body}", padded(";", &magic[1..])), true),
        });
    }
    let escape = ["!", "?", "%%", ",", ";", "/"];
    if escape.iter().any(|escape| code.starts_with(escape)) && kept.len() > 1 {
        return Some(whole(code));
    }
    if kept.ends_with('?') && !kept.contains(['#', '"', '\'']) {
        return Some(whole(code));
    }
    // `names = !ls`, `names = %sql ...`: what comes out is not known.
    let (target, value) = code.split_once('=')?;
    let names = |c: char| is_word(c) || " .,*[]()".contains(c);
    let gap = value.len() - value.trim_start_matches([' ', '\t']).len();
    let (gap, value) = value.split_at(gap);
    let shell = value.starts_with('!') || value.starts_with('%');
    (shell && !target.is_empty() && target.chars().all(names)).then(|| {
        (
            format!("{margin}{target}={gap}{}", padded("_", value)),
            false,
        )
    })
}

/// How long the options at the start of `text` are, with the spaces around them.
fn options(text: &str) -> usize {
    let mut rest = text.trim_start_matches([' ', '\t']);
    while let Some(option) = rest.strip_prefix('-') {
        let word = option.split([' ', '\t', '\n']).next().unwrap_or_default();
        rest = option[word.len()..].trim_start_matches([' ', '\t']);
        // These take a word after them.
        if matches!(word, "n" | "r" | "p" | "l" | "s" | "T" | "D" | "f" | "m") {
            let value = rest.split([' ', '\t', '\n']).next().unwrap_or_default();
            rest = rest[value.len()..].trim_start_matches([' ', '\t']);
        }
    }
    text.len() - rest.len()
}

/// What is open at the end of a line: then the next begins no statement.
#[derive(Default)]
struct State {
    depth: usize,
    /// The quote of a string of several lines.
    quote: Option<u8>,
    backslash: bool,
}

impl State {
    fn is_open(&self) -> bool {
        self.depth > 0 || self.quote.is_some() || self.backslash
    }

    fn read(&mut self, line: &str) {
        let bytes = line.as_bytes();
        let mut i = 0;
        if let Some(quote) = self.quote {
            match closing(bytes, quote) {
                Some(end) => (self.quote, i) = (None, end),
                None => return,
            }
        }
        self.backslash = false;
        while let Some(&byte) = bytes.get(i) {
            match byte {
                b'(' | b'[' | b'{' => self.depth += 1,
                b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b'#' => return,
                b'\'' | b'"' => {
                    let triple = bytes.get(i..i + 3) == Some(&[byte; 3]);
                    let end = string_end(bytes, i, byte);
                    let closed = end >= i + 6 && bytes.get(end - 3..end) == Some(&[byte; 3]);
                    if triple && !closed {
                        self.quote = Some(byte);
                        return;
                    }
                    i = end;
                    continue;
                }
                b'\\' => self.backslash = goes_on(line),
                _ => {}
            }
            i += 1;
        }
    }
}

/// Offset after the three quotes that close a string.
fn closing(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'\\' => i += 1,
            _ if bytes.get(i..i + 3) == Some(&[quote; 3]) => return Some(i + 3),
            _ => {}
        }
        i += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(cell: &str) -> Vec<String> {
        let masked = masked(cell);
        assert_eq!(masked.text.len(), cell.len(), "{cell}");
        masked
            .text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    #[test]
    fn magics_become_python_of_the_same_length() {
        assert_eq!(lines("%matplotlib inline\nx = 1"), ["0", "x = 1"]);
        assert_eq!(
            lines("if x:\n    !ls -l {x}\n    ?obj"),
            ["if x:", "    0", "    0"]
        );
        assert_eq!(lines("obj.name??\nfiles = !ls"), ["0", "files = _"]);
        assert_eq!(lines("a, b = %sql select"), ["a, b = _"]);
        assert_eq!(lines("!pip install \\\n  x\ny = 1"), ["0", "", "y = 1"]);
        assert_eq!(lines("%time x = f(1)"), ["0;    x = f(1)"]);
        assert_eq!(lines("%timeit -n 10 -r3 f(ü)"), ["0;                f(ü)"]);
        assert_eq!(lines("%%bash\necho \"\n"), ["", ""]);
        assert_eq!(lines("\n%%time\nx = 1"), ["", "", "x = 1"]);
        assert_eq!(lines("%time"), ["0"]);
    }

    #[test]
    fn python_stays_as_it_is() {
        for cell in [
            "x = (a\n  % b)",
            "x = a \\\n  % b",
            "s = '''\n%time\n!ls\n'''\ny = 1",
            "x = '?'\ny != 1",
            "d['a=!'] = 1  # what?",
            "f(a='!x')",
            "x = \"%d\" % 3",
            "@a\ndef f(): ...",
        ] {
            assert_eq!(masked(cell).text, cell);
            assert!(masked(cell).lines.is_empty(), "{cell}");
        }
    }
}
