//! What is given to engines, and what they are asked. Slurm itself is in `tests/fleet/run`; here are stand-ins for its programs.

use super::servers::script;
use super::*;

/// Stand-ins that write down how they are called; `squeue` says what stands in the file `queue`.
fn slurm(home: &Home) -> String {
    let log = home.path("calls");
    for (name, says) in [
        ("sbatch", "echo '41;main'".to_owned()),
        (
            "squeue",
            format!("cat {} 2>/dev/null", home.path("queue").display()),
        ),
        ("scancel", String::new()),
    ] {
        let text = format!(
            "#!/bin/sh\necho \"{name} $*\" >> {}\n{says}\n",
            log.display()
        );
        home.script(&format!("bin/{name}"), &text);
    }
    format!(
        "{}:{}",
        home.path("bin").display(),
        std::env::var("PATH").unwrap()
    )
}

#[test]
fn slurm_is_given_an_array_and_then_what_is_missing_of_it() {
    let home = home();
    let path = slurm(&home);
    let path = [("PATH", path.as_str())];
    let calls = || fs::read_to_string(home.path("calls")).unwrap();
    plan(&home, "3");
    let submitted = run(
        &home,
        &["fleet", "submit", "plan.json", "--workers", "2"],
        &path,
    );
    assert_eq!(code(&submitted), 0, "{}", stderr(&submitted));
    assert!(
        calls().contains("sbatch --parsable --array=0-2%2 "),
        "{}",
        calls()
    );
    let text = fs::read_to_string(home.path("results/stage.sbatch")).unwrap();
    assert!(
        text.contains("#SBATCH --requeue") && text.contains("#SBATCH --mem=4096M"),
        "{text}"
    );
    // The script does the shard that the engine names.
    let job = std::process::Command::new("bash")
        .arg(home.path("results/stage.sbatch"))
        .current_dir("/")
        .env("SLURM_ARRAY_TASK_ID", "1")
        .env("DEPICKLE_CACHE_DIR", home.path("cache"))
        .output()
        .unwrap();
    assert_eq!(code(&job), 0, "{}", stderr(&job));
    home.write("queue", "41_0|RUNNING\n41_1|COMPLETED\n41_2|NODE_FAIL\n");
    let status = run(
        &home,
        &["fleet", "status", "plan.json", "--format", "json"],
        &path,
    );
    assert_eq!(code(&status), 3, "{}", stderr(&status));
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["done"], 2);
    assert_eq!(status["shards"]["ended"], 1);
    assert_eq!(status["again"], serde_json::json!([2]));
    assert_eq!(status["slurm"]["node_fail"], 1);
    let text = stdout(&run(&home, &["fleet", "status", "plan.json"], &path));
    assert!(
        text.contains("2 of 6 repositories") && text.contains("to run again: 2"),
        "{text}"
    );
    let resumed = run(&home, &["fleet", "resume", "plan.json"], &path);
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
    assert!(calls().contains("--array=2 "), "{}", calls());
    home.write("queue", "41_0|PENDING\n41_2|PENDING\n");
    let none = run(&home, &["fleet", "resume", "plan.json"], &path);
    assert!(
        stdout(&none).contains("nothing is missing"),
        "{}",
        stdout(&none)
    );
    assert_eq!(
        code(&run(&home, &["fleet", "cancel", "plan.json"], &path)),
        0
    );
    assert!(calls().contains("scancel 41"), "{}", calls());
    for at in ["0/3", "2/3"] {
        assert_eq!(code(&shard(&home, "stage", at, &[])), 0);
    }
    assert_eq!(
        code(&run(&home, &["fleet", "status", "plan.json"], &path)),
        0
    );
    // Without Slurm it says so.
    let none = run(
        &home,
        &["fleet", "submit", "plan.json"],
        &[("PATH", "/nowhere")],
    );
    assert_eq!(code(&none), 2);
    assert!(
        stderr(&none).contains("sbatch cannot be started"),
        "{}",
        stderr(&none)
    );
}

