//! Repositories of every kind: shallow, sparse, linked, with submodules and with git-lfs, sha256 and reftable.

use super::*;

fn undo(home: &Home, before: &BTreeMap<PathBuf, String>) {
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(refs(home.0.path()), *before);
}

#[test]
fn shallow_sparse_and_linked_are_staged_whole_and_taken_back() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE), ("sub/app.py", GUIDE)]);
    git(&root, &["commit", "-q", "--allow-empty", "-m", "second"]);
    git(&root, &["worktree", "add", "-q", "--detach", "../linked"]);
    let url = format!("file://{}", root.display());
    git(
        home.0.path(),
        &["clone", "-q", "--depth=1", &url, "shallow"],
    );
    git(
        home.0.path(),
        &["clone", "-q", "--sparse", "shop", "sparse"],
    );
    git(&home.path("sparse"), &["sparse-checkout", "set", "none"]);
    assert!(!home.path("sparse/sub").exists());
    let start = refs(home.0.path());
    for name in ["shallow", "sparse", "linked"] {
        let root = home.path(name);
        let status = || git(&root, &["status", "--porcelain=v2", "--branch"]);
        let before = status();
        for (args, files) in [
            (
                &["stage", name, "--split", "file"][..],
                "app.py\nsub/app.py\n",
            ),
            (
                &["stage", name, "--path", "sub", "--branch", BRANCH],
                "sub/app.py\n",
            ),
        ] {
            let staged = home.run(args);
            assert_eq!(code(&staged), 0, "{name}: {}", stdout(&staged));
            assert_eq!(
                git(&root, &["diff", "--name-only", "HEAD", BRANCH]),
                files,
                "{name}"
            );
            git(&root, &["fsck", "--strict", "--no-dangling"]);
            assert_eq!(status(), before, "{name}");
            undo(&home, &start);
        }
    }
}

#[test]
fn a_submodule_is_a_repository_of_its_own_and_its_pointer_stays() {
    let home = Home::new();
    home.repo("leaf", &[("app.py", GUIDE)]);
    let own = ["-c", "protocol.file.allow=always", "submodule", "--quiet"];
    let add = |parent: &Path, which: &str, at: &str| {
        git(parent, &[&own[..], &["add", which, at]].concat());
        git(parent, &["commit", "-q", "-m", "submodule"]);
    };
    let inner = home.repo("inner", &[("app.py", GUIDE)]);
    add(
        &inner,
        &home.path("leaf").display().to_string(),
        "deep/leaf",
    );
    let outer = home.repo("outer", &[("app.py", GUIDE)]);
    add(&outer, &inner.display().to_string(), "vendor/inner");
    add(&outer, &inner.display().to_string(), "absent");
    git(
        &outer,
        &[
            &own[..],
            &["update", "--init", "--recursive", "vendor/inner"],
        ]
        .concat(),
    );
    git(&outer, &["submodule", "--quiet", "deinit", "-f", "absent"]);
    let modules = outer.join(".git/modules");
    let own_refs = || {
        let mut refs = refs(home.0.path());
        for below in ["vendor/inner", "vendor/inner/modules/deep/leaf"] {
            refs.insert(below.into(), git(&modules.join(below), &["for-each-ref"]));
        }
        refs
    };
    let start = own_refs();
    let status = || git(&outer, &["status", "--porcelain=v2", "--branch"]);
    let before = status();
    // Left alone, and said so.
    let alone = home.run(&["stage", "outer", "--format", "json"]);
    assert_eq!(code(&alone), 3);
    let alone: Value = serde_json::from_slice(&alone.stdout).unwrap();
    let skipped = alone["projects"][0]["files"]["skipped"].as_array().unwrap();
    let skipped: Vec<_> = skipped
        .iter()
        .map(|one| one["file"].as_str().unwrap())
        .collect();
    assert_eq!(skipped, ["absent", "vendor/inner"]);
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(own_refs(), start);
    let all = home.run(&["stage", "outer", "--submodules", "--format", "json"]);
    assert_eq!(code(&all), 3);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    let rows: Vec<(&str, &str, usize)> = all["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            assert_eq!(row["branch"], BRANCH, "{row}");
            let skipped = row["files"]["skipped"].as_array().unwrap().len();
            (
                row["root"].as_str().unwrap(),
                row["status"].as_str().unwrap(),
                skipped,
            )
        })
        .collect();
    let expected = [
        // What is not checked out cannot be looked at.
        ("outer", "incomplete", 1),
        ("outer/vendor/inner", "ok", 0),
        ("outer/vendor/inner/deep/leaf", "ok", 0),
    ];
    assert_eq!(rows, expected);
    assert_eq!(status(), before);
    let pointer = ["rev-parse", "main:vendor/inner"];
    let moved = ["rev-parse", "depickle/pickle-to-json:vendor/inner"];
    assert_eq!(git(&outer, &pointer), git(&outer, &moved));
    assert_ne!(own_refs(), start);
    let undone = home.run(&["rollback"]);
    assert_eq!(code(&undone), 0, "{}", stdout(&undone));
    assert_eq!(own_refs(), start);
    assert_eq!(status(), before);
}

