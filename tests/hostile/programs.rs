//! A repository that names programs wherever git would run one: none of them runs.

use std::fs;
use std::path::Path;

use crate::home::{GUIDE, Home, code, git, stderr, stdout};

const HOOKS: [&str; 24] = [
    "applypatch-msg",
    "pre-applypatch",
    "post-applypatch",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-rebase",
    "post-checkout",
    "post-merge",
    "pre-push",
    "pre-receive",
    "update",
    "proc-receive",
    "post-receive",
    "post-update",
    "reference-transaction",
    "push-to-checkout",
    "pre-auto-gc",
    "post-rewrite",
    "sendemail-validate",
    "fsmonitor-watchman",
    "post-index-change",
];

const KEYS: [&str; 34] = [
    "core.fsmonitor",
    "core.pager",
    "core.editor",
    "core.sshCommand",
    "core.askPass",
    "core.gitProxy",
    "core.alternateRefsCommand",
    "diff.external",
    "diff.x.command",
    "diff.x.textconv",
    "merge.x.driver",
    "filter.x.clean",
    "filter.x.smudge",
    "filter.x.process",
    "gpg.program",
    "gpg.ssh.program",
    "gpg.x509.program",
    "gpg.ssh.defaultKeyCommand",
    "credential.helper",
    "sequence.editor",
    "interactive.diffFilter",
    "man.x.cmd",
    "browser.x.cmd",
    "uploadpack.packObjectsHook",
    "remote.origin.uploadpack",
    "remote.origin.receivepack",
    "trailer.x.command",
    "trailer.x.cmd",
    "pager.log",
    "pager.diff",
    "difftool.x.cmd",
    "mergetool.x.cmd",
    "submodule.lib.update",
    "sendemail.smtpServer",
];

/// Where the caller names programs to git.
const OWN: [&str; 12] = [
    "GIT_EXTERNAL_DIFF",
    "GIT_PAGER",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "GIT_ASKPASS",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "SSH_ASKPASS",
    "PAGER",
    "EDITOR",
    "VISUAL",
];

/// Puts `program` wherever the repository at `root` can name one.
fn arm(home: &Home, name: &str, program: &Path) {
    let root = home.path(name);
    let quoted = program.display().to_string();
    let mut config = fs::read_to_string(root.join(".git/config")).unwrap();
    for key in KEYS {
        let (section, name) = key.rsplit_once('.').unwrap();
        let section = match section.split_once('.') {
            Some((kind, of)) => format!("{kind} \"{of}\""),
            None => section.to_owned(),
        };
        let mark = if key.starts_with("submodule") {
            "!"
        } else {
            ""
        };
        config += &format!("[{section}]\n\t{name} = \"{mark}{quoted}\"\n");
    }
    config += &format!("[alias]\n\tlog = \"!{quoted}\"\n\tdiff = \"!{quoted}\"\n");
    config += "[protocol \"ext\"]\n\tallow = always\n[remote \"origin\"]\n\tpromisor = true\n\tpartialclonefilter = blob:none\n";
    config += &format!(
        "\turl = \"ext::{quoted}\"\n[url \"ext::{quoted} \"]\n\tinsteadOf = https://\n\tinsteadOf = file://\n"
    );
    config += &format!(
        "[core]\n\tattributesFile = {0}/attributes\n\thooksPath = {0}/hooks\n[include]\n\tpath = {0}/more\n",
        home.0.path().display()
    );
    home.write(&format!("{name}/.git/config"), config);
    home.write("more", format!("[core]\n\tfsmonitor = \"{quoted}\"\n"));
    home.write("attributes", "*.py filter=x diff=x merge=x\n");
    for hook in HOOKS {
        for folder in [home.path("hooks"), root.join(".git/hooks")] {
            fs::create_dir_all(&folder).unwrap();
            fs::copy(program, folder.join(hook)).unwrap();
        }
    }
    for python in [
        "sitecustomize.py",
        "conftest.py",
        "setup.py",
        "json.py",
        "shop/json.py",
    ] {
        home.write(
            &format!("{name}/{python}"),
            format!("import os\nos.system('{quoted}')\n"),
        );
    }
}

