//! How a change is committed: the names of branches, one commit or several, by whom. Git is the judge.

use super::*;

const YAML: &str = "import yaml\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.route(\"/y\", methods=[\"POST\"])\ndef load():\n    return str(yaml.load(request.get_data(), Loader=yaml.Loader))\n";

/// What is written in one file is read in two others; a fourth stands alone.
const BOUND: [(&str, &str); 4] = [
    ("a_reads.py", READS),
    ("lone.py", GUIDE),
    (
        "stores.py",
        "import pickle\n\nimport redis\n\nstore = redis.Redis()\n\n\ndef keep(names):\n    store.set(\"cart\", pickle.dumps([str(name) for name in names]))\n",
    ),
    ("z_reads.py", READS),
];

const READS: &str = "import pickle\n\nimport redis\nfrom flask import Flask\n\nfrom stores import keep\n\nstore = redis.Redis()\napp = Flask(__name__)\n\n\n@app.route(\"/cart\")\ndef cart():\n    keep([\"a\"])\n    return {\"cart\": list(pickle.loads(store.get(\"cart\")))}\n";

fn stages(home: &Home, args: &[&str]) -> String {
    let staged = home.run_with(&[&["stage"], args].concat(), &[DATED]);
    assert_eq!(code(&staged), 0, "{}{}", stdout(&staged), stderr(&staged));
    stdout(&staged)
}

/// Takes the only run back, and forgets it: runs of one date have no order.
fn undo(home: &Home, before: &BTreeMap<PathBuf, String>) {
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(refs(home.0.path()), *before);
    fs::remove_dir_all(home.path("state")).unwrap();
}

#[test]
fn of_runs_in_one_second_the_last_is_the_newest() {
    let home = Home::new();
    let mut begun = Vec::new();
    for n in 0..6 {
        let name = format!("shop{n}");
        home.repo(&name, &[("app.py", GUIDE)]);
        assert_eq!(code(&home.run(&["stage", &name])), 0);
        begun.push(id(&home));
    }
    let mut sorted = begun.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(begun, sorted);
    let undone = home.run(&["rollback"]);
    assert!(stdout(&undone).contains("shop5"), "{}", stdout(&undone));
}

/// Subjects of the commits on `branch`, the first of them first.
fn subjects(root: &Path, branch: &str) -> Vec<String> {
    let range = format!("main..{branch}");
    let said = git(root, &["log", "--reverse", "--format=%s", &range]);
    said.lines().map(str::to_owned).collect()
}

/// What each commit on `branch` changes.
fn changed(root: &Path, branch: &str) -> Vec<Vec<String>> {
    let range = format!("main..{branch}");
    let ids = git(root, &["rev-list", "--reverse", &range]);
    let names = |id: &str| {
        git(
            root,
            &["diff-tree", "-r", "--no-commit-id", "--name-only", id],
        )
    };
    ids.lines()
        .map(|id| names(id).lines().map(str::to_owned).collect())
        .collect()
}

fn tree(root: &Path, branch: &str) -> String {
    git(root, &["rev-parse", &format!("{branch}^{{tree}}")])
}

#[test]
fn a_branch_is_named_by_what_differs_from_repository_to_repository() {
    let home = Home::new();
    let shop = home.repo("my shop", &[("app.py", GUIDE), ("sub/app.py", GUIDE)]);
    git(
        &shop,
        &[
            "remote",
            "add",
            "origin",
            "https://git.example.org/team/shop.git",
        ],
    );
    git(
        home.0.path(),
        &["clone", "-q", "--bare", "my shop", "bare.git"],
    );
    let start = refs(home.0.path());
    let template = "sec/{repository}/{owner}-{path}/{transform}-{date}-{run}";
    stages(&home, &["my shop", "--branch", template]);
    let run = id(&home);
    let date = "2026-11-23";
    let expected = format!("sec/my-shop/team-all/pickle-to-json-{date}-{run}");
    let heads = [
        "for-each-ref",
        "--format=%(refname:short)",
        "refs/heads/sec",
    ];
    assert_eq!(git(&shop, &heads).trim(), expected);
    undo(&home, &start);
    // The clone has a path for its origin, which tells nobody.
    let failed = home.run(&["stage", "bare.git", "--branch", template]);
    assert_eq!(code(&failed), 3);
    assert!(stdout(&failed).contains("{owner}"), "{}", stdout(&failed));
    for wrong in ["sec/{who}", "sec/{run", "a..b", "{run}.lock", "a b"] {
        let refused = home.run(&["stage", "my shop", "--branch", wrong]);
        assert_eq!(code(&refused), 2, "{wrong}");
        assert!(
            stderr(&refused).starts_with("error: --branch"),
            "{}",
            stderr(&refused)
        );
        assert_eq!(refs(home.0.path()), start);
    }
}

