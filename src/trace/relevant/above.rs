//! What leads to one load: the same way up as the search for all of them, from there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use memchr::memmem::Finder;
use rustc_hash::{FxHashMap, FxHashSet};

use super::mentions::{Parsed, Unit};
use super::{ANYWHERE, Files, Height, Identity, Target, sees, stem, target_of};
use crate::project::{FileId, Project};
use crate::python::ast::AnyNodeRef;
use crate::python::ast::name::Name;
use crate::python::span;
use crate::text::words::whole;
use crate::trace::bounds::Bounds;
use crate::trace::imports::Word;
use crate::trace::taint::Place;
use crate::trace::value::Def;

/// The files that were searched, as far as callers are found by them.
pub(in crate::trace) struct Ways<'p> {
    pub(super) files: Files<'p>,
    pub(super) parsed: BTreeMap<FileId, Parsed>,
    /// Those files by the names they mention.
    pub(super) mentioning: FxHashMap<Word, Vec<FileId>>,
    /// Names that mean the same everywhere.
    pub(super) rare: FxHashSet<Name>,
    /// Targets whose callers were not looked for.
    pub(super) dropped: FxHashSet<Identity>,
    /// Files of which it is not known whom they call: depickle failed on them.
    pub(super) unread: Vec<FileId>,
}

impl Ways<'_> {
    /// Whether calls that surely lead to a load were too far up to be followed, or too many: ways may be missing.
    pub fn are_cut(&self) -> bool {
        !self.dropped.is_empty() || !self.unread.is_empty()
    }

    /// Ready to go up from any load, looking for what met `bounds`.
    pub fn climb<'w>(&'w self, bounds: &'w Bounds) -> Climb<'w> {
        Climb {
            ways: self,
            project: self.files.project,
            bounds,
            units: FxHashMap::default(),
            ids: FxHashMap::default(),
            targets: Vec::new(),
            above: FxHashMap::default(),
            known: FxHashMap::default(),
        }
    }
}

/// What is directly above a target.
#[derive(Debug)]
struct Above {
    /// All of it is known, and ran to its end.
    whole: bool,
    /// Targets by their number, and how much higher they are.
    up: Vec<(usize, Height)>,
}

/// The functions of a file by what they mention.
type ByMention<'w> = FxHashMap<&'w Name, Vec<&'w Unit>>;

/// The way up from one load after another; what is directly above a target is looked for once.
pub(in crate::trace) struct Climb<'w> {
    ways: &'w Ways<'w>,
    project: &'w Project,
    bounds: &'w Bounds,
    units: FxHashMap<FileId, Rc<ByMention<'w>>>,
    /// Numbers of targets.
    ids: FxHashMap<Identity, usize>,
    targets: Vec<Target>,
    above: FxHashMap<usize, Rc<Above>>,
    /// What is known of the innermost function around a load, or of the module level of a file.
    known: FxHashMap<(FileId, Option<Def>), bool>,
}

impl<'w> Climb<'w> {
    /// Whether all that leads to the load at `place` is known, and ran to its end.
    pub fn is_whole(&mut self, place: Place) -> bool {
        let around = self.around(place);
        let key = (place.file, around.last().map(|unit| unit.def));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let whole = self.bounds.ran_module(place.file)
            && !self.ways.unread.contains(&place.file)
            && around.iter().all(|unit| self.bounds.ran(unit.def))
            && self.is_whole_above(place.file, &around);
        self.known.insert(key, whole);
        whole
    }

