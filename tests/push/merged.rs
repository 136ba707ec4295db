//! What was merged is reverted on a branch of its own, however it was merged, and never over somebody's work.

use super::requests::{Hosts, KINDS};
use super::*;

/// How a branch comes to be in another.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Merge,
    Forward,
    Squash,
}

/// Merges the run's branch, which is in `served`, by way of the clone `shop`; gives the commit that it was merged as.
fn merge(shop: &Path, how: How) -> String {
    git(shop, &["fetch", "-q", "origin"]);
    git(shop, &["switch", "-q", "main"]);
    let theirs = format!("origin/{BRANCH}");
    match how {
        How::Merge => git(shop, &["merge", "-q", "--no-ff", "-m", "merged", &theirs]),
        How::Forward => git(shop, &["merge", "-q", "--ff-only", &theirs]),
        How::Squash => {
            git(shop, &["merge", "-q", "--squash", &theirs]);
            git(shop, &["commit", "-q", "-m", "safe loads (#1)"])
        }
    };
    git(shop, &["push", "-q", "origin", "main"]);
    git(shop, &["rev-parse", "HEAD"]).trim().to_owned()
}

/// Another commit on the main branch, which puts `text` into `file`.
fn commit(shop: &Path, file: &str, text: &str) {
    fs::write(shop.join(file), text).unwrap();
    git(shop, &["add", "."]);
    git(shop, &["commit", "-q", "-m", "more"]);
    git(shop, &["push", "-q", "origin", "main"]);
}

fn at(root: &Path, rev: &str) -> String {
    git(root, &["show", &format!("{rev}:app.py")])
}

fn branches(root: &Path) -> Vec<String> {
    let listed = git(root, &["for-each-ref", "--format=%(refname:short)"]);
    listed.lines().map(str::to_owned).collect()
}

fn merge_revert(shop: &Path, revert: &str) {
    git(shop, &["fetch", "-q", "origin"]);
    git(shop, &["merge", "-q", &format!("origin/{revert}")]);
    git(shop, &["push", "-q", "origin", "main"]);
}

#[test]
fn what_was_merged_is_reverted_on_a_branch_of_its_own() {
    for how in [How::Merge, How::Forward, How::Squash] {
        for by_url in [false, true] {
            let home = Home::new();
            let shop = cloned(&home, "shop");
            let served = served(&home, "shop");
            let place = if by_url {
                url(&home, "shop")
            } else {
                "shop".to_owned()
            };
            let run = stage(&home, &[&place]);
            assert_eq!(code(&home.run(&["push", &run])), 0);
            if how == How::Merge {
                commit(&shop, "notes.txt", "before\n");
            }
            merge(&shop, how);
            // Others go on, in the same file as well.
            let more = "\n\ndef more():\n    return 1\n";
            commit(&shop, "app.py", &(at(&served, "main") + more));
            commit(&shop, "other.txt", "x\n");
            let main = git(&served, &["rev-parse", "main"]);
            let revert = format!("{BRANCH}-revert-{run}");
            let mut expected = 0;
            for _ in 0..2 {
                let undone = home.run(&["rollback", &run]);
                assert_eq!(code(&undone), expected, "{how:?}: {}", said(&undone));
                assert!(
                    stdout(&undone)
                        .contains(&format!("merged; to be reverted by refs/heads/{revert}")),
                    "{}",
                    said(&undone)
                );
                assert_eq!(branches(&served), [revert.as_str(), "main"], "{how:?}");
                assert_eq!(states(&home), ["merged"]);
                assert_eq!(at(&served, &revert), GUIDE.to_owned() + more, "{how:?}");
                assert_eq!(git(&served, &["rev-parse", &format!("{revert}~")]), main);
                assert_eq!(
                    git(&served, &["diff", "--name-only", "main", &revert]),
                    "app.py\n"
                );
                git(&served, &["fsck", "--strict"]);
                // Without what it was staged in, too.
                if by_url && how != How::Squash && expected == 0 {
                    fs::remove_dir_all(home.path("cache")).unwrap();
                    // Of a clone that is gone the branch is asked for in vain.
                    expected = 3;
                }
            }
            assert_eq!(code(&home.run(&["push", &run])), 2);
            merge_revert(&shop, &revert);
            let undone = home.run(&["rollback", &run]);
            assert_eq!(code(&undone), expected, "{how:?}: {}", said(&undone));
            assert_eq!(branches(&served), ["main"], "{how:?}");
            if expected == 0 {
                assert_eq!(states(&home), ["rolled-back"]);
            }
        }
    }
}

