//! What leads to one load: the same way up as the search for all of them, from there.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::mentions::Parsed;
use super::{ANYWHERE, Height, Identity, Target, reaches, sees, stem, target_of};
use crate::project::{FileId, Project};
use crate::python::ast::name::Name;
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

    /// What leads to the load at `place`.
    pub fn above(&self, project: &Project, place: Place) -> Above {
        let mut out = Above::default();
        out.modules.insert(place.file);
        let mut heights: FxHashMap<Identity, Height> = FxHashMap::default();
        let mut open: Vec<Target> = Vec::new();
        let around = self.parsed.get(&place.file).into_iter();
        let around = around.flat_map(|info| &info.units);
        for unit in around.filter(|unit| unit.extent.contains(place.span)) {
            out.functions.insert(unit.def);
            open.extend(target_of(unit, place.file, project, Height::GROUND));
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
            out.cut |= self.dropped.contains(&identity);
            heights.insert(identity, target.height);
            if self.rare.contains(&target.name) && target.file != ANYWHERE {
                open.push(Target {
                    file: ANYWHERE,
                    stem: Name::new(""),
                    classes: Vec::new(),
                    ..target.clone()
                });
            }
            for file in self.mentioning.get(&target.name).into_iter().flatten() {
                self.callers(project, &target, *file, &mut out, &mut open);
            }
        }
        out
    }

    /// What in `file` mentions `target` and can mean it.
    fn callers(
        &self,
        project: &Project,
        target: &Target,
        file: FileId,
        out: &mut Above,
        open: &mut Vec<Target>,
    ) {
        let Some(info) = self.parsed.get(&file) else {
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
        for unit in &info.units {
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
