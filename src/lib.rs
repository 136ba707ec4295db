#![warn(missing_docs)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stdout
    )
)]
//! depickle finds unsafe pickle loads that untrusted data can reach, rewrites them to JSON, and proves the change.
//!
//! The stages are modules, each with one public function of the same name; `src/README.md` draws the line they stand in.

pub mod check;
pub mod cli;
pub mod defect;
pub mod fetch;
pub mod forge;
pub mod hunt;
pub mod journal;
pub mod pack;
pub mod pickle;
pub mod plan;
pub mod project;
pub mod prove;
pub mod push;
pub mod python;
pub mod repo;
pub mod report;
pub mod stage;
pub mod text;
pub mod trace;

use check::Checked;
use pack::Model;
use plan::Order;
use project::Project;

/// The pipeline up to what may be written: pure, values in and values out. A dry run is this and nothing more.
pub fn migrate(project: &Project, model: &Model, order: &Order, base: Option<String>) -> Checked {
    defect::strike("migrate", project.path(project::FileId(0)));
    if let Some(asked) = &order.ignore {
        return check::ignored(project, model, order, asked, base);
    }
    let traced = trace::trace_for(project, model, order.followed());
    let plan = plan::plan(project, model, &traced, order);
    check::check(project, model, traced, plan, order, base)
}
