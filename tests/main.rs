//! One test binary for everything that is shown from outside the crate.

mod edge_cases;
mod formats;
mod support;
