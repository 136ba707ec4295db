//! Names and code that would drive a terminal, in whatever is said by any command: they are shown, and never raw.

use std::os::unix::ffi::OsStrExt;

use crate::home::{GUIDE, Home, code, git, stderr, stdout};

/// Red, a title, a bell, a line of its own, text that runs backwards, and a control of one byte in Latin-1.
const EVIL: &str = "e\u{1b}[31m\u{1b}]0;t\u{7}\nnew line\u{202e}\u{9b}31m";

/// What must be nowhere, and a line that begins as the name would have it.
#[track_caller]
fn is_tame(args: &[&str], said: &str) {
    let raw = ['\u{1b}', '\u{7}', '\u{202e}', '\u{9b}', '\r'];
    let found = said.chars().find(|c| raw.contains(c));
    assert_eq!(found, None, "{args:?}: {said}");
    assert!(!said.contains("\nnew line"), "{args:?}: {said}");
}

#[test]
fn whatever_a_command_says_of_a_name_is_tame() {
    let home = Home::new();
    let file = format!("{EVIL}.py");
    // Not to be rewritten, so that it stands in no patch, which is what the file says.
    let shown = format!(
        "import pickle\n\n\ndef f(x):\n    return pickle.loads(x)  # {}\n",
        EVIL.replace('\n', "")
    );
    let root = home.repo(
        EVIL,
        &[(&file, GUIDE), ("shown.py", &shown), ("app.py", GUIDE)],
    );
    home.write(
        &format!("{EVIL}/broken.py"),
        format!("import pickle\npickle.loads(\n'{EVIL}"),
    );
    home.write(
        &format!("{EVIL}.pickle"),
        b"\x80\x04cos\x1b[31m\nsy\x07stem\n(S'x'\ntR.",
    );
    home.write(
        &format!("{EVIL}.log"),
        b"gASVCQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOULg== \x1b[31m\x07\n",
    );
    home.write(
        &format!("{EVIL}.toml"),
        format!("x = \"{}\"\n", EVIL.replace('\n', "")),
    );
    home.write("list.txt", format!("{}\n", EVIL.replace('\n', "")));
    git(&root, &["config", "remote.origin.url", EVIL]);
    let (pickle, log) = (format!("{EVIL}.pickle"), format!("{EVIL}.log"));
    let toml = format!("{EVIL}.toml");
    let place = format!("{EVIL}/{file}:11");
    let formats = [
        "text", "json", "jsonl", "sarif", "html", "markdown", "csv", "junit", "github", "gitlab",
        "codetf",
    ];
    let mut all: Vec<Vec<&str>> = formats
        .iter()
        .map(|format| vec!["scan", EVIL, "--format", format])
        .collect();
    all.extend([
        vec!["scan", EVIL, "-v", "--explain"],
        vec!["scan", EVIL, "--only", EVIL],
        vec!["scan", EVIL, "--base", EVIL],
        vec!["scan", "--repos", "list.txt"],
        vec!["scan", "--repos", EVIL],
        vec!["scan", &place],
        vec!["scan", EVIL, "--config", &toml],
        vec!["scan", EVIL, "--trust", EVIL],
        vec!["scan", EVIL, "--format", EVIL],
        vec!["scan", EVIL, "-o", "/nowhere/\u{1b}[31m"],
        vec!["diff", EVIL, "--save", "plan.json"],
        vec!["diff", EVIL, "-v"],
        vec!["stage", EVIL, "--branch", EVIL],
        vec!["stage", EVIL, "--message", EVIL],
        vec!["stage", EVIL],
        vec!["runs"],
        vec!["runs", "--format", "csv"],
        vec!["runs", EVIL],
        vec!["push", "RUN"],
        vec!["push", "RUN", "--remote", EVIL],
        vec!["verify", EVIL],
        vec!["rollback"],
        vec!["rollback", EVIL],
        vec!["stage", "--plan", "plan.json"],
        vec!["stage", "--resume", EVIL],
        vec!["rollback"],
        vec!["apply", EVIL, "--allow-dirty"],
        vec!["rollback"],
        vec!["review", "plan.json"],
        vec!["review", EVIL],
        vec!["explain", &place],
        vec!["explain", EVIL],
        vec!["baseline", EVIL, "-o", "baseline.json"],
        vec!["init", EVIL],
        vec!["config", EVIL],
        vec!["inspect", &pickle],
        vec!["convert", &pickle],
        vec!["hunt", &log],
        vec!["test", EVIL],
        vec!["cache"],
        vec!["fleet", "plan", "--repos", EVIL, "--shards", "1"],
        vec![EVIL],
    ]);
    for args in all {
        let newest = || -> Option<String> {
            let runs = home.json(&["runs", "--format", "json"]);
            Some(runs["runs"][0]["run"].as_str()?.to_owned())
        };
        let run = newest().unwrap_or_default();
        let args: Vec<&str> = args
            .into_iter()
            .map(|arg| if arg == "RUN" { &run } else { arg })
            .collect();
        let output = home.run(&args);
        assert_ne!(code(&output), 101, "{args:?}: {}", stderr(&output));
        let out = match args[0] {
            // The bytes of what is changed are in the patch as they are.
            "diff" => String::from_utf8_lossy(&output.stdout).into_owned(),
            _ => stdout(&output),
        };
        is_tame(&args, &out);
        is_tame(&args, &stderr(&output));
    }
    // A name that is no UTF-8.
    let odd = std::ffi::OsStr::from_bytes(b"\xff\x1b[31m\x9b\xfe");
    std::fs::create_dir(home.0.path().join(odd)).unwrap();
    let output = home.program(&["scan"]).arg(odd).output().unwrap();
    is_tame(&["odd"], &String::from_utf8_lossy(&output.stdout));
    is_tame(&["odd"], &String::from_utf8_lossy(&output.stderr));
}
