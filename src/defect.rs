//! Defects of depickle's own: a panic costs what it concerns, and no more.
//!
//! Invariant: none is silent. Whoever catches one gets what it said and where, fit to be shown: it may quote what was scanned.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

use crate::text::printable;

#[cfg(not(panic = "unwind"))]
compile_error!("a panic has to unwind, or it costs the whole run: no `panic = \"abort\"`");

/// More than this of what a panic says is not shown, in characters.
const LONGEST: usize = 300;

thread_local! {
    /// How many callers of [`caught`] are waiting on this thread.
    static WAITING: Cell<usize> = const { Cell::new(0) };
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What `work` gives, or what its panic said. Whatever `work` was changing is for the caller to put right.
///
/// # Errors
/// It panicked.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    WAITING.set(WAITING.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    WAITING.set(WAITING.get() - 1);
    // On another thread only the message is known, and not the place.
    done.map_err(|panic| SAID.take().unwrap_or_else(|| shown(payload(&*panic))))
}

/// Each trial is an analysis: who is not found by so many is to blame with the rest.
const MOST_TRIALS: usize = 40;

/// Which of so `many` are to blame for what fails with all of them: those with which it fails without the others; all of them
/// where there are none. `fails` is asked about ranges of them.
pub fn blamed(many: Range<usize>, mut fails: impl FnMut(&Range<usize>) -> bool) -> Vec<usize> {
    let mut trials = 0;
    halved(many, &mut |some| {
        trials += 1;
        trials > MOST_TRIALS || fails(some)
    })
}

fn halved(many: Range<usize>, fails: &mut impl FnMut(&Range<usize>) -> bool) -> Vec<usize> {
    let middle = many.start + many.len() / 2;
    let mut found = Vec::new();
    for half in [many.start..middle, middle..many.end] {
        if many.len() > 1 && fails(&half) {
            found.extend(halved(half, fails));
        }
    }
    match found.is_empty() {
        true => many.collect(),
        false => found,
    }
}

/// Has panics heard in this process: those that are caught by whoever catches them, others on the terminal, never raw.
pub fn listen() {
    set_hook(Box::new(|info| {
        let said = told(info);
        if WAITING.get() > 0 {
            SAID.set(Some(said));
        } else {
            // A hook that panics ends the program.
            let _ = writeln!(std::io::stderr(), "depickle failed: {said}");
        }
    }));
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let said = shown(payload(info.payload()));
    match info.location() {
        // The path of a library is one of the machine that built it.
        Some(at) => {
            let mut parts: Vec<&str> = at.file().rsplit(['/', '\\']).take(3).collect();
            parts.reverse();
            format!("{said} at {}:{}", parts.join("/"), at.line())
        }
        None => said,
    }
}

fn payload(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

fn shown(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

/// What comes after `kind` in `DEPICKLE_FAULT`.
#[cfg(debug_assertions)]
#[expect(clippy::disallowed_methods, reason = "a test's, and no user's")]
fn asked(kind: &str) -> Option<&'static str> {
    static ASKED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let asked = ASKED.get_or_init(|| std::env::var("DEPICKLE_FAULT").ok());
    asked.as_deref()?.strip_prefix(kind)?.strip_prefix(':')
}

/// Panics on request, so that tests see what a defect costs: `DEPICKLE_FAULT=panic:WHAT:NAME` strikes whenever `what` is done to
/// what has that `name`. Debug builds only.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "a defect on request, which is a test's")]
pub fn strike(what: &str, name: &str) {
    if asked("panic").and_then(|asked| asked.split_once(':')) == Some((what, name)) {
        panic!("a defect, \u{1b}[31masked for in {what} {name}");
    }
}

/// Nothing, in what is released.
#[cfg(not(debug_assertions))]
pub fn strike(_what: &str, _name: &str) {}

/// Takes some time on request, so that tests see what others do meanwhile: `DEPICKLE_FAULT=slow:N`, up to so many milliseconds;
/// `pause:WHAT:FILE`, before `what` alone: it makes the file, and waits until that is gone. Debug builds only.
#[cfg(debug_assertions)]
#[expect(clippy::disallowed_methods, reason = "a test's, and no user's")]
pub fn dally(what: &str) {
    use std::hash::{BuildHasher, RandomState};
    use std::time::Duration;
    if let Some(most) = asked("slow").and_then(|most| most.parse::<u64>().ok()) {
        let random = RandomState::new().hash_one(most) % (most + 1);
        std::thread::sleep(Duration::from_millis(random));
    }
    if let Some((at, file)) = asked("pause").and_then(|asked| asked.split_once(':'))
        && at == what
    {
        let _ = std::fs::write(file, "");
        while std::fs::exists(file).unwrap_or_default() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Nothing, in what is released.
#[cfg(not(debug_assertions))]
pub fn dally(_what: &str) {}

#[cfg(test)]
mod tests {
    use super::{blamed, caught};

    #[test]
    fn what_fails_alone_is_blamed_and_all_where_nothing_does() {
        let mut asked = 0;
        let found = blamed(0..10, |some| {
            asked += 1;
            some.contains(&3) || some.contains(&8)
        });
        assert_eq!(found, [3, 8]);
        assert!(asked < 16, "{asked}");
        let found = blamed(0..10, |some| some.contains(&3) && some.contains(&8));
        assert_eq!(found, Vec::from_iter(0..10));
        let found = blamed(0..10, |some| some.contains(&6) && some.contains(&8));
        assert_eq!(found, [5, 6, 7, 8, 9]);
        assert_eq!(blamed(0..1, |_| false), [0]);
        let mut asked = 0;
        let found = blamed(0..1_000, |_| {
            asked += 1;
            true
        });
        assert_eq!((found.len(), asked), (1_000, super::MOST_TRIALS));
    }

    #[test]
    #[expect(clippy::panic, reason = "what is to be caught")]
    fn a_panic_is_what_it_said_in_text_that_can_be_shown() {
        assert_eq!(caught(|| 1), Ok(1));
        let said = caught(|| panic!("of \u{1b}[31m{}", "x".repeat(1000))).unwrap_err();
        assert!(said.starts_with("of \\u{1b}[31mxxx"), "{said}");
        assert!(said.ends_with("x…"), "{said}");
    }
}
