//! What the line of a log says of one request: when, from whom, which way, and how it was answered; and its parts.
//!
//! Invariant: a line of no known form still has its text, and what is not said stays empty.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use serde_json::Value as Json;

use super::moment::{clock, moment};

/// What a log says beside a sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// `2026-11-25T22:05:27Z`; without `Z` where the zone is not said, and without the year where that is not.
    pub time: Option<String>,
    /// Address of the client.
    pub client: Option<String>,
    /// HTTP method.
    pub method: Option<String>,
    /// Path that was asked for, without its query.
    pub route: Option<String>,
    /// How it was answered.
    pub status: Option<u16>,
}

/// A named part of a line.
pub(super) type Field<'l> = (String, Cow<'l, [u8]>);

/// Fields of one line that are looked at.
const FIELDS: usize = 1000;

const TIMES: [&str; 12] = [
    "time",
    "timestamp",
    "@timestamp",
    "ts",
    "asctime",
    "time_iso8601",
    "time_local",
    "datetime",
    "date",
    "_SOURCE_REALTIME_TIMESTAMP",
    "__REALTIME_TIMESTAMP",
    "t",
];
const CLIENTS: [&str; 13] = [
    "remote_addr",
    "client_ip",
    "clientip",
    "client",
    "remote_ip",
    "ip",
    "client.ip",
    "source.ip",
    "src_ip",
    "remote_address",
    "peer",
    "http_x_forwarded_for",
    "x_forwarded_for",
];
const REQUESTS: [&str; 2] = ["request", "request_line"];
const ROUTES: [&str; 9] = [
    "request_uri",
    "uri",
    "url",
    "path",
    "url.path",
    "route",
    "endpoint",
    "request_path",
    "target",
];
const METHODS: [&str; 5] = [
    "method",
    "request_method",
    "http_method",
    "verb",
    "http.request.method",
];
const STATUSES: [&str; 6] = [
    "status",
    "status_code",
    "http_status",
    "response",
    "code",
    "http.response.status_code",
];
const MESSAGES: [&str; 5] = ["message", "MESSAGE", "msg", "event", "log"];
const VERBS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

impl Context {
    /// What is missing, from another line or part.
    pub(super) fn fill(&mut self, other: Context) {
        self.time = self.time.take().or(other.time);
        self.client = self.client.take().or(other.client);
        self.method = self.method.take().or(other.method);
        self.route = self.route.take().or(other.route);
        self.status = self.status.or(other.status);
    }

    fn target(&mut self, target: &str) {
        let target = target
            .split("://")
            .nth(1)
            .and_then(|t| t.get(t.find('/')?..))
            .unwrap_or(target);
        let route = target.split(['?', '#']).next().unwrap_or(target);
        if self.route.is_none() && route.starts_with('/') {
            self.route = Some(route.chars().take(200).collect());
        }
    }

    /// `GET /cart?x=1 HTTP/1.1`.
    fn request(&mut self, request: &str) -> bool {
        let mut words = request.split(' ');
        let method = words.next().filter(|word| VERBS.contains(word));
        let target = words
            .next()
            .filter(|word| word.starts_with('/') || word.starts_with("http"));
        let (Some(method), Some(target)) = (method, target) else {
            return false;
        };
        self.method.get_or_insert_with(|| method.to_owned());
        self.target(target);
        true
    }
}

/// What `line` says, and its parts.
pub(super) fn line(line: &[u8]) -> (Context, Vec<Field<'_>>) {
    if line.trim_ascii_start().starts_with(b"{") {
        let lossy;
        // Bytes that are no UTF-8 are looked for in the line itself.
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            Err(_) => {
                lossy = String::from_utf8_lossy(line);
                &lossy
            }
        };
        if let Ok(object @ Json::Object(_)) = serde_json::from_str(text) {
            return json(&object, line);
        }
    }
    access(line).unwrap_or_else(|| application(line))
}

