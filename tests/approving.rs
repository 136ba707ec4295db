//! A plan is saved, approved and staged exactly so; anything else is refused, and leaves every ref as it was. The
//! signatures are ssh-keygen's.
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs git and ssh-keygen"
)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;

use std::fs;
use std::process::{Command, Output};

use home::{GUIDE, Home, code, git, stderr, stdout};

const BRANCH: &str = "depickle/pickle-to-json";

/// Two repositories, a plan for both, and keys of two people, one of whom may approve.
fn planned() -> Home {
    let home = Home::new();
    for name in ["shop", "cart"] {
        let root = home.repo(name, &[("app.py", GUIDE), ("notes.txt", "x\n")]);
        git(&root, &["config", "user.name", "A"]);
        git(&root, &["config", "user.email", "a@example.org"]);
    }
    // What is not committed is no part of the plan.
    home.write("shop/app.py", "dirty\n");
    for who in ["boss", "other"] {
        ssh_keygen(
            &home,
            &["-q", "-t", "ed25519", "-N", "", "-C", who, "-f", who],
        );
    }
    let key = fs::read_to_string(home.path("boss.pub")).unwrap();
    home.write("allowed", format!("boss@example.org {key}"));
    let saved = home.run(&["diff", "shop", "cart", "--save", "plan.json"]);
    assert_eq!(code(&saved), 1, "{}", stderr(&saved));
    home
}

fn ssh_keygen(home: &Home, args: &[&str]) {
    let mut program = Command::new("ssh-keygen");
    let output = program.args(args).current_dir(home.0.path()).output();
    assert!(output.unwrap().status.success(), "{args:?}");
}

fn approve(home: &Home, key: &str) {
    let approved = home.run(&["approve", "plan.json", "--key", key]);
    assert_eq!(code(&approved), 0, "{}", stderr(&approved));
    assert!(stdout(&approved).contains("approved sha256 "));
}

const STAGE: [&str; 5] = [
    "stage",
    "--plan",
    "plan.json",
    "--require-approval",
    "allowed",
];

fn tips(home: &Home) -> Vec<String> {
    let tip = |name| {
        git(
            &home.path(name),
            &[
                "for-each-ref",
                "--format=%(objectname)",
                "refs/heads/depickle",
            ],
        )
    };
    ["shop", "cart"].map(tip).to_vec()
}

/// Nothing was staged, and it is said why.
fn refused(home: &Home, output: &Output, exit: i32, says: &str) {
    let said = stdout(output) + &stderr(output);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code(output), exit, "{said}");
    assert!(said.contains(says), "{said}");
    assert_eq!(tips(home), ["", ""], "{says}");
}

#[test]
fn an_approved_plan_is_staged_and_gives_the_same_commits_everywhere() {
    let home = planned();
    approve(&home, "boss");
    let copy = Home::new();
    let mut copying = Command::new("cp");
    copying.arg("-a").arg(home.path(".")).arg(copy.0.path());
    assert!(copying.status().unwrap().success());
    let staged = home.run(&STAGE);
    assert_eq!(code(&staged), 0, "{}", stdout(&staged));
    assert!(stderr(&staged).contains("approved by boss@example.org"));
    // At another time, in another place.
    let later = copy.run_with(&STAGE, &[("SOURCE_DATE_EPOCH", "1890000000")]);
    assert_eq!(code(&later), 0);
    assert_eq!(tips(&home), tips(&copy));
    assert!(tips(&home).iter().all(|tip| tip.len() == 41));
    // What git calls the files, as git says.
    let ids: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path("plan.json")).unwrap()).unwrap();
    let blobs = &ids["repositories"][0]["files"][0]["blobs"];
    for (n, rev) in ["main", BRANCH].iter().enumerate() {
        let id = git(&home.path("shop"), &["rev-parse", &format!("{rev}:app.py")]);
        assert_eq!(blobs[n], id.trim());
    }
    // The patch that was approved is the patch that is there.
    let plan: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path("plan.json")).unwrap()).unwrap();
    let patch = plan["repositories"][0]["files"][0]["patch"]
        .as_str()
        .unwrap();
    let shop = home.path("shop");
    git(&shop, &["checkout", "-q", "-f", "main"]);
    home.write("patch", patch);
    git(&shop, &["apply", "../patch"]);
    assert_eq!(git(&shop, &["diff", BRANCH]), "");
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(tips(&home), ["", ""]);
}

