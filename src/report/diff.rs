//! Unified diffs in the form `git apply` reads, byte for byte: no decoding, no line-end translation.

use std::hash::Hash;

use rustc_hash::FxHashSet;
use similar::{Algorithm, ChangeTag, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};

use super::Run;
use crate::check::ChangedFile;

/// Lines of context around a change, as git has it.
const CONTEXT: usize = 3;

/// All patches of `run`.
pub fn diff(run: &Run) -> Vec<u8> {
    let changes = run.projects.iter().flat_map(|project| &project.changes);
    changes.flat_map(unified).collect()
}

/// The patch of one file, its path relative to the repository.
pub fn unified(file: &ChangedFile) -> Vec<u8> {
    let old = lines(&file.before);
    let new = lines(&file.after);
    let ops = changes(&old, &new);
    let (from, to) = (name("a/", &file.path), name("b/", &file.path));
    let head = match file.new {
        true => format!("diff --git {from} {to}\nnew file mode 100644\n--- /dev/null\n+++ {to}\n"),
        false => format!("diff --git {from} {to}\n--- {from}\n+++ {to}\n"),
    };
    let mut out = head.into_bytes();
    for group in group_diff_ops(ops, CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let old_range = range(first.old_range().start, last.old_range().end);
        let new_range = range(first.new_range().start, last.new_range().end);
        out.extend_from_slice(format!("@@ -{old_range} +{new_range} @@\n").as_bytes());
        for change in group.iter().flat_map(|op| op.iter_changes(&old, &new)) {
            out.push(match change.tag() {
                ChangeTag::Equal => b' ',
                ChangeTag::Delete => b'-',
                ChangeTag::Insert => b'+',
            });
            let line: &[u8] = change.value();
            out.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                out.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        }
    }
    out
}

/// What makes `new` of `old`.
pub(super) fn changes<L: Eq + Hash + Ord>(old: &[L], new: &[L]) -> Vec<DiffOp> {
    /// With more lines than this, the time for a shortest change would grow with all changes together.
    const MANY: usize = 10_000;
    match old.len() + new.len() > MANY {
        true => changes_of_many(old, new),
        false => capture_diff_slices(Algorithm::Myers, old, new),
    }
}

/// The same by unique lines, and of what both sides have alone: a line that the other side does not have is changed, whatever
/// stands around it, and thousands of those may be alike.
fn changes_of_many<L: Eq + Hash + Ord>(old: &[L], new: &[L]) -> Vec<DiffOp> {
    let (olds, news) = (FxHashSet::from_iter(old), FxHashSet::from_iter(new));
    let shared = |lines: &'_ [L], others: &FxHashSet<&L>| -> Vec<usize> {
        let places = 0..lines.len();
        places.filter(|n| others.contains(&lines[*n])).collect()
    };
    let (old_at, new_at) = (shared(old, &news), shared(new, &olds));
    let old_lines: Vec<&L> = old_at.iter().map(|n| &old[*n]).collect();
    let new_lines: Vec<&L> = new_at.iter().map(|n| &new[*n]).collect();
    let ops = capture_diff_slices(Algorithm::Patience, &old_lines, &new_lines);
    let equal = ops.iter().filter(|op| op.tag() == DiffTag::Equal);
    let pairs = equal.flat_map(|op| op.old_range().zip(op.new_range()));
    let pairs = pairs.map(|(a, b)| (old_at[a], new_at[b]));
    let mut out = Vec::new();
    let (mut old_index, mut new_index) = (0, 0);
    for (a, b) in pairs.chain([(old.len(), new.len())]) {
        let (old_len, new_len) = (a - old_index, b - new_index);
        match (old_len, new_len) {
            (0, 0) => {}
            (_, 0) => out.push(DiffOp::Delete {
                old_index,
                old_len,
                new_index,
            }),
            (0, _) => out.push(DiffOp::Insert {
                old_index,
                new_index,
                new_len,
            }),
            _ => out.push(DiffOp::Replace {
                old_index,
                old_len,
                new_index,
                new_len,
            }),
        }
        match out.last_mut() {
            _ if a == old.len() => {}
            Some(DiffOp::Equal { len, .. }) => *len += 1,
            _ => out.push(DiffOp::Equal {
                old_index: a,
                new_index: b,
                len: 1,
            }),
        }
        (old_index, new_index) = (a + 1, b + 1);
    }
    out
}

/// Lines with their ends; only `\n` ends a line, as for git.
pub(super) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// `start,length` as a hunk header has it: lines from 1, and 0 for an empty file.
fn range(start: usize, end: usize) -> String {
    let length = end - start;
    let first = if length == 0 { start } else { start + 1 };
    match length {
        1 => first.to_string(),
        _ => format!("{first},{length}"),
    }
}

/// A path as git writes it: quoted in C style when it holds anything that could confuse.
fn name(side: &str, path: &str) -> String {
    let odd = |b: u8| !(0x20..0x7f).contains(&b) || b == b'"' || b == b'\\';
    if !path.bytes().any(odd) {
        return format!("{side}{path}");
    }
    let mut out = format!("\"{side}");
    for byte in path.bytes() {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            byte if odd(byte) => out.push_str(&format!("\\{byte:03o}")),
            byte => out.push(char::from(byte)),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_changes_of_many_lines_make_the_new_of_the_old(
            old in proptest::collection::vec(0_u8..6, 0..16),
            new in proptest::collection::vec(2_u8..8, 0..16),
        ) {
            let ops = changes_of_many(&old, &new);
            let (mut from_old, mut from_new) = (Vec::new(), Vec::new());
            for op in &ops {
                prop_assert_eq!((op.old_range().start, op.new_range().start), (from_old.len(), from_new.len()));
                let (here, there) = (&old[op.old_range()], &new[op.new_range()]);
                prop_assert!(op.tag() != DiffTag::Equal || here == there);
                from_old.extend(here);
                from_new.extend(there);
            }
            prop_assert_eq!((&from_old, &from_new), (&old, &new));
            prop_assert!(ops.windows(2).all(|two| two[0].tag() != two[1].tag()));
        }
    }
}
