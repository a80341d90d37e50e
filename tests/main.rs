//! One test binary for everything that is shown from outside the crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cli;
mod edge_cases;
mod engine;
mod fixtures;
mod live_cases;
mod support;
mod tidy;
mod watch;
