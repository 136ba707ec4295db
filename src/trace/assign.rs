//! Assignments: to names, attributes, elements, and several at once.

use std::rc::Rc;

use super::at::At;
use super::elements::{element_path, kept_by_key};
use super::env::Env;
use super::expressions::dotted_path;
use super::fold;
use super::machine::{Machine, Owner};
use super::value::{Arguments, Atom, Const, Container, Kind, Role, Value};
use crate::python::ast::{self, Expr};

impl<'a> Machine<'a> {
    pub(super) fn augmented(&mut self, node: &'a ast::StmtAugAssign, env: &mut Env) -> Value {
        let before = self.value(&node.target, env);
        let added = self.value(&node.value, env);
        let (one, other) = ((&before, &*node.target), (&added, &*node.value));
        self.note_operands(node.op, one, other, self.place(node));
        if let (Some(a), Some(b)) = (before.constant(), added.constant())
            && let Some(constant) = fold::binary(node.op, a, b)
        {
            return constant.into();
        }
        match (before.atoms(), added.atoms()) {
            ([Atom::Container(buffer)], _) if buffer.is_buffer() => {
                let mut buffer = (**buffer).clone();
                buffer.write(self.flat(&added));
                buffer.into()
            }
            ([Atom::Container(a)], [Atom::Container(b)]) => {
                match (a.kind, a.in_order(), b.in_order()) {
                    (Kind::Mapping, ..) => {
                        let mut merged = (**a).clone();
                        merged.merge(b);
                        merged.into()
                    }
                    (_, Some(mut items), Some(more)) => {
                        items.extend(more);
                        Container::sequence(items).with(a.role).into()
                    }
                    _ => {
                        let mut all = (**a).clone();
                        all.extend(&b.any());
                        all.into()
                    }
                }
            }
            ([Atom::Container(a)], _) if matches!(a.kind, Kind::Sequence(_)) => {
                let mut all = (**a).clone();
                all.extend(&self.iterated(&added, self.place(node)));
                all.into()
            }
            _ => self.combined(&[before, added]),
        }
    }

    pub(super) fn delete(&mut self, target: &'a Expr, env: &mut Env) {
        match target {
            Expr::Name(name) => env.remove(name.id.as_str()),
            Expr::Subscript(node) => {
                let owner = self.value(&node.value, env);
                let key = self.value(&node.slice, env);
                let [Atom::Container(container)] = owner.atoms() else {
                    return;
                };
                let mut container = (**container).clone();
                let Some(key) = key.constant() else {
                    // Which of them is gone is not known, nor where the others are.
                    if let Kind::Sequence(_) = container.kind
                        && !container.is_buffer()
                    {
                        container.blur(&Value::unknown());
                        self.store_into(&node.value, container.into(), env);
                    }
                    return;
                };
                match (container.kind, key) {
                    (Kind::Sequence(_), Const::Int(n)) => {
                        container.remove(*n);
                    }
                    _ => {
                        container.items.remove(key);
                    }
                }
                self.store_into(&node.value, container.into(), env);
            }
            Expr::Attribute(node) => {
                // The attribute of the class is seen again.
                let owner = self.value(&node.value, env);
                if let ([Atom::Instance(instance)], Some(path)) =
                    (owner.atoms(), dotted_path(target))
                {
                    let value = self.of_class(*instance, &node.attr);
                    env.set_path(path, value);
                }
            }
            Expr::Tuple(node) => node.elts.iter().for_each(|t| self.delete(t, env)),
            _ => {}
        }
    }

