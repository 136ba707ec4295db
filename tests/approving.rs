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
        plan.replace("depickle-plan/1", "depickle-plan/0"),
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
