//! The text of a guarded load: `try`, the load alone, and the answer.

use super::names::{Fresh, Need, spell};
use super::position::Position;
use super::{Reason, attempt};
use crate::pack::{Framework, Reply, ReplyStyle, Rewrite};
use crate::python::{SourceFile, Style, span};
use crate::text::{Edit, Span};

/// A framework's answer as it is written in one file.
#[derive(Debug)]
pub(super) struct Answer {
    pub code: String,
    pub needs: Vec<Need>,
}

/// The first reply of `framework` that can stand at `statement`; in the handler itself it may return.
pub(super) fn answer(
    file: &SourceFile,
    statement: Span,
    framework: &Framework,
    in_handler: bool,
    message: &str,
) -> Result<Answer, Reason> {
    let mut obstacle = Reason::NoHandler;
    for reply in &framework.replies {
        if reply.style == ReplyStyle::Return && !in_handler {
            continue;
        }
        if reply.style == ReplyStyle::Raise
            && let Err(reason) = attempt::swallowed(file, statement)
        {
            obstacle = reason;
            continue;
        }
        match written(file, statement.start, reply, message) {
            Ok(answer) => return Ok(answer),
            Err(reason) => obstacle = reason,
        }
    }
    Err(obstacle)
}

/// `reply` with its placeholders filled in.
fn written(
    file: &SourceFile,
    offset: usize,
    reply: &Reply,
    message: &str,
) -> Result<Answer, Reason> {
    let mut code = String::new();
    let mut needs = Vec::new();
    let mut rest = reply.code.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((placeholder, after)) = after.split_once('}') else {
            break;
        };
        code.push_str(before);
        match placeholder.rsplit_once('.') {
            None => code.push_str(&literal(message, file.style().quote)),
            Some((module, name)) => {
                let spelled = spell(file, offset, module, name, false)?;
                code.push_str(&spelled.text);
                needs.extend(spelled.need);
            }
        }
        rest = after;
    }
    code.push_str(rest);
    Ok(Answer { code, needs })
}

/// `text` as a Python string literal.
fn literal(text: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

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
    pub catch: &'t [String],
    /// The answer, one statement.
    pub answer: &'t str,
}

/// The edits that put `guarded` into a `try`.
pub(super) fn guard(
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
    let errors = match guarded.catch {
        [one] => one.clone(),
        many => format!("({})", many.join(", ")),
    };
    let before = guarded
        .before
        .map_or(String::new(), |before| format!("{before}{newline}{margin}"));
    let handler = format!(
        "{margin}except {errors}:{newline}{margin}{indent}# {}{newline}{margin}{indent}{}",
        rewrite.comment, guarded.answer
    );
    match guarded.position {
        Position::Whole(_) => {
            let open = format!("{before}try:{newline}{margin}{indent}");
            let mut edits = guarded.in_place;
            edits.push(Edit::insert(statement.start, order, open));
            for start in file.index().lines_inside(statement) {
                let end = file.index().line_end(file.text(), start);
                let blank = file.slice(Span::new(start, end)).trim().is_empty();
                // White space inside a string is content.
                if !blank && !file.in_string(start) {
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
