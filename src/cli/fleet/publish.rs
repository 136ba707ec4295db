//! `fleet publish`: the branches that shards left as files, brought where they belong by the one who may write there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::plan::{Plan, Planned};
use crate::cli::args::Common;
use crate::cli::push::{How, push_run};
use crate::cli::schedule::{Place, each_at};
use crate::cli::{Exit, held, hinted, recorded};
use crate::journal::{BundleRecord, Journal, RefRecord, RefState, RunRecord, Target};
use crate::repo::Repo;
use crate::report::ProjectRow;
use crate::stage::{Receipt, make, settle};
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan, whose results were put together by `fleet merge`
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Where the bundles are now, if not where the shards wrote them
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Clones made at once from one server
    #[arg(long, value_name = "N", default_value = "4")]
    per_host: usize,
    /// Where clones of URLs are kept; ~/.cache/depickle by default
    #[arg(long, value_name = "DIR", env = "DEPICKLE_CACHE_DIR", hide_env = true)]
    cache_dir: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

pub(super) fn publish(args: &Args) -> anyhow::Result<Exit> {
    let plan = Plan::read(&args.plan)?;
    let journal = crate::cli::journal()?;
    let lock = held(&journal, &plan.run)?;
    let Ok(Some(run)) = recorded(&journal, Some(&plan.run)) else {
        anyhow::bail!(
            "run {} is not put together yet: depickle fleet merge {} RESULTS",
            plan.run,
            args.plan.display()
        );
    };
    if run.is_taken_back() {
        anyhow::bail!("run {} was rolled back; plan anew instead", run.id);
    }
    let bundles = args.bundle.as_ref().map(std::path::absolute).transpose()?;
    let failed = bring_all(args, bundles.as_deref(), &plan, &run, &journal)?;
    for row in &failed {
        let error = row.error.as_deref().unwrap_or_default();
        errln!("error: {}: {}", printable(&row.root), printable(error));
    }
    let pushed = push_run(&args.how.patiently(), &plan.run, &journal, &lock)?;
    Ok(match failed.is_empty() {
        true => pushed,
        false => Exit::Incomplete,
    })
}

/// Makes the branches that are in files and in no clone of this machine yet; gives what failed.
fn bring_all(
    args: &Args,
    bundles: Option<&Path>,
    plan: &Plan,
    run: &RunRecord,
    journal: &Journal,
) -> anyhow::Result<Vec<ProjectRow>> {
    let made = |target: &str| {
        let made = |made: &&RefRecord| made.target == target;
        let found = run.refs.iter().find(made);
        found.is_some_and(|made| made.state != RefState::Announced)
    };
    let bundle = |target: &Target| {
        let mut all = run.repositories.iter();
        all.find(|one| one.target == target.name())?.bundle.clone()
    };
    let mut asked: Vec<(&Target, Option<&str>)> = Vec::new();
    for one in &plan.repositories {
        let name = one.target.name();
        if bundle(&one.target).is_some() && !made(&name) && settle(journal, run, &name)?.is_none() {
            asked.push((&one.target, Some(one.commit.as_str())));
        }
    }
    let common = Common {
        per_host: args.per_host,
        timeout: args.how.timeout(),
        cache_dir: args.cache_dir.clone(),
        // What is pushed is in the bundle; of the rest, the folders do.
        exclude: vec!["**".to_owned()],
        ..Common::default()
    }
    .resolved()?;
    let patience = Duration::from_secs(common.timeout);
    let rows = each_at(&asked, &common, |target, place| {
        let name = target.name();
        let done = place.and_then(|place| {
            let mut bundle = bundle(target).ok_or("there is no bundle of it")?;
            if let Some(folder) = bundles {
                let name = Path::new(&bundle.path).file_name().unwrap_or_default();
                bundle.path = folder.join(name).display().to_string();
            }
            let (repo, receipt) = bring(&place, &bundle, patience)?;
            make(&repo, &receipt, (&run.id, &name), journal)
                .map_err(|error| hinted(&error.to_string(), error.hint()))
        });
        match done {
            Ok(()) => ProjectRow {
                root: name,
                status: "ok",
                ..ProjectRow::default()
            },
            Err(error) => ProjectRow::failed(&name, error),
        }
    })?;
    Ok(rows.into_iter().filter(|row| row.error.is_some()).collect())
}

/// Brings what is in the bundle into the clone at `place`; makes no branch of it.
fn bring(
    place: &Place,
    bundle: &BundleRecord,
    patience: Duration,
) -> Result<(Repo, Receipt), String> {
    let cloned = place.cloned.as_ref().ok_or("it was not cloned")?;
    let path = Path::new(&bundle.path);
    if !path.is_file() {
        return Err(format!(
            "{}: is not there; say where the bundles are with --bundle",
            bundle.path
        ));
    }
    let tip = cloned
        .unbundle(&bundle.reference, path, patience)
        .map_err(|error| hinted(&error.to_string(), error.hint()))?;
    if tip != bundle.new {
        return Err(format!(
            "{}: holds {tip}, and {} was staged; run its shard again",
            bundle.path, bundle.new
        ));
    }
    let repo = Repo::open(&cloned.path).map_err(|error| error.to_string())?;
    let branch = bundle.reference.strip_prefix("refs/heads/");
    let receipt = Receipt {
        branch: branch.unwrap_or(&bundle.reference).to_owned(),
        commit: bundle.new.clone(),
        base: bundle.base.clone(),
    };
    Ok((repo, receipt))
}

/// Runs `work` on the branch that `bundle` of `planned` has, in a clone of this machine, as long as it takes.
pub(in crate::cli) fn borrowed<T>(
    planned: &Planned,
    place: &Place,
    bundle: &BundleRecord,
    work: impl FnOnce(&RefRecord) -> Result<T, String>,
) -> Result<T, String> {
    let (repo, receipt) = bring(place, bundle, Duration::from_secs(600))?;
    let text = |error: crate::repo::RepoError| hinted(&error.to_string(), error.hint());
    repo.create_branch(&receipt.branch, &receipt.commit)
        .map_err(text)?;
    let done = work(&RefRecord {
        target: planned.target.name(),
        repo: repo.git_dir().display().to_string(),
        root: repo.root().display().to_string(),
        reference: bundle.reference.clone(),
        new: bundle.new.clone(),
        base: bundle.base.clone(),
        state: RefState::Created,
        pushed: None,
        request: None,
        revert: None,
    });
    repo.delete_branch(&receipt.branch, &receipt.commit)
        .map_err(text)?;
    done
}
