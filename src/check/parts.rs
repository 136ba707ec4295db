//! A change in several steps, each of which is a change that passed every check in itself.
//!
//! Invariant: a step is what the plan gives when only the loads up to it may be rewritten. So readers and writers that
//! move all or none come with the last of them, and no step leaves a state that the planner would not make. The last
//! step is the whole change, byte for byte.

use std::collections::{BTreeMap, HashMap};

use super::{Changeset, Finished, finished, verify};
use crate::pack::Model;
use crate::plan::{Decision, Order, Plan, Reason, plan};
use crate::project::Project;
use crate::trace::{Traced, trace};

/// One step of a change.
#[derive(Debug, Clone)]
pub struct Part {
    /// The change up to here and with it, made from the same base.
    pub changeset: Changeset,
    /// What it settles and no step before it did.
    pub findings: Vec<Finished>,
}

/// The change of `whole`, in a step for each thing that `key` tells of a finding, in the order of these; fewer where
/// they cannot stand without each other.
pub fn parts(
    project: &Project,
    model: &Model,
    order: &Order,
    whole: &Changeset,
    key: impl Fn(&Finished) -> String,
) -> Vec<Part> {
    let all = whole.findings();
    let mut keys: Vec<String> = all.iter().map(key).collect();
    let of: HashMap<&str, String> = all
        .iter()
        .map(|finding| finding.fingerprint.as_str())
        .zip(keys.iter().cloned())
        .collect();
    keys.sort();
    keys.dedup();
    let mut parts: Vec<Part> = Vec::new();
    let last = keys.pop();
    if !keys.is_empty() {
        let traced = trace(project, model);
        for key in &keys {
            let wanted = |fingerprint: &str| of.get(fingerprint).is_some_and(|own| own <= key);
            let step = alone(project, model, order, &traced, whole, wanted);
            parts.extend(step.and_then(|step| after(parts.last(), step)));
        }
    }
    if last.is_some() {
        // What would have to be undone for the whole is no step towards it.
        while parts
            .last()
            .is_some_and(|part| after(Some(part), whole.clone()).is_none())
        {
            parts.pop();
        }
        parts.extend(after(parts.last(), whole.clone()));
    }
    parts
}

/// `now` as the step after `before`; none when it settles nothing more, or not all that was settled.
fn after(before: Option<&Part>, now: Changeset) -> Option<Part> {
    let earlier = before.map_or(&[][..], |part| part.changeset.findings());
    let has = |among: &[Finished], one: &Finished| among.iter().any(|other| other == one);
    let kept = earlier.iter().all(|one| has(now.findings(), one));
    let files = before.map_or(&[][..], |part| part.changeset.files());
    let still = |path: &str| now.files().iter().any(|file| file.path == path);
    let findings = now.findings().iter().filter(|one| !has(earlier, one));
    let findings: Vec<Finished> = findings.cloned().collect();
    let step = kept && files.iter().all(|file| still(&file.path)) && !findings.is_empty();
    step.then_some(Part {
        changeset: now,
        findings,
    })
}

/// What of `whole` can be changed when nothing but what is `wanted` may be; none when that is not a part of it.
fn alone(
    project: &Project,
    model: &Model,
    order: &Order,
    traced: &Traced,
    whole: &Changeset,
    wanted: impl Fn(&str) -> bool,
) -> Option<Changeset> {
    let mut order = order.clone();
    let others = traced.findings.iter().map(|one| one.fingerprint.clone());
    let others = others.filter(|fingerprint| !wanted(fingerprint));
    order
        .taken_back
        .extend(others.map(|one| (one, Reason::CheckFailed)));
    // As in the whole, what goes with the others is no reason for another rewrite of these.
    let meant: BTreeMap<&str, &Finished> = whole
        .findings()
        .iter()
        .map(|one| (one.fingerprint.as_str(), one))
        .collect();
    loop {
        let now = plan(project, model, traced, &order);
        let before = order.taken_back.len();
        match verify(project, model, traced, &now, &order) {
            Err(failed) => {
                let failed = failed.into_iter();
                order
                    .taken_back
                    .extend(failed.map(|(one, reason)| (one.fingerprint.clone(), reason)));
            }
            Ok(files) => {
                let done = settled(project, traced, &now);
                let strange = |one: &&Finished| meant.get(one.fingerprint.as_str()) != Some(one);
                let strange: Vec<&Finished> = done.iter().filter(strange).collect();
                if strange.is_empty() {
                    return Some(Changeset {
                        base: whole.base.clone(),
                        files,
                        findings: done,
                    });
                }
                let strange = strange.into_iter().map(|one| one.fingerprint.clone());
                order
                    .taken_back
                    .extend(strange.map(|one| (one, Reason::CheckFailed)));
            }
        }
        if order.taken_back.len() == before {
            return None;
        }
    }
}

/// What `plan` rewrites.
pub(super) fn settled(project: &Project, traced: &Traced, plan: &Plan) -> Vec<Finished> {
    let rows = traced.findings.iter().zip(&plan.decisions);
    let rows = rows.zip(plan.by.iter().zip(&plan.notes));
    rows.filter(|((_, decision), _)| matches!(decision, Decision::Rewrite(_)))
        .map(|((finding, _), (by, notes))| finished(project, finding, by, notes))
        .collect()
}
