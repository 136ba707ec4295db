//! A file without what its functions do: enough for whoever asks what its names are. What a function does is parsed when it is
//! called.
//!
//! Invariant: every statement is what it is in the whole file, at the same offsets, but for functions whose bodies are one
//! number. Where lines do not say for sure where a function ends, there is no outline.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustpython_parser::{Mode, ParseOptions, parse_unchecked};

use super::ast::{self, ModModule, Stmt, StmtFunctionDef};
use super::nesting::{self, Line};
use super::scope::{Import, Scopes};
use super::{MOST, decode, is_notebook, span};
use crate::defect::caught;
use crate::text::Span;

/// Bytes passed over to parse functions on their own, for each byte of the file: with more it is cheaper to parse all of it.
const MOST_PASSED: usize = 64;

/// See the top of this module.
#[derive(Debug)]
pub struct Outline {
    text: String,
    module: ModModule,
    scopes: OnceLock<Scopes>,
    functions: Vec<Hollow>,
    /// Bytes that were passed over, and with how many that ends.
    passed: AtomicUsize,
    most_passed: usize,
}

/// A function without its body.
#[derive(Debug)]
struct Hollow {
    /// From the line of its first decorator to where its body ends.
    extent: Span,
    /// Where its syntax begins.
    start: usize,
    /// Its body, from the colon on.
    body: Span,
    /// Its syntax as it is; nothing where it does not parse alone.
    whole: OnceLock<Option<Box<Whole>>>,
}

#[derive(Debug)]
struct Whole {
    module: ModModule,
    scopes: OnceLock<Scopes>,
}

impl Outline {
    /// The outline of the file `path`, if it has functions, and all else of it parses.
    pub fn read(path: &str, bytes: &[u8]) -> Option<Outline> {
        if is_notebook(path) || path.ends_with(".pyx") {
            return None;
        }
        let (text, _) = decode::decode(bytes).ok()?;
        caught(|| Outline::of(text)).ok()?
    }

    fn of(text: String) -> Option<Outline> {
        let lines = nesting::lines(&text, MOST)?;
        let functions = functions(&text, &lines)?;
        if functions.is_empty() {
            return None;
        }
        let mut masked = String::with_capacity(text.len());
        for function in &functions {
            masked.push_str(text.get(masked.len()..function.body.start)?);
            masked.push('0');
            comment(&mut masked, &text, function.body.end);
        }
        masked.push_str(text.get(masked.len()..)?);
        Some(Outline {
            module: parsed(&masked)?,
            most_passed: MOST_PASSED * text.len(),
            text,
            scopes: OnceLock::new(),
            functions,
            passed: AtomicUsize::new(0),
        })
    }

    /// The text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Statements of the top level.
    pub fn body(&self) -> &[Stmt] {
        &self.module.body
    }

    /// What is bound at module level, in classes and in lambdas: functions that say `global` are whole.
    pub fn scopes(&self) -> &Scopes {
        self.scopes.get_or_init(|| Scopes::of(&self.module))
    }

    /// Imports of the file, whatever their scope; nothing when a function that may hold some does not parse.
    pub fn imports(&self) -> Option<Vec<&Import>> {
        let mut imports: Vec<&Import> = self.scopes().imports().collect();
        for function in &self.functions {
            if self.slice(function.body).contains("import") {
                imports.extend(self.whole(function)?.scopes().imports());
            }
        }
        Some(imports)
    }

    /// Whether it has the function that starts at `start` without its body.
    pub fn is_hollow(&self, start: usize) -> bool {
        self.at(start)
            .is_some_and(|function| function.start == start)
    }

    /// The text of the body of the function that starts at `start`.
    pub fn body_text(&self, start: usize) -> Option<&str> {
        let function = self.at(start).filter(|function| function.start == start)?;
        Some(self.slice(function.body))
    }

    /// The function that starts at `start`, with its body; nothing when it does not parse alone.
    pub fn function(&self, start: usize) -> Option<&StmtFunctionDef> {
        self.whole(self.at(start)?)?.function()
    }

    /// The scopes of the function that holds `offset`; what is around it is not in them. Nothing when it does not parse alone.
    pub fn scopes_at(&self, offset: usize) -> Option<&Scopes> {
        match self.at(offset) {
            Some(function) => Some(self.whole(function)?.scopes()),
            None => Some(self.scopes()),
        }
    }

    fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    fn at(&self, offset: usize) -> Option<&Hollow> {
        let after = self.functions.partition_point(|f| f.start <= offset);
        let function = self.functions.get(after.checked_sub(1)?)?;
        (offset < function.extent.end).then_some(function)
    }

