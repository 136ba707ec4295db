//! Where a load stands in its statement, and whether it can be guarded there without changing what else runs.

use super::Reason;
use super::quiet::{emptied, first_source, quiet};
use super::raised::Raised;
use crate::python::ast::visitor::source_order::{self, SourceOrderVisitor};
use crate::python::ast::{self, AnyNodeRef, Expr, StmtRef};
use crate::python::{Bound, SourceFile, span};
use crate::text::Span;

/// How a load (or a call that leads to one) can be guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The statement.
    pub statement: Span,
    /// What is guarded: the load, or the smallest expression around it that always runs, if nothing else in that can
    /// raise what is caught.
    pub target: Span,
    /// The target is all the statement does: the statement goes into the `try`. Otherwise the target goes into a name
    /// before the statement.
    pub whole: bool,
}

/// What is known of the load whose position is asked for.
pub(super) struct Standing<'s> {
    /// The load, or the call that leads to one.
    pub load: Span,
    /// Its argument calls what nothing is known of, and so is evaluated before the `try`.
    pub stirs: bool,
    /// Loads that move before their statements as well.
    pub moving: &'s [Span],
    /// What is caught.
    pub catch: &'s [Raised],
    /// Whether a call is known to only read and decode.
    pub reads: &'s dyn Fn(&ast::ExprCall) -> bool,
}

/// The position of the load of `standing` in `file`.
pub(super) fn position(file: &SourceFile, standing: &Standing<'_>) -> Result<Position, Reason> {
    let load = standing.load;
    let ancestors = file.ancestors(load);
    let mut target = load;
    let mut child = load;
    // In a generator that the call around it empties at once.
    let mut later = None;
    for (n, node) in ancestors.iter().enumerate().rev() {
        let here = span(node);
        if here == load && node.is_expression() {
            continue;
        }
        if let Some(stmt) = node.as_stmt_ref() {
            return in_statement(file, stmt, target, standing);
        }
        let outer = ancestors.get(..n).unwrap_or_default();
        let mut step = step_out(file, *node, child, outer);
        if let Some(reason) = later.filter(|_| matches!(node, AnyNodeRef::ExprCall(_))) {
            step = Step::Sometimes(reason);
            later = None;
        }
        match step {
            Step::Always => {}
            Step::Never(reason) => return Err(reason),
            Step::Later(reason) => later = Some(reason),
            Step::Sometimes(_) if !standing.stirs && quiet(file, *node, standing) => target = here,
            Step::Sometimes(reason) => return Err(reason),
        }
        if !matches!(node, AnyNodeRef::Comprehension(_)) {
            child = here;
        }
    }
    Err(Reason::NoHandler)
}

/// What going out from an expression to the node around it means for when it runs.
enum Step {
    /// It always runs, once, before the rest.
    Always,
    /// It runs under a condition, or several times: only the node around it can be guarded, as a whole.
    Sometimes(Reason),
    /// As `Sometimes`, but what can be guarded is the call around that node.
    Later(Reason),
    /// It runs elsewhere, or not before the rest.
    Never(Reason),
}

