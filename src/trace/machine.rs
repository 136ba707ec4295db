//! The abstract interpreter's state: environments, functions, calls into the project and their summaries.
//!
//! Invariant: bounded. Depth, work and the width of values have limits; where one is met, what was known so far
//! stays, and nothing that was found is dropped.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use super::handlers::Handler;
use super::sites::{Form, Site};
use super::value::{Atom, Def, Hop, HopKind, Identity, Place, Taint, Value};
use crate::pack::{Model, Shape, SinkId, Trust};
use crate::project::{FileId, Project};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{Ranged, SourceFile, span};

/// Calls deeper than this are not followed.
const DEEPEST: usize = 40;
/// Sets of arguments for which one function is interpreted, but for those that a client or peer supplies.
const MOST_CONTEXTS: usize = 12;
/// Expressions and statements evaluated in one pass over a project before giving up.
const MOST_WORK: usize = 1_500_000;

/// Variables by name.
pub(super) type Vars = HashMap<String, Value>;

/// A checked value: what, and why the check does not count if it does not.
pub(super) type Checked = (Identity, Option<&'static str>);

/// The state at one point of one function.
#[derive(Debug, Clone, Default)]
pub(super) struct Env {
    pub vars: Vars,
    pub checked: Vec<Checked>,
    /// This point cannot be reached.
    pub dead: bool,
}

impl Env {
    /// Either this state or `other`.
    pub fn join(self, other: Env) -> Env {
        match (self.dead, other.dead) {
            (true, _) => other,
            (_, true) => self,
            _ => {
                let mut joined = self;
                for (name, value) in other.vars {
                    let mine = joined.vars.remove(&name).unwrap_or_default();
                    joined.vars.insert(name, mine.join(&value));
                }
                joined.checked.retain(|c| other.checked.contains(c));
                joined
            }
        }
    }
}

/// The code of a function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code<'a> {
    Def(&'a ast::StmtFunctionDef),
    Lambda(&'a ast::ExprLambda),
}

#[derive(Debug)]
pub(super) struct Function<'a> {
    pub def: Def,
    pub code: Code<'a>,
    pub class: Option<Def>,
    pub closure: Option<Rc<RefCell<Vars>>>,
    /// Values of default arguments: made once, where the function is defined.
    pub defaults: Vars,
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

    pub fn is_static(&self) -> bool {
        match self.code {
            Code::Def(node) => node
                .decorator_list
                .iter()
                .any(|d| matches!(&d.expression, Expr::Name(n) if n.id == "staticmethod")),
            Code::Lambda(_) => true,
        }
    }
}

#[derive(Debug)]
pub(super) struct Class {
    pub bases: Vec<Value>,
    pub attributes: Vars,
}

/// One call on the way from an entry point to a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAt {
    /// The call expression.
    pub place: Place,
    /// The function that makes the call; the module level when absent.
    pub caller: Option<Def>,
}

/// A load was reached with a value.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    pub site: usize,
    pub value: Value,
    pub checked: Vec<Checked>,
    /// Outermost call first.
    pub chain: Vec<CallAt>,
    /// The function that holds the load.
    pub holder: Option<Def>,
}

/// What the program pickled and handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it travels: `cookie`, `body`.
    pub channel: String,
    /// Under which name, where that is a literal.
    pub key: Option<String>,
    /// The call that pickled it.
    pub place: Place,
}

/// Arguments of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Arguments {
    pub positional: Vec<Value>,
    pub named: Vec<(String, Value)>,
    /// Elements of `*args` and `**kwargs` of unknown place.
    pub spread: Value,
}

impl Arguments {
    /// The argument at `position` or called `name`.
    pub fn get(&self, position: usize, name: &str) -> Option<&Value> {
        let by_name = self.named.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        self.positional.get(position).or(by_name)
    }

    /// All argument values.
    pub fn all(&self) -> impl Iterator<Item = &Value> {
        let named = self.named.iter().map(|(_, value)| value);
        self.positional.iter().chain(named).chain([&self.spread])
    }
}

/// What a call's outcome depends on: function, instance, arguments, and the signatures checked before.
type Calling = (Def, Option<Def>, Arguments, Vec<Checked>);

