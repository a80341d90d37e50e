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

mod state;

use self::state::State;
use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;

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
    build: Build::Series(|rule| each(Divergence::new(rule))),
};

/// Points before anything is judged: a median of five and something to compare it with.
const POINTS_MIN: u64 = 8;
/// Share of the fall of `ln loss`, where `fall_share` is half.
const LOG_SHARE: f64 = 1.2;
/// And so much of `fall_share` on the linear scale all the same: of a loss near zero the logarithm swings widely.
const LOG_LEAST: f64 = 0.6;
/// A loss that is back at its start to a twentieth of the fall has lost it all, whatever the ratio.
const UNDONE: f64 = 0.05;
/// A smaller fall than this share of the start may be the luck of slow noise: then the loss must rise above its
/// start as well.
const SMALL_FALL: f64 = 0.3;
/// A rise must be so many times the highest that came back by itself.
const HEALED_RATIO: f64 = 2.0;
/// A rise so many times the bound is clear; one just above it must last: the excursions of slow noise, AR(.9), end
/// within some ten points.
const CLEAR: f64 = 1.3;
const UNCLEAR_POINTS: u32 = 16;
/// Or so many times the bound on noise, for some points: beyond the excursions of AR(.9), which are 2.3 times as wide
/// as its deviations from a local median.
const FAR_NOISES: f64 = 2.0;
const FAR_POINTS: u32 = 3;
/// Healed: back below this share of the bound, or in bounds for so many points.
const HEALED_SHARE: f64 = 0.5;
const HEALED_POINTS: u32 = 8;
/// Points after which a loss far above its start is lost.
const LOST_POINTS: u32 = 5;
/// Far above the start.
const LOST_RATIO: f64 = 10.0;
/// Coming down: 7 % within five points.
const COMING_DOWN: f64 = 0.93;
/// No longer credited with coming down.
const COMING_DOWN_POINTS: u32 = 60;
/// Rising stretches in a row.
const CREEP_BINS: usize = 8;
/// Points in each stretch at least.
const CREEP_BIN_POINTS: u64 = 8;
const SWING_SHARE: f64 = 0.25;

#[derive(Clone)]
struct Divergence {
    fall_share: f64,
    noises: f64,
    ratio: f64,
    never_fell_ratio: f64,
    patience: u32,
    creep_share: f64,
    full: Severity,
    /// Players with losses of their own: a rise is only judged as that of a loss that never fell.
    is_game: bool,
    state: State,
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
            is_game: false,
            state: State::default(),
        }
    }

    /// The loss above which the run has lost its progress, and whether it ever made any.
    fn bound(&self, initial: f64, best: f64) -> f64 {
        let noise = self.state.rise_by_noise(best, self.noises);
        let fall = initial - best;
        if !self.state.has_fallen || self.is_game {
            let scale = initial.abs().max(noise);
            let rise = if self.state.is_linear() {
                self.never_fell_ratio * scale
            } else {
                (self.never_fell_ratio - 1.0) * initial
            };
            return initial + rise.max(noise);
        }
        let mut bound = best + self.fall_share * fall;
        if !self.state.is_linear() {
            let by_log = best * (initial / best).powf((LOG_SHARE * self.fall_share).min(1.0));
            let least = (self.ratio * best).min(initial - UNDONE * fall);
            bound = bound
                .min(by_log.max(best + LOG_LEAST * self.fall_share * fall))
                .max(least);
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
        // Behind a restart the start and the best of before are known: a median of five is enough.
        if self.state.n < POINTS_MIN && !self.state.is_resumed {
            return Judgement::Abstain;
        }
        let bound = self.bound(initial, best);
        if now > bound {
            self.state.bad_points += 1;
            self.state.good_points = 0;
            let noise = self.state.rise_by_noise(best, FAR_NOISES * self.noises);
            let is_far = now - best >= noise && self.state.bad_points >= FAR_POINTS;
            let is_clear = now - best >= CLEAR * (bound - best);
            if !is_clear && !is_far && self.state.bad_points < UNCLEAR_POINTS {
                return Judgement::Abstain;
            }
            let severity = self.severity_of_rise(initial, now);
            return self.bad("diverged", now, bound, best, severity);
        }
        self.state.bad_points = 0;
        self.state.good_points += 1;
        let is_healed =
            now - best <= HEALED_SHARE * (bound - best) || self.state.good_points >= HEALED_POINTS;
        if is_healed && self.state.said.take().is_some() {
            return Judgement::Healed(Severity::Warning);
        }
        // While the learning rate rises (warm-up, restarts of the schedule) a gentle rise of the loss is its work.
        let is_rewarming = matches!(
            (context.facts.learning_rate, context.facts.learning_rate_max),
            (Some(now), Some(max)) if now >= max && self.state.n < 100
        );
        if let Some((now, bound)) = self.state.creep
            && !is_rewarming
            && !self.is_game
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
        let what = match kind {
            "creep" => format!("creeps up to {value:.4}"),
            "oscillation" => format!("swings by {value:.4} from point to point, and more each time"),
            _ => format!("rose to {value:.4}"),
        };
        let severity = severity.min(self.full);
        self.state.said = self.state.said.max(Some(severity));
        Judgement::Bad(
            Observation::new(kind, value, bound)
                .severity(severity)
                .word("what", what)
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
        let per_bin = self.state.bins.points_per_bin();
        if per_bin < CREEP_BIN_POINTS || !self.state.has_fallen {
            return;
        }
        let bins = self.state.bins.closed();
        let falls = bins.windows(2).rposition(|pair| pair[0].mean >= pair[1].mean);
        let last = bins.get(falls.map_or(0, |at| at + 1)..).unwrap_or_default();
        let (Some((initial, best, _)), Some(first), Some(end)) =
            (self.state.levels(), last.first(), last.last())
        else {
            return;
        };
        let fall = initial - best;
        if last.len() <= CREEP_BINS {
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

impl SeriesCheck for Divergence {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        if !point.value.is_finite() {
            return Judgement::Abstain;
        }
        self.is_game = context.facts.is_game;
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
            self.state.is_resumed = true;
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
