//! One test binary for everything that is shown from outside the crate.

mod cli;
mod edge_cases;
mod engine;
mod fixtures;
mod support;
mod tidy;
