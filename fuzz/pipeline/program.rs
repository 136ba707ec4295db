//! Any bytes as a program: parse, trace, plan, check.
#![no_main]
#![allow(dead_code, reason = "not all of the stages is fuzzed")]

include!("stages.rs");

libfuzzer_sys::fuzz_target!(|data: &[u8]| holds::program(data));
