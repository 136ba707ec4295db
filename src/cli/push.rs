//! `push`: brings the branches of a run to where the repositories came from.

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::RowFormat;
use super::{Exit, hinted};
use crate::forge::{Kind, RequestState};
use crate::journal::{Held, Journal};
use crate::push::{Forge, Opened, Opening, Order, Row, push as publish};
use crate::text::printable;

/// Seconds from one pull request to the next, when there are thousands: GitHub takes 500 an hour.
const MANY: u64 = 8;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run, as stage and `depickle runs` print it
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    how: How,
}

/// How a run is pushed.
#[derive(Debug, Clone, clap::Args)]
pub struct How {
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
    /// Seconds that git has for one repository, and the longest wait that a forge may ask for
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    timeout: u64,
    /// Seconds from one write to the next at the same server; 1 by default
    #[arg(long, value_name = "SECONDS")]
    pause: Option<u64>,
    /// What to print
    #[arg(long, value_name = "FMT", default_value = "text")]
    format: RowFormat,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ForgeKind {
    Github,
    Gitlab,
    /// Forgejo, too
    Gitea,
}

impl How {
    /// Seconds that git has for one repository.
    pub(super) fn timeout(&self) -> u64 {
        self.timeout
    }

    /// For so many requests that a forge would mind: slower, unless somebody says how slow.
    pub(super) fn patiently(&self) -> How {
        let pause = self.pause.or(self.open.then_some(MANY));
        How {
            pause,
            ..self.clone()
        }
    }
}

pub(super) fn push(args: &Args) -> anyhow::Result<Exit> {
    let journal = super::journal()?;
    // Nobody stages or rolls back meanwhile.
    let held = super::held(&journal, &args.run)?;
    push_run(&args.how, &args.run, &journal, &held)
}

/// Pushes the run `id`, which nobody else works on.
pub(super) fn push_run(
    args: &How,
    id: &str,
    journal: &Journal,
    held: &Held,
) -> anyhow::Result<Exit> {
    let Some(run) = super::recorded(journal, Some(id))? else {
        anyhow::bail!("no run {id} on record; see `depickle runs`");
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
        pause: Duration::from_secs(args.pause.unwrap_or(1)),
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
    let text = args.format == RowFormat::Text;
    if text {
        outln!("run {}", run.id);
        if run.refs.is_empty() {
            outln!("  it staged nothing; there is nothing to push");
        }
    }
    let (mut failed, mut rows) = (0, Vec::new());
    publish(journal, &run, &order, |row| {
        failed += usize::from(row.outcome.is_err());
        match text {
            true => outln!("  {}", printable(&as_text(&row))),
            false => rows.push(as_json(&row)),
        }
    });
    if !text {
        super::print_rows(&run, &rows)?;
    }
    if !run.finished {
        errln!(
            "the run is not finished; to go on: depickle stage --resume {}",
            run.id
        );
    }
    Ok(match failed {
        0 if run.finished => Exit::Done,
        _ => Exit::Incomplete,
    })
}

/// What became of a request, as a word.
fn word(opened: &Opened) -> &'static str {
    match opened {
        Opened::New(_) => "opened",
        Opened::Updated(_) => "brought-up-to-date",
        Opened::Empty(_) => "closed-as-empty",
        Opened::Ended(_, RequestState::Merged) => "merged-before",
        Opened::Ended(..) => "closed-before",
        Opened::Enough => "not-yet",
    }
}

fn as_text(row: &Row) -> String {
    let said = match &row.outcome {
        Ok(done) => {
            let word = if done.now { "pushed to" } else { "is at" };
            let request = done.request.as_ref().map(|request| match request {
                Opened::New(url) => format!("; opened {url}"),
                Opened::Updated(url) => format!("; brought up to date {url}"),
                Opened::Empty(url) => format!("; closed {url}: nothing is left to change"),
                Opened::Ended(url, RequestState::Merged) => format!("; merged before: {url}"),
                Opened::Ended(url, _) => format!("; closed before, and left so: {url}"),
                Opened::Enough => "; no pull request yet: --max-open".to_owned(),
            });
            format!("{word} {}{}", done.url, request.unwrap_or_default())
        }
        Err(error) => {
            let what = match error.is_of_request() {
                true => "no pull request",
                false => "not pushed",
            };
            format!("{what}: {}", hinted(&error.to_string(), error.hint()))
        }
    };
    format!("{}  {}: {said}", row.target, row.branch)
}

fn as_json(row: &Row) -> Value {
    let (outcome, url, request) = match &row.outcome {
        Ok(done) => {
            let word = if done.now { "pushed" } else { "there" };
            (word, Some(&done.url), done.request.as_ref())
        }
        Err(error) if error.is_of_request() => ("no-request", None, None),
        Err(_) => ("not-pushed", None, None),
    };
    let request = request.map(|request| {
        let url = match request {
            Opened::New(url) | Opened::Updated(url) | Opened::Empty(url) => Some(url),
            Opened::Ended(url, _) => Some(url),
            Opened::Enough => None,
        };
        json!({ "outcome": word(request), "url": url })
    });
    let error = row.outcome.as_ref().err();
    json!({
        "repository": row.target, "branch": row.branch, "outcome": outcome, "url": url, "request": request,
        "error": error.map(ToString::to_string), "next": error.and_then(|error| error.hint()),
    })
}
