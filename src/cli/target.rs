//! What a command is asked to look at, read into a [`Project`]; and the walk over many of them.

use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use super::args::Common;
use super::hinted;
use crate::project::{Project, SkippedFile};
use crate::repo::{Base, Listing, Repo, RepoError, files_in};
use crate::report::ProjectRow;
use crate::text::printable;

/// Where sources are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The work tree, or `--base`.
    WorkTree,
    /// HEAD, or `--base`.
    Commit,
}

/// One target, read.
pub(super) struct Target {
    pub root: String,
    /// Its path inside its repository: empty, or ending in `/`.
    pub prefix: String,
    pub project: Project,
    pub repo: Option<Repo>,
    pub base: Option<Base>,
}

/// Reads `root`.
pub(super) fn read(root: &str, common: &Common, reading: Reading) -> Result<Target, String> {
    if root.contains("://") || root.starts_with("git@") {
        return Err("URLs are not read yet; clone it, and give the folder".to_owned());
    }
    let path = Path::new(root);
    if !path.exists() {
        return Err("no such file or folder; check the path".to_owned());
    }
    let filter = common.filter();
    let fail = |error: RepoError| hinted(&error.to_string(), error.hint());
    let repo = match Repo::discover(path) {
        Ok(repo) => Some(repo),
        Err(RepoError::NotARepository { .. })
            if reading == Reading::WorkTree && common.base.is_none() =>
        {
            None
        }
        Err(error) => return Err(fail(error)),
    };
    let prefix = match &repo {
        Some(repo) => repo.prefix(path).map_err(fail)?,
        None => String::new(),
    };
    let by_commit = reading == Reading::Commit
        || common.base.is_some()
        || repo.as_ref().is_some_and(Repo::is_bare);
    let (listing, base) = match (&repo, by_commit) {
        (Some(repo), true) => {
            let base = repo.resolve(common.base.as_deref()).map_err(fail)?;
            let listing = repo.files_at(&base, &prefix, &filter).map_err(fail)?;
            (listing, Some(base))
        }
        _ => (files_in(path, &filter).map_err(fail)?, None),
    };
    Ok(Target {
        root: root.to_owned(),
        // Of a single file: its folder, which its listing is relative to.
        prefix: prefix
            .rfind('/')
            .map_or("", |slash| &prefix[..=slash])
            .to_owned(),
        project: project(listing),
        repo,
        base,
    })
}

fn project(listing: Listing) -> Project {
    let skipped = listing.skipped.into_iter().map(|skipped| SkippedFile {
        file: skipped.path,
        reason: skipped.reason.code().to_owned(),
    });
    let files = listing
        .files
        .into_iter()
        .map(|found| (found.path, found.bytes));
    Project::new(files, skipped.collect())
}

/// Runs `work` on every target, in parallel; rows come back in the order of the targets.
///
/// # Errors
/// When threads cannot be started.
pub(super) fn each(
    targets: &[String],
    common: &Common,
    work: impl Fn(&str) -> ProjectRow + Sync,
) -> anyhow::Result<Vec<ProjectRow>> {
    let mut pool = rayon::ThreadPoolBuilder::new().stack_size(super::STACK);
    if let Some(jobs) = common.jobs {
        pool = pool.num_threads(jobs);
    }
    let pool = pool.build()?;
    let many = targets.len() > 1 && !common.quiet;
    let done = std::sync::atomic::AtomicUsize::new(0);
    let one = |root: &String| {
        let row = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(root)));
        let row = row.unwrap_or_else(|_| {
            let error =
                "depickle failed on it; please report this. The other projects are not affected";
            ProjectRow::failed(root, error.to_owned())
        });
        if many {
            let n = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            anstream::eprintln!("[{n}/{}] {} {}", targets.len(), printable(root), row.status);
        }
        row
    };
    Ok(pool.install(|| targets.par_iter().map(one).collect()))
}

/// Seconds since 1970 that this run is dated with: now, or `SOURCE_DATE_EPOCH`, which makes runs reproducible.
pub(super) fn run_time() -> i64 {
    let fixed = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|s| s.trim().parse().ok());
    fixed.unwrap_or_else(|| OffsetDateTime::now_utc().unix_timestamp())
}

/// Id of the run at `time` over `inputs`: `20261123T104455-3f2a`. Equal inputs at an equal time give an equal id.
pub(super) fn run_id(time: i64, inputs: &[String]) -> String {
    let digest = Sha256::digest(inputs.join("\0"));
    let suffix: String = digest
        .iter()
        .take(2)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let stamp = OffsetDateTime::from_unix_timestamp(time).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("[year][month][day]T[hour][minute][second]");
    let stamp = stamp.format(&format).unwrap_or_default();
    format!("{stamp}-{suffix}")
}
