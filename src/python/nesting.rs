//! Whether a text nests deeper than the parser's stack holds: seen before it is parsed.
//!
//! Invariant: errs towards yes. A stack that overflows would end the whole program, so this reads strings, comments and lines
//! just as the parser's lexer does, and gives up where it is in doubt.

/// How deep a text may nest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Brackets within each other; formatted strings and their fields count as such.
    pub brackets: usize,
    /// Levels of indentation.
    pub indents: usize,
    /// Operators, members, calls and words in a row, which nest although no bracket shows it: `a + a + ...`, `a.b.c...`,
    /// `not not ...`.
    pub operators: usize,
}

/// What is open, and not closed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Bracket,
    /// The text of a formatted string.
    Text(Quote),
    /// `{...}` in it.
    Field,
    /// What comes after its colon.
    Spec,
}

/// How a string opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quote {
    byte: u8,
    triple: bool,
    raw: bool,
}

/// Whether `text` nests deeper than `most`.
pub(super) fn is_too_deep(text: &str, most: Most) -> bool {
    let mut scan = Scan::new(text, most, false);
    if scan.run().is_none() {
        return true;
    }
    // Since Python 3.12 a field may hold its own string's quotes. Where that gives no sense, the parser reads it as before.
    scan.reused && Scan::new(text, most, true).run().is_none()
}

/// A line that goes on in brackets, strings and after backslashes.
#[derive(Debug)]
pub(super) struct Line {
    /// Where it starts, and where its code does.
    pub start: usize,
    pub at: usize,
    /// Its first colon outside of brackets.
    pub colon: Option<usize>,
}

impl Line {
    /// How far it is indented, in bytes.
    pub fn width(&self) -> usize {
        self.at - self.start
    }
}

/// The lines of `text` that have code; nothing when it nests deeper than `most`, or the parser may see others.
pub(super) fn lines(text: &str, most: Most) -> Option<Vec<Line>> {
    let mut scan = Scan::new(text, most, false);
    scan.lines = Some(Vec::new());
    scan.run()?;
    scan.lines.filter(|_| !scan.reused && scan.open.is_empty())
}

struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
    /// What is open, the innermost last, and how many operators were before it.
    open: Vec<(Open, usize)>,
    /// Operators since the innermost opened, or since the last comma; and all together.
    here: usize,
    total: usize,
    /// Where the blocks around this line begin, the outermost first.
    columns: Vec<usize>,
    /// Those that a line within brackets does not end.
    base: usize,
    most: Most,
    /// A string ends at its next quote, also in a field.
    old: bool,
    /// A field holds its own string's quotes.
    reused: bool,
    /// Those that were seen, as long as they are sure.
    lines: Option<Vec<Line>>,
}

/// Nothing when it is too deep.
type Within = Option<()>;

