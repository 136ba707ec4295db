//! Branches of a run pushed to real remotes, and taken back from there. Git is the judge.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories, runs git and servers"
)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;

#[path = "support/servers.rs"]
mod servers;

#[path = "push/merged.rs"]
mod merged;
#[path = "push/requests.rs"]
mod requests;
#[path = "push/shape.rs"]
mod shape;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use home::{GUIDE, Home, code, git, stderr, stdout};
use servers::{Server, free, web};

const BRANCH: &str = "depickle/pickle-to-json";

/// Runs are dated, so that ids and commits are the same each time.
const DATED: (&str, &str) = ("SOURCE_DATE_EPOCH", "1795392000");

/// `name`, cloned from `served/name.git`, which has `GUIDE` on its main branch.
fn cloned(home: &Home, name: &str) -> PathBuf {
    let from = home.repo(&format!("origin/{name}"), &[("app.py", GUIDE)]);
    let bare = home.path(&format!("served/{name}.git"));
    git(
        &from,
        &["clone", "-q", "--bare", ".", bare.to_str().unwrap()],
    );
    git(&bare, &["config", "uploadpack.allowFilter", "true"]);
    git(
        home.0.path(),
        &["clone", "-q", bare.to_str().unwrap(), name],
    );
    home.path(name)
}

fn served(home: &Home, name: &str) -> PathBuf {
    home.path(&format!("served/{name}.git"))
}

fn url(home: &Home, name: &str) -> String {
    format!("file://{}", served(home, name).display())
}

/// The refs of every repository that is staged in or pushed to.
fn refs(home: &Home) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo: Vec<PathBuf> = vec![home.0.path().to_owned()];
    while let Some(folder) = todo.pop() {
        if folder.join("HEAD").is_file() && folder.join("objects").is_dir() {
            let listed = git(&folder, &["for-each-ref", "refs/heads", "refs/tags"]);
            if !listed.is_empty() {
                found.insert(folder, listed);
            }
            continue;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        todo.extend(paths.filter(|path| path.is_dir() && !path.is_symlink()));
    }
    found
}

fn tip(root: &Path) -> String {
    let listed = git(
        root,
        &[
            "for-each-ref",
            "--format=%(objectname)",
            &format!("refs/heads/{BRANCH}"),
        ],
    );
    listed.trim().to_owned()
}

/// Stages, and gives the id of the run.
fn stage(home: &Home, paths: &[&str]) -> String {
    let output = home.run_with(&[&["stage", "-j", "1"], paths].concat(), &[DATED]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    id(home)
}

fn id(home: &Home) -> String {
    let runs = home.json(&["runs", "--format", "json"]);
    runs["runs"][0]["run"].as_str().unwrap().to_owned()
}

fn states(home: &Home) -> Vec<String> {
    let runs = home.json(&["runs", "--format", "json"]);
    let rows = runs["runs"][0]["repositories"].as_array().unwrap().clone();
    let word = |row: &serde_json::Value| row["state"].as_str().unwrap().to_owned();
    rows.iter().map(word).collect()
}

fn said(output: &std::process::Output) -> String {
    stdout(output) + &stderr(output)
}

#[test]
fn a_run_is_pushed_and_taken_back() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    cloned(&home, "cart");
    let start = refs(&home);
    let run = stage(&home, &["shop", &url(&home, "cart")]);
    let pushed = home.run(&["push", &run]);
    assert_eq!(code(&pushed), 0, "{}", said(&pushed));
    assert_eq!(states(&home), ["pushed", "pushed"]);
    assert_eq!(tip(&served(&home, "shop")), tip(&shop));
    assert_eq!(tip(&served(&home, "cart")).len(), 40);
    let again = home.run(&["push", &run]);
    assert_eq!(code(&again), 0, "{}", said(&again));
    assert_eq!(
        stdout(&again).matches("is at").count(),
        2,
        "{}",
        said(&again)
    );
    let undone = home.run(&["rollback", &run]);
    assert_eq!(code(&undone), 0, "{}", said(&undone));
    assert_eq!(refs(&home), start);
    assert_eq!(states(&home), ["rolled-back", "rolled-back"]);
    // As often as one likes; and nothing is pushed any more.
    assert_eq!(code(&home.run(&["rollback", &run])), 0);
    let late = home.run(&["push", &run]);
    assert_eq!(code(&late), 2, "{}", said(&late));
    assert_eq!(refs(&home), start);
}

