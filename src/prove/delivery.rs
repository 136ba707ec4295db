//! Of a finding: the request that brings data to its load, for each handler that it is reached from.

use serde::Serialize;
use serde_json::Value;

use super::around::Around;
use super::routes::{filled, prefixes, template};
use super::sample::sample;
use super::way::{Entry, Way};
use crate::pack::{Encoding, Model};
use crate::project::Project;
use crate::python::ast::AnyNodeRef;
use crate::python::{Ranged, SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, Handler, Place, Route, TaintPath, enclosing};

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
    /// A file below the application's own folder, as it was left there.
    Kept,
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
            Channel::Kept => "kept",
        }
    }

    /// The channel of that word.
    pub(super) fn called(word: &str) -> Option<Channel> {
        let all = [
            Channel::Body,
            Channel::Form,
            Channel::File,
            Channel::Json,
            Channel::Cookie,
            Channel::Header,
            Channel::Query,
            Channel::Path,
            Channel::Kept,
        ];
        all.into_iter().find(|channel| channel.word() == word)
    }

    /// Whether the data is one of several fields that are encoded alike.
    pub(super) fn is_fields(self) -> bool {
        matches!(self, Channel::Form | Channel::Query)
    }

    /// Whether the data is within the body.
    pub(super) fn has_body(self) -> bool {
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
    /// Under which name; absent for paths, and for bodies but of remote calls.
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
        around: Around::of(project, handler),
    };
    let Entry {
        channel,
        name: key,
        looked_up,
    } = way.entry(template.as_deref().unwrap_or_default())?;
    let wrapping = way.wrapping(channel, looked_up)?;
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
        handler: name.clone(),
        file: project.path(handler.def.file).to_owned(),
        method: method.to_owned(),
        path,
        channel,
        name: key.filter(|_| channel != Channel::Path),
        wrapping,
        sample: sample(project, finding, route),
        prefixes: prefixes(project, framework, handler, &name),
    })
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
