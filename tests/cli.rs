//! The program as its users run it: real repositories, real git, exit codes, and what is printed.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs programs"
)]

#[path = "support/home.rs"]
mod home;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::fs;

use home::{GUIDE, Home, code, git, stderr, stdout};
use serde_json::Value;
use snapshot::snapshot;

/// Temporary folders.
const TMP: [(&str, &str); 1] = [(r"/\S*/\.tmp\w+", "[tmp]")];

const GUIDE_AFTER: &str = r#"import json

from flask import Flask, request

app = Flask(__name__)


@app.route("/load", methods=["POST"])
def load():
    data = request.get_data()
    try:
        unpickled_data = json.loads(data)
    except (ValueError, RecursionError):
        # Not JSON: refuse it, never fall back to pickle.
        return "Invalid input", 400
    return {"keys": len(unpickled_data)}
"#;

#[test]
fn the_guides_example_becomes_the_guides_after_and_comes_back() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE), ("notes.txt", "x\n")]);
    // Dirty in every way.
    home.write("shop/notes.txt", "changed\n");
    home.write("shop/new.py", "x = 1\n");
    home.write("shop/staged.txt", "y\n");
    git(&root, &["add", "staged.txt"]);
    let status = || git(&root, &["status", "--porcelain=v2", "--branch"]);
    let refs = || git(&root, &["for-each-ref"]);
    let (status_before, refs_before) = (status(), refs());
    let index = fs::read(root.join(".git/index")).unwrap();

    let staged = home.run(&["stage", "shop"]);
    assert_eq!(code(&staged), 0, "{}", stderr(&staged));
    let after = git(&root, &["show", "depickle/pickle-to-json:app.py"]);
    assert_eq!(after, GUIDE_AFTER);
    assert_eq!(status(), status_before);
    assert_eq!(fs::read(root.join(".git/index")).unwrap(), index);
    assert!(
        stdout(&staged).contains("new.py"),
        "says what it did not see: {}",
        stdout(&staged)
    );

    let back = home.run(&["rollback"]);
    assert_eq!(code(&back), 0, "{}", stderr(&back));
    assert_eq!((status(), refs()), (status_before, refs_before));
    assert_eq!(code(&home.run(&["rollback"])), 0, "can be repeated");
}

#[test]
fn applying_the_diff_gives_what_stage_commits_byte_for_byte() {
    let home = Home::new();
    let crlf = GUIDE.replace('\n', "\r\n");
    let open = GUIDE.trim_end().to_owned();
    let bom = format!("\u{feff}{GUIDE}");
    let files = [
        ("app.py", GUIDE),
        ("win/crlf.py", crlf.as_str()),
        ("with space/open.py", open.as_str()),
        ("ünï/bom.py", bom.as_str()),
        ("quo\"te/tab.py", GUIDE),
    ];
    let root = home.repo("shop", &files);
    for (target, place) in [("shop", ""), ("shop/win", "")] {
        let patch = home.run(&["diff", target, "-o", "change.patch"]);
        assert_eq!(code(&patch), 1, "{}", stderr(&patch));
        assert_eq!(code(&home.run(&["stage", target])), 0);
        let patch = home.path("change.patch");
        let patch = patch.to_str().unwrap();
        git(&root.join(place), &["apply", "--check", patch]);
        git(&root.join(place), &["apply", patch]);
        assert_eq!(
            git(&root, &["diff", "--stat", "depickle/pickle-to-json"]),
            ""
        );
        git(&root, &["checkout", "-q", "."]);
        assert_eq!(code(&home.run(&["rollback"])), 0);
    }
}

#[test]
fn equal_input_gives_an_equal_commit() {
    let home = Home::new();
    let one = home.repo("one", &[("app.py", GUIDE)]);
    let when = [("SOURCE_DATE_EPOCH", "1795392000")];
    let tip = || git(&one, &["rev-parse", "depickle/pickle-to-json"]);
    assert_eq!(code(&home.run_with(&["stage", "one"], &when)), 0);
    let first = tip();
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(code(&home.run_with(&["stage", "one"], &when)), 0);
    assert_eq!(tip(), first);
}

