//! Which functions have to be interpreted so that every load is seen with all that can reach it: upward from the loads,
//! by name and by what a file can see, across the project.
//!
//! A function that mentions a wanted name counts when its file can mean the wanted thing by it: it is defined there, it
//! imports its module or its class, or the name is so rare that nothing else can be meant.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use aho_corasick::AhoCorasick;
use memchr::memmem;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::sites::Site;
use super::taint::Place;
use super::value::Def;
use crate::pack::Model;
use crate::project::{FileId, Project};
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{Expr, Stmt};
use crate::python::{Bound, ChainRole, SourceFile, span};
use crate::text::Span;

/// A name that stands in no more files than this is taken to mean the same thing everywhere.
const RARE: usize = 20;

/// What has to be interpreted.
#[derive(Debug, Default)]
pub(super) struct Relevant {
    /// Files whose module level matters.
    pub files: BTreeSet<FileId>,
    /// Functions that contain a load, or call one that does.
    pub functions: HashSet<Def>,
    /// Names of methods among them, with where they are.
    pub methods: BTreeMap<Name, Vec<Def>>,
    /// Names of the project's own functions that are called anywhere in the files that were parsed.
    pub called: HashSet<String>,
}

/// One function or method, as far as finding its callers needs.
struct Unit {
    def: Def,
    extent: Span,
    name: Name,
    /// Its class, and the classes that it derives from, by name.
    classes: Vec<Name>,
    mentions: FxHashSet<Name>,
}

/// What is known of a parsed file.
struct Parsed {
    units: Vec<Unit>,
    /// Names that its module level mentions.
    module: FxHashSet<Name>,
    /// Every name in it, parts of imported modules too.
    words: FxHashSet<Name>,
    /// Names of its imports and parts of their modules.
    imported: FxHashSet<Name>,
}

/// Something whose callers are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    /// What a caller mentions.
    name: Name,
    file: FileId,
    /// The module's own name.
    stem: Name,
    /// The classes it may be a method of.
    classes: Vec<Name>,
}

/// Finds what has to be interpreted for `sites`.
pub(super) fn relevant(
    project: &Project,
    model: &Model,
    naming: &[FileId],
    sites: &[Site],
) -> Relevant {
    let mut anchors: HashMap<FileId, Vec<Span>> = HashMap::new();
    let writers = naming
        .iter()
        .flat_map(|file| writers_of(project, model, *file));
    for place in sites.iter().map(|site| site.place).chain(writers) {
        anchors.entry(place.file).or_default().push(place.span);
    }
    let mut out = Relevant::default();
    let mut parsed: BTreeMap<FileId, Parsed> = BTreeMap::new();
    let mut wanted: FxHashMap<Name, Vec<(Target, bool)>> = FxHashMap::default();
    let mut open: BTreeSet<FileId> = anchors.keys().copied().collect();
    let mut fresh: Vec<Target> = naming
        .iter()
        .flat_map(|file| {
            let names = kept_under(project, model, *file);
            names.into_iter().map(|name| Target {
                name,
                file: *file,
                stem: stem(project.path(*file)),
                classes: Vec::new(),
            })
        })
        .collect();
    let mut known: HashSet<Target> = HashSet::new();
    loop {
        let new: Vec<FileId> = open
            .iter()
            .filter(|f| !parsed.contains_key(f))
            .copied()
            .collect();
        let read: Vec<(FileId, Parsed, Vec<String>)> = new
            .into_par_iter()
            .map(|file| (file, parse(project, file), called_in(project, file)))
            .collect();
        for (file, file_parsed, called) in read {
            parsed.insert(file, file_parsed);
            out.called.extend(called);
        }
        for (file, info) in &parsed {
            let anchors = anchors.get(file).map_or(&[][..], Vec::as_slice);
            let hit = |mentions: &FxHashSet<Name>| {
                let (few, many): (Vec<&Name>, bool) = match mentions.len() < wanted.len() {
                    true => (
                        mentions
                            .iter()
                            .filter(|n| wanted.contains_key(*n))
                            .collect(),
                        true,
                    ),
                    false => (
                        wanted.keys().filter(|n| mentions.contains(*n)).collect(),
                        true,
                    ),
                };
                many && few.iter().any(|name| {
                    let targets = wanted.get(*name).into_iter().flatten();
                    targets
                        .into_iter()
                        .any(|(target, rare)| *rare || sees(*file, info, target))
                })
            };
            if !out.files.contains(file) && (!anchors.is_empty() || hit(&info.module)) {
                out.files.insert(*file);
            }
            for unit in &info.units {
                if out.functions.contains(&unit.def) {
                    continue;
                }
                let holds = anchors.iter().any(|span| unit.extent.contains(*span));
                if holds || hit(&unit.mentions) {
                    out.functions.insert(unit.def);
                    out.files.insert(*file);
                    if !unit.classes.is_empty() {
                        let methods = out.methods.entry(unit.name.clone()).or_default();
                        methods.push(unit.def);
                    }
                    fresh.extend(targets_of(unit, *file, project));
                }
            }
        }
        fresh.retain(|target| known.insert(target.clone()));
        if fresh.is_empty() {
            return out;
        }
        open.extend(mentioning(project, &parsed, &fresh, &mut wanted));
        fresh.clear();
    }
}

