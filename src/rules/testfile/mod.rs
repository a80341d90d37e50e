//! Unit tests of rules as data: `rules/tests/*.toml`.
//!
//! `parse_tests` reads a file, `run_tests` feeds each case to a [`Harness`] and judges the findings.
//! Invariant: a test cannot pass by saying nothing: unexpected findings fail it, and so does a rule that had
//! nothing to look at.

mod case;
mod compact;
mod feed;
mod harness;
mod parse;
mod run;

pub use case::{Case, CaseLine, CasePoint, CaseSeries, Event, Expectation, Setting, StepRange};
pub use compact::{NotationError, VALUES_MAX, expand};
pub use harness::SampleHarness;
pub use parse::{POINTS_MAX, parse_tests};
pub use run::{CaseOutcome, Failure, Harness, TestReport, run_tests};