struct Summary {
    returns: Value,
    reached: Vec<Reached>,
}

pub(super) struct Frame {
    pub file: FileId,
    pub def: Option<Def>,
    pub class: Option<Def>,
    pub closure: Option<Rc<RefCell<Vars>>>,
    pub returns: Value,
    pub yields: bool,
    pub loop_exits: Vec<Env>,
    pub globals: HashSet<String>,
}

impl Frame {
    /// A frame in which nothing has run yet: of a module, a class body (`class`) or a function (`def`).
    pub fn new(
        file: FileId,
        def: Option<Def>,
        class: Option<Def>,
        closure: Option<Rc<RefCell<Vars>>>,
    ) -> Frame {
        Frame {
            file,
            def,
            class,
            closure,
            returns: Value::unknown(),
            yields: false,
            loop_exits: Vec::new(),
            globals: HashSet::new(),
        }
    }
}

/// What instance fields and attributes of outside objects are kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Class(Def),
    External(Rc<str>),
}

pub(super) struct Machine<'a> {
    pub project: &'a Project,
    pub model: &'a Model,
    pub sites: Vec<Site>,
    by_place: HashMap<Place, usize>,
    pub functions: HashMap<Def, Rc<Function<'a>>>,
    pub classes: HashMap<Def, Rc<Class>>,
    pub modules: HashMap<FileId, Rc<RefCell<Vars>>>,
    pub fields: HashMap<(Owner, String), Value>,
    pub handlers: VecDeque<Handler>,
    pub known_handlers: HashSet<Def>,
    pub visited: HashSet<Def>,
    pub written: Vec<Written>,
    defining: HashSet<(FileId, String)>,
    pub frames: Vec<Frame>,
    summaries: HashMap<Calling, Rc<Summary>>,
    contexts: HashMap<Def, Vec<Rc<Summary>>>,
    reached: Vec<Vec<Reached>>,
    work: usize,
}