#[test]
fn the_commit_says_what_and_why_and_how_to_undo_it() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    let run = home.json(&[
        "stage",
        "shop",
        "--format",
        "json",
        "--author",
        "Sec Team <sec@example.org>",
    ]);
    let message = git(
        &root,
        &[
            "log",
            "-1",
            "--format=%an <%ae>%n%B",
            "depickle/pickle-to-json",
        ],
    );
    snapshot("commit-message", &message, &TMP);
    let trailers = git(
        &root,
        &[
            "log",
            "-1",
            "--format=%(trailers:key=Depickle-Run,valueonly)",
            "depickle/pickle-to-json",
        ],
    );
    assert_eq!(Some(trailers.trim()), run["run"].as_str());
}

#[test]
fn json_has_the_promised_keys() {
    let home = Home::new();
    home.repo(
        "shop",
        &[
            ("app.py", GUIDE),
            ("old.py", "import pickle\nprint pickle\n"),
        ],
    );
    let run = home.json(&["scan", "shop", "--format", "json"]);
    assert_eq!(run["schema"], "depickle/1");
    assert_eq!(run["tool"]["name"], "depickle");
    let project = &run["projects"][0];
    assert_eq!(project["files"]["seen"], 2);
    assert_eq!(project["files"]["analysed"], 1);
    assert_eq!(project["files"]["unparsed"][0]["reason"], "python-2");
    let finding = &project["findings"][0];
    for (key, value) in [
        ("transform", "pickle-to-json"),
        ("sink", "pickle.loads"),
        ("file", "app.py"),
        ("trust", "http"),
        ("status", "rewrite"),
    ] {
        assert_eq!(finding[key], value);
    }
    for (key, value) in [
        ("line", 11),
        ("column", 22),
        ("end_line", 11),
        ("end_column", 40),
    ] {
        assert_eq!(finding[key], value, "{key}");
    }
    assert_eq!(finding["path"][0]["kind"], "source");
    assert_eq!(finding["path"][0]["note"], "request.get_data()");
    for key in ["root", "commit", "status", "error", "branch", "patch"] {
        assert!(project.get(key).is_some(), "{key}");
    }
    assert!(
        finding["fingerprint"]
            .as_str()
            .is_some_and(|f| f.len() == 16)
    );
}

const SHARED: &str = r#"import pickle
import socket

from flask import Flask, request

app = Flask(__name__)


def unpack(raw):
    return pickle.loads(raw)


@app.route("/load", methods=["POST"])
def load():
    return {"n": len(unpack(request.get_data()))}


def listen(server):
    connection = socket.create_server(("", 9999)).accept()[0]
    print(unpack(connection.recv(4096)))


def careful():
    try:
        print(unpack(socket.create_connection(("host", 1)).recv(4096)))
    except Exception:
        print("not this one")


listen(None)
careful()
"#;

#[test]
fn what_is_suggested_is_shown_and_never_staged() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE), ("shared.py", SHARED)]);
    let row = &home.json(&["diff", "shop", "--format", "json"])["projects"][0];
    let found = row["findings"].as_array().unwrap();
    let shared = found.iter().find(|f| f["file"] == "shared.py").unwrap();
    assert_eq!(shared["status"], "suggest");
    assert_eq!(shared["reason"], "shared-helper");
    let callers = shared["callers"].as_array().unwrap();
    assert_eq!(callers.len(), 2, "{callers:?}");
    assert_eq!(callers[0]["function"], "listen");
    assert_eq!(callers[0]["line"], 20);
    assert_eq!(
        callers[0]["new_errors"],
        serde_json::json!(["ValueError", "RecursionError"])
    );
    assert_eq!(callers[1]["function"], "careful");
    assert_eq!(callers[1]["new_errors"], serde_json::json!([]));
    let staged = row["patch"].as_str().unwrap();
    let suggested = row["suggestions"].as_str().unwrap();
    assert!(staged.contains("a/app.py") && !staged.contains("a/shared.py"));
    assert!(suggested.contains("a/shared.py") && !suggested.contains("a/app.py"));
    let text = stdout(&home.run(&["scan", "shop"]));
    let seen = "caller shared.py:20  listen, which would see a new ValueError or RecursionError";
    assert!(text.contains(seen), "{text}");

    // One patch of all that git takes.
    let all = home.run(&["diff", "shop", "--suggestions"]);
    assert_eq!(code(&all), 1);
    home.write("all.patch", &all.stdout);
    git(&root, &["apply", "--check", "../all.patch"]);
    assert_eq!(stdout(&all), format!("{staged}{suggested}"));

    home.run(&["stage", "shop"]);
    let of = |file: &str| git(&root, &["show", &format!("depickle/pickle-to-json:{file}")]);
    assert_eq!(of("app.py"), GUIDE_AFTER);
    assert_eq!(of("shared.py"), SHARED);
}

