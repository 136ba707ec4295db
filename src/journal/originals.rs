//! What files held before a run replaced them, byte for byte, beside the journal of that run.
//!
//! Invariant: a file here is whole and has the name of its digest, and is on the disk before anything refers to it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::{Journal, JournalError, fails, sync_folder};

/// The SHA-256 of `bytes`, in hex.
pub fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Journal {
    /// Keeps `bytes` for `run`, and gives the digest that [`Journal::kept`] finds them by.
    ///
    /// # Errors
    /// [`JournalError::BadRunId`], [`JournalError::Io`].
    pub fn keep(&self, run: &str, bytes: &[u8]) -> Result<String, JournalError> {
        let folder = self.originals(run)?;
        let digest = digest(bytes);
        let path = folder.join(&digest);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            // For the user's eyes only, as temporary files are: so may the original have been.
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            sync_folder(&folder)?;
            sync_folder(&self.runs_dir())
        };
        write().map_err(fails("write", &path))?;
        Ok(digest)
    }

    /// What [`Journal::keep`] kept, and where it is.
    ///
    /// # Errors
    /// [`JournalError::BadRunId`], [`JournalError::Io`], also when it is not what was kept.
    pub fn kept(&self, run: &str, kept: &str) -> Result<(PathBuf, Vec<u8>), JournalError> {
        let path = self.originals(run)?.join(kept);
        let bytes = fs::read(&path).map_err(fails("read", &path))?;
        match digest(&bytes) == kept {
            true => Ok((path, bytes)),
            false => Err(fails("trust", &path)(io::ErrorKind::InvalidData.into())),
        }
    }

    fn originals(&self, run: &str) -> Result<PathBuf, JournalError> {
        Ok(self.path(run)?.with_extension("originals"))
    }
}
