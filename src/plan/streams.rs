//! Whether a file or connection is read further than one load: JSON reads it to its end.

use super::call::{Load, call_at};
use super::{Planner, Reason};
use crate::project::{FileId, Project};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::Finding;

/// The innermost class around `place`.
pub(super) fn class_of(file: &SourceFile, place: Span) -> Option<Span> {
    let nodes = file.ancestors(place);
    nodes.iter().rev().find_map(|node| match node {
        AnyNodeRef::StmtClassDef(node) => Some(span(*node)),
        _ => None,
    })
}

/// Whether a function comes to the load of `finding` more than once with one stream: by two equal calls, or by one in a loop
/// that makes nothing anew.
pub(super) fn reads_again(project: &Project, finding: &Finding) -> bool {
    let calls = finding.routes.iter().flat_map(|route| &route.chain);
    let mut places: Vec<_> = calls.map(|call| call.place).collect();
    places.sort();
    places.dedup();
    let mut seen = std::collections::HashSet::new();
    places.into_iter().any(|place| {
        let file = project.source(place.file);
        let home = file.innermost_function(place.span).map(span);
        let equal = !seen.insert((place.file, home, file.slice(place.span)));
        equal || repeats(file, place.span)
    })
}

/// Whether the call at `place` stands in a loop and names nothing that the loop binds.
fn repeats(file: &SourceFile, place: Span) -> bool {
    let Some(call) = call_at(file, place) else {
        return false;
    };
    let mut names = Names(Vec::new());
    names.visit_expr(&call.func);
    call.arguments
        .args
        .iter()
        .for_each(|arg| names.visit_expr(arg));
    call.arguments
        .keywords
        .iter()
        .for_each(|k| names.visit_expr(&k.value));
    let nodes = file.ancestors(place).into_iter().rev();
    let within = nodes.take_while(|node| !matches!(node, AnyNodeRef::StmtFunctionDef(_)));
    let loops = within.filter(|node| match node {
        AnyNodeRef::StmtFor(node) => !span(&*node.iter).contains(place),
        AnyNodeRef::StmtWhile(_) => true,
        _ => false,
    });
    let mut loops = loops.map(|node| span(&node));
    loops.any(|extent| !names.0.iter().any(|name| is_bound(file, extent, name)))
}

/// Names in an expression.
struct Names<'a>(Vec<&'a str>);

impl<'a> Visitor<'a> for Names<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Name(name) = expr {
            self.0.push(&name.id);
        }
        visitor::walk_expr(self, expr);
    }
}

impl<'p> Planner<'p> {
    /// JSON reads a file to its end: several loads from one file object cannot become several JSON loads.
    pub(super) fn one_load_a_file(&self, id: FileId, load: &Load) -> Result<(), Reason> {
        let project: &'p Project = self.project;
        let file = project.source(id);
        let text = file.slice(load.argument);
        let function = file.innermost_function(load.whole).map(span);
        // One object's methods read one file.
        let class = class_of(file, load.whole).filter(|_| text.starts_with("self."));
        let of_class = class.map_or(&[][..], |class| self.loads_of(id, Some(class), text));
        let others = self.loads_of(id, function, text).iter().chain(of_class);
        let twin = others.into_iter().any(|other| !load.whole.contains(*other));
        match twin || looped(file, load) || read_on(file, load) {
            true => Err(Reason::ReadsAStream),
            false => Ok(()),
        }
    }
}

/// Whether the load stands in a loop, and its file is not opened there.
fn looped(file: &SourceFile, load: &Load) -> bool {
    let mut looped = false;
    for node in file.ancestors(load.whole).into_iter().rev() {
        match node {
            AnyNodeRef::StmtFunctionDef(_) | AnyNodeRef::ExprLambda(_) => break,
            AnyNodeRef::StmtWhile(_)
            | AnyNodeRef::StmtFor(_)
            | AnyNodeRef::ExprListComp(_)
            | AnyNodeRef::ExprGenerator(_) => {
                // A file opened in the same turn of the loop is read once.
                let opened = bound_inside(file, span(&node), load);
                looped |= !opened && !iterated(node, load);
            }
            _ => {}
        }
    }
    looped
}

/// Whether the function reads on behind the pickle: `pickle.load(f)`, then `f.read()`.
fn read_on(file: &SourceFile, load: &Load) -> bool {
    struct Later<'n> {
        file: &'n SourceFile,
        load: &'n Load,
        found: bool,
    }
    impl<'a> Visitor<'a> for Later<'_> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            let stream = self.file.slice(self.load.argument);
            let is_stream = |expr: &Expr| {
                let later = span(expr).start >= self.load.whole.end;
                later && self.file.slice(span(expr)) == stream
            };
            let reads = match expr {
                Expr::Attribute(node) if is_stream(&node.value) => {
                    node.attr.starts_with("read") || matches!(&*node.attr, "peek" | "tell")
                }
                Expr::Call(node) => node.arguments.args.iter().any(is_stream),
                _ => false,
            };
            self.found |= reads;
            visitor::walk_expr(self, expr);
        }
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            if let Stmt::For(node) = stmt {
                let later = span(&*node.iter).start >= self.load.whole.end;
                let text = self.file.slice(span(&*node.iter));
                self.found |= later && text == self.file.slice(self.load.argument);
            }
            visitor::walk_stmt(self, stmt);
        }
    }
    let mut later = Later {
        file,
        load,
        found: false,
    };
    let body = file
        .innermost_function(load.whole)
        .map_or(&file.module().body, |f| &f.body);
    later.visit_body(body);
    later.found
}

/// Whether the load is what the loop goes over, which is evaluated once.
fn iterated(node: AnyNodeRef<'_>, load: &Load) -> bool {
    match node {
        AnyNodeRef::StmtFor(node) => span(&*node.iter).contains(load.whole),
        _ => false,
    }
}

/// Whether the name that the load reads is bound within `extent`, or the argument is not a name at all.
fn bound_inside(file: &SourceFile, extent: Span, load: &Load) -> bool {
    let text = file.slice(load.argument);
    let head = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    is_bound(file, extent, head.into_iter().next().unwrap_or(text))
}

/// Whether `name` is bound within `extent`.
fn is_bound(file: &SourceFile, extent: Span, name: &str) -> bool {
    struct Stores<'n> {
        name: &'n str,
        extent: Span,
        found: bool,
    }
    impl<'a> Visitor<'a> for Stores<'_> {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            let here = span(stmt);
            if here.start < self.extent.end && self.extent.start < here.end {
                visitor::walk_stmt(self, stmt);
            }
        }
        fn visit_expr(&mut self, expr: &'a Expr) {
            if let Expr::Name(name) = expr {
                let stored = name.ctx == ast::ExprContext::Store && name.id == *self.name;
                self.found |= stored && self.extent.contains(span(expr));
            }
            visitor::walk_expr(self, expr);
        }
    }
    let mut stores = Stores {
        name,
        extent,
        found: false,
    };
    stores.visit_body(&file.module().body);
    stores.found
}
