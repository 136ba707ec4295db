//! Which name means what: scopes, bindings, and every dotted name that is read.
//!
//! Invariant: a name resolves only to what this file binds it to, or to a builtin when nothing does; a local
//! variable called `pickle` is not pickle.

use rustc_hash::FxHashMap;

use super::ast::name::Name;
use super::ast::visitor::{self, Visitor};
use super::ast::{self, Expr, ExprContext, ModModule, Stmt};
use super::span;
use crate::text::Span;

/// Index of a scope in its file; the module is scope 0.
pub type ScopeId = usize;

/// One name that an import statement binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// What it brings: `pickle`, `pickle.loads`; relative imports keep their dots: `..helpers.load`.
    pub target: String,
    /// The whole import statement.
    pub stmt: Span,
    /// This name's own part of it: `loads as l`.
    pub alias: Span,
    /// Whether it is `from ... import ...`.
    pub from: bool,
}

/// What a name is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// An import.
    Import(Box<Import>),
    /// Another dotted name: `load = pickle.loads`.
    Alias(Box<[Name]>),
    /// A function or class of this file.
    Definition,
    /// Anything else: parameters, loop variables, results of calls.
    Other,
}

#[derive(Debug, Default)]
struct Scope {
    parent: Option<ScopeId>,
    class: bool,
    span: Option<Span>,
    bindings: FxHashMap<Name, Vec<Bound>>,
    globals: Vec<String>,
}

/// What a [`Chain`] is doing where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainRole {
    /// Called: the span of the whole call.
    Called(Span),
    /// A base class of a class statement.
    Base,
    /// The whole right-hand side of `name = chain`.
    Aliased,
    /// Read in any other way.
    Read,
}

/// A dotted name as it is read: `pickle.loads`.
#[derive(Debug)]
pub struct Chain {
    /// Its parts.
    pub parts: Box<[Name]>,
    /// Where it stands.
    pub span: Span,
    /// The scope it is read in.
    pub scope: ScopeId,
    /// What for.
    pub role: ChainRole,
}

/// All scopes of one file.
#[derive(Debug)]
pub struct Scopes {
    scopes: Vec<Scope>,
    chains: Vec<Chain>,
    extents: Vec<Extent>,
}

/// Where a scope is; all of a file's are in the order in which they start, and one lies in another or apart from it.
#[derive(Debug)]
struct Extent {
    span: Span,
    /// The innermost extent around it.
    around: Option<usize>,
    /// The scope that what stands here is read in.
    scope: ScopeId,
}

/// The extents of `scopes`.
fn extents(scopes: &[Scope]) -> Vec<Extent> {
    let spans = scopes.iter().enumerate();
    let mut spans: Vec<(Span, ScopeId)> = spans.filter_map(|(n, s)| Some((s.span?, n))).collect();
    spans.sort_by_key(|(span, scope)| (span.start, std::cmp::Reverse(span.end), *scope));
    let mut extents: Vec<Extent> = Vec::with_capacity(spans.len());
    let mut open: Vec<usize> = Vec::new();
    for (span, scope) in spans {
        let ends = |n: &usize| extents.get(*n).is_none_or(|e| !e.span.contains(span));
        while open.last().is_some_and(ends) {
            open.pop();
        }
        let around = open.last().copied();
        // A default is read around its function, and stands within it: the scope that was made last counts.
        let outer = around.and_then(|n| extents.get(n)).map_or(0, |e| e.scope);
        open.push(extents.len());
        extents.push(Extent {
            span,
            around,
            scope: scope.max(outer),
        });
    }
    extents
}

/// The parts of `a.b.c`, if `expr` is a dotted name.
pub fn dotted(expr: &Expr) -> Option<Vec<String>> {
    Some(names(expr)?.iter().map(Name::to_string).collect())
}

