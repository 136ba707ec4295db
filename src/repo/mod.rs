//! Git repositories and folders: the only place that knows git2 and reads directories.
//!
//! Invariant: nothing here runs a hook, a filter or a program, and nothing touches a work tree or an index.

mod walk;

use std::path::{Path, PathBuf};

use git2::build::TreeUpdateBuilder;
use git2::{
    AttrCheckFlags, AttrValue, ErrorCode, FileMode, ObjectType, Oid, Reference, Repository, Signature,
    StatusOptions, Time, TreeWalkMode, TreeWalkResult,
};

pub use walk::{Filter, Found, Listing, SkipReason, Skipped, files_in};

use walk::{MOST_BYTES, is_python};

/// What can go wrong with a repository, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// No repository holds the path.
    #[error("{}: not a git repository; run `git init` and commit, or use `depickle diff` on the folder", .path.display())]
    NotARepository {
        /// The path.
        path: PathBuf,
    },
    /// The repository has no commit yet.
    #[error("{}: the repository has no commit yet; commit first", .path.display())]
    NoCommit {
        /// The repository.
        path: PathBuf,
    },
    /// A revision that does not exist.
    #[error("{revision:?} names no commit; `git branch -a` lists branches")]
    UnknownRevision {
        /// What was asked for.
        revision: String,
    },
    /// A kind of repository that libgit2 does not read.
    #[error("{}: this kind of repository (sha256, reftable or a newer extension) cannot be read yet", .path.display())]
    Unsupported {
        /// The repository.
        path: PathBuf,
    },
    /// The branch is there already.
    #[error("branch {branch:?} exists already; delete it (`git branch -D {branch}`), take the run back, or give another name with --branch")]
    BranchExists {
        /// The branch.
        branch: String,
    },
    /// A branch whose name is a folder of the other's name.
    #[error("branch {branch:?} cannot be made while branch {by:?} exists; give another name with --branch")]
    BranchBlocked {
        /// The wanted branch.
        branch: String,
        /// The one in its way.
        by: String,
    },
    /// The branch is checked out.
    #[error("branch {branch:?} is checked out; switch to another branch first (`git switch -`)")]
    BranchCheckedOut {
        /// The branch.
        branch: String,
    },
    /// The branch no longer points where it did.
    #[error("branch {branch:?} has moved since; look at what was added, then delete it by hand (`git branch -D {branch}`)")]
    BranchMoved {
        /// The branch.
        branch: String,
    },
    /// Not a name for a branch.
    #[error("{branch:?} is not a name git accepts for a branch; give another with --branch")]
    InvalidBranchName {
        /// The name.
        branch: String,
    },
    /// A path that cannot be changed because it is no regular file in the commit.
    #[error("{path:?} is not a regular file in the commit")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// A bad glob.
    #[error("{glob:?} is not a valid pattern: {why}")]
    BadGlob {
        /// The glob.
        glob: String,
        /// The matcher's message.
        why: String,
    },
    /// Files that cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// Anything else libgit2 says.
    #[error("git: {}", .0.message())]
    Git(#[from] git2::Error),
}

/// Name and address of an author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Mail address.
    pub email: String,
}

/// The commit that a run starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its id in hex.
    pub commit: String,
    /// Its committer's time, in seconds since 1970.
    pub time: i64,
}

/// A commit to be made.
#[derive(Debug)]
pub struct NewCommit<'a> {
    /// Id of its parent, in hex.
    pub base: &'a str,
    /// New bytes by path relative to the repository.
    pub files: &'a [(String, Vec<u8>)],
    /// Author and committer.
    pub author: &'a Person,
    /// Seconds since 1970, UTC.
    pub time: i64,
    /// The whole message.
    pub message: &'a str,
}

/// One git repository.
pub struct Repo {
    git: Repository,
    root: PathBuf,
}

