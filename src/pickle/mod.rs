//! Pickles as data: read, run over symbols, taken out of what they are wrapped in, and written as JSON. A room of its
//! own: only `hunt` and `cli` use it, and it uses nothing of the rest.
//!
//! Invariant: nothing in a pickle is imported or run, nothing recurses over it, and everything is bounded. No crate is
//! used for reading: those there are (`serde-pickle`) give values or an error, and neither the opcodes nor what was
//! called before the error.

mod arrays;
mod calls;
mod document;
mod json;
mod machine;
mod opcodes;
mod plain;
mod reader;
mod shelf;
mod unwrap;

pub use calls::{Call, Import};
pub use document::{Document, Obstacle, database, document, may_hold, shelf_document};
pub use json::{Converted, Lost, float, to_json, to_json_within};
pub use machine::{KEPT, Machine, Value, Verdict, run, run_seen};
pub use opcodes::is_opcode;
pub use plain::Made;
pub use reader::{Arg, Integer, Malformed, Op, Reader};
pub use shelf::{Entry, shelf};
pub use unwrap::{Part, Unwrapped, unwrap, unwrap_within};
