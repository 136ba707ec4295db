//! After a panic in the middle of the analysis: it costs the entry point that was interpreted, and what that may lead to.
//!
//! Invariant: errs towards doubt, like a bound on work. What was reached so far stays; no code that was running counts as
//! interpreted to its end.

use super::chain::CallAt;
use super::machine::Machine;
use super::value::Def;
use crate::defect::caught;
use crate::project::FileId;

impl Machine<'_> {
    /// What `work` gives, which begins at `def`, or at the module level of `file`; nothing when it panics.
    pub(super) fn guard<T>(
        &mut self,
        file: FileId,
        def: Option<Def>,
        work: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        match caught(|| work(self)) {
            Ok(done) => Some(done),
            Err(said) => {
                let at = self.frames.last().map_or(file, |frame| frame.file);
                self.project.failed(at, said);
                self.bounds.fail(&self.frames, (file, def));
                self.unwound();
                None
            }
        }
    }

    /// Leaves all that was running, as it would have been left had it come to its end.
    fn unwound(&mut self) {
        while self.reached.len() > 1
            && let Some(reached) = self.reached.pop()
        {
            // Each of these was opened by a function; modules and class bodies open none.
            let mut ran = None;
            while ran.is_none()
                && let Some(frame) = self.frames.pop()
            {
                ran = frame.def.and(frame.called_at);
            }
            let caller = self.frames.last().map(|frame| frame.def);
            let call = ran.zip(caller);
            let call = call.map(|(place, caller)| CallAt { place, caller });
            if let Some(outer) = self.reached.last_mut() {
                outer.extend(reached.into_iter().map(|mut one| {
                    if let Some(call) = &call {
                        one.chain = one.chain.by(call.clone());
                    }
                    one
                }));
            }
        }
        self.frames.clear();
        self.defining.clear();
        self.raised = super::value::Value::unknown();
        self.work.unwound();
    }
}
