//! What was merged, taken out again: on a branch of its own, from the tip of the branch that it was merged into, with a
//! pull request where there was one for it.
//!
//! Invariant: nothing but the run's own change is taken out, however it was merged; where others went on with it, or
//! where it is not certain that it is there, the command is told instead.

use super::remote::Remote;
use super::undo::{name, place};
use super::{PushError, Way, short};
use crate::forge::{Draft, Request, RequestState};
use crate::journal::{Entry, PushRecord, RefRecord, RequestRecord, RevertRecord, RevertState};
use crate::repo::{Repo, Without, quoted};
use crate::stage::Outcome;

/// The remote that a branch was pushed to.
pub(super) struct There<'a> {
    /// The repository that it was staged in, if it is still there.
    pub repo: Option<&'a Repo>,
    pub address: &'a str,
    pub remote: &'a Remote<'a>,
    pub pushed: &'a PushRecord,
}

/// What was merged, and where.
struct Merged<'a> {
    made: &'a RefRecord,
    there: &'a There<'a>,
    told: Option<&'a Request>,
    /// Full name of the branch that it was merged into, or HEAD.
    into: String,
    /// Whether the commit itself is in its history, and no copy of it.
    part: bool,
}

/// Where the tip of the branch that it was merged into stands in the scratch repository.
const INTO: &str = "refs/depickle/into";

