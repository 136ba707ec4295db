//! A repository that is elsewhere, brought here as far as it is read: the commit and its folders, then the Python
//! files in one batch. The git program does it, so that ssh, proxies and credential helpers are as git has them.
//!
//! Invariant: nothing of a repository is executed: there is no checkout, and no hook is looked for. A stop at any
//! moment leaves a cache that the next run goes on with.
#![expect(
    clippy::disallowed_methods,
    reason = "runs the git program and keeps a cache of clones"
)]

mod bundle;
mod cache;
mod git;
mod url;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::repo::{FULL, Filter, Repo, RepoError, is_full};

pub use bundle::tip;
pub use cache::{Cache, Entry, Kept, Limits};
pub(crate) use git::FETCH;
pub use git::{Git, passes};
pub use url::Url;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// A branch, tag or commit; the remote's HEAD when there is none.
    pub base: Option<&'a str>,
    /// The folder or file that is read, when it is not all.
    pub within: Option<&'a str>,
    /// Which files are read.
    pub filter: &'a Filter,
    /// Whether git may ask on the terminal.
    pub ask: bool,
    /// How long git may take for one step.
    pub patience: Duration,
}

/// A clone, up to date. Nobody else works on it as long as this lives.
#[derive(Debug)]
pub struct Fetched {
    /// The bare repository.
    pub path: PathBuf,
    /// The ref that names the commit which was asked for.
    pub base: String,
    /// Id of that commit.
    pub commit: String,
    lock: File,
}

/// What happened. [`FetchError::hint`] says what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// An address that git is not given.
    #[error("{why}")]
    Refused {
        /// One clause.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// Git says no.
    #[error("git could not fetch it: {said}")]
    Git {
        /// What git said, in one line.
        said: String,
    },
    /// Git did not come to an end.
    #[error("git did not finish within {} s", patience.as_secs())]
    TooLong {
        /// How long it had.
        patience: Duration,
    },
    /// There is no git program.
    #[error("the git program cannot be started: {source}")]
    NoGit {
        /// Why.
        source: std::io::Error,
    },
    /// The clone cannot be read.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The cache cannot be written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl FetchError {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let git = |said: &str| {
            let has = |word: &str| said.contains(word);
            Some(if is_full(said) || has("may be full") {
                format!("{FULL}; `depickle cache prune` removes clones")
            } else if has("could not read Username")
                || has("could not read Password")
                || has("Authentication failed")
            {
                "give git its credentials by a credential helper or GIT_ASKPASS".to_owned()
            } else if has("Permission denied") || has("Host key verification failed") {
                "see that `ssh` reaches the host without asking".to_owned()
            } else if has("find remote ref HEAD") {
                "it has no commit yet, or its HEAD names no branch; name one with --base".to_owned()
            } else if has("find remote ref") {
                "no branch, tag or commit of the repository goes by the name of the base".to_owned()
            } else {
                "`git ls-remote` with the same address shows what git needs".to_owned()
            })
        };
        match self {
            FetchError::Refused { hint, .. } => Some((*hint).to_owned()),
            FetchError::Git { said } => git(said),
            FetchError::TooLong { .. } => Some("give it longer with --timeout".to_owned()),
            FetchError::NoGit { .. } => {
                Some("install git, or name folders instead of URLs".to_owned())
            }
            FetchError::Repo(error) => error.hint(),
            FetchError::Io { source, .. } if is_full(&source.to_string()) => Some(FULL.to_owned()),
            FetchError::Io { .. } => Some("--cache-dir names another folder for clones".to_owned()),
        }
    }
}

/// Brings what `order` asks for of `url` into `cache`.
///
/// # Errors
/// See [`FetchError`]; what was fetched before stays as it was.
pub fn fetch(url: &Url, order: &Order<'_>, cache: &Cache) -> Result<Fetched, FetchError> {
    let (path, lock) = cache.enter(url)?;
    let git = git::Git {
        dir: &path,
        lock: &lock,
        ask: order.ask,
        patience: order.patience,
    };
    cache.ready(url, &path, &git)?;
    let wanted = order.base.unwrap_or("HEAD");
    if wanted.starts_with(['-', '+']) || wanted.contains([':', '*']) {
        return Err(FetchError::Refused {
            why: "the base is no name of a branch, tag or commit",
            hint: "write it as main, v1.2 or a commit id",
        });
    }
    let base = format!("refs/depickle/bases/{}", digest(wanted));
    git.commit(wanted, &base)?;
    let repo = Repo::open(&path)?;
    let commit = repo.resolve(Some(&base))?;
    let prefix = match order.within {
        Some(within) => repo.within(&commit, within)?,
        None => String::new(),
    };
    let missing = repo.missing(&commit, &prefix, order.filter)?;
    if !missing.is_empty() {
        git.files(&missing, wanted, &base)?;
    }
    Ok(Fetched {
        path,
        base,
        commit: commit.commit,
        lock,
    })
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn fails(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Io {
        action,
        path,
        source,
    }
}
