//! Where clones are kept: one bare repository for each address, with a lock beside it.
//!
//! Invariant: a clone counts once its mark is there, the last thing that is written when it is made and the first that
//! goes when it is removed. One that holds a staged branch is never removed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::git::Git;
use super::{FetchError, Url, digest, fails};
use crate::repo::Repo;

/// The file that says that a clone is whole, and of what; its time is that of the last use.
const MARK: &str = "depickle";

/// The clones of one user.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// A clone.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The address it was made from.
    pub url: String,
    /// The bare repository.
    pub path: PathBuf,
    /// Bytes on the disk.
    pub size: u64,
    /// Since it was used.
    pub age: Duration,
    /// Branches that runs staged in it.
    pub branches: Vec<String>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all clones together.
    pub size: u64,
    /// Since the last use.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            size: 20 << 30,
            age: Duration::from_secs(30 * 86_400),
        }
    }
}

/// Why a clone was not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It holds a branch that a run staged, or cannot be read to see.
    Staged,
    /// It is in use.
    Busy,
}

impl Cache {
    /// The clones below `dir`, absolute. Nothing is made before the first clone.
    pub fn open(dir: PathBuf) -> Cache {
        Cache {
            dir: dir.join("clones"),
        }
    }

    /// The place of `url`'s clone, and the lock that keeps others off. Waits for whoever has it.
    pub(super) fn enter(&self, url: &Url) -> Result<(PathBuf, File), FetchError> {
        fs::create_dir_all(&self.dir).map_err(fails("make", &self.dir))?;
        let path = self
            .dir
            .join(format!("{}-{}.git", url.stem(), digest(url.text())));
        let guard = path.with_extension("lock");
        let lock = File::create(&guard).map_err(fails("write", &guard))?;
        match lock.lock() {
            Err(error) if error.kind() != std::io::ErrorKind::Unsupported => {
                Err(fails("lock", &guard)(error))
            }
            _ => Ok((path, lock)),
        }
    }

    /// Makes the clone at `path` if it is not whole, and marks it as used now.
    pub(super) fn ready(&self, url: &Url, path: &Path, git: &Git<'_>) -> Result<(), FetchError> {
        let mark = path.join(MARK);
        if !mark.is_file() {
            if path.exists() {
                fs::remove_dir_all(path).map_err(fails("remove", path))?;
            }
            fs::create_dir_all(path).map_err(fails("make", path))?;
            git.init(url.text())?;
            fs::write(&mark, url.text()).map_err(fails("write", &mark))?;
        }
        // We have the lock, so what git itself locked was left by one that was stopped.
        for left in [
            "shallow.lock",
            "config.lock",
            "packed-refs.lock",
            "HEAD.lock",
        ] {
            let _ = fs::remove_file(path.join(left));
        }
        for entry in fs::read_dir(path.join("refs/depickle/bases"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.path().extension().is_some_and(|end| end == "lock") {
                let _ = fs::remove_file(entry.path());
            }
        }
        let used = File::options()
            .append(true)
            .open(&mark)
            .map_err(fails("write", &mark))?;
        used.set_modified(SystemTime::now())
            .map_err(fails("write", &mark))
    }

    /// Every clone, the longest unused first.
    ///
    /// # Errors
    /// [`FetchError::Io`].
    pub fn entries(&self) -> Result<Vec<Entry>, FetchError> {
        let listed = match fs::read_dir(&self.dir) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fails("read", &self.dir)(error)),
        };
        let mut entries = Vec::new();
        for one in listed {
            let path = one.map_err(fails("read", &self.dir))?.path();
            if path.extension().is_none_or(|end| end != "git") {
                continue;
            }
            let mark = path.join(MARK);
            let used = fs::metadata(&mark).and_then(|data| data.modified()).ok();
            entries.push(Entry {
                // What was left half made is nobody's, and old.
                url: fs::read_to_string(&mark).unwrap_or_else(|_| "not complete".to_owned()),
                size: size(&path),
                age: used.map_or(Duration::MAX, |at| at.elapsed().unwrap_or_default()),
                branches: Repo::open(&path)
                    .and_then(|repo| repo.branches())
                    .unwrap_or_default(),
                path,
            });
        }
        entries.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| a.path.cmp(&b.path)));
        Ok(entries)
    }

    /// Removes what is over `limits`, the longest unused first; gives what was removed.
    ///
    /// # Errors
    /// [`FetchError::Io`].
    pub fn prune(&self, limits: Limits) -> Result<Vec<Entry>, FetchError> {
        let entries = self.entries()?;
        let mut size: u64 = entries.iter().map(|entry| entry.size).sum();
        let mut removed = Vec::new();
        for entry in entries {
            if (entry.age > limits.age || size > limits.size) && self.remove(&entry)?.is_none() {
                size -= entry.size;
                removed.push(entry);
            }
        }
        Ok(removed)
    }

    /// Removes `entry`, or says why not.
    ///
    /// # Errors
    /// [`FetchError::Io`].
    pub fn remove(&self, entry: &Entry) -> Result<Option<Kept>, FetchError> {
        let guard = entry.path.with_extension("lock");
        let lock = File::create(&guard).map_err(fails("write", &guard))?;
        if matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            return Ok(Some(Kept::Busy));
        }
        // Asked again under the lock: a run may have staged since.
        let mark = entry.path.join(MARK);
        let staged = Repo::open(&entry.path).and_then(|repo| repo.branches());
        if mark.is_file() && !staged.is_ok_and(|branches| branches.is_empty()) {
            return Ok(Some(Kept::Staged));
        }
        let _ = fs::remove_file(mark);
        fs::remove_dir_all(&entry.path).map_err(fails("remove", &entry.path))?;
        Ok(None)
    }
}

/// Bytes of the files below `path`.
fn size(path: &Path) -> u64 {
    let mut total = 0;
    let mut todo = vec![path.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(data) if data.is_dir() => todo.push(entry.path()),
                Ok(data) => total += data.len(),
                Err(_) => {}
            }
        }
    }
    total
}
