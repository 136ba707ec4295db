//! Links and names that would lead out of a repository, or never end.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::home::{GUIDE, Home, code, git, stderr, stdout};

/// Files that some part of depickle reads besides Python.
const READ_TOO: [&str; 16] = [
    ".gitignore",
    ".gitattributes",
    "CODEOWNERS",
    ".github/CODEOWNERS",
    ".editorconfig",
    "pyproject.toml",
    "depickle.toml",
    "setup.cfg",
    "tox.ini",
    "pytest.ini",
    "conftest.py",
    "manage.py",
    "notebook.ipynb",
    "script",
    "types.pyi",
    "fast.pyx",
];

/// What `program` gives, with so little memory that a file without end would not fit; it is stopped when it hangs.
fn bounded(home: &Home, args: &[&str]) -> std::process::Output {
    let program = home.program(args);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 6000000; exec timeout 60 \"$0\" \"$@\""]);
    limited.arg(program.get_program()).args(program.get_args());
    home.dress(&mut limited);
    limited.output().unwrap()
}

#[test]
fn a_link_to_what_never_ends_is_not_read() {
    for below in ["", "sub/"] {
        let home = Home::new();
        home.write(&format!("shop/{below}app.py"), GUIDE);
        for name in READ_TOO {
            let place = home.path(&format!("shop/{below}{name}"));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            symlink("/dev/zero", &place).unwrap();
        }
        home.repo("shop", &[]);
        for args in [
            &["scan", "shop"][..],
            &["diff", "shop"],
            &["stage", "shop", "--split", "owner"],
            &["apply", "shop"],
        ] {
            let output = bounded(&home, args);
            let said = format!("{below} {args:?}: {}{}", stdout(&output), stderr(&output));
            assert!(matches!(code(&output), 0 | 1 | 3), "{said}");
            assert!(!said.contains("failed:"), "{said}");
        }
        let staged = git(&home.path("shop"), &["show", "depickle/pickle-to-json"]);
        assert!(staged.contains("json.loads"));
        let applied = fs::read_to_string(home.path(&format!("shop/{below}app.py"))).unwrap();
        assert!(applied.contains("json.loads"));
    }
}

#[test]
fn a_fifo_is_not_waited_for() {
    let home = Home::new();
    home.repo("shop", &[("sub/app.py", GUIDE)]);
    let make = |name: &str| {
        for place in [
            home.path("shop").join(name),
            home.path("shop/sub").join(name),
        ] {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            assert!(
                Command::new("mkfifo")
                    .arg(&place)
                    .status()
                    .unwrap()
                    .success()
            );
        }
    };
    let ends = |command: &str| {
        let output = bounded(&home, &[command, "shop"]);
        assert!(
            matches!(code(&output), 0 | 1 | 3),
            "{command}: {}",
            stderr(&output)
        );
    };
    READ_TOO
        .into_iter()
        .filter(|name| *name != ".gitignore")
        .for_each(make);
    ["scan", "diff", "stage"].into_iter().for_each(ends);
    // `stage` asks git what is dirty, and git waits for this one; no clone has it.
    make(".gitignore");
    ["scan", "diff"].into_iter().for_each(ends);
}

/// A tree with one entry whose name git itself would not make.
fn tree(home: &Home, mode: &str, name: &str, object: &str) -> String {
    let mut raw = format!("{mode} {name}\0").into_bytes();
    for pair in object.trim().as_bytes().chunks(2) {
        raw.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    }
    home.write("raw", raw);
    let raw = home.path("raw").display().to_string();
    let made = git(
        &home.path("shop"),
        &["hash-object", "-w", "-t", "tree", "--literally", &raw],
    );
    made.trim().to_owned()
}

#[test]
fn a_name_that_leads_out_of_the_repository_leads_nowhere() {
    for (folder, name) in [
        ("..", "app.py"),
        (".git", "app.py"),
        (".", "app.py"),
        ("sub", "../../app.py"),
        ("sub", "/app.py"),
        (".GIT", "app.py"),
        // What becomes `.git` or a folder elsewhere on the disks of other systems.
        ("git~1", "app.py"),
        (".git ", "app.py"),
        (".git::$INDEX_ALLOCATION", "app.py"),
        (".g\u{200c}it", "app.py"),
        ("sub", "..\\app.py"),
        ("sub", "C:app.py"),
    ] {
        let home = Home::new();
        let root = home.repo("shop", &[("app.py", GUIDE)]);
        home.write("app.py", "outside = True\n");
        let blob = git(&root, &["rev-parse", "HEAD:app.py"]);
        let inner = tree(&home, "100644", name, &blob);
        let outer = tree(&home, "40000", folder, &inner);
        let commit = git(&root, &["commit-tree", &outer, "-m", "evil"]);
        git(&root, &["update-ref", "refs/heads/evil", commit.trim()]);
        let before = git(&root, &["for-each-ref"]);
        let staged = bounded(&home, &["stage", "shop", "--base", "evil"]);
        assert!(
            matches!(code(&staged), 0 | 1 | 3),
            "{folder}/{name}: {}",
            stderr(&staged)
        );
        assert_eq!(
            fs::read_to_string(home.path("app.py")).unwrap(),
            "outside = True\n"
        );
        assert_eq!(fs::read_to_string(home.path("shop/app.py")).unwrap(), GUIDE);
        assert!(!home.path("shop/.git/app.py").exists());
        let _ = home.run(&["rollback"]);
        assert_eq!(git(&root, &["for-each-ref"]), before);
    }
}

