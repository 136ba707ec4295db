//! A mistake in a pack or a configuration, shown where it stands, with what may have been meant.

use std::fmt;
use std::ops::Range;

use crate::text::{LineIndex, printable};

/// Longer lines are not shown.
const LONGEST: usize = 200;

/// A file that cannot be used: where, what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackError {
    /// The file, as a person would name it.
    pub file: String,
    /// 1-based; 0 where it is about no line.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// What is wrong, and what to do next.
    pub message: String,
    /// The line, with a mark below it; empty when it is too long.
    snippet: String,
}

impl std::error::Error for PackError {}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.file))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}{}", printable(&self.message), self.snippet)
    }
}

impl PackError {
    /// The mistake that the bytes `span` of `text`, which is that of `file`, are.
    pub fn new(file: &str, text: &str, span: Range<usize>, message: String) -> PackError {
        let start = (0..=span.start.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let index = LineIndex::new(text);
        let at = index.position(text, start);
        let from = index.line_start(start);
        let to = index.line_end(text, start);
        let line = text.get(from..to).unwrap_or_default();
        let wide = text.get(start..span.end.min(to).max(start)).unwrap_or("");
        let snippet = match line.len() {
            1..=LONGEST => {
                let number = at.line.to_string();
                let gap: String = line
                    .chars()
                    .take(at.column - 1)
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                let shown: Vec<String> = line.split('\t').map(printable).collect();
                format!(
                    "\n  {number} | {}\n  {:gutter$} | {gap}{}",
                    shown.join("\t"),
                    "",
                    "^".repeat(wide.chars().count().max(1)),
                    gutter = number.len(),
                )
            }
            _ => String::new(),
        };
        PackError {
            file: file.to_owned(),
            line: if text.is_empty() { 0 } else { at.line },
            column: at.column,
            message,
            snippet,
        }
    }

    /// Another message about the same place.
    pub fn saying(&self, message: String) -> PackError {
        PackError {
            message,
            ..self.clone()
        }
    }

    /// What serde says of `text`, in words for who wrote it.
    pub fn of_toml(file: &str, text: &str, error: &toml::de::Error) -> PackError {
        let span = error.span().unwrap_or(0..0);
        PackError::new(file, text, span, in_words(error.message()))
    }

    /// The mistake at the first place of `text` that says `word` in quotes, or else as it is.
    pub fn at(file: &str, text: &str, word: &str, message: String) -> PackError {
        let quoted = ['"', '\''].map(|quote| format!("{quote}{word}{quote}"));
        let found = quoted.iter().find_map(|q| Some((text.find(q)?, q.len())));
        let found = found.or_else(|| Some((text.find(word)?, word.len())));
        let (start, length) = found.unwrap_or((0, 0));
        PackError::new(file, text, start..start + length, message)
    }
}

/// `unknown field` and its like, in the terms of TOML, with the nearest of what is known.
fn in_words(said: &str) -> String {
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    let what = if said.starts_with("unknown field") {
        "key"
    } else if said.starts_with("unknown variant") {
        "value"
    } else {
        return said.replace("missing field", "missing key");
    };
    let Some((word, known)) = quoted.split_first() else {
        return said.to_owned();
    };
    format!("unknown {what} `{word}`; {}", instead(word, known))
}

/// What to write instead of `word`, of which `known` there are.
pub fn instead(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "take it out".to_owned(),
        None => format!("here may stand: {}", known.join(", ")),
    }
}

/// The word of `known` that `word` was likely meant to be.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let close = known.iter().map(|other| (distance(word, other), *other));
    let (far, other) = close.min_by_key(|(far, _)| *far)?;
    let begun = known.iter().find(|other| other.starts_with(word));
    match far <= 1 + word.chars().count() / 4 {
        true => Some(other),
        false => begun.copied().filter(|_| !word.is_empty()),
    }
}

/// How many letters have to be put in, taken out, changed or (as neighbours) swapped to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], n: usize| row.get(n).copied().unwrap_or(usize::MAX / 2);
            let changed = at(&row, j) + usize::from(x != y);
            let mut least = changed.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                least = least.min(at(&before, j - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_nothing_far_off() {
        let known = ["message", "exclude", "include"];
        assert_eq!(nearest("mesage", &known), Some("message"));
        assert_eq!(nearest("exlcude", &known), Some("exclude"));
        assert_eq!(nearest("colour", &known), None);
        assert!(instead("colour", &known).contains("message, exclude"));
    }

    #[test]
    fn a_mark_stands_below_what_is_wrong_and_nothing_reaches_the_terminal_raw() {
        let text = "a = 1\nmesage = \"\u{1b}[31m\"\n";
        let error = PackError::new("x.toml", text, 6..12, "no".to_owned()).to_string();
        let shown = "x.toml:2:1: no\n  2 | mesage = \"\\u{1b}[31m\"\n    | ^^^^^^";
        assert_eq!(error, shown);
        let wide = "ä".repeat(300);
        let error = PackError::new("x.toml", &wide, 1..2, "no".to_owned());
        assert_eq!((error.line, error.to_string().lines().count()), (1, 1));
    }
}
