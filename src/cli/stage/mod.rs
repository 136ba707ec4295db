//! `stage`: the patch of `diff`, committed on a new branch of each repository; and going on with a run that stopped.

mod work;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Exit;
use super::approve::approvers;
use super::args::{Common, DECIDED};
use super::commit::How;
use super::config::Known;
use super::fleet::{Plan, Shard, Share, or_retry};
use super::output::Report;
use super::pinned::Pinned;
use super::schedule::each;
use super::target::{begun, run_time};
use super::with_tests::{WithTests, command};
use crate::fetch::Url;
use crate::journal::{Entry, IN_PLACE, Journal, RepoRecord, RunRecord, State, Target};
use crate::repo::Repo;
use crate::report::ProjectRow;
use crate::stage::settle;
use work::Work;

/// Options that a run keeps from its start, besides those that a plan decides.
const KEPT: [&str; 18] = [
    "split",
    "pack",
    "no_repo_config",
    "shard",
    "results",
    "bundle",
    "with_tests",
    "environment",
    "config",
    "branch",
    "signoff",
    "author",
    "committer",
    "no_gpg_sign",
    "plan",
    "require_approval",
    "approvals",
    "window",
];

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    tests: WithTests,
    /// Stage exactly what diff --save planned
    ///
    /// And nothing where anything differs. Of what `depickle fleet plan` planned, a share is staged.
    #[arg(long, value_name = "PLAN", conflicts_with_all = DECIDED, conflicts_with = "split")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    share: Share,
    /// Leave the branches of the share there, as bundles
    ///
    /// For `depickle fleet publish`; none stays in the clones.
    #[arg(long, value_name = "DIR", hide_short_help = true, requires = "plan")]
    bundle: Option<PathBuf>,
    /// Only if somebody in this file approved the plan
    ///
    /// Allowed signers as ssh-keygen has them, and armored OpenPGP keys.
    #[arg(long, value_name = "FILE", requires = "plan")]
    require_approval: Option<PathBuf>,
    /// So many of them, each counted once
    #[arg(long, value_name = "N", requires = "require_approval", default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    approvals: u16,
    /// Go on with a run that stopped
    ///
    /// What it was asked for stands.
    #[arg(long, value_name = "RUN", conflicts_with = "retry_failed", conflicts_with_all = DECIDED, conflicts_with_all = KEPT)]
    resume: Option<String>,
    /// Try again what failed in a run, and nothing else
    #[arg(long, value_name = "RUN", conflicts_with_all = DECIDED, conflicts_with_all = KEPT)]
    retry_failed: Option<String>,
}

/// What the record of a run keeps, so that it can go on as it began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    pub common: Common,
    pub how: How,
    #[serde(default)]
    pub tests: WithTests,
    pub time: i64,
    /// What it must come to.
    #[serde(default)]
    pub plan: Option<Pinned>,
    /// It is done in shards.
    #[serde(default)]
    pub fleet: bool,
}

/// What the configuration says now that `kept`, the options of `run`, were taken from.
///
/// # Errors
/// It says something else, or cannot be read.
fn again(kept: &Common, run: &RunRecord) -> anyhow::Result<Known> {
    let asked = Common {
        config: kept.config.clone(),
        pack: kept.pack.clone(),
        quiet: true,
        ..Common::default()
    };
    let now = asked.resolved_in(Some(Path::new(&run.folder)))?.known;
    kept.known.holds(&now, &format!("run {}", run.id))?;
    Ok(now)
}

