//! What the interpreter knows of a Python value.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use crate::pack::{Shape, Trust};
use crate::project::FileId;
use crate::text::Span;

/// More alternatives than this are not told apart.
const WIDEST: usize = 12;

/// A place in the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// Where in it.
    pub span: Span,
}

/// What happened to the value at a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HopKind {
    /// It entered the program.
    Source,
    /// It was decoded, unpacked, copied.
    Step,
    /// It was passed to a function of the project.
    Call,
    /// A function of the project returned it.
    Return,
    /// It was deserialised.
    Sink,
}

impl HopKind {
    /// The word used in JSON.
    pub fn word(self) -> &'static str {
        match self {
            HopKind::Source => "source",
            HopKind::Step => "step",
            HopKind::Call => "call",
            HopKind::Return => "return",
            HopKind::Sink => "sink",
        }
    }
}

/// One station of a value's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Where.
    pub place: Place,
    /// What happened.
    pub kind: HopKind,
    /// In words.
    pub note: String,
    /// The value's form afterwards.
    pub shape: Shape,
    /// Of no interest to a reader of the path.
    pub quiet: bool,
    /// What this station raises when the client left the value out.
    pub raises: Vec<Rc<str>>,
    /// A call that nothing is known of: what it returns may depend on the value, or merely be found by it.
    pub opaque: bool,
}

impl Hop {
    /// A station that raises nothing of its own.
    pub fn new(place: Place, kind: HopKind, note: String, shape: Shape, quiet: bool) -> Hop {
        Hop {
            place,
            kind,
            note,
            shape,
            quiet,
            raises: Vec::new(),
            opaque: false,
        }
    }
}

/// What tells one untrusted value from another: where it came from, and which part of it.
pub type Identity = (Rc<str>, Rc<str>);

/// How an untrusted value came here. Equality and hash leave the way out: the same value by another way is the same.
#[derive(Debug, Clone)]
pub struct Taint {
    /// Who supplies it.
    pub trust: Trust,
    /// Where in a request or elsewhere it travels.
    pub channel: Rc<str>,
    /// Under which name: cookie name, form field.
    pub key: Option<Rc<str>>,
    /// Which part of what came from the source: projections by position or key.
    pub part: Rc<str>,
    /// Where it entered.
    pub origin: Place,
    /// What it is, where reading it again gives the same: `flask.Request.data`.
    pub known_as: Option<Rc<str>>,
    /// What reading a missing key of it raises.
    pub on_missing: Option<Rc<str>>,
    /// Its form now.
    pub shape: Shape,
    /// Why a check that was made does not count, if so.
    pub sham: Option<&'static str>,
    pub(super) hops: Rc<Hops>,
}

#[derive(Debug)]
pub(super) struct Hops {
    hop: Hop,
    before: Option<Rc<Hops>>,
    length: usize,
}

impl Taint {
    /// A value that enters at `hop`.
    pub fn enter(trust: Trust, channel: &str, shape: Shape, place: Place, note: String) -> Taint {
        Taint {
            trust,
            channel: channel.into(),
            key: None,
            part: "".into(),
            origin: place,
            known_as: None,
            on_missing: None,
            shape,
            sham: None,
            hops: Rc::new(Hops {
                hop: Hop::new(place, HopKind::Source, note, shape, false),
                before: None,
                length: 1,
            }),
        }
    }

    /// The same value after one more station.
    pub fn then(&self, hop: Hop) -> Taint {
        // A long way is cut in the middle of nowhere rather than grown without bound.
        if self.hops.length >= 64 {
            return Taint {
                shape: hop.shape,
                ..self.clone()
            };
        }
        Taint {
            shape: hop.shape,
            hops: Rc::new(Hops {
                length: self.hops.length + 1,
                hop,
                before: Some(Rc::clone(&self.hops)),
            }),
            ..self.clone()
        }
    }

    /// While only the source has been read: the source is the wider expression at `place`.
    pub fn widen(&self, place: Place, note: String, shape: Shape) -> Option<Taint> {
        let hop = &self.hops.hop;
        let same = hop.kind == HopKind::Source
            && hop.place.file == place.file
            && place.span.contains(hop.place.span);
        same.then(|| {
            let mut taint = Taint::enter(self.trust, &self.channel, shape, place, note);
            taint.key = self.key.clone();
            taint.part = Rc::clone(&self.part);
            taint.origin = self.origin;
            taint.known_as = self.known_as.clone();
            taint.on_missing = self.on_missing.clone();
            taint.sham = self.sham;
            let taint = taint.raising(&hop.raises);
            if hop.opaque {
                taint.through_unknown()
            } else {
                taint
            }
        })
    }

