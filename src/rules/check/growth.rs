//! A norm that grows exponentially over time, and when its number format overflows.
//!
//! In: norms of weights, gradients or activations. Out: `exponential` (a straight line of `ln norm` over the last
//! part of the run, with a forecast), `shift` (a lasting jump, by CUSUM). Invariant: growth that slows down (roots,
//! logistic curves, a start from zero) is not exponential and is not reported.
//!
//! `exponential`: the run is kept in at most 32 bins of mean `ln x`. Over the last 8, 12, 16, 24 or 32 of them: each eighth
//! higher than the one before, a total rise by `ratio`, 15 residual standard deviations, and a late slope at least 0.7 of
//! the early one. In 10 seeds each: 0 alarms on flat, root, linear, x10 warm-up, x30 logistic and AR(.99), AR(.999)
//! noise; all of the doublings per 20 and per 100 steps found.
//!
//! Forecast: only from such a line, to the largest float16 where a loss scale is logged, else bfloat16 and float32;
//! the interval takes twice the standard error, because nominal 80 % intervals covered only 52 to 70 %. None where the line
//! bends upward: divergence is super-exponential, one to five steps from ten times the usual loss to infinity.

use std::sync::Arc;

use super::loss_state::{LossState, loss_state};
use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;
use crate::stats::bins::{Bin, Bins, Log};
use crate::stats::change::{Line, line};
use crate::stats::cusum::Cusum;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "growth",
    family: Family::Growth,
    kinds: &["exponential", "shift"],
    params: &[
        ParamInfo {
            name: "ratio",
            default: 5.0,
            min: 1.1,
            max: 1e9,
            doc: "rise along the line; weights x5; gradients and activations x30, because warm-ups and the end of a plateau \
                  raise them tenfold",
        },
        ParamInfo {
            name: "critical_ratio",
            default: 10.0,
            min: 1.1,
            max: 1e12,
            doc: "rise from which it is the rule's severity; below a warning. x10 is the 1 % level of slow AR(.995) noise \
                  in 1e6 points",
        },
        ParamInfo {
            name: "shift_ratio",
            default: 0.0,
            min: 0.0,
            max: 1e9,
            doc: "a lasting shift by this factor (CUSUM, k = 1, threshold 20) is a warning; 0 turns it off. x3 had no false \
                  episode in 1.8e6 points but under slow AR(.995) noise (16 per 1e6)",
        },
        ParamInfo {
            name: "needs_loss_unwell",
            default: 0.0,
            min: 0.0,
            max: 1.0,
            doc: "1: good while the training loss is near its best (gradients grow when a network starts to learn)",
        },
        ParamInfo {
            name: "points",
            default: 24.0,
            min: 16.0,
            max: 1e9,
            doc: "points before anything is judged",
        },
    ],
    doc: "A straight rise of ln norm over the last part of the run, with a forecast of the step at which float16 or \
          float32 overflows; a lasting jump by CUSUM.",
    build: Build::Series(|rule| each(Growth::new(rule))),
};

/// Bins of the whole run.
const BINS: usize = 32;
/// Lengths of the last part, in bins.
const PARTS: [usize; 5] = [8, 12, 16, 24, 32];
/// Stretches that must each be higher than the one before.
const STRETCHES: usize = 8;
/// The rise in residual standard deviations.
const RISE_RESIDUALS: f64 = 15.0;
/// Late slope over early slope of exponential growth; above the second bound it is faster than that.
const LATE_OVER_EARLY_MIN: f64 = 0.7;
const LATE_OVER_EARLY_CONVEX: f64 = 1.5;
/// Threshold of the CUSUM, and the points of the median that must confirm it.
const CUSUM_BOUND: f64 = 20.0;
const CONFIRM_POINTS: usize = 15;
/// Largest finite numbers.
const FLOAT16_MAX: f64 = 65504.0;
const FLOAT32_MAX: f64 = 3.4e38;

#[derive(Clone)]
struct Growth {
    bounds: Arc<Bounds>,
    has_begun: bool,
    starts_at_zero: bool,
    bins: Bins<BINS, Log>,
    /// In a place of its own: few series rise, and each of thousands has this check.
    rise: Option<Box<Rise>>,
    /// Where lasting jumps are looked for.
    jump: Option<Box<Jump>>,
}

