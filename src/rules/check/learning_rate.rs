//! A learning rate that is zero, negative, jumps, or is gone too early.
//!
//! In: the learning rate. Out: `negative` (the rule's severity), `zero`, `jump` and `early` (info: schedules do such
//! things on purpose; what a jump breaks is another rule's finding). Invariant: constant state; a restart is no jump.

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "learning-rate",
    family: Family::Lr,
    kinds: &["negative", "zero", "jump", "early"],
    params: &[
        ParamInfo {
            name: "jump",
            default: 10.0,
            min: 1.0,
            max: 1e9,
            doc: "factor between two points after the warm-up; steps of usual schedules are at most tenfold",
        },
        ParamInfo {
            name: "zeros",
            default: 20.0,
            min: 1.0,
            max: 1e9,
            doc: "points in a row at exactly 0; a warm-up or the end of a schedule has one or two",
        },
        ParamInfo {
            name: "early_share",
            default: 0.8,
            min: 0.0,
            max: 1.0,
            doc: "share of the planned steps before which less than 1 % of the peak is early",
        },
    ],
    doc: "Negative, exactly zero for many points, a jump between two points, or next to nothing long before the end.",
    build: Build::Series(|rule| each(LearningRate::new(rule))),
};

/// Share of the peak that is next to nothing.
const NEXT_TO_NOTHING: f64 = 0.01;
/// Share of the peak that a schedule computed in float32 may miss its end by: some rounding errors of 6e-8.
const ROUNDING: f64 = 1e-6;

#[derive(Clone)]
struct LearningRate {
    jump: f64,
    zeros_max: u64,
    early_share: f64,
    full: Severity,
    last: Option<f64>,
    peak: f64,
    zeros: u64,
}

impl LearningRate {
    fn new(rule: &Rule) -> Self {
        Self {
            jump: rule.params.get("jump"),
            zeros_max: rule.params.get("zeros") as u64,
            early_share: rule.params.get("early_share"),
            full: rule.severity,
            last: None,
            peak: 0.0,
            zeros: 0,
        }
    }

    fn info(kind: &'static str, value: f64, bound: f64) -> Judgement {
        Judgement::Bad(
            Observation::new(kind, value, bound)
                .severity(Severity::Info)
                .word("what", words(kind)),
        )
    }

    /// A jump up or down. Down to the last of a schedule and up from a warm-up's first step have small or zero ends.
    fn jumps(&self, value: f64) -> Option<f64> {
        let last = self.last.filter(|it| *it > NEXT_TO_NOTHING * self.peak)?;
        let factor = value / last;
        let is_end = value < NEXT_TO_NOTHING * self.peak;
        // Up to the peak so far is a restart of the schedule; the first points are a warm-up.
        (factor > self.jump && value > self.jump * self.peak || factor < 1.0 / self.jump && !is_end)
            .then_some(factor)
    }
}

fn words(kind: &str) -> &'static str {
    match kind {
        "negative" => "negative",
        "zero" => "exactly 0 for many points",
        "jump" => "jumped",
        _ => "below 1 % of its peak long before the end",
    }
}

impl SeriesCheck for LearningRate {
    fn observe(&mut self, point: &Point, context: &Context<'_>) -> Judgement {
        let value = point.value;
        if !value.is_finite() {
            return Judgement::Abstain;
        }
        let jump = self.jumps(value);
        self.last = Some(value);
        self.peak = self.peak.max(value);
        self.zeros = if value == 0.0 { self.zeros + 1 } else { 0 };
        // The end of a schedule is 0 with a rounding error of float32.
        if value < -ROUNDING * self.peak {
            return Judgement::Bad(
                Observation::new("negative", value, 0.0)
                    .severity(self.full)
                    .word("what", words("negative")),
            );
        }
        // A printed 0.0000 proves nothing below its last digit.
        if self.zeros >= self.zeros_max && point.resolution <= NEXT_TO_NOTHING * self.peak {
            return Self::info("zero", value, 0.0);
        }
        if let Some(factor) = jump {
            return Self::info("jump", factor, self.jump);
        }
        let done = context
            .facts
            .planned_steps
            .filter(|it| *it > 0)
            .map(|it| point.step as f64 / it as f64);
        let is_early = done.is_some_and(|it| it > 0.1 && it < self.early_share);
        if is_early && value > 0.0 && value < NEXT_TO_NOTHING * self.peak {
            return Self::info("early", value, NEXT_TO_NOTHING * self.peak);
        }
        Judgement::Good
    }

    fn rewind(&mut self, _step: i64) {
        self.last = None;
        self.zeros = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::bench::Bench;

    fn kinds(values: impl IntoIterator<Item = f64>, planned: Option<i64>) -> Vec<&'static str> {
        let mut bench = Bench::new(&INFO, Quantity::LearningRate, &[]);
        bench.facts.planned_steps = planned;
        bench.push_all(values);
        let mut kinds: Vec<_> = bench
            .said
            .iter()
            .filter_map(|it| match &it.1 {
                crate::rules::check::Judgement::Bad(seen) => Some(seen.kind),
                _ => None,
            })
            .collect();
        kinds.dedup();
        kinds
    }

    #[test]
    fn usual_schedules_are_quiet() {
        let cosine = (0..200).map(|i| 1e-3 * 0.5 * (1.0 + (f64::from(i) * 0.0157).cos()));
        let warm_up = (0..100).map(|i| 1e-3 * f64::from(i) / 100.0);
        assert!(kinds(warm_up.chain(cosine), Some(300)).is_empty());
        let steps = (0..90).map(|i| 0.1 * 0.1_f64.powi(i / 30));
        assert!(kinds(steps, Some(90)).is_empty());
        let restarts = (0..200).map(|i| 1e-3 * 0.5 * (1.0 + (f64::from(i % 50) * 0.06).cos()));
        assert!(kinds(restarts, Some(200)).is_empty());
    }

    #[test]
    fn names_what_is_odd() {
        assert_eq!(kinds([1e-3, 1e-3, -1e-3], None), ["negative"]);
        assert_eq!(kinds([0.0; 25], None), ["zero"]);
        assert_eq!(kinds([1e-3, 1e-3, 0.04, 0.04], None), ["jump"]);
        assert_eq!(
            kinds(vec![1e-3; 30].into_iter().chain(vec![1e-6; 30]), Some(100)),
            ["early"]
        );
    }

    #[test]
    fn only_a_negative_rate_is_more_than_info() {
        let mut bench = Bench::new(&INFO, Quantity::LearningRate, &[]);
        bench.push_all([0.0; 40]).push_all([1e-3, 0.5]);
        assert_eq!(bench.severity(), Some(Severity::Info));
        bench.push(-1.0);
        assert_eq!(bench.severity(), Some(Severity::Critical));
    }
}
