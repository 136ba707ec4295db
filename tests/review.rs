//! `diff -i`: what was accepted is what is planned, and what is staged; what was skipped stays, with its reason in the plan.
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs programs"
)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use home::{GUIDE, Home, code, git, stderr, stdout};
use serde_json::Value;
use snapshot::snapshot;

/// A load alone, two that read what one writer writes, and two of the same words in one function.
const SHOP: &str = r#"import base64
import pickle

from flask import Flask, make_response, request

app = Flask(__name__)


@app.route("/load", methods=["POST"])
def load():
    value = pickle.loads(request.get_data())
    return {"keys": len(value)}


@app.route("/save")
def save():
    response = make_response("saved")
    response.set_cookie("cart", base64.b64encode(pickle.dumps({"items": []})).decode())
    return response


@app.route("/cart")
def cart():
    cart = pickle.loads(base64.b64decode(request.cookies["cart"]))
    return {"n": len(cart["items"])}


@app.route("/total")
def total():
    cart = pickle.loads(base64.b64decode(request.cookies["cart"]))
    return {"n": len(cart["items"])}


@app.route("/twice", methods=["POST"])
def twice():
    first = pickle.loads(request.data)

    second = pickle.loads(request.data)
    return {"n": len(first["n"]) + len(second["n"])}
"#;

fn shop(home: &Home) -> std::path::PathBuf {
    home.repo("shop", &[("app.py", SHOP), ("api.py", GUIDE)])
}

