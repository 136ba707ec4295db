//! Branches that shards leave as files, for the one who may write.

use super::servers::daemon;
use super::*;

/// Two repositories with something to change and one without, elsewhere.
fn served() -> (Home, Vec<String>) {
    let home = Home::new();
    let mut urls = Vec::new();
    for (name, text) in [("shop", GUIDE), ("cart", GUIDE), ("clean", "x = 1\n")] {
        let from = home.repo(
            &format!("origin/{name}"),
            &[("app.py", text), ("big.bin", "x")],
        );
        let bare = home.path(&format!("served/{name}.git"));
        git(
            &from,
            &["clone", "-q", "--bare", ".", bare.to_str().unwrap()],
        );
        git(&bare, &["config", "uploadpack.allowFilter", "true"]);
        urls.push(format!("file://{}", bare.display()));
    }
    home.write("list.txt", urls.join("\n"));
    (home, urls)
}

/// Shards have a cache of their own, which is gone afterwards.
fn in_shards(home: &Home, command: &str, more: &[&str]) {
    for index in ["0", "1"] {
        let args = [&[command, "--plan", "plan.json"], more].concat();
        let node = home.path(&format!("node-{index}"));
        let output = run(
            home,
            &args,
            &[
                ("AWS_BATCH_JOB_ARRAY_INDEX", index),
                ("DEPICKLE_CACHE_DIR", node.to_str().unwrap()),
            ],
        );
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(refs(&node).is_empty(), "no branch is left on the node");
        fs::remove_dir_all(node).unwrap();
    }
}

#[test]
fn a_bundle_is_published_by_another_and_taken_back() {
    let (home, urls) = served();
    let start = refs(&home.path("served"));
    // What one machine makes of it.
    let staged = run(&home, &["stage", "--repos", "list.txt", "-q"], &[DATED]);
    assert_eq!(code(&staged), 0, "{}", stderr(&staged));
    let expected: Vec<String> = refs(&home.path("cache")).into_values().collect();
    let commit = expected[0].split(' ').next().unwrap().to_owned();
    assert_eq!(code(&run(&home, &["rollback"], &[])), 0);
    forget(&home);
    fs::remove_dir_all(home.path("cache")).unwrap();

    let plan = plan(&home, "2");
    // Who commits stands in the plan, whoever the nodes think they are.
    assert!(plan["settings"]["how"]["author"].is_string());
    in_shards(&home, "stage", &["--bundle", "bundles", "-q"]);
    let bundles: Vec<_> = fs::read_dir(home.path("bundles"))
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(bundles.len(), 2, "{bundles:?}");
    for bundle in &bundles {
        let heads = git(
            home.0.path(),
            &["bundle", "list-heads", bundle.path().to_str().unwrap()],
        );
        assert_eq!(heads.trim(), format!("{commit} refs/heads/{BRANCH}"));
    }
    let publish = ["fleet", "publish", "plan.json", "--pause", "0"];
    let early = run(&home, &publish, &[]);
    assert_eq!(code(&early), 2, "it is not put together yet");
    assert_eq!(code(&merge(&home)), 0);
    let run_id = id(&home);
    assert_eq!(states(&home)[&urls[0]], "staged");

    in_shards(&home, "verify", &[]);
    let stage = run(
        &home,
        &["fleet", "merge", "plan.json", "--format", "json"],
        &[],
    );
    assert_eq!(code(&stage), 0, "{}", stderr(&stage));
    let journal = fs::read_to_string(home.path(&format!("state/runs/{run_id}.jsonl"))).unwrap();
    assert_eq!(journal.matches("\"entry\":\"verified\"").count(), 2);

    // Stopped at each of its steps, it goes on.
    if cfg!(debug_assertions) {
        for step in 1..=6 {
            let at = format!("after:{step}");
            run(&home, &publish, &[("DEPICKLE_FAULT", &at)]);
        }
    }
    let published = run(&home, &publish, &[]);
    assert_eq!(
        code(&published),
        0,
        "{}{}",
        stdout(&published),
        stderr(&published)
    );
    for name in ["shop", "cart"] {
        let tip = git(
            &home.path(&format!("served/{name}.git")),
            &["rev-parse", BRANCH],
        );
        assert_eq!(tip.trim(), commit);
    }
    assert_eq!(states(&home)[&urls[0]], "pushed");
    let again = run(&home, &publish, &[]);
    assert_eq!(code(&again), 0);
    assert_eq!(
        stdout(&again).matches(": is at ").count(),
        2,
        "{}",
        stdout(&again)
    );
    let back = run(&home, &["rollback", &run_id, "--pause", "0"], &[]);
    assert_eq!(code(&back), 0, "{}", stdout(&back));
    assert_eq!(refs(&home.path("served")), start);
    assert!(refs(&home.path("cache")).is_empty());
    assert_eq!(code(&run(&home, &publish, &[])), 2, "it was rolled back");
}

