//! One share of a fleet's plan: what every command that works on shares has in common.
//!
//! Invariant: it may be stopped and repeated at any moment. What is done is on the disk, line by line, and is passed
//! over; the file gets its name when all of it is done.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::plan::{Plan, Planned};
use super::results::{Done, by_target, file, lines, part};
use crate::cli::args::Common;
use crate::cli::schedule::{Place, caught, each_at};
use crate::cli::{Exit, held, hinted};
use crate::fetch::{Url, passes};
use crate::journal::{
    Entry, Held, Journal, JournalError, Line, RefState, RunRecord, Target, sync_folder,
};
use crate::repo::Repo;
use crate::report::{ProjectRow, keep};
use crate::stage::settle;
use crate::text::printable;

/// Options of whoever does a share.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Share {
    /// Only this share of a fleet's plan, I from 0
    ///
    /// What the engine's own variable says by default.
    #[arg(long, value_name = "I/N", hide_short_help = true, requires = "plan")]
    shard: Option<String>,
    /// Where results of shares are written
    ///
    /// `results` beside the plan by default.
    #[arg(long, value_name = "DIR", hide_short_help = true, requires = "plan")]
    results: Option<PathBuf>,
}

impl Share {
    /// # Errors
    /// Somebody asks for a share of what has none.
    pub(in crate::cli) fn is_none(&self, plan: &Path) -> anyhow::Result<()> {
        match (&self.shard, &self.results) {
            (None, None) => Ok(()),
            // Whoever reads it says what it is.
            _ => Plan::read(plan).map(drop),
        }
    }
}

/// Where engines say which index this is, and the number of the first.
const ENGINES: [(&str, usize); 4] = [
    ("JOB_COMPLETION_INDEX", 0),
    ("SLURM_ARRAY_TASK_ID", 0),
    ("AWS_BATCH_JOB_ARRAY_INDEX", 0),
    ("CI_NODE_INDEX", 1),
];

