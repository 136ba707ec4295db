//! Modules of the project: what each binds, evaluated only as far as somebody asks.
//!
//! Invariant: a module that merely stands on the way is not interpreted; of it only the statements that bind a wanted
//! name are. Modules that hold loads, or lead to them, are interpreted whole.

use std::cell::RefCell;
use std::rc::Rc;

use memchr::memmem;
use rustc_hash::FxHashMap;

use super::env::{Env, Vars};
use super::machine::{Frame, Machine, Owner};
use super::taint::Place;
use super::value::{Arguments, Atom, Value};
use crate::defect::strike;
use crate::project::FileId;
use crate::python::Bound;
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr, Stmt};
use crate::text::Span;

/// Statements of a module's top level by the names they bind or change.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    bound: FxHashMap<Name, Vec<&'a Stmt>>,
    stars: Vec<&'a ast::StmtImportFrom>,
    /// What `__all__` lists, where it is a literal.
    exported: Option<Vec<Name>>,
}

impl<'a> Names<'a> {
    fn of(body: &'a [Stmt]) -> Names<'a> {
        let mut names = Names::default();
        for stmt in body {
            let mut bound = Vec::new();
            names.collect(stmt, &mut bound);
            bound.sort();
            bound.dedup();
            for name in bound {
                names.bound.entry(name).or_default().push(stmt);
            }
        }
        names
    }

    fn collect(&mut self, stmt: &'a Stmt, bound: &mut Vec<Name>) {
        let inner = |this: &mut Self, body: &'a [Stmt], bound: &mut Vec<Name>| {
            body.iter().for_each(|stmt| this.collect(stmt, bound));
        };
        match stmt {
            Stmt::FunctionDef(node) => bound.push(node.name.id.clone()),
            Stmt::ClassDef(node) => bound.push(node.name.id.clone()),
            Stmt::Import(node) => bound.extend(node.names.iter().map(|alias| {
                let local = alias.asname.as_ref().unwrap_or(&alias.name);
                Name::new(local.split('.').next().unwrap_or(local))
            })),
            Stmt::ImportFrom(node) => {
                for alias in &node.names {
                    match alias.name.as_str() {
                        "*" => self.stars.push(node),
                        _ => bound.push(alias.asname.as_ref().unwrap_or(&alias.name).id.clone()),
                    }
                }
            }
            Stmt::Assign(node) => {
                for target in &node.targets {
                    roots(target, bound);
                    if let (Expr::Name(name), true) = (target, self.exported.is_none())
                        && name.id == "__all__"
                    {
                        self.exported = literals(&node.value);
                    }
                }
            }
            Stmt::AnnAssign(node) if node.value.is_some() => roots(&node.target, bound),
            Stmt::AugAssign(node) => {
                roots(&node.target, bound);
                if node
                    .target
                    .as_name_expr()
                    .is_some_and(|n| n.id == "__all__")
                {
                    self.export_more(literals(&node.value));
                }
            }
            // `REGISTRY.update(...)`, `READERS.append(...)`.
            Stmt::Expr(node) => {
                if let Expr::Call(call) = &*node.value
                    && let Expr::Attribute(attribute) = &*call.func
                {
                    roots(&attribute.value, bound);
                    if attribute
                        .value
                        .as_name_expr()
                        .is_some_and(|n| n.id == "__all__")
                    {
                        let first = call.arguments.args.first();
                        self.export_more(match attribute.attr.as_str() {
                            "extend" => first.and_then(literals),
                            "append" => first.and_then(literal).map(|one| vec![one]),
                            _ => None,
                        });
                    }
                }
            }
            Stmt::If(node) => {
                inner(self, &node.body, bound);
                for clause in &node.elif_else_clauses {
                    inner(self, &clause.body, bound);
                }
            }
            Stmt::Try(node) => {
                inner(self, &node.body, bound);
                for handler in &node.handlers {
                    let ast::ExceptHandler::ExceptHandler(handler) = handler;
                    inner(self, &handler.body, bound);
                }
                inner(self, &node.orelse, bound);
                inner(self, &node.finalbody, bound);
            }
            Stmt::With(node) => {
                for item in &node.items {
                    item.optional_vars
                        .iter()
                        .for_each(|target| roots(target, bound));
                }
                inner(self, &node.body, bound);
            }
            Stmt::For(node) => {
                roots(&node.target, bound);
                inner(self, &node.body, bound);
            }
            Stmt::While(node) => inner(self, &node.body, bound),
            _ => {}
        }
    }

