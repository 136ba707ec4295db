//! Making and deleting one branch: the only two acts of depickle on a repository.
//!
//! Invariant: a branch is made only where none is, and deleted only under git's own lock on the ref, after it was seen
//! to point where the caller says. libgit2's own branch deletion drops the reflog before it compares; this does not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{ConfigLevel, Oid};

use super::store::{Ref, Store};
use super::{Repo, RepoError};
use crate::defect::dally;

/// How long git's lock on one ref may be held by somebody who lives: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(1);

impl Repo {
    /// Whether a branch `name` could be made now.
    ///
    /// # Errors
    /// [`RepoError::InvalidBranchName`], [`RepoError::BranchExists`], [`RepoError::BranchBlocked`].
    pub fn check_branch(&self, name: &str) -> Result<(), RepoError> {
        if !is_branch_name(name) {
            return Err(RepoError::InvalidBranchName {
                branch: name.to_owned(),
            });
        }
        let blocked = |by: &str| RepoError::BranchBlocked {
            branch: name.to_owned(),
            by: by.to_owned(),
            path: self.root.clone(),
        };
        for (end, _) in name.match_indices('/') {
            if self.find(&name[..end])?.is_some() {
                return Err(blocked(&name[..end]));
            }
        }
        if self.find(name)?.is_some() {
            return Err(RepoError::BranchExists {
                branch: name.to_owned(),
                path: self.root.clone(),
            });
        }
        let below = self.store.below(&full(name));
        let below = below.map_err(|said| self.failed("list the branches", &said))?;
        match below.first() {
            Some(by) => Err(blocked(by.strip_prefix("refs/heads/").unwrap_or(by))),
            None => Ok(()),
        }
    }

    /// Makes the branch `name` at the commit `oid` (hex), where there is none of that name.
    ///
    /// # Errors
    /// As [`Repo::check_branch`]; [`RepoError::Git`] when the commit does not exist.
    pub fn create_branch(&self, name: &str, oid: &str) -> Result<(), RepoError> {
        self.check_branch(name)?;
        dally("make");
        let action = "make the branch";
        let made = match (&self.store, self.store.header(oid)) {
            (_, None) => Err(self.failed(action, "there is no such commit")),
            (Store::Program(git), _) => git
                .update(&full(name), Some(oid), None)
                .map_err(|said| self.failed(action, &said)),
            (Store::Library(git), _) => Oid::from_str(oid)
                .and_then(|id| git.reference(&full(name), id, false, "branch: staged by depickle"))
                .map(|_| ())
                .map_err(|error| self.refused(action, &error)),
        };
        made.or_else(|error| {
            // Somebody may have made it between the check and the act.
            self.check_branch(name)?;
            Err(error)
        })
    }

    /// Names of all branches, without `refs/heads/`.
    ///
    /// # Errors
    /// [`RepoError::Git`].
    pub fn branches(&self) -> Result<Vec<String>, RepoError> {
        let listed = self.store.below("refs/heads");
        let listed = listed.map_err(|said| self.failed("list the branches", &said))?;
        let short = |name: String| name.strip_prefix("refs/heads/").map(str::to_owned);
        Ok(listed.into_iter().filter_map(short).collect())
    }

    /// The commit that the branch `name` points to, in hex; none when there is no such branch.
    ///
    /// # Errors
    /// [`RepoError::Git`] when the ref is damaged.
    pub fn branch_tip(&self, name: &str) -> Result<Option<String>, RepoError> {
        Ok(self.find(name)?.and_then(|found| found.id))
    }

    /// Deletes the branch `name` if it points to `expected` (hex), with its reflog and its section in the
    /// repository's configuration. A symbolic ref is never what was expected.
    ///
    /// # Errors
    /// [`RepoError::BranchMoved`] when it points elsewhere or is gone; [`RepoError::BranchCheckedOut`] when a work tree
    /// has it checked out or rebases or bisects it. The branch is then as it was.
    pub fn delete_branch(&self, name: &str, expected: &str) -> Result<(), RepoError> {
        self.expect(name, expected)?;
        dally("delete");
        if let Some(worktree) = self.user_of(name)? {
            return Err(RepoError::BranchCheckedOut {
                branch: name.to_owned(),
                worktree,
            });
        }
        self.unlocked("packed-refs.lock")?;
        let full = full(name);
        let git = match &self.store {
            Store::Library(git) => git,
            Store::Program(git) => {
                if let Err(said) = git.update(&full, None, Some(expected)) {
                    self.expect(name, expected)?;
                    return Err(self.failed("delete the branch", &said));
                }
                git.forget_config(name);
                return Ok(());
            }
        };
        let failed = |error: git2::Error| self.refused("delete the branch", &error);
        let mut transaction = git.transaction().map_err(failed)?;
        transaction.lock_ref(&full).map_err(failed)?;
        self.expect(name, expected)?;
        dally("deleting");
        forget_config(git, name);
        git.reflog_delete(&full).map_err(failed)?;
        transaction.remove(&full).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// Clears away what was left by a process that was killed while it made the branch `name` at `expected` (hex), or
    /// deleted it: git's lock on the ref, and a reflog of no ref. A lock of somebody who is at work goes away meanwhile,
    /// or says something else.
    ///
    /// # Errors
    /// [`RepoError::Io`], [`RepoError::Git`].
    pub fn recover_branch(&self, name: &str, expected: &str) -> Result<(), RepoError> {
        let lock = self.git_dir.join(format!("{}.lock", full(name)));
        let ours = |text: &[u8]| format!("{expected}\n").as_bytes().starts_with(text);
        let begun = Instant::now();
        loop {
            match std::fs::read(&lock) {
                Ok(text) if !ours(&text) => break,
                Ok(_) if begun.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 20),
                Ok(_) => {
                    std::fs::remove_file(&lock)
                        .map_err(|source| RepoError::Io { path: lock, source })?;
                    break;
                }
                // Not there, or not to be read: then git says why.
                Err(_) => break,
            }
        }
        if self.find(name)?.is_none() && self.git_dir.join("logs").join(full(name)).is_file() {
            let log = self.git_dir.join("logs").join(full(name));
            std::fs::remove_file(&log).map_err(|source| RepoError::Io { path: log, source })?;
        }
        Ok(())
    }

