//! A commit's files, written into a folder as git has them: no filter, no hook, no index.

use std::path::Path;

use super::store::Kind;
use super::{Repo, RepoError};

impl Repo {
    /// Writes every file of `commit` below `to`, and gives how many it left out: symlinks, submodules, names that git would not
    /// check out either, and what a partial clone does not have.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`], [`RepoError::Git`] when a folder cannot be read, [`RepoError::Io`].
    pub fn export(&self, commit: &str, to: &Path) -> Result<usize, RepoError> {
        let mut left_out = 0;
        let mut todo = vec![(self.tree_of(commit)?, to.to_owned())];
        let io = |path: &Path, source| RepoError::Io {
            path: path.to_owned(),
            source,
        };
        while let Some((id, folder)) = todo.pop() {
            let entries = self.store.tree(&id);
            let entries = entries.map_err(|said| self.failed("read a folder", &said))?;
            std::fs::create_dir_all(&folder).map_err(|error| io(&folder, error))?;
            for entry in entries {
                let name = String::from_utf8_lossy(&entry.name).into_owned();
                let odd =
                    matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\\', '\0']);
                if odd || name.eq_ignore_ascii_case(".git") {
                    left_out += 1;
                    continue;
                }
                let path = folder.join(name);
                if entry.is_folder() {
                    todo.push((entry.id, path));
                    continue;
                }
                let read = || self.store.read(Kind::Blob, &entry.id).ok();
                match entry.is_regular().then(read).flatten() {
                    Some(bytes) => {
                        std::fs::write(&path, bytes).map_err(|error| io(&path, error))?;
                    }
                    None => left_out += 1,
                }
            }
        }
        Ok(left_out)
    }
}
