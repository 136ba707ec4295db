//! What the answers of both sides come to.
//!
//! Invariant: what did not run proves nothing. `proven` needs the attack to run before, and both sides to answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::execute::{Proof, Verdict};

/// Characters of what an application printed that are repeated.
const MOST_SAID: usize = 200;

/// What one side answered.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Side {
    pub error: Option<String>,
    pub message: String,
    pub request: Value,
    attacks: BTreeMap<String, Attack>,
    good: Value,
    garbage: Value,
    other_type: Value,
    wrong: BTreeMap<String, Value>,
    /// Whether what is sent runs something where it is loaded; else it only has to be refused.
    runs: bool,
    /// Whether what is sent is plain data for the load after the change.
    is_data: bool,
    /// The end of what it printed.
    log: String,
    open_network: Option<String>,
}

impl Side {
    /// Python itself did not do what it was to.
    pub(super) fn failed(message: String) -> Side {
        Side {
            error: Some("python-failed".to_owned()),
            message,
            ..Side::default()
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Attack {
    status: Value,
    marker: bool,
}

/// Why nothing can be proven by what `before` gave.
pub(super) fn unproven_before(before: &Side) -> Option<Proof> {
    let (code, message) = match &before.error {
        Some(code) => (
            code.as_str(),
            format!("before the change: {}", before.message),
        ),
        None if !before.runs && is_taken(&before.good) => return None,
        None if !before.runs => (
            "good-data-not-taken",
            format!(
                "before the change, good data is answered with {}",
                before.good
            ),
        ),
        None if !before.attacks.values().any(|attack| attack.marker) => {
            let answers = before.attacks.iter();
            let answers = answers.map(|(name, attack)| format!("{name}: {}", attack.status));
            let answers: Vec<String> = answers.collect();
            let said = before.log.trim().lines().last().unwrap_or_default();
            let said: String = said.chars().take(MOST_SAID).collect();
            let message = format!(
                "the attack does not run before the change; it is answered with {}{}",
                answers.join(", "),
                match said.is_empty() {
                    true => String::new(),
                    false => format!("; the application says {said}"),
                }
            );
            ("attack-did-not-run", message)
        }
        None => return None,
    };
    let mut proof = Proof::not_run(code, message);
    proof.request = spoken(&before.request);
    proof.open_network.clone_from(&before.open_network);
    Some(proof)
}

/// `POST /cart`.
fn spoken(request: &Value) -> Option<String> {
    let word = |key: &str| request[key].as_str();
    Some(format!("{} {}", word("method")?, word("path")?))
}

pub(super) fn judged(before: &Side, after: &Side, noun: &str) -> Proof {
    let ran = before.attacks.iter().filter(|(_, attack)| attack.marker);
    let mut proof = Proof {
        verdict: Verdict::Disproven,
        reason: None,
        message: String::new(),
        request: spoken(&before.request),
        ran_before: ran.map(|(name, _)| name.clone()).collect(),
        answers_after: after
            .attacks
            .iter()
            .map(|(name, attack)| (name.clone(), attack.status.clone()))
            .collect(),
        same_for_good: is_taken(&before.good).then(|| before.good == after.good),
        open_network: before.open_network.clone().or(after.open_network.clone()),
    };
    let (verdict, reason, message) = verdict(before, after, noun);
    proof.verdict = verdict;
    proof.reason = reason.map(str::to_owned);
    proof.message = message;
    proof
}

fn status(answer: &Value) -> Option<u64> {
    answer.as_u64()
}

fn is_taken(answer: &Value) -> bool {
    status(answer).is_some_and(|status| status < 400)
}

fn verdict(before: &Side, after: &Side, noun: &str) -> (Verdict, Option<&'static str>, String) {
    let disproven = |reason, message| (Verdict::Disproven, Some(reason), message);
    if let Some(code) = &after.error {
        let message = format!("after the change ({code}): {}", after.message);
        // What ran before and does not come up any more is the change's doing.
        return match code.as_str() {
            "timed-out" | "ended" => (Verdict::NotRun, Some("after-not-run"), message),
            _ => disproven("after-broken", message),
        };
    }
    if let Some((name, _)) = after.attacks.iter().find(|(_, attack)| attack.marker) {
        let message = format!("{noun} ({name}) still run after the change");
        return disproven("attack-runs", message);
    }
    let answered = |name: &str, answer: &Value| match status(answer) {
        Some(400 | 413 | 414 | 431) => true,
        // What the handler or the framework said before to what they do not take, they may say still.
        Some(status) => {
            let then = before.wrong.get(name).unwrap_or(&before.garbage);
            status < 500 && (answer == then || *answer == before.garbage)
        }
        // No client can send it.
        None => answer.is_string(),
    };
    let sent = after.attacks.values().map(|attack| &attack.status);
    if !sent.clone().any(|answer| status(answer).is_some()) {
        let message = "no attack could be delivered after the change".to_owned();
        return (Verdict::NotRun, Some("after-not-run"), message);
    }
    let attacks = after
        .attacks
        .iter()
        .map(|(name, attack)| (name, &attack.status))
        // What only looks strange is answered as the handler likes.
        .filter(|(name, answer)| {
            let then = before.attacks.get(*name).map(|attack| &attack.status);
            let tolerated = status(answer).is_some_and(|now| now < 500) || then == Some(*answer);
            !(after.is_data && tolerated)
        });
    if let Some((name, answer)) = attacks
        .chain(&after.wrong)
        .find(|(name, answer)| !answered(name, answer))
    {
        let message = format!("after the change, {name} is answered with {answer} instead of 400");
        return disproven("wrong-answer", message);
    }
    if is_taken(&before.good) && before.good != after.good {
        let message = format!(
            "good data is answered with {} after the change, and was with {}",
            after.good, before.good
        );
        return disproven("good-data-refused", message);
    }
    if status(&after.other_type).is_some_and(|now| now >= 500)
        && status(&before.other_type).is_some_and(|then| then < 500)
    {
        let message = format!(
            "data of another type is answered with {} after the change, and was with {}",
            after.other_type, before.other_type
        );
        return disproven("wrong-answer", message);
    }
    let codes: std::collections::BTreeSet<u64> = sent.filter_map(status).collect();
    let codes: Vec<String> = codes.iter().map(u64::to_string).collect();
    let ran = before.attacks.values().filter(|attack| attack.marker);
    let (all, codes) = (before.attacks.len(), codes.join(", "));
    let message = match (before.runs, after.is_data) {
        (false, _) => format!(
            "reading it runs nothing; it was read before ({}), and after, none of {all} is: {codes}",
            before.good
        ),
        (true, true) => format!(
            "{} of {all} {noun} ran before; after, they are read as plain data: {codes}",
            ran.count()
        ),
        (true, false) => format!(
            "{} of {all} {noun} ran before; after, none does: {codes}",
            ran.count()
        ),
    };
    (Verdict::Proven, None, message)
}
