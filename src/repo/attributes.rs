//! Which files of a commit go through a filter (git-lfs, git-crypt, ...), so that their blobs are not what the user
//! edits.
//!
//! Invariant: answers come from the `.gitattributes` of the commit that is read (and `info/attributes`), never from a
//! work
//! tree: libgit2's own lookup reads the work tree and the index, which may belong to another commit, or not exist.

use std::collections::HashMap;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The `filter` attribute of the files of one commit.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    macros: HashMap<String, bool>,
    info: Vec<Rule>,
    folders: HashMap<String, Vec<Rule>>,
}

#[derive(Debug)]
struct Rule {
    pattern: Gitignore,
    filtered: bool,
}

impl Attributes {
    /// Takes in `info/attributes`, which wins over all others.
    pub(super) fn info(&mut self, text: &[u8]) {
        self.info = self.rules(text, true);
    }

    /// Takes in the `.gitattributes` of `folder`: `""` or `"sub/dir/"`, relative to the repository, parents first.
    pub(super) fn folder(&mut self, folder: &str, text: &[u8]) {
        let rules = self.rules(text, folder.is_empty());
        if !rules.is_empty() {
            self.folders.insert(folder.to_owned(), rules);
        }
    }

    /// Whether `path`, relative to the repository, has a filter.
    pub(super) fn filtered(&self, path: &str) -> bool {
        if self.info.is_empty() && self.folders.is_empty() {
            return false;
        }
        if let Some(answer) = last(&self.info, path) {
            return answer;
        }
        let ends = path
            .rmatch_indices('/')
            .map(|(slash, _)| slash + 1)
            .chain([0]);
        for end in ends {
            let rules = self.folders.get(&path[..end]);
            if let Some(answer) = rules.and_then(|rules| last(rules, &path[end..])) {
                return answer;
            }
        }
        false
    }

    fn rules(&mut self, text: &[u8], top: bool) -> Vec<Rule> {
        let text = String::from_utf8_lossy(text);
        let mut rules = Vec::new();
        for line in text.lines().map(str::trim_start) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (pattern, attributes) = split(line);
            let Some(filtered) = self.filter_of(attributes) else {
                continue;
            };
            if let Some(name) = pattern.strip_prefix("[attr]") {
                if top {
                    self.macros.insert(name.to_owned(), filtered);
                }
                continue;
            }
            // Git forbids negative patterns here; gitignore's matcher would take them for a whitelist.
            if pattern.starts_with('!') {
                continue;
            }
            let mut builder = GitignoreBuilder::new("");
            if builder.add_line(None, &pattern).is_ok()
                && let Ok(pattern) = builder.build()
            {
                rules.push(Rule { pattern, filtered });
            }
        }
        rules
    }

    /// What a list of attributes says about `filter`; the last word counts.
    fn filter_of(&self, attributes: &str) -> Option<bool> {
        attributes
            .split_ascii_whitespace()
            .rev()
            .find_map(|word| match word {
                // A bare `filter` names no filter, so git runs none.
                "filter" | "-filter" | "!filter" => Some(false),
                _ if word.starts_with("filter=") => Some(true),
                _ => self.macros.get(word).copied(),
            })
    }
}

fn last(rules: &[Rule], path: &str) -> Option<bool> {
    let matching = |rule: &&Rule| rule.pattern.matched(Path::new(path), false).is_ignore();
    rules.iter().rev().find(matching).map(|rule| rule.filtered)
}

/// The pattern, unquoted, and the rest of the line.
fn split(line: &str) -> (String, &str) {
    let Some(inner) = line.strip_prefix('"') else {
        let (pattern, rest) = line
            .split_once(|c: char| c.is_ascii_whitespace())
            .unwrap_or((line, ""));
        return (pattern.to_owned(), rest);
    };
    let mut pattern = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (pattern, &inner[at + 1..]),
            '\\' => pattern.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => pattern.push(c),
        }
    }
    (pattern, "")
}

#[cfg(test)]
mod tests {
    use super::Attributes;

    fn with(root: &str) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.folder("", root.as_bytes());
        attributes
    }

    #[test]
    fn the_last_matching_line_wins() {
        let attributes = with("*.py filter=lfs diff=lfs\nplain.py -filter\n");
        assert!(attributes.filtered("deep/a.py"));
        assert!(!attributes.filtered("deep/plain.py"));
    }

    #[test]
    fn the_nearest_folder_wins_and_info_wins_over_all() {
        let mut attributes = with("*.py filter=lfs\n");
        attributes.folder("app/", b"*.py !filter\n");
        assert!(!attributes.filtered("app/a.py"));
        assert!(attributes.filtered("a.py"));
        attributes.info(b"/app/*.py filter=crypt\n");
        assert!(attributes.filtered("app/a.py"));
    }

    #[test]
    fn macros_quotes_and_other_attributes_are_read() {
        let attributes = with(
            "[attr]secret filter=git-crypt -diff\n\"a b.py\" secret\n*.py text eol=lf\n#*.py filter=x\n!c.py filter=x\nd.py filter\n",
        );
        assert!(attributes.filtered("a b.py"));
        for plain in ["b.py", "c.py", "d.py"] {
            assert!(!attributes.filtered(plain), "{plain}");
        }
    }

    #[test]
    fn a_folder_pattern_does_not_reach_the_files_in_it() {
        let attributes = with("secrets filter=git-crypt\nkeys/** filter=git-crypt\n");
        assert!(!attributes.filtered("secrets/a.py"));
        assert!(attributes.filtered("keys/deep/a.py"));
    }
}
