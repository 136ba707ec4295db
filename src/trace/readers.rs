//! The functions that read what loaded values are kept under, and that nothing led to: fields, variables of modules, stores, and
//! what gives them. They are entered to see what they do with the values.
//!
//! Invariant: it costs what may matter: so many files are read for each name, and so many functions entered in all.

use std::collections::BTreeSet;

use memchr::memmem::Finder;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::classes::OF_SOME;
use super::imports::Word;
use super::machine::{Machine, Owner};
use super::relevant::stem;
use super::taint::Place;
use super::value::{Atom, Def, Instance};
use super::{Finding, Reach, is_test};
use crate::pack::Trust;
use crate::project::FileId;
use crate::python::ast::name::Name;
use crate::python::ast::visitor::{self, Visitor};
use crate::python::ast::{Expr, Stmt};
use crate::python::span;
use crate::text::words::whole;

/// Values that readers keep or return are followed to their own readers so often.
const MOST_ROUNDS: usize = 3;
/// Files that are looked through for one name under which a loaded value is kept.
const MOST_FILES: usize = 50;
/// Functions that are entered to see what they do with kept values.
const MOST_FUNCTIONS: usize = 200;

/// Of which loads the values are followed to wherever they are kept and read: it costs the search of the whole project.
#[derive(Debug, Clone, Default)]
pub enum Followed {
    /// All of them.
    #[default]
    All,
    /// Those that may be rewritten, where data of these levels may.
    Of(Vec<Trust>),
}

impl Followed {
    /// The places of those among `findings`.
    pub(super) fn among(&self, findings: &[Finding]) -> FxHashSet<Place> {
        let may_go = |finding: &Finding| match self {
            Followed::All => true,
            Followed::Of(levels) => {
                finding.reach == Reach::Untrusted
                    && finding.complete
                    && levels.contains(&finding.trust)
            }
        };
        // What the program has pickled itself goes with others, or stays.
        let any = findings.iter().any(may_go);
        let beside = |finding: &Finding| any && finding.reach == Reach::OwnRoundTrip;
        let all = findings.iter().filter(|f| may_go(f) || beside(f));
        all.map(|finding| finding.place).collect()
    }
}

