//! depickle as it reaches its users: the wheel, the source archive, completions, manual pages, hooks of forges.
#![expect(clippy::disallowed_methods, reason = "builds packages, runs programs")]

#[path = "support/home.rs"]
mod home;
#[path = "support/venv.rs"]
mod venv;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use home::{GUIDE, Home, code, git, stderr, stdout};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A tool of the environment, in the project's root.
fn tool(name: &str, args: &[&str]) -> Output {
    let mut tool = Command::new(venv::tools().join(name));
    tool.args(args).current_dir(root()).output().unwrap()
}

fn said(output: &Output) -> String {
    stdout(output) + &stderr(output)
}

/// The only file in `folder` whose name ends so.
fn only(folder: &Path, end: &str) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.to_str().unwrap().ends_with(end));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn the_wheel_runs_in_a_clean_environment() {
    let home = Home::new();
    let out = home.path("dist").display().to_string();
    // In the profile and the folder of `cargo test`, so that only the program is linked anew.
    let built = tool(
        "maturin",
        &["build", "--locked", "--profile", "dev", "--out", &out],
    );
    assert!(built.status.success(), "{}", said(&built));
    let wheel = only(Path::new(&out), ".whl").display().to_string();
    let run = |program: &Path, args: &[&str]| {
        let output = Command::new(program)
            .args(args)
            .current_dir(home.0.path())
            .output()
            .unwrap();
        (code(&output), said(&output))
    };
    let made = run(Path::new("python3"), &["-m", "venv", "clean"]);
    assert_eq!(made.0, 0, "{}", made.1);
    let clean = home.path("clean/bin");
    let install = [
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-index",
        &wheel,
    ];
    let installed = run(&clean.join("pip"), &install);
    assert_eq!(installed.0, 0, "{}", installed.1);
    let version = run(&clean.join("depickle"), &["--version"]);
    assert_eq!(
        version,
        (0, format!("depickle {}\n", env!("CARGO_PKG_VERSION")))
    );
    home.write("shop/app.py", GUIDE);
    let (found, text) = run(&clean.join("depickle"), &["scan", "shop"]);
    assert!(
        found == 1 && text.contains("app.py:11:22  rewrite"),
        "{text}"
    );
    let packages = clean
        .join("../lib")
        .read_dir()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let about = packages.join(format!(
        "site-packages/depickle-{}.dist-info",
        env!("CARGO_PKG_VERSION")
    ));
    assert!(about.join("licenses/LICENSE").is_file() && about.join("sboms").is_dir());
    let about = fs::read_to_string(about.join("METADATA")).unwrap();
    for line in [
        "License-Expression: MIT OR Apache-2.0",
        "Summary: Finds",
        "Requires-Python: >=3.8",
        "# depickle",
    ] {
        assert!(about.contains(line), "{line}: {about}");
    }
}

#[test]
fn source_archives_hold_what_a_build_reads() {
    let home = Home::new();
    let out = home.path("dist").display().to_string();
    let built = tool("maturin", &["sdist", "--out", &out]);
    assert!(built.status.success(), "{}", said(&built));
    let archive = only(Path::new(&out), ".tar.gz");
    let listed = Command::new("tar")
        .arg("tzf")
        .arg(archive)
        .output()
        .unwrap();
    let listed = stdout(&listed);
    let held: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| Some(line.split_once('/')?.1))
        .collect();
    let wanted = git(
        root(),
        &[
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "src",
            "transforms",
            "Cargo.toml",
            "Cargo.lock",
            "README.md",
            "LICENSE",
            "pyproject.toml",
        ],
    );
    let missing: Vec<&str> = wanted
        .lines()
        .filter(|path| root().join(path).exists() && !held.contains(path))
        .collect();
    assert!(
        missing.is_empty() && wanted.lines().count() > 500,
        "{missing:?}"
    );
    // Cargo's own archive leaves out pyproject.toml for nobody: maturin takes the same list.
    let cargo = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = stdout(&cargo);
    let held: BTreeSet<&str> = listed.lines().collect();
    assert!(
        wanted
            .lines()
            .filter(|path| root().join(path).exists())
            .all(|path| held.contains(path)),
        "{}",
        said(&cargo)
    );
    assert!(
        !held
            .iter()
            .any(|path| path.starts_with(".ci") || path.starts_with("snapshots"))
    );
}

