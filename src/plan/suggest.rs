//! What a load without anybody to answer 400 to may become, for a person to decide: the message is dropped as its context
//! drops messages, or the error rises.

use super::attempt::in_a_group;
use super::call::Load;
use super::callers::not_a_generator;
use super::load::Placed;
use super::names::Filled;
use super::raised::Cause;
use super::template::filled;
use super::{Draft, Planner, Reason};
use crate::pack::{Framework, ReplyStyle};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::Finding;

impl Planner<'_> {
    /// `draft` with what the load of `cause` may become; `framework` is the one whose handler holds it.
    pub(super) fn suggest(
        &mut self,
        mut draft: Draft,
        cause: &Cause<'_>,
        load: &Load,
        framework: Option<&Framework>,
    ) -> Result<Draft, Reason> {
        draft.suggest = Some(Reason::NoHandler);
        let id = cause.file;
        let file = self.project.source(id);
        let dropping = framework
            .and_then(|framework| dropped(file, load.whole, framework))
            .or_else(|| self.next_turn(file, load.whole, cause.finding));
        let stirs = self.argument_to_hoist(file, load.argument);
        let region = if stirs { load.callee } else { load.whole };
        let placed = dropping.and_then(|answer| {
            let (position, catch) = self.position(cause, load.whole, region, stirs).ok()?;
            Some(Placed {
                position,
                catch,
                answer,
            })
        });
        match placed {
            Some(placed) => self.put(&mut draft, cause, placed, Some((load, stirs)))?,
            // The error rises, as that of the old call did.
            None => draft.edit(id, load.in_place(file, None)),
        }
        Ok(draft)
    }

    /// `continue`, if `load` takes part in a loop that receives what is loaded, and whose rest settles nothing.
    fn next_turn(&self, file: &SourceFile, load: Span, finding: &Finding) -> Option<Filled> {
        let source = finding.path.as_ref()?.hops().first()?.place;
        let holds = |stmt: &Stmt| span(stmt).contains(load);
        let mut finals = Vec::new();
        for node in file.ancestors(load).into_iter().rev() {
            let body = match node {
                AnyNodeRef::StmtFor(node) => &node.body,
                AnyNodeRef::StmtWhile(node) => &node.body,
                AnyNodeRef::StmtTry(node) => {
                    // What is done in any case is not passed over.
                    let grouped = node.is_star && !node.body.iter().any(holds);
                    if node.finalbody.iter().any(holds) || grouped {
                        return None;
                    }
                    finals.extend(node.finalbody.iter().map(span));
                    continue;
                }
                AnyNodeRef::StmtFunctionDef(_)
                | AnyNodeRef::StmtClassDef(_)
                | AnyNodeRef::ExprLambda(_) => return None,
                _ => continue,
            };
            let inside = body.iter().any(holds);
            let receives = source.file == finding.place.file && span(&node).contains(source.span);
            let settles = |method: &str| {
                let mut packs = self.model.frameworks.iter();
                packs.any(|pack| pack.settles.iter().any(|name| name == method))
            };
            let mut later = Calls::below(body);
            later.retain(|(place, method)| {
                let always = finals.iter().any(|f| f.contains(*place));
                place.start > load.end && !always && settles(method)
            });
            return (inside && receives && later.is_empty()).then(|| Filled {
                text: "continue".to_owned(),
                needs: Vec::new(),
                kept: Vec::new(),
            });
        }
        None
    }
}

/// How a handler of `framework` that holds `load` refuses a message.
fn dropped(file: &SourceFile, load: Span, framework: &Framework) -> Option<Filled> {
    let function = file
        .innermost_function(load)
        .filter(|_| !in_a_group(file, load))?;
    not_a_generator(file, load).ok()?;
    let called = Calls::below(&function.body);
    framework.replies.iter().find_map(|reply| {
        let needed = reply.calls.as_ref();
        let fits = needed.is_none_or(|needed| called.iter().any(|(_, name)| name == needed));
        if reply.style != ReplyStyle::Drop || !fits {
            return None;
        }
        filled(file, load, &reply.code, "").ok()
    })
}

/// Methods that are called, and where.
struct Calls(Vec<(Span, String)>);

impl Calls {
    fn below(body: &[Stmt]) -> Vec<(Span, String)> {
        let mut calls = Calls(Vec::new());
        calls.visit_body(body);
        calls.0
    }
}

impl<'a> Visitor<'a> for Calls {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(ast::ExprCall { func, .. }) = expr
            && let Expr::Attribute(method) = &**func
        {
            self.0.push((span(expr), method.attr.to_string()));
        }
        visitor::walk_expr(self, expr);
    }
}
