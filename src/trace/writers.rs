//! What the program pickles itself: where it goes from there, and which loads may read it.
//!
//! Invariant: errs towards linking. Where channel, key or address are not known, a writer may feed a load.

use std::rc::Rc;

use rustc_hash::FxHashSet;

use super::at::At;
use super::columns::{Column, DATABASE};
use super::env::Env;
use super::fold;
use super::handlers::Handler;
use super::machine::{Machine, Reached};
use super::queues::QUEUE;
use super::stores::LOCAL_FILE;
use super::taint::{HopKind, Place, Taint};
use super::value::{Arguments, Atom, Const, Kind, Role, Value};
use crate::pack::{Shape, Writer};
use crate::python::ast::Expr;

/// Channel of what handlers answer.
pub(super) const RESPONSE: &str = "response";

/// Channel of what no load reads.
const NOWHERE: &str = "nowhere";

/// What the program pickled and handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it travels: `cookie`, `body`.
    pub channel: String,
    /// Under which name, as far as it is known: `\0` stands for what is not.
    pub key: Option<String>,
    /// To which address, for requests; likewise.
    pub address: Option<String>,
    /// By which queue, for messages; likewise.
    pub queue: Option<String>,
    /// In which column of a database, for rows.
    pub(super) column: Option<Column>,
    /// The call that pickled it.
    pub place: Place,
}

/// Where something goes that was pickled.
#[derive(Default)]
struct Way<'w> {
    channel: &'w str,
    key: Option<&'w str>,
    address: Option<&'w str>,
    queue: Option<String>,
    column: Option<Column>,
}

/// A writer that may feed a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The call that pickles.
    pub place: Place,
    /// It does feed the load; otherwise it only cannot be ruled out.
    pub sure: bool,
}

/// A call of a writer that was come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    /// The call.
    pub place: Place,
    /// What its value is, as far as that was seen.
    pub value: Content,
    /// Where it was seen to go.
    pub channels: Vec<String>,
    /// Expressions whose values are text that came from outside, and are part of it.
    pub texts: Vec<Place>,
}

