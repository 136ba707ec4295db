//! Defects of depickle's own, on request (`DEPICKLE_FAULT=panic:WHAT:NAME`): a panic costs what it concerns, is told with its
//! file, and everything else is found and fixed.
#![cfg(debug_assertions)]

use std::process::Output;

use serde_json::Value;

use crate::home::{GUIDE, Home, code, git, stderr, stdout};

/// Loads within reach, with a call of `struck` before, after and not at all; and one of a constant.
const SHOP: &str = r#"import pickle

from flask import Flask, request
from helper import struck

app = Flask(__name__)


@app.route("/behind", methods=["POST"])
def behind():
    data = request.get_data()
    struck()
    first = pickle.loads(data)
    return {"keys": len(first)}


@app.route("/beside", methods=["POST"])
def beside():
    data = request.get_data()
    second = pickle.loads(data)
    return {"keys": len(second)}


def early(data):
    zeroth = pickle.loads(data)
    struck()
    return zeroth


@app.route("/before", methods=["POST"])
def before():
    return {"is": early(request.get_data())}


@app.route("/constant")
def constant():
    struck()
    third = pickle.loads(b"N.")
    return {"is": third}
"#;

fn shop(home: &Home) {
    let files = [
        ("shop.py", SHOP),
        ("helper.py", "def struck():\n    return 1\n"),
        ("good.py", GUIDE),
        (
            "caller.py",
            "from shop import early\n\n\ndef again():\n    return early(b'N.')\n",
        ),
        (
            "settings.py",
            "SESSION_SERIALIZER = 'django.contrib.sessions.serializers.PickleSerializer'\n",
        ),
    ];
    home.repo("shop", &files);
    home.repo("other", &[("other.py", GUIDE)]);
}

fn struck(home: &Home, fault: &str, args: &[&str]) -> Output {
    home.run_with(args, &[("DEPICKLE_FAULT", &format!("panic:{fault}"))])
}

