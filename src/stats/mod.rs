//! Functions on slices: robust location and scale, straight lines, and the special functions they need.
//!
//! In: plain numbers. Out: plain numbers. Invariant: no type of another module goes in or comes out, nothing
//! here reads a clock or a file, and no slice is too short or too odd to be answered with `None`.

mod depth_fit;
mod robust;
mod special;
mod tail;
mod trend;

pub use depth_fit::{
    DepthShape, FIT_LAYERS_MAX, Line, PairFit, depth_shape, endpoint_slope, lag1_of_residuals,
    mean_square_step, ols, pair_fit, random_walk_se, thin_evenly,
};
pub use paired::{MeanTest, mean_test, share_below, welch_test};
pub use robust::{mad, median, median_log, range, sorted_median};
pub use special::{digamma, student_t_two_sided, trigamma};
pub use tail::{clopper_pearson_upper, normal_cdf, normal_upper_quantile, sd_upper_factor};
pub use trend::{log_linear, positive_logs};

#[cfg(test)]
mod oracle_tests;
mod paired;

pub mod bins;
pub mod change;
pub mod cusum;
pub mod level;
pub mod window;
