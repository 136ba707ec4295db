//! Which untrusted values reach which loads, and how: an abstract interpreter on demand.
//!
//! Invariant: the ledger is complete. Every load that stands in the code, or that the flow of values shows to be one,
//! gives exactly one [`Finding`], reached or not; a bound that is met keeps findings and never drops one.

mod assign;
mod at;
mod attributes;
mod bindings;
mod bounds;
mod buffers;
mod builtins;
mod calls;
mod chain;
mod classes;
mod columns;
mod container;
mod definitions;
mod dispatch;
mod doubts;
mod elements;
mod env;
mod expressions;
mod finding;
mod fold;
mod foreign;
mod functions;
mod guards;
mod handlers;
mod hidden;
mod imports;
mod iterators;
mod keys;
mod known;
mod layouts;
mod lazy;
mod machine;
mod matches;
mod members;
mod methods;
mod modules;
mod operators;
mod parameters;
mod passed;
mod patterns;
mod poured;
mod queues;
mod readers;
mod relevant;
mod requests;
mod restricted;
mod search;
mod settings;
mod sinks;
mod sites;
mod sources;
mod statements;
mod stores;
mod taint;
mod unknown;
mod unwind;
mod uses;
mod value;
mod work;
mod writers;

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::defect::strike;
use crate::pack::{Model, Shape, SinkId, Trust};
use crate::project::{FileId, Project};
use crate::python::ast::AnyNodeRef;
use crate::text::Span;

pub use chain::CallAt;
pub use handlers::Handler;
pub use readers::Followed;
pub use sites::Form;
pub use taint::{Hop, HopKind, Place};
pub use uses::{Doing, Use};
pub use value::Def;
pub use writers::{Content, Link, Writing};

use machine::{Machine, Reached};
use search::Searched;
use sites::Site;
use taint::Taint;

/// The way of a value from its source to a load: never empty, the source first, the sink last.
#[derive(Debug, Clone)]
pub struct TaintPath {
    hops: Vec<Hop>,
    /// Where the data travels: `body`, `cookie`, ...
    pub channel: String,
    /// Under which name, where that is a literal.
    pub key: Option<String>,
}

impl TaintPath {
    fn new(taint: &Taint, sink: Place, name: &str) -> TaintPath {
        let mut hops = taint.hops();
        hops.push(Hop::new(
            sink,
            HopKind::Sink,
            name.to_owned(),
            Shape::Any,
            false,
        ));
        TaintPath {
            hops,
            channel: taint.channel.to_string(),
            key: taint.key.as_deref().map(str::to_owned),
        }
    }

    /// The stations.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }
}

/// How an entry point comes to a load.
#[derive(Debug, Clone)]
pub struct Route {
    /// The handler it starts in; absent for module level and functions that no framework calls.
    pub handler: Option<Handler>,
    /// The calls between the entry point and the load, outermost first; empty when the load is in the entry itself.
    pub chain: Vec<CallAt>,
    /// The function that holds the load.
    pub holder: Option<Def>,
    /// The ways of the untrusted values that come by this route.
    pub paths: Vec<TaintPath>,
}

/// What is known of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Data of the finding's trust level arrives.
    Untrusted,
    /// A signature is checked before, on every way.
    Guarded,
    /// Its own arguments make the call safe.
    SafeArguments,
    /// A loader that refuses what is not on its list.
    Restricted,
    /// Only a constant arrives.
    Constant,
    /// Only what this very program pickled just before arrives.
    OwnRoundTrip,
    /// Something arrives whose origin the analysis does not know.
    UnknownOrigin,
    /// No way to the load was found: dead code, or an analysis bound.
    NotReached,
}

/// One load and what reaches it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The call (or reference) in the code.
    pub place: Place,
    /// Which sink.
    pub sink: SinkId,
    /// Its qualified name: `pickle.loads`.
    pub name: String,
    /// How it stands there.
    pub form: Form,
    /// What is known of it.
    pub reach: Reach,
    /// Who can supply the data: the most exposed level that arrives.
    pub trust: Trust,
    /// Shortest path at that level; absent when nothing untrusted arrives.
    pub path: Option<TaintPath>,
    /// Where the data travels: `body`, `cookie`, ...
    pub channel: String,
    /// Under which name, where that is a literal.
    pub key: Option<String>,
    /// Every level that arrives, on whichever way; [`Trust::Trusted`] for constants.
    pub levels: BTreeSet<Trust>,
    /// The client names the file or address that is read, and somebody else wrote what is there.
    pub named_by_client: bool,
    /// What arrives can be `None`, or has no known form, on some way.
    pub maybe_none: bool,
    /// Where the project itself pickles what this load may read.
    pub writers: Vec<Link>,
    /// Why a signature check that was made does not count.
    pub sham: Option<&'static str>,
    /// What is done with the value it gives, in whatever function; of what is not [`Followed`], where the analysis came to.
    pub uses: Vec<Use>,
    /// All ways from entry points to this load.
    pub routes: Vec<Route>,
    /// In test code or an example.
    pub test: bool,
    /// Every way to it was followed; otherwise the analysis met its bound on work.
    pub complete: bool,
    /// Survives unrelated line moves: from the file, the function, the call's text and its rank among equals.
    pub fingerprint: String,
    /// The fingerprint of the first of those equals: what a baseline counts.
    pub alike: String,
}

