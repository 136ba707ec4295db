//! The abstract interpreter's state: functions, classes, fields, the frames of running code, and what was reached.
//!
//! Invariant: bounded. Depth, work and the width of values have limits; where one is met, what was known so far
//! stays, and nothing that was found is dropped.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::bounds::Bounds;
use super::chain::Chain;
use super::dispatch::Dispatch;
use super::env::{Checked, Env, Scope, Vars, Verdict};
use super::functions::{Calling, Function, Summary};
use super::guards::Looked;
use super::handlers::Handler;
use super::imports::Words;
use super::lazy::{Deferred, Yields};
use super::modules::Names;
use super::queues::Queues;
use super::restricted::Restriction;
use super::sites::{Form, Site};
use super::taint::{Hop, HopKind, Place, Taint};
use super::uses::Use;
use super::value::{Atom, Def, FunctionId, Instance, Value};
use super::work::Work;
use super::writers::Written;
use crate::pack::{FrameworkId, Model, Shape, SinkId, Trust};
use crate::project::{FileId, Project};
use crate::python::ast::name::Name;
use crate::python::{Ranged, SourceFile, span};

/// A load was reached with a value.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    pub site: usize,
    pub value: Value,
    pub checked: Vec<Checked>,
    /// The call is harmless by its arguments, its class or a hook.
    pub safe: Option<Safe>,
    /// Outermost call first.
    pub chain: Chain,
    /// The function that holds the load.
    pub holder: Option<Def>,
    /// Something was read on the way that other functions write.
    pub by_state: bool,
}

/// Why a load that is reached does no harm whatever arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Safe {
    /// Its arguments say so.
    Arguments,
    /// Its class refuses what is not on a list.
    Class,
    /// A hook is in place.
    Hook,
}

/// A class of the project.
#[derive(Debug)]
pub(super) struct Class {
    pub bases: Vec<Value>,
    pub attributes: Rc<Vars>,
    /// Annotated names of its body in their order: the fields of a dataclass.
    pub annotated: Vec<Name>,
    /// Fields annotated with a type that carries no payload.
    pub harmless: Vec<Name>,
    /// Its name.
    pub name: Name,
    /// What its body annotates them with, where that is a class of the project.
    pub types: FxHashMap<Name, Value>,
    /// It is a store of files.
    pub keeps_files: bool,
}

/// A function, module or class body that is running.
pub(super) struct Frame {
    pub file: FileId,
    pub def: Option<Def>,
    /// The class whose method it is, or whose body.
    pub class: Option<Def>,
    pub instance: Option<Instance>,
    /// Variables that functions defined here see.
    pub scope: Option<Rc<Scope>>,
    /// Variables of the functions around.
    pub outer: Option<Rc<Scope>>,
    pub returns: Value,
    pub yielded: Option<Value>,
    /// What it yielded one after the other, where that is known.
    pub yields: Option<Vec<Value>>,
    /// What was checked at each return so far.
    pub returned_checked: Option<Vec<Checked>>,
    /// States at `continue` in the loop that runs.
    pub loop_exits: Vec<Env>,
    /// States at `break`.
    pub loop_breaks: Vec<Env>,
    pub globals: FxHashSet<Name>,
    pub nonlocals: FxHashSet<Name>,
    /// Parameters whose objects were changed in place.
    pub changed: Vec<Name>,
    /// Names that were assigned, and so no longer refer to what was passed.
    pub rebound: FxHashSet<Name>,
    pub called_at: Option<Place>,
    /// Tells apart functions that this frame defines from those of another.
    pub context: u32,
    /// It has read what other functions write.
    pub by_state: bool,
}

impl Frame {
    /// A frame in which nothing has run yet.
    pub fn new(file: FileId) -> Frame {
        Frame {
            file,
            def: None,
            class: None,
            instance: None,
            scope: None,
            outer: None,
            returns: Value::unknown(),
            yielded: None,
            yields: None,
            returned_checked: None,
            loop_exits: Vec::new(),
            loop_breaks: Vec::new(),
            globals: FxHashSet::default(),
            nonlocals: FxHashSet::default(),
            changed: Vec::new(),
            rebound: FxHashSet::default(),
            called_at: None,
            context: 0,
            by_state: false,
        }
    }

    /// Whether it is a module's.
    pub fn is_module(&self) -> bool {
        self.def.is_none() && self.class.is_none()
    }
}

