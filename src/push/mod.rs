//! What a run staged, brought to where the repositories came from; and taken back from there.
//!
//! Invariant: a push makes a branch that is not there, or moves one that is where this run left it; the journal knows
//! it before git does. Nothing of a repository is executed: git runs in a repository of ours that borrows the objects,
//! so neither hooks nor programs that the repository's configuration names are ever looked for.
#![expect(
    clippy::disallowed_methods,
    reason = "runs the git program in a scratch repository"
)]

mod remote;
mod request;
mod revert;
mod undo;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use crate::fetch::{FetchError, Url};
use crate::forge::{ForgeError, Manners, Pace};
use crate::journal::{
    Entry, Journal, JournalError, PushState, RefRecord, RefState, RunRecord, Target,
};
use crate::repo::{Repo, RepoError, quoted};
use remote::Remote;

pub use request::{Forge, Opened, Opening};
pub use undo::rollback;

/// How pushing is done.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Name of the remote in repositories of this machine; a clone goes back to its URL.
    pub remote: &'a str,
    /// Whether git may ask on the terminal.
    pub ask: bool,
    /// How long git may take for one step.
    pub patience: Duration,
    /// From one write to the next at the same server.
    pub pause: Duration,
    /// The lock on the run; git holds it too.
    pub lock: &'a File,
    /// Where pull requests are.
    pub forge: Forge<'a>,
    /// What pull requests are to be, when they are to be opened.
    pub opening: Option<Opening<'a>>,
}

/// What became of one branch.
#[derive(Debug)]
pub struct Row {
    /// What the run calls the repository: [`Target::name`].
    pub target: String,
    /// The branch.
    pub branch: String,
    /// What became of it.
    pub outcome: Result<Outcome, PushError>,
}

/// A branch that is where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The remote's address, without the password that it may hold.
    pub url: String,
    /// Whether it was pushed now, and not before.
    pub now: bool,
    /// The pull request, when one was asked for.
    pub request: Option<Opened>,
}

/// What happened, and where. [`PushError::hint`] says what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PushError {
    /// The journal does not say that the branch was made.
    #[error("the branch was announced and is not known to be staged")]
    NotStaged {
        /// Id of the run.
        run: String,
    },
    /// Somebody moved or deleted the staged branch.
    #[error("the branch {branch} is not as the run left it: it is at {}", found.as_deref().unwrap_or("no commit"))]
    Moved {
        /// The branch.
        branch: String,
        /// Where it points.
        found: Option<String>,
    },
    /// The repository has no such remote.
    #[error("there is no remote {remote:?}")]
    NoRemote {
        /// The name.
        remote: String,
    },
    /// An address that git is not given.
    #[error("the address of the remote {remote:?} is none that git is given: {why}")]
    BadAddress {
        /// Name of the remote.
        remote: String,
        /// One clause.
        why: String,
    },
    /// The run pushed it to another place before.
    #[error("the run pushed it to {before}, and the remote is now {now}")]
    Elsewhere {
        /// As recorded.
        before: String,
        /// As configured.
        now: String,
    },
    /// There is a branch of that name that this run did not push.
    #[error("{url} has a branch {branch} already, at {found}")]
    Taken {
        /// The remote.
        url: String,
        /// The branch.
        branch: String,
        /// Where it points.
        found: String,
    },
    /// It was pushed, and somebody deleted it.
    #[error("it was pushed to {url}, and is no longer there: merged, or deleted")]
    Gone {
        /// The remote.
        url: String,
        /// A command that pushes it again.
        again: String,
    },
    /// Git says no.
    #[error("git could not push it: {said}")]
    Git {
        /// What git said, in one line.
        said: String,
    },
    /// The branch was pushed, and the record of it could not be completed.
    #[error("it was pushed, but the journal could not be completed: {source}")]
    Unrecorded {
        /// Id of the run.
        run: String,
        /// Why.
        source: JournalError,
    },
    /// The address does not tell which forge it is, or which repository there.
    #[error("{url} tells no forge that has pull requests")]
    NoForge {
        /// The remote.
        url: String,
    },
    /// Nobody gave a token for the forge.
    #[error("there is no token for {host}")]
    NoToken {
        /// The server of the API.
        host: String,
    },
    /// The forge says no.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// Git did not get that far.
    #[error(transparent)]
    Program(FetchError),
    /// The repository cannot be read.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The journal could not be written, so nothing was done.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl PushError {
    /// Whether the branch is where it belongs, and its pull request is not.
    pub fn is_of_request(&self) -> bool {
        matches!(
            self,
            PushError::NoForge { .. } | PushError::NoToken { .. } | PushError::Forge(_)
        )
    }

    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            PushError::NotStaged { run } => Some(format!("go on: depickle stage --resume {run}")),
            PushError::Moved { .. } => {
                Some("push it by hand if the new commit is wanted".to_owned())
            }
            PushError::NoRemote { .. } => Some("name one with --remote".to_owned()),
            PushError::BadAddress { .. } => Some("set it with `git remote set-url`".to_owned()),
            PushError::Elsewhere { .. } => {
                Some("set the remote back".to_owned())
            }
            PushError::Taken { .. } => {
                Some("delete or rename it there, or stage anew with another --branch".to_owned())
            }
            PushError::Gone { again, .. } => Some(format!("to push it again: {again}")),
            PushError::Unrecorded { run, .. } => Some(format!("then: depickle push {run}")),
            PushError::Git { said } if said.contains("stale info") => {
                Some("somebody made that branch meanwhile; look at it there".to_owned())
            }
            PushError::Git { said } => FetchError::Git { said: said.clone() }.hint(),
            PushError::NoForge { .. } => {
                Some("name it with --forge, and its API with --api".to_owned())
            }
            PushError::NoToken { .. } => Some(
                "set GITHUB_TOKEN, GH_ENTERPRISE_TOKEN, GITLAB_TOKEN or GITEA_TOKEN, whichever is its own".to_owned(),
            ),
            PushError::Forge(ForgeError::NotAllowed { .. }) => {
                Some("it wants a token that may write pull requests".to_owned())
            }
            PushError::Forge(error) => error.hint().map(str::to_owned),
            PushError::Program(error) => error.hint(),
            PushError::Repo(error) => error.hint(),
            PushError::Journal(error) => error.hint(),
        }
    }
}

