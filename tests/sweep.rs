//! `verify --execute` over every case that says how its framework is reached: the figures of benches/README.md.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs the program"
)]

#[path = "support/case.rs"]
#[allow(dead_code, reason = "it uses some of it")]
mod case;
#[path = "support/home.rs"]
#[allow(dead_code, reason = "it uses some of it")]
mod home;
#[path = "support/venv.rs"]
mod venv;

use std::collections::BTreeMap;

use case::Case;
use home::{Home, code, stderr};
use serde_json::Value;

/// The options of `stage` that a case asks for.
fn options(case: &Case) -> Vec<String> {
    let mut options = Vec::new();
    let flags = [
        (case.log_rejects, "--log-rejects"),
        (case.dual_read, "--dual-read"),
        (case.finish_dual_read, "--finish-dual-read"),
        (case.suggestions, "--suggestions"),
    ];
    options.extend(
        flags
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, flag)| (*flag).to_owned()),
    );
    if let Some(to) = &case.to {
        options.extend(["--to".to_owned(), to.clone()]);
    }
    if let Some(message) = &case.message {
        options.extend(["--message".to_owned(), message.clone()]);
    }
    if let Some(trust) = &case.trust {
        options.extend([
            "--trust".to_owned(),
            format!("http,network,{}", trust.word()),
        ]);
    }
    options
}

/// Takes some minutes: two starts of an application for each request.
#[test]
#[ignore = "some minutes: cargo test --test sweep -- --ignored --nocapture"]
fn every_case_that_is_run_is_proven_or_says_why_not() {
    let chosen = std::env::var("DEPICKLE_SWEEP").unwrap_or_default();
    let mut groups: BTreeMap<Vec<String>, Vec<Case>> = BTreeMap::new();
    let cases = case::all().into_iter().flatten();
    for case in cases.filter(|case| {
        case.request.is_some() && chosen.split(',').any(|part| case.name.contains(part))
    }) {
        groups.entry(options(&case)).or_default().push(case);
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut cases, mut loads, mut wrong) = (0, 0, Vec::new());
    for (options, group) in &groups {
        let home = Home::new();
        let names: Vec<String> = group
            .iter()
            .map(|case| case.name.replace('/', "-"))
            .collect();
        for (case, name) in group.iter().zip(&names) {
            let files = case.before.iter();
            let files = files.map(|(path, text)| (path.as_str(), text.as_str()));
            home.repo(name, &files.collect::<Vec<_>>());
        }
        let args = ["stage", "-q"]
            .into_iter()
            .chain(names.iter().map(String::as_str));
        let args: Vec<&str> = args.chain(options.iter().map(String::as_str)).collect();
        let staged = home.run(&args);
        assert!(matches!(code(&staged), 0 | 1), "{}", stderr(&staged));
        let runs = home.json(&["runs", "--format", "json"]);
        let run = runs["runs"][0]["run"].as_str().unwrap();
        let python = venv::python().to_str().unwrap();
        let verified: Value = home.json(&[
            "verify",
            "--run",
            run,
            "--execute",
            "--format",
            "json",
            "--python",
            python,
        ]);
        let rows = verified["projects"].as_array().unwrap();
        cases += rows.len();
        for row in rows {
            let name = row["root"].as_str().unwrap();
            for finding in row["findings"].as_array().unwrap() {
                loads += 1;
                let verdict = finding["verdict"].as_str().unwrap();
                let proofs = finding["proofs"].as_array().unwrap();
                let open = proofs.iter().filter(|proof| proof["verdict"] != "proven");
                let mut word = verdict.to_owned();
                for proof in open {
                    let reason = proof["reason"].as_str().unwrap_or_default();
                    println!("{name}: {verdict} ({reason}): {}", proof["message"]);
                    if verdict == proof["verdict"] && word == verdict {
                        word = format!("{verdict} ({reason})");
                    }
                }
                *counts.entry(word).or_default() += 1;
                if verdict == "disproven" || finding["gone"] != true {
                    wrong.push(format!("{name}: {finding:#}"));
                }
            }
            if row["status"] != "ok" || row["new"].as_array().is_none_or(|new| !new.is_empty()) {
                wrong.push(format!("{row:#}"));
            }
        }
    }
    println!("{cases} cases, {loads} loads: {counts:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
