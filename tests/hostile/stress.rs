//! Many processes on the same repositories at random: whatever they do to each other, the record and the repositories agree at
//! the end, and nobody's commit is lost. The program takes its time between a look and an act (`DEPICKLE_FAULT=slow`), and
//! is killed now and then.
//!
//! Seen to fail, in two of three turns or in each: when `Journal::hold` keeps nobody off, when entries are appended without the
//! file's lock, when a run gets an id that another had in the same second. What needs one moment is held to it by
//! `racing.rs`, each seen to fail in every turn: a branch made over another that came meanwhile, or deleted without a look at
//! where it points, or with one before git's lock only; a lock of somebody else's taken away after a kill, and one of who was
//! killed not taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::{GUIDE, Home, code, git, stderr, stdout};

/// Branches that runs compete for.
const BRANCHES: [&str; 2] = ["depickle/pickle-to-json", "fix/one"];

const NAMES: [&str; 2] = ["shop", "cart"];

/// How long the program may take between a look and an act, in milliseconds.
const SLOW: (&str, &str) = ("DEPICKLE_FAULT", "slow:40");

/// Numbers at random that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// Git as a user runs it.
fn users_git(root: &Path, args: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(root)
        .args(["-c", "user.name=U", "-c", "user.email=u@example.org"])
        .args(["-c", "gc.auto=0"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    git
}

/// What it gives, where nobody is in the way.
fn tried(root: &Path, args: &[&str]) -> Option<String> {
    let output = users_git(root, args).output().unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// What the user has on a branch of a name that runs want.
#[derive(Clone, PartialEq)]
struct Added {
    repo: &'static str,
    reference: String,
    commit: String,
    /// What was there before: nothing, or what a run made.
    before: Option<String>,
}

struct Stress {
    home: Home,
    added: Mutex<Vec<Added>>,
    /// How many commits the user made on `main` of each repository.
    made: Mutex<BTreeMap<&'static str, usize>>,
    /// Ids of runs that began.
    begun: Mutex<BTreeSet<String>>,
}

impl Stress {
    fn new(format: &str) -> Stress {
        let home = Home::new();
        for name in NAMES {
            home.init(format, name);
            home.repo(name, &[("app.py", GUIDE), ("notes.txt", "0\n")]);
        }
        Stress {
            home,
            added: Mutex::default(),
            made: Mutex::default(),
            begun: Mutex::default(),
        }
    }

    fn run(&self, args: &[&str], expected: &[i32]) -> Output {
        let output = self.home.run_with(args, &[SLOW]);
        let said = stdout(&output) + &stderr(&output);
        assert!(expected.contains(&code(&output)), "{args:?}: {said}");
        assert!(!said.contains("please report"), "{args:?}: {said}");
        output
    }

    /// The same, which may be killed.
    fn run_or_kill(&self, args: &[&str], dice: &mut Dice) -> Option<Output> {
        if dice.below(3) > 0 {
            return Some(self.run(args, &[0, 2, 3]));
        }
        let mut program = self.home.program(args);
        let program = program.env(SLOW.0, SLOW.1).stdout(Stdio::null());
        let mut child = program.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(400) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        None
    }

    fn runs(&self) -> Vec<Value> {
        let output = self.run(&["runs", "--format", "json"], &[0]);
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        all["runs"].as_array().unwrap().clone()
    }

    /// The id of some run.
    fn some(&self, dice: &mut Dice) -> Option<String> {
        let runs = self.runs();
        let run = (!runs.is_empty()).then(|| &runs[dice.below(runs.len())])?;
        Some(run["run"].as_str().unwrap().to_owned())
    }

    /// One thing that a process may do.
    fn act(&self, who: usize, dice: &mut Dice) {
        let branch = BRANCHES[dice.below(BRANCHES.len())];
        match who {
            0 | 1 => {
                let json = ["--format", "json"];
                let stage = [&["stage", "shop", "cart", "--branch", branch], &json[..]].concat();
                if let Some(output) = self.run_or_kill(&stage, dice)
                    && let Ok(run) = serde_json::from_slice::<Value>(&output.stdout)
                {
                    let id = run["run"].as_str().unwrap().to_owned();
                    let new = self.begun.lock().unwrap().insert(id);
                    assert!(new, "two runs have one id: {}", run["run"]);
                }
            }
            2 => match self.some(dice).filter(|_| dice.below(3) > 0) {
                None => drop(self.run(&["rollback"], &[0, 2, 3])),
                Some(run) => drop(self.run_or_kill(&["rollback", &run], dice)),
            },
            3 => {
                if let Some(run) = self.some(dice) {
                    let how = ["--resume", "--retry-failed"][dice.below(2)];
                    self.run(&["stage", how, &run], &[0, 2, 3]);
                }
            }
            4 => drop(self.run(&["scan", "shop", "--base", "main"], &[1, 3])),
            _ => self.users_act(NAMES[dice.below(2)], branch, dice),
        }
    }

    /// One thing that the user does meanwhile.
    fn users_act(&self, repo: &'static str, branch: &str, dice: &mut Dice) {
        let root = self.home.path(repo);
        let reference = format!("refs/heads/{branch}");
        match dice.below(6) {
            0 => {
                self.home
                    .write(&format!("{repo}/notes.txt"), format!("{}\n", dice.0));
                if tried(&root, &["commit", "-q", "-a", "-m", "notes"]).is_some() {
                    *self.made.lock().unwrap().entry(repo).or_default() += 1;
                }
            }
            1..4 => self.adds(repo, reference, dice),
            // Of what was added, the newest goes again.
            4 => {
                let mut added = self.added.lock().unwrap();
                let Some(last) = added.pop() else { return };
                let root = self.home.path(last.repo);
                let gone = match &last.before {
                    Some(before) => tried(
                        &root,
                        &["update-ref", &last.reference, before, &last.commit],
                    ),
                    None => tried(&root, &["update-ref", "-d", &last.reference, &last.commit]),
                };
                if gone.is_none() {
                    added.push(last);
                }
            }
            _ => drop(tried(&root, &["pack-refs", "--all"])),
        }
    }

    /// A commit of the user's on top of what a run made, or on a branch of their own where there is none; slowly, under
    /// git's lock.
    fn adds(&self, repo: &'static str, reference: String, dice: &mut Dice) {
        let root = self.home.path(repo);
        let tip = tried(&root, &["rev-parse", "--verify", "-q", &reference]);
        let parent = tip.clone().unwrap_or_else(|| "main".to_owned());
        let message = format!("mine {}", dice.0);
        let tree = format!("{parent}^{{tree}}");
        let commit = ["commit-tree", &tree, "-p", &parent, "-m", &message];
        let Some(commit) = tried(&root, &commit) else {
            return;
        };
        let none = "0".repeat(commit.len());
        let mut git = users_git(&root, &["update-ref", "--stdin"]);
        let git = git.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut git = git.stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = git.stdin.take().unwrap();
        let mut said = BufReader::new(git.stdout.take().unwrap()).lines();
        let before = tip.as_deref().unwrap_or(&none);
        let update = format!("start\nupdate {reference} {commit} {before}\nprepare\n");
        let mut step = |text: &str| {
            // Where somebody else was faster git is gone.
            let _ = stdin.write_all(text.as_bytes());
        };
        step(&update);
        let prepared = said.by_ref().any(|line| line.unwrap() == "prepare: ok");
        if prepared {
            std::thread::sleep(Duration::from_millis(dice.below(60) as u64));
            step("commit\n");
        }
        drop(stdin);
        let output = git.wait_with_output().unwrap();
        if prepared {
            // The lock is the user's.
            assert!(output.status.success(), "{reference}: {}", stderr(&output));
            self.added.lock().unwrap().push(Added {
                repo,
                reference,
                commit,
                before: tip,
            });
        }
    }

    /// All of them at once, each so many times or so long.
    fn go(&self, seed: u64, rounds: usize, long: Duration) {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for who in 0..6_usize {
                scope.spawn(move || {
                    let mut dice = Dice(seed * 1_000_003 + 7 * who as u64 + 1);
                    // The user's acts are short.
                    let rounds = rounds * if who == 5 { 4 } else { 1 };
                    let mut round = 0;
                    while round < rounds || begun.elapsed() < long {
                        self.act(who, &mut dice);
                        round += 1;
                    }
                });
            }
        });
    }

    /// Branches of a repository but `main`, and where they point.
    fn branches(&self, repo: &str) -> BTreeMap<String, String> {
        let listed = git(
            &self.home.path(repo),
            &["for-each-ref", "--format=%(refname) %(objectname)"],
        );
        let rows = listed.lines().filter_map(|line| line.split_once(' '));
        let others = rows.filter(|(name, _)| *name != "refs/heads/main");
        others
            .map(|(name, tip)| (name.to_owned(), tip.to_owned()))
            .collect()
    }

    /// Whether `commit` is on what `tip` names.
    fn holds(&self, repo: &str, tip: &str, commit: &str) -> bool {
        let ask = ["merge-base", "--is-ancestor", commit, tip];
        tried(&self.home.path(repo), &ask).is_some()
    }

    /// Nobody is at work any more: what is recorded is what is there.
    fn settled(&self) {
        for name in NAMES {
            // Whose these are nobody can tell, and the user is told to take them away; but git may be at work for who was killed.
            let own = ["config.lock", "packed-refs.lock"];
            let own = own.map(|lock| self.home.path(name).join(".git").join(lock));
            let begun = Instant::now();
            while own.iter().any(|lock| lock.exists()) && begun.elapsed() < Duration::from_secs(30)
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            own.iter().for_each(|lock| drop(std::fs::remove_file(lock)));
        }
        // Whatever was left in the middle is brought to an end: by going on, or by taking it back.
        let runs = self.runs();
        for run in runs.iter().filter(|run| run["finished"].is_null()) {
            let id = run["run"].as_str().unwrap();
            self.run(&["stage", "--resume", id], &[0, 2, 3]);
        }
        let runs = self.runs();
        let added = self.added.lock().unwrap();
        for repo in NAMES {
            self.agrees(repo, &runs, &added);
        }
        for run in &runs {
            self.run(&["rollback", run["run"].as_str().unwrap()], &[0, 3]);
        }
        for repo in NAMES {
            // What is left is what the user went on with.
            for (name, tip) in self.branches(repo) {
                let own = added
                    .iter()
                    .any(|one| one.repo == repo && one.commit == tip);
                assert!(own, "{repo}: {name} is left at {tip}");
            }
            let locks = locks(&self.home.path(repo));
            assert!(locks.is_empty(), "{locks:?} are left");
        }
        self.is_whole();
    }

    fn agrees(&self, repo: &'static str, runs: &[Value], added: &[Added]) {
        let root = self.home.path(repo);
        git(&root, &["fsck", "--strict"]);
        let kept: usize = git(&root, &["rev-list", "--count", "main"])
            .trim()
            .parse()
            .unwrap();
        let made = self.made.lock().unwrap().get(repo).copied();
        assert_eq!(kept, made.unwrap_or_default() + 1, "commits of main");
        let git_dir = root.canonicalize().unwrap().join(".git");
        let refs = || {
            let refs = runs.iter().flat_map(|run| run["refs"].as_array().unwrap());
            refs.filter(|made| Path::new(made["repo"].as_str().unwrap()) == git_dir)
        };
        let branches = self.branches(repo);
        for made in refs().filter(|made| made["state"] == "staged") {
            let name = made["ref"].as_str().unwrap();
            let tip = branches.get(name);
            let tip = tip.unwrap_or_else(|| panic!("{name} is gone: {made:#}"));
            let commit = made["commit"].as_str().unwrap();
            assert!(
                self.holds(repo, tip, commit),
                "{name} is elsewhere: {made:#}"
            );
        }
        for (name, tip) in &branches {
            let by = |made: &&Value| {
                made["ref"] == name.as_str()
                    && made["state"] != "rolled back"
                    && self.holds(repo, tip, made["commit"].as_str().unwrap())
            };
            let own = added
                .iter()
                .any(|one| one.repo == repo && self.holds(repo, tip, &one.commit));
            assert!(
                own || refs().any(|made| by(&made)),
                "{repo}: nobody made {name} at {tip}: {runs:#?}"
            );
        }
        for one in added.iter().filter(|one| one.repo == repo) {
            let tip = branches.get(&one.reference);
            let held = tip.is_some_and(|tip| self.holds(repo, tip, &one.commit));
            assert!(
                held,
                "{repo}: the user's {} on {} is lost",
                one.commit, one.reference
            );
        }
    }

    /// Every line of every record but one that a kill tore is an entry.
    fn is_whole(&self) {
        for file in std::fs::read_dir(self.home.path("state/runs"))
            .unwrap()
            .flatten()
        {
            let path = file.path();
            if path.extension().is_some_and(|end| end == "jsonl") {
                let text = std::fs::read_to_string(&path).unwrap();
                for line in text
                    .split_inclusive('\n')
                    .filter(|line| line.ends_with('\n'))
                {
                    serde_json::from_str::<Value>(line)
                        .unwrap_or_else(|error| panic!("{path:?}: {error}: {line}"));
                }
            }
        }
    }
}

/// Git's locks in the repository at `root`.
fn locks(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.join(".git")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "lock") {
                found.push(path.clone());
            }
            open.extend(path.is_dir().then_some(path));
        }
    }
    found
}

#[test]
fn whatever_processes_do_to_each_other_the_record_and_the_repository_agree() {
    for (seed, format) in [(1, "sha1"), (2, "sha256")] {
        let stress = Stress::new(format);
        stress.go(seed, 5, Duration::ZERO);
        stress.settled();
    }
}

/// `cargo test --test hostile -- --ignored for_minutes`; `STRESS_SECONDS` says how long, ten minutes when it does not.
#[test]
#[ignore = "takes ten minutes"]
fn whatever_processes_do_for_minutes_the_record_and_the_repository_agree() {
    let asked = std::env::var("STRESS_SECONDS").ok();
    let seconds = asked.map_or(600, |text| text.parse().unwrap());
    let begun = Instant::now();
    let mut seed = 10;
    while begun.elapsed() < Duration::from_secs(seconds) {
        for format in ["sha1", "sha256"] {
            seed += 1;
            eprintln!("seed {seed}, {format}");
            let stress = Stress::new(format);
            stress.go(seed, 1, Duration::from_secs(20));
            stress.settled();
        }
    }
}
