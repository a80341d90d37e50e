//! The training loss rises, and does not come back.
//!
//! In: a training loss. Out: `diverged` (much of the progress is lost), `creep` (a slow steady rise), `oscillation` (a growing
//! swing of period two). Invariant: a rise is only ever judged against both the progress so far and the noise of
//! the loss itself, so that a loss which never fell (GAN, policy gradient) or is noisy is not accused of rising.
//!
//! `diverged`: the median of the last five points is above the best smoothed loss by half of the fall since the
//! start (or 60 % of the fall of `ln loss`, which sees a language model go from 2.2 back to 6 though it began at 11),
//! by four standard deviations of a point, and by half of the best (losses above zero). Three bad points of five are
//! needed to move that median, so one outlier batch never does. A warning until it has lasted `patience` points
//! without coming down, then the rule's severity; above ten times the initial loss at once. When it comes back:
//! a warning at most.

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck};
use crate::model::{Family, Severity};
use crate::rules::Rule;
use crate::stats::window::{Bins, Stray, Window};

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "divergence",
    family: Family::Loss,
    kinds: &["diverged", "creep", "oscillation"],
    params: &[
        ParamInfo {
            name: "fall_share",
            default: 0.5,
            min: 0.05,
            max: 10.0,
            doc: "share of the fall so far that must be undone; half of it is beyond what restarts of the learning rate \
                  and harder batches undo",
        },
        ParamInfo {
            name: "noises",
            default: 4.0,
            min: 1.0,
            max: 1e6,
            doc: "and so many standard deviations of a point from the local median: with 4, a median of five (standard \
                  error 0.54) is 5 standard errors above the mean of white noise, whose best is about one below it",
        },
        ParamInfo {
            name: "ratio",
            default: 1.5,
            min: 1.0,
            max: 1e9,
            doc: "and so many times the best loss, where losses are positive",
        },
        ParamInfo {
            name: "never_fell_ratio",
            default: 10.0,
            min: 1.0,
            max: 1e12,
            doc: "a loss that never fell by a tenth is only accused above so many times its start (adversarial losses \
                  climb by small factors in good health)",
        },
        ParamInfo {
            name: "patience",
            default: 12.0,
            min: 1.0,
            max: 1e6,
            doc: "points that it may stay up, or come down slowly, before it is the rule's severity",
        },
        ParamInfo {
            name: "creep_share",
            default: 0.25,
            min: 0.01,
            max: 10.0,
            doc: "creep: share of the fall, and of the best loss, that eight or more rising stretches in a row must undo",
        },
    ],
    doc: "The median of five against the best smoothed loss, in units of the fall so far and of the noise; a slow \
          steady rise; a growing oscillation.",
    build: Build::Series(|rule| Box::new(Divergence::new(rule))),
};

/// Points before anything is judged: a median of five and something to compare it with.
const POINTS_MIN: u64 = 8;
/// Share of the fall of `ln loss`, where `fall_share` is half.
const LOG_SHARE: f64 = 1.2;
/// A loss "fell" when it lost a tenth of its start, and three standard deviations.
const FELL_SHARE: f64 = 0.1;
const FELL_NOISES: f64 = 3.0;
/// A smaller fall than this share of the start may be the luck of slow noise: then the loss must rise above its
/// start as well.
const SMALL_FALL: f64 = 0.3;
/// A rise must be so many times the highest that came back by itself.
const HEALED_RATIO: f64 = 1.5;
/// A rise so many times the bound is clear; one just above it must last: the excursions of slow noise, AR(.9), end
/// within some ten points.
const CLEAR: f64 = 1.3;
const UNCLEAR_POINTS: u32 = 8;
/// How long such a rise is remembered.
const RISE_MEMORY_POINTS: f64 = 1024.0;
/// The highest rise that is taken for nature: a doubling, or half of the fall. Beyond it stood a spike, and
/// the next one is news again.
const HEALED_MAX_LN: f64 = 0.7;
const HEALED_MAX_SHARE: f64 = 0.5;
/// Points whose median is the initial loss: few, because the loss falls fastest at its start.
const START_POINTS: usize = 3;
/// Points after which a loss far above its start is lost.
const LOST_POINTS: u32 = 5;
/// Far above the start.
const LOST_RATIO: f64 = 10.0;
/// Coming down: 7 % within five points.
const COMING_DOWN: f64 = 0.93;
/// No longer credited with coming down.
const COMING_DOWN_POINTS: u32 = 60;
/// Smoothing of the best loss, in points.
const SMOOTH: usize = 9;
/// Bins of the loss for the slow creep.
const BINS: usize = 32;
/// Rising stretches in a row.
const CREEP_BINS: usize = 8;
/// Points in each stretch at least.
const CREEP_BIN_POINTS: u64 = 4;
/// Alternations in a row: by chance (2/3)^24, 6e-5, before the swing must also grow.
const SWINGS: u32 = 24;
/// Of these, so many give the size at the start.
const FIRST_SWINGS: u32 = 8;
/// Growth of the swing over them, and its size in shares of the loss.
const SWING_GROWTH: f64 = 4.0;
const SWING_SHARE: f64 = 0.25;
/// How many improvements of the best loss are kept for a restart.
const TRAIL_MAX: usize = 16;