/// The options that `run` was begun with, and the plan that it staged.
pub(super) fn asked_for(run: &RunRecord) -> anyhow::Result<(Common, Option<Pinned>)> {
    let unknown = |_| {
        let id = &run.id;
        anyhow::anyhow!(
            "run {id} did not record what it was asked for; stage or apply anew instead"
        )
    };
    let (common, plan) = match run.settings.get(IN_PLACE) {
        Some(common) => (
            serde_json::from_value(common.clone()).map_err(unknown)?,
            None,
        ),
        None => {
            let settings = serde_json::from_value::<Settings>(run.settings.clone());
            let settings = settings.map_err(unknown)?;
            (settings.common, settings.plan)
        }
    };
    let known = again(&common, run)?;
    Ok((Common { known, ..common }, plan))
}

pub(super) fn stage(args: &Args) -> anyhow::Result<Exit> {
    if let Some(path) = &args.plan {
        if Plan::is_in(path) {
            return or_retry(in_share(path, args));
        }
        args.share.is_none(path)?;
    }
    let journal = super::journal()?;
    match args.resume.as_deref().or(args.retry_failed.as_deref()) {
        Some(id) => go_on(id, args, &journal),
        None => begin(args, journal),
    }
}

/// A share of the fleet's plan in `path`.
fn in_share(path: &Path, args: &Args) -> anyhow::Result<Exit> {
    args.tests.check(true)?;
    let as_value = |how: &How| serde_json::to_value(how);
    if as_value(&args.how)? != as_value(&How::default())? || args.require_approval.is_some() {
        anyhow::bail!(
            "{}: the plan of a fleet has decided how it is committed; say it to `depickle fleet plan`",
            path.display()
        );
    }
    let bundles = args.bundle.as_ref().map(std::path::absolute).transpose()?;
    let shard = Shard::open(path, &args.share, "stage")?;
    if bundles.is_some() {
        shard.can_bundle()?;
    }
    let mut settings = shard.plan.settings.clone();
    let now = args.common.resolved()?;
    settings.common.known.holds(&now.known, "the plan")?;
    settings.common = looking(settings.common, now)?;
    let common = settings.common.clone();
    let patience = std::time::Duration::from_secs(common.timeout);
    let work = Work::new(shard.run().to_owned(), settings, shard.journal().clone())?;
    work.in_window().map_err(anyhow::Error::msg)?;
    let staged = shard.staged()?;
    shard.each(&common, |shard, planned, place| {
        let before = staged.get(&planned.target.name());
        let mut row = work.one(&planned.target, place.clone(), before.map(String::as_str));
        if let Some(folder) = &bundles {
            shard.bundle(folder, planned, place, &mut row, patience);
        }
        row
    })
}

fn begin(args: &Args, journal: Journal) -> anyhow::Result<Exit> {
    args.tests.check(args.plan.is_some())?;
    let now = args.common.resolved()?;
    let mut settings = Settings {
        common: now.clone(),
        how: args.how.clone(),
        tests: args.tests.clone(),
        time: run_time(),
        plan: None,
        fleet: false,
    };
    let mut targets = Vec::new();
    if let Some(path) = &args.plan {
        let (plan, bytes) = Pinned::read(path)?;
        if let Some(allowed) = &args.require_approval {
            let who = approvers(path, &bytes, allowed, args.approvals.into())?;
            if !now.quiet {
                let who = Vec::from_iter(who).join(", ");
                errln!("approved by {}", crate::text::printable(&who));
            }
        }
        plan.options.known.holds(&now.known, "the plan")?;
        settings.common = looking(plan.options.clone(), now)?;
        settings.time = plan.time;
        settings.how = settings.how.of_plan(&plan.commits)?;
        targets.extend(plan.targets().cloned());
        if targets.is_empty() {
            anyhow::bail!(
                "{}: the plan changes nothing; `depickle diff --save` writes one that does",
                path.display()
            );
        }
        settings.plan = Some(plan);
    } else {
        targets = settings.common.targets()?;
        settings.how.shape = settings.how.shape.or(settings.common.commits.clone());
    }
    settings.common.fits(targets.len())?;
    let given = settings.plan.as_ref().map(|plan| plan.time);
    let (id, _held) = begun(&journal, given, &inputs(&targets, &settings))?;
    let work = Work::new(id, settings, journal)?;
    work.in_window().map_err(anyhow::Error::msg)?;
    let folder = std::env::current_dir()?;
    work.journal.append(
        &work.id,
        Entry::RunStarted {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command(),
            folder: folder.display().to_string(),
            targets: targets.clone(),
            settings: serde_json::to_value(&work.settings)?,
        },
    )?;
    if targets.len() > 1 && !work.settings.common.quiet {
        errln!("run {0}; if it stops: depickle stage --resume {0}", work.id);
    }
    let rows = each(&targets, &work.settings.common, |asked, place| {
        work.one(asked, place.as_ref().map_err(Clone::clone), None)
    })?;
    work.end(rows)
}

