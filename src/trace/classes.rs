//! Classes of the project: their members by the method resolution order, their instances and fields.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use rustc_hash::FxHashSet;

use super::at::At;
use super::env::{Env, Vars};
use super::functions::{Binding, Code};
use super::machine::{Class, Frame, Machine, Owner};
use super::stores::keeps_files;
use super::uses::Doing;
use super::value::{Arguments, Atom, Const, Container, Def, Instance, Kind, Value};
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{dotted, span};

/// The field that holds what a reader such as `pickle.Unpickler` was made with.
pub(super) const READS: &str = " reads";
/// What the name of a field ends in that holds what it is of some instance of the class.
pub(super) const OF_SOME: &str = " of some";
/// The field of everything that was passed to an instance by `**`.
const ANY_FIELD: &str = " any";
fn is_private(name: &str) -> bool {
    name.starts_with("__") && !name.ends_with("__")
}

/// Subclasses that are looked into for one member of an instance of unknown class.
const MOST_SUBCLASSES: usize = 24;

impl<'a> Machine<'a> {
    pub(super) fn define_class(&mut self, node: &'a ast::StmtClassDef, env: &mut Env) {
        let file = self.file();
        let def = Def {
            file,
            start: span(node).start,
        };
        let bases: Vec<Value> = node
            .arguments
            .iter()
            .flat_map(|arguments| &arguments.args)
            .map(|base| match base {
                // `Generic[T]` is `Generic`.
                Expr::Subscript(node) => self.value(&node.value, env),
                base => self.value(base, env),
            })
            .collect();
        for atom in bases.iter().flat_map(Value::atoms) {
            if let Atom::Class(base) = atom {
                let known = self.subclasses.entry(*base).or_default();
                if !known.contains(&def) {
                    known.push(def);
                }
            }
        }
        let keeps_files = keeps_files(self.project, file, node);
        // Methods refer to their class while its body is still running.
        let before = Class {
            bases: bases.clone(),
            attributes: Rc::default(),
            annotated: Vec::new(),
            harmless: Vec::new(),
            name: node.name.id.clone(),
            types: FxHashMap::default(),
            keeps_files,
        };
        self.classes.insert(def, Rc::new(before));
        let outer = self.scope_for_inner(env);
        let context = self.frames.last().map_or(0, |f| f.context);
        self.frames.push(Frame {
            class: Some(def),
            outer,
            context,
            ..Frame::new(file)
        });
        let mut inside = Env::default();
        self.block(&node.body, &mut inside);
        self.frames.pop();
        let mut annotated = Vec::new();
        let mut harmless = Vec::new();
        let mut types = FxHashMap::default();
        for stmt in &node.body {
            if let Stmt::AnnAssign(field) = stmt
                && let Expr::Name(name) = &*field.target
            {
                annotated.push(name.id.clone());
                let scopes = self.project.outer_scopes(file);
                let parts = dotted(&field.annotation);
                let names = parts.map_or_else(Vec::new, |parts| scopes.resolve(0, &parts));
                if !names.is_empty() && names.iter().all(|name| self.model.stops(name)) {
                    harmless.push(name.id.clone());
                }
                let ty = self.annotated(file, &field.annotation);
                if !ty.is_empty() {
                    types.insert(name.id.clone(), ty);
                }
            }
        }
        let class = Class {
            bases,
            attributes: Rc::clone(inside.vars()),
            annotated,
            harmless,
            name: node.name.id.clone(),
            types,
            keeps_files,
        };
        self.classes.insert(def, Rc::new(class));
        self.restrict(def, node);
        let line = self.lineage(def);
        let above = line.get(1..).unwrap_or(&[]);
        if let Some((_, hook)) = self.class_attribute(above, "__init_subclass__") {
            for atom in hook.atoms() {
                if let Atom::Function(id, None) = atom {
                    let place = self.place(&node.name);
                    let none = Arguments::default();
                    self.call(*id, Some(Instance::any(def)), &none, place, env);
                }
            }
        }
        self.handlers_by_base(def, node.name.as_str());
        self.bind(&node.name.id.clone(), Atom::Class(def).into(), env);
        for decorator in &node.decorator_list {
            self.value(&decorator.expression, env);
        }
    }

    /// `class` and its bases in the project, in the order in which members are looked up.
    pub(super) fn lineage(&self, class: Def) -> Vec<Def> {
        // A base stands after all classes that have it for a base.
        let mut line = Vec::new();
        self.linearize(class, &mut line, &mut FxHashSet::default());
        line.reverse();
        line
    }

