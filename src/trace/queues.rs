//! By which queue, topic or channel messages come and go.
//!
//! Invariant: a queue is known only where its whole name is a constant, and everything that its reader takes messages
//! from was seen. A name of which a part is not known has `\0` there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::fold;
use super::machine::Machine;
use super::taint::{Place, Taint};
use super::value::{Arguments, Atom, Def, Kind, Made, Role, Value};
use super::writers::Leads;
use crate::pack::{Carrier, FrameworkId, Queue};
use crate::python::ast::name::Name;

/// Channel of messages.
pub(super) const QUEUE: &str = "queue";

/// Argument under which an object keeps the queue that it was made for.
const MADE_FOR: &str = "@queue";

/// What was seen of who takes messages from where.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Where readers subscribe, and to what.
    subscribed: HashMap<FrameworkId, BTreeMap<Place, Rc<str>>>,
    /// Queues that a handler was registered for.
    handled: HashMap<Def, BTreeSet<Rc<str>>>,
    /// Whether all places where readers of a framework may subscribe were come to.
    all_seen: RefCell<HashMap<FrameworkId, bool>>,
}

/// `template` with `arguments` in its holes.
fn filled(template: &str, parameters: &[String], wildcards: &str, arguments: &Arguments) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (hole, after) = after.split_once('}').unwrap_or((after, ""));
        let position = parameters.iter().position(|parameter| parameter == hole);
        let given = match (hole, arguments.positional.as_slice()) {
            ("*", [one]) => Some(one),
            ("*", _) => None,
            _ => arguments.get(position.unwrap_or(usize::MAX), hole),
        };
        let given = given.filter(|_| arguments.spread.is_empty());
        let text = given.map_or_else(|| "\0".into(), |value| the_one(value, wildcards));
        out.push_str(before);
        out.push_str(&text);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The text that `value` is, or the only one in it.
fn the_one(value: &Value, wildcards: &str) -> Rc<str> {
    let only = match value.atoms() {
        [Atom::Container(list)] if matches!(list.kind, Kind::Sequence(_)) => list.in_order(),
        _ => None,
    };
    let text = match only.as_deref() {
        Some([one]) => fold::key_text(one),
        Some(_) => "\0".into(),
        None => fold::key_text(value),
    };
    match text.contains(|c| wildcards.contains(c)) {
        true => "\0".into(),
        false => text,
    }
}

/// Whether the queue that `made` was made for is known.
pub(super) fn made_for(made: &Made) -> Option<Rc<str>> {
    made.arguments.named(MADE_FOR)?.text()
}

impl<'a> Machine<'a> {
    /// What a call of `name` gives, with the queue that it comes by.
    pub(super) fn by_queue(
        &mut self,
        name: &str,
        arguments: &Arguments,
        place: Place,
        result: Value,
    ) -> Value {
        match self.model.queue(name) {
            Some((framework, row)) => self.of_queue(framework, row, arguments, place, result),
            None => result,
        }
    }

    /// The same for a call of a method `last`, whatever its receiver.
    pub(super) fn by_open_queue(
        &mut self,
        last: &str,
        arguments: &Arguments,
        place: Place,
        result: Value,
    ) -> Value {
        let model = self.model;
        let mut rows = model.open_queues(last).peekable();
        if rows.peek().is_none() {
            return result;
        }
        let uses = self.uses(self.file());
        let rows = rows.filter(|(framework, _)| uses.contains(framework));
        rows.fold(result, |result, (framework, row)| {
            self.of_queue(framework, row, arguments, place, result)
        })
    }

    fn of_queue(
        &mut self,
        framework: FrameworkId,
        row: &Queue,
        arguments: &Arguments,
        place: Place,
        result: Value,
    ) -> Value {
        let address: Rc<str> =
            filled(&row.address, &row.parameters, &row.wildcards, arguments).into();
        if row.subscribes {
            let all = self.queues.subscribed.entry(framework).or_default();
            let before = all.entry(place).or_insert_with(|| Rc::clone(&address));
            if *before != address {
                *before = "\0".into();
            }
        }
        self.coming_by(result, &address)
    }