#[test]
fn parts_of_a_repository_have_branches_of_their_own_and_never_share_one() {
    let home = Home::new();
    let mono = home.repo(
        "mono",
        &[
            ("services/cart/app.py", GUIDE),
            ("services/pay/app.py", GUIDE),
            ("app.py", GUIDE),
        ],
    );
    let start = refs(home.0.path());
    let both = ["--path", "services/cart", "--path", "./services/pay/"];
    stages(&home, &[&["mono"], &both[..]].concat());
    let prefix = "depickle/pickle-to-json-services";
    assert_eq!(
        changed(&mono, &format!("{prefix}-cart")),
        [["services/cart/app.py"]]
    );
    assert_eq!(
        changed(&mono, &format!("{prefix}-pay")),
        [["services/pay/app.py"]]
    );
    undo(&home, &start);
    let one = [&["stage", "mono", "--branch", "sec/json"], &both[..]].concat();
    let clash = home.run(&one);
    assert_eq!(code(&clash), 3);
    let said = stdout(&clash)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        said.contains("has the branch sec/json in this run"),
        "{said}"
    );
    let words: Vec<String> = states(&home).into_iter().map(|(_, state)| state).collect();
    assert!(words.contains(&"staged".to_owned()) && words.contains(&"failed".to_owned()));
    undo(&home, &start);
    stages(
        &home,
        &[&["mono", "--branch", "sec/{path}"], &both[..]].concat(),
    );
    undo(&home, &start);
    for wrong in ["../mono", "/etc", "."] {
        let refused = home.run(&["scan", "mono", "--path", wrong]);
        assert_eq!(code(&refused), 2, "{wrong}");
        assert!(stderr(&refused).contains("--path"), "{}", stderr(&refused));
    }
    let absent = home.run(&["stage", "mono", "--path", "services/none"]);
    assert_eq!(code(&absent), 2);
    assert!(
        stdout(&absent).contains("is not in commit"),
        "{}",
        stdout(&absent)
    );
    // Of what lies outside nothing is seen.
    let scan = home.json(&[
        "scan",
        "mono",
        "--path",
        "services/cart",
        "--format",
        "json",
    ]);
    assert_eq!(scan["projects"][0]["files"]["seen"], 1);
    assert_eq!(scan["projects"][0]["root"], "mono//services/cart");
}

