// The stages are compiled with what they use alone, and take the program's name, so that the property is the very text that the tests have.
extern crate self as depickle;

#[path = "../../src/defect.rs"]
pub mod defect;
#[path = "../../src/pack/mod.rs"]
pub mod pack;
#[path = "../../src/plan/mod.rs"]
pub mod plan;
#[path = "../../src/project.rs"]
pub mod project;
#[path = "../../src/python/mod.rs"]
pub mod python;
#[path = "../../src/trace/mod.rs"]
pub mod trace;
// Their files are in folders of their own, which a path to the file alone does not say.
#[path = "../../src"]
mod others {
    pub mod check;
    pub mod text;
}
pub use others::{check, text};

#[path = "../../tests/support/holds.rs"]
mod holds;
