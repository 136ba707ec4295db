//! What is recorded, one kind of line for each thing that is done or about to be.
//!
//! Invariant: entries are added to, and what one of an older version says stays readable.

use serde::{Deserialize, Serialize};

use super::record::{State, Target};
use crate::forge::{Kind, RequestState};

/// What is recorded. In a file each is one line: `{"at": …, "run": …, "entry": "create-ref", …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A run begins.
    RunStarted {
        /// Version of depickle.
        tool_version: String,
        /// The command line.
        command: Vec<String>,
        /// The folder that relative paths start from.
        #[serde(default)]
        folder: String,
        /// Every repository that was asked for.
        #[serde(default)]
        targets: Vec<Target>,
        /// The options that decide what is staged.
        #[serde(default)]
        settings: serde_json::Value,
    },
    /// A run goes on.
    RunResumed {
        /// [`Target::name`] of those that are done anew.
        again: Vec<String>,
    },
    /// A repository came to a state that no other entry tells.
    StateReached {
        /// [`Target::name`].
        target: String,
        /// The state.
        state: State,
        /// What belongs to it: a path, an address, a reason.
        detail: Option<String>,
    },
    /// A repository was analysed.
    Looked {
        /// [`Target::name`].
        target: String,
        /// Id of the commit that was read.
        commit: Option<String>,
        /// Loads within reach of an attacker.
        findings: usize,
        /// Files to be changed.
        changes: usize,
        /// Whether everything in it could be read.
        complete: bool,
    },
    /// What a repository's change is, for those who are asked to take it.
    Described {
        /// [`Target::name`].
        target: String,
        /// One line.
        title: String,
        /// Markdown.
        body: String,
    },
    /// What `verify` found of a repository's branch.
    Verified {
        /// [`Target::name`].
        target: String,
        /// A section of Markdown.
        proof: String,
    },
    /// Announces that a ref is about to be made.
    CreateRef {
        /// [`Target::name`] of what it is made for.
        #[serde(default)]
        target: String,
        /// The git dir that all work trees share.
        repo: String,
        /// Root of the work tree, for messages.
        root: String,
        /// Full name: `refs/heads/…`.
        reference: String,
        /// Id of the commit it will point to.
        new: String,
        /// Id of the commit that it starts from.
        base: String,
    },
    /// The ref was made.
    RefCreated {
        /// As in the announcement.
        repo: String,
        /// As in the announcement.
        reference: String,
    },
    /// One repository could not be staged.
    StageFailed {
        /// [`Target::name`].
        #[serde(default)]
        target: String,
        /// Where it is, as far as that is known.
        repo: String,
        /// Why.
        error: String,
    },
    /// Announces that a ref is about to be deleted.
    DeleteRef {
        /// The git dir.
        repo: String,
        /// Full name.
        reference: String,
        /// Where it must point.
        expected: String,
    },
    /// The ref is gone: deleted now, or found to be absent.
    RefDeleted {
        /// The git dir.
        repo: String,
        /// Full name.
        reference: String,
    },
    /// The ref was left alone.
    RollbackRefused {
        /// The git dir.
        repo: String,
        /// Full name.
        reference: String,
        /// Why.
        reason: String,
    },
    /// Announces that a file is about to be replaced.
    WriteFile {
        /// [`Target::name`] of what it belongs to.
        target: String,
        /// Absolute.
        path: String,
        /// Digest of what it holds, by which [`Journal::kept`] gives it.
        original: String,
        /// Digest of what it will hold.
        new: String,
        /// When it was last modified: since 1970 UTC.
        seconds: u64,
        /// What is beyond the last whole second.
        nanoseconds: u32,
    },
    /// Announces that a file is about to be made.
    MakeFile {
        /// [`Target::name`] of what it belongs to.
        target: String,
        /// Absolute.
        path: String,
        /// Digest of what it will hold.
        new: String,
        /// The folders that are made for it, outermost first.
        folders: Vec<String>,
    },
    /// The file was replaced, or made.
    FileWritten {
        /// As in the announcement.
        path: String,
    },
    /// Announces that a file is about to be put back.
    RestoreFile {
        /// Absolute.
        path: String,
    },
    /// The file is what it was: put back now, or found to be so.
    FileRestored {
        /// Absolute.
        path: String,
    },
    /// The file was left alone.
    RestoreRefused {
        /// Absolute.
        path: String,
        /// Why.
        reason: String,
    },
    /// Announces that a staged commit is about to be pushed.
    PushRef {
        /// The git dir.
        repo: String,
        /// Full name, here and there.
        reference: String,
        /// Name of the remote.
        remote: String,
        /// Its address, without the password that it may hold.
        url: String,
        /// Id of the commit.
        new: String,
    },
    /// The remote has it.
    RefPushed {
        /// As in the announcement.
        repo: String,
        /// As in the announcement.
        reference: String,
    },
    /// It could not be pushed.
    PushFailed {
        /// The git dir.
        repo: String,
        /// Full name.
        reference: String,
        /// Why.
        error: String,
    },
    /// Announces that a pull request is about to be opened.
    OpenRequest {
        /// The git dir.
        repo: String,
        /// Full name of the branch.
        reference: String,
        /// The kind of forge.
        forge: Kind,
        /// Where its API begins.
        api: String,
        /// The repository there.
        path: String,
    },
    /// How far a pull request has come.
    RequestReached {
        /// The git dir.
        repo: String,
        /// Full name of the branch.
        reference: String,
        /// Its number there.
        number: u64,
        /// Where people read it.
        url: String,
        /// How far.
        state: RequestState,
    },
    /// Announces that a pushed branch is about to be deleted from the remote.
    DeletePushed {
        /// The git dir.
        repo: String,
        /// Full name.
        reference: String,
    },
    /// The remote has it no longer: deleted now, or found to be absent.
    PushedDeleted {
        /// The git dir.
        repo: String,
        /// Full name.
        reference: String,
    },
    /// The remote's branch was left alone.
    PushedKept {
        /// The git dir.
        repo: String,
        /// Full name.
        reference: String,
        /// Why.
        reason: String,
    },
    /// What was merged is about to be reverted there, on a branch of its own.
    RevertRef {
        /// The git dir.
        repo: String,
        /// Full name of the branch that was merged.
        reference: String,
        /// Full name of the branch that reverts it.
        branch: String,
        /// The branch that it was merged into.
        into: String,
        /// Id of the commit that reverts it.
        new: String,
    },
    /// It was merged, and is not reverted.
    RevertRefused {
        /// The git dir.
        repo: String,
        /// Full name of the branch that was merged.
        reference: String,
        /// Why.
        reason: String,
    },
    /// Nothing of what was merged is left.
    Reverted {
        /// The git dir.
        repo: String,
        /// Full name of the branch that was merged.
        reference: String,
    },
    /// The branch of a repository is in a file, and no longer in the clone that it was made in.
    Bundled {
        /// [`Target::name`].
        target: String,
        /// The git dir of that clone.
        repo: String,
        /// Full name of the branch.
        reference: String,
        /// The file.
        path: String,
        /// Id of its last commit.
        new: String,
        /// Id of the commit that it starts from.
        base: String,
    },
    /// One who does a part of a run is done with a repository.
    Reported {
        /// [`Target::name`].
        target: String,
        /// What was to be done: the command's name.
        command: String,
        /// It failed in a way that may pass: it is tried again.
        retry: bool,
        /// What reports say of it.
        row: serde_json::Value,
    },
    /// The run came to its end.
    RunFinished {
        /// Repositories that were staged.
        staged: usize,
        /// Repositories that failed.
        failed: usize,
    },
}
