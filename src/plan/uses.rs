//! Whether a loaded value is used in ways that JSON values allow.
//!
//! Invariant: errs towards refusing. A use that is not known to suit plain data is an obstacle.

use std::collections::{BTreeSet, HashMap};

use super::call::whole;
use super::content::snippet;
use super::groups::Note;
use super::{Planner, Reason};
use crate::pack::Rewrite;
use crate::project::FileId;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{ScopeId, SourceFile, span};
use crate::text::Span;
use crate::trace::{Doing, Finding, Place};

impl Planner<'_> {
    /// Whether what `load`, the call of `finding`, gives is used as the new call's values can be, in its own function and
    /// wherever else it goes; where nothing is known of those, nothing is asked.
    pub(super) fn uses(
        &self,
        finding: &Finding,
        load: Span,
        rewrite: &Rewrite,
    ) -> Result<(), Reason> {
        match self.obstacle(finding, load, rewrite) {
            Some((reason, _)) => Err(reason),
            None => Ok(()),
        }
    }

    /// The use that speaks against the new call.
    fn obstacle(
        &self,
        finding: &Finding,
        load: Span,
        rewrite: &Rewrite,
    ) -> Option<(Reason, Place)> {
        if rewrite.value_methods.is_empty() {
            return None;
        }
        let here = self
            .nearby(finding.place.file, load, rewrite)
            .map(|(reason, span)| {
                let file = finding.place.file;
                (reason, Place { file, span })
            });
        let mut anywhere = finding.uses.iter();
        here.or_else(|| anywhere.find_map(|used| Some((speaks(&used.doing, rewrite)?, used.at))))
    }

    /// The use by which what `finding` loads may be something that JSON gives back as something else.
    pub(super) fn doubt(&self, finding: &Finding, rewrite: &Rewrite) -> Option<Note> {
        let doubtful = |doing: &Doing| matches!(doing, Doing::Hashed | Doing::Ordered);
        let mut uses = finding.uses.iter();
        let used = uses.find(|used| !rewrite.foreign_keys.is_empty() && doubtful(&used.doing))?;
        let why = match used.doing {
            Doing::Hashed => "no list can be hashed, and a tuple comes back as one",
            _ => "numbers that are keys come back as text, which is in another order",
        };
        let source = self.project.source(used.at.file);
        Some(Note {
            code: Reason::ValueIsLossy.code(),
            text: format!("{}: {why}", snippet(source, used.at.span)),
            at: Some(used.at),
        })
    }

    /// The same, in the function around `load` alone, by names.
    fn nearby(&self, id: FileId, load: Span, rewrite: &Rewrite) -> Option<(Reason, Span)> {
        let file = self.project.source(id);
        let ancestors = file.ancestors(load);
        let mut nodes = ancestors.iter().rev().filter(|node| span(*node) != load);
        match nodes.next() {
            Some(AnyNodeRef::ExprAttribute(node)) => {
                if let Err(reason) = allowed(&node.attr, rewrite) {
                    return Some((reason, span(*node)));
                }
            }
            Some(AnyNodeRef::ExprCall(node)) if span(&*node.func) == load => {
                return Some((Reason::ValueIsCalled, span(*node)));
            }
            Some(AnyNodeRef::ExprAwait(node)) => return Some((Reason::ValueIsCalled, span(*node))),
            Some(AnyNodeRef::WithItem(node)) => {
                return Some((Reason::ValueHasAttributes, span(*node)));
            }
            _ => {}
        }
        let function = ancestors.iter().rev().find_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(node) => Some(*node),
            _ => None,
        });
        let (start, body) = match function {
            Some(node) => (Some(span(node).start), node.body.as_slice()),
            None => (None, file.module().body.as_slice()),
        };
        let mut known = self.once.doings.borrow_mut();
        let doings = known.entry((id, start)).or_insert_with(|| Doings::of(body));
        let watch = Watch {
            file,
            rewrite,
            scope: file.scopes().at(load.start),
            load,
        };
        watch.obstacle(doings)
    }

    /// Which use of what `finding` loads is the reason for leaving it.
    pub(super) fn decisive_use(&self, finding: &Finding, why: Option<Reason>) -> Option<Note> {
        let by_use = [
            Reason::ValueHasAttributes,
            Reason::ValueIsCalled,
            Reason::ValueHasType,
        ];
        if !why.is_some_and(|why| by_use.contains(&why)) {
            return None;
        }
        let (transform, sink) = self.model.sink_row(finding.sink)?;
        let file = self.project.source(finding.place.file);
        if file.unparsed().is_some() {
            return None;
        }
        let load = whole(file, finding, sink).ok()?;
        let rewrite = transform.rewrite.as_ref()?;
        let (reason, at) = self.obstacle(finding, load, rewrite)?;
        (why == Some(reason)).then(|| Note {
            code: reason.code(),
            text: format!(
                "{}: a use of the loaded value",
                snippet(self.project.source(at.file), at.span)
            ),
            at: Some(at),
        })
    }
}

