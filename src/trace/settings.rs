//! Settings that choose pickle: `SESSION_SERIALIZER = "...PickleSerializer"`. Nothing flows here; what is said is found.
//!
//! Invariant: a setting is found wherever its name and its value stand together: assigned, by subscript, as an attribute,
//! as a keyword or in a dictionary.

use std::collections::BTreeSet;

use super::sites::Form;
use super::taint::Place;
use super::{Finding, Reach};
use crate::defect::strike;
use crate::pack::{Model, Setting, SinkId};
use crate::project::{FileId, Project};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{Expr, Stmt};
use crate::python::{SourceFile, span};

/// All settings in `files` of `project` that choose what `model` says is dangerous.
pub(super) fn settings(project: &Project, model: &Model, files: Vec<FileId>) -> Vec<Finding> {
    let rows: Vec<(SinkId, &Setting)> = model.settings().collect();
    let found = files.into_iter().flat_map(|id| {
        project.glance(id, |file| {
            let looked = project.caught(id, || {
                strike("settings", project.path(id));
                let used: Vec<&str> = file.scopes().imports().map(|i| i.target.as_str()).collect();
                let rows = rows.iter().filter(|(_, row)| fits(row, &used));
                let mut look = Look {
                    model,
                    file,
                    id,
                    rows: rows.copied().collect(),
                    found: Vec::new(),
                };
                look.visit_body(&file.module().body);
                look.found
            });
            (looked.unwrap_or_default(), false)
        })
    });
    found.collect()
}

/// Whether a file with the imports `used` may hold the setting.
fn fits(row: &Setting, used: &[&str]) -> bool {
    row.packages.is_empty()
        || row.packages.iter().any(|package| {
            used.iter().any(|target| {
                let rest = target.strip_prefix(package.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        })
}

struct Look<'f> {
    model: &'f Model,
    file: &'f SourceFile,
    id: FileId,
    rows: Vec<(SinkId, &'f Setting)>,
    found: Vec<Finding>,
}

impl Look<'_> {
    /// Notes what `value` chooses for the setting `key`, as an argument of a call of `callee` or by itself.
    fn note(&mut self, key: &str, value: &Expr, callee: &[String]) {
        for (sink, row) in self.rows.clone() {
            // A function that is known belongs to its own library.
            let elsewhere = !callee.is_empty() && !row.packages.is_empty() && {
                let callee: Vec<&str> = callee.iter().map(String::as_str).collect();
                !fits(row, &callee)
            };
            if elsewhere || !row.keys.iter().any(|k| k == key) {
                continue;
            }
            let elements = match value {
                Expr::List(node) => node.elts.as_slice(),
                Expr::Tuple(node) => node.elts.as_slice(),
                Expr::Set(node) => node.elts.as_slice(),
                one => std::slice::from_ref(one),
            };
            for element in elements {
                let seen = |finding: &Finding| finding.place.span == span(element);
                if chooses(self.file, element, row) && !self.found.iter().any(seen) {
                    self.found.push(self.finding(sink, row, key, element));
                }
            }
        }
    }

    fn finding(&self, sink: SinkId, row: &Setting, key: &str, value: &Expr) -> Finding {
        let channel = self.model.sink_row(sink).map_or("", |(_, s)| &s.channel);
        Finding {
            uses: Vec::new(),
            place: Place {
                file: self.id,
                span: span(value),
            },
            sink,
            name: key.to_owned(),
            form: Form::Setting,
            reach: Reach::Untrusted,
            trust: row.trust,
            path: None,
            channel: channel.to_owned(),
            key: None,
            levels: BTreeSet::from([row.trust]),
            named_by_client: false,
            maybe_none: false,
            writers: Vec::new(),
            sham: None,
            routes: Vec::new(),
            test: false,
            complete: true,
            fingerprint: String::new(),
            alike: String::new(),
        }
    }
}

/// Whether `value` is one that `row` speaks of.
fn chooses(file: &SourceFile, value: &Expr, row: &Setting) -> bool {
    let (expr, call) = match value {
        Expr::StringLiteral(text) => {
            return row.values.iter().any(|v| v == text.value.to_str());
        }
        Expr::Call(call) if call.arguments.is_empty() => (&*call.func, "()"),
        other => (other, ""),
    };
    let names = file.names(file.scopes().at(span(value).start), expr);
    let wanted = |name: &String| row.names.iter().any(|n| *n == format!("{name}{call}"));
    !names.is_empty() && names.iter().all(wanted)
}

impl<'a> Visitor<'a> for Look<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let (targets, value) = match stmt {
            Stmt::Assign(node) => (node.targets.as_slice(), Some(&*node.value)),
            Stmt::AnnAssign(node) => (std::slice::from_ref(&*node.target), node.value.as_deref()),
            _ => (&[][..], None),
        };
        for target in targets {
            let key = match target {
                Expr::Name(name) => Some(name.id.as_str()),
                Expr::Attribute(node) => Some(node.attr.as_str()),
                Expr::Subscript(node) => match &*node.slice {
                    Expr::StringLiteral(text) => Some(text.value.to_str()),
                    _ => None,
                },
                _ => None,
            };
            if let (Some(key), Some(value)) = (key, value) {
                self.note(key, value, &[]);
            }
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr {
            let callee = self
                .file
                .names(self.file.scopes().at(span(call).start), &call.func);
            for keyword in &call.arguments.keywords {
                if let Some(name) = &keyword.arg {
                    self.note(name.as_str(), &keyword.value, &callee);
                }
            }
        }
        if let Expr::Dict(dict) = expr {
            for item in &dict.items {
                if let Some(Expr::StringLiteral(key)) = &item.key {
                    self.note(key.value.to_str(), &item.value, &[]);
                }
            }
        }
        visitor::walk_expr(self, expr);
    }
}
