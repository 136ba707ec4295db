//! A proven change into the files of a folder or work tree; and back.
//!
//! Invariant: what a file held is in the journal before the file is replaced, and it is replaced whole, by a rename.
//! Of one project all files can be written or none is begun. A link is neither followed nor broken, and what somebody
//! else wrote is never written over.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::data::unmake;
use super::{Outcome, StageError};
use crate::check::Changeset;
use crate::journal::{Entry, FileRecord, Journal, RefState, RunRecord, digest, sync_folder};
use crate::repo::quoted;

/// Why a file is left alone, and what to do about it.
pub(super) struct Obstacle {
    pub(super) reason: String,
    pub(super) next: String,
}

/// One file to be replaced: that nobody changed it is asked again just before.
struct Replaced<'a> {
    path: &'a Path,
    run: &'a str,
    before: &'a [u8],
    after: &'a [u8],
    modified: SystemTime,
}

/// Writes `changeset` below `root`, which its paths start from. Gives the number of files.
///
/// # Errors
/// [`StageError::File`] and [`StageError::Io`]; what was written until then is put back, as far as it can be.
pub fn apply(
    root: &Path,
    changeset: &Changeset,
    run: &str,
    target: &str,
    journal: &Journal,
) -> Result<usize, StageError> {
    let root = root.canonicalize().map_err(fails("find", root))?;
    let mut files = Vec::new();
    for file in changeset.files() {
        let path = root.join(&file.path);
        let meta = regular(&path, &file.before).map_err(|found| found.at(&path))?;
        files.push((path, meta, file));
    }
    let written = files.iter().try_for_each(|(path, meta, file)| {
        replace(path, meta, &file.before, &file.after, run, target, journal)
    });
    if written.is_err()
        && let Ok(record) = journal.run(run)
    {
        let made = record.files.iter().filter(|made| made.target == target);
        // What cannot be put back now stays on record, for `rollback`.
        made.for_each(|made| drop(put_back(journal, run, made)));
    }
    written.map(|()| files.len())
}

/// Replaces one file: what it held is kept and announced first.
pub(super) fn replace(
    path: &Path,
    meta: &Metadata,
    before: &[u8],
    after: &[u8],
    run: &str,
    target: &str,
    journal: &Journal,
) -> Result<(), StageError> {
    let Some(name) = path.to_str() else {
        return Err(StageError::NotUtf8Path {
            root: path.display().to_string(),
        });
    };
    let was = meta.modified().map_err(fails("read", path))?;
    let since = was.duration_since(UNIX_EPOCH).unwrap_or_default();
    journal.append(
        run,
        Entry::WriteFile {
            target: target.to_owned(),
            path: name.to_owned(),
            original: journal.keep(run, before)?,
            new: digest(after),
            seconds: since.as_secs(),
            nanoseconds: since.subsec_nanos(),
        },
    )?;
    // Python takes a compiled file for current by time and size alone: it must never run the old code for the new.
    let same_size = before.len() == after.len();
    let modified = was + Duration::from_secs(u64::from(same_size));
    let replaced = Replaced {
        path,
        run,
        before,
        after,
        modified,
    };
    replaced.write()?;
    let path = name.to_owned();
    Ok(journal.append(run, Entry::FileWritten { path })?)
}

/// Puts back what `run` replaced and removes what it made, each file on its own: gives what was done.
pub fn restore<'r>(journal: &Journal, run: &'r RunRecord) -> Vec<(&'r FileRecord, Outcome)> {
    // The last first: folders are empty then.
    let files = run.files.iter().rev();
    files
        .map(|made| (made, put_back(journal, &run.id, made)))
        .collect()
}

pub(super) fn put_back(journal: &Journal, run: &str, made: &FileRecord) -> Outcome {
    let path = made.path.clone();
    let outcome = match original(journal, run, made) {
        Ok(outcome) => outcome,
        Err(Obstacle { reason, next }) => Outcome::Refused { reason, next },
    };
    let (entry, recorded) = match &outcome {
        Outcome::Refused { reason, .. } => {
            let entry = Entry::RestoreRefused {
                path,
                reason: reason.clone(),
            };
            (entry, made.state == RefState::Refused(reason.clone()))
        }
        _ => (
            Entry::FileRestored { path },
            made.state == RefState::Deleted,
        ),
    };
    if !recorded {
        // What was done is done; the next rollback finds it so and records it then.
        let _ = journal.append(run, entry);
    }
    outcome
}

