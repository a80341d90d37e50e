//! Points and profiles to findings. Pure: no I/O, no clock.
//!
//! In: samples, lines and marks of one stream. Out: findings. Invariant: the same log gives the same findings
//! whether it is read at once or followed byte by byte.

mod book;
mod causes;
pub mod check;
mod engine;
mod persistence;
mod rule;
mod run;
pub mod words;

pub use book::Noted;
pub use engine::{Engine, Outcome};
pub use persistence::Persistence;
pub use rule::{Params, Rule};
pub use run::{RunOutcome, StreamOutcome, join};
