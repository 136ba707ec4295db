//! Calls: what is called, with what, and what becomes of the receiver.

use super::at::At;

use super::env::Env;
use super::expressions::dotted_path;
use super::fold;
use super::lazy::{Deferred, LOOKS};
use super::machine::{Machine, Owner};
use super::methods::is_mutator;
use super::queues::made_for;
use super::taint::Taint;
use super::uses::Doing;
use super::value::{Arguments, Atom, Const, Kind, Value};
use crate::pack::{Shape, Trust};
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};

impl<'a> Machine<'a> {
    /// `call` whose outcome goes into a local variable.
    pub(super) fn call_for_name(&mut self, call: &'a ast::ExprCall, env: &mut Env) -> Value {
        if !self.spend() {
            return Value::unknown();
        }
        let raw = self.call_expression(call, true, env);
        self.sourced(raw, call)
    }

    pub(super) fn call_expression(
        &mut self,
        call: &'a ast::ExprCall,
        lazy: bool,
        env: &mut Env,
    ) -> Value {
        let at = At {
            place: self.place(call),
            call: Some(call),
            handed: false,
            lazy,
        };
        // The receiver is evaluated once, for all that depends on it.
        match &*call.func {
            Expr::Attribute(attribute) => {
                if self.stays_deferred(&attribute.value, &attribute.attr, env) {
                    self.arguments(&call.arguments, env);
                    return Value::unknown();
                }
                let owner = self.value(&attribute.value, env);
                let arguments = self.arguments(&call.arguments, env);
                self.moved_on(at, env);
                self.call_method(call, attribute, &owner, &arguments, at, env)
            }
            func => {
                let callee = self.read(func, env);
                let looks = |atom: &Atom| match atom {
                    Atom::External(name) => {
                        let name = name.strip_prefix("builtins.");
                        name.is_some_and(|name| LOOKS.contains(&name))
                    }
                    _ => false,
                };
                let looked_at = match callee.atoms().iter().all(looks) && !callee.is_empty() {
                    true => self.hidden(&call.arguments, env),
                    false => Vec::new(),
                };
                let arguments = self.arguments(&call.arguments, env);
                for (name, value) in looked_at {
                    env.set(name, value);
                }
                let takes = |atom: &Atom| match atom {
                    Atom::External(name) => matches!(&**name, "builtins.next" | "builtins.anext"),
                    _ => false,
                };
                if !callee.atoms().iter().any(takes) {
                    self.moved_on(at, env);
                }
                self.sends(&callee, None, &Value::unknown(), &arguments);
                match self.call_value(&callee, &Value::unknown(), &arguments, at, env) {
                    Some(value) => value,
                    None => {
                        let passed = callee.filter(|a| matches!(a, Atom::Container(_)));
                        self.call_unknown(None, &passed, &arguments, at, env)
                    }
                }
            }
        }
    }

    /// Takes what waits out of the variables that a call is given, so that it stays waiting.
    fn hidden(&self, arguments: &ast::Arguments, env: &mut Env) -> Vec<(Name, Value)> {
        let mut hidden = Vec::new();
        for argument in &arguments.args {
            if let Expr::Name(name) = argument
                && let Some(value) = env.get(&name.id)
                && value.atoms().iter().any(|a| matches!(a, Atom::Deferred(_)))
            {
                hidden.push((name.id.clone(), value.clone()));
                env.set(name.id.clone(), Value::clean());
            }
        }
        hidden
    }

    pub(super) fn arguments(&mut self, arguments: &'a ast::Arguments, env: &mut Env) -> Arguments {
        let mut out = Arguments::default();
        for argument in &arguments.args {
            let Expr::Starred(star) = argument else {
                let value = self.value(argument, env);
                out.positional.push(value);
                continue;
            };
            let value = self.value(&star.value, env);
            match value.atoms() {
                [Atom::Container(container)]
                    if container.in_order().is_some() && out.spread.is_empty() =>
                {
                    out.positional
                        .extend(container.in_order().unwrap_or_default());
                }
                _ => {
                    let any = self.iterated(&value, self.place(argument));
                    out.spread = std::mem::take(&mut out.spread).join(&any);
                }
            }
        }
        for keyword in &arguments.keywords {
            let value = self.value(&keyword.value, env);
            let Some(name) = &keyword.arg else {
                for atom in value.atoms() {
                    let rest = match atom {
                        Atom::Container(container) => {
                            for (key, value) in &container.items {
                                if let Const::Str(name) = key {
                                    out.named.push((Name::new(name), value.clone()));
                                }
                            }
                            container.rest.clone()
                        }
                        atom => self.item(&atom.clone().into(), None, self.place(keyword)),
                    };
                    out.spread = std::mem::take(&mut out.spread).join(&rest);
                }
                continue;
            };
            out.named.push((name.id.clone(), value));
        }
        out
    }