    /// Adds `class` after its bases, the last base first.
    fn linearize(&self, class: Def, line: &mut Vec<Def>, seen: &mut FxHashSet<Def>) {
        if !seen.insert(class) {
            return;
        }
        let bases = self.classes.get(&class).map(|info| &info.bases);
        for atom in bases.into_iter().flatten().rev().flat_map(Value::atoms) {
            if let Atom::Class(base) = atom {
                self.linearize(*base, line, seen);
            }
        }
        line.push(class);
    }

    /// Bases outside the project of `class` and of its bases.
    pub(super) fn outside_bases(&self, class: Def) -> Vec<Rc<str>> {
        let mut bases = Vec::new();
        for class in self.lineage(class) {
            let Some(info) = self.classes.get(&class) else {
                continue;
            };
            for atom in info.bases.iter().flat_map(Value::atoms) {
                match atom {
                    Atom::External(name) | Atom::Object(name) => bases.push(Rc::clone(name)),
                    Atom::Made(made) => bases.push(Rc::clone(&made.name)),
                    _ => {}
                }
            }
        }
        bases
    }

    /// All subclasses of `class` that were seen, nearest first.
    fn descendants(&self, class: Def) -> Vec<Def> {
        let mut all = vec![class];
        let mut n = 0;
        while let Some(class) = all.get(n).copied() {
            n += 1;
            for sub in self.subclasses.get(&class).into_iter().flatten() {
                if !all.contains(sub) && all.len() < MOST_SUBCLASSES {
                    all.push(*sub);
                }
            }
        }
        all
    }

    /// A member of an instance.
    pub(super) fn member(
        &mut self,
        instance: Instance,
        name: &str,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        if let Some(private) = self.private(instance.class, name) {
            return self.member(instance, &private, at, env);
        }
        let mut out = Value::unknown();
        let owners = match instance.made {
            Some(_) => vec![instance, Instance::any(instance.class)],
            None => vec![instance],
        };
        for owner in owners {
            for key in [name, ANY_FIELD] {
                if let Some(value) = self.field(&Owner::Instance(owner), key) {
                    out = out.join(&value);
                }
            }
        }
        out = out.join(&self.some_field(instance, name));
        if let Some(field) = self.handler_field(instance.class, name) {
            return out.join(&field);
        }
        if !out.is_empty() && self.hides_class(instance.class, name) {
            return out;
        }
        let classes = match instance.made {
            Some(_) => vec![instance.class],
            // Any instance of the class, or of a subclass that has its own.
            None => self.descendants(instance.class),
        };
        let mut seen = Vec::new();
        for class in classes {
            let line = self.lineage(class);
            let own = Instance { class, ..instance };
            let Some((home, value)) = self.class_attribute(&line, name) else {
                continue;
            };
            if seen.contains(&home) {
                continue;
            }
            seen.push(home);
            let bound = self.bound(&value, own, at, env);
            out = out.join(&bound);
        }
        for home in self.lineage(instance.class) {
            if home != instance.class
                && let Some(value) = self.field(&Owner::Instance(Instance::any(home)), name)
            {
                out = out.join(&value);
            }
            if out.is_empty()
                && let Some(info) = self.classes.get(&home)
                && let Some(value) = info.types.get(name)
            {
                out = value.clone();
            }
        }
        if out.is_empty() {
            out = self.outside_member(instance.class, name, at);
        }
        out
    }

    /// `__name`, as a class calls it: with its own name before it, so that no other class sees it.
    pub(super) fn mangled(&self, name: &Name) -> Name {
        let class = self.frames.last().and_then(|frame| frame.class);
        let info = class.and_then(|class| self.classes.get(&class));
        match info.filter(|_| is_private(name)) {
            Some(info) => Name::new(format!("_{}{name}", info.name.trim_start_matches('_'))),
            None => name.clone(),
        }
    }

    /// `__name` read where the class around it is not known: the nearest class of the line that has one.
    fn private(&mut self, class: Def, name: &str) -> Option<Name> {
        if !is_private(name) {
            return None;
        }
        let line = self.lineage(class);
        let names = line.iter().filter_map(|class| self.classes.get(class));
        let first = names.map(|info| format!("_{}{name}", info.name.trim_start_matches('_')));
        let all: Vec<String> = first.collect();
        let known = all.iter().zip(&line).find(|(name, class)| {
            let info = self.classes.get(class);
            info.is_some_and(|info| info.attributes.contains_key(name.as_str()))
        });
        known.map(|(name, _)| name).or(all.first()).map(Name::new)
    }