#[test]
fn several_commits_come_to_the_tree_of_one() {
    let home = Home::new();
    let files = [
        ("app.py", GUIDE),
        ("deep/more.py", GUIDE),
        ("y.py", YAML),
        ("both.py", &format!("{GUIDE}\n\n{YAML}")),
    ];
    let root = home.repo("shop", &files);
    let start = refs(home.0.path());
    stages(&home, &["shop", "--branch", "one"]);
    let whole = tree(&root, "one");
    assert_eq!(subjects(&root, "one").len(), 1);
    undo(&home, &start);
    for (by, commits) in [
        ("repository", 1),
        ("transform", 2),
        ("file", 4),
        ("owner", 1),
    ] {
        stages(&home, &["shop", "--branch", "one", "--split", by]);
        assert_eq!(tree(&root, "one"), whole, "{by}");
        let subjects = subjects(&root, "one");
        assert_eq!(subjects.len(), commits, "{by}: {subjects:?}");
        // Every commit is a state that can be scanned again: nothing that is done is found.
        let ids = git(&root, &["rev-list", "--reverse", "main..one"]);
        let mut open = usize::MAX;
        for id in ids.lines() {
            let scan = home.json(&["scan", "shop", "--base", id, "--format", "json"]);
            let findings = scan["projects"][0]["findings"].as_array().unwrap().iter();
            let left = findings.filter(|one| one["status"] == "rewrite").count();
            assert!(left < open, "{by}: {left} of {open}");
            open = left;
        }
        assert_eq!(open, 0, "{by}");
        undo(&home, &start);
    }
    stages(&home, &["shop", "--branch", "one", "--split", "file"]);
    let subject = "Replace unsafe pickle loads with JSON: ";
    let expected = ["app.py", "deep/more.py"].map(|file| format!("{subject}{file}"));
    let subjects = subjects(&root, "one");
    assert!(
        expected.iter().all(|one| subjects.contains(one)),
        "{subjects:?}"
    );
    let message = git(&root, &["log", "-1", "--format=%B", "one"]);
    assert!(message.contains("\nPart 4 of 4; "), "{message}");
    let ran = id(&home);
    assert_eq!(
        message.matches("Depickle-Finding: ").count(),
        1,
        "{message}"
    );
    assert!(message.contains(&format!("Depickle-Run: {ran}")));
    undo(&home, &start);
}

#[test]
fn readers_and_their_writer_are_never_torn_apart() {
    let home = Home::new();
    let root = home.repo("shop", &BOUND);
    let start = refs(home.0.path());
    let stored = ["--trust", "all", "--branch", "one"];
    stages(&home, &[&["shop"], &stored[..]].concat());
    let whole = tree(&root, "one");
    undo(&home, &start);
    stages(&home, &[&["shop", "--split", "file"], &stored[..]].concat());
    let bound = vec!["a_reads.py", "stores.py", "z_reads.py"];
    assert_eq!(changed(&root, "one"), [vec!["lone.py"], bound]);
    assert_eq!(tree(&root, "one"), whole);
    undo(&home, &start);
}

#[test]
fn owners_are_those_of_the_commit_and_the_last_line_wins() {
    let home = Home::new();
    let owners = "* @all\n/cart/ @org/cart sec@example.org\n/nobodys/\n";
    let files = [
        ("app.py", GUIDE),
        ("other.py", GUIDE),
        ("cart/app.py", GUIDE),
        ("nobodys/app.py", GUIDE),
        (".github/CODEOWNERS", owners),
        ("CODEOWNERS", "* @wrong\n"),
    ];
    let root = home.repo("shop", &files);
    git(
        home.0.path(),
        &["clone", "-q", "--bare", "shop", "bare.git"],
    );
    git(
        &home.path("bare.git"),
        &["config", "uploadpack.allowFilter", "true"],
    );
    home.write("shop/.github/CODEOWNERS", "* @dirty\n");
    let start = refs(home.0.path());
    let subject = "Replace unsafe pickle loads with JSON: ";
    let expected =
        ["no owner", "all", "org/cart sec@example.org"].map(|who| format!("{subject}{who}"));
    stages(&home, &["shop", "--split", "owner", "--branch", "one"]);
    assert_eq!(subjects(&root, "one"), expected);
    assert_eq!(
        changed(&root, "one"),
        [
            vec!["nobodys/app.py"],
            vec!["app.py", "other.py"],
            vec!["cart/app.py"]
        ]
    );
    undo(&home, &start);
    // Of a clone that has only what is read, too, and of one folder of it.
    let url = format!("file://{}", home.path("bare.git").display());
    stages(&home, &[&url, "--split", "owner", "--branch", "one"]);
    let made = refs(home.0.path()).into_keys();
    let clone = made.into_iter().find(|path| path.starts_with("cache"));
    let clone = home.path(clone.unwrap().to_str().unwrap());
    let log = git(&clone, &["log", "--reverse", "--format=%s", "-3", "one"]);
    assert_eq!(log.lines().collect::<Vec<_>>(), expected);
    undo(&home, &start);
    stages(&home, &[&url, "--path", "cart", "--split", "owner"]);
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(refs(home.0.path()), start);
}

