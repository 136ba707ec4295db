//! `fleet merge`: results of shards to the run that they are parts of.
//!
//! Invariant: the same results give the same journal, byte for byte, however often they are put together; and what was
//! done with the run since is never lost.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::plan::Plan;
use super::results::{Done, by_target, lines, ranges};
use crate::cli::args::Common;
use crate::cli::output::{Report, print};
use crate::cli::scan::exit;
use crate::cli::{Exit, held, hinted};
use crate::journal::{Entry, Journal, Line};
use crate::pack::Model;
use crate::report::{Format, ProjectRow, Rule, Run, kept};
use crate::text::{printable, printable_lines};

/// So many missing repositories are named.
const NAMED: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// What the shards wrote; all in `results` beside the plan by default
    #[arg(value_name = "RESULTS")]
    results: Vec<PathBuf>,
    /// What to print
    #[arg(long, value_name = "FMT")]
    format: Option<Format>,
    /// Write there instead of to the terminal
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a report besides, as often as given: sarif=out/, html=run.html
    #[arg(long, value_name = "FMT=FILE")]
    report: Vec<Report>,
    /// List every load, not only those within reach
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn merge(args: &Args) -> anyhow::Result<Exit> {
    let plan = Plan::read(&args.plan)?;
    let files = match args.results.is_empty() {
        true => all_in(&Plan::results(&args.plan, None)?)?,
        false => args.results.clone(),
    };
    let parts = Parts::read(&plan, &files)?;
    let mut looked: Vec<&str> = parts.commands().into_iter().collect();
    looked.retain(|command| *command != "verify");
    let verified = parts.commands().contains("verify");
    if let [one, other, ..] = looked[..] {
        anyhow::bail!(
            "these are results of {one} and of {other}; name those of one: results/{one}-*.jsonl"
        );
    }
    let mut done = Exit::Done;
    if !verified || !looked.is_empty() {
        let command = looked.first().copied().unwrap_or("stage");
        done = done.max(whole(args, &plan, &parts, command)?);
    }
    if verified {
        done = done.max(proofs(args, &plan, &parts)?);
    }
    Ok(done)
}

/// The files with results in `folder`, those of shards that have not ended, too.
fn all_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).with_context(|| {
        format!(
            "{}: cannot be read; name the results after the plan",
            folder.display()
        )
    })?;
    let mut files = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.to_string_lossy();
        if name.ends_with(".jsonl") || name.ends_with(".jsonl.part") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Results, a file each.
struct Parts(Vec<(HashMap<String, Done>, BTreeSet<String>)>);

impl Parts {
    fn read(plan: &Plan, files: &[PathBuf]) -> anyhow::Result<Parts> {
        let mut parts = Vec::new();
        for file in files {
            if !file.exists() {
                anyhow::bail!("{}: is not there; check its name", file.display());
            }
            parts.push(by_target(lines(file, &plan.run)?));
        }
        Ok(Parts(parts))
    }

    fn commands(&self) -> BTreeSet<&str> {
        let all = self.0.iter().flat_map(|(_, commands)| commands);
        all.map(String::as_str).collect()
    }

    /// What became of `target` by `command`: of several that did it, the first that came to an end.
    fn of(&self, target: &str, command: &str) -> Option<&Done> {
        let by = |commands: &BTreeSet<String>| commands.is_empty() || commands.contains(command);
        let mut all = self
            .0
            .iter()
            .filter(|(_, commands)| by(commands))
            .filter_map(|(all, _)| all.get(target));
        let first = all.clone().next();
        all.find(|done| done.finished).or(first)
    }
}

