//! Functions and methods that are handed down in values, and may be called further down.

use super::functions::Function;

use rustc_hash::FxHashSet;

use super::machine::Machine;
use super::value::{Arguments, Atom, Def, FunctionId, Instance, Value};

/// Functions that are looked at in what a call was given.
const MOST_HIDDEN: usize = 300;

impl<'a> Machine<'a> {
    /// The functions that lead to loads among what `function` is given, and what it sees around it.
    pub(super) fn handed(&self, function: &Function<'a>, arguments: &Arguments) -> Hidden<'_, 'a> {
        let mut hidden = Hidden {
            machine: self,
            open: Vec::new(),
            seen: FxHashSet::default(),
            found: Vec::new(),
            lost: None,
        };
        hidden.look_into(arguments.all());
        let around = function.scope.iter().flat_map(|scope| scope.values());
        hidden.look_into(around.collect::<Vec<_>>().iter());
        hidden
    }
}

/// Functions that lead to loads in some values, and around them.
pub(super) struct Hidden<'m, 'a> {
    machine: &'m Machine<'a>,
    open: Vec<Value>,
    seen: FxHashSet<FunctionId>,
    found: Vec<Def>,
    /// Not all was looked at, which may be code of the project or not.
    pub lost: Option<bool>,
}

impl Hidden<'_, '_> {
    fn look_into<'v>(&mut self, values: impl Iterator<Item = &'v Value>) {
        let may_lead = |atom: &Atom| {
            matches!(
                atom,
                Atom::Function(..)
                    | Atom::Partial(_)
                    | Atom::Instance(_)
                    | Atom::Class(_)
                    | Atom::More(_)
            )
        };
        let values = values.filter(|value| value.any_atom(&may_lead));
        self.open.extend(values.cloned());
    }

    pub(super) fn atom(&mut self, atom: &Atom) {
        match atom {
            Atom::Function(id, _) => {
                let Some(function) = self.machine.function(*id) else {
                    return;
                };
                if self.seen.len() > MOST_HIDDEN {
                    self.lost = Some(true);
                } else if self.seen.insert(*id) {
                    let def = function.def;
                    let leads =
                        self.machine.to_loads.contains(&def) || self.machine.is_leading_lambda(def);
                    self.found.extend(leads.then_some(def));
                    // What is around it may hold another function.
                    let around = function.scope.iter().flat_map(|scope| scope.values());
                    self.look_into(around.collect::<Vec<_>>().iter());
                }
            }
            Atom::Instance(Instance { class, .. }) | Atom::Class(class) => {
                for class in self.machine.lineage(*class) {
                    let methods = self.machine.loading.get(&class);
                    self.found.extend(methods.into_iter().flatten());
                }
            }
            Atom::Partial(partial) => {
                self.look_into([&partial.function].into_iter());
                self.look_into(partial.arguments.all());
            }
            Atom::Container(container) => self.open.push(container.any()),
            Atom::More(code) => self.lost = Some(*code || self.lost == Some(true)),
            _ => {}
        }
    }
}

impl Iterator for Hidden<'_, '_> {
    type Item = Def;

    fn next(&mut self) -> Option<Def> {
        while self.found.is_empty()
            && let Some(value) = self.open.pop()
        {
            value.atoms().iter().for_each(|atom| self.atom(atom));
        }
        self.found.pop()
    }
}
