//! What is going on: how far a walk over many repositories has come, as a bar on a terminal and a line for each elsewhere;
//! and, after a second, what is being done and since when, on a terminal alone.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::text::printable;

/// The width of the bar in characters; with the rest it fits 80 columns.
const WIDTH: usize = 24;

pub(super) struct Progress {
    total: usize,
    shown: bool,
    bar: bool,
    done: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    done: usize,
    failed: usize,
}

impl Progress {
    pub(super) fn new(total: usize, quiet: bool) -> Progress {
        let shown = total > 1 && !quiet;
        let on_terminal = std::io::stderr().is_terminal();
        if shown && on_terminal {
            let _ = write!(std::io::stderr(), "{}", bar(0, 0, total, ""));
        }
        Progress {
            total,
            shown,
            bar: on_terminal,
            done: Mutex::default(),
        }
    }

    /// `name` came to an end as `word` says.
    pub(super) fn done(&self, name: &str, word: &str) {
        let mut counts = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        counts.done += 1;
        counts.failed += usize::from(word == "failed");
        if !self.shown {
            return;
        }
        let name = printable(name);
        match self.bar {
            true => {
                let mut err = std::io::stderr();
                // A terminal that went away is no reason to stop.
                let _ = write!(
                    err,
                    "\r\x1b[2K{}",
                    bar(counts.done, counts.failed, self.total, &name)
                );
                let _ = err.flush();
            }
            false => errln!("[{}/{}] {name} {word}", counts.done, self.total),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && self.bar {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}

/// Something that may take long. The line goes before anything else may be printed: drop it first.
#[derive(Default)]
pub(super) struct Busy {
    state: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    what: String,
    over: bool,
}

impl Busy {
    /// `what` is begun.
    pub(super) fn on(what: &str) -> Busy {
        let mut busy = Busy::default();
        if !std::io::stderr().is_terminal() {
            return busy;
        }
        busy.at(what);
        let state = Arc::clone(&busy.state);
        // Without a thread there is no line, and the work goes on.
        busy.thread = std::thread::Builder::new().spawn(move || show(&state)).ok();
        busy
    }

    /// It has come to `what`.
    pub(super) fn at(&self, what: &str) {
        let mut state = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.what = printable(what);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.over = true;
        drop(state);
        self.state.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn show(state: &(Mutex<State>, Condvar)) {
    let begun = Instant::now();
    let mut shown = false;
    let mut now = state.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !now.over {
        if begun.elapsed() >= Duration::from_secs(1) {
            shown = true;
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[2K{}",
                line(&now.what, begun.elapsed())
            );
            let _ = std::io::stderr().flush();
        }
        let waited = state.1.wait_timeout(now, Duration::from_millis(250));
        now = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[2K");
    }
}

/// Fits 80 columns; the end of a path tells more than its beginning.
fn line(what: &str, since: Duration) -> String {
    let skip = what.chars().count().saturating_sub(66);
    let what: String = what.chars().skip(skip).collect();
    format!("{what} ... {} s", since.as_secs())
}

fn bar(done: usize, failed: usize, total: usize, name: &str) -> String {
    let full = WIDTH * done / total.max(1);
    let failed = match failed {
        0 => String::new(),
        n => format!(", {n} failed"),
    };
    // The end of a path or URL tells more than its beginning.
    let skip = name.chars().count().saturating_sub(24);
    let name: String = name.chars().skip(skip).collect();
    format!(
        "[{}{}] {done}/{total}{failed}  {name}",
        "#".repeat(full),
        ".".repeat(WIDTH - full)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bar, line};

    #[test]
    fn the_line_fits_a_line() {
        assert_eq!(
            line("reading a", Duration::from_millis(2500)),
            "reading a ... 2 s"
        );
        assert!(line(&"x".repeat(300), Duration::from_secs(86_400)).len() <= 80);
    }

    #[test]
    fn the_bar_fits_a_line() {
        assert_eq!(bar(1, 0, 4, "shop"), "[######..................] 1/4  shop");
        let long = bar(500, 500, 500, &"x".repeat(300));
        assert!(
            long.len() < 80 && long.contains("500/500, 500 failed"),
            "{long}"
        );
    }
}
