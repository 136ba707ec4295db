//! `rollback`: takes a run back, everywhere it staged, wrote and pushed.

use std::io::IsTerminal;
use std::time::Duration;

use super::Exit;
use crate::push::{Forge, Order, rollback as undo};
use crate::stage::{Outcome, restore};
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run, as stage and `depickle runs` print it
    #[arg(value_name = "RUN", conflicts_with = "last")]
    run: Option<String>,
    /// The last run that staged something (the default)
    #[arg(long)]
    last: bool,
    /// Seconds that git has for one pushed branch
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    timeout: u64,
    /// Seconds from one push to the next at the same server
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pause: u64,
}

pub(super) fn rollback(args: &Args) -> anyhow::Result<Exit> {
    let journal = super::journal()?;
    let Some(run) = super::recorded(&journal, args.run.as_deref())? else {
        anyhow::bail!("no run is on record; there is nothing to undo");
    };
    // Nobody stages while it is taken back; and what was staged until now is read once more.
    let held = super::held(&journal, &run.id)?;
    let run = super::recorded(&journal, Some(&run.id))?.unwrap_or(run);
    let order = Order {
        remote: "origin",
        ask: std::io::stdin().is_terminal(),
        patience: Duration::from_secs(args.timeout),
        pause: Duration::from_secs(args.pause),
        lock: &held.shared()?,
        forge: Forge {
            kind: None,
            api: None,
            token: &super::token::token,
        },
        opening: None,
    };
    let mut refused = false;
    anstream::println!("run {}", run.id);
    if run.refs.is_empty() && run.files.is_empty() {
        anstream::println!("  it staged nothing; there is nothing to undo");
    }
    for undone in undo(&journal, &run, &order) {
        let place = printable(&format!("{}  {}", undone.root, undone.reference));
        match undone.outcome {
            Outcome::Deleted => anstream::println!("  {place}: deleted"),
            Outcome::Closed => anstream::println!("  {place}: closed"),
            Outcome::Reverted { by } => {
                let by = printable(&by);
                anstream::println!("  {place}: merged; to be reverted by {by}");
            }
            Outcome::AlreadyGone => anstream::println!("  {place}: already gone"),
            Outcome::Refused { reason, next } => {
                refused = true;
                let (reason, next) = (printable(&reason), printable(&next));
                anstream::println!("  {place}: left as it is: {reason}\n    next: {next}");
            }
        }
    }
    for (made, outcome) in restore(&journal, &run) {
        let path = printable(&made.path);
        let new = made.original.is_none();
        match outcome {
            Outcome::Deleted if new => anstream::println!("  {path}: removed"),
            Outcome::Deleted | Outcome::Closed | Outcome::Reverted { .. } => {
                anstream::println!("  {path}: put back");
            }
            Outcome::AlreadyGone if new => anstream::println!("  {path}: already gone"),
            Outcome::AlreadyGone => anstream::println!("  {path}: is what it was"),
            Outcome::Refused { reason, next } => {
                refused = true;
                let (reason, next) = (printable(&reason), printable(&next));
                anstream::println!("  {path}: left as it is: {reason}\n    next: {next}");
            }
        }
    }
    Ok(if refused {
        Exit::Incomplete
    } else {
        Exit::Done
    })
}
