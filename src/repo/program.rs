//! The git program, as it is run on repositories that nobody vouches for.
//!
//! Invariant: only commands that look up or write what they are told; no hook, no filter, no monitor, no fetch.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::store::{Kind, Ref};

/// Where the environment could lead git elsewhere: what `git rev-parse --local-env-vars` lists of places, and what hooks are
/// given.
const PLACES: [&str; 15] = [
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_ATTR_SOURCE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_QUARANTINE_PATH",
];

/// `git` without hooks, monitors, lazy fetches and other places than it is told, to be completed.
pub(crate) fn git() -> Command {
    let mut git = Command::new("git");
    for place in PLACES {
        git.env_remove(place);
    }
    git.env("LC_ALL", "C")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        // What it makes libgit2 can read, whatever the user would have made.
        .envs([
            ("GIT_DEFAULT_HASH", "sha1"),
            ("GIT_DEFAULT_REF_FORMAT", "files"),
        ])
        .args(["-c", "core.hooksPath=/dev/null"])
        .args(["-c", "core.fsmonitor=false", "-c", "gc.auto=0"])
        // Clones are bare; others were named.
        .args(["-c", "safe.bareRepository=all"]);
    git
}

/// A repository that is read and written by the git program alone.
pub(super) struct Program {
    /// Of this very work tree.
    pub dir: PathBuf,
    /// Shared by all work trees.
    pub common: PathBuf,
    /// The work tree.
    pub tree: Option<PathBuf>,
    objects: RefCell<Option<Objects>>,
}

/// `git cat-file --batch-command`, at work.
struct Objects {
    child: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Drop for Objects {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// The repository that the folder `at` lies in; what git says when it takes it for none.
    pub(super) fn open(at: &Path) -> Result<Program, String> {
        let ask = |args: &[&str]| {
            let mut git = git();
            run(git.arg("-C").arg(at).args(args), b"")
        };
        let line = |args: &[&str]| -> Result<PathBuf, String> {
            let said = ask(&[&["rev-parse", "--path-format=absolute"], args].concat())?;
            let path = PathBuf::from(String::from_utf8_lossy(&said).trim_end_matches('\n'));
            Ok(path.canonicalize().unwrap_or(path))
        };
        let common = line(&["--git-common-dir"])?;
        let bare = ask(&["rev-parse", "--is-bare-repository"])? == b"true\n";
        let main = || common.parent().filter(|_| common.ends_with(".git"));
        let tree = match bare {
            true => None,
            // From within the git dir git names none.
            false => line(&["--show-toplevel"])
                .ok()
                .or_else(|| main().map(Path::to_owned)),
        };
        Ok(Program {
            dir: line(&["--git-dir"])?,
            common,
            tree,
            objects: RefCell::new(None),
        })
    }

    fn git(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
        let mut git = git();
        // A reflog wants somebody.
        git.env("GIT_COMMITTER_NAME", "depickle")
            .env("GIT_COMMITTER_EMAIL", "depickle@localhost");
        run(git.arg("--git-dir").arg(&self.dir).args(args), input)
    }

    fn text(&self, args: &[&str]) -> Result<String, String> {
        let said = self.git(args, b"")?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// The commit that `revision` names.
    pub(super) fn commit(&self, revision: &str) -> Result<String, String> {
        let commit = format!("{revision}^{{commit}}");
        let id = self.text(&["rev-parse", "--verify", "--end-of-options", &commit])?;
        Ok(id.trim().to_owned())
    }

    /// Whether HEAD names nothing that is there.
    pub(super) fn is_unborn(&self) -> bool {
        let head = self.text(&["symbolic-ref", "--quiet", "HEAD"]);
        head.is_ok_and(|name| self.refs(name.trim()).is_ok_and(|refs| refs.is_empty()))
    }

    pub(super) fn header(&self, id: &str) -> Option<(Kind, u64)> {
        self.asked("info", id).ok().map(|(head, _)| head)
    }

    pub(super) fn read(&self, kind: Kind, id: &str) -> Result<Vec<u8>, String> {
        match self.asked("contents", id)? {
            ((found, _), bytes) if found == kind => Ok(bytes),
            _ => Err(format!("object {id} is no {}", kind.word())),
        }
    }

    fn asked(&self, command: &str, id: &str) -> Result<((Kind, u64), Vec<u8>), String> {
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("{id:?} is no id"));
        }
        let mut objects = self.objects.borrow_mut();
        if objects.is_none() {
            let mut git = git();
            git.arg("--git-dir").arg(&self.dir);
            git.args(["cat-file", "--batch-command"]);
            let git = git.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = git.stderr(Stdio::null()).spawn().map_err(started)?;
            let (Some(asks), Some(says)) = (child.stdin.take(), child.stdout.take()) else {
                return Err("git has no pipes".to_owned());
            };
            let says = BufReader::new(says);
            *objects = Some(Objects { child, asks, says });
        }
        let Some(git) = objects.as_mut() else {
            return Err("git is gone".to_owned());
        };
        let mut ask = || -> std::io::Result<(String, Vec<u8>)> {
            writeln!(git.asks, "{command} {id}")?;
            git.asks.flush()?;
            let mut head = String::new();
            git.says.read_line(&mut head)?;
            let size = head
                .trim_end()
                .rsplit(' ')
                .next()
                .and_then(|n| n.parse().ok());
            let mut bytes = Vec::new();
            if let (Some(size), "contents") = (size, command) {
                bytes = vec![0; size];
                git.says.read_exact(&mut bytes)?;
                git.says.read_exact(&mut [0])?;
            }
            Ok((head, bytes))
        };
        let (head, bytes) = ask().map_err(|error| format!("git cat-file: {error}"))?;
        let words: Vec<&str> = head.split_whitespace().collect();
        let kind = match words.get(1) {
            Some(&"blob") => Kind::Blob,
            Some(&"tree") => Kind::Tree,
            Some(&"commit") => Kind::Commit,
            _ => return Err(format!("object {id} is not here")),
        };
        let size = words.get(2).and_then(|size| size.parse().ok());
        Ok(((kind, size.unwrap_or(u64::MAX)), bytes))
    }

