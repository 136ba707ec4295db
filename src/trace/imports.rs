//! What files import, read off their bytes: enough to know which files are worth parsing, at the cost of reading them.
//!
//! Invariant: errs towards more. Every word of every import statement is here; words of comments and texts that look
//! like one may be, too, and a word may be taken for another.

use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;
use rayon::prelude::*;

use crate::project::FileId;
use crate::text::words::is_word;

pub(super) use crate::text::words::Word;

/// The words of one file's import statements: parts of module names, and imported names.
#[derive(Debug, Clone)]
pub(super) struct Words {
    /// Sorted, each once; shared with what is known after a change elsewhere.
    words: Arc<[Word]>,
    /// It imports by a text that is made or read at run time: `import_module(name)`.
    pub dynamic: bool,
    /// It imports all names of a module.
    pub star: bool,
    /// They are not known.
    pub failed: bool,
}

impl Words {
    /// Those of a file that depickle failed on.
    pub fn unknown() -> Words {
        Words {
            dynamic: true,
            star: true,
            failed: true,
            ..Words::of(b"")
        }
    }

    /// The words in `bytes`.
    pub fn of(bytes: &[u8]) -> Words {
        let mut words: Vec<Word> = Vec::new();
        let mut star = false;
        let dynamic = statements(bytes, |before, rest| {
            star |= rest.contains(&b'*');
            let parts = [before, rest];
            let parts = parts.iter().flat_map(|s| s.split(|b| !is_word(b)));
            let parts = parts.filter(|part| !matches!(*part, b"" | b"from" | b"import" | b"as"));
            words.extend(parts.map(Word::of));
        });
        words.sort_unstable();
        words.dedup();
        Words {
            words: words.into(),
            dynamic,
            star,
            failed: false,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Word> {
        self.words.iter().copied()
    }

    /// Whether `word` is among them.
    pub fn contains(&self, word: Word) -> bool {
        self.words.binary_search(&word).is_ok()
    }
}

/// Shows `each` the import statements in `bytes`: what stands before `import`, and what stands from there on. Whether there are
/// imports of another kind, too.
pub(super) fn statements<'b>(bytes: &'b [u8], mut each: impl FnMut(&'b [u8], &'b [u8])) -> bool {
    static IMPORT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("import"));
    let mut dynamic = false;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    for at in IMPORT.find_iter(bytes) {
        let before = bytes.get(..at).unwrap_or_default();
        let rest = bytes.get(at..).unwrap_or_default();
        let after = rest.get(b"import".len());
        if before.last().is_some_and(is_word) || after.is_some_and(is_word) {
            dynamic |= before.ends_with(b"__") || rest.starts_with(b"import_module");
        } else if let Some(before) = opening(before) {
            each(before, closing(rest));
        }
    }
    dynamic
}

/// What belongs to the statement of an `import` that follows `before`; nothing when none can stand there.
fn opening(before: &[u8]) -> Option<&[u8]> {
    let mut start = memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
    // `from a \` and `import b` on the next line.
    while let Some(above) = before.get(..start.saturating_sub(1))
        && above.trim_ascii_end().ends_with(b"\\")
    {
        start = memchr::memrchr(b'\n', above).map_or(0, |n| n + 1);
    }
    let line = before.get(start..)?;
    // `try: import x`, `import x; import y`.
    let begins = line.iter().rposition(|b| matches!(b, b':' | b';'));
    let statement = line.get(begins.map_or(0, |n| n + 1)..)?.trim_ascii_start();
    let stands =
        statement.is_empty() || statement.starts_with(b"from") || statement.starts_with(b"\\");
    stands.then_some(statement)
}

/// What belongs to the statement from its `import` on.
fn closing(rest: &[u8]) -> &[u8] {
    /// More than the longest list of names that was seen.
    const LONGEST: usize = 40_000;
    let mut end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = rest.get(..end).unwrap_or(rest);
    if line.contains(&b'(') {
        end = bracket(rest).unwrap_or(end).min(LONGEST);
    }
    while rest
        .get(..end)
        .is_some_and(|line| line.trim_ascii_end().ends_with(b"\\"))
        && let Some(below) = rest.get(end + 1..)
    {
        end += 1 + memchr::memchr(b'\n', below).unwrap_or(below.len());
    }
    rest.get(..end).unwrap_or(rest)
}

/// Where the bracket closes that opens in the first line of `rest`; comments may hold others.
fn bracket(rest: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b')', b'#', rest.get(from..)?)?;
        if rest.get(at) == Some(&b')') {
            return Some(at);
        }
        from = at + memchr::memchr(b'\n', rest.get(at..)?)?;
    }
}

/// Files by the words of their import statements.
#[derive(Debug, Default)]
pub(super) struct Index(Vec<(Word, FileId)>);

impl Index {
    /// The files of `imports`, which are in their order.
    pub fn of(imports: &[Words]) -> Index {
        let pairs = imports.par_iter().enumerate();
        let pairs = pairs.flat_map_iter(|(n, words)| words.iter().map(move |w| (w, FileId(n))));
        let mut pairs: Vec<(Word, FileId)> = pairs.collect();
        pairs.par_sort_unstable();
        Index(pairs)
    }

    /// The files that import `word`, in their order.
    pub fn importing(&self, word: Word) -> impl Iterator<Item = FileId> {
        let first = self.0.partition_point(|(other, _)| *other < word);
        let from = self.0.iter().skip(first);
        from.take_while(move |(other, _)| *other == word)
            .map(|(_, file)| *file)
    }
}

#[cfg(test)]
mod tests {
    use super::{Word, Words};

    /// Whether the import statements of `text` hold just these words.
    fn has(text: &str, words: &[&str]) -> bool {
        let mut wanted: Vec<Word> = words.iter().map(|w| Word::of(w.as_bytes())).collect();
        wanted.sort_unstable();
        Words::of(text.as_bytes()).iter().eq(wanted)
    }

    #[test]
    fn finds_the_words_of_every_form() {
        assert!(has(
            "import os.path as p, pickle\n",
            &["os", "p", "path", "pickle"]
        ));
        assert!(has("\u{feff}import pickle", &["pickle"]));
        assert!(has(
            "try: import cPickle\nexcept E: from a import b; import c",
            &["a", "b", "c", "cPickle"]
        ));
        assert!(has(
            "from ..a.b import (\n  c,  # (why)\n  d as e,\n)\nf",
            &["a", "b", "c", "d", "e", "why"]
        ));
        assert!(has("from a \\\n  import b, \\\n  c\nd", &["a", "b", "c"]));
        assert!(has("from a import\\\n b", &["a", "b"]));
        assert!(has("\tfrom a import*", &["a"]));
        assert!(has("x = 1\r\nfrom a import b\r\n", &["a", "b"]));
    }

    #[test]
    fn leaves_out_what_is_no_statement() {
        assert!(has("# to import pickle\nimportant = 1\nreimport(x)\n", &[]));
    }

    #[test]
    fn sees_imports_by_text() {
        assert!(Words::of(b"m = importlib.import_module(name)").dynamic);
        assert!(Words::of(b"m = __import__('pickle')").dynamic);
        assert!(!Words::of(b"import pickle").dynamic);
    }
}
