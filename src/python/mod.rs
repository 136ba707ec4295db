//! Bytes to Python syntax with names resolved: the only place that knows the parser crates.
//!
//! Invariant: reading never fails. A file that cannot be read as Python is a [`SourceFile`] that carries the
//! reason ([`SourceFile::unparsed`]) and whatever syntax the parser could recover.

mod decode;
mod scope;
mod style;

pub use decode::Encoding;
pub use rustpython_ast as ast;
pub use rustpython_text_size::Ranged;
pub use scope::{Bound, Chain, ChainRole, Import, ScopeId, Scopes, dotted};
pub use style::Style;

use std::sync::OnceLock;

use ast::find_node::covering_node;
use ast::{AnyNodeRef, Expr, ModModule, Stmt};
use rustpython_parser::{ParseOptions, parse_unchecked};
use rustpython_text_size::{TextRange, TextSize};

use crate::text::{LineIndex, Position, Span};

/// CPython refuses more nested brackets than this ("too many nested parentheses", Parser/lexer/state.h: MAXLEVEL).
const MAX_BRACKETS: usize = 200;
/// CPython refuses more indentation levels than this (Parser/lexer/state.h: MAXINDENT).
const MAX_INDENTS: usize = 100;

/// Operators, members and words that an expression may have one after the other: each may be one level of its syntax.
/// CPython gives up on fewer, or at a few times as many, depending on its version.
const MAX_OPERATORS: usize = 5_000;

/// Why a file could not be read as Python 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unparsed {
    /// Python 2 syntax.
    Python2(usize),
    /// Unresolved merge conflict markers.
    MergeConflict(usize),
    /// Any other syntax error: line, and what the parser said.
    Syntax(usize, String),
    /// The bytes do not decode, or would not encode back to themselves.
    Encoding(String),
    /// More nesting than CPython accepts; parsing it could exhaust the stack.
    Nesting,
    /// Reading it panicked, which is a defect of depickle's or of its parser's.
    Panicked,
}

impl Unparsed {
    /// Kebab-case code, as printed in reports.
    pub fn code(&self) -> &'static str {
        match self {
            Unparsed::Python2(_) => "python-2",
            Unparsed::MergeConflict(_) => "merge-conflict",
            Unparsed::Syntax(..) => "syntax-error",
            Unparsed::Encoding(_) => "encoding",
            Unparsed::Nesting => "nested-too-deep",
            Unparsed::Panicked => "parser-failed",
        }
    }

    /// One line for people: what is wrong, and where.
    pub fn message(&self) -> String {
        match self {
            Unparsed::Python2(line) => format!("line {line} is Python 2; port the file first"),
            Unparsed::MergeConflict(line) => {
                format!("line {line} is a merge conflict marker; resolve it first")
            }
            Unparsed::Syntax(line, what) => format!("line {line} does not parse: {what}"),
            Unparsed::Encoding(what) => what.clone(),
            Unparsed::Nesting => {
                "nested too deep: more than 200 brackets, 100 indents or 5000 operators in a row"
                    .into()
            }
            Unparsed::Panicked => {
                "depickle failed to read it; please report this. The other files are not affected"
                    .into()
            }
        }
    }
}

/// One Python file, immutable: decoded text, syntax, names and layout.
#[derive(Debug)]
pub struct SourceFile {
    path: String,
    text: String,
    encoding: Encoding,
    module: ModModule,
    strings: Vec<Span>,
    index: LineIndex,
    scopes: Scopes,
    style: OnceLock<Style>,
    unparsed: Option<Unparsed>,
}

impl SourceFile {
    /// Reads `bytes` as the Python file `path` (relative to its project, `/`-separated).
    pub fn read(path: &str, bytes: &[u8]) -> SourceFile {
        match decode::decode(bytes) {
            Ok((text, encoding))
                if decode::too_deep(&text, MAX_BRACKETS, MAX_INDENTS)
                    || decode::too_long(&text, MAX_OPERATORS) =>
            {
                SourceFile::hollow(path, text, encoding, Unparsed::Nesting)
            }
            Ok((text, encoding)) => {
                SourceFile::unless_panicked(path, || SourceFile::parse(path, text, encoding))
            }
            Err(why) => SourceFile::hollow(path, String::new(), Encoding::Utf8, why),
        }
    }

    /// What `parse` gives; its panic costs this file alone.
    fn unless_panicked(path: &str, parse: impl FnOnce() -> SourceFile) -> SourceFile {
        let parse = std::panic::AssertUnwindSafe(parse);
        std::panic::catch_unwind(parse).unwrap_or_else(|_| {
            SourceFile::hollow(path, String::new(), Encoding::Utf8, Unparsed::Panicked)
        })
    }

    fn parse(path: &str, text: String, encoding: Encoding) -> SourceFile {
        let options = ParseOptions::from(rustpython_parser::Mode::Module);
        let parsed = parse_unchecked(&text, options);
        let index = LineIndex::new(&text);
        let unparsed = parsed.errors().first().map(|error| {
            let line = index.position(&text, span(error).start).line;
            decode::classify(&text, line, &error.error.to_string())
        });
        let strings = parsed
            .tokens()
            .iter()
            .filter(|token| {
                use ast::token::TokenKind::{FStringMiddle, String, TStringMiddle};
                matches!(token.kind(), String | FStringMiddle | TStringMiddle)
            })
            .map(span)
            .collect();
        let module = match parsed.into_syntax() {
            ast::Mod::Module(module) => module,
            ast::Mod::Expression(_) => empty_module(),
        };
        let scopes = Scopes::of(&module);
        SourceFile {
            path: path.to_owned(),
            text,
            encoding,
            module,
            strings,
            index,
            scopes,
            style: OnceLock::new(),
            unparsed,
        }
    }

