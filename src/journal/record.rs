//! What a run did, as its journal tells it.
//!
//! Invariant: a record is a pure fold over entries in their order; a run that was staged, rolled back and staged
//! again is no special case.

use serde::{Deserialize, Serialize};

use super::Line;
use crate::forge::{Kind, RequestState};

/// The key of the settings of a run that wrote into files in place.
pub const IN_PLACE: &str = "in-place";

/// One repository as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// A path or a URL.
    pub location: String,
    /// The branch, tag or commit to read, when it is this repository's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The folder or file of the repository that is meant, when it is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

impl Target {
    /// The whole of `location`, at the base that is everybody's.
    pub fn new(location: &str) -> Target {
        Target {
            location: location.to_owned(),
            base: None,
            within: None,
        }
    }

    /// What tells it from the others of a run: `shop`, `https://host/shop//app@v2`.
    pub fn name(&self) -> String {
        let within = self.within.as_ref().map(|path| format!("//{path}"));
        let base = self.base.as_ref().map(|base| format!("@{base}"));
        let parts = [Some(self.location.clone()), within, base];
        parts.into_iter().flatten().collect()
    }
}

/// How far a repository of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not begun.
    Queued,
    /// Brought here from its URL.
    Cloned,
    /// Looked at: no load is within reach of an attacker, and nothing is to be changed.
    Clean,
    /// Looked at: there are loads within reach.
    Findings,
    /// The change is on a branch.
    Staged,
    /// The change is in the files.
    Applied,
    /// The branch is where the repository came from.
    Pushed,
    /// A pull request is open.
    Opened,
    /// It was merged.
    Merged,
    /// It was closed without.
    Closed,
    /// It could not be done, and why.
    Failed,
    /// Everything that was made is taken back.
    RolledBack,
}

impl State {
    /// The state as a stable word.
    pub fn word(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Cloned => "cloned",
            State::Clean => "clean",
            State::Findings => "findings",
            State::Staged => "staged",
            State::Applied => "applied",
            State::Pushed => "pushed",
            State::Opened => "opened",
            State::Merged => "merged",
            State::Closed => "closed",
            State::Failed => "failed",
            State::RolledBack => "rolled back",
        }
    }
}

/// One repository of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepoRecord {
    /// [`Target::name`].
    pub target: String,
    /// As it was asked for, where that was recorded.
    pub asked: Option<Target>,
    /// How far it has come.
    pub state: State,
    /// Why it failed, or what else belongs to the state.
    pub detail: Option<String>,
    /// Id of the commit that was looked at.
    pub commit: Option<String>,
    /// Loads within reach.
    pub findings: usize,
    /// Files to be changed.
    pub changes: usize,
    /// Whether everything in it could be looked at.
    pub complete: bool,
    /// The title and the text of a pull request for it.
    pub description: Option<(String, String)>,
    /// What `verify` found last, to follow that text.
    pub proof: Option<String>,
    /// The file that its branch is in, as long as that is in no repository.
    pub bundle: Option<BundleRecord>,
}

/// A branch in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleRecord {
    /// The file.
    pub path: String,
    /// Full name of the branch: `refs/heads/…`.
    pub reference: String,
    /// Id of its last commit.
    pub new: String,
    /// Id of the commit that it starts from.
    pub base: String,
}

impl RepoRecord {
    pub(super) fn queued(target: String, asked: Option<Target>) -> RepoRecord {
        RepoRecord {
            target,
            asked,
            state: State::Queued,
            detail: None,
            commit: None,
            findings: 0,
            changes: 0,
            complete: true,
            description: None,
            proof: None,
            bundle: None,
        }
    }

    /// Whether nothing is left to do for `stage`. What is to be changed and is not on a branch yet is left.
    pub fn is_done(&self) -> bool {
        match self.state {
            State::Queued | State::Cloned => false,
            State::Findings | State::Clean => self.changes == 0,
            _ => true,
        }
    }
}

/// One run, as its entries tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRecord {
    /// Its id.
    pub id: String,
    /// When it began: RFC 3339, UTC.
    pub started: String,
    /// Version of depickle.
    pub tool_version: String,
    /// The command line.
    pub command: Vec<String>,
    /// Every ref it made or meant to make, in the order of the announcements.
    pub refs: Vec<RefRecord>,
    /// Every file it replaced or meant to replace, in the order of the announcements.
    pub files: Vec<FileRecord>,
    /// Every repository that was asked for, in that order.
    pub repositories: Vec<RepoRecord>,
    /// The folder that relative paths start from.
    pub folder: String,
    /// The options that decide what is staged, in the form of whoever started the run.
    pub settings: serde_json::Value,
    /// Whether it came to its end.
    pub finished: bool,
}

/// A ref of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefRecord {
    /// [`Target::name`] of what it was made for.
    pub target: String,
    /// The git dir that all work trees share.
    pub repo: String,
    /// Root of the work tree.
    pub root: String,
    /// Full name: `refs/heads/…`.
    pub reference: String,
    /// Id of the commit that the run left there.
    pub new: String,
    /// Id of the commit that it starts from.
    pub base: String,
    /// What became of it.
    pub state: RefState,
    /// The same branch on a remote.
    pub pushed: Option<PushRecord>,
    /// The pull request for it.
    pub request: Option<RequestRecord>,
    /// What takes it out again where it was merged.
    pub revert: Option<RevertRecord>,
}

