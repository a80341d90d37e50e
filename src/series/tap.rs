//! Listens to every point that survives, for whoever needs the values themselves.
//!
//! In: points and restarts. Out: nothing. Invariant: after a rewind to `step` the listener has forgotten all
//! points of the series at or after it.

use super::SeriesInfo;

/// A listener to points.
pub trait Tap: Send {
    /// A point of series `id`.
    fn point(&mut self, id: u32, series: &SeriesInfo, step: i64, wall_time: Option<f64>, value: f64);
    /// A restart superseded the points of series `id` at or after `step`.
    fn rewind(&mut self, id: u32, step: i64);
    /// What looked like restarts was none: several processes write into one log, and from now on none of their points is
    /// taken back.
    fn several_writers(&mut self) {}
}
