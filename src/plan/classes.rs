//! Which classes a loaded value is made of, as far as the code says it: annotations, casts, type tests, and what the
//! project itself pickles.
//!
//! Invariant: a class is listed only if making one from a pickle runs no code of the project: it is on the pack's list,
//! or nothing but fields.

use std::collections::BTreeSet;

use super::call::call_at;
use crate::pack::Rewrite;
use crate::project::{FileId, Project};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Operator, Stmt};
use crate::python::{Bound, SourceFile, span};
use crate::text::Span;
use crate::trace::Finding;

/// Values within values are followed this far.
const DEEPEST: usize = 8;

/// Module, as an expression where it is `__name__`, and name.
pub(super) type Allowed = BTreeSet<(String, String)>;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// All of them.
    pub allowed: Allowed,
    /// Everything that the value is made of is known.
    pub complete: bool,
}

/// The module that a class of the load's own file says it is from, however that file is imported.
pub(super) const OWN_MODULE: &str = "__name__";

/// Methods by which a class takes part in being unpickled, or that run when its attributes are set.
const HOOKS: [&str; 12] = [
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
    "__new__",
    "__post_init__",
    "__setattr__",
    "__getattr__",
    "__getattribute__",
    "__del__",
];

/// The classes of what is loaded at `load` in `id`.
pub(super) fn classes(
    project: &Project,
    id: FileId,
    load: Span,
    finding: &Finding,
    rewrite: &Rewrite,
) -> Classes {
    let mut search = Search {
        project,
        rewrite,
        home: id,
        found: Classes {
            allowed: BTreeSet::new(),
            complete: true,
        },
        seen: BTreeSet::new(),
    };
    let roots = said(project.source(id), load);
    let mut all_seen = !finding.writers.is_empty();
    for link in &finding.writers {
        let place = link.place;
        let file = project.source(place.file);
        let call = call_at(file, place.span);
        let value = call.and_then(|call| call.arguments.args.first());
        all_seen &= value.is_some_and(|value| search.made_of(place.file, value, DEEPEST));
    }
    if roots.is_empty() && !all_seen {
        search.found.complete = false;
    }
    for root in roots {
        search.expand(id, root);
    }
    search.found
}

/// Type expressions that the code around `load` gives its value.
fn said(file: &SourceFile, load: Span) -> Vec<&Expr> {
    let mut roots: Vec<&Expr> = Vec::new();
    let mut name = None;
    let function = file.innermost_function(load);
    for node in file.ancestors(load).into_iter().rev() {
        match node {
            AnyNodeRef::ExprCall(call)
                if call.arguments.args.get(1).is_some_and(|a| span(a) == load) =>
            {
                let names = file.names(file.scopes().at(load.start), &call.func);
                let cast = names.iter().any(|n| n == "typing.cast");
                roots.extend(call.arguments.args.first().filter(|_| cast));
            }
            AnyNodeRef::StmtAnnAssign(node)
                if node.value.as_deref().is_some_and(|v| span(v) == load) =>
            {
                roots.push(&node.annotation);
                name = node.target.as_name_expr();
            }
            AnyNodeRef::StmtAssign(node) if span(&*node.value) == load => {
                name = node.targets.first().and_then(Expr::as_name_expr);
            }
            AnyNodeRef::StmtReturn(node)
                if node.value.as_deref().is_some_and(|v| span(v) == load) =>
            {
                roots.extend(function.and_then(|f| f.returns.as_deref()));
            }
            _ => {}
        }
    }
    if let (Some(name), Some(function)) = (name, function) {
        let mut tests = Tests {
            file,
            name: name.id.as_str(),
            kinds: Vec::new(),
        };
        tests.visit_body(&function.body);
        roots.extend(tests.kinds);
    }
    roots
}

/// `isinstance(name, kind)`.
struct Tests<'f> {
    file: &'f SourceFile,
    name: &'f str,
    kinds: Vec<&'f Expr>,
}

impl<'f> Visitor<'f> for Tests<'f> {
    fn visit_expr(&mut self, expr: &'f Expr) {
        if let Expr::Call(call) = expr
            && let [Expr::Name(tested), kind] = call.arguments.args.as_ref()
            && tested.id == *self.name
        {
            let scope = self.file.scopes().at(span(call).start);
            let names = self.file.names(scope, &call.func);
            if names.iter().any(|name| name == "builtins.isinstance") {
                match kind {
                    Expr::Tuple(tuple) => self.kinds.extend(&tuple.elts),
                    one => self.kinds.push(one),
                }
            }
        }
        visitor::walk_expr(self, expr);
    }
}