/// Whether the call itself says that nothing dangerous is loaded.
pub fn is_settled(finding: &Finding) -> bool {
    matches!(finding.reach, Reach::SafeArguments | Reach::Restricted) || finding.form == Form::Base
}

/// What `trace` gives.
#[derive(Debug, Default)]
pub struct Traced {
    /// One for each load, in the order of files and positions.
    pub findings: Vec<Finding>,
    /// What the project pickles itself, where the analysis came to it.
    pub writings: Vec<Writing>,
    /// The files in which it pickles anything.
    pub writing_files: Vec<FileId>,
    /// Whether a bound on work was met.
    pub exhausted: bool,
    /// Files that may hold a comment of depickle's own.
    pub spoken_to: Vec<FileId>,
    searched: Searched,
    followed: Followed,
}

/// Stack of every thread that analyses code, in bytes.
pub const STACK: usize = 256 << 20;

/// Passes over a project: another one when a field got a value after it was read.
const MOST_PASSES: usize = 2;

/// Finds every load of `project` and what reaches it.
pub fn trace(project: &Project, model: &Model) -> Traced {
    trace_for(project, model, Followed::All)
}

/// The same for who asks only what is done with the values of those `followed`.
pub fn trace_for(project: &Project, model: &Model, followed: Followed) -> Traced {
    let searched = Searched::of(project, model);
    traced(project, model, work::MOST_WORK_EACH, searched, followed)
}

/// The same with another bound on work for each entry point, in expressions and statements: what is told to be complete
/// must not depend on it.
pub fn trace_within(project: &Project, model: &Model, most_each: usize) -> Traced {
    let searched = Searched::of(project, model);
    traced(project, model, most_each, searched, Followed::All)
}

/// The same for `project` after the files `changed` were: the others are not searched again.
pub fn again(
    project: &Project,
    model: &Model,
    before: &Traced,
    changed: impl IntoIterator<Item = FileId>,
) -> Traced {
    let searched = before.searched.again(project, model, changed);
    let followed = before.followed.clone();
    traced(project, model, work::MOST_WORK_EACH, searched, followed)
}

fn traced(
    project: &Project,
    model: &Model,
    most_each: usize,
    searched: Searched,
    followed: Followed,
) -> Traced {
    let mut traced = flows(project, model, most_each, &searched, &followed);
    let setting = searched.setting();
    traced
        .findings
        .extend(settings::settings(project, model, setting));
    traced.spoken_to = searched.spoken_to();
    traced.searched = searched;
    traced.followed = followed;
    for finding in &mut traced.findings {
        finding.test = is_test(project.path(finding.place.file));
    }
    traced.findings.sort_by_key(|finding| finding.place);
    finding::fingerprint(project, model, &mut traced.findings);
    traced
}

/// The loads of a file by name, and what else it says.
type Looked = (Vec<Site>, relevant::Named);

