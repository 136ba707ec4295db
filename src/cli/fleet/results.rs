//! What shards wrote: which repositories are done, by which command, and which lines tell so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::plan::Plan;
use crate::cli::hinted;
use crate::journal::{Entry, Journal, Line};

/// A passing failure is tried so often, whoever tries.
const ATTEMPTS: usize = 4;

/// The file of a shard's results when all is done.
pub(super) fn file(results: &Path, command: &str, index: usize) -> PathBuf {
    results.join(format!("{command}-{index:05}.jsonl"))
}

/// The same, as long as not all is done.
pub(super) fn part(results: &Path, command: &str, index: usize) -> PathBuf {
    results.join(format!("{command}-{index:05}.jsonl.part"))
}

/// Reads one file of results of the run.
pub(super) fn lines(file: &Path, run: &str) -> anyhow::Result<Vec<Line>> {
    let journal = Journal::at(file)?;
    let lines = journal.lines(run);
    let lines = lines.map_err(|error| anyhow::anyhow!(hinted(&error.to_string(), error.hint())))?;
    if let Some(other) = lines.iter().find(|line| line.run != run) {
        anyhow::bail!(
            "{}: belongs to run {}, and the plan is of run {run}; name the results of this plan",
            file.display(),
            crate::text::printable(&other.run)
        );
    }
    Ok(lines)
}

/// What became of one repository in one file.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub lines: Vec<Line>,
    /// What was reported last.
    pub row: Option<serde_json::Value>,
    /// Nothing is left to be tried.
    pub finished: bool,
    attempts: usize,
}

/// What one file says of each repository, by [`crate::journal::Target::name`]; and which commands wrote it.
pub(super) fn by_target(lines: Vec<Line>) -> (HashMap<String, Done>, BTreeSet<String>) {
    let mut all: HashMap<String, Done> = HashMap::new();
    let mut refs: HashMap<(String, String), String> = HashMap::new();
    let mut commands = BTreeSet::new();
    for line in lines {
        let target = match &line.entry {
            Entry::CreateRef {
                target,
                repo,
                reference,
                ..
            } => {
                refs.insert((repo.clone(), reference.clone()), target.clone());
                Some(target)
            }
            Entry::RefCreated { repo, reference } => refs.get(&(repo.clone(), reference.clone())),
            Entry::StateReached { target, .. }
            | Entry::Looked { target, .. }
            | Entry::Described { target, .. }
            | Entry::Verified { target, .. }
            | Entry::StageFailed { target, .. }
            | Entry::Bundled { target, .. }
            | Entry::Reported { target, .. } => Some(target),
            _ => None,
        };
        let Some(target) = target.cloned() else {
            continue;
        };
        let done = all.entry(target).or_default();
        match line.entry {
            Entry::Reported {
                command,
                retry,
                row,
                ..
            } => {
                done.attempts += 1;
                done.finished = !retry || done.attempts >= ATTEMPTS;
                done.row = Some(row);
                commands.insert(command);
            }
            _ => done.lines.push(line),
        }
    }
    (all, commands)
}

/// How far a shard has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    NotBegun,
    /// So many of its repositories are done.
    Begun(usize),
    Ended,
}

/// How far each shard has come with `command`.
pub(super) fn progress(
    plan: &Plan,
    results: &Path,
    command: &str,
) -> anyhow::Result<Vec<Progress>> {
    let one = |index: usize| -> anyhow::Result<Progress> {
        if file(results, command, index).exists() {
            return Ok(Progress::Ended);
        }
        let part = part(results, command, index);
        if !part.exists() {
            return Ok(Progress::NotBegun);
        }
        let (all, _) = by_target(lines(&part, &plan.run)?);
        Ok(Progress::Begun(
            all.values().filter(|done| done.finished).count(),
        ))
    };
    (0..plan.shards).map(one).collect()
}

/// Indexes as engines take them: `0-3,7`.
pub(super) fn ranges(indexes: &[usize]) -> String {
    let mut ranges: BTreeMap<usize, usize> = BTreeMap::new();
    for &index in indexes {
        match ranges.last_entry() {
            Some(mut last) if last.get() + 1 == index => *last.get_mut() = index,
            _ => {
                ranges.insert(index, index);
            }
        }
    }
    let text = |(from, to): (usize, usize)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    };
    let parts: Vec<String> = ranges.into_iter().map(text).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn indexes_that_follow_each_other_are_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[]), "");
    }
}
