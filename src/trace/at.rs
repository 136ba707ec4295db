//! Where a call stands, in its file and among its arguments.

use super::taint::Place;
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};
use crate::python::span;

/// A call: where it stands, and its syntax.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'c> {
    pub place: Place,
    pub call: Option<&'c ast::ExprCall>,
    /// The function that is called is an argument of the call there, not its callee.
    pub handed: bool,
    /// What it gives goes into a local variable: what need not run at once waits.
    pub lazy: bool,
}

impl<'c> At<'c> {
    /// A place that is no call.
    pub fn place(place: Place) -> At<'c> {
        At {
            place,
            call: None,
            handed: false,
            lazy: false,
        }
    }

    /// The same, for a function that the call is given.
    pub fn of_function(self) -> At<'c> {
        At {
            handed: true,
            lazy: false,
            ..self
        }
    }

    /// Where the first argument stands.
    pub fn first(&self) -> Option<Place> {
        let first = self.call?.arguments.args.first()?;
        Some(self.within(self.place.file, first))
    }

    pub(super) fn within(&self, file: FileId, expr: &Expr) -> Place {
        Place {
            file,
            span: span(expr),
        }
    }

    /// Names that are passed as arguments.
    pub fn names(&self) -> impl Iterator<Item = &'c Name> {
        let arguments = self.call.into_iter().map(|call| &call.arguments);
        let all = arguments.flat_map(|all| {
            let keywords = all.keywords.iter().map(|k| &k.value);
            all.args.iter().chain(keywords)
        });
        all.filter_map(|expr| Some(&expr.as_name_expr()?.id))
    }

    /// Where the arguments stand.
    pub fn arguments(&self) -> Vec<Place> {
        let Some(call) = self.call else {
            return Vec::new();
        };
        let keywords = call.arguments.keywords.iter().map(|k| &k.value);
        let all = call.arguments.args.iter().chain(keywords);
        all.map(|expr| self.within(self.place.file, expr)).collect()
    }
}
