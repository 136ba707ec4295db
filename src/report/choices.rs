//! A change in the parts that a person can take or leave, each as a patch to be read.
//!
//! Invariant: these patches are shown and never written. What is left after a review is planned and checked anew, and
//! held against what was shown.

use std::collections::BTreeSet;
use std::ops::Range;

use similar::DiffTag;

use super::diff::{changes, lines, unified};
use crate::check::{ChangedFile, Checked};
use crate::plan::{Changes, Decision};
use crate::project::{FileId, Project};
use crate::text::Edit;

/// Loads that stand or fall together, and what changes for them.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Which of the project's findings, in their order.
    pub findings: Vec<usize>,
    /// Their fingerprints.
    pub loads: Vec<String>,
    /// What one writes, the others read: they move together or not at all.
    pub bound: bool,
    /// As `diff` prints it. Imports are shown with the first load of their file, what several loads use alike with each.
    pub patch: Vec<u8>,
    /// Path, old lines and new text, without imports: equal as long as it is the same change.
    pub does: Vec<(String, Range<usize>, Vec<u8>)>,
}

/// Lines of a file that change, with none between them that stays.
struct Chunk {
    file: usize,
    old: Range<usize>,
    new: Vec<u8>,
    /// One of the findings that it is for alone.
    of: Option<usize>,
    /// Findings that each want it so: a class that they use.
    by: BTreeSet<usize>,
}

/// The change of `checked` in its smallest parts; `prefix` is the project's path in its repository.
pub fn choices(project: &Project, prefix: &str, checked: &Checked) -> Vec<Choice> {
    let files = checked.changeset.files();
    let mut chunks: Vec<Chunk> = files.iter().enumerate().flat_map(chunks).collect();
    let decided = checked.decisions.iter().enumerate();
    let open = decided.filter_map(|(n, decision)| match decision {
        Decision::Rewrite(changes) => Some((n, changes)),
        _ => None,
    });
    let open: Vec<(usize, &Changes)> = open.collect();
    let mut sets = Sets((0..checked.findings.len()).collect());
    let wanted: Vec<_> = open
        .iter()
        .flat_map(|(_, changes)| edits_of(changes))
        .collect();
    let common = |one: &(FileId, &Edit)| wanted.iter().filter(|other| *other == one).count() > 1;
    for (n, changes) in &open {
        if let Some(first) = checked.together.get(*n) {
            sets.join(*n, *first);
        }
        let mut seen = false;
        for (id, edits) in *changes {
            let (path, text) = (project.path(*id), project.source(*id).text());
            let Some(file) = files.iter().position(|file| file.path == path) else {
                continue;
            };
            // Where lines of code are not lines of the file nothing is told apart.
            if newlines(text.as_bytes()) != newlines(&files[file].before) {
                continue;
            }
            for edit in edits.edits() {
                let rows = rows(text, edit.span.start, edit.span.end);
                let own = chunks.iter_mut().filter(|chunk| chunk.file == file);
                let common = common(&(*id, edit));
                for chunk in own.filter(|chunk| touches(&chunk.old, &rows)) {
                    if common {
                        chunk.by.insert(*n);
                        continue;
                    }
                    sets.join(*n, *chunk.of.get_or_insert(*n));
                    seen = true;
                }
            }
        }
        if !seen {
            // Nothing is seen to be its own: it goes with all others of its files.
            let beside = |other: &Changes| changes.keys().any(|id| other.contains_key(id));
            for (other, _) in open.iter().filter(|(_, other)| beside(other)) {
                sets.join(*n, *other);
            }
        }
    }
    // Where something of its own stands beside, a part is that one's after all.
    for chunk in &chunks {
        if let Some(of) = chunk.of {
            chunk.by.iter().for_each(|n| sets.join(*n, of));
        }
    }
    let mut heads: Vec<usize> = open.iter().map(|(n, _)| sets.head(*n)).collect();
    let mut seen = BTreeSet::new();
    heads.retain(|head| seen.insert(*head));
    let mut shared: BTreeSet<usize> = (0..chunks.len())
        .filter(|n| chunks[*n].of.is_none() && chunks[*n].by.is_empty())
        .collect();
    let choice = |head: &usize| {
        let of = open.iter().filter(|(n, _)| sets.head(*n) == *head);
        let (findings, changes): (Vec<usize>, Vec<&Changes>) = of.copied().unzip();
        let own: BTreeSet<usize> = (0..chunks.len())
            .filter(|n| {
                let mut all = chunks[*n].of.iter().chain(&chunks[*n].by);
                all.any(|of| sets.head(*of) == *head)
            })
            .collect();
        let in_its_files = |n: &usize| {
            let path = &files[chunks[*n].file].path;
            let mut ids = changes.iter().flat_map(|changes| changes.keys());
            ids.any(|id| project.path(*id) == path)
        };
        let with: BTreeSet<usize> = shared.iter().copied().filter(in_its_files).collect();
        shared.retain(|n| !with.contains(n));
        let shown: Vec<&Chunk> = own.union(&with).map(|n| &chunks[*n]).collect();
        let patch = files
            .iter()
            .enumerate()
            .map(|(n, file)| patch(n, file, &shown, prefix));
        let fingerprint = |n: &usize| checked.findings.get(*n).map(|f| f.fingerprint.clone());
        let group = |n: &usize| checked.together.get(*n);
        Choice {
            loads: findings.iter().filter_map(fingerprint).collect(),
            bound: findings.iter().any(|n| {
                findings
                    .iter()
                    .any(|other| other != n && group(n) == group(other))
            }),
            patch: patch.collect::<Vec<_>>().concat(),
            does: own.iter().map(|n| chunks[*n].told(files)).collect(),
            findings,
        }
    };
    heads.iter().map(choice).collect()
}

