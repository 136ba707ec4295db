//! Calls: into the project, and to what the packs know.

use std::rc::Rc;

use super::expressions::LITERAL_KEY;
use super::machine::{Arguments, Env, Machine, Written};
use super::value::{Atom, Check, Const, Container, Hop, HopKind, Taint, Value};
use crate::pack::{Shape, Trust};
use crate::python::ast::{self, Expr};

impl<'a> Machine<'a> {
    pub(super) fn call_expression(&mut self, call: &'a ast::ExprCall, env: &mut Env) -> Value {
        // The receiver is evaluated once, for all that depends on it.
        let (callee, receiver) = match &*call.func {
            Expr::Attribute(attribute) => {
                let owner = self.value(&attribute.value, env);
                let digest = matches!(attribute.attr.as_str(), "digest" | "hexdigest");
                if digest && owner.atoms().iter().any(|a| matches!(a, Atom::Digest(_))) {
                    return owner;
                }
                (self.attribute(&owner, attribute), owner)
            }
            func => (self.read(func, env), Value::unknown()),
        };
        let arguments = self.arguments(&call.arguments, env);
        let at = self.place(call);
        self.sends(call, &callee, &arguments);
        let mut out = Value::unknown();
        let mut understood = false;
        for atom in callee.atoms() {
            let result = match atom {
                Atom::External(name) => self.call_external(name, call, &receiver, &arguments, env),
                Atom::Function(def, bound) => self.call(*def, *bound, arguments.clone(), at, env),
                Atom::Class(class) => {
                    let init = self.class_member(*class, Some(*class), "__init__");
                    for atom in init.atoms() {
                        if let Atom::Function(def, bound) = atom {
                            self.call(*def, *bound, arguments.clone(), at, env);
                        }
                    }
                    Atom::Instance(*class).into()
                }
                Atom::Instance(class) => {
                    let method = self.class_member(*class, Some(*class), "__call__");
                    match method.atoms() {
                        [Atom::Function(def, bound)] => {
                            self.call(*def, *bound, arguments.clone(), at, env)
                        }
                        _ => continue,
                    }
                }
                Atom::Untrusted(taint) => self.call_member(taint, call, &receiver, &arguments),
                _ => continue,
            };
            understood = true;
            out = out.join(&result);
        }
        if !understood {
            out = self.call_unknown(call, &receiver, &arguments, env);
        }
        self.mutate(call, &arguments, env);
        out
    }

    fn arguments(&mut self, arguments: &'a ast::Arguments, env: &mut Env) -> Arguments {
        let mut out = Arguments::default();
        for argument in &arguments.args {
            let value = match argument {
                Expr::Starred(star) => {
                    let value = self.value(&star.value, env);
                    let any = self.element(&value, argument);
                    out.spread = std::mem::take(&mut out.spread).join(&any);
                    continue;
                }
                _ => self.value(argument, env),
            };
            out.positional.push(value);
        }
        for keyword in &arguments.keywords {
            let value = self.value(&keyword.value, env);
            match &keyword.arg {
                Some(name) => out.named.push((name.to_string(), value)),
                None => {
                    for atom in value.atoms() {
                        if let Atom::Container(container) = atom {
                            for (key, value) in &container.items {
                                if let Const::Str(name) = key {
                                    out.named.push((name.to_string(), value.clone()));
                                }
                            }
                        }
                    }
                    let any = self.element(&value, keyword);
                    out.spread = std::mem::take(&mut out.spread).join(&any);
                }
            }
        }
        out
    }