struct Divergence {
    fall_share: f64,
    noises: f64,
    ratio: f64,
    never_fell_ratio: f64,
    patience: u32,
    creep_share: f64,
    full: Severity,
    state: State,
}

#[derive(Debug, Clone)]
struct State {
    n: u64,
    last_step: i64,
    start: Window,
    initial: Option<(i64, f64)>,
    /// Improvements of the best smoothed loss, with their steps; thinned.
    best: Vec<(i64, f64)>,
    last_five: Window,
    smooth: Window,
    lowest: f64,
    /// Of `ln loss`, or of the loss where it may be negative.
    stray: Stray,
    /// The highest rise above the best since it last came back, and the highest that came back (fading).
    rise_now: f64,
    rise_healed: f64,
    /// Whether the loss ever fell, rather than wandered.
    has_fallen: bool,
    bad_points: u32,
    medians_before: [f64; 5],
    said: Option<Severity>,
    bins: Bins,
    creep: Option<(f64, f64)>,
    swing: Swing,
}

/// Alternating differences in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Swing {
    last: f64,
    last_difference: f64,
    count: u32,
    first_size: f64,
    size: f64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            n: 0,
            last_step: i64::MIN,
            start: Window::new(START_POINTS),
            initial: None,
            best: Vec::new(),
            last_five: Window::new(5),
            smooth: Window::new(SMOOTH),
            lowest: f64::INFINITY,
            stray: Stray::default(),
            rise_now: 0.0,
            rise_healed: 0.0,
            has_fallen: false,
            bad_points: 0,
            medians_before: [f64::INFINITY; 5],
            said: None,
            bins: Bins::new(BINS),
            creep: None,
            swing: Swing::default(),
        }
    }
}

impl Divergence {
    fn new(rule: &Rule) -> Self {
        Self {
            fall_share: rule.params.get("fall_share"),
            noises: rule.params.get("noises"),
            ratio: rule.params.get("ratio"),
            never_fell_ratio: rule.params.get("never_fell_ratio"),
            patience: rule.params.get("patience") as u32,
            creep_share: rule.params.get("creep_share"),
            full: rule.severity,
            state: State::default(),
        }
    }

    /// The loss above which the run has lost its progress, and whether it ever made any.
    fn bound(&self, initial: f64, best: f64) -> f64 {
        let noise = self.state.rise_by_noise(best, self.noises);
        let fall = initial - best;
        if !self.state.has_fallen {
            let scale = initial.abs().max(noise);
            let rise = if !self.state.is_linear() {
                (self.never_fell_ratio - 1.0) * initial
            } else {
                self.never_fell_ratio * scale
            };
            return initial + rise.max(noise);
        }
        let mut bound = best + self.fall_share * fall;
        if !self.state.is_linear() {
            let by_log = best * (initial / best).powf((LOG_SHARE * self.fall_share).min(1.0));
            bound = bound.min(by_log).max(self.ratio * best);
            if fall < SMALL_FALL * initial {
                bound = bound.max(self.ratio * initial);
            }
        }
        let healed = HEALED_RATIO * self.state.rise_healed;
        let above_healed = if self.state.is_linear() {
            best + healed
        } else {
            best * healed.min(300.0).exp()
        };
        bound.max(best + noise).max(above_healed)
    }