fn edits_of(changes: &Changes) -> impl Iterator<Item = (FileId, &Edit)> {
    let files = changes.iter();
    files.flat_map(|(id, edits)| edits.edits().iter().map(|edit| (*id, edit)))
}

impl Chunk {
    fn told(&self, files: &[ChangedFile]) -> (String, Range<usize>, Vec<u8>) {
        let path = files.get(self.file).map(|file| file.path.clone());
        (path.unwrap_or_default(), self.old.clone(), self.new.clone())
    }
}

fn chunks((n, file): (usize, &ChangedFile)) -> Vec<Chunk> {
    let (old, new) = (lines(&file.before), lines(&file.after));
    let mut chunks: Vec<Chunk> = Vec::new();
    for op in changes(&old, &new) {
        if op.tag() == DiffTag::Equal {
            continue;
        }
        let text = new[op.new_range()].concat();
        match chunks.last_mut() {
            Some(last) if last.old.end == op.old_range().start => {
                last.old.end = op.old_range().end;
                last.new.extend(text);
            }
            _ => chunks.push(Chunk {
                file: n,
                old: op.old_range(),
                new: text,
                of: None,
                by: BTreeSet::new(),
            }),
        }
    }
    chunks
}

/// The patch of `file`, the `n`th, with `shown` alone.
fn patch(n: usize, file: &ChangedFile, shown: &[&Chunk], prefix: &str) -> Vec<u8> {
    let old = lines(&file.before);
    let (mut after, mut at) = (Vec::new(), 0);
    for chunk in shown.iter().filter(|chunk| chunk.file == n) {
        after.extend(old[at..chunk.old.start].concat());
        after.extend(&chunk.new);
        at = chunk.old.end;
    }
    after.extend(old[at..].concat());
    if after == file.before {
        return Vec::new();
    }
    unified(&ChangedFile {
        path: format!("{prefix}{}", file.path),
        after,
        ..file.clone()
    })
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// The rows, from 0, that the text from `start` to `end` stands in.
fn rows(text: &str, start: usize, end: usize) -> Range<usize> {
    let before = |offset: usize| newlines(text.as_bytes().get(..offset).unwrap_or_default());
    let (first, last) = (before(start), before(end));
    let to_its_end = end > start && text.as_bytes().get(end - 1) == Some(&b'\n');
    first..last + usize::from(!to_its_end)
}

/// Whether `edited` rows are among those that a chunk takes the place of.
fn touches(chunk: &Range<usize>, edited: &Range<usize>) -> bool {
    match chunk.is_empty() {
        true => edited.start <= chunk.start && chunk.start <= edited.end,
        false => chunk.start < edited.end && edited.start < chunk.end,
    }
}

/// Which findings go together.
struct Sets(Vec<usize>);

impl Sets {
    fn head(&self, mut n: usize) -> usize {
        while let Some(up) = self.0.get(n).filter(|up| **up != n) {
            n = *up;
        }
        n
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.head(a), self.head(b));
        if let Some(slot) = self.0.get_mut(a.max(b)) {
            *slot = a.min(b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sets, rows, touches};

    #[test]
    fn rows_end_before_a_line_that_is_not_touched() {
        let text = "a\nb\nc\n";
        assert_eq!(rows(text, 2, 3), 1..2);
        assert_eq!(rows(text, 2, 4), 1..2);
        assert_eq!(rows(text, 2, 5), 1..3);
        assert_eq!(rows(text, 4, 4), 2..3);
    }

    #[test]
    fn neighbours_are_not_touched_and_insertions_are() {
        assert!(touches(&(1..2), &(1..2)) && touches(&(0..3), &(1..2)));
        assert!(!touches(&(1..2), &(2..3)) && !touches(&(2..3), &(1..2)));
        assert!(touches(&(2..2), &(2..3)) && touches(&(2..2), &(1..2)));
        assert!(!touches(&(4..4), &(1..2)));
    }

    #[test]
    fn what_is_joined_has_one_head() {
        let mut sets = Sets((0..5).collect());
        sets.join(3, 1);
        sets.join(4, 3);
        assert_eq!([0, 1, 2, 3, 4].map(|n| sets.head(n)), [0, 1, 2, 1, 1]);
    }
}