impl<'t> Scan<'t> {
    fn new(text: &'t str, most: Most, old: bool) -> Scan<'t> {
        Scan {
            bytes: text.as_bytes(),
            at: 0,
            open: Vec::new(),
            here: 0,
            total: 0,
            columns: vec![0],
            base: 0,
            most,
            old,
            reused: false,
            lines: None,
        }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn run(&mut self) -> Within {
        self.indent()?;
        self.line(0);
        while self.at < self.bytes.len() {
            match self.open.last() {
                Some((Open::Text(quote), _)) => self.text(*quote)?,
                Some((Open::Spec, _)) => self.spec()?,
                _ => self.code()?,
            }
        }
        self.quote().is_none().then_some(())
    }

    /// How the innermost formatted string opens.
    fn quote(&self) -> Option<Quote> {
        let mut inner = self.open.iter().rev();
        inner.find_map(|(open, _)| match open {
            Open::Text(quote) => Some(*quote),
            _ => None,
        })
    }

    fn push(&mut self, open: Open) -> Within {
        // `a(1)(2)` nests; strings and fields one after the other do not.
        let nests = usize::from(open == Open::Bracket);
        self.open.push((open, self.here + nests));
        self.total += nests;
        self.here = 0;
        (self.open.len() <= self.most.brackets && self.total <= self.most.operators).then_some(())
    }

    fn pop(&mut self) {
        if let Some((_, before)) = self.open.pop() {
            self.total -= self.here;
            self.here = before;
        }
    }

    fn count(&mut self) -> Within {
        self.here += 1;
        self.total += 1;
        (self.total <= self.most.operators).then_some(())
    }

    /// A new expression begins.
    fn reset(&mut self) {
        self.total -= self.here;
        self.here = 0;
    }

    /// The next byte of code that matters.
    fn code(&mut self) -> Within {
        self.at += rest(self.bytes, self.at, |b| is_in(&CODE, b));
        let Some(byte) = self.byte(0) else {
            return Some(());
        };
        match byte {
            b'\'' | b'"' => return self.string(byte),
            b'#' => {
                self.at += rest(self.bytes, self.at, |b| matches!(b, b'\n' | b'\r'));
                return self.newline();
            }
            // A line that goes on.
            b'\\' if matches!(self.byte(1), Some(b'\n' | b'\r')) => {
                self.at += 1;
                self.at += line_end(self.bytes, self.at);
                return Some(());
            }
            b'\n' | b'\r' => return self.newline(),
            b'(' | b'[' | b'{' => self.push(Open::Bracket)?,
            // Any closes what is open: here it is code, so that this is a bracket or a field.
            b')' | b']' | b'}' if self.open.is_empty() => self.lines = None,
            b')' | b']' | b'}' => self.pop(),
            b',' | b';' => self.reset(),
            b':' if matches!(self.open.last(), Some((Open::Field, _))) => self.push(Open::Spec)?,
            b' ' | b'\t' => self.space()?,
            b':' if self.open.is_empty() => {
                let line = self.lines.as_mut().and_then(|lines| lines.last_mut());
                if let Some(line) = line {
                    line.colon = line.colon.or(Some(self.at));
                }
                self.count()?;
            }
            _ => self.count()?,
        }
        self.at += 1;
        Some(())
    }

    /// Between words may be an operator: `not`, `in`, `await`.
    fn space(&mut self) -> Within {
        let is_word = self.byte(1).is_some_and(|b| b.is_ascii_alphabetic());
        let is_string = (2..4).any(|n| matches!(self.byte(n), Some(b'\'' | b'"')));
        match is_word && !is_string {
            true => self.count(),
            false => Some(()),
        }
    }

    /// The line ends here.
    fn newline(&mut self) -> Within {
        self.at += line_end(self.bytes, self.at);
        let start = self.at;
        if self.open.is_empty() {
            self.reset();
            self.base = 0;
        }
        self.indent()?;
        if self.open.is_empty() {
            self.base = self.columns.len();
            self.line(start);
            return Some(());
        }
        // The parser may take it for the end of what is open.
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(b"def ") || rest.starts_with(b"class ") {
            self.lines = None;
        }
        match self.byte(0).is_some_and(|b| b.is_ascii_alphabetic()) {
            true => self.count(),
            false => Some(()),
        }
    }

    /// A line starts at `start`, and its code here.
    fn line(&mut self, start: usize) {
        let is_code = !matches!(self.byte(0), None | Some(b'\n' | b'\r' | b'#'));
        if let (true, Some(lines)) = (is_code, &mut self.lines) {
            let (at, colon) = (self.at, None);
            lines.push(Line { start, at, colon });
        }
    }

    /// The indentation of the line that starts here. Within brackets it counts, too: where they never close, the parser goes on
    /// as if they had.
    fn indent(&mut self) -> Within {
        let mut width = 0;
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t') => width += 1,
                Some(b'\x0c') => width = 0,
                // What is before the first one counts, if there is anything; one that joins no lines is passed over.
                Some(b'\\') => {
                    let end = line_end(self.bytes, self.at + 1);
                    self.at += end;
                    if end == 0 {
                        width = 0;
                    } else if width > 0 {
                        let is_space = |b| matches!(b, b' ' | b'\t' | b'\x0c');
                        self.at += rest(self.bytes, self.at + 1, |b| !is_space(b));
                    }
                }
                None | Some(b'\n' | b'\r' | b'#') => return Some(()),
                Some(_) => break,
            }
            self.at += 1;
        }
        let mut inner = self.columns.split_off(self.base.min(self.columns.len()));
        inner.retain(|column| *column < width);
        self.columns.append(&mut inner);
        self.columns.push(width);
        (self.columns.len() <= self.most.indents).then_some(())
    }

