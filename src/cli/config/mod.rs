//! `depickle.toml`, or `[tool.depickle]` of `pyproject.toml`: defaults for options, lists of repositories, and rows of
//! one's own in the tables of packs.
//!
//! Invariant: a configuration makes nothing run, and says where something is written only if its user named it. What
//! decides what is staged has a digest, which a run and a plan keep.

mod find;
mod own;
mod show;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::args::Common;
use super::targets::below;
use crate::fetch::Url;
use crate::journal::{Target, digest};
use crate::pack::{Model, Pack, PackError, Redefined, instead};
use crate::report::Format;
use find::File;

pub(super) use own::{Own, Place, Terms};
pub(super) use show::{Args, config};
use tables::RepoTable;

/// Keys that say where to look and how to print: another value changes nothing that is staged.
const BESIDE: [&str; 11] = [
    "jobs",
    "format",
    "cache",
    "scan",
    "repo",
    "pack",
    "branch",
    "split",
    "signoff",
    "$schema",
    "no-repo-config",
];

/// What the user's own configuration and packs say besides options.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// Of everything that decides what is staged.
    pub digest: Option<String>,
    /// Options that a file which was found, and not named, sets: a repository's own file may say otherwise.
    weak: Vec<String>,
    /// The user's file, if there is one.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    #[serde(skip)]
    packs: Vec<Pack>,
    /// Transforms that are off, with the place that says so.
    #[serde(skip)]
    off: Vec<(String, Option<PackError>)>,
}

impl Common {
    /// The options with the defaults of the configuration filled in: of `--config`, else of the nearest file from the
    /// current folder upward, else of the user's folder for configurations.
    ///
    /// # Errors
    /// A configuration that was named and cannot be read, or any with a mistake; a pack with one.
    pub fn resolved(&self) -> anyhow::Result<Common> {
        self.resolved_in(None)
    }

    /// The same as if `folder` were the current one.
    pub(super) fn resolved_in(&self, folder: Option<&Path>) -> anyhow::Result<Common> {
        let mut common = self.clone();
        let file = find::users(folder, self.config.as_deref())?;
        let mut deciding = serde_json::Map::new();
        let mut dirs = Vec::new();
        if let Some(file) = &file {
            let at = file.path.parent().unwrap_or(Path::new(""));
            common.fill(file, at)?;
            dirs.extend(file.config.pack.iter().map(|dir| at.join(dir)));
            deciding = file.table()?;
            deciding.retain(|key, _| !BESIDE.contains(&key.as_str()));
        }
        let mut packs = Vec::new();
        let mut said = Vec::new();
        let asked = common.pack.iter();
        dirs.extend(asked.map(|dir| folder.map_or(dir.clone(), |folder| folder.join(dir))));
        for dir in dirs {
            let pack = find::pack(&dir)?;
            if let Pack::Files(_, files) = &pack {
                for (path, text) in files {
                    said.extend(format!("{path}\0{}\0{text}", text.len()).into_bytes());
                }
            }
            packs.push(pack);
        }
        let used = !deciding.is_empty() || !packs.is_empty();
        packs.extend(file.as_ref().and_then(File::rows));
        if used {
            said.extend(serde_json::to_vec(&deciding)?);
            common.known.digest = Some(digest(&said));
        }
        common.known.packs = packs;
        Ok(common)
    }

    /// Takes from `file`, which lies in `folder`, what was not asked for.
    fn fill(&mut self, file: &File, folder: &Path) -> anyhow::Result<()> {
        let config = file.config.clone();
        let keys = file.keys();
        if !file.named {
            let open = |key: &str| match key {
                "message" => self.message.is_none(),
                "to" => self.to.is_none(),
                _ => false,
            };
            let keys = keys.into_iter().map(|(key, _)| key);
            self.known.weak = keys.filter(|key| open(key)).collect();
        }
        self.known.file = file.path.canonicalize().ok();
        if self.trust.is_empty() {
            self.trust = config.trust;
        }
        self.include.extend(config.include);
        self.exclude.extend(config.exclude);
        self.message = self.message.take().or(config.message);
        self.to = self.to.or(config.to);
        self.log_rejects |= config.log_rejects;
        self.dual_read |= config.dual_read && !self.finish_dual_read;
        self.suggestions |= config.suggestions;
        self.include_tests |= config.include_tests;
        self.no_ignore |= config.no_ignore;
        self.no_repo_config |= config.no_repo_config;
        self.jobs = self.jobs.or(config.jobs);
        self.known.off = config
            .transforms
            .iter()
            .filter(|(_, on)| !**on)
            .map(|(id, _)| (id.clone(), Some(file.mistake(id, String::new()))))
            .collect();
        if let (None, Some(word)) = (self.format, &config.format) {
            let format = Format::from_str(word, false).map_err(|_| {
                let known = Format::value_variants().iter();
                let known: Vec<_> = known.filter_map(ValueEnum::to_possible_value).collect();
                let known: Vec<&str> = known.iter().map(|value| value.get_name()).collect();
                file.mistake(word, format!("no such format; {}", instead(word, &known)))
            })?;
            self.format = Some(format);
        }
        self.commits.branch = config.branch;
        self.commits.split = config.split;
        self.commits.signoff = config.signoff;
        let cache = config.cache.unwrap_or_default();
        if let Some(dir) = cache.dir {
            // A repository that one stands in must not choose what is written where.
            if !file.trusted {
                let message = "says where is written: that may only a file named by --config, or the one in the \
                               user's folder for configurations";
                return Err(file.mistake("dir", message.to_owned()).into());
            }
            self.cache_dir = self.cache_dir.take().or(Some(folder.join(dir)));
        }
        if let Some(text) = cache.max_size {
            self.limits.size =
                bytes(&text).map_err(|error| file.mistake(&text, format!("max-size: {error}")))?;
        }
        if let Some(text) = cache.max_age {
            self.limits.age =
                age(&text).map_err(|error| file.mistake(&text, format!("max-age: {error}")))?;
        }
        let baseline = config.scan.unwrap_or_default().baseline;
        self.baseline = baseline.map(|baseline| folder.join(baseline));
        for table in config.repo {
            let word = table.url.clone().unwrap_or("[[repo]]".to_owned());
            let target = target(folder, table);
            let target = target.map_err(|error| file.mistake(&word, error.to_string()))?;
            self.listed.push(target);
        }
        Ok(())
    }

