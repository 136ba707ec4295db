//! `verify`: scans the branches of a run again; and with `--execute` attacks the application before and after.
//!
//! Invariant: nothing is run unless it is asked for, and it is said before what that will be.

mod applied;
mod chosen;
mod share;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use applied::{Applied, copies};
use chosen::{Made, branch, chosen};

use super::args::{Common, RowFormat};
use super::config::Terms;
use super::fleet::{Share, or_retry};
use super::pinned::Pinned;
use super::progress::Busy;
use super::schedule::{Place, caught};
use super::target::{Opened, Reading, read};
use super::{Exit, STACK, hinted};
use crate::fetch::Url;
use crate::journal::{Entry, Journal, RefRecord, RunRecord, Target};
use crate::pack::Model;
use crate::plan::Decision;
use crate::project::Project;
use crate::prove::{Order, Proof, deliveries, prove};
use crate::repo::Repo;
use crate::report::{NewLoad, Verified, VerifiedFinding, VerifiedRow};
use crate::text::printable;
use crate::trace::{Finding, Reach, enclosing, is_settled};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What was staged or applied; the last run there is verified. The current folder when none is given
    #[arg(value_name = "PATH", conflicts_with = "run")]
    path: Option<PathBuf>,
    /// A run, in all its repositories
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Run the application of each repository, before and after the change, and attack it
    #[arg(long)]
    execute: bool,
    /// The Python that has what the applications need; .venv or venv of the repository by default, or python3
    #[arg(long, value_name = "PATH", requires = "execute")]
    python: Option<PathBuf>,
    /// What the applications find in their environment, which is empty otherwise
    #[arg(long = "env", value_name = "NAME=VALUE", requires = "execute", value_parser = pair)]
    environment: Vec<(String, String)>,
    /// Seconds that an application has for one start and the requests that follow
    #[arg(long, value_name = "SECONDS", default_value = "120")]
    timeout: u64,
    /// What to print
    #[arg(long, value_name = "FMT", default_value = "text")]
    format: RowFormat,
    /// The branches of a share of what `depickle fleet plan` planned
    #[arg(long, value_name = "PLAN", hide_short_help = true, conflicts_with_all = ["path", "run"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    share: Share,
}

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let parts = parts.ok_or("write it as NAME=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

pub(super) fn verify(args: &Args) -> anyhow::Result<Exit> {
    if let Some(path) = &args.plan {
        return or_retry(share::verify(path, args));
    }
    let journal = super::journal()?;
    let (run, chosen) = chosen(args.run.as_deref(), args.path.as_deref(), &journal)?;
    let (common, plan) = super::stage::asked_for(&run)?;
    // Nobody stages or rolls back meanwhile.
    let _held = super::held(&journal, &run.id)?;
    let work = Work {
        args,
        run: &run,
        journal: &journal,
        common: &common,
        plan,
        model: common.model()?,
    };
    if args.execute {
        work.announce(&chosen);
    }
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build()?;
    let mut rows = Vec::new();
    let busy = Busy::on("verifying");
    for made in chosen {
        busy.at(&format!("verifying {}", made.target()));
        let row = caught(|| pool.install(|| work.one(&made))).and_then(|row| row);
        let row = row.unwrap_or_else(|error| failed(&made, error));
        let entry = Entry::Verified {
            target: row.root.clone(),
            proof: row.markdown(),
        };
        let mut recorded = run.repositories.iter();
        let recorded = recorded.find(|one| one.target == row.root);
        let recorded = recorded.and_then(|one| one.proof.as_deref());
        let less = !args.execute && recorded.is_some_and(|text| row.is_less_than(text));
        if row.error.is_none() && !less {
            journal.append(&run.id, entry)?;
        }
        rows.push(row);
    }
    drop(busy);
    let verified = Verified {
        schema: "depickle/1",
        run: run.id.clone(),
        executed: args.execute,
        projects: rows,
    };
    match args.format {
        RowFormat::Text => out!("{}", verified.text()),
        RowFormat::Json => outln!("{}", crate::report::json_text(&verified)?),
    }
    let rows = &verified.projects;
    // What is disproven is worse than what is not known.
    Ok(if rows.iter().any(VerifiedRow::is_disproven) {
        Exit::Findings
    } else if rows.iter().any(VerifiedRow::is_incomplete) {
        Exit::Incomplete
    } else {
        Exit::Done
    })
}

/// The row of what could not be verified.
fn failed(made: &Made, error: String) -> VerifiedRow {
    VerifiedRow {
        root: made.target().to_owned(),
        branch: made.branch().to_owned(),
        base: made.base().to_owned(),
        status: "failed",
        error: Some(error),
        ..VerifiedRow::default()
    }
}

/// File, function and text of a load: what makes it the same before and after a change elsewhere.
type Key = (String, String, String);

fn key(project: &Project, finding: &Finding) -> Key {
    let file = finding.place.file;
    let text = project.source(file).slice(finding.place.span);
    (
        project.path(file).to_owned(),
        enclosing(project, file, finding.place.span),
        text.split_whitespace().collect(),
    )
}

/// Whether an attacker may reach the load.
fn is_open(finding: &Finding) -> bool {
    let harmless = matches!(
        finding.reach,
        Reach::Guarded | Reach::SafeArguments | Reach::Restricted | Reach::Constant
    );
    !harmless && !is_settled(finding)
}

/// A run, looked at.
struct Work<'a> {
    args: &'a Args,
    run: &'a RunRecord,
    journal: &'a Journal,
    common: &'a Common,
    plan: Option<Pinned>,
    model: Model,
}