#[test]
fn what_was_not_published_is_not_published_after_a_rollback() {
    let (home, urls) = served();
    plan(&home, "2");
    in_shards(&home, "stage", &["--bundle", "bundles", "-q"]);
    assert_eq!(code(&merge(&home)), 0);
    // One of them is damaged, one moved.
    fs::rename(home.path("bundles"), home.path("moved")).unwrap();
    let publish = ["fleet", "publish", "plan.json", "--pause", "0"];
    let lost = run(&home, &publish, &[]);
    assert_eq!(code(&lost), 3, "{}", stderr(&lost));
    assert!(
        stderr(&lost).contains("is not there; say where"),
        "{}",
        stderr(&lost)
    );
    let first = fs::read_dir(home.path("moved"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    fs::write(&first, "no bundle").unwrap();
    let moved = [&publish[..], &["--bundle", "moved"]].concat();
    let half = run(&home, &moved, &[]);
    assert_eq!(code(&half), 3, "{}", stderr(&half));
    let pushed = urls
        .iter()
        .filter(|url| states(&home)[*url] == "pushed")
        .count();
    assert_eq!(pushed, 1);
    let back = run(&home, &["rollback", "--pause", "0"], &[]);
    assert_eq!(code(&back), 0, "{}", stderr(&back));
    assert!(
        stdout(&back).contains("will not be published"),
        "{}",
        stdout(&back)
    );
    assert!(
        states(&home)
            .values()
            .all(|state| state != "staged" && state != "pushed")
    );
    assert!(run(&home, &["rollback"], &[]).status.success());
    assert_eq!(code(&run(&home, &moved, &[])), 2);
}

#[test]
fn requests_are_opened_by_the_publisher_alone() {
    let home = Home::new();
    for name in ["shop", "cart"] {
        let from = home.repo(&format!("origin/{name}"), &[("app.py", GUIDE)]);
        let bare = home.path(&format!("served/team/{name}.git"));
        git(
            &from,
            &["clone", "-q", "--bare", ".", bare.to_str().unwrap()],
        );
    }
    let port = servers::free();
    let forge = servers::script(&home, "forge_requests.py");
    let _git = daemon(&home, port, &["--enable=receive-pack"]);
    let url = |name: &str| format!("git://127.0.0.1:{port}/team/{name}.git");
    home.write("list.txt", format!("{}\n{}\n", url("shop"), url("cart")));
    plan(&home, "2");
    in_shards(&home, "stage", &["--bundle", "bundles", "-q"]);
    assert_eq!(code(&merge(&home)), 0);
    let api = format!("http://127.0.0.1:{}/api/v3", forge.port);
    let publish = [
        "fleet",
        "publish",
        "plan.json",
        "--open",
        "--forge",
        "github",
        "--api",
        &api,
        "--max-open",
    ];
    let token = [("GH_ENTERPRISE_TOKEN", "secret")];
    let first = run(
        &home,
        &[&publish[..], &["1", "--pause", "1"]].concat(),
        &token,
    );
    assert_eq!(code(&first), 0, "{}{}", stdout(&first), stderr(&first));
    let open = |output: &std::process::Output| stdout(output).matches("; opened ").count();
    assert_eq!(open(&first), 1, "{}", stdout(&first));
    let second = run(
        &home,
        &[&publish[..], &["9", "--pause", "1"]].concat(),
        &token,
    );
    assert_eq!(
        (code(&second), open(&second)),
        (0, 1),
        "{}",
        stdout(&second)
    );
    assert!(states(&home).values().all(|state| state == "opened"));
    let back = run(&home, &["rollback", "--pause", "1"], &token);
    assert_eq!(code(&back), 0, "{}", stdout(&back));
    assert!(states(&home).values().all(|state| state == "rolled-back"));
}
