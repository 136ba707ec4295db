//! What a call leaves behind: in what it was given, and in what it is kept in.

use super::at::At;

use super::env::Env;
use super::machine::{Machine, Owner};
use super::value::{Atom, Value};
use crate::python::ast::Expr;
use crate::python::ast::name::Name;

impl<'a> Machine<'a> {
    /// Arguments whose objects the callee changed hold that now.
    pub(super) fn give_back(&mut self, changed: &[(usize, Value)], at: At<'a>, env: &mut Env) {
        self.forget_passed(at, env);
        let Some(call) = at.call.filter(|_| !at.handed) else {
            return;
        };
        for (n, value) in changed {
            if let Some(argument) = call.arguments.args.get(*n) {
                self.store_into(argument, value.clone(), env);
            }
        }
    }

    /// Fields of objects that are passed on may change.
    pub(super) fn forget_passed(&self, at: At<'a>, env: &mut Env) {
        let Some(call) = at.call else {
            return;
        };
        let keywords = call.arguments.keywords.iter().map(|k| &k.value);
        let receiver = match &*call.func {
            Expr::Attribute(attribute) => Some(&*attribute.value),
            _ => None,
        };
        let passed = call.arguments.args.iter().chain(keywords).chain(receiver);
        for expr in passed {
            if let Expr::Name(name) = expr {
                env.forget(&name.id);
            }
        }
    }

    /// Puts `value` where `target` reads from: a variable, a field, an element.
    pub(super) fn store_into(&mut self, target: &'a Expr, value: Value, env: &mut Env) {
        match target {
            Expr::Name(name) => self.store_name(&name.id, value, env),
            Expr::Attribute(attribute) => {
                let owner = self.value(&attribute.value, env);
                for atom in owner.atoms() {
                    if let Atom::Instance(instance) = atom {
                        self.change_in_class(*instance, &attribute.attr, &value);
                    }
                }
                self.assign(target, value, env);
            }
            // `memoryview(buffer)`: the buffer.
            Expr::Call(call)
                if call
                    .func
                    .as_name_expr()
                    .is_some_and(|n| n.id == "memoryview") =>
            {
                if let Some(buffer) = call.arguments.args.first() {
                    let mut buffers = self.value(buffer, env);
                    let taints = value.taints().into_iter().cloned().map(Atom::Untrusted);
                    buffers = buffers.join(&taints.collect());
                    self.store_into(buffer, buffers, env);
                }
            }
            Expr::Subscript(node) => {
                let key = self.value(&node.slice, env);
                let owner = self.value(&node.value, env);
                let mut after = Value::unknown();
                let mut changed = false;
                for atom in owner.atoms() {
                    after.add(match atom {
                        Atom::Container(container) => {
                            let mut container = (**container).clone();
                            container.put(&key, value.clone());
                            changed = true;
                            Atom::container(container)
                        }
                        other => other.clone(),
                    });
                }
                if changed {
                    self.store_into(&node.value, after, env);
                }
            }
            _ => {}
        }
    }

    /// An object that `name` refers to has changed in place: a local one, or one of the functions or the module around.
    fn store_name(&mut self, name: &Name, value: Value, env: &mut Env) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        if env.get(name).is_some() {
            frame.changed.push(name.clone());
            let is_module = frame.is_module() || frame.globals.contains(name);
            env.change(name, &value);
            if is_module {
                let twins = env.twins(name);
                self.bind(name, value, env);
                twins.iter().for_each(|twin| env.twin(name, twin));
            }
            return;
        }
        if let Some(outer) = frame.outer.clone()
            && outer.get(name).is_some()
        {
            outer.assign(name, &value);
            return;
        }
        let file = frame.file;
        let home = self.modules.get(&file).and_then(|vars| {
            let vars = vars.borrow();
            vars.get(name)?.atoms().iter().find_map(|atom| match atom {
                Atom::Imported(home, name) => Some((*home, name.clone())),
                _ => None,
            })
        });
        let (file, name) = home.unwrap_or((file, name.clone()));
        self.set_field(Owner::Module(file), &name, &value);
    }
}
