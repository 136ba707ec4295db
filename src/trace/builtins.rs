//! What Python's own functions do to values: the language, not a library.

use std::rc::Rc;

use super::at::At;
use super::env::Env;
use super::fold;
use super::iterators::{alternatives, in_order};
use super::machine::{Machine, Owner};
use super::uses::Doing;
use super::value::{Arguments, Atom, Const, Container, Def, Instance, Kind, Partial, Role, Value};
use crate::pack::Shape;
use crate::python::ast::name::Name;

/// Attributes that a name which is not known may mean; those that lead to loads first.
const MOST_NAMES: usize = 64;

impl<'a> Machine<'a> {
    /// What calling `name` with `arguments` gives, where Python itself says so.
    pub(super) fn call_builtin(
        &mut self,
        name: &str,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Option<Value> {
        let argument = |n: usize| arguments.positional.get(n);
        let first = argument(0);
        if let "builtins.sorted" | "builtins.min" | "builtins.max" | "builtins.filter"
        | "itertools.groupby" = name
        {
            let (function, items) = match name {
                "builtins.filter" => (first, argument(1)),
                "itertools.groupby" => (arguments.get(1, "key"), first),
                _ => (arguments.named("key"), first),
            };
            if let (Some(function), Some(items)) = (function, items) {
                let given = Arguments::one(self.iterated(items, at.place));
                self.apply(function, &given, at.of_function(), env);
            }
        }
        if let Some(value) = self.buffer(name, arguments, at) {
            return Some(value);
        }
        if let Some(value) = self.call_iterator(name, arguments, at, env) {
            return Some(value);
        }
        match name {
            "builtins.getattr" => self.got_attribute(arguments, at, env),
            "builtins.setattr" => {
                let name = argument(1)?.text()?;
                let value = argument(2)?.clone();
                self.assign_attribute(first?, &name, &value, at, env);
                Some(Const::None.into())
            }
            "builtins.super" => self.super_object(first, argument(1)),
            "builtins.globals" => Some(Atom::Module(self.file()).into()),
            "builtins.locals" => None,
            "builtins.vars" => Some(first?.clone()),
            "builtins.len" => {
                let length = match first?.constant() {
                    Some(Const::Str(text) | Const::Bytes(text)) => text.chars().count(),
                    _ => match first?.atoms() {
                        [Atom::Container(container)] => container.in_order()?.len(),
                        _ => return None,
                    },
                };
                Some(Const::Int(i64::try_from(length).ok()?).into())
            }
            "builtins.str" => match (first?.constant(), first?.atoms()) {
                (Some(constant), _) => fold::shown(constant).map(|text| Value::str(&text)),
                (None, [Atom::Pattern(_)]) => Some(first?.clone()),
                _ => None,
            },
            "builtins.int" => match first?.constant()? {
                Const::Str(text) => Some(Const::Int(text.trim().parse().ok()?).into()),
                Const::Int(n) => Some(Const::Int(*n).into()),
                Const::Bool(b) => Some(Const::Int(i64::from(*b)).into()),
                _ => None,
            },
            "builtins.bool" => Some(Value::bool(first?.truth()?)),
            "builtins.chr" => match first?.constant()? {
                Const::Int(n) => {
                    let c = char::from_u32(u32::try_from(*n).ok()?)?;
                    Some(Value::str(&c.to_string()))
                }
                _ => None,
            },
            "builtins.dict" | "collections.OrderedDict" => Some(self.made_dict(arguments, at)),
            "collections.defaultdict" => Some(Container::mapping().into()),
            "builtins.tuple" => {
                let copied = self.copied(first, Kind::Sequence(None), at)?;
                Some(with_role(&copied, Role::Tuple))
            }
            "builtins.list" => self.copied(first, Kind::Sequence(None), at),
            "builtins.sorted" => match self.copied(first, Kind::Sequence(None), at)?.atoms() {
                [Atom::Container(container)] => Some(Container::some(container.any()).into()),
                _ => None,
            },
            "collections.deque" => {
                let copied = self.copied(first, Kind::Sequence(None), at)?;
                let most = arguments.get(1, "maxlen").and_then(Value::constant);
                match most {
                    Some(Const::Int(most)) => {
                        let role = Role::Bounded(usize::try_from(*most).ok()?);
                        let is_empty = first.is_none();
                        let copied = with_role(&copied, role);
                        match (is_empty, copied.atoms()) {
                            (false, [Atom::Container(container)]) => {
                                let mut blurred = (**container).clone();
                                blurred.blur(&Value::unknown());
                                Some(blurred.into())
                            }
                            _ => Some(copied),
                        }
                    }
                    _ => Some(copied),
                }
            }
            "queue.Queue" | "queue.SimpleQueue" | "asyncio.Queue" => {
                Some(Container::sequence([]).with(Role::Queue).into())
            }
            "queue.LifoQueue" | "asyncio.LifoQueue" => {
                Some(Container::sequence([]).with(Role::Stack).into())
            }
            "builtins.set" | "builtins.frozenset" => self.copied(first, Kind::Bag, at),
            "builtins.range" => {
                let bounds: Option<Vec<i64>> = arguments
                    .positional
                    .iter()
                    .map(|v| match v.constant() {
                        Some(Const::Int(n)) => Some(*n),
                        _ => None,
                    })
                    .collect();
                let (start, end) = match bounds?.as_slice() {
                    [end] => (0, *end),
                    [start, end] => (*start, *end),
                    _ => return None,
                };
                if end - start > 16 {
                    return None;
                }
                let numbers = (start..end).map(|n| Value::from(Const::Int(n)));
                Some(Container::sequence(numbers).into())
            }
            "builtins.filter" => {
                let item = self.iterated(argument(1)?, at.place);
                Some(Container::of(item).into())
            }
            "builtins.min" | "builtins.max" => match arguments.positional.as_slice() {
                [one] => match in_order(one).filter(|items| is_numbers(items)) {
                    Some(items) if arguments.named.is_empty() => {
                        let given = Arguments {
                            positional: items,
                            ..Arguments::default()
                        };
                        self.call_builtin(name, &given, at, env)
                    }
                    _ => Some(self.iterated(one, at.place)),
                },
                all if all
                    .iter()
                    .all(|v| matches!(v.constant(), Some(Const::Int(_)))) =>
                {
                    let numbers = all.iter().filter_map(|v| match v.constant() {
                        Some(Const::Int(n)) => Some(*n),
                        _ => None,
                    });
                    let out = match name {
                        "builtins.min" => numbers.min(),
                        _ => numbers.max(),
                    };
                    Some(Const::Int(out?).into())
                }
                all => Some(all.iter().fold(Value::unknown(), |a, v| a.join(v))),
            },
            "types.SimpleNamespace" => {
                let fields: Vec<Name> = arguments.named.iter().map(|(n, _)| n.clone()).collect();
                let made = Self::named_tuple(&fields, arguments);
                Some(with_role(&made, Role::Namespace))
            }
            "functools.partial" | "functools.partialmethod" => {
                let (function, rest) = arguments.positional.split_first()?;
                let partial = Partial {
                    function: function.clone(),
                    arguments: Arguments {
                        positional: rest.to_vec(),
                        ..arguments.clone()
                    },
                };
                Some(partial.bounded().into())
            }
            "functools.wraps"
            | "functools.update_wrapper"
            | "functools.lru_cache"
            | "functools.cache"
            | "functools.singledispatch" => {
                // Decorators that keep the function; `lru_cache(maxsize=1)` gives such a one.
                match first {
                    Some(value)
                        if name != "functools.wraps"
                            && value.any_atom(&|a| {
                                matches!(
                                    a,
                                    Atom::Function(..) | Atom::External(_) | Atom::Partial(_)
                                )
                            }) =>
                    {
                        Some(value.clone())
                    }
                    _ => Some(Value::external("functools.cache")),
                }
            }
            "functools.reduce" => {
                let item = self.iterated(argument(1)?, at.place);
                let start = argument(2).cloned().unwrap_or_default();
                let given = Arguments {
                    positional: vec![start.join(&item), item.clone()],
                    ..Arguments::default()
                };
                let out = self.apply(first?, &given, at.of_function(), env);
                Some(out.join(&item))
            }
            "importlib.import_module" | "builtins.__import__" => {
                let target = first?.text()?;
                let target = match arguments.get(1, "package").and_then(Value::text) {
                    // `import_module(".codec", package="shop")`.
                    Some(package) if target.starts_with('.') && name.starts_with("importlib") => {
                        format!("{package}{target}").into()
                    }
                    _ => target,
                };
                let target = match name {
                    "builtins.__import__" => target.split('.').next().unwrap_or("").to_owned(),
                    _ => target.to_string(),
                };
                Some(self.named_module(&target))
            }
            "os.path.join" | "posixpath.join" => {
                let path = fold::joined_path(&arguments.positional)?;
                let taints =
                    self.stepped(&arguments.any(), Some(name), Shape::Bytes, true, at.place);
                let mut out = taints.filter(|a| matches!(a, Atom::Untrusted(_)));
                out.add(path);
                Some(out)
            }
            "os.path.abspath" | "os.path.realpath" | "os.path.normpath" | "os.path.expanduser"
            | "os.fspath" | "os.path.expandvars" => {
                first?.constant()?;
                Some(first?.clone())
            }
            "collections.namedtuple" | "typing.NamedTuple" => {
                Some(Atom::Record(record_fields(argument(1)?)?).into())
            }
            "dataclasses.replace" | "copy.replace" => self.replaced(arguments, at),
            "heapq.heappush" | "heapq.heappushpop" | "heapq.heapreplace" => {
                let mut heap = first?.clone();
                let item = Container::some(argument(1)?.clone());
                let call = at.call.filter(|_| !at.handed);
                let taken = self.iterated(&heap, at.place);
                heap = grown_by(&heap, &item);
                if let Some(expr) = call.and_then(|call| call.arguments.args.first()) {
                    self.store_into(expr, heap, env);
                }
                Some(match name {
                    "heapq.heappush" => Const::None.into(),
                    _ => taken.join(argument(1)?),
                })
            }
            "random.shuffle"
            | "heapq.heapify"
            | "bisect.insort"
            | "bisect.insort_left"
            | "bisect.insort_right" => {
                let more = Container::some(argument(1).cloned().unwrap_or_default());
                let after = grown_by(first?, &more);
                let call = at.call.filter(|_| !at.handed);
                if let Some(expr) = call.and_then(|call| call.arguments.args.first()) {
                    self.store_into(expr, after, env);
                }
                Some(Const::None.into())
            }
            "heapq.heappop" => Some(self.iterated(first?, at.place)),
            "dataclasses.asdict"
            | "dataclasses.astuple"
            | "copy.copy"
            | "copy.deepcopy"
            | "typing.cast"
            | "contextlib.closing"
            | "contextlib.aclosing"
            | "contextlib.nullcontext"
            | "builtins.staticmethod"
            | "builtins.classmethod"
            | "asyncio.shield"
            | "asyncio.wait_for"
            | "asyncio.ensure_future"
            | "asyncio.create_task"
            | "asyncio.run"
            | "types.MappingProxyType" => {
                let value = match name {
                    "typing.cast" => argument(1)?,
                    _ => arguments.first()?,
                };
                Some(value.clone())
            }
            "asyncio.gather" => Some(Container::sequence(arguments.positional.clone()).into()),
            "builtins.any" | "builtins.all" => {
                let items = first?;
                let known = match items.atoms() {
                    [Atom::Container(container)] => container.in_order(),
                    _ => None,
                };
                let truths: Option<Vec<bool>> =
                    known.and_then(|all| all.iter().map(Value::truth).collect());
                if let Some(truths) = truths {
                    let truth = match name {
                        "builtins.any" => truths.contains(&true),
                        _ => !truths.contains(&false),
                    };
                    return Some(Value::bool(truth));
                }
                // `any(compare_digest(tag(key), given) for key in keys)`.
                let said = self.iterated(items, at.place).filter(|atom| {
                    matches!(
                        atom,
                        Atom::Checked(_) | Atom::Harmless(_) | Atom::Tame(_) | Atom::Const(_)
                    )
                });
                Some(Value::clean().join(&said))
            }
            "builtins.sum" | "builtins.abs" => {
                let numbers: Option<Vec<i64>> = match first?.atoms() {
                    [Atom::Container(container)] => container
                        .in_order()?
                        .iter()
                        .map(|v| match v.constant() {
                            Some(Const::Int(n)) => Some(*n),
                            _ => None,
                        })
                        .collect(),
                    [Atom::Const(Const::Int(n))] => Some(vec![n.checked_abs()?]),
                    _ => None,
                };
                Some(Const::Int(numbers?.iter().try_fold(0_i64, |a, n| a.checked_add(*n))?).into())
            }
            "re.sub" | "re.subn" if !self.substitutes_all(arguments) => {
                let given = argument(1)?.clone().join(argument(2)?);
                let is_function =
                    given.any_atom(&|a| matches!(a, Atom::Function(..) | Atom::External(_)));
                match is_function {
                    true => None,
                    false => Some(self.stepped(&given, Some(name), Shape::Bytes, false, at.place)),
                }
            }
            "configparser.RawConfigParser" => Some(Container::mapping().into()),
            "configparser.ConfigParser" | "configparser.SafeConfigParser" => {
                Some(Container::mapping().with(Role::Options).into())
            }
            "shutil.copy" | "shutil.copyfile" | "shutil.copy2" | "shutil.move" | "os.rename"
            | "os.replace" => {
                let from = fold::key_text(first?);
                let to = fold::key_text(argument(1)?);
                let kept = self.read_store(super::stores::LOCAL_FILE, &from, Shape::Stream, at);
                self.write_store(super::stores::LOCAL_FILE, &to, &kept);
                Some(argument(1)?.clone())
            }
            "builtins.isinstance" => {
                let mut classes = Vec::new();
                match in_order(argument(1)?) {
                    Some(several) => classes.extend(several),
                    None => classes.push(argument(1)?.clone()),
                }
                self.note_test(&first?.clone(), &classes, at.place);
                let is_harmless = |class: &Value| {
                    let stops = |a: &Atom| matches!(a, Atom::External(n) if self.model.stops(n));
                    !class.is_empty() && class.atoms().iter().all(stops)
                };
                let mut out = Value::clean();
                if !classes.is_empty() && classes.iter().all(is_harmless) {
                    for taint in first?.taints().into_iter().filter(|t| t.exact) {
                        out.add(Atom::Harmless(taint.identity()));
                    }
                }
                Some(out)
            }
            "builtins.callable" | "builtins.hasattr" => Some(Value::clean()),
            "operator.itemgetter" | "operator.attrgetter" => None,
            _ => None,
        }
    }

    fn got_attribute(&mut self, arguments: &Arguments, at: At<'a>, env: &mut Env) -> Option<Value> {
        let owner = arguments.positional.first()?;
        let name = arguments.positional.get(1)?;
        let default = arguments.positional.get(2).cloned().unwrap_or_default();
        let found = match name.constants() {
            Some(names) => {
                let names: Vec<Rc<str>> = names
                    .into_iter()
                    .filter_map(|name| match name {
                        Const::Str(text) => Some(Rc::clone(text)),
                        _ => None,
                    })
                    .collect();
                names.iter().fold(Value::unknown(), |all, name| {
                    all.join(&self.attribute(owner, name, at, env))
                })
            }
            None => {
                let pattern = fold::key_text(name);
                self.note_use(owner, at.place, || Doing::Attribute(pattern.to_string()));
                self.any_attribute(owner, &pattern, at, env)
            }
        };
        Some(found.join(&default))
    }

    /// Attributes of `owner` whose names fit `pattern` (`from_\0`), as far as they lead to loads.
    fn any_attribute(&mut self, owner: &Value, pattern: &str, at: At<'a>, env: &mut Env) -> Value {
        let model = self.model;
        let (start, end) = pattern.split_once('\0').unwrap_or((pattern, ""));
        let fits = |name: &str| {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        };
        let mut out = Value::unknown();
        for atom in owner.atoms() {
            let mut names: Vec<Name> = match atom {
                Atom::Instance(Instance { class, .. }) | Atom::Class(class) => {
                    let tables = self.attribute_tables(*class);
                    let names = tables.iter().flat_map(|table| table.keys());
                    names.filter(|name| fits(name)).cloned().collect()
                }
                Atom::Module(file) => self
                    .leading_names(*file)
                    .into_iter()
                    .filter(|n| fits(n))
                    .collect(),
                Atom::External(base) => {
                    // `getattr(pickle, request.args["op"])`.
                    let sinks = model.sinks_of(base).filter(|last| fits(last));
                    for last in sinks {
                        out.add(Atom::External(format!("{base}.{last}").into()));
                    }
                    continue;
                }
                _ => continue,
            };
            names.sort();
            names.dedup();
            names.sort_by_key(|name| !self.leading.contains_key(name));
            let owner: Value = atom.clone().into();
            if names
                .get(MOST_NAMES)
                .is_some_and(|n| self.leading.contains_key(n))
            {
                out.add(Atom::More(true));
            }
            for name in names.iter().take(MOST_NAMES) {
                out = out.join(&self.attribute(&owner, name, at, env));
            }
        }
        out
    }

    /// `replace(instance, field=value)`: an instance of its own, with the other fields of the first.
    fn replaced(&mut self, arguments: &Arguments, at: At<'a>) -> Option<Value> {
        let mut out = Value::unknown();
        for atom in arguments.positional.first()?.atoms() {
            let Atom::Instance(before) = atom else {
                out.add(atom.clone());
                continue;
            };
            let called_at = self.frames.last().and_then(|f| f.called_at);
            let after = Instance {
                class: before.class,
                made: Some((at.place, called_at)),
            };
            let line = self.lineage(before.class);
            let classes = line.iter().filter_map(|class| self.classes.get(class));
            let fields: Vec<Name> = classes.flat_map(|info| info.annotated.clone()).collect();
            for field in fields {
                let value = match arguments.named(&field) {
                    Some(value) => value.clone(),
                    None => {
                        let mut env = Env::default();
                        let kept = self.member(*before, &field, At::place(at.place), &mut env);
                        kept.join(&arguments.spread)
                    }
                };
                self.set_field(Owner::Instance(after), &field, &value);
            }
            out.add(Atom::Instance(after));
        }
        Some(out)
    }

    fn super_object(&mut self, class: Option<&Value>, of: Option<&Value>) -> Option<Value> {
        let frame = self.frames.last()?;
        let home: Def = match class.map(Value::atoms) {
            Some([Atom::Class(class)]) => *class,
            Some(_) => return None,
            None => frame.class?,
        };
        let instance = match of.map(Value::atoms) {
            Some([Atom::Instance(instance)]) => *instance,
            _ => frame.instance.unwrap_or(Instance::any(home)),
        };
        Some(Atom::Super(home, instance).into())
    }

    fn made_dict(&mut self, arguments: &Arguments, at: At<'a>) -> Value {
        let mut container = Container {
            rest: arguments.spread.clone(),
            ..Container::mapping()
        };
        for value in &arguments.positional {
            for atom in value.atoms() {
                match atom {
                    Atom::Container(other) if other.kind == Kind::Mapping => {
                        container.merge(other);
                    }
                    other => {
                        let own: Value = other.clone().into();
                        let pairs = match in_order(&own) {
                            Some(pairs) => pairs,
                            None => alternatives(self.iterated(&own, at.place)),
                        };
                        for pair in pairs {
                            let key = self.item(&pair, Some(&Const::Int(0)), at.place);
                            let value = self.item(&pair, Some(&Const::Int(1)), at.place);
                            container.put(&key, value);
                        }
                    }
                }
            }
        }
        for (name, value) in &arguments.named {
            let key = Const::Str(name.as_str().into());
            container.items.insert(key, value.clone());
        }
        container.into()
    }

    fn copied(&mut self, given: Option<&Value>, kind: Kind, at: At<'a>) -> Option<Value> {
        let Some(given) = given else {
            let container = match kind {
                Kind::Sequence(_) => Container::sequence([]),
                kind => Container {
                    kind,
                    ..Container::default()
                },
            };
            return Some(container.into());
        };
        if let ([Atom::Container(container)], Kind::Sequence(_)) = (given.atoms(), kind)
            && let Some(items) = container.in_order()
        {
            return Some(Container::sequence(items).into());
        }
        let mut container = Container::of(self.iterated(given, at.place));
        container.kind = kind;
        Some(container.into())
    }
}

/// `value` whose containers hold what `more` does, too.
fn grown_by(value: &Value, more: &Container) -> Value {
    let each = value.atoms().iter().map(|atom| match atom {
        Atom::Container(container) => {
            let mut container = (**container).clone();
            container.blur(&more.any());
            Atom::container(container)
        }
        other => other.clone(),
    });
    each.collect()
}

/// Whether all of `items`, two at least, are known numbers.
fn is_numbers(items: &[Value]) -> bool {
    let number = |v: &Value| matches!(v.constant(), Some(Const::Int(_)));
    items.len() > 1 && items.iter().all(number)
}

/// `value` whose containers are used so.
fn with_role(value: &Value, role: Role) -> Value {
    let each = value.atoms().iter().map(|atom| match atom {
        Atom::Container(container) => Atom::Container(Rc::new((**container).clone().with(role))),
        other => other.clone(),
    });
    each.collect()
}

/// Field names of `namedtuple("P", "x y")` or `namedtuple("P", ["x", "y"])`.
fn record_fields(value: &Value) -> Option<Rc<[Name]>> {
    if let Some(text) = value.text() {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        return Some(words.filter(|w| !w.is_empty()).map(Name::new).collect());
    }
    match value.atoms() {
        [Atom::Container(container)] => container
            .in_order()?
            .iter()
            .map(|item| match item.atoms() {
                [Atom::Container(pair)] => Some(Name::new(pair.in_order()?.first()?.text()?)),
                _ => Some(Name::new(item.text()?)),
            })
            .collect(),
        _ => None,
    }
}