    /// `untrusted.method(...)`.
    fn call_member(
        &mut self,
        taint: &Taint,
        call: &'a ast::ExprCall,
        receiver: &Value,
        arguments: &Arguments,
    ) -> Value {
        let Expr::Attribute(attribute) = &*call.func else {
            let value: Value = Atom::Untrusted(taint.clone()).into();
            return self.widened(value, call);
        };
        let name = attribute.attr.as_str();
        if matches!(
            name,
            "isdigit"
                | "isalnum"
                | "isidentifier"
                | "startswith"
                | "endswith"
                | "count"
                | "index"
                | "find"
        ) {
            return Value::clean();
        }
        let step = self.model.method_step(name);
        let first = arguments.positional.first();
        let key = first.and_then(Value::text);
        let fallback = arguments.positional.get(1);
        // `request.get_data` is the source itself; `request.cookies.get` reads one of its values.
        let is_member_itself = receiver.taints().is_empty();
        let has_default = fallback.is_some_and(is_literal) && fallback.is_some_and(is_not_none);
        let shape = match (taint.shape, step) {
            (shape, _) if is_member_itself => shape,
            (Shape::Mapping, _) if name == "get" && has_default => Shape::Bytes,
            (_, Some(step)) => step.shape,
            _ => Shape::Any,
        };
        // A method of what may be `None`; a key that may be missing.
        let mut raises: Vec<Rc<str>> = Vec::new();
        if taint.shape == Shape::Any && !is_member_itself {
            raises.push("AttributeError".into());
        }
        if name == "pop" && fallback.is_none() {
            raises.extend(taint.on_missing.clone());
        }
        let place = self.place(call);
        let widened = taint.widen(place, self.snippet(call), shape);
        let mut taint = widened.unwrap_or_else(|| {
            let quiet = step.is_some_and(|s| s.quiet);
            taint.then(Hop::new(
                place,
                HopKind::Step,
                self.snippet(call),
                shape,
                quiet,
            ))
        });
        taint = taint.raising(&raises);
        if step.is_none() && !is_member_itself {
            taint = taint.through_unknown();
        }
        if is_member_itself {
            // Called again, a method may give something else: the next bytes of a socket.
            taint.known_as = None;
        } else if taint.shape != Shape::Mapping {
            taint.on_missing = None;
        }
        if let (Some(key), "get" | "getlist" | "pop") = (key, name) {
            taint.part = format!("{}{key:?}", taint.part).into();
            if taint.key.is_none() {
                taint.key = Some(key);
            }
        }
        let value: Value = Atom::Untrusted(taint).into();
        match fallback {
            Some(fallback) => value.join(fallback),
            None => value,
        }
    }

    /// A call of something that nothing is known of: it may return what it was given.
    fn call_unknown(
        &mut self,
        call: &'a ast::ExprCall,
        receiver: &Value,
        arguments: &Arguments,
        env: &mut Env,
    ) -> Value {
        let all = arguments
            .all()
            .fold(receiver.clone(), |all, value| all.join(value));
        self.hand_on(arguments, call, env);
        // Constants in, who knows what out.
        let out = self.stepped(&all, None, Shape::Any, false, call);
        let out = out.map_taints(&|taint| taint.clone().through_unknown());
        let kept = |atom: &&Atom| matches!(atom, Atom::Untrusted(_) | Atom::Pickled(_));
        out.atoms().iter().filter(kept).cloned().collect()
    }

    /// Notes what the program has pickled and hands to a client or a server: a cookie, a request's body.
    fn sends(&mut self, call: &ast::ExprCall, callee: &Value, arguments: &Arguments) {
        let method = call
            .func
            .as_attribute_expr()
            .map(|attribute| attribute.attr.as_str());
        let names = callee.atoms().iter().filter_map(|atom| match atom {
            Atom::External(name) => Some(&**name),
            _ => None,
        });
        for carrier in self.model.carriers(names, method) {
            let value = match &carrier.value {
                Some(value) => arguments.get(carrier.position.unwrap_or(usize::MAX), value),
                None => None,
            };
            if let Some(place) = value.and_then(Value::pickled) {
                let key = carrier
                    .key
                    .as_ref()
                    .and_then(|key| arguments.get(0, key)?.text());
                self.written.push(Written {
                    channel: carrier.channel.clone(),
                    key: key.as_deref().map(str::to_owned),
                    place,
                });
            }
        }
    }

