//! A run taken back: from the remotes first, then from the repositories themselves.

use std::path::Path;

use super::remote::Remote;
use super::request::Ended;
use super::revert::There;
use super::{Order, PushError, Way, address, short};
use crate::fetch::Url;
use crate::forge::Request;
use crate::journal::{Entry, Journal, PushRecord, PushState, RefRecord, RunRecord};
use crate::repo::{Repo, quoted};
use crate::stage::{Outcome, Undone, rollback as unstage};

/// Takes back everything of `run`, each on its own: one that fails never stops the others.
pub fn rollback(journal: &Journal, run: &RunRecord, order: &Order<'_>) -> Vec<Undone> {
    let way = Way::new(journal, run, order);
    let mut undone: Vec<Undone> = Vec::new();
    for made in &run.refs {
        if let Some(pushed) = &made.pushed {
            way.back(made, pushed, &mut undone);
        }
    }
    undone.extend(unstage(journal, run));
    undone
}

impl Way<'_> {
    /// What `made` has come to elsewhere, taken back: the request, what was merged, the branch.
    fn back(&self, made: &RefRecord, pushed: &PushRecord, undone: &mut Vec<Undone>) {
        let mut tell = |reference: &str, outcome: Outcome| {
            undone.push(Undone {
                repo: made.repo.clone(),
                root: made.root.clone(),
                reference: reference.to_owned(),
                outcome,
            });
        };
        let mut merged: Option<Request> = None;
        if let Some(asked) = &made.request {
            let plain = format!("pull request for {}", made.reference);
            let url = Some(asked.url.as_str()).filter(|url| !url.is_empty());
            let url = url.unwrap_or(&plain);
            match self.close(made, asked) {
                Ok(Ended::Merged(found)) => merged = Some(found),
                Ok(Ended::Closed(outcome)) => tell(url, outcome),
                Err(error) => {
                    let next = format!("depickle rollback {}, or close it there", self.run.id);
                    tell(url, refused(&error, next));
                }
            }
        }
        let place = format!("{} at {}", made.reference, pushed.url);
        if pushed.state == PushState::Deleted && merged.is_none() && made.revert.is_none() {
            return tell(&place, Outcome::AlreadyGone);
        }
        let outcome = self.undo(made, pushed, merged.as_ref(), &mut tell);
        let outcome = outcome.unwrap_or_else(|error| {
            let by_hand = by_hand(made, pushed);
            refused(
                &error,
                format!("depickle rollback {}, or: {by_hand}", self.run.id),
            )
        });
        let (repo, reference) = (made.repo.clone(), made.reference.clone());
        let (entry, recorded) = match &outcome {
            Outcome::Refused { reason, .. } => {
                let reason = reason.clone();
                let recorded = pushed.state == PushState::Kept(reason.clone());
                let entry = Entry::PushedKept {
                    repo,
                    reference,
                    reason,
                };
                (entry, recorded)
            }
            _ => (
                Entry::PushedDeleted { repo, reference },
                pushed.state == PushState::Deleted,
            ),
        };
        if !recorded {
            // What was done is done; the next rollback finds it so and records it then.
            let _ = self.record(entry);
        }
        tell(&place, outcome);
    }

    /// Reverts what was merged, which it tells, and then deletes the branch.
    fn undo(
        &self,
        made: &RefRecord,
        pushed: &PushRecord,
        told: Option<&Request>,
        tell: &mut impl FnMut(&str, Outcome),
    ) -> Result<Outcome, PushError> {
        let repo = Repo::open(Path::new(&made.repo)).ok();
        let configured = repo
            .as_ref()
            .and_then(|repo| address(repo, &pushed.remote).ok());
        // The one with the password, as long as it is the same.
        let same = configured
            .clone()
            .filter(|address| Url::masked(address) == pushed.url);
        let address = match same {
            Some(address) => address,
            None if pushed.url.contains("***@") => {
                return Err(PushError::Elsewhere {
                    before: pushed.url.clone(),
                    now: configured.map_or_else(|| "gone".to_owned(), |url| Url::masked(&url)),
                });
            }
            None => pushed.url.clone(),
        };
        let remote = Remote::new(repo.as_ref(), &pushed.tip, &address, self.order)?;
        let tip = remote.tip(&made.reference)?;
        // A branch that never was there was merged by nobody.
        if tip.is_some() || pushed.state != PushState::Announced {
            let there = There {
                repo: repo.as_ref(),
                address: &address,
                remote: &remote,
                pushed,
            };
            // Before the branch goes: what is merged is found out by it.
            if let Some((what, outcome)) = self.revert(made, &there, told)? {
                tell(&what, outcome);
            }
        }
        match tip {
            None => Ok(Outcome::AlreadyGone),
            Some(tip) if tip == pushed.tip => {
                self.wait(&address);
                self.record(Entry::DeletePushed {
                    repo: made.repo.clone(),
                    reference: made.reference.clone(),
                })?;
                remote.update(&made.reference, None, Some(&tip))?;
                Ok(Outcome::Deleted)
            }
            Some(tip) => Ok(Outcome::Refused {
                reason: format!(
                    "the branch {} has moved there from {} to {tip}",
                    short(&made.reference),
                    pushed.tip
                ),
                next: format!(
                    "git -C {0} fetch {1} {tip} && git -C {0} log --oneline {2}..{tip}; if nothing on it is needed: \
                     git -C {0} push --force-with-lease={3}:{tip} {1} :{3}",
                    quoted(place(made)),
                    quoted(name(made, pushed)),
                    pushed.tip,
                    quoted(&made.reference)
                ),
            }),
        }
    }
}

fn by_hand(made: &RefRecord, pushed: &PushRecord) -> String {
    format!(
        "git -C {} push --force-with-lease={1}:{2} {3} :{1}",
        quoted(place(made)),
        quoted(&made.reference),
        pushed.tip,
        quoted(name(made, pushed)),
    )
}

/// Where a git command about `made` runs: any repository does, as long as it is one.
pub(super) fn place(made: &RefRecord) -> &str {
    match Path::new(&made.root).is_dir() {
        true => &made.root,
        false if Path::new(&made.repo).is_dir() => &made.repo,
        false => ".",
    }
}

/// What a git command calls the remote there.
pub(super) fn name<'r>(made: &RefRecord, pushed: &'r PushRecord) -> &'r str {
    match place(made) {
        "." => &pushed.url,
        _ => &pushed.remote,
    }
}

fn refused(error: &PushError, next: String) -> Outcome {
    let reason = match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    Outcome::Refused { reason, next }
}
