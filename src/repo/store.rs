//! Objects and refs of a repository, by libgit2, or by the git program for formats that libgit2 does not know.
//!
//! Invariant: both give and take the same: ids in hex, objects as git stores them, and no object that is not here is
//! ever fetched.

use git2::{ErrorCode, ObjectType, Oid};

use super::program::Program;

/// Where objects and refs come from.
pub(super) enum Store {
    Library(git2::Repository),
    Program(Program),
}

/// Kinds of objects that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blob,
    Tree,
    Commit,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Blob => "blob",
            Kind::Tree => "tree",
            Kind::Commit => "commit",
        }
    }

    fn of(kind: ObjectType) -> Option<Kind> {
        match kind {
            ObjectType::Blob => Some(Kind::Blob),
            ObjectType::Tree => Some(Kind::Tree),
            ObjectType::Commit => Some(Kind::Commit),
            _ => None,
        }
    }
}

/// `bytes` as an id is written. By hand: a large commit has hundreds of thousands of them.
fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

/// What a ref says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ref {
    pub name: String,
    /// The commit, if it leads to one.
    pub id: Option<String>,
    /// The ref that it stands for.
    pub symbolic: Option<String>,
}

/// One line of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// As it is written: old trees have modes of their own.
    mode: Vec<u8>,
    pub name: Vec<u8>,
    pub id: String,
}

impl Entry {
    pub(super) fn new(folder: bool, name: &str, id: String) -> Entry {
        let mode: &[u8] = if folder { b"40000" } else { b"100644" };
        Entry {
            mode: mode.to_vec(),
            name: name.as_bytes().to_vec(),
            id,
        }
    }

    /// Its place among the others, as git sorts them: a folder as if a slash stood after it.
    pub(super) fn rank(&self) -> Vec<u8> {
        let slash = self.is_folder().then_some(b'/');
        self.name.iter().copied().chain(slash).collect()
    }

    /// The mode as git takes it today.
    pub(super) fn mode(&self) -> u32 {
        let text = std::str::from_utf8(&self.mode).unwrap_or_default();
        let mode = u32::from_str_radix(text, 8).unwrap_or(0);
        match mode & 0o170_000 {
            0o100_000 if mode & 0o111 != 0 => 0o100_755,
            0o100_000 => 0o100_644,
            kind => kind,
        }
    }

    pub(super) fn is_folder(&self) -> bool {
        self.mode() == 0o040_000
    }

    pub(super) fn is_regular(&self) -> bool {
        matches!(self.mode(), 0o100_644 | 0o100_755)
    }
}

impl Store {
    /// Kind and size of the object `id`; none when it is not here.
    pub(super) fn header(&self, id: &str) -> Option<(Kind, u64)> {
        match self {
            Store::Library(git) => {
                let odb = git.odb().ok()?;
                let (size, kind) = odb.read_header(Oid::from_str(id).ok()?).ok()?;
                Some((Kind::of(kind)?, size as u64))
            }
            Store::Program(git) => git.header(id),
        }
    }

    /// The object `id`, which must be of this kind.
    pub(super) fn read(&self, kind: Kind, id: &str) -> Result<Vec<u8>, String> {
        match self {
            Store::Library(git) => {
                let read = || -> Result<_, git2::Error> {
                    let odb = git.odb()?;
                    let object = odb.read(Oid::from_str(id)?)?;
                    Ok((object.kind(), object.data().to_vec()))
                };
                let (found, bytes) = read().map_err(|error| error.message().to_owned())?;
                match Kind::of(found) == Some(kind) {
                    true => Ok(bytes),
                    false => Err(format!("object {id} is no {}", kind.word())),
                }
            }
            Store::Program(git) => git.read(kind, id),
        }
    }

    /// Writes an object, and gives its id.
    pub(super) fn write(&self, kind: Kind, bytes: &[u8]) -> Result<String, String> {
        match self {
            Store::Library(git) => {
                let kind = match kind {
                    Kind::Blob => ObjectType::Blob,
                    Kind::Tree => ObjectType::Tree,
                    Kind::Commit => ObjectType::Commit,
                };
                let written = git.odb().and_then(|odb| odb.write(kind, bytes));
                written
                    .map(|id| id.to_string())
                    .map_err(|error| error.message().to_owned())
            }
            Store::Program(git) => git.write(kind, bytes),
        }
    }

