//! The Python files of a directory, each with its bytes or the reason why not; and what a listing is.
//!
//! Invariant: every Python file that the filter lets through is in [`Listing::files`] or in [`Listing::skipped`], and
//! in
//! a clean checkout both ways to list give the same bytes (as far as git itself wrote them unchanged: no `filter`, no
//! line-end conversion).

use std::collections::HashSet;
use std::fs::{self, File, FileType};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use globset::{Glob, GlobSet, GlobSetBuilder};
use ignore::{DirEntry, WalkBuilder, WalkState};
use rayon::prelude::*;

use super::{Repo, RepoError, canonical};

/// Larger files are skipped: no hand-written module comes near, and each is held in memory.
pub(super) const MAX_BYTES: u64 = 10 * 1024 * 1024;

/// Which files to list. Globs match a path relative to the listed root, or any folder above it: `tests`,
/// `**/migrations`,
/// `*_pb2.py`; `*` crosses `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// List only what matches one of these; all when empty.
    pub include: Vec<String>,
    /// List nothing that matches one of these.
    pub exclude: Vec<String>,
    /// List what git ignores, too.
    pub no_ignore: bool,
}

impl Filter {
    /// Its globs.
    ///
    /// # Errors
    /// [`RepoError::BadGlob`].
    pub fn globs(&self) -> Result<Globs, RepoError> {
        Globs::new(self)
    }
}

/// One Python file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Relative to the listed root, `/`-separated.
    pub path: String,
    /// As they are stored.
    pub bytes: Vec<u8>,
}

/// One file that was seen and not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the listed root, `/`-separated; a folder for [`SkipReason::Submodule`] and an unreadable folder.
    pub path: String,
    /// Why it was not read.
    pub reason: SkipReason,
}

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// A symbolic link: what it points to is listed under its own name, or lies outside.
    Symlink,
    /// A repository of its own.
    Submodule,
    /// Over 10 MiB.
    TooLarge,
    /// A git-lfs pointer instead of the file.
    LfsPointer,
    /// `.gitattributes` gives it a filter, so the commit does not hold what the user edits.
    FilteredByAttribute,
    /// The system, or the repository, refuses to give it; says how.
    Unreadable(String),
    /// Its name is not UTF-8.
    NotUtf8Name,
    /// A FIFO, a device or a socket.
    NotAFile,
}

impl SkipReason {
    /// The reason as a stable kebab-case word.
    pub fn code(&self) -> &'static str {
        match self {
            SkipReason::Symlink => "symlink",
            SkipReason::Submodule => "submodule",
            SkipReason::TooLarge => "too-large",
            SkipReason::LfsPointer => "lfs-pointer",
            SkipReason::FilteredByAttribute => "filtered-by-attribute",
            SkipReason::Unreadable(_) => "unreadable",
            SkipReason::NotUtf8Name => "not-utf8-name",
            SkipReason::NotAFile => "not-a-file",
        }
    }
}

/// The Python files of one place at one moment, each list in the order of its paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files with their bytes.
    pub files: Vec<Found>,
    /// Files without.
    pub skipped: Vec<Skipped>,
    /// How many Python files the filter's globs leave out.
    pub left_out: usize,
    /// How many stubs (`.pyi`) there are: they hold no code.
    pub stubs: usize,
}

impl Listing {
    pub(super) fn add(&mut self, path: String, content: Result<Vec<u8>, SkipReason>) {
        match content {
            Ok(bytes) => self.files.push(Found { path, bytes }),
            Err(reason) => self.skipped.push(Skipped { path, reason }),
        }
    }

    pub(super) fn sorted(mut self) -> Listing {
        self.files.par_sort_by(|a, b| a.path.cmp(&b.path));
        self.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        self
    }

    /// Whether it has `path`, once it is sorted.
    fn has(&self, path: &str) -> bool {
        let file = |one: &Found| one.path.as_str().cmp(path);
        let skipped = |one: &Skipped| one.path.as_str().cmp(path);
        self.files.binary_search_by(file).is_ok() || self.skipped.binary_search_by(skipped).is_ok()
    }
}

