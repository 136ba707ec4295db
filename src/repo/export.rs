//! A commit's files, written into a folder as git has them: no filter, no hook, no index.

use std::path::Path;

use git2::{ObjectType, Oid};

use super::{Repo, RepoError};

impl Repo {
    /// Writes every file of `commit` below `to`, and gives how many it left out: symlinks, submodules, names that git would not
    /// check out either, and what a partial clone does not have.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`], [`RepoError::Git`] when a folder cannot be read, [`RepoError::Io`].
    pub fn export(&self, commit: &str, to: &Path) -> Result<usize, RepoError> {
        let mut left_out = 0;
        let mut todo: Vec<(Oid, std::path::PathBuf)> =
            vec![(self.tree_of(commit)?.id(), to.to_owned())];
        let io = |path: &Path, source| RepoError::Io {
            path: path.to_owned(),
            source,
        };
        while let Some((id, folder)) = todo.pop() {
            let tree = self.git.find_tree(id);
            let tree = tree.map_err(|error| self.failed("read a folder", &error))?;
            std::fs::create_dir_all(&folder).map_err(|error| io(&folder, error))?;
            for entry in &tree {
                let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
                let odd =
                    matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\\', '\0']);
                if odd || name.eq_ignore_ascii_case(".git") {
                    left_out += 1;
                    continue;
                }
                let path = folder.join(name);
                match (entry.kind(), entry.filemode()) {
                    (Some(ObjectType::Tree), _) => todo.push((entry.id(), path)),
                    (Some(ObjectType::Blob), mode) if mode != 0o120_000 => {
                        let Ok(blob) = self.git.find_blob(entry.id()) else {
                            left_out += 1;
                            continue;
                        };
                        std::fs::write(&path, blob.content()).map_err(|error| io(&path, error))?;
                    }
                    _ => left_out += 1,
                }
            }
        }
        Ok(left_out)
    }
}