#[test]
fn nothing_of_the_repository_is_run() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    let mark = home.path("mark");
    let touch = format!("touch {}", mark.display());
    let trap = format!("#!/bin/sh\n{touch}\n");
    let script = home.script("script", &trap);
    git(home.0.path(), &["init", "-q", "scripts"]);
    for hook in ["pre-push", "reference-transaction", "post-checkout"] {
        let file = shop.join(".git/hooks").join(hook);
        home.script(file.to_str().unwrap(), &trap);
    }
    for key in [
        "core.sshCommand",
        "core.fsmonitor",
        "remote.origin.receivepack",
        "remote.origin.uploadpack",
        "core.alternateRefsCommand",
        "credential.helper",
    ] {
        git(&shop, &["config", key, script.to_str().unwrap()]);
    }
    let run = stage(&home, &["shop"]);
    let pushed = home.run(&["push", &run]);
    assert_eq!(code(&pushed), 0, "{}", said(&pushed));
    assert_eq!(code(&home.run(&["rollback", &run])), 0);
    assert!(!mark.exists());
    // The trap works: git itself falls into it.
    let _ = Command::new("git")
        .current_dir(&shop)
        .args(["push", "-q", "origin", "HEAD:x"])
        .output();
    assert!(mark.exists());
}

#[test]
fn what_fails_is_a_row_and_the_rest_is_pushed() {
    let home = Home::new();
    for name in ["shop", "cart", "pay", "moved", "taken", "ext", "secret"] {
        cloned(&home, name);
    }
    home.repo("lone", &[("app.py", GUIDE)]);
    let all = [
        "shop", "cart", "pay", "moved", "taken", "lone", "ext", "secret",
    ];
    let run = stage(&home, &all);
    fs::rename(served(&home, "cart"), home.path("away")).unwrap();
    let hook = served(&home, "pay").join("hooks/pre-receive");
    let text = "#!/bin/sh\necho not on a Friday >&2\nexit 1\n";
    home.script(hook.to_str().unwrap(), text);
    git(&home.path("moved"), &["branch", "-f", BRANCH, "HEAD"]);
    git(&served(&home, "taken"), &["branch", BRANCH, "main"]);
    git(
        &home.path("ext"),
        &["remote", "set-url", "origin", "ext::touch mark"],
    );
    git(
        &home.path("secret"),
        &[
            "remote",
            "set-url",
            "origin",
            "http://me:hunter2@127.0.0.1:1/x",
        ],
    );
    let before = tip(&served(&home, "taken"));
    let pushed = home.run(&["push", &run]);
    let text = said(&pushed);
    assert_eq!(code(&pushed), 3, "{text}");
    for words in [
        "shop  depickle/pickle-to-json: pushed to",
        "does not appear to be a git repository",
        "not on a Friday",
        "is not as the run left it",
        "has a branch depickle/pickle-to-json already",
        "there is no remote \"origin\"; name one with --remote",
        "git would run a helper",
        "unable to access 'http://127.0.0.1:1/x/'",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    let journal = fs::read_to_string(home.path(&format!("state/runs/{run}.jsonl"))).unwrap();
    assert!(!journal.contains("hunter2"), "{journal}");
    assert_eq!(tip(&served(&home, "taken")), before);
    assert!(!home.path("mark").exists() && !home.path("ext/mark").exists());
    let table = stdout(&home.run(&["runs", &run]));
    assert!(table.contains("not pushed: "), "{table}");
    // Once it is mended, it goes on.
    fs::rename(home.path("away"), served(&home, "cart")).unwrap();
    fs::remove_file(&hook).unwrap();
    let again = home.run(&["push", &run]);
    assert_eq!(code(&again), 3, "{}", said(&again));
    assert_eq!(
        stdout(&again).matches("pushed to").count(),
        2,
        "{}",
        said(&again)
    );
    assert_eq!(tip(&served(&home, "cart")), tip(&home.path("cart")));
    let undone = home.run(&["rollback", &run]);
    // What was moved by hand is left, and so is what others pushed.
    assert_eq!(code(&undone), 3, "{}", said(&undone));
    assert_eq!(tip(&served(&home, "taken")), before);
    for name in ["shop", "cart", "pay"] {
        assert_eq!(tip(&served(&home, name)), "");
    }
}

#[test]
fn a_branch_that_others_went_on_with_stays_there() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    let run = stage(&home, &["shop"]);
    home.run(&["push", &run]);
    git(&shop, &["switch", "-q", BRANCH]);
    git(&shop, &["commit", "-q", "--allow-empty", "-m", "review"]);
    git(&shop, &["push", "-q", "origin", BRANCH]);
    let theirs = tip(&served(&home, "shop"));
    git(&shop, &["switch", "-q", "main"]);
    git(&shop, &["branch", "-f", BRANCH, &format!("{BRANCH}~")]);
    // Pushed anew it is not, either.
    let again = home.run(&["push", &run]);
    assert_eq!(code(&again), 3, "{}", said(&again));
    for _ in 0..2 {
        let undone = home.run(&["rollback", &run]);
        assert_eq!(code(&undone), 3, "{}", said(&undone));
        assert!(
            stdout(&undone).contains("has moved there from"),
            "{}",
            said(&undone)
        );
        assert_eq!(tip(&served(&home, "shop")), theirs);
        assert_eq!(tip(&shop), "");
    }
    // By hand, as it was told.
    let lease = format!("--force-with-lease=refs/heads/{BRANCH}:{theirs}");
    git(
        &shop,
        &[
            "push",
            "-q",
            &lease,
            "origin",
            &format!(":refs/heads/{BRANCH}"),
        ],
    );
    assert_eq!(code(&home.run(&["rollback", &run])), 0);
    assert_eq!(states(&home), ["rolled-back"]);
}