/// The same, as they are kept.
fn names(expr: &Expr) -> Option<Box<[Name]>> {
    let mut parts = Vec::new();
    let mut at = expr;
    while let Expr::Attribute(attribute) = at {
        parts.push(attribute.attr.id.clone());
        at = &attribute.value;
    }
    parts.push(at.as_name_expr()?.id.clone());
    parts.reverse();
    Some(parts.into_boxed_slice())
}

impl Scopes {
    /// The scopes of `module`.
    pub(super) fn of(module: &ModModule) -> Scopes {
        let mut builder = Builder {
            scopes: vec![Scope::default()],
            chains: Vec::new(),
            current: 0,
            role: ChainRole::Read,
        };
        builder.visit_body(&module.body);
        Scopes {
            extents: extents(&builder.scopes),
            scopes: builder.scopes,
            chains: builder.chains,
        }
    }

    /// Every dotted name that is read, in the order of the file.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The innermost scope that holds `offset`.
    pub fn at(&self, offset: usize) -> ScopeId {
        let after = self.extents.partition_point(|e| e.span.start <= offset);
        let mut last = after.checked_sub(1).and_then(|n| self.extents.get(n));
        while let Some(extent) = last {
            if offset < extent.span.end {
                return extent.scope;
            }
            last = extent.around.and_then(|n| self.extents.get(n));
        }
        0
    }

    /// What `name` is bound to in `scope` itself.
    pub fn bound_in(&self, scope: ScopeId, name: &str) -> &[Bound] {
        self.scopes
            .get(scope)
            .and_then(|s| s.bindings.get(name))
            .map_or(&[], Vec::as_slice)
    }

    /// All names bound in `scope` itself.
    pub fn names_in(&self, scope: ScopeId) -> impl Iterator<Item = (&str, &[Bound])> {
        self.scopes
            .get(scope)
            .into_iter()
            .flat_map(|s| s.bindings.iter())
            .map(|(name, bound)| (name.as_str(), bound.as_slice()))
    }

    /// Every import of the file, whatever its scope.
    pub fn imports(&self) -> impl Iterator<Item = &Import> {
        let bound = self.scopes.iter().flat_map(|scope| scope.bindings.values());
        bound.flatten().filter_map(|bound| match bound {
            Bound::Import(import) => Some(&**import),
            _ => None,
        })
    }

    /// The scope that binds `name` as seen from `scope`, and its bindings.
    pub fn lookup(&self, scope: ScopeId, name: &str) -> Option<(ScopeId, &[Bound])> {
        let mut at = Some(scope);
        while let Some(id) = at {
            let here = self.scopes.get(id)?;
            // Class bodies are invisible from the functions inside them.
            if !here.class || id == scope {
                if here.globals.iter().any(|g| g == name) {
                    let bound = self.bound_in(0, name);
                    return (!bound.is_empty()).then_some((0, bound));
                }
                if let Some(bound) = here.bindings.get(name) {
                    return Some((id, bound));
                }
            }
            at = here.parent;
        }
        None
    }

    /// Qualified names that `parts` can stand for in `scope`: `["p", "loads"]` gives `pickle.loads` after
    /// `import pickle as p`. Several when imports are conditional, none when bound to something of this file.
    pub fn resolve<S: AsRef<str>>(&self, scope: ScopeId, parts: &[S]) -> Vec<String> {
        let mut names = Vec::new();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        self.resolve_into(scope, &parts, 8, &mut 2_000, &mut names);
        names.sort();
        names.dedup();
        names
    }

