//! What the interpreter knows of a Python value.

use std::rc::Rc;

pub(super) use super::container::{Container, Kind, Position, Role};
use super::taint::{Identity, Place, Taint};
use crate::pack::Trust;
use crate::project::FileId;
use crate::python::ast::name::Name;

/// More alternatives than this are not told apart.
const WIDEST: usize = 12;
/// The same for functions, classes and instances: one of them may be called.
const MOST_CALLED: usize = 64;
/// Containers in containers are looked into this far.
pub(super) const DEEPEST: usize = 8;

/// Identifies a function or class: its file and where its definition starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Def {
    /// The file.
    pub file: FileId,
    /// Where its `def`, `lambda` or `class` starts.
    pub start: usize,
}

/// A function as a value: its definition with the variables around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FunctionId(pub u32);

/// An instance of a class of the project: the class, and the call that made it. Without the call it is any instance
/// of the class or of one of its subclasses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Instance {
    pub class: Def,
    /// The call that made it, and the call of the function that did so.
    pub made: Option<(Place, Option<Place>)>,
}

impl Instance {
    /// Any instance of `class`.
    pub fn any(class: Def) -> Instance {
        Instance { class, made: None }
    }
}

/// A constant, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Const {
    /// Text.
    Str(Rc<str>),
    /// Bytes that are text.
    Bytes(Rc<str>),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// `None`.
    None,
    /// Some other value that carries no payload.
    Other,
}

impl Const {
    /// Whether Python takes it as true, where that is known.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Const::Str(text) | Const::Bytes(text) => Some(!text.is_empty()),
            Const::Int(n) => Some(*n != 0),
            Const::Bool(b) => Some(*b),
            Const::None => Some(false),
            Const::Other => None,
        }
    }
}

/// A signature check, or what one is made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Check {
    /// The values whose signature it is.
    pub of: Vec<Identity>,
    /// Why it proves nothing, if so: its key stands in the code, or comes from the client.
    pub sham: Option<&'static str>,
    /// Without a key: it says something only when compared with what the client has no hand in.
    pub keyless: bool,
}

/// What calling something outside the project gave.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Made {
    /// What was called.
    pub name: Rc<str>,
    /// With what.
    pub arguments: Arguments,
}

/// A function with some of its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Partial {
    pub function: Value,
    pub arguments: Arguments,
}

impl Partial {
    /// The same, where no partial is among its arguments.
    pub fn bounded(self) -> Atom {
        let nested = |atom: &Atom| matches!(atom, Atom::Partial(_));
        let within = self.arguments.all().any(|value| value.any_atom(&nested));
        let function = self.function.any_atom(&|atom| match atom {
            Atom::Partial(inner) => inner.function.any_atom(&nested),
            _ => false,
        });
        match within || function {
            true => Atom::More(true),
            false => Atom::Partial(Rc::new(self)),
        }
    }
}

/// One thing a value can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Atom {
    /// A constant.
    Const(Const),
    /// A text of which only some characters are known: `\0` stands for the others.
    Pattern(Rc<str>),
    /// Untrusted data.
    Untrusted(Taint),
    /// An object of a modelled type.
    Object(Rc<str>),
    /// Something outside the project, by qualified name.
    External(Rc<str>),
    /// What calling something outside gave.
    Made(Rc<Made>),
    /// A module of the project.
    Module(FileId),
    /// A name that a module of the project binds; looked up when it is used.
    Imported(FileId, Name),
    /// A function of the project, and the instance it is bound to.
    Function(FunctionId, Option<Instance>),
    /// A class of the project.
    Class(Def),
    /// A class made by a call, such as `namedtuple("P", "x y")`: its fields in order.
    Record(Rc<[Name]>),
    /// An instance of a class of the project.
    Instance(Instance),
    /// `super()`: the class it stands in, and the instance.
    Super(Def, Instance),
    /// `functools.partial(f, x)`.
    Partial(Rc<Partial>),
    /// A list, tuple, set or dictionary.
    Container(Rc<Container>),
    /// A keyed digest.
    Digest(Check),
    /// The outcome of comparing digests.
    Checked(Check),
    /// True only if the value of that identity matches a pattern without control characters.
    Tame(Identity),
    /// False only if the value of that identity is free of control characters.
    Wild(Identity),
    /// A number made of untrusted data: harmless, until it is made bytes or characters again.
    Number(Rc<Taint>),
    /// True only if the value of that identity is harmless.
    Harmless(Identity),
    /// Data whose signature held.
    Verified,
    /// What is called, iterated or started only when its name is read again; by number.
    Deferred(usize),
    /// Made by this program with a writer such as `pickle.dumps`, there, of that.
    Pickled(Place, Value),
    /// More than is kept apart, which may be code of the project or not: what is done with it was not followed.
    More(bool),
}

