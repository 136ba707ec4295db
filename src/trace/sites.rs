//! The ledger's first half: every load that stands in the code, found by name, before any flow is followed.
//!
//! Invariant: bytes first. A file that neither names a sink's module nor is reached from one that does is never parsed;
//! a file that might hide something from a search by bytes (NUL bytes) is.

use std::collections::{BTreeSet, HashMap, HashSet};

use aho_corasick::AhoCorasick;
use rayon::prelude::*;

use super::value::{Def, Place};
use crate::pack::{Model, SinkId};
use crate::project::{FileId, Project};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{Expr, Stmt};
use crate::python::{Bound, ChainRole, SourceFile, span};
use crate::text::Span;

/// How a load stands in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `pickle.loads(x)`.
    Call,
    /// `map(pickle.loads, xs)`: the function itself is handed on.
    Reference,
    /// `class Loader(pickle.Unpickler)`.
    Base,
    /// A call whose target only the flow of values shows: `registry["pickle"](x)`.
    Indirect,
}

/// One load in the code.
#[derive(Debug, Clone)]
pub struct Site {
    /// The call, or the reference.
    pub place: Place,
    /// Which sink.
    pub sink: SinkId,
    /// Its qualified name: `pickle.loads`.
    pub name: String,
    /// How it stands there.
    pub form: Form,
}

/// Files that name a sink's module, by a search of their bytes.
pub(super) fn naming_files(project: &Project, model: &Model) -> Vec<FileId> {
    let words = model.sink_words();
    matching(project, project.ids().collect(), &words, true)
}

/// Those of `files` that contain one of `words`; with `hidden`, those too in which a search by bytes could miss it.
fn matching(project: &Project, files: Vec<FileId>, words: &[String], hidden: bool) -> Vec<FileId> {
    let Ok(search) = AhoCorasick::new(words) else {
        return files;
    };
    files
        .into_par_iter()
        .filter(|file| {
            let bytes = project.bytes(*file);
            search.is_match(bytes) || (hidden && bytes.contains(&0))
        })
        .collect()
}

/// The loads of one file.
pub(super) fn sites_of(project: &Project, model: &Model, file: FileId) -> Vec<Site> {
    let source = project.source(file);
    let mut sites = Vec::new();
    for chain in source.scopes().chains() {
        let names = source.scopes().resolve(chain.scope, &chain.parts);
        let sink = names.iter().find_map(|name| {
            let top = name.split('.').next().unwrap_or(name);
            let sink = model.sink(name)?;
            project.module(file, top).is_none().then_some((sink, name))
        });
        let Some((sink, name)) = sink else { continue };
        let (span, form) = match chain.role {
            ChainRole::Called(call) => (call, Form::Call),
            ChainRole::Base => (chain.span, Form::Base),
            ChainRole::Read => (chain.span, Form::Reference),
            // Calls through the alias are sites themselves.
            ChainRole::Aliased => continue,
        };
        sites.push(Site {
            place: Place { file, span },
            sink,
            name: name.clone(),
            form,
        });
    }
    // The parser's visitor comes by the test of an `elif` twice.
    sites.sort_by_key(|site| site.place);
    sites.dedup_by_key(|site| site.place);
    sites
}

/// Calls in `file` that write what sinks read.
fn writers_of(project: &Project, model: &Model, file: FileId) -> Vec<Place> {
    let source = project.source(file);
    let writes = |chain: &&crate::python::Chain| {
        let names = source.scopes().resolve(chain.scope, &chain.parts);
        names.iter().any(|name| model.is_writer(name))
    };
    let chains = source.scopes().chains().iter().filter(writes);
    chains
        .map(|chain| Place {
            file,
            span: chain.span,
        })
        .collect()
}

/// Module-level names that a sink itself is kept under: `load = pickle.loads`, `READERS = {"pickle": pickle.loads}`.
fn kept_under(project: &Project, model: &Model, file: FileId) -> Vec<String> {
    let source = project.source(file);
    let mut names = Vec::new();
    for chain in source.scopes().chains() {
        let kept = chain.scope == 0 && matches!(chain.role, ChainRole::Aliased | ChainRole::Read);
        let mut resolved = source
            .scopes()
            .resolve(chain.scope, &chain.parts)
            .into_iter();
        if !kept || !resolved.any(|name| model.sink(&name).is_some()) {
            continue;
        }
        for stmt in &source.module().body {
            if let Stmt::Assign(node) = stmt
                && span(stmt).contains(chain.span)
            {
                let targets = node.targets.iter().filter_map(Expr::as_name_expr);
                names.extend(targets.map(|name| name.id.to_string()));
            }
        }
    }
    names
}

/// One function or method, as far as finding its callers needs.
struct Unit {
    def: Def,
    extent: Span,
    names: Vec<String>,
    mentions: HashSet<String>,
}

