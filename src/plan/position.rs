//! Where a load stands in its statement, and whether it can be guarded there without changing what else runs.

use super::Reason;
use crate::python::ast::visitor::source_order::{self, SourceOrderVisitor};
use crate::python::ast::{AnyNodeRef, Expr, StmtRef};
use crate::python::{SourceFile, span};
use crate::text::Span;

/// How a load (or a call that leads to one) can be guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// It is all its statement does: the statement goes into the `try`.
    Whole(Span),
    /// It is a part: it goes into a name before the statement.
    Part(Span),
}

impl Position {
    /// The statement.
    pub fn statement(self) -> Span {
        match self {
            Position::Whole(span) | Position::Part(span) => span,
        }
    }
}

/// The position of `load` in `file`; `moving` are loads that move before their statement as well.
pub(super) fn position(file: &SourceFile, load: Span, moving: &[Span]) -> Result<Position, Reason> {
    let ancestors = file.ancestors(load);
    let mut child = load;
    for node in ancestors.iter().rev() {
        let here = span(node);
        if here == load && node.is_expression() {
            child = here;
            continue;
        }
        if let Some(stmt) = node.as_stmt_ref() {
            return in_statement(file, stmt, load, moving);
        }
        step_out(*node, child)?;
        child = here;
    }
    Err(Reason::NoHandler)
}

/// Whether going out from `child` to `node` leaves a place that always runs, once, before the rest of its statement.
fn step_out(node: AnyNodeRef<'_>, child: Span) -> Result<(), Reason> {
    let holds = |expr: Option<&Expr>| expr.is_some_and(|e| span(e).contains(child));
    match node {
        AnyNodeRef::ExprLambda(_) => Err(Reason::InLambda),
        AnyNodeRef::ExprBoolOp(node) => always(holds(node.values.first())),
        AnyNodeRef::ExprIf(node) => always(holds(Some(&node.test))),
        AnyNodeRef::ExprCompare(node) => {
            always(holds(Some(&node.left)) || holds(node.comparators.first()))
        }
        AnyNodeRef::ExprListComp(_)
        | AnyNodeRef::ExprSetComp(_)
        | AnyNodeRef::ExprDictComp(_)
        | AnyNodeRef::ExprGenerator(_)
        | AnyNodeRef::Comprehension(_) => Err(Reason::InComprehension),
        AnyNodeRef::ElifElseClause(_) => Err(Reason::InElif),
        AnyNodeRef::MatchCase(_) => Err(Reason::ConditionalEvaluation),
        AnyNodeRef::Decorator(_) | AnyNodeRef::Parameters(_) => Err(Reason::InDefinition),
        _ => Ok(()),
    }
}

fn always(runs: bool) -> Result<(), Reason> {
    match runs {
        true => Ok(()),
        false => Err(Reason::ConditionalEvaluation),
    }
}

fn in_statement(
    file: &SourceFile,
    stmt: StmtRef<'_>,
    load: Span,
    moving: &[Span],
) -> Result<Position, Reason> {
    let is_load = |expr: &Expr| span(expr) == load;
    let names = |targets: &[Expr]| targets.iter().all(Expr::is_name_expr);
    let whole = match stmt {
        StmtRef::Assign(node) => is_load(&node.value) && names(&node.targets),
        StmtRef::AnnAssign(node) => {
            node.value.as_deref().is_some_and(is_load) && node.target.is_name_expr()
        }
        StmtRef::Expr(node) => is_load(&node.value),
        StmtRef::Return(node) => node.value.as_deref().is_some_and(is_load),
        StmtRef::While(_) => return Err(Reason::InLoopTest),
        StmtRef::FunctionDef(_) | StmtRef::ClassDef(_) | StmtRef::TypeAlias(_) => {
            return Err(Reason::InDefinition);
        }
        StmtRef::Assert(node) if node.msg.as_ref().is_some_and(|m| span(&**m).contains(load)) => {
            return Err(Reason::ConditionalEvaluation);
        }
        StmtRef::With(node) => {
            let first = node.items.first().map(|item| span(&item.context_expr));
            if !first.is_some_and(|s| s.contains(load)) {
                return Err(Reason::EvaluationOrder);
            }
            false
        }
        _ => false,
    };
    let extent = span(&stmt);
    let line = file.index().line_start(extent.start);
    let margin = Span::new(line, extent.start);
    // A byte-order mark before the first statement is no text of its own.
    if !file
        .slice(margin)
        .trim_start_matches('\u{feff}')
        .trim()
        .is_empty()
    {
        return Err(Reason::SharesALine);
    }
    if whole {
        let end = file.index().line_end(file.text(), extent.end);
        let after = file.slice(Span::new(extent.end, end)).trim_start();
        return match after.is_empty() || after.starts_with('#') {
            true => Ok(Position::Whole(extent)),
            false => Err(Reason::SharesALine),
        };
    }
    let from = match stmt {
        // Targets are evaluated after the value.
        StmtRef::Assign(node) => span(&*node.value).start,
        StmtRef::AnnAssign(node) => node
            .value
            .as_ref()
            .map_or(extent.start, |v| span(&**v).start),
        StmtRef::For(node) => span(&*node.iter).start,
        _ => extent.start,
    };
    let mut earlier = Earlier {
        from,
        load,
        moving,
        found: false,
    };
    source_order::walk_node(&mut earlier, AnyNodeRef::from(stmt));
    match earlier.found {
        true => Err(Reason::EvaluationOrder),
        false => Ok(Position::Part(extent)),
    }
}

/// Looks for anything with effects that runs before the load in its statement.
struct Earlier<'s> {
    from: usize,
    load: Span,
    moving: &'s [Span],
    found: bool,
}

impl<'a> SourceOrderVisitor<'a> for Earlier<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        let here = span(expr);
        if here.start >= self.load.start || self.moving.contains(&here) {
            return;
        }
        let effect = matches!(
            expr,
            Expr::Call(_) | Expr::Await(_) | Expr::Yield(_) | Expr::YieldFrom(_) | Expr::Named(_)
        );
        // A call that holds the load runs after it.
        if effect && here.start >= self.from && here.end <= self.load.start {
            self.found = true;
        }
        source_order::walk_expr(self, expr);
    }
}
