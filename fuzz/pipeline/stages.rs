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
#[path = "../../src/text.rs"]
pub mod text;
#[path = "../../src/trace/mod.rs"]
pub mod trace;
// Its files are in a folder of its own, which a path to the file alone does not say.
#[path = "../../src"]
mod last {
    pub mod check;
}
pub use last::check;

#[path = "../../tests/support/holds.rs"]
mod holds;