/// What callers of `unit` mention.
fn targets_of(unit: &Unit, file: FileId, project: &Project) -> Vec<Target> {
    let target = |name: &Name, classes: &[Name]| Target {
        name: name.clone(),
        file,
        stem: stem(project.path(file)),
        classes: classes.to_vec(),
    };
    let is_dunder = unit.name.starts_with("__");
    match is_dunder {
        // `C(x)`, `c[k]`, `with c`: the class is what is mentioned.
        true => unit
            .classes
            .first()
            .iter()
            .map(|class| target(class, &[]))
            .collect(),
        false => vec![target(&unit.name, &unit.classes)],
    }
}

/// Whether code in `file` can mean `target` by its name.
fn sees(file: FileId, info: &Parsed, target: &Target) -> bool {
    file == target.file
        || match target.classes.is_empty() {
            true => info.imported.contains(&target.name) || info.imported.contains(&target.stem),
            false => {
                info.imported.contains(&target.stem)
                    || target
                        .classes
                        .iter()
                        .any(|class| info.words.contains(class))
            }
        }
}

/// Files, not parsed yet, that may mean one of `fresh`; notes which names are rare.
fn mentioning(
    project: &Project,
    parsed: &BTreeMap<FileId, Parsed>,
    fresh: &[Target],
    wanted: &mut FxHashMap<Name, Vec<(Target, bool)>>,
) -> Vec<FileId> {
    let mut names: Vec<&Name> = fresh.iter().map(|target| &target.name).collect();
    names.sort();
    names.dedup();
    let words: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let Ok(search) = AhoCorasick::new(&words) else {
        return project.ids().collect();
    };
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let files: Vec<FileId> = project.ids().collect();
    let hits: Vec<(FileId, Vec<usize>)> = files
        .into_par_iter()
        .filter_map(|file| {
            let bytes = project.bytes(file);
            let mut hits: Vec<usize> = Vec::new();
            for found in search.find_overlapping_iter(bytes) {
                let n = found.pattern().as_usize();
                let before = found.start().checked_sub(1).and_then(|at| bytes.get(at));
                let after = bytes.get(found.end());
                let whole =
                    !before.is_some_and(|b| is_word(*b)) && !after.is_some_and(|b| is_word(*b));
                if whole && !hits.contains(&n) {
                    hits.push(n);
                }
            }
            (!hits.is_empty()).then_some((file, hits))
        })
        .collect();
    let mut counts = vec![0_usize; words.len()];
    for n in hits.iter().flat_map(|(_, hits)| hits) {
        if let Some(count) = counts.get_mut(*n) {
            *count += 1;
        }
    }
    let mut targets: Vec<Vec<&Target>> = vec![Vec::new(); words.len()];
    for target in fresh {
        if let Ok(n) = names.binary_search(&&target.name) {
            let rare = counts.get(n).copied().unwrap_or(0) <= RARE;
            wanted
                .entry(target.name.clone())
                .or_default()
                .push((target.clone(), rare));
            if let Some(targets) = targets.get_mut(n) {
                targets.push(target);
            }
        }
    }
    hits.into_iter()
        .filter(|(file, _)| !parsed.contains_key(file))
        .filter(|(file, hits)| {
            let bytes = project.bytes(*file);
            let has = |word: &Name| memmem::find(bytes, word.as_bytes()).is_some();
            hits.iter().any(|n| {
                counts.get(*n).copied().unwrap_or(0) <= RARE
                    || targets
                        .get(*n)
                        .into_iter()
                        .flatten()
                        .any(|target| has(&target.stem) || target.classes.iter().any(has))
                    || targets
                        .get(*n)
                        .into_iter()
                        .flatten()
                        .any(|t| t.classes.is_empty() && has(&Name::new("import")))
            })
        })
        .map(|(file, _)| file)
        .collect()
}

