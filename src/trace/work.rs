//! How much is interpreted, and how deep.
//!
//! Invariant: whatever a program looks like, its analysis ends, and within the stack that it is given ([`super::STACK`]): what
//! nests, in the code or by calls, passes by [`Machine::nest`]. Where a bound is met, `bounds` is told.

use super::functions::{Code, Function};
use super::machine::Machine;
use super::sites::Site;
use super::value::{Arguments, Def};
use crate::python::span;

/// Expressions and statements evaluated for one entry point before giving up on it.
pub(super) const MOST_WORK_EACH: usize = 25_000;
/// More than that for each statement at the top level of a module: what a decorated function takes.
const MOST_WORK_STATEMENT: usize = 20;
/// The same for one call that leads to no load: of it only what it returns matters.
const MOST_WORK_ASIDE: usize = 1_500;
/// Work for one load after the bound was met: enough for the function around it.
const MOST_WORK_LATE: usize = 3_000;
/// Such calls within such calls are followed this deep.
const DEEPEST_ASIDE: usize = 5;
/// Expressions and statements for one pass over a project.
const MOST_WORK: usize = 900_000;
/// Expressions and statements within each other, those of callers included. Each takes up to 20 KB of stack in a debug build.
const DEEPEST: usize = 6_000;

/// What was spent.
#[derive(Debug)]
pub(super) struct Work {
    /// In this pass.
    all: usize,
    /// In this entry point.
    entry: usize,
    /// For one entry point.
    most_each: usize,
    /// For the one that runs.
    most: usize,
    /// At which a call that leads to no load is given up, and how deep such calls are.
    aside: Option<(usize, usize)>,
    /// Expressions and statements that are being evaluated.
    depth: usize,
    /// The bound on work was met in this entry point.
    spent: bool,
}

impl Work {
    /// Nothing yet, with a bound for each entry point.
    pub fn new(most_each: usize) -> Work {
        Work {
            all: 0,
            entry: 0,
            most_each,
            most: most_each,
            aside: None,
            depth: 0,
            spent: false,
        }
    }

    /// Another pass begins.
    pub fn next_pass(&mut self) {
        self.all = 0;
        self.entry = 0;
    }

    /// Nothing runs any more.
    pub fn unwound(&mut self) {
        self.aside = None;
        self.depth = 0;
    }

    fn is_spent(&self) -> bool {
        self.all >= MOST_WORK || self.entry >= self.most
    }
}

/// What surrounded a call.
pub(super) struct Before(Option<(usize, usize)>);

impl<'a> Machine<'a> {
    /// Whether there is work left to spend; spends a unit.
    pub fn spend(&mut self) -> bool {
        self.charge(1);
        !self.exhausted()
    }

    /// Does `inner`, which may come here again, unless that is too deep or there is no work left; spends a unit.
    pub fn dive<T: Default>(&mut self, inner: impl FnOnce(&mut Machine<'a>) -> T) -> T {
        match self.spend() {
            true => self.nest(inner),
            false => T::default(),
        }
    }

    /// Does `inner`, which may come here again, unless that is too deep.
    pub fn nest<T: Default>(&mut self, inner: impl FnOnce(&mut Machine<'a>) -> T) -> T {
        if self.work.depth >= DEEPEST {
            self.bounds.cut(&self.frames);
            return T::default();
        }
        self.work.depth += 1;
        let out = inner(self);
        self.work.depth -= 1;
        out
    }

    /// Whether the bound on work was met for this entry point, or for a call aside of every way to a load.
    pub fn exhausted(&self) -> bool {
        let aside = self.work.aside;
        self.work.is_spent() || aside.is_some_and(|(limit, _)| self.work.all >= limit)
    }

    /// A call of `function` begins: whether it is to be followed, and what to give to [`Machine::end_call`].
    pub fn begin_call(&mut self, function: &Function<'a>, arguments: &Arguments) -> Option<Before> {
        let before = Before(self.work.aside);
        let def = function.def;
        let leads = self.leads.contains(&def)
            || self.is_leading_lambda(def)
            || self.handed(function, arguments).next().is_some();
        self.work.aside = match before.0 {
            // What it leads to counts, whoever calls it.
            _ if leads => None,
            None => Some((self.work.all + MOST_WORK_ASIDE, 1)),
            Some((_, depth)) if depth >= DEEPEST_ASIDE => return None,
            Some((limit, depth)) => Some((limit, depth + 1)),
        };
        Some(before)
    }

    /// Whether it is a lambda with a load in it; other functions are known to lead to theirs.
    pub fn is_around_load(&self, def: Def) -> bool {
        let function = self
            .by_def
            .get(&def)
            .and_then(|id| self.functions.get(id.0 as usize));
        function.is_some_and(|function| match function.code {
            Code::Lambda(node) => {
                let inside = |site: &Site| {
                    site.place.file == def.file && span(node).contains(site.place.span)
                };
                self.sites.iter().any(inside)
            }
            Code::Def(_) => false,
        })
    }

    /// The call ends.
    pub fn end_call(&mut self, before: Before) {
        self.work.aside = before.0;
    }

    /// Work that costs as much as `units` of it.
    pub fn charge(&mut self, units: usize) {
        self.work.all += units;
        self.work.entry += units;
        if !self.work.spent && self.work.is_spent() {
            self.work.spent = true;
            self.bounds.cut(&self.frames);
        }
    }

    /// The top level of a module begins: what defines many functions has much to do, and comes to its end.
    pub fn begin_module(&mut self, statements: usize) {
        self.begin_entry();
        self.work.most += statements * MOST_WORK_STATEMENT;
    }

    /// A new entry point begins.
    pub fn begin_entry(&mut self) {
        self.work.entry = 0;
        self.work.most = self.work.most_each;
        self.work.spent = false;
    }

    /// A little more work, for a load that was not come to.
    pub fn grant(&mut self) {
        let most = MOST_WORK.saturating_sub(MOST_WORK_LATE);
        self.work.all = self.work.all.min(most);
        self.work.most = self.work.most_each;
        self.work.entry = self.work.most.saturating_sub(MOST_WORK_LATE);
        self.work.spent = false;
    }
}
