//! `apply`: the patch of `diff`, written into the files themselves, for folders with and without git.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::args::{Common, Ignoring};
use super::config::Terms;
use super::output::print;
use super::scan::exit;
use super::schedule::{Place, caught, each};
use super::target::{Reading, begun, read};
use super::{Exit, hinted};
use crate::fetch::Url;
use crate::journal::{Entry, IN_PLACE, Journal, State, Target};
use crate::pack::Model;
use crate::plan::Order;
use crate::repo::Repo;
use crate::report::{Format, ProjectRow, Rule, Run};

/// So many changed files are named.
const NAMED: usize = 5;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Write into a work tree of git that has changes of its own, too
    #[arg(long)]
    allow_dirty: bool,
    #[command(flatten)]
    ignoring: Ignoring,
}

/// A run at work.
struct Work<'a> {
    id: String,
    args: &'a Args,
    common: Common,
    order: Order,
    model: Model,
    journal: Journal,
    /// Two targets may hold the same file.
    writing: Mutex<()>,
}

pub(super) fn apply(args: &Args) -> anyhow::Result<Exit> {
    let mut common = args.common.resolved()?;
    common.ignore = args.ignoring.ignore()?;
    let targets = common.targets()?;
    common.fits(targets.len())?;
    if common.base.is_some() {
        anyhow::bail!(
            "--base: apply writes into the files as they are; `depickle stage --base` commits on a branch"
        );
    }
    let order = common.order();
    let mut inputs: Vec<String> = targets.iter().map(Target::name).collect();
    inputs.push(format!("apply {order:?}"));
    let journal = super::journal()?;
    let (id, _held) = begun(&journal, None, &inputs)?;
    let work = Work {
        id,
        args,
        order,
        model: common.model()?,
        common,
        journal,
        writing: Mutex::new(()),
    };
    work.journal.append(
        &work.id,
        Entry::RunStarted {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().map(|word| Url::masked(&word)).collect(),
            folder: std::env::current_dir()?.display().to_string(),
            targets: targets.clone(),
            // Nothing to go on with: what is left is applied by a run of its own. `verify` looks as this run did.
            settings: serde_json::json!({ IN_PLACE: &work.common }),
        },
    )?;
    let mut run = Run::new(work.id.clone(), work.order.trust.clone());
    run.rules = Rule::all(&work.model);
    run.tests = work.order.tests;
    run.projects = each(&targets, &work.common, |asked, place| {
        work.one(asked, place)
    })?;
    let failed = run.projects.iter().filter(|row| row.status == "failed");
    let failed = failed.count();
    let closed = work
        .journal
        .append(&work.id, Entry::RunFinished { staged: 0, failed });
    let printed = print(&work.common, &run, Format::Text);
    let record = super::recorded(&work.journal, Some(&work.id))?;
    if record.is_some_and(|record| !record.files.is_empty()) && !work.common.quiet {
        errln!("run {0}; to undo it: depickle rollback {0}", work.id);
    }
    if let Err(error) = closed {
        let error = hinted(&error.to_string(), error.hint());
        errln!("error: {}", crate::text::printable(&error));
        return Ok(Exit::Incomplete);
    }
    printed?;
    Ok(exit(&run, |_, _| false))
}

impl Work<'_> {
    /// One target. Whatever happens is a row, and on record.
    fn one(&self, asked: &Target, place: Result<Place, String>) -> ProjectRow {
        let mut row = ProjectRow::default();
        let done = place.and_then(|place| {
            caught(|| self.written(asked, &place, &mut row)).and_then(|done| done)
        });
        if let Err(error) = done {
            // The row says it in any case; the record is a second witness.
            let _ = self.journal.append(
                &self.id,
                Entry::StageFailed {
                    target: asked.name(),
                    repo: asked.location.clone(),
                    error: error.clone(),
                },
            );
            if row.root.is_empty() {
                return ProjectRow::failed(&asked.name(), error);
            }
            row.status = "failed";
            row.error = Some(error);
        }
        row
    }

    fn written(&self, asked: &Target, place: &Place, row: &mut ProjectRow) -> Result<(), String> {
        if place.cloned.is_some() || place.base.is_some() {
            return Err(
                "apply writes into the files of a folder; `depickle stage` commits on a branch"
                    .to_owned(),
            );
        }
        let opened = read(asked, place, &self.common, Reading::WorkTree)?;
        if opened.base.is_some() {
            return Err("it has no work tree; `depickle stage` commits on a branch".to_owned());
        }
        let terms = Terms::of(&opened, &self.common, &self.model);
        let checked = crate::migrate(&opened.project, terms.model(), &terms.order, None);
        let changeset = checked.changeset.clone();
        let name = asked.name();
        *row = terms.row(&name, &opened, checked);
        let mut counting = Run::new(String::new(), self.order.trust.clone());
        counting.tests = self.order.tests;
        let findings = row.findings.iter().filter(|one| counting.counts(one));
        self.record(Entry::Looked {
            target: name.clone(),
            commit: None,
            findings: findings.count(),
            changes: changeset.files().len(),
            complete: row.status == "ok",
        })?;
        if changeset.files().is_empty() {
            return Ok(());
        }
        if let (Some(repo), false) = (&opened.repo, self.args.allow_dirty) {
            clean(repo)?;
        }
        let within = asked.within.as_ref();
        let whole = within.map_or(place.path.clone(), |below| place.path.join(below));
        let folder = match whole.is_dir() {
            true => whole.as_path(),
            false => whole
                .parent()
                .filter(|up| !up.as_os_str().is_empty())
                .unwrap_or(Path::new(".")),
        };
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let files = crate::stage::apply(folder, &changeset, &self.id, &name, &self.journal)
            .map_err(|error| hinted(&error.to_string(), error.hint()))?;
        row.notes.push(format!("applied: {files} files written"));
        self.record(Entry::StateReached {
            target: name,
            state: State::Applied,
            detail: None,
        })
    }

    fn record(&self, entry: Entry) -> Result<(), String> {
        let recorded = self.journal.append(&self.id, entry);
        recorded.map_err(|error| hinted(&error.to_string(), error.hint()))
    }
}

/// Nobody could tell the change from somebody's own work in a work tree that has some.
fn clean(repo: &Repo) -> Result<(), String> {
    let changed = repo
        .unclean()
        .map_err(|error| hinted(&error.to_string(), error.hint()))?;
    if changed.is_empty() {
        return Ok(());
    }
    let more = match changed.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let named: Vec<_> = changed.into_iter().take(NAMED).collect();
    Err(format!(
        "the work tree has changes of its own: {}{more}; commit them, or use --allow-dirty",
        named.join(", ")
    ))
}
