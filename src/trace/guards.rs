//! What a test says of the values in it, on the side where it holds and on the other.

use rustc_hash::FxHashSet;

use super::env::{Env, Verdict};
use super::known::compared_digests;
use super::machine::Machine;
use super::operators::all_constant;
use super::taint::{Identity, Taint};
use super::value::{Atom, Const, Def, Role, Value};
use crate::python::ast::name::Name;
use crate::python::ast::{self, CmpOp, Expr};

/// Data whose digest or signature was looked at, whatever came of that: who did, and what is to be said where a load does
/// not depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Looked {
    of: Identity,
    by: Option<Def>,
    why: &'static str,
}

/// It is compared, and whatever comes out, the load may follow.
const NO_EFFECT: &str = "check-without-effect";

/// Why a check that was made counts for nothing where `taint` is loaded by `holder`, if one was `looked` at.
pub(super) fn in_vain(
    looked: &FxHashSet<Looked>,
    taint: &Taint,
    holder: Option<Def>,
) -> Option<&'static str> {
    let (source, part) = taint.identity();
    let covers = |of: &Identity| of.0 == source && part.starts_with(&*of.1);
    let own = looked.iter().filter(|one| covers(&one.of));
    let beside = |one: &&Looked| holder.is_some() && one.by == holder && one.why == NO_EFFECT;
    own.map(|one| one.why).min().or_else(|| {
        let other = looked.iter().find(beside);
        other.map(|_| "check-of-other-data")
    })
}

impl<'a> Machine<'a> {
    /// What comparing `left` and `right` says; that they were compared is remembered.
    pub(super) fn compared(&mut self, left: &Value, right: &Value) -> Value {
        for (mine, other) in [(left, right), (right, left)] {
            for atom in mine.atoms() {
                if let Atom::Digest(check) = atom {
                    let why = match check.keyless && other.is_untrusted() {
                        true => "digest-without-key",
                        false => NO_EFFECT,
                    };
                    self.looked_at(&check.of, why);
                }
            }
        }
        compared_digests(left, right)
    }

    /// The signature of `given` is checked, and what is signed is what that gives.
    pub(super) fn verified(&mut self, given: &Value) {
        let of: Vec<Identity> = given.taints().into_iter().map(Taint::identity).collect();
        self.looked_at(&of, NO_EFFECT);
    }

    fn looked_at(&mut self, of: &[Identity], why: &'static str) {
        // A helper checks for those that call it.
        let frames = self.frames.iter().map(|frame| frame.def);
        let rows = frames.flat_map(|by| {
            of.iter().map(move |of| Looked {
                of: of.clone(),
                by,
                why,
            })
        });
        self.looked.extend(rows);
    }

    /// What holds in `env` when `test` turned out as `truth`.
    pub(super) fn refine(&mut self, test: &'a Expr, truth: bool, env: &mut Env) {
        self.nest(|machine| machine.refine_inside(test, truth, env));
    }

    fn refine_inside(&mut self, test: &'a Expr, truth: bool, env: &mut Env) {
        match test {
            Expr::UnaryOp(node) if node.op == ast::UnaryOp::Not => {
                self.refine(&node.operand, !truth, env);
            }
            Expr::BoolOp(node) => {
                let all = node.op == ast::BoolOp::And;
                if all == truth {
                    for part in &node.values {
                        self.refine(part, truth, env);
                    }
                } else {
                    self.either(&node.values, truth, env);
                }
            }
            Expr::Compare(node) => self.refine_comparison(node, truth, env),
            Expr::Call(_) | Expr::Name(_) | Expr::Named(_) | Expr::Await(_) => {
                let value = match test {
                    Expr::Named(node) => {
                        let value = self.quietly(&node.value, env);
                        if let Expr::Name(name) = &*node.target {
                            env.set(name.id.clone(), value.clone());
                        }
                        value
                    }
                    _ => self.quietly(test, env),
                };
                if truth {
                    self.hold(&value, env);
                }
                if !truth {
                    self.unhold(&value, env);
                }
                let name = match test {
                    Expr::Named(node) => &*node.target,
                    test => test,
                };
                if let (Expr::Name(name), false) = (name, truth) {
                    // What is taken as false is empty, or nothing.
                    if value.is_untrusted() {
                        env.set(name.id.clone(), Value::clean());
                    }
                }
            }
            _ => {}
        }
    }

    /// One of `tests` turned out as `truth`: what each says alone holds only where all say it.
    fn either(&mut self, tests: &'a [Expr], truth: bool, env: &mut Env) {
        let mut joined: Option<Env> = None;
        for test in tests {
            let mut one = env.clone();
            self.refine(test, truth, &mut one);
            joined = Some(match joined {
                None => one,
                Some(before) => before.join(&one),
            });
        }
        if let Some(joined) = joined {
            *env = joined;
        }
    }

    /// The value of `expr`, evaluated once more, without what that does.
    fn quietly(&mut self, expr: &'a Expr, env: &Env) -> Value {
        let reached = self.reached.last().map_or(0, Vec::len);
        let value = self.value(expr, &mut env.clone());
        if let Some(open) = self.reached.last_mut() {
            open.truncate(reached);
        }
        value
    }

