//! Values far above the usual ones of their series, and whether they come back at once.
//!
//! In: a loss or a norm. Out: `single` (info: one outlier batch) or `sustained` (a warning: several outliers
//! together, or a huge one that is not gone at the next point). Invariant: an outlier is not learnt as usual, up to 16
//! in a row, after which it is the new usual.
//!
//! The scale is `ln x` (linear for a series that is zero or negative anywhere). Level: median of the last 16 usual
//! points; noise: clipped mean absolute deviation around it over about 64. Bounds: z > 8, and x3 for norms, x1.1
//! for losses; no false alarm in 2 x 20,000 healthy points of six kinds of noise but the heavy-tailed one (15 per
//! 10,000, single points, hence `info`). Three of five is a warning: three in a row at x3 have a chance below 1 %
//! in 1e6 points for all measured kinds of noise (`timedomain_thresholds`: excess .80 to .84 < ln 3).

use std::sync::Arc;

use super::loss_state::{LossState, loss_state};
use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;
use crate::stats::level::Level;
use crate::stats::window::upper_median;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "spike",
    family: Family::Spike,
    kinds: &["single", "sustained"],
    params: &[
        ParamInfo {
            name: "z",
            default: 8.0,
            min: 3.0,
            max: 1e6,
            doc: "robust standard deviations above the usual level; 8 from the replay of published spikes and 40,000 \
                  healthy points",
        },
        ParamInfo {
            name: "ratio",
            default: 3.0,
            min: 1.0,
            max: 1e9,
            doc: "and so many times the usual level; 1.1 for losses, which are steadier",
        },
        ParamInfo {
            name: "sustained_ratio",
            default: 10.0,
            min: 1.0,
            max: 1e9,
            doc: "norms: sustained only above so many times the usual level, while the loss does not go down well",
        },
        ParamInfo {
            name: "setback",
            default: 0.0,
            min: 0.0,
            max: 10.0,
            doc: "losses: sustained only when this share of the progress so far is undone (of the fall of ln loss, or of \
                  the loss where it may be negative); 0 turns it off; 0.35 lets the restarts of a learning-rate \
                  schedule pass",
        },
        ParamInfo {
            name: "needs_loss_unwell",
            default: 1.0,
            min: 0.0,
            max: 1.0,
            doc: "1: a sustained rise is only `info` while the training loss is near its best, as when a network \
                  leaves a plateau",
        },
    ],
    doc: "Robust z-score of the logarithm against the last usual points. One outlier is info; three of five, or a \
          tenfold one that the next point has not left, are a warning.",
    build: Build::Series(|rule| each(Spike::new(rule))),
};

/// Usual points needed before anything is judged; below 32 the bound on z is raised.
const HISTORY_MIN: u32 = 8;
/// Usual points from which the bound on z is the stated one.
const HISTORY_FULL: f64 = 32.0;
/// Smallest noise of a logarithm: 2 % (healthy losses and norms stray more).
const NOISE_MIN: f64 = 0.02;
/// Norms with too short a history for a z: points before, points in a row beyond three times the highest of them,
/// and how far the loss must be above its best meanwhile. The next three of n + 3 points being the three highest has
/// a probability of 6/((n+1)(n+2)(n+3)), 1 in 84 for n = 6, before the factor and the loss are asked for.
const YOUNG_POINTS: u32 = 6;
const YOUNG_IN_A_ROW: u32 = 3;
const YOUNG_RATIO: f64 = 3.0;
const YOUNG_LOSS_RATIO: f64 = 1.5;
/// Outliers in a row that are not learnt.
const UNLEARNT_MAX: u8 = 16;
/// A single outlier this many times the level that is still out at the next point is sustained.
const HUGE: f64 = 10.0;
/// What "still out" means: beyond the bound on z, and at least 20 % above the level.
const STILL_OUT_RATIO: f64 = 1.2;
/// A single point this many times the level is a warning by itself (`ln` excess 7 to 8 is the 1 % bound for one
/// point in 1e6 under heavy tails; for norms only beside a loss that shows it), until the next point is a usual one.
const SINGLE_WARNING: f64 = 1e3;
/// Points whose median is the start of the series.
const START_POINTS: usize = 5;

#[derive(Clone)]
struct Spike {
    bounds: Arc<Bounds>,
    state: State,
}

/// What all series of a rule share.
struct Bounds {
    z: f64,
    ratio: f64,
    sustained_ratio: f64,
    setback: f64,
    needs_loss_unwell: bool,
    full: Severity,
}

#[derive(Debug, Clone, Default)]
struct State {
    level: Level,
    start: Start,
    is_linear: bool,
    /// Value above which a point is worth a fresh median; a cheap test for the common case.
    worth: f64,
    unlearnt: u8,
    /// One bit per point, newest lowest: strong outliers.
    outliers: u8,
    was_huge: bool,
    young: Young,
    /// What was said since the last usual point is at most this urgent once the next usual one comes.
    unsettled: Option<Severity>,
}

