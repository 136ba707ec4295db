//! A framework's answer, as it is written in one file.

use super::names::{Filled, fill};
use super::{Reason, attempt};
use crate::pack::{Framework, ReplyStyle};
use crate::python::SourceFile;
use crate::text::Span;

/// The first reply of `framework` that can stand at `statement`; in the handler itself it may return.
pub(super) fn answer(
    file: &SourceFile,
    statement: Span,
    framework: &Framework,
    in_handler: bool,
    message: &str,
) -> Result<Filled, Reason> {
    let mut obstacle = Reason::NoHandler;
    for reply in &framework.replies {
        if reply.style == ReplyStyle::Drop || (reply.style == ReplyStyle::Return && !in_handler) {
            continue;
        }
        if reply.style == ReplyStyle::Raise
            && let Err(reason) = attempt::swallowed(file, statement)
        {
            obstacle = reason;
            continue;
        }
        let message = |_: &str| literal(message, file.style().quote);
        match fill(file, statement.start, &reply.code, false, message) {
            Ok(answer) => return Ok(answer),
            Err(reason) => obstacle = reason,
        }
    }
    Err(obstacle)
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
