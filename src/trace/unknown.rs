//! Calls of what nothing is known of.

use super::at::At;
use super::env::Env;
use super::machine::Machine;
use super::taint::{Hop, HopKind, Taint};
use super::value::{Arguments, Atom, Value};
use crate::pack::{Shape, Trust};

/// Methods by this name that an unknown receiver may mean.
const MOST_CANDIDATES: usize = 6;

impl<'a> Machine<'a> {
    /// A call of something that nothing is known of: it may return what it was given. A method may be one of the
    /// project's that lead to loads.
    pub(super) fn call_unknown(
        &mut self,
        method: Option<&str>,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let mut registered = false;
        if let Some(name) = method {
            if let Some(sink) = self.model.open_sink(name) {
                return self.reach_sink(sink, name, receiver, arguments, at, env);
            }
            if let Some(value) = self.open_source_value(name, at) {
                return value;
            }
            registered = self.register_open(name, arguments);
        }
        let all = arguments
            .all()
            .fold(receiver.clone(), |all, value| all.join(value));
        if !registered {
            self.hand_on(arguments, at, env);
        }
        self.filled(at, env);
        let mut found = Value::unknown();
        if let Some(name) = method {
            found = self.dispatched(name, receiver, arguments, at, env);
            if let Some(apply) = self.model.apply("", name) {
                found = found.join(&self.applied(apply, arguments, at, env));
            }
            let stops = self.model.stops_method(name);
            if stops {
                return found.join(&Value::clean());
            }
        }
        // Constants in, who knows what out.
        let out = self.stepped(&all, None, Shape::Any, false, at.place);
        let out = out.map_taints(&|taint| taint.clone().through_unknown());
        let kept = |atom: &Atom| matches!(atom, Atom::Untrusted(_) | Atom::Pickled(..));
        out.filter(kept).join(&found)
    }

    /// Calls the project's methods called `name` that lead to loads, for a receiver that nothing is known of.
    pub(super) fn dispatched(
        &mut self,
        name: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let candidates = self.leading.get(name).cloned().unwrap_or_default();
        // A parameter that nobody supplies may be an object as well as data.
        let is_data = receiver.atoms().iter().any(|atom| match atom {
            Atom::Untrusted(taint) => taint.trust != Trust::Unknown,
            atom => matches!(atom, Atom::Const(_)),
        });
        // What every dictionary, file or thread has says nothing of whose method it is.
        let common = matches!(
            name,
            "get"
                | "set"
                | "add"
                | "pop"
                | "put"
                | "update"
                | "items"
                | "keys"
                | "values"
                | "append"
                | "insert"
                | "remove"
                | "clear"
                | "copy"
                | "index"
                | "count"
                | "sort"
                | "split"
                | "join"
                | "strip"
                | "format"
                | "encode"
                | "decode"
                | "read"
                | "write"
                | "close"
                | "open"
                | "seek"
                | "flush"
                | "send"
                | "recv"
                | "run"
                | "start"
                | "stop"
                | "call"
                | "load"
                | "loads"
                | "dump"
                | "dumps"
                | "next"
                | "filter"
                | "first"
                | "all"
                | "save"
                | "delete"
                | "create"
                | "execute"
                | "connect"
                | "accept"
                | "setdefault"
        );
        if common || candidates.is_empty() || candidates.len() > MOST_CANDIDATES || is_data {
            return Value::unknown();
        }
        let mut out = Value::unknown();
        for def in candidates {
            let Some(id) = self.by_def.get(&def).copied() else {
                continue;
            };
            if self.frames.iter().any(|f| f.def == Some(def)) {
                continue;
            }
            // Which method is meant is a guess: nothing is rewritten on it.
            let given = arguments.map(|value| {
                let step = |taint: &Taint| {
                    let note = format!(".{name}() of an object of unknown class");
                    let hop = Hop::new(at.place, HopKind::Step, note, taint.shape, false);
                    taint.then(hop).through_unknown()
                };
                value.map_taints(&step)
            });
            let (value, _) = self.call(id, None, &given, at.place, env);
            out = out.join(&value);
        }
        out
    }

    /// Functions among the arguments are called with whatever else was given; sinks among them are reached.
    pub(super) fn hand_on(&mut self, arguments: &Arguments, at: At<'a>, env: &mut Env) {
        let is_callable = |atom: &Atom| {
            matches!(
                atom,
                Atom::External(_) | Atom::Function(..) | Atom::Partial(_)
            )
        };
        let callable = |value: &&Value| value.atoms().iter().any(is_callable);
        let functions: Vec<Value> = arguments.all().filter(callable).cloned().collect();
        if functions.is_empty() {
            return;
        }
        let others = arguments
            .all()
            .map(|value| self.stepped(value, None, Shape::Any, true, at.place))
            .fold(Value::unknown(), |all, value| all.join(&value));
        for value in functions {
            for atom in value.atoms() {
                let given = Arguments {
                    spread: others.clone(),
                    ..Arguments::default()
                };
                match atom {
                    Atom::External(name) if self.model.sink(name).is_some() => {
                        let at = at.of_function();
                        self.call_value(&atom.clone().into(), &Value::unknown(), &given, at, env);
                    }
                    Atom::Function(id, bound) => {
                        let running = self
                            .function(*id)
                            .is_some_and(|f| self.frames.iter().any(|g| g.def == Some(f.def)));
                        if !running && others.is_untrusted() {
                            self.call(*id, *bound, &given, at.place, env);
                        }
                    }
                    Atom::Partial(partial) if others.is_untrusted() => {
                        let all = given.after(&partial.arguments);
                        self.apply(&partial.function.clone(), &all, at.of_function(), env);
                    }
                    _ => {}
                }
            }
        }
    }
}
