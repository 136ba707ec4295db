//! The ledger's first half: every load that stands in the code, found by name, before any flow is followed.
//!
//! Invariant: bytes first. A file that neither names a sink's module nor is reached from one that does is never parsed;
//! a file that might hide something from a search by bytes (NUL bytes) is.

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::imports::{Word, Words};
use super::taint::Place;
use crate::pack::{Model, SinkId};
use crate::project::{FileId, Project};
use crate::python::{ChainRole, SourceFile};

/// How a load stands in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `pickle.loads(x)`.
    Call,
    /// `map(pickle.loads, xs)`: the function itself is handed on.
    Reference,
    /// `class Loader(pickle.Unpickler)`.
    Base,
    /// A call whose target only the flow of values shows: `registry["pickle"](x)`.
    Indirect,
    /// `SESSION_SERIALIZER = "..."`: a setting that makes a library load.
    Setting,
}

/// One load in the code.
#[derive(Debug, Clone)]
pub struct Site {
    /// The call, or the reference.
    pub place: Place,
    /// Which sink.
    pub sink: SinkId,
    /// Its qualified name: `pickle.loads`.
    pub name: String,
    /// How it stands there.
    pub form: Form,
}

/// Files that name a sink, by a search of their bytes: they import its module and use its name, or use a module that is
/// about pickles alone.
pub(super) fn naming_files(project: &Project, model: &Model, imports: &[Words]) -> Vec<FileId> {
    let (alone, with_module): (Vec<_>, Vec<_>) = model
        .sink_words()
        .into_iter()
        .partition(|set| set.len() == 1);
    let files: Vec<FileId> = project.ids().collect();
    let alone: Vec<String> = alone.into_iter().flatten().collect();
    let Ok(search) = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(&alone)
    else {
        return files;
    };
    let mut by_module: FxHashMap<Word, Vec<Vec<Finder<'_>>>> = FxHashMap::default();
    for set in &with_module {
        if let Some((module, words)) = set.split_first() {
            let words = words.iter().map(|word| Finder::new(word.as_str()));
            let sets = by_module.entry(Word::of(module.as_bytes())).or_default();
            sets.push(words.collect());
        }
    }
    let used = |sets: &Vec<Vec<Finder<'_>>>, bytes: &[u8]| {
        let mut sets = sets.iter();
        sets.any(|words| words.iter().all(|word| is_used(word, bytes)))
    };
    let names = |file: FileId| {
        let bytes = project.bytes(file);
        let Some(imported) = imports.get(file.0) else {
            return true;
        };
        let mut words = imported.iter();
        let mut alone = search.find_iter(bytes);
        alone.any(|found| is_used_at(bytes, found.start(), found.end()))
            || words.any(|word| {
                let sets = by_module.get(&word);
                sets.is_some_and(|sets| used(sets, bytes))
            })
            || (imported.dynamic && by_module.values().any(|sets| used(sets, bytes)))
            // What a search by bytes could miss.
            || memchr::memchr(0, bytes).is_some()
    };
    files.into_par_iter().filter(|file| names(*file)).collect()
}

/// Whether `word` stands in `bytes` as an attribute, or as a name of its own that is imported or passed.
fn is_used(word: &Finder<'_>, bytes: &[u8]) -> bool {
    let length = word.needle().len();
    word.find_iter(bytes)
        .any(|at| is_used_at(bytes, at, at + length))
}

/// Whether the word from `start` to `end` of `bytes` stands there so: comments speak of pickles, too.
fn is_used_at(bytes: &[u8], start: usize, end: usize) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let before = start.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    let after = bytes.get(end).copied();
    if after.is_some_and(is_word) {
        return false;
    }
    match before {
        Some(b'.') => true,
        // `from yaml import load`, `allow_pickle=True`, `"loads"`.
        None
        | Some(
            b' ' | b'\t' | b'\n' | b'(' | b'[' | b'{' | b',' | b'=' | b':' | b';' | b'"' | b'\'',
        ) => {
            let next = bytes.get(end + 1..end + 4);
            let beyond = bytes.get(end + 1).copied();
            match after {
                None
                | Some(b',' | b'\n' | b'\r' | b')' | b'=' | b'"' | b'\'' | b';' | b'#' | b'\\') => {
                    true
                }
                // `pickle.loads`, not the end of a sentence.
                Some(b'.') => beyond.is_some_and(is_word),
                Some(b' ') => next == Some(b"as ") || next == Some(b"imp"),
                _ => false,
            }
        }
        _ => false,
    }
}

/// The loads of one file.
pub(super) fn sites_of(
    project: &Project,
    model: &Model,
    file: FileId,
    source: &SourceFile,
) -> Vec<Site> {
    let mut sites = Vec::new();
    for chain in source.scopes().chains() {
        let names = source.scopes().resolve(chain.scope, &chain.parts);
        let sink = names.iter().find_map(|name| {
            let top = name.split('.').next().unwrap_or(name);
            let sink = model.sink(name)?;
            project
                .module(file, top)
                .is_none()
                .then_some((sink, name.clone()))
        });
        let open = || {
            let last = chain.parts.last().filter(|_| chain.parts.len() > 1)?;
            Some((model.open_sink(last)?, last.to_string()))
        };
        let Some((sink, name)) = sink.or_else(open) else {
            continue;
        };
        let (span, form) = match chain.role {
            ChainRole::Called(call) => (call, Form::Call),
            ChainRole::Base => (chain.span, Form::Base),
            ChainRole::Read => (chain.span, Form::Reference),
            // Calls through the alias are sites themselves.
            ChainRole::Aliased => continue,
        };
        sites.push(Site {
            place: Place { file, span },
            sink,
            name,
            form,
        });
    }
    // The parser's visitor comes by the test of an `elif` twice.
    sites.sort_by_key(|site| site.place);
    sites.dedup_by_key(|site| site.place);
    sites
}
