//! Disks that are full: what could not be written is told with its name and what to do, nothing half-written looks whole, and
//! the run is gone on with once there is room.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::home::{GUIDE, Home, code, git, stderr, stdout};

const BRANCH: &str = "depickle/pickle-to-json";

/// A block of tmpfs.
const BLOCK: usize = 4096;

/// A small disk in a home; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// None where none can be mounted, which it says.
    fn new(home: &Home, name: &str) -> Option<Disk> {
        let at = home.path(name);
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        let mount = mount
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&at);
        if mount.output().is_ok_and(|done| done.status.success()) {
            return Some(Disk(at));
        }
        eprintln!("NOT RUN: no disk can be mounted here, so that it be full; that needs root");
        None
    }

    /// Leaves room for so many blocks.
    fn fill(&self, free: usize) {
        let mut file = File::create(self.filler()).unwrap();
        let block = [b'x'; BLOCK];
        let mut written = 0;
        while file.write_all(&block).is_ok() {
            written += BLOCK;
        }
        let left = written.saturating_sub(free * BLOCK);
        file.set_len(u64::try_from(left).unwrap()).unwrap();
    }

    fn clear(&self) {
        let _ = fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// All files below `root` but git's, and what they hold.
fn held(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn said(output: &Output) -> String {
    stdout(output) + &stderr(output)
}

#[track_caller]
fn tells_of_room(output: &Output) {
    let said = said(output);
    let full = [
        "No space left",
        "File too large",
        "Out of diskspace",
        "may be full",
    ];
    assert!(full.iter().any(|words| said.contains(words)), "{said}");
    assert!(
        said.contains("room") || said.contains("space and"),
        "{said}"
    );
    assert!(
        !said.contains("panicked") && !said.contains("please report"),
        "{said}"
    );
}

#[test]
fn a_repository_on_a_full_disk_is_staged_once_there_is_room() {
    for format in ["sha1", "sha256"] {
        let home = Home::new();
        let Some(disk) = Disk::new(&home, "disk") else {
            return;
        };
        home.init(format, "disk/shop");
        let root = home.repo("disk/shop", &[("app.py", GUIDE), ("sub/more.py", GUIDE)]);
        home.repo("other", &[("app.py", GUIDE)]);
        let refs = git(&root, &["for-each-ref"]);
        let mut failed = 0;
        let mut known = std::collections::BTreeSet::new();
        for free in [0, 1, 2, 3, 5, 8, 12] {
            disk.fill(free);
            let staged = home.run(&["stage", "disk/shop", "other"]);
            assert!(matches!(code(&staged), 0 | 3), "{free}: {}", said(&staged));
            // The other one has room.
            git(&home.path("other"), &["rev-parse", BRANCH]);
            if code(&staged) == 3 {
                failed += 1;
                tells_of_room(&staged);
                assert!(said(&staged).contains("disk/shop"), "{}", said(&staged));
                assert_eq!(git(&root, &["for-each-ref"]), refs, "{free}");
            }
            disk.clear();
            git(&root, &["fsck", "--strict"]);
            // Two may have begun in one second.
            let runs = home.json(&["runs", "--format", "json"]);
            let runs = runs["runs"].as_array().unwrap().clone();
            let names = runs
                .iter()
                .map(|run| run["run"].as_str().unwrap().to_owned());
            let run = names
                .filter(|run| known.insert(run.clone()))
                .last()
                .unwrap();
            if code(&staged) == 3 {
                let again = home.run(&["stage", "--retry-failed", &run]);
                assert_eq!(code(&again), 0, "{format} {free}: {}", said(&again));
            }
            git(&root, &["rev-parse", BRANCH]);
            git(&root, &["fsck", "--strict"]);
            let back = home.run(&["rollback", &run]);
            assert_eq!(code(&back), 0, "{free}: {}", said(&back));
            assert_eq!(git(&root, &["for-each-ref"]), refs, "{free}");
            // What was written for one is no help for the next.
            git(&root, &["prune", "--expire=now"]);
        }
        assert!(failed > 0, "{format}: never full");
    }
}

#[test]
fn files_on_a_full_disk_stay_as_they_are() {
    let home = Home::new();
    let Some(disk) = Disk::new(&home, "disk") else {
        return;
    };
    let long = format!("{GUIDE}{}", "# and so on\n".repeat(2_000));
    home.write("disk/shop/app.py", &long);
    home.write("disk/shop/more.py", &long);
    let pickle = b"\x80\x04}\x8c\x01aK\x01s.";
    home.write("disk/data/a.pickle", pickle);
    home.write("disk/data/b.pickle", pickle);
    let before = held(&home.path("disk"));
    for args in [
        &["apply", "disk/shop"][..],
        &["convert", "disk/data", "--write"],
        &["convert", "disk/data", "--in-place"],
    ] {
        let mut failed = 0;
        for free in [0, 1, 2, 5, 9, 13, 20] {
            disk.fill(free);
            let written = home.run(args);
            disk.clear();
            assert!(
                matches!(code(&written), 0 | 3),
                "{args:?} {free}: {}",
                said(&written)
            );
            if code(&written) == 3 {
                failed += 1;
                tells_of_room(&written);
            }
            if code(&written) == 3 && args[0] == "apply" {
                assert_eq!(held(&home.path("disk")), before, "{args:?} {free}");
            }
            let back = home.run(&["rollback"]);
            assert!(
                matches!(code(&back), 0 | 2),
                "{args:?} {free}: {}",
                said(&back)
            );
            assert_eq!(held(&home.path("disk")), before, "{args:?} {free}");
        }
        assert!(failed > 0, "{args:?}: never full");
        assert_eq!(code(&home.run(args)), 0);
        assert_eq!(code(&home.run(&["rollback"])), 0);
        assert_eq!(held(&home.path("disk")), before);
    }
}

#[test]
fn what_is_written_by_name_is_whole_or_as_before() {
    let home = Home::new();
    home.repo("shop", &[("app.py", GUIDE)]);
    home.write("list.txt", "shop\n");
    let Some(disk) = Disk::new(&home, "disk") else {
        return;
    };
    for args in [
        &[
            "scan",
            "shop",
            "--report",
            "html=disk/out",
            "--report",
            "csv=rows.csv",
        ][..],
        &["scan", "shop", "--format", "sarif", "--output", "disk/out"],
        &["diff", "shop", "--save", "disk/out"],
        &["baseline", "shop", "-o", "disk/out"],
        &[
            "fleet", "plan", "--repos", "list.txt", "--shards", "1", "-o", "disk/out",
        ],
    ] {
        for before in [None, Some("kept\n")] {
            let out = home.path("disk/out");
            // A baseline is read before it is written.
            let before = before.filter(|_| args[0] != "baseline");
            let _ = fs::remove_file(&out);
            before
                .iter()
                .for_each(|text| fs::write(&out, text).unwrap());
            disk.fill(0);
            let output = home.run(args);
            disk.clear();
            assert_eq!(code(&output), 2, "{args:?}: {}", said(&output));
            tells_of_room(&output);
            assert!(stderr(&output).contains("disk/out"), "{}", stderr(&output));
            assert_eq!(fs::read_to_string(&out).ok().as_deref(), before, "{args:?}");
            assert_eq!(
                fs::read_dir(home.path("disk")).unwrap().count(),
                usize::from(before.is_some())
            );
        }
        let output = home.run(args);
        assert!(
            matches!(code(&output), 0 | 1),
            "{args:?}: {}",
            said(&output)
        );
        assert!(fs::metadata(home.path("disk/out")).unwrap().len() > 100);
    }
    assert!(home.path("rows.csv").exists());
}

#[test]
fn a_file_that_is_replaced_keeps_its_mode_and_a_link_stays_one() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    home.write("page.html", "before\n");
    fs::set_permissions(home.path("page.html"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("page.html", home.path("link.html")).unwrap();
    let args = [
        "scan",
        "shop",
        "--report",
        "html=link.html",
        "--report",
        "csv=new.csv",
    ];
    assert_eq!(code(&home.run(&args)), 1);
    assert!(home.path("link.html").is_symlink());
    let mode = |name: &str| fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("page.html"), 0o640);
    assert!(
        fs::read_to_string(home.path("page.html"))
            .unwrap()
            .contains("<html")
    );
    home.write("usual", "");
    assert_eq!(mode("new.csv"), mode("usual"));
}

#[test]
fn a_full_cache_is_told_and_fetched_into_once_there_is_room() {
    let home = Home::new();
    let big: String = (0..60_000).map(|n| format!("x = {n}\n")).collect();
    home.repo("origin", &[("app.py", GUIDE), ("big.py", &big)]);
    home.repo("other", &[("app.py", GUIDE)]);
    let url = format!("file://{}", home.path("origin").display());
    let Some(disk) = Disk::new(&home, "cache") else {
        return;
    };
    let mut failed = 0;
    for free in [0, 1, 4, 10, 20, 40] {
        disk.fill(free);
        let scanned = home.run(&["scan", &url, "other"]);
        disk.clear();
        assert!(
            matches!(code(&scanned), 1 | 3),
            "{free}: {}",
            said(&scanned)
        );
        assert!(stdout(&scanned).contains("other"), "{}", said(&scanned));
        if code(&scanned) == 3 {
            failed += 1;
            tells_of_room(&scanned);
        }
        let again = home.run(&["scan", &url, "other", "--format", "json"]);
        assert_eq!(code(&again), 1, "{free}: {}", said(&again));
        let run: Value = serde_json::from_slice(&again.stdout).unwrap();
        assert_eq!(run["projects"][0]["files"]["seen"], 2, "{free}");
        home.run(&["cache", "clear"]);
        let _ = fs::remove_dir_all(home.path("cache").join("clones"));
    }
    assert!(failed > 0, "never full");
}

#[test]
fn what_is_read_only_is_read_and_told_when_it_is_to_be_written() {
    let home = Home::new();
    let Some(disk) = Disk::new(&home, "disk") else {
        return;
    };
    let root = home.repo("disk/shop", &[("app.py", GUIDE)]);
    home.repo("other", &[("app.py", GUIDE)]);
    let mount = |how: &str| {
        let mut mount = Command::new("mount");
        let done = mount
            .args(["-o", &format!("remount,{how}")])
            .arg(&disk.0)
            .status();
        assert!(done.unwrap().success());
    };
    mount("ro");
    for args in [&["scan", "disk/shop"][..], &["diff", "disk/shop"]] {
        assert_eq!(code(&home.run(args)), 1, "{args:?}");
    }
    for command in ["stage", "apply"] {
        let mut args = vec![command, "disk/shop"];
        args.extend((command == "stage").then_some("other"));
        let output = home.run(&args);
        assert_eq!(code(&output), 3, "{command}: {}", said(&output));
        let said = said(&output);
        assert!(
            said.contains("Read-only") || said.contains("read-only"),
            "{said}"
        );
        assert!(said.contains("permissions"), "{said}");
    }
    git(&home.path("other"), &["rev-parse", BRANCH]);
    mount("rw");
    assert_eq!(code(&home.run(&["stage", "disk/shop"])), 0);
    git(&root, &["rev-parse", BRANCH]);
}

/// The program with its output, or what it says besides, to a device that takes nothing.
fn to_full(home: &Home, args: &[&str], error: bool) -> Output {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut program = home.program(args);
    match error {
        true => program.stderr(full()),
        false => program.stdout(full()),
    };
    program.output().unwrap()
}

#[test]
fn output_that_nobody_takes_is_an_error_and_undoes_nothing() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    home.write("a.pickle", b"\x80\x04K\x01.");
    home.write("a.log", "gASVCQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOULg==\n");
    home.write("list.txt", "shop\n");
    for args in [
        &["scan", "shop"][..],
        &["scan", "shop", "--format", "json"],
        &["diff", "shop"],
        &["stage", "shop"],
        &["runs"],
        &["rollback"],
        &["explain", "pickle-to-json"],
        &["config", "shop"],
        &["inspect", "a.pickle"],
        &["inspect", "a.pickle", "--format", "json"],
        &["convert", "a.pickle"],
        &["hunt", "a.log"],
        &["cache"],
        &["completions", "bash"],
        &["fleet", "plan", "--repos", "list.txt", "--shards", "1"],
    ] {
        let output = to_full(&home, args, false);
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("standard output"),
            "{args:?}: {}",
            stderr(&output)
        );
        tells_of_room(&output);
        let branches = git(&root, &["branch", "--list", BRANCH]);
        assert_eq!(
            branches.is_empty(),
            !matches!(args[0], "stage" | "runs"),
            "{args:?}"
        );
        if args[0] == "stage" {
            assert!(
                stderr(&output).contains("to undo it"),
                "{}",
                stderr(&output)
            );
        }
    }
    // What goes to standard error is only for people.
    for args in [&["scan", "shop"][..], &["stage", "shop"], &["rollback"]] {
        let output = to_full(&home, args, true);
        assert_eq!(
            code(&output),
            i32::from(args[0] == "scan"),
            "{args:?}: {}",
            stdout(&output)
        );
    }
    assert!(git(&root, &["branch", "--list", BRANCH]).is_empty());
}

#[test]
fn a_shard_whose_bundle_has_no_room_is_done_again() {
    let home = Home::new();
    home.repo("origin", &[("app.py", GUIDE)]);
    let url = format!("file://{}", home.path("origin").display());
    home.write("list.txt", url);
    let Some(disk) = Disk::new(&home, "disk") else {
        return;
    };
    let plan = [
        "fleet",
        "plan",
        "--repos",
        "list.txt",
        "--shards",
        "1",
        "-o",
        "plan.json",
    ];
    assert_eq!(code(&home.run(&plan)), 0);
    let stage = [
        "stage",
        "--plan",
        "plan.json",
        "--shard",
        "0/1",
        "--bundle",
        "disk/bundles",
    ];
    disk.fill(0);
    let full = home.run(&stage);
    assert!(matches!(code(&full), 3 | 65 | 75), "{}", said(&full));
    tells_of_room(&full);
    let bundles = || fs::read_dir(home.path("disk/bundles")).map_or(0, Iterator::count);
    assert_eq!(bundles(), 0);
    disk.clear();
    let again = home.run(&stage);
    assert_eq!(code(&again), 0, "{}", said(&again));
    assert_eq!(bundles(), 1);
}