    /// Binds what `target` names to `value`.
    pub(super) fn assign(&mut self, target: &'a Expr, value: Value, env: &mut Env) {
        match target {
            Expr::Name(name) => {
                if let Some(frame) = self.frames.last_mut().filter(|f| f.def.is_some()) {
                    frame.rebound.insert(name.id.clone());
                }
                self.bind(&name.id.clone(), value, env);
            }
            Expr::Starred(star) => self.assign(&star.value, value, env),
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                self.unpack(elts, &value, env);
            }
            Expr::Attribute(attribute) => {
                let value = self.settled(&value, env);
                let owner = self.value(&attribute.value, env);
                let at = At::place(self.place(target));
                let name = &*self.mangled(&attribute.attr.id);
                self.assign_attribute(&owner, name, &value, at, env);
                self.assign_in_namespace(&attribute.value, &owner, name, &value, env);
                let has_setter = owner.atoms().iter().any(|atom| match atom {
                    Atom::Instance(instance) => {
                        let tables = self.attribute_tables(instance.class);
                        let setter = format!("{name}.setter");
                        tables.iter().any(|t| t.contains_key(setter.as_str()))
                    }
                    _ => false,
                });
                if let Some(path) = dotted_path(target)
                    && !has_setter
                {
                    env.set_path(path, value);
                }
            }
            Expr::Subscript(node) => self.assign_element(node, value, env),
            _ => {}
        }
    }

    /// `namespace.name = value`, of a `SimpleNamespace`.
    fn assign_in_namespace(
        &mut self,
        target: &'a Expr,
        owner: &Value,
        name: &str,
        value: &Value,
        env: &mut Env,
    ) {
        let is_namespace =
            |atom: &Atom| matches!(atom, Atom::Container(c) if c.role == Role::Namespace);
        if !owner.atoms().iter().any(is_namespace) {
            return;
        }
        let each = owner.atoms().iter().map(|atom| match atom {
            Atom::Container(container) if container.role == Role::Namespace => {
                let mut container = (**container).clone();
                container.set(Some(&Const::Str(name.into())), value.clone());
                Atom::container(container)
            }
            other => other.clone(),
        });
        let after = each.collect();
        self.store_into(target, after, env);
    }

    pub(super) fn unpack(&mut self, elts: &'a [Expr], value: &Value, env: &mut Env) {
        let star = elts.iter().position(Expr::is_starred_expr);
        for (n, target) in elts.iter().enumerate() {
            let place = self.place(target);
            let part = match star {
                Some(at) if n == at => {
                    let after = elts.len() - at - 1;
                    self.starred(value, at, after, place)
                }
                Some(at) if n > at => {
                    let from_end = i64::try_from(elts.len() - n).unwrap_or(1);
                    self.item(value, Some(&Const::Int(-from_end)), place)
                }
                _ => {
                    let key = Const::Int(i64::try_from(n).unwrap_or(0));
                    self.item(value, Some(&key), place)
                }
            };
            self.assign(target, part, env);
        }
    }

    pub(super) fn starred(
        &mut self,
        value: &Value,
        before: usize,
        after: usize,
        place: super::taint::Place,
    ) -> Value {
        if let [Atom::Container(container)] = value.atoms()
            && let Some(items) = container.in_order()
        {
            let end = items.len().saturating_sub(after);
            let middle = items.get(before..end).unwrap_or(&[]);
            return Container::sequence(middle.iter().cloned()).into();
        }
        Container::some(self.iterated(value, place)).into()
    }

    pub(super) fn assign_element(
        &mut self,
        node: &'a ast::ExprSubscript,
        value: Value,
        env: &mut Env,
    ) {
        let value = self.settled(&value, env);
        let key = self.value(&node.slice, env);
        let owner = self.value(&node.value, env);
        self.note_element(&owner, node);
        self.note_looked_up(&owner, &key, node);
        let model = self.model;
        let is_data = |atom: &Atom| matches!(atom, Atom::Untrusted(_));
        if !owner.is_empty() && owner.atoms().iter().all(is_data) {
            // A document of the client's, of which one part is known now.
            if let Expr::Name(name) = &*node.value {
                env.twins(&name.id).iter().for_each(|twin| env.forget(twin));
            }
            match (element_path(node, &key), &*node.value) {
                (Some(path), _) if !value.is_empty() => env.set_path(path, value.clone()),
                (_, Expr::Name(name)) => env.forget(&name.id),
                _ => {}
            }
        }
        let mut after = Value::unknown();
        let mut changed = false;
        for atom in owner.atoms() {
            let mut kept = atom.clone();
            match atom {
                Atom::Container(container) => {
                    let mut container = (**container).clone();
                    match (&*node.slice, ()) {
                        (Expr::Slice(slice), _) if container.is_buffer() => {
                            if slice.lower.is_none() && slice.upper.is_none() {
                                container.refill([]);
                            }
                            container.write(self.flat(&value));
                        }
                        (_, _) if container.is_buffer() => container.write(value.clone()),
                        (Expr::Slice(_), _) => {
                            let any = self.iterated(&value, self.place(node));
                            container.blur(&any);
                        }
                        _ => container.put(&key, value.clone()),
                    }
                    kept = Atom::container(container);
                    changed = true;
                }
                Atom::External(name) => match model.store_subscript(name) {
                    Some(store) => {
                        let key = fold::key_text(&key);
                        self.write_store(&store.channel, &key, &value);
                    }
                    None => {
                        let key = fold::key_text(&key);
                        let owner = Owner::External(Rc::clone(name));
                        self.set_field(owner, &format!("[{key}]"), &value);
                    }
                },
                Atom::Instance(instance) => {
                    let at = At::place(self.place(node));
                    let method = self.member(*instance, "__setitem__", at, env);
                    let given = Arguments {
                        positional: vec![key.clone(), value.clone()],
                        ..Arguments::default()
                    };
                    let own: Value = atom.clone().into();
                    self.call_value(&method, &own, &given, at, env);
                }
                Atom::Untrusted(taint) if kept_by_key(taint) => {
                    let key = fold::key_text(&key);
                    self.write_store(&taint.channel, &key, &value);
                }
                _ => {}
            }
            after.add(kept);
        }
        let unknown = |atom: &Atom| matches!(atom, Atom::Made(_) | Atom::Const(_));
        if value.is_untrusted() && (owner.is_empty() || owner.atoms().iter().any(unknown)) {
            // Something of which this one element is known: under other keys stands what stood there.
            let mut some = Container::default();
            some.put(&key, value);
            after.add(Atom::container(some));
            changed = true;
        }
        if changed {
            self.store_into(&node.value, after, env);
        }
    }
}
