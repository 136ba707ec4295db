//! A baseline: the loads that are known, counted, and the files that could not be read, so that a check fails only for
//! what is new.
//!
//! Invariant: what a baseline hides is counted and told; what was not looked at never leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::args::Common;
use super::scan::{exit, look};
use super::schedule::{Place, url};
use super::target::{Opened, Reading, project};
use super::{Exit, hinted};
use crate::cli::save::save;
use crate::journal::Target;
use crate::pack::{Model, Trust};
use crate::plan::Order;
use crate::repo::{Listing, RepoError};
use crate::report::{FindingRow, NoteRow, ProjectRow, Run};

const SCHEMA: &str = "depickle-baseline/1";

/// The file that is meant when none is named.
pub(super) const FILE: &str = "depickle-baseline.json";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Take out what is no longer there, and add nothing
    #[arg(long)]
    prune: bool,
}

/// What `depickle baseline` writes. Lines are not kept: a load that only moves leaves the file as it is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Baseline {
    schema: String,
    /// By URL, or by path from the folder of the file.
    repositories: BTreeMap<String, Known>,
}

/// What is known of one repository.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    loads: Vec<Entry>,
    /// Files that could not be read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unread: BTreeSet<String>,
    /// The analysis met its bound on work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bounded: bool,
}

/// Loads with the same words in the same function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    sink: String,
    /// Who reached them: where somebody more exposed does now, it is new.
    trust: Trust,
    /// Of the first of them.
    fingerprint: String,
    count: usize,
}

pub(super) fn baseline(args: &Args) -> anyhow::Result<Exit> {
    let common = args.common.resolved()?;
    if args.prune && !(args.common.include.is_empty() && args.common.exclude.is_empty()) {
        anyhow::bail!(
            "--prune: what --include and --exclude leave out would look as if it were gone; leave them out"
        );
    }
    let path = common.output.clone().or_else(|| common.baseline.clone());
    let path = path.unwrap_or_else(|| PathBuf::from(FILE));
    let before = match path.exists() || args.prune {
        true => Baseline::read(&path)?,
        false => Baseline::default(),
    };
    let (run, targets) = look(&common, Reading::WorkTree, &Against::Nothing)?;
    for row in run.projects.iter().filter(|row| row.status != "ok") {
        let why = row
            .error
            .as_deref()
            .unwrap_or("some of it was not read; `depickle scan` says what");
        let line = format!("warning: {}: {why}", row.root);
        errln!("{}", crate::text::printable(&line));
    }
    let change = before.renewed(&path, &run, &targets, args.prune)?;
    if !common.quiet {
        let line = format!("{}: {change}", path.display());
        outln!("{}", crate::text::printable(&line));
    }
    Ok(exit(&run, |_, _| false))
}

/// What is known, and so not counted.
pub(super) enum Against {
    Nothing,
    /// What the baseline in a file names.
    Baseline(PathBuf, Baseline),
    /// What was there at a commit.
    Commit(String),
}

impl Against {
    /// Hides what is known in `row`, which was made of `opened`.
    pub(super) fn hide(
        &self,
        (asked, place, opened): (&Target, &Place, &Opened),
        (args, model, order): (&Common, &Model, &Order),
        run: &Run,
        row: &mut ProjectRow,
    ) -> Result<(), String> {
        match self {
            Against::Nothing => Ok(()),
            Against::Baseline(path, baseline) => {
                baseline.hide(path, run, asked, row);
                Ok(())
            }
            Against::Commit(reference) => {
                let by = format!("--baseline-commit {reference}");
                let fail = |error: RepoError| {
                    format!("{by}: {}", hinted(&error.to_string(), error.hint()))
                };
                let Some(repo) = opened.repo.as_ref().filter(|_| place.cloned.is_none()) else {
                    return Err(format!(
                        "{by}: no other commit is at hand; `depickle scan --baseline FILE` needs none"
                    ));
                };
                let base = repo.resolve(Some(reference)).map_err(fail)?;
                let listing = match repo.files_at(&base, &opened.asked, &args.filter()) {
                    // All of it is new.
                    Err(RepoError::NotInCommit { .. }) => Listing::default(),
                    listing => listing.map_err(fail)?,
                };
                let then = project(listing);
                let checked = crate::migrate(&then, model, order, Some(base.commit));
                let then = ProjectRow::of("", &opened.prefix, &then, model, checked);
                if then.status != "ok" {
                    row.notes.push(format!(
                        "{reference} could not be read to its end: what was there, and not seen, counts as new"
                    ));
                }
                Known::of(run, &then).hide(reference, run, row);
                Ok(())
            }
        }
    }
}

