//! Of a finding: the request that brings data to its load, for each handler that it is reached from.

use serde::Serialize;
use serde_json::Value;

use super::routes::{filled, leads_to, placeholders, prefixes};
use super::sample::sample;
use crate::pack::{Encoding, Framework, Model};
use crate::project::Project;
use crate::python::ast::{AnyNodeRef, Expr};
use crate::python::{Ranged, SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, Handler, Hop, HopKind, Place, Route, TaintPath, enclosing};

/// Where in a request the data travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// All of the body.
    Body,
    /// A field of a form.
    Form,
    /// A file of a form.
    File,
    /// A field of a JSON object.
    Json,
    /// A cookie.
    Cookie,
    /// A header.
    Header,
    /// A parameter of the query.
    Query,
    /// The last segment of the path.
    Path,
}

impl Channel {
    /// The word used in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Channel::Body => "body",
            Channel::Form => "form",
            Channel::File => "file",
            Channel::Json => "json",
            Channel::Cookie => "cookie",
            Channel::Header => "header",
            Channel::Query => "query",
            Channel::Path => "path",
        }
    }

    fn has_body(self) -> bool {
        matches!(
            self,
            Channel::Body | Channel::Form | Channel::File | Channel::Json
        )
    }
}

/// One request that brings data to a load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    /// Id of the framework that calls the handler.
    pub framework: String,
    /// Dotted name of the handler.
    pub handler: String,
    /// The handler's file, relative to the project.
    pub file: String,
    /// HTTP method.
    pub method: String,
    /// With its placeholders filled in; of [`Channel::Path`] what comes before the data.
    pub path: String,
    /// Where the data travels.
    pub channel: Channel,
    /// Under which name; absent for bodies and paths.
    pub name: Option<String>,
    /// What a client does with the data, in this order.
    pub wrapping: Vec<Encoding>,
    /// A value of the form that the handler reads from it, as far as that is seen.
    pub sample: Value,
    /// What may stand before the path: a blueprint, a router or an include puts it there.
    pub prefixes: Vec<String>,
}

/// Why no request can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", content = "what", rename_all = "kebab-case")]
pub enum Obstacle {
    /// No framework is known to call the function.
    NoHandler,
    /// Nothing untrusted arrives by this way.
    NoPath,
    /// The handler's path is no literal, or a pattern.
    NoRoute,
    /// The data does not come in a request's body, form, file, cookie, header, query or path.
    NoChannel(String),
    /// Its name in the request is not seen.
    NoName,
    /// It is changed on its way by something of which it is not known how to undo it.
    Changed(String),
    /// Only known users are let through.
    Login(String),
}

impl Obstacle {
    /// Kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Obstacle::NoHandler => "no-handler",
            Obstacle::NoPath => "no-path",
            Obstacle::NoRoute => "no-route",
            Obstacle::NoChannel(_) => "no-channel",
            Obstacle::NoName => "no-name",
            Obstacle::Changed(_) => "changed",
            Obstacle::Login(_) => "login",
        }
    }

    /// In words.
    pub fn message(&self) -> String {
        match self {
            Obstacle::NoHandler => "no framework is known to call it".to_owned(),
            Obstacle::NoPath => "no way of untrusted data is known".to_owned(),
            Obstacle::NoRoute => "the path of its handler is not seen in the code".to_owned(),
            Obstacle::NoChannel(channel) => {
                format!("its data comes by {channel}, which is no part of a request by itself")
            }
            Obstacle::NoName => "the name of its data in the request is not seen".to_owned(),
            Obstacle::Changed(what) => {
                format!("its data passes `{what}`, which nobody knows to undo")
            }
            Obstacle::Login(auth) => format!("its handler is behind {auth}"),
        }
    }
}

/// One request for each handler from which untrusted data reaches `finding`, or why there is none.
pub fn deliveries(
    project: &Project,
    model: &Model,
    finding: &Finding,
) -> Vec<Result<Delivery, Obstacle>> {
    let mut seen = Vec::new();
    let mut out: Vec<Result<Delivery, Obstacle>> = Vec::new();
    for route in &finding.routes {
        let Some(handler) = &route.handler else {
            continue;
        };
        let by_path = |path| delivery(project, model, finding, route, handler, path);
        let mut tried = route.paths.iter().map(by_path);
        let Some(first) = tried.next() else { continue };
        let made = first.or_else(|obstacle| tried.find_map(Result::ok).ok_or(obstacle));
        // One handler may come to the load by several calls.
        match seen.iter().position(|def| *def == handler.def) {
            Some(at) if out[at].is_err() => out[at] = made,
            Some(_) => {}
            None => {
                seen.push(handler.def);
                out.push(made);
            }
        }
    }
    if out.is_empty() {
        let obstacle = match &finding.path {
            Some(_) => Obstacle::NoHandler,
            None => Obstacle::NoPath,
        };
        out.push(Err(obstacle));
    }
    out
}

