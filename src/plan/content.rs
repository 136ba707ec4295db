//! What the new format makes of a value that is written, judged by the expressions that make it.
//!
//! Invariant: what is not understood is unknown, never plain.

use super::makers::{Maker, Makers, names_in};
use crate::pack::Rewrite;
use crate::project::FileId;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, AnyNodeRef, Expr, Stmt};
use crate::python::{SourceFile, span};
use crate::text::Span;
use crate::trace::{Content, Place};

/// Expressions within expressions, and names that stand for others, are followed this far.
const DEEPEST: usize = 8;

/// A judgement, and the expression that decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub content: Content,
    pub at: Place,
    /// Something was put into it by a way that a trace may lose.
    pub changed: bool,
}

impl Judged {
    /// The worse of the two.
    fn and(self, other: Judged) -> Judged {
        let worse = match other.content > self.content {
            true => other,
            false => self,
        };
        Judged {
            changed: self.changed || other.changed,
            ..worse
        }
    }
}

/// Judges the expressions of one file.
pub(super) struct Judge<'f> {
    pub file: &'f SourceFile,
    pub id: FileId,
    pub rewrite: &'f Rewrite,
    /// Expressions that are text, as the trace has it.
    pub texts: &'f [Place],
}

impl<'f> Judge<'f> {
    /// What becomes of `expr`.
    pub fn judge(&self, expr: &'f Expr) -> Judged {
        self.value(expr, DEEPEST)
    }

    fn said(&self, expr: &Expr, content: Content) -> Judged {
        let place = Place {
            file: self.id,
            span: span(expr),
        };
        Judged {
            content,
            at: place,
            changed: false,
        }
    }

    fn value(&self, expr: &'f Expr, depth: usize) -> Judged {
        let judged = self.made_of(expr, depth);
        let is_text = |place: &Place| *place == self.said(expr, Content::Plain).at;
        match judged.content == Content::Unknown && self.texts.iter().any(is_text) {
            true => self.said(expr, Content::Plain),
            false => judged,
        }
    }