#[test]
fn a_stop_at_every_step_is_gone_on_with_and_taken_back() {
    if !cfg!(debug_assertions) {
        return;
    }
    let home = Home::new();
    cloned(&home, "shop");
    cloned(&home, "cart");
    let start = refs(&home);
    let cart = url(&home, "cart");
    let paths = ["shop", cart.as_str()];
    let run = stage(&home, &paths);
    let staged = fs::read(home.path(&format!("state/runs/{run}.jsonl"))).unwrap();
    let locals = refs(&home);
    let pushed = home.run(&["push", &run]);
    assert_eq!(code(&pushed), 0, "{}", said(&pushed));
    let whole = refs(&home);
    let journal = home.path(&format!("state/runs/{run}.jsonl"));
    let lines = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
    let steps = lines(&journal) - staged.split(|b| *b == b'\n').count() + 1;
    assert_eq!(steps, 4);
    let unstage = || {
        let undone = home.run(&["rollback", &run]);
        assert_eq!(code(&undone), 0, "{}", said(&undone));
        assert_eq!(refs(&home), start);
    };
    unstage();
    // As it was when all was staged and nothing pushed.
    let restage = || {
        fs::write(&journal, &staged).unwrap();
        for (root, listed) in &locals {
            for line in listed.lines().filter(|line| line.ends_with(BRANCH)) {
                let id = line.split(' ').next().unwrap();
                git(root, &["update-ref", &format!("refs/heads/{BRANCH}"), id]);
            }
        }
        assert_eq!(refs(&home), locals);
    };
    for what in ["before", "torn", "after", "full"] {
        for step in 1..=steps {
            for going_on in [true, false] {
                restage();
                let at = format!("{what}:{step}");
                let stopped = home.run_with(&["push", &run], &[("DEPICKLE_FAULT", &at)]);
                assert_ne!(stopped.status.code(), Some(0), "{at}: {}", said(&stopped));
                if going_on {
                    let again = home.run(&["push", &run]);
                    assert_eq!(code(&again), 0, "{at}: {}", said(&again));
                    assert_eq!(refs(&home), whole, "{at}");
                    assert_eq!(states(&home), ["pushed", "pushed"], "{at}");
                }
                unstage();
            }
        }
        for step in 1..=8 {
            restage();
            home.run(&["push", &run]);
            let at = format!("{what}:{step}");
            let stopped = home.run_with(&["rollback", &run], &[("DEPICKLE_FAULT", &at)]);
            if what != "full" {
                assert_eq!(stopped.status.code(), None, "{at}: {}", said(&stopped));
            }
            if what == "after" {
                // What is being taken back is not pushed again.
                assert_eq!(code(&home.run(&["push", &run])), 2, "{at}");
            }
            unstage();
            assert_eq!(states(&home), ["rolled-back", "rolled-back"], "{at}");
        }
    }
}

