//! What is known is counted and does not fail a check; what is new does.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs programs"
)]

#[path = "support/home.rs"]
mod home;
#[path = "support/venv.rs"]
mod venv;

use std::fs;
use std::process::Command;

use home::{GUIDE, Home, code, git, stderr, stdout};
use serde_json::Value;

const FILE: &str = "depickle-baseline.json";

/// One more handler.
fn more(name: &str) -> String {
    format!(
        "\n\n@app.route(\"/{name}\", methods=[\"POST\"])\ndef {name}():\n    return {{\"keys\": len(pickle.loads(request.get_data()))}}\n"
    )
}

/// A second load in the last function, in the same words.
const TWICE: &str = "    other = pickle.loads(data)\n    return {\"keys\": len(other)}\n";

fn with_two() -> String {
    GUIDE.replace("    return {\"keys\": len(unpickled_data)}\n", TWICE)
}

fn baseline(home: &Home) -> Value {
    serde_json::from_slice(&fs::read(home.path(FILE)).unwrap()).unwrap()
}

/// Exit code and text of a scan of `target` against the baseline.
fn scan(home: &Home, target: &str) -> (i32, String) {
    let output = home.run(&["scan", target, "--baseline", FILE]);
    (code(&output), stdout(&output) + &stderr(&output))
}

#[test]
fn a_scan_fails_only_for_what_the_baseline_does_not_name() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    let written = home.run(&["baseline", "shop"]);
    assert_eq!(code(&written), 0, "{}", stderr(&written));
    assert!(
        stdout(&written).contains("1 known; 1 new, 0 gone"),
        "{}",
        stdout(&written)
    );
    let text = fs::read_to_string(home.path(FILE)).unwrap();
    let again = home.run(&["baseline", "shop"]);
    assert!(
        stdout(&again).contains("1 known; 0 new, 0 gone"),
        "{}",
        stdout(&again)
    );

    let (exit, said) = scan(&home, "shop");
    assert_eq!(exit, 0, "{said}");
    assert!(
        said.contains("1 known to depickle-baseline.json, not counted"),
        "{said}"
    );
    assert!(said.contains("0 within reach of an attacker"), "{said}");
    assert!(!said.contains("more that no web client"), "{said}");
    let all = home.json(&["scan", "shop", "--baseline", FILE, "--format", "json"]);
    assert_eq!(all["projects"][0]["findings"][0]["known"], true);
    assert_eq!(
        code(&home.run(&["scan", "shop"])),
        1,
        "it is not read unless it is asked for"
    );

    // Moved lines, other functions.
    let moved = GUIDE.replace("import pickle\n", "# a comment\n\nimport pickle\n");
    home.write("shop/app.py", &moved);
    assert_eq!(scan(&home, "shop").0, 0);
    home.run(&["baseline", "shop"]);
    assert_eq!(fs::read_to_string(home.path(FILE)).unwrap(), text);

    home.write("shop/app.py", moved + &more("second"));
    let (exit, said) = scan(&home, "shop");
    assert_eq!(exit, 1, "{said}");
    assert!(
        said.contains("POST /second") && !said.contains("POST /load"),
        "{said}"
    );
    let verbose = home.run(&["scan", "shop", "--baseline", FILE, "-v"]);
    assert!(
        stdout(&verbose).contains("POST /load"),
        "{}",
        stdout(&verbose)
    );
}

#[test]
fn two_alike_loads_count_two() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    home.run(&["baseline", "shop"]);
    home.write("shop/app.py", with_two());
    let (exit, said) = scan(&home, "shop");
    assert_eq!(exit, 1, "{said}");
    assert!(
        said.contains("knows 1 like it: now there are more"),
        "{said}"
    );

    home.run(&["baseline", "shop"]);
    assert_eq!(
        baseline(&home)["repositories"]["shop"]["loads"][0]["count"],
        2
    );
    assert_eq!(scan(&home, "shop").0, 0);
    // One fewer, and the other in its place.
    home.write("shop/app.py", GUIDE);
    let (exit, said) = scan(&home, "shop");
    assert_eq!(exit, 0, "{said}");
    assert!(
        said.contains("1 in depickle-baseline.json no longer there"),
        "{said}"
    );
    // The first of two is safe now: the second is not new, whatever its rank.
    home.write(
        "shop/app.py",
        with_two().replacen("pickle.loads(data)", "pickle.loads(b'N.')", 1),
    );
    assert_eq!(scan(&home, "shop").0, 0);
}