#[test]
fn licences_of_what_is_linked_go_with_it() {
    let made = Command::new("python3")
        .arg(".ci/third-party")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let text = fs::read_to_string(root().join("THIRD-PARTY.txt")).unwrap();
    // The crate's own, and that of the C library in it.
    for part in [
        "\nserde 1.",
        "libgit2-sys",
        "libgit2/COPYING",
        "jemalloc/COPYING",
        "Permission is hereby granted",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("\nproptest "), "tests are not linked");
}

#[test]
fn bash_completes_commands_and_options() {
    let home = Home::new();
    let script = home.run(&["completions", "bash"]);
    home.write("depickle.bash", &script.stdout);
    let completed = |words: &str| {
        let last = words.split(' ').count() - 1;
        let line = format!(
            "source depickle.bash; COMP_WORDS=({words}); COMP_CWORD={last}; _depickle depickle \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; echo \"${{COMPREPLY[*]}}\"",
            last - 1
        );
        let output = Command::new("bash")
            .args(["--norc", "-c", &line])
            .current_dir(home.0.path())
            .output()
            .unwrap();
        assert_eq!(stderr(&output), "");
        stdout(&output).trim().to_owned()
    };
    assert_eq!(completed("depickle sca"), "scan");
    assert_eq!(
        completed("depickle scan --base"),
        "--base --baseline --baseline-commit"
    );
    assert_eq!(completed("depickle nothing-of-that"), "");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]);
        assert!(
            code(&script) == 0 && stdout(&script).contains("rollback"),
            "{shell}"
        );
    }
    assert_eq!(code(&home.run(&["completions", "cmd.exe"])), 2);
}