/// Finds every call that loads, and what reaches it.
fn flows(
    project: &Project,
    model: &Model,
    most_each: usize,
    searched: &Searched,
    followed: &Followed,
) -> Traced {
    let imports = searched.imports();
    let looked: Vec<(FileId, Option<Looked>)> = searched
        .naming()
        .into_par_iter()
        .filter_map(|file| {
            project.glance(file, |source| {
                let looked = project.caught(file, || {
                    strike("sites", project.path(file));
                    let sites = sites::sites_of(project, model, file, source);
                    (sites, relevant::Named::of(model, source))
                });
                let matters = |(sites, named): &Looked| !sites.is_empty() || named.matters();
                let matters = looked.as_ref().is_none_or(matters);
                (matters.then_some((file, looked)), matters)
            })
        })
        .collect();
    // A file may keep a load under another name and have no call of it.
    if looked.is_empty() {
        return Traced::default();
    }
    let mut sites: Vec<Site> = Vec::new();
    let mut named: Vec<(FileId, relevant::Named)> = Vec::new();
    let mut writing_files = Vec::new();
    let unknown = imports.iter().enumerate().filter(|(_, words)| words.failed);
    let mut unread: Vec<FileId> = unknown.map(|(n, _)| FileId(n)).collect();
    for (file, looked) in looked {
        let Some((mine, names)) = looked else {
            unread.push(file);
            continue;
        };
        sites.extend(mine);
        writing_files.extend(names.writes().then_some(file));
        named.push((file, names));
    }
    let (relevant, ways) = relevant::relevant(project, named, &sites, imports, unread);
    let mut machine = Machine::new(project, model, sites, imports, most_each);
    machine.leads = relevant.functions.clone();
    machine.to_loads = relevant.to_loads.clone();
    machine.leading = relevant
        .methods
        .iter()
        .map(|(name, defs)| (name.clone(), defs.clone()))
        .collect();
    let mut reached = interpret(&mut machine, &relevant);
    for _ in 1..MOST_PASSES {
        if !machine.is_stale() || machine.bounds.met_work() {
            break;
        }
        machine.next_pass();
        reached = interpret(&mut machine, &relevant);
    }
    let exhausted = machine.bounds.met() || ways.are_cut();
    let mut by_site: Vec<Vec<&(Option<Handler>, Reached)>> = vec![Vec::new(); machine.sites.len()];
    for one in &reached {
        if let Some(all) = by_site.get_mut(one.1.site) {
            all.push(one);
        }
    }
    machine.elsewhere = machine.writes_elsewhere(&by_site);
    let failed = !project.defects().is_empty();
    let mut climb = exhausted.then(|| ways.climb(&machine.bounds));
    let rows = machine.sites.iter().zip(&by_site).enumerate();
    let mut findings: Vec<Finding> = rows
        .filter_map(|(n, (site, reached))| {
            let (file, path) = (site.place.file, project.path(site.place.file));
            let mut finding = project.caught(file, || {
                strike("finding", path);
                finding::finding(site, reached, &machine)
            })?;
            // What was not followed to its end may hide ways: nothing may be rewritten on half the evidence.
            let whole = project.caught(file, || {
                strike("climb", path);
                climb.as_mut().is_none_or(|climb| {
                    (finding.reach == Reach::Untrusted || failed)
                        && !reached.iter().any(|(_, reached)| reached.by_state)
                        && machine.bounds.spare(n)
                        && climb.is_whole(site.place)
                })
            });
            finding.complete = whole.unwrap_or_default();
            Some(finding)
        })
        .collect();
    let writings = machine.writings();
    let before = project.defects().len();
    machine.enter_readers(&followed.among(&findings));
    let unsure = project.defects().len() > before;
    for finding in &mut findings {
        finding.complete &= !unsure;
        finding.uses = machine.uses_of(finding.place);
    }
    Traced {
        findings,
        writings,
        writing_files,
        exhausted,
        ..Traced::default()
    }
}

/// Interprets everything from which a load can be reached: modules, handlers, then what nobody calls.
fn interpret(
    machine: &mut Machine<'_>,
    relevant: &relevant::Relevant,
) -> Vec<(Option<Handler>, Reached)> {
    let mut all = Vec::new();
    for file in &relevant.files {
        machine.guard(*file, None, |machine| machine.whole_module(*file));
        let reached = machine.take_reached();
        all.extend(reached.into_iter().map(|r| (None, r)));
    }
    handlers(machine, relevant, &mut all);
    let mut rest: Vec<Def> = relevant.functions.iter().copied().collect();
    rest.sort();
    // Those whose name nobody calls first: what they call is then seen with its arguments.
    rest.sort_by_key(|def| {
        let function = machine.function_at(*def);
        function.is_some_and(|f| relevant.called.contains(f.name()))
    });
    let mut uncalled = Vec::new();
    for def in rest {
        if machine.visited.contains(&def) || machine.is_unused(def) {
            continue;
        }
        let Some(id) = machine.by_def.get(&def).copied() else {
            continue;
        };
        machine.guard(def.file, Some(def), |machine| {
            let arguments = machine.outside_arguments(id);
            machine.enter(id, None, &arguments);
        });
        let reached = machine.take_reached();
        uncalled.extend(reached.into_iter().map(|r| (def, r)));
        handlers(machine, relevant, &mut all);
    }
    // What was registered meanwhile is called by its framework alone.
    uncalled.retain(|(def, _)| machine.known_handlers.get(def) != Some(&false));
    all.extend(uncalled.into_iter().map(|(_, reached)| (None, reached)));
    if machine.bounds.met_work() || machine.bounds.failed() {
        late(machine, relevant, &mut all);
    }
    all
}

