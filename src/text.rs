//! Spans and non-overlapping edits on text: the "libcst-equivalent" is that we never re-print code.
//!
//! Invariant: an [`EditSet`] is sorted and free of overlaps by construction, so applying it can neither
//! fail nor depend on the order in which its edits were found.

pub mod words;

use std::cmp::Ordering;
use std::fmt::Write;

/// A half-open range of byte offsets into one file's decoded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte; never less than `start`.
    pub end: usize,
}

impl Span {
    /// The span from `start` up to `end`.
    pub fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end);
        Span { start, end }
    }

    /// The empty span at `offset`: an insertion.
    pub fn at(offset: usize) -> Span {
        Span::new(offset, offset)
    }

    /// Whether every byte of `other` lies in `self`.
    pub fn contains(self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// A place a person can go to: line and column, both 1-based; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// 1-based line.
    pub line: usize,
    /// 1-based column in characters.
    pub column: usize,
}

/// Where each line of a text starts. Lines end as Python ends them: `\n`, `\r\n` or a lone `\r`.
#[derive(Debug)]
pub struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    /// The index of `text`.
    pub fn new(text: &str) -> LineIndex {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for (offset, byte) in bytes.iter().enumerate() {
            let ends = match byte {
                b'\n' => true,
                b'\r' => bytes.get(offset + 1) != Some(&b'\n'),
                _ => false,
            };
            if ends {
                starts.push(offset + 1);
            }
        }
        LineIndex { starts }
    }

    /// 0-based number of the line that holds `offset`.
    fn row(&self, offset: usize) -> usize {
        self.starts
            .partition_point(|&start| start <= offset)
            .saturating_sub(1)
    }

    /// Offset at which the line holding `offset` starts.
    pub fn line_start(&self, offset: usize) -> usize {
        self.starts.get(self.row(offset)).copied().unwrap_or(0)
    }

    /// Offset at which the line holding `offset` ends, before its line end.
    pub fn line_end(&self, text: &str, offset: usize) -> usize {
        let next = self
            .starts
            .get(self.row(offset) + 1)
            .copied()
            .unwrap_or(text.len());
        let line = text.get(..next).unwrap_or(text);
        line.strip_suffix("\r\n")
            .or_else(|| line.strip_suffix(['\n', '\r']))
            .unwrap_or(line)
            .len()
            .max(offset)
    }

    /// Offset at which the line after the one holding `offset` starts; the end of the text for the last line.
    pub fn next_line(&self, text: &str, offset: usize) -> usize {
        self.starts
            .get(self.row(offset) + 1)
            .copied()
            .unwrap_or(text.len())
    }

    /// Starts of all lines that begin inside `span`, its own first line excluded.
    pub fn lines_inside(&self, span: Span) -> impl Iterator<Item = usize> + '_ {
        let from = self.row(span.start) + 1;
        self.starts
            .iter()
            .skip(from)
            .copied()
            .take_while(move |&start| start < span.end)
    }

    /// The line and column of `offset`. A byte-order mark at the head of the text is not a column.
    pub fn position(&self, text: &str, offset: usize) -> Position {
        let row = self.row(offset);
        let start = self.line_start(offset);
        let line = text.get(start..offset).unwrap_or_default();
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        Position {
            line: row + 1,
            column: line.chars().count() + 1,
        }
    }
}

/// Replace `span` by `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What goes; empty for an insertion.
    pub span: Span,
    /// Which comes first when several edits start at one offset; lower first.
    pub order: i32,
    /// What comes in its place.
    pub text: String,
}

impl Edit {
    /// Replaces `span` by `text`.
    pub fn replace(span: Span, text: impl Into<String>) -> Edit {
        Edit {
            span,
            order: 0,
            text: text.into(),
        }
    }

    /// Inserts `text` at `offset`; `order` decides among insertions at one offset.
    pub fn insert(offset: usize, order: i32, text: impl Into<String>) -> Edit {
        Edit {
            span: Span::at(offset),
            order,
            text: text.into(),
        }
    }

    fn in_order(&self, other: &Edit) -> Ordering {
        let key = |e: &Edit| (e.span.start, e.span.end, e.order);
        let places = key(self).cmp(&key(other));
        places.then_with(|| self.text.cmp(&other.text))
    }

    fn stands_before(&self, next: &Edit) -> Result<(), Overlap> {
        let same_place = self.span == next.span && self.order == next.order;
        match next.span.start < self.span.end || same_place {
            true => Err(Overlap(next.span)),
            false => Ok(()),
        }
    }
}

/// Two edits claim the same bytes, or the same offset without saying which comes first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two edits claim bytes {} to {}", .0.start, .0.end)]
pub struct Overlap(pub Span);

/// Edits of one text: sorted, non-overlapping, without repeats.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditSet {
    edits: Vec<Edit>,
}

