//! The path of a handler: where its class or its name is registered, and what goes into its placeholders.

use std::collections::BTreeSet;

use memchr::memmem;

use super::around::{Around, called, compared, text};
use crate::pack::Framework;
use crate::project::Project;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{Decorator, Expr, Stmt};
use crate::trace::Handler;

/// The path that leads to `handler`, called `name`, as the code has it.
pub(super) fn template(
    project: &Project,
    framework: &Framework,
    handler: &Handler,
    name: &str,
) -> Option<String> {
    let serves = || framework.serves.iter();
    let around = Around::of(project, handler);
    if let Some(route) = &handler.route {
        return Some(route.clone());
    }
    // A method: where its class is registered.
    let mut names = name.rsplit('.');
    let own = names.next()?;
    let class = names.next();
    let mut found = Found {
        name: class.unwrap_or(own),
        framework,
        paths: Vec::new(),
        route_names: Vec::new(),
    };
    found.look(project, class.unwrap_or(own));
    let keywords = serves().filter_map(|serve| serve.route_name.as_deref());
    let names = keywords.filter_map(|keyword| around.keyword(keyword));
    let names = names.chain(std::mem::take(&mut found.route_names));
    for name in names.collect::<BTreeSet<String>>() {
        found.paths.extend(named(project, framework, &name));
    }
    found.paths.sort();
    found.paths.dedup();
    match found.paths.as_slice() {
        [path] => return Some(path.clone()),
        [] => {}
        _ => return None,
    }
    serves().find_map(|serve| {
        let of_class = || around.class_text(serve.class_path.as_deref()?);
        let of_service = || {
            let service = around.base_without(serve.service.as_deref()?)?;
            Some(format!("/{service}/{own}"))
        };
        let by_name = || match own {
            "index" | "default" => "/".to_owned(),
            own => format!("/{own}"),
        };
        of_class()
            .or_else(of_service)
            .or_else(|| serve.own_name.then(by_name))
            .or_else(|| serve.handler.then(|| "/".to_owned()))
    })
}

/// Whether `framework` has calls of the name `called` that put a handler, or what is named, under a path.
fn is_route(framework: &Framework, called: &str) -> bool {
    let mut routes = framework.serves.iter().flat_map(|serve| &serve.routes);
    routes.any(|route| route == called)
}

/// The paths that calls such as `add_route("load", "/load")` name `wanted`.
fn named(project: &Project, framework: &Framework, wanted: &str) -> Vec<String> {
    let mut found = Named {
        framework,
        wanted,
        paths: Vec::new(),
    };
    for file in project.ids() {
        if memmem::find(project.bytes(file), wanted.as_bytes()).is_some() {
            found.visit_body(&project.source(file).module().body);
        }
    }
    found.paths
}

struct Named<'n> {
    framework: &'n Framework,
    wanted: &'n str,
    paths: Vec<String>,
}

impl<'a> Visitor<'a> for Named<'_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr
            && is_route(self.framework, called(&call.func))
            && call.arguments.args.first().and_then(text).as_deref() == Some(self.wanted)
        {
            let second = call.arguments.args.get(1);
            let keyword = |name: &str| call.arguments.find_keyword(name).map(|k| &k.value);
            let path = second
                .or_else(|| keyword("pattern"))
                .or_else(|| keyword("path"));
            self.paths.extend(path.and_then(text));
        }
        visitor::walk_expr(self, expr);
    }
}

/// Paths under which what is called `name` stands beside it, in a call, a tuple, a table or a decorator; and the names
/// of such.
struct Found<'n> {
    name: &'n str,
    framework: &'n Framework,
    paths: Vec<String>,
    route_names: Vec<String>,
}

impl Found<'_> {
    fn look(&mut self, project: &Project, name: &str) {
        for file in project.ids() {
            if memmem::find(project.bytes(file), name.as_bytes()).is_some() {
                self.visit_body(&project.source(file).module().body);
            }
        }
    }

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

    /// Whether `expr` names it in a text: `"Load"`, `"shop.views.load"`.
    fn is_named(&self, expr: &Expr) -> bool {
        text(expr).is_some_and(|text| text.rsplit('.').next() == Some(self.name))
    }

    fn add(&mut self, expr: &Expr, called: &str) {
        if let Some(text) = text(expr)
            && (text.starts_with('/') || is_route(self.framework, called))
        {
            self.paths.push(text);
        }
    }

    /// Whether a dotted name of it stands somewhere in `expr`.
    fn holds(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Dict(dict) => dict.items.iter().any(|item| self.holds(&item.value)),
            Expr::List(list) => list.elts.iter().any(|item| self.holds(item)),
            expr => text(expr).is_some_and(|text| text.contains('.')) && self.is_named(expr),
        }
    }
}

