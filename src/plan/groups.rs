//! Loads and writers that have to change together: what one writes, the others read.
//!
//! Invariant: all or nothing. A writer moves only with every load that may read it, and a load only with every writer
//! in the project that may feed it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::call::{Own, load};
use super::content::{Judged, snippet};
use super::{Decision, Draft, Planner, Reason};
use crate::project::FileId;
use crate::python::ast::AnyNodeRef;
use crate::python::{ChainRole, SourceFile};
use crate::text::Span;
use crate::trace::{Content, Finding, Link, Place, Writing, is_test};

/// Something to say of a finding beside its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about: `writer-moves`, `writer-elsewhere`, or a reason's code.
    pub code: &'static str,
    /// In words.
    pub text: String,
    /// Where to look.
    pub at: Option<Place>,
}

/// What a finding would become, alone.
pub(super) type Drafted = Result<Draft, Decision>;

/// Channels whose content is kept: what was written before a change is read after it.
const TRANSIENT: [&str; 4] = ["body", "file", "response", "socket"];

struct Group {
    members: Vec<usize>,
    links: BTreeMap<Place, bool>,
}

impl Planner<'_> {
    /// Fits the drafts of loads together with their writers.
    pub(super) fn with_writers(&mut self, drafts: Vec<Drafted>) -> (Vec<Drafted>, Vec<Vec<Note>>) {
        let mut notes: Vec<Vec<Note>> = vec![Vec::new(); drafts.len()];
        if self.order.every {
            let mut drafts = drafts;
            for ((draft, notes), finding) in drafts.iter_mut().zip(&mut notes).zip(self.findings) {
                doubted(draft, notes);
                if let Some(found) = self.stays_behind(draft, finding) {
                    match found {
                        Ok(note) => notes.push(note),
                        Err(reason) => *draft = Err(Decision::Refuse(reason)),
                    }
                }
            }
            return (drafts, notes);
        }
        let mut drafts: Vec<Option<Drafted>> = drafts.into_iter().map(Some).collect();
        let mut done: Vec<Option<Drafted>> = (0..drafts.len()).map(|_| None).collect();
        for group in self.groups() {
            let open =
                |n: &&usize| matches!(drafts.get(**n), Some(Some(Ok(draft))) if self.moves(draft));
            let open: Vec<usize> = group.members.iter().filter(open).copied().collect();
            if open.is_empty() {
                continue;
            }
            match self.moved(&group, &drafts) {
                Ok((mut moving, extra, why)) => {
                    for (n, draft) in extra {
                        if let Some(slot) = drafts.get_mut(n) {
                            *slot = Some(Ok(draft));
                        }
                    }
                    for n in &group.members {
                        let Some(Some(Ok(mut draft))) = drafts.get_mut(*n).map(Option::take) else {
                            continue;
                        };
                        if let (Some(own), Some(first)) =
                            (self.together.get_mut(*n), group.members.first())
                        {
                            *own = *first;
                        }
                        // The writers go with the first of them.
                        draft.absorb(std::mem::take(&mut moving));
                        let noted = self.said_of(&group, *n);
                        draft.suggest = why.as_ref().map(|(reason, _)| *reason);
                        if let (Some(slot), Some(all)) = (done.get_mut(*n), notes.get_mut(*n)) {
                            *slot = Some(Ok(draft));
                            all.extend(noted);
                            all.extend(why.as_ref().and_then(|(_, note)| note.clone()));
                        }
                    }
                }
                Err((reason, note)) => {
                    for n in open {
                        let other = self
                            .findings
                            .get(n)
                            .and_then(|f| self.in_place_of(f, reason));
                        if let (Some(slot), Some(all)) = (done.get_mut(n), notes.get_mut(n)) {
                            *slot = Some(other.ok_or(Decision::Refuse(reason)));
                            all.push(note.clone());
                        }
                    }
                }
            }
        }
        let moving = |draft: &Option<Drafted>| matches!(draft, Some(Ok(d)) if self.moves(d));
        let lost = match drafts.iter().any(moving) {
            true => self.lost(),
            false => Vec::new(),
        };
        let rows = done
            .into_iter()
            .zip(drafts)
            .zip(self.findings)
            .zip(&mut notes);
        let grouped = rows.map(|(((done, draft), finding), notes)| {
            let alone = || match draft {
                Some(Ok(mut draft)) => {
                    if self.moves(&draft)
                        && let Some((reason, note)) = self.untraced(finding, &lost)
                    {
                        notes.push(note);
                        draft.suggest.get_or_insert(reason);
                    }
                    let mut draft = Ok(draft);
                    doubted(&mut draft, notes);
                    draft
                }
                Some(Err(decision)) => Err(decision),
                None => Err(Decision::Refuse(Reason::CheckFailed)),
            };
            done.unwrap_or_else(alone)
        });
        let grouped = grouped.collect();
        (grouped, notes)
    }

    /// What is said of `draft` where it leaves behind a writer that feeds it, as each load does when all are treated; no
    /// load can become another's beside what it reads in the same expression.
    fn stays_behind(&self, draft: &mut Drafted, finding: &Finding) -> Option<Result<Note, Reason>> {
        let draft = draft.as_mut().ok().filter(|draft| self.moves(draft))?;
        let link = finding.writers.iter().find(|link| link.sure)?;
        let here = finding.place.file == link.place.file;
        if here && finding.place.span.contains(link.place.span) {
            return Some(Err(Reason::WriterInProject));
        }
        draft.suggest.get_or_insert(Reason::WriterInProject);
        let (_, note) = self.because(Reason::WriterInProject, link.place, "pickled");
        Some(Ok(note))
    }

    /// What was seen of the writer at `place`.
    fn writing(&self, place: Place) -> Option<&Writing> {
        // They are in the order of the text.
        let at = self
            .writings
            .binary_search_by_key(&place, |writing| writing.place);
        self.writings.get(at.ok()?)
    }

    /// Writers of which it is not known where they go: a load may read what they write.
    fn lost(&self) -> Vec<Place> {
        let linked: BTreeSet<Place> = self
            .findings
            .iter()
            .flat_map(|finding| &finding.writers)
            .map(|link| link.place)
            .collect();
        let traced: BTreeSet<Place> = self
            .writings
            .iter()
            .filter(|writing| !writing.channels.is_empty())
            .map(|writing| writing.place)
            .collect();
        let files = self.writing_files.iter();
        let all = files.flat_map(|id| writers_in(self, self.project.source(*id), *id));
        let lost = all.filter(|place| !linked.contains(place) && !traced.contains(place));
        let mut lost: Vec<Place> = lost.collect();
        lost.sort();
        lost
    }

    /// The first of the writers that were `lost` which `finding` may read: one in its own file, if there is any.
    fn untraced(&self, finding: &Finding, lost: &[Place]) -> Option<(Reason, Note)> {
        let own = finding.place.file;
        let counts = |place: &&Place| finding.test || !is_test(self.project.path(place.file));
        // They are in the order of the text, those of a file together.
        let first = lost.partition_point(|place| place.file < own);
        let in_file = lost
            .get(first)
            .filter(|place| place.file == own && counts(place));
        let place = in_file.or_else(|| lost.iter().find(counts))?;
        let what = "where that goes was not followed";
        Some(self.because(Reason::WriterUntraced, *place, what))
    }

    /// The edits of the writers of `group`, drafts of members that had none, and why a person has to decide.
    #[expect(
        clippy::type_complexity,
        reason = "three things that belong together once"
    )]
    fn moved(
        &mut self,
        group: &Group,
        drafts: &[Option<Drafted>],
    ) -> Result<(Draft, Vec<(usize, Draft)>, Option<(Reason, Option<Note>)>), (Reason, Note)> {
        if let Some((place, _)) = group.links.iter().find(|(_, sure)| !**sure) {
            return Err(self.because(Reason::WriterInProject, *place, "pickled"));
        }
        let mut extra = Vec::new();
        let mut why: Option<(Reason, Option<Note>)> = None;
        for n in &group.members {
            let Some(finding) = self.findings.get(*n) else {
                continue;
            };
            match drafts.get(*n) {
                Some(Some(Ok(draft))) if self.moves(draft) => {
                    // What a person has to decide of one, has to be decided of all.
                    if let (Some(reason), None) = (draft.suggest, &why) {
                        why = Some((reason, None));
                    }
                }
                Some(Some(Ok(draft))) => {
                    let reason = draft.suggest.unwrap_or(Reason::OtherReaderStays);
                    return Err(self.stays(finding, reason));
                }
                Some(Some(Err(Decision::Trusted(Reason::OwnRoundTrip))))
                    if !self.order.taken_back.contains_key(&finding.fingerprint) =>
                {
                    match self.own_round_trip(finding) {
                        Ok(draft) => extra.push((*n, draft)),
                        Err(reason) => {
                            return Err(self.stays(finding, reason));
                        }
                    }
                }
                Some(Some(Err(decision))) => {
                    let reason = decision.reason().unwrap_or(Reason::OtherReaderStays);
                    return Err(self.stays(finding, reason));
                }
                _ => return Err(self.stays(finding, Reason::CheckFailed)),
            }
        }
        let drafted = group.members.iter().filter_map(|n| match drafts.get(*n) {
            Some(Some(Ok(draft))) => draft.by.clone(),
            _ => None,
        });
        let by: BTreeSet<String> = drafted.collect();
        let mut all = Draft::default();
        for place in group.links.keys() {
            let writing = self.writing(*place);
            let nested = group.members.iter().any(|n| {
                self.findings.get(*n).is_some_and(|finding| {
                    let inside =
                        finding.place.file == place.file && finding.place.span.contains(place.span);
                    inside && !finding.routes.iter().all(|route| route.paths.is_empty())
                })
            });
            let readers = group.members.iter().filter_map(|n| self.findings.get(*n));
            let writer = match nested {
                true => Err(Reason::WriterNotRewritten),
                false => self
                    .nothing_trails(*place, readers)
                    .and_then(|()| self.writer(writing, *place, &by)),
            };
            let (draft, judged) =
                writer.map_err(|reason| self.because(reason, *place, "pickled"))?;
            if self.is_shadowed(&draft) {
                return Err(self.because(Reason::NameTaken, *place, "pickled"));
            }
            all.absorb(draft);
            let verdict = self.verdict(judged);
            match verdict {
                Some((Reason::WriterNotJson, note)) => return Err((Reason::WriterNotJson, note)),
                Some((Reason::ValueIsLossy, note)) => {
                    why = Some((Reason::ValueIsLossy, Some(note)));
                }
                Some((reason, note)) => {
                    why.get_or_insert((reason, Some(note)));
                }
                None => {}
            }
        }
        Ok((all, extra, why))
    }

    /// What a judgement of a written value means for the loads that read it.
    fn verdict(&self, judged: Judged) -> Option<(Reason, Note)> {
        match judged.content {
            Content::Plain => None,
            Content::Unknown => Some(self.because(
                Reason::WriterUnclear,
                judged.at,
                "not known to be plain data",
            )),
            Content::Lossy(what) => Some(self.because(Reason::ValueIsLossy, judged.at, what)),
            Content::Impossible(what) => Some(self.because(Reason::WriterNotJson, judged.at, what)),
        }
    }

    fn because(&self, reason: Reason, at: Place, what: &str) -> (Reason, Note) {
        let text = format!("{}: {what}", snippet(self.project.source(at.file), at.span));
        let note = Note {
            code: reason.code(),
            text,
            at: Some(at),
        };
        (reason, note)
    }

    fn stays(&self, finding: &Finding, why: Reason) -> (Reason, Note) {
        let (reason, note) = self.because(
            Reason::OtherReaderStays,
            finding.place,
            &format!("stays ({})", why.code()),
        );
        (reason, note)
    }

    /// What is said of a member of a group that moves.
    fn said_of(&self, group: &Group, member: usize) -> Vec<Note> {
        let mut notes: Vec<Note> = Vec::new();
        for place in group.links.keys() {
            let text = snippet(self.project.source(place.file), place.span);
            notes.push(Note {
                code: "writer-moves",
                text: format!("{text}: writes JSON as well"),
                at: Some(*place),
            });
        }
        let kept = self
            .findings
            .get(member)
            .is_some_and(|f| !f.channel.is_empty() && !TRANSIENT.contains(&f.channel.as_str()));
        if kept {
            notes.push(Note {
                code: "old-data",
                text: "what was written before the change is not read any more".to_owned(),
                at: None,
            });
        }
        notes
    }

    /// A load of what this program has just pickled, whose writer moves for the sake of others.
    fn own_round_trip(&self, finding: &Finding) -> Result<Draft, Reason> {
        let (transform, sink) = self
            .model
            .sink_row(finding.sink)
            .ok_or(Reason::CheckFailed)?;
        let rewrite = transform.rewrite.as_ref().ok_or(Reason::NoRewrite)?;
        let file = self.project.source(finding.place.file);
        let mut draft = Draft::default();
        let load = load(file, finding, sink, rewrite, Own::default(), &mut draft)?;
        draft.by = Some(transform.id.clone());
        self.uses(finding, load.whole, rewrite)?;
        draft.edit(finding.place.file, load.in_place(file, None));
        Ok(draft)
    }

    /// Loads by the writers that feed them.
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Option<Group>> = Vec::new();
        let mut of_writer: HashMap<Place, usize> = HashMap::new();
        let mut writing = HashMap::new();
        for (n, finding) in self.findings.iter().enumerate() {
            let moves = self
                .model
                .sink_row(finding.sink)
                .is_some_and(|(t, _)| t.rewrite.is_some());
            let counts =
                |link: &&Link| self.order.tests || !is_test(self.project.path(link.place.file));
            let mut links: BTreeMap<Place, bool> = finding
                .writers
                .iter()
                .filter(counts)
                // What has no rewrite keeps others only from what it certainly reads as well.
                .filter(|link| moves || link.sure)
                .map(|link| (link.place, link.sure))
                .collect();
            if moves {
                for place in self.counterparts(finding, &mut writing) {
                    links.entry(place).or_insert(true);
                }
            }
            if links.is_empty() {
                continue;
            }
            let mut group = Group {
                members: vec![n],
                links,
            };
            let met = group
                .links
                .keys()
                .filter_map(|place| of_writer.get(place).copied());
            let met: BTreeSet<usize> = met.collect();
            for other in met.iter().filter_map(|n| groups.get_mut(*n)?.take()) {
                group.members.extend(other.members);
                for (place, sure) in other.links {
                    // Once it cannot be ruled out, it counts for all.
                    let known = group.links.entry(place).or_insert(sure);
                    *known &= sure;
                }
            }
            group.members.sort_unstable();
            of_writer.extend(group.links.keys().map(|place| (*place, groups.len())));
            groups.push(Some(group));
        }
        let mut groups: Vec<Group> = groups.into_iter().flatten().collect();
        groups.sort_by_key(|group| group.members.first().copied());
        groups
    }

    /// Writers that nobody knows the way of, in the counterpart of the function that holds `finding`: `dump` and `load`
    /// of one class or module.
    fn counterparts(
        &self,
        finding: &Finding,
        writing: &mut HashMap<FileId, Vec<(Place, Holder)>>,
    ) -> Vec<Place> {
        let id = finding.place.file;
        let file = self.project.source(id);
        if file.unparsed().is_some() {
            return Vec::new();
        }
        let writers = writing.entry(id).or_insert_with(|| self.untold_writers(id));
        if writers.is_empty() {
            return Vec::new();
        }
        let Some(reader) = holder(file, finding.place.span) else {
            return Vec::new();
        };
        let pairs = writers
            .iter()
            .filter(|(_, writer)| is_pair(writer, &reader));
        pairs.map(|(place, _)| *place).collect()
    }

    /// Writers in the file called `id` that nobody knows the way of, and what holds each.
    fn untold_writers(&self, id: FileId) -> Vec<(Place, Holder)> {
        let told = |place: &Place| {
            let writing = self.writing(*place);
            writing.is_some_and(|writing| !writing.channels.is_empty())
        };
        let file = self.project.source(id);
        let writers = writers_in(self, file, id).into_iter();
        let writers = writers.filter(|place| !told(place));
        writers
            .filter_map(|place| Some((place, holder(file, place.span)?)))
            .collect()
    }
}