    /// All stations, the source first.
    pub fn hops(&self) -> Vec<Hop> {
        let mut hops = Vec::with_capacity(self.hops.length);
        let mut at = Some(&self.hops);
        while let Some(node) = at {
            hops.push(node.hop.clone());
            at = node.before.as_ref();
        }
        hops.reverse();
        hops
    }

    /// The same value; its last station is a call that nothing is known of.
    pub fn through_unknown(mut self) -> Taint {
        let mut hop = self.hops.hop.clone();
        hop.opaque = true;
        self.hops = Rc::new(Hops {
            hop,
            before: self.hops.before.clone(),
            length: self.hops.length,
        });
        self
    }

    /// The same value; its last station raises `more` when the client left it out.
    pub fn raising(mut self, more: &[Rc<str>]) -> Taint {
        if !more.is_empty() {
            let mut hop = self.hops.hop.clone();
            hop.raises.extend(more.iter().cloned());
            self.hops = Rc::new(Hops {
                hop,
                before: self.hops.before.clone(),
                length: self.hops.length,
            });
        }
        self
    }

    /// What a check of this value is a check of.
    pub fn identity(&self) -> Identity {
        let source = match &self.known_as {
            Some(name) => Rc::clone(name),
            None => format!("{:?}", self.origin).into(),
        };
        (source, Rc::clone(&self.part))
    }

    fn same(&self) -> impl Hash + Eq + '_ {
        (
            self.trust,
            self.shape,
            self.origin,
            &self.channel,
            &self.key,
            &self.part,
            self.sham,
        )
    }
}

impl PartialEq for Taint {
    fn eq(&self, other: &Taint) -> bool {
        self.same() == other.same()
    }
}

impl Eq for Taint {}

impl Hash for Taint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.same().hash(state);
    }
}

/// Identifies a function or class: its file and where its definition starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Def {
    /// The file.
    pub file: FileId,
    /// Where its `def`, `lambda` or `class` starts.
    pub start: usize,
}

/// A constant, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Const {
    /// Text.
    Str(Rc<str>),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// `None`.
    None,
    /// Some other value that carries no payload.
    Other,
}

impl Const {
    /// Whether Python takes it as true, where that is known.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Const::Str(text) => Some(!text.is_empty()),
            Const::Int(n) => Some(*n != 0),
            Const::Bool(b) => Some(*b),
            Const::None => Some(false),
            Const::Other => None,
        }
    }
}

/// A signature check, or what one is made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Check {
    /// The values whose signature it is.
    pub of: Vec<Identity>,
    /// The key is a literal in the code.
    pub literal_key: bool,
}

/// One thing a value can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Atom {
    /// A constant.
    Const(Const),
    /// Untrusted data.
    Untrusted(Taint),
    /// An object of a modelled type.
    Object(Rc<str>),
    /// Something outside the project, by qualified name.
    External(Rc<str>),
    /// What calling something outside gave; whether its first argument was a literal.
    Made(Rc<str>, bool),
    /// A module of the project.
    Module(FileId),
    /// A function of the project, and the class of the instance it is bound to.
    Function(Def, Option<Def>),
    /// A class of the project.
    Class(Def),
    /// An instance of a class of the project.
    Instance(Def),
    /// A list, tuple, set or dictionary.
    Container(Rc<Container>),
    /// A keyed digest.
    Digest(Check),
    /// The outcome of comparing digests.
    Checked(Check),
    /// Data whose signature held.
    Verified,
    /// Made by this program with a writer such as `pickle.dumps`, there.
    Pickled(Place),
}

/// A container's elements: by constant key where known, the rest together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// Elements under known keys or positions.
    pub items: BTreeMap<Const, Value>,
    /// All other elements.
    pub rest: Value,
}

impl Container {
    /// A container of elements of unknown place.
    pub fn of(rest: Value) -> Container {
        Container {
            items: BTreeMap::new(),
            rest,
        }
    }

    /// A container of elements in their order.
    pub fn sequence(items: impl IntoIterator<Item = Value>) -> Container {
        let key = |n: usize| Const::Int(i64::try_from(n).unwrap_or(i64::MAX));
        Container {
            items: items
                .into_iter()
                .enumerate()
                .map(|(n, value)| (key(n), value))
                .collect(),
            rest: Value::unknown(),
        }
    }