/// A run on its way to the remotes, or back.
struct Way<'a> {
    journal: &'a Journal,
    run: &'a RunRecord,
    order: &'a Order<'a>,
    pace: Pace,
}

/// Pushes every branch that `run` staged, one after the other, and tells `each` what became of it. What is there
/// already is left alone, so it may be called again after any stop.
pub fn push(journal: &Journal, run: &RunRecord, order: &Order<'_>, mut each: impl FnMut(Row)) {
    let way = Way::new(journal, run, order);
    let mut left = order.opening.map_or(0, |opening| opening.most);
    for made in &run.refs {
        if made.state == RefState::Deleted && made.pushed.is_none() {
            continue;
        }
        let mut outcome = way.push(made);
        if let (Ok(done), Some(opening)) = (&mut outcome, &order.opening) {
            match way.open(made, &done.url, opening, &mut left) {
                Ok(opened) => done.request = Some(opened),
                Err(error) => outcome = Err(error),
            }
        }
        if let Err(error) = &outcome
            && !matches!(error, PushError::Journal(_) | PushError::Unrecorded { .. })
        {
            let entry = Entry::PushFailed {
                repo: made.repo.clone(),
                reference: made.reference.clone(),
                error: error.to_string(),
            };
            // The error itself is on its way to the user.
            let _ = journal.append(&run.id, entry);
        }
        each(Row {
            target: made.target.clone(),
            branch: short(&made.reference).to_owned(),
            outcome,
        });
    }
}

