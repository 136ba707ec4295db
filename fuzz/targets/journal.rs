//! Any bytes as the journal of a run.
#![no_main]

#[path = "../../tests/support/holds_journal.rs"]
mod holds;

libfuzzer_sys::fuzz_target!(|data: &[u8]| holds::journal(data));
