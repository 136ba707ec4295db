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

use super::is_test;
use super::methods::is_mutator;
use super::modules::roots;
use super::sites::Site;
use super::value::Def;
use crate::pack::Model;
use crate::project::{FileId, Project};
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{Bound, ChainRole, SourceFile, span};
use crate::text::Span;

/// A method that is called in no more files than this is taken to mean the same thing everywhere.
const RARE: usize = 12;
/// Files that are read for what stands above the loads, the nearest first; direct callers are read in any case.
const MOST_READ: usize = 1200;
/// With more functions than this nothing further is looked for.
const MANY: usize = 3000;
/// Times that rare names are looked for in the whole project.
const RARE_PASSES: usize = 1;

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

/// Where a method is that may be meant everywhere.
const ANYWHERE: FileId = FileId(usize::MAX);

/// One function or method, as far as finding its callers needs.
struct Unit {
    def: Def,
    extent: Span,
    name: Name,
    /// Its class, and the classes that it derives from, by name.
    classes: Vec<Name>,
    /// Whether it is a method of that class itself, not a function inside one.
    is_method: bool,
    mentions: Mentions,
    /// It keeps something where another function may find it.
    keeps: bool,
}

/// Names that code mentions, and how.
type Mentions = FxHashMap<Name, u8>;

/// `name`.
const PLAIN: u8 = 1;
/// `self.name`, `super().name`.
const SELF: u8 = 2;
/// `module.name`, of something that was imported.
const MODULE: u8 = 4;
/// `anything.name`.
const OTHER: u8 = 8;
/// `"name"`.
const STRING: u8 = 16;

/// Steps up are counted by how sure they are; nothing is followed further than this.
const HIGHEST: usize = 10;
/// What writes for a load is followed this far up.
const MOST_WRITERS: usize = 4;
/// What keeps something that a load may read is followed this far up.
const MOST_KEEPERS: usize = 2;
/// In more files than this around the loads, only the files with loads are searched for what keeps something.
const MOST_NEAR: usize = 80;

/// What is known of a parsed file.
struct Parsed {
    units: Vec<Unit>,
    /// Names that its module level mentions.
    module: Mentions,
    /// Names of its imports and parts of their modules.
    imported: FxHashSet<Name>,
    /// Modules of the project that it imports.
    homes: FxHashSet<FileId>,
    /// Names at module level that stand for others: `from .codec import unpack as decode`, `load = codec.load`.
    aliases: Vec<(Name, Name)>,
    /// Names that it mentions anywhere, as such.
    mentioned: FxHashSet<Name>,
    /// It imports with a star, or a module that nothing in the project is.
    relays: bool,
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
    /// How far it is above a load: calls, weighed by how unsure they are.
    depth: usize,
}

/// Finds what has to be interpreted for `sites`.
pub(super) fn relevant(project: &Project, named: Vec<(FileId, Named)>, sites: &[Site]) -> Relevant {
    let mut anchors: HashMap<FileId, Vec<(Span, usize)>> = HashMap::new();
    for site in sites {
        let here: &mut Vec<(Span, usize)> = anchors.entry(site.place.file).or_default();
        here.push((site.place.span, 0));
    }
    let far = HIGHEST.saturating_sub(MOST_WRITERS);
    for (file, named) in &named {
        for span in &named.writers {
            anchors.entry(*file).or_default().push((*span, far));
        }
    }
    let handed = named;
    let everywhere: HashMap<FileId, FxHashSet<Name>> = handed
        .iter()
        .filter(|(_, handed)| handed.anywhere)
        .map(|(file, handed)| (*file, handed.marks.clone()))
        .collect();
    for (file, handed) in &handed {
        let here = anchors.entry(*file).or_default();
        here.extend(handed.held.iter().map(|span| (*span, 0)));
        if here.is_empty() {
            anchors.remove(file);
        }
    }
    let handed = handed
        .into_iter()
        .map(|(file, handed)| (file, handed.names));
    let mut search = Search {
        everywhere: everywhere.clone(),
        project,
        imports: imports(project),
        anchors,
        parsed: BTreeMap::new(),
        mentioning: FxHashMap::default(),
        wanted: FxHashMap::default(),
        known: HashSet::new(),
        out: Relevant::default(),
    };
    let mut open: Vec<FileId> = search.anchors.keys().copied().collect();
    open.extend(everywhere.into_keys());
    open.sort();
    open.dedup();
    let mut fresh = search.read(open);
    for (file, names) in handed {
        fresh.extend(names.into_iter().map(|name| Target {
            name,
            file,
            stem: stem(project.path(file)),
            classes: Vec::new(),
            depth: 0,
        }));
    }
    search.follow(fresh);
    // In a project with so many ways to loads more would only cost.
    if search.out.functions.len() <= MANY {
        let fresh = search.keepers();
        search.follow(fresh);
    }
    for _ in 0..RARE_PASSES {
        if search.out.functions.len() > MANY {
            break;
        }
        let fresh = search.rare();
        if fresh.is_empty() {
            break;
        }
        search.follow(fresh);
    }
    search.out
}

