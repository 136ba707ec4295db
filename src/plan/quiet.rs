//! Whether an expression around a load can be guarded as a whole: nothing else in it raises what is caught.

use super::position::Standing;
use crate::python::ast::visitor::source_order::{self, SourceOrderVisitor};
use crate::python::ast::{self, AnyNodeRef, CmpOp, Expr, UnaryOp};
use crate::python::{SourceFile, span};
use crate::text::Span;

/// Whether all of `node` but the load of `standing` is quiet.
pub(super) fn quiet(file: &SourceFile, node: AnyNodeRef<'_>, standing: &Standing<'_>) -> bool {
    let mut loud = Loud {
        file,
        standing,
        found: false,
    };
    source_order::walk_node(&mut loud, node);
    !loud.found
}

/// Looks for anything that may raise what is caught.
struct Loud<'s> {
    file: &'s SourceFile,
    standing: &'s Standing<'s>,
    found: bool,
}

impl Loud<'_> {
    fn catches(&self, errors: &[&str]) -> bool {
        let caught = &self.standing.catch;
        caught
            .iter()
            .any(|caught| errors.contains(&caught.name.as_str()))
    }

    fn is_quiet(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Name(_)
            | Expr::BoolOp(_)
            | Expr::If(_)
            | Expr::Tuple(_)
            | Expr::List(_)
            | Expr::Set(_)
            | Expr::Dict(_)
            | Expr::Slice(_)
            | Expr::ListComp(_)
            | Expr::SetComp(_)
            | Expr::DictComp(_) => true,
            Expr::UnaryOp(node) => node.op == UnaryOp::Not,
            Expr::Attribute(_) => {
                let scope = self.file.scopes().at(span(expr).start);
                let imported = !self.file.names(scope, expr).is_empty();
                imported || !self.catches(&["AttributeError"])
            }
            Expr::Subscript(_) => !self.catches(&["KeyError", "IndexError", "LookupError"]),
            Expr::Compare(node) => {
                let ordered =
                    |op: &CmpOp| matches!(op, CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE);
                !(node.ops.iter().any(ordered) && self.catches(&["TypeError"]))
            }
            Expr::Call(call) => {
                let moving = self.standing.moving.contains(&span(expr));
                moving || (self.standing.reads)(call) || empties(self.file, call)
            }
            // Only such as `empties` are let through, above.
            Expr::Generator(_) => true,
            literal => literal.is_literal_expr(),
        }
    }
}

impl<'a> SourceOrderVisitor<'a> for Loud<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if span(expr) == self.standing.load {
            return;
        }
        self.found |= !self.is_quiet(expr);
        match expr {
            // That a known method is missing means that the client's value is.
            Expr::Call(call) if (self.standing.reads)(call) => {
                match &*call.func {
                    Expr::Attribute(method) => self.visit_expr(&method.value),
                    Expr::Name(_) => {}
                    other => self.visit_expr(other),
                }
                self.visit_arguments(&call.arguments);
            }
            _ => source_order::walk_expr(self, expr),
        }
    }

    fn visit_comprehension(&mut self, comprehension: &'a ast::Comprehension) {
        // Unpacking raises ValueError, but for pairs that are ones.
        let pairs = comprehension.iter.as_call_expr().is_some_and(|call| {
            call.func
                .as_attribute_expr()
                .is_some_and(|method| method.attr == *"items")
        });
        let taken = match &comprehension.target {
            Expr::Name(_) => true,
            Expr::Tuple(tuple) => pairs && tuple.elts.iter().all(Expr::is_name_expr),
            _ => false,
        };
        self.found |= comprehension.is_async || !taken;
        source_order::walk_comprehension(self, comprehension);
    }
}

/// Whether `call` is `list(x for ...)` or the like: it runs the generator to its end at once.
fn empties(file: &SourceFile, call: &ast::ExprCall) -> bool {
    const COLLECTIONS: [&str; 4] = [
        "builtins.list",
        "builtins.tuple",
        "builtins.set",
        "builtins.frozenset",
    ];
    let sole = match (&*call.arguments.args, &*call.arguments.keywords) {
        ([only], []) => only.is_generator_expr(),
        _ => false,
    };
    let scope = file.scopes().at(span(call).start);
    let names = file.names(scope, &call.func);
    sole && !names.is_empty()
        && names
            .iter()
            .all(|name| COLLECTIONS.contains(&name.as_str()))
}

/// Whether the generator `node` is run to its end at once by the call around it; `outer` are the nodes around it.
pub(super) fn emptied(file: &SourceFile, node: AnyNodeRef<'_>, outer: &[AnyNodeRef<'_>]) -> bool {
    let call = outer.iter().rev().find_map(|node| match node {
        AnyNodeRef::Arguments(_) => None,
        node => Some(node),
    });
    match call {
        Some(AnyNodeRef::ExprCall(call)) => {
            let mut arguments = call.arguments.args.iter();
            arguments.any(|argument| span(argument) == span(&node)) && empties(file, call)
        }
        _ => false,
    }
}

/// Whether `child` is what a comprehension goes over first: that is evaluated once, at once, and before all else in it.
pub(super) fn first_source(node: AnyNodeRef<'_>, child: Span) -> bool {
    let generators = match node {
        AnyNodeRef::ExprListComp(node) => &node.generators,
        AnyNodeRef::ExprSetComp(node) => &node.generators,
        AnyNodeRef::ExprDictComp(node) => &node.generators,
        AnyNodeRef::ExprGenerator(node) => &node.generators,
        _ => return false,
    };
    let first = generators.first();
    // `child` is the clause or a part of it.
    first.is_some_and(|first| span(&first.iter).contains(child))
}