impl Baseline {
    /// The baseline in `path`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Baseline> {
        let shown = path.display();
        let anew = format!("`depickle baseline -o {shown}` writes one");
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{shown}: no baseline can be read there; {anew}"))?;
        let wrong = || format!("{shown}: is no baseline; mend it, or remove it: {anew}");
        let value: serde_json::Value = serde_json::from_str(&text).with_context(wrong)?;
        match value.get("schema").and_then(|schema| schema.as_str()) {
            Some(SCHEMA) => serde_json::from_value(value).with_context(wrong),
            Some(other) => anyhow::bail!(
                "{shown}: is a baseline of another version ({other}, not {SCHEMA}); remove it: {anew}"
            ),
            None => anyhow::bail!("{}", wrong()),
        }
    }

    /// Writes to `path` what is known after `run`: what is there now, or, with `prune`, what of this one still is.
    /// Tells what changed.
    pub(super) fn renewed(
        mut self,
        path: &Path,
        run: &Run,
        targets: &[Target],
        prune: bool,
    ) -> anyhow::Result<String> {
        let folder = folder(path)?;
        let before = self.counts();
        let mut repositories: BTreeMap<String, Known> = BTreeMap::new();
        for (target, row) in targets.iter().zip(&run.projects) {
            let key = key(target, &folder);
            let known = self.repositories.get(&key).cloned();
            if row.status == "failed" || (prune && known.is_none()) {
                continue;
            }
            let known = known.unwrap_or_default();
            let now = match (prune, known.excuses(row)) {
                (true, true) => known.pruned(run, row),
                (true, false) => known,
                (false, true) => Known::of(run, row),
                (false, false) => known.joined(Known::of(run, row)),
            };
            // Two commits of one repository are one entry.
            let same = repositories.remove(&key).unwrap_or_default();
            repositories.insert(key, same.joined(now));
        }
        self.schema = SCHEMA.to_owned();
        self.repositories.extend(repositories);
        let text = serde_json::to_string_pretty(&self)? + "\n";
        save(path, text.as_bytes(), "-o names another")?;
        let after = self.counts();
        let more = |one: &BTreeMap<_, usize>, other: &BTreeMap<_, usize>| -> usize {
            let each = one.iter();
            each.map(|(key, n)| n.saturating_sub(other.get(key).copied().unwrap_or_default()))
                .sum()
        };
        Ok(format!(
            "{} known; {} new, {} gone",
            after.values().sum::<usize>(),
            more(&after, &before),
            more(&before, &after)
        ))
    }

    fn counts(&self) -> BTreeMap<(String, String, Trust), usize> {
        let all = self.repositories.iter();
        let all = all.flat_map(|(key, known)| known.loads.iter().map(move |entry| (key, entry)));
        all.map(|(key, e)| ((key.clone(), e.fingerprint.clone(), e.trust), e.count))
            .collect()
    }

    /// Hides what is known of `target` in its `row`.
    fn hide(&self, path: &Path, run: &Run, target: &Target, row: &mut ProjectRow) {
        let name = path.display().to_string();
        let known = folder(path).ok();
        let known = known.and_then(|folder| self.repositories.get(&key(target, &folder)));
        let Some(known) = known else {
            row.notes.push(format!(
                "{name} does not name it, so all of it counts; `depickle baseline` writes it in"
            ));
            return;
        };
        known.hide(&name, run, row);
        let gone: usize = Found::of(run, row, &known.loads).left.iter().sum();
        if gone > 0 && known.excuses(row) {
            row.notes.push(format!(
                "{gone} in {name} no longer there; `depickle baseline --prune` takes them out"
            ));
        }
    }
}

impl Known {
    /// What counts in `row`, and what could not be read.
    fn of(run: &Run, row: &ProjectRow) -> Known {
        let mut entries: BTreeMap<(&str, Trust), Entry> = BTreeMap::new();
        for finding in row.findings.iter().filter(|finding| run.counts(finding)) {
            let Some(trust) = level(finding) else {
                continue;
            };
            let entry = entries.entry((&finding.alike, trust));
            let entry = entry.or_insert_with(|| Entry {
                file: finding.file.clone(),
                sink: finding.sink.clone(),
                trust,
                fingerprint: finding.alike.clone(),
                count: 0,
            });
            entry.count += 1;
        }
        let mut loads: Vec<Entry> = entries.into_values().collect();
        loads.sort();
        Known {
            loads,
            unread: unread(row).map(str::to_owned).collect(),
            bounded: row.exhausted,
        }
    }

    /// What is in either, with the greater count.
    fn joined(mut self, other: Known) -> Known {
        let mut loads: BTreeMap<(String, Trust), Entry> = BTreeMap::new();
        for entry in self.loads.into_iter().chain(other.loads) {
            let had = loads.entry((entry.fingerprint.clone(), entry.trust));
            let had = had.or_insert_with(|| entry.clone());
            had.count = had.count.max(entry.count);
        }
        self.loads = loads.into_values().collect();
        self.loads.sort();
        self.unread.extend(other.unread);
        self.bounded |= other.bounded;
        self
    }

