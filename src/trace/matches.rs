//! The `match` statement.

use super::at::At;
use super::env::Env;
use super::fold;
use super::machine::Machine;
use super::uses::Doing;
use super::value::{Atom, Const, Value};
use crate::python::ast::name::Name;
use crate::python::ast::{self, CmpOp, Expr, Pattern};

impl<'a> Machine<'a> {
    pub(super) fn match_statement(&mut self, node: &'a ast::StmtMatch, env: &mut Env) {
        let subject = self.value(&node.subject, env);
        let mut after = Env::default();
        after.dead = true;
        let mut left = env.clone();
        for case in &node.cases {
            if left.dead {
                break;
            }
            let fits = self.fits(&case.pattern, &subject, &mut left);
            if fits == Some(false) {
                continue;
            }
            let mut inside = left.clone();
            self.capture(&case.pattern, &subject, &mut inside);
            if is_constant_pattern(&case.pattern)
                && let Expr::Name(name) = &*node.subject
            {
                // What it matched is a constant.
                let clean = Value::clean();
                inside.set(name.id.clone(), clean);
                self.harmless_in(&subject, &mut inside);
            }
            if let Some(guard) = &case.guard {
                let truth = self.value(guard, &mut inside).truth();
                // What the pattern binds stays when the guard does not hold.
                left = match fits {
                    Some(true) => inside.clone(),
                    _ => left.join(&inside),
                };
                match truth {
                    Some(false) => continue,
                    Some(true) if fits == Some(true) => left.dead = true,
                    _ => {}
                }
                self.refine(guard, true, &mut inside);
            } else if fits == Some(true) {
                left.dead = true;
            }
            self.block(&case.body, &mut inside);
            after = after.join(&inside);
        }
        *env = after.join(&left);
    }

    /// Whether `pattern` matches `subject`, where that is known.
    pub(super) fn fits(
        &mut self,
        pattern: &'a Pattern,
        subject: &Value,
        env: &mut Env,
    ) -> Option<bool> {
        match pattern {
            Pattern::MatchAs(node) => match &node.pattern {
                Some(inner) => self.fits(inner, subject, env),
                None => Some(true),
            },
            Pattern::MatchValue(node) => {
                let value = self.value(&node.value, env);
                let (one, other) = ((subject, &*node.value), (&value, &*node.value));
                self.note_comparison(CmpOp::Eq, one, other);
                fold::compare(CmpOp::Eq, subject.constant()?, value.constant()?)
            }
            Pattern::MatchSingleton(node) => {
                let constant = match node.value {
                    ast::Singleton::None => Const::None,
                    ast::Singleton::True => Const::Bool(true),
                    ast::Singleton::False => Const::Bool(false),
                };
                Some(*subject.constant()? == constant)
            }
            Pattern::MatchOr(node) => {
                let mut known = Some(false);
                for inner in &node.patterns {
                    match self.fits(inner, subject, env) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => known = None,
                    }
                }
                known
            }
            Pattern::MatchSequence(node) => {
                let [Atom::Container(container)] = subject.atoms() else {
                    return None;
                };
                let length = container.in_order()?.len();
                let is_star = |p: &Pattern| matches!(p, Pattern::MatchStar(_));
                let fits = match node.patterns.iter().any(is_star) {
                    true => length + 1 >= node.patterns.len(),
                    false => length == node.patterns.len(),
                };
                (!fits).then_some(false)
            }
            Pattern::MatchClass(node) => {
                let class = self.value(&node.cls, env);
                let [Atom::Class(class)] = class.atoms() else {
                    return None;
                };
                let other = |atom: &Atom| match atom {
                    Atom::Instance(instance) => {
                        instance.made.is_some() && !self.lineage(instance.class).contains(class)
                    }
                    _ => false,
                };
                let none = !subject.is_empty() && subject.atoms().iter().all(other);
                none.then_some(false)
            }
            _ => None,
        }
    }

    pub(super) fn capture(&mut self, pattern: &'a Pattern, subject: &Value, env: &mut Env) {
        let place = self.place(pattern);
        match pattern {
            Pattern::MatchAs(node) => {
                if let Some(inner) = &node.pattern {
                    self.capture(inner, subject, env);
                }
                if let Some(name) = &node.name {
                    let value = match node.pattern.as_deref() {
                        Some(inner) if is_constant_pattern(inner) => Value::clean(),
                        _ => subject.clone(),
                    };
                    self.bind(&name.id.clone(), value, env);
                }
            }
            Pattern::MatchStar(node) => {
                if let Some(name) = &node.name {
                    self.bind(&name.id.clone(), subject.clone(), env);
                }
            }
            Pattern::MatchOr(node) => {
                for inner in &node.patterns {
                    self.capture(inner, subject, env);
                }
            }
            Pattern::MatchSequence(node) => {
                let star = node
                    .patterns
                    .iter()
                    .position(|p| matches!(p, Pattern::MatchStar(_)));
                let count = node.patterns.len();
                for (n, inner) in node.patterns.iter().enumerate() {
                    let part = match star {
                        Some(at) if n == at => self.starred(subject, at, count - at - 1, place),
                        Some(at) if n > at => {
                            let from_end = i64::try_from(count - n).unwrap_or(1);
                            self.item(subject, Some(&Const::Int(-from_end)), place)
                        }
                        _ => {
                            let key = Const::Int(i64::try_from(n).unwrap_or(0));
                            self.item(subject, Some(&key), place)
                        }
                    };
                    self.capture(inner, &part, env);
                }
            }
            Pattern::MatchMapping(node) => {
                for (key, inner) in node.keys.iter().zip(&node.patterns) {
                    let key = self.value(key, env);
                    self.note_key(subject, &key, place);
                    if let [Atom::Const(Const::Int(_))] = key.atoms() {
                        self.note_use(subject, place, || Doing::Key("a number".to_owned()));
                    }
                    let part = self.item(subject, key.constant(), place);
                    self.capture(inner, &part, env);
                }
                if let Some(name) = &node.rest {
                    self.bind(&name.id.clone(), subject.clone(), env);
                }
            }
            Pattern::MatchClass(node) => {
                let at = At::place(place);
                let class = self.value(&node.cls, env);
                self.note_test(subject, std::slice::from_ref(&class), place);
                let order: Vec<Name> = class
                    .atoms()
                    .iter()
                    .filter_map(|atom| match atom {
                        Atom::Class(class) => self.classes.get(class),
                        _ => None,
                    })
                    .flat_map(|info| info.annotated.clone())
                    .collect();
                for (n, inner) in node.arguments.patterns.iter().enumerate() {
                    let part = match order.get(n) {
                        Some(name) => self.attribute(subject, name, at, env),
                        // `str(x)`, `bytes(x)`: the subject itself.
                        None => subject.clone(),
                    };
                    self.capture(inner, &part, env);
                }
                for keyword in &node.arguments.keywords {
                    let part = self.attribute(subject, &keyword.attr, at, env);
                    self.capture(&keyword.pattern, &part, env);
                }
            }
            Pattern::MatchValue(_) | Pattern::MatchSingleton(_) => {}
        }
    }
}

/// Whether what matches `pattern` is a constant.
fn is_constant_pattern(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::MatchValue(_) | Pattern::MatchSingleton(_) => true,
        Pattern::MatchOr(node) => node.patterns.iter().all(is_constant_pattern),
        Pattern::MatchAs(node) => node.pattern.as_deref().is_some_and(is_constant_pattern),
        _ => false,
    }
}
