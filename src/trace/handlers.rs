//! Which functions a framework calls.

use std::rc::Rc;

use super::machine::Machine;
use super::value::{Arguments, Atom, Def, FunctionId, Instance, Value};
use crate::pack::{self, FrameworkId};
use crate::python::ast::name::Name;
use crate::python::ast::{self, Expr};

const VERBS: [&str; 8] = [
    "get", "post", "put", "patch", "delete", "head", "options", "trace",
];

/// A function that a framework calls with a client's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// Which framework.
    pub framework: FrameworkId,
    /// Which of its `[[handler]]` rows.
    row: usize,
    /// The function.
    pub def: Def,
    /// The function the framework calls, where decorators have wrapped it.
    wrapper: Option<FunctionId>,
    /// The class whose method it is.
    class: Option<Def>,
    /// Its route, where it is a literal.
    pub route: Option<String>,
    /// HTTP methods it answers, where they are known, in capitals.
    pub verbs: Vec<String>,
    /// The decorator that lets only known users through.
    pub auth: Option<String>,
    /// Known by its signature alone: not a handler if the project itself calls it.
    by_signature: bool,
}

impl Handler {
    pub(super) fn new((framework, row): (FrameworkId, usize), def: Def) -> Handler {
        Handler {
            framework,
            row,
            def,
            wrapper: None,
            class: None,
            route: None,
            verbs: Vec::new(),
            auth: None,
            by_signature: false,
        }
    }

    /// Its `[[handler]]` row.
    pub fn described<'m>(&self, model: &'m pack::Model) -> Option<&'m pack::Handler> {
        model.handler(self.framework, self.row)
    }

    /// Whether this is only a guess from the signature.
    pub(super) fn is_guess(&self) -> bool {
        self.by_signature
    }

    /// An instance of the class whose method it is.
    pub(super) fn instance(&self) -> Option<Instance> {
        self.class.map(|class| Instance { class, made: None })
    }

    /// What decorators have made of it.
    pub(super) fn wrapper(&self) -> Option<FunctionId> {
        self.wrapper
    }

    /// The same, where what a decorator made of it is what counts.
    pub(super) fn wrapped(&self, def: Def) -> Handler {
        Handler {
            def,
            wrapper: None,
            ..self.clone()
        }
    }
}

/// What decorators say of the function below them.
#[derive(Debug, Clone, Default)]
pub(super) struct Decorated {
    handlers: Vec<Handler>,
    auth: Option<String>,
}

/// The HTTP method that a method called `name` answers.
fn verb(name: &str) -> Option<String> {
    let verb = name.strip_prefix("do_").unwrap_or(name);
    let verb = verb.strip_prefix("on_").unwrap_or(verb).to_lowercase();
    VERBS.contains(&verb.as_str()).then(|| verb.to_uppercase())
}