impl Work<'_> {
    /// Says what will be run.
    fn announce(&self, chosen: &[Made]) {
        for made in chosen {
            let place = match made {
                Made::Branch(made) => format!("as it is on {}", branch(made)),
                Made::Files(..) => "as it is now".to_owned(),
            };
            errln!(
                "{}",
                printable(&format!(
                    "runs the application of {} as it was and {place}, with {}",
                    made.target(),
                    self.python(made).display()
                ))
            );
        }
        errln!(
            "in copies, with a home of their own, an empty environment, at most {} s and 4 GiB each, without a network \
             where the system permits it; they run as you, and may read and write what you may",
            self.args.timeout
        );
    }

    fn asked(&self, target: &str) -> Option<Target> {
        let one = self
            .run
            .repositories
            .iter()
            .find(|one| one.target == target);
        one.and_then(|one| one.asked.clone())
    }

    /// The folder of which files were changed.
    fn folder(&self, target: &str) -> PathBuf {
        let asked = self.asked(target).unwrap_or_else(|| Target::new(target));
        let path = Path::new(&self.run.folder).join(&asked.location);
        let path = asked
            .within
            .map_or(path.clone(), |within| path.join(within));
        match path.parent() {
            Some(up) if path.is_file() => up.to_owned(),
            _ => path,
        }
    }

    fn python(&self, made: &Made) -> PathBuf {
        let root = match made {
            Made::Branch(made) => PathBuf::from(&made.root),
            Made::Files(target, _) => self.folder(target),
        };
        python(self.args.python.as_deref(), &root)
    }

    fn read(&self, made: &RefRecord, commit: &str) -> Result<Opened, String> {
        let asked = self.asked(&made.target);
        let asked = asked.unwrap_or_else(|| Target::new(&made.root));
        let path = match Url::is_meant(&asked.location) && !Path::new(&asked.location).exists() {
            true => PathBuf::from(&made.repo),
            false => Path::new(&self.run.folder).join(&asked.location),
        };
        let place = Place {
            path,
            base: Some(commit.to_owned()),
            cloned: None,
        };
        read(&asked, &place, self.common, Reading::Commit)
    }

    fn one(&self, made: &Made) -> Result<VerifiedRow, String> {
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let scratch = scratch.path();
        let python = self.python(made);
        let row = VerifiedRow {
            root: made.target().to_owned(),
            branch: made.branch().to_owned(),
            base: made.base().to_owned(),
            status: "ok",
            ..VerifiedRow::default()
        };
        match made {
            Made::Branch(made) => self.branch(made, row, scratch, &python),
            Made::Files(target, files) => {
                let at = (self.journal, self.run.id.as_str());
                let copies = copies(&self.folder(target), files, at, scratch)?;
                self.files(copies, row, scratch, &python)
            }
        }
    }

    /// What was written into files.
    fn files(
        &self,
        copies: Applied,
        mut row: VerifiedRow,
        scratch: &Path,
        python: &Path,
    ) -> Result<VerifiedRow, String> {
        if !copies.untouched {
            row.notes.push(
                "files are not as the run left them any more; what is there is verified".to_owned(),
            );
        }
        let read = |path: &Path| {
            let place = Place {
                path: path.to_owned(),
                base: None,
                cloned: None,
            };
            let target = Target::new(&path.display().to_string());
            read(&target, &place, self.common, Reading::WorkTree)
        };
        let (before, after) = (read(&copies.before)?, read(&copies.after)?);
        let sides = || {
            Ok(Sides {
                before: copies.before,
                after: copies.after,
                left_out: copies.left_out,
            })
        };
        Ok(self.compared((&before, &after), row, sides, scratch, python))
    }

    /// What was committed.
    fn branch(
        &self,
        made: &RefRecord,
        mut row: VerifiedRow,
        scratch: &Path,
        python: &Path,
    ) -> Result<VerifiedRow, String> {
        let text = |error: crate::repo::RepoError| hinted(&error.to_string(), error.hint());
        let repo = Repo::open(Path::new(&made.repo)).map_err(text)?;
        let tip = repo.branch_tip(branch(made)).map_err(text)?;
        let tip = tip.ok_or_else(|| format!("the branch {} is gone", branch(made)))?;
        row.commit = Some(tip.clone());
        if tip != made.new {
            row.notes.push(
                "the branch is not as the run left it any more; what is there is verified"
                    .to_owned(),
            );
        }
        let (before, after) = (self.read(made, &made.base)?, self.read(made, &tip)?);
        let sides = || Sides::export(&repo, made, &tip, &before.prefix, scratch);
        Ok(self.compared((&before, &after), row, sides, scratch, python))
    }

    /// Whether what was rewritten in `before` is gone in `after`, and nothing is new; with `--execute`, on `sides` too.
    fn compared(
        &self,
        (before, after): (&Opened, &Opened),
        mut row: VerifiedRow,
        sides: impl FnOnce() -> Result<Sides, String>,
        scratch: &Path,
        python: &Path,
    ) -> VerifiedRow {
        let mut terms = Terms::of(before, self.common, &self.model);
        if let (Some(plan), Some(asked)) = (&self.plan, self.asked(&row.root)) {
            terms.order.skipped = plan.skipped(&asked);
        }
        let checked = crate::migrate(&before.project, terms.model(), &terms.order, None);
        let traced = crate::trace::trace(&after.project, terms.model());
        let unread = |project: &Project| {
            let broken = |id| project.is_parsed(id) && project.source(id).unparsed().is_some();
            project.ids().filter(|id| broken(*id)).count()
        };
        if unread(&after.project) > unread(&before.project)
            || (traced.exhausted && !checked.exhausted)
        {
            row.status = "incomplete";
            row.notes
                .push("not all of the branch could be read".to_owned());
        }
        // What was left before may be there still.
        let mut left: BTreeMap<Key, usize> = BTreeMap::new();
        let mut rewritten: Vec<(&Finding, &str)> = Vec::new();
        for ((finding, decision), by) in checked
            .findings
            .iter()
            .zip(&checked.decisions)
            .zip(&checked.by)
        {
            match decision {
                Decision::Rewrite(_) => rewritten.push((finding, by)),
                _ => *left.entry(key(&before.project, finding)).or_default() += 1,
            }
        }
        let was: std::collections::BTreeSet<Key> = rewritten
            .iter()
            .map(|(finding, _)| key(&before.project, finding))
            .collect();
        let mut still: BTreeMap<Key, usize> = BTreeMap::new();
        for finding in traced.findings.iter().filter(|f| is_open(f) && !f.test) {
            let key = key(&after.project, finding);
            if let Some(n) = left.get_mut(&key).filter(|n| **n > 0) {
                *n -= 1;
            } else if was.contains(&key) {
                *still.entry(key).or_default() += 1;
            } else {
                let source = after.project.source(finding.place.file);
                row.new.push(NewLoad {
                    file: source.path().to_owned(),
                    line: source.position(finding.place.span.start).line,
                    sink: finding.name.clone(),
                });
            }
        }
        let sides = self.args.execute.then(sides);
        for (finding, by) in rewritten {
            let source = before.project.source(finding.place.file);
            let n = still.get_mut(&key(&before.project, finding));
            let gone = match n {
                Some(n) if *n > 0 => {
                    *n -= 1;
                    false
                }
                _ => true,
            };
            let proofs = match &sides {
                Some(sides) => {
                    let at = (&before.project, terms.model());
                    self.proofs(at, finding, by, sides, scratch, python)
                }
                None => Vec::new(),
            };
            row.findings.push(VerifiedFinding {
                fingerprint: finding.fingerprint.clone(),
                file: source.path().to_owned(),
                line: source.position(finding.place.span.start).line,
                sink: finding.name.clone(),
                gone,
                verdict: self.args.execute.then(|| VerifiedFinding::overall(&proofs)),
                proofs,
            });
        }
        if let Some(Ok(Sides { left_out, .. })) = sides
            && left_out > 0
        {
            row.notes.push(format!(
                "not copied: {left_out} (symlinks, submodules, and what a partial clone does not have)"
            ));
        }
        let proofs = row.findings.iter().flat_map(|finding| &finding.proofs);
        if let Some(why) = proofs
            .filter_map(|proof| proof.open_network.as_ref())
            .next()
        {
            row.notes.push(format!(
                "the application was not cut off the network ({why})"
            ));
        }
        row
    }

    /// What the attack on `finding` comes to, for each handler that it is reached from.
    fn proofs(
        &self,
        (project, model): (&Project, &Model),
        finding: &Finding,
        by: &str,
        sides: &Result<Sides, String>,
        scratch: &Path,
        python: &Path,
    ) -> Vec<Proof> {
        let sides = match sides {
            Ok(sides) => sides,
            Err(error) => return vec![Proof::not_run("no-copy", error.clone())],
        };
        let transform = model.transforms.iter().find(|t| t.id == by);
        let Some(sent) = transform.and_then(|transform| transform.proof.as_ref()) else {
            let message = format!("no attack is known that shows what {by} changes");
            return vec![Proof::not_run("no-attack", message)];
        };
        let order = Order {
            python,
            scratch,
            before: &sides.before,
            after: &sides.after,
            seconds: self.args.timeout,
            environment: &self.args.environment,
        };
        let made = deliveries(project, model, finding).into_iter();
        made.map(|delivery| match delivery {
            Ok(delivery) => prove(model, &delivery, sent, &order),
            Err(obstacle) => Proof::not_run(obstacle.code(), obstacle.message()),
        })
        .collect()
    }
}