#[test]
fn a_plan_that_nobody_who_may_signed_is_refused() {
    let home = planned();
    refused(&home, &home.run(&STAGE), 2, "depickle approve plan.json");
    approve(&home, "other");
    refused(
        &home,
        &home.run(&STAGE),
        2,
        "nobody in allowed signed this plan",
    );
    // Signed by who may, but for something else.
    fs::remove_file(home.path("plan.json.sig")).unwrap();
    ssh_keygen(
        &home,
        &["-q", "-Y", "sign", "-n", "git", "-f", "boss", "plan.json"],
    );
    refused(
        &home,
        &home.run(&STAGE),
        2,
        "nobody in allowed signed this plan",
    );
    // Changed after it was signed.
    approve(&home, "boss");
    let plan = fs::read_to_string(home.path("plan.json")).unwrap();
    home.write("plan.json", format!("{plan}\n"));
    refused(
        &home,
        &home.run(&STAGE),
        2,
        "nobody in allowed signed this plan",
    );
    home.write("plan.json", plan);
    assert_eq!(code(&home.run(&STAGE)), 0);
}

#[test]
fn a_base_that_moved_is_refused_and_the_others_are_staged() {
    let home = planned();
    approve(&home, "boss");
    git(
        &home.path("shop"),
        &["commit", "-q", "--allow-empty", "-m", "moved"],
    );
    let staged = home.run(&STAGE);
    assert_eq!(code(&staged), 3);
    let said = stdout(&staged)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(said.contains("its base moved"), "{said}");
    let tips = tips(&home);
    assert!(tips[0].is_empty() && !tips[1].is_empty(), "{tips:?}");
}

#[test]
fn the_plan_is_never_the_source_of_what_is_written() {
    let home = planned();
    let plan = fs::read_to_string(home.path("plan.json")).unwrap();
    let stage = || home.run(&["stage", "--plan", "plan.json"]);
    for (from, to) in [
        // Who reads the patch must see what is staged.
        (
            "+    except (ValueError, RecursionError):",
            "+    except ValueError:",
        ),
        ("\"after\": \"", "\"after\": \"0"),
        ("\"before\": \"", "\"before\": \"0"),
        (
            "\"blobs\": [\n            \"",
            "\"blobs\": [\n            \"0",
        ),
        ("\"message\": null", "\"message\": \"Another\""),
    ] {
        assert!(plan.contains(from), "{from}");
        home.write("plan.json", plan.replace(from, to));
        refused(
            &home,
            &stage(),
            3,
            "the change is not the one in the plan: app.py",
        );
    }
    home.write("plan.json", "{}");
    refused(&home, &stage(), 2, "is not a plan");
    home.write(
        "plan.json",
        plan.replace("depickle-plan/2", "depickle-plan/1"),
    );
    refused(&home, &stage(), 2, "not a plan of this version");
    home.write("plan.json", &plan);
    refused(
        &home,
        &home.run(&["stage", "--plan", "plan.json", "--message", "x"]),
        2,
        "cannot be used with",
    );
    refused(
        &home,
        &home.run(&["stage", "--require-approval", "allowed"]),
        2,
        "--plan",
    );
    assert_eq!(code(&stage()), 0);
}