/// What all series of a rule share.
struct Bounds {
    rise_min: f64,
    rise_critical: f64,
    shift_ratio: f64,
    needs_loss_unwell: bool,
    points: u64,
    full: Severity,
}

/// The search for a lasting jump.
#[derive(Clone)]
struct Jump {
    cusum: Cusum,
    /// A ring of the last values.
    last: [f32; CONFIRM_POINTS],
    n: u8,
    next: u8,
}

/// A straight rise of `ln x` at the end of a series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rise {
    /// From its first to its last bin.
    pub(super) total: f64,
    /// Per step.
    per_step: f64,
    per_step_se: f64,
    is_convex: bool,
    from_step: i64,
}

impl Bounds {
    fn of(rule: &Rule) -> Self {
        Self {
            rise_min: rule.params.get("ratio").ln(),
            rise_critical: rule.params.get("critical_ratio").ln(),
            shift_ratio: rule.params.get("shift_ratio"),
            needs_loss_unwell: rule.params.get("needs_loss_unwell") >= 0.5,
            points: rule.params.get("points") as u64,
            full: rule.severity,
        }
    }
}

impl Jump {
    fn new() -> Self {
        Self {
            cusum: Cusum::default(),
            last: [0.0; CONFIRM_POINTS],
            n: 0,
            next: 0,
        }
    }

    fn add(&mut self, step: i64, y: f64) {
        self.cusum.push(step, y);
        if let Some(place) = self.last.get_mut(usize::from(self.next)) {
            *place = y as f32;
        }
        self.next = (self.next + 1) % CONFIRM_POINTS as u8;
        self.n = (self.n + 1).min(CONFIRM_POINTS as u8);
    }

    /// The upper median of the last values.
    fn level(&self) -> Option<f64> {
        let mut last = self.last;
        let filled = last.get_mut(..usize::from(self.n)).filter(|it| !it.is_empty())?;
        let middle = filled.len() / 2;
        Some(f64::from(
            *filled.select_nth_unstable_by(middle, f32::total_cmp).1,
        ))
    }

    fn may_have_come(&self) -> bool {
        self.cusum.sum() >= CUSUM_BOUND
    }
}

impl Growth {
    fn new(rule: &Rule) -> Self {
        let bounds = rule.shared(Bounds::of);
        Self {
            has_begun: false,
            starts_at_zero: false,
            bins: Bins::new(),
            rise: None,
            jump: (bounds.shift_ratio > 0.0).then(|| Box::new(Jump::new())),
            bounds,
        }
    }

    fn exponential(&self, rise: &Rise, point: &Point, context: &Context<'_>) -> Judgement {
        let severity = if rise.total >= self.bounds.rise_critical {
            self.bounds.full
        } else {
            self.bounds.full.min(Severity::Warning)
        };
        let limit = if context.facts.loss_scale.is_some() {
            FLOAT16_MAX
        } else {
            FLOAT32_MAX
        };
        let forecast = forecast(rise, point, limit);
        let when = forecast.map_or_else(
            || "no forecast of an overflow is possible".to_owned(),
            |it| {
                format!(
                    "overflow of {limit:e} at step {} ({} to {})",
                    it.step, it.from, it.to
                )
            },
        );
        Judgement::Bad(
            Observation::new(
                "exponential",
                point.value,
                point.value / (rise.total - self.bounds.rise_min).exp(),
            )
            .severity(severity)
            .forecast(forecast.map(|it| it.step))
            .word("ratio", format!("{:.1}", rise.total.exp()))
            .word("since", rise.from_step.to_string())
            .word("forecast", when),
        )
    }

    fn shift(&self, point: &Point) -> Option<Judgement> {
        let jump = self.jump.as_ref().filter(|it| it.may_have_come())?;
        let (since, level) = jump.cusum.onset()?;
        let excess = jump.level()? - level;
        if excess < self.bounds.shift_ratio.ln() {
            return None;
        }
        Some(Judgement::Bad(
            Observation::new("shift", point.value, level.exp() * self.bounds.shift_ratio)
                .severity(self.bounds.full.min(Severity::Warning))
                .word("ratio", format!("{:.1}", excess.exp()))
                .word("since", since.to_string())
                .word("forecast", "no forecast of an overflow is possible"),
        ))
    }
}

#[derive(Debug, Clone, Copy)]
struct Forecast {
    step: i64,
    from: i64,
    to: i64,
}

