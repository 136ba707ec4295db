//! Which functions have to be interpreted so that every load is seen with all that can reach it: upward from the loads,
//! by name and by what a file can see, across the project.
//!
//! A function that mentions a wanted name counts when its file can mean the wanted thing by it: it is defined there, it
//! imports its module or its class, or the name is so rare that nothing else can be meant.

mod above;
mod files;
mod handed;
mod mentions;

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::imports::{Word, Words};
use super::sites::Site;
use super::value::Def;
use crate::defect::strike;
use crate::project::{FileId, Project};
use crate::python::ast::name::Name;
use crate::text::Span;
use crate::text::words::members;

pub(super) use above::Ways;
use files::Files;
pub(super) use handed::Named;
use mentions::{MODULE, Mentions, OTHER, PLAIN, Parsed, SELF, STRING, Unit};

/// A method that is called in no more files than this is taken to mean the same thing everywhere.
const RARE: usize = 12;
/// Files that are read for what stands above the loads, the nearest first; direct callers are read in any case.
const MOST_READ: usize = 1200;
/// With more functions than this nothing further is looked for.
const MANY: usize = 3000;
/// Times that rare names are looked for in the whole project.
const RARE_PASSES: usize = 1;

/// What has to be interpreted.
#[derive(Default)]
pub(super) struct Relevant {
    /// Files whose module level matters.
    pub files: BTreeSet<FileId>,
    /// Functions that contain a load, or call one that does; and those that keep something which a load may read.
    pub functions: FxHashSet<Def>,
    /// Those of them that were found going up from the loads.
    pub to_loads: FxHashSet<Def>,
    /// Names of methods among them, with where they are.
    pub methods: BTreeMap<Name, Vec<Def>>,
    /// Names of the project's own functions that are called anywhere in the files that were parsed.
    pub called: FxHashSet<String>,
}

/// Where a method is that may be meant everywhere.
const ANYWHERE: FileId = FileId(usize::MAX);

/// Steps up are counted by how sure they are; nothing unsure is followed further than this.
const HIGHEST: usize = 10;
/// Sure steps are followed this far: further than calls are interpreted.
const HIGHEST_SURE: usize = 320;
/// A call by a name that was imported.
const IMPORTED: usize = 1;
/// A call of a method, of an object that may be another.
const OF_OBJECT: usize = 4;
/// What writes for a load is followed this far up.
const MOST_WRITERS: usize = 4;
/// What keeps something that a load may read is followed this far up.
const MOST_KEEPERS: usize = 2;
/// In more files than this around the loads, only the files with loads are searched for what keeps something.
const MOST_NEAR: usize = 80;

/// How far something is above a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Height {
    /// Calls, weighed by how unsure they are.
    steps: usize,
    /// Some of them may mean something else.
    unsure: bool,
}

impl Height {
    /// At a load.
    const GROUND: Height = Height {
        steps: 0,
        unsure: false,
    };

    /// One call higher, which costs so much.
    fn up(self, cost: usize) -> Height {
        self.and(Height {
            steps: cost,
            unsure: cost > IMPORTED,
        })
    }

    /// That, and so much higher.
    fn and(self, step: Height) -> Height {
        Height {
            steps: self.steps + step.steps,
            unsure: self.unsure || step.unsure,
        }
    }

    /// Whether it is followed in any case.
    fn is_followed(self) -> bool {
        self.steps <= if self.unsure { HIGHEST } else { HIGHEST_SURE }
    }
}

/// What tells a target from others, however far up it is: its name, its file, its classes.
type Identity = (Name, FileId, Vec<Name>);

/// Something whose callers are looked for.
#[derive(Debug, Clone)]
struct Target {
    /// What a caller mentions.
    name: Name,
    file: FileId,
    /// The module's own name.
    stem: Name,
    /// The classes it may be a method of.
    classes: Vec<Name>,
    height: Height,
}

impl Target {
    /// Who makes an object that this is a method of: it may be handed to who names the method, and not the class.
    fn maker(&self) -> Option<Target> {
        Some(Target {
            name: self.classes.first()?.clone(),
            classes: Vec::new(),
            height: self.height.up(OF_OBJECT),
            ..self.clone()
        })
    }

