//! Calls: what is called, with what, and what becomes of the objects that it changes.

use std::rc::Rc;

use super::env::Env;
use super::expressions::dotted_path;
use super::fold;
use super::machine::{Machine, Owner};
use super::taint::{Hop, HopKind, Place, Taint};
use super::value::{Arguments, Atom, Const, Container, Kind, Value};
use crate::pack::{Shape, Trust};
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};
use crate::python::span;

/// Methods by this name that an unknown receiver may mean.
const MOST_CANDIDATES: usize = 6;

/// A call: where it stands, and its syntax.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'c> {
    pub place: Place,
    pub call: Option<&'c ast::ExprCall>,
    /// The function that is called is an argument of the call there, not its callee.
    pub handed: bool,
}

impl<'c> At<'c> {
    /// A place that is no call.
    pub fn place(place: Place) -> At<'c> {
        At {
            place,
            call: None,
            handed: false,
        }
    }

    /// The same, for a function that the call is given.
    pub fn of_function(self, _argument: usize) -> At<'c> {
        At {
            handed: true,
            ..self
        }
    }

    /// Where the first argument stands.
    pub fn first(&self) -> Option<Place> {
        let first = self.call?.arguments.args.first()?;
        Some(self.within(self.place.file, first))
    }

    fn within(&self, file: FileId, expr: &Expr) -> Place {
        Place {
            file,
            span: span(expr),
        }
    }

    /// Where the arguments stand.
    pub fn arguments(&self) -> Vec<Place> {
        let Some(call) = self.call else {
            return Vec::new();
        };
        let keywords = call.arguments.keywords.iter().map(|k| &k.value);
        let all = call.arguments.args.iter().chain(keywords);
        all.map(|expr| self.within(self.place.file, expr)).collect()
    }
}

