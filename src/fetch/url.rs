//! Addresses of repositories, and which of them git is given.
//!
//! Invariant: nothing that git or ssh could take for an option or a command becomes a [`Url`], and no secret does:
//! a `Url` may be printed and recorded.

use std::ops::Range;

use super::FetchError;

/// An address that git may be given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    text: String,
    host: Option<String>,
}

/// Transports that git has itself. `ext::` and other helpers run what the address says.
const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

impl Url {
    /// Whether `text` is meant as an address and not as a path: `https://…`, `user@host:path`, `ext::…`.
    pub fn is_meant(text: &str) -> bool {
        let before = text.split_once(':').map(|(before, _)| before);
        text.contains("://")
            || text.contains("::")
            || before.is_some_and(|before| before.contains('@') && !before.contains('/'))
    }

    /// `text` without the password that it may hold.
    pub fn masked(text: &str) -> String {
        match secret(text) {
            Some(secret) => format!("{}***{}", &text[..secret.start], &text[secret.end..]),
            None => text.to_owned(),
        }
    }

    /// `text` as an address.
    ///
    /// # Errors
    /// [`FetchError::Refused`], which never repeats a password.
    pub fn parse(text: &str) -> Result<Url, FetchError> {
        let refused = |why: &'static str, hint: &'static str| FetchError::Refused { why, hint };
        const LOOK: &str = "write it as https://HOST/PATH, ssh://HOST/PATH or user@HOST:PATH";
        let text = text.trim_end_matches('/');
        if secret(text).is_some() {
            return Err(refused(
                "the address holds a password, which would be kept in files and shown",
                "leave it out and give it to git by a credential helper or GIT_ASKPASS",
            ));
        }
        if text.starts_with('-') {
            return Err(refused("the address starts with a dash", LOOK));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        if scheme.is_some_and(|scheme| !SCHEMES.contains(&scheme))
            || scheme.is_none() && text.contains("::")
        {
            return Err(refused(
                "git would run a helper for this kind of address",
                LOOK,
            ));
        }
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(refused(
                "the address has spaces or control characters",
                LOOK,
            ));
        }
        let end = match scheme {
            Some(_) => rest.find(['/', '?', '#']),
            None => rest.find(':'),
        };
        let (authority, path) = match end {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        if scheme == Some("file") {
            // A host in a file address means nothing on this machine.
            return match authority.is_empty() && path.len() > 1 {
                true => Ok(Url {
                    text: text.to_owned(),
                    host: None,
                }),
                false => Err(refused(
                    "a file address names no host",
                    "write it as file:///PATH",
                )),
            };
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (user, host),
            None => ("", authority),
        };
        let path = path.trim_start_matches(':');
        if user.starts_with('-') || host.starts_with('-') || path.starts_with('-') {
            return Err(refused("a part of the address starts with a dash", LOOK));
        }
        if host.is_empty() || path.trim_matches('/').is_empty() {
            return Err(refused("the address lacks a host or a path", LOOK));
        }
        Ok(Url {
            text: text.to_owned(),
            host: Some(host.to_ascii_lowercase()),
        })
    }

    /// As git is given it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The server, with its port; none for a repository of this machine.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The last part of the path, as far as it may be a file's name.
    pub(super) fn stem(&self) -> String {
        let last = self.text.rsplit(['/', ':']).next().unwrap_or_default();
        let last = last.strip_suffix(".git").unwrap_or(last);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        last.chars()
            .map(|c| if plain(c) { c } else { '-' })
            .take(40)
            .collect()
    }
}

/// A user's name in an address is hardly longer; an access token is.
const NAME: usize = 24;

/// Where `text` holds a password or an access token.
fn secret(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + 3;
    let rest = &text[start..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (user, end) = match authority.rfind('@') {
        Some(end) => (&authority[..end], end),
        // A password with a slash in it, which git does not read as one either.
        None => {
            let port = authority.rsplit_once(':')?.1;
            let odd = !port.ends_with(']') && !port.bytes().all(|byte| byte.is_ascii_digit());
            (authority, rest.rfind('@').filter(|_| odd)?)
        }
    };
    match user.find(':') {
        Some(colon) => Some(start + colon + 1..start + end),
        None if text.starts_with("http") && user.len() > NAME => Some(start..start + end),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_has_itself_is_taken() {
        for (text, host) in [
            ("https://git.example.org/a/b.git", Some("git.example.org")),
            (
                "https://me@git.example.org:8443/a",
                Some("git.example.org:8443"),
            ),
            ("git@git.example.org:a/b.git", Some("git.example.org")),
            ("ssh://git@git.example.org:22/a", Some("git.example.org:22")),
            ("git://localhost/a", Some("localhost")),
            ("file:///srv/a", None),
        ] {
            assert!(Url::is_meant(text), "{text}");
            assert_eq!(Url::parse(text).unwrap().host(), host, "{text}");
        }
        for path in ["shop", "./a:b", "/srv/me@host:x", "a b", "shop@2"] {
            assert!(!Url::is_meant(path), "{path}");
        }
    }

    #[test]
    fn what_runs_something_or_holds_a_secret_is_refused() {
        for text in [
            "ext::sh -c touch% /tmp/x",
            "ext::sh",
            "fd::17",
            "ext://x/y",
            "--upload-pack=touch /tmp/x://h/p",
            "-u:x",
            "ssh://-oProxyCommand=touch/x",
            "ssh://-l@host/x",
            "git@-oProxyCommand=x:y",
            "git@host:-x",
            "https://host/a\nb",
            "https://host",
            "https:///a",
            "file://host/a",
            "file:///",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        for text in [
            "https://me:secret@host/a",
            "https://me:sec:ret@host/a",
            "https://me:sec/ret@host/a",
            "https://ghp_secret0123456789secret0123456789@host/a",
            "ssh://me:secret@host/a",
        ] {
            let error = Url::parse(text).unwrap_err();
            let told = format!("{error} {error:?} {:?} {}", error.hint(), Url::masked(text));
            assert!(
                !told.contains("ret") && told.contains("***@host/a"),
                "{told}"
            );
        }
        for text in [
            "https://me@host:80/a@b",
            "https://[::1]/a@b",
            "git@host:a",
            "a b",
        ] {
            assert_eq!(Url::masked(text), text);
        }
    }
}