/// How what was merged is reverted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevertRecord {
    /// Full name of the branch that does; empty when there is none.
    pub branch: String,
    /// The branch that it was merged into.
    pub into: String,
    /// Id of the commit that reverts it.
    pub tip: String,
    /// How far it has come.
    pub state: RevertState,
    /// The pull request for it.
    pub request: Option<RequestRecord>,
}

/// What the entries say about a revert; the remote itself has the last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "kebab-case")]
pub enum RevertState {
    /// About to be pushed; after a crash it may be there or not.
    Announced,
    /// Pushed, and not merged yet.
    Pushed,
    /// Nothing is left to revert.
    Done,
    /// It was not reverted, and why.
    Refused(String),
}

/// A pull request that was opened, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// The kind of forge.
    pub forge: Kind,
    /// Where its API begins.
    pub api: String,
    /// The repository there.
    pub path: String,
    /// Its number there, once it is known.
    pub number: Option<u64>,
    /// Where people read it.
    pub url: String,
    /// How far it has come.
    pub state: RequestState,
}

impl RefRecord {
    /// Whether nothing of it is left anywhere.
    pub fn is_gone(&self) -> bool {
        let there = |pushed: &PushRecord| pushed.state != PushState::Deleted;
        let open = |request: &RequestRecord| request.state != RequestState::Closed;
        self.state == RefState::Deleted
            && !self.pushed.as_ref().is_some_and(there)
            && match &self.revert {
                Some(revert) => revert.state == RevertState::Done,
                None => !self.request.as_ref().is_some_and(open),
            }
    }
}

/// A branch that was pushed, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushRecord {
    /// Name of the remote.
    pub remote: String,
    /// Its address, without the password that it may hold.
    pub url: String,
    /// Id of the commit that the run left there.
    pub tip: String,
    /// What became of it.
    pub state: PushState,
}

/// What the entries say about a branch on a remote; the remote has the last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "kebab-case")]
pub enum PushState {
    /// About to be pushed; after a crash it may be there or not.
    Announced,
    /// There.
    Pushed,
    /// About to be deleted; after a crash it may be there or not.
    DeleteAnnounced,
    /// Gone.
    Deleted,
    /// Rollback left it alone, and why.
    Kept(String),
}

/// A file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRecord {
    /// [`Target::name`] of what it belongs to.
    pub target: String,
    /// Absolute.
    pub path: String,
    /// Digest of what it held; none if it was not there.
    pub original: Option<String>,
    /// Digest of what the run left there.
    pub new: String,
    /// When it was last modified before: since 1970 UTC.
    pub seconds: u64,
    /// What is beyond the last whole second.
    pub nanoseconds: u32,
    /// The folders that were made for it, outermost first.
    pub folders: Vec<String>,
    /// What became of it; deleted is put back, or removed where it was not there.
    pub state: RefState,
}

/// What the entries say about a ref or a file; the repository or the folder itself has the last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "kebab-case")]
pub enum RefState {
    /// About to be made; after a crash it may be there or not.
    Announced,
    /// Made.
    Created,
    /// About to be deleted; after a crash it may be there or not.
    DeleteAnnounced,
    /// Gone.
    Deleted,
    /// Rollback left it alone, and why.
    Refused(String),
}

impl RunRecord {
    /// What `lines` tell of `run`; none when there are none.
    pub fn of(run: &str, lines: impl IntoIterator<Item = Line>) -> Option<RunRecord> {
        let mut record: Option<RunRecord> = None;
        for line in lines {
            let record = record.get_or_insert_with(|| RunRecord::new(run, &line.at));
            record.fold(line.entry);
        }
        record
    }

    fn new(id: &str, started: &str) -> RunRecord {
        RunRecord {
            id: id.to_owned(),
            started: started.to_owned(),
            tool_version: String::new(),
            command: Vec::new(),
            refs: Vec::new(),
            files: Vec::new(),
            repositories: Vec::new(),
            folder: String::new(),
            settings: serde_json::Value::Null,
            finished: false,
        }
    }

    /// What became of each ref and file.
    pub fn states(&self) -> impl Iterator<Item = &RefState> {
        let files = self.files.iter().map(|made| &made.state);
        self.refs.iter().map(|made| &made.state).chain(files)
    }

    /// How many repositories are in `state`.
    pub fn count(&self, state: State) -> usize {
        let there = |one: &&RepoRecord| one.state == state;
        self.repositories.iter().filter(there).count()
    }

    /// Whether it wrote into files in place: then there is nothing to go on with.
    pub fn is_in_place(&self) -> bool {
        self.settings.is_null() || self.settings.get(IN_PLACE).is_some()
    }

    /// Whether it was rolled back, in whole or in part: then nothing is added to it any more.
    pub fn is_taken_back(&self) -> bool {
        let leaving = |made: &RefRecord| {
            let away = |pushed: &PushRecord| {
                matches!(
                    pushed.state,
                    PushState::DeleteAnnounced | PushState::Deleted
                )
            };
            made.state == RefState::DeleteAnnounced
                || made.revert.is_some()
                || made.pushed.as_ref().is_some_and(away)
        };
        self.count(State::RolledBack) > 0 || self.refs.iter().any(leaving)
    }
}