#[test]
fn outside_of_its_window_nothing_is_staged() {
    let home = planned();
    let stage = |window: &str| home.run(&["stage", "--plan", "plan.json", "--window", window]);
    let now = time::OffsetDateTime::now_utc();
    let far = match now.hour() {
        6..18 => "22:00-23:00",
        _ => "12:00-13:00",
    };
    let days = "Mon,Tue,Wed,Thu,Fri,Sat,Sun";
    refused(
        &home,
        &stage(&format!("{days} {far} UTC")),
        2,
        "is not open",
    );
    refused(&home, &stage("soon"), 2, "write it as");
    assert_eq!(code(&stage(&format!("{days} 00:00-24:00 UTC"))), 0);
}

#[test]
fn the_key_is_the_one_that_the_users_git_signs_with() {
    let home = planned();
    let config = home.path("gitconfig");
    let approve = || {
        let path = config.display().to_string();
        home.run_with(&["approve", "plan.json"], &[("GIT_CONFIG_GLOBAL", &path)])
    };
    home.write("gitconfig", "");
    assert_eq!(code(&approve()), 2);
    let key = home.path("boss").display().to_string();
    home.write(
        "gitconfig",
        format!("[gpg]\nformat = ssh\n[user]\nsigningkey = {key}\n"),
    );
    let approved = approve();
    assert_eq!(code(&approved), 0, "{}", stderr(&approved));
    assert_eq!(code(&home.run(&STAGE)), 0);
}

/// A home for gpg with keys of `boss` and `other`; `allowed` has that of boss.
fn pgp(home: &Home) -> Gpg {
    let gpg = Gpg(tempfile::Builder::new()
        .prefix("push-")
        .tempdir_in("/tmp")
        .unwrap());
    for who in ["boss", "other"] {
        let id = format!("{who} <{who}@example.org>");
        let key = [
            "--passphrase",
            "",
            "--quick-gen-key",
            &id,
            "ed25519",
            "sign",
            "never",
        ];
        gpg.run(home, &[&["--batch"], &key[..]].concat());
    }
    let key = gpg.run(home, &["--armor", "--export", "boss@example.org"]);
    home.write("allowed", key.stdout);
    gpg
}

struct Gpg(tempfile::TempDir);

