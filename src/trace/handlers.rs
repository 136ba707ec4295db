//! Which functions a framework calls, and with what.

use std::rc::Rc;

use super::env::Env;
use super::functions::{Code, Function};
use super::machine::Machine;
use super::queues::QUEUE;
use super::taint::Place;
use super::value::{Arguments, Atom, Const, Container, Def, FunctionId, Instance, Role, Value};
use crate::pack::{self, Argument, FrameworkId, Member, Parameters, Shape, Trust};
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};
use crate::python::{SourceFile, dotted, span};

const VERBS: [&str; 8] = [
    "get", "post", "put", "patch", "delete", "head", "options", "trace",
];

/// A function that a framework calls with a client's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// Which framework.
    pub framework: FrameworkId,
    /// Which of its `[[handler]]` rows.
    row: usize,
    /// The function.
    pub def: Def,
    /// The function the framework calls, where decorators have wrapped it.
    wrapper: Option<FunctionId>,
    /// The class whose method it is.
    class: Option<Def>,
    /// Its route, where it is a literal.
    pub route: Option<String>,
    /// HTTP methods it answers, where they are known, in capitals.
    pub verbs: Vec<String>,
    /// The decorator that lets only known users through.
    pub auth: Option<String>,
    /// Known by its signature alone: not a handler if the project itself calls it.
    by_signature: bool,
}

impl Handler {
    fn new((framework, row): (FrameworkId, usize), def: Def) -> Handler {
        Handler {
            framework,
            row,
            def,
            wrapper: None,
            class: None,
            route: None,
            verbs: Vec::new(),
            auth: None,
            by_signature: false,
        }
    }

    /// Its `[[handler]]` row.
    pub fn described<'m>(&self, model: &'m pack::Model) -> Option<&'m pack::Handler> {
        model.handler(self.framework, self.row)
    }

    /// Whether this is only a guess from the signature.
    pub(super) fn is_guess(&self) -> bool {
        self.by_signature
    }

    /// An instance of the class whose method it is.
    pub(super) fn instance(&self) -> Option<Instance> {
        self.class.map(|class| Instance { class, made: None })
    }

    /// What decorators have made of it.
    pub(super) fn wrapper(&self) -> Option<FunctionId> {
        self.wrapper
    }

    /// The same, where what a decorator made of it is what counts.
    pub(super) fn wrapped(&self, def: Def) -> Handler {
        Handler {
            def,
            wrapper: None,
            ..self.clone()
        }
    }
}

/// What decorators say of the function below them.
#[derive(Debug, Clone, Default)]
pub(super) struct Decorated {
    handlers: Vec<Handler>,
    auth: Option<String>,
}

/// The HTTP method that a method called `name` answers.
fn verb(name: &str) -> Option<String> {
    let verb = name.strip_prefix("do_").unwrap_or(name);
    let verb = verb.strip_prefix("on_").unwrap_or(verb).to_lowercase();
    VERBS.contains(&verb.as_str()).then(|| verb.to_uppercase())
}

