//! Input that is broken, enormous or meant to do harm, and others at work on the same repository. `SECURITY.md` names
//! the tests that hold what it promises.
#![expect(
    clippy::disallowed_methods,
    reason = "makes repositories that are meant to do harm, runs git and the program"
)]
#![cfg(unix)]

#[path = "support/home.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod home;

#[path = "hostile/defects.rs"]
mod defects;
#[path = "hostile/escapes.rs"]
mod escapes;
#[path = "hostile/full.rs"]
mod full;
#[path = "hostile/inputs.rs"]
mod inputs;
#[path = "hostile/links.rs"]
mod links;
#[path = "hostile/programs.rs"]
mod programs;
#[path = "hostile/promises.rs"]
mod promises;
#[path = "hostile/racing.rs"]
mod racing;
#[path = "hostile/stress.rs"]
mod stress;
