//! Slurm: a job array of what is to be done, what its queue says, and what the results say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::json;

use super::engine::{Needs, script};
use super::plan::Plan;
use super::results::{Progress, progress, ranges};
use crate::cli::Exit;
use crate::cli::args::RowFormat;
use crate::cli::save::save;
use crate::text::printable;

/// Beside the results: ids of the arrays that were submitted, a line each.
const JOBS: &str = "slurm.jobs";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Where results are; `results` beside the plan by default
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// What each shard does
    #[arg(long, value_name = "COMMAND", default_value = "stage", value_parser = ["stage", "scan", "diff", "verify"])]
    command: String,
    /// What to print
    #[arg(long, value_name = "FMT", default_value = "text")]
    format: RowFormat,
}

#[derive(Debug, clap::Args)]
pub struct Resume {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    #[command(flatten)]
    needs: Needs,
}

/// Runs a program of Slurm's, and gives what it says.
fn slurm(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| {
            format!("{program} cannot be started; run this where Slurm's programs are")
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => anyhow::bail!("{program}: {}", printable(said.trim())),
    }
}

/// Submits the shards `indexes` as one array.
pub(super) fn submit(
    path: &Path,
    plan: &Plan,
    needs: &Needs,
    indexes: &[usize],
) -> anyhow::Result<Exit> {
    let results = Plan::results(path, needs.results.as_deref())?;
    let log = results.join("log");
    let wrong = |path: &Path| format!("{}: cannot be written", path.display());
    fs::create_dir_all(&log).with_context(|| wrong(&log))?;
    let file = results.join(format!("{}.sbatch", needs.command));
    let text = script(path, plan, needs)?;
    save(&file, text.as_bytes(), "--results names another folder")?;
    let workers = needs.workers.map(|n| format!("%{n}"));
    let array = format!("--array={}{}", ranges(indexes), workers.unwrap_or_default());
    let said = slurm("sbatch", &["--parsable", &array, &file.to_string_lossy()])?;
    // An id, and after a semicolon the cluster's name.
    let id = said.trim().split(';').next().unwrap_or_default().to_owned();
    let jobs = results.join(JOBS);
    let written = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&jobs)
        .and_then(|mut jobs| writeln!(jobs, "{id}"));
    written.with_context(|| wrong(&jobs))?;
    outln!(
        "job {}: {} shards of run {}",
        printable(&id),
        indexes.len(),
        plan.run
    );
    Ok(Exit::Done)
}

/// Ids of the arrays that were submitted.
fn jobs(results: &Path) -> Vec<String> {
    let text = fs::read_to_string(results.join(JOBS)).unwrap_or_default();
    let number = |line: &&str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    text.lines().filter(number).map(str::to_owned).collect()
}

/// The state of each shard that Slurm knows, that of the last array counts: from its queue, else from its accounts.
fn states(results: &Path) -> anyhow::Result<BTreeMap<usize, String>> {
    let mut states = BTreeMap::new();
    for job in jobs(results) {
        let asked = [
            "--noheader",
            "--array",
            "--states=all",
            "--format=%i|%T",
            "--jobs",
            &job,
        ];
        // The queue forgets; the accounts do not, where any are kept.
        let said = slurm("squeue", &asked).or_else(|forgotten| {
            let asked = [
                "--noheader",
                "--parsable2",
                "--allocations",
                "--array",
                "--format=JobID,State",
                "--jobs",
                &job,
            ];
            slurm("sacct", &asked).map_err(|_| forgotten)
        });
        let said = match said {
            Ok(said) => said,
            Err(error) if error.to_string().contains("Invalid job id") => continue,
            Err(error) => return Err(error),
        };
        for line in said.lines() {
            let row = line.trim().split_once('|');
            let row = row.and_then(|(id, state)| Some((id.split_once('_')?.1, state)));
            if let Some((index, state)) = row
                && let Ok(index) = index.parse()
            {
                // `CANCELLED by 0`
                let word = state.split(' ').next().unwrap_or_default();
                states.insert(index, word.to_ascii_lowercase());
            }
        }
    }
    Ok(states)
}

