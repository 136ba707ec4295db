//! How a change is committed: by whom, on which branch, in one commit or in several.

use std::collections::BTreeSet;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::branch::{About, Taken, Template, called, named};
use super::hinted;
use super::target::Opened;
use crate::check::{Changeset, Finished, Part, parts};
use crate::fetch::Url;
use crate::journal::{Entry, Journal, Target};
use crate::pack::Model;
use crate::plan::Order;
use crate::repo::{Owners, Person, Repo, RepoError};
use crate::report::{ProjectRow, request};
use crate::stage::{Order as StageOrder, Step, stage};

/// So many names stand in a subject.
const NAMED: usize = 2;

/// What a plan keeps of how it is committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Shape {
    /// Name of the new branch; depickle/{transform} by default
    ///
    /// With {repository}, {owner}, {path}, {transform}, {run} or {date} in it if need be; for a part of a repository -{path}
    /// comes after the default.
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// One commit for each of these
    ///
    /// As far as they stand without each other.
    #[arg(long, value_name = "BY")]
    pub split: Option<Split>,
    /// Say in each commit, by a Signed-off-by of the committer, that the change may be given
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub signoff: bool,
}

/// `--split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Split {
    /// Everything in one commit
    Repository,
    /// What loads become
    Transform,
    /// Files with loads
    File,
    /// Owners of these files, by CODEOWNERS
    Owner,
}

#[derive(Debug, Clone, Default, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct How {
    #[command(flatten)]
    pub shape: Shape,
    /// Author of the commits; the repository's own identity by default
    #[arg(long, value_name = "NAME <MAIL>")]
    pub author: Option<String>,
    /// Committer; the author by default
    #[arg(long, value_name = "NAME <MAIL>")]
    pub committer: Option<String>,
    /// Sign no commit, whatever commit.gpgsign says
    #[arg(long)]
    pub no_gpg_sign: bool,
    /// Stage only then, by the clock of this machine: "Sat 02:00-06:00 UTC"
    #[arg(long, value_name = "DAYS HOURS UTC")]
    pub window: Option<String>,
}

impl Shape {
    /// With what `other` says where this says nothing.
    pub(super) fn or(self, other: Shape) -> Shape {
        Shape {
            branch: self.branch.or(other.branch),
            split: self.split.or(other.split),
            signoff: self.signoff || other.signoff,
        }
    }
}

impl How {
    /// As a plan that has decided `shape` wants it.
    pub(super) fn of_plan(self, shape: &Shape) -> anyhow::Result<How> {
        if shape.branch.is_some() && self.shape.branch.is_some() {
            anyhow::bail!(
                "--branch: the plan names the branch already; leave it out, or save a plan without one"
            );
        }
        let branch = shape.branch.clone().or(self.shape.branch);
        let signoff = shape.signoff || self.shape.signoff;
        let shape = Shape {
            branch,
            signoff,
            ..shape.clone()
        };
        Ok(How { shape, ..self })
    }
}

/// [`How`], understood.
#[derive(Debug)]
pub(super) struct Committing {
    template: Option<Template>,
    split: Split,
    signoff: bool,
    author: Option<Person>,
    committer: Option<Person>,
    signs: bool,
    taken: Taken,
}

/// One repository and its change.
pub(super) struct Job<'a> {
    pub run: &'a str,
    pub time: i64,
    pub journal: &'a Journal,
    pub model: &'a Model,
    pub order: &'a Order,
    pub asked: &'a Target,
    pub repo: &'a Repo,
    pub opened: &'a Opened,
    pub row: &'a ProjectRow,
    pub changeset: &'a Changeset,
}

/// What a change is called, and what it means to others.
struct Title {
    id: String,
    subject: String,
    note: String,
}

