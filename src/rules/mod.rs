//! Points and profiles to findings. Pure: no I/O, no clock.

pub mod check;
mod rule;

pub use rule::{Params, Rule};