/// The program with `answers` on a pipe.
fn answered(home: &Home, args: &[&str], answers: &str) -> Output {
    let mut program = home.program(args);
    let program = program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that quits does not read to the end.
    let _ = stdin.write_all(answers.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn plan(home: &Home) -> Value {
    serde_json::from_slice(&std::fs::read(home.path("plan.json")).unwrap()).unwrap()
}

const SAVE: [&str; 5] = ["diff", "shop", "-i", "--save", "plan.json"];

#[test]
fn what_was_accepted_is_staged_and_nothing_else() {
    let home = Home::new();
    let root = shop(&home);
    // api.py, load, cart with total and save, twice, twice.
    let answers = "?\na\ns behind the VPN\ne\na\nr shown to ops\nnonsense\na\nb\nr checked by hand\na\ns\nfor March\ny\n";
    let reviewed = answered(&home, &SAVE, answers);
    assert_eq!(code(&reviewed), 1, "{}", stderr(&reviewed));
    snapshot(
        "review",
        &stderr(&reviewed),
        &[(r"\b[0-9a-f]{16}\b", "[fingerprint]")],
    );

    let plan = plan(&home);
    let said = plan["repositories"][0]["reviewed"].as_array().unwrap();
    let mut said: Vec<(&str, u64, bool, &str)> = said
        .iter()
        .map(|one| {
            let reason = one["reason"].as_str().unwrap_or_default();
            let file = one["file"].as_str().unwrap();
            (
                file,
                one["line"].as_u64().unwrap(),
                one["accepted"].as_bool().unwrap(),
                reason,
            )
        })
        .collect();
    said.sort_unstable();
    let expected = [
        ("api.py", 11, true, ""),
        ("app.py", 11, false, "behind the VPN"),
        ("app.py", 24, true, ""),
        ("app.py", 30, true, ""),
        ("app.py", 36, true, "checked by hand"),
        ("app.py", 38, false, "for March"),
    ];
    assert_eq!(said, expected);

    let staged = home.run(&["stage", "--plan", "plan.json"]);
    assert_eq!(code(&staged), 0, "{}{}", stdout(&staged), stderr(&staged));
    assert!(
        stdout(&staged).contains("app.py:11 was skipped in review: behind the VPN"),
        "{}",
        stdout(&staged)
    );
    // What was left on purpose is nothing that verify misses.
    let verified = home.run(&["verify", "shop"]);
    assert_eq!(code(&verified), 0, "{}", stdout(&verified));
    assert!(
        stdout(&verified).contains("4 of 4 loads are gone, none is new"),
        "{}",
        stdout(&verified)
    );
    // What the dialogue printed at its end is what git has.
    home.write("patch", stdout(&reviewed));
    git(&root, &["apply", "../patch"]);
    let branch = "depickle/safe-loads";
    let branch = match git(&root, &["branch", "--list", branch]).is_empty() {
        true => "depickle/pickle-to-json",
        false => branch,
    };
    assert_eq!(git(&root, &["diff", branch]), "");
    let now = git(&root, &["show", &format!("{branch}:app.py")]);
    assert_eq!(now.matches("pickle.loads(").count(), 2, "{now}");
    assert!(
        now.contains("    value = pickle.loads(request.get_data())\n"),
        "{now}"
    );
    assert!(
        now.contains("\n    second = pickle.loads(request.data)\n"),
        "{now}"
    );
    assert!(now.contains("json.dumps({\"items\": []})"), "{now}");
}

#[test]
fn a_group_is_skipped_as_a_whole() {
    let home = Home::new();
    let root = shop(&home);
    let reviewed = answered(&home, &SAVE, "a\na\ns old clients\nA\ny\n");
    assert_eq!(code(&reviewed), 1, "{}", stderr(&reviewed));
    let patch = stdout(&reviewed);
    assert!(
        !patch.contains("cookies") && !patch.contains("dumps"),
        "{patch}"
    );
    let staged = home.run(&["stage", "--plan", "plan.json", "--split", "file"]);
    assert_eq!(code(&staged), 2, "{}", stderr(&staged));
    assert_eq!(code(&home.run(&["stage", "--plan", "plan.json"])), 0);
    home.write("patch", patch);
    git(&root, &["apply", "../patch"]);
    assert_eq!(git(&root, &["diff", "depickle/pickle-to-json"]), "");
}

#[test]
fn a_plan_that_leaves_all_says_so_and_a_repository_without_its_load_fails() {
    let home = Home::new();
    let root = shop(&home);
    let reviewed = answered(&home, &SAVE, "S\ny\n");
    assert_eq!(code(&reviewed), 0, "{}", stderr(&reviewed));
    assert_eq!(stdout(&reviewed), "");
    assert_eq!(
        plan(&home)["repositories"][0]["reviewed"]
            .as_array()
            .unwrap()
            .len(),
        6
    );
    let staged = home.run(&["stage", "--plan", "plan.json"]);
    assert_eq!(code(&staged), 2);
    assert!(
        stderr(&staged).contains("the plan changes nothing"),
        "{}",
        stderr(&staged)
    );

    // A plan from which somebody struck a reason to skip is not what was made.
    assert_eq!(code(&answered(&home, &SAVE, "a\nS\ny\n")), 1);
    let text = std::fs::read_to_string(home.path("plan.json")).unwrap();
    home.write(
        "plan.json",
        text.replace("\"accepted\": false", "\"accepted\": true"),
    );
    let staged = home.run(&["stage", "--plan", "plan.json"]);
    assert_eq!(code(&staged), 3, "{}", stdout(&staged));
    assert!(
        stdout(&staged).contains("the change is not the one in the plan"),
        "{}",
        stdout(&staged)
    );
    assert_eq!(git(&root, &["for-each-ref", "refs/heads/depickle"]), "");
}

#[test]
fn nothing_is_saved_without_an_answer_to_all() {
    let home = Home::new();
    shop(&home);
    for (answers, exit, says) in [
        ("a\nq\n", 1, "nothing was saved"),
        ("A\nq\n", 1, "nothing was saved"),
        ("a\n", 2, "the answers ended before the review did"),
        ("A\n", 2, "the answers ended before the review did"),
        ("", 2, "the answers ended before the review did"),
    ] {
        let reviewed = answered(&home, &SAVE, answers);
        assert_eq!(code(&reviewed), exit, "{answers:?}: {}", stderr(&reviewed));
        assert!(
            stderr(&reviewed).contains(says),
            "{answers:?}: {}",
            stderr(&reviewed)
        );
        assert_eq!(stdout(&reviewed), "", "{answers:?}");
        assert!(!home.path("plan.json").exists(), "{answers:?}");
    }
    let nobody = home.run(&SAVE);
    assert_eq!(code(&nobody), 2);
    assert!(
        stderr(&nobody).contains("neither a terminal nor a pipe"),
        "{}",
        stderr(&nobody)
    );
    // Nothing to ask about.
    home.repo("clean", &[("a.py", "x = 1\n")]);
    let clean = answered(&home, &["diff", "clean", "-i"], "\n");
    assert_eq!((code(&clean), stderr(&clean).as_str()), (0, ""));
}

#[test]
fn what_changes_once_others_are_skipped_is_asked_about_again() {
    let home = Home::new();
    // The class that the first load needs has the better name as long as it is there.
    let app = "import datetime\nimport pickle\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.route(\"/a\", methods=[\"POST\"])\ndef a():\n    when: datetime.date = pickle.loads(request.data)\n    return str(when)\n\n\n@app.route(\"/b\", methods=[\"POST\"])\ndef b():\n    when: datetime.time = pickle.loads(request.data)\n    return str(when)\n";
    let root = home.repo("shop", &[("app.py", app)]);
    let args = [&SAVE[..], &["--to", "restricted"]].concat();
    let reviewed = answered(&home, &args, "s\nnot now\na\ny\na\ny\n");
    let said = stderr(&reviewed);
    assert_eq!(code(&reviewed), 1, "{said}");
    assert!(
        said.contains("without what was skipped, this is another change"),
        "{said}"
    );
    assert_eq!(code(&home.run(&["stage", "--plan", "plan.json"])), 0);
    home.write("patch", stdout(&reviewed));
    git(&root, &["apply", "../patch"]);
    assert_eq!(git(&root, &["diff", "depickle/pickle-to-restricted"]), "");
}

#[test]
fn a_work_tree_is_reviewed_without_a_plan_and_the_patch_applies() {
    let home = Home::new();
    let root = shop(&home);
    let dirty = GUIDE.replace("/load", "/dirty").replace('\n', "\r\n");
    home.write("shop/api.py", dirty);
    let reviewed = answered(&home, &["diff", "shop", "-i"], "a\nS\ny\n");
    assert_eq!(code(&reviewed), 1, "{}", stderr(&reviewed));
    assert!(
        !stderr(&reviewed).contains('\r'),
        "no line end of the file drives the terminal"
    );
    home.write("patch", stdout(&reviewed));
    git(&root, &["apply", "../patch"]);
    let now = std::fs::read_to_string(home.path("shop/api.py")).unwrap();
    assert!(
        now.contains("/dirty") && now.contains("json.loads(data)\r\n"),
        "{now}"
    );
}

/// What was `shown` and stayed: on a machine that is busy anything may take long, and be told.
fn lasting(shown: &Output) -> String {
    let said = stdout(shown);
    let parts = said.split("\r\u{1b}[2K");
    let passed = |part: &&str| part.contains(" ... ") && !part.contains('\n');
    parts.filter(|part| !passed(part)).collect()
}

/// The program on a terminal of so many columns, with what is typed there.
fn on_a_terminal(
    home: &Home,
    columns: &str,
    args: &[&str],
    env: &[(&str, &str)],
    answers: &str,
) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/terminal.py");
    let program = home.program(args);
    let mut python = Command::new("python3");
    python.args([script, columns]);
    python.arg(program.get_program()).args(program.get_args());
    home.dress(&mut python);
    let mut child = python
        .env("TERM", "xterm")
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answers.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn a_terminal_is_asked_in_colour_and_not_with_no_color() {
    let home = Home::new();
    shop(&home);
    let answers = "a\ne\ns not now\nA\ny\n";
    let typed = |env: &[(&str, &str)]| on_a_terminal(&home, "100", &SAVE, env, answers);
    let coloured = typed(&[]);
    let said = lasting(&coloured);
    assert_eq!(code(&coloured), 1, "{said}");
    assert!(
        said.contains("\x1b[31m-    unpickled_data = pickle.loads(data)\x1b[0m"),
        "{said}"
    );
    let saved = plan(&home);
    assert_eq!(
        saved["repositories"][0]["reviewed"]
            .as_array()
            .unwrap()
            .len(),
        6
    );
    let plain = typed(&[("NO_COLOR", "1")]);
    let said = lasting(&plain);
    assert_eq!(code(&plain), 1, "{said}");
    assert!(
        !said.contains('\x1b') && said.contains("4 accepted, 1 skipped"),
        "{said}"
    );
}

#[test]
fn lines_are_no_longer_than_the_terminal_and_whole_on_a_pipe() {
    let home = Home::new();
    home.repo("shop", &[("app.py", SHOP)]);
    let args = ["scan", "shop", "--explain"];
    let narrow = on_a_terminal(&home, "60", &args, &[("NO_COLOR", "1")], "");
    let said = lasting(&narrow);
    assert_eq!(code(&narrow), 1, "{said}");
    let is_code = |line: &str| line.contains(" | ") || line.contains('^');
    let long = said
        .lines()
        .find(|line| line.chars().count() > 60 && !is_code(line));
    assert_eq!(long, None, "{said}");
    let piped = stdout(&home.run(&args));
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&said), words(&piped), "nothing but line ends differs");
    assert!(
        piped.lines().any(|line| line.chars().count() > 200),
        "{piped}"
    );
    assert!(piped.contains("CWE-502") && piped.contains("`depickle explain pickle-to-json`"));
    // Beside a patch it does not stand in the patch.
    let diff = home.run(&["diff", "shop", "--explain"]);
    let plain = home.run(&["diff", "shop"]);
    assert_eq!(stdout(&diff), stdout(&plain));
    assert!(stderr(&diff).contains("CWE-502"), "{}", stderr(&diff));
}

