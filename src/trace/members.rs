//! Calls of members of data, of objects and of what nobody knows.

use std::rc::Rc;

use super::at::At;
use super::columns::DATABASE;
use super::env::Env;
use super::iterators::in_order;
use super::machine::Machine;
use super::methods::split_pieces;
use super::taint::{Hop, HopKind, Taint};
use super::value::{Arguments, Atom, Const, Container, Role, Value};
use crate::pack::{Shape, Trust};

impl<'a> Machine<'a> {
    /// `untrusted(...)`: the member of an object, which is the source itself, called.
    pub(super) fn call_member_itself(
        &mut self,
        taint: &Taint,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Value {
        let first = arguments.positional.first();
        let mut taint = taint
            .widen(at.place, || self.snippet(at.place), taint.shape)
            .unwrap_or_else(|| taint.clone());
        // Called again, a stream gives something else: the next bytes of a socket.
        let is_stream = taint.trust != Trust::Http
            || taint.known_as.as_deref().is_some_and(|name| {
                let last = name.rsplit('.').next().unwrap_or(name);
                last.contains("read") || last.contains("recv") || last.contains("stream")
            });
        if is_stream {
            taint.known_as = None;
        }
        // What a store gives by no single key is not what is kept under its argument: a hash has many fields.
        if let Some(key) = first.and_then(Value::text)
            && taint.key.is_none()
            && taint.trust != Trust::Stored
        {
            taint.part = format!("{}{key:?}", taint.part).into();
            taint.key = Some(key);
        }
        Atom::Untrusted(taint).into()
    }

    /// `untrusted.method(...)`.
    pub(super) fn call_member(
        &mut self,
        taint: &Taint,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        const TAME: [&str; 6] = [
            "isdigit",
            "isalnum",
            "isidentifier",
            "isalpha",
            "isdecimal",
            "isnumeric",
        ];
        if TAME.contains(&name) {
            let mut out = Value::clean();
            if taint.exact {
                out.add(Atom::Tame(taint.identity()));
            }
            return out;
        }
        if self.model.stops_method(name) {
            return Value::clean();
        }
        if let Some((_, source)) = self.open_source(name)
            && taint.trust > source.trust.unwrap_or(Trust::Unknown)
        {
            return self.open_source_value(name, at).unwrap_or_default();
        }
        if let Some(sink) = self.model.open_sink(name) {
            return self.reach_sink(sink, name, &Value::unknown(), arguments, at, env);
        }
        if let ("join", Some(parts)) = (name, arguments.first().and_then(in_order))
            && parts.len() <= 1
        {
            // Nothing to separate.
            return parts.into_iter().next().unwrap_or_else(Value::clean);
        }
        if let Some(value) = split_pieces(taint, name, arguments) {
            return value;
        }
        let step = self.model.method_step(name);
        if let Some(into) = step.and_then(|step| step.into) {
            let given: Value = Atom::Untrusted(taint.clone()).into();
            self.pour(&given, into, arguments, at, env);
        }
        let converts = arguments.named("type").is_some_and(|value| {
            let stops = |a: &Atom| matches!(a, Atom::External(n) if self.model.stops(n));
            !value.is_empty() && value.atoms().iter().all(stops)
        });
        if converts {
            return Value::clean();
        }
        let key = arguments.positional.first().and_then(Value::text);
        let fallback = match name {
            "get" | "pop" | "setdefault" | "getlist" => arguments.get(1, "default"),
            _ => None,
        };
        let has_default = fallback.is_some_and(|v| v.is_literal() && !v.may_be_none());
        let shape = match (taint.shape, step) {
            (Shape::Mapping, _) if name == "get" && has_default => Shape::Bytes,
            (_, Some(step)) => step.shape,
            _ => Shape::Any,
        };
        // A method of what may be `None`; a key that may be missing.
        let mut raises: Vec<Rc<str>> = Vec::new();
        if taint.shape == Shape::Any {
            raises.push("AttributeError".into());
        }
        if name == "pop" && fallback.is_none() {
            raises.extend(taint.on_missing.clone());
        }
        let whole = taint;
        if let ("sort", Some(function)) = (name, arguments.named("key")) {
            let item = self.item(&Atom::Untrusted(whole.clone()).into(), None, at.place);
            self.apply(function, &Arguments::one(item), at.of_function(), env);
        }
        let queries = *taint.channel == *DATABASE && self.model.is_query(name);
        let widened = taint.widen(at.place, || self.snippet(at.place), shape);
        let mut taint = widened.unwrap_or_else(|| {
            let quiet = queries || step.is_some_and(|s| s.quiet);
            let note = self.snippet(at.place);
            taint.then(Hop::new(at.place, HopKind::Step, note, shape, quiet))
        });
        taint = taint.raising(&raises);
        taint.text = None;
        if name == "to_bytes" {
            // What is harmless as a number is not as bytes.
            taint.known_as = None;
            taint.origin = at.place;
        }
        if step.is_none() && !queries {
            taint = taint.through_unknown();
        }
        let is_lookup = matches!(name, "get" | "getlist" | "pop");
        if !is_lookup {
            // What it makes of a value is always the same.
            let derives = matches!(name, "lower" | "upper" | "casefold" | "swapcase" | "title")
                && arguments.positional.is_empty();
            if derives {
                taint.part = format!("{}.{name}()", taint.part).into();
            }
            taint.exact &= derives || matches!(name, "strip" | "encode" | "decode");
        }
        if taint.shape != Shape::Mapping {
            taint.on_missing = None;
        }
        if let (Some(key), true) = (key, is_lookup) {
            taint.part = format!("{}{key:?}", taint.part).into();
            if taint.key.is_none() {
                taint.key = Some(key);
            }
        }
        if matches!(
            name,
            "get" | "pop" | "items" | "keys" | "values" | "copy" | "setdefault"
        ) || self.is_reader(whole, name)
        {
            taint = taint.part_of(whole);
        }
        let is_open = taint.trust == Trust::Unknown && step.is_none();
        let mut value: Value = Atom::Untrusted(taint).into();
        self.hand_on(arguments, at, env);
        if let ("partition" | "rpartition", Some(separator)) = (name, arguments.first()) {
            let ends = [0, 2].map(|n| self.item(&value, Some(&Const::Int(n)), at.place));
            let [head, tail] = ends;
            return Container::sequence([head, separator.clone(), tail])
                .with(Role::Tuple)
                .into();
        }
        if is_open {
            let found = self.dispatched(name, &value, arguments, at, env);
            value = value.join(&found);
        }
        match fallback {
            Some(fallback) => value.join(fallback),
            None => value,
        }
    }
}
