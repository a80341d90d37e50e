//! One test binary for everything that is shown from outside the crate.
