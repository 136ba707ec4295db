//! A proven change onto a new branch, with a receipt, or into files ([`apply()`]); data into files ([`write()`]); and back.
//!
//! Invariant: per repository exactly one ref is made and nothing else moves; the journal knows it before git does.
//! Rollback deletes a ref only while it points where the run left it, and may be repeated after a crash at any point.
#![expect(
    clippy::disallowed_methods,
    reason = "asks which repositories are still there; writes files"
)]

mod apply;
mod attributes;
mod data;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use apply::{apply, restore};
pub use data::{Data, write};

use crate::check::{Changeset, Finished};
use crate::journal::{Entry, Journal, JournalError, RefRecord, RefState, RunRecord};
use crate::repo::{NewCommit, Person, Repo, RepoError, Signer, quoted};
use crate::text::{printable, printable_lines};

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Id of the run.
    pub run: String,
    /// What the run calls this repository: [`crate::journal::Target::name`].
    pub target: String,
    /// Name of the branch to make, without `refs/heads/`.
    pub branch: String,
    /// Who the change is by.
    pub author: Person,
    /// Who commits it.
    pub committer: Person,
    /// The committer says by a trailer that it may be given.
    pub signoff: bool,
    /// What signs the commits.
    pub signer: Option<Signer>,
    /// Time of the commit in seconds since 1970 UTC; the base's own time keeps the commit reproducible.
    pub time: i64,
    /// Version of depickle.
    pub tool_version: String,
}

/// One commit to be, in the order of those that are staged.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The change up to here and with it.
    pub changeset: &'a Changeset,
    /// What this commit settles.
    pub findings: &'a [Finished],
    /// First line of the commit message.
    pub subject: &'a str,
    /// What the change means to others: lines, or nothing.
    pub note: &'a str,
}

/// What was staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The branch.
    pub branch: String,
    /// Id of its last commit.
    pub commit: String,
    /// Id of the commit that it starts from.
    pub base: String,
}

/// What rollback did about one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The git dir.
    pub repo: String,
    /// Root of the work tree.
    pub root: String,
    /// Full name of the ref.
    pub reference: String,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of rolling back one ref, or one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was as the run left it, and is deleted; of a file: put back.
    Deleted,
    /// It was open, and is closed.
    Closed,
    /// It was merged. What reverts it is made, and waits to be merged as well.
    Reverted {
        /// A pull request, or a branch.
        by: String,
    },
    /// It was not there: rolled back before, deleted by hand, or never made. Of a file: it is what it was.
    AlreadyGone,
    /// It was left alone.
    Refused {
        /// Why: one sentence, lower case.
        reason: String,
        /// A command to type next.
        next: String,
    },
}

/// What happened, and where. [`StageError::hint`] says what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StageError {
    /// The changeset changes no file.
    #[error("nothing to stage in {root}")]
    Nothing {
        /// Root of the repository.
        root: String,
    },
    /// The changeset was made from a work tree and not from a commit.
    #[error("the change for {root} was not made from a commit")]
    NoBase {
        /// Root of the repository.
        root: String,
    },
    /// The file in the base commit is not what the changeset was made from.
    #[error("{path:?} in commit {base} is not what the change was made for")]
    BaseDiffers {
        /// Path relative to the repository.
        path: String,
        /// Id of the commit.
        base: String,
    },
    /// The journal could not name this repository, so the run could not be undone.
    #[error("the path of the repository {root} is not valid utf-8")]
    NotUtf8Path {
        /// Root of the repository, as far as it can be shown.
        root: String,
    },
    /// A file cannot be replaced.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why: one sentence, lower case.
        reason: String,
        /// What to do about it.
        next: String,
    },
    /// The file system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The branch was made, and the record of it could not be completed.
    #[error("the branch {branch} was made, but the journal could not be completed: {source}")]
    Unrecorded {
        /// The branch.
        branch: String,
        /// Id of the run.
        run: String,
        /// Why.
        source: JournalError,
    },
    /// The repository refuses.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The journal could not be written, so nothing was done.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl StageError {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            StageError::Repo(error) => error.hint(),
            StageError::Journal(error) => error.hint(),
            StageError::NoBase { .. } => Some("`depickle diff` prints it as a patch".into()),
            StageError::BaseDiffers { .. } => Some("run it again".into()),
            StageError::NotUtf8Path { .. } => Some("move the repository to another path".into()),
            StageError::Unrecorded { run, .. } => Some(format!("to undo: depickle rollback {run}")),
            StageError::File { next, .. } => Some(next.clone()),
            StageError::Nothing { .. } => Some("`depickle scan` says why".into()),
            StageError::Io { .. } => {
                Some("see to the space and the permissions there, and run it again".into())
            }
        }
    }
}

