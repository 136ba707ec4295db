//! What can go wrong with a repository, so that the command line can say it in one line and a hint.
//!
//! Invariant: no variant holds a git2 type; whoever handles an error need not know the library.

use std::path::{Path, PathBuf};

use git2::{ErrorClass, ErrorCode};
use thiserror::Error;

/// What happened, and where. [`RepoError::hint`] says what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepoError {
    /// The path does not exist.
    #[error("no such file or directory: {}", path.display())]
    NoSuchPath {
        /// As the user gave it.
        path: PathBuf,
    },
    /// Neither the path nor a folder above it is a git repository.
    #[error("not in a git repository: {}", path.display())]
    NotARepository {
        /// As the user gave it.
        path: PathBuf,
    },
    /// The repository belongs to somebody else, and opening it could obey their configuration.
    #[error("the git repository of {} belongs to another user", path.display())]
    NotOwned {
        /// As the user gave it.
        path: PathBuf,
    },
    /// HEAD is unborn: nothing was ever committed on the current branch.
    #[error("the git repository {} has no commit yet", path.display())]
    NoCommit {
        /// Root of the repository.
        path: PathBuf,
    },
    /// No commit goes by this name.
    #[error("unknown revision {revision:?} in {}: {detail}", path.display())]
    UnknownRevision {
        /// As the user gave it.
        revision: String,
        /// Root of the repository.
        path: PathBuf,
        /// What libgit2 says.
        detail: String,
    },
    /// A format that neither libgit2 nor the git program reads: an extension that they do not know.
    #[error("the git repository of {} uses a format that depickle cannot read: {detail}", path.display())]
    Unsupported {
        /// As the user gave it.
        path: PathBuf,
        /// What libgit2 says.
        detail: String,
    },
    /// The path is not in this work tree.
    #[error("{} is outside the work tree {}", path.display(), root.display())]
    Outside {
        /// As the user gave it.
        path: PathBuf,
        /// Root of the work tree.
        root: PathBuf,
    },
    /// The path is not valid UTF-8.
    #[error("the name of {} is not valid UTF-8", path.display())]
    NotUtf8Path {
        /// The path.
        path: PathBuf,
    },
    /// The folder or file is not part of the commit that is read.
    #[error("{path:?} is not in commit {commit}")]
    NotInCommit {
        /// Path relative to the repository.
        path: String,
        /// Id of the commit.
        commit: String,
    },
    /// The entry cannot be changed: absent, a symlink, a folder or a submodule.
    #[error("{path:?} is not a regular file in commit {commit}")]
    NotARegularFile {
        /// Path relative to the repository.
        path: String,
        /// Id of the commit.
        commit: String,
    },
    /// A glob that means nothing.
    #[error("bad glob {glob:?}: {detail}")]
    BadGlob {
        /// As the user gave it.
        glob: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A name or address that cannot stand in a commit.
    #[error("a commit cannot be by {person}")]
    BadPerson {
        /// Name and address, quoted.
        person: String,
    },
    /// The repository asks for signed commits, and this one cannot be.
    #[error("the commit in {} cannot be signed: {why}", path.display())]
    NotSigned {
        /// Root of the repository.
        path: PathBuf,
        /// Why: one clause.
        why: String,
    },
    /// Not a name that a branch may have.
    #[error("{branch:?} is not a valid branch name")]
    InvalidBranchName {
        /// As the user gave it.
        branch: String,
    },
    /// There is such a branch already.
    #[error("the branch {branch} exists already in {}", path.display())]
    BranchExists {
        /// The branch.
        branch: String,
        /// Root of the repository.
        path: PathBuf,
    },
    /// Git cannot have the branches `a` and `a/b` at once.
    #[error("the branch {branch} cannot be beside the branch {by} in {}", path.display())]
    BranchBlocked {
        /// The branch that was to be made.
        branch: String,
        /// The branch that is in the way.
        by: String,
        /// Root of the repository.
        path: PathBuf,
    },
    /// The branch is checked out, or in the middle of a rebase or bisect.
    #[error("the branch {branch} is in use by the work tree {}", worktree.display())]
    BranchCheckedOut {
        /// The branch.
        branch: String,
        /// The work tree that uses it.
        worktree: PathBuf,
    },
    /// The branch does not point where it should.
    #[error("the branch {branch} in {} is at {} and not at {expected}", path.display(), found.as_deref().unwrap_or("nothing"))]
    BranchMoved {
        /// The branch.
        branch: String,
        /// Id of the commit where it should be.
        expected: String,
        /// Where it is: a commit id, or the ref that it stands for; none when it is gone.
        found: Option<String>,
        /// Root of the repository.
        path: PathBuf,
    },
    /// A lock of git's is in the way.
    #[error("git's lock {} is held", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// Anything else that libgit2 refuses.
    #[error("cannot {action} in {}: {detail}", path.display())]
    Git {
        /// What was tried: a verb and its object.
        action: &'static str,
        /// Root of the repository.
        path: PathBuf,
        /// What libgit2 says.
        detail: String,
    },
    /// The file system refuses.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl RepoError {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            RepoError::NoSuchPath { .. } => "check the spelling of the path".into(),
            RepoError::NotARepository { .. } => {
                "`depickle diff` prints the change for folders without git; `git init` and a first commit make it a repository".into()
            }
            RepoError::NotOwned { path } => format!(
                "if you trust it: git config --global --add safe.directory {}",
                quoted(&path.display().to_string())
            ),
            RepoError::NoCommit { .. } => "commit something first; `depickle diff` reads the work tree".into(),
            RepoError::UnknownRevision { .. } => {
                "`git log --oneline` lists commits; a shallow clone may lack it".into()
            }
            RepoError::Unsupported { .. } => {
                "a newer git program may read it".into()
            }
            RepoError::NotInCommit { .. } => "commit it first, or name another revision with --base".into(),
            RepoError::BadGlob { .. } => "globs look like tests/** or *_pb2.py".into(),
            RepoError::BadPerson { .. } => "give one with --author 'Name <name@example.org>'".into(),
            RepoError::NotSigned { .. } => {
                "commit.gpgsign, gpg.format and user.signingkey say how it is signed, your own configuration by which program; --no-gpg-sign stages it unsigned".into()
            }
            RepoError::InvalidBranchName { .. } => {
                "`git help check-ref-format` has the rules for names".into()
            }
            RepoError::BranchExists { branch, path } => format!(
                "choose another name with --branch, or look at it first: git -C {} log -1 {}",
                quoted(&path.display().to_string()),
                quoted(branch)
            ),
            RepoError::BranchBlocked { .. } => "choose another name with --branch".into(),
            RepoError::BranchCheckedOut { worktree, .. } => format!(
                "switch to another branch first: git -C {} switch -",
                quoted(&worktree.display().to_string())
            ),
            RepoError::BranchMoved { branch, expected, path, .. } => format!(
                "see what was added to it: git -C {} log --oneline {expected}..{}",
                quoted(&path.display().to_string()),
                quoted(branch)
            ),
            RepoError::Locked { path } => format!(
                "wait until git has ended; if none is at work there, one was killed: rm {}",
                quoted(&path.display().to_string())
            ),
            RepoError::Outside { .. } => "name a path inside of it".into(),
            RepoError::NotUtf8Path { .. } => "rename it".into(),
            RepoError::NotARegularFile { .. } => "name a file or folder that is in it".into(),
            RepoError::Git { detail, .. } if is_full(detail) => FULL.into(),
            RepoError::Git { detail, .. } if is_closed(detail) => {
                "see to the permissions there, and run it again".into()
            }
            RepoError::Git { path, .. } => format!(
                "see what git says of it: git -C {} fsck",
                quoted(&path.display().to_string())
            ),
            RepoError::Io { .. } => "check its permissions".into(),
        })
    }

    pub(super) fn opening(path: &Path, error: &git2::Error) -> RepoError {
        let path = path.to_owned();
        let detail = error.message().to_owned();
        // libgit2 has no error code of its own for formats it does not know.
        let format = [
            "unsupported extension",
            "unsupported repository version",
            "unknown object format",
        ]
        .iter()
        .any(|known| detail.contains(known));
        match (error.code(), error.class()) {
            (ErrorCode::Owner, _) => RepoError::NotOwned { path },
            _ if format => RepoError::Unsupported { path, detail },
            (ErrorCode::NotFound, ErrorClass::Repository | ErrorClass::Os) => {
                RepoError::NotARepository { path }
            }
            _ => RepoError::Git {
                action: "open the git repository",
                path,
                detail,
            },
        }
    }
}

/// Whether `detail`, in the words of an operating system or of git, says that a disk takes no more.
pub(crate) fn is_full(detail: &str) -> bool {
    let full = [
        "No space left",
        "no storage space",
        "not enough space",
        "Out of diskspace",
        "File too large",
        "file too large",
        "quota exceeded",
    ];
    full.iter().any(|words| detail.contains(words))
}

/// Whether it says that nothing may be written there.
fn is_closed(detail: &str) -> bool {
    ["Read-only file system", "ermission denied"]
        .iter()
        .any(|words| detail.contains(words))
}

/// What to do about a full disk.
pub(crate) const FULL: &str = "make room on its disk, and run it again";

/// `text` as one word of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
