//! The path of a handler: where its class or its name is registered, and what goes into its placeholders.

use memchr::memmem;

use super::delivery::routes;
use crate::pack::Framework;
use crate::project::Project;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{Decorator, Expr, Stmt};

/// The one path under which what is called `name` stands beside it, in a call, a tuple or a decorator. Calls of
/// `routes` put it under one that does not begin with a slash.
pub(super) fn leads_to(project: &Project, name: &str, routes: &[&str]) -> Option<String> {
    let mut found = Found {
        name,
        routes,
        paths: Vec::new(),
    };
    for file in project.ids() {
        if memmem::find(project.bytes(file), name.as_bytes()).is_some() {
            found.visit_body(&project.source(file).module().body);
        }
    }
    found.paths.sort();
    found.paths.dedup();
    match found.paths.as_slice() {
        [path] => Some(path.clone()),
        _ => None,
    }
}

struct Found<'n> {
    name: &'n str,
    routes: &'n [&'n str],
    paths: Vec<String>,
}

impl Found<'_> {
    /// Whether `expr` is the class or function, an object of it, or what a method of it makes.
    fn is_it(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Name(name) => name.id == *self.name,
            Expr::Attribute(attribute) => {
                attribute.attr == *self.name || self.is_it(&attribute.value)
            }
            Expr::Call(call) => self.is_it(&call.func),
            _ => false,
        }
    }

    fn add(&mut self, expr: &Expr, called: &str) {
        if let Expr::StringLiteral(literal) = expr {
            let text = literal.value.to_str();
            if text.starts_with('/') || self.routes.contains(&called) {
                self.paths.push(text.to_owned());
            }
        }
    }
}

/// Prefixes that are tried at most, and what keywords that give one end in.
const MOST_PREFIXES: usize = 20;
const PREFIX: &str = "prefix";

/// What the project puts before the paths of other routes: `url_prefix="/shop"`, `path("shop/", include(...))`.
pub(super) fn prefixes(project: &Project, framework: &Framework) -> Vec<String> {
    let routes = routes(framework);
    let mut found = Prefixes {
        routes: &routes,
        texts: Vec::new(),
    };
    let words = || routes.iter().copied().chain([PREFIX]);
    for file in project.ids() {
        let bytes = project.bytes(file);
        if words().any(|word| memmem::find(bytes, word.as_bytes()).is_some()) {
            found.visit_body(&project.source(file).module().body);
        }
    }
    let filled = found.texts.iter().filter_map(|text| filled(text, None));
    let mut paths: Vec<String> = filled.filter(|path| path != "/").collect();
    paths.sort();
    paths.dedup();
    paths.truncate(MOST_PREFIXES);
    paths
}

struct Prefixes<'n> {
    routes: &'n [&'n str],
    texts: Vec<String>,
}

impl<'a> Visitor<'a> for Prefixes<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr {
            let keywords = call.arguments.keywords.iter();
            let named = keywords.filter(|k| k.arg.as_ref().is_some_and(|a| a.ends_with(PREFIX)));
            let mut texts: Vec<&Expr> = named.map(|k| &k.value).collect();
            if self.routes.contains(&called(&call.func))
                && let [path, Expr::Call(_), ..] = &*call.arguments.args
            {
                texts.push(path);
            }
            let literal = |expr: &&Expr| {
                expr.as_string_literal_expr()
                    .map(|l| l.value.to_str().to_owned())
            };
            self.texts.extend(texts.iter().filter_map(literal));
        }
        visitor::walk_expr(self, expr);
    }
}

/// The last part of the name of what is called.
fn called(func: &Expr) -> &str {
    match func {
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        Expr::Name(name) => name.id.as_str(),
        _ => "",
    }
}

