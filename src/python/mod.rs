//! Bytes to Python syntax with names resolved: the only place that knows the parser crates.
//!
//! Invariant: reading never fails. A file that cannot be read as Python is a [`SourceFile`] that carries the
//! reason ([`SourceFile::unparsed`]) and whatever syntax the parser could recover.

mod decode;
mod magics;
mod nesting;
mod notebook;
mod outline;
mod scope;
mod style;

pub use decode::Encoding;
pub use outline::Outline;
pub use rustpython_ast as ast;
pub use rustpython_text_size::Ranged;
pub use scope::{Bound, Chain, ChainRole, Import, ScopeId, Scopes, dotted};
pub use style::Style;

use std::sync::OnceLock;

use ast::find_node::covering_node;
use ast::{AnyNodeRef, Expr, ModModule, Stmt};
use rustpython_parser::{ParseOptions, parse_unchecked};
use rustpython_text_size::{TextRange, TextSize};

use crate::defect::{caught, strike};
use crate::text::{EditSet, LineIndex, Position, Span};
use nesting::Most;
use notebook::Notebook;

/// CPython refuses more brackets ("too many nested parentheses", Parser/lexer/state.h: MAXLEVEL) and more indents (MAXINDENT) than
/// this, and gives up on fewer operators in a row, or at a few times as many, depending on its version.
const MOST: Most = Most {
    brackets: 200,
    indents: 100,
    operators: 5_000,
};

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
    Panicked(String),
    /// A notebook that cannot be read as one.
    Notebook(String),
    /// A cell of a notebook that does not parse; the others are read. Its number, the line in it, and what the parser said.
    Cell(usize, usize, String),
    /// Cython: read as far as it is Python.
    Cython,
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
            Unparsed::Panicked(_) => "parser-failed",
            Unparsed::Notebook(_) => "not-a-notebook",
            Unparsed::Cell(..) => "cell-not-parsed",
            Unparsed::Cython => "cython",
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
            Unparsed::Encoding(what) | Unparsed::Notebook(what) => what.clone(),
            Unparsed::Cell(cell, line, what) => {
                format!("line {line} of cell {cell} does not parse: {what}; the other cells are read, and left as they are")
            }
            Unparsed::Cython => {
                "Cython, read in part: as far as it is Python; loads found there are left as they are".into()
            }
            Unparsed::Nesting => {
                "nested too deep: more than 200 brackets, 100 indents or 5000 operators in a row"
                    .into()
            }
            Unparsed::Panicked(said) => {
                format!("depickle failed to read it ({said}); please report this. The other files are not affected")
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
    index: OnceLock<LineIndex>,
    scopes: OnceLock<Scopes>,
    style: OnceLock<Style>,
    unparsed: Option<Unparsed>,
    /// What the text is a view of.
    notebook: Option<Box<View>>,
}

/// A notebook, and which lines of its view IPython reads otherwise than Python.
#[derive(Debug)]
struct View {
    notebook: Notebook,
    magics: Vec<Span>,
    /// Where nothing may be put.
    barred: Vec<Span>,
}

/// Whether the file `path` is a notebook, by its name.
pub fn is_notebook(path: &str) -> bool {
    path.ends_with(".ipynb")
}

/// What is searched instead of the `bytes` of a notebook: the text of its cells; none of what is no notebook.
pub fn view(bytes: &[u8]) -> Option<Vec<u8>> {
    let (_, view) = Notebook::read(bytes).ok()?;
    Some(view.into_bytes())
}

impl SourceFile {
    /// Reads `bytes` as the Python file `path` (relative to its project, `/`-separated). The text of a notebook is that
    /// of its cells.
    pub fn read(path: &str, bytes: &[u8]) -> SourceFile {
        if is_notebook(path) {
            return match Notebook::read(bytes) {
                Ok((notebook, text)) => {
                    SourceFile::unless_panicked(path, || SourceFile::cells(path, text, notebook))
                }
                Err(what) => SourceFile::hollow(
                    path,
                    String::new(),
                    Encoding::Utf8,
                    Unparsed::Notebook(what),
                ),
            };
        }
        let mut file = SourceFile::text_file(path, bytes);
        if path.ends_with(".pyx") && matches!(file.unparsed, None | Some(Unparsed::Syntax(..))) {
            file.unparsed = Some(Unparsed::Cython);
        }
        file
    }