/// The Python that is `asked` for; that of the repository `root`, or what is called python3.
pub(super) fn python(asked: Option<&Path>, root: &Path) -> PathBuf {
    let own = [".venv", "venv"].map(|name| root.join(name).join("bin/python"));
    let found = asked.map(Path::to_owned);
    let found = found.or_else(|| own.into_iter().find(|python| python.exists()));
    match found {
        Some(python) if python.components().count() > 1 => {
            std::path::absolute(&python).unwrap_or(python)
        }
        Some(python) => python,
        None => PathBuf::from("python3"),
    }
}

/// Copies of the project.
struct Sides {
    before: PathBuf,
    after: PathBuf,
    /// Files that are in neither.
    left_out: usize,
}

impl Sides {
    fn export(
        repo: &Repo,
        made: &RefRecord,
        tip: &str,
        prefix: &str,
        scratch: &Path,
    ) -> Result<Sides, String> {
        let side = |name: &str, commit: &str| {
            let to = scratch.join(name);
            let done = repo.export(commit, &to);
            done.map(|left_out| (to.join(prefix), left_out))
                .map_err(|error| hinted(&error.to_string(), error.hint()))
        };
        let (before, _) = side("before", &made.base)?;
        let (after, left_out) = side("after", tip)?;
        Ok(Sides {
            before,
            after,
            left_out,
        })
    }
}
