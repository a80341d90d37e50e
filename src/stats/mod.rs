//! (being built)

pub mod change;
pub mod cusum;
pub mod window;