/// The Python files below `root` on disk, or `root` itself if it is a file of any name. Follows no symlink, opens
/// nothing but regular files, skips folders whose name starts with a dot. Inside a git work tree it sees what git
/// tracks and what git does
/// not ignore, and stops at repositories of their own; elsewhere it sees everything.
///
/// # Errors
/// [`RepoError::NoSuchPath`], [`RepoError::Io`] when `root` itself cannot be read, [`RepoError::BadGlob`].
/// Trouble further down is a [`Skipped`].
pub fn files_in(root: &Path, filter: &Filter) -> Result<Listing, RepoError> {
    let globs = Globs::new(filter)?;
    let root = canonical(root)?;
    let mut listing = Listing::default();
    if !root.is_dir() {
        let name = root.file_name().unwrap_or_default();
        match name.to_str() {
            Some(path) if globs.admit(path) => listing.add(path.to_owned(), read(&root)),
            Some(_) => {}
            None => listing.add(
                name.to_string_lossy().into_owned(),
                Err(SkipReason::NotUtf8Name),
            ),
        }
        return Ok(listing);
    }
    fs::read_dir(&root).map_err(|source| RepoError::Io {
        path: root.clone(),
        source,
    })?;
    if !filter.no_ignore && root.ancestors().any(cannot_ignore) {
        return all_files_in(&root, filter);
    }
    let checkout = root.ancestors().any(|folder| folder.join(".git").exists());
    let (found, nested) = mpsc::channel();
    let ignores = !filter.no_ignore;
    let unfit = Arc::new(AtomicBool::new(false));
    let seen_unfit = Arc::clone(&unfit);
    let walk = WalkBuilder::new(&root)
        .hidden(false)
        .ignore(false)
        .git_ignore(!filter.no_ignore)
        .git_global(!filter.no_ignore)
        .git_exclude(!filter.no_ignore)
        .follow_links(false)
        .filter_entry(move |entry| {
            if entry.depth() == 0 || !entry.file_type().is_some_and(|kind| kind.is_dir()) {
                return true;
            }
            if entry.file_name() == ".git" {
                return false;
            }
            if ignores && cannot_ignore(entry.path()) {
                seen_unfit.store(true, Ordering::Relaxed);
                return false;
            }
            let own = checkout && entry.path().join(".git").exists();
            if own {
                // The receiver lives as long as the walk; were it gone, nobody would ask.
                let _ = found.send(entry.path().to_owned());
            }
            !own
        })
        .threads(rayon::current_num_threads())
        .build_parallel();
    let (looked, each) = mpsc::channel();
    walk.run(|| {
        let (looked, root, globs) = (looked.clone(), &root, &globs);
        Box::new(move |entry| {
            if let Some(one) = look(root, globs, entry) {
                // As above.
                let _ = looked.send(one);
            }
            WalkState::Continue
        })
    });
    drop(looked);
    for (path, content) in each {
        match content {
            Seen::Read(content) => listing.add(path, content),
            Seen::LeftOut => listing.left_out += 1,
            Seen::Stub => listing.stubs += 1,
        }
    }
    if unfit.load(Ordering::Relaxed) {
        return all_files_in(&root, filter);
    }
    for folder in nested.try_iter() {
        let (path, _) = relative(&root, &folder);
        if globs.admit(&path) {
            listing.add(path, Err(SkipReason::Submodule));
        }
    }
    let listing = listing.sorted();
    Ok(match checkout && !filter.no_ignore {
        true => tracked_but_ignored(&root, &globs, listing),
        false => listing,
    })
}

/// Whether what `folder` says is ignored cannot be read: a FIFO never ends, nor does a link to `/dev/zero`. Git follows
/// no such link either.
fn cannot_ignore(folder: &Path) -> bool {
    [".gitignore", ".git/info/exclude"]
        .iter()
        .any(|name| fs::symlink_metadata(folder.join(name)).is_ok_and(|data| !data.is_file()))
}

/// Then nothing is ignored.
fn all_files_in(root: &Path, filter: &Filter) -> Result<Listing, RepoError> {
    let no_ignore = true;
    files_in(
        root,
        &Filter {
            no_ignore,
            ..filter.clone()
        },
    )
}

