//! What to change, or why not: exactly one [`Decision`] for each finding.
//!
//! Invariant: never a wrong edit. A rewrite is planned only where every condition for it was seen to hold;
//! anything else is a [`Reason`].

mod attempt;
mod call;
mod callers;
mod choice;
mod classes;
mod guard;
mod imports;
mod load;
mod names;
mod position;
mod quiet;
mod raised;
mod reason;
mod room;
mod uses;
mod wrap;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::pack::{Model, Trust};
use crate::project::{FileId, Project};
use crate::text::{Edit, EditSet, Span};
use crate::trace::{Finding, Form, Reach};

pub use reason::Reason;

use classes::Allowed;
use names::{Fresh, Need};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Trust levels whose findings may be rewritten.
    pub trust: Vec<Trust>,
    /// Message of the answer; the transform's own when absent.
    pub message: Option<String>,
    /// What loads are to become, if not what is tried first: the end of a transform's id, `restricted`.
    pub to: Option<String>,
    /// What is only suggested is rewritten too.
    pub suggestions: bool,
    /// Test code and examples are treated too.
    pub tests: bool,
    /// Findings, by fingerprint, whose change did not pass the checks, and why.
    pub taken_back: HashMap<String, Reason>,
}

impl Default for Order {
    fn default() -> Order {
        Order {
            trust: vec![Trust::Http, Trust::Network],
            message: None,
            to: None,
            suggestions: false,
            tests: false,
            taken_back: HashMap::new(),
        }
    }
}

/// Edits by file.
pub type Changes = BTreeMap<FileId, EditSet>;

/// What happens to one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These edits (and imports, see [`Plan::changes`]) make it safe.
    Rewrite(Changes),
    /// These edits would, but a person has to decide.
    Suggest(Changes, Reason),
    /// It stays, and something is owed.
    Refuse(Reason),
    /// Nothing is owed: a check stands before it.
    Guarded(Reason),
    /// Nothing is owed: no attacker reaches it.
    Trusted(Reason),
    /// The code says that it is to be left alone.
    Suppressed,
}

impl Decision {
    /// The word used in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Decision::Rewrite(_) => "rewrite",
            Decision::Suggest(..) => "suggest",
            Decision::Refuse(_) => "refuse",
            Decision::Guarded(_) => "guarded",
            Decision::Trusted(_) => "trusted",
            Decision::Suppressed => "suppressed",
        }
    }

    /// Why, where there is a why.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Decision::Suggest(_, reason)
            | Decision::Refuse(reason)
            | Decision::Guarded(reason)
            | Decision::Trusted(reason) => Some(*reason),
            Decision::Rewrite(_) | Decision::Suppressed => None,
        }
    }
}

/// One decision for each finding, in their order, and all edits together.
#[derive(Debug, Default)]
pub struct Plan {
    /// Parallel to the findings.
    pub decisions: Vec<Decision>,
    /// Ids of the transforms that decided, parallel to the findings.
    pub by: Vec<String>,
    /// All edits of all rewrites, imports included.
    pub changes: Changes,
}

/// What one finding's rewrite does, before it is fitted together with the others.
#[derive(Debug, Default)]
struct Draft {
    edits: BTreeMap<FileId, Vec<Edit>>,
    needs: BTreeMap<FileId, BTreeSet<Need>>,
    /// Places whose text vanishes: imports that only they used can go.
    gone: Vec<(FileId, Span)>,
    /// A person has to decide, for this reason.
    suggest: Option<Reason>,
    /// The transform, if not the sink's own.
    by: Option<String>,
    /// Names that the new text uses: their imports stay.
    kept: BTreeSet<(FileId, String)>,
}

impl Draft {
    fn edit(&mut self, file: FileId, edits: impl IntoIterator<Item = Edit>) {
        self.edits.entry(file).or_default().extend(edits);
    }

    fn need(&mut self, file: FileId, needs: impl IntoIterator<Item = Need>) {
        self.needs.entry(file).or_default().extend(needs);
    }

    fn keep(&mut self, file: FileId, names: impl IntoIterator<Item = String>) {
        self.kept.extend(names.into_iter().map(|name| (file, name)));
    }
}

