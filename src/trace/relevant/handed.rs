//! How a file hands loads on: under other names, as values, by a text.

use rustc_hash::FxHashSet;

use crate::pack::Model;
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{Expr, Stmt};
use crate::python::{Bound, ChainRole, SourceFile, span};
use crate::text::Span;
use crate::trace::modules::roots;

/// Calls in `source` that write what sinks read.
fn writers_of(model: &Model, source: &SourceFile) -> Vec<Span> {
    let writes = |chain: &&crate::python::Chain| {
        let names = source.scopes().resolve(chain.scope, &chain.parts);
        names.iter().any(|name| model.is_writer(name))
    };
    let chains = source.scopes().chains().iter().filter(writes);
    chains.map(|chain| chain.span).collect()
}

/// How a file hands sinks on: names that others may know them by, and whether code in it may call them by other names.
#[derive(Default)]
pub(in crate::trace) struct Named {
    /// Calls that write what sinks read.
    pub(super) writers: Vec<Span>,
    pub(super) names: Vec<Name>,
    /// A sink or its module is used as a value, or named by a text: functions here may call it by another name.
    pub(super) anywhere: bool,
    /// What such functions mention: names that it is kept under, and its own.
    pub(super) marks: FxHashSet<Name>,
    /// Where it is used as a value.
    pub(super) held: Vec<Span>,
}

impl Named {
    /// What `source` hands on.
    pub fn of(model: &Model, source: &SourceFile) -> Named {
        let mut named = handed_on(model, source);
        named.writers = writers_of(model, source);
        named
    }

    /// Whether something is written that sinks read.
    pub fn writes(&self) -> bool {
        !self.writers.is_empty()
    }

    /// Whether there is anything of interest.
    pub fn matters(&self) -> bool {
        self.anywhere || !self.names.is_empty() || !self.writers.is_empty()
    }
}

fn handed_on(model: &Model, source: &SourceFile) -> Named {
    let modules = model.pickle_modules();
    let is = |name: &String| model.sink(name).is_some() || modules.contains(name);
    let mut out = Named::default();
    let mut held: Vec<Span> = Vec::new();
    let mut texts = Texts {
        modules: &modules,
        found: false,
        passed: Vec::new(),
    };
    texts.visit_body(&source.module().body);
    for chain in source.scopes().chains() {
        let resolved = source.scopes().resolve(chain.scope, &chain.parts);
        if resolved.iter().any(|name| model.has_sinks(name)) {
            out.anywhere = true;
            held.push(chain.span);
        }
        if resolved.iter().any(is) {
            held.push(chain.span);
            out.anywhere |= matches!(chain.role, ChainRole::Aliased | ChainRole::Read)
                && !texts.passed.contains(&chain.span);
        }
    }
    for (name, bound) in source.scopes().names_in(0) {
        for binding in bound {
            if let Bound::Import(import) = binding {
                if is(&import.target) {
                    out.names.push(Name::new(name));
                }
                let star = import.target.strip_suffix(".*");
                out.anywhere |= star.is_some_and(|top| modules.iter().any(|m| m == top));
            }
        }
    }
    out.anywhere |= texts.found;
    for stmt in &source.module().body {
        let holds = || held.iter().any(|at| span(stmt).contains(*at));
        match stmt {
            Stmt::Assign(node) if holds() => {
                let targets = node.targets.iter().filter_map(Expr::as_name_expr);
                out.names.extend(targets.map(|name| name.id.clone()));
            }
            Stmt::ClassDef(node) => {
                let assigned = |stmt: &Stmt| {
                    matches!(stmt, Stmt::Assign(_) | Stmt::AnnAssign(_))
                        && held.iter().any(|at| span(stmt).contains(*at))
                };
                let mut bases = node.arguments.iter().flat_map(|a| &a.args);
                let derived = bases.any(|base| {
                    held.iter().any(|at| span(base).contains(*at))
                        || matches!(base, Expr::Name(name) if out.names.contains(&name.id))
                });
                if derived || node.body.iter().any(assigned) {
                    out.names.push(node.name.id.clone());
                }
            }
            _ => {}
        }
    }
    out.names.sort();
    out.names.dedup();
    if out.anywhere {
        let mut kept = Kept {
            held: &held,
            names: Vec::new(),
        };
        kept.visit_body(&source.module().body);
        out.marks.extend(kept.names);
        out.marks.extend(out.names.iter().cloned());
        out.marks
            .extend(model.sink_lasts().into_iter().map(Name::new));
        // The module's own name is mentioned by who calls it directly: those are loads that stand there.
        out.marks
            .retain(|name| !modules.iter().any(|m| **m == **name));
        out.held = held;
    }
    out
}

/// Names and attributes that are assigned something of `held`.
struct Kept<'h> {
    held: &'h [Span],
    names: Vec<Name>,
}

impl<'a> Visitor<'a> for Kept<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::Assign(node) = stmt
            && self.held.iter().any(|at| span(&*node.value).contains(*at))
        {
            for target in &node.targets {
                match target {
                    Expr::Attribute(attribute) => self.names.push(attribute.attr.id.clone()),
                    target => roots(target, &mut self.names),
                }
            }
        }
        visitor::walk_stmt(self, stmt);
    }
}

/// Looks for texts that are the name of a sink's module: `import_module("pickle")`.
struct Texts<'m> {
    modules: &'m [String],
    found: bool,
    /// Dotted names that are handed to a call, which is followed from there.
    passed: Vec<Span>,
}

impl Texts<'_> {
    fn names(&self, expr: &Expr) -> bool {
        match expr {
            Expr::StringLiteral(node) => {
                let text = node.value.to_str();
                self.modules.iter().any(|m| m == text)
            }
            _ => false,
        }
    }
}

impl<'a> Visitor<'a> for Texts<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => {
                let last = match &*call.func {
                    Expr::Name(name) => name.id.as_str(),
                    Expr::Attribute(attribute) => attribute.attr.as_str(),
                    _ => "",
                };
                // What these give is the function itself.
                let wraps = matches!(
                    last,
                    "staticmethod" | "classmethod" | "partial" | "lru_cache"
                );
                let handed = call.arguments.args.iter().filter(|_| !wraps);
                for argument in handed {
                    if crate::python::dotted(argument).is_some() {
                        self.passed.push(span(argument));
                    }
                }
                let by_name = matches!(last, "import_module" | "__import__" | "getattr" | "get");
                self.found |= by_name && call.arguments.args.iter().any(|a| self.names(a));
            }
            Expr::Subscript(node) => self.found |= self.names(&node.slice),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::Assign(node) = stmt {
            self.found |= self.names(&node.value);
        }
        visitor::walk_stmt(self, stmt);
    }
}