fn original(journal: &Journal, run: &str, made: &FileRecord) -> Result<Outcome, Obstacle> {
    let path = Path::new(&made.path);
    let again = |error: &dyn std::fmt::Display| Obstacle {
        reason: error.to_string(),
        next: format!("depickle rollback {run}"),
    };
    let Some(digest_before) = &made.original else {
        return Ok(match unmake(journal, run, made)? {
            true => Outcome::Deleted,
            false => Outcome::AlreadyGone,
        });
    };
    let (kept, bytes) = journal
        .kept(run, digest_before)
        .map_err(|error| again(&error))?;
    let kept = quoted(&kept.display().to_string());
    let here = quoted(&made.path);
    // A stop may have come before the rename.
    match fs::remove_file(beside(path, run)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(again(&error)),
        _ => {}
    }
    let now = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => fs::read(path).map_err(|error| again(&error))?,
        Ok(_) => {
            return Err(Obstacle {
                reason: "it is no regular file any more".to_owned(),
                next: format!("ls -l {here} {kept}"),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Obstacle {
                reason: "it is not there any more; it may have been moved".to_owned(),
                next: format!("cp {kept} {here}"),
            });
        }
        Err(error) => return Err(again(&error)),
    };
    if now == bytes {
        return Ok(Outcome::AlreadyGone);
    }
    if digest(&now) != made.new {
        return Err(Obstacle {
            reason: format!("it was changed since; if nothing in it is needed: cp {kept} {here}"),
            next: format!("diff {kept} {here}"),
        });
    }
    regular(path, &now)?;
    let announced = Entry::RestoreFile {
        path: made.path.clone(),
    };
    journal
        .append(run, announced)
        .map_err(|error| again(&error))?;
    let replaced = Replaced {
        path,
        run,
        before: &now,
        after: &bytes,
        modified: UNIX_EPOCH + Duration::new(made.seconds, made.nanoseconds),
    };
    replaced.write().map_err(|error| again(&error))?;
    Ok(Outcome::Deleted)
}

impl Replaced<'_> {
    fn write(&self) -> Result<(), StageError> {
        let temporary = beside(self.path, self.run);
        let done = self.through(&temporary);
        if done.is_err() {
            // It is ours, and rollback would remove it as well.
            let _ = fs::remove_file(&temporary);
        }
        done
    }

    fn through(&self, temporary: &Path) -> Result<(), StageError> {
        let meta = regular(self.path, self.before).map_err(|found| found.at(self.path))?;
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(temporary)?;
            own(&file, &meta)?;
            file.set_permissions(meta.permissions())?;
            super::attributes::keep(&File::open(self.path)?, &file)?;
            file.write_all(self.after)?;
            let mut times = FileTimes::new().set_modified(self.modified);
            if let Ok(accessed) = meta.accessed() {
                times = times.set_accessed(accessed);
            }
            file.set_times(times)?;
            file.sync_all()
        };
        write().map_err(fails("write", temporary))?;
        // Somebody may have saved the file meanwhile.
        regular(self.path, self.before).map_err(|found| found.at(self.path))?;
        fs::rename(temporary, self.path).map_err(fails("replace", self.path))?;
        let folder = self.path.parent().unwrap_or(self.path);
        sync_folder(folder).map_err(fails("write", folder))
    }
}

impl Obstacle {
    pub(super) fn at(self, path: &Path) -> StageError {
        StageError::File {
            path: path.to_owned(),
            reason: self.reason,
            next: self.next,
        }
    }
}

/// The metadata of `path` if it is a file that may be replaced, and holds `bytes`.
pub(super) fn regular(path: &Path, bytes: &[u8]) -> Result<Metadata, Obstacle> {
    let here = quoted(&path.display().to_string());
    let obstacle = |reason: &str, next: String| Obstacle {
        reason: reason.to_owned(),
        next,
    };
    let unreadable = |error: io::Error| obstacle(&error.to_string(), format!("ls -l {here}"));
    let folder = path.parent().unwrap_or(path);
    if folder.canonicalize().map_err(unreadable)? != folder {
        return Err(obstacle(
            "its folder is reached through a symbolic link",
            "name the folder itself".to_owned(),
        ));
    }
    let meta = fs::symlink_metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        return Err(obstacle(
            "it is a symbolic link, or no regular file",
            "name the file itself".to_owned(),
        ));
    }
    if names(&meta) > 1 {
        return Err(obstacle(
            "it has several names (hard links), and only one of them would change",
            format!("make it a file of its own: cp -p {here} {here}.own && mv {here}.own {here}"),
        ));
    }
    if meta.permissions().readonly() {
        let next = format!("if it may be changed: chmod u+w {here}");
        return Err(obstacle("it is read-only", next));
    }
    match fs::read(path).map_err(unreadable)? == bytes {
        true => Ok(meta),
        false => Err(obstacle(
            "it was changed since it was read",
            "run it again".to_owned(),
        )),
    }
}

/// Where the new bytes of `path` are written first: a name that tells whose it is, should it be left over.
pub(super) fn beside(path: &Path, run: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.depickle-{run}"))
}

#[cfg(unix)]
fn names(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(meta)
}

#[cfg(not(unix))]
fn names(_: &Metadata) -> u64 {
    1
}

/// Gives `file` to who owns the file that it replaces.
#[cfg(unix)]
pub(super) fn own(file: &File, meta: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let new = file.metadata()?;
    match (new.uid(), new.gid()) == (meta.uid(), meta.gid()) {
        true => Ok(()),
        false => fchown(file, Some(meta.uid()), Some(meta.gid())),
    }
}

#[cfg(not(unix))]
pub(super) fn own(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

pub(super) fn fails(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StageError {
    let path = path.to_owned();
    move |source| StageError::Io {
        action,
        path,
        source,
    }
}
