//! Others at work on the same repository at the same time: nothing is lost, and nobody is told something that is not so.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::home::{GUIDE, Home, code, git, stderr, stdout, tried};

const BRANCH: &str = "depickle/pickle-to-json";

const FULL: &str = "refs/heads/depickle/pickle-to-json";

#[test]
fn files_that_change_and_vanish_while_they_are_read_are_no_trouble() {
    let home = Home::new();
    home.write("shop/good.py", GUIDE);
    for n in 0..200 {
        home.write(&format!("shop/part{n}/file.py"), "x = 1\n");
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0_usize.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                let folder = home.path(&format!("shop/part{}", turn % 200));
                let file = folder.join("file.py");
                match turn % 5 {
                    0 => drop(fs::remove_dir_all(&folder)),
                    1 => drop(fs::remove_file(&file)),
                    2 => drop(
                        fs::remove_file(&file)
                            .and_then(|()| std::os::unix::fs::symlink("/dev/zero", &file)),
                    ),
                    3 => drop(fs::remove_file(&file).and_then(|()| {
                        let made = std::process::Command::new("mkfifo").arg(&file).status();
                        made.map(drop)
                    })),
                    _ => drop(fs::create_dir_all(&folder).and_then(|()| fs::write(&file, GUIDE))),
                }
            }
        });
        for _ in 0..25 {
            let output = home.run(&["scan", "shop", "--format", "json"]);
            assert!(matches!(code(&output), 1 | 3), "{}", stderr(&output));
            let run: Value = serde_json::from_slice(&output.stdout).unwrap();
            let findings = run["projects"][0]["findings"].as_array().unwrap();
            assert!(findings.iter().any(|finding| finding["file"] == "good.py"));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_commit_while_a_run_goes_on_is_neither_lost_nor_in_the_way() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    // Which would begin at some number of commits.
    git(&root, &["config", "gc.auto", "0"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let user = scope.spawn(|| {
            let mut made = 0;
            while !done.load(Ordering::Relaxed) {
                home.write("shop/notes.txt", format!("{made}\n"));
                git(&root, &["add", "notes.txt"]);
                git(&root, &["commit", "-q", "-m", "notes"]);
                made += 1;
            }
            made
        });
        for _ in 0..8 {
            let staged = home.run(&["stage", "shop"]);
            assert_eq!(code(&staged), 0, "{}{}", stdout(&staged), stderr(&staged));
            // One of the commits of that time, and the change on it alone.
            git(
                &root,
                &["merge-base", "--is-ancestor", &format!("{BRANCH}^"), "main"],
            );
            assert_eq!(
                git(
                    &root,
                    &["diff", "--name-only", &format!("{BRANCH}^"), BRANCH]
                ),
                "app.py\n"
            );
            let back = home.run(&["rollback"]);
            assert_eq!(code(&back), 0, "{}{}", stdout(&back), stderr(&back));
        }
        done.store(true, Ordering::Relaxed);
        let made: usize = user.join().unwrap();
        let kept: usize = git(&root, &["rev-list", "--count", "main"])
            .trim()
            .parse()
            .unwrap();
        assert_eq!(kept, made + 1);
    });
    assert_eq!(
        git(&root, &["for-each-ref", "--format=%(refname)"]),
        "refs/heads/main\n"
    );
}

/// The program while it waits before an act: `make` a branch, `delete` it, `deleting` it under git's lock. It goes on when
/// `go` is gone.
struct Paused {
    child: std::process::Child,
    go: std::path::PathBuf,
}