    /// A string opens with `byte`.
    fn string(&mut self, byte: u8) -> Within {
        let closes = |quote: &Quote| {
            quote.byte == byte && (!quote.triple || is_triple(self.bytes, self.at, byte))
        };
        if let Some(quote) = self.quote().filter(closes) {
            self.reused = true;
            if self.old {
                self.close(quote);
                return Some(());
            }
        }
        let before = self.bytes.get(..self.at).unwrap_or_default();
        let letters = before
            .iter()
            .rev()
            .take_while(|b| b.is_ascii_alphabetic())
            .count();
        let (outside, prefix) = before.split_at_checked(before.len() - letters)?;
        let ends = |b: &u8| *b == b'_' || b.is_ascii_digit() || !b.is_ascii();
        let is_prefix = !outside.last().is_some_and(ends);
        // `0x1f"..."`: where the number ends is not looked at.
        let number = outside.last().is_some_and(u8::is_ascii_digit) && letters > 0;
        const WORDS: [&[u8]; 7] = [b"if", b"or", b"in", b"is", b"and", b"not", b"else"];
        if number && !WORDS.contains(&prefix) {
            return None;
        }
        let prefix = prefix.to_ascii_lowercase();
        let formatted = matches!(
            prefix.as_slice(),
            b"f" | b"t" | b"rf" | b"fr" | b"rt" | b"tr"
        );
        if !is_prefix || !formatted {
            let end = string_close(self.bytes, self.at, byte);
            // In a field the parser may take its quote for the one that closes the field's string.
            if end.is_err() && self.quote().is_some() {
                return None;
            }
            if end.is_err() {
                self.lines = None;
            }
            self.at = end.unwrap_or_else(|end| end);
            return Some(());
        }
        let triple = is_triple(self.bytes, self.at, byte);
        let raw = prefix.contains(&b'r');
        self.push(Open::Text(Quote { byte, triple, raw }))?;
        self.at += if triple { 3 } else { 1 };
        Some(())
    }

    /// The next byte of a formatted string's text that matters.
    fn text(&mut self, quote: Quote) -> Within {
        self.at += rest(self.bytes, self.at, |b| {
            b == quote.byte || matches!(b, b'\\' | b'\n' | b'\r' | b'{')
        });
        match self.byte(0) {
            None => {}
            Some(b'\\') => self.at += escaped(self.bytes, self.at, quote),
            Some(b'\n' | b'\r') if !quote.triple => {
                self.lines = None;
                self.pop();
                if self.quote().is_some() {
                    return None;
                }
            }
            Some(b'{') if self.byte(1) == Some(b'{') => self.at += 2,
            Some(b'{') => {
                self.push(Open::Field)?;
                self.at += 1;
            }
            Some(byte) if byte == quote.byte => self.close(quote),
            Some(_) => self.at += 1,
        }
        Some(())
    }

    /// The string may close here.
    fn close(&mut self, quote: Quote) {
        if quote.triple && !is_triple(self.bytes, self.at, quote.byte) {
            self.at += 1;
            return;
        }
        self.end(quote);
        self.at += if quote.triple { 3 } else { 1 };
    }

    /// The innermost string is over, and all that is open in it.
    fn end(&mut self, quote: Quote) {
        while let Some((open, _)) = self.open.last().copied() {
            self.pop();
            if open == Open::Text(quote) {
                break;
            }
        }
    }

    /// The next byte of what a field says of its format that matters.
    fn spec(&mut self) -> Within {
        let quote = self.quote()?;
        self.at += rest(self.bytes, self.at, |b| {
            b == quote.byte || matches!(b, b'\\' | b'\n' | b'\r' | b'{' | b'}')
        });
        match self.byte(0) {
            None => {}
            Some(b'{') => {
                self.push(Open::Field)?;
                self.at += 1;
            }
            // It is over, and its field with it.
            Some(b'}') => {
                self.pop();
                self.pop();
                self.at += 1;
            }
            Some(b'\\') => self.at += escaped(self.bytes, self.at, quote),
            Some(b'\n' | b'\r') if quote.triple => self.at += 1,
            Some(b'\n' | b'\r') => {
                self.lines = None;
                self.end(quote);
            }
            Some(_) => self.close(quote),
        }
        Some(())
    }
}

/// Bytes of what the backslash at `at` of a formatted string escapes, with itself.
fn escaped(bytes: &[u8], at: usize, quote: Quote) -> usize {
    match (bytes.get(at + 1), bytes.get(at + 2)) {
        (Some(b'{' | b'}'), _) => 1,
        (Some(b'N'), Some(b'{')) if !quote.raw => 3,
        _ => 1 + line_end(bytes, at + 1).max(1),
    }
}

/// Bytes of the line end at `at`; none if there is none.
fn line_end(bytes: &[u8], at: usize) -> usize {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        (Some(b'\r' | b'\n'), _) => 1,
        _ => 0,
    }
}

