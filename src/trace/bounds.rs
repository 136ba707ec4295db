//! Bounds that the analysis met, and the loads to which they may hide a way.
//!
//! Invariant: errs towards doubt. A load is complete only if everything that leads to it ran to its end, and if what
//! arrives does not depend on what a part that did not run may have written.

use rustc_hash::FxHashSet;

use super::machine::Frame;
use super::value::Def;
use crate::project::FileId;

/// What was not followed, and where.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// The bound on work was met.
    work: bool,
    /// Functions that were left before their end.
    left: FxHashSet<Def>,
    /// Modules of which that holds.
    modules: FxHashSet<FileId>,
    /// Functions that may be called in ways that were not seen.
    missed: FxHashSet<Def>,
    /// Loads, by number, that a value arrives at which is too wide to be kept apart.
    wide: FxHashSet<usize>,
    /// The analysis panicked.
    failed: bool,
    /// Something was not followed that may load by another name.
    overlooked: bool,
    /// Something was not followed that may lead to any load.
    lost: bool,
}

impl Bounds {
    /// The bound on work is met while `frames` run: none of them comes to its end.
    pub fn cut(&mut self, frames: &[Frame]) {
        self.work = true;
        self.leave(frames.iter().map(|frame| (frame.file, frame.def)));
    }

    /// The analysis panicked while `frames` ran, which began at `entry`: none of them comes to its end.
    pub fn fail(&mut self, frames: &[Frame], entry: (FileId, Option<Def>)) {
        self.failed = true;
        let frames = frames.iter().map(|frame| (frame.file, frame.def));
        self.leave(frames.chain([entry]));
    }

    fn leave(&mut self, running: impl Iterator<Item = (FileId, Option<Def>)>) {
        for (file, def) in running {
            match def {
                Some(def) => self.left.insert(def),
                None => self.modules.insert(file),
            };
        }
    }

    /// Whether the analysis panicked.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// `def` may be called with something else than was seen.
    pub fn miss(&mut self, def: Def) {
        self.missed.insert(def);
    }

    /// What arrives at the load numbered `site` is more than is kept apart.
    pub fn widen(&mut self, site: usize) {
        self.wide.insert(site);
    }

    /// Something is not followed that may load by another name; if it may be `code` of the project, it may lead to any
    /// load.
    pub fn lose(&mut self, code: bool) {
        self.overlooked = true;
        self.lost |= code;
    }

    /// Whether the bound on work was met.
    pub fn met_work(&self) -> bool {
        self.work
    }

    /// Whether any bound was met that may hide a way to a load.
    pub fn met(&self) -> bool {
        self.work
            || self.failed
            || self.overlooked
            || !self.missed.is_empty()
            || !self.wide.is_empty()
    }

    /// Whether `def` ran to its end, in every way that leads to it.
    pub fn ran(&self, def: Def) -> bool {
        !self.left.contains(&def) && !self.missed.contains(&def)
    }

    /// Whether the module level of `file` did.
    pub fn ran_module(&self, file: FileId) -> bool {
        !self.modules.contains(&file)
    }

    /// Whether nothing hides a way to the load numbered `site`, but for what leads there.
    pub fn spare(&self, site: usize) -> bool {
        !self.lost && !self.wide.contains(&site)
    }
}
