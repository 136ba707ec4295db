//! Untrusted data: where it came from, and its way through the program.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use crate::pack::{Shape, Trust};
use crate::project::FileId;
use crate::text::Span;

/// Stations of a way that are kept.
const LONGEST: usize = 320;

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
    /// By which queue, topic or channel a message came, as far as that was seen (see `queues`); of what a store keeps,
    /// its key as far as it is known.
    pub queue: Option<Rc<str>>,
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
    /// Nothing but whole parts were taken of it: what is known of its value holds for the source's.
    pub exact: bool,
    /// It matched a pattern that admits no control characters; text, but not yet what it decodes to.
    pub tame: bool,
    /// The text it is part of, as far as that is known: `\0` stands for what is not.
    pub text: Option<Rc<str>>,
    /// The load that gave it, or the whole that it is a part of.
    pub loaded: Option<Place>,
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
            queue: None,
            part: "".into(),
            origin: place,
            known_as: None,
            on_missing: None,
            shape,
            sham: None,
            exact: true,
            tame: false,
            text: None,
            loaded: None,
            hops: Rc::new(Hops {
                hop: Hop::new(place, HopKind::Source, note, shape, false),
                before: None,
                length: 1,
            }),
        }
    }

    /// The same value after one more station.
    pub fn then(&self, hop: Hop) -> Taint {
        let passes = matches!(hop.kind, HopKind::Call | HopKind::Return);
        let keeps = passes || hop.quiet;
        // What is made of a loaded value is no loaded value.
        let loaded = self.loaded.filter(|_| passes);
        // A long way is cut in the middle of nowhere rather than grown without bound.
        if self.hops.length >= LONGEST {
            return Taint {
                shape: hop.shape,
                tame: self.tame && keeps,
                loaded,
                ..self.clone()
            };
        }
        Taint {
            shape: hop.shape,
            tame: self.tame && keeps,
            loaded,
            hops: Rc::new(Hops {
                length: self.hops.length + 1,
                hop,
                before: Some(Rc::clone(&self.hops)),
            }),
            ..self.clone()
        }
    }

    /// While only the source has been read: the source is the wider expression at `place`.
    pub fn widen(
        &self,
        place: Place,
        note: impl FnOnce() -> String,
        shape: Shape,
    ) -> Option<Taint> {
        let hop = &self.hops.hop;
        let same = hop.kind == HopKind::Source
            && hop.place.file == place.file
            && place.span.contains(hop.place.span);
        same.then(|| {
            let mut taint = Taint::enter(self.trust, &self.channel, shape, place, note());
            taint.key = self.key.clone();
            taint.queue = self.queue.clone();
            taint.part = Rc::clone(&self.part);
            taint.origin = self.origin;
            taint.known_as = self.known_as.clone();
            taint.on_missing = self.on_missing.clone();
            taint.sham = self.sham;
            taint.exact = self.exact;
            let taint = taint.raising(&hop.raises);
            if hop.opaque {
                taint.through_unknown()
            } else {
                taint
            }
        })
    }

    /// How many stations.
    pub fn length(&self) -> usize {
        self.hops.length
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

    /// The same, a part of what gave `whole`.
    pub fn part_of(mut self, whole: &Taint) -> Taint {
        self.loaded = whole.loaded;
        self
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
            (&self.key, &self.queue),
            &self.part,
            self.sham,
            (self.exact, self.tame, &self.text, self.loaded),
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
