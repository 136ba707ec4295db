//! Whether a program asks for what pickles begin or end with before it loads: no JSON would ever pass that.

use super::Planner;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::trace::{Finding, Place};

/// What a pickle of protocol 2 or later begins with, by `pickletools.opcodes`.
const PROTO: u8 = 0x80;

/// What every pickle ends with.
const STOP: u8 = b'.';

/// Python's own module that reads pickles without loading them, and refuses all else.
const TOOLS: &str = "pickletools.";

impl Planner<'_> {
    /// Whether a function on the way to the load of `finding` mentions bytes that begin as pickles do, or reads them as
    /// pickles by other means.
    pub(super) fn asks_for_a_pickle(&self, finding: &Finding) -> bool {
        let calls = finding.routes.iter().flat_map(|route| &route.chain);
        let mut places = calls.map(|call| call.place).chain([finding.place]);
        places.any(|Place { file, span: place }| {
            let source = self.project.source(file);
            let ancestors = source.ancestors(place);
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
                        let mut asked = Mentions {
                            file: source,
                            found: false,
                        };
                        asked.visit_body(&function.body);
                        asked.found
                    })
            })
        })
    }
}

struct Mentions<'f> {
    file: &'f SourceFile,
    found: bool,
}

impl Mentions<'_> {
    /// Whether `name` is a variable of the module that holds the first bytes of a pickle.
    fn is_magic(&self, name: &ast::ExprName) -> bool {
        self.file.module().body.iter().any(|stmt| match stmt {
            Stmt::Assign(node) => {
                let mut targets = node.targets.iter().filter_map(Expr::as_name_expr);
                begins(&node.value) && targets.any(|target| target.id == name.id)
            }
            _ => false,
        })
    }
}

/// Whether `expr` is bytes that begin as pickles do.
fn begins(expr: &Expr) -> bool {
    let bytes = expr.as_bytes_literal_expr();
    bytes.is_some_and(|node| node.value.bytes().next() == Some(PROTO))
}

/// Whether `expr` is the one byte that pickles end with, or its number.
fn ends(expr: &Expr) -> bool {
    match expr {
        Expr::BytesLiteral(node) => node.value.bytes().eq([STOP]),
        _ => is_number(expr, STOP),
    }
}

fn is_number(expr: &Expr, byte: u8) -> bool {
    match expr {
        Expr::NumberLiteral(node) => match &node.value {
            ast::Number::Int(number) => number.as_u8() == Some(byte),
            _ => false,
        },
        _ => false,
    }
}

impl<'a> Visitor<'a> for Mentions<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        self.found |= match expr {
            Expr::BytesLiteral(_) => begins(expr),
            Expr::Name(name) => self.is_magic(name),
            // `data[0] == 128`, `data[-1:] == b"."`.
            Expr::Compare(node) => {
                let mut sides = std::iter::once(&*node.left).chain(&node.comparators);
                let is_part = node.left.is_subscript_expr()
                    || node.comparators.iter().any(Expr::is_subscript_expr);
                is_part && sides.any(|side| is_number(side, PROTO) || ends(side))
            }
            Expr::Call(call) => {
                let asks = |name: &str| matches!(name, "endswith" | "readuntil" | "read_until");
                let method = call.func.as_attribute_expr();
                let scope = self.file.scopes().at(span(expr).start);
                let names = self.file.names(scope, &call.func);
                method.is_some_and(|method| asks(&method.attr))
                    && call.arguments.args.iter().any(ends)
                    || names.iter().any(|name| name.starts_with(TOOLS))
            }
            _ => false,
        };
        visitor::walk_expr(self, expr);
    }
}