#[test]
fn pruning_takes_out_what_is_gone_and_adds_nothing() {
    let home = Home::new();
    home.write("shop/app.py", format!("{GUIDE}{}", more("second")));
    home.run(&["baseline", "shop"]);
    home.write("shop/app.py", format!("{GUIDE}{}", more("third")));
    let pruned = home.run(&["baseline", "shop", "--prune"]);
    assert_eq!(code(&pruned), 0, "{}", stderr(&pruned));
    assert!(
        stdout(&pruned).contains("1 known; 0 new, 1 gone"),
        "{}",
        stdout(&pruned)
    );
    let (exit, said) = scan(&home, "shop");
    assert_eq!(exit, 1, "{said}");
    assert!(
        said.contains("/third") && !said.contains("no longer there"),
        "{said}"
    );

    // What was not looked at is not gone.
    let before = baseline(&home);
    home.write("shop/app.py", "import pickle\ndef broken(:\n");
    let pruned = home.run(&["baseline", "shop", "--prune"]);
    assert_eq!(code(&pruned), 3, "{}", stderr(&pruned));
    assert_eq!(baseline(&home), before);
    fs::remove_dir_all(home.path("shop")).unwrap();
    home.write("pay/app.py", GUIDE);
    assert_eq!(code(&home.run(&["baseline", "shop", "pay", "--prune"])), 3);
    assert_eq!(baseline(&home), before, "and pay does not come in");
    let filtered = home.run(&["baseline", "--prune", "--exclude", "shop"]);
    assert_eq!(code(&filtered), 2);
    assert!(
        stderr(&filtered).contains("leave them out"),
        "{}",
        stderr(&filtered)
    );
}

#[test]
fn who_reaches_a_known_load_from_nearer_is_new() {
    let home = Home::new();
    let stored = "import pickle\n\nimport redis\n\nr = redis.Redis()\n\n\ndef job():\n    value = r.get(\"k\")\n    return pickle.loads(value)\n";
    home.write("shop/app.py", stored);
    home.run(&["baseline", "shop", "--trust", "all"]);
    assert_eq!(
        baseline(&home)["repositories"]["shop"]["loads"][0]["trust"],
        "stored"
    );
    let scan =
        |home: &Home| code(&home.run(&["scan", "shop", "--baseline", FILE, "--trust", "all"]));
    assert_eq!(scan(&home), 0);
    let near = "import pickle\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.route(\"/\")\ndef job():\n    value = request.get_data()\n    return pickle.loads(value)\n";
    home.write("shop/app.py", near);
    assert_eq!(scan(&home), 1);
    home.run(&["baseline", "shop", "--trust", "all"]);
    assert_eq!(scan(&home), 0);
    home.write("shop/app.py", stored);
    assert_eq!(scan(&home), 0, "from farther it is known");
}

