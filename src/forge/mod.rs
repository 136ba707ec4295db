//! What a forge (GitHub, GitLab, Gitea, Forgejo) knows about repositories: which there are.
//!
//! Invariant: nothing is left out silently: what the filters leave out is counted, by why.

mod api;
mod request;

use globset::Glob;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use api::Api;
pub use request::{Draft, Hosted, Request, RequestState};

/// Pages of a list that are read at most; a hundred repositories stand on one.
const PAGES: usize = 1000;

/// A kind of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// github.com, or GitHub Enterprise.
    GitHub,
    /// gitlab.com, or one's own.
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
}

impl Kind {
    /// Where the API of a server begins.
    pub fn api(self, scheme: &str, host: &str) -> String {
        match self {
            Kind::GitHub if host == "github.com" => "https://api.github.com".to_owned(),
            Kind::GitHub => format!("{scheme}://{host}/api/v3"),
            Kind::GitLab => format!("{scheme}://{host}/api/v4"),
            Kind::Gitea => format!("{scheme}://{host}/api/v1"),
        }
    }

    fn header(self, token: &str) -> (&'static str, String) {
        match self {
            Kind::GitHub => ("Authorization", format!("Bearer {token}")),
            Kind::GitLab => ("PRIVATE-TOKEN", token.to_owned()),
            Kind::Gitea => ("Authorization", format!("token {token}")),
        }
    }
}

/// Somebody's repositories on a forge: `github:ORG`, `gitlab:HOST/GROUP/SUBGROUP`, `gitea:HOST/ORG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The kind.
    pub kind: Kind,
    /// The server, without scheme.
    pub host: String,
    scheme: &'static str,
    owner: String,
}

/// Which of them are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Archived ones, too.
    pub archived: bool,
    /// Forks, too.
    pub forks: bool,
    /// Of this main language only.
    pub language: Option<String>,
    /// With this topic only.
    pub topic: Option<String>,
    /// Whose name this glob matches only.
    pub name: Option<String>,
    /// Addresses for ssh instead of https.
    pub ssh: bool,
}

/// What a forge has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Addresses of those that are wanted, in the forge's order.
    pub urls: Vec<String>,
    /// How many were left out, and why.
    pub left: Vec<(&'static str, usize)>,
}

/// What happened. [`ForgeError::hint`] says what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// Not what names somebody's repositories.
    #[error("{text:?} names nobody on a forge")]
    BadSource {
        /// As the user gave it.
        text: String,
    },
    /// Not a glob.
    #[error("bad glob {glob:?}")]
    BadGlob {
        /// As the user gave it.
        glob: String,
    },
    /// A token would go over the net for everybody to read.
    #[error("a token is not sent over plain http to {base}")]
    PlainHttp {
        /// Where to.
        base: String,
    },
    /// There is nobody of that name, or nobody that this user may see.
    #[error("{host} knows no {owner}")]
    Nobody {
        /// The server.
        host: String,
        /// The name.
        owner: String,
    },
    /// The forge wants to know who asks.
    #[error("{url}: not allowed")]
    NotAllowed {
        /// The request.
        url: String,
    },
    /// The forge has answered enough for now.
    #[error("{url}: too many requests for now")]
    Limited {
        /// The request.
        url: String,
    },
    /// Anything else.
    #[error("{url}: {what}")]
    Failed {
        /// The request.
        url: String,
        /// What went wrong.
        what: String,
    },
}

impl ForgeError {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            ForgeError::BadSource { .. } => {
                "write it as github:ORG, gitlab:GROUP or gitea:HOST/ORG; a server of one's own comes first: github:HOST/ORG"
            }
            ForgeError::BadGlob { .. } => "globs look like shop-*",
            ForgeError::PlainHttp { .. } => "name the server as https, or unset the token",
            ForgeError::Nobody { .. } => {
                "check the name; what is private is seen with a token only"
            }
            ForgeError::NotAllowed { .. } => {
                "set GITHUB_TOKEN, GITLAB_TOKEN or GITEA_TOKEN to one that may read repositories"
            }
            ForgeError::Limited { .. } => {
                "wait an hour, or ask with a token, which has a limit of its own"
            }
            ForgeError::Failed { .. } => return None,
        })
    }
}