    fn judge(&mut self, context: &Context<'_>) -> Judgement {
        let Some((initial, best, now)) = self.state.levels() else {
            return Judgement::Abstain;
        };
        if self.state.n < POINTS_MIN {
            return Judgement::Abstain;
        }
        let bound = self.bound(initial, best);
        if now > bound {
            self.state.bad_points += 1;
            let is_clear = now - best >= CLEAR * (bound - best);
            if !is_clear && self.state.bad_points < UNCLEAR_POINTS {
                return Judgement::Abstain;
            }
            let severity = self.severity_of_rise(initial, now);
            return self.bad("diverged", now, bound, best, severity);
        }
        self.state.bad_points = 0;
        if let Some(said) = self.state.said.take()
            && said > Severity::Warning
        {
            return Judgement::Healed(Severity::Warning);
        }
        // While the learning rate rises (warm-up, restarts of the schedule) a gentle rise of the loss is its work.
        let is_rewarming = matches!(
            (context.facts.learning_rate, context.facts.learning_rate_max),
            (Some(now), Some(max)) if now >= max && self.state.n < 100
        );
        if let Some((now, bound)) = self.state.creep
            && !is_rewarming
        {
            return self.bad("creep", now, bound, best, Severity::Warning);
        }
        let scale = now.abs().max(initial - best);
        if self.state.swing.is_growing(scale) {
            let size = self.state.swing.size;
            return self.bad("oscillation", size, SWING_SHARE * scale, best, Severity::Warning);
        }
        Judgement::Good
    }

    fn severity_of_rise(&self, initial: f64, now: f64) -> Severity {
        let state = &self.state;
        let five_ago = state.medians_before.first().copied().unwrap_or(f64::INFINITY);
        let is_coming_down = state.bad_points <= COMING_DOWN_POINTS && now <= COMING_DOWN * five_ago;
        let is_lost = initial > 0.0 && now > LOST_RATIO * initial && state.bad_points >= LOST_POINTS;
        if is_lost || (state.bad_points >= self.patience && !is_coming_down) {
            self.full
        } else {
            Severity::Warning
        }
    }

    fn bad(
        &mut self,
        kind: &'static str,
        value: f64,
        bound: f64,
        best: f64,
        severity: Severity,
    ) -> Judgement {
        let severity = severity.min(self.full);
        self.state.said = self.state.said.max(Some(severity));
        Judgement::Bad(
            Observation::new(kind, value, bound)
                .severity(severity)
                .word("best", format!("{best:.4}"))
                .word(
                    "initial",
                    self.state
                        .initial
                        .map_or_else(String::new, |it| format!("{:.4}", it.1)),
                ),
        )
    }

    /// A steady rise over the last stretches of the run.
    fn find_creep(&mut self) {
        self.state.creep = None;
        let bins = self.state.bins.closed();
        let falls = bins.windows(2).rposition(|pair| pair[0].mean >= pair[1].mean);
        let last = bins.get(falls.map_or(0, |at| at + 1)..).unwrap_or_default();
        let (Some((initial, best, _)), Some(first), Some(end)) =
            (self.state.levels(), last.first(), last.last())
        else {
            return;
        };
        let per_bin = self.state.bins.points_per_bin();
        let fall = initial - best;
        if per_bin < CREEP_BIN_POINTS || last.len() <= CREEP_BINS || !self.state.has_fallen {
            return;
        }
        let noise = self
            .state
            .rise_by_noise(best, self.noises / (per_bin as f64).sqrt());
        let least = (self.creep_share * fall)
            .max(self.creep_share * best.abs())
            .max(noise);
        if end.mean - first.mean >= least {
            self.state.creep = Some((end.mean, first.mean + least));
        }
    }
}

impl State {
    /// Initial, best and present loss.
    fn levels(&self) -> Option<(f64, f64, f64)> {
        let best = self.best.last()?.1;
        Some((self.initial?.1, best, self.last_five.median()?))
    }

    /// How far above `level` that many standard deviations of noise lead. Noise is a share of the loss where losses
    /// are positive, so that the wide swings of the start do not blind the check to a rise from a small loss.
    fn rise_by_noise(&self, level: f64, deviations: f64) -> f64 {
        let noise = deviations * self.stray.noise();
        if self.is_linear() {
            noise
        } else {
            level * noise.min(300.0).exp_m1()
        }
    }

    fn is_linear(&self) -> bool {
        self.lowest <= 0.0
    }

    /// The first value at or below zero makes the scale linear: what was learnt of the noise is void.
    fn note_lowest(&mut self, value: f64) {
        let was_linear = self.is_linear();
        self.lowest = self.lowest.min(value);
        if self.is_linear() != was_linear {
            self.stray = Stray::default();
            (self.rise_now, self.rise_healed) = (0.0, 0.0);
        }
    }

    fn add(&mut self, step: i64, value: f64) {
        self.n += 1;
        self.last_step = step;
        self.note_lowest(value);
        if self.bad_points == 0 {
            self.learn_noise(value);
        }
        self.medians_before.rotate_left(1);
        if let (Some(slot), Some(median)) = (self.medians_before.last_mut(), self.last_five.median()) {
            *slot = median;
        }
        self.last_five.push(value);
        self.smooth.push(value);
        if self.initial.is_none() {
            self.note_start(step, value);
        } else {
            self.note_best(step);
            self.note_rise();
        }
        self.swing.add(value);
    }

