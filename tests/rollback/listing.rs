//! A work tree and a commit give the same Python files, and each that cannot be read says why.

use super::*;

#[test]
fn a_clean_checkout_gives_the_same_from_disk_and_from_the_commit() {
    let place = place();
    let root = &place.root;
    write(root, ".gitignore", "ignored.py\nbuild/\n");
    write(root, "app/ignored.py", "tracked all the same\n");
    write(root, "build/out.py", "tracked all the same\n");
    write(root, "app/crlf.py", "a\r\nb\r\n");
    write(root, "app/latin.py", b"# -*- coding: latin-1 -*-\n'\xe4'\n");
    write(
        root,
        "app/pointer.py",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    );
    write(root, "app/large.py", vec![b'#'; 10 * 1024 * 1024 + 1]);
    write(root, "app/largest.py", vec![b'#'; 10 * 1024 * 1024]);
    write(root, "app/window.pyw", "");
    write(root, ".hidden/a.py", "hidden folder\n");
    write(root, "app/.dot.py", "hidden file\n");
    std::os::unix::fs::symlink("views.py", root.join("app/link.py")).unwrap();
    std::os::unix::fs::symlink("app", root.join("folder-link")).unwrap();
    git(root, &["-c", "core.autocrlf=false", "add", "-f", "."]);
    git(root, &["commit", "-q", "-m", "shapes"]);
    git(root, &["clone", "-q", ".", "vendored"]);
    git(root, &["add", "vendored"]);
    git(
        root,
        &["commit", "-q", "-m", "a repository in the repository"],
    );
    let repo = Repo::discover(root).unwrap();
    for prefix in ["", "app/", "app/views.py"] {
        let at = repo
            .files_at(&head(&repo), prefix, &Filter::default())
            .unwrap();
        let on_disk = files_in(&root.join(prefix), &Filter::default()).unwrap();
        assert_eq!(paths(&at), paths(&on_disk));
        assert_eq!(at, on_disk, "{prefix}");
    }
    let listing = files_in(root, &Filter::default()).unwrap();
    let large = ("app/large.py", "too-large");
    let pointer = ("app/pointer.py", "lfs-pointer");
    assert_eq!(
        skipped(&listing),
        [
            large,
            ("app/link.py", "symlink"),
            pointer,
            ("vendored", "submodule")
        ]
    );
    for path in [
        "app/.dot.py",
        "app/ignored.py",
        "build/out.py",
        "app/window.pyw",
        "app/largest.py",
    ] {
        assert!(paths(&listing).contains(&path), "{path}");
    }
    assert_eq!(repo.dirty("").unwrap(), [""; 0]);
}

#[test]
fn a_file_with_a_filter_is_skipped_by_the_attributes_of_its_own_commit() {
    let place = place();
    write(&place.root, ".gitattributes", "app/*.py filter=crypt\n");
    write(&place.root, "app/.gitattributes", "tool.py -filter\n");
    git(&place.root, &["add", "."]);
    git(&place.root, &["commit", "-q", "-m", "attributes"]);
    git(&place.root, &["rm", "-q", ".gitattributes"]);
    git(&place.root, &["commit", "-q", "-m", "none any more"]);
    let repo = Repo::discover(&place.root).unwrap();
    let at = |revision: &str, prefix: &str| {
        let base = repo.resolve(Some(revision)).unwrap();
        repo.files_at(&base, prefix, &Filter::default()).unwrap()
    };
    let then = at("HEAD~1", "");
    assert_eq!(skipped(&then), [("app/views.py", "filtered-by-attribute")]);
    assert_eq!(paths(&then), ["app/tool.py", "other.py"]);
    assert_eq!(
        skipped(&at("HEAD~1", "app/")),
        [("views.py", "filtered-by-attribute")]
    );
    assert_eq!(
        skipped(&at("HEAD~1", "app/views.py")),
        [("views.py", "filtered-by-attribute")]
    );
    assert_eq!(skipped(&at("HEAD", "")), []);
}

#[test]
fn what_is_no_regular_file_is_skipped_and_never_opened() {
    let home = TempDir::new().unwrap();
    let root = home.path();
    write(root, "a.py", "a\n");
    std::os::unix::fs::symlink("/dev/zero", root.join("endless.py")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("dangling.py")).unwrap();
    fs::create_dir(root.join("folder.py")).unwrap();
    let fifo = root.join("fifo.py");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket.py")).unwrap();
    let listing = files_in(root, &Filter::default()).unwrap();
    assert_eq!(paths(&listing), ["a.py"]);
    let (link, special) = ("symlink", "not-a-file");
    let expected = [
        ("dangling.py", link),
        ("endless.py", link),
        ("fifo.py", special),
        ("socket.py", special),
    ];
    assert_eq!(skipped(&listing), expected);
    assert_eq!(
        skipped(&files_in(&fifo, &Filter::default()).unwrap()),
        [("fifo.py", special)]
    );
}