    /// `list.append(x)`, `buffer.write(x)`: the receiver now holds what it was given.
    fn mutate(&mut self, call: &'a ast::ExprCall, arguments: &Arguments, env: &mut Env) {
        const MUTATORS: [&str; 9] = [
            "append",
            "appendleft",
            "add",
            "insert",
            "extend",
            "extendleft",
            "update",
            "write",
            "put",
        ];
        let Expr::Attribute(attribute) = &*call.func else {
            return;
        };
        let Expr::Name(name) = &*attribute.value else {
            return;
        };
        if !MUTATORS.contains(&attribute.attr.as_str()) {
            return;
        }
        let Some(before) = env.vars.get(name.id.as_str()).cloned() else {
            return;
        };
        let given = arguments
            .all()
            .fold(Value::unknown(), |all, value| all.join(value));
        let mut after = Value::unknown();
        let mut held = false;
        for atom in before.atoms() {
            match atom {
                Atom::Container(container) => {
                    let mut container = (**container).clone();
                    container.rest = container.rest.join(&given);
                    after.add(Atom::Container(Rc::new(container)));
                    held = true;
                }
                other => after.add(other.clone()),
            }
        }
        if !held {
            for taint in given.taints() {
                after.add(Atom::Untrusted(taint.clone()));
            }
        }
        self.bind(&name.id, after, env);
    }