    /// What is called `name`, whatever it is of.
    fn anywhere(name: &Name, height: Height) -> Target {
        Target {
            name: name.clone(),
            file: ANYWHERE,
            stem: Name::new(""),
            classes: Vec::new(),
            height,
        }
    }

    /// What tells it from others, however far up it is.
    fn identity(&self) -> Identity {
        (self.name.clone(), self.file, self.classes.clone())
    }
}

/// Finds what has to be interpreted for `sites`, and how it leads there.
pub(super) fn relevant<'p>(
    project: &'p Project,
    named: Vec<(FileId, Named)>,
    sites: &[Site],
    imports: &'p [Words],
    unread: Vec<FileId>,
) -> (Relevant, Ways<'p>) {
    let mut anchors: FxHashMap<FileId, Vec<(Span, usize)>> = FxHashMap::default();
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
    let everywhere: FxHashMap<FileId, FxHashSet<Name>> = handed
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
    for here in anchors.values_mut() {
        here.sort_unstable_by_key(|(span, steps)| (span.start, span.end, *steps));
    }
    let handed = handed
        .into_iter()
        .map(|(file, handed)| (file, handed.names));
    let mut search = Search {
        everywhere: everywhere.clone(),
        project,
        files: Files::new(project, imports),
        anchors,
        parsed: BTreeMap::new(),
        unread,
        mentioning: FxHashMap::default(),
        dropped: FxHashSet::default(),
        wanted: FxHashMap::default(),
        known: FxHashMap::default(),
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
            height: Height::GROUND,
        }));
    }
    search.follow(fresh);
    search.out.to_loads = search.out.functions.clone();
    // In a project with so many ways to loads more would only cost.
    if search.out.functions.len() <= MANY {
        let fresh = search.keepers();
        search.follow(fresh);
    }
    let before = search.out.functions.clone();
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
    let out = &mut search.out;
    out.to_loads.extend(out.functions.difference(&before));
    let anywhere = search.known.into_keys().filter(|known| known.1 == ANYWHERE);
    let ways = Ways {
        rare: anywhere.map(|(name, ..)| name).collect(),
        files: search.files,
        parsed: search.parsed,
        mentioning: search.mentioning,
        dropped: search.dropped,
        unread: search.unread,
    };
    (search.out, ways)
}

/// What callers are looked for, by what they mention.
type Wanted = FxHashMap<Name, Vec<Target>>;

/// What of a file matters.
struct Hits {
    /// Its module level.
    module: bool,
    /// Names at module level that stand for something wanted, and how far those are above a load.
    aliases: Vec<(Name, Height)>,
    /// Units that were not known to matter, and how far they are above a load.
    units: Vec<(usize, Height)>,
}

struct Search<'p> {
    project: &'p Project,
    /// Files in which any function may call a sink.
    everywhere: FxHashMap<FileId, FxHashSet<Name>>,
    files: Files<'p>,
    /// What is looked for in a file, in its order, and how far above a load each is.
    anchors: FxHashMap<FileId, Vec<(Span, usize)>>,
    parsed: BTreeMap<FileId, Parsed>,
    /// Parsed files by the names they mention.
    mentioning: FxHashMap<Word, Vec<FileId>>,
    /// Targets whose callers were not looked for.
    dropped: FxHashSet<Identity>,
    /// Files that depickle failed on.
    unread: Vec<FileId>,
    wanted: Wanted,
    /// Targets, and how far above a load they were when last looked for.
    known: FxHashMap<Identity, Height>,
    out: Relevant,
}

