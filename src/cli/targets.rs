//! What a command is asked to look at, from wherever it is listed.

use std::collections::HashSet;
use std::path::{Component, Path};

use anyhow::Context;

use super::args::Common;
use super::hinted;
use super::token::token;
use crate::fetch::Url;
use crate::forge::{ForgeError, Found, Manners, Pace, Source, Wanted, list};
use crate::journal::Target;
use crate::repo::Repo;

/// What forges said beside the addresses.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Of those that are listed.
    pub found: Vec<Found>,
    /// Who was left out, and why.
    pub skipped: Vec<(String, &'static str)>,
    /// Take forks that somebody pushed to.
    pub own_forks: bool,
}

impl Common {
    /// Everything that was asked for, each once: arguments, `--repos` and `--from`, else the `[[repo]]` tables of the configuration,
    /// else the current folder.
    ///
    /// # Errors
    /// A list that cannot be read, or that names nothing.
    pub fn targets(&self) -> anyhow::Result<Vec<Target>> {
        self.asked_for(&mut Known::default())
    }

    /// The same, with what forges tell.
    pub(super) fn asked_for(&self, known: &mut Known) -> anyhow::Result<Vec<Target>> {
        let mut targets: Vec<Target> = self.paths.iter().map(|path| Target::new(path)).collect();
        if let Some(file) = &self.repos {
            targets.extend(listed(file)?);
        }
        for source in &self.from {
            targets.extend(self.of_forge(source, known)?);
        }
        if targets.is_empty() && self.from.is_empty() {
            targets.clone_from(&self.listed);
        }
        if targets.is_empty() && !self.from.is_empty() {
            anyhow::bail!("--from: no repository is left to look at; fewer filters leave more");
        }
        if targets.is_empty() {
            targets.push(Target::new("."));
        }
        if self.submodules {
            targets = targets.into_iter().flat_map(with_submodules).collect();
        }
        if !self.within.is_empty() {
            let parts: Vec<String> = self
                .within
                .iter()
                .map(|path| below(path))
                .collect::<Result<_, _>>()
                .context("--path")?;
            let parted = |target: Target| match target.within {
                Some(_) => vec![target],
                None => parts
                    .iter()
                    .map(|part| Target {
                        within: Some(part.clone()),
                        ..target.clone()
                    })
                    .collect(),
            };
            targets = targets.into_iter().flat_map(parted).collect();
        }
        // From here on a target is printed and recorded.
        for target in &mut targets {
            target.location = Url::masked(&target.location);
        }
        let mut seen = HashSet::new();
        targets.retain(|target| seen.insert(target.clone()));
        // The record tells them apart by name: `a@b` may be a folder, or `a` at `b`.
        let mut names = HashSet::new();
        if let Some(twice) = targets.iter().find(|target| !names.insert(target.name())) {
            anyhow::bail!(
                "{} names two things; write one as a full path",
                twice.name()
            );
        }
        Ok(targets)
    }

    /// The repositories of `source`; who was left out, and why, is said.
    fn of_forge(&self, source: &str, known: &mut Known) -> anyhow::Result<Vec<Target>> {
        let told = |error: &ForgeError| {
            let hint = error.hint().map(str::to_owned);
            anyhow::anyhow!("--from {source}: {}", hinted(&error.to_string(), hint))
        };
        let asked = self.of_forge.clone();
        let wanted = Wanted {
            archived: asked.archived,
            forks: asked.forks,
            own_forks: known.own_forks,
            language: asked.language,
            topic: asked.topic,
            name: asked.name,
            ssh: asked.ssh,
        };
        let parsed = Source::parse(source).map_err(|error| told(&error))?;
        let listed = list(
            &parsed,
            &wanted,
            token(parsed.kind, &parsed.host).as_deref(),
            Manners::of(&Pace::default()),
        );
        let listed = listed.map_err(|error| told(&error))?;
        if !self.quiet {
            let left = listed
                .left
                .iter()
                .map(|(why, n)| format!(", {n} {why} left out"));
            let left: String = left.collect();
            errln!("{source}: {} repositories{left}", listed.found.len());
        }
        let targets = listed.found.iter().map(|one| Target::new(&one.url));
        let targets = targets.collect();
        known.found.extend(listed.found);
        known.skipped.extend(listed.skipped);
        Ok(targets)
    }
}

