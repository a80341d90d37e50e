//! The values that flow through the pipeline, and nothing else: no I/O, no parsing, no clock.
//!
//! `Sample` (a named number as logged) becomes a point of a series with a `Meaning`; the layers of one
//! quantity at one step make a `Profile`; what a rule saw is a `Finding`. Invariant: a missing value is
//! `None`, never NaN; NaN and infinity are data.

mod finding;
mod kept;
mod layer;
mod pattern;
mod problem;
mod profile;
mod quantity;
mod sample;

pub use finding::{Family, Finding, Severity, Verdict};
pub use kept::Kept;
pub use layer::{Layer, Position, Section};
pub use pattern::LinePattern;
pub use problem::Problem;
pub use profile::{DepthOrder, Group, Profile, Slot};
pub use quantity::{Kind, Meaning, Quantity, Split};
pub use sample::{Form, Mark, Sample, Smoothing, TextLine};
