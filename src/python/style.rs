//! How a file is laid out, so that what we add reads as the repository's own hand wrote it.

use super::SourceFile;
use super::ast::{self, Stmt};

/// A file's habits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// One level of indentation.
    pub indent: String,
    /// What ends a line.
    pub newline: &'static str,
    /// The quote that most strings use.
    pub quote: char,
}

impl Style {
    /// The habits of `file`: its first indented block, its first line end, the majority of its quotes.
    pub fn of(file: &SourceFile) -> Style {
        let text = file.text();
        let newline = match text.find(['\n', '\r']).map(|at| text.split_at(at).1) {
            Some(rest) if rest.starts_with("\r\n") => "\r\n",
            Some(rest) if rest.starts_with('\r') => "\r",
            _ => "\n",
        };
        let indent = first_indent(file, &file.module().body).unwrap_or_else(|| "    ".to_owned());
        let (mut single, mut double) = (0, 0);
        for string in &file.strings {
            let token = file.slice(*string).trim_start_matches(char::is_alphabetic);
            match token.chars().next() {
                Some('"') if !token.starts_with("\"\"\"") => double += 1,
                Some('\'') => single += 1,
                _ => {}
            }
        }
        Style {
            indent,
            newline,
            quote: if single > double { '\'' } else { '"' },
        }
    }
}

/// White space that the first nested block adds to its parent's.
fn first_indent(file: &SourceFile, body: &[Stmt]) -> Option<String> {
    body.iter().find_map(|stmt| {
        let nested = match stmt {
            Stmt::FunctionDef(node) => &node.body,
            Stmt::ClassDef(node) => &node.body,
            Stmt::If(node) => &node.body,
            Stmt::For(node) => &node.body,
            Stmt::While(node) => &node.body,
            Stmt::With(node) => &node.body,
            Stmt::Try(node) => &node.body,
            _ => return None,
        };
        let inner = margin(file, nested.first()?)?;
        let outer = margin(file, stmt).unwrap_or_default();
        let added = inner.strip_prefix(outer)?;
        (!added.is_empty()).then(|| added.to_owned())
    })
}

/// The white space before a statement that is first on its line.
fn margin<'a>(file: &'a SourceFile, stmt: &Stmt) -> Option<&'a str> {
    let start = match stmt {
        Stmt::FunctionDef(ast::StmtFunctionDef { decorator_list, .. })
        | Stmt::ClassDef(ast::StmtClassDef { decorator_list, .. }) => decorator_list
            .first()
            .map_or(super::span(stmt).start, |d| super::span(d).start),
        _ => super::span(stmt).start,
    };
    let line = file.text.get(file.index().line_start(start)..start)?;
    line.trim().is_empty().then_some(line)
}
