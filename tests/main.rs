//! One test binary for everything that is shown from outside the crate.

mod cli;
mod cli_simulate;
mod edge_cases;
mod fixtures;
mod simulated;
mod support;
mod tidy;