#[test]
fn kill_dash_nine_while_pushing_loses_nothing() {
    let home = Home::new();
    let names: Vec<String> = (0..6).map(|n| format!("shop{n}")).collect();
    for name in &names {
        cloned(&home, name);
    }
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let start = refs(&home);
    let mut halfway = 0;
    for n in 0..4 {
        let run = stage(&home, &paths);
        let later = std::time::Duration::from_millis(3 * n as u64);
        home.killed(&["push", &run], &[], home.entries() + 1 + 2 * n, later);
        let pushed = names
            .iter()
            .filter(|name| !tip(&served(&home, name)).is_empty());
        halfway += usize::from(pushed.count() < names.len());
        if n % 2 == 0 {
            let again = home.run_alone(&["push", &run], &[]);
            assert_eq!(code(&again), 0, "{n}: {}", said(&again));
            for name in &names {
                assert_eq!(tip(&served(&home, name)), tip(&home.path(name)), "{n}");
            }
            assert_eq!(states(&home), ["pushed"; 6], "{n}");
        }
        let undone = home.run_alone(&["rollback", &run], &[]);
        assert_eq!(code(&undone), 0, "{n}: {}", said(&undone));
        assert_eq!(refs(&home), start, "{n}");
        fs::remove_dir_all(home.path("state")).unwrap();
    }
    assert!(halfway > 0, "it was over each time");
}

#[test]
fn rows_are_told_to_programs_as_well() {
    let home = Home::new();
    cloned(&home, "shop");
    home.repo("lone", &[("app.py", GUIDE)]);
    let run = stage(&home, &["shop", "lone"]);
    let json = |args: &[&str]| {
        let output = home.run(&[args, &["--format", "json"]].concat());
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["run"], run.as_str());
        (code(&output), told["rows"].as_array().unwrap().clone())
    };
    let find = |rows: &[serde_json::Value], end: &str| {
        let ends = |row: &&serde_json::Value| row["repository"].as_str().unwrap().ends_with(end);
        rows.iter().find(ends).unwrap().clone()
    };
    let (exit, rows) = json(&["push", &run]);
    assert_eq!((exit, rows.len()), (3, 2));
    let (shop, lone) = (find(&rows, "shop"), find(&rows, "lone"));
    assert_eq!(
        (&shop["outcome"], &shop["branch"]),
        (&"pushed".into(), &BRANCH.into())
    );
    assert_eq!(shop["error"], serde_json::Value::Null);
    assert_eq!(lone["outcome"], "not-pushed");
    assert_eq!(lone["next"], "name one with --remote");
    git(&home.path("lone"), &["branch", "-f", BRANCH, "main"]);
    let (exit, rows) = json(&["rollback", &run]);
    assert_eq!((exit, rows.len()), (3, 3));
    assert!(
        rows.iter()
            .filter(|row| row["outcome"] == "deleted")
            .count()
            == 2
    );
    let lone = find(&rows, "lone");
    assert_eq!(lone["outcome"], "left-as-it-is");
    assert!(lone["next"].as_str().unwrap().contains("git -C"), "{lone}");
}

