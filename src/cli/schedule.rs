//! Many repositories at once: fetched by a few threads, so many from each server, and analysed by as many as `-j` says.
//!
//! Invariant: every target has its row, in the order of the targets, and none waits for the failure of another.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::args::Common;
use super::hinted;
use super::progress::{Busy, Progress};
use crate::fetch::{Fetched, Order, Url, fetch, tip};
use crate::journal::Target;
use crate::repo::Repo;
use crate::report::ProjectRow;

/// Where a target is on this machine.
#[derive(Debug)]
pub(super) struct Place {
    pub path: PathBuf,
    /// What is read instead of HEAD or the work tree.
    pub base: Option<String>,
    /// The clone, when it came from a URL.
    pub cloned: Option<Fetched>,
}

/// Runs `work` on every target; rows come back in the order of the targets.
///
/// # Errors
/// When threads cannot be started, or there is no place for clones.
pub(super) fn each(
    targets: &[Target],
    common: &Common,
    work: impl Fn(&Target, Result<Place, String>) -> ProjectRow + Sync,
) -> anyhow::Result<Vec<ProjectRow>> {
    let asked: Vec<(&Target, Option<&str>)> = targets
        .iter()
        .map(|target| (target, target.base.as_deref().or(common.base.as_deref())))
        .collect();
    each_at(&asked, common, work)
}

/// The same, with the commit that is read of each, which may be another than the target names by now.
pub(super) fn each_at(
    asked: &[(&Target, Option<&str>)],
    common: &Common,
    work: impl Fn(&Target, Result<Place, String>) -> ProjectRow + Sync,
) -> anyhow::Result<Vec<ProjectRow>> {
    let targets: Vec<&Target> = asked.iter().map(|(target, _)| *target).collect();
    let mut pool = rayon::ThreadPoolBuilder::new().stack_size(super::STACK);
    if let Some(jobs) = common.jobs {
        pool = pool.num_threads(jobs);
    }
    let pool = pool.build()?;
    let urls: Vec<Option<Result<Url, String>>> = targets.iter().map(|t| url(t)).collect();
    let host = |n: usize| urls[n].as_ref().and_then(|url| url.as_ref().ok()?.host());
    let cloning = urls.iter().any(Option::is_some);
    let cache = cloning.then(|| super::cache::open(common)).transpose()?;
    let place = |n: usize| match (&urls[n], &cache) {
        (Some(Ok(url)), Some(cache)) => {
            let order = Order {
                base: asked[n].1,
                within: targets[n].within.as_deref(),
                filter: &common.filter(),
                ask: std::io::IsTerminal::is_terminal(&std::io::stdin()),
                patience: Duration::from_secs(common.timeout),
            };
            let fetched = fetch(url, &order, cache);
            let fetched = fetched.map_err(|error| hinted(&error.to_string(), error.hint()))?;
            Ok(Place {
                path: fetched.path.clone(),
                base: Some(fetched.base.clone()),
                cloned: Some(fetched),
            })
        }
        (Some(Err(error)), _) => Err(error.clone()),
        _ => Ok(Place {
            path: PathBuf::from(&targets[n].location),
            base: asked[n].1.map(str::to_owned),
            cloned: None,
        }),
    };
    let progress = Progress::new(targets.len(), common.quiet);
    // Where git may ask for a password, nothing is written over its question.
    let alone = targets
        .first()
        .filter(|_| targets.len() == 1 && !cloning && !common.quiet);
    let busy = alone.map(|target| Busy::on(&format!("analysing {}", target.name())));
    let queue = Queue::new(targets.len(), common.per_host.max(1));
    let rows: Vec<OnceLock<ProjectRow>> = targets.iter().map(|_| OnceLock::new()).collect();
    let worker = || {
        while let Some(n) = queue.next(host) {
            let target = targets[n];
            let place = caught(|| place(n));
            // Also after a panic: others wait for the place at the server.
            queue.fetched(host(n));
            let row = place.and_then(|place| caught(|| pool.install(|| work(target, place))));
            let row = row.unwrap_or_else(|error| ProjectRow::failed(&target.name(), error));
            progress.done(&row.root, row.status);
            let _ = rows[n].set(row);
        }
    };
    // Those who fetch mostly wait.
    let workers = match cloning {
        true => pool.current_num_threads().max(2 * common.per_host),
        false => pool.current_num_threads(),
    };
    std::thread::scope(|scope| -> std::io::Result<()> {
        for _ in 0..workers.min(targets.len()).max(1) {
            std::thread::Builder::new().spawn_scoped(scope, worker)?;
        }
        Ok(())
    })?;
    drop(progress);
    drop(busy);
    if let Some(cache) = cache {
        // What is too much now is too much at the next run as well.
        let _ = cache.prune(common.limits);
    }
    let lost =
        |target: &&Target| ProjectRow::failed(&target.name(), "it was not come to".to_owned());
    let rows = rows.into_iter().zip(&targets);
    Ok(rows
        .map(|(row, target)| row.into_inner().unwrap_or_else(|| lost(target)))
        .collect())
}

