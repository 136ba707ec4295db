//! What one look at the bytes of every file says: what it imports, whether it may name a load or choose pickle by a setting.
//!
//! Invariant: bytes first. A file that neither names a sink's module nor is reached from one that does is never parsed;
//! a file that might hide something from a search by bytes (NUL bytes, letters written otherwise) is. What was seen of a file holds as long as its bytes do.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::imports::{Word, Words, is_word, statements};
use crate::defect::strike;
use crate::pack::Model;
use crate::project::{FileId, Project};

/// What depickle's own comments begin with.
pub const OWN: &str = "depickle:";

/// What the bytes of one file say, besides what it imports.
#[derive(Debug, Clone, Copy)]
struct Said {
    /// It imports a sink's module and uses its name, or uses a module that is about pickles alone.
    names: bool,
    /// It has the key of a setting and a value for it.
    sets: bool,
    /// It has [`OWN`].
    spoken_to: bool,
}

/// What the bytes of all files say, in their order.
#[derive(Debug, Default)]
pub(super) struct Searched {
    imports: Vec<Words>,
    said: Vec<Said>,
}

impl Searched {
    /// The search of all files.
    pub fn of(project: &Project, model: &Model) -> Searched {
        let search = Search::new(model);
        let files: Vec<FileId> = project.ids().collect();
        let seen = files.into_par_iter();
        let seen = seen.map(|file| search.look(project, file));
        let (imports, said) = seen.unzip();
        Searched { imports, said }
    }

    /// The same for `project`, in which nothing but the files `changed` is otherwise.
    pub fn again(
        &self,
        project: &Project,
        model: &Model,
        changed: impl IntoIterator<Item = FileId>,
    ) -> Searched {
        let search = Search::new(model);
        let (mut imports, mut said) = (self.imports.clone(), self.said.clone());
        for file in changed {
            if let (Some(imports), Some(said)) = (imports.get_mut(file.0), said.get_mut(file.0)) {
                (*imports, *said) = search.look(project, file);
            }
        }
        Searched { imports, said }
    }

    /// What each file imports.
    pub fn imports(&self) -> &[Words] {
        &self.imports
    }

    /// Files that name a sink.
    pub fn naming(&self) -> Vec<FileId> {
        self.files(|said| said.names)
    }

    /// Files that may hold a setting.
    pub fn setting(&self) -> Vec<FileId> {
        self.files(|said| said.sets)
    }

    /// Files that may hold a comment of depickle's own.
    pub fn spoken_to(&self) -> Vec<FileId> {
        self.files(|said| said.spoken_to)
    }

    fn files(&self, wanted: impl Fn(&Said) -> bool) -> Vec<FileId> {
        let said = self.said.iter().enumerate();
        let wanted = said.filter(|(_, said)| wanted(said));
        wanted.map(|(n, _)| FileId(n)).collect()
    }
}

/// What is looked for.
struct Search {
    /// All of it that is looked for by its text alone; most files have nothing of that.
    any: Option<AhoCorasick>,
    own: Finder<'static>,
    /// Modules that are about pickles alone.
    alone: Option<AhoCorasick>,
    /// Other words that must be used, by the module that must be imported.
    by_module: FxHashMap<Word, Vec<Vec<Finder<'static>>>>,
    /// Keys of settings, values, and the packages of each setting.
    keys: Option<AhoCorasick>,
    values: Option<AhoCorasick>,
    packages: Vec<Vec<Vec<Word>>>,
}

impl Search {
    fn new(model: &Model) -> Search {
        let (alone, with_module): (Vec<_>, Vec<_>) = model
            .sink_words()
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
        Search {
            any: any_of(texts().chain([OWN])),
            own: Finder::new(OWN),
            alone: longest.build(&alone).ok(),
            by_module,
            keys: any_of(keys.map(String::as_str)),
            values: any_of(values.iter().map(String::as_str)),
            packages: packages.collect(),
        }
    }

    /// What `file` says; anything, if that is not known.
    fn look(&self, project: &Project, file: FileId) -> (Words, Said) {
        let seen = project.caught(file, || {
            strike("imports", project.path(file));
            self.see(project.bytes(file))
        });
        seen.unwrap_or_else(|| {
            let said = Said {
                names: true,
                sets: true,
                spoken_to: true,
            };
            (Words::unknown(), said)
        })
    }