    /// Waits for git's lock `name`. Whose it is its text does not tell, so it is never taken away.
    fn unlocked(&self, name: &str) -> Result<(), RepoError> {
        let path = self.git_dir.join(name);
        let begun = Instant::now();
        while path.exists() {
            if begun.elapsed() > PATIENCE {
                return Err(RepoError::Locked { path });
            }
            std::thread::sleep(PATIENCE / 20);
        }
        Ok(())
    }

    fn expect(&self, name: &str, expected: &str) -> Result<(), RepoError> {
        let found = self.find(name)?;
        let found = found.and_then(|found| found.symbolic.or(found.id));
        match found.as_deref() == Some(expected) {
            true => Ok(()),
            false => Err(RepoError::BranchMoved {
                branch: name.to_owned(),
                expected: expected.to_owned(),
                found,
                path: self.root.clone(),
            }),
        }
    }

    fn find(&self, name: &str) -> Result<Option<Ref>, RepoError> {
        let found = self.store.find(&full(name));
        found.map_err(|said| self.failed("read the branch", &said))
    }

    /// The work tree that has the branch checked out, or in the middle of a rebase or bisect. Read from git's files and
    /// not through libgit2, which passes over work trees whose folder is gone, rebases and bisects.
    fn user_of(&self, name: &str) -> Result<Option<PathBuf>, RepoError> {
        let main = match self.git_dir.file_name().is_some_and(|name| name == ".git") {
            true => self.git_dir.parent().unwrap_or(&self.git_dir),
            false => &self.git_dir,
        };
        if uses(&self.git_dir, name)? {
            return Ok(Some(main.to_owned()));
        }
        if let Store::Program(git) = &self.store {
            // Not every format keeps HEAD in a file.
            let user = git.user_of(&full(name));
            let user = user.map_err(|said| self.failed("look for work trees", &said))?;
            if user.is_some() {
                return Ok(user);
            }
        }
        let linked = self.git_dir.join("worktrees");
        let entries = match std::fs::read_dir(&linked) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(RepoError::Io {
                    path: linked,
                    source,
                });
            }
        };
        for entry in entries {
            let admin = entry
                .map_err(|source| RepoError::Io {
                    path: linked.clone(),
                    source,
                })?
                .path();
            if uses(&admin, name)? {
                let link = line(&admin.join("gitdir"))?.map(PathBuf::from);
                let tree = link.as_deref().and_then(Path::parent).map(Path::to_owned);
                return Ok(Some(tree.unwrap_or(admin)));
            }
        }
        Ok(None)
    }
}

/// Whether git takes `name` for a branch, in any repository.
pub fn is_branch_name(name: &str) -> bool {
    matches!(git2::Branch::name_is_valid(name), Ok(true))
}

fn full(name: &str) -> String {
    format!("refs/heads/{name}")
}

/// Drops `[branch "name"]`. What cannot be dropped stays: a section of a branch that is gone does no harm.
fn forget_config(git: &git2::Repository, name: &str) {
    let local = git
        .config()
        .and_then(|config| config.open_level(ConfigLevel::Local));
    let Ok(mut local) = local else { return };
    let mut keys = Vec::new();
    if let Ok(entries) = local.entries(None) {
        let _ = entries.for_each(|entry| {
            let section = entry
                .name()
                .ok()
                .and_then(|key| Some((key, key.strip_prefix("branch.")?)));
            if let Some((key, rest)) = section
                && rest
                    .rsplit_once('.')
                    .is_some_and(|(branch, _)| branch == name)
            {
                keys.push(key.to_owned());
            }
        });
    }
    keys.dedup();
    for key in keys {
        let _ = local.remove_multivar(&key, ".*");
    }
}

fn uses(admin: &Path, name: &str) -> Result<bool, RepoError> {
    let full = full(name);
    let head = line(&admin.join("HEAD"))?;
    if head
        .as_deref()
        .and_then(|head| head.strip_prefix("ref:"))
        .is_some_and(|head| head.trim() == full)
    {
        return Ok(true);
    }
    let named = |file: &str, wanted: &str| Ok(line(&admin.join(file))?.as_deref() == Some(wanted));
    Ok(named("rebase-merge/head-name", &full)?
        || named("rebase-apply/head-name", &full)?
        || named("BISECT_START", name)?)
}

/// The first line of a file of git's, if the file is there.
fn line(path: &Path) -> Result<Option<String>, RepoError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.lines().next().map(|line| line.trim_end().to_owned()))
        }
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(RepoError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}
