//! What a file mentions, function by function: all that finding callers asks of it, so that its syntax need not be kept.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::project::{FileId, Project};
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{self, Expr, Stmt};
use crate::python::{Bound, ChainRole, SourceFile, span};
use crate::text::Span;
use crate::trace::imports::Word;
use crate::trace::methods::is_mutator;
use crate::trace::modules::roots;
use crate::trace::value::Def;

/// One function or method, as far as finding its callers needs.
pub(super) struct Unit {
    pub def: Def,
    pub extent: Span,
    pub name: Name,
    /// Its class, and the classes that it derives from, by name.
    pub classes: Vec<Name>,
    /// Whether it is a method of that class itself, not a function inside one.
    pub is_method: bool,
    pub mentions: Mentions,
    /// It keeps something where another function may find it.
    pub keeps: bool,
}

/// Names that code mentions, and how.
pub(super) type Mentions = FxHashMap<Name, u8>;

/// `name`.
pub(super) const PLAIN: u8 = 1;

/// `self.name`, `super().name`.
pub(super) const SELF: u8 = 2;

/// `module.name`, of something that was imported.
pub(super) const MODULE: u8 = 4;

/// `anything.name`.
pub(super) const OTHER: u8 = 8;

/// `"name"`.
pub(super) const STRING: u8 = 16;

/// What is known of a parsed file.
#[derive(Default)]
pub(super) struct Parsed {
    pub units: Vec<Unit>,
    /// Names that its module level mentions.
    pub module: Mentions,
    /// Names of its imports and parts of their modules.
    pub imported: FxHashSet<Name>,
    /// Modules of the project that it imports.
    pub homes: FxHashSet<FileId>,
    /// Names at module level that stand for others: `from .codec import unpack as decode`, `load = codec.load`,
    /// `class Sub(Base)`.
    pub aliases: Vec<(Name, Name)>,
    /// Names that it mentions anywhere, as such.
    pub mentioned: FxHashSet<Name>,
    /// Names that several of its functions have.
    pub shared: FxHashSet<Name>,
    /// It imports with a star, or a module that nothing in the project is.
    pub relays: bool,
    /// Names of functions of the project that it calls, by themselves or through a module of the project.
    pub called: Vec<String>,
    /// All names that it mentions, each once.
    pub words: Vec<Word>,
}

/// Names of functions of the project that `source` calls, by themselves or through a module of the project.
fn called_in(project: &Project, file: FileId, source: &SourceFile) -> Vec<String> {
    let scopes = source.scopes();
    let mut called = Vec::new();
    // The same few modules are asked for again and again.
    let mut homes: FxHashMap<String, bool> = FxHashMap::default();
    for chain in scopes.chains() {
        let (ChainRole::Called(_), Some(last)) = (chain.role, chain.parts.last()) else {
            continue;
        };
        let names = scopes.resolve(chain.scope, &chain.parts);
        let own = names.iter().any(|name| {
            let home = name.rsplit_once('.').map_or("", |(home, _)| home);
            let home = if home.is_empty() { name } else { home };
            match homes.get(home) {
                Some(own) => *own,
                None => {
                    let own = project.module(file, home).is_some();
                    homes.insert(home.to_owned(), own);
                    own
                }
            }
        });
        let local = chain.parts.len() == 1
            && scopes
                .lookup(chain.scope, last)
                .is_some_and(|(_, bound)| bound.contains(&Bound::Definition));
        if own || local {
            let imported = names.iter().filter_map(|name| name.rsplit('.').next());
            called.extend(imported.map(str::to_owned));
            called.push(last.to_string());
        }
    }
    called
}

