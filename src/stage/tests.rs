//! `stage` and `rollback` against real repositories; the git program is the judge.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::check::ChangedFile;
use crate::journal::State;

struct Place {
    _home: TempDir,
    root: PathBuf,
    journal: Journal,
}

fn git(root: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("git")
        .current_dir(root)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "T"), ("GIT_COMMITTER_NAME", "T")])
        .envs([
            ("GIT_AUTHOR_EMAIL", "t@example.org"),
            ("GIT_COMMITTER_EMAIL", "t@example.org"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn place() -> Place {
    let home = TempDir::new().unwrap();
    let root = home.path().join("shop");
    fs::create_dir_all(root.join("app")).unwrap();
    fs::write(root.join("app/views.py"), "before\n").unwrap();
    fs::write(root.join("other.py"), "other\n").unwrap();
    git(&root, &["init", "-q", "-b", "main"], "");
    git(&root, &["add", "."], "");
    git(&root, &["commit", "-q", "-m", "first"], "");
    let journal = Journal::open(home.path().join("state")).unwrap();
    Place {
        _home: home,
        root,
        journal,
    }
}

fn order() -> Order {
    Order {
        run: "20261123T104455-3f2a".into(),
        target: "shop".into(),
        branch: "depickle/pickle-to-json".into(),
        author: Person {
            name: "A".into(),
            email: "a@example.org".into(),
        },
        committer: Person {
            name: "C".into(),
            email: "c@example.org".into(),
        },
        signoff: false,
        signer: None,
        time: 1_700_000_000,
        tool_version: "0.1.0".into(),
    }
}

fn step(changeset: &Changeset) -> Step<'_> {
    Step {
        changeset,
        findings: changeset.findings(),
        subject: "Replace unsafe pickle loads with JSON",
        note: "Invalid input is now answered with 400; clients that sent pickle must send JSON.\n",
    }
}

fn finding(file: &str) -> Finished {
    Finished {
        fingerprint: "0123abcd".into(),
        transform: "pickle-to-json".into(),
        sink: "pickle.loads".into(),
        file: file.into(),
        line: 9,
        notes: Vec::new(),
    }
}

fn changeset(base: Option<String>, before: &str) -> Changeset {
    let file = ChangedFile {
        path: "views.py".into(),
        before: before.into(),
        after: b"after\n".to_vec(),
        new: false,
    };
    Changeset::for_tests(base, vec![file], vec![finding("views.py")])
}

fn head(place: &Place) -> (Repo, String) {
    let repo = Repo::discover(&place.root).unwrap();
    let base = repo.resolve(None).unwrap().commit;
    (repo, base)
}

#[test]
fn stages_one_branch_below_the_prefix_and_rolls_it_back() {
    let place = place();
    let (repo, base) = head(&place);
    let refs = git(&place.root, &["for-each-ref"], "");
    let change = changeset(Some(base.clone()), "before\n");
    let receipt = stage(&repo, "app/", &[step(&change)], &order(), &place.journal).unwrap();
    let changed = git(
        &place.root,
        &["diff", "--name-only", &base, &receipt.branch],
        "",
    );
    assert_eq!(changed, "app/views.py\n");
    let shown = git(
        &place.root,
        &["show", "depickle/pickle-to-json:app/views.py"],
        "",
    );
    assert_eq!(shown, "after\n");
    assert_eq!(receipt.base, base);

    let run = place.journal.last().unwrap().unwrap();
    assert_eq!(run.refs[0].state, RefState::Created);
    assert_eq!(rollback(&place.journal, &run)[0].outcome, Outcome::Deleted);
    assert_eq!(git(&place.root, &["for-each-ref"], ""), refs);
    let run = place.journal.run(&run.id).unwrap();
    assert_eq!(run.refs[0].state, RefState::Deleted);
}

#[test]
fn the_same_run_can_be_staged_again_after_a_rollback_and_gives_the_same_commit() {
    let place = place();
    let (repo, base) = head(&place);
    let change = changeset(Some(base), "before\n");
    let first = stage(&repo, "app/", &[step(&change)], &order(), &place.journal).unwrap();
    rollback(&place.journal, &place.journal.run(&order().run).unwrap());
    let second = stage(&repo, "app/", &[step(&change)], &order(), &place.journal).unwrap();
    assert_eq!(first, second);
    let run = place.journal.run(&order().run).unwrap();
    assert_eq!(run.refs.len(), 1);
    assert_eq!(rollback(&place.journal, &run)[0].outcome, Outcome::Deleted);
}

#[test]
fn the_journal_announces_the_ref_before_it_is_made() {
    let place = place();
    let (repo, base) = head(&place);
    // A journal that cannot be written must stop the act.
    fs::write(place.root.with_file_name("state"), "in the way").unwrap();
    let change = changeset(Some(base), "before\n");
    let error = stage(&repo, "app/", &[step(&change)], &order(), &place.journal).unwrap_err();
    assert!(matches!(error, StageError::Journal(_)), "{error}");
    assert_eq!(repo.branch_tip(&order().branch).unwrap(), None);
}

#[test]
fn refuses_a_change_that_was_made_for_other_bytes_or_for_no_commit_or_for_nothing() {
    let place = place();
    let (repo, base) = head(&place);
    let tried =
        |change| stage(&repo, "app/", &[step(&change)], &order(), &place.journal).unwrap_err();
    let error = tried(changeset(Some(base.clone()), "something else"));
    assert!(matches!(error, StageError::BaseDiffers { .. }), "{error}");
    assert!(matches!(
        tried(changeset(None, "before\n")),
        StageError::NoBase { .. }
    ));
    let nothing = Changeset::for_tests(Some(base), vec![], vec![]);
    assert!(matches!(tried(nothing), StageError::Nothing { .. }));
    let run = place.journal.run(&order().run).unwrap();
    assert_eq!((run.refs.len(), run.count(State::Failed)), (0, 1));
}

#[test]
fn refuses_a_branch_that_exists_and_leaves_it_where_it_is() {
    let place = place();
    let (repo, base) = head(&place);
    git(&place.root, &["branch", &order().branch], "");
    let change = changeset(Some(base.clone()), "before\n");
    let error = stage(&repo, "app/", &[step(&change)], &order(), &place.journal).unwrap_err();
    assert!(
        matches!(error, StageError::Repo(RepoError::BranchExists { .. })),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--branch"));
    assert_eq!(repo.branch_tip(&order().branch).unwrap(), Some(base));
}

#[test]
fn git_reads_the_trailers_of_the_message() {
    let place = place();
    let findings = [
        finding("views.py"),
        finding("evil\n\nDepickle-Run: x\u{1b}[2J\u{202e}.py"),
    ];
    let change = Changeset::for_tests(None, vec![], findings.to_vec());
    let text = message("app/", &step(&change), (1, 1), &order());
    assert!(
        text.starts_with(
            "Replace unsafe pickle loads with JSON\n\n- app/views.py:9 pickle.loads\n"
        )
    );
    assert!(
        text.contains(r"app/evil\n\nDepickle-Run: x\u{1b}[2J\u{202e}.py:9 pickle.loads"),
        "{text}"
    );
    assert!(text.contains("To undo: depickle rollback 20261123T104455-3f2a"));
    let trailers = git(&place.root, &["interpret-trailers", "--parse"], &text);
    let one = "Depickle-Finding: 0123abcd\n";
    assert_eq!(
        trailers,
        format!("Depickle-Run: 20261123T104455-3f2a\n{one}{one}")
    );
    let signed = Order {
        signoff: true,
        ..order()
    };
    let text = message("app/", &step(&change), (2, 3), &signed);
    assert!(text.contains("\nPart 2 of 3; "), "{text}");
    let trailers = git(&place.root, &["interpret-trailers", "--parse"], &text);
    assert!(
        trailers.ends_with("\nSigned-off-by: C <c@example.org>\n"),
        "{trailers}"
    );
}

#[test]
fn a_prefix_that_is_a_file_stands_for_its_folder() {
    assert_eq!(below("", "a.py"), "a.py");
    assert_eq!(below("app/", "deep/a.py"), "app/deep/a.py");
    assert_eq!(below("app/a.py", "a.py"), "app/a.py");
    assert_eq!(below("a.py", "a.py"), "a.py");
}

fn files(changed: &[(&str, &str, &str)]) -> Changeset {
    let changed = changed.iter().map(|(path, before, after)| ChangedFile {
        path: (*path).to_owned(),
        before: before.as_bytes().to_vec(),
        after: after.as_bytes().to_vec(),
        new: false,
    });
    Changeset::for_tests(None, changed.collect(), Vec::new())
}

#[test]
fn python_never_takes_old_compiled_code_for_the_new() {
    let place = place();
    let path = place.root.join("other.py");
    let was = fs::metadata(&path).unwrap().modified().unwrap();
    let change = files(&[("other.py", "other\n", "after\n")]);
    apply(&place.root, &change, &order().run, "shop", &place.journal).unwrap();
    let now = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(now.duration_since(was).unwrap().as_secs(), 1);
    let run = place.journal.run(&order().run).unwrap();
    assert_eq!(restore(&place.journal, &run)[0].1, Outcome::Deleted);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), was);
    assert_eq!(fs::read(&path).unwrap(), b"other\n");
}

#[test]
fn a_failure_on_the_way_puts_back_what_was_written() {
    let place = place();
    let run = order().run;
    // Nothing can be written beside the second file.
    let blocked = place.root.join(format!(".other.py.depickle-{run}"));
    fs::create_dir(&blocked).unwrap();
    let change = files(&[
        ("app/views.py", "before\n", "longer than before\n"),
        ("other.py", "other\n", "changed\n"),
    ]);
    let failed = apply(&place.root, &change, &run, "shop", &place.journal);
    assert!(matches!(failed, Err(StageError::Io { .. })), "{failed:?}");
    let record = place.journal.run(&run).unwrap();
    assert_eq!(record.files.len(), 2);
    assert_eq!(record.files[0].state, RefState::Deleted);
    let read = |path: &str| fs::read(place.root.join(path)).unwrap();
    assert_eq!(read("app/views.py"), b"before\n");
    assert_eq!(read("other.py"), b"other\n");
}

#[test]
fn a_file_that_was_saved_meanwhile_keeps_what_it_holds() {
    let place = place();
    let change = files(&[
        ("app/views.py", "before\n", "after\n"),
        ("other.py", "not this\n", "changed\n"),
    ]);
    let failed = apply(&place.root, &change, &order().run, "shop", &place.journal);
    assert!(matches!(failed, Err(StageError::File { .. })), "{failed:?}");
    assert_eq!(
        fs::read(place.root.join("app/views.py")).unwrap(),
        b"before\n"
    );
    // Nothing was begun.
    assert!(place.journal.run(&order().run).is_err());
}
