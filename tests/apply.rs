//! `apply` writes into files, and `rollback` puts every byte back: after a stop at every step, and never over
//! somebody's work.
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    reason = "makes real folders and runs the program"
)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use home::{GUIDE, Home, code, git, stderr, stdout};

const DATED: (&str, &str) = ("SOURCE_DATE_EPOCH", "1790000000");

/// A folder without git: two files to be changed, one of them executable, and one that stays.
fn shop() -> Home {
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    home.write("shop/sub/more.py", GUIDE);
    home.write("shop/clean.py", "x = 1\n");
    let mode = fs::Permissions::from_mode(0o750);
    fs::set_permissions(home.path("shop/sub/more.py"), mode).unwrap();
    for (n, path) in ["app.py", "sub/more.py", "clean.py"].iter().enumerate() {
        let file = fs::File::options()
            .write(true)
            .open(home.path("shop").join(path));
        let time = UNIX_EPOCH + Duration::new(1_600_000_000 + n as u64, 123_456_789);
        file.unwrap().set_modified(time).unwrap();
    }
    home
}

/// Everything below `root` with its bytes, mode and time.
fn everything(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32, i64, i64)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            match meta.is_dir() {
                true => todo.push(path),
                false => {
                    let bytes = fs::read(&path).unwrap();
                    let is = (bytes, meta.mode(), meta.mtime(), meta.mtime_nsec());
                    all.insert(path, is);
                }
            }
        }
    }
    all
}

fn id(home: &Home) -> String {
    let runs = home.json(&["runs", "--format", "json"]);
    runs["runs"][0]["run"].as_str().unwrap().to_owned()
}

fn journal(home: &Home) -> PathBuf {
    home.path("state/runs").join(format!("{}.jsonl", id(home)))
}

#[test]
fn writes_what_diff_prints_and_puts_it_back() {
    let home = shop();
    let start = everything(&home.path("shop"));
    let patch = home.run(&["diff", "shop"]).stdout;
    let applied = home.run(&["apply", "shop"]);
    assert_eq!(code(&applied), 0, "{}", stderr(&applied));
    let after = everything(&home.path("shop"));
    assert_eq!(after.len(), start.len());
    for (path, (bytes, mode, seconds, nanoseconds)) in &after {
        let was = &start[path];
        assert_eq!((mode, seconds, nanoseconds), (&was.1, &was.2, &was.3));
        assert_eq!(*bytes != was.0, !path.ends_with("clean.py"), "{path:?}");
    }
    // The judge is git: the same patch on the same files.
    let other = shop();
    git(&other.path("shop"), &["init", "-q"]);
    other.write("patch", patch);
    git(&other.path("shop"), &["apply", "../patch"]);
    for path in ["app.py", "sub/more.py"] {
        let read = |home: &Home| fs::read(home.path("shop").join(path)).unwrap();
        assert_eq!(read(&home), read(&other), "{path}");
    }
    let runs = home.json(&["runs", "--format", "json"]);
    assert_eq!(runs["runs"][0]["repositories"][0]["state"], "applied");
    assert_eq!(runs["runs"][0]["state"], "applied");
    assert_eq!(runs["runs"][0]["files"][0]["state"], "applied");
    for _ in 0..2 {
        let back = home.run(&["rollback"]);
        assert_eq!(code(&back), 0, "{}", stdout(&back));
        assert_eq!(everything(&home.path("shop")), start);
    }
    let runs = home.json(&["runs", "--format", "json"]);
    assert_eq!(runs["runs"][0]["repositories"][0]["state"], "rolled-back");
}