    fn learn_noise(&mut self, value: f64) {
        let Some(usual) = self.smooth.median().filter(|_| self.smooth.len() >= 3) else {
            return;
        };
        let deviation = if self.is_linear() {
            value - usual
        } else {
            (value / usual).ln()
        };
        self.stray.learn(deviation);
    }

    /// Rises that came back by themselves are this run's nature (slow noise, restarts of the schedule): only a
    /// higher one is news.
    fn note_rise(&mut self) {
        let Some((initial, best, now)) = self.levels() else {
            return;
        };
        let (rise, most) = if self.is_linear() {
            (now - best, HEALED_MAX_SHARE * (initial - best))
        } else {
            ((now / best).ln(), HEALED_MAX_LN)
        };
        self.rise_healed *= 1.0 - 1.0 / RISE_MEMORY_POINTS;
        self.rise_now = self.rise_now.max(rise);
        if rise <= 0.33 * self.rise_now {
            self.rise_healed = self.rise_healed.max(self.rise_now.min(most));
            self.rise_now = rise.max(0.0);
        }
    }

    /// The initial loss: the median of the first three, or the first when that is lower (a run that explodes
    /// from its first step).
    fn note_start(&mut self, step: i64, value: f64) {
        self.start.push(value);
        if self.start.len() == START_POINTS {
            let first = self.start.values().first().copied();
            if let (Some(median), Some(first)) = (self.start.median(), first) {
                let initial = if first > 0.0 && median > 2.0 * first {
                    first
                } else {
                    median
                };
                self.initial = Some((step, initial));
                self.best.push((step, initial));
            }
        }
    }

    /// The best loss, smoothed so that the luck of single batches does not count.
    fn note_best(&mut self, step: i64) {
        let (Some(now), Some(best)) = (self.smooth.median(), self.best.last().copied()) else {
            return;
        };
        if now >= best.1 {
            return;
        }
        if self.best.len() >= TRAIL_MAX {
            let mut index = 0;
            self.best.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.best.push((step, now));
        let fall = self.initial.map_or(0.0, |it| it.1 - now);
        let is_fall = fall >= FELL_SHARE * (now + fall).abs() && fall >= self.rise_by_noise(now, FELL_NOISES);
        self.has_fallen |= is_fall && self.n >= POINTS_MIN;
    }
}

impl Swing {
    fn add(&mut self, value: f64) {
        let difference = value - self.last;
        let alternates = difference * self.last_difference < 0.0;
        self.size = if alternates {
            0.75 * self.size + 0.25 * difference.abs()
        } else {
            difference.abs()
        };
        self.count = if alternates {
            self.count.saturating_add(1)
        } else {
            0
        };
        if self.count == FIRST_SWINGS {
            self.first_size = self.size;
        }
        self.last = value;
        self.last_difference = difference;
    }

    fn is_growing(&self, scale: f64) -> bool {
        self.count >= SWINGS && self.size > SWING_GROWTH * self.first_size && self.size > SWING_SHARE * scale
    }
}

impl SeriesCheck for Divergence {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        if !point.value.is_finite() {
            return Judgement::Abstain;
        }
        self.state.add(point.step, point.value);
        if self.state.bins.push(point.step, point.value) {
            self.find_creep();
        }
        self.judge(context)
    }

    /// Keeps the start and the best loss of before the restart; the rest is learnt anew.
    fn rewind(&mut self, step: i64) {
        let old = std::mem::take(&mut self.state);
        if let Some(initial) = old.initial.filter(|it| it.0 < step) {
            self.state.initial = Some(initial);
            self.state.best = old.best;
            self.state.best.retain(|it| it.0 < step);
            self.state.lowest = old.lowest;
            self.state.has_fallen = old.has_fallen;
            self.state.stray = old.stray;
            self.state.rise_healed = old.rise_healed;
            self.state.bins = old.bins;
            self.state.bins.rewind(step);
        }
    }

    /// What is still up at the end of the log has not come back.
    fn finish(&mut self, _context: &Context<'_>) -> Judgement {
        let Some((initial, best, now)) = self.state.levels() else {
            return Judgement::Abstain;
        };
        if self.state.bad_points < LOST_POINTS {
            return Judgement::Abstain;
        }
        let five_ago = self
            .state
            .medians_before
            .first()
            .copied()
            .unwrap_or(f64::INFINITY);
        if now <= COMING_DOWN * five_ago && now < initial {
            return Judgement::Abstain;
        }
        let bound = self.bound(initial, best);
        self.bad("diverged", now, bound, best, self.full)
    }
}

#[cfg(test)]
mod tests;