impl Gpg {
    fn run(&self, home: &Home, args: &[&str]) -> Output {
        let mut program = Command::new("gpg");
        let program = program.args(args).env("GNUPGHOME", self.0.path());
        let output = program.current_dir(home.0.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        output
    }

    fn approve(&self, home: &Home, id: &str) {
        let env = [("GNUPGHOME", self.0.path().to_str().unwrap())];
        let approved = home.run_with(&["approve", "plan.json", "--gpg-key", id], &env);
        assert_eq!(code(&approved), 0, "{}", stderr(&approved));
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // The agent of this home, and no other.
        let mut agent = Command::new("gpgconf");
        let _ = agent
            .args(["--kill", "gpg-agent"])
            .env("GNUPGHOME", self.0.path())
            .status();
    }
}

#[test]
fn an_openpgp_key_approves_as_well() {
    let home = planned();
    let gpg = pgp(&home);
    gpg.approve(&home, "other@example.org");
    refused(
        &home,
        &home.run(&STAGE),
        2,
        "nobody in allowed signed this plan",
    );
    gpg.approve(&home, "boss@example.org");
    let plan = fs::read_to_string(home.path("plan.json")).unwrap();
    home.write("plan.json", format!("{plan}\n"));
    refused(
        &home,
        &home.run(&STAGE),
        2,
        "nobody in allowed signed this plan",
    );
    home.write("plan.json", plan);
    let staged = home.run(&STAGE);
    assert_eq!(code(&staged), 0, "{}", stderr(&staged));
    assert!(
        stderr(&staged).contains("approved by boss@example.org\n"),
        "{}",
        stderr(&staged)
    );
}

#[test]
fn what_boss_signed_of_something_else_is_no_approval() {
    let home = planned();
    let gpg = pgp(&home);
    home.write("letter", "yes\n");
    // A letter with its signature in it, made to look like a signature of its own.
    gpg.run(&home, &["-u", "boss@example.org", "--sign", "letter"]);
    let letter = gpg.run(
        &home,
        &[
            "-u",
            "boss@example.org",
            "--armor",
            "--sign",
            "-o-",
            "letter",
        ],
    );
    home.write(
        "plan.json.sig",
        stdout(&letter).replace("PGP MESSAGE", "PGP SIGNATURE"),
    );
    refused(
        &home,
        &home.run(&STAGE),
        2,
        "nobody in allowed signed this plan",
    );
    let alone = gpg.run(
        &home,
        &[
            "-u",
            "boss@example.org",
            "--armor",
            "--detach-sign",
            "-o-",
            "letter",
        ],
    );
    home.write("plan.json.sig", alone.stdout);
    refused(
        &home,
        &home.run(&STAGE),
        2,
        "nobody in allowed signed this plan",
    );
    // One that was good until the key was revoked.
    fs::remove_file(home.path("plan.json.sig")).unwrap();
    gpg.approve(&home, "boss@example.org");
    let listed = stdout(&gpg.run(&home, &["--with-colons", "--list-keys", "boss@example.org"]));
    let print = listed
        .lines()
        .find_map(|line| line.strip_prefix("fpr:::::::::"))
        .unwrap();
    let print = print.trim_end_matches(':');
    let revocation = gpg.0.path().join(format!("openpgp-revocs.d/{print}.rev"));
    let text = fs::read_to_string(revocation).unwrap();
    home.write("revoke", text.replace(":-----BEGIN", "-----BEGIN"));
    gpg.run(&home, &["--import", "revoke"]);
    let key = gpg.run(&home, &["--armor", "--export", "boss@example.org"]);
    home.write("allowed", key.stdout);
    refused(
        &home,
        &home.run(&STAGE),
        2,
        "nobody in allowed signed this plan",
    );
}

#[test]
fn several_approve_and_each_counts_once() {
    let home = planned();
    let gpg = pgp(&home);
    let pgp_key = fs::read_to_string(home.path("allowed")).unwrap();
    let lines = |who: &str| {
        let key = fs::read_to_string(home.path(&format!("{who}.pub"))).unwrap();
        format!("{who}@example.org {key}")
    };
    home.write("allowed", lines("other") + &pgp_key + &lines("boss"));
    let two = || home.run(&[&STAGE[..], &["--approvals", "2"]].concat());
    approve(&home, "boss");
    approve(&home, "boss");
    gpg.approve(&home, "boss@example.org");
    refused(
        &home,
        &two(),
        2,
        "1 of 2 in allowed signed this plan: boss@example.org",
    );
    approve(&home, "other");
    let staged = two();
    assert_eq!(code(&staged), 0, "{}", stderr(&staged));
    let said = stderr(&staged);
    assert!(
        said.contains("approved by boss@example.org, other@example.org"),
        "{said}"
    );
}

#[test]
fn a_key_may_be_an_agents() {
    let home = planned();
    let socket = home.path("agent");
    let mut agent = Command::new("ssh-agent");
    let agent = agent
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(std::process::Stdio::null());
    let mut agent = agent.spawn().unwrap();
    let socket = socket.display().to_string();
    let mut add = Command::new("ssh-add");
    let add = add.args(["-q", "boss"]).current_dir(home.0.path());
    // Its socket may be there before it listens.
    while !add
        .env("SSH_AUTH_SOCK", &socket)
        .status()
        .unwrap()
        .success()
    {
        assert!(agent.try_wait().unwrap().is_none(), "no agent");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    fs::remove_file(home.path("boss")).unwrap();
    let key = fs::read_to_string(home.path("boss.pub")).unwrap();
    let key = format!("key::{}", key.trim());
    let approved = home.run_with(
        &["approve", "plan.json", "--key", &key],
        &[("SSH_AUTH_SOCK", &socket)],
    );
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(code(&approved), 0, "{}", stderr(&approved));
    assert_eq!(code(&home.run(&STAGE)), 0);
}