fn step_out(
    file: &SourceFile,
    node: AnyNodeRef<'_>,
    child: Span,
    outer: &[AnyNodeRef<'_>],
) -> Step {
    let holds = |expr: Option<&Expr>| expr.is_some_and(|e| span(e).contains(child));
    let always = |runs: bool| match runs {
        true => Step::Always,
        false => Step::Sometimes(Reason::ConditionalEvaluation),
    };
    match node {
        AnyNodeRef::ExprLambda(node) if holds(Some(&node.body)) => Step::Never(Reason::InLambda),
        AnyNodeRef::ExprBoolOp(node) => always(holds(node.values.first())),
        AnyNodeRef::ExprIf(node) => always(holds(Some(&node.test))),
        AnyNodeRef::ExprCompare(node) => {
            always(holds(Some(&node.left)) || holds(node.comparators.first()))
        }
        _ if first_source(node, child) => Step::Always,
        AnyNodeRef::ExprListComp(_) | AnyNodeRef::ExprSetComp(_) | AnyNodeRef::ExprDictComp(_) => {
            Step::Sometimes(Reason::InComprehension)
        }
        AnyNodeRef::ExprGenerator(_) if emptied(file, node, outer) => {
            Step::Later(Reason::InComprehension)
        }
        AnyNodeRef::ExprGenerator(_) => Step::Never(Reason::InComprehension),
        _ if shows_its_text(node) => Step::Never(Reason::InDebugText),
        AnyNodeRef::ElifElseClause(_) => Step::Never(Reason::InElif),
        AnyNodeRef::MatchCase(_) | AnyNodeRef::ExceptHandlerExceptHandler(_) => {
            Step::Never(Reason::ConditionalEvaluation)
        }
        AnyNodeRef::Parameter(_) | AnyNodeRef::TypeParams(_) => Step::Never(Reason::InDefinition),
        _ => Step::Always,
    }
}

/// Whether `node` is a part of an f-string or template that shows the text of its expression.
pub(super) fn shows_its_text(node: AnyNodeRef<'_>) -> bool {
    match node {
        AnyNodeRef::InterpolatedElement(node) => node.debug_text.is_some(),
        AnyNodeRef::ExprTString(_) => true,
        _ => false,
    }
}

fn in_statement(
    file: &SourceFile,
    stmt: StmtRef<'_>,
    target: Span,
    standing: &Standing<'_>,
) -> Result<Position, Reason> {
    let is_target = |expr: &Expr| span(expr) == target;
    let holds = |expr: &Expr| span(expr).contains(target);
    let names = |targets: &[Expr]| targets.iter().all(Expr::is_name_expr);
    let whole = match stmt {
        StmtRef::Assign(node) => is_target(&node.value) && names(&node.targets),
        StmtRef::AnnAssign(node) if holds(&node.annotation) => return Err(Reason::InDefinition),
        StmtRef::AnnAssign(node) => {
            node.value.as_deref().is_some_and(is_target) && node.target.is_name_expr()
        }
        StmtRef::Expr(node) => is_target(&node.value),
        StmtRef::Return(node) => node.value.as_deref().is_some_and(is_target),
        StmtRef::While(_) => return Err(Reason::InLoopTest),
        StmtRef::FunctionDef(node) if node.returns.as_deref().is_some_and(holds) => {
            return Err(Reason::InDefinition);
        }
        StmtRef::TypeAlias(_) => return Err(Reason::InDefinition),
        StmtRef::Assert(node) if node.msg.as_deref().is_some_and(holds) => {
            return Err(Reason::ConditionalEvaluation);
        }
        StmtRef::With(node) => {
            let first = node.items.first().map(|item| span(&item.context_expr));
            if !first.is_some_and(|s| s.contains(target)) {
                return Err(Reason::EvaluationOrder);
            }
            false
        }
        _ => false,
    };
    let statement = span(&stmt);
    if whole {
        return Ok(Position {
            statement,
            target,
            whole,
        });
    }
    let from = match stmt {
        // Targets are evaluated after the value.
        StmtRef::Assign(node) => span(&*node.value).start,
        StmtRef::AnnAssign(node) => node
            .value
            .as_ref()
            .map_or(statement.start, |v| span(&**v).start),
        StmtRef::For(node) => span(&*node.iter).start,
        _ => statement.start,
    };
    let mut earlier = Earlier {
        file,
        from,
        target,
        standing,
        found: false,
    };
    source_order::walk_node(&mut earlier, AnyNodeRef::from(stmt));
    match earlier.found {
        true => Err(Reason::EvaluationOrder),
        false => Ok(Position {
            statement,
            target,
            whole,
        }),
    }
}

/// Looks for anything that runs before the target in its statement, and could not run after it.
struct Earlier<'s> {
    file: &'s SourceFile,
    from: usize,
    target: Span,
    standing: &'s Standing<'s>,
    found: bool,
}

impl<'a> SourceOrderVisitor<'a> for Earlier<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        let here = span(expr);
        if here.start >= self.target.start || self.standing.moving.contains(&here) {
            return;
        }
        let before = here.start >= self.from && here.end <= self.target.start;
        let effect = match expr {
            Expr::Call(call) => self.standing.stirs || !measures(self.file, call),
            Expr::Await(_) | Expr::Yield(_) | Expr::YieldFrom(_) | Expr::Named(_) => true,
            // What is called for the argument may change what is read here.
            Expr::Subscript(_) | Expr::Attribute(_) => self.standing.stirs,
            Expr::Name(name) => self.standing.stirs && is_shared(self.file, here, &name.id),
            _ => false,
        };
        // A call that holds the target runs after it.
        self.found |= effect && before;
        match expr {
            // What is called is no value that anybody changes meanwhile.
            Expr::Call(call) if !before && call.func.is_attribute_expr() => {
                if let Expr::Attribute(function) = &*call.func {
                    source_order::walk_expr(self, &function.value);
                }
                self.visit_arguments(&call.arguments);
            }
            Expr::Call(call) if !before && call.func.is_name_expr() => {
                self.visit_arguments(&call.arguments);
            }
            _ => source_order::walk_expr(self, expr),
        }
    }
}

/// Whether `call` only looks at its arguments, so that it may as well run later.
fn measures(file: &SourceFile, call: &ast::ExprCall) -> bool {
    const MEASURES: [&str; 16] = [
        "abs",
        "bool",
        "bytes",
        "chr",
        "float",
        "hash",
        "id",
        "int",
        "isinstance",
        "len",
        "ord",
        "range",
        "repr",
        "round",
        "str",
        "type",
    ];
    let scope = file.scopes().at(span(call).start);
    let names = file.names(scope, &call.func);
    let known = |name: &String| {
        let builtin = name.strip_prefix("builtins.");
        builtin.is_some_and(|name| MEASURES.contains(&name))
    };
    !names.is_empty() && names.iter().all(known)
}

/// Whether other functions can bind `name`, as it is seen at `place`, to something else.
fn is_shared(file: &SourceFile, place: Span, name: &str) -> bool {
    let scopes = file.scopes();
    let here = scopes.at(place.start);
    match scopes.lookup(here, name) {
        Some((home, bound)) => {
            let settled = |b: &Bound| matches!(b, Bound::Import(_) | Bound::Definition);
            home != here && !bound.iter().all(settled)
        }
        None => false,
    }
}
