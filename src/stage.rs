//! A [`Changeset`] onto a branch, with a receipt; and a run taken back.
//!
//! Invariant: one new ref per repository is the only mutation, and it is announced in the journal, on disk, before it
//! happens. Work tree and index are never touched.

use std::fmt::Write;
use std::path::Path;

use crate::check::Changeset;
use crate::journal::{Entry, Journal, JournalError, RefRecord, RunRecord};
use crate::repo::{NewCommit, Person, Repo, RepoError};
use crate::text::printable;

/// What can go wrong while staging.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The repository refuses.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The record cannot be written, so nothing was done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The change was made for a work tree.
    #[error("the change was made for a work tree, not for a commit; use `git apply`")]
    NoBase,
}

/// How to stage.
#[derive(Debug, Clone)]
pub struct Order {
    /// Id of the run.
    pub run: String,
    /// The path that was asked for.
    pub root: String,
    /// Name of the new branch.
    pub branch: String,
    /// Author and committer.
    pub author: Person,
    /// Seconds since 1970 that the commit is dated with.
    pub time: i64,
    /// First line of the message.
    pub subject: String,
}

/// What was staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Name of the branch.
    pub branch: String,
    /// The new commit, in hex.
    pub commit: String,
    /// Its parent.
    pub base: String,
}

/// Commits `changeset` on a new branch of `repo`; `prefix` is the project's place in it.
///
/// # Errors
/// [`StageError`]; then no ref was made.
pub fn stage(
    repo: &Repo,
    prefix: &str,
    changeset: &Changeset,
    order: &Order,
    journal: &Journal,
) -> Result<Receipt, StageError> {
    let base = changeset.base().ok_or(StageError::NoBase)?;
    repo.check_branch(&order.branch)?;
    let files: Vec<(String, Vec<u8>)> = changeset
        .files()
        .iter()
        .map(|file| (format!("{prefix}{}", file.path), file.after.clone()))
        .collect();
    let commit = repo.commit(&NewCommit {
        base,
        files: &files,
        author: &order.author,
        time: order.time,
        message: &message(prefix, changeset, order),
    })?;
    let git_dir = repo.git_dir().to_string_lossy().into_owned();
    let reference = format!("refs/heads/{}", order.branch);
    journal.append(
        &order.run,
        Entry::CreateRef {
            repo: git_dir.clone(),
            root: order.root.clone(),
            reference: reference.clone(),
            new: commit.clone(),
            base: base.to_owned(),
        },
    )?;
    repo.create_branch(&order.branch, &commit)?;
    journal.append(
        &order.run,
        Entry::RefCreated {
            repo: git_dir,
            reference,
        },
    )?;
    Ok(Receipt {
        branch: order.branch.clone(),
        commit,
        base: base.to_owned(),
    })
}

/// The commit's message: subject, findings, what changes for clients, how to undo it, trailers.
pub fn message(prefix: &str, changeset: &Changeset, order: &Order) -> String {
    let mut out = format!("{}\n\n", order.subject);
    out.push_str("Untrusted data reached these loads, which run code while they read:\n\n");
    for finding in changeset.findings() {
        let file = printable(&format!("{prefix}{}", finding.file));
        let _ = writeln!(out, "- {file}:{} {}", finding.line, finding.sink);
    }
    let _ = write!(
        out,
        "\nWhat does not parse is now answered with 400. Clients that sent pickle\n\
         must send JSON. To undo this run: depickle rollback {0}\n\n\
         Depickle-Run: {0}\n",
        order.run
    );
    for finding in changeset.findings() {
        let _ = writeln!(out, "Depickle-Finding: {}", finding.fingerprint);
    }
    out
}

/// What became of one ref of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was as the run left it, and is gone now.
    Deleted,
    /// It was not there.
    AlreadyGone,
    /// It was left as it is.
    Refused {
        /// Why.
        reason: String,
        /// A command to type.
        next: String,
    },
}

/// One ref of a run that was taken back, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The path that the run was asked for.
    pub root: String,
    /// Full name of the ref.
    pub reference: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Takes back `run`: deletes every ref that still points where the run left it. Can be repeated at any time.
pub fn rollback(journal: &Journal, run: &RunRecord) -> Vec<Undone> {
    run.refs
        .iter()
        .map(|record| {
            let outcome = undo(journal, &run.id, record).unwrap_or_else(|error| {
                let branch = short(&record.reference);
                let reason = error.to_string();
                let entry = Entry::RollbackRefused {
                    repo: record.repo.clone(),
                    reference: record.reference.clone(),
                    reason: reason.clone(),
                };
                // The refusal is told in any case; that it cannot be recorded too changes nothing.
                let _ = journal.append(&run.id, entry);
                Outcome::Refused {
                    reason,
                    next: format!("git --git-dir={} log {}..{branch}", quoted(&record.repo), record.new),
                }
            });
            Undone {
                root: record.root.clone(),
                reference: record.reference.clone(),
                outcome,
            }
        })
        .collect()
}

fn undo(journal: &Journal, run: &str, record: &RefRecord) -> Result<Outcome, StageError> {
    let branch = short(&record.reference);
    let repo = Repo::discover(Path::new(&record.repo))?;
    let gone = Entry::RefDeleted {
        repo: record.repo.clone(),
        reference: record.reference.clone(),
    };
    if repo.branch_tip(branch)?.is_none() {
        journal.append(run, gone)?;
        return Ok(Outcome::AlreadyGone);
    }
    journal.append(
        run,
        Entry::DeleteRef {
            repo: record.repo.clone(),
            reference: record.reference.clone(),
            expected: record.new.clone(),
        },
    )?;
    repo.delete_branch(branch, &record.new)?;
    journal.append(run, gone)?;
    Ok(Outcome::Deleted)
}

fn short(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
