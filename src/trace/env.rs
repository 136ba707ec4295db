//! The state at one point of one function: what each name holds, and what was checked on the way.
//!
//! Invariant: cloning is cheap, and joining costs only what differs, because branches are many and differ little.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::taint::{Identity, Taint};
use super::value::{Atom, Container, Kind, Position, Role, Value};
use crate::python::ast::name::Name;

/// Variables by name.
pub(super) type Vars = FxHashMap<Name, Value>;

/// What is known of a checked value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    /// Its signature held.
    Signed,
    /// A signature check was made that does not count, and why.
    Sham(&'static str),
    /// It is one of a few constants.
    Harmless,
}

/// A checked value.
pub(super) type Checked = (Identity, Verdict);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Env {
    vars: Rc<Vars>,
    /// What was assigned to attributes here, by dotted path: `self.data`.
    paths: Rc<Vars>,
    checked: Rc<Vec<Checked>>,
    /// Names that refer to the same object.
    twins: Rc<Vec<(Name, Name)>>,
    /// Loads refuse what is harmful from here on: a hook is in place.
    pub hooked: bool,
    /// This point cannot be reached.
    pub dead: bool,
}

impl Env {
    /// A state in which `checked` has been checked.
    pub fn new(checked: Vec<Checked>) -> Env {
        Env {
            checked: Rc::new(checked),
            ..Env::default()
        }
    }

    /// What `name` holds.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.vars.get(name)
    }

    /// All names and what they hold.
    pub fn vars(&self) -> &Rc<Vars> {
        &self.vars
    }

    /// Puts `value` into `name`.
    pub fn set(&mut self, name: Name, value: Value) {
        self.forget(&name);
        if self.twins.iter().any(|(a, b)| *a == name || *b == name) {
            Rc::make_mut(&mut self.twins).retain(|(a, b)| *a != name && *b != name);
        }
        Rc::make_mut(&mut self.vars).insert(name, value);
    }

    /// The object that `name` refers to has changed: all that refer to it see that.
    pub fn change(&mut self, name: &Name, value: &Value) {
        for twin in self.twins(name) {
            self.forget(&twin);
            Rc::make_mut(&mut self.vars).insert(twin, value.clone());
        }
        self.forget(name);
        Rc::make_mut(&mut self.vars).insert(name.clone(), value.clone());
    }

    /// `name` and `other` refer to the same object from here on.
    pub fn twin(&mut self, name: &Name, other: &Name) {
        if name != other {
            Rc::make_mut(&mut self.twins).push((name.clone(), other.clone()));
        }
    }

    /// Names that refer to the same object as `name`.
    pub fn twins(&self, name: &Name) -> Vec<Name> {
        let mut all = vec![name.clone()];
        let mut n = 0;
        while let Some(one) = all.get(n).cloned() {
            n += 1;
            for (a, b) in self.twins.iter() {
                let other = match (*a == one, *b == one) {
                    (true, _) => b,
                    (_, true) => a,
                    _ => continue,
                };
                if !all.contains(other) {
                    all.push(other.clone());
                }
            }
        }
        all.remove(0);
        all
    }

    /// Unbinds `name`.
    pub fn remove(&mut self, name: &str) {
        self.forget(name);
        if self.vars.contains_key(name) {
            Rc::make_mut(&mut self.vars).remove(name);
        }
    }

    /// What was assigned to the dotted `path` here.
    pub fn path(&self, path: &str) -> Option<&Value> {
        match self.paths.is_empty() {
            true => None,
            false => self.paths.get(path),
        }
    }

    /// Remembers what was assigned to the dotted `path`.
    pub fn set_path(&mut self, path: Name, value: Value) {
        self.forget(&path);
        Rc::make_mut(&mut self.paths).insert(path, value);
    }

    /// Forgets what was assigned to attributes of `root`, which may have changed elsewhere.
    pub fn forget(&mut self, root: &str) {
        let below = |path: &Name| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        if self.paths.keys().any(below) {
            Rc::make_mut(&mut self.paths).retain(|path, _| !below(path));
        }
    }

    /// What was checked on every way to here.
    pub fn checked(&self) -> &[Checked] {
        &self.checked
    }

    /// What a check said of `taint`, or of what it is a part of.
    pub fn verdict(&self, taint: &Taint) -> Option<Verdict> {
        verdict(&self.checked, taint)
    }

    /// Notes a check.
    pub fn check(&mut self, checked: Checked) {
        if !self.checked.contains(&checked) {
            Rc::make_mut(&mut self.checked).push(checked);
        }
    }

    /// Leaves out what was checked, as `other` knows it.
    pub fn checked_as(&mut self, other: &Env) {
        self.checked = Rc::clone(&other.checked);
    }

    /// Either this state or `other`.
    pub fn join(self, other: &Env) -> Env {
        if self.dead {
            return other.clone();
        }
        let mut joined = self;
        if other.dead {
            return joined;
        }
        merge(&mut joined.vars, &other.vars);
        if !Rc::ptr_eq(&joined.paths, &other.paths) {
            // A path that only one way knows may hold anything on the other.
            let kept = |path: &Name| other.paths.contains_key(path);
            Rc::make_mut(&mut joined.paths).retain(|path, _| kept(path));
            for (path, value) in Rc::make_mut(&mut joined.paths) {
                if let Some(theirs) = other.paths.get(path) {
                    *value = std::mem::take(value).join(theirs);
                }
            }
        }
        if !Rc::ptr_eq(&joined.checked, &other.checked) {
            let kept: Vec<Checked> = joined
                .checked
                .iter()
                .filter(|c| other.checked.contains(c))
                .cloned()
                .collect();
            joined.checked = Rc::new(kept);
        }
        joined.hooked &= other.hooked;
        joined
    }

    /// Whether every name holds the same as in `other`.
    pub fn settled(&self, other: &Env) -> bool {
        let same = |mine: &Rc<Vars>, theirs: &Rc<Vars>| {
            Rc::ptr_eq(mine, theirs)
                || (mine.len() == theirs.len()
                    && mine.iter().all(|(name, value)| {
                        theirs
                            .get(name)
                            .is_some_and(|other| value.same(other) || value == other)
                    }))
        };
        self.dead == other.dead && same(&self.vars, &other.vars)
    }

    /// After a loop: sequences that may have grown in it are no longer known by position.
    pub fn blur_grown(&mut self) {
        let grown = |value: &Value| {
            let lengths = value.atoms().iter().filter_map(|atom| match atom {
                Atom::Container(c) => Some(c.kind),
                _ => None,
            });
            let lengths: Vec<Kind> = lengths.collect();
            lengths.len() > 1 && lengths.iter().any(|k| matches!(k, Kind::Sequence(_)))
        };
        if !self.vars.values().any(grown) {
            return;
        }
        for value in Rc::make_mut(&mut self.vars).values_mut() {
            if grown(value) {
                let mut all = Value::unknown();
                let mut others = Value::unknown();
                let mut role = None;
                for atom in value.atoms() {
                    match atom {
                        Atom::Container(container) => {
                            all = all.join(&container.any());
                            role = Some(match (role, container.role) {
                                (None, role) => role,
                                (Some(Role::Stream(_)), Role::Stream(_)) => {
                                    Role::Stream(Position::Somewhere)
                                }
                                (Some(before), role) if before == role => role,
                                _ => Role::Plain,
                            });
                        }
                        other => others.add(other.clone()),
                    }
                }
                let container = Container::some(all).with(role.unwrap_or_default());
                others.add(Atom::container(container));
                *value = others;
            }
        }
    }
}