/// Which of `shards` is meant, by the option and by what `get` has of the environment.
fn index(
    asked: Option<&str>,
    shards: usize,
    get: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<usize> {
    let mut said: Vec<(String, usize)> = Vec::new();
    if let Some(text) = asked {
        let parts = text.split_once('/');
        let number = |text: &str| text.parse::<usize>().ok();
        let parts = parts.and_then(|(i, n)| Some((number(i)?, number(n)?)));
        let Some((i, n)) = parts else {
            anyhow::bail!("--shard {text:?}: write it as I/N, I from 0 to N-1");
        };
        if n != shards {
            anyhow::bail!(
                "--shard {text}: the plan has {shards} shards, and that alone says how many there are"
            );
        }
        said.push((format!("--shard {text}"), i));
    }
    for (name, first) in ENGINES {
        let Some(text) = get(name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let index = text.trim().parse::<usize>().ok();
        let Some(index) = index.and_then(|index| index.checked_sub(first)) else {
            anyhow::bail!("{name}={text:?}: is no index; unset it, or name the shard with --shard");
        };
        said.push((format!("{name}={text}"), index));
    }
    let Some((by, index)) = said.first() else {
        let names = ENGINES.map(|(name, _)| name).join(", ");
        anyhow::bail!("which shard? say --shard I/{shards}, or set one of {names}");
    };
    if let Some((other, _)) = said.iter().find(|(_, other)| other != index) {
        anyhow::bail!("{by} and {other} name two shards; unset one of them");
    }
    if *index >= shards {
        anyhow::bail!("{by}: the plan has {shards} shards, 0 to {}", shards - 1);
    }
    Ok(*index)
}

/// A share, nobody else's as long as this lives.
pub(in crate::cli) struct Shard {
    pub plan: Plan,
    pub results: PathBuf,
    index: usize,
    command: &'static str,
    journal: Journal,
    before: HashMap<String, Done>,
    lost: AtomicBool,
    _held: Held,
}

impl Shard {
    /// The share of the plan in `path` that is meant, to be done by `command`.
    pub(in crate::cli) fn open(
        path: &Path,
        share: &Share,
        command: &'static str,
    ) -> anyhow::Result<Shard> {
        let plan = Plan::read(path)?;
        let index = index(share.shard.as_deref(), plan.shards, |name| {
            std::env::var(name).ok()
        })?;
        let results = Plan::results(path, share.results.as_deref())?;
        std::fs::create_dir_all(&results)
            .map_err(|error| anyhow::anyhow!("{}: cannot be made: {error}", results.display()))?;
        plan.enter()?;
        let journal = Journal::at(&part(&results, command, index))?;
        let held = held(&journal, &plan.run)?;
        let mut shard = Shard {
            plan,
            index,
            command,
            results,
            journal,
            before: HashMap::new(),
            lost: AtomicBool::new(false),
            _held: held,
        };
        shard.before = by_target(shard.lines()?).0;
        Ok(shard)
    }

    pub(in crate::cli) fn run(&self) -> &str {
        &self.plan.run
    }

    pub(in crate::cli) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What is on record of this share: in the file with its name, or in that which has none yet.
    fn lines(&self) -> anyhow::Result<Vec<Line>> {
        let whole = file(&self.results, self.command, self.index);
        match whole.exists() {
            true => lines(&whole, &self.plan.run),
            false => lines(
                &part(&self.results, self.command, self.index),
                &self.plan.run,
            ),
        }
    }

    /// What is left to do, in the order of the plan.
    pub(in crate::cli) fn left(&self) -> Vec<&Planned> {
        let finished = |one: &&Planned| {
            let done = self.before.get(&one.target.name());
            !done.is_some_and(|done| done.finished)
        };
        self.plan.of(self.index).filter(finished).collect()
    }

    /// Whether this share is done as far as `command` goes.
    pub(in crate::cli) fn has(&self, command: &str) -> bool {
        file(&self.results, command, self.index).exists()
    }

    /// What `command` has on record of this share so far.
    pub(in crate::cli) fn record(&self, command: &'static str) -> anyhow::Result<RunRecord> {
        let mut all = vec![self.plan.beginning()?];
        let whole = file(&self.results, command, self.index);
        let path = match whole.exists() {
            true => whole,
            false => part(&self.results, command, self.index),
        };
        all.extend(lines(&path, &self.plan.run)?);
        RunRecord::of(&self.plan.run, all).ok_or_else(|| anyhow::anyhow!("the plan is empty"))
    }

    /// The branches that are there and were not reported before a stop, by target.
    pub(in crate::cli) fn staged(&self) -> anyhow::Result<HashMap<String, String>> {
        let record = self.record(self.command)?;
        let mut staged = HashMap::new();
        for one in self.left() {
            let name = one.target.name();
            if let Some(receipt) = settle(&self.journal, &record, &name)? {
                staged.insert(name, receipt.branch);
                continue;
            }
            let made = record.refs.iter().find(|made| made.target == name);
            let Some(made) = made else { continue };
            let branch = made.reference.strip_prefix("refs/heads/");
            let branch = branch.unwrap_or_default();
            let tip = Repo::open(Path::new(&made.repo)).and_then(|repo| repo.branch_tip(branch));
            // The commit names the run: nobody else made it, whatever is on record after a disk was full.
            if !matches!(tip, Ok(Some(tip)) if tip == made.new) {
                continue;
            }
            if made.state != RefState::Created {
                let entry = Entry::RefCreated {
                    repo: made.repo.clone(),
                    reference: made.reference.clone(),
                };
                self.journal.append(&self.plan.run, entry)?;
            }
            staged.insert(name, branch.to_owned());
        }
        Ok(staged)
    }

    /// Runs `work` on everything that is left, and reports each as soon as it is done.
    pub(in crate::cli) fn each(
        self,
        common: &Common,
        work: impl Fn(&Shard, &Planned, Result<&Place, String>) -> ProjectRow + Sync,
    ) -> anyhow::Result<Exit> {
        let left = self.left();
        let by: HashMap<&Target, &Planned> = left.iter().map(|one| (&one.target, *one)).collect();
        let asked: Vec<(&Target, Option<&str>)> = left
            .iter()
            .map(|one| (&one.target, Some(one.commit.as_str())))
            .collect();
        each_at(&asked, common, |target, place| {
            let place = place.as_ref().map_err(Clone::clone);
            let row = match by.get(target) {
                Some(planned) => caught(|| work(&self, planned, place))
                    .unwrap_or_else(|error| ProjectRow::failed(&target.name(), error)),
                None => ProjectRow::failed(&target.name(), "the plan does not name it".to_owned()),
            };
            let kept = keep(&row).unwrap_or_default();
            self.report(target, row.error.as_deref(), kept);
            row
        })?;
        self.end()
    }

    /// Puts on record that `target` is done, and how.
    pub(in crate::cli) fn report(&self, target: &Target, error: Option<&str>, row: Value) {
        if let Some(error) = error {
            errln!("error: {}: {}", printable(&target.name()), printable(error));
        }
        let entry = Entry::Reported {
            target: target.name(),
            command: self.command.to_owned(),
            retry: error.is_some_and(passes),
            row,
        };
        if let Err(error) = self.journal.append(&self.plan.run, entry) {
            self.lost.store(true, Ordering::Relaxed);
            let error = hinted(&error.to_string(), None);
            errln!(
                "error: {}: {}",
                printable(&target.name()),
                printable(&error)
            );
        }
    }

    /// Names the file if all is done, and says what that came to.
    pub(in crate::cli) fn end(self) -> anyhow::Result<Exit> {
        let (all, _) = by_target(self.lines()?);
        let done: HashSet<&String> = all
            .iter()
            .filter(|(_, done)| done.finished)
            .map(|(name, _)| name)
            .collect();
        let mine = || self.plan.of(self.index);
        let missing = mine()
            .filter(|one| !done.contains(&one.target.name()))
            .count();
        if missing > 0 || self.lost.load(Ordering::Relaxed) {
            errln!(
                "shard {}: {missing} of {} repositories are left; run it again",
                self.index,
                mine().count()
            );
            return Ok(Exit::Retry);
        }
        let part = part(&self.results, self.command, self.index);
        let whole = file(&self.results, self.command, self.index);
        let named = || -> std::io::Result<()> {
            if whole.exists() {
                return Ok(());
            }
            if !part.exists() {
                File::create(&part)?;
            }
            std::fs::rename(&part, &whole)?;
            sync_folder(&self.results)
        };
        named().map_err(|error| anyhow::anyhow!("{}: {error}", whole.display()))?;
        let failed = |done: &&Done| {
            let row = done.row.as_ref();
            row.is_some_and(|row| row["row"]["status"] == "failed")
        };
        let failed = all.values().filter(failed).count();
        errln!(
            "shard {}: {} repositories are done, {failed} of them failed",
            self.index,
            mine().count()
        );
        Ok(match failed {
            0 => Exit::Done,
            _ => Exit::Failed,
        })
    }

    /// # Errors
    /// There are repositories whose branches are in nobody's clone.
    pub(in crate::cli) fn can_bundle(&self) -> anyhow::Result<()> {
        let local = |one: &&Planned| !Url::is_meant(&one.target.location);
        match self.plan.repositories.iter().find(local) {
            Some(one) => anyhow::bail!(
                "--bundle: {} is a path, and its branch is made there; bundles are for what is cloned from URLs",
                one.target.location
            ),
            None => Ok(()),
        }
    }

    /// Leaves the branch of `row` as a file in `folder`, and in no clone.
    pub(in crate::cli) fn bundle(
        &self,
        folder: &Path,
        planned: &Planned,
        place: Result<&Place, String>,
        row: &mut ProjectRow,
        patience: Duration,
    ) {
        let Some(branch) = row.branch.clone() else {
            return;
        };
        let file = folder.join(format!("{}.bundle", planned.id));
        let text = |error: crate::repo::RepoError| hinted(&error.to_string(), error.hint());
        let write = || -> Result<(), String> {
            let place = place?;
            let cloned = place.cloned.as_ref().ok_or("it was not cloned")?;
            let repo = Repo::open(&cloned.path).map_err(text)?;
            let new = repo.branch_tip(&branch).map_err(text)?;
            let new = new.ok_or_else(|| format!("the branch {branch} is gone"))?;
            let reference = format!("refs/heads/{branch}");
            let base = &planned.commit;
            cloned
                .bundle(&reference, base, &file, patience)
                .map_err(|error| hinted(&error.to_string(), error.hint()))?;
            repo.delete_branch(&branch, &new).map_err(text)?;
            let entry = Entry::Bundled {
                target: planned.target.name(),
                repo: repo.git_dir().display().to_string(),
                reference,
                path: file.display().to_string(),
                new,
                base: base.clone(),
            };
            let said = |error: JournalError| hinted(&error.to_string(), error.hint());
            self.journal.append(&self.plan.run, entry).map_err(said)
        };
        if let Err(error) = write() {
            row.status = "failed";
            row.error = Some(error);
        }
    }
}

/// The outcome of a share for engines: what may pass is worth another try.
pub(in crate::cli) fn or_retry(done: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    match done {
        Err(error) if passes(&format!("{error:#}")) => {
            errln!("error: {}", printable(&format!("{error:#}")));
            Ok(Exit::Retry)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::index;

    #[test]
    fn the_index_is_what_the_option_and_the_engine_say_and_they_may_not_differ() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            }
        };
        assert_eq!(index(Some("3/4"), 4, env(&[])).unwrap(), 3);
        for (name, text) in [
            ("JOB_COMPLETION_INDEX", "2"),
            ("SLURM_ARRAY_TASK_ID", "2"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "2"),
            ("CI_NODE_INDEX", "3"),
        ] {
            let get = |asked: &str| (asked == name).then(|| text.to_owned());
            assert_eq!(index(None, 4, get).unwrap(), 2, "{name}");
            assert_eq!(index(Some("2/4"), 4, get).unwrap(), 2, "{name}");
            let differ = index(Some("1/4"), 4, get).unwrap_err().to_string();
            assert!(
                differ.contains(name) && differ.contains("--shard 1/4"),
                "{differ}"
            );
        }
        for (asked, env) in [
            (Some("1/5"), env(&[])),
            (Some("4/4"), env(&[])),
            (Some("x"), env(&[])),
            (Some("1"), env(&[])),
            (None, env(&[])),
            (None, env(&[("CI_NODE_INDEX", "0")])),
            (None, env(&[("SLURM_ARRAY_TASK_ID", "4")])),
            (None, env(&[("SLURM_ARRAY_TASK_ID", "x")])),
            (
                None,
                env(&[("SLURM_ARRAY_TASK_ID", "1"), ("CI_NODE_INDEX", "1")]),
            ),
        ] {
            assert!(index(asked, 4, env).is_err(), "{asked:?}");
        }
    }
}
