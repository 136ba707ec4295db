//! Many repositories in one run: fetched from real servers, stopped at every step and gone on with, mixed with every
//! trouble. Git is the judge.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories, runs git and servers"
)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;

#[path = "support/servers.rs"]
mod servers;

#[path = "many/committing.rs"]
mod committing;
#[path = "many/fetching.rs"]
mod fetching;
#[path = "many/kinds.rs"]
mod kinds;
#[path = "many/signing.rs"]
mod signing;
#[path = "many/stopping.rs"]
mod stopping;
#[path = "many/troubles.rs"]
mod troubles;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use home::{GUIDE, Home, code, git, refs, stderr, stdout};
use serde_json::Value;

const BRANCH: &str = "depickle/pickle-to-json";

/// Runs are dated, so that ids and commits are the same each time.
const DATED: (&str, &str) = ("SOURCE_DATE_EPOCH", "1795392000");

/// The newest run on record.
fn run(home: &Home) -> Value {
    home.json(&["runs", "--format", "json"])["runs"][0].clone()
}

fn id(home: &Home) -> String {
    run(home)["run"].as_str().unwrap().to_owned()
}

/// The state of each repository of the newest run.
fn states(home: &Home) -> Vec<(String, String)> {
    let run = run(home);
    let rows = run["repositories"].as_array().unwrap().iter();
    let word = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.map(|row| (word(row, "repository"), word(row, "state")))
        .collect()
}