/// The commits that `targets` name now, without a clone: so many servers are asked at once as for clones.
///
/// # Errors
/// When threads cannot be started.
pub(super) fn tips(
    targets: &[Target],
    common: &Common,
) -> anyhow::Result<Vec<Result<String, String>>> {
    let urls: Vec<Option<Result<Url, String>>> = targets.iter().map(url).collect();
    let host = |n: usize| urls[n].as_ref().and_then(|url| url.as_ref().ok()?.host());
    let of = |n: usize| {
        let base = targets[n].base.as_deref().or(common.base.as_deref());
        match &urls[n] {
            Some(Ok(url)) => {
                let ask = std::io::IsTerminal::is_terminal(&std::io::stdin());
                let found = tip(url, base, ask, Duration::from_secs(common.timeout));
                found.map_err(|error| hinted(&error.to_string(), error.hint()))
            }
            Some(Err(error)) => Err(error.clone()),
            None => Repo::discover(Path::new(&targets[n].location))
                .and_then(|repo| repo.resolve(base))
                .map(|base| base.commit)
                .map_err(|error| hinted(&error.to_string(), error.hint())),
        }
    };
    let queue = Queue::new(targets.len(), common.per_host.max(1));
    let found: Vec<OnceLock<Result<String, String>>> =
        targets.iter().map(|_| OnceLock::new()).collect();
    let worker = || {
        while let Some(n) = queue.next(host) {
            let tip = of(n);
            queue.fetched(host(n));
            let _ = found[n].set(tip);
        }
    };
    std::thread::scope(|scope| -> std::io::Result<()> {
        for _ in 0..(2 * common.per_host).clamp(1, targets.len().max(1)) {
            std::thread::Builder::new().spawn_scoped(scope, worker)?;
        }
        Ok(())
    })?;
    let lost = || Err("it was not come to".to_owned());
    Ok(found
        .into_iter()
        .map(|one| one.into_inner().unwrap_or_else(lost))
        .collect())
}

/// What `work` gives; its panic is the failure of one repository.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    crate::defect::caught(work).map_err(|said| {
        format!("depickle failed on it ({said}); please report this. The other projects are not affected")
    })
}

/// The address of `target`, if it is meant as one. A path that is there is a path.
pub(super) fn url(target: &Target) -> Option<Result<Url, String>> {
    let text = target.location.as_str();
    if !Url::is_meant(text) || (!text.contains("://") && Path::new(text).exists()) {
        return None;
    }
    Some(Url::parse(text).map_err(|error| hinted(&error.to_string(), error.hint())))
}

/// Who is next: the first whose server is not busy with others.
struct Queue {
    per_host: usize,
    state: Mutex<Waiting>,
    freed: Condvar,
}

struct Waiting {
    left: VecDeque<usize>,
    busy: HashMap<String, usize>,
}

impl Queue {
    fn new(total: usize, per_host: usize) -> Queue {
        Queue {
            per_host,
            state: Mutex::new(Waiting {
                left: (0..total).collect(),
                busy: HashMap::new(),
            }),
            freed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one, with a place at its server; none when none is left.
    fn next<'h>(&self, host: impl Fn(usize) -> Option<&'h str>) -> Option<usize> {
        let mut state = self.state();
        loop {
            let free = |n: &usize| {
                host(*n).is_none_or(|host| state.busy.get(host).is_none_or(|n| *n < self.per_host))
            };
            if let Some(at) = state.left.iter().position(free) {
                let n = state.left.remove(at)?;
                if let Some(host) = host(n) {
                    *state.busy.entry(host.to_owned()).or_default() += 1;
                }
                return Some(n);
            }
            if state.left.is_empty() {
                return None;
            }
            state = self
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the place at `host` back.
    fn fetched(&self, host: Option<&str>) {
        if let Some(host) = host {
            if let Some(busy) = self.state().busy.get_mut(host) {
                *busy -= 1;
            }
            self.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn one_server_is_not_asked_by_more_than_so_many_and_holds_up_nobody_else() {
        let hosts = [Some("a"), Some("a"), Some("a"), Some("b"), None];
        let queue = Queue::new(hosts.len(), 2);
        let next = || queue.next(|n| hosts[n]);
        assert_eq!(
            [next(), next(), next(), next()],
            [Some(0), Some(1), Some(3), Some(4)]
        );
        std::thread::scope(|scope| {
            let last = scope.spawn(next);
            queue.fetched(Some("a"));
            assert_eq!(last.join().unwrap(), Some(2));
        });
        assert_eq!(next(), None);
    }
}