/// The run of `command`, printed; its journal, if it has one.
fn whole(args: &Args, plan: &Plan, parts: &Parts, command: &str) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    let beginning = plan.beginning()?;
    // The same each time.
    let planned = beginning.at.clone();
    let mut journal = vec![beginning];
    let mut missing: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for one in &plan.repositories {
        let name = one.target.name();
        let done = parts.of(&name, command);
        journal.extend(done.iter().flat_map(|done| done.lines.iter().cloned()));
        let finished = done.filter(|done| done.finished);
        let row = finished.and_then(|done| done.row.clone());
        match row {
            Some(row) => rows.push(kept(row).with_context(|| {
                format!("{name}: its result is none of this version; run its shard again")
            })?),
            None => {
                let shard = one.shard;
                missing.entry(shard).or_default().push(name.clone());
                let error = format!("no result of it is there; run shard {shard} again");
                rows.push(ProjectRow::failed(&name, error));
            }
        }
    }
    let last = journal.iter().map(|line| line.at.clone()).max();
    let line = |at: &str, entry: Entry| Line {
        at: at.to_owned(),
        run: plan.run.clone(),
        entry,
    };
    for one in &plan.failed {
        let name = one.target.name();
        journal.push(line(
            &planned,
            Entry::StageFailed {
                target: name.clone(),
                repo: one.target.location.clone(),
                error: one.error.clone(),
            },
        ));
        rows.push(ProjectRow::failed(&name, one.error.clone()));
    }
    let count = |kind: fn(&ProjectRow) -> bool| rows.iter().filter(|row| kind(row)).count();
    let (staged, failed) = (
        count(|row| row.branch.is_some()),
        count(|row| row.status == "failed"),
    );
    if missing.is_empty() {
        let at = last.unwrap_or_default();
        journal.push(line(&at, Entry::RunFinished { staged, failed }));
    }
    if command == "stage" {
        put(plan, journal)?;
    }
    let order = plan.settings.common.order();
    let mut run = Run::new(plan.run.clone(), order.trust.clone());
    run.tests = order.tests;
    run.rules = Rule::all(&Model::builtin()?);
    run.projects = rows;
    let common = Common {
        format: args.format,
        output: args.output.clone(),
        report: args.report.clone(),
        verbose: args.verbose,
        ..plan.settings.common.clone()
    };
    common.fits(run.projects.len())?;
    print(
        &common,
        &run,
        match command {
            "diff" => Format::Diff,
            _ => Format::Text,
        },
    )?;
    let total = plan.repositories.len();
    let gone: usize = missing.values().map(Vec::len).sum();
    errln!(
        "run {}: {} of {total} repositories are here",
        plan.run,
        total - gone
    );
    if missing.is_empty() {
        if command == "stage" && staged > 0 {
            errln!("to undo it: depickle rollback {}", plan.run);
        }
        return Ok(exit(&run, |run, row| match command {
            "scan" => row.findings.iter().any(|f| run.counts(f)),
            "diff" => !row.changes.is_empty(),
            _ => false,
        }));
    }
    for name in missing.values().flatten().take(NAMED) {
        errln!("missing: {}", printable(name));
    }
    if gone > NAMED {
        errln!("missing: {} more", gone - NAMED);
    }
    let indexes: Vec<usize> = missing.into_keys().collect();
    errln!("to run again: {}", ranges(&indexes));
    Ok(Exit::Incomplete)
}

/// Makes `lines` the record of the run, unless that has gone on since.
fn put(plan: &Plan, lines: Vec<Line>) -> anyhow::Result<()> {
    let journal = crate::cli::journal()?;
    let _held = held(&journal, &plan.run)?;
    let fail = |error: crate::journal::JournalError| {
        anyhow::anyhow!(hinted(&error.to_string(), error.hint()))
    };
    let before = journal.lines(&plan.run).map_err(fail)?;
    if before.starts_with(&lines) {
        return Ok(());
    }
    let now = texts(&lines);
    let ended = |line: &&Line| !matches!(line.entry, Entry::RunFinished { .. });
    let mut since = before.iter().filter(ended);
    if let Some(since) = since.find(|line| !now.contains(&text(&line.entry))) {
        anyhow::bail!(
            "run {} has gone on since it was put together ({}), and these results do not have that; \
             roll it back first, or put together what was put together then",
            plan.run,
            since.at
        );
    }
    journal.put(&plan.run, &lines).map_err(fail)
}

/// What is said by an entry, whenever.
fn text(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap_or_default()
}

fn texts(lines: &[Line]) -> HashSet<String> {
    lines.iter().map(|line| text(&line.entry)).collect()
}

/// What `verify` found, onto the record of the run, and printed.
fn proofs(args: &Args, plan: &Plan, parts: &Parts) -> anyhow::Result<Exit> {
    let journal: Journal = crate::cli::journal()?;
    let _held = held(&journal, &plan.run)?;
    let known = texts(&journal.lines(&plan.run)?);
    let mut missing: BTreeSet<usize> = BTreeSet::new();
    let mut rows: Vec<&Value> = Vec::new();
    for one in &plan.repositories {
        let done = parts.of(&one.target.name(), "verify");
        let Some(done) = done.filter(|done| done.finished) else {
            missing.insert(one.shard);
            continue;
        };
        for line in &done.lines {
            if !known.contains(&text(&line.entry)) {
                journal.append(&plan.run, line.entry.clone())?;
            }
        }
        rows.extend(done.row.as_ref().filter(|row| !row.is_null()));
    }
    let is = |key: &str| rows.iter().any(|row| row[key] == true);
    match args.format {
        Some(Format::Json) => {
            let projects: Vec<&Value> = rows.iter().map(|row| &row["row"]).collect();
            let document = json!({
                "schema": "depickle/1", "run": plan.run, "executed": is("executed"), "projects": projects,
            });
            outln!("{}", crate::report::json_text(&document)?);
        }
        _ => {
            for row in &rows {
                let text = row["text"].as_str().unwrap_or_default();
                out!("{}", printable_lines(text));
            }
        }
    }
    if !missing.is_empty() {
        let indexes: Vec<usize> = missing.into_iter().collect();
        errln!("to verify again: {}", ranges(&indexes));
        return Ok(Exit::Incomplete);
    }
    Ok(match (is("disproven"), is("incomplete")) {
        (true, _) => Exit::Findings,
        (_, true) => Exit::Incomplete,
        _ => Exit::Done,
    })
}
