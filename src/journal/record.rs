//! What a run did, as its journal tells it.
//!
//! Invariant: a record is a pure fold over entries in their order; a run that was staged, rolled back and staged
//! again is
//! no special case.

use serde::Serialize;

use super::Entry;

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
    /// Repositories it could not stage.
    pub failures: Vec<Failure>,
    /// Whether it came to its end.
    pub finished: bool,
}

/// A ref of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefRecord {
    /// The git dir that all work trees share.
    pub repo: String,
    /// Root of the work tree.
    pub root: String,
    /// Full name: `refs/heads/…`.
    pub reference: String,
    /// Id of the commit that the run left there.
    pub new: String,
    /// Id of that commit's parent.
    pub base: String,
    /// What became of it.
    pub state: RefState,
}

/// What the entries say about a ref; the repository itself has the last word.
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

/// A repository that a run could not stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The repository.
    pub repo: String,
    /// Why.
    pub error: String,
}

impl RunRecord {
    pub(super) fn new(id: &str, started: &str) -> RunRecord {
        RunRecord {
            id: id.to_owned(),
            started: started.to_owned(),
            tool_version: String::new(),
            command: Vec::new(),
            refs: Vec::new(),
            failures: Vec::new(),
            finished: false,
        }
    }

    /// Takes in the next entry.
    pub(super) fn fold(&mut self, entry: Entry) {
        let (repo, reference, state) = match entry {
            Entry::RunStarted {
                tool_version,
                command,
            } => {
                self.tool_version = tool_version;
                self.command = command;
                self.finished = false;
                return;
            }
            Entry::RunFinished { .. } => {
                self.finished = true;
                return;
            }
            Entry::StageFailed { repo, error } => {
                self.failures.push(Failure { repo, error });
                return;
            }
            Entry::CreateRef {
                repo,
                root,
                reference,
                new,
                base,
            } => {
                self.refs
                    .retain(|made| made.repo != repo || made.reference != reference);
                let state = RefState::Announced;
                self.refs.push(RefRecord {
                    repo,
                    root,
                    reference,
                    new,
                    base,
                    state,
                });
                return;
            }
            Entry::RefCreated { repo, reference } => (repo, reference, RefState::Created),
            Entry::DeleteRef {
                repo, reference, ..
            } => (repo, reference, RefState::DeleteAnnounced),
            Entry::RefDeleted { repo, reference } => (repo, reference, RefState::Deleted),
            Entry::RollbackRefused {
                repo,
                reference,
                reason,
            } => (repo, reference, RefState::Refused(reason)),
        };
        let made = |made: &&mut RefRecord| made.repo == repo && made.reference == reference;
        if let Some(made) = self.refs.iter_mut().find(made) {
            made.state = state;
        }
    }
}