impl Search<'_> {
    /// Goes up from `fresh` until nothing new is found.
    fn follow(&mut self, mut fresh: Vec<Target>) {
        loop {
            // The more there is already, the nearer what is added has to be.
            let highest = match self.out.functions.len() {
                0..=600 => None,
                601..=1500 => Some(4),
                1501..=MANY => Some(2),
                _ => Some(0),
            };
            let known = &mut self.known;
            let dropped = &mut self.dropped;
            fresh.retain(|target| {
                let near = match highest {
                    None => target.height.is_followed(),
                    Some(highest) => target.height.steps <= highest,
                };
                let before = known.get(&target.identity());
                let new = before.is_none_or(|before| target.height < *before);
                if new {
                    known.insert(target.identity(), target.height);
                }
                if new && !near && !target.height.unsure {
                    dropped.insert(target.identity());
                }
                new && near
            });
            if fresh.is_empty() {
                return;
            }
            let (candidates, unsearched) = self.candidates(&fresh);
            self.dropped.extend(unsearched);
            let mut by_name = Wanted::default();
            for target in fresh.drain(..) {
                by_name.entry(target.name.clone()).or_default().push(target);
            }
            // Those that were read before are asked about what is new; new ones about everything.
            let words = by_name.keys().map(|name| Word::of(name.as_bytes()));
            let mentioned = words.filter_map(|word| self.mentioning.get(&word));
            let files: BTreeSet<FileId> = mentioned.flatten().copied().collect();
            fresh.extend(self.ask(files.into_iter().collect(), &by_name));
            for (name, targets) in by_name {
                self.wanted.entry(name).or_default().extend(targets);
            }
            fresh.extend(self.read(candidates));
        }
    }

    /// Parses `files` and finds what in them matters; gives what their callers mention. The syntax of the others is
    /// dropped at once.
    fn read(&mut self, files: Vec<FileId>) -> Vec<Target> {
        let (project, search) = (self.project, &*self);
        let new = files
            .into_par_iter()
            .filter(|file| !search.parsed.contains_key(file));
        let read: Vec<(FileId, Option<(Parsed, Hits)>)> = new
            .map(|file| {
                project.glance(file, |source| {
                    let read = project.caught(file, || {
                        strike("mentions", project.path(file));
                        let info = Parsed::of(project, file, source);
                        let hits = search.hits(file, &info, &search.wanted);
                        (info, hits)
                    });
                    let matters = |hits: &Hits| hits.module || !hits.units.is_empty();
                    let keep = read.as_ref().is_some_and(|(_, hits)| matters(hits));
                    ((file, read), keep)
                })
            })
            .collect();
        let mut fresh = Vec::new();
        for (file, read) in read {
            let Some((mut info, hits)) = read else {
                // Not read again.
                self.parsed.insert(file, Parsed::default());
                self.unread.push(file);
                continue;
            };
            self.out.called.extend(std::mem::take(&mut info.called));
            for word in std::mem::take(&mut info.words) {
                self.mentioning.entry(word).or_default().push(file);
            }
            self.parsed.insert(file, info);
            fresh.extend(self.accept(file, hits));
        }
        fresh
    }

    /// Asks `files` what in them means one of `wanted`; gives what the callers of that mention.
    fn ask(&mut self, files: Vec<FileId>, wanted: &Wanted) -> Vec<Target> {
        let search = &*self;
        let hits: Vec<(FileId, Option<Hits>)> = files
            .into_par_iter()
            .filter_map(|file| {
                let info = search.parsed.get(&file)?;
                let hits = search.project.caught(file, || {
                    strike("asked", search.project.path(file));
                    search.hits(file, info, wanted)
                });
                Some((file, hits))
            })
            .collect();
        let mut fresh = Vec::new();
        for (file, hits) in hits {
            match hits {
                Some(hits) => fresh.extend(self.accept(file, hits)),
                None => self.unread.push(file),
            }
        }
        fresh
    }

    /// What in `file` means one of `wanted`, or holds a load.
    fn hits(&self, file: FileId, info: &Parsed, wanted: &Wanted) -> Hits {
        let anchors = self.anchors.get(&file).map_or(&[][..], Vec::as_slice);
        let nearest = |mentions: &Mentions, classes: &[Name]| {
            nearest(&self.files, file, info, wanted, mentions, classes)
        };
        let alias = |(name, local): &(Name, Name)| {
            let one = Mentions::from_iter([(name.clone(), *info.module.get(name)?)]);
            Some((local.clone(), nearest(&one, &[])?.up(IMPORTED)))
        };
        let marks = self.everywhere.get(&file);
        let unit = |(n, unit): (usize, &Unit)| {
            if self.out.functions.contains(&unit.def) {
                return None;
            }
            // In the order of the file: a file may hold thousands.
            let first = anchors.partition_point(|(span, _)| span.start < unit.extent.start);
            let held = anchors.get(first..).unwrap_or_default().iter();
            let held = held
                .take_while(|(span, _)| span.start <= unit.extent.end)
                .filter(|(span, _)| unit.extent.contains(*span));
            let held = held.map(|(_, steps)| Height {
                steps: *steps,
                unsure: *steps > 0,
            });
            let held = held.min();
            let marked =
                marks.is_some_and(|marks| unit.mentions.keys().any(|name| marks.contains(name)));
            let held = held.or(marked.then_some(Height::GROUND));
            Some((n, held.or_else(|| nearest(&unit.mentions, &unit.classes))?))
        };
        Hits {
            module: !anchors.is_empty()
                || marks.is_some()
                || self.out.files.contains(&file)
                || nearest(&info.module, &[]).is_some(),
            aliases: info.aliases.iter().filter_map(alias).collect(),
            units: info.units.iter().enumerate().filter_map(unit).collect(),
        }
    }

    /// Takes what was hit into what has to be interpreted; gives what its callers mention.
    fn accept(&mut self, file: FileId, hits: Hits) -> Vec<Target> {
        let project = self.project;
        let Some(info) = self.parsed.get(&file) else {
            return Vec::new();
        };
        if hits.module || !hits.units.is_empty() {
            self.out.files.insert(file);
        }
        let aliases = hits.aliases.into_iter().map(|(name, height)| Target {
            name,
            file,
            stem: stem(project.path(file)),
            classes: Vec::new(),
            height,
        });
        let mut fresh: Vec<Target> = aliases.collect();
        for (n, height) in hits.units {
            let Some(unit) = info.units.get(n) else {
                continue;
            };
            self.out.functions.insert(unit.def);
            if unit.is_method {
                let methods = self.out.methods.entry(unit.name.clone()).or_default();
                methods.push(unit.def);
            }
            fresh.extend(target_of(unit, file, project, height));
        }
        fresh
    }

    /// Files, not parsed yet, that may mean one of `fresh`; and those of `fresh` for which there are too many to look.
    fn candidates(&self, fresh: &[Target]) -> (Vec<FileId>, Vec<Identity>) {
        /// So many are looked for before the files are counted.
        const AT_ONCE: usize = 32;
        let mut out: BTreeSet<FileId> = BTreeSet::new();
        let mut unsearched = Vec::new();
        let mut nearest: Vec<&Target> = fresh.iter().collect();
        nearest.sort_by_key(|target| target.height);
        let is_over = |target: &Target, files: usize| target.height.steps > 0 && files > MOST_READ;
        for some in nearest.chunks(AT_ONCE) {
            let before = self.parsed.len() + out.len();
            let known = |file| self.parsed.contains_key(&file) || out.contains(&file);
            let naming = some.par_iter().map(|target| match is_over(target, before) {
                true => Vec::new(),
                false => self.files.naming(target, &known),
            });
            let naming: Vec<Vec<FileId>> = naming.collect();
            for (target, files) in some.iter().zip(naming) {
                if !is_over(target, self.parsed.len() + out.len()) {
                    out.extend(files);
                } else if !target.height.unsure {
                    unsearched.push(target.identity());
                }
            }
        }
        (out.into_iter().collect(), unsearched)
    }

    /// Functions near the loads that keep something where a load may read it: in the files that hold loads and in the
    /// modules these import.
    fn keepers(&mut self) -> Vec<Target> {
        let project = self.project;
        let holding: Vec<FileId> = self
            .anchors
            .iter()
            .filter(|(file, spans)| {
                !self.files.is_test(**file) && spans.iter().any(|(_, depth)| *depth == 0)
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
                    .filter(|home| !self.files.is_test(**home)),
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
                    let height = Height {
                        steps: HIGHEST.saturating_sub(MOST_KEEPERS),
                        unsure: true,
                    };
                    fresh.extend(target_of(unit, file, project, height));
                }
            }
        }
        fresh
    }

    /// How far the method `name` is above a load.
    fn lowest(&self, name: &Name) -> Height {
        let targets = self.wanted.get(name).into_iter().flatten();
        targets
            .into_iter()
            .map(|target| target.height)
            .min()
            .unwrap_or(Height {
                steps: HIGHEST,
                unsure: true,
            })
    }

    /// Methods whose name is so rare that it means the same everywhere: objects get where no import shows them. Of the others,
    /// those who make the objects.
    fn rare(&mut self) -> Vec<Target> {
        let methods = self.out.methods.keys();
        let (names, mut common): (Vec<Name>, Vec<Name>) = methods
            .filter(|name| !name.starts_with("__"))
            .cloned()
            .partition(|name| name.len() >= 6);
        let numbered = names.iter().enumerate();
        let numbers: FxHashMap<&[u8], usize> =
            numbered.map(|(n, name)| (name.as_bytes(), n)).collect();
        let project = self.project;
        let files: Vec<FileId> = project.ids().collect();
        let hits: Vec<(FileId, BTreeSet<usize>)> = files
            .into_par_iter()
            .filter(|file| !self.files.is_test(*file))
            .filter_map(|file| {
                let called = members(project.bytes(file));
                let hits = called.filter_map(|name| numbers.get(name).copied());
                let hits: BTreeSet<usize> = hits.collect();
                (!hits.is_empty()).then_some((file, hits))
            })
            .collect();
        let mut counts = vec![0_usize; names.len()];
        for n in hits.iter().flat_map(|(_, hits)| hits) {
            if let Some(count) = counts.get_mut(*n) {
                *count += 1;
            }
        }
        let is_rare = |n: &usize| counts.get(*n).is_some_and(|count| *count <= RARE);
        let others = names.iter().enumerate().filter(|(n, _)| !is_rare(n));
        common.extend(others.map(|(_, name)| name.clone()));
        let mut rare = Wanted::default();
        for (_, name) in names.iter().enumerate().filter(|(n, _)| is_rare(n)) {
            let anywhere = Target::anywhere(name, self.lowest(name));
            let height = anywhere.height;
            if self.known.insert(anywhere.identity(), height).is_none() {
                rare.insert(name.clone(), vec![anywhere]);
            }
        }
        let open: Vec<FileId> = hits
            .into_iter()
            .filter(|(_, hits)| hits.iter().any(is_rare))
            .map(|(file, _)| file)
            .collect();
        let mut fresh = self.read(open.clone());
        fresh.extend(self.ask(open, &rare));
        for (name, targets) in rare {
            self.wanted.entry(name).or_default().extend(targets);
        }
        let methods = common.iter().filter_map(|name| self.wanted.get(name));
        fresh.extend(methods.flatten().filter_map(Target::maker));
        fresh
    }
}

