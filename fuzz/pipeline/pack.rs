//! Any text as a pack; the first byte says as which.
#![no_main]
#![allow(dead_code, reason = "not all of the stages is fuzzed")]

include!("stages.rs");

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((first, text)) = data.split_first() {
        holds::pack(&String::from_utf8_lossy(text), usize::from(*first));
    }
});
