//! `cache`: the clones of URLs.

use std::path::PathBuf;

use anyhow::Context;

use super::Exit;
use super::args::Common;
use super::config::{age, bytes};
use crate::fetch::{Cache, Entry, Kept};
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    act: Option<Act>,
    /// Where clones are kept; ~/.cache/depickle by default
    #[arg(
        long,
        value_name = "DIR",
        env = "DEPICKLE_CACHE_DIR",
        hide_env = true,
        global = true
    )]
    cache_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// List the clones (the default)
    List,
    /// Remove those unused for long, and the longest unused when all are too large; never one with a staged branch
    Prune {
        /// As in 12h or 30d; 30d by default
        #[arg(long, value_name = "AGE")]
        max_age: Option<String>,
        /// As in 500M or 20G; 20G by default
        #[arg(long, value_name = "SIZE")]
        max_size: Option<String>,
    },
    /// Remove all; never one with a staged branch
    Clear,
}

/// The clones of this user, where the options or the environment say.
pub(super) fn open(common: &Common) -> anyhow::Result<Cache> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // The XDG specification says to ignore relative paths in its variables.
    let xdg = || set("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
    let home = || set("HOME").map(|dir| dir.join(".cache"));
    let dir = common.cache_dir.clone();
    let dir = dir.or_else(|| Some(xdg().or_else(home)?.join("depickle")));
    let dir = dir.context(
        "no folder for clones: XDG_CACHE_HOME and HOME are unset; name one with --cache-dir",
    )?;
    Ok(Cache::open(std::path::absolute(dir)?))
}

pub(super) fn cache(args: &Args) -> anyhow::Result<Exit> {
    let common = Common {
        cache_dir: args.cache_dir.clone(),
        ..Common::default()
    };
    let common = common.resolved()?;
    let cache = open(&common)?;
    match &args.act {
        None | Some(Act::List) => {
            let entries = cache.entries()?;
            if entries.is_empty() {
                outln!("no clone is kept");
            }
            entries.iter().for_each(show);
            Ok(Exit::Done)
        }
        Some(Act::Prune { max_age, max_size }) => {
            let mut limits = common.limits;
            if let Some(text) = max_age {
                limits.age = age(text)?;
            }
            if let Some(text) = max_size {
                limits.size = bytes(text)?;
            }
            for entry in cache.prune(limits)? {
                outln!("removed {}", printable(&entry.url));
            }
            Ok(Exit::Done)
        }
        Some(Act::Clear) => {
            let mut exit = Exit::Done;
            for entry in cache.entries()? {
                let url = printable(&entry.url);
                match cache.remove(&entry)? {
                    None => outln!("removed {url}"),
                    Some(Kept::Busy) => {
                        exit = Exit::Incomplete;
                        outln!("kept {url}: another depickle uses it");
                    }
                    Some(Kept::Staged) => {
                        exit = Exit::Incomplete;
                        outln!("kept {url}: a run staged a branch in it; roll the run back first");
                    }
                }
            }
            Ok(exit)
        }
    }
}

fn show(entry: &Entry) {
    let (url, path) = (
        printable(&entry.url),
        printable(&entry.path.display().to_string()),
    );
    let size = entry.size.div_ceil(1 << 20);
    let days = entry.age.as_secs() / 86_400;
    let staged = match entry.branches.as_slice() {
        [] => String::new(),
        branches => format!("  staged: {}", printable(&branches.join(", "))),
    };
    outln!("{url}  {size} MiB  unused for {days} d{staged}\n  {path}");
}