/// `git daemon` that takes pushes.
fn daemon(home: &Home, port: u16) -> Server {
    servers::daemon(home, port, &["--enable=receive-pack"])
}

#[test]
fn over_the_net_from_a_clone_of_a_part_whose_server_went_on() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    let port = free();
    let _server = daemon(&home, port);
    let run = stage(&home, &[&format!("git://127.0.0.1:{port}/shop.git")]);
    let start = git(&served(&home, "shop"), &["for-each-ref"]);
    fs::write(shop.join("big.bin"), "x").unwrap();
    git(&shop, &["add", "."]);
    git(&shop, &["commit", "-q", "-m", "more"]);
    git(&shop, &["push", "-q", "origin", "main"]);
    assert_ne!(git(&served(&home, "shop"), &["for-each-ref"]), start);
    let start = git(&served(&home, "shop"), &["for-each-ref"]);
    let pushed = home.run(&["push", &run]);
    assert_eq!(code(&pushed), 0, "{}", said(&pushed));
    git(&served(&home, "shop"), &["fsck", "--strict"]);
    let base = git(
        &served(&home, "shop"),
        &["rev-parse", &format!("{BRANCH}~")],
    );
    assert_eq!(base, git(&served(&home, "shop"), &["rev-parse", "main~"]));
    // Without the clone, too.
    fs::remove_dir_all(home.path("cache")).unwrap();
    let undone = home.run(&["rollback", &run]);
    assert_eq!(
        git(&served(&home, "shop"), &["for-each-ref"]),
        start,
        "{}",
        said(&undone)
    );
}

#[test]
fn a_password_in_the_remote_is_used_and_kept_nowhere() {
    let home = Home::new();
    let shop = cloned(&home, "shop");
    let start = git(&served(&home, "shop"), &["for-each-ref"]);
    let server = web(&home);
    let port = server.port;
    let address = |who: &str| format!("http://{who}@127.0.0.1:{port}/shop.git");
    let set = |url: &str| git(&shop, &["remote", "set-url", "origin", url]);
    set(&address("me:wrong"));
    let run = stage(&home, &["shop"]);
    let refused = home.run(&["push", &run]);
    assert_eq!(code(&refused), 3, "{}", said(&refused));
    assert!(
        said(&refused).contains("credential helper"),
        "{}",
        said(&refused)
    );
    set(&address("me:secret"));
    let pushed = home.run(&["push", &run]);
    assert_eq!(code(&pushed), 0, "{}", said(&pushed));
    assert!(said(&pushed).contains("me:***@"), "{}", said(&pushed));
    // Without the password it is another address, and nobody is asked for it.
    set(&address("you:secret"));
    let undone = home.run(&["rollback", &run]);
    assert_eq!(code(&undone), 3, "{}", said(&undone));
    set(&address("me:secret"));
    let undone = home.run(&["rollback", &run]);
    assert_eq!(code(&undone), 0, "{}", said(&undone));
    assert_eq!(git(&served(&home, "shop"), &["for-each-ref"]), start);
    let journal = fs::read_to_string(home.path(&format!("state/runs/{run}.jsonl"))).unwrap();
    for word in ["secret", "wrong"] {
        assert!(!journal.contains(word) && !said(&pushed).contains(word));
        assert!(!said(&refused).contains(word) && !said(&undone).contains(word));
    }
}