    /// Messages in `value`, and objects that give some, come by the queue at `address`, unless that is known better.
    pub(super) fn coming_by(&self, value: Value, address: &Rc<str>) -> Value {
        let unknown = |queue: &Option<Rc<str>>| queue.as_ref().is_none_or(|q| q.starts_with('@'));
        let with = |name: &Rc<str>, arguments: &Arguments| {
            let mut arguments = arguments.clone();
            arguments.named.retain(|(name, _)| *name != *MADE_FOR);
            arguments
                .named
                .push((Name::new(MADE_FOR), Value::str(address)));
            Atom::Made(Rc::new(Made {
                name: Rc::clone(name),
                arguments,
            }))
        };
        let each = value.atoms().iter().map(|atom| match atom {
            Atom::Untrusted(taint) if *taint.channel == *QUEUE && unknown(&taint.queue) => {
                Atom::Untrusted(Taint {
                    queue: Some(Rc::clone(address)),
                    ..taint.clone()
                })
            }
            Atom::Object(name) if self.has_queues(name) => with(name, &Arguments::default()),
            Atom::Made(made) if self.has_queues(&made.name) && unknown(&made_for(made)) => {
                with(&made.name, &made.arguments)
            }
            Atom::Container(container) if container.role == Role::Tuple => {
                let mut container = (**container).clone();
                for part in container.items.values_mut() {
                    *part = self.coming_by(part.clone(), address);
                }
                Atom::container(container)
            }
            other => other.clone(),
        });
        each.collect()
    }

    /// Whether the framework that knows the type `name` tells queues apart.
    fn has_queues(&self, name: &str) -> bool {
        let home = self.model.object_home(name);
        let framework = home.and_then(|id| self.model.frameworks.get(id.0));
        framework.is_some_and(|framework| !framework.queues.is_empty())
    }

    /// What stands for the queues of `framework`, or of its handler `def`, until all are seen.
    pub(super) fn some_queue(&self, framework: FrameworkId, def: Option<Def>) -> Option<Rc<str>> {
        let known = self.model.frameworks.get(framework.0)?;
        let handler = def.map_or(String::new(), |def| {
            format!("#{}:{}", def.file.0, def.start)
        });
        (!known.queues.is_empty()).then(|| format!("@{}{handler}", known.id).into())
    }

    /// `def` is registered by `call` as a handler of what comes by a queue.
    pub(super) fn handles_queue(
        &mut self,
        framework: FrameworkId,
        call: &str,
        def: Def,
        arguments: &Arguments,
    ) {
        let Some(known) = self.model.frameworks.get(framework.0) else {
            return;
        };
        if known.queues.is_empty() {
            return;
        }
        let row = known
            .queues
            .iter()
            .find(|row| row.names.iter().any(|name| name == call));
        let address = row.map_or_else(
            || "\0".to_owned(),
            |row| filled(&row.address, &row.parameters, &row.wildcards, arguments),
        );
        self.queues
            .handled
            .entry(def)
            .or_default()
            .insert(address.into());
    }

    /// The queue that `carrier` sends to.
    pub(super) fn sent_to(
        &self,
        carrier: &Carrier,
        receiver: &Value,
        arguments: &Arguments,
    ) -> Option<String> {
        let template = carrier.queue.as_deref()?;
        if template == "receiver" {
            let known = match receiver.atoms() {
                [Atom::Made(made)] => made_for(made),
                _ => None,
            };
            return Some(known.map_or_else(|| "\0".to_owned(), |address| address.to_string()));
        }
        let there = carrier
            .when
            .as_ref()
            .is_none_or(|condition| self.holds(condition, arguments).unwrap_or(condition.absent));
        Some(match there {
            true => filled(template, &carrier.parameters, "", arguments),
            false => "\0".to_owned(),
        })
    }