impl Machine<'_> {
    /// Enters those that may read what the loads at `followed` gave.
    pub(super) fn enter_readers(&mut self, followed: &FxHashSet<Place>) {
        if followed.is_empty() {
            return;
        }
        self.enter_dispatched();
        let mut known: FxHashSet<(Owner, Name)> = FxHashSet::default();
        let mut given: Vec<(Owner, Name)> = Vec::new();
        let mut entered = 0;
        // What they keep in turn is read elsewhere again.
        for _ in 0..MOST_ROUNDS {
            let mut kept = self.kept_loads(followed);
            kept.append(&mut given);
            for (owner, name) in kept {
                let (owner, name) = whoever(owner, name);
                if !known.insert((owner.clone(), name.clone())) {
                    continue;
                }
                for (file, found) in self.readers(&owner, &name) {
                    for def in self.unvisited(file, found) {
                        if entered == MOST_FUNCTIONS {
                            return;
                        }
                        let Some(id) = self.by_def.get(&def).copied() else {
                            continue;
                        };
                        entered += 1;
                        let handler = self.all_handlers.get(&def).cloned();
                        let value = self.guard(def.file, Some(def), |machine| {
                            let (bound, arguments) = match handler {
                                Some(handler) => {
                                    (handler.instance(), machine.handler_arguments(&handler))
                                }
                                None => (None, machine.outside_arguments(id)),
                            };
                            machine.grant();
                            machine.enter(id, bound, &arguments)
                        });
                        self.take_reached();
                        let value = value.unwrap_or_default();
                        let is_loaded = |atom: &Atom| is_loaded(atom, followed);
                        if let (true, Some(function)) =
                            (value.any_atom(&is_loaded), self.function(id))
                        {
                            given.push((Owner::Module(def.file), Name::new(function.name())));
                        }
                    }
                }
            }
        }
    }

    /// The fields that hold what the loads at `followed` gave.
    fn kept_loads(&self, followed: &FxHashSet<Place>) -> Vec<(Owner, Name)> {
        let fields = self.fields.iter();
        let kept = fields.filter(|(_, value)| value.any_atom(&|atom| is_loaded(atom, followed)));
        let mut kept: Vec<(Owner, Name)> = kept.map(|(key, _)| key.clone()).collect();
        kept.sort_by_key(|(owner, name)| (format!("{owner:?}"), name.clone()));
        kept
    }

    /// Files that may read the field `name` of `owner`.
    pub(super) fn where_read(&self, owner: &Owner, name: &str) -> Vec<FileId> {
        let mut files: BTreeSet<FileId> = self.modules.keys().copied().collect();
        match owner {
            Owner::Instance(Instance { class, .. }) => {
                files.insert(class.file);
            }
            Owner::Module(home) => {
                let stem = stem(self.project.path(*home));
                let words = [stem.as_bytes(), text(name).as_bytes()].map(Word::of);
                let imports = self.imports.iter().enumerate();
                let imports = imports.filter(|(_, imported)| {
                    imported.dynamic || imported.star || words.iter().any(|w| imported.contains(*w))
                });
                files.extend(imports.map(|(n, _)| FileId(n)));
            }
            Owner::External(_) | Owner::Store(_) => files.extend(self.project.ids()),
        }
        let files: Vec<FileId> = files.into_iter().collect();
        let mut found = self.saying(&files, &[text(name)]);
        // Whose name says nothing is read by who names its owner, unless a framework hands it on.
        if let Owner::External(of) = owner
            && found.len() > MOST_FILES
            && self.model.object(of).is_none()
        {
            let last = of.rsplit('.').next().unwrap_or(of);
            found = self.saying(&files, &[last, text(name)]);
        }
        found.truncate(MOST_FILES);
        found
    }

    /// The first of `files`, one more than are looked through, that say all of `words`.
    fn saying(&self, files: &[FileId], words: &[&str]) -> Vec<FileId> {
        /// So many are searched at once.
        const AT_ONCE: usize = 4096;
        let project = self.project;
        let words: Vec<Finder<'_>> = words.iter().map(|word| Finder::new(*word)).collect();
        let says = |file: &&FileId| {
            let bytes = project.bytes(**file);
            !is_test(project.path(**file))
                && words.iter().all(|word| whole(bytes, word).next().is_some())
        };
        let found = files.chunks(AT_ONCE).flat_map(|files| {
            let found = files.par_iter().with_min_len(64).filter(says).copied();
            found.collect::<Vec<FileId>>()
        });
        found.take(MOST_FILES + 1).collect()
    }

    /// The functions that read the field `name` of an `owner`, by their files.
    fn readers(&self, owner: &Owner, name: &str) -> Vec<(FileId, BTreeSet<Def>)> {
        let project = self.project;
        // `app.config["user"]` is kept under `[user]`.
        let is_text = matches!(owner, Owner::Store(_)) || name.starts_with('[');
        // What no code can name is kept for the analysis alone.
        if !is_text && name.contains(' ') {
            return Vec::new();
        }
        let is_global = matches!(owner, Owner::Module(_));
        let look = |file: FileId| {
            let found = project.glance(file, |source| {
                let mut readers = Readers {
                    file,
                    name: text(name),
                    is_text,
                    is_global,
                    around: Vec::new(),
                    found: BTreeSet::new(),
                };
                readers.visit_body(&source.module().body);
                let keep = !readers.found.is_empty();
                (readers.found, keep)
            });
            (file, found)
        };
        let files = self.where_read(owner, name).into_par_iter();
        let found = files.filter_map(|file| project.caught(file, || look(file)));
        found.filter(|(_, found)| !found.is_empty()).collect()
    }

    /// Those of `functions`, which are of `file`, that were not interpreted.
    fn unvisited(&mut self, file: FileId, functions: BTreeSet<Def>) -> Vec<Def> {
        let new = functions.into_iter();
        let new: Vec<Def> = new.filter(|def| !self.visited.contains(def)).collect();
        if new.iter().any(|def| !self.by_def.contains_key(def)) {
            self.guard(file, None, |machine| machine.whole_module(file));
            self.take_reached();
        }
        new
    }
}

