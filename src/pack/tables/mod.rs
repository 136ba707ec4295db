//! The tables a pack may hold, as serde reads them. A wrong key stops at once, with file and line.
//!
//! `transforms/README.md` explains them to authors of packs; the two change together.

mod framework;
mod transform;
mod way;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use framework::*;
pub use transform::*;
pub use way::*;

/// Who can supply a value. Ordered: the most exposed first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Any client of a web server.
    Http,
    /// A peer on a socket, a queue, a remote download.
    Network,
    /// A database, cache or object store.
    Stored,
    /// Files, arguments, environment.
    File,
    /// A parameter that nobody in the project supplies.
    Unknown,
    /// A constant, or pickled by this very program.
    Trusted,
}

impl Trust {
    /// All levels, most exposed first.
    pub const ALL: [Trust; 6] = [
        Trust::Http,
        Trust::Network,
        Trust::Stored,
        Trust::File,
        Trust::Unknown,
        Trust::Trusted,
    ];

    /// The word used on the command line and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Trust::Http => "http",
            Trust::Network => "network",
            Trust::Stored => "stored",
            Trust::File => "file",
            Trust::Unknown => "unknown",
            Trust::Trusted => "trusted",
        }
    }
}

/// What is known of a value's form, which decides what can go wrong when it is parsed.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Bytes or text, never missing.
    Bytes,
    /// A file-like object.
    Stream,
    /// A mapping from names to values that may be missing.
    Mapping,
    /// A mapping from names to file-like objects.
    Files,
    /// May be anything, `None` too.
    #[default]
    Any,
}