    fn see(&self, bytes: &[u8]) -> (Words, Said) {
        let imports = Words::of(bytes);
        let any = is_in(self.any.as_ref(), bytes);
        let others = OnceCell::new();
        // `json.load` in a file that imports a sink's module besides.
        let is_other = |name: &[u8]| {
            let others = others.get_or_init(|| self.other_modules(bytes));
            !imports.star && others.contains(&Word::of(name))
        };
        let used = |sets: &Vec<Vec<Finder<'_>>>| {
            let mut sets = sets.iter();
            sets.any(|words| words.iter().all(|word| is_used(word, bytes, &is_other)))
        };
        let with_module = || {
            let mut words = imports.iter();
            words.any(|word| self.by_module.get(&word).is_some_and(used))
        };
        let alone = |search: &AhoCorasick| {
            let mut found = search.find_iter(bytes);
            found.any(|found| is_used_at(bytes, found.start(), found.end()))
        };
        let names = (any && self.alone.as_ref().is_none_or(alone))
            || with_module()
            || (imports.dynamic && self.by_module.values().any(used))
            // What a search by bytes could miss.
            || memchr::memchr(0, bytes).is_some()
            || may_fold(bytes);
        let imported = |packages: &Vec<Vec<Word>>| {
            let all = |package: &Vec<Word>| package.iter().all(|word| imports.contains(*word));
            packages.is_empty() || packages.iter().any(all)
        };
        let sets = any
            && self.packages.iter().any(imported)
            && is_in(self.values.as_ref(), bytes)
            && is_in(self.keys.as_ref(), bytes);
        let spoken_to = any && self.own.find(bytes).is_some();
        let said = Said {
            names,
            sets,
            spoken_to,
        };
        (imports, said)
    }

    /// Names in `bytes` that can mean nothing but modules without sinks: `import` binds them, and all that is done with them
    /// is to name their members.
    fn other_modules(&self, bytes: &[u8]) -> FxHashSet<Word> {
        let mut others: FxHashSet<&[u8]> = FxHashSet::default();
        let mut any: FxHashSet<Word> = FxHashSet::default();
        statements(bytes, |before, rest| {
            let words = |text: &'_ [u8]| -> Vec<Word> {
                let parts = text.split(|b| !is_word(b));
                parts.map(Word::of).collect()
            };
            if !before.is_empty() {
                any.extend(words(rest));
                return;
            }
            let rest = rest.strip_prefix(b"import").unwrap_or(rest);
            let code = rest.split(|b| *b == b'#').next().unwrap_or(rest);
            for part in code.split(|b| *b == b',') {
                let named = words(part);
                match named.iter().any(|word| self.by_module.contains_key(word)) {
                    true => any.extend(named),
                    false => {
                        let mut parts = part.split(|b| !is_word(b)).filter(|w| !w.is_empty());
                        let first = parts.next();
                        let last = part.rsplit(|b| !is_word(b)).find(|w| !w.is_empty());
                        let local = match parts.any(|word| word == b"as") {
                            true => last,
                            false => first,
                        };
                        others.extend(local);
                    }
                }
            }
        });
        let alone = |name: &&[u8]| !any.contains(&Word::of(name)) && is_only_asked(name, bytes);
        let others = others.into_iter().filter(alone);
        others.map(Word::of).collect()
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

/// Whether one of the words is in `bytes`; it may be, if they are too many for a search.
fn is_in(words: Option<&AhoCorasick>, bytes: &[u8]) -> bool {
    words.is_none_or(|words| words.is_match(bytes))
}

/// Whether a character of `bytes` may be another way to write a letter: of `ｐickle` Python makes `pickle`.
fn may_fold(bytes: &[u8]) -> bool {
    let folds = |at: &[u8]| {
        matches!(
            at,
            [0xef, 0xbc, 0x90..=0x99 | 0xa1..=0xba | 0xbf]
                | [0xef, 0xbd, 0x81..=0x9a]
                | [0xef, 0xac, 0x80..=0x86]
                | [0xf0, 0x9d, 0x90..=0x9f]
                | [0xe1, 0xb4..=0xb6, _]
                | [0xe2, 0x81, 0xb1 | 0xbf]
                | [0xe2, 0x82, 0x90..=0x9c]
                | [0xe2, 0x84, 0x80..=0x95 | 0x98..=0x9f | 0xa4..=0xbf]
                | [0xe2, 0x85, 0x80..=0xbf]
                | [0xc2, 0xaa | 0xba, _]
                | [0xc4, 0xb2 | 0xb3, _]
                | [0xc5, 0xbf, _]
                | [0xc7, 0x84..=0x8c | 0xb1..=0xb3, _]
                | [0xca, 0xb0..=0xbf, _]
                | [0xcb, 0xa0..=0xa4, _]
        )
    };
    !bytes.is_ascii() && bytes.windows(3).any(folds)
}