    fn call_method(
        &mut self,
        call: &'a ast::ExprCall,
        attribute: &'a ast::ExprAttribute,
        owner: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let name = &*self.mangled(&attribute.attr.id);
        self.addressed(attribute, name, arguments);
        // Whatever the receiver is: its methods' names say what they do.
        self.sends(&Value::unknown(), Some(name), owner, arguments);
        self.note_method(owner, attribute, name, arguments, at);
        self.note_given(&format!(".{name}"), arguments, at);
        self.note_hashed_by(owner, attribute, arguments, at);
        self.note_poured(attribute, arguments, at.place);
        self.note_dispatch(attribute, owner, arguments);
        let mut out = Value::unknown();
        let mut after = Value::unknown();
        let mut changed = false;
        let mut unknown = Value::unknown();
        for atom in owner.atoms() {
            let own: Value = atom.clone().into();
            let mut kept = atom.clone();
            let result = match atom {
                // A function that is kept in a namespace.
                Atom::Container(container)
                    if container.kind == Kind::Bag
                        && container.items.contains_key(&Const::Str(name.into())) =>
                {
                    let callee = container.at(Some(&Const::Str(name.into())));
                    let none = Value::unknown();
                    self.call_value(&callee, &none, arguments, at, env)
                }
                Atom::Container(container) => {
                    let mut container = (**container).clone();
                    let result = match container.is_buffer() {
                        true => self.buffer_method(&mut container, name, arguments, at, env),
                        false => self.container_method(&mut container, name, arguments, at),
                    };
                    let now = Atom::container(container);
                    changed |= now != kept;
                    kept = now;
                    Some(result)
                }
                Atom::Const(_) | Atom::Pattern(_) if is_mutator(name) => {
                    // A bytearray, a buffer.
                    if let Some(grown) = self.grown(name, arguments) {
                        after = after.join(&grown);
                        changed = true;
                    }
                    Some(Const::None.into())
                }
                Atom::Const(Const::Str(text) | Const::Bytes(text)) => {
                    if matches!(atom, Atom::Const(Const::Bytes(_))) {
                        self.note_bytes(arguments, at.place);
                    }
                    if name == "format" {
                        self.note_format(text, arguments, at.place);
                    }
                    Some(self.text_method(text, name, arguments, at))
                }
                // A method of `None` gives nothing.
                Atom::Const(Const::None) => Some(Value::unknown()),
                Atom::Const(_) | Atom::Pattern(_) => {
                    // An object that a framework gives.
                    if let Some(apply) = self.model.apply("", name) {
                        self.applied(apply, arguments, at, env);
                    }
                    Some(self.text_method("\0", name, arguments, at))
                }
                Atom::Digest(check) if name == "update" => {
                    self.note_bytes(arguments, at.place);
                    let mut fed = check.clone();
                    let given = arguments.any();
                    fed.of
                        .extend(given.taints().into_iter().map(Taint::identity));
                    kept = Atom::Digest(fed);
                    changed = true;
                    Some(Const::None.into())
                }
                Atom::Number(taint) => Some(match name {
                    "to_bytes" => {
                        let given = Atom::Untrusted((**taint).clone()).into();
                        self.stepped(&given, None, Shape::Bytes, false, at.place)
                    }
                    _ => Value::clean(),
                }),
                Atom::Digest(_) => Some(own),
                Atom::Pickled(..) | Atom::Verified => Some(own),
                Atom::Untrusted(taint) => {
                    self.sets_by_call(taint, arguments);
                    if let Some(grown) = self.received(taint, name, arguments, at) {
                        after = after.join(&grown);
                        changed = true;
                    }
                    Some(self.call_member(taint, name, arguments, at, env))
                }
                _ => {
                    let callee = self.attribute_called(&own, name, at, env);
                    self.sends(&callee, Some(name), &own, arguments);
                    if let Atom::Class(class) = atom
                        && self.is_row(*class)
                    {
                        self.sets_columns(Some(*class), arguments);
                    }
                    let result = self.call_value(&callee, &own, arguments, at, env);
                    let result = match self.context(atom, name, arguments, at) {
                        Some(kept) => Some(result.unwrap_or_default().join(&kept)),
                        None => result,
                    };
                    if matches!(atom, Atom::Made(_) | Atom::Object(_))
                        && let Some(grown) = self.grown(name, arguments)
                    {
                        after = after.join(&grown);
                        changed = true;
                    }
                    result
                }
            };
            after.add(kept);
            match result {
                Some(result) => out = out.join(&result),
                None => unknown.add(atom.clone()),
            }
        }
        if owner.is_empty() || !unknown.is_empty() {
            let result = self.call_unknown(Some(name), &unknown, arguments, at, env);
            out = out.join(&result);
            if owner.is_empty()
                && let Some(grown) = self.grown(name, arguments)
            {
                after = after.join(&grown);
                changed = true;
            }
        }
        out = self.by_open_queue(name, arguments, at.place, out);
        self.rows_by(arguments, &out);
        if matches!(
            name,
            "recv_into" | "readinto" | "recvfrom_into" | "readinto1"
        ) {
            // What is read goes into the buffer.
            let read = match out.is_untrusted() {
                true => out.clone(),
                false => owner.clone(),
            };
            let taints = read.taints().into_iter().cloned().map(Atom::Untrusted);
            let taints: Value = taints.collect();
            // Of an object that is modelled: what its `recv` or `read` gives.
            let mut taints = taints;
            if taints.is_empty() {
                let plain = name.trim_end_matches("1").trim_end_matches("_into");
                let plain = plain.replace("readinto", "read");
                let read = self.attribute(owner, &plain, at, env);
                taints = read.filter(|atom| matches!(atom, Atom::Untrusted(_)));
            }
            if let Some(buffer) = call.arguments.args.first()
                && !taints.is_empty()
            {
                self.store_into(buffer, taints, env);
            }
        }
        if out.is_untrusted() && self.is_loopback(at) {
            // Another process of the same machine.
            out = out.map_taints(&|taint| match taint.trust {
                Trust::Network => Taint {
                    trust: Trust::File,
                    channel: "loopback".into(),
                    ..taint.clone()
                },
                _ => taint.clone(),
            });
        }
        if changed {
            self.store_into(&attribute.value, after, env);
        } else if let Expr::Name(name) = &*attribute.value {
            // The method may have changed its object's fields.
            env.forget(&name.id);
        }
        out
    }

