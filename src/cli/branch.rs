//! `--branch`: a name for the branch of each repository, with placeholders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::repo::{Repo, is_branch_name};

/// What stands for something that differs from repository to repository.
const PLACES: [&str; 6] = ["repository", "owner", "path", "transform", "run", "date"];

/// A name with placeholders in it, that gives good names where they are filled in well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(&'static str),
}

impl Template {
    pub(super) fn parse(text: &str) -> anyhow::Result<Template> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let known = || PLACES.map(|place| format!("{{{place}}}")).join(" ");
        while let Some(at) = rest.find(['{', '}']) {
            pieces.push(Piece::Text(rest[..at].to_owned()));
            let place = rest[at..]
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'));
            let Some((name, after)) = place else {
                anyhow::bail!(
                    "--branch {text:?}: a brace without its other; it knows {}",
                    known()
                );
            };
            let Some(place) = PLACES.into_iter().find(|place| *place == name) else {
                anyhow::bail!(
                    "--branch {text:?}: {{{name}}} stands for nothing; it knows {}",
                    known()
                );
            };
            pieces.push(Piece::Place(place));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let template = Template(pieces);
        // Wrong in itself is wrong for all of them.
        let sample = template.with(|_| Some("x".to_owned())).unwrap_or_default();
        if !is_branch_name(&sample) {
            anyhow::bail!(
                "--branch {text:?}: git takes no such name; `git help check-ref-format` has the rules"
            );
        }
        Ok(template)
    }

    /// The name, by what `value` says; the placeholder for which it says nothing.
    fn with(&self, value: impl Fn(&str) -> Option<String>) -> Result<String, &'static str> {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Place(place) => value(place).map(|value| slug(&value)).ok_or(*place),
        };
        self.0.iter().map(piece).collect()
    }

    /// The name for one repository.
    pub(super) fn name(&self, about: &About<'_>) -> Result<String, String> {
        let value = |place: &str| match place {
            "repository" => Some(about.repository.clone()),
            "owner" => about.owner.clone(),
            "path" => Some(about.path.trim_matches('/')).map(|path| match path {
                "" => "all".to_owned(),
                path => path.replace('/', "-"),
            }),
            "transform" => Some(about.transform.to_owned()),
            "run" => Some(about.run.to_owned()),
            "date" => Some(about.date.clone()),
            _ => None,
        };
        let filled = self.with(|place| value(place).filter(|value| !slug(value).is_empty()));
        filled.map_err(|place| {
            format!("--branch: there is nothing for {{{place}}} here; the address of the repository, or of its origin, would tell it")
        })
    }
}

/// What is known of one repository.
pub(super) struct About<'a> {
    pub repository: String,
    pub owner: Option<String>,
    /// The part of it that is looked at.
    pub path: &'a str,
    pub transform: &'a str,
    pub run: &'a str,
    pub date: String,
}

/// Who has the repository at `address`, and what it is called there.
pub(super) fn named(address: &str) -> (Option<String>, Option<String>) {
    let path = match address.split_once("://") {
        Some(("file", _)) => None,
        Some((_, rest)) => rest.split_once('/').map(|(_, path)| path),
        None if Path::new(address).is_absolute() => None,
        None => address.split_once(':').map(|(_, path)| path),
    };
    let last = address.trim_end_matches('/').rsplit(['/', ':']).next();
    let name = last.map(|name| name.strip_suffix(".git").unwrap_or(name).to_owned());
    let path = path.map(|path| path.trim_matches('/'));
    let owner = path
        .and_then(|path| path.rsplit_once('/'))
        .map(|(owner, _)| owner.replace('/', "-"));
    (owner, name)
}

/// What the repository of this machine is called: its folder, also when one of its work trees is elsewhere.
pub(super) fn called(repo: &Repo) -> String {
    let dir = repo.git_dir();
    let folder = match dir.file_name().is_some_and(|name| name == ".git") {
        true => dir.parent().and_then(Path::file_name),
        false => dir.file_name(),
    };
    let name = folder.unwrap_or_default().to_string_lossy();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}

