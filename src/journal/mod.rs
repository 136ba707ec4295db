//! The record of what depickle did to repositories, one file of JSON lines per run, so that it can be undone from
//! anywhere.
//!
//! Invariant: an act on a repository is announced here first, and the announcement is on the disk before the act
//! begins.
//! The state of a run is nothing but its entries, folded in order; entries are appended and never changed.
#![expect(
    clippy::disallowed_methods,
    reason = "keeps the record of runs on disk"
)]

mod entry;
#[cfg(debug_assertions)]
mod fault;
mod fold;
mod originals;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::repo::{FULL, is_full};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use entry::Entry;
pub use originals::digest;
pub use record::{
    BundleRecord, FileRecord, IN_PLACE, PushRecord, PushState, RefRecord, RefState, RepoRecord,
    RequestRecord, RevertRecord, RevertState, RunRecord, State, Target,
};

/// The journals of all runs of one user; or one file of a run that is done in parts.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: PathBuf,
    /// The file of every run, where it is not one of `dir`.
    file: Option<PathBuf>,
}

/// Guard of [`Journal::hold`].
#[derive(Debug)]
pub struct Held {
    file: File,
}

impl Held {
    /// The locked file once more: a program that is given it holds the run, too, until it has ended.
    ///
    /// # Errors
    /// Those of the system.
    pub fn shared(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// An entry as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When: RFC 3339, UTC.
    pub at: String,
    /// Id of the run.
    pub run: String,
    /// What is recorded.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened, and where. [`JournalError::hint`] says what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Neither `DEPICKLE_STATE_DIR`, `XDG_STATE_HOME` nor `HOME` says where journals are kept.
    #[error(
        "no directory for the journal: DEPICKLE_STATE_DIR, XDG_STATE_HOME and HOME are all unset"
    )]
    NoStateDir,
    /// Not what a run id looks like.
    #[error("{run:?} is not a run id")]
    BadRunId {
        /// As the user gave it.
        run: String,
    },
    /// There is no journal of this run.
    #[error("no run {run} on record")]
    UnknownRun {
        /// As the user gave it.
        run: String,
    },
    /// Another process works on this run.
    #[error("run {run} is being worked on by another depickle")]
    Busy {
        /// Id of the run.
        run: String,
    },
    /// A whole line that is not an entry.
    #[error("{}:{line}: not a journal entry: {detail}", path.display())]
    BadLine {
        /// The journal.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// The file system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl JournalError {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            JournalError::NoStateDir => "set DEPICKLE_STATE_DIR to a folder that stays".into(),
            JournalError::BadRunId { .. } | JournalError::UnknownRun { .. } => {
                "see `depickle runs`".into()
            }
            JournalError::Busy { run } => {
                format!("wait until it has ended; `depickle runs {run}` shows how far it is")
            }
            JournalError::BadLine { .. } => {
                "a newer depickle may have written it; else mend or remove the line by hand".into()
            }
            JournalError::Io { source, .. } if is_full(&source.to_string()) => FULL.into(),
            JournalError::Io { .. } => {
                "DEPICKLE_STATE_DIR names another folder for the journal".into()
            }
        })
    }
}