    fn made_of(&self, expr: &'f Expr, depth: usize) -> Judged {
        use Content::{Impossible, Lossy, Plain, Unknown};
        let said = |content| self.said(expr, content);
        let Some(depth) = depth.checked_sub(1) else {
            return said(Unknown);
        };
        let all = |parts: &mut dyn Iterator<Item = &'f Expr>, first: Content| {
            parts.fold(said(first), |worst, part| {
                worst.and(self.value(part, depth))
            })
        };
        match expr {
            Expr::StringLiteral(_)
            | Expr::FString(_)
            | Expr::BooleanLiteral(_)
            | Expr::NoneLiteral(_) => said(Plain),
            // Of an array it gives another.
            Expr::Compare(node) => match self.value(&node.left, depth).content {
                Impossible(_) => said(Unknown),
                _ => said(Plain),
            },
            Expr::NumberLiteral(number) => match number.value {
                ast::Number::Complex { .. } => said(Impossible("a complex number")),
                ast::Number::Float(value) if !value.is_finite() => said(Lossy("infinity")),
                _ => said(Plain),
            },
            Expr::BytesLiteral(_) => said(Impossible("bytes")),
            Expr::EllipsisLiteral(_) => said(Impossible("an ellipsis")),
            Expr::Lambda(_) => said(Impossible("a function")),
            Expr::Generator(_) => said(Impossible("a generator")),
            Expr::Set(_) | Expr::SetComp(_) => said(Impossible("a set")),
            Expr::List(list) => all(&mut list.elts.iter(), Plain),
            Expr::Tuple(tuple) => all(&mut tuple.elts.iter(), Lossy("a tuple")),
            Expr::ListComp(node) => self.value(&node.elt, depth),
            Expr::DictComp(node) => self
                .key(&node.key, depth)
                .and(self.value(&node.value, depth)),
            Expr::Dict(dict) => dict.items.iter().fold(said(Plain), |worst, item| {
                let value = self.value(&item.value, depth);
                let key = item.key.as_ref().map(|key| self.key(key, depth));
                worst.and(value).and(key.unwrap_or(value))
            }),
            Expr::Named(node) => self.value(&node.value, depth),
            Expr::If(node) => self
                .value(&node.body, depth)
                .and(self.value(&node.orelse, depth)),
            Expr::BoolOp(node) => all(&mut node.values.iter(), Plain),
            Expr::UnaryOp(node) => match node.op {
                ast::UnaryOp::Not => said(Plain),
                _ => self.value(&node.operand, depth),
            },
            Expr::BinOp(node) => match (&*node.left, node.op) {
                (Expr::StringLiteral(_) | Expr::FString(_), _) => said(Plain),
                // A complex number, perhaps.
                (_, ast::Operator::Pow) if !is_whole(&node.right) => said(Unknown),
                _ => self
                    .value(&node.left, depth)
                    .and(self.value(&node.right, depth)),
            },
            Expr::Name(name) => self.name(expr, name, depth),
            Expr::Call(call) => self.call(expr, call, depth),
            Expr::Attribute(_) => match self.listed(expr) {
                Some(content) => said(content),
                None => said(Unknown),
            },
            _ => said(Unknown),
        }
    }

    /// What becomes of a mapping's key.
    fn key(&self, key: &'f Expr, depth: usize) -> Judged {
        let text = |expr: &Expr| matches!(expr, Expr::StringLiteral(_) | Expr::FString(_));
        if text(key) {
            return self.said(key, Content::Plain);
        }
        let numeric = matches!(
            key,
            Expr::NumberLiteral(_) | Expr::BooleanLiteral(_) | Expr::NoneLiteral(_)
        );
        let called = |names: &[&str]| {
            key.as_call_expr().is_some_and(|call| {
                let of = self.file.names(self.scope(key), &call.func);
                of.iter().any(|name| names.contains(&name.as_str()))
            })
        };
        if numeric
            || called(&[
                "builtins.int",
                "builtins.len",
                "builtins.float",
                "builtins.bool",
            ])
        {
            return self.said(key, Content::Lossy("keys that are no text"));
        }
        if called(&["builtins.str", "builtins.repr", "builtins.format"]) {
            return self.said(key, Content::Plain);
        }
        match key {
            Expr::Tuple(_) => self.said(key, Content::Impossible("tuples as keys")),
            Expr::Name(name) => {
                let made = self.made(key, name);
                match made.as_slice() {
                    [] => self.said(key, Content::Unknown),
                    makers => makers
                        .iter()
                        .fold(self.said(key, Content::Plain), |worst, maker| {
                            match (maker, depth.checked_sub(1)) {
                                (Maker::Value(expr), Some(depth)) => {
                                    worst.and(self.key(expr, depth))
                                }
                                _ => worst.and(self.said(key, Content::Unknown)),
                            }
                        }),
                }
            }
            _ => match self.value(key, depth) {
                judged if judged.content >= Content::Impossible("") => judged,
                _ => self.said(key, Content::Unknown),
            },
        }
    }

    pub fn scope(&self, expr: &Expr) -> crate::python::ScopeId {
        self.file.scopes().at(span(expr).start)
    }

    /// What the tables say of `callee`'s results, or of what it names.
    fn listed(&self, callee: &Expr) -> Option<Content> {
        let names = self.file.names(self.scope(callee), callee);
        let is = |rows: &[String]| {
            names.iter().any(|name| {
                rows.iter().any(|row| match row.strip_suffix(".*") {
                    Some(module) => name
                        .strip_prefix(module)
                        .is_some_and(|rest| rest.starts_with('.')),
                    None => row == name,
                })
            })
        };
        if is(&self.rewrite.impossible_calls) {
            Some(Content::Impossible("of a type that JSON has not"))
        } else if is(&self.rewrite.lossy_calls) {
            Some(Content::Lossy("of a type that comes back as another"))
        } else if is(&self.rewrite.plain_calls) {
            Some(Content::Plain)
        } else {
            None
        }
    }

    fn call(&self, expr: &'f Expr, call: &'f ast::ExprCall, depth: usize) -> Judged {
        let said = |content| self.said(expr, content);
        let names = self.file.names(self.scope(expr), &call.func);
        if let Expr::Attribute(attribute) = &*call.func {
            let of = |rows: &[String]| rows.iter().any(|row| *row == *attribute.attr);
            if of(&self.rewrite.same_methods) {
                return self.like(expr, call, &attribute.value, depth);
            }
            // `codecs.decode` is no method.
            if of(&self.rewrite.plain_methods) && names.is_empty() {
                return said(Content::Plain);
            }
            if of(&self.rewrite.impossible_methods) {
                return said(Content::Impossible("of a type that JSON has not"));
            }
        }
        let is = |name: &str| names.iter().any(|n| n == name);
        let first = call.arguments.args.first();
        if is("builtins.float")
            && let Some(Expr::StringLiteral(_)) = first
        {
            return said(Content::Lossy("NaN or infinity"));
        }
        if is("builtins.dict") {
            let named = call.arguments.keywords.iter();
            let named = named.fold(said(Content::Plain), |worst, keyword| {
                worst.and(self.value(&keyword.value, depth))
            });
            return match first {
                None => named,
                Some(first) => match self.value(first, depth) {
                    _ if self.is_listed(first) => said(Content::Unknown),
                    // Whose keys they become is known only of a mapping.
                    judged if judged.content == Content::Plain => judged.and(named),
                    _ => said(Content::Unknown).and(named),
                },
            };
        }
        // Of decimals they make decimals.
        if is("builtins.sum") || is("builtins.round") {
            return match first {
                Some(Expr::Generator(node)) => self.value(&node.elt, depth),
                Some(Expr::ListComp(node)) => self.value(&node.elt, depth),
                Some(first) => self.value(first, depth),
                None => said(Content::Unknown),
            };
        }
        if is("builtins.list") || is("builtins.sorted") {
            return match first {
                // An empty one.
                None => said(Content::Plain),
                Some(Expr::ListComp(node)) => self.value(&node.elt, depth),
                Some(Expr::Generator(node)) => self.value(&node.elt, depth),
                Some(other) => match self.value(other, depth) {
                    judged if judged.content == Content::Plain => judged,
                    // A list of what is in it: a set or a tuple does not count itself.
                    _ => said(Content::Unknown),
                },
            };
        }
        if let Some(content) = self.listed(&call.func) {
            return said(content);
        }
        let Expr::Name(name) = &*call.func else {
            return said(Content::Unknown);
        };
        for stmt in &self.file.module().body {
            match stmt {
                Stmt::ClassDef(class) if class.name == *name.id => {
                    let plain = class.arguments.as_ref().is_some_and(|bases| {
                        let mut bases = bases.args.iter();
                        bases.any(|base| {
                            let names = self.file.names(0, base);
                            names.iter().any(|n| self.rewrite.value_types.contains(n))
                        })
                    });
                    return said(match plain {
                        true => Content::Unknown,
                        false => Content::Impossible("an object of the project's own class"),
                    });
                }
                Stmt::FunctionDef(function) if function.name == *name.id => {
                    return self.returned(expr, function, depth);
                }
                _ => {}
            }
        }
        said(Content::Unknown)
    }

    /// What a method gives that leaves text, bytes, dates and tables what they are.
    fn like(&self, expr: &Expr, call: &'f ast::ExprCall, owner: &'f Expr, depth: usize) -> Judged {
        // Only parts of dates are named.
        let named = !call.arguments.keywords.is_empty();
        let mut arguments = call.arguments.args.iter();
        if arguments.any(Expr::is_bytes_literal_expr) {
            return self.said(expr, Content::Impossible("bytes"));
        }
        match self.value(owner, depth).content {
            Content::Unknown if !named => self.said(expr, Content::Plain),
            Content::Unknown => self.said(expr, Content::Unknown),
            content => self.said(expr, content),
        }
    }

    /// Whether `expr` is a list, written out or by name.
    fn is_listed(&self, expr: &'f Expr) -> bool {
        match expr {
            Expr::List(_) | Expr::ListComp(_) => true,
            Expr::Name(name) => {
                let mut makers = self.made(expr, name).into_iter();
                makers.any(|maker| matches!(maker, Maker::Value(Expr::List(_) | Expr::ListComp(_))))
            }
            _ => false,
        }
    }

    /// What calling `function` gives.
    fn returned(&self, call: &Expr, function: &'f ast::StmtFunctionDef, depth: usize) -> Judged {
        let mut returns = Returns::default();
        returns.visit_body(&function.body);
        let plain = function.decorator_list.is_empty() && !function.is_async && !returns.yields;
        if !plain || returns.values.is_empty() {
            return self.said(call, Content::Unknown);
        }
        let none = self.said(call, Content::Plain);
        returns
            .values
            .iter()
            .fold(none, |worst, value| match value {
                Some(value) => worst.and(self.value(value, depth)),
                None => worst,
            })
    }

    fn name(&self, expr: &'f Expr, name: &ast::ExprName, depth: usize) -> Judged {
        if let Some(content) = self.listed(expr) {
            return self.said(expr, content);
        }
        let makers = self.made(expr, name);
        if makers.is_empty() {
            return self.said(expr, Content::Unknown);
        }
        let plain = self.said(expr, Content::Plain);
        makers.iter().fold(plain, |worst, maker| {
            worst.and(match maker {
                // It may hold itself.
                Maker::Value(Expr::Name(other)) if other.id == name.id => Judged {
                    changed: true,
                    ..self.said(expr, Content::Unknown)
                },
                Maker::Value(value) => self.value(value, depth),
                Maker::Put(value) => {
                    let judged = self.value(value, depth);
                    Judged {
                        changed: judged.changed || judged.content == Content::Unknown,
                        ..judged
                    }
                }
                Maker::Key(key) => self.key(key, depth),
                Maker::Unknown => self.said(expr, Content::Unknown),
                Maker::Changed => Judged {
                    changed: true,
                    ..self.said(expr, Content::Unknown)
                },
            })
        })
    }

    /// The expressions that `name` is bound to or that are put into it, where it is used; nothing for those that are
    /// not understood.
    fn made(&self, at: &Expr, name: &ast::ExprName) -> Vec<Maker<'f>> {
        let nodes = self.file.ancestors(span(at));
        let mut inner = nodes.iter().rev();
        if inner.any(|node| binds(*node, &name.id)) {
            return vec![Maker::Unknown];
        }
        let functions = nodes.iter().rev().filter_map(|node| match node {
            AnyNodeRef::StmtFunctionDef(node) => Some(*node),
            _ => None,
        });
        for function in functions {
            let parameters = &function.parameters;
            if parameters
                .iter()
                .any(|p| p.name().as_str() == name.id.as_str())
            {
                return vec![Maker::Unknown];
            }
            let mut makers = Makers::of(self, &name.id);
            makers.visit_body(&function.body);
            if makers.bound {
                // What stands for it, or for a part of it, may be changed after.
                makers.visit_body(&function.body);
                return makers.found;
            }
        }
        let mut makers = Makers::of(self, &name.id);
        // Functions may change what the module keeps.
        makers.everywhere = true;
        makers.visit_body(&self.file.module().body);
        makers.visit_body(&self.file.module().body);
        makers.found
    }
}

