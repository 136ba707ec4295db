//! The git program, told what it needs and nothing else.
//!
//! Invariant: it never waits for an answer that nobody can give, and never for longer than it is given.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{FetchError, fails};

/// How the git program is run.
#[derive(Debug, Clone, Copy)]
pub struct Git<'a> {
    /// A bare repository of ours: git runs in it, and what it says is written there.
    pub dir: &'a Path,
    /// Its output goes there, so git holds the lock on it too: when only this program is killed, nobody else goes to
    /// work until git has ended.
    pub lock: &'a File,
    /// Whether it may ask on the terminal.
    pub ask: bool,
    /// How long it may take.
    pub patience: Duration,
}

/// How long until a server that was too busy is asked once more.
const PAUSE: Duration = Duration::from_secs(2);

/// `git fetch` that brings what is asked for and does nothing else.
pub(crate) const FETCH: [&str; 6] = [
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--no-recurse-submodules",
];

impl Git<'_> {
    /// An empty repository. Its configuration says that objects may be elsewhere, in the words of `git clone
    /// --filter`, but without the format extension, which libgit2 does not read.
    pub(super) fn init(&self, url: &str) -> Result<(), FetchError> {
        self.run(&["init", "--quiet", "--bare", "--template=", "."], None)?;
        for (key, value) in [
            ("remote.origin.url", url),
            ("remote.origin.promisor", "true"),
            ("remote.origin.partialclonefilter", "blob:none"),
        ] {
            self.run(&["config", key, value], None)?;
        }
        Ok(())
    }

    /// The commit that `wanted` names on the other side, with its folders and without its files, as the ref `base`.
    ///
    /// # Errors
    /// As [`Git::run`].
    pub fn commit(&self, wanted: &str, base: &str) -> Result<(), FetchError> {
        let refs = format!("+{wanted}:{base}");
        let shallow = ["--depth=1", "--filter=blob:none", "origin", &refs];
        match self.patiently(&[&FETCH[..], &shallow].concat(), None) {
            // Servers of plain files give all or nothing. A clone that expects to fetch what it lacks would start
            // git for each object that it looks up meanwhile, and that one git again.
            Err(FetchError::Git { said }) if said.contains("shallow") => {
                self.run(&["config", "remote.origin.promisor", "false"], None)?;
                self.patiently(&[&FETCH[..], &["origin", &refs]].concat(), None)
            }
            other => other,
        }
    }

    /// The objects `ids`, in one batch.
    ///
    /// # Errors
    /// As [`Git::run`].
    pub fn files(&self, ids: &[String], wanted: &str, base: &str) -> Result<(), FetchError> {
        // Without this git tells the server that it has the commit, and the server leaves out what is in it.
        let noop = ["-c", "fetch.negotiationAlgorithm=noop"];
        let stdin = ["--filter=blob:none", "--stdin", "origin"];
        let list = ids.join("\n") + "\n";
        match self.patiently(&[&noop[..], &FETCH, &stdin].concat(), Some(&list)) {
            // Some servers leave files out and then give none alone.
            Err(FetchError::Git { said })
                if said.contains("unadvertised") || said.contains("not our ref") =>
            {
                let refs = format!("+{wanted}:{base}");
                let all = ["--refetch", "--no-filter", "--depth=1", "origin", &refs];
                self.patiently(&[&FETCH[..], &all].concat(), None)
            }
            other => other,
        }
    }

    /// Tries once more when the other side was busy or the line broke.
    pub(super) fn patiently(
        &self,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Result<(), FetchError> {
        let first = self.run(arguments, input);
        match &first {
            Err(FetchError::Git { said }) if passing(said) => {
                std::thread::sleep(PAUSE);
                self.run(arguments, input)
            }
            _ => first,
        }
    }

    /// Runs git once.
    ///
    /// # Errors
    /// [`FetchError::Git`] with what git says, [`FetchError::TooLong`], [`FetchError::NoGit`], [`FetchError::Io`].
    pub fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<(), FetchError> {
        // Files and no pipes: nobody has to read and write at the same time, and a pipe's death cannot stop git.
        let said = self.dir.join("said");
        let log = File::create(&said).map_err(fails("write", &said))?;
        let stdin = match input {
            None => Stdio::null(),
            Some(text) => {
                let list = self.dir.join("wanted");
                let mut file = File::create(&list).map_err(fails("write", &list))?;
                file.write_all(text.as_bytes())
                    .map_err(fails("write", &list))?;
                File::open(&list).map_err(fails("read", &list))?.into()
            }
        };
        let mut git = crate::repo::git();
        if !self.ask {
            git.env("GIT_TERMINAL_PROMPT", "0");
        }
        // Where it is no repository, none around it is meant.
        let around = self.dir.parent().unwrap_or(self.dir);
        git.current_dir(self.dir)
            .env("GIT_CEILING_DIRECTORIES", around)
            .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
            .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"])
            .args(arguments)
            .stdin(stdin)
            .stdout(self.lock.try_clone().map_err(fails("lock", self.dir))?)
            .stderr(log);
        let mut child = git.spawn().map_err(|source| FetchError::NoGit { source })?;
        let begun = Instant::now();
        let mut pause = Duration::from_millis(2);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if begun.elapsed() < self.patience => std::thread::sleep(pause),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(FetchError::TooLong {
                        patience: self.patience,
                    });
                }
                Err(source) => return Err(FetchError::NoGit { source }),
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        };
        match status.success() {
            true => Ok(()),
            false => {
                let text = fs::read(&said).unwrap_or_default();
                Err(FetchError::Git {
                    said: heart(&String::from_utf8_lossy(&text)),
                })
            }
        }
    }
}