    /// Any of its elements.
    pub fn any(&self) -> Value {
        self.items
            .values()
            .fold(self.rest.clone(), |all, value| all.join(value))
    }

    /// The element under `key`: that one and those of unknown place, or any when nothing is said of `key`.
    pub fn at(&self, key: Option<&Const>) -> Value {
        match key {
            Some(key) if *key != Const::Other => match self.items.get(key) {
                Some(value) => value.clone().join(&self.rest),
                None => self.rest.clone(),
            },
            _ => self.any(),
        }
    }
}

impl From<Container> for Value {
    fn from(container: Container) -> Value {
        Atom::Container(Rc::new(container)).into()
    }
}

/// All that a value can be; nothing known when empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Value(Vec<Atom>);

impl From<Atom> for Value {
    fn from(atom: Atom) -> Value {
        Value(vec![atom])
    }
}

impl FromIterator<Atom> for Value {
    fn from_iter<I: IntoIterator<Item = Atom>>(atoms: I) -> Value {
        let mut value = Value::unknown();
        for atom in atoms {
            value.add(atom);
        }
        value
    }
}

impl Value {
    /// Nothing is known.
    pub fn unknown() -> Value {
        Value(Vec::new())
    }

    /// A value that can carry no payload.
    pub fn clean() -> Value {
        Atom::Const(Const::Other).into()
    }

    /// The name of something outside the project.
    pub fn external(name: &str) -> Value {
        Atom::External(name.into()).into()
    }

    /// The alternatives.
    pub fn atoms(&self) -> &[Atom] {
        &self.0
    }

    /// Adds an alternative. Of untrusted ones enough of each level are kept to know the level and show a way; what
    /// clients and peers supply is told apart further.
    pub fn add(&mut self, atom: Atom) {
        let fits = match &atom {
            Atom::Untrusted(taint) => {
                let most = if taint.trust <= Trust::Network {
                    WIDEST
                } else {
                    2
                };
                let alike =
                    |other: &&Atom| matches!(other, Atom::Untrusted(t) if t.trust == taint.trust);
                self.0.iter().filter(alike).count() < most
            }
            _ => self.0.len() < WIDEST,
        };
        if fits && !self.0.contains(&atom) {
            self.0.push(atom);
        }
    }

    /// Either this or `other`.
    pub fn join(mut self, other: &Value) -> Value {
        for atom in &other.0 {
            self.add(atom.clone());
        }
        self
    }

    /// All untrusted data in it, elements of containers included.
    pub fn taints(&self) -> Vec<&Taint> {
        let mut taints = Vec::new();
        self.collect(&mut taints, 4);
        taints
    }

    fn collect<'v>(&'v self, taints: &mut Vec<&'v Taint>, depth: usize) {
        for atom in &self.0 {
            match atom {
                Atom::Untrusted(taint) => taints.push(taint),
                Atom::Container(container) if depth > 0 => {
                    for value in container.items.values() {
                        value.collect(taints, depth - 1);
                    }
                    container.rest.collect(taints, depth - 1);
                }
                _ => {}
            }
        }
    }

    /// Where it, or one of its elements, was pickled by this program.
    pub fn pickled(&self) -> Option<Place> {
        self.0.iter().find_map(|atom| match atom {
            Atom::Pickled(place) => Some(*place),
            Atom::Container(container) => container.any().pickled(),
            _ => None,
        })
    }

    /// The same value with every untrusted part replaced by `change` of it.
    pub fn map_taints(&self, change: &dyn Fn(&Taint) -> Taint) -> Value {
        if self.taints().is_empty() {
            return self.clone();
        }
        let atom = |atom: &Atom| match atom {
            Atom::Untrusted(taint) => Atom::Untrusted(change(taint)),
            Atom::Container(container) => Atom::Container(Rc::new(Container {
                items: container
                    .items
                    .iter()
                    .map(|(key, value)| (key.clone(), value.map_taints(change)))
                    .collect(),
                rest: container.rest.map_taints(change),
            })),
            other => other.clone(),
        };
        self.0.iter().map(atom).collect()
    }

    /// Its constant, when it can be nothing else.
    pub fn constant(&self) -> Option<&Const> {
        match self.0.as_slice() {
            [Atom::Const(constant)] if *constant != Const::Other => Some(constant),
            _ => None,
        }
    }

    /// Its text, when it can be nothing else.
    pub fn text(&self) -> Option<Rc<str>> {
        match self.constant() {
            Some(Const::Str(text)) => Some(Rc::clone(text)),
            _ => None,
        }
    }
}