#[test]
fn a_fingerprint_survives_unrelated_lines() {
    let home = Home::new();
    let fingerprint = |home: &Home| {
        home.json(&["scan", "shop", "--format", "json"])["projects"][0]["findings"][0]["fingerprint"].clone()
    };
    home.write("shop/app.py", GUIDE);
    let before = fingerprint(&home);
    home.write(
        "shop/app.py",
        GUIDE.replace(
            "import pickle\n",
            "# a comment\n\nimport pickle\nimport sys\n",
        ),
    );
    assert_eq!(fingerprint(&home), before);
}

#[test]
fn a_file_that_cannot_be_read_may_pickle_what_is_loaded() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    let finding = |home: &Home| {
        home.json(&["scan", "shop", "--format", "json"])["projects"][0]["findings"][0].clone()
    };
    assert_eq!(finding(&home)["status"], "rewrite");
    assert_eq!(finding(&home)["notes"][0]["code"], "writer-elsewhere");
    home.write(
        "shop/old.py",
        "import pickle\nprint 'old'\nsend(pickle.dumps(1))\n",
    );
    assert_eq!(finding(&home)["status"], "suggest");
    assert_eq!(finding(&home)["reason"], "writer-untraced");
    assert_eq!(finding(&home)["notes"][0]["file"], "old.py");
}

