//! Any text as a pack or as a configuration; the first byte says as which.
#![no_main]

#[path = "../../tests/support/holds.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod holds;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((first, text)) = data.split_first() {
        let text = String::from_utf8_lossy(text);
        match first % 3 {
            0 => holds::configuration(&text),
            which => holds::pack(&text, usize::from(which)),
        }
    }
});