/// `text` with a dash for what has no place in a name, or has a meaning there.
fn slug(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-+=".contains(c);
    let mut slug: String = text
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect();
    while slug.contains("..") {
        slug = slug.replace("..", ".");
    }
    let slug = slug.trim_matches(['.', '-']);
    match slug.strip_suffix(".lock") {
        Some(name) => format!("{name}-lock"),
        None => slug.to_owned(),
    }
}

/// Which branches a run makes: no two of its parts the same.
#[derive(Debug, Default)]
pub(super) struct Taken(Mutex<HashMap<(PathBuf, String), String>>);

impl Taken {
    /// Takes `branch` of the repository at `git_dir` for `target`, once.
    pub(super) fn take(&self, git_dir: &Path, branch: &str, target: &str) -> Result<(), String> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (git_dir.to_owned(), branch.to_owned());
        match taken.get(&place) {
            Some(other) if other != target => Err(format!(
                "{other} has the branch {branch} in this run; {{path}} in --branch gives each part of a repository its own"
            )),
            _ => {
                taken.insert(place, target.to_owned());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About<'static> {
        About {
            repository: "my shop".to_owned(),
            owner: None,
            path: "services/cart/",
            transform: "pickle-to-json",
            run: "20261123T104455-3f2a",
            date: "2026-11-23".to_owned(),
        }
    }

    #[test]
    fn placeholders_are_filled_in_and_what_git_refuses_becomes_a_dash() {
        let name = |text: &str| Template::parse(text).unwrap().name(&about());
        assert_eq!(
            name("sec/{transform}-{date}").unwrap(),
            "sec/pickle-to-json-2026-11-23"
        );
        assert_eq!(
            name("{repository}/{path}/{run}").unwrap(),
            "my-shop/services-cart/20261123T104455-3f2a"
        );
        assert_eq!(name("plain").unwrap(), "plain");
        assert!(name("x/{owner}").unwrap_err().contains("{owner}"));
        let odd = |repository: &str| About {
            repository: repository.to_owned(),
            ..about()
        };
        let of = |repository| {
            Template::parse("x/{repository}")
                .unwrap()
                .name(&odd(repository))
        };
        assert_eq!(
            of("a..b~^:?*[\\@{c}.lock").unwrap(),
            "x/a.b---------c-.lock".replace(".lock", "-lock")
        );
        assert_eq!(of("-.hidden.").unwrap(), "x/hidden");
        assert!(of("...").is_err());
        let whole = About {
            path: "",
            ..about()
        };
        assert_eq!(
            Template::parse("x-{path}").unwrap().name(&whole).unwrap(),
            "x-all"
        );
    }

    #[test]
    fn what_stands_for_nothing_and_what_git_refuses_is_an_error() {
        for wrong in [
            "{nothing}",
            "a{",
            "a}",
            "{run",
            "{{run}}",
            "a..b",
            "-x",
            "a b",
            "a/",
            "{run}.lock",
            "",
        ] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_tells_owner_and_name() {
        let pair = |owner: &str, name: &str| (Some(owner.to_owned()), Some(name.to_owned()));
        assert_eq!(
            named("https://git.example.org/team/shop.git"),
            pair("team", "shop")
        );
        assert_eq!(named("git@h:team/sub/pay.git/"), pair("team-sub", "pay"));
        assert_eq!(named("ssh://git@h:22/team/x"), pair("team", "x"));
        assert_eq!(named("file:///srv/git/x.git"), (None, Some("x".to_owned())));
        assert_eq!(named("/srv/git/x.git"), (None, Some("x".to_owned())));
    }

    #[test]
    fn no_two_parts_get_one_branch() {
        let taken = Taken::default();
        let dir = Path::new("/r/.git");
        assert!(taken.take(dir, "a", "r//x").is_ok());
        assert!(taken.take(dir, "a", "r//x").is_ok());
        assert!(taken.take(dir, "b", "r//y").is_ok());
        assert!(
            taken
                .take(dir, "a", "r//y")
                .unwrap_err()
                .starts_with("r//x has the branch a")
        );
    }
}