    /// The queues that messages with this mark come by; nothing when that is not known.
    fn queues_of(&self, mark: Option<&str>) -> Option<BTreeSet<Rc<str>>> {
        let mark = mark?;
        let Some(of) = mark.strip_prefix('@') else {
            let scheme = mark.split(':').next().unwrap_or_default();
            let home = self.model.frameworks.iter().position(|framework| {
                let mut rows = framework.queues.iter();
                rows.any(|row| row.subscribes && row.address.split(':').next() == Some(scheme))
            });
            // Its reader may have been subscribed to others as well.
            let alone = home.is_none_or(|home| {
                let all = self.subscribed(FrameworkId(home));
                all.is_some_and(|all| all.iter().all(|address| **address == *mark))
            });
            return alone.then(|| BTreeSet::from([mark.into()]));
        };
        let (id, handler) = of.split_once('#').unwrap_or((of, ""));
        let handled = self.queues.handled.iter();
        let mut named =
            handled.filter(|(def, _)| format!("{}:{}", def.file.0, def.start) == handler);
        if let Some((_, all)) = named.next() {
            return Some(all.clone());
        }
        let home = self
            .model
            .frameworks
            .iter()
            .position(|framework| framework.id == id)?;
        self.subscribed(FrameworkId(home))
            .filter(|all| !all.is_empty())
    }

    /// The one queue that messages with this mark come by.
    pub(super) fn only_queue(&self, mark: Option<&str>) -> Option<String> {
        let all = self.queues_of(mark)?;
        let mut all = all.iter().filter(|address| !address.contains('\0'));
        let only = all.next()?;
        all.next().is_none().then(|| only.to_string())
    }

    /// All queues that readers of `framework` subscribe to; nothing when some are not known.
    fn subscribed(&self, framework: FrameworkId) -> Option<BTreeSet<Rc<str>>> {
        let places = self.queues.subscribed.get(&framework);
        let seen = places.map_or(0, BTreeMap::len);
        let known = self.queues.all_seen.borrow().get(&framework).copied();
        let all_seen = known.unwrap_or_else(|| self.subscriptions(framework) <= seen);
        self.queues
            .all_seen
            .borrow_mut()
            .insert(framework, all_seen);
        all_seen.then(|| {
            places
                .into_iter()
                .flat_map(|all| all.values().cloned())
                .collect()
        })
    }

    /// How often files that may use `framework` mention a call that subscribes.
    fn subscriptions(&self, framework: FrameworkId) -> usize {
        let Some(known) = self.model.frameworks.get(framework.0) else {
            return 0;
        };
        let rows = known.queues.iter().filter(|row| row.subscribes);
        let names = rows.flat_map(|row| &row.names);
        let lasts: BTreeSet<&str> = names.filter_map(|name| name.rsplit('.').next()).collect();
        let calls: Vec<String> = lasts.iter().map(|last| format!(".{last}(")).collect();
        let has = |bytes: &[u8], text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
        let files = self.project.ids().map(|file| self.project.bytes(file));
        let files = files.filter(|bytes| known.packages.iter().any(|package| has(bytes, package)));
        files
            .map(|bytes| {
                let count =
                    |call: &String| memchr::memmem::find_iter(bytes, call.as_bytes()).count();
                calls.iter().map(count).sum::<usize>()
            })
            .sum()
    }

    /// Whether what is sent to `address` comes to who reads by `mark`.
    pub(super) fn comes_by(&self, mark: Option<&str>, address: Option<&str>) -> Leads {
        let (Some(ours), Some(theirs)) = (self.queues_of(mark), address) else {
            return Leads::Perhaps;
        };
        let open = theirs.contains('\0') || ours.iter().any(|address| address.contains('\0'));
        let meet = ours
            .iter()
            .any(|address| super::writers::overlap(address, theirs));
        match (meet, open || ours.len() > 1) {
            (false, _) => Leads::Not,
            (true, true) => Leads::Perhaps,
            (true, false) => Leads::There,
        }
    }
}