    /// The functions around `place`, outermost first.
    fn around(&self, place: Place) -> Vec<&'w Unit> {
        let units = self.ways.parsed.get(&place.file).map(|info| &info.units);
        let units = units.map_or(&[][..], Vec::as_slice);
        let nodes = self.project.source(place.file).ancestors(place.span);
        let unit = |node: AnyNodeRef<'_>| match node {
            AnyNodeRef::StmtFunctionDef(node) => {
                let start = span(node).start;
                let at = units.binary_search_by_key(&start, |unit| unit.def.start);
                units.get(at.ok()?)
            }
            _ => None,
        };
        nodes.into_iter().filter_map(unit).collect()
    }

    /// Whether that holds for what is above any of the functions `around` in `file`.
    fn is_whole_above(&mut self, file: FileId, around: &[&Unit]) -> bool {
        let targets = around
            .iter()
            .filter_map(|unit| target_of(unit, file, self.project, Height::GROUND));
        let targets: Vec<Target> = targets.collect();
        let ids = targets.into_iter().map(|target| self.id(target));
        // The lowest first, so that each is come to from below once: by sure steps alone, which lead further, and by others.
        let mut open: BinaryHeap<Reverse<(Height, usize)>> =
            ids.map(|id| Reverse((Height::GROUND, id))).collect();
        let mut passed: FxHashSet<(usize, bool)> = FxHashSet::default();
        while let Some(Reverse((height, id))) = open.pop() {
            if !height.is_followed() {
                if !height.unsure {
                    return false;
                }
                continue;
            }
            if passed.contains(&(id, false)) || !passed.insert((id, height.unsure)) {
                continue;
            }
            let above = self.above(id);
            if !above.whole {
                return false;
            }
            let up = above.up.iter();
            open.extend(up.map(|(id, step)| Reverse((height.and(*step), *id))));
        }
        true
    }

    /// The number of `target`.
    fn id(&mut self, target: Target) -> usize {
        let next = self.targets.len();
        let id = *self.ids.entry(target.identity()).or_insert(next);
        if id == next {
            self.targets.push(target);
        }
        id
    }

    /// What is directly above the target numbered `id`.
    fn above(&mut self, id: usize) -> Rc<Above> {
        if let Some(known) = self.above.get(&id) {
            return Rc::clone(known);
        }
        let mut whole = true;
        let mut higher: Vec<Target> = Vec::new();
        if let Some(target) = self.targets.get(id).cloned() {
            whole = !self.ways.dropped.contains(&target.identity())
                && !self.may_be_called(&target.name);
            let ways = self.ways;
            if target.file != ANYWHERE {
                match ways.rare.contains(&target.name) {
                    true => higher.push(Target::anywhere(&target.name, Height::GROUND)),
                    false => higher.extend(target.maker()),
                }
            }
            let mentioning = ways.mentioning.get(&Word::of(target.name.as_bytes()));
            for file in mentioning.into_iter().flatten() {
                whole &= self.callers(&target, *file, &mut higher);
            }
        }
        let mut up: Vec<(usize, Height)> = Vec::new();
        for target in higher {
            let step = target.height;
            up.push((self.id(target), step));
        }
        up.sort_unstable();
        up.dedup();
        let above = Rc::new(Above { whole, up });
        self.above.insert(id, Rc::clone(&above));
        above
    }

    /// Whether a file that is not known says `name`.
    fn may_be_called(&self, name: &Name) -> bool {
        let mut unread = self.ways.unread.iter();
        let name = Finder::new(name.as_bytes());
        unread.any(|file| whole(self.project.bytes(*file), &name).next().is_some())
    }

    /// Adds to `higher` what in `file` mentions `target` and can mean it; whether all of it ran to its end.
    fn callers(&mut self, target: &Target, file: FileId, higher: &mut Vec<Target>) -> bool {
        let project = self.project;
        let Some(info) = self.ways.parsed.get(&file) else {
            return true;
        };
        if !self.ways.files.reaches(target, file) {
            return true;
        }
        let mut whole = true;
        let up = |cost| Height::GROUND.up(cost);
        if let Some(how) = info.module.get(&target.name)
            && let Some(cost) = sees(project, file, info, target, *how, &[])
        {
            whole &= self.bounds.ran_module(file);
            let named = info.aliases.iter().filter(|(name, _)| *name == target.name);
            higher.extend(named.map(|(_, local)| Target {
                name: local.clone(),
                file,
                stem: stem(project.path(file)),
                classes: Vec::new(),
                height: up(cost).up(super::IMPORTED),
            }));
        }
        let by_mention = self.by_mention(file, info);
        for unit in by_mention.get(&target.name).into_iter().flatten() {
            let Some(how) = unit.mentions.get(&target.name) else {
                continue;
            };
            if let Some(cost) = sees(project, file, info, target, *how, &unit.classes) {
                whole &= self.bounds.ran(unit.def);
                higher.extend(target_of(unit, file, project, up(cost)));
            }
        }
        whole
    }

    /// The functions of `file` by what they mention.
    fn by_mention(&mut self, file: FileId, info: &'w Parsed) -> Rc<ByMention<'w>> {
        let known = self.units.entry(file).or_insert_with(|| {
            let mut units = ByMention::default();
            for unit in &info.units {
                for name in unit.mentions.keys() {
                    units.entry(name).or_default().push(unit);
                }
            }
            Rc::new(units)
        });
        Rc::clone(known)
    }
}