    /// Notes whether `socket.bind(address)` means this machine alone.
    fn addressed(&mut self, attribute: &ast::ExprAttribute, name: &str, arguments: &Arguments) {
        const LOCAL: [&str; 5] = [
            "tcp://127.",
            "tcp://localhost",
            "ipc://",
            "inproc://",
            "tcp://[::1]",
        ];
        let (true, Some(address)) = (
            matches!(name, "bind" | "connect"),
            arguments.positional.first(),
        ) else {
            return;
        };
        let text = fold::key_text(address);
        if let (Some(path), true) = (dotted_path(&attribute.value), text.contains("://")) {
            let local = LOCAL.iter().any(|start| text.starts_with(start));
            let key = format!("{:?} {path}", self.file());
            self.set_field(Owner::Store("address".into()), &key, &Value::bool(local));
        }
    }

    /// Whether the receiver of the call at `at` is a socket that this machine alone can reach.
    pub(super) fn is_loopback(&mut self, at: At) -> bool {
        let Some(Expr::Attribute(attribute)) = at.call.map(|call| &*call.func) else {
            return false;
        };
        let Some(path) = dotted_path(&attribute.value) else {
            return false;
        };
        let key = format!("{:?} {path}", self.file());
        let known = self.field(&Owner::Store("address".into()), &key);
        known.is_some_and(|value| value.truth() == Some(true))
    }

    /// What an object of unknown kind holds more after `append` and its like.
    fn grown(&self, name: &str, arguments: &Arguments) -> Option<Value> {
        if !is_mutator(name) {
            return None;
        }
        let given = arguments.any();
        let taints = given.taints();
        if taints.is_empty() {
            return None;
        }
        Some(
            taints
                .into_iter()
                .map(|taint| {
                    // The object is not what it holds.
                    Atom::Untrusted(Taint {
                        loaded: None,
                        ..taint.clone()
                    })
                })
                .collect(),
        )
    }

