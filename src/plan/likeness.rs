//! Statements by which a file says 4xx already, so that a new answer reads as its neighbours do.
//!
//! Invariant: what is copied is constant but for one message and one status, and every name in it means the same where
//! it is copied to.

use super::template::{literal, parameter};
use crate::pack::{Name, Piece, Template};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{Expr, Number, Stmt};
use crate::python::{ScopeId, SourceFile, span};
use crate::text::{Edit, EditSet, Span};

/// A template read as Python. `...` is anything, `400` any status of 4xx, `""` any text.
pub(super) struct Pattern {
    source: SourceFile,
    holes: Vec<Hole>,
}

/// What a hole of a pattern can be.
enum Hole {
    /// One of these qualified names.
    Names(Vec<String>),
    /// This parameter.
    Parameter(String),
    /// Nothing that is there.
    Nothing,
}

/// A hole's name in the pattern's source.
const HOLE: &str = "__hole_";

impl Pattern {
    /// What of `template` depends on where it stands: the parameters that it names at `target` in `file`.
    pub fn parameters(template: &Template, file: &SourceFile, target: Span) -> Vec<Option<String>> {
        let pieces = template.pieces.iter();
        let named = pieces.filter_map(|piece| match piece {
            Piece::Parameter(position) => Some(parameter(file, target, *position).ok()),
            _ => None,
        });
        named.map(|name| name.map(str::to_owned)).collect()
    }

    /// `template` as it would stand at `target` in `file`.
    pub fn of(template: &Template, file: &SourceFile, target: Span) -> Pattern {
        let mut text = String::new();
        let mut holes = Vec::new();
        for piece in &template.pieces {
            let hole = match piece {
                Piece::Text(part) => {
                    text.push_str(part);
                    continue;
                }
                // An `await` is looked through.
                Piece::Await => continue,
                Piece::Message(_) => Hole::Nothing,
                Piece::Parameter(position) => match parameter(file, target, *position) {
                    Ok(name) => Hole::Parameter(name.to_owned()),
                    Err(_) => Hole::Nothing,
                },
                Piece::Name(names) => Hole::Names(names.iter().map(Name::full).collect()),
            };
            text.push_str(&format!("{HOLE}{}", holes.len()));
            holes.push(hole);
        }
        Pattern {
            source: SourceFile::read("pattern", text.as_bytes()),
            holes,
        }
    }

    fn statement(&self) -> Option<&Stmt> {
        self.source.module().body.first()
    }

    /// Whether the pattern's one expression is `expr`.
    pub fn is(&self, file: &SourceFile, scope: ScopeId, expr: &Expr) -> bool {
        let Some(Stmt::Expr(node)) = self.statement() else {
            return false;
        };
        let mut reading = Reading::of(self, file, scope, &[]);
        reading.same(&node.value, expr)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.holes.iter().flat_map(|hole| match hole {
            Hole::Names(names) => names.as_slice(),
            Hole::Parameter(_) | Hole::Nothing => &[],
        })
    }
}

/// Where a file says what a pattern says.
#[derive(Debug)]
pub(super) struct Likeness {
    /// The function that it is an answer of.
    pub home: Option<Span>,
    copy: Option<Copy>,
}

/// How an answer is said again with another message, where it is constant but for that.
#[derive(Debug)]
struct Copy {
    text: String,
    /// Names in it that have to be the module's.
    names: Vec<String>,
}

impl Likeness {
    /// The text to say it again in `scope` of `file`.
    pub fn copy(&self, file: &SourceFile, scope: ScopeId) -> Option<&str> {
        let of_module = |name: &String| {
            let home = file.scopes().lookup(scope, name).map(|(home, _)| home);
            home == Some(0)
        };
        let copy = self.copy.as_ref()?;
        copy.names.iter().all(of_module).then_some(&*copy.text)
    }
}

/// Every statement of `file` that `pattern` fits, as it can be said again with `message`. `constants` are those that mean
/// 400; `own` are names that do so without a status.
pub(super) fn likenesses(
    file: &SourceFile,
    pattern: &Pattern,
    message: &str,
    constants: &[String],
    own: &[String],
) -> Vec<Likeness> {
    let mut statements = Statements(Vec::new());
    statements.visit_body(&file.module().body);
    let Some(wanted) = pattern.statement() else {
        return Vec::new();
    };
    let fits = |stmt: &&Stmt| {
        let extent = span(*stmt);
        let scope = file.scopes().at(extent.start);
        let mut reading = Reading::of(pattern, file, scope, constants);
        if !reading.fits(wanted, stmt) {
            return None;
        }
        Some(Likeness {
            home: file.innermost_function(extent).map(span),
            copy: reading
                .refuses(own)
                .then(|| reading.copy(stmt, message))
                .flatten(),
        })
    };
    statements.0.iter().filter_map(fits).collect()
}

/// The simple statements that answer: `return`, `raise`, and calls.
struct Statements<'a>(Vec<&'a Stmt>);