impl Source {
    /// `text` as a source.
    ///
    /// # Errors
    /// [`ForgeError::BadSource`].
    pub fn parse(text: &str) -> Result<Source, ForgeError> {
        let bad = || ForgeError::BadSource {
            text: text.to_owned(),
        };
        let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
        let (kind, public) = match kind {
            "github" => (Kind::GitHub, Some("github.com")),
            "gitlab" => (Kind::GitLab, Some("gitlab.com")),
            "gitea" | "forgejo" => (Kind::Gitea, None),
            _ => return Err(bad()),
        };
        let (scheme, rest) = match rest.strip_prefix("http://") {
            Some(rest) => ("http", rest),
            None => ("https", rest.strip_prefix("https://").unwrap_or(rest)),
        };
        // Names of owners have no dot on GitHub; a group's may, but hardly before its first slash.
        let own = rest
            .split_once('/')
            .filter(|(host, _)| host.contains(['.', ':']));
        let (host, owner) = own.or(public.map(|host| (host, rest))).ok_or_else(bad)?;
        let owner = owner.trim_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let parts = owner
            .split('/')
            .all(|part| !part.is_empty() && part != ".." && part.chars().all(plain));
        let deep = kind != Kind::GitLab && owner.contains('/');
        let server = |c: char| plain(c) || ":[]".contains(c);
        match parts && !deep && !host.starts_with(['-', '.']) && host.chars().all(server) {
            true => Ok(Source {
                kind,
                host: host.to_ascii_lowercase(),
                scheme,
                owner: owner.to_owned(),
            }),
            false => Err(bad()),
        }
    }

    fn api(&self, token: Option<&str>) -> Result<Api, ForgeError> {
        Api::new(
            self.kind.api(self.scheme, &self.host),
            token.map(|token| self.kind.header(token)),
        )
    }

    /// Where lists of the owner's repositories stand: of an organisation, else of a person.
    fn lists(&self) -> Vec<String> {
        let owner = self.owner.replace('/', "%2F");
        match self.kind {
            Kind::GitHub => ["orgs", "users"]
                .map(|who| format!("/{who}/{owner}/repos?per_page=100"))
                .into(),
            Kind::GitLab => vec![
                format!(
                    "/groups/{owner}/projects?include_subgroups=true&with_shared=false&order_by=id&per_page=100"
                ),
                format!("/users/{owner}/projects?order_by=id&per_page=100"),
            ],
            Kind::Gitea => ["orgs", "users"]
                .map(|who| format!("/{who}/{owner}/repos?limit=50"))
                .into(),
        }
    }
}

