//! A training loss that does not go down.
//!
//! In: a training loss. Out: bad while the loss has not improved by 3 % over the whole run so far. Invariant: silent at
//! learning rate 0 (another rule says so), for losses that are zero or negative anywhere (policy
//! gradients), for logs that begin in the middle of a run, and before there are enough points.
//!
//! The run so far is kept in at most 48 bins. Three conditions, all on medians: the first fifth against the last third
//! below 3 %; the first third against the last third below 1 %, or below 3 % with t < 2 (Welch's t with the
//! effective sample size of autocorrelated noise); the first point at most 10 % above the last third, so that a
//! loss which fell before the second log line is not called flat.

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;
use crate::stats::bins::Bins;
use crate::stats::change::{median_and_scale, shift};

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "no-progress",
    family: Family::Plateau,
    kinds: &[],
    params: &[
        ParamInfo {
            name: "drop",
            default: 0.03,
            min: 0.0,
            max: 1.0,
            doc: "share of the loss; a run that improved less has learnt nothing worth its time",
        },
        ParamInfo {
            name: "points",
            default: 200.0,
            min: 12.0,
            max: 1e9,
            doc: "points before it is said of a run that goes on and whose length is not known; the t-test has 92 % \
                  power there for a drop of 10 % under AR(.9) noise",
        },
        ParamInfo {
            name: "planned_share",
            default: 0.25,
            min: 0.0,
            max: 1.0,
            doc: "where the log states the length of the run: said after this share of it, from 40 points on",
        },
        ParamInfo {
            name: "points_at_end",
            default: 20.0,
            min: 12.0,
            max: 1e9,
            doc: "points of a finished log",
        },
    ],
    doc: "Medians of the first fifth, first third and last third of the run so far; a flat loss has moved by less \
          than 3 %, without a significant fall.",
    build: Build::Series(|rule| each(NoProgress::new(rule))),
};

/// Bins of the whole run.
const BINS: usize = 48;
/// Points when the length of the run is known.
const POINTS_PLANNED: u64 = 40;
/// Share of the planned steps after which it is the rule's full severity.
const FULL_SHARE: f64 = 0.5;
/// Points of a finished log of unknown length for the full severity.
const FULL_POINTS: u64 = 100;
/// The first point may be so much above the end.
const FIRST_POINT: f64 = 0.1;
/// A fall below this share is no fall, however significant.
const NO_FALL: f64 = 0.01;
/// Standard errors of a fall that speak for progress.
const T_FALL: f64 = 2.0;
/// A rise by a twentieth is no plateau: adversarial losses drift upward in good health.
const RISE: f64 = -0.05;
/// Where the noise would hide a fall of a tenth, nothing is said.
const SE_MAX: f64 = 0.05;
/// A rise of so many standard errors is not a plateau but a divergence.
const T_RISE: f64 = -2.0;

#[derive(Clone)]
struct NoProgress {
    drop: f64,
    points: u64,
    planned_share: f64,
    points_at_end: u64,
    full: Severity,
    first: Option<(i64, f64)>,
    is_odd: bool,
    bins: Bins<BINS>,
    flat: Option<Flat>,
    has_said: bool,
    learning_rate_seen: f64,
    rises_in_rate: bool,
}

/// What was measured of a flat loss.
#[derive(Debug, Clone, Copy)]
struct Flat {
    drop: f64,
    early: f64,
    late: f64,
}

impl NoProgress {
    fn new(rule: &Rule) -> Self {
        Self {
            drop: rule.params.get("drop"),
            points: rule.params.get("points") as u64,
            planned_share: rule.params.get("planned_share"),
            points_at_end: rule.params.get("points_at_end") as u64,
            full: rule.severity,
            first: None,
            is_odd: false,
            bins: Bins::new(),
            flat: None,
            has_said: false,
            learning_rate_seen: 0.0,
            rises_in_rate: false,
        }
    }

