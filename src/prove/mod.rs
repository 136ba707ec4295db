//! Proof by execution: which request brings a pickle to a load, as the way of the untrusted data shows it, and what comes
//! of it before and after a change.
//!
//! Invariant: what is not understood is an [`Obstacle`], never a guess; what did not run proves nothing.

mod delivery;
mod execute;
mod routes;
mod sample;

pub use delivery::{Channel, Delivery, Obstacle, deliveries};
pub use execute::{Order, Proof, Verdict, prove};