/// The step at which the line crosses `limit`; `None` when it bends upward, or its slope may be zero, or the limit is
/// further away than a number of steps can be.
fn forecast(rise: &Rise, point: &Point, limit: f64) -> Option<Forecast> {
    let (slow, fast) = (
        rise.per_step - 2.0 * rise.per_step_se,
        rise.per_step + 2.0 * rise.per_step_se,
    );
    if rise.is_convex || slow <= 0.0 || point.value <= 0.0 || point.value >= limit {
        return None;
    }
    let at = |slope: f64| {
        let steps = (limit.ln() - point.ln) / slope;
        (steps < 1e15).then(|| point.step.saturating_add(steps as i64))
    };
    Some(Forecast {
        step: at(rise.per_step)?,
        from: at(fast)?,
        to: at(slow)?,
    })
}

/// Looks for a straight rise over the last bins, the longest first.
pub(super) fn straight_rise(bins: &[Bin], rise_min: f64) -> Option<Rise> {
    PARTS.iter().rev().find_map(|part| {
        let last = bins.get(bins.len().checked_sub(*part)?..)?;
        rise_over(last).filter(|rise| rise.total >= rise_min)
    })
}

fn rise_over(bins: &[Bin]) -> Option<Rise> {
    let (first, last) = (bins.first()?, bins.last()?);
    let stretch = bins.len() as f64 / STRETCHES as f64;
    let mut before = f64::NEG_INFINITY;
    for i in 0..STRETCHES {
        let part = bins.get((i as f64 * stretch) as usize..((i + 1) as f64 * stretch) as usize)?;
        let mean = part.iter().map(|bin| bin.mean).sum::<f64>() / part.len() as f64;
        if mean <= before {
            return None;
        }
        before = mean;
    }
    let (half, whole) = (bins.len() / 2, fit(bins)?);
    let (early, late) = (fit(bins.get(..half)?)?, fit(bins.get(half..)?)?);
    let total = last.mean - first.mean;
    let bend = late.slope / early.slope;
    let is_straight = early.slope > 0.0 && bend >= LATE_OVER_EARLY_MIN;
    (is_straight && total >= RISE_RESIDUALS * whole.residual_sd).then_some(Rise {
        total,
        per_step: late.slope,
        per_step_se: whole.slope_se,
        is_convex: bend > LATE_OVER_EARLY_CONVEX,
        from_step: first.last_step,
    })
}

fn fit(bins: &[Bin]) -> Option<Line> {
    let origin = bins.first()?.last_step;
    let points: Vec<(f64, f64)> = bins
        .iter()
        .map(|bin| (bin.last_step.saturating_sub(origin) as f64, bin.mean))
        .collect();
    line(&points)
}

impl SeriesCheck for Growth {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        // Zero has no logarithm, and what starts at zero (biases, residual scales) grows by any factor in good health.
        let is_first_zero = self.bins.n_points() == 0 && point.value == 0.0;
        self.starts_at_zero |= is_first_zero && !self.has_begun;
        self.has_begun = true;
        if !point.value.is_finite()
            || point.value <= 0.0
            || self.starts_at_zero && !self.bounds.needs_loss_unwell
        {
            return Judgement::Abstain;
        }
        let y = point.ln;
        if let Some(jump) = &mut self.jump {
            jump.add(point.step, y);
        }
        if self.bins.push(point.step, y) {
            let is_enough = self.bins.n_points() >= self.bounds.points;
            self.rise = is_enough
                .then(|| straight_rise(&self.bins.closed(), self.bounds.rise_min))
                .flatten()
                .map(Box::new);
        }
        if self.rise.is_none() && !self.jump.as_ref().is_some_and(|it| it.may_have_come()) {
            return Judgement::Good;
        }
        if self.bounds.needs_loss_unwell && loss_state(&context.facts.loss) != LossState::Unwell {
            return Judgement::Good;
        }
        match &self.rise {
            Some(rise) => self.exponential(rise, point, context),
            None => self.shift(point).unwrap_or(Judgement::Good),
        }
    }

    fn rewind(&mut self, step: i64) {
        self.bins.rewind(step);
        self.rise = None;
        if let Some(jump) = &mut self.jump {
            **jump = Jump::new();
        }
    }
}

#[cfg(test)]
mod tests;
