//! `fleet`: one run, done in shards by an engine that somebody has already: the plan, what is missing, the whole.
//!
//! Invariant: a shard's results are a part of the run's journal. Put together they are that journal, whoever did what
//! how often, and everything that knows runs knows this one.

mod engine;
mod merge;
mod plan;
mod planning;
mod publish;
mod results;
mod shard;
mod slurm;

use clap::Subcommand;

use super::Exit;

pub(super) use plan::Plan;
pub(super) use publish::borrowed;
pub(super) use shard::{Shard, Share, or_retry};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Fix which repositories at which commits, with which options, in how many shards
    Plan(Box<planning::Args>),
    /// Give the shards to an engine: submit them to Slurm, or write the file that Kubernetes, GitHub or GitLab takes
    Submit(engine::Args),
    /// How far the shards have come
    Status(slurm::Args),
    /// Submit to Slurm what is missing and not under way
    Resume(slurm::Resume),
    /// Take what is left out of Slurm's queue
    Cancel(slurm::Args),
    /// Put the results together: the run as if one machine had done it, or what is missing of it
    Merge(merge::Args),
    /// Push the branches that shards left as bundles, and open pull requests, from one place
    Publish(publish::Args),
}

pub(super) fn fleet(args: &Args) -> anyhow::Result<Exit> {
    match &args.act {
        Act::Plan(args) => planning::plan(args),
        Act::Submit(args) => engine::submit(args),
        Act::Status(args) => slurm::status(args),
        Act::Resume(args) => slurm::resume(args),
        Act::Cancel(args) => slurm::cancel(args),
        Act::Merge(args) => merge::merge(args),
        Act::Publish(args) => publish::publish(args),
    }
}