/// Why values of the new call cannot be used so, if they cannot.
fn speaks(doing: &Doing, rewrite: &Rewrite) -> Option<Reason> {
    let listed = |rows: &[String], name: &String| {
        rows.iter().any(|row| match row.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => row == name,
        })
    };
    // `datetime.now().isoformat()` is text.
    let made = |rows: &[String], name: &String| {
        let last = name.rsplit('.').next().unwrap_or(name);
        let mut plain = rewrite.plain_methods.iter().chain(&rewrite.same_methods);
        listed(rows, name) && !plain.any(|method| method == last)
    };
    let against = match doing {
        Doing::Attribute(name) => return allowed(name, rewrite).err(),
        Doing::Called => return Some(Reason::ValueIsCalled),
        // `isinstance(x, (dict, Cart))` still works for one of them.
        Doing::Tested(names) => !names.iter().any(|name| rewrite.value_types.contains(name)),
        Doing::Beside(what) => {
            made(&rewrite.foreign_terms, what) || made(&rewrite.foreign_factors, what)
        }
        Doing::Times(what) => made(&rewrite.foreign_factors, what),
        Doing::Key(what) => listed(&rewrite.foreign_keys, what),
        Doing::Given(name) => listed(&rewrite.foreign_arguments, name),
        // Only doubted.
        Doing::Hashed | Doing::Ordered => false,
    };
    against.then_some(Reason::ValueHasType)
}

fn allowed(attribute: &str, rewrite: &Rewrite) -> Result<(), Reason> {
    match rewrite
        .value_methods
        .iter()
        .any(|method| method == attribute)
    {
        true => Ok(()),
        false => Err(Reason::ValueHasAttributes),
    }
}

/// What a body does with names and calls, by what it does it with: asked anew for each load, a body of thousands would be
/// read thousands of times.
#[derive(Default)]
pub(super) struct Doings<'a> {
    /// In the order in which they stand.
    all: Vec<Done<'a>>,
    by_name: HashMap<&'a str, Vec<usize>>,
    by_call: HashMap<Span, Vec<usize>>,
}

/// Something that is done with a value, or with a part of it.
struct Done<'a> {
    /// The name that the value is read from, and where.
    root: Option<(&'a str, Span)>,
    what: What<'a>,
}

enum What<'a> {
    /// It is kept under these names.
    Held(Vec<&'a str>),
    /// An attribute is read.
    Attribute(&'a str, Span),
    /// It is called, or awaited.
    Called(Span),
    /// It is entered.
    Entered(Span),
    /// It is the first argument.
    Given(&'a ast::ExprCall),
}

impl<'a> Doings<'a> {
    fn of(body: &'a [Stmt]) -> Doings<'a> {
        let mut doings = Doings::default();
        doings.visit_body(body);
        doings
    }

    /// Notes what is done with `value`: with what a name or a call gives, or with a part of it.
    fn note(&mut self, value: &'a Expr, what: What<'a>) {
        let n = self.all.len();
        let mut root = None;
        let mut at = Some(value);
        while let Some(expr) = at {
            if expr.is_call_expr() {
                self.by_call.entry(span(expr)).or_default().push(n);
            }
            at = match expr {
                Expr::Name(name) => {
                    root = Some((name.id.as_str(), span(expr)));
                    self.by_name.entry(name.id.as_str()).or_default().push(n);
                    None
                }
                Expr::Subscript(node) => Some(&*node.value),
                Expr::Named(node) => Some(&*node.value),
                Expr::Call(node) => match &*node.func {
                    Expr::Attribute(attribute) => matches!(
                        attribute.attr.as_str(),
                        "get" | "pop" | "items" | "values" | "copy" | "setdefault"
                    )
                    .then_some(&*attribute.value),
                    _ => None,
                },
                _ => None,
            };
        }
        self.all.push(Done { root, what });
    }
}

/// The names that `target` binds.
fn held<'a>(target: &'a Expr, names: &mut Vec<&'a str>) {
    match target {
        Expr::Name(name) => names.push(&name.id),
        Expr::Tuple(tuple) => tuple.elts.iter().for_each(|part| held(part, names)),
        _ => {}
    }
}

fn held_by<'a>(targets: impl IntoIterator<Item = &'a Expr>) -> What<'a> {
    let mut names = Vec::new();
    targets
        .into_iter()
        .for_each(|target| held(target, &mut names));
    What::Held(names)
}