/// Where a series began: the median of its first points.
#[derive(Debug, Clone)]
enum Start {
    Collected(Vec<f64>),
    Known(f64),
}

impl Default for Start {
    fn default() -> Self {
        Self::Collected(Vec::new())
    }
}

/// The highest of the first points, and how many in a row were far above it. A restart does not forget it.
#[derive(Debug, Clone, Copy, Default)]
struct Young {
    n: u32,
    highest: f64,
    in_a_row: u32,
}

impl Young {
    /// Takes a norm; true when it is the third or later in a row far above all before.
    fn is_far_above(&mut self, value: f64) -> bool {
        if self.n >= YOUNG_POINTS && value > YOUNG_RATIO * self.highest {
            self.in_a_row += 1;
        } else {
            self.in_a_row = 0;
            self.n = self.n.saturating_add(1);
            self.highest = self.highest.max(value);
        }
        self.in_a_row >= YOUNG_IN_A_ROW
    }
}

/// How far a point is from the usual ones.
#[derive(Debug, Clone, Copy)]
struct Excess {
    y: f64,
    centre: f64,
    z: f64,
}

impl Bounds {
    fn of(rule: &Rule) -> Self {
        Self {
            z: rule.params.get("z"),
            ratio: rule.params.get("ratio"),
            sustained_ratio: rule.params.get("sustained_ratio"),
            setback: rule.params.get("setback"),
            needs_loss_unwell: rule.params.get("needs_loss_unwell") >= 0.5,
            full: rule.severity,
        }
    }
}

impl Spike {
    fn new(rule: &Rule) -> Self {
        Self {
            bounds: rule.shared(Bounds::of),
            state: State::default(),
        }
    }

    fn bound_now(&self) -> f64 {
        let n = f64::from(self.state.level.n_deviations()).max(1.0);
        self.bounds.z * (HISTORY_FULL / n).sqrt().max(1.0)
    }

    /// Whether `excess` is an outlier at the ratio given.
    fn is_out(&self, excess: &Excess, z: f64, ratio: f64) -> bool {
        excess.z > z
            && if self.state.is_linear {
                excess.y - excess.centre >= 0.1 * excess.centre.abs()
            } else {
                excess.y - excess.centre >= ratio.ln()
            }
    }

    /// Whether a rise undoes enough of the progress, for losses, or is high enough, for norms.
    fn is_grave(&self, excess: &Excess) -> bool {
        let rise = excess.y - excess.centre;
        let progress = match self.state.start {
            Start::Known(start) => (start - excess.centre).max(0.0),
            Start::Collected(_) => 0.0,
        };
        if self.bounds.setback > 0.0 {
            let least = if self.state.is_linear {
                0.5 * excess.centre.abs()
            } else {
                1.3_f64.ln()
            };
            rise >= (self.bounds.setback * progress).max(least)
        } else {
            self.state.is_linear || rise >= self.bounds.sustained_ratio.ln()
        }
    }

    fn judge(&mut self, point: &Point, excess: &Excess, context: &Context<'_>) -> Judgement {
        let is_out = self.is_out(excess, self.bound_now(), self.bounds.ratio);
        let is_grave = is_out && self.is_grave(excess);
        let lingers = self.state.was_huge && self.is_out(excess, self.bounds.z, STILL_OUT_RATIO);
        self.state.outliers = (self.state.outliers << 1) | u8::from(is_grave);
        self.state.was_huge = is_grave
            && !self.state.is_linear
            && excess.y - excess.centre >= HUGE.max(self.bounds.sustained_ratio).ln();
        if is_out {
            self.skip(excess.y);
        } else {
            self.state.unlearnt = 0;
            self.state.level.learn(excess.y);
            self.state.set_worth(self.bounds.z);
        }
        let several = (self.state.outliers & 0b1_1111).count_ones() >= 3 && is_grave;
        if several || lingers {
            let is_of_a_game = self.bounds.setback > 0.0 && context.facts.is_game;
            let is_well = self.bounds.needs_loss_unwell && loss_state(&context.facts.loss) == LossState::Well;
            let severity = if is_of_a_game || is_well {
                Severity::Info
            } else {
                self.bounds.full
            };
            self.state.unsettled = Some(self.bounds.full);
            return Self::bad(
                "sustained",
                point,
                excess,
                self.bounds.ratio,
                severity,
                self.state.is_linear,
            );
        }
        if is_out {
            let is_extreme =
                is_grave && !self.state.is_linear && excess.y - excess.centre >= SINGLE_WARNING.ln();
            let is_harmless =
                self.bounds.needs_loss_unwell && loss_state(&context.facts.loss) != LossState::Unwell;
            let severity = if is_extreme && !is_harmless {
                self.state.unsettled = self.state.unsettled.max(Some(Severity::Info));
                Severity::Warning
            } else {
                Severity::Info
            };
            return Self::bad(
                "single",
                point,
                excess,
                self.bounds.ratio,
                severity.min(self.bounds.full),
                self.state.is_linear,
            );
        }
        self.settle()
    }

