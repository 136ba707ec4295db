//! A share of a fleet's plan, verified.

use std::path::{Path, PathBuf};

use super::chosen::Made;
use super::{Args, Work, failed};
use crate::cli::args::Common;
use crate::cli::fleet::{Shard, borrowed};
use crate::cli::schedule::{caught, each_at};
use crate::cli::stage::asked_for;
use crate::cli::{Exit, STACK};
use crate::journal::{Entry, RepoRecord};
use crate::report::{ProjectRow, Verified};

/// The branches of a share, as its results of `stage` have them: in clones that are here, or in bundles.
pub(super) fn verify(path: &Path, args: &Args) -> anyhow::Result<Exit> {
    let shard = Shard::open(path, &args.share, "verify")?;
    if !shard.has("stage") {
        errln!("this shard of stage has not come to its end; verify it then");
        return Ok(Exit::Retry);
    }
    let run = shard.record("stage")?;
    let common = Common {
        per_host: 4,
        timeout: 600,
        cache_dir: std::env::var_os("DEPICKLE_CACHE_DIR").map(PathBuf::from),
        quiet: true,
        ..asked_for(&run)?.0
    };
    let work = Work {
        args,
        run: &run,
        journal: shard.journal(),
        plan: None,
        common: &common,
        model: common.model()?,
    };
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build()?;
    for planned in shard.left() {
        let name = planned.target.name();
        let one = run.repositories.iter().find(|one| one.target == name);
        let made = run.refs.iter().find(|made| made.target == name);
        let row = if let Some(bundle) = one.and_then(|one| one.bundle.as_ref()) {
            let asked = [(&planned.target, Some(planned.commit.as_str()))];
            let row = std::sync::Mutex::new(Err("it was not come to".to_owned()));
            each_at(&asked, &common, |_, place| {
                let found = place.and_then(|place| {
                    borrowed(planned, &place, bundle, |made| {
                        work.one(&Made::Branch(Box::new(made.clone())))
                    })
                });
                if let Ok(mut row) = row.lock() {
                    *row = found;
                }
                ProjectRow::default()
            })?;
            row.into_inner()
                .unwrap_or_else(|_| Err("it was not come to".to_owned()))
        } else if let Some(made) = made {
            let made = Made::Branch(Box::new(made.clone()));
            if args.execute {
                work.announce(std::slice::from_ref(&made));
            }
            caught(|| pool.install(|| work.one(&made))).and_then(|row| row)
        } else if one.is_some_and(RepoRecord::is_done) {
            // Nothing was staged: there is nothing to verify.
            shard.report(&planned.target, None, serde_json::Value::Null);
            continue;
        } else {
            Err("it is not staged yet; run this shard of stage first".to_owned())
        };
        let row = row.unwrap_or_else(|error| failed(&Made::Files(name.clone(), Vec::new()), error));
        if row.error.is_none() {
            let entry = Entry::Verified {
                target: name,
                proof: row.markdown(),
            };
            shard.journal().append(shard.run(), entry)?;
        }
        let error = row.error.clone();
        let mut kept = serde_json::json!({
            "row": row, "disproven": row.is_disproven(), "incomplete": row.is_incomplete(), "executed": args.execute,
        });
        let shown = Verified {
            schema: "depickle/1",
            run: shard.run().to_owned(),
            executed: args.execute,
            projects: vec![row],
        };
        kept["text"] = shown.text().into();
        shard.report(&planned.target, error.as_deref(), kept);
    }
    shard.end()
}
