//! Entries into a record, one after the other.
//!
//! Invariant: a repository stands where the last of what was made for it stands, and is rolled back once nothing of
//! that is left.

use super::Entry;
use super::record::{
    BundleRecord, FileRecord, PushRecord, PushState, RefRecord, RefState, RepoRecord,
    RequestRecord, RevertRecord, RevertState, RunRecord, State, Target,
};
use crate::forge::RequestState;

/// What a repository hears of something that was made for it.
enum News {
    /// It has come that far.
    Reached(State),
    /// It is gone.
    Gone,
    /// It is not taken back, and why.
    Left(String),
    /// Something is about to happen.
    Begun,
}

impl RunRecord {
    /// Takes in the next entry.
    pub(super) fn fold(&mut self, entry: Entry) {
        match entry {
            Entry::RunStarted {
                tool_version,
                command,
                folder,
                targets,
                settings,
            } => {
                self.tool_version = tool_version;
                self.command = command;
                self.folder = folder;
                self.settings = settings;
                self.finished = false;
                let queued = |asked: Target| RepoRecord::queued(asked.name(), Some(asked));
                self.repositories = targets.into_iter().map(queued).collect();
            }
            Entry::RunResumed { again } => {
                self.finished = false;
                for target in again {
                    let one = self.repository(&target);
                    *one = RepoRecord::queued(target, one.asked.take());
                }
            }
            Entry::RunFinished { .. } => self.finished = true,
            Entry::StateReached {
                target,
                state,
                detail,
            } => {
                let one = self.repository(&target);
                one.state = state;
                one.detail = detail;
            }
            Entry::Looked {
                target,
                commit,
                findings,
                changes,
                complete,
            } => {
                let one = self.repository(&target);
                one.state = match findings {
                    0 => State::Clean,
                    _ => State::Findings,
                };
                one.detail = None;
                one.commit = commit;
                one.findings = findings;
                one.changes = changes;
                one.complete = complete;
            }
            Entry::StageFailed {
                target,
                repo,
                error,
            } => {
                let target = if target.is_empty() { repo } else { target };
                let one = self.repository(&target);
                one.state = State::Failed;
                one.detail = Some(error);
                // What failed was not made: the branch of that name is somebody else's.
                for made in &mut self.refs {
                    if made.target == target && made.state == RefState::Announced {
                        made.state = RefState::Deleted;
                    }
                }
            }
            Entry::CreateRef {
                target,
                repo,
                root,
                reference,
                new,
                base,
            } => {
                let same = |made: &RefRecord| made.repo == repo && made.reference == reference;
                let before = self.refs.iter().position(same);
                // What was pushed stays pushed.
                let before = before.map(|at| self.refs.remove(at));
                let (pushed, request, revert) = before.map_or((None, None, None), |made| {
                    (made.pushed, made.request, made.revert)
                });
                let target = match target.is_empty() {
                    true => root.clone(),
                    false => target,
                };
                self.repository(&target);
                self.refs.push(RefRecord {
                    target,
                    repo,
                    root,
                    reference,
                    new,
                    base,
                    state: RefState::Announced,
                    pushed,
                    request,
                    revert,
                });
            }
            Entry::RefCreated { repo, reference } => {
                self.turn(&repo, &reference, RefState::Created);
            }
            Entry::DeleteRef {
                repo, reference, ..
            } => self.turn(&repo, &reference, RefState::DeleteAnnounced),
            Entry::RefDeleted { repo, reference } => {
                self.turn(&repo, &reference, RefState::Deleted);
            }
            Entry::RollbackRefused {
                repo,
                reference,
                reason,
            } => self.turn(&repo, &reference, RefState::Refused(reason)),
            Entry::WriteFile {
                target,
                path,
                original,
                new,
                seconds,
                nanoseconds,
            } => {
                self.repository(&target);
                let before = self.files.iter().position(|made| made.path == path);
                let before = before.map(|at| self.files.remove(at));
                let made = FileRecord {
                    target,
                    path,
                    original: Some(original),
                    new,
                    seconds,
                    nanoseconds,
                    folders: Vec::new(),
                    state: RefState::Announced,
                };
                // Written twice by one run: what it was at first counts.
                self.files.push(match before {
                    Some(first) if Some(&first.new) == made.original.as_ref() => FileRecord {
                        new: made.new,
                        state: made.state,
                        ..first
                    },
                    _ => made,
                });
            }
            Entry::MakeFile {
                target,
                path,
                new,
                folders,
            } => {
                self.repository(&target);
                self.files.retain(|made| made.path != path);
                self.files.push(FileRecord {
                    target,
                    path,
                    original: None,
                    new,
                    seconds: 0,
                    nanoseconds: 0,
                    folders,
                    state: RefState::Announced,
                });
            }
            Entry::FileWritten { path } => self.turn_file(&path, RefState::Created),
            Entry::RestoreFile { path } => self.turn_file(&path, RefState::DeleteAnnounced),
            Entry::FileRestored { path } => self.turn_file(&path, RefState::Deleted),
            Entry::RestoreRefused { path, reason } => {
                self.turn_file(&path, RefState::Refused(reason));
            }
            Entry::PushRef {
                repo,
                reference,
                remote,
                url,
                new,
            } => {
                if let Some(made) = self.made(&repo, &reference) {
                    made.pushed = Some(PushRecord {
                        remote,
                        url,
                        tip: new,
                        state: PushState::Announced,
                    });
                }
            }
            Entry::RefPushed { repo, reference } => match self.reverting(&repo, &reference) {
                Some(_) => self.revert_turns(&repo, &reference, RevertState::Pushed),
                None => self.move_on(&repo, &reference, PushState::Pushed),
            },
            Entry::PushFailed {
                repo,
                reference,
                error,
            } => {
                let target = self.made(&repo, &reference).map(|made| made.target.clone());
                if let Some(target) = target {
                    let one = self.repository(&target);
                    let what = match one.state {
                        State::Staged => "not pushed",
                        _ => "no pull request",
                    };
                    one.detail = Some(format!("{what}: {error}"));
                }
            }
            Entry::Described {
                target,
                title,
                body,
            } => {
                let one = self.repository(&target);
                one.description = Some((title, body));
                // It was another branch that was verified.
                one.proof = None;
            }
            Entry::Bundled {
                target,
                repo,
                reference,
                path,
                new,
                base,
            } => {
                self.refs
                    .retain(|made| made.repo != repo || made.reference != reference);
                let one = self.repository(&target);
                (one.state, one.detail) = (State::Staged, Some(format!("in {path}")));
                one.bundle = Some(BundleRecord {
                    path,
                    reference,
                    new,
                    base,
                });
            }
            Entry::Reported { .. } => {}
            Entry::Verified { target, proof } => self.repository(&target).proof = Some(proof),
            Entry::OpenRequest {
                repo,
                reference,
                forge,
                api,
                path,
            } => {
                let request = Some(RequestRecord {
                    forge,
                    api,
                    path,
                    number: None,
                    url: String::new(),
                    state: RequestState::Announced,
                });
                if let Some(made) = self.made(&repo, &reference) {
                    made.request = request;
                } else if let Some((_, revert)) = self.reverting(&repo, &reference) {
                    revert.request = request;
                }
            }
            Entry::RequestReached {
                repo,
                reference,
                number,
                url,
                state,
            } => self.request_reached(&repo, &reference, number, url, state),
            Entry::DeletePushed { repo, reference } => {
                self.move_on(&repo, &reference, PushState::DeleteAnnounced);
            }
            Entry::PushedDeleted { repo, reference } => {
                self.move_on(&repo, &reference, PushState::Deleted);
            }
            Entry::PushedKept {
                repo,
                reference,
                reason,
            } => self.move_on(&repo, &reference, PushState::Kept(reason)),
            Entry::RevertRef {
                repo,
                reference,
                branch,
                into,
                new,
            } => {
                let Some(made) = self.made(&repo, &reference) else {
                    return;
                };
                made.revert = Some(RevertRecord {
                    branch,
                    into,
                    tip: new,
                    state: RevertState::Announced,
                    request: None,
                });
                let target = made.target.clone();
                self.repository(&target).state = State::Merged;
            }
            Entry::RevertRefused {
                repo,
                reference,
                reason,
            } => self.revert_turns(&repo, &reference, RevertState::Refused(reason)),
            Entry::Reverted { repo, reference } => {
                self.revert_turns(&repo, &reference, RevertState::Done);
            }
        }
    }

