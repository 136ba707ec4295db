//! Statements: how each changes the state.

use std::cell::RefCell;
use std::rc::Rc;

use super::machine::{Class, Code, Env, Frame, Function, Machine, Owner, Vars};
use super::value::{Atom, Const, Container, Def, Hop, HopKind, Place, Taint, Value};
use crate::pack::Shape;
use crate::python::ast::{self, ExceptHandler, Expr, Pattern, Stmt};
use crate::python::span;

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
        if !self.spend() {
            return;
        }
        match stmt {
            Stmt::Expr(node) => {
                self.value(&node.value, env);
            }
            Stmt::Assign(node) => {
                let value = self.value(&node.value, env);
                for target in &node.targets {
                    self.assign(target, value.clone(), env);
                }
            }
            Stmt::AnnAssign(node) => {
                if let Some(value) = &node.value {
                    let value = self.value(value, env);
                    self.assign(&node.target, value, env);
                }
            }
            Stmt::AugAssign(node) => {
                let before = self.value(&node.target, env);
                let added = self.value(&node.value, env);
                let value = self.combined(&[before, added]);
                self.assign(&node.target, value, env);
            }
            Stmt::Return(node) => {
                let value = match &node.value {
                    Some(value) => self.value(value, env),
                    None => Atom::Const(Const::None).into(),
                };
                self.returned(value);
                env.dead = true;
            }
            Stmt::Raise(node) => {
                for part in [&node.exc, &node.cause].into_iter().flatten() {
                    self.value(part, env);
                }
                env.dead = true;
            }
            Stmt::Break(_) | Stmt::Continue(_) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.loop_exits.push(env.clone());
                }
                env.dead = true;
            }
            Stmt::If(node) => self.branch(node, env),
            Stmt::For(node) => {
                let items = self.value(&node.iter, env);
                let item = self.element(&items, &*node.iter);
                self.repeat(env, &node.orelse, |this, env| {
                    this.assign(&node.target, item.clone(), env);
                    this.block(&node.body, env);
                });
            }
            Stmt::While(node) => {
                let endless = self
                    .value(&node.test, env)
                    .constant()
                    .and_then(Const::truth);
                if endless == Some(false) {
                    self.block(&node.orelse, env);
                    return;
                }
                self.repeat(env, &node.orelse, |this, env| {
                    this.value(&node.test, env);
                    this.refine(&node.test, true, env);
                    this.block(&node.body, env);
                });
            }
            Stmt::With(node) => {
                for item in &node.items {
                    let value = self.value(&item.context_expr, env);
                    if let Some(target) = &item.optional_vars {
                        self.assign(target, value, env);
                    }
                }
                self.block(&node.body, env);
            }
            Stmt::Try(node) => self.attempt(node, env),
            Stmt::Match(node) => {
                let subject = self.value(&node.subject, env);
                let mut after = env.clone();
                for case in &node.cases {
                    let mut inside = env.clone();
                    self.capture(&case.pattern, &subject, &mut inside);
                    if let Some(guard) = &case.guard {
                        self.value(guard, &mut inside);
                    }
                    self.block(&case.body, &mut inside);
                    after = after.join(inside);
                }
                *env = after;
            }
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
                        .extend(node.names.iter().map(ToString::to_string));
                }
            }
            Stmt::Delete(node) => {
                for target in &node.targets {
                    if let Expr::Name(name) = target {
                        env.vars.remove(name.id.as_str());
                    }
                }
            }
            Stmt::Assert(node) => {
                self.value(&node.test, env);
                self.refine(&node.test, true, env);
            }
            Stmt::Nonlocal(_) | Stmt::Pass(_) | Stmt::TypeAlias(_) | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    fn branch(&mut self, node: &'a ast::StmtIf, env: &mut Env) {
        let truth = self
            .value(&node.test, env)
            .constant()
            .and_then(Const::truth);
        let mut yes = env.clone();
        yes.dead |= truth == Some(false);
        self.refine(&node.test, true, &mut yes);
        if !yes.dead {
            self.block(&node.body, &mut yes);
        }
        let mut no = env.clone();
        no.dead |= truth == Some(true);
        self.refine(&node.test, false, &mut no);
        let mut after = yes;
        for clause in &node.elif_else_clauses {
            let mut taken = no.clone();
            if let Some(test) = &clause.test {
                if !no.dead {
                    self.value(test, &mut no);
                    taken = no.clone();
                }
                self.refine(test, true, &mut taken);
                self.refine(test, false, &mut no);
            } else {
                no.dead = true;
            }
            if !taken.dead {
                self.block(&clause.body, &mut taken);
            }
            after = after.join(taken);
        }
        *env = after.join(no);
    }

    /// Runs a loop body until little can change: twice, joined with not at all.
    fn repeat(
        &mut self,
        env: &mut Env,
        orelse: &'a [Stmt],
        mut body: impl FnMut(&mut Self, &mut Env),
    ) {
        let exits = match self.frames.last_mut() {
            Some(frame) => std::mem::take(&mut frame.loop_exits),
            None => Vec::new(),
        };
        for _ in 0..2 {
            let mut inside = env.clone();
            body(self, &mut inside);
            *env = env.clone().join(inside);
            let broken = match self.frames.last_mut() {
                Some(frame) => std::mem::take(&mut frame.loop_exits),
                None => Vec::new(),
            };
            for exit in broken {
                *env = env.clone().join(exit);
            }
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.loop_exits = exits;
        }
        self.block(orelse, env);
    }

    fn attempt(&mut self, node: &'a ast::StmtTry, env: &mut Env) {
        let before = env.clone();
        self.block(&node.body, env);
        // An exception can come before, between or after the statements of the body.
        let mut raised = before.clone().join(Env {
            dead: false,
            ..env.clone()
        });
        raised.checked = before.checked;
        self.block(&node.orelse, env);
        let mut after = env.clone();
        for handler in &node.handlers {
            let ExceptHandler::ExceptHandler(handler) = handler;
            let mut caught = raised.clone();
            if let Some(name) = &handler.name {
                self.bind(name, Value::unknown(), &mut caught);
            }
            self.block(&handler.body, &mut caught);
            after = after.join(caught);
        }
        let dead = after.dead;
        if dead {
            after = raised;
        }
        self.block(&node.finalbody, &mut after);
        after.dead |= dead;
        *env = after;
    }

    /// Binds what `target` names to `value`.
    pub(super) fn assign(&mut self, target: &'a Expr, value: Value, env: &mut Env) {
        match target {
            Expr::Name(name) => self.bind(&name.id, value, env),
            Expr::Starred(star) => self.assign(&star.value, Container::of(value).into(), env),
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                for (n, target) in elts.iter().enumerate() {
                    let key = Const::Int(i64::try_from(n).unwrap_or(0));
                    let part = self.item(&value, Some(&key), target);
                    self.assign(target, part, env);
                }
            }
            Expr::Attribute(attribute) => {
                let owner = self.value(&attribute.value, env);
                for atom in owner.atoms() {
                    let owner = match atom {
                        Atom::Instance(class) | Atom::Class(class) => Owner::Class(*class),
                        Atom::External(name) => Owner::External(Rc::clone(name)),
                        _ => continue,
                    };
                    let field = self.fields.entry((owner, attribute.attr.to_string()));
                    let field = field.or_default();
                    *field = std::mem::take(field).join(&value);
                }
            }
            Expr::Subscript(subscript) => {
                let key = self.value(&subscript.slice, env);
                let Expr::Name(name) = &*subscript.value else {
                    return;
                };
                let Some(before) = env.vars.get(name.id.as_str()) else {
                    return;
                };
                let changed = before.atoms().iter().map(|atom| match atom {
                    Atom::Container(container) => {
                        let mut container = (**container).clone();
                        match key.constant() {
                            Some(key) => {
                                container.items.insert(key.clone(), value.clone());
                            }
                            None => container.rest = container.rest.clone().join(&value),
                        }
                        Atom::Container(Rc::new(container))
                    }
                    other => other.clone(),
                });
                let changed: Value = changed.collect();
                self.bind(&name.id, changed, env);
            }
            _ => {}
        }
    }

    fn capture(&mut self, pattern: &'a Pattern, subject: &Value, env: &mut Env) {
        match pattern {
            Pattern::MatchAs(node) => {
                if let Some(inner) = &node.pattern {
                    self.capture(inner, subject, env);
                }
                if let Some(name) = &node.name {
                    self.bind(name, subject.clone(), env);
                }
            }
            Pattern::MatchStar(node) => {
                if let Some(name) = &node.name {
                    self.bind(name, subject.clone(), env);
                }
            }
            Pattern::MatchOr(node) => {
                for inner in &node.patterns {
                    self.capture(inner, subject, env);
                }
            }
            Pattern::MatchSequence(node) => {
                for (n, inner) in node.patterns.iter().enumerate() {
                    let key = Const::Int(i64::try_from(n).unwrap_or(0));
                    let part = self.item(subject, Some(&key), inner);
                    self.capture(inner, &part, env);
                }
            }
            Pattern::MatchMapping(node) => {
                for (key, inner) in node.keys.iter().zip(&node.patterns) {
                    let key = self.value(key, env);
                    let part = self.item(subject, key.constant(), inner);
                    self.capture(inner, &part, env);
                }
                if let Some(name) = &node.rest {
                    self.bind(name, subject.clone(), env);
                }
            }
            Pattern::MatchClass(node) => {
                let inner = node.arguments.patterns.iter();
                for inner in inner.chain(node.arguments.keywords.iter().map(|k| &k.pattern)) {
                    let part = self.item(subject, None, inner);
                    self.capture(inner, &part, env);
                }
            }
            Pattern::MatchValue(_) | Pattern::MatchSingleton(_) => {}
        }
    }

    /// Values of default arguments, evaluated where the function is defined.
    pub(super) fn defaults(&mut self, parameters: &'a ast::Parameters, env: &mut Env) -> Vars {
        let mut defaults = Vars::new();
        for parameter in parameters.iter_non_variadic_params() {
            if let Some(default) = parameter.default() {
                let value = self.value(default, env);
                defaults.insert(parameter.name().to_string(), value);
            }
        }
        defaults
    }

    fn define_function(&mut self, node: &'a ast::StmtFunctionDef, env: &mut Env) {
        let def = Def {
            file: self.file(),
            start: span(node).start,
        };
        let defaults = self.defaults(&node.parameters, env);
        let (class, closure) = match self.frames.last() {
            Some(frame) if frame.def.is_some() => (None, Some(&frame.closure)),
            Some(frame) => (frame.class, None),
            None => (None, None),
        };
        let closure = closure.map(|outer| {
            let mut vars = outer
                .as_ref()
                .map_or_else(Default::default, |outer| outer.borrow().clone());
            vars.extend(env.vars.clone());
            vars.insert(node.name.to_string(), Atom::Function(def, None).into());
            Rc::new(RefCell::new(vars))
        });
        let function = Function {
            def,
            code: Code::Def(node),
            class,
            closure,
            defaults,
        };
        self.functions.insert(def, Rc::new(function));
        for decorator in &node.decorator_list {
            self.decorator(decorator, def, class, env);
        }
        if class.is_none() {
            self.handler_by_signature(node, def);
        }
        self.bind(&node.name, Atom::Function(def, None).into(), env);
    }

    fn define_class(&mut self, node: &'a ast::StmtClassDef, env: &mut Env) {
        let def = Def {
            file: self.file(),
            start: span(node).start,
        };
        let bases = node
            .arguments
            .iter()
            .flat_map(|arguments| &arguments.args)
            .map(|base| self.value(base, env))
            .collect();
        // Methods refer to their class while its body is still running.
        self.classes.insert(
            def,
            Rc::new(Class {
                bases,
                attributes: Default::default(),
            }),
        );
        let outer = self.frames.last();
        let closure = outer.filter(|f| f.def.is_some()).map(|frame| {
            let mut vars = frame
                .closure
                .as_ref()
                .map_or_else(Default::default, |c| c.borrow().clone());
            vars.extend(env.vars.clone());
            Rc::new(RefCell::new(vars))
        });
        let file = self.file();
        self.frames.push(Frame::new(file, None, Some(def), closure));
        let mut inside = Env::default();
        self.block(&node.body, &mut inside);
        self.frames.pop();
        if let Some(class) = self.classes.get(&def) {
            let class = Class {
                bases: class.bases.clone(),
                attributes: inside.vars,
            };
            self.classes.insert(def, Rc::new(class));
        }
        self.handlers_by_base(def);
        self.bind(&node.name, Atom::Class(def).into(), env);
    }

    fn import(&mut self, alias: &ast::Alias, env: &mut Env) {
        let name = alias.name.as_str();
        let (target, local) = match &alias.asname {
            Some(local) => (name, local.as_str()),
            None => {
                let top = name.split('.').next().unwrap_or(name);
                (top, top)
            }
        };
        let value = self.named_module(target);
        self.bind(local, value, env);
    }

    /// The module `target`, of the project or outside.
    fn named_module(&mut self, target: &str) -> Value {
        match self.project.module(self.file(), target) {
            Some(file) => Atom::Module(file).into(),
            None => Value::external(target),
        }
    }

    fn import_from(&mut self, node: &'a ast::StmtImportFrom, env: &mut Env) {
        let dots = ".".repeat(node.level as usize);
        let module = node.module.as_ref().map_or("", |m| m.as_str());
        let module = format!("{dots}{module}");
        let home = self.project.module(self.file(), &module);
        for alias in &node.names {
            let name = alias.name.as_str();
            if name == "*" {
                if let Some(home) = home {
                    let vars = self.module_vars(home);
                    let vars = vars.borrow().clone();
                    for (name, value) in vars.iter().filter(|(name, _)| !name.starts_with('_')) {
                        self.bind(name, value.clone(), env);
                    }
                }
                continue;
            }
            let separator = if module.ends_with('.') { "" } else { "." };
            let full = format!("{module}{separator}{name}");
            let value = match (self.project.module(self.file(), &full), home) {
                (Some(file), _) => Atom::Module(file).into(),
                (None, Some(home)) => self.global(home, name).unwrap_or_default(),
                (None, None) if node.level == 0 => Value::external(&full),
                (None, None) => Value::unknown(),
            };
            let local = alias.asname.as_ref().map_or(name, |n| n.as_str());
            self.bind(local, value, env);
        }
    }

    /// What holds in `env` when `test` turned out as `truth`: signatures that were checked.
    fn refine(&mut self, test: &'a Expr, truth: bool, env: &mut Env) {
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
                }
            }
            Expr::Call(_) | Expr::Name(_) if truth => {
                let value = self.value(test, &mut env.clone());
                for atom in value.atoms() {
                    if let Atom::Checked(check) = atom {
                        let sham = check.literal_key.then_some("literal-key");
                        let of = check.of.iter().cloned();
                        env.checked.extend(of.map(|identity| (identity, sham)));
                    }
                }
            }
            _ => {}
        }
    }

    /// One element of `items`.
    pub(super) fn element(&mut self, items: &Value, at: &impl crate::python::Ranged) -> Value {
        self.item(items, None, at)
    }

    /// The element of `value` under `key`.
    pub(super) fn item(
        &mut self,
        value: &Value,
        key: Option<&Const>,
        at: &impl crate::python::Ranged,
    ) -> Value {
        let place = self.place(at);
        let note = self.snippet(at);
        let mut out = Value::unknown();
        for atom in value.atoms() {
            match atom {
                Atom::Container(container) => out = out.join(&container.at(key)),
                Atom::Untrusted(taint) => {
                    out.add(Atom::Untrusted(projected(taint, key, place, &note)));
                }
                Atom::Const(_) => out.add(Atom::Const(Const::Other)),
                Atom::Verified => out.add(Atom::Verified),
                _ => {}
            }
        }
        out
    }
}

/// The part of `taint` under `key`.
fn projected(taint: &Taint, key: Option<&Const>, place: Place, note: &str) -> Taint {
    // A key that is there has a value.
    let shape = match taint.shape {
        Shape::Files => Shape::Stream,
        Shape::Mapping => Shape::Bytes,
        _ => Shape::Any,
    };
    let part = match taint.widen(place, note.to_owned(), shape) {
        Some(wider) => wider,
        None => taint.then(Hop::new(place, HopKind::Step, note.to_owned(), shape, true)),
    };
    let raises: Vec<Rc<str>> = part.on_missing.iter().cloned().collect();
    let mut part = Taint {
        on_missing: None,
        ..part
    };
    part = part.raising(&raises);
    if let Some(key) = key {
        if let (Const::Str(name), None) = (key, &part.key) {
            part.key = Some(Rc::clone(name));
        }
        part.part = format!("{}{key:?}", part.part).into();
    }
    part
}