impl Way<'_> {
    /// Reverts `made` if it was merged, and tells of what and how; `told` is what the forge says of its request when that
    /// was merged. Without a request it counts as merged, too, when the very change is found there (a squash).
    pub(super) fn revert(
        &self,
        made: &RefRecord,
        there: &There<'_>,
        told: Option<&Request>,
    ) -> Result<Option<(String, Outcome)>, PushError> {
        let known = made.revert.as_ref();
        let into = match known.map(|known| known.into.clone()) {
            Some(into) if !into.is_empty() => into,
            _ => {
                let asked = told.and_then(|told| told.into.clone());
                let main = match asked {
                    Some(branch) => Some(branch),
                    None => there.remote.main()?,
                };
                main.map_or("HEAD".to_owned(), |name| format!("refs/heads/{name}"))
            }
        };
        let tip = there.remote.tip(&into)?;
        let sure = told.is_some() || known.is_some();
        if !sure && tip.as_ref().is_none_or(|tip| *tip == made.base) {
            return Ok(None);
        }
        let what = match told {
            Some(told) => told.url.clone(),
            None => format!("{into} at {}", there.pushed.url),
        };
        let part = tip.is_some() && there.remote.contains(&into, &made.new)?;
        // Who asks for a request is told by the forge whether it was merged.
        if !sure && !part && made.request.is_some() {
            return Ok(None);
        }
        let merged = Merged {
            made,
            there,
            told,
            into,
            part,
        };
        let outcome = match tip {
            Some(_) => self.taken_out(&merged)?,
            None => Some(merged.refused("it was merged into a branch that is no longer there")),
        };
        let Some(outcome) = outcome else {
            return Ok(None);
        };
        let (repo, reference) = (made.repo.clone(), made.reference.clone());
        let state = known.map(|known| &known.state);
        match &outcome {
            Outcome::Refused { reason, .. } => {
                let reason = reason.clone();
                if state != Some(&RevertState::Refused(reason.clone())) {
                    self.record(Entry::RevertRefused {
                        repo,
                        reference,
                        reason,
                    })?;
                }
            }
            Outcome::AlreadyGone if state != Some(&RevertState::Done) => {
                self.record(Entry::Reverted { repo, reference })?;
            }
            _ => {}
        }
        Ok(Some((what, outcome)))
    }

    fn taken_out(&self, merged: &Merged<'_>) -> Result<Option<Outcome>, PushError> {
        let Merged { made, there, .. } = merged;
        let known = made.revert.as_ref();
        // With nobody's objects, so that the server sends all that it has and counts on none.
        let scratch = Remote::new(None, &made.new, there.address, self.order)?;
        scratch.bring(&merged.into, INTO)?;
        if let Some(repo) = there.repo {
            scratch.borrow(repo)?;
        }
        let here = scratch.here()?;
        for (id, name) in [(&made.base, "base"), (&made.new, "new")] {
            if !here.holds(id) {
                scratch.bring(id, &format!("refs/depickle/{name}"))?;
            }
        }
        let tip = here.resolve(Some(INTO))?.commit;
        let lacking = here.lacking(&made.base, &made.new, &tip)?;
        scratch.files(&lacking, &merged.into, INTO)?;
        let sure = merged.part || merged.told.is_some() || known.is_some();
        let (tree, whole) = match here.without(&made.base, &made.new, &tip)? {
            Without::Tree { whole, .. } if !whole && !sure => {
                let reason = "part of what it changes is there, and nobody says how it came there";
                return Ok(Some(merged.refused(reason)));
            }
            Without::Same | Without::Tangled(_) if !sure => return Ok(None),
            Without::Same => {
                self.clear_away(merged, known)?;
                return Ok(Some(Outcome::AlreadyGone));
            }
            Without::Tangled(files) => {
                let reason = format!(
                    "it was merged, and others went on where it was changed: {}",
                    files.join(", ")
                );
                return Ok(Some(merged.refused(&reason)));
            }
            Without::Tree { id, whole } => (id, whole),
        };
        let announced = known.filter(|known| !known.branch.is_empty());
        let branch = match announced {
            Some(known) => known.branch.clone(),
            None => format!("{}-revert-{}", made.reference, self.run.id),
        };
        match (
            there.remote.tip(&branch)?,
            announced.map(|known| &known.state),
        ) {
            (Some(_), Some(RevertState::Announced)) => self.complete(made, &branch)?,
            // Others may have gone on with it; that it is there is all that was promised.
            (Some(_), Some(_)) => {}
            (None, Some(RevertState::Pushed | RevertState::Refused(_))) => {
                let reason = format!(
                    "it was merged, and {} that reverts it was deleted",
                    short(&branch)
                );
                return Ok(Some(merged.refused(&reason)));
            }
            (None, _) if !merged.part && !whole => {
                let reason = "it was merged, but not as it was made";
                return Ok(Some(merged.refused(reason)));
            }
            (found, _) => {
                let commit = here.revert(&made.new, &tip, &tree, |subject| {
                    let mut message = format!("Revert \"{subject}\"\n\nThis reverts {}", made.new);
                    if let Some(merge) = merged.told.and_then(|told| told.merge.as_ref()) {
                        message += &format!(", merged as {merge}");
                    }
                    message + &format!(".\n\nDepickle-Run: {}\n", self.run.id)
                })?;
                if found.as_ref().is_some_and(|found| *found != commit) {
                    return Err(PushError::Taken {
                        url: there.pushed.url.clone(),
                        branch: short(&branch).to_owned(),
                        found: found.unwrap_or_default(),
                    });
                }
                self.wait(there.address);
                self.record(Entry::RevertRef {
                    repo: made.repo.clone(),
                    reference: made.reference.clone(),
                    branch: branch.clone(),
                    into: merged.into.clone(),
                    new: commit.clone(),
                })?;
                scratch.update(&branch, Some(&commit), found.as_deref())?;
                self.complete(made, &branch)?;
            }
        }
        let known = announced.and_then(|known| known.request.as_ref());
        match &made.request {
            Some(asked) => self.asked_for(merged, asked, known, &branch).map(Some),
            None => Ok(Some(Outcome::Reverted {
                by: format!("{branch} at {}", there.pushed.url),
            })),
        }
    }

    /// A request for `branch`, which reverts what that of `asked` brought.
    fn asked_for(
        &self,
        merged: &Merged<'_>,
        asked: &RequestRecord,
        known: Option<&RequestRecord>,
        branch: &str,
    ) -> Result<Outcome, PushError> {
        let title = format!("Revert \"{}\"", self.said(merged.made).0);
        let body = format!(
            "Takes back {}, which the run {} made: its own change, and nothing that was changed since.\n\n\
             Once this is merged, the loads that it made safe are as they were before.\n",
            asked.url, self.run.id
        );
        let draft = Draft {
            branch: short(branch),
            into: merged.into.strip_prefix("refs/heads/"),
            title: &title,
            body: &body,
            labels: &[],
            reviewers: &[],
            draft: false,
        };
        let request = self.open_revert(merged.made, asked, known, branch, &draft)?;
        Ok(match request.state {
            RequestState::Open | RequestState::Announced => Outcome::Reverted { by: request.url },
            RequestState::Closed => merged.refused(&format!("{} was closed", request.url)),
            RequestState::Merged => merged.refused(&format!(
                "{} was merged, and it is there again",
                request.url
            )),
        })
    }

    /// Deletes the branch that reverted it, if it is as it was pushed.
    fn clear_away(
        &self,
        merged: &Merged<'_>,
        known: Option<&RevertRecord>,
    ) -> Result<(), PushError> {
        let remote = merged.there.remote;
        let Some(known) = known.filter(|known| !known.branch.is_empty()) else {
            return Ok(());
        };
        match remote.tip(&known.branch)? {
            Some(tip) if tip == known.tip => {
                self.wait(merged.there.address);
                remote.update(&known.branch, None, Some(&tip))
            }
            _ => Ok(()),
        }
    }
}

impl Merged<'_> {
    /// `reason`, with the commands that revert it by hand on a branch of its own.
    fn refused(&self, reason: &str) -> Outcome {
        let made = self.made;
        let git = format!("git -C {}", quoted(place(made)));
        let remote = quoted(name(made, self.there.pushed));
        let new = quoted(short(&made.reference)) + "-revert";
        let squash = self.told.and_then(|told| told.merge.clone());
        let range = match squash {
            Some(squash) if !self.part => squash,
            _ => format!("{}..{}", made.base, made.new),
        };
        Outcome::Refused {
            reason: reason.to_owned(),
            next: format!(
                "{git} fetch {remote} {} && {git} switch -c {new} FETCH_HEAD && {git} revert --no-edit {range} && \
                 {git} push {remote} {new}",
                quoted(&self.into)
            ),
        }
    }
}
