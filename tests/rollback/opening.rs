//! Finding the repository of a path, and saying what is wrong where there is none.

use super::*;

#[test]
fn says_what_is_wrong_with_a_place_that_cannot_be_staged() {
    let home = TempDir::new().unwrap();
    let open = |path: &str| {
        Repo::discover(&home.path().join(path))
            .map(|_| ())
            .unwrap_err()
    };
    assert!(matches!(open("absent"), RepoError::NoSuchPath { .. }));
    write(home.path(), "plain/a.py", "");
    assert!(matches!(open("plain"), RepoError::NotARepository { .. }));
    assert!(matches!(
        open("plain/a.py"),
        RepoError::NotARepository { .. }
    ));
    assert!(open("plain").hint().unwrap().contains("depickle diff"));
}

#[test]
fn an_unborn_head_and_an_unknown_revision_are_told_apart() {
    let home = TempDir::new().unwrap();
    git(home.path(), &["init", "-q", "new"]);
    let new = Repo::discover(&home.path().join("new")).unwrap();
    assert!(matches!(new.resolve(None), Err(RepoError::NoCommit { .. })));
    let place = place();
    let repo = Repo::discover(&place.root).unwrap();
    for revision in [
        "nope",
        "HEAD~7",
        "",
        "HEAD:other.py",
        "0000000000000000000000000000000000000000",
    ] {
        let error = repo.resolve(Some(revision)).unwrap_err();
        assert!(
            matches!(error, RepoError::UnknownRevision { .. }),
            "{revision:?}: {error}"
        );
    }
    git(&place.root, &["tag", "-a", "v1", "-m", "v1"]);
    assert_eq!(
        repo.resolve(Some("v1")).unwrap(),
        repo.resolve(Some("main")).unwrap()
    );
    let time = git(&place.root, &["log", "-1", "--format=%ct"]);
    assert_eq!(head(&repo).time.to_string(), time.trim());
}

#[test]
fn formats_that_only_git_reads_are_opened_by_it_and_unknown_ones_by_nobody() {
    let home = TempDir::new().unwrap();
    for (name, flag) in [
        ("sha256", "--object-format=sha256"),
        ("reftable", "--ref-format=reftable"),
    ] {
        if !tried(home.path(), &["init", "-q", flag, name])
            .status
            .success()
        {
            continue;
        }
        let root = home.path().canonicalize().unwrap().join(name);
        let repo = Repo::discover(&root).unwrap();
        assert_eq!((repo.root(), repo.is_bare()), (root.as_path(), false));
        assert!(matches!(
            repo.resolve(None),
            Err(RepoError::NoCommit { .. })
        ));
        write(&root, "sub/a.py", "a\n");
        git(&root, &["add", "."]);
        git(&root, &["commit", "-q", "-m", "first"]);
        for (path, prefix) in [("sub", "sub/"), ("sub/a.py", "sub/a.py")] {
            let repo = Repo::discover(&root.join(path)).unwrap();
            assert_eq!(repo.prefix(&root.join(path)).unwrap(), prefix);
        }
        let again = Repo::open(repo.git_dir()).unwrap();
        assert_eq!(again.root(), root);
        assert!(matches!(
            Repo::open(&root.join("sub")),
            Err(RepoError::NotARepository { .. })
        ));
        for revision in ["nope", "HEAD~7", "", "HEAD:sub/a.py", "--all"] {
            let error = repo.resolve(Some(revision)).unwrap_err();
            assert!(
                matches!(error, RepoError::UnknownRevision { .. }),
                "{revision:?}: {error}"
            );
        }
        let base = head(&repo);
        let time = git(&root, &["log", "-1", "--format=%ct"]);
        assert_eq!(base.time.to_string(), time.trim());
        let at = repo.files_at(&base, "", &Filter::default()).unwrap();
        assert_eq!(at, files_in(&root, &Filter::default()).unwrap());
    }
    git(home.path(), &["init", "-q", "odd"]);
    let root = home.path().join("odd");
    git(&root, &["config", "core.repositoryformatversion", "1"]);
    git(&root, &["config", "extensions.fromTheFuture", "true"]);
    assert!(matches!(
        Repo::discover(&root),
        Err(RepoError::Unsupported { .. })
    ));
}

#[test]
fn a_subdirectory_a_file_and_a_symlink_give_their_prefix() {
    let place = place();
    std::os::unix::fs::symlink(place.root.join("app"), place.home.path().join("link")).unwrap();
    let app = place.root.join("app");
    let repo = Repo::discover(&app.join("views.py")).unwrap();
    assert_eq!(repo.root(), place.root);
    assert_eq!(repo.prefix(&place.root).unwrap(), "");
    assert_eq!(repo.prefix(&app).unwrap(), "app/");
    assert_eq!(
        repo.prefix(&place.home.path().join("link")).unwrap(),
        "app/"
    );
    assert_eq!(repo.prefix(&app.join("views.py")).unwrap(), "app/views.py");
    assert!(matches!(
        repo.prefix(place.home.path()),
        Err(RepoError::Outside { .. })
    ));
    let listed = |prefix: &str| repo.files_at(&head(&repo), prefix, &Filter::default());
    assert_eq!(paths(&listed("app/").unwrap()), ["tool.py", "views.py"]);
    assert_eq!(paths(&listed("app/views.py").unwrap()), ["views.py"]);
    for absent in ["nope/", "app/nope.py", "other.py/deeper/"] {
        assert!(
            matches!(listed(absent), Err(RepoError::NotInCommit { .. })),
            "{absent}"
        );
    }
}

#[test]
fn a_repository_inside_another_is_not_taken_for_the_outer_one_when_it_is_gone() {
    let place = place();
    let inner = place.root.join("inner");
    git(&place.root, &["init", "-q", "inner"]);
    fs::remove_dir_all(inner.join(".git")).unwrap();
    assert!(matches!(
        Repo::open(&inner),
        Err(RepoError::NotARepository { .. })
    ));
    assert!(Repo::open(&place.root.join(".git")).is_ok());
}

#[test]
fn the_identity_comes_from_the_configuration() {
    let place = place();
    git(&place.root, &["config", "user.name", "Ada"]);
    git(&place.root, &["config", "user.email", "ada@example.org"]);
    let identity = Repo::discover(&place.root).unwrap().identity().unwrap();
    assert_eq!(
        (identity.name.as_str(), identity.email.as_str()),
        ("Ada", "ada@example.org")
    );
}

#[test]
fn a_repository_of_somebody_else_is_not_opened() {
    let place = place();
    // Only root can give files away; elsewhere there is nothing to try.
    if std::os::unix::fs::chown(&place.root, Some(12_345), None).is_ok()
        && std::os::unix::fs::chown(place.root.join(".git"), Some(12_345), None).is_ok()
    {
        let error = Repo::discover(&place.root).unwrap_err();
        assert!(matches!(error, RepoError::NotOwned { .. }), "{error}");
        assert!(error.hint().unwrap().contains("safe.directory"));
        assert_eq!(
            files_in(&place.root, &Filter::default())
                .unwrap()
                .files
                .len(),
            3
        );
    }
}
