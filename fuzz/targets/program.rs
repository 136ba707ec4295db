//! Any bytes as a program: parse, trace, plan, check.
#![no_main]

#[path = "../../tests/support/holds.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod holds;

libfuzzer_sys::fuzz_target!(|data: &[u8]| holds::program(data));
