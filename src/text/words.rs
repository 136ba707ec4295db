//! Words in bytes: what may be a name of Python's, before anything is decoded or parsed.
//!
//! Invariant: one meaning for all searches. Every byte beyond ASCII is a letter: in code there is nothing else that it could
//! be part of, outside of texts and comments.

use std::hash::Hasher;

use memchr::memmem::Finder;
use rustc_hash::FxHasher;

/// A word, by its hash: it is only ever compared, and there are millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(u64);

impl Word {
    /// The word `text`.
    pub fn of(text: &[u8]) -> Word {
        let mut hasher = FxHasher::default();
        hasher.write(text);
        Word(hasher.finish())
    }
}

/// Whether `byte` is part of a name.
pub fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii()
}

/// Whether what stands in `bytes` from `start` to `end` is no part of a longer word.
fn is_whole(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| bytes.get(at));
    !before.is_some_and(is_word) && !bytes.get(end).is_some_and(is_word)
}

/// Where `word` stands in `bytes` and is no part of a longer one.
pub fn whole<'b>(bytes: &'b [u8], word: &'b Finder<'_>) -> impl Iterator<Item = usize> + 'b {
    let length = word.needle().len();
    let found = word.find_iter(bytes);
    found.filter(move |at| is_whole(bytes, *at, at + length))
}

/// The words in `bytes` that a dot stands before: of members that are named.
pub fn members(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memchr_iter(b'.', bytes).filter_map(|dot| {
        let rest = bytes.get(dot + 1..)?;
        let end = rest.iter().position(|b| !is_word(b));
        rest.get(..end.unwrap_or(rest.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_whole_where_no_letter_of_any_kind_touches_it() {
        let places = |text: &str| -> Vec<usize> {
            let finder = Finder::new("load");
            whole(text.as_bytes(), &finder).collect()
        };
        assert_eq!(places("load"), [0]);
        assert_eq!(
            places("x.load(load) load.y \"load\" load"),
            [2, 7, 13, 21, 27]
        );
        assert_eq!(places("load, loads, unload, _load, load2, load_"), [0]);
        assert!(places("loadé éload load\u{ff53} load→").is_empty());
        assert_eq!(places("(load)é load"), [1, 9]);
    }

    #[test]
    fn members_are_what_follows_a_dot() {
        let text = "a.load(x)._y + load .z\u{e9}. ..1 'end.";
        let found: Vec<&[u8]> = members(text.as_bytes()).collect();
        let wanted = ["load", "_y", "z\u{e9}", "", "", "1", ""];
        assert_eq!(found, wanted.map(str::as_bytes));
    }

    #[test]
    fn what_is_no_utf8_is_a_letter_too() {
        let finder = Finder::new("load");
        assert_eq!(whole(b"load\xe9 \xe9load load", &finder).count(), 1);
    }
}
