//! Tokens for forges: from the environment, from git's credential helpers, from the forge's own program.
//!
//! Invariant: a token for one server is given to no other; none is printed or kept.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::forge::Kind;

/// The token for the server `host` of `kind`.
pub(super) fn token(kind: Kind, host: &str) -> Option<String> {
    set(kind, host)
        .or_else(|| program(kind, host))
        .or_else(|| helper(host))
}

/// In the variable where the forge's own program looks. One for github.com is for no other server.
fn set(kind: Kind, host: &str) -> Option<String> {
    let names: &[&str] = match kind {
        Kind::GitHub if host == "github.com" => &["GH_TOKEN", "GITHUB_TOKEN"],
        Kind::GitHub => &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"],
        Kind::GitLab => &["GITLAB_TOKEN"],
        Kind::Gitea => &["GITEA_TOKEN", "FORGEJO_TOKEN"],
    };
    let set = names.iter().filter_map(|name| std::env::var(name).ok());
    set.map(|token| token.trim().to_owned())
        .find(|token| !token.is_empty())
}

/// What `gh` or `glab` was logged in with.
fn program(kind: Kind, host: &str) -> Option<String> {
    let (program, arguments) = match kind {
        Kind::GitHub => ("gh", ["auth", "token", "--hostname", host]),
        Kind::GitLab => ("glab", ["config", "get", "token", "--host"]),
        Kind::Gitea => return None,
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if kind == Kind::GitLab {
        command.arg(host);
    }
    let output = command.stdin(Stdio::null()).output().ok()?;
    let token = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !token.is_empty()).then_some(token)
}

/// What git's credential helpers have for the server, without asking anybody. Git runs where no repository is.
fn helper(host: &str) -> Option<String> {
    let mut git = Command::new("git")
        .args(["-c", "core.askPass=", "credential", "fill"])
        .current_dir(std::env::temp_dir())
        // What is no folder: anybody may make one of any name among those that are temporary, and git would ask its helpers.
        .env("GIT_DIR", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "")
        .env("GCM_INTERACTIVE", "never")
        .env_remove("SSH_ASKPASS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    if let Some(mut stdin) = git.stdin.take() {
        // Git that went away says so by its exit code.
        let _ = write!(stdin, "protocol=https\nhost={host}\n\n");
    }
    let output = git.wait_with_output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let found = text.lines().find_map(|line| line.strip_prefix("password="));
    found.filter(|_| output.status.success()).map(str::to_owned)
}