/// What fields and stored values are kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Instance(Instance),
    External(Rc<str>),
    Module(FileId),
    Store(Rc<str>),
}

pub(super) struct Machine<'a> {
    pub project: &'a Project,
    pub model: &'a Model,
    /// The words of each file's imports.
    pub imports: &'a [Words],
    pub sites: Vec<Site>,
    by_place: FxHashMap<Place, usize>,
    pub functions: Vec<Rc<Function<'a>>>,
    pub(super) known_functions: FxHashMap<(Def, u32), FunctionId>,
    pub by_def: FxHashMap<Def, FunctionId>,
    pub classes: FxHashMap<Def, Rc<Class>>,
    /// Lambdas, and the functions around them.
    pub(super) lambdas: FxHashMap<Def, Option<Def>>,
    /// The methods of classes that lead to loads.
    pub(super) loading: FxHashMap<Def, Vec<Def>>,
    pub subclasses: FxHashMap<Def, Vec<Def>>,
    pub restrictions: FxHashMap<Def, Restriction>,
    pub modules: FxHashMap<FileId, Rc<RefCell<Vars>>>,
    pub names: FxHashMap<FileId, Rc<Names<'a>>>,
    pub defining: FxHashSet<(FileId, Name)>,
    pub(super) fields: FxHashMap<(Owner, Name), Value>,
    read: FxHashSet<(Owner, Name)>,
    stale: bool,
    pub handlers: VecDeque<Handler>,
    pub known_handlers: FxHashMap<Def, bool>,
    /// Those as well that lead to no load.
    pub all_handlers: FxHashMap<Def, Handler>,
    uses: FxHashMap<FileId, Rc<FxHashSet<FrameworkId>>>,
    pub visited: FxHashSet<Def>,
    /// What was done with what each load gives.
    pub(super) uses_of_loads: FxHashMap<Place, BTreeSet<Use>>,
    /// Loaded values that were handed to functions which run elsewhere.
    pub(super) dispatched: Vec<Dispatch>,
    /// What objects of stores each of their keys is written to and read from by.
    pub(super) servers: FxHashMap<(Rc<str>, Rc<str>), Vec<Value>>,
    pub written: Vec<Written>,
    /// Stores, and keys in them, that the program reads.
    pub(super) looked_up: FxHashSet<(Rc<str>, Rc<str>)>,
    /// Writers that also write what nobody in the project reads.
    pub(super) elsewhere: FxHashSet<Place>,
    pub(super) queues: Queues,
    /// Where rows of a database are read, and of which class; nothing where they are of several.
    pub(super) rows: FxHashMap<Place, Option<Def>>,
    pub looked: FxHashSet<Looked>,
    /// What each writer was given.
    pub dumped: FxHashMap<Place, Value>,
    pub frames: Vec<Frame>,
    pub contexts: u32,
    pub(super) summaries: FxHashMap<Calling, Rc<Summary>>,
    pub(super) known_calls: FxHashMap<Def, Vec<Rc<Summary>>>,
    pub(super) reached: Vec<Vec<Reached>>,
    /// A hook is in place for the whole process.
    pub hooked: bool,
    /// What was raised since the innermost `try` began.
    pub raised: Value,
    /// Methods that lead to loads, by name: what a call of an unknown receiver may mean.
    pub leading: FxHashMap<Name, Vec<Def>>,
    /// Functions that lead to loads, or keep what loads may read; others matter only for what they return.
    pub leads: FxHashSet<Def>,
    /// Those that lead to loads.
    pub to_loads: FxHashSet<Def>,
    pub(super) deferred: Vec<Deferred<'a>>,
    pub(super) yielding: FxHashMap<Def, Yields>,
    pub(super) work: Work,
    /// What was not followed.
    pub bounds: Bounds,
}

