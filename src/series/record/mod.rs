//! A run as pictures: bounded traces of its curves and grids of its layers over steps.
//!
//! In: points, through [`Tap`](super::Tap). Out: a [`Recording`]. Invariant: memory is bounded by the number of series,
//! not by the length of the log; nothing is recorded unless somebody asks for pictures.

mod cell;
mod grid;
mod recorder;
mod shared;
mod trace;

#[cfg(test)]
mod tests;

pub use cell::{Cell, HAS_NAN, HAS_NEGATIVE_INFINITY, HAS_POSITIVE_INFINITY};
pub use grid::{Column, Grid, ROWS_MAX, Row};
pub use recorder::{COLUMNS_MAX, LINES_MAX, Limits, Line, Recorder, Recording, RecordingSlot, SPANS_MAX};
pub use shared::SharedRecorder;
pub use trace::{Span, Trace};