impl Parsed {
    /// What `source`, the syntax of `file`, mentions.
    pub fn of(project: &Project, file: FileId, source: &SourceFile) -> Parsed {
        let local = |import: &crate::python::Import| {
            let text = source.slice(import.alias);
            let last = text.split_whitespace().next_back().unwrap_or(text);
            Name::new(last.split('.').next().unwrap_or(last))
        };
        let mut collector = Collector {
            file,
            units: Vec::new(),
            open: Vec::new(),
            module: Mentions::default(),
            classes: Vec::new(),
            dynamic: Vec::new(),
            modules: source.scopes().imports().map(local).collect(),
        };
        collector.visit_body(&source.module().body);
        // `getattr(self, "from_%s" % kind)` mentions every function here whose name starts so.
        for (n, start) in std::mem::take(&mut collector.dynamic) {
            let fits = |unit: &&Unit| unit.name.starts_with(&start);
            let names: Vec<Name> = collector
                .units
                .iter()
                .filter(fits)
                .map(|u| u.name.clone())
                .collect();
            match n.and_then(|n| collector.units.get_mut(n)) {
                Some(unit) => unit
                    .mentions
                    .extend(names.into_iter().map(|n| (n, SELF | STRING))),
                None => collector
                    .module
                    .extend(names.into_iter().map(|n| (n, STRING))),
            }
        }
        let mut imported = FxHashSet::default();
        let mut homes = FxHashSet::default();
        let mut relays = false;
        for import in source.scopes().imports() {
            // `import a.b` binds `a`, and names `a.b`.
            let named = match import.from {
                true => import.target.as_str(),
                false => source
                    .slice(import.alias)
                    .split_whitespace()
                    .next()
                    .unwrap_or(""),
            };
            let target = named;
            imported.extend(target.split('.').map(Name::new));
            let parent = target.rsplit_once('.').map(|(parent, last)| {
                match parent.is_empty() || parent.ends_with('.') {
                    true => target.get(..target.len() - last.len()).unwrap_or(parent),
                    false => parent,
                }
            });
            homes.extend(project.module(file, target));
            homes.extend(parent.and_then(|parent| project.module(file, parent)));
            relays |= target.ends_with('*');
        }
        if relays {
            // Any name may have come with the star.
            let chains = source.scopes().chains().iter();
            imported.extend(chains.filter_map(|chain| chain.parts.first().cloned()));
        }
        let mut mentioned = FxHashSet::default();
        for mentions in collector
            .units
            .iter()
            .map(|unit| &unit.mentions)
            .chain([&collector.module])
        {
            let plain = mentions
                .iter()
                .filter(|(_, how)| **how & (PLAIN | MODULE) != 0);
            mentioned.extend(plain.map(|(name, _)| name.clone()));
        }
        let mut seen = FxHashSet::default();
        let names = collector.units.iter().map(|unit| &unit.name);
        let shared = names.filter(|name| !seen.insert(*name)).cloned().collect();
        let mut aliases = Vec::new();
        for stmt in &source.module().body {
            match stmt {
                Stmt::ImportFrom(node) => {
                    for alias in &node.names {
                        let local = alias.asname.as_ref().unwrap_or(&alias.name);
                        aliases.push((alias.name.id.clone(), local.id.clone()));
                    }
                }
                Stmt::Assign(node) => {
                    let mut names = Mentioned(Vec::new());
                    names.visit_expr(&node.value);
                    let mut targets = Vec::new();
                    node.targets.iter().for_each(|t| roots(t, &mut targets));
                    for target in targets {
                        aliases.extend(names.0.iter().map(|name| (name.clone(), target.clone())));
                    }
                }
                // Who makes one of these makes one of those.
                Stmt::ClassDef(node) => {
                    let bases = node.arguments.iter().flat_map(|a| &a.args);
                    let bases = bases.filter_map(|base| crate::python::dotted(base)?.pop());
                    aliases.extend(bases.map(|base| (Name::new(base), node.name.id.clone())));
                }
                // `READERS.append(read)`.
                Stmt::Expr(node) => {
                    if let Expr::Call(call) = &*node.value
                        && let Expr::Attribute(attribute) = &*call.func
                    {
                        let mut names = Mentioned(Vec::new());
                        names.visit_arguments(&call.arguments);
                        let mut targets = Vec::new();
                        roots(&attribute.value, &mut targets);
                        for target in targets {
                            aliases
                                .extend(names.0.iter().map(|name| (name.clone(), target.clone())));
                        }
                    }
                }
                _ => {}
            }
        }
        let units = collector.units.iter().map(|unit| &unit.mentions);
        let names = units.chain([&collector.module]).flat_map(|m| m.keys());
        let mut words: Vec<Word> = names.map(|name| Word::of(name.as_bytes())).collect();
        words.sort_unstable();
        words.dedup();
        Parsed {
            words,
            aliases,
            mentioned,
            shared,
            units: collector.units,
            module: collector.module,
            imported,
            homes,
            relays,
            called: called_in(project, file, source),
        }
    }
}

struct Collector {
    file: FileId,
    units: Vec<Unit>,
    open: Vec<usize>,
    module: Mentions,
    classes: Vec<Vec<Name>>,
    /// Where attributes are looked up by a name that is made there, and how that name starts.
    dynamic: Vec<(Option<usize>, String)>,
    /// Names that imports bind.
    modules: FxHashSet<Name>,
}

impl Collector {
    fn mention(&mut self, name: &Name, how: u8) {
        if self.open.is_empty() {
            *self.module.entry(name.clone()).or_default() |= how;
        }
        for index in &self.open {
            if let Some(unit) = self.units.get_mut(*index) {
                *unit.mentions.entry(name.clone()).or_default() |= how;
            }
        }
    }

    fn keeps(&mut self, keeps: bool) {
        for index in &self.open {
            if let Some(unit) = self.units.get_mut(*index) {
                unit.keeps |= keeps;
            }
        }
    }

