//! How a server is treated: writes to it are kept apart, whoever makes them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// When something was last written to each server; one for a whole run of the program.
#[derive(Debug, Default)]
pub struct Pace {
    last: RefCell<HashMap<String, Instant>>,
}

/// What a forge may ask of whoever asks it.
#[derive(Debug, Clone, Copy)]
pub struct Manners<'a> {
    /// Shared by all who write.
    pub pace: &'a Pace,
    /// From one write to the next; a second at least, which forges ask of programs.
    pub pause: Duration,
    /// The longest wait that it may ask for.
    pub patience: Duration,
}

impl<'a> Manners<'a> {
    /// Those of somebody who only reads.
    pub fn of(pace: &'a Pace) -> Manners<'a> {
        Manners {
            pace,
            pause: Duration::from_secs(1),
            patience: Duration::from_secs(90),
        }
    }
}

impl Pace {
    /// Waits until `pause` is over since the last write to `server`; what follows is the next.
    pub fn wait(&self, server: &str, pause: Duration) {
        let last = self.last.borrow().get(server).copied();
        if let Some(last) = last {
            std::thread::sleep(pause.saturating_sub(last.elapsed()));
        }
        self.written(server);
    }

    /// The last write to `server` was just now; it may have been long in coming.
    pub fn written(&self, server: &str) {
        let mut all = self.last.borrow_mut();
        all.insert(server.to_owned(), Instant::now());
    }
}