struct Search<'p> {
    project: &'p Project,
    /// Files in which any function may call a sink.
    everywhere: HashMap<FileId, FxHashSet<Name>>,
    /// Files by the words of their import statements.
    imports: FxHashMap<Name, Vec<FileId>>,
    anchors: HashMap<FileId, Vec<(Span, usize)>>,
    parsed: BTreeMap<FileId, Parsed>,
    /// Parsed files by the names they mention.
    mentioning: FxHashMap<Name, Vec<FileId>>,
    wanted: FxHashMap<Name, Vec<Target>>,
    known: HashSet<Target>,
    out: Relevant,
}

impl Search<'_> {
    /// Goes up from `fresh` until nothing new is found.
    fn follow(&mut self, mut fresh: Vec<Target>) {
        loop {
            // The more there is already, the nearer what is added has to be.
            let highest = match self.out.functions.len() {
                0..=600 => HIGHEST,
                601..=1500 => 4,
                1501..=MANY => 2,
                _ => return,
            };
            fresh.retain(|target| target.depth <= highest && self.known.insert(target.clone()));
            if fresh.is_empty() {
                return;
            }
            let candidates = self.candidates(&fresh);
            let mut by_name: FxHashMap<Name, Vec<Target>> = FxHashMap::default();
            for target in fresh.drain(..) {
                by_name.entry(target.name.clone()).or_default().push(target);
            }
            // Those that were read before are asked about what is new; new ones about everything.
            let mentioned = by_name.keys().filter_map(|name| self.mentioning.get(name));
            let files: BTreeSet<FileId> = mentioned.flatten().copied().collect();
            for file in files {
                fresh.extend(self.ask(file, &by_name));
            }
            for (name, targets) in by_name {
                self.wanted.entry(name).or_default().extend(targets);
            }
            fresh.extend(self.read(candidates));
        }
    }

    /// Parses `files` and finds what in them matters; gives what their callers mention.
    fn read(&mut self, files: Vec<FileId>) -> Vec<Target> {
        let project = self.project;
        let new: Vec<FileId> = files
            .into_iter()
            .filter(|f| !self.parsed.contains_key(f))
            .collect();
        let read: Vec<(FileId, Parsed, Vec<String>)> = new
            .into_par_iter()
            .map(|file| (file, parse(project, file), called_in(project, file)))
            .collect();
        let wanted = std::mem::take(&mut self.wanted);
        let mut fresh = Vec::new();
        for (file, info, called) in read {
            self.out.called.extend(called);
            let units = info.units.iter().map(|unit| &unit.mentions);
            let names: FxHashSet<&Name> =
                units.chain([&info.module]).flat_map(|m| m.keys()).collect();
            for name in names {
                self.mentioning.entry(name.clone()).or_default().push(file);
            }
            self.parsed.insert(file, info);
            fresh.extend(self.ask(file, &wanted));
        }
        self.wanted = wanted;
        fresh
    }

    /// Finds what in `file` means one of `wanted`, or holds a load; gives what their callers mention.
    fn ask(&mut self, file: FileId, wanted: &FxHashMap<Name, Vec<Target>>) -> Vec<Target> {
        let project = self.project;
        let Some(info) = self.parsed.get(&file) else {
            return Vec::new();
        };
        let anchors = self.anchors.get(&file).map_or(&[][..], Vec::as_slice);
        // How far below the nearest load is, when `mentions` mean something wanted.
        let hit = |mentions: &Mentions, classes: &[Name]| -> Option<usize> {
            let means = |name: &Name, how: u8| {
                let targets = wanted.get(name).into_iter().flatten();
                let meant = targets.into_iter().filter_map(|target| {
                    if !reaches(project, target, file) {
                        return None;
                    }
                    let cost = sees(project, file, info, target, how, classes)?;
                    Some(target.depth + cost).filter(|depth| *depth <= HIGHEST)
                });
                meant.min()
            };
            match mentions.len() < wanted.len() {
                true => mentions
                    .iter()
                    .filter_map(|(name, how)| means(name, *how))
                    .min(),
                false => wanted
                    .keys()
                    .filter_map(|name| means(name, *mentions.get(name)?))
                    .min(),
            }
        };
        let mut fresh = Vec::new();
        for (name, local) in &info.aliases {
            let Some(how) = info.module.get(name) else {
                continue;
            };
            let one = Mentions::from_iter([(name.clone(), *how)]);
            if let Some(depth) = hit(&one, &[]) {
                fresh.push(Target {
                    name: local.clone(),
                    file,
                    stem: stem(project.path(file)),
                    classes: Vec::new(),
                    depth: depth + 1,
                });
            }
        }
        if !self.out.files.contains(&file)
            && (!anchors.is_empty()
                || self.everywhere.contains_key(&file)
                || hit(&info.module, &[]).is_some())
        {
            self.out.files.insert(file);
        }
        for unit in &info.units {
            if self.out.functions.contains(&unit.def) {
                continue;
            }
            let held = anchors
                .iter()
                .filter(|(span, _)| unit.extent.contains(*span));
            let held = held.map(|(_, depth)| *depth).min();
            let marks = self.everywhere.get(&file);
            let marked =
                marks.is_some_and(|marks| unit.mentions.keys().any(|name| marks.contains(name)));
            let held = held.or(marked.then_some(0));
            let Some(depth) = held.or_else(|| hit(&unit.mentions, &unit.classes)) else {
                continue;
            };
            self.out.functions.insert(unit.def);
            self.out.files.insert(file);
            if unit.is_method {
                let methods = self.out.methods.entry(unit.name.clone()).or_default();
                methods.push(unit.def);
            }
            fresh.extend(target_of(unit, file, project, depth));
        }
        fresh
    }

    /// Files, not parsed yet, that may mean one of `fresh`.
    fn candidates(&self, fresh: &[Target]) -> Vec<FileId> {
        let mut out: BTreeSet<FileId> = BTreeSet::new();
        let mut nearest: Vec<&Target> = fresh.iter().collect();
        nearest.sort_by_key(|target| target.depth);
        for target in nearest {
            if target.depth > 0 && self.parsed.len() + out.len() > MOST_READ {
                break;
            }
            let finder = memmem::Finder::new(target.name.as_bytes());
            let words = target.classes.iter().chain([&target.stem, &target.name]);
            let files = words.filter_map(|word| self.imports.get(word)).flatten();
            for file in files.chain([&target.file]) {
                if reaches(self.project, target, *file)
                    && !self.parsed.contains_key(file)
                    && !out.contains(file)
                    && finder.find(self.project.bytes(*file)).is_some()
                {
                    out.insert(*file);
                }
            }
        }
        out.into_iter().collect()
    }

    /// Functions near the loads that keep something where a load may read it: in the files that hold loads and in the
    /// modules these import.
    fn keepers(&mut self) -> Vec<Target> {
        let project = self.project;
        let holding: Vec<FileId> = self
            .anchors
            .iter()
            .filter(|(file, spans)| {
                !is_test(project.path(**file)) && spans.iter().any(|(_, depth)| *depth == 0)
            })
            .map(|(file, _)| *file)
            .collect();
        let mut near: BTreeSet<FileId> = holding.iter().copied().collect();
        for file in &holding {
            let homes = self.parsed.get(file).map(|info| &info.homes);
            near.extend(
                homes
                    .into_iter()
                    .flatten()
                    .filter(|home| !is_test(project.path(**home))),
            );
        }
        if near.len() > MOST_NEAR {
            near = holding.iter().copied().collect();
        }
        let near: Vec<FileId> = near.into_iter().collect();
        let mut fresh = self.read(near.clone());
        for file in near {
            let Some(info) = self.parsed.get(&file) else {
                continue;
            };
            for unit in info.units.iter().filter(|unit| unit.keeps) {
                if self.out.functions.insert(unit.def) {
                    self.out.files.insert(file);
                    let depth = HIGHEST.saturating_sub(MOST_KEEPERS);
                    fresh.extend(target_of(unit, file, project, depth));
                }
            }
        }
        fresh
    }

    /// How far the method `name` is above a load.
    fn lowest(&self, name: &Name) -> usize {
        let targets = self.wanted.get(name).into_iter().flatten();
        targets
            .into_iter()
            .map(|target| target.depth)
            .min()
            .unwrap_or(HIGHEST)
    }

    /// Methods whose name is so rare that it means the same everywhere: objects get where no import shows them.
    fn rare(&mut self) -> Vec<Target> {
        let methods = self
            .out
            .methods
            .keys()
            .filter(|name| name.len() >= 6 && !name.starts_with("__"));
        let names: Vec<Name> = methods.cloned().collect();
        let words: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        let Ok(search) = AhoCorasick::new(&words) else {
            return Vec::new();
        };
        let project = self.project;
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let files: Vec<FileId> = project.ids().collect();
        let hits: Vec<(FileId, BTreeSet<usize>)> = files
            .into_par_iter()
            .filter(|file| !is_test(project.path(*file)))
            .filter_map(|file| {
                let bytes = project.bytes(file);
                let mut hits = BTreeSet::new();
                for found in search.find_overlapping_iter(bytes) {
                    let before = found.start().checked_sub(1).and_then(|at| bytes.get(at));
                    let after = bytes.get(found.end());
                    // A call of a method.
                    if before == Some(&b'.') && !after.is_some_and(|b| is_word(*b)) {
                        hits.insert(found.pattern().as_usize());
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
        let is_rare = |n: &usize| counts.get(*n).is_some_and(|count| *count <= RARE);
        let mut rare: FxHashMap<Name, Vec<Target>> = FxHashMap::default();
        for (_, name) in names.iter().enumerate().filter(|(n, _)| is_rare(n)) {
            let anywhere = Target {
                name: name.clone(),
                file: ANYWHERE,
                stem: Name::new(""),
                classes: Vec::new(),
                depth: self.lowest(name),
            };
            if self.known.insert(anywhere.clone()) {
                rare.insert(name.clone(), vec![anywhere]);
            }
        }
        let open: Vec<FileId> = hits
            .into_iter()
            .filter(|(_, hits)| hits.iter().any(is_rare))
            .map(|(file, _)| file)
            .collect();
        let mut fresh = self.read(open.clone());
        for file in open {
            fresh.extend(self.ask(file, &rare));
        }
        for (name, targets) in rare {
            self.wanted.entry(name).or_default().extend(targets);
        }
        fresh
    }
}

/// Whether code in `file` counts as a caller: tests say nothing of what runs, but of themselves.
fn reaches(project: &Project, target: &Target, file: FileId) -> bool {
    let folder = |path: &str| path.rsplit_once('/').map_or(0, |(folder, _)| folder.len());
    let there = project.path(file);
    let here = match target.file {
        ANYWHERE => "",
        file => project.path(file),
    };
    match (is_test(here), is_test(there)) {
        (false, false) => true,
        (true, true) => here.get(..folder(here)) == there.get(..folder(there)),
        _ => false,
    }
}

/// What callers of `unit` mention.
fn target_of(unit: &Unit, file: FileId, project: &Project, depth: usize) -> Option<Target> {
    // Called by syntax, once there is an object: its making is what is mentioned.
    const MADE: [&str; 15] = [
        "__init__",
        "__new__",
        "__post_init__",
        "__call__",
        "__enter__",
        "__aenter__",
        "__getitem__",
        "__iter__",
        "__next__",
        "__aiter__",
        "__anext__",
        "__getattr__",
        "__setstate__",
        "__del__",
        "__exit__",
    ];
    let is_dunder = unit.name.starts_with("__") && unit.name.ends_with("__");
    let (name, classes) = match (is_dunder, unit.is_method) {
        (true, true) if MADE.contains(&unit.name.as_str()) => (unit.classes.first()?, &[][..]),
        (true, _) => return None,
        (false, true) => (&unit.name, unit.classes.as_slice()),
        (false, false) => (&unit.name, &[][..]),
    };
    Some(Target {
        name: name.clone(),
        file,
        stem: stem(project.path(file)),
        classes: classes.to_vec(),
        depth,
    })
}

/// Whether code in `file` can mean `target` by its name, mentioned `how` in a method of one of `classes`: how unsure
/// that is.
fn sees(
    project: &Project,
    file: FileId,
    info: &Parsed,
    target: &Target,
    how: u8,
    classes: &[Name],
) -> Option<usize> {
    /// A name of the same file is what it is.
    const HERE: usize = 0;
    const IMPORTED: usize = 1;
    const OF_OBJECT: usize = 4;
    if target.file == ANYWHERE {
        return (how & (OTHER | MODULE) != 0).then_some(OF_OBJECT);
    }
    // A package may hand on what another of its modules defines.
    let relayed = |names: &[Name]| {
        let named = names.iter().any(|name| info.imported.contains(name));
        let package = |home: &FileId| project.path(*home).ends_with("__init__.py");
        named && (info.relays || info.homes.iter().any(package))
    };
    let is_here = file == target.file;
    if target.classes.is_empty() {
        if is_here {
            return (how & (PLAIN | STRING) != 0).then_some(HERE);
        }
        let by_name = how & PLAIN != 0 && info.imported.contains(&target.name);
        let by_module = how & (MODULE | STRING) != 0;
        let can = info.homes.contains(&target.file) || relayed(std::slice::from_ref(&target.name));
        return ((by_name || by_module) && can).then_some(IMPORTED);
    }
    let own = target.classes.iter().any(|class| classes.contains(class));
    if how & (SELF | STRING) != 0 && own {
        return Some(IMPORTED);
    }
    let of_object = how & (OTHER | MODULE | STRING) != 0
        && match is_here {
            true => target
                .classes
                .iter()
                .any(|class| info.mentioned.contains(class)),
            false => {
                let mut classes = target.classes.iter();
                classes.any(|class| info.imported.contains(class))
                    || (how & MODULE != 0 && info.homes.contains(&target.file))
            }
        };
    of_object.then_some(OF_OBJECT)
}

/// Files by the words of their import statements, found without parsing.
fn imports(project: &Project) -> FxHashMap<Name, Vec<FileId>> {
    let files: Vec<FileId> = project.ids().collect();
    let words: Vec<(FileId, FxHashSet<Name>)> = files
        .into_par_iter()
        .map(|file| (file, import_words(project.bytes(file))))
        .collect();
    let mut index: FxHashMap<Name, Vec<FileId>> = FxHashMap::default();
    for (file, words) in words {
        for word in words {
            index.entry(word).or_default().push(file);
        }
    }
    index
}

/// Words of the import statements in `bytes`: parts of module names, and imported names.
fn import_words(bytes: &[u8]) -> FxHashSet<Name> {
    let mut words = FxHashSet::default();
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    for at in memmem::find_iter(bytes, b"import") {
        let line = memchr::memrchr(b'\n', bytes.get(..at).unwrap_or(&[])).map_or(0, |n| n + 1);
        let rest = bytes.get(at..).unwrap_or(&[]);
        let end_of_line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let first = rest.get(..end_of_line).unwrap_or(rest);
        let end = match first.contains(&b'(') && !first.contains(&b')') {
            true => memchr::memchr(b')', rest).unwrap_or(rest.len()).min(4000),
            false if first.ends_with(b"\\") => rest.len().min(1000),
            false => end_of_line,
        };
        let statement = bytes.get(line..at + end).unwrap_or(&[]);
        let start = statement.trim_ascii_start();
        if !start.starts_with(b"import") && !start.starts_with(b"from") {
            continue;
        }
        for word in statement.split(|b| !is_word(*b)) {
            if let Ok(word) = std::str::from_utf8(word)
                && !matches!(word, "" | "from" | "import" | "as")
            {
                words.insert(Name::new(word));
            }
        }
    }
    words
}

/// `helpers` of `shop/helpers.py`, `shop` of `shop/__init__.py`.
fn stem(path: &str) -> Name {
    let path = path.strip_suffix("/__init__.py").unwrap_or(path);
    let path = path.strip_suffix(".py").unwrap_or(path);
    Name::new(path.rsplit('/').next().unwrap_or(path))
}

/// Calls in `source` that write what sinks read.
fn writers_of(model: &Model, source: &SourceFile) -> Vec<Span> {
    let writes = |chain: &&crate::python::Chain| {
        let names = source.scopes().resolve(chain.scope, &chain.parts);
        names.iter().any(|name| model.is_writer(name))
    };
    let chains = source.scopes().chains().iter().filter(writes);
    chains.map(|chain| chain.span).collect()
}

/// How a file hands sinks on: names that others may know them by, and whether code in it may call them by other names.
#[derive(Default)]
pub(super) struct Named {
    /// Calls that write what sinks read.
    writers: Vec<Span>,
    names: Vec<Name>,
    /// A sink or its module is used as a value, or named by a text: functions here may call it by another name.
    anywhere: bool,
    /// What such functions mention: names that it is kept under, and its own.
    marks: FxHashSet<Name>,
    /// Where it is used as a value.
    held: Vec<Span>,
}

impl Named {
    /// What `source` hands on.
    pub fn of(model: &Model, source: &SourceFile) -> Named {
        let mut named = handed_on(model, source);
        named.writers = writers_of(model, source);
        named
    }

    /// Whether there is anything of interest.
    pub fn matters(&self) -> bool {
        self.anywhere || !self.names.is_empty() || !self.writers.is_empty()
    }
}

fn handed_on(model: &Model, source: &SourceFile) -> Named {
    let modules = model.pickle_modules();
    let is = |name: &String| model.sink(name).is_some() || modules.contains(name);
    let mut out = Named::default();
    let mut held: Vec<Span> = Vec::new();
    let mut texts = Texts {
        modules: &modules,
        found: false,
        passed: Vec::new(),
    };
    texts.visit_body(&source.module().body);
    for chain in source.scopes().chains() {
        let resolved = source.scopes().resolve(chain.scope, &chain.parts);
        if resolved.iter().any(|name| model.has_sinks(name)) {
            out.anywhere = true;
            held.push(chain.span);
        }
        if resolved.iter().any(is) {
            held.push(chain.span);
            out.anywhere |= matches!(chain.role, ChainRole::Aliased | ChainRole::Read)
                && !texts.passed.contains(&chain.span);
        }
    }
    for (name, bound) in source.scopes().names_in(0) {
        for binding in bound {
            if let Bound::Import(import) = binding {
                if is(&import.target) {
                    out.names.push(Name::new(name));
                }
                let star = import.target.strip_suffix(".*");
                out.anywhere |= star.is_some_and(|top| modules.iter().any(|m| m == top));
            }
        }
    }
    out.anywhere |= texts.found;
    for stmt in &source.module().body {
        let holds = || held.iter().any(|at| span(stmt).contains(*at));
        match stmt {
            Stmt::Assign(node) if holds() => {
                let targets = node.targets.iter().filter_map(Expr::as_name_expr);
                out.names.extend(targets.map(|name| name.id.clone()));
            }
            Stmt::ClassDef(node) => {
                let assigned = |stmt: &Stmt| {
                    matches!(stmt, Stmt::Assign(_) | Stmt::AnnAssign(_))
                        && held.iter().any(|at| span(stmt).contains(*at))
                };
                let mut bases = node.arguments.iter().flat_map(|a| &a.args);
                let derived = bases.any(|base| {
                    held.iter().any(|at| span(base).contains(*at))
                        || matches!(base, Expr::Name(name) if out.names.contains(&name.id))
                });
                if derived || node.body.iter().any(assigned) {
                    out.names.push(node.name.id.clone());
                }
            }
            _ => {}
        }
    }
    out.names.sort();
    out.names.dedup();
    if out.anywhere {
        let mut kept = Kept {
            held: &held,
            names: Vec::new(),
        };
        kept.visit_body(&source.module().body);
        out.marks.extend(kept.names);
        out.marks.extend(out.names.iter().cloned());
        out.marks
            .extend(model.sink_lasts().into_iter().map(Name::new));
        // The module's own name is mentioned by who calls it directly: those are loads that stand there.
        out.marks
            .retain(|name| !modules.iter().any(|m| **m == **name));
        out.held = held;
    }
    out
}

/// Names and attributes that are assigned something of `held`.
struct Kept<'h> {
    held: &'h [Span],
    names: Vec<Name>,
}

impl<'a> Visitor<'a> for Kept<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::Assign(node) = stmt
            && self.held.iter().any(|at| span(&*node.value).contains(*at))
        {
            for target in &node.targets {
                match target {
                    Expr::Attribute(attribute) => self.names.push(attribute.attr.id.clone()),
                    target => roots(target, &mut self.names),
                }
            }
        }
        visitor::walk_stmt(self, stmt);
    }
}

