//! How far a walk over many repositories has come: a bar on a terminal, a line for each elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

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
        Progress {
            total,
            shown: total > 1 && !quiet,
            bar: std::io::stderr().is_terminal(),
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
            false => anstream::eprintln!("[{}/{}] {name} {word}", counts.done, self.total),
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
    use super::bar;

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