#[test]
fn where_others_went_on_with_it_the_command_is_told() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    let run = stage(&home, &["shop"]);
    home.run(&["push", &run]);
    merge(&shop, How::Merge);
    let safe = at(&shop, "main");
    commit(&shop, "app.py", &safe.replace("Invalid input", "No"));
    for _ in 0..2 {
        let undone = home.run(&["rollback", &run]);
        assert_eq!(code(&undone), 3, "{}", said(&undone));
        assert!(
            stdout(&undone).contains("others went on where it was changed: app.py"),
            "{}",
            said(&undone)
        );
        assert_eq!(branches(&served(&home, "shop")), ["main"]);
        assert_eq!(states(&home), ["merged"]);
    }
    // Mended, by the command that is told.
    commit(&shop, "app.py", &safe);
    let told = stdout(&home.run(&["runs", &run]));
    assert!(told.contains("not rolled back: "), "{told}");
    let undone = home.run(&["rollback", &run]);
    assert_eq!(code(&undone), 0, "{}", said(&undone));
    assert_eq!(
        at(&served(&home, "shop"), &format!("{BRANCH}-revert-{run}")),
        GUIDE
    );
}

#[test]
fn the_command_that_is_told_reverts_it() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    let run = stage(&home, &["shop"]);
    home.run(&["push", &run]);
    merge(&shop, How::Merge);
    let served = served(&home, "shop");
    let hook = served.join("hooks/update");
    let text = "#!/bin/sh\ncase $1 in *-revert-*) exit 1;; esac\n";
    home.script(hook.to_str().unwrap(), text);
    let undone = home.run(&["rollback", &run]);
    assert_eq!(code(&undone), 3, "{}", said(&undone));
    assert!(
        stdout(&undone).contains("hook declined"),
        "{}",
        said(&undone)
    );
    // What was merged is known by the branch, which stays until it is reverted.
    assert_eq!(branches(&served), [BRANCH, "main"]);
    fs::remove_file(&hook).unwrap();
    assert_eq!(code(&home.run(&["rollback", &run])), 0);
    let revert = format!("{BRANCH}-revert-{run}");
    assert_eq!(branches(&served), [revert.as_str(), "main"]);
    git(&served, &["branch", "-D", &revert]);
    let undone = home.run(&["rollback", &run]);
    assert_eq!(code(&undone), 3, "{}", said(&undone));
    assert!(
        stdout(&undone).contains("that reverts it was deleted"),
        "{}",
        said(&undone)
    );
    let told = stdout(&undone);
    let mut next = told.lines().filter_map(|line| line.split_once("next: "));
    let shell = Command::new("sh")
        .args(["-c", next.next().unwrap().1])
        .envs([("GIT_AUTHOR_NAME", "T"), ("GIT_AUTHOR_EMAIL", "t@e")])
        .envs([("GIT_COMMITTER_NAME", "T"), ("GIT_COMMITTER_EMAIL", "t@e")])
        .output()
        .unwrap();
    assert!(shell.status.success(), "{told}: {}", stderr(&shell));
    assert_eq!(at(&served, &format!("{BRANCH}-revert")), GUIDE);
}

#[test]
fn what_only_looks_alike_is_not_reverted() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    let run = stage(&home, &["shop"]);
    home.run(&["push", &run]);
    commit(
        &shop,
        "app.py",
        &GUIDE.replace("pickle.loads", "json.loads"),
    );
    let undone = home.run(&["rollback", &run]);
    assert_eq!(code(&undone), 0, "{}", said(&undone));
    assert_eq!(branches(&served(&home, "shop")), ["main"]);
    assert_eq!(states(&home), ["rolled-back"]);
}

