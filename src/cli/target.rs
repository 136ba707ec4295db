//! A target, read into a [`Project`]; and what names a run.

use std::path::Path;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use super::args::Common;
use super::config::{self, Own};
use super::hinted;
use super::schedule::Place;
use crate::journal::{Held, Journal, JournalError, Target};
use crate::project::{Project, SkippedFile};
use crate::repo::{Base, Listing, Repo, RepoError, SkipReason, files_in};

/// Where sources are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The work tree, or `--base`.
    WorkTree,
    /// HEAD, or `--base`.
    Commit,
}

/// One target, read.
pub(super) struct Opened {
    pub root: String,
    /// Its path inside its repository: empty, or ending in `/`.
    pub prefix: String,
    /// The same, with the file's name if it is one file.
    pub asked: String,
    pub project: Project,
    pub repo: Option<Repo>,
    pub base: Option<Base>,
    /// What it says itself.
    pub own: Option<Own>,
    /// Python files that the user leaves out.
    pub left_out: usize,
    /// Files of types alone.
    pub stubs: usize,
}

/// Reads `target`, which is at `place`.
pub(super) fn read(
    target: &Target,
    place: &Place,
    common: &Common,
    reading: Reading,
) -> Result<Opened, String> {
    let within = target.within.as_deref();
    // A commit has what is in it, whatever of it is checked out.
    let by_commit = reading == Reading::Commit || place.base.is_some() || bare(&place.path);
    let whole = match within {
        Some(within) if !by_commit => place.path.join(within),
        _ => place.path.clone(),
    };
    let path = whole.as_path();
    if !path.exists() {
        return Err("no such file or folder; check the path".to_owned());
    }
    let filter = common.filter();
    let fail = |error: RepoError| hinted(&error.to_string(), error.hint());
    let repo = match Repo::discover(path) {
        Ok(repo) => Some(repo),
        Err(RepoError::NotARepository { .. })
            if reading == Reading::WorkTree && place.base.is_none() =>
        {
            None
        }
        Err(error) => return Err(fail(error)),
    };
    let mut prefix = match &repo {
        Some(repo) => repo.prefix(path).map_err(fail)?,
        None => String::new(),
    };
    let (mut listing, base) = match (&repo, by_commit) {
        (Some(repo), true) => {
            let base = repo.resolve(place.base.as_deref()).map_err(fail)?;
            if let Some(within) = within {
                let within = format!("{prefix}{within}");
                prefix = repo.within(&base, &within).map_err(fail)?;
            }
            let listing = repo.files_at(&base, &prefix, &filter).map_err(fail)?;
            (listing, Some(base))
        }
        _ => (files_in(path, &filter).map_err(fail)?, None),
    };
    if common.submodules
        && let Some(repo) = &repo
    {
        // They have rows of their own.
        let own = repo.submodules(&prefix);
        let listed = |path: &String| own.iter().any(|own| own == path);
        listing
            .skipped
            .retain(|one| one.reason != SkipReason::Submodule || !listed(&one.path));
    }
    let mut own = Own::find(
        common,
        &config::Place {
            path,
            repo: repo.as_ref(),
            commit: base.as_ref().map(|base| (base, prefix.as_str())),
        },
    );
    if let Some(own) = &mut own {
        own.filter(&mut listing.files).map_err(fail)?;
    }
    let (left_out, stubs) = (listing.left_out, listing.stubs);
    Ok(Opened {
        root: target.name(),
        // Of a single file: its folder, which its listing is relative to.
        prefix: prefix
            .rfind('/')
            .map_or("", |slash| &prefix[..=slash])
            .to_owned(),
        asked: prefix,
        project: project(listing),
        repo,
        base,
        own,
        left_out,
        stubs,
    })
}

/// Whether `path` is a repository without a work tree, so that what is in it has no path of its own.
fn bare(path: &Path) -> bool {
    Repo::open(path).is_ok_and(|repo| repo.is_bare())
}

/// The files of `listing`.
pub(super) fn project(listing: Listing) -> Project {
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

/// Seconds since 1970 that this run is dated with: now, or `SOURCE_DATE_EPOCH`, which makes runs reproducible.
pub(super) fn run_time() -> i64 {
    fixed_time().unwrap_or_else(|| OffsetDateTime::now_utc().unix_timestamp())
}

fn fixed_time() -> Option<i64> {
    let text = std::env::var("SOURCE_DATE_EPOCH").ok()?;
    text.trim().parse().ok()
}

/// The id of a run that begins, kept from every other process. Of several that begin in one second, each has its own, which
/// comes after those on record; but not where the `time` is given: those that are alike are one run.
pub(super) fn begun(
    journal: &Journal,
    time: Option<i64>,
    inputs: &[String],
) -> anyhow::Result<(String, Held)> {
    let fixed = time.or_else(fixed_time).is_some();
    let mut time = time.unwrap_or_else(run_time);
    let mut inputs = inputs.to_vec();
    loop {
        let id = run_id(time, &inputs);
        match journal.hold(&id) {
            Err(JournalError::Busy { .. }) if !fixed => inputs.push("again".to_owned()),
            // The newest is the one that is taken back when none is named.
            Ok(_) if !fixed && journal.is_overtaken(&id) => time += 1,
            Ok(held) => return Ok((id, held)),
            Err(error) => anyhow::bail!(hinted(&error.to_string(), error.hint())),
        }
    }
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