#[test]
fn many_repositories_have_one_baseline_wherever_it_is_read_from() {
    let home = Home::new();
    home.repo("shop", &[("app.py", GUIDE)]);
    home.write("pay/app.py", GUIDE);
    home.write("clean/app.py", "print(1)\n");
    assert_eq!(code(&home.run(&["baseline", "shop", "pay", "clean"])), 0);
    let names: Vec<String> = baseline(&home)["repositories"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(names, ["clean", "pay", "shop"]);
    let from = |folder: &str, args: &[&str]| {
        let output = home
            .program(args)
            .current_dir(home.path(folder))
            .output()
            .unwrap();
        (code(&output), stdout(&output))
    };
    let file = format!("../{FILE}");
    assert_eq!(from("shop", &["scan", "--baseline", &file]).0, 0);
    assert_eq!(
        from(
            "shop",
            &["scan", "../pay", "../clean", ".", "--baseline", &file]
        )
        .0,
        0
    );
    home.write("new/app.py", GUIDE);
    let (exit, said) = from("shop", &["scan", "../new", ".", "--baseline", &file]);
    assert_eq!(exit, 1);
    assert!(
        said.contains("does not name it, so all of it counts"),
        "{said}"
    );
    // One is renewed; the others stay as they are.
    home.write("pay/app.py", "print(1)\n");
    assert!(
        from("pay", &["baseline", "-o", &file])
            .1
            .contains("1 known; 0 new, 1 gone")
    );
    assert_eq!(from(".", &["scan", "shop", "--baseline", FILE]).0, 0);
}

#[test]
fn the_configuration_can_name_it() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    home.write(
        "shop/depickle.toml",
        "[scan]\nbaseline = \"ci/known.json\"\n",
    );
    home.write("shop/ci/README", "");
    let run = |args: &[&str]| {
        let output = home
            .program(args)
            .current_dir(home.path("shop"))
            .output()
            .unwrap();
        (code(&output), stdout(&output) + &stderr(&output))
    };
    let (exit, said) = run(&["scan"]);
    assert_eq!(exit, 2);
    assert!(
        said.contains("`depickle baseline -o ci/known.json` writes one"),
        "{said}"
    );
    assert_eq!(run(&["baseline"]).0, 0);
    assert!(home.path("shop/ci/known.json").is_file());
    assert_eq!(run(&["scan"]), (0, run(&["scan"]).1));
    home.write("shop/depickle.toml", "[scan]\nbase = \"x\"\n");
    let (exit, said) = run(&["scan"]);
    assert_eq!(exit, 2);
    assert!(said.contains("depickle.toml:2"), "{said}");
}

#[test]
fn a_baseline_that_is_none_is_an_error_with_a_hint() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    for (text, expected) in [
        ("<<<<<<< HEAD\n", "mend it"),
        ("[]", "mend it"),
        (
            "{\"schema\": \"depickle-baseline/9\"}",
            "of another version (depickle-baseline/9",
        ),
        (
            "{\"schema\": \"depickle-baseline/1\", \"repositories\": {\"shop\": {\"loads\": [{\"count\": -1}]}}}",
            "mend it",
        ),
    ] {
        home.write(FILE, text);
        for args in [
            &["scan", "shop", "--baseline", FILE][..],
            &["baseline", "shop"],
        ] {
            let output = home.run(args);
            assert_eq!(code(&output), 2, "{args:?} {text}");
            let said = stderr(&output);
            assert!(
                said.contains(expected) && said.contains("depickle baseline -o"),
                "{said}"
            );
        }
        assert_eq!(fs::read_to_string(home.path(FILE)).unwrap(), text);
    }
    let absent = home.run(&["scan", "shop", "--baseline", "nowhere.json"]);
    assert_eq!(code(&absent), 2);
    let both = [
        "scan",
        "shop",
        "--baseline",
        FILE,
        "--baseline-commit",
        "HEAD",
    ];
    assert_eq!(code(&home.run(&both)), 2);
}

