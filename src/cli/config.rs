//! `depickle.toml`: defaults for options, and lists of repositories.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

use super::args::{Common, To, TrustArg};
use super::targets::below;
use crate::fetch::Url;
use crate::journal::Target;

/// `depickle.toml`: defaults for the options of the same names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    #[serde(default)]
    trust: Vec<TrustArg>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    message: Option<String>,
    to: Option<To>,
    #[serde(default)]
    log_rejects: bool,
    #[serde(default)]
    dual_read: bool,
    jobs: Option<usize>,
    cache: Option<CacheTable>,
    scan: Option<ScanTable>,
    #[serde(default)]
    repo: Vec<RepoTable>,
}

/// `[cache]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CacheTable {
    dir: Option<PathBuf>,
    max_size: Option<String>,
    max_age: Option<String>,
}

/// `[scan]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ScanTable {
    baseline: Option<PathBuf>,
}

/// `[[repo]]`: `path` or `url`, and what of it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RepoTable {
    path: Option<PathBuf>,
    url: Option<String>,
    base: Option<String>,
    within: Option<String>,
}

impl Common {
    /// The options with the defaults of the configuration file filled in.
    ///
    /// # Errors
    /// A configuration file that was named and cannot be read, or any with a wrong key.
    pub fn resolved(&self) -> anyhow::Result<Common> {
        let default = Path::new("depickle.toml");
        let path = match &self.config {
            Some(path) => path.as_path(),
            None if default.is_file() => default,
            None => return Ok(self.clone()),
        };
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "{}: cannot be read; check the name after --config",
                path.display()
            )
        })?;
        self.with(path, &text)
    }

    /// The options with the defaults that `text`, read from `path`, has for them.
    fn with(&self, path: &Path, text: &str) -> anyhow::Result<Common> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            anyhow::anyhow!("{}:{line}: {}", path.display(), error.message())
        })?;
        let mut common = self.clone();
        if common.trust.is_empty() {
            common.trust = config.trust;
        }
        common.include.extend(config.include);
        common.exclude.extend(config.exclude);
        common.message = common.message.or(config.message);
        common.to = common.to.or(config.to);
        common.log_rejects |= config.log_rejects;
        common.dual_read |= config.dual_read && !common.finish_dual_read;
        common.jobs = common.jobs.or(config.jobs);
        let folder = path.parent().unwrap_or(Path::new(""));
        let cache = config.cache.unwrap_or_default();
        let wrong = |what: &str| format!("{}: [cache]: {what}", path.display());
        common.cache_dir = common.cache_dir.or(cache.dir.map(|dir| folder.join(dir)));
        if let Some(text) = cache.max_size {
            common.limits.size = bytes(&text).with_context(|| wrong("max-size is no size"))?;
        }
        if let Some(text) = cache.max_age {
            common.limits.age = age(&text).with_context(|| wrong("max-age is no age"))?;
        }
        let baseline = config.scan.unwrap_or_default().baseline;
        common.baseline = baseline.map(|baseline| folder.join(baseline));
        for table in config.repo {
            let target = target(folder, table);
            common
                .listed
                .push(target.with_context(|| format!("{}: [[repo]]", path.display()))?);
        }
        Ok(common)
    }
}

/// What is wrong with `text` as a configuration file, if something is.
///
/// # Errors
/// The first thing.
pub fn configured(text: &str) -> Result<(), String> {
    let read = Common::default().with(Path::new("depickle.toml"), text);
    read.map(drop).map_err(|error| format!("{error:#}"))
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