#[test]
fn exit_codes_say_what_happened() {
    let home = Home::new();
    home.write("clean/app.py", "print(1)\n");
    home.write("open/app.py", GUIDE);
    home.write("broken/app.py", "import pickle\ndef broken(:\n");
    let unfinished = format!("{GUIDE}def broken(:\n");
    home.write("both/app.py", unfinished);
    for (args, expected) in [
        (&["scan", "clean"][..], 0),
        (&["diff", "clean"], 0),
        (&["scan", "open"], 1),
        (&["diff", "open"], 1),
        (&["scan", "open", "--trust", "stored"], 0),
        (&["scan", "broken"], 3),
        (&["scan", "both"], 3),
        (&["diff", "both"], 3),
        (&["scan", "nowhere"], 2),
        (&["scan", "open", "nowhere"], 3),
        (&["scan", "--trust", "nobody"], 2),
        (&["frobnicate"], 2),
        (&["stage", "open"], 3),
        (&["rollback", "20260101T000000-abcd"], 2),
        (&["rollback", "../../etc"], 2),
        (&["runs"], 0),
        (&["--version"], 0),
    ] {
        let output = home.run(args);
        assert_eq!(
            code(&output),
            expected,
            "{args:?}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

#[test]
fn bad_input_gets_one_line_with_a_hint() {
    let home = Home::new();
    home.write("plain/app.py", GUIDE);
    home.write("old/app.py", "import pickle\nprint \"x\"\n");
    home.write("list.txt", "# nothing\n");
    home.write("bad.toml", "trusted = []\n");
    let unborn = home.path("unborn");
    fs::create_dir_all(&unborn).unwrap();
    git(&unborn, &["init", "-q"]);
    home.repo("staged", &[("app.py", GUIDE)]);
    assert_eq!(code(&home.run(&["stage", "staged"])), 0);
    let mut said = String::new();
    for args in [
        &["scan", "nowhere", "--format", "json"][..],
        &["stage", "plain", "--format", "json"],
        &["stage", "unborn", "--format", "json"],
        &["stage", "staged", "--format", "json"],
        &["scan", "staged", "--base", "nothing", "--format", "json"],
        &["scan", "ext::sh -c x", "--format", "json"],
        &["scan", "https://me:secret@host/x.git", "--format", "json"],
        &["scan", "--repos", "list.txt"],
        &["scan", "--repos", "none.txt"],
        &["scan", "--config", "bad.toml"],
        &["scan", "plain", "--include", "[", "--format", "json"],
        &["rollback", "20260101T000000-abcd"],
        &["explain", "nonsense!"],
    ] {
        let output = home.run(args);
        let error = stderr(&output);
        assert!(code(&output) >= 2, "{args:?}");
        said.push_str(&format!("$ depickle {}\n{error}", args.join(" ")));
    }
    let home_path = home.0.path().canonicalize().unwrap().display().to_string();
    let said = said
        .replace(&home_path, "[tmp]")
        .replace(&home.0.path().display().to_string(), "[tmp]");
    snapshot("bad-input", &said, &TMP);
    let unread = home.run(&["scan", "old"]);
    snapshot("unparsed", &stdout(&unread), &TMP);
}

#[test]
fn one_projects_failure_never_hides_anothers_findings() {
    let home = Home::new();
    home.repo("good", &[("app.py", GUIDE)]);
    home.write("plain/app.py", GUIDE);
    home.write("repos.txt", "nowhere  # not there\nplain\ngood\n");
    let output = home.run(&["stage", "--repos", "repos.txt", "--format", "json"]);
    assert_eq!(code(&output), 3);
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = run["projects"].as_array().unwrap();
    let status: Vec<_> = rows
        .iter()
        .map(|row| row["status"].as_str().unwrap())
        .collect();
    assert_eq!(status, ["failed", "failed", "ok"]);
    assert_eq!(rows[2]["branch"], "depickle/pickle-to-json");
    let record = home.json(&["runs", "--format", "json"]);
    let states = record["runs"][0]["repositories"].as_array().unwrap();
    let states: Vec<_> = states
        .iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["failed", "failed", "staged"]);
}

#[test]
fn stage_refuses_a_branch_that_is_there_and_leaves_it() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    git(&root, &["branch", "depickle/pickle-to-json"]);
    let refs = git(&root, &["for-each-ref"]);
    let output = home.run(&["stage", "shop"]);
    assert_eq!(code(&output), 3);
    assert!(
        stdout(&output).contains("exists already"),
        "{}",
        stdout(&output)
    );
    assert_eq!(git(&root, &["for-each-ref"]), refs);
    assert_eq!(
        code(&home.run(&["stage", "shop", "--branch", "sec/json"])),
        0
    );
}

#[test]
fn a_bare_repository_is_read_and_staged() {
    let home = Home::new();
    home.repo("shop", &[("app.py", GUIDE)]);
    git(
        home.0.path(),
        &["clone", "-q", "--bare", "shop", "bare.git"],
    );
    assert_eq!(code(&home.run(&["scan", "bare.git"])), 1);
    assert_eq!(code(&home.run(&["stage", "bare.git"])), 0);
    assert_eq!(
        git(
            &home.path("bare.git"),
            &["show", "depickle/pickle-to-json:app.py"]
        ),
        GUIDE_AFTER
    );
}

#[test]
fn one_file_alone_can_be_asked_for() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE), ("other.py", GUIDE)]);
    assert_eq!(
        home.json(&["scan", "shop/app.py", "--format", "json"])["projects"][0]["files"]["seen"],
        1
    );
    assert_eq!(code(&home.run(&["stage", "shop/app.py"])), 0);
    let changed = git(
        &root,
        &["diff", "--name-only", "main", "depickle/pickle-to-json"],
    );
    assert_eq!(changed, "app.py\n");
}

#[test]
fn a_declared_encoding_is_kept_and_a_message_it_cannot_hold_is_refused() {
    let home = Home::new();
    let head = b"# -*- coding: latin-1 -*-\n# caf\xe9\n".to_vec();
    home.write(
        "shop/app.py",
        [head.clone(), GUIDE.as_bytes().to_vec()].concat(),
    );
    let patch = home.run(&["diff", "shop"]).stdout;
    assert!(
        patch.windows(5).any(|window| window == b"caf\xe9\n"),
        "the bytes of the file, not ours"
    );
    let run = home.json(&[
        "scan",
        "shop",
        "--message",
        "ungültig €",
        "--format",
        "json",
    ]);
    assert_eq!(run["projects"][0]["findings"][0]["reason"], "not-encodable");
}

