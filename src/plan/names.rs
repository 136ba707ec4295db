//! How a file can say a qualified name: by what it imports already, or by an import to be added.

use std::collections::HashSet;

use super::Reason;
use crate::python::ast::Stmt;
use crate::python::{Bound, SourceFile, span};
use crate::text::Span;

/// An import that a file needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    /// The module.
    pub module: String,
    /// The name taken from it; the module itself when absent.
    pub name: Option<String>,
}

impl Need {
    /// The name that the import binds.
    pub fn local(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None => self.module.split('.').next().unwrap_or_default(),
        }
    }
}

/// A name as it is written in a file, and the import it needs, if any.
#[derive(Debug, Clone)]
pub(super) struct Spelled {
    pub text: String,
    pub need: Option<Need>,
}

impl Spelled {
    /// The name of the file that it stands on, where no import is needed.
    pub fn kept(&self) -> Option<String> {
        let head = self.text.split('.').next()?;
        self.need.is_none().then(|| head.to_owned())
    }
}

/// Whether `file` takes names from `module`, one by one: `from yaml import load`.
fn takes_names(file: &SourceFile, module: &str) -> bool {
    file.module().body.iter().any(|stmt| match stmt {
        Stmt::ImportFrom(node) => {
            node.level == 0 && node.module.as_ref().is_some_and(|m| m == module)
        }
        _ => false,
    })
}

/// How `module.name` is written at `offset`; `by_module` says how it is imported when it is not yet:
/// `import module`, or `from module import name`.
pub(super) fn spell(
    file: &SourceFile,
    offset: usize,
    module: &str,
    name: &str,
    by_module: bool,
) -> Result<Spelled, Reason> {
    let scopes = file.scopes();
    let scope = scopes.at(offset);
    let full = format!("{module}.{name}");
    let body = &file.module().body;
    let at_top = |stmt: Span| {
        let first = body.partition_point(|other| span(other).start < stmt.start);
        body.get(first).is_some_and(|other| span(other) == stmt)
    };
    let mut candidates: Vec<String> = Vec::new();
    for (local, bound) in scopes.names_in(0) {
        let [Bound::Import(import)] = bound else {
            continue;
        };
        if !at_top(import.stmt) {
            continue;
        }
        if import.target == full {
            candidates.push(local.to_owned());
        } else if import.target == module && full != module {
            candidates.push(format!("{local}.{name}"));
        } else if !import.from && module.split('.').next() == Some(local) && local != module {
            // `import os.path` binds `os`; the whole module is there if this very import names it.
            let written = file.slice(import.alias);
            if written == module {
                candidates.push(full.clone());
            }
        }
    }
    candidates.sort_by_key(|text| (text.len(), text.clone()));
    for text in candidates {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        if scopes.resolve(scope, &parts) == [full.clone()] {
            return Ok(Spelled { text, need: None });
        }
    }
    let (head, text) = match by_module {
        true => (module.split('.').next().unwrap_or(module), full.clone()),
        false => (name, name.to_owned()),
    };
    if scopes.lookup(scope, head).is_some() || scopes.lookup(0, head).is_some() {
        return Err(Reason::NameTaken);
    }
    Ok(Spelled {
        text,
        need: Some(Need {
            module: module.to_owned(),
            name: (!by_module).then(|| name.to_owned()),
        }),
    })
}

/// Whether a name of `module` is best said with the module before it: not where names of it are taken one by one, and
/// not in full where it is deep in a package.
pub(super) fn says_module(file: &SourceFile, module: &str) -> bool {
    !module.contains('.') && !takes_names(file, module)
}

/// Code whose placeholders are filled in, and the imports it needs.
#[derive(Debug)]
pub(super) struct Filled {
    pub text: String,
    pub needs: Vec<Need>,
    /// Names of the file that it uses.
    pub kept: Vec<String>,
}

impl Filled {
    /// This code, and `next` on the lines after it.
    pub fn then(mut self, next: Filled) -> Filled {
        self.text = format!("{}\n{}", self.text, next.text);
        self.needs.extend(next.needs);
        self.kept.extend(next.kept);
        self
    }
}

/// `code` at `offset`: `{module.name}` is that name as the file says it, other placeholders are what `other` gives.
pub(super) fn fill(
    file: &SourceFile,
    offset: usize,
    code: &str,
    by_module: bool,
    other: impl Fn(&str) -> String,
) -> Result<Filled, Reason> {
    let mut text = String::new();
    let mut needs = Vec::new();
    let mut kept = Vec::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((placeholder, after)) = after.split_once('}') else {
            break;
        };
        text.push_str(before);
        match placeholder.rsplit_once('.') {
            None => text.push_str(&other(placeholder)),
            Some((module, name)) => {
                let by_module = by_module && says_module(file, module);
                let spelled = spell(file, offset, module, name, by_module)?;
                text.push_str(&spelled.text);
                kept.extend(spelled.kept());
                needs.extend(spelled.need);
            }
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(Filled { text, needs, kept })
}

/// Names that are free in one file, and in each of its functions.
#[derive(Debug)]
pub(super) struct Fresh {
    used: HashSet<String>,
    taken: HashSet<(Option<Span>, String)>,
}

impl Fresh {
    /// All words of `file` are taken, comments and strings included.
    pub fn of(file: &SourceFile) -> Fresh {
        let words = file
            .text()
            .split(|c: char| !(c.is_alphanumeric() || c == '_'));
        Fresh {
            used: words.map(str::to_owned).collect(),
            taken: HashSet::new(),
        }
    }

    /// `wanted`, or `wanted_2` and so on; taken from now on in `function`, or outside of all.
    pub fn take(&mut self, wanted: &str, function: Option<Span>) -> String {
        let mut name = wanted.to_owned();
        let mut n = 2;
        while self.used.contains(&name) || !self.taken.insert((function, name.clone())) {
            name = format!("{wanted}_{n}");
            n += 1;
        }
        name
    }
}
