//! Statements: how each changes the state.

use std::rc::Rc;

use super::calls::At;
use super::env::{Env, Vars};
use super::expressions::dotted_path;
use super::fold;
use super::functions::{Binding, Code, Function};
use super::handlers::Decorated;
use super::machine::{Machine, Owner};
use super::value::{Arguments, Atom, Const, Container, Def, Kind, Value};
use crate::python::ast::name::Name;
use crate::python::ast::{self, CmpOp, ExceptHandler, Expr, Pattern, Stmt};
use crate::python::span;

/// Turns of a loop that are followed before its state must have settled.
const MOST_TURNS: usize = 3;
/// A loop over no more known items than this is followed item by item.
const MOST_ITEMS: usize = 6;

impl<'a> Machine<'a> {
    pub(super) fn block(&mut self, body: &'a [Stmt], env: &mut Env) {
        for stmt in body {
            if env.dead {
                return;
            }
            self.statement(stmt, env);
        }
    }

    pub(super) fn statement(&mut self, stmt: &'a Stmt, env: &mut Env) {
        if !self.spend() {
            return;
        }
        match stmt {
            Stmt::Expr(node) => {
                self.value(&node.value, env);
            }
            Stmt::Assign(node) => {
                let value = self.value(&node.value, env);
                for target in &node.targets {
                    self.assign(target, value.clone(), env);
                    if let (Expr::Name(name), Expr::Name(other)) = (target, &*node.value)
                        && env.get(&other.id).is_some()
                    {
                        env.twin(&name.id, &other.id);
                    }
                }
            }
            Stmt::AnnAssign(node) => {
                if let Some(value) = &node.value {
                    let value = self.value(value, env);
                    self.assign(&node.target, value, env);
                }
            }
            Stmt::AugAssign(node) => {
                let value = self.augmented(node, env);
                let in_place = |a: &Atom| matches!(a, Atom::Container(_));
                if value.atoms().iter().any(in_place) {
                    // A list grows where it is.
                    return self.store_into(&node.target, value, env);
                }
                self.assign(&node.target, value, env);
            }
            Stmt::Return(node) => {
                let value = match &node.value {
                    Some(value) => self.value(value, env),
                    None => Const::None.into(),
                };
                self.returned(value, env);
                env.dead = true;
            }
            Stmt::Raise(node) => {
                for part in [&node.exc, &node.cause].into_iter().flatten() {
                    let raised = self.value(part, env);
                    self.raised = std::mem::take(&mut self.raised).join(&raised);
                }
                env.dead = true;
            }
            Stmt::Break(_) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.loop_breaks.push(env.clone());
                }
                env.dead = true;
            }
            Stmt::Continue(_) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.loop_exits.push(env.clone());
                }
                env.dead = true;
            }
            Stmt::If(node) => self.branch(node, env),
            Stmt::For(node) => {
                let items = self.value(&node.iter, env);
                if let [Atom::Container(container)] = items.atoms()
                    && let Some(items) = container.in_order()
                    && items.len() <= MOST_ITEMS
                {
                    return self.each(node, &items, env);
                }
                let item = self.iterated(&items, self.place(&*node.iter));
                self.repeat(env, &node.orelse, false, |this, env| {
                    this.assign(&node.target, item.clone(), env);
                    this.block(&node.body, env);
                });
            }
            Stmt::While(node) => {
                let truth = self.value(&node.test, env).truth();
                if truth == Some(false) {
                    self.block(&node.orelse, env);
                    return;
                }
                let is_literal = matches!(
                    &*node.test,
                    Expr::BooleanLiteral(_) | Expr::NumberLiteral(_)
                );
                let endless = truth == Some(true) && is_literal;
                self.repeat(env, &node.orelse, endless, |this, env| {
                    this.value(&node.test, env);
                    this.refine(&node.test, true, env);
                    this.block(&node.body, env);
                });
            }
            Stmt::With(node) => self.with(node, env),
            Stmt::Try(node) => self.attempt(node, env),
            Stmt::Match(node) => self.match_statement(node, env),
            Stmt::FunctionDef(node) => self.define_function(node, env),
            Stmt::ClassDef(node) => self.define_class(node, env),
            Stmt::Import(node) => {
                for alias in &node.names {
                    self.import(alias, env);
                }
            }
            Stmt::ImportFrom(node) => self.import_from(node, env),
            Stmt::Global(node) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame
                        .globals
                        .extend(node.names.iter().map(|n| n.id.clone()));
                }
            }
            Stmt::Nonlocal(node) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame
                        .nonlocals
                        .extend(node.names.iter().map(|n| n.id.clone()));
                }
            }
            Stmt::Delete(node) => {
                for target in &node.targets {
                    self.delete(target, env);
                }
            }
            Stmt::Assert(node) => {
                self.value(&node.test, env);
                self.refine(&node.test, true, env);
            }
            Stmt::Pass(_) | Stmt::TypeAlias(_) | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    fn augmented(&mut self, node: &'a ast::StmtAugAssign, env: &mut Env) -> Value {
        let before = self.value(&node.target, env);
        let added = self.value(&node.value, env);
        if let (Some(a), Some(b)) = (before.constant(), added.constant())
            && let Some(constant) = fold::binary(node.op, a, b)
        {
            return constant.into();
        }
        match (before.atoms(), added.atoms()) {
            ([Atom::Container(a)], [Atom::Container(b)]) => {
                match (a.kind, a.in_order(), b.in_order()) {
                    (Kind::Mapping, ..) => {
                        let mut merged = (**a).clone();
                        for (key, value) in &b.items {
                            merged.items.insert(key.clone(), value.clone());
                        }
                        merged.rest = merged.rest.join(&b.rest);
                        merged.into()
                    }
                    (_, Some(mut items), Some(more)) => {
                        items.extend(more);
                        Container::sequence(items).into()
                    }
                    _ => {
                        let mut all = (**a).clone();
                        all.blur(&b.any());
                        all.into()
                    }
                }
            }
            _ => self.combined(&[before, added]),
        }
    }

    fn delete(&mut self, target: &'a Expr, env: &mut Env) {
        match target {
            Expr::Name(name) => env.remove(name.id.as_str()),
            Expr::Subscript(node) => {
                let owner = self.value(&node.value, env);
                let key = self.value(&node.slice, env);
                let ([Atom::Container(container)], Some(key)) = (owner.atoms(), key.constant())
                else {
                    return;
                };
                let mut container = (**container).clone();
                match (container.kind, key) {
                    (Kind::Sequence(_), Const::Int(n)) => {
                        container.remove(*n);
                    }
                    _ => {
                        container.items.remove(key);
                    }
                }
                self.store_into(&node.value, container.into(), env);
            }
            Expr::Tuple(node) => node.elts.iter().for_each(|t| self.delete(t, env)),
            _ => {}
        }
    }

    fn branch(&mut self, node: &'a ast::StmtIf, env: &mut Env) {
        let truth = self.value(&node.test, env).truth();
        let mut yes = env.clone();
        yes.dead |= truth == Some(false);
        if !yes.dead {
            self.refine(&node.test, true, &mut yes);
            self.block(&node.body, &mut yes);
        }
        let mut no = std::mem::take(env);
        no.dead |= truth == Some(true);
        if !no.dead {
            self.refine(&node.test, false, &mut no);
        }
        let mut after = yes;
        for clause in &node.elif_else_clauses {
            let mut taken = no.clone();
            if let Some(test) = &clause.test {
                if !no.dead {
                    let truth = self.value(test, &mut no).truth();
                    taken = no.clone();
                    taken.dead |= truth == Some(false);
                    no.dead |= truth == Some(true);
                }
                if !taken.dead {
                    self.refine(test, true, &mut taken);
                }
                if !no.dead {
                    self.refine(test, false, &mut no);
                }
            } else {
                no.dead = true;
            }
            if !taken.dead {
                self.block(&clause.body, &mut taken);
            }
            after = after.join(&taken);
        }
        *env = after.join(&no);
    }

    /// Runs a loop body once for each of a few known items.
    fn each(&mut self, node: &'a ast::StmtFor, items: &[Value], env: &mut Env) {
        let (exits, breaks) = match self.frames.last_mut() {
            Some(frame) => (
                std::mem::take(&mut frame.loop_exits),
                std::mem::take(&mut frame.loop_breaks),
            ),
            None => (Vec::new(), Vec::new()),
        };
        for item in items {
            if env.dead {
                break;
            }
            self.assign(&node.target, item.clone(), env);
            self.block(&node.body, env);
            let continued = match self.frames.last_mut() {
                Some(frame) => std::mem::take(&mut frame.loop_exits),
                None => Vec::new(),
            };
            for one in continued {
                *env = std::mem::take(env).join(&one);
            }
        }
        let mut broken = Vec::new();
        if let Some(frame) = self.frames.last_mut() {
            frame.loop_exits = exits;
            broken = std::mem::replace(&mut frame.loop_breaks, breaks);
        }
        self.block(&node.orelse, env);
        for one in broken {
            *env = std::mem::take(env).join(&one);
        }
    }

    /// Runs a loop body until little can change, joined with not at all.
    fn repeat(
        &mut self,
        env: &mut Env,
        orelse: &'a [Stmt],
        endless: bool,
        mut body: impl FnMut(&mut Self, &mut Env),
    ) {
        let (exits, breaks) = match self.frames.last_mut() {
            Some(frame) => (
                std::mem::take(&mut frame.loop_exits),
                std::mem::take(&mut frame.loop_breaks),
            ),
            None => (Vec::new(), Vec::new()),
        };
        for _ in 0..MOST_TURNS {
            let before = env.clone();
            let mut inside = env.clone();
            body(self, &mut inside);
            *env = std::mem::take(env).join(&inside);
            let broken = match self.frames.last_mut() {
                Some(frame) => std::mem::take(&mut frame.loop_exits),
                None => Vec::new(),
            };
            for exit in broken {
                *env = std::mem::take(env).join(&exit);
            }
            env.blur_grown();
            if env.settled(&before) || self.exhausted() {
                break;
            }
        }
        let mut broken = Vec::new();
        if let Some(frame) = self.frames.last_mut() {
            frame.loop_exits = exits;
            broken = std::mem::replace(&mut frame.loop_breaks, breaks);
        }
        env.dead |= endless;
        self.block(orelse, env);
        // `else` runs only when nothing broke out.
        for one in broken {
            *env = std::mem::take(env).join(&one);
        }
        env.blur_grown();
    }

    fn with(&mut self, node: &'a ast::StmtWith, env: &mut Env) {
        let hooked = env.hooked;
        for item in &node.items {
            let value = self.value(&item.context_expr, env);
            let place = self.place(&item.context_expr);
            let mut entered = Value::unknown();
            for atom in value.atoms() {
                let Atom::Instance(instance) = atom else {
                    entered.add(atom.clone());
                    continue;
                };
                let at = At::place(place);
                let mut got = None;
                for name in ["__enter__", "__aenter__"] {
                    let method = self.member(*instance, name, at, env);
                    let own: Value = atom.clone().into();
                    let none = Arguments::default();
                    got = got.or(self.call_value(&method, &own, &none, at, env));
                }
                entered = entered.join(&got.unwrap_or_else(|| atom.clone().into()));
            }
            if let Some(target) = &item.optional_vars {
                self.assign(target, entered, env);
            }
        }
        let suppresses = node.items.iter().any(|item| match &item.context_expr {
            Expr::Call(call) => crate::python::dotted(&call.func)
                .is_some_and(|parts| parts.last().is_some_and(|last| last == "suppress")),
            _ => false,
        });
        let before = suppresses.then(|| env.clone());
        self.block(&node.body, env);
        if let Some(before) = before {
            *env = std::mem::take(env).join(&before);
        }
        // A hook in a `with` statement ends with it.
        env.hooked = hooked;
    }

    fn attempt(&mut self, node: &'a ast::StmtTry, env: &mut Env) {
        let before = env.clone();
        let raised_before = std::mem::take(&mut self.raised);
        self.block(&node.body, env);
        let caught_value = std::mem::take(&mut self.raised);
        self.raised = raised_before.join(&caught_value);
        // An exception can come before, between or after the statements of the body.
        let mut body_end = env.clone();
        body_end.dead = false;
        let mut raised = before.clone().join(&body_end);
        raised.checked_as(&before);
        self.block(&node.orelse, env);
        let mut after = std::mem::take(env);
        for handler in &node.handlers {
            let ExceptHandler::ExceptHandler(handler) = handler;
            let mut caught = raised.clone();
            if let Some(name) = &handler.name {
                self.bind(&name.id.clone(), caught_value.clone(), &mut caught);
            }
            self.block(&handler.body, &mut caught);
            after = after.join(&caught);
        }
        let dead = after.dead;
        if dead {
            after = raised;
        } else if !node.finalbody.is_empty() {
            // It runs on the way of an exception too.
            self.block(&node.finalbody, &mut raised);
        }
        self.block(&node.finalbody, &mut after);
        after.dead |= dead;
        *env = after;
    }

    fn match_statement(&mut self, node: &'a ast::StmtMatch, env: &mut Env) {
        let subject = self.value(&node.subject, env);
        let mut after = Env::default();
        after.dead = true;
        let mut left = env.clone();
        for case in &node.cases {
            if left.dead {
                break;
            }
            let fits = self.fits(&case.pattern, &subject, &mut left);
            if fits == Some(false) {
                continue;
            }
            let mut inside = left.clone();
            self.capture(&case.pattern, &subject, &mut inside);
            if is_constant_pattern(&case.pattern)
                && let Expr::Name(name) = &*node.subject
            {
                // What it matched is a constant.
                let clean = Value::clean();
                inside.set(name.id.clone(), clean);
                self.harmless_in(&subject, &mut inside);
            }
            if let Some(guard) = &case.guard {
                match self.value(guard, &mut inside).truth() {
                    Some(false) => continue,
                    Some(true) if fits == Some(true) => left.dead = true,
                    _ => {}
                }
                self.refine(guard, true, &mut inside);
            } else if fits == Some(true) {
                left.dead = true;
            }
            self.block(&case.body, &mut inside);
            after = after.join(&inside);
        }
        *env = after.join(&left);
    }

    /// Whether `pattern` matches `subject`, where that is known.
    fn fits(&mut self, pattern: &'a Pattern, subject: &Value, env: &mut Env) -> Option<bool> {
        match pattern {
            Pattern::MatchAs(node) => match &node.pattern {
                Some(inner) => self.fits(inner, subject, env),
                None => Some(true),
            },
            Pattern::MatchValue(node) => {
                let value = self.value(&node.value, env);
                fold::compare(CmpOp::Eq, subject.constant()?, value.constant()?)
            }
            Pattern::MatchSingleton(node) => {
                let constant = match node.value {
                    ast::Singleton::None => Const::None,
                    ast::Singleton::True => Const::Bool(true),
                    ast::Singleton::False => Const::Bool(false),
                };
                Some(*subject.constant()? == constant)
            }
            Pattern::MatchOr(node) => {
                let mut known = Some(false);
                for inner in &node.patterns {
                    match self.fits(inner, subject, env) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => known = None,
                    }
                }
                known
            }
            Pattern::MatchClass(node) => {
                let class = self.value(&node.cls, env);
                let [Atom::Class(class)] = class.atoms() else {
                    return None;
                };
                let other = |atom: &Atom| match atom {
                    Atom::Instance(instance) => {
                        instance.made.is_some() && !self.lineage(instance.class).contains(class)
                    }
                    _ => false,
                };
                let none = !subject.is_empty() && subject.atoms().iter().all(other);
                none.then_some(false)
            }
            _ => None,
        }
    }

    /// Binds what `target` names to `value`.
    pub(super) fn assign(&mut self, target: &'a Expr, value: Value, env: &mut Env) {
        match target {
            Expr::Name(name) => {
                if let Some(frame) = self.frames.last_mut().filter(|f| f.def.is_some()) {
                    frame.rebound.insert(name.id.clone());
                }
                self.bind(&name.id.clone(), value, env);
            }
            Expr::Starred(star) => self.assign(&star.value, value, env),
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                self.unpack(elts, &value, env);
            }
            Expr::Attribute(attribute) => {
                let value = self.settled(&value, env);
                let owner = self.value(&attribute.value, env);
                let at = At::place(self.place(target));
                let name = attribute.attr.as_str();
                self.assign_attribute(&owner, name, &value, at, env);
                let has_setter = owner.atoms().iter().any(|atom| match atom {
                    Atom::Instance(instance) => {
                        let tables = self.attribute_tables(instance.class);
                        let setter = format!("{name}.setter");
                        tables.iter().any(|t| t.contains_key(setter.as_str()))
                    }
                    _ => false,
                });
                if let Some(path) = dotted_path(target)
                    && !has_setter
                {
                    env.set_path(path, value);
                }
            }
            Expr::Subscript(node) => self.assign_element(node, value, env),
            _ => {}
        }
    }

    fn unpack(&mut self, elts: &'a [Expr], value: &Value, env: &mut Env) {
        let star = elts.iter().position(Expr::is_starred_expr);
        for (n, target) in elts.iter().enumerate() {
            let place = self.place(target);
            let part = match star {
                Some(at) if n == at => {
                    let after = elts.len() - at - 1;
                    self.starred(value, at, after, place)
                }
                Some(at) if n > at => {
                    let from_end = i64::try_from(elts.len() - n).unwrap_or(1);
                    self.item(value, Some(&Const::Int(-from_end)), place)
                }
                _ => {
                    let key = Const::Int(i64::try_from(n).unwrap_or(0));
                    self.item(value, Some(&key), place)
                }
            };
            self.assign(target, part, env);
        }
    }

    fn starred(
        &mut self,
        value: &Value,
        before: usize,
        after: usize,
        place: super::taint::Place,
    ) -> Value {
        if let [Atom::Container(container)] = value.atoms()
            && let Some(items) = container.in_order()
        {
            let end = items.len().saturating_sub(after);
            let middle = items.get(before..end).unwrap_or(&[]);
            return Container::sequence(middle.iter().cloned()).into();
        }
        let mut container = Container::of(self.iterated(value, place));
        container.kind = Kind::Sequence(None);
        container.into()
    }

    fn assign_element(&mut self, node: &'a ast::ExprSubscript, value: Value, env: &mut Env) {
        let value = self.settled(&value, env);
        let key = self.value(&node.slice, env);
        let owner = self.value(&node.value, env);
        let model = self.model;
        let mut after = Value::unknown();
        let mut changed = false;
        for atom in owner.atoms() {
            let mut kept = atom.clone();
            match atom {
                Atom::Container(container) => {
                    let mut container = (**container).clone();
                    match (&*node.slice, key.constant()) {
                        (Expr::Slice(_), _) => {
                            let any = self.iterated(&value, self.place(node));
                            container.blur(&any);
                        }
                        (_, None) if container.kind == Kind::Mapping => {
                            container.keys = container.keys.clone().join(&key);
                            container.set(None, value.clone());
                        }
                        (_, key) => container.set(key, value.clone()),
                    }
                    kept = Atom::Container(Rc::new(container));
                    changed = true;
                }
                Atom::External(name) => match model.store_subscript(name) {
                    Some(store) => {
                        let key = fold::key_text(&key);
                        self.write_store(&store.channel, &key, &value);
                    }
                    None => {
                        let key = fold::key_text(&key);
                        let owner = Owner::External(Rc::clone(name));
                        self.set_field(owner, &format!("[{key}]"), &value);
                    }
                },
                Atom::Instance(instance) => {
                    let at = At::place(self.place(node));
                    let method = self.member(*instance, "__setitem__", at, env);
                    let given = Arguments {
                        positional: vec![key.clone(), value.clone()],
                        ..Arguments::default()
                    };
                    let own: Value = atom.clone().into();
                    self.call_value(&method, &own, &given, at, env);
                }
                Atom::Made(_) | Atom::Const(_) => {
                    let taints = value.taints().into_iter().cloned();
                    taints.for_each(|taint| after.add(Atom::Untrusted(taint)));
                    changed |= value.is_untrusted();
                }
                _ => {}
            }
            after.add(kept);
        }
        if owner.is_empty() && value.is_untrusted() {
            let taints = value.taints().into_iter().cloned();
            after = taints.map(Atom::Untrusted).collect();
            changed = true;
        }
        if changed {
            self.store_into(&node.value, after, env);
        }
    }

    fn capture(&mut self, pattern: &'a Pattern, subject: &Value, env: &mut Env) {
        let place = self.place(pattern);
        match pattern {
            Pattern::MatchAs(node) => {
                if let Some(inner) = &node.pattern {
                    self.capture(inner, subject, env);
                }
                if let Some(name) = &node.name {
                    let value = match node.pattern.as_deref() {
                        Some(inner) if is_constant_pattern(inner) => Value::clean(),
                        _ => subject.clone(),
                    };
                    self.bind(&name.id.clone(), value, env);
                }
            }
            Pattern::MatchStar(node) => {
                if let Some(name) = &node.name {
                    self.bind(&name.id.clone(), subject.clone(), env);
                }
            }
            Pattern::MatchOr(node) => {
                for inner in &node.patterns {
                    self.capture(inner, subject, env);
                }
            }
            Pattern::MatchSequence(node) => {
                let star = node
                    .patterns
                    .iter()
                    .position(|p| matches!(p, Pattern::MatchStar(_)));
                let count = node.patterns.len();
                for (n, inner) in node.patterns.iter().enumerate() {
                    let part = match star {
                        Some(at) if n == at => self.starred(subject, at, count - at - 1, place),
                        Some(at) if n > at => {
                            let from_end = i64::try_from(count - n).unwrap_or(1);
                            self.item(subject, Some(&Const::Int(-from_end)), place)
                        }
                        _ => {
                            let key = Const::Int(i64::try_from(n).unwrap_or(0));
                            self.item(subject, Some(&key), place)
                        }
                    };
                    self.capture(inner, &part, env);
                }
            }
            Pattern::MatchMapping(node) => {
                for (key, inner) in node.keys.iter().zip(&node.patterns) {
                    let key = self.value(key, env);
                    let part = self.item(subject, key.constant(), place);
                    self.capture(inner, &part, env);
                }
                if let Some(name) = &node.rest {
                    self.bind(&name.id.clone(), subject.clone(), env);
                }
            }
            Pattern::MatchClass(node) => {
                let at = At::place(place);
                let class = self.value(&node.cls, env);
                let order: Vec<Name> = class
                    .atoms()
                    .iter()
                    .filter_map(|atom| match atom {
                        Atom::Class(class) => self.classes.get(class),
                        _ => None,
                    })
                    .flat_map(|info| info.annotated.clone())
                    .collect();
                for (n, inner) in node.arguments.patterns.iter().enumerate() {
                    let part = match order.get(n) {
                        Some(name) => self.attribute(subject, name, at, env),
                        // `str(x)`, `bytes(x)`: the subject itself.
                        None => subject.clone(),
                    };
                    self.capture(inner, &part, env);
                }
                for keyword in &node.arguments.keywords {
                    let part = self.attribute(subject, &keyword.attr, at, env);
                    self.capture(&keyword.pattern, &part, env);
                }
            }
            Pattern::MatchValue(_) | Pattern::MatchSingleton(_) => {}
        }
    }

    /// Values of default arguments, evaluated where the function is defined.
    pub(super) fn defaults(&mut self, parameters: &'a ast::Parameters, env: &mut Env) -> Vars {
        let mut defaults = Vars::default();
        for parameter in parameters.iter_non_variadic_params() {
            if let Some(default) = parameter.default() {
                let value = self.value(default, env);
                defaults.insert(parameter.name().id.clone(), value);
            }
        }
        defaults
    }

    fn define_function(&mut self, node: &'a ast::StmtFunctionDef, env: &mut Env) {
        let def = Def {
            file: self.file(),
            start: span(node).start,
        };
        let defaults = self.defaults(&node.parameters, env);
        let class = match self.frames.last() {
            Some(frame) if frame.def.is_none() => frame.class,
            _ => None,
        };
        let scope = self.scope_for_inner(env);
        let callees: Vec<Value> = node
            .decorator_list
            .iter()
            .map(|decorator| match &decorator.expression {
                Expr::Call(call) => self.read(&call.func, env),
                expr => self.read(expr, env),
            })
            .collect();
        let named = |last: &str| {
            callees.iter().any(|callee| {
                callee.atoms().iter().any(|atom| match atom {
                    Atom::External(name) => name.rsplit('.').next() == Some(last),
                    _ => false,
                })
            })
        };
        let binding = match () {
            () if named("staticmethod") => Binding::Static,
            () if named("classmethod") || node.name == *"__init_subclass__" => Binding::Class,
            () if named("property") || named("cached_property") => Binding::Property,
            () if node.name == *"__new__" => Binding::Class,
            () => Binding::Method,
        };
        let function = Function {
            def,
            code: Code::Def(node),
            class,
            scope,
            defaults,
            binding: if class.is_some() {
                binding
            } else {
                Binding::Static
            },
            context_manager: named("contextmanager") || named("asynccontextmanager"),
        };
        let id = self.function_id(function);
        let own: Value = Atom::Function(id, None).into();
        let mut value = own.clone();
        let mut decorated = Decorated::default();
        let mut name = node.name.id.clone();
        for (decorator, callee) in node.decorator_list.iter().zip(&callees).rev() {
            self.decorator(decorator, callee, def, &mut decorated);
            if let Expr::Attribute(attribute) = &decorator.expression
                && matches!(attribute.attr.as_str(), "setter" | "deleter")
            {
                name = Name::new(format!("{}.{}", node.name, attribute.attr));
                if let Some(known) = self.functions.get(id.0 as usize) {
                    // A setter is called with what is assigned.
                    let method = Function {
                        def,
                        code: known.code,
                        class: known.class,
                        scope: known.scope.clone(),
                        defaults: known.defaults.clone(),
                        binding: Binding::Method,
                        context_manager: false,
                    };
                    self.function_id(method);
                }
                continue;
            }
            value = self.decorate(decorator, callee, value, env);
        }
        let wrapper = value.atoms().iter().find_map(|atom| match atom {
            Atom::Function(wrapper, None) if *wrapper != id => Some(*wrapper),
            _ => None,
        });
        self.decorated(decorated, class, wrapper);
        self.handler_by_signature(node, def, class);
        self.bind(&name, value, env);
    }

    /// What a decorator of the project makes of `value`; others keep it.
    fn decorate(
        &mut self,
        decorator: &'a ast::Decorator,
        callee: &Value,
        value: Value,
        env: &mut Env,
    ) -> Value {
        let is_own = |value: &Value| {
            value
                .atoms()
                .iter()
                .any(|a| matches!(a, Atom::Function(..) | Atom::Class(_) | Atom::Instance(_)))
        };
        if !is_own(callee) {
            if let Expr::Call(_) = &decorator.expression {
                self.value(&decorator.expression, env);
            }
            return value;
        }
        let function = match &decorator.expression {
            Expr::Call(_) => self.value(&decorator.expression, env),
            _ => callee.clone(),
        };
        if !is_own(&function) {
            return value;
        }
        let at = At::place(self.place(decorator));
        let given = Arguments::one(value.clone());
        let made = self.apply(&function, &given, at, env);
        let callable = made.filter(|a| {
            matches!(
                a,
                Atom::Function(..) | Atom::Instance(_) | Atom::Partial(_) | Atom::Class(_)
            )
        });
        match callable.is_empty() {
            true => value,
            false => callable,
        }
    }
}

/// Whether what matches `pattern` is a constant.
fn is_constant_pattern(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::MatchValue(_) | Pattern::MatchSingleton(_) => true,
        Pattern::MatchOr(node) => node.patterns.iter().all(is_constant_pattern),
        Pattern::MatchAs(node) => node.pattern.as_deref().is_some_and(is_constant_pattern),
        _ => false,
    }
}
