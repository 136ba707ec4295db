//! `init`: a check for continuous integration that fails only for new loads, and the baseline that it needs.
//!
//! Invariant: what is there stays: a file of its own is replaced by `--force` alone, and others are only added to.

mod place;

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::args::Common;
use super::baseline::{Against, Baseline, FILE};
use super::scan::look;
use super::target::Reading;
use super::{Exit, hinted};
use crate::check::ChangedFile;
use crate::cli::save::save;
use crate::repo::Repo;
use crate::text::{printable, printable_lines};

const GITHUB: (&str, &str) = (".github/workflows/depickle.yml", include_str!("github.yml"));
const GITLAB: (&str, &str) = (".gitlab-ci.yml", include_str!("gitlab.yml"));
const PRE_COMMIT: (&str, &str) = (".pre-commit-config.yaml", include_str!("pre-commit.yml"));

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of the repository
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Write a workflow for GitHub Actions; what is there already says which are written by default
    #[arg(long)]
    github: bool,
    /// Add a job to .gitlab-ci.yml
    #[arg(long)]
    gitlab: bool,
    /// Add a hook to .pre-commit-config.yaml
    #[arg(long)]
    pre_commit: bool,
    /// How GitHub and GitLab get depickle
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = concat!("cargo install --locked depickle@", env!("CARGO_PKG_VERSION"))
    )]
    install: String,
    /// Replace a workflow that is there
    #[arg(long)]
    force: bool,
    /// Show what would be written
    #[arg(long)]
    dry_run: bool,
}

/// What is to become of a file.
enum Step {
    Write(ChangedFile),
    Leave(String),
}

pub(super) fn init(args: &Args) -> anyhow::Result<Exit> {
    let repo = Repo::discover(&args.path)
        .map_err(|error| anyhow::anyhow!(hinted(&error.to_string(), error.hint())))?;
    if repo.is_bare() {
        anyhow::bail!("a bare repository has no files to add to; run it in a work tree");
    }
    if args.install.contains('\n') {
        anyhow::bail!("--install: write one line");
    }
    let root = repo.root();
    let is_there = |path: &str| root.join(path).exists();
    let chosen = args.github || args.gitlab || args.pre_commit;
    let wanted = |asked: bool, there: bool| if chosen { asked } else { there };
    let config = Some(root.join("depickle.toml")).filter(|path| path.is_file());
    let common = Common {
        paths: vec![root.display().to_string()],
        quiet: true,
        config,
        ..Common::default()
    };
    let common = common.resolved()?;
    let check = match common.baseline {
        Some(_) => "depickle scan".to_owned(),
        None => format!("depickle scan --baseline {FILE}"),
    };
    let filled = |template: &str| {
        let text = template.replace("@INSTALL@", &place::scalar(&args.install));
        text.replace("@CHECK@", &check)
    };
    let mut steps = Vec::new();
    if wanted(args.github, is_there(".github")) {
        steps.push(workflow(root, &filled(GITHUB.1), args.force)?);
    }
    if wanted(args.gitlab, is_there(GITLAB.0)) {
        steps.push(added(root, GITLAB.0, &filled(GITLAB.1), place::job)?);
    }
    if wanted(args.pre_commit, is_there(PRE_COMMIT.0)) {
        steps.push(added(
            root,
            PRE_COMMIT.0,
            &filled(PRE_COMMIT.1),
            place::hook,
        )?);
    }
    if steps.is_empty() {
        anyhow::bail!(
            "neither .github, .gitlab-ci.yml nor .pre-commit-config.yaml is there; choose by --github, --gitlab or --pre-commit"
        );
    }
    for step in &steps {
        match step {
            Step::Leave(why) => outln!("{}", printable(why)),
            Step::Write(file) if args.dry_run => {
                let patch = crate::report::unified(file);
                out!("{}", printable_lines(&String::from_utf8_lossy(&patch)));
            }
            Step::Write(file) => {
                let path = root.join(&file.path);
                let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
                folder.with_context(|| format!("{}: cannot be made", path.display()))?;
                save(&path, &file.after, "check its permissions")?;
                outln!("{}: written", printable(&file.path));
            }
        }
    }
    first_baseline(&common, root, args.dry_run)
}

/// The baseline, if none is there yet: what it would say is that all is known.
fn first_baseline(common: &Common, root: &Path, dry_run: bool) -> anyhow::Result<Exit> {
    let path = common.baseline.clone().unwrap_or_else(|| root.join(FILE));
    let name = printable(
        &path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string(),
    );
    if path.exists() {
        Baseline::read(&path)?;
        outln!("{name}: is there, and stays; `depickle baseline` renews it");
        return Ok(Exit::Done);
    }
    if dry_run {
        outln!("{name}: would be written, with the loads that are there now");
        return Ok(Exit::Done);
    }
    let (run, targets) = look(common, Reading::WorkTree, &Against::Nothing)?;
    if let Some(error) = run.projects.iter().find_map(|row| row.error.clone()) {
        anyhow::bail!("{name}: {error}");
    }
    let told = Baseline::default().renewed(&path, &run, &targets, false)?;
    outln!("{name}: {told}; commit it with the check");
    Ok(Exit::Done)
}

/// A file of its own.
fn workflow(root: &Path, text: &str, force: bool) -> anyhow::Result<Step> {
    let path = GITHUB.0;
    let before = read(root, path)?;
    Ok(match before {
        Some(before) if before == text => Step::Leave(format!("{path}: is there already")),
        Some(_) if !force => {
            Step::Leave(format!("{path}: is there, and stays; --force replaces it"))
        }
        before => Step::Write(change(path, before, text.to_owned())),
    })
}

/// What is added to a file that others write, too.
fn added(
    root: &Path,
    path: &str,
    text: &str,
    place: impl Fn(&str, &str) -> Option<String>,
) -> anyhow::Result<Step> {
    let before = read(root, path)?;
    let old = before.clone().unwrap_or_default();
    if old.contains("depickle") {
        return Ok(Step::Leave(format!(
            "{path}: names depickle already, and stays"
        )));
    }
    match place(&old, text) {
        Some(after) => Ok(Step::Write(change(path, before, after))),
        None => anyhow::bail!(
            "{path}: is written in a way that it is not clear where this belongs; add it by hand:\n{text}"
        ),
    }
}

fn change(path: &str, before: Option<String>, after: String) -> ChangedFile {
    ChangedFile {
        new: before.is_none(),
        path: path.to_owned(),
        before: before.unwrap_or_default().into_bytes(),
        after: after.into_bytes(),
    }
}

fn read(root: &Path, path: &str) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("{path}: cannot be read; check its permissions"))
        }
    }
}