/// What of git's words says why: its first complaint, and what the server said.
fn heart(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = |line: &&str| {
        let begins = ["fatal: ", "error: ", "remote: ", "ssh: ", "! "];
        // Of ssh's own words these say most, and have no such beginning.
        let holds = ["Permission denied", "Host key verification failed"];
        begins.iter().any(|word| line.starts_with(word))
            || holds.iter().any(|word| line.contains(word))
    };
    let lines: Vec<&str> = lines.collect();
    let mut parts: Vec<&str> = lines.iter().copied().filter(told).take(3).collect();
    if parts.is_empty() {
        parts.extend(lines.last());
    }
    match parts.is_empty() {
        true => "it gave no reason; the disk of the cache may be full".to_owned(),
        false => parts.join("; ").chars().take(400).collect(),
    }
}

/// Whether what `error` tells may be over by itself, so that somebody who comes later may have more luck. Git and
/// the system have words for it and no codes.
pub fn passes(error: &str) -> bool {
    let signs = [
        "No space left",
        "uota exceeded",
        "File too large",
        "Input/output error",
        "Stale file handle",
        "onnection refused",
        "ailed to connect",
        "ouldn't connect",
        "git did not finish within",
        "it gave no reason",
        "is not open; stage when it is",
        "being worked on by another",
    ];
    passing(error) || signs.iter().any(|sign| error.contains(sign))
}

fn passing(said: &str) -> bool {
    let signs = [
        "error: 429",
        "error: 502",
        "error: 503",
        "early EOF",
        "onnection reset",
        "onnection timed out",
        "hung up unexpectedly",
        "Could not resolve host",
        "Empty reply",
    ];
    signs.iter().any(|sign| said.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::heart;

    #[test]
    fn gits_first_complaint_is_told_in_one_line() {
        let text = "warning: x\nremote: gone\nfatal: repository 'https://h/a/' not found\n";
        assert_eq!(
            heart(text),
            "remote: gone; fatal: repository 'https://h/a/' not found"
        );
        let text =
            "me@h: Permission denied (publickey).\nfatal: Could not read from remote repository.\n";
        assert!(heart(text).starts_with("me@h: Permission denied (publickey).; fatal: "));
        assert_eq!(heart("no word of git\n"), "no word of git");
        assert_eq!(
            heart(""),
            "it gave no reason; the disk of the cache may be full"
        );
    }
}
