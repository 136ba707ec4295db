//! What a run wrote into the files of a folder, as two copies of it: as it is, and as it was.
//!
//! Invariant: the folder itself is only read.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::hinted;
use crate::journal::{FileRecord, Journal, digest};

/// Bytes that are copied at most.
const MOST: u64 = 2 << 30;

/// Folders that no application needs a copy of.
const LEFT: [&str; 3] = [".git", "__pycache__", "node_modules"];

/// Both sides.
pub(super) struct Applied {
    pub before: PathBuf,
    pub after: PathBuf,
    /// Links and special files that are in neither.
    pub left_out: usize,
    /// Whether all files are as the run left them.
    pub untouched: bool,
}

/// Copies `folder` twice below `scratch`; in the first, what the run called `run` wrote is put back.
pub(super) fn copies(
    folder: &Path,
    files: &[FileRecord],
    (journal, run): (&Journal, &str),
    scratch: &Path,
) -> Result<Applied, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let folder = folder.canonicalize().map_err(failed)?;
    let mut applied = Applied {
        before: scratch.join("before"),
        after: scratch.join("after"),
        left_out: 0,
        untouched: true,
    };
    for side in [&applied.before, &applied.after] {
        let mut left = Left {
            bytes: MOST,
            out: 0,
        };
        left.copy(&folder, side).map_err(failed)?;
        applied.left_out = left.out;
    }
    for file in files {
        let within = Path::new(&file.path).strip_prefix(&folder);
        let within = within.map_err(|_| format!("{} is not below its folder", file.path))?;
        let current = fs::read(&file.path).ok();
        applied.untouched &= current.is_some_and(|bytes| digest(&bytes) == file.new);
        let path = applied.before.join(within);
        match &file.original {
            Some(original) => {
                let kept = journal.kept(run, original);
                let (_, bytes) = kept.map_err(|error| hinted(&error.to_string(), error.hint()))?;
                if let Some(up) = path.parent() {
                    fs::create_dir_all(up).map_err(failed)?;
                }
                fs::write(&path, bytes).map_err(failed)?;
            }
            None if path.exists() => fs::remove_file(&path).map_err(failed)?,
            None => {}
        }
    }
    Ok(applied)
}

/// What may be copied yet, and what is not.
struct Left {
    bytes: u64,
    out: usize,
}

impl Left {
    fn copy(&mut self, from: &Path, to: &Path) -> std::io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (kind, name) = (entry.file_type()?, entry.file_name());
            let (path, copy) = (entry.path(), to.join(&name));
            if kind.is_dir() {
                // An environment is the Python's own, and never looked into.
                let is_left = name.to_str().is_some_and(|name| LEFT.contains(&name));
                if !is_left && !path.join("pyvenv.cfg").exists() {
                    self.copy(&path, &copy)?;
                }
            } else if kind.is_file() {
                let size = entry.metadata()?.len();
                self.bytes = self.bytes.checked_sub(size).ok_or_else(|| {
                    std::io::Error::other(
                        "it is too large to be copied; commit it, and verify what `depickle stage` makes of it",
                    )
                })?;
                fs::copy(&path, &copy)?;
            } else {
                self.out += 1;
            }
        }
        Ok(())
    }
}