/// What the walk came to.
enum Seen {
    /// A Python file, or what cannot be read.
    Read(Result<Vec<u8>, SkipReason>),
    /// A Python file that was not asked for.
    LeftOut,
    /// A file of types alone.
    Stub,
}

/// What the walk of `root` came to, and its path, if it is of interest.
fn look(
    root: &Path,
    globs: &Globs,
    entry: Result<DirEntry, ignore::Error>,
) -> Option<(String, Seen)> {
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => {
            let (path, _) = relative(root, path_of(&error).unwrap_or(root));
            let why = SkipReason::Unreadable(cause_of(&error));
            return globs.admit(&path).then_some((path, Seen::Read(Err(why))));
        }
    };
    let file_type = entry.file_type().filter(|kind| !kind.is_dir())?;
    let kind = kind(entry.file_name().as_encoded_bytes());
    let script = || kind == Kind::Unnamed && is_script(entry.path());
    if !(matches!(kind, Kind::Python | Kind::Stub) || script()) {
        return None;
    }
    let (path, utf8) = relative(root, entry.path());
    let seen = match (globs.admit(&path), kind) {
        (true, Kind::Stub) => Seen::Stub,
        (false, Kind::Stub) => return None,
        (false, _) => Seen::LeftOut,
        (true, _) if utf8 => Seen::Read(read_as(entry.path(), file_type)),
        (true, _) => Seen::Read(Err(SkipReason::NotUtf8Name)),
    };
    Some((path, seen))
}

/// `listing`, which is sorted, with what git goes on tracking though it was told to ignore it later: [`Repo::files_at`]
/// sees it. A repository that cannot be opened has no such files, as far as can be told.
fn tracked_but_ignored(root: &Path, globs: &Globs, listing: Listing) -> Listing {
    let Ok(repo) = Repo::discover(root) else {
        return listing;
    };
    let (Ok(prefix), Ok(index)) = (repo.prefix(root), repo.store.index()) else {
        return listing;
    };
    let mut seen = HashSet::new();
    let mut more: Vec<(String, Result<Vec<u8>, SkipReason>)> = Vec::new();
    for (mode, path) in &index {
        let submodule = *mode == 0o160_000;
        let path = std::str::from_utf8(path).ok();
        let Some(below) = path.and_then(|path| path.strip_prefix(&prefix)) else {
            continue;
        };
        let kind = kind(below.as_bytes());
        let script =
            || kind == Kind::Unnamed && *mode == EXECUTABLE && is_script(&root.join(below));
        let wanted = (submodule || kind == Kind::Python || script())
            && !is_git_internal(below)
            && globs.admit(below);
        // In a conflict the index has a file three times.
        if !wanted || listing.has(below) || !seen.insert(below) {
            continue;
        }
        if submodule {
            more.push((below.to_owned(), Err(SkipReason::Submodule)));
            continue;
        }
        let on_disk = |part: &Path| fs::symlink_metadata(root.join(part));
        let folders = Path::new(below)
            .ancestors()
            .skip(1)
            .filter(|part| *part != Path::new(""));
        // Absent (deleted, or outside a sparse checkout): then it is no part of the work tree.
        if folders
            .into_iter()
            .all(|part| on_disk(part).is_ok_and(|data| data.is_dir()))
            && on_disk(Path::new(below)).is_ok()
        {
            more.push((below.to_owned(), read(&root.join(below))));
        }
    }
    if more.is_empty() {
        return listing;
    }
    let mut listing = listing;
    for (path, content) in more {
        listing.add(path, content);
    }
    listing.sorted()
}

/// The bytes of a regular file; never waits for a FIFO and never follows a symlink.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, SkipReason> {
    let data = fs::symlink_metadata(path).map_err(|error| unreadable(&error))?;
    read_as(path, data.file_type())
}

/// The same, of what is known to be of this `kind`.
fn read_as(path: &Path, kind: FileType) -> Result<Vec<u8>, SkipReason> {
    if kind.is_symlink() {
        return Err(SkipReason::Symlink);
    }
    if !kind.is_file() {
        return Err(SkipReason::NotAFile);
    }
    read_file(path).map_err(|error| unreadable(&error))?
}

fn unreadable(error: &std::io::Error) -> SkipReason {
    SkipReason::Unreadable(error.to_string())
}

