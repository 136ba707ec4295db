//! What the bytes of a file have to say before it is worth parsing: the searches for all that a [`Model`] knows.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;
use rustc_hash::FxHashMap;

use super::{Model, OWN};
use crate::text::words::Word;

/// What is looked for in the bytes of every file.
#[derive(Debug)]
pub struct Needles {
    /// All of it that is looked for by its text alone; most files have nothing of that.
    pub any: Option<AhoCorasick>,
    /// [`OWN`].
    pub own: Finder<'static>,
    /// Modules that are about pickles alone.
    pub alone: Option<AhoCorasick>,
    /// Other words that must be used, by the module that must be imported.
    pub by_module: FxHashMap<Word, Vec<Vec<Finder<'static>>>>,
    /// Keys of settings.
    pub keys: Option<AhoCorasick>,
    /// Values of settings.
    pub values: Option<AhoCorasick>,
    /// The packages of each setting, in their parts.
    pub packages: Vec<Vec<Vec<Word>>>,
}

impl Needles {
    pub(super) fn of(model: &Model) -> Needles {
        let (alone, with_module): (Vec<_>, Vec<_>) = sink_words(model)
            .into_iter()
            .partition(|set| set.len() == 1);
        let alone: Vec<String> = alone.into_iter().flatten().collect();
        let mut by_module: FxHashMap<Word, Vec<Vec<Finder<'static>>>> = FxHashMap::default();
        for set in &with_module {
            if let Some((module, words)) = set.split_first() {
                let words = words.iter().map(|word| Finder::new(word).into_owned());
                let sets = by_module.entry(Word::of(module.as_bytes())).or_default();
                sets.push(words.collect());
            }
        }
        // What a file must say besides a key: few speak of pickles, and many have a key such as `accept`.
        let values = model.settings().flat_map(|(_, row)| {
            let last = |name: &String| {
                let name = name.trim_end_matches("()");
                name.rsplit('.').next().unwrap_or(name).to_owned()
            };
            let names = row.names.iter().map(last);
            names.chain(row.values.iter().cloned())
        });
        let values: Vec<String> = values.collect();
        let keys = model.settings().flat_map(|(_, row)| &row.keys);
        let words = |package: &String| {
            let parts = package.split('.');
            parts.map(|part| Word::of(part.as_bytes())).collect()
        };
        let packages = model.settings();
        let packages = packages.map(|(_, row)| row.packages.iter().map(words).collect());
        let mut longest = AhoCorasick::builder();
        longest.match_kind(MatchKind::LeftmostLongest);
        let texts = || alone.iter().chain(&values).map(String::as_str);
        Needles {
            any: any_of(texts().chain([OWN])),
            own: Finder::new(OWN),
            alone: longest.build(&alone).ok(),
            by_module,
            keys: any_of(keys.map(String::as_str)),
            values: any_of(values.iter().map(String::as_str)),
            packages: packages.collect(),
        }
    }
}

/// A search for any of `words`, by the shortest: where the longer one is, the shorter one is as well.
fn any_of<'w>(words: impl IntoIterator<Item = &'w str>) -> Option<AhoCorasick> {
    let words: BTreeSet<&str> = words.into_iter().collect();
    let is_least = |word: &&&str| {
        let mut others = words.iter();
        !others.any(|other| other != *word && word.contains(other))
    };
    // The leftmost is what there are vector searches for.
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(words.iter().filter(is_least))
        .ok()
}

/// For each sink, by every name it has, the words that a file must contain to name it.
fn sink_words(model: &Model) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    for (name, id) in &model.index.sinks {
        let mut words: Vec<String> = Vec::new();
        let top = name.split('.').next().unwrap_or(name);
        let last = name.rsplit('.').next().unwrap_or(name);
        // A module that both reads and writes pickles is about nothing else: it may be handed on as a whole.
        let module = |name: &str| name.rsplit_once('.').map(|(module, _)| module.to_owned());
        let mine = module(name);
        let mut writers = model.index.writers.keys();
        let whole = writers.any(|w| mine.is_some() && module(w) == mine);
        let inner = mine.as_deref().and_then(|m| m.rsplit('.').next());
        let parts = match inner.filter(|_| whole) {
            Some(inner) => vec![top, inner],
            None => vec![top, last],
        };
        let named = parts.into_iter().filter(|w| *w != "*");
        words.extend(named.map(str::to_owned));
        // Harmless without a certain keyword: that must be there too, or arguments by `**`.
        let conditions = model
            .sink_row(*id)
            .map_or(&[][..], |(_, sink)| &sink.safe_when);
        words.extend(
            conditions
                .iter()
                .filter(|c| c.absent && c.position.is_none())
                .map(|c| c.keyword.clone()),
        );
        words.dedup();
        all.push(words);
    }
    all.sort();
    all.dedup();
    all
}
