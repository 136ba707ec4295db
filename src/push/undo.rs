//! A run taken back: from the remotes first, then from the repositories themselves.

use std::path::Path;

use super::remote::Remote;
use super::{Order, Pace, PushError, address, branch, request};
use crate::fetch::Url;
use crate::journal::{Entry, Journal, PushRecord, PushState, RefRecord, RunRecord};
use crate::repo::{Repo, quoted};
use crate::stage::{Outcome, Undone, rollback as unstage};

/// Takes back everything of `run`, each on its own: one that fails never stops the others.
pub fn rollback(journal: &Journal, run: &RunRecord, order: &Order<'_>) -> Vec<Undone> {
    let mut undone: Vec<Undone> = Vec::new();
    let mut pace = Pace::new(order.pause);
    for made in &run.refs {
        let Some(pushed) = &made.pushed else { continue };
        let mut merged = false;
        if let Some(asked) = &made.request {
            let outcome = match request::close(journal, run, made, asked, order) {
                Ok((Outcome::Refused { reason, .. }, commit)) => {
                    let commit = commit.unwrap_or_else(|| pushed.tip.clone());
                    let next = revert(run, made, pushed, &commit);
                    merged = true;
                    Outcome::Refused { reason, next }
                }
                Ok((outcome, _)) => outcome,
                Err(error) => Outcome::Refused {
                    reason: said(&error),
                    next: format!("depickle rollback {}, or close it there", run.id),
                },
            };
            let url = match asked.url.is_empty() {
                true => format!("pull request for {}", made.reference),
                false => asked.url.clone(),
            };
            undone.push(Undone {
                repo: made.repo.clone(),
                root: made.root.clone(),
                reference: url,
                outcome,
            });
        }
        undone.push(Undone {
            repo: made.repo.clone(),
            root: made.root.clone(),
            reference: format!("{} at {}", made.reference, pushed.url),
            outcome: undo(journal, run, made, pushed, merged, order, &mut pace),
        });
    }
    undone.extend(unstage(journal, run));
    undone
}

fn undo(
    journal: &Journal,
    run: &RunRecord,
    made: &RefRecord,
    pushed: &PushRecord,
    told: bool,
    order: &Order<'_>,
    pace: &mut Pace,
) -> Outcome {
    if pushed.state == PushState::Deleted {
        return Outcome::AlreadyGone;
    }
    let outcome = delete(journal, run, made, pushed, told, order, pace).unwrap_or_else(|error| {
        Outcome::Refused {
            reason: said(&error),
            next: format!(
                "depickle rollback {}, or: {}",
                run.id,
                by_hand(made, pushed)
            ),
        }
    });
    let (repo, reference) = (made.repo.clone(), made.reference.clone());
    let entry = match &outcome {
        Outcome::Deleted | Outcome::Closed | Outcome::AlreadyGone => {
            Entry::PushedDeleted { repo, reference }
        }
        Outcome::Refused { reason, .. } => {
            let reason = reason.clone();
            if pushed.state == PushState::Kept(reason.clone()) {
                return outcome;
            }
            Entry::PushedKept {
                repo,
                reference,
                reason,
            }
        }
    };
    // What was done is done; the next rollback finds it so and records it then.
    let _ = journal.append(&run.id, entry);
    outcome
}

fn delete(
    journal: &Journal,
    run: &RunRecord,
    made: &RefRecord,
    pushed: &PushRecord,
    told: bool,
    order: &Order<'_>,
    pace: &mut Pace,
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
    let remote = Remote::new(repo.as_ref(), &pushed.tip, &address, order)?;
    let tip = remote.tip(&made.reference)?;
    if let Some(tip) = &tip
        && *tip != pushed.tip
    {
        return Ok(Outcome::Refused {
            reason: format!(
                "the branch {} has moved there from {} to {tip}",
                branch(made),
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
        });
    }
    // A branch that never was there was merged by nobody.
    let merged = match (&tip, &pushed.state) {
        (None, PushState::Announced | PushState::DeleteAnnounced) => None,
        // The forge has said so already.
        _ if told => None,
        _ => remote.merged(&pushed.tip)?,
    };
    if tip.is_some() {
        pace.wait(&address);
        let announcement = Entry::DeletePushed {
            repo: made.repo.clone(),
            reference: made.reference.clone(),
        };
        journal.append(&run.id, announcement)?;
        if let Err(error) = remote.update(&made.reference, None, Some(&pushed.tip)) {
            // The line may have broken after the other side had done it.
            match remote.tip(&made.reference) {
                Ok(None) => {}
                _ => return Err(error),
            }
        }
    }
    Ok(match (merged, tip) {
        (Some(head), _) => Outcome::Refused {
            reason: format!("it was merged: {} is part of {head}", pushed.tip),
            next: revert(run, made, pushed, &pushed.tip),
        },
        (None, Some(_)) => Outcome::Deleted,
        (None, None) => Outcome::AlreadyGone,
    })
}

/// Commands that revert what was merged, on a branch of its own.
fn revert(run: &RunRecord, made: &RefRecord, pushed: &PushRecord, commit: &str) -> String {
    let git = format!("git -C {}", quoted(place(made)));
    let remote = quoted(name(made, pushed));
    let new = format!("depickle/revert-{}", run.id);
    format!(
        "{git} fetch {remote} HEAD && {git} switch -c {new} FETCH_HEAD && {git} revert --no-edit {commit} && {git} push {remote} {new}"
    )
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
fn place(made: &RefRecord) -> &str {
    match Path::new(&made.root).is_dir() {
        true => &made.root,
        false if Path::new(&made.repo).is_dir() => &made.repo,
        false => ".",
    }
}

/// What a git command calls the remote there.
fn name<'r>(made: &RefRecord, pushed: &'r PushRecord) -> &'r str {
    match place(made) {
        "." => &pushed.url,
        _ => &pushed.remote,
    }
}

fn said(error: &PushError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}