impl<'a> Visitor<'a> for Found<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let (name, decorators): (_, &[Decorator]) = match stmt {
            Stmt::ClassDef(class) => (class.name.as_str(), &class.decorator_list),
            Stmt::FunctionDef(function) => (function.name.as_str(), &function.decorator_list),
            _ => ("", &[]),
        };
        let its = if name == self.name { decorators } else { &[] };
        for decorator in its {
            if let Expr::Call(call) = &decorator.expression
                && let Some(first) = call.arguments.args.first()
            {
                self.add(first, "");
            }
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let first_text =
            |items: &'a [Expr]| items.iter().find(|item| item.is_string_literal_expr());
        match expr {
            Expr::Call(call) => {
                let keywords = call.arguments.keywords.iter().map(|k| &k.value);
                let mut given = call.arguments.args.iter().chain(keywords);
                if given.any(|given| self.is_it(given))
                    && let Some(text) = first_text(&call.arguments.args)
                {
                    self.add(text, called(&call.func));
                }
            }
            Expr::Tuple(tuple) if tuple.elts.iter().any(|item| self.is_it(item)) => {
                if let Some(text) = first_text(&tuple.elts) {
                    self.add(text, "");
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// The placeholders of `template`, `<int:name>` or `{name:int}`, with what stands around the name.
fn holes(template: &str) -> impl Iterator<Item = (&str, &str)> {
    template.split(['<', '{']).skip(1).filter_map(|rest| {
        let inner = &rest[..rest.find(['>', '}'])?];
        let after_colon = template.contains('<');
        let (kind, name) = match (inner.split_once(':'), after_colon) {
            (Some((kind, name)), true) | (Some((name, kind)), false) => (kind, name),
            (None, _) => ("", inner),
        };
        Some((kind.trim(), name.trim()))
    })
}

/// The names of the placeholders of `template`.
pub(super) fn placeholders(template: &str) -> impl Iterator<Item = String> {
    holes(template).map(|(_, name)| name.to_owned())
}

/// `template` with something in each placeholder; of the placeholder called `data`, which must be at its end, what comes
/// before it.
pub(super) fn filled(template: &str, data: Option<&str>) -> Option<String> {
    let template = template.strip_prefix('^').unwrap_or(template);
    let template = template.strip_suffix('$').unwrap_or(template);
    let mut kinds = holes(template);
    let mut out = String::from(if template.starts_with('/') { "" } else { "/" });
    let mut rest = template;
    while let Some(at) = rest.find(['<', '{']) {
        out.push_str(&rest[..at]);
        let end = at + rest[at..].find(['>', '}'])?;
        let (kind, name) = kinds.next()?;
        rest = &rest[end + 1..];
        if data == Some(name) {
            return rest.is_empty().then_some(out);
        }
        out.push_str(match kind {
            "uuid" | "UUID" => "12345678-1234-4234-8234-123456789abc",
            "float" => "1.0",
            "" | "int" | "str" | "string" | "path" | "slug" | "any" => "1",
            _ => return None,
        });
    }
    out.push_str(rest);
    // A pattern says which paths there are, not one of them.
    let plain = |c: char| c.is_alphanumeric() || "/-_.~%@".contains(c);
    (data.is_none() && out.chars().all(plain)).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_patterns_are_not_guessed() {
        let plain = |template| filled(template, None);
        assert_eq!(plain("shop/<int:id>/x"), Some("/shop/1/x".to_owned()));
        assert_eq!(plain("/a/{name}/{n:float}"), Some("/a/1/1.0".to_owned()));
        assert_eq!(plain("^load/$"), Some("/load/".to_owned()));
        assert_eq!(plain(r"^a/(?P<id>\d+)$"), None);
        assert_eq!(plain("/a/:id"), None);
        assert_eq!(plain("/a/<regex('x'):id>"), None);
        assert_eq!(filled("/a/{data}", Some("data")), Some("/a/".to_owned()));
        assert_eq!(filled("/a/{data}/b", Some("data")), None);
        assert_eq!(filled("/a", Some("data")), None);
    }
}
