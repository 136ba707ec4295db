//! Commits are signed as the repository asks for it, by programs of the user's own; git verifies them.

use std::process::Command;

use super::*;

/// A repository `shop`, a key `key` for ssh, and a configuration of the user's own.
fn signing() -> (Home, PathBuf) {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE), ("more.py", GUIDE)]);
    let mut made = Command::new("ssh-keygen");
    let made = made
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f"])
        .arg(home.path("key"));
    assert!(
        made.env_remove("SSH_AUTH_SOCK")
            .output()
            .unwrap()
            .status
            .success()
    );
    let public = fs::read_to_string(home.path("key.pub")).unwrap();
    home.write("allowed", format!("ada@example.org {public}"));
    home.write(
        "gitconfig",
        "[user]\n\tname = Ada\n\temail = ada@example.org\n",
    );
    (home, root)
}

fn by_ssh(home: &Home, root: &Path, key: &str) {
    for (name, value) in [
        ("commit.gpgsign", "true"),
        ("gpg.format", "ssh"),
        ("user.signingkey", key),
    ] {
        git(root, &["config", name, value]);
    }
    let allowed = home.path("allowed").display().to_string();
    git(root, &["config", "gpg.ssh.allowedSignersFile", &allowed]);
}

fn stage(home: &Home, args: &[&str]) -> std::process::Output {
    stage_with(home, args, &[])
}

fn stage_with(home: &Home, args: &[&str], more: &[(&str, &str)]) -> std::process::Output {
    let config = home.path("gitconfig").display().to_string();
    let own = home.path("gnupg").display().to_string();
    let env = [
        DATED,
        ("GIT_CONFIG_GLOBAL", &config),
        ("GNUPGHOME", &own),
        ("SSH_AUTH_SOCK", ""),
    ];
    let all = [
        &["stage", "shop", "--author", "Ada <ada@example.org>"],
        args,
    ];
    home.run_with(&all.concat(), &[&env[..], more].concat())
}

fn undo(home: &Home, before: &BTreeMap<PathBuf, String>) {
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(refs(home.0.path()), *before);
}

/// It was not staged, and why.
fn refused(home: &Home, before: &BTreeMap<PathBuf, String>, says: &str) {
    let staged = stage(home, &[]);
    let said = stdout(&staged)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(code(&staged), 3, "{said}");
    assert!(
        said.contains("cannot be signed") && said.contains(says),
        "{said}"
    );
    assert_eq!(refs(home.0.path()), *before, "{says}");
}

