//! Room for a statement on lines of its own: suites on one line are opened, lines of several statements are split.

use crate::python::ast::{AnyNodeRef, Stmt};
use crate::python::{SourceFile, span};
use crate::text::{Edit, Span};

/// Where the lines of a statement go.
#[derive(Debug)]
pub(super) struct Room {
    /// White space that its lines start with.
    pub margin: String,
    /// Edits that bring it to the start of a line.
    pub before: Vec<Edit>,
    /// The edit that brings the next statement, which shares its line, to a line of its own. It is needed only if
    /// something comes between the two.
    pub after: Option<Edit>,
    /// White space that its further lines get in addition.
    pub deeper: String,
    /// It is a function or a class.
    pub defines: bool,
}

/// Room for `statement`.
pub(super) fn room(file: &SourceFile, statement: Span) -> Room {
    let style = file.style();
    let mut room = Room {
        margin: margin_at(file, statement.start),
        before: Vec::new(),
        after: None,
        deeper: String::new(),
        defines: false,
    };
    let Some((suite, header)) = suite_of(file, statement) else {
        return room;
    };
    let Some(place) = suite.iter().position(|stmt| span(stmt) == statement) else {
        return room;
    };
    room.defines = matches!(
        suite.get(place),
        Some(Stmt::FunctionDef(_) | Stmt::ClassDef(_))
    );
    // The first statement of the line that `statement` stands on.
    let mut first = place;
    while let Some([a, b]) = first.checked_sub(1).and_then(|n| suite.get(n..=first))
        && share_a_line(file, span(a), span(b))
    {
        first -= 1;
    }
    let leads = suite.get(first).map_or(statement, span);
    room.margin = margin_at(file, leads.start);
    if let Some(code) = code_before(file, leads.start) {
        // `if ready: statement`
        room.margin = format!("{}{}", margin_at(file, header), style.indent);
        room.deeper = style.indent.clone();
        let gap = Span::new(code, leads.start);
        let text = format!("{}{}", style.newline, room.margin);
        room.before.push(Edit::replace(gap, text));
    }
    let split = format!("{}{}", style.newline, room.margin);
    if first < place
        && let Some(previous) = place.checked_sub(1).and_then(|n| suite.get(n))
    {
        let gap = Span::new(span(previous).end, statement.start);
        room.before.push(Edit::replace(gap, split.clone()));
    }
    if let Some(next) = suite.get(place + 1)
        && share_a_line(file, statement, span(next))
    {
        let gap = Span::new(statement.end, span(next).start);
        room.after = Some(Edit::replace(gap, split));
    }
    room
}

/// White space at the start of the line that holds `offset`.
fn margin_at(file: &SourceFile, offset: usize) -> String {
    let line = file.index().line_start(offset);
    let text = file.slice(Span::new(line, offset));
    let text = text.trim_start_matches('\u{feff}');
    let code = text.trim_start().len();
    text.get(..text.len() - code).unwrap_or_default().to_owned()
}

/// Whether nothing but semicolons, white space and joined lines stands between two statements.
fn share_a_line(file: &SourceFile, a: Span, b: Span) -> bool {
    if a.end > b.start {
        return false;
    }
    let gap = file.slice(Span::new(a.end, b.start));
    gap.contains(';') && !unjoined(gap).contains(['\n', '\r', '#'])
}

/// `text` without line ends that a backslash takes away.
fn unjoined(text: &str) -> String {
    text.replace("\\\r\n", "")
        .replace("\\\n", "")
        .replace("\\\r", "")
}

/// Where the code ends that stands before `offset` on its logical line, if there is any.
fn code_before(file: &SourceFile, offset: usize) -> Option<usize> {
    let mut rest = file.text().get(..offset)?;
    loop {
        let trimmed = rest.trim_end_matches([' ', '\t', '\u{c}', '\u{feff}']);
        let joined = ["\\\r\n", "\\\n", "\\\r"]
            .iter()
            .find_map(|end| trimmed.strip_suffix(end));
        match joined {
            Some(before) => rest = before,
            None if trimmed.is_empty() || trimmed.ends_with(['\n', '\r']) => return None,
            None => return Some(trimmed.len()),
        }
    }
}

/// The statements among which `statement` stands, and where the line starts that opens them.
fn suite_of(file: &SourceFile, statement: Span) -> Option<(&[Stmt], usize)> {
    let ancestors = file.ancestors(statement);
    let parents = ancestors.into_iter().rev();
    for node in parents.filter(|node| span(node) != statement || node.is_mod_module()) {
        let suites: Vec<&[Stmt]> = match node {
            AnyNodeRef::ModModule(node) => vec![&node.body],
            AnyNodeRef::StmtFunctionDef(node) => vec![&node.body],
            AnyNodeRef::StmtClassDef(node) => vec![&node.body],
            AnyNodeRef::StmtIf(node) => vec![&node.body],
            AnyNodeRef::ElifElseClause(node) => vec![&node.body],
            AnyNodeRef::StmtWith(node) => vec![&node.body],
            AnyNodeRef::StmtFor(node) => vec![&node.body, &node.orelse],
            AnyNodeRef::StmtWhile(node) => vec![&node.body, &node.orelse],
            AnyNodeRef::StmtTry(node) => vec![&node.body, &node.orelse, &node.finalbody],
            AnyNodeRef::ExceptHandlerExceptHandler(node) => vec![&node.body],
            AnyNodeRef::MatchCase(node) => vec![&node.body],
            _ => continue,
        };
        let holding = suites
            .into_iter()
            .find(|suite| suite.iter().any(|stmt| span(stmt) == statement))?;
        return Some((holding, span(&node).start));
    }
    None
}
