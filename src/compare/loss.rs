//! The losses of two runs, step by step.
//!
//! In: two portraits. Out: the late difference with its test. Invariant: batches that both runs share cancel in
//! the difference; autocorrelation never makes it more certain.

use crate::series::{Portrait, Trace};
use crate::stats::{MeanTest, mean_test, share_below, welch_test};

/// Fewest points in common from which anything is said.
pub const PAIRS_MIN: usize = 12;
/// Points of the later part, where half is fewer.
const LATE_MIN: usize = 25;
/// Points from which the test has its stated error rate; with fewer it asks for ten times the certainty.
const PAIRS_ENOUGH: usize = 50;
/// Two-sided probability below which a difference counts. Measured in `stats`: under 2 % of flat losses with a
/// lag-1 correlation of 0.9 come out below it.
const P_MAX: f64 = 0.005;
/// A difference of less than this share of the baseline's loss is no training worth the name: the bound of the
/// rule on losses that do not fall.
pub const EFFECT_MIN: f64 = 0.01;

/// Two-sided probability below which a loss may fall by itself.
const DOUBT_P_MAX: f64 = 0.1;
/// Points at the start of a run, and the standard deviations by which they stand out where it has learnt at once.
const FIRST: usize = 3;
const FIRST_DEVIATIONS: f64 = 4.0;

/// How the two losses were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Their difference at common steps.
    Paired,
    /// The later half of the run against all of a baseline at learning rate 0, whose loss has no trend.
    Separate,
}

/// Two losses, compared over the later half.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossComparison {
    /// How.
    pub way: Way,
    /// Points of the run that were used.
    pub points: usize,
    /// Their first and last step.
    pub steps: (i64, i64),
    /// Mean loss of the run there.
    pub run: f64,
    /// Mean loss of the baseline.
    pub baseline: f64,
    /// The difference run - baseline.
    pub test: MeanTest,
    /// Share of the run's points below the baseline.
    pub share_below: f64,
    /// The difference as a share of the baseline's size, which is its mean or its standard deviation if that is
    /// larger.
    pub relative: f64,
}

impl LossComparison {
    /// Whether the run's loss is below the baseline's beyond chance and by enough to matter.
    #[must_use]
    pub fn is_better(&self) -> bool {
        self.is_distinct() && self.test.mean < 0.0
    }

    /// Whether it is above.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.is_distinct() && self.test.mean > 0.0
    }

    fn is_distinct(&self) -> bool {
        let p_max = if self.points < PAIRS_ENOUGH {
            P_MAX / 10.0
        } else {
            P_MAX
        };
        self.test.p < p_max && self.relative.abs() >= EFFECT_MIN
    }
}

/// The losses of a run and its baseline; `None` when one of them has none or too little is common.
pub(super) fn compare(run: &Portrait, baseline: &Portrait, is_flat: bool) -> Option<LossComparison> {
    let (run, baseline) = (&run.loss.as_ref()?.trace, &baseline.loss.as_ref()?.trace);
    let pairs = run.pairs(baseline);
    let is_covered = pairs.last().is_some_and(|(step, ..)| reaches_half(run, *step));
    if pairs.len() >= PAIRS_MIN && (is_covered || !is_flat) {
        return paired(&pairs);
    }
    if is_flat { separate(run, baseline) } else { None }
}

/// Whether two runs can be the same network on the same data: their losses at the first common step are within a
/// factor of 1.25 or three standard deviations of the baseline (a design choice, not measured).
pub(super) fn start_alike(run: &Portrait, baseline: &Portrait) -> Option<bool> {
    const FACTOR: f64 = 1.25;
    let pairs = run.loss.as_ref()?.trace.pairs(&baseline.loss.as_ref()?.trace);
    let (_, own, theirs) = *pairs.first()?;
    let values: Vec<f64> = pairs.iter().map(|(_, _, theirs)| *theirs).collect();
    let is_near = (own - theirs).abs() <= 3.0 * deviation(&values);
    let ratio = own / theirs;
    Some(is_near || own == theirs || ratio > FACTOR.recip() && ratio < FACTOR)
}

/// What the loss of a run does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// No fall can be seen in enough points.
    Flat,
    /// It falls.
    Falls,
    /// Too few points to tell.
    TooShort,
}

