//! Where a project binds its application, so that a test can import it.

use memchr::memmem;

use crate::pack::Framework;
use crate::project::Project;
use crate::python::ast::{Expr, Stmt};
use crate::python::span;
use crate::trace::is_test;

/// An application, or what makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct App {
    /// By its dotted name.
    pub module: String,
    /// What it binds.
    pub name: String,
    /// That is a function, which gives one.
    made: bool,
}

impl App {
    /// What a test says for it.
    pub(super) fn expression(&self) -> String {
        match self.made {
            true => format!("{}()", self.name),
            false => self.name.clone(),
        }
    }
}

/// The application of `framework` in `project`: the one in the file of its handler, or the only one.
pub(super) fn application(project: &Project, framework: &Framework, near: &str) -> Option<App> {
    let types: Vec<&str> = framework
        .serves
        .iter()
        .flat_map(|serve| &serve.types)
        .map(String::as_str)
        .collect();
    let words: Vec<&str> = types
        .iter()
        .filter_map(|name| name.rsplit('.').next())
        .collect();
    let mut found: Vec<(String, App)> = Vec::new();
    for id in project.ids() {
        let path = project.path(id);
        let bytes = project.bytes(id);
        if is_test(path)
            || !words
                .iter()
                .any(|word| memmem::find(bytes, word.as_bytes()).is_some())
        {
            continue;
        }
        let Some(module) = module(path) else { continue };
        let source = project.source(id);
        let makes = |expr: &Expr| {
            expr.as_call_expr().is_some_and(|call| {
                let scope = source.scopes().at(span(call).start);
                let names = source.names(scope, &call.func);
                names.iter().any(|name| types.contains(&name.as_str()))
            })
        };
        for stmt in &source.module().body {
            let app = match stmt {
                Stmt::FunctionDef(function) => {
                    let needs = function
                        .parameters
                        .iter_non_variadic_params()
                        .any(|p| p.default.is_none());
                    let made = function
                        .body
                        .iter()
                        .filter_map(bound)
                        .filter(|(_, value)| makes(value));
                    let made: Vec<&str> = made.map(|(name, _)| name).collect();
                    let gives = function.body.iter().any(|stmt| {
                        let value = stmt.as_return_stmt().and_then(|stmt| stmt.value.as_deref());
                        value.is_some_and(|value| match value {
                            Expr::Name(name) => made.contains(&name.id.as_str()),
                            other => makes(other),
                        })
                    });
                    (gives && !needs && !function.is_async).then(|| (function.name.as_str(), true))
                }
                stmt => bound(stmt)
                    .filter(|(_, value)| makes(value))
                    .map(|(name, _)| (name, false)),
            };
            if let Some((name, made)) = app {
                let (module, name) = (module.clone(), name.to_owned());
                found.push((path.to_owned(), App { module, name, made }));
            }
        }
    }
    let own = found.iter().filter(|(path, _)| path == near);
    let own: Vec<&App> = own.map(|(_, app)| app).collect();
    let all: Vec<&App> = found.iter().map(|(_, app)| app).collect();
    match (own.as_slice(), all.as_slice()) {
        ([app], _) | ([], [app]) => Some((*app).clone()),
        _ => None,
    }
}

/// The name and the value of `name = value`.
fn bound(stmt: &Stmt) -> Option<(&str, &Expr)> {
    match stmt {
        Stmt::Assign(assign) => match assign.targets.as_slice() {
            [Expr::Name(name)] => Some((name.id.as_str(), &assign.value)),
            _ => None,
        },
        Stmt::AnnAssign(assign) => match &*assign.target {
            Expr::Name(name) => Some((name.id.as_str(), assign.value.as_deref()?)),
            _ => None,
        },
        _ => None,
    }
}

/// By which name the file at `path` is imported from the root of its project.
fn module(path: &str) -> Option<String> {
    let path = path
        .strip_prefix("src/")
        .unwrap_or(path)
        .strip_suffix(".py")?;
    let path = path.strip_suffix("/__init__").unwrap_or(path);
    let word = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_')
    };
    path.split('/').all(word).then(|| path.replace('/', "."))
}
