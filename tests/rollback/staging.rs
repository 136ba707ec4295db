//! Making a commit and a branch changes nothing else, and what cannot be done is told apart.

use super::*;

#[test]
fn a_dirty_work_tree_and_its_index_stay_as_they_are_through_stage_and_rollback() {
    let place = place();
    write(&place.root, "app/views.py", "my own work\n");
    write(&place.root, "other.py", "staged work\n");
    git(&place.root, &["add", "other.py"]);
    write(&place.root, "new.py", "untracked\n");
    fs::remove_file(place.root.join("notes.txt")).unwrap();
    let before = surroundings(&place.root);
    let (repo, _) = staged(&place);
    let (files, status) = surroundings(&place.root);
    assert_eq!(status, before.1);
    let is_new = |path: &Path| path.ends_with(BRANCH);
    let kept: Vec<_> = files
        .into_iter()
        .filter(|(path, _)| !is_new(path))
        .collect();
    assert_eq!(kept, before.0);
    assert_eq!(
        repo.dirty("").unwrap(),
        ["app/views.py", "new.py", "other.py"]
    );
    assert_eq!(undone(&place), Outcome::Deleted);
    assert_eq!(surroundings(&place.root), before);
}

#[test]
fn no_hook_runs() {
    let place = place();
    for hook in [
        "pre-commit",
        "post-commit",
        "commit-msg",
        "reference-transaction",
        "post-checkout",
    ] {
        let path = format!(".git/hooks/{hook}");
        write(
            &place.root,
            &path,
            format!("#!/bin/sh\ntouch {}/ran\n", place.home.path().display()),
        );
        git(&place.root, &["config", "core.hooksPath", ".git/hooks"]);
        let mut mode = fs::metadata(place.root.join(&path)).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        fs::set_permissions(place.root.join(&path), mode).unwrap();
    }
    staged(&place);
    assert_eq!(undone(&place), Outcome::Deleted);
    assert!(!place.home.path().join("ran").exists());
}

#[test]
fn equal_input_gives_an_equal_commit_in_another_clone_too() {
    let place = place();
    let repo = Repo::discover(&place.root).unwrap();
    let first = commit(&repo, "app/views.py", "changed\n").unwrap();
    assert_eq!(commit(&repo, "app/views.py", "changed\n").unwrap(), first);
    git(
        place.home.path(),
        &["clone", "-q", "--bare", "shop", "clone.git"],
    );
    let clone = Repo::discover(&place.home.path().join("clone.git")).unwrap();
    assert!(clone.is_bare());
    assert_eq!(commit(&clone, "app/views.py", "changed\n").unwrap(), first);
    assert_ne!(commit(&repo, "app/views.py", "otherwise\n").unwrap(), first);
    let written = git(&place.root, &["cat-file", "commit", &first]);
    assert!(
        written.contains("author A <a@example.org> 1700000000 +0000\ncommitter A <a@"),
        "{written}"
    );
    let sound = git(&place.root, &["fsck", "--strict"]);
    assert!(
        sound
            .lines()
            .all(|line| line.starts_with("dangling commit ")),
        "{sound}"
    );
}

#[test]
fn an_executable_file_stays_executable() {
    let place = place();
    let repo = Repo::discover(&place.root).unwrap();
    let new = commit(&repo, "app/tool.py", "changed\n").unwrap();
    let raw = git(&place.root, &["diff-tree", "-r", "--no-commit-id", &new]);
    assert!(
        raw.starts_with(":100755 100755 ") && raw.ends_with("M\tapp/tool.py\n"),
        "{raw}"
    );
}

#[test]
fn a_symlink_a_folder_and_an_absent_file_cannot_be_changed() {
    let place = place();
    std::os::unix::fs::symlink("views.py", place.root.join("app/link.py")).unwrap();
    git(&place.root, &["add", "."]);
    git(&place.root, &["commit", "-q", "-m", "link"]);
    let repo = Repo::discover(&place.root).unwrap();
    for path in [
        "app/link.py",
        "app",
        "absent.py",
        "app/../other.py",
        ".git/config",
    ] {
        let error = commit(&repo, path, "x").unwrap_err();
        assert!(
            matches!(error, RepoError::NotARegularFile { .. }),
            "{path}: {error}"
        );
    }
}

#[test]
fn an_author_who_would_corrupt_the_commit_is_refused() {
    let place = place();
    let repo = Repo::discover(&place.root).unwrap();
    let base = head(&repo).commit;
    for name in ["", "  ", ".,;", "A\nparent 123", "A <b>", "A\0"] {
        let author = Person {
            name: name.into(),
            ..person()
        };
        let new = NewCommit {
            base: &base,
            parent: &base,
            files: &[],
            added: &[],
            author: &author,
            committer: &person(),
            time: 0,
            message: "m",
            signer: None,
        };
        assert!(
            matches!(repo.commit(&new), Err(RepoError::BadPerson { .. })),
            "{name:?}"
        );
        let (author, committer) = (&person(), &author);
        let new = NewCommit {
            author,
            committer,
            ..new
        };
        assert!(
            matches!(repo.commit(&new), Err(RepoError::BadPerson { .. })),
            "{name:?}"
        );
    }
}

#[test]
fn an_existing_a_blocked_and_an_invalid_branch_are_told_apart() {
    let place = place();
    let repo = Repo::discover(&place.root).unwrap();
    let base = head(&repo).commit;
    git(&place.root, &["branch", "depickle"]);
    git(&place.root, &["branch", "deep/er/still"]);
    git(&place.root, &["pack-refs", "--all"]);
    let before = refs(&place.root);
    assert!(matches!(
        repo.create_branch("depickle", &base),
        Err(RepoError::BranchExists { .. })
    ));
    let by = |name: &str| match repo.create_branch(name, &base) {
        Err(RepoError::BranchBlocked { by, .. }) => by,
        other => panic!("{other:?}"),
    };
    assert_eq!(by("depickle/pickle-to-json"), "depickle");
    assert_eq!(by("deep"), "deep/er/still");
    assert_eq!(by("deep/er"), "deep/er/still");
    for name in ["", "-x", "a..b", "a b", "a.lock", "HEAD", "/a", "a/", "a~1"] {
        let error = repo.check_branch(name).unwrap_err();
        assert!(
            matches!(error, RepoError::InvalidBranchName { .. }),
            "{name:?}: {error}"
        );
    }
    assert!(repo.create_branch("good", &"0".repeat(40)).is_err());
    assert_eq!(refs(&place.root), before);
}

#[test]
fn a_branch_that_only_exists_as_an_empty_folder_is_no_obstacle() {
    let place = place();
    fs::create_dir_all(
        place
            .root
            .join(".git/refs/heads")
            .join(BRANCH)
            .join("empty"),
    )
    .unwrap();
    fs::create_dir_all(
        place
            .root
            .join(".git/logs/refs/heads")
            .join(BRANCH)
            .join("empty"),
    )
    .unwrap();
    let (_, new) = staged(&place);
    assert_eq!(git(&place.root, &["rev-parse", BRANCH]).trim(), new);
}
