//! What stands around a handler: its function, its class, and what they say of where it answers.

use crate::project::{FileId, Project};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{AnyNodeRef, Decorator, Expr, Stmt, StmtClassDef, StmtFunctionDef};
use crate::text::Span;
use crate::trace::Handler;

/// The syntax of a handler.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Around<'a> {
    function: Option<&'a StmtFunctionDef>,
    class: Option<&'a StmtClassDef>,
}

impl<'a> Around<'a> {
    pub(super) fn of(project: &'a Project, handler: &Handler) -> Around<'a> {
        let source = project.source(handler.def.file);
        let inside = Span::new(handler.def.start, handler.def.start + 1);
        let mut around = Around::default();
        for node in source.ancestors(inside) {
            match node {
                AnyNodeRef::StmtFunctionDef(function) => around.function = Some(function),
                AnyNodeRef::StmtClassDef(class) => around.class = Some(class),
                _ => {}
            }
        }
        around
    }

    /// What its function does.
    pub(super) fn body(self) -> &'a [Stmt] {
        self.function.map_or(&[], |function| &function.body)
    }

    fn decorators(self) -> impl Iterator<Item = &'a Decorator> {
        let own = self.function.map(|function| &function.decorator_list);
        let class = self.class.map(|class| &class.decorator_list);
        own.into_iter().chain(class).flatten()
    }

    /// What its decorators, or those of its class, say by `keyword`.
    pub(super) fn keyword(self, keyword: &str) -> Option<String> {
        self.decorators().find_map(|decorator| {
            let call = decorator.expression.as_call_expr()?;
            text(&call.arguments.find_keyword(keyword)?.value)
        })
    }

    /// Of the decorators whose names end in one of `names` the first: what it says by `keyword`, or nothing.
    pub(super) fn decorated(self, names: &[String], keyword: &str) -> Option<Option<String>> {
        self.decorators().find_map(|decorator| {
            let call = decorator.expression.as_call_expr()?;
            names
                .iter()
                .any(|name| name == called(&call.func))
                .then(|| {
                    let keyword = call.arguments.find_keyword(keyword);
                    keyword.and_then(|keyword| text(&keyword.value))
                })
        })
    }

    /// What its class binds to `attribute`.
    pub(super) fn class_text(self, attribute: &str) -> Option<String> {
        self.class?.body.iter().find_map(|stmt| {
            let (target, value) = match stmt {
                Stmt::Assign(assign) => (assign.targets.first()?, &*assign.value),
                Stmt::AnnAssign(assign) => (&*assign.target, assign.value.as_deref()?),
                _ => return None,
            };
            let named = target.as_name_expr()?.id == *attribute;
            named.then(|| text(value)).flatten()
        })
    }

    /// The name of a base of its class that ends in `ending`, without that.
    pub(super) fn base_without(self, ending: &str) -> Option<&'a str> {
        let bases = self.class?.arguments.as_deref()?.args.iter();
        bases.map(called).find_map(|name| name.strip_suffix(ending))
    }
}

/// The paths with which the code of `file` compares something.
pub(super) fn compared(project: &Project, file: FileId) -> Vec<String> {
    let mut found = Compared(Vec::new());
    found.visit_body(&project.source(file).module().body);
    found.0
}

struct Compared(Vec<String>);

impl<'a> Visitor<'a> for Compared {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Compare(compare) => {
                let sides = std::iter::once(&*compare.left).chain(&compare.comparators);
                self.0
                    .extend(sides.filter_map(text).filter(|side| side.starts_with('/')));
            }
            Expr::Call(call) if called(&call.func) == "startswith" => {
                let given = call.arguments.args.first().and_then(text);
                self.0.extend(given.filter(|given| given.starts_with('/')));
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// The attributes of the variable `message` that `look` comes across.
pub(super) fn fields(message: &str, look: impl FnOnce(&mut Fields<'_>)) -> Vec<String> {
    let mut fields = Fields {
        message,
        found: Vec::new(),
    };
    look(&mut fields);
    fields.found.sort();
    fields.found.dedup();
    fields.found
}

pub(super) struct Fields<'n> {
    message: &'n str,
    found: Vec<String>,
}

impl<'a> Visitor<'a> for Fields<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Attribute(attribute) = expr
            && attribute
                .value
                .as_name_expr()
                .is_some_and(|name| name.id == *self.message)
        {
            self.found.push(attribute.attr.to_string());
        }
        visitor::walk_expr(self, expr);
    }
}

/// The text that `expr` is; of bytes too, if they are ASCII.
pub(super) fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::StringLiteral(literal) => Some(literal.value.to_str().to_owned()),
        Expr::BytesLiteral(literal) => {
            let bytes: Vec<u8> = literal.value.bytes().collect();
            String::from_utf8(bytes).ok().filter(|text| text.is_ascii())
        }
        _ => None,
    }
}

/// The last part of the name of what is called.
pub(super) fn called(func: &Expr) -> &str {
    match func {
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        Expr::Name(name) => name.id.as_str(),
        _ => "",
    }
}