/// What has to be interpreted so that every load is seen with all that can reach it.
#[derive(Debug, Default)]
pub(super) struct Relevant {
    /// Files whose module level matters.
    pub files: BTreeSet<FileId>,
    /// Functions that contain a load, or call one that does, by name.
    pub functions: HashSet<Def>,
    /// Names of the project's own functions that are called anywhere in the files that were parsed.
    pub called: HashSet<String>,
}

/// Goes up from the loads, and from what writes for them, to everything that could call them, by name, across the project.
pub(super) fn relevant(
    project: &Project,
    model: &Model,
    naming: &[FileId],
    sites: &[Site],
) -> Relevant {
    let writers = naming
        .iter()
        .flat_map(|file| writers_of(project, model, *file));
    let anchors: Vec<Place> = sites.iter().map(|site| site.place).chain(writers).collect();
    let mut out = Relevant::default();
    let mut units: HashMap<FileId, (Vec<Unit>, HashSet<String>)> = HashMap::new();
    let mut wanted: HashSet<String> = HashSet::new();
    let mut parsed: BTreeSet<FileId> = anchors.iter().map(|place| place.file).collect();
    let kept = naming
        .iter()
        .flat_map(|file| kept_under(project, model, *file));
    let mut fresh: Vec<String> = kept.collect();
    loop {
        for file in &parsed {
            units.entry(*file).or_insert_with(|| {
                out.called.extend(called_in(project, *file));
                units_of(project.source(*file), *file)
            });
        }
        let mut changed = false;
        for (file, (units, module)) in &units {
            let holds = |extent: Span| {
                let inside = |place: &Place| place.file == *file && extent.contains(place.span);
                anchors.iter().any(inside)
            };
            if holds(project.source(*file).whole()) || !module.is_disjoint(&wanted) {
                changed |= out.files.insert(*file);
            }
            for unit in units {
                let reaches = holds(unit.extent) || !unit.mentions.is_disjoint(&wanted);
                if reaches && out.functions.insert(unit.def) {
                    changed = true;
                    out.files.insert(*file);
                    fresh.extend(unit.names.iter().cloned());
                }
            }
        }
        fresh.retain(|name| !name.starts_with("__") && !wanted.contains(name));
        if !fresh.is_empty() {
            let unparsed = project.ids().filter(|f| !parsed.contains(f)).collect();
            parsed.extend(matching(project, unparsed, &fresh, false));
            wanted.extend(fresh.drain(..));
        } else if !changed {
            return out;
        }
    }
}

/// Names of functions of the project that `file` calls, by themselves or through a module of the project.
fn called_in(project: &Project, file: FileId) -> Vec<String> {
    let source = project.source(file);
    let scopes = source.scopes();
    let mut called = Vec::new();
    for chain in scopes.chains() {
        let (ChainRole::Called(_), Some(last)) = (chain.role, chain.parts.last()) else {
            continue;
        };
        let names = scopes.resolve(chain.scope, &chain.parts);
        let own = names.iter().any(|name| {
            let home = name.rsplit_once('.').map_or("", |(home, _)| home);
            project
                .module(file, if home.is_empty() { name } else { home })
                .is_some()
        });
        let local = chain.parts.len() == 1
            && scopes
                .lookup(chain.scope, last)
                .is_some_and(|(_, bound)| bound.contains(&Bound::Definition));
        if own || local {
            let imported = names.iter().filter_map(|name| name.rsplit('.').next());
            called.extend(imported.map(str::to_owned));
            called.push(last.clone());
        }
    }
    called
}

fn units_of(source: &SourceFile, file: FileId) -> (Vec<Unit>, HashSet<String>) {
    let mut collector = Collector {
        file,
        units: Vec::new(),
        open: Vec::new(),
        module: HashSet::new(),
        classes: Vec::new(),
    };
    collector.visit_body(&source.module().body);
    (collector.units, collector.module)
}

struct Collector {
    file: FileId,
    units: Vec<Unit>,
    open: Vec<usize>,
    module: HashSet<String>,
    classes: Vec<String>,
}

impl Collector {
    fn mention(&mut self, name: &str) {
        if self.open.is_empty() {
            self.module.insert(name.to_owned());
        }
        for index in &self.open {
            if let Some(unit) = self.units.get_mut(*index) {
                unit.mentions.insert(name.to_owned());
            }
        }
    }
}

impl<'a> Visitor<'a> for Collector {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(node) => {
                let mut names = vec![node.name.to_string()];
                names.extend(self.classes.iter().cloned());
                self.units.push(Unit {
                    def: Def {
                        file: self.file,
                        start: span(node).start,
                    },
                    extent: span(node),
                    names,
                    mentions: HashSet::new(),
                });
                self.open.push(self.units.len() - 1);
                visitor::walk_stmt(self, stmt);
                self.open.pop();
            }
            Stmt::ClassDef(node) => {
                self.classes.push(node.name.to_string());
                visitor::walk_stmt(self, stmt);
                self.classes.pop();
            }
            Stmt::ImportFrom(node) => {
                for alias in &node.names {
                    self.mention(&alias.name);
                }
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => self.mention(&name.id),
            Expr::Attribute(attribute) => self.mention(&attribute.attr),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}
