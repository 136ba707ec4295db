//! The Python files of a commit, and those of the work tree that differ from it.
//!
//! Invariant: a commit is read from its own objects alone; no work tree, index or filter has a say. Nothing is written.

use std::fs;
use std::path::Path;

use git2::{ObjectType, Oid, Status, StatusOptions};
use sha2::{Digest, Sha256};

use super::attributes::Attributes;
use super::owners::PLACES;
use super::walk::{Globs, MAX_BYTES, is_git_internal, is_python, not_a_pointer};
use super::{Base, Filter, Listing, Repo, RepoError, SkipReason};

/// What git calls a file of these `bytes`, in a repository with ids like `id`.
pub fn blob_id(bytes: &[u8], id: &str) -> String {
    let sha1 = Oid::hash_object(ObjectType::Blob, bytes).map(|id| id.to_string());
    match sha1 {
        Ok(known) if known.len() == id.len() => known,
        _ => {
            let head = format!("blob {}\0", bytes.len());
            let digest = Sha256::new().chain_update(head).chain_update(bytes);
            let digest = digest.finalize();
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

impl Repo {
    /// The Python files of `base` below `prefix` (as [`Repo::prefix`] gives it), paths relative to it, straight from
    /// the blobs.
    /// Folders whose name starts with a dot are skipped, as in [`super::files_in`].
    ///
    /// # Errors
    /// [`RepoError::BadGlob`]; [`RepoError::NotInCommit`] when the commit has nothing at `prefix`;
    /// [`RepoError::UnknownRevision`]. A blob that cannot be read (as in a partial clone) is a [`super::Skipped`].
    pub fn files_at(
        &self,
        base: &Base,
        prefix: &str,
        filter: &Filter,
    ) -> Result<Listing, RepoError> {
        let globs = Globs::new(filter)?;
        let mut at = AtCommit {
            repo: self,
            odb: self
                .git
                .odb()
                .map_err(|error| self.failed("open the objects", &error))?,
            attributes: Attributes::default(),
        };
        let info = self.git_dir().join("info").join("attributes");
        if let Ok(text) = fs::read(info) {
            at.attributes.info(&text);
        }
        let absent = || RepoError::NotInCommit {
            path: prefix.to_owned(),
            commit: base.commit.clone(),
        };
        let mut listing = Listing::default();
        let mut tree = self.tree_of(&base.commit)?;
        let mut here = String::new();
        for part in prefix.split('/').filter(|part| !part.is_empty()) {
            at.enter(&tree, &here);
            let entry = tree.get_name(part).ok_or_else(absent)?;
            let (id, mode) = (entry.id(), entry.filemode());
            if entry.kind() != Some(ObjectType::Tree) {
                let path = format!("{here}{part}");
                if path != prefix {
                    return Err(absent());
                }
                if globs.admit(part) {
                    listing.add(part.to_owned(), at.read(&path, id, mode));
                }
                return Ok(listing);
            }
            drop(entry);
            tree = self
                .git
                .find_tree(id)
                .map_err(|error| self.failed("read a folder", &error))?;
            here = format!("{here}{part}/");
        }
        // A list and not recursion: trees can be nested deeper than any stack.
        let mut todo = vec![(tree.id(), here.clone(), true)];
        while let Some((id, folder, utf8)) = todo.pop() {
            let tree = match self.git.find_tree(id) {
                Ok(tree) => tree,
                Err(error) => {
                    let path = folder[here.len()..].trim_end_matches('/').to_owned();
                    listing.add(
                        path,
                        Err(SkipReason::Unreadable(error.message().to_owned())),
                    );
                    continue;
                }
            };
            at.enter(&tree, &folder);
            for entry in &tree {
                let bytes = entry.name_bytes();
                let name = String::from_utf8_lossy(bytes);
                let utf8 = utf8 && std::str::from_utf8(bytes).is_ok();
                let path = format!("{folder}{name}");
                let below = path[here.len()..].to_owned();
                match entry.kind() {
                    Some(ObjectType::Tree) if name != ".git" => {
                        todo.push((entry.id(), path + "/", utf8));
                    }
                    Some(ObjectType::Commit) if globs.admit(&below) => {
                        listing.add(below, Err(SkipReason::Submodule));
                    }
                    Some(ObjectType::Blob) if is_python(bytes) && globs.admit(&below) => {
                        let content = match utf8 {
                            true => at.read(&path, entry.id(), entry.filemode()),
                            false => Err(SkipReason::NotUtf8Name),
                        };
                        listing.add(below, content);
                    }
                    _ => {}
                }
            }
        }
        Ok(listing.sorted())
    }

    /// `path` in the form of [`Repo::prefix`], by what it is in `base`: also for a bare repository.
    ///
    /// # Errors
    /// [`RepoError::NotInCommit`].
    pub fn within(&self, base: &Base, path: &str) -> Result<String, RepoError> {
        let path = path.trim_matches('/');
        let tree = self.tree_of(&base.commit)?;
        if path.is_empty() || path == "." {
            return Ok(String::new());
        }
        match tree.get_path(Path::new(path)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Tree) => Ok(format!("{path}/")),
            Ok(_) => Ok(path.to_owned()),
            Err(_) => Err(RepoError::NotInCommit {
                path: path.to_owned(),
                commit: base.commit.clone(),
            }),
        }
    }

    /// Ids of what [`Repo::files_at`] would read and what is not here: of a partial clone, that is all of it at first.
    ///
    /// # Errors
    /// [`RepoError::BadGlob`], [`RepoError::UnknownRevision`].
    pub fn missing(
        &self,
        base: &Base,
        prefix: &str,
        filter: &Filter,
    ) -> Result<Vec<String>, RepoError> {
        let globs = Globs::new(filter)?;
        let odb = self
            .git
            .odb()
            .map_err(|error| self.failed("open the objects", &error))?;
        let mut missing = Vec::new();
        let mut todo = vec![(self.tree_of(&base.commit)?.id(), String::new())];
        while let Some((id, folder)) = todo.pop() {
            let Ok(tree) = self.git.find_tree(id) else {
                continue;
            };
            for entry in &tree {
                let path = format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes()));
                // Attributes count from the root down to the prefix, and below it.
                let here = folder.starts_with(prefix) || prefix.starts_with(&folder);
                let owners = PLACES.iter().any(|place| place.starts_with(&path));
                let read = match (entry.kind(), entry.name_bytes()) {
                    (Some(ObjectType::Tree), name) if (here || owners) && name != b".git" => {
                        todo.push((entry.id(), path + "/"));
                        false
                    }
                    (Some(ObjectType::Blob), b".gitattributes") => here,
                    (Some(ObjectType::Blob), b"CODEOWNERS") => owners,
                    (Some(ObjectType::Blob), name) if path == prefix || is_python(name) => path
                        .strip_prefix(&prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)])
                        .is_some_and(|below| path.starts_with(prefix) && globs.admit(below)),
                    _ => false,
                };
                if read && entry.filemode() != 0o120_000 && !odb.exists(entry.id()) {
                    missing.push(entry.id().to_string());
                }
            }
        }
        missing.sort();
        missing.dedup();
        Ok(missing)
    }

    /// The Python files below `prefix`, relative to it, that the work tree or the index has otherwise than HEAD:
    /// modified,
    /// added or untracked; not deleted ones, nor those that [`super::files_in`] would pass over. Empty in a bare
    /// repository. Never writes the index.
    ///
    /// # Errors
    /// [`RepoError::Git`].
    pub fn dirty(&self, prefix: &str) -> Result<Vec<String>, RepoError> {
        if self.is_bare() {
            return Ok(Vec::new());
        }
        let statuses = self.statuses(prefix)?;
        let gone =
            |status: Status| status.contains(Status::WT_DELETED) || status == Status::INDEX_DELETED;
        let parent = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
        let mut dirty: Vec<String> = statuses
            .iter()
            .filter(|entry| !gone(entry.status()) && is_python(entry.path_bytes()))
            .filter_map(|entry| {
                let path = String::from_utf8_lossy(entry.path_bytes()).into_owned();
                path.starts_with(prefix)
                    .then(|| path.strip_prefix(parent).map(str::to_owned))?
            })
            .filter(|path| !is_git_internal(path))
            .collect();
        dirty.sort();
        dirty.dedup();
        Ok(dirty)
    }

    /// Everything that the work tree or the index has otherwise than HEAD, what git ignores left aside: paths relative
    /// to the root. Never writes the index.
    ///
    /// # Errors
    /// [`RepoError::Git`].
    pub fn unclean(&self) -> Result<Vec<String>, RepoError> {
        let statuses = self.statuses("")?;
        let path =
            |entry: git2::StatusEntry<'_>| String::from_utf8_lossy(entry.path_bytes()).into_owned();
        Ok(statuses.iter().map(path).collect())
    }

    /// Paths of the submodules below `prefix` that are checked out, relative to it. What only looks like one, by a link
    /// to elsewhere, is none.
    pub fn submodules(&self, prefix: &str) -> Vec<String> {
        let Ok(index) = self.git.index() else {
            return Vec::new();
        };
        if self.is_bare() {
            return Vec::new();
        }
        let links = index.iter().filter(|entry| entry.mode == 0o160_000);
        let paths = links.filter_map(|entry| String::from_utf8(entry.path).ok());
        let out = |path: &String| {
            let place = self.root.join(path);
            place.canonicalize().is_ok_and(|real| real == place) && place.join(".git").exists()
        };
        paths
            .filter(out)
            .filter_map(|path| path.strip_prefix(prefix).map(str::to_owned))
            .collect()
    }

    fn statuses(&self, prefix: &str) -> Result<git2::Statuses<'_>, RepoError> {
        let mut options = StatusOptions::new();
        options
            .include_untracked(true)
            .recurse_untracked_dirs(true)
            .exclude_submodules(true)
            .include_ignored(false)
            .update_index(false)
            .disable_pathspec_match(true);
        if !prefix.is_empty() {
            options.pathspec(prefix);
        }
        self.git
            .statuses(Some(&mut options))
            .map_err(|error| self.failed("compare the work tree", &error))
    }
}

