//! The command line: one file per command. Arguments become values here and nowhere else.
//!
//! Invariant: exit codes say what happened: see [`Exit`]. Never 0 for "I did not look".
#![expect(
    clippy::disallowed_methods,
    reason = "is where arguments, files and the environment come in"
)]

/// Text for standard output. What cannot be written stops nothing that is under way, and is told at the end.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::output::put(format_args!($($text)*)) };
}

/// A line for standard output.
macro_rules! outln {
    ($($text:tt)*) => { out!("{}\n", format_args!($($text)*)) };
}

/// A line for standard error; where nobody can be told, nobody is.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::output::tell(format_args!("{}\n", format_args!($($text)*))) };
}

mod apply;
mod approve;
mod args;
mod baseline;
mod bench;
mod branch;
mod cache;
mod commit;
mod completions;
mod config;
mod convert;
mod demo;
mod explain;
mod fleet;
mod help;
mod hunt;
mod init;
mod inspect;
mod man;
mod output;
mod pinned;
mod progress;
mod push;
mod review;
mod rollback;
mod runs;
mod save;
mod scan;
mod schedule;
mod stage;
mod target;
mod targets;
mod token;
mod verify;
mod window;
mod with_tests;

use std::ffi::OsString;
use std::process::ExitCode;

pub use config::configured;

use clap::error::ContextValue;
use clap::{FromArgMatches, Parser, Subcommand};

use crate::journal::{Held, Journal, JournalError, RunRecord};
use crate::push::PushError;
use crate::repo::RepoError;
use crate::stage::StageError;

pub use crate::trace::STACK;

/// What a command comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Clean, or done.
    Done = 0,
    /// Findings, or a patch that is not empty.
    Findings = 1,
    /// Wrong use, or an error of the tool.
    Error = 2,
    /// Some file or repository could not be looked at; wins over findings.
    Incomplete = 3,
    /// A shard of a fleet failed in a way that is not worth another try (`EX_DATAERR`).
    Failed = 65,
    /// A shard of a fleet is worth another try (`EX_TEMPFAIL`).
    Retry = 75,
}

#[derive(Debug, Parser)]
#[command(name = "depickle", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find every load; say which an attacker can reach, and by which way
    Scan(scan::ScanArgs),
    /// Write down the loads that are there: scan --baseline fails for new ones
    Baseline(baseline::Args),
    /// Write a CI check that does that: GitHub Actions, GitLab CI, pre-commit
    Init(init::Args),
    /// Dry run: print the patch that stage would commit; write nothing
    Diff(scan::DiffArgs),
    /// Sign what diff --save wrote, so that stage --plan --require-approval takes it
    Approve(approve::Args),
    /// Commit that patch on a new branch in each repository
    Stage(stage::Args),
    /// Write that patch into the files; rollback puts them back
    ///
    /// Of one folder all files are written or none, each whole, with its mode, owner and times.
    Apply(apply::Args),
    /// Scan the branches of a run again; with --execute attack the program
    ///
    /// The branches of a run are held against what they should do. With --execute, each application is run before and after
    /// the change, in copies, and attacked.
    Verify(verify::Args),
    /// Push the branches of a run to where the repositories came from
    Push(push::Args),
    /// Undo a run: what it committed, pushed, opened or wrote
    ///
    /// Only what is still as the run left it is taken back; the rest is listed with the commands to do it by hand.
    Rollback(rollback::Args),
    /// One run on many machines, by an engine that is there already: Slurm, Kubernetes
    Fleet(fleet::Args),
    /// The runs on record and their state
    Runs(runs::Args),
    /// The clones of URLs: list, prune, clear
    Cache(cache::Args),
    /// What the configuration comes to, and where each of it is from
    Config(config::Args),
    /// A transform, framework, sink, reason or load in words
    Explain(explain::Args),
    /// What pickles would import and call, without loading them
    Inspect(inspect::Args),
    /// Stored pickles to JSON, without loading them
    ///
    /// A dry run unless it is told where to write; rollback takes it back.
    Convert(convert::Args),
    /// Signs of attacks with pickles in logs; and searches for them
    Hunt(hunt::Args),
    /// Pickle against JSON and its like, in time and bytes, on the repository's own values
    Bench(bench::Args),
    /// Show the whole way on a small vulnerable shop in a temporary folder
    Demo(demo::Args),
    /// Print what a shell needs to complete these commands
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
}