    fn resolve_into(
        &self,
        scope: ScopeId,
        parts: &[&str],
        fuel: usize,
        steps: &mut usize,
        names: &mut Vec<String>,
    ) {
        let Some((head, rest)) = parts.split_first() else {
            return;
        };
        let with_rest = |name: &str| {
            let mut full = name.to_owned();
            for part in rest {
                full.push('.');
                full.push_str(part);
            }
            full
        };
        let Some((home, bound)) = self.lookup(scope, head) else {
            names.push(with_rest(&format!("builtins.{head}")));
            // `from pickle import *` may have brought it.
            for star in self.bound_in(0, "*") {
                if let Bound::Import(import) = star {
                    names.push(with_rest(&import.target.replace('*', head)));
                }
            }
            return;
        };
        for binding in bound {
            // A name may be bound in thousands of places.
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                return;
            }
            match binding {
                Bound::Import(import) => names.push(with_rest(&import.target)),
                Bound::Alias(target) if fuel > 0 && target.first().is_none_or(|t| t != head) => {
                    let target = target.iter().map(Name::as_str);
                    let full: Vec<&str> = target.chain(rest.iter().copied()).collect();
                    self.resolve_into(home, &full, fuel - 1, steps, names);
                }
                Bound::Alias(_) | Bound::Definition | Bound::Other => {}
            }
        }
    }
}

struct Builder {
    scopes: Vec<Scope>,
    chains: Vec<Chain>,
    current: ScopeId,
    role: ChainRole,
}

impl Builder {
    fn bind(&mut self, name: &str, bound: Bound) {
        let is_global = self
            .scopes
            .get(self.current)
            .is_some_and(|s| s.globals.iter().any(|g| g == name));
        let home = if is_global { 0 } else { self.current };
        if let Some(scope) = self.scopes.get_mut(home) {
            let bindings = scope.bindings.entry(Name::new(name)).or_default();
            let is_known = matches!(
                (&bound, bindings.last()),
                (Bound::Other, Some(Bound::Other)) | (Bound::Definition, Some(Bound::Definition))
            );
            if !is_known {
                bindings.push(bound);
            }
        }
    }

    fn inside(&mut self, class: bool, extent: Span, body: impl FnOnce(&mut Self)) {
        let outer = self.current;
        self.current = self.scopes.len();
        self.scopes.push(Scope {
            parent: Some(outer),
            class,
            span: Some(extent),
            ..Scope::default()
        });
        body(self);
        self.current = outer;
    }

    fn bind_parameters(&mut self, parameters: &ast::Parameters) {
        for parameter in parameters {
            self.bind(parameter.name(), Bound::Other);
        }
    }

    fn with_role(&mut self, role: ChainRole, expr: &Expr) {
        self.role = role;
        self.visit_expr(expr);
        self.role = ChainRole::Read;
    }

    fn import(&mut self, stmt: Span, alias: &ast::Alias, prefix: Option<&str>) {
        let name = alias.name.as_str();
        let (target, default) = match prefix {
            Some(prefix) if prefix.ends_with('.') => (format!("{prefix}{name}"), name),
            Some(prefix) => (format!("{prefix}.{name}"), name),
            // `import a.b` binds `a`; `import a.b as c` binds `a.b`.
            None if alias.asname.is_none() => {
                let top = name.split('.').next().unwrap_or(name);
                (top.to_owned(), top)
            }
            None => (name.to_owned(), name),
        };
        let local = alias.asname.as_ref().map_or(default, |n| n.as_str());
        let import = Import {
            target,
            stmt,
            alias: span(alias),
            from: prefix.is_some(),
        };
        self.bind(local, Bound::Import(Box::new(import)));
    }
}

