//! What was seen of one load, made into one finding.

use std::collections::{BTreeSet, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::env::{Verdict, verdict};
use super::guards::in_vain;
use super::handlers::Handler;
use super::known::NAMED_SOURCE;
use super::machine::{Machine, Reached, Safe};
use super::queues::QUEUE;
use super::sites::Site;
use super::taint::{Place, Taint};
use super::value::{Atom, Const, Value};
use super::{Finding, Reach, Route, TaintPath, enclosing};
use crate::defect::strike;
use crate::pack::{Model, Shape, Trust};
use crate::project::Project;

/// All that was seen of one load, made into one finding.
pub(super) fn finding(
    site: &Site,
    reached: &[&(Option<Handler>, Reached)],
    machine: &Machine<'_>,
) -> Finding {
    let mut routes: Vec<Route> = Vec::new();
    let mut open: Vec<Taint> = Vec::new();
    let mut arriving: Vec<Taint> = Vec::new();
    let mut guarded = false;
    let mut safe: Option<Safe> = None;
    let mut unknown = false;
    let mut pickled = false;
    let mut constant = false;
    let mut maybe_none = false;
    let mut levels = BTreeSet::new();
    for (handler, reached) in reached {
        // A load that is safe where it stands reads pickles all the same.
        arriving.extend(reached.value.taints().into_iter().cloned());
        if let Some(why) = reached.safe {
            safe = Some(why);
            continue;
        }
        let taints = reached.value.taints();
        let paths = taints
            .iter()
            .map(|taint| TaintPath::new(taint, site.place, &site.name));
        let same = |route: &&mut Route| {
            (&route.handler, route.holder) == (handler, reached.holder)
                && route.chain.len() == reached.chain.len()
                && route.chain.iter().eq(reached.chain.iter())
        };
        match routes.iter_mut().find(same) {
            Some(route) => route.paths.extend(paths),
            None => routes.push(Route {
                handler: handler.clone(),
                chain: reached.chain.iter().cloned().collect(),
                holder: reached.holder,
                paths: paths.collect(),
            }),
        }
        for taint in &taints {
            match verdict(&reached.checked, taint) {
                Some(Verdict::Signed) => guarded = true,
                Some(Verdict::Sham(sham)) => open.push(Taint {
                    sham: Some(sham),
                    ..(*taint).clone()
                }),
                Some(Verdict::Harmless) => open.push((*taint).clone()),
                None => open.push(Taint {
                    sham: taint
                        .sham
                        .or_else(|| in_vain(&machine.looked, taint, reached.holder)),
                    ..(*taint).clone()
                }),
            }
        }
        levels.extend(taints.iter().map(|taint| taint.trust));
        // What the program pickles itself is judged with its writer.
        if taints.is_empty() && !reached.value.is_pickled() {
            levels.insert(match origin_unknown(&reached.value) {
                true => Trust::Unknown,
                false => Trust::Trusted,
            });
        }
        let is_none = |atom: &Atom| matches!(atom, Atom::Const(Const::None));
        maybe_none |= reached.value.atoms().iter().any(is_none)
            || taints.iter().any(|taint| taint.shape == Shape::Any);
        guarded |= reached.value.atoms().contains(&Atom::Verified);
        pickled |= reached
            .value
            .atoms()
            .iter()
            .any(|a| matches!(a, Atom::Pickled(..)));
        let of_unknown = taints.is_empty() && origin_unknown(&reached.value);
        unknown |= of_unknown;
        constant |= taints.is_empty() && !of_unknown;
    }
    // The most exposed first, then the shortest.
    open.sort_by_key(|taint| (taint.trust, taint.length(), taint.origin));
    let worst = open.first();
    let writers = machine.links(&arriving, reached);
    let reach = match worst {
        Some(_) => Reach::Untrusted,
        None if guarded => Reach::Guarded,
        None if reached.is_empty() => Reach::NotReached,
        None if unknown => Reach::UnknownOrigin,
        None if pickled => Reach::OwnRoundTrip,
        None if constant => Reach::Constant,
        None => match safe {
            Some(Safe::Arguments) => Reach::SafeArguments,
            Some(Safe::Class | Safe::Hook) => Reach::Restricted,
            None => Reach::Constant,
        },
    };
    let trust = match reach {
        Reach::Untrusted => worst.map_or(Trust::Unknown, |taint| taint.trust),
        Reach::UnknownOrigin | Reach::NotReached => Trust::Unknown,
        Reach::Guarded
        | Reach::Constant
        | Reach::OwnRoundTrip
        | Reach::SafeArguments
        | Reach::Restricted => Trust::Trusted,
    };
    Finding {
        place: site.place,
        sink: site.sink,
        name: site.name.clone(),
        form: site.form,
        reach,
        trust,
        path: worst.map(|taint| TaintPath::new(taint, site.place, &site.name)),
        channel: worst.map_or(String::new(), |taint| taint.channel.to_string()),
        key: worst.and_then(|taint| match &*taint.channel {
            QUEUE => machine.only_queue(taint.queue.as_deref()),
            _ => taint.key.as_deref().map(str::to_owned),
        }),
        levels,
        named_by_client: open.iter().any(|taint| *taint.channel == *NAMED_SOURCE),
        maybe_none,
        writers,
        sham: worst.and_then(|taint| taint.sham),
        uses: Vec::new(),
        routes,
        test: false,
        complete: true,
        fingerprint: String::new(),
        alike: String::new(),
    }
}

fn origin_unknown(value: &Value) -> bool {
    let known = |atom: &Atom| {
        matches!(
            atom,
            Atom::Const(_)
                | Atom::Pattern(_)
                | Atom::Number(_)
                | Atom::Pickled(..)
                | Atom::Verified
        )
    };
    value.is_empty()
        || value.atoms().iter().any(|atom| match atom {
            Atom::Container(container) => origin_unknown(&container.any()),
            atom => !known(atom),
        })
}

/// Gives each finding its fingerprint.
pub(super) fn fingerprint(project: &Project, model: &Model, findings: &mut [Finding]) {
    let mut seen: HashSet<String> = HashSet::new();
    // Ranks below are taken by loads of the same words.
    let mut ranks: HashMap<String, usize> = HashMap::new();
    for finding in findings {
        let Place { file, span } = finding.place;
        let words = project.caught(file, || {
            strike("fingerprint", project.path(file));
            let source = project.source(file);
            let function = enclosing(project, file, span);
            let text: String = source.slice(span).split_whitespace().collect();
            let transform = model.sink_row(finding.sink);
            let transform = transform.map_or("", |(t, _)| t.id.as_str());
            [transform, source.path(), &function, &text].join("\0")
        });
        let words = words.unwrap_or_else(|| {
            finding.complete = false;
            format!("{}\0{}", project.path(file), span.start)
        });
        let of_rank = |rank: usize| -> String {
            let digest = Sha256::digest(format!("{words}\0{rank}"));
            let bytes = digest.iter().take(8);
            bytes.map(|byte| format!("{byte:02x}")).collect()
        };
        finding.alike = of_rank(0);
        let first = ranks.entry(words.clone()).or_default();
        for rank in *first.. {
            let hex = of_rank(rank);
            if seen.insert(hex.clone()) {
                finding.fingerprint = hex;
                *first = rank.saturating_add(1);
                break;
            }
        }
    }
}
