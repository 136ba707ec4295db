//! `runs`: what is on record, and how far each repository of a run has come.

use clap::ValueEnum;
use serde_json::json;

use super::Exit;
use crate::journal::{RefState, RepoRecord, RunRecord, State};
use crate::report::csv_line;
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of a run, for the table of its repositories; all runs when none is given
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// What to print
    #[arg(long, value_name = "FMT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets: one line for each repository
    Csv,
}

/// In the order in which a repository comes to them.
const STATES: [State; 12] = [
    State::Queued,
    State::Cloned,
    State::Clean,
    State::Findings,
    State::Staged,
    State::Applied,
    State::Pushed,
    State::Opened,
    State::Merged,
    State::Closed,
    State::Failed,
    State::RolledBack,
];

pub(super) fn runs(args: &Args) -> anyhow::Result<Exit> {
    let journal = super::journal()?;
    let runs = match &args.run {
        Some(id) => super::recorded(&journal, Some(id))?.into_iter().collect(),
        None => journal.runs()?,
    };
    match args.format {
        Format::Json => {
            let rows: Vec<_> = runs.iter().map(as_json).collect();
            let document = json!({ "schema": "depickle/1", "runs": rows });
            outln!("{}", crate::report::json_text(&document)?);
        }
        Format::Csv => {
            outln!("run,repository,state,commit,branch,findings,complete,detail");
            for run in &runs {
                for one in &run.repositories {
                    outln!("{}", as_csv(run, one));
                }
            }
        }
        Format::Text => {
            if runs.is_empty() {
                outln!("no run is on record");
            }
            for run in &runs {
                outln!("{}  {}", run.id, summary(run));
                if args.run.is_some() {
                    table(run);
                }
            }
        }
    }
    Ok(Exit::Done)
}

fn table(run: &RunRecord) {
    for one in &run.repositories {
        let mut line = format!("  {:<11}  {}", one.state.word(), one.target);
        if let Some(branch) = branch(run, one) {
            line += &format!("  {branch}");
        }
        if !one.complete {
            line += "  not all of it could be read";
        }
        if let Some(detail) = &one.detail {
            line += &format!("  {detail}");
        }
        outln!("{}", printable(&line));
    }
    if run.is_in_place() && !run.files.is_empty() {
        outln!("  to undo: depickle rollback {}", run.id);
    } else if !run.finished {
        outln!("  to go on: depickle stage --resume {}", run.id);
    } else if run.count(State::Failed) > 0 {
        outln!(
            "  to try the failed again: depickle stage --retry-failed {}",
            run.id
        );
    }
}

/// How many repositories are in which state: `2 staged, 1 failed`.
fn summary(run: &RunRecord) -> String {
    let counts = STATES.iter().map(|state| (run.count(*state), state.word()));
    let counts = counts
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"));
    let mut parts: Vec<String> = counts.collect();
    if parts.is_empty() {
        parts.push("no repository".to_owned());
    }
    if !run.finished {
        parts.push("not finished".to_owned());
    }
    parts.join(", ")
}

/// One word for a whole run.
fn state(run: &RunRecord) -> &'static str {
    let count = |wanted: &RefState| run.states().filter(|state| *state == wanted).count();
    match run.states().count() {
        0 => "nothing staged",
        all if all == count(&RefState::Deleted) => "rolled back",
        all if all == count(&RefState::Created) && run.refs.is_empty() => "applied",
        all if all == count(&RefState::Created) => "staged",
        _ => "in part",
    }
}

/// The branch that the run made for `one`.
fn branch<'r>(run: &'r RunRecord, one: &RepoRecord) -> Option<&'r str> {
    let made = run.refs.iter().find(|made| made.target == one.target)?;
    Some(
        made.reference
            .strip_prefix("refs/heads/")
            .unwrap_or(&made.reference),
    )
}

fn as_json(run: &RunRecord) -> serde_json::Value {
    let refs = run.refs.iter().map(|staged| {
        json!({
            "target": staged.target, "repo": staged.repo, "root": staged.root, "ref": staged.reference,
            "commit": staged.new, "base": staged.base, "state": word(&staged.state),
        })
    });
    let files = run.files.iter().map(
        |made| json!({ "target": made.target, "path": made.path, "state": written(&made.state) }),
    );
    let repositories = run.repositories.iter().map(|one| {
        json!({
            "repository": one.target, "state": one.state, "detail": one.detail, "commit": one.commit,
            "branch": branch(run, one), "findings": one.findings, "complete": one.complete,
        })
    });
    json!({
        "run": run.id, "started": run.started, "version": run.tool_version, "finished": run.finished,
        "state": state(run), "refs": refs.collect::<Vec<_>>(), "files": files.collect::<Vec<_>>(),
        "repositories": repositories.collect::<Vec<_>>(),
    })
}

fn as_csv(run: &RunRecord, one: &RepoRecord) -> String {
    csv_line(&[
        run.id.as_str(),
        &one.target,
        one.state.word(),
        one.commit.as_deref().unwrap_or_default(),
        branch(run, one).unwrap_or_default(),
        &one.findings.to_string(),
        if one.complete { "yes" } else { "no" },
        one.detail.as_deref().unwrap_or_default(),
    ])
}

fn word(state: &RefState) -> &'static str {
    match state {
        RefState::Announced => "announced",
        RefState::Created => "staged",
        RefState::DeleteAnnounced => "being rolled back",
        RefState::Deleted => "rolled back",
        RefState::Refused(_) => "not rolled back",
    }
}

/// Of a file.
fn written(state: &RefState) -> &'static str {
    match state {
        RefState::Created => "applied",
        other => word(other),
    }
}