    /// How `attribute` is mentioned: of what.
    fn owner(&self, attribute: &ast::ExprAttribute) -> u8 {
        match &*attribute.value {
            Expr::Name(name) if matches!(name.id.as_str(), "self" | "cls") => SELF,
            Expr::Name(name) if self.modules.contains(&name.id) => MODULE | OTHER,
            call if is_super(call) => SELF,
            Expr::Attribute(inner) => match self.owner(inner) {
                SELF => OTHER,
                how => how,
            },
            _ => OTHER,
        }
    }
}

impl<'a> Visitor<'a> for Collector {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(node) => {
                let is_method = self.open.is_empty() && !self.classes.is_empty();
                let classes = self.classes.last().cloned().unwrap_or_default();
                self.units.push(Unit {
                    def: Def {
                        file: self.file,
                        start: span(node).start,
                    },
                    extent: span(node),
                    name: node.name.id.clone(),
                    classes,
                    is_method,
                    mentions: Mentions::default(),
                    keeps: false,
                });
                self.open.push(self.units.len() - 1);
                visitor::walk_stmt(self, stmt);
                self.open.pop();
            }
            Stmt::ClassDef(node) => {
                let mut names = vec![node.name.id.clone()];
                for base in node.arguments.iter().flat_map(|a| &a.args) {
                    names.extend(crate::python::dotted(base).and_then(|p| p.last().map(Name::new)));
                }
                self.classes.push(names);
                visitor::walk_stmt(self, stmt);
                self.classes.pop();
            }
            Stmt::ImportFrom(node) => {
                for alias in &node.names {
                    self.mention(&alias.name.id.clone(), PLAIN);
                }
            }
            Stmt::Assign(node) => {
                let kept =
                    |target: &Expr| matches!(target, Expr::Attribute(_) | Expr::Subscript(_));
                self.keeps(node.targets.iter().any(kept));
                visitor::walk_stmt(self, stmt);
            }
            Stmt::Global(_) => self.keeps(true),
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => self.mention(&name.id, PLAIN),
            Expr::Attribute(attribute) => {
                let how = self.owner(attribute);
                self.mention(&attribute.attr.id, how);
                // `super().__init__()` makes what it makes by the names of the bases.
                if attribute.attr.starts_with("__") && is_super(&attribute.value) {
                    let bases = self.classes.last().cloned().unwrap_or_default();
                    for base in bases.iter().skip(1) {
                        self.mention(base, PLAIN | MODULE);
                    }
                }
            }
            Expr::Call(call) => {
                if let Expr::Attribute(attribute) = &*call.func {
                    self.keeps(keeps_by(attribute.attr.as_str()));
                }
                let is_getattr = matches!(&*call.func, Expr::Name(n) if n.id == "getattr");
                if let (true, Some(name)) = (is_getattr, call.arguments.args.get(1))
                    && let Some(start) = beginning(name)
                {
                    self.dynamic.push((self.open.last().copied(), start));
                }
            }
            // `getattr(self, "from_yaml")`.
            Expr::StringLiteral(node) => {
                let text = node.value.to_str();
                let is_name = |c: char| c.is_alphanumeric() || c == '_';
                if text.len() > 3 && text.len() < 40 && text.chars().all(is_name) {
                    self.mention(&Name::new(text), STRING);
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// Whether `expr` is `super()`.
fn is_super(expr: &Expr) -> bool {
    let callee = expr.as_call_expr().map(|call| &*call.func);
    matches!(callee, Some(Expr::Name(name)) if name.id == "super")
}

/// Whether a method so called puts something where others may find it.
fn keeps_by(name: &str) -> bool {
    is_mutator(name)
        || matches!(
            name,
            "save"
                | "set"
                | "feed"
                | "setdefault"
                | "write_bytes"
                | "write_text"
                | "lpush"
                | "rpush"
                | "hset"
                | "setex"
                | "mset"
                | "copyfileobj"
                | "move"
                | "heappush"
                | "set_many"
                | "execute"
                | "dump"
        )
}

/// Names and attributes in an expression.
struct Mentioned(Vec<Name>);

impl<'a> Visitor<'a> for Mentioned {
    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => self.0.push(name.id.clone()),
            Expr::Attribute(attribute) => self.0.push(attribute.attr.id.clone()),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// How a text that is made starts: `from_` of `"from_%s" % kind`.
fn beginning(expr: &Expr) -> Option<String> {
    let start = match expr {
        Expr::BinOp(node) => match &*node.left {
            Expr::StringLiteral(text) => text.value.to_str().to_owned(),
            _ => return None,
        },
        Expr::FString(node) => {
            let literal = node.value.elements().next()?.as_literal()?;
            literal.value.to_string()
        }
        _ => return None,
    };
    let start = start.split(['%', '{']).next().unwrap_or_default();
    (start.len() > 2).then(|| start.to_owned())
}
