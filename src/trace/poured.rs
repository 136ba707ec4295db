//! Loaded values that are poured into what takes bytes alone: files, streams, answers that are no text.

use super::bindings::entered_as;
use super::machine::Machine;
use super::taint::Place;
use super::uses::{Doing, loads};
use super::value::{Arguments, Value};
use crate::python::ast::{self, Expr};
use crate::python::span;

impl<'a> Machine<'a> {
    /// `Response(value, mimetype="image/png")`: no text.
    pub(super) fn note_media(&mut self, arguments: &Arguments, at: Place) {
        const TYPES: [&str; 3] = ["mimetype", "content_type", "media_type"];
        const BODIES: [&str; 4] = ["content", "body", "response", "data"];
        let said = TYPES.iter().filter_map(|name| arguments.named(name));
        let mut said = said
            .chain(arguments.positional.iter().skip(1))
            .filter_map(Value::text);
        if !said.any(|text| is_media(&text)) {
            return;
        }
        let named = BODIES.iter().filter_map(|name| arguments.named(name));
        let given: Vec<Value> = arguments
            .positional
            .first()
            .into_iter()
            .chain(named)
            .cloned()
            .collect();
        for value in given {
            self.note_use(&value, at, || Doing::Beside("bytes".to_owned()));
        }
    }

    /// `file.write(value)`, of a file that was opened for bytes.
    pub(super) fn note_poured(
        &mut self,
        attribute: &'a ast::ExprAttribute,
        arguments: &Arguments,
        at: Place,
    ) {
        let writes = matches!(&*attribute.attr, "write" | "writelines");
        if writes
            && arguments.all().any(|value| loads(value).next().is_some())
            && self.of_bytes(&attribute.value)
        {
            self.note_bytes(arguments, at);
        }
    }

    /// Whether `stream` takes bytes alone: it was opened so, or is the raw stream under one of text.
    fn of_bytes(&self, stream: &'a Expr) -> bool {
        let source = self.source();
        let call = match stream {
            Expr::Name(name) => match entered_as(source, name) {
                Some(call) => call,
                None => return false,
            },
            Expr::Attribute(node) => return matches!(&*node.attr, "wfile" | "buffer"),
            Expr::Call(call) => call,
            _ => return false,
        };
        let names = source.names(source.scopes().at(span(call).start), &call.func);
        let is = |name: &str| names.iter().any(|n| n == name);
        let method = call
            .func
            .as_attribute_expr()
            .is_some_and(|node| node.attr == *"open");
        let opens = is("builtins.open") || is("io.open") || method;
        let keywords = call.arguments.keywords.iter();
        let modes = keywords
            .filter(|k| k.arg.as_ref().is_some_and(|arg| *arg == *"mode"))
            .map(|k| &k.value);
        let mut modes = call
            .arguments
            .args
            .iter()
            .take(2)
            .chain(modes)
            .filter_map(Expr::as_string_literal_expr);
        let in_bytes = modes.any(|mode| {
            let mode = mode.value.to_str();
            mode.len() <= 3 && mode.contains('b') && mode.contains(['w', 'a', 'x', '+'])
        });
        let temporary = [
            "NamedTemporaryFile",
            "TemporaryFile",
            "SpooledTemporaryFile",
        ];
        let temporary = temporary.iter().any(|name| is(&format!("tempfile.{name}")));
        let by_default = temporary && call.arguments.is_empty();
        is("io.BytesIO") || by_default || (opens || temporary) && in_bytes
    }
}

/// Whether `text` is a type of media that is no text: `image/png`.
fn is_media(text: &str) -> bool {
    let kind = text.split(';').next().unwrap_or_default().trim();
    let written = kind.ends_with("xml") || kind.ends_with("json");
    let kinds = ["image/", "audio/", "video/", "font/"];
    kinds.iter().any(|start| kind.starts_with(start)) && !written
        || matches!(
            kind,
            "application/octet-stream" | "application/pdf" | "application/zip" | "application/gzip"
        )
}