/// Whether `expr` is a whole number that is not negative.
fn is_whole(expr: &Expr) -> bool {
    matches!(expr, Expr::NumberLiteral(number) if matches!(number.value, ast::Number::Int(_)))
}

/// Whether `node` binds `name` for what stands within it alone: a comprehension, a lambda, an `except`, a pattern.
fn binds(node: AnyNodeRef<'_>, name: &str) -> bool {
    let of = |generators: &[ast::Comprehension]| {
        let mut targets = generators.iter().map(|generator| &generator.target);
        targets.any(|target| names_in(target).contains(&name))
    };
    match node {
        AnyNodeRef::ExprListComp(node) => of(&node.generators),
        AnyNodeRef::ExprSetComp(node) => of(&node.generators),
        AnyNodeRef::ExprDictComp(node) => of(&node.generators),
        AnyNodeRef::ExprGenerator(node) => of(&node.generators),
        AnyNodeRef::ExprLambda(node) => {
            let mut parameters = node.parameters.iter().flat_map(|all| all.iter());
            parameters.any(|parameter| parameter.name().as_str() == name)
        }
        AnyNodeRef::ExceptHandlerExceptHandler(node) => {
            node.name.as_ref().is_some_and(|bound| bound == name)
        }
        _ => false,
    }
}

/// What a function returns.
#[derive(Default)]
struct Returns<'f> {
    values: Vec<Option<&'f Expr>>,
    yields: bool,
}

impl<'f> Visitor<'f> for Returns<'f> {
    fn visit_stmt(&mut self, stmt: &'f Stmt) {
        match stmt {
            Stmt::Return(node) => self.values.push(node.value.as_deref()),
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) => return,
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'f Expr) {
        self.yields |= matches!(expr, Expr::Yield(_) | Expr::YieldFrom(_));
        if !expr.is_lambda_expr() {
            visitor::walk_expr(self, expr);
        }
    }
}

/// The span of `place`'s text, shortened to a line.
pub(super) fn snippet(file: &SourceFile, at: Span) -> String {
    let text: Vec<&str> = file.slice(at).split_whitespace().collect();
    let text = text.join(" ");
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}