/// Looks for texts that are the name of a sink's module: `import_module("pickle")`.
struct Texts<'m> {
    modules: &'m [String],
    found: bool,
    /// Dotted names that are handed to a call, which is followed from there.
    passed: Vec<Span>,
}

impl Texts<'_> {
    fn names(&self, expr: &Expr) -> bool {
        match expr {
            Expr::StringLiteral(node) => {
                let text = node.value.to_str();
                self.modules.iter().any(|m| m == text)
            }
            _ => false,
        }
    }
}

impl<'a> Visitor<'a> for Texts<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => {
                let last = match &*call.func {
                    Expr::Name(name) => name.id.as_str(),
                    Expr::Attribute(attribute) => attribute.attr.as_str(),
                    _ => "",
                };
                // What these give is the function itself.
                let wraps = matches!(
                    last,
                    "staticmethod" | "classmethod" | "partial" | "lru_cache"
                );
                let handed = call.arguments.args.iter().filter(|_| !wraps);
                for argument in handed {
                    if crate::python::dotted(argument).is_some() {
                        self.passed.push(span(argument));
                    }
                }
                let by_name = matches!(last, "import_module" | "__import__" | "getattr" | "get");
                self.found |= by_name && call.arguments.args.iter().any(|a| self.names(a));
            }
            Expr::Subscript(node) => self.found |= self.names(&node.slice),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::Assign(node) = stmt {
            self.found |= self.names(&node.value);
        }
        visitor::walk_stmt(self, stmt);
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