/// The course of a run's loss; `None` when it logs none.
pub(super) fn course_of(run: &Portrait) -> Option<Course> {
    run.loss.as_ref().map(|loss| course(&loss.trace))
}

/// Whether a loss falls: its later half lies below its first quarter (p < 0.1, so that doubt counts as a fall), or
/// its first three points stand out above the later half by four standard deviations, as when a run has learnt within
/// a few steps. Measured with noise of lag-1 correlation 0.9 in 200 points (tests of `compare`): what falls is taken
/// for flat in under 2 %, what is flat in over 90 %.
fn course(trace: &Trace) -> Course {
    let values: Vec<f64> = trace
        .points()
        .iter()
        .map(|it| it.1)
        .filter(|it| it.is_finite())
        .collect();
    let (early, late) = (values.get(..values.len() / 4), values.get(values.len() / 2..));
    let (Some(early), Some(late), Some(first)) = (early, late, values.get(..FIRST)) else {
        return Course::TooShort;
    };
    if values.len() < PAIRS_ENOUGH {
        return Course::TooShort;
    }
    let is_below = welch_test(late, early).is_some_and(|test| {
        test.p < DOUBT_P_MAX && test.mean < 0.0 && -test.mean >= EFFECT_MIN * size(early)
    });
    let stands_out = mean(first) - mean(late) > FIRST_DEVIATIONS * deviation(late);
    if is_below || stands_out {
        Course::Falls
    } else {
        Course::Flat
    }
}

fn reaches_half(run: &Trace, step: i64) -> bool {
    match (run.first, run.points().last()) {
        (Some((first, _)), Some((last, _))) => {
            i128::from(step) - i128::from(first) >= (i128::from(*last) - i128::from(first)) / 2
        }
        _ => false,
    }
}

/// The later half, or [`LATE_MIN`] points where half is fewer.
fn late<T>(points: &[T]) -> &[T] {
    let wanted = (points.len() / 2).max(LATE_MIN.min(points.len()));
    points.get(points.len() - wanted..).unwrap_or(points)
}

fn paired(pairs: &[(i64, f64, f64)]) -> Option<LossComparison> {
    let late = late(pairs);
    let differences: Vec<f64> = late.iter().map(|(_, own, theirs)| own - theirs).collect();
    let baseline: Vec<f64> = late.iter().map(|(_, _, theirs)| *theirs).collect();
    let test = mean_test(&differences)?;
    let below = differences.iter().map(|it| {
        if *it < 0.0 {
            1.0
        } else if *it == 0.0 {
            0.5
        } else {
            0.0
        }
    });
    Some(LossComparison {
        way: Way::Paired,
        points: late.len(),
        steps: (late.first()?.0, late.last()?.0),
        run: mean(&late.iter().map(|(_, own, _)| *own).collect::<Vec<_>>()),
        baseline: mean(&baseline),
        test,
        share_below: below.sum::<f64>() / differences.len() as f64,
        relative: test.mean / size(&baseline),
    })
}

fn separate(run: &Trace, baseline: &Trace) -> Option<LossComparison> {
    let is_finite = |point: &&(i64, f64)| point.1.is_finite();
    let points: Vec<(i64, f64)> = run.points().iter().filter(is_finite).copied().collect();
    let late = late(&points);
    let own: Vec<f64> = late.iter().map(|(_, value)| *value).collect();
    let theirs: Vec<f64> = baseline
        .points()
        .iter()
        .filter(is_finite)
        .map(|(_, value)| *value)
        .collect();
    if own.len().min(theirs.len()) < PAIRS_MIN {
        return None;
    }
    let test = welch_test(&own, &theirs)?;
    Some(LossComparison {
        way: Way::Separate,
        points: own.len().min(theirs.len()),
        steps: (late.first()?.0, late.last()?.0),
        run: mean(&own),
        baseline: mean(&theirs),
        test,
        share_below: share_below(&own, &theirs),
        relative: test.mean / size(&theirs),
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean or the standard deviation, whichever is larger: a loss around 0 has no meaningful percentage.
fn size(values: &[f64]) -> f64 {
    mean(values).abs().max(deviation(values)).max(f64::MIN_POSITIVE)
}

fn deviation(values: &[f64]) -> f64 {
    let center = mean(values);
    (values.iter().map(|it| (it - center).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}