/// `path` as the name of something in a repository: it does not lead out of it.
pub(super) fn below(path: &str) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::CurDir => {}
            _ => {
                anyhow::bail!("{path:?} leads out of the repository; write it relative to its root")
            }
        }
    }
    match parts.is_empty() {
        true => anyhow::bail!("{path:?} names all of the repository; leave it out"),
        false => Ok(parts.join("/")),
    }
}

/// `target` and, after it, what is checked out below it as a submodule, and below these.
fn with_submodules(target: Target) -> Vec<Target> {
    let mut all = vec![target];
    let mut at = 0;
    while let Some(target) = all.get(at) {
        at += 1;
        if Url::is_meant(&target.location) || target.base.is_some() || target.within.is_some() {
            continue;
        }
        let path = Path::new(&target.location);
        let Ok(repo) = Repo::discover(path) else {
            continue;
        };
        let Ok(prefix) = repo.prefix(path) else {
            continue;
        };
        let below = repo.submodules(&prefix).into_iter();
        let below: Vec<Target> = below
            .filter_map(|below| Some(Target::new(path.join(below).to_str()?)))
            .collect();
        all.extend(below);
    }
    all
}

/// The repositories that `file` names.
fn listed(file: &Path) -> anyhow::Result<Vec<Target>> {
    let list = std::fs::read_to_string(file).with_context(|| {
        format!(
            "{}: cannot be read; check the name after --repos",
            file.display()
        )
    })?;
    let targets: Vec<Target> = list.lines().filter_map(entry).collect();
    match targets.is_empty() {
        true => anyhow::bail!(
            "{}: names no repository; write one path a line",
            file.display()
        ),
        false => Ok(targets),
    }
}

/// One line: a path or URL, then a tab (after a URL any space) and a base. A `#` at the start or after a space begins a
/// comment: names may have spaces, and `#` in them.
fn entry(line: &str) -> Option<Target> {
    let comment = line.char_indices().find(|(at, c)| {
        *c == '#'
            && line[..*at]
                .chars()
                .next_back()
                .is_none_or(char::is_whitespace)
    });
    let line = comment.map_or(line, |(at, _)| &line[..at]).trim();
    let parts = match Url::is_meant(line) {
        true => line.split_once(char::is_whitespace),
        false => line.split_once('\t'),
    };
    let (location, base) = parts.map_or((line, None), |(location, base)| {
        (location.trim(), Some(base.trim()))
    });
    (!location.is_empty()).then(|| Target {
        base: base.filter(|base| !base.is_empty()).map(str::to_owned),
        ..Target::new(location)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_for_once_and_no_two_go_by_one_name() {
        let mut common = Common {
            listed: ["a", "a", "a@b"].map(Target::new).to_vec(),
            ..Common::default()
        };
        assert_eq!(common.targets().unwrap().len(), 2);
        let at = Target {
            base: Some("b".to_owned()),
            ..Target::new("a")
        };
        common.listed.push(at);
        assert!(
            common
                .targets()
                .unwrap_err()
                .to_string()
                .contains("a@b names two things")
        );
    }

    #[test]
    fn a_line_is_a_place_and_maybe_a_base() {
        let read = |line: &str| entry(line).map(|target| (target.location, target.base));
        let whole = |location: &str| Some((location.to_owned(), None));
        let at = |location: &str, base: &str| Some((location.to_owned(), Some(base.to_owned())));
        assert_eq!(read("  a shop  "), whole("a shop"));
        assert_eq!(read("c#/shop # the old one"), whole("c#/shop"));
        assert_eq!(read("a shop\tv1 # x"), at("a shop", "v1"));
        assert_eq!(
            read("https://h/a  release/2"),
            at("https://h/a", "release/2")
        );
        assert_eq!(read("git@h:a\tmain"), at("git@h:a", "main"));
        assert_eq!(read("# nothing"), None);
        assert_eq!(read(""), None);
    }
}
