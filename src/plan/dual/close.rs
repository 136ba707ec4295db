//! Taking a window out again: its functions give way to the calls they stand for, and go.

use memchr::memmem;

use super::parts;
use crate::plan::imports::exported;
use crate::plan::names::{says_module, spell};
use crate::plan::{Decision, Draft, Planner, Reason};
use crate::project::{FileId, Project};
use crate::python::{Bound, SourceFile};
use crate::text::{Edit, Span};
use crate::trace::{Finding, Form, Reach};

impl Planner<'_> {
    /// What becomes of `finding`, if it stands in a window.
    pub(in crate::plan) fn in_window(&self, finding: &Finding) -> Option<Result<Draft, Decision>> {
        let id = finding.place.file;
        let file = self.project.source(id);
        if file.unparsed().is_some() || !super::in_a_window(file, finding) {
            return None;
        }
        if !self.order.finish_dual_read {
            let holds = finding.reach == Reach::Restricted || finding.form == Form::Base;
            return holds.then_some(Err(Decision::Guarded(Reason::DualRead)));
        }
        let refuse = |reason: Reason| Err(Decision::Refuse(reason));
        if let Some(reason) = self.order.taken_back.get(&finding.fingerprint) {
            return Some(refuse(*reason));
        }
        let mut windowed = self.findings.iter().filter(|other| {
            let file = self.project.source(other.place.file);
            file.unparsed().is_none() && super::in_a_window(file, other)
        });
        let same =
            |other: Option<&Finding>| other.is_some_and(|o| o.fingerprint == finding.fingerprint);
        let leads = same(windowed.clone().next());
        // One closes the whole file's window.
        let first = same(windowed.find(|other| other.place.file == id));
        let closed = self.closed(id, file, first, leads);
        Some(closed.or_else(refuse))
    }

    /// The edits that close the window of `id`, if this is the `first` finding there; those of handlers elsewhere go
    /// with the one that `leads` them all.
    fn closed(
        &self,
        id: FileId,
        file: &SourceFile,
        first: bool,
        leads: bool,
    ) -> Result<Draft, Reason> {
        let parts = parts(file);
        let mut draft = Draft::default();
        let inside = |place: Span| parts.iter().any(|part| part.extent.contains(place));
        for part in &parts {
            let bound = file.scopes().bound_in(0, part.name);
            if bound != [Bound::Definition] || exported(self.project, id, part.name) {
                return Err(Reason::DualReadInUse);
            }
            let mut uses = file.scopes().chains().iter().filter(|chain| {
                let home = || file.scopes().lookup(chain.scope, part.name);
                let named = chain.parts.first().is_some_and(|head| head == part.name);
                named && !inside(chain.span) && home().is_some_and(|(home, _)| home == 0)
            });
            let Some((module, name)) = part.stands_for.and_then(|name| name.rsplit_once('.'))
            else {
                match uses.next() {
                    Some(_) => return Err(Reason::DualReadInUse),
                    None => continue,
                }
            };
            for used in uses {
                if used.parts.len() > 1 {
                    return Err(Reason::DualReadInUse);
                }
                let by_module = says_module(file, module);
                let spelled = spell(file, used.span.start, module, name, by_module)?;
                draft.edit(id, [Edit::replace(used.span, spelled.text.clone())]);
                draft.keep(id, spelled.kept());
                draft.need(id, spelled.need);
            }
        }
        if !first {
            return Ok(Draft::default());
        }
        let mut lines: Vec<Span> = Vec::new();
        for part in &parts {
            draft.gone.push((id, part.extent));
            let more = with_blank_lines(file, part.extent);
            match lines.last_mut().filter(|last| more.start <= last.end) {
                Some(last) => last.end = more.end,
                None => lines.push(more),
            }
        }
        draft.edit(id, lines.into_iter().map(|lines| Edit::replace(lines, "")));
        for other in self.project.ids() {
            let comments = self.comments(other);
            let unled = || leads && super::parts(self.project.source(other)).is_empty();
            if !comments.is_empty() && (other == id || unled()) {
                draft.edit(other, comments);
            }
        }
        Ok(draft)
    }

    /// The edits that bring the comments in handlers back to what they are without a window.
    fn comments(&self, id: FileId) -> Vec<Edit> {
        let pairs = self.model.transforms.iter().filter_map(|transform| {
            let rewrite = transform.rewrite.as_ref()?;
            let open = &transform.dual_read.as_ref()?.comment;
            Some((format!("# {open}"), format!("# {}", rewrite.comment)))
        });
        let mut edits = Vec::new();
        for (open, plain) in pairs {
            if memmem::find(self.project.bytes(id), open.as_bytes()).is_none() {
                continue;
            }
            let file = self.project.source(id);
            for (at, _) in file.text().match_indices(&open) {
                let line = file.index().line_start(at);
                let end = file.index().line_end(file.text(), at);
                let alone = file.slice(Span::new(line, end)).trim() == open;
                if alone && !file.in_string(line) {
                    let place = Span::new(at, at + open.len());
                    edits.push(Edit::replace(place, plain.clone()));
                }
            }
        }
        edits
    }
}

/// The lines of the definition at `extent`, with the blank ones after it; before it, where it is the last.
fn with_blank_lines(file: &SourceFile, extent: Span) -> Span {
    let (index, text) = (file.index(), file.text());
    let mut start = index.line_start(extent.start);
    let mut end = index.next_line(text, extent.end);
    let is_blank =
        |from: usize, to: usize| from < to && file.slice(Span::new(from, to)).trim().is_empty();
    while is_blank(end, index.next_line(text, end)) {
        end = index.next_line(text, end);
    }
    while end == text.len() && start > 0 && is_blank(index.line_start(start - 1), start) {
        start = index.line_start(start - 1);
    }
    Span::new(start, end)
}

/// Modules that files with a window import: those that only the window used go with it.
pub(in crate::plan) fn imported(project: &Project) -> Vec<String> {
    let mut tops = Vec::new();
    for id in project.ids() {
        if memmem::find(project.bytes(id), super::MARK.as_bytes()).is_none() {
            continue;
        }
        let imports = project.source(id).scopes().imports();
        tops.extend(imports.filter_map(|i| Some(i.target.split('.').next()?.to_owned())));
    }
    tops.sort();
    tops.dedup();
    tops
}
