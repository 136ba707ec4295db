//! Functions of the project: calling them, and what is remembered of calls.

use std::rc::Rc;

use super::chain::CallAt;
use super::env::{Checked, Env, Scope, Vars};
use super::lazy::{LOOKS, Yields};
use super::machine::{Frame, Machine, Owner, Reached};
use super::taint::{Hop, HopKind, Place};
use super::value::{Arguments, Const, Container, Def, FunctionId, Instance, Role, Value};
use crate::defect::strike;
use crate::pack::{Shape, Trust};
use crate::project::FileId;
use crate::python::ast::{self, Expr};
use crate::python::span;

/// Calls deeper than this are not followed.
pub(super) const DEEPEST: usize = 300;
/// Sets of arguments for which one function is interpreted, but for those that a client or peer supplies.
const MOST_CONTEXTS: usize = 12;

/// The code of a function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code<'a> {
    Def(&'a ast::StmtFunctionDef),
    Lambda(&'a ast::ExprLambda),
}

/// How a function is bound when it is read from a class or an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    /// To the instance.
    Method,
    /// To the class.
    Class,
    /// Not at all.
    Static,
    /// Called at once: a property.
    Property,
}

#[derive(Debug)]
pub(super) struct Function<'a> {
    pub def: Def,
    pub code: Code<'a>,
    pub class: Option<Def>,
    /// Variables around it.
    pub scope: Option<Rc<Scope>>,
    /// Values of default arguments: made once, where the function is defined.
    pub defaults: Vars,
    pub binding: Binding,
    /// `@contextmanager`: what it yields is what `with` gives.
    pub context_manager: bool,
}

impl<'a> Function<'a> {
    pub fn name(&self) -> &'a str {
        match self.code {
            Code::Def(node) => node.name.as_str(),
            Code::Lambda(_) => "<lambda>",
        }
    }

    pub fn parameters(&self) -> Option<&'a ast::Parameters> {
        match self.code {
            Code::Def(node) => Some(&node.parameters),
            Code::Lambda(node) => node.parameters.as_deref(),
        }
    }

    /// Whether its first parameter is the instance or the class.
    pub fn takes_self(&self) -> bool {
        self.class.is_some() && self.binding != Binding::Static
    }
}

/// What a call's outcome depends on: function, instance, arguments, and the checks made before.
pub(super) type Calling = (FunctionId, Option<Instance>, Arguments, Vec<Checked>, bool);

/// What is remembered of a call.
#[derive(Debug)]
pub(super) struct Summary {
    returns: Value,
    reached: Vec<Reached>,
    /// What was checked on every way through it.
    checked: Vec<Checked>,
    /// What parameters hold afterwards whose objects were changed in place.
    changed: Vec<(usize, Value)>,
    /// What it may raise.
    raised: Value,
    /// It has read what other functions write, and gives something.
    by_state: bool,
}

impl<'a> Machine<'a> {
    /// The function of `def` that the frame on top defines.
    pub fn function_id(&mut self, function: Function<'a>) -> FunctionId {
        let context = self.frames.last().map_or(0, |f| f.context);
        let def = function.def;
        if let Some(class) = function.class.filter(|_| self.to_loads.contains(&def)) {
            let methods = self.loading.entry(class).or_default();
            if !methods.contains(&def) {
                methods.push(def);
            }
        }
        if let Code::Lambda(_) = function.code {
            let around = self.frames.last().and_then(|f| f.def);
            let around = around.map(|def| self.lambdas.get(&def).copied().unwrap_or(Some(def)));
            self.lambdas.insert(def, around.flatten());
        }
        let next = FunctionId(u32::try_from(self.functions.len()).unwrap_or(u32::MAX));
        let id = *self.known_functions.entry((def, context)).or_insert(next);
        if id == next {
            self.functions.push(Rc::new(function));
        } else if let Some(known) = self.functions.get_mut(id.0 as usize) {
            // Made once more, in a loop: earlier ones keep their defaults.
            let mut function = function;
            for (name, value) in &known.defaults {
                let now = function.defaults.entry(name.clone()).or_default();
                *now = value.clone().join(now);
            }
            *known = Rc::new(function);
        }
        self.by_def.insert(def, id);
        id
    }

