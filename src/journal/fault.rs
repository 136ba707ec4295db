//! Faults on request, so that tests can stop the program at every step of a journal, not at a sample. Debug builds only.
//!
//! `DEPICKLE_FAULT=WHAT:N` strikes at the Nth entry of this process: `before` and `after` it is on the disk, in the
//! middle of its line (`torn`), or on a disk that is full from then on (`full`). A stop is as sudden as `kill -9`; with `wait`
//! it waits for one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::defect::dally;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Before,
    Torn,
    After,
    Full,
    Wait,
}

/// The fault that strikes at this entry.
pub(super) fn due() -> Option<Fault> {
    static ENTRIES: AtomicUsize = AtomicUsize::new(0);
    let asked = std::env::var("DEPICKLE_FAULT").ok()?;
    let (what, at) = asked.split_once(':')?;
    let at: usize = at.parse().ok()?;
    let now = ENTRIES.fetch_add(1, Ordering::Relaxed) + 1;
    match what {
        "before" if now == at => Some(Fault::Before),
        "torn" if now == at => Some(Fault::Torn),
        "after" if now == at => Some(Fault::After),
        "full" if now >= at => Some(Fault::Full),
        "wait" if now >= at => Some(Fault::Wait),
        _ => None,
    }
}

pub(super) fn before(fault: Option<Fault>, path: &Path, text: &str) -> io::Result<()> {
    match fault {
        Some(Fault::Before) => std::process::abort(),
        Some(Fault::Torn) => {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(&text.as_bytes()[..text.len() / 2])?;
            std::process::abort()
        }
        Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }
}

/// Begins `line`, so that others may see it half; gives the rest.
pub(super) fn begun<'l>(file: &mut File, line: &'l str) -> io::Result<&'l str> {
    let mut half = line.len() / 2;
    while !line.is_char_boundary(half) {
        half += 1;
    }
    let (first, rest) = line.split_at(half);
    file.write_all(first.as_bytes())?;
    dally("entry");
    Ok(rest)
}

pub(super) fn after(fault: Option<Fault>) {
    if fault == Some(Fault::Wait) {
        std::thread::sleep(std::time::Duration::from_secs(300));
    }
    if matches!(fault, Some(Fault::After | Fault::Wait)) {
        std::process::abort();
    }
}