impl EditSet {
    /// Orders `edits` and drops repeats of one and the same edit.
    ///
    /// # Errors
    /// [`Overlap`] when two different edits claim a byte, or insert at one offset with one order.
    pub fn new(mut edits: Vec<Edit>) -> Result<EditSet, Overlap> {
        edits.sort_by(Edit::in_order);
        edits.dedup();
        for pair in edits.windows(2) {
            let [a, b] = pair else { continue };
            a.stands_before(b)?;
        }
        Ok(EditSet { edits })
    }

    /// Whether [`EditSet::add`] would take in all of `other`.
    pub fn fits(&self, other: &EditSet) -> bool {
        other.edits.iter().all(|edit| {
            let place = self.edits.binary_search_by(|mine| mine.in_order(edit));
            let Err(at) = place else { return true };
            let before = at.checked_sub(1).and_then(|at| self.edits.get(at));
            let after = self.edits.get(at);
            before.is_none_or(|before| before.stands_before(edit).is_ok())
                && after.is_none_or(|after| edit.stands_before(after).is_ok())
        })
    }

    /// Takes in `other`: a file may have thousands of edits, and each comes alone.
    ///
    /// # Errors
    /// [`Overlap`], as [`EditSet::new`]; then some of `other` may be in.
    pub fn add(&mut self, other: &EditSet) -> Result<(), Overlap> {
        for edit in &other.edits {
            let place = self.edits.binary_search_by(|mine| mine.in_order(edit));
            let Err(at) = place else { continue };
            if let Some(before) = at.checked_sub(1).and_then(|at| self.edits.get(at)) {
                before.stands_before(edit)?;
            }
            if let Some(after) = self.edits.get(at) {
                edit.stands_before(after)?;
            }
            self.edits.insert(at, edit.clone());
        }
        Ok(())
    }

    /// The edits in the order of the text.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// `text` with every edit made. Edits that do not fit `text` (they were made for another) are passed over.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 256);
        let mut done = 0;
        for edit in &self.edits {
            let Some(kept) = text.get(done..edit.span.start) else {
                continue;
            };
            out.push_str(kept);
            out.push_str(&edit.text);
            done = edit.span.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }

    /// These edits of `text` and then `next`, which were made for what these give, as one set.
    pub fn then(&self, text: &str, next: &EditSet) -> EditSet {
        let between = self.apply(text);
        // Of each edit: its text in `between`, and how much longer that is than what it replaced.
        let mut placed: Vec<(Span, usize, usize)> = Vec::new();
        let (mut old, mut new) = (0, 0);
        for edit in &self.edits {
            let start = new + edit.span.start.saturating_sub(old);
            let end = start + edit.text.len();
            placed.push((Span::new(start, end), edit.span.start, edit.span.end));
            (old, new) = (edit.span.end, end);
        }
        let mut spans: Vec<Span> = placed.iter().map(|(span, ..)| *span).collect();
        spans.extend(next.edits.iter().map(|edit| edit.span));
        spans.sort();
        // What touches becomes one edit.
        let mut joined: Vec<Span> = Vec::new();
        for span in spans {
            match joined.last_mut().filter(|last| span.start <= last.end) {
                Some(last) => last.end = last.end.max(span.end),
                None => joined.push(span),
            }
        }
        let edits = joined.into_iter().map(|span| {
            let before = placed.iter().rfind(|(p, ..)| p.end < span.start);
            let within = placed.iter().rfind(|(p, ..)| span.contains(*p));
            let back = |at: usize, edit: Option<&(Span, usize, usize)>| match edit {
                Some((p, _, end)) => end + at.saturating_sub(p.end),
                None => at,
            };
            let replaced = Span::new(back(span.start, before), back(span.end, within.or(before)));
            let mut text = String::new();
            let mut done = span.start;
            for edit in next.edits.iter().filter(|edit| span.contains(edit.span)) {
                text.push_str(between.get(done..edit.span.start).unwrap_or_default());
                text.push_str(&edit.text);
                done = edit.span.end;
            }
            text.push_str(between.get(done..span.end).unwrap_or_default());
            Edit::replace(replaced, text)
        });
        EditSet {
            edits: edits.collect(),
        }
    }
}

/// Adds `c` within a JSON string, as Python's `json` writes it: beyond ASCII as it is, unless `ascii`.
pub fn json_character(c: char, ascii: bool, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        c if c < ' ' || (ascii && !(' '..='~').contains(&c)) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        c => out.push(c),
    }
}

/// `text` as it may reach a terminal: control characters, which could drive it, and those that turn the
/// direction of writing or cannot be seen, are spelled out.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

fn is_unprintable(c: char) -> bool {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    c.is_control() || turns
}

/// JSON as it may reach a terminal, which means the same: what [`printable`] spells out is escaped, in the way of JSON.
pub fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => out.push(c),
            c if is_unprintable(c) => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// [`printable`] for text of several lines: line ends stay.
pub fn printable_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(line) => {
                out.push_str(&printable(line));
                out.push('\n');
            }
            None => out.push_str(&printable(line)),
        }
    }
    out
}
