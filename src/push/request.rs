//! Pull requests for what was pushed, and closing them again.

use super::{Order, PushError, branch};
use crate::forge::{Draft, Hosted, Kind, RequestState};
use crate::journal::{Entry, Journal, RefRecord, RequestRecord, RunRecord};
use crate::stage::Outcome;

/// Where requests are opened.
#[derive(Clone, Copy)]
pub struct Forge<'a> {
    /// The kind, when the server's name does not tell it.
    pub kind: Option<Kind>,
    /// Where the API begins, when it is not where that kind has it.
    pub api: Option<&'a str>,
    /// The token for a server of a kind.
    pub token: &'a dyn Fn(Kind, &str) -> Option<String>,
}

impl std::fmt::Debug for Forge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forge").field("kind", &self.kind).finish()
    }
}

/// How requests are opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Names of labels.
    pub labels: &'a [String],
    /// Names of users.
    pub reviewers: &'a [String],
    /// Whether they are drafts.
    pub draft: bool,
    /// How many are opened at most.
    pub most: usize,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It is new.
    New(String),
    /// It was there, and says now what it should.
    Updated(String),
    /// It was merged or closed, and stays so.
    Ended(String, RequestState),
    /// It changed nothing any more, and is closed.
    Empty(String),
    /// As many as were asked for are open.
    Enough,
}

/// That the request for `made` has come to `state`.
fn reached(made: &RefRecord, number: u64, url: &str, state: RequestState) -> Entry {
    Entry::RequestReached {
        repo: made.repo.clone(),
        reference: made.reference.clone(),
        number,
        url: url.to_owned(),
        state,
    }
}

/// Opens a request for `made`, which is at `url`, or brings the one that is there up to date.
pub(super) fn open(
    journal: &Journal,
    run: &RunRecord,
    made: &RefRecord,
    url: &str,
    order: &Order<'_>,
    opening: &Opening<'_>,
    left: &mut usize,
) -> Result<Opened, PushError> {
    let place = Place::of(url, order.forge)?;
    let hosted = place.hosted(order.forge)?;
    let asked = run
        .repositories
        .iter()
        .find(|one| one.target == made.target);
    let said = asked.and_then(|one| one.description.as_ref());
    let plain = (
        branch(made).to_owned(),
        format!("Made by the run {}.\n", run.id),
    );
    let (title, body) = said.unwrap_or(&plain);
    let proof = asked.and_then(|one| one.proof.as_deref());
    let body = &format!("{body}{}", proof.unwrap_or_default());
    let draft = Draft {
        branch: branch(made),
        title,
        body,
        labels: opening.labels,
        reviewers: opening.reviewers,
        draft: opening.draft,
    };
    let number = made.request.as_ref().and_then(|request| request.number);
    let found = match number {
        Some(number) => hosted.get(number)?,
        // One that has ended is an earlier run's.
        None => hosted
            .find(draft.branch)?
            .filter(|found| found.state == RequestState::Open),
    };
    let announcement = Entry::OpenRequest {
        repo: made.repo.clone(),
        reference: made.reference.clone(),
        forge: place.kind,
        api: place.api.clone(),
        path: place.path.clone(),
    };
    let Some(found) = found else {
        if *left == 0 {
            return Ok(Opened::Enough);
        }
        *left -= 1;
        journal.append(&run.id, announcement)?;
        let request = hosted.open(&draft)?;
        journal.append(
            &run.id,
            reached(made, request.number, &request.url, request.state),
        )?;
        if !opening.labels.is_empty() || !opening.reviewers.is_empty() {
            hosted.update(request.number, &draft)?;
        }
        return Ok(Opened::New(request.url));
    };
    if made.request.is_none() {
        journal.append(&run.id, announcement)?;
    }
    if found.state != RequestState::Open {
        journal.append(
            &run.id,
            reached(made, found.number, &found.url, found.state),
        )?;
        return Ok(Opened::Ended(found.url, found.state));
    }
    let known = |known: &RequestRecord| known.state == RequestState::Open;
    if !made.request.as_ref().is_some_and(known) {
        journal.append(
            &run.id,
            reached(made, found.number, &found.url, found.state),
        )?;
    }
    // Lists do not say how much a request changes.
    let whole = hosted.get(found.number)?.unwrap_or(found);
    if whole.empty {
        let why = "Nothing is left to change; closed by depickle.";
        hosted.close(whole.number, why)?;
        journal.append(
            &run.id,
            reached(made, whole.number, &whole.url, RequestState::Closed),
        )?;
        return Ok(Opened::Empty(whole.url));
    }
    hosted.update(whole.number, &draft)?;
    Ok(Opened::Updated(whole.url))
}

