//! What one look at the bytes of every file says: what it imports, whether it may name a load or choose pickle by a setting.
//!
//! Invariant: bytes first. A file that neither names a sink's module nor is reached from one that does is never parsed;
//! a file that might hide something from a search by bytes (NUL bytes, letters written otherwise) is. What was seen of a file holds as long as its bytes do.

use std::cell::OnceCell;

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::imports::{Word, Words, statements};
use crate::defect::strike;
use crate::pack::{Model, Needles};
use crate::project::{FileId, Project};
use crate::text::words::{is_word, whole};

/// What the bytes of one file say, besides what it imports.
#[derive(Debug, Clone, Copy)]
struct Said {
    /// It imports a sink's module and uses its name, or uses a module that is about pickles alone.
    names: bool,
    /// It has the key of a setting and a value for it.
    sets: bool,
    /// It has a comment of depickle's own.
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
        let search = Search(model.needles());
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
        let search = Search(model.needles());
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

/// What a model has looked for, in the bytes of a file.
#[derive(Clone, Copy)]
struct Search<'m>(&'m Needles);

impl Search<'_> {
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
        let any = is_in(self.0.any.as_ref(), bytes);
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
            words.any(|word| self.0.by_module.get(&word).is_some_and(used))
        };
        let alone = |search: &AhoCorasick| {
            let mut found = search.find_iter(bytes);
            found.any(|found| is_used_at(bytes, found.start(), found.end()))
        };
        let names = (any && self.0.alone.as_ref().is_none_or(alone))
            || with_module()
            || (imports.dynamic && self.0.by_module.values().any(used))
            // What a search by bytes could miss.
            || memchr::memchr(0, bytes).is_some()
            || may_fold(bytes);
        let imported = |packages: &Vec<Vec<Word>>| {
            let all = |package: &Vec<Word>| package.iter().all(|word| imports.contains(*word));
            packages.is_empty() || packages.iter().any(all)
        };
        let sets = any
            && self.0.packages.iter().any(imported)
            && is_in(self.0.values.as_ref(), bytes)
            && is_in(self.0.keys.as_ref(), bytes);
        let spoken_to = any && self.0.own.find(bytes).is_some();
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
                match named.iter().any(|word| self.0.by_module.contains_key(word)) {
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
    whole(bytes, &Finder::new(name)).all(|at| {
        if bytes.get(at + name.len()) == Some(&b'.') {
            return true;
        }
        let before = bytes.get(..at).unwrap_or_default();
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
        Search(model.needles()).see(text.as_bytes()).1.names
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
