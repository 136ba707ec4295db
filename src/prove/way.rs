//! One way of untrusted data: where in a request it enters, and what a client does so that the load gets it whole.

use std::collections::{BTreeMap, VecDeque};

use super::around::{Around, fields, text};
use super::delivery::{Channel, Obstacle, node_at};
use super::routes::placeholders;
use crate::pack::{Encoding, Framework, Model};
use crate::project::Project;
use crate::python::ast::visitor::Visitor;
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
    pub around: Around<'a>,
}

/// Where in a request the data of a way travels.
pub(super) struct Entry {
    pub channel: Channel,
    pub name: Option<String>,
    /// The keys by which the code looks it up there, in this order.
    pub looked_up: Vec<String>,
}

/// Methods that look up what their first argument says.
const LOOKUPS: [&str; 6] = ["get", "pop", "getlist", "getall", "getfirst", "get_list"];

impl<'a> Way<'a> {
    fn source(&self) -> Result<(&'a Hop, &'a SourceFile), Obstacle> {
        let hop = self.path.hops().first().ok_or(Obstacle::NoPath)?;
        Ok((hop, self.project.source(hop.place.file)))
    }

    /// The syntax of the source, and of the steps after it.
    fn stations(&self) -> impl Iterator<Item = (&'a Hop, AnyNodeRef<'a>)> {
        let hops = self.path.hops().iter();
        let stations = hops.filter(|hop| matches!(hop.kind, HopKind::Source | HopKind::Step));
        stations.filter_map(|hop| {
            let node = node_at(self.project.source(hop.place.file), hop.place.span)?;
            Some((hop, outermost_await(node)))
        })
    }