    /// `__all__ += more`.
    fn export_more(&mut self, more: Option<Vec<Name>>) {
        match (&mut self.exported, more) {
            (Some(exported), Some(more)) => exported.extend(more),
            // What it lists is not known: it may be anything.
            (exported, _) => *exported = None,
        }
    }

    /// Names that a star import brings, but for those that it gets by a star itself.
    fn all(&self) -> Vec<Name> {
        match &self.exported {
            Some(exported) => exported.clone(),
            None => self
                .bound
                .keys()
                .filter(|n| !n.starts_with('_'))
                .cloned()
                .collect(),
        }
    }

    fn exports(&self, name: &str) -> bool {
        match &self.exported {
            Some(exported) => exported.iter().any(|e| e == name),
            None => !name.starts_with('_'),
        }
    }
}

/// Names at the root of what `target` assigns to.
pub(super) fn roots(target: &Expr, bound: &mut Vec<Name>) {
    match target {
        Expr::Name(name) => bound.push(name.id.clone()),
        Expr::Attribute(node) => roots(&node.value, bound),
        Expr::Subscript(node) => roots(&node.value, bound),
        Expr::Starred(node) => roots(&node.value, bound),
        Expr::Tuple(node) => node.elts.iter().for_each(|e| roots(e, bound)),
        Expr::List(node) => node.elts.iter().for_each(|e| roots(e, bound)),
        _ => {}
    }
}

fn literals(expr: &Expr) -> Option<Vec<Name>> {
    let elts = match expr {
        Expr::List(node) => &node.elts,
        Expr::Tuple(node) => &node.elts,
        _ => return None,
    };
    elts.iter().map(literal).collect()
}

fn literal(expr: &Expr) -> Option<Name> {
    Some(Name::new(expr.as_string_literal_expr()?.value.to_str()))
}

/// Functions and modules that run within each other: calls, and what the innermost of them looks up.
const MOST_FRAMES: usize = super::functions::DEEPEST + 60;

