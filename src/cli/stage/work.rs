//! A run at work: each repository from its place to its branch, and the end of the run.

use time::OffsetDateTime;

use super::Settings;
use crate::cli::commit::{Committing, Job};
use crate::cli::config::Terms;
use crate::cli::output::print;
use crate::cli::scan::exit;
use crate::cli::schedule::{Place, caught};
use crate::cli::target::{Reading, read};
use crate::cli::window::Window;
use crate::cli::with_tests::added;
use crate::cli::{Exit, hinted};
use crate::journal::{Entry, Journal, State, Target};
use crate::pack::Model;
use crate::plan::Order;
use crate::repo::{Repo, RepoError};
use crate::report::{Format, ProjectRow, Rule, Run};

/// A run at work.
pub(super) struct Work {
    pub id: String,
    pub settings: Settings,
    committing: Committing,
    window: Option<Window>,
    order: Order,
    model: Model,
    pub journal: Journal,
}

impl Work {
    pub fn new(id: String, settings: Settings, journal: Journal) -> anyhow::Result<Work> {
        Ok(Work {
            id,
            committing: Committing::new(&settings.how)?,
            window: settings
                .how
                .window
                .as_deref()
                .map(Window::parse)
                .transpose()?,
            order: settings.common.order(),
            model: settings.common.model()?,
            settings,
            journal,
        })
    }

    /// One repository, from its place to its branch. Whatever happens is a row, and on record. A branch that was
    /// `staged` before a stop is not made again: then there is only the row to be given.
    pub fn one(
        &self,
        asked: &Target,
        place: Result<&Place, String>,
        staged: Option<&str>,
    ) -> ProjectRow {
        caught(|| self.tried(asked, place, staged)).unwrap_or_else(|error| {
            self.refused(ProjectRow::failed(&asked.name(), String::new()), error)
        })
    }

    fn tried(
        &self,
        asked: &Target,
        place: Result<&Place, String>,
        staged: Option<&str>,
    ) -> ProjectRow {
        let name = asked.name();
        let fail = |error: String| {
            let repo = asked.location.clone();
            let entry = Entry::StageFailed {
                target: name.clone(),
                repo,
                error: error.clone(),
            };
            // The row says it in any case; the record is a second witness.
            let _ = self.journal.append(&self.id, entry);
            ProjectRow::failed(&name, error)
        };
        let place = match place {
            Ok(place) => place,
            Err(error) => return fail(error),
        };
        if let Some(cloned) = place.cloned.as_ref().filter(|_| staged.is_none()) {
            let entry = Entry::StateReached {
                target: name.clone(),
                state: State::Cloned,
                detail: Some(cloned.path.display().to_string()),
            };
            if let Err(error) = self.journal.append(&self.id, entry) {
                return fail(hinted(&error.to_string(), error.hint()));
            }
        }
        let opened = match read(asked, place, &self.settings.common, Reading::Commit) {
            Ok(opened) => opened,
            Err(error) => return fail(error),
        };
        let (Some(repo), Some(base)) = (&opened.repo, &opened.base) else {
            return fail("not a git repository; `depickle diff` prints the change".to_owned());
        };
        let base = Some(base.commit.clone());
        let mut terms = Terms::of(&opened, &self.settings.common, &self.model);
        let plan = self.settings.plan.as_ref();
        terms.order.skipped = plan.map(|plan| plan.skipped(asked)).unwrap_or_default();
        let model = terms.model();
        let (project, order) = (&opened.project, &terms.order);
        let (root, prefix) = (repo.root(), &opened.prefix);
        let mut dirty = Ok(Vec::new());
        let checked = rayon::in_place_scope(|meanwhile| {
            // Libgit2 looks at every file of the work tree.
            meanwhile.spawn(|_| dirty = Repo::open(root).and_then(|repo| repo.dirty(prefix)));
            crate::migrate(project, model, order, base)
        });
        let mut changeset = checked.changeset.clone();
        let wanted = self.settings.tests.wanted(&opened.project, model, &checked);
        let mut row = terms.row(&name, &opened, checked);
        row.notes.extend(unseen(dirty));
        row.notes
            .extend(plan.iter().flat_map(|plan| plan.notes(asked)));
        if let Some(wanted) = wanted.filter(|_| !changeset.files().is_empty()) {
            let tests = &self.settings.tests;
            tests.announce(&name, repo.root());
            let at = (repo, &opened, model);
            changeset = match tests.add(at, &wanted, changeset, &mut row.notes) {
                Ok(changeset) => changeset,
                Err(error) => return self.refused(row, error),
            };
            row.add(added(&opened.prefix, &changeset));
        }
        if let Some(branch) = staged {
            row.branch = Some(branch.to_owned());
            return row;
        }
        let looked = Entry::Looked {
            target: name.clone(),
            commit: row.commit.clone(),
            findings: self.counted(&row),
            changes: changeset.files().len(),
            complete: row.status == "ok",
        };
        let done = match self.journal.append(&self.id, looked) {
            Err(error) => Err(hinted(&error.to_string(), error.hint())),
            Ok(()) => match &self.settings.plan {
                Some(plan) => plan.holds(asked, &row),
                None => Ok(()),
            },
        };
        let done = match done.and_then(|()| self.in_window()) {
            Err(error) => return self.refused(row, error),
            Ok(()) if changeset.files().is_empty() => return row,
            Ok(()) => self.committing.commit(&Job {
                run: &self.id,
                time: self.settings.time,
                journal: &self.journal,
                model,
                order: &terms.order,
                asked,
                repo,
                opened: &opened,
                row: &row,
                changeset: &changeset,
            }),
        };
        match done {
            Ok(branch) => row.branch = Some(branch),
            Err(error) => {
                row.status = "failed";
                row.error = Some(error);
            }
        }
        row
    }

