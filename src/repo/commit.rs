//! Writing a commit that no ref points to yet.
//!
//! Invariant: equal input gives the same id: no clock and no configuration goes into it, and of signatures those that
//! are made by a key of a kind that always signs alike (ssh's ed25519) do not change that.

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid};

use super::{Repo, RepoError, Signer};

/// Who a commit is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// As in `user.name`.
    pub name: String,
    /// As in `user.email`.
    pub email: String,
}

/// A commit to be: `base` with other bytes in some of its files.
#[derive(Debug, Clone, Copy)]
pub struct NewCommit<'a> {
    /// Id of the commit whose files it starts from, in hex.
    pub base: &'a str,
    /// Id of the only parent: `base`, or a commit that was made from it.
    pub parent: &'a str,
    /// Paths relative to the repository, and the new bytes.
    pub files: &'a [(String, Vec<u8>)],
    /// Those of `files` that the base does not have; they become ordinary files.
    pub added: &'a [&'a str],
    /// Who the change is by.
    pub author: &'a Person,
    /// Who writes the commit.
    pub committer: &'a Person,
    /// Author and commit time, in seconds since 1970 UTC; written with offset +0000.
    pub time: i64,
    /// The whole message.
    pub message: &'a str,
    /// What signs it.
    pub signer: Option<&'a Signer>,
}

impl Repo {
    /// Whether `commit` has anything at `path`.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`].
    pub fn has(&self, commit: &str, path: &str) -> Result<bool, RepoError> {
        let tree = self.tree_of(commit)?;
        Ok(tree.get_path(std::path::Path::new(path)).is_ok())
    }

    /// Writes a commit that no ref points to, and gives its id. Each file keeps its mode.
    ///
    /// # Errors
    /// [`RepoError::NotARegularFile`] when a path is absent, a symlink or a submodule in the base;
    /// [`RepoError::BadPerson`]; [`RepoError::NotSigned`]; [`RepoError::UnknownRevision`] when the base is gone.
    pub fn commit(&self, new: &NewCommit<'_>) -> Result<String, RepoError> {
        let author = signature(new.author, new.time)?;
        let committer = signature(new.committer, new.time)?;
        let base = self.tree_of(new.base)?;
        let mut update = TreeUpdateBuilder::new();
        for (path, bytes) in new.files {
            let mode = match new.added.contains(&path.as_str()) {
                true => FileMode::Blob,
                false => self.regular(&base, new.base, path)?.1,
            };
            let blob = self
                .git
                .blob(bytes)
                .map_err(|error| self.failed("write a file", &error))?;
            update.upsert(path.as_str(), blob, mode);
        }
        let failed = |error: git2::Error| self.failed("write the commit", &error);
        let tree = update.create_updated(&self.git, &base).map_err(failed)?;
        let parent = new.parent;
        let head =
            format!("tree {tree}\nparent {parent}\nauthor {author}\ncommitter {committer}\n");
        let mut text = format!("{head}\n{}", new.message);
        if let Some(signer) = new.signer {
            let signed = signer.sign(text.as_bytes(), new.committer)?;
            let signed: Vec<&str> = signed.trim_end().lines().collect();
            text = format!("{head}gpgsig {}\n\n{}", signed.join("\n "), new.message);
        }
        let odb = self.git.odb().map_err(failed)?;
        let id = odb
            .write(ObjectType::Commit, text.as_bytes())
            .map_err(failed)?;
        Ok(id.to_string())
    }

    pub(super) fn regular(
        &self,
        tree: &git2::Tree<'_>,
        commit: &str,
        path: &str,
    ) -> Result<(Oid, FileMode), RepoError> {
        let entry = tree.get_path(std::path::Path::new(path)).ok();
        let found = entry.and_then(|entry| match entry.filemode() {
            0o100_644 => Some((entry.id(), FileMode::Blob)),
            0o100_755 => Some((entry.id(), FileMode::BlobExecutable)),
            _ => None,
        });
        found.ok_or_else(|| RepoError::NotARegularFile {
            path: path.to_owned(),
            commit: commit.to_owned(),
        })
    }
}

/// `Name <mail> time +0000`. What could end the line or the name there would corrupt the commit.
fn signature(person: &Person, time: i64) -> Result<String, RepoError> {
    // What git drops at both ends.
    let crud = |c: char| c <= ' ' || ".,:;<>\"\\'".contains(c);
    let bad = |text: &str| {
        text.trim_matches(crud).is_empty()
            || text
                .chars()
                .any(|c| c.is_control() || matches!(c, '<' | '>'))
    };
    if bad(&person.name) || bad(&person.email) {
        return Err(RepoError::BadPerson {
            person: format!("{:?} {:?}", person.name, person.email),
        });
    }
    let (name, email) = (
        person.name.trim_matches(crud),
        person.email.trim_matches(crud),
    );
    Ok(format!("{name} <{email}> {time} +0000"))
}