    /// Whether `__init__` always gives an instance a field called `name` of its own, so that an attribute of the class is
    /// not seen.
    fn hides_class(&mut self, class: Def, name: &str) -> bool {
        let line = self.lineage(class);
        let is_function = |atom: &Atom| matches!(atom, Atom::Function(..));
        match self.class_attribute(&line, name) {
            Some((_, value)) if !value.atoms().iter().any(is_function) => {}
            _ => return false,
        }
        let Some((_, init)) = self.class_attribute(&line, "__init__") else {
            return false;
        };
        let [Atom::Function(id, None)] = init.atoms() else {
            return false;
        };
        let Some(function) = self.function(*id) else {
            return false;
        };
        // While it runs the field may not be there yet.
        if self
            .frames
            .iter()
            .any(|frame| frame.def == Some(function.def))
        {
            return false;
        }
        let Code::Def(node) = function.code else {
            return false;
        };
        let own = node.parameters.iter_non_variadic_params().next();
        let Some(own) = own.map(|parameter| &parameter.name().id) else {
            return false;
        };
        for stmt in self.project.code(function.def.file, node) {
            let targets = match stmt {
                Stmt::Assign(node) => node.targets.as_slice(),
                Stmt::AnnAssign(node) if node.value.is_some() => {
                    std::slice::from_ref(&*node.target)
                }
                Stmt::Expr(_) | Stmt::AugAssign(_) | Stmt::Import(_) | Stmt::ImportFrom(_) => &[],
                // It may return or raise.
                _ => return false,
            };
            let assigns = |target: &Expr| match target {
                Expr::Attribute(attribute) => {
                    attribute.attr == *name
                        && attribute.value.as_name_expr().is_some_and(|n| n.id == *own)
                }
                _ => false,
            };
            if targets.iter().any(assigns) {
                return true;
            }
        }
        false
    }

    /// What the class of an instance, or a base, has under `name`.
    pub(super) fn of_class(&mut self, instance: Instance, name: &str) -> Value {
        let line = self.lineage(instance.class);
        let found = self.class_attribute(&line, name);
        found.map_or_else(Value::unknown, |(_, value)| value)
    }

    /// A container that was changed in place through `instance`: its own, or that of its class.
    pub(super) fn change_in_class(&mut self, instance: Instance, name: &str, value: &Value) {
        if instance.made.is_none() || self.field(&Owner::Instance(instance), name).is_some() {
            return;
        }
        let line = self.lineage(instance.class);
        let is_container = |atom: &Atom| matches!(atom, Atom::Container(_));
        if let Some((home, known)) = self.class_attribute(&line, name)
            && known.atoms().iter().any(is_container)
        {
            self.set_field(Owner::Instance(Instance::any(home)), name, value);
        }
    }

    /// A member that a base outside the project gives.
    fn outside_member(&mut self, class: Def, name: &str, at: At<'a>) -> Value {
        let mut out = Value::unknown();
        for base in self.outside_bases(class) {
            if *base == *"builtins.object" {
                continue;
            }
            let found = match self.model.object(&base) {
                Some(_) => self.object_member(&base, name, at.place),
                None => {
                    // Of a base that nothing is known of, an attribute may be anything.
                    let full = format!("{base}.{name}");
                    let starts =
                        name == "start" && (base.ends_with("Thread") || base.ends_with("Process"));
                    match starts || self.model.knows(&base, &full) {
                        true => Value::external(&full),
                        false => Value::unknown(),
                    }
                }
            };
            out = out.join(&found);
        }
        out
    }

    /// The nearest class of `line` that has an attribute `name`, and the attribute.
    pub(super) fn class_attribute(&self, line: &[Def], name: &str) -> Option<(Def, Value)> {
        line.iter().find_map(|class| {
            let value = self.classes.get(class)?.attributes.get(name)?;
            Some((*class, value.clone()))
        })
    }

