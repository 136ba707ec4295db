//! Attributes: of objects, classes, modules, and of untrusted data.

use std::rc::Rc;

use super::at::At;
use super::env::Env;
use super::expressions::LITERAL_KEY;
use super::known::{REFUSED, key_sham};
use super::machine::{Machine, Owner};
use super::queues::made_for;
use super::taint::Taint;
use super::uses::Doing;
use super::value::{Arguments, Atom, Const, Container, Role, Value};
use crate::pack::Shape;
use crate::project::FileId;
use crate::python::ast;
use crate::python::ast::name::Name;

impl<'a> Machine<'a> {
    /// The attribute `name` of each thing that `owner` can be.
    pub(super) fn attribute(
        &mut self,
        owner: &Value,
        name: &str,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        self.note_use(owner, at.place, || Doing::Attribute(name.to_owned()));
        self.attribute_of(owner, name, at, env)
    }

    /// The same, where it is not known that `owner` itself is asked.
    fn attribute_of(&mut self, owner: &Value, name: &str, at: At<'a>, env: &mut Env) -> Value {
        let mut out = Value::unknown();
        for atom in owner.atoms() {
            let found = match atom {
                Atom::Untrusted(taint) => self.untrusted_member(taint, name, at),
                Atom::Object(ty) => self.field_of_outside(ty, name, at),
                Atom::External(base) => self.external_attribute(base, name),
                Atom::Made(made) => self.made_attribute(&made.clone(), name, at),
                Atom::Module(file) => self.module_attribute(*file, name),
                Atom::Class(class) => {
                    self.rows_of(*class, at.place);
                    self.class_member(*class, name, at)
                }
                Atom::Instance(instance) => self.instance_attribute(*instance, name, at, env),
                Atom::Super(home, instance) => self.super_member(*home, *instance, name, at, env),
                // A model of which some fields are known to be harmless.
                Atom::Container(container)
                    if container.role == Role::Namespace
                        && !container.items.contains_key(&Const::Str(name.into())) =>
                {
                    self.attribute_of(&container.rest.clone(), name, at, env)
                }
                // A field of a named tuple.
                Atom::Container(container) => container.at(Some(&Const::Str(name.into()))),
                Atom::Verified | Atom::Pickled(..) => atom.clone().into(),
                _ => Value::unknown(),
            };
            out = out.join(&found);
        }
        if owner.is_empty()
            && let Some(value) = self.open_source_value(name, at)
        {
            return value;
        }
        out
    }

    /// The same, for a call: what an open source says holds of methods too.
    pub(super) fn attribute_called(
        &mut self,
        owner: &Value,
        name: &str,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        self.attribute(owner, name, at, env)
    }

    pub(super) fn instance_attribute(
        &mut self,
        instance: super::value::Instance,
        name: &str,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let found = self.member(instance, name, at, env);
        let is_method = |atom: &Atom| matches!(atom, Atom::Function(..));
        if found.is_empty() || !found.atoms().iter().all(is_method) {
            // Some function may write it that has not run.
            self.reads_state();
        }
        if found.is_empty() {
            let custom = self.member(instance, "__getattr__", at, env);
            if !custom.is_empty() {
                let given = Arguments::one(Value::str(name));
                let none = Value::unknown();
                return self
                    .call_value(&custom, &none, &given, At::place(at.place), env)
                    .unwrap_or_default();
            }
        }
        match self.column_value(instance, name, at.place) {
            Some(column) => found.join(&column),
            None => found,
        }
    }

    /// A member of untrusted data.
    pub(super) fn untrusted_member(&mut self, taint: &Taint, name: &str, at: At<'a>) -> Value {
        if name == "name"
            && *taint.channel == *super::stores::LOCAL_FILE
            && let Some(key) = &taint.key
        {
            return Value::str(key);
        }
        if self.model.stops_attribute(name) {
            return Value::clean();
        }
        if let Some((_, source)) = self.open_source(name)
            && source.trust.is_some_and(|trust| trust < taint.trust)
        {
            return self.open_source_value(name, at).unwrap_or_default();
        }
        // `upload.file`, `upload.stream` are streams as the upload is; all else is known only when called.
        let wider = taint.widen(at.place, || self.snippet(at.place), taint.shape);
        let mut part = wider.unwrap_or_else(|| taint.clone());
        // What is known of the member is not known of the whole.
        part.part = format!("{}.{name}", part.part).into();
        Atom::Untrusted(part).into()
    }

    pub(super) fn field_of_outside(&mut self, ty: &Rc<str>, name: &str, at: At<'a>) -> Value {
        let stored = self.field(&Owner::External(Rc::clone(ty)), name);
        self.object_member(ty, name, at.place)
            .join(&stored.unwrap_or_default())
    }

    pub(super) fn external_attribute(&mut self, base: &Rc<str>, name: &str) -> Value {
        let stored = self.field(&Owner::External(Rc::clone(base)), name);
        let full = format!("{base}.{name}");
        let value = match self.project.module(self.file(), &full) {
            Some(file) => Atom::Module(file).into(),
            None => Value::external(&full),
        };
        stored.unwrap_or_default().join(&value)
    }

    pub(super) fn made_attribute(
        &mut self,
        made: &super::value::Made,
        name: &str,
        at: At<'a>,
    ) -> Value {
        if *made.name == *REFUSED {
            let given = made.arguments.any();
            return self.stepped(&given, None, Shape::Any, false, at.place);
        }
        let full = format!("{}.{name}", made.name);
        if self.model.verifies(&full) {
            let key = ["key", "secret_key"]
                .iter()
                .find_map(|n| made.arguments.named(n));
            let key = key.or(made.arguments.positional.first());
            let sham = key.and_then(key_sham);
            return match sham.is_some() {
                true => Value::external(&format!("{full}{LITERAL_KEY}")),
                false => Value::external(&full),
            };
        }
        if self.model.object(&made.name).is_some() {
            let mut value = self.field_of_outside(&made.name, name, at);
            if let Some(queue) = made_for(made) {
                value = self.coming_by(value, &queue);
            }
            let is_file = |taint: &&Taint| *taint.channel == *super::stores::LOCAL_FILE;
            if value.taints().iter().any(is_file)
                && let Some(path) = made.arguments.first()
            {
                let shape = value.taints().first().map_or(Shape::Any, |t| t.shape);
                return self.opened(path, shape, at);
            }
            return value;
        }
        if name == "args" && made.name.starts_with("builtins.") {
            return Container::sequence(made.arguments.positional.iter().cloned()).into();
        }
        self.external_attribute(&made.name, name)
    }

    /// Names of functions and classes of `file` that may lead to loads.
    pub(super) fn leading_names(&mut self, file: FileId) -> Vec<Name> {
        let body = self.project.body(file).iter();
        let names = body.filter_map(|stmt| match stmt {
            ast::Stmt::FunctionDef(node) => Some(node.name.id.clone()),
            ast::Stmt::ClassDef(node) => Some(node.name.id.clone()),
            _ => None,
        });
        names.take(64).collect()
    }
}