    pub(super) fn write(&self, kind: Kind, bytes: &[u8]) -> Result<String, String> {
        let id = self.git(&["hash-object", "-t", kind.word(), "-w", "--stdin"], bytes)?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    /// The ref `name`, and all below it.
    pub(super) fn refs(&self, name: &str) -> Result<Vec<Ref>, String> {
        let format = "--format=%(refname) %(objectname) %(symref)";
        let said = self.text(&["for-each-ref", format, name])?;
        let parse = |line: &str| {
            let mut words = line.split(' ');
            let word = |word: Option<&str>| word.filter(|word| !word.is_empty()).map(str::to_owned);
            Some(Ref {
                name: word(words.next())?,
                id: word(words.next()),
                symbolic: word(words.next()),
            })
        };
        Ok(said.lines().filter_map(parse).collect())
    }

    /// Makes `reference` at `new`, where there is none, or deletes it, where it is `old`.
    pub(super) fn update(
        &self,
        reference: &str,
        new: Option<&str>,
        old: Option<&str>,
    ) -> Result<(), String> {
        let why = ["-m", "branch: staged by depickle"];
        let nothing = new.map(|new| "0".repeat(new.len())).unwrap_or_default();
        let args = match (new, old) {
            (Some(new), _) => vec![why[0], why[1], "--no-deref", reference, new, &nothing],
            (None, Some(old)) => vec!["--no-deref", "-d", reference, old],
            (None, None) => return Ok(()),
        };
        self.git(&[&["update-ref"], &args[..]].concat(), b"")
            .map(|_| ())
    }

    /// Drops `[branch "name"]` of the repository's configuration.
    pub(super) fn forget_config(&self, name: &str) {
        let section = format!("branch.{name}");
        // Mostly there is none; of a branch that is gone it does no harm.
        let _ = self.git(&["config", "--local", "--remove-section", &section], b"");
    }

    /// The work tree that has the branch `reference` checked out.
    pub(super) fn user_of(&self, reference: &str) -> Result<Option<PathBuf>, String> {
        let said = self.text(&[
            "for-each-ref",
            "--format=%(refname) %(worktreepath)",
            reference,
        ])?;
        let path = said
            .lines()
            .find_map(|line| line.strip_prefix(reference)?.strip_prefix(' '));
        Ok(path.filter(|path| !path.is_empty()).map(PathBuf::from))
    }

    pub(super) fn index(&self) -> Result<Vec<(u32, Vec<u8>)>, String> {
        let said = self.git(&["ls-files", "--stage", "-z"], b"")?;
        let entry = |line: &[u8]| {
            let tab = line.iter().position(|b| *b == b'\t')?;
            let mode = std::str::from_utf8(line.get(..6)?).ok()?;
            let mode = u32::from_str_radix(mode, 8).ok()?;
            Some((mode, line[tab + 1..].to_vec()))
        };
        Ok(said.split(|b| *b == 0).filter_map(entry).collect())
    }

    pub(super) fn config(&self, key: &str) -> Option<String> {
        let said = self.text(&["config", "--get", key]).ok()?;
        Some(said.trim_end_matches('\n').to_owned())
    }
}

fn started(error: std::io::Error) -> String {
    format!("the git program cannot be started: {error}")
}

/// What `git` prints when it is given `input`, else what it complains of.
fn run(git: &mut Command, input: &[u8]) -> Result<Vec<u8>, String> {
    git.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = git.stderr(Stdio::piped()).spawn().map_err(started)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that did not read to the end says why.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(started)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("git failed").trim();
            Err(said.strip_prefix("fatal: ").unwrap_or(said).to_owned())
        }
    }
}
