//! What a load is to become: what was asked for, else what its own transform says, else what can come in its place.

use std::borrow::Cow;

use super::classes::{OWN_MODULE, classes};
use super::dual::{self, Names};
use super::names::{Fresh, fill};
use super::{Draft, Planner, Reason};
use crate::pack::{Arrives, Rewrite, Sink, Transform};
use crate::python::{SourceFile, span};
use crate::text::{Edit, Span};
use crate::trace::Finding;

impl Planner<'_> {
    /// The rewrite of `finding`; a suggestion where another transform can do what the first cannot.
    pub(super) fn chosen(&mut self, finding: &Finding) -> Result<Draft, Reason> {
        let model = self.model;
        let (own, sink) = model.sink_row(finding.sink).ok_or(Reason::CheckFailed)?;
        if let Some(setting) = &sink.setting {
            return self.setting(finding, setting);
        }
        if let Some(word) = &self.order.to {
            let ending = format!("-to-{word}");
            let mut all = std::iter::once(own).chain(model.instead_of(&own.id));
            if let Some(asked) = all.find(|t| t.id.ends_with(&ending)) {
                return self.by(finding, own, asked, sink);
            }
        }
        let refused = match self.by(finding, own, own, sink) {
            Ok(draft) => return Ok(draft),
            Err(reason) => reason,
        };
        self.in_place_of(finding, refused).ok_or(refused)
    }

    /// What a load of `finding` can become where its own transform was `refused`: only suggested.
    pub(super) fn in_place_of(&mut self, finding: &Finding, refused: Reason) -> Option<Draft> {
        let model = self.model;
        let (own, sink) = model.sink_row(finding.sink)?;
        let after = |t: &&Transform| t.after.iter().any(|code| code == refused.code());
        let drafts = model.instead_of(&own.id).filter(after);
        let mut drafts = drafts.filter_map(|other| self.by(finding, own, other, sink).ok());
        let mut draft = drafts.next()?;
        draft.suggest = Some(refused);
        Some(draft)
    }

    /// The rewrite of `finding` that `transform` says.
    fn by(
        &mut self,
        finding: &Finding,
        own: &Transform,
        transform: &Transform,
        sink: &Sink,
    ) -> Result<Draft, Reason> {
        let rewrite = transform.rewrite.as_ref();
        let same_format = rewrite.is_some_and(|rewrite| rewrite.same_format);
        if finding.named_by_client && !same_format && !self.order.every {
            return Err(Reason::ClientNamesTheSource);
        }
        let rewrite = rewrite.ok_or(Reason::NoRewrite)?;
        let sink = match transform.id == own.id {
            true => sink.clone(),
            false => instead(sink, rewrite),
        };
        let reader = self.reader(finding, transform, &sink);
        let open = transform.dual_read.as_ref().filter(|_| reader.is_some());
        let rewrite = match open {
            Some(dual) => Cow::Owned(Rewrite {
                comment: dual.comment.clone(),
                ..rewrite.clone()
            }),
            None => Cow::Borrowed(rewrite),
        };
        let mut draft = self.rewrite(finding, &sink, &rewrite, reader.as_deref())?;
        draft.by = Some(transform.id.clone());
        draft.doubt = self.doubt(finding, &rewrite);
        draft.dual_read = reader.is_some();
        let always = rewrite.suggest.as_deref().and_then(Reason::by_code);
        draft.suggest = draft.suggest.or(always);
        Ok(draft)
    }

    /// The function that reads for `finding` both what `transform` makes of `sink` and what was stored before, if it gets one.
    fn reader(&mut self, finding: &Finding, transform: &Transform, sink: &Sink) -> Option<String> {
        let dual = transform.dual_read.as_ref()?;
        if !self.order.dual_read || !(self.order.every || dual::is_kept(finding)) {
            return None;
        }
        let id = finding.place.file;
        let file = self.project.source(id);
        let fresh = self.fresh.entry(id).or_insert_with(|| Fresh::of(file));
        let names = self.windows.entry((id, transform.id.clone()));
        let names = names.or_insert_with(|| Names::of(file, dual, |name| fresh.take(name, None)));
        names.for_call(dual, &sink.becomes).map(str::to_owned)
    }

    /// The name of the class that the new call at `load` needs, which goes before the statement around it.
    pub(super) fn class(
        &mut self,
        finding: &Finding,
        file: &SourceFile,
        load: Span,
        rewrite: &Rewrite,
        draft: &mut Draft,
    ) -> Result<Option<String>, Reason> {
        let Some(code) = &rewrite.class else {
            return Ok(None);
        };
        let id = finding.place.file;
        let found = classes(self.project, id, load, finding, rewrite);
        if !found.complete {
            draft.suggest = Some(Reason::ClassesUnknown);
        }
        let fresh = self.fresh.entry(id).or_insert_with(|| Fresh::of(file));
        let key = (id, found.allowed);
        let made = self.classes.get(&key).cloned();
        let (name, at) = match made {
            Some(made) => made,
            None => {
                let name = fresh.take("RestrictedUnpickler", None);
                let at = above(file, load).ok_or(Reason::NoHandler)?;
                self.classes.insert(key.clone(), (name.clone(), at));
                (name, at)
            }
        };
        let unit = INDENT;
        let listed: String = key
            .1
            .iter()
            .map(|(module, class)| {
                let module = match module == OWN_MODULE {
                    true => module.clone(),
                    false => format!("\"{module}\""),
                };
                format!("{unit}{unit}({module}, \"{class}\"),\n")
            })
            .collect();
        let list = match listed.is_empty() {
            true => "set()".to_owned(),
            false => format!("{{\n{listed}{unit}}}"),
        };
        let filled = fill(
            file,
            at,
            code.trim_start(),
            true,
            |placeholder| match placeholder {
                "class" => name.clone(),
                _ => list.clone(),
            },
        )?;
        let text = draft.take(id, filled);
        let lines = dressed(file, &text);
        let (before, after) = gaps(file, at);
        let text = format!("{before}{lines}{after}");
        draft.edit(id, [Edit::insert(at, -5, text)]);
        Ok(Some(name))
    }
}