impl<'a> Visitor<'a> for Statements<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Return(_) | Stmt::Raise(_) | Stmt::Expr(_) => self.0.push(stmt),
            _ => visitor::walk_stmt(self, stmt),
        }
    }
}

/// One comparison of a pattern with what stands in a file.
struct Reading<'r> {
    pattern: &'r Pattern,
    file: &'r SourceFile,
    scope: ScopeId,
    /// Constants that mean 400.
    constants: &'r [String],
    /// Statuses, and how 400 is written in their place.
    statuses: Vec<(Span, Option<String>)>,
    /// Names that fill the holes.
    said: Vec<String>,
}

impl<'r> Reading<'r> {
    fn of(
        pattern: &'r Pattern,
        file: &'r SourceFile,
        scope: ScopeId,
        constants: &'r [String],
    ) -> Self {
        Reading {
            pattern,
            file,
            scope,
            constants,
            statuses: Vec::new(),
            said: Vec::new(),
        }
    }

    fn fits(&mut self, wanted: &Stmt, stmt: &Stmt) -> bool {
        match (wanted, stmt) {
            (Stmt::Return(a), Stmt::Return(b)) => self.both(a.value.as_deref(), b.value.as_deref()),
            (Stmt::Raise(a), Stmt::Raise(b)) => self.both(a.exc.as_deref(), b.exc.as_deref()),
            (Stmt::Expr(a), Stmt::Expr(b)) => self.same(&a.value, &b.value),
            _ => false,
        }
    }

    fn both(&mut self, wanted: Option<&Expr>, expr: Option<&Expr>) -> bool {
        match (wanted, expr) {
            (Some(wanted), Some(expr)) => self.same(wanted, expr),
            (None, None) => true,
            _ => false,
        }
    }

    fn same(&mut self, wanted: &Expr, expr: &Expr) -> bool {
        match (wanted, expr) {
            (Expr::EllipsisLiteral(_), _) => true,
            (_, Expr::Await(node)) => self.same(wanted, &node.value),
            (Expr::Name(name), _) => match name.id.strip_prefix(HOLE) {
                Some(hole) => self.fills(hole, expr),
                None => matches!(expr, Expr::Name(other) if other.id == name.id),
            },
            (Expr::NumberLiteral(_), _) => self.status(expr),
            // `""` is any text.
            (Expr::StringLiteral(_), _) => {
                matches!(expr, Expr::StringLiteral(_) | Expr::FString(_))
            }
            (Expr::Attribute(a), Expr::Attribute(b)) => {
                a.attr.as_str() == b.attr.as_str() && self.same(&a.value, &b.value)
            }
            (Expr::Tuple(a), Expr::Tuple(b)) => {
                a.elts.len() == b.elts.len()
                    && a.elts.iter().zip(&b.elts).all(|(a, b)| self.same(a, b))
            }
            (Expr::Dict(a), Expr::Dict(b)) => a.items.iter().all(|wanted| {
                let key = |e: Option<&Expr>| {
                    let literal = e.and_then(Expr::as_string_literal_expr);
                    literal.map(|literal| literal.value.to_str().to_owned())
                };
                let name = key(wanted.key.as_ref());
                let found = b
                    .items
                    .iter()
                    .find(|item| name.is_some() && key(item.key.as_ref()) == name);
                found.is_some_and(|found| self.same(&wanted.value, &found.value))
            }),
            (Expr::Call(a), Expr::Call(b)) => {
                let positional = a.arguments.args.iter().enumerate().all(|(n, wanted)| {
                    wanted.is_ellipsis_literal_expr()
                        || b.arguments
                            .args
                            .get(n)
                            .is_some_and(|found| self.same(wanted, found))
                });
                let named = a.arguments.keywords.iter().all(|wanted| {
                    let mut keywords = b.arguments.keywords.iter();
                    let found = keywords.find(|k| {
                        k.arg.as_ref().map(|n| &n.id) == wanted.arg.as_ref().map(|n| &n.id)
                    });
                    found.is_some_and(|found| self.same(&wanted.value, &found.value))
                });
                positional && named && self.same(&a.func, &b.func)
            }
            _ => false,
        }
    }

    fn fills(&mut self, hole: &str, expr: &Expr) -> bool {
        let hole = hole
            .parse()
            .ok()
            .and_then(|n: usize| self.pattern.holes.get(n));
        match hole {
            Some(Hole::Parameter(name)) => {
                matches!(expr, Expr::Name(found) if found.id == name.as_str())
            }
            Some(Hole::Names(names)) => {
                let found = self.file.names(self.scope, expr);
                let fills = !found.is_empty() && found.iter().all(|name| names.contains(name));
                self.said.extend(found);
                fills
            }
            Some(Hole::Nothing) | None => false,
        }
    }