impl<'a> Machine<'a> {
    fn handler_row(&self, handler: &Handler) -> Option<&'a pack::Handler> {
        handler.described(self.model)
    }

    fn add_handler(&mut self, handler: Handler) {
        self.all_handlers.insert(handler.def, handler.clone());
        match self.known_handlers.get(&handler.def).copied() {
            None => {
                self.known_handlers
                    .insert(handler.def, handler.by_signature);
                self.handlers.push_back(handler);
            }
            // What is registered is certain, whatever was guessed before.
            Some(true) if !handler.by_signature => {
                self.known_handlers.insert(handler.def, false);
                let guessed = self.handlers.iter_mut().find(|h| h.def == handler.def);
                match guessed {
                    Some(guess) => *guess = handler,
                    None => self.handlers.push_back(handler),
                }
            }
            Some(_) => {}
        }
    }

    /// Sees whether `decorator` makes `def` a handler, or lets only known users through.
    pub(super) fn decorator(
        &mut self,
        decorator: &'a ast::Decorator,
        callee: &Value,
        def: Def,
        decorated: &mut Decorated,
    ) {
        let (target, arguments) = match &decorator.expression {
            Expr::Call(call) => (&*call.func, Some(&call.arguments)),
            expr => (expr, None),
        };
        let model = self.model;
        let names: Vec<Rc<str>> = callee
            .atoms()
            .iter()
            .filter_map(|atom| match atom {
                Atom::External(name) => Some(Rc::clone(name)),
                _ => None,
            })
            .collect();
        let last = match target {
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            Expr::Name(name) => name.id.as_str(),
            _ => "",
        };
        if names.iter().any(|name| model.authenticates(name))
            || (names.is_empty() && (last.ends_with("login_required") || last == "requires_auth"))
        {
            decorated.auth = Some(last.to_owned());
        }
        let mut rows: Vec<(FrameworkId, usize)> = names
            .iter()
            .flat_map(|name| model.decorated(name))
            .copied()
            .collect();
        let of_unknown = matches!(target, Expr::Attribute(_))
            && callee
                .atoms()
                .iter()
                .all(|a| matches!(a, Atom::External(_)));
        if rows.is_empty() && of_unknown {
            let uses = self.uses(self.file());
            let open = model.decorated_open(last).iter();
            rows.extend(open.filter(|(framework, _)| uses.contains(framework)));
        }
        let Some(row) = rows.first() else {
            return;
        };
        let text = |expr: &Expr| {
            let literal = expr.as_string_literal_expr()?;
            Some(literal.value.to_str().to_owned())
        };
        let route = arguments.and_then(|a| {
            let keyword = |name: &str| a.find_keyword(name).map(|k| &k.value);
            let first = a.args.first();
            first
                .or_else(|| keyword("path"))
                .or_else(|| keyword("rule"))
                .or_else(|| keyword("route"))
                .and_then(text)
        });
        let mut verbs: Vec<String> = arguments
            .and_then(|a| a.find_keyword("methods"))
            .map(|keyword| match &keyword.value {
                Expr::List(node) => node.elts.iter().filter_map(text).collect(),
                Expr::Tuple(node) => node.elts.iter().filter_map(text).collect(),
                Expr::Set(node) => node.elts.iter().filter_map(text).collect(),
                _ => Vec::new(),
            })
            .unwrap_or_default();
        if verbs.is_empty() && VERBS.contains(&last) {
            verbs.push(last.to_owned());
        }
        decorated.handlers.push(Handler {
            route,
            verbs: verbs.iter().map(|v| v.to_uppercase()).collect(),
            ..Handler::new(*row, def)
        });
    }

    /// Registers what the decorators of `def` said, all together.
    pub(super) fn decorated(
        &mut self,
        decorated: Decorated,
        class: Option<Def>,
        wrapper: Option<FunctionId>,
    ) {
        for handler in decorated.handlers {
            self.add_handler(Handler {
                class,
                wrapper,
                auth: decorated.auth.clone(),
                ..handler
            });
        }
    }

    /// Sees whether the function `node` looks like a handler by its parameters.
    pub(super) fn handler_by_signature(
        &mut self,
        node: &'a ast::StmtFunctionDef,
        def: Def,
        class: Option<Def>,
    ) {
        if self.frames.last().is_some_and(|frame| frame.def.is_some()) {
            return;
        }
        let skip = usize::from(class.is_some());
        let parameters = node.parameters.iter_non_variadic_params().skip(skip);
        let names: Vec<&str> = parameters.map(|p| p.name().as_str()).collect();
        let model = self.model;
        let by_first = names
            .first()
            .map_or(&[][..], |first| model.first_named(first));
        let by_all = model.signatures().iter().filter(|(framework, row)| {
            let row = model.handler(*framework, *row);
            row.is_some_and(|row| {
                match (class, row.methods.as_slice()) {
                    (None, []) => row.signature == names,
                    (Some(_), []) => node.name == *"__call__" && row.signature == names,
                    // Methods so called, of any class.
                    (Some(_), methods) => {
                        is_one(methods, &node.name)
                            && names.len() >= row.signature.len()
                            && row.signature.iter().zip(&names).all(|(a, b)| a == b)
                    }
                    (None, _) => false,
                }
            })
        });
        let rows: Vec<(FrameworkId, usize)> = by_first.iter().chain(by_all).copied().collect();
        if rows.is_empty() {
            return;
        }
        let uses = self.uses(self.file());
        for row in rows
            .into_iter()
            .filter(|(framework, _)| uses.contains(framework))
        {
            self.add_handler(Handler {
                class,
                by_signature: true,
                verbs: class.and_then(|_| verb(&node.name)).into_iter().collect(),
                ..Handler::new(row, def)
            });
        }
    }

    /// Sees which methods of `class` are handlers.
    pub(super) fn handlers_by_base(&mut self, class: Def, name: &str) {
        let model = self.model;
        let bases = self.outside_bases(class);
        let mut rows: Vec<(FrameworkId, usize)> = bases
            .iter()
            .flat_map(|base| model.based(base))
            .copied()
            .collect();
        let lasts = bases
            .iter()
            .map(|b| b.rsplit('.').next().unwrap_or(b).to_owned());
        let project = self.project;
        let own = self.lineage(class).into_iter().skip(1).map(|def| {
            let source = project.source(def.file);
            let text = source.slice(crate::text::Span::new(def.start, def.start + 200));
            let name = text.split("class ").nth(1).unwrap_or("");
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            name.split(end).next().unwrap_or("").to_owned()
        });
        let _ = name;
        for last in lasts.chain(own).collect::<Vec<_>>() {
            rows.extend(model.based_ending(&last));
        }
        rows.sort();
        rows.dedup();
        for (framework, n) in rows {
            let Some(row) = model.handler(framework, n) else {
                continue;
            };
            for table in self.attribute_tables(class) {
                let mut names: Vec<&Name> = table
                    .keys()
                    .filter(|name| is_one(&row.methods, name))
                    .collect();
                names.sort();
                for name in names {
                    for atom in table.get(name).iter().flat_map(|v| v.atoms()) {
                        let Atom::Function(id, _) = atom else {
                            continue;
                        };
                        let Some(function) = self.function(*id) else {
                            continue;
                        };
                        self.add_handler(Handler {
                            class: Some(class),
                            verbs: verb(name).into_iter().collect(),
                            ..Handler::new((framework, n), function.def)
                        });
                    }
                }
            }
        }
    }

    /// Sees whether calling `name` registers one of `arguments` as a handler.
    pub(super) fn register(&mut self, name: &str, arguments: &Arguments) -> bool {
        let rows = self.model.registered(name);
        let is = |call: &str| call == name;
        let registered = self.register_rows(rows, &is, arguments);
        match name.rsplit_once('.') {
            Some((_, last)) if rows.is_empty() => self.register_open(last, arguments),
            _ => registered,
        }
    }

    /// The same for a method `last` of a receiver that nothing is known of.
    pub(super) fn register_open(&mut self, last: &str, arguments: &Arguments) -> bool {
        let model = self.model;
        let open = model.registered_open(last);
        if open.is_empty() {
            return false;
        }
        let uses = self.uses(self.file());
        let rows: Vec<_> = open
            .iter()
            .filter(|(f, _)| uses.contains(f))
            .copied()
            .collect();
        let is = |call: &str| call.strip_prefix("*.") == Some(last);
        self.register_rows(&rows, &is, arguments)
    }

    fn register_rows(
        &mut self,
        rows: &[(FrameworkId, usize)],
        is: &dyn Fn(&str) -> bool,
        arguments: &Arguments,
    ) -> bool {
        let model = self.model;
        let mut registered = false;
        for (framework, n) in rows {
            let Some(row) = model.handler(*framework, *n) else {
                continue;
            };
            for registration in row.registered.iter().filter(|r| is(&r.call)) {
                let given = arguments.get(registration.argument, &registration.keyword);
                let route = arguments.positional.first().and_then(Value::text);
                for atom in given.iter().flat_map(|value| value.atoms()) {
                    if let Atom::Function(id, bound) = atom
                        && let Some(function) = self.function(*id)
                    {
                        registered = true;
                        let call = &registration.call;
                        self.handles_queue(*framework, call, function.def, arguments);
                        self.add_handler(Handler {
                            class: bound.map(|b| b.class),
                            route: route.as_deref().map(str::to_owned),
                            ..Handler::new((*framework, *n), function.def)
                        });
                    }
                }
            }
        }
        registered
    }

    /// The attribute `name` that a framework sets on instances of `class`.
    pub(super) fn handler_field(&self, class: Def, name: &str) -> Option<Value> {
        let model = self.model;
        let bases = self.outside_bases(class);
        let mut rows = bases.iter().flat_map(|base| model.based(base));
        rows.find_map(|(framework, n)| {
            let ty = model.handler(*framework, *n)?.fields.get(name)?;
            Some(Value::object(ty))
        })
    }

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
    fn modelled(&mut self, file: FileId, annotation: &'a Expr, value: Value) -> Value {
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

/// Whether `name` is one of `patterns`, of which `on_*` means all that start so.
fn is_one(patterns: &[String], name: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some("") => !name.starts_with("__"),
            Some(start) => name.starts_with(start),
            None => pattern == name,
        })
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
