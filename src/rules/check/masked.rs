//! NaN that the framework hides: a loss of exactly 0, a loss that repeats bit for bit, a loss field that vanishes.
//!
//! In: the losses, gradient norms and learning rates of a stream, and the marks of missing fields. Out: one judgement
//! per loss point. Invariant: quiet on a loss that came to its value by small steps (a converged run), and on a
//! run with learning rate 0.
//!
//! Sources: Hugging Face `Trainer` replaces a NaN step loss by the running average, which after the reset at each
//! log is exactly 0 or the last value (`logging_nan_inf_filter`, on by default; trl#6702); Megatron-LM prints no
//! loss for a skipped iteration.

use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, Point, StreamCheck};
use crate::model::{Family, Mark, Quantity, Severity};
use crate::rules::Rule;
use crate::series::SeriesInfo;
use crate::stats::window::Window;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "masked-non-finite",
    family: Family::Nonfinite,
    kinds: &["zero-loss", "repeated-loss", "missing-loss"],
    params: &[
        ParamInfo {
            name: "zeros",
            default: 5.0,
            min: 2.0,
            max: 1e6,
            doc: "exact zeros in a row after a sudden drop that are trouble without a gradient norm to show it; two \
                  suffice beside a non-finite gradient norm",
        },
        ParamInfo {
            name: "repeats",
            default: 5.0,
            min: 3.0,
            max: 1e6,
            doc: "equal losses in a row, after losses that all differed, that are trouble; three suffice beside a \
                  non-finite gradient norm. With a spread of ten printed digits steps four coincidences have a chance \
                  below 1e-4 each run of five",
        },
        ParamInfo {
            name: "missing",
            default: 3.0,
            min: 2.0,
            max: 1e6,
            doc: "records in a row without the loss they used to carry; single ones are skipped steps",
        },
    ],
    doc: "A loss of exactly 0 that dropped there at once, a loss that repeats bit for bit after it varied, or a loss \
          field that vanishes: how trainers hide NaN.",
    build: Build::Stream(|rule| Box::new(Masked::new(rule))),
};

/// Losses that are followed at once; more are not a training run of this kind.
const SERIES_MAX: usize = 64;
/// Changes from which "it varied" is judged.
const CHANGES: usize = 8;
/// A loss that hides a NaN leaves its usual range at once: the smallest of the last losses is at least this share of
/// their median.
const STEADY_SHARE: f64 = 0.05;
/// Relative change below which a loss is converged.
const CONVERGED: f64 = 1e-4;
/// A change of this many printed steps is a change and not rounding.
const PRINTED_STEPS: f64 = 10.0;

struct Masked {
    severity: Severity,
    zeros: u32,
    repeats: u32,
    missing: u32,
    losses: Vec<LossTrack>,
    /// Steps at which a gradient norm was last non-finite, and last finite.
    gradient_bad_step: Option<i64>,
    gradient_finite: Option<(i64, f64)>,
}

struct LossTrack {
    tag: String,
    first: Option<f64>,
    last: Option<(i64, f64)>,
    before_last_step: Option<i64>,
    /// The last losses that were not zero, and the last changes between them.
    values: Window,
    changes: Window,
    zeros: u32,
    /// Smallest step of the decimals of a loss that was not zero: a bare `0.0` does not show how many there are.
    resolution: f64,
    repeats: u32,
    missing: u32,
}

impl LossTrack {
    fn new(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            first: None,
            last: None,
            before_last_step: None,
            values: Window::new(CHANGES),
            changes: Window::new(CHANGES),
            zeros: 0,
            resolution: 0.0,
            repeats: 0,
            missing: 0,
        }
    }

    fn clear(&mut self) {
        *self = Self::new(&self.tag);
    }

    /// Whether the losses before the zeros were well above zero, so that zero was no neighbour of theirs.
    fn was_well_above_zero(&self) -> bool {
        let (Some(median), Some(first)) = (self.values.median(), self.first) else {
            return false;
        };
        let smallest = self.values.values().iter().fold(f64::INFINITY, |a, b| a.min(*b));
        self.values.len() >= 4
            && smallest >= STEADY_SHARE * median
            && median >= STEADY_SHARE * first.abs()
            && smallest > 100.0 * self.resolution
    }

    /// Whether each of the last changes was a real one.
    fn varied(&self) -> bool {
        let (Some(value), Some(change)) = (self.values.median(), self.changes.median()) else {
            return false;
        };
        self.changes.len() == CHANGES
            && self.changes.values().iter().all(|it| *it > 0.0)
            && change > CONVERGED * value.abs()
            && change > PRINTED_STEPS * self.resolution
    }

    fn count(&mut self, point: &Point) {
        self.missing = 0;
        self.before_last_step = self.last.map(|it| it.0);
        let is_repeat = self
            .last
            .is_some_and(|it| it.1.to_bits() == point.value.to_bits());
        self.repeats = if is_repeat { self.repeats + 1 } else { 0 };
        self.zeros = if point.value == 0.0 { self.zeros + 1 } else { 0 };
        if !is_repeat && point.value != 0.0 && point.value.is_finite() {
            self.first.get_or_insert(point.value);
            self.resolution = point.resolution;
            if let Some((_, last)) = self.last
                && last != 0.0
                && last.is_finite()
            {
                self.changes.push((point.value - last).abs());
            }
            self.values.push(point.value);
        }
        self.last = Some((point.step, point.value));
    }
}