    /// The ref comes to `state`.
    fn turn(&mut self, repo: &str, reference: &str, state: RefState) {
        if let Some(made) = self.made(repo, reference) {
            made.state = state.clone();
            let target = made.target.clone();
            self.hears(&target, news(state));
        }
    }

    /// The file comes to `state`; what it belongs to is applied only when all its files are.
    fn turn_file(&mut self, path: &str, state: RefState) {
        if let Some(made) = self.files.iter_mut().find(|made| made.path == path) {
            made.state = state.clone();
            let target = made.target.clone();
            match state {
                RefState::Created => {}
                state => self.hears(&target, news(state)),
            }
        }
    }

    /// The branch on the remote comes to `state`.
    fn move_on(&mut self, repo: &str, reference: &str, state: PushState) {
        let Some(made) = self.made(repo, reference) else {
            return;
        };
        let Some(pushed) = &mut made.pushed else {
            return;
        };
        pushed.state = state.clone();
        let target = made.target.clone();
        self.hears(
            &target,
            match state {
                PushState::Pushed => News::Reached(State::Pushed),
                PushState::Deleted => News::Gone,
                PushState::Kept(reason) => News::Left(reason),
                PushState::Announced | PushState::DeleteAnnounced => News::Begun,
            },
        );
    }

    /// What reverts `reference`, or is `reference`, comes to `state`.
    fn revert_turns(&mut self, repo: &str, reference: &str, state: RevertState) {
        let (target, branch) = if let Some((target, revert)) = self.reverting(repo, reference) {
            revert.state = state.clone();
            (target, revert.branch.clone())
        } else if let Some(made) = self.made(repo, reference) {
            let target = made.target.clone();
            let revert = made.revert.get_or_insert_with(|| RevertRecord {
                branch: String::new(),
                into: String::new(),
                tip: String::new(),
                state: RevertState::Announced,
                request: None,
            });
            revert.state = state.clone();
            (target, revert.branch.clone())
        } else {
            return;
        };
        self.repository(&target).state = State::Merged;
        match state {
            RevertState::Pushed => self.waits(&target, &branch),
            RevertState::Done => self.hears(&target, News::Gone),
            RevertState::Refused(reason) => self.hears(&target, News::Left(reason)),
            RevertState::Announced => {}
        }
    }