fn is_triple(bytes: &[u8], at: usize, quote: u8) -> bool {
    bytes.get(at..at + 3) == Some(&[quote; 3])
}

/// Offset after the string literal that opens at `start` with `quote`.
pub(super) fn string_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    string_close(bytes, start, quote).unwrap_or_else(|end| end)
}

/// The same; where it stops without being closed, that is an error.
fn string_close(bytes: &[u8], start: usize, quote: u8) -> Result<usize, usize> {
    let triple = is_triple(bytes, start, quote);
    let mut i = start + if triple { 3 } else { 1 };
    loop {
        i += rest(bytes, i, |b| {
            b == quote || matches!(b, b'\\' | b'\n' | b'\r')
        });
        match bytes.get(i) {
            None => return Err(bytes.len()),
            Some(b'\\') => i += line_end(bytes, i + 1).max(1),
            Some(b'\n' | b'\r') if !triple => return Err(i),
            Some(b'\n' | b'\r') => {}
            Some(_) if !triple => return Ok(i + 1),
            Some(_) if is_triple(bytes, i, quote) => return Ok(i + 3),
            Some(_) => {}
        }
        i += 1;
    }
}

/// How far it is from `start` to the next byte that `matters`, or to the end.
fn rest(bytes: &[u8], start: usize, matters: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let found = rest.iter().position(|b| matters(*b));
    found.unwrap_or(rest.len())
}

/// Bytes of code that matter, by their value: most do not, and are passed over.
static CODE: [bool; 256] = table(b"()[]{}#'\"\\\n\r,; \t.+-*/%@&|^~<>=:!");

const fn table(matter: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut n = 0;
    while n < matter.len() {
        table[matter[n] as usize] = true;
        n += 1;
    }
    table
}

