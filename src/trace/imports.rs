//! What files import, read off their bytes: enough to know which files are worth parsing, at the cost of reading them.
//!
//! Invariant: errs towards more. Every word of every import statement is here; words of comments and texts that look
//! like one may be, too.

use memchr::memmem;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::project::{FileId, Project};
use crate::python::ast::name::Name;

/// The words of one file's import statements: parts of module names, and imported names.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Sorted, each once.
    words: Box<[Name]>,
    /// It imports by a text that is made or read at run time: `import_module(name)`.
    pub dynamic: bool,
}

impl Words {
    /// The words in `bytes`.
    pub fn of(bytes: &[u8]) -> Words {
        let mut words: Vec<Name> = Vec::new();
        let mut dynamic = false;
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii();
        for at in memmem::find_iter(bytes, b"import") {
            let before = bytes.get(..at).unwrap_or_default();
            let rest = bytes.get(at..).unwrap_or_default();
            let after = rest.get(b"import".len());
            if before.last().is_some_and(is_word) || after.is_some_and(is_word) {
                dynamic |= before.ends_with(b"__") || rest.starts_with(b"import_module");
                continue;
            }
            let Some(before) = opening(before) else {
                continue;
            };
            let statement = [before, closing(rest)];
            let parts = statement.iter().flat_map(|s| s.split(|b| !is_word(b)));
            for word in parts {
                if let Ok(word) = std::str::from_utf8(word)
                    && !matches!(word, "" | "from" | "import" | "as")
                {
                    words.push(Name::new(word));
                }
            }
        }
        words.sort_unstable();
        words.dedup();
        Words {
            words: words.into_boxed_slice(),
            dynamic,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.words.iter()
    }
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
    if line.contains(&b'(') && !line.contains(&b')') {
        end = memchr::memchr(b')', rest)
            .unwrap_or(rest.len())
            .min(LONGEST);
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

/// The words of all files of `project`, in their order.
pub(super) fn imports(project: &Project) -> Vec<Words> {
    let files: Vec<FileId> = project.ids().collect();
    let words = |file| Words::of(project.bytes(file));
    files.into_par_iter().map(words).collect()
}

/// Files by the words of their import statements.
pub(super) fn by_word(imports: &[Words]) -> FxHashMap<Name, Vec<FileId>> {
    let mut index: FxHashMap<Name, Vec<FileId>> = FxHashMap::default();
    for (n, words) in imports.iter().enumerate() {
        for word in words.iter() {
            index.entry(word.clone()).or_default().push(FileId(n));
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use super::Words;

    fn words(text: &str) -> Vec<String> {
        let words = Words::of(text.as_bytes());
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn finds_the_words_of_every_form() {
        assert_eq!(
            words("import os.path as p, pickle\n"),
            ["os", "p", "path", "pickle"]
        );
        assert_eq!(words("\u{feff}import pickle"), ["pickle"]);
        assert_eq!(
            words("try: import cPickle\nexcept E: from a import b; import c"),
            ["a", "b", "c", "cPickle"]
        );
        assert_eq!(
            words("from ..a.b import (\n  c,  # why\n  d as e,\n)\nf"),
            ["a", "b", "c", "d", "e", "why"]
        );
        assert_eq!(words("from a \\\n  import b, \\\n  c\nd"), ["a", "b", "c"]);
        assert_eq!(words("from a import\\\n b"), ["a", "b"]);
        assert_eq!(words("\tfrom a import*"), ["a"]);
        assert_eq!(words("x = 1\r\nfrom a import b\r\n"), ["a", "b"]);
    }

    #[test]
    fn leaves_out_what_is_no_statement() {
        assert_eq!(
            words("# to import pickle\nimportant = 1\nreimport(x)\n"),
            [""; 0]
        );
    }

    #[test]
    fn sees_imports_by_text() {
        assert!(Words::of(b"m = importlib.import_module(name)").dynamic);
        assert!(Words::of(b"m = __import__('pickle')").dynamic);
        assert!(!Words::of(b"import pickle").dynamic);
    }
}