fn read_file(path: &Path) -> std::io::Result<Result<Vec<u8>, SkipReason>> {
    let file = open(path)?;
    let data = file.metadata()?;
    // It may have become something else meanwhile.
    if !data.is_file() {
        return Ok(Err(SkipReason::NotAFile));
    }
    if data.len() > MAX_BYTES {
        return Ok(Err(SkipReason::TooLarge));
    }
    // One more than it says: when no more than that comes, nothing is left, and nobody needs to ask again.
    let size = data.len() as usize;
    let mut bytes = Vec::with_capacity(size + 1);
    fill(&file, &mut bytes)?;
    if bytes.len() != size {
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    Ok(match bytes.len() as u64 > MAX_BYTES {
        true => Err(SkipReason::TooLarge),
        false => not_a_pointer(bytes),
    })
}

#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let mut options = File::options();
    options.read(true).custom_flags(flags.cast_signed());
    options.open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}

/// Reads into what `bytes` has room for, in one call, without writing zeros there first.
#[cfg(unix)]
fn fill(file: &File, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let read = rustix::io::read(file, rustix::buffer::spare_capacity(bytes));
    Ok(read?)
}

#[cfg(not(unix))]
fn fill(file: &File, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    file.take(bytes.capacity() as u64).read_to_end(bytes)
}

/// A pointer is under 1024 bytes and starts with its version:
/// <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
pub(super) fn not_a_pointer(bytes: Vec<u8>) -> Result<Vec<u8>, SkipReason> {
    let pointer = bytes.len() < 1024
        && (bytes.starts_with(b"version https://git-lfs.github.com/spec/")
            || bytes.starts_with(b"version https://hawser.github.com/spec/"));
    if pointer {
        Err(SkipReason::LfsPointer)
    } else {
        Ok(bytes)
    }
}

/// Mode of an executable file in git.
pub(super) const EXECUTABLE: u32 = 0o100_755;

/// The kernel reads no more of a file to see what runs it.
const SHEBANG: usize = 256;

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Python, a notebook, or Cython.
    Python,
    /// Types alone.
    Stub,
    /// Without an extension: Python if it says so in its first line.
    Unnamed,
    /// Something else.
    Other,
}

pub(super) fn kind(path: &[u8]) -> Kind {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let ends: [&[u8]; 4] = [b".py", b".pyw", b".ipynb", b".pyx"];
    if ends.iter().any(|end| name.ends_with(end)) {
        Kind::Python
    } else if name.ends_with(b".pyi") {
        Kind::Stub
    } else if !name.contains(&b'.') {
        Kind::Unnamed
    } else {
        Kind::Other
    }
}

/// Whether the file at `path` may be executed and is run by Python. Of others nothing is read.
#[cfg(unix)]
pub(super) fn is_script(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let fits = |data: fs::Metadata| data.is_file() && data.permissions().mode() & 0o111 != 0;
    if !fs::symlink_metadata(path).is_ok_and(fits) {
        return false;
    }
    let mut head = Vec::with_capacity(SHEBANG);
    let read = open(path).map(|file| file.take(SHEBANG as u64).read_to_end(&mut head));
    read.is_ok() && runs_python(&head)
}

#[cfg(not(unix))]
pub(super) fn is_script(_: &Path) -> bool {
    false
}

/// Whether a file that begins with `head` is run by Python: `#!/usr/bin/python3.11 -u`, `#!/usr/bin/env -S python3 -u`.
pub(super) fn runs_python(head: &[u8]) -> bool {
    let Some(line) = head.strip_prefix(b"#!") else {
        return false;
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
    let line = String::from_utf8_lossy(line.get(..SHEBANG).unwrap_or(line));
    let program = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let mut words = line.split_whitespace();
    let mut name = words.next().map(program).unwrap_or_default();
    if name == "env" {
        // Options and variables come before what it runs.
        let mut rest = words
            .by_ref()
            .map(|word| word.strip_prefix("-S").unwrap_or(word));
        let run =
            rest.find(|word| !word.is_empty() && !word.starts_with('-') && !word.contains('='));
        name = run.map(program).unwrap_or_default();
    }
    if name == "uv" {
        return words.any(|word| word == "--script");
    }
    let version = ["python", "pypy"]
        .iter()
        .find_map(|stem| name.strip_prefix(stem));
    let of_version = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'w' | 't' | 'd');
    version.is_some_and(|version| version.chars().all(of_version))
}

