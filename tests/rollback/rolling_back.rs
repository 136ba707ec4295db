//! Taking a run back: completely, after any crash, and never over the work of somebody else.

use super::*;

#[test]
fn every_ref_is_as_before_and_reflog_and_configuration_are_gone() {
    let place = place();
    let before = surroundings(&place.root);
    staged(&place);
    assert_eq!(undone(&place), Outcome::Deleted);
    assert_eq!(surroundings(&place.root), before);
    assert_eq!(undone(&place), Outcome::AlreadyGone);

    staged(&place);
    git(
        &place.root,
        &["config", &format!("branch.{BRANCH}.remote"), "origin"],
    );
    git(&place.root, &["config", "branch.depickle.remote", "kept"]);
    git(&place.root, &["pack-refs", "--all"]);
    assert_eq!(undone(&place), Outcome::Deleted);
    let config = git(&place.root, &["config", "--get-regexp", "^branch"]);
    assert_eq!(config, "branch.depickle.remote kept\n");
    assert!(
        !place
            .root
            .join(".git/logs/refs/heads")
            .join(BRANCH)
            .exists()
    );
    assert!(!refs(&place.root).contains(BRANCH));
}

#[test]
fn a_second_rollback_adds_nothing_to_the_journal() {
    let place = place();
    staged(&place);
    undone(&place);
    let journal = place.home.path().join(format!("state/runs/{RUN}.jsonl"));
    let bytes = fs::read(&journal).unwrap();
    for _ in 0..3 {
        assert_eq!(undone(&place), Outcome::AlreadyGone);
    }
    assert_eq!(fs::read(&journal).unwrap(), bytes);
}

#[test]
fn after_a_crash_between_the_announcement_and_the_ref_there_is_nothing_to_undo() {
    let place = place();
    let before = refs(&place.root);
    let repo = Repo::discover(&place.root).unwrap();
    let new = commit(&repo, "app/views.py", "changed\n").unwrap();
    place
        .journal
        .append(RUN, announcement(&repo, BRANCH, &new))
        .unwrap();
    assert_eq!(record(&place).refs[0].state, RefState::Announced);
    assert_eq!(undone(&place), Outcome::AlreadyGone);
    assert_eq!(record(&place).refs[0].state, RefState::Deleted);
    assert_eq!(refs(&place.root), before);
}

#[test]
fn after_a_crash_between_the_ref_and_its_entry_the_ref_is_deleted() {
    let place = place();
    let before = refs(&place.root);
    let repo = Repo::discover(&place.root).unwrap();
    let new = commit(&repo, "app/views.py", "changed\n").unwrap();
    place
        .journal
        .append(RUN, announcement(&repo, BRANCH, &new))
        .unwrap();
    repo.create_branch(BRANCH, &new).unwrap();
    assert_eq!(undone(&place), Outcome::Deleted);
    assert_eq!(refs(&place.root), before);
}

#[test]
fn after_a_crash_between_the_second_announcement_and_the_deletion_the_ref_is_deleted() {
    let place = place();
    let (repo, new) = staged(&place);
    let entry = Entry::DeleteRef {
        repo: repo.git_dir().to_str().unwrap().to_owned(),
        reference: format!("refs/heads/{BRANCH}"),
        expected: new,
    };
    place.journal.append(RUN, entry).unwrap();
    assert_eq!(record(&place).refs[0].state, RefState::DeleteAnnounced);
    assert_eq!(undone(&place), Outcome::Deleted);
    assert_eq!(undone(&place), Outcome::AlreadyGone);
}

#[test]
fn after_a_crash_between_the_deletion_and_its_entry_the_record_is_completed() {
    let place = place();
    let (repo, new) = staged(&place);
    repo.delete_branch(BRANCH, &new).unwrap();
    assert_eq!(record(&place).refs[0].state, RefState::Created);
    assert_eq!(undone(&place), Outcome::AlreadyGone);
    assert_eq!(record(&place).refs[0].state, RefState::Deleted);
}

