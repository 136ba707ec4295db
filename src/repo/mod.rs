//! Git repositories and directories as values: the only place that knows git2 and reads directories.
//!
//! Invariant: nothing here touches a work tree, an index or HEAD, and nothing runs a hook, a filter or a program that a
//! repository names. What changes a repository is two functions: [`Repo::create_branch`] and [`Repo::delete_branch`]
//! ([`Repo::commit`] and [`Repo::revert`] add objects that nothing refers to yet).
#![expect(
    clippy::disallowed_methods,
    reason = "reads repositories and folders, has git and what signs run"
)]

mod attributes;
mod branch;
mod commit;
mod error;
mod export;
mod owners;
mod program;
mod revert;
mod sign;
mod store;
mod tree;
mod walk;

use std::path::{Path, PathBuf};

use git2::{ErrorCode, RepositoryOpenFlags, Signature, Time};

pub use branch::is_branch_name;
pub use commit::{NewCommit, Person};
pub use error::RepoError;
pub(crate) use error::{FULL, is_full, quoted};
pub use owners::Owners;
use program::Program;
pub(crate) use program::git;
pub use revert::Without;
pub use sign::Signer;
use store::{Kind, Store};
pub use tree::blob_id;
pub use walk::{Filter, Found, Globs, Listing, SkipReason, Skipped, files_in};

/// An open git repository: a plain one, a bare one, or one work tree of several.
pub struct Repo {
    store: Store,
    root: PathBuf,
    git_dir: PathBuf,
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repo")
            .field("root", &self.root)
            .field("git_dir", &self.git_dir)
            .finish()
    }
}

/// The commit that a change is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its id, in hex.
    pub commit: String,
    /// Its commit time, in seconds since 1970 UTC.
    pub time: i64,
}

impl Repo {
    /// Makes a repository of everything in the folder `path`, with one commit by `author` at `time`.
    ///
    /// # Errors
    /// [`RepoError::Git`].
    pub fn create(path: &Path, author: &Person, time: i64, message: &str) -> Result<(), RepoError> {
        let made = || {
            let git = git2::Repository::init(path)?;
            let mut index = git.index()?;
            index.add_all(["*"], git2::IndexAddOption::DEFAULT, None)?;
            index.write()?;
            let tree = git.find_tree(index.write_tree()?)?;
            let who = Signature::new(&author.name, &author.email, &Time::new(time, 0))?;
            git.commit(Some("HEAD"), &who, &who, message, &tree, &[])
        };
        made()
            .map(|_| ())
            .map_err(|error: git2::Error| RepoError::Git {
                action: "make a repository",
                path: path.to_owned(),
                detail: error.message().to_owned(),
            })
    }

    /// The repository that `path` lies in: its root, a folder or file below, a linked work tree, or a bare one.
    ///
    /// # Errors
    /// [`RepoError::NoSuchPath`], [`RepoError::NotARepository`], [`RepoError::NotOwned`], [`RepoError::Unsupported`].
    pub fn discover(path: &Path) -> Result<Repo, RepoError> {
        let here = canonical(path)?;
        let folder = match here.is_dir() {
            true => here.as_path(),
            false => here.parent().unwrap_or(&here),
        };
        Repo::open_at(folder, path, RepositoryOpenFlags::empty())
    }

    /// The repository whose git dir or work tree is exactly `path`, as [`Repo::git_dir`] gave it. Does not look
    /// in the folders above, where another repository may be.
    ///
    /// # Errors
    /// As [`Repo::discover`].
    pub fn open(path: &Path) -> Result<Repo, RepoError> {
        Repo::open_at(&canonical(path)?, path, RepositoryOpenFlags::NO_SEARCH)
    }