/// The indentation of code in packs.
const INDENT: &str = "    ";

/// `code` of a pack, indented, quoted and ended as `file` is.
pub(super) fn dressed(file: &SourceFile, code: &str) -> String {
    let style = file.style();
    let mut lines = String::new();
    for line in code.lines() {
        let code = line.trim_start_matches(INDENT);
        let depth = (line.len() - code.len()) / INDENT.len();
        lines.push_str(&style.indent.repeat(depth));
        match code.starts_with("\"\"\"") {
            // Formatters leave no other quotes around a docstring.
            true => lines.push_str(code),
            false => lines.push_str(&code.replace('"', &style.quote.to_string())),
        }
        lines.push_str(style.newline);
    }
    lines
}

/// `sink` as another transform treats it.
fn instead(sink: &Sink, rewrite: &Rewrite) -> Sink {
    let becomes = match sink.arrives {
        Arrives::Bytes => &rewrite.bytes,
        Arrives::Stream => &rewrite.stream,
        Arrives::Path | Arrives::Receiver => "",
    };
    Sink {
        becomes: becomes.to_owned(),
        parameters: Vec::new(),
        keeps: Vec::new(),
        changes: Vec::new(),
        catch: Vec::new(),
        catch_missing: None,
        lazy: false,
        ..sink.clone()
    }
}

/// The start of the line above which a class for the load at `load` goes: that of the top-level statement around it,
/// with the comments on the lines before.
pub(super) fn above(file: &SourceFile, load: Span) -> Option<usize> {
    let body = file.module().body.iter();
    let around = body.map(span).find(|extent| extent.contains(load))?;
    let index = file.index();
    let mut at = index.line_start(around.start);
    while at > 0 {
        let above = index.line_start(at - 1);
        let line = file.slice(Span::new(above, at));
        if !line.starts_with('#') {
            break;
        }
        at = above;
    }
    // A byte-order mark stays first.
    let marked = file.text().get(at..)?.starts_with('\u{feff}');
    Some(if marked {
        at + '\u{feff}'.len_utf8()
    } else {
        at
    })
}

/// Line ends before and after a class that is put at `at`, so that two blank lines are on either side.
fn gaps(file: &SourceFile, at: usize) -> (String, String) {
    let newline = file.style().newline;
    let before = file.text().get(..at).unwrap_or_default();
    let kept = before.trim_end();
    let blank = before
        .get(kept.len()..)
        .unwrap_or_default()
        .matches('\n')
        .count()
        .saturating_sub(1);
    let missing = match kept.trim_start_matches('\u{feff}').is_empty() {
        true => 0,
        false => 2_usize.saturating_sub(blank),
    };
    (newline.repeat(missing), newline.repeat(2))
}