fn is_in(table: &[bool; 256], byte: u8) -> bool {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustpython_ast::token::TokenKind;
    use rustpython_parser::{Mode, ParseOptions, parse_unchecked};

    use super::{Most, is_too_deep};

    fn deep(text: &str) -> bool {
        let most = Most {
            brackets: 5,
            indents: 3,
            operators: 20,
        };
        is_too_deep(text, most)
    }

    #[test]
    fn brackets_count_wherever_the_parser_sees_them() {
        let nest = "((((((1))))))";
        for before in [
            "x = ",
            "x = f\"a\" + ",
            "x = f\"#\" + ",
            "x = f\"(\" + ",
            "x = f\"{a['b']}\" + ",
            "x = f\"{a[\"b\"]}\" + ",
            "x = f\"{'\"'}\" + ",
            "x = f\"{a:#x}\" + ",
            "x = f\"\\N{EM DASH}\" + ",
            "x = f\"\\N{\" + ",
            "x = rf\"\\N{a}\" + ",
            "x = rf\"\\\"\" + ",
            "x = f'{{' + ",
            "x = f'''{a}''' + ",
            "x = f\"\"\"{a!r:>{b}}\"\"\" + ",
            "x = 'a\\\r\nb' + ",
            "x = f'a\\\r\nb' + ",
            "x = 'a\r",
            "x = f'a\r",
            "# a\r",
            "x = 1  # ((\\\n",
            "x = not'a' + ",
            "x = r'\\' + ' + ",
            "x = 0x1f'{' + ",
            "x = 1rf\"{\" + ",
            "x = bf\"{\" + ",
            "x = f\"{a)\" + ",
            "x = f\"{a:\\\"}\" + ",
            "x = f\"{a:\n} + ",
            "x = f\"{a\n} + \" + ",
        ] {
            assert!(deep(&format!("{before}{nest}\n")), "{before:?}");
        }
        assert!(deep("x = f'{f\"{f'{f\"{1}\"}'}\"}'"));
        assert!(deep(&"x = f\"{\n".repeat(6)));
    }

    #[test]
    fn what_does_not_nest_does_not_count() {
        for line in [
            "log(f\"abc\", bar(\"x\"))\n",
            "log(f\"{a}: {b[1]:>{w}}\", bar('x'))\n",
            "x = f\"(\" + f'{{'\n",
            "x = not \"(\"\n",
            "x = f(\"(\", it[\"(\"])\n",
            "x = (((1)))\n",
            "x = \"((((((\" + '((((((' + \"\"\"\n((((((\"\"\"\n",
            "x = 1  # ((((((\ny = (2)\n",
            "x = \"\\\"((((((\"\n",
            "x = 1if\"(\"else 2\n",
            "if a:\n if b:\n  c\n",
        ] {
            assert!(!deep(&line.repeat(10)), "{line:?}");
        }
    }

    #[test]
    fn indents_count_whatever_ends_the_lines() {
        for end in ["\n", "\r\n", "\r", "  # \\\n"] {
            let text = ["if a:", " if b:", "  if c:", "   d"].map(|line| format!("{line}{end}"));
            assert!(deep(&text.concat()), "{end:?}");
            assert!(
                !deep(&text.get(..3).unwrap_or_default().concat()),
                "{end:?}"
            );
        }
        assert!(deep("if a:\n\\\n if b:\n\\\n  if c:\n\\\n   d\n"));
        assert!(deep("x = (\nif a:\n if b:\n  if c:\n   d\n"));
        assert!(deep("if a:\n if (\n):\n  if (\n):\n   d\n"));
        assert!(!deep(
            "x = (\n  (\n    1\n  )\n)\ny = 1\n".repeat(3).as_str()
        ));
        assert!(deep("if a:\n\x0c if b:\n\x0c  if c:\n\x0c   d\n"));
    }

    #[test]
    fn a_row_goes_on_as_far_as_its_line() {
        for row in [
            "a + ".repeat(21),
            "a + \\\n".repeat(21),
            "a + \\\r\n".repeat(21),
            format!("({})", "a +\n".repeat(21)),
            format!("f\"{{'\"'}}\" + {}", "a + ".repeat(21)),
            format!("f\"{{{}a}}\"", "a + ".repeat(21)),
            "a.b(1)".repeat(21),
            "not ".repeat(22),
        ] {
            assert!(deep(&row), "{row}");
        }
        for row in [
            "a + b\n".repeat(21),
            "a + b\r\n".repeat(21),
            "a + b\r".repeat(21),
            format!("[{}]", "a + b,\n".repeat(21)),
            format!("x = '{}'", "a + ".repeat(21)),
            format!("x = f'{}'", "a + ".repeat(21)),
            format!("x = f'{}'", "{a}".repeat(21)),
            format!("x = f'{}'", "{a:>{b}}".repeat(21)),
            format!("x = ({})", "f'{a}' ".repeat(21)),
            format!("x = 1  # {}", "a + ".repeat(21)),
        ] {
            assert!(!deep(&row), "{row}");
        }
    }

    /// The most brackets that the parser saw within each other in `text`.
    fn seen(text: &str) -> usize {
        let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
        let (mut brackets, mut most) = (0_usize, 0);
        let mut strings = Vec::new();
        for token in parsed.tokens() {
            match token.kind() {
                TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => brackets += 1,
                TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => {
                    brackets = brackets.saturating_sub(1);
                }
                TokenKind::Newline => brackets = 0,
                // What its fields leave open ends with the string.
                TokenKind::FStringStart | TokenKind::TStringStart => strings.push(brackets),
                TokenKind::FStringEnd | TokenKind::TStringEnd => {
                    brackets = strings.pop().unwrap_or(brackets).min(brackets);
                }
                _ => {}
            }
            most = brackets.max(most);
        }
        most
    }

    /// Pieces of which hostile texts are made.
    const PIECES: [&str; 44] = [
        "\"",
        "'",
        "\"\"\"",
        "\'\'\'",
        "f\"",
        "f\'",
        "rf\"",
        "fR'",
        "t\"",
        "bf\"",
        "f\"\"\"",
        "r'",
        "{",
        "}",
        "{{",
        "}}",
        "(",
        ")",
        "[",
        "]",
        "((",
        ":",
        "!r",
        "=",
        "\\",
        "\\N{",
        "\\\n",
        "\\\r\n",
        "\n",
        "\r",
        "\r\n",
        "#",
        "# \\\n",
        ",",
        ";",
        " ",
        "  ",
        "\t",
        "\x0c",
        "a",
        "1",
        "if a:",
        "\nif a:\n ",
        "not",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_parser_sees_no_more(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 1..40)) {
            let text = pieces.concat();
            let brackets = seen(&text);
            let most = |brackets| Most { brackets, indents: 1_000, operators: 1_000 };
            // Brackets of strings that a line end ends are among the tokens, and nest no longer.
            if let Some(fewer) = (brackets / 2).checked_sub(1) {
                prop_assert!(
                    is_too_deep(&text, most(fewer)),
                    "{} brackets in {:?}",
                    brackets,
                    text
                );
            }
        }
    }
}
