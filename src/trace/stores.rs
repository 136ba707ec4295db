//! Second-order flow: what a program keeps under a key, in a file, cache, session or queue, and reads again later.
//!
//! Keys are texts as far as they are known; where only a part is, both sides must have the same shape of key. Under a
//! key of which nothing is known only what was written under such a key is found.

use std::rc::Rc;

use super::at::At;
use super::env::Env;
use super::fold;
use super::functions::kept;
use super::machine::{Machine, Owner};
use super::taint::Taint;
use super::value::{Arguments, Atom, Value};
use crate::pack::{Shape, Store, Trust};
use crate::project::{FileId, Project};
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};

/// Channel of files that the program opens by a path.
pub(super) const LOCAL_FILE: &str = "local-file";

/// Channel of what context variables hold.
const CONTEXT: &str = "context";

impl<'a> Machine<'a> {
    /// Keeps what is untrusted, or pickled by this program, of `value`.
    pub(super) fn write_store(&mut self, channel: &str, key: &str, value: &Value) {
        let kept = value.any_atom(&|a| matches!(a, Atom::Untrusted(_) | Atom::Pickled(..)));
        if kept {
            self.note_written(channel, Some(key), None, value);
            self.set_field(Owner::Store(channel.into()), key, value);
        }
    }

    /// What the program itself keeps under `key`.
    pub(super) fn read_store(
        &mut self,
        channel: &str,
        key: &str,
        shape: Shape,
        at: At<'a>,
    ) -> Value {
        self.looked_up.insert((channel.into(), key.into()));
        let Some(value) = self.field(&Owner::Store(channel.into()), key) else {
            return Value::unknown();
        };
        let under = match key.contains('\0') {
            true => String::new(),
            false => format!(" {key:?}"),
        };
        let note = format!("kept in {channel}{under}, read back here (second-order)");
        value.map_taints(&|taint| {
            let hop = kept(at.place, note.clone(), shape);
            let mut after = taint.then(hop);
            if channel != LOCAL_FILE {
                after = after.part_of(taint);
            }
            after.exact = false;
            after
        })
    }

    /// What reading `store` under `key` gives.
    pub(super) fn stored(&mut self, store: &Store, key: &Value, at: At<'a>) -> Value {
        let key = fold::key_text(key);
        let own = self.read_store(&store.channel, &key, store.shape, at);
        let mut trust = store.trust;
        let mut sham = None;
        for name in &store.sealed_by {
            let (owner, field) = match name.strip_suffix(']').and_then(|n| n.rsplit_once('[')) {
                Some((owner, key)) => (owner, format!("[{key}]")),
                None => match name.rsplit_once('.') {
                    Some((owner, field)) => (owner, field.to_owned()),
                    None => continue,
                },
            };
            let sealed = self.field(&Owner::External(owner.into()), &field);
            if sealed.is_some_and(|key| key.is_literal()) {
                trust = Trust::Http;
                sham = Some("literal-key");
            }
        }
        if trust == Trust::Trusted {
            return own;
        }
        let note = self.snippet(at.place);
        let mut taint = Taint::enter(trust, &store.channel, store.shape, at.place, note);
        taint.key = (!key.contains('\0')).then(|| Rc::clone(&key));
        taint.queue = Some(key);
        taint.sham = sham;
        // The program's own writes first: they say who supplies it.
        own.join(&Atom::Untrusted(taint).into())
    }