#[test]
fn a_work_tree_elsewhere_is_not_taken_for_the_repository() {
    let home = Home::new();
    let root = home.repo("evil", &[("app.py", GUIDE)]);
    home.write("victim/app.py", GUIDE);
    git(
        &root,
        &[
            "config",
            "core.worktree",
            &home.path("victim").display().to_string(),
        ],
    );
    for command in ["scan", "diff", "apply"] {
        let output = home.run(&[command, "evil"]);
        assert_eq!(code(&output), 3, "{command}");
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains("outside the work tree"), "{said}");
    }
    assert_eq!(
        fs::read_to_string(home.path("victim/app.py")).unwrap(),
        GUIDE
    );
}

#[test]
fn names_that_differ_in_case_alone_are_two_files() {
    let home = Home::new();
    let root = home.repo(
        "shop",
        &[("App.py", GUIDE), ("app.py", GUIDE), ("APP.PY", GUIDE)],
    );
    git(&root, &["config", "core.ignorecase", "true"]);
    assert_eq!(code(&home.run(&["stage", "shop"])), 0);
    assert_eq!(
        git(
            &root,
            &["diff", "--name-only", "main", "depickle/pickle-to-json"]
        ),
        "App.py\napp.py\n"
    );
}

#[test]
fn a_lock_of_gits_index_is_no_obstacle_and_stays() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    let lock = home.path("shop/.git/index.lock");
    fs::write(&lock, "").unwrap();
    for args in [&["scan", "shop"][..], &["diff", "shop"]] {
        assert_eq!(code(&home.run(args)), 1, "{args:?}");
    }
    for command in ["stage", "rollback"] {
        let args = [command, "shop"];
        let args = if command == "stage" {
            &args[..]
        } else {
            &args[..1]
        };
        let output = home.run(args);
        assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
        assert!(lock.exists());
    }
    fs::remove_file(&lock).unwrap();
    assert_eq!(git(&root, &["status", "--porcelain"]), "");
}

#[test]
fn the_callers_git_variables_lead_to_no_other_repository() {
    for format in ["sha1", "sha256"] {
        let home = Home::new();
        home.init(format, "shop");
        let root = home.repo("shop", &[("app.py", GUIDE)]);
        let victim = home.repo("victim", &[("app.py", "x = 1\n")]);
        let other = |below: &str| victim.join(below).display().to_string();
        let (dir, tree, index) = (other(".git"), other(""), other(".git/index"));
        let objects = other(".git/objects");
        let variables = [
            ("GIT_DIR", dir.as_str()),
            ("GIT_COMMON_DIR", &dir),
            ("GIT_WORK_TREE", &tree),
            ("GIT_INDEX_FILE", &index),
            ("GIT_OBJECT_DIRECTORY", &objects),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", &objects),
            ("GIT_CEILING_DIRECTORIES", &dir),
            ("GIT_NAMESPACE", "elsewhere"),
            ("GIT_PREFIX", "elsewhere/"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_DEFAULT_HASH", "sha256"),
            ("GIT_DEFAULT_REF_FORMAT", "reftable"),
            ("GIT_QUARANTINE_PATH", &objects),
            ("GIT_ATTR_SOURCE", "nothing"),
            ("GIT_REPLACE_REF_BASE", "refs/heads/"),
            ("GIT_IMPLICIT_WORK_TREE", "0"),
        ];
        let url = format!("file://{}", root.display());
        let before = (
            git(&victim, &["for-each-ref"]),
            git(&victim, &["count-objects", "-v"]),
        );
        for (args, expected) in [
            (&["scan", "shop"][..], 1),
            (&["diff", "shop"], 1),
            (&["stage", "shop"], 0),
            (&["rollback"], 0),
            (&["stage", "shop"], 0),
            // Clones are made in the one format that is read without the git program.
            (&["scan", &url], if format == "sha1" { 1 } else { 3 }),
        ] {
            let output = home.run_with(args, &variables);
            assert_eq!(
                code(&output),
                expected,
                "{format} {args:?}: {}{}",
                stdout(&output),
                stderr(&output)
            );
        }
        git(&root, &["rev-parse", "refs/heads/depickle/pickle-to-json"]);
        let after = (
            git(&victim, &["for-each-ref"]),
            git(&victim, &["count-objects", "-v"]),
        );
        assert_eq!(after, before, "{format}");
    }
}

#[test]
fn what_is_to_be_typed_next_runs_nothing_that_a_name_says() {
    let home = Home::new();
    let name = "it's $(touch ran)`touch ran`;touch ran;\"&|";
    home.repo(name, &[("app.py", GUIDE)]);
    assert_eq!(code(&home.run(&["stage", name])), 0);
    let again = home.run(&["stage", name]);
    assert_eq!(code(&again), 3);
    let said = stdout(&again) + &stderr(&again);
    let typed = said
        .split("look at it first: ")
        .nth(1)
        .expect("a next step");
    let typed = typed.lines().next().unwrap();
    assert!(typed.starts_with("git -C "), "{typed}");
    let mut shell = Command::new("sh");
    let done = shell
        .args(["-c", typed])
        .current_dir(home.0.path())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{typed}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(!home.path("ran").exists() && !home.path(name).join("ran").exists());
}