/// What one of `checked` says of `taint`, or of what it is a part of.
pub(super) fn verdict(checked: &[Checked], taint: &Taint) -> Option<Verdict> {
    if checked.is_empty() {
        return None;
    }
    let (source, part) = taint.identity();
    let covers = |identity: &Identity| identity.0 == source && part.starts_with(&*identity.1);
    let said = |(identity, verdict): &Checked| covers(identity).then_some(*verdict);
    let mut all = checked.iter().filter_map(said).peekable();
    let first = *all.peek()?;
    // A check that counts outweighs one that does not.
    Some(
        all.find(|v| !matches!(v, Verdict::Sham(_)))
            .unwrap_or(first),
    )
}

fn merge(mine: &mut Rc<Vars>, theirs: &Rc<Vars>) {
    if Rc::ptr_eq(mine, theirs) {
        return;
    }
    let differs = |(name, value): &(&Name, &Value)| !mine.get(*name).is_some_and(|v| v.same(value));
    let changes: Vec<(Name, Value)> = theirs
        .iter()
        .filter(differs)
        .map(|(name, value)| match mine.get(name) {
            Some(before) => (name.clone(), before.clone().join(value)),
            None => (name.clone(), value.clone()),
        })
        .collect();
    if !changes.is_empty() {
        Rc::make_mut(mine).extend(changes);
    }
}

/// The variables of a function that functions inside it see.
#[derive(Debug, Default)]
pub(super) struct Scope {
    vars: RefCell<Rc<Vars>>,
    outer: Option<Rc<Scope>>,
    /// Names that inner functions have assigned by `nonlocal`.
    written: RefCell<Vec<Name>>,
}

impl Scope {
    /// A scope inside `outer`.
    pub fn new(outer: Option<Rc<Scope>>) -> Rc<Scope> {
        Rc::new(Scope {
            outer,
            ..Scope::default()
        })
    }

    /// What `name` holds here or further out.
    pub fn get(&self, name: &str) -> Option<Value> {
        let here = self.vars.borrow().get(name).cloned();
        here.or_else(|| self.outer.as_ref()?.get(name))
    }

    /// What its variables hold, and those further out.
    pub fn values(&self) -> Vec<Value> {
        let mut values: Vec<Value> = self.vars.borrow().values().cloned().collect();
        values.extend(self.outer.iter().flat_map(|outer| outer.values()));
        values
    }

    /// The variables are these now.
    pub fn refresh(&self, vars: &Rc<Vars>) {
        *self.vars.borrow_mut() = Rc::clone(vars);
    }

    /// Assigns a name of this scope, or of one further out, from inside.
    pub fn assign(&self, name: &Name, value: &Value) {
        if !self.vars.borrow().contains_key(name)
            && let Some(outer) = &self.outer
        {
            return outer.assign(name, value);
        }
        let mut vars = self.vars.borrow_mut();
        Rc::make_mut(&mut vars).insert(name.clone(), value.clone());
        self.written.borrow_mut().push(name.clone());
    }

    /// Names that were assigned from inside since the last time, and what they hold.
    pub fn take_written(&self) -> Vec<(Name, Value)> {
        let names = std::mem::take(&mut *self.written.borrow_mut());
        let vars = self.vars.borrow();
        let value = |name: Name| vars.get(&name).cloned().map(|value| (name, value));
        names.into_iter().filter_map(value).collect()
    }
}
