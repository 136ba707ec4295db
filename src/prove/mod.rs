//! Proof by execution: which request brings a pickle to a load, as the way of the untrusted data shows it, and what comes
//! of it before and after a change.
//!
//! Invariant: what is not understood is an [`Obstacle`], never a guess; what did not run proves nothing.

mod application;
mod around;
mod delivery;
mod execute;
mod regression;
mod routes;
mod sample;
mod style;
mod test_module;
mod verdict;
mod way;

pub use delivery::{Channel, Delivery, Obstacle, deliveries};
pub use execute::{Order, Proof, Tested, Verdict, prove, tested};
pub use regression::{Endpoint, Regression, Tests, Untested};
pub use sample::generated;
pub use style::{CONFIGS, Runner};
