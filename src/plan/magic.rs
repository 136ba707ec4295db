//! Whether a program asks for the first byte of a pickle before it loads: no JSON would ever pass that.

use super::Planner;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{AnyNodeRef, Expr};
use crate::python::span;
use crate::trace::{Finding, Place};

/// What a pickle of protocol 2 or later begins with, by `pickletools.opcodes`.
const PROTO: u8 = 0x80;

impl Planner<'_> {
    /// Whether a function on the way to the load of `finding` mentions bytes that begin as pickles do.
    pub(super) fn asks_for_a_pickle(&self, finding: &Finding) -> bool {
        let calls = finding.routes.iter().flat_map(|route| &route.chain);
        let mut places = calls.map(|call| call.place).chain([finding.place]);
        places.any(|Place { file, span: place }| {
            let ancestors = self.project.source(file).ancestors(place);
            let function = ancestors.iter().find_map(|node| match node {
                AnyNodeRef::StmtFunctionDef(node) => Some(*node),
                _ => None,
            });
            function.is_some_and(|function| {
                // One function may hold thousands of loads.
                let mut known = self.once.magics.borrow_mut();
                *known
                    .entry((file, span(function).start))
                    .or_insert_with(|| {
                        let mut asked = Mentions(false);
                        asked.visit_body(&function.body);
                        asked.0
                    })
            })
        })
    }
}

struct Mentions(bool);

impl<'a> Visitor<'a> for Mentions {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::BytesLiteral(node) = expr {
            self.0 |= node.value.bytes().next() == Some(PROTO);
        }
        visitor::walk_expr(self, expr);
    }
}