/// Whether wherever `name` stands in `bytes`, a member of it is named, or it is imported, or it is in a comment.
fn is_only_asked(name: &[u8], bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, name).all(|at| {
        let (before, rest) = (bytes.get(..at).unwrap_or_default(), bytes.get(at..));
        let after = rest.and_then(|rest| rest.get(name.len()));
        if before.last().is_some_and(is_word) || after.is_some_and(is_word) || after == Some(&b'.')
        {
            return true;
        }
        let line = memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
        let line = before.get(line..).unwrap_or_default().trim_ascii_start();
        let starts = [&b"import "[..], b"from ", b"#"];
        starts.iter().any(|start| line.starts_with(start))
    })
}

/// Whether `word` stands in `bytes` as a member of something that `is_other` does not know, or as a name of its own that is
/// imported or passed.
fn is_used(word: &Finder<'_>, bytes: &[u8], is_other: &impl Fn(&[u8]) -> bool) -> bool {
    let length = word.needle().len();
    word.find_iter(bytes)
        .any(|at| is_used_at(bytes, at, at + length) && !owner(bytes, at).is_some_and(is_other))
}

/// The name whose member stands at `at`, if it is no member itself: `json` of `json.load`.
fn owner(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let before = bytes.get(..at)?.strip_suffix(b".")?;
    let start = before
        .iter()
        .rposition(|b| !is_word(b))
        .map_or(0, |n| n + 1);
    let (outside, name) = before.split_at_checked(start)?;
    (!name.is_empty() && outside.last() != Some(&b'.')).then_some(name)
}

/// Whether the word from `start` to `end` of `bytes` stands there so: comments speak of pickles, too.
fn is_used_at(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    let after = bytes.get(end).copied();
    if after.as_ref().is_some_and(is_word) {
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
                Some(b'.') => beyond.as_ref().is_some_and(is_word),
                Some(b' ') => next == Some(b"as ") || next == Some(b"imp"),
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Search, is_only_asked};
    use crate::pack::Model;

    /// Whether a file of `text` names a sink.
    fn names(text: &str) -> bool {
        let model = Model::builtin().expect("the built-in model");
        Search::new(&model).see(text.as_bytes()).1.names
    }

    #[test]
    fn a_member_of_another_module_is_none_of_a_sinks() {
        assert!(names("import yaml\nyaml.load(x)\n"));
        assert!(names(
            "import json, yaml\njson.load(x)\nself.loader.load(x)\n"
        ));
        assert!(names("import yaml as y, json\ny.load(x)\njson.load(x)\n"));
        assert!(names("import yaml, json\njson = yaml\njson.load(x)\n"));
        assert!(names(
            "import yaml, json\nfor json in [yaml]:\n    json.load(x)\n"
        ));
        assert!(names(
            "import yaml\nfrom compat import json\njson.load(x)\n"
        ));
        assert!(names(
            "import yaml, json\nfrom compat import json\njson.load(x)\n"
        ));
        assert!(names("import yaml, json\njson.yaml.load(x)\n"));
        assert!(names(
            "import yaml, json\nfrom compat import *\njson.load(x)\n"
        ));
        assert!(!names("import yaml, json\njson.load(x)\n"));
        assert!(!names(
            "import yaml\nimport ujson as json  # json\njson.load(x)\n"
        ));
    }

    #[test]
    fn a_name_that_is_only_asked_for_its_members_stays_what_it_is() {
        assert!(is_only_asked(
            b"json",
            b"import json, os\n# json is\njson.load(myjson)"
        ));
        assert!(!is_only_asked(b"json", b"import json\nf(json)"));
    }
}