    /// What untrusted data, a stream for example, holds more after `write` and its like; files keep it under their path.
    fn received(
        &mut self,
        taint: &Taint,
        name: &str,
        arguments: &Arguments,
        _at: At<'a>,
    ) -> Option<Value> {
        if !is_mutator(name) {
            return None;
        }
        if let Some(key) = &taint.key
            && *taint.channel == *super::stores::LOCAL_FILE
        {
            self.write_store(&taint.channel, key, &arguments.any());
        }
        self.grown(name, arguments)
    }

    /// Calls each thing that `callee` can be; nothing when none of them is understood.
    pub(super) fn call_value(
        &mut self,
        callee: &Value,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Option<Value> {
        self.note_use(callee, at.place, || Doing::Called);
        let mut out = None;
        for atom in callee.atoms() {
            let result = match atom {
                Atom::External(name) => {
                    let found = self.call_external(name, receiver, arguments, at, env);
                    self.rows_by(arguments, &found);
                    self.by_queue(name, arguments, at.place, found)
                }
                Atom::Function(id, bound)
                    if at.lazy && self.function(*id).is_some_and(|f| self.is_lazy(&f)) =>
                {
                    let at = At { lazy: false, ..at };
                    self.defer(Deferred::Call(*id, *bound, arguments.clone(), at))
                }
                Atom::Function(id, bound) => {
                    let (value, changed) = self.call(*id, *bound, arguments, at.place, env);
                    self.give_back(&changed, at, env);
                    value
                }
                Atom::Class(class) => {
                    let made = self.construct(*class, arguments, at, env);
                    self.forget_passed(at, env);
                    made
                }
                Atom::Record(fields) => Self::named_tuple(fields, arguments),
                Atom::Instance(instance) => {
                    let method = self.member(*instance, "__call__", at, env);
                    if method.is_empty() {
                        continue;
                    }
                    self.call_value(&method, &atom.clone().into(), arguments, at, env)?
                }
                Atom::Partial(partial) => {
                    let all = arguments.after(&partial.arguments);
                    self.apply(&partial.function, &all, at, env)
                }
                Atom::Made(made) if made.name.starts_with("operator.") => {
                    match self.got_by(&made.clone(), arguments, at, env) {
                        Some(value) => value,
                        None => continue,
                    }
                }
                Atom::Untrusted(taint) => self.call_member_itself(taint, arguments, at),
                Atom::Object(_) => atom.clone().into(),
                Atom::Made(made) if made_for(made).is_some() => atom.clone().into(),
                Atom::Verified | Atom::Pickled(..) => atom.clone().into(),
                Atom::More(code) => {
                    self.bounds.lose(*code);
                    self.opaque(arguments)
                }
                _ => continue,
            };
            out = Some(out.unwrap_or_else(Value::unknown).join(&result));
        }
        out
    }

    /// `attrgetter("loads")(owner)`, `methodcaller("loads", data)(owner)`.
    fn got_by(
        &mut self,
        made: &super::value::Made,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Option<Value> {
        let owner = arguments.positional.first()?;
        let (name, given) = made.arguments.positional.split_first()?;
        match &*made.name {
            "operator.attrgetter" if given.is_empty() => {
                let mut value = owner.clone();
                for part in name.text()?.split('.') {
                    value = self.attribute(&value, part, at, env);
                }
                Some(value)
            }
            "operator.methodcaller" => {
                let callee = self.attribute(owner, &name.text()?, at, env);
                let given = Arguments {
                    positional: given.to_vec(),
                    ..made.arguments.clone()
                };
                self.call_value(&callee, owner, &given, at, env)
            }
            _ => None,
        }
    }

    /// Calls `function` with `arguments`, whatever it is.
    pub(super) fn apply(
        &mut self,
        function: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let none = Value::unknown();
        match self.call_value(function, &none, arguments, at, env) {
            Some(value) => value,
            None => {
                let all = arguments.any();
                let out = self.stepped(&all, None, Shape::Any, false, at.place);
                out.map_taints(&|taint| taint.clone().through_unknown())
            }
        }
    }
}
