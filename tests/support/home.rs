//! A home of its own for the program: repositories, a record of runs, a cache of clones.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub const GUIDE: &str = r#"import pickle

from flask import Flask, request

app = Flask(__name__)


@app.route("/load", methods=["POST"])
def load():
    data = request.get_data()
    unpickled_data = pickle.loads(data)
    return {"keys": len(unpickled_data)}
"#;

/// A home with a record of runs of its own.
pub struct Home(pub TempDir);

#[allow(dead_code, reason = "each test uses some of it")]
impl Home {
    pub fn new() -> Home {
        Home(TempDir::new().unwrap())
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A repository without anything in `folder`, whose ids are made by `format`.
    pub fn init(&self, format: &str, folder: &str) {
        let how = ["init", "-q", "-b", "main", "--object-format"];
        let args: Vec<&str> = how.into_iter().chain([format, folder]).collect();
        git(self.0.path(), &args);
    }

    /// A repository `name` with `files` in one commit.
    pub fn repo(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        for (path, text) in files {
            self.write(&format!("{name}/{path}"), text);
        }
        let root = self.path(name);
        git(&root, &["init", "-q", "-b", "main"]);
        git(&root, &["add", "."]);
        git(&root, &["commit", "-q", "-m", "before"]);
        root
    }

    /// A script that can be run. Another process writes it: what a thread of this one has open for writing may be inherited
    /// by what another thread starts at that very moment, and a file that somebody may write to cannot be run.
    pub fn script(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]);
        let mut shell = shell.arg(&path).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        assert!(shell.wait().unwrap().success());
        path
    }

    /// The program, to be run in this home.
    pub fn program(&self, args: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_depickle"));
        self.dress(program.args(args));
        program
    }

    /// Has `command` run in this home, with nothing of the environment of who runs the tests but the way to programs: no
    /// configuration, token, date or colour of theirs, no shard of their CI.
    pub fn dress(&self, command: &mut Command) {
        command.env_clear().current_dir(self.0.path());
        for name in ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
            .env("HOME", self.0.path())
            .env("DEPICKLE_STATE_DIR", self.path("state"))
            .env("DEPICKLE_CACHE_DIR", self.path("cache"))
            .env("XDG_CONFIG_HOME", self.path("configurations"))
            .env("COLUMNS", "100");
    }

    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        self.program(args)
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, &[])
    }

    /// How many entries the records of all runs have.
    pub fn entries(&self) -> usize {
        let files = fs::read_dir(self.path("state/runs")).into_iter().flatten();
        let paths = files.flatten().map(|entry| entry.path());
        paths
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .map(|path| fs::read_to_string(path).unwrap_or_default().lines().count())
            .sum()
    }

    /// Runs the program, and kills it as `kill -9` does: some time `later` than there are so many entries. Where that takes
    /// long, it waits a few entries further on: it is not over before it is killed.
    pub fn killed(&self, args: &[&str], env: &[(&str, &str)], entries: usize, later: Duration) {
        let fault = format!("wait:{}", entries.saturating_sub(self.entries()) + 3);
        let mut program = self.program(args);
        let program = program.envs(env.iter().copied()).stdout(Stdio::null());
        let program = program.env("DEPICKLE_FAULT", fault);
        let mut child = program.stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while self.entries() < entries
            && child.try_wait().unwrap().is_none()
            && begun.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(later);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs the program as soon as nobody else works on the run: git may outlive who started it.
    pub fn run_alone(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        loop {
            let output = self.run_with(args, env);
            if !stderr(&output).contains("another depickle") {
                return output;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.run(args).stdout).unwrap()
    }
}

pub fn git(root: &Path, args: &[&str]) -> String {
    let output = tried(root, args);
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// [`git`], which may fail.
pub fn tried(root: &Path, args: &[&str]) -> Output {
    let mut git = Command::new("git");
    // Who runs the tests in a hook has a repository named by these.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        git.env_remove(name);
    }
    git.current_dir(root)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "T"),
            ("GIT_AUTHOR_EMAIL", "t@example.org"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "T"),
            ("GIT_COMMITTER_EMAIL", "t@example.org"),
        ])
        // One date for all: what is alike has one id, on either side of a second's end too.
        .envs([
            ("GIT_AUTHOR_DATE", "1790000000 +0000"),
            ("GIT_COMMITTER_DATE", "1790000000 +0000"),
        ])
        .output()
        .unwrap()
}

/// Every branch and tag of every repository below `root`, clones too. What fetching keeps for itself does not count.
#[allow(dead_code, reason = "for those with many repositories")]
pub fn refs(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        if folder.join("HEAD").is_file() && folder.join("objects").is_dir() {
            let listed = git(&folder, &["for-each-ref", "refs/heads", "refs/tags"]);
            if !listed.is_empty() {
                found.insert(folder.strip_prefix(root).unwrap().to_owned(), listed);
            }
            continue;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        todo.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.is_dir() && !path.is_symlink()),
        );
    }
    found
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
