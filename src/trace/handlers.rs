//! Which functions a framework calls, and with what.

use std::rc::Rc;

use super::machine::{Arguments, Env, Function, Machine};
use super::value::{Atom, Def, Value};
use crate::pack::{self, FrameworkId, Parameters, Shape, Trust};
use crate::python::ast::{self, Expr};
use crate::python::{SourceFile, dotted, span};

/// A function that a framework calls with a client's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// Which framework.
    pub framework: FrameworkId,
    /// Which of its `[[handler]]` rows.
    row: usize,
    /// The function.
    pub def: Def,
    /// The class whose method it is.
    class: Option<Def>,
    /// Its route, where it is a literal.
    pub route: Option<String>,
    /// Known by its signature alone: not a handler if the project itself calls it.
    by_signature: bool,
}

impl Handler {
    /// Whether this is only a guess from the signature.
    pub(super) fn is_guess(&self) -> bool {
        self.by_signature
    }

    /// The class whose method it is.
    pub(super) fn class(&self) -> Option<Def> {
        self.class
    }
}

impl<'a> Machine<'a> {
    fn rows(&self) -> impl Iterator<Item = (FrameworkId, usize, &'a pack::Handler)> + use<'a> {
        self.model.frameworks().flat_map(|(id, framework)| {
            let rows = framework.handlers.iter().enumerate();
            rows.map(move |(n, row)| (id, n, row))
        })
    }

    fn imports(&self, framework: FrameworkId) -> bool {
        let packages = self
            .model
            .framework(framework)
            .map_or(&[][..], |f| &f.packages);
        packages
            .iter()
            .any(|package| imports_package(self.source(), package))
    }

    fn add_handler(&mut self, handler: Handler) {
        match self.known_handlers.insert(handler.def) {
            true => self.handlers.push_back(handler),
            // What is registered is certain, whatever was guessed before.
            false if !handler.by_signature => {
                let guessed = self.handlers.iter_mut().find(|h| h.def == handler.def);
                if let Some(guess) = guessed.filter(|h| h.by_signature) {
                    *guess = handler;
                }
            }
            false => {}
        }
    }

    /// Sees whether `decorator` makes `def` a handler.
    pub(super) fn decorator(
        &mut self,
        decorator: &'a ast::Decorator,
        def: Def,
        class: Option<Def>,
        env: &mut Env,
    ) {
        let (callee, arguments) = match &decorator.expression {
            Expr::Call(call) => (&*call.func, Some(&call.arguments)),
            expr => (expr, None),
        };
        let value = self.read(callee, env);
        let names: Vec<Rc<str>> = value
            .atoms()
            .iter()
            .filter_map(|atom| match atom {
                Atom::External(name) => Some(Rc::clone(name)),
                _ => None,
            })
            .collect();
        let unknown = match callee {
            Expr::Attribute(attribute) if names.is_empty() && value.atoms().is_empty() => {
                Some(format!("*.{}", attribute.attr))
            }
            _ => None,
        };
        for (framework, n, row) in self.rows() {
            let matches = row.decorators.iter().any(|pattern| {
                names.iter().any(|name| **name == **pattern)
                    || (unknown.as_ref() == Some(pattern) && self.imports(framework))
            });
            if matches {
                let route = arguments
                    .and_then(|a| a.args.first())
                    .and_then(Expr::as_string_literal_expr)
                    .map(|literal| literal.value.to_str().to_owned());
                self.add_handler(Handler {
                    framework,
                    row: n,
                    def,
                    class,
                    route,
                    by_signature: false,
                });
            }
        }
    }

    /// Sees whether the function `node` looks like a handler by its first parameter.
    pub(super) fn handler_by_signature(&mut self, node: &'a ast::StmtFunctionDef, def: Def) {
        if self.frames.last().is_some_and(|frame| frame.def.is_some()) {
            return;
        }
        let Some(first) = node.parameters.iter().next() else {
            return;
        };
        for (framework, n, row) in self.rows() {
            if row.first_named.as_deref() == Some(first.name().as_str()) && self.imports(framework)
            {
                self.add_handler(Handler {
                    framework,
                    row: n,
                    def,
                    class: None,
                    route: None,
                    by_signature: true,
                });
            }
        }
    }

    /// Sees which methods of `class` are handlers.
    pub(super) fn handlers_by_base(&mut self, class: Def) {
        let bases = self.outside_bases(class);
        let Some(info) = self.classes.get(&class).cloned() else {
            return;
        };
        for (framework, n, row) in self.rows() {
            if !row
                .bases
                .iter()
                .any(|base| bases.iter().any(|b| **b == **base))
            {
                continue;
            }
            for method in &row.methods {
                for atom in info.attributes.get(method).iter().flat_map(|v| v.atoms()) {
                    if let Atom::Function(def, _) = atom {
                        self.add_handler(Handler {
                            framework,
                            row: n,
                            def: *def,
                            class: Some(class),
                            route: None,
                            by_signature: false,
                        });
                    }
                }
            }
        }
    }

    /// Sees whether calling `name` registers one of `arguments` as a handler.
    pub(super) fn register(&mut self, name: &str, arguments: &Arguments) {
        for (framework, n, row) in self.rows() {
            for registration in row.registered.iter().filter(|r| r.call == name) {
                let given = arguments.get(registration.argument, &registration.keyword);
                let route = arguments.positional.first().and_then(Value::text);
                for atom in given.iter().flat_map(|value| value.atoms()) {
                    if let Atom::Function(def, bound) = atom {
                        self.add_handler(Handler {
                            framework,
                            row: n,
                            def: *def,
                            class: *bound,
                            route: route.as_deref().map(str::to_owned),
                            by_signature: false,
                        });
                    }
                }
            }
        }
    }

    /// The attribute `name` that a framework sets on instances of `class`.
    pub(super) fn handler_field(&self, class: Def, name: &str) -> Option<Value> {
        let bases = self.outside_bases(class);
        self.rows().find_map(|(_, _, row)| {
            let ty = row.fields.get(name)?;
            let matches = row
                .bases
                .iter()
                .any(|base| bases.iter().any(|b| **b == **base));
            matches.then(|| Atom::Object(ty.as_str().into()).into())
        })
    }

    /// What the framework passes to `handler`.
    pub(super) fn handler_arguments(&mut self, handler: &Handler) -> Arguments {
        let Some(function) = self.functions.get(&handler.def).cloned() else {
            return Arguments::default();
        };
        let row = self
            .model
            .framework(handler.framework)
            .and_then(|f| f.handlers.get(handler.row));
        let Some(row) = row else {
            return Arguments::default();
        };
        let skip = usize::from(function.class.is_some() && !function.is_static());
        let mut arguments = Arguments::default();
        let parameters = function.parameters().into_iter().flat_map(|p| p.iter());
        for (n, parameter) in parameters.skip(skip).enumerate() {
            let name = parameter.name().as_str();
            let value = match (&row.first, n) {
                (Some(first), 0) => Atom::Object(first.as_str().into()).into(),
                _ => self.handler_parameter(&function, handler, row, parameter),
            };
            arguments.named.push((name.to_owned(), value));
        }
        arguments
    }

    fn handler_parameter(
        &mut self,
        function: &Function<'a>,
        handler: &Handler,
        row: &pack::Handler,
        parameter: ast::AnyParameterRef<'a>,
    ) -> Value {
        let file = function.def.file;
        let source = self.project.source(file);
        let scope = source.scopes().at(function.def.start.saturating_sub(1));
        let mut types = Vec::new();
        if let Some(annotation) = parameter.annotation() {
            annotation_names(source, scope, annotation, &mut types);
        }
        if let Some(object) = types.iter().find_map(|ty| self.model.object(ty)) {
            return Atom::Object(object.name.as_str().into()).into();
        }
        let name = parameter.name().as_str();
        let default = parameter.default().and_then(Expr::as_call_expr);
        let default = default
            .map(|call| source.names(scope, &call.func))
            .unwrap_or_default();
        let is_clean = types.iter().any(|ty| row.clean_annotations.contains(ty))
            || default
                .iter()
                .chain(&types)
                .any(|ty| row.clean_defaults.contains(ty));
        let untrusted = match row.parameters {
            Parameters::Clean => false,
            Parameters::Untrusted => !is_clean,
            Parameters::Route => handler
                .route
                .as_ref()
                .is_none_or(|route| in_route(route, name)),
        };
        if !untrusted {
            return Value::clean();
        }
        let shape = match types.iter().any(|ty| ty == "builtins.bytes") {
            true => Shape::Bytes,
            false => Shape::Any,
        };
        let marker = default
            .iter()
            .chain(&types)
            .find_map(|ty| ty.strip_prefix("fastapi."));
        let channel = match (row.parameters, marker) {
            (Parameters::Route, _) => "path".to_owned(),
            (_, Some(marker)) => marker.to_lowercase(),
            (_, None) => "parameter".to_owned(),
        };
        let place = super::value::Place {
            file,
            span: span(&parameter),
        };
        let note = format!("parameter {name} of handler {}()", function.name());
        self.entering(Trust::Http, &channel, shape, place, note)
    }

    /// What a function that nobody calls may be given.
    pub(super) fn outside_arguments(&mut self, def: Def) -> Arguments {
        let Some(function) = self.functions.get(&def).cloned() else {
            return Arguments::default();
        };
        let source = self.project.source(def.file);
        let scope = source.scopes().at(def.start.saturating_sub(1));
        let skip = usize::from(function.class.is_some() && !function.is_static());
        let mut arguments = Arguments::default();
        let parameters = function.parameters().into_iter().flat_map(|p| p.iter());
        for parameter in parameters.skip(skip) {
            let name = parameter.name().as_str();
            let mut types = Vec::new();
            if let Some(annotation) = parameter.annotation() {
                annotation_names(source, scope, annotation, &mut types);
            }
            let value = match types.iter().find_map(|ty| self.model.object(ty)) {
                Some(object) => Atom::Object(object.name.as_str().into()).into(),
                None => {
                    let place = super::value::Place {
                        file: def.file,
                        span: span(&parameter),
                    };
                    let note = format!(
                        "parameter {name} of {}(), which nothing in the project calls",
                        function.name()
                    );
                    self.entering(Trust::Unknown, "parameter", Shape::Any, place, note)
                }
            };
            arguments.named.push((name.to_owned(), value));
        }
        arguments
    }
}

/// Names in an annotation: of `Annotated[UploadFile, File()]` both `UploadFile` and `File`.
fn annotation_names(source: &SourceFile, scope: usize, expr: &Expr, names: &mut Vec<String>) {
    match expr {
        Expr::Name(_) | Expr::Attribute(_) => {
            if let Some(parts) = dotted(expr) {
                names.extend(source.scopes().resolve(scope, &parts));
            }
        }
        Expr::Subscript(node) => {
            annotation_names(source, scope, &node.value, names);
            annotation_names(source, scope, &node.slice, names);
        }
        Expr::Tuple(node) => {
            for part in &node.elts {
                annotation_names(source, scope, part, names);
            }
        }
        Expr::BinOp(node) => {
            annotation_names(source, scope, &node.left, names);
            annotation_names(source, scope, &node.right, names);
        }
        Expr::Call(node) => annotation_names(source, scope, &node.func, names),
        _ => {}
    }
}

/// Whether `route` (`/cart/<int:n>/<name>`) gives `name` a value that can carry a payload.
fn in_route(route: &str, name: &str) -> bool {
    let mut rest = route;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((rule, after)) = after.split_once('>') else {
            return false;
        };
        let (converter, variable) = rule.split_once(':').unwrap_or(("string", rule));
        let converter = converter.split('(').next().unwrap_or(converter);
        if variable == name {
            return !matches!(converter, "int" | "float" | "uuid");
        }
        rest = after;
    }
    false
}

/// Whether `source` imports `package` or something of it, anywhere.
fn imports_package(source: &SourceFile, package: &str) -> bool {
    let scopes = source.scopes();
    scopes.imports().any(|import| {
        let target = import.target.as_str();
        target == package
            || target
                .strip_prefix(package)
                .is_some_and(|rest| rest.starts_with('.'))
    })
}