    fn open_at(at: &Path, asked: &Path, flags: RepositoryOpenFlags) -> Result<Repo, RepoError> {
        let none: [&Path; 0] = [];
        let git = match git2::Repository::open_ext(at, flags, none)
            .map_err(|error| RepoError::opening(asked, &error))
        {
            Ok(git) => git,
            Err(unknown @ RepoError::Unsupported { .. }) => {
                let exact = flags.contains(RepositoryOpenFlags::NO_SEARCH);
                return Repo::by_program(at, asked, exact).ok_or(unknown)?;
            }
            Err(error) => return Err(error),
        };
        let settled = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let git_dir = settled(git.commondir());
        let root = git.workdir().map_or_else(|| git_dir.clone(), settled);
        let store = Store::Library(git);
        Ok(Repo {
            store,
            root,
            git_dir,
        })
    }

    /// The repository at `at` in a format that only the git program knows; none when that does not, either.
    fn by_program(at: &Path, asked: &Path, exact: bool) -> Option<Result<Repo, RepoError>> {
        let program = match Program::open(at) {
            Ok(program) => program,
            Err(said) if said.contains("dubious ownership") => {
                let path = asked.to_owned();
                return Some(Err(RepoError::NotOwned { path }));
            }
            Err(_) => return None,
        };
        let git_dir = program.common.clone();
        let root = program.tree.clone().unwrap_or_else(|| git_dir.clone());
        if exact && at != root && at != git_dir && at != program.dir {
            let path = asked.to_owned();
            return Some(Err(RepoError::NotARepository { path }));
        }
        let store = Store::Program(program);
        Some(Ok(Repo {
            store,
            root,
            git_dir,
        }))
    }

    /// The root of the work tree, or the git dir of a bare repository.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it has no work tree.
    pub fn is_bare(&self) -> bool {
        match &self.store {
            Store::Library(git) => git.workdir().is_none(),
            Store::Program(git) => git.tree.is_none(),
        }
    }

    /// The git dir that all work trees of the repository share, canonical: what the journal records.
    /// [`Repo::open`] on it reaches every ref that this repository has, also when this is a linked work tree.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The git dir of this very work tree.
    fn own_git_dir(&self) -> &Path {
        match &self.store {
            Store::Library(git) => git.path(),
            Store::Program(git) => &git.dir,
        }
    }

    /// Where `path` lies in the work tree: `""` for the root (and always in a bare repository), `"sub/dir/"` for a
    /// folder, `"sub/x.py"` without a slash for a file. Symlinks are followed first.
    ///
    /// # Errors
    /// [`RepoError::NoSuchPath`], [`RepoError::Outside`], [`RepoError::NotUtf8Path`].
    pub fn prefix(&self, path: &Path) -> Result<String, RepoError> {
        if self.is_bare() {
            return Ok(String::new());
        }
        let here = canonical(path)?;
        let below = here
            .strip_prefix(&self.root)
            .map_err(|_| RepoError::Outside {
                path: path.to_owned(),
                root: self.root.clone(),
            })?;
        let mut prefix = String::new();
        for part in below {
            let part = part
                .to_str()
                .ok_or_else(|| RepoError::NotUtf8Path { path: here.clone() })?;
            prefix.push_str(part);
            prefix.push('/');
        }
        if here.is_file() {
            prefix.pop();
        }
        Ok(prefix)
    }