/// Commits `steps`, one after the other, on a new branch of `repo`. `prefix` is where their paths start, as
/// [`Repo::prefix`] gave it. Work tree, index and HEAD stay as they are. A failure is journaled, too, as far as the journal can be
/// written.
///
/// # Errors
/// See [`StageError`]; no ref was made then, but for [`StageError::Unrecorded`].
pub fn stage(
    repo: &Repo,
    prefix: &str,
    steps: &[Step<'_>],
    order: &Order,
    journal: &Journal,
) -> Result<Receipt, StageError> {
    let staged = attempt(repo, prefix, steps, order, journal);
    if let Err(error) = &staged
        && !matches!(error, StageError::Unrecorded { .. })
    {
        // The error itself is on its way to the user.
        let _ = journal.append(
            &order.run,
            Entry::StageFailed {
                target: order.target.clone(),
                repo: repo.git_dir().display().to_string(),
                error: error.to_string(),
            },
        );
    }
    staged
}

fn attempt(
    repo: &Repo,
    prefix: &str,
    steps: &[Step<'_>],
    order: &Order,
    journal: &Journal,
) -> Result<Receipt, StageError> {
    let root = repo.root().display().to_string();
    let whole = steps.last().map(|step| step.changeset);
    let Some(whole) = whole.filter(|whole| !whole.files().is_empty()) else {
        return Err(StageError::Nothing { root });
    };
    let Some(base) = whole.base() else {
        return Err(StageError::NoBase { root });
    };
    if repo.git_dir().to_str().is_none() {
        return Err(StageError::NotUtf8Path { root });
    }
    repo.check_branch(&order.branch)?;
    let mut commit = base.to_owned();
    for (n, step) in steps.iter().enumerate() {
        let mut files = Vec::new();
        let mut added = Vec::new();
        for file in step.changeset.files() {
            let path = below(prefix, &file.path);
            let as_it_was = || match file.new {
                true => repo.has(base, &path).map(|has| !has),
                false => repo.bytes_at(base, &path).map(|bytes| bytes == file.before),
            };
            if step.changeset.base() != Some(base) || !as_it_was()? {
                let base = base.to_owned();
                return Err(StageError::BaseDiffers { path, base });
            }
            added.extend(file.new.then(|| path.clone()));
            files.push((path, file.after.clone()));
        }
        let added: Vec<&str> = added.iter().map(String::as_str).collect();
        commit = repo.commit(&NewCommit {
            base,
            parent: &commit,
            files: &files,
            added: &added,
            author: &order.author,
            committer: &order.committer,
            time: order.time,
            message: &message(prefix, step, (n + 1, steps.len()), order),
            signer: order.signer.as_ref(),
        })?;
    }
    let receipt = Receipt {
        branch: order.branch.clone(),
        commit,
        base: base.to_owned(),
    };
    make(repo, &receipt, (&order.run, &order.target), journal)?;
    Ok(receipt)
}

/// Makes the branch of `receipt`, whose commit is in `repo` already, for a target of a run.
///
/// # Errors
/// See [`StageError`]; no ref was made then, but for [`StageError::Unrecorded`].
pub fn make(
    repo: &Repo,
    receipt: &Receipt,
    (run, target): (&str, &str),
    journal: &Journal,
) -> Result<(), StageError> {
    let root = repo.root().display().to_string();
    let Some(git_dir) = repo.git_dir().to_str() else {
        return Err(StageError::NotUtf8Path { root });
    };
    let reference = format!("refs/heads/{}", receipt.branch);
    let announcement = Entry::CreateRef {
        target: target.to_owned(),
        repo: git_dir.to_owned(),
        root,
        reference: reference.clone(),
        new: receipt.commit.clone(),
        base: receipt.base.clone(),
    };
    journal.append(run, announcement)?;
    repo.create_branch(&receipt.branch, &receipt.commit)?;
    let done = Entry::RefCreated {
        repo: git_dir.to_owned(),
        reference,
    };
    journal
        .append(run, done)
        .map_err(|source| StageError::Unrecorded {
            branch: receipt.branch.clone(),
            run: run.to_owned(),
            source,
        })
}

/// Completes the record of a ref that `run` made for `target` when a stop came before it was recorded. Gives the
/// branch when it is there as the run left it: then nothing is left to stage.
///
/// # Errors
/// [`StageError::Journal`].
pub fn settle(
    journal: &Journal,
    run: &RunRecord,
    target: &str,
) -> Result<Option<Receipt>, StageError> {
    let made = |made: &&RefRecord| made.target == target && made.state == RefState::Announced;
    let Some(made) = run.refs.iter().find(made) else {
        return Ok(None);
    };
    let branch = made.reference.strip_prefix("refs/heads/");
    let branch = branch.unwrap_or(&made.reference);
    let tip = Repo::open(Path::new(&made.repo)).and_then(|repo| {
        repo.recover_branch(branch, &made.new)?;
        repo.branch_tip(branch)
    });
    // A repository that cannot be read now says so when it is staged.
    if !matches!(tip, Ok(Some(tip)) if tip == made.new) {
        return Ok(None);
    }
    let done = Entry::RefCreated {
        repo: made.repo.clone(),
        reference: made.reference.clone(),
    };
    journal.append(&run.id, done)?;
    Ok(Some(Receipt {
        branch: branch.to_owned(),
        commit: made.new.clone(),
        base: made.base.clone(),
    }))
}

/// The message of the commit `at` of so many: the subject, the findings, what the change means to clients and how to
/// undo it, and git trailers. Names that could disturb a terminal or the trailers are escaped.
pub fn message(prefix: &str, step: &Step<'_>, at: (usize, usize), order: &Order) -> String {
    let mut text = format!("{}\n\n", printable(step.subject));
    // Writing to a String cannot fail.
    for finding in step.findings {
        let path = below(prefix, &finding.file);
        let _ = writeln!(
            text,
            "- {}:{} {}",
            printable(&path),
            finding.line,
            printable(&finding.sink)
        );
        for note in &finding.notes {
            let _ = writeln!(text, "  {}", printable(note));
        }
    }
    if !step.findings.is_empty() {
        text.push('\n');
    }
    let run = printable(&order.run);
    if at.1 > 1 {
        let _ = writeln!(
            text,
            "Part {} of {}; each stands without those after it.",
            at.0, at.1
        );
    }
    let _ = write!(
        text,
        "{}Made by depickle {}. To undo: depickle rollback {run}\n\n\
         Depickle-Run: {run}\n",
        printable_lines(step.note),
        printable(&order.tool_version),
    );
    for finding in step.findings {
        let _ = writeln!(
            text,
            "Depickle-Finding: {}",
            printable(&finding.fingerprint)
        );
    }
    if order.signoff {
        let Person { name, email } = &order.committer;
        let _ = writeln!(
            text,
            "Signed-off-by: {} <{}>",
            printable(name),
            printable(email)
        );
    }
    text
}

/// Takes back every ref of `run`, each on its own: one that fails never stops the others.
pub fn rollback(journal: &Journal, run: &RunRecord) -> Vec<Undone> {
    run.refs
        .iter()
        .map(|made| {
            let outcome = undo(journal, run, made);
            Undone {
                repo: made.repo.clone(),
                root: made.root.clone(),
                reference: made.reference.clone(),
                outcome,
            }
        })
        .collect()
}

fn undo(journal: &Journal, run: &RunRecord, made: &RefRecord) -> Outcome {
    let outcome = delete(journal, run, made);
    let (entry, recorded) = match &outcome {
        Outcome::Deleted | Outcome::Closed | Outcome::Reverted { .. } => (gone(made), false),
        Outcome::AlreadyGone => (gone(made), made.state == RefState::Deleted),
        Outcome::Refused { reason, .. } => {
            let entry = Entry::RollbackRefused {
                repo: made.repo.clone(),
                reference: made.reference.clone(),
                reason: reason.clone(),
            };
            (entry, made.state == RefState::Refused(reason.clone()))
        }
    };
    if !recorded {
        // What was done is done; the next rollback finds it so and records it then.
        let _ = journal.append(&run.id, entry);
    }
    outcome
}

fn gone(made: &RefRecord) -> Entry {
    Entry::RefDeleted {
        repo: made.repo.clone(),
        reference: made.reference.clone(),
    }
}

fn delete(journal: &Journal, run: &RunRecord, made: &RefRecord) -> Outcome {
    let again = format!("depickle rollback {}", run.id);
    let by_hand = format!(
        "git -C {} update-ref -d {} {}",
        quoted(place(made)),
        quoted(&made.reference),
        made.new
    );
    let refused = |reason: String, next: &str| Outcome::Refused {
        reason,
        next: next.to_owned(),
    };
    let Some(branch) = made.reference.strip_prefix("refs/heads/") else {
        return refused(format!("{} is not a branch", made.reference), &by_hand);
    };
    let path = Path::new(&made.repo);
    let repo = match Repo::open(path) {
        Ok(repo) if path.canonicalize().is_ok_and(|path| path == repo.git_dir()) => repo,
        Ok(_) | Err(RepoError::NoSuchPath { .. } | RepoError::NotARepository { .. }) => {
            let moved = format!(
                "git -C NEW_PATH update-ref -d {} {}",
                quoted(&made.reference),
                made.new
            );
            let reason = format!(
                "there is no repository at {} any more; it may have been moved",
                made.repo
            );
            return refused(reason, &moved);
        }
        Err(error) => return refused(error.to_string(), &by_hand),
    };
    let halfway = matches!(made.state, RefState::Announced | RefState::DeleteAnnounced);
    if halfway && let Err(error) = repo.recover_branch(branch, &made.new) {
        return refused(error.to_string(), &again);
    }
    match repo.branch_tip(branch) {
        Ok(None) => return Outcome::AlreadyGone,
        Ok(Some(tip)) if tip == made.new => {}
        Ok(Some(tip)) => return moved(made, branch, &tip),
        Err(error) => return refused(error.to_string(), &by_hand),
    }
    let announcement = Entry::DeleteRef {
        repo: made.repo.clone(),
        reference: made.reference.clone(),
        expected: made.new.clone(),
    };
    if let Err(error) = journal.append(&run.id, announcement) {
        return refused(error.to_string(), &again);
    }
    match repo.delete_branch(branch, &made.new) {
        Ok(()) => Outcome::Deleted,
        Err(RepoError::BranchMoved { found: None, .. }) => Outcome::AlreadyGone,
        Err(RepoError::BranchMoved {
            found: Some(tip), ..
        }) => moved(made, branch, &tip),
        Err(RepoError::BranchCheckedOut { worktree, .. }) => {
            let worktree = worktree.display().to_string();
            let next = format!(
                "git -C {} switch --detach {} && {again}",
                quoted(&worktree),
                made.base
            );
            refused(
                format!("the branch {branch} is in use by the work tree {worktree}"),
                &next,
            )
        }
        Err(error) => {
            let next = error
                .hint()
                .map_or(again.clone(), |hint| format!("{hint}; then: {again}"));
            refused(error.to_string(), &next)
        }
    }
}

fn moved(made: &RefRecord, branch: &str, tip: &str) -> Outcome {
    let git = format!("git -C {}", quoted(place(made)));
    Outcome::Refused {
        reason: format!(
            "the branch {branch} has moved from {} to {tip}; if nothing on it is needed: {git} branch -D {}",
            made.new,
            quoted(branch)
        ),
        next: format!("{git} log --oneline {}..{tip}", made.new),
    }
}

/// Where a git command about `made` runs: the work tree it was staged from may be gone since.
fn place(made: &RefRecord) -> &str {
    match Path::new(&made.root).is_dir() {
        true => &made.root,
        false => &made.repo,
    }
}

/// The changeset's `path` relative to the repository. A prefix without a final slash is the file itself.
fn below(prefix: &str, path: &str) -> String {
    let folder = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
    format!("{folder}{path}")
}

#[cfg(test)]
mod tests;
