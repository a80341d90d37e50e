//! The detectors: one file each.
//!
//! In: points of one series, profiles over depth, or marks and lines of one stream, in file order, one at a
//! time. Out: [`Judgement`]s. Invariants: O(1) memory and amortised work per value whatever the length of the
//! log; a check never remembers points that a restart has superseded; every default bound has its formula or
//! measured table at the place where it is declared.

pub mod baseline;
pub mod clip_saturation;
pub mod dead_layer;
pub mod decay;
pub mod depth_trend;
mod depth_view;
pub mod divergence;
pub mod frozen_layer;
pub mod gain;
pub mod gradient_level;
pub mod growth;
pub mod layer_outlier;
pub mod learning_rate;
pub mod log_integrity;
pub mod log_pattern;
pub mod loss_scale;
pub mod masked;
pub mod no_progress;
pub mod non_finite;
pub mod overfit;
#[cfg(test)]
mod profile_fixture;
pub mod registry;
pub mod silence;
pub mod skipped_steps;
pub mod spike;
pub mod stall;
#[cfg(test)]
mod stream_fixture;
pub mod threshold;
pub mod throughput;
pub mod update_ratio;
pub mod weight_drift;

#[cfg(test)]
pub(crate) mod bench;
#[cfg(test)]
mod families;
mod loss_state;

use super::Rule;
use crate::model::{Family, Mark, Profile, Severity, TextLine};
use crate::series::{Facts, SeriesInfo};

/// A declared bound of a check.
#[derive(Debug)]
pub struct ParamInfo {
    /// Key in the rule file.
    pub name: &'static str,
    /// Used when the rule does not say.
    pub default: f64,
    /// Smallest allowed value.
    pub min: f64,
    /// Largest allowed value.
    pub max: f64,
    /// Meaning, unit, and where the default comes from.
    pub doc: &'static str,
}

/// A detector and how to build it for a rule.
#[derive(Debug)]
pub struct CheckInfo {
    /// Name in rule files.
    pub name: &'static str,
    /// Family of its findings unless the rule says otherwise.
    pub family: Family,
    /// The kinds of observation it can make; empty when it has only one.
    pub kinds: &'static [&'static str],
    /// Its bounds.
    pub params: &'static [ParamInfo],
    /// One paragraph: what it computes.
    pub doc: &'static str,
    /// Its constructor.
    pub build: Build,
}

/// What a check looks at, with its constructor.
#[derive(Debug, Clone, Copy)]
pub enum Build {
    /// Each series by itself.
    Series(fn(&Rule) -> Box<dyn SeriesChecks>),
    /// All layers of one quantity and split at one step.
    Profile(fn(&Rule) -> Box<dyn ProfileCheck>),
    /// A whole stream: several series, marks, lines.
    Stream(fn(&Rule) -> Box<dyn StreamCheck>),
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Training step.
    pub step: i64,
    /// Unix seconds.
    pub wall_time: Option<f64>,
    /// The value; NaN and infinity are data.
    pub value: f64,
    /// Its natural logarithm, which several checks of a series need: NaN below zero, -infinity at zero.
    pub ln: f64,
    /// Smallest step of the printed decimals, 0 when not limited.
    pub resolution: f64,
}

impl Point {
    /// A point; its logarithm is taken once.
    #[must_use]
    pub fn new(step: i64, wall_time: Option<f64>, value: f64, resolution: f64) -> Self {
        Self {
            step,
            wall_time,
            value,
            ln: value.ln(),
            resolution,
        }
    }
}

/// What a check says of one point or profile.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// Cannot tell (too little data, missing, a non-finite value that is another rule's business): does not
    /// count for or against.
    Abstain,
    /// In bounds.
    Good,
    /// Out of bounds.
    Bad(Observation),
    /// What was seen of this subject before has healed by itself: the finding stays, at no more than this
    /// severity.
    /// In bounds, and what this check has said of this subject since it was last healed turns out to be at
    /// most this urgent: a NaN of one skipped batch, a loss that came back. Counts as [`Judgement::Good`]; the
    /// severity of those observations is lowered to it (never raised), and with them the finding's, unless
    /// another subject of the finding is worse.
    Healed(Severity),
}

/// One point or profile that is out of bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// One of the check's kinds, or empty.
    pub kind: &'static str,
    /// Replaces the rule's severity for this observation.
    pub severity: Option<Severity>,
    /// The number that is out of bounds.
    pub value: f64,
    /// The bound.
    pub bound: f64,
    /// Profile checks: the slots concerned, in depth order.
    pub slots: Vec<u32>,
    /// The step at which the number format is forecast to overflow.
    pub forecast_step: Option<i64>,
    /// Values for the `{placeholders}` of the rule's summary.
    pub words: Vec<(&'static str, String)>,
}

impl Observation {
    /// An observation of `value` against `bound`.
    #[must_use]
    pub fn new(kind: &'static str, value: f64, bound: f64) -> Self {
        Self {
            kind,
            severity: None,
            value,
            bound,
            slots: Vec::new(),
            forecast_step: None,
            words: Vec::new(),
        }
    }

    /// With another severity than the rule's.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// With a word for the summary.
    #[must_use]
    pub fn word(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.words.push((name, text.into()));
        self
    }

    /// With the slots concerned.
    #[must_use]
    pub fn slots(mut self, slots: Vec<u32>) -> Self {
        self.slots = slots;
        self
    }

    /// With a forecast.
    #[must_use]
    pub fn forecast(mut self, step: Option<i64>) -> Self {
        self.forecast_step = step;
        self
    }
}

