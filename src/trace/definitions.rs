//! Definitions of functions, and what decorators make of them.

use super::at::At;
use super::env::{Env, Vars};
use super::functions::{Binding, Code, Function};
use super::handlers::Decorated;
use super::machine::Machine;
use super::value::{Arguments, Atom, Def, Value};
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};
use crate::python::span;

impl<'a> Machine<'a> {
    /// Values of default arguments, evaluated where the function is defined.
    pub(super) fn defaults(&mut self, parameters: &'a ast::Parameters, env: &mut Env) -> Vars {
        let mut defaults = Vars::default();
        for parameter in parameters.iter_non_variadic_params() {
            if let Some(default) = parameter.default() {
                let value = self.value(default, env);
                defaults.insert(parameter.name().id.clone(), value);
            }
        }
        defaults
    }

    pub(super) fn define_function(&mut self, node: &'a ast::StmtFunctionDef, env: &mut Env) {
        let def = Def {
            file: self.file(),
            start: span(node).start,
        };
        let defaults = self.defaults(&node.parameters, env);
        let class = match self.frames.last() {
            Some(frame) if frame.def.is_none() => frame.class,
            _ => None,
        };
        let scope = self.scope_for_inner(env);
        let callees: Vec<Value> = node
            .decorator_list
            .iter()
            .map(|decorator| match &decorator.expression {
                Expr::Call(call) => self.read(&call.func, env),
                expr => self.read(expr, env),
            })
            .collect();
        let named = |last: &str| {
            callees.iter().any(|callee| {
                callee.atoms().iter().any(|atom| match atom {
                    Atom::External(name) => name.rsplit('.').next() == Some(last),
                    _ => false,
                })
            })
        };
        let binding = match () {
            () if named("staticmethod") => Binding::Static,
            () if named("classmethod") || node.name == *"__init_subclass__" => Binding::Class,
            () if named("property") || named("cached_property") => Binding::Property,
            () if node.name == *"__new__" => Binding::Class,
            () => Binding::Method,
        };
        let function = Function {
            def,
            code: Code::Def(node),
            class,
            scope,
            defaults,
            binding: if class.is_some() {
                binding
            } else {
                Binding::Static
            },
            context_manager: named("contextmanager") || named("asynccontextmanager"),
        };
        let id = self.function_id(function);
        let own: Value = Atom::Function(id, None).into();
        let mut value = own.clone();
        let mut decorated = Decorated::default();
        let mut name = node.name.id.clone();
        for (decorator, callee) in node.decorator_list.iter().zip(&callees).rev() {
            self.decorator(decorator, callee, def, &mut decorated);
            if let Expr::Attribute(attribute) = &decorator.expression
                && matches!(attribute.attr.as_str(), "setter" | "deleter")
            {
                name = Name::new(format!("{}.{}", node.name, attribute.attr));
                if let Some(known) = self.functions.get(id.0 as usize) {
                    // A setter is called with what is assigned.
                    let method = Function {
                        def,
                        code: known.code,
                        class: known.class,
                        scope: known.scope.clone(),
                        defaults: known.defaults.clone(),
                        binding: Binding::Method,
                        context_manager: false,
                    };
                    self.function_id(method);
                }
                continue;
            }
            value = self.decorate(decorator, callee, value, env);
        }
        let wrapper = value.atoms().iter().find_map(|atom| match atom {
            Atom::Function(wrapper, None) if *wrapper != id => Some(*wrapper),
            _ => None,
        });
        self.decorated(decorated, class, wrapper);
        self.handler_by_signature(node, def, class);
        self.bind(&name, value, env);
    }

    /// What a decorator of the project makes of `value`; others keep it.
    pub(super) fn decorate(
        &mut self,
        decorator: &'a ast::Decorator,
        callee: &Value,
        value: Value,
        env: &mut Env,
    ) -> Value {
        let is_own = |value: &Value| {
            value
                .atoms()
                .iter()
                .any(|a| matches!(a, Atom::Function(..) | Atom::Class(_) | Atom::Instance(_)))
        };
        if !is_own(callee) {
            if let Expr::Call(_) = &decorator.expression {
                self.value(&decorator.expression, env);
            }
            return value;
        }
        let function = match &decorator.expression {
            Expr::Call(_) => self.value(&decorator.expression, env),
            _ => callee.clone(),
        };
        if !is_own(&function) {
            return value;
        }
        let at = At::place(self.place(decorator));
        let given = Arguments::one(value.clone());
        let made = self.apply(&function, &given, at, env);
        if made.atoms().iter().all(|a| matches!(a, Atom::External(_)))
            && self.truth(&made) == Some(true)
        {
            // A function of a library takes its place.
            return made;
        }
        let callable = made.filter(|a| {
            matches!(
                a,
                Atom::Function(..) | Atom::Instance(_) | Atom::Partial(_) | Atom::Class(_)
            )
        });
        match callable.is_empty() {
            true => value,
            false => callable,
        }
    }
}
