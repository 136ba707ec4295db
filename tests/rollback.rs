//! What depickle does to repositories, and that it can be taken back: after a crash at every point, from dirty, bare
//! and
//! linked work trees, and never over somebody's work. Repositories are real, and the git program is the judge.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs git"
)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;

#[path = "rollback/journal.rs"]
mod journal;
#[path = "rollback/listing.rs"]
mod listing;
#[path = "rollback/opening.rs"]
mod opening;
#[path = "rollback/rolling_back.rs"]
mod rolling_back;
#[path = "rollback/staging.rs"]
mod staging;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use depickle::journal::{Entry, Journal, JournalError, RefState, RunRecord, State, Target};
use depickle::repo::{Base, Filter, Listing, NewCommit, Person, Repo, RepoError, files_in};
use depickle::stage::{Outcome, rollback};
use home::{git, tried};
use tempfile::TempDir;

const RUN: &str = "20261123T104455-3f2a";
const BRANCH: &str = "depickle/pickle-to-json";

/// A folder with a repository `shop` of one commit, and an empty journal.
struct Place {
    home: TempDir,
    root: PathBuf,
    journal: Journal,
}

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn place() -> Place {
    let home = TempDir::new().unwrap();
    let root = home.path().canonicalize().unwrap().join("shop");
    write(&root, "app/views.py", "views\n");
    write(&root, "app/tool.py", "#!/usr/bin/env python3\n");
    write(&root, "other.py", "other\n");
    write(&root, "notes.txt", "notes\n");
    git(&root, &["init", "-q", "-b", "main"]);
    git(&root, &["add", "."]);
    git(&root, &["update-index", "--chmod=+x", "app/tool.py"]);
    git(&root, &["commit", "-q", "-m", "first"]);
    git(&root, &["checkout", "-q", "."]);
    let journal = Journal::open(home.path().join("state")).unwrap();
    Place {
        home,
        root,
        journal,
    }
}

fn person() -> Person {
    Person {
        name: "A".into(),
        email: "a@example.org".into(),
    }
}

fn head(repo: &Repo) -> Base {
    repo.resolve(None).unwrap()
}

fn commit(repo: &Repo, path: &str, text: &str) -> Result<String, RepoError> {
    let base = head(repo).commit;
    repo.commit(&NewCommit {
        base: &base,
        parent: &base,
        files: &[(path.to_owned(), text.as_bytes().to_vec())],
        added: &[],
        author: &person(),
        committer: &person(),
        time: 1_700_000_000,
        message: "change\n",
        signer: None,
    })
}

fn announcement(repo: &Repo, branch: &str, new: &str) -> Entry {
    Entry::CreateRef {
        target: "shop".into(),
        repo: repo.git_dir().to_str().unwrap().to_owned(),
        root: repo.root().to_str().unwrap().to_owned(),
        reference: format!("refs/heads/{branch}"),
        new: new.to_owned(),
        base: head(repo).commit,
    }
}

fn created(repo: &Repo, branch: &str) -> Entry {
    Entry::RefCreated {
        repo: repo.git_dir().to_str().unwrap().to_owned(),
        reference: format!("refs/heads/{branch}"),
    }
}

/// What `stage` does, without a changeset.
fn staged(place: &Place) -> (Repo, String) {
    let repo = Repo::discover(&place.root).unwrap();
    let new = commit(&repo, "app/views.py", "changed\n").unwrap();
    place
        .journal
        .append(RUN, announcement(&repo, BRANCH, &new))
        .unwrap();
    repo.create_branch(BRANCH, &new).unwrap();
    place.journal.append(RUN, created(&repo, BRANCH)).unwrap();
    (repo, new)
}

fn record(place: &Place) -> RunRecord {
    place.journal.run(RUN).unwrap()
}

fn undone(place: &Place) -> Outcome {
    let mut undone = rollback(&place.journal, &record(place));
    assert_eq!(undone.len(), 1);
    undone.remove(0).outcome
}

fn refused(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Refused { reason, next } => (reason, next),
        other => panic!("not refused: {other:?}"),
    }
}

fn refs(root: &Path) -> String {
    git(root, &["for-each-ref"])
}

/// Everything of a repository that staging and rolling back must leave alone: all of `.git` but the objects, and the
/// status.
fn surroundings(root: &Path) -> (Vec<(PathBuf, Vec<u8>)>, String) {
    let mut files = Vec::new();
    let mut todo = vec![root.join(".git")];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with("objects") => {}
                true => todo.push(path),
                false => files.push((path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    files.sort();
    // --no-optional-locks: asking must not refresh the index that is compared.
    let status = git(
        root,
        &["--no-optional-locks", "status", "--porcelain=v2", "-b"],
    );
    (files, status)
}

fn paths(listing: &Listing) -> Vec<&str> {
    listing
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect()
}

fn skipped(listing: &Listing) -> Vec<(&str, &str)> {
    listing
        .skipped
        .iter()
        .map(|file| (file.path.as_str(), file.reason.code()))
        .collect()
}
