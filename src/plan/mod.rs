//! What to change, or why not: exactly one [`Decision`] for each finding.
//!
//! Invariant: never a wrong edit. A rewrite is planned only where every condition for it was seen to hold;
//! anything else is a [`Reason`].

mod answers;
mod attempt;
mod call;
mod callers;
mod choice;
mod classes;
mod content;
mod decorators;
mod dual;
mod groups;
mod guard;
mod imports;
mod likeness;
mod lines;
mod load;
mod log;
mod magic;
mod makers;
mod names;
mod once;
mod position;
mod quiet;
mod raised;
mod reason;
mod room;
mod setting;
mod streams;
mod suggest;
mod suppress;
mod template;
mod trailing;
mod uses;
mod wrap;
mod writers;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::defect::{blamed, caught, strike};
use crate::pack::{Model, Trust};
use crate::project::{FileId, Project};
use crate::python::Bound;
use crate::text::{Edit, EditSet, Span};
use crate::trace::{Finding, Followed, Form, Place, Reach, Traced, Writing, is_settled};

pub use callers::{OtherCaller, other_callers};
pub use dual::MARK as DUAL_READ;
pub use groups::Note;
pub use reason::Reason;
pub(crate) use suppress::line_above;

use classes::Allowed;
use dual::Windows;
use names::{Fresh, Need};
use once::Once;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Trust levels whose findings may be rewritten.
    pub trust: Vec<Trust>,
    /// Message of the answer; the transform's own when absent.
    pub message: Option<String>,
    /// What loads are to become, if not what is tried first: the end of a transform's id, `restricted`.
    pub to: Option<String>,
    /// A refused request is logged, before the answer.
    pub log_rejects: bool,
    /// Stored data is read in the old format too, through an allow-list, until that is finished.
    pub dual_read: bool,
    /// Such reading ends; nothing else changes.
    pub finish_dual_read: bool,
    /// What is only suggested is rewritten too.
    pub suggestions: bool,
    /// Test code and examples are treated too.
    pub tests: bool,
    /// Every load is treated alike, whoever reaches it: a test of the rewrite.
    pub every: bool,
    /// Comments that leave loads alone are written instead of rewrites.
    pub ignore: Option<Ignore>,
    /// Fingerprints of findings that a reviewer left as they are.
    pub skipped: BTreeSet<String>,
    /// Findings, by fingerprint, whose change did not pass the checks, and why.
    pub taken_back: HashMap<String, Reason>,
}

impl Default for Order {
    fn default() -> Order {
        Order {
            trust: vec![Trust::Http, Trust::Network],
            message: None,
            to: None,
            log_rejects: false,
            dual_read: false,
            finish_dual_read: false,
            suggestions: false,
            tests: false,
            every: false,
            ignore: None,
            skipped: BTreeSet::new(),
            taken_back: HashMap::new(),
        }
    }
}

/// Which loads are to be left alone, and why.
#[derive(Debug, Clone)]
pub struct Ignore {
    /// In one line.
    pub reason: String,
    /// What their fingerprints start with; all that count when empty.
    pub only: Vec<String>,
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
    /// Parallel to the findings: what else is to be said of them.
    pub notes: Vec<Vec<Note>>,
    /// Parallel to the findings: equal for those that move together or not at all.
    pub together: Vec<usize>,
    /// Comments of depickle's own that leave no load alone.
    pub unused: Vec<Place>,
    /// All edits of all rewrites, imports included.
    pub changes: Changes,
    /// Those, and the edits of all suggestions; empty where nothing is suggested.
    pub suggested: Changes,
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
    /// A use that what the project itself writes has to justify.
    doubt: Option<Note>,
    /// The transform, if not the sink's own.
    by: Option<String>,
    /// It reads both formats for a while.
    dual_read: bool,
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

/// Drafts that fit together.
#[derive(Debug, Default, Clone)]
struct Joined {
    changes: Changes,
    needs: BTreeMap<FileId, BTreeSet<Need>>,
    gone: BTreeMap<FileId, Vec<Span>>,
    kept: BTreeSet<(FileId, String)>,
}

impl Joined {
    /// Takes in `draft` and gives its own edits; nothing, and takes in nothing, when it claims the same text as another.
    fn join(&mut self, draft: &Draft) -> Option<Changes> {
        if clashes(&self.needs, draft) {
            return None;
        }
        let mut own = Changes::new();
        for (file, edits) in &draft.edits {
            let edits = EditSet::new(edits.clone()).ok()?;
            let fits = |all: &EditSet| all.fits(&edits);
            if !self.changes.get(file).is_none_or(fits) {
                return None;
            }
            own.insert(*file, edits);
        }
        for (file, edits) in &own {
            self.changes.entry(*file).or_default().add(edits).ok()?;
        }
        for (file, more) in &draft.needs {
            let needs = self.needs.entry(*file).or_default();
            needs.extend(more.iter().cloned());
        }
        for (file, span) in &draft.gone {
            self.gone.entry(*file).or_default().push(*span);
        }
        self.kept.extend(draft.kept.iter().cloned());
        Some(own)
    }