    fn text_file(path: &str, bytes: &[u8]) -> SourceFile {
        match decode::decode(bytes) {
            Ok((text, encoding)) if nesting::is_too_deep(&text, MOST) => {
                SourceFile::hollow(path, text, encoding, Unparsed::Nesting)
            }
            Ok((text, encoding)) => {
                SourceFile::unless_panicked(path, || SourceFile::parse(path, text, None, encoding))
            }
            Err(why) => SourceFile::hollow(path, String::new(), Encoding::Utf8, why),
        }
    }

    /// What `parse` gives; its panic costs this file alone.
    fn unless_panicked(path: &str, parse: impl FnOnce() -> SourceFile) -> SourceFile {
        let parse = || {
            strike("parse", path);
            parse()
        };
        caught(parse).unwrap_or_else(|said| {
            SourceFile::hollow(
                path,
                String::new(),
                Encoding::Utf8,
                Unparsed::Panicked(said),
            )
        })
    }

    /// The view `text` of `notebook`. What IPython alone reads is masked, and so are cells that do not parse.
    fn cells(path: &str, text: String, notebook: Notebook) -> SourceFile {
        let mut masked = String::with_capacity(text.len());
        let (mut magics, mut barred) = (Vec::new(), Vec::new());
        let mut broken = None;
        for cell in &notebook.cells {
            // What stands between cells is a line end.
            masked.push_str(text.get(masked.len()..cell.span.start).unwrap_or_default());
            let own = text.get(cell.span.start..cell.span.end).unwrap_or_default();
            let read = magics::masked(own);
            let at = cell.span.start;
            magics.extend(
                read.lines
                    .iter()
                    .map(|l| Span::new(at + l.start, at + l.end)),
            );
            if read.barred > 0 {
                barred.push(Span::new(at, at + read.barred));
            }
            let alone = SourceFile::text_file(path, read.text.as_bytes());
            match alone.unparsed() {
                None => masked.push_str(&read.text),
                Some(why) => {
                    let (line, what) = match why {
                        Unparsed::Syntax(line, what) => (*line, what.clone()),
                        Unparsed::Python2(line) => (*line, "it is Python 2".to_owned()),
                        other => (1, other.message()),
                    };
                    broken = broken.or(Some(Unparsed::Cell(cell.number, line, what)));
                    masked.push_str(&magics::blanked(own));
                }
            }
        }
        masked.push_str(text.get(masked.len()..).unwrap_or_default());
        let mut file = SourceFile::parse(path, text, Some(&masked), Encoding::Utf8);
        file.unparsed = file.unparsed.or(broken);
        file.notebook = Some(Box::new(View {
            notebook,
            magics,
            barred,
        }));
        file
    }