impl<'a> Machine<'a> {
    /// Interprets the whole top level of `file`.
    pub fn whole_module(&mut self, file: FileId) {
        let project = self.project;
        let body = project.body(file);
        self.begin_module(body.len());
        self.modules.entry(file).or_default();
        self.frames.push(Frame::new(file));
        strike("module", project.path(file));
        let mut env = Env::default();
        for stmt in body {
            env.dead = false;
            self.statement(stmt, &mut env);
            // What either way of a branch binds.
            let compound = matches!(
                stmt,
                Stmt::If(_) | Stmt::Try(_) | Stmt::For(_) | Stmt::While(_) | Stmt::Match(_)
            );
            if compound {
                let vars = self.module_vars(file);
                let bound = env.vars().iter();
                vars.borrow_mut()
                    .extend(bound.map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        self.frames.pop();
    }

    fn names_of(&mut self, file: FileId) -> Rc<Names<'a>> {
        if let Some(names) = self.names.get(&file) {
            return Rc::clone(names);
        }
        let project = self.project;
        let names = Rc::new(Names::of(project.body(file)));
        self.names.insert(file, Rc::clone(&names));
        names
    }

    fn module_vars(&mut self, file: FileId) -> Rc<RefCell<Vars>> {
        Rc::clone(self.modules.entry(file).or_default())
    }

    /// What the module-level name `name` of `file` is.
    pub fn global(&mut self, file: FileId, name: &str) -> Option<Value> {
        let vars = self.module_vars(file);
        let known = vars.borrow().get(name).cloned();
        let value = match known {
            Some(value) => Some(value),
            None => self.defined(file, name),
        };
        let value = value.map(|value| self.resolved(value));
        match (value, self.assigned_global(file, name)) {
            (Some(value), Some(assigned)) => Some(value.join(&assigned)),
            (value, assigned) => value.or(assigned),
        }
    }

    /// `value` with imported names looked up.
    pub fn resolved(&mut self, value: Value) -> Value {
        let imported = |atom: &Atom| matches!(atom, Atom::Imported(..));
        if !value.atoms().iter().any(imported) {
            return value;
        }
        let mut out = Value::unknown();
        for atom in value.atoms() {
            match atom {
                Atom::Imported(home, name) => {
                    let key = (*home, Name::new(format!("import {name}")));
                    if self.defining.insert(key.clone()) {
                        out = out.join(&self.module_attribute(*home, name));
                        self.defining.remove(&key);
                    }
                }
                other => out.add(other.clone()),
            }
        }
        out
    }

    /// Evaluates the statements of `file` that bind `name`.
    fn defined(&mut self, file: FileId, name: &str) -> Option<Value> {
        let names = self.names_of(file);
        let Some(statements) = names.bound.get(name) else {
            return self.by_star(file, &names, name);
        };
        let key = (file, Name::new(name));
        if self.frames.len() > MOST_FRAMES {
            self.bounds.lose(true);
            return None;
        }
        if !self.defining.insert(key.clone()) {
            return None;
        }
        self.frames.push(Frame::new(file));
        let mut env = Env::default();
        for stmt in statements {
            env.dead = false;
            self.statement(stmt, &mut env);
        }
        self.frames.pop();
        self.defining.remove(&key);
        let value = env.get(name).cloned();
        let vars = self.module_vars(file);
        let mut vars = vars.borrow_mut();
        match value {
            Some(value) => {
                vars.insert(Name::new(name), value.clone());
                Some(value)
            }
            None => Some(vars.entry(Name::new(name)).or_default().clone()),
        }
    }

    /// What `name` is by a star import of the project.
    fn by_star(&mut self, file: FileId, names: &Names<'a>, name: &str) -> Option<Value> {
        for star in &names.stars {
            let Some(home) = self.project.module(file, &import_module(star)) else {
                continue;
            };
            let key = (home, Name::new(format!("* {name}")));
            // A package may have hundreds of them.
            let imports = self.imports.get(home.0);
            let says = || memmem::find(self.project.bytes(home), name.as_bytes()).is_some();
            if imports.is_some_and(|imports| !imports.star) && !says() {
                continue;
            }
            if home == file
                || !self.names_of(home).exports(name)
                || !self.defining.insert(key.clone())
            {
                continue;
            }
            let found = self.global(home, name);
            self.defining.remove(&key);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// A name that nothing in `file` binds: a builtin, or brought by a star import from outside.
    pub fn unbound(&self, file: FileId, name: &str) -> Value {
        let scopes = self.project.outer_scopes(file);
        let mut names = scopes.resolve(0, &[name.to_owned()]);
        // Of several star imports the last that is known to bring it does.
        let stars = scopes.bound_in(0, "*").iter().rev();
        let targets = stars.filter_map(|bound| match bound {
            Bound::Import(import) => Some(import.target.replace('*', name)),
            _ => None,
        });
        let mut later = Vec::new();
        for target in targets {
            let is_known = self.model.knows("", &target);
            later.push(target);
            if is_known {
                names.retain(|name| later.contains(name));
                break;
            }
        }
        names
            .iter()
            .map(|name| Atom::External(name.as_str().into()))
            .collect()
    }

    /// A name of a module, or a module below a package.
    pub fn module_attribute(&mut self, file: FileId, name: &str) -> Value {
        let own = self.global(file, name);
        if let Some(value) = own.filter(|value| !value.is_empty()) {
            return value;
        }
        let path = self.project.path(file);
        let folder = path.strip_suffix("__init__.py").map(str::to_owned);
        let below = folder.and_then(|folder| {
            let inner = [
                format!("{folder}{name}.py"),
                format!("{folder}{name}/__init__.py"),
            ];
            inner.iter().find_map(|path| self.project.by_path(path))
        });
        if let Some(file) = below {
            return Atom::Module(file).into();
        }
        // `def __getattr__(name)` of a module.
        if name.starts_with("__") || !self.names_of(file).bound.contains_key("__getattr__") {
            return Value::unknown();
        }
        let getter = self.global(file, "__getattr__").unwrap_or_default();
        let mut out = Value::unknown();
        for atom in getter.atoms() {
            if let Atom::Function(id, None) = atom {
                let place = Place {
                    file: self.file(),
                    span: Span { start: 0, end: 0 },
                };
                let given = Arguments::one(Value::str(name));
                let (value, _) = self.call(*id, None, &given, place, &mut Env::default());
                out = out.join(&value);
            }
        }
        out
    }

    /// The module `target`, of the project or outside.
    pub fn named_module(&mut self, target: &str) -> Value {
        match self.project.module(self.file(), target) {
            Some(file) => Atom::Module(file).into(),
            None if target.starts_with('.') => Value::unknown(),
            None => Value::external(target),
        }
    }

    pub(super) fn import(&mut self, alias: &'a ast::Alias, env: &mut Env) {
        let name = &alias.name.id;
        let (target, local) = match &alias.asname {
            Some(local) => (name.clone(), local.id.clone()),
            None => {
                let top = Name::new(name.split('.').next().unwrap_or(name));
                (top.clone(), top)
            }
        };
        let value = self.named_module(&target);
        self.bind(&local, value, env);
        // Importing a module sets it as an attribute of its package.
        let ends = name.match_indices('.').map(|(at, _)| at);
        for end in ends.collect::<Vec<_>>() {
            let (package, rest) = name.split_at(end);
            let child = rest.trim_start_matches('.').split('.').next().unwrap_or("");
            let file = self.file();
            let package_file = self.project.module(file, package);
            let child_file = self.project.module(file, &format!("{package}.{child}"));
            if let (Some(package), Some(child_file)) = (package_file, child_file) {
                let value = Atom::Module(child_file).into();
                self.set_field(Owner::Module(package), child, &value);
            }
        }
    }

    pub(super) fn import_from(&mut self, node: &'a ast::StmtImportFrom, env: &mut Env) {
        let module = import_module(node);
        let home = self.project.module(self.file(), &module);
        for alias in &node.names {
            let name = &alias.name.id;
            if name == "*" {
                // What they are is looked up when they are used.
                if let Some(home) = home.filter(|home| *home != self.file()) {
                    for name in self.names_of(home).all() {
                        self.bind(&name.clone(), Atom::Imported(home, name).into(), env);
                    }
                }
                continue;
            }
            let separator = if module.ends_with('.') { "" } else { "." };
            let full = format!("{module}{separator}{name}");
            let value = match (home, self.project.module(self.file(), &full)) {
                (Some(home), below) => match below {
                    Some(file) if !self.names_of(home).bound.contains_key(name) => {
                        Atom::Module(file).into()
                    }
                    _ => Atom::Imported(home, name.clone()).into(),
                },
                (None, Some(file)) => Atom::Module(file).into(),
                (None, None) if node.level == 0 => Value::external(&full),
                (None, None) => Value::unknown(),
            };
            let local = alias.asname.as_ref().map_or(name, |n| &n.id);
            self.bind(&local.clone(), value, env);
        }
    }
}

/// `..helpers` of `from ..helpers import x`.
fn import_module(node: &ast::StmtImportFrom) -> String {
    let dots = ".".repeat(node.level as usize);
    let module = node.module.as_ref().map_or("", |m| m.as_str());
    format!("{dots}{module}")
}
