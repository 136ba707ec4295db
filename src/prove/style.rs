//! How a repository writes its tests: with what, where, and under which names.

use std::collections::BTreeMap;

use crate::project::{FileId, Project};
use crate::python::ast::{Expr, Stmt};
use crate::python::span;
use crate::trace::is_test;

/// Files at the root that say how tests are run, besides Python.
pub const CONFIGS: [&str; 4] = ["pyproject.toml", "pytest.ini", "setup.cfg", "tox.ini"];

/// So many test files are looked into.
const MOST: usize = 300;

/// With what tests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// Functions with fixtures.
    Pytest,
    /// Classes of `unittest`.
    Unittest,
    /// The framework's own test cases, by `manage.py test`.
    Manage,
}

/// How tests are written here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// With what they are run.
    pub runner: Runner,
    /// Where they are: empty, or ending in `/`.
    pub folder: String,
    /// A name of a file, `*` for what it is about.
    pub pattern: String,
    /// `conftest.py` files that hold there, nearest first.
    pub fixtures: Vec<FileId>,
}

/// How tests of `project` are written, for what stands in `near`. `own_cases`: the framework has test cases of its own;
/// `plugin`: what pytest needs to run its applications.
pub fn style(
    project: &Project,
    configs: &BTreeMap<String, String>,
    near: &str,
    (own_cases, plugin): (bool, Option<&str>),
) -> Style {
    let tests: Vec<FileId> = project
        .ids()
        .filter(|id| is_test_file(project.path(*id)))
        .collect();
    let looked: Vec<Seen> = tests
        .iter()
        .take(MOST)
        .map(|id| seen(project, *id))
        .collect();
    let conftests: Vec<FileId> = project
        .ids()
        .filter(|id| name(project.path(*id)) == "conftest.py")
        .collect();
    let asked = Asked::of(configs);
    let uses = |module: &str| {
        let top = |import: &str| import.split('.').next() == Some(module);
        let files = tests.iter().take(MOST).chain(&conftests);
        let mut imports = files.flat_map(|id| project.source(*id).scopes().imports());
        imports.any(|import| top(&import.target))
    };
    let with_pytest = asked.pytest
        || !conftests.is_empty()
        || uses("pytest")
        || looked.iter().any(|one| one.functions);
    let plugged = plugin.is_none_or(|plugin| asked.names(plugin) || uses(plugin));
    let managed = own_cases && project.by_path("manage.py").is_some();
    let runner = match (with_pytest && plugged, managed) {
        (true, _) => Runner::Pytest,
        (false, true) => Runner::Manage,
        (false, false) => Runner::Unittest,
    };
    let folder = folder(project, &tests, &asked, near, runner);
    let suffixed = looked.iter().filter(|one| one.suffixed).count();
    let pattern = match asked.pattern {
        Some(pattern) if runner == Runner::Pytest => pattern,
        // `unittest` finds what begins with `test`, and nothing else.
        _ if suffixed * 2 > looked.len() && runner == Runner::Pytest => "*_test.py".to_owned(),
        _ => "test_*.py".to_owned(),
    };
    let mut fixtures: Vec<FileId> = conftests;
    fixtures.retain(|id| folder.starts_with(parent(project.path(*id))));
    fixtures.sort_by_key(|id| std::cmp::Reverse(project.path(*id).len()));
    Style {
        runner,
        folder,
        pattern,
        fixtures,
    }
}

/// Where a new test goes.
fn folder(
    project: &Project,
    tests: &[FileId],
    asked: &Asked,
    near: &str,
    runner: Runner,
) -> String {
    let beside = parent(near);
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for id in tests {
        *count.entry(parent(project.path(*id))).or_default() += 1;
    }
    let shared = |folder: &str| {
        let pairs = folder.chars().zip(beside.chars());
        pairs.take_while(|(a, b)| a == b).count()
    };
    // An application of its own has its tests beside it, or in a package there.
    if runner == Runner::Manage {
        let package = format!("{beside}tests/");
        return match count.contains_key(package.as_str()) {
            true => package,
            false => beside.to_owned(),
        };
    }
    let within = |folder: &str| match &asked.folder {
        Some(asked) => folder.starts_with(asked.as_str()),
        None => true,
    };
    let most = count.iter().filter(|(folder, _)| within(folder));
    let most =
        most.max_by_key(|(folder, n)| (shared(folder), **n, std::cmp::Reverse(folder.len())));
    match (most, &asked.folder, runner) {
        (Some((folder, _)), _, _) => (*folder).to_owned(),
        (None, Some(asked), _) => asked.clone(),
        (None, None, Runner::Pytest) => "tests/".to_owned(),
        // Discovery looks into packages only.
        (None, None, _) => String::new(),
    }
}