/// Closes the request of `made`; gives the outcome, and the commit that it was merged as.
pub(super) fn close(
    journal: &Journal,
    run: &RunRecord,
    made: &RefRecord,
    request: &RequestRecord,
    order: &Order<'_>,
) -> Result<(Outcome, Option<String>), PushError> {
    if request.state == RequestState::Closed {
        return Ok((Outcome::AlreadyGone, None));
    }
    let place = Place {
        kind: request.forge,
        api: request.api.clone(),
        path: request.path.clone(),
    };
    let hosted = place.hosted(order.forge)?;
    let found = match request.number {
        Some(number) => hosted.get(number)?,
        // Announced, and perhaps opened.
        None => hosted.find(branch(made))?,
    };
    let Some(found) = found else {
        journal.append(&run.id, reached(made, 0, "", RequestState::Closed))?;
        return Ok((Outcome::AlreadyGone, None));
    };
    if found.state == RequestState::Merged && request.number.is_some() {
        if request.state != RequestState::Merged {
            journal.append(
                &run.id,
                reached(made, found.number, &found.url, found.state),
            )?;
        }
        let commit = found.merge.clone().unwrap_or_else(|| made.new.clone());
        let refused = Outcome::Refused {
            reason: format!("{} was merged as {commit}", found.url),
            next: String::new(),
        };
        return Ok((refused, Some(commit)));
    }
    let open = found.state == RequestState::Open;
    if open {
        let why = format!("Taken back: `depickle rollback {}`.", run.id);
        hosted.close(found.number, &why)?;
    }
    journal.append(
        &run.id,
        reached(made, found.number, &found.url, RequestState::Closed),
    )?;
    let outcome = if open {
        Outcome::Closed
    } else {
        Outcome::AlreadyGone
    };
    Ok((outcome, None))
}

/// A repository on a forge.
struct Place {
    kind: Kind,
    api: String,
    path: String,
}

impl Place {
    fn of(url: &str, forge: Forge<'_>) -> Result<Place, PushError> {
        let none = || PushError::NoForge {
            url: url.to_owned(),
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("ssh", url));
        let (authority, path) = match url.contains("://") {
            true => rest.split_once('/'),
            false => rest.split_once(':'),
        }
        .ok_or_else(none)?;
        let host = authority.rsplit('@').next().unwrap_or(authority);
        // A port of ssh or git is none of the API.
        let host = match scheme.starts_with("http") {
            true => host,
            false => host.split(':').next().unwrap_or(host),
        };
        let host = host.to_ascii_lowercase();
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let is = |words: &[&str]| words.iter().any(|word| host.contains(word));
        let kind = forge.kind.or(if is(&["github"]) {
            Some(Kind::GitHub)
        } else if is(&["gitlab"]) {
            Some(Kind::GitLab)
        } else if is(&["gitea", "forgejo", "codeberg"]) {
            Some(Kind::Gitea)
        } else {
            None
        });
        let kind = kind.filter(|_| path.contains('/')).ok_or_else(none)?;
        let scheme = if scheme == "http" { "http" } else { "https" };
        let api = forge.api.map(|api| api.trim_end_matches('/').to_owned());
        Ok(Place {
            kind,
            api: api.unwrap_or_else(|| kind.api(scheme, &host)),
            path: path.to_owned(),
        })
    }

    fn hosted(&self, forge: Forge<'_>) -> Result<Hosted, PushError> {
        let rest = self.api.split_once("://").map_or("", |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or_default();
        // A token is for the server that it is sent to.
        let host = if host == "api.github.com" {
            "github.com"
        } else {
            host
        };
        let token = (forge.token)(self.kind, host).ok_or_else(|| PushError::NoToken {
            host: host.to_owned(),
        })?;
        Ok(Hosted::new(self.kind, &self.api, &self.path, &token)?)
    }
}