#[test]
fn after_a_kill_in_the_middle_of_an_act_gits_lock_and_reflog_are_cleared_away() {
    let place = place();
    let before = surroundings(&place.root);
    let repo = Repo::discover(&place.root).unwrap();
    let new = commit(&repo, "app/views.py", "changed\n").unwrap();
    let lock = format!(".git/refs/heads/{BRANCH}.lock");
    // While it was made: the lock says where it was to point, and the reflog was written first.
    place
        .journal
        .append(RUN, announcement(&repo, BRANCH, &new))
        .unwrap();
    write(&place.root, &lock, format!("{new}\n"));
    write(&place.root, &format!(".git/logs/refs/heads/{BRANCH}"), "");
    assert_eq!(undone(&place), Outcome::AlreadyGone);
    assert_eq!(surroundings(&place.root), before);
    // While it was deleted: the lock is empty.
    staged(&place);
    let entry = Entry::DeleteRef {
        repo: repo.git_dir().to_str().unwrap().to_owned(),
        reference: format!("refs/heads/{BRANCH}"),
        expected: new.clone(),
    };
    place.journal.append(RUN, entry.clone()).unwrap();
    write(&place.root, &lock, "");
    assert_eq!(undone(&place), Outcome::Deleted);
    assert_eq!(surroundings(&place.root), before);
    // The lock of somebody else stays.
    staged(&place);
    place.journal.append(RUN, entry).unwrap();
    write(&place.root, &lock, format!("{}\n", head(&repo).commit));
    refused(undone(&place));
    assert!(place.root.join(&lock).is_file());
    fs::remove_file(place.root.join(&lock)).unwrap();
    assert_eq!(undone(&place), Outcome::Deleted);
}

#[test]
fn after_a_crash_at_every_byte_of_the_journal_rollback_restores_the_refs() {
    let place = place();
    let before = refs(&place.root);
    let (repo, new) = staged(&place);
    let journal = place.home.path().join(format!("state/runs/{RUN}.jsonl"));
    let whole = fs::read(&journal).unwrap();
    let announced = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    // The ref can exist only once the announcement is whole.
    for length in announced..whole.len() {
        fs::write(&journal, &whole[..length]).unwrap();
        assert_eq!(undone(&place), Outcome::Deleted, "{length}");
        assert_eq!(refs(&place.root), before);
        assert_eq!(record(&place).refs[0].state, RefState::Deleted, "{length}");
        repo.create_branch(BRANCH, &new).unwrap();
    }
}

#[test]
fn a_branch_that_somebody_committed_to_is_left_alone() {
    let place = place();
    let (repo, new) = staged(&place);
    let more = git(
        &place.root,
        &[
            "commit-tree",
            "-p",
            &new,
            "-m",
            "more",
            &format!("{new}^{{tree}}"),
        ],
    );
    git(
        &place.root,
        &["update-ref", &format!("refs/heads/{BRANCH}"), more.trim()],
    );
    let before = surroundings(&place.root);
    let (reason, next) = refused(undone(&place));
    assert!(
        reason.contains("has moved") && reason.contains(more.trim()),
        "{reason}"
    );
    assert_eq!(surroundings(&place.root), before, "the reflog, too");
    assert!(matches!(record(&place).refs[0].state, RefState::Refused(_)));
    // The next step is a command that works.
    let told = Command::new("sh").args(["-c", &next]).output().unwrap();
    assert!(told.status.success());
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("more"),
        "{next}"
    );
    let error = repo.delete_branch(BRANCH, &new).unwrap_err();
    assert!(
        matches!(error, RepoError::BranchMoved { found: Some(_), .. }),
        "{error}"
    );
    // Once the branch is back, so is the way back.
    git(
        &place.root,
        &["update-ref", &format!("refs/heads/{BRANCH}"), &new],
    );
    assert_eq!(undone(&place), Outcome::Deleted);
}

