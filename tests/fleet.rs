//! A run in shards: it comes to what one machine would have done, whatever is stopped, repeated or asked wrongly.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories, runs git and programs"
)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;

#[path = "support/servers.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod servers;

#[path = "fleet/bundles.rs"]
mod bundles;
#[path = "fleet/engines.rs"]
mod engines;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use home::{GUIDE, Home, code, git, refs, stderr, stdout};
use serde_json::Value;

const BRANCH: &str = "depickle/pickle-to-json";

/// Runs are dated, so that ids and commits are the same each time.
const DATED: (&str, &str) = ("SOURCE_DATE_EPOCH", "1795392000");

/// What a Python has to run in order not to be in a shard.
const ENGINES: [&str; 4] = [
    "JOB_COMPLETION_INDEX",
    "SLURM_ARRAY_TASK_ID",
    "AWS_BATCH_JOB_ARRAY_INDEX",
    "CI_NODE_INDEX",
];

/// Seven repositories: four to be staged (one of them elsewhere), two clean ones, one that is not there.
fn home() -> Home {
    let home = Home::new();
    for name in ["one", "two", "three", "origin"] {
        home.repo(name, &[("app.py", GUIDE)]);
    }
    home.repo("clean", &[("app.py", "x = 1\n")]);
    home.repo("empty", &[("notes.txt", "x\n")]);
    let url = format!("file://{}", home.path("origin").display());
    let list = format!("one\nclean\nnowhere\ntwo\n{url}\nempty\nthree\n");
    home.write("list.txt", list);
    home
}

/// The program, where no engine is.
fn run(home: &Home, args: &[&str], env: &[(&str, &str)]) -> std::process::Output {
    let mut program = home.program(args);
    for name in ENGINES {
        program.env_remove(name);
    }
    program.envs(env.iter().copied()).output().unwrap()
}

fn plan(home: &Home, shards: &str) -> Value {
    let args = [
        "fleet",
        "plan",
        "--repos",
        "list.txt",
        "--shards",
        shards,
        "-o",
        "plan.json",
    ];
    let output = run(home, &args, &[DATED]);
    assert!(matches!(code(&output), 0 | 3), "{}", stderr(&output));
    serde_json::from_str(&fs::read_to_string(home.path("plan.json")).unwrap()).unwrap()
}

fn shard(home: &Home, command: &str, at: &str, env: &[(&str, &str)]) -> std::process::Output {
    let args = [
        command,
        "--plan",
        "plan.json",
        "--shard",
        at,
        "-j",
        "1",
        "-q",
    ];
    run(home, &args, env)
}

/// The state of each repository of the newest run.
fn states(home: &Home) -> BTreeMap<String, String> {
    let runs = home.json(&["runs", "--format", "json"]);
    let rows = runs["runs"][0]["repositories"].as_array().unwrap().clone();
    let word = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (word(row, "repository"), word(row, "state")))
        .collect()
}

fn id(home: &Home) -> String {
    let runs = home.json(&["runs", "--format", "json"]);
    runs["runs"][0]["run"].as_str().unwrap().to_owned()
}

/// What a report says, in an order of its own: most exposed first is not as listed.
fn projects(output: &std::process::Output) -> Vec<Value> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", stdout(output), stderr(output));
    });
    let mut projects = report["projects"].as_array().unwrap().clone();
    for one in &mut projects {
        // Git is not asked in the same way for what is not there.
        one["error"] = Value::Bool(one["error"].is_string());
    }
    projects.sort_by_key(|one| one["root"].as_str().unwrap().to_owned());
    projects
}

/// As if nothing had been run.
fn forget(home: &Home) {
    for folder in ["state", "results"] {
        let _ = fs::remove_dir_all(home.path(folder));
    }
}

struct Whole {
    projects: Vec<Value>,
    states: BTreeMap<String, String>,
    refs: BTreeMap<PathBuf, String>,
    start: BTreeMap<PathBuf, String>,
    id: String,
}

