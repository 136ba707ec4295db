//! What a guarded region can raise on bad input, and so what has to be caught.

use super::Planner;
use super::names::spell;
use crate::pack::{Rewrite, Shape, Sink};
use crate::project::FileId;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Finding, HopKind, Place, Route, TaintPath};

impl Planner<'_> {
    /// What the guarded `region` of `file` can raise on bad input; with `by`, on the ways through that call alone.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is one finding's context"
    )]
    pub(super) fn catch(
        &self,
        file: &SourceFile,
        finding: &Finding,
        by: Option<Place>,
        region: Span,
        id: FileId,
        sink: &Sink,
        rewrite: &Rewrite,
    ) -> Vec<String> {
        let region_place = Place {
            file: id,
            span: region,
        };
        let taken = |route: &&Route| {
            by.is_none_or(|by| route.chain.first().is_some_and(|call| call.place == by))
        };
        let mut paths = finding
            .routes
            .iter()
            .filter(taken)
            .flat_map(|route| &route.paths);
        let missing = finding.maybe_none || paths.any(|path| may_be_missing(path, region_place));
        let mut catch = self.raised_by_steps(file, region);
        let taken = finding.routes.iter().filter(taken);
        for hop in taken
            .flat_map(|route| &route.paths)
            .flat_map(|path| path.hops())
        {
            let inside = hop.place.file == id && region.contains(hop.place.span);
            for error in hop.raises.iter().filter(|_| inside) {
                if !catch.iter().any(|caught| **caught == **error) {
                    catch.push(error.to_string());
                }
            }
        }
        if missing {
            let missing = sink
                .catch_missing
                .as_ref()
                .unwrap_or(&rewrite.catch_missing);
            if !catch.contains(missing) {
                catch.push(missing.clone());
            }
        }
        catch.extend(rewrite.catch.iter().cloned());
        catch
    }

    /// Exceptions that decoding steps inside `region` raise and that are no `ValueError`, as the file can name them.
    pub(super) fn raised_by_steps(&self, file: &SourceFile, region: Span) -> Vec<String> {
        let scopes = file.scopes();
        let mut raised = Vec::new();
        for chain in scopes.chains().iter().filter(|c| region.contains(c.span)) {
            for name in scopes.resolve(chain.scope, &chain.parts) {
                let error = self.model.step(&name).and_then(|step| step.raises.as_ref());
                let Some((module, error)) = error.and_then(|e| e.rsplit_once('.')) else {
                    continue;
                };
                let spelled = spell(file, region.start, module, error, true);
                if let Ok(spelled) = spelled
                    && spelled.need.is_none()
                    && !raised.contains(&spelled.text)
                {
                    raised.push(spelled.text);
                }
            }
        }
        raised
    }

    /// Whether `argument` holds calls that are not known to only read and decode.
    pub(super) fn argument_to_hoist(&self, file: &SourceFile, argument: Span) -> bool {
        struct Calls<'c> {
            argument: Span,
            known: &'c dyn Fn(&ast::ExprCall) -> bool,
            found: bool,
        }
        impl<'a> Visitor<'a> for Calls<'_> {
            fn visit_expr(&mut self, expr: &'a Expr) {
                let here = span(expr);
                if self.argument.contains(here)
                    && let Expr::Call(call) = expr
                {
                    self.found |= !(self.known)(call);
                }
                visitor::walk_expr(self, expr);
            }
        }
        let model = self.model;
        let known = |call: &ast::ExprCall| {
            let scope = file.scopes().at(argument.start);
            let names = file.names(scope, &call.func);
            let named = names
                .iter()
                .any(|name| model.step(name).is_some() || model.source(name).is_some());
            let method = call.func.as_attribute_expr().is_some_and(|attribute| {
                let attr = attribute.attr.as_str();
                let listed = model.frameworks.iter().any(|framework| {
                    framework
                        .objects
                        .iter()
                        .any(|o| o.members.contains_key(attr))
                });
                model.method_step(attr).is_some() || listed
            });
            named || method
        };
        let mut calls = Calls {
            argument,
            known: &known,
            found: false,
        };
        for stmt in &file.module().body {
            if span(stmt).contains(argument) {
                calls.visit_stmt(stmt);
            }
        }
        calls.found
    }
}

/// Whether a value on `path` can be `None` where `region` reads or decodes it.
fn may_be_missing(path: &TaintPath, region: Place) -> bool {
    let inside = |place: Place| place.file == region.file && region.span.contains(place.span);
    // The form in which the value enters the region, unless it has its source there.
    let mut entering = None;
    for hop in path.hops().iter().filter(|hop| hop.kind != HopKind::Sink) {
        if !inside(hop.place) {
            entering = Some(hop.shape);
        } else {
            // A value that enters is read by the first step inside.
            if hop.shape == Shape::Any || entering.take() == Some(Shape::Any) {
                return true;
            }
        }
    }
    entering == Some(Shape::Any)
}