/// After the bound on work was met: the functions around the loads that were not come to, with what nobody knows.
fn late(
    machine: &mut Machine<'_>,
    relevant: &relevant::Relevant,
    all: &mut Vec<(Option<Handler>, Reached)>,
) {
    let seen: BTreeSet<usize> = all.iter().map(|(_, reached)| reached.site).collect();
    let missed: Vec<Place> = machine
        .sites
        .iter()
        .enumerate()
        .filter(|(n, _)| !seen.contains(n))
        .map(|(_, site)| site.place)
        .collect();
    let mut entered = BTreeSet::new();
    let functions = BTreeSet::from_iter(relevant.functions.iter().copied());
    for Place { file, span } in missed {
        let (first, last) = (
            Def { file, start: 0 },
            Def {
                file,
                start: span.start,
            },
        );
        let around = functions.range(first..=last).next_back();
        let Some(id) = around.and_then(|def| machine.by_def.get(def).copied()) else {
            continue;
        };
        if !entered.insert(id) {
            continue;
        }
        machine.guard(file, around.copied(), |machine| {
            let arguments = machine.outside_arguments(id);
            machine.enter_late(id, &arguments);
        });
        let reached = machine.take_reached();
        all.extend(reached.into_iter().map(|r| (None, r)));
    }
}

fn handlers(
    machine: &mut Machine<'_>,
    relevant: &relevant::Relevant,
    all: &mut Vec<(Option<Handler>, Reached)>,
) {
    while let Some(handler) = machine.handlers.pop_front() {
        let Some(function) = machine.function_at(handler.def) else {
            continue;
        };
        let is_called = handler.is_guess() && relevant.called.contains(function.name());
        if is_called || !relevant.functions.contains(&handler.def) {
            continue;
        }
        let Some(id) = machine.by_def.get(&handler.def).copied() else {
            continue;
        };
        let (file, def) = (handler.def.file, Some(handler.def));
        let arguments = machine.guard(file, def, |machine| machine.handler_arguments(&handler));
        let Some(arguments) = arguments else {
            continue;
        };
        let mut reached = Vec::new();
        // Somebody else may have called it with what the framework does not give.
        machine.visited.remove(&handler.def);
        if let Some(wrapper) = handler.wrapper() {
            machine.guard(file, def, |machine| {
                let answer = machine.enter(wrapper, handler.instance(), &arguments);
                machine.answers(&handler, &answer);
            });
            reached = machine.take_reached();
        }
        // What a decorator calls is not the handler's own way; what it loads itself is.
        let mut by_decorator = Vec::new();
        let outer = handler.wrapper().and_then(|id| machine.function(id));
        reached.retain_mut(|one: &mut Reached| {
            let is_own = inside(one, handler.def);
            if !is_own && let Some(outer) = &outer {
                let handler = handler.wrapped(outer.def);
                by_decorator.push((Some(handler), one.clone()));
            }
            is_own
        });
        all.append(&mut by_decorator);
        if !machine.visited.contains(&handler.def) {
            machine.guard(file, def, |machine| {
                let answer = machine.enter(id, handler.instance(), &arguments);
                machine.answers(&handler, &answer);
            });
            reached = machine.take_reached();
        }
        all.extend(reached.into_iter().map(|r| (Some(handler.clone()), r)));
    }
}

/// Cuts what was called before `def` off the way of `one`; whether it came by `def` at all.
fn inside(one: &mut Reached, def: Def) -> bool {
    let from = one.chain.from(def);
    let is_inside = from.is_some() || one.holder == Some(def);
    if is_inside {
        one.chain = from.unwrap_or_default();
    }
    is_inside
}

/// Whether the file at `path` holds tests, examples or documentation, which nobody deploys.
pub fn is_test(path: &str) -> bool {
    let folder = |part: &str| {
        matches!(
            part,
            "test"
                | "tests"
                | "testing"
                | "example"
                | "examples"
                | "doc"
                | "docs"
                | "benchmark"
                | "benchmarks"
                | "demo"
                | "demos"
        )
    };
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.strip_suffix(".py").unwrap_or(file);
    folders.split('/').any(folder)
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || matches!(stem, "conftest" | "tests" | "test")
}

/// Dotted name of the function or class that holds `span`; empty at module level.
pub fn enclosing(project: &Project, file: FileId, span: Span) -> String {
    let names: Vec<&str> = project
        .source(file)
        .ancestors(span)
        .into_iter()
        .filter_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(node) => Some(node.name.as_str()),
            AnyNodeRef::StmtClassDef(node) => Some(node.name.as_str()),
            _ => None,
        })
        .collect();
    names.join(".")
}
