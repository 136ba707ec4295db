//! The ledger's first half: every load that stands in the code, found by name, before any flow is followed.
//!
//! Invariant: each load of a file is listed once, by its resolved name, whether or not anything reaches it.

use super::taint::Place;
use crate::pack::{Model, SinkId};
use crate::project::{FileId, Project};
use crate::python::{ChainRole, SourceFile};

/// How a load stands in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `pickle.loads(x)`.
    Call,
    /// `map(pickle.loads, xs)`: the function itself is handed on.
    Reference,
    /// `class Loader(pickle.Unpickler)`.
    Base,
    /// A call whose target only the flow of values shows: `registry["pickle"](x)`.
    Indirect,
    /// `SESSION_SERIALIZER = "..."`: a setting that makes a library load.
    Setting,
}

/// One load in the code.
#[derive(Debug, Clone)]
pub struct Site {
    /// The call, or the reference.
    pub place: Place,
    /// Which sink.
    pub sink: SinkId,
    /// Its qualified name: `pickle.loads`.
    pub name: String,
    /// How it stands there.
    pub form: Form,
}

/// The loads of one file.
pub(super) fn sites_of(
    project: &Project,
    model: &Model,
    file: FileId,
    source: &SourceFile,
) -> Vec<Site> {
    let mut sites = Vec::new();
    for chain in source.scopes().chains() {
        let names = source.scopes().resolve(chain.scope, &chain.parts);
        let sink = names.iter().find_map(|name| {
            let top = name.split('.').next().unwrap_or(name);
            let sink = model.sink(name)?;
            project
                .module(file, top)
                .is_none()
                .then_some((sink, name.clone()))
        });
        let open = || {
            let last = chain.parts.last().filter(|_| chain.parts.len() > 1)?;
            Some((model.open_sink(last)?, last.to_string()))
        };
        let Some((sink, name)) = sink.or_else(open) else {
            continue;
        };
        let (span, form) = match chain.role {
            ChainRole::Called(call) => (call, Form::Call),
            ChainRole::Base => (chain.span, Form::Base),
            ChainRole::Read => (chain.span, Form::Reference),
            // Calls through the alias are sites themselves.
            ChainRole::Aliased => continue,
        };
        sites.push(Site {
            place: Place { file, span },
            sink,
            name,
            form,
        });
    }
    // The parser's visitor comes by the test of an `elif` twice.
    sites.sort_by_key(|site| site.place);
    sites.dedup_by_key(|site| site.place);
    sites
}
