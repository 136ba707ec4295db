//! Whether a program asks for the first byte of a pickle before it loads: no JSON would ever pass that.

use crate::project::Project;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{AnyNodeRef, Expr};
use crate::trace::{Finding, Place};

/// What a pickle of protocol 2 or later begins with, by `pickletools.opcodes`.
const PROTO: u8 = 0x80;

/// Whether a function on the way to the load of `finding` mentions bytes that begin as pickles do.
pub(super) fn asks_for_a_pickle(project: &Project, finding: &Finding) -> bool {
    let calls = finding.routes.iter().flat_map(|route| &route.chain);
    let places = calls.map(|call| call.place).chain([finding.place]);
    let mut asked = Mentions(false);
    for Place { file, span } in places {
        let ancestors = project.source(file).ancestors(span);
        let function = ancestors.iter().find_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(node) => Some(*node),
            _ => None,
        });
        if let Some(function) = function {
            asked.visit_body(&function.body);
        }
    }
    asked.0
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