fn parse(project: &Project, file: FileId) -> Parsed {
    let source = project.source(file);
    let local = |import: &crate::python::Import| {
        let text = source.slice(import.alias);
        let last = text.split_whitespace().next_back().unwrap_or(text);
        Name::new(last.split('.').next().unwrap_or(last))
    };
    let mut collector = Collector {
        file,
        units: Vec::new(),
        open: Vec::new(),
        module: Mentions::default(),
        classes: Vec::new(),
        dynamic: Vec::new(),
        modules: source.scopes().imports().map(local).collect(),
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
            Some(unit) => unit
                .mentions
                .extend(names.into_iter().map(|n| (n, SELF | STRING))),
            None => collector
                .module
                .extend(names.into_iter().map(|n| (n, STRING))),
        }
    }
    let mut imported = FxHashSet::default();
    let mut homes = FxHashSet::default();
    let mut relays = false;
    for import in source.scopes().imports() {
        // `import a.b` binds `a`, and names `a.b`.
        let named = match import.from {
            true => import.target.as_str(),
            false => source
                .slice(import.alias)
                .split_whitespace()
                .next()
                .unwrap_or(""),
        };
        let target = named;
        imported.extend(target.split('.').map(Name::new));
        let parent = target.rsplit_once('.').map(|(parent, last)| {
            match parent.is_empty() || parent.ends_with('.') {
                true => target.get(..target.len() - last.len()).unwrap_or(parent),
                false => parent,
            }
        });
        homes.extend(project.module(file, target));
        homes.extend(parent.and_then(|parent| project.module(file, parent)));
        relays |= target.ends_with('*');
    }
    if relays {
        // Any name may have come with the star.
        let chains = source.scopes().chains().iter();
        imported.extend(chains.filter_map(|chain| chain.parts.first().map(Name::new)));
    }
    let mut mentioned = FxHashSet::default();
    for mentions in collector
        .units
        .iter()
        .map(|unit| &unit.mentions)
        .chain([&collector.module])
    {
        let plain = mentions
            .iter()
            .filter(|(_, how)| **how & (PLAIN | MODULE) != 0);
        mentioned.extend(plain.map(|(name, _)| name.clone()));
    }
    let mut aliases = Vec::new();
    for stmt in &source.module().body {
        match stmt {
            Stmt::ImportFrom(node) => {
                for alias in &node.names {
                    let local = alias.asname.as_ref().unwrap_or(&alias.name);
                    aliases.push((alias.name.id.clone(), local.id.clone()));
                }
            }
            Stmt::Assign(node) => {
                let mut names = Mentioned(Vec::new());
                names.visit_expr(&node.value);
                let mut targets = Vec::new();
                node.targets.iter().for_each(|t| roots(t, &mut targets));
                for target in targets {
                    aliases.extend(names.0.iter().map(|name| (name.clone(), target.clone())));
                }
            }
            // `READERS.append(read)`.
            Stmt::Expr(node) => {
                if let Expr::Call(call) = &*node.value
                    && let Expr::Attribute(attribute) = &*call.func
                {
                    let mut names = Mentioned(Vec::new());
                    names.visit_arguments(&call.arguments);
                    let mut targets = Vec::new();
                    roots(&attribute.value, &mut targets);
                    for target in targets {
                        aliases.extend(names.0.iter().map(|name| (name.clone(), target.clone())));
                    }
                }
            }
            _ => {}
        }
    }
    Parsed {
        aliases,
        mentioned,
        units: collector.units,
        module: collector.module,
        imported,
        homes,
        relays,
    }
}

