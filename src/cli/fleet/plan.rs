//! The plan of a fleet as a file: everything that decides what any shard does, so that none has to know another.
//!
//! Invariant: a plan is made once and read by all. Which shard does what stands in it; no engine decides that.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::cli::stage::Settings;
use crate::cli::with_tests::command;
use crate::fetch::Url;
use crate::journal::{Entry, Line, Target, stamp};

const SCHEMA: &str = "depickle-fleet/1";

/// What `fleet plan` writes and every shard reads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Plan {
    schema: String,
    tool_version: String,
    /// Id of the run: that of one machine that stages the same at the same time.
    pub run: String,
    pub shards: usize,
    /// The command line.
    command: Vec<String>,
    /// Where relative paths start.
    pub folder: String,
    pub settings: Settings,
    /// In the order in which they are to be done: most exposed first.
    pub repositories: Vec<Planned>,
    /// What has no commit that could be planned for.
    pub failed: Vec<Unplanned>,
    pub skipped: Vec<Skipped>,
}

/// One repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Planned {
    /// A name for files.
    pub id: String,
    pub target: Target,
    /// The commit that is read, whatever the target names by then.
    pub commit: String,
    /// From 0.
    pub shard: usize,
    /// Kilobytes, where a forge told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Why it comes when it does.
    pub exposure: String,
}

/// One that failed before it began.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Unplanned {
    pub target: Target,
    pub error: String,
}

/// One that was not wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Skipped {
    pub location: String,
    pub reason: String,
}

impl Plan {
    pub(super) fn new(run: String, shards: usize, settings: Settings) -> anyhow::Result<Plan> {
        Ok(Plan {
            schema: SCHEMA.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            run,
            shards,
            command: command(),
            folder: std::env::current_dir()?.display().to_string(),
            settings,
            repositories: Vec::new(),
            failed: Vec::new(),
            skipped: Vec::new(),
        })
    }

    /// Whether `path` holds a plan of a fleet, and not one of `diff --save`. What cannot be read is said by who reads it.
    pub(in crate::cli) fn is_in(path: &Path) -> bool {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head = std::fs::read(path).ok();
        let head = head.and_then(|bytes| serde_json::from_slice::<Head>(&bytes).ok());
        head.is_some_and(|head| head.schema.starts_with("depickle-fleet/"))
    }

    pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<Plan> {
        let shown = path.display();
        let bytes = std::fs::read(path)
            .with_context(|| format!("{shown}: cannot be read; `depickle fleet plan` writes it"))?;
        let plan: serde_json::Value = serde_json::from_slice(&bytes).with_context(|| {
            format!("{shown}: is no plan of a fleet; `depickle fleet plan` writes one")
        })?;
        match plan["schema"].as_str() {
            Some(SCHEMA) => {}
            Some(other) if other.starts_with("depickle-plan/") => anyhow::bail!(
                "{shown}: is a plan of `depickle diff --save`, which has no shards; `depickle fleet plan` writes one that has"
            ),
            _ => anyhow::bail!("{shown}: is no plan of a fleet of this version; plan anew"),
        }
        let plan: Plan = serde_json::from_value(plan)
            .with_context(|| format!("{shown}: is no whole plan of a fleet; plan anew"))?;
        if plan.tool_version != env!("CARGO_PKG_VERSION") {
            anyhow::bail!(
                "{shown}: was made by depickle {}, and this is {}; use one version for all of a run",
                plan.tool_version,
                env!("CARGO_PKG_VERSION")
            );
        }
        let mut ids = HashSet::new();
        let odd = |one: &Planned| {
            one.shard >= plan.shards || one.id != id(&one.target) || !ids.insert(one.id.clone())
        };
        if plan.repositories.iter().any(odd) {
            anyhow::bail!("{shown}: was changed by hand in a way that does not fit; plan anew");
        }
        Ok(plan)
    }

    /// Where results are if nobody says where.
    pub(super) fn results(path: &Path, asked: Option<&Path>) -> anyhow::Result<PathBuf> {
        let beside = path.parent().unwrap_or(Path::new("")).join("results");
        Ok(std::path::absolute(asked.unwrap_or(&beside))?)
    }

    /// Relative paths start where the plan was made.
    pub(super) fn enter(&self) -> anyhow::Result<()> {
        let local = |one: &Planned| !Url::is_meant(&one.target.location);
        if self.repositories.iter().any(local) {
            std::env::set_current_dir(&self.folder).with_context(|| {
                format!(
                    "{}: the plan has paths that start there, and it is not here; share it with all machines, or plan with URLs",
                    self.folder
                )
            })?;
        }
        Ok(())
    }

    /// The repositories of the shard `index`.
    pub(super) fn of(&self, index: usize) -> impl Iterator<Item = &Planned> {
        self.repositories
            .iter()
            .filter(move |one| one.shard == index)
    }

    /// The beginning of the run, with all of its targets.
    pub(super) fn beginning(&self) -> anyhow::Result<Line> {
        let planned = self.repositories.iter().map(|one| one.target.clone());
        let failed = self.failed.iter().map(|one| one.target.clone());
        let time = OffsetDateTime::from_unix_timestamp(self.settings.time);
        Ok(Line {
            at: stamp(time.unwrap_or(OffsetDateTime::UNIX_EPOCH)),
            run: self.run.clone(),
            entry: Entry::RunStarted {
                tool_version: self.tool_version.clone(),
                command: self.command.clone(),
                folder: self.folder.clone(),
                targets: planned.chain(failed).collect(),
                settings: serde_json::to_value(&self.settings)?,
            },
        })
    }
}

/// What files about `target` are called: its own name as far as that may be one, and a digest that makes it the only one.
pub(super) fn id(target: &Target) -> String {
    let name = target.name();
    let location = target.location.trim_end_matches(['/', '\\']);
    let last = location.rsplit(['/', ':', '\\']).next().unwrap_or_default();
    let last = last.strip_suffix(".git").unwrap_or(last);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word: String = last
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .take(40)
        .collect();
    let digest = Sha256::digest(name);
    let hex: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
    format!("{}-{hex}", word.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_name_for_a_file_and_no_two_are_the_same() {
        let of = |location: &str| id(&Target::new(location));
        assert!(of("https://h/team/shop.git").starts_with("shop-"));
        assert_ne!(of("https://h/a/shop"), of("https://h/b/shop"));
        for odd in [
            "..",
            "/",
            "-x",
            "a b/ü",
            "c:\\x",
            "git@h:..",
            &"x".repeat(300),
        ] {
            let id = of(odd);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(id.chars().all(plain) && id.len() < 60, "{id}");
        }
    }
}