    /// Adds the imports, where they belong, and the functions of `windows`; gives the files in which they cannot be
    /// written beside the loads.
    fn finish(
        &mut self,
        project: &Project,
        model: &Model,
        known: &imports::Known,
        windows: &Windows,
    ) -> Vec<(FileId, Reason)> {
        let mut failed = Vec::new();
        let nothing = BTreeSet::new();
        let files: BTreeSet<FileId> = self.changes.keys().copied().collect();
        for file in files {
            let needs = self.needs.get(&file).unwrap_or(&nothing);
            let gone = self.gone.get(&file).map_or(&[][..], Vec::as_slice);
            let kept = self.kept.iter().filter(|(id, _)| *id == file);
            let kept: BTreeSet<&str> = kept.map(|(_, name)| name.as_str()).collect();
            let edits = imports::imports(project, file, needs, gone, &kept, known);
            let all = self.changes.entry(file).or_default();
            if EditSet::new(edits)
                .and_then(|edits| all.add(&edits))
                .is_err()
            {
                failed.push((file, Reason::CheckFailed));
            }
        }
        for ((file, transform), names) in windows {
            let transform = model.transforms.iter().find(|t| t.id == *transform);
            let dual = transform.and_then(|t| t.dual_read.as_ref());
            let (Some(edits), Some(dual)) = (self.changes.get(file), dual) else {
                continue;
            };
            match dual::opened(project, model, *file, edits, (dual, names), known) {
                Some(edits) => {
                    self.changes.insert(*file, edits);
                }
                None => failed.push((*file, Reason::DualReadLeavesTraces)),
            }
        }
        failed
    }
}

impl Order {
    /// Of which loads [`plan`] asks what is done with their values.
    pub fn followed(&self) -> Followed {
        match self.every {
            true => Followed::All,
            false => Followed::Of(self.trust.clone()),
        }
    }

    /// The same, where a panic took back the rewrites of `findings`.
    pub fn without<'f>(&self, findings: impl Iterator<Item = &'f Finding>) -> Order {
        let mut order = self.clone();
        let failed = findings.map(|f| (f.fingerprint.clone(), Reason::AnalysisFailed));
        order.taken_back.extend(failed);
        order
    }
}

/// Decides what happens to each finding of `traced`.
pub fn plan(project: &Project, model: &Model, traced: &Traced, order: &Order) -> Plan {
    let mut order = order.clone();
    let open = |order: &Order| {
        let mut findings = traced.findings.iter();
        findings.any(|finding| !order.taken_back.contains_key(&finding.fingerprint))
    };
    loop {
        let fits = |order: &Order| fitted(project, model, traced, order);
        // With nothing left to be rewritten a panic is not for this project to bear.
        let fitted = match open(&order) {
            true => caught(|| fits(&order)),
            false => Ok(fits(&order)),
        };
        match fitted {
            Ok(Ok(plan)) => return plan,
            // Without these the others, and what is bound to them, are decided anew.
            Ok(Err(failed)) => order.taken_back.extend(failed),
            Err(said) => {
                let open = traced.findings.iter();
                let open = open.filter(|f| !order.taken_back.contains_key(&f.fingerprint));
                let open: Vec<&Finding> = open.collect();
                let failed = blamed(0..open.len(), |some| {
                    let others = open.iter().enumerate().filter(|(n, _)| !some.contains(n));
                    let order = order.without(others.map(|(_, finding)| *finding));
                    caught(|| fits(&order)).is_err()
                });
                let failed = failed.into_iter().filter_map(|n| open.get(n).copied());
                let failed: Vec<&Finding> = failed.collect();
                for finding in &failed {
                    project.failed(finding.place.file, said.clone());
                }
                order = order.without(failed.into_iter());
            }
        }
    }
}

