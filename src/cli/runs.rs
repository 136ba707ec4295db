//! `runs`: what is on record.

use serde_json::json;

use super::Exit;
use super::args::Format;
use crate::journal::{RefState, RunRecord};
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of a run; all of them when none is given
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// text or json
    #[arg(long, value_name = "FMT", default_value = "text")]
    format: Format,
}

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
            anstream::println!("{}", serde_json::to_string_pretty(&document)?);
        }
        Format::Text => {
            if runs.is_empty() {
                anstream::println!("no run is on record");
            }
            for run in &runs {
                anstream::println!("{}  {}", run.id, state(run));
                for staged in &run.refs {
                    let place = printable(&format!("{}  {}", staged.root, staged.reference));
                    anstream::println!("  {place}  {}", word(&staged.state));
                }
                for failure in &run.failures {
                    let (repo, error) = (printable(&failure.repo), printable(&failure.error));
                    anstream::println!("  {repo}  failed: {error}");
                }
            }
        }
        Format::Diff => anyhow::bail!("--format diff: runs are printed as text or json"),
    }
    Ok(Exit::Done)
}

/// One word for a whole run.
fn state(run: &RunRecord) -> &'static str {
    let count = |word: &str| {
        run.refs
            .iter()
            .filter(|r| self::word(&r.state) == word)
            .count()
    };
    match (run.refs.len(), count("rolled back"), count("staged")) {
        (0, ..) => "nothing staged",
        (all, gone, _) if all == gone => "rolled back",
        (all, _, staged) if all == staged => "staged",
        _ => "in part",
    }
}

fn as_json(run: &RunRecord) -> serde_json::Value {
    let refs: Vec<_> = run
        .refs
        .iter()
        .map(|staged| {
            json!({
                "repo": staged.repo, "root": staged.root, "ref": staged.reference,
                "commit": staged.new, "base": staged.base, "state": word(&staged.state),
            })
        })
        .collect();
    let failures: Vec<_> = run
        .failures
        .iter()
        .map(|failure| json!({ "repo": failure.repo, "error": failure.error }))
        .collect();
    json!({
        "run": run.id, "started": run.started, "version": run.tool_version,
        "state": state(run), "refs": refs, "failures": failures,
    })
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
