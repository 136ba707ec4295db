//! `stage --with-tests`: tests beside the change, each of which was seen to fail before it and to pass after it.
//!
//! Invariant: the repository's code is run only where that is asked for; a test that was not seen to do both is not kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::hinted;
use super::target::Opened;
use super::verify::{pair, python};
use crate::check::{ChangedFile, Changeset, Checked, with_file};
use crate::fetch::Url;
use crate::pack::Model;
use crate::plan::Decision;
use crate::project::Project;
use crate::prove::{
    CONFIGS, Delivery, Endpoint, Order, Regression, Runner, Tests, Verdict, deliveries, prove,
    tested,
};
use crate::repo::Repo;

/// Options of `stage`.
#[derive(Debug, Clone, Default, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub struct WithTests {
    /// Commit tests, too; with --execute
    ///
    /// They fail before the change and pass after it, as each was seen to do.
    #[arg(long)]
    with_tests: bool,
    /// Run the code of the repositories for that, in copies, cut off the network where the system permits
    #[arg(long, requires = "with_tests")]
    execute: bool,
    /// The Python that has what the tests need; .venv or venv of the repository by default, or python3
    #[arg(long, value_name = "PATH", requires = "execute")]
    python: Option<PathBuf>,
    /// What they find in their environment, which is empty otherwise; it is not recorded
    #[arg(long = "env", value_name = "NAME=VALUE", requires = "execute", value_parser = pair)]
    #[serde(skip)]
    environment: Vec<(String, String)>,
    /// Seconds that one start of an application or of its tests has
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "120",
        requires = "execute"
    )]
    test_timeout: u64,
}

/// What is to be tested, and how requests come to it or why none does.
pub(super) struct Wanted(Vec<Load>);

/// A rewritten load.
struct Load {
    /// `app.py:11`.
    at: String,
    /// Id of the transform.
    by: String,
    requests: Vec<Result<Delivery, String>>,
}

/// Where both sides are.
struct Sides {
    before: PathBuf,
    after: PathBuf,
    python: PathBuf,
    scratch: tempfile::TempDir,
    seconds: u64,
    environment: Vec<(String, String)>,
    /// Why what ran was not cut off the network, if so.
    open_network: RefCell<Option<String>>,
}

impl WithTests {
    /// As if no option were given.
    pub(super) fn none() -> WithTests {
        WithTests {
            test_timeout: 120,
            ..WithTests::default()
        }
    }

    /// # Errors
    /// When nobody said that code may be run, or a plan leaves no room for tests.
    pub(super) fn check(&self, planned: bool) -> anyhow::Result<()> {
        if self.with_tests && planned {
            anyhow::bail!(
                "--with-tests: a plan pins every file that is staged, and tests are written only now; stage without --plan, or put the tests on the branch yourself"
            );
        }
        if self.with_tests && !self.execute {
            anyhow::bail!(
                "--with-tests: tests are kept only if they were seen to fail before and to pass after, and that runs the repository's code; say so with --execute, and which Python has its packages with --python"
            );
        }
        Ok(())
    }

    /// The rewritten loads of `checked`, if there are to be tests.
    pub(super) fn wanted(
        &self,
        project: &Project,
        model: &Model,
        checked: &Checked,
    ) -> Option<Wanted> {
        let rows = checked
            .findings
            .iter()
            .zip(checked.decisions.iter().zip(&checked.by));
        let rows = rows.filter(|(_, (decision, _))| matches!(decision, Decision::Rewrite(_)));
        let wanted = rows.map(|(finding, (_, by))| {
            let source = project.source(finding.place.file);
            let line = source.position(finding.place.span.start).line;
            let made = deliveries(project, model, finding).into_iter();
            Load {
                at: format!("{}:{line}", source.path()),
                by: by.clone(),
                requests: made.map(|one| one.map_err(|why| why.message())).collect(),
            }
        });
        self.with_tests.then(|| Wanted(wanted.collect()))
    }