/// A line of JSON: each text in it is a part; so is the line, where an object is not what holds the bytes.
fn json<'l>(object: &Json, line: &'l [u8]) -> (Context, Vec<Field<'l>>) {
    let mut leaves: Vec<(String, &Json)> = Vec::new();
    let mut work = vec![(String::new(), object)];
    while let Some((name, value)) = work.pop() {
        let below = |key: &str| match name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        };
        match value {
            Json::Object(map) => {
                work.extend(map.iter().rev().map(|(key, value)| (below(key), value)))
            }
            Json::Array(items) if !items.iter().all(Json::is_u64) => {
                work.extend(items.iter().rev().map(|item| (name.clone(), item)));
            }
            _ => leaves.push((name, value)),
        }
    }
    let mut context = Context::default();
    let named = |name: &str| -> Option<&Json> {
        let exact = leaves.iter().find(|(key, _)| key == name);
        let last = || {
            leaves
                .iter()
                .find(|(key, _)| key.rsplit('.').next() == Some(name))
        };
        exact.or_else(last).map(|(_, value)| *value)
    };
    let find = |names: &[&str]| -> Option<String> {
        let text = |name: &&str| match named(name)? {
            Json::String(text) if !text.is_empty() => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        };
        names.iter().find_map(text)
    };
    context.time = find(&TIMES).and_then(|text| clock(&text));
    context.client = find(&CLIENTS).and_then(|text| address(text.split(',').next()?));
    if let Some(request) = find(&REQUESTS) {
        context.request(&request);
    }
    if let Some(target) = find(&ROUTES) {
        context.target(&target);
    }
    if context.method.is_none() {
        context.method = find(&METHODS).filter(|method| VERBS.contains(&method.as_str()));
    }
    context.status = find(&STATUSES).and_then(|text| status(&text));
    // What stands there is a line of its own, of an application or of a server in a container; the journal has bytes where it
    // is no text.
    let message = MESSAGES.iter().find_map(|name| bytes(named(name)?));
    if let Some(text) = message {
        context.fill(self::line(&text).0);
    }
    let texts = leaves
        .into_iter()
        .take(FIELDS)
        .filter_map(|(name, value)| Some((name, bytes(value)?.into())));
    let mut fields: Vec<Field<'l>> = texts.collect();
    fields.push(("line".to_owned(), line.into()));
    (context, fields)
}

/// A text, or a list of numbers that are bytes.
fn bytes(value: &Json) -> Option<Vec<u8>> {
    match value {
        Json::String(text) => Some(text.clone().into_bytes()),
        Json::Array(items) => {
            let bytes = items.iter().map(|item| u8::try_from(item.as_u64()?).ok());
            bytes.collect()
        }
        _ => None,
    }
}

/// `ADDRESS - USER [TIME] "REQUEST" STATUS SIZE "REFERER" "AGENT"`, with whatever is quoted after that.
fn access(line: &[u8]) -> Option<(Context, Vec<Field<'_>>)> {
    let open = memchr::memchr(b'[', line.get(..500.min(line.len()))?)?;
    let close = open + memchr::memchr(b']', line.get(open..)?)?;
    let time = std::str::from_utf8(line.get(open + 1..close)?).ok()?;
    let head = std::str::from_utf8(line.get(..open)?).ok()?;
    let client = head.split(' ').next()?;
    let rest = line.get(close + 1..)?;
    if !rest.starts_with(b" \"") || !time.contains('/') {
        return None;
    }
    let mut context = Context {
        time: moment(time),
        client: address(client),
        ..Context::default()
    };
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut at = 1;
    while let Some((start, end)) = quoted(rest, at) {
        let text = rest.get(start..end).unwrap_or_default();
        match fields.last().map(|(name, _)| name.as_str()) {
            None => request_fields(text, &mut context, &mut fields),
            Some("query" | "path" | "request") => fields.push(("referer".to_owned(), text.into())),
            Some("referer") => fields.push(("user-agent".to_owned(), text.into())),
            _ => fields.push((format!("field {}", fields.len() + 1), text.into())),
        }
        if context.status.is_none() {
            let after = rest.get(end + 1..).unwrap_or_default();
            let word = String::from_utf8_lossy(after.get(..5.min(after.len())).unwrap_or_default());
            context.status = word.split_whitespace().next().and_then(status);
        }
        at = end + 1;
    }
    if fields.is_empty() {
        return None;
    }
    fields.push(("user".to_owned(), head.as_bytes().into()));
    // What is not quoted, or not closed.
    fields.push(("line".to_owned(), line.into()));
    Some((context, fields))
}

