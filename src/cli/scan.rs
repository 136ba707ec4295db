//! `scan` and `diff`: the pipeline without its last stage.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Exit;
use super::args::{Common, DECIDED, Ignoring};
use super::baseline::{Against, Baseline};
use super::branch::Template;
use super::commit::Shape;
use super::config::Terms;
use super::fleet::{Shard, Share, or_retry};
use super::output::print;
use super::pinned::{Pinned, PinnedRepo};
use super::review::{Review, review};
use super::save::save;
use super::schedule::each;
use super::stage::looking;
use super::target::{Opened, Reading, read, run_id, run_time};
use crate::check::Checked;
use crate::fetch::Url;
use crate::journal::Target;
use crate::report::{Format, ProjectRow, Rule, Run};

#[derive(Debug, clap::Args)]
pub struct ScanArgs {
    #[command(flatten)]
    common: Common,
    /// Count only what this baseline does not name
    ///
    /// `depickle baseline` writes it.
    #[arg(long, value_name = "FILE", conflicts_with = "baseline_commit")]
    baseline: Option<PathBuf>,
    /// Count only what is new against this commit
    #[arg(long, value_name = "REF")]
    baseline_commit: Option<String>,
    /// Only a share of what `depickle fleet plan` planned
    #[arg(long, value_name = "PLAN", hide_short_help = true, conflicts_with_all = DECIDED, conflicts_with_all = ["baseline", "baseline_commit"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    share: Share,
}

#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    #[command(flatten)]
    common: Common,
    /// Ask about each part; --save keeps what was accepted
    ///
    /// Answers are lines on standard input. What was skipped is left out, and the rest planned and checked anew.
    #[arg(short, long, conflicts_with = "add_ignore")]
    interactive: bool,
    /// Write a plan, to be approved and staged exactly so
    ///
    /// It is made of what is committed, and not of the work tree.
    #[arg(long, value_name = "FILE", conflicts_with = "add_ignore")]
    save: Option<PathBuf>,
    /// How the plan is committed
    #[command(flatten)]
    commits: Shape,
    #[command(flatten)]
    ignoring: Ignoring,
    /// Only a share of what `depickle fleet plan` planned
    #[arg(long, value_name = "PLAN", hide_short_help = true, conflicts_with_all = DECIDED, conflicts_with_all = ["save", "add_ignore", "interactive"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    share: Share,
}

pub(super) fn scan(asked: &ScanArgs) -> anyhow::Result<Exit> {
    if let Some(path) = &asked.plan {
        return or_retry(in_share(path, &asked.share, &asked.common, "scan"));
    }
    let args = asked.common.resolved()?;
    let file = asked.baseline.clone().or_else(|| args.baseline.clone());
    let against = match (asked.baseline_commit.clone(), file) {
        (Some(reference), _) => Against::Commit(reference),
        (None, Some(path)) => {
            let known = Baseline::read(&path)?;
            Against::Baseline(path, known)
        }
        (None, None) => Against::Nothing,
    };
    let (run, _) = look(&args, Reading::WorkTree, &against)?;
    print(&args, &run, Format::Text)?;
    Ok(exit(&run, |run, row| {
        row.findings.iter().any(|f| run.counts(f))
    }))
}

pub(super) fn diff(asked: &DiffArgs) -> anyhow::Result<Exit> {
    if let Some(path) = &asked.plan {
        return or_retry(in_share(path, &asked.share, &asked.common, "diff"));
    }
    let mut args = asked.common.resolved()?;
    args.ignore = asked.ignoring.ignore()?;
    if asked.save.is_none() && asked.commits != Shape::default() {
        anyhow::bail!(
            "--branch, --split and --signoff say how a plan is committed; --save writes one"
        );
    }
    // Said now, and not when the plan was approved.
    asked
        .commits
        .branch
        .as_deref()
        .map(Template::parse)
        .transpose()?;
    let reading = match asked.save {
        Some(_) => Reading::Commit,
        None => Reading::WorkTree,
    };
    let reviewed = match asked.interactive {
        true => review(&args, reading)?,
        false => {
            let (run, targets) = look(&args, reading, &Against::Nothing)?;
            let verdicts = vec![Vec::new(); targets.len()];
            Some(Review {
                run,
                targets,
                verdicts,
            })
        }
    };
    let Some(Review {
        run,
        targets,
        verdicts,
    }) = reviewed
    else {
        // There is a patch, and nobody said what is to become of it.
        return Ok(Exit::Findings);
    };
    if let Some(path) = &asked.save {
        let planned = targets.iter().zip(&run.projects).zip(verdicts);
        let planned = planned.filter_map(|((target, row), said)| PinnedRepo::of(target, row, said));
        let commits = asked.commits.clone().or(args.commits.clone());
        let plan = Pinned::new(&args, &commits, run_time(), planned.collect());
        let text = serde_json::to_string_pretty(&plan)? + "\n";
        save(path, text.as_bytes(), "check its name")?;
    }
    print(&args, &run, Format::Diff)?;
    if let (Some(path), true) = (&asked.save, asked.interactive) {
        let path = crate::text::printable(&path.display().to_string());
        errln!("{path}: the plan; next: depickle stage --plan {path}");
    }
    Ok(exit(&run, |_, row| !row.changes.is_empty()))
}

