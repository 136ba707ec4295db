//! A change taken out of a later commit again, as `git revert` does, without a work tree or an index.
//!
//! Invariant: what others wrote stays as they wrote it; where that is not certain, nothing is taken out.

use std::path::Path;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, MergeOptions, Oid, Signature, Time, Tree};

use super::{Repo, RepoError};

/// What a later commit is without a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Without {
    /// What it is: nothing of the change is there.
    Same,
    /// Not known: others went on where the change was made, in these files.
    Tangled(Vec<String>),
    /// Another tree.
    Tree {
        /// Its id, in hex.
        id: String,
        /// Whether the change, made again, gives the commit's own tree: all of it was there.
        whole: bool,
    },
}

impl Repo {
    /// Whether the commit `id` (hex) is here.
    pub fn holds(&self, id: &str) -> bool {
        self.tree_of(id).is_ok()
    }

    /// Ids of the files that [`Repo::without`] reads and that are not here.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`], [`RepoError::Git`].
    pub fn lacking(&self, base: &str, new: &str, tip: &str) -> Result<Vec<String>, RepoError> {
        let action = "compare two commits";
        let failed = |error: git2::Error| self.refused(action, &error);
        let git = self.library(action)?;
        let tree = |commit: &str| tree(git, &self.tree_of(commit)?).map_err(failed);
        let (base, new, tip) = (tree(base)?, tree(new)?, tree(tip)?);
        let odb = git.odb().map_err(failed)?;
        let diff = git.diff_tree_to_tree(Some(&base), Some(&new), None);
        let diff = diff.map_err(failed)?;
        let paths = diff.deltas().filter_map(|delta| delta.new_file().path());
        let mut lacking: Vec<String> = paths
            .flat_map(|path: &Path| [&base, &new, &tip].map(|tree| tree.get_path(path)))
            .flatten()
            .filter(|entry| !odb.exists(entry.id()))
            .map(|entry| entry.id().to_string())
            .collect();
        lacking.sort();
        lacking.dedup();
        Ok(lacking)
    }

    /// The tree of `tip` without what was changed from `base` to `new`: the merge of `tip` and `base` as if both came
    /// from `new`. Files that were moved since are not followed.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`]; [`RepoError::Git`] when an object is not here.
    pub fn without(&self, base: &str, new: &str, tip: &str) -> Result<Without, RepoError> {
        let action = "revert a change";
        let failed = |error: git2::Error| self.refused(action, &error);
        let git = self.library(action)?;
        let tree = |commit: &str| tree(git, &self.tree_of(commit)?).map_err(failed);
        let (base, new, tip) = (tree(base)?, tree(new)?, tree(tip)?);
        let id = match merged(git, &new, &tip, &base).map_err(failed)? {
            Err(files) => return Ok(Without::Tangled(files)),
            Ok(id) if id == tip.id() => return Ok(Without::Same),
            Ok(id) => id,
        };
        let out = git.find_tree(id).map_err(failed)?;
        let again = merged(git, &base, &out, &new).map_err(failed)?;
        Ok(Without::Tree {
            id: id.to_string(),
            whole: again == Ok(tip.id()),
        })
    }

    /// Writes a commit of `tree` after `tip`, by who wrote the commit `of` and at the time of `tip`, so that it has the
    /// same id each time; gives that. `say` makes the message of the first line of `of`.
    ///
    /// # Errors
    /// [`RepoError::Git`].
    pub fn revert(
        &self,
        of: &str,
        tip: &str,
        tree: &str,
        say: impl Fn(&str) -> String,
    ) -> Result<String, RepoError> {
        let git = self.library("write the commit")?;
        let write = || -> Result<Oid, git2::Error> {
            let of = git.find_commit(Oid::from_str(of)?)?;
            let tip = git.find_commit(Oid::from_str(tip)?)?;
            let by = of.author();
            let name = String::from_utf8_lossy(by.name_bytes()).into_owned();
            let email = String::from_utf8_lossy(by.email_bytes()).into_owned();
            let by = Signature::new(&name, &email, &Time::new(tip.time().seconds(), 0))?;
            let subject = String::from_utf8_lossy(of.message_bytes()).into_owned();
            let message = say(subject.lines().next().unwrap_or_default());
            let tree = git.find_tree(Oid::from_str(tree)?)?;
            git.commit(None, &by, &by, &message, &tree, &[&tip])
        };
        let id = write().map_err(|error| self.refused("write the commit", &error))?;
        Ok(id.to_string())
    }
}

fn tree<'g>(git: &'g git2::Repository, id: &str) -> Result<Tree<'g>, git2::Error> {
    git.find_tree(Oid::from_str(id)?)
}

/// The tree that `ours` and `theirs` come to together; else the files in which they do not fit.
fn merged(
    git: &git2::Repository,
    from: &Tree<'_>,
    ours: &Tree<'_>,
    theirs: &Tree<'_>,
) -> Result<Result<Oid, Vec<String>>, git2::Error> {
    let mut options = MergeOptions::new();
    options.find_renames(false);
    let index = git.merge_trees(from, ours, theirs, Some(&options))?;
    if !index.has_conflicts() {
        // On top of `ours` and not from the index alone: files that are the same in all need not be here.
        let mut update = TreeUpdateBuilder::new();
        let diff = git.diff_tree_to_tree(Some(from), Some(theirs), None)?;
        for path in diff.deltas().filter_map(|delta| delta.new_file().path()) {
            let (id, mode) = match index.get_path(path, 0).map(|entry| (entry.id, entry.mode)) {
                Some((id, 0o100_644)) => (id, FileMode::Blob),
                Some((id, 0o100_755)) => (id, FileMode::BlobExecutable),
                // No change of ours makes, moves or deletes a file.
                _ => return Ok(Err(vec![path.display().to_string()])),
            };
            update.upsert(path, id, mode);
        }
        return Ok(Ok(update.create_updated(git, ours)?));
    }
    let mut files = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let entry = conflict.ancestor.or(conflict.our).or(conflict.their);
        files.extend(entry.map(|one| String::from_utf8_lossy(&one.path).into_owned()));
    }
    Ok(Err(files))
}