/// The plan for `order`, or findings whose edits do not fit with the others, never none, and never one of those that
/// were taken back.
fn fitted(
    project: &Project,
    model: &Model,
    traced: &Traced,
    order: &Order,
) -> Result<Plan, Vec<(String, Reason)>> {
    let findings = &traced.findings;
    let mut planner = Planner {
        project,
        model,
        order,
        findings,
        unsure: !project.defects().is_empty(),
        seen: guard::Seen::default(),
        once: Once::default(),
        writings: &traced.writings,
        writing_files: &traced.writing_files,
        fresh: HashMap::new(),
        classes: HashMap::new(),
        windows: Windows::new(),
        together: (0..findings.len()).collect(),
    };
    let mut by = Vec::with_capacity(findings.len());
    let mut drafts = Vec::with_capacity(findings.len());
    for finding in findings {
        let own = model.sink_row(finding.sink).map(|(t, _)| t.id.clone());
        let file = finding.place.file;
        let draft = project.caught(file, || {
            strike("plan", project.path(file));
            planner.draft(finding)
        });
        let draft = match draft {
            Some(draft) => draft,
            // What it left behind is not built upon.
            None if !order.taken_back.contains_key(&finding.fingerprint) => {
                let failed = (finding.fingerprint.clone(), Reason::AnalysisFailed);
                return Err(vec![failed]);
            }
            None => Err(Decision::Refuse(Reason::AnalysisFailed)),
        };
        let other = draft.as_ref().ok().and_then(|draft| draft.by.clone());
        by.push(other.or(own).unwrap_or_default());
        drafts.push(draft);
    }
    for (finding, _) in findings.iter().zip(&drafts).filter(|(_, d)| d.is_ok()) {
        strike("fit", project.path(finding.place.file));
    }
    let (drafts, mut notes) = planner.with_writers(drafts);
    for (by, draft) in by.iter_mut().zip(&drafts) {
        let now = draft.as_ref().ok().and_then(|draft| draft.by.clone());
        *by = now.unwrap_or_else(|| std::mem::take(by));
    }
    let dual_read = |draft: &Result<Draft, Decision>| draft.as_ref().is_ok_and(|d| d.dual_read);
    let dual_read: Vec<bool> = drafts.iter().map(dual_read).collect();
    // What is taken back of those that move together changes the others; alone, it does not.
    let mut members: HashMap<usize, usize> = HashMap::new();
    for group in &planner.together {
        *members.entry(*group).or_default() += 1;
    }
    let alone = |n: usize| planner.together.get(n).and_then(|group| members.get(group)) == Some(&1);
    let mut failed = Vec::new();
    let mut accepted = Joined::default();
    let mut doubtful = Vec::new();
    let mut decisions = Vec::with_capacity(findings.len());
    for (n, (finding, draft)) in findings.iter().zip(drafts).enumerate() {
        decisions.push(match draft {
            Err(decision) => decision,
            Ok(draft) if clashes(&accepted.needs, &draft) => Decision::Refuse(Reason::NameTaken),
            Ok(draft) => match draft.suggest {
                Some(reason) if !order.suggestions => {
                    doubtful.push((n, draft, reason));
                    Decision::Refuse(reason)
                }
                _ => match accepted.join(&draft) {
                    Some(changes) => Decision::Rewrite(changes),
                    None => {
                        failed.push((finding.fingerprint.clone(), Reason::NestedLoads));
                        if !alone(n) {
                            return Err(failed);
                        }
                        Decision::Refuse(Reason::NestedLoads)
                    }
                },
            },
        });
    }
    if !failed.is_empty() {
        return Err(failed);
    }
    let mut old = model.sink_modules();
    if order.finish_dual_read {
        old.extend(dual::imported(project));
    }
    let known = imports::Known {
        old,
        stdlib: model
            .frameworks
            .iter()
            .filter(|f| f.id == "stdlib")
            .flat_map(|f| f.packages.clone())
            .collect(),
    };
    let mut all = accepted.clone();
    for (n, draft, reason) in doubtful {
        let (Some(finding), Some(decision)) = (findings.get(n), decisions.get_mut(n)) else {
            continue;
        };
        match all.join(&draft) {
            Some(changes) => *decision = Decision::Suggest(changes, reason),
            None => {
                failed.push((finding.fingerprint.clone(), reason));
                if !alone(n) {
                    return Err(failed);
                }
            }
        }
    }
    if !failed.is_empty() {
        return Err(failed);
    }
    let mut suggested = Changes::new();
    if decisions.iter().any(|d| matches!(d, Decision::Suggest(..))) {
        let failed = all.finish(project, model, &known, &planner.windows);
        match failed.is_empty() {
            true => suggested = all.changes,
            false => withdraw(&mut decisions),
        }
    }
    let failed = accepted.finish(project, model, &known, &planner.windows);
    if !failed.is_empty() {
        // The imports cannot be written beside the loads: nothing in these files is.
        let all = failed.iter();
        let all = all.map(|(file, reason)| touching(findings, &decisions, *file, *reason));
        return Err(all.collect::<Vec<_>>().concat());
    }
    let rows = findings.iter().zip(&decisions).zip(&by).zip(&mut notes);
    for ((((finding, decision), by), notes), dual_read) in rows.zip(dual_read) {
        let moves = !planner.same_format(by) && !order.finish_dual_read;
        let changes = matches!(decision, Decision::Rewrite(_) | Decision::Suggest(..));
        if *decision == Decision::Suppressed {
            notes.extend(planner.suppressed(finding));
        }
        let of_writer = |note: &groups::Note| note.code.starts_with("writer-");
        if changes && moves && !notes.iter().any(of_writer) {
            notes.push(groups::elsewhere(finding));
        }
        notes.extend(planner.decisive_use(finding, decision.reason()));
        if changes && order.dual_read {
            notes.extend(groups::of_old_data(dual_read, moves));
            notes.retain(|note| !dual_read || note.code != "old-data");
        }
    }
    Ok(Plan {
        decisions,
        by,
        notes,
        together: planner.together,
        unused: suppress::unused(project, model, traced),
        changes: accepted.changes,
        suggested,
    })
}