impl<'a> Machine<'a> {
    pub fn new(project: &'a Project, model: &'a Model, sites: Vec<Site>) -> Machine<'a> {
        let by_place = sites
            .iter()
            .enumerate()
            .map(|(n, site)| (site.place, n))
            .collect();
        Machine {
            project,
            model,
            sites,
            by_place,
            functions: HashMap::new(),
            classes: HashMap::new(),
            modules: HashMap::new(),
            fields: HashMap::new(),
            handlers: VecDeque::new(),
            known_handlers: HashSet::new(),
            visited: HashSet::new(),
            written: Vec::new(),
            defining: HashSet::new(),
            frames: Vec::new(),
            summaries: HashMap::new(),
            contexts: HashMap::new(),
            reached: vec![Vec::new()],
            work: 0,
        }
    }

    /// Forgets everything but instance fields and sites: the next pass sees fields that were set after they were read.
    pub fn next_pass(&mut self) {
        self.modules.clear();
        self.summaries.clear();
        self.contexts.clear();
        self.visited.clear();
        self.handlers.clear();
        self.known_handlers.clear();
        self.reached = vec![Vec::new()];
        self.work = 0;
    }

    /// Whether there is work left to spend; spends a unit.
    pub fn spend(&mut self) -> bool {
        self.work += 1;
        self.work < MOST_WORK
    }

    /// Whether the bound on work was met.
    pub fn exhausted(&self) -> bool {
        self.work >= MOST_WORK
    }

    /// The loads reached since the last call, when at the outermost level.
    pub fn take_reached(&mut self) -> Vec<Reached> {
        self.reached
            .last_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    pub fn file(&self) -> FileId {
        self.frames.last().map_or(FileId(0), |f| f.file)
    }

    pub fn source(&self) -> &'a SourceFile {
        self.project.source(self.file())
    }

    pub fn place(&self, node: &impl Ranged) -> Place {
        Place {
            file: self.file(),
            span: span(node),
        }
    }

    /// Source text of `node` on one line, shortened.
    pub fn snippet(&self, node: &impl Ranged) -> String {
        let text = self.source().slice(span(node));
        let line: Vec<&str> = text.split_whitespace().collect();
        let line = line.join(" ");
        match line.char_indices().nth(80) {
            Some((cut, _)) => format!("{}…", line.get(..cut).unwrap_or_default()),
            None => line,
        }
    }

    /// Notes that a load was reached with `value`.
    pub fn record(&mut self, place: Place, sink: SinkId, name: &str, value: Value, env: &Env) {
        let site = match self.by_place.get(&place) {
            Some(site) => *site,
            None => {
                self.sites.push(Site {
                    place,
                    sink,
                    name: name.to_owned(),
                    form: Form::Indirect,
                });
                self.by_place.insert(place, self.sites.len() - 1);
                self.sites.len() - 1
            }
        };
        let reached = Reached {
            site,
            value,
            checked: env.checked.clone(),
            chain: Vec::new(),
            holder: self.frames.last().and_then(|f| f.def),
        };
        if let Some(open) = self.reached.last_mut() {
            open.push(reached);
        }
    }

    /// The variables of a module of the project, interpreting it first if that was not done.
    pub fn module_vars(&mut self, file: FileId) -> Rc<RefCell<Vars>> {
        if let Some(vars) = self.modules.get(&file) {
            return Rc::clone(vars);
        }
        let vars = Rc::new(RefCell::new(Vars::new()));
        self.modules.insert(file, Rc::clone(&vars));
        if self.frames.len() >= DEEPEST {
            return vars;
        }
        self.frames.push(Frame::new(file, None, None, None));
        self.reached.push(Vec::new());
        let mut env = Env::default();
        for stmt in &self.project.source(file).module().body {
            env.dead = false;
            self.statement(stmt, &mut env);
        }
        *vars.borrow_mut() = env.vars;
        self.frames.pop();
        // Loads at module level belong to the module, whoever imported it first.
        let reached = self.reached.pop().unwrap_or_default();
        if let Some(outermost) = self.reached.first_mut() {
            outermost.extend(reached);
        }
        vars
    }

    /// What the module-level name `name` of `file` is.
    pub fn global(&mut self, file: FileId, name: &str) -> Option<Value> {
        let vars = self.module_vars(file);
        let value = vars.borrow().get(name).cloned();
        value.or_else(|| self.defined_later(file, name))
    }

    /// A function or class whose definition has not run yet: import cycles, forward references.
    fn defined_later(&mut self, file: FileId, name: &str) -> Option<Value> {
        let body = &self.project.source(file).module().body;
        let stmt = body.iter().find(|stmt| match stmt {
            Stmt::FunctionDef(node) => node.name == *name,
            Stmt::ClassDef(node) => node.name == *name,
            _ => false,
        })?;
        self.frames.push(Frame::new(file, None, None, None));
        // `class A(A)` refers to what it is about to define.
        let mut env = Env::default();
        if self.defining.insert((file, name.to_owned())) {
            self.statement(stmt, &mut env);
            self.defining.remove(&(file, name.to_owned()));
        }
        self.frames.pop();
        env.vars.remove(name)
    }

    /// Calls a function of the project.
    pub fn call(
        &mut self,
        def: Def,
        bound: Option<Def>,
        arguments: Arguments,
        at: Place,
        env: &Env,
    ) -> Value {
        let Some(function) = self.functions.get(&def).cloned() else {
            return Value::unknown();
        };
        let caller = self.frames.last().and_then(|f| f.def);
        let arguments = self.passed(&function, arguments, at);
        let key = (def, bound, arguments, env.checked.clone());
        let summary = match self.summaries.get(&key) {
            Some(summary) => Rc::clone(summary),
            None => {
                let recursive = self.frames.iter().filter(|f| f.def == Some(def)).count() > 1;
                if recursive || self.frames.len() >= DEEPEST || self.exhausted() {
                    return self.opaque(&key.2);
                }
                match self.well_known(def, &key.2) {
                    Some(summary) => summary,
                    None => {
                        let checked = env.checked.clone();
                        let (returns, reached) = self.run(&function, bound, &key.2, checked);
                        let summary = Rc::new(Summary { returns, reached });
                        self.contexts
                            .entry(def)
                            .or_default()
                            .push(Rc::clone(&summary));
                        self.summaries.insert(key, Rc::clone(&summary));
                        summary
                    }
                }
            }
        };
        if let Some(open) = self.reached.last_mut() {
            for reached in &summary.reached {
                let mut reached = reached.clone();
                reached.chain.insert(0, CallAt { place: at, caller });
                open.push(reached);
            }
        }
        let note = format!("returned by {}()", function.name());
        self.moved(&summary.returns, HopKind::Return, at, &note)
    }

    /// For a function that was interpreted with many arguments already, and now with nothing that a client or peer
    /// supplies: what it did before, so that every way to a load is still seen.
    fn well_known(&self, def: Def, arguments: &Arguments) -> Option<Rc<Summary>> {
        let before = self
            .contexts
            .get(&def)
            .filter(|c| c.len() >= MOST_CONTEXTS)?;
        let mut taints = arguments.all().flat_map(|value| value.taints());
        if taints.any(|taint| taint.trust <= Trust::Network) {
            return None;
        }
        let last = before.last()?;
        Some(Rc::new(Summary {
            returns: last.returns.clone().join(&self.opaque(arguments)),
            reached: last.reached.clone(),
        }))
    }

    /// Interprets `function` as an entry point.
    pub fn enter(&mut self, def: Def, bound: Option<Def>, arguments: &Arguments) {
        if let Some(function) = self.functions.get(&def).cloned() {
            let (_, reached) = self.run(&function, bound, arguments, Vec::new());
            if let Some(open) = self.reached.last_mut() {
                open.extend(reached);
            }
        }
    }

    fn run(
        &mut self,
        function: &Rc<Function<'a>>,
        bound: Option<Def>,
        arguments: &Arguments,
        checked: Vec<Checked>,
    ) -> (Value, Vec<Reached>) {
        self.visited.insert(function.def);
        let class = bound.or(function.class);
        self.frames.push(Frame::new(
            function.def.file,
            Some(function.def),
            class,
            function.closure.clone(),
        ));
        self.reached.push(Vec::new());
        let mut env = Env {
            checked,
            ..Env::default()
        };
        self.bind_parameters(function, class, arguments, &mut env);
        match function.code {
            Code::Def(node) => self.block(&node.body, &mut env),
            Code::Lambda(node) => {
                let value = self.value(&node.body, &mut env);
                self.returned(value);
            }
        }
        let frame = self.frames.pop();
        let reached = distinct(self.reached.pop().unwrap_or_default());
        let returns = match frame {
            Some(frame) if frame.yields => super::value::Container {
                rest: frame.returns,
                ..Default::default()
            }
            .into(),
            Some(frame) => frame.returns,
            None => Value::unknown(),
        };
        (returns, reached)
    }

    /// Joins `value` into what the current function returns.
    pub fn returned(&mut self, value: Value) {
        if let Some(frame) = self.frames.last_mut() {
            frame.returns = std::mem::take(&mut frame.returns).join(&value);
        }
    }

    fn bind_parameters(
        &self,
        function: &Function<'a>,
        class: Option<Def>,
        arguments: &Arguments,
        env: &mut Env,
    ) {
        let Some(parameters) = function.parameters() else {
            return;
        };
        let mut positional = arguments.positional.iter();
        let ordered = parameters.posonlyargs.iter().chain(&parameters.args);
        for (n, parameter) in ordered.enumerate() {
            let name = parameter.name().as_str();
            if n == 0
                && let Some(class) = class
                && function.class.is_some()
                && !function.is_static()
            {
                env.vars
                    .insert(name.to_owned(), Atom::Instance(class).into());
                continue;
            }
            let given = positional.next().cloned();
            bind_one(function, name, given, arguments, env);
        }
        for parameter in &parameters.kwonlyargs {
            let name = parameter.name().as_str();
            bind_one(function, name, None, arguments, env);
        }
        if let Some(star) = &parameters.vararg {
            let rest = positional.fold(arguments.spread.clone(), |all, v| all.join(v));
            env.vars.insert(
                star.name.to_string(),
                super::value::Container::of(rest).into(),
            );
        }
        if let Some(star) = &parameters.kwarg {
            let taken: HashSet<&str> = parameters
                .iter_non_variadic_params()
                .map(|p| p.name().as_str())
                .collect();
            let mut container = super::value::Container::of(arguments.spread.clone());
            for (name, value) in &arguments.named {
                if !taken.contains(name.as_str()) {
                    let key = super::value::Const::Str(name.as_str().into());
                    container.items.insert(key, value.clone());
                }
            }
            env.vars.insert(star.name.to_string(), container.into());
        }
    }

    /// `arguments` as they arrive in `function`: their way has one more station.
    fn passed(&self, function: &Function<'a>, arguments: Arguments, at: Place) -> Arguments {
        let note = format!("passed to {}()", function.name());
        let moved = |value: &Value| self.moved(value, HopKind::Call, at, &note);
        Arguments {
            positional: arguments.positional.iter().map(moved).collect(),
            named: arguments
                .named
                .iter()
                .map(|(name, value)| (name.clone(), moved(value)))
                .collect(),
            spread: moved(&arguments.spread),
        }
    }

    fn moved(&self, value: &Value, kind: HopKind, place: Place, note: &str) -> Value {
        value.map_taints(&|taint| {
            taint.then(Hop::new(place, kind, note.to_owned(), taint.shape, false))
        })
    }

    /// What a call that is not followed may return: anything its arguments carry.
    fn opaque(&self, arguments: &Arguments) -> Value {
        arguments
            .all()
            .flat_map(|value| value.taints())
            .map(|taint| Atom::Untrusted(taint.clone()))
            .collect()
    }

    /// Untrusted data of `trust` that enters at `place`.
    pub fn entering(
        &self,
        trust: Trust,
        channel: &str,
        shape: Shape,
        place: Place,
        note: String,
    ) -> Value {
        Atom::Untrusted(Taint::enter(trust, channel, shape, place, note)).into()
    }

    /// Binds `name`; at module level, functions called from here on see it at once.
    pub fn bind(&mut self, name: &str, value: Value, env: &mut Env) {
        if let Some(frame) = self.frames.last() {
            let global = frame.globals.contains(name);
            if (frame.def.is_none() && frame.class.is_none()) || global {
                let vars = self.modules.entry(frame.file).or_default();
                let mut vars = vars.borrow_mut();
                let before = match global {
                    true => vars.get(name).cloned().unwrap_or_default(),
                    false => Value::unknown(),
                };
                vars.insert(name.to_owned(), before.join(&value));
            }
        }
        env.vars.insert(name.to_owned(), value);
    }
}

