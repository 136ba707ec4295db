//! Which untrusted values reach which loads, and how: an abstract interpreter on demand.
//!
//! Invariant: the ledger is complete. Every load that stands in the code, or that the flow of values shows to be one,
//! gives exactly one [`Finding`], reached or not; a bound that is met keeps findings and never drops one.

mod calls;
mod expressions;
mod handlers;
mod machine;
mod sites;
mod statements;
mod value;

use std::collections::{BTreeSet, HashSet};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::pack::{Model, Shape, SinkId, Trust};
use crate::project::{FileId, Project};
use crate::python::ast::AnyNodeRef;
use crate::text::Span;

pub use handlers::Handler;
pub use machine::{CallAt, Written};
pub use sites::Form;
pub use value::{Def, Hop, HopKind, Place};

use machine::{Machine, Reached};
use sites::Site;
use value::{Atom, Taint, Value};

/// The way of a value from its source to a load: never empty, the source first, the sink last.
#[derive(Debug, Clone)]
pub struct TaintPath {
    hops: Vec<Hop>,
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
        TaintPath { hops }
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
    /// Where the project itself pickles what this load reads.
    pub writer: Option<Place>,
    /// Why a signature check that was made does not count.
    pub sham: Option<&'static str>,
    /// All ways from entry points to this load.
    pub routes: Vec<Route>,
    /// Every way to it was followed; otherwise the analysis met its bound on work.
    pub complete: bool,
    /// Survives unrelated line moves: from the file, the function, the call's text and its rank among equals.
    pub fingerprint: String,
}

/// What `trace` gives.
#[derive(Debug, Default)]
pub struct Traced {
    /// One for each load, in the order of files and positions.
    pub findings: Vec<Finding>,
    /// Whether a bound on work was met.
    pub exhausted: bool,
}

/// Finds every load of `project` and what reaches it.
pub fn trace(project: &Project, model: &Model) -> Traced {
    let naming = sites::naming_files(project, model);
    let sites: Vec<Site> = naming
        .par_iter()
        .flat_map_iter(|file| sites::sites_of(project, model, *file))
        .collect();
    // A file may keep a load under another name and have no call of it.
    if naming.is_empty() {
        return Traced::default();
    }
    let relevant = sites::relevant(project, model, &naming, &sites);
    let mut machine = Machine::new(project, model, sites);
    let mut reached = interpret(&mut machine, &relevant);
    if !machine.fields.is_empty() && !machine.exhausted() {
        machine.next_pass();
        reached = interpret(&mut machine, &relevant);
    }
    let exhausted = machine.exhausted();
    // What a second pass could not finish may hide ways: nothing may be rewritten on half the evidence.
    let mut findings: Vec<Finding> = machine
        .sites
        .iter()
        .enumerate()
        .map(|(n, site)| {
            let mine = reached.iter().filter(|(_, r)| r.site == n);
            finding(site, &mine.collect::<Vec<_>>(), &machine.written)
        })
        .collect();
    for finding in &mut findings {
        finding.complete = !exhausted;
    }
    findings.sort_by_key(|finding| finding.place);
    fingerprint(project, model, &mut findings);
    Traced {
        findings,
        exhausted,
    }
}

/// Interprets everything from which a load can be reached: modules, handlers, then what nobody calls.
fn interpret(
    machine: &mut Machine<'_>,
    relevant: &sites::Relevant,
) -> Vec<(Option<Handler>, Reached)> {
    let mut all = Vec::new();
    for file in &relevant.files {
        machine.module_vars(*file);
        let reached = machine.take_reached();
        all.extend(reached.into_iter().map(|r| (None, r)));
    }
    handlers(machine, relevant, &mut all);
    let mut rest: Vec<Def> = relevant.functions.iter().copied().collect();
    rest.sort();
    // Those whose name nobody calls first: what they call is then seen with its arguments.
    rest.sort_by_key(|def| {
        let name = machine.functions.get(def).map_or("", |f| f.name());
        relevant.called.contains(name)
    });
    for def in rest {
        if machine.visited.contains(&def) {
            continue;
        }
        let arguments = machine.outside_arguments(def);
        machine.enter(def, None, &arguments);
        let reached = machine.take_reached();
        all.extend(reached.into_iter().map(|r| (None, r)));
        handlers(machine, relevant, &mut all);
    }
    all
}

fn handlers(
    machine: &mut Machine<'_>,
    relevant: &sites::Relevant,
    all: &mut Vec<(Option<Handler>, Reached)>,
) {
    while let Some(handler) = machine.handlers.pop_front() {
        let name = machine.functions.get(&handler.def).map_or("", |f| f.name());
        let is_called = handler.is_guess() && relevant.called.contains(name);
        if is_called || !relevant.functions.contains(&handler.def) {
            continue;
        }
        let arguments = machine.handler_arguments(&handler);
        machine.enter(handler.def, handler.class(), &arguments);
        let reached = machine.take_reached();
        all.extend(reached.into_iter().map(|r| (Some(handler.clone()), r)));
    }
}

