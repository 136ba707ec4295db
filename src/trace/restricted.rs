//! `Unpickler` subclasses: whether their `find_class` can refuse, by its body.
//!
//! A `find_class` that forwards whatever it is asked for is no guard; neither is one that refuses a few names and
//! forwards the rest, nor one that goes by the beginning of a module's name.

use super::machine::Machine;
use super::value::Def;
use crate::python::ast::{self, CmpOp, Expr, Stmt};

/// Modules that a list of allowed modules must not hold: with them an attacker needs nothing else.
const DANGEROUS_MODULES: [&str; 12] = [
    "builtins",
    "__builtin__",
    "os",
    "posix",
    "nt",
    "sys",
    "subprocess",
    "importlib",
    "functools",
    "operator",
    "runpy",
    "types",
];
/// Names that a list of allowed names must not hold.
const DANGEROUS_NAMES: [&str; 16] = [
    "eval",
    "exec",
    "compile",
    "getattr",
    "setattr",
    "__import__",
    "open",
    "system",
    "popen",
    "Popen",
    "call",
    "check_output",
    "import_module",
    "partial",
    "attrgetter",
    "methodcaller",
];

/// What an `Unpickler` subclass lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restriction {
    /// Only what is on a list.
    Allows,
    /// Anything, or anything but a few.
    Forwards(&'static str),
}

impl<'a> Machine<'a> {
    /// Notes what the class `def` lets through, if it is an `Unpickler`.
    pub(super) fn restrict(&mut self, def: Def, node: &'a ast::StmtClassDef) {
        if !self.reads(def) {
            return;
        }
        let own = node.body.iter().find_map(|stmt| match stmt {
            Stmt::FunctionDef(f) if f.name == *"find_class" => Some(f),
            _ => None,
        });
        let inherited = self
            .lineage(def)
            .into_iter()
            .skip(1)
            .find_map(|base| self.restrictions.get(&base).copied());
        let restriction = match (own, inherited) {
            (Some(function), _) => self.judged(self.project.code(def.file, function)),
            (None, Some(inherited)) => inherited,
            (None, None) => Restriction::Forwards("no-find-class"),
        };
        self.restrictions.insert(def, restriction);
    }

    /// Whether instances of `class` unpickle what they are made with.
    pub(super) fn reads(&self, class: Def) -> bool {
        self.outside_bases(class).iter().any(|base| {
            let row = self.model.sink(base).and_then(|id| self.model.sink_row(id));
            row.is_some_and(|(_, sink)| sink.method.is_some())
        })
    }

    fn judged(&self, body: &[Stmt]) -> Restriction {
        let mut judge = Judge {
            forwards: None,
            lists: Vec::new(),
            found: Vec::new(),
        };
        // Falling off the end gives None, which no pickle can call.
        judge.block(body, false);
        if let Some(why) = judge.forwards {
            return Restriction::Forwards(why);
        }
        let literals: Vec<String> = judge
            .lists
            .iter()
            .flat_map(|list| self.literals_of(list, 4))
            .collect();
        let dangerous = literals.iter().any(|text| {
            let last = text.rsplit('.').next().unwrap_or(text);
            DANGEROUS_NAMES.contains(&last)
        });
        // A module alone on the list allows all that it has.
        let pairs = literals
            .iter()
            .any(|text| !DANGEROUS_MODULES.contains(&text.as_str()));
        let module = literals
            .iter()
            .any(|text| DANGEROUS_MODULES.contains(&text.as_str()));
        match dangerous || (module && !pairs) {
            true => Restriction::Forwards("allows-too-much"),
            false => Restriction::Allows,
        }
    }

    /// Texts in a literal, or in the module-level or class-level literal that a name stands for.
    fn literals_of(&self, expr: &Expr, depth: usize) -> Vec<String> {
        if depth == 0 {
            return Vec::new();
        }
        let all = |exprs: &[Expr]| -> Vec<String> {
            exprs
                .iter()
                .flat_map(|e| self.literals_of(e, depth - 1))
                .collect()
        };
        match expr {
            Expr::StringLiteral(node) => vec![node.value.to_str().to_owned()],
            Expr::Tuple(node) => all(&node.elts),
            Expr::List(node) => all(&node.elts),
            Expr::Set(node) => all(&node.elts),
            Expr::Dict(node) => node
                .items
                .iter()
                .flat_map(|item| {
                    let key = item.key.iter();
                    let both = key.chain([&item.value]);
                    both.flat_map(|e| self.literals_of(e, depth - 1))
                        .collect::<Vec<_>>()
                })
                .collect(),
            Expr::Call(node) => all(&node.arguments.args),
            Expr::BinOp(node) => {
                let mut both = self.literals_of(&node.left, depth - 1);
                both.extend(self.literals_of(&node.right, depth - 1));
                both
            }
            Expr::Name(_) | Expr::Attribute(_) => {
                let name = match expr {
                    Expr::Name(name) => name.id.as_str(),
                    Expr::Attribute(node) => node.attr.as_str(),
                    _ => "",
                };
                let body = self.project.body(self.file());
                assigned(body, name)
                    .map(|value| self.literals_of(value, depth - 1))
                    .unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}

/// The value assigned to `name` at module level or in a class body.
fn assigned<'s>(body: &'s [Stmt], name: &str) -> Option<&'s Expr> {
    body.iter().find_map(|stmt| match stmt {
        Stmt::Assign(node) => {
            let is = |target: &Expr| matches!(target, Expr::Name(n) if n.id == *name);
            node.targets.iter().any(is).then_some(&*node.value)
        }
        Stmt::AnnAssign(node) => {
            let is = matches!(&*node.target, Expr::Name(n) if n.id == *name);
            node.value.as_deref().filter(|_| is)
        }
        Stmt::ClassDef(node) => assigned(&node.body, name),
        _ => None,
    })
}

struct Judge<'s> {
    forwards: Option<&'static str>,
    /// What names are compared with.
    lists: Vec<&'s Expr>,
    /// Names that hold what was looked up.
    found: Vec<&'s str>,
}