#[test]
fn names_from_a_repository_never_reach_the_terminal_raw() {
    let home = Home::new();
    home.write("shop/\u{1b}[31mred\u{202e}.py", GUIDE);
    let output = home.run(&["scan", "shop", "--color", "never"]);
    assert_eq!(code(&output), 1);
    assert!(
        !stdout(&output).contains(['\u{1b}', '\u{202e}']),
        "{}",
        stdout(&output)
    );
}

#[test]
fn the_message_and_the_trust_can_be_configured() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    home.write(
        "depickle.toml",
        "message = 'Bad \"data\"'\nexclude = ['old/**']\n",
    );
    home.write("shop/old/app.py", GUIDE);
    let patch = stdout(&home.run(&["diff", "shop"]));
    assert!(patch.contains(r#"return 'Bad "data"', 400"#), "{patch}");
    assert!(!patch.contains("old/"), "{patch}");
}

#[test]
fn a_refused_request_is_logged_where_that_is_asked_for() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    let line = r#"+        app.logger.warning("Refused a request whose data is not JSON")"#;
    let plain = stdout(&home.run(&["diff", "shop"]));
    assert!(!plain.contains("warning("), "{plain}");
    let asked = stdout(&home.run(&["diff", "shop", "--log-rejects"]));
    assert!(asked.contains(line), "{asked}");
    home.write("depickle.toml", "log-rejects = true\n");
    let configured = stdout(&home.run(&["diff", "shop"]));
    assert_eq!(configured, asked);
}

#[test]
fn old_data_is_read_on_until_that_is_finished() {
    let home = Home::new();
    let shop = r#"import pickle

import redis
from flask import Flask

app = Flask(__name__)
store = redis.Redis()


@app.route("/cart/<name>")
def show(name):
    return {"cart": pickle.loads(store.get(name))}
"#;
    let root = home.repo("shop", &[("app.py", shop)]);
    let shown = |branch: &str| git(&root, &["show", &format!("{branch}:app.py")]);

    let plain = home.run(&["stage", "--trust", "stored", "--branch", "plain", "shop"]);
    assert_eq!(code(&plain), 0, "{}", stderr(&plain));
    let open = home.run(&["stage", "--dual-read", "--branch", "open", "shop"]);
    assert_eq!(code(&open), 0, "{}", stderr(&open));
    assert!(
        shown("open").contains("cart = dual_loads(")
            || shown("open").contains("loaded = dual_loads(")
    );
    let message = git(&root, &["log", "-1", "--format=%B", "open"]);
    assert!(message.contains("still read, and logged"), "{message}");

    git(&root, &["merge", "-q", "--ff-only", "open"]);
    let again = home.run(&["diff", "--dual-read", "shop"]);
    assert_eq!((code(&again), stdout(&again)), (0, String::new()));
    let finished = home.run(&["stage", "--finish-dual-read", "shop"]);
    assert_eq!(code(&finished), 0, "{}", stderr(&finished));
    assert_eq!(shown("depickle/finish-dual-read"), shown("plain"));
    let message = git(
        &root,
        &["log", "-1", "--format=%B", "depickle/finish-dual-read"],
    );
    assert!(
        message.starts_with("Stop reading what was pickled before"),
        "{message}"
    );
    assert!(message.contains("answered with 400 now"), "{message}");

    let both = home.run(&["diff", "--dual-read", "--finish-dual-read", "shop"]);
    assert_eq!(code(&both), 2);
}

/// Checks before or beside a load that prove nothing, and a word of why.
const SHAMS: [(&str, &str); 11] = [
    (
        "if not same(sign(b'dev', data)): abort(403)",
        "its key in the code",
    ),
    (
        "if not same(sign(os.environ.get('K', 'dev').encode(), data)): abort(403)",
        "default key",
    ),
    (
        "if not same(sign(request.args['key'].encode(), data)): abort(403)",
        "that the client sends",
    ),
    (
        "if not hmac.compare_digest(sign(KEY, data), sign(KEY, data)): abort(403)",
        "compared with itself",
    ),
    ("same(sign(KEY, data))", "does not depend"),
    (
        "if not same(sign(KEY, data)): app.logger.warning('bad')",
        "does not depend",
    ),
    (
        "if request.headers.get('X-Tag') and not same(sign(KEY, data)): abort(403)",
        "does not depend",
    ),
    (
        "try: Signer(KEY).unsign(data)\n    except BadSignature: pass",
        "does not depend",
    ),
    (
        "if not same(sign(KEY, request.args['id'].encode())): abort(403)",
        "of other data",
    ),
    (
        "if not same(sign(KEY, data[:16])): abort(403)",
        "of other data",
    ),
    (
        "if not same(hashlib.sha256(data).hexdigest()): abort(403)",
        "has no key",
    ),
];