/// What one machine does of it; taken back again.
fn whole(home: &Home) -> Whole {
    let start = refs(home.0.path());
    let stage = [
        "stage", "--repos", "list.txt", "-j", "1", "--format", "json",
    ];
    let output = run(home, &stage, &[DATED]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let whole = Whole {
        projects: projects(&output),
        states: states(home),
        refs: refs(home.0.path()),
        id: id(home),
        start,
    };
    assert_eq!(code(&run(home, &["rollback", &whole.id], &[])), 0);
    forget(home);
    whole
}

fn merge(home: &Home) -> std::process::Output {
    run(
        home,
        &["fleet", "merge", "plan.json", "--format", "json"],
        &[],
    )
}

#[test]
fn shards_come_to_what_one_machine_does() {
    let home = home();
    let whole = whole(&home);
    let plan = plan(&home, "3");
    assert_eq!(plan["run"], whole.id.as_str());
    assert_eq!(plan["shards"], 3);
    assert_eq!(plan["failed"][0]["target"]["location"], "nowhere");
    // Whoever plans it fixes what is read.
    git(
        &home.path("one"),
        &["commit", "-q", "--allow-empty", "-m", "later"],
    );
    for index in ["2", "0", "1"] {
        let output = run(
            &home,
            &["stage", "--plan", "plan.json", "-q"],
            &[("SLURM_ARRAY_TASK_ID", index)],
        );
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(
            home.path(&format!("results/stage-0000{index}.jsonl"))
                .is_file()
        );
    }
    git(&home.path("one"), &["reset", "-q", "--hard", "HEAD~"]);
    let merged = merge(&home);
    assert_eq!(code(&merged), 3, "one is not there: {}", stderr(&merged));
    assert!(stderr(&merged).contains("6 of 6"), "{}", stderr(&merged));
    assert_eq!(projects(&merged), whole.projects);
    assert_eq!(states(&home), whole.states);
    assert_eq!(refs(home.0.path()), whole.refs);
    // What is done is passed over.
    let before = fs::read(home.path("results/stage-00001.jsonl")).unwrap();
    assert_eq!(code(&shard(&home, "stage", "1/3", &[])), 0);
    assert_eq!(
        fs::read(home.path("results/stage-00001.jsonl")).unwrap(),
        before
    );
    assert!(!home.path("results/stage-00001.jsonl.part").exists());
    // Its journal is that of the run: everything that takes runs takes it.
    let journal = home.path(&format!("state/runs/{}.jsonl", whole.id));
    let first = fs::read(&journal).unwrap();
    merge(&home);
    assert_eq!(fs::read(&journal).unwrap(), first);
    assert_eq!(code(&run(&home, &["verify", "--run", &whole.id], &[])), 0);
    let resumed = run(&home, &["stage", "--resume", &whole.id], &[]);
    assert!(
        stderr(&resumed).contains("fleet merge"),
        "{}",
        stderr(&resumed)
    );
    assert_eq!(code(&run(&home, &["rollback", &whole.id], &[])), 0);
    assert_eq!(refs(home.0.path()), whole.start);
    // Put together once more, it stays rolled back.
    merge(&home);
    assert_eq!(states(&home)["one"], "rolled-back");
}

#[test]
fn every_report_is_that_of_one_machine() {
    let home = home();
    let stage = ["stage", "--repos", "list.txt", "-j", "1", "-q"];
    let reports = |folder: &str| {
        let formats = [
            "html", "markdown", "csv", "junit", "jsonl", "diff", "text", "codetf", "github",
            "gitlab",
        ];
        let mut args: Vec<String> = Vec::new();
        for format in formats {
            args.extend(["--report".to_owned(), format!("{format}={folder}/{format}")]);
        }
        args.extend(["--report".to_owned(), format!("sarif={folder}/sarif/")]);
        fs::create_dir_all(home.path(folder)).unwrap();
        args
    };
    home.write("list.txt", "one\nclean\ntwo\nempty\n");
    let whole = reports("whole");
    let args: Vec<&str> = stage
        .into_iter()
        .chain(whole.iter().map(String::as_str))
        .collect();
    assert_eq!(code(&run(&home, &args, &[DATED])), 0);
    assert_eq!(code(&run(&home, &["rollback"], &[])), 0);
    forget(&home);
    plan(&home, "2");
    for at in ["0/2", "1/2"] {
        assert_eq!(code(&shard(&home, "stage", at, &[])), 0);
    }
    let parts = reports("parts");
    let merge = ["fleet", "merge", "plan.json"];
    let args: Vec<&str> = merge
        .into_iter()
        .chain(parts.iter().map(String::as_str))
        .collect();
    let merged = run(&home, &args, &[]);
    assert_eq!(code(&merged), 0, "{}", stderr(&merged));
    let compare = |name: &str| {
        let read =
            |folder: &str| fs::read_to_string(home.path(&format!("{folder}/{name}"))).unwrap();
        let (whole, parts) = (read("whole"), read("parts"));
        assert_eq!(whole, parts, "{name}");
        whole.len()
    };
    let mut sizes = 0;
    for format in [
        "html", "markdown", "csv", "junit", "jsonl", "diff", "text", "codetf", "github", "gitlab",
    ] {
        sizes += compare(format);
    }
    sizes += compare("sarif/one.sarif");
    assert!(sizes > 10_000, "{sizes}");
    // As `scan` and `diff` in shards.
    for (command, found) in [("scan", 1), ("diff", 1)] {
        for at in ["0/2", "1/2"] {
            assert_eq!(code(&shard(&home, command, at, &[])), 0);
        }
        let files = [0, 1].map(|n| format!("results/{command}-0000{n}.jsonl"));
        let merged = run(
            &home,
            &["fleet", "merge", "plan.json", &files[0], &files[1]],
            &[],
        );
        assert_eq!(code(&merged), found, "{}", stderr(&merged));
        if command == "diff" {
            let diff = fs::read_to_string(home.path("whole/diff")).unwrap();
            assert_eq!(stdout(&merged), diff);
        }
    }
    let mixed = run(&home, &["fleet", "merge", "plan.json"], &[]);
    assert_eq!(code(&mixed), 2);
    assert!(
        stderr(&mixed).contains("name those of one"),
        "{}",
        stderr(&mixed)
    );
}

#[test]
fn a_stop_at_every_step_is_gone_on_with() {
    if !cfg!(debug_assertions) {
        return;
    }
    let home = home();
    let whole = whole(&home);
    plan(&home, "1");
    assert_eq!(code(&shard(&home, "stage", "0/1", &[])), 0);
    let text = fs::read_to_string(home.path("results/stage-00000.jsonl")).unwrap();
    let steps = text.lines().count();
    assert!(steps > 20, "{steps}");
    assert_eq!(code(&merge(&home)), 3);
    let rollback = |home: &Home| {
        assert_eq!(code(&run(home, &["rollback", &whole.id], &[])), 0);
        assert_eq!(refs(home.0.path()), whole.start);
    };
    rollback(&home);
    // What is `before` one entry is `after` the last.
    for (what, by) in [("after", 1), ("torn", 3), ("before", 7), ("full", 5)] {
        for step in (1..=steps).step_by(by) {
            let at = format!("{what}:{step}");
            forget(&home);
            let stopped = shard(&home, "stage", "0/1", &[("DEPICKLE_FAULT", &at)]);
            match what {
                "full" => assert_eq!(code(&stopped), 75, "{at}: {}", stderr(&stopped)),
                _ => assert_eq!(stopped.status.code(), None, "{at}: {}", stderr(&stopped)),
            }
            assert!(!home.path("results/stage-00000.jsonl").exists(), "{at}");
            let partly = merge(&home);
            assert_eq!(code(&partly), 3, "{at}");
            // What was reported last need not be missing, but the shard does not know that it is done.
            let last = (what, step) == ("after", steps);
            assert_eq!(
                stderr(&partly).contains("to run again: 0"),
                !last,
                "{at}: {}",
                stderr(&partly)
            );
            if step % 3 == 0 {
                // Whatever was made by then can be taken back.
                rollback(&home);
                continue;
            }
            let again = shard(&home, "stage", "0/1", &[]);
            assert_eq!(code(&again), 0, "{at}: {}", stderr(&again));
            let merged = merge(&home);
            assert_eq!(projects(&merged), whole.projects, "{at}");
            assert_eq!(states(&home), whole.states, "{at}");
            assert_eq!(refs(home.0.path()), whole.refs, "{at}");
            rollback(&home);
        }
    }
}

#[test]
fn kill_dash_nine_and_two_at_once_do_no_harm() {
    let home = home();
    let whole = whole(&home);
    plan(&home, "1");
    for lines in [1, 6, 14] {
        forget(&home);
        let mut child = home.program(&["stage", "--plan", "plan.json", "--shard", "0/1", "-q"]);
        let mut child = child.stderr(std::process::Stdio::null()).spawn().unwrap();
        let part = home.path("results/stage-00000.jsonl.part");
        let there = || {
            fs::read_to_string(&part)
                .unwrap_or_default()
                .lines()
                .count()
        };
        while there() < lines && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // A torn line is no line.
        if let Ok(mut file) = fs::OpenOptions::new().append(true).open(&part) {
            std::io::Write::write_all(&mut file, b"{\"at\":\"20").unwrap();
        }
        let mut again = shard(&home, "stage", "0/1", &[]);
        while code(&again) == 75 {
            // Git outlives who started it, and has the lock on the clone.
            again = shard(&home, "stage", "0/1", &[]);
        }
        assert_eq!(code(&again), 0, "{lines}: {}", stderr(&again));
        assert_eq!(projects(&merge(&home)), whole.projects, "{lines}");
        assert_eq!(refs(home.0.path()), whole.refs, "{lines}");
        assert_eq!(code(&run(&home, &["rollback", &whole.id], &[])), 0);
    }
    forget(&home);
    let journal = depickle::journal::Journal::at(&home.path("results/stage-00000.jsonl.part"));
    let held = journal.unwrap().hold(&whole.id).unwrap();
    let second = shard(&home, "stage", "0/1", &[]);
    assert_eq!(code(&second), 75, "{}", stderr(&second));
    drop(held);
    assert_eq!(code(&shard(&home, "stage", "0/1", &[])), 0);
}

#[test]
fn what_is_missing_is_named_until_all_is_there() {
    let home = home();
    let whole = whole(&home);
    let plan = plan(&home, "3");
    assert_eq!(code(&shard(&home, "stage", "1/3", &[])), 0);
    let merged = merge(&home);
    assert_eq!(code(&merged), 3);
    let said = stderr(&merged);
    assert!(
        said.contains("to run again: 0,2") && said.contains("2 of 6"),
        "{said}"
    );
    let missing = plan["repositories"].as_array().unwrap().iter();
    for one in missing.filter(|one| one["shard"] != 1) {
        let name = one["target"]["location"].as_str().unwrap();
        assert!(said.contains(&format!("missing: {name}\n")), "{said}");
    }
    // What is missing is no clean repository.
    let rows = projects(&merged);
    assert_eq!(
        rows.iter().filter(|row| row["status"] == "failed").count(),
        5
    );
    let runs = stdout(&run(&home, &["runs", &whole.id], &[]));
    assert!(runs.contains("not finished"), "{runs}");
    for at in ["0/3", "2/3"] {
        assert_eq!(code(&shard(&home, "stage", at, &[])), 0);
    }
    // Somebody did a shard twice, elsewhere.
    fs::create_dir_all(home.path("other")).unwrap();
    fs::copy(
        home.path("results/stage-00000.jsonl"),
        home.path("other/stage-00000.jsonl"),
    )
    .unwrap();
    let files = [
        "results/stage-00000.jsonl",
        "results/stage-00001.jsonl",
        "other/stage-00000.jsonl",
        "results/stage-00002.jsonl",
    ];
    let args: Vec<&str> = ["fleet", "merge", "plan.json", "--format", "json"]
        .into_iter()
        .chain(files)
        .collect();
    let merged = run(&home, &args, &[]);
    assert_eq!(projects(&merged), whole.projects);
    assert_eq!(states(&home), whole.states);
    // Gone on with, it is not put together from less.
    assert_eq!(code(&run(&home, &["rollback", &whole.id], &[])), 0);
    fs::remove_file(home.path("results/stage-00002.jsonl")).unwrap();
    let less = merge(&home);
    assert_eq!(code(&less), 2, "{}", stderr(&less));
    assert!(
        stderr(&less).contains("has gone on since"),
        "{}",
        stderr(&less)
    );
    // Results of another run are none of this.
    home.write("list.txt", "one\n");
    self::plan(&home, "1");
    let other = merge(&home);
    assert_eq!(code(&other), 2);
    assert!(
        stderr(&other).contains("belongs to run"),
        "{}",
        stderr(&other)
    );
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let home = home();
    plan(&home, "3");
    let said = |args: &[&str], env: &[(&str, &str)]| {
        let output = run(&home, args, env);
        assert_eq!(code(&output), 2, "{args:?} {env:?}: {}", stdout(&output));
        stderr(&output)
    };
    let stage = ["stage", "--plan", "plan.json"];
    let with = |more: &[&'static str]| [&stage[..], more].concat();
    assert!(said(&stage, &[]).contains("which shard?"));
    assert!(said(&with(&["--shard", "1/4"]), &[]).contains("the plan has 3 shards"));
    assert!(said(&with(&["--shard", "3/3"]), &[]).contains("0 to 2"));
    let two = said(&with(&["--shard", "1/3"]), &[("JOB_COMPLETION_INDEX", "2")]);
    assert!(two.contains("name two shards"), "{two}");
    // The last of an engine that counts from one.
    assert!(said(&stage, &[("CI_NODE_INDEX", "4")]).contains("0 to 2"));
    for option in [
        ["--author", "A <a@b>"],
        ["--branch", "x"],
        ["--window", "Sat 02:00-06:00 UTC"],
    ] {
        let args = [&with(&["--shard", "0/3"])[..], &option].concat();
        assert!(said(&args, &[]).contains("has decided"), "{option:?}");
    }
    said(&with(&["--shard", "0/3", "--message", "x"]), &[]);
    said(&with(&["--shard", "0/3", "one"]), &[]);
    assert!(said(&with(&["--shard", "0/3", "--bundle", "b"]), &[]).contains("is a path"));
    // Two kinds of plans.
    let saved = run(&home, &["diff", "one", "--save", "saved.json"], &[]);
    assert_eq!(code(&saved), 1);
    let told = said(&["stage", "--plan", "saved.json", "--shard", "0/3"], &[]);
    assert!(told.contains("diff --save"), "{told}");
    assert!(said(&["scan", "--plan", "saved.json", "--shard", "0/3"], &[]).contains("diff --save"));
    assert!(said(&["fleet", "merge", "saved.json"], &[]).contains("diff --save"));
    assert!(said(&["fleet", "merge", "list.txt"], &[]).contains("no plan of a fleet"));
    assert!(said(&["stage", "--shard", "0/3"], &[]).contains("--plan"));
    let text = fs::read_to_string(home.path("plan.json")).unwrap();
    home.write(
        "other.json",
        text.replace("\"tool_version\": \"", "\"tool_version\": \"9"),
    );
    let other = said(&["stage", "--plan", "other.json", "--shard", "0/3"], &[]);
    assert!(other.contains("one version"), "{other}");
    home.write(
        "odd.json",
        text.replace("\"id\": \"one-", "\"id\": \"../one-"),
    );
    assert!(said(&["stage", "--plan", "odd.json", "--shard", "0/3"], &[]).contains("by hand"));
    assert!(!home.path("state").exists());
}

#[test]
fn what_may_pass_is_tried_again_and_not_for_ever() {
    let home = Home::new();
    home.repo("good", &[("app.py", GUIDE)]);
    let blocked = home.repo("blocked", &[("app.py", GUIDE)]);
    let origin = home.repo("origin", &[("app.py", GUIDE)]);
    let url = format!("file://{}", origin.display());
    home.write("list.txt", format!("good\nblocked\n{url}\n"));
    plan(&home, "1");
    // For good: somebody has the branch. For now: the clone's disk is full.
    git(&blocked, &["branch", BRANCH]);
    let attempt = || {
        let output = shard(&home, "stage", "0/1", &[]);
        (code(&output), stderr(&output))
    };
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("git"))
        .find(|git| git.is_file());
    let full = "*\" fetch \"*) echo 'fatal: No space left on device' >&2; exit 128;;";
    let real = real.unwrap();
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in {full} esac\nexec {} \"$@\"\n",
        real.display()
    );
    home.script("bin/git", &text);
    let path = format!(
        "{}:{}",
        home.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    for n in 0..2 {
        let output = shard(&home, "stage", "0/1", &[("PATH", &path)]);
        assert_eq!(code(&output), 75, "{n}: {}", stderr(&output));
    }
    let part = fs::read_to_string(home.path("results/stage-00000.jsonl.part")).unwrap();
    let reported = |name: &str| {
        let of = |line: &&str| line.contains("\"entry\":\"reported\"") && line.contains(name);
        part.lines().filter(of).count()
    };
    assert_eq!(
        (reported("good"), reported("blocked"), reported("file://")),
        (1, 1, 2)
    );
    assert_eq!(attempt().0, 65);
    let merged = merge(&home);
    assert_eq!(code(&merged), 3);
    let states = states(&home);
    assert_eq!(
        (&*states["good"], &*states["blocked"], &*states[&url]),
        ("staged", "failed", "staged")
    );
    // Passed over: what failed for good, too.
    assert_eq!(attempt().0, 65);
    // One that is always full is given up.
    fs::remove_dir_all(home.path("results")).unwrap();
    let codes: Vec<i32> = (0..5)
        .map(|_| code(&shard(&home, "scan", "0/1", &[("PATH", &path)])))
        .collect();
    assert_eq!(codes, [75, 75, 75, 65, 65]);
}
