//! Points to histories and profiles over depth.

mod facts;
mod info;

pub use facts::{Facts, LossFacts};
pub use info::SeriesInfo;
