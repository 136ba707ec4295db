//! `fleet submit`: the file by which an engine runs the shards; Slurm takes it at once.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;

use super::plan::Plan;
use super::slurm;
use crate::cli::Exit;
use crate::cli::save::save;
use crate::repo::quoted;

const SLURM: &str = include_str!("slurm.sh");
const KUBERNETES: &str = include_str!("kubernetes.yml");
const GITHUB: &str = include_str!("github.yml");
const GITLAB: &str = include_str!("gitlab.yml");

/// Who runs the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    /// A job array, submitted at once
    Slurm,
    /// The manifest of an Indexed Job, to be applied; not run on a cluster by its makers
    Kubernetes,
    /// A workflow with a matrix of at most 256 shards
    Github,
    /// A pipeline with at most 200 parallel jobs
    Gitlab,
}

/// What a shard does, and what it needs.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Needs {
    /// Where results are written, by all machines; `results` beside the plan by default
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// Shards at work at the same time; as many as the engine gives by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub workers: Option<u32>,
    /// What each shard does
    #[arg(long, value_name = "COMMAND", default_value = "stage", value_parser = ["stage", "scan", "diff", "verify"])]
    pub command: String,
    /// Leave branches as bundles there instead of in the clones
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// What to call depickle by, where the shards run; this very program by default
    #[arg(long, value_name = "PATH")]
    pub program: Option<String>,
    /// Processors of a shard
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u32).range(1..))]
    pub cpus: u32,
    /// Memory of a shard, in MiB
    #[arg(long, value_name = "MIB", default_value = "4096", value_parser = clap::value_parser!(u32).range(64..))]
    pub memory: u32,
    /// How long a shard may take, in minutes
    #[arg(long, value_name = "MINUTES", default_value = "120", value_parser = clap::value_parser!(u32).range(1..))]
    pub time: u32,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Who runs the shards
    #[arg(long, value_name = "ENGINE", default_value = "slurm")]
    engine: Engine,
    #[command(flatten)]
    needs: Needs,
    /// The container image with depickle and git, for Kubernetes and GitLab
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Write the file there instead of to the terminal (not for Slurm)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn submit(args: &Args) -> anyhow::Result<Exit> {
    let plan = Plan::read(&args.plan)?;
    if args.engine == Engine::Slurm {
        let all: Vec<usize> = (0..plan.shards).collect();
        return slurm::submit(&args.plan, &plan, &args.needs, &all);
    }
    let text = match args.engine {
        Engine::Slurm | Engine::Kubernetes => kubernetes(args, &plan)?,
        Engine::Github => matrix(args, &plan, GITHUB, 256)?,
        Engine::Gitlab => matrix(args, &plan, GITLAB, 200)?,
    };
    match &args.output {
        Some(path) => save(path, text.as_bytes(), "check its name")?,
        None => out!("{text}"),
    }
    Ok(Exit::Done)
}

/// The script of a job array.
pub(super) fn script(path: &Path, plan: &Plan, needs: &Needs) -> anyhow::Result<String> {
    let results = Plan::results(path, needs.results.as_deref())?;
    let shown = |path: &Path| path.display().to_string();
    // Slurm reads its own lines to their end, and takes no quotes there.
    let log = shown(&results.join("log"));
    if log.contains(['\n', '%', '\\', '"', ' ']) {
        anyhow::bail!("{log}: Slurm takes no such name for its logs; name another with --results");
    }
    let program = match &needs.program {
        Some(program) => program.clone(),
        None => shown(&std::env::current_exe()?),
    };
    let plan_file = shown(&std::path::absolute(path)?);
    let mut command = vec![program, needs.command.clone()];
    command.extend(["--plan".to_owned(), plan_file]);
    command.extend(["--results".to_owned(), shown(&results)]);
    if let Some(bundle) = &needs.bundle {
        command.extend(["--bundle".to_owned(), shown(&std::path::absolute(bundle)?)]);
    }
    if needs.command != "verify" {
        command.extend([
            "--jobs".to_owned(),
            needs.cpus.to_string(),
            "--quiet".to_owned(),
        ]);
    }
    let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    Ok(filled(
        SLURM,
        &[
            ("RUN", plan.run.clone()),
            ("LOG", log),
            ("MINUTES", needs.time.to_string()),
            ("MEMORY", needs.memory.to_string()),
            ("CPUS", needs.cpus.to_string()),
            ("COMMAND", command.join(" ")),
        ],
    ))
}

fn kubernetes(args: &Args, plan: &Plan) -> anyhow::Result<String> {
    let needs = &args.needs;
    let image = args
        .image
        .clone()
        .context("--image: name one that has depickle and git")?;
    let workers = needs.workers.unwrap_or(10).min(u32::try_from(plan.shards)?);
    let program = needs
        .program
        .clone()
        .unwrap_or_else(|| "depickle".to_owned());
    let mut command = vec![program.as_str(), needs.command.as_str()];
    command.extend(["--plan", "/fleet/plan.json", "--results", "/fleet/results"]);
    if needs.command == "stage" {
        command.extend(["--bundle", "/fleet/bundles"]);
    }
    Ok(filled(
        KUBERNETES,
        &[
            ("RUN", plan.run.to_ascii_lowercase()),
            ("SHARDS", plan.shards.to_string()),
            ("WORKERS", workers.to_string()),
            ("SECONDS", (u64::from(needs.time) * 60).to_string()),
            ("MEMORY", needs.memory.to_string()),
            ("CPUS", needs.cpus.to_string()),
            ("IMAGE", serde_json::to_string(&image)?),
            ("COMMAND", serde_json::to_string(&command)?),
        ],
    ))
}

/// A pipeline of a forge, which takes no more than `most` shards.
fn matrix(args: &Args, plan: &Plan, template: &str, most: usize) -> anyhow::Result<String> {
    let needs = &args.needs;
    if plan.shards > most {
        anyhow::bail!(
            "the plan has {} shards, and this engine takes {most}; plan anew with --shards {most}, or use another",
            plan.shards
        );
    }
    if needs.command != "stage" {
        anyhow::bail!("--command: the file is for stage; change it by hand for others");
    }
    let indexes: Vec<usize> = (0..plan.shards).collect();
    let image = args.image.as_deref().unwrap_or("rust:1");
    let workers = needs.workers.map_or(plan.shards, |n| n as usize);
    let version = env!("CARGO_PKG_VERSION");
    Ok(filled(
        template,
        &[
            ("SHARDS", plan.shards.to_string()),
            ("INDEXES", serde_json::to_string(&indexes)?),
            ("WORKERS", workers.to_string()),
            ("MINUTES", needs.time.to_string()),
            ("IMAGE", serde_json::to_string(image)?),
            (
                "INSTALL",
                format!("cargo install --locked depickle@{version}"),
            ),
        ],
    ))
}

fn filled(template: &str, places: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (place, value) in places {
        text = text.replace(&format!("@{place}@"), value);
    }
    text
}
