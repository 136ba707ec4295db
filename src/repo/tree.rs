//! The Python files of a commit, and those of the work tree that differ from it.
//!
//! Invariant: a commit is read from its own objects, or from files that have their very ids; no index or filter has a say.
//! Nothing is written.

use std::fs;
use std::path::{Component, Path, PathBuf};

use git2::{ObjectType, Oid, Status, StatusOptions};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::attributes::Attributes;
use super::owners::PLACES;
use super::store::{self, Entry, Store};
use super::walk::{
    EXECUTABLE, Globs, Kind, MAX_BYTES, is_git_internal, is_script, kind, not_a_pointer, read,
    runs_python,
};
use super::{Base, Filter, Listing, Repo, RepoError, SkipReason};

/// Larger executables are no scripts, in bytes.
const LARGEST_SCRIPT: u64 = 1 << 20;

/// A file's path below what is listed, its path in the repository, and what it is there.
type Wanted = (String, String, Entry);

/// Mode of a submodule.
const SUBMODULE: u32 = 0o160_000;

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
            let entries = self
                .store
                .tree(&tree)
                .map_err(|said| self.failed("read a folder", &said))?;
            at.enter(&entries, &here);
            let mut named = entries.iter().filter(|one| one.name == part.as_bytes());
            let entry = named.next().ok_or_else(absent)?;
            if !entry.is_folder() {
                let path = format!("{here}{part}");
                if path != prefix {
                    return Err(absent());
                }
                if globs.admit(part) {
                    listing.add(part.to_owned(), at.read(&path, entry));
                }
                return Ok(listing);
            }
            tree = entry.id.clone();
            here = format!("{here}{part}/");
        }
        let mut wanted = Vec::new();
        // A list and not recursion: trees can be nested deeper than any stack.
        let mut todo = vec![(tree, here.clone(), true)];
        while let Some((id, folder, utf8)) = todo.pop() {
            let entries = match self.store.tree(&id) {
                Ok(entries) => entries,
                Err(said) => {
                    let path = folder[here.len()..].trim_end_matches('/').to_owned();
                    listing.add(path, Err(SkipReason::Unreadable(said)));
                    continue;
                }
            };
            at.enter(&entries, &folder);
            for entry in entries {
                let bytes = entry.name.as_slice();
                let name = String::from_utf8_lossy(bytes);
                let utf8 = utf8 && std::str::from_utf8(bytes).is_ok();
                let path = format!("{folder}{name}");
                let below = path[here.len()..].to_owned();
                if entry.is_folder() {
                    if name != ".git" {
                        todo.push((entry.id, path + "/", utf8));
                    }
                } else if entry.mode() == SUBMODULE && globs.admit(&below) {
                    listing.add(below, Err(SkipReason::Submodule));
                } else if entry.mode() != SUBMODULE {
                    let admitted = globs.admit(&below);
                    let content = match kind(bytes) {
                        Kind::Python if admitted && utf8 => {
                            wanted.push((below, path, entry));
                            continue;
                        }
                        Kind::Python if admitted => Some(Err(SkipReason::NotUtf8Name)),
                        Kind::Unnamed if admitted && entry.mode() == EXECUTABLE => {
                            at.script(&path, &entry)
                        }
                        Kind::Python => {
                            listing.left_out += 1;
                            None
                        }
                        Kind::Stub => {
                            listing.stubs += usize::from(admitted);
                            None
                        }
                        _ => None,
                    };
                    match content {
                        Some(content) if utf8 => listing.add(below, content),
                        Some(_) => listing.add(below, Err(SkipReason::NotUtf8Name)),
                        None => {}
                    }
                }
            }
        }
        for (below, content) in at.read_all(wanted) {
            listing.add(below, content);
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
        let entry = self.store.at(&tree, path);
        match entry.map_err(|said| self.failed("read a folder", &said))? {
            Some(entry) if entry.is_folder() => Ok(format!("{path}/")),
            Some(_) => Ok(path.to_owned()),
            None => Err(RepoError::NotInCommit {
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
        let mut missing = Vec::new();
        let mut todo = vec![(self.tree_of(&base.commit)?, String::new())];
        while let Some((id, folder)) = todo.pop() {
            let Ok(entries) = self.store.tree(&id) else {
                continue;
            };
            for entry in entries {
                let path = format!("{folder}{}", String::from_utf8_lossy(&entry.name));
                // Attributes count from the root down to the prefix, and below it.
                let here = folder.starts_with(prefix) || prefix.starts_with(&folder);
                let owners = PLACES.iter().any(|place| place.starts_with(&path));
                let read = match (entry.is_folder(), entry.name.as_slice()) {
                    (true, name) if (here || owners) && name != b".git" => {
                        todo.push((entry.id.clone(), path + "/"));
                        false
                    }
                    (false, b".gitattributes") => here,
                    (false, b"CODEOWNERS") => owners,
                    (false, b"depickle.toml" | b"pyproject.toml") => prefix.starts_with(&folder),
                    (false, name)
                        if path == prefix
                            || kind(name) == Kind::Python
                            || (kind(name) == Kind::Unnamed && entry.mode() == EXECUTABLE) =>
                    {
                        path.strip_prefix(&prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)])
                            .is_some_and(|below| path.starts_with(prefix) && globs.admit(below))
                    }
                    _ => false,
                };
                if read && entry.is_regular() && self.store.header(&entry.id).is_none() {
                    missing.push(entry.id);
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
            .filter(|entry| {
                let path = entry.path_bytes();
                let named = String::from_utf8_lossy(path);
                !gone(entry.status())
                    && match kind(path) {
                        Kind::Python => true,
                        Kind::Unnamed => is_script(&self.root.join(named.as_ref())),
                        _ => false,
                    }
            })
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
        let Ok(index) = self.store.index() else {
            return Vec::new();
        };
        if self.is_bare() {
            return Vec::new();
        }
        let links = index.into_iter().filter(|(mode, _)| *mode == SUBMODULE);
        let paths = links.filter_map(|(_, path)| String::from_utf8(path).ok());
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
        let action = "compare the work tree";
        match &self.store {
            Store::Library(git) => git
                .statuses(Some(&mut options))
                .map_err(|error| self.failed(action, error.message())),
            // It would run the filters that the repository names.
            Store::Program(_) => {
                Err(self.failed(action, "of this format only git can, which runs filters"))
            }
        }
    }
}

struct AtCommit<'r> {
    repo: &'r Repo,
    attributes: Attributes,
}

impl AtCommit<'_> {
    fn enter(&mut self, entries: &[Entry], folder: &str) {
        // Git reads no attributes through a symlink either.
        let own = |one: &&Entry| one.name == b".gitattributes" && one.is_regular();
        let entry = entries.iter().find(own);
        let text = entry.and_then(|entry| self.repo.store.read(store::Kind::Blob, &entry.id).ok());
        if let Some(text) = text {
            self.attributes.folder(folder, &text);
        }
    }

    /// A file without an extension, if its first line says that Python runs it; or if that cannot be seen.
    fn script(&self, path: &str, entry: &Entry) -> Option<Result<Vec<u8>, SkipReason>> {
        let objects = &self.repo.store;
        // Nobody writes a script as large as that.
        let large = |(_, size): (_, u64)| size > LARGEST_SCRIPT;
        if objects.header(&entry.id).is_some_and(large) {
            return None;
        }
        match objects.read(store::Kind::Blob, &entry.id) {
            Ok(bytes) if !runs_python(&bytes) => None,
            _ => Some(self.read(path, entry)),
        }
    }

    /// Many at once. What the work tree has with the very id is what the commit has, and read on all threads; libgit2 has one
    /// lock for all of them.
    fn read_all(&self, wanted: Vec<Wanted>) -> Vec<(String, Result<Vec<u8>, SkipReason>)> {
        let root = self.repo.root();
        let own = match self.repo.is_bare() {
            true => Vec::new(),
            false => wanted
                .par_iter()
                .map_init(String::new, |folder, (_, path, entry)| {
                    checked_out(root, folder, path, entry)
                })
                .collect(),
        };
        let own = own.into_iter().chain(std::iter::repeat_with(|| None));
        let read = |((below, path, entry), own): (Wanted, Option<Vec<u8>>)| {
            let own = own.filter(|_| !self.attributes.filtered(&path));
            (below, own.map_or_else(|| self.read(&path, &entry), Ok))
        };
        wanted.into_iter().zip(own).map(read).collect()
    }

    fn read(&self, path: &str, entry: &Entry) -> Result<Vec<u8>, SkipReason> {
        match entry.mode() {
            0o120_000 => return Err(SkipReason::Symlink),
            SUBMODULE => return Err(SkipReason::Submodule),
            _ => {}
        }
        if self.attributes.filtered(path) {
            return Err(SkipReason::FilteredByAttribute);
        }
        let objects = &self.repo.store;
        if objects
            .header(&entry.id)
            .is_some_and(|(_, size)| size > MAX_BYTES)
        {
            return Err(SkipReason::TooLarge);
        }
        let bytes = objects.read(store::Kind::Blob, &entry.id);
        not_a_pointer(bytes.map_err(SkipReason::Unreadable)?)
    }
}

/// What is at `path` below `root`, if that is `entry`; `folder` was looked at last, and is no way out of there.
fn checked_out(root: &Path, folder: &mut String, path: &str, entry: &Entry) -> Option<Vec<u8>> {
    let mut parts = Path::new(path).components();
    // A commit may name its folders as it likes.
    parts
        .all(|part| matches!(part, Component::Normal(_)))
        .then_some(())?;
    let own = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    if folder != own {
        let ends = own.match_indices('/').map(|(at, _)| at).chain([own.len()]);
        let mut folders = ends.map(|end| root.join(&own[..end]));
        let is_one = |path: PathBuf| fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
        folders.all(is_one).then_some(())?;
        own.clone_into(folder);
    }
    let bytes = entry.is_regular().then(|| read(&root.join(path)).ok())??;
    (blob_id(&bytes, &entry.id) == entry.id).then_some(bytes)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked_out_is_taken_by_its_id_and_through_no_link() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("app/own")).unwrap();
        fs::write(at("app/own/a.py"), "a\n").unwrap();
        fs::write(at("app/b.py"), "b\n").unwrap();
        std::os::unix::fs::symlink(at("app"), at("link")).unwrap();
        let entry = |text: &str| {
            let id = blob_id(text.as_bytes(), &"0".repeat(40));
            Entry::new(false, "a.py", id)
        };
        let mut folder = String::new();
        let mut out = |path: &str, text: &str| {
            let found = checked_out(root.path(), &mut folder, path, &entry(text));
            found.is_some()
        };
        assert!(out("app/own/a.py", "a\n"));
        assert!(!out("app/own/a.py", "A\n"));
        assert!(out("app/b.py", "b\n"));
        for path in ["link/own/a.py", "link/b.py", "app/own/../b.py", "/app/b.py"] {
            assert!(!out(path, "b\n") && !out(path, "a\n"), "{path}");
        }
    }
}