    /// What of it is still there in `row`.
    fn pruned(mut self, run: &Run, row: &ProjectRow) -> Known {
        let left = Found::of(run, row, &self.loads).left;
        for (entry, left) in self.loads.iter_mut().zip(left) {
            entry.count -= left;
        }
        self.loads.retain(|entry| entry.count > 0);
        let still: BTreeSet<&str> = unread(row).collect();
        self.unread.retain(|file| still.contains(file.as_str()));
        self.bounded &= row.exhausted;
        self
    }

    /// Whether all of `row` was looked at, but for what was not when this was written either.
    fn excuses(&self, row: &ProjectRow) -> bool {
        row.status != "failed"
            && (self.bounded || !row.exhausted)
            && unread(row).all(|file| self.unread.contains(file))
    }

    /// Marks what it knows of `row`; `by` is its name.
    fn hide(&self, by: &str, run: &Run, row: &mut ProjectRow) {
        let found = Found::of(run, row, &self.loads).known;
        let mut hidden = 0;
        for (n, finding) in row.findings.iter_mut().enumerate() {
            if !run.counts(finding) {
                continue;
            }
            let alike = self.loads.iter().filter(|e| e.fingerprint == finding.alike);
            let alike: usize = alike.map(|entry| entry.count).sum();
            if found.contains(&n) {
                finding.known = true;
                hidden += 1;
            } else if alike > 0 {
                finding.notes.push(NoteRow {
                    code: "alike",
                    message: format!(
                        "{by} knows {alike} like it: now there are more, or this one is more exposed"
                    ),
                    file: None,
                    line: None,
                });
            }
        }
        if hidden > 0 {
            row.notes.push(format!(
                "{hidden} known to {by}, not counted; -v lists them"
            ));
        }
        if row.status != "ok" && self.excuses(row) {
            row.known = true;
            row.notes.push(format!(
                "what could not be read is known to {by}, and no reason for exit code 3"
            ));
        }
    }
}

/// The files of `row` that were not read.
fn unread(row: &ProjectRow) -> impl Iterator<Item = &str> {
    let unparsed = row.files.unparsed.iter().map(|file| file.file.as_str());
    let skipped = row.files.skipped.iter().map(|file| file.file.as_str());
    unparsed.chain(skipped)
}

/// Findings held against entries.
struct Found {
    /// Indices of the findings that are covered.
    known: BTreeSet<usize>,
    /// Parallel to the entries: how many of each cover nothing.
    left: Vec<usize>,
}

impl Found {
    /// An entry covers what is as exposed as it says, or less.
    fn of(run: &Run, row: &ProjectRow, entries: &[Entry]) -> Found {
        let mut left: Vec<usize> = entries.iter().map(|entry| entry.count).collect();
        let open = row.findings.iter().enumerate();
        let mut open: Vec<(usize, Trust, &FindingRow)> = open
            .filter(|(_, finding)| finding.is_open())
            .filter_map(|(n, finding)| Some((n, level(finding)?, finding)))
            .collect();
        // Those that count come first; among them the most exposed, whose entries others could take, too.
        open.sort_by_key(|(n, level, finding)| (!run.concerns(finding), *level, *n));
        let mut known = BTreeSet::new();
        for (n, level, finding) in open {
            let free = entries.iter().zip(&mut left).find(|(entry, left)| {
                **left > 0 && entry.fingerprint == finding.alike && entry.trust <= level
            });
            if let Some((_, left)) = free {
                *left -= 1;
                known.insert(n);
            }
        }
        Found { known, left }
    }
}

fn level(finding: &FindingRow) -> Option<Trust> {
    let mut levels = Trust::ALL.into_iter();
    levels.find(|level| level.word() == finding.trust)
}

/// The folder of the baseline in `path`: paths in it start there.
fn folder(path: &Path) -> anyhow::Result<PathBuf> {
    let folder = path.parent().filter(|up| !up.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    folder.canonicalize().with_context(|| {
        format!(
            "{}: there is no such folder; make it, or name another with -o",
            folder.display()
        )
    })
}

/// What `target` is called in a baseline in `folder`: the same on every machine, and from wherever it is asked for.
fn key(target: &Target, folder: &Path) -> String {
    let path = Path::new(&target.location).canonicalize();
    let (None, Ok(mut path)) = (url(target), path) else {
        let base = None;
        return Target {
            base,
            ..target.clone()
        }
        .name();
    };
    path.extend(target.within.as_deref());
    let (path, folder) = (path.components(), folder.components());
    let pairs = path.clone().zip(folder.clone());
    let shared = pairs.take_while(|(one, other)| one == other).count();
    let up = folder.skip(shared).map(|_| "..".to_owned());
    let down = path
        .skip(shared)
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let parts: Vec<String> = up.chain(down).collect();
    match parts.is_empty() {
        true => ".".to_owned(),
        false => parts.join("/"),
    }
}