/// The rest of the run `id`, or what failed in it.
fn go_on(id: &str, args: &Args, journal: &Journal) -> anyhow::Result<Exit> {
    let _held = super::held(journal, id)?;
    let Some(mut record) = super::recorded(journal, Some(id))? else {
        anyhow::bail!("no run {id} on record; see `depickle runs`");
    };
    if record.is_taken_back() {
        anyhow::bail!(
            "run {id} was rolled back; stage anew instead, or end it with `depickle rollback {id}`"
        );
    }
    if record.is_in_place() {
        anyhow::bail!(
            "run {id} changed files in place, which is not gone on with: what is left would be planned from files that are \
             changed in part; take it back with `depickle rollback {id}`, and apply anew"
        );
    }
    let settings: Settings = serde_json::from_value(record.settings.take()).map_err(|_| {
        anyhow::anyhow!("run {id} did not record what it was asked for; stage anew instead")
    })?;
    if settings.fleet {
        anyhow::bail!(
            "run {id} is a fleet's: run the shards that are missing again, and then `depickle fleet merge`, which names them"
        );
    }
    if record.tool_version != env!("CARGO_PKG_VERSION") && !args.common.quiet {
        errln!(
            "warning: the run was begun by depickle {}, whose changes may differ",
            crate::text::printable(&record.tool_version)
        );
    }
    let known = again(&settings.common, &record)?;
    let now = Common {
        known,
        ..args.common.resolved()?
    };
    let common = looking(settings.common, now)?;
    let work = Work::new(
        id.to_owned(),
        Settings { common, ..settings },
        journal.clone(),
    )?;
    // Relative paths are relative to where the run began.
    if std::env::set_current_dir(&record.folder).is_err() {
        anyhow::bail!(
            "{}: the folder that the run began in is gone; stage anew instead",
            record.folder
        );
    }
    let again = |one: &RepoRecord| match args.retry_failed.is_some() {
        true => one.state == State::Failed,
        false => !one.is_done(),
    };
    let chosen: Vec<&RepoRecord> = record
        .repositories
        .iter()
        .filter(|one| again(one))
        .collect();
    let failed = chosen.iter().filter(|one| one.state == State::Failed);
    let again = failed.map(|one| one.target.clone()).collect();
    journal.append(id, Entry::RunResumed { again })?;
    let mut left: Vec<Target> = Vec::new();
    let mut unasked = Vec::new();
    for one in chosen {
        // A branch that was made before the stop is not made twice.
        match (settle(journal, &record, &one.target)?, &one.asked) {
            (Some(_), _) => {}
            (None, Some(asked)) => left.push(asked.clone()),
            (None, None) => unasked.push(one.target.clone()),
        }
    }
    let done = each(&left, &work.settings.common, |asked, place| {
        work.one(asked, place.as_ref().map_err(Clone::clone), None)
    })?;
    let Some(record) = super::recorded(journal, Some(id))? else {
        anyhow::bail!(
            "the record of run {id} went away while it was worked on; see who clears the folder that DEPICKLE_STATE_DIR names"
        );
    };
    let mut done: std::collections::HashMap<String, ProjectRow> = done
        .into_iter()
        .map(|row| (row.root.clone(), row))
        .collect();
    let row = |one: &RepoRecord| match done.remove(&one.target) {
        Some(row) => row,
        None if unasked.contains(&one.target) => {
            ProjectRow::failed(&one.target, "the run did not record where it is".to_owned())
        }
        None => before(&record, one),
    };
    let rows = record.repositories.iter().map(row).collect();
    work.end(rows)
}