#[test]
fn a_link_to_another_repository_is_no_submodule() {
    let home = Home::new();
    let other = home.repo("other", &[("app.py", GUIDE)]);
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    let head = git(&other, &["rev-parse", "HEAD"]);
    let entry = format!("160000,{},sub", head.trim());
    git(&root, &["update-index", "--add", "--cacheinfo", &entry]);
    git(&root, &["commit", "-q", "-m", "link"]);
    std::os::unix::fs::symlink(&other, root.join("sub")).unwrap();
    let start = refs(home.0.path());
    let staged = home.run(&["stage", "shop", "--submodules", "--format", "json"]);
    let staged: Value = serde_json::from_slice(&staged.stdout).unwrap();
    assert_eq!(staged["projects"].as_array().unwrap().len(), 1);
    undo(&home, &start);
}

#[test]
fn files_of_lfs_are_skipped_with_a_reason_and_never_changed() {
    let home = Home::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let root = home.repo(
        "shop",
        &[
            ("app.py", GUIDE),
            ("pointer.py", pointer),
            ("crypt/app.py", GUIDE),
            (".gitattributes", "crypt/** filter=crypt\n"),
        ],
    );
    let ran = home.path("ran").display().to_string();
    for what in ["clean", "smudge", "process"] {
        git(
            &root,
            &[
                "config",
                &format!("filter.crypt.{what}"),
                &format!("touch {ran}"),
            ],
        );
    }
    let start = refs(home.0.path());
    let staged = home.run(&["stage", "shop", "--format", "json"]);
    assert_eq!(code(&staged), 3);
    let staged: Value = serde_json::from_slice(&staged.stdout).unwrap();
    let skipped: Vec<(&str, &str)> = staged["projects"][0]["files"]["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["file"].as_str().unwrap(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        skipped,
        [
            ("crypt/app.py", "filtered-by-attribute"),
            ("pointer.py", "lfs-pointer")
        ]
    );
    assert!(!home.path("ran").exists());
    assert_eq!(
        git(&root, &["diff", "--name-only", "main", BRANCH]),
        "app.py\n"
    );
    undo(&home, &start);
}

/// A repository of `format` with a hook, a monitor and a filter that would be noticed; none where git is too old.
fn trapped(home: &Home, name: &str, format: &str) -> Option<PathBuf> {
    let mut init = std::process::Command::new("git");
    let init = init.args(["init", "-q", "-b", "main", format, name]);
    if !init.current_dir(home.0.path()).status().unwrap().success() {
        return None;
    }
    let root = home.repo(name, &[("app.py", GUIDE), ("sub/tool.py", GUIDE)]);
    git(&root, &["update-index", "--chmod=+x", "sub/tool.py"]);
    git(&root, &["commit", "-q", "-m", "mode"]);
    git(&root, &["checkout", "-q", "."]);
    let trap = format!("#!/bin/sh\ntouch {}\n", home.path("ran").display());
    for hook in ["pre-commit", "reference-transaction", "post-commit"] {
        home.script(&format!("{name}/.git/hooks/{hook}"), &trap);
    }
    let program = root.join(".git/hooks/pre-commit").display().to_string();
    for key in [
        "core.fsmonitor",
        "filter.x.clean",
        "core.sshCommand",
        "core.pager",
    ] {
        git(
            &root,
            &["-c", "core.hooksPath=/dev/null", "config", key, &program],
        );
    }
    home.write(&format!("{name}/.git/info/attributes"), "*.txt filter=x\n");
    Some(root)
}