/// What JSON makes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// It carries it as it is.
    Plain,
    /// Not known.
    Unknown,
    /// Something else comes out than went in: numbers as keys become text.
    Lossy(&'static str),
    /// It refuses it.
    Impossible(&'static str),
}

impl<'a> Machine<'a> {
    /// A writer is called: `pickle.dumps(value)`, `pickle.dump(value, file)`.
    pub(super) fn writes(
        &mut self,
        writer: &Writer,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let value = arguments.get(0, &writer.keyword).cloned();
        let mut value = value.unwrap_or_else(|| arguments.spread.clone());
        if writer.into == Some(0) {
            // What it will write is not known yet.
            value = Value::unknown();
        }
        let given = value.clone();
        let before = self.dumped.remove(&at.place);
        let value = before.map_or(value.clone(), |before| match before.is_empty() {
            // What one caller gives and nobody knows stays unknown.
            true => before,
            false if value.is_empty() => value,
            false => before.join(&value),
        });
        self.dumped.insert(at.place, value);
        let pickled: Value = Atom::Pickled(at.place, given).into();
        let Some(into) = writer.into else {
            return pickled;
        };
        let file = arguments.get(into, "file").cloned().unwrap_or_default();
        let expr = at.call.filter(|_| !at.handed).and_then(|call| {
            let keywords = call.arguments.keywords.iter();
            let mut named = keywords.filter(|k| k.arg.as_ref().is_some_and(|a| a == "file"));
            let by_place = call.arguments.args.get(into);
            by_place.or_else(|| named.next().map(|k| &k.value))
        });
        self.written_into(&file, expr, &pickled, at, env);
        match into {
            0 => Value::unknown(),
            _ => Const::None.into(),
        }
    }

    /// `file.write(value)`.
    fn written_into(
        &mut self,
        file: &Value,
        expr: Option<&'a Expr>,
        value: &Value,
        at: At<'a>,
        env: &mut Env,
    ) {
        let given = Arguments::one(value.clone());
        let mut after = Value::unknown();
        let mut changed = false;
        for atom in file.atoms() {
            let mut kept = atom.clone();
            match atom {
                Atom::Container(container) if container.is_buffer() => {
                    let mut buffer = (**container).clone();
                    self.buffer_method(&mut buffer, "write", &given, at, env);
                    kept = Atom::Container(std::rc::Rc::new(buffer));
                    changed = true;
                }
                Atom::Untrusted(taint) if *taint.channel == *LOCAL_FILE => {
                    let key = taint.key.clone().unwrap_or_else(|| "\0".into());
                    self.write_store(LOCAL_FILE, &key, value);
                }
                Atom::Untrusted(taint) => {
                    self.note_written(&taint.channel, taint.key.as_deref(), None, value);
                }
                _ => {}
            }
            after.add(kept);
        }
        if let (Some(expr), true) = (expr, changed) {
            self.store_into(expr, after, env);
        }
    }

    /// Notes what of `value` the program has pickled, and that it goes there.
    pub(super) fn note_written(
        &mut self,
        channel: &str,
        key: Option<&str>,
        address: Option<&str>,
        value: &Value,
    ) {
        self.note(
            Way {
                channel,
                key,
                address,
                ..Way::default()
            },
            value,
        );
    }

    /// The same for what becomes a column of a row.
    pub(super) fn note_column(&mut self, column: Column, value: &Value) {
        let column = Some(column);
        self.note(
            Way {
                channel: DATABASE,
                column,
                ..Way::default()
            },
            value,
        );
    }

    fn note(&mut self, way: Way<'_>, value: &Value) {
        for place in value.pickled_at() {
            let written = Written {
                channel: way.channel.to_owned(),
                key: way.key.map(str::to_owned),
                address: way.address.map(str::to_owned),
                queue: way.queue.clone(),
                column: way.column.clone(),
                place,
            };
            if !self.written.contains(&written) {
                self.written.push(written);
            }
        }
    }

    /// Notes what the program has pickled and hands to a client or a server: a cookie, a request's body.
    pub(super) fn sends(
        &mut self,
        callee: &Value,
        method: Option<&str>,
        receiver: &Value,
        arguments: &Arguments,
    ) {
        if !arguments.all().any(Value::is_pickled) {
            return;
        }
        let model = self.model;
        let names = callee.atoms().iter().filter_map(|atom| match atom {
            Atom::External(name) => Some(&**name),
            _ => None,
        });
        let mut carriers = model.carriers(names, method);
        // Of two that go one way, which of them is read there is not known.
        let mut guessed = arguments.all().filter(|value| value.is_pickled()).count() > 1;
        let data = |atom: &Atom| matches!(atom, Atom::Untrusted(_));
        if let Some(last) = method
            && carriers.is_empty()
            && callee.is_empty()
            && receiver.atoms().iter().all(data)
        {
            let uses = self.uses(self.file());
            let open = model
                .open_carriers(last)
                .filter(|(id, _)| uses.contains(id));
            let open: Vec<_> = open.collect();
            // Whose it is nobody says.
            guessed |= open
                .iter()
                .any(|(id, _)| open.iter().any(|(other, _)| other != id));
            carriers.extend(open.into_iter().map(|(_, carrier)| carrier));
        }
        for carrier in carriers {
            let value = carrier
                .value
                .as_ref()
                .and_then(|value| arguments.get(carrier.position.unwrap_or(usize::MAX), value));
            let text = |name: &Option<String>| {
                let name = name.as_ref()?;
                Some(
                    arguments
                        .get(0, name)
                        .map_or_else(|| "\0".into(), fold::key_text),
                )
            };
            if let Some(value) = value.cloned() {
                let (key, address) = (text(&carrier.key), text(&carrier.address));
                let queue = self.sent_to(carrier, receiver, arguments);
                let way = Way {
                    channel: &carrier.channel,
                    key: key.as_deref(),
                    address: address.as_deref(),
                    queue: queue.filter(|_| !guessed),
                    column: None,
                };
                self.note(way, &value);
            }
        }
    }

    /// Notes by which object, which may be one of several servers, a store is asked for `key`.
    pub(super) fn note_server(&mut self, channel: &str, key: &str, receiver: &Value) {
        let made = receiver.filter(|atom| matches!(atom, Atom::Made(_)));
        if !made.is_empty() {
            let known = self
                .servers
                .entry((channel.into(), key.into()))
                .or_default();
            if !known.contains(&made) {
                known.push(made);
            }
        }
    }

    /// Notes what `handler` answers of what the program has pickled.
    pub(super) fn answers(&mut self, handler: &Handler, answer: &Value) {
        let route = handler.route.as_deref();
        self.note_written(RESPONSE, route, None, answer);
    }

    /// Notes that what the program has pickled ends in a call that only measures it or makes a digest of it.
    pub(super) fn consumes(&mut self, name: &str, arguments: &Arguments) {
        let ends = || {
            self.model.stops(name) || self.model.makes_digest(name) || name.starts_with("hashlib.")
        };
        if arguments.all().any(Value::is_pickled) && ends() {
            self.note_written(NOWHERE, None, None, &arguments.any());
        }
    }

    /// The writers that were come to.
    pub(super) fn writings(&self) -> Vec<Writing> {
        let mut all: Vec<Writing> = self
            .dumped
            .iter()
            .map(|(place, value)| {
                let written = self.written.iter().filter(|w| w.place == *place);
                Writing {
                    place: *place,
                    value: content(value),
                    channels: written.map(|w| w.channel.clone()).collect(),
                    texts: texts(value),
                }
            })
            .collect();
        all.sort_by_key(|writing| writing.place);
        all
    }
}

/// What JSON makes of `value`. Of a sequence it is not known whether it is a list or a tuple: the code says.
fn content(value: &Value) -> Content {
    if value.is_empty() {
        return Content::Unknown;
    }
    let all = value.atoms().iter().map(|atom| match atom {
        Atom::Const(Const::Str(_) | Const::Int(_) | Const::Bool(_) | Const::None)
        | Atom::Pattern(_) => Content::Plain,
        Atom::Const(Const::Bytes(_)) | Atom::Digest(_) | Atom::Pickled(..) => {
            Content::Impossible("bytes")
        }
        Atom::Instance(_) => Content::Impossible("an object of the project's own class"),
        Atom::Function(..) | Atom::Partial(_) => Content::Impossible("a function"),
        Atom::Class(_) => Content::Impossible("a class"),
        Atom::Module(_) => Content::Impossible("a module"),
        Atom::Container(container) if container.is_buffer() => Content::Impossible("a buffer"),
        Atom::Container(container) => {
            let parts = container.items.values();
            let mut worst = parts.map(content).max().unwrap_or(Content::Plain);
            if container.role == Role::Tuple {
                worst = worst.max(Content::Lossy("a tuple"));
            }
            if !container.rest.is_empty() {
                worst = worst.max(content(&container.rest));
            }
            match container.kind {
                Kind::Mapping => {
                    let key = |key: &Const| match key {
                        Const::Str(_) => Content::Plain,
                        Const::Int(_) | Const::Bool(_) | Const::None => {
                            Content::Lossy("keys that are no text")
                        }
                        Const::Bytes(_) => Content::Impossible("bytes as keys"),
                        _ => Content::Unknown,
                    };
                    let keys = container.items.keys().map(key).max();
                    worst = worst.max(keys.unwrap_or(Content::Plain));
                    match (container.keys.is_empty(), container.rest.is_empty()) {
                        (true, true) => worst,
                        (true, false) => worst.max(Content::Unknown),
                        (false, _) => worst.max(as_keys(&container.keys)),
                    }
                }
                Kind::Sequence(Some(_)) => worst,
                _ => worst.max(Content::Unknown),
            }
        }
        Atom::Untrusted(taint) if is_text(taint) => Content::Plain,
        Atom::Number(_) => Content::Plain,
        _ => Content::Unknown,
    });
    all.max().unwrap_or(Content::Unknown)
}

/// What JSON makes of `keys` of a mapping.
fn as_keys(keys: &Value) -> Content {
    let all = keys.atoms().iter().map(|atom| match atom {
        Atom::Const(Const::Int(_) | Const::Bool(_) | Const::None) | Atom::Number(_) => {
            Content::Lossy("keys that are no text")
        }
        Atom::Container(_) => Content::Impossible("tuples as keys"),
        other => content(&other.clone().into()),
    });
    all.max().unwrap_or(Content::Unknown)
}

/// Whether `taint` is what a form, query, cookie or header holds, as it is: text.
fn is_text(taint: &Taint) -> bool {
    let text = matches!(
        &*taint.channel,
        "form" | "query" | "cookie" | "header" | "path"
    );
    // A form as a whole may hold several texts under one name.
    let whole = matches!(taint.shape, Shape::Mapping | Shape::Files | Shape::Stream);
    text && taint.exact && !whole
}

/// Where the texts in `value` that came from outside were read.
fn texts(value: &Value) -> Vec<Place> {
    let taints = value.taints().into_iter().filter(|taint| is_text(taint));
    let sources = taints.filter_map(|taint| {
        let hops = taint.hops();
        let steps = hops
            .iter()
            .any(|hop| matches!(hop.kind, HopKind::Step) && !hop.quiet);
        hops.first().map(|hop| hop.place).filter(|_| !steps)
    });
    sources.collect()
}

impl Machine<'_> {
    /// Writers that go several ways, of which one leads to no load or look-up in the project: who reads that is not known.
    pub(super) fn writes_elsewhere(
        &self,
        by_site: &[Vec<&(Option<Handler>, Reached)>],
    ) -> FxHashSet<Place> {
        let met = |written: &Written| {
            let key = written.key.as_deref().unwrap_or_default();
            let place = (Rc::from(written.channel.as_str()), Rc::from(key));
            written.channel == NOWHERE
                || self.looked_up.contains(&place)
                || by_site.iter().any(|reached| {
                    let values = reached.iter().map(|(_, reached)| &reached.value);
                    let mut taints = values.flat_map(Value::taints);
                    taints.any(|taint| self.meets(taint, written, reached) == Leads::There)
                })
        };
        let several = |written: &&Written| {
            let mut others = self.written.iter();
            others.any(|other| other.place == written.place && other != *written)
        };
        // One key of two servers is two places.
        let apart = |written: &&Written| {
            let key = written.key.as_deref().unwrap_or_default();
            let servers = self
                .servers
                .get(&(Rc::from(written.channel.as_str()), Rc::from(key)));
            servers.is_some_and(|servers| servers.len() > 1)
        };
        let open = self
            .written
            .iter()
            .filter(|written| apart(written) || several(written) && !met(written));
        open.map(|written| written.place).collect()
    }

    /// The writers that may feed a load which `taints` and pickled values reach.
    pub(super) fn links(
        &self,
        taints: &[Taint],
        reached: &[&(Option<Handler>, Reached)],
    ) -> Vec<Link> {
        let mut links: Vec<Link> = Vec::new();
        let mut link = |place: Place, sure: bool| match links.iter_mut().find(|l| l.place == place)
        {
            Some(link) => link.sure |= sure,
            None => links.push(Link { place, sure }),
        };
        for (_, reached) in reached {
            for place in reached.value.pickled_at() {
                link(place, !self.elsewhere.contains(&place));
            }
        }
        for written in &self.written {
            let all = taints
                .iter()
                .map(|taint| self.meets(taint, written, reached));
            match all.max().unwrap_or(Leads::Not) {
                Leads::Not => {}
                Leads::Perhaps => link(written.place, false),
                Leads::There => link(written.place, !self.elsewhere.contains(&written.place)),
            }
        }
        links.sort();
        links
    }

    /// Whether `taint` is what was `written`.
    fn meets(
        &self,
        taint: &Taint,
        written: &Written,
        reached: &[&(Option<Handler>, Reached)],
    ) -> Leads {
        let same_channel = *taint.channel == *written.channel
            || (written.channel == RESPONSE && *taint.channel == *"download");
        if !same_channel {
            return Leads::Not;
        }
        if written.channel == QUEUE {
            return self.comes_by(taint.queue.as_deref(), written.queue.as_deref());
        }
        if written.channel == DATABASE {
            return self.same_column(taint, &written.column.clone().unwrap_or_default());
        }
        // Of what a store keeps, the key as far as it is known.
        let ours = taint.queue.as_deref().or(taint.key.as_deref());
        let keys = (ours, written.key.as_deref());
        let same_key = match keys {
            (Some(ours), Some(theirs)) if written.channel != RESPONSE => {
                match (overlap(ours, theirs), theirs.contains('\0')) {
                    (false, _) => Leads::Not,
                    (true, true) => Leads::Perhaps,
                    (true, false) => Leads::There,
                }
            }
            _ => Leads::Perhaps,
        };
        if same_key == Leads::Not {
            return Leads::Not;
        }
        let handlers = reached.iter().filter_map(|(handler, _)| handler.as_ref());
        match (&written.address, &*written.channel) {
            (Some(address), _) => {
                let routed = handlers.map(|h| leads_to(address, h.route.as_deref()));
                routed.max().unwrap_or(Leads::Perhaps)
            }
            (None, "body" | "file" | RESPONSE) => Leads::Perhaps,
            (None, _) => same_key,
        }
    }
}