impl Journal {
    /// The journals below `dir`. Nothing is made before the first entry.
    ///
    /// # Errors
    /// [`JournalError::Io`] when a relative `dir` cannot be made absolute, or something that is no folder has its name.
    pub fn open(dir: PathBuf) -> Result<Journal, JournalError> {
        let dir = std::path::absolute(&dir).map_err(|source| fails("find", &dir)(source))?;
        if fs::metadata(&dir).is_ok_and(|data| !data.is_dir()) {
            return Err(fails("use", &dir)(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Journal { dir, file: None })
    }

    /// The part of a run that `file` is to hold.
    ///
    /// # Errors
    /// [`JournalError::Io`] when a relative path cannot be made absolute.
    pub fn at(file: &Path) -> Result<Journal, JournalError> {
        let file = std::path::absolute(file).map_err(fails("find", file))?;
        Ok(Journal {
            dir: file.parent().unwrap_or(Path::new("/")).to_owned(),
            file: Some(file),
        })
    }

    /// `$DEPICKLE_STATE_DIR`, else `$XDG_STATE_HOME/depickle`, else `$HOME/.local/state/depickle`.
    ///
    /// # Errors
    /// [`JournalError::NoStateDir`].
    pub fn default_dir() -> Result<PathBuf, JournalError> {
        dir_from(|name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        })
    }

    /// Appends `entry` to the journal of `run`. When this returns, the entry is on the disk.
    ///
    /// # Errors
    /// [`JournalError::BadRunId`], [`JournalError::Io`]; then the announced act must not be done.
    pub fn append(&self, run: &str, entry: Entry) -> Result<(), JournalError> {
        let path = self.path(run)?;
        let line = Line {
            at: stamp(OffsetDateTime::now_utc()),
            run: run.to_owned(),
            entry,
        };
        let text =
            serde_json::to_string(&line).map_err(|error| fails("write", &path)(error.into()))?;
        let runs = self.runs_dir();
        fs::create_dir_all(&runs).map_err(fails("make", &runs))?;
        #[cfg(debug_assertions)]
        let fault = fault::due();
        let write = || -> io::Result<bool> {
            #[cfg(debug_assertions)]
            fault::before(fault, &path, &text)?;
            let mut file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .open(&path)?;
            // Several processes, and several threads, may work on one run.
            match file.lock() {
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                _ => {}
            }
            let length = drop_torn_line(&mut file)?;
            let line = text + "\n";
            #[cfg(debug_assertions)]
            let line = fault::begun(&mut file, &line)?;
            file.write_all(line.as_bytes())?;
            file.sync_data()?;
            #[cfg(debug_assertions)]
            fault::after(fault);
            Ok(length == 0)
        };
        if write().map_err(fails("write", &path))? {
            for folder in [Some(runs.as_path()), Some(&self.dir), self.dir.parent()]
                .into_iter()
                .flatten()
            {
                sync_folder(folder).map_err(fails("write", folder))?;
            }
        }
        Ok(())
    }

    /// Keeps every other process off `run` as long as the guard lives; the system lets go when this process dies.
    ///
    /// # Errors
    /// [`JournalError::Busy`], [`JournalError::BadRunId`], [`JournalError::Io`].
    pub fn hold(&self, run: &str) -> Result<Held, JournalError> {
        let path = self.path(run)?.with_extension("lock");
        let runs = self.runs_dir();
        fs::create_dir_all(&runs).map_err(fails("make", &runs))?;
        let file = File::create(&path).map_err(fails("write", &path))?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => Err(JournalError::Busy {
                run: run.to_owned(),
            }),
            // Where the system knows no locks there is nobody to keep off.
            Err(fs::TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
                Err(fails("lock", &path)(error))
            }
            _ => Ok(Held { file }),
        }
    }

    /// Whether the run `id` is on record, or one that began in its second and sorts after it.
    pub fn is_overtaken(&self, id: &str) -> bool {
        let second = id.split('-').next().unwrap_or(id);
        let ids = self.ids().unwrap_or_default();
        let mut known = ids.iter().filter(|known| known.starts_with(second));
        known.any(|known| known.as_str() >= id)
    }

    /// Every run on record, newest first.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::BadLine`].
    pub fn runs(&self) -> Result<Vec<RunRecord>, JournalError> {
        let mut runs = Vec::new();
        for id in self.ids()? {
            runs.extend(self.read(&id)?);
        }
        Ok(runs)
    }

    /// The run `id`.
    ///
    /// # Errors
    /// [`JournalError::BadRunId`], [`JournalError::UnknownRun`], [`JournalError::Io`], [`JournalError::BadLine`].
    pub fn run(&self, id: &str) -> Result<RunRecord, JournalError> {
        self.read(id)?
            .ok_or_else(|| JournalError::UnknownRun { run: id.to_owned() })
    }

    /// The newest run that still has refs or files to take back, else the newest; none when there is none.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::BadLine`].
    pub fn last(&self) -> Result<Option<RunRecord>, JournalError> {
        let mut newest = None;
        for id in self.ids()? {
            let Some(run) = self.read(&id)? else { continue };
            if run.refs.iter().any(|made| !made.is_gone())
                || run.states().any(|state| *state != RefState::Deleted)
            {
                return Ok(Some(run));
            }
            newest = newest.or(Some(run));
        }
        Ok(newest)
    }

