//! What the parameters of functions hold: what is given for them, their defaults, their annotations.

use super::functions::{Binding, Function};

use super::env::Env;
use super::machine::{Machine, Owner};
use super::taint::{HopKind, Place};
use super::value::{Arguments, Atom, Const, Container, FunctionId, Instance, Kind, Value};
use crate::pack::{Shape, Trust};
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};
use crate::python::span;

impl<'a> Machine<'a> {
    pub(super) fn bind_parameters(
        &mut self,
        function: &Function<'a>,
        instance: Option<Instance>,
        arguments: &Arguments,
        env: &mut Env,
    ) {
        let Some(parameters) = function.parameters() else {
            return;
        };
        let mut positional = arguments.positional.iter();
        let ordered = parameters.posonlyargs.iter().chain(&parameters.args);
        for (n, parameter) in ordered.enumerate() {
            let name = &parameter.name().id;
            if let (0, Some(instance)) = (n, instance) {
                let own = match function.binding {
                    Binding::Class => Atom::Class(instance.class),
                    _ => Atom::Instance(instance),
                };
                env.set(name.clone(), own.into());
                continue;
            }
            let given = positional.next().cloned();
            let value = self.parameter(function, parameter, given, arguments);
            env.set(name.clone(), value);
        }
        for parameter in &parameters.kwonlyargs {
            let value = self.parameter(function, parameter, None, arguments);
            env.set(parameter.name().id.clone(), value);
        }
        if let Some(star) = &parameters.vararg {
            let rest: Vec<Value> = positional.cloned().collect();
            let value = match arguments.spread.is_empty() {
                true => Container::sequence(rest).into(),
                false => {
                    let mut any = Container::some(arguments.spread.clone());
                    rest.iter().for_each(|value| any.blur(value));
                    any.into()
                }
            };
            env.set(star.name.id.clone(), value);
        }
        if let Some(star) = &parameters.kwarg {
            let is_taken = |name: &Name| {
                let mut parameters = parameters.iter_non_variadic_params();
                parameters.any(|p| p.name().id == *name)
            };
            let mut container = Container {
                kind: Kind::Mapping,
                ..Container::of(arguments.spread.clone())
            };
            for (name, value) in arguments.named.iter().filter(|(name, _)| !is_taken(name)) {
                let key = Const::Str(name.as_str().into());
                container.items.insert(key, value.clone());
            }
            env.set(star.name.id.clone(), container.into());
        }
    }

    /// One parameter: what was given, else its default, else what `*args` or `**kwargs` may hold; an instance of the
    /// class it is annotated with when nothing is known.
    pub(super) fn parameter(
        &mut self,
        function: &Function<'a>,
        parameter: &'a ast::ParameterWithDefault,
        given: Option<Value>,
        arguments: &Arguments,
    ) -> Value {
        let name = &parameter.name().id;
        let given = given.or_else(|| arguments.named(name).cloned());
        let value = match (given, function.defaults.get(name)) {
            (Some(value), _) => value,
            (None, Some(default)) => {
                let is_container = |atom: &Atom| matches!(atom, Atom::Container(_));
                let kept = match default.atoms().iter().any(is_container) {
                    true => {
                        let key = format!("{name} of {:?}", function.def);
                        self.field(&Owner::Store("default".into()), &key)
                    }
                    false => None,
                };
                let default = default.clone().join(&arguments.spread);
                default.join(&kept.unwrap_or_default())
            }
            (None, None) => arguments.spread.clone(),
        };
        match (&parameter.parameter.annotation, value.is_empty()) {
            (Some(annotation), true) => self.annotated(function.def.file, annotation),
            (Some(annotation), false) => {
                let at = Place {
                    file: function.def.file,
                    span: span(&**annotation),
                };
                self.note_annotated(&value, annotation, at);
                value
            }
            _ => value,
        }
    }

    /// An instance of the project's class, or of the modelled type, that `annotation` names.
    pub fn annotated(&mut self, file: FileId, annotation: &'a Expr) -> Value {
        let mut names = Vec::new();
        class_names(annotation, &mut names);
        let mut out = Value::unknown();
        for parts in names {
            let Some((head, rest)) = parts.split_first() else {
                continue;
            };
            let mut value = self
                .global(file, head)
                .unwrap_or_else(|| self.unbound(file, head));
            for part in rest {
                let mut next = Value::unknown();
                for atom in value.atoms() {
                    next = next.join(&match atom {
                        Atom::Module(home) => self.module_attribute(*home, part),
                        Atom::External(base) => Value::external(&format!("{base}.{part}")),
                        _ => Value::unknown(),
                    });
                }
                value = next;
            }
            for atom in value.atoms() {
                match atom {
                    Atom::Class(class) => out.add(Atom::Instance(Instance::any(*class))),
                    Atom::External(name) => {
                        if let Some(object) = self.model.object(name) {
                            out.add(Atom::Object(object.name.as_str().into()));
                        }
                    }
                    _ => {}
                }
            }
        }
        out
    }

    /// `arguments` as they arrive in `function`: their way has one more station.
    pub(super) fn passed(
        &self,
        function: &Function<'a>,
        arguments: &Arguments,
        at: Place,
    ) -> Arguments {
        if !arguments.all().any(Value::is_untrusted) {
            return arguments.clone();
        }
        let note = format!("passed to {}()", function.name());
        arguments.map(|value| self.moved(value, HopKind::Call, at, &note))
    }

    /// What a call that is not followed may return: anything its arguments carry.
    pub fn opaque(&self, arguments: &Arguments) -> Value {
        arguments
            .all()
            .flat_map(|value| value.taints())
            .map(|taint| Atom::Untrusted(taint.clone()))
            .collect()
    }

    /// What a function that nobody calls may be given.
    pub fn outside_arguments(&mut self, id: FunctionId) -> Arguments {
        let Some(function) = self.function(id) else {
            return Arguments::default();
        };
        let skip = usize::from(function.takes_self());
        let file = function.def.file;
        let mut arguments = Arguments::default();
        let parameters = function.parameters().into_iter().flat_map(|p| p.iter());
        for parameter in parameters.skip(skip) {
            let name = parameter.name();
            let typed = match parameter.annotation() {
                Some(annotation) => self.annotated(file, annotation),
                None => Value::unknown(),
            };
            let value = match typed.is_empty() {
                false => typed,
                true => {
                    let place = Place {
                        file,
                        span: span(&parameter),
                    };
                    let note = format!(
                        "parameter {name} of {}(), which nothing in the project calls",
                        function.name()
                    );
                    self.entering(Trust::Unknown, "parameter", Shape::Any, place, note)
                }
            };
            arguments.named.push((name.id.clone(), value));
        }
        arguments
    }
}

/// Dotted names of classes in an annotation: of `Optional[shop.Cart]` both `Optional` and `shop.Cart`; strings too.
fn class_names(annotation: &Expr, names: &mut Vec<Vec<String>>) {
    match annotation {
        Expr::Name(_) | Expr::Attribute(_) => names.extend(crate::python::dotted(annotation)),
        Expr::Subscript(node) => {
            class_names(&node.value, names);
            class_names(&node.slice, names);
        }
        Expr::Tuple(node) => node.elts.iter().for_each(|part| class_names(part, names)),
        Expr::BinOp(node) => {
            class_names(&node.left, names);
            class_names(&node.right, names);
        }
        Expr::StringLiteral(node) => {
            let text = node.value.to_str();
            let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
            if !text.is_empty() && text.chars().all(is_name) {
                names.push(text.split('.').map(str::to_owned).collect());
            }
        }
        _ => {}
    }
}