impl<'a> Machine<'a> {
    pub(super) fn call_expression(&mut self, call: &'a ast::ExprCall, env: &mut Env) -> Value {
        let at = At {
            place: self.place(call),
            call: Some(call),
            handed: false,
        };
        // The receiver is evaluated once, for all that depends on it.
        match &*call.func {
            Expr::Attribute(attribute) => {
                let owner = self.value(&attribute.value, env);
                let arguments = self.arguments(&call.arguments, env);
                self.call_method(call, attribute, &owner, &arguments, at, env)
            }
            func => {
                let callee = self.read(func, env);
                let arguments = self.arguments(&call.arguments, env);
                self.sends(&callee, None, &arguments);
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
        let name = attribute.attr.as_str();
        self.addressed(attribute, name, arguments);
        let mut out = Value::unknown();
        let mut after = Value::unknown();
        let mut changed = false;
        let mut unknown = Value::unknown();
        for atom in owner.atoms() {
            let own: Value = atom.clone().into();
            let mut kept = atom.clone();
            let result = match atom {
                Atom::Container(container) => {
                    let mut container = (**container).clone();
                    let result = self.container_method(&mut container, name, arguments, at);
                    let now = Atom::Container(Rc::new(container));
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
                    Some(self.text_method(text, name, arguments, at))
                }
                // A method of `None` gives nothing.
                Atom::Const(Const::None) => Some(Value::unknown()),
                Atom::Const(_) | Atom::Pattern(_) => {
                    Some(self.text_method("\0", name, arguments, at))
                }
                Atom::Digest(check) if name == "update" => {
                    let mut fed = check.clone();
                    let given = arguments.any();
                    fed.of
                        .extend(given.taints().into_iter().map(Taint::identity));
                    kept = Atom::Digest(fed);
                    changed = true;
                    Some(Const::None.into())
                }
                Atom::Digest(_) => Some(own),
                Atom::Pickled(_) | Atom::Verified => Some(own),
                Atom::Untrusted(taint) => {
                    if let Some(grown) = self.received(taint, name, arguments, at) {
                        after = after.join(&grown);
                        changed = true;
                    }
                    Some(self.call_member(taint, name, arguments, at, env))
                }
                _ => {
                    let callee = self.attribute_called(&own, name, at, env);
                    self.sends(&callee, Some(name), arguments);
                    let result = self.call_value(&callee, &own, arguments, at, env);
                    let is_context =
                        matches!(atom, Atom::Made(made) if made.name.ends_with(".ContextVar"));
                    let name = if is_context && name == "set" {
                        "put"
                    } else {
                        name
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
            self.sends(&Value::unknown(), Some(name), arguments);
            let result = self.call_unknown(Some(name), &unknown, arguments, at, env);
            out = out.join(&result);
            if owner.is_empty()
                && let Some(grown) = self.grown(name, arguments)
            {
                after = after.join(&grown);
                changed = true;
            }
        }
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
            if let Some(buffer) = call.arguments.args.first() {
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
                .map(|taint| Atom::Untrusted(taint.clone()))
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
        let mut out = None;
        for atom in callee.atoms() {
            let result = match atom {
                Atom::External(name) => self.call_external(name, receiver, arguments, at, env),
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
                Atom::Untrusted(taint) => self.call_member_itself(taint, arguments, at),
                Atom::Object(_) => atom.clone().into(),
                Atom::Verified | Atom::Pickled(_) => atom.clone().into(),
                _ => continue,
            };
            out = Some(out.unwrap_or_else(Value::unknown).join(&result));
        }
        out
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

    /// Arguments whose objects the callee changed hold that now.
    fn give_back(&mut self, changed: &[(usize, Value)], at: At<'a>, env: &mut Env) {
        self.forget_passed(at, env);
        let Some(call) = at.call.filter(|_| !at.handed) else {
            return;
        };
        for (n, value) in changed {
            if let Some(argument) = call.arguments.args.get(*n) {
                self.store_into(argument, value.clone(), env);
            }
        }
    }

    /// Fields of objects that are passed on may change.
    fn forget_passed(&self, at: At<'a>, env: &mut Env) {
        let Some(call) = at.call else {
            return;
        };
        let keywords = call.arguments.keywords.iter().map(|k| &k.value);
        let receiver = match &*call.func {
            Expr::Attribute(attribute) => Some(&*attribute.value),
            _ => None,
        };
        let passed = call.arguments.args.iter().chain(keywords).chain(receiver);
        for expr in passed {
            if let Expr::Name(name) = expr {
                env.forget(&name.id);
            }
        }
    }

    /// Puts `value` where `target` reads from: a variable, a field, an element.
    pub(super) fn store_into(&mut self, target: &'a Expr, value: Value, env: &mut Env) {
        match target {
            Expr::Name(name) => self.store_name(&name.id, value, env),
            Expr::Attribute(_) => self.assign(target, value, env),
            Expr::Subscript(node) => {
                let key = self.value(&node.slice, env);
                let owner = self.value(&node.value, env);
                let mut after = Value::unknown();
                let mut changed = false;
                for atom in owner.atoms() {
                    after.add(match atom {
                        Atom::Container(container) => {
                            let mut container = (**container).clone();
                            container.set(key.constant(), value.clone());
                            changed = true;
                            Atom::Container(Rc::new(container))
                        }
                        other => other.clone(),
                    });
                }
                if changed {
                    self.store_into(&node.value, after, env);
                }
            }
            _ => {}
        }
    }

    /// An object that `name` refers to has changed in place: a local one, or one of the functions or the module around.
    fn store_name(&mut self, name: &Name, value: Value, env: &mut Env) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        if env.get(name).is_some() {
            frame.changed.push(name.clone());
            let is_module = frame.is_module() || frame.globals.contains(name);
            env.change(name, &value);
            if is_module {
                let twins = env.twins(name);
                self.bind(name, value, env);
                twins.iter().for_each(|twin| env.twin(name, twin));
            }
            return;
        }
        if let Some(outer) = frame.outer.clone()
            && outer.get(name).is_some()
        {
            outer.assign(name, &value);
            return;
        }
        let file = frame.file;
        let home = self.modules.get(&file).and_then(|vars| {
            let vars = vars.borrow();
            vars.get(name)?.atoms().iter().find_map(|atom| match atom {
                Atom::Imported(home, name) => Some((*home, name.clone())),
                _ => None,
            })
        });
        let (file, name) = home.unwrap_or((file, name.clone()));
        self.set_field(Owner::Module(file), &name, &value);
    }

    /// `untrusted(...)`: the member of an object, which is the source itself, called.
    fn call_member_itself(&mut self, taint: &Taint, arguments: &Arguments, at: At<'a>) -> Value {
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
        if let Some(key) = first.and_then(Value::text)
            && taint.key.is_none()
        {
            taint.part = format!("{}{key:?}", taint.part).into();
            taint.key = Some(key);
        }
        Atom::Untrusted(taint).into()
    }

    /// `untrusted.method(...)`.
    fn call_member(
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
        let widened = taint.widen(at.place, || self.snippet(at.place), shape);
        let mut taint = widened.unwrap_or_else(|| {
            let quiet = step.is_some_and(|s| s.quiet);
            let note = self.snippet(at.place);
            taint.then(Hop::new(at.place, HopKind::Step, note, shape, quiet))
        });
        taint = taint.raising(&raises);
        taint.text = None;
        if step.is_none() {
            taint = taint.through_unknown();
        }
        let is_lookup = matches!(name, "get" | "getlist" | "pop");
        if !is_lookup {
            taint.exact &= matches!(name, "strip" | "encode" | "decode");
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
        let value: Value = Atom::Untrusted(taint).into();
        self.hand_on(arguments, at, env);
        match fallback {
            Some(fallback) => value.join(fallback),
            None => value,
        }
    }

    /// `text.method(...)` of a text that is a constant, or carries no payload.
    fn text_method(&mut self, text: &str, name: &str, arguments: &Arguments, at: At<'a>) -> Value {
        if !text.contains('\0')
            && let Some(value) = fold::method(text, name, arguments)
        {
            return value;
        }
        if let ("format", Some(parts)) = (name, format_parts(text, arguments)) {
            return self.combined(&parts);
        }
        let given = match name {
            // Neither says anything of what comes out.
            "startswith" | "endswith" | "split" | "rsplit" | "strip" | "lstrip" | "rstrip"
            | "removeprefix" | "removesuffix" | "partition" | "rpartition" | "find" | "index"
            | "count" | "encode" | "decode" => Value::unknown(),
            "replace" => arguments.positional.get(1).cloned().unwrap_or_default(),
            _ => arguments.any(),
        };
        let out = self.stepped(&given, None, Shape::Bytes, true, at.place);
        match out.is_untrusted() || out.pickled().is_some() {
            true => out.filter(|atom| !matches!(atom, Atom::Const(_))),
            false if matches!(name, "split" | "rsplit" | "partition" | "splitlines") => {
                Container::of(Value::clean()).into()
            }
            false => Value::clean(),
        }
    }

    /// A method of a list, tuple, set or dictionary; changes the container as Python does.
    fn container_method(
        &mut self,
        container: &mut Container,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Value {
        let first = arguments.positional.first().cloned().unwrap_or_default();
        let second = arguments.positional.get(1).cloned();
        let index = |value: &Value| match value.constant() {
            Some(Const::Int(n)) => Some(*n),
            _ => None,
        };
        match name {
            "append" | "add" | "put" | "put_nowait" | "push" => {
                match container.kind {
                    Kind::Sequence(_) => container.insert(None, first),
                    _ => container.blur(&first),
                }
                Const::None.into()
            }
            "appendleft" => {
                container.insert(Some(0), first);
                Const::None.into()
            }
            "insert" => {
                let at = index(&first).and_then(|n| usize::try_from(n).ok());
                match (at, second) {
                    (Some(at), Some(value)) => container.insert(Some(at), value),
                    (_, value) => container.blur(&value.unwrap_or_default()),
                }
                Const::None.into()
            }
            "extend" | "extendleft" => {
                match (container.in_order(), first.atoms()) {
                    (Some(mut items), [Atom::Container(more)])
                        if name == "extend" && more.in_order().is_some() =>
                    {
                        items.extend(more.in_order().unwrap_or_default());
                        *container = Container::sequence(items);
                    }
                    _ => {
                        let more = self.iterated(&first, at.place);
                        container.blur(&more);
                    }
                }
                Const::None.into()
            }
            "pop" | "popleft" if container.kind != Kind::Mapping => {
                if let Kind::Sequence(Some(_)) = container.kind {
                    let at = match name {
                        "popleft" => Some(0),
                        _ if arguments.positional.is_empty() => Some(-1),
                        _ => index(&first),
                    };
                    match at {
                        Some(at) => return container.remove(at),
                        None => {
                            let any = container.any();
                            container.blur(&Value::unknown());
                            return any;
                        }
                    }
                }
                container.any()
            }
            "remove" | "clear" | "discard" | "reverse" | "sort" => {
                match name {
                    "clear" => {
                        let kind = container.kind;
                        *container = Container {
                            kind: match kind {
                                Kind::Sequence(_) => Kind::Sequence(Some(0)),
                                kind => kind,
                            },
                            ..Container::default()
                        };
                    }
                    "remove" => {
                        let position = container.in_order().and_then(|items| {
                            let constant = first.constant()?;
                            let all = items.iter().all(|v| v.constant().is_some());
                            let found = items.iter().position(|v| v.constant() == Some(constant));
                            // Without it another element may be equal to what is removed.
                            found.filter(|n| {
                                all || items.iter().take(*n).all(|v| v.constant().is_some())
                            })
                        });
                        match position.and_then(|n| i64::try_from(n).ok()) {
                            Some(at) => {
                                container.remove(at);
                            }
                            None => container.blur(&Value::unknown()),
                        }
                    }
                    "reverse" => {
                        if let Some(mut items) = container.in_order() {
                            items.reverse();
                            *container = Container::sequence(items);
                        }
                    }
                    _ => container.blur(&Value::unknown()),
                }
                Const::None.into()
            }
            "set" if arguments.positional.len() == 3 => {
                let section = first.constant().cloned();
                let option = second.clone().unwrap_or_default();
                let value = arguments.positional.get(2).cloned().unwrap_or_default();
                let mut inner = match container.at(section.as_ref()).atoms() {
                    [Atom::Container(inner)] => (**inner).clone(),
                    _ => Container {
                        kind: Kind::Mapping,
                        ..Container::default()
                    },
                };
                inner.set(option.constant(), value);
                container.set(section.as_ref(), inner.into());
                Const::None.into()
            }
            "read" | "read_file" | "read_string" if container.kind == Kind::Mapping => {
                let read = match name {
                    "read" => self.opened(&first, Shape::Mapping, at),
                    _ => self.stepped(&first, None, Shape::Mapping, false, at.place),
                };
                container.rest = container.rest.clone().join(&read);
                Value::clean()
            }
            "add_section" => {
                let inner = Container {
                    kind: Kind::Mapping,
                    ..Container::default()
                };
                container.set(first.constant(), inner.into());
                Const::None.into()
            }
            "get" | "getint" | "getfloat" | "getboolean"
                if second.is_some()
                    && container
                        .at(first.constant())
                        .any_atom(&|a| matches!(a, Atom::Container(_))) =>
            {
                let option = second.unwrap_or_default();
                let found = self.item(&container.at(first.constant()), option.constant(), at.place);
                match name {
                    "get" => {
                        let fallback = arguments.named("fallback").cloned();
                        match found.is_empty() {
                            true => fallback.unwrap_or_default(),
                            false => found,
                        }
                    }
                    _ => Value::clean(),
                }
            }
            "get" | "pop" | "setdefault" | "getlist" => {
                let key = first.constant().cloned();
                let there = key
                    .as_ref()
                    .is_some_and(|k| container.items.contains_key(k));
                let found = container.at(key.as_ref());
                let default = match (second, name) {
                    (Some(default), _) => default,
                    (None, "get") => Const::None.into(),
                    (None, _) => Value::unknown(),
                };
                let value = match there {
                    true => found,
                    false => found.join(&default),
                };
                match (name, key) {
                    ("pop", Some(key)) => {
                        container.items.remove(&key);
                    }
                    ("setdefault", key) if !there => container.set(key.as_ref(), value.clone()),
                    _ => {}
                }
                value
            }
            "update" => {
                for atom in first.atoms() {
                    match atom {
                        Atom::Container(other) if other.kind == Kind::Mapping => {
                            for (key, value) in &other.items {
                                container.items.insert(key.clone(), value.clone());
                            }
                            container.rest = container.rest.clone().join(&other.rest);
                            container.keys = container.keys.clone().join(&other.keys);
                        }
                        other => {
                            let any = self.item(&other.clone().into(), None, at.place);
                            container.rest = container.rest.clone().join(&any);
                        }
                    }
                }
                for (name, value) in &arguments.named {
                    let key = Const::Str(name.as_str().into());
                    container.items.insert(key, value.clone());
                }
                Const::None.into()
            }
            "keys" => {
                let keys = Value::from(Atom::Container(Rc::new(container.clone())));
                Container::of(self.iterated(&keys, at.place)).into()
            }
            "values" => match container.kind {
                Kind::Mapping => Container::of(container.any()).into(),
                _ => container.any(),
            },
            "items" => {
                let mut pairs: Vec<Value> = Vec::new();
                for (key, value) in &container.items {
                    let key = Atom::Const(key.clone()).into();
                    pairs.push(Container::sequence([key, value.clone()]).into());
                }
                if !container.rest.is_empty() || !container.keys.is_empty() {
                    let pair = [container.keys.clone(), container.rest.clone()];
                    pairs.push(Container::sequence(pair).into());
                }
                let any = pairs.iter().fold(Value::unknown(), |all, p| all.join(p));
                Container::of(any).into()
            }
            "popitem" => {
                let any = container.any();
                Container::sequence([Value::clean(), any]).into()
            }
            "copy" | "union" | "difference" | "intersection" => {
                let mut out = container.clone();
                for value in &arguments.positional {
                    out.blur(&self.iterated(value, at.place));
                }
                out.into()
            }
            "index" | "count" | "issubset" | "issuperset" | "isdisjoint" => Value::clean(),
            "_replace" | "_asdict" => {
                let mut out = container.clone();
                for (name, value) in &arguments.named {
                    let key = Const::Str(name.as_str().into());
                    out.items.insert(key, value.clone());
                }
                out.into()
            }
            // A named tuple's function field, a list's `join` of something else.
            _ => {
                let any = container.any().join(&arguments.any());
                self.stepped(&any, None, Shape::Any, false, at.place)
            }
        }
    }

    /// A call of something that nothing is known of: it may return what it was given. A method may be one of the
    /// project's that lead to loads.
    fn call_unknown(
        &mut self,
        method: Option<&str>,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        if let Some(name) = method {
            if let Some(sink) = self.model.open_sink(name) {
                return self.reach_sink(sink, name, receiver, arguments, at, env);
            }
            if let Some(value) = self.open_source_value(name, at) {
                return value;
            }
            self.register_open(name, arguments);
        }
        let all = arguments
            .all()
            .fold(receiver.clone(), |all, value| all.join(value));
        self.hand_on(arguments, at, env);
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
        let kept = |atom: &Atom| matches!(atom, Atom::Untrusted(_) | Atom::Pickled(_));
        out.filter(kept).join(&found)
    }

    /// Calls the project's methods called `name` that lead to loads, for a receiver that nothing is known of.
    fn dispatched(
        &mut self,
        name: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let candidates = self.leading.get(name).cloned().unwrap_or_default();
        let is_data = receiver
            .atoms()
            .iter()
            .any(|a| matches!(a, Atom::Untrusted(_) | Atom::Const(_)));
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
                        let at = at.of_function(0);
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
                        self.apply(&partial.function.clone(), &all, at.of_function(0), env);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The pieces of a text that is split, some of which are constant.
fn split_pieces(taint: &Taint, name: &str, arguments: &Arguments) -> Option<Value> {
    let text = taint.text.as_deref()?;
    let separator = arguments.positional.first()?.text()?;
    let (first, last) = fold::known_pieces(text, &separator);
    if first.is_none() && last.is_none() {
        return None;
    }
    let rest: Value = Atom::Untrusted(Taint {
        text: None,
        ..taint.clone()
    })
    .into();
    let piece = |known: Option<Const>| known.map_or(rest.clone(), Value::from);
    Some(match name {
        "split" | "rsplit" => {
            let mut container = Container::of(rest.clone());
            container.kind = Kind::Sequence(None);
            let ends = [(0, first), (-1, last)];
            for (at, known) in ends {
                if let Some(known) = known {
                    container.items.insert(Const::Int(at), known.into());
                }
            }
            container.into()
        }
        "partition" => Container::sequence([piece(first), Value::clean(), rest.clone()]).into(),
        "rpartition" => Container::sequence([rest.clone(), Value::clean(), piece(last)]).into(),
        _ => return None,
    })
}

/// Whether a method so called puts its arguments into its receiver.
pub(super) fn is_mutator(name: &str) -> bool {
    matches!(
        name,
        "append"
            | "appendleft"
            | "add"
            | "insert"
            | "extend"
            | "extendleft"
            | "update"
            | "write"
            | "writelines"
            | "put"
            | "put_nowait"
            | "push"
    )
}

/// What `"...{}...".format(...)` is made of.
fn format_parts(text: &str, arguments: &Arguments) -> Option<Vec<Value>> {
    if text.contains('\0') || !arguments.spread.is_empty() {
        return None;
    }
    let mut parts: Vec<Value> = Vec::new();
    let mut rest = text;
    let mut next = 0;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}')?;
        parts.push(Value::str(before));
        let value = match (field, field.parse::<usize>()) {
            ("", _) => {
                next += 1;
                arguments.positional.get(next - 1)
            }
            (_, Ok(n)) => arguments.positional.get(n),
            (name, _) => arguments.named(name),
        };
        let value = value.cloned().unwrap_or_default();
        let shown = value.constant().and_then(fold::shown);
        parts.push(shown.map_or(value, |text| Value::str(&text)));
        rest = after;
    }
    parts.push(Value::str(rest));
    Some(parts)
}