#[test]
fn files_that_could_not_be_read_before_are_no_reason_to_fail_now() {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    home.write("shop/old.py", "import pickle\nprint pickle\n");
    assert_eq!(code(&home.run(&["baseline", "shop"])), 3);
    assert_eq!(
        baseline(&home)["repositories"]["shop"]["unread"][0],
        "old.py"
    );
    let (exit, said) = scan(&home, "shop");
    assert_eq!(exit, 0, "{said}");
    assert!(
        said.contains("not parsed") && said.contains("no reason for exit code 3"),
        "{said}"
    );
    home.write("shop/app.py", format!("{GUIDE}{}", more("second")));
    assert_eq!(scan(&home, "shop").0, 1);
    home.write("shop/older.py", "import pickle\nprint pickle\n");
    assert_eq!(scan(&home, "shop").0, 3);
    fs::remove_file(home.path("shop/older.py")).unwrap();
    home.write("shop/old.py", "print(1)\n");
    assert_eq!(code(&home.run(&["baseline", "shop", "--prune"])), 0);
    assert_eq!(baseline(&home)["repositories"]["shop"].get("unread"), None);
}

#[test]
fn a_commit_is_a_baseline() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE), ("lib/more.py", "x = 1\n")]);
    let against = |reference: &str, target: &str| {
        let output = home.run(&["scan", target, "--baseline-commit", reference]);
        (code(&output), stdout(&output) + &stderr(&output))
    };
    let (exit, said) = against("HEAD", "shop");
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("1 known to HEAD, not counted"), "{said}");
    home.write("shop/app.py", format!("# moved\n{GUIDE}{}", more("second")));
    let (exit, said) = against("main", "shop");
    assert_eq!(exit, 1, "{said}");
    assert!(
        said.contains("POST /second") && !said.contains("POST /load"),
        "{said}"
    );
    // A folder and a file that were not there.
    home.write("shop/api/app.py", GUIDE);
    assert_eq!(against("main", "shop/api").0, 1);
    assert_eq!(against("main", "shop/api/app.py").0, 1);
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "after"]);
    assert_eq!(against("HEAD", "shop/api/app.py").0, 0);
    assert_eq!(against("HEAD~1", "shop").0, 1);
    // One commit against another.
    let commits = [
        "scan",
        "shop",
        "--base",
        "HEAD",
        "--baseline-commit",
        "HEAD~1",
    ];
    assert_eq!(code(&home.run(&commits)), 1);

    let (exit, said) = against("nowhere", "shop");
    assert_eq!(exit, 3);
    assert!(said.contains("a shallow clone may lack it"), "{said}");
    home.write("plain/app.py", GUIDE);
    let (exit, said) = against("HEAD", "plain");
    assert_eq!(exit, 3);
    assert!(said.contains("needs none"), "{said}");
}

#[test]
fn init_writes_a_check_that_fails_only_for_new_loads() {
    let home = Home::new();
    let hooks = "repos:\n  - repo: local\n    hooks: []\nci: {}\n";
    let files = [
        ("app.py", GUIDE),
        (".github/dependabot.yml", "version: 2\n"),
        (".gitlab-ci.yml", "lint:\n  script: ruff check\n"),
        (".pre-commit-config.yaml", hooks),
    ];
    let root = home.repo("shop", &files);
    let dry = home.run(&["init", "shop", "--dry-run"]);
    assert_eq!(code(&dry), 0, "{}", stderr(&dry));
    assert!(
        stdout(&dry).contains("+++ b/.github/workflows/depickle.yml"),
        "{}",
        stdout(&dry)
    );
    assert_eq!(git(&root, &["status", "--porcelain"]), "");

    // From a folder of it, too.
    fs::create_dir(root.join("deep")).unwrap();
    let done = home.run(&["init", "shop/deep", "--install", "pipx install depickle"]);
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let workflow = read(".github/workflows/depickle.yml");
    assert!(
        workflow.contains("- run: pipx install depickle\n"),
        "{workflow}"
    );
    assert!(read(".gitlab-ci.yml").starts_with("lint:\n  script: ruff check\n\n"));
    let config = read(".pre-commit-config.yaml");
    assert!(
        config.starts_with(&hooks[..hooks.len() - 7]) && config.ends_with("\nci: {}\n"),
        "{config}"
    );
    let line = |text: &str, key: &str| {
        let mut found = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(key));
        found.next_back().unwrap().to_owned()
    };
    let commands = [
        line(&workflow, "- run: "),
        line(&read(".gitlab-ci.yml"), "- "),
        line(&config, "entry: "),
    ];
    let check = |command: &str| {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        code(&home.program(&words).current_dir(&root).output().unwrap())
    };
    assert!(
        commands.iter().all(|command| check(command) == 0),
        "{commands:?}"
    );
    home.write("shop/new.py", GUIDE);
    assert!(
        commands.iter().all(|command| check(command) == 1),
        "{commands:?}"
    );

    // Nothing is overwritten, and nothing comes twice.
    home.write("shop/.github/workflows/depickle.yml", "ours: 1\n");
    let before = (read(FILE), read(".gitlab-ci.yml"), config);
    let again = home.run(&["init", "shop"]);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert!(
        stdout(&again).contains("--force replaces it"),
        "{}",
        stdout(&again)
    );
    assert_eq!(read(".github/workflows/depickle.yml"), "ours: 1\n");
    home.run(&["init", "shop", "--force"]);
    assert_ne!(read(".github/workflows/depickle.yml"), "ours: 1\n");
    assert_eq!(
        (
            read(FILE),
            read(".gitlab-ci.yml"),
            read(".pre-commit-config.yaml")
        ),
        before
    );
}