/// How far above the nearest load `mentions` are, in `file` and one of `classes`, when they mean something wanted.
fn nearest(
    files: &Files<'_>,
    file: FileId,
    info: &Parsed,
    wanted: &Wanted,
    mentions: &Mentions,
    classes: &[Name],
) -> Option<Height> {
    let means = |name: &Name, how: u8| {
        let targets = wanted.get(name).into_iter().flatten();
        let meant = targets.into_iter().filter_map(|target| {
            if !files.reaches(target, file) {
                return None;
            }
            let cost = sees(files.project, file, info, target, how, classes)?;
            Some(target.height.up(cost)).filter(|height| height.is_followed() || !height.unsure)
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
}

/// What callers of `unit` mention.
fn target_of(unit: &Unit, file: FileId, project: &Project, height: Height) -> Option<Target> {
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
        height,
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
    if how & (OTHER | MODULE | STRING) == 0 {
        return None;
    }
    let mut classes = target.classes.iter();
    let is_mentioned = classes.any(|class| info.mentioned.contains(class));
    if is_here {
        // Only one method of the file is called so.
        let cost = match info.shared.contains(&target.name) {
            true => OF_OBJECT,
            false => IMPORTED,
        };
        return is_mentioned.then_some(cost);
    }
    let mut classes = target.classes.iter();
    let of_object = classes.any(|class| info.imported.contains(class))
        || ((how & MODULE != 0 || is_mentioned) && info.homes.contains(&target.file));
    of_object.then_some(OF_OBJECT)
}

/// `helpers` of `shop/helpers.py`, `shop` of `shop/__init__.py`.
pub(super) fn stem(path: &str) -> Name {
    let path = path.strip_suffix("/__init__.py").unwrap_or(path);
    let path = path.strip_suffix(".py").unwrap_or(path);
    Name::new(path.rsplit('/').next().unwrap_or(path))
}