impl Atom {
    /// Whether calling it, or a method of it, may run code of the project.
    pub fn is_code(&self) -> bool {
        match self {
            Atom::Made(made) => made.arguments.all().any(|value| value.any_atom(&Atom::is_code)),
            Atom::Const(_)
            | Atom::Pattern(_)
            | Atom::Untrusted(_)
            | Atom::Object(_)
            | Atom::External(_)
            | Atom::Record(_)
            | Atom::Digest(_)
            | Atom::Checked(_)
            | Atom::Tame(_)
            | Atom::Wild(_)
            | Atom::Number(_)
            | Atom::Harmless(_)
            | Atom::Verified
            // Its elements are asked themselves.
            | Atom::Container(_)
            | Atom::Pickled(..) => false,
            Atom::Module(_)
            | Atom::Imported(..)
            | Atom::Function(..)
            | Atom::Class(_)
            | Atom::Instance(_)
            | Atom::Super(..)
            | Atom::Partial(_)
            | Atom::Deferred(_) => true,
            Atom::More(code) => *code,
        }
    }

    /// A container, as far as its elements can be kept apart.
    pub fn container(container: Container) -> Atom {
        Atom::Container(Rc::new(container.bounded()))
    }
}

impl From<Container> for Value {
    fn from(container: Container) -> Value {
        Atom::container(container).into()
    }
}

/// Arguments of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Arguments {
    pub positional: Vec<Value>,
    pub named: Vec<(Name, Value)>,
    /// Elements of `*args` and `**kwargs` of unknown place.
    pub spread: Value,
}

impl Arguments {
    /// One argument by position.
    pub fn one(value: Value) -> Arguments {
        Arguments {
            positional: vec![value],
            ..Arguments::default()
        }
    }

    /// The argument at `position` or called `name`.
    pub fn get(&self, position: usize, name: &str) -> Option<&Value> {
        self.positional.get(position).or_else(|| self.named(name))
    }

    /// The argument called `name`.
    pub fn named(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The first argument, however it is given.
    pub fn first(&self) -> Option<&Value> {
        self.positional
            .first()
            .or_else(|| self.named.first().map(|(_, value)| value))
    }

    /// All argument values.
    pub fn all(&self) -> impl Iterator<Item = &Value> {
        let named = self.named.iter().map(|(_, value)| value);
        self.positional.iter().chain(named).chain([&self.spread])
    }

    /// All of them in one value.
    pub fn any(&self) -> Value {
        self.all()
            .fold(Value::unknown(), |all, value| all.join(value))
    }

    /// With `change` made to each.
    pub fn map(&self, change: impl Fn(&Value) -> Value) -> Arguments {
        Arguments {
            positional: self.positional.iter().map(&change).collect(),
            named: self
                .named
                .iter()
                .map(|(name, value)| (name.clone(), change(value)))
                .collect(),
            spread: change(&self.spread),
        }
    }

    /// These after `first`.
    pub fn after(&self, first: &Arguments) -> Arguments {
        let mut all = first.clone();
        all.positional.extend(self.positional.iter().cloned());
        for (name, value) in &self.named {
            all.named.retain(|(n, _)| n != name);
            all.named.push((name.clone(), value.clone()));
        }
        all.spread = all.spread.join(&self.spread);
        all
    }
}

/// All that a value can be; nothing known when empty. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Value(Option<Rc<Vec<Atom>>>);

impl From<Atom> for Value {
    fn from(atom: Atom) -> Value {
        Value(Some(Rc::new(vec![atom])))
    }
}

impl From<Const> for Value {
    fn from(constant: Const) -> Value {
        Atom::Const(constant).into()
    }
}

impl FromIterator<Atom> for Value {
    fn from_iter<I: IntoIterator<Item = Atom>>(atoms: I) -> Value {
        let mut value = Value::unknown();
        for atom in atoms {
            value.add(atom);
        }
        value
    }
}

impl Value {
    /// Nothing is known.
    pub fn unknown() -> Value {
        Value(None)
    }

    /// A value that can carry no payload.
    pub fn clean() -> Value {
        Const::Other.into()
    }

    /// A text.
    pub fn str(text: &str) -> Value {
        Const::Str(text.into()).into()
    }

    /// A truth value.
    pub fn bool(truth: bool) -> Value {
        Const::Bool(truth).into()
    }