/// Takes back all suggestions.
fn withdraw(decisions: &mut [Decision]) {
    for decision in decisions {
        if let Decision::Suggest(_, reason) = decision {
            *decision = Decision::Refuse(*reason);
        }
    }
}

/// Whether an import that `draft` needs would bind a name that another import that is needed binds.
fn clashes(needs: &BTreeMap<FileId, BTreeSet<Need>>, draft: &Draft) -> bool {
    let differ = |a: &Need, b: &Need| {
        a.local() == b.local() && a != b && !(a.name.is_none() && b.name.is_none())
    };
    draft.needs.iter().any(|(file, more)| {
        let before = needs.get(file).into_iter().flatten();
        let all: Vec<&Need> = before.chain(more).collect();
        more.iter()
            .any(|need| all.iter().any(|other| differ(need, other)))
    })
}

/// The rewrites that touch `file`.
fn touching(
    findings: &[Finding],
    decisions: &[Decision],
    file: FileId,
    reason: Reason,
) -> Vec<(String, Reason)> {
    let rows = findings.iter().zip(decisions);
    let touches = rows.filter(|(_, decision)| match decision {
        Decision::Rewrite(changes) => changes.contains_key(&file),
        _ => false,
    });
    touches
        .map(|(finding, _)| (finding.fingerprint.clone(), reason))
        .collect()
}

struct Planner<'p> {
    project: &'p Project,
    model: &'p Model,
    order: &'p Order,
    findings: &'p [Finding],
    /// depickle failed on some of the code.
    unsure: bool,
    seen: guard::Seen,
    once: Once<'p>,
    writings: &'p [Writing],
    writing_files: &'p [FileId],
    fresh: HashMap<FileId, Fresh>,
    /// Classes to be added, by what they allow: name and place.
    classes: HashMap<(FileId, Allowed), (String, usize)>,
    /// What reads both formats, by file.
    windows: Windows,
    /// See [`Plan::together`].
    together: Vec<usize>,
}

