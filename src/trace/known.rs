//! Calls of what the packs know: which row it is, steps, guards, stores.

use std::rc::Rc;

use super::at::At;
use super::env::Env;
use super::expressions::LITERAL_KEY;
use super::fold;
use super::lazy::Deferred;
use super::machine::Machine;
use super::taint::Taint;
use super::value::{Arguments, Atom, Check, Const, Container, Made, Value};
use crate::pack::{Apply, Given, Shape, Trust};
use crate::python::ast::name::Name;

/// Channel of data whose place the client names, not its content: a path, an address.
pub(super) const NAMED_SOURCE: &str = "named-source";

/// What a verifier raises, made with what it refused.
pub(super) const REFUSED: &str = "refused by a verifier";

impl<'a> Machine<'a> {
    pub(super) fn call_external(
        &mut self,
        name: &Rc<str>,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let model = self.model;
        if let "operator.attrgetter" | "operator.methodcaller" = &**name {
            return Atom::Made(Rc::new(Made {
                name: Rc::clone(name),
                arguments: arguments.clone(),
            }))
            .into();
        }
        self.consumes(name, arguments);
        self.note_given(name, arguments, at);
        if let Some(value) = self.call_builtin(name, arguments, at, env) {
            return value;
        }
        if let Some(value) = self.subclass_loads(name, receiver, arguments, at, env) {
            return value;
        }
        if let Some(sink) = model.sink(name) {
            return self.reach_sink(sink, name, receiver, arguments, at, env);
        }
        let first = arguments.first().map(|value| self.whole(value.clone(), at));
        let given = first.clone().unwrap_or_else(|| arguments.spread.clone());
        if model.exits(name) {
            env.dead = true;
            return Value::unknown();
        }
        if let Some(writer) = model.writer(name) {
            return self.writes(writer, arguments, at, env);
        }
        if model.hooks_loads(name) {
            env.hooked = true;
            // At module level it holds for the whole process.
            self.hooked |= self.frames.last().is_some_and(|frame| frame.is_module());
            return Value::external("hook");
        }
        if model.tests_harmless(name) {
            let harmless = given
                .taints()
                .into_iter()
                .map(|t| Atom::Harmless(t.identity()));
            return Value::clean().join(&harmless.collect());
        }
        if let Some(value) = self.matched(name, receiver, arguments, at) {
            return value;
        }
        if let Some(value) = self.substituted(name, receiver, arguments, at) {
            return value;
        }
        if let Some(value) = self.laid_out(name, receiver, arguments, at) {
            return value;
        }
        if name.starts_with("hashlib.") && !name.ends_with("pbkdf2_hmac") {
            let key = arguments.named("key");
            let data = match &**name {
                "hashlib.new" => arguments.positional.get(1),
                _ => arguments.positional.first(),
            };
            let literal = data.is_some_and(Value::is_literal).then_some("literal-key");
            let sham = key.map_or(literal, key_sham);
            let of = identities(data);
            let keyless = key.is_none();
            return Atom::Digest(Check { of, sham, keyless }).into();
        }
        if model.stops(name) {
            return Value::clean();
        }
        if model.makes_digest(name) {
            let sham = arguments.first().and_then(key_sham);
            let of = identities(arguments.get(1, "msg"));
            let keyless = false;
            return Atom::Digest(Check { of, sham, keyless }).into();
        }
        if model.compares_digests(name) {
            return match arguments.positional.as_slice() {
                [left, right] => self.compared(left, right),
                _ => Value::clean(),
            };
        }
        if let Some(method) = name.strip_suffix(LITERAL_KEY) {
            // Anybody can sign, so what comes out is what went in.
            let out = self.stepped(&given, Some(method), Shape::Bytes, false, at.place);
            return out.map_taints(&|taint| Taint {
                sham: Some("literal-key"),
                ..taint.clone()
            });
        }
        if model.verifies(name) {
            // A function of a module takes the key after the value.
            let is_module =
                |a: &Atom| matches!(a, Atom::External(base) if name.starts_with(&**base));
            let key =
                arguments
                    .named("key")
                    .or_else(|| match receiver.atoms().iter().all(is_module) {
                        true => arguments.positional.get(1),
                        false => None,
                    });
            let sham = key.and_then(key_sham);
            // Options that may turn the check off.
            let off = arguments.named("verify").and_then(Value::truth) == Some(false);
            let options = off || arguments.named("options").is_some();
            let sham = sham.or(options.then_some("unverified"));
            let Some(why) = sham else {
                // What was refused is still in the exception.
                let refused = Atom::Made(Rc::new(Made {
                    name: REFUSED.into(),
                    arguments: Arguments::one(given),
                }));
                self.raised.add(refused);
                self.verified(&arguments.any());
                return Atom::Verified.into();
            };
            let out = self.stepped(&given, Some(name), Shape::Any, false, at.place);
            return out.map_taints(&|taint| Taint {
                sham: Some(why),
                ..taint.clone()
            });
        }
        if let Some(store) = model.store_write(name) {
            let key = arguments
                .positional
                .get(store.key)
                .cloned()
                .unwrap_or_default();
            let value = arguments.positional.get(store.value).cloned();
            let value = value.or_else(|| arguments.named("value").cloned());
            let key = fold::key_text(&key);
            self.note_server(&store.channel, &key, receiver);
            self.write_store(&store.channel, &key, &value.unwrap_or_default());
            return Value::unknown();
        }
        if let Some(store) = model.store_read(name) {
            let key = arguments
                .positional
                .get(store.key)
                .cloned()
                .unwrap_or_default();
            self.note_server(&store.channel, &fold::key_text(&key), receiver);
            return self.stored(store, &key, at);
        }
        if let Some(value) = self.path_object(name, receiver, arguments, at) {
            return value;
        }
        self.decoders(name, arguments, at, env);
        if let Some(returns) = model.returns(name) {
            self.register(name, arguments);
            // What an object gives is made as the object was: a connection with its listener's key.
            let maker = receiver.atoms().iter().find_map(|atom| match atom {
                Atom::Made(made) => Some(&made.arguments),
                _ => None,
            });
            let made = |name: &str, arguments: Arguments| -> Value {
                let name = name.into();
                Atom::Made(Rc::new(Made { name, arguments })).into()
            };
            let object = |ty: &String| match (ty.as_str(), maker) {
                ("", _) => Value::unknown(),
                // Of two that are made alike nobody can tell which is which, nor whether they are two.
                (ty, None) if arguments.all().next().is_some() && !model.makes_verifier(ty) => {
                    made(ty, arguments.map(plain))
                }
                (ty, None) => Value::object(ty),
                (ty, Some(arguments)) => made(ty, arguments.clone()),
            };
            return match returns.types.as_slice() {
                [ty] => object(ty),
                types => Container::sequence(types.iter().map(object)).into(),
            };
        }
        let registered = self.register(name, arguments);
        if let Some(source) = model.source(name) {
            return self.call_source(name, source, arguments, at);
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        if let Some(apply) = model.apply(name, last) {
            return self.applied(apply, arguments, at, env);
        }
        if let Some(step) = model.step(name) {
            let given = match step.from {
                0 => given,
                n => arguments.positional.get(n).cloned().unwrap_or_default(),
            };
            if let Some(into) = step.into {
                self.pour(&given, into, arguments, at, env);
            }
            return self.stepped(&given, Some(name), step.shape, step.quiet, at.place);
        }
        let made = Atom::Made(Rc::new(Made {
            name: Rc::clone(name),
            arguments: arguments.map(|value| plain(&self.flat(value))),
        }));
        if model.object(name).is_some() || model.makes_verifier(name) {
            return made.into();
        }
        let found = match receiver.is_empty() {
            true => Value::unknown(),
            false => self.dispatched_outside(last, receiver, arguments, at, env),
        };
        if !registered {
            self.hand_on(arguments, at, env);
        }
        self.filled(at, env);
        let all = arguments.any().join(receiver);
        let passed = self.stepped(&all, Some(name), Shape::Any, false, at.place);
        let passed = passed.map_taints(&|taint| taint.clone().through_unknown());
        let kept = |atom: &Atom| matches!(atom, Atom::Untrusted(_) | Atom::Pickled(..));
        let mut out = passed.filter(kept).join(&found);
        if out.is_empty() {
            out.add(made);
        }
        out
    }

    /// `receiver.last(...)` of a class outside the project: an open source or sink is meant all the same.
    fn dispatched_outside(
        &mut self,
        last: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        self.register_open(last, arguments);
        if let Some(sink) = self.model.open_sink(last) {
            return self.reach_sink(sink, last, receiver, arguments, at, env);
        }
        self.open_source_value(last, at).unwrap_or_default()
    }

    /// Calls the function that a call is given: a thread's target, an executor's task.
    pub(super) fn applied(
        &mut self,
        apply: &Apply,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let Some(function) = arguments.get(apply.position, &apply.keyword).cloned() else {
            return Value::unknown();
        };
        let rest: Vec<Value> = arguments
            .positional
            .iter()
            .skip(apply.position + 1)
            .cloned()
            .collect();
        let others: Vec<(Name, Value)> = arguments
            .named
            .iter()
            .filter(|(name, _)| **name != *apply.keyword && **name != *apply.arguments)
            .cloned()
            .collect();
        let given = match apply.given {
            Given::Rest => Arguments {
                positional: rest,
                named: others,
                spread: arguments.spread.clone(),
            },
            Given::Elements => Arguments {
                positional: rest.iter().map(|v| self.iterated(v, at.place)).collect(),
                ..Arguments::default()
            },
            Given::Tuple => {
                let tuple = arguments.get(apply.position + 1, &apply.arguments).cloned();
                let tuple = tuple.unwrap_or_default();
                let mut given = Arguments::default();
                match tuple.atoms() {
                    [Atom::Container(container)] if container.in_order().is_some() => {
                        given.positional = container.in_order().unwrap_or_default();
                    }
                    _ => given.spread = self.iterated(&tuple, at.place),
                }
                if let Some(named) = arguments.named("kwargs") {
                    for atom in named.atoms() {
                        if let Atom::Container(container) = atom {
                            for (key, value) in &container.items {
                                if let Const::Str(name) = key {
                                    given.named.push((Name::new(name), value.clone()));
                                }
                            }
                        }
                    }
                }
                given
            }
        };
        let at_function = at.of_function();
        if at.lazy && apply.started {
            return self.defer(Deferred::Start(function, given, at_function));
        }
        self.apply(&function, &given, at_function, env)
    }

    /// Modelled objects that are data themselves, when they are passed on: a request or an upload as a file.
    pub(super) fn whole(&self, value: Value, at: At<'a>) -> Value {
        let value = self.remaining(&value);
        let ty = |atom: &Atom| match atom {
            Atom::Object(ty) => Some(Rc::clone(ty)),
            Atom::Made(made) => Some(Rc::clone(&made.name)),
            _ => None,
        };
        let model = self.model;
        let object = |atom: &Atom| {
            let object = model.object(&ty(atom)?)?;
            Some((object.trust, object.whole.as_ref()?))
        };
        if !value.atoms().iter().any(|atom| object(atom).is_some()) {
            return value;
        }
        let mut out = Value::unknown();
        for atom in value.atoms() {
            match object(atom) {
                Some((trust, whole)) => {
                    let place = at.first().unwrap_or(at.place);
                    let note = self.snippet(place);
                    let data = &whole.0;
                    out = out.join(&self.entering(trust, &data.channel, data.shape, place, note));
                }
                None => out.add(atom.clone()),
            }
        }
        out
    }

    /// Functions that an object is made with to decode what it receives: `KafkaConsumer(value_deserializer=f)`.
    fn decoders(&mut self, name: &str, arguments: &Arguments, at: At<'a>, env: &mut Env) {
        let model = self.model;
        let Some(object) = model.object(name) else {
            return;
        };
        let decodes = |name: &Name| name.contains("deserializer") || name.contains("decoder");
        for (name, function) in &arguments.named {
            if decodes(name) {
                let note = self.snippet(at.place);
                let given = self.entering(object.trust, "queue", Shape::Bytes, at.place, note);
                let given = Arguments::one(given);
                self.apply(function, &given, at.of_function(), env);
            }
        }
    }
}

/// Why a check made with `key` proves nothing, if so.
pub(super) fn key_sham(key: &Value) -> Option<&'static str> {
    let known = |atom: &Atom| match atom {
        Atom::Digest(check) => check.keyless && check.of.is_empty() && check.sham.is_some(),
        _ => false,
    };
    if key.is_literal() || key.atoms().iter().any(known) {
        return Some("literal-key");
    }
    let from_client = key
        .taints()
        .iter()
        .any(|taint| taint.trust <= Trust::Network);
    if from_client {
        return Some("key-of-the-client");
    }
    // `os.environ.get("KEY", "dev")`; an empty text is what stands there before there is one.
    let default = |atom: &Atom| match atom {
        Atom::Const(Const::Str(text) | Const::Bytes(text)) => !text.is_empty(),
        _ => false,
    };
    key.atoms().iter().any(default).then_some("default-key")
}

