//! `fleet plan`: which repositories at which commits, who of them comes first, and which shard does which.

use std::collections::HashMap;

use super::plan::{Plan, Planned, Skipped, Unplanned, id};
use crate::cli::Exit;
use crate::cli::args::Common;
use crate::cli::commit::{Committing, How, identity};
use crate::cli::save::save;
use crate::cli::schedule::tips;
use crate::cli::stage::{Settings, inputs_at};
use crate::cli::target::{run_id, run_time};
use crate::cli::targets::Known;
use crate::fetch::Url;
use crate::forge::Found;
use crate::journal::{RepoRecord, State, Target};

/// Repositories of a shard, when nobody says how many shards there are.
const USUAL: usize = 50;

/// Kilobytes of a repository whose size nobody told.
const SIZE: u64 = 1000;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    how: How,
    /// How many shards; one for every fifty repositories by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    shards: Option<u32>,
    /// An earlier run: where it found loads within reach, that comes first
    #[arg(long, value_name = "RUN")]
    previous: Option<String>,
}

pub(super) fn plan(args: &Args) -> anyhow::Result<Exit> {
    let common = args.common.resolved()?;
    let mut known = Known {
        own_forks: true,
        ..Known::default()
    };
    let targets = common.asked_for(&mut known)?;
    let mut how = args.how.clone();
    how.shape = how.shape.or(common.commits.clone());
    if how.author.is_none() && targets.iter().all(|one| Url::is_meant(&one.location)) {
        // Each machine may have another, and each would make other commits.
        how.author = Some(identity());
    }
    // Said now, and not by every shard.
    Committing::new(&how)?;
    let settings = Settings {
        common: common.clone(),
        how,
        tests: crate::cli::with_tests::WithTests::none(),
        time: run_time(),
        plan: None,
        fleet: true,
    };
    let found = tips(&targets, &common)?;
    let commits: Vec<Option<&str>> = found.iter().map(|tip| tip.as_deref().ok()).collect();
    let run = run_id(settings.time, &inputs_at(&targets, &commits, &settings));
    let mut plan = Plan::new(run, 1, settings)?;
    let exposure = Exposure::new(args.previous.as_deref(), known.found)?;
    let mut ranked = Vec::new();
    for (target, tip) in targets.into_iter().zip(found) {
        match tip {
            Err(error) => plan.failed.push(Unplanned { target, error }),
            Ok(commit) => {
                let (rank, why) = exposure.of(&target);
                let size = exposure.found.get(&target.location).and_then(|f| f.size);
                let one = Planned {
                    id: id(&target),
                    target,
                    commit,
                    shard: 0,
                    size,
                    exposure: why,
                };
                ranked.push((rank, one));
            }
        }
    }
    // Those of one rank stay as they were listed.
    ranked.sort_by_key(|(rank, _)| *rank);
    plan.repositories = ranked.into_iter().map(|(_, one)| one).collect();
    let skipped = known.skipped.into_iter();
    plan.skipped = skipped
        .map(|(location, reason)| Skipped {
            location,
            reason: reason.to_owned(),
        })
        .collect();
    let count = plan.repositories.len();
    let wanted = match args.shards {
        Some(wanted) => usize::try_from(wanted)?,
        None => count.div_ceil(USUAL),
    };
    plan.shards = wanted.clamp(1, count.max(1));
    share_out(&mut plan.repositories, plan.shards);
    let text = serde_json::to_string_pretty(&plan)? + "\n";
    match &common.output {
        Some(path) => save(path, text.as_bytes(), "check its name")?,
        None => out!("{text}"),
    }
    if !common.quiet {
        errln!(
            "run {}: {count} repositories in {} shards, {} skipped, {} without a commit",
            plan.run,
            plan.shards,
            plan.skipped.len(),
            plan.failed.len()
        );
    }
    for one in &plan.failed {
        let said = format!("error: {}: {}", one.target.name(), one.error);
        errln!("{}", crate::text::printable(&said));
    }
    Ok(match plan.failed.is_empty() {
        true => Exit::Done,
        false => Exit::Incomplete,
    })
}

