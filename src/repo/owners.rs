//! Who owns which file, by the CODEOWNERS of a commit.
//!
//! Invariant: the first of the known places that the commit has counts, and of its lines the last that matches.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{Repo, RepoError};

/// Where forges look for it, in their order.
pub(super) const PLACES: [&str; 4] = [
    ".github/CODEOWNERS",
    "CODEOWNERS",
    "docs/CODEOWNERS",
    ".gitlab/CODEOWNERS",
];

/// The lines of a CODEOWNERS file.
#[derive(Debug, Default)]
pub struct Owners {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: Gitignore,
    /// What is below a folder that matches belongs to them, too.
    deep: bool,
    owners: String,
}

impl Repo {
    /// The owners that `commit` declares; none when it has no CODEOWNERS.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`], [`RepoError::Git`] when the file is there and cannot be read.
    pub fn owners(&self, commit: &str) -> Result<Option<Owners>, RepoError> {
        for place in PLACES {
            match self.bytes_at(commit, place) {
                Ok(bytes) => return Ok(Some(Owners::parse(&String::from_utf8_lossy(&bytes)))),
                Err(RepoError::NotARegularFile { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl Owners {
    fn parse(text: &str) -> Owners {
        let lines = text.lines().map(str::trim);
        // A bracket begins a section of GitLab's; patterns with it, or with `!`, mean nothing to GitHub.
        let lines =
            lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '[', '^', '!']));
        Owners {
            rules: lines.filter_map(rule).collect(),
        }
    }

    /// The owners of `path`, in one line as they are declared; empty when it has none.
    pub fn of(&self, path: &str) -> &str {
        let matches = |rule: &&Rule| match rule.deep {
            true => rule
                .pattern
                .matched_path_or_any_parents(path, false)
                .is_ignore(),
            false => rule.pattern.matched(Path::new(path), false).is_ignore(),
        };
        let last = self.rules.iter().rev().find(matches);
        last.map_or("", |rule| rule.owners.as_str())
    }
}

fn rule(line: &str) -> Option<Rule> {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = c.is_whitespace() && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let (pattern, owners) = line.split_at(end.unwrap_or(line.len()));
    let owners: Vec<&str> = owners
        .split_whitespace()
        .take_while(|word| !word.starts_with('#'))
        .collect();
    let mut builder = GitignoreBuilder::new("");
    builder.add_line(None, pattern).ok()?;
    Some(Rule {
        pattern: builder.build().ok()?,
        // `docs/*` is what lies in that folder, and not in the folders there.
        deep: !pattern.ends_with("/*"),
        owners: owners.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::Owners;

    /// GitHub's own example.
    const TEXT: &str = "\
# a comment
*       @global-owner1 @global-owner2

*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/*  docs@example.com
apps/ @octocat
/scripts/ @doctocat @octocat
**/logs @octocat
/apps/ @octocat
/apps/github
with\\ space/ @spacious
[Section]
!not.py @nobody
";

    #[test]
    fn the_last_line_that_matches_says_who() {
        let owners = Owners::parse(TEXT);
        for (path, who) in [
            ("setup.py", "@global-owner1 @global-owner2"),
            ("deep/er/x.py", "@global-owner1 @global-owner2"),
            ("a/b.js", "@js-owner"),
            ("a.go", "docs@example.com"),
            ("build/logs/a/b.py", "@octocat"),
            ("build/other.py", "@global-owner1 @global-owner2"),
            ("docs/conf.py", "docs@example.com"),
            ("docs/ext/conf.py", "@global-owner1 @global-owner2"),
            ("services/apps/x/y.py", "@octocat"),
            ("scripts/run.py", "@doctocat @octocat"),
            ("other/scripts/run.py", "@global-owner1 @global-owner2"),
            ("apps/github/x.py", ""),
            ("with space/x.py", "@spacious"),
            ("not.py", "@global-owner1 @global-owner2"),
        ] {
            assert_eq!(owners.of(path), who, "{path}");
        }
    }
}