    /// `changeset` with tests of what is `wanted`; `notes` say which there are, and why there are no others.
    ///
    /// # Errors
    /// When no copies can be made.
    pub(super) fn add(
        &self,
        (repo, opened, model): (&Repo, &Opened, &Model),
        wanted: &Wanted,
        mut changeset: Changeset,
        notes: &mut Vec<String>,
    ) -> Result<Changeset, String> {
        let sides = self.sides(repo, &opened.prefix, &changeset)?;
        let (configs, project) = (configs(&sides.before), &opened.project);
        let is_free = |path: &str| !sides.before.join(path).exists();
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let mut none = |at: &str, why: &str| notes.push(format!("no test for {at}: {why}"));
        for Load { at, by, requests } in &wanted.0 {
            for one in requests {
                let endpoint = match one {
                    Ok(delivery) => sides.proven(model, by, delivery),
                    Err(obstacle) => Err(obstacle.clone()),
                };
                match endpoint {
                    Err(why) => none(at, &why),
                    Ok(endpoint) if endpoints.contains(&endpoint) => {}
                    Ok(endpoint) => {
                        let tests = Tests::of(project, model, &configs, &endpoint.delivery);
                        let alone = tests.and_then(|tests| {
                            tests.module(std::slice::from_ref(&endpoint), &is_free)
                        });
                        match alone
                            .map_err(|why| why.message())
                            .and_then(|one| sides.holds(&one))
                        {
                            Err(why) => none(at, &why),
                            Ok(()) => endpoints.push(endpoint),
                        }
                    }
                }
            }
        }
        let mut frameworks: Vec<String> = endpoints
            .iter()
            .map(|one| one.delivery.framework.clone())
            .collect();
        frameworks.sort();
        frameworks.dedup();
        for framework in frameworks {
            let own = endpoints
                .iter()
                .filter(|one| one.delivery.framework == framework);
            let own: Vec<Endpoint> = own.cloned().collect();
            let Some(first) = own.first() else { continue };
            let free = |path: &str| {
                let taken = changeset.files().iter().any(|file| file.path == path);
                !taken && is_free(path)
            };
            let tests = Tests::of(project, model, &configs, &first.delivery);
            let tests = tests.map_err(|why| why.message())?;
            let whole = tests.module(&own, &free).map_err(|why| why.message())?;
            let (whole, count) = match (sides.holds(&whole), own.as_slice()) {
                (Ok(()), all) => (whole, all.len()),
                (Err(why), [] | [_]) => return Err(format!("{}: {why}", whole.path)),
                // Each held alone; some applications are started once and never again.
                (Err(why), [first, others @ ..]) => {
                    for other in others {
                        let (method, path) = (&other.delivery.method, &other.delivery.path);
                        notes.push(format!(
                            "no test for {method} {path}: beside another, {why}"
                        ));
                    }
                    let first = tests.module(std::slice::from_ref(first), &free);
                    (first.map_err(|why| why.message())?, 1)
                }
            };
            changeset = with_file(changeset, &whole.path, &whole.text)
                .ok_or_else(|| format!("{}: the test cannot be added", whole.path))?;
            let they = match count {
                1 => "1 test in",
                _ => &format!("{count} tests in"),
            };
            notes.push(format!(
                "{they} {}: seen to fail before the change and to pass after it",
                whole.path
            ));
        }
        if let Some(why) = sides.open_network.take() {
            notes.push(format!("what ran was not cut off the network ({why})"));
        }
        Ok(changeset)
    }

    /// The project as it is and as `changeset` leaves it.
    fn sides(&self, repo: &Repo, prefix: &str, changeset: &Changeset) -> Result<Sides, String> {
        let failed = |error: std::io::Error| format!("no copy can be made: {error}");
        let scratch = tempfile::tempdir().map_err(failed)?;
        let base = changeset.base().ok_or("there is no commit to test")?;
        let copy = |name: &str| {
            let to = scratch.path().join(name);
            repo.export(base, &to)
                .map(|_| to.join(prefix))
                .map_err(|error| hinted(&error.to_string(), error.hint()))
        };
        let (before, after) = (copy("before")?, copy("after")?);
        for file in changeset.files() {
            std::fs::write(after.join(&file.path), &file.after).map_err(failed)?;
        }
        Ok(Sides {
            before,
            after,
            python: python(self.python.as_deref(), repo.root()),
            scratch,
            seconds: self.test_timeout,
            environment: self.environment.clone(),
            open_network: RefCell::new(None),
        })
    }

    /// What will be run for `root`.
    pub(super) fn announce(&self, name: &str, root: &Path) {
        let python = python(self.python.as_deref(), root);
        let line = format!(
            "runs the application of {name} and tests of it, before and after the change, with {}",
            python.display()
        );
        errln!("{}", crate::text::printable(&line));
    }
}

