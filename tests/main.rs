//! One test binary for everything that is shown from outside the crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cli;
mod cli_calibrate;
mod cli_simulate;
mod edge_cases;
mod engine;
mod fixtures;
mod formats;
mod live_cases;
mod mail;
mod own_patterns;
mod pages;
mod serve;
mod simulated;
mod state;
mod support;
mod tidy;
mod units;
mod watch;