impl<'s> Judge<'s> {
    /// Looks through `body`, `allowed` by the tests around; gives whether it always leaves.
    fn block(&mut self, body: &'s [Stmt], mut allowed: bool) -> bool {
        for stmt in body {
            match stmt {
                Stmt::Return(node) => {
                    if let Some(value) = &node.value
                        && self.forwards(value)
                        && !allowed
                    {
                        self.forwards = Some("forwards-anything");
                    }
                    return true;
                }
                Stmt::Raise(_) => return true,
                Stmt::Assign(node) if self.forwards(&node.value) && !allowed => {
                    let names = node.targets.iter().filter_map(Expr::as_name_expr);
                    self.found.extend(names.map(|name| name.id.as_str()));
                }
                Stmt::If(node) => {
                    let (yes, no) = self.test(&node.test);
                    let mut left = self.block(&node.body, allowed || yes);
                    let mut other = no;
                    let mut has_else = false;
                    for clause in &node.elif_else_clauses {
                        match &clause.test {
                            Some(test) => {
                                let (yes, no) = self.test(test);
                                left &= self.block(&clause.body, allowed || other || yes);
                                other |= no;
                            }
                            None => {
                                has_else = true;
                                left &= self.block(&clause.body, allowed || other);
                            }
                        }
                    }
                    if left && has_else {
                        return true;
                    }
                    // `if name not in ALLOWED: raise`: what follows is allowed.
                    allowed |= left && other;
                }
                Stmt::Try(node) => {
                    let mut left = self.block(&node.body, allowed);
                    for handler in &node.handlers {
                        let ast::ExceptHandler::ExceptHandler(handler) = handler;
                        left &= self.block(&handler.body, allowed);
                    }
                    left |= self.block(&node.orelse, allowed);
                    if left {
                        return true;
                    }
                }
                Stmt::For(node) => {
                    self.block(&node.body, allowed);
                }
                Stmt::With(node) if self.block(&node.body, allowed) => return true,
                _ => {}
            }
        }
        false
    }

    /// Whether `test` names what is allowed when it holds, and when it does not.
    fn test(&mut self, test: &'s Expr) -> (bool, bool) {
        match test {
            Expr::UnaryOp(node) if node.op == ast::UnaryOp::Not => {
                let (yes, no) = self.test(&node.operand);
                (no, yes)
            }
            Expr::BoolOp(node) => {
                let tests: Vec<(bool, bool)> = node.values.iter().map(|v| self.test(v)).collect();
                match node.op {
                    ast::BoolOp::And => (tests.iter().any(|t| t.0), tests.iter().all(|t| t.1)),
                    ast::BoolOp::Or => (tests.iter().all(|t| t.0), tests.iter().any(|t| t.1)),
                }
            }
            Expr::Compare(node) => {
                let (Some(op), Some(right)) = (node.ops.first(), node.comparators.first()) else {
                    return (false, false);
                };
                match op {
                    CmpOp::In | CmpOp::Eq => {
                        self.lists.push(right);
                        (true, false)
                    }
                    CmpOp::NotIn | CmpOp::NotEq => {
                        self.lists.push(right);
                        (false, true)
                    }
                    CmpOp::Is => (false, false),
                    // `if found is not None`: what a list gave.
                    CmpOp::IsNot => (false, false),
                    _ => (false, false),
                }
            }
            _ => (false, false),
        }
    }

    /// Whether `value` looks up what it was asked for: `super().find_class(...)`, `getattr(module, name)`.
    fn forwards(&self, value: &Expr) -> bool {
        match value {
            Expr::Call(call) => match &*call.func {
                Expr::Attribute(attribute) => attribute.attr == *"find_class",
                Expr::Name(name) => name.id == "getattr",
                _ => false,
            },
            Expr::If(node) => self.forwards(&node.body) || self.forwards(&node.orelse),
            Expr::Name(name) => self.found.contains(&name.id.as_str()),
            Expr::BoolOp(node) => node.values.iter().any(|v| self.forwards(v)),
            _ => false,
        }
    }
}