    /// Whether the run so far is flat, from the bins.
    fn measure(&self, uncertain: f64) -> Option<Flat> {
        let means: Vec<f64> = self.bins.closed().iter().map(|bin| bin.mean).collect();
        let third = means.len() / 3;
        if third < 4 {
            return None;
        }
        let (early, late) = (means.get(..third)?, means.get(means.len() - third..)?);
        let start = median_and_scale(means.get(..(means.len() / 5).max(3))?)?.0;
        let shift = shift(early, late)?;
        let total_drop = (start - shift.late) / start;
        let drop = (shift.early - shift.late) / shift.early;
        let first_drop = self.first.map_or(0.0, |(_, first)| (first - shift.late) / first);
        let is_flat = total_drop < self.drop
            && first_drop < FIRST_POINT
            && (drop < NO_FALL || (drop < uncertain && shift.t_fall < T_FALL))
            && drop.min(total_drop) > RISE
            && !(shift.t_fall < T_RISE && drop < -self.drop)
            && shift.se < SE_MAX * shift.early;
        is_flat.then_some(Flat {
            drop: total_drop,
            early: start,
            late: shift.late,
        })
    }

    /// Whether anything may be said: enough of the run is there, it learns, and it was seen from its start.
    fn may_judge(&self, context: &Context<'_>, points_needed: u64) -> bool {
        let facts = context.facts;
        let begins_late = match (facts.first_step, facts.last_step) {
            (Some(first), Some(last)) => first > last.saturating_sub(first) / 10 && first > 100,
            _ => false,
        };
        let need_not_fall = facts.is_game || facts.learning_rate_max == Some(0.0);
        self.bins.n_points() >= points_needed && !self.is_odd && !begins_late && !need_not_fall
    }

    fn done_share(context: &Context<'_>, step: i64) -> Option<f64> {
        let planned = context.facts.planned_steps.filter(|it| *it > 0)?;
        Some(step as f64 / planned as f64)
    }

    fn say(&self, flat: Flat, is_full: bool) -> Judgement {
        let severity = if is_full {
            self.full
        } else {
            self.full.min(Severity::Warning)
        };
        Judgement::Bad(
            Observation::new("", flat.drop, self.drop)
                .severity(severity)
                .word("percent", format!("{:.1}", 100.0 * flat.drop))
                .word("early", format!("{:.4}", flat.early))
                .word("late", format!("{:.4}", flat.late)),
        )
    }

    /// A learning rate that still rises is a warm-up that is not over.
    fn note_rate(&mut self, context: &Context<'_>) {
        let rate = context.facts.learning_rate.unwrap_or(0.0);
        self.rises_in_rate =
            rate > 1.001 * self.learning_rate_seen && context.facts.learning_rate_max <= Some(rate);
        self.learning_rate_seen = rate;
    }
}