/// `helpers` of `shop/helpers.py`, `shop` of `shop/__init__.py`.
fn stem(path: &str) -> Name {
    let path = path.strip_suffix("/__init__.py").unwrap_or(path);
    let path = path.strip_suffix(".py").unwrap_or(path);
    Name::new(path.rsplit('/').next().unwrap_or(path))
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

/// Module-level names that a sink, or its module, is kept under: `load = pickle.loads`, `READERS = {...: pickle.loads}`;
/// class attributes by their class.
fn kept_under(project: &Project, model: &Model, file: FileId) -> Vec<Name> {
    let source = project.source(file);
    let modules = model.sink_modules();
    let mut kept: Vec<Span> = Vec::new();
    for chain in source.scopes().chains() {
        if !matches!(chain.role, ChainRole::Aliased | ChainRole::Read) {
            continue;
        }
        let resolved = source.scopes().resolve(chain.scope, &chain.parts);
        let is = |name: &String| model.sink(name).is_some() || modules.contains(name);
        if resolved.iter().any(is) {
            kept.push(chain.span);
        }
    }
    let mut names = Vec::new();
    for stmt in &source.module().body {
        let holds = || kept.iter().any(|at| span(stmt).contains(*at));
        match stmt {
            Stmt::Assign(node) if holds() => {
                let targets = node.targets.iter().filter_map(Expr::as_name_expr);
                names.extend(targets.map(|name| name.id.clone()));
            }
            Stmt::ClassDef(node) => {
                let assigned = |stmt: &Stmt| {
                    matches!(stmt, Stmt::Assign(_) | Stmt::AnnAssign(_))
                        && kept.iter().any(|at| span(stmt).contains(*at))
                };
                if node.body.iter().any(assigned) {
                    names.push(node.name.id.clone());
                }
            }
            _ => {}
        }
    }
    names
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

fn parse(project: &Project, file: FileId) -> Parsed {
    let source = project.source(file);
    let mut collector = Collector {
        file,
        units: Vec::new(),
        open: Vec::new(),
        module: FxHashSet::default(),
        words: FxHashSet::default(),
        classes: Vec::new(),
        dynamic: Vec::new(),
    };
    collector.visit_body(&source.module().body);
    // `getattr(self, "from_%s" % kind)` mentions every function here whose name starts so.
    for (n, start) in std::mem::take(&mut collector.dynamic) {
        let fits = |unit: &&Unit| unit.name.starts_with(&start);
        let names: Vec<Name> = collector
            .units
            .iter()
            .filter(fits)
            .map(|u| u.name.clone())
            .collect();
        match n.and_then(|n| collector.units.get_mut(n)) {
            Some(unit) => unit.mentions.extend(names),
            None => collector.module.extend(names),
        }
    }
    let mut imported = FxHashSet::default();
    for import in source.scopes().imports() {
        imported.extend(import.target.split('.').map(Name::new));
    }
    let mut words = collector.words;
    words.extend(imported.iter().cloned());
    star_words(source, &mut imported);
    Parsed {
        units: collector.units,
        module: collector.module,
        words,
        imported,
    }
}

/// After a star import of anything, any name may be imported.
fn star_words(source: &SourceFile, imported: &mut FxHashSet<Name>) {
    let stars = source.scopes().bound_in(0, "*");
    if !stars.is_empty() {
        let chains = source.scopes().chains().iter();
        imported.extend(chains.filter_map(|chain| chain.parts.first().map(Name::new)));
    }
}

struct Collector {
    file: FileId,
    units: Vec<Unit>,
    open: Vec<usize>,
    module: FxHashSet<Name>,
    words: FxHashSet<Name>,
    classes: Vec<Vec<Name>>,
    /// Where attributes are looked up by a name that is made there, and how that name starts.
    dynamic: Vec<(Option<usize>, String)>,
}

impl Collector {
    fn mention(&mut self, name: &Name) {
        if self.open.is_empty() {
            self.module.insert(name.clone());
        }
        self.words.insert(name.clone());
        for index in &self.open {
            if let Some(unit) = self.units.get_mut(*index) {
                unit.mentions.insert(name.clone());
            }
        }
    }
}

impl<'a> Visitor<'a> for Collector {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(node) => {
                let classes = match self.open.is_empty() {
                    true => self.classes.last().cloned().unwrap_or_default(),
                    false => Vec::new(),
                };
                self.units.push(Unit {
                    def: Def {
                        file: self.file,
                        start: span(node).start,
                    },
                    extent: span(node),
                    name: node.name.id.clone(),
                    classes,
                    mentions: FxHashSet::default(),
                });
                self.open.push(self.units.len() - 1);
                visitor::walk_stmt(self, stmt);
                self.open.pop();
            }
            Stmt::ClassDef(node) => {
                let mut names = vec![node.name.id.clone()];
                for base in node.arguments.iter().flat_map(|a| &a.args) {
                    names.extend(crate::python::dotted(base).and_then(|p| p.last().map(Name::new)));
                }
                self.classes.push(names);
                visitor::walk_stmt(self, stmt);
                self.classes.pop();
            }
            Stmt::ImportFrom(node) => {
                for alias in &node.names {
                    self.mention(&alias.name.id.clone());
                }
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => self.mention(&name.id),
            Expr::Attribute(attribute) => self.mention(&attribute.attr.id),
            Expr::Call(call) => {
                let is_getattr = matches!(&*call.func, Expr::Name(n) if n.id == "getattr");
                if let (true, Some(name)) = (is_getattr, call.arguments.args.get(1))
                    && let Some(start) = beginning(name)
                {
                    self.dynamic.push((self.open.last().copied(), start));
                }
            }
            // `getattr(self, "from_yaml")`.
            Expr::StringLiteral(node) => {
                let text = node.value.to_str();
                let is_name = |c: char| c.is_alphanumeric() || c == '_';
                if text.len() > 3 && text.len() < 40 && text.chars().all(is_name) {
                    self.mention(&Name::new(text));
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// How a text that is made starts: `from_` of `"from_%s" % kind`.
fn beginning(expr: &Expr) -> Option<String> {
    let start = match expr {
        Expr::BinOp(node) => match &*node.left {
            Expr::StringLiteral(text) => text.value.to_str().to_owned(),
            _ => return None,
        },
        Expr::FString(node) => {
            let literal = node.value.elements().next()?.as_literal()?;
            literal.value.to_string()
        }
        _ => return None,
    };
    let start = start.split(['%', '{']).next().unwrap_or_default();
    (start.len() > 2).then(|| start.to_owned())
}