#[test]
fn sha256_and_reftable_are_staged_by_the_git_program_and_taken_back() {
    let home = Home::new();
    home.repo("plain", &[("app.py", GUIDE), ("sub/tool.py", GUIDE)]);
    let kinds = [
        ("wide", "--object-format=sha256"),
        ("table", "--ref-format=reftable"),
    ];
    for (name, format) in kinds {
        let Some(root) = trapped(&home, name, format) else {
            continue;
        };
        let quiet = |args: &[&str]| {
            let safe = [
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "core.fsmonitor=false",
            ];
            git(&root, &[&safe[..], args].concat())
        };
        let bare = format!("{name}.git");
        git(home.0.path(), &["clone", "-q", "--bare", name, &bare]);
        quiet(&[
            "worktree",
            "add",
            "-q",
            "--detach",
            &format!("../{name}-linked"),
        ]);
        // What is there already is in the way.
        quiet(&["branch", "taken/by"]);
        let listed = || quiet(&["for-each-ref"]);
        let status = || quiet(&["--no-optional-locks", "status", "--porcelain=v2"]);
        let _ = fs::remove_file(home.path("ran"));
        let (start, clean) = (listed(), status());
        assert_eq!(code(&home.run(&["scan", name])), 1);
        assert_eq!(code(&home.run(&["diff", name, "--base", "main"])), 1);
        for branch in ["taken", "taken/by", "taken/by/more"] {
            assert_eq!(code(&home.run(&["stage", name, "--branch", branch])), 3);
            assert_eq!(listed(), start);
        }
        for place in [name.to_owned(), format!("{name}-linked"), bare] {
            let there = home.path(&place);
            let staged = home.run_with(&["stage", &place, "--split", "file"], &[DATED]);
            assert_eq!(code(&staged), 0, "{place}: {}", stdout(&staged));
            let say = |args: &[&str]| {
                let safe = [
                    "-c",
                    "core.hooksPath=/dev/null",
                    "-c",
                    "core.fsmonitor=false",
                ];
                git(&there, &[&safe[..], args].concat())
            };
            let raw = say(&[
                "diff-tree",
                "-r",
                "--no-commit-id",
                &format!("{BRANCH}~1"),
                BRANCH,
            ]);
            assert!(raw.starts_with(":100755 100755 "), "{raw}");
            assert_eq!(
                say(&["rev-list", "--count", &format!("main..{BRANCH}")]),
                "2\n"
            );
            say(&["fsck", "--strict", "--no-dangling"]);
            let tip = say(&["rev-parse", BRANCH]);
            // A branch that somebody has checked out, or went on with, stays.
            if place == name {
                say(&["worktree", "add", "-q", "../user", BRANCH]);
                let refused = home.run(&["rollback"]);
                assert_eq!(code(&refused), 3);
                assert!(
                    stdout(&refused).contains("in use by the work tree"),
                    "{}",
                    stdout(&refused)
                );
                say(&["worktree", "remove", "--force", "../user"]);
                say(&["update-ref", &format!("refs/heads/{BRANCH}"), "main"]);
                assert_eq!(code(&home.run(&["rollback"])), 3);
                say(&["update-ref", &format!("refs/heads/{BRANCH}"), tip.trim()]);
            }
            let undone = home.run(&["rollback"]);
            assert_eq!(code(&undone), 0, "{}", stdout(&undone));
            fs::remove_dir_all(home.path("state")).unwrap();
            assert!(!say(&["for-each-ref"]).contains(BRANCH));
            // The same again, and the same commits.
            assert_eq!(
                code(&home.run_with(&["stage", &place, "--split", "file"], &[DATED])),
                0
            );
            assert_eq!(say(&["rev-parse", BRANCH]), tip);
            assert_eq!(code(&home.run(&["rollback"])), 0);
            fs::remove_dir_all(home.path("state")).unwrap();
        }
        assert_eq!((listed(), status()), (start, clean));
        assert!(!home.path("ran").exists(), "{name}: something ran");
    }
}

#[test]
fn a_stop_at_every_step_in_a_format_that_only_git_reads() {
    if !cfg!(debug_assertions) {
        return;
    }
    for format in ["--object-format=sha256", "--ref-format=reftable"] {
        let home = Home::new();
        let Some(root) = trapped(&home, "shop", format) else {
            continue;
        };
        let listed = || git(&root, &["-c", "core.hooksPath=/dev/null", "for-each-ref"]);
        let start = listed();
        assert_eq!(code(&home.run_with(&["stage", "shop"], &[DATED])), 0);
        let (staged, run) = (listed(), id(&home));
        assert_eq!(code(&home.run(&["rollback"])), 0);
        for step in 2.. {
            let _ = fs::remove_dir_all(home.path("state"));
            let at = format!("after:{step}");
            let stopped = home.run_with(&["stage", "shop"], &[DATED, ("DEPICKLE_FAULT", &at)]);
            let through = stopped.status.code() == Some(0);
            if step % 2 == 1 {
                assert_eq!(code(&home.run(&["stage", "--resume", &run])), 0, "{at}");
                assert_eq!(listed(), staged, "{at}");
            }
            assert_eq!(code(&home.run(&["rollback"])), 0, "{at}");
            assert_eq!(listed(), start, "{at}");
            if through {
                assert!(step > 4, "{at}");
                break;
            }
        }
    }
}