fn delivery(
    project: &Project,
    model: &Model,
    finding: &Finding,
    route: &Route,
    handler: &Handler,
    path: &TaintPath,
) -> Result<Delivery, Obstacle> {
    if let Some(auth) = &handler.auth {
        return Err(Obstacle::Login(auth.clone()));
    }
    let framework = model.framework(handler.framework);
    let framework = framework.ok_or(Obstacle::NoHandler)?;
    let inside = Span::new(handler.def.start, handler.def.start + 1);
    let name = enclosing(project, handler.def.file, inside);
    let template = template(project, framework, handler, &name);
    let way = Way {
        project,
        model,
        framework,
        path,
    };
    let (channel, key) = way.channel(template.as_deref().unwrap_or_default())?;
    let wrapping = way.wrapping(channel, key.as_deref())?;
    let template = template.ok_or(Obstacle::NoRoute)?;
    let last = match channel {
        Channel::Path => key.as_deref(),
        _ => None,
    };
    let path = filled(&template, last).ok_or(Obstacle::NoRoute)?;
    let has = |verb: &str| handler.verbs.iter().any(|own| own == verb);
    let (first, second) = match channel.has_body() {
        true => ("POST", "PUT"),
        false => ("GET", "POST"),
    };
    let method = match handler.verbs.first() {
        None => first,
        Some(_) if has(first) => first,
        Some(_) if has(second) => second,
        Some(other) => other.as_str(),
    };
    // Some read a field from the form and the query alike.
    let channel = match channel {
        Channel::Form if method == "GET" => Channel::Query,
        other => other,
    };
    Ok(Delivery {
        framework: framework.id.clone(),
        handler: name,
        file: project.path(handler.def.file).to_owned(),
        method: method.to_owned(),
        path,
        channel,
        name: key.filter(|_| !matches!(channel, Channel::Body | Channel::Path)),
        wrapping,
        sample: sample(project, finding, route),
        prefixes: prefixes(project, framework),
    })
}

/// The path that leads to `handler`, called `name`, as the code has it.
fn template(
    project: &Project,
    framework: &Framework,
    handler: &Handler,
    name: &str,
) -> Option<String> {
    if framework.serves.iter().any(|serve| serve.handler) {
        return Some(handler.route.clone().unwrap_or_else(|| "/".to_owned()));
    }
    if let Some(route) = &handler.route {
        return Some(route.clone());
    }
    // A method: where its class is registered.
    let mut names = name.rsplit('.');
    let own = names.next()?;
    let named = names.next().unwrap_or(own);
    leads_to(project, named, &routes(framework))
}

/// Calls that put a handler under a path which does not begin with a slash.
pub(super) fn routes(framework: &Framework) -> Vec<&str> {
    let routes = framework.serves.iter().flat_map(|serve| &serve.routes);
    routes.map(String::as_str).collect()
}

/// One way of untrusted data to a load.
struct Way<'a> {
    project: &'a Project,
    model: &'a Model,
    framework: &'a Framework,
    path: &'a TaintPath,
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
    fn channel(&self, template: &str) -> Result<(Channel, Option<String>), Obstacle> {
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
    fn wrapping(&self, channel: Channel, key: Option<&str>) -> Result<Vec<Encoding>, Obstacle> {
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

/// The syntax at exactly `wanted`.
pub(super) fn node_at(file: &SourceFile, wanted: Span) -> Option<AnyNodeRef<'_>> {
    let nodes = file.ancestors(wanted);
    nodes.into_iter().rev().find(|node| span(node) == wanted)
}

/// The span of `expr`, for tables of places.
pub(super) fn place(file: crate::project::FileId, expr: &impl Ranged) -> Place {
    Place {
        file,
        span: span(expr),
    }
}
