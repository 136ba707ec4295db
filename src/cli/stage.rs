//! `stage`: the patch of `diff`, committed on a new branch of each repository.

use std::collections::BTreeSet;

use super::args::{Common, Format};
use super::scan::{exit, print};
use super::target::{Reading, each, read, run_id, run_time};
use super::{Exit, hinted};
use crate::journal::Entry;
use crate::pack::Model;
use crate::repo::{Person, Repo};
use crate::report::{ProjectRow, Run};
use crate::stage::Order as StageOrder;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Name of the new branch; depickle/pickle-to-json and the like by default, after what is done
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Author of the commit; the repository's own identity by default
    #[arg(long, value_name = "NAME <MAIL>")]
    author: Option<String>,
}

pub(super) fn stage(args: &Args) -> anyhow::Result<Exit> {
    let common = args.common.resolved()?;
    let author = args.author.as_deref().map(person).transpose()?;
    let model = Model::builtin()?;
    let order = common.order();
    let targets = common.targets()?;
    let journal = super::journal()?;
    let time = run_time();
    let id = run_id(time, &inputs(&targets, &common, args));
    let started = Entry::RunStarted {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args().collect(),
    };
    journal.append(&id, started)?;
    let rows = each(&targets, &common, |root| {
        let fail = |error: String| {
            let entry = Entry::StageFailed {
                repo: root.to_owned(),
                error: error.clone(),
            };
            // The row says it in any case; the record is a second witness.
            let _ = journal.append(&id, entry);
            ProjectRow::failed(root, error)
        };
        let target = match read(root, &common, Reading::Commit) {
            Ok(target) => target,
            Err(error) => return fail(error),
        };
        let (Some(repo), Some(base)) = (&target.repo, &target.base) else {
            return fail("not a git repository; `depickle diff` prints the change".to_owned());
        };
        let checked = crate::migrate(&target.project, &model, &order, Some(base.commit.clone()));
        let changeset = checked.changeset.clone();
        let mut row = ProjectRow::of(root, &target.prefix, &target.project, &model, checked);
        unseen(repo, &target.prefix, &mut row);
        if changeset.files().is_empty() {
            return row;
        }
        let ids: BTreeSet<&str> = changeset
            .findings()
            .iter()
            .map(|finding| finding.transform.as_str())
            .collect();
        let only = ids.first().filter(|_| ids.len() == 1);
        let only = only.and_then(|id| model.transforms.iter().find(|t| t.id == **id));
        let (name, subject) = only.map_or(("safe-loads", "Make unsafe loads safe"), |transform| {
            (transform.id.as_str(), transform.subject.as_str())
        });
        let notes = model
            .transforms
            .iter()
            .filter(|t| ids.contains(t.id.as_str()));
        let mut notes: Vec<&str> = notes.map(|t| t.note.as_str()).collect();
        notes.retain(|note| !note.is_empty());
        let note = notes.iter().map(|note| format!("{note}\n")).collect();
        let branch = args.branch.clone();
        let own = author.clone().or_else(|| repo.identity());
        let order = StageOrder {
            run: id.clone(),
            branch: branch.unwrap_or_else(|| format!("depickle/{name}")),
            author: own.unwrap_or_else(tool_identity),
            time,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            subject: subject.to_owned(),
            note,
        };
        match crate::stage::stage(repo, &target.prefix, &changeset, &order, &journal) {
            Ok(receipt) => row.branch = Some(receipt.branch),
            Err(error) => {
                row.status = "failed";
                row.error = Some(hinted(&error.to_string(), error.hint()));
            }
        }
        row
    })?;
    let mut run = Run::new(id, order.trust);
    run.tests = order.tests;
    run.projects = rows;
    let staged = run
        .projects
        .iter()
        .filter(|row| row.branch.is_some())
        .count();
    let failed = run
        .projects
        .iter()
        .filter(|row| row.status == "failed")
        .count();
    journal.append(&run.run, Entry::RunFinished { staged, failed })?;
    print(&common, &run, Format::Text)?;
    if staged > 0 && !common.quiet {
        anstream::eprintln!("run {0}; to undo it: depickle rollback {0}", run.run);
    }
    Ok(exit(&run, |_, _| false))
}

/// Everything that decides what is staged.
fn inputs(targets: &[String], common: &Common, args: &Args) -> Vec<String> {
    let mut inputs = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        args.branch.clone().unwrap_or_default(),
        format!("{:?} {:?}", common.levels(), common.message),
        format!("{:?} {}", common.to, common.suggestions),
        format!("log rejects {}", common.log_rejects),
        format!("{:?} {:?}", common.include, common.exclude),
    ];
    for root in targets {
        let base = Repo::discover(std::path::Path::new(root))
            .and_then(|repo| repo.resolve(common.base.as_deref()));
        inputs.push(base.map_or(root.clone(), |base| base.commit));
    }
    inputs
}

/// Notes which changed files of the work tree were not read: `stage` reads the commit.
fn unseen(repo: &Repo, prefix: &str, row: &mut ProjectRow) {
    match repo.dirty(prefix) {
        Ok(files) if files.is_empty() => {}
        Ok(files) => row.notes.push(format!(
            "read from the commit; these changed files of the work tree were not seen: {}",
            files.join(", ")
        )),
        Err(error) => {
            let note = format!("the state of the work tree is not known: {error}");
            row.notes.push(note);
        }
    }
}

fn person(text: &str) -> anyhow::Result<Person> {
    let parts = text
        .strip_suffix('>')
        .and_then(|text| text.split_once(" <"));
    match parts {
        Some((name, email)) if !name.is_empty() && !email.is_empty() => Ok(Person {
            name: name.to_owned(),
            email: email.to_owned(),
        }),
        _ => anyhow::bail!("--author {text:?}: write it as \"Name <mail@example.org>\""),
    }
}

fn tool_identity() -> Person {
    Person {
        name: "depickle".to_owned(),
        email: "depickle@localhost".to_owned(),
    }
}
