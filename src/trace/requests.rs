//! With what a framework calls its handlers: parameters, dependencies, members of its objects.

use std::rc::Rc;

use super::env::Env;
use super::functions::{Code, Function};
use super::handlers::Handler;
use super::machine::Machine;
use super::queues::QUEUE;
use super::taint::Place;
use super::value::{Arguments, Atom, Const, Container, Role, Value};
use crate::pack::{self, Argument, FrameworkId, Member, Parameters, Shape, Trust};
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};
use crate::python::{SourceFile, dotted, span};

impl<'a> Machine<'a> {
    /// What the framework passes to `handler`.
    pub(super) fn handler_arguments(&mut self, handler: &Handler) -> Arguments {
        let Some(function) = self.function_at(handler.def) else {
            return Arguments::default();
        };
        let Some(row) = self.handler_row(handler) else {
            return Arguments::default();
        };
        let skip = usize::from(function.takes_self());
        let mut arguments = Arguments::default();
        let Some(parameters) = function.parameters() else {
            return arguments;
        };
        for (n, parameter) in parameters.iter_non_variadic_params().skip(skip).enumerate() {
            let name = &parameter.name().id;
            let value = match (&row.first, row.arguments.get(n), n) {
                (_, Some(argument), _) => {
                    self.handler_argument(&function, row, argument, name, &parameter.parameter)
                }
                (Some(first), None, 0) => Value::object(first),
                _ => self.handler_parameter(
                    &function,
                    handler,
                    row,
                    ast::AnyParameterRef::NonVariadic(parameter),
                ),
            };
            let value = match self.some_queue(handler.framework, Some(handler.def)) {
                Some(queue) => self.coming_by(value, &queue),
                None => value,
            };
            match parameters.kwonlyargs.iter().any(|p| p.name().id == *name) {
                true => arguments.named.push((name.clone(), value)),
                false => arguments.positional.push(value),
            }
        }
        for variadic in parameters.vararg.iter().chain(&parameters.kwarg) {
            let value = self.handler_parameter(
                &function,
                handler,
                row,
                ast::AnyParameterRef::Variadic(variadic),
            );
            let value = value.filter(|a| matches!(a, Atom::Untrusted(_)));
            arguments.spread = std::mem::take(&mut arguments.spread).join(&value);
        }
        arguments
    }

    fn handler_argument(
        &mut self,
        function: &Function<'a>,
        row: &'a pack::Handler,
        argument: &'a Argument,
        name: &Name,
        parameter: &'a ast::Parameter,
    ) -> Value {
        match argument {
            Argument::Clean => Value::clean(),
            Argument::Is(ty) => Value::object(ty),
            Argument::Data(data) => {
                let place = Place {
                    file: function.def.file,
                    span: span(parameter),
                };
                let note = format!("parameter {name} of handler {}()", function.name());
                let trust = row.trust.unwrap_or(Trust::Http);
                self.entering(trust, &data.channel, data.shape, place, note)
            }
        }
    }

    fn handler_parameter(
        &mut self,
        function: &Function<'a>,
        handler: &Handler,
        row: &'a pack::Handler,
        parameter: ast::AnyParameterRef<'a>,
    ) -> Value {
        let file = function.def.file;
        let project = self.project;
        let source = project.source(file);
        let scope = source.scopes().at(function.def.start.saturating_sub(1));
        let mut types = Vec::new();
        if let Some(annotation) = parameter.annotation() {
            annotation_names(source, scope, annotation, &mut types);
        }
        if let Some(object) = types.iter().find_map(|ty| self.model.object(ty)) {
            return Value::object(&object.name);
        }
        let name = parameter.name().as_str();
        let default = parameter.default().and_then(Expr::as_call_expr);
        let default_names = default
            .map(|call| source.names(scope, &call.func))
            .unwrap_or_default();
        let is_clean = types.iter().any(|ty| row.clean_annotations.contains(ty))
            || types.iter().any(|ty| ty.ends_with(".Literal"));
        let made = default_names
            .iter()
            .chain(&types)
            .any(|ty| row.clean_defaults.contains(ty));
        if made {
            return self.dependency(file, parameter, default);
        }
        let untrusted = match row.parameters {
            Parameters::Clean => false,
            Parameters::Untrusted => !is_clean,
            Parameters::Route => {
                let variadic = matches!(parameter, ast::AnyParameterRef::Variadic(_));
                let route = handler.route.as_ref();
                variadic || route.is_none_or(|route| in_route(route, name))
            }
        };
        if !untrusted {
            return match self.parameter_default(function, name) {
                Some(value) => value,
                None => Value::clean(),
            };
        }
        let shape = match types.iter().any(|ty| ty == "builtins.bytes") {
            true => Shape::Bytes,
            false => Shape::Any,
        };
        let marker = default_names
            .iter()
            .chain(&types)
            .find_map(|ty| ty.strip_prefix("fastapi."));
        let channel = match (row.parameters, marker, &row.channel) {
            (_, _, Some(channel)) => channel.clone(),
            (Parameters::Route, _, _) => "path".to_owned(),
            (_, Some(marker), _) => marker.to_lowercase(),
            (_, None, _) => "parameter".to_owned(),
        };
        let place = Place {
            file,
            span: span(&parameter),
        };
        let note = format!("parameter {name} of handler {}()", function.name());
        let trust = row.trust.unwrap_or(Trust::Http);
        let value = self.entering(trust, &channel, shape, place, note);
        match parameter.annotation() {
            Some(annotation) => self.modelled(file, annotation, value),
            None => value,
        }
    }