impl Committing {
    pub(super) fn new(how: &How) -> anyhow::Result<Committing> {
        let person = |option: &'static str, text: &Option<String>| {
            text.as_deref().map(|text| person(option, text)).transpose()
        };
        Ok(Committing {
            template: how
                .shape
                .branch
                .as_deref()
                .map(Template::parse)
                .transpose()?,
            split: how.shape.split.unwrap_or(Split::Repository),
            signoff: how.shape.signoff,
            author: person("--author", &how.author)?,
            committer: person("--committer", &how.committer)?,
            signs: !how.no_gpg_sign,
            taken: Taken::default(),
        })
    }

    /// Commits the change of `job`, and gives the name of the branch. A failure is on record.
    pub(super) fn commit(&self, job: &Job<'_>) -> Result<String, String> {
        let whole = job.title(job.changeset.findings());
        let (order, owners) = self
            .ordered(job, &whole.id)
            .inspect_err(|error| job.failed(error))?;
        let parts = self.parts(job, &owners);
        let titles = self.titles(job, &parts, &owners);
        let steps = parts.iter().zip(&titles).map(|(part, title)| Step {
            changeset: &part.changeset,
            findings: &part.findings,
            subject: &title.subject,
            note: &title.note,
        });
        let steps: Vec<Step<'_>> = steps.collect();
        let described = Entry::Described {
            target: order.target.clone(),
            title: whole.subject,
            body: request(job.row, job.run, &whole.note),
        };
        job.journal
            .append(job.run, described)
            .map_err(|error| hinted(&error.to_string(), error.hint()))?;
        stage(job.repo, &job.opened.prefix, &steps, &order, job.journal)
            .map(|receipt| receipt.branch)
            .map_err(|error| hinted(&error.to_string(), error.hint()))
    }

    /// By whom it is committed where, and who owns what.
    fn ordered(&self, job: &Job<'_>, transform: &str) -> Result<(StageOrder, Owners), String> {
        let branch = self.branch(job, transform)?;
        self.taken
            .take(job.repo.git_dir(), &branch, &job.row.root)?;
        let known = self.author.clone().or_else(|| job.repo.identity());
        if self.signoff && known.is_none() && self.committer.is_none() {
            return Err(
                "--signoff: nobody is known to sign off; set user.name and user.email, or use --author"
                    .to_owned(),
            );
        }
        let author = known.unwrap_or_else(tool_identity);
        let fail = |error: RepoError| hinted(&error.to_string(), error.hint());
        let order = StageOrder {
            run: job.run.to_owned(),
            target: job.row.root.clone(),
            branch,
            committer: self.committer.clone().unwrap_or_else(|| author.clone()),
            author,
            signoff: self.signoff,
            signer: match self.signs {
                true => job.repo.signer().map_err(fail)?,
                false => None,
            },
            time: job.time,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let owners = match (self.split, job.changeset.base()) {
            (Split::Owner, Some(base)) => job.repo.owners(base).map_err(fail)?.unwrap_or_default(),
            _ => Owners::default(),
        };
        Ok((order, owners))
    }

    fn branch(&self, job: &Job<'_>, transform: &str) -> Result<String, String> {
        let path = job.asked.within.as_deref();
        let Some(template) = &self.template else {
            // A part of a repository does not take the name of the whole, nor of another part.
            let default = match path {
                Some(_) => "depickle/{transform}-{path}",
                None => "depickle/{transform}",
            };
            let template = Template::parse(default).map_err(|error| error.to_string())?;
            return template.name(&job.about(path, transform));
        };
        template.name(&job.about(path.or(Some(&job.opened.prefix)), transform))
    }

    fn parts(&self, job: &Job<'_>, owners: &Owners) -> Vec<Part> {
        let (project, model, whole) = (&job.opened.project, job.model, job.changeset);
        let by = |key: &dyn Fn(&Finished) -> String| parts(project, model, job.order, whole, key);
        match self.split {
            Split::Repository => by(&|_| String::new()),
            Split::Transform => by(&|finding| finding.transform.clone()),
            Split::File => by(&|finding| finding.file.clone()),
            Split::Owner => by(&|finding| owners.of(&job.path(&finding.file)).to_owned()),
        }
    }

    /// What each of `parts` is called: in a subject, whose or of which files it is.
    fn titles(&self, job: &Job<'_>, parts: &[Part], owners: &Owners) -> Vec<Title> {
        let mut titles = Vec::new();
        let mut before: Option<&Part> = None;
        for part in parts {
            let mut title = job.title(&part.findings);
            let earlier = before.map_or(&[][..], |before| before.changeset.files());
            let changed = part
                .changeset
                .files()
                .iter()
                .filter(|file| !earlier.contains(file));
            let changed = changed.map(|file| job.path(&file.path));
            let names: BTreeSet<String> = match self.split {
                Split::Repository | Split::Transform => BTreeSet::new(),
                Split::File => changed.collect(),
                Split::Owner => changed.map(|path| owner(owners.of(&path))).collect(),
            };
            if parts.len() > 1 && !names.is_empty() {
                let more = names.len().saturating_sub(NAMED);
                let names: Vec<String> = names.into_iter().take(NAMED).collect();
                title.subject = format!("{}: {}", title.subject, names.join(", "));
                if more > 0 {
                    title.subject = format!("{} and {more} more", title.subject);
                }
            }
            titles.push(title);
            before = Some(part);
        }
        titles
    }
}