    fn snippet(&self, place: Place) -> String {
        let text = self.project.source(place.file).slice(place.span);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Where the data travels, under which name, and how it is looked up.
    pub fn entry(&self, template: &str) -> Result<Entry, Obstacle> {
        let parts = self.framework.serves.iter().flat_map(|serve| &serve.parts);
        let parts: BTreeMap<&String, &String> = parts.collect();
        let mut keys = Vec::new();
        for (n, (_, node)) in self.stations().enumerate() {
            match n {
                0 => self.lookups(node, &mut keys),
                _ => keys.extend(self.lookup(node)),
            }
        }
        let first = keys
            .first()
            .filter(|first| self.path.key.as_ref() == Some(*first));
        let (word, key, looked_up) = match first.and_then(|first| parts.get(first)) {
            // A part of what the handler is called with, and within that by name.
            Some(word) => (
                word.as_str(),
                keys.get(1).cloned(),
                keys[..keys.len().min(2)].to_vec(),
            ),
            None => {
                let key = self.path.key.clone();
                (
                    self.path.channel.as_str(),
                    key.clone(),
                    key.into_iter().collect(),
                )
            }
        };
        let (channel, name) = self.channel(word, key, template)?;
        let looked_up = match (looked_up.is_empty(), channel) {
            (true, Channel::Path) => Vec::new(),
            (true, _) => name.iter().cloned().collect(),
            (false, Channel::Body) => looked_up[..1].to_vec(),
            (false, _) => looked_up,
        };
        Ok(Entry {
            channel,
            name,
            looked_up,
        })
    }

    /// The channel that `word` means, and the name there; `key` is what was looked up.
    fn channel(
        &self,
        word: &str,
        key: Option<String>,
        template: &str,
    ) -> Result<(Channel, Option<String>), Obstacle> {
        let unknown = || Obstacle::NoChannel(self.path.channel.clone());
        // Names of the environment in the form of CGI.
        let header = |key: &str| {
            let name = key.strip_prefix("HTTP_")?;
            Some((Channel::Header, Some(name.replace('_', "-"))))
        };
        let form = self.reads(Encoding::Form);
        let fields = self
            .framework
            .serves
            .iter()
            .find_map(|serve| serve.fields.as_deref());
        let channel = match (word, key.as_deref()) {
            ("body", Some(_)) if form => Channel::Form,
            ("path" | "query" | "query-string", Some(_)) if form => Channel::Query,
            ("body" | "path" | "query" | "query-string", None) if form => {
                return Err(Obstacle::NoName);
            }
            ("query-string", _) => return Err(unknown()),
            ("body", Some(_)) if self.reads(Encoding::Json) => Channel::Json,
            ("body", Some(_)) if fields == Some("form") => Channel::Form,
            ("body", None) => return Ok((Channel::Body, None)),
            ("rpc", None) => return Ok((Channel::Body, Some(self.field()?))),
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
            // Never outside of the copy.
            ("local-file", Some(key)) if !key.starts_with('/') && !key.contains("..") => {
                return Ok((Channel::Kept, Some(key.to_owned())));
            }
            _ => return Err(unknown()),
        };
        let located = self.located().filter(|_| self.is_parameter() == Ok(true));
        let mut serves = self.framework.serves.iter();
        let by_name = serves.find_map(|serve| serve.parameters.as_deref());
        if let (Some(key), true) = (key, channel != Channel::Path) {
            return match (self.is_parameter()?, located) {
                (true, Some(channel)) => Ok((channel, Some(key))),
                // An element of a parameter: where the parameter itself comes from is not said.
                (true, None) if word == self.path.channel && !form && channel != Channel::Json => {
                    Err(Obstacle::NoName)
                }
                _ => Ok((channel, Some(key))),
            };
        }
        let name = self.parameter(channel)?;
        if let Some(channel) = located {
            return Ok((channel, Some(name)));
        }
        let in_path = placeholders(template).any(|one| one == name);
        Ok(match (channel, by_name) {
            (Channel::Path, _) if in_path => (Channel::Path, Some(name)),
            (Channel::Path, Some("query")) => (Channel::Query, Some(name)),
            (Channel::Form, Some("fields")) => (Channel::Query, Some(name)),
            (Channel::Path, _) => return Err(unknown()),
            (_, None) => return Err(Obstacle::NoName),
            (Channel::Header, _) => (channel, Some(name.replace('_', "-"))),
            _ => (channel, Some(name)),
        })
    }

    /// Where a decorator says that the handler's arguments come from.
    fn located(&self) -> Option<Channel> {
        let location = self
            .framework
            .serves
            .iter()
            .find_map(|serve| serve.location.as_ref())?;
        let said = self
            .around
            .decorated(&location.decorators, &location.keyword)?;
        let word = said.unwrap_or_else(|| location.default.clone());
        Channel::called(location.words.get(&word)?)
    }

    /// The field of a message that the data is: the only one that is read where it goes on, or anywhere in the handler.
    fn field(&self) -> Result<String, Obstacle> {
        let (hop, file) = self.source()?;
        let text = file.slice(hop.place.span);
        let end = |c: char| !(c.is_alphanumeric() || c == '_');
        let message = text.split(end).next().unwrap_or_default();
        let next = self.path.hops().get(1);
        let next = next.filter(|next| next.place.file == hop.place.file);
        let next = next.and_then(|next| node_at(file, next.place.span));
        let near = match next {
            Some(AnyNodeRef::ExprCall(call)) => Some(fields(message, |fields| {
                fields.visit_arguments(&call.arguments)
            })),
            _ => None,
        };
        let all = || {
            let body = self.around.body();
            fields(message, |fields| fields.visit_body(body))
        };
        let only = |found: Vec<String>| match found.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        let found = near.and_then(only).or_else(|| only(all()));
        found.ok_or(Obstacle::NoName)
    }

    /// Whether the data is read as `encoding` on the way.
    fn reads(&self, encoding: Encoding) -> bool {
        let is = |name: &str| self.model.encoding(name) == Some(encoding);
        self.stations().any(|(hop, node)| match hop.kind {
            HopKind::Source => members(node).any(|name| is(&format!(".{name}"))),
            _ => is(&hop.note),
        })
    }

    /// What `node` looks up, if that is said by a text.
    fn lookup(&self, node: AnyNodeRef<'_>) -> Option<String> {
        match node {
            AnyNodeRef::ExprSubscript(node) => text(&node.slice),
            AnyNodeRef::ExprCall(call) => {
                let method = call.func.as_attribute_expr()?.attr.as_str();
                let given = text(call.arguments.args.first()?)?;
                let known = LOOKUPS.contains(&method) || self.path.key.as_ref() == Some(&given);
                known.then_some(given)
            }
            _ => None,
        }
    }

    /// All that `node` looks up, innermost first.
    fn lookups(&self, node: AnyNodeRef<'_>, keys: &mut Vec<String>) {
        if let Some(inner) = inner(node) {
            self.lookups(inner.into(), keys);
        }
        keys.extend(self.lookup(node));
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

    /// What a client does with the data so that the load gets it whole, first to last. Each of `looked_up` is looked up
    /// once, in this order.
    pub fn wrapping(
        &self,
        channel: Channel,
        looked_up: Vec<String>,
    ) -> Result<Vec<Encoding>, Obstacle> {
        let mut keys: VecDeque<String> = looked_up.into();
        let (hop, file) = self.source()?;
        if let Some(node) = node_at(file, hop.place.span) {
            let plain = self.is_plain(node, &mut keys);
            plain.map_err(|at| Obstacle::Changed(file.slice(at).to_owned()))?;
        }
        let mut undone = Vec::new();
        let mut lists = false;
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
            let fresh = !keys.is_empty() && undone.is_empty();
            match self.step(&hop.note, node) {
                Some(Encoding::None) => {}
                Some(Encoding::Json) if channel == Channel::Json && fresh => {}
                // It gives a list for each name.
                Some(Encoding::Form) if channel.is_fields() && fresh => lists = true,
                Some(Encoding::Json | Encoding::Form) => return Err(changed()),
                Some(encoding) => undone.push(encoding),
                None if is_choice(node, keys.front()) => {
                    keys.pop_front();
                }
                None if lists && keys.is_empty() && undone.is_empty() && is_end(node) => {}
                None => return Err(changed()),
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
            let any = matches!(encoding, Encoding::None | Encoding::Form);
            return (alone || any).then_some(encoding);
        }
        let method = call.func.as_attribute_expr()?;
        self.model.encoding(&format!(".{}", method.attr.as_str()))
    }

    /// Whether the source `node` is read as it is: the place of what changes it otherwise.
    fn is_plain(&self, node: AnyNodeRef<'_>, keys: &mut VecDeque<String>) -> Result<(), Span> {
        if let Some(inner) = inner(node) {
            self.is_plain(inner.into(), keys)?;
        }
        if is_choice(node, keys.front()) {
            keys.pop_front();
            return Ok(());
        }
        let changes = match node {
            AnyNodeRef::ExprSubscript(_) => true,
            AnyNodeRef::ExprCall(call) => {
                let method = call.func.as_attribute_expr();
                method.is_some_and(|method| self.model.method_step(method.attr.as_str()).is_some())
                    && self.step("", node) != Some(Encoding::None)
            }
            _ => false,
        };
        if changes { Err(span(&node)) } else { Ok(()) }
    }
}

/// What `node` reads something of.
fn inner(node: AnyNodeRef<'_>) -> Option<&Expr> {
    Some(match node {
        AnyNodeRef::ExprAwait(node) => &node.value,
        AnyNodeRef::ExprAttribute(node) => &node.value,
        AnyNodeRef::ExprSubscript(node) => &node.value,
        AnyNodeRef::ExprCall(call) => &call.func.as_attribute_expr()?.value,
        _ => return None,
    })
}

/// Whether `node` looks up `key`: `x["key"]`, `x.get("key", ...)`.
fn is_choice(node: AnyNodeRef<'_>, key: Option<&String>) -> bool {
    let given = match node {
        AnyNodeRef::ExprSubscript(node) => Some(&*node.slice),
        AnyNodeRef::ExprCall(call) if call.func.is_attribute_expr() => call.arguments.args.first(),
        _ => return false,
    };
    key.is_some() && given.and_then(text).as_ref() == key
}

/// Whether `node` takes the first or the last of a list.
fn is_end(node: AnyNodeRef<'_>) -> bool {
    let AnyNodeRef::ExprSubscript(node) = node else {
        return false;
    };
    let number = match &*node.slice {
        Expr::UnaryOp(node) => node.operand.as_number_literal_expr().map(|node| (node, 1)),
        other => other.as_number_literal_expr().map(|node| (node, 0)),
    };
    number.is_some_and(|(node, is)| node.value.as_int().is_some_and(|int| *int == is))
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
