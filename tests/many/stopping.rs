//! A stop at every step: resumed, it ends as if it had not stopped; rolled back, everything is as at the start.

use std::time::Duration;

use super::*;

const LIST: &str = "one\nclean\nbare.git\nnowhere\n";

/// Four repositories: two to be staged (one of them fetched), a clean one, and one that is not there.
fn home() -> Home {
    let home = Home::new();
    home.repo("one", &[("app.py", GUIDE)]);
    home.repo("clean", &[("app.py", "x = 1\n")]);
    home.repo("origin", &[("app.py", GUIDE), ("big.bin", "x")]);
    git(home.0.path(), &["clone", "-q", "--bare", "one", "bare.git"]);
    git(
        &home.path("origin"),
        &["config", "uploadpack.allowFilter", "true"],
    );
    let url = format!("file://{}", home.path("origin").display());
    home.write("list.txt", format!("{LIST}{url}\n"));
    home
}

const STAGE: [&str; 5] = ["stage", "--repos", "list.txt", "-j", "1"];

/// As if nothing had been run, but for the cache.
fn forget(home: &Home) {
    let _ = fs::remove_dir_all(home.path("state"));
}

fn ended(home: &Home) -> (Vec<(String, String)>, BTreeMap<PathBuf, String>) {
    (states(home), refs(home.0.path()))
}

#[test]
fn a_stop_at_every_step_is_gone_on_with_and_taken_back() {
    if !cfg!(debug_assertions) {
        return;
    }
    let home = home();
    let start = refs(home.0.path());
    let whole = home.run_with(&STAGE, &[DATED]);
    assert_eq!(code(&whole), 3, "{}", stderr(&whole));
    let (expected, steps, run) = (ended(&home), home.entries(), id(&home));
    let words: Vec<_> = expected.0.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(words, ["staged", "clean", "staged", "failed", "staged"]);
    assert!(steps >= 14, "{steps}");
    let rollback = || {
        assert_eq!(code(&home.run(&["rollback", &run])), 0);
        assert_eq!(refs(home.0.path()), start);
    };
    rollback();
    for what in ["before", "torn", "after", "full"] {
        for step in 1..=steps {
            let at = format!("{what}:{step}");
            forget(&home);
            let stopped = home.run_with(&STAGE, &[DATED, ("DEPICKLE_FAULT", &at)]);
            match what {
                "full" => assert!(matches!(code(&stopped), 2 | 3), "{at}"),
                _ => assert_eq!(stopped.status.code(), None, "{at}: {}", stderr(&stopped)),
            }
            if home.entries() == 0 || (what == "torn" && step == 1) {
                assert_eq!(refs(home.0.path()), start, "{at}");
                assert_eq!(code(&home.run(&["stage", "--resume", &run])), 2, "{at}");
                continue;
            }
            if step % 2 == 0 {
                // Without going on: whatever was made by then is taken back.
                rollback();
                continue;
            }
            let resumed = home.run(&["stage", "--resume", &run, "-j", "1"]);
            assert_eq!(code(&resumed), 3, "{at}: {}", stderr(&resumed));
            assert_eq!(ended(&home), expected, "{at}");
            rollback();
            rollback();
        }
    }
}

#[test]
fn a_stop_at_every_step_of_going_on_and_of_rolling_back_is_harmless() {
    if !cfg!(debug_assertions) {
        return;
    }
    let home = home();
    let start = refs(home.0.path());
    home.run_with(&STAGE, &[DATED]);
    let (expected, run) = (ended(&home), id(&home));
    home.run(&["rollback", &run]);
    for step in 1.. {
        let at = format!("after:{step}");
        forget(&home);
        home.run_with(&STAGE, &[DATED, ("DEPICKLE_FAULT", "after:4")]);
        let resumed = home.run_with(&["stage", "--resume", &run], &[("DEPICKLE_FAULT", &at)]);
        let through = resumed.status.code() == Some(3);
        assert_eq!(code(&home.run(&["stage", "--resume", &run])), 3, "{at}");
        assert_eq!(ended(&home), expected, "{at}");
        let undone = home.run_with(&["rollback", &run], &[("DEPICKLE_FAULT", &at)]);
        let undone = undone.status.code() == Some(0);
        // A run that is being taken back is not gone on with.
        assert_eq!(code(&home.run(&["stage", "--resume", &run])), 2, "{at}");
        assert_eq!(code(&home.run(&["rollback", &run])), 0, "{at}");
        assert_eq!(refs(home.0.path()), start, "{at}");
        if through && undone {
            assert!(step > 6, "{step}");
            break;
        }
    }
}

#[test]
fn a_disk_that_gives_no_more_loses_nothing() {
    let home = home();
    let start = refs(home.0.path());
    let whole = home.run_with(&STAGE, &[DATED]);
    let (expected, run) = (ended(&home), id(&home));
    assert_eq!(code(&whole), 3);
    home.run(&["rollback", &run]);
    // No file may grow over so many blocks of 512 bytes: journals, objects and packs stop in the middle.
    for blocks in 0..14 {
        forget(&home);
        let _ = fs::remove_dir_all(home.path("cache"));
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", &limited, env!("CARGO_BIN_EXE_depickle")])
            .args(STAGE);
        home.dress(&mut shell);
        let stopped = shell.env(DATED.0, DATED.1).output().unwrap();
        assert!(
            matches!(code(&stopped), 2 | 3),
            "{blocks}: {}",
            stderr(&stopped)
        );
        if code(&home.run(&["runs", &run])) != 0 {
            // Not even the beginning could be recorded: then nothing was done.
            assert_eq!(refs(home.0.path()), start, "{blocks}");
            continue;
        }
        home.run(&["stage", "--resume", &run]);
        assert_eq!(
            code(&home.run(&["stage", "--retry-failed", &run])),
            3,
            "{blocks}"
        );
        assert_eq!(ended(&home), expected, "{blocks}");
        assert_eq!(code(&home.run(&["rollback", &run])), 0);
        assert_eq!(refs(home.0.path()), start, "{blocks}");
    }
}

