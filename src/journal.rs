//! The record of what was done: append-only JSON lines, written and synced before the act they announce.
//!
//! Invariant: the state of a run is a fold over its lines and nothing else, so a crash at any point loses nothing:
//! what was announced can be found and undone.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What can go wrong with the record.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No such run.
    #[error("{run:?}: no run with that id is on record; `depickle runs` lists them")]
    UnknownRun {
        /// What was asked for.
        run: String,
    },
    /// No place to keep the record.
    #[error("there is no home folder to keep the record of runs in; set DEPICKLE_STATE_DIR")]
    NoHome,
    /// A line that is not one of ours.
    #[error("{}:{line}: the record is damaged: {why}; move the file away to go on without that run", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// The parser's message.
        why: String,
    },
    /// Reading or writing failed.
    #[error("{}: {source}; the record of runs must be writable (DEPICKLE_STATE_DIR names another place)", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
}

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A run begins.
    RunStarted {
        /// Version of this program.
        tool_version: String,
        /// The command line.
        command: Vec<String>,
    },
    /// A ref is about to be made.
    CreateRef {
        /// Git folder of the repository.
        repo: String,
        /// The path that was asked for.
        root: String,
        /// Full name of the ref.
        reference: String,
        /// The commit it will point to.
        new: String,
        /// The commit it is based on.
        base: String,
    },
    /// It was made.
    RefCreated {
        /// Git folder of the repository.
        repo: String,
        /// Full name of the ref.
        reference: String,
    },
    /// A repository failed.
    StageFailed {
        /// The path that was asked for.
        root: String,
        /// What happened.
        error: String,
    },
    /// A ref is about to be deleted.
    DeleteRef {
        /// Git folder of the repository.
        repo: String,
        /// Full name of the ref.
        reference: String,
        /// Where it points.
        expected: String,
    },
    /// It is gone.
    RefDeleted {
        /// Git folder of the repository.
        repo: String,
        /// Full name of the ref.
        reference: String,
    },
    /// A ref was left as it is.
    RollbackRefused {
        /// Git folder of the repository.
        repo: String,
        /// Full name of the ref.
        reference: String,
        /// Why.
        reason: String,
    },
    /// The run came to its end.
    RunFinished {},
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: String,
    #[serde(flatten)]
    entry: Entry,
}

/// What became of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefState {
    /// Announced; the run stopped before it said that the ref was made.
    Announced,
    /// Made.
    Created,
    /// Its deletion was announced; the rollback stopped before it said that it was done.
    DeleteAnnounced,
    /// Gone.
    Deleted,
    /// A rollback left it as it is.
    Refused(String),
}

impl RefState {
    /// The word used in reports.
    pub fn word(&self) -> &'static str {
        match self {
            RefState::Announced => "announced",
            RefState::Created => "staged",
            RefState::DeleteAnnounced => "being rolled back",
            RefState::Deleted => "rolled-back",
            RefState::Refused(_) => "not rolled back",
        }
    }
}

/// One ref of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefRecord {
    /// Git folder of the repository.
    pub repo: String,
    /// The path that was asked for.
    pub root: String,
    /// Full name of the ref.
    pub reference: String,
    /// The commit the run left it at.
    pub new: String,
    /// The commit it is based on.
    pub base: String,
    /// What became of it.
    pub state: RefState,
}

/// One run, folded from its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunRecord {
    /// Its id.
    pub id: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// Version of the program that made it.
    pub tool_version: String,
    /// Refs in the order in which they were announced.
    pub refs: Vec<RefRecord>,
    /// Repositories that failed, and why.
    pub failures: Vec<(String, String)>,
}

impl RunRecord {
    fn apply(&mut self, line: Line) {
        let state = |refs: &mut Vec<RefRecord>, repo: &str, reference: &str, state: RefState| {
            let mut newest = refs.iter_mut().rev();
            if let Some(r) = newest.find(|r| r.repo == repo && r.reference == reference) {
                r.state = state;
            }
        };
        match line.entry {
            Entry::RunStarted { tool_version, .. } => {
                if self.started.is_empty() {
                    self.started = line.at;
                }
                self.tool_version = tool_version;
            }
            Entry::CreateRef {
                repo,
                root,
                reference,
                new,
                base,
            } => {
                // Staged again after a rollback under the same id: the same ref, live again.
                self.refs.retain(|r| (&r.repo, &r.reference) != (&repo, &reference));
                self.refs.push(RefRecord {
                    repo,
                    root,
                    reference,
                    new,
                    base,
                    state: RefState::Announced,
                });
            }
            Entry::RefCreated { repo, reference } => {
                state(&mut self.refs, &repo, &reference, RefState::Created);
            }
            Entry::DeleteRef { repo, reference, .. } => {
                state(&mut self.refs, &repo, &reference, RefState::DeleteAnnounced);
            }
            Entry::RefDeleted { repo, reference } => {
                state(&mut self.refs, &repo, &reference, RefState::Deleted);
            }
            Entry::RollbackRefused {
                repo,
                reference,
                reason,
            } => state(&mut self.refs, &repo, &reference, RefState::Refused(reason)),
            Entry::StageFailed { root, error } => self.failures.push((root, error)),
            Entry::RunFinished {} => {}
        }
    }

