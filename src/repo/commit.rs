//! Writing a commit that no ref points to yet.
//!
//! Invariant: equal input gives the same id: no clock and no configuration goes into it, and of signatures those that
//! are made by a key of a kind that always signs alike (ssh's ed25519) do not change that.

use std::collections::BTreeMap;

use super::store::{Entry, Kind};
use super::{Repo, RepoError, Signer};

/// New bytes, by their path.
type Files<'a> = BTreeMap<&'a str, &'a [u8]>;

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
        let found = self.store.at(&tree, path);
        found
            .map(|found| found.is_some())
            .map_err(|said| self.failed("read a folder", &said))
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
        let mut files = Files::new();
        for (path, bytes) in new.files {
            if !new.added.contains(&path.as_str()) {
                self.regular(&base, new.base, path)?;
            }
            files.insert(path, bytes);
        }
        let failed = |said: String| self.failed("write the commit", &said);
        let tree = self.with(Some(&base), &files).map_err(failed)?;
        let parent = new.parent;
        let head =
            format!("tree {tree}\nparent {parent}\nauthor {author}\ncommitter {committer}\n");
        let mut text = format!("{head}\n{}", new.message);
        if let Some(signer) = new.signer {
            let signed = signer.sign(text.as_bytes(), new.committer)?;
            let signed: Vec<&str> = signed.trim_end().lines().collect();
            // Each format of ids has its own header.
            let header = match tree.len() {
                64 => "gpgsig-sha256",
                _ => "gpgsig",
            };
            text = format!("{head}{header} {}\n\n{}", signed.join("\n "), new.message);
        }
        self.store
            .write(Kind::Commit, text.as_bytes())
            .map_err(failed)
    }

    /// The tree `id`, or a new one, with these `files` in it.
    fn with(&self, id: Option<&str>, files: &Files<'_>) -> Result<String, String> {
        let mut entries = id.map_or(Ok(Vec::new()), |id| self.store.tree(id))?;
        let mut below: BTreeMap<&str, Files<'_>> = BTreeMap::new();
        for (path, bytes) in files {
            let (first, rest) = path.split_once('/').unwrap_or((path, ""));
            below.entry(first).or_default().insert(rest, bytes);
        }
        for (name, files) in below {
            let at = entries.iter().position(|one| one.name == name.as_bytes());
            let there = at.and_then(|at| entries.get_mut(at));
            let file = files.get("").filter(|_| files.len() == 1);
            let fits = |one: &Entry| match file {
                Some(_) => one.is_regular(),
                None => one.is_folder(),
            };
            if name.is_empty() || there.as_ref().is_some_and(|one| !fits(one)) {
                return Err(format!("something else is in the place of {name:?}"));
            }
            let before = there.as_ref().map(|one| one.id.clone());
            let id = match file {
                Some(bytes) => self.store.write(Kind::Blob, bytes)?,
                None => self.with(before.as_deref(), &files)?,
            };
            match there {
                Some(entry) => entry.id = id,
                None => entries.push(Entry::new(file.is_none(), name, id)),
            }
        }
        entries.sort_by_cached_key(Entry::rank);
        self.store.write_tree(&entries)
    }

    /// The entry of the regular file `path` below `tree`, which is that of `commit`.
    pub(super) fn regular(&self, tree: &str, commit: &str, path: &str) -> Result<Entry, RepoError> {
        let entry = self.store.at(tree, path);
        let entry = entry.map_err(|said| self.failed("read a folder", &said))?;
        entry
            .filter(Entry::is_regular)
            .ok_or_else(|| RepoError::NotARegularFile {
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