/// What made the value of `name`: the one assignment in its function, or else its annotation as a parameter.
fn made_by<'f>(file: &'f SourceFile, name: &ast::ExprName) -> Option<Maker<'f>> {
    let function = file.innermost_function(span(name))?;
    let parameters = function.parameters.iter();
    let annotated = parameters
        .filter(|p| *p.name().as_str() == *name.id.as_str())
        .find_map(|p| p.annotation());
    let mut assigned = function.body.iter().filter_map(|stmt| match stmt {
        Stmt::Assign(node) => match node.targets.as_slice() {
            [Expr::Name(target)] if target.id == name.id => Some(&*node.value),
            _ => None,
        },
        _ => None,
    });
    match (assigned.next(), assigned.next()) {
        (Some(value), None) => Some(Maker::Value(value)),
        (None, _) => annotated.map(Maker::Type),
        _ => None,
    }
}

/// What says of which classes a value is.
enum Maker<'f> {
    Value(&'f Expr),
    Type(&'f Expr),
}

struct Search<'p> {
    project: &'p Project,
    rewrite: &'p Rewrite,
    /// The file of the load.
    home: FileId,
    found: Classes,
    seen: BTreeSet<(FileId, String)>,
}

impl<'p> Search<'p> {
    /// Adds the classes of the objects that `value` is made of; whether that was seen of all of them.
    fn made_of(&mut self, id: FileId, value: &'p Expr, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else {
            return false;
        };
        let project = self.project;
        let file = project.source(id);
        match value {
            Expr::FString(_) => true,
            literal if literal.is_literal_expr() => true,
            Expr::Dict(dict) => dict.items.iter().fold(true, |all, item| {
                let mut parts = item.key.iter().chain([&item.value]);
                parts.all(|part| self.made_of(id, part, depth)) && all
            }),
            Expr::List(list) => self.all_made_of(id, &list.elts, depth),
            Expr::Tuple(tuple) => self.all_made_of(id, &tuple.elts, depth),
            Expr::Set(set) => {
                // Old protocols name it.
                let set_class = ("builtins".to_owned(), "set".to_owned());
                self.found.allowed.insert(set_class);
                self.all_made_of(id, &set.elts, depth)
            }
            Expr::Call(call) => {
                let class = self.constructed(id, &call.func);
                self.expand(id, class);
                true
            }
            Expr::Name(name) => match made_by(file, name) {
                Some(Maker::Value(value)) => self.made_of(id, value, depth),
                Some(Maker::Type(kind)) => {
                    self.expand(id, kind);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    fn all_made_of(&mut self, id: FileId, values: &'p [Expr], depth: usize) -> bool {
        // Each is looked at, whatever was seen of those before.
        let each: Vec<bool> = values
            .iter()
            .map(|one| self.made_of(id, one, depth))
            .collect();
        !each.contains(&false)
    }

    /// The class of what `function` makes: itself, or that of which it is a constructor, as `datetime.datetime.now` is.
    fn constructed(&self, id: FileId, function: &'p Expr) -> &'p Expr {
        let Expr::Attribute(method) = function else {
            return function;
        };
        let file = self.project.source(id);
        let names = file.names(file.scopes().at(span(function).start), &method.value);
        let plain = |name: &String| self.rewrite.plain_classes.contains(name);
        match names.iter().any(plain) {
            true => &method.value,
            false => function,
        }
    }

    /// Adds the classes of values of the type `kind`, written in `file`.
    fn expand(&mut self, id: FileId, kind: &'p Expr) {
        match kind {
            Expr::NoneLiteral(_) => {}
            Expr::BinOp(node) if node.op == Operator::BitOr => {
                self.expand(id, &node.left);
                self.expand(id, &node.right);
            }
            Expr::Subscript(node) => {
                self.expand(id, &node.value);
                match &*node.slice {
                    Expr::Tuple(tuple) => tuple.elts.iter().for_each(|part| self.expand(id, part)),
                    Expr::EllipsisLiteral(_) => {}
                    one => self.expand(id, one),
                }
            }
            Expr::EllipsisLiteral(_) => {}
            Expr::Name(_) | Expr::Attribute(_) => self.named(id, kind),
            // Texts, calls and whatever else.
            _ => self.found.complete = false,
        }
    }

    fn named(&mut self, id: FileId, kind: &'p Expr) {
        let file = self.project.source(id);
        let scope = file.scopes().at(span(kind).start);
        let names = file.names(scope, kind);
        if let [name] = names.as_slice() {
            if self.rewrite.plain_types.contains(name) {
                return;
            }
            if self.rewrite.plain_classes.contains(name) {
                if let Some((module, class)) = name.rsplit_once('.') {
                    let pair = (module.to_owned(), class.to_owned());
                    self.found.allowed.insert(pair);
                }
                return;
            }
            if let Some((module, class)) = name.rsplit_once('.') {
                let module = match module {
                    "" => ".",
                    module => module,
                };
                if let Some(home) = self.project.module(id, module) {
                    return self.class(home, class);
                }
            }
        }
        let own = kind.as_name_expr().filter(|name| {
            let bound = file.scopes().lookup(scope, name.id.as_str());
            bound.is_some_and(|(home, bound)| home == 0 && bound == [Bound::Definition])
        });
        match own {
            Some(name) => self.class(id, name.id.as_str()),
            None => self.found.complete = false,
        }
    }

    /// Adds the class `name` of `file`, if it is plain data, and the classes of its fields.
    fn class(&mut self, id: FileId, name: &str) {
        if !self.seen.insert((id, name.to_owned())) {
            return;
        }
        let file = self.project.source(id);
        let node = file.module().body.iter().find_map(|stmt| match stmt {
            Stmt::ClassDef(node) if node.name == *name => Some(node),
            _ => None,
        });
        let Some(node) = node.filter(|node| self.is_plain(id, node)) else {
            self.found.complete = false;
            return;
        };
        let module = match id == self.home {
            true => Some(OWN_MODULE.to_owned()),
            false => self.module_of(id),
        };
        match module {
            Some(module) => self.found.allowed.insert((module, name.to_owned())),
            None => {
                self.found.complete = false;
                return;
            }
        };
        let mut fields = false;
        for stmt in &node.body {
            match stmt {
                Stmt::AnnAssign(field) => {
                    fields = true;
                    self.expand(id, &field.annotation);
                }
                Stmt::FunctionDef(method) if method.name == *"__init__" => {
                    fields = true;
                    for parameter in method.parameters.iter().skip(1) {
                        match parameter.annotation() {
                            Some(annotation) => self.expand(id, annotation),
                            None => self.found.complete = false,
                        }
                    }
                }
                _ => {}
            }
        }
        self.found.complete &= fields;
    }

    /// Whether making an object of the class from a pickle runs no code of the project.
    fn is_plain(&self, id: FileId, node: &ast::StmtClassDef) -> bool {
        let file = self.project.source(id);
        let scope = file.scopes().at(span(node).start);
        let is = |expr: &Expr, wanted: &[String]| {
            let names = file.names(scope, expr);
            !names.is_empty() && names.iter().all(|name| wanted.contains(name))
        };
        let decorated = node.decorator_list.iter().all(|decorator| {
            let function = match &decorator.expression {
                Expr::Call(call) => &*call.func,
                other => other,
            };
            is(function, &self.rewrite.plain_decorators)
        });
        let derived = node.arguments.as_deref().is_none_or(|arguments| {
            arguments.keywords.is_empty()
                && arguments
                    .args
                    .iter()
                    .all(|base| is(base, &self.rewrite.plain_bases))
        });
        let methods = node.body.iter().all(|stmt| match stmt {
            Stmt::FunctionDef(method) if method.name == *"__init__" => only_sets(method),
            Stmt::FunctionDef(method) => !HOOKS.contains(&method.name.as_str()),
            Stmt::Assign(node) => node.targets.iter().all(|target| {
                target
                    .as_name_expr()
                    .is_some_and(|name| !HOOKS.contains(&name.id.as_str()))
            }),
            Stmt::AnnAssign(_) | Stmt::Pass(_) => true,
            Stmt::Expr(node) => {
                node.value.is_string_literal_expr() || node.value.is_ellipsis_literal_expr()
            }
            _ => false,
        });
        decorated && derived && methods
    }

    /// The module's name, by its path: from the first folder that is a package.
    fn module_of(&self, id: FileId) -> Option<String> {
        let path = self.project.path(id).strip_suffix(".py")?;
        let path = path.strip_suffix("/__init__").unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        let package = |n: usize| {
            let folder = parts.get(..n).map(|parts| parts.join("/"));
            folder.is_some_and(|f| self.project.by_path(&format!("{f}/__init__.py")).is_some())
        };
        let mut start = parts.len().checked_sub(1)?;
        while start > 0 && package(start) {
            start -= 1;
        }
        // A folder that is no package might be one all the same, or a root: nobody says which.
        let root = start == 0 || parts.get(..start).is_some_and(|p| p == ["src"]);
        root.then(|| parts.get(start..).unwrap_or_default().join("."))
    }
}

/// `def __init__(self, a): self.a = a`, and nothing else.
fn only_sets(method: &ast::StmtFunctionDef) -> bool {
    method.body.iter().all(|stmt| match stmt {
        Stmt::Assign(node) => {
            let targets = node.targets.iter().all(|target| {
                target
                    .as_attribute_expr()
                    .is_some_and(|a| a.value.is_name_expr())
            });
            let empty = match &*node.value {
                Expr::List(list) => list.elts.is_empty(),
                Expr::Dict(dict) => dict.items.is_empty(),
                value => value.is_name_expr() || value.is_literal_expr(),
            };
            targets && empty
        }
        Stmt::Pass(_) => true,
        Stmt::Expr(node) => node.value.is_string_literal_expr(),
        _ => false,
    })
}