/// Runs the command line `args`, program name first, and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crate::defect::listen();
    let matches = match help::command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(mut error) => {
            misused(&mut error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = match Cli::from_arg_matches(&matches) {
        Ok(cli) => run(cli.command),
        Err(error) => Err(error.into()),
    };
    let outcome = outcome.and_then(|exit| match output::lost() {
        Some(error) => Err(error),
        None => Ok(exit),
    });
    match outcome {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            // A reader that went away (`| head`) is no error worth words.
            let broken = error.chain().any(|cause| {
                let io = cause.downcast_ref::<std::io::Error>();
                io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
            });
            if let Some(mistake) = error.downcast_ref::<crate::pack::PackError>() {
                // Its lines are its own, and what is shown in them is printable.
                errln!("error: {mistake}");
            } else if !broken {
                let what = hinted(&format!("{error:#}"), hint(&error));
                errln!("error: {}", crate::text::printable(&what));
            }
            ExitCode::from(Exit::Error as u8)
        }
    }
}

/// Says what is wrong with the command line, which may be made of names that somebody else gave.
fn misused(error: &mut clap::Error) {
    use crate::text::{printable, printable_lines};
    let quoted = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, printable(text))),
        _ => None,
    });
    for (kind, text) in quoted.collect::<Vec<_>>() {
        error.insert(kind, ContextValue::String(text));
    }
    let plain = error.render().to_string();
    if printable_lines(&plain) == plain {
        let _ = error.print();
    } else {
        errln!("{}", printable_lines(&plain).trim_end());
    }
}

fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Scan(args) => scan::scan(&args),
        Command::Baseline(args) => baseline::baseline(&args),
        Command::Init(args) => init::init(&args),
        Command::Diff(args) => scan::diff(&args),
        Command::Approve(args) => approve::approve(&args),
        Command::Stage(args) => stage::stage(&args),
        Command::Apply(args) => apply::apply(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Push(args) => push::push(&args),
        Command::Rollback(args) => rollback::rollback(&args),
        Command::Fleet(args) => fleet::fleet(&args),
        Command::Runs(args) => runs::runs(&args),
        Command::Cache(args) => cache::cache(&args),
        Command::Config(args) => config::config(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Hunt(args) => hunt::hunt(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => man::man(&args),
    }
}

/// The record of runs, where the environment says.
fn journal() -> anyhow::Result<Journal> {
    let opened = Journal::default_dir().and_then(Journal::open);
    opened.map_err(|error| anyhow::anyhow!(hinted(&error.to_string(), error.hint())))
}

/// Keeps every other process off the run called `id`.
fn held(journal: &Journal, id: &str) -> anyhow::Result<Held> {
    let held = journal.hold(id);
    held.map_err(|error| anyhow::anyhow!(hinted(&error.to_string(), error.hint())))
}

/// The run called `id`; the last that can be undone when none is named.
fn recorded(journal: &Journal, id: Option<&str>) -> anyhow::Result<Option<RunRecord>> {
    let run = match id {
        Some(id) => journal.run(id).map(Some),
        None => journal.last(),
    };
    run.map_err(|error: JournalError| anyhow::anyhow!(hinted(&error.to_string(), error.hint())))
}

/// Prints what was done about `run`, one row for each thing.
fn print_rows(run: &RunRecord, rows: &[serde_json::Value]) -> anyhow::Result<()> {
    let document = serde_json::json!({ "schema": "depickle/1", "run": run.id, "rows": rows });
    let text = crate::report::json_text(&document)?;
    outln!("{text}");
    Ok(())
}

/// What to do about an error that came up as it was.
fn hint(error: &anyhow::Error) -> Option<String> {
    let journal = error
        .downcast_ref::<JournalError>()
        .and_then(JournalError::hint);
    let repo = || error.downcast_ref::<RepoError>().and_then(RepoError::hint);
    let stage = || {
        error
            .downcast_ref::<StageError>()
            .and_then(StageError::hint)
    };
    let push = || error.downcast_ref::<PushError>().and_then(PushError::hint);
    journal.or_else(repo).or_else(stage).or_else(push)
}

/// What happened, and what to do next, in one line.
fn hinted(what: &str, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{what}; {hint}"),
        None => what.to_owned(),
    }
}
