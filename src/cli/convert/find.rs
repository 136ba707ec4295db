//! Which files are looked at: those named, and every regular file in the folders named; the files of a shelf are one.
//!
//! Invariant: no link is followed, and whatever is passed over is told.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::pickle::{may_hold, shelf};

/// Something to convert.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Item {
    /// As it is shown.
    pub name: String,
    /// From the root on; of a shelf without the endings of its files.
    pub path: PathBuf,
    pub kind: Kind,
    /// Whether it was found in a folder, and not named.
    pub within: bool,
    /// Where it is in that folder; its own name if it was named.
    pub below: PathBuf,
    /// Which argument it belongs to.
    pub asked: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    File,
    Shelf,
}

/// What is there.
#[derive(Debug, Default)]
pub(in crate::cli) struct Found {
    pub items: Vec<Item>,
    /// Files that begin as no pickle does.
    pub others: usize,
    /// What was passed over, and why.
    pub unseen: Vec<(String, String)>,
}

/// Files larger than this are looked at by their first bytes before they are read whole.
const LARGE: u64 = 1 << 20;

/// What `path`, the argument number `asked`, holds.
pub(in crate::cli) fn find(asked: usize, path: &Path) -> Found {
    let name = path.display().to_string();
    let unseen = |why: String| Found {
        unseen: vec![(name.clone(), why)],
        ..Found::default()
    };
    let one = |item| Found {
        items: vec![item],
        ..Found::default()
    };
    let own = |path: &Path, kind| {
        let whole = path.parent().filter(|up| !up.as_os_str().is_empty());
        let folder = whole.unwrap_or(Path::new(".")).canonicalize();
        let below = PathBuf::from(path.file_name().unwrap_or_default());
        folder.map(|folder| Item {
            name: path.display().to_string(),
            path: folder.join(&below),
            kind,
            within: false,
            below,
            asked,
        })
    };
    if path == Path::new("-") {
        return unseen("standard input has no name to write beside; put it into a file".to_owned());
    }
    let meta = fs::metadata(path);
    if meta.as_ref().is_ok_and(fs::Metadata::is_dir) {
        return walk(asked, path);
    }
    if let Some(base) = shelf_of(path) {
        return match own(&base, Kind::Shelf) {
            Ok(item) => one(item),
            Err(error) => unseen(error.to_string()),
        };
    }
    // `dbm.ndbm` adds an ending of its own.
    let database = with(path, ".db");
    let path = match meta.is_err() && database.is_file() {
        true => database.as_path(),
        false => path,
    };
    match (fs::metadata(path), own(path, Kind::File)) {
        (Err(error), _) | (_, Err(error)) => unseen(error.to_string()),
        (Ok(meta), _) if !meta.is_file() => unseen("it is no regular file".to_owned()),
        (Ok(_), Ok(item)) => one(item),
    }
}

/// The name of the shelf that `path` is, or one of whose files it is.
fn shelf_of(path: &Path) -> Option<PathBuf> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let base = match ending {
        Some("dir" | "dat" | "bak") => path.with_extension(""),
        _ => path.to_owned(),
    };
    if base == path && path.exists() {
        return None;
    }
    is_shelf(&base).then_some(base)
}

/// Whether there are both files of a shelf called `base`, and the index is one.
fn is_shelf(base: &Path) -> bool {
    let regular = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    let index = with(base, ".dir");
    let both = regular(&index) && regular(&with(base, ".dat"));
    both && fs::read(index).is_ok_and(|index| shelf(&index).is_ok())
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Everything below `root`, by name.
fn walk(asked: usize, root: &Path) -> Found {
    let mut found = Found::default();
    let whole = match root.canonicalize() {
        Ok(whole) => whole,
        Err(error) => {
            let name = root.display().to_string();
            found.unseen.push((name, error.to_string()));
            return found;
        }
    };
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let here = whole.join(&below);
        let shown = |below: &Path| root.join(below).display().to_string();
        let entries = fs::read_dir(&here).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                found.unseen.push((shown(&below), error.to_string()));
                continue;
            }
        };
        let names: BTreeSet<OsString> = entries.iter().map(|entry| entry.file_name()).collect();
        let mut shelves = BTreeSet::new();
        for name in &names {
            let path = Path::new(name);
            if path.extension().is_some_and(|ending| ending == "dir")
                && is_shelf(&here.join(path.with_extension("")))
            {
                shelves.insert(path.with_extension(""));
            }
        }
        let item = |name: &Path, kind| {
            let below = below.join(name);
            Item {
                name: shown(&below),
                path: whole.join(&below),
                kind,
                within: true,
                below,
                asked,
            }
        };
        let kept = shelves.iter().map(|name| item(name, Kind::Shelf));
        found.items.extend(kept);
        let mut inner = Vec::new();
        for name in &names {
            let (path, at) = (here.join(name), below.join(name));
            let stem = at
                .file_name()
                .map(|name| Path::new(name).with_extension(""));
            let ending = path.extension().and_then(|ending| ending.to_str());
            if matches!(ending, Some("dir" | "dat" | "bak"))
                && stem.is_some_and(|stem| shelves.contains(&stem))
            {
                continue;
            }
            let (meta, shown) = (fs::symlink_metadata(&path), shown(&at));
            match meta {
                Err(error) => found.unseen.push((shown, error.to_string())),
                Ok(meta) if meta.is_dir() => inner.push(at),
                Ok(meta) if meta.is_symlink() => {
                    found
                        .unseen
                        .push((shown, "it is a symbolic link".to_owned()));
                }
                Ok(meta) if !meta.is_file() => {
                    found
                        .unseen
                        .push((shown, "it is no regular file".to_owned()));
                }
                Ok(meta) if meta.len() > LARGE && !begins(&path) => found.others += 1,
                Ok(_) => found.items.push(item(Path::new(name), Kind::File)),
            }
        }
        folders.extend(inner.into_iter().rev());
    }
    found
}

/// Whether the first bytes of a large file may be those of pickles. What cannot be read is looked at as all is.
fn begins(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start));
    read.is_err() || may_hold(&start)
}
