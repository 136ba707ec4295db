//! Unified diffs in the form `git apply` reads, byte for byte: no decoding, no line-end translation.

use similar::{Algorithm, ChangeTag, DiffOp, capture_diff_slices, group_diff_ops};

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
pub(super) fn changes<L: Eq + std::hash::Hash + Ord>(old: &[L], new: &[L]) -> Vec<DiffOp> {
    /// With more lines than this, the time for a shortest change would grow with all changes together.
    const MANY: usize = 10_000;
    let algorithm = match old.len() + new.len() > MANY {
        true => Algorithm::Patience,
        false => Algorithm::Myers,
    };
    capture_diff_slices(algorithm, old, new)
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