#[test]
fn manual_pages_are_well_formed() {
    let home = Home::new();
    assert_eq!(code(&home.run(&["man", "man1"])), 0);
    let pages: Vec<PathBuf> = fs::read_dir(home.path("man1"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let help = stdout(&home.run(&["--help"]));
    for command in ["scan", "stage", "rollback"] {
        assert!(
            help.contains(command)
                && pages.contains(&home.path(&format!("man1/depickle-{command}.1")))
        );
    }
    let groff = |args: &[&str], pages: &[PathBuf]| {
        let mut groff = Command::new("groff");
        groff
            .args(["-man", "-Tascii", "-P-cbou"])
            .args(args)
            .args(pages);
        groff.output().unwrap()
    };
    assert_eq!(said(&groff(&["-ww", "-z"], &pages)), "");
    let shown = stdout(&groff(&[], &[home.path("man1/depickle-scan.1")]));
    assert!(
        shown.contains("OPTIONS") && shown.contains("--baseline-commit <REF>"),
        "{shown}"
    );
    assert_eq!(code(&home.run(&["man", "/proc/nowhere"])), 2);
}

#[test]
fn workflows_and_the_container_are_as_their_linters_want_them() {
    let schema = |name: &str, files: &[&str]| {
        let schema = ["--builtin-schema", name];
        let checked = tool("check-jsonschema", &[&schema, files].concat());
        assert!(checked.status.success(), "{}", said(&checked));
    };
    schema(
        "vendor.github-workflows",
        &[
            ".github/workflows/release.yml",
            ".github/workflows/deny.yml",
        ],
    );
    schema("vendor.github-actions", &["action.yml"]);
    // The schema is of pipelines: the inputs of a component are a document before it.
    let home = Home::new();
    let component = fs::read_to_string(root().join("templates/depickle.yml")).unwrap();
    home.write("job.yml", component.split_once("\n---\n").unwrap().1);
    schema(
        "vendor.gitlab-ci",
        &[home.path("job.yml").to_str().unwrap()],
    );

    let audited = tool(
        "zizmor",
        &[
            "--offline",
            "--no-progress",
            "--persona",
            "pedantic",
            ".github/workflows",
            "action.yml",
        ],
    );
    assert!(audited.status.success(), "{}", said(&audited));
    let container = tool("hadolint", &["Dockerfile"]);
    assert!(container.status.success(), "{}", said(&container));
    let scripts = tool("shellcheck", &[".ci/run"]);
    assert!(scripts.status.success(), "{}", said(&scripts));
}

#[test]
fn the_container_is_built_from_a_whole_crate() {
    let home = Home::new();
    let container = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let first = container.split("\nFROM ").nth(1).unwrap();
    for words in first.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let words: Vec<&str> = words.split(' ').collect();
        for path in &words[..words.len() - 1] {
            assert!(
                ignored.lines().any(|line| line == format!("!{path}")),
                "{path}"
            );
            let copied = Command::new("cp")
                .arg("-r")
                .arg(root().join(path))
                .arg(home.path(""))
                .status();
            assert!(copied.unwrap().success());
        }
    }
    // Reads the manifest as a build does: every target's file must be there.
    let mut read = Command::new(env!("CARGO"));
    read.args(["fetch", "--locked", "--offline"])
        .current_dir(home.path(""));
    let read = read.output().unwrap();
    assert!(read.status.success(), "{}", said(&read));
}

/// What came of the steps of `file`, run in a shop with one load.
fn steps(home: &Home, file: &str, inputs: &[&str]) -> Vec<Value> {
    let program = Path::new(env!("CARGO_BIN_EXE_depickle")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut run = Command::new(venv::tools().join("python"));
    run.arg(root().join("tests/support/steps.py"))
        .arg(root().join(file))
        .args(inputs);
    run.current_dir(home.path("shop"))
        .env("PATH", path)
        .env("DEPICKLE_STATE_DIR", home.path("state"));
    let output = run.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
}

fn valid_sarif(home: &Home, file: &str) -> bool {
    let file = home.path(file).display().to_string();
    let checked = tool(
        "check-jsonschema",
        &["--schemafile", "tests/support/sarif-2.1.0.json", &file],
    );
    checked.status.success()
}

#[test]
fn the_github_action_reports_and_fails_for_what_counts() {
    let home = Home::new();
    home.repo("shop", &[("app.py", GUIDE), ("a b/c.py", GUIDE)]);
    let ran = steps(&home, "action.yml", &[]);
    assert_eq!(ran[1]["code"], 0, "{ran:?}");
    assert!(
        ran[1]["said"]
            .as_str()
            .unwrap()
            .contains("file=app.py,line=11"),
        "{ran:?}"
    );
    assert_eq!(ran[2]["with"]["sarif_file"], "depickle.sarif");
    assert!(
        ran[3]["code"] == 1 && valid_sarif(&home, "shop/depickle.sarif"),
        "{ran:?}"
    );
    let codes = |inputs: &[&str]| {
        let ran = steps(&home, "action.yml", inputs);
        let codes = ran.iter().filter_map(|step| step["code"].as_i64());
        codes.collect::<Vec<_>>()
    };
    assert_eq!(codes(&["fail=false"]), [0, 0, 0]);
    assert_eq!(codes(&["trust=stored"]), [0, 0, 0]);
    // Names with spaces and options stay words of their own.
    assert_eq!(codes(&["path=a b/c.py", "args=--exclude\n*.py"]), [0, 0, 0]);
    assert_eq!(codes(&["path=--help"]), [0, 2], "a path is no option");
    assert_eq!(codes(&["baseline=none.json"]), [0, 2]);
    assert_eq!(codes(&["install=false"]), [1]);
    home.write("shop/broken.py", "import pickle\ndef f(:\n");
    assert_eq!(codes(&["fail=false"]), [0, 0, 3]);
    git(&home.path("shop"), &["clean", "-qfd"]);
    assert_eq!(
        code(
            &home
                .program(&["baseline"])
                .current_dir(home.path("shop"))
                .output()
                .unwrap()
        ),
        0
    );
    assert_eq!(codes(&["baseline=depickle-baseline.json"]), [0, 0, 0]);
}

#[test]
fn the_gitlab_component_reports_and_fails_for_what_counts() {
    let home = Home::new();
    home.repo("shop", &[("app.py", GUIDE)]);
    let ran = steps(&home, "templates/depickle.yml", &["install=exit 9"]);
    assert_eq!(ran[0]["code"], 1, "{ran:?}");
    assert!(valid_sarif(&home, "shop/depickle.sarif"));
    let quality = fs::read(home.path("shop/gl-code-quality-report.json")).unwrap();
    let quality: Value = serde_json::from_slice(&quality).unwrap();
    assert_eq!(quality[0]["location"]["path"], "app.py", "{quality}");
    let code = |input| {
        steps(&home, "templates/depickle.yml", &["install=exit 9", input])[0]["code"].clone()
    };
    assert_eq!(code("trust=stored"), 0);
    assert_eq!(code("baseline=no such.json"), 2);
}