impl<'a> Machine<'a> {
    pub fn new(
        project: &'a Project,
        model: &'a Model,
        sites: Vec<Site>,
        imports: &'a [Words],
        most_each: usize,
    ) -> Machine<'a> {
        let numbered = sites.iter().enumerate();
        let by_place = numbered.map(|(n, site)| (site.place, n)).collect();
        Machine {
            project,
            model,
            imports,
            sites,
            by_place,
            functions: Vec::new(),
            known_functions: FxHashMap::default(),
            by_def: FxHashMap::default(),
            classes: FxHashMap::default(),
            lambdas: FxHashMap::default(),
            loading: FxHashMap::default(),
            subclasses: FxHashMap::default(),
            restrictions: FxHashMap::default(),
            modules: FxHashMap::default(),
            names: FxHashMap::default(),
            defining: FxHashSet::default(),
            fields: FxHashMap::default(),
            read: FxHashSet::default(),
            stale: false,
            handlers: VecDeque::new(),
            known_handlers: FxHashMap::default(),
            all_handlers: FxHashMap::default(),
            uses: FxHashMap::default(),
            visited: FxHashSet::default(),
            uses_of_loads: FxHashMap::default(),
            dispatched: Vec::new(),
            servers: FxHashMap::default(),
            written: Vec::new(),
            looked_up: FxHashSet::default(),
            elsewhere: FxHashSet::default(),
            queues: Queues::default(),
            rows: FxHashMap::default(),
            looked: FxHashSet::default(),
            dumped: FxHashMap::default(),
            frames: Vec::new(),
            contexts: 0,
            summaries: FxHashMap::default(),
            known_calls: FxHashMap::default(),
            reached: vec![Vec::new()],
            hooked: false,
            raised: Value::unknown(),
            leading: FxHashMap::default(),
            leads: FxHashSet::default(),
            to_loads: FxHashSet::default(),
            deferred: Vec::new(),
            yielding: FxHashMap::default(),
            work: Work::new(most_each),
            bounds: Bounds::default(),
        }
    }

    /// Whether something was read that got another value later, so that another pass would see more.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Forgets everything but fields, sites, functions and classes: the next pass sees fields that were set after they
    /// were read.
    pub fn next_pass(&mut self) {
        self.modules.clear();
        self.summaries.clear();
        self.known_calls.clear();
        self.visited.clear();
        self.handlers.clear();
        self.known_handlers.clear();
        self.read.clear();
        self.reached = vec![Vec::new()];
        self.stale = false;
        self.work.next_pass();
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

    /// Frameworks that `file` imports.
    pub fn uses(&mut self, file: FileId) -> Rc<FxHashSet<FrameworkId>> {
        if let Some(used) = self.uses.get(&file) {
            return Rc::clone(used);
        }
        let imports = self.project.imports(file).into_iter();
        let used = self
            .model
            .used(imports.map(|import| import.target.as_str()));
        let used = Rc::new(used);
        self.uses.insert(file, Rc::clone(&used));
        used
    }

    /// Source text at `place` on one line, shortened.
    pub fn snippet(&self, place: Place) -> String {
        let span = place.span;
        let text = self.project.text(place.file).get(span.start..span.end);
        let text = text.unwrap_or_default();
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            if line.len() > 400 {
                break;
            }
        }
        match line.char_indices().nth(80) {
            Some((cut, _)) => format!("{}…", line.get(..cut).unwrap_or_default()),
            None => line,
        }
    }

    /// The sink that is called at `place`.
    pub fn sink_at(&self, place: Place) -> Option<SinkId> {
        let site = self.by_place.get(&place)?;
        Some(self.sites.get(*site)?.sink)
    }

    /// Notes that a load was reached with `value`.
    pub fn record(
        &mut self,
        place: Place,
        sink: SinkId,
        name: &str,
        value: &Value,
        safe: Option<Safe>,
        env: &Env,
    ) {
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
        let mut known = Value::unknown();
        for atom in value.atoms() {
            known.add(match atom {
                Atom::Untrusted(taint)
                    if taint.tame || env.verdict(taint) == Some(Verdict::Harmless) =>
                {
                    Atom::Const(super::value::Const::Other)
                }
                other => other.clone(),
            });
        }
        if value.any_atom(&|atom| matches!(atom, Atom::More(_))) {
            self.bounds.widen(site);
        }
        let safe = safe.or(env.hooked.then_some(Safe::Hook));
        let reached = Reached {
            site,
            value: known,
            checked: env.checked().to_vec(),
            safe,
            chain: Chain::default(),
            holder: self.frames.last().and_then(|f| f.def),
            by_state: self.is_by_state(),
        };
        if let Some(open) = self.reached.last_mut() {
            open.push(reached);
        }
    }

    /// `value` as it leaves the place where `env` holds: what was checked there stays so.
    pub fn settled(&self, value: &Value, env: &Env) -> Value {
        if env.checked().is_empty() || !value.is_untrusted() {
            return value.clone();
        }
        let atoms = value.atoms().iter().map(|atom| match atom {
            Atom::Untrusted(taint) => match env.verdict(taint) {
                Some(Verdict::Signed) => Atom::Verified,
                Some(Verdict::Harmless) => Atom::Const(super::value::Const::Other),
                Some(Verdict::Sham(why)) => Atom::Untrusted(Taint {
                    sham: Some(why),
                    ..taint.clone()
                }),
                None => atom.clone(),
            },
            other => other.clone(),
        });
        atoms.collect()
    }

    /// What the field `name` of `owner` holds.
    pub fn field(&mut self, owner: &Owner, name: &str) -> Option<Value> {
        let key = (owner.clone(), Name::new(name));
        let value = self.fields.get(&key).cloned();
        self.read.insert(key);
        if value.is_some() {
            self.reads_state();
        }
        value
    }

    /// Notes that what runs depends on what other functions write.
    pub fn reads_state(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.by_state = true;
        }
    }

    /// Whether what runs now depends on what other functions write.
    pub fn is_by_state(&self) -> bool {
        self.frames.iter().any(|frame| frame.by_state)
    }

    /// Joins `value` into the field `name` of `owner`.
    pub fn set_field(&mut self, owner: Owner, name: &str, value: &Value) {
        let key = (owner, Name::new(name));
        let before = self.fields.entry(key.clone()).or_default();
        let after = before.clone().join(&value.unordered());
        if !after.same(before) && after != *before {
            let matters = |atom: &Atom| {
                !matches!(
                    atom,
                    Atom::Const(super::value::Const::Other)
                        | Atom::Pattern(_)
                        | Atom::Number(_)
                        | Atom::Made(_)
                        | Atom::Container(_)
                )
            };
            let grew = value.any_atom(&matters);
            *before = after;
            self.stale |= grew && self.read.contains(&key);
        }
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

    /// `value` after one more station.
    pub fn moved(&self, value: &Value, kind: HopKind, place: Place, note: &str) -> Value {
        value.map_taints(&|taint| {
            taint.then(Hop::new(place, kind, note.to_owned(), taint.shape, false))
        })
    }

    /// The untrusted parts of `value` after a step at `place`; what is constant is not known any more.
    pub fn stepped(
        &self,
        value: &Value,
        name: Option<&str>,
        shape: Shape,
        quiet: bool,
        place: Place,
    ) -> Value {
        let value = &self.flat(value);
        let note = |_: &Taint| name.map_or_else(|| self.snippet(place), str::to_owned);
        let mut out = Value::unknown();
        for taint in value.taints() {
            let hop = Hop::new(place, HopKind::Step, note(taint), shape, quiet);
            let mut after = taint.then(hop);
            after.text = None;
            after.exact = false;
            out.add(Atom::Untrusted(after));
        }
        for atom in value.atoms() {
            match atom {
                Atom::Const(_) | Atom::Pattern(_) | Atom::Number(_) => {
                    out.add(Atom::Const(super::value::Const::Other));
                }
                Atom::Pickled(..) | Atom::Verified => out.add(atom.clone()),
                Atom::Container(container) => {
                    let pickled = container.any().all_pickled();
                    pickled.into_iter().for_each(|atom| out.add(atom));
                }
                _ => {}
            }
        }
        out
    }

    /// The same value, read by the wider expression at `place`: `request.get_data` and its call, `await` and its
    /// operand.
    pub fn widened(&self, value: &Value, place: Place) -> Value {
        value.map_taints(&|taint| {
            taint
                .widen(place, || self.snippet(place), taint.shape)
                .unwrap_or_else(|| taint.clone())
        })
    }

    /// Binds `name`; at module level, functions called from here on see it at once.
    pub fn bind(&mut self, name: &Name, value: Value, env: &mut Env) {
        let in_class = self
            .frames
            .last()
            .is_some_and(|f| f.def.is_none() && f.class.is_some());
        if in_class && name.starts_with("__") {
            let name = self.mangled(name);
            env.set(name, value.clone());
        }
        if let Some(frame) = self.frames.last() {
            let file = frame.file;
            if frame.globals.contains(name) {
                self.set_field(Owner::Module(file), name, &value);
            } else if frame.nonlocals.contains(name) {
                if let Some(outer) = &frame.outer {
                    outer.assign(name, &value);
                }
            } else if frame.is_module() {
                let vars = self.modules.entry(file).or_default();
                vars.borrow_mut().insert(name.clone(), value.clone());
            }
        }
        env.set(name.clone(), value);
    }
}