#[test]
fn author_committer_and_sign_off_are_who_was_asked_for() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE)]);
    git(&root, &["config", "user.name", "Ada"]);
    git(&root, &["config", "user.email", "ada@example.org"]);
    let start = refs(home.0.path());
    let told = |args: &[&str]| {
        stages(&home, &[&["shop", "--branch", "one"], args].concat());
        let format =
            "--format=%an <%ae>|%cn <%ce>|%(trailers:key=Signed-off-by,valueonly,separator=;)";
        let said = git(&root, &["log", "-1", format, "one"]).trim().to_owned();
        undo(&home, &start);
        said
    };
    let (ada, bot) = ("Ada <ada@example.org>", "Bot <bot@example.org>");
    assert_eq!(told(&[]), format!("{ada}|{ada}|"));
    assert_eq!(told(&["--signoff"]), format!("{ada}|{ada}|{ada}"));
    assert_eq!(
        told(&["--author", bot, "--signoff"]),
        format!("{bot}|{bot}|{bot}")
    );
    assert_eq!(
        told(&["--author", bot, "--committer", ada, "--signoff"]),
        format!("{bot}|{ada}|{ada}")
    );
    let nobody = [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("HOME", "/nonexistent"),
        ("XDG_CONFIG_HOME", "/nonexistent"),
    ];
    git(&root, &["config", "--unset", "user.name"]);
    let refused = home.run_with(&["stage", "shop", "--signoff"], &nobody);
    assert_eq!(code(&refused), 3);
    assert!(
        stdout(&refused).contains("nobody is known to sign off"),
        "{}",
        stdout(&refused)
    );
    assert_eq!(code(&home.run(&["stage", "shop", "--committer", "Ada"])), 2);
    assert_eq!(refs(home.0.path()), start);
}

#[test]
fn a_plan_keeps_how_it_is_committed() {
    let home = Home::new();
    let root = home.repo("shop", &[("app.py", GUIDE), ("more.py", GUIDE)]);
    git(&root, &["config", "user.name", "Ada"]);
    git(&root, &["config", "user.email", "ada@example.org"]);
    let start = refs(home.0.path());
    let save = ["diff", "shop", "--save", "plan.json"];
    let how = [
        "--split",
        "file",
        "--signoff",
        "--branch",
        "sec/{repository}",
    ];
    assert_eq!(
        code(&home.run_with(&[&save[..], &how].concat(), &[DATED])),
        1
    );
    let staged = home.run(&["stage", "--plan", "plan.json"]);
    assert_eq!(code(&staged), 0, "{}", stderr(&staged));
    assert_eq!(changed(&root, "sec/shop"), [["app.py"], ["more.py"]]);
    let tip = git(&root, &["rev-parse", "sec/shop"]);
    assert!(git(&root, &["log", "-1", "--format=%B", "sec/shop"]).contains("Signed-off-by: Ada"));
    undo(&home, &start);
    // The same commits, when it stops and goes on, too.
    let stopped = home.run_with(
        &["stage", "--plan", "plan.json"],
        &[("DEPICKLE_FAULT", "after:2")],
    );
    assert_eq!(stopped.status.code(), None);
    let run = id(&home);
    assert_eq!(code(&home.run(&["stage", "--resume", &run])), 0);
    assert_eq!(git(&root, &["rev-parse", "sec/shop"]), tip);
    undo(&home, &start);
    for (args, says) in [
        (
            &["stage", "--plan", "plan.json", "--split", "owner"][..],
            "cannot be used with",
        ),
        (
            &["stage", "--plan", "plan.json", "--branch", "x"],
            "the plan names the branch already",
        ),
        (&["diff", "shop", "--split", "file"], "--save writes one"),
        (
            &["diff", "shop", "--save", "p", "--branch", "{x}"],
            "{x} stands for nothing",
        ),
    ] {
        let refused = home.run(args);
        assert_eq!(code(&refused), 2, "{args:?}");
        assert!(stderr(&refused).contains(says), "{}", stderr(&refused));
    }
    assert_eq!(refs(home.0.path()), start);
}
