//! Any text as a configuration.
#![no_main]

#[path = "../../tests/support/holds_journal.rs"]
mod holds;

libfuzzer_sys::fuzz_target!(|data: &[u8]| holds::configuration(&String::from_utf8_lossy(data)));
