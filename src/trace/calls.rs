//! Calls: what is called, with what, and what becomes of the objects that it changes.

use std::rc::Rc;

use super::columns::DATABASE;
use super::env::Env;
use super::expressions::dotted_path;
use super::fold;
use super::iterators::in_order;
use super::lazy::{Deferred, LOOKS};
use super::machine::{Machine, Owner};
use super::methods::{is_mutator, split_pieces};
use super::queues::made_for;
use super::taint::{Hop, HopKind, Place, Taint};
use super::uses::Doing;
use super::value::{Arguments, Atom, Const, Container, Kind, Role, Value};
use crate::pack::{Shape, Trust};
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};
use crate::python::span;

/// A call: where it stands, and its syntax.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'c> {
    pub place: Place,
    pub call: Option<&'c ast::ExprCall>,
    /// The function that is called is an argument of the call there, not its callee.
    pub handed: bool,
    /// What it gives goes into a local variable: what need not run at once waits.
    pub lazy: bool,
}

impl<'c> At<'c> {
    /// A place that is no call.
    pub fn place(place: Place) -> At<'c> {
        At {
            place,
            call: None,
            handed: false,
            lazy: false,
        }
    }

    /// The same, for a function that the call is given.
    pub fn of_function(self, _argument: usize) -> At<'c> {
        At {
            handed: true,
            lazy: false,
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

    /// Names that are passed as arguments.
    pub fn names(&self) -> impl Iterator<Item = &'c Name> {
        let arguments = self.call.into_iter().map(|call| &call.arguments);
        let all = arguments.flat_map(|all| {
            let keywords = all.keywords.iter().map(|k| &k.value);
            all.args.iter().chain(keywords)
        });
        all.filter_map(|expr| Some(&expr.as_name_expr()?.id))
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
            Expr::Attribute(attribute) => {
                let owner = self.value(&attribute.value, env);
                for atom in owner.atoms() {
                    if let Atom::Instance(instance) = atom {
                        self.change_in_class(*instance, &attribute.attr, &value);
                    }
                }
                self.assign(target, value, env);
            }
            // `memoryview(buffer)`: the buffer.
            Expr::Call(call)
                if call
                    .func
                    .as_name_expr()
                    .is_some_and(|n| n.id == "memoryview") =>
            {
                if let Some(buffer) = call.arguments.args.first() {
                    let mut buffers = self.value(buffer, env);
                    let taints = value.taints().into_iter().cloned().map(Atom::Untrusted);
                    buffers = buffers.join(&taints.collect());
                    self.store_into(buffer, buffers, env);
                }
            }
            Expr::Subscript(node) => {
                let key = self.value(&node.slice, env);
                let owner = self.value(&node.value, env);
                let mut after = Value::unknown();
                let mut changed = false;
                for atom in owner.atoms() {
                    after.add(match atom {
                        Atom::Container(container) => {
                            let mut container = (**container).clone();
                            container.put(&key, value.clone());
                            changed = true;
                            Atom::container(container)
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
            self.apply(function, &Arguments::one(item), at.of_function(0), env);
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