/// The repositories of `source` that are `wanted`, asked for with `token`.
///
/// # Errors
/// [`ForgeError`]; a list that breaks off is an error and no shorter list.
pub fn list(source: &Source, wanted: &Wanted, token: Option<&str>) -> Result<Listed, ForgeError> {
    let name = wanted.name.as_deref().map(|glob| {
        let compiled = Glob::new(glob).map_err(|_| ForgeError::BadGlob {
            glob: glob.to_owned(),
        });
        compiled.map(|glob| glob.compile_matcher())
    });
    let name = name.transpose()?;
    let api = source.api(token)?;
    let mut listed = Listed::default();
    for one in all(source, &api)? {
        let of_language = match &wanted.language {
            Some(language) => speaks(source, &api, &one, language)?,
            None => true,
        };
        let text = |key: &str| one[key].as_str().unwrap_or_default();
        let topics = one["topics"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let why = if !wanted.archived && one["archived"] == true {
            Some("archived")
        } else if !wanted.forks && (one["fork"] == true || one["forked_from_project"].is_object()) {
            Some("forks")
        } else if one["empty"] == true || one["empty_repo"] == true {
            Some("empty")
        } else if !of_language {
            Some("of other languages")
        } else if wanted
            .topic
            .as_ref()
            .is_some_and(|topic| !topics.iter().any(|t| t == topic))
        {
            Some("without the topic")
        } else if name
            .as_ref()
            .is_some_and(|glob| !glob.is_match(text("name")) && !glob.is_match(text("path")))
        {
            Some("of other names")
        } else {
            None
        };
        let url = match (wanted.ssh, source.kind) {
            (true, Kind::GitLab) => text("ssh_url_to_repo"),
            (false, Kind::GitLab) => text("http_url_to_repo"),
            (true, _) => text("ssh_url"),
            (false, _) => text("clone_url"),
        };
        match why.or(url.is_empty().then_some("without an address")) {
            None => listed.urls.push(url.to_owned()),
            Some(why) => match listed.left.iter_mut().find(|(known, _)| *known == why) {
                Some((_, n)) => *n += 1,
                None => listed.left.push((why, 1)),
            },
        }
    }
    Ok(listed)
}

/// Whether `language` is the main one of `one`. GitLab says so in an answer of its own.
fn speaks(source: &Source, api: &Api, one: &Value, language: &str) -> Result<bool, ForgeError> {
    if source.kind != Kind::GitLab {
        return Ok(one["language"]
            .as_str()
            .is_some_and(|main| main.eq_ignore_ascii_case(language)));
    }
    let shares = api
        .get(&format!("/projects/{}/languages", one["id"]))?
        .unwrap_or_default();
    let share = |(_, share): &(&String, &Value)| share.as_f64().unwrap_or_default();
    let main = shares
        .as_object()
        .into_iter()
        .flatten()
        .max_by(|a, b| share(a).total_cmp(&share(b)));
    Ok(main.is_some_and(|(main, _)| main.eq_ignore_ascii_case(language)))
}

/// Every repository of `source`, page by page until an empty one: how long a page is, the server decides.
fn all(source: &Source, api: &Api) -> Result<Vec<Value>, ForgeError> {
    for list in source.lists() {
        let mut found: Vec<Value> = Vec::new();
        for page in 1..=PAGES {
            let path = format!("{list}&page={page}");
            let failed = |what: &str| ForgeError::Failed {
                url: path.clone(),
                what: what.to_owned(),
            };
            match api.get(&path)? {
                None if page == 1 => break,
                Some(Value::Array(rows)) if rows.is_empty() => return Ok(found),
                Some(Value::Array(rows)) if found.last() != rows.last() => found.extend(rows),
                Some(Value::Array(_)) => return Err(failed("the same page came twice")),
                _ => return Err(failed("the answer is no list")),
            }
        }
        if !found.is_empty() {
            return Err(ForgeError::Failed {
                url: list,
                what: "the list has no end".to_owned(),
            });
        }
    }
    Err(ForgeError::Nobody {
        host: source.host.clone(),
        owner: source.owner.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_names_a_forge_and_an_owner() {
        let read =
            |text: &str| Source::parse(text).map(|s| (s.kind, s.host.clone(), s.owner.clone()));
        let is = |kind, host: &str, owner: &str| (kind, host.to_owned(), owner.to_owned());
        for (text, source) in [
            ("github:team", is(Kind::GitHub, "github.com", "team")),
            (
                "github:git.example.org/team",
                is(Kind::GitHub, "git.example.org", "team"),
            ),
            (
                "gitlab:team/sub",
                is(Kind::GitLab, "gitlab.com", "team/sub"),
            ),
            (
                "gitlab:git.example.org/team/sub",
                is(Kind::GitLab, "git.example.org", "team/sub"),
            ),
            (
                "forgejo:Git.example.org:3000/team",
                is(Kind::Gitea, "git.example.org:3000", "team"),
            ),
        ] {
            assert_eq!(read(text).unwrap(), source, "{text}");
        }
        for bad in [
            "team",
            "github:",
            "github:a/b",
            "gitea:team",
            "svn:team",
            "github:../x",
            "gitlab:a//b",
            "gitea:h@x.y/a",
            "github:a?b",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear() {
        let source = Source::parse("gitea:http://git.example.org/team").unwrap();
        let error = list(&source, &Wanted::default(), Some("x")).unwrap_err();
        assert!(matches!(error, ForgeError::PlainHttp { .. }), "{error}");
    }
}