struct Collector {
    file: FileId,
    units: Vec<Unit>,
    open: Vec<usize>,
    module: Mentions,
    classes: Vec<Vec<Name>>,
    /// Where attributes are looked up by a name that is made there, and how that name starts.
    dynamic: Vec<(Option<usize>, String)>,
    /// Names that imports bind.
    modules: FxHashSet<Name>,
}

impl Collector {
    fn mention(&mut self, name: &Name, how: u8) {
        if self.open.is_empty() {
            *self.module.entry(name.clone()).or_default() |= how;
        }
        for index in &self.open {
            if let Some(unit) = self.units.get_mut(*index) {
                *unit.mentions.entry(name.clone()).or_default() |= how;
            }
        }
    }

    fn keeps(&mut self, keeps: bool) {
        for index in &self.open {
            if let Some(unit) = self.units.get_mut(*index) {
                unit.keeps |= keeps;
            }
        }
    }

    /// How `attribute` is mentioned: of what.
    fn owner(&self, attribute: &ast::ExprAttribute) -> u8 {
        match &*attribute.value {
            Expr::Name(name) if matches!(name.id.as_str(), "self" | "cls") => SELF,
            Expr::Name(name) if self.modules.contains(&name.id) => MODULE | OTHER,
            Expr::Call(call) => match &*call.func {
                Expr::Name(name) if name.id == "super" => SELF,
                _ => OTHER,
            },
            Expr::Attribute(inner) => match self.owner(inner) {
                SELF => OTHER,
                how => how,
            },
            _ => OTHER,
        }
    }
}