#[test]
fn what_is_there_in_part_is_told() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    let run = stage(&home, &["shop"]);
    home.run(&["push", &run]);
    let safe = at(&shop, BRANCH);
    assert!(safe.starts_with("import json\n"));
    commit(
        &shop,
        "app.py",
        &safe.replacen("import json", "import pickle", 1),
    );
    for _ in 0..2 {
        let undone = home.run(&["rollback", &run]);
        assert_eq!(code(&undone), 3, "{}", said(&undone));
        assert_eq!(branches(&served(&home, "shop")), ["main"]);
    }
    commit(&shop, "app.py", GUIDE);
    assert_eq!(code(&home.run(&["rollback", &run])), 0);
    assert_eq!(states(&home), ["rolled-back"]);
}

/// A forge with `team/shop`, whose run `run` is pushed, asked for and merged there by `how`; gives the clone, too.
fn merged(kind: (&str, &str), how: How) -> (Hosts, String, PathBuf) {
    let hosts = Hosts::new(&["shop"]);
    let run = hosts.stage(&["shop"]);
    let api = hosts.api(kind.1);
    let push = ["push", &run, "--open", "--forge", kind.0, "--api", &api];
    let pushed = hosts.run(&push, &[]);
    assert_eq!(code(&pushed), 0, "{}", said(&pushed));
    let shop = hosts.home.path("team/shop");
    let commit = merge(&shop, how);
    hosts
        .home
        .write("served/merged", format!("{BRANCH} {commit}\n"));
    // As forges do, when they are asked to.
    git(&served(&hosts.home, "team/shop"), &["branch", "-D", BRANCH]);
    (hosts, run, shop)
}

#[test]
fn what_was_merged_on_a_forge_is_reverted_by_a_request() {
    for (n, kind) in KINDS.iter().enumerate() {
        let how = [How::Squash, How::Merge, How::Forward][n];
        let (hosts, run, shop) = merged(*kind, how);
        let home = &hosts.home;
        let served = served(home, "team/shop");
        let revert = format!("{BRANCH}-revert-{run}");
        for _ in 0..2 {
            let undone = hosts.run(&["rollback", &run], &[]);
            assert_eq!(code(&undone), 0, "{kind:?}: {}", said(&undone));
            assert!(
                stdout(&undone).contains("/1: merged; to be reverted by http"),
                "{}",
                said(&undone)
            );
            assert_eq!(branches(&served), [revert.as_str(), "main"]);
            assert_eq!(at(&served, &revert), GUIDE, "{kind:?}");
            let requests = hosts.requests();
            assert_eq!(requests.len(), 2, "{kind:?}");
            let (branch, into) = match kind.0 {
                "gitlab" => ("source_branch", "target_branch"),
                _ => ("head", "base"),
            };
            assert_eq!(
                (&requests[1][branch], &requests[1][into]),
                (&revert.as_str().into(), &"main".into())
            );
            let title = requests[1]["title"].as_str().unwrap();
            assert!(title.starts_with("Revert \""), "{title}");
            assert_eq!(states(home), ["merged"]);
        }
        // A request that is merged in turn ends it.
        merge_revert(&shop, &revert);
        let merged = fs::read_to_string(home.path("served/merged")).unwrap();
        home.write(
            "served/merged",
            format!("{merged}{revert} {}\n", "1".repeat(40)),
        );
        for _ in 0..2 {
            let undone = hosts.run(&["rollback", &run], &[]);
            assert_eq!(code(&undone), 0, "{kind:?}: {}", said(&undone));
            assert_eq!(branches(&served), ["main"]);
            assert_eq!(states(home), ["rolled-back"]);
        }
    }
}

