//! `runs`: what is on record.

use serde_json::json;

use super::Exit;
use super::args::Format;
use crate::journal::{Journal, RunRecord};
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
    let journal = Journal::open(&Journal::default_dir()?);
    let runs = match &args.run {
        Some(id) => vec![journal.run(id)?],
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
                    anstream::println!("  {place}  {}", staged.state.word());
                }
                for (root, error) in &run.failures {
                    anstream::println!("  {}  failed: {}", printable(root), printable(error));
                }
            }
        }
        Format::Diff => anyhow::bail!("--format diff: runs are printed as text or json"),
    }
    Ok(Exit::Done)
}

/// One word for a whole run.
fn state(run: &RunRecord) -> &'static str {
    let count = |word: &str| run.refs.iter().filter(|r| r.state.word() == word).count();
    match (run.refs.len(), count("rolled-back"), count("staged")) {
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
                "commit": staged.new, "base": staged.base, "state": staged.state.word(),
            })
        })
        .collect();
    let failures: Vec<_> = run
        .failures
        .iter()
        .map(|(root, error)| json!({ "root": root, "error": error }))
        .collect();
    json!({
        "run": run.id, "started": run.started, "version": run.tool_version,
        "state": state(run), "refs": refs, "failures": failures,
    })
}