    /// A test gave `value`, and it was taken as true.
    fn hold(&mut self, value: &Value, env: &mut Env) {
        let only = value.atoms().iter().all(|atom| {
            match atom {
                Atom::Checked(_) | Atom::Harmless(_) | Atom::Tame(_) => true,
                Atom::Container(container) => container.role == Role::Match(true),
                // True without a check.
                Atom::Const(constant) => constant.truth() != Some(true),
                _ => false,
            }
        });
        for atom in value.atoms().iter().filter(|_| only) {
            match atom {
                Atom::Checked(check) => {
                    let verdict = match check.sham {
                        Some(why) => Verdict::Sham(why),
                        None => Verdict::Signed,
                    };
                    for identity in &check.of {
                        env.check((identity.clone(), verdict));
                    }
                }
                Atom::Harmless(identity) => env.check((identity.clone(), Verdict::Harmless)),
                Atom::Tame(identity) => tame(identity, env),
                _ => {}
            }
        }
    }

    /// A test gave `value`, and it was taken as false.
    fn unhold(&mut self, value: &Value, env: &mut Env) {
        let only = value.atoms().iter().all(|atom| {
            matches!(
                atom,
                Atom::Wild(_) | Atom::Untrusted(_) | Atom::Const(Const::None)
            )
        });
        let wild: Vec<Identity> = value
            .atoms()
            .iter()
            .filter_map(|atom| match atom {
                Atom::Wild(identity) => Some(identity.clone()),
                _ => None,
            })
            .collect();
        if let ([identity], true) = (wild.as_slice(), only) {
            tame(identity, env);
        }
    }

    fn refine_comparison(&mut self, node: &'a ast::ExprCompare, truth: bool, env: &mut Env) {
        let ([op], [right]) = (&*node.ops, &*node.comparators) else {
            return;
        };
        let holds = match op {
            CmpOp::Eq | CmpOp::In | CmpOp::Is => truth,
            CmpOp::NotEq | CmpOp::NotIn | CmpOp::IsNot => !truth,
            _ => return,
        };
        let left = self.quietly(&node.left, env);
        let right_value = self.quietly(right, env);
        // `x is None`, on the side where it is.
        if matches!(op, CmpOp::Is | CmpOp::IsNot) {
            if right.is_none_literal_expr() && !node.left.is_name_expr() {
                match holds {
                    true => self.unhold(&left, env),
                    false => self.hold(&left, env),
                }
            }
            if let (Expr::Name(name), Expr::NoneLiteral(_)) = (&*node.left, right) {
                match holds {
                    true => self.unhold(&left, env),
                    false => self.hold(&left, env),
                }
                let none = |atom: &Atom| matches!(atom, Atom::Const(super::value::Const::None));
                match holds {
                    true if left.is_untrusted() => env.set(name.id.clone(), Value::clean()),
                    false if left.atoms().iter().any(none) => {
                        env.set(name.id.clone(), left.filter(|a| !none(a)));
                    }
                    _ => {}
                }
            }
            return;
        }
        // `compare_digest(a, b) is True`, `verify(x) == True`.
        if let Some(said) = right_value
            .truth()
            .filter(|_| right.is_boolean_literal_expr())
        {
            if holds == said {
                self.hold(&left, env);
            }
            return;
        }
        if !holds {
            return;
        }
        let right_any = match op {
            CmpOp::In | CmpOp::NotIn => self.iterated(&right_value, self.place(right)),
            _ => right_value.clone(),
        };
        let checked = self.compared(&left, &right_any);
        self.hold(&checked, env);
        let (data, expr, known) = match (left.is_untrusted(), right_value.is_untrusted(), op) {
            (true, false, _) => (&left, &*node.left, &right_value),
            (false, true, CmpOp::Eq | CmpOp::NotEq) => (&right_value, right, &left),
            _ => return,
        };
        if !all_constant(*op, known) {
            return;
        }
        self.harmless_in(data, env);
        if let Expr::Name(name) = expr {
            env.set(name.id.clone(), Value::clean());
        }
    }

    /// `value` is one of some constants.
    pub(super) fn harmless_in(&mut self, value: &Value, env: &mut Env) {
        let taints = value.taints();
        if taints.len() != value.atoms().len() {
            return;
        }
        for taint in taints.into_iter().filter(|t| t.exact) {
            env.check((taint.identity(), Verdict::Harmless));
        }
    }
}

/// What holds the value of `identity`, unchanged, is text without control characters.
fn tame(identity: &Identity, env: &mut Env) {
    let same = |taint: &Taint| taint.exact && taint.identity() == *identity;
    let holds = |value: &Value| value.taints().into_iter().any(same);
    let changes: Vec<(Name, Value)> = env
        .vars()
        .iter()
        .filter(|(_, value)| holds(value))
        .map(|(name, value)| {
            let tamed = value.map_taints(&|taint| Taint {
                tame: taint.tame || same(taint),
                ..taint.clone()
            });
            (name.clone(), tamed)
        })
        .collect();
    for (name, value) in changes {
        env.set(name, value);
    }
}
