//! Text with holes, as `[[reply]]` rows have it: `return {message}, 400`.

use schemars::JsonSchema;
use serde::Deserialize;

/// Python with holes. A brace that is meant is doubled.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Template {
    /// As it is written in the pack.
    pub source: String,
    /// Its parts.
    pub pieces: Vec<Piece>,
}

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Python as it stands.
    Text(String),
    /// `{message}`: the message, as a string literal.
    Message(Wording),
    /// `{self}`, `{0}`, `{1}`: the handler's own object, or a parameter of it by position after that.
    Parameter(Option<usize>),
    /// `{await}`: `await` in a coroutine, nothing elsewhere.
    Await,
    /// `{module.name}`: that name as the file says it; `{a.b|c.d}`: any of these.
    Name(Vec<Name>),
}

/// How a message has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// `{message}`: any text.
    Text,
    /// `{message:bytes}`: a bytes literal.
    Bytes,
    /// `{message:line}`: it becomes part of a line of HTTP, which takes printable ASCII alone; the row fits no other.
    Line,
}

/// A qualified name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Its module.
    pub module: String,
    /// Its last part.
    pub name: String,
    /// `{module:name}`: imported as `import module`, where it is not imported yet.
    pub by_module: bool,
}

impl Name {
    /// `module.name`.
    pub fn full(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(source: String) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            text.push_str(before);
            if let Some(after) = after.strip_prefix("{{") {
                text.push('{');
                rest = after;
            } else if let Some(after) = after.strip_prefix("}}") {
                text.push('}');
                rest = after;
            } else {
                let hole = after.strip_prefix('{').and_then(|a| a.split_once('}'));
                let (hole, after) = hole.ok_or("a brace that is meant is written twice")?;
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(piece(hole)?);
                rest = after;
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Template { source, pieces })
    }
}

fn piece(hole: &str) -> Result<Piece, String> {
    Ok(match hole {
        "message" => Piece::Message(Wording::Text),
        "message:bytes" => Piece::Message(Wording::Bytes),
        "message:line" => Piece::Message(Wording::Line),
        "self" => Piece::Parameter(None),
        "await" => Piece::Await,
        _ => match hole.parse() {
            Ok(position) => Piece::Parameter(Some(position)),
            Err(_) => Piece::Name(hole.split('|').map(name).collect::<Result<_, _>>()?),
        },
    })
}

fn name(text: &str) -> Result<Name, String> {
    let (module, name, by_module) = match (text.split_once(':'), text.rsplit_once('.')) {
        (Some((module, name)), _) => (module, name, true),
        (None, Some((module, name))) => (module, name, false),
        (None, None) => {
            return Err(format!(
                "unknown hole `{{{text}}}`: write message, self, await, a position or module.name"
            ));
        }
    };
    Ok(Name {
        module: module.to_owned(),
        name: name.to_owned(),
        by_module,
    })
}

impl Template {
    /// The qualified names in it.
    pub fn names(&self) -> Vec<String> {
        let names = self.pieces.iter().flat_map(|piece| match piece {
            Piece::Name(names) => names.as_slice(),
            _ => &[],
        });
        names.map(Name::full).collect()
    }

    /// Whether it names the handler's own parameters, so that only the handler itself can say it.
    pub fn names_parameters(&self) -> bool {
        let parameter = |piece: &Piece| matches!(piece, Piece::Parameter(_) | Piece::Await);
        self.pieces.iter().any(parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_told_from_braces() {
        let template = Template::try_from("{{\"a\": {message:bytes}}}".to_owned());
        let pieces = template.map(|template| template.pieces);
        let wanted = vec![
            Piece::Text("{\"a\": ".into()),
            Piece::Message(Wording::Bytes),
            Piece::Text("}".into()),
        ];
        assert_eq!(pieces, Ok(wanted));
    }

    #[test]
    fn refuses_what_is_no_hole() {
        for bad in ["{", "}", "{massage}", "return {message"] {
            assert!(Template::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
