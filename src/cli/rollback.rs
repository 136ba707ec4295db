//! `rollback`: takes a run back, everywhere it staged, wrote and pushed.

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};

use super::Exit;
use super::args::RowFormat;
use crate::journal::{Entry, Journal, RunRecord, State};
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
    /// Seconds that git has for one pushed branch, and the longest wait that a forge may ask for
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    timeout: u64,
    /// Seconds from one write to the next at the same server
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pause: u64,
    /// What to print
    #[arg(long, value_name = "FMT", default_value = "text")]
    format: RowFormat,
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
    let text = args.format == RowFormat::Text;
    if text {
        outln!("run {}", run.id);
        let bundled = run.repositories.iter().any(|one| one.bundle.is_some());
        if run.refs.is_empty() && run.files.is_empty() && !bundled {
            outln!("  it staged nothing; there is nothing to undo");
        }
    }
    let refs = undo(&journal, &run, &order).into_iter();
    let mut all: Vec<One> = refs
        .map(|undone| One {
            repository: Some(undone.root),
            what: undone.reference,
            outcome: undone.outcome,
            words: ("deleted", "already gone"),
        })
        .collect();
    all.extend(unpublished(&journal, &run)?);
    let files = restore(&journal, &run).into_iter();
    all.extend(files.map(|(made, outcome)| One {
        repository: None,
        what: made.path.clone(),
        outcome,
        words: match made.original {
            Some(_) => ("put back", "is what it was"),
            None => ("removed", "already gone"),
        },
    }));
    match text {
        true => all.iter().for_each(One::print),
        false => super::print_rows(&run, &all.iter().map(One::as_json).collect::<Vec<_>>())?,
    }
    let refused = |one: &One| matches!(one.outcome, Outcome::Refused { .. });
    Ok(match all.iter().any(refused) {
        true => Exit::Incomplete,
        false => Exit::Done,
    })
}

/// Branches that are in bundles alone: nothing was changed anywhere, and now nothing will be.
fn unpublished(journal: &Journal, run: &RunRecord) -> anyhow::Result<Vec<One>> {
    let mut all = Vec::new();
    for one in &run.repositories {
        let Some(bundle) = &one.bundle else { continue };
        if run.refs.iter().any(|made| made.target == one.target) {
            continue;
        }
        let gone = one.state == State::RolledBack;
        if !gone {
            let entry = Entry::StateReached {
                target: one.target.clone(),
                state: State::RolledBack,
                detail: Some("its bundle was not published".to_owned()),
            };
            journal.append(&run.id, entry)?;
        }
        all.push(One {
            repository: Some(one.target.clone()),
            what: bundle.path.clone(),
            outcome: match gone {
                true => Outcome::AlreadyGone,
                false => Outcome::Deleted,
            },
            words: ("will not be published", "is not to be published"),
        });
    }
    Ok(all)
}

/// What became of one ref, request or file.
struct One {
    /// Files have none.
    repository: Option<String>,
    what: String,
    outcome: Outcome,
    /// What is said of one that was taken back now, and of one that was before.
    words: (&'static str, &'static str),
}

impl One {
    fn word(&self) -> &'static str {
        match &self.outcome {
            Outcome::Deleted => self.words.0,
            Outcome::Closed => "closed",
            Outcome::Reverted { .. } => "merged",
            Outcome::AlreadyGone => self.words.1,
            Outcome::Refused { .. } => "left as it is",
        }
    }

    fn print(&self) {
        let root = self.repository.as_ref().map(|root| format!("{root}  "));
        let place = format!("{}{}", root.unwrap_or_default(), self.what);
        let (place, word) = (printable(&place), self.word());
        match &self.outcome {
            Outcome::Reverted { by } => {
                outln!("  {place}: {word}; to be reverted by {}", printable(by));
            }
            Outcome::Refused { reason, next } => {
                let (reason, next) = (printable(reason), printable(next));
                outln!("  {place}: {word}: {reason}\n    next: {next}");
            }
            _ => outln!("  {place}: {word}"),
        }
    }

    fn as_json(&self) -> Value {
        let (by, reason, next) = match &self.outcome {
            Outcome::Reverted { by } => (Some(by), None, None),
            Outcome::Refused { reason, next } => (None, Some(reason), Some(next)),
            _ => (None, None, None),
        };
        json!({
            "repository": self.repository, "what": self.what, "outcome": self.word().replace(' ', "-"),
            "by": by, "reason": reason, "next": next,
        })
    }
}