/// Kills `count` runs over twelve repositories with one URL among them, the nth when its journal has `wanted(n)` entries
/// and then `later(n)`; every other one is gone on with first, all are taken back.
fn killed(count: usize, wanted: impl Fn(usize) -> usize, later: impl Fn(usize) -> Duration) {
    let home = Home::new();
    let mut list = String::new();
    for n in 0..12 {
        home.repo(&format!("shop {n}"), &[("app.py", GUIDE)]);
        list += &match n {
            5 => format!("file://{}\n", home.path("shop-5").display()),
            n => format!("shop {n}\n"),
        };
    }
    fs::rename(home.path("shop 5"), home.path("shop-5")).unwrap();
    home.write("list.txt", list);
    let start = (refs(home.0.path()), locks(home.0.path()));
    for n in 0..count {
        let stage = ["stage", "--repos", "list.txt", "-q"];
        home.killed(&stage, &[], wanted(n), later(n));
        let run = id(&home);
        if n % 2 == 0 {
            let resumed = home.run(&["stage", "--resume", &run, "--format", "json"]);
            assert_eq!(code(&resumed), 0, "{n}: {}", stderr(&resumed));
            let rows: Value = serde_json::from_slice(&resumed.stdout).unwrap();
            let rows = rows["projects"].as_array().unwrap();
            assert_eq!(rows.len(), 12);
            assert!(rows.iter().all(|row| row["branch"] == BRANCH));
            assert!(states(&home).iter().all(|(_, state)| state == "staged"));
        }
        let undone = home.run(&["rollback", &run]);
        assert_eq!(code(&undone), 0, "{n}: {}", stdout(&undone));
        assert_eq!((refs(home.0.path()), locks(home.0.path())), start, "{n}");
        forget(&home);
    }
}

/// Git's locks, and reflogs of branches of ours, below `root`. In the cache git may be at work still, and the next run
/// clears away what it leaves.
fn locks(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let log =
                path.is_file() && path.to_string_lossy().contains("/logs/refs/heads/depickle");
            if log || path.extension().is_some_and(|end| end == "lock") {
                found.push(path.clone());
            }
            let own = ["objects", "cache", "state"]
                .iter()
                .any(|name| path.ends_with(name));
            if path.is_dir() && !own {
                todo.push(path);
            }
        }
    }
    found
}

#[test]
fn kill_dash_nine_at_any_moment_loses_nothing() {
    killed(4, |n| [2, 9, 17, 26][n], |_| Duration::ZERO);
}

/// `cargo test --test many -- --ignored two_hundred`
#[test]
#[ignore = "takes minutes"]
fn kill_dash_nine_at_two_hundred_moments_loses_nothing() {
    killed(
        200,
        |n| 1 + n % 37,
        |n| Duration::from_micros(u64::try_from(n * 7919 % 4000).unwrap()),
    );
}

#[test]
fn what_failed_is_tried_again_and_nothing_else() {
    let home = Home::new();
    home.repo("good", &[("app.py", GUIDE)]);
    let blocked = home.repo("blocked", &[("app.py", GUIDE)]);
    git(&blocked, &["branch", BRANCH]);
    assert_eq!(code(&home.run(&["stage", "good", "blocked", "later"])), 3);
    let run = id(&home);
    let table = stdout(&home.run(&["runs", &run]));
    assert!(
        table.contains("failed       blocked") && table.contains("--retry-failed"),
        "{table}"
    );
    // Nothing is left to go on with, and what failed is not hidden by that.
    assert_eq!(code(&home.run(&["stage", "--resume", &run])), 3);
    git(&blocked, &["branch", "-D", BRANCH]);
    home.repo("later", &[("app.py", GUIDE)]);
    let tip = git(&home.path("good"), &["rev-parse", BRANCH]);
    // From another folder, and with a new head in what was done.
    git(
        &home.path("good"),
        &["commit", "-q", "--allow-empty", "-m", "more"],
    );
    let mut retried = home.program(&["stage", "--retry-failed", &run]);
    let retried = retried.current_dir(home.path("good")).output().unwrap();
    assert_eq!(code(&retried), 0, "{}", stderr(&retried));
    assert_eq!(git(&home.path("good"), &["rev-parse", BRANCH]), tip);
    assert!(states(&home).iter().all(|(_, state)| state == "staged"));
    assert_eq!(code(&home.run(&["rollback", &run])), 0);
    assert!(
        states(&home)
            .iter()
            .all(|(_, state)| state == "rolled-back")
    );
    // What was asked for stands.
    let other = home.run(&["stage", "--resume", &run, "--message", "x"]);
    assert_eq!(code(&other), 2);
}

#[test]
fn two_do_not_work_on_one_run() {
    let home = Home::new();
    home.repo("good", &[("app.py", GUIDE)]);
    home.run(&["stage", "good"]);
    let run = id(&home);
    let journal = depickle::journal::Journal::open(home.path("state")).unwrap();
    let held = journal.hold(&run).unwrap();
    for args in [&["stage", "--resume", &run][..], &["rollback", &run]] {
        let output = home.run(args);
        assert_eq!(code(&output), 2);
        assert!(
            stderr(&output).contains("another depickle"),
            "{}",
            stderr(&output)
        );
    }
    drop(held);
    assert_eq!(code(&home.run(&["rollback", &run])), 0);
}