    /// Everything that is known, by the packs that are built in, those of `--pack` and the configuration. What these say
    /// anew is told.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub(super) fn model(&self) -> anyhow::Result<Model> {
        let model = self.known.model(&[])?;
        if !self.quiet {
            for said in model.redefined().iter().map(Redefined::sentence) {
                errln!("warning: {}", crate::text::printable(&said));
            }
        }
        Ok(model)
    }
}

impl Known {
    /// The same with `more` besides.
    fn model(&self, more: &[Pack]) -> Result<Model, PackError> {
        let packs = [&self.packs, more].concat();
        let off: Vec<String> = self.off.iter().map(|(id, _)| id.clone()).collect();
        let model = Model::with(&packs, &off)?;
        for (id, place) in &self.off {
            known_transform(&model, id, place.as_ref())?;
        }
        Ok(model)
    }

    /// Whether the command line, or a file that was named, decides the option `key`.
    fn decides(&self, key: &str, asked: bool) -> bool {
        asked && !self.weak.iter().any(|weak| weak == key)
    }

    /// Whether a run or a plan that kept `self` may go on by `now`.
    ///
    /// # Errors
    /// What differs, in one sentence; `what` is what goes on.
    pub(super) fn holds(&self, now: &Known, what: &str) -> anyhow::Result<()> {
        if self.digest == now.digest {
            return Ok(());
        }
        let file = now.file.as_ref();
        let file = file.map_or("no configuration".to_owned(), |f| f.display().to_string());
        anyhow::bail!(
            "{what} was made by another configuration, or other packs, than there are now ({file}); put them back, or \
             begin anew"
        )
    }
}

/// An error when `model` has no transform `id`.
fn known_transform(model: &Model, id: &str, place: Option<&PackError>) -> Result<(), PackError> {
    if model.transforms.iter().any(|t| t.id == id) {
        return Ok(());
    }
    let known: Vec<&str> = model.transforms.iter().map(|t| t.id.as_str()).collect();
    let message = format!("there is no transform `{id}`; {}", instead(id, &known));
    Err(match place {
        Some(place) => place.saying(message),
        None => PackError::new("", "", 0..0, message),
    })
}

/// What is wrong with `text` as a configuration file, if something is.
///
/// # Errors
/// The first thing.
pub fn configured(text: &str) -> Result<(), String> {
    let path = PathBuf::from("depickle.toml");
    let file = File::parse(path, text.to_owned(), true).map_err(|error| error.to_string())?;
    let Some(file) = file else { return Ok(()) };
    let mut common = Common::default();
    let filled = common.fill(&file, Path::new(""));
    filled.map_err(|error| format!("{error:#}"))?;
    common.known.packs.extend(file.rows());
    let model = common.known.model(&[]);
    model.map(drop).map_err(|error| error.to_string())
}

/// A path is relative to the file that names it.
fn target(folder: &Path, table: RepoTable) -> anyhow::Result<Target> {
    let location = match (table.path, table.url) {
        (Some(path), None) => {
            let path = folder.join(path);
            path.to_str()
                .context("the path is not valid UTF-8")?
                .to_owned()
        }
        (None, Some(url)) if Url::is_meant(&url) => url,
        (None, Some(url)) => anyhow::bail!("{url:?} is no URL; a folder is named by `path`"),
        _ => anyhow::bail!("write either `path` or `url`"),
    };
    Ok(Target {
        location,
        base: table.base,
        within: table.within.as_deref().map(below).transpose()?,
    })
}

/// `500M`, `20G`: bytes.
pub(super) fn bytes(text: &str) -> anyhow::Result<u64> {
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let unit = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    let number: Option<u64> = number.trim().parse().ok();
    let size = number.and_then(|number| number.checked_mul(1 << shift));
    size.with_context(|| format!("{text:?}: write it as 500M or 20G"))
}

/// `12h`, `30d`.
pub(super) fn age(text: &str) -> anyhow::Result<Duration> {
    let units = [("h", 3600), ("d", 86_400)];
    let unit = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let age =
        unit.and_then(|(number, seconds)| number.trim().parse::<u64>().ok()?.checked_mul(seconds));
    let age = age.with_context(|| format!("{text:?}: write it as 12h or 30d"))?;
    Ok(Duration::from_secs(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_have_units() {
        assert_eq!(bytes("20G").unwrap(), 20 << 30);
        assert_eq!(bytes("7").unwrap(), 7);
        assert_eq!(age("2d").unwrap(), Duration::from_secs(172_800));
        for bad in ["", "G", "-1G", "99999999999T"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        for bad in ["", "7", "d", "1y"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }
}
