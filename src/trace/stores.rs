//! Second-order flow: what a program keeps under a key, in a file, cache, session or queue, and reads again later.
//!
//! Keys are texts as far as they are known; where only a part is, both sides must have the same shape of key. Under a
//! key of which nothing is known only what was written under such a key is found.

use super::calls::At;
use super::env::Env;
use super::fold;
use super::functions::kept;
use super::machine::{Machine, Owner};
use super::taint::Taint;
use super::value::{Arguments, Atom, Value};
use crate::pack::{Shape, Store, Trust};

/// Channel of files that the program opens by a path.
pub(super) const LOCAL_FILE: &str = "local-file";

impl<'a> Machine<'a> {
    /// Keeps what is untrusted, or pickled by this program, of `value`.
    pub(super) fn write_store(&mut self, channel: &str, key: &str, value: &Value) {
        let kept = value.any_atom(&|a| matches!(a, Atom::Untrusted(_) | Atom::Pickled(..)));
        if kept {
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
        let Some(value) = self.field(&Owner::Store(channel.into()), key) else {
            return Value::unknown();
        };
        let under = match key.contains('\0') {
            true => String::new(),
            false => format!(" {key:?}"),
        };
        let note = format!("kept in {channel}{under}, read back here (second-order)");
        value.map_taints(&|taint| {
            let mut after = taint.then(kept(at.place, note.clone(), shape));
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
        taint.key = (!key.contains('\0')).then_some(key);
        taint.sham = sham;
        // The program's own writes first: they say who supplies it.
        own.join(&Atom::Untrusted(taint).into())
    }

    /// A file that is opened at `path`: what is there, and what the program wrote there.
    pub(super) fn opened(&mut self, path: &Value, shape: Shape, at: At<'a>) -> Value {
        let key = fold::key_text(path);
        let note = self.snippet(at.place);
        let mut taint = Taint::enter(Trust::File, LOCAL_FILE, shape, at.place, note);
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