/// Gives each, in its order, to the shard that has least so far: every shard begins with what is most exposed.
fn share_out(repositories: &mut [Planned], shards: usize) {
    let mut loads = vec![(0, 0); shards];
    for one in repositories {
        let least = (0..shards).min_by_key(|n| loads[*n]).unwrap_or(0);
        one.shard = least;
        loads[least].0 += one.size.unwrap_or(SIZE) + SIZE;
        loads[least].1 += 1;
    }
}

/// What tells how exposed a repository is before anybody has read it.
struct Exposure {
    found: HashMap<String, Found>,
    before: HashMap<String, RepoRecord>,
    frameworks: Vec<String>,
}

impl Exposure {
    fn new(previous: Option<&str>, found: Vec<Found>) -> anyhow::Result<Exposure> {
        let mut before = HashMap::new();
        if let Some(id) = previous {
            let run = crate::cli::recorded(&crate::cli::journal()?, Some(id))?;
            let all = run.map(|run| run.repositories).unwrap_or_default();
            before = all
                .into_iter()
                .map(|one| (one.target.clone(), one))
                .collect();
        }
        let model = crate::pack::Model::builtin()?;
        let frameworks = model.frameworks().map(|(_, one)| one.id.clone());
        Ok(Exposure {
            found: found
                .into_iter()
                .map(|one| (one.url.clone(), one))
                .collect(),
            before,
            frameworks: frameworks.collect(),
        })
    }

    /// The lower, the sooner; and why.
    fn of(&self, target: &Target) -> ((u8, usize), String) {
        let before = self.before.get(&target.name());
        if let Some(one) = before.filter(|one| one.findings > 0) {
            let why = format!("{} loads within reach before", one.findings);
            return ((0, usize::MAX - one.findings), why);
        }
        let found = self.found.get(&target.location);
        let topics = found
            .map(|found| found.topics.as_slice())
            .unwrap_or_default();
        if let Some(topic) = topics.iter().find(|topic| self.frameworks.contains(topic)) {
            return ((1, 0), format!("topic {topic}"));
        }
        let language = found.and_then(|found| found.language.as_deref());
        match (language, before) {
            (_, Some(one)) if one.state == State::Clean => ((4, 0), "clean before".to_owned()),
            (Some(python), _) if python.eq_ignore_ascii_case("python") => {
                ((2, 0), "language Python".to_owned())
            }
            (Some(other), _) => ((5, 0), format!("language {other}")),
            (None, _) => ((3, 0), "nothing is known".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(sizes: &[u64]) -> Vec<Planned> {
        let of = |(n, size): (usize, &u64)| {
            let target = Target::new(&format!("r{n}"));
            Planned {
                id: id(&target),
                target,
                commit: String::new(),
                shard: 0,
                size: Some(*size),
                exposure: String::new(),
            }
        };
        sizes.iter().enumerate().map(of).collect()
    }

    #[test]
    fn shards_get_as_much_as_each_other_and_the_first_come_first_in_each() {
        let mut all = sized(&[50_000, 10, 10, 10, 10, 10, 10]);
        share_out(&mut all, 2);
        let shards: Vec<usize> = all.iter().map(|one| one.shard).collect();
        assert_eq!(shards, [0, 1, 1, 1, 1, 1, 1]);
        let mut even = sized(&[10; 7]);
        share_out(&mut even, 3);
        let shards: Vec<usize> = even.iter().map(|one| one.shard).collect();
        assert_eq!(shards, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn what_is_more_exposed_comes_first() {
        let found = |url: &str, language: Option<&str>, topics: &[&str]| Found {
            url: url.to_owned(),
            size: None,
            language: language.map(str::to_owned),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        };
        let exposure = Exposure::new(
            None,
            vec![
                found("go", Some("Go"), &["web"]),
                found("python", Some("python"), &[]),
                found("flask", Some("HTML"), &["shop", "flask"]),
            ],
        )
        .unwrap();
        let mut names = ["go", "unknown", "python", "flask"];
        names.sort_by_key(|name| exposure.of(&Target::new(name)).0);
        assert_eq!(names, ["flask", "python", "unknown", "go"]);
    }
}