/// Whether two texts, each known but for `\0`, can be the same.
pub(super) fn overlap(ours: &str, theirs: &str) -> bool {
    let head = |text: &str| text.split('\0').next().unwrap_or_default().to_owned();
    let tail = |text: &str| text.rsplit('\0').next().unwrap_or_default().to_owned();
    match ours.contains('\0') || theirs.contains('\0') {
        false => ours == theirs,
        true => {
            let (a, b) = (head(ours), head(theirs));
            let (y, z) = (tail(ours), tail(theirs));
            (a.starts_with(&b) || b.starts_with(&a)) && (y.ends_with(&z) || z.ends_with(&y))
        }
    }
}

/// Whether what goes one way comes to who reads another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leads {
    Not,
    Perhaps,
    There,
}

fn leads_to(address: &str, route: Option<&str>) -> Leads {
    let Some(route) = route else {
        return Leads::Perhaps;
    };
    let after_host = match address.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => address
            .find('/')
            .and_then(|at| address.get(at..))
            .unwrap_or("\0"),
    };
    let path = after_host.split(['?', '#']).next().unwrap_or_default();
    let segments = |text: &str| -> Vec<String> {
        let parts = text.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let (path, route) = (segments(path), segments(route));
    if path.len() < route.len() {
        let open = path.iter().any(|part| part.contains('\0'));
        return if open { Leads::Perhaps } else { Leads::Not };
    }
    let mut leads = Leads::There;
    // A prefix may be added where the route is mounted.
    for (ours, theirs) in path.iter().rev().zip(route.iter().rev()) {
        let variable = theirs.contains(['<', '{', '(', ':']);
        leads = leads.min(match (ours.contains('\0'), variable) {
            (_, true) => Leads::There,
            (true, false) => Leads::Perhaps,
            (false, false) if ours == theirs => Leads::There,
            (false, false) => Leads::Not,
        });
    }
    match route.is_empty() && !path.is_empty() {
        true => Leads::Perhaps,
        false => leads,
    }
}