#[test]
fn a_symbolic_ref_in_the_place_of_the_branch_is_left_alone() {
    let place = place();
    let (_, new) = staged(&place);
    git(&place.root, &["branch", "elsewhere", &new]);
    git(
        &place.root,
        &[
            "symbolic-ref",
            &format!("refs/heads/{BRANCH}"),
            "refs/heads/elsewhere",
        ],
    );
    let before = refs(&place.root);
    refused(undone(&place));
    assert_eq!(refs(&place.root), before);
}

#[test]
fn a_checked_out_branch_is_left_alone_and_the_next_step_works() {
    let place = place();
    staged(&place);
    git(&place.root, &["checkout", "-q", BRANCH]);
    let before = surroundings(&place.root);
    let (reason, next) = refused(undone(&place));
    assert!(reason.contains("in use by the work tree"), "{reason}");
    assert_eq!(surroundings(&place.root), before);
    let (switch, again) = next.split_once(" && ").unwrap();
    assert_eq!(again, format!("depickle rollback {RUN}"));
    assert!(
        Command::new("sh")
            .args(["-c", switch])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(undone(&place), Outcome::Deleted);
}

#[test]
fn a_branch_that_a_linked_work_tree_uses_is_left_alone() {
    let place = place();
    let (_, new) = staged(&place);
    git(&place.root, &["worktree", "add", "-q", "../linked", BRANCH]);
    let (reason, _) = refused(undone(&place));
    assert!(reason.contains("/linked"), "{reason}");
    // Git still counts a work tree whose folder is gone, until it is pruned.
    fs::remove_dir_all(place.root.with_file_name("linked")).unwrap();
    refused(undone(&place));
    git(&place.root, &["worktree", "prune"]);
    // In the middle of a rebase HEAD is detached, and the branch is still in use.
    write(
        &place.root,
        ".git/rebase-merge/head-name",
        format!("refs/heads/{BRANCH}\n"),
    );
    refused(undone(&place));
    fs::remove_dir_all(place.root.join(".git/rebase-merge")).unwrap();
    write(&place.root, ".git/BISECT_START", format!("{BRANCH}\n"));
    refused(undone(&place));
    assert_eq!(git(&place.root, &["rev-parse", BRANCH]).trim(), new);
    fs::remove_file(place.root.join(".git/BISECT_START")).unwrap();
    assert_eq!(undone(&place), Outcome::Deleted);
}

#[test]
fn a_linked_work_tree_stages_and_the_repository_rolls_back_even_when_it_is_removed() {
    let mut place = place();
    let main = place.root.clone();
    git(&main, &["worktree", "add", "-q", "--detach", "../linked"]);
    let before = refs(&main);
    place.root = main.with_file_name("linked");
    let (repo, new) = staged(&place);
    assert_eq!(
        (repo.root(), repo.git_dir()),
        (place.root.as_path(), main.join(".git").as_path())
    );
    assert!(!repo.is_bare());
    assert_eq!(repo.prefix(&place.root.join("app")).unwrap(), "app/");
    assert_eq!(git(&main, &["rev-parse", BRANCH]).trim(), new);
    git(&main, &["worktree", "remove", "../linked"]);
    assert_eq!(undone(&place), Outcome::Deleted);
    assert_eq!(refs(&main), before);
}

#[test]
fn a_bare_repository_and_its_linked_work_tree_stage_and_roll_back() {
    let mut place = place();
    let bare = place.home.path().canonicalize().unwrap().join("bare.git");
    git(
        place.home.path(),
        &["clone", "-q", "--bare", "shop", "bare.git"],
    );
    git(&bare, &["worktree", "add", "-q", "--detach", "../of-bare"]);
    let before = refs(&bare);
    for root in [bare.clone(), bare.with_file_name("of-bare")] {
        place.root = root.clone();
        let (repo, new) = staged(&place);
        assert_eq!(
            (repo.is_bare(), repo.git_dir()),
            (root == bare, bare.as_path())
        );
        assert_eq!(repo.prefix(&root).unwrap(), "");
        assert_eq!(git(&bare, &["rev-parse", BRANCH]).trim(), new);
        assert_eq!(undone(&place), Outcome::Deleted);
        assert_eq!(refs(&bare), before);
    }
}

#[test]
fn a_repository_that_is_gone_stops_no_other() {
    let (gone, mut here) = (place(), place());
    let before = refs(&here.root);
    let mine = std::mem::replace(&mut here.root, gone.root.clone());
    staged(&here);
    here.root = mine;
    staged(&here);
    fs::remove_dir_all(&gone.root).unwrap();
    let outcomes = rollback(&here.journal, &record(&here));
    assert_eq!(outcomes.len(), 2);
    let (reason, next) = refused(outcomes[0].outcome.clone());
    assert!(reason.contains("no repository at"), "{reason}");
    assert!(next.contains("update-ref -d"), "{next}");
    assert_eq!(outcomes[1].outcome, Outcome::Deleted);
    assert_eq!(refs(&here.root), before);
}

#[test]
fn a_locked_ref_is_left_alone_and_rolls_back_later() {
    let place = place();
    let (_, new) = staged(&place);
    let lock = place
        .root
        .join(".git/refs/heads")
        .join(format!("{BRANCH}.lock"));
    fs::write(&lock, "").unwrap();
    refused(undone(&place));
    assert_eq!(git(&place.root, &["rev-parse", BRANCH]).trim(), new);
    assert!(
        place
            .root
            .join(".git/logs/refs/heads")
            .join(BRANCH)
            .exists()
    );
    fs::remove_file(&lock).unwrap();
    assert_eq!(undone(&place), Outcome::Deleted);
}

#[test]
fn a_journal_that_cannot_be_written_keeps_the_ref() {
    let place = place();
    let (_, new) = staged(&place);
    let run = record(&place);
    fs::remove_dir_all(place.home.path().join("state")).unwrap();
    fs::write(place.home.path().join("state"), "in the way").unwrap();
    refused(rollback(&place.journal, &run).remove(0).outcome);
    assert_eq!(git(&place.root, &["rev-parse", BRANCH]).trim(), new);
}

#[test]
fn a_lock_of_gits_that_stays_is_told_and_nothing_is_touched() {
    let place = place();
    let (repo, _) = staged(&place);
    git(&place.root, &["pack-refs", "--all"]);
    let before = refs(&place.root);
    let lock = place.root.join(".git/packed-refs.lock");
    // Of git's other locks none is in the way.
    fs::write(place.root.join(".git/HEAD.lock"), "").unwrap();
    fs::write(&lock, "").unwrap();
    let around = surroundings(&place.root);
    let (reason, next) = refused(undone(&place));
    assert!(reason.contains("packed-refs.lock is held"), "{reason}");
    assert!(
        next.contains("one was killed: rm ") && next.contains("; then: depickle rollback"),
        "{next}"
    );
    assert_eq!(
        (refs(&place.root), surroundings(&place.root)),
        (before, around)
    );
    fs::remove_file(&lock).unwrap();
    assert_eq!(undone(&place), Outcome::Deleted);
    // One that stands where the branch is to be, and is not ours.
    let new = commit(&repo, "app/views.py", "changed\n").unwrap();
    let lock = place.root.join(format!(".git/refs/heads/{BRANCH}.lock"));
    write(
        &place.root,
        &format!(".git/refs/heads/{BRANCH}.lock"),
        "x\n",
    );
    let error = repo.create_branch(BRANCH, &new).unwrap_err();
    assert!(
        error.to_string().contains("pickle-to-json.lock is held"),
        "{error}"
    );
    fs::remove_file(&lock).unwrap();
    repo.create_branch(BRANCH, &new).unwrap();
}