impl<'a> Machine<'a> {
    pub(super) fn handler_row(&self, handler: &Handler) -> Option<&'a pack::Handler> {
        handler.described(self.model)
    }

    fn add_handler(&mut self, handler: Handler) {
        self.all_handlers.insert(handler.def, handler.clone());
        match self.known_handlers.get(&handler.def).copied() {
            None => {
                self.known_handlers
                    .insert(handler.def, handler.by_signature);
                self.handlers.push_back(handler);
            }
            // What is registered is certain, whatever was guessed before.
            Some(true) if !handler.by_signature => {
                self.known_handlers.insert(handler.def, false);
                let guessed = self.handlers.iter_mut().find(|h| h.def == handler.def);
                match guessed {
                    Some(guess) => *guess = handler,
                    None => self.handlers.push_back(handler),
                }
            }
            Some(_) => {}
        }
    }

    /// Sees whether `decorator` makes `def` a handler, or lets only known users through.
    pub(super) fn decorator(
        &mut self,
        decorator: &'a ast::Decorator,
        callee: &Value,
        def: Def,
        decorated: &mut Decorated,
    ) {
        let (target, arguments) = match &decorator.expression {
            Expr::Call(call) => (&*call.func, Some(&call.arguments)),
            expr => (expr, None),
        };
        let model = self.model;
        let names: Vec<Rc<str>> = callee
            .atoms()
            .iter()
            .filter_map(|atom| match atom {
                Atom::External(name) => Some(Rc::clone(name)),
                _ => None,
            })
            .collect();
        let last = match target {
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            Expr::Name(name) => name.id.as_str(),
            _ => "",
        };
        if names.iter().any(|name| model.authenticates(name))
            || (names.is_empty() && (last.ends_with("login_required") || last == "requires_auth"))
        {
            decorated.auth = Some(last.to_owned());
        }
        let mut rows: Vec<(FrameworkId, usize)> = names
            .iter()
            .flat_map(|name| model.decorated(name))
            .copied()
            .collect();
        let of_unknown = matches!(target, Expr::Attribute(_))
            && callee
                .atoms()
                .iter()
                .all(|a| matches!(a, Atom::External(_)));
        if rows.is_empty() && of_unknown {
            let uses = self.uses(self.file());
            let open = model.decorated_open(last).iter();
            rows.extend(open.filter(|(framework, _)| uses.contains(framework)));
        }
        let Some(row) = rows.first() else {
            return;
        };
        let text = |expr: &Expr| {
            let literal = expr.as_string_literal_expr()?;
            Some(literal.value.to_str().to_owned())
        };
        let route = arguments.and_then(|a| {
            let keyword = |name: &str| a.find_keyword(name).map(|k| &k.value);
            let first = a.args.first();
            first
                .or_else(|| keyword("path"))
                .or_else(|| keyword("rule"))
                .or_else(|| keyword("route"))
                .and_then(text)
        });
        let mut verbs: Vec<String> = arguments
            .and_then(|a| a.find_keyword("methods"))
            .map(|keyword| match &keyword.value {
                Expr::List(node) => node.elts.iter().filter_map(text).collect(),
                Expr::Tuple(node) => node.elts.iter().filter_map(text).collect(),
                Expr::Set(node) => node.elts.iter().filter_map(text).collect(),
                _ => Vec::new(),
            })
            .unwrap_or_default();
        if verbs.is_empty() && VERBS.contains(&last) {
            verbs.push(last.to_owned());
        }
        decorated.handlers.push(Handler {
            route,
            verbs: verbs.iter().map(|v| v.to_uppercase()).collect(),
            ..Handler::new(*row, def)
        });
    }

    /// Registers what the decorators of `def` said, all together.
    pub(super) fn decorated(
        &mut self,
        decorated: Decorated,
        class: Option<Def>,
        wrapper: Option<FunctionId>,
    ) {
        for handler in decorated.handlers {
            self.add_handler(Handler {
                class,
                wrapper,
                auth: decorated.auth.clone(),
                ..handler
            });
        }
    }

    /// Sees whether the function `node` looks like a handler by its parameters.
    pub(super) fn handler_by_signature(
        &mut self,
        node: &'a ast::StmtFunctionDef,
        def: Def,
        class: Option<Def>,
    ) {
        if self.frames.last().is_some_and(|frame| frame.def.is_some()) {
            return;
        }
        let skip = usize::from(class.is_some());
        let parameters = node.parameters.iter_non_variadic_params().skip(skip);
        let names: Vec<&str> = parameters.map(|p| p.name().as_str()).collect();
        let model = self.model;
        let by_first = names
            .first()
            .map_or(&[][..], |first| model.first_named(first));
        let by_all = model.signatures().iter().filter(|(framework, row)| {
            let row = model.handler(*framework, *row);
            row.is_some_and(|row| {
                match (class, row.methods.as_slice()) {
                    (None, []) => row.signature == names,
                    (Some(_), []) => node.name == *"__call__" && row.signature == names,
                    // Methods so called, of any class.
                    (Some(_), methods) => {
                        is_one(methods, &node.name)
                            && names.len() >= row.signature.len()
                            && row.signature.iter().zip(&names).all(|(a, b)| a == b)
                    }
                    (None, _) => false,
                }
            })
        });
        let rows: Vec<(FrameworkId, usize)> = by_first.iter().chain(by_all).copied().collect();
        if rows.is_empty() {
            return;
        }
        let uses = self.uses(self.file());
        for row in rows
            .into_iter()
            .filter(|(framework, _)| uses.contains(framework))
        {
            self.add_handler(Handler {
                class,
                by_signature: true,
                verbs: class.and_then(|_| verb(&node.name)).into_iter().collect(),
                ..Handler::new(row, def)
            });
        }
    }

    /// Sees which methods of `class` are handlers.
    pub(super) fn handlers_by_base(&mut self, class: Def, name: &str) {
        let model = self.model;
        let bases = self.outside_bases(class);
        let mut rows: Vec<(FrameworkId, usize)> = bases
            .iter()
            .flat_map(|base| model.based(base))
            .copied()
            .collect();
        let lasts = bases
            .iter()
            .map(|b| b.rsplit('.').next().unwrap_or(b).to_owned());
        let project = self.project;
        let own = self.lineage(class).into_iter().skip(1).map(|def| {
            let text = project.text(def.file);
            let text = text.get(def.start..def.start + 200).unwrap_or_default();
            let name = text.split("class ").nth(1).unwrap_or("");
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            name.split(end).next().unwrap_or("").to_owned()
        });
        let _ = name;
        for last in lasts.chain(own).collect::<Vec<_>>() {
            rows.extend(model.based_ending(&last));
        }
        rows.sort();
        rows.dedup();
        for (framework, n) in rows {
            let Some(row) = model.handler(framework, n) else {
                continue;
            };
            for table in self.attribute_tables(class) {
                let mut names: Vec<&Name> = table
                    .keys()
                    .filter(|name| is_one(&row.methods, name))
                    .collect();
                names.sort();
                for name in names {
                    for atom in table.get(name).iter().flat_map(|v| v.atoms()) {
                        let Atom::Function(id, _) = atom else {
                            continue;
                        };
                        let Some(function) = self.function(*id) else {
                            continue;
                        };
                        self.add_handler(Handler {
                            class: Some(class),
                            verbs: verb(name).into_iter().collect(),
                            ..Handler::new((framework, n), function.def)
                        });
                    }
                }
            }
        }
    }

    /// Sees whether calling `name` registers one of `arguments` as a handler.
    pub(super) fn register(&mut self, name: &str, arguments: &Arguments) -> bool {
        let rows = self.model.registered(name);
        let is = |call: &str| call == name;
        let registered = self.register_rows(rows, &is, arguments);
        match name.rsplit_once('.') {
            Some((_, last)) if rows.is_empty() => self.register_open(last, arguments),
            _ => registered,
        }
    }

    /// The same for a method `last` of a receiver that nothing is known of.
    pub(super) fn register_open(&mut self, last: &str, arguments: &Arguments) -> bool {
        let model = self.model;
        let open = model.registered_open(last);
        if open.is_empty() {
            return false;
        }
        let uses = self.uses(self.file());
        let rows: Vec<_> = open
            .iter()
            .filter(|(f, _)| uses.contains(f))
            .copied()
            .collect();
        let is = |call: &str| call.strip_prefix("*.") == Some(last);
        self.register_rows(&rows, &is, arguments)
    }

    fn register_rows(
        &mut self,
        rows: &[(FrameworkId, usize)],
        is: &dyn Fn(&str) -> bool,
        arguments: &Arguments,
    ) -> bool {
        let model = self.model;
        let mut registered = false;
        for (framework, n) in rows {
            let Some(row) = model.handler(*framework, *n) else {
                continue;
            };
            for registration in row.registered.iter().filter(|r| is(&r.call)) {
                let given = arguments.get(registration.argument, &registration.keyword);
                let route = arguments.positional.first().and_then(Value::text);
                for atom in given.iter().flat_map(|value| value.atoms()) {
                    if let Atom::Function(id, bound) = atom
                        && let Some(function) = self.function(*id)
                    {
                        registered = true;
                        let call = &registration.call;
                        self.handles_queue(*framework, call, function.def, arguments);
                        self.add_handler(Handler {
                            class: bound.map(|b| b.class),
                            route: route.as_deref().map(str::to_owned),
                            ..Handler::new((*framework, *n), function.def)
                        });
                    }
                }
            }
        }
        registered
    }

    /// The attribute `name` that a framework sets on instances of `class`.
    pub(super) fn handler_field(&self, class: Def, name: &str) -> Option<Value> {
        let model = self.model;
        let bases = self.outside_bases(class);
        let mut rows = bases.iter().flat_map(|base| model.based(base));
        rows.find_map(|(framework, n)| {
            let ty = model.handler(*framework, *n)?.fields.get(name)?;
            Some(Value::object(ty))
        })
    }
}

/// Whether `name` is one of `patterns`, of which `on_*` means all that start so.
fn is_one(patterns: &[String], name: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some("") => !name.starts_with("__"),
            Some(start) => name.starts_with(start),
            None => pattern == name,
        })
}