/// Whether `path` is inside a git folder.
pub(super) fn is_git_internal(path: &str) -> bool {
    path.rsplit_once('/')
        .is_some_and(|(folders, _)| folders.split('/').any(|part| part == ".git"))
}

/// `path` below `root`, and whether its name is UTF-8.
fn relative(root: &Path, path: &Path) -> (String, bool) {
    let below = path.strip_prefix(root).unwrap_or(path);
    let text = below.to_string_lossy();
    let path = match (text.as_ref(), std::path::MAIN_SEPARATOR) {
        ("", _) => ".".to_owned(),
        (text, '/') => text.to_owned(),
        (text, separator) => text.replace(separator, "/"),
    };
    (path, below.to_str().is_some())
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}

fn cause_of(error: &ignore::Error) -> String {
    error
        .io_error()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// A [`Filter`], understood.
#[derive(Debug)]
pub struct Globs {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Globs {
    pub(super) fn new(filter: &Filter) -> Result<Globs, RepoError> {
        let include = (!filter.include.is_empty()).then(|| set(&filter.include));
        Ok(Globs {
            include: include.transpose()?,
            exclude: set(&filter.exclude)?,
        })
    }

    /// Whether `path`, or a folder above it, is let through.
    pub fn admit(&self, path: &str) -> bool {
        let hit = |set: &GlobSet| {
            let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
            !set.is_empty() && folders.chain([path]).any(|part| set.is_match(part))
        };
        self.include.as_ref().is_none_or(hit) && !hit(&self.exclude)
    }
}

fn set(globs: &[String]) -> Result<GlobSet, RepoError> {
    let bad = |glob: &str, error: &globset::Error| RepoError::BadGlob {
        glob: glob.to_owned(),
        detail: error.kind().to_string(),
    };
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        let trimmed = glob
            .strip_prefix("./")
            .unwrap_or(glob)
            .trim_end_matches('/');
        builder.add(Glob::new(trimmed).map_err(|error| bad(glob, &error))?);
    }
    builder
        .build()
        .map_err(|error| bad(&globs.join(" "), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_vanished_is_unreadable_and_no_panic() {
        let reason = read(Path::new("/nowhere/at/all.py")).unwrap_err();
        assert_eq!(reason.code(), "unreadable");
    }

    #[test]
    fn the_first_line_says_what_is_run_by_python() {
        for yes in [
            "#!/usr/bin/python\n",
            "#!/usr/bin/python3.11 -u\nx = 1",
            "#! /usr/bin/env python3\r\n",
            "#!/usr/bin/env -S python3 -u",
            "#!/usr/bin/env -Spython3 -u",
            "#!/usr/bin/env -i A=b pypy3",
            "#!/usr/bin/env -S uv run --script",
        ] {
            assert!(runs_python(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "#!",
            "python3",
            "#!/bin/sh\npython3",
            "#!/usr/bin/env",
            "#!/usr/bin/env bash",
            "#!/opt/python3/bin/ruby",
            "#!/usr/bin/pythonista",
            "#!/usr/bin/env -S uv run",
        ] {
            assert!(!runs_python(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_glob_matches_the_path_or_a_folder_above_it() {
        let filter = |include: &[&str], exclude: &[&str]| {
            let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
            Globs::new(&Filter {
                include: owned(include),
                exclude: owned(exclude),
                no_ignore: false,
            })
            .unwrap()
        };
        assert!(!filter(&[], &["tests/"]).admit("tests/deep/a.py"));
        assert!(!filter(&[], &["./tests"]).admit("tests/a.py"));
        assert!(filter(&[], &["tests"]).admit("src/tests.py"));
        assert!(!filter(&[], &["**/migrations"]).admit("app/migrations/a.py"));
        assert!(filter(&["*.py"], &[]).admit("deep/a.py"));
        assert!(!filter(&["src/**"], &[]).admit("lib/a.py"));
    }
}
