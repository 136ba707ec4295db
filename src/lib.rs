#![warn(missing_docs)]
#![forbid(unsafe_code)]
//! depickle
pub mod report;
pub mod text;
pub mod trace;
pub mod check;
pub mod pack;
pub mod plan;
pub mod project;
pub mod python;
