//! One test of the rules: what is fed, and what must come of it.
//!
//! In: nothing (the parser makes it). Out: the input in the order of a log, for the engine. Invariant: events
//! come in step order within each attempt; an attempt ends where a series goes back.

use crate::model::{Quantity, Severity};

/// One `[[test]]`.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// `file:line`.
    pub origin: String,
    /// Numbers.
    pub series: Vec<CaseSeries>,
    /// Lines of text.
    pub lines: Vec<CaseLine>,
    /// A simulated chain; its keys belong to the simulator.
    pub chain: Option<Vec<(String, Setting)>>,
    /// A log or run directory, relative to the directory of the test file.
    pub fixture: Option<String>,
    /// The log says that the run is to have this many steps.
    pub planned_steps: Option<i64>,
    /// The log says that the run has ended in good order.
    pub is_finished: bool,
    /// The run that this one is compared with: series or a chain, and nothing else.
    pub baseline: Option<Box<Case>>,
    /// Records of the log that could not be read.
    pub n_unreadable: u64,
    /// What must be found.
    pub expect: Vec<Expectation>,
    /// Rules that must look at something and find nothing.
    pub quiet: Vec<String>,
}

/// A series by its tag.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseSeries {
    /// Tag.
    pub tag: String,
    /// Smallest step of the printed decimals, 0 when not limited by printing.
    pub resolution: f64,
    /// In the order of logging; missing values are left out.
    pub points: Vec<CasePoint>,
}

/// A logged number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CasePoint {
    /// Training step.
    pub step: i64,
    /// Unix seconds.
    pub wall_time: Option<f64>,
    /// The value.
    pub value: f64,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseLine {
    /// The text.
    pub text: String,
    /// It stands behind the numbers of this step; without one, before all numbers.
    pub step: Option<i64>,
}

/// A value of `chain`.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A word.
    Text(String),
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// A list of numbers.
    Numbers(Vec<f64>),
}

/// What a log would have next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// A number.
    Sample {
        /// Tag.
        tag: &'a str,
        /// The point.
        point: CasePoint,
        /// Smallest step of the printed decimals, 0 when not limited by printing.
        resolution: f64,
    },
    /// A line of text.
    Line(&'a CaseLine),
}

/// What must be found.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Id of the rule.
    pub rule: String,
    /// Kind, when it matters.
    pub kind: Option<String>,
    /// Severity, when it matters.
    pub severity: Option<Severity>,
    /// Quantity, when it matters.
    pub quantity: Option<Quantity>,
    /// All layers of the finding, when they matter.
    pub layers: Option<Vec<String>>,
    /// The step of the alarm.
    pub first_step: Option<StepRange>,
    /// The step of the forecast overflow.
    pub forecast_step: Option<StepRange>,
}

/// Steps that are right, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRange {
    /// First.
    pub at_least: i64,
    /// Last.
    pub at_most: i64,
}

impl StepRange {
    /// Whether a step is right.
    #[must_use]
    pub fn contains(self, step: i64) -> bool {
        (self.at_least..=self.at_most).contains(&step)
    }
}

impl Case {
    /// Everything that is fed, in the order of a log.
    #[must_use]
    pub fn events(&self) -> Vec<Event<'_>> {
        let mut keyed: Vec<((u32, i64, bool), Event<'_>)> = Vec::new();
        for series in &self.series {
            let mut attempt = 0;
            let mut last_step = i64::MIN;
            for point in &series.points {
                attempt += u32::from(point.step < last_step);
                last_step = point.step;
                let sample = Event::Sample {
                    tag: &series.tag,
                    point: *point,
                    resolution: series.resolution,
                };
                keyed.push(((attempt, point.step, false), sample));
            }
        }
        for line in &self.lines {
            keyed.push(((0, line.step.unwrap_or(i64::MIN), true), Event::Line(line)));
        }
        // Stable: series stay in the order of the test file within a step.
        keyed.sort_by_key(|(key, _)| *key);
        keyed.into_iter().map(|(_, event)| event).collect()
    }
}