#[test]
fn several_repositories_are_reviewed_in_one_go_and_names_drive_no_terminal() {
    let home = Home::new();
    home.repo("one", &[("\u{1b}[31mred.py", GUIDE)]);
    home.repo("two", &[("app.py", GUIDE), ("b.py", GUIDE)]);
    let args = ["diff", "one", "two", "gone", "-i", "--save", "plan.json"];
    let reviewed = answered(&home, &args, "s\n\u{1b}[2Jwhy\na\nb\nb\na\ns\nours\na\ny\n");
    let said = stderr(&reviewed);
    assert_eq!(code(&reviewed), 3, "{said}");
    assert!(said.contains("3 changes to review in 2 projects"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
    let saved = plan(&home);
    let verdicts = |n: usize| -> Vec<bool> {
        let all = saved["repositories"][n]["reviewed"].as_array().unwrap();
        all.iter()
            .map(|one| one["accepted"].as_bool().unwrap())
            .collect()
    };
    assert_eq!((verdicts(0), verdicts(1)), (vec![true], vec![false, true]));
    let staged = home.run(&["stage", "--plan", "plan.json"]);
    assert_eq!(code(&staged), 0, "{}", stdout(&staged));
    let two = home.path("two");
    let changed = ["diff", "--name-only", "main", "depickle/pickle-to-json"];
    assert_eq!(git(&two, &changed), "b.py\n");
}

#[test]
fn a_terminal_shows_what_takes_long_and_a_pipe_does_not() {
    let home = Home::new();
    let fifo = home.path("slow.log");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    // It opens when somebody reads, and keeps silent until that is told, or for a while.
    let writing = |until: &str| {
        let mut shell = Command::new("sh");
        let silent = format!("exec 3> slow.log; {until}; echo hello >&3");
        shell.args(["-c", &silent]).current_dir(home.0.path());
        shell.spawn().unwrap()
    };
    home.write("shown", "");
    let mut writer = writing("until grep -q reading shown; do sleep 0.1; done");
    let shown = [("SHOWN", "shown")];
    let shown = on_a_terminal(&home, "80", &["hunt", "slow.log"], &shown, "");
    writer.wait().unwrap();
    let said = stdout(&shown);
    assert!(said.contains("reading slow.log ... "), "{said}");
    let (_, after) = said.rsplit_once("\r\u{1b}[2K").unwrap();
    assert!(
        after.contains("slow.log") && !after.contains("reading"),
        "{said}"
    );
    let mut writer = writing("sleep 2");
    let piped = home.run(&["hunt", "slow.log"]);
    writer.wait().unwrap();
    assert_eq!(stderr(&piped), "");
}