#[test]
fn what_cannot_be_read_is_skipped_with_its_reason() {
    use std::os::unix::fs::PermissionsExt;
    let home = TempDir::new().unwrap();
    write(home.path(), "a.py", "a\n");
    write(home.path(), "shut.py", "");
    write(home.path(), "folder/b.py", "");
    for path in ["shut.py", "folder"] {
        fs::set_permissions(home.path().join(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let listing = files_in(home.path(), &Filter::default()).unwrap();
    let root = fs::read(home.path().join("shut.py")).is_ok();
    fs::set_permissions(
        home.path().join("folder"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    // Root reads everything; then there is nothing to skip, and nothing may be lost.
    match root {
        true => assert_eq!(paths(&listing), ["a.py", "folder/b.py", "shut.py"]),
        false => assert_eq!(
            skipped(&listing),
            [("folder", "unreadable"), ("shut.py", "unreadable")]
        ),
    }
}

#[test]
fn a_name_that_is_not_utf8_is_skipped_on_disk_and_in_a_commit() {
    use std::os::unix::ffi::OsStrExt;
    let place = place();
    let name = std::ffi::OsStr::from_bytes(b"app/\xe4.py");
    fs::write(place.root.join(name), "").unwrap();
    git(&place.root, &["add", "."]);
    git(&place.root, &["commit", "-q", "-m", "odd"]);
    let repo = Repo::discover(&place.root).unwrap();
    let at = repo.files_at(&head(&repo), "", &Filter::default()).unwrap();
    assert_eq!(skipped(&at), [("app/\u{fffd}.py", "not-utf8-name")]);
    assert_eq!(at, files_in(&place.root, &Filter::default()).unwrap());
}

#[test]
fn ignored_files_are_left_out_unless_asked_for_and_a_folder_without_git_ignores_nothing() {
    let place = place();
    write(&place.root, ".gitignore", "venv/\n");
    write(&place.root, "venv/a.py", "");
    write(&place.root, "untracked.py", "");
    let listed = |no_ignore| {
        files_in(
            &place.root,
            &Filter {
                no_ignore,
                ..Filter::default()
            },
        )
        .unwrap()
    };
    let without = ["app/tool.py", "app/views.py", "other.py", "untracked.py"];
    assert_eq!(paths(&listed(false)), without);
    assert_eq!(paths(&listed(true)).last(), Some(&"venv/a.py"));
    fs::remove_dir_all(place.root.join(".git")).unwrap();
    assert_eq!(paths(&listed(false)).last(), Some(&"venv/a.py"));
}

#[test]
fn globs_choose_and_a_bad_glob_is_an_error() {
    let place = place();
    let repo = Repo::discover(&place.root).unwrap();
    let filter = |include: &[&str], exclude: &[&str]| {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
        Filter {
            include: owned(include),
            exclude: owned(exclude),
            no_ignore: false,
        }
    };
    let both = |filter: &Filter| {
        let at = repo.files_at(&head(&repo), "", filter).unwrap();
        assert_eq!(at, files_in(&place.root, filter).unwrap());
        at.files
            .into_iter()
            .map(|file| file.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(both(&filter(&["app/"], &["**/tool.py"])), ["app/views.py"]);
    assert_eq!(both(&filter(&[], &["app"])), ["other.py"]);
    for bad in [filter(&["a["], &[]), filter(&[], &["{a"])] {
        assert!(matches!(
            files_in(&place.root, &bad),
            Err(RepoError::BadGlob { .. })
        ));
        assert!(matches!(
            repo.files_at(&head(&repo), "", &bad),
            Err(RepoError::BadGlob { .. })
        ));
    }
}

#[test]
fn dirty_names_what_a_commit_does_not_have() {
    let place = place();
    write(&place.root, "app/views.py", "changed\n");
    write(&place.root, "app/new/deep.py", "");
    write(&place.root, "notes.txt", "no Python\n");
    write(&place.root, ".hidden/a.py", "");
    fs::remove_file(place.root.join("other.py")).unwrap();
    git(&place.root, &["rm", "-q", "--cached", "app/tool.py"]);
    let index = fs::read(place.root.join(".git/index")).unwrap();
    let repo = Repo::discover(&place.root).unwrap();
    assert_eq!(
        repo.dirty("").unwrap(),
        [
            ".hidden/a.py",
            "app/new/deep.py",
            "app/tool.py",
            "app/views.py"
        ]
    );
    assert_eq!(
        repo.dirty("app/").unwrap(),
        ["new/deep.py", "tool.py", "views.py"]
    );
    assert_eq!(repo.dirty("app/views.py").unwrap(), ["views.py"]);
    assert_eq!(fs::read(place.root.join(".git/index")).unwrap(), index);
}

#[test]
fn a_missing_blob_as_in_a_partial_clone_is_skipped() {
    let place = place();
    let id = git(&place.root, &["rev-parse", "HEAD:other.py"]);
    let object = place
        .root
        .join(".git/objects")
        .join(&id[..2])
        .join(id[2..].trim());
    fs::remove_file(object).unwrap();
    let repo = Repo::discover(&place.root).unwrap();
    let list = || repo.files_at(&head(&repo), "", &Filter::default()).unwrap();
    // The work tree has it still, as the commit has it.
    assert_eq!(skipped(&list()), []);
    write(&place.root, "other.py", "something else\n");
    let listing = list();
    assert_eq!(skipped(&listing), [("other.py", "unreadable")]);
    assert_eq!(paths(&listing), ["app/tool.py", "app/views.py"]);
}

#[test]
fn a_commit_is_read_as_it_is_whatever_the_work_tree_has_in_its_place() {
    let place = place();
    let root = &place.root;
    let repo = Repo::discover(root).unwrap();
    let list = || repo.files_at(&head(&repo), "", &Filter::default()).unwrap();
    let before = list();
    write(root, "other.py", "something else\n");
    fs::remove_file(root.join("app/views.py")).unwrap();
    assert_eq!(list(), before);
}