impl<'a> Visitor<'a> for Builder {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(node) => {
                for alias in &node.names {
                    self.import(span(node), alias, None);
                }
            }
            Stmt::ImportFrom(node) => {
                let dots = ".".repeat(node.level as usize);
                let module = node.module.as_ref().map_or("", |m| m.as_str());
                for alias in &node.names {
                    self.import(span(node), alias, Some(&format!("{dots}{module}")));
                }
            }
            Stmt::FunctionDef(node) => {
                self.bind(&node.name, Bound::Definition);
                for decorator in &node.decorator_list {
                    self.visit_decorator(decorator);
                }
                // Annotations and defaults are read in the outer scope.
                self.visit_parameters(&node.parameters);
                if let Some(returns) = &node.returns {
                    self.visit_annotation(returns);
                }
                self.inside(false, span(node), |this| {
                    this.bind_parameters(&node.parameters);
                    // Declared first: `global x` may stand after a nested block that assigns x.
                    this.declare_globals(&node.body);
                    this.visit_body(&node.body);
                });
            }
            Stmt::ClassDef(node) => {
                self.bind(&node.name, Bound::Definition);
                for decorator in &node.decorator_list {
                    self.visit_decorator(decorator);
                }
                if let Some(arguments) = &node.arguments {
                    for base in &arguments.args {
                        self.with_role(ChainRole::Base, base);
                    }
                    for keyword in &arguments.keywords {
                        self.visit_keyword(keyword);
                    }
                }
                self.inside(true, span(node), |this| this.visit_body(&node.body));
            }
            Stmt::Assign(node) => {
                let alias = match (node.targets.as_slice(), names(&node.value)) {
                    ([Expr::Name(name)], Some(parts)) => {
                        self.bind(&name.id, Bound::Alias(parts));
                        true
                    }
                    _ => false,
                };
                let role = match alias {
                    true => ChainRole::Aliased,
                    false => ChainRole::Read,
                };
                self.with_role(role, &node.value);
                if !alias {
                    for target in &node.targets {
                        self.visit_expr(target);
                    }
                }
            }
            Stmt::Try(node) => {
                for handler in &node.handlers {
                    let ast::ExceptHandler::ExceptHandler(handler) = handler;
                    if let Some(name) = &handler.name {
                        self.bind(name, Bound::Other);
                    }
                }
                visitor::walk_stmt(self, stmt);
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let role = std::mem::replace(&mut self.role, ChainRole::Read);
        match expr {
            Expr::Name(name) if name.ctx == ExprContext::Store => {
                self.bind(&name.id, Bound::Other);
            }
            Expr::Name(_) | Expr::Attribute(_) => {
                if let Some(parts) = names(expr) {
                    self.chains.push(Chain {
                        parts,
                        span: span(expr),
                        scope: self.current,
                        role,
                    });
                } else {
                    visitor::walk_expr(self, expr);
                }
            }
            Expr::Call(call) => {
                self.with_role(ChainRole::Called(span(call)), &call.func);
                self.visit_arguments(&call.arguments);
            }
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.visit_parameters(parameters);
                }
                self.inside(false, span(lambda), |this| {
                    if let Some(parameters) = &lambda.parameters {
                        this.bind_parameters(parameters);
                    }
                    this.visit_expr(&lambda.body);
                });
            }
            _ => visitor::walk_expr(self, expr),
        }
    }

    fn visit_pattern(&mut self, pattern: &'a ast::Pattern) {
        let name = match pattern {
            ast::Pattern::MatchAs(p) => p.name.as_ref(),
            ast::Pattern::MatchStar(p) => p.name.as_ref(),
            ast::Pattern::MatchMapping(p) => p.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(name, Bound::Other);
        }
        visitor::walk_pattern(self, pattern);
    }
}

impl Builder {
    fn declare_globals(&mut self, body: &[Stmt]) {
        struct Globals(Vec<String>);
        impl<'a> Visitor<'a> for Globals {
            fn visit_stmt(&mut self, stmt: &'a Stmt) {
                match stmt {
                    Stmt::Global(node) => self.0.extend(node.names.iter().map(|n| n.to_string())),
                    Stmt::FunctionDef(_) | Stmt::ClassDef(_) => {}
                    _ => visitor::walk_stmt(self, stmt),
                }
            }
        }
        let mut globals = Globals(Vec::new());
        globals.visit_body(body);
        if let Some(scope) = self.scopes.get_mut(self.current) {
            scope.globals = globals.0;
        }
    }
}
