//! The Python files of a folder, and which of them are wanted.
//!
//! Invariant: every Python file is either in the listing or skipped with a reason; nothing is followed or waited for.

use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;

use super::RepoError;

/// Larger files are not read, in bytes: no Python file that people wrote comes near.
pub(super) const MOST_BYTES: usize = 10 << 20;

/// Which files are wanted, as globs on the relative path.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these, when there are any.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
    /// Read files that ignore files name, too.
    pub no_ignore: bool,
}

/// A [`Filter`] ready to use.
pub(super) struct Wanted {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Filter {
    pub(super) fn compiled(&self) -> Result<Wanted, RepoError> {
        let set = |globs: &[String]| {
            let mut builder = GlobSetBuilder::new();
            for glob in globs {
                let compiled = Glob::new(glob).map_err(|error| RepoError::BadGlob {
                    glob: glob.clone(),
                    why: error.kind().to_string(),
                })?;
                builder.add(compiled);
            }
            builder.build().map_err(|error| RepoError::BadGlob {
                glob: globs.join(" "),
                why: error.to_string(),
            })
        };
        let include = match self.include.is_empty() {
            true => None,
            false => Some(set(&self.include)?),
        };
        Ok(Wanted {
            include,
            exclude: set(&self.exclude)?,
        })
    }
}

impl Wanted {
    /// Whether `path` is wanted.
    pub(super) fn takes(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(path)) && !self.exclude.is_match(path)
    }
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Relative path, `/`-separated.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why a file was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// A symbolic link: what it names is read where it is.
    Symlink,
    /// A submodule is a repository of its own.
    Submodule,
    /// Over 10 MiB.
    TooLarge,
    /// A pointer to content that git LFS keeps.
    LfsPointer,
    /// .gitattributes puts a filter on it.
    FilteredByAttribute,
    /// No permission, or it vanished.
    Unreadable,
    /// Its name is not UTF-8.
    NotUtf8Name,
    /// A pipe, socket or device.
    NotAFile,
}

impl SkipReason {
    /// Kebab-case code.
    pub fn code(self) -> &'static str {
        match self {
            SkipReason::Symlink => "symlink",
            SkipReason::Submodule => "submodule",
            SkipReason::TooLarge => "too-large",
            SkipReason::LfsPointer => "lfs-pointer",
            SkipReason::FilteredByAttribute => "filtered-by-attribute",
            SkipReason::Unreadable => "unreadable",
            SkipReason::NotUtf8Name => "not-utf-8-name",
            SkipReason::NotAFile => "not-a-file",
        }
    }
}

/// A file that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Relative path.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
}

/// The Python files of one place, in the order of their paths.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that were read.
    pub files: Vec<Found>,
    /// Those that were not.
    pub skipped: Vec<Skipped>,
}

impl Listing {
    pub(super) fn skip(&mut self, path: String, reason: SkipReason) {
        self.skipped.push(Skipped { path, reason });
    }

    pub(super) fn add(&mut self, path: String, bytes: Vec<u8>) {
        match bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
            true => self.skip(path, SkipReason::LfsPointer),
            false => self.files.push(Found { path, bytes }),
        }
    }

    pub(super) fn sort(&mut self) {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

/// Whether `path` is named as Python.
pub(super) fn is_python(path: &str) -> bool {
    path.ends_with(".py") || path.ends_with(".pyw")
}

/// The Python files below `root`, or the one file `root`. Ignore files are honoured as git does; links are not followed.
///
/// # Errors
/// [`RepoError::BadGlob`]; trouble with single files is in the listing.
pub fn files_in(root: &Path, filter: &Filter) -> Result<Listing, RepoError> {
    let wanted = filter.compiled()?;
    let mut listing = Listing::default();
    if root.is_file() {
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        read(root, name.into_owned(), &mut listing);
        return Ok(listing);
    }
    let ignores = !filter.no_ignore;
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .hidden(false)
        .parents(ignores)
        .git_ignore(ignores)
        .git_exclude(ignores)
        .git_global(false)
        .require_git(true)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                // A folder that cannot be entered may hold anything.
                listing.skip(unreadable_path(&error, root), SkipReason::Unreadable);
                continue;
            }
        };
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let lossy = below.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        if !is_python(&lossy) || !wanted.takes(&lossy) {
            continue;
        }
        let Some(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            continue;
        } else if below.to_str().is_none() {
            listing.skip(lossy, SkipReason::NotUtf8Name);
        } else if kind.is_symlink() {
            // A link to a folder is no Python file.
            if !entry.path().is_dir() {
                listing.skip(lossy, SkipReason::Symlink);
            }
        } else if !kind.is_file() {
            listing.skip(lossy, SkipReason::NotAFile);
        } else {
            read(entry.path(), lossy, &mut listing);
        }
    }
    listing.sort();
    Ok(listing)
}

fn read(path: &Path, name: String, listing: &mut Listing) {
    let size = std::fs::metadata(path).map(|meta| meta.len());
    if size.is_ok_and(|size| usize::try_from(size).unwrap_or(usize::MAX) > MOST_BYTES) {
        return listing.skip(name, SkipReason::TooLarge);
    }
    match std::fs::read(path) {
        Ok(bytes) => listing.add(name, bytes),
        Err(_) => listing.skip(name, SkipReason::Unreadable),
    }
}

fn unreadable_path(error: &ignore::Error, root: &Path) -> String {
    let path = match error {
        ignore::Error::WithPath { path, .. } => path.as_path(),
        ignore::Error::WithDepth { err, .. } => return unreadable_path(err, root),
        _ => Path::new("?"),
    };
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