    /// Parses `text`, or what is as long and `masked`.
    fn parse(path: &str, text: String, masked: Option<&str>, encoding: Encoding) -> SourceFile {
        let options = ParseOptions::from(rustpython_parser::Mode::Module);
        let parsed = parse_unchecked(masked.unwrap_or(&text), options);
        let unparsed = parsed.errors().first().map(|error| {
            let line = LineIndex::new(&text)
                .position(&text, span(error).start)
                .line;
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
        SourceFile {
            path: path.to_owned(),
            text,
            encoding,
            module,
            strings,
            index: OnceLock::new(),
            scopes: OnceLock::new(),
            style: OnceLock::new(),
            unparsed,
            notebook: None,
        }
    }

    /// A file without syntax.
    fn hollow(path: &str, text: String, encoding: Encoding, why: Unparsed) -> SourceFile {
        let module = empty_module();
        SourceFile {
            path: path.to_owned(),
            index: OnceLock::new(),
            scopes: OnceLock::new(),
            text,
            encoding,
            module,
            strings: Vec::new(),
            style: OnceLock::new(),
            unparsed: Some(why),
            notebook: None,
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
        self.scopes.get_or_init(|| Scopes::of(&self.module))
    }

    /// Lines of the text.
    pub fn index(&self) -> &LineIndex {
        self.index.get_or_init(|| LineIndex::new(&self.text))
    }

    /// Why the file could not be read as Python, if so.
    pub fn unparsed(&self) -> Option<&Unparsed> {
        self.unparsed.as_ref()
    }

    /// The text of `span`; empty when it is not in the file.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Line and column of `offset`, in the file as it is stored.
    pub fn position(&self, offset: usize) -> Position {
        match &self.notebook {
            Some(view) => view.notebook.position(offset),
            None => self.index().position(&self.text, offset),
        }
    }

    /// The cell of a notebook that holds `offset`, by its place among all cells, and where it is in it.
    pub fn cell(&self, offset: usize) -> Option<(usize, Position)> {
        let cell = self.notebook.as_ref()?.notebook.cell(offset)?;
        Some((cell.number, cell.position(&self.text, offset)))
    }

    /// Whether IPython reads a line of `span` otherwise than Python, as far as is known.
    pub fn in_magic(&self, span: Span) -> bool {
        let from = self.index().line_start(span.start);
        let mut magics = self.notebook.iter().flat_map(|view| &view.magics);
        magics.any(|magic| magic.start < span.end && from < magic.end)
    }

    /// Whether a line that IPython reads says `word`.
    pub fn magic_says(&self, word: &str) -> bool {
        let mut magics = self.notebook.iter().flat_map(|view| &view.magics);
        magics.any(|magic| self.slice(*magic).contains(word))
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
        let start = self.index().line_start(offset);
        let end = self.index().line_end(&self.text, start);
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

    /// The file with `edits` of its text, as it is stored. Of a notebook every byte stays but those of edited lines.
    ///
    /// # Errors
    /// The first character the encoding cannot hold; or of edits that belong to no cell, the first of one.
    pub fn rewritten(&self, edits: &EditSet) -> Result<Vec<u8>, char> {
        match &self.notebook {
            Some(view) => {
                let mut spans = edits.edits().iter().map(|edit| edit.span);
                let masked = |span: Span| {
                    let over = |magic: &Span| span.start < magic.end && magic.start < span.end;
                    let into = |bar: &Span| bar.start <= span.start && span.start < bar.end;
                    view.magics.iter().any(over)
                        || view.barred.iter().any(|bar| over(bar) || into(bar))
                };
                let written = match spans.any(masked) {
                    true => None,
                    false => view.notebook.write(&self.text, edits),
                };
                written.ok_or_else(|| {
                    let texts = edits.edits().iter().flat_map(|edit| edit.text.chars());
                    texts.into_iter().next().unwrap_or('\n')
                })
            }
            None => self.encoding.encode(&edits.apply(&self.text)),
        }
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

    /// The function whose syntax starts at `start`.
    pub fn function_at(&self, start: usize) -> Option<&ast::StmtFunctionDef> {
        let mut around = self.ancestors(Span::new(start, start + 1)).into_iter();
        around.find_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(node) if span(node).start == start => Some(node),
            _ => None,
        })
    }

    /// The innermost function around `place`, which may be a function itself.
    pub fn innermost_function(&self, place: Span) -> Option<&ast::StmtFunctionDef> {
        let around = self.ancestors(place);
        around.into_iter().rev().find_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(node) => Some(node),
            _ => None,
        })
    }

    /// The whole text as a span.
    pub fn whole(&self) -> Span {
        Span::new(0, self.text.len())
    }

    /// Qualified names `expr` can stand for when read in `scope`: see [`Scopes::resolve`].
    pub fn names(&self, scope: ScopeId, expr: &Expr) -> Vec<String> {
        match dotted(expr) {
            Some(parts) => self.scopes().resolve(scope, &parts),
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
        let said = "a defect".to_owned();
        assert_eq!(file.unparsed(), Some(&Unparsed::Panicked(said)));
        assert_eq!((file.path(), file.module().body.len()), ("app.py", 0));
    }
}