    /// An attribute of a class as an instance of it gives it.
    fn bound(&mut self, value: &Value, instance: Instance, at: At<'a>, env: &mut Env) -> Value {
        let mut out = Value::unknown();
        for atom in value.atoms() {
            let Atom::Function(id, None) = atom else {
                out.add(atom.clone());
                continue;
            };
            let Some(function) = self.function(*id) else {
                continue;
            };
            match function.binding {
                _ if function.class.is_none() => out.add(atom.clone()),
                Binding::Static => out.add(atom.clone()),
                Binding::Property => {
                    let none = Arguments::default();
                    let (got, _) = self.call(*id, Some(instance), &none, at.place, env);
                    out = out.join(&got);
                }
                Binding::Method | Binding::Class => {
                    out.add(Atom::Function(*id, Some(instance)));
                }
            }
        }
        out
    }

    /// A member of a class itself.
    pub(super) fn class_member(&mut self, class: Def, name: &str, at: At<'a>) -> Value {
        let any = Instance::any(class);
        let assigned = self.field(&Owner::Instance(any), name).unwrap_or_default();
        let line = self.lineage(class);
        let Some((_, value)) = self.class_attribute(&line, name) else {
            return match assigned.is_empty() {
                true => self.outside_member(class, name, at),
                false => assigned,
            };
        };
        let bound = value.atoms().iter().map(|atom| match atom {
            Atom::Function(id, None) => {
                let binding = self.function(*id).map(|f| f.binding);
                match binding {
                    Some(Binding::Class) => Atom::Function(*id, Some(any)),
                    _ => atom.clone(),
                }
            }
            _ => atom.clone(),
        });
        let mut out = assigned.join(&bound.collect());
        if out.constant().is_some() && self.is_enumeration(class) {
            out.add(Atom::Instance(any));
        }
        out
    }

    /// Whether `class` is an enumeration whose members are no numbers or texts as well.
    fn is_enumeration(&self, class: Def) -> bool {
        let bases = self.outside_bases(class);
        let is = |names: &[&str]| bases.iter().any(|base| names.contains(&&**base));
        is(&["enum.Enum", "enum.Flag"]) && !is(&["builtins.str", "builtins.int", "builtins.float"])
    }

    /// A member after `home` in the line of `instance`: `super().name`.
    pub(super) fn super_member(
        &mut self,
        home: Def,
        instance: Instance,
        name: &str,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let mut classes = vec![instance.class];
        if instance.made.is_none() {
            classes = self.descendants(instance.class);
        }
        let mut out = Value::unknown();
        for class in classes {
            let line = self.lineage(class);
            let after = line.iter().position(|c| *c == home).map_or(0, |n| n + 1);
            let rest = line.get(after..).unwrap_or(&[]);
            if let Some((_, value)) = self.class_attribute(rest, name) {
                let bound = self.bound(&value, instance, at, env);
                out = out.join(&bound);
            }
        }
        match out.is_empty() {
            true => self.outside_member(instance.class, name, at),
            false => out,
        }
    }

    /// Makes an instance.
    pub(super) fn construct(
        &mut self,
        class: Def,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let called_at = self.frames.last().and_then(|f| f.called_at);
        let instance = Instance {
            class,
            made: Some((at.place, called_at)),
        };
        let line = self.lineage(class);
        let own = Owner::Instance(instance);
        let is_exception = |base: &Rc<str>| base.ends_with("Exception") || base.ends_with("Error");
        if self.outside_bases(class).iter().any(is_exception) {
            let all = Container::sequence(arguments.positional.iter().cloned());
            self.set_field(own.clone(), "args", &all.into());
        }
        match self.class_attribute(&line, "__init__") {
            Some((_, init)) => {
                for atom in init.atoms() {
                    if let Atom::Function(id, None) = atom {
                        self.call(*id, Some(instance), arguments, at.place, env);
                    }
                }
            }
            None => {
                if self.is_row(class) {
                    self.sets_columns(Some(class), arguments);
                }
                self.fill(&line, &own, arguments);
                if let Some((_, after)) = self.class_attribute(&line, "__post_init__") {
                    for atom in after.atoms() {
                        if let Atom::Function(id, None) = atom {
                            let none = Arguments::default();
                            self.call(*id, Some(instance), &none, at.place, env);
                        }
                    }
                }
            }
        }
        if let Some(first) = arguments.first()
            && self.reads(class)
        {
            let whole = self.whole(first.clone(), at);
            self.set_field(own, READS, &whole);
        }
        Atom::Instance(instance).into()
    }