    /// The name of something outside the project.
    pub fn external(name: &str) -> Value {
        Atom::External(name.into()).into()
    }

    /// An object of the modelled type `name`.
    pub fn object(name: &str) -> Value {
        Atom::Object(name.into()).into()
    }

    /// The alternatives.
    pub fn atoms(&self) -> &[Atom] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is the very same as `other`, without looking inside.
    pub fn same(&self, other: &Value) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => Rc::ptr_eq(mine, theirs),
            _ => false,
        }
    }

    /// Adds an alternative. Of untrusted ones enough of each level are kept to know the level and show a way; what
    /// clients and peers supply is told apart further.
    pub fn add(&mut self, atom: Atom) {
        let atoms = self.atoms();
        let fits = match &atom {
            Atom::Untrusted(taint) => {
                let most = if taint.trust <= Trust::Network {
                    WIDEST
                } else {
                    2
                };
                let alike =
                    |other: &&Atom| matches!(other, Atom::Untrusted(t) if t.trust == taint.trust);
                atoms.iter().filter(alike).count() < most
            }
            Atom::Function(..) | Atom::Class(_) | Atom::Instance(_) => atoms.len() < MOST_CALLED,
            Atom::More(_) => true,
            _ => atoms.len() < WIDEST,
        };
        if atoms.contains(&atom) {
            return;
        }
        if fits {
            Rc::make_mut(self.0.get_or_insert_with(Rc::default)).push(atom);
            return;
        }
        // One mapping more goes into another, key by key.
        if let Atom::Container(container) = &atom
            && container.is_plain_mapping()
        {
            let atoms = Rc::make_mut(self.0.get_or_insert_with(Rc::default));
            for other in atoms {
                if let Atom::Container(there) = other
                    && there.is_plain_mapping()
                {
                    *other = Atom::container(there.either(container));
                    return;
                }
            }
        }
        match atom {
            Atom::Untrusted(_) => {}
            // One constant more says nothing more.
            Atom::Const(_) | Atom::Pattern(_) => {
                let other = Atom::Const(Const::Other);
                let atoms = Rc::make_mut(self.0.get_or_insert_with(Rc::default));
                if !atoms.contains(&other) {
                    atoms.push(other);
                }
            }
            Atom::Container(container) => {
                let all = container.any();
                for atom in all.atoms() {
                    match atom {
                        Atom::Container(inner) => {
                            self.add(Atom::More(inner.any().any_atom(&Atom::is_code)));
                        }
                        atom => self.add(atom.clone()),
                    }
                }
            }
            atom => self.add(Atom::More(atom.is_code())),
        }
    }

    /// Either this or `other`.
    pub fn join(mut self, other: &Value) -> Value {
        if self.is_empty() || self.same(other) {
            return other.clone();
        }
        for atom in other.atoms() {
            self.add(atom.clone());
        }
        self
    }

    /// All untrusted data in it, elements of containers included.
    pub fn taints(&self) -> Vec<&Taint> {
        let mut taints = Vec::new();
        self.collect(&mut taints, DEEPEST);
        taints
    }

    /// Whether there is untrusted data in it.
    pub fn is_untrusted(&self) -> bool {
        self.any_atom(&|atom| matches!(atom, Atom::Untrusted(_)))
    }

    /// Whether `is` holds of one of its alternatives, elements of containers included.
    pub fn any_atom(&self, is: &dyn Fn(&Atom) -> bool) -> bool {
        self.holds(is, DEEPEST)
    }

    fn holds(&self, is: &dyn Fn(&Atom) -> bool, depth: usize) -> bool {
        self.atoms().iter().any(|atom| match atom {
            atom if is(atom) => true,
            Atom::Container(container) if depth > 0 => {
                let mut items = container
                    .items
                    .values()
                    .chain([&container.rest, &container.keys]);
                items.any(|value| value.holds(is, depth - 1))
            }
            _ => false,
        })
    }

    fn collect<'v>(&'v self, taints: &mut Vec<&'v Taint>, depth: usize) {
        for atom in self.atoms() {
            match atom {
                Atom::Untrusted(taint) => taints.push(taint),
                Atom::Container(container) if depth > 0 => {
                    for value in container.items.values() {
                        value.collect(taints, depth - 1);
                    }
                    container.rest.collect(taints, depth - 1);
                    container.keys.collect(taints, depth - 1);
                }
                _ => {}
            }
        }
    }

    /// What of it, or of its elements, was pickled by this program.
    pub fn all_pickled(&self) -> Vec<Atom> {
        let mut pickled = Vec::new();
        for atom in self.atoms() {
            match atom {
                Atom::Pickled(..) => pickled.push(atom.clone()),
                Atom::Container(container) => pickled.extend(container.any().all_pickled()),
                _ => {}
            }
        }
        pickled
    }

    /// Where these were pickled.
    pub fn pickled_at(&self) -> Vec<Place> {
        let pickled = self.all_pickled().into_iter();
        let places = pickled.filter_map(|atom| match atom {
            Atom::Pickled(place, _) => Some(place),
            _ => None,
        });
        places.collect()
    }

    /// Whether it, or one of its elements, was pickled by this program.
    pub fn is_pickled(&self) -> bool {
        self.any_atom(&|atom| matches!(atom, Atom::Pickled(..)))
    }

    /// The same value with every untrusted part replaced by `change` of it.
    pub fn map_taints(&self, change: &dyn Fn(&Taint) -> Taint) -> Value {
        if !self.is_untrusted() {
            return self.clone();
        }
        let atom = |atom: &Atom| match atom {
            Atom::Untrusted(taint) => Atom::Untrusted(change(taint)),
            Atom::Container(container) => Atom::Container(Rc::new(Container {
                kind: container.kind,
                role: container.role,
                items: container
                    .items
                    .iter()
                    .map(|(key, value)| (key.clone(), value.map_taints(change)))
                    .collect(),
                rest: container.rest.map_taints(change),
                keys: container.keys.map_taints(change),
            })),
            other => other.clone(),
        };
        self.atoms().iter().map(atom).collect()
    }

    /// The same where it is not known how often elements were put in and taken out before.
    pub fn unordered(&self) -> Value {
        let unordered = |atom: &Atom| match atom {
            Atom::Container(container) => container.unordered(),
            _ => None,
        };
        match self.atoms().iter().any(|atom| unordered(atom).is_some()) {
            false => self.clone(),
            true => {
                let each = self.atoms().iter();
                each.map(|atom| match unordered(atom) {
                    Some(container) => Atom::Container(Rc::new(container)),
                    None => atom.clone(),
                })
                .collect()
            }
        }
    }

    /// The alternatives for which `keep` holds.
    pub fn filter(&self, keep: impl Fn(&Atom) -> bool) -> Value {
        match self.atoms().iter().all(&keep) {
            true => self.clone(),
            false => self.atoms().iter().filter(|a| keep(a)).cloned().collect(),
        }
    }

    /// Its constant, when it can be nothing else.
    pub fn constant(&self) -> Option<&Const> {
        match self.atoms() {
            [Atom::Const(constant)] if *constant != Const::Other => Some(constant),
            _ => None,
        }
    }

    /// All constants it can be, when it can be nothing else.
    pub fn constants(&self) -> Option<Vec<&Const>> {
        let constants: Option<Vec<&Const>> = self
            .atoms()
            .iter()
            .map(|atom| match atom {
                Atom::Const(constant) if *constant != Const::Other => Some(constant),
                _ => None,
            })
            .collect();
        constants.filter(|all| !all.is_empty())
    }

    /// Its text, when it can be nothing else.
    pub fn text(&self) -> Option<Rc<str>> {
        match self.constant() {
            Some(Const::Str(text)) => Some(Rc::clone(text)),
            _ => None,
        }
    }

    /// Whether Python takes it as true, where that is known.
    pub fn truth(&self) -> Option<bool> {
        let mut truths = self.atoms().iter().map(|atom| match atom {
            Atom::Const(constant) => constant.truth(),
            Atom::Function(..) | Atom::Class(_) | Atom::Module(_) => Some(true),
            Atom::Container(container) if container.is_buffer() => None,
            Atom::Container(container) => match container.in_order() {
                Some(items) => Some(!items.is_empty()),
                None if container.items.is_empty() => None,
                None => Some(true),
            },
            _ => None,
        });
        let first = truths.next()??;
        truths.all(|truth| truth == Some(first)).then_some(first)
    }

    /// Whether it is made of literals alone.
    pub fn is_literal(&self) -> bool {
        let literal = |atom: &Atom| match atom {
            Atom::Const(_) => true,
            Atom::Container(container) => {
                let items = container.items.values();
                let rest = [&container.rest, &container.keys];
                items
                    .chain(rest.into_iter().filter(|v| !v.is_empty()))
                    .all(Value::is_literal)
            }
            _ => false,
        };
        !self.is_empty() && self.atoms().iter().all(literal)
    }

    /// Whether it may be `None`.
    pub fn may_be_none(&self) -> bool {
        self.atoms().contains(&Atom::Const(Const::None))
    }
}
