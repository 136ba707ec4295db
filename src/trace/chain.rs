//! The calls between an entry point and a load.
//!
//! Invariant: a way that is found by many calls is kept once. Each call adds itself before what it shares with the others, so
//! that deep calls cost what they add, in time and in memory.

use std::rc::Rc;

use super::taint::Place;
use super::value::Def;

/// One call on the way from an entry point to a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAt {
    /// The call expression.
    pub place: Place,
    /// The function that makes the call; the module level when absent.
    pub caller: Option<Def>,
}

/// Calls, outermost first.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain(Option<Rc<Link>>);

#[derive(Debug)]
struct Link {
    call: CallAt,
    length: usize,
    rest: Chain,
}

impl Chain {
    /// `call`, then this.
    pub fn by(&self, call: CallAt) -> Chain {
        let length = self.len() + 1;
        let rest = self.clone();
        Chain(Some(Rc::new(Link { call, length, rest })))
    }

    /// How many calls.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |link| link.length)
    }

    /// The outermost call.
    pub fn first(&self) -> Option<&CallAt> {
        self.iter().next()
    }

    /// All of them, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = &CallAt> {
        let links = std::iter::successors(self.0.as_ref(), |link| link.rest.0.as_ref());
        links.map(|link| &link.call)
    }

    /// From the call that `caller` makes; nothing when it makes none.
    pub fn from(&self, caller: Def) -> Option<Chain> {
        let mut rest = self;
        while let Some(link) = &rest.0 {
            if link.call.caller == Some(caller) {
                return Some(rest.clone());
            }
            rest = &link.rest;
        }
        None
    }
}