impl SeriesCheck for NoProgress {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        if !point.value.is_finite() {
            return Judgement::Abstain;
        }
        self.first.get_or_insert((point.step, point.value));
        self.is_odd |= point.value <= 0.0;
        if self.bins.push(point.step, point.value) {
            self.note_rate(context);
            let is_known = context.facts.planned_steps.is_some();
            let needed = if is_known { POINTS_PLANNED } else { self.points };
            let is_time = Self::done_share(context, point.step).is_none_or(|it| it >= self.planned_share);
            self.flat = if is_time && !self.rises_in_rate && self.may_judge(context, needed) {
                // Without a known length a slow fall may only have begun: then only a loss that stands still counts.
                self.measure(if is_known { self.drop } else { NO_FALL })
            } else {
                None
            };
        }
        match self.flat {
            Some(flat) => {
                self.has_said = true;
                let is_full = Self::done_share(context, point.step).is_some_and(|it| it >= FULL_SHARE);
                self.say(flat, is_full)
            }
            // It has begun to learn after all.
            None if std::mem::take(&mut self.has_said) => Judgement::Healed(Severity::Info),
            None => Judgement::Good,
        }
    }

    fn rewind(&mut self, step: i64) {
        self.bins.rewind(step);
        self.flat = None;
        self.first = self.first.filter(|it| it.0 < step);
    }

    fn finish(&mut self, context: &Context<'_>) -> Judgement {
        if !self.may_judge(context, self.points_at_end) {
            return Judgement::Abstain;
        }
        let last = context.facts.last_step.unwrap_or(0);
        let share = Self::done_share(context, last);
        // A log that ends after a tenth of the run says nothing of the run.
        if share.is_some_and(|it| it < self.planned_share) {
            return Judgement::Abstain;
        }
        let is_full = share.is_some_and(|it| it >= FULL_SHARE) || self.bins.n_points() >= FULL_POINTS;
        self.measure(self.drop)
            .map_or(Judgement::Abstain, |flat| self.say(flat, is_full))
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::Judgement;
    use crate::rules::check::bench::{Bench, Noise};
    use crate::rules::check::families::{falling_losses, odd_losses};

    fn finished(values: impl IntoIterator<Item = f64>) -> Bench {
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        bench.push_all(values);
        bench.finish();
        bench
    }

    fn flat(seed: u64, length: usize, sd: f64, r: f64) -> Vec<f64> {
        let (mut noise, mut state) = (Noise(seed), 0.0);
        (0..length)
            .map(|_| {
                state = r * state + (1.0 - r * r).sqrt() * sd * noise.normal();
                2.3 * (1.0 + state)
            })
            .collect()
    }

    #[test]
    fn losses_that_fall_are_quiet() {
        let (mut runs, mut alarms) = (0, Vec::new());
        for seed in 21..=23 {
            for (name, run) in falling_losses(seed).into_iter().chain(odd_losses(seed)) {
                // A loss that hardly moves by design is the business of the next test, and balance is
                // what an adversarial loss has instead of progress.
                if name.contains("starts trained") || name.contains("balance") || name.contains("alike") {
                    continue;
                }
                runs += 1;
                if finished(run).severity() >= Some(Severity::Warning) {
                    alarms.push(name);
                }
            }
        }
        assert!(alarms.is_empty(), "{} of {runs}: {alarms:#?}", alarms.len());
    }

    #[test]
    fn flat_losses_are_found() {
        let (mut found, mut runs) = (0, 0);
        for seed in 1..=20 {
            for length in [24, 60, 300, 2000] {
                for (sd, r) in [(0.0, 0.0), (0.005, 0.0), (0.02, 0.0), (0.02, 0.5)] {
                    runs += 1;
                    found +=
                        u32::from(finished(flat(seed, length, sd, r)).severity() >= Some(Severity::Warning));
                }
            }
        }
        assert!(f64::from(found) > 0.95 * f64::from(runs), "{found} of {runs}");
    }

    #[test]
    fn says_so_while_the_run_goes_on() {
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        bench.push_all(flat(3, 400, 0.01, 0.0));
        assert!(
            bench
                .first(Severity::Warning)
                .is_some_and(|it| (199..260).contains(&it))
        );
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        bench.facts.planned_steps = Some(100);
        bench.push_all(flat(3, 100, 0.01, 0.0));
        assert!(
            bench
                .first(Severity::Warning)
                .is_some_and(|it| (39..60).contains(&it))
        );
        assert_eq!(bench.severity(), Some(Severity::Critical));
    }

    #[test]
    fn is_silent_without_a_learning_rate_and_in_the_middle_of_a_run() {
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        bench.facts.learning_rate = Some(0.0);
        bench.facts.learning_rate_max = Some(0.0);
        bench.push_all(flat(3, 300, 0.01, 0.0));
        assert_eq!((bench.severity(), bench.finish()), (None, Judgement::Abstain));
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        bench.facts.first_step = Some(50_000);
        bench.set_step(50_000);
        bench.push_all(flat(3, 300, 0.01, 0.0));
        assert_eq!((bench.severity(), bench.finish()), (None, Judgement::Abstain));
    }

    #[test]
    fn is_silent_during_a_warm_up() {
        let mut bench = Bench::new(&INFO, Quantity::Loss, &[]);
        for (i, value) in flat(3, 300, 0.01, 0.0).into_iter().enumerate() {
            bench.facts.learning_rate = Some(1e-6 * (i + 1) as f64);
            bench.facts.learning_rate_max = bench.facts.learning_rate;
            bench.push(value);
        }
        assert_eq!(bench.severity(), None);
    }
}