    /// `variable.set(value)`, `variable.get()`, of a context variable.
    pub(super) fn context(
        &mut self,
        atom: &Atom,
        method: &str,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Option<Value> {
        let Atom::Made(made) = atom else {
            return None;
        };
        let name = made
            .name
            .ends_with(".ContextVar")
            .then(|| made.arguments.first())??;
        let key = fold::key_text(name);
        match method {
            "set" => {
                self.set_field(Owner::Store(CONTEXT.into()), &key, &arguments.any());
                None
            }
            "get" => Some(self.read_store(CONTEXT, &key, Shape::Any, at)),
            _ => None,
        }
    }

    /// A file that is opened at `path`: what is there, and what the program wrote there.
    pub(super) fn opened(&mut self, path: &Value, shape: Shape, at: At<'a>) -> Value {
        let key = fold::key_text(path);
        // `./cart` is `cart`.
        let key: Rc<str> = key.trim_start_matches("./").into();
        let note = self.snippet(at.place);
        // What a class keeps for others is theirs as much as what a database keeps.
        let trust = match self.frames.last().and_then(|frame| frame.class) {
            Some(class) if self.classes.get(&class).is_some_and(|c| c.keeps_files) => Trust::Stored,
            _ => Trust::File,
        };
        let mut taint = Taint::enter(trust, LOCAL_FILE, shape, at.place, note);
        taint.key = (*key != *"\0").then(|| key.clone());
        let mut out: Value = Atom::Untrusted(taint).into();
        out = self.read_store(LOCAL_FILE, &key, shape, at).join(&out);
        out
    }

    /// `value` goes into the argument at `position`: a path, a file, a buffer.
    pub(super) fn pour(
        &mut self,
        value: &Value,
        position: usize,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) {
        let Some(target) = arguments.positional.get(position) else {
            return;
        };
        let handles = target.taints();
        let keys: Vec<_> = handles
            .iter()
            .filter(|taint| *taint.channel == *LOCAL_FILE)
            .filter_map(|taint| taint.key.clone())
            .collect();
        if keys.is_empty() && handles.is_empty() {
            let key = fold::key_text(target);
            self.write_store(LOCAL_FILE, &key, value);
        }
        for key in keys {
            self.write_store(LOCAL_FILE, &key, value);
        }
        let expr = at
            .call
            .filter(|_| !at.handed)
            .and_then(|call| call.arguments.args.get(position));
        if let Some(expr) = expr {
            let taints = value.taints().into_iter().cloned().map(Atom::Untrusted);
            let after = target.clone().join(&taints.collect());
            self.store_into(expr, after, env);
        }
    }
}

/// Whether `class` is a store: one method writes what it is given into a file, another reads one, in a place of the
/// instance's own, under names that callers give.
pub(super) fn keeps_files(project: &Project, file: FileId, class: &ast::StmtClassDef) -> bool {
    /// What opens a file, or its path.
    const OPENS: [&str; 3] = ["open", "_bytes", "_text"];
    let (mut writes, mut reads) = (false, false);
    for stmt in &class.body {
        let Stmt::FunctionDef(method) = stmt else {
            continue;
        };
        let mut parameters = method.parameters.iter().map(|p| p.name().as_str());
        let Some(own) = parameters.next() else {
            continue;
        };
        let mut files = Files {
            given: parameters.collect(),
            own: vec![own],
            ..Files::default()
        };
        files.visit_body(project.code_saying(file, method, &OPENS));
        writes |= files.opened_to_write && files.written;
        reads |= files.opened_to_read;
    }
    writes && reads
}

/// What a method does with files whose paths come from the instance.
#[derive(Default)]
struct Files<'s> {
    given: Vec<&'s str>,
    /// The instance, and variables that were made of it.
    own: Vec<&'s str>,
    /// Variables that were made of the instance and of a parameter.
    paths: Vec<&'s str>,
    opened_to_write: bool,
    opened_to_read: bool,
    /// A parameter was written to something.
    written: bool,
}

impl Files<'_> {
    fn is_path(&self, expr: &Expr) -> bool {
        mentions(expr, &self.paths) || (mentions(expr, &self.own) && mentions(expr, &self.given))
    }
}

impl<'s> Visitor<'s> for Files<'s> {
    fn visit_stmt(&mut self, stmt: &'s Stmt) {
        if let Stmt::Assign(node) = stmt
            && mentions(&node.value, &self.own)
        {
            let targets = node.targets.iter().filter_map(Expr::as_name_expr);
            let targets: Vec<&str> = targets.map(|name| name.id.as_str()).collect();
            if self.is_path(&node.value) {
                self.paths.extend(&targets);
            }
            self.own.extend(targets);
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'s Expr) {
        if let Expr::Call(call) = expr {
            let first = call.arguments.args.first();
            let is_own = |path: Option<&Expr>| path.is_some_and(|path| self.is_path(path));
            let given = first.is_some_and(|first| mentions(first, &self.given));
            match &*call.func {
                Expr::Name(name) if name.id == "open" && is_own(first) => {
                    let mode = call.arguments.find_argument_value("mode", 1);
                    let mode = mode.and_then(Expr::as_string_literal_expr);
                    let writes =
                        mode.is_some_and(|m| m.value.to_str().contains(['w', 'a', 'x', '+']));
                    self.opened_to_write |= writes;
                    self.opened_to_read |= !writes;
                }
                Expr::Name(name) if name.id == "dump" => self.written |= given,
                Expr::Attribute(node) => match node.attr.as_str() {
                    "write" | "dump" => self.written |= given,
                    "write_bytes" | "write_text" if is_own(Some(&node.value)) => {
                        self.opened_to_write = true;
                        self.written |= given;
                    }
                    "read_bytes" | "read_text" => self.opened_to_read |= is_own(Some(&node.value)),
                    _ => {}
                },
                _ => {}
            }
        }
        visitor::walk_expr(self, expr);
    }
}

/// Whether one of `names` stands in `expr`.
fn mentions(expr: &Expr, names: &[&str]) -> bool {
    struct Mentions<'n> {
        names: &'n [&'n str],
        found: bool,
    }
    impl<'s> Visitor<'s> for Mentions<'_> {
        fn visit_expr(&mut self, expr: &'s Expr) {
            self.found |= expr
                .as_name_expr()
                .is_some_and(|name| self.names.contains(&name.id.as_str()));
            if !self.found {
                visitor::walk_expr(self, expr);
            }
        }
    }
    let mut mentions = Mentions {
        names,
        found: false,
    };
    mentions.visit_expr(expr);
    mentions.found
}