#[test]
fn no_program_of_a_repository_runs() {
    for format in [
        "--object-format=sha1",
        "--object-format=sha256",
        "--ref-format=reftable",
    ] {
        let home = Home::new();
        let ran = home.path("ran");
        let text = format!("#!/bin/sh\necho \"$0 $*\" >> {}\n", ran.display());
        let trap = home.script("trap", &text);
        let mut init = std::process::Command::new("git");
        let init = init
            .args(["init", "-q", "-b", "main", format, "evil"])
            .current_dir(home.0.path());
        if !init.status().unwrap().success() {
            continue;
        }
        let root = home.repo(
            "evil",
            &[
                ("app.py", GUIDE),
                (".gitattributes", "*.txt filter=x\n*.py diff=x merge=x\n"),
                ("a.txt", "x\n"),
                (
                    ".gitmodules",
                    &format!(
                        "[submodule \"lib\"]\n\tpath = ../lib\n\turl = ext::{0}\n\tupdate = !{0}\n",
                        trap.display()
                    ),
                ),
            ],
        );
        let lost = git(&root, &["rev-parse", "HEAD:a.txt"]);
        fs::remove_file(
            root.join(".git/objects")
                .join(&lost[..2])
                .join(lost[2..].trim()),
        )
        .unwrap();
        arm(&home, "evil", &trap);
        let hooks = home.path("hooks");
        // It would be noticed: git runs the monitor.
        let _ = std::process::Command::new("git")
            .args(["status"])
            .current_dir(&root)
            .output();
        assert!(ran.exists(), "the trap does not work");
        fs::remove_file(&ran).unwrap();

        let mut run = String::new();
        for args in [
            &["scan", "evil"][..],
            &["scan", "evil", "--base", "main", "--format", "sarif"],
            &["diff", "evil"],
            &["diff", "evil", "--save", "plan.json"],
            &["stage", "evil", "--split", "owner", "--signoff"],
            &["runs"],
            &["push", "RUN", "--open"],
            &["push", "RUN"],
            &["verify", "evil"],
            &["rollback"],
            &["stage", "--plan", "plan.json"],
            &["rollback"],
            &["apply", "evil", "--allow-dirty"],
            &["rollback"],
            &["explain", "evil/app.py:12"],
            &["baseline", "evil", "--baseline", "baseline.json"],
            &["hunt", "evil/app.py"],
            &["inspect", "evil/app.py"],
            &["convert", "evil"],
            &["init", "evil"],
            &["config", "evil"],
        ] {
            // Not even the caller's own, where a command has no need of them.
            let own = OWN.map(|name| (name, trap.to_str().unwrap()));
            let config = [
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_TERMINAL_PROMPT", "0"),
                ("GIT_CONFIG_COUNT", "2"),
                ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
                ("GIT_CONFIG_VALUE_0", trap.to_str().unwrap()),
                ("GIT_CONFIG_KEY_1", "core.hooksPath"),
                ("GIT_CONFIG_VALUE_1", hooks.to_str().unwrap()),
            ];
            let newest = run.clone();
            let args: Vec<&str> = args
                .iter()
                .map(|arg| if *arg == "RUN" { newest.as_str() } else { arg })
                .collect();
            let output = home.run_with(&args, &[&own[..], &config].concat());
            if args[0] == "runs" {
                let told = stdout(&output);
                run = told.split_whitespace().next().unwrap().to_owned();
            }
            assert!(
                !ran.exists(),
                "{format} {args:?} ran {}",
                fs::read_to_string(&ran).unwrap_or_default()
            );
            assert_ne!(code(&output), 101, "{args:?}: {}", stderr(&output));
        }
    }
}
