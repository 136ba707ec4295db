//! A framework's answer, as it is written in one file.

use super::names::{Need, spell};
use super::{Reason, attempt};
use crate::pack::{Framework, Reply, ReplyStyle};
use crate::python::SourceFile;
use crate::text::Span;

/// A framework's answer as it is written in one file.
#[derive(Debug)]
pub(super) struct Answer {
    /// Statements, one a line, without the margin.
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