/// Binds one parameter: what was given, else its default, else what `*args` or `**kwargs` may hold.
fn bind_one(
    function: &Function<'_>,
    name: &str,
    given: Option<Value>,
    arguments: &Arguments,
    env: &mut Env,
) {
    let named = arguments.named.iter().find(|(n, _)| n == name);
    let value = match (given, named, function.defaults.get(name)) {
        (Some(value), ..) => value,
        (None, Some((_, value)), _) => value.clone(),
        (None, None, Some(default)) => default.clone().join(&arguments.spread),
        (None, None, None) => arguments.spread.clone(),
    };
    env.vars.insert(name.to_owned(), value);
}

/// One way for each load, value and first call: the shortest. Ways multiply with every level of calls otherwise.
fn distinct(mut reached: Vec<Reached>) -> Vec<Reached> {
    let exposed = |r: &Reached| r.value.taints().iter().map(|taint| taint.trust).min();
    reached.sort_by_key(|r| (r.site, exposed(r).unwrap_or(Trust::Trusted), r.chain.len()));
    let mut kept: Vec<Reached> = Vec::new();
    for one in reached {
        let first = |r: &Reached| r.chain.first().map(|call| call.place);
        let same = |other: &&Reached| {
            (other.site, first(other), other.holder) == (one.site, first(&one), one.holder)
        };
        let alike: Vec<&Reached> = kept.iter().filter(same).collect();
        let known = alike
            .iter()
            .any(|other| other.value == one.value && other.checked == one.checked);
        if !known && alike.len() < MOST_CONTEXTS {
            kept.push(one);
        }
    }
    kept
}
