//! The line that tells a file's own log of a refused request, before the answer.
//!
//! Invariant: it says a constant text, never what was sent; and it uses only what is bound before the load can run.

use super::Reason;
use super::guard::Asked;
use super::names::{Filled, fill, spell};
use super::template::literal;
use crate::pack::Model;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, ExceptHandler, Expr, ExprContext, Pattern, Stmt};
use crate::python::{Bound, SourceFile, span};
use crate::text::Span;

/// The statement that logs `says` where an answer is asked for: by a logger of the module, by that of the framework, else
/// by one made there.
pub(super) fn logged(asked: Asked<'_>, says: &str) -> Result<Filled, Reason> {
    let file = asked.file;
    let own = own(asked.model, file, asked.statement);
    let mut logger = match own.or_else(|| of_framework(asked)) {
        Some(logger) => logger,
        None => made(file, asked.statement)?,
    };
    let says = literal(says, file.style().quote, false);
    logger.text = format!("{}.warning({says})", logger.text);
    Ok(logger)
}

/// A logger for code of the module at `statement`: the module's own, else one made there.
pub(super) fn logger(model: &Model, file: &SourceFile, statement: Span) -> Result<Filled, Reason> {
    own(model, file, statement).map_or_else(|| made(file, statement), Ok)
}

/// A logger of the module; the one that has the module's name before others.
fn own(model: &Model, file: &SourceFile, statement: Span) -> Option<Filled> {
    let frameworks = model.frameworks.iter();
    let makers: Vec<&str> = frameworks
        .flat_map(|f| f.logger_makers.iter().map(String::as_str))
        .collect();
    let found = results(file, statement, &makers);
    let by_name = |call: &ast::ExprCall| {
        let mut arguments = call.arguments.args.iter();
        arguments.any(|a| a.as_name_expr().is_some_and(|name| name.id == "__name__"))
    };
    let named = found.iter().find(|(_, call)| by_name(call));
    let (name, _) = named.or(found.first())?;
    Some(kept(name, name))
}

/// The logger of the framework that answers, where the file can say it without an import.
fn of_framework(asked: Asked<'_>) -> Option<Filled> {
    let Asked {
        file, statement, ..
    } = asked;
    asked.framework.loggers.iter().find_map(|logger| {
        let (owner, attribute) = logger.rsplit_once('.')?;
        if let Some((name, _)) = results(file, statement, &[owner]).first() {
            return Some(kept(name, &format!("{name}.{attribute}")));
        }
        let spelled = spell(file, statement.start, owner, attribute, true).ok()?;
        let head = spelled.kept()?;
        Some(kept(&head, &spelled.text))
    })
}

/// A logger of the standard library, made where it is needed.
fn made(file: &SourceFile, statement: Span) -> Result<Filled, Reason> {
    let by = |module: bool| {
        let code = "{logging.getLogger}(__name__)";
        fill(file, statement.start, code, module, str::to_owned)
    };
    by(true).or_else(|_| by(false))
}

fn kept(name: &str, text: &str) -> Filled {
    Filled {
        text: text.to_owned(),
        needs: Vec::new(),
        kept: vec![name.to_owned()],
    }
}

/// Names of the module that hold the result of a call of one of `makers`, as they are seen from `statement`: each bound
/// once, above it.
fn results<'f>(
    file: &'f SourceFile,
    statement: Span,
    makers: &[&str],
) -> Vec<(&'f str, &'f ast::ExprCall)> {
    let scopes = file.scopes();
    let from = scopes.at(statement.start);
    let body = file.module().body.iter();
    let above = body.take_while(|stmt| span(*stmt).end <= statement.start);
    let assigned = above.filter_map(|stmt| {
        let (target, value) = match stmt {
            Stmt::Assign(node) => match node.targets.as_slice() {
                [target] => (target, &*node.value),
                _ => return None,
            },
            Stmt::AnnAssign(node) => (&*node.target, node.value.as_deref()?),
            _ => return None,
        };
        Some((target.as_name_expr()?.id.as_str(), value.as_call_expr()?))
    });
    assigned
        .filter(|(_, call)| {
            let names = file.names(0, &call.func);
            !names.is_empty() && names.iter().all(|name| makers.contains(&name.as_str()))
        })
        .filter(|(name, call)| {
            let seen = matches!(scopes.lookup(from, name), Some((0, [Bound::Other])));
            // It may bring any name.
            let stars = scopes.bound_in(0, "*").iter().any(
                |star| matches!(star, Bound::Import(import) if import.stmt.start > span(*call).start),
            );
            seen && !stars && times_bound(&file.module().body, name) == 1
        })
        .collect()
}

/// How often `name` is bound or deleted in `body`, in whatever scope, but as a parameter.
pub(super) fn times_bound(body: &[Stmt], name: &str) -> usize {
    struct Bindings<'n> {
        name: &'n str,
        times: usize,
    }
    impl Bindings<'_> {
        fn see(&mut self, name: Option<&ast::Identifier>) {
            self.times += usize::from(name.is_some_and(|name| name == self.name));
        }
    }
    impl<'a> Visitor<'a> for Bindings<'_> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            if let Expr::Name(node) = expr {
                let bound = node.ctx != ExprContext::Load && node.id == *self.name;
                self.times += usize::from(bound);
            }
            visitor::walk_expr(self, expr);
        }
        fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
            let ExceptHandler::ExceptHandler(node) = handler;
            self.see(node.name.as_ref());
            visitor::walk_except_handler(self, handler);
        }
        fn visit_pattern(&mut self, pattern: &'a Pattern) {
            self.see(match pattern {
                Pattern::MatchAs(node) => node.name.as_ref(),
                Pattern::MatchStar(node) => node.name.as_ref(),
                Pattern::MatchMapping(node) => node.rest.as_ref(),
                _ => None,
            });
            visitor::walk_pattern(self, pattern);
        }
    }
    let mut bindings = Bindings { name, times: 0 };
    bindings.visit_body(body);
    bindings.times
}