    fn whole<'o>(&'o self, function: &'o Hollow) -> Option<&'o Whole> {
        let parse = || {
            let before = function.extent.start;
            let passed = self.passed.fetch_add(before, Ordering::Relaxed);
            if passed > self.most_passed {
                return None;
            }
            let mut masked = String::with_capacity(function.extent.end);
            // What is indented stands in something.
            if function.start > before {
                masked.push_str("if 0:");
            }
            if masked.len() >= before && before > 0 {
                return None;
            }
            comment(&mut masked, &self.text, before);
            masked.push_str(self.slice(function.extent));
            let whole = Whole {
                module: caught(|| parsed(&masked)).ok()??,
                scopes: OnceLock::new(),
            };
            let is_it = |node: &StmtFunctionDef| span(node).start == function.start;
            whole.function().is_some_and(is_it).then(|| Box::new(whole))
        };
        function.whole.get_or_init(parse).as_deref()
    }
}

impl Whole {
    fn scopes(&self) -> &Scopes {
        self.scopes.get_or_init(|| Scopes::of(&self.module))
    }

    fn function(&self) -> Option<&StmtFunctionDef> {
        let body = match self.module.body.as_slice() {
            [Stmt::If(node)] => node.body.as_slice(),
            body => body,
        };
        match body {
            [Stmt::FunctionDef(node)] => Some(node),
            _ => None,
        }
    }
}

/// The syntax of `text`, if it has no errors.
fn parsed(text: &str) -> Option<ModModule> {
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
    if !parsed.errors().is_empty() {
        return None;
    }
    match parsed.into_syntax() {
        ast::Mod::Module(module) => Some(module),
        ast::Mod::Expression(_) => None,
    }
}

/// A comment up to `end`, which has the line end there that `text` has.
fn comment(masked: &mut String, text: &str, end: usize) {
    let last = end.checked_sub(1).and_then(|at| text.as_bytes().get(at));
    let line_end = match last {
        Some(b'\n') => "\n",
        Some(b'\r') => "\r",
        _ => "",
    };
    let fill = end.saturating_sub(masked.len() + line_end.len());
    if fill > 0 {
        masked.push('#');
    }
    masked.push_str(&" ".repeat(fill.saturating_sub(1)));
    masked.push_str(line_end);
}

/// The functions of `text`, which consists of the logical `lines`, that are in no other; nothing where it is not sure where they end.
fn functions(text: &str, lines: &[Line]) -> Option<Vec<Hollow>> {
    let bytes = text.as_bytes();
    let mut functions: Vec<Hollow> = Vec::new();
    let mut decorated: Option<&Line> = None;
    // Of the function or the like that goes on: its first line, its head, and whether something stands in it.
    let mut open: Option<(&Line, &Line, bool)> = None;
    let mut blank = None;
    for line in lines {
        let indent = bytes.get(line.start..line.at)?;
        // One kind of white space throughout.
        let uniform = indent.first().is_none_or(|first| {
            matches!(first, b' ' | b'\t')
                && *blank.get_or_insert(*first) == *first
                && indent.iter().all(|b| b == first)
        });
        if !uniform {
            return None;
        }
        if let Some((_, head, filled)) = &mut open
            && indent.len() > head.width()
        {
            *filled = true;
            continue;
        }
        if let Some((from, head, filled)) = open.take() {
            functions.extend(hollow(text, from, head, filled, line.start)?);
        }
        let rest = bytes.get(line.at..)?;
        if rest.first() == Some(&b'@') {
            decorated = decorated.or(Some(line));
            continue;
        }
        let from = decorated.take().unwrap_or(line);
        if begins(rest, b"def").is_some() || begins(rest, b"async").is_some() {
            open = Some((from, line, false));
        }
    }
    if let Some((from, head, filled)) = open {
        functions.extend(hollow(text, from, head, filled, text.len())?);
    }
    Some(functions)
}

/// What follows `word` at the beginning of `rest`.
fn begins<'b>(rest: &'b [u8], word: &[u8]) -> Option<&'b [u8]> {
    let after = rest.strip_prefix(word)?;
    let goes_on = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii();
    (!after.first().is_some_and(goes_on)).then_some(after)
}

/// The function whose head is the line `head`, if its body may be left out; nothing at all when it is not sure what it is.
fn hollow(
    text: &str,
    from: &Line,
    head: &Line,
    filled: bool,
    end: usize,
) -> Option<Option<Hollow>> {
    let rest = text.as_bytes().get(head.at..)?;
    let def = begins(rest, b"async").map_or(rest, <[u8]>::trim_ascii_start);
    let (Some(_), Some(colon)) = (begins(def, b"def"), head.colon) else {
        // `async with`.
        return Some(None);
    };
    let body = Span::new(colon + 1, end);
    let inside = text.get(body.start..body.end)?;
    let first = inside.trim_start_matches([' ', '\t']);
    let block = first.starts_with(['\n', '\r', '#']);
    if block != filled {
        return None;
    }
    if !block || inside.contains("global") {
        return Some(None);
    }
    Some(Some(Hollow {
        extent: Span::new(from.start, end),
        start: from.at,
        body,
        whole: OnceLock::new(),
    }))
}

#[cfg(test)]
mod tests;
