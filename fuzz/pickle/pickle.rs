//! Any bytes as pickles: `inspect` and `convert`. The module is compiled with what it uses alone, and takes the program's name, so that the
//! property is the very text that the tests have.
#![no_main]

extern crate self as depickle;

// Its files are in a folder of its own, which a path to the file alone does not say.
#[path = "../../src"]
#[allow(dead_code, reason = "not all of it is fuzzed")]
mod others {
    pub mod text;
}
pub use others::text;

#[path = "../../src/pickle/mod.rs"]
#[allow(dead_code, reason = "not all of it is fuzzed")]
pub mod pickle;

#[path = "../../tests/support/holds_pickle.rs"]
mod holds;

libfuzzer_sys::fuzz_target!(|data: &[u8]| holds::pickle(data));