/// A share of the fleet's plan in `path`, looked at.
fn in_share(
    path: &Path,
    share: &Share,
    asked: &Common,
    command: &'static str,
) -> anyhow::Result<Exit> {
    let shard = Shard::open(path, share, command)?;
    let now = asked.resolved()?;
    let planned = shard.plan.settings.common.clone();
    planned.known.holds(&now.known, "the plan")?;
    let common = looking(planned, now)?;
    let model = common.model()?;
    shard.each(&common, |_, planned, place| {
        let row = place.and_then(|place| {
            let opened = read(&planned.target, place, &common, Reading::Commit)?;
            let commit = opened.base.as_ref().map(|base| base.commit.clone());
            let terms = Terms::of(&opened, &common, &model);
            let checked = crate::migrate(&opened.project, terms.model(), &terms.order, commit);
            Ok(terms.row(&opened.root, &opened, checked))
        });
        row.unwrap_or_else(|error| ProjectRow::failed(&planned.target.name(), error))
    })
}

/// Runs the pipeline over all targets; writes nothing.
pub(super) fn look(
    args: &Common,
    reading: Reading,
    against: &Against,
) -> anyhow::Result<(Run, Vec<Target>)> {
    let targets = args.targets()?;
    args.fits(targets.len())?;
    let run = look_at(
        args,
        &targets,
        reading,
        against,
        &BTreeSet::new(),
        |_, _| {},
    )?;
    Ok((run, targets))
}

/// The same, over `targets`, without the loads that are `skipped`; `also` is shown what the pipeline gave for each.
pub(super) fn look_at(
    args: &Common,
    targets: &[Target],
    reading: Reading,
    against: &Against,
    skipped: &BTreeSet<String>,
    also: impl Fn(&Opened, &Checked) + Sync,
) -> anyhow::Result<Run> {
    let model = args.model()?;
    let order = args.order();
    let names: Vec<String> = targets.iter().map(Target::name).collect();
    let mut run = Run::new(run_id(run_time(), &names), order.trust.clone());
    run.tests = order.tests;
    run.baseline = !matches!(against, Against::Nothing);
    let rows = each(targets, args, |asked, place| {
        let row = place.and_then(|place| {
            let opened = read(asked, &place, args, reading)?;
            let commit = opened.base.as_ref().map(|base| base.commit.clone());
            let mut terms = Terms::of(&opened, args, &model);
            terms.order.skipped.clone_from(skipped);
            let checked = crate::migrate(&opened.project, terms.model(), &terms.order, commit);
            also(&opened, &checked);
            let mut row = terms.row(&opened.root, &opened, checked);
            let at = (asked, &place, &opened);
            against.hide(at, (args, terms.model(), &terms.order), &run, &mut row)?;
            // Syntax by the gigabyte takes long to be given back piece by piece; nothing else waits for it.
            if let [_] = targets {
                std::mem::forget(opened);
            }
            Ok(row)
        });
        row.unwrap_or_else(|error| ProjectRow::failed(&asked.name(), error))
    })?;
    run.rules = Rule::all(&model);
    run.projects = rows;
    Ok(run)
}

/// The exit code of `run`; `open` says whether a project has something to show.
pub(super) fn exit(run: &Run, open: impl Fn(&Run, &ProjectRow) -> bool) -> Exit {
    let missing = |row: &ProjectRow| row.status == "failed";
    if let [only] = run.projects.as_slice()
        && missing(only)
        && !Url::is_meant(&only.root)
        && !std::path::Path::new(&only.root).exists()
    {
        return Exit::Error;
    }
    if run
        .projects
        .iter()
        .any(|row| row.status != "ok" && !row.known)
    {
        return Exit::Incomplete;
    }
    match run.projects.iter().any(|row| open(run, row)) {
        true => Exit::Findings,
        false => Exit::Done,
    }
}
