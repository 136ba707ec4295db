//! A plan as a file: which commits would be changed, and exactly how, to be approved before it is staged.
//!
//! Invariant: a plan is never the source of what is written. It is made anew, and held against the file.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::args::Common;
use super::commit::Shape;
use crate::journal::{Target, digest};
use crate::repo::blob_id;
use crate::report::{ProjectRow, unified};

const SCHEMA: &str = "depickle-plan/2";

/// What `diff --save` writes and `stage --plan` reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pinned {
    schema: String,
    tool_version: String,
    /// Date of the commits, so that they are the same wherever the plan is staged.
    pub time: i64,
    /// The options that decide what is changed.
    pub options: Common,
    /// How it is committed.
    #[serde(default)]
    pub commits: Shape,
    pub repositories: Vec<PinnedRepo>,
}

/// One repository of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinnedRepo {
    pub target: Target,
    pub commit: String,
    files: Vec<PinnedFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reviewed: Vec<Verdict>,
}

/// What a reviewer said of one load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verdict {
    pub fingerprint: String,
    pub file: String,
    pub line: usize,
    /// Or left as it is.
    pub accepted: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One changed file: digests of its bytes, what git calls them, and the change as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinnedFile {
    path: String,
    before: String,
    after: String,
    /// Ids of the blobs.
    blobs: [String; 2],
    patch: String,
}

impl Pinned {
    pub(super) fn new(
        options: &Common,
        commits: &Shape,
        time: i64,
        repositories: Vec<PinnedRepo>,
    ) -> Pinned {
        Pinned {
            schema: SCHEMA.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            time,
            options: options.clone(),
            commits: commits.clone(),
            repositories,
        }
    }

    /// The plan in `path`, and its bytes, which a signature is about.
    pub(super) fn read(path: &Path) -> anyhow::Result<(Pinned, Vec<u8>)> {
        let shown = path.display();
        let bytes = std::fs::read(path).with_context(|| {
            format!("{shown}: cannot be read; `depickle diff --save` writes it")
        })?;
        let plan: Pinned = serde_json::from_slice(&bytes).with_context(|| {
            format!("{shown}: is not a plan; `depickle diff --save` writes one")
        })?;
        if plan.schema != SCHEMA {
            anyhow::bail!("{shown}: is not a plan of this version; save it anew");
        }
        Ok((plan, bytes))
    }

    /// The targets that are changed.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        let changed = self.repositories.iter().filter(|one| !one.files.is_empty());
        changed.map(|one| &one.target)
    }

    /// What a reviewer left of `asked`.
    fn left<'p>(&'p self, asked: &'p Target) -> impl Iterator<Item = &'p Verdict> {
        let of = self.repositories.iter().filter(|one| one.target == *asked);
        of.flat_map(|one| &one.reviewed)
            .filter(|said| !said.accepted)
    }

    /// Fingerprints of what a reviewer left of `asked`.
    pub(super) fn skipped(&self, asked: &Target) -> BTreeSet<String> {
        let left = self.left(asked);
        left.map(|said| said.fingerprint.clone()).collect()
    }

    /// What a reviewer left of `asked`, and why, in words.
    pub(super) fn notes(&self, asked: &Target) -> Vec<String> {
        let note = |said: &Verdict| {
            let why = match said.reason.as_str() {
                "" => String::new(),
                reason => format!(": {reason}"),
            };
            format!("{}:{} was skipped in review{why}", said.file, said.line)
        };
        self.left(asked).map(note).collect()
    }

    /// Whether `row`, which was made for `asked` just now, is what the plan says; else what differs.
    pub(super) fn holds(&self, asked: &Target, row: &ProjectRow) -> Result<(), String> {
        let again = "save a plan anew, and have it approved";
        let Some(planned) = self.repositories.iter().find(|one| one.target == *asked) else {
            return Err(format!("the plan does not name it; {again}"));
        };
        let commit = row.commit.as_deref().unwrap_or_default();
        if planned.commit != commit {
            return Err(format!(
                "its base moved: the plan is for {}, and it is at {commit}; {again}",
                planned.commit
            ));
        }
        let made = PinnedRepo::of(asked, row, planned.reviewed.clone());
        if made.as_ref() == Some(planned) {
            return Ok(());
        }
        let made = made.map(|made| made.files).unwrap_or_default();
        let of = |from: &[PinnedFile], other: &[PinnedFile]| {
            let mut only = from.iter().filter(|file| !other.contains(file));
            only.next().map(|file| file.path.clone())
        };
        let differs = of(&planned.files, &made).or_else(|| of(&made, &planned.files));
        Err(format!(
            "the change is not the one in the plan: {}; {again}",
            differs.unwrap_or_default()
        ))
    }
}

impl PinnedRepo {
    /// What is planned for `target`, of which a reviewer `said` so much; none when nothing is to be changed or left.
    pub(super) fn of(target: &Target, row: &ProjectRow, said: Vec<Verdict>) -> Option<PinnedRepo> {
        let commit = row.commit.clone()?;
        let blob = |bytes: &[u8]| blob_id(bytes, &commit);
        let files = row.changes.iter().map(|file| PinnedFile {
            path: file.path.clone(),
            before: digest(&file.before),
            after: digest(&file.after),
            blobs: [blob(&file.before), blob(&file.after)],
            patch: String::from_utf8_lossy(&unified(file)).into_owned(),
        });
        let files: Vec<PinnedFile> = files.collect();
        (!files.is_empty() || !said.is_empty()).then_some(PinnedRepo {
            target: target.clone(),
            commit,
            files,
            reviewed: said,
        })
    }
}