/// Prefixes that are tried at most, alone and one within another, and what keywords that give one end in.
const MOST_PREFIXES: usize = 20;
const PREFIX: &str = "prefix";

/// What may stand before the path of `handler`, called `name`: `url_prefix="/shop"`, `path("shop/", include(...))`.
pub(super) fn prefixes(
    project: &Project,
    framework: &Framework,
    handler: &Handler,
    name: &str,
) -> Vec<String> {
    let class = name.rsplit('.').nth(1);
    let mut found = Prefixes {
        framework,
        class: class.filter(|_| framework.serves.iter().any(|serve| serve.own_name)),
        texts: Vec::new(),
    };
    let around = Around::of(project, handler);
    for serve in &framework.serves {
        let of_class = serve
            .class_path
            .as_deref()
            .and_then(|name| around.class_text(name));
        found
            .texts
            .extend(of_class.filter(|_| handler.route.is_some()));
        if serve.handler {
            found.texts.extend(compared(project, handler.def.file));
        }
    }
    let routes = framework.serves.iter().flat_map(|serve| &serve.routes);
    let words: Vec<&str> = routes
        .map(String::as_str)
        .chain([PREFIX])
        .chain(found.class)
        .collect();
    for file in project.ids() {
        let bytes = project.bytes(file);
        if words
            .iter()
            .any(|word| memmem::find(bytes, word.as_bytes()).is_some())
        {
            found.visit_body(&project.source(file).module().body);
        }
    }
    let filled = found.texts.iter().filter_map(|text| filled(text, None));
    let mut paths: Vec<String> = filled.filter(|path| path != "/").collect();
    paths.sort();
    paths.dedup();
    // One within another.
    let ends = |path: &String| path.trim_end_matches('/').to_owned();
    let pairs = paths.iter().flat_map(|outer| {
        let inner = paths.iter().filter(move |inner| *inner != outer);
        inner.map(move |inner| ends(outer) + inner)
    });
    let pairs: Vec<String> = pairs.collect();
    paths.extend(pairs);
    paths.truncate(MOST_PREFIXES);
    paths
}

struct Prefixes<'n> {
    framework: &'n Framework,
    /// The handler's class, where the names of its objects are parts of paths.
    class: Option<&'n str>,
    texts: Vec<String>,
}

impl<'a> Visitor<'a> for Prefixes<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::Assign(assign) = stmt
            && let (Some(class), Expr::Call(made)) = (self.class, &*assign.value)
            && called(&made.func) == class
        {
            self.texts.extend(
                assign
                    .targets
                    .iter()
                    .map(|target| called(target).to_owned()),
            );
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr {
            let keywords = call.arguments.keywords.iter();
            let named = keywords.filter(|k| k.arg.as_ref().is_some_and(|a| a.ends_with(PREFIX)));
            self.texts.extend(named.filter_map(|k| text(&k.value)));
            let args = &call.arguments.args;
            if is_route(self.framework, called(&call.func)) && args.iter().any(Expr::is_call_expr) {
                self.texts.extend(args.iter().find_map(text));
            }
        }
        visitor::walk_expr(self, expr);
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
        match expr {
            Expr::Call(call) => {
                let keywords = call.arguments.keywords.iter().map(|k| &k.value);
                let mut given = call.arguments.args.iter().chain(keywords);
                if given.any(|given| self.is_it(given)) {
                    if let Some(path) = call.arguments.args.iter().find(|arg| text(arg).is_some()) {
                        self.add(path, called(&call.func));
                    }
                    let names = self.framework.serves.iter();
                    let names = names.filter_map(|serve| serve.route_name.as_deref());
                    let names = names.filter_map(|name| call.arguments.find_keyword(name));
                    self.route_names
                        .extend(names.filter_map(|k| text(&k.value)));
                }
            }
            Expr::Tuple(tuple) => {
                if tuple.elts.iter().any(|item| self.is_it(item))
                    && let Some(path) = tuple.elts.iter().find(|item| text(item).is_some())
                {
                    self.add(path, "");
                }
                // `("/load", "Load", "/other", "Other")`.
                for pair in tuple.elts.chunks(2) {
                    if let [path, name] = pair
                        && self.is_named(name)
                    {
                        self.add(path, "");
                    }
                }
            }
            // `{"/load": {"post": {"operationId": "app.load"}}}`.
            Expr::Dict(dict) => {
                for item in &dict.items {
                    if let Some(path) = &item.key
                        && text(path).is_some_and(|path| path.starts_with('/'))
                        && self.holds(&item.value)
                    {
                        self.add(path, "");
                    }
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