    /// Whether the window, if there is one, is open.
    pub fn in_window(&self) -> Result<(), String> {
        match &self.window {
            Some(window) if !window.holds(OffsetDateTime::now_utc()) => Err(format!(
                "the window {} is not open; stage when it is",
                self.settings.how.window.as_deref().unwrap_or_default()
            )),
            _ => Ok(()),
        }
    }

    /// `row` as one that may not be staged; on record as that.
    fn refused(&self, mut row: ProjectRow, error: String) -> ProjectRow {
        let entry = Entry::StageFailed {
            target: row.root.clone(),
            repo: row.root.clone(),
            error: error.clone(),
        };
        // The row says it in any case; the record is a second witness.
        let _ = self.journal.append(&self.id, entry);
        row.status = "failed";
        row.error = Some(error);
        row
    }

    /// Loads within reach of those who count.
    fn counted(&self, row: &ProjectRow) -> usize {
        let mut run = Run::new(String::new(), self.order.trust.clone());
        run.tests = self.order.tests;
        row.findings
            .iter()
            .filter(|finding| run.counts(finding))
            .count()
    }

    /// Prints what became of every repository, and closes the record.
    pub fn end(self, rows: Vec<ProjectRow>) -> anyhow::Result<Exit> {
        let common = &self.settings.common;
        let mut run = Run::new(self.id, self.order.trust);
        run.tests = self.order.tests;
        run.rules = Rule::all(&self.model);
        run.projects = rows;
        let count =
            |kind: fn(&ProjectRow) -> bool| run.projects.iter().filter(|row| kind(row)).count();
        let staged = count(|row| row.branch.is_some());
        let failed = count(|row| row.status == "failed");
        let closed = self
            .journal
            .append(&run.run, Entry::RunFinished { staged, failed });
        let printed = print(common, &run, Format::Text);
        if staged > 0 && !common.quiet {
            errln!("run {0}; to undo it: depickle rollback {0}", run.run);
        }
        if let Err(error) = closed {
            // All that was done is on record; only that it came to an end is not.
            let error = hinted(&error.to_string(), error.hint());
            errln!(
                "error: {}; then: depickle stage --resume {}",
                crate::text::printable(&error),
                run.run
            );
            return Ok(Exit::Incomplete);
        }
        printed?;
        Ok(exit(&run, |_, _| false))
    }
}

/// Says which changed files of the work tree were not read: `stage` reads the commit.
fn unseen(dirty: Result<Vec<String>, RepoError>) -> Option<String> {
    match dirty {
        Ok(files) if files.is_empty() => None,
        Ok(files) => Some(format!(
            "read from the commit; these changed files of the work tree were not seen: {}",
            files.join(", ")
        )),
        Err(error) => Some(format!("the state of the work tree is not known: {error}")),
    }
}