/// `kept` decides what is staged, `now` how it is looked for and printed.
pub(super) fn looking(kept: Common, now: Common) -> anyhow::Result<Common> {
    Ok(Common {
        known: now.known,
        jobs: now.jobs,
        per_host: now.per_host,
        timeout: now.timeout,
        cache_dir: now.cache_dir.map(std::path::absolute).transpose()?,
        limits: now.limits,
        format: now.format,
        output: now.output.map(std::path::absolute).transpose()?,
        report: now
            .report
            .into_iter()
            .map(Report::absolute)
            .collect::<Result<_, _>>()?,
        color: now.color,
        quiet: now.quiet,
        verbose: now.verbose,
        show_suppressed: now.show_suppressed,
        explain: now.explain,
        ..kept
    })
}

/// The row of what was done before the run went on: what is on record, and not what was found.
fn before(run: &RunRecord, one: &RepoRecord) -> ProjectRow {
    let made = run.refs.iter().find(|made| made.target == one.target);
    let failed = one.state == State::Failed;
    ProjectRow {
        root: one.target.clone(),
        commit: one.commit.clone(),
        status: match (failed, one.complete) {
            (true, _) => "failed",
            (_, false) => "incomplete",
            _ => "ok",
        },
        error: one.detail.clone().filter(|_| failed),
        branch: made
            .and_then(|made| made.reference.strip_prefix("refs/heads/"))
            .map(str::to_owned),
        notes: vec![format!(
            "{} when the run went on; its loads are not listed again ({} within reach)",
            one.state.word(),
            one.findings
        )],
        ..ProjectRow::default()
    }
}

/// Everything that decides what is staged.
fn inputs(targets: &[Target], settings: &Settings) -> Vec<String> {
    let commit = |target: &Target| {
        let own = target.base.as_deref().or(settings.common.base.as_deref());
        let local = !Url::is_meant(&target.location);
        let repo = local.then(|| Repo::discover(Path::new(&target.location)).ok());
        let base = repo.flatten().and_then(|repo| repo.resolve(own).ok());
        base.map(|base| base.commit)
    };
    let commits: Vec<Option<String>> = targets.iter().map(commit).collect();
    let commits: Vec<Option<&str>> = commits.iter().map(Option::as_deref).collect();
    inputs_at(targets, &commits, settings)
}

/// The same, where it is known what each reads; of what is elsewhere that does not count.
pub(super) fn inputs_at(
    targets: &[Target],
    commits: &[Option<&str>],
    settings: &Settings,
) -> Vec<String> {
    let (common, how) = (&settings.common, &settings.how);
    let mut inputs = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        how.shape.branch.clone().unwrap_or_default(),
        format!(
            "{:?} {} {}",
            how.shape.split, how.shape.signoff, how.no_gpg_sign
        ),
        format!("{:?} {:?}", common.levels(), common.message),
        format!("{:?} {}", common.to, common.suggestions),
        format!("log rejects {}", common.log_rejects),
        format!("{:?}", settings.tests),
        format!("dual read {} {}", common.dual_read, common.finish_dual_read),
        format!("{:?} {:?}", common.include, common.exclude),
        format!("{:?} {}", common.known.digest, common.no_repo_config),
    ];
    for (target, commit) in targets.iter().zip(commits) {
        let local = commit.filter(|_| !Url::is_meant(&target.location));
        inputs.push(local.map_or(target.name(), str::to_owned));
    }
    inputs
}