impl<'a> Visitor<'a> for Doings<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Assign(node) => self.note(&node.value, held_by(&node.targets)),
            Stmt::AnnAssign(node) => {
                if let Some(value) = &node.value {
                    self.note(value, held_by([&*node.target]));
                }
            }
            Stmt::For(node) => self.note(&node.iter, held_by([&*node.target])),
            Stmt::With(node) => {
                for item in &node.items {
                    self.note(&item.context_expr, What::Entered(span(item)));
                }
            }
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_comprehension(&mut self, comprehension: &'a ast::Comprehension) {
        self.note(&comprehension.iter, held_by([&comprehension.target]));
        visitor::walk_comprehension(self, comprehension);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Attribute(node) => {
                self.note(&node.value, What::Attribute(&node.attr, span(expr)))
            }
            Expr::Await(node) => self.note(&node.value, What::Called(span(expr))),
            Expr::Named(node) => self.note(&node.value, held_by([&*node.target])),
            Expr::Call(node) => {
                self.note(&node.func, What::Called(span(expr)));
                if let Some(first) = node.arguments.args.first() {
                    self.note(first, What::Given(node));
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// A load whose value is watched.
struct Watch<'f> {
    file: &'f SourceFile,
    rewrite: &'f Rewrite,
    scope: ScopeId,
    load: Span,
}

impl Watch<'_> {
    fn obstacle(&self, doings: &Doings<'_>) -> Option<(Reason, Span)> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let direct = doings.by_call.get(&self.load).into_iter().flatten();
        let direct: BTreeSet<usize> = direct.copied().collect();
        let mut obstacle = None;
        // Names that hold the value or a part of it; parts of parts need another round.
        for _ in 0..3 {
            let before = names.len();
            let of = |name: &str| doings.by_name.get(name).into_iter().flatten().copied();
            let mut open = direct.clone();
            names.iter().for_each(|name| open.extend(of(name)));
            while let Some(n) = open.pop_first() {
                let Some(done) = doings.all.get(n) else {
                    continue;
                };
                let later = done.root.is_some_and(|(_, at)| at.start > self.load.end);
                if !later && !direct.contains(&n) {
                    continue;
                }
                if let What::Held(held) = &done.what {
                    for name in held {
                        if names.insert(name) {
                            open.extend(of(name).filter(|other| *other > n));
                        }
                    }
                }
                if obstacle.is_none() {
                    obstacle = self.speaks(&done.what);
                }
            }
            if obstacle.is_some() || names.len() == before {
                break;
            }
        }
        obstacle
    }

    fn speaks(&self, what: &What<'_>) -> Option<(Reason, Span)> {
        match what {
            What::Held(_) => None,
            What::Attribute(name, at) => allowed(name, self.rewrite)
                .err()
                .map(|reason| (reason, *at)),
            What::Called(at) => Some((Reason::ValueIsCalled, *at)),
            What::Entered(at) => Some((Reason::ValueHasAttributes, *at)),
            What::Given(call) => {
                let names = self.file.names(self.scope, &call.func);
                if !names.iter().any(|n| n == "builtins.isinstance") {
                    return None;
                }
                let kinds = match call.arguments.args.get(1) {
                    Some(Expr::Tuple(tuple)) => tuple.elts.as_slice(),
                    Some(one) => std::slice::from_ref(one),
                    None => &[],
                };
                let plain = |kind: &Expr| {
                    let names = self.file.names(self.scope, kind);
                    names.iter().any(|n| self.rewrite.value_types.contains(n))
                };
                // `isinstance(x, (dict, Cart))` still works for one of them.
                (!kinds.iter().any(plain)).then(|| (Reason::ValueHasType, span(*call)))
            }
        }
    }
}
