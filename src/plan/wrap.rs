//! The edits that put a load into a `try`: the load alone, and the answer.

use super::lines::{broken, too_wide};
use super::load::function_around;
use super::names::Fresh;
use super::position::Position;
use super::quiet::{emptied, first_source};
use super::raised::Raised;
use super::room::room;
use crate::pack::Rewrite;
use crate::python::ast::{AnyNodeRef, StmtRef};
use crate::python::{SourceFile, Style, span};
use crate::text::{Edit, EditSet, Span};

/// What goes into the `try`.
#[derive(Debug)]
pub(super) struct Guarded<'t> {
    /// Where it stands, and what is guarded there.
    pub position: Position,
    /// Edits that make the load another, in place.
    pub in_place: Vec<Edit>,
    /// No other load moves out of the statement.
    pub alone: bool,
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
    let inner = format!("{margin}{indent}");
    // A statement of several lines as they follow the margin before the first.
    let lines = |line: &str, margin: &str| {
        let lines = broken(line, margin, indent).join(newline);
        lines.strip_prefix(margin).unwrap_or(&lines).to_owned()
    };
    let before = guarded.before.map_or(String::new(), |before| {
        format!("{}{newline}{margin}", lines(&before, margin))
    });
    let mut handler = except(file, margin, guarded.catch);
    for line in
        std::iter::once(format!("# {}", rewrite.comment).as_str()).chain(guarded.answer.lines())
    {
        handler.push_str(&format!("{newline}{inner}{}", lines(line, &inner)));
    }
    let mut edits = room.before;
    let mut deeper = room.deeper;
    if whole {
        deeper.push_str(indent);
        let open = format!("{before}try:{newline}{inner}");
        edits.push(Edit::insert(statement.start, order, open));
        let text = changed(file, statement, guarded.in_place.clone())?;
        let deep = format!("{inner}{text}");
        if alone_on_a_line(file, statement) && too_wide(&deep) {
            // Deeper, it is longer than formatters leave it.
            edits.push(Edit::replace(statement, lines(&text, &inner)));
        } else {
            // An argument on a line of its own.
            let further = format!("{newline}{deeper}");
            edits.extend(guarded.in_place.into_iter().map(|edit| Edit {
                text: edit.text.replace(newline, &further),
                ..edit
            }));
        }
        let end = match &room.after {
            Some(_) => statement.end,
            None => file.index().line_end(file.text(), statement.end),
        };
        edits.push(Edit::insert(end, order, format!("{newline}{handler}")));
        edits.extend(room.after);
    } else {
        let name = fresh.take("loaded", function_around(file, statement));
        let text = changed(file, target, guarded.in_place)?;
        let text = lines(
            &rebased(file, target, &format!("{name} = {text}"), &inner),
            &inner,
        );
        // A definition has a blank line before it.
        let gap = if room.defines { newline } else { "" };
        let text =
            format!("{before}try:{newline}{inner}{text}{newline}{handler}{newline}{gap}{margin}");
        edits.push(Edit::insert(statement.start, order, text));
        let part = Edit::replace(target, name);
        let rest = guarded
            .alone
            .then(|| changed(file, statement, vec![part.clone()]))
            .flatten()
            .and_then(|text| joined(file, statement, &text, margin));
        match rest {
            Some(line) => {
                edits.push(Edit::replace(statement, line));
                return Some(edits);
            }
            None => edits.push(part),
        }
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
pub(super) fn changed(file: &SourceFile, place: Span, edits: Vec<Edit>) -> Option<String> {
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

/// `edits`, which change the statement around `place` and are all that does; or that statement anew, where it stood as
/// formatters leave it and would not any more.
pub(super) fn in_lines(file: &SourceFile, place: Span, edits: Vec<Edit>) -> Vec<Edit> {
    let anew = || {
        let (statement, _) = statement_of(file, place)?;
        if !is_simple(file, statement) {
            return None;
        }
        let Style {
            indent, newline, ..
        } = file.style();
        let start = file.index().line_start(statement.start);
        let margin = file.slice(Span::new(start, statement.start));
        let end = file.index().line_end(file.text(), statement.end);
        if !margin.trim().is_empty() || end != statement.end {
            return None;
        }
        let formatted = |text: &str| {
            let line = on_one_line(text)?;
            Some(broken(&line, margin, indent).join(newline))
        };
        let new = changed(file, statement, edits.clone())?;
        let before = formatted(file.slice(statement))?;
        let after = formatted(&new)?;
        let was = before.strip_prefix(margin) == Some(file.slice(statement));
        let text = after.strip_prefix(margin)?.to_owned();
        (was && text != new).then(|| vec![Edit::replace(statement, text)])
    };
    anew().unwrap_or(edits)
}

/// `text` of several lines as one; nothing where a comma asks for lines.
fn on_one_line(text: &str) -> Option<String> {
    let mut line = String::new();
    for part in text.lines().map(str::trim) {
        let opens = line.is_empty() || line.ends_with(['(', '[', '{']);
        let closes = part.starts_with([')', ']', '}']);
        // A comma before the end asks for lines.
        if closes && line.ends_with(',') {
            return None;
        }
        line.push_str(if opens || closes { "" } else { " " });
        line.push_str(part);
    }
    Some(line)
}

/// Whether `statement` can stand on one line, or on others than it does.
fn is_simple(file: &SourceFile, statement: Span) -> bool {
    let mut starts = file.index().lines_inside(statement);
    let node = file.ancestors(statement).into_iter().rev();
    let mut node = node.filter_map(|node| node.as_stmt_ref());
    let simple = matches!(
        node.next(),
        Some(
            StmtRef::Assign(_)
                | StmtRef::AnnAssign(_)
                | StmtRef::AugAssign(_)
                | StmtRef::Return(_)
                | StmtRef::Expr(_)
                | StmtRef::Raise(_)
        )
    );
    let old = file.slice(statement);
    simple && !old.contains(['#', '\\']) && !starts.any(|start| file.in_string(start))
}

/// `text`, which `statement` became, on one line: if it fits there now, and was too long before.
fn joined(file: &SourceFile, statement: Span, text: &str, margin: &str) -> Option<String> {
    let join = |text: &str| Some(format!("{margin}{}", on_one_line(text)?));
    if !is_simple(file, statement) {
        return None;
    }
    let old = file.slice(statement);
    let (before, after) = (join(old)?, join(text)?);
    let end = file.index().line_end(file.text(), statement.end);
    let fits = end == statement.end && too_wide(&before) && !too_wide(&after);
    (fits && old.contains(['\n', '\r'])).then(|| after.trim_start().to_owned())
}

/// Whether `statement` is one line, and nothing else stands on it.
fn alone_on_a_line(file: &SourceFile, statement: Span) -> bool {
    let index = file.index();
    let start = index.line_start(statement.start);
    let end = index.line_end(file.text(), statement.end);
    let before = file.slice(Span::new(start, statement.start));
    let fits = !too_wide(file.slice(Span::new(start, end)));
    let one = index.line_start(statement.end) == start;
    one && fits && end == statement.end && before.trim().is_empty()
}

/// `text`, which stood at `place`, with its further lines as deep as they follow a first one at `margin`.
fn rebased(file: &SourceFile, place: Span, text: &str, margin: &str) -> String {
    let index = file.index();
    let line = file.slice(Span::new(index.line_start(place.start), place.start));
    let code = line.trim_start();
    let base = line.get(..line.len() - code.len()).unwrap_or_default();
    let mut inside = index.lines_inside(place);
    if inside.any(|start| file.in_string(start)) {
        return text.to_owned();
    }
    let newline = file.style().newline;
    let mut lines = text.split(newline);
    let mut moved = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        moved.push_str(newline);
        match line.strip_prefix(base) {
            Some(rest) => {
                moved.push_str(margin);
                moved.push_str(rest);
            }
            None => moved.push_str(line),
        }
    }
    moved
}

/// The `except` line; one error a line where one line would be longer than formatters leave it.
fn except(file: &SourceFile, margin: &str, catch: &[Raised]) -> String {
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
    if !too_wide(&line) {
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
            AnyNodeRef::ExprLambda(node) => span(&*node.body).contains(child),
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