/// Decides what happens to each of `findings`.
pub fn plan(project: &Project, model: &Model, findings: &[Finding], order: &Order) -> Plan {
    let mut planner = Planner {
        project,
        model,
        order,
        findings,
        fresh: HashMap::new(),
        classes: HashMap::new(),
    };
    let mut accepted: Changes = Changes::new();
    let mut needs: BTreeMap<FileId, BTreeSet<Need>> = BTreeMap::new();
    let mut gone: BTreeMap<FileId, Vec<Span>> = BTreeMap::new();
    let mut kept: BTreeSet<(FileId, String)> = BTreeSet::new();
    let mut decisions = Vec::with_capacity(findings.len());
    let mut by = Vec::with_capacity(findings.len());
    for finding in findings {
        let own = model.sink_row(finding.sink).map(|(t, _)| t.id.clone());
        let draft = planner.draft(finding);
        let other = draft.as_ref().ok().and_then(|draft| draft.by.clone());
        by.push(other.or(own).unwrap_or_default());
        let decision = match draft {
            Err(decision) => decision,
            Ok(draft) => match fit(&accepted, &draft) {
                None => Decision::Refuse(Reason::NestedLoads),
                Some((together, own)) => {
                    if let Some(reason) = draft.suggest.filter(|_| !order.suggestions) {
                        decisions.push(Decision::Suggest(own, reason));
                        continue;
                    }
                    accepted = together;
                    for (file, more) in draft.needs {
                        needs.entry(file).or_default().extend(more);
                    }
                    for (file, span) in draft.gone {
                        gone.entry(file).or_default().push(span);
                    }
                    kept.extend(draft.kept);
                    Decision::Rewrite(own)
                }
            },
        };
        decisions.push(decision);
    }
    let known = imports::Known {
        old: model.sink_modules(),
        stdlib: model
            .frameworks
            .iter()
            .filter(|f| f.id == "stdlib")
            .flat_map(|f| f.packages.clone())
            .collect(),
    };
    let files: BTreeSet<FileId> = accepted.keys().copied().collect();
    let nothing = BTreeSet::new();
    for file in files {
        let needs = needs.get(&file).unwrap_or(&nothing);
        let gone = gone.get(&file).map_or(&[][..], Vec::as_slice);
        let kept = kept.iter().filter(|(id, _)| *id == file);
        let kept: BTreeSet<&str> = kept.map(|(_, name)| name.as_str()).collect();
        let edits = imports::imports(project, file, needs, gone, &kept, &known);
        let fitted = EditSet::new(edits).and_then(|edits| {
            accepted
                .get(&file)
                .cloned()
                .unwrap_or_default()
                .union(&edits)
        });
        match fitted {
            Ok(edits) => {
                accepted.insert(file, edits);
            }
            // The imports cannot be written beside the loads: nothing in this file is.
            Err(_) => give_up(&mut decisions, &mut accepted, file),
        }
    }
    Plan {
        decisions,
        by,
        changes: accepted,
    }
}

/// `draft` together with what was `accepted` before, and alone; nothing when they claim the same text.
fn fit(accepted: &Changes, draft: &Draft) -> Option<(Changes, Changes)> {
    let mut together = accepted.clone();
    let mut own = Changes::new();
    for (file, edits) in &draft.edits {
        let edits = EditSet::new(edits.clone()).ok()?;
        let before = together.remove(file).unwrap_or_default();
        together.insert(*file, before.union(&edits).ok()?);
        own.insert(*file, edits);
    }
    Some((together, own))
}

/// Takes back every rewrite that touches `file`, and what those touch elsewhere.
fn give_up(decisions: &mut [Decision], accepted: &mut Changes, file: FileId) {
    let mut kept = Changes::new();
    for decision in decisions {
        let Decision::Rewrite(changes) = decision else {
            continue;
        };
        if changes.contains_key(&file) {
            *decision = Decision::Refuse(Reason::CheckFailed);
            continue;
        }
        for (file, edits) in changes {
            let before: EditSet = kept.remove(file).unwrap_or_default();
            if let Ok(edits) = before.union(edits) {
                kept.insert(*file, edits);
            }
        }
    }
    *accepted = kept;
}

struct Planner<'p> {
    project: &'p Project,
    model: &'p Model,
    order: &'p Order,
    findings: &'p [Finding],
    fresh: HashMap<FileId, Fresh>,
    /// Classes to be added, by what they allow: name and place.
    classes: HashMap<(FileId, Allowed), (String, usize)>,
}

impl Planner<'_> {
    /// The rewrite of `finding`, or the decision where there is none.
    fn draft(&mut self, finding: &Finding) -> Result<Draft, Decision> {
        match finding.reach {
            Reach::Guarded => return Err(Decision::Guarded(Reason::SignatureChecked)),
            Reach::Constant => return Err(Decision::Trusted(Reason::ConstantInput)),
            Reach::OwnRoundTrip => return Err(Decision::Trusted(Reason::OwnRoundTrip)),
            Reach::SafeArguments => return Err(Decision::Guarded(Reason::SafeArguments)),
            Reach::Restricted => return Err(Decision::Guarded(Reason::RestrictedUnpickler)),
            _ => {}
        }
        let refuse = |reason| Err(Decision::Refuse(reason));
        if self.project.source(finding.place.file).unparsed().is_some() {
            return refuse(Reason::FileNotParsed);
        }
        match (finding.form, finding.reach) {
            (Form::Base, _) => return Err(Decision::Guarded(Reason::RestrictedUnpickler)),
            (Form::Reference, _) => return refuse(Reason::PassedAsAFunction),
            (_, Reach::NotReached) => return refuse(Reason::NotReached),
            (_, Reach::UnknownOrigin) => return refuse(Reason::OriginUnknown),
            (Form::Call | Form::Indirect, _) => {}
        }
        if !self.order.trust.contains(&finding.trust) {
            return refuse(match finding.trust {
                Trust::Http => Reason::WebClient,
                Trust::Network => Reason::NetworkPeer,
                Trust::Stored => Reason::StoredData,
                Trust::File => Reason::LocalFile,
                Trust::Unknown | Trust::Trusted => Reason::NoCaller,
            });
        }
        if finding.test && !self.order.tests {
            return refuse(Reason::TestCode);
        }
        if finding.form == Form::Indirect {
            return refuse(Reason::IndirectCall);
        }
        if !finding.complete {
            return refuse(Reason::AnalysisBound);
        }
        let mut paths = finding.routes.iter().flat_map(|route| &route.paths);
        if paths.any(|path| path.hops().iter().any(|hop| hop.opaque)) {
            return refuse(Reason::UnknownCall);
        }
        if !finding
            .levels
            .iter()
            .all(|level| self.order.trust.contains(level))
        {
            return refuse(Reason::MixedOrigins);
        }
        if let Some(reason) = self.order.taken_back.get(&finding.fingerprint) {
            return refuse(*reason);
        }
        self.chosen(finding).map_err(Decision::Refuse)
    }
}