#[test]
fn a_stop_at_every_step_is_taken_back() {
    if !cfg!(debug_assertions) {
        return;
    }
    let home = shop();
    let start = everything(&home.path("shop"));
    let whole = home.run_with(&["apply", "shop"], &[DATED]);
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    let journal = journal(&home);
    let entries = fs::read_to_string(&journal).unwrap();
    let steps = entries.lines().count();
    // Begun, looked at, two for each file, applied, ended.
    assert_eq!(steps, 8, "{entries}");
    let run = id(&home);
    let rollback = |env: &[(&str, &str)]| home.run_with(&["rollback", &run], env);
    assert_eq!(code(&rollback(&[])), 0);
    assert_eq!(everything(&home.path("shop")), start);
    let (mut changed, mut stopped_back) = (0, 0);
    for what in ["before", "torn", "after", "full"] {
        for step in 1..=steps {
            let at = format!("{what}:{step}");
            fs::remove_dir_all(home.path("state")).unwrap();
            let stopped = home.run_with(&["apply", "shop"], &[DATED, ("DEPICKLE_FAULT", &at)]);
            assert_ne!(stopped.status.code(), Some(0), "{at}");
            changed += usize::from(everything(&home.path("shop")) != start);
            if fs::metadata(&journal).map_or(0, |meta| meta.len()) == 0 {
                assert_eq!(everything(&home.path("shop")), start, "{at}");
                continue;
            }
            // The way back is stopped at every step, too.
            for back in 1..=4 {
                let stop = format!("{what}:{back}");
                let stopped = rollback(&[("DEPICKLE_FAULT", &stop)]);
                stopped_back += usize::from(stopped.status.code() != Some(0));
            }
            let back = rollback(&[]);
            // A journal with nothing but a torn line tells of no run.
            assert!(matches!(code(&back), 0 | 2), "{at}: {}", stdout(&back));
            assert_eq!(everything(&home.path("shop")), start, "{at}");
        }
    }
    assert!(
        changed >= 12 && stopped_back >= 12,
        "{changed} {stopped_back}"
    );
}

#[test]
fn a_file_that_a_stop_left_half_written_is_cleared_away() {
    let home = shop();
    let start = everything(&home.path("shop"));
    assert_eq!(code(&home.run(&["apply", "shop"])), 0);
    let run = id(&home);
    home.write(&format!("shop/.app.py.depickle-{run}"), "half");
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(everything(&home.path("shop")), start);
}

#[test]
fn what_was_changed_since_is_left_and_the_rest_is_put_back() {
    let home = shop();
    let start = everything(&home.path("shop"));
    assert_eq!(code(&home.run(&["apply", "shop"])), 0);
    home.write("shop/app.py", "mine\n");
    let back = home.run(&["rollback"]);
    assert_eq!(code(&back), 3);
    let said = stdout(&back);
    assert!(
        said.contains("app.py: left as it is: it was changed since"),
        "{said}"
    );
    assert!(said.contains("next: diff "), "{said}");
    let now = everything(&home.path("shop"));
    assert_eq!(now[&home.path("shop/app.py")].0, b"mine\n");
    let more = home.path("shop/sub/more.py");
    assert_eq!(now[&more], start[&more]);
    // Gone altogether: the command that is told brings it back.
    fs::remove_file(home.path("shop/app.py")).unwrap();
    let said = stdout(&home.run(&["rollback"]));
    let next = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("next: "));
    let mut shell = std::process::Command::new("sh");
    assert!(
        shell
            .arg("-c")
            .arg(next.unwrap())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(
        fs::read(home.path("shop/app.py")).unwrap(),
        GUIDE.as_bytes()
    );
}

#[test]
fn links_and_read_only_files_are_neither_broken_nor_followed() {
    let refused = |prepare: fn(&Home), says: &str| {
        let home = shop();
        prepare(&home);
        let start = everything(&home.path("shop"));
        let applied = home.run(&["apply", "shop"]);
        assert_eq!(code(&applied), 3, "{}", stdout(&applied));
        let said = stdout(&applied).replace("\n", " ");
        assert!(said.contains(says), "{said}");
        // All or nothing: the other file is as it was, too.
        assert_eq!(everything(&home.path("shop")), start);
    };
    refused(
        |home| fs::hard_link(home.path("shop/sub/more.py"), home.path("other.txt")).unwrap(),
        "several names (hard links)",
    );
    refused(
        |home| {
            let mode = fs::Permissions::from_mode(0o440);
            fs::set_permissions(home.path("shop/sub/more.py"), mode).unwrap();
        },
        "read-only",
    );
    // A link beside is no file of the folder: its target keeps its bytes, the rest is written.
    let home = shop();
    home.write("outside.py", GUIDE);
    symlink(home.path("outside.py"), home.path("shop/link.py")).unwrap();
    // What it leads to was not looked at.
    assert_eq!(code(&home.run(&["apply", "shop"])), 3);
    assert_eq!(fs::read(home.path("outside.py")).unwrap(), GUIDE.as_bytes());
    assert_ne!(
        fs::read(home.path("shop/app.py")).unwrap(),
        GUIDE.as_bytes()
    );
}

