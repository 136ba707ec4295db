//! `diff -i`: a change, part by part: taken, or left with a reason. Lines on standard input answer.
//!
//! Invariant: a reviewer's answers never make a patch. What was left out is given to the planner; what comes of that is
//! checked anew, and asked about where it is not what was shown.

mod talk;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use super::args::Common;
use super::baseline::Against;
use super::pinned::Verdict;
use super::scan::look_at;
use super::target::Reading;
use crate::journal::Target;
use crate::report::{self, Choice, FindingRow, Run};
use crate::text::printable;
use talk::Talk;

/// What was answered about one choice.
#[derive(Debug, Clone, Default)]
struct Answer {
    taken: Option<bool>,
    reason: String,
}

/// A choice, and which target it is of.
struct Asked {
    target: usize,
    choice: Choice,
    answer: Answer,
}

/// What came of a review.
pub(super) struct Review {
    pub run: Run,
    pub targets: Vec<Target>,
    /// Parallel to the targets.
    pub verdicts: Vec<Vec<Verdict>>,
}

/// Reviews the changes of `args`; none when the reviewer quits.
pub(super) fn review(args: &Common, reading: Reading) -> anyhow::Result<Option<Review>> {
    let mut talk = Talk::open(args)?;
    let targets = args.targets()?;
    args.fits(targets.len())?;
    let (mut run, mut asked) = looked(args, &targets, reading, &BTreeSet::new())?;
    let mut verdicts: Vec<Vec<Verdict>> = vec![Vec::new(); targets.len()];
    if !asked.is_empty() && !talk.through(&run, &mut asked, true)? {
        return Ok(None);
    }
    let names: Vec<String> = targets.iter().map(Target::name).collect();
    let (mut taken, mut left): (Vec<Asked>, Vec<Asked>) = asked
        .into_iter()
        .partition(|one| one.answer.taken == Some(true));
    for n in 0..targets.len() {
        if !left.iter().any(|one| one.target == n) {
            continue;
        }
        loop {
            let skipped = left.iter().filter(|one| one.target == n);
            let skipped = skipped.flat_map(|one| one.choice.loads.clone()).collect();
            let (again, now) = looked(args, &targets[n..=n], reading, &skipped)?;
            let known = |one: &Asked| {
                let mut before = taken.iter().filter(|other| other.target == n);
                before.any(|other| {
                    other.choice.does == one.choice.does && other.choice.loads == one.choice.loads
                })
            };
            let mut new: Vec<Asked> = now.into_iter().filter(|one| !known(one)).collect();
            if let (Some(slot), Some(row)) =
                (run.projects.get_mut(n), again.projects.into_iter().next())
            {
                *slot = row;
            }
            if new.is_empty() {
                break;
            }
            new.iter_mut().for_each(|one| one.target = n);
            talk.say(&format!(
                "\n{}: without what was skipped, this is another change than it was:\n",
                printable(&names[n])
            ))?;
            if !talk.through(&run, &mut new, false)? {
                return Ok(None);
            }
            let (more, out): (Vec<Asked>, Vec<Asked>) = new
                .into_iter()
                .partition(|one| one.answer.taken == Some(true));
            taken.extend(more);
            if out.is_empty() {
                break;
            }
            left.extend(out);
        }
    }
    for (n, verdicts) in verdicts.iter_mut().enumerate() {
        note(verdicts, &run, &left, n, false);
        note(verdicts, &run, &taken, n, true);
    }
    talk.told(&run, &taken, &left)?;
    Ok(Some(Review {
        run,
        targets,
        verdicts,
    }))
}

/// The pipeline over `targets` without the loads that are `skipped` (of the first), and the choices that there are.
fn looked(
    args: &Common,
    targets: &[Target],
    reading: Reading,
    skipped: &BTreeSet<String>,
) -> anyhow::Result<(Run, Vec<Asked>)> {
    let found: Mutex<HashMap<String, Vec<Choice>>> = Mutex::default();
    let run = look_at(
        args,
        targets,
        reading,
        &Against::Nothing,
        skipped,
        |opened, checked| {
            let choices = report::choices(&opened.project, &opened.prefix, checked);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(opened.root.clone(), choices);
        },
    )?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let of = targets.iter().enumerate();
    let asked = of.flat_map(|(target, asked)| {
        let choices = found.remove(&asked.name()).unwrap_or_default();
        choices.into_iter().map(move |choice| Asked {
            target,
            choice,
            answer: Answer::default(),
        })
    });
    Ok((run, asked.collect()))
}

/// Puts what was answered about the loads of target `n` into `verdicts`, each once.
fn note(verdicts: &mut Vec<Verdict>, run: &Run, answered: &[Asked], n: usize, accepted: bool) {
    let rows = run.projects.get(n).map_or(&[][..], |row| &row.findings);
    for one in answered.iter().filter(|one| one.target == n) {
        for load in &one.choice.loads {
            let row = rows.iter().find(|row| row.fingerprint == *load);
            let gone = accepted && row.is_none_or(|row| row.status != "rewrite");
            let known = verdicts.iter().any(|other| other.fingerprint == *load);
            let (Some(row), false, false) = (row, gone, known) else {
                continue;
            };
            verdicts.push(Verdict {
                fingerprint: load.clone(),
                file: row.file.clone(),
                line: row.line,
                accepted,
                reason: one.answer.reason.clone(),
            });
        }
    }
}

/// The loads of `asked`, as the run has them now.
fn rows<'r>(run: &'r Run, asked: &'r [Asked]) -> impl Iterator<Item = (&'r Asked, &'r FindingRow)> {
    asked.iter().flat_map(|one| {
        let rows = run
            .projects
            .get(one.target)
            .map_or(&[][..], |row| &row.findings);
        let own = rows
            .iter()
            .filter(|row| one.choice.loads.contains(&row.fingerprint));
        own.map(move |row| (one, row))
    })
}