    /// Fields of a dataclass, a named tuple or a model: annotated names in their order, or by keyword.
    fn fill(&mut self, line: &[Def], own: &Owner, arguments: &Arguments) {
        let annotated: Vec<Name> = line
            .iter()
            .rev()
            .filter_map(|class| self.classes.get(class))
            .flat_map(|info| info.annotated.clone())
            .collect();
        for (name, value) in annotated.iter().zip(&arguments.positional) {
            self.set_field(own.clone(), name, value);
        }
        for (name, value) in &arguments.named {
            self.set_field(own.clone(), name, value);
        }
        if !arguments.spread.is_empty() {
            let given = |name: &&Name| !arguments.named.iter().any(|(n, _)| n == *name);
            for name in annotated.iter().filter(given) {
                self.set_field(own.clone(), name, &arguments.spread);
            }
            if annotated.is_empty() {
                self.set_field(own.clone(), ANY_FIELD, &arguments.spread);
            }
        }
    }

    /// Assigns an attribute of `owner`.
    pub(super) fn assign_attribute(
        &mut self,
        owner: &Value,
        name: &str,
        value: &Value,
        at: At<'a>,
        env: &mut Env,
    ) {
        self.note_use(owner, at.place, || Doing::Attribute(name.to_owned()));
        for atom in owner.atoms() {
            let key = match atom {
                Atom::Untrusted(row) => {
                    self.sets_found(row, name, value);
                    continue;
                }
                Atom::Instance(instance) => {
                    if self.is_row(instance.class) {
                        self.sets_column(Some(instance.class), name, value);
                    }
                    let line = self.lineage(instance.class);
                    let setter = self.class_attribute(&line, &format!("{name}.setter"));
                    if let Some((_, setter)) = setter {
                        for atom in setter.atoms() {
                            if let Atom::Function(id, None) = atom {
                                let given = Arguments::one(value.clone());
                                self.call(*id, Some(*instance), &given, at.place, env);
                            }
                        }
                        continue;
                    }
                    if instance.made.is_some() {
                        // Code that knows only the class sees it too.
                        let any = Owner::Instance(Instance::any(instance.class));
                        self.set_known(any, name, value);
                    }
                    Owner::Instance(*instance)
                }
                Atom::Class(class) => Owner::Instance(Instance::any(*class)),
                Atom::External(name) | Atom::Object(name) => Owner::External(Rc::clone(name)),
                Atom::Made(made) => Owner::External(Rc::clone(&made.name)),
                Atom::Module(file) => Owner::Module(*file),
                _ => continue,
            };
            self.set_field(key, name, value);
        }
    }

    /// Notes for code that knows only the class what one instance's field holds. Instances whose making is known do not
    /// see it.
    fn set_known(&mut self, any: Owner, name: &str, value: &Value) {
        if let Owner::Instance(instance) = any {
            let all = Owner::Instance(Instance {
                made: None,
                ..instance
            });
            self.set_field(all, &format!("{name}{OF_SOME}"), value);
        }
    }

    /// What some instance of `class` holds in the field `name`.
    pub(super) fn some_field(&mut self, instance: Instance, name: &str) -> Value {
        if instance.made.is_some() {
            return Value::unknown();
        }
        let mut out = Value::unknown();
        for class in self.descendants(instance.class) {
            let owner = Owner::Instance(Instance::any(class));
            if let Some(value) = self.field(&owner, &format!("{name}{OF_SOME}")) {
                out = out.join(&value);
            }
        }
        out
    }

    /// A named tuple: its elements by name and by position.
    pub(super) fn named_tuple(fields: &[Name], arguments: &Arguments) -> Value {
        let mut container = Container {
            kind: Kind::Bag,
            ..Container::of(arguments.spread.clone())
        };
        for (n, name) in fields.iter().enumerate() {
            if let Some(value) = arguments.get(n, name) {
                let position = Const::Int(i64::try_from(n).unwrap_or(0));
                container.items.insert(position, value.clone());
                let key = Const::Str(name.as_str().into());
                container.items.insert(key, value.clone());
            }
        }
        container.into()
    }

    /// The class attributes of `class` and its bases, nearest first.
    pub(super) fn attribute_tables(&self, class: Def) -> Vec<Rc<Vars>> {
        self.lineage(class)
            .iter()
            .filter_map(|class| Some(Rc::clone(&self.classes.get(class)?.attributes)))
            .collect()
    }
}
