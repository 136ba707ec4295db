//! A framework's own words, as one file would write them.

use super::Reason;
use super::log::times_bound;
use super::names::{Filled, Spelled, spell};
use crate::pack::{Name, Piece, Template, Wording};
use crate::python::{Bound, SourceFile};
use crate::text::Span;

/// `template` with its holes filled in, as it is written at `statement`.
pub(super) fn filled(
    file: &SourceFile,
    statement: Span,
    template: &Template,
    message: &str,
) -> Result<Filled, Reason> {
    let quote = file.style().quote;
    let mut code = String::new();
    let mut needs = Vec::new();
    let mut kept = Vec::new();
    for piece in &template.pieces {
        match piece {
            Piece::Text(text) if quote == '\'' => code.push_str(&text.replace('"', "'")),
            Piece::Text(text) => code.push_str(text),
            Piece::Message(wording) => {
                let plain = message.chars().all(|c| c == ' ' || c.is_ascii_graphic());
                if *wording == Wording::Line && !plain {
                    return Err(Reason::NotEncodable);
                }
                code.push_str(&literal(message, quote, *wording == Wording::Bytes));
            }
            Piece::Parameter(position) => code.push_str(parameter(file, statement, *position)?),
            Piece::Await => {
                let function = file.innermost_function(statement);
                if function.is_some_and(|function| function.is_async) {
                    code.push_str("await ");
                }
            }
            Piece::Name(names) => {
                let spelled = said(file, statement.start, names)?;
                code.push_str(&spelled.text);
                kept.extend(spelled.kept());
                needs.extend(spelled.need);
            }
        }
    }
    Ok(Filled {
        text: code,
        needs,
        kept,
    })
}

/// One of `names`: what the file can say already, else the first that it can import.
fn said(file: &SourceFile, offset: usize, names: &[Name]) -> Result<Spelled, Reason> {
    let mut first = Err(Reason::NameTaken);
    for Name {
        module,
        name,
        by_module,
    } in names
    {
        match spell(file, offset, module, name, *by_module) {
            Ok(spelled) if spelled.need.is_none() => return Ok(spelled),
            Ok(spelled) if first.is_err() => first = Ok(spelled),
            _ => {}
        }
    }
    first
}

/// The name of a parameter of the function at `statement`, by position after `self`; `self` itself for none.
pub(super) fn parameter(
    file: &SourceFile,
    statement: Span,
    position: Option<usize>,
) -> Result<&str, Reason> {
    let function = file
        .innermost_function(statement)
        .ok_or(Reason::NoHandler)?;
    let parameters = &function.parameters;
    let mut names = parameters
        .posonlyargs
        .iter()
        .chain(&parameters.args)
        .map(|parameter| parameter.parameter.name.as_str())
        .peekable();
    let is_method = names.peek().is_some_and(|first| *first == "self");
    let name = match position {
        None if is_method => names.next(),
        None => None,
        Some(n) => names.nth(n + usize::from(is_method)),
    };
    let name = name.ok_or(Reason::NameTaken)?;
    // A parameter that is bound again may be something else by now.
    let scope = file.scopes().at(statement.start);
    match file.scopes().bound_in(scope, name) {
        [Bound::Other] if times_bound(&function.body, name) == 0 => Ok(name),
        _ => Err(Reason::NameTaken),
    }
}

/// `text` as a Python literal.
pub(super) fn literal(text: &str, quote: char, bytes: bool) -> String {
    let other = if quote == '"' { '\'' } else { '"' };
    let times = |quote: char| text.matches(quote).count();
    // The fewer backslashes, as the common formatters have it.
    let quote = if times(quote) > times(other) {
        other
    } else {
        quote
    };
    let mut out = String::from(if bytes { "b" } else { "" });
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if bytes && !c.is_ascii() => {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    out.push_str(&format!("\\x{byte:02x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn a_message_is_a_literal_whatever_it_holds() {
        assert_eq!(literal("it's \"bad\"\n", '"', false), r#"'it\'s "bad"\n'"#);
        assert_eq!(literal("it's 'bad'\\", '"', false), r#""it's 'bad'\\""#);
        assert_eq!(literal("it's\0", '\'', false), r#""it's\x00""#);
        assert_eq!(literal("schön", '"', true), r#"b"sch\xc3\xb6n""#);
    }
}