/// What comparing two values says, when one of them is a digest.
pub(super) fn compared_digests(left: &Value, right: &Value) -> Value {
    let mut out = Value::unknown();
    for (mine, other) in [(left, right), (right, left)] {
        let made = |atom: &Atom| matches!(atom, Atom::Digest(check) if !check.of.is_empty());
        let trusted = !other.is_untrusted() && !other.is_empty() && !other.atoms().iter().any(made);
        for atom in mine.atoms() {
            if let Atom::Digest(check) = atom
                && (!check.keyless || trusted)
            {
                let itself =
                    |atom: &Atom| matches!(atom, Atom::Digest(other) if other.of == check.of);
                let itself = !check.of.is_empty() && other.atoms().iter().any(itself);
                let sham = match check.keyless {
                    _ if itself => Some("compared-with-itself"),
                    // Equal to a known digest: what it is of is known.
                    true => None,
                    false => check.sham,
                };
                out.add(Atom::Checked(Check {
                    sham,
                    ..check.clone()
                }));
            }
        }
    }
    match out.is_empty() {
        true => Value::clean(),
        false => out,
    }
}

pub(super) fn receiver_and(receiver: &Value, arguments: &Arguments) -> Vec<Value> {
    let mut parts = vec![receiver.clone()];
    parts.extend(arguments.positional.iter().cloned());
    parts
}

fn identities(data: Option<&Value>) -> Vec<super::taint::Identity> {
    let Some(data) = data else {
        return Vec::new();
    };
    let mut all: Vec<_> = data.taints().into_iter().map(Taint::identity).collect();
    for atom in data.atoms() {
        // A digest of a digest.
        if let Atom::Digest(check) = atom {
            all.extend(check.of.iter().cloned());
        }
    }
    all
}

/// What is remembered of an argument: enough to know a literal, a path, a class.
fn plain(value: &Value) -> Value {
    value.filter(|atom| match atom {
        Atom::Const(_) | Atom::Pattern(_) | Atom::External(_) | Atom::Class(_) => true,
        Atom::Untrusted(_) => true,
        Atom::Container(_) => value.is_literal(),
        Atom::Made(made) if made.name.starts_with("pathlib.") => !is_nested(made, 4),
        Atom::Made(made) => !is_nested(made, 0),
        _ => false,
    })
}

/// Whether paths are made of paths more than `depth` times.
fn is_nested(made: &Made, depth: usize) -> bool {
    made.arguments
        .all()
        .flat_map(Value::atoms)
        .any(|atom| match atom {
            Atom::Made(inner) => depth == 0 || is_nested(inner, depth - 1),
            _ => false,
        })
}
