//! What comes to a sink: whether its arguments make it safe, and what is unpickled by it.

use std::rc::Rc;

use super::at::At;
use super::classes::READS;
use super::env::Env;
use super::fold;
use super::known::NAMED_SOURCE;
use super::machine::{Machine, Owner, Safe};
use super::restricted::Restriction;
use super::taint::{HopKind, Place, Taint};
use super::value::{Arguments, Atom, Const, Value};
use crate::pack::{Arrives, Condition, Shape, Sink, SinkId, Trust};

impl<'a> Machine<'a> {
    /// `.load()` of an instance whose class derives from a reader such as `pickle.Unpickler`.
    pub(super) fn subclass_loads(
        &mut self,
        name: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Option<Value> {
        let [Atom::Instance(instance)] = receiver.atoms() else {
            return None;
        };
        let (base, method) = name.rsplit_once('.')?;
        if method == "start" && (base.ends_with("Thread") || base.ends_with("Process")) {
            let run = self.member(*instance, "run", at, env);
            self.call_value(&run, receiver, &Arguments::default(), at, env);
            return Some(Value::unknown());
        }
        let sink = self.model.sink(base)?;
        let (_, row) = self.model.sink_row(sink)?;
        if row.method.as_deref() != Some(method) {
            return match method {
                // `super().__init__(file)`: what it will read.
                "__init__" => {
                    let whole = self.whole(arguments.first()?.clone(), at);
                    self.set_field(Owner::Instance(*instance), READS, &whole);
                    Some(Value::unknown())
                }
                // `super().find_class(...)` is no load.
                _ => Some(Value::unknown()),
            };
        }
        let line = self.lineage(instance.class);
        let restriction = line.iter().find_map(|c| self.restrictions.get(c).copied());
        let value = self.field(&Owner::Instance(*instance), READS);
        let value = value.unwrap_or_default();
        let (safe, value) = match restriction {
            Some(Restriction::Allows) => (Some(Safe::Class), value),
            Some(Restriction::Forwards(why)) => {
                let sham = |taint: &Taint| Taint {
                    sham: Some(why),
                    ..taint.clone()
                };
                (None, value.map_taints(&sham))
            }
            None => (None, value),
        };
        self.record(at.place, sink, base, &value, safe, env);
        let out = self.stepped(&value, Some(name), Shape::Any, false, at.place);
        Some(self.loaded(&out, at.place))
    }

    /// A load is called.
    pub(super) fn reach_sink(
        &mut self,
        id: SinkId,
        name: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
        env: &mut Env,
    ) -> Value {
        let model = self.model;
        let Some((_, sink)) = model.sink_row(id) else {
            return Value::unknown();
        };
        let keyword = sink.keyword.as_deref().unwrap_or("");
        let given = arguments.get(sink.argument, keyword).cloned();
        let given = given.unwrap_or_else(|| arguments.spread.clone());
        let value = match sink.arrives {
            Arrives::Bytes | Arrives::Stream => self.whole(given, at),
            Arrives::Path => self.content(&given, at),
            Arrives::Receiver => {
                let own = receiver.filter(|a| matches!(a, Atom::Untrusted(_)));
                let trust = match sink.trust.unwrap_or(Trust::Unknown) {
                    Trust::Network if self.is_loopback(at) => Trust::File,
                    trust => trust,
                };
                let note = self.snippet(at.place);
                match own.is_empty() {
                    false => own,
                    true => self.entering(trust, &sink.channel, Shape::Any, at.place, note),
                }
            }
        };
        let by_attribute = at.call.is_some_and(|call| call.func.is_attribute_expr());
        if self.hooked && by_attribute && name.starts_with("pickle.") {
            return {
                self.record(at.place, id, name, &value, Some(Safe::Hook), env);
                Value::unknown()
            };
        }
        let safe = self
            .is_safe(sink, receiver, arguments)
            .then_some(Safe::Arguments);
        let place = match at.handed {
            true => self.reference(at, id).unwrap_or(at.place),
            false => at.place,
        };
        self.record(place, id, name, &value, safe, env);
        let mut out = self.stepped(&value, Some(name), Shape::Any, false, at.place);
        // What this program wrote comes out as it went in.
        let inner = out.atoms().iter().find_map(|atom| match atom {
            Atom::Pickled(_, inner) => Some(inner.clone()),
            _ => None,
        });
        if let Some(inner) = inner {
            out = out.filter(|atom| !matches!(atom, Atom::Pickled(..)));
            let inner = self.moved(&inner, HopKind::Step, at.place, name);
            out = out.join(&match inner.is_empty() {
                true => Value::clean(),
                false => inner,
            });
        }
        self.loaded(&out, place)
    }

    /// Where the function stands among the arguments at `at`.
    pub(super) fn reference(&self, at: At<'a>, sink: SinkId) -> Option<Place> {
        let places = at.arguments();
        places.into_iter().find(|place| {
            let mut sites = self.sites.iter();
            sites.any(|site| site.place == *place && site.sink == sink)
        })
    }

    /// What is in the file that `given` names, or is.
    pub(super) fn content(&mut self, given: &Value, at: At<'a>) -> Value {
        let given = self.whole(given.clone(), at);
        let mut out = Value::unknown();
        for atom in given.atoms() {
            match atom {
                Atom::Untrusted(taint) => {
                    let is_file = matches!(taint.shape, Shape::Stream | Shape::Any)
                        || taint.trust >= Trust::Network;
                    let channel = match is_file {
                        true => Rc::clone(&taint.channel),
                        // A name: what is there was written by somebody else.
                        false => NAMED_SOURCE.into(),
                    };
                    out.add(Atom::Untrusted(Taint {
                        channel,
                        ..taint.clone()
                    }));
                }
                Atom::Const(Const::Str(_)) | Atom::Pattern(_) | Atom::Made(_) => {
                    let path: Value = atom.clone().into();
                    out = out.join(&self.opened(&path, Shape::Stream, at));
                }
                Atom::Const(Const::Other) => {
                    out = out.join(&self.opened(&Value::unknown(), Shape::Stream, at));
                }
                other => out.add(other.clone()),
            }
        }
        out
    }

    /// Whether the arguments of a call of `sink` make it safe.
    fn is_safe(&self, sink: &Sink, receiver: &Value, arguments: &Arguments) -> bool {
        let of_receiver = receiver.atoms().iter().find_map(|atom| match atom {
            Atom::Made(made) => Some(&made.arguments),
            _ => None,
        });
        sink.safe_when.iter().any(|condition| {
            let own = self.holds(condition, arguments);
            match (own, of_receiver) {
                (Some(holds), _) => holds,
                (None, Some(made)) => self.holds(condition, made).unwrap_or(condition.absent),
                (None, None) => condition.absent && arguments.spread.is_empty(),
            }
        })
    }

    /// Whether `condition` holds of `arguments`; nothing when its argument is not given.
    pub(super) fn holds(&self, condition: &Condition, arguments: &Arguments) -> Option<bool> {
        let position = condition.position.unwrap_or(usize::MAX);
        let value = arguments.get(position, &condition.keyword)?;
        if condition.given {
            return Some(!value.is_literal());
        }
        let is = |atom: &Atom| match atom {
            Atom::Const(constant) => {
                let shown = match constant {
                    Const::Str(text) => format!("'{text}'"),
                    other => fold::shown(other).unwrap_or_default(),
                };
                let quoted = shown.replace('\'', "\"");
                condition.values.iter().any(|v| *v == shown || *v == quoted)
            }
            Atom::External(name) => condition.names.iter().any(|n| **n == **name),
            Atom::Class(class) => {
                let bases = self.outside_bases(*class);
                bases
                    .iter()
                    .any(|b| condition.names.iter().any(|n| **n == **b))
            }
            Atom::Container(container) if container.kind != super::value::Kind::Mapping => {
                let is_listed = |shown: &str| condition.values.iter().any(|v| v == shown);
                let is_empty = container.items.is_empty() && container.rest.is_empty();
                (is_empty && is_listed("[]")) || (is_listed("[...]") && value.is_literal())
            }
            _ => false,
        };
        Some(!value.is_empty() && value.atoms().iter().all(is))
    }
}