#[test]
fn a_revert_that_was_closed_stays_so() {
    let (hosts, run, _) = merged(KINDS[0], How::Merge);
    assert_eq!(code(&hosts.run(&["rollback", &run], &[])), 0);
    let api = hosts.api("v3");
    let body = r#"{"state": "closed"}"#;
    let closed = Command::new("curl")
        .args([
            "-sf",
            "-X",
            "PATCH",
            "-H",
            "Authorization: Bearer secret",
            "-d",
            body,
        ])
        .arg(format!("{api}/repos/team/shop/pulls/2"))
        .output()
        .unwrap();
    assert!(closed.status.success(), "{}", stderr(&closed));
    for _ in 0..2 {
        let undone = hosts.run(&["rollback", &run], &[]);
        assert_eq!(code(&undone), 3, "{}", said(&undone));
        assert!(
            stdout(&undone).contains("/2 was closed"),
            "{}",
            said(&undone)
        );
        assert_eq!(hosts.requests().len(), 2);
    }
}

#[test]
fn a_closed_request_is_not_reverted_because_the_same_is_there() {
    let (hosts, run, _) = merged(KINDS[0], How::Squash);
    // Not by this request, says the forge.
    fs::remove_file(hosts.home.path("served/merged")).unwrap();
    let undone = hosts.run(&["rollback", &run], &[]);
    assert_eq!(code(&undone), 0, "{}", said(&undone));
    assert_eq!(branches(&served(&hosts.home, "team/shop")), ["main"]);
    assert_eq!(states(&hosts.home), ["rolled-back"]);
}

#[test]
fn a_stop_at_every_step_of_reverting_makes_one_revert() {
    if !cfg!(debug_assertions) {
        return;
    }
    let (hosts, run, _) = merged(KINDS[0], How::Squash);
    let (home, served) = (&hosts.home, served(&hosts.home, "team/shop"));
    let journal = home.path(&format!("state/runs/{run}.jsonl"));
    let before = fs::read(&journal).unwrap();
    let lines = || fs::read_to_string(&journal).unwrap().lines().count();
    let first = lines();
    assert_eq!(code(&hosts.run(&["rollback", &run], &[])), 0);
    let steps = lines() - first;
    // The request merged; the revert announced, pushed, asked for, there; the branch gone, there and here, with a word before.
    assert_eq!(steps, 8, "{}", fs::read_to_string(&journal).unwrap());
    let revert = format!("{BRANCH}-revert-{run}");
    let id = git(&served, &["rev-parse", &revert]);
    let clone = fs::read_dir(home.path("cache/clones")).unwrap().flatten();
    let clone = clone
        .map(|entry| entry.path())
        .find(|path| path.is_dir())
        .unwrap();
    let staged = String::from_utf8_lossy(&before).into_owned();
    let staged = staged.split("\"new\":\"").nth(1).unwrap()[..40].to_owned();
    for what in ["before", "torn", "after", "full"] {
        for step in 1..=steps {
            let at = format!("{what}:{step}");
            fs::write(&journal, &before).unwrap();
            git(
                &served,
                &["update-ref", "-d", &format!("refs/heads/{revert}")],
            );
            git(
                &clone,
                &["update-ref", &format!("refs/heads/{BRANCH}"), &staged],
            );
            let asked = hosts.requests().len();
            let stopped = hosts.run(&["rollback", &run], &[("DEPICKLE_FAULT", &at)]);
            if what != "full" {
                assert_eq!(stopped.status.code(), None, "{at}: {}", said(&stopped));
            }
            let undone = hosts.run(&["rollback", &run], &[]);
            assert_eq!(code(&undone), 0, "{at}: {}", said(&undone));
            assert_eq!(git(&served, &["rev-parse", &revert]), id, "{at}");
            assert_eq!(branches(&served), [revert.as_str(), "main"]);
            assert_eq!(tip(&clone), "", "{at}");
            assert_eq!(states(home), ["merged"], "{at}");
            // The one of before is still open there.
            assert_eq!(hosts.requests().len(), asked, "{at}");
        }
    }
}
