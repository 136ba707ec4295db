//! One remote, seen from a scratch repository that borrows the objects of the one that was staged in.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::{Order, PushError};
use crate::fetch::{FETCH, FetchError, Git, Url};
use crate::repo::Repo;

pub(super) struct Remote<'a> {
    scratch: TempDir,
    address: &'a str,
    order: &'a Order<'a>,
}

/// Hexadecimal digits of an id in a repository of the newer format.
const SHA256: usize = 64;

impl<'a> Remote<'a> {
    /// The remote at `address`; `commit` tells the format of ids. Without a repository there is nothing to push yet.
    pub(super) fn new(
        repo: Option<&Repo>,
        commit: &str,
        address: &'a str,
        order: &'a Order<'a>,
    ) -> Result<Remote<'a>, PushError> {
        let made = tempfile::Builder::new().prefix("depickle-").tempdir();
        let scratch = made.map_err(fails("make", &std::env::temp_dir()))?;
        let remote = Remote {
            scratch,
            address,
            order,
        };
        let format = match commit.len() {
            SHA256 => "--object-format=sha256",
            _ => "--object-format=sha1",
        };
        remote.run(
            &["init", "--quiet", "--bare", "--template=", format, "."],
            order.lock,
        )?;
        let dir = remote.scratch.path();
        // In a file and not in an argument, which everybody on this machine can read.
        let quoted = address.replace('\\', "\\\\").replace('"', "\\\"");
        // What a clone lacks is fetched when a push needs it.
        let origin = format!("[remote \"origin\"]\n\turl = \"{quoted}\"\n\tpromisor = true\n");
        let config = dir.join("config");
        let mut text = fs::read_to_string(&config).map_err(fails("read", &config))?;
        text.push_str(&origin);
        fs::write(&config, text).map_err(fails("write", &config))?;
        if let Some(repo) = repo {
            remote.borrow(repo)?;
            let shallow = repo.git_dir().join("shallow");
            match fs::copy(&shallow, dir.join("shallow")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(fails("read", &shallow)(error));
                }
                _ => {}
            }
        }
        Ok(remote)
    }

    /// What `repo` has is here as well.
    pub(super) fn borrow(&self, repo: &Repo) -> Result<(), PushError> {
        let info = self.scratch.path().join("objects/info");
        fs::create_dir_all(&info).map_err(fails("make", &info))?;
        let objects = repo.git_dir().join("objects");
        let line = format!("{}\n", objects.display());
        fs::write(info.join("alternates"), line).map_err(fails("write", &info))
    }

    /// What is here, as a repository.
    pub(super) fn here(&self) -> Result<Repo, PushError> {
        Ok(Repo::open(self.scratch.path())?)
    }

    /// The commit that `wanted` names there, with its folders and without its files, as the ref `name`.
    pub(super) fn bring(&self, wanted: &str, name: &str) -> Result<(), PushError> {
        let done = self.git(self.order.lock).commit(wanted, name);
        done.map_err(|error| self.told(error))
    }

    /// The files `ids` of what was brought as `name`, which `wanted` names there.
    pub(super) fn files(&self, ids: &[String], wanted: &str, name: &str) -> Result<(), PushError> {
        if ids.is_empty() {
            return Ok(());
        }
        let done = self.git(self.order.lock).files(ids, wanted, name);
        done.map_err(|error| self.told(error))
    }

    /// Where `reference` points there; none when there is none.
    pub(super) fn tip(&self, reference: &str) -> Result<Option<String>, PushError> {
        let told = self.scratch.path().join("told");
        let output = File::create(&told).map_err(fails("write", &told))?;
        self.run(&["ls-remote", "origin", reference], &output)?;
        let text = fs::read_to_string(&told).map_err(fails("read", &told))?;
        let rows = text.lines().filter_map(|line| line.split_once('\t'));
        let mut tips = rows.filter(|(_, name)| *name == reference);
        Ok(tips.next().map(|(id, _)| id.to_owned()))
    }

    /// The name of the branch that is meant where none is named.
    pub(super) fn main(&self) -> Result<Option<String>, PushError> {
        let told = self.scratch.path().join("told");
        let output = File::create(&told).map_err(fails("write", &told))?;
        self.run(&["ls-remote", "--symref", "origin", "HEAD"], &output)?;
        let text = fs::read_to_string(&told).map_err(fails("read", &told))?;
        let named = text
            .lines()
            .find_map(|line| line.strip_prefix("ref: refs/heads/"));
        Ok(named.and_then(|line| Some(line.split_once('\t')?.0.to_owned())))
    }

    /// Makes `reference` point to `new` there, or deletes it, if it is `expected` now.
    pub(super) fn update(
        &self,
        reference: &str,
        new: Option<&str>,
        expected: Option<&str>,
    ) -> Result<(), PushError> {
        let lease = format!(
            "--force-with-lease={reference}:{}",
            expected.unwrap_or_default()
        );
        let refs = format!("{}:{reference}", new.unwrap_or_default());
        let done = self.run(
            &[
                "push",
                "--quiet",
                "--atomic",
                // A clone of a part lacks what a thin pack would be made against.
                "--no-thin",
                "--no-verify",
                "--no-follow-tags",
                "--recurse-submodules=no",
                &lease,
                "origin",
                &refs,
            ],
            self.order.lock,
        );
        match done {
            // The line may have broken after the other side had done it.
            Err(_) if self.tip(reference).is_ok_and(|tip| tip.as_deref() == new) => Ok(()),
            done => done,
        }
    }

    /// Whether `commit` is in the history of `reference` there.
    pub(super) fn contains(&self, reference: &str, commit: &str) -> Result<bool, PushError> {
        let refs = format!("+{reference}:refs/depickle/into");
        let history = ["--filter=tree:0", "origin", &refs];
        self.run(&[&FETCH[..], &history].concat(), self.order.lock)?;
        let told = self.scratch.path().join("told");
        let output = File::create(&told).map_err(fails("write", &told))?;
        let ours = format!("--contains={commit}");
        match self.run(&["for-each-ref", &ours, "refs/depickle/into"], &output) {
            // A commit that is not there is in nobody's history.
            Err(PushError::Git { .. }) => Ok(false),
            Err(error) => Err(error),
            Ok(()) => {
                let text = fs::read_to_string(&told).map_err(fails("read", &told))?;
                Ok(!text.is_empty())
            }
        }
    }

    fn git<'g>(&'g self, output: &'g File) -> Git<'g> {
        Git {
            dir: self.scratch.path(),
            lock: output,
            ask: self.order.ask,
            patience: self.order.patience,
        }
    }

    /// `error` without what the address may hold.
    fn told(&self, error: FetchError) -> PushError {
        match error {
            FetchError::Git { said } => PushError::Git {
                said: said.replace(self.address, &Url::masked(self.address)),
            },
            other => PushError::Program(other),
        }
    }

    fn run(&self, arguments: &[&str], output: &File) -> Result<(), PushError> {
        let done = self.git(output).run(arguments, None);
        done.map_err(|error| self.told(error))
    }
}

fn fails(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PushError {
    let path = path.to_owned();
    move |source| {
        PushError::Program(FetchError::Io {
            action,
            path,
            source,
        })
    }
}