#[test]
fn engines_that_take_files_get_them_within_their_bounds() {
    let home = Home::new();
    home.repo("one", &[("app.py", GUIDE)]);
    home.repo("two", &[("app.py", GUIDE)]);
    home.write("list.txt", "one\ntwo\n");
    plan(&home, "2");
    let file = |engine: &str, more: &[&str]| {
        let args = [&["fleet", "submit", "plan.json", "--engine", engine], more].concat();
        run(&home, &args, &[])
    };
    let manifest = stdout(&file(
        "kubernetes",
        &["--image", "registry.example.org/depickle:1"],
    ));
    for line in [
        "completionMode: Indexed",
        "completions: 2",
        "backoffLimitPerIndex: 3",
        "image: \"registry.example.org/depickle:1\"",
    ] {
        assert!(manifest.contains(line), "{manifest}");
    }
    assert!(manifest.contains("Not run on a cluster"));
    assert_eq!(code(&file("kubernetes", &[])), 2, "an image is not guessed");
    assert!(stdout(&file("github", &[])).contains("shard: [0,1]"));
    assert!(stdout(&file("gitlab", &[])).contains("parallel: 2"));
    for text in [
        manifest,
        stdout(&file("github", &[])),
        stdout(&file("gitlab", &[])),
    ] {
        let place = text.lines().find(|line| {
            line.split('@')
                .any(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase()))
        });
        assert_eq!(place, None);
    }
    // More than they take.
    let text = fs::read_to_string(home.path("plan.json")).unwrap();
    home.write(
        "plan.json",
        text.replace("\"shards\": 2", "\"shards\": 257"),
    );
    for (engine, most) in [("github", "takes 256"), ("gitlab", "takes 200")] {
        let refused = file(engine, &[]);
        assert_eq!(code(&refused), 2);
        assert!(stderr(&refused).contains(most), "{}", stderr(&refused));
    }
}

#[test]
fn a_forge_tells_who_comes_first_and_who_is_left_out() {
    let home = Home::new();
    for name in ["shop", "cart", "site", "mine"] {
        let from = home.repo(&format!("origin/{name}"), &[("app.py", GUIDE)]);
        let bare = home.path(&format!("served/{name}.git"));
        git(
            &from,
            &["clone", "-q", "--bare", ".", bare.to_str().unwrap()],
        );
    }
    let forge = script(&home, "forge.py");
    let from = format!("github:http://127.0.0.1:{}/team", forge.port);
    let output = run(
        &home,
        &["fleet", "plan", "--from", &from, "-o", "plan.json"],
        &[],
    );
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let plan: Value =
        serde_json::from_str(&fs::read_to_string(home.path("plan.json")).unwrap()).unwrap();
    let name = |location: &Value| {
        let last = location
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        last.strip_suffix(".git").unwrap().to_owned()
    };
    let order = plan["repositories"].as_array().unwrap().iter();
    let order: Vec<(String, &str)> = order
        .map(|one| {
            (
                name(&one["target"]["location"]),
                one["exposure"].as_str().unwrap(),
            )
        })
        .collect();
    // A fork that somebody pushed to is theirs.
    let expected = [
        ("cart", "topic flask"),
        ("shop", "language Python"),
        ("mine", "language Python"),
        ("site", "language HTML"),
    ];
    let expected = expected.map(|(name, why)| (name.to_owned(), why));
    assert_eq!(order, expected);
    let skipped = plan["skipped"].as_array().unwrap().iter();
    let skipped: Vec<(String, &str)> = skipped
        .map(|one| (name(&one["location"]), one["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        ("old", "archived"),
        ("copy", "untouched forks"),
        ("none", "empty"),
    ];
    assert_eq!(skipped, expected.map(|(name, why)| (name.to_owned(), why)));
    assert_eq!(plan["repositories"][0]["size"], 120);
}
