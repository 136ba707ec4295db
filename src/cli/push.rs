//! `push`: brings the branches of a run to where the repositories came from.

use std::io::IsTerminal;
use std::time::Duration;

use super::{Exit, hinted};
use crate::forge::{Kind, RequestState};
use crate::push::{Forge, Opened, Opening, Order, push as publish};
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run, as stage and `depickle runs` print it
    #[arg(value_name = "RUN")]
    run: String,
    /// The remote of repositories on this machine; what was cloned from a URL goes back there
    #[arg(long, value_name = "NAME", default_value = "origin")]
    remote: String,
    /// Open a pull request for each branch, or bring the one that is there up to date
    #[arg(long)]
    open: bool,
    /// Labels for pull requests
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "open")]
    labels: Vec<String>,
    /// Reviewers of pull requests
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "open")]
    reviewers: Vec<String>,
    /// Open them as drafts
    #[arg(long, requires = "open")]
    draft: bool,
    /// Open no more than so many new ones
    #[arg(long, value_name = "N", requires = "open")]
    max_open: Option<usize>,
    /// The kind of forge, where the server's name does not tell it
    #[arg(long, value_name = "KIND", requires = "open")]
    forge: Option<ForgeKind>,
    /// Where its API begins, where that is not the usual place
    #[arg(long, value_name = "URL", requires = "open")]
    api: Option<String>,
    /// Seconds that git has for one repository
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    timeout: u64,
    /// Seconds from one push to the next at the same server
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pause: u64,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ForgeKind {
    Github,
    Gitlab,
    /// Forgejo, too
    Gitea,
}

pub(super) fn push(args: &Args) -> anyhow::Result<Exit> {
    let journal = super::journal()?;
    // Nobody stages or rolls back meanwhile.
    let held = super::held(&journal, &args.run)?;
    let Some(run) = super::recorded(&journal, Some(&args.run))? else {
        anyhow::bail!("no run {} on record; see `depickle runs`", args.run);
    };
    if run.is_taken_back() {
        anyhow::bail!(
            "run {0} was rolled back; stage anew instead, or end it with `depickle rollback {0}`",
            run.id
        );
    }
    let order = Order {
        remote: &args.remote,
        ask: std::io::stdin().is_terminal(),
        patience: Duration::from_secs(args.timeout),
        pause: Duration::from_secs(args.pause),
        lock: &held.shared()?,
        forge: Forge {
            kind: args.forge.map(|kind| match kind {
                ForgeKind::Github => Kind::GitHub,
                ForgeKind::Gitlab => Kind::GitLab,
                ForgeKind::Gitea => Kind::Gitea,
            }),
            api: args.api.as_deref(),
            token: &super::token::token,
        },
        opening: args.open.then(|| Opening {
            labels: &args.labels,
            reviewers: &args.reviewers,
            draft: args.draft,
            most: args.max_open.unwrap_or(usize::MAX),
        }),
    };
    anstream::println!("run {}", run.id);
    if run.refs.is_empty() {
        anstream::println!("  it staged nothing; there is nothing to push");
    }
    let mut failed = 0;
    publish(&journal, &run, &order, |row| {
        let place = printable(&format!("{}  {}", row.target, row.branch));
        match row.outcome {
            Ok(done) => {
                let word = if done.now { "pushed to" } else { "is at" };
                let request = done.request.map(|request| match request {
                    Opened::New(url) => format!("; opened {url}"),
                    Opened::Updated(url) => format!("; brought up to date {url}"),
                    Opened::Empty(url) => format!("; closed {url}: nothing is left to change"),
                    Opened::Ended(url, RequestState::Merged) => format!("; merged before: {url}"),
                    Opened::Ended(url, _) => format!("; closed before, and left so: {url}"),
                    Opened::Enough => "; no pull request yet: --max-open".to_owned(),
                });
                let line = format!("{}{}", done.url, request.unwrap_or_default());
                anstream::println!("  {place}: {word} {}", printable(&line));
            }
            Err(error) => {
                failed += 1;
                let what = match error.is_of_request() {
                    true => "no pull request",
                    false => "not pushed",
                };
                let error = printable(&hinted(&error.to_string(), error.hint()));
                anstream::println!("  {place}: {what}: {error}");
            }
        }
    });
    if !run.finished {
        anstream::eprintln!(
            "the run is not finished; to go on: depickle stage --resume {}",
            run.id
        );
    }
    Ok(match failed {
        0 if run.finished => Exit::Done,
        _ => Exit::Incomplete,
    })
}