/// What is said of each load of `row`: its file, the name it is given, and the decision with its reason.
fn loads(row: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = row["findings"].as_array().unwrap().iter();
    findings
        .map(|f| {
            let code = text(&f["code"]);
            let name = code.split('=').next().unwrap_or_default().trim();
            format!(
                "{} {name} {} {}",
                text(&f["file"]),
                text(&f["status"]),
                text(&f["reason"])
            )
        })
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// The files of `row` that were not looked at, with their codes.
fn ledger(row: &Value) -> Vec<String> {
    let rows = row["files"]["unparsed"].as_array().unwrap().iter();
    rows.map(|row| {
        format!(
            "{} {}",
            row["file"].as_str().unwrap(),
            row["reason"].as_str().unwrap()
        )
    })
    .collect()
}

#[test]
fn a_panic_of_the_analysis_costs_what_it_may_hide() {
    let home = Home::new();
    shop(&home);
    let rewritten = ["good.py unpickled_data rewrite", "shop.py second rewrite"];
    let none: &[&str] = &[];
    for (fault, told, kept, refused) in [
        // A function that is called on the way to two loads.
        (
            "run:struck",
            "helper.py analysis-failed",
            &rewritten[..],
            &["first", "third"][..],
        ),
        // Below it nobody knows whom a framework would call.
        (
            "module:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            &["first", "second", "third"],
        ),
        (
            "imports:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            &["first", "second", "third"],
        ),
        (
            "mentions:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            &["first", "second", "third"],
        ),
        (
            "plan:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            &["first", "second", "third"],
        ),
        // Then they are not even found.
        (
            "sites:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            none,
        ),
        (
            "parse:shop.py",
            "shop.py parser-failed",
            &rewritten[..1],
            none,
        ),
        (
            "settings:settings.py",
            "settings.py analysis-failed",
            &rewritten[..],
            none,
        ),
        // What joins edits knows no file; who is to blame is found by trying.
        (
            "fit:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            &["first", "second"],
        ),
        (
            "fingerprint:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            &["first", "second", "third"],
        ),
        (
            "finding:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            none,
        ),
        (
            "climb:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            &["first", "second", "third"],
        ),
        (
            "asked:shop.py",
            "shop.py analysis-failed",
            &rewritten[..1],
            &["zeroth"],
        ),
        (
            "naming:caller.py",
            "caller.py analysis-failed",
            &rewritten[..],
            none,
        ),
    ] {
        let output = struck(&home, fault, &["scan", "shop", "other", "--format", "json"]);
        assert_eq!(code(&output), 3, "{fault}: {}", stderr(&output));
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = &run["projects"][0];
        assert_eq!(ledger(row), [told], "{fault}");
        let found = loads(row);
        for load in kept {
            assert!(found.iter().any(|one| one == load), "{fault}: {found:#?}");
        }
        for name in refused {
            let load = format!("shop.py {name} refuse analysis-failed");
            assert!(found.contains(&load), "{fault}: {found:#?}");
        }
        if refused.is_empty() && told.starts_with("shop.py") {
            assert!(
                !found.iter().any(|one| one.starts_with("shop.py")),
                "{fault}: {found:#?}"
            );
        }
        assert_eq!(run["projects"][1]["status"], "ok", "{fault}");
        if fault == "run:struck" {
            // What was seen before the panic, two calls further up, is not lost.
            let findings = row["findings"].as_array().unwrap();
            let code = |f: &&Value| f["code"].as_str().is_some_and(|c| c.contains("zeroth"));
            let zeroth = findings.iter().find(code).unwrap();
            assert_eq!(zeroth["trust"], "http");
            assert_eq!(zeroth["status"], "refuse");
            assert_eq!(zeroth["entries"][0]["route"], "/before", "{zeroth:#}");
        }
        let text = struck(&home, fault, &["scan", "shop"]);
        let said = stdout(&text) + &stderr(&text);
        assert!(said.contains("asked for in"), "{said}");
        assert!(said.contains("please report this"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}

#[test]
fn a_panic_of_a_check_takes_back_what_cannot_be_checked() {
    let home = Home::new();
    shop(&home);
    let output = struck(
        &home,
        "check:shop.py",
        &["stage", "shop", "--format", "json"],
    );
    assert_eq!(code(&output), 3);
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = loads(&run["projects"][0]);
    for load in ["shop.py first", "shop.py second"] {
        let refused = format!("{load} refuse analysis-failed");
        assert!(found.contains(&refused), "{found:#?}");
    }
    assert_eq!(ledger(&run["projects"][0]), ["shop.py analysis-failed"]);
    let rewritten = "good.py unpickled_data rewrite".to_owned();
    assert!(found.contains(&rewritten), "{found:#?}");
    let changed = ["diff", "--name-only", "main", "depickle/pickle-to-json"];
    assert_eq!(git(&home.path("shop"), &changed), "good.py\n");
}

#[test]
fn what_a_panic_spared_is_staged_and_taken_back() {
    let home = Home::new();
    shop(&home);
    let output = struck(&home, "run:struck", &["stage", "shop", "other"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let root = home.path("shop");
    let diff = git(&root, &["diff", "main", "depickle/pickle-to-json"]);
    assert!(diff.contains("+        second = json.loads"), "{diff}");
    assert!(
        diff.contains("+        unpickled_data = json.loads"),
        "{diff}"
    );
    assert!(!diff.contains("+        first"), "{diff}");
    assert!(!git(&home.path("other"), &["branch", "--list", "depickle/*"]).is_empty());
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert!(git(&root, &["branch", "--list", "depickle/*"]).is_empty());
}

#[test]
fn a_panic_that_concerns_a_whole_repository_costs_no_other() {
    let home = Home::new();
    shop(&home);
    for command in ["scan", "diff", "stage"] {
        let output = struck(
            &home,
            "migrate:other.py",
            &[command, "shop", "other", "--format", "json"],
        );
        assert_eq!(code(&output), 3, "{command}: {}", stderr(&output));
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(run["projects"][0]["status"], "ok", "{command}");
        assert_eq!(run["projects"][1]["status"], "failed", "{command}");
        let error = run["projects"][1]["error"].as_str().unwrap();
        assert!(error.contains("asked for in migrate"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error}");
        assert!(!stderr(&output).contains('\u{1b}'), "{}", stderr(&output));
    }
    let runs = stdout(&home.run(&["runs"]));
    assert!(runs.contains("failed"), "{runs}");
}

#[test]
fn a_panic_in_one_report_costs_no_other() {
    let home = Home::new();
    shop(&home);
    let args = [
        "scan",
        "shop",
        "--report",
        "html=page.html",
        "--report",
        "csv=rows.csv",
    ];
    let output = struck(&home, "report:html", &args);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("depickle failed on the html report"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("good.py"), "{}", stdout(&output));
    assert!(home.path("rows.csv").exists());
    assert!(!home.path("page.html").exists());
}

#[test]
fn a_panic_on_one_pickle_or_log_costs_no_other() {
    let home = Home::new();
    for name in ["a.pickle", "b.pickle"] {
        home.write(name, b"\x80\x04K\x01.");
    }
    home.write("a.log", "x\n");
    home.write("b.log", "gASVCQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOULg==\n");
    for (command, one, other, code_of) in [
        ("inspect", "a.pickle", "b.pickle", 3),
        ("convert", "a.pickle", "b.pickle", 3),
        ("hunt", "a.log", "b.log", 3),
    ] {
        let fault = format!("{command}:{one}");
        let output = struck(&home, &fault, &[command, one, other]);
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(code(&output), code_of, "{said}");
        assert!(said.contains("please report this"), "{said}");
        assert!(said.contains(other), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}
