//! Many processes on one repository at random: whatever they do to each other, the record and the repository agree at the end,
//! and nobody's commit is lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::{GUIDE, Home, code, git, stderr, stdout};

/// Branches that runs compete for.
const BRANCHES: [&str; 3] = ["depickle/pickle-to-json", "fix/one", "fix/two"];

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

/// Git as a user runs it, who is told when somebody is in the way.
fn tried(root: &Path, args: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    let git = git
        .arg("-C")
        .arg(root)
        .args(["-c", "user.name=U", "-c", "user.email=u@example.org"]);
    let git = git
        .args(["-c", "gc.auto=0"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = git.output().unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

struct Stress {
    home: Home,
    /// The user's commits on branches of runs.
    added: Mutex<Vec<String>>,
    /// How many commits the user made on `main`.
    made: Mutex<usize>,
}

impl Stress {
    fn new(format: &str) -> Stress {
        let home = Home::new();
        home.init(format, "shop");
        home.repo("shop", &[("app.py", GUIDE), ("notes.txt", "0\n")]);
        Stress {
            home,
            added: Mutex::default(),
            made: Mutex::default(),
        }
    }

    fn root(&self) -> std::path::PathBuf {
        self.home.path("shop")
    }

    fn run(&self, args: &[&str], expected: &[i32]) -> Output {
        let output = self.home.run(args);
        let said = stdout(&output) + &stderr(&output);
        assert!(expected.contains(&code(&output)), "{args:?}: {said}");
        assert!(!said.contains("please report"), "{args:?}: {said}");
        output
    }

    fn runs(&self) -> Vec<Value> {
        let output = self.run(&["runs", "--format", "json"], &[0]);
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        all["runs"].as_array().unwrap().clone()
    }

    /// One thing that a process may do.
    fn act(&self, who: usize, dice: &mut Dice) {
        let root = self.root();
        let branch = BRANCHES[dice.below(BRANCHES.len())];
        match who {
            0 | 1 => drop(self.run(&["stage", "shop", "--branch", branch], &[0, 2, 3])),
            2 => {
                let runs = self.runs();
                if runs.is_empty() || dice.below(3) == 0 {
                    self.run(&["rollback"], &[0, 2, 3]);
                } else {
                    let run = runs[dice.below(runs.len())]["run"].as_str().unwrap();
                    self.run(&["rollback", run], &[0, 2, 3]);
                }
            }
            3 => {
                let runs = self.runs();
                if !runs.is_empty() {
                    let run = runs[dice.below(runs.len())]["run"].as_str().unwrap();
                    let how = ["--resume", "--retry-failed"][dice.below(2)];
                    self.run(&["stage", how, run], &[0, 2, 3]);
                }
            }
            4 => drop(self.run(&["scan", "shop", "--base", "main"], &[1, 3])),
            _ => match dice.below(4) {
                0 | 1 => {
                    let made = *self.made.lock().unwrap();
                    self.home
                        .write("shop/notes.txt", format!("{made} {}\n", dice.0));
                    if tried(&root, &["commit", "-q", "-a", "-m", "notes"]).is_some() {
                        *self.made.lock().unwrap() += 1;
                    }
                }
                // On top of what a run made, if it is there still.
                2 => {
                    let name = format!("refs/heads/{branch}");
                    let Some(tip) = tried(&root, &["rev-parse", "--verify", "-q", &name]) else {
                        return;
                    };
                    let tree = format!("{tip}^{{tree}}");
                    let on = ["commit-tree", &tree, "-p", &tip, "-m", "mine"];
                    if let Some(commit) = tried(&root, &on)
                        && tried(&root, &["update-ref", &name, &commit, &tip]).is_some()
                    {
                        self.added.lock().unwrap().push(commit);
                    }
                }
                _ => drop(tried(&root, &["pack-refs", "--all"])),
            },
        }
    }

    /// All of them at once, each so many times or so long.
    fn go(&self, seed: u64, rounds: usize, long: Duration) {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for who in 0..6_usize {
                scope.spawn(move || {
                    let mut dice = Dice(seed * 1_000_003 + 7 * who as u64 + 1);
                    let mut round = 0;
                    while round < rounds || begun.elapsed() < long {
                        self.act(who, &mut dice);
                        round += 1;
                    }
                });
            }
        });
    }

    fn branches(&self) -> BTreeMap<String, String> {
        let listed = git(
            &self.root(),
            &["for-each-ref", "--format=%(refname) %(objectname)"],
        );
        let rows = listed.lines().filter_map(|line| line.split_once(' '));
        let others = rows.filter(|(name, _)| *name != "refs/heads/main");
        others
            .map(|(name, tip)| (name.to_owned(), tip.to_owned()))
            .collect()
    }

    /// Whether `commit` is on what `tip` names.
    fn holds(&self, tip: &str, commit: &str) -> bool {
        tried(&self.root(), &["merge-base", "--is-ancestor", commit, tip]).is_some()
    }

    /// Nobody is at work any more: what is recorded is what is there.
    fn settled(&self) {
        let root = self.root();
        git(&root, &["fsck", "--strict"]);
        let kept: usize = git(&root, &["rev-list", "--count", "main"])
            .trim()
            .parse()
            .unwrap();
        assert_eq!(kept, *self.made.lock().unwrap() + 1, "commits of main");
        let runs = self.runs();
        let refs = || runs.iter().flat_map(|run| run["refs"].as_array().unwrap());
        let branches = self.branches();
        for made in refs() {
            let (name, commit) = (
                made["ref"].as_str().unwrap(),
                made["commit"].as_str().unwrap(),
            );
            let tip = branches.get(name);
            if made["state"] == "staged" {
                let tip = tip.unwrap_or_else(|| panic!("{name} is gone: {made:#}"));
                assert!(self.holds(tip, commit), "{name} is elsewhere: {made:#}");
            }
        }
        for (name, tip) in &branches {
            let by = |made: &&Value| {
                made["ref"] == name.as_str()
                    && made["state"] != "rolled back"
                    && self.holds(tip, made["commit"].as_str().unwrap())
            };
            assert!(
                refs().any(|made| by(&made)),
                "nobody made {name} at {tip}: {runs:#?}"
            );
        }
        for commit in self.added.lock().unwrap().iter() {
            let held = branches.values().any(|tip| self.holds(tip, commit));
            assert!(held, "the user's {commit} is lost");
        }
        for run in &runs {
            self.run(&["rollback", run["run"].as_str().unwrap()], &[0, 3]);
        }
        // What is left is what the user went on with.
        let added = self.added.lock().unwrap();
        for (name, tip) in self.branches() {
            assert!(added.contains(&tip), "{name} is left at {tip}");
        }
        let mut open = vec![root.join(".git")];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                assert!(
                    path.extension().is_none_or(|end| end != "lock"),
                    "{path:?} is left"
                );
                open.extend(path.is_dir().then_some(path));
            }
        }
        for file in std::fs::read_dir(self.home.path("state/runs"))
            .unwrap()
            .flatten()
        {
            let path = file.path();
            if path.extension().is_some_and(|end| end == "jsonl") {
                for line in std::fs::read_to_string(&path).unwrap().lines() {
                    serde_json::from_str::<Value>(line)
                        .unwrap_or_else(|error| panic!("{path:?}: {error}: {line}"));
                }
            }
        }
    }
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
