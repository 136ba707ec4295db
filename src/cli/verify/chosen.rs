//! What of a run is verified: its branches, and the files that it wrote in place.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use super::super::recorded;
use crate::journal::{FileRecord, IN_PLACE, Journal, RefRecord, RefState, RunRecord};
use crate::repo::Repo;

/// What a run changed in one place.
pub(super) enum Made {
    /// A branch.
    Branch(Box<RefRecord>),
    /// Files of the folder that is called so.
    Files(String, Vec<FileRecord>),
}

impl Made {
    pub(super) fn target(&self) -> &str {
        match self {
            Made::Branch(made) => &made.target,
            Made::Files(target, _) => target,
        }
    }

    pub(super) fn branch(&self) -> &str {
        match self {
            Made::Branch(made) => branch(made),
            Made::Files(..) => "",
        }
    }

    pub(super) fn base(&self) -> &str {
        match self {
            Made::Branch(made) => &made.base,
            Made::Files(..) => "",
        }
    }
}

/// What is there of `run`, of the repository or folder at `root` alone if that is named.
fn there(run: &RunRecord, root: Option<&Path>, repo: Option<&Path>) -> Vec<Made> {
    let is_ours = |path: &str, root: Option<&Path>| {
        root.is_some_and(|root| Path::new(path).starts_with(root))
    };
    let any = root.is_none();
    let refs = run.refs.iter();
    let refs = refs.filter(|made| made.state == RefState::Created);
    let refs = refs.filter(|made| any || repo == Some(Path::new(&made.repo)));
    let mut all: Vec<Made> = refs.cloned().map(Box::new).map(Made::Branch).collect();
    let mut folders: BTreeMap<&str, Vec<FileRecord>> = BTreeMap::new();
    // `convert` writes files, too, and no code.
    let files = run
        .files
        .iter()
        .filter(|_| run.settings.get(IN_PLACE).is_some());
    for file in files.filter(|file| file.state == RefState::Created) {
        if any || is_ours(&file.path, root) {
            folders.entry(&file.target).or_default().push(file.clone());
        }
    }
    let folders = folders.into_iter();
    all.extend(folders.map(|(target, files)| Made::Files(target.to_owned(), files)));
    all
}

/// The run that is meant, and what of it is there.
pub(super) fn chosen(
    run: Option<&str>,
    path: Option<&Path>,
    journal: &Journal,
) -> anyhow::Result<(RunRecord, Vec<Made>)> {
    if let Some(id) = run {
        let Some(run) = recorded(journal, Some(id))? else {
            anyhow::bail!("no run {id} on record; see `depickle runs`");
        };
        let made = there(&run, None, None);
        return match made.is_empty() {
            true => anyhow::bail!(
                "run {id} has nothing to verify: no branch, and no file that `apply` changed; see `depickle runs {id}`"
            ),
            false => Ok((run, made)),
        };
    }
    let path = path.unwrap_or(Path::new("."));
    let root = path
        .canonicalize()
        .with_context(|| path.display().to_string())?;
    let repo = Repo::discover(path).ok();
    let repo = repo.as_ref().map(Repo::git_dir);
    // The newest first.
    let mut runs = journal.runs()?.into_iter().filter_map(|run| {
        let made = there(&run, Some(&root), repo);
        (!made.is_empty()).then_some((run, made))
    });
    runs.next().with_context(|| {
        format!(
            "{}: no run has staged a branch there, or applied its change; `depickle stage` makes one",
            path.display()
        )
    })
}

/// The name of the branch of `made`.
pub(super) fn branch(made: &RefRecord) -> &str {
    let name = made.reference.strip_prefix("refs/heads/");
    name.unwrap_or(&made.reference)
}
