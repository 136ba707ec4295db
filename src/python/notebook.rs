//! A notebook (`.ipynb`, nbformat 3 and 4) as a view: the text of its code cells, one after the other, and the way back.
//!
//! Invariant: writing changes the lines of source that were edited, and no other byte of the file.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text::{Edit, EditSet, LineIndex, Position, Span, json_character};

/// A notebook that was read.
#[derive(Debug)]
pub(super) struct Notebook {
    /// The JSON.
    raw: String,
    index: LineIndex,
    /// Whether it spells out what is not ASCII.
    ascii: bool,
    /// Cells with Python, in order.
    pub cells: Vec<Cell>,
}

/// A code cell.
#[derive(Debug)]
pub(super) struct Cell {
    /// Its 1-based place among all cells.
    pub number: usize,
    /// Where its text is in the view.
    pub span: Span,
    /// Its text has no final line end, and the view has one for it.
    ended: bool,
    /// The strings that its text is written in.
    parts: Vec<Part>,
    /// What stands between two of them; none when its text is one string.
    between: Option<String>,
}

/// One JSON string of a cell's source.
#[derive(Debug)]
struct Part {
    /// Its text in the view.
    span: Span,
    /// The literal, with its quotes, in the file.
    raw: Range<usize>,
}

#[derive(Deserialize)]
struct Document<'a> {
    nbformat: u32,
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    cells: Vec<Written<'a>>,
    #[serde(borrow, default)]
    worksheets: Vec<Worksheet<'a>>,
}

#[derive(Deserialize)]
struct Worksheet<'a> {
    #[serde(borrow, default)]
    cells: Vec<Written<'a>>,
}

#[derive(Deserialize)]
struct Written<'a> {
    cell_type: String,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    /// What format 3 calls the source.
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(default)]
    language: Option<String>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    kernelspec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    language_info: Option<&'a RawValue>,
}

impl Metadata<'_> {
    /// Whether its code is Python, as far as it says.
    fn is_python(&self) -> bool {
        let word = |raw: Option<&RawValue>, key: &str| -> Option<String> {
            let value: serde_json::Value = serde_json::from_str(raw?.get()).ok()?;
            Some(value.get(key)?.as_str()?.to_lowercase())
        };
        let said = word(self.language_info, "name");
        let said = said.or_else(|| word(self.kernelspec, "language"));
        said.is_none_or(|language| language.contains("python"))
    }
}

impl Notebook {
    /// The notebook that `bytes` are, and its view; else why they are none.
    pub fn read(bytes: &[u8]) -> Result<(Notebook, String), String> {
        let raw = std::str::from_utf8(bytes).map_err(|_| "is not valid UTF-8".to_owned())?;
        // A file that was made and never saved.
        let raw = match raw.trim_ascii().is_empty() {
            true => "{\"nbformat\": 4}",
            false => raw,
        };
        let document: Document<'_> = serde_json::from_str(raw)
            .map_err(|error| format!("is no notebook of nbformat 3 or 4: {error}"))?;
        if !(3..=4).contains(&document.nbformat) {
            let format = document.nbformat;
            return Err(format!("is of nbformat {format}; 3 and 4 are read"));
        }
        let mut cells = Vec::new();
        let mut view = String::new();
        let python = document.metadata.as_ref().is_none_or(Metadata::is_python);
        let older = document.worksheets.iter().flat_map(|sheet| &sheet.cells);
        for (n, written) in document.cells.iter().chain(older).enumerate() {
            let language = written.language.as_deref().unwrap_or("python");
            let Some(source) = written.source.or(written.input) else {
                continue;
            };
            if !python || written.cell_type != "code" || language != "python" {
                continue;
            }
            if !view.is_empty() {
                // Between two cells, and in neither.
                view.push('\n');
            }
            cells.push(cell(raw, source, n + 1, &mut view)?);
        }
        if view.contains('\0') {
            return Err("has NUL characters in its code".to_owned());
        }
        let escaped = raw.match_indices("\\u").any(|(at, _)| {
            let digits = raw.get(at + 2..at + 6).unwrap_or_default();
            u32::from_str_radix(digits, 16).is_ok_and(|c| c >= 0x80)
        });
        let notebook = Notebook {
            index: LineIndex::new(raw),
            ascii: raw.is_ascii() && escaped,
            raw: raw.to_owned(),
            cells,
        };
        Ok((notebook, view))
    }

    /// The cell that holds `offset` of the view; of what is between two, the one before.
    pub fn cell(&self, offset: usize) -> Option<&Cell> {
        let after = self.cells.partition_point(|cell| cell.span.start <= offset);
        self.cells.get(after.saturating_sub(1))
    }

