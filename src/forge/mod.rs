//! What a forge (GitHub, GitLab, Gitea, Forgejo) knows about repositories: which there are, and requests in them.
//!
//! Invariant: nothing is left out silently: what the filters leave out is counted, by why.

mod api;
mod list;
mod pace;
mod request;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use api::Api;
pub use list::list;
pub use pace::{Manners, Pace};
pub use request::{Draft, Hosted, Request, RequestState};

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

/// Somebody's repositories on a forge: `github:ORG`, `gitlab:HOST/GROUP/SUBGROUP`, `gitea:HOST/ORG`; or what a search
/// finds there: `github:?q=QUERY`, `github:HOST/?q=QUERY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The kind.
    pub kind: Kind,
    /// The server, without scheme.
    pub host: String,
    scheme: &'static str,
    owner: String,
    /// What is searched for, when nobody is named.
    query: Option<String>,
}

/// Which of them are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Archived ones, too.
    pub archived: bool,
    /// Forks, too.
    pub forks: bool,
    /// Forks that somebody has pushed to, too, where the forge tells.
    pub own_forks: bool,
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
    /// Those that are wanted, in the forge's order.
    pub found: Vec<Found>,
    /// How many were left out, and why.
    pub left: Vec<(&'static str, usize)>,
    /// Which these are, and why, as far as they have an address.
    pub skipped: Vec<(String, &'static str)>,
}

/// What a forge tells of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub url: String,
    /// Kilobytes on the forge, where that is told.
    pub size: Option<u64>,
    /// The main language, where that is told.
    pub language: Option<String>,
    /// What its owners say it is about.
    pub topics: Vec<String>,
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
    #[error("{url}: too many requests for now{}", seconds.map_or(String::new(), |n| format!("; none for {n} s")))]
    Limited {
        /// The request.
        url: String,
        /// How long it wants no more, if it says so.
        seconds: Option<u64>,
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
                "write it as github:ORG, gitlab:GROUP, gitea:HOST/ORG or github:?q=SEARCH; a server of one's own comes first: github:HOST/ORG"
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
            ForgeError::Failed { .. } => {
                "see that the server is reached and is a forge of that kind, and run it again"
            }
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
        let searched = rest
            .split_once("?q=")
            .map(|(host, query)| (host.trim_end_matches('/'), query.trim()));
        if let Some((host, query)) = searched {
            let host = if host.is_empty() {
                public.unwrap_or_default()
            } else {
                host
            };
            let fits = kind == Kind::GitHub && !query.is_empty() && is_server(host);
            return fits
                .then(|| Source {
                    kind,
                    host: host.to_ascii_lowercase(),
                    scheme,
                    owner: String::new(),
                    query: Some(query.to_owned()),
                })
                .ok_or_else(bad);
        }
        // Names of owners have no dot on GitHub; a group's may, but hardly before its first slash.
        let own = rest
            .split_once('/')
            .filter(|(host, _)| host.contains(['.', ':']));
        let (host, owner) = own.or(public.map(|host| (host, rest))).ok_or_else(bad)?;
        let owner = owner.trim_matches('/');
        let parts = owner
            .split('/')
            .all(|part| !part.is_empty() && part != ".." && part.chars().all(plain));
        let deep = kind != Kind::GitLab && owner.contains('/');
        match parts && !deep && is_server(host) {
            true => Ok(Source {
                kind,
                host: host.to_ascii_lowercase(),
                scheme,
                owner: owner.to_owned(),
                query: None,
            }),
            false => Err(bad()),
        }
    }

    fn api<'a>(&self, token: Option<&str>, manners: Manners<'a>) -> Result<Api<'a>, ForgeError> {
        Api::new(
            self.kind.api(self.scheme, &self.host),
            token.map(|token| self.kind.header(token)),
            manners,
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

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn is_server(host: &str) -> bool {
    let server = |c: char| plain(c) || ":[]".contains(c);
    !host.is_empty() && !host.starts_with(['-', '.']) && host.chars().all(server)
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
            "github:?q=",
            "github:-x/?q=a",
            "gitlab:?q=a",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_search_may_hold_whatever_it_likes() {
        for (text, host, query) in [
            (
                "github:?q=repo:a/b language:python",
                "github.com",
                "repo:a/b language:python",
            ),
            (
                "github:git.example.org/?q=pickle",
                "git.example.org",
                "pickle",
            ),
            ("github:http://127.0.0.1:1/?q=a?q=b", "127.0.0.1:1", "a?q=b"),
        ] {
            let source = Source::parse(text).unwrap();
            assert_eq!(
                (source.host.as_str(), source.query.as_deref()),
                (host, Some(query))
            );
        }
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear() {
        let source = Source::parse("gitea:http://git.example.org/team").unwrap();
        let error = list(
            &source,
            &Wanted::default(),
            Some("x"),
            Manners::of(&Pace::default()),
        )
        .unwrap_err();
        assert!(matches!(error, ForgeError::PlainHttp { .. }), "{error}");
    }
}