    /// The lines of the tree `id`.
    pub(super) fn tree(&self, id: &str) -> Result<Vec<Entry>, String> {
        let bytes = self.read(Kind::Tree, id)?;
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let line = || {
                let space = rest.iter().position(|b| *b == b' ')?;
                let zero = rest.iter().position(|b| *b == 0).filter(|at| *at > space)?;
                let end = zero + 1 + id.len() / 2;
                let entry = Entry {
                    mode: rest[..space].to_vec(),
                    name: rest[space + 1..zero].to_vec(),
                    id: hex(rest.get(zero + 1..end)?),
                };
                Some((entry, end))
            };
            let (entry, end) = line().ok_or_else(|| format!("the tree {id} is damaged"))?;
            entries.push(entry);
            rest = &rest[end..];
        }
        Ok(entries)
    }

    /// Writes a tree of `entries`.
    pub(super) fn write_tree(&self, entries: &[Entry]) -> Result<String, String> {
        let mut bytes = Vec::new();
        for entry in entries {
            bytes.extend_from_slice(&entry.mode);
            bytes.push(b' ');
            bytes.extend_from_slice(&entry.name);
            bytes.push(0);
            let digits = entry.id.as_bytes().chunks(2);
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let id: Option<Vec<u8>> = digits.map(byte).collect();
            bytes.extend(id.ok_or_else(|| format!("{} is no id", entry.id))?);
        }
        self.write(Kind::Tree, &bytes)
    }

    /// The line of `path` below the tree `id`; none when there is none.
    pub(super) fn at(&self, id: &str, path: &str) -> Result<Option<Entry>, String> {
        let mut tree = id.to_owned();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let entries = self.tree(&tree)?;
            let found = entries.into_iter().find(|one| one.name == part.as_bytes());
            match found {
                Some(entry) if parts.peek().is_none() => return Ok(Some(entry)),
                Some(entry) if entry.is_folder() => tree = entry.id,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The ref `name`.
    pub(super) fn find(&self, name: &str) -> Result<Option<Ref>, String> {
        match self {
            Store::Library(git) => match git.find_reference(name) {
                Ok(found) => {
                    let symbolic = found.symbolic_target_bytes();
                    let symbolic = symbolic.map(|name| String::from_utf8_lossy(name).into_owned());
                    let direct = match symbolic {
                        Some(_) => found
                            .resolve()
                            .map_err(|error| error.message().to_owned())?,
                        None => found,
                    };
                    Ok(Some(Ref {
                        name: name.to_owned(),
                        id: direct.target().map(|id| id.to_string()),
                        symbolic,
                    }))
                }
                Err(error)
                    if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) =>
                {
                    Ok(None)
                }
                Err(error) => Err(error.message().to_owned()),
            },
            Store::Program(git) => {
                let refs = git.refs(name)?;
                Ok(refs.into_iter().find(|one| one.name == name))
            }
        }
    }

    /// Full names of the refs below `folder`.
    pub(super) fn below(&self, folder: &str) -> Result<Vec<String>, String> {
        match self {
            Store::Library(git) => {
                let said = |error: git2::Error| error.message().to_owned();
                let mut refs = git.references_glob(&format!("{folder}/*")).map_err(said)?;
                let names = refs.names().map(|name| Ok(name.map_err(said)?.to_owned()));
                names.collect()
            }
            Store::Program(git) => {
                let refs = git.refs(folder)?.into_iter().map(|one| one.name);
                let inside = |name: &String| name.starts_with(&format!("{folder}/"));
                Ok(refs.filter(inside).collect())
            }
        }
    }

    /// Mode and path of what the index has.
    pub(super) fn index(&self) -> Result<Vec<(u32, Vec<u8>)>, String> {
        match self {
            Store::Library(git) => {
                let index = git.index().map_err(|error| error.message().to_owned())?;
                Ok(index.iter().map(|one| (one.mode, one.path)).collect())
            }
            Store::Program(git) => git.index(),
        }
    }

    /// The last value of `key` in all that git reads.
    pub(super) fn config(&self, key: &str) -> Option<String> {
        match self {
            Store::Library(git) => git.config().ok()?.snapshot().ok()?.get_string(key).ok(),
            Store::Program(git) => git.config(key),
        }
    }
}