/// Whether `atom` is what one of the loads at `followed` gave.
fn is_loaded(atom: &Atom, followed: &FxHashSet<Place>) -> bool {
    matches!(atom, Atom::Untrusted(taint) if taint.loaded.is_some_and(|place| followed.contains(&place)))
}

/// What a field is read by: its name, or the text of its key.
fn text(name: &str) -> &str {
    name.trim_matches(['[', ']'])
}

/// What is asked about the field `name` of `owner`: whoever reads it reads it of any instance of the class.
fn whoever(owner: Owner, name: Name) -> (Owner, Name) {
    let Owner::Instance(Instance { class, .. }) = owner else {
        return (owner, name);
    };
    let name = name.strip_suffix(OF_SOME).map(Name::new).unwrap_or(name);
    (Owner::Instance(Instance::any(class)), name)
}

/// Finds functions that read a name.
struct Readers<'n> {
    file: FileId,
    name: &'n str,
    /// The name is a text.
    is_text: bool,
    /// The name is a variable of a module.
    is_global: bool,
    around: Vec<Def>,
    found: BTreeSet<Def>,
}

impl<'s> Visitor<'s> for Readers<'_> {
    fn visit_stmt(&mut self, stmt: &'s Stmt) {
        let Stmt::FunctionDef(node) = stmt else {
            return visitor::walk_stmt(self, stmt);
        };
        self.around.push(Def {
            file: self.file,
            start: span(node).start,
        });
        visitor::walk_stmt(self, stmt);
        self.around.pop();
    }

    fn visit_expr(&mut self, expr: &'s Expr) {
        let reads = match expr {
            Expr::Attribute(node) => !self.is_text && node.attr == *self.name,
            Expr::Name(node) => self.is_global && node.id == *self.name,
            Expr::StringLiteral(node) => self.is_text && node.value == *self.name,
            _ => false,
        };
        if reads {
            // A function within another is defined only when that runs.
            self.found.extend(self.around.first());
        }
        visitor::walk_expr(self, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Model;
    use crate::project::Project;
    use crate::trace::{Doing, trace_for};

    const KEEPS: &str = "
import pickle
from flask import Flask, request

app = Flask(__name__)
CARTS = None

@app.route('/carts', methods=['POST'])
def put():
    global CARTS
    CARTS = pickle.loads(request.get_data())
    return ''
";

    /// What is done with what a client sends to be loaded, in `others`, as far as `followed`.
    fn done(keeps: &str, others: Vec<(String, String)>, followed: Followed) -> Vec<Doing> {
        let files = [("carts.py".to_owned(), keeps.to_owned())].into_iter();
        let files = files.chain(others);
        let files = files.map(|(path, text)| (path, text.into_bytes()));
        let model = Model::builtin().expect("the built-in model");
        let traced = trace_for(&Project::new(files, Vec::new()), &model, followed);
        let uses = traced.findings.into_iter().flat_map(|finding| finding.uses);
        uses.map(|one| one.doing).collect()
    }

    fn file(path: &str, text: &str) -> (String, String) {
        (path.to_owned(), text.to_owned())
    }

    #[test]
    fn values_are_followed_only_from_loads_that_may_be_rewritten() {
        let total = "import carts\n\ndef total():\n    return carts.CARTS.total\n";
        let done = |followed| done(KEEPS, vec![file("shop.py", total)], followed);
        let there = [Doing::Attribute("total".to_owned())];
        assert_eq!(done(Followed::All), there);
        assert_eq!(done(Followed::Of(vec![Trust::Http])), there);
        assert_eq!(done(Followed::Of(vec![Trust::Network])), []);
    }

    #[test]
    fn of_many_who_say_a_name_those_are_read_who_name_its_owner() {
        let keeps = KEEPS.replace("global CARTS", "import till");
        let keeps = keeps.replace("    CARTS =", "    till.CARTS =");
        let others = (0..2 * MOST_FILES).map(|n| {
            let text = "def first(shop):\n    return shop.CARTS\n";
            file(&format!("a{n}.py"), text)
        });
        let total = "import till\n\ndef total():\n    return till.CARTS.total\n";
        let others = others.chain([file("shop.py", total)]).collect();
        let there = [Doing::Attribute("total".to_owned())];
        assert_eq!(done(&keeps, others, Followed::All), there);
    }
}