    /// Whether `expr` is a status of 4xx.
    fn status(&mut self, expr: &Expr) -> bool {
        if let Expr::NumberLiteral(number) = expr {
            let status = match &number.value {
                Number::Int(value) => value.as_u16(),
                _ => None,
            };
            let refuses = status.is_some_and(|status| (400..500).contains(&status));
            if refuses {
                self.statuses.push((span(expr), Some("400".to_owned())));
            }
            return refuses;
        }
        let names = self.file.names(self.scope, expr);
        let [name] = names.as_slice() else {
            return false;
        };
        let text = self.file.slice(span(expr));
        if self.constants.contains(name) {
            self.statuses.push((span(expr), Some(text.to_owned())));
            return true;
        }
        // `status.HTTP_404_NOT_FOUND`, of a module whose constant for 400 is known.
        let Some((module, last)) = name.rsplit_once('.') else {
            return false;
        };
        let twin = self.constants.iter().find_map(|c| {
            let (home, last) = c.rsplit_once('.')?;
            (home == module).then_some(last)
        });
        let refuses = last.starts_with("HTTP_4");
        match (refuses, twin) {
            (true, Some(twin)) => {
                let spelled = text.strip_suffix(last).filter(|head| !head.is_empty());
                self.statuses
                    .push((span(expr), spelled.map(|head| format!("{head}{twin}"))));
                true
            }
            _ => false,
        }
    }

    /// Whether what was read says 400 once its status does, or by one of `own` names alone.
    fn refuses(&self, own: &[String]) -> bool {
        !self.statuses.is_empty() || self.said.iter().all(|name| own.contains(name))
    }

    /// `stmt` with `message` and 400, if it is constant but for these.
    fn copy(&self, stmt: &Stmt, message: &str) -> Option<Copy> {
        let extent = span(stmt);
        let text = self.file.slice(extent);
        let mut parts = Parts {
            reading: self,
            names: Vec::new(),
            messages: Vec::new(),
            constant: !text.contains(['\n', '\r']),
        };
        match stmt {
            Stmt::Return(node) => parts.visit_expr(node.value.as_deref()?),
            Stmt::Raise(node) => parts.visit_expr(node.exc.as_deref()?),
            Stmt::Expr(node) => parts.visit_expr(&node.value),
            _ => return None,
        }
        let [only] = parts.messages.as_slice() else {
            return None;
        };
        if !parts.constant {
            return None;
        }
        let quote = self.file.slice(*only).chars().next()?;
        let literal = literal(message, quote, false);
        let here = |place: Span| {
            let start = place.start.checked_sub(extent.start)?;
            Some(Span::new(start, place.end.checked_sub(extent.start)?))
        };
        let mut edits = vec![Edit::replace(here(*only)?, literal)];
        for (place, spelled) in &self.statuses {
            edits.push(Edit::replace(here(*place)?, spelled.clone()?));
        }
        let mut text = EditSet::new(edits).ok()?.apply(text);
        if matches!(stmt, Stmt::Raise(node) if node.cause.is_none()) {
            text.push_str(" from None");
        }
        let names = parts.names;
        Some(Copy { text, names })
    }
}

/// Looks what an answer consists of.
struct Parts<'p> {
    reading: &'p Reading<'p>,
    names: Vec<String>,
    messages: Vec<Span>,
    constant: bool,
}

impl<'a> Visitor<'a> for Parts<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        let Reading {
            file,
            scope,
            pattern,
            statuses,
            ..
        } = self.reading;
        if statuses.iter().any(|(place, _)| *place == span(expr)) {
            return;
        }
        match expr {
            Expr::StringLiteral(_) => {
                let plain = file.slice(span(expr)).starts_with(['"', '\'']);
                let token = file.slice(span(expr));
                let triple = token.starts_with("\"\"\"") || token.starts_with("'''");
                self.constant &= plain && !triple;
                self.messages.push(span(expr));
            }
            Expr::Dict(node) => {
                for item in &node.items {
                    let literal = item.key.as_ref().is_some_and(Expr::is_string_literal_expr);
                    self.constant &= literal;
                    self.visit_expr(&item.value);
                }
            }
            Expr::Call(node) => {
                let names = file.names(*scope, &node.func);
                self.constant &= names
                    .iter()
                    .all(|name| pattern.names().any(|known| known == name));
                self.visit_expr(&node.func);
                for argument in &node.arguments.args {
                    self.visit_expr(argument);
                }
                for keyword in &node.arguments.keywords {
                    self.constant &= keyword.arg.is_some();
                    self.visit_expr(&keyword.value);
                }
            }
            Expr::Attribute(node) => self.visit_expr(&node.value),
            Expr::Name(name) => {
                let home = file.scopes().lookup(*scope, &name.id).map(|(home, _)| home);
                self.constant &= home == Some(0);
                self.names.push(name.id.to_string());
                let names = file.names(*scope, expr);
                self.constant &= !names.is_empty();
            }
            Expr::Tuple(node) => {
                for part in &node.elts {
                    self.visit_expr(part);
                }
            }
            Expr::NumberLiteral(_) | Expr::BooleanLiteral(_) | Expr::NoneLiteral(_) => {}
            _ => self.constant = false,
        }
    }
}