impl Masked {
    fn new(rule: &Rule) -> Self {
        Self {
            severity: rule.severity,
            zeros: rule.params.get("zeros") as u32,
            repeats: rule.params.get("repeats") as u32,
            missing: rule.params.get("missing") as u32,
            losses: Vec::new(),
            gradient_bad_step: None,
            gradient_finite: None,
        }
    }

    fn track(&mut self, tag: &str) -> Option<usize> {
        if let Some(found) = self.losses.iter().position(|it| it.tag == tag) {
            return Some(found);
        }
        if self.losses.len() >= SERIES_MAX {
            return None;
        }
        self.losses.push(LossTrack::new(tag));
        Some(self.losses.len() - 1)
    }

    fn note_gradient(&mut self, point: &Point) {
        if point.value.is_finite() {
            self.gradient_finite = Some((point.step, point.value));
        } else {
            self.gradient_bad_step = Some(point.step);
        }
    }

    /// Whether a gradient norm was non-finite since the record before the last (the gradient may stand behind the loss in
    /// the same record).
    fn gradient_is_bad(&self, since: Option<i64>) -> bool {
        matches!((self.gradient_bad_step, since), (Some(bad), Some(since)) if bad >= since)
    }

    /// Whether a gradient norm that is logged shows a run that still learns.
    fn gradient_is_alive(&self, since: Option<i64>) -> bool {
        matches!((self.gradient_finite, since), (Some((step, norm)), Some(since)) if step >= since && norm > 0.0)
    }

    fn judge_loss(&self, track: &LossTrack, point: &Point, context: &Context<'_>) -> Judgement {
        let since = track.before_last_step;
        let beside_bad = self.gradient_is_bad(since);
        let learns = context.facts.learning_rate != Some(0.0);
        if track.zeros >= 2 && track.was_well_above_zero() {
            if beside_bad {
                return self.bad(
                    "zero-loss",
                    track.zeros,
                    2,
                    "beside a non-finite gradient norm",
                    self.severity,
                );
            }
            if track.zeros >= self.zeros && learns && !self.gradient_is_alive(since) {
                return self.bad(
                    "zero-loss",
                    track.zeros,
                    self.zeros,
                    "after losses well above 0",
                    Severity::Warning,
                );
            }
        }
        let equal = track.repeats + 1;
        if track.zeros == 0 && point.value.is_finite() && learns && track.varied() {
            if equal >= 3 && beside_bad {
                return self.bad(
                    "repeated-loss",
                    equal,
                    3,
                    "beside a non-finite gradient norm",
                    self.severity,
                );
            }
            if equal >= self.repeats && !self.gradient_is_alive(since) {
                return self.bad(
                    "repeated-loss",
                    equal,
                    self.repeats,
                    "after losses that all differed",
                    Severity::Warning,
                );
            }
        }
        Judgement::Good
    }

    fn bad(&self, kind: &'static str, count: u32, bound: u32, how: &str, severity: Severity) -> Judgement {
        Judgement::Bad(
            Observation::new(kind, f64::from(count), f64::from(bound))
                .severity(severity.min(self.severity))
                .word("how", how),
        )
    }

    fn judge_missing(&mut self, at: usize) -> Judgement {
        let Some(track) = self.losses.get_mut(at) else {
            return Judgement::Abstain;
        };
        if track.first.is_none() {
            // The search for the loss scale: no iteration has counted yet.
            return Judgement::Abstain;
        }
        track.missing = track.missing.saturating_add(1);
        let (missing, since) = (track.missing, track.last.map(|it| it.0));
        if self.gradient_is_bad(since) && missing >= 2 {
            self.bad(
                "missing-loss",
                missing,
                2,
                "beside a non-finite gradient norm",
                self.severity,
            )
        } else if missing > 2 * self.missing {
            self.bad(
                "missing-loss",
                missing,
                self.missing,
                "and has not come back",
                self.severity,
            )
        } else if missing >= self.missing {
            self.bad(
                "missing-loss",
                missing,
                self.missing,
                "in a row",
                Severity::Warning,
            )
        } else {
            self.bad(
                "missing-loss",
                missing,
                self.missing,
                "as for a skipped step",
                Severity::Info,
            )
        }
    }
}

impl StreamCheck for Masked {
    fn sample(&mut self, series: &SeriesInfo, point: &Point, context: &Context<'_>, out: &mut Vec<Judged>) {
        match series.meaning.quantity {
            Quantity::GradNorm | Quantity::GradNormTotal => self.note_gradient(point),
            Quantity::Loss => {
                let Some(at) = self.track(&series.tag) else {
                    return;
                };
                let Some(track) = self.losses.get_mut(at) else {
                    return;
                };
                track.count(point);
                let Some(track) = self.losses.get(at) else {
                    return;
                };
                out.push(Judged {
                    subject: at as u32,
                    step: point.step,
                    judgement: self.judge_loss(track, point, context),
                });
            }
            _ => {}
        }
    }

    fn mark(&mut self, mark: &Mark<'_>, _context: &Context<'_>, out: &mut Vec<Judged>) {
        let Mark::FieldMissing { tag, step } = mark else {
            return;
        };
        // Only a tag that was seen as a loss: other fields come and go.
        if let Some(at) = self.losses.iter().position(|it| it.tag == *tag) {
            let judgement = self.judge_missing(at);
            out.push(Judged {
                subject: at as u32,
                step: *step,
                judgement,
            });
        }
    }

    fn rewind(&mut self, _step: i64) {
        for track in &mut self.losses {
            track.clear();
        }
        self.gradient_bad_step = None;
        self.gradient_finite = None;
    }
}

#[cfg(test)]
mod tests;