impl<'a> Visitor<'a> for Collector {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(node) => {
                let is_method = self.open.is_empty() && !self.classes.is_empty();
                let classes = self.classes.last().cloned().unwrap_or_default();
                self.units.push(Unit {
                    def: Def {
                        file: self.file,
                        start: span(node).start,
                    },
                    extent: span(node),
                    name: node.name.id.clone(),
                    classes,
                    is_method,
                    mentions: Mentions::default(),
                    keeps: false,
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
                    self.mention(&alias.name.id.clone(), PLAIN);
                }
            }
            Stmt::Assign(node) => {
                let kept =
                    |target: &Expr| matches!(target, Expr::Attribute(_) | Expr::Subscript(_));
                self.keeps(node.targets.iter().any(kept));
                visitor::walk_stmt(self, stmt);
            }
            Stmt::Global(_) => self.keeps(true),
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => self.mention(&name.id, PLAIN),
            Expr::Attribute(attribute) => {
                let how = self.owner(attribute);
                self.mention(&attribute.attr.id, how);
            }
            Expr::Call(call) => {
                if let Expr::Attribute(attribute) = &*call.func {
                    self.keeps(keeps_by(attribute.attr.as_str()));
                }
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
                    self.mention(&Name::new(text), STRING);
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// Whether a method so called puts something where others may find it.
fn keeps_by(name: &str) -> bool {
    is_mutator(name)
        || matches!(
            name,
            "save"
                | "set"
                | "feed"
                | "setdefault"
                | "write_bytes"
                | "write_text"
                | "lpush"
                | "rpush"
                | "hset"
                | "setex"
                | "mset"
                | "copyfileobj"
                | "move"
                | "heappush"
                | "set_many"
                | "execute"
                | "dump"
        )
}

/// Names and attributes in an expression.
struct Mentioned(Vec<Name>);

impl<'a> Visitor<'a> for Mentioned {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => self.0.push(name.id.clone()),
            Expr::Attribute(attribute) => self.0.push(attribute.attr.id.clone()),
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
