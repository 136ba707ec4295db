//! Pull requests for what was pushed, and closing them again.

use super::{PushError, Way, short};
use crate::forge::{Draft, Hosted, Kind, Request, RequestState};
use crate::journal::{Entry, RefRecord, RequestRecord};
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

/// What became of a request that is to be closed.
pub(super) enum Ended {
    /// It is closed, or was, or there is none.
    Closed(Outcome),
    /// It was merged.
    Merged(Request),
}

impl Way<'_> {
    /// Records that the request for `reference`, which belongs to `made`, is what the forge has as `found`.
    fn reached(&self, made: &RefRecord, reference: &str, found: &Request) -> Result<(), PushError> {
        let entry = Entry::RequestReached {
            repo: made.repo.clone(),
            reference: reference.to_owned(),
            number: found.number,
            url: found.url.clone(),
            state: found.state,
        };
        Ok(self.record(entry)?)
    }

    /// Announces a request for `reference`, which belongs to `made`.
    fn announce(&self, made: &RefRecord, reference: &str, place: &Place) -> Result<(), PushError> {
        let entry = Entry::OpenRequest {
            repo: made.repo.clone(),
            reference: reference.to_owned(),
            forge: place.kind,
            api: place.api.clone(),
            path: place.path.clone(),
        };
        Ok(self.record(entry)?)
    }

    /// What the request for `made` says: its title and its text.
    pub(super) fn said(&self, made: &RefRecord) -> (String, String) {
        let mut all = self.run.repositories.iter();
        let asked = all.find(|one| one.target == made.target);
        let said = asked.and_then(|one| one.description.clone());
        said.unwrap_or_else(|| {
            let plain = format!("Made by the run {}.\n", self.run.id);
            (short(&made.reference).to_owned(), plain)
        })
    }

    /// Opens a request for `made`, which is at `url`, or brings the one that is there up to date.
    pub(super) fn open(
        &self,
        made: &RefRecord,
        url: &str,
        opening: &Opening<'_>,
        left: &mut usize,
    ) -> Result<Opened, PushError> {
        let place = Place::of(url, self.order.forge)?;
        let hosted = self.hosted(&place)?;
        let (title, mut body) = self.said(made);
        let mut all = self.run.repositories.iter();
        let asked = all.find(|one| one.target == made.target);
        body += asked
            .and_then(|one| one.proof.as_deref())
            .unwrap_or_default();
        let draft = Draft {
            branch: short(&made.reference),
            into: None,
            title: &title,
            body: &body,
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
        let Some(found) = found else {
            if *left == 0 {
                return Ok(Opened::Enough);
            }
            *left -= 1;
            self.announce(made, &made.reference, &place)?;
            let request = hosted.open(&draft)?;
            self.reached(made, &made.reference, &request)?;
            if !opening.labels.is_empty() || !opening.reviewers.is_empty() {
                hosted.update(request.number, &draft)?;
            }
            return Ok(Opened::New(request.url));
        };
        if made.request.is_none() {
            self.announce(made, &made.reference, &place)?;
        }
        if found.state != RequestState::Open {
            self.reached(made, &made.reference, &found)?;
            return Ok(Opened::Ended(found.url, found.state));
        }
        let known = |known: &RequestRecord| known.state == RequestState::Open;
        if !made.request.as_ref().is_some_and(known) {
            self.reached(made, &made.reference, &found)?;
        }
        // Lists do not say how much a request changes.
        let whole = hosted.get(found.number)?.unwrap_or(found);
        if whole.empty {
            let why = "Nothing is left to change; closed by depickle.";
            hosted.close(whole.number, why)?;
            let closed = Request {
                state: RequestState::Closed,
                ..whole
            };
            self.reached(made, &made.reference, &closed)?;
            return Ok(Opened::Empty(closed.url));
        }
        hosted.update(whole.number, &draft)?;
        Ok(Opened::Updated(whole.url))
    }

    /// Closes the request of `made`, unless it was merged.
    pub(super) fn close(
        &self,
        made: &RefRecord,
        request: &RequestRecord,
    ) -> Result<Ended, PushError> {
        if request.state == RequestState::Closed {
            return Ok(Ended::Closed(Outcome::AlreadyGone));
        }
        let hosted = self.hosted(&Place::from(request))?;
        let found = match request.number {
            Some(number) => hosted.get(number)?,
            // Announced, and perhaps opened.
            None => hosted.find(short(&made.reference))?,
        };
        let Some(mut found) = found else {
            let entry = Entry::RequestReached {
                repo: made.repo.clone(),
                reference: made.reference.clone(),
                number: 0,
                url: String::new(),
                state: RequestState::Closed,
            };
            self.record(entry)?;
            return Ok(Ended::Closed(Outcome::AlreadyGone));
        };
        if found.state == RequestState::Merged && request.number.is_some() {
            if request.state != RequestState::Merged {
                self.reached(made, &made.reference, &found)?;
            }
            return Ok(Ended::Merged(found));
        }
        let open = found.state == RequestState::Open;
        if open {
            let why = format!("Taken back: `depickle rollback {}`.", self.run.id);
            hosted.close(found.number, &why)?;
        }
        found.state = RequestState::Closed;
        self.reached(made, &made.reference, &found)?;
        Ok(Ended::Closed(match open {
            true => Outcome::Closed,
            false => Outcome::AlreadyGone,
        }))
    }

    /// The request for `draft`, whose branch is `reference` and reverts `made`, at the forge of `asked`; opened, if there
    /// is none. `known` is what is on record of it.
    pub(super) fn open_revert(
        &self,
        made: &RefRecord,
        asked: &RequestRecord,
        known: Option<&RequestRecord>,
        reference: &str,
        draft: &Draft<'_>,
    ) -> Result<Request, PushError> {
        let place = Place::from(asked);
        let hosted = self.hosted(&place)?;
        let found = match known.and_then(|known| known.number) {
            Some(number) => hosted.get(number)?,
            None => hosted.find(draft.branch)?,
        };
        if known.is_none() {
            self.announce(made, reference, &place)?;
        }
        let request = match found {
            Some(found) => found,
            None => hosted.open(draft)?,
        };
        let same = |known: &RequestRecord| {
            (known.number, known.state) == (Some(request.number), request.state)
        };
        if !known.is_some_and(same) {
            self.reached(made, reference, &request)?;
        }
        Ok(request)
    }

    fn hosted(&self, place: &Place) -> Result<Hosted<'_>, PushError> {
        let rest = place.api.split_once("://").map_or("", |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or_default();
        // A token is for the server that it is sent to.
        let host = if host == "api.github.com" {
            "github.com"
        } else {
            host
        };
        let token = (self.order.forge.token)(place.kind, host);
        let token = token.ok_or_else(|| PushError::NoToken {
            host: host.to_owned(),
        })?;
        let manners = self.manners();
        Ok(Hosted::new(
            place.kind,
            &place.api,
            &place.path,
            &token,
            manners,
        )?)
    }
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
}

impl From<&RequestRecord> for Place {
    fn from(request: &RequestRecord) -> Place {
        Place {
            kind: request.forge,
            api: request.api.clone(),
            path: request.path.clone(),
        }
    }
}