    /// A norm whose history is too short for its noise to be known.
    fn judge_young(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        let loss = &context.facts.loss;
        let is_loss_up = matches!((loss.last, loss.best), (Some(last), Some(best)) if best > 0.0 && last > YOUNG_LOSS_RATIO * best);
        if !self.bounds.needs_loss_unwell || !self.state.young.is_far_above(point.value) || !is_loss_up {
            return Judgement::Abstain;
        }
        let usual = self.state.young.highest;
        Judgement::Bad(
            Observation::new("sustained", point.value, YOUNG_RATIO * usual)
                .severity(Severity::Warning.min(self.bounds.full))
                .word("usual", format!("at most {usual:.4}"))
                .word("z", "?"),
        )
    }

    /// A usual point: a single outlier before it has healed at once.
    fn settle(&mut self) -> Judgement {
        self.state
            .unsettled
            .take()
            .map_or(Judgement::Good, Judgement::Healed)
    }

    fn bad(
        kind: &'static str,
        point: &Point,
        excess: &Excess,
        ratio: f64,
        severity: Severity,
        is_linear: bool,
    ) -> Judgement {
        let (usual, bound) = if is_linear {
            (excess.centre, excess.centre + 0.1 * excess.centre.abs())
        } else {
            (excess.centre.exp(), excess.centre.exp() * ratio)
        };
        Judgement::Bad(
            Observation::new(kind, point.value, bound)
                .severity(severity)
                .word("usual", format!("{usual:.4}"))
                .word("z", format!("{:.0}", excess.z)),
        )
    }

    /// An outlier is not learnt, unless they keep coming: then it is the new usual.
    fn skip(&mut self, y: f64) {
        self.state.unlearnt += 1;
        if self.state.unlearnt > UNLEARNT_MAX {
            self.state.restart_level();
            self.state.level.learn(y);
        }
    }
}

impl State {
    fn restart_level(&mut self) {
        self.level = Level::default();
        self.unlearnt = 0;
        self.outliers = 0;
        self.was_huge = false;
    }

    /// `ln x`, or x when the series can be zero or negative.
    fn scaled(&mut self, point: &Point) -> f64 {
        if point.value <= 0.0 && !self.is_linear {
            self.is_linear = true;
            self.start = Start::default();
            self.restart_level();
        }
        if self.is_linear { point.value } else { point.ln }
    }

    fn note_start(&mut self, y: f64) {
        if let Start::Collected(first) = &mut self.start {
            first.push(y);
            if first.len() == START_POINTS {
                self.start = upper_median(first).map_or_else(Start::default, Start::Known);
            }
        }
    }

    fn noise(&self) -> f64 {
        let least = if self.is_linear {
            NOISE_MIN * self.level.centre().abs()
        } else {
            NOISE_MIN
        };
        self.level.noise().max(least).max(f64::MIN_POSITIVE)
    }

    /// Well below the bound nothing can be said; a fifth of it is left for what a fresh median may change.
    fn set_worth(&mut self, bound_z: f64) {
        self.worth = self.level.centre() + 0.8 * bound_z * self.noise();
    }
}

impl SeriesCheck for Spike {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        if !point.value.is_finite() {
            return Judgement::Abstain;
        }
        // A zero among norms is a dead layer; it says nothing of spikes.
        if point.value == 0.0 && !self.state.is_linear && self.bounds.setback == 0.0 {
            return Judgement::Abstain;
        }
        let y = self.state.scaled(point);
        self.state.note_start(y);
        if self.state.level.n_deviations() < HISTORY_MIN {
            self.state.level.learn(y);
            self.state.set_worth(self.bounds.z);
            return self.judge_young(point, context);
        }
        if y <= self.state.worth {
            self.state.outliers <<= 1;
            self.state.was_huge = false;
            self.state.unlearnt = 0;
            self.state.level.learn(y);
            self.state.set_worth(self.bounds.z);
            return self.settle();
        }
        self.state.level.refresh();
        let centre = self.state.level.centre();
        let excess = Excess {
            y,
            centre,
            z: (y - centre) / self.state.noise(),
        };
        self.judge(point, &excess, context)
    }

    /// The usual level is learnt anew: a restart is followed by some odd points anyway.
    fn rewind(&mut self, _step: i64) {
        self.state.restart_level();
    }
}

#[cfg(test)]
mod tests;