    pub fn function(&self, id: FunctionId) -> Option<Rc<Function<'a>>> {
        self.functions.get(id.0 as usize).cloned()
    }

    /// The function last defined at `def`.
    pub fn function_at(&self, def: Def) -> Option<Rc<Function<'a>>> {
        self.function(*self.by_def.get(&def)?)
    }

    /// Variables that a function defined now sees.
    pub fn scope_for_inner(&mut self, env: &Env) -> Option<Rc<Scope>> {
        let frame = self.frames.last_mut()?;
        if frame.def.is_none() {
            // Functions at module level see the module; methods see what is around their class.
            return frame.outer.clone();
        }
        let outer = frame.outer.clone();
        let scope = frame.scope.get_or_insert_with(|| Scope::new(outer));
        scope.refresh(env.vars());
        Some(Rc::clone(scope))
    }

    /// Calls a function of the project; gives what it returns. Arguments whose objects it changed are given back.
    pub fn call(
        &mut self,
        id: FunctionId,
        bound: Option<Instance>,
        arguments: &Arguments,
        at: Place,
        env: &mut Env,
    ) -> (Value, Vec<(usize, Value)>) {
        let Some(function) = self.function(id) else {
            return (Value::unknown(), Vec::new());
        };
        let caller = self.frames.last().and_then(|f| f.def);
        if let Some(scope) = self.frames.last().and_then(|f| f.scope.as_ref()) {
            scope.refresh(env.vars());
        }
        self.note_kept(&function, arguments, at);
        let mut arguments = self.passed(&function, arguments, at);
        if self.frames.iter().any(|f| f.def == Some(function.def)) {
            // However deep it goes: what it counts by is not known.
            arguments = arguments.map(|value| match value.constant() {
                Some(Const::Int(_)) => Value::clean(),
                _ => value.clone(),
            });
        }
        let key = (id, bound, arguments, env.checked().to_vec(), env.hooked);
        let summary = match self.summaries.get(&key) {
            Some(summary) => Rc::clone(summary),
            None => {
                let def = function.def;
                let recursive = self.frames.iter().filter(|f| f.def == Some(def)).count() > 1;
                let deep = self.frames.len() >= DEEPEST;
                if deep && !recursive && (self.leads.contains(&def) || self.is_around_load(def)) {
                    self.miss(def);
                }
                if recursive {
                    return (self.opaque(&key.2), Vec::new());
                }
                if deep || self.exhausted() {
                    return (self.not_followed(&function, &key.2), Vec::new());
                }
                match self.well_known(&function, &key.2) {
                    Some(summary) => summary,
                    None => {
                        let Some(before) = self.begin_call(&function, &key.2) else {
                            return (self.not_followed(&function, &key.2), Vec::new());
                        };
                        let mut summary = self.run(&function, id, bound, &key.2, env, at);
                        if self.exhausted() {
                            let opaque = self.not_followed(&function, &key.2);
                            summary.returns = summary.returns.join(&opaque);
                        }
                        self.end_call(before);
                        let summary = Rc::new(summary);
                        self.known_calls
                            .entry(def)
                            .or_default()
                            .push(Rc::clone(&summary));
                        self.summaries.insert(key, Rc::clone(&summary));
                        summary
                    }
                }
            }
        };
        self.charge(summary.reached.len());
        let by_state = self.is_by_state();
        if let Some(open) = self.reached.last_mut() {
            for reached in &summary.reached {
                open.push(Reached {
                    chain: reached.chain.by(CallAt { place: at, caller }),
                    by_state: reached.by_state || by_state,
                    ..reached.clone()
                });
            }
        }
        if summary.by_state {
            self.reads_state();
        }
        self.raised = std::mem::take(&mut self.raised).join(&summary.raised);
        for checked in &summary.checked {
            env.check(checked.clone());
        }
        if let Some(scope) = self.frames.last().and_then(|f| f.scope.clone()) {
            for (name, value) in scope.take_written() {
                env.set(name, value);
            }
        }
        let note = format!("returned by {}()", function.name());
        let returns = self.moved(&summary.returns, HopKind::Return, at, &note);
        (returns, summary.changed.clone())
    }

    /// For a function that was interpreted with many arguments already, and now with nothing that a client or peer
    /// supplies: what it did before, so that every way to a load is still seen.
    fn well_known(
        &mut self,
        function: &Function<'a>,
        arguments: &Arguments,
    ) -> Option<Rc<Summary>> {
        let def = function.def;
        let before = self
            .known_calls
            .get(&def)
            .filter(|c| c.len() >= MOST_CONTEXTS)?;
        let mut taints = arguments.all().flat_map(|value| value.taints());
        let exposed = taints.any(|taint| taint.trust <= Trust::Network);
        if exposed && before.len() < 4 * MOST_CONTEXTS {
            return None;
        }
        let last = Rc::clone(before.last()?);
        if exposed && self.to_loads.contains(&def) {
            self.miss(def);
        }
        let opaque = self.not_followed(function, arguments);
        Some(Rc::new(Summary {
            returns: last.returns.clone().join(&opaque),
            reached: last.reached.clone(),
            checked: Vec::new(),
            changed: Vec::new(),
            raised: Value::unknown(),
            by_state: last.by_state,
        }))
    }

    /// Whether it is a lambda that may lead to loads: there is one in it, or the function around it leads to some.
    pub(super) fn is_leading_lambda(&self, def: Def) -> bool {
        let around = self.lambdas.get(&def).copied().flatten();
        around.is_some_and(|around| self.to_loads.contains(&around)) || self.is_around_load(def)
    }

    /// `def` may be called with something else than was seen. Of a lambda, the function around it is what is known to lead
    /// to loads.
    fn miss(&mut self, def: Def) {
        match self.lambdas.get(&def) {
            None => self.bounds.miss(def),
            Some(Some(around)) => self.bounds.miss(*around),
            Some(None) => self.bounds.lose(true),
        }
    }

    /// What a call that is not followed may return. What it would call is not known: the functions that lead to loads
    /// may be called in ways that are not seen.
    fn not_followed(&mut self, function: &Function<'a>, arguments: &Arguments) -> Value {
        let mut hidden = self.handed(function, arguments);
        let missed: Vec<Def> = hidden.by_ref().collect();
        let lost = hidden.lost;
        missed.into_iter().for_each(|def| self.miss(def));
        if let Some(code) = lost {
            self.bounds.lose(code);
        }
        self.opaque(arguments)
    }

    /// Interprets a function as an entry point.
    pub fn enter(
        &mut self,
        id: FunctionId,
        bound: Option<Instance>,
        arguments: &Arguments,
    ) -> Value {
        self.begin_entry();
        self.entered(id, bound, arguments)
    }

    /// The same with a little more work than is left.
    pub fn enter_late(&mut self, id: FunctionId, arguments: &Arguments) {
        self.grant();
        self.entered(id, None, arguments);
    }

    fn entered(&mut self, id: FunctionId, bound: Option<Instance>, arguments: &Arguments) -> Value {
        let mut returned = Value::unknown();
        if let Some(function) = self.function(id) {
            let place = Place {
                file: function.def.file,
                span: self.signature_span(&function),
            };
            let summary = self.run(&function, id, bound, arguments, &Env::default(), place);
            if let Some(open) = self.reached.last_mut() {
                open.extend(summary.reached);
            }
            returned = summary.returns;
        }
        returned
    }

    fn signature_span(&self, function: &Function<'a>) -> crate::text::Span {
        match function.code {
            Code::Def(node) => span(&node.name),
            Code::Lambda(node) => span(node),
        }
    }

    fn run(
        &mut self,
        function: &Rc<Function<'a>>,
        _id: FunctionId,
        bound: Option<Instance>,
        arguments: &Arguments,
        caller: &Env,
        at: Place,
    ) -> Summary {
        self.visited.insert(function.def);
        self.contexts += 1;
        let instance = match function.takes_self() {
            true => bound.or(function.class.map(Instance::any)),
            false => None,
        };
        let yields = self.yielding(function);
        self.frames.push(Frame {
            def: Some(function.def),
            class: function.class,
            instance,
            outer: function.scope.clone(),
            called_at: Some(at),
            context: self.contexts,
            yields: (yields == Yields::InOrder).then(Vec::new),
            ..Frame::new(function.def.file)
        });
        self.reached.push(Vec::new());
        strike("run", function.name());
        let before = caller.checked().len();
        let raised_before = std::mem::take(&mut self.raised);
        let mut env = Env::new(caller.checked().to_vec());
        env.hooked = caller.hooked;
        self.bind_parameters(function, instance, arguments, &mut env);
        match function.code {
            Code::Def(node) => {
                let project = self.project;
                self.block(project.code(function.def.file, node), &mut env);
                if !env.dead {
                    self.returned(Const::None.into(), &env);
                }
            }
            Code::Lambda(node) => {
                let value = self.value(&node.body, &mut env);
                self.returned(value, &env);
            }
        }
        let frame = self.frames.pop();
        let reached = distinct(self.reached.pop().unwrap_or_default());
        let Some(frame) = frame else {
            return Summary {
                returns: Value::unknown(),
                reached,
                checked: Vec::new(),
                changed: Vec::new(),
                raised: Value::unknown(),
                by_state: false,
            };
        };
        if let Some(scope) = &frame.scope
            && !env.vars().is_empty()
        {
            scope.refresh(env.vars());
        }
        self.keep_defaults(function, &frame, arguments, &env);
        let changed = self.changed_parameters(function, &frame, &env);
        let returns = match frame.yielded {
            Some(yielded) if function.context_manager => yielded,
            Some(yielded) => {
                let mut generator = match frame.yields.filter(|_| !self.exhausted()) {
                    Some(yields) => Container::sequence(yields),
                    None => Container::some(yielded),
                };
                generator.keys = frame.returns;
                generator.with(Role::Iterator).into()
            }
            None => frame.returns,
        };
        let checked = frame.returned_checked.unwrap_or_default();
        let gives = returns != Const::None.into() || !changed.is_empty();
        Summary {
            by_state: frame.by_state && gives,
            returns,
            reached,
            checked: checked.into_iter().skip(before).collect(),
            changed,
            raised: std::mem::replace(&mut self.raised, raised_before),
        }
    }

    /// Default arguments that were changed in place stay so for the next call.
    fn keep_defaults(
        &mut self,
        function: &Function<'a>,
        frame: &Frame,
        arguments: &Arguments,
        env: &Env,
    ) {
        let parameters = function.parameters();
        let ordered = parameters
            .into_iter()
            .flat_map(|p| p.iter_non_variadic_params());
        for (n, parameter) in ordered.skip(usize::from(function.takes_self())).enumerate() {
            let name = &parameter.name().id;
            let is_kept = frame.changed.contains(name)
                && !frame.rebound.contains(name)
                && function.defaults.contains_key(name)
                && arguments.get(n, name).is_none();
            if let (true, Some(value)) = (is_kept, env.get(name).cloned()) {
                let key = format!("{name} of {:?}", function.def);
                self.set_field(Owner::Store("default".into()), &key, &value);
            }
        }
    }

    /// Positions of parameters whose objects were changed in place, and what they hold now.
    fn changed_parameters(
        &self,
        function: &Function<'a>,
        frame: &Frame,
        env: &Env,
    ) -> Vec<(usize, Value)> {
        if frame.changed.is_empty() {
            return Vec::new();
        }
        let parameters = function.parameters();
        let ordered = parameters
            .iter()
            .flat_map(|p| p.posonlyargs.iter().chain(&p.args));
        ordered
            .skip(usize::from(function.takes_self()))
            .enumerate()
            .filter(|(_, parameter)| {
                let name = &parameter.name().id;
                frame.changed.contains(name) && !frame.rebound.contains(name)
            })
            .filter_map(|(n, parameter)| Some((n, env.get(parameter.name())?.clone())))
            .collect()
    }

    /// Joins `value` into what the current function returns.
    pub fn returned(&mut self, value: Value, env: &Env) {
        let value = self.settled(&value, env);
        if let Some(frame) = self.frames.last_mut() {
            frame.returns = std::mem::take(&mut frame.returns).join(&value);
            match &mut frame.returned_checked {
                None => frame.returned_checked = Some(env.checked().to_vec()),
                Some(checked) => checked.retain(|c| env.checked().contains(c)),
            }
            if let Some(scope) = &frame.scope {
                scope.refresh(env.vars());
            }
        }
    }

    /// Whether `def` is a function inside another that nothing there ever mentions.
    pub fn is_unused(&self, def: Def) -> bool {
        let Some(function) = self.function_at(def) else {
            return false;
        };
        let Code::Def(node) = function.code else {
            return false;
        };
        let source = self.project.source(def.file);
        let around = source.ancestors(span(node)).into_iter().rev().skip(1);
        let outer = around.into_iter().find_map(|node| match node {
            ast::AnyNodeRef::StmtFunctionDef(outer) => Some(span(outer)),
            _ => None,
        });
        let Some(outer) = outer.filter(|outer| *outer != span(node)) else {
            return false;
        };
        let mut chains = source.scopes().chains().iter();
        // `print(f)` only looks at it.
        let is_looked_at = |place: crate::text::Span| {
            source.ancestors(place).into_iter().any(|node| match node {
                ast::AnyNodeRef::ExprCall(call) => {
                    let mut given = call.arguments.args.iter();
                    LOOKS
                        .iter()
                        .any(|name| call.func.as_name_expr().is_some_and(|f| f.id == **name))
                        && given.any(|argument| span(argument) == place)
                }
                _ => false,
            })
        };
        let is_wraps = |decorator: &ast::Decorator| match &decorator.expression {
            Expr::Call(call) => crate::python::dotted(&call.func)
                .is_some_and(|parts| parts.last().is_some_and(|last| last == "wraps")),
            _ => false,
        };
        node.decorator_list.iter().all(is_wraps)
            && !chains.any(|chain| {
                outer.contains(chain.span)
                    && chain.parts.first().is_some_and(|p| **p == *node.name)
                    && !(chain.parts.len() == 1 && is_looked_at(chain.span))
            })
    }

    /// What a global that functions assign holds beside what its module gave it.
    pub fn assigned_global(&mut self, file: FileId, name: &str) -> Option<Value> {
        self.field(&Owner::Module(file), name)
    }
}

/// One way for each load, value and first call: the shortest. Ways multiply with every level of calls otherwise.
fn distinct(mut reached: Vec<Reached>) -> Vec<Reached> {
    let exposed = |r: &Reached| r.value.taints().iter().map(|taint| taint.trust).min();
    reached.sort_by_cached_key(|r| (r.site, exposed(r).unwrap_or(Trust::Trusted), r.chain.len()));
    let mut kept: Vec<Reached> = Vec::new();
    for one in reached {
        let first = |r: &Reached| r.chain.first().map(|call| call.place);
        let same = |other: &&Reached| {
            (other.site, first(other), other.holder) == (one.site, first(&one), one.holder)
        };
        let of_load = |other: &&Reached| other.site == one.site;
        let before = kept.iter().rev().take_while(of_load).take(200);
        let alike: Vec<&Reached> = before.filter(same).collect();
        let known = alike
            .iter()
            .any(|other| other.value == one.value && other.checked == one.checked);
        if !known && alike.len() < MOST_CONTEXTS {
            kept.push(one);
        }
    }
    kept
}

/// A hop that a value makes when a store gives it back.
pub(super) fn kept(place: Place, note: String, shape: Shape) -> Hop {
    Hop::new(place, HopKind::Step, note, shape, false)
}