    /// The commit that `base` names, or HEAD.
    ///
    /// # Errors
    /// [`RepoError::NoCommit`] when HEAD is unborn, [`RepoError::UnknownRevision`].
    pub fn resolve(&self, base: Option<&str>) -> Result<Base, RepoError> {
        let none = || RepoError::NoCommit {
            path: self.root.clone(),
        };
        let unknown = |revision: &str, detail: &str| RepoError::UnknownRevision {
            revision: revision.to_owned(),
            path: self.root.clone(),
            detail: detail.to_owned(),
        };
        let commit = match (&self.store, base) {
            (Store::Library(git), None) => {
                let head = git.head().map_err(|error| match error.code() {
                    ErrorCode::UnbornBranch | ErrorCode::NotFound => none(),
                    _ => self.failed("read HEAD", error.message()),
                })?;
                let commit = head
                    .peel_to_commit()
                    .map_err(|error| self.failed("read the commit of HEAD", error.message()))?;
                commit.id().to_string()
            }
            (Store::Library(git), Some(revision)) => {
                let found = git.revparse_single(revision);
                let commit = found
                    .and_then(|object| object.peel_to_commit())
                    .map_err(|error| unknown(revision, error.message()))?;
                commit.id().to_string()
            }
            (Store::Program(git), None) => {
                git.commit("HEAD").map_err(|said| match git.is_unborn() {
                    true => none(),
                    false => self.failed("read HEAD", &said),
                })?
            }
            (Store::Program(git), Some(revision)) => git
                .commit(revision)
                .map_err(|said| unknown(revision, &said))?,
        };
        let text = self
            .store
            .read(Kind::Commit, &commit)
            .map_err(|said| unknown(&commit, &said))?;
        let text = String::from_utf8_lossy(&text);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("committer "));
        let time = line.and_then(|line| line.rsplit(' ').nth(1)?.parse().ok());
        Ok(Base {
            commit,
            time: time.unwrap_or(0),
        })
    }

    /// The bytes of the regular file `path` (relative to the repository) in `commit`.
    ///
    /// # Errors
    /// [`RepoError::NotARegularFile`], [`RepoError::UnknownRevision`].
    pub fn bytes_at(&self, commit: &str, path: &str) -> Result<Vec<u8>, RepoError> {
        let tree = self.tree_of(commit)?;
        let entry = self.regular(&tree, commit, path)?;
        self.store
            .read(Kind::Blob, &entry.id)
            .map_err(|said| self.failed("read a file", &said))
    }

    /// `user.name` and `user.email` as git would find them, if both are set.
    pub fn identity(&self) -> Option<Person> {
        let get = |key: &str| {
            let value = self.store.config(key)?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        Some(Person {
            name: get("user.name")?,
            email: get("user.email")?,
        })
    }

    /// Where the remote `name` is pushed to, as the configuration has it.
    pub fn remote(&self, name: &str) -> Option<String> {
        let get = |key: &str| self.store.config(&format!("remote.{name}.{key}"));
        get("pushurl")
            .or_else(|| get("url"))
            .filter(|url| !url.is_empty())
    }

    /// Id of the tree of `commit`.
    fn tree_of(&self, commit: &str) -> Result<String, RepoError> {
        let text = self.store.read(Kind::Commit, commit);
        let text = text.map_err(|detail| RepoError::UnknownRevision {
            revision: commit.to_owned(),
            path: self.root.clone(),
            detail,
        })?;
        let text = String::from_utf8_lossy(&text);
        let tree = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("tree "));
        tree.map(str::to_owned)
            .ok_or_else(|| self.failed("read the commit", "it has no tree"))
    }

    /// What libgit2 refuses.
    fn refused(&self, action: &'static str, error: &git2::Error) -> RepoError {
        // Which lock stands in the words alone.
        let lock = error.message().split('\'').nth(1);
        if let Some(lock) = lock.filter(|_| error.code() == ErrorCode::Locked) {
            let path = PathBuf::from(format!("{}.lock", lock.trim_end_matches(".lock")));
            return RepoError::Locked { path };
        }
        self.failed(action, error.message())
    }

    /// What only libgit2 can do is not done in other formats.
    fn library(&self, action: &'static str) -> Result<&git2::Repository, RepoError> {
        match &self.store {
            Store::Library(git) => Ok(git),
            Store::Program(_) => {
                Err(self.failed(action, "it has a format in which that is not done"))
            }
        }
    }

    fn failed(&self, action: &'static str, said: &str) -> RepoError {
        RepoError::Git {
            action,
            path: self.root.clone(),
            detail: said.to_owned(),
        }
    }
}

fn canonical(path: &Path) -> Result<PathBuf, RepoError> {
    path.canonicalize().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => RepoError::NoSuchPath {
            path: path.to_owned(),
        },
        _ => RepoError::Io {
            path: path.to_owned(),
            source,
        },
    })
}
