//! The ledger's first half: every load that stands in the code, found by name, before any flow is followed.
//!
//! Invariant: bytes first. A file that neither names a sink's module nor is reached from one that does is never parsed;
//! a file that might hide something from a search by bytes (NUL bytes) is.

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use rayon::prelude::*;

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

/// Files that name a sink, by a search of their bytes.
pub(super) fn naming_files(project: &Project, model: &Model) -> Vec<FileId> {
    let sets = model.sink_words();
    let mut first: Vec<String> = model.sink_modules();
    // Methods of unknown receivers have no module.
    first.extend(
        sets.iter()
            .filter(|s| s.len() == 1)
            .filter_map(|s| s.first().cloned()),
    );
    first.sort();
    first.dedup();
    let all = || project.ids().collect();
    let Ok(search) = AhoCorasick::new(&first) else {
        return all();
    };
    let sets: Vec<(Option<usize>, Vec<Finder<'_>>)> = sets
        .iter()
        .map(|words| {
            let top = words.first().and_then(|w| first.binary_search(w).ok());
            let rest = words.iter().skip(usize::from(top.is_some()));
            // A module alone has to be used as one: comments speak of pickles, too.
            let alone = words.len() == 1;
            let rest = rest.chain(words.iter().filter(|_| alone));
            (top, rest.map(|w| Finder::new(w.as_str())).collect())
        })
        .collect();
    let files: Vec<FileId> = all();
    files
        .into_par_iter()
        .filter(|file| {
            let bytes = project.bytes(*file);
            let mut seen = vec![false; first.len()];
            let mut any = false;
            for found in search.find_overlapping_iter(bytes) {
                if let Some(seen) = seen.get_mut(found.pattern().as_usize()) {
                    *seen = true;
                    any = true;
                }
            }
            let named = |(top, words): &(Option<usize>, Vec<Finder<'_>>)| {
                top.is_none_or(|top| seen.get(top).copied().unwrap_or(false))
                    && words.iter().all(|word| is_used(word, bytes))
            };
            // What a search by bytes could miss.
            (any && sets.iter().any(named)) || memchr::memchr(0, bytes).is_some()
        })
        .collect()
}

/// Whether `word` stands in `bytes` as an attribute, or as a name of its own that is imported or passed.
fn is_used(word: &Finder<'_>, bytes: &[u8]) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let length = word.needle().len();
    word.find_iter(bytes).any(|at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        let after = bytes.get(at + length).copied();
        let ends = !after.is_some_and(is_word);
        let starts = match before {
            Some(b'.') => true,
            // `from yaml import load`, `allow_pickle=True`, `"loads"`.
            Some(b' ' | b'(' | b',' | b'\t' | b'\n' | b'"' | b'\'') | None => {
                let next = bytes.get(at + length + 1..at + length + 4);
                let beyond = bytes.get(at + length + 1).copied();
                match after {
                    None | Some(b',' | b'\n' | b'\r' | b')' | b'=' | b'"' | b'\'') => true,
                    // `pickle.loads`, not the end of a sentence.
                    Some(b'.') => beyond.is_some_and(is_word),
                    Some(b' ') => next == Some(b"as ") || next == Some(b"imp"),
                    _ => false,
                }
            }
            _ => false,
        };
        starts && ends
    })
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
            Some((model.open_sink(last)?, last.clone()))
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