#[test]
fn a_dirty_work_tree_is_refused_unless_allowed() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE), ("notes.txt", "a\n")]);
    home.write("shop/notes.txt", "b\n");
    let applied = home.run(&["apply", "shop"]);
    assert_eq!(code(&applied), 3);
    let said = stdout(&applied).replace("\n", " ");
    assert!(said.contains("changes of its own: notes.txt"), "{said}");
    assert_eq!(fs::read(root.join("app.py")).unwrap(), GUIDE.as_bytes());
    assert_eq!(code(&home.run(&["apply", "shop", "--allow-dirty"])), 0);
    assert_ne!(fs::read(root.join("app.py")).unwrap(), GUIDE.as_bytes());
    assert_eq!(code(&home.run(&["rollback"])), 0);
    git(&root, &["checkout", "-q", "notes.txt"]);
    assert_eq!(git(&root, &["status", "--porcelain"]), "");
    assert_eq!(code(&home.run(&["apply", "shop"])), 0);
    assert_eq!(git(&root, &["status", "--porcelain"]), " M app.py\n");
}

#[test]
fn only_files_are_written() {
    let home = Home::new();
    home.repo("shop", &[("app.py", GUIDE)]);
    git(
        home.0.path(),
        &["clone", "-q", "--bare", "shop", "bare.git"],
    );
    let applied = home.run(&["apply", "bare.git"]);
    assert_eq!(code(&applied), 3);
    assert!(
        stdout(&applied).contains("no work tree"),
        "{}",
        stdout(&applied)
    );
    assert_eq!(code(&home.run(&["apply", "shop", "--base", "main"])), 2);
    assert_eq!(code(&home.run(&["apply", "nowhere"])), 2);
    assert!(git(&home.path("shop"), &["status", "--porcelain"]).is_empty());
}

#[test]
fn kill_dash_nine_while_applying_is_taken_back() {
    let home = shop();
    for n in 0..12 {
        home.write(&format!("shop/part{n}.py"), GUIDE);
    }
    let start = everything(&home.path("shop"));
    let mut halfway = 0;
    // Begun, looked at; then two for each of fourteen files.
    for (n, entries) in [3, 8, 17, 24].into_iter().enumerate() {
        let later = Duration::from_micros(300 * n as u64);
        home.killed(&["apply", "shop"], &[], entries, later);
        let now = everything(&home.path("shop"));
        let changed = now
            .iter()
            .filter(|(path, is)| start.get(*path) != Some(is))
            .count();
        halfway += usize::from((1..14).contains(&changed));
        let run = id(&home);
        let resumed = home.run(&["stage", "--resume", &run]);
        assert_eq!(code(&resumed), 2);
        assert!(
            stderr(&resumed).contains("apply anew"),
            "{}",
            stderr(&resumed)
        );
        let back = home.run(&["rollback"]);
        assert_eq!(code(&back), 0, "{n}: {}", stdout(&back));
        assert_eq!(everything(&home.path("shop")), start, "{n}");
        fs::remove_dir_all(home.path("state")).unwrap();
    }
    assert!(halfway > 0, "it was over each time");
    assert_eq!(code(&home.run(&["apply", "shop"])), 0);
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(everything(&home.path("shop")), start);
}

#[test]
fn extended_attributes_are_kept() {
    let home = shop();
    let python = |code: &str| {
        let mut python = std::process::Command::new("python3");
        python
            .arg("-c")
            .arg(code)
            .current_dir(home.0.path())
            .output()
            .unwrap()
    };
    let set = "import os; os.setxattr('shop/app.py', 'user.note', b'a\\0b')";
    if !python(set).status.success() {
        eprintln!("no extended attributes here: this is not tested");
        return;
    }
    let get =
        "import os; print(os.listxattr('shop/app.py'), os.getxattr('shop/app.py', 'user.note'))";
    for command in ["apply", "rollback"] {
        let args = [command, "shop"];
        let args = &args[..if command == "apply" { 2 } else { 1 }];
        assert_eq!(code(&home.run(args)), 0);
        let told = python(get);
        assert_eq!(
            stdout(&told),
            "['user.note'] b'a\\x00b'\n",
            "{command}: {}",
            stderr(&told)
        );
    }
}