impl Paused {
    fn before(what: &str, home: &Home, args: &[&str]) -> Paused {
        let go = home.path("go");
        let fault = format!("pause:{what}:{}", go.display());
        let mut program = home.program(args);
        let program = program.env("DEPICKLE_FAULT", fault);
        let program = program.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        while !go.exists() {
            assert!(child.try_wait().unwrap().is_none(), "never before {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Paused { child, go }
    }

    fn goes_on(self) -> Output {
        fs::remove_file(self.go).unwrap();
        self.child.wait_with_output().unwrap()
    }

    fn killed(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        fs::remove_file(self.go).unwrap();
    }
}

/// A repository of `format`, and a commit of the user's that no branch has.
fn with_own(format: &str) -> (Home, std::path::PathBuf, String) {
    let home = Home::new();
    home.init(format, "shop");
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    let own = ["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "mine"];
    let own = git(&root, &own).trim().to_owned();
    (home, root, own)
}

fn tip(root: &Path) -> String {
    let tip = ["for-each-ref", "--format=%(objectname)", FULL];
    git(root, &tip).trim().to_owned()
}

#[test]
fn a_branch_that_comes_between_the_look_and_the_act_is_not_written_over() {
    for format in ["sha1", "sha256"] {
        let (home, root, own) = with_own(format);
        let run = Paused::before("make", &home, &["stage", "shop"]);
        git(&root, &["update-ref", FULL, &own]);
        let staged = run.goes_on();
        assert_eq!(code(&staged), 3, "{format}: {}", stderr(&staged));
        assert!(stdout(&staged).contains("exists already"), "{format}");
        assert_eq!(tip(&root), own, "{format}");
        let back = home.run(&["rollback"]);
        assert!(stdout(&back).contains("left as it is"), "{}", stdout(&back));
        assert_eq!(tip(&root), own, "{format}");
    }
}

#[test]
fn a_commit_that_comes_between_the_look_and_the_act_is_not_deleted() {
    for format in ["sha1", "sha256"] {
        let (home, root, own) = with_own(format);
        assert_eq!(code(&home.run(&["stage", "shop"])), 0);
        let back = Paused::before("delete", &home, &["rollback"]);
        git(&root, &["update-ref", FULL, &own]);
        let back = back.goes_on();
        assert_eq!(code(&back), 3, "{format}: {}", stdout(&back));
        assert_eq!(tip(&root), own, "{format}");
    }
}

#[test]
fn while_a_branch_is_deleted_git_keeps_others_off_it_and_a_kill_does_not_do_so_for_ever() {
    let (home, root, own) = with_own("sha1");
    assert_eq!(code(&home.run(&["stage", "shop"])), 0);
    let made = tip(&root);
    let back = Paused::before("deleting", &home, &["rollback"]);
    let refused = tried(&root, &["update-ref", FULL, &own, &made]);
    assert!(stderr(&refused).contains(".lock"), "{}", stderr(&refused));
    back.killed();
    let refused = tried(&root, &["update-ref", FULL, &own, &made]);
    assert!(stderr(&refused).contains(".lock"), "{}", stderr(&refused));
    let back = home.run(&["rollback"]);
    assert_eq!(code(&back), 0, "{}", stdout(&back));
    assert_eq!(tip(&root), "");
    git(&root, &["update-ref", FULL, &own]);
}

#[test]
fn a_lock_of_somebody_elses_is_not_taken_away_after_a_kill() {
    for format in ["sha1", "sha256"] {
        let (home, root, own) = with_own(format);
        Paused::before("make", &home, &["stage", "shop"]).killed();
        let mut user = Command::new("git");
        let user = user.arg("-C").arg(&root).args(["update-ref", "--stdin"]);
        let user = user.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut user = user.stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = user.stdin.take().unwrap();
        let begin = format!("start\ncreate {FULL} {own}\nprepare\n");
        stdin.write_all(begin.as_bytes()).unwrap();
        let mut said = BufReader::new(user.stdout.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap() == "prepare: ok"));
        // Neither is done yet: there is nothing to take back, and somebody has the lock.
        let back = home.run(&["rollback"]);
        assert!(matches!(code(&back), 0 | 3), "{}", stdout(&back));
        stdin.write_all(b"commit\n").unwrap();
        drop(stdin);
        let user = user.wait_with_output().unwrap();
        assert!(user.status.success(), "{format}: {}", stderr(&user));
        assert_eq!(tip(&root), own, "{format}");
    }
}

#[test]
fn of_many_runs_at_once_on_one_repository_one_stages_and_the_others_say_so() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    for _ in 0..5 {
        let outputs: Vec<_> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| home.run(&["stage", "shop"])))
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let staged: Vec<_> = outputs.iter().filter(|output| code(output) == 0).collect();
        assert_eq!(staged.len(), 1, "{outputs:?}");
        for output in &outputs {
            if code(output) != 0 {
                assert_eq!(code(output), 3);
                let said = stdout(output);
                assert!(said.contains(BRANCH), "{said}");
            }
        }
        assert_eq!(
            git(&root, &["rev-list", "--count", &format!("main..{BRANCH}")]),
            "1\n"
        );
        let back = home.run(&["rollback"]);
        assert_eq!(code(&back), 0, "{}{}", stdout(&back), stderr(&back));
        assert_eq!(
            git(&root, &["for-each-ref", "--format=%(refname)"]),
            "refs/heads/main\n"
        );
    }
}

#[test]
fn a_rollback_during_a_run_leaves_all_or_nothing() {
    let home = Home::new();
    let names: Vec<_> = (0..12).map(|n| format!("shop-{n}")).collect();
    for name in &names {
        home.repo(name, &[("app.py", GUIDE)]);
    }
    let mut args = vec!["stage"];
    args.extend(names.iter().map(String::as_str));
    std::thread::scope(|scope| {
        let run = scope.spawn(|| home.run(&args));
        while !run.is_finished() {
            let back = home.run(&["rollback"]);
            // Nothing to take back yet, somebody works on it, or done.
            assert!(
                matches!(code(&back), 0 | 2 | 3),
                "{}{}",
                stdout(&back),
                stderr(&back)
            );
        }
        assert_eq!(code(&run.join().unwrap()), 0);
    });
    home.run(&["rollback"]);
    for name in &names {
        assert_eq!(
            git(&home.path(name), &["for-each-ref", "--format=%(refname)"]),
            "refs/heads/main\n"
        );
    }
}