impl<'a> Way<'a> {
    fn new(journal: &'a Journal, run: &'a RunRecord, order: &'a Order<'a>) -> Way<'a> {
        Way {
            journal,
            run,
            order,
            pace: Pace::default(),
        }
    }

    fn record(&self, entry: Entry) -> Result<(), JournalError> {
        self.journal.append(&self.run.id, entry)
    }

    /// Waits until the server of `address` may be written to again. Nobody else is behind a path.
    fn wait(&self, address: &str) {
        let url = Url::parse(&Url::masked(address).replace("***@", "")).ok();
        if let Some(host) = url.as_ref().and_then(Url::host) {
            let host = host.rsplit('@').next().unwrap_or(host);
            self.pace.wait(host, self.order.pause);
        }
    }

    fn manners(&self) -> Manners<'_> {
        Manners {
            pace: &self.pace,
            pause: self.order.pause,
            patience: self.order.patience,
        }
    }

    fn push(&self, made: &RefRecord) -> Result<Outcome, PushError> {
        if made.state == RefState::Announced {
            let run = self.run.id.clone();
            return Err(PushError::NotStaged { run });
        }
        let repo = Repo::open(Path::new(&made.repo))?;
        let branch = short(&made.reference);
        let found = repo.branch_tip(branch)?;
        if found.as_ref() != Some(&made.new) {
            let branch = branch.to_owned();
            return Err(PushError::Moved { branch, found });
        }
        let mut all = self.run.repositories.iter();
        let asked = all.find(|one| one.target == made.target);
        let name = remote_of(asked.and_then(|one| one.asked.as_ref()), self.order.remote);
        let address = address(&repo, name)?;
        let url = Url::masked(&address);
        let before = made
            .pushed
            .as_ref()
            .filter(|pushed| pushed.state != PushState::Deleted);
        if let Some(before) = before
            && before.url != url
        {
            let before = before.url.clone();
            return Err(PushError::Elsewhere { before, now: url });
        }
        let remote = Remote::new(Some(&repo), &made.new, &address, self.order)?;
        let announcement = Entry::PushRef {
            repo: made.repo.clone(),
            reference: made.reference.clone(),
            remote: name.to_owned(),
            url: url.clone(),
            new: made.new.clone(),
        };
        let recorded = before.is_some_and(|before| before.state == PushState::Pushed);
        let tip = remote.tip(&made.reference)?;
        match &tip {
            // Pushed before a stop, or by another run of the same plan.
            Some(tip) if *tip == made.new => {
                if !recorded {
                    self.record(announcement)?;
                    self.complete(made, &made.reference)?;
                }
                let (now, request) = (false, None);
                return Ok(Outcome { url, now, request });
            }
            Some(tip) if before.is_none_or(|before| before.tip != *tip) => {
                return Err(PushError::Taken {
                    url,
                    branch: branch.to_owned(),
                    found: tip.clone(),
                });
            }
            None if recorded => {
                let again = format!(
                    "git -C {} push {} {}:{}",
                    quoted(&made.repo),
                    quoted(name),
                    made.new,
                    quoted(&made.reference)
                );
                return Err(PushError::Gone { url, again });
            }
            _ => {}
        }
        self.wait(&address);
        self.record(announcement)?;
        remote.update(&made.reference, Some(&made.new), tip.as_deref())?;
        self.complete(made, &made.reference)?;
        Ok(Outcome {
            url,
            now: true,
            request: None,
        })
    }

    /// Records that `reference`, which belongs to `made`, is pushed.
    fn complete(&self, made: &RefRecord, reference: &str) -> Result<(), PushError> {
        let done = Entry::RefPushed {
            repo: made.repo.clone(),
            reference: reference.to_owned(),
        };
        self.record(done).map_err(|source| PushError::Unrecorded {
            run: self.run.id.clone(),
            source,
        })
    }
}

/// Name of the remote: a clone has one only, the URL that it came from.
fn remote_of<'n>(asked: Option<&Target>, named: &'n str) -> &'n str {
    match asked.is_some_and(|asked| Url::is_meant(&asked.location)) {
        true => "origin",
        false => named,
    }
}

/// Where `repo` pushes to. A relative path is relative to its root.
fn address(repo: &Repo, remote: &str) -> Result<String, PushError> {
    let Some(text) = repo.remote(remote) else {
        let remote = remote.to_owned();
        return Err(PushError::NoRemote { remote });
    };
    let bad = |why: &str| PushError::BadAddress {
        remote: remote.to_owned(),
        why: why.to_owned(),
    };
    if text.starts_with('-') || text.chars().any(char::is_control) {
        return Err(bad("it starts with a dash or has control characters"));
    }
    if text.contains("://") || !repo.root().join(&text).exists() {
        return match text.contains("::") && !text.contains("://[") {
            true => Err(bad("git would run a helper for it")),
            false => Ok(text),
        };
    }
    let path = repo.root().join(&text);
    let path = path.to_str().ok_or_else(|| bad("it is not valid utf-8"))?;
    Ok(path.to_owned())
}

/// The name of a branch, of that of its ref.
fn short(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}