struct AtCommit<'r> {
    repo: &'r Repo,
    odb: git2::Odb<'r>,
    attributes: Attributes,
}

impl AtCommit<'_> {
    fn enter(&mut self, tree: &git2::Tree<'_>, folder: &str) {
        let entry = tree.get_name(".gitattributes");
        // Git reads no attributes through a symlink either.
        let regular = entry.filter(|entry| matches!(entry.filemode(), 0o100_644 | 0o100_755));
        if let Some(blob) = regular.and_then(|entry| self.repo.git.find_blob(entry.id()).ok()) {
            self.attributes.folder(folder, blob.content());
        }
    }

    fn read(&self, path: &str, id: Oid, mode: i32) -> Result<Vec<u8>, SkipReason> {
        let unreadable = |error: git2::Error| SkipReason::Unreadable(error.message().to_owned());
        match mode {
            0o120_000 => return Err(SkipReason::Symlink),
            0o160_000 => return Err(SkipReason::Submodule),
            _ => {}
        }
        if self.attributes.filtered(path) {
            return Err(SkipReason::FilteredByAttribute);
        }
        let (size, _) = self.odb.read_header(id).map_err(unreadable)?;
        if size as u64 > MAX_BYTES {
            return Err(SkipReason::TooLarge);
        }
        let blob = self.repo.git.find_blob(id).map_err(unreadable)?;
        not_a_pointer(blob.content().to_vec())
    }
}
