//! Where a configuration is: from a folder upward to the root of its repository, or of the file system. The nearest
//! holds alone; in one folder `depickle.toml` comes before `[tool.depickle]` of `pyproject.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::tables::Config;
use crate::pack::{Pack, PackError, Rows};

/// Names of the files, in the order in which they count.
pub(super) const NAMES: [&str; 2] = ["depickle.toml", "pyproject.toml"];

/// Larger files are no configuration.
const LARGEST: u64 = 1 << 20;

/// A configuration that was read.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// As it is shown.
    pub path: PathBuf,
    pub text: String,
    pub config: Config,
    /// By `--config`.
    pub named: bool,
    /// Named, or in the user's folder for configurations: no scanned repository can have put it there.
    pub trusted: bool,
}

#[derive(Deserialize)]
struct PyProject {
    tool: Option<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    depickle: Option<Config>,
}

impl File {
    /// The configuration that `text` is; none when it is a `pyproject.toml` without one.
    pub fn parse(path: PathBuf, text: String, named: bool) -> Result<Option<File>, PackError> {
        let shown = path.display().to_string();
        let wrong = |error: toml::de::Error| PackError::of_toml(&shown, &text, &error);
        let config = match is_pyproject(&path) {
            true if !text.contains("depickle") => None,
            true => {
                let whole: PyProject = toml::from_str(&text).map_err(wrong)?;
                whole.tool.and_then(|tool| tool.depickle)
            }
            false => Some(toml::from_str(&text).map_err(wrong)?),
        };
        Ok(config.map(|config| File {
            config,
            path,
            text,
            named,
            trusted: named,
        }))
    }

    /// The mistake at `word`.
    pub fn mistake(&self, word: &str, message: String) -> PackError {
        PackError::at(&self.path.display().to_string(), &self.text, word, message)
    }

    /// Its keys, each with its line.
    pub fn keys(&self) -> Vec<(String, usize)> {
        let Ok(table) = DeTable::parse(&self.text) else {
            return Vec::new();
        };
        let mut here = table.get_ref();
        let steps: &[&str] = match is_pyproject(&self.path) {
            true => &["tool", "depickle"],
            false => &[],
        };
        for step in steps {
            match here.get(*step).map(|value| value.get_ref()) {
                Some(DeValue::Table(inner)) => here = inner,
                _ => return Vec::new(),
            }
        }
        let line = |at: usize| {
            self.text
                .get(..at)
                .map_or(0, |text| text.matches('\n').count())
        };
        let keys = here.iter();
        keys.map(|(key, _)| (key.get_ref().to_string(), line(key.span().start) + 1))
            .collect()
    }

    /// It as a table.
    pub fn table(&self) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
        let mut value: serde_json::Value = toml::from_str(&self.text)?;
        if is_pyproject(&self.path) {
            value = value["tool"]["depickle"].take();
        }
        sort(&mut value);
        match value {
            serde_json::Value::Object(table) => Ok(table),
            _ => Ok(serde_json::Map::new()),
        }
    }

    /// Its rows, if it has any.
    pub fn rows(&self) -> Option<Pack> {
        let of_packs = |(key, _): &(String, usize)| {
            let first = Config::OWN.iter().position(|own| *own == "source");
            let place = Config::OWN.iter().position(|own| own == key);
            place >= first && place.is_some()
        };
        self.keys().iter().any(of_packs).then(|| {
            Pack::Rows(Box::new(Rows {
                file: self.path.display().to_string(),
                text: self.text.clone(),
                framework: self.config.framework(),
                sinks: self.config.sink.clone(),
                writers: self.config.writer.clone(),
            }))
        })
    }
}

fn is_pyproject(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == NAMES[1])
}

/// The order of keys in a file means nothing.
fn sort(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(table) => {
            table.sort_keys();
            table.values_mut().for_each(sort);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(sort),
        _ => {}
    }
}

/// The user's own file: the one that is named; else the nearest from `folder` (the current one) upward; else the one in
/// the user's folder for configurations.
///
/// # Errors
/// One that is named and cannot be read; any with a mistake.
pub(super) fn users(folder: Option<&Path>, named: Option<&Path>) -> anyhow::Result<Option<File>> {
    if let Some(path) = named {
        let path = folder.map_or(path.to_owned(), |folder| folder.join(path));
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "{}: cannot be read; check the name after --config",
                path.display()
            )
        })?;
        let file = File::parse(path.clone(), text, true)?;
        let none = || format!("{}: has no [tool.depickle]; add it", path.display());
        return file.with_context(none).map(Some);
    }
    let here = match folder {
        Some(folder) => folder.to_owned(),
        None => std::env::current_dir()?,
    };
    for at in upward(&here, None) {
        // As its user would name it.
        let shown = match folder.is_none() && at == here {
            true => PathBuf::new(),
            false => at,
        };
        if let Some(file) = in_folder(&shown, |path| fs::read_to_string(path).ok())? {
            return Ok(Some(file));
        }
    }
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".config"));
    let xdg = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty());
    let Some(configurations) = xdg.map(PathBuf::from).or_else(home) else {
        return Ok(None);
    };
    let path = configurations.join(NAMES[0]);
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(None);
    };
    let file = File::parse(path, text, false)?;
    Ok(file.map(|file| File {
        trusted: true,
        ..file
    }))
}

/// The configuration in `folder`, whose files `read` reads.
pub(super) fn in_folder(
    folder: &Path,
    read: impl Fn(&Path) -> Option<String>,
) -> Result<Option<File>, PackError> {
    for name in NAMES {
        let path = folder.join(name);
        if let Some(text) = read(&path)
            && let Some(file) = File::parse(path, text, false)?
        {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// `folder` and what is above it, as far as `root`, or else as the root of a repository.
pub(super) fn upward<'p>(
    folder: &'p Path,
    root: Option<&'p Path>,
) -> impl Iterator<Item = PathBuf> + 'p {
    let mut done = false;
    folder.ancestors().map_while(move |at| {
        let before = done;
        done = match root {
            Some(root) => at == root,
            None => at.join(".git").exists(),
        };
        (!before).then(|| at.to_owned())
    })
}

/// The text of a file that a scanned repository has: a regular one, which links to nothing, and no large one.
pub(super) fn guarded(path: &Path) -> Option<String> {
    let data = fs::symlink_metadata(path).ok()?;
    (data.is_file() && data.len() <= LARGEST).then(|| fs::read_to_string(path).ok())?
}

/// The same of bytes from a commit.
pub(super) fn decoded(bytes: Vec<u8>) -> Option<String> {
    (bytes.len() as u64 <= LARGEST).then(|| String::from_utf8(bytes).ok())?
}

/// The pack in the folder `dir`.
///
/// # Errors
/// It cannot be read.
pub(super) fn pack(dir: &Path) -> anyhow::Result<Pack> {
    let mut files = BTreeMap::new();
    let shown = dir.display();
    read_below(dir, "", 0, &mut files)
        .with_context(|| format!("{shown}: cannot be read; check the name after --pack"))?;
    Ok(Pack::Files(format!("{shown}/"), files))
}

/// Reads the TOML files and READMEs of a pack, three folders deep at most.
fn read_below(
    dir: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, String>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        let kind = fs::metadata(entry.path())?;
        if kind.is_dir() && depth < 3 && !name.starts_with('.') {
            read_below(&entry.path(), &format!("{path}/"), depth + 1, files)?;
        } else if kind.is_file() && (name.ends_with(".toml") || name == "README.md") {
            files.insert(path, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
