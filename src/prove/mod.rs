//! How a request brings a pickle to a load, as the way of the untrusted data shows it.
//!
//! Invariant: what is not understood is an [`Obstacle`], never a guess.

mod delivery;
mod routes;
mod sample;

pub use delivery::{Channel, Delivery, Obstacle, deliveries};