    /// Where `offset` of the view is in the file.
    pub fn position(&self, offset: usize) -> Position {
        let at = self
            .cell(offset)
            .map_or(0, |cell| self.raw_at(cell, offset));
        self.index.position(&self.raw, at)
    }

    fn raw_at(&self, cell: &Cell, offset: usize) -> usize {
        let after = cell.parts.partition_point(|part| part.span.start <= offset);
        match cell.parts.get(after.saturating_sub(1)) {
            Some(part) => self.raw_in(part, offset),
            None => 0,
        }
    }

    /// Where `offset` of the view is in `part`.
    fn raw_in(&self, part: &Part, offset: usize) -> usize {
        let text = self.raw.get(part.raw.clone()).unwrap_or_default();
        let mut at = 1;
        let mut done = part.span.start;
        while done < offset.min(part.span.end) {
            let rest = text.get(at..).unwrap_or_default();
            let (raw, decoded) = step(rest);
            if raw == 0 {
                break;
            }
            at += raw;
            done += decoded;
        }
        part.raw.start + at
    }

    /// The file with `edits` of `view`; none when one of them belongs to no cell.
    pub fn write(&self, view: &str, edits: &EditSet) -> Option<Vec<u8>> {
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        let mut left = edits.edits();
        for cell in &self.cells {
            let end = cell.span.end + usize::from(cell.ended);
            let inside = |edit: &&Edit| edit.span.start >= cell.span.start && edit.span.end <= end;
            let count = left.iter().take_while(|edit| inside(edit)).count();
            let (own, rest) = left.split_at(count);
            left = rest;
            if !own.is_empty() {
                self.edited(cell, view.get(cell.span.start..end)?, own, &mut changes)?;
            }
        }
        if !left.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(self.raw.len() + 256);
        let mut done = 0;
        for (range, text) in changes {
            out.push_str(self.raw.get(done..range.start)?);
            out.push_str(&text);
            done = range.end;
        }
        out.push_str(self.raw.get(done..)?);
        // Whatever the file's form is: what it says now is what was meant, or nothing is written.
        let (_, now) = Notebook::read(out.as_bytes()).ok()?;
        (now == edits.apply(view)).then(|| out.into_bytes())
    }

    /// Adds to `changes` what `edits` make of `cell`, whose text is `text`.
    fn edited(
        &self,
        cell: &Cell,
        text: &str,
        edits: &[Edit],
        changes: &mut Vec<(Range<usize>, String)>,
    ) -> Option<()> {
        let mut starts: Vec<usize> = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let lines = starts.len() - 1;
        let line_of = |at: usize| starts.partition_point(|start| *start <= at) - 1;
        let mut groups: Vec<(Range<usize>, Vec<Edit>)> = Vec::new();
        for edit in edits {
            let (s, e) = (
                edit.span.start - cell.span.start,
                edit.span.end - cell.span.start,
            );
            let first = line_of(s);
            let whole = starts.binary_search(&e).is_ok()
                && (edit.text.ends_with('\n') || edit.text.is_empty() && starts.contains(&s));
            let last = if whole { line_of(e) } else { line_of(e) + 1 };
            let edit = Edit {
                span: Span::new(s, e),
                ..edit.clone()
            };
            match groups.last_mut().filter(|(range, _)| first <= range.end) {
                Some((range, all)) => {
                    range.end = range.end.max(last);
                    all.push(edit);
                }
                None => groups.push((first..last, vec![edit])),
            }
        }
        for (range, mut edits) in groups {
            let mut from = range.start.min(lines);
            // After the last line comes nothing that it could stand before.
            if from == lines && cell.ended {
                from = lines.checked_sub(1)?;
            }
            let to = range.end.min(lines);
            let (s, e) = (*starts.get(from)?, *starts.get(to)?);
            for edit in &mut edits {
                edit.span = Span::new(edit.span.start.checked_sub(s)?, edit.span.end - s);
            }
            let mut new = EditSet::new(edits).ok()?.apply(text.get(s..e)?);
            if to == lines && cell.ended {
                new.pop();
            }
            let e = (cell.span.start + e).min(cell.span.end);
            changes.push(self.replaced(cell, Span::new(cell.span.start + s, e), &new)?);
        }
        Some(())
    }