impl Job<'_> {
    fn failed(&self, error: &str) {
        let entry = Entry::StageFailed {
            target: self.row.root.clone(),
            repo: self.row.root.clone(),
            error: error.to_owned(),
        };
        // The row says it in any case; the record is a second witness.
        let _ = self.journal.append(self.run, entry);
    }

    /// `path` of the project, in the repository.
    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.opened.prefix)
    }

    fn about<'a>(&'a self, path: Option<&'a str>, transform: &'a str) -> About<'a> {
        let origin = match Url::is_meant(&self.asked.location) {
            true => Some(self.asked.location.clone()),
            false => self.repo.remote("origin"),
        };
        let (owner, name) = origin.as_deref().map(named).unwrap_or_default();
        let name = name.filter(|_| Url::is_meant(&self.asked.location));
        let date = OffsetDateTime::from_unix_timestamp(self.time).map(OffsetDateTime::date);
        About {
            repository: name.unwrap_or_else(|| called(self.repo)),
            owner,
            path: path.unwrap_or_default(),
            transform,
            run: self.run,
            date: date.map(|date| date.to_string()).unwrap_or_default(),
        }
    }

    /// What a change that settles `findings` is called.
    fn title(&self, findings: &[Finished]) -> Title {
        let ids: BTreeSet<&str> = findings.iter().map(|one| one.transform.as_str()).collect();
        let transforms = &self.model.transforms;
        let only = ids.first().filter(|_| ids.len() == 1);
        let only = only.and_then(|id| transforms.iter().find(|t| t.id == **id));
        let (mut id, mut subject) = only
            .map_or(("safe-loads", "Make unsafe loads safe"), |transform| {
                (transform.id.as_str(), transform.subject.as_str())
            });
        let did = transforms.iter().filter(|t| ids.contains(t.id.as_str()));
        let mut notes: Vec<&str> = did.clone().map(|t| t.note.as_str()).collect();
        if self.order.finish_dual_read {
            id = "finish-dual-read";
            let windows: Vec<_> = did.filter_map(|t| t.dual_read.as_ref()).collect();
            subject = windows
                .first()
                .map_or(subject, |w| w.finish_subject.as_str());
            notes = windows.iter().map(|w| w.finish_note.as_str()).collect();
        }
        notes.retain(|note| !note.is_empty());
        Title {
            id: id.to_owned(),
            subject: subject.to_owned(),
            note: notes.iter().map(|note| format!("{note}\n")).collect(),
        }
    }
}

/// Owners as a commit names them: without the sign by which forges would send them word of it.
fn owner(owners: &str) -> String {
    match owners {
        "" => "no owner".to_owned(),
        owners => {
            let words = owners.split_whitespace();
            let words: Vec<&str> = words.map(|word| word.trim_start_matches('@')).collect();
            words.join(" ")
        }
    }
}

fn person(option: &str, text: &str) -> anyhow::Result<Person> {
    let parts = text
        .strip_suffix('>')
        .and_then(|text| text.split_once(" <"));
    match parts {
        Some((name, email)) if !name.is_empty() && !email.is_empty() => Ok(Person {
            name: name.to_owned(),
            email: email.to_owned(),
        }),
        _ => anyhow::bail!("{option} {text:?}: write it as \"Name <mail@example.org>\""),
    }
}

/// Who commits where no repository says: git's own configuration of this user, or the tool.
pub(super) fn identity() -> String {
    let get = |key: &str| {
        let mut git = crate::repo::git();
        // Where no repository is.
        git.current_dir("/").args(["config", "--get", key]);
        let output = git.stderr(std::process::Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let Person { name, email } = match (get("user.name"), get("user.email")) {
        (Some(name), Some(email)) => Person { name, email },
        _ => tool_identity(),
    };
    format!("{name} <{email}>")
}

fn tool_identity() -> Person {
    Person {
        name: "depickle".to_owned(),
        email: "depickle@localhost".to_owned(),
    }
}