    /// A file without syntax.
    fn hollow(path: &str, text: String, encoding: Encoding, why: Unparsed) -> SourceFile {
        let module = empty_module();
        SourceFile {
            path: path.to_owned(),
            index: LineIndex::new(&text),
            scopes: Scopes::of(&module),
            text,
            encoding,
            module,
            strings: Vec::new(),
            style: OnceLock::new(),
            unparsed: Some(why),
        }
    }

    /// Path relative to the project, `/`-separated.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The decoded text; a byte-order mark is its first character.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The syntax; of a broken file, what could be recovered.
    pub fn module(&self) -> &ModModule {
        &self.module
    }

    /// Scopes, bindings and references.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Lines of the text.
    pub fn index(&self) -> &LineIndex {
        &self.index
    }

    /// Why the file could not be read as Python, if so.
    pub fn unparsed(&self) -> Option<&Unparsed> {
        self.unparsed.as_ref()
    }

    /// The text of `span`; empty when it is not in the file.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Line and column of `offset`.
    pub fn position(&self, offset: usize) -> Position {
        self.index.position(&self.text, offset)
    }

    /// Whether `offset` lies inside a string token, where white space is content.
    pub fn in_string(&self, offset: usize) -> bool {
        let after = self.strings.partition_point(|s| s.start < offset);
        after
            .checked_sub(1)
            .and_then(|i| self.strings.get(i))
            .is_some_and(|s| offset < s.end)
    }

    /// The comment on the line that holds `offset`, from its `#` to the end of the line.
    pub fn comment(&self, offset: usize) -> Option<Span> {
        let start = self.index.line_start(offset);
        let end = self.index.line_end(&self.text, start);
        let line = self.slice(Span::new(start, end));
        let mut marks = line.match_indices('#').map(|(at, _)| start + at);
        let at = marks.find(|at| {
            let before = self.strings.partition_point(|s| s.start <= *at);
            let string = before.checked_sub(1).and_then(|i| self.strings.get(i));
            string.is_none_or(|string| *at >= string.end)
        })?;
        Some(Span::new(at, end))
    }

    /// How this file is laid out: indent, line end, quotes.
    pub fn style(&self) -> &Style {
        self.style.get_or_init(|| Style::of(self))
    }

    /// `text` in this file's encoding.
    ///
    /// # Errors
    /// The first character the encoding cannot hold.
    pub fn encode(&self, text: &str) -> Result<Vec<u8>, char> {
        self.encoding.encode(text)
    }

    /// The syntax nodes that contain `span`, outermost first.
    pub fn ancestors(&self, span: Span) -> Vec<AnyNodeRef<'_>> {
        let root = AnyNodeRef::ModModule(&self.module);
        let range = text_range(span);
        if !root.range().contains_range(range) {
            return Vec::new();
        }
        // A body may have thousands of statements: only the one that holds it is walked.
        let mut nodes = Vec::new();
        let mut from = root;
        let mut body = Some(self.module.body.as_slice());
        while let Some(stmt) = body.and_then(|body| statement_around(body, range)) {
            nodes.push(from);
            from = AnyNodeRef::from(stmt);
            body = match stmt {
                Stmt::FunctionDef(node) => Some(node.body.as_slice()),
                Stmt::ClassDef(node) => Some(node.body.as_slice()),
                Stmt::With(node) => Some(node.body.as_slice()),
                Stmt::For(node) => Some(node.body.as_slice()),
                Stmt::While(node) => Some(node.body.as_slice()),
                Stmt::If(node) => Some(node.body.as_slice()),
                Stmt::Try(node) => Some(node.body.as_slice()),
                _ => None,
            };
        }
        let mut inner: Vec<_> = covering_node(from, range).ancestors().collect();
        inner.reverse();
        nodes.append(&mut inner);
        nodes
    }

    /// The whole text as a span.
    pub fn whole(&self) -> Span {
        Span::new(0, self.text.len())
    }

    /// Qualified names `expr` can stand for when read in `scope`: see [`Scopes::resolve`].
    pub fn names(&self, scope: ScopeId, expr: &Expr) -> Vec<String> {
        match dotted(expr) {
            Some(parts) => self.scopes.resolve(scope, &parts),
            None => Vec::new(),
        }
    }
}

/// The statement of `body` that contains `range`.
fn statement_around(body: &[Stmt], range: TextRange) -> Option<&Stmt> {
    let first = body.partition_point(|stmt| stmt.end() < range.end());
    let stmt = body.get(first)?;
    (stmt.range().contains_range(range) && !range.is_empty()).then_some(stmt)
}

fn empty_module() -> ModModule {
    ModModule {
        node_index: ast::AtomicNodeIndex::NONE,
        range: TextRange::default(),
        body: Vec::new(),
    }
}

/// The span of a syntax node or token.
pub fn span(node: &impl Ranged) -> Span {
    let range = node.range();
    Span::new(range.start().to_usize(), range.end().to_usize())
}

fn text_range(span: Span) -> TextRange {
    let size = |offset: usize| TextSize::try_from(offset).unwrap_or_default();
    TextRange::new(size(span.start), size(span.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::panic, reason = "what is to be caught")]
    fn a_panic_while_one_file_is_read_is_that_files() {
        let file = SourceFile::unless_panicked("app.py", || panic!("a defect"));
        assert_eq!(file.unparsed(), Some(&Unparsed::Panicked));
        assert_eq!((file.path(), file.module().body.len()), ("app.py", 0));
    }
}