/// A draft whose value is used as only some values can be is for a person to decide.
fn doubted(draft: &mut Drafted, notes: &mut Vec<Note>) {
    if let Ok(draft) = draft
        && let Some(note) = draft.doubt.take()
    {
        notes.push(note);
        draft.suggest.get_or_insert(Reason::ValueIsLossy);
    }
}

impl Draft {
    /// Takes over what `other` does.
    fn absorb(&mut self, other: Draft) {
        for (file, edits) in other.edits {
            self.edits.entry(file).or_default().extend(edits);
        }
        for (file, needs) in other.needs {
            self.needs.entry(file).or_default().extend(needs);
        }
        self.gone.extend(other.gone);
        self.kept.extend(other.kept);
    }
}

/// Calls in `file` that write what sinks read.
fn writers_in(planner: &Planner<'_>, file: &SourceFile, id: FileId) -> Vec<Place> {
    let chains = file.scopes().chains().iter();
    let writers = chains.filter_map(|chain| {
        let span = match chain.role {
            ChainRole::Called(call) => call,
            // Derived from, or handed on.
            ChainRole::Base | ChainRole::Read => chain.span,
            ChainRole::Aliased => return None,
        };
        let names = file.scopes().resolve(chain.scope, &chain.parts);
        let writes = names.iter().any(|name| planner.model.is_writer(name));
        writes.then_some(Place { file: id, span })
    });
    writers.collect()
}