    fn runs_dir(&self) -> PathBuf {
        match self.file {
            Some(_) => self.dir.clone(),
            None => self.dir.join("runs"),
        }
    }

    /// A run id comes from the command line: it must not lead out of the folder.
    fn path(&self, run: &str) -> Result<PathBuf, JournalError> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        match !run.is_empty() && run.bytes().all(valid) {
            true => Ok(self
                .file
                .clone()
                .unwrap_or_else(|| self.runs_dir().join(format!("{run}.jsonl")))),
            false => Err(JournalError::BadRunId {
                run: run.to_owned(),
            }),
        }
    }

    /// Ids of all runs, newest first.
    fn ids(&self) -> Result<Vec<String>, JournalError> {
        let dir = self.runs_dir();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fails("read", &dir)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(fails("read", &dir))?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
            ids.extend(id.filter(|id| self.path(id).is_ok()).map(str::to_owned));
        }
        ids.sort_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    fn read(&self, run: &str) -> Result<Option<RunRecord>, JournalError> {
        Ok(RunRecord::of(run, self.lines(run)?))
    }

    /// The entries of `run`, in their order; none when there is no file. What a stop left of a line is none.
    ///
    /// # Errors
    /// [`JournalError::BadRunId`], [`JournalError::Io`], [`JournalError::BadLine`].
    pub fn lines(&self, run: &str) -> Result<Vec<Line>, JournalError> {
        let path = self.path(run)?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fails("read", &path)(error)),
        };
        let mut lines = Vec::new();
        // Only what a line end completes was ever written: no act followed a torn line.
        for (n, bytes) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let Some(whole) = bytes.strip_suffix(b"\n") else {
                break;
            };
            let line = serde_json::from_slice(whole).map_err(|error| JournalError::BadLine {
                path: path.clone(),
                line: n + 1,
                detail: error.to_string(),
            })?;
            lines.push(line);
        }
        Ok(lines)
    }

    /// Makes `lines` all that is on record of `run`, at once or not at all.
    ///
    /// # Errors
    /// [`JournalError::BadRunId`], [`JournalError::Io`].
    pub fn put(&self, run: &str, lines: &[Line]) -> Result<(), JournalError> {
        let path = self.path(run)?;
        let runs = self.runs_dir();
        let write = || -> io::Result<()> {
            fs::create_dir_all(&runs)?;
            let mut file = tempfile::NamedTempFile::new_in(&runs)?;
            let mut text = Vec::new();
            for line in lines {
                serde_json::to_writer(&mut text, line)?;
                text.push(b'\n');
            }
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            sync_folder(&runs)
        };
        write().map_err(fails("write", &path))
    }
}

/// `time` to the second, as entries have it.
pub fn stamp(time: OffsetDateTime) -> String {
    let time = time.replace_nanosecond(0);
    time.ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

fn dir_from(get: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, JournalError> {
    // The XDG specification says to ignore relative paths in its variables.
    let xdg = || {
        get("XDG_STATE_HOME")
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join("depickle"))
    };
    let home = || get("HOME").map(|dir| dir.join(".local/state/depickle"));
    get("DEPICKLE_STATE_DIR")
        .or_else(xdg)
        .or_else(home)
        .ok_or(JournalError::NoStateDir)
}

/// Cuts off what a crash left of a line, and gives the length that remains. That line was never acknowledged.
fn drop_torn_line(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(length);
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at as u64 + 1);
    file.set_len(whole)?;
    Ok(whole)
}

/// A new file survives a crash only when its folder is written, too.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}

fn fails(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_dir_is_the_first_that_is_set() {
        let env = |pairs: &'static [(&str, &str)]| {
            dir_from(move |name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| PathBuf::from(value))
            })
        };
        let all = env(&[
            ("DEPICKLE_STATE_DIR", "/d"),
            ("XDG_STATE_HOME", "/x"),
            ("HOME", "/h"),
        ]);
        assert_eq!(all.unwrap(), Path::new("/d"));
        assert_eq!(
            env(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]).unwrap(),
            Path::new("/x/depickle")
        );
        assert_eq!(
            env(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")]).unwrap(),
            Path::new("/h/.local/state/depickle")
        );
        assert!(matches!(env(&[]), Err(JournalError::NoStateDir)));
    }
}