    /// How the file says `new` instead of the lines `span` of `cell`.
    fn replaced(&self, cell: &Cell, span: Span, new: &str) -> Option<(Range<usize>, String)> {
        let parts = &cell.parts;
        let Some(between) = &cell.between else {
            let part = parts.first()?;
            let raw = self.raw_in(part, span.start)..self.raw_in(part, span.end);
            return Some((raw, escaped(new, self.ascii)));
        };
        let first = parts.iter().position(|part| part.span.start == span.start);
        let last = parts.iter().rposition(|part| part.span.end == span.end);
        let lines = new.split_inclusive('\n');
        let lines = lines.map(|line| format!("\"{}\"", escaped(line, self.ascii)));
        let mut lines: Vec<String> = lines.collect();
        let range = match (first, last) {
            (Some(first), _) if span.start == span.end => {
                let at = parts.get(first)?.raw.start;
                lines.push(String::new());
                at..at
            }
            (None, Some(last)) if span.start == span.end && last + 1 == parts.len() => {
                let at = parts.get(last)?.raw.end;
                lines.insert(0, String::new());
                at..at
            }
            (Some(first), Some(last)) if first <= last => {
                let (from, to) = (parts.get(first)?.raw.start, parts.get(last)?.raw.end);
                match (new.is_empty(), first.checked_sub(1), parts.get(last + 1)) {
                    (true, _, Some(next)) => from..next.raw.start,
                    (true, Some(before), None) => parts.get(before)?.raw.end..to,
                    _ => from..to,
                }
            }
            // Strings that are no lines.
            _ => {
                let raw = self.raw_at(cell, span.start)..self.raw_at(cell, span.end);
                return Some((raw, escaped(new, self.ascii)));
            }
        };
        Some((range, lines.join(between)))
    }
}

impl Cell {
    /// Line and column of `offset` of `view` in the cell.
    pub fn position(&self, view: &str, offset: usize) -> Position {
        let before = view.get(self.span.start..offset).unwrap_or_default();
        let line = before.rfind('\n').map_or(before, |at| &before[at + 1..]);
        Position {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

/// The cell with that `source`, whose text is added to `view`.
fn cell(raw: &str, source: &RawValue, number: usize, view: &mut String) -> Result<Cell, String> {
    let offset = |literal: &RawValue| {
        let start = literal.get().as_ptr() as usize - raw.as_ptr() as usize;
        start..start + literal.get().len()
    };
    let wrong = |error: serde_json::Error| format!("cell {number} has no source: {error}");
    let list: Vec<&RawValue> = match source.get().starts_with('[') {
        true => serde_json::from_str(source.get()).map_err(wrong)?,
        false => vec![source],
    };
    let start = view.len();
    let mut parts = Vec::new();
    for literal in list {
        let text: String = serde_json::from_str(literal.get()).map_err(wrong)?;
        let from = view.len();
        view.push_str(&text);
        parts.push(Part {
            span: Span::new(from, view.len()),
            raw: offset(literal),
        });
    }
    let span = Span::new(start, view.len());
    let ended = !view.get(start..).is_some_and(|text| text.ends_with('\n'));
    if ended {
        view.push('\n');
    }
    let own = offset(source);
    let lines = view
        .get(start..span.end)
        .unwrap_or_default()
        .lines()
        .count();
    let between = match parts.as_slice() {
        [first, second, ..] => raw.get(first.raw.end..second.raw.start).map(str::to_owned),
        // One string with several lines goes on as one.
        [only] if own.start < only.raw.start && lines < 2 => raw
            .get(own.start + 1..only.raw.start)
            .map(|space| match space.is_empty() {
                // As between other things: Python's `json` puts a space after colons where it puts one after commas.
                true if raw.contains("\": ") => ", ".to_owned(),
                _ => format!(",{space}"),
            }),
        _ => None,
    };
    Ok(Cell {
        number,
        span,
        ended,
        parts,
        between,
    })
}

/// How long the first character of a JSON string is there, and as text.
fn step(rest: &str) -> (usize, usize) {
    let unit = |text: &str| u32::from_str_radix(text.get(2..6)?, 16).ok();
    let Some(first) = rest.chars().next() else {
        return (0, 0);
    };
    if first != '\\' {
        return (first.len_utf8(), first.len_utf8());
    }
    match rest.starts_with("\\u").then(|| unit(rest)).flatten() {
        // The first half of two.
        Some(0xd800..=0xdbff) => (12, 4),
        Some(unit) => (6, char::from_u32(unit).map_or(1, char::len_utf8)),
        None => (2, 1),
    }
}

/// `text` within a JSON string.
fn escaped(text: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars()
        .for_each(|c| json_character(c, ascii, &mut out));
    out
}
