//! What is found out once, though each of thousands of findings asks for it.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::Planner;
use super::call::call_at;
use super::streams::class_of;
use super::uses::Doings;
use crate::project::FileId;
use crate::python::span;
use crate::text::Span;
use crate::trace::Form;

/// What is known by now.
#[derive(Default)]
pub(super) struct Once<'p> {
    /// Whether the project uses a driver that gives buffers.
    pub buffers: OnceCell<bool>,
    /// Functions, by where they start, that look for what pickles begin with.
    pub magics: RefCell<HashMap<(FileId, usize), bool>>,
    /// What functions, or modules, do with values.
    pub doings: RefCell<HashMap<(FileId, Option<usize>), Doings<'p>>>,
    /// Whether somebody else answers to the errors of a rewrite's old call.
    pub answered: RefCell<HashMap<String, bool>>,
    moving: RefCell<HashMap<FileId, Rc<Vec<Span>>>>,
    writers: RefCell<HashMap<FileId, Rc<Vec<Span>>>>,
    streams: OnceCell<HashMap<Stream<'p>, Vec<Span>>>,
    loads: OnceCell<HashMap<FileId, Vec<Span>>>,
}

/// A file object, by the function or class around and by how it is written.
type Stream<'p> = (FileId, Option<Span>, &'p str);

impl<'p> Planner<'p> {
    /// Loads and guarded calls of `file` that move out of their statements as well, in the order of the text.
    pub(super) fn moving(&self, file: FileId) -> Rc<Vec<Span>> {
        let find = || {
            let own = self
                .findings
                .iter()
                .filter(|f| f.place.file == file && f.form == Form::Call);
            let own = own.filter(|f| self.order.trust.contains(&f.trust));
            let routes = self.findings.iter().flat_map(|f| &f.routes);
            let calls = routes.filter_map(|route| route.chain.first());
            let calls = calls.filter(|call| call.place.file == file);
            let mut all: Vec<Span> = own
                .map(|f| f.place.span)
                .chain(calls.map(|call| call.place.span))
                .collect();
            all.sort();
            all.dedup();
            Rc::new(all)
        };
        Rc::clone(
            self.once
                .moving
                .borrow_mut()
                .entry(file)
                .or_insert_with(find),
        )
    }

    /// Calls of writers in `file`, in the order of the text.
    pub(super) fn writing_in(&self, file: FileId) -> Rc<Vec<Span>> {
        let find = || {
            let source = self.project.source(file);
            let chains = source.scopes().chains().iter();
            let writes = chains.filter(|chain| {
                let names = source.scopes().resolve(chain.scope, &chain.parts);
                names.iter().any(|name| self.model.is_writer(name))
            });
            let mut all: Vec<Span> = writes.map(|chain| chain.span).collect();
            all.sort();
            Rc::new(all)
        };
        Rc::clone(
            self.once
                .writers
                .borrow_mut()
                .entry(file)
                .or_insert_with(find),
        )
    }

    /// The loads in `file`, in the order of the text.
    pub(super) fn loads_in(&self, file: FileId) -> &[Span] {
        let find = || {
            let mut all: HashMap<FileId, Vec<Span>> = HashMap::new();
            for finding in self.findings {
                all.entry(finding.place.file)
                    .or_default()
                    .push(finding.place.span);
            }
            all.values_mut().for_each(|spans| spans.sort());
            all
        };
        let all = self.once.loads.get_or_init(find);
        all.get(&file).map_or(&[], Vec::as_slice)
    }

    /// The loads in `file` whose first argument is written as `text`, in the function or class `around`.
    pub(super) fn loads_of(&self, file: FileId, around: Option<Span>, text: &'p str) -> &[Span] {
        let find = || {
            let mut all: HashMap<Stream<'p>, Vec<Span>> = HashMap::new();
            for finding in self.findings {
                let place = finding.place;
                let source = self.project.source(place.file);
                let first =
                    call_at(source, place.span).and_then(|call| call.arguments.args.first());
                let Some(first) = first else {
                    continue;
                };
                let text = source.slice(span(first));
                let function = source.innermost_function(place.span).map(span);
                let class = class_of(source, place.span);
                all.entry((place.file, function, text))
                    .or_default()
                    .push(place.span);
                if class.is_some() && class != function {
                    all.entry((place.file, class, text))
                        .or_default()
                        .push(place.span);
                }
            }
            all
        };
        let all = self.once.streams.get_or_init(find);
        all.get(&(file, around, text)).map_or(&[], Vec::as_slice)
    }
}

/// Those of `spans`, which are in the order of the text, that start within `extent`.
pub(super) fn within(spans: &[Span], extent: Span) -> &[Span] {
    let from = spans.partition_point(|span| span.start < extent.start);
    let rest = spans.get(from..).unwrap_or_default();
    let until = rest.partition_point(|span| span.start < extent.end);
    rest.get(..until).unwrap_or_default()
}