#[test]
fn ssh_signs_every_commit_and_the_same_each_time() {
    let (home, root) = signing();
    let start = refs(home.0.path());
    let key = home.path("key").display().to_string();
    by_ssh(&home, &root, &key);
    let tip = || git(&root, &["rev-parse", BRANCH]);
    assert_eq!(code(&stage(&home, &["--split", "file"])), 0);
    for commit in [BRANCH.to_owned(), format!("{BRANCH}~1")] {
        git(&root, &["verify-commit", &commit]);
    }
    assert_eq!(
        git(&root, &["log", "-1", "--format=%G? %GS", BRANCH]),
        "G ada@example.org\n"
    );
    let first = tip();
    git(&root, &["fsck", "--strict"]);
    undo(&home, &start);
    assert_eq!(code(&stage(&home, &["--split", "file"])), 0);
    assert_eq!(tip(), first);
    undo(&home, &start);
    // A path below the root, and below the user's home.
    fs::copy(home.path("key"), root.join("k")).unwrap();
    fs::set_permissions(
        root.join("k"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    by_ssh(&home, &root, "k");
    assert_eq!(code(&stage(&home, &[])), 0);
    git(&root, &["verify-commit", BRANCH]);
    undo(&home, &start);
    // Only on request unsigned.
    assert_eq!(code(&stage(&home, &["--no-gpg-sign"])), 0);
    assert_eq!(git(&root, &["log", "-1", "--format=%G?", BRANCH]), "N\n");
    undo(&home, &start);
}

#[test]
fn a_stop_at_every_step_leaves_signed_commits_or_none() {
    if !cfg!(debug_assertions) {
        return;
    }
    let (home, root) = signing();
    let start = refs(home.0.path());
    by_ssh(&home, &root, &home.path("key").display().to_string());
    let args = ["--split", "file"];
    assert_eq!(code(&stage(&home, &args)), 0);
    let (expected, run) = (refs(home.0.path()), id(&home));
    undo(&home, &start);
    for what in ["before", "torn", "after"] {
        for step in 2.. {
            let _ = fs::remove_dir_all(home.path("state"));
            let at = format!("{what}:{step}");
            let stopped = stage_with(&home, &args, &[("DEPICKLE_FAULT", &at)]);
            if stopped.status.code() == Some(0) {
                assert!(step > 5, "{at}");
                undo(&home, &start);
                break;
            }
            assert_eq!(stopped.status.code(), None, "{at}");
            if step % 2 == 0 {
                assert_eq!(code(&home.run(&["stage", "--resume", &run])), 0, "{at}");
                assert_eq!(refs(home.0.path()), expected, "{at}");
                git(&root, &["verify-commit", BRANCH]);
            }
            undo(&home, &start);
        }
    }
}

#[test]
fn a_sha256_repository_is_signed_in_the_header_of_its_own() {
    let (home, old) = signing();
    fs::remove_dir_all(old).unwrap();
    let wide = ["init", "-q", "-b", "main", "--object-format=sha256", "shop"];
    let mut init = Command::new("git");
    if !init
        .args(wide)
        .current_dir(home.0.path())
        .status()
        .unwrap()
        .success()
    {
        return;
    }
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    let start = refs(home.0.path());
    by_ssh(&home, &root, &home.path("key").display().to_string());
    assert_eq!(code(&stage(&home, &[])), 0);
    git(&root, &["verify-commit", BRANCH]);
    let commit = git(&root, &["cat-file", "commit", BRANCH]);
    assert!(commit.contains("\ngpgsig-sha256 -----BEGIN"), "{commit}");
    undo(&home, &start);
}

#[test]
fn what_cannot_be_signed_is_not_staged() {
    let (home, root) = signing();
    let start = refs(home.0.path());
    by_ssh(&home, &root, "/nowhere/key");
    refused(&home, &start, "ssh-keygen says: ");
    let public = fs::read_to_string(home.path("key.pub")).unwrap();
    // Nobody has the other half of that.
    by_ssh(&home, &root, &format!("key::{}", public.trim()));
    refused(&home, &start, "ssh-keygen says: ");
    git(&root, &["config", "--unset", "user.signingkey"]);
    refused(&home, &start, "user.signingkey is not set");
    git(&root, &["config", "gpg.format", "rot13"]);
    refused(&home, &start, "gpg.format is \"rot13\"");
    git(&root, &["config", "gpg.format", "openpgp"]);
    refused(&home, &start, "gpg says: ");
    git(&root, &["config", "commit.gpgsign", "perhaps"]);
    refused(&home, &start, "neither true nor false");
    // Other repositories are staged all the same.
    fs::remove_dir_all(home.path("state")).unwrap();
    home.repo("other", &[("app.py", GUIDE)]);
    assert_eq!(code(&stage(&home, &["other"])), 3);
    let words: Vec<_> = states(&home).into_iter().map(|(_, state)| state).collect();
    assert_eq!(words, ["failed", "staged"]);
    assert_eq!(code(&home.run(&["rollback"])), 0);
}

#[test]
fn no_program_that_a_repository_names_is_run() {
    let (home, root) = signing();
    let key = home.path("key").display().to_string();
    by_ssh(&home, &root, &key);
    let ran = home.path("ran");
    let script = |name: &str, text: &str| {
        let path = home.script(name, &format!("#!/bin/sh\n{text}\n"));
        path.display().to_string()
    };
    let evil = script("evil", &format!("touch {}; exit 1", ran.display()));
    home.write("included", format!("[gpg \"ssh\"]\n\tprogram = {evil}\n"));
    let included = home.path("included").display().to_string();
    for (name, value) in [
        ("gpg.ssh.program", evil.as_str()),
        ("gpg.program", &evil),
        ("gpg.openpgp.program", &evil),
        ("gpg.x509.program", &evil),
        ("gpg.ssh.defaultKeyCommand", &evil),
        ("core.fsmonitor", &evil),
        ("core.pager", &evil),
        ("include.path", &included),
    ] {
        git(&root, &["config", name, value]);
    }
    let start = refs(home.0.path());
    for format in ["ssh", "openpgp", "x509"] {
        git(&root, &["config", "gpg.format", format]);
        let staged = stage(&home, &[]);
        assert_eq!(
            code(&staged),
            if format == "ssh" { 0 } else { 3 },
            "{}",
            stdout(&staged)
        );
        assert!(!ran.exists(), "{format}");
        let _ = home.run(&["rollback"]);
        assert_eq!(refs(home.0.path()), start);
    }
    // The user's own is.
    let signs = script(
        "signs",
        &format!(
            "touch {}; cat >/dev/null; echo '[GNUPG:] SIG_CREATED D' >&2; echo '-----BEGIN SIGNED MESSAGE-----'",
            ran.display()
        ),
    );
    home.write(
        "gitconfig",
        format!("[gpg \"x509\"]\n\tprogram = {signs}\n"),
    );
    assert_eq!(code(&stage(&home, &[])), 0);
    assert!(ran.exists());
    let commit = git(&root, &["cat-file", "commit", BRANCH]);
    assert!(
        commit.contains("\ngpgsig -----BEGIN SIGNED MESSAGE-----\n\n"),
        "{commit}"
    );
    undo(&home, &start);
    // One that gives none, and one that gives it and fails, did not sign.
    for bad in [
        "cat >/dev/null",
        "cat >/dev/null; echo '-----BEGIN SIGNED MESSAGE-----'; exit 1",
        "cat >/dev/null; echo '-----BEGIN SIGNED MESSAGE-----'",
    ] {
        script("signs", bad);
        refused(&home, &start, "signs gave no signature");
    }
}

#[test]
fn gpg_signs_with_the_key_of_the_committer_or_with_the_one_that_is_named() {
    let (home, root) = signing();
    let own = home.path("gnupg");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |args: &[&str]| {
        let output = Command::new("gpg")
            .env("GNUPGHOME", &own)
            .args(["--batch", "--quiet"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    };
    for who in ["Ada <ada@example.org>", "Bob <bob@example.org>"] {
        gpg(&[
            "--passphrase",
            "",
            "--quick-generate-key",
            who,
            "ed25519",
            "sign",
            "never",
        ]);
    }
    let start = refs(home.0.path());
    git(&root, &["config", "commit.gpgsign", "1"]);
    let signer = || {
        let said = Command::new("git")
            .current_dir(&root)
            .env("GNUPGHOME", &own)
            .args(["log", "-1", "--format=%G? %GS", BRANCH])
            .output();
        let said = stdout(&said.unwrap());
        undo(&home, &start);
        said
    };
    let staged = stage(&home, &[]);
    assert_eq!(code(&staged), 0, "{}", stdout(&staged));
    assert_eq!(signer(), "U Ada <ada@example.org>\n".replace("U ", "G "));
    git(&root, &["config", "user.signingkey", "bob@example.org"]);
    assert_eq!(code(&stage(&home, &[])), 0);
    assert_eq!(signer(), "G Bob <bob@example.org>\n");
    git(&root, &["config", "user.signingkey", "carol@example.org"]);
    refused(&home, &start, "gpg says: ");
    let mut stop = Command::new("gpgconf");
    let _ = stop.env("GNUPGHOME", &own).args(["--kill", "all"]).output();
}
