//! One way of untrusted data: where in a request it enters, and what a client does so that the load gets it whole.

use super::delivery::{Channel, Obstacle, node_at};
use super::routes::placeholders;
use crate::pack::{Encoding, Framework, Model};
use crate::project::Project;
use crate::python::ast::{AnyNodeRef, Expr};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Hop, HopKind, Place, TaintPath};

/// One way of untrusted data to a load.
pub(super) struct Way<'a> {
    pub project: &'a Project,
    pub model: &'a Model,
    pub framework: &'a Framework,
    pub path: &'a TaintPath,
}

impl<'a> Way<'a> {
    fn source(&self) -> Result<(&'a Hop, &'a SourceFile), Obstacle> {
        let hop = self.path.hops().first().ok_or(Obstacle::NoPath)?;
        Ok((hop, self.project.source(hop.place.file)))
    }

    fn snippet(&self, place: Place) -> String {
        let text = self.project.source(place.file).slice(place.span);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Where the data travels, and under which name.
    pub fn channel(&self, template: &str) -> Result<(Channel, Option<String>), Obstacle> {
        let key = self.path.key.clone();
        let unknown = || Obstacle::NoChannel(self.path.channel.clone());
        // Names of the environment in the form of CGI.
        let header = |key: &str| {
            let name = key.strip_prefix("HTTP_")?;
            Some((Channel::Header, Some(name.replace('_', "-"))))
        };
        let channel = match (self.path.channel.as_str(), key.as_deref()) {
            ("body", None) | ("request", Some("wsgi.input")) => return Ok((Channel::Body, None)),
            ("body", Some(_)) if self.is_json() => Channel::Json,
            ("request", Some(key)) => return header(key).ok_or_else(unknown),
            ("header", Some(key)) if key.starts_with("HTTP_") => {
                return header(key).ok_or_else(unknown);
            }
            ("form", _) => Channel::Form,
            ("query", _) => Channel::Query,
            ("cookie", _) => Channel::Cookie,
            ("header", _) => Channel::Header,
            ("file", _) => Channel::File,
            ("parameter" | "path", _) => Channel::Path,
            _ => return Err(unknown()),
        };
        if let (Some(key), true) = (key, channel != Channel::Path) {
            // An element of a parameter: where the parameter itself comes from is not said.
            return match self.is_parameter()? {
                true => Err(Obstacle::NoName),
                false => Ok((channel, Some(key))),
            };
        }
        let mut serves = self.framework.serves.iter();
        let by_name = serves.find_map(|serve| serve.parameters.as_deref());
        let name = self.parameter(channel)?;
        let in_path = placeholders(template).any(|one| one == name);
        Ok(match (channel, by_name) {
            (Channel::Path, _) if in_path => (Channel::Path, Some(name)),
            (Channel::Path, Some("query")) => (Channel::Query, Some(name)),
            (Channel::Path, _) => return Err(unknown()),
            (_, None) => return Err(Obstacle::NoName),
            (Channel::Header, _) => (channel, Some(name.replace('_', "-"))),
            _ => (channel, Some(name)),
        })
    }

    /// Whether the body is read as JSON on the way.
    fn is_json(&self) -> bool {
        let json = |name: &str| self.model.encoding(name) == Some(Encoding::Json);
        let in_source = self.source().ok().and_then(|(hop, file)| {
            let node = node_at(file, hop.place.span)?;
            Some(members(node).any(|name| json(&format!(".{name}"))))
        });
        let steps = self
            .path
            .hops()
            .iter()
            .filter(|hop| hop.kind == HopKind::Step);
        in_source == Some(true) || steps.into_iter().any(|hop| json(&hop.note))
    }

    /// Whether the data enters as a parameter of a handler.
    fn is_parameter(&self) -> Result<bool, Obstacle> {
        let (hop, file) = self.source()?;
        let node = node_at(file, hop.place.span);
        Ok(matches!(
            node,
            Some(
                AnyNodeRef::Parameter(_)
                    | AnyNodeRef::ParameterWithDefault(_)
                    | AnyNodeRef::Identifier(_)
            )
        ))
    }

    /// The handler's parameter that the data is; or an uploaded file that is one.
    fn parameter(&self, channel: Channel) -> Result<String, Obstacle> {
        let (hop, file) = self.source()?;
        let text = file.slice(hop.place.span);
        let word = |text: &str| -> String {
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            text.split(end).next().unwrap_or_default().to_owned()
        };
        let name = match (node_at(file, hop.place.span), channel) {
            _ if self.is_parameter()? => word(text),
            (Some(AnyNodeRef::ExprName(name)), _) => name.id.to_string(),
            (Some(node), Channel::File) => root(node).ok_or(Obstacle::NoName)?,
            _ => return Err(Obstacle::NoName),
        };
        // What it is called on the wire is said beside it.
        match name.is_empty() || text.contains("alias") {
            true => Err(Obstacle::NoName),
            false => Ok(name),
        }
    }

    /// What a client does with the data so that the load gets it whole, first to last. `key` is looked up once at most.
    pub fn wrapping(&self, channel: Channel, key: Option<&str>) -> Result<Vec<Encoding>, Obstacle> {
        let key = self.path.key.as_deref().or(key);
        let (hop, file) = self.source()?;
        let mut chosen = false;
        if let Some(node) = node_at(file, hop.place.span) {
            let plain = self.is_plain(node, key, &mut chosen);
            plain.map_err(|at| Obstacle::Changed(file.slice(at).to_owned()))?;
        }
        let mut undone = Vec::new();
        for hop in self.path.hops().iter().skip(1) {
            let changed = || Obstacle::Changed(self.snippet(hop.place));
            if hop.opaque {
                return Err(changed());
            }
            if hop.kind != HopKind::Step {
                continue;
            }
            let file = self.project.source(hop.place.file);
            let node = node_at(file, hop.place.span).ok_or_else(changed)?;
            let node = outermost_await(node);
            match (self.step(&hop.note, node), is_choice(node, key)) {
                (Some(Encoding::None), _) => {}
                (Some(Encoding::Json), _)
                    if channel == Channel::Json && !chosen && undone.is_empty() => {}
                (Some(Encoding::Json), _) => return Err(changed()),
                (Some(encoding), _) => undone.push(encoding),
                (None, true) if !chosen => chosen = true,
                _ => return Err(changed()),
            }
        }
        undone.reverse();
        Ok(undone)
    }

    /// What undoes the call `node` of what is called `name`.
    fn step(&self, name: &str, node: AnyNodeRef<'_>) -> Option<Encoding> {
        let AnyNodeRef::ExprCall(call) = node else {
            return None;
        };
        if let Some(encoding) = self.model.encoding(name) {
            // Other arguments may mean another alphabet or format.
            let alone = call.arguments.args.len() == 1 && call.arguments.keywords.is_empty();
            return (alone || encoding == Encoding::None).then_some(encoding);
        }
        let method = call.func.as_attribute_expr()?;
        self.model.encoding(&format!(".{}", method.attr.as_str()))
    }

    /// Whether the source `node` is read as it is: the place of what changes it otherwise.
    fn is_plain(
        &self,
        node: AnyNodeRef<'_>,
        key: Option<&str>,
        chosen: &mut bool,
    ) -> Result<(), Span> {
        let at = span(&node);
        let inner: &Expr = match node {
            AnyNodeRef::ExprAwait(node) => &node.value,
            AnyNodeRef::ExprAttribute(node) => &node.value,
            AnyNodeRef::ExprSubscript(node) => match is_choice(node.into(), key) && !*chosen {
                true => {
                    *chosen = true;
                    &node.value
                }
                false => return Err(at),
            },
            AnyNodeRef::ExprCall(call) => match &*call.func {
                Expr::Attribute(method) => {
                    let name = method.attr.as_str();
                    if is_choice(node, key) && !*chosen {
                        *chosen = true;
                    } else if self.model.method_step(name).is_some()
                        && self.step("", node) != Some(Encoding::None)
                    {
                        return Err(at);
                    }
                    &method.value
                }
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        self.is_plain(inner.into(), key, chosen)
    }
}

/// Whether `node` looks up `key`: `x["key"]`, `x.get("key", ...)`.
fn is_choice(node: AnyNodeRef<'_>, key: Option<&str>) -> bool {
    let (given, is_word) = match node {
        AnyNodeRef::ExprSubscript(node) => (Some(&*node.slice), true),
        AnyNodeRef::ExprCall(call) => (call.arguments.args.first(), call.func.is_attribute_expr()),
        _ => return false,
    };
    let literal = given.and_then(|expr| expr.as_string_literal_expr());
    is_word && key.is_some() && literal.map(|literal| literal.value.to_str()) == key
}

fn outermost_await(node: AnyNodeRef<'_>) -> AnyNodeRef<'_> {
    match node {
        AnyNodeRef::ExprAwait(node) => (&*node.value).into(),
        node => node,
    }
}

/// The attributes and methods by which `node` reads what it begins with.
fn members(node: AnyNodeRef<'_>) -> Box<dyn Iterator<Item = &str> + '_> {
    let (name, inner): (_, &Expr) = match node {
        AnyNodeRef::ExprAwait(node) => (None, &node.value),
        AnyNodeRef::ExprSubscript(node) => (None, &node.value),
        AnyNodeRef::ExprCall(node) => (None, &node.func),
        AnyNodeRef::ExprAttribute(node) => (Some(node.attr.as_str()), &node.value),
        _ => return Box::new(std::iter::empty()),
    };
    Box::new(name.into_iter().chain(members(inner.into())))
}

/// The name that the expression `node` begins with.
fn root(node: AnyNodeRef<'_>) -> Option<String> {
    let inner: &Expr = match node {
        AnyNodeRef::ExprName(name) => return Some(name.id.to_string()),
        AnyNodeRef::ExprAwait(node) => &node.value,
        AnyNodeRef::ExprAttribute(node) => &node.value,
        AnyNodeRef::ExprCall(node) => &node.func,
        _ => return None,
    };
    root(inner.into())
}