/// All that was seen of one load, made into one finding.
fn finding(site: &Site, reached: &[&(Option<Handler>, Reached)], written: &[Written]) -> Finding {
    let mut routes: Vec<Route> = Vec::new();
    let mut open: Vec<Taint> = Vec::new();
    let mut guarded = false;
    let mut unknown = false;
    let mut pickled = false;
    let mut maybe_none = false;
    let mut levels = BTreeSet::new();
    for (handler, reached) in reached {
        let taints = reached.value.taints();
        let paths = taints
            .iter()
            .map(|taint| TaintPath::new(taint, site.place, &site.name));
        let same = |route: &&mut Route| {
            (&route.handler, &route.chain, route.holder)
                == (handler, &reached.chain, reached.holder)
        };
        match routes.iter_mut().find(same) {
            Some(route) => route.paths.extend(paths),
            None => routes.push(Route {
                handler: handler.clone(),
                chain: reached.chain.clone(),
                holder: reached.holder,
                paths: paths.collect(),
            }),
        }
        for taint in &taints {
            let identity = taint.identity();
            let check = reached
                .checked
                .iter()
                .find(|(checked, _)| *checked == identity);
            match check {
                Some((_, None)) => guarded = true,
                Some((_, Some(sham))) => open.push(Taint {
                    sham: Some(*sham),
                    ..(*taint).clone()
                }),
                None => open.push((*taint).clone()),
            }
        }
        levels.extend(taints.iter().map(|taint| taint.trust));
        if taints.is_empty() {
            levels.insert(match origin_unknown(&reached.value) {
                true => Trust::Unknown,
                false => Trust::Trusted,
            });
        }
        let is_none = |atom: &Atom| matches!(atom, Atom::Const(value::Const::None));
        maybe_none |= reached.value.atoms().iter().any(is_none)
            || taints.iter().any(|taint| taint.shape == Shape::Any);
        guarded |= reached.value.atoms().contains(&Atom::Verified);
        pickled |= reached
            .value
            .atoms()
            .iter()
            .any(|a| matches!(a, Atom::Pickled(_)));
        unknown |= taints.is_empty() && origin_unknown(&reached.value);
    }
    // The most exposed first, then the shortest.
    open.sort_by_key(|taint| (taint.trust, taint.hops().len(), taint.origin));
    let worst = open.first();
    let reads = |written: &&Written| {
        let same = |taint: &Taint| {
            let (ours, theirs) = (taint.key.as_deref(), written.key.as_deref());
            *taint.channel == *written.channel
                && (ours == theirs || ours.is_none() || theirs.is_none())
        };
        open.iter().any(same)
    };
    let in_value = reached
        .iter()
        .find_map(|(_, reached)| reached.value.pickled());
    let writer = written
        .iter()
        .find(reads)
        .map(|written| written.place)
        .or(in_value);
    let reach = match worst {
        Some(_) => Reach::Untrusted,
        None if guarded => Reach::Guarded,
        None if reached.is_empty() => Reach::NotReached,
        None if unknown => Reach::UnknownOrigin,
        None if pickled => Reach::OwnRoundTrip,
        None => Reach::Constant,
    };
    let trust = match reach {
        Reach::Untrusted => worst.map_or(Trust::Unknown, |taint| taint.trust),
        Reach::UnknownOrigin | Reach::NotReached => Trust::Unknown,
        Reach::Guarded | Reach::Constant | Reach::OwnRoundTrip => Trust::Trusted,
    };
    Finding {
        place: site.place,
        sink: site.sink,
        name: site.name.clone(),
        form: site.form,
        reach,
        trust,
        path: worst.map(|taint| TaintPath::new(taint, site.place, &site.name)),
        channel: worst.map_or(String::new(), |taint| taint.channel.to_string()),
        key: worst.and_then(|taint| taint.key.as_deref().map(str::to_owned)),
        levels,
        named_by_client: open
            .iter()
            .any(|taint| *taint.channel == *calls::NAMED_SOURCE),
        maybe_none,
        writer,
        sham: worst.and_then(|taint| taint.sham),
        routes,
        complete: true,
        fingerprint: String::new(),
    }
}

fn origin_unknown(value: &Value) -> bool {
    let known = |atom: &Atom| matches!(atom, Atom::Const(_) | Atom::Pickled(_) | Atom::Verified);
    value.atoms().is_empty()
        || value.atoms().iter().any(|atom| match atom {
            Atom::Container(container) => origin_unknown(&container.any()),
            atom => !known(atom),
        })
}

/// Gives each finding its fingerprint.
fn fingerprint(project: &Project, model: &Model, findings: &mut [Finding]) {
    let mut seen: HashSet<String> = HashSet::new();
    for finding in findings {
        let source = project.source(finding.place.file);
        let function = enclosing(project, finding.place.file, finding.place.span);
        let text: String = source
            .slice(finding.place.span)
            .split_whitespace()
            .collect();
        let transform = model
            .sink_row(finding.sink)
            .map_or("", |(t, _)| t.id.as_str());
        for rank in 0.. {
            let parts = [
                transform,
                source.path(),
                &function,
                &text,
                &rank.to_string(),
            ];
            let digest = Sha256::digest(parts.join("\0"));
            let hex: String = digest
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            if seen.insert(hex.clone()) {
                finding.fingerprint = hex;
                break;
            }
        }
    }
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