#[test]
fn init_does_not_guess() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    let none = home.run(&["init", "shop"]);
    assert_eq!(code(&none), 2);
    assert!(
        stderr(&none).contains("choose by --github"),
        "{}",
        stderr(&none)
    );
    home.write("shop/.pre-commit-config.yaml", "repos: []\n");
    let odd = home.run(&["init", "shop"]);
    assert_eq!(code(&odd), 2);
    assert!(stderr(&odd).contains("by hand"), "{}", stderr(&odd));
    assert_eq!(
        git(&root, &["status", "--porcelain"]),
        "?? .pre-commit-config.yaml\n"
    );
    fs::remove_file(root.join(".pre-commit-config.yaml")).unwrap();
    assert_eq!(code(&home.run(&["init", "shop", "--gitlab"])), 0);
    assert!(root.join(".gitlab-ci.yml").is_file() && !root.join(".github").exists());
    home.write("plain/app.py", GUIDE);
    assert_eq!(code(&home.run(&["init", "plain", "--github"])), 2);
}

#[test]
fn the_real_pre_commit_stops_a_commit_with_a_new_load() {
    let home = Home::new();
    let run = |program: &str, args: &[&str], folder: &str| {
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_depickle"))
            .parent()
            .unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let output = Command::new(program)
            .args(args)
            .current_dir(home.path(folder))
            .env("PATH", path)
            .env("PRE_COMMIT_HOME", home.path("pre-commit"))
            .env("DEPICKLE_STATE_DIR", home.path("state"))
            .output()
            .unwrap();
        (output.status.success(), stdout(&output) + &stderr(&output))
    };
    let python = venv::tools().join("python").display().to_string();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    assert_eq!(code(&home.run(&["init", "shop", "--pre-commit"])), 0);
    git(&root, &["add", "."]);
    let hook = || run(&python, &["-m", "pre_commit", "run", "--all-files"], "shop");
    let (passed, said) = hook();
    assert!(passed, "{said}");
    home.write("shop/new.py", GUIDE);
    git(&root, &["add", "."]);
    let (passed, said) = hook();
    assert!(!passed && said.contains("new.py:11:22"), "{said}");

    // Our own hooks, as they stand in the root, in a repository of their own.
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/.pre-commit-hooks.yaml");
    let own = fs::read_to_string(own).unwrap();
    home.repo("hooks", &[(".pre-commit-hooks.yaml", &own)]);
    let there = home.path("hooks").display().to_string();
    let tried = [
        "-m",
        "pre_commit",
        "try-repo",
        &there,
        "depickle-system",
        "--all-files",
    ];
    let (passed, said) = run(&python, &tried, "shop");
    assert!(!passed && said.contains("app.py:11:22"), "{said}");
}