/// What the configuration says.
#[derive(Debug, Default)]
struct Asked {
    pytest: bool,
    folder: Option<String>,
    pattern: Option<String>,
    text: String,
}

impl Asked {
    fn of(configs: &BTreeMap<String, String>) -> Asked {
        let mut asked = Asked {
            text: configs.values().map(String::as_str).collect(),
            ..Asked::default()
        };
        let get = |name: &str| configs.get(name).map_or("", String::as_str);
        let section = |name: &str, head: &str| {
            let mut lines = get(name).lines().skip_while(|line| line.trim() != head);
            lines.next().is_some().then(|| {
                let own = lines.take_while(|line| !line.starts_with('['));
                own.map(str::to_owned).collect::<Vec<String>>()
            })
        };
        let ini = section("pytest.ini", "[pytest]")
            .or_else(|| section("tox.ini", "[pytest]"))
            .or_else(|| section("setup.cfg", "[tool:pytest]"));
        let project: Option<toml::Table> = get("pyproject.toml").parse().ok();
        let options = project.as_ref().and_then(|table| {
            let tool = table.get("tool")?.get("pytest")?;
            Some(tool.get("ini_options").unwrap_or(tool))
        });
        asked.pytest = ini.is_some() || options.is_some() || configs.contains_key("pytest.ini");
        let value = |key: &str| -> Option<String> {
            if let Some(lines) = &ini {
                let at = lines.iter().position(|line| {
                    let rest = line.strip_prefix(key).map(str::trim_start);
                    rest.is_some_and(|rest| rest.starts_with('='))
                })?;
                let own = lines.get(at)?.split_once('=')?.1.to_owned();
                let next = lines
                    .get(at + 1)
                    .filter(|line| line.starts_with([' ', '\t']));
                let words = format!("{own} {}", next.map_or("", |line| line));
                return words.split_whitespace().next().map(str::to_owned);
            }
            let value = options?.get(key)?;
            let first = value.as_array().map_or(Some(value), |all| all.first());
            let words = first?.as_str()?;
            words.split_whitespace().next().map(str::to_owned)
        };
        let plain =
            |text: &String| !text.contains(['*', '?', '[']) && !text.starts_with(['.', '/']);
        let folder = value("testpaths").filter(plain);
        asked.folder = folder.map(|folder| format!("{}/", folder.trim_end_matches('/')));
        let one = |pattern: &String| pattern.matches('*').count() == 1 && pattern.ends_with(".py");
        asked.pattern = value("python_files").filter(one);
        asked
    }

    /// Whether a plugin of pytest is named anywhere in the configuration.
    fn names(&self, plugin: &str) -> bool {
        self.text.contains(plugin) || self.text.contains(&plugin.replace('_', "-"))
    }
}

/// What a test file looks like.
struct Seen {
    /// It has functions for pytest.
    functions: bool,
    /// Its name ends in `_test.py`.
    suffixed: bool,
}

fn seen(project: &Project, id: FileId) -> Seen {
    let body = &project.source(id).module().body;
    let is_test = |stmt: &Stmt| matches!(stmt, Stmt::FunctionDef(f) if f.name.starts_with("test"));
    Seen {
        functions: body.iter().any(is_test),
        suffixed: project.path(id).ends_with("_test.py"),
    }
}

fn is_test_file(path: &str) -> bool {
    let name = name(path);
    let named = name.starts_with("test_") || name.ends_with("_test.py") || name == "tests.py";
    // Also by other names where the whole folder is of tests.
    named && (is_test(path) || name == "tests.py")
}

/// The fixture called `wanted` of the nearest `conftest.py`, if its code says `word` and is no coroutine.
pub(super) fn has_fixture(project: &Project, style: &Style, wanted: &str, word: &str) -> bool {
    let nearest = style.fixtures.iter().find_map(|id| {
        let source = project.source(*id);
        let body = source.module().body.iter();
        let mut functions = body.filter_map(|stmt| stmt.as_function_def_stmt());
        functions.find(|f| f.name == *wanted).map(|f| (source, f))
    });
    nearest.is_some_and(|(source, function)| {
        let fixture = function.decorator_list.iter().any(|decorator| {
            let func = match &decorator.expression {
                Expr::Call(call) => &call.func,
                other => other,
            };
            source.slice(span(func)).ends_with("fixture")
        });
        fixture && !function.is_async && source.slice(span(function)).contains(word)
    })
}

/// The folder of `path`: empty, or ending in `/`.
pub(super) fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..=at])
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