#[test]
fn a_check_that_proves_nothing_is_told_with_its_reason() {
    let home = Home::new();
    let program = |check: &str| {
        format!(
            r#"import hashlib
import hmac
import os
import pickle

from flask import Flask, abort, request
from itsdangerous import BadSignature, Signer

app = Flask(__name__)
KEY = os.environ["KEY"].encode()


def sign(key, data):
    return hmac.new(key, data, "sha256").hexdigest()


def same(tag):
    return hmac.compare_digest(tag, request.headers["X-Tag"])


@app.route("/load", methods=["POST"])
def load():
    data = request.get_data()
    {check}
    return str(pickle.loads(data))
"#
        )
    };
    let told = |name: &str, check: &str| {
        home.write(&format!("{name}/app.py"), program(check));
        let run = home.json(&["scan", name, "--format", "json"]);
        let finding = run["projects"][0]["findings"][0].clone();
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        (text("status"), text("message"))
    };
    let (status, _) = told("real", "if not same(sign(KEY, data)): abort(403)");
    assert_eq!(status, "guarded");
    let (_, message) = told("none", "pass");
    assert!(
        !message.contains("; the") && !message.contains("; its"),
        "{message}"
    );
    for (n, (check, why)) in SHAMS.iter().enumerate() {
        let (status, message) = told(&format!("sham{n}"), check);
        assert_eq!(status, "rewrite", "{check}: {message}");
        assert!(message.contains(why), "{check}: {message}");
    }
}

#[test]
fn everything_with_an_id_is_explained() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    let fingerprint = home.json(&["scan", "shop", "--format", "json"])["projects"][0]["findings"]
        [0]["fingerprint"]
        .clone();
    let by_fingerprint = home.run(&[
        "explain",
        fingerprint.as_str().unwrap(),
        "--project",
        "shop",
    ]);
    for id in [
        "",
        "pickle-to-json",
        "flask",
        "pickle.loads",
        "shared-helper",
    ] {
        let args: Vec<&str> = ["explain", id]
            .into_iter()
            .filter(|arg| !arg.is_empty())
            .collect();
        let output = home.run(&args);
        assert_eq!(code(&output), 0, "{id}");
        assert!(stdout(&output).len() > 60, "{id}");
    }
    snapshot("explain-finding", &stdout(&by_fingerprint), &TMP);
    snapshot(
        "explain-reason",
        &stdout(&home.run(&["explain", "shared-helper"])),
        &TMP,
    );
}

