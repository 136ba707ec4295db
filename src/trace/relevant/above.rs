//! What leads to one load: the same way up as the search for all of them, from there.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::mentions::{Parsed, Unit};
use super::{ANYWHERE, Height, Identity, Target, reaches, sees, stem, target_of};
use crate::project::{FileId, Project};
use crate::python::ast::AnyNodeRef;
use crate::python::ast::name::Name;
use crate::python::span;
use crate::trace::taint::Place;
use crate::trace::value::Def;

/// The files that were searched, as far as callers are found by them.
#[derive(Default)]
pub(in crate::trace) struct Ways {
    pub(super) parsed: BTreeMap<FileId, Parsed>,
    /// Those files by the names they mention.
    pub(super) mentioning: FxHashMap<Name, Vec<FileId>>,
    /// Names that mean the same everywhere.
    pub(super) rare: FxHashSet<Name>,
    /// Targets whose callers were not looked for.
    pub(super) dropped: FxHashSet<Identity>,
}

/// All that leads to a load.
#[derive(Debug, Default)]
pub(in crate::trace) struct Above {
    /// The functions around it, their callers, and so on.
    pub functions: FxHashSet<Def>,
    /// Files whose module level is among it.
    pub modules: FxHashSet<FileId>,
    /// Callers of some were not looked for.
    pub cut: bool,
}

impl Ways {
    /// Whether calls that surely lead to a load were too far up to be followed, or too many: ways may be missing.
    pub fn are_cut(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Ready to go up from any load.
    pub fn climb<'w>(&'w self, project: &'w Project) -> Climb<'w> {
        let mut units: FxHashMap<(&Name, FileId), Vec<&Unit>> = FxHashMap::default();
        for (file, info) in &self.parsed {
            for unit in &info.units {
                for name in unit.mentions.keys() {
                    units.entry((name, *file)).or_default().push(unit);
                }
            }
        }
        Climb {
            ways: self,
            project,
            units,
            known: FxHashMap::default(),
        }
    }
}

/// The way up from one load after another.
pub(in crate::trace) struct Climb<'w> {
    ways: &'w Ways,
    project: &'w Project,
    /// Functions by what they mention.
    units: FxHashMap<(&'w Name, FileId), Vec<&'w Unit>>,
    /// What leads to the innermost function around a load, or to the module level of a file.
    known: FxHashMap<(FileId, Option<Def>), Rc<Above>>,
}

impl<'w> Climb<'w> {
    /// What leads to the load at `place`.
    pub fn above(&mut self, place: Place) -> Rc<Above> {
        let around = self.around(place);
        let key = (place.file, around.last().map(|unit| unit.def));
        if let Some(known) = self.known.get(&key) {
            return Rc::clone(known);
        }
        let above = Rc::new(self.above_all(place.file, &around));
        self.known.insert(key, Rc::clone(&above));
        above
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

    /// What leads to any of the functions `around` in `file`.
    fn above_all(&self, file: FileId, around: &[&Unit]) -> Above {
        let mut out = Above::default();
        out.modules.insert(file);
        let mut heights: FxHashMap<Identity, Height> = FxHashMap::default();
        let mut open: Vec<Target> = Vec::new();
        for unit in around {
            out.functions.insert(unit.def);
            open.extend(target_of(unit, file, self.project, Height::GROUND));
        }
        while let Some(target) = open.pop() {
            let identity = target.identity();
            if !target.height.is_followed() {
                out.cut |= !target.height.unsure;
                continue;
            }
            if heights
                .get(&identity)
                .is_some_and(|before| *before <= target.height)
            {
                continue;
            }
            out.cut |= self.ways.dropped.contains(&identity);
            heights.insert(identity, target.height);
            if self.ways.rare.contains(&target.name) && target.file != ANYWHERE {
                open.push(Target {
                    file: ANYWHERE,
                    stem: Name::new(""),
                    classes: Vec::new(),
                    ..target.clone()
                });
            }
            let mentioning = self.ways.mentioning.get(&target.name);
            for file in mentioning.into_iter().flatten() {
                self.callers(&target, *file, &mut out, &mut open);
            }
        }
        out
    }

    /// What in `file` mentions `target` and can mean it.
    fn callers(&self, target: &Target, file: FileId, out: &mut Above, open: &mut Vec<Target>) {
        let project = self.project;
        let Some(info) = self.ways.parsed.get(&file) else {
            return;
        };
        if !reaches(project, target, file) {
            return;
        }
        if let Some(how) = info.module.get(&target.name)
            && let Some(cost) = sees(project, file, info, target, *how, &[])
        {
            out.modules.insert(file);
            let named = info.aliases.iter().filter(|(name, _)| *name == target.name);
            open.extend(named.map(|(_, local)| Target {
                name: local.clone(),
                file,
                stem: stem(project.path(file)),
                classes: Vec::new(),
                height: target.height.up(cost).up(super::IMPORTED),
            }));
        }
        let units = self.units.get(&(&target.name, file));
        for unit in units.into_iter().flatten() {
            let Some(how) = unit.mentions.get(&target.name) else {
                continue;
            };
            if let Some(cost) = sees(project, file, info, target, *how, &unit.classes) {
                out.functions.insert(unit.def);
                open.extend(target_of(unit, file, project, target.height.up(cost)));
            }
        }
    }
}