    /// What was merged is to be reverted by `what`, once somebody merges that.
    fn waits(&mut self, target: &str, what: &str) {
        self.repository(target).detail = Some(format!("to be reverted by {what}"));
    }

    fn request_reached(
        &mut self,
        repo: &str,
        reference: &str,
        number: u64,
        url: String,
        state: RequestState,
    ) {
        let reached = |request: &mut RequestRecord| {
            request.number = Some(number);
            request.url.clone_from(&url);
            request.state = state;
        };
        if let Some((target, revert)) = self.reverting(repo, reference) {
            revert.request.as_mut().map(reached);
            self.waits(&target, &url);
            return;
        }
        let Some(made) = self.made(repo, reference) else {
            return;
        };
        let target = made.target.clone();
        let Some(request) = &mut made.request else {
            return;
        };
        reached(request);
        let one = self.repository(&target);
        let reached = match state {
            RequestState::Open => State::Opened,
            RequestState::Merged => State::Merged,
            RequestState::Closed | RequestState::Announced => State::Closed,
        };
        (one.state, one.detail) = (reached, Some(url).filter(|url| !url.is_empty()));
        self.settle(&target);
    }

    /// `target` stands where `news` says.
    fn hears(&mut self, target: &str, news: News) {
        let one = self.repository(target);
        match news {
            News::Reached(state) => (one.state, one.detail) = (state, None),
            News::Gone => self.settle(target),
            News::Left(reason) => one.detail = Some(format!("not rolled back: {reason}")),
            News::Begun => {}
        }
    }

    /// `target` is rolled back once nothing that was made for it is left.
    fn settle(&mut self, target: &str) {
        let left = |made: &RefRecord| made.target == target && !made.is_gone();
        let written = |made: &FileRecord| made.target == target && made.state != RefState::Deleted;
        if self.refs.iter().any(left) || self.files.iter().any(written) {
            return;
        }
        let one = self.repository(target);
        if one.state != State::Failed {
            (one.state, one.detail) = (State::RolledBack, None);
        }
    }

    fn made(&mut self, repo: &str, reference: &str) -> Option<&mut RefRecord> {
        let made = |made: &&mut RefRecord| made.repo == repo && made.reference == reference;
        self.refs.iter_mut().find(made)
    }

    /// The revert whose own branch is `reference`, and what it belongs to.
    fn reverting(&mut self, repo: &str, reference: &str) -> Option<(String, &mut RevertRecord)> {
        let here = self.refs.iter_mut().filter(|made| made.repo == repo);
        let mut all = here.filter_map(|made| Some((made.target.clone(), made.revert.as_mut()?)));
        all.find(|(_, revert)| revert.branch == reference)
    }

    fn repository(&mut self, target: &str) -> &mut RepoRecord {
        let known = self.repositories.iter().position(|r| r.target == target);
        let at = known.unwrap_or_else(|| {
            let new = RepoRecord::queued(target.to_owned(), None);
            self.repositories.push(new);
            self.repositories.len() - 1
        });
        &mut self.repositories[at]
    }
}

fn news(state: RefState) -> News {
    match state {
        RefState::Created => News::Reached(State::Staged),
        RefState::Deleted => News::Gone,
        RefState::Refused(reason) => News::Left(reason),
        RefState::Announced | RefState::DeleteAnnounced => News::Begun,
    }
}
