//! Calls that give a client's data, and what is opened by name.

use std::rc::Rc;

use super::at::At;
use super::fold;
use super::known::{NAMED_SOURCE, receiver_and};
use super::machine::Machine;
use super::stores::LOCAL_FILE;
use super::taint::Taint;
use super::value::{Arguments, Atom, Made, Value};
use crate::pack::{FrameworkId, Shape, Source, Trust};

impl<'a> Machine<'a> {
    /// A function that is a source, called.
    pub(super) fn call_source(
        &mut self,
        name: &str,
        source: &'a Source,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Value {
        if let Some(object) = &source.is {
            return Value::object(object);
        }
        let trust = source.trust.unwrap_or(Trust::Unknown);
        let mut out = match *source.channel == *LOCAL_FILE {
            true => {
                let path = match name.starts_with("tempfile.") {
                    // A file of its own for each call.
                    true => Value::str(&format!("temporary file of {:?}", at.place)),
                    false => arguments.first().cloned().unwrap_or_default(),
                };
                let opened = self.opened(&path, source.shape, at);
                match name {
                    "tempfile.TemporaryFile" | "tempfile.SpooledTemporaryFile" => {
                        return Self::scratch_file(opened);
                    }
                    _ => opened,
                }
            }
            false => {
                let note = self.snippet(at.place);
                self.entering(trust, &source.channel, source.shape, at.place, note)
            }
        };
        // What a path from outside leads to comes from there too.
        let mut named = Value::unknown();
        for value in arguments.all() {
            let given = self.stepped(value, Some(name), source.shape, false, at.place);
            for taint in given.taints() {
                if taint.trust < trust {
                    // What is there was written by somebody else, in a format of their choice.
                    let is_content = taint.shape == Shape::Stream && value_is_stream(value);
                    let channel = match is_content {
                        true => Rc::clone(&taint.channel),
                        false => NAMED_SOURCE.into(),
                    };
                    named.add(Atom::Untrusted(Taint {
                        channel,
                        ..taint.clone()
                    }));
                }
            }
        }
        if !named.is_empty() {
            let own = out.filter(|a| matches!(a, Atom::Untrusted(t) if t.trust < trust));
            out = named.join(&own);
        }
        out
    }

    /// The source that is a method or attribute called `last`, in a file that uses its framework.
    pub(super) fn open_source(&mut self, last: &str) -> Option<(FrameworkId, &'a Source)> {
        let model = self.model;
        let mut sources = model.open_sources(last).peekable();
        sources.peek()?;
        let uses = self.uses(self.file());
        sources.find(|(framework, _)| uses.contains(framework))
    }

    /// What the method or attribute `last` of something unknown gives, if it is a source.
    pub(super) fn open_source_value(&mut self, last: &str, at: At<'a>) -> Option<Value> {
        let (framework, source) = self.open_source(last)?;
        if let Some(object) = &source.is {
            return Some(Value::object(object));
        }
        let trust = source.trust.unwrap_or(Trust::Unknown);
        let note = self.snippet(at.place);
        let value = self.entering(trust, &source.channel, source.shape, at.place, note);
        Some(match self.some_queue(framework, None) {
            Some(queue) => self.coming_by(value, &queue),
            None => value,
        })
    }

    /// Path objects: joined, opened, written.
    pub(super) fn path_object(
        &mut self,
        name: &str,
        receiver: &Value,
        arguments: &Arguments,
        at: At<'a>,
    ) -> Option<Value> {
        let method = name.strip_prefix("pathlib.")?;
        let (class, method) = method.split_once('.').unwrap_or((method, ""));
        if !class.ends_with("Path") {
            return None;
        }
        let made = |path: Value| {
            Atom::Made(Rc::new(Made {
                name: "pathlib.Path".into(),
                arguments: Arguments::one(path),
            }))
            .into()
        };
        match method {
            "" => {
                let path = fold::joined_path(&arguments.positional);
                let taints =
                    self.stepped(&arguments.any(), Some(name), Shape::Bytes, true, at.place);
                let taints = taints.filter(|a| matches!(a, Atom::Untrusted(_)));
                let path = path.map_or_else(Value::unknown, Value::from);
                Some(taints.join(&made(path)))
            }
            "joinpath" => {
                let parts = receiver_and(receiver, arguments);
                Some(made(fold::joined_path(&parts)?.into()))
            }
            "write_bytes" | "write_text" => {
                let key = fold::key_text(receiver);
                self.write_store(LOCAL_FILE, &key, &arguments.any());
                Some(Value::clean())
            }
            "resolve" | "absolute" | "expanduser" | "as_posix" => Some(receiver.clone()),
            "exists" | "is_file" | "is_dir" | "mkdir" | "unlink" | "touch" | "stat" => {
                Some(Value::clean())
            }
            _ => None,
        }
    }
}

fn value_is_stream(value: &Value) -> bool {
    let mut taints = value.taints().into_iter();
    taints.any(|taint| taint.shape == Shape::Stream)
}