/// Whether Slurm has not come to the end of it.
fn is_under_way(state: &str) -> bool {
    [
        "pending",
        "running",
        "configuring",
        "completing",
        "requeued",
        "requeue_hold",
        "suspended",
        "resizing",
        "signaling",
        "stage_out",
        "special_exit",
    ]
    .contains(&state)
}

/// What is missing and nobody does.
fn idle(shards: &[Progress], states: &BTreeMap<usize, String>) -> Vec<usize> {
    let left = |index: &usize| shards[*index] != Progress::Ended;
    let at_work = |index: &usize| states.get(index).is_some_and(|state| is_under_way(state));
    (0..shards.len())
        .filter(|index| left(index) && !at_work(index))
        .collect()
}

pub(super) fn status(args: &Args) -> anyhow::Result<Exit> {
    let plan = Plan::read(&args.plan)?;
    let results = Plan::results(&args.plan, args.results.as_deref())?;
    let shards = progress(&plan, &results, &args.command)?;
    let states = states(&results)?;
    let repositories = |index: usize| plan.of(index).count();
    let done: usize = shards
        .iter()
        .enumerate()
        .map(|(index, progress)| match progress {
            Progress::NotBegun => 0,
            Progress::Begun(done) => *done,
            Progress::Ended => repositories(index),
        })
        .sum();
    let count = |kind: fn(&Progress) -> bool| shards.iter().filter(|one| kind(one)).count();
    let ended = count(|one| *one == Progress::Ended);
    let begun = count(|one| matches!(one, Progress::Begun(_)));
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states.values() {
        *words.entry(state).or_default() += 1;
    }
    let again = idle(&shards, &states);
    let total = plan.repositories.len();
    match args.format {
        RowFormat::Json => {
            let document = json!({
                "schema": "depickle/1", "run": plan.run, "command": args.command, "repositories": total, "done": done,
                "shards": { "all": plan.shards, "ended": ended, "begun": begun }, "slurm": words, "again": again,
            });
            outln!("{}", crate::report::json_text(&document)?);
        }
        RowFormat::Text => {
            outln!("run {}: {done} of {total} repositories are done", plan.run);
            outln!(
                "  {} shards: {ended} ended, {begun} begun, {} not begun",
                plan.shards,
                plan.shards - ended - begun
            );
            let words = words.iter().map(|(word, n)| format!("{n} {word}"));
            let words: Vec<String> = words.collect();
            if !words.is_empty() {
                outln!("  slurm: {}", printable(&words.join(", ")));
            }
            if !again.is_empty() {
                outln!("  to run again: {}", ranges(&again));
            }
        }
    }
    Ok(match ended == plan.shards {
        true => Exit::Done,
        false => Exit::Incomplete,
    })
}

pub(super) fn resume(args: &Resume) -> anyhow::Result<Exit> {
    let plan = Plan::read(&args.plan)?;
    let results = Plan::results(&args.plan, args.needs.results.as_deref())?;
    let shards = progress(&plan, &results, &args.needs.command)?;
    let again = idle(&shards, &states(&results)?);
    match again.is_empty() {
        true => {
            outln!("nothing is missing that is not under way");
            Ok(Exit::Done)
        }
        false => submit(&args.plan, &plan, &args.needs, &again),
    }
}

pub(super) fn cancel(args: &Args) -> anyhow::Result<Exit> {
    Plan::read(&args.plan)?;
    let results = Plan::results(&args.plan, args.results.as_deref())?;
    let jobs: BTreeSet<String> = jobs(&results).into_iter().collect();
    for job in jobs {
        match slurm("scancel", &[&job]) {
            // Long gone.
            Err(error) if error.to_string().contains("Invalid job id") => {}
            done => drop(done?),
        }
    }
    outln!("what was left is taken out of the queue; `depickle fleet resume` submits it again");
    Ok(Exit::Done)
}
