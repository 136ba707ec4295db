//! New files of data, and files of data that are replaced: each on its own, announced, and taken back like those of
//! [`super::apply()`].
//!
//! Invariant: nothing is written over but what the caller has read and names; a new file gets its name only whole, and only
//! if nobody has it. It can be read by those who can read the file that it was made from, and by nobody else.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::StageError;
use super::apply::{Obstacle, beside, fails, own, put_back, regular, replace};
use crate::journal::{Entry, FileRecord, Journal, digest, sync_folder};
use crate::repo::quoted;

/// One file of data to be written.
#[derive(Debug)]
pub struct Data<'a> {
    /// Where: absolute.
    pub path: &'a Path,
    /// The file that it was made from, whose owner and mode it gets.
    pub source: &'a Path,
    /// What it holds now, if it is to be replaced.
    pub before: Option<&'a [u8]>,
    /// What it will hold.
    pub after: &'a [u8],
}

/// Writes `data` for `run`. What fails leaves nothing behind, or is on record for `rollback`.
///
/// # Errors
/// [`StageError::File`] and [`StageError::Io`].
pub fn write(data: &Data, run: &str, target: &str, journal: &Journal) -> Result<(), StageError> {
    let done = match data.before {
        Some(before) => {
            let meta = regular(data.path, before).map_err(|found| found.at(data.path))?;
            replace(data.path, &meta, before, data.after, run, target, journal)
        }
        None => make(data, run, target, journal),
    };
    if done.is_err()
        && let Ok(record) = journal.run(run)
    {
        let ours = |made: &&FileRecord| Path::new(&made.path) == data.path;
        record.files.iter().filter(ours).for_each(|made| {
            put_back(journal, run, made);
        });
    }
    done
}

fn make(data: &Data, run: &str, target: &str, journal: &Journal) -> Result<(), StageError> {
    let path = data.path;
    let taken = || {
        let here = quoted(&path.display().to_string());
        let found = Obstacle {
            reason: "something of that name is there already".to_owned(),
            next: format!("move it away, or name another folder with -o: ls -l {here}"),
        };
        found.at(path)
    };
    if fs::symlink_metadata(path).is_ok() {
        return Err(taken());
    }
    let name = |path: &Path| match path.to_str() {
        Some(name) => Ok(name.to_owned()),
        None => Err(StageError::NotUtf8Path {
            root: path.display().to_string(),
        }),
    };
    let folder = path.parent().unwrap_or(path);
    let mut missing: Vec<PathBuf> = folder.ancestors().map(Path::to_owned).collect();
    missing.retain(|folder| fs::symlink_metadata(folder).is_err());
    missing.reverse();
    journal.append(
        run,
        Entry::MakeFile {
            target: target.to_owned(),
            path: name(path)?,
            new: digest(data.after),
            folders: missing
                .iter()
                .map(|folder| name(folder))
                .collect::<Result<_, _>>()?,
        },
    )?;
    for folder in &missing {
        fs::create_dir(folder).map_err(fails("make", folder))?;
    }
    let temporary = beside(path, run);
    let write = || -> io::Result<()> {
        let meta = fs::metadata(data.source)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        own(&file, &meta)?;
        file.set_permissions(meta.permissions())?;
        file.write_all(data.after)?;
        file.sync_all()?;
        // Unlike a rename, a second name is given only where there is none.
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                // Some file systems know no second names.
                match fs::symlink_metadata(path).is_ok() {
                    true => return Err(error),
                    false => fs::rename(&temporary, path)?,
                }
            }
            named => {
                fs::remove_file(&temporary)?;
                named?;
            }
        }
        sync_folder(folder)
    };
    match write() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken()),
        done => done.map_err(fails("write", path)),
    }?;
    Ok(journal.append(run, Entry::FileWritten { path: name(path)? })?)
}

/// Removes a file that a run made, if it is as it left it, and the folders it made for it, if they are empty.
pub(super) fn unmake(journal: &Journal, run: &str, made: &FileRecord) -> Result<bool, Obstacle> {
    let path = Path::new(&made.path);
    let here = quoted(&made.path);
    let again = |error: &dyn std::fmt::Display| Obstacle {
        reason: error.to_string(),
        next: format!("depickle rollback {run}"),
    };
    match fs::remove_file(beside(path, run)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(again(&error)),
        _ => {}
    }
    let there = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => true,
        Ok(_) => {
            return Err(Obstacle {
                reason: "it is no regular file any more".to_owned(),
                next: format!("ls -l {here}"),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(again(&error)),
    };
    if there {
        let now = fs::read(path).map_err(|error| again(&error))?;
        if digest(&now) != made.new {
            return Err(Obstacle {
                reason: "it was changed since".to_owned(),
                next: format!("if nothing in it is needed: rm {here}"),
            });
        }
        let path = made.path.clone();
        let announced = journal.append(run, Entry::RestoreFile { path });
        announced.map_err(|error| again(&error))?;
        fs::remove_file(&made.path).map_err(|error| again(&error))?;
        if let Some(folder) = Path::new(&made.path).parent() {
            sync_folder(folder).map_err(|error| again(&error))?;
        }
    }
    for folder in made.folders.iter().rev() {
        // Somebody else may keep something there by now.
        let _ = fs::remove_dir(folder);
    }
    Ok(there)
}