impl Planner<'_> {
    /// The rewrite of `finding`, or the decision where there is none.
    fn draft(&mut self, finding: &Finding) -> Result<Draft, Decision> {
        if self.order.skipped.contains(&finding.fingerprint) {
            return Err(Decision::Refuse(Reason::SkippedInReview));
        }
        if let Some(windowed) = self.in_window(finding) {
            return windowed;
        }
        let owed =
            !is_settled(finding) && !matches!(finding.reach, Reach::Guarded | Reach::Constant);
        if owed && self.suppressed(finding).is_some() {
            return Err(Decision::Suppressed);
        }
        match finding.reach {
            _ if self.order.every => {}
            // Not even that it does no harm is known.
            _ if self.unsure && !finding.complete => {
                return Err(Decision::Refuse(Reason::AnalysisFailed));
            }
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
        if self
            .project
            .source(finding.place.file)
            .in_magic(finding.place.span)
        {
            return refuse(Reason::LineMagic);
        }
        match (finding.form, finding.reach) {
            (Form::Base, _) => return Err(Decision::Guarded(Reason::RestrictedUnpickler)),
            (Form::Reference, _) => return refuse(Reason::PassedAsAFunction),
            (Form::Indirect, _) if self.order.every => return refuse(Reason::IndirectCall),
            (Form::Call, _) if self.order.every => {
                return self.untaken(finding);
            }
            (_, Reach::NotReached) => return refuse(Reason::NotReached),
            (_, Reach::UnknownOrigin) => return refuse(Reason::OriginUnknown),
            (Form::Call | Form::Indirect | Form::Setting, _) => {}
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
        self.untaken(finding)
    }

    /// The rewrite of `finding`, unless it was tried and taken back.
    fn untaken(&mut self, finding: &Finding) -> Result<Draft, Decision> {
        match self.order.taken_back.get(&finding.fingerprint) {
            _ if self.order.finish_dual_read => Err(Decision::Refuse(Reason::OnlyFinishing)),
            Some(reason) => Err(Decision::Refuse(*reason)),
            None => match self.chosen(finding) {
                Ok(draft) if self.is_shadowed(&draft) => Err(Decision::Refuse(Reason::NameTaken)),
                draft => draft.map_err(Decision::Refuse),
            },
        }
    }

    /// Whether a module of the project, beside one of the files, takes the place of a library that `draft` needs there.
    fn is_shadowed(&self, draft: &Draft) -> bool {
        let own = |file: FileId, module: &str| {
            let top = module.split('.').next().unwrap_or(module);
            let libraries = self.model.frameworks.iter().flat_map(|f| &f.packages);
            let is_library = || libraries.into_iter().any(|library| library == top);
            self.project.module(file, top).is_some().then(is_library)
        };
        let mut needs = draft.needs.iter().flat_map(|(file, needs)| {
            let modules = needs.iter().map(|need| need.module.as_str());
            modules.map(|module| (*file, module))
        });
        let by_star = |file: FileId, need: &Need| {
            let head = need.local();
            let stars = self.project.source(file).scopes().bound_in(0, "*").iter();
            let mut stars = stars.filter_map(|bound| match bound {
                Bound::Import(import) => import
                    .target
                    .strip_suffix('*')
                    .map(|home| home.trim_end_matches('.')),
                _ => None,
            });
            stars.any(|home| {
                let home = if home.is_empty() { "." } else { home };
                let home = self.project.module(file, home);
                home.is_some_and(|home| {
                    let bound = self.project.source(home).scopes().bound_in(0, head);
                    let same = |bound: &Bound| matches!(bound, Bound::Import(import) if import.target == need.module);
                    !bound.iter().all(same)
                })
            })
        };
        if draft
            .needs
            .iter()
            .any(|(file, needs)| needs.iter().any(|need| by_star(*file, need)))
        {
            return true;
        }
        needs.any(|(file, module)| own(file, module).is_some())
            || draft.kept.iter().any(|(file, name)| {
                let scopes = self.project.source(*file).scopes();
                scopes.bound_in(0, name).iter().any(|bound| match bound {
                    Bound::Import(import) => own(*file, &import.target) == Some(true),
                    _ => false,
                })
            })
    }

    /// Whether what the transform called `id` gives reads what was read before, so that nobody who writes it has to
    /// change.
    fn same_format(&self, id: &str) -> bool {
        let transform = self.model.transforms.iter().find(|t| t.id == id);
        let rewrite = transform.and_then(|t| t.rewrite.as_ref());
        rewrite.is_some_and(|rewrite| rewrite.same_format)
    }

    /// Whether `draft` changes what is read, so that its writers have to move.
    fn moves(&self, draft: &Draft) -> bool {
        draft.by.as_ref().is_some_and(|id| !self.same_format(id))
    }
}