impl Sides {
    fn order(&self) -> Order<'_> {
        Order {
            python: &self.python,
            scratch: self.scratch.path(),
            before: &self.before,
            after: &self.after,
            environment: &self.environment,
            seconds: self.seconds,
        }
    }

    /// The request of `delivery` as it was seen to run its pickle before and to be refused after.
    fn proven(&self, model: &Model, by: &str, delivery: &Delivery) -> Result<Endpoint, String> {
        let transform = model.transforms.iter().find(|t| t.id == by);
        let sent = transform
            .and_then(|t| t.proof.as_ref())
            .filter(|sent| sent.attack == "pickle");
        let Some(sent) = sent else {
            return Err(format!("there is no test template for what {by} changes"));
        };
        let proof = prove(model, delivery, sent, &self.order());
        if let Some(why) = proof.open_network {
            self.open_network.replace(Some(why));
        }
        if proof.verdict != Verdict::Proven {
            return Err(proof.message);
        }
        let mut answers: Vec<u64> = proof
            .answers_after
            .values()
            .filter_map(|answer| answer.as_u64())
            .collect();
        answers.dedup();
        let [status @ 400..=499] = answers.as_slice() else {
            return Err(format!("it is answered with {answers:?}"));
        };
        let mut delivery = delivery.clone();
        // Where it was found to be.
        if let Some((method, path)) = proof
            .request
            .as_deref()
            .and_then(|said| said.split_once(' '))
        {
            delivery.method = method.to_owned();
            delivery.path = path.to_owned();
        }
        Ok(Endpoint {
            delivery,
            status: *status,
        })
    }

    /// Whether `test` fails before and passes after; else what it does.
    fn holds(&self, test: &Regression) -> Result<(), String> {
        let on = |root: &Path| -> Result<(i64, String), String> {
            let path = root.join(&test.path);
            let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            let failed = |error: std::io::Error| format!("{}: {error}", test.path);
            folder
                .and_then(|()| std::fs::write(&path, &test.text))
                .map_err(failed)?;
            let ran = tested(&test.command(), root, &self.order());
            std::fs::remove_file(&path).map_err(failed)?;
            let ran = ran?;
            let last = ran
                .said
                .trim()
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned();
            Ok((ran.code, last))
        };
        let (code, said) = on(&self.after)?;
        if code != 0 {
            return Err(format!("its test does not pass after the change: {said}"));
        }
        // What does not even come to its tests has another code, where there are others.
        match on(&self.before)? {
            (1, _) => Ok(()),
            (_, said) => Err(format!("its test does not fail before the change: {said}")),
        }
    }
}

/// The command line as it is recorded: without passwords in addresses, and values of the environment.
pub(super) fn command() -> Vec<String> {
    let named = |word: &str| {
        word.split_once('=')
            .map_or(word, |(name, _)| name)
            .to_owned()
    };
    let mut words = Vec::new();
    for word in std::env::args() {
        let given = words.last().is_some_and(|last| last == "--env");
        words.push(match word.strip_prefix("--env=") {
            Some(pair) => format!("--env={}", named(pair)),
            None if given => named(&word),
            None => Url::masked(&word),
        });
    }
    words
}

/// The files that say how tests are run.
fn configs(root: &Path) -> BTreeMap<String, String> {
    let read = |name: &&str| {
        Some((
            (*name).to_owned(),
            std::fs::read_to_string(root.join(name)).ok()?,
        ))
    };
    CONFIGS.iter().filter_map(read).collect()
}

/// The files of `changeset` that are new, relative to the repository.
pub(super) fn added(prefix: &str, changeset: &Changeset) -> Vec<ChangedFile> {
    let new = changeset.files().iter().filter(|file| file.new);
    let named = new.map(|file| ChangedFile {
        path: format!("{prefix}{}", file.path),
        ..file.clone()
    });
    named.collect()
}

impl Regression {
    /// What Python is called with to run it, from the root of the project.
    fn command(&self) -> Vec<String> {
        let words: Vec<&str> = match self.runner {
            Runner::Pytest => vec!["-m", "pytest", "-q", "-p", "no:cacheprovider", &self.path],
            Runner::Unittest => vec!["-m", "unittest", &self.path],
            Runner::Manage => {
                let dotted = self.path.trim_end_matches(".py").replace('/', ".");
                return ["manage.py", "test", &dotted].map(str::to_owned).to_vec();
            }
        };
        words.into_iter().map(str::to_owned).collect()
    }
}