#[test]
fn the_demo_shows_the_whole_way() {
    let home = Home::new();
    let output = home.run(&["demo"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    snapshot("demo", &stdout(&output), &TMP);
}

#[test]
fn the_demos_shop_is_kept_on_request() {
    let home = Home::new();
    assert_eq!(code(&home.run(&["demo", "--keep", "here"])), 0);
    assert!(home.path("here/shop/.git").is_dir());
    assert_eq!(
        code(&home.run(&["demo", "--keep", "here"])),
        2,
        "never over what is there"
    );
}

#[test]
fn help_is_short_and_says_the_exit_codes() {
    let home = Home::new();
    snapshot("help", &stdout(&home.run(&["--help"])), &TMP);
    snapshot("help-short", &stdout(&home.run(&["-h"])), &TMP);
    snapshot(
        "help-stage-short",
        &stdout(&home.run(&["stage", "-h"])),
        &TMP,
    );
    snapshot("help-stage", &stdout(&home.run(&["stage", "--help"])), &TMP);
}

#[test]
fn inspect_tells_what_pickles_would_run_and_runs_none() {
    let home = Home::new();
    let evil = b"\x80\x02cos\nsystem\n(S'touch ran'\ntR.";
    let said = |name: &str, bytes: &[u8]| {
        fs::write(home.path(name), bytes).unwrap();
        let out = home.run(&["inspect", name, "--format", "json"]);
        let json: Value = serde_json::from_str(&stdout(&out)).unwrap();
        let verdict = json["files"][0]["pickles"][0]["verdict"].as_str();
        (code(&out), verdict.unwrap_or("none").to_owned(), json)
    };
    let (code_of, verdict, json) = said("evil.pkl", evil);
    assert_eq!((code_of, verdict.as_str()), (1, "runs-code"));
    assert!(json.to_string().contains("touch ran"), "{json}");
    // As a cookie carries it.
    let (code_of, verdict, _) = said("cookie", b"gAJjb3MKc3lzdGVtCihTJ3RvdWNoIHJhbicKdFIu");
    assert_eq!((code_of, verdict.as_str()), (1, "runs-code"));
    let (code_of, verdict, _) = said("data.pkl", b"\x80\x02}X\x01\x00\x00\x00aK\x01s.");
    assert_eq!((code_of, verdict.as_str()), (0, "data-only"));
    let (code_of, verdict, _) = said("named.pkl", b"\x80\x02ccollections\nOrderedDict\n.");
    assert_eq!((code_of, verdict.as_str()), (1, "imports"));
    let (code_of, ..) = said("torn.pkl", &evil[..20]);
    assert_eq!(code_of, 3);
    let (code_of, verdict, _) = said("none.txt", b"no pickle at all\n");
    assert_eq!((code_of, verdict.as_str()), (3, "none"));
    let (code_of, verdict, json) = said("more.pkl", b"\x80\x02N.\x80\x02N.\0\0rest");
    assert_eq!((code_of, verdict.as_str()), (0, "data-only"));
    assert_eq!(json["files"][0]["pickles"].as_array().unwrap().len(), 2);
    assert_eq!(
        json["files"][0]["notes"][0],
        "6 bytes after the last pickle are none"
    );
    let (code_of, ..) = said("behind.pkl", b"\x80\x02N.cos\nsystem\n");
    assert_eq!(code_of, 3);
    let text = home.run(&["inspect", "evil.pkl", "gone.pkl", "--ops"]);
    assert_eq!(code(&text), 3);
    assert!(stdout(&text).contains("runs-code"), "{}", stdout(&text));
    assert!(stdout(&text).contains("REDUCE"), "{}", stdout(&text));
    assert!(!home.path("ran").exists());
}

#[test]
fn inspect_looks_through_folders_and_shelves() {
    let home = Home::new();
    const EVIL: &[u8] = b"cos\nsystem\n(S'touch ran'\ntR.";
    home.write("models/a.bin", b"\x80\x02}X\x01\x00\x00\x00aK\x01s.");
    home.write("models/notes.md", "no pickle at all");
    home.write("models/old/evil", EVIL);
    home.write("models/shelf.dat", [b"K\x01.", EVIL].concat());
    let entry = |key: &str, at: usize, size: usize| format!("'{key}', ({at}, {size})\n");
    home.write(
        "models/shelf.dir",
        entry("one", 0, 3) + &entry("two", 3, EVIL.len()),
    );
    let out = home.run(&["inspect", "models"]);
    assert_eq!(code(&out), 1, "{}", stderr(&out));
    snapshot("inspect-folder", &stdout(&out), &[]);
    let json = home.json(&["inspect", "models", "models/shelf", "--format", "json"]);
    assert_eq!(json["without-pickle"], 1);
    let files = json["files"].as_array().unwrap();
    let verdicts = |file: &str| {
        let row = files.iter().rev().find(|row| row["file"] == file).unwrap();
        let pickles = row["pickles"].as_array().unwrap().iter();
        pickles
            .map(|pickle| pickle["verdict"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(verdicts("models/a.bin"), ["data-only"]);
    assert_eq!(verdicts("models/shelf"), ["data-only", "runs-code"]);
    // What an index says beyond the end is told; so is what is not there.
    home.write(
        "models/shelf.dir",
        entry("one", 0, 3) + &entry("two", 3, 1000),
    );
    for name in ["models/shelf", "models/gone"] {
        let out = home.run(&["inspect", name]);
        assert_eq!(code(&out), 3);
        assert!(stdout(&out).contains("note:"), "{}", stdout(&out));
    }
    assert!(!home.path("ran").exists());
    let out = home.run(&["convert", "-"]);
    assert_eq!(code(&out), 3);
    assert!(
        stdout(&out).contains("put it into a file"),
        "{}",
        stdout(&out)
    );
}

#[test]
fn bench_measures_plain_pickles_and_loads_none() {
    let home = Home::new();
    home.write("data/cart.pkl", b"\x80\x02}X\x01\x00\x00\x00aK\x01s.");
    let rows = |paths: &[&str]| {
        let mut args = vec!["bench", "--format", "json"];
        args.extend(paths);
        let out = home.run(&args);
        let json: Value = serde_json::from_str(&stdout(&out)).unwrap();
        (code(&out), json)
    };
    let (status, json) = rows(&["data"]);
    assert_eq!(status, 0);
    let measured = json["rows"].as_array().unwrap();
    for codec in ["pickle", "json"] {
        let row = measured.iter().find(|row| row["codec"] == codec).unwrap();
        assert!(row["sample"].as_str().unwrap().ends_with("cart.pkl"));
        assert!(row["write"].as_f64().unwrap() > 0.0 && row["read"].as_f64().unwrap() > 0.0);
    }
    let json_row = measured.iter().find(|row| row["codec"] == "json").unwrap();
    assert_eq!(json_row["bytes"], r#"{"a": 1}"#.len());

    // What would run is not measured, and not run.
    home.write("data/evil.pkl", b"\x80\x02cos\nsystem\n(S'touch ran'\ntR.");
    let (status, json) = rows(&["data"]);
    assert_eq!(status, 3);
    assert!(
        json["notes"].to_string().contains("evil.pkl: not measured"),
        "{json}"
    );
    assert_eq!(json["rows"].as_array().unwrap().len(), measured.len());
    assert!(!home.path("ran").exists() && !home.path("data/ran").exists());

    // Nothing of the project's own: values of common shapes, and it says so.
    home.write(
        "empty/app.py",
        "import pickle\nprint(pickle.loads(input()))\n",
    );
    let out = home.run(&["bench", "empty", "--format", "markdown"]);
    assert_eq!(code(&out), 0);
    assert!(
        stdout(&out).starts_with("| sample | codec |"),
        "{}",
        stdout(&out)
    );
    for said in [
        "not the project's own",
        "does not show the shape of what is loaded: app.py:2",
    ] {
        assert!(stdout(&out).contains(said), "{}", stdout(&out));
    }
    let out = home.run(&["bench", "--python", "nowhere/python"]);
    assert_eq!(code(&out), 2);
    assert!(stderr(&out).contains("--python"), "{}", stderr(&out));
}

#[test]
fn bench_measures_values_of_the_shape_that_the_code_reads() {
    let home = Home::new();
    let handler = "\n\n@app.post('/order')\ndef order():\n    data = load(request.get_data())\n    \
        total = sum(row['price'] * 2 for row in data['rows'])\n    return data['name'].upper() + str(total)\n";
    let helper = "import pickle\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n\
        def load(raw):\n    return pickle.loads(raw)\n";
    home.write("shop/app.py", format!("{helper}{handler}"));
    let json = home.json(&["bench", "shop", "--format", "json"]);
    let rows = json["rows"].as_array().unwrap();
    let bytes = |sample: &str| {
        let row = |row: &&Value| row["sample"] == sample && row["codec"] == "json";
        rows.iter().find(row).map(|row| row["bytes"].clone())
    };
    let few = r#"{"name": "tea", "rows": [{"price": 1}, {"price": 2}, {"price": 3}]}"#;
    assert_eq!(bytes("app.py:9"), Some(few.len().into()), "{json}");
    let row = |n: usize| format!(r#"{{"price": {n}}}"#);
    let many: Vec<String> = (1..=1000).map(row).collect();
    let many = format!(r#"{{"name": "tea", "rows": [{}]}}"#, many.join(", "));
    assert_eq!(bytes("app.py:9, lists of 1000"), Some(many.len().into()));
    assert!(
        json["notes"]
            .to_string()
            .contains("the shape that the code reads")
    );
    // As text it is one table, whose columns end together.
    let text = home.run(&["bench", "shop"]);
    let text = stdout(&text);
    let table: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Python"))
        .collect();
    assert_eq!(table.len(), rows.len() + 1);
    let width = |line: &&str| line.chars().count();
    assert!(
        table.iter().all(|line| width(line) == width(&table[0])),
        "{text}"
    );
}
