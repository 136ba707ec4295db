//! Whether something stands behind a pickle that a reader of pickles leaves unread: JSON has to be all there is.

use super::{Planner, Reason};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{AnyNodeRef, Expr, Operator, Stmt};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, Place};

/// Methods that put something behind what they are called on.
const PADDING: [&str; 2] = ["ljust", "center"];

/// What cuts off a part: a method that the text of a step calls.
const CUTTING: [&str; 8] = [
    ".split(",
    ".rsplit(",
    ".partition(",
    ".rpartition(",
    ".strip(",
    ".rstrip(",
    ".removesuffix(",
    ".unpack",
];

impl Planner<'_> {
    /// What is written behind what the call at `place` pickles has to be cut off before `readers` load it.
    pub(super) fn nothing_trails<'f>(
        &self,
        place: Place,
        mut readers: impl Iterator<Item = &'f Finding>,
    ) -> Result<(), Reason> {
        let file = self.project.source(place.file);
        match trailed(file, place.span) && !readers.all(|finding| self.is_cut(finding)) {
            true => Err(Reason::WriterNotRewritten),
            false => Ok(()),
        }
    }

    /// Whether a part is cut off of what `finding` loads, on every way to it.
    fn is_cut(&self, finding: &Finding) -> bool {
        let mut paths = finding.routes.iter().flat_map(|route| &route.paths);
        paths.all(|path| {
            path.hops().iter().any(|hop| {
                let text = self.project.source(hop.place.file).slice(hop.place.span);
                let sliced = text.ends_with(']') && text.contains(':');
                sliced || CUTTING.iter().any(|method| text.contains(method))
            })
        })
    }
}

/// Whether bytes are put behind what the call at `writer` gives, at once or once it has a name.
fn trailed(file: &SourceFile, writer: Span) -> bool {
    let mut kept = None;
    for node in file.ancestors(writer).into_iter().rev() {
        match node {
            AnyNodeRef::StmtAssign(node) => {
                kept = node.targets.first().and_then(Expr::as_name_expr);
                break;
            }
            node if node.as_stmt_ref().is_some() => break,
            node if node
                .as_expr_ref()
                .is_some_and(|_| trails(node, &|e| span(e).contains(writer))) =>
            {
                return true;
            }
            _ => {}
        }
    }
    let Some(name) = kept else { return false };
    let body = file
        .innermost_function(writer)
        .map_or(&file.module().body, |f| &f.body);
    let mut later = Later {
        name: &name.id,
        after: writer.end,
        found: false,
    };
    later.visit_body(body);
    later.found
}

/// Whether `node` puts something behind `is`.
fn trails(node: AnyNodeRef<'_>, is: &dyn Fn(&Expr) -> bool) -> bool {
    match node {
        AnyNodeRef::ExprBinOp(node) => match node.op {
            Operator::Add => is(&node.left) && !is_blank(&node.right),
            Operator::Mod => is(&node.right) && node.left.is_bytes_literal_expr(),
            _ => false,
        },
        AnyNodeRef::ExprCall(call) => match &*call.func {
            Expr::Attribute(method) if PADDING.contains(&&*method.attr) => is(&method.value),
            Expr::Attribute(method) if method.attr == *"join" => {
                let parts = match call.arguments.args.first() {
                    Some(Expr::List(node)) => node.elts.as_slice(),
                    Some(Expr::Tuple(node)) => node.elts.as_slice(),
                    _ => &[],
                };
                let behind = parts.iter().skip_while(|part| !is(part)).skip(1);
                behind.into_iter().any(|part| !is_blank(part))
            }
            _ => false,
        },
        _ => false,
    }
}

/// Bytes that JSON may end with.
fn is_blank(expr: &Expr) -> bool {
    let bytes = expr.as_bytes_literal_expr();
    bytes.is_some_and(|node| node.value.bytes().all(|b| b" \t\r\n".contains(&b)))
}

/// Looks what is put behind a name.
struct Later<'n> {
    name: &'n str,
    after: usize,
    found: bool,
}

impl<'a> Visitor<'a> for Later<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::AugAssign(node) = stmt
            && node.op == Operator::Add
            && span(stmt).start > self.after
        {
            let is_name = matches!(&*node.target, Expr::Name(name) if *name.id == *self.name);
            self.found |= is_name && !is_blank(&node.value);
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let is_name = |expr: &Expr| matches!(expr, Expr::Name(name) if *name.id == *self.name);
        let within = |expr: &Expr| match expr {
            Expr::Tuple(node) => node.elts.iter().any(is_name),
            other => is_name(other),
        };
        self.found |= span(expr).start > self.after && trails(expr.into(), &within);
        visitor::walk_expr(self, expr);
    }
}