    /// `value`, which the framework has made an instance of the class that `annotation` names: its numbers are numbers.
    pub(super) fn modelled(&mut self, file: FileId, annotation: &'a Expr, value: Value) -> Value {
        let class = self.annotated(file, annotation);
        let [Atom::Instance(instance)] = class.atoms() else {
            return value;
        };
        let line = self.lineage(instance.class);
        let classes = line.iter().filter_map(|class| self.classes.get(class));
        let harmless: Vec<Name> = classes.flat_map(|info| info.harmless.clone()).collect();
        if harmless.is_empty() {
            return value;
        }
        let mut model = Container::of(value).with(Role::Namespace);
        for field in harmless {
            model.set(Some(&Const::Str(field.as_str().into())), Value::clean());
        }
        model.into()
    }

    fn parameter_default(&self, function: &Function<'a>, name: &str) -> Option<Value> {
        function.defaults.get(name).cloned()
    }

    /// What a dependency such as `Depends(get_cart)` gives: what the function returns that the framework calls.
    fn dependency(
        &mut self,
        file: FileId,
        parameter: ast::AnyParameterRef<'a>,
        default: Option<&'a ast::ExprCall>,
    ) -> Value {
        let in_annotation = parameter.annotation().and_then(dependency_call);
        let Some(call) = default.or(in_annotation) else {
            return Value::clean();
        };
        let target = call.arguments.args.first();
        let target = target.or_else(|| call.arguments.find_keyword("dependency").map(|k| &k.value));
        let Some(Expr::Name(name)) = target else {
            return Value::clean();
        };
        let value = self.global(file, &name.id).unwrap_or_default();
        let mut out = Value::unknown();
        for atom in value.atoms() {
            let Atom::Function(id, _) = atom else {
                continue;
            };
            let Some(function) = self.function(*id) else {
                continue;
            };
            let known = self
                .handlers
                .iter()
                .find(|h| h.def == function.def)
                .cloned();
            let row = self.dependency_row();
            let handler = known.or_else(|| Some(Handler::new(row?, function.def)));
            let Some(handler) = handler else {
                continue;
            };
            let given = self.handler_arguments(&handler);
            let place = Place {
                file,
                span: span(&parameter),
            };
            let (got, _) = self.call(*id, None, &given, place, &mut Env::default());
            // A dependency that yields gives what it yields.
            let is_generator = matches!(function.code, Code::Def(_));
            for atom in got.atoms() {
                match atom {
                    Atom::Container(container)
                        if is_generator && container.role == super::value::Role::Iterator =>
                    {
                        out = out.join(&container.any());
                    }
                    atom => out.add(atom.clone()),
                }
            }
        }
        match out.is_empty() {
            true => Value::clean(),
            false => out,
        }
    }

    fn dependency_row(&self) -> Option<(FrameworkId, usize)> {
        self.model.registered("fastapi.Depends").first().copied()
    }

    /// A member of an object of the modelled type `ty`.
    pub(super) fn object_member(&mut self, ty: &str, name: &str, place: Place) -> Value {
        let Some(object) = self.model.object(ty) else {
            return Value::unknown();
        };
        match object.members.get(name) {
            Some(Member::Data(data)) => {
                let note = self.snippet(place);
                let taint = super::taint::Taint::enter(
                    object.trust,
                    &data.channel,
                    data.shape,
                    place,
                    note,
                );
                let home = self.model.object_home(ty);
                let queue = home.and_then(|home| self.some_queue(home, None));
                Atom::Untrusted(super::taint::Taint {
                    queue: queue.filter(|_| data.channel == QUEUE),
                    known_as: Some(format!("{}.{name}", object.name).into()),
                    on_missing: data.on_missing.as_deref().map(Rc::from),
                    ..taint
                })
                .into()
            }
            Some(Member::Is(ty)) => Value::object(ty),
            None => Value::external(&format!("{}.{name}", object.name)),
        }
    }
}

/// The call in `Annotated[Cart, Depends(get_cart)]`.
fn dependency_call(annotation: &Expr) -> Option<&ast::ExprCall> {
    match annotation {
        Expr::Subscript(node) => match &*node.slice {
            Expr::Tuple(tuple) => tuple.elts.iter().find_map(Expr::as_call_expr),
            _ => None,
        },
        _ => None,
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
        // `<int:n>`, and Bottle's `<n:int>`.
        if variable == name || converter == name {
            let harmless = |word: &str| matches!(word, "int" | "float" | "uuid" | "any");
            return !harmless(converter) && !harmless(variable);
        }
        rest = after;
    }
    false
}
