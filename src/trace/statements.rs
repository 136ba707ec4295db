//! Statements: how each changes the state.

use super::at::At;
use super::env::Env;
use super::functions::Code;
use super::iterators::alternatives;
use super::machine::Machine;
use super::uses::Doing;
use super::value::{Arguments, Atom, Const, Role, Value};
use crate::python::ast::{self, ExceptHandler, Expr, Stmt};

/// Turns of a loop that are followed before its state must have settled.
const MOST_TURNS: usize = 3;
/// A loop over no more known items than this is followed item by item.
const MOST_ITEMS: usize = 6;

impl<'a> Machine<'a> {
    pub(super) fn block(&mut self, body: &'a [Stmt], env: &mut Env) {
        for stmt in body {
            if env.dead {
                return;
            }
            self.statement(stmt, env);
        }
    }

    pub(super) fn statement(&mut self, stmt: &'a Stmt, env: &mut Env) {
        self.dive(|machine| machine.statement_inside(stmt, env));
    }

    fn statement_inside(&mut self, stmt: &'a Stmt, env: &mut Env) {
        match stmt {
            Stmt::Expr(node) => {
                self.value(&node.value, env);
            }
            Stmt::Assign(node) => {
                let value = match node.targets.as_slice() {
                    [target] => self.value_for_name(target, &node.value, env),
                    _ => self.value(&node.value, env),
                };
                for target in &node.targets {
                    self.assign(target, value.clone(), env);
                    if let (Expr::Name(name), Expr::Name(other)) = (target, &*node.value)
                        && env.get(&other.id).is_some()
                    {
                        env.twin(&name.id, &other.id);
                    }
                }
            }
            Stmt::AnnAssign(node) => {
                if let Some(value) = &node.value {
                    let value = self.value(value, env);
                    let at = self.place(&*node.annotation);
                    self.note_annotated(&value, &node.annotation, at);
                    self.assign(&node.target, value, env);
                }
            }
            Stmt::AugAssign(node) => {
                let value = self.augmented(node, env);
                let in_place = |a: &Atom| matches!(a, Atom::Container(c) if c.role != Role::Tuple);
                if value.atoms().iter().any(in_place) {
                    // A list grows where it is.
                    return self.store_into(&node.target, value, env);
                }
                self.assign(&node.target, value, env);
            }
            Stmt::Return(node) => {
                let value = match &node.value {
                    Some(value) => self.value(value, env),
                    None => Const::None.into(),
                };
                let function = self.frames.last().and_then(|frame| frame.def);
                if let Some(Code::Def(def)) = function
                    .and_then(|def| self.function_at(def))
                    .map(|function| function.code)
                    && let Some(class) = def.returns.as_deref()
                    && !def.is_async
                {
                    self.note_annotated(&value, class, self.place(class));
                }
                self.returned(value, env);
                env.dead = true;
            }
            Stmt::Raise(node) => {
                for part in [&node.exc, &node.cause].into_iter().flatten() {
                    let raised = self.value(part, env);
                    let error = || Doing::Tested(vec!["builtins.BaseException".to_owned()]);
                    self.note_use(&raised, self.place(&**part), error);
                    self.raised = std::mem::take(&mut self.raised).join(&raised);
                }
                env.dead = true;
            }
            Stmt::Break(_) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.loop_breaks.push(env.clone());
                }
                env.dead = true;
            }
            Stmt::Continue(_) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.loop_exits.push(env.clone());
                }
                env.dead = true;
            }
            Stmt::If(node) => self.branch(node, env),
            Stmt::For(node) => {
                let items = self.value(&node.iter, env);
                self.note_iterated(&items, &node.iter, (&node.target, node.is_async), env);
                if let Expr::Name(name) = &*node.iter {
                    // An iterator advances with the loop.
                    let advanced = items.unordered();
                    if !advanced.same(&items) && env.get(&name.id).is_some() {
                        env.change(&name.id, &advanced);
                    }
                }
                if let [Atom::Container(container)] = items.atoms()
                    && let Some(items) = container.in_order()
                    && items.len() <= MOST_ITEMS
                {
                    return self.each(node, &items, env);
                }
                let item = self.iterated(&items, self.place(&*node.iter));
                let turns = alternatives(item);
                self.repeat(env, None, &node.orelse, false, |this, env| {
                    let mut after: Option<Env> = None;
                    for item in &turns {
                        let mut inside = env.clone();
                        this.assign(&node.target, item.clone(), &mut inside);
                        this.block(&node.body, &mut inside);
                        after = Some(match after {
                            Some(before) => before.join(&inside),
                            None => inside,
                        });
                    }
                    *env = after.unwrap_or_else(|| env.clone());
                });
            }
            Stmt::While(node) => {
                let truth = self.value(&node.test, env).truth();
                if truth == Some(false) {
                    self.block(&node.orelse, env);
                    return;
                }
                let is_literal = matches!(
                    &*node.test,
                    Expr::BooleanLiteral(_) | Expr::NumberLiteral(_)
                );
                let endless = truth == Some(true) && is_literal;
                let exit = (!endless).then_some(&*node.test);
                self.repeat(env, exit, &node.orelse, endless, |this, env| {
                    this.value(&node.test, env);
                    this.refine(&node.test, true, env);
                    this.block(&node.body, env);
                });
            }
            Stmt::With(node) => self.with(node, env),
            Stmt::Try(node) => self.attempt(node, env),
            Stmt::Match(node) => self.match_statement(node, env),
            Stmt::FunctionDef(node) => self.define_function(node, env),
            Stmt::ClassDef(node) => self.define_class(node, env),
            Stmt::Import(node) => {
                for alias in &node.names {
                    self.import(alias, env);
                }
            }
            Stmt::ImportFrom(node) => self.import_from(node, env),
            Stmt::Global(node) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame
                        .globals
                        .extend(node.names.iter().map(|n| n.id.clone()));
                }
            }
            Stmt::Nonlocal(node) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame
                        .nonlocals
                        .extend(node.names.iter().map(|n| n.id.clone()));
                }
            }
            Stmt::Delete(node) => {
                for target in &node.targets {
                    self.delete(target, env);
                }
            }
            Stmt::Assert(node) => {
                self.value(&node.test, env);
                if let Some(message) = &node.msg {
                    let mut failed = env.clone();
                    self.refine(&node.test, false, &mut failed);
                    self.value(message, &mut failed);
                }
                self.refine(&node.test, true, env);
            }
            Stmt::Pass(_) | Stmt::TypeAlias(_) | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    fn branch(&mut self, node: &'a ast::StmtIf, env: &mut Env) {
        let truth = self.value(&node.test, env).truth();
        let mut yes = env.clone();
        yes.dead |= truth == Some(false);
        if !yes.dead {
            self.refine(&node.test, true, &mut yes);
            self.block(&node.body, &mut yes);
        }
        let mut no = std::mem::take(env);
        no.dead |= truth == Some(true);
        if !no.dead {
            self.refine(&node.test, false, &mut no);
        }
        let mut after = yes;
        for clause in &node.elif_else_clauses {
            let mut taken = no.clone();
            if let Some(test) = &clause.test {
                if !no.dead {
                    let truth = self.value(test, &mut no).truth();
                    taken = no.clone();
                    taken.dead |= truth == Some(false);
                    no.dead |= truth == Some(true);
                }
                if !taken.dead {
                    self.refine(test, true, &mut taken);
                }
                if !no.dead {
                    self.refine(test, false, &mut no);
                }
            } else {
                no.dead = true;
            }
            if !taken.dead {
                self.block(&clause.body, &mut taken);
            }
            after = after.join(&taken);
        }
        *env = after.join(&no);
    }

    /// Runs a loop body once for each of a few known items.
    fn each(&mut self, node: &'a ast::StmtFor, items: &[Value], env: &mut Env) {
        let (exits, breaks) = match self.frames.last_mut() {
            Some(frame) => (
                std::mem::take(&mut frame.loop_exits),
                std::mem::take(&mut frame.loop_breaks),
            ),
            None => (Vec::new(), Vec::new()),
        };
        // `for one in (first, second)`: the objects themselves.
        let named = match &*node.iter {
            Expr::Tuple(tuple) => tuple.elts.as_slice(),
            Expr::List(list) => list.elts.as_slice(),
            _ => &[],
        };
        for (n, item) in items.iter().enumerate() {
            if env.dead {
                break;
            }
            self.assign(&node.target, item.clone(), env);
            if let (Expr::Name(name), Some(Expr::Name(other))) = (&*node.target, named.get(n)) {
                env.twin(&name.id, &other.id);
            }
            self.block(&node.body, env);
            let continued = match self.frames.last_mut() {
                Some(frame) => std::mem::take(&mut frame.loop_exits),
                None => Vec::new(),
            };
            for one in continued {
                *env = std::mem::take(env).join(&one);
            }
        }
        let mut broken = Vec::new();
        if let Some(frame) = self.frames.last_mut() {
            frame.loop_exits = exits;
            broken = std::mem::replace(&mut frame.loop_breaks, breaks);
        }
        self.block(&node.orelse, env);
        for one in broken {
            *env = std::mem::take(env).join(&one);
        }
    }

    /// Runs a loop body until little can change, joined with not at all.
    fn repeat(
        &mut self,
        env: &mut Env,
        exit: Option<&'a Expr>,
        orelse: &'a [Stmt],
        endless: bool,
        mut body: impl FnMut(&mut Self, &mut Env),
    ) {
        let (exits, breaks) = match self.frames.last_mut() {
            Some(frame) => (
                std::mem::take(&mut frame.loop_exits),
                std::mem::take(&mut frame.loop_breaks),
            ),
            None => (Vec::new(), Vec::new()),
        };
        for _ in 0..MOST_TURNS {
            let before = env.clone();
            let mut inside = env.clone();
            body(self, &mut inside);
            *env = std::mem::take(env).join(&inside);
            let broken = match self.frames.last_mut() {
                Some(frame) => std::mem::take(&mut frame.loop_exits),
                None => Vec::new(),
            };
            for exit in broken {
                *env = std::mem::take(env).join(&exit);
            }
            env.blur_grown();
            if env.settled(&before) || self.exhausted() {
                break;
            }
        }
        let mut broken = Vec::new();
        if let Some(frame) = self.frames.last_mut() {
            frame.loop_exits = exits;
            broken = std::mem::replace(&mut frame.loop_breaks, breaks);
        }
        env.dead |= endless;
        if let Some(exit) = exit {
            // It ended because this did not hold.
            self.refine(exit, false, env);
        }
        self.block(orelse, env);
        // `else` runs only when nothing broke out.
        for one in broken {
            *env = std::mem::take(env).join(&one);
        }
        env.blur_grown();
    }

    fn with(&mut self, node: &'a ast::StmtWith, env: &mut Env) {
        let hooked = env.hooked;
        for item in &node.items {
            let value = self.value(&item.context_expr, env);
            let place = self.place(&item.context_expr);
            self.note_entered(&value, &item.context_expr, "__enter__");
            let mut entered = Value::unknown();
            for atom in value.atoms() {
                let Atom::Instance(instance) = atom else {
                    entered.add(atom.clone());
                    continue;
                };
                let at = At::place(place);
                let mut got = None;
                for name in ["__enter__", "__aenter__"] {
                    let method = self.member(*instance, name, at, env);
                    let own: Value = atom.clone().into();
                    let none = Arguments::default();
                    got = got.or(self.call_value(&method, &own, &none, at, env));
                }
                entered = entered.join(&got.unwrap_or_else(|| atom.clone().into()));
            }
            if let Some(target) = &item.optional_vars {
                self.assign(target, entered, env);
            }
        }
        let suppresses = node.items.iter().any(|item| match &item.context_expr {
            Expr::Call(call) => crate::python::dotted(&call.func)
                .is_some_and(|parts| parts.last().is_some_and(|last| last == "suppress")),
            _ => false,
        });
        match suppresses {
            true => {
                let raised = self.risky(&node.body, env);
                *env = std::mem::take(env).join(&raised);
            }
            false => self.block(&node.body, env),
        }
        // A hook in a `with` statement ends with it.
        env.hooked = hooked;
    }

    /// Runs `body`, and gives what holds when something in it raises: before, between or after its statements, but not
    /// after an assignment whose value was never there.
    fn risky(&mut self, body: &'a [Stmt], env: &mut Env) -> Env {
        let mut raised: Option<Env> = None;
        let mut add = |state: Env| {
            raised = Some(match raised.take() {
                Some(before) => before.join(&state),
                None => state,
            });
        };
        let first = env.clone();
        for stmt in body {
            if env.dead {
                break;
            }
            let target = match stmt {
                Stmt::Assign(node) => match node.targets.as_slice() {
                    [Expr::Name(name)] => Some((&name.id, &*node.value)),
                    _ => None,
                },
                _ => None,
            };
            let before = env.clone();
            self.statement(stmt, env);
            if let Some((_, Expr::Name(_))) = target {
                continue;
            }
            if target.is_some_and(|(_, value)| value.is_literal_expr()) {
                continue;
            }
            let mut after = env.clone();
            after.dead = false;
            if let Some((name, _)) = target {
                match before.get(name) {
                    Some(value) => after.set(name.clone(), value.clone()),
                    None => after.remove(name),
                }
            }
            add(before);
            add(after);
        }
        raised.unwrap_or(first)
    }

    fn attempt(&mut self, node: &'a ast::StmtTry, env: &mut Env) {
        let before = env.clone();
        let raised_before = std::mem::take(&mut self.raised);
        let returned_before = self.frames.last().map(|frame| frame.returns.clone());
        let mut raised = self.risky(&node.body, env);
        let caught_value = std::mem::take(&mut self.raised);
        self.raised = raised_before.join(&caught_value);
        raised.checked_as(&before);
        self.block(&node.orelse, env);
        let mut after = std::mem::take(env);
        for handler in &node.handlers {
            let ExceptHandler::ExceptHandler(handler) = handler;
            let mut caught = raised.clone();
            if let Some(kind) = &handler.type_ {
                self.value(kind, &mut caught);
            }
            if let Some(name) = &handler.name {
                self.bind(&name.id.clone(), caught_value.clone(), &mut caught);
            }
            self.block(&handler.body, &mut caught);
            after = after.join(&caught);
        }
        let dead = after.dead;
        if dead {
            after = raised;
        } else if !node.finalbody.is_empty() {
            // It runs on the way of an exception too.
            self.block(&node.finalbody, &mut raised);
        }
        if let (Some(frame), Some(returned), Some(Stmt::Return(_))) = (
            self.frames.last_mut(),
            returned_before,
            node.finalbody.last(),
        ) {
            // It replaces what was to be returned.
            frame.returns = returned;
            after.dead = false;
        }
        self.block(&node.finalbody, &mut after);
        after.dead |= dead;
        *env = after;
    }
}