fn request_fields<'l>(text: &'l [u8], context: &mut Context, fields: &mut Vec<Field<'l>>) {
    let known = std::str::from_utf8(text).is_ok_and(|text| context.request(text))
        || context.request(&String::from_utf8_lossy(text));
    match memchr::memchr(b'?', text).filter(|_| known) {
        Some(query) => {
            let (path, query) = text.split_at(query);
            fields.push(("path".to_owned(), path.into()));
            fields.push(("query".to_owned(), query.into()));
        }
        None => fields.push((
            if known { "path" } else { "request" }.to_owned(),
            text.into(),
        )),
    }
}

/// Where the next text in double quotes begins and ends.
fn quoted(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let start = from + memchr::memchr(b'"', text.get(from..)?)? + 1;
    let mut at = start;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some((start, at));
        }
        at += 2;
    }
}

/// A line of an application, of a server's error log, or of the journal.
fn application(line: &[u8]) -> (Context, Vec<Field<'_>>) {
    let mut name = "message";
    if let Some(equals) = memchr::memchr(b'=', line) {
        let field = line.get(..equals).unwrap_or_default();
        let of_journal = |b: &u8| b.is_ascii_uppercase() || *b == b'_' || b.is_ascii_digit();
        if !field.is_empty() && field.iter().all(of_journal) {
            name = std::str::from_utf8(field).unwrap_or(name);
        }
    }
    let start = line.get(..2000.min(line.len())).unwrap_or_default();
    let text = String::from_utf8_lossy(start);
    let text = text.strip_prefix("MESSAGE=").unwrap_or(&text);
    let mut context = Context {
        time: moment(text),
        ..Context::default()
    };
    let separator = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                ',' | '"' | '\'' | '(' | ')' | '[' | ']' | '=' | ';' | '<' | '>'
            )
    };
    context.client = text.split(separator).find_map(address);
    for verb in VERBS {
        let found = text.match_indices(verb).find(|(at, _)| {
            let rest = text.get(at + verb.len()..).unwrap_or_default();
            rest.starts_with(" /") && context.request(text.get(*at..).unwrap_or_default())
        });
        if let Some((at, _)) = found {
            let after = text.get(at..).and_then(|t| t.split_once("HTTP/"));
            context.status = after.and_then(|(_, t)| {
                status(
                    t.split(['"', ' '])
                        .find(|w| w.len() == 3 && !w.contains('.'))?,
                )
            });
            break;
        }
    }
    // As Django, Flask and those that log keys and values write it.
    for before in [
        "Request: /",
        "Error: /",
        "Forbidden: /",
        "Exception on /",
        "path=/",
        "url=/",
        "uri=/",
    ] {
        if let Some((_, after)) = text.split_once(before) {
            let end = after.find(separator).unwrap_or(after.len());
            context.target(&format!("/{}", after.get(..end).unwrap_or_default()));
        }
    }
    for verb in VERBS {
        if context.method.is_none()
            && (text.contains(&format!("[{verb}]")) || text.contains(&format!("method={verb}")))
        {
            context.method = Some(verb.to_owned());
        }
    }
    if context.status.is_none() {
        context.status = text
            .split_once("status=")
            .and_then(|(_, t)| status(t.get(..3)?));
    }
    (context, vec![(name.to_owned(), line.into())])
}

/// An address, with or without a port.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let alone = text.parse::<IpAddr>().ok();
    let ip = alone.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(ip.to_string())
}

fn status(text: &str) -> Option<u16> {
    text.parse()
        .ok()
        .filter(|status| (100..600).contains(status))
}

/// The last place in code that a traceback names before the end of `text`: `/srv/app.py:12 in load`.
pub(super) fn frame(text: &[u8]) -> Option<String> {
    let at = memchr::memmem::rfind(text, b"File \"")?;
    let rest = String::from_utf8_lossy(text.get(at + 6..(at + 400).min(text.len()))?);
    let (file, rest) = rest.split_once("\", line ")?;
    let (line, rest) = rest.split_once(',')?;
    let function = rest.strip_prefix(" in ").unwrap_or_default();
    let end = function
        .find(|c: char| c.is_whitespace() || c == '\\')
        .unwrap_or(function.len());
    let function = function.get(..end).unwrap_or_default();
    let proper = line.bytes().all(|b| b.is_ascii_digit()) && !file.contains('\n');
    proper.then(|| match function {
        "" => format!("{file}:{line}"),
        function => format!("{file}:{line} in {function}"),
    })
}