    /// Functions among the arguments are called with whatever else was given; sinks among them are reached.
    fn hand_on(&mut self, arguments: &Arguments, call: &'a ast::ExprCall, env: &mut Env) {
        let exprs = call
            .arguments
            .args
            .iter()
            .chain(call.arguments.keywords.iter().map(|k| &k.value));
        let exprs: Vec<&Expr> = exprs.collect();
        let others = |this: &Self| {
            arguments
                .all()
                .map(|value| this.stepped(value, None, Shape::Any, true, call))
                .fold(Value::unknown(), |all, value| all.join(&value))
        };
        for value in arguments.all() {
            for atom in value.atoms() {
                match atom {
                    Atom::External(name) => {
                        let Some(sink) = self.model.sink(name) else {
                            continue;
                        };
                        let value = others(self);
                        let place = exprs.iter().find_map(|expr| {
                            let place = self.place(*expr);
                            self.sites.iter().any(|s| s.place == place).then_some(place)
                        });
                        if let Some(place) = place {
                            self.record(place, sink, name, value, env);
                        }
                    }
                    Atom::Function(def, bound)
                        if !self.frames.iter().any(|f| f.def == Some(*def)) =>
                    {
                        let value = others(self);
                        if !value.taints().is_empty() {
                            let given = Arguments {
                                spread: value,
                                ..Arguments::default()
                            };
                            let at = self.place(call);
                            self.call(*def, *bound, given, at, env);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Modelled objects that are data themselves, when they are passed on: a request or an upload as a file.
    fn whole(&self, value: Value, at: &'a ast::ExprCall) -> Value {
        let mut out = Value::unknown();
        for atom in value.atoms() {
            let object = match atom {
                Atom::Object(ty) => self.model.object(ty),
                _ => None,
            };
            match object.and_then(|object| Some((object.trust, object.whole.as_ref()?))) {
                Some((trust, member)) => {
                    let argument = at.arguments.args.first();
                    let (place, note) = match argument {
                        Some(argument) => (self.place(argument), self.snippet(argument)),
                        None => (self.place(at), self.snippet(at)),
                    };
                    out =
                        out.join(&self.entering(trust, &member.channel, member.shape, place, note));
                }
                None => out.add(atom.clone()),
            }
        }
        out
    }

    fn call_external(
        &mut self,
        name: &Rc<str>,
        call: &'a ast::ExprCall,
        receiver: &Value,
        arguments: &Arguments,
        env: &mut Env,
    ) -> Value {
        let at = self.place(call);
        let model = self.model;
        let first = arguments.positional.first().cloned();
        let first = first.or_else(|| arguments.named.first().map(|(_, value)| value.clone()));
        let first = first.map(|value| self.whole(value, call));
        if let Some(sink) = model.sink(name) {
            let value = first.unwrap_or_else(|| arguments.spread.clone());
            self.record(at, sink, name, value.clone(), env);
            return self.stepped(&value, Some(name), Shape::Any, false, call);
        }
        if model.exits(name) {
            env.dead = true;
            return Value::unknown();
        }
        if model.is_writer(name) {
            return Atom::Pickled(at).into();
        }
        if model.stops(name) {
            return Value::clean();
        }
        if model.makes_digest(name) {
            let literal_key = first.as_ref().is_some_and(is_literal);
            let data = arguments.get(1, "msg");
            let of = data
                .iter()
                .flat_map(|v| v.taints())
                .map(Taint::identity)
                .collect();
            return Atom::Digest(Check { of, literal_key }).into();
        }
        if model.compares_digests(name) {
            return arguments
                .all()
                .flat_map(Value::atoms)
                .filter_map(|atom| match atom {
                    Atom::Digest(check) => Some(Atom::Checked(check.clone())),
                    _ => None,
                })
                .collect();
        }
        if let Some(method) = name.strip_suffix(LITERAL_KEY) {
            // Anybody can sign, so what comes out is what went in.
            let given = first.unwrap_or_else(|| arguments.spread.clone());
            let out = self.stepped(&given, Some(method), Shape::Bytes, false, call);
            return out.map_taints(&|taint| Taint {
                sham: Some("literal-key"),
                ..taint.clone()
            });
        }
        if model.verifies(name) {
            return Atom::Verified.into();
        }
        if model.makes_verifier(name) {
            let literal = first.as_ref().is_some_and(is_literal);
            return Atom::Made(Rc::clone(name), literal).into();
        }
        if let Some(returns) = model.returns(name) {
            let object = |ty: &String| match ty.as_str() {
                "" => Value::unknown(),
                ty => Atom::Object(ty.into()).into(),
            };
            return match returns.types.as_slice() {
                [ty] => object(ty),
                types => Container::sequence(types.iter().map(object)).into(),
            };
        }
        self.register(name, arguments);
        if let Some(source) = model.source(name) {
            let note = self.snippet(call);
            let trust = source.trust.unwrap_or(Trust::Unknown);
            let mut out = self.entering(trust, &source.channel, source.shape, at, note);
            // What a path from outside leads to comes from there too.
            for value in arguments.all() {
                let given = self.stepped(value, Some(name), source.shape, false, call);
                for taint in given.taints() {
                    if taint.trust < trust {
                        // What is there was written by somebody else, in a format of their choice.
                        out = Value::from(Atom::Untrusted(Taint {
                            channel: NAMED_SOURCE.into(),
                            ..taint.clone()
                        }));
                    }
                }
            }
            return out;
        }
        if let Some(step) = model.step(name) {
            let given = first.unwrap_or_else(|| arguments.spread.clone());
            return self.stepped(&given, Some(name), step.shape, step.quiet, call);
        }
        if let Some(object) = model.object(name) {
            return Atom::Object(object.name.as_str().into()).into();
        }
        self.hand_on(arguments, call, env);
        let all = arguments
            .all()
            .fold(Value::unknown(), |all, value| all.join(value));
        let passed = self.stepped(&all, Some(name), Shape::Any, false, call);
        let from_receiver = self.stepped(receiver, Some(name), Shape::Any, false, call);
        let mut out: Value = passed
            .join(&from_receiver)
            .map_taints(&|taint| taint.clone().through_unknown())
            .atoms()
            .iter()
            .filter(|atom| matches!(atom, Atom::Untrusted(_) | Atom::Pickled(_)))
            .cloned()
            .collect();
        if out.atoms().is_empty() {
            let literal = first.as_ref().is_some_and(is_literal);
            out.add(Atom::Made(Rc::clone(name), literal));
        }
        out
    }
}

/// Channel of data whose place the client names, not its content: a path, an address.
pub(super) const NAMED_SOURCE: &str = "named-source";

fn is_not_none(value: &Value) -> bool {
    !value.atoms().contains(&Atom::Const(Const::None))
}

fn is_literal(value: &Value) -> bool {
    !value.atoms().is_empty() && value.atoms().iter().all(|a| matches!(a, Atom::Const(_)))
}
