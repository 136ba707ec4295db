//! Others at work on the same repository at the same time: nothing is lost, and nobody is told something that is not so.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::home::{GUIDE, Home, code, git, stderr, stdout};

const BRANCH: &str = "depickle/pickle-to-json";

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