/// What a stream or profile check says, and of which of its subjects (a group of layers, a series, 0).
/// Persistence (`for = "5 of 8"`) is counted by the engine per subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Which of the check's subjects.
    pub subject: u32,
    /// The step to report (for profile checks: the profile's).
    pub step: i64,
    /// What it says.
    pub judgement: Judgement,
}

/// Facts of the stream that checks may ask for. Updated before the checks see a point.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Learning rate, loss, planned steps so far.
    pub facts: &'a Facts,
    /// The last closed profile of each quantity.
    pub profiles: &'a dyn Profiles,
}

/// Access to the last closed profile of a quantity (training split).
pub trait Profiles {
    /// The last closed profile of `quantity`, if any was closed.
    fn latest(&self, quantity: crate::model::Quantity) -> Option<Profile<'_>>;
}

/// A check of one series.
pub trait SeriesCheck: Send {
    /// Judges the next point.
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement;
    /// A restart superseded all points at or after `step`: forget them.
    fn rewind(&mut self, step: i64);
    /// The log is complete; what can be said only then (`audit` alone).
    fn finish(&mut self, _context: &Context<'_>) -> Judgement {
        Judgement::Abstain
    }
}

/// The checks of many series by one rule. A run has thousands of series: their checks lie side by side, without a box
/// for each.
pub trait SeriesChecks: Send {
    /// One more series; its place is how many there were.
    fn add(&mut self);
    /// Judges the next point of the series at this place.
    fn observe(&mut self, place: usize, point: &Point, context: &Context<'_>) -> Judgement;
    /// A restart superseded all points of the series at or after `step`.
    fn rewind(&mut self, place: usize, step: i64);
    /// The log is complete.
    fn finish(&mut self, place: usize, context: &Context<'_>) -> Judgement;
    /// Gives room back that was kept for further series.
    fn trim(&mut self);
}

/// The checks of many series that all begin like this one.
#[must_use]
pub fn each<C: SeriesCheck + Clone + 'static>(fresh: C) -> Box<dyn SeriesChecks> {
    Box::new(Each {
        fresh,
        all: Vec::new(),
    })
}

struct Each<C> {
    fresh: C,
    all: Vec<C>,
}

impl<C: SeriesCheck + Clone> SeriesChecks for Each<C> {
    fn add(&mut self) {
        self.all.push(self.fresh.clone());
    }

    fn observe(&mut self, place: usize, point: &Point, context: &Context<'_>) -> Judgement {
        let check = self.all.get_mut(place);
        check.map_or(Judgement::Abstain, |it| it.observe(point, context))
    }

    fn rewind(&mut self, place: usize, step: i64) {
        if let Some(check) = self.all.get_mut(place) {
            check.rewind(step);
        }
    }

    fn finish(&mut self, place: usize, context: &Context<'_>) -> Judgement {
        let check = self.all.get_mut(place);
        check.map_or(Judgement::Abstain, |it| it.finish(context))
    }

    fn trim(&mut self) {
        self.all.shrink_to_fit();
    }
}

/// A check of all layers of one quantity.
pub trait ProfileCheck: Send {
    /// Judges the next closed profile; pushes one entry per subject it can speak of.
    fn observe(&mut self, profile: &Profile<'_>, context: &Context<'_>, out: &mut Vec<Judged>);
    /// A restart superseded all profiles at or after `step`.
    fn rewind(&mut self, step: i64);
}

/// How a stream ended, for checks that speak at the end of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StreamEnd {
    /// Records read and skipped over all files of the stream.
    pub records: u64,
    /// Records that could not be read.
    pub skipped: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// When a run that is followed was heard of, by a clock that only goes forward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pulse {
    /// Seconds since some moment.
    pub now_s: f64,
    /// When a file of the run last grew.
    pub grown_s: f64,
    /// When the run last came to a new step.
    pub advanced_s: f64,
}

/// A check of a whole stream. Methods that a check does not need keep their empty default.
pub trait StreamCheck: Send {
    /// A point of a series whose quantity the rule names.
    fn sample(
        &mut self,
        _series: &SeriesInfo,
        _point: &Point,
        _context: &Context<'_>,
        _out: &mut Vec<Judged>,
    ) {
    }
    /// The stream has moved on from `step` (its last wall time beside it).
    fn step_closed(
        &mut self,
        _step: i64,
        _wall_time: Option<f64>,
        _context: &Context<'_>,
        _out: &mut Vec<Judged>,
    ) {
    }
    /// Regular expressions of which a line must match one to be of interest: other lines may be left out.
    /// `None` when every line is.
    fn line_patterns(&self) -> Option<Vec<String>> {
        None
    }
    /// A line of text.
    fn line(&mut self, _line: &TextLine<'_>, _context: &Context<'_>, _out: &mut Vec<Judged>) {}
    /// A mark.
    fn mark(&mut self, _mark: &Mark<'_>, _context: &Context<'_>, _out: &mut Vec<Judged>) {}
    /// A restart superseded everything at or after `step`.
    fn rewind(&mut self, _step: i64) {}
    /// Whether it has had anything to judge; a rule that has not is listed as without data.
    fn has_data(&self) -> bool {
        true
    }
    /// Whether [`tick`](Self::tick) does anything.
    fn hears_clock(&self) -> bool {
        false
    }
    /// Time has passed (a run that is followed alone). What it says must be told as a rule about arrival time.
    fn tick(&mut self, _pulse: &Pulse, _context: &Context<'_>, _out: &mut Vec<Judged>) {}
    /// The log is complete (`audit` alone).
    fn finish(&mut self, _end: &StreamEnd, _context: &Context<'_>, _out: &mut Vec<Judged>) {}
}