impl Repo {
    /// The repository that holds `path`: bare, linked worktree or subfolder are all fine.
    ///
    /// # Errors
    /// [`RepoError::NotARepository`], [`RepoError::Unsupported`], or what libgit2 says (a repository that belongs
    /// to somebody else is refused, as git does).
    pub fn discover(path: &Path) -> Result<Repo, RepoError> {
        let git = Repository::discover(path).map_err(|error| match error.code() {
            ErrorCode::NotFound => RepoError::NotARepository {
                path: path.to_owned(),
            },
            _ if error.message().contains("unsupported") => RepoError::Unsupported {
                path: path.to_owned(),
            },
            _ => RepoError::Git(error),
        })?;
        let root = git.workdir().unwrap_or_else(|| git.path()).to_owned();
        Ok(Repo { git, root })
    }

    /// Makes a repository of everything in the folder `path`, with one commit.
    ///
    /// # Errors
    /// Those of libgit2.
    pub fn create(path: &Path, author: &Person, time: i64, message: &str) -> Result<(), RepoError> {
        let git = Repository::init(path)?;
        let mut index = git.index()?;
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None)?;
        index.write()?;
        let tree = git.find_tree(index.write_tree()?)?;
        let who = signature(author, time)?;
        git.commit(Some("HEAD"), &who, &who, message, &tree, &[])?;
        Ok(())
    }

    /// The top of the work tree; the git folder of a bare repository.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is no work tree.
    pub fn is_bare(&self) -> bool {
        self.git.is_bare()
    }

    /// The git folder that all linked worktrees share: what the journal records.
    pub fn git_dir(&self) -> PathBuf {
        let dir = self.git.commondir();
        dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
    }

    /// The place of `path` in the work tree: empty for the top, else ending in `/`. Of a file: its folder's.
    ///
    /// # Errors
    /// [`RepoError::Io`] when the path is not there.
    pub fn prefix(&self, path: &Path) -> Result<String, RepoError> {
        if self.is_bare() {
            return Ok(String::new());
        }
        let real = |path: &Path| {
            path.canonicalize().map_err(|source| RepoError::Io {
                path: path.to_owned(),
                source,
            })
        };
        let (root, mut path) = (real(&self.root)?, real(path)?);
        if path.is_file() {
            path.pop();
        }
        let inside = path.strip_prefix(&root).unwrap_or(Path::new(""));
        let mut prefix = String::new();
        for part in inside.components() {
            prefix.push_str(&part.as_os_str().to_string_lossy());
            prefix.push('/');
        }
        Ok(prefix)
    }

    /// The commit `base` names, HEAD by default.
    ///
    /// # Errors
    /// [`RepoError::NoCommit`], [`RepoError::UnknownRevision`].
    pub fn resolve(&self, base: Option<&str>) -> Result<Base, RepoError> {
        let object = match base {
            Some(revision) => self.git.revparse_single(revision).map_err(|_| {
                RepoError::UnknownRevision {
                    revision: revision.to_owned(),
                }
            })?,
            None => {
                let head = self.git.head().map_err(|error| match error.code() {
                    ErrorCode::UnbornBranch | ErrorCode::NotFound => RepoError::NoCommit {
                        path: self.root.clone(),
                    },
                    _ => RepoError::Git(error),
                })?;
                head.peel(ObjectType::Commit)?
            }
        };
        let commit = object.peel_to_commit().map_err(|_| RepoError::UnknownRevision {
            revision: base.unwrap_or("HEAD").to_owned(),
        })?;
        Ok(Base {
            commit: commit.id().to_string(),
            time: commit.time().seconds(),
        })
    }

    /// The Python files below `prefix` in the commit `base`; paths are relative to `prefix`.
    ///
    /// # Errors
    /// [`RepoError::BadGlob`], or what libgit2 says.
    pub fn files_at(&self, base: &Base, prefix: &str, filter: &Filter) -> Result<Listing, RepoError> {
        let wanted = filter.compiled()?;
        let commit = self.git.find_commit(Oid::from_str(&base.commit)?)?;
        let mut entries = Vec::new();
        let mut listing = Listing::default();
        commit.tree()?.walk(TreeWalkMode::PreOrder, |folder, entry| {
            let Ok(name) = entry.name() else {
                let path = format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes()));
                if is_python(&path) {
                    listing.skip(path, SkipReason::NotUtf8Name);
                }
                return TreeWalkResult::Ok;
            };
            let full = format!("{folder}{name}");
            let Some(path) = full.strip_prefix(prefix) else {
                return TreeWalkResult::Ok;
            };
            if is_python(name) && wanted.takes(path) {
                match (entry.kind(), entry.filemode()) {
                    (Some(ObjectType::Blob), mode) if mode == i32::from(FileMode::Link) => {
                        listing.skip(path.to_owned(), SkipReason::Symlink);
                    }
                    (Some(ObjectType::Blob), _) => {
                        entries.push((full.clone(), path.to_owned(), entry.id()));
                    }
                    (Some(ObjectType::Commit), _) => {
                        listing.skip(path.to_owned(), SkipReason::Submodule);
                    }
                    _ => {}
                }
            }
            TreeWalkResult::Ok
        })?;
        let odb = self.git.odb()?;
        for (full, path, id) in entries {
            if self.has_filter(&full) {
                listing.skip(path, SkipReason::FilteredByAttribute);
                continue;
            }
            match odb.read_header(id) {
                Ok((size, _)) if size > MOST_BYTES => {
                    listing.skip(path, SkipReason::TooLarge);
                    continue;
                }
                Ok(_) => {}
                Err(_) => {
                    listing.skip(path, SkipReason::Unreadable);
                    continue;
                }
            }
            let blob = self.git.find_blob(id)?;
            listing.add(path, blob.content().to_vec());
        }
        listing.sort();
        Ok(listing)
    }

    /// Whether .gitattributes puts a filter (LFS, encryption) on `path`: the blob is then not the file.
    fn has_filter(&self, path: &str) -> bool {
        let value = self.git.get_attr(Path::new(path), "filter", AttrCheckFlags::INDEX_THEN_FILE);
        match value {
            Ok(value) => !matches!(
                AttrValue::from_string(value),
                AttrValue::Unspecified | AttrValue::False
            ),
            Err(_) => false,
        }
    }

    /// Python files below `prefix` that differ from HEAD or are not tracked. The index is not refreshed on disk.
    ///
    /// # Errors
    /// Those of libgit2.
    pub fn dirty(&self, prefix: &str) -> Result<Vec<String>, RepoError> {
        if self.is_bare() {
            return Ok(Vec::new());
        }
        let mut options = StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true);
        options.update_index(false).include_ignored(false);
        let statuses = self.git.statuses(Some(&mut options))?;
        let mut files: Vec<String> = statuses
            .iter()
            .filter_map(|status| status.path().ok().map(str::to_owned))
            .filter(|path| path.starts_with(prefix) && is_python(path))
            .collect();
        files.sort();
        Ok(files)
    }

    /// Writes `new` to the object store and returns its id in hex. No ref moves; equal input gives an equal id.
    ///
    /// # Errors
    /// [`RepoError::NotAFile`] for a path that is no regular file in the base.
    pub fn commit(&self, new: &NewCommit<'_>) -> Result<String, RepoError> {
        let parent = self.git.find_commit(Oid::from_str(new.base)?)?;
        let tree = parent.tree()?;
        let mut builder = TreeUpdateBuilder::new();
        for (path, bytes) in new.files {
            let not_a_file = || RepoError::NotAFile { path: path.clone() };
            let entry = tree.get_path(Path::new(path)).map_err(|_| not_a_file())?;
            let mode = match entry.filemode() {
                mode if mode == i32::from(FileMode::Blob) => FileMode::Blob,
                mode if mode == i32::from(FileMode::BlobExecutable) => FileMode::BlobExecutable,
                mode if mode == i32::from(FileMode::BlobGroupWritable) => FileMode::BlobGroupWritable,
                _ => return Err(not_a_file()),
            };
            builder.upsert(path, self.git.blob(bytes)?, mode);
        }
        let tree = self.git.find_tree(builder.create_updated(&self.git, &tree)?)?;
        let who = signature(new.author, new.time)?;
        let id = self.git.commit(None, &who, &who, new.message, &tree, &[&parent])?;
        Ok(id.to_string())
    }

    /// The identity that git would use here.
    pub fn identity(&self) -> Option<Person> {
        let who = self.git.signature().ok()?;
        Some(Person {
            name: who.name().ok()?.to_owned(),
            email: who.email().ok()?.to_owned(),
        })
    }

    /// Whether a branch called `name` can be made.
    ///
    /// # Errors
    /// [`RepoError::InvalidBranchName`], [`RepoError::BranchExists`], [`RepoError::BranchBlocked`].
    pub fn check_branch(&self, name: &str) -> Result<(), RepoError> {
        let full = format!("refs/heads/{name}");
        if !Reference::is_valid_name(&full) || name.starts_with('-') {
            return Err(RepoError::InvalidBranchName {
                branch: name.to_owned(),
            });
        }
        for reference in self.git.references_glob("refs/heads/*")? {
            let reference = reference?;
            let Some(other) = reference.name().ok().and_then(|n| n.strip_prefix("refs/heads/")) else {
                continue;
            };
            if other == name {
                return Err(RepoError::BranchExists {
                    branch: name.to_owned(),
                });
            }
            let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
            if below(name, other) || below(other, name) {
                return Err(RepoError::BranchBlocked {
                    branch: name.to_owned(),
                    by: other.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Makes the branch `name` point to `commit`.
    ///
    /// # Errors
    /// [`RepoError::BranchExists`] when it is there by now.
    pub fn create_branch(&self, name: &str, commit: &str) -> Result<(), RepoError> {
        let full = format!("refs/heads/{name}");
        let made = self.git.reference(&full, Oid::from_str(commit)?, false, "depickle: stage");
        made.map(|_| ()).map_err(|error| match error.code() {
            ErrorCode::Exists => RepoError::BranchExists {
                branch: name.to_owned(),
            },
            _ => RepoError::Git(error),
        })
    }

    /// Where the branch `name` points, in hex; nothing when it is not there.
    ///
    /// # Errors
    /// Those of libgit2.
    pub fn branch_tip(&self, name: &str) -> Result<Option<String>, RepoError> {
        match self.git.find_reference(&format!("refs/heads/{name}")) {
            Ok(reference) => Ok(reference.target().map(|id| id.to_string())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the branch `name` if it still points to `expected`.
    ///
    /// # Errors
    /// [`RepoError::BranchMoved`], [`RepoError::BranchCheckedOut`].
    pub fn delete_branch(&self, name: &str, expected: &str) -> Result<(), RepoError> {
        let moved = || RepoError::BranchMoved {
            branch: name.to_owned(),
        };
        let full = format!("refs/heads/{name}");
        let mut reference = self.git.find_reference(&full)?;
        if reference.target().map(|id| id.to_string()).as_deref() != Some(expected) {
            return Err(moved());
        }
        if self.is_checked_out(&full)? {
            return Err(RepoError::BranchCheckedOut {
                branch: name.to_owned(),
            });
        }
        // Compare and swap: libgit2 refuses when the ref changed since it was looked up.
        reference.delete().map_err(|error| match error.code() {
            ErrorCode::Modified => moved(),
            _ => RepoError::Git(error),
        })
    }

    /// Whether `full` is the HEAD of this or any linked worktree.
    fn is_checked_out(&self, full: &str) -> Result<bool, RepoError> {
        let is_head = |git: &Repository| {
            let head = git.find_reference("HEAD");
            head.is_ok_and(|h| h.symbolic_target().is_ok_and(|t| t == Some(full)))
        };
        if !self.is_bare() && is_head(&self.git) {
            return Ok(true);
        }
        for name in self.git.worktrees()?.iter().flatten().flatten() {
            let tree = self.git.find_worktree(name)?;
            if Repository::open_from_worktree(&tree).is_ok_and(|git| is_head(&git)) {
                return Ok(true);
            }
        }
        // The main work tree, seen from a linked one.
        Ok(Repository::open(self.git.commondir()).is_ok_and(|git| !git.is_bare() && is_head(&git)))
    }
}

fn signature(who: &Person, time: i64) -> Result<Signature<'static>, RepoError> {
    Ok(Signature::new(&who.name, &who.email, &Time::new(time, 0))?)
}
