//! The edits that put a load into a `try`: the load alone, and the answer.

use super::names::Fresh;
use super::position::Position;
use super::raised::Raised;
use crate::pack::Rewrite;
use crate::python::{SourceFile, Style, span};
use crate::text::{Edit, Span};

/// What goes into the `try`.
#[derive(Debug)]
pub(super) struct Guarded<'t> {
    /// Where it stands in its statement.
    pub position: Position,
    /// The expression that is guarded.
    pub target: Span,
    /// Its new text.
    pub text: String,
    /// Edits that give that text in place.
    pub in_place: Vec<Edit>,
    /// A statement that has to run before: `payload = fetch(request)`.
    pub before: Option<String>,
    /// What to catch.
    pub catch: &'t [Raised],
    /// The answer: statements, one a line.
    pub answer: &'t str,
}

/// The edits that put `guarded` into a `try`.
pub(super) fn wrap(
    file: &SourceFile,
    guarded: Guarded<'_>,
    rewrite: &Rewrite,
    fresh: &mut Fresh,
) -> Vec<Edit> {
    let Style {
        indent, newline, ..
    } = file.style();
    let statement = guarded.position.statement();
    let line = file.index().line_start(statement.start);
    let margin = file.slice(Span::new(line, statement.start));
    let margin = margin.trim_start_matches('\u{feff}');
    let order = i32::try_from(guarded.target.start - statement.start).unwrap_or(i32::MAX);
    let before = guarded
        .before
        .map_or(String::new(), |before| format!("{before}{newline}{margin}"));
    let mut handler = except(file, margin, guarded.catch);
    for line in
        std::iter::once(format!("# {}", rewrite.comment).as_str()).chain(guarded.answer.lines())
    {
        handler.push_str(&format!("{newline}{margin}{indent}{line}"));
    }
    match guarded.position {
        Position::Whole(_) => {
            let open = format!("{before}try:{newline}{margin}{indent}");
            let mut edits = guarded.in_place;
            let deeper = format!("{newline}{indent}");
            for edit in &mut edits {
                // An argument on a line of its own.
                edit.text = edit.text.replace(newline, &deeper);
            }
            edits.push(Edit::insert(statement.start, order, open));
            for start in file.index().lines_inside(statement) {
                let end = file.index().line_end(file.text(), start);
                let blank = file.slice(Span::new(start, end)).trim().is_empty();
                // A line that goes, or comes anew, has no margin to move.
                let goes = edits
                    .iter()
                    .any(|e| e.span.start < start && start < e.span.end);
                // White space inside a string is content.
                if !blank && !goes && !file.in_string(start) {
                    edits.push(Edit::insert(start, -1, indent.clone()));
                }
            }
            let end = file.index().line_end(file.text(), statement.end);
            edits.push(Edit::insert(end, order, format!("{newline}{handler}")));
            edits
        }
        Position::Part(_) => {
            let name = fresh.take("loaded");
            let text = format!(
                "{before}try:{newline}{margin}{indent}{name} = {}{newline}{handler}{newline}{margin}",
                guarded.text
            );
            vec![
                Edit::insert(statement.start, order, text),
                Edit::replace(guarded.target, name),
            ]
        }
    }
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

/// The innermost statement that holds `offset..`, and whether a lambda or generator lies between.
pub(super) fn statement_of(file: &SourceFile, target: Span) -> Option<(Span, bool)> {
    let mut deferred = false;
    for node in file.ancestors(target).into_iter().rev() {
        if node.as_stmt_ref().is_some() {
            return Some((span(&node), deferred));
        }
        deferred |= matches!(
            node,
            crate::python::ast::AnyNodeRef::ExprLambda(_)
                | crate::python::ast::AnyNodeRef::ExprGenerator(_)
        );
    }
    None
}