    /// Whether a ref of it may still be there.
    pub fn is_live(&self) -> bool {
        self.refs.iter().any(|r| r.state != RefState::Deleted)
    }
}

/// The record of all runs: one file each in one folder.
#[derive(Debug)]
pub struct Journal {
    runs: PathBuf,
    /// Lines of one process never mix.
    writing: Mutex<()>,
}

impl Journal {
    /// The record in `dir`, made when something is written.
    pub fn open(dir: &Path) -> Journal {
        Journal {
            runs: dir.join("runs"),
            writing: Mutex::new(()),
        }
    }

    /// `$DEPICKLE_STATE_DIR`, else `$XDG_STATE_HOME/depickle`, else `~/.local/state/depickle`.
    ///
    /// # Errors
    /// [`JournalError::NoHome`].
    pub fn default_dir() -> Result<PathBuf, JournalError> {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        var("DEPICKLE_STATE_DIR")
            .or_else(|| var("XDG_STATE_HOME").map(|dir| dir.join("depickle")))
            .or_else(|| std::env::home_dir().map(|dir| dir.join(".local/state/depickle")))
            .ok_or(JournalError::NoHome)
    }

    /// Appends `entry` to the record of `run`, and returns when it is on disk.
    ///
    /// # Errors
    /// [`JournalError::Io`]: then the act must not happen.
    pub fn append(&self, run: &str, entry: Entry) -> Result<(), JournalError> {
        let path = self.path(run)?;
        let io = |source| JournalError::Io {
            path: path.clone(),
            source,
        };
        let at = OffsetDateTime::now_utc().replace_nanosecond(0);
        let at = at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
        let mut bytes = serde_json::to_vec(&Line { at, entry })
            .map_err(|error| io(std::io::Error::other(error)))?;
        bytes.push(b'\n');
        let _alone = self.writing.lock();
        fs::create_dir_all(&self.runs).map_err(io)?;
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(&path).map_err(io)?;
        if torn(&mut file).map_err(io)? {
            bytes.insert(0, b'\n');
        }
        file.write_all(&bytes).map_err(io)?;
        file.sync_data().map_err(io)?;
        if is_new {
            // The name of a new file is on disk only when its folder is.
            File::open(&self.runs).and_then(|dir| dir.sync_all()).map_err(io)?;
        }
        Ok(())
    }

    fn path(&self, run: &str) -> Result<PathBuf, JournalError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        match !run.is_empty() && run.chars().all(plain) {
            true => Ok(self.runs.join(format!("{run}.jsonl"))),
            false => Err(JournalError::UnknownRun {
                run: run.to_owned(),
            }),
        }
    }

    /// The run called `id`.
    ///
    /// # Errors
    /// [`JournalError::UnknownRun`], [`JournalError::Damaged`].
    pub fn run(&self, id: &str) -> Result<RunRecord, JournalError> {
        let path = self.path(id)?;
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(JournalError::UnknownRun { run: id.to_owned() });
            }
            Err(source) => return Err(JournalError::Io { path, source }),
        };
        let mut run = RunRecord {
            id: id.to_owned(),
            ..RunRecord::default()
        };
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        for (n, line) in lines.iter().enumerate() {
            match serde_json::from_slice(line) {
                Ok(line) => run.apply(line),
                // A line that a crash tore: the act that it would have announced did not happen.
                Err(error) if error.is_eof() => {}
                Err(error) => {
                    return Err(JournalError::Damaged {
                        path,
                        line: n + 1,
                        why: error.to_string(),
                    });
                }
            }
        }
        Ok(run)
    }

    /// All runs, the newest first.
    ///
    /// # Errors
    /// As [`Journal::run`].
    pub fn runs(&self) -> Result<Vec<RunRecord>, JournalError> {
        let entries = match fs::read_dir(&self.runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(JournalError::Io {
                    path: self.runs.clone(),
                    source,
                });
            }
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut ids: Vec<String> = names
            .filter_map(|name| name.strip_suffix(".jsonl").map(str::to_owned))
            .collect();
        ids.sort();
        ids.reverse();
        ids.iter().map(|id| self.run(id)).collect()
    }

    /// The newest run that staged something which is not taken back; else the newest.
    ///
    /// # Errors
    /// As [`Journal::run`].
    pub fn last(&self) -> Result<Option<RunRecord>, JournalError> {
        let mut runs = self.runs()?;
        match runs.iter().position(RunRecord::is_live) {
            Some(live) => Ok(Some(runs.swap_remove(live))),
            None => Ok(runs.into_iter().next()),
        }
    }
}

/// Whether the last line of `file` was torn by a crash.
fn torn(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