/// The class and the name of a function.
type Holder = (Option<String>, String);

/// The function that holds `place`.
fn holder(file: &SourceFile, place: Span) -> Option<Holder> {
    let name = file.innermost_function(place)?.name.to_string();
    let class = file
        .ancestors(place)
        .into_iter()
        .rev()
        .find_map(|node| match node {
            AnyNodeRef::StmtClassDef(node) => Some(node.name.to_string()),
            _ => None,
        });
    Some((class, name))
}

/// What writes and what reads it, by name.
const PAIRS: [(&str, &str); 22] = [
    ("dump", "load"),
    ("dumps", "loads"),
    ("serialize", "deserialize"),
    ("serialise", "deserialise"),
    ("encode", "decode"),
    ("pack", "unpack"),
    ("pickle", "unpickle"),
    ("marshal", "unmarshal"),
    ("freeze", "thaw"),
    ("save", "load"),
    ("store", "load"),
    ("store", "fetch"),
    ("write", "read"),
    ("set", "get"),
    ("put", "get"),
    ("push", "pop"),
    ("send", "receive"),
    ("send", "recv"),
    ("to", "from"),
    ("export", "import"),
    ("compress", "decompress"),
    ("wrap", "unwrap"),
];

/// Whether a function so called, of that class or module, writes what the other reads.
fn is_pair(writer: &Holder, reader: &Holder) -> bool {
    if writer.0 != reader.0 {
        return false;
    }
    let words = |name: &str| -> Vec<String> {
        let name = name.trim_matches('_').to_lowercase();
        name.split('_').map(str::to_owned).collect()
    };
    let (ours, theirs) = (words(&writer.1), words(&reader.1));
    if ours.len() != theirs.len() {
        return false;
    }
    let different: Vec<(&str, &str)> = ours
        .iter()
        .zip(&theirs)
        .filter(|(a, b)| a != b)
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    matches!(different.as_slice(), [pair] if PAIRS.contains(pair))
}

/// What is said of what was stored before a load `moves` to another format, where old data was asked to be read on.
pub(super) fn of_old_data(dual_read: bool, moves: bool) -> Option<Note> {
    let (code, text) = match dual_read {
        true => (
            "dual-read",
            "what was pickled before is still read, and logged, until `depickle stage --finish-dual-read`",
        ),
        false if moves => (
            "dual-read-not-for-clients",
            "a client or peer can send what is read here: pickles are refused from now on, old ones too",
        ),
        false => return None,
    };
    Some(Note {
        code,
        text: text.to_owned(),
        at: None,
    })
}

/// Notes on loads that are rewritten and that nothing in the project writes for.
pub(super) fn elsewhere(finding: &Finding) -> Note {
    let what = match (finding.channel.as_str(), &finding.key) {
        ("", _) => "what it reads".to_owned(),
        (channel, Some(key)) => format!("{channel} {key:?}"),
        (channel, None) => format!("the {channel}"),
    };
    Note {
        code: "writer-elsewhere",
        text: format!("nothing in this project writes {what}: whoever does has to send JSON"),
        at: None,
    }
}
