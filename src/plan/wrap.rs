//! The edits that put a load into a `try`: the load alone, and the answer.

use super::names::Fresh;
use super::position::Position;
use super::quiet::{emptied, first_source};
use super::raised::Raised;
use super::room::room;
use crate::pack::Rewrite;
use crate::python::ast::AnyNodeRef;
use crate::python::{SourceFile, Style, span};
use crate::text::{Edit, EditSet, Span};

/// What goes into the `try`.
#[derive(Debug)]
pub(super) struct Guarded<'t> {
    /// Where it stands, and what is guarded there.
    pub position: Position,
    /// Edits that make the load another, in place.
    pub in_place: Vec<Edit>,
    /// A statement that has to run before: `payload = fetch(request)`.
    pub before: Option<String>,
    /// What to catch.
    pub catch: &'t [Raised],
    /// The answer: statements, one a line.
    pub answer: &'t str,
}

/// The edits that put `guarded` into a `try`; none when they overlap.
pub(super) fn wrap(
    file: &SourceFile,
    guarded: Guarded<'_>,
    rewrite: &Rewrite,
    fresh: &mut Fresh,
) -> Option<Vec<Edit>> {
    let Style {
        indent, newline, ..
    } = file.style();
    let Position {
        statement,
        target,
        whole,
    } = guarded.position;
    let room = room(file, statement);
    let margin = &room.margin;
    let order = i32::try_from(target.start - statement.start).unwrap_or(i32::MAX);
    let before = guarded
        .before
        .map_or(String::new(), |before| format!("{before}{newline}{margin}"));
    let mut handler = except(file, margin, guarded.catch);
    for line in
        std::iter::once(format!("# {}", rewrite.comment).as_str()).chain(guarded.answer.lines())
    {
        handler.push_str(&format!("{newline}{margin}{indent}{line}"));
    }
    let mut edits = room.before;
    let mut deeper = room.deeper;
    if whole {
        deeper.push_str(&indent);
        let open = format!("{before}try:{newline}{margin}{indent}");
        // An argument on a line of its own.
        let further = format!("{newline}{deeper}");
        edits.extend(guarded.in_place.into_iter().map(|edit| Edit {
            text: edit.text.replace(newline, &further),
            ..edit
        }));
        edits.push(Edit::insert(statement.start, order, open));
        let end = match &room.after {
            Some(_) => statement.end,
            None => file.index().line_end(file.text(), statement.end),
        };
        edits.push(Edit::insert(end, order, format!("{newline}{handler}")));
        edits.extend(room.after);
    } else {
        let name = fresh.take("loaded");
        let text = changed(file, target, guarded.in_place)?;
        // A definition has a blank line before it.
        let gap = if room.defines { newline } else { "" };
        let text = format!(
            "{before}try:{newline}{margin}{indent}{name} = {text}{newline}{handler}{newline}{gap}{margin}"
        );
        edits.push(Edit::insert(statement.start, order, text));
        edits.push(Edit::replace(target, name));
    }
    if !deeper.is_empty() {
        for start in file.index().lines_inside(statement) {
            let end = file.index().line_end(file.text(), start);
            let blank = file.slice(Span::new(start, end)).trim().is_empty();
            // A line that goes, or comes anew, has no margin to move.
            let gone = edits
                .iter()
                .any(|e| e.span.start < start && start < e.span.end);
            // White space inside a string is content.
            if !blank && !gone && !file.in_string(start) {
                edits.push(Edit::insert(start, -1, deeper.clone()));
            }
        }
    }
    Some(edits)
}

/// The text of `place` after `edits`, all of which lie in it.
fn changed(file: &SourceFile, place: Span, edits: Vec<Edit>) -> Option<String> {
    let moved = edits.into_iter().map(|edit| {
        let start = edit.span.start.checked_sub(place.start)?;
        let end = edit.span.end.checked_sub(place.start)?;
        Some(Edit {
            span: Span::new(start, end),
            ..edit
        })
    });
    let edits = EditSet::new(moved.collect::<Option<Vec<Edit>>>()?).ok()?;
    Some(edits.apply(file.slice(place)))
}

/// The `except` line; one error a line where one line would be longer than formatters leave it.
fn except(file: &SourceFile, margin: &str, catch: &[Raised]) -> String {
    const WIDTH: usize = 88;
    let Style {
        indent, newline, ..
    } = file.style();
    let line = match catch {
        [one] => format!("{margin}except {}:", one.text),
        many => {
            let texts: Vec<&str> = many.iter().map(|error| error.text.as_str()).collect();
            format!("{margin}except ({}):", texts.join(", "))
        }
    };
    let width: usize = line.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum();
    if width <= WIDTH {
        return line;
    }
    let one = |error: &Raised| format!("{margin}{indent}{},{newline}", error.text);
    let lines: String = catch.iter().map(one).collect();
    format!("{margin}except ({newline}{lines}{margin}):")
}

/// The innermost statement that holds `target`, and whether that runs later than the statement: in a lambda or a
/// generator.
pub(super) fn statement_of(file: &SourceFile, target: Span) -> Option<(Span, bool)> {
    let mut deferred = false;
    let ancestors = file.ancestors(target);
    let mut child = target;
    for (n, node) in ancestors.iter().enumerate().rev() {
        if node.as_stmt_ref().is_some() {
            return Some((span(node), deferred));
        }
        let outer = ancestors.get(..n).unwrap_or_default();
        deferred |= match node {
            AnyNodeRef::ExprLambda(_) => true,
            AnyNodeRef::ExprGenerator(_) => {
                !first_source(*node, child) && !emptied(file, *node, outer)
            }
            _ => false,
        };
        if !matches!(node, AnyNodeRef::Comprehension(_)) {
            child = span(node);
        }
    }
    None
}
